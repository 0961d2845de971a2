"""The page on a reader's own data: its example is executed from a folder to verdicts, and joins the book."""

import os
import shutil
import sys
import zipfile

import nbformat
import pytest
import torch
import yaml

from kdlib import InputError, Store, draw_shapes
from kdlib.book import assembly, own_data, pages
from kdlib.data.shapes import CLASSES
from kdlib.errors import NotebookError

from ..conftest import ROOT, as_project

pytestmark = pytest.mark.xdist_group("book")


def test_one_seed_draws_the_same_pictures_and_another_seed_others(tmp_path):
    def drawn(name, seed):
        draw_shapes(tmp_path / name, per_class=2, seed=seed)
        return {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.png")}

    first = drawn("first", 0)
    assert len(first) == 2 * len(CLASSES) == len({*first.values()})
    assert drawn("again", 0) == first and not {*drawn("other", 1).values()} & {*first.values()}
    with pytest.raises(InputError, match="is there already"):
        draw_shapes(tmp_path / "first")


def test_the_two_files_of_the_example_are_the_same_and_carry_no_outputs():
    text, source = pages.notebook_pair(own_data.NAME)
    assert pages.cells_in(text) == pages.cells_in(source)
    assert not any(cell.get("outputs") for cell in nbformat.read(source, 4).cells)


def test_the_example_goes_from_a_folder_to_verdicts_an_own_teacher_and_an_own_system(own_data_page, project):
    page = nbformat.read(own_data_page, as_version=4)
    outputs = [output for cell in page.cells for output in cell.get("outputs", [])]
    shown = "".join(o.get("text", "") + "".join(map(str, o.get("data", {}).values())) for o in outputs)
    for words in (
        "shapes: added",
        "read as a folder of pictures by class",
        "verdict",
        "cifar-10-model 7.4.0",  # which is here or not: that is said
        "mine: added",
        "the large teacher is mine, a teacher of the reader",
        "(your own)",
        "'mean_squares': '",
    ):
        assert words in shown
    streams = [
        [output.name for output in cell.get("outputs", []) if output.output_type == "stream"] for cell in page.cells
    ]
    assert set(map(tuple, streams)) == {(), ("stdout",)}  # in one piece
    assert "/tmp" not in shown and not (project / "data" / "added").exists() and not (project / "shapes").exists()


def cell_of_the_network():
    """Source of the example's cell that reads a network which somebody else trained."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{own_data.NAME}.ipynb", as_version=4)
    [source] = [cell.source for cell in notebook.cells if "def read_convolutions" in cell.source]
    return source


def test_the_example_reads_the_convolutions_of_a_keras_network_as_they_were_trained(tmp_path):
    """A network of torch's own layers, saved as Keras does: channels last, a group for each layer."""
    h5py = pytest.importorskip("h5py")
    blocks = [
        torch.nn.Sequential(torch.nn.Conv2d(i, o, 3), torch.nn.ReLU(), torch.nn.BatchNorm2d(o, eps=1e-3)).eval()
        for i, o in ((3, 4), (4, 4), (4, 5), (5, 5))
    ]
    with h5py.File(tmp_path / "model.h5", "w") as file:
        for end, (convolution, _, norm) in zip(("", "_1", "_2", "_3"), blocks, strict=True):
            norm.running_mean.uniform_(), norm.running_var.uniform_(1, 2)
            torch.nn.init.uniform_(norm.weight, 1, 2), torch.nn.init.uniform_(norm.bias)
            kept = {"kernel": convolution.weight.permute(2, 3, 1, 0), "bias": convolution.bias}
            statistics = {"moving_mean": norm.running_mean, "moving_variance": norm.running_var}
            other = statistics | {"gamma": norm.weight, "beta": norm.bias}
            for layer, arrays in ((f"conv2d{end}", kept), (f"batch_normalization{end}", other)):
                for name, array in arrays.items():
                    file[f"model_weights/{layer}/{layer}/{name}:0"] = array.detach().numpy()
    with zipfile.ZipFile(tmp_path / "network.whl", "w") as wheel:
        wheel.write(tmp_path / "model.h5", "cifar_10_model/trained_models/cnn_model.h5")
    images = torch.rand(2, 3, 32, 32)
    pool = torch.nn.MaxPool2d(2)
    with torch.no_grad():
        wanted = pool(blocks[3](blocks[2](pool(blocks[1](blocks[0](255 * images))))))
    exec(cell_of_the_network(), cell := {})
    found = cell["seen_by"](cell["read_convolutions"](tmp_path / "network.whl"), images)
    torch.testing.assert_close(torch.from_numpy(found), wanted.flatten(1))


def test_without_that_network_the_example_says_so_in_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    exec(cell_of_the_network(), cell := {})
    said = capsys.readouterr().out
    assert cell["convolutions"] is None and "is not here: amplitudes" in said and said.count("\n") == 1


@pytest.fixture
def clone(tmp_path, monkeypatch, project):
    """A project whose example is cut down to its first cells, and an empty store."""
    for name in ("notebooks", "book"):
        shutil.copytree(project / name, tmp_path / name, ignore=shutil.ignore_patterns("mnist", "cifar10"))
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(project / name, tmp_path)
    monkeypatch.setenv("KDLIB_ROOT", str(as_project(tmp_path)))
    return tmp_path


def test_an_example_that_fails_is_told_and_leaves_the_page_that_was_there(clone):
    own_data.page_path().parent.mkdir()
    own_data.page_path().write_text("the last one")
    path = pages.notebook_path(own_data.NAME)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [notebook.cells[0], nbformat.v4.new_code_cell("1 / 0")]
    nbformat.write(notebook, path)
    with pytest.raises(NotebookError, match="notebooks/own_data, cell 2, line 1: ZeroDivisionError"):
        own_data.run()
    assert own_data.page_path().read_text() == "the last one"
    assert sorted(os.listdir(clone / "_build")) == ["failed", "own_data.ipynb"]


def test_the_book_has_the_example_beneath_its_page_where_it_was_executed_and_no_link_where_not(clone, own_data_page):
    def chapter():
        assembly.assemble([], clone / "_build" / "source")
        contents = yaml.safe_load((clone / "_build" / "source" / "_toc.yml").read_text())
        [found] = [c for part in contents["parts"] for c in part["chapters"] if c["file"] == "book/own_data"]
        return found, (clone / "_build" / "source" / "book" / "own_data.md").read_text()

    found, text = chapter()
    assert "sections" not in found and "own_data_executed" not in text and "<!--" not in text
    shutil.copy(own_data_page, own_data.page_path())
    found, text = chapter()
    assert found["sections"] == [{"file": "book/own_data_executed"}] and "(own_data_executed.ipynb)" in text


def test_what_it_computed_is_kept_in_the_store_and_not_computed_again(own_data_page, project, monkeypatch):
    """A killed run goes on from what it had."""
    monkeypatch.setenv("KDLIB_ROOT", str(project))
    monkeypatch.setenv("KDLIB_STORE", str(project / "store"))
    before = {path: path.stat().st_mtime_ns for path in Store().paths()}
    own_data.run()
    assert {path: path.stat().st_mtime_ns for path in Store().paths()} == before

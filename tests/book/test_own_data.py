"""The page on a reader's own data: its example is executed from a folder to verdicts, and joins the book if it is there."""

import os
import shutil

import nbformat
import pytest
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
        "fourier: added",
        "the large teacher is fourier, a teacher of the reader",
        "(your own)",
        "'mean_squares': '",
    ):
        assert words in shown
    streams = [[output.name for output in cell.get("outputs", []) if output.output_type == "stream"] for cell in page.cells]
    assert set(map(tuple, streams)) == {(), ("stdout",)}  # in one piece
    assert "/tmp" not in shown and not (project / "data" / "added").exists() and not (project / "shapes").exists()


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

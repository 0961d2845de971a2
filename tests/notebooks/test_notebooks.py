"""The notebooks: their jupytext pairs, their parameters, and their execution on digits and on the real data sets."""

import ast
import json
import os
import re
import subprocess
import sys

import nbformat
import papermill
import papermill.cli
import pytest
from click.testing import CliRunner

from kdlib.book import pages
from kdlib.data.sources import TORCHVISION
from kdlib.paths import data_dir
from kdlib.sections import SECTIONS

from ..conftest import ROOT, TRAINED_SECTIONS, one_kernel

STRICTLY = ("--nbval", "-p", "tests.notebooks.strictly", "-p", "no:cacheprovider")
REAL = ("mnist", "fashion_mnist", "cifar10")
LEAST = {"profile": "smoke", "examples": 200, "teacher_epochs": 1, "student_epochs": 1}  # of a notebook on real data
pytestmark = pytest.mark.notebook


def read(section):
    return nbformat.read(ROOT / "notebooks" / f"{section}.ipynb", as_version=4)


def run_cli(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, env=os.environ | environment, cwd=ROOT
    )


@pytest.mark.parametrize("section", SECTIONS)
def test_the_two_files_of_a_pair_are_the_same_and_carry_no_outputs(section):
    pages.check_pair(section)
    assert not any(cell.get("outputs") for cell in read(section).cells)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_parameters_are_those_that_kdlib_knows_and_each_has_a_type_and_a_help_text(section):
    found = papermill.inspect_notebook(str(ROOT / "notebooks" / f"{section}.ipynb"))
    assert set(found) == set(SECTIONS[section].parameters)
    for parameter in found.values():
        assert parameter["inferred_type_name"] in ("str", "int", "float", "bool", "list")
        assert len(parameter["help"]) > 8


@pytest.mark.parametrize("section", SECTIONS)
def test_a_notebook_holds_no_algorithm(section):
    for cell in read(section).cells:
        if cell.cell_type == "code":
            nodes = list(ast.walk(ast.parse(cell.source)))
            assert not any(isinstance(n, ast.FunctionDef | ast.For | ast.While | ast.If | ast.Lambda) for n in nodes)
            assert len(cell.source.splitlines()) <= 20


@pytest.mark.parametrize("section", SECTIONS)
def test_a_cell_says_which_tables_it_takes_and_that_it_draws_a_figure(section):
    cells = [cell for cell in read(section).cells if cell.cell_type == "code"]
    assert [words for cell in cells for words in lacking(cell.source, cell.metadata)] == []


def lacking(source, metadata):
    """What an editor of a cell has to add to its first line, or to take from it."""
    nodes = list(ast.walk(ast.parse(source)))
    taken = [n.slice.value for n in nodes if isinstance(n, ast.Subscript) and ast.unparse(n.value) == "tables"]
    said = metadata.get("kdlib", {}).get("tables", [])
    start = f"the cell of `{source.splitlines()[-1]}` "
    if set(taken) != set(said):
        tables = json.dumps(list(dict.fromkeys(taken)))
        yield start + (f'takes tables: its metadata need kdlib={{"tables": {tables}}}' if taken else "takes no table")
    draws = any(isinstance(n, ast.Attribute) and ast.unparse(n.value) == "kdlib.figures" for n in nodes)
    if draws != ("figure" in metadata.get("mystnb", {})):
        yield start + ('draws a figure: its metadata need mystnb={"figure": ...}' if draws else "draws no figure")


def test_one_table_gives_each_cell_of_table_4_the_command_that_makes_it_again():
    cells = [(section, cell) for section in SECTIONS for cell in read(section).cells]
    ((section, cell),) = [(s, c) for s, c in cells if c.metadata.get("kdlib", {}).get("cells_again")]
    assert section == "missing_class" and cell.metadata["kdlib"]["tables"] == ["cells"]


@pytest.mark.parametrize(
    ("source", "metadata", "words"),
    [
        ('f(tables["cells"], tables["full"])', {}, 'need kdlib={"tables": ["cells", "full"]}'),
        ('f(tables["cells"])', {"kdlib": {"tables": ["full"]}}, 'need kdlib={"tables": ["cells"]}'),
        ("f(tables)", {"kdlib": {"tables": ["cells"]}}, "takes no table"),
        ("kdlib.figures.f(kdlib.present.umap_points(study))", {}, 'need mystnb={"figure": ...}'),
        ("kdlib.present.f()", {"mystnb": {"figure": {}}}, "draws no figure"),
    ],
)
def test_an_editor_is_told_what_a_cell_has_to_say(source, metadata, words):
    (found,) = lacking(source, metadata)
    assert words in found and source in found


@pytest.mark.parametrize("section", SECTIONS)
def test_every_figure_has_a_caption_and_a_telling_alt_text(section):
    seen = set()
    for cell in read(section).cells:
        drawing = cell.metadata.get("mystnb", {})
        if "figure" in drawing:
            alt = drawing["image"]["alt"]
            assert len(alt) > 60 and "{dataset}" in alt and alt not in seen
            assert len(drawing["figure"]["caption"]) > 40 and drawing["figure"]["name"]
            seen.add(alt)
    assert seen


@pytest.fixture(scope="module")
def kernel_store(tmp_path_factory):
    """The store of the one kernel in which papermill executes notebooks: the sections share their teachers."""
    store = tmp_path_factory.mktemp("kernel") / "store"
    with one_kernel(KDLIB_STORE=str(store)):
        yield store


@pytest.mark.parametrize("section", TRAINED_SECTIONS)
def test_two_runs_in_separate_stores_give_the_same_cells(section, digits_pages, project, tmp_path):
    """nbval executes a page in a kernel of its own, and compares what each cell gives with what the page shows."""
    page = digits_pages / f"{section}.ipynb"
    content = pages.page_record(nbformat.read(page, as_version=4))
    assert content["section"] == section
    # Whether progress is shown depends on the time that a run takes.
    environment = {"KDLIB_STORE": str(tmp_path / "store"), "TQDM_DISABLE": "1"}
    again = run_cli("pytest", *STRICTLY, "--nbval-cell-timeout=300", "-q", str(page), **environment)
    assert again.returncode == 0, again.stdout[-3000:]
    assert " passed" in again.stdout
    first, second = (set(place.glob("store/*/*.safetensors")) for place in (project, tmp_path))
    assert {path.name for path in second} <= {path.name for path in first}  # where all sections were run
    assert {path.stem for path in second if path.parent.name != "activations"} == set(content["units"])


def small_page(folder, *cells):
    """A notebook of these sources and outputs, as if it had been executed."""
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    for number, (source, data) in enumerate(cells, 1):
        output = nbformat.v4.new_output("execute_result", data, execution_count=number)
        notebook.cells.append(nbformat.v4.new_code_cell(source, outputs=[output], execution_count=number))
    return notebook, folder / "page.ipynb"


PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAWk1v8QAAAABJRU5ErkJggg=="
SHOWN = """
class Shown:
    def __init__(self, **shown):
        self.shown = shown
    def _repr_mimebundle_(self, **_):
        return self.shown
Shown(**{})
"""


@pytest.mark.parametrize(
    ("wrong", "noticed"), [("nothing", []), ("a picture", ["0"]), ("a table", ["1"]), ("never executed", ["2"])]
)
def test_what_differs_and_a_cell_that_was_never_executed_are_noticed(wrong, noticed, tmp_path):
    picture = {"image/png": PICTURE, "text/plain": "P"}
    table = {"text/html": "<table><tr><td>small</td></tr></table>", "text/plain": "small"}
    sources = [SHOWN.format(shown) for shown in (picture, table)]
    if wrong == "a picture":
        picture["image/png"] = PICTURE.replace("Wk1v8Q", "WkZv8Q")
    if wrong == "a table":
        table["text/html"] = table["text/html"].replace("small", "smell")
    notebook, page = small_page(tmp_path, (sources[0], picture), (sources[1], table), ("1 + 1", {"text/plain": "2"}))
    if wrong == "never executed":
        notebook.cells[2].update(execution_count=None, outputs=[])
    nbformat.write(notebook, page)
    again = run_cli("pytest", *STRICTLY, "-q", str(page))
    assert again.returncode == bool(noticed), again.stdout[-2000:]
    assert re.findall(r"^(?:FAILED|ERROR) .*::Cell (\d)", again.stdout, re.MULTILINE) == noticed


def each_on_real_data():
    """Every notebook on every real data set: on one of them always, on the others where long tests are run."""
    for number, section in enumerate(SECTIONS):
        for dataset in REAL:
            marks = () if dataset == REAL[-number % len(REAL)] else pytest.mark.long
            yield pytest.param(section, dataset, marks=marks)


@pytest.mark.parametrize(("section", "dataset"), each_on_real_data())
@pytest.mark.xdist_group("kernel")
def test_a_notebook_runs_on_real_data(section, dataset, kernel_store, tmp_path):
    if not (data_dir() / TORCHVISION[dataset][1]).exists():
        pytest.skip(f"{dataset} is not in the data folder: `kdlib data {dataset} --download` or `--from DIR` gets it")
    given = {name: value for name, value in LEAST.items() if name in SECTIONS[section].parameters}
    page = pages.run(section, {"dataset": dataset, **given}, store=kernel_store, output=tmp_path / "page.ipynb")
    content = pages.page_record(nbformat.read(page, as_version=4))
    assert (content["dataset"], content["section"]) == (dataset, section)
    assert all(len(csv.splitlines()) > 1 for csv in content["tables"].values())


def test_plain_papermill_accepts_its_strings_and_runs_from_any_folder(tmp_path):
    done = run_cli(
        "papermill", "notebooks/missing_class.ipynb", str(tmp_path / "out.ipynb"), "-p", "profile", "smoke",
        "-p", "temperatures", "[3, 9]", "-p", "learning_rate", "1e-3", "-p", "t_squared", "true", "-p", "seeds", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    content = pages.page_record(nbformat.read(tmp_path / "out.ipynb", as_version=4))
    assert content["settings"]["temperatures"] == [3.0, 9.0]
    assert content["settings"]["learning_rate"] == 1e-3 and content["settings"]["t_squared"] is True


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("temperature", "[3]", "unknown parameter temperature; allowed: dataset, profile"),
        ("temperatures", "warm", "temperatures='warm' cannot be used; allowed: a list of different positive numbers"),
        ("alpha", "1.5", "alpha=1.5 cannot be used; allowed: a number from 0 to 1"),
        ("dataset", "imagenet", "unknown data set 'imagenet'; allowed:"),
        ("missing_classes", "[11]", "missing_classes=[11]: digits has classes 0 to 9"),
    ],
)
@pytest.mark.xdist_group("kernel")
def test_plain_papermill_stops_at_a_bad_parameter_with_one_message_and_no_work(
    name, value, message, kernel_store, tmp_path
):
    before = sorted(kernel_store.rglob("*.safetensors"))
    arguments = [str(ROOT / "notebooks/missing_class.ipynb"), str(tmp_path / "out.ipynb"), "-p", "profile", "smoke"]
    done = CliRunner().invoke(papermill.cli.papermill, [*arguments, "-p", name, value])
    assert done.exit_code != 0
    assert str(done.exception).splitlines()[-1].startswith(f"InputError: {message}")
    assert sorted(kernel_store.rglob("*.safetensors")) == before

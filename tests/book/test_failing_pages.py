"""A page that fails is told in a line and replaces nothing; what a user has set up for himself changes no page."""

import json
import sys
import tempfile

import jupytext
import nbformat
import pytest

from kdlib.book import kernels, pages
from kdlib.book.record import MIME
from kdlib.errors import InputError, NotebookError

from ..conftest import as_project

SECTION = "missing_class"
PARAMETERS = 'dataset: str = "digits"\nprofile: str = None'
SETTINGS = '{"dataset": dataset, "profile": profile}'
RECORD = f'{{"{MIME}": {{"section": "{SECTION}", "settings": {SETTINGS}}}}}'
RECORD = f"from IPython.display import display\ndisplay({RECORD}, raw=True)"
UNTIL_NOW = b"the last good page"


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Gives a function that executes a notebook of these cells, and the path of its page, which is there already."""
    monkeypatch.setenv("KDLIB_ROOT", str(as_project(tmp_path)))
    target = pages.pages_dir() / "digits-smoke" / f"{SECTION}.ipynb"
    target.parent.mkdir(parents=True)
    target.write_bytes(UNTIL_NOW)

    def run(*sources, tag="parameters"):
        cells = [nbformat.v4.new_code_cell(source) for source in (PARAMETERS, *sources)]
        cells[0].metadata["tags"] = [tag]
        kernel = {"name": "python3", "language": "python", "display_name": "Python 3 (ipykernel)"}
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        text, source = pages.notebook_pair(SECTION)
        source.parent.mkdir(exist_ok=True)
        nbformat.write(notebook, source)
        jupytext.write(notebook, text, fmt="py:percent")
        return pages.run(SECTION, {"profile": "smoke"})

    return run, target


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("x = 1\nimport sys\nsys.exit(0)", ", cell 2: SystemExit: 0"),
        ("import sys\nsys.exit(1)", ", cell 2: SystemExit: 1"),
        ("x = 1\n\ny = x / 0", ", cell 2, line 3: ZeroDivisionError: division by zero"),
        ("x = = 1", ", cell 2, line 1: SyntaxError: invalid syntax"),
        ("import os\nos.kill(os.getpid(), 9)", ", cell 2: the kernel died"),
        ("pass", ", cell 3 is its last, and it gives no record"),
    ],
    ids=["exit 0", "exit 1", "an exception", "a syntax error", "a dead kernel", "no record"],
)
def test_a_page_that_did_not_run_to_its_end_is_told_in_one_line_and_the_last_good_one_stays(execute, cell, told):
    run, target = execute
    with pytest.raises(NotebookError) as raised:
        run(cell, "x = 2")
    failed = target.parents[2] / "failed" / "digits-smoke" / target.name
    message = str(raised.value)
    assert message.startswith(f"notebooks/{SECTION}{told}") and message.endswith(f"The page so far: {failed}")
    assert "\n" not in message
    assert target.read_bytes() == UNTIL_NOW and list(target.parent.iterdir()) == [target]
    assert cell in [c.source for c in nbformat.read(failed, as_version=4).cells]
    assert issubclass(NotebookError, InputError)  # so that the command line shows its message alone


def test_a_page_that_ran_otherwise_than_asked_is_none(execute):
    run, target = execute
    with pytest.raises(NotebookError, match="missing_class ran with profile='quick' instead of 'smoke': a cell after"):
        run('profile = "quick"', RECORD)
    assert target.read_bytes() == UNTIL_NOW and list(target.parent.iterdir()) == [target]


def test_a_notebook_that_parameters_cannot_reach_is_refused_before_any_work(execute, monkeypatch):
    run, target = execute
    monkeypatch.setattr("papermill.execute_notebook", lambda *args, **kwargs: pytest.fail("it was executed"))
    with pytest.raises(InputError, match="has no cell with the tag `parameters`"):
        run(RECORD, tag="hide-input")
    assert target.read_bytes() == UNTIL_NOW


def test_a_kernel_that_dies_before_the_first_cell_is_told_in_one_line(execute, monkeypatch):
    run, target = execute
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(NotebookError) as raised:
        run("pass")
    message = str(raised.value)
    assert message.startswith(f"notebooks/{SECTION}, before its first cell: the kernel died (") and "\n" not in message
    assert "`python -m ipykernel_launcher --version`" in message
    assert target.read_bytes() == UNTIL_NOW and list(target.parent.iterdir()) == [target]


def test_a_users_own_set_up_changes_no_page(execute, tmp_path, monkeypatch):
    """Start-up files of Python and IPython, another kernel of the usual name, matplotlib's settings, a long TMPDIR."""
    run, target = execute
    home, long = tmp_path / "home", tmp_path / ("t" * 90)
    long.mkdir()
    start_up = home / "start-up.py"
    places = {
        start_up: "histsize = 1000",
        home / ".ipython" / "profile_default" / "startup" / "a.py": "another = 1",
        home / "data" / "kernels" / "python3" / "kernel.json": json.dumps(
            {"argv": ["false", "{connection_file}"], "display_name": "Other", "language": "python"}
        ),
        home / "matplotlibrc": "text.usetex: True",
    }
    for path, text in places.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setenv("PYTHONSTARTUP", str(start_up))
    monkeypatch.setenv("IPYTHONDIR", str(home / ".ipython"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(home / "data"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    monkeypatch.setenv("MATPLOTLIBRC", str(home / "matplotlibrc"))
    monkeypatch.setenv("MPLBACKEND", "agg")  # as on many clusters: it shows no figure in a notebook
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setattr(tempfile, "tempdir", None)
    said = "import sys, matplotlib\n"
    said += (
        "print(sys.executable, 'histsize' in globals(), 'another' in globals(), matplotlib.rcParams['text.usetex'])\n"
    )
    said += "print('inline' in matplotlib.get_backend())"
    page = nbformat.read(run(said, RECORD), as_version=4)
    outputs = [o.text for cell in page.cells for o in cell.get("outputs", []) if o.output_type == "stream"]
    assert outputs == [f"{sys.executable} False False False\nTrue\n"]
    assert list(long.iterdir()) == []
    assert not (target.parents[2] / "failed" / "digits-smoke" / target.name).exists()


def test_a_page_is_made_by_a_user_without_name_and_home_folder(execute, homeless):
    """As in a container, or a job of some schedulers: Jupyter would look for its own folders there."""
    run, target = execute
    assert run(RECORD) == target and target.read_bytes() != UNTIL_NOW


def test_sockets_fit_into_the_systems_limit_wherever_temporary_files_go(tmp_path, monkeypatch):
    for length in range(60, 110):
        monkeypatch.setattr(tempfile, "tempdir", "/" + "t" * (length - 1))
        assert len(f"{kernels.short_folder() or tempfile.tempdir}/kdlib-12345678/kernel-1") <= 103

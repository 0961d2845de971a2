"""The worked example of the page on a reader's own data: a notebook that is no section's, executed for the book.

`python -m kdlib.book.own_data` executes it. It draws its pictures, adds them to a data folder of its own, which is gone
afterwards, and takes from the store what was computed before.
"""

import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

import nbformat

from .. import paths
from ..errors import NotebookError
from ..study.store import Store
from . import kernels
from .pages import clean, notebook_path, read

NAME = "own_data"  # of the notebook, of the page on it, and of this module


def page_path() -> Path:
    """Where the executed notebook is kept, _build/own_data.ipynb, from which the book takes it if it is there."""
    return paths.project_root() / "_build" / f"{NAME}.ipynb"


def page() -> nbformat.NotebookNode | None:
    """The executed notebook as the book shows it; None where it was not executed, or not to its end."""
    return read(page_path())


def run() -> Path:
    """Execute the example on own data. Returns the path of its page, which appears whole or not at all.

    Raises `NotebookError` where a cell fails, with what was executed in _build/failed.
    """
    import papermill

    logging.getLogger("papermill").setLevel(logging.ERROR)
    target = page_path()
    partial = target.with_name(f".{NAME}.{os.getpid()}.ipynb")
    target.parent.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # its cells call kdlib
    try:
        with kernels.surroundings(Store().root.resolve(), PATH=path) as surroundings:
            # Else what a command says comes in pieces, which the book would show as such.
            how = {"progress_bar": False, "log_output": False, "coalesce_streams": True}
            papermill.execute_notebook(str(notebook_path(NAME)), str(partial), **how, **surroundings)
        partial.write_text(nbformat.writes(clean(nbformat.read(partial, as_version=4))), encoding="utf-8")
        os.replace(partial, target)
    except (papermill.PapermillExecutionError, RuntimeError) as error:
        raise _failed(partial, error) from None
    finally:
        with suppress(OSError):
            partial.unlink()
    return target


def _failed(partial: Path, error: Exception) -> NotebookError:
    failed = page_path().parent / "failed" / f"{NAME}.ipynb"
    failed.parent.mkdir(parents=True, exist_ok=True)
    os.replace(partial, failed)
    return kernels.told(NAME, nbformat.read(failed, as_version=4), failed, error)


if __name__ == "__main__":
    print(run())

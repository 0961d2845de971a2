"""The surroundings of the kernel that executes a page: this environment, and nothing of a user's own set-up."""

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat

from .. import paths
from ..data import processes
from ..errors import NotebookError

LONGEST = 103  # bytes of a socket's path, on every system


@contextmanager
def surroundings(store: Path, **further: str) -> Iterator[dict[str, Any]]:
    """While it lasts, kernels that are started use this store and this project. Gives papermill's further arguments.

    The kernel is of this Python, though a user may have registered another under the usual name; start-up files of
    Python and IPython, a matplotlibrc and a backend of matplotlib, which would change a page, are passed over.
    Everything that a kernel writes of its own is in a folder that is removed at the end. Arguments: `store`;
    `further`, variables of the environment.
    """
    from traitlets.config import Config

    with tempfile.TemporaryDirectory(prefix="kdlib-", dir=short_folder()) as folder:
        kernel = Path(folder) / "kernels" / "python3" / "kernel.json"
        kernel.parent.mkdir(parents=True)
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", f"--ext={processes.__name__}"]
        kernel.write_text(json.dumps({"argv": command, "display_name": "Python 3", "language": "python"}))
        rc = Path(folder) / "matplotlibrc"
        rc.touch()
        own = {
            "KDLIB_STORE": str(store),
            "KDLIB_ROOT": str(paths.project_root()),
            "JUPYTER_PATH": folder,  # before the user's own kernels
            "JUPYTER_RUNTIME_DIR": folder,
            "JUPYTER_CONFIG_DIR": folder,  # these two are otherwise in the home folder, which there may be none
            "JUPYTER_DATA_DIR": folder,
            "IPYTHONDIR": folder,
            "PYTHONSTARTUP": None,
            "MATPLOTLIBRC": str(rc),
            "MPLBACKEND": None,
            **further,
        }
        arguments = {"kernel_name": "python3"}
        if _fits(folder):
            # Kernels that start at once race for TCP ports.
            arguments["config"] = Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}})
        with _environment(own):
            yield arguments


def short_folder() -> str | None:
    """Where sockets go: None for the usual temporary folder, or /tmp where paths in that one would be too long."""
    usual = f"{tempfile.gettempdir()}/kdlib-12345678"
    return None if _fits(usual) or not os.access("/tmp", os.W_OK) else "/tmp"


def _fits(folder: str) -> bool:
    """Whether a kernel's sockets can be in a folder."""
    return len(os.fsencode(f"{folder}/kernel-12")) <= LONGEST


def told(section: str, page: nbformat.NotebookNode, where: Path, error: Exception | None = None) -> NotebookError:
    """In one line what ended the execution of a page: the cell and line of the notebook, and the exception.

    Arguments: `page`, as far as it was executed; `where` it lies; `error`, of a kernel that gave no answer.
    """
    number, at, last = 0, "before its first cell", None
    for cell in page.cells:
        # What papermill adds is no cell of the notebook.
        added = {"injected-parameters", "papermill-error-cell-tag"} & set(cell.metadata.get("tags", []))
        number += not added
        if cell.cell_type == "code" and cell.metadata.get("papermill", {}).get("start_time"):
            at, last = "the parameters" if added else f"cell {number}", cell
    raised = [o for o in (last or {}).get("outputs", []) if o.output_type == "error"]
    if raised:
        trace = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(raised[0].traceback))
        line = re.search(r"(?:Cell In\[\d+\]|<ipython-input[^>]*>), line (\d+)", trace)
        message = f"{raised[0].ename}: {raised[0].evalue}".rstrip(": ")
        said = f", line {line[1]}: {message}" if line else f": {message}"
    elif error is not None:
        why = "it may have run out of memory: KDLIB_WORKERS=1 needs least"
        if last is None:
            why = "`python -m ipykernel_launcher --version` shows what keeps it from starting"
        said = f": the kernel died ({error}); {why}"
    else:
        said = " is its last, and it gives no record: the book needs `kdlib.record(study, tables)` there"
    return NotebookError(f"notebooks/{section}, {at}{said}. The page so far: {where}")


@contextmanager
def _environment(values: dict[str, str | None]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value

"""Executing a notebook into a page: validated, atomic, stamped with what made it."""

import hashlib
import io
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat

from .. import paths
from ..errors import InputError, NotebookError, StoreError
from ..sections.opening import open_study
from .record import MIME
from ..study.store import Store
from . import kernels


def notebook_path(section: str) -> Path:
    return paths.project_root() / "notebooks" / f"{section}.ipynb"


def notebook_halves(section: str) -> tuple[Path, Path]:
    """The text half and the .ipynb half."""
    return notebook_path(section).with_suffix(".py"), notebook_path(section)


def pages_dir() -> Path:
    return paths.project_root() / "_build" / "pages"


def executed() -> list[Path]:
    """Every reference page and local page; not those that are being written."""
    reference, local = (paths.project_root() / "book").glob("*/*.ipynb"), pages_dir().glob("*/*.ipynb")
    return sorted(path for path in (*reference, *local) if not path.name.startswith("."))


def read(path: Path) -> nbformat.NotebookNode | None:
    """A notebook; None where the file is cut short or is none."""
    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError):
        return None


def run(
    section: str, given: dict[str, Any], *, store: Path | None = None, output: Path | None = None, publish: bool = False
) -> Path:
    """Execute a section's notebook with checked parameters. Returns the page's path.

    The page appears whole or not at all, and what was there before stays until then. Raises `InputError` before any
    work for whatever cannot be used as asked; `NotebookError` where a cell fails or the page gives no record, which
    leaves the page as far as it came in _build/failed.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError

    source = notebook_path(section)
    check(section, given, publish=publish)
    study = open_study(section, given, store=Store(store))
    name = f"{study.settings.dataset}-{study.settings.profile}"
    target = Path(output) if output else pages_dir() / name / f"{section}.ipynb"
    failed = paths.project_root() / "_build" / "failed" / name / f"{section}.ipynb"
    partial = target.with_name(f".{target.stem}.{os.getpid()}.ipynb")
    parameters = {"dataset": study.settings.dataset, "profile": study.settings.profile, **given}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with kernels.surroundings(study.store.root.resolve()) as surroundings:
            quietly = {"progress_bar": False, "log_output": False}
            papermill.execute_notebook(str(source), str(partial), parameters, **quietly, **surroundings)
        page = nbformat.read(partial, as_version=4)
        if (page_record(page) or {}).get("section") != section:
            raise _failed(section, partial, failed)
        page = clean(page)
        page.metadata["kdlib"] = {
            "section": section,
            "source": source_digest(section),
            "outputs": outputs_digest(page),
        }
        partial.write_text(nbformat.writes(page), encoding="utf-8")
        os.replace(partial, target)
    except papermill.PapermillExecutionError as error:
        if error.ename == "InputError":
            raise InputError(error.evalue) from None
        if error.ename == "StoreError":
            raise StoreError(error.evalue) from None
        raise _failed(section, partial, failed) from None
    except DeadKernelError as error:
        raise _failed(section, partial, failed, error) from None
    except OSError as error:
        raise StoreError(f"the page {target} cannot be written: {error.strerror}. Make room, and run again.") from error
    finally:
        with suppress(OSError):
            partial.unlink()
    failed.unlink(missing_ok=True)
    if publish:
        _publish(target, Store(store))
    return target


def _failed(section: str, partial: Path, failed: Path, error: Exception | None = None) -> NotebookError:
    """Keep a page that did not come to its end where no book looks for it; what is to be said of it."""
    failed.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(partial, failed)
    return kernels.told(section, nbformat.read(failed, as_version=4), failed, error)


def check(section: str, given: dict[str, Any], *, publish: bool) -> None:
    """Raise `InputError` if the notebook's halves differ, or what is given makes no reference page."""
    check_halves(section)
    # Which random numbers students share makes a run neither shorter nor another experiment.
    if publish and (extra := sorted(set(given) - {"dataset", "profile", "seeding"})):
        raise InputError(f"--publish writes the reference page of a profile: leave out -p {', '.join(extra)}")


def clean(page: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A page without what differs from run to run: progress on standard error, papermill's times and paths."""
    papermill_metadata = page.metadata.pop("papermill", {})
    page.metadata["parameters"] = papermill_metadata.get("parameters", {})
    for cell in page.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if not (o.output_type == "stream" and o.name == "stderr")]
    return page


def page_record(page: nbformat.NotebookNode) -> dict[str, Any] | None:
    """What the last cell's output carries for the book, or None for a page without it."""
    for cell in reversed(page.cells):
        for output in cell.get("outputs", []):
            if MIME in output.get("data", {}):
                return output["data"][MIME]
    return None


def source_digest(section: str) -> str:
    """sha256 of a notebook's cells (not of its ids, which change when a half is made anew)."""
    notebook = nbformat.read(notebook_path(section), as_version=4)
    return hashlib.sha256(json.dumps(as_text(notebook), sort_keys=True).encode()).hexdigest()


def cells_of(notebook: nbformat.NotebookNode) -> list[list]:
    """What both halves of a notebook hold of its cells: kind, source, and the metadata that is kept."""
    return [[c.cell_type, c.source, _kept(c.metadata)] for c in notebook.cells]


def half_cells(half: Path) -> list[list]:
    """`cells_of` what a half of a notebook says in the end: as text, read back.

    Text cannot hold all that an .ipynb file can (an empty line at the end of a cell, a line `# %%` inside one).
    """
    import jupytext

    return as_text(jupytext.read(half))


def as_text(notebook: nbformat.NotebookNode) -> list[list]:
    """`cells_of` a notebook that was written as text and read back."""
    import jupytext

    return cells_of(jupytext.reads(jupytext.writes(notebook, "py:percent"), "py:percent"))


def outputs_digest(page: nbformat.NotebookNode) -> str:
    """sha256 of what a page shows."""
    outputs = [cell.get("outputs", []) for cell in page.cells]
    return hashlib.sha256(json.dumps(outputs, sort_keys=True).encode()).hexdigest()


def check_halves(section: str) -> None:
    """Raise `InputError` if the text half and the .ipynb half of a notebook differ."""
    text, source = notebook_halves(section)
    missing = [p.name for p in (source, text) if not p.exists()]
    if missing:
        raise InputError(f"notebooks/{missing[0]} is missing: {_directions(section)}")
    halves = [half_cells(p) for p in (text, source)]
    if halves[0] == halves[1]:
        return
    pairs = zip(*halves, strict=False)
    where = next((i for i, (a, b) in enumerate(pairs) if a != b), min(map(len, halves)))
    raise InputError(f"the two halves of notebooks/{section} differ from cell {where + 1} on: {_directions(section)}")


def _directions(section: str) -> str:
    name = f"notebooks/{section}"
    return (
        f"`jupytext --update --to ipynb {name}.py` makes the text half win, "
        f"`jupytext --to py:percent {name}.ipynb` the .ipynb half"
    )


def _kept(metadata: dict[str, Any]) -> dict[str, Any]:
    return {name: metadata[name] for name in ("tags", "mystnb") if metadata.get(name)}


def _publish(page_path: Path, store: Store) -> None:
    """The reference page into book/, and its tables and small units into results/ (a read-only layer of the store)."""
    import pyarrow
    import pyarrow.parquet as parquet

    content = page_record(nbformat.read(page_path, as_version=4))
    root, dataset, section = paths.project_root(), content["dataset"], content["section"]
    reference = root / "book" / dataset / f"{section}.ipynb"
    results = root / "results" / dataset
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(list(store.publishable(content["units"]))), buffer)
    paths.write_whole(results / f"{section}.parquet", buffer.getvalue())  # first: it may hold the only copy of a unit
    for name, text in content["tables"].items():
        paths.write_whole(results / section / f"{name}.csv", text.encode())
    for old in (results / section).glob("*.csv"):
        if old.stem not in content["tables"]:
            old.unlink()
    paths.write_whole(reference, page_path.read_bytes())

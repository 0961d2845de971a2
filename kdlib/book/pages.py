"""Executing a notebook into a page, which appears whole or not at all, stamped with the digest of its source."""

import codecs
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat

from .. import paths
from ..errors import InputError, NotebookError, StoreError
from ..sections import SECTIONS
from ..sections.asked import checked
from ..study.store import Store, as_parquet
from . import MIME, kernels
from .rerun import as_recorded, unlike

# What is kept of a cell's metadata, as jupytext.toml has it. `kdlib` says what the cell takes from the run: `tables`,
# their names, and `cells_again`, whether each cell of its table is given the command that trains its students again.
CELL_METADATA = ("tags", "mystnb", "kdlib")
# What the record of a page has in every version that the book can show; `record.record` says what each is.
RECORDED = {"section", "dataset", "title", "family", "settings", "notes", "tables", "digest", "units", "cost"}


def notebook_path(section: str) -> Path:
    """File of a section's notebook, notebooks/<section>.ipynb."""
    return paths.project_root() / "notebooks" / f"{section}.ipynb"


def notebook_pair(section: str) -> tuple[Path, Path]:
    """The two files of a section's notebook, a jupytext pair: text (.py) and .ipynb."""
    return notebook_path(section).with_suffix(".py"), notebook_path(section)


def pages_dir() -> Path:
    """Folder of the pages that were run here, _build/pages."""
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
    work for whatever cannot be used as asked; `NotebookError` where a cell fails, the page gives no record, or it ran
    with other parameters than were given, which leaves the page as far as it came in _build/failed.
    """
    check(section, given, output=output, publish=publish)
    import papermill

    source, settings = notebook_path(section), checked(section, given)  # against its data set the notebook does it
    name = f"{settings.dataset}-{settings.profile}"
    target = Path(output) if output else pages_dir() / name / f"{section}.ipynb"
    failed = paths.project_root() / "_build" / "failed" / name / f"{section}.ipynb"
    partial = target.with_name(f".{target.stem}.{os.getpid()}.ipynb")
    parameters = {"dataset": settings.dataset, "profile": settings.profile, **given}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with kernels.surroundings(Store(store).root.resolve()) as surroundings:
            quietly = {"progress_bar": False, "log_output": False}
            # What a run takes was checked above; papermill would warn of all that the notebook does not name.
            logging.getLogger("papermill").setLevel(logging.ERROR)
            papermill.execute_notebook(str(source), str(partial), parameters, **quietly, **surroundings)
        page = nbformat.read(partial, as_version=4)
        record = page_record(page) or {}
        if record.get("section") != section:
            raise _failed(section, partial, failed)
        if ignored := _ignored(parameters, as_recorded(settings), record):
            raise _failed(section, partial, failed, ignored=ignored)
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
    except RuntimeError as error:  # nbclient's of a kernel that died, jupyter_client's of one that never answered
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


def _ignored(parameters: dict[str, Any], asked: dict[str, Any], record: dict[str, Any]) -> str:
    """Of what was given, what a page was not run with, in words; empty if there is nothing.

    A grid that the data set clips is no such thing.
    """
    used = record["settings"]
    names = [name for name in parameters if name not in record.get("clipped", ()) and used.get(name) != asked[name]]
    return ", ".join(f"{name}={used.get(name)!r} instead of {asked[name]!r}" for name in names)


def _failed(
    section: str, partial: Path, failed: Path, error: Exception | None = None, *, ignored: str = ""
) -> NotebookError:
    """Keep a page that did not end, or ran otherwise than asked, where no book looks; what is to be said."""
    failed.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(partial, failed)
    if ignored:
        why = f"ran with {ignored}: a cell after the parameters sets this. The page: {failed}"
        return NotebookError(f"notebooks/{section} {why}")
    return kernels.told(section, nbformat.read(failed, as_version=4), failed, error)


def check(section: str, given: dict[str, Any], *, output: Path | None = None, publish: bool = False) -> None:
    """Raise `InputError` if the notebook's pair disagrees, or what is asked for can be no page, or none there."""
    if output is not None:
        _check_output(output)
    # Which random numbers students share makes a run neither shorter nor another experiment.
    extra = sorted(set(given) - {"dataset", "profile", "seeding"})
    if publish and extra and not _is_published(section, given):
        raise InputError(
            f"--publish writes the reference page of a profile: leave out -p {', '.join(extra)} "
            "(parameters are for making a page anew that was published with them)"
        )
    check_pair(section)
    if not any(
        "parameters" in cell.metadata.get("tags", []) for cell in nbformat.read(notebook_path(section), 4).cells
    ):
        raise InputError(
            f"notebooks/{section} has no cell with the tag `parameters`, so that what is asked for would not reach it: "
            "give the cell that sets them this tag"
        )


def _is_published(section: str, given: dict[str, Any]) -> bool:
    """Whether the reference page was run with these parameters, as one of before a change of its profile was."""
    settings = checked(section, given)
    page = read(paths.project_root() / "book" / settings.dataset / f"{section}.ipynb")
    record = page and page_record(page)
    return bool(record) and not unlike(as_recorded(settings), record)


def _check_output(output: Path) -> None:
    root, place = paths.project_root(), output.resolve()
    if output.suffix != ".ipynb" or output.is_dir():
        raise InputError(f"-o {output} cannot be used; allowed: a file whose name ends in .ipynb")
    for folder, what in (("notebooks", "the sources"), ("book", "the reference pages, which --publish writes")):
        if place.is_relative_to(root / folder):
            raise InputError(f"-o {output} cannot be used: {folder}/ holds {what}. Name a file somewhere else")


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
    """The record of a page (see `record.record`), from its last cell's output; None for a page without it."""
    for cell in reversed(page.cells):
        for output in cell.get("outputs", []):
            if MIME in output.get("data", {}):
                return output["data"][MIME]
    return None


def unusable(path: Path, page: nbformat.NotebookNode | None) -> str | None:
    """Why an executed notebook is no page of this book, and what to do; None for one that is.

    Arguments: `page`, what `read` gave of it. A page lies in one place: a copy beside it, as Jupyter makes them, would
    be shown in its stead though it is older.
    """
    root = paths.project_root()
    where = path.relative_to(root)
    if page is None:
        return f"{where} cannot be read: it is cut short or no notebook (`kdlib run` makes it anew, or remove it)"
    record = page_record(page)
    if record is None:
        why = "its outputs were cleared, or it did not run to its end"
        return f"{where} has no record: {why} (`kdlib run` makes it anew, or remove it)"
    if lacking := RECORDED - set(record):
        why = f"another version of kdlib made it, without {', '.join(sorted(lacking))}"
        return f"{where} cannot be used: {why} (`kdlib run` makes it anew, or remove it)"
    dataset, section = record["dataset"], record["section"]
    if section not in SECTIONS:
        return f"{where} is of a section {section!r}, which this version does not have: remove it"
    if path.is_relative_to(root / "book"):
        place = root / "book" / dataset / f"{section}.ipynb"
    else:
        place = pages_dir() / f"{dataset}-{record['settings']['profile']}" / f"{section}.ipynb"
    if path != place:
        return f"{where} lies where no page belongs, its place is {place.relative_to(root)}: move it away, or remove it"
    return None


def records() -> Iterator[tuple[str, dict[str, Any]]]:
    """Path within the project and record of every page of the book; `kdlib verify` names those that are `unusable`."""
    for path in executed():
        page = read(path)
        if not unusable(path, page):
            yield str(path.relative_to(paths.project_root())), page_record(page)


def compared(dataset: str, profile: str) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """By section, what the local pages of a data set and profile carry, and what the reference pages do.

    Raises `InputError` where there are none of either, and for one that is `unusable`.
    """
    local, reference = pages_dir() / f"{dataset}-{profile}", paths.project_root() / "book" / dataset
    found = []
    for folder, lacking in ((local, f"no page in {local}"), (reference, f"no reference page in book/{dataset}")):
        there = {path: read(path) for path in executed() if path.parent == folder}
        for path, page in there.items():
            if reason := unusable(path, page):
                raise InputError(reason)
        found.append({path.stem: page_record(page) for path, page in there.items()})
        if not found[-1]:
            raise InputError(
                f"{lacking}: `kdlib run all --dataset {dataset} --profile {profile}` makes the pages that are "
                "compared, `--publish` a reference"
            )
    return found[0], found[1]


def source_digest(section: str) -> str:
    """sha256 of a notebook's cells (not of its ids, which change when jupytext makes it anew)."""
    return hashlib.sha256(json.dumps(cells_in(notebook_path(section)), sort_keys=True).encode()).hexdigest()


def cells_of(notebook: nbformat.NotebookNode) -> list[list]:
    """Kind, source and kept metadata of each cell: what both files of a jupytext pair hold."""
    return [[c.cell_type, c.source, _kept(c.metadata)] for c in notebook.cells]


def cells_in(half: Path) -> list[list]:
    """`cells_of` what a half of a notebook says in the end: as text, read back.

    Text cannot hold all that an .ipynb file can (an empty line at the end of a cell, a line `# %%` inside one).
    A byte order mark, which some editors put first and jupytext takes for code, is taken off the file.
    Raises `InputError` for a file that is no notebook.
    """
    import jupytext

    if half.is_file() and (content := half.read_bytes()).startswith(codecs.BOM_UTF8):
        paths.write_whole(half, content.removeprefix(codecs.BOM_UTF8))
    try:
        return as_text(jupytext.read(half))
    except Exception as error:  # of jupytext, nbformat, json, yaml: it depends on where the file is spoiled
        said = (" ".join(str(error).split()) or type(error).__name__)[:120]
        other = half.with_suffix(".ipynb" if half.suffix == ".py" else ".py").name
        to = "py:percent" if half.suffix == ".py" else "ipynb"
        raise InputError(
            f"notebooks/{half.name} cannot be read as a notebook ({said}). Did a merge leave conflict markers? "
            f"Remove it, and `jupytext --to {to} notebooks/{other}` makes it anew"
        ) from error


def as_text(notebook: nbformat.NotebookNode) -> list[list]:
    """`cells_of` a notebook that was written as text and read back."""
    import jupytext

    return cells_of(jupytext.reads(jupytext.writes(notebook, "py:percent"), "py:percent"))


def outputs_digest(page: nbformat.NotebookNode) -> str:
    """sha256 of what a page shows."""
    outputs = [cell.get("outputs", []) for cell in page.cells]
    return hashlib.sha256(json.dumps(outputs, sort_keys=True).encode()).hexdigest()


def check_pair(section: str) -> None:
    """Check that the two files of a notebook's jupytext pair hold the same cells; else raise `InputError`."""
    text, source = notebook_pair(section)
    missing = [p.name for p in (source, text) if not p.exists()]
    if len(missing) == 2:
        raise InputError(f"there is no notebook of {section} in {text.parent}")
    if missing:
        raise InputError(f"notebooks/{missing[0]} is missing: {_directions(section)}")
    pair = [cells_in(p) for p in (text, source)]
    if pair[0] == pair[1]:
        return
    where = next((i for i, (a, b) in enumerate(zip(*pair, strict=False)) if a != b), min(map(len, pair)))
    raise InputError(f"notebooks/{section}.py and .ipynb differ from cell {where + 1} on: {_directions(section)}")


def _directions(section: str) -> str:
    name = f"notebooks/{section}"
    return (
        f"`jupytext --update --to ipynb {name}.py` makes the text win, "
        f"`jupytext --to py:percent {name}.ipynb` the .ipynb"
    )


def _kept(metadata: dict[str, Any]) -> dict[str, Any]:
    return {name: metadata[name] for name in CELL_METADATA if metadata.get(name)}


def _publish(page_path: Path, store: Store) -> None:
    """The reference page into book/, and its tables and small units into results/ (a read-only layer of the store)."""
    content = page_record(nbformat.read(page_path, as_version=4))
    root, dataset, section = paths.project_root(), content["dataset"], content["section"]
    reference = root / "book" / dataset / f"{section}.ipynb"
    results = root / "results" / dataset
    units = as_parquet([*store.parquet_rows(content["units"])], compression="snappy")  # that of all published files
    paths.write_whole(results / f"{section}.parquet", units)  # first: it may hold the only copy of a unit
    for name, text in content["tables"].items():
        paths.write_whole(results / section / f"{name}.csv", text.encode())
    for old in (results / section).glob("*.csv"):
        if old.stem not in content["tables"]:
            old.unlink()
    paths.write_whole(reference, page_path.read_bytes())

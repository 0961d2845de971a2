"""`kdlib verify`: do notebooks, pages, tables, units and rules belong together? Reads files; trains nothing."""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat

from .. import paths
from ..errors import InputError
from ..sections import SECTIONS
from ..study.store import from_bytes, published_units, verified_units
from . import newer_rules, page_data
from .history import History
from .pages import (
    check_pair,
    executed,
    notebook_path,
    outputs_digest,
    page_record,
    read,
    records,
    source_digest,
    unusable,
)
from .record import computed_by, digest_of_texts


def problems(history: History | None = None) -> list[str]:
    """One line for whatever does not belong together, with what to do."""
    history = history or History(paths.project_root())
    of_pages = (line for path in executed() for line in _of_page(path, history))
    return [*_of_notebooks(), *of_pages, *page_data.problems(), *_of_results()]


def notes(history: History | None = None) -> list[str]:
    """Lines on rules that are newer than some of a page's numbers, and on where that cannot be told: no problems."""
    history = history or History(paths.project_root())
    return [
        f"{where}: {line}"
        for where, content in records()
        for line in newer_rules.lines(newer_rules.standing(content, history))
    ]


def openings() -> list[str]:
    """Lines that say which page opened a test split, and why."""
    return [
        f"{where}: {reason}"
        for where, content in records()
        for reason in content.get("cost", {}).get("test_openings", [])
    ]


def _of_notebooks() -> list[str]:
    found = []
    for section in SECTIONS:
        try:
            check_pair(section)
        except InputError as error:
            found.append(str(error))
            continue
        notebook = nbformat.read(notebook_path(section), as_version=4)
        if any(c.get("outputs") for c in notebook.cells):
            found.append(f"notebooks/{section}.ipynb carries outputs: make it anew from its .py")
    return found


def _of_page(path: Path, history: History) -> list[str]:
    where, found, page = path.relative_to(paths.project_root()), [], read(path)
    if reason := unusable(path, page):
        return [reason]
    content, stamp = page_record(page), page.metadata.get("kdlib", {})
    with suppress(InputError):  # of a notebook that cannot be read, which `_of_notebooks` tells
        if stamp.get("source") != source_digest(content["section"]):
            found.append(f"{where} is stale: its notebook has changed since (`kdlib run` makes it anew)")
    if stamp.get("outputs") != outputs_digest(page):
        found.append(f"{where} was edited after it ran (`kdlib run` makes it anew)")
    if content["digest"] != digest_of_texts(content["tables"]):
        found.append(f"{where} carries other tables than it ran with (`kdlib run` makes it anew)")
    if newer_rules.standing(content, history).judged_by_these is False:
        section = content["section"]
        found.append(f"{where} was judged by other rules than {section} now has (`kdlib run` makes it anew)")
    if path.is_relative_to(paths.project_root() / "book"):
        found += _of_published(content)
    return found


def _of_published(content: dict[str, Any]) -> list[str]:
    """Problems of a reference page: are its tables and units in results/, whole and unchanged?"""
    folder = paths.project_root() / "results" / content["dataset"]
    where = f"results/{content['dataset']}/{content['section']}"
    there = {path.stem: path.read_text(encoding="utf-8") for path in (folder / content["section"]).glob("[!.]*.csv")}
    found = [
        f"{where}/{name}.csv is not the table of the page (`kdlib run --publish` writes both)"
        for name in sorted({*there, *content["tables"]})
        if there.get(name) != content["tables"].get(name)
    ]
    try:
        units = published_units(folder / f"{content['section']}.parquet")
    except (OSError, ValueError, KeyError):
        return [*found, f"{where}.parquet is missing or damaged"]
    origins = []
    for key, payload in units.items():
        try:
            unit = from_bytes(payload)
        except ValueError:
            unit = None
        if unit is None or unit.key != key:
            found.append(f"{where}.parquet: unit {key[:12]} is damaged")
        elif key in content["units"]:
            origins.append(unit.provenance)
    if several := sum(len(digests) > 1 for digests in _taught_by(origins).values()):
        found.append(
            f"{where}.parquet: of {several} of its teachers, students were taught by two trainings, on machines that "
            "round otherwise: remove those of one (`kdlib store remove`), and compute them anew"
        )
    if set(units) - set(content["units"]):
        found.append(f"{where}.parquet holds units that the page did not use")
    if lacking := set(content["units"]) - set(units):
        found.append(f"{where}.parquet lacks {len(lacking)} of the units that the page was made from")
    elif len(origins) == len(content["units"]) and not _same_origins(content, origins):
        found.append(f"{where}.parquet: its units name other commits or rules than the page does")
    return found


def _taught_by(origins: Iterable[dict[str, Any]]) -> dict[str, set[str]]:
    """Digests of the responses that taught students, by teacher; of units that recorded them."""
    found = defaultdict(set)
    for provenance in origins:
        for teacher, digest in provenance.get("responses", {}).items():
            found[teacher].add(digest)
    return found


def _same_origins(content: dict[str, Any], origins: list[dict[str, Any]]) -> bool:
    """Whether units were computed at the commits, and by the rules, that a page's record has of them."""
    cost, said = content["cost"], computed_by(content["section"], origins)
    if "computed_by" in cost:
        return cost["computed_by"] == said
    return cost["commits"] == sorted({part["commit"] for part in said})  # of pages before units recorded rules


def _of_results() -> list[str]:
    """Results without a reference page, and damage in units that no page has used yet."""
    root = paths.project_root()
    damaged = []
    for file in sorted((root / "results" / "units").glob("[!.]*.parquet")):
        try:
            verified_units(file)
        except (OSError, ValueError, KeyError):
            damaged.append(f"{file.relative_to(root)} is damaged")
    folders = [path.parent for path in (root / "results").glob("*/*/*.csv")]
    return damaged + [
        f"{folder.relative_to(root)} belongs to no reference page"
        for folder in sorted(set(folders))
        if not (root / "book" / folder.parent.name / f"{folder.name}.ipynb").exists()
    ]

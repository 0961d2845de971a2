"""Holding what is run here against what is stored or published: `kdlib compare`, and `kdlib compute --fresh`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import torch
from torch import Tensor

from .. import paths, students
from ..comparison import compare, within
from ..devices import environment
from ..errors import InputError
from ..record import read_tables
from ..sections import PARAMETERS, SECTIONS
from ..settings import differing
from ..students import Student
from ..study import Study
from .pages import page_record, pages_dir

STACK = ("device", "threads", "torch", "system")  # what decides a result's last bits


def table(dataset: str, profile: str) -> tuple[pd.DataFrame, list[str]]:
    """`comparison.compare` of the local pages of a data set and profile with the reference pages.

    Also a line for each parameter in which a section's two runs differ: seeds do not explain what that changes.
    """
    folder = pages_dir() / f"{dataset}-{profile}"
    ours, reference = _records(folder), _records(paths.project_root() / "book" / dataset)
    if not ours or not reference:
        lacking = f"no page in {folder}" if not ours else f"no reference page in book/{dataset}"
        raise InputError(
            f"{lacking}: `kdlib run all --dataset {dataset} --profile {profile}` makes the pages that are compared, "
            "`--publish` a reference"
        )
    other = []
    for section in sorted({*ours} & {*reference}):
        here, there = ours[section]["settings"], reference[section]["settings"]
        names = differing(here, there, PARAMETERS[section])
        other += [f"{section}: {name} is {here[name]} here, {there[name]} there" for name in names]
    tables = ({section: read_tables(record) for section, record in run.items()} for run in (ours, reference))
    return compare(dataset, *tables), other


def _records(folder: Path) -> dict[str, dict[str, Any]]:
    """By section, what the pages in a folder carry."""
    found = (page_record(nbformat.read(path, as_version=4)) for path in sorted(folder.glob("*.ipynb")))
    return {record["section"]: record for record in found if record}


def text(found: pd.DataFrame) -> str:
    """The table as lines: what differs first."""
    lines = [
        f"{'differs' if row.differs else 'agrees ':7}  {row.statistic:62} {row.ours:9.3f} {row.reference:9.3f}  "
        f"{row.change:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"
        for row in found.sort_values(["differs", "p"], ascending=[False, True]).itertuples()
    ]
    head = f"         {'statistic':62} {'here':>9} {'reference':>9}  change (of a ratio: factor), 95% interval"
    return "\n".join([head, *lines, f"{found.differs.sum()} of {len(found)} differ by more than seeds explain (Holm)"])


def recompute(study: Study, say: Callable[[str], object]) -> int:
    """Train a section's stored students again, from their teachers' responses. Returns how many cells do not hold.

    A cell is a student of every seed. Trained by the device and the versions that the stored one was trained by, its
    bits are equal; by others, each accuracy's mean over seeds lies in the interval of the stored one.
    """
    wanted = list(dict.fromkeys(SECTIONS[study.section].units(study)[1]))
    stored = {student: study.store.get("student", student.config(study.dataset)) for student in wanted}
    study.runs(student.teacher for student in wanted if stored[student] and student.needs_responses)
    here = environment(study.dataset.images.device)
    failed = 0
    for cell in _cells(wanted):
        first = cell[0]
        of_teacher = f"{first.teacher.network}, T = {first.temperature:g}"
        name = f"{of_teacher}, missing class {first.missing_class}, {first.targets}"
        units = [stored[student] for student in cell]
        if None in units:
            say(f"{name}: not stored, nothing to compare with")
            continue
        again = [students.distill([s], study.dataset, study.responses(s))[0] for s in cell]
        if all(_identical(unit.tensors, now) for unit, now in zip(units, again, strict=True)):
            say(f"{name}: identical, {len(cell)} seed{'s' * (len(cell) > 1)}")
            continue
        pairs = within([unit.tensors for unit in units], again, first.missing_class)
        inside = all(interval.low <= now <= interval.high for interval, now in pairs.values())
        there = {unit.provenance["device"] for unit in units}
        same = all(unit.provenance[part] == here[part] for unit in units for part in STACK)
        failed += same or not inside
        verdict = "DIFFERS on one device" if same else "within" if inside else "OUTSIDE"
        accuracies = "; ".join(f"{what} {interval} stored, {now:.2f} now" for what, (interval, now) in pairs.items())
        say(f"{name}: {verdict}: {accuracies} (stored: {', '.join(sorted(there))}; now: {here['device']})")
    return failed


def _cells(wanted: Iterable[Student]) -> list[list[Student]]:
    """Students that differ in their teachers' seeds, and in replicates, alone."""
    cells: dict[Student, list[Student]] = {}
    for student in wanted:
        above = student.teacher.taught_by and replace(student.teacher.taught_by, seed=0)
        teacher = replace(student.teacher, seed=0, taught_by=above)
        cells.setdefault(replace(student, teacher=teacher, replicate=0), []).append(student)
    return list(cells.values())


def _identical(stored: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(now[part].cpu(), tensor) for part, tensor in stored.items())

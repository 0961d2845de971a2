"""Holding what is run here against what is stored or published: `kdlib compare`, and `kdlib compute --fresh`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import torch

from .. import paths, students
from ..comparison import compare
from ..errors import InputError
from ..record import read_tables
from ..sections import PARAMETERS, SECTIONS
from ..sections.sweet_spot import test_percent
from ..settings import differing
from ..study import Study
from .pages import page_record, pages_dir


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
    """Train a section's stored students again, from their teachers' responses. Returns how many differ in any bit."""
    different = 0
    for student in dict.fromkeys(SECTIONS[study.section].units(study)[1]):
        name = (
            f"{student.teacher.network} seed {student.teacher.seed}, T = {student.temperature:g}, "
            f"missing class {student.missing_class}, {student.targets}"
        )
        unit = study.store.get("student", student.config(study.dataset))
        if unit is None:
            say(f"{name}: not stored, nothing to compare with")
            continue
        [again] = students.distill([student], study.dataset, study.responses(student))
        same = all(torch.equal(again[part].cpu(), tensor) for part, tensor in unit.tensors.items())
        different += not same
        before, now = map(test_percent, (unit.tensors, again))
        say(f"{name}: {'identical' if same else 'DIFFERS'}, test accuracy {before:.2f} stored, {now:.2f} now")
    return different

"""Holding what is run here against what is stored or published: `kdlib compare`, and `kdlib compute --fresh`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import count, takewhile
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ..claims.comparison import compare, prediction_intervals
from ..claims.intervals import Interval
from ..errors import InputError
from ..sections import SECTIONS
from ..study.settings import differing
from ..study.store import Unit
from ..study.study import Study
from ..training import students
from ..training.config import Student, Teacher
from ..training.devices import environment
from .record import read_tables

STACK = ("device", "threads", "torch", "system")  # of a result's origin, what decides its last bits


def table(
    dataset: str, ours: Mapping[str, dict[str, Any]], reference: Mapping[str, dict[str, Any]]
) -> tuple[pd.DataFrame, list[str]]:
    """Compare what the local pages of a data set carry with what the reference pages do, as `comparison.compare` does.

    Arguments: `ours` and `reference`, the records of pages by section (see `pages.compared`).
    Also a line for each parameter in which a section's two runs differ: seeds do not explain what that changes.
    """
    other = []
    for section in sorted({*ours} & {*reference}):
        here, there = ours[section]["settings"], reference[section]["settings"]
        names = differing(here, there, SECTIONS[section].accepted)
        other += [f"{section}: {name} is {here[name]} here, {there[name]} there" for name in names]
    tables = ({section: read_tables(record) for section, record in run.items()} for run in (ours, reference))
    return compare(dataset, *tables), other


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

    A cell is a student of every seed. What the device and the versions at hand have stored, its teacher too, has equal
    bits; of what others have stored, each accuracy lies where `comparison.prediction_intervals` puts it. Raises
    `InputError` where nothing is stored.
    """
    wanted = list(dict.fromkeys(study.units()[1]))
    stored = {s: unit for s in wanted if (unit := study.store.get("student", s.config(study.dataset)))}
    if not stored:
        raise InputError(f"{study.section}: no student with these parameters is stored, so there is nothing to compare")
    own = {student for student, unit in stored.items() if _by_this_stack(study, student, unit)}
    study.train_teachers(student.teacher for student in stored if student.needs_responses)
    failed = 0
    for cell in _cells(wanted):
        known = {student: stored[student] for student in cell if student in stored}
        lacking = f" ({len(cell) - len(known)} of {len(cell)} seeds not stored)" if len(known) < len(cell) else ""
        if not known:
            say(f"{_name(cell[0])}: not stored")
            continue
        again = {s: students.distill([s], study.dataset, study.responses(s))[0] for s in known}
        other = {s for s, unit in known.items() if not _identical(unit.tensors, again[s])}
        holds, verdict = True, f"identical, {len(known)} seed{'s' * (len(known) > 1)}"
        if other:
            before = [unit.tensors for unit in _every_seed(study, known)]
            found = prediction_intervals(before, list(again.values()), cell[0].missing_class)
            holds, how = _judge(found, len(before), on_one_device=bool(own & other))
            numbers = (f"{name} {expected} expected, {now:.2f} now" for name, expected, now in found)
            verdict = "; ".join([how, *numbers])
        failed += not holds
        say(f"{_name(cell[0])}{lacking}: {verdict}")
    return failed


def _judge(found: list[tuple[str, Interval, float]], seeds: int, *, on_one_device: bool) -> tuple[bool, str]:
    """Whether a cell with other bits than the stored one holds, and what to say of it."""
    if on_one_device:
        return False, "DIFFERS on one device"
    if seeds == 1:
        return True, "other bits, of another device; one stored seed says no more"
    if all(expected.low <= now <= expected.high for _, expected, now in found):
        return True, "as expected of another device"
    return False, "UNEXPECTED also of another device"


def _by_this_stack(study: Study, student: Student, unit: Unit) -> bool:
    """Whether a student and its teacher were trained by this device and these versions, as far as was recorded."""
    here = environment(study.dataset.images.device) | {"engine": students.recorded_engine(student, study.dataset)}
    teacher = student.needs_responses and study.store.provenance("teacher", student.teacher.config(study.dataset))
    origins = [(unit.provenance, (*STACK, "engine"))] + [(teacher or {}, STACK)] * student.needs_responses
    return all(origin.get(part) == here[part] for origin, parts in origins for part in parts)


def _cells(wanted: Iterable[Student]) -> list[list[Student]]:
    """Students that differ alone in their teachers' seeds, in replicates, and in a scale that is measured of a seed."""
    cells: dict[Student, list[Student]] = {}
    for student in wanted:
        scaled = 1.0 if student.logit_scale == 1 else 0.0
        key = replace(_of_seed(student, 0), replicate=0, logit_scale=scaled)
        cells.setdefault(key, []).append(student)
    return list(cells.values())


def _of_seed(student: Student, seed: int) -> Student:
    return replace(student, teacher=student.teacher.reseeded(seed))


def _every_seed(study: Study, known: Mapping[Student, Unit]) -> list[Unit]:
    """The units of a cell, and those of further seeds that are stored: more to know its spread by."""
    first, seeds = next(iter(known)), {student.teacher.seed for student in known}
    further = (_of_seed(first, seed).config(study.dataset) for seed in count() if seed not in seeds)
    units = (study.store.get("student", config) for config in further)
    return [*known.values(), *takewhile(lambda unit: unit is not None, units)]


def _name(student: Student) -> str:
    """What tells a cell from the others of its section."""
    teacher, per_class = student.teacher, student.examples_per_class
    parts = [
        f"{student.network} of {_made(teacher)}, batch size {teacher.batch_size}, epoch {student.teacher_epoch}",
        f"T = {student.temperature:g}",
        f"alpha {student.alpha:g}",
        "T squared" if student.t_squared else "",
        "no class missing" if student.missing_class is None else f"missing class {student.missing_class}",
        f"{per_class} examples a class by {student.selection}" if per_class else "",
        f"{student.steps} steps" if student.steps else f"{student.epochs} epochs",
        student.targets if student.targets != "responses" else "",
        student.system if student.system != "rbkd" else "",
        ", ".join(f"{name} {value:g}" for name, value in student.parameters),
        "scaled logits" if student.logit_scale != 1 else "",
    ]
    return ", ".join(filter(None, parts))


def _made(teacher: Teacher) -> str:
    """A teacher's network, and by what it came to be."""
    parts = [
        teacher.network,
        f"taught by {_made(teacher.taught_by)}" if teacher.taught_by else "",
        "fine-tuned" if teacher.continues else "",
        f"at label smoothing {teacher.label_smoothing:g}" if teacher.label_smoothing else "",
        f"at class distance {teacher.class_distance:g}" if teacher.class_distance else "",
        f"at conditional mutual information {teacher.information:g}" if teacher.information else "",
    ]
    return " ".join(filter(None, parts))


def _identical(stored: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(now[part].cpu(), tensor) for part, tensor in stored.items())

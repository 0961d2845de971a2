"""The order in which sections are computed where time is short: what decides most comes first."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from .. import paths
from ..claims.claims import DECIDED, Claim, Verdict, evaluate, load_claims
from ..claims.headlines import HEADLINES
from ..study.deadline import Deadline, OutOfTime
from ..study.plan import Calibration, missing_by_section
from ..study.study import Study
from ..training.config import Student, Teacher

HEADLINE, UNDECIDED, REST = REASONS = ("headline", "undecided", "rest")
SETTLED = (*DECIDED, "not tested")


@dataclass(frozen=True)
class Stage:
    """One step of the order: a section of a data set with its first teacher seeds, and why it comes when it does.

    `reason` is one of `REASONS`. Once a stage is done, a page with so many seeds trains nothing more.
    """

    dataset: str
    section: str
    seeds: int
    reason: str

    def study(self, whole: Study) -> Study:
        """The stage's study, cut out of that of the section with all of its seeds."""
        settings = replace(whole.settings, seeds=self.seeds)
        study = Study(whole.definition, settings, whole.dataset, whole.store, whole.clipped, whole.limits)
        study.workers, study.deadline, study.cost = whole.workers, whole.deadline, whole.cost
        return study


def stages(studies: Sequence[Study]) -> list[Stage]:
    """The order of value for sections of one data set or several.

    Sections that decide a headline claim of their data set come first, then those with a claim that what is published
    leaves undecided, then the rest. Among these the first teacher seed of every section and data set comes before the
    second (breadth over seeds); of one seed those sections come first that need the fewest students for each such
    claim. A stage's teachers come before its students.
    """
    found = []
    for study in studies:
        reason, claims = _reason(study)
        students = len(set(study.units()[1])) / claims
        for seeds in range(1, study.settings.seeds + 1):
            stage = Stage(study.dataset.name, study.section, seeds, reason)
            found.append(((REASONS.index(reason), seeds, students), stage))
    return [stage for _, stage in sorted(found, key=lambda pair: pair[0])]


def _reason(study: Study) -> tuple[str, int]:
    """Why a section is computed, and the number of claims that it decides for this reason, at least 1."""
    dataset = study.dataset.name
    own = {claim.id for claim in load_claims() if claim.applies_to(dataset) and study.section in _needed_by(claim)}
    headlines = own & {claim for statement in HEADLINES.values() for claim in statement.claims}
    if headlines:
        return HEADLINE, len(headlines)
    undecided = own & published_undecided(dataset)
    return (UNDECIDED, len(undecided)) if undecided else (REST, max(1, len(own)))


def _needed_by(claim: Claim) -> tuple[str, ...]:
    """The sections whose tables decide a claim."""
    return (claim.notebook, *claim.also)


def published_undecided(dataset: str) -> set[str]:
    """Ids of the claims on which a data set's published tables have no verdict yet: all where none is published.

    The package alone, without the project, has no published tables.
    """
    root = paths.checkout()
    tables = published_tables(root / "results" / dataset) if root else {}
    return {v.claim for v in evaluate(dataset, tables) if not _settled(v)}


def _settled(found: Verdict) -> bool:
    """True of a verdict that more seeds are not expected to move, also where they would not meet its premise."""
    return found.verdict in SETTLED or (found.verdict == "premise not met" and found.seeds_needed is None)


def published_tables(folder: Path) -> Mapping[str, dict[str, pd.DataFrame]]:
    """Tables of a data set's folder in results/, by section and name."""
    found: dict[str, dict[str, pd.DataFrame]] = {}
    for path in sorted(folder.glob("*/[!.]*.csv")):
        found.setdefault(path.parent.name, {})[path.stem] = pd.read_csv(path)
    return found


def text(order: Sequence[Stage]) -> Iterator[str]:
    """The order as lines for a terminal: one for each reason where every seed has the same sections."""
    several = len({stage.dataset for stage in order}) > 1
    groups: dict[tuple[str, int], list[str]] = {}
    for stage in order:
        name = f"{stage.dataset} {stage.section}" if several else stage.section
        groups.setdefault((stage.reason, stage.seeds), []).append(name)
    lines: dict[tuple[str, str], list[int]] = {}
    for (reason, seeds), names in groups.items():
        lines.setdefault((reason, ", ".join(names)), []).append(seeds)
    for (reason, names), seeds in lines.items():
        which = f"seed {seeds[0]}" if len(seeds) == 1 else f"seed {seeds[0]}, then the next up to {seeds[-1]}"
        yield f"{reason}, {which}: {names}"


def compute_within(
    studies: Sequence[Study], order: Sequence[Stage], deadline: Deadline, after: Callable[[Stage], object]
) -> None:
    """Compute stages in their order as far as they are expected to end before a deadline; `after` is told of each.

    At the deadline what is running is stopped, which costs at most the units in hand.
    """
    whole = {(study.dataset.name, study.section): study for study in studies}
    calibrations = {study.dataset.name: Calibration(study) for study in studies}

    def cost_on(dataset: str) -> Callable[[Teacher | Student], float]:
        return lambda unit: calibrations[dataset].cost(unit).seconds

    for study in studies:
        study.deadline, study.cost = deadline, cost_on(study.dataset.name)
    try:
        with deadline.enforced():
            for stage in order:
                study = stage.study(whole[stage.dataset, stage.section])
                try:
                    if any(lacking(study)):
                        study.tables()
                except OutOfTime:
                    if deadline.remaining <= 0:
                        raise
                    continue  # a later stage may have something shorter
                after(stage)
    except OutOfTime:
        pass


def until(studies: Sequence[Study], ends: float) -> Iterator[str]:
    """Compute in the order of value until a time of `time.monotonic`; yields each stage's line, and what is left."""
    order = stages(studies)
    started = time.monotonic()
    left(studies)
    reserve = 1 + 2 * (time.monotonic() - started)  # to count what is left takes as long again at the end
    deadline = Deadline(ends - time.monotonic() - reserve)
    done: list[Stage] = []
    if deadline.remaining > 0:
        compute_within(studies, order, deadline, done.append)
    for stage in done:
        yield f"{stage.dataset} {stage.section}: the first {stage.seeds} of its seeds are done"
    lacking_now = left(studies)
    yield f"left: {lacking_now}. The same command goes on." if lacking_now else "nothing is left"


def lacking(study: Study) -> tuple[list[Teacher], list[Student]]:
    """Teachers whose measures a study lacks, and students that it lacks."""
    runs, students = study.units()
    return runs, [student for student in dict.fromkeys(students) if not study.is_stored(student)]


def left(studies: Sequence[Study]) -> str:
    """Units that studies of one data set or several still lack, in words; empty where nothing is lacking."""
    parts = []
    for dataset in dict.fromkeys(study.dataset.name for study in studies):
        own = [study for study in studies if study.dataset.name == dataset]
        found = [part for part in missing_by_section(own) if any(part)]
        if found:
            teachers, students = (sum(map(len, kind)) for kind in zip(*found, strict=True))
            parts.append(
                f"{dataset}: {teachers} teachers and {students} students, in {len(found)} of {len(own)} sections"
            )
    return "; ".join(parts)

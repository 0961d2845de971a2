"""What is compared: each system at two weights, from each teacher, and the students of labels alone beside them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from ...study.study import Study
from ...training.choices import TEMPERATURE
from ...training.config import Student, Teacher
from ...training.measures import last_validation_percent, test_percent
from ...training.systems.registry import systems
from ...training.systems.system import System
from ...training.systems.taught import stopped_after
from ..sweet_spot.experiment import find_sweet_spot, known_spot, search_cells, search_map, three_teachers

SIZES = (50, 500)  # random examples of each class, beside all of them
EVERY = 5  # of the missing classes every fifth is removed
LABELS = "labels_alone"
DEFAULT, TUNED = WEIGHTS = ("default", "tuned")
NETWORK = "general_student"

Tuned = Mapping[tuple[str, str], float]  # value of the main weight, by teacher and system


@dataclass(frozen=True)
class Start:
    """A teacher from which systems start: its name, its run, the epoch after which it teaches, and its search."""

    name: str
    teacher: Teacher
    epoch: int
    searched: tuple[Student, ...] = ()  # whose training found it

    def stopped(self) -> Teacher:
        """The teacher whose training ends after the epoch that teaches; systems go on from its weights."""
        return stopped_after(self.teacher, self.epoch)

    def given(self) -> tuple[Teacher, ...]:
        """The runs that are there already where a trained teacher is given."""
        return tuple(dict.fromkeys((self.teacher, self.stopped())))


def starts(study: Study, seed: int, spot: Mapping[str, float] | None) -> list[Start]:
    """The teachers of a seed that the study's systems start from; `spot`, the sweet spot if one of them is there."""
    default = {"batch_size": study.settings.batch_sizes[0], "epoch": study.settings.teacher_epochs}
    wanted = study.settings.system_teachers
    spots = None if "large" in study.own else spot or default
    found = [Start(*each) for each in three_teachers(study, seed, spots) if each[0] in wanted]
    own = tuple(s for cell, s in search_cells(study, NETWORK) if cell["seed"] == seed) if spot else ()
    return [replace(start, searched=own) if start.name == "large_sweet" else start for start in found]


def free_start(study: Study, seed: int) -> Start:
    """The start of systems without a teacher: the small one, of which the seed and settings count, and no response."""
    return Start("none", study.trained_teacher("small", seed), study.settings.teacher_epochs)


def needs_no_teacher(system: System) -> bool:
    """True if no teacher's responses enter: there is none, or it is the student's own network, trained first."""
    return "responses" not in system.needs or system.name == "tfkd_self"


def all_starts(study: Study, seed: int, spot: Mapping[str, float] | None) -> list[tuple[Start, list[System]]]:
    """Each teacher of a seed with the systems that start from it, at last those that need none."""
    with_teacher = [s for s in systems().values() if not needs_no_teacher(s)]
    by_responses = [s for s in with_teacher if not s.path and {*s.needs} <= {"responses", "labels"}]
    free = [s for s in systems().values() if needs_no_teacher(s)]
    own = [(start, by_responses if start.teacher.logits else with_teacher) for start in starts(study, seed, spot)]
    return [*own, (free_start(study, seed), free)]


def spot_of(study: Study, *, known: bool = False) -> dict[str, float] | None:
    """The sweet spot, by the search of the section on it, if a system starts there; `known`: a provisional one will do.

    None where no system does.
    """
    if "large_sweet" not in study.settings.system_teachers or "large" in study.own:
        return None
    return known_spot(study, NETWORK) if known else find_sweet_spot(search_map(study, NETWORK))


def trial_values(study: Study, system: System) -> tuple[float, ...]:
    """Values of a system's main weight that are tried: the default one, then the others of its grid, in order."""
    default = system.defaults()[system.main]
    others = [value for value in system.grid if value != default]
    return (default, *others)[: study.settings.trials]


def student_of(study: Study, system: System, start: Start, value: float | None = None, **changes: Any) -> Student:
    """A student by a system from a teacher, at a value of its main weight (None: all as by default).

    Its temperature is the system's own, else 9. Arguments: `changes`, fields of `Student`, and `parameters` of the
    system.
    """
    given = system.defaults() | changes.pop("parameters", {}) | ({} if value is None else {system.main: value})
    fields = {name: given.pop(name) for name in system.fields}
    if "t_squared" in fields:
        fields["t_squared"] = bool(fields["t_squared"])
    arguments = {"system": system.name, "parameters": given, **fields, **changes}
    temperature = system.temperature or TEMPERATURE
    return study.student(start.teacher, temperature, start.epoch, **arguments)


def labels_student(study: Study, seed: int, length: int = 1, **changes: Any) -> Student:
    """A student of the labels alone that is trained so many times as long as all others."""
    epochs = length * study.settings.student_epochs
    return study.student(study.trained_teacher("small", seed), TEMPERATURE, alpha=0.0, epochs=epochs, **changes)


def labels_cell(seed: int) -> dict[str, Any]:
    """The columns that name students of the labels alone in a row: an arm without a teacher and without a weight."""
    return {"seed": seed, "teacher": "none", "system": LABELS, "weights": DEFAULT, "value": 0.0}


def accuracy_percents(result: Mapping[str, Any]) -> dict[str, float]:
    """Two columns of a result as from `distill`, in percent, after the last step: validation and test accuracy."""
    return {"validation_accuracy": last_validation_percent(result), "accuracy": test_percent(result)}


def trials(study: Study, spot: Mapping[str, float] | None) -> Iterator[tuple[dict[str, Any], Student]]:
    """(cell, student) of every trial: the first seed's students of all examples at each value of the main weight."""
    seed = study.seeds[0]
    for start, own in all_starts(study, seed, spot):
        for system in own:
            for value in trial_values(study, system):
                cell = {"seed": seed, "teacher": start.name, "system": system.name, "value": value}
                yield cell, student_of(study, system, start, value)


def tune(study: Study, spot: Mapping[str, float] | None) -> Tuned:
    """The value of each system's main weight, for each teacher, whose student does best on validation.

    That is after the last step, as it is tested. Of equal ones the default value, then the first of the grid.
    """
    wanted = list(trials(study, spot))
    best: dict[tuple[str, str], tuple[float, float]] = {}
    for (cell, _), result in zip(wanted, study.student_results(s for _, s in wanted), strict=True):
        key, reached = (cell["teacher"], cell["system"]), last_validation_percent(result)
        if key not in best or reached > best[key][1]:
            best[key] = cell["value"], reached
    return {key: value for key, (value, _) in best.items()}


def known_tuned(study: Study, spot: Mapping[str, float] | None) -> Tuned:
    """The tuned values if their trials are all stored, else provisional ones, for what a plan needs."""
    if all(study.is_stored(student) for _, student in trials(study, spot)):
        return tune(study, spot)
    return {(cell["teacher"], cell["system"]): cell["value"] for cell, _ in trials(study, spot)}  # the last tried


def sizes(study: Study) -> tuple[int, ...]:
    """Numbers of random examples of each class: those of 50 and 500 that there are, else half of the smallest class."""
    dataset = study.dataset
    smallest = int(torch.bincount(dataset.labels[dataset.train]).min())
    return tuple(n for n in SIZES if n < smallest) or (max(1, smallest // 2),)


def removed_classes(study: Study) -> tuple[int, ...]:
    """Every fifth of the missing classes."""
    return study.missing_classes[::EVERY]


def of_size(study: Study, size: int) -> dict[str, Any]:
    """Fields of a student that learns from so many random examples of each class, in as many steps as from all."""
    return {"examples_per_class": size, "selection": "random", "steps": study.steps_on_all}


def published_code_smoothing(alpha: float, confidence: float, temperature: float, classes: int) -> float:
    """Smoothing of equation 1 that TF-KD reg's public code amounts to, its factor on the whole loss left out.

    The code softens the virtual teacher's probabilities p as softmax(p / T), where its paper softens their logarithms,
    and leaves the student as it is: (1 - alpha) H(y, p) + alpha H(t, p), t nearly uniform, where its multiplier makes
    up for the mean over classes. That is label smoothing, exactly.
    """
    rest = (1 - confidence) / (classes - 1)
    lead = torch.tensor((confidence - rest) / temperature, dtype=torch.float64).exp().item()
    return alpha * classes / (lead + classes - 1)

"""Beyond the paper: every system of distillation in one table, beside labels alone at equal computation."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ...study.study import Cell, Study
from ...training.config import Student, Teacher
from ...training.measures import cell_accuracies, last_validation_percent
from ..sweet_spot.experiment import search_cells
from . import variants
from .arms import (
    DEFAULT,
    NETWORK,
    WEIGHTS,
    Start,
    Tuned,
    accuracy_percents,
    all_starts,
    known_tuned,
    labels_cell,
    labels_student,
    of_size,
    removed_classes,
    sizes,
    spot_of,
    student_of,
    trial_values,
    trials,
    tune,
)


def units(study: Study) -> tuple[list[Teacher], list[Student]]:
    """Runs whose measures are lacking, and all students that `tables` takes; of provisional choices before them."""
    spot = spot_of(study, known=True)
    tuned = known_tuned(study, spot)
    found = [student for _, student in (*trials(study, spot), *_cells(study, spot, tuned))]
    found += [student for _, student in (*_missing_cells(study, spot, tuned), *variants.cells(study))]
    search = [student for _, student in search_cells(study, NETWORK)] if spot else []
    return variants.lacking_runs(study), [*search, *found]


def tables(study: Study) -> dict[str, pd.DataFrame]:
    """`cells`, `missing`, `trials`, `variants`, `assistants` and `clusters`.

    `cells` has a row for each seed, teacher, system, weights (default, or tuned on validation) and number of
    examples, with the accuracies of its student and the operations behind it; `missing`, for each missing class.
    """
    spot = spot_of(study)
    first = [student for _, student in (*trials(study, spot), *variants.cells(study))]
    lacking = [student for student in first if not study.is_stored(student)]
    study.train_teachers([*units(study)[0], *study.teachers_of(lacking)])  # all at once, as the students below:
    tuned = tune(study, spot)
    cells, missing = _cells(study, spot, tuned), _missing_cells(study, spot, tuned)
    study.student_results([*(student for _, student in (*cells, *missing)), *first])  # at each end a worker may wait
    found = variants.variants(study)
    return {
        "cells": study.student_table(cells, lambda student, r: accuracy_percents(r)),
        "missing": study.student_table(missing, lambda student, r: cell_accuracies(r, student.missing_class)),
        "trials": _trials(study, spot, tuned),
        "variants": found,
        "assistants": variants.assistants(study, found),
        "clusters": variants.clusters(study),
    }


def _arms(study: Study, spot: Mapping[str, float] | None, tuned: Tuned) -> list[tuple[dict[str, Any], Start, Any]]:
    """(cell, start, system) of every system at both weights, for each seed and teacher."""
    found = []
    for seed in study.seeds:
        for start, own in all_starts(study, seed, spot):
            for system in own:
                values = (trial_values(study, system)[0], tuned[start.name, system.name])
                for weights, value in zip(WEIGHTS, values, strict=True):
                    named = {"seed": seed, "teacher": start.name, "system": system.name, "weights": weights}
                    found.append((named | {"value": value}, start, system))
    return found


def _cells(study: Study, spot: Mapping[str, float] | None, tuned: Tuned) -> list[Cell]:
    """(cell, student) of all examples and of each size, and of labels alone, with the operations behind each."""
    found: list[Cell] = []
    whole = {"examples_per_class": len(study.dataset.train) / study.dataset.classes, "full": True}
    amounts = [(whole, {}), *(({"examples_per_class": n, "full": False}, of_size(study, n)) for n in sizes(study))]
    for cell, start, system in _arms(study, spot, tuned):
        tried = [student_of(study, system, start, value) for value in trial_values(study, system)]
        for amount, changes in amounts:
            student = student_of(study, system, start, cell["value"], **changes)
            behind = [student] if cell["weights"] == DEFAULT else [*tried, student]
            costs = study.operations([*behind, *start.searched], start.given())
            given = study.operations(behind, start.given())["given_teacher"]
            cost = {"operations_total": costs["total"], "operations_given_teacher": given}
            found.append((cell | amount | {"length": 1} | cost, student))
    for seed in study.seeds:
        named = labels_cell(seed)
        for length in sorted({1, *study.settings.label_lengths}):
            student = labels_student(study, seed, length)
            found.append((named | whole | {"length": length} | _labels_cost(study, student), student))
        for amount, changes in amounts[1:]:
            student = labels_student(study, seed, **changes)
            found.append((named | amount | {"length": 1} | _labels_cost(study, student), student))
    return found


def _labels_cost(study: Study, student: Student) -> dict[str, int]:
    return {f"operations_{name}": value for name, value in study.operations(student).items()}


def _missing_cells(study: Study, spot: Mapping[str, float] | None, tuned: Tuned) -> list[Cell]:
    """(cell, student) of every arm and of labels alone, with each removed class."""
    found = [
        (cell | {"missing_class": c}, student_of(study, system, start, cell["value"], missing_class=c))
        for cell, start, system in _arms(study, spot, tuned)
        for c in removed_classes(study)
    ]
    for seed in study.seeds:
        named = labels_cell(seed)
        found += [
            (named | {"missing_class": c}, labels_student(study, seed, missing_class=c)) for c in removed_classes(study)
        ]
    return found


def _trials(study: Study, spot: Mapping[str, float] | None, tuned: Tuned) -> pd.DataFrame:
    """A row for each trial on the first seed: its value, validation accuracy [%], and whether it is the one chosen."""
    table = study.student_table(
        trials(study, spot), lambda student, r: {"validation_accuracy": last_validation_percent(r)}
    )
    table["chosen"] = [tuned[row.teacher, row.system] == row.value for row in table.itertuples()]
    return table

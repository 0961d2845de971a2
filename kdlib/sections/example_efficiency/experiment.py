"""Section 4.2: how many examples of each class does distillation need? (figures 4 and 8)"""

from collections.abc import Sequence

import pandas as pd

from ...study.study import Study
from ...training.choices import TEMPERATURE
from ...training.config import Student, Teacher
from ...training.measures import test_percent, validation_percent
from ...training.students import batch_size_and_steps
from ..sweet_spot.experiment import find_sweet_spot, known_spot, search_cells, search_map, three_teachers

CHOSEN = [
    *("student", "batch_size", "epoch", "updates", "validation_accuracy"),
    *("runs", "teacher_epochs", "teacher_updates", "students"),
]
LEVELS = (50.0, 60.0, 70.0, 75.0, 80.0, 85.0, 90.0, 92.5, 95.0, 97.5)  # of validation accuracy, for speed


def units(study: Study) -> tuple[list[Teacher], list[Student]]:
    """No runs of its own, and all students that `tables` takes; of a provisional pair before the search is made."""
    spot = known_spot(study, "general_student") if _has_search(study) else None
    search = search_cells(study, "general_student") if _has_search(study) else []
    return [], [student for _, student in (*search, *_cells(study, spot))]


def tables(study: Study) -> dict[str, pd.DataFrame]:
    """`cells`, one for each seed, teacher, number of examples, selection and budget; `steps_to_level`; `chosen`."""
    spot = find_sweet_spot(search_map(study, "general_student")) if _has_search(study) else None
    cells = _cells(study, spot)
    rows, speed = [], []
    for (cell, _), result in zip(cells, study.student_results(s for _, s in cells), strict=True):
        rows.append(cell | {"validation_accuracy": validation_percent(result), "test_accuracy": test_percent(result)})
        if cell["full"] and cell["budget"] == "steps":  # one student, whatever the budget
            reached = 100 * result["validation_accuracy"]
            for level in LEVELS:
                hits = result["validated_steps"][reached >= level]
                steps = float(hits[0]) if len(hits) else float("nan")
                speed.append({"seed": cell["seed"], "teacher": cell["teacher"], "level": level, "steps": steps})
    return {
        "cells": pd.DataFrame(rows),
        "steps_to_level": pd.DataFrame(speed),
        "chosen": pd.DataFrame([{"student": "general"} | spot] if spot else [], columns=CHOSEN),
    }


def _has_search(study: Study) -> bool:
    """Whether the large teacher has a sweet spot: one of the reader's own was trained elsewhere, once."""
    return "large" not in study.own


def _cells(study: Study, spot: dict[str, float] | None) -> list[tuple[dict, Student]]:
    return [
        (cell | {"seed": seed, "teacher": name}, student)
        for seed in study.seeds
        for name, teacher, epoch in three_teachers(study, seed, spot)
        for cell, student in _students(study, teacher, epoch)
    ]


def _students(
    study: Study, teacher: Teacher, epoch: int, selections: Sequence[str] | None = None
) -> list[tuple[dict, Student]]:
    """Every size with every selection, at equal epochs and at the steps of the whole set; then the whole set."""
    s = study.settings
    whole, steps = len(study.dataset.train), study.steps_on_all
    cells = []
    for n in s.examples_per_class:
        for selection in selections or s.selections:
            for budget, limit in (("epochs", None), ("steps", steps)):
                changes = {"examples_per_class": n, "selection": selection, "steps": limit}
                student = study.student(teacher, TEMPERATURE, epoch, **changes)
                cell = {"examples_per_class": n, "full": False, "selection": selection, "budget": budget}
                cells.append((cell | {"steps": batch_size_and_steps(student, study.dataset)[1]}, student))
    for budget in ("epochs", "steps"):  # one student: for the whole set the two budgets are the same
        cell = {"examples_per_class": whole / study.dataset.classes, "full": True, "budget": budget, "steps": steps}
        cells.append((cell | {"selection": "entropy"}, study.student(teacher, TEMPERATURE, epoch)))
    return cells


def sizes_at_equal_steps(
    study: Study, teacher: Teacher, epoch: int, selections: Sequence[str] | None = None
) -> list[tuple[dict, Student]]:
    """Every size with every selection (default: those of the study), at the steps of the whole set."""
    return [
        cell
        for cell in _students(study, teacher, epoch, selections)
        if cell[0]["budget"] == "steps" and not cell[0]["full"]
    ]

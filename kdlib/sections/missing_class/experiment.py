"""Section 4.1: can a student recognise a class that it never saw? (tables 4, 5 and 6)"""

import pandas as pd

from ...study.study import CAPACITIES, Cell, Study
from ...training.config import Student, Teacher
from ...training.measures import cell_accuracies
from ..entropy import experiment as entropy


def units(study: Study) -> tuple[list[Teacher], list[Student]]:
    """Runs whose measures are lacking, and all students: what `tables` takes."""
    return entropy.units(study)[0], [student for _, student in _cells(study)]


def tables(study: Study) -> dict[str, pd.DataFrame]:
    """`cells`, one for each seed, teacher, missing class and temperature, and `taken_for`, what the class is called."""
    cells, taken_for = [], []
    wanted = _cells(study)
    results = study.student_results(student for _, student in wanted)
    entropies = _entropies(study)
    for (cell, _), result in zip(wanted, results, strict=True):
        cells.append(
            cell
            | cell_accuracies(result, cell["missing_class"])
            | {"teacher_entropy": entropies[cell["teacher"], cell["seed"], cell["temperature"]]}
        )
        named = result["confusion"][cell["missing_class"]]
        taken_for += [cell | {"predicted": c, "percent": p} for c, p in enumerate((100 * named / named.sum()).tolist())]
    grouped = pd.DataFrame(taken_for).groupby(["seed", "teacher", "missing_class", "predicted"], as_index=False)
    return {"cells": pd.DataFrame(cells), "taken_for": grouped["percent"].mean()}


def _cells(study: Study) -> list[Cell]:
    return [
        (
            {"seed": seed, "teacher": capacity, "missing_class": c, "temperature": t},
            study.student(study.teacher(capacity, seed), t, missing_class=c),
        )
        for seed in study.seeds
        for capacity in CAPACITIES
        for c in study.missing_classes
        for t in study.settings.temperatures
    ]


def _entropies(study: Study) -> dict[tuple[str, int, float], float]:
    """Mean entropy of each teacher's responses on the training split at the last epoch."""
    table = entropy.measured(study)["position"]
    return {(r.teacher, r.seed, r.temperature): r.entropy for r in table.itertuples()}

"""Rival explanations: the controls that tell the paper's reading of its results from others."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...study.study import CAPACITIES, Cell, Study
from ...training import students
from ...training.choices import TEMPERATURE
from ...training.config import Student, Teacher
from ...training.losses import kd_gradient_norms
from ...training.measures import cell_accuracies, nearest, test_percent, validation_percent
from ...training.models import ConvNet, build_model, training_operations
from ...training.targets import TARGETS, confidence, scale_to_confidence
from ...training.teachers import predict, responses
from ..entropy import experiment as entropy
from ..example_efficiency.experiment import sizes_at_equal_steps
from ..penultimate_layer import experiment as penultimate_layer
from ..sweet_spot import experiment as sweet_spot

EVERY_EPOCH = 3  # of the missing classes every third is removed at every epoch
GRADIENTS = "gradient_norms"  # the measure's name in the store
GRADIENT_EXAMPLES = 1000
TAUGHT = ("large_teacher", "assistant", "general_student")  # the first two in turn teach the last
MARKS = (1, 2, 5)  # times powers of ten: the steps after which gradients are compared


def units(study: Study) -> tuple[list[Teacher], list[Student]]:
    """Runs whose measures are lacking, and all students that `tables` takes; with a provisional scale of logits."""
    runs = entropy.units(study)[0] + penultimate_layer.units(study)[0]
    runs += [t for _, _, t in _entropy_runs(study) if not sweet_spot.curves_known(study, t)]
    cells = [student for _, student in _cells(study, known_scale)]
    cells += [student for _, student in (*_epoch_cells(study), *_setting_cells(study))]
    runs += [s.teacher for _, s in _gradient_cells(study) if not study.has_student_measure(GRADIENTS, s)]
    assistants = [_assistant(study, seed) for seed in study.seeds]
    runs += [assistant for assistant in assistants if not study.is_stored(_through(study, assistant))]
    cells += [_through(study, assistant) for assistant in assistants]
    return runs, cells + [student for _, student in _selection_cells(study)]


def tables(study: Study) -> dict[str, pd.DataFrame]:
    """`cells` and `full`, each control with a missing class and, at T = 9, with none; `epochs`, `settings`,
    `updates`, `selection`, `gradients`, `assistants`.

    A row's `control` says what is changed: nothing (`responses`), `t_squared`, similarity `shuffled`, `smoothed` away
    or replaced by `class_mean`, `hard` labels, the large teacher's logits scaled to the small one's confidence
    (`equal_confidence`), or soft labels that are the same for all classes (`uniform`).
    """
    study.train_teachers(units(study)[0])
    wanted = _cells(study, find_scale)
    cells, full = [], []
    for (cell, student), result in zip(wanted, study.student_results(s for _, s in wanted), strict=True):
        if student.missing_class is None:
            full.append(cell | {"accuracy": test_percent(result)})
        else:
            missing = {"missing_class": student.missing_class}
            cells.append(cell | missing | cell_accuracies(result, student.missing_class))
    return {
        "cells": pd.DataFrame(cells),
        "full": pd.DataFrame(full),
        "epochs": _epochs(study),
        "settings": _settings(study),
        "updates": _updates(study),
        "selection": _selection(study),
        "gradients": _gradients(study),
        "assistants": _assistants(study, pd.DataFrame(full)),
    }


def _cells(study: Study, scale: Callable[[Study, int], float]) -> list[Cell]:
    """(cell, student): every control of every seed, with each missing class and, at T = 9, with none.

    Soft labels that are uniform say nothing of a missing class: they have students of all classes alone.
    """
    found = []
    for seed in study.seeds:
        for control, capacity, temperature, changes in _controls(study, seed, scale):
            cell = {"seed": seed, "teacher": capacity, "control": control, "temperature": temperature}
            teacher = study.teacher(capacity, seed)
            whole = [None] if temperature == TEMPERATURE else []
            for missing in (*study.missing_classes, *whole):
                found.append((cell, study.student(teacher, temperature, missing_class=missing, **changes)))
        says_nothing = study.student(study.teacher("small", seed), TEMPERATURE, logit_scale=0.0)
        cell = {"seed": seed, "teacher": "small", "control": "uniform", "temperature": TEMPERATURE}
        found.append((cell, says_nothing))
    return found


def _controls(
    study: Study, seed: int, scale: Callable[[Study, int], float]
) -> Iterator[tuple[str, str, float, dict[str, Any]]]:
    """(control, teacher, temperature, what is changed of a student)."""
    for capacity in CAPACITIES:
        for temperature in extremes(study):
            yield "responses", capacity, temperature, {"t_squared": False}
            yield "t_squared", capacity, temperature, {"t_squared": True}
        for kind in (name for name in TARGETS if name != "responses"):
            yield kind, capacity, TEMPERATURE, {"targets": kind}
    yield "hard", "small", TEMPERATURE, {"alpha": 0.0}
    yield "equal_confidence", "large", TEMPERATURE, {"logit_scale": scale(study, seed)}


def extremes(study: Study) -> tuple[float, ...]:
    """The smallest and largest temperature of the run, and 9."""
    return tuple(sorted({min(study.settings.temperatures), TEMPERATURE, max(study.settings.temperatures)}))


def find_scale(study: Study, seed: int) -> float:
    """The factor on the large teacher's logits that gives it the small one's mean confidence at T = 9."""
    return study.measure(*_scale_measure(study, seed), lambda: _scale(study, seed))["scale"].item()


def known_scale(study: Study, seed: int) -> float:
    """The factor of `find_scale` if it was measured, else 0.5 in its stead, which is enough for a plan."""
    return find_scale(study, seed) if study.has_measure(*_scale_measure(study, seed)) else 0.5


def _scale_measure(study: Study, seed: int) -> tuple[str, dict[str, Any]]:
    config = {capacity: study.teacher(capacity, seed).config(study.dataset) for capacity in CAPACITIES}
    return "equal_confidence", config | {"temperature": TEMPERATURE}


def _scale(study: Study, seed: int) -> dict[str, Tensor]:
    train = study.dataset.train.cpu()
    labels = study.dataset.labels.cpu()[train]
    small, large = (responses(study.teacher_result(study.teacher(c, seed)))[train] for c in CAPACITIES)
    wanted = confidence(small, labels, TEMPERATURE)
    return {"scale": torch.tensor(round(scale_to_confidence(large, labels, TEMPERATURE, wanted), 6))}


def _epoch_cells(study: Study) -> list[Cell]:
    """Students of every kept epoch of both teachers: of some missing classes, and of all examples."""
    return [
        (
            {"seed": seed, "teacher": capacity, "epoch": epoch},
            study.student(study.teacher(capacity, seed), TEMPERATURE, epoch, missing_class=missing),
        )
        for seed in study.seeds
        for capacity in CAPACITIES
        for epoch in study.teacher(capacity, seed).epochs_with_responses
        for missing in (*study.missing_classes[::EVERY_EPOCH], None)
    ]


def _epochs(study: Study) -> pd.DataFrame:
    """A row for each seed, teacher and kept epoch: the teacher's accuracy and entropy, its students' accuracies."""
    wanted = _epoch_cells(study)
    rows: dict[tuple, dict[str, Any]] = {}
    for (cell, student), result in zip(wanted, study.student_results(s for _, s in wanted), strict=True):
        row = rows.setdefault(tuple(cell.values()), cell | {"raw": [], "corrected": []})
        if student.missing_class is None:
            row["student_accuracy"] = test_percent(result)
        else:
            found = cell_accuracies(result, student.missing_class)
            for column in ("raw", "corrected"):
                row[column].append(found[column])
    table = pd.DataFrame(rows.values())
    for column in ("raw", "corrected"):
        table[column] = [sum(values) / len(values) for values in table[column]]
    measured = entropy.measured(study)
    spread = measured["entropy"].query("temperature == @TEMPERATURE and split == 'train'")
    keys = ["seed", "teacher", "epoch"]
    return table.merge(spread[[*keys, "entropy"]], on=keys).merge(
        measured["teachers"][[*keys, "validation_accuracy"]], on=keys
    )


def _setting_cells(study: Study) -> list[Cell]:
    """Students of both teachers and of the large one's settings of figure 7, for each missing class."""
    return [
        (
            {"seed": seed, "teacher": capacity, "setting": setting, "missing_class": missing},
            study.student(teacher, TEMPERATURE, epoch, missing_class=missing),
        )
        for seed in study.seeds
        for _, capacity, setting, teacher, epoch in penultimate_layer.settings(study, seed)
        for missing in study.missing_classes
    ]


def _settings(study: Study) -> pd.DataFrame:
    """A row for each cell: accuracies on the missing class, and how tight the teacher's clusters are."""
    table = study.student_table(_setting_cells(study), lambda student, r: cell_accuracies(r, student.missing_class))
    tightness = penultimate_layer.tables(study)["tightness"].query("split == 'train'")
    keys = ["seed", "teacher", "setting"]
    return table[[*keys, "missing_class", "raw", "corrected"]].merge(tightness[[*keys, "nc1"]], on=keys)


def _entropy_runs(study: Study) -> list[tuple[int, int, Teacher]]:
    """(seed, batch size, run): the large teachers on the way to the sweet spot, then those of a scaled learning rate.

    The second batch size has that rate, which grows with the square root of the batch size, the rule for Adam (Malladi
    et al. 2022). In proportion to it, as in pages published before, large teachers learned less, or nothing.
    """
    runs = sweet_spot.large_runs(study)
    sizes = study.settings.batch_sizes
    for seed in study.seeds:
        for batch_size in sizes[1:2]:
            times = batch_size / sizes[0]
            factor = times if study.settings.seeding == "configuration" else math.sqrt(times)
            run = replace(study.teacher("large", seed, batch_size), learning_rate=study.settings.learning_rate * factor)
            runs.append((seed, batch_size, study.uses(run)))
    return runs


def _updates(study: Study) -> pd.DataFrame:
    """Entropy at the search's temperature after each kept epoch, with updates, and updates times learning rate."""
    rows = [
        row | {"learning_rate": run.learning_rate, "travelled": row["updates"] * run.learning_rate}
        for seed, batch_size, run in _entropy_runs(study)
        for row in sweet_spot.entropy_rows(study, seed, batch_size, run)
    ]
    table = pd.DataFrame(rows)
    shown = table[table.temperature == nearest(study.settings.temperatures, TEMPERATURE)]
    return shown.drop(columns=["confidence"]).reset_index(drop=True)


def _selection_cells(study: Study) -> list[Cell]:
    """Students of every size and selection; as teacher "none" those of random examples' labels alone."""
    cells = []
    for seed in study.seeds:
        for capacity in CAPACITIES:
            teacher = study.teacher(capacity, seed)
            for cell, student in sizes_at_equal_steps(study, teacher, teacher.epochs):
                cells.append((cell | {"seed": seed, "teacher": capacity}, student))
                if capacity == "small" and student.selection == "random":
                    cells.append((cell | {"seed": seed, "teacher": "none"}, replace(student, alpha=0.0)))
    return cells


def _selection(study: Study) -> pd.DataFrame:
    return study.student_table(
        _selection_cells(study),
        lambda student, r: {"validation_accuracy": validation_percent(r), "accuracy": test_percent(r)},
    )


def _gradient_cells(study: Study) -> list[Cell]:
    return [
        ({"seed": seed, "teacher": capacity, "temperature": t}, study.student(study.teacher(capacity, seed), t))
        for seed in study.seeds
        for capacity in CAPACITIES
        for t in extremes(study)
    ]


def _gradients(study: Study) -> pd.DataFrame:
    """Mean norms of the gradients of the two terms after some steps of a student's training."""
    wanted = _gradient_cells(study)
    found = study.measure_students(GRADIENTS, [student for _, student in wanted], gradient_norms)
    return pd.DataFrame(
        [
            cell | dict(zip(("step", "hard", "soft"), values, strict=True))
            for (cell, _), norms in zip(wanted, found, strict=True)
            for values in zip(*(norms[name].tolist() for name in ("steps", "hard", "soft")), strict=True)
        ]
    )


def gradient_norms(student: Student, dataset: Dataset, logits: Tensor) -> dict[str, Tensor]:
    """Mean norms, over some training examples, of equation 4's two gradients after some of a student's `steps`."""
    schedule = students.make_schedule(student, dataset, logits)
    last = len(schedule.batches)
    steps = sorted({m * 10**k for m in MARKS for k in range(len(str(last))) if m * 10**k < last} | {last})
    sample = dataset.train[:: max(1, len(dataset.train) // GRADIENT_EXAMPLES)]
    found: list[list[float]] = []

    def observe(model: torch.nn.Module) -> None:
        norms = kd_gradient_norms(
            predict(model, dataset.images[sample]),
            logits[sample],
            dataset.labels[sample],
            temperature=student.temperature,
            alpha=student.alpha,
            t_squared=student.t_squared,
        )
        found.append([values.mean().item() for values in norms])

    students.train_one(student, dataset, logits, replace(schedule, validate_after=tuple(steps)), observe)
    hard, soft = torch.tensor(found).T
    return {"steps": torch.tensor(steps), "hard": hard.contiguous(), "soft": soft.contiguous()}


def _assistant(study: Study, seed: int) -> Teacher:
    """A network between the large teacher and the student in size, distilled from the one to teach the other."""
    large = study.teacher("large", seed)
    assistant = Teacher(
        network="assistant",
        seed=seed,
        epochs=study.settings.teacher_epochs,
        batch_size=study.settings.teacher_batch_size,
        learning_rate=study.settings.learning_rate,
        precision=study.settings.precision,
        taught_by=large,
        temperature=TEMPERATURE,
        alpha=study.settings.alpha,
        kept_epochs=(study.settings.teacher_epochs,),
    )
    return study.uses(assistant)


def _through(study: Study, assistant: Teacher) -> Student:
    return study.student(assistant, TEMPERATURE)


def _assistants(study: Study, full: pd.DataFrame) -> pd.DataFrame:
    """Students taught through an assistant and directly: test accuracy, and operations of all training steps."""
    s, examples = study.settings, len(study.dataset.train)
    epoch = {name: examples * training_operations(_network(study, name), study.dataset.shape) for name in TAUGHT}
    large, assistant = (s.teacher_epochs * epoch[name] for name in TAUGHT[:2])
    student = s.student_epochs * epoch["general_student"]
    through = study.student_results(_through(study, _assistant(study, seed)) for seed in study.seeds)
    same = full[(full.control == "responses") & (full.teacher == "large") & (full.temperature == TEMPERATURE)]
    return pd.DataFrame(
        {
            "seed": list(study.seeds),
            "accuracy": [test_percent(result) for result in through],
            "direct_accuracy": same.set_index("seed").accuracy.reindex(study.seeds).tolist(),
            "operations": large + assistant + student,
            "direct_operations": large + student,
            "teacher_epoch_operations": epoch["large_teacher"],
            "student_operations": student,
        }
    )


def _network(study: Study, name: str) -> ConvNet:
    return build_model(name, study.dataset.family, study.dataset.shape, study.dataset.classes)

"""Beyond the paper: what goes with a teacher's size, changed by itself, and what similarity is worth in examples."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ...study.study import CAPACITIES, Cell, Study
from ...training.choices import TEMPERATURE
from ...training.config import Student, Teacher
from ...training.losses import entropy, soft_labels
from ...training.measures import cell_accuracies, nearest, test_percent, validation_percent, within_between_scatter
from ...training.models import LADDER, VARIANTS, build_model, count_parameters, find_architecture
from ...training.teachers import load_teacher, micro_batch_size, predict, responses
from ..example_efficiency.experiment import sizes_at_equal_steps
from ..penultimate_layer.experiment import sampled_members
from ..sweet_spot.experiment import search_cells, search_map

EVERY = 3  # of the missing classes every third is removed
LABEL_SMOOTHING = 0.1  # of the smoothed teacher, as in Müller et al. (2019)
TARGETS = ("responses", "shuffled", "smoothed")  # with their similarity, and without it in two ways
MEASURE = "capacity"  # its name in the store
NORMALISED_VERSION = 2  # of that measure where there is batch norm
WIDTHS = (*LADDER, "large")  # teachers that differ in width alone


def units(study: Study) -> tuple[list[Teacher], list[Student]]:
    """Runs whose measures are lacking, and all students that `tables` takes."""
    wanted = [part for seed in study.seeds for part in teachers(study, seed)]
    runs = [run for _, run, epoch in wanted if not study.has_measure(MEASURE, _config(study, run, epoch))]
    cells = [*_teacher_cells(study), *search_cells(study, "general_student", "small"), *_example_cells(study)]
    return list(dict.fromkeys(runs)), [student for _, student in cells]


def tables(study: Study) -> dict[str, pd.DataFrame]:
    """`teachers`, one row for each seed and teacher; `search`, of the small one; `examples`, by targets and size."""
    study.train_teachers(units(study)[0])
    return {
        "teachers": _teachers(study),
        "search": search_map(study, "general_student", "small"),
        "examples": _examples(study),
    }


def teachers(study: Study, seed: int) -> Iterator[tuple[str, Teacher, int]]:
    """(name, run, epoch): both teachers, the large one stopped half-way, and those that differ in one thing."""
    last = study.settings.teacher_epochs
    small, large = (study.teacher(capacity, seed) for capacity in CAPACITIES)
    yield from (("small", small, last), ("large", large, last))
    yield "large_early", large, int(nearest(large.epochs_with_responses, last / 2))
    plain = replace(large, kept_epochs=(last,), checkpoints=(last,))
    changed = {name: replace(plain, network=name) for name in VARIANTS}
    changed["large_smoothed"] = replace(plain, label_smoothing=LABEL_SMOOTHING)
    for name, run in changed.items():
        yield name, study.uses(run), last


def _teacher_cells(study: Study) -> list[Cell]:
    """Students of every teacher: of some missing classes, and of all examples."""
    return [
        ({"seed": seed, "teacher": name}, study.student(run, TEMPERATURE, epoch, missing_class=missing))
        for seed in study.seeds
        for name, run, epoch in teachers(study, seed)
        for missing in (*study.missing_classes[::EVERY], None)
    ]


def _teachers(study: Study) -> pd.DataFrame:
    wanted = _teacher_cells(study)
    found: dict[tuple, dict[str, Any]] = {}
    for (cell, student), result in zip(wanted, study.student_results(s for _, s in wanted), strict=True):
        row = found.setdefault(tuple(cell.values()), {"raw": [], "corrected": []})
        if student.missing_class is None:
            row["student_accuracy"] = test_percent(result)
            continue
        accuracies = cell_accuracies(result, student.missing_class)
        for column in ("raw", "corrected"):
            row[column].append(accuracies[column])
    rows = []
    for seed in study.seeds:
        for name, run, epoch in teachers(study, seed):
            taught = found[seed, name]
            taught |= {column: sum(taught[column]) / len(taught[column]) for column in ("raw", "corrected")}
            rows.append({"seed": seed, "teacher": name, **_described(study, run, epoch), **taught})
    return pd.DataFrame(rows)


def _described(study: Study, run: Teacher, epoch: int) -> dict[str, float]:
    """A teacher's number of parameters, accuracies [%], entropy at T = 9 [nats], and NC1 before and after training."""
    dataset = study.dataset
    measured = study.measure(MEASURE, _config(study, run, epoch), lambda: _measure(study, run, epoch))
    return {
        "parameters": count_parameters(build_model(run.network, dataset.family, dataset.shape, dataset.classes)),
        "train_accuracy": 100 * measured["train_accuracy"].item(),
        "validation_accuracy": 100 * measured["validation_accuracy"].item(),
        **{name: measured[name].item() for name in ("entropy", "nc1", "nc1_initial")},
    }


def _config(study: Study, run: Teacher, epoch: int) -> dict[str, Any]:
    config = {"teacher": run.config(study.dataset), "epoch": epoch}
    normalised = find_architecture(run.network, study.dataset.family, study.dataset.shape).batch_norm
    return config | {"version": NORMALISED_VERSION} if normalised else config


def _measure(study: Study, run: Teacher, epoch: int) -> dict[str, Tensor]:
    dataset, result = study.dataset, study.teacher_result(run)
    at = result["epochs"].tolist().index(epoch)
    untrained = build_model(run.network, dataset.family, dataset.shape, dataset.classes, run.seed)
    untrained = untrained.to(dataset.images.device)
    for layer in untrained.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):  # nothing has been counted yet: by a batch, as training begins
            layer.running_mean = layer.running_var = None
    nan = torch.tensor(torch.nan)
    # Of an epoch whose weights are not kept the clusters are not known.
    trained = (
        _nc1(study, load_teacher(run, result, dataset, epoch)) if f"weights/{epoch}/head.weight" in result else nan
    )
    return {
        "train_accuracy": result["train_accuracy"][at],
        "validation_accuracy": result["validation_accuracy"][at],
        "entropy": entropy(soft_labels(responses(result, epoch)[dataset.train.cpu()], TEMPERATURE)).mean(),
        "nc1": trained,
        "nc1_initial": _nc1(study, untrained),
    }


def _nc1(study: Study, model: torch.nn.Module) -> Tensor:
    members = sampled_members(study)[0]
    images = study.dataset.images[members]
    activations = predict(model.features, images, at_once=micro_batch_size(model, images.device))
    return torch.tensor(within_between_scatter(activations, study.dataset.labels[members]))


def _example_cells(study: Study) -> list[Cell]:
    """Students of random examples of the small teacher's responses, with their similarity and without it."""
    cells = []
    for seed in study.seeds:
        teacher = study.teacher("small", seed)
        for cell, student in sizes_at_equal_steps(study, teacher, teacher.epochs, ["random"]):
            for targets in TARGETS:
                cells.append((cell | {"seed": seed, "targets": targets}, replace(student, targets=targets)))
    return cells


def _examples(study: Study) -> pd.DataFrame:
    return study.student_table(
        _example_cells(study),
        lambda student, r: {"validation_accuracy": validation_percent(r), "test_accuracy": test_percent(r)},
    )

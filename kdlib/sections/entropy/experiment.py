"""Sections 3 and 4.1: what a teacher's responses hold (tables 1-3, figures 2, 3 and 10)."""

from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ...study.study import CAPACITIES, Study
from ...training.choices import TEMPERATURE
from ...training.config import Student, Teacher
from ...training.losses import entropy, soft_labels
from ...training.measures import accuracy, distance_to_label_smoothing, variance_in_response
from ...training.models import build_model, count_parameters
from ..similarity_information.measures import default_runs, is_measured, temperatures
from ..similarity_information.measures import measure as measure_similarity
from ..similarity_information.rows import parts_of_entropy

PARTS = ["seed", "teacher", "setting", "epoch", "temperature", "entropy", "of_class_mean", "instance"]
CURVE = tuple(float(t) for t in range(1, 21))  # temperatures of the curves; those of the run are added


def units(study: Study) -> tuple[list[Teacher], list[Student]]:
    """Runs whose measures are lacking, and all students: what `tables` takes."""
    return [t for t in study.default_teachers() if not study.has_measure("entropy", _config(study, t))], []


def tables(study: Study) -> dict[str, pd.DataFrame]:
    """The tables of `measured`, and `parts`: what the average entropy is made of, for teachers that are at hand."""
    return measured(study) | {"parts": _parts(study)}


def measured(study: Study) -> dict[str, pd.DataFrame]:
    """`teachers`, `entropy`, `variance`, `position`, `shown` and `soft_labels`, for both teachers of every seed."""
    wanted = [(capacity, seed, study.teacher(capacity, seed)) for seed in study.seeds for capacity in CAPACITIES]
    study.train_teachers(units(study)[0])
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("teachers", "entropy", "variance", "position", "shown", "soft_labels")
    }
    for capacity, seed, teacher in wanted:
        who = {"seed": seed, "teacher": capacity}
        for name, part in _rows(study, teacher, measure(study, teacher)).items():
            rows[name] += [who | row for row in part]
    return {name: pd.DataFrame(part) for name, part in rows.items()}


def _parts(study: Study) -> pd.DataFrame:
    """What is stored does not suffice for pages that were published before there were these parts: they go without."""
    rows = [
        row
        for run in default_runs(study)
        if is_measured(study, run) or study.is_stored(run.teacher)
        for row in parts_of_entropy(run, temperatures(study), measure_similarity(study, run))
    ]
    return pd.DataFrame(rows, columns=PARTS)


def measure(study: Study, teacher: Teacher) -> dict[str, Tensor]:
    """Measures of one teacher's responses: a few small tensors, stored as a unit of their own."""
    temperatures = curve_temperatures(study)
    return study.measure("entropy", _config(study, teacher), lambda: _measure(study, teacher, temperatures))


def _config(study: Study, teacher: Teacher) -> dict[str, Any]:
    return {"teacher": teacher.config(study.dataset), "temperatures": list(curve_temperatures(study)), "version": 3}


def curve_temperatures(study: Study) -> tuple[float, ...]:
    """Temperatures at which entropy is measured: a grid for curves, with those of the study."""
    return tuple(sorted({*CURVE, *study.settings.temperatures}))


def _measure(study: Study, teacher: Teacher, temperatures: tuple[float, ...]) -> dict[str, Tensor]:
    dataset, run = study.dataset, study.teacher_result(teacher)
    splits = (dataset.train, dataset.validation)
    means = torch.zeros(len(run["epochs"]), len(temperatures), 2, 2)  # epoch, T, split, (entropy, confidence)
    for e, logits in enumerate(run["logits"].to(dataset.images.device)):
        for t, temperature in enumerate(temperatures):
            probabilities = soft_labels(logits, temperature)
            confidence = probabilities.gather(1, dataset.labels[:, None]).squeeze(1)
            spread = entropy(probabilities)
            for s, part in enumerate(splits):
                means[e, t, s] = torch.stack([spread[part].mean(), confidence[part].mean()])

    logits, labels = run["logits"][-1][dataset.train.cpu()].double(), dataset.labels[dataset.train].cpu()
    wrong = ~torch.nn.functional.one_hot(labels, dataset.classes).bool()
    variance, position, before = [], [], None
    for temperature in temperatures:
        probabilities = soft_labels(logits, temperature)
        variance.append(list(variance_in_response(probabilities, labels).values()))
        raised = torch.nan if before is None else (probabilities > before)[wrong].float().mean().item()
        position.append([distance_to_label_smoothing(probabilities, labels).mean().item(), raised])
        before = probabilities

    _, test_labels = dataset.open_test("entropy: accuracy of the teachers, confidence on the shown class")
    test_logits, test_labels = run["test_logits"], test_labels.cpu()
    of_class = soft_labels(test_logits[test_labels == study.shown_class], TEMPERATURE)[:, study.shown_class]
    return {
        "epochs": run["epochs"],
        "accuracy": torch.stack([run["train_accuracy"], run["validation_accuracy"]]),
        "test_accuracy": torch.tensor(accuracy(test_logits, test_labels)),
        "means": means,
        "variance": torch.tensor(variance),
        "position": torch.tensor(position),
        "shown": torch.stack([of_class.mean(), of_class.min(), of_class.max()]),
        "soft_labels": soft_labels(run["logits"][-1][study.shown_examples().cpu()], TEMPERATURE),
    }


def _rows(study: Study, teacher: Teacher, measured: dict[str, Tensor]) -> dict[str, list[dict[str, Any]]]:
    dataset, epochs = study.dataset, measured["epochs"].tolist()
    parameters = float("nan")  # of a reader's own teacher, of which responses alone are known
    if not teacher.logits:
        parameters = count_parameters(build_model(teacher.network, dataset.family, dataset.shape, dataset.classes))
    train, validation = (100 * measured["accuracy"]).tolist()
    test = [float("nan")] * (len(epochs) - 1) + [100 * measured["test_accuracy"].item()]
    teachers = [
        {"epoch": e, "train_accuracy": a, "validation_accuracy": b, "test_accuracy": c, "parameters": parameters}
        for e, a, b, c in zip(epochs, train, validation, test, strict=True)
    ]
    temperatures = curve_temperatures(study)
    means = measured["means"].tolist()
    curves = [
        {"epoch": epoch, "temperature": temperature, "split": split, "entropy": pair[0], "confidence": pair[1]}
        for epoch, by_temperature in zip(epochs, means, strict=True)
        for temperature, by_split in zip(temperatures, by_temperature, strict=True)
        for split, pair in zip(("train", "validation"), by_split, strict=True)
    ]
    columns = ("row_variance", "column_variance", "row_relative", "column_relative")
    variance = [
        {"temperature": t} | dict(zip(columns, values, strict=True))
        for t, values in zip(temperatures, measured["variance"].tolist(), strict=True)
    ]
    position = [
        {
            "temperature": t,
            "confidence": by_split[0][1],
            "entropy": by_split[0][0],
            "distance_to_label_smoothing": distance,
            "others_raised": raised,
        }
        for t, by_split, (distance, raised) in zip(temperatures, means[-1], measured["position"].tolist(), strict=True)
    ]
    shown = [dict(zip(("mean", "low", "high"), measured["shown"].tolist(), strict=True))]
    labels = [
        {"example": i, "class": c, "soft_label": p}
        for i, row in enumerate(measured["soft_labels"].tolist(), start=1)
        for c, p in enumerate(row)
    ]
    return {
        "teachers": teachers,
        "entropy": curves,
        "variance": variance,
        "position": position,
        "shown": shown,
        "soft_labels": labels,
    }

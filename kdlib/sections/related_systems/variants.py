"""Systems of the paper as wholes: paths of assistants, divided students, two readings of TF-KD reg, class distance."""

from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ...study.study import Cell, Study
from ...training.choices import TEMPERATURE
from ...training.config import Student, Teacher
from ...training.measures import last_validation_percent, within_between_scatter
from ...training.similarity import entropy_parts
from ...training.systems.features import transfer_features
from ...training.systems.registry import find_system
from ...training.systems.taught import ASSISTANTS, distance_from_mean, nearest_to_mean, path
from ...training.teachers import load_teacher, predict, responses
from ..penultimate_layer.experiment import sampled_members
from .arms import (
    Start,
    accuracy_percents,
    free_start,
    labels_student,
    published_code_smoothing,
    student_of,
)

RESIDUAL = {"progressive": {}, "joint": {"joint": 1.0}, "ensemble": {"ensemble": 1.0}}
# Of TF-KD reg's public code for ResNet18, whose multiplier of 100 belongs to them.
PUBLIC_CODE = {"alpha": 0.1, "confidence": 0.99, "temperature": 20.0}
CLUSTERS, FEATURES = "clusters", "feature_transfer"  # the measures' names in the store


def large(study: Study, seed: int) -> Start:
    """The large teacher of a seed, from which all variants start."""
    return Start("large", study.trained_teacher("large", seed), study.settings.teacher_epochs)


def candidates(study: Study) -> tuple[str, ...]:
    """Networks that may be the assistant; the paper's small teacher where systems start from that too."""
    return (*ASSISTANTS, "small_teacher") if "small" in study.settings.system_teachers else ASSISTANTS


def cells(study: Study) -> list[Cell]:
    """(cell, student) of every variant of every seed, of all examples."""
    found: list[Cell] = []
    for seed in study.seeds:
        start, free = large(study, seed), free_start(study, seed)

        def add(system: str, variant: str, student: Student, seed: int = seed) -> None:
            found.append(({"seed": seed, "system": system, "variant": variant}, student))

        add("takd", "direct", student_of(study, find_system("rbkd"), start))
        for network in candidates(study):
            add("takd", network, study.student(_through(study, seed, network), TEMPERATURE))
            add("takd", f"{network}_untaught", study.student(_untaught(study, seed, network), TEMPERATURE))
        add("takd", "both", student_of(study, find_system("takd"), start, parameters={"assistants": 2.0}))
        for variant, parameters in RESIDUAL.items():
            add("residual", variant, student_of(study, find_system("residual"), start, parameters=parameters))
        add("tfkd_reg", "formula", student_of(study, find_system("tfkd_reg"), free))
        code = published_code_smoothing(**PUBLIC_CODE, classes=study.dataset.classes)
        add("tfkd_reg", "code", student_of(study, find_system("label_smoothing"), free, code))
        small = Start("small", study.trained_teacher("small", seed), study.settings.teacher_epochs)
        add("tfkd_self", "itself", student_of(study, find_system("tfkd_self"), free))
        add("tfkd_self", "small_teacher", student_of(study, find_system("rbkd"), small))
        add("class_distance", "responses", student_of(study, find_system("class_distance"), start))
    return found


def _through(study: Study, seed: int, network: str) -> Teacher:
    """An assistant that is distilled from the large teacher."""
    alpha = find_system("takd").defaults()["alpha"]
    last = path(study.trained_teacher("large", seed), (network,), temperature=TEMPERATURE, alpha=alpha)
    return study.uses(last)


def _untaught(study: Study, seed: int, network: str) -> Teacher:
    """The same network, trained on the labels as teachers are: the control of an assistant."""
    run = study.trained_teacher("large", seed)
    if network == "small_teacher":
        return study.trained_teacher("small", seed)
    run = replace(run, network=network, kept_epochs=(run.epochs,), checkpoints=())
    return study.uses(run)


def class_distance_teacher(study: Study, seed: int) -> Teacher:
    """The large teacher as the class-distance term trains it, at its published weight."""
    return student_of(study, find_system("class_distance"), large(study, seed)).teacher


def _in_clusters(study: Study, seed: int) -> dict[str, Teacher]:
    """Runs of the large teacher by name: plain, and as two systems train it, at default weights."""
    informed = student_of(study, find_system("mcmi"), large(study, seed)).teacher
    plain, apart = study.trained_teacher("large", seed), class_distance_teacher(study, seed)
    return {"plain": plain, "class_distance": apart, "mcmi": informed}


def lacking_runs(study: Study) -> list[Teacher]:
    """Teachers whose measures the store lacks."""
    found: list[Teacher] = []
    for seed in study.seeds:
        found += [run for run in _in_clusters(study, seed).values() if not _clusters_known(study, run)]
        for run in (study.trained_teacher("large", seed), class_distance_teacher(study, seed)):
            if not study.has_measure(FEATURES, _features_config(study, seed, run)):
                found.append(run)
        found += [run for n in candidates(study) if not _own_known(study, run := _untaught(study, seed, n))]
        found += [run for run in [study.trained_teacher("large", seed)] if not _own_known(study, run)]
    return list(dict.fromkeys(found))


def variants(study: Study) -> pd.DataFrame:
    """A row for each seed and variant: accuracies [%], and operations with the large teacher's training and without.

    Features are transferred from the class-distance teacher and, as a control, from the plain one.
    """
    wanted = cells(study)
    rows = []
    for (cell, student), result in zip(wanted, study.student_results(s for _, s in wanted), strict=True):
        costs = study.operations(student, large(study, cell["seed"]).given())
        rows.append(cell | accuracy_percents(result) | {f"operations_{name}": value for name, value in costs.items()})
    for seed in study.seeds:
        for variant, run in (
            ("features", class_distance_teacher(study, seed)),
            ("plain_features", study.trained_teacher("large", seed)),
        ):
            cell = {"seed": seed, "system": "class_distance", "variant": variant}
            rows.append(cell | accuracy_percents(_features(study, seed, run)))
    return pd.DataFrame(rows)


def assistants(study: Study, found: pd.DataFrame) -> pd.DataFrame:
    """A row for each seed and candidate: its own validation accuracy [%], trained on the labels, and its students'.

    `distance`: of its accuracy from the mean of teacher's and student's, the student's being that of labels alone; all
    three after the last epoch. `nearest`: whether it is the one that the rule of the mean takes.
    """
    rows = []
    alone = study.student_results(labels_student(study, seed) for seed in study.seeds)
    for seed, student in zip(study.seeds, alone, strict=True):
        ends = _own(study, study.trained_teacher("large", seed)), last_validation_percent(student)
        own = {network: _own(study, _untaught(study, seed, network)) for network in candidates(study)}
        through = found[(found.seed == seed) & (found.system == "takd")].set_index("variant").accuracy
        chosen = nearest_to_mean(own, *ends)
        for network, reached in own.items():
            named = {"seed": seed, "network": network, "own_accuracy": reached}
            named |= {"distance": distance_from_mean(reached, *ends), "nearest": network == chosen}
            rows.append(named | {"accuracy": through[network], "untaught_accuracy": through[f"{network}_untaught"]})
    return pd.DataFrame(rows)


def clusters(study: Study) -> pd.DataFrame:
    """A row for each seed and large teacher, plain, of class distance and of mcmi: NC1, `information`, accuracy [%].

    `information`: between example and response given the class, nats at T = 1, of training responses.
    """
    rows = []
    for seed in study.seeds:
        for name, run in _in_clusters(study, seed).items():
            measured = study.measure(CLUSTERS, _clusters_config(study, run), lambda run=run: _measure(study, run))
            found = {"nc1": measured["nc1"].item(), "information": measured["information"].item()}
            accuracy_percent = 100 * measured["validation_accuracy"].item()
            rows.append({"seed": seed, "teacher": name} | found | {"accuracy": accuracy_percent})
    return pd.DataFrame(rows)


def _clusters_config(study: Study, run: Teacher) -> dict[str, Any]:
    return _run_config(study, run) | {"version": 2}


def _clusters_known(study: Study, run: Teacher) -> bool:
    return study.has_measure(CLUSTERS, _clusters_config(study, run))


def _run_config(study: Study, run: Teacher) -> dict[str, Any]:
    return {"teacher": run.config(study.dataset)}


def _measure(study: Study, run: Teacher) -> dict[str, Tensor]:
    result = study.teacher_result(run)
    model, members = load_teacher(run, result, study.dataset), sampled_members(study)[0]
    activations = predict(model.features, study.dataset.images[members])
    nc1 = within_between_scatter(activations, study.dataset.labels[members])
    train = study.dataset.train.cpu()
    parts = entropy_parts(responses(result)[train], study.dataset.labels.cpu()[train], 1.0)
    return {
        "nc1": torch.tensor(nc1),
        "information": parts.instance.nanmean(),
        "validation_accuracy": result["validation_accuracy"][-1],
    }


def _own_known(study: Study, run: Teacher) -> bool:
    return study.has_measure("own_accuracy", _run_config(study, run))


def _own(study: Study, run: Teacher) -> float:
    """Validation accuracy [%] of a teacher after its last epoch."""

    def compute() -> dict[str, Tensor]:
        return {"validation_accuracy": study.teacher_result(run)["validation_accuracy"][-1]}

    return 100 * study.measure("own_accuracy", _run_config(study, run), compute)["validation_accuracy"].item()


def _features_config(study: Study, seed: int, run: Teacher) -> dict[str, Any]:
    student = labels_student(study, seed).config(study.dataset)
    return _run_config(study, run) | {"student": student, "version": 2}


def _features(study: Study, seed: int, run: Teacher) -> dict[str, Tensor]:
    def compute() -> dict[str, Tensor]:
        teacher = load_teacher(run, study.teacher_result(run), study.dataset)
        return transfer_features(labels_student(study, seed), study.dataset, teacher)

    return study.measure(FEATURES, _features_config(study, seed, run), compute)

"""Sections 3.4 and 5: batch size and epochs of the large teacher (figures 1(a), 6 and 9)."""

from typing import Any

import pandas as pd
import torch

from ...study.study import CAPACITIES, Cell, Study
from ...training.choices import TEMPERATURE
from ...training.config import Student, Teacher
from ...training.losses import entropy, soft_labels
from ...training.measures import cell_accuracies, test_percent, validation_percent

STUDENTS = {"general": "general_student", "baseline": "baseline_student"}


def units(study: Study) -> tuple[list[Teacher], list[Student]]:
    """Runs whose measures are lacking, and all students that `tables` takes; of provisional pairs before the search."""
    runs = [t for *_, t in large_runs(study) if not curves_known(study, t)]
    cells = [cell for network in STUDENTS.values() for cell in search_cells(study, network)]
    cells += _baseline_cells(study, known_spot(study, "baseline_student"))
    cells += _missing_cells(study, known_spot(study, "general_student"))
    return runs, [student for _, student in cells]


def tables(study: Study) -> dict[str, pd.DataFrame]:
    """`entropy`, `map`, `chosen`, `baseline` and `missing`; each epoch of a batch size comes from one run."""
    grid = large_runs(study)
    study.train_teachers(units(study)[0])
    search = {name: search_map(study, network) for name, network in STUDENTS.items()}
    chosen = {name: find_sweet_spot(table) for name, table in search.items()}
    curves = pd.DataFrame([row for part in grid for row in entropy_rows(study, *part)])
    accuracy = curves.groupby(["batch_size", "epoch"])["validation_accuracy"].mean()
    return {
        "entropy": curves,
        "map": pd.concat([table.assign(student=name) for name, table in search.items()], ignore_index=True),
        "chosen": pd.DataFrame(
            [
                {"student": name, **spot, "teacher_accuracy": accuracy[spot["batch_size"], spot["epoch"]]}
                for name, spot in chosen.items()
            ]
        ),
        "baseline": _baseline(study, chosen["baseline"]),
        "missing": _missing(study, chosen["general"]),
    }


def large_runs(study: Study) -> list[tuple[int, int, Teacher]]:
    """(seed, batch size, run) of the large teacher for every batch size."""
    return search_runs(study, "large")


def search_runs(study: Study, capacity: str) -> list[tuple[int, int, Teacher]]:
    """(seed, batch size, run) of the small or the large teacher for every batch size."""
    return [(s, b, study.teacher(capacity, s, b)) for s in study.seeds for b in study.settings.batch_sizes]


def search_map(study: Study, network: str, capacity: str = "large") -> pd.DataFrame:
    """Accuracy of a student distilled at T = 9 from every kept epoch of every batch size of a teacher.

    Columns: seed, batch_size, epoch, updates (optimizer steps of the teacher), validation_accuracy, test_accuracy.
    """
    return study.student_table(
        search_cells(study, network, capacity),
        lambda student, r: {"validation_accuracy": validation_percent(r), "test_accuracy": test_percent(r)},
    )


def search_cells(study: Study, network: str, capacity: str = "large") -> list[tuple[dict[str, int], Student]]:
    """Pairs (cell, student) of `search_map`."""
    return [
        (
            {"seed": s, "batch_size": b, "epoch": e, "updates": updates(study, b, e)},
            study.student(teacher, TEMPERATURE, e, network=network),
        )
        for s, b, teacher in search_runs(study, capacity)
        for e in teacher.epochs_with_responses
    ]


def known_spot(study: Study, network: str) -> dict[str, float]:
    """The pair of the search if its students are all in the store, else a provisional one, for what a plan needs."""
    cells = search_cells(study, network)
    if all(study.is_stored(student) for _, student in cells):
        return find_sweet_spot(search_map(study, network))
    return {name: cells[-1][0][name] for name in ("batch_size", "epoch")}


def find_sweet_spot(search: pd.DataFrame) -> dict[str, float]:
    """The paper's procedure: the pair (batch size, epochs) of the large teacher whose student does best.

    Arguments: `search` as from `search_map`. The choice is made on validation accuracy, averaged over teacher seeds;
    of equal pairs the one with fewer updates. Returns `batch_size`, `epoch`, `updates` that its teacher made,
    `validation_accuracy` [%] of the student, and what the search cost in a seed: `runs` (one a batch size), their
    `teacher_epochs` and `teacher_updates` together, and `students`.
    """
    mean = search.groupby(["batch_size", "epoch", "updates"], as_index=False)["validation_accuracy"].mean()
    best = mean.sort_values(["validation_accuracy", "updates"], ascending=[False, True]).iloc[0]
    return {
        "batch_size": int(best.batch_size),
        "epoch": int(best.epoch),
        "updates": int(best.updates),
        "validation_accuracy": float(best.validation_accuracy),
        "runs": int(mean.batch_size.nunique()),
        "teacher_epochs": int(mean.groupby("batch_size").epoch.max().sum()),
        "teacher_updates": int(mean.groupby("batch_size").updates.max().sum()),
        "students": len(mean),
    }


def updates(study: Study, batch_size: int, epoch: int) -> int:
    """Optimizer steps of a teacher up to the end of an epoch."""
    return epoch * -(-len(study.dataset.train) // batch_size)


def curves_known(study: Study, teacher: Teacher) -> bool:
    """True if the entropies of a run's epochs are stored."""
    return study.has_measure("sweet_spot_entropy", _curves_config(study, teacher))


def entropy_rows(study: Study, seed: int, batch_size: int, teacher: Teacher) -> list[dict[str, float]]:
    """Mean entropy and confidence of a run's training responses, for each kept epoch and temperature."""
    curves = study.measure("sweet_spot_entropy", _curves_config(study, teacher), lambda: _curves(study, teacher))
    rows = []
    for e, epoch in enumerate(teacher.epochs_with_responses):
        for t, temperature in enumerate(study.settings.temperatures):
            spread, confidence = curves["means"][e, t].tolist()
            rows.append(
                {
                    "seed": seed,
                    "batch_size": batch_size,
                    "epoch": epoch,
                    "updates": updates(study, batch_size, epoch),
                    "temperature": temperature,
                    "entropy": spread,
                    "confidence": confidence,
                    "validation_accuracy": 100 * curves["validation_accuracy"][e].item(),
                }
            )
    return rows


def _curves_config(study: Study, teacher: Teacher) -> dict[str, Any]:
    return {"teacher": teacher.config(study.dataset), "temperatures": list(study.settings.temperatures)}


def _curves(study: Study, teacher: Teacher) -> dict[str, torch.Tensor]:
    dataset, run = study.dataset, study.teacher_result(teacher)
    train = dataset.train
    labels = dataset.labels[train][:, None]
    means = []
    for logits in run["logits"].to(dataset.images.device):
        by_temperature = [soft_labels(logits[train], t) for t in study.settings.temperatures]
        means.append([[entropy(p).mean().item(), p.gather(1, labels).mean().item()] for p in by_temperature])
    return {"means": torch.tensor(means), "validation_accuracy": run["validation_accuracy"]}


def _baseline(study: Study, spot: dict[str, float]) -> pd.DataFrame:
    """Figure 9: the single-layer student of the small, the large, and the large teacher at its sweet spot.

    Beside them, as teacher "none" at T = 9, the student of hard labels alone, which has no temperature.
    """
    return study.student_table(
        _baseline_cells(study, spot),
        lambda student, r: {"validation_accuracy": validation_percent(r), "accuracy": test_percent(r)},
    )


def _baseline_cells(study: Study, spot: dict[str, float]) -> list[Cell]:
    cells = []
    for seed in study.seeds:
        for name, teacher, epoch in three_teachers(study, seed, spot):
            for t in study.settings.temperatures:
                student = study.student(teacher, t, epoch, network="baseline_student")
                cells.append(({"seed": seed, "teacher": name, "temperature": t}, student))
        alone = study.student(study.teacher("small", seed), TEMPERATURE, network="baseline_student", alpha=0.0)
        cells.append(({"seed": seed, "teacher": "none", "temperature": TEMPERATURE}, alone))
    return cells


def _missing(study: Study, spot: dict[str, float]) -> pd.DataFrame:
    """The missing-class test at T = 9 for the large teacher, as it is and at its sweet spot."""
    return study.student_table(
        _missing_cells(study, spot),
        lambda student, r: {k: cell_accuracies(r, student.missing_class)[k] for k in ("raw", "corrected")},
    )


def _missing_cells(study: Study, spot: dict[str, float]) -> list[Cell]:
    return [
        (
            {"seed": seed, "teacher": name, "missing_class": c, "temperature": TEMPERATURE},
            study.student(teacher, TEMPERATURE, epoch, missing_class=c),
        )
        for seed in study.seeds
        for name, teacher, epoch in three_teachers(study, seed, spot)[1:]
        for c in study.missing_classes
    ]


def three_teachers(study: Study, seed: int, spot: dict[str, float] | None) -> list[tuple[str, Teacher, int]]:
    """(name, run, epoch) of the small, the large, and the large teacher at its sweet spot where there is one."""
    default = [(name, run, run.epochs) for name in CAPACITIES for run in [study.teacher(name, seed)]]
    if spot is None:
        return default
    return [*default, ("large_sweet", study.teacher("large", seed, int(spot["batch_size"])), int(spot["epoch"]))]

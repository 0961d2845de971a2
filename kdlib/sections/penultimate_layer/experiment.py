"""Section 4.3 and figure 7: how tight are the clusters of the penultimate layer? (figures 5 and 7)"""

from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ...data.dataset import select_examples
from ...study.study import CAPACITIES, Study
from ...training.choices import TEMPERATURE
from ...training.config import Student, Teacher
from ...training.losses import entropy, soft_labels
from ...training.measures import penultimate_projection, within_between_scatter
from ...training.teachers import load_teacher, predict, responses
from ..sweet_spot.experiment import updates

SHOWN_CLASSES, PER_CLASS = 3, 300


def units(study: Study) -> tuple[list[Teacher], list[Student]]:
    """Runs whose measures are lacking, and all students: what `tables` takes."""
    wanted = [part for seed in study.seeds for part in settings(study, seed)]
    return [t for *_, t, e in wanted if not study.has_measure("penultimate", _config(study, t, e))], []


def tables(study: Study) -> dict[str, pd.DataFrame]:
    """`tightness`, for each seed, teacher, setting and split, and `points`, the first seed's projections."""
    wanted = [part for seed in study.seeds for part in settings(study, seed)]
    study.train_teachers(units(study)[0])
    tightness, points = [], []
    for seed, capacity, setting, teacher, epoch in wanted:
        who = {"seed": seed, "teacher": capacity, "setting": setting}
        measured = _measured(study, teacher, epoch)
        for s, split in enumerate(("train", "validation")):
            nc1, silhouette = measured["tightness"][s].tolist()
            tightness.append(
                who
                | {"updates": updates(study, teacher.batch_size, epoch), "split": split}
                | {"nc1": nc1, "silhouette": silhouette, "entropy": measured["entropy"].item()}
            )
        if seed == study.seeds[0]:
            points += [who | row for row in rows_of_points(study, measured["projection"])]
            if study.is_stored(teacher) and not study.has_measure("umap", _config(study, teacher, epoch)):
                _turned_activations(study, teacher, epoch)
    return {"tightness": pd.DataFrame(tightness), "points": pd.DataFrame(points)}


def shown_classes(study: Study) -> tuple[int, ...]:
    """Three classes chosen at random, once (the seed is fixed)."""
    chosen = torch.randperm(study.dataset.classes, generator=torch.Generator().manual_seed(0))[:SHOWN_CLASSES]
    return tuple(sorted(chosen.tolist()))


def settings(study: Study, seed: int) -> list[tuple[int, str, str, Teacher, int]]:
    """(seed, teacher, setting, run, epoch): both teachers by default, the large one at the settings of figure 7."""
    default = [(seed, name, "default", study.teacher(name, seed), study.settings.teacher_epochs) for name in CAPACITIES]
    spread = [
        (seed, "large", f"{b}x{e}", study.teacher("large", seed, b), e) for b, e in study.settings.spread_settings
    ]
    return default + spread


def _measured(study: Study, teacher: Teacher, epoch: int) -> dict[str, Tensor]:
    return study.measure("penultimate", _config(study, teacher, epoch), lambda: _measure(study, teacher, epoch))


def _config(study: Study, teacher: Teacher, epoch: int) -> dict[str, Any]:
    return {"teacher": teacher.config(study.dataset), "epoch": epoch, "version": 1}


def sampled_members(study: Study) -> tuple[Tensor, Tensor]:
    """Indices of up to 300 examples of each class, at random: of train and of validation."""
    dataset, members = study.dataset, []
    for part in (dataset.train, dataset.validation):
        labels = dataset.labels[part].cpu()
        n = min(PER_CLASS, int(torch.bincount(labels).min()))
        members.append(part[select_examples(labels, n, order="random").to(part.device)])
    return members[0], members[1]


def _measure(study: Study, teacher: Teacher, epoch: int) -> dict[str, Tensor]:
    from sklearn.metrics import silhouette_score

    dataset, run = study.dataset, study.teacher_result(teacher)
    model = load_teacher(teacher, run, dataset, epoch)
    tightness = []
    for members in sampled_members(study):
        activations, labels = predict(model.features, dataset.images[members]).cpu(), dataset.labels[members].cpu()
        if len(members) < 2 * dataset.classes:  # a cluster of one has no width
            tightness.append([torch.nan, torch.nan])
            continue
        silhouette = silhouette_score(activations.numpy(), labels.numpy())
        tightness.append([within_between_scatter(activations, labels), float(silhouette)])
    shown = shown_members(study)
    classes = list(shown_classes(study))
    activations = predict(model.features, dataset.images[shown])
    head = model.head
    probabilities = soft_labels(responses(run, epoch)[dataset.train.cpu()], TEMPERATURE)
    return {
        "tightness": torch.tensor(tightness),
        "entropy": entropy(probabilities).mean(),
        "projection": penultimate_projection(activations, head.weight.detach()[classes], head.bias.detach()[classes]),
    }


def shown_members(study: Study) -> Tensor:
    """Indices of the examples of the three shown classes."""
    members = sampled_members(study)[0]
    labels = study.dataset.labels[members]
    return members[torch.isin(labels, torch.tensor(shown_classes(study), device=labels.device))]


def _activations(study: Study, teacher: Teacher, epoch: int) -> Tensor:
    """Of the shown examples: [n, features]."""
    model = load_teacher(teacher, study.teacher_result(teacher), study.dataset, epoch)
    return predict(model.features, study.dataset.images[shown_members(study)]).cpu()


def _turned_activations(study: Study, teacher: Teacher, epoch: int) -> Tensor:
    """The same turned into at most n axes, which keeps all distances: small enough to go where the teacher is not."""

    def compute() -> dict[str, Tensor]:
        left, lengths, _ = torch.linalg.svd(_activations(study, teacher, epoch).double(), full_matrices=False)
        return {"turned": (left * lengths).float()}

    return study.activations(_config(study, teacher, epoch), compute)["turned"]


def umap_embedding(study: Study, teacher: Teacher, epoch: int) -> Tensor:
    """UMAP of the shown examples' activations: [n, 2]. Slow to import and to compile, so stored as a unit."""
    config, activations = _config(study, teacher, epoch), _activations
    if not (study.is_stored(teacher) or study.has_measure("umap", config)):
        config, activations = config | {"activations": "turned"}, _turned_activations

    def compute() -> dict[str, Tensor]:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fixed random state makes UMAP run on one thread, and say so
            umap = _import_umap(study.store.root)
            _keep_compiled_code()
            embedding = umap.UMAP(random_state=0).fit_transform(activations(study, teacher, epoch).numpy())
            return {"embedding": torch.from_numpy(embedding)}

    return study.measure("umap", config, compute)["embedding"]


def _import_umap(writable: Path) -> ModuleType:
    """umap-learn, whose compiled code is kept beside it or in the home folder; where neither can be written, here."""
    try:
        import umap
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        import numba

        numba.config.CACHE_DIR = str(writable / "numba")
        import umap
    return umap


def _keep_compiled_code() -> None:
    """Keep also what umap-learn would compile in each process anew: that takes longer than all embeddings of a page."""
    from numba.core.registry import CPUDispatcher
    from umap import distances, layouts, umap_, utils  # no attributes of what was imported at a second try

    for module in (distances, utils, umap_, layouts):
        for function in vars(module).values():
            if isinstance(function, CPUDispatcher):
                function.enable_caching()


def rows_of_points(study: Study, points: Tensor) -> list[dict[str, Any]]:
    """Rows `class`, `x`, `y` of the shown examples' coordinates [n, 2]."""
    labels = study.dataset.labels[shown_members(study)].tolist()
    return [{"class": label, "x": x, "y": y} for (x, y), label in zip(points.tolist(), labels, strict=True)]

"""What is measured of a teacher's similarity information, and stored: tables need no teacher and no people's labels."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...data import human_labels
from ...data.human_labels import HUMAN_LABELS
from ...study.study import CAPACITIES, Study
from ...training.choices import TEMPERATURE
from ...training.config import Teacher
from ...training.losses import soft_labels
from ...training.similarity import (
    best_temperature,
    class_similarity,
    entropy_parts,
    mean_non_target_logits,
    non_target_cosines,
)
from ...training.targets import class_means, shuffle_similarity, smooth_similarity
from ...training.teachers import responses
from ..penultimate_layer.experiment import settings
from . import yardsticks
from .yardsticks import agreement

WIDE = tuple(2 ** (k / 3) for k in range(-6, 19))  # temperatures at which teachers of any scale of logits agree most
CONTROLS = ("shuffled", "class_mean", "smoothed")


@dataclass(frozen=True)
class Run:
    """A teacher's run with the epochs whose responses are looked at."""

    seed: int
    capacity: str
    setting: str
    teacher: Teacher
    epochs: tuple[int, ...]

    @property
    def who(self) -> dict[str, Any]:
        """The columns that name the run in each table."""
        return {"seed": self.seed, "teacher": self.capacity, "setting": self.setting}


def runs(study: Study) -> list[Run]:
    """Both teachers at every kept epoch, and the large one at the settings of figure 7, for every seed."""
    found = []
    for seed in study.seeds:
        for _, capacity, setting, teacher, epoch in settings(study, seed):
            epochs = teacher.epochs_with_responses if setting == "default" else (epoch,)
            found.append(Run(seed, capacity, setting, teacher, epochs))
    return found


def default_runs(study: Study) -> list[Run]:
    """Both teachers at every kept epoch, for every seed, trained as the study's settings say."""
    teachers = [(seed, capacity, study.teacher(capacity, seed)) for seed in study.seeds for capacity in CAPACITIES]
    return [Run(s, name, "default", teacher, teacher.epochs_with_responses) for s, name, teacher in teachers]


def temperatures(study: Study) -> tuple[float, ...]:
    """Temperatures at which similarities are measured: those of the study, and 9."""
    return tuple(sorted({TEMPERATURE, *study.settings.temperatures}))


def sets_of_people(study: Study) -> tuple[str, ...]:
    """Sets of people's labels that can be used: all if what they gave is stored, else those in the data folder.

    Raises `InputError` for one in the data folder that is not the published one: before any teacher is trained.
    """
    if study.dataset.name != "cifar10":
        return ()
    every = tuple(HUMAN_LABELS)
    stored = study.has_measure("people", yardsticks.between_people_config(every))
    if stored and all(study.has_measure("similarity_people", _config(study, r, n)) for r in runs(study) for n in every):
        return every
    return tuple(name for name in every if human_labels.is_here(name) and human_labels.checked(name))


def measure(study: Study, run: Run) -> dict[str, Tensor]:
    """Similarity measures of a teacher's responses: small tensors, stored, so that no yardstick needs the teacher."""
    return study.measure("similarity", _config(study, run), lambda: _measure(study, run))


def is_measured(study: Study, run: Run) -> bool:
    """True if the similarity measures of a run are stored, so that its responses are not needed."""
    return study.has_measure("similarity", _config(study, run))


def _config(study: Study, run: Run, people: str | None = None) -> dict[str, Any]:
    config = {
        "teacher": run.teacher.config(study.dataset),
        "epochs": list(run.epochs),
        "temperatures": list(temperatures(study)),
        "version": 1,
    }
    of_people = {"people": people, "sha256": HUMAN_LABELS[people].sha256, "version": 2} if people else {}
    return config | of_people


def lacks_responses(study: Study, run: Run, names: tuple[str, ...]) -> bool:
    """True if a run's responses are needed: of people's labels, only those of test images take more than measures."""
    on_test_images = [name for name in names if HUMAN_LABELS[name].split == "test"]
    return not (
        is_measured(study, run)
        and all(study.has_measure("similarity_people", _config(study, run, name)) for name in on_test_images)
    )


def _measure(study: Study, run: Run) -> dict[str, Tensor]:
    dataset, result, grid = study.dataset, study.teacher_result(run.teacher), temperatures(study)
    train, validation, labels = dataset.train.cpu(), dataset.validation.cpu(), dataset.labels.cpu()
    similarity, parts, free = [], [], []
    for epoch in run.epochs:
        logits = responses(result, epoch)[train]
        similarity.append(torch.stack([class_similarity(logits, labels[train], t) for t in grid]))
        parts.append(torch.stack([torch.stack(entropy_parts(logits, labels[train], t), dim=1) for t in grid]))
        free.append(mean_non_target_logits(logits, labels[train]))
    last, linear = responses(result, run.epochs[-1]), yardsticks.linear_logits(study)
    seen, held_out = last[train], last[validation]
    controls = {
        "shuffled": shuffle_similarity(seen, labels[train], run.seed),
        "class_mean": class_means(seen, labels[train], torch.arange(len(seen)), TEMPERATURE),
        "smoothed": smooth_similarity(seen, labels[train], TEMPERATURE),
    }
    return {
        "members": torch.bincount(labels[train], minlength=dataset.classes),
        "train": torch.stack(similarity).float(),  # [epochs, T, C, C]
        "train_logits": torch.stack(free).float(),  # [epochs, C, C]
        "parts": torch.stack(parts),  # [epochs, T, C, (entropy, of the class mean, instance)]
        "validation": torch.stack([class_similarity(held_out, labels[validation], t) for t in grid]).float(),
        "validation_logits": mean_non_target_logits(held_out, labels[validation]).float(),
        "controls": torch.stack(
            [class_similarity(controls[name], labels[train], TEMPERATURE) for name in CONTROLS]
        ).float(),
        **_image_level(held_out, soft_labels(linear.double(), 1), labels[validation], grid),
    }


def _image_level(logits: Tensor, theirs: Tensor, labels: Tensor, grid: tuple[float, ...]) -> dict[str, Tensor]:
    """`images` [T, 2], mean cosines (see `non_target_cosines`), and `fit`: best T, cross-entropy there, and entropy."""
    entropy = torch.special.entr(theirs).sum(1).mean().item()
    return {
        "images": _mean_cosines(logits, theirs, labels, grid).float(),
        "fit": torch.tensor([*best_temperature(logits, theirs), entropy]),
    }


def _mean_cosines(logits: Tensor, theirs: Tensor, labels: Tensor, grid: tuple[float, ...]) -> Tensor:
    """`non_target_cosines` [T, 2], mean over images, at each temperature of a grid."""
    logits = logits.double()
    return torch.stack([non_target_cosines(soft_labels(logits, t), theirs, labels).nanmean(0) for t in grid])


def with_people(study: Study, run: Run, name: str) -> dict[str, Tensor]:
    """Correlations of a run with a set of people's labels, stored, so that they are known where these are not.

    Returns those of `agreements`, and of test images also `test`, `test_logits`, `images` (mean cosines on those with
    enough votes, `count`), `most` [2] (the largest of their differences over `WIDE`, and where it is) and `fit`.
    """

    def compute() -> dict[str, Tensor]:
        counts, labels = yardsticks.votes(study.dataset, name)
        people = yardsticks.people_similarity(counts, labels)
        found = agreements(measure(study, run), people)
        if HUMAN_LABELS[name].split == "test":
            found |= _on_test_images(study, run, counts, labels, people)
        return found

    return study.measure("similarity_people", _config(study, run, name), compute)


def _on_test_images(study: Study, run: Run, votes: Tensor, labels: Tensor, people: Tensor) -> dict[str, Tensor]:
    """Agreement with people on the images that they labelled: of classes, and of single images with enough votes."""
    if run.epochs[-1] != run.teacher.epochs:  # test responses are those of the last epoch
        return {}
    logits, grid = study.teacher_result(run.teacher)["test_logits"], temperatures(study)
    shares = votes.double() / votes.sum(1, keepdim=True)
    clear = yardsticks.clear_images(votes, labels)
    seen = logits[clear], votes[clear].double(), labels[clear]
    own, of_class = _mean_cosines(*seen, WIDE).T
    leads = own - of_class
    return {
        "test": torch.stack([agreement(class_similarity(logits, labels, t), people) for t in grid]),
        "test_logits": agreement(mean_non_target_logits(logits, labels), people),
        "images": _mean_cosines(*seen, grid).float(),
        "most": torch.tensor([leads.max().item(), WIDE[leads.argmax()]]),
        "count": clear.sum(),
        "fit": torch.tensor([*best_temperature(logits, shares), torch.special.entr(shares).sum(1).mean().item()]),
    }


def agreements(measured: dict[str, Tensor], yardstick: Tensor) -> dict[str, Tensor]:
    """Correlations (see `yardsticks.agreement`) of all class similarities of a run with a yardstick."""
    return {
        "train": torch.stack([torch.stack([agreement(s, yardstick) for s in epoch]) for epoch in measured["train"]]),
        "train_logits": torch.stack([agreement(s, yardstick) for s in measured["train_logits"]]),
        "validation": torch.stack([agreement(s, yardstick) for s in measured["validation"]]),
        "validation_logits": agreement(measured["validation_logits"], yardstick),
        "controls": torch.stack([agreement(s, yardstick) for s in measured["controls"]]),
    }

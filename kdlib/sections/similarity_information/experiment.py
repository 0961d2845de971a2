"""Section 4.3's thesis from outside: does a teacher's class similarity agree with people's, pixels', a line's?"""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ...data import human_labels
from ...data.human_labels import HUMAN_LABELS
from ...study.study import Study
from ...training.config import Student, Teacher
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
from .yardsticks import CONFUSABLE, DIGITS, DISTINCT, GROUPS, OF_THE_IMAGES, agreement

TEMPERATURE = 9.0  # of what is shown for one temperature, and of the controls
LEAST_VOTES = 5  # for another class: of fewer, an image's people say too little
CONTROLS = ("shuffled", "class_mean", "smoothed")
COLUMNS = {  # of tables that can be empty
    "structure": ["seed", "teacher", "setting", "epoch", "temperature", "what", "share", "chance"],
}


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


def units(study: Study) -> tuple[list[Teacher], list[Student]]:
    """Runs whose measures are lacking, and no students: what `tables` takes."""
    names = sets_of_people(study)
    return list(dict.fromkeys(run.teacher for run in runs(study) if _lacking(study, run, names))), []


def tables(study: Study) -> dict[str, pd.DataFrame]:
    """Agreement of class similarities with yardsticks, on classes and single images, and the two parts of entropy.

    `agreement`, `temperature_free`, `images`, `fit`, `controls`, `structure`, `parts`, `parts_by_class`, `similarity`
    (of the first seed) and `yardsticks` (of each other).
    """
    study.train_teachers(units(study)[0])
    names, rows = sets_of_people(study), _Rows(study)
    for run in runs(study):
        measured = measure(study, run)
        rows.add_run(run, measured)
        for name in OF_THE_IMAGES:
            rows.add_agreement(run, name, _agreements(measured, yardsticks.of_the_images(study)[name]))
        rows.add_images(run, "linear", len(study.dataset.validation), measured)
        for name in names:
            found = _with_people(study, run, name)
            rows.add_agreement(run, name, found)
            if "images" in found:
                rows.add_images(run, name, int(found["count"]), found)
    rows.add_yardsticks(names)
    return rows.tables()


def runs(study: Study) -> list[Run]:
    """Both teachers at every kept epoch, and the large one at the settings of figure 7, for every seed."""
    found = []
    for seed in study.seeds:
        for _, capacity, setting, teacher, epoch in settings(study, seed):
            epochs = teacher.epochs_with_responses if setting == "default" else (epoch,)
            found.append(Run(seed, capacity, setting, teacher, epochs))
    return found


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


def _config(study: Study, run: Run, people: str | None = None) -> dict[str, Any]:
    config = {
        "teacher": run.teacher.config(study.dataset),
        "epochs": list(run.epochs),
        "temperatures": list(temperatures(study)),
        "version": 1,
    }
    return config | ({"people": people, "sha256": HUMAN_LABELS[people].sha256} if people else {})


def _lacking(study: Study, run: Run, names: tuple[str, ...]) -> bool:
    """Whether a run's responses are needed: of people's labels, only those of test images take more than measures."""
    on_test_images = [name for name in names if HUMAN_LABELS[name].split == "test"]
    return not (
        study.has_measure("similarity", _config(study, run))
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
    held_out, linear = responses(result, run.epochs[-1])[validation], yardsticks.linear_logits(study)
    controls = {
        "shuffled": shuffle_similarity(logits, labels[train], run.seed),
        "class_mean": class_means(logits, labels[train], torch.arange(len(logits)), TEMPERATURE),
        "smoothed": smooth_similarity(logits, labels[train], TEMPERATURE),
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
    cosines = [non_target_cosines(soft_labels(logits.double(), t), theirs, labels).nanmean(0) for t in grid]
    entropy = torch.special.entr(theirs).sum(1).mean().item()
    return {
        "images": torch.stack(cosines).float(),
        "fit": torch.tensor([*best_temperature(logits, theirs), entropy]),
    }


def _with_people(study: Study, run: Run, name: str) -> dict[str, Tensor]:
    """Agreement of a run with a set of people's labels, stored: it is known where these are not."""

    def compute() -> dict[str, Tensor]:
        counts, labels = yardsticks.votes(study.dataset, name)
        people = yardsticks.people_similarity(counts, labels)
        found = _agreements(measure(study, run), people)
        if HUMAN_LABELS[name].split == "test":
            found |= _on_test_images(study, run, counts, labels, people)
        return found

    return study.measure("similarity_people", _config(study, run, name), compute)


def _on_test_images(study: Study, run: Run, votes: Tensor, labels: Tensor, people: Tensor) -> dict[str, Tensor]:
    """Agreement with people on the images that they labelled: of classes, and of single images with enough votes."""
    logits, grid = study.teacher_result(run.teacher)["test_logits"], temperatures(study)
    if run.epochs[-1] != run.teacher.epochs:  # test responses are those of the last epoch
        return {}
    others = votes.scatter(1, labels[:, None], 0)
    clear = others.sum(1) >= LEAST_VOTES
    shares = votes.double() / votes.sum(1, keepdim=True)
    cosines = [
        non_target_cosines(soft_labels(logits.double(), t), others.double(), labels)[clear].nanmean(0) for t in grid
    ]
    return {
        "test": torch.stack([agreement(class_similarity(logits, labels, t), people) for t in grid]),
        "test_logits": agreement(mean_non_target_logits(logits, labels), people),
        "images": torch.stack(cosines).float(),
        "count": clear.sum(),
        "fit": torch.tensor([*best_temperature(logits, shares), torch.special.entr(shares).sum(1).mean().item()]),
    }


def _agreements(measured: dict[str, Tensor], yardstick: Tensor) -> dict[str, Tensor]:
    """Agreement (see `agreement`) of everything that was measured of a run with one yardstick."""
    return {
        "train": torch.stack([torch.stack([agreement(s, yardstick) for s in epoch]) for epoch in measured["train"]]),
        "train_logits": torch.stack([agreement(s, yardstick) for s in measured["train_logits"]]),
        "validation": torch.stack([agreement(s, yardstick) for s in measured["validation"]]),
        "validation_logits": agreement(measured["validation_logits"], yardstick),
        "controls": torch.stack([agreement(s, yardstick) for s in measured["controls"]]),
    }


class _Rows:
    """Rows of the section's tables, run by run."""

    def __init__(self, study: Study) -> None:
        self.study, self.grid = study, temperatures(study)
        self.shown = self.grid.index(TEMPERATURE)
        names = ("agreement", "temperature_free", "images", "fit", "controls", "structure")
        self.rows: dict[str, list[dict[str, Any]]] = {
            name: [] for name in (*names, "parts", "parts_by_class", "similarity", "yardsticks")
        }

    def tables(self) -> dict[str, pd.DataFrame]:
        return {name: pd.DataFrame(rows, columns=COLUMNS.get(name)) for name, rows in self.rows.items()}

    def add_run(self, run: Run, measured: dict[str, Tensor]) -> None:
        weights = (measured["members"] / measured["members"].sum()).double()
        for epoch, similarity, parts in zip(run.epochs, measured["train"], measured["parts"], strict=True):
            for temperature, matrix, by_class in zip(self.grid, similarity, parts, strict=True):
                where = run.who | {"epoch": epoch, "temperature": temperature}
                self.rows["parts"].append(where | _parts((weights[:, None] * by_class).sum(0)))
                self.rows["structure"] += [where | row for row in structure(self.study.dataset.name, matrix)]
        last = measured["parts"][-1, self.shown]
        self.rows["parts_by_class"] += [run.who | {"class": c} | _parts(row) for c, row in enumerate(last)]
        if run.seed == self.study.seeds[0]:
            self._add_similarity(run.who, measured["train"][-1, self.shown])

    def add_agreement(self, run: Run, yardstick: str, found: dict[str, Tensor]) -> None:
        who, last = run.who, run.epochs[-1]
        splits = {"train": (run.epochs, found["train"], found["train_logits"])}
        for split in ("validation", "test"):
            if split in found:
                splits[split] = ((last,), found[split][None], found[f"{split}_logits"][None])
        for split, (epochs, by_temperature, free) in splits.items():
            for epoch, over, single in zip(epochs, by_temperature, free, strict=True):
                where = who | {"epoch": epoch, "split": split, "yardstick": yardstick}
                self.rows["temperature_free"].append(where | _correlations(single))
                self.rows["agreement"] += [
                    where | {"temperature": t} | _correlations(pair) for t, pair in zip(self.grid, over, strict=True)
                ]
        if run.setting == "default":
            self.rows["controls"] += [
                who | {"control": control, "yardstick": yardstick} | _correlations(pair)
                for control, pair in zip(
                    ("responses", *CONTROLS), (found["train"][-1, self.shown], *found["controls"]), strict=True
                )
            ]

    def add_images(self, run: Run, yardstick: str, count: int, found: dict[str, Tensor]) -> None:
        where = run.who | {"yardstick": yardstick}
        for temperature, (own, of_class) in zip(self.grid, found["images"].tolist(), strict=True):
            self.rows["images"].append(
                where
                | {"temperature": temperature, "images": count, "cosine": own, "class_mean_cosine": of_class}
                | {"lead": own - of_class}
            )
        columns = ("best_temperature", "cross_entropy", "entropy")
        self.rows["fit"].append(where | dict(zip(columns, found["fit"].tolist(), strict=True)))

    def add_yardsticks(self, names: tuple[str, ...]) -> None:
        of_images = yardsticks.of_the_images(self.study)
        pairs = {"linear/pixels": agreement(of_images["linear"], of_images["pixels"])}
        cosines = {}
        if names:
            pairs |= yardsticks.between_people(self.study, names)
            if "images" in pairs:
                own, of_class = pairs.pop("images").tolist()
                cosines["cifar10h/itself"] = {"cosine": own, "class_mean_cosine": of_class}
        nothing = dict.fromkeys(("cosine", "class_mean_cosine"), float("nan"))
        for pair, found in sorted(pairs.items()):  # a stored unit keeps no order
            first, second = pair.split("/")
            row = {"yardstick": first, "other": second} | _correlations(found)
            self.rows["yardsticks"].append(row | cosines.get(pair, nothing))
        for name in OF_THE_IMAGES:
            self._add_similarity({"seed": self.study.seeds[0], "teacher": name, "setting": "default"}, of_images[name])

    def _add_similarity(self, who: dict[str, Any], matrix: Tensor) -> None:
        self.rows["similarity"] += [
            who | {"class": c, "other": k, "share": share}
            for c, row in enumerate(matrix.tolist())
            for k, share in enumerate(row)
            if k != c
        ]


def structure(dataset: str, similarity: Tensor) -> list[dict[str, Any]]:
    """Share that a class similarity has of what is evident of a data set: groups of classes, or pairs of digits.

    Returns rows with `what`, `share` and `chance`. Of a group of like classes: the share of its classes' non-target
    mass that stays within, and that of a uniform one. Of digits: the share of pairs (confusable pair, distinct pair) in
    which the confusable one is the more similar. Empty for a data set of which nothing is known.
    """
    rows = []
    for name, group in GROUPS.get(dataset, {}).items():
        members = torch.tensor(group)
        share = similarity[members][:, members].sum(1).mean().item()
        rows.append({"what": name, "share": share, "chance": (len(group) - 1) / (len(similarity) - 1)})
    if dataset in DIGITS:
        mutual = similarity + similarity.T
        above = [mutual[near] > mutual[far] for near in CONFUSABLE for far in DISTINCT]
        rows.append({"what": "confusable digits", "share": torch.stack(above).double().mean().item(), "chance": 0.5})
    return rows


def _correlations(pair: Tensor) -> dict[str, float]:
    return dict(zip(("spearman", "pearson"), pair.tolist(), strict=True))


def _parts(values: Tensor) -> dict[str, float]:
    return dict(zip(("entropy", "of_class_mean", "instance"), values.tolist(), strict=True))

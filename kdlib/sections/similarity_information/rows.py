"""Rows of the section's tables, from what is measured."""

from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ...study.study import Study
from ...training.choices import TEMPERATURE
from . import yardsticks
from .measures import CONTROLS, Run, temperatures
from .yardsticks import CONFUSABLE, DIGITS, DISTINCT, GROUPS, OF_THE_IMAGES, agreement

TABLES = (
    *("agreement", "temperature_free", "images", "fit", "controls", "structure"),
    *("parts", "parts_by_class", "similarity", "yardsticks"),
)
STRUCTURE = ["seed", "teacher", "setting", "epoch", "temperature", "what", "share", "chance"]  # where it has no rows


class Rows:
    """Tables of the section, gathered run by run."""

    def __init__(self, study: Study) -> None:
        self.study, self.grid = study, temperatures(study)
        self.shown = self.grid.index(TEMPERATURE)
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}

    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by name, each with all rows that were added."""
        columns = {"structure": STRUCTURE}
        return {name: pd.DataFrame(rows, columns=columns.get(name)) for name, rows in self.rows.items()}

    def add_run(self, run: Run, measured: dict[str, Tensor]) -> None:
        """Add what needs no yardstick: parts of the entropy, evident structure, the first seed's class similarity."""
        self.rows["parts"] += parts_of_entropy(run, self.grid, measured)
        for epoch, similarity in zip(run.epochs, measured["train"], strict=True):
            for temperature, matrix in zip(self.grid, similarity, strict=True):
                where = run.who | {"epoch": epoch, "temperature": temperature}
                self.rows["structure"] += [where | row for row in structure(self.study.dataset.name, matrix)]
        last = measured["parts"][-1, self.shown]
        self.rows["parts_by_class"] += [run.who | {"class": c} | _parts(row) for c, row in enumerate(last)]
        if run.seed == self.study.seeds[0]:
            self._add_similarity(run.who, measured["train"][-1, self.shown])

    def add_agreement(self, run: Run, yardstick: str, found: dict[str, Tensor]) -> None:
        """Add correlations with one yardstick, as of `measures.agreements`."""
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
        """Add agreement with one yardstick on so many single images."""
        where = run.who | {"yardstick": yardstick}
        for temperature, (own, of_class) in zip(self.grid, found["images"].tolist(), strict=True):
            self.rows["images"].append(
                where
                | {"temperature": temperature, "images": count, "cosine": own, "class_mean_cosine": of_class}
                | {"lead": own - of_class}
            )
        columns = ("best_temperature", "cross_entropy", "entropy")
        most, most_at = found["most"].tolist() if "most" in found else (float("nan"),) * 2
        fit = dict(zip(columns, found["fit"].tolist(), strict=True))
        self.rows["fit"].append(where | fit | {"most": most, "most_at": most_at})

    def add_yardsticks(self, names: tuple[str, ...]) -> None:
        """Add how far yardsticks agree among themselves, with these sets of people's labels."""
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


def parts_of_entropy(run: Run, grid: tuple[float, ...], measured: dict[str, Tensor]) -> list[dict[str, Any]]:
    """The average entropy of a run's training responses and its two parts: a row for each epoch and temperature.

    Arguments: `grid`, the temperatures of what `measures.measure` returned, `measured`.
    """
    weights = (measured["members"] / measured["members"].sum()).double()
    means = (weights[:, None] * measured["parts"]).sum(2)
    return [
        run.who | {"epoch": epoch, "temperature": temperature} | _parts(values)
        for epoch, by_temperature in zip(run.epochs, means, strict=True)
        for temperature, values in zip(grid, by_temperature, strict=True)
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

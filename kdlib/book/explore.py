"""What a reader can explore in the book without a kernel: precomputed grids as data, drawn by book/_static/explore.js.

Each function takes tidy tables and returns an `Explorer`. The static figure of the same content stands above it in the
notebook, and is what print and pages without scripts show.
"""

import base64
import html
import io
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..claims.intervals import t_interval
from ..data.paper import missing_class_table
from ..report.formatting import setting_name
from ..report.shown import as_picture
from ..training.choices import TEMPERATURE

SPRITE_COLUMNS = 30
LEAST = np.finfo(float).tiny  # of a probability, whose logarithm is drawn


class Explorer:
    """An interactive figure: its kind, a sentence on what can be done, and its data."""

    def __init__(self, kind: str, caption: str, data: dict[str, Any]) -> None:
        self.kind, self.caption, self.data = kind, caption, data

    def __repr__(self) -> str:
        return f"Explorer({self.kind}): to be explored in the book"

    def _repr_html_(self) -> str:
        data = json.dumps(self.data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
        return (
            f"<figure class='explore' data-kind='{self.kind}' hidden>"
            f"<figcaption>{html.escape(self.caption)}</figcaption>"
            f"<script type='application/json'>{data}</script></figure>"
        )


def soft_labels(images: np.ndarray, labels: pd.DataFrame, shown: int, names: Sequence[str]) -> Explorer:
    """Soft labels of the shown examples at any temperature, from those of one seed at T = 9 (logits up to a constant).

    Arguments: `images` [n, C, H, W] in [0, 1]; `labels`, one seed's rows of the table `soft_labels`; `shown`, their
    class.
    """
    logits = {
        teacher: [
            _rounded(TEMPERATURE * np.log(example.sort_values("class").soft_label.clip(lower=LEAST)), 4)
            for _, example in part.groupby("example")
        ]
        for teacher, part in labels.groupby("teacher")
    }
    return Explorer(
        "soft-labels",
        "Choose an example and move the temperature: the soft labels of both teachers, their entropy, and where they "
        "lie between the one-hot label and label smoothing.",
        {"names": list(names), "shown": shown, "images": [_picture(image) for image in images], "logits": logits},
    )


def missing_class(cells: pd.DataFrame, names: Sequence[str], dataset: str) -> Explorer:
    """Accuracy on each removed class, and on the mean of all, at each temperature, with the paper's values."""
    printed = missing_class_table(dataset)
    temperatures = sorted(cells.temperature.unique().tolist())
    rows: dict[str, dict[str, Any]] = {}
    for teacher, of_teacher in cells.groupby("teacher"):
        own = None if printed is None else printed[printed.teacher == teacher]
        rows[teacher] = {"mean": _curves(of_teacher, own, temperatures)}
        for label, part in of_teacher.groupby("missing_class"):
            paper = None if own is None else own[own.missing_class == label]
            rows[teacher][str(label)] = _curves(part, paper, temperatures)
    classes = sorted(cells.missing_class.unique().tolist())
    return Explorer(
        "missing-class",
        "Choose the removed class and a temperature: accuracy on it, raw and after the bias correction, with 95% "
        "intervals" + ("." if printed is None else "; crosses are the paper's values."),
        {"temperatures": temperatures, "classes": {str(c): names[c] for c in classes}, "rows": rows},
    )


def sweet_spot(search: pd.DataFrame, chosen: pd.DataFrame) -> Explorer:
    """The map of batch size and epochs for each student: accuracy with interval, updates, and the chosen pair."""
    students = {}
    for name, part in search.groupby("student", sort=False):
        cells = [
            {
                "batch_size": int(batch_size),
                "epoch": int(epoch),
                "updates": int(rows.updates.iloc[0]),
                "validation": _interval(rows.groupby("seed").validation_accuracy.mean()),
                "test": _interval(rows.groupby("seed").test_accuracy.mean()),
            }
            for (batch_size, epoch), rows in part.groupby(["batch_size", "epoch"])
        ]
        pair = chosen.set_index("student").loc[name]
        students[name] = {"cells": cells, "chosen": [int(pair.batch_size), int(pair.epoch)]}
    return Explorer(
        "sweet-spot",
        "Choose a student and how long the large teacher is trained: the student's accuracy for every batch size.",
        {"students": students},
    )


def projection(points: pd.DataFrame, images: np.ndarray, names: Sequence[str]) -> Explorer:
    """The projected activations of every panel; pointing at one shows its image.

    Arguments: `points`, the table of that name, whose rows follow `images` [n, C, H, W] in [0, 1] in each panel.
    """
    panels = [
        {
            "teacher": teacher,
            "title": setting_name(teacher, setting),
            "x": _rounded(part.x, 3),
            "y": _rounded(part.y, 3),
        }
        for (teacher, setting), part in points.groupby(["teacher", "setting"], sort=False)
    ]
    labels = points["class"].head(len(images)).tolist()
    return Explorer(
        "projection",
        "Point at an example, or move through them: its image, and where each teacher puts it.",
        {
            "labels": labels,
            "names": {str(label): names[label] for label in dict.fromkeys(labels)},
            "panels": panels,
            "sprite": _picture(_sheet(images)),
            "columns": SPRITE_COLUMNS,
            "rows": math.ceil(len(images) / SPRITE_COLUMNS),
        },
    )


def _curves(cells: pd.DataFrame, printed: pd.DataFrame | None, temperatures: Iterable[float]) -> dict[str, list]:
    by_temperature = [cells[cells.temperature == t] for t in temperatures]
    curves: dict[str, list] = {
        column: [_interval(part.groupby("seed")[column].mean()) for part in by_temperature]
        for column in ("raw", "corrected")
    }
    if printed is not None:
        mean = printed.groupby("temperature").accuracy_percent.mean()
        curves["paper"] = [_number(mean.get(t, math.nan), 2) for t in temperatures]
    return curves


def _interval(values: Sequence[float]) -> list[float | None]:
    """Mean of accuracies in percent, and ends of the 95% t interval, from 0 to 100; None where there is none."""
    interval = t_interval(values)
    return [_number(v, 2) for v in (interval.mean, *interval.shown_ends("%"))]


def _number(value: float, decimals: int) -> float | None:
    return None if math.isnan(value) else round(float(value), decimals)


def _rounded(values: Iterable[float], decimals: int) -> list[float]:
    return [round(float(v), decimals) for v in values]


def _sheet(images: np.ndarray) -> np.ndarray:
    """Images side by side in rows of `SPRITE_COLUMNS`: [C, rows x H, columns x W]."""
    count, channels, height, width = images.shape
    rows = math.ceil(count / SPRITE_COLUMNS)
    sheet = np.zeros((rows * SPRITE_COLUMNS, channels, height, width), images.dtype)
    sheet[:count] = images
    tiles = sheet.reshape(rows, SPRITE_COLUMNS, channels, height, width)
    return tiles.transpose(2, 0, 3, 1, 4).reshape(channels, rows * height, SPRITE_COLUMNS * width)


def _picture(image: np.ndarray) -> str:
    """An image [C, H, W] in [0, 1] as a data address; without colours, dark on light, as print shows it."""
    from PIL import Image

    pixels = (as_picture(image) * 255).round().astype(np.uint8)
    picture = Image.fromarray(pixels if pixels.ndim == 3 else 255 - pixels)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=70)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()

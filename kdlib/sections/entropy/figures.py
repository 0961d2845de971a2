"""Figures of sections 2 to 4.1, from tidy tables. Each function computes nothing new."""

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ...claims.rows import last_epoch
from ...report.drawing import COLOURS, MARKERS, OUTLINE, STYLE, draw_curve, label_axes, label_curves, subplots
from ...report.formatting import NAMES
from ...report.shown import as_picture, ticks
from ...training.choices import TEMPERATURE


@matplotlib.rc_context(STYLE)
def soft_labels(images: np.ndarray, labels: pd.DataFrame, shown: int, names: Sequence[str]) -> Figure:
    """Figure 1(b) and (c) as measured: each example's image beside both teachers' soft labels, and label smoothing."""
    classes = len(names)
    figure, axes = subplots(len(images), 3, 1.25 * len(images) + 0.6, width_ratios=(1, 4, 4), sharex="col")
    top = 1.1 * labels.soft_label.max()
    for row, image in enumerate(images):
        picture = axes[row, 0]
        picture.imshow(as_picture(image), cmap="gray_r", vmin=0, vmax=1)
        picture.set_axis_off()
        for column, teacher in enumerate(("small", "large"), start=1):
            part = labels[(labels.teacher == teacher) & (labels.example == row + 1)].sort_values("class")
            bars = axes[row, column]
            bars.bar(
                part["class"],
                part.soft_label,
                color=[COLOURS[teacher] if c == shown else "#9a9a9a" for c in part["class"]],
            )
            bars.set(ylim=(0, top), xticks=ticks(classes, 12))
            if row == 0:
                bars.set_title(NAMES[teacher])
            if row == len(images) - 1:
                bars.set_xlabel("class")
        axes[row, 1].set_ylabel("probability")
    return figure


@matplotlib.rc_context(STYLE)
def entropy_against_temperature(table: pd.DataFrame, classes: int) -> Figure:
    """Figure 3: mean entropy of the responses against temperature; the dotted line is the largest possible."""
    figure, axes = subplots(1, 2, 3.4, sharey=True)
    last = last_epoch(table)
    for panel, split in zip(axes[0], ("train", "validation"), strict=True):
        for teacher in ("small", "large"):
            part = last[(last.teacher == teacher) & (last.split == split)]
            draw_curve(panel, part, "temperature", "entropy", COLOURS[teacher], NAMES[teacher], marker=MARKERS[teacher])
        panel.axhline(math.log(classes), color="#555555", linestyle=":", linewidth=1)
        panel.annotate(f"log {classes}", (1, math.log(classes)), (0, 3), textcoords="offset points", fontsize=8)
        label_axes(panel, f"{split} examples", "temperature T", "mean entropy (nats)" if split == "train" else "")
    label_curves(*axes[0])
    return figure


@matplotlib.rc_context(STYLE)
def entropy_against_epochs(entropies: pd.DataFrame, teachers: pd.DataFrame, temperature: float) -> Figure:
    """Mean entropy at one temperature, validation accuracy, and one against the other, after each kept epoch."""
    figure, axes = subplots(1, 3, 3.2)
    part = entropies[(entropies.temperature == temperature) & (entropies.split == "train")]
    for teacher in ("small", "large"):
        colour, style = COLOURS[teacher], {"marker": MARKERS[teacher]}
        curve, accuracy = part[part.teacher == teacher], teachers[teachers.teacher == teacher]
        draw_curve(axes[0, 0], curve, "epoch", "entropy", colour, teacher, **style)
        draw_curve(axes[0, 1], accuracy, "epoch", "validation_accuracy", colour, teacher, **style)
        path = curve.merge(accuracy, on=["seed", "teacher", "epoch"]).groupby("epoch").mean(numeric_only=True)
        axes[0, 2].plot(path.validation_accuracy, path.entropy, color=colour, markersize=4.5, label=teacher, **style)
    label_axes(axes[0, 0], f"entropy at T = {temperature:g}", "epochs of the teacher", "mean entropy (nats)")
    label_axes(axes[0, 1], "accuracy", "epochs of the teacher", "validation accuracy (%)")
    label_axes(axes[0, 2], "at equal accuracy", "validation accuracy (%)", "mean entropy (nats)")
    label_curves(*axes[0])
    return figure


@matplotlib.rc_context(STYLE)
def between_one_hot_and_label_smoothing(position: pd.DataFrame, classes: int) -> Figure:
    """Figures 2 and 10 as measured: entropy against confidence, with the curve on which label smoothing lies."""
    figure, axes = subplots(1, 2, 3.8)
    panel, distance = axes[0]
    confidence = np.linspace(1 / classes, 1 - 1e-6, 300)
    rest = (1 - confidence) / (classes - 1)
    smooth = -confidence * np.log(confidence) - (classes - 1) * rest * np.log(rest)
    note = {"textcoords": "offset points", "fontsize": 8, "path_effects": [OUTLINE]}
    panel.plot(confidence, smooth, color="#555555", linestyle="--", linewidth=1.2)
    panel.annotate("label smoothing", (confidence[150], smooth[150]), (6, 4), color="#555555", **note)
    panel.plot([1], [0], marker="*", markersize=11, color="black", linestyle="none")
    panel.annotate("one-hot label", (1, 0), (-10, -3), ha="right", **note)
    for teacher, place in (("small", (0.3, 0.12)), ("large", (0.06, 0.3))):
        mean = position[position.teacher == teacher].groupby("temperature", as_index=False).mean(numeric_only=True)
        colour, marker = COLOURS[teacher], MARKERS[teacher]
        panel.plot(mean.confidence, mean.entropy, color=colour, marker=marker, markersize=4)
        [marked] = mean[mean.temperature == TEMPERATURE].itertuples()
        arrow = {"arrowstyle": "-", "color": colour, "linewidth": 0.8}
        style = {**note, "textcoords": "axes fraction", "color": colour, "arrowprops": arrow}
        panel.annotate(f"{NAMES[teacher]}, T = {TEMPERATURE:g}", (marked.confidence, marked.entropy), place, **style)
        rows = position[position.teacher == teacher]
        draw_curve(distance, rows, "temperature", "distance_to_label_smoothing", colour, NAMES[teacher], marker=marker)
    label_axes(panel, "where the responses lie", "mean confidence", "mean entropy (nats)")
    label_axes(distance, "distance from label smoothing", "temperature T", "mean KL (nats)")
    label_curves(distance)
    return figure


@matplotlib.rc_context(STYLE)
def variance_against_temperature(variance: pd.DataFrame) -> Figure:
    """Variance in response (section 3.3), raw and relative, within an example and across a class."""
    figure, axes = subplots(1, 4, 2.9)
    titles = {
        "row_variance": "row-wise",
        "column_variance": "column-wise",
        "row_relative": "row, relative",
        "column_relative": "column, relative",
    }
    for panel, (column, title) in zip(axes[0], titles.items(), strict=True):
        for teacher in ("small", "large"):
            part = variance[variance.teacher == teacher]
            part = part.assign(**{column: part[column] * (1 if "relative" in column else 1000)})
            draw_curve(panel, part, "temperature", column, COLOURS[teacher], teacher)
        label_axes(panel, title, "temperature T", "spread / mean" if "relative" in column else "variance (1/1000)")
        panel.tick_params(labelsize=8)
        if "relative" in column and (variance[column] > 0).any():  # of two classes a row has no variance
            panel.set_yscale("log")
    label_curves(*axes[0])
    return figure

"""Figures of the missing class (section 4.1), from tidy tables. Each function computes nothing new."""

from collections.abc import Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from ...data.paper import missing_class_table
from ...report.drawing import COLOURS, MARKERS, STYLE, draw_curve, heatmap, label_axes, label_curves, subplots
from ...report.formatting import NAMES
from ...report.shown import in_figure, ticks


@matplotlib.rc_context(STYLE)
def missing_class_curves(cells: pd.DataFrame, dataset: str) -> Figure:
    """Accuracy on the class never seen, mean over classes, raw and bias corrected; the paper's as crosses."""
    figure, axes = subplots(1, 2, 3.5, sharey=True)
    printed = missing_class_table(dataset)
    for panel, teacher in zip(axes[0], ("small", "large"), strict=True):
        part, colour = cells[cells.teacher == teacher], COLOURS[teacher]
        panel.set_xticks(sorted(cells.temperature.unique()))
        draw_curve(panel, part, "temperature", "raw", colour, "raw", marker=MARKERS[teacher])
        draw_curve(panel, part, "temperature", "corrected", colour, "bias corrected", marker=".", linestyle="--")
        draw_curve(panel, part, "temperature", "others", "#777777", "the other classes", linestyle=":")
        if printed is not None:
            mean = printed[printed.teacher == teacher].groupby("temperature").accuracy_percent.mean()
            panel.plot(mean.index, mean, "kx", markersize=7, label="paper, raw")
        label_axes(panel, NAMES[teacher], "temperature T", "test accuracy (%)" if teacher == "small" else "")
        panel.set_ylim(-3, 103)
    label_curves(*axes[0])
    return figure


@matplotlib.rc_context(STYLE)
def missing_class_heatmaps(cells: pd.DataFrame, names: Sequence[str], dataset: str) -> Figure:
    """Accuracy on each removed class at each temperature, a row for each teacher: the paper's, raw, and corrected."""
    views = [("here, raw", cells, "raw"), ("here, bias corrected", cells, "corrected")]
    if (printed := missing_class_table(dataset)) is not None:
        views = [("paper, raw", printed, "accuracy_percent"), *views]
    classes, temperatures = (sorted(cells[column].unique().tolist()) for column in ("missing_class", "temperature"))
    figure, axes = subplots(2, len(views), 7.2, sharey=True, sharex=True)
    for row, teacher in zip(axes, ("small", "large"), strict=True):
        for panel, (title, table, column) in zip(row, views, strict=True):
            grid = table[table.teacher == teacher].pivot_table(
                index="missing_class", columns="temperature", values=column
            )
            heatmap(panel, grid.rename(columns=float).reindex(index=classes, columns=temperatures), 0, 100, "{:.0f}")
            named = ticks(len(classes))
            panel.set_yticks(named, [in_figure(names[classes[i]]) for i in named])
            panel.set_title(title if teacher == "small" else "")
        row[0].set_ylabel(NAMES[teacher])
    for panel in axes[-1]:
        panel.set_xlabel("temperature T")
    return figure


@matplotlib.rc_context(STYLE)
def taken_for(table: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Confusion of a removed class: what its test examples are taken for, mean over temperatures and seeds."""
    figure, axes = subplots(1, 2, 4.2, sharey=True)
    for panel, teacher in zip(axes[0], ("small", "large"), strict=True):
        part = table[table.teacher == teacher]
        grid = part.pivot_table(index="missing_class", columns="predicted", values="percent")
        heatmap(panel, grid, 0, 100, "{:.0f}")
        columns, rows = ticks(len(grid.columns)), ticks(len(grid))
        called = [in_figure(names[grid.columns[i]]) for i in columns]
        panel.set_xticks(columns, called, rotation=90 if max(map(len, called)) > 2 else 0)
        panel.set_yticks(rows, [in_figure(names[grid.index[i]]) for i in rows])
        panel.set_xlabel("called")
        panel.set_title(NAMES[teacher])
    axes[0, 0].set_ylabel("removed class")
    return figure

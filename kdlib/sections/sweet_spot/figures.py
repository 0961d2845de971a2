"""Figures of the sweet spot (sections 3.4 and 5), from tidy tables. Each function computes nothing new."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from ...report.drawing import (
    COLOURS,
    MARKERS,
    STYLE,
    draw_curve,
    heatmap,
    label_axes,
    label_curves,
    sequential_colours,
    subplots,
)
from ...report.formatting import NAMES
from ...training.measures import nearest


@matplotlib.rc_context(STYLE)
def entropy_of_the_large_teacher(table: pd.DataFrame, batch_size: int, epoch: int) -> Figure:
    """Figure 6: entropy against temperature, for batch sizes at an epoch and for epochs at the nearest batch size."""
    batch_size = nearest(table.batch_size.unique(), batch_size)
    figure, axes = subplots(1, 3, 3.4)
    views = (
        (table[table.epoch == epoch], "batch_size", f"after {epoch} epochs"),
        (table[table.batch_size == batch_size], "epoch", f"at batch size {batch_size}"),
    )
    for panel, (part, by, title) in zip(axes[0], views, strict=False):
        values = sorted(part[by].unique())
        for value, colour in zip(values, sequential_colours(len(values)), strict=True):
            draw_curve(panel, part[part[by] == value], "temperature", "entropy", colour, f"{value}")
        label_axes(panel, title, "temperature T", "mean entropy (nats)")
        label_curves(panel, title=by.replace("_", " "))
    nine = table[table.temperature == nearest(table.temperature.unique(), 9)]
    sizes = sorted(nine.batch_size.unique())
    for size, colour in zip(sizes, sequential_colours(len(sizes)), strict=True):
        draw_curve(axes[0, 2], nine[nine.batch_size == size], "updates", "entropy", colour, f"batch {size}", marker=".")
    axes[0, 2].set_xscale("log")
    label_axes(axes[0, 2], f"at T = {nine.temperature.iloc[0]:g}", "updates of the teacher", "")
    label_curves(axes[0, 2], column=1)
    return figure


@matplotlib.rc_context(STYLE)
def sweet_spot_map(search: pd.DataFrame, chosen: pd.DataFrame) -> Figure:
    """Figure 1(a) as measured: a student's validation accuracy over batch size and epochs, the chosen pair framed."""
    figure, axes = subplots(1, 2, 3.6)
    for panel, student in zip(axes[0], ("general", "baseline"), strict=True):
        part = search[search.student == student]
        grid = part.pivot_table(index="batch_size", columns="epoch", values="validation_accuracy")
        heatmap(panel, grid, grid.min().min(), grid.max().max(), "{:.1f}")
        spot = chosen[chosen.student == student].iloc[0]
        row, column = grid.index.get_loc(spot.batch_size), grid.columns.get_loc(spot.epoch)
        frame = matplotlib.patches.Rectangle(
            (column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=COLOURS["large"], linewidth=2.5
        )
        panel.add_patch(frame)
        panel.set(yticks=range(len(grid)), yticklabels=grid.index, xlabel="epochs of the large teacher")
        panel.set_title(f"{student} student, validation (%)")
    axes[0, 0].set_ylabel("batch size")
    return figure


@matplotlib.rc_context(STYLE)
def accuracy_against_updates(search: pd.DataFrame) -> Figure:
    """Accuracy against the number of the teacher's updates: is it the batch size, or the length of training?"""
    figure, axes = subplots(1, 2, 3.2)
    for panel, student in zip(axes[0], ("general", "baseline"), strict=True):
        part = search[search.student == student]
        sizes = sorted(part.batch_size.unique())
        for size, colour in zip(sizes, sequential_colours(len(sizes)), strict=True):
            rows = part[part.batch_size == size]
            draw_curve(panel, rows, "updates", "validation_accuracy", colour, f"batch {size}", marker=".")
        panel.set_xscale("log")
        label_axes(panel, f"{student} student", "updates of the large teacher", "validation accuracy (%)")
        label_curves(panel, column=1)
    return figure


@matplotlib.rc_context(STYLE)
def baseline_student(table: pd.DataFrame) -> Figure:
    """Figure 9: test accuracy of the single-layer student against temperature, and of one that has no teacher."""
    figure, axes = subplots(1, 1, 3.3)
    panel = axes[0, 0]
    temperatures = table[["temperature"]].drop_duplicates()
    panel.set_xticks(sorted(temperatures.temperature))
    for teacher in ("small", "large", "large_sweet"):
        part = table[table.teacher == teacher]
        draw_curve(panel, part, "temperature", "accuracy", COLOURS[teacher], NAMES[teacher], marker=MARKERS[teacher])
    alone = table[table.teacher == "none"].drop(columns="temperature").merge(temperatures, how="cross")
    draw_curve(panel, alone, "temperature", "accuracy", COLOURS["none"], NAMES["none"], linestyle=":")
    label_axes(panel, "single-layer student", "temperature T", "test accuracy (%)")
    label_curves(panel, size=9)
    return figure

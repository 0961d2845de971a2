"""Figures of examples needed (section 4.2), from tidy tables. Each function computes nothing new."""

from collections.abc import Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from ...report.drawing import COLOURS, MARKERS, STYLE, draw_curve, label_axes, label_curves, subplots
from ...report.formatting import NAMES


@matplotlib.rc_context(STYLE)
def accuracy_against_examples(cells: pd.DataFrame, selection: str, teachers: Sequence[str]) -> Figure:
    """Figures 4 and 8: best validation accuracy against examples per class, at equal epochs and at equal steps.

    A run without this selection has the whole transfer set alone, and the panels say so.
    """
    figure, axes = subplots(1, 2, 3.5, sharey=True)
    for panel, budget in zip(axes[0], ("epochs", "steps"), strict=True):
        for teacher in (name for name in teachers if name in set(cells.teacher)):
            part = cells[(cells.teacher == teacher) & (cells.selection == selection) & (cells.budget == budget)]
            style = {"label": NAMES[teacher], "marker": MARKERS[teacher]}
            draw_curve(panel, part, "examples_per_class", "validation_accuracy", COLOURS[teacher], **style)
        if selection not in _chosen(cells):
            panel.text(0.5, 0.5, "the whole set alone was run", ha="center", transform=panel.transAxes)
        panel.set_xscale("log")
        panel.set_ylim(bottom=0)
        label_axes(
            panel, f"at equal {budget}", "examples per class", "validation accuracy (%)" if budget == "epochs" else ""
        )
    label_curves(*axes[0])
    return figure


@matplotlib.rc_context(STYLE)
def selections_compared(cells: pd.DataFrame) -> Figure:
    """Does choosing by entropy help? The selections of the run, at equal steps, for both teachers.

    Beside them, where the table has it, what random examples teach by their labels alone.
    """
    figure, axes = subplots(1, 2, 3.3, sharey=True)
    styles = {"entropy": "-", "random": "--", "lowest": ":"}
    for panel, teacher in zip(axes[0], ("small", "large"), strict=True):
        for selection in _chosen(cells):
            part = cells[(cells.teacher == teacher) & (cells.selection == selection) & (cells.budget == "steps")]
            label = {"entropy": "highest entropy", "lowest": "lowest entropy"}.get(selection, selection)
            style = {"linestyle": styles[selection], "marker": MARKERS[teacher]}
            draw_curve(panel, part, "examples_per_class", "validation_accuracy", COLOURS[teacher], label, **style)
        if not (alone := cells[cells.teacher == "none"]).empty:
            style = {"linestyle": styles["random"], "marker": "."}
            curve = "examples_per_class", "validation_accuracy", COLOURS["none"], f"random, {NAMES['none']}"
            draw_curve(panel, alone, *curve, **style)
        panel.set_xscale("log")
        label_axes(panel, NAMES[teacher], "examples per class", "validation accuracy (%)" if teacher == "small" else "")
    label_curves(*axes[0])
    return figure


def _chosen(cells: pd.DataFrame) -> list[str]:
    """The selections by which a run chose examples; the whole transfer set is no choice."""
    return cells[~cells.full.astype(bool)].selection.unique().tolist()

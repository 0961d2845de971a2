"""Figures of the controls, from tidy tables. Each function computes nothing new."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from ...claims.controls import CHANGES
from ...claims.intervals import t_interval
from ...report.drawing import (
    COLOURS,
    MARKERS,
    OUTLINE,
    STYLE,
    draw_curve,
    label_axes,
    label_curves,
    sequential_colours,
    subplots,
)
from ...report.formatting import NAMES
from ...training.choices import TEMPERATURE


@matplotlib.rc_context(STYLE)
def controls(cells: pd.DataFrame, columns: dict[str, str]) -> Figure:
    """Figure of what each control changes at T = 9: a row for each, a mark with its interval for each teacher."""
    figure, axes = subplots(1, len(columns), 3.6, sharey=True)
    nine = cells[cells.temperature == TEMPERATURE]
    # A student of hard labels alone has no teacher, whichever its row names.
    nine = nine.assign(teacher=nine.teacher.where(nine.control != "hard", "none"))
    names = [name for name in CHANGES if name in set(nine.control)]
    for panel, (column, title) in zip(axes[0], columns.items(), strict=True):
        for y, name in enumerate(names):
            for offset, teacher in ((-0.13, "small"), (0.13, "large"), (0, "none")):
                part = nine[(nine.control == name) & (nine.teacher == teacher)]
                if part.empty:
                    continue
                interval = t_interval(part.groupby("seed")[column].mean())
                panel.plot([interval.low, interval.high], [y + offset] * 2, color=COLOURS[teacher])
                panel.plot(interval.mean, y + offset, MARKERS.get(teacher, "D"), color=COLOURS[teacher])
                if name == names[0] and panel is axes[0, 0]:
                    side = -1 if interval.mean > 50 else 1
                    style = {"ha": "right" if side < 0 else "left", "va": "center", "path_effects": [OUTLINE]}
                    place = (interval.mean, y + offset), (7 * side, 0)
                    panel.annotate(teacher, *place, textcoords="offset points", color=COLOURS[teacher], **style)
        panel.set_xlim(-5, 105)
        label_axes(panel, title, "test accuracy (%)", "")
    axes[0, 0].set(yticks=range(len(names)), yticklabels=[CHANGES[name] for name in names])
    axes[0, 0].invert_yaxis()
    return figure


@matplotlib.rc_context(STYLE)
def t_squared(cells: pd.DataFrame) -> Figure:
    """Raw accuracy on the missing class against temperature, under equation 4 and with T squared."""
    figure, axes = subplots(1, 2, 3.2, sharey=True)
    for panel, teacher in zip(axes[0], ("small", "large"), strict=True):
        for control, label, style in (("responses", "equation 4", "-"), ("t_squared", "with T²", "--")):
            part = cells[(cells.teacher == teacher) & (cells.control == control)]
            keywords = {"linestyle": style, "marker": MARKERS[teacher]}
            draw_curve(panel, part, "temperature", "raw", COLOURS[teacher], label, **keywords)
        panel.set_xticks(sorted(cells.temperature.unique()))
        panel.set_ylim(-3, 103)
        label_axes(panel, NAMES[teacher], "temperature T", "test accuracy (%)" if teacher == "small" else "")
    label_curves(*axes[0])
    return figure


@matplotlib.rc_context(STYLE)
def missing_class_against_training(epochs: pd.DataFrame) -> Figure:
    """Raw accuracy on the missing class after each kept epoch: against epochs, the teacher's accuracy, its entropy."""
    figure, axes = subplots(1, 3, 3.2, sharey=True)
    titles = {"epoch": "epochs", "validation_accuracy": "accuracy (%)", "entropy": "entropy (nats)"}
    for panel, (column, title) in zip(axes[0], titles.items(), strict=True):
        for teacher in ("small", "large"):
            part, style = epochs[epochs.teacher == teacher], {"marker": MARKERS[teacher]}
            if column == "epoch":
                draw_curve(panel, part, column, "raw", COLOURS[teacher], NAMES[teacher], **style)
            else:
                path = part.groupby("epoch").mean(numeric_only=True)
                panel.plot(path[column], path.raw, color=COLOURS[teacher], markersize=4.5, **style)
        label_axes(panel, f"against {title.partition(' (')[0]}", f"teacher's {title}", "")
    axes[0, 0].set_ylabel("accuracy on the missing class (%)")
    figure.get_layout_engine().set(wspace=0.06)  # else the last tick's label meets the next panel's first
    label_curves(axes[0, 0])
    return figure


@matplotlib.rc_context(STYLE)
def entropy_against_updates(table: pd.DataFrame) -> Figure:
    """Entropy of the large teacher against its updates, and against updates times learning rate."""
    figure, axes = subplots(1, 2, 3.3, sharey=True)
    runs = sorted(set(zip(table.batch_size, table.learning_rate, strict=True)), key=lambda run: (run[1], run[0]))
    colours = sequential_colours(len(runs))
    for panel, (column, title) in zip(
        axes[0], (("updates", "updates"), ("travelled", "updates × learning rate")), strict=True
    ):
        for (size, rate), colour in zip(runs, colours, strict=True):
            part = table[(table.batch_size == size) & (table.learning_rate == rate)]
            scaled = bool(rate > table.learning_rate.min())
            style = {"marker": "^" if scaled else ".", "linestyle": "--" if scaled else "-"}
            draw_curve(panel, part, column, "entropy", colour, f"batch {size}{', rate scaled' * scaled}", **style)
        panel.set_xscale("log")
        label_axes(panel, f"against {title}", title, "mean entropy (nats)" if column == "updates" else "")
    label_curves(*axes[0], column=1)
    return figure


@matplotlib.rc_context(STYLE)
def gradient_norms(table: pd.DataFrame) -> Figure:
    """Length of the soft labels' gradient over that of the hard labels', along a student's training.

    Empty where one of the terms has no weight (alpha 0 or 1).
    """
    figure, axes = subplots(1, 2, 3.2, sharey=True)
    temperatures = sorted(table.temperature.unique())
    colours = sequential_colours(len(temperatures))
    table = table[(table.soft > 0) & (table.hard > 0)]
    table = table.assign(weight=table.soft / table.hard)
    for panel, teacher in zip(axes[0], ("small", "large"), strict=True):
        if table.empty:
            panel.text(0.5, 0.5, "one term alone has a gradient", ha="center", transform=panel.transAxes)
            continue
        for temperature, colour in zip(temperatures, colours, strict=True):
            part = table[(table.teacher == teacher) & (table.temperature == temperature)]
            draw_curve(panel, part, "step", "weight", colour, f"T = {temperature:g}", marker=".")
        panel.axhline(1, color="#555555", linestyle=":", linewidth=1)
        panel.set(xscale="log", yscale="log")
        label_axes(panel, NAMES[teacher], "step of the student", "soft over hard" if teacher == "small" else "")
    if not table.empty:
        label_curves(*axes[0])
    return figure

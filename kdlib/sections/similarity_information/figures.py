"""Figures on similarity information, from tidy tables. Each function computes nothing new."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ...claims.rows import last_epoch
from ...report.drawing import COLOURS, MARKERS, OUTLINE, STYLE, draw_curve, heatmap, label_axes, label_curves, subplots
from ...report.formatting import NAMES
from ...report.shown import in_figure, ticks
from ...training.choices import TEMPERATURE
from .tables import YARDSTICKS, on_its_images

PANELS = {"small": NAMES["small"], "large": NAMES["large"], "linear": YARDSTICKS["linear"]}


@matplotlib.rc_context(STYLE)
def class_similarity(similarity: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Class similarities at T = 9 of both teachers and of a linear classifier, first seed; panels have own colours."""
    figure, axes = subplots(1, 3, 3.3, sharey=True)
    rows = similarity[similarity.setting == "default"]
    for panel, (who, title) in zip(axes[0], PANELS.items(), strict=True):
        grid = rows[rows.teacher == who].pivot_table(index="class", columns="other", values="share")
        heatmap(panel, 100 * grid, *np.nanquantile(100 * grid, (0, 0.98)), "{:.0f}")
        shown = list(ticks(len(names), 12))
        panel.set_xticks(shown, [in_figure(names[c]) for c in shown], rotation=90, fontsize=7)
        panel.set_yticks(shown, [in_figure(names[c]) for c in shown], fontsize=7)
        label_axes(panel, title, "other class", "class" if panel is axes[0, 0] else "")
    return figure


@matplotlib.rc_context(STYLE)
def agreement_against_temperature(agreement: pd.DataFrame, yardsticks: pd.DataFrame) -> Figure:
    """Rank correlation of both teachers' class similarities with each yardstick against temperature, last epoch.

    Dotted: how far people's labels agree with themselves, half with half, and with the other set of people's labels.
    """
    rows = on_its_images(last_epoch(agreement[agreement.setting == "default"]))
    figure, axes = _panels(rows, "temperature", "temperature T", "spearman", "rank correlation")
    for panel, name in zip(axes, rows.yardstick.unique(), strict=True):
        of_people = yardsticks[yardsticks.yardstick.eq(name) | yardsticks.other.eq(name)]
        for row in of_people[of_people.yardstick.str.startswith("cifar10") & (of_people.spearman > 0)].itertuples():
            if row.other == "itself" or {row.yardstick, row.other} == {"cifar10h", "cifar10n"}:
                said = "half with half" if row.other == "itself" else "both sets of people"
                panel.axhline(row.spearman, color="#555555", linestyle=":", linewidth=1)
                place = (panel.get_xlim()[0], row.spearman)
                style = {"textcoords": "offset points", "fontsize": 7, "path_effects": [OUTLINE]}
                panel.annotate(said, place, (4, 2), color="#555555", **style)
    label_curves(axes[-1])
    return figure


@matplotlib.rc_context(STYLE)
def agreement_against_epochs(agreement: pd.DataFrame) -> Figure:
    """Rank correlation with each yardstick at T = 9 after each kept epoch, on training responses."""
    rows = agreement[(agreement.setting == "default") & (agreement.split == "train")]
    rows = rows[rows.temperature == TEMPERATURE]
    figure, axes = _panels(rows, "epoch", "epochs of the teacher", "spearman", "rank correlation")
    label_curves(axes[-1])
    return figure


@matplotlib.rc_context(STYLE)
def information_on_single_images(images: pd.DataFrame) -> Figure:
    """Mean cosine with a yardstick on single images, above that of the class's mean response, against temperature."""
    rows = images[images.setting == "default"]
    figure, axes = _panels(rows, "temperature", "temperature T", "lead", "cosine above class mean")
    for panel in axes:
        panel.axhline(0, color="#555555", linestyle="--", linewidth=1)
    label_curves(axes[-1])
    return figure


@matplotlib.rc_context(STYLE)
def entropy_parts(parts: pd.DataFrame) -> Figure:
    """The average entropy of training responses and its two parts against temperature, last epoch."""
    figure, axes = subplots(1, 3, 3.1)
    rows = last_epoch(parts[parts.setting == "default"])
    titles = {
        "entropy": "average entropy",
        "of_class_mean": "= of class means",
        "instance": "− on single examples",
    }
    for panel, (column, title) in zip(axes[0], titles.items(), strict=True):
        for teacher in ("small", "large"):
            style = {"marker": MARKERS[teacher]}
            part = rows[rows.teacher == teacher]
            draw_curve(panel, part, "temperature", column, COLOURS[teacher], teacher, **style)
        label_axes(panel, title, "temperature T", "nats" if column == "entropy" else "")
    label_curves(*axes[0])
    return figure


def _panels(rows: pd.DataFrame, x: str, x_label: str, y: str, y_label: str) -> tuple[Figure, list]:
    """A panel for each yardstick with both teachers' curves."""
    names = [name for name in YARDSTICKS if name in set(rows.yardstick)]
    figure, axes = subplots(1, len(names), 3.1, sharey=True)
    for panel, name in zip(axes[0], names, strict=True):
        for teacher in ("small", "large"):
            part = rows[(rows.teacher == teacher) & (rows.yardstick == name)]
            draw_curve(panel, part, x, y, COLOURS[teacher], teacher, marker=MARKERS[teacher])
        label_axes(panel, YARDSTICKS[name], x_label, y_label if panel is axes[0, 0] else "")
        panel.title.set_fontsize(9)
    if y == "spearman":  # shown, no band passes the ends of its range
        low, high = axes[0, 0].get_ylim()
        axes[0, 0].set_ylim(max(low, -1.02), min(high, 1.02))
    return figure, list(axes[0])

"""Figures of the related systems, from tidy tables. They compute nothing new."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ...report.drawing import COLOURS, MARKERS, OUTLINE, STYLE, label_axes, readable_colour, subplots
from ...report.formatting import NAMES
from .arms import DEFAULT, LABELS, TUNED
from .comparison import ARM, BASE, differences, pareto_front, without_repeats

PANELS = {"given_teacher": "given a trained teacher", "total": "with the teacher's training"}
AGAINST = {BASE: "minus equation 4", LABELS: "minus labels alone"}
LEFT_FROM = 0.7  # of a panel's width: from there on an arm's name stands to the left of it
SHOWN_ENDS = 0.9  # so many of the ends of intervals lie within a panel, and all means
OFFSETS = {DEFAULT: 0.0, TUNED: 0.3}  # of rows, below the system's own line


@matplotlib.rc_context(STYLE)
def accuracy_against_compute(cells: pd.DataFrame) -> Figure:
    """Test accuracy of every arm against the operations behind it, in students of labels alone, whose curve it joins.

    Arms that no other beats in both are named.
    """
    figure, axes = subplots(1, len(PANELS), 4.2, sharey=True)
    whole = without_repeats(cells[cells.full])
    unit = whole[(whole.system == LABELS) & (whole.length == 1)].operations_total.mean()
    for panel, (cost, title) in zip(axes[0], PANELS.items(), strict=True):
        column = f"operations_{cost}"
        points = whole.groupby([*ARM, "length"], as_index=False, sort=False)[[column, "accuracy"]].mean()
        points["students"] = points[column] / unit
        points["front"] = pareto_front(points, column, "accuracy")
        alone = points[points.system == LABELS].sort_values("students")
        panel.plot(alone.students, alone.accuracy, "D-", color=COLOURS["none"], markersize=5, label="labels alone")
        for (teacher, weights), part in points[points.system != LABELS].groupby(["teacher", "weights"], sort=False):
            face = COLOURS[teacher] if weights == DEFAULT else "white"
            style = {"marker": MARKERS.get(teacher, "v"), "facecolor": face, "edgecolor": COLOURS[teacher]}
            name = f"{NAMES[teacher] if teacher != 'none' else 'no teacher'}, {weights}"
            panel.scatter(part.students, part.accuracy, s=26, label=name, zorder=3, **style)
        panel.set_xscale("log")
        label_axes(panel, title, "operations / one student's", "test accuracy (%)" if panel is axes[0, 0] else "")
        _name_front(panel, points[points.front & (points.system != LABELS)].drop_duplicates("system"))
    axes[0, 0].legend(fontsize=7, loc="lower right")
    return figure


def _name_front(panel: matplotlib.axes.Axes, front: pd.DataFrame) -> None:
    """The names of the arms of the front, beside their markers: to the left in the right part of the panel."""
    low, high = np.log(panel.get_xlim())
    for arm in front.itertuples():
        right = (np.log(arm.students) - low) / (high - low) > LEFT_FROM
        place = {"xytext": (-6 if right else 6, -2), "ha": "right" if right else "left"}
        style = {"fontsize": 7, "textcoords": "offset points", "path_effects": [OUTLINE], "zorder": 4}
        colour = readable_colour(COLOURS[arm.teacher])
        panel.annotate(arm.system, (arm.students, arm.accuracy), color=colour, **place, **style)


@matplotlib.rc_context(STYLE)
def differences_of_systems(cells: pd.DataFrame, missing: pd.DataFrame) -> Figure:
    """Differences of all arms to equation 4 and to labels alone, with 95% t intervals, all examples; a row a system."""
    found = differences(cells, missing)
    found = found[(found.measure == "all examples") & found.n.gt(0)]
    order = found[found.to == LABELS].groupby("system")["mean"].max().sort_values().index
    teachers = [name for name in COLOURS if name in set(found.teacher)]
    figure, axes = subplots(1, len(AGAINST), 1.2 + 0.23 * len(order) * max(1, len(teachers) / 2), sharey=True)
    for panel, (to, title) in zip(axes[0], AGAINST.items(), strict=True):
        for row in found[found.to == to].itertuples():
            y = list(order).index(row.system) - OFFSETS[row.weights] + 0.12 * (teachers.index(row.teacher) - 1)
            face = COLOURS[row.teacher] if row.weights == DEFAULT else "white"
            panel.plot([row.low, row.high], [y, y], color=COLOURS[row.teacher], linewidth=1.2)
            style = {"color": COLOURS[row.teacher], "markerfacecolor": face, "markersize": 4}
            panel.plot(row.mean, y, MARKERS.get(row.teacher, "v"), **style)
        panel.axvline(0, color="#555555", linestyle="--", linewidth=1)
        shown = found[found.to == to]
        limit = np.nanmax([shown["mean"].abs().max(), shown[["low", "high"]].abs().stack().quantile(SHOWN_ENDS), 0.1])
        panel.set_xlim(-1.1 * limit, 1.1 * limit)
        label_axes(panel, title, "test accuracy, percentage points", "")
    axes[0, 0].set(yticks=range(len(order)), yticklabels=order)
    axes[0, 0].tick_params(axis="y", labelsize=8)
    return figure

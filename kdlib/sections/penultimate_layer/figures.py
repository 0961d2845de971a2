"""Figures of the penultimate layer (section 4.3), from tidy tables. Each function computes nothing new."""

from collections.abc import Sequence

import matplotlib
import pandas as pd
from matplotlib import ticker
from matplotlib.figure import Figure

from ...claims.intervals import ratio_interval, t_interval
from ...report.drawing import COLOURS, MARKERS, OUTLINE, STYLE, label_axes, readable_colour, subplots
from ...report.formatting import setting_name
from ...report.shown import in_figure


@matplotlib.rc_context(STYLE)
def penultimate_layer(points: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Figures 5 and 7: three classes in the penultimate layer, one panel for each teacher and setting."""
    panels = list(points.groupby(["teacher", "setting"], sort=False))
    figure, axes = subplots(1, len(panels), 2.9)
    for panel, ((teacher, setting), rows) in zip(axes[0], panels, strict=True):
        for (label, cluster), colour, marker in zip(
            rows.groupby("class"), ("#0072B2", "#D55E00", "#009E73"), "os^", strict=False
        ):
            panel.scatter(cluster.x, cluster.y, s=7, c=colour, marker=marker, alpha=0.55, linewidths=0)
            middle = cluster.x.median(), cluster.y.median()
            style = {"ha": "center", "va": "center", "weight": "bold", "path_effects": [OUTLINE]}
            panel.text(*middle, in_figure(names[label]), color=readable_colour(colour), fontsize=9, **style)
        panel.set_title(setting_name(teacher, setting), fontsize=9.5)
        panel.tick_params(labelsize=7)
        panel.grid(False)
    return figure


@matplotlib.rc_context(STYLE)
def tightness(table: pd.DataFrame) -> Figure:
    """NC1 (smaller is tighter) and silhouette (larger is tighter) of each teacher and setting, train and held-out."""
    figure, axes = subplots(1, 2, 2.8, sharey=True)
    groups = list(table.groupby(["teacher", "setting"], sort=False))
    for panel, column, title in zip(axes[0], ("nc1", "silhouette"), ("NC1", "silhouette"), strict=True):
        for y, ((teacher, _), rows) in enumerate(groups):
            for offset, (split, fill) in enumerate((("train", "full"), ("validation", "none"))):
                values = rows[rows.split == split][column]
                interval = ratio_interval(values[values > 0]) if column == "nc1" else t_interval(values)
                height = y + 0.16 * (2 * offset - 1)
                panel.plot([interval.low, interval.high], [height] * 2, color=COLOURS[teacher])
                panel.plot(interval.mean, height, MARKERS[teacher], color=COLOURS[teacher], fillstyle=fill)
        if column == "nc1":
            panel.set_xscale("log")
            panel.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            panel.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
            panel.xaxis.set_minor_formatter(ticker.NullFormatter())
        label_axes(panel, title, "training (filled) and held-out (open) examples", "")
    labels = [setting_name(*pair) for pair, _ in groups]
    axes[0, 0].set(yticks=range(len(groups)), yticklabels=labels)
    axes[0, 0].invert_yaxis()
    return figure

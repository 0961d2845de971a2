"""The figure of the confounds of capacity, from a tidy table. It computes nothing new."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from ...claims.intervals import t_interval
from ...report.drawing import COLOURS, STYLE, label_axes, subplots
from ...training.choices import TEMPERATURE
from .tables import NAMES

SHOWN = {"entropy": f"entropy at T = {TEMPERATURE:g} (nats)", "corrected": "missing class, bias corrected (%)"}


@matplotlib.rc_context(STYLE)
def confounded_teachers(table: pd.DataFrame) -> Figure:
    """Entropy, and what students know of a missing class, of each teacher, in order of its number of parameters."""
    figure, axes = subplots(1, len(SHOWN), 3.6, sharey=True)
    groups = sorted(table.groupby("teacher"), key=lambda pair: pair[1].parameters.iloc[0])
    for panel, (column, title) in zip(axes[0], SHOWN.items(), strict=True):
        for y, (name, rows) in enumerate(groups):
            interval, colour = t_interval(rows[column]), COLOURS[name.partition("_")[0]]
            panel.plot([interval.low, interval.high], [y, y], color=colour)
            panel.plot(interval.mean, y, "o" if name.startswith("small") else "s", color=colour)
        label_axes(panel, title, "mean over teacher seeds", "")
    labels = [f"{NAMES[name]}: {rows.parameters.iloc[0]:,}" for name, rows in groups]
    axes[0, 0].set(yticks=range(len(groups)), yticklabels=labels)
    return figure

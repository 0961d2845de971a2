"""The figures of the pages, from tidy tables. Each function returns a matplotlib figure and computes nothing new."""

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import patheffects, ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .controls import CHANGES
from .measures import t_interval
from .paper import missing_class_table
from .statistics.common import last_epoch, nearest

# Okabe and Ito's colours, told apart with any colour vision; each teacher also has a marker of its own.
COLOURS = {"small": "#0072B2", "large": "#D55E00", "large_sweet": "#007A5A"}
MARKERS = {"small": "o", "large": "s", "large_sweet": "^"}
NAMES = {"small": "small teacher", "large": "large teacher", "large_sweet": "large, sweet spot"}
STYLE = {
    "figure.dpi": 150,
    "savefig.dpi": 150,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
}
WIDTH = 8.0  # inches
STROKES = {"-": "— ", "--": "- - ", ":": "··· "}  # before the names of curves that one colour does not tell apart
OUTLINE = patheffects.withStroke(linewidth=2.5, foreground="white")  # of text over curves


def _canvas(rows: int, columns: int, height: float, **keywords: object) -> tuple[Figure, np.ndarray]:
    from matplotlib import pyplot  # with it a notebook shows returned figures; closed, so that it shows them once

    figure, axes = pyplot.subplots(rows, columns, figsize=(WIDTH, height), squeeze=False, **keywords)
    pyplot.close(figure)
    return figure, axes


def _intervals(table: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Mean and 95% t interval over teacher seeds of `y` at each `x` (rows of one seed are averaged first)."""
    by_seed = table.groupby([x, "seed"], as_index=False)[y].mean()
    rows = [(value, t_interval(part[y])) for value, part in by_seed.groupby(x)]
    return pd.DataFrame([{x: value, "mean": i.mean, "low": i.low, "high": i.high} for value, i in rows])


def _curve(axes: Axes, table: pd.DataFrame, x: str, y: str, colour: str, label: str, **style: object) -> None:
    line = _intervals(table, x, y)
    axes.plot(line[x], line["mean"], color=colour, label=label, markersize=4.5, **style)
    axes.fill_between(line[x], line["low"], line["high"], color=colour, alpha=0.15, linewidth=0)


def _finish(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set(title=title, xlabel=x, ylabel=y)


def _name_curves(*panels: Axes, title: str = "", size: float = 8) -> None:
    """In each panel every curve's name at its right end, in its colour, with a title above the names.

    Called last: it needs the final limits of the axes, which panels may share.
    """
    for axes in panels:
        _name_curves_of(axes, title, size)


def _name_curves_of(axes: Axes, title: str, size: float) -> None:
    """The names of one panel's curves, moved apart where they would meet."""
    from sklearn.isotonic import isotonic_regression

    axes.figure.get_layout_engine().execute(axes.figure)
    points = 72 / axes.figure.dpi
    left, bottom, right, top = axes.get_window_extent().extents * points
    named = [line for line in axes.get_lines() if not line.get_label().startswith("_")]
    ends = np.array([line.get_xydata()[np.isfinite(line.get_xydata()).all(1)][-1] for line in named])
    x, y = axes.transData.transform(ends).T * points
    ends[x > x.max() - 0.2 * (right - left), 0] = ends[x.argmax(), 0]  # nearly as far right: in one column
    order = np.argsort(y, kind="stable")
    steps = 1.2 * size * np.arange(len(order))
    highest = top - 1.3 * size * bool(title) - steps[-1]
    places = isotonic_regression(y[order] - steps, y_min=min(bottom, highest), y_max=highest) + steps
    style = {"textcoords": "offset points", "fontsize": size, "va": "center", "path_effects": [OUTLINE]}
    colours = [matplotlib.colors.to_hex(line.get_color()) for line in named]
    for i, place in zip(order, places, strict=True):
        line = named[i]
        sample = STROKES.get(line.get_linestyle(), "") if colours.count(colours[i]) > 1 else ""
        axes.annotate(sample + line.get_label(), ends[i], (7, place - y[i]), color=_readable(line.get_color()), **style)
    if title:
        at = 7, places[-1] - y[order[-1]] + 1.3 * size
        axes.annotate(title, ends[order[-1]], at, color="#444444", **style)


def _shades(n: int) -> np.ndarray:
    """Colours of `n` ordered settings, dark to light, none too light for white paper."""
    return matplotlib.colormaps["viridis"](np.linspace(0, 0.85, n))


def _readable(colour: object) -> tuple[float, ...]:
    """A curve's colour as one of text on white, darkened where its contrast (WCAG 2.2) is below 4.5."""
    linear = ((np.array(matplotlib.colors.to_rgb(colour)) + 0.055) / 1.055) ** 2.4
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    return tuple(np.clip(1.055 * (linear * min(1.0, 0.18 / luminance)) ** (1 / 2.4) - 0.055, 0, 1))


@matplotlib.rc_context(STYLE)
def soft_labels(images: np.ndarray, labels: pd.DataFrame, shown: int, names: Sequence[str]) -> Figure:
    """Figure 1(b) and (c) as measured: each example's image beside both teachers' soft labels, and label smoothing."""
    classes = len(names)
    figure, axes = _canvas(len(images), 3, 1.25 * len(images) + 0.6, width_ratios=(1, 4, 4), sharex="col")
    top = 1.1 * labels.soft_label.max()
    for row, image in enumerate(images):
        picture = axes[row, 0]
        picture.imshow(np.moveaxis(image, 0, -1), cmap="gray_r", vmin=0, vmax=1)
        picture.set_axis_off()
        for column, teacher in enumerate(("small", "large"), start=1):
            part = labels[(labels.teacher == teacher) & (labels.example == row + 1)].sort_values("class")
            bars = axes[row, column]
            bars.bar(
                part["class"],
                part.soft_label,
                color=[COLOURS[teacher] if c == shown else "#9a9a9a" for c in part["class"]],
            )
            bars.set(ylim=(0, top), xticks=range(classes))
            if row == 0:
                bars.set_title(NAMES[teacher])
            if row == len(images) - 1:
                bars.set_xlabel("class")
        axes[row, 1].set_ylabel("probability")
    return figure


@matplotlib.rc_context(STYLE)
def entropy_against_temperature(table: pd.DataFrame, classes: int) -> Figure:
    """Figure 3: mean entropy of the responses against temperature; the dotted line is the largest possible."""
    figure, axes = _canvas(1, 2, 3.4, sharey=True)
    last = last_epoch(table)
    for panel, split in zip(axes[0], ("train", "validation"), strict=True):
        for teacher in ("small", "large"):
            part = last[(last.teacher == teacher) & (last.split == split)]
            _curve(panel, part, "temperature", "entropy", COLOURS[teacher], NAMES[teacher], marker=MARKERS[teacher])
        panel.axhline(math.log(classes), color="#555555", linestyle=":", linewidth=1)
        panel.annotate(f"log {classes}", (1, math.log(classes)), (0, 3), textcoords="offset points", fontsize=8)
        _finish(panel, f"{split} examples", "temperature T", "mean entropy (nats)" if split == "train" else "")
    _name_curves(*axes[0])
    return figure


@matplotlib.rc_context(STYLE)
def entropy_against_epochs(entropies: pd.DataFrame, teachers: pd.DataFrame, temperature: float) -> Figure:
    """Mean entropy at one temperature, validation accuracy, and one against the other, after each kept epoch."""
    figure, axes = _canvas(1, 3, 3.2)
    part = entropies[(entropies.temperature == temperature) & (entropies.split == "train")]
    for teacher in ("small", "large"):
        colour, style = COLOURS[teacher], {"marker": MARKERS[teacher]}
        curve, accuracy = part[part.teacher == teacher], teachers[teachers.teacher == teacher]
        _curve(axes[0, 0], curve, "epoch", "entropy", colour, teacher, **style)
        _curve(axes[0, 1], accuracy, "epoch", "validation_accuracy", colour, teacher, **style)
        path = curve.merge(accuracy, on=["seed", "teacher", "epoch"]).groupby("epoch").mean(numeric_only=True)
        axes[0, 2].plot(path.validation_accuracy, path.entropy, color=colour, markersize=4.5, label=teacher, **style)
    _finish(axes[0, 0], f"entropy at T = {temperature:g}", "epochs of the teacher", "mean entropy (nats)")
    _finish(axes[0, 1], "accuracy", "epochs of the teacher", "validation accuracy (%)")
    _finish(axes[0, 2], "at equal accuracy", "validation accuracy (%)", "mean entropy (nats)")
    _name_curves(*axes[0])
    return figure


@matplotlib.rc_context(STYLE)
def between_one_hot_and_label_smoothing(position: pd.DataFrame, classes: int) -> Figure:
    """Figures 2 and 10 as measured: entropy against confidence, with the curve on which label smoothing lies."""
    figure, axes = _canvas(1, 2, 3.8)
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
        [marked] = mean[mean.temperature == 9].itertuples()
        arrow = {"arrowstyle": "-", "color": colour, "linewidth": 0.8}
        style = {**note, "textcoords": "axes fraction", "color": colour, "arrowprops": arrow}
        panel.annotate(f"{NAMES[teacher]}, T = 9", (marked.confidence, marked.entropy), place, **style)
        rows = position[position.teacher == teacher]
        _curve(distance, rows, "temperature", "distance_to_label_smoothing", colour, NAMES[teacher], marker=marker)
    _finish(panel, "where the responses lie", "mean confidence", "mean entropy (nats)")
    _finish(distance, "distance from label smoothing", "temperature T", "mean KL (nats)")
    _name_curves(distance)
    return figure


@matplotlib.rc_context(STYLE)
def variance_against_temperature(variance: pd.DataFrame) -> Figure:
    """Variance in response (section 3.3), raw and relative, within an example and across a class."""
    figure, axes = _canvas(1, 4, 2.9)
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
            _curve(panel, part, "temperature", column, COLOURS[teacher], teacher)
        _finish(panel, title, "temperature T", "" if "relative" in column else "variance (1/1000)")
        panel.tick_params(labelsize=8)
        if "relative" in column:
            panel.set_yscale("log")
    _name_curves(*axes[0])
    return figure


@matplotlib.rc_context(STYLE)
def missing_class_curves(cells: pd.DataFrame, dataset: str) -> Figure:
    """Accuracy on the class never seen, mean over classes, raw and bias corrected; the paper's as crosses."""
    figure, axes = _canvas(1, 2, 3.5, sharey=True)
    printed = missing_class_table(dataset)
    for panel, teacher in zip(axes[0], ("small", "large"), strict=True):
        part, colour = cells[cells.teacher == teacher], COLOURS[teacher]
        panel.set_xticks(sorted(cells.temperature.unique()))
        _curve(panel, part, "temperature", "raw", colour, "raw", marker=MARKERS[teacher])
        _curve(panel, part, "temperature", "corrected", colour, "bias corrected", marker=".", linestyle="--")
        _curve(panel, part, "temperature", "others", "#777777", "the other classes", linestyle=":")
        if printed is not None:
            mean = printed[printed.teacher == teacher].groupby("temperature").accuracy_percent.mean()
            panel.plot(mean.index, mean, "kx", markersize=7, label="paper, raw")
        _finish(panel, NAMES[teacher], "temperature T", "test accuracy (%)" if teacher == "small" else "")
        panel.set_ylim(-3, 103)
    _name_curves(*axes[0])
    return figure


@matplotlib.rc_context(STYLE)
def missing_class_heatmaps(cells: pd.DataFrame, names: Sequence[str], dataset: str) -> Figure:
    """Accuracy on each removed class at each temperature, a row for each teacher: the paper's, raw, and corrected."""
    views = [("here, raw", cells, "raw"), ("here, bias corrected", cells, "corrected")]
    if (printed := missing_class_table(dataset)) is not None:
        views = [("paper, raw", printed, "accuracy_percent"), *views]
    classes, temperatures = (sorted(cells[column].unique().tolist()) for column in ("missing_class", "temperature"))
    figure, axes = _canvas(2, len(views), 7.2, sharey=True, sharex=True)
    for row, teacher in zip(axes, ("small", "large"), strict=True):
        for panel, (title, table, column) in zip(row, views, strict=True):
            grid = table[table.teacher == teacher].pivot_table(
                index="missing_class", columns="temperature", values=column
            )
            _heatmap(panel, grid.rename(columns=float).reindex(index=classes, columns=temperatures), 0, 100, "{:.0f}")
            panel.set(yticks=range(len(classes)), yticklabels=[names[c] for c in classes])
            panel.set_title(title if teacher == "small" else "")
        row[0].set_ylabel(NAMES[teacher])
    for panel in axes[-1]:
        panel.set_xlabel("temperature T")
    return figure


@matplotlib.rc_context(STYLE)
def taken_for(table: pd.DataFrame, names: Sequence[str]) -> Figure:
    """What the test examples of a removed class are called (rows: removed class), mean over temperatures and seeds."""
    figure, axes = _canvas(1, 2, 4.2, sharey=True)
    for panel, teacher in zip(axes[0], ("small", "large"), strict=True):
        part = table[table.teacher == teacher]
        grid = part.pivot_table(index="missing_class", columns="predicted", values="percent")
        _heatmap(panel, grid, 0, 100, "{:.0f}")
        ticks = [names[c] for c in grid.columns]
        panel.set_xticks(range(len(ticks)), ticks, rotation=90 if max(map(len, ticks)) > 2 else 0)
        panel.set(yticks=range(len(grid)), yticklabels=[names[c] for c in grid.index], xlabel="called")
        panel.set_title(NAMES[teacher])
    axes[0, 0].set_ylabel("removed class")
    return figure


@matplotlib.rc_context(STYLE)
def accuracy_against_examples(cells: pd.DataFrame, selection: str, teachers: Sequence[str]) -> Figure:
    """Figures 4 and 8: best validation accuracy against examples per class, at equal epochs and at equal steps."""
    figure, axes = _canvas(1, 2, 3.5, sharey=True)
    for panel, budget in zip(axes[0], ("epochs", "steps"), strict=True):
        for teacher in teachers:
            part = cells[(cells.teacher == teacher) & (cells.selection == selection) & (cells.budget == budget)]
            style = {"marker": MARKERS[teacher]}
            _curve(panel, part, "examples_per_class", "validation_accuracy", COLOURS[teacher], NAMES[teacher], **style)
        panel.set_xscale("log")
        panel.set_ylim(bottom=0)
        _finish(
            panel, f"at equal {budget}", "examples per class", "validation accuracy (%)" if budget == "epochs" else ""
        )
    _name_curves(*axes[0])
    return figure


@matplotlib.rc_context(STYLE)
def selections_compared(cells: pd.DataFrame) -> Figure:
    """Does choosing by entropy help? The selections of the run, at equal steps, for both teachers."""
    figure, axes = _canvas(1, 2, 3.3, sharey=True)
    styles = {"entropy": "-", "random": "--", "lowest": ":"}
    for panel, teacher in zip(axes[0], ("small", "large"), strict=True):
        for selection in cells.selection.unique():
            part = cells[(cells.teacher == teacher) & (cells.selection == selection) & (cells.budget == "steps")]
            label = {"entropy": "highest entropy", "lowest": "lowest entropy"}.get(selection, selection)
            style = {"linestyle": styles[selection], "marker": MARKERS[teacher]}
            _curve(panel, part, "examples_per_class", "validation_accuracy", COLOURS[teacher], label, **style)
        panel.set_xscale("log")
        _finish(panel, NAMES[teacher], "examples per class", "validation accuracy (%)" if teacher == "small" else "")
    _name_curves(*axes[0])
    return figure


@matplotlib.rc_context(STYLE)
def penultimate_layer(points: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Figures 5 and 7: three classes in the penultimate layer, one panel for each teacher and setting."""
    panels = list(points.groupby(["teacher", "setting"], sort=False))
    figure, axes = _canvas(1, len(panels), 2.9)
    for panel, ((teacher, setting), rows) in zip(axes[0], panels, strict=True):
        for (label, cluster), colour, marker in zip(
            rows.groupby("class"), ("#0072B2", "#D55E00", "#009E73"), "os^", strict=False
        ):
            panel.scatter(cluster.x, cluster.y, s=7, c=colour, marker=marker, alpha=0.55, linewidths=0)
            middle = cluster.x.median(), cluster.y.median()
            style = {"ha": "center", "va": "center", "weight": "bold", "path_effects": [OUTLINE]}
            panel.text(*middle, names[label], color=_readable(colour), fontsize=9, **style)
        panel.set_title(
            NAMES[teacher] if setting == "default" else f"large, {setting.replace('x', ' × ')}", fontsize=9.5
        )
        panel.tick_params(labelsize=7)
        panel.grid(False)
    return figure


@matplotlib.rc_context(STYLE)
def tightness(table: pd.DataFrame) -> Figure:
    """NC1 (smaller is tighter) and silhouette (larger is tighter) of each teacher and setting, train and held-out."""
    figure, axes = _canvas(1, 2, 2.8, sharey=True)
    groups = list(table.groupby(["teacher", "setting"], sort=False))
    for panel, column, title in zip(axes[0], ("nc1", "silhouette"), ("NC1", "silhouette"), strict=True):
        for y, ((teacher, _), rows) in enumerate(groups):
            for offset, (split, fill) in enumerate((("train", "full"), ("validation", "none"))):
                interval = t_interval(rows[rows.split == split][column])
                height = y + 0.16 * (2 * offset - 1)
                panel.plot([interval.low, interval.high], [height] * 2, color=COLOURS[teacher])
                panel.plot(interval.mean, height, MARKERS[teacher], color=COLOURS[teacher], fillstyle=fill)
        if column == "nc1":
            panel.set_xscale("log")
            panel.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            panel.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
            panel.xaxis.set_minor_formatter(ticker.NullFormatter())
        _finish(panel, title, "training (filled) and held-out (open) examples", "")
    labels = [NAMES[t] if s == "default" else f"large, {s.replace('x', ' × ')}" for (t, s), _ in groups]
    axes[0, 0].set(yticks=range(len(groups)), yticklabels=labels)
    axes[0, 0].invert_yaxis()
    return figure


@matplotlib.rc_context(STYLE)
def entropy_of_the_large_teacher(table: pd.DataFrame, batch_size: int, epoch: int) -> Figure:
    """Figure 6: entropy against temperature, for batch sizes at an epoch and for epochs at the nearest batch size."""
    batch_size = nearest(table.batch_size.unique(), batch_size)
    figure, axes = _canvas(1, 3, 3.4)
    views = (
        (table[table.epoch == epoch], "batch_size", f"after {epoch} epochs"),
        (table[table.batch_size == batch_size], "epoch", f"at batch size {batch_size}"),
    )
    for panel, (part, by, title) in zip(axes[0], views, strict=False):
        values = sorted(part[by].unique())
        for value, colour in zip(values, _shades(len(values)), strict=True):
            _curve(panel, part[part[by] == value], "temperature", "entropy", colour, f"{value}")
        _finish(panel, title, "temperature T", "mean entropy (nats)")
        _name_curves(panel, title=by.replace("_", " "))
    nine = table[table.temperature == table.temperature.unique()[np.abs(table.temperature.unique() - 9).argmin()]]
    sizes = sorted(nine.batch_size.unique())
    for size, colour in zip(sizes, _shades(len(sizes)), strict=True):
        _curve(axes[0, 2], nine[nine.batch_size == size], "updates", "entropy", colour, f"batch {size}", marker=".")
    axes[0, 2].set_xscale("log")
    _finish(axes[0, 2], f"at T = {nine.temperature.iloc[0]:g}", "updates of the teacher", "")
    _name_curves(axes[0, 2])
    return figure


@matplotlib.rc_context(STYLE)
def sweet_spot_map(search: pd.DataFrame, chosen: pd.DataFrame) -> Figure:
    """Figure 1(a) as measured: a student's validation accuracy over batch size and epochs, the chosen pair framed."""
    figure, axes = _canvas(1, 2, 3.6)
    for panel, student in zip(axes[0], ("general", "baseline"), strict=True):
        part = search[search.student == student]
        grid = part.pivot_table(index="batch_size", columns="epoch", values="validation_accuracy")
        _heatmap(panel, grid, grid.min().min(), grid.max().max(), "{:.1f}")
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
    """The same map against the number of the teacher's updates: is it the batch size, or the length of training?"""
    figure, axes = _canvas(1, 2, 3.2)
    for panel, student in zip(axes[0], ("general", "baseline"), strict=True):
        part = search[search.student == student]
        sizes = sorted(part.batch_size.unique())
        for size, colour in zip(sizes, _shades(len(sizes)), strict=True):
            rows = part[part.batch_size == size]
            _curve(panel, rows, "updates", "validation_accuracy", colour, f"batch {size}", marker=".")
        panel.set_xscale("log")
        _finish(panel, f"{student} student", "updates of the large teacher", "validation accuracy (%)")
        _name_curves(panel)
    return figure


@matplotlib.rc_context(STYLE)
def baseline_student(table: pd.DataFrame) -> Figure:
    """Figure 9: test accuracy of the single-layer student against temperature, and of one that has no teacher."""
    figure, axes = _canvas(1, 1, 3.3)
    panel = axes[0, 0]
    temperatures = table[["temperature"]].drop_duplicates()
    panel.set_xticks(sorted(temperatures.temperature))
    for teacher in ("small", "large", "large_sweet"):
        part = table[table.teacher == teacher]
        _curve(panel, part, "temperature", "accuracy", COLOURS[teacher], NAMES[teacher], marker=MARKERS[teacher])
    alone = table[table.teacher == "none"].drop(columns="temperature").merge(temperatures, how="cross")
    _curve(panel, alone, "temperature", "accuracy", "#555555", "labels alone", linestyle=":")
    _finish(panel, "single-layer student", "temperature T", "test accuracy (%)")
    _name_curves(panel, size=9)
    return figure


@matplotlib.rc_context(STYLE)
def controls(cells: pd.DataFrame, columns: dict[str, str]) -> Figure:
    """What each control changes at T = 9: a row for each, a mark with its interval for each teacher."""
    figure, axes = _canvas(1, len(columns), 3.6, sharey=True)
    nine = cells[cells.temperature == 9]
    names = [name for name in CHANGES if name in set(nine.control)]
    for panel, (column, title) in zip(axes[0], columns.items(), strict=True):
        for y, name in enumerate(names):
            for offset, teacher in ((-0.13, "small"), (0.13, "large")):
                part = nine[(nine.control == name) & (nine.teacher == teacher)]
                if part.empty:
                    continue
                interval = t_interval(part.groupby("seed")[column].mean())
                panel.plot([interval.low, interval.high], [y + offset] * 2, color=COLOURS[teacher])
                panel.plot(interval.mean, y + offset, MARKERS[teacher], color=COLOURS[teacher])
                if name == names[0] and panel is axes[0, 0]:
                    side = -1 if interval.mean > 50 else 1
                    style = {"ha": "right" if side < 0 else "left", "va": "center", "path_effects": [OUTLINE]}
                    place = (interval.mean, y + offset), (7 * side, 0)
                    panel.annotate(teacher, *place, textcoords="offset points", color=COLOURS[teacher], **style)
        panel.set_xlim(-5, 105)
        _finish(panel, title, "test accuracy (%)", "")
    axes[0, 0].set(yticks=range(len(names)), yticklabels=[CHANGES[name] for name in names])
    axes[0, 0].invert_yaxis()
    return figure


@matplotlib.rc_context(STYLE)
def t_squared(cells: pd.DataFrame) -> Figure:
    """Raw accuracy on the missing class against temperature, under equation 4 and with T squared."""
    figure, axes = _canvas(1, 2, 3.2, sharey=True)
    for panel, teacher in zip(axes[0], ("small", "large"), strict=True):
        for control, label, style in (("responses", "equation 4", "-"), ("t_squared", "with T²", "--")):
            part = cells[(cells.teacher == teacher) & (cells.control == control)]
            keywords = {"linestyle": style, "marker": MARKERS[teacher]}
            _curve(panel, part, "temperature", "raw", COLOURS[teacher], label, **keywords)
        panel.set_xticks(sorted(cells.temperature.unique()))
        panel.set_ylim(-3, 103)
        _finish(panel, NAMES[teacher], "temperature T", "test accuracy (%)" if teacher == "small" else "")
    _name_curves(*axes[0])
    return figure


@matplotlib.rc_context(STYLE)
def missing_class_against_training(epochs: pd.DataFrame) -> Figure:
    """Raw accuracy on the missing class after each kept epoch: against epochs, the teacher's accuracy, its entropy."""
    figure, axes = _canvas(1, 3, 3.2, sharey=True)
    titles = {"epoch": "epochs", "validation_accuracy": "accuracy (%)", "entropy": "entropy (nats)"}
    for panel, (column, title) in zip(axes[0], titles.items(), strict=True):
        for teacher in ("small", "large"):
            part, style = epochs[epochs.teacher == teacher], {"marker": MARKERS[teacher]}
            if column == "epoch":
                _curve(panel, part, column, "raw", COLOURS[teacher], NAMES[teacher], **style)
            else:
                path = part.groupby("epoch").mean(numeric_only=True)
                panel.plot(path[column], path.raw, color=COLOURS[teacher], markersize=4.5, **style)
        _finish(panel, f"against {title.partition(' (')[0]}", f"teacher's {title}", "")
    axes[0, 0].set_ylabel("accuracy on the missing class (%)")
    figure.get_layout_engine().set(wspace=0.06)  # else the last tick's label meets the next panel's first
    _name_curves(axes[0, 0])
    return figure


@matplotlib.rc_context(STYLE)
def entropy_against_updates(table: pd.DataFrame) -> Figure:
    """Entropy of the large teacher against its updates, and against updates times learning rate."""
    figure, axes = _canvas(1, 2, 3.3, sharey=True)
    runs = sorted(set(zip(table.batch_size, table.learning_rate, strict=True)), key=lambda run: (run[1], run[0]))
    colours = _shades(len(runs))
    for panel, (column, title) in zip(
        axes[0], (("updates", "updates"), ("travelled", "updates × learning rate")), strict=True
    ):
        for (size, rate), colour in zip(runs, colours, strict=True):
            part = table[(table.batch_size == size) & (table.learning_rate == rate)]
            scaled = bool(rate > table.learning_rate.min())
            style = {"marker": "^" if scaled else ".", "linestyle": "--" if scaled else "-"}
            _curve(panel, part, column, "entropy", colour, f"batch {size}{', rate scaled' * scaled}", **style)
        panel.set_xscale("log")
        _finish(panel, f"against {title}", title, "mean entropy (nats)" if column == "updates" else "")
    _name_curves(*axes[0])
    return figure


@matplotlib.rc_context(STYLE)
def gradient_norms(table: pd.DataFrame) -> Figure:
    """Length of the soft labels' gradient over that of the hard labels', along a student's training.

    Empty where one of the terms has no weight (alpha 0 or 1).
    """
    figure, axes = _canvas(1, 2, 3.2, sharey=True)
    temperatures = sorted(table.temperature.unique())
    colours = _shades(len(temperatures))
    table = table[(table.soft > 0) & (table.hard > 0)]
    table = table.assign(weight=table.soft / table.hard)
    for panel, teacher in zip(axes[0], ("small", "large"), strict=True):
        if table.empty:
            panel.text(0.5, 0.5, "one term alone has a gradient", ha="center", transform=panel.transAxes)
            continue
        for temperature, colour in zip(temperatures, colours, strict=True):
            part = table[(table.teacher == teacher) & (table.temperature == temperature)]
            _curve(panel, part, "step", "weight", colour, f"T = {temperature:g}", marker=".")
        panel.axhline(1, color="#555555", linestyle=":", linewidth=1)
        panel.set(xscale="log", yscale="log")
        _finish(panel, NAMES[teacher], "step of the student", "soft over hard" if teacher == "small" else "")
    if not table.empty:
        _name_curves(*axes[0])
    return figure


def _heatmap(axes: Axes, grid: pd.DataFrame, low: float, high: float, text: str) -> None:
    axes.imshow(grid.to_numpy(), cmap="cividis", vmin=low, vmax=high, aspect="auto")
    for (row, column), value in np.ndenumerate(grid.to_numpy()):
        if np.isnan(value):
            continue
        dark = (value - low) < 0.55 * ((high - low) or 1)
        axes.text(
            column, row, text.format(value), ha="center", va="center", fontsize=7, color="white" if dark else "black"
        )
    columns = [f"{c:g}" if isinstance(c, float) else str(c) for c in grid.columns]
    axes.set_xticks(range(len(columns)), columns, fontsize=8)
    axes.grid(False)

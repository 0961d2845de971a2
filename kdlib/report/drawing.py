"""Drawing of figures: style, colours, curves with intervals, and names at the ends of curves."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure

from ..claims.intervals import t_interval

# Okabe and Ito's colours, told apart with any colour vision; each teacher also has a marker of its own.
COLOURS = {"small": "#0072B2", "large": "#D55E00", "large_sweet": "#007A5A", "none": "#555555"}


MARKERS = {"small": "o", "large": "s", "large_sweet": "^"}


# What a session may have as it likes; all else is matplotlib's default or ours, whatever a matplotlibrc says.
OF_A_SESSION = {"backend", "backend_fallback", "interactive", "timezone", "toolbar"}
STYLE = {
    **{k: v for k, v in matplotlib.rcParamsDefault.items() if k.partition(".")[0] not in OF_A_SESSION},
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


MOST_PRINTED = 20  # rows or columns of a heat map whose numbers can be read


STROKES = {"-": "— ", "--": "- - ", ":": "··· "}  # before the names of curves that one colour does not tell apart


OUTLINE = patheffects.withStroke(linewidth=2.5, foreground="white")  # of text over curves


class StyledFigure(Figure):
    """A figure that is drawn in the book's style too: some of its texts are made only then."""

    @matplotlib.rc_context(STYLE)
    def draw(self, renderer: RendererBase) -> None:
        """Draw all artists with the book's settings, whatever a user's matplotlibrc holds."""
        super().draw(renderer)

    def _repr_png_(self) -> bytes:
        """The picture that a notebook shows where MPLBACKEND names another backend than the notebook's own."""
        from IPython.core.pylabtools import print_figure

        return print_figure(self, bbox_inches="tight")  # as that one does


def subplots(rows: int, columns: int, height: float, **keywords: object) -> tuple[Figure, np.ndarray]:
    """A figure of the book's width with a grid of axes [rows, columns]; `height` in inches; closed in pyplot."""
    from matplotlib import pyplot  # with it a notebook shows returned figures; closed, so that it shows them once

    form = {"figsize": (WIDTH, height), "squeeze": False, "FigureClass": StyledFigure}
    figure, axes = pyplot.subplots(rows, columns, **form, **keywords)
    pyplot.close(figure)
    return figure, axes


def mean_intervals(table: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Mean and 95% t interval over teacher seeds of column `y` at each value of column `x`.

    Rows of one seed are averaged first. Columns of the result: `x`'s name, `mean`, `low`, `high`.
    """
    by_seed = table.groupby([x, "seed"], as_index=False)[y].mean()
    rows = [(value, t_interval(part[y])) for value, part in by_seed.groupby(x)]
    return pd.DataFrame([{x: value, "mean": i.mean, "low": i.low, "high": i.high} for value, i in rows])


def draw_curve(axes: Axes, table: pd.DataFrame, x: str, y: str, colour: str, label: str, **style: object) -> None:
    """Draw column `y` of a table against `x`: the mean over teacher seeds as a line, its 95% t interval as a band."""
    line = mean_intervals(table, x, y)
    axes.plot(line[x], line["mean"], color=colour, label=label, markersize=4.5, **style)
    axes.fill_between(line[x], line["low"], line["high"], color=colour, alpha=0.15, linewidth=0)


def label_axes(axes: Axes, title: str, x: str, y: str) -> None:
    """Set the title of a panel and the labels of its two axes."""
    axes.set(title=title, xlabel=x, ylabel=y)


def label_curves(*panels: Axes, title: str = "", size: float = 8, column: float = 0.2) -> None:
    """Write every curve's name at its right end in each panel, in its colour, with a title above the names.

    Curves that end nearly as far right as the farthest, by at most `column` of the panel's width, have their names in
    one column: all with 1, for curves that others cross behind their ends. Called last: it needs the final limits of
    the axes, which panels may share.
    """
    for figure in dict.fromkeys(axes.figure for axes in panels):
        figure.get_layout_engine().execute(figure)
    for axes in panels:
        _label_panel(axes, title, size, column)


def _label_panel(axes: Axes, title: str, size: float, column: float) -> None:
    """Write the names of one panel's curves, moved apart where they would meet."""
    from sklearn.isotonic import isotonic_regression

    points = 72 / axes.figure.dpi
    left, bottom, right, top = axes.get_window_extent().extents * points
    drawn = {
        line: line.get_xydata()[np.isfinite(line.get_xydata()).all(1)]
        for line in axes.get_lines()
        if not line.get_label().startswith("_")
    }
    named = [line for line, places in drawn.items() if len(places)]  # what was measured nowhere has no end
    if not named:
        return
    ends = np.array([drawn[line][-1] for line in named])
    x, y = axes.transData.transform(ends).T * points
    ends[x >= x.max() - column * (right - left), 0] = ends[x.argmax(), 0]
    order = np.argsort(y, kind="stable")
    steps = 1.2 * size * np.arange(len(order))
    highest = top - 1.3 * size * bool(title) - steps[-1]
    places = isotonic_regression(y[order] - steps, y_min=min(bottom, highest), y_max=highest) + steps
    style = {"textcoords": "offset points", "fontsize": size, "va": "center", "path_effects": [OUTLINE]}
    colours = [matplotlib.colors.to_hex(line.get_color()) for line in named]
    for i, place in zip(order, places, strict=True):
        line = named[i]
        sample = STROKES.get(line.get_linestyle(), "") if colours.count(colours[i]) > 1 else ""
        axes.annotate(
            sample + line.get_label(), ends[i], (7, place - y[i]), color=readable_colour(line.get_color()), **style
        )
    if title:
        at = 7, places[-1] - y[order[-1]] + 1.3 * size
        axes.annotate(title, ends[order[-1]], at, color="#444444", **style)


def sequential_colours(n: int) -> np.ndarray:
    """Colours of `n` ordered settings, dark to light, none too light for white paper."""
    return matplotlib.colormaps["viridis"](np.linspace(0, 0.85, n))


def readable_colour(colour: object) -> tuple[float, ...]:
    """A curve's colour as one of text on white, darkened where its contrast (WCAG 2.2) is below 4.5."""
    linear = ((np.array(matplotlib.colors.to_rgb(colour)) + 0.055) / 1.055) ** 2.4
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    return tuple(np.clip(1.055 * (linear * min(1.0, 0.18 / luminance)) ** (1 / 2.4) - 0.055, 0, 1))


def heatmap(axes: Axes, grid: pd.DataFrame, low: float, high: float, text: str) -> None:
    """Draw a table as a heat map; colours run from `low` to `high`.

    Each cell shows its number in the format `text`, if there are few enough to be read.
    """
    axes.imshow(grid.to_numpy(), cmap="cividis", vmin=low, vmax=high, aspect="auto")
    for (row, column), value in np.ndenumerate(grid.to_numpy()) if max(grid.shape) <= MOST_PRINTED else ():
        if np.isnan(value):
            continue
        dark = (value - low) < 0.55 * ((high - low) or 1)
        axes.text(
            column, row, text.format(value), ha="center", va="center", fontsize=7, color="white" if dark else "black"
        )
    columns = [f"{c:g}" if isinstance(c, float) else str(c) for c in grid.columns]
    axes.set_xticks(range(len(columns)), columns, fontsize=8)
    axes.grid(False)

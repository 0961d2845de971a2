"""Curves are named where they end: legibly, inside of their panel, and without covering each other."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.formatters import DisplayFormatter
from IPython.core.pylabtools import print_figure

from kdlib.book import figures
from kdlib.report import drawing
from kdlib.sections.penultimate_layer import tables as penultimate_layer


def contrast_with_white(colour: tuple) -> float:
    """WCAG 2.2."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in matplotlib.colors.to_rgb(colour)]
    return 1.05 / (0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] + 0.05)


def named(ends: list[float], title: str = "") -> tuple[matplotlib.figure.Figure, list]:
    """A panel of curves that end at these heights, and its names."""
    with matplotlib.rc_context(drawing.STYLE):
        figure, axes = drawing.subplots(1, 1, 3.0)
        for k, end in enumerate(ends):
            axes[0, 0].plot([0, 1], [0, end], label=f"curve {k}")
        drawing.label_curves(axes[0, 0], title=title)
        figure.draw_without_rendering()
    return figure, axes[0, 0].texts


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(-100, 100).map(lambda n: n / 100), min_size=1, max_size=8), st.sampled_from(["", "batch size"])
)
def test_names_of_curves_keep_apart_in_the_order_of_the_curves_and_inside_of_their_panel(ends, title):
    figure, texts = named(ends, title)
    boxes = {text.get_text(): text.get_window_extent() for text in texts}
    panel = figure.axes[0].get_window_extent()
    assert all(panel.y0 - 9 < box.y0 and box.y1 < panel.y1 + 9 for box in boxes.values())
    names = sorted((f"curve {k}" for k in range(len(ends))), key=lambda name: boxes[name].y0)
    column = [boxes[name] for name in [*names, *([title] if title else [])]]
    assert all(above.y0 - below.y0 > 0.6 * below.height for below, above in zip(column, column[1:], strict=False))
    by_height = [ends[int(name.split()[1])] for name in names]
    assert by_height == sorted(by_height)


def test_a_notebook_shows_a_figure_whatever_backend_matplotlib_has():
    figure, _ = named([0.0, 1.0])
    shown, _ = DisplayFormatter().format(figure)  # as IPython has it where no backend of a notebook was set up
    assert shown["image/png"].startswith(b"\x89PNG")


def test_a_name_that_nothing_crowds_stands_at_the_end_of_its_curve():
    figure, (low, high) = named([0.0, 1.0])
    for text, end in ((low, 0.0), (high, 1.0)):
        box = text.get_window_extent()
        assert (box.y0 + box.y1) / 2 == pytest.approx(figure.axes[0].transData.transform((1, end))[1], abs=4)


@pytest.mark.parametrize(
    "colour", [*drawing.COLOURS.values(), *map(tuple, matplotlib.colormaps["viridis"](np.linspace(0, 0.85, 8)))]
)
def test_names_have_the_contrast_that_text_needs(colour):
    assert contrast_with_white(drawing.readable_colour(colour)) >= 4.5


def test_names_keep_apart_where_panels_share_an_axis_and_the_last_stretches_it():
    rows = [
        (teacher, selection, n, seed, level + step)
        for teacher, level in (("small", 90), ("large", 20))
        for step, selection in enumerate(("entropy", "random", "lowest"))
        for n in (5, 50)
        for seed in (0, 1)
    ]
    columns = ["teacher", "selection", "examples_per_class", "seed", "validation_accuracy"]
    figure = figures.selections_compared(pd.DataFrame(rows, columns=columns).assign(budget="steps", full=False))
    figure.draw_without_rendering()
    for panel in figure.axes:
        boxes = sorted((text.get_window_extent() for text in panel.texts), key=lambda box: box.y0)
        assert len(boxes) == 3
        assert all(above.y0 - below.y0 > 0.6 * below.height for below, above in zip(boxes, boxes[1:], strict=False))
        # One colour for all three: a name shows the stroke of its curve.
        assert {text.get_text() for text in panel.texts} == {"— highest entropy", "- - random", "··· lowest entropy"}


def test_a_student_of_labels_alone_stands_beside_those_of_each_teacher():
    rows = [
        (t, n, s, 50.0 + s + 10 * (t == "none")) for t in ("small", "large", "none") for n in (5, 50) for s in (0, 1)
    ]
    table = pd.DataFrame(rows, columns=["teacher", "examples_per_class", "seed", "validation_accuracy"])
    table = table.assign(budget="steps", selection="random", full=False)
    figure = figures.selections_compared(table)
    assert [len(panel.lines) for panel in figure.axes] == [2, 2]
    assert {text.get_text() for text in figure.axes[0].texts} >= {"random, labels alone"}
    without = figures.selections_compared(table[table.teacher != "none"])
    assert [len(panel.lines) for panel in without.axes] == [1, 1]


def test_names_stand_only_at_curves_that_have_one():
    cells = [(budget, n, seed) for budget in ("epochs", "steps") for n in (5, 10) for seed in (0, 1)]
    table = pd.DataFrame(cells, columns=["budget", "examples_per_class", "seed"])
    table = table.assign(teacher="small", selection="random", full=False, validation_accuracy=50.0 + table.seed)
    figure = figures.accuracy_against_examples(table, "random", ("small",))
    assert [[text.get_text() for text in panel.texts] for panel in figure.axes] == [["small teacher"]] * 2


def test_a_curve_that_was_measured_nowhere_has_no_name_and_stops_no_other():
    with matplotlib.rc_context(drawing.STYLE):
        _, axes = drawing.subplots(1, 2, 3.0)
        for panel, curves in zip(axes[0], ({"nowhere": np.nan, "here": 0.5}, {"nowhere": np.nan}), strict=True):
            for name, value in curves.items():
                panel.plot([0, 1], [value, value], label=name)
        drawing.label_curves(*axes[0])
    assert [[text.get_text() for text in panel.texts] for panel in axes[0]] == [["here"], []]


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_gradients_of_one_term_alone_have_no_ratio_to_draw(alpha):
    rows = [(s, t, x, k) for s in range(2) for t in ("small", "large") for x in (3.0, 9.0) for k in (1, 10)]
    table = pd.DataFrame(rows, columns=["seed", "teacher", "temperature", "step"])
    figure = figures.gradient_norms(table.assign(soft=alpha, hard=1 - alpha))
    figure.canvas.draw()
    assert not any(line.get_xydata().size for axes in figure.axes for line in axes.get_lines())


def test_the_whole_transfer_set_is_no_choice_of_examples():
    """Of a run without the selection "entropy", which is what rows of the whole set are called."""
    rows = [("random", n, False, s) for n in (5, 50) for s in (0, 1)] + [("entropy", 100, True, s) for s in (0, 1)]
    table = pd.DataFrame(rows, columns=["selection", "examples_per_class", "full", "seed"])
    parts = [table.assign(teacher=t, budget=b) for t in ("small", "large") for b in ("epochs", "steps")]
    cells = pd.concat(parts).assign(validation_accuracy=50.0)
    compared = figures.selections_compared(cells)
    assert [[line.get_label() for line in panel.lines] for panel in compared.axes] == [["random"]] * 2
    said = "the whole set alone was run"
    for selection, says in (("entropy", True), ("random", False)):
        panels = figures.accuracy_against_examples(cells, selection, ("small", "large")).axes
        assert [said in [text.get_text() for text in panel.texts] for panel in panels] == [says] * 2


def test_a_users_matplotlibrc_changes_no_figure():
    """Neither where it is made nor where it is drawn; TeX, which is not installed everywhere, is not asked for."""
    cells = pd.DataFrame({"temperature": [3.0, 9.0] * 2, "missing_class": 0, "seed": [0, 0, 1, 1]})
    cells = pd.concat([cells.assign(teacher=name) for name in ("small", "large")])
    cells = cells.assign(raw=50.0, corrected=cells.temperature, others=95.0)

    def drawn() -> bytes:
        return print_figure(figures.missing_class_curves(cells, "digits"), "png", base64=True)

    expected = drawn()
    own = {"text.usetex": True, "font.family": "monospace", "axes.facecolor": "black", "savefig.bbox": "tight"}
    with matplotlib.rc_context(own):
        assert drawn() == expected


@pytest.fixture
def collapsed():
    """Tightness of two teachers over three seeds: one collapsed once, the other's NC1 differ by factors of ten."""
    columns = ["seed", "teacher", "setting", "split", "nc1", "silhouette", "entropy", "updates"]
    rows = [
        (s, teacher, "default", split, nc1, 0.1, 1.0, 110)
        for s in range(3)
        for teacher, nc1 in (("small", 10.0**s), ("large", 0.0 if s == 0 else 1.0 + s))
        for split in ("train", "validation")
    ]
    return pd.DataFrame(rows, columns=columns)


def test_nc1_has_its_interval_on_the_log_scale_and_none_below_zero(collapsed):
    table = penultimate_layer.tightness(collapsed)
    assert table.loc["small teacher", "NC1, train"].split("\N{NO-BREAK SPACE}")[0] == "10.000"
    low = float(table.loc["small teacher", "NC1, train"].split("[")[1].split(",")[0])
    assert 0 < low < 1
    assert "geometric mean" in penultimate_layer.tightness_finding(collapsed)
    panel = figures.tightness(collapsed).axes[0]
    assert all(x > 0 for line in panel.lines for x in line.get_xdata())

"""A set that is small, uneven, of many classes with odd names, and of five channels, goes through every notebook."""

import ast
import io

import jupytext
import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

import kdlib

from ..conftest import ROOT, TRAINED_SECTIONS

NAMES = ("US$ / A$ 5", "US$ 10^$", "$20_$", "<b>50</b>", "a|b *c* `d`", *range(5, 24))
CLASSES = len(NAMES)


def load(root):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(CLASSES), [12, *np.linspace(40, 20, CLASSES - 1).astype(int)])
    images = rng.integers(0, 120, (len(labels), 5, 8, 8)) + labels[:, None, None, None] * 5
    return images.astype(np.uint8), labels, images[::2].astype(np.uint8), labels[::2]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def odd(monkeypatch, store):
    monkeypatch.setenv("KDLIB_STORE", str(store))
    kdlib.register_dataset("odd", load, class_names=NAMES, title="Notes & coins <v2> | 5$ to 10$")


def outputs(section: str) -> list:
    """What the cells of a notebook show, run here one after another."""
    notebook = jupytext.read(ROOT / "notebooks" / f"{section}.py")
    variables, shown = {}, []
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        body = ast.parse(cell.source).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), section, "exec"), variables)
        if "parameters" in cell.metadata.get("tags", ()):
            variables |= {"dataset": "odd", "profile": "smoke"}
        if last:
            shown.append(eval(compile(ast.Expression(last.value), section, "eval"), variables))
    return shown


def texts(figure: Figure) -> set[str]:
    figure.savefig(io.BytesIO())
    return {text.get_text() for text in figure.findobj(matplotlib.text.Text)}


def evenly(examples: int, classes: int):
    labels = np.arange(examples) % classes
    images = np.random.default_rng(0).integers(0, 120, (examples, 8, 8)) + labels[:, None, None] * (120 // classes)
    half = examples // 2
    return images.astype(np.uint8), labels, images[:half].astype(np.uint8), labels[:half]


@pytest.mark.parametrize(
    ("examples", "classes", "section", "said"),
    [
        (48, 4, "penultimate_layer", "1 validation example in the smallest class"),
        (1200, 100, "missing_class", "100 classes: figures name some of them, and print no numbers"),
    ],
)
def test_a_tiny_set_and_one_of_very_many_classes_go_through_the_page_in_which_they_failed(
    examples, classes, section, said, odd
):
    kdlib.register_dataset("odd", lambda root: evenly(examples, classes))
    study, *shown = outputs(section)
    assert said in " ".join(study.notes)
    figures = [one for one in shown if isinstance(one, Figure)]
    assert figures
    for figure in figures:
        figure.savefig(io.BytesIO())
        for axes in figure.axes:
            places = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
            assert not any(a.overlaps(b) for a, b in zip(places, places[1:], strict=False))


@pytest.mark.parametrize("section", TRAINED_SECTIONS)
def test_every_table_and_figure_of_an_odd_set_is_made_and_shows_its_names_as_they_are_written(section, odd):
    shown = outputs(section)
    study = shown[0]
    said = " ".join(study.notes)
    assert "1 validation example in the smallest class" in said and "5 channels: pictures show their mean" in said
    assert f"{CLASSES} classes: figures name some of them" in said
    assert "Notes &amp; coins &lt;v2&gt; | 5<span>$</span> to 10<span>$</span>" in study._repr_html_()
    figures = [one for one in shown if isinstance(one, Figure)]
    written = set().union(*map(texts, figures))
    assert figures
    for one in shown:
        html = (one._repr_html_() if hasattr(one, "_repr_html_") else None) or ""
        assert "<b>50</b>" not in html
        if "US$" in html and "<table" in html:
            assert "mathjax_ignore" in html
    if section == "missing_class":
        assert {r"US\$ / A\$ 5", "8"} <= written  # a dollar sign that starts no mathematics
    if section == "penultimate_layer":
        tightness = study.tables()["tightness"].query("split == 'validation'")
        assert tightness[["nc1", "silhouette"]].isna().all(axis=None) and tightness.entropy.notna().all()

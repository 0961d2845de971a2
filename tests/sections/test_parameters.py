"""A section's page shows all that its notebook shows, at each kind of value that a parameter may have."""

import ast
import itertools
import re

import nbformat
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from kdlib.sections import SECTIONS
from kdlib.sections.penultimate_layer import tables as penultimate_layer

from ..conftest import ROOT, TRAINED_SECTIONS

# One value of each kind: one alone, several, without the paper's, at the ends of what is allowed, and as papermill
# passes them. The n-th page of a section has the n-th value of each of its parameters, the first again after the last.
VALUES = {
    "dataset": ["digits"],
    "profile": ["smoke"],
    "device": ["cpu"],
    "seeds": [1, 2, 2],
    "temperatures": [[9], [3], "[1.5, 20]"],
    "missing_classes": [[6], [0], [0, 3]],
    "examples_per_class": [[5], [5, 10]],
    "selections": [
        ["entropy"],
        ["random"],
        ["lowest"],
        ["entropy", "random"],
        ["random", "lowest"],
        ["lowest", "entropy"],
    ],
    "batch_sizes": [[64], [32, 64], [16, 32, 64]],
    "spread_settings": [[[64, 1]], [[32, 1], [64, 1]]],
    "examples": [200],
    "alpha": [0.99, 0, 1],
    "t_squared": [False, True],
    "precision": ["fp32", "fp32", "fp32", "bf16"],
    "seeding": ["common", "configuration"],
    "learning_rate": [1e-3, "1e-2"],
    "teacher_epochs": [1],
    "teacher_batch_size": [64],
    "sweet_spot_epochs": [1, 1, 2],
    "system_teachers": [["large"], ["small"], ["large_sweet", "small"]],
    "trials": [1, 2, 1],
    "label_lengths": [[1], [2, 4], [8]],
    "student_epochs": [1],
    "student_batch_size": [32, 32, 1000],
}

pytestmark = pytest.mark.xdist_group("parameters")  # one worker trains the teachers that the pages share


def page(section: str, n: int) -> dict[str, object]:
    return {name: VALUES[name][n % len(VALUES[name])] for name in SECTIONS[section].parameters}


PAGES = [
    pytest.param(*section.values, n, marks=section.marks)
    for section in TRAINED_SECTIONS
    for n in range(max(len(VALUES[name]) for name in SECTIONS[section.values[0]].parameters))
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def without_umap(monkeypatch):
    """UMAP takes a minute to compile, and no parameter reaches it but through the points that it places."""

    def placed(study, teacher, epoch):
        return torch.zeros(len(penultimate_layer.shown_members(study)), 2)

    monkeypatch.setattr(penultimate_layer, "umap_embedding", placed)


def shown(value: object) -> str:
    """What a notebook shows of a value: its text, but for data that a script reads."""
    if isinstance(value, Figure):
        value.draw_without_rendering()
        assert all(drawn(panel) for panel in value.axes)
    assert not isinstance(value, DataFrame) or len(value)
    parts = [getattr(value, name, str)() or "" for name in ("_repr_html_", "_repr_markdown_")]
    return re.sub("<script.*?</script>", "", "".join(parts), flags=re.DOTALL)


def drawn(panel: Axes) -> bool:
    """Whether a panel has something to see, or words on why there is nothing."""
    curves = any(np.isfinite(line.get_xydata()).all(1).any() for line in panel.lines)
    return curves or bool([*panel.images, *panel.collections, *panel.patches, *panel.texts])


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(("section", "n"), PAGES)
def test_a_page_shows_everything_whatever_its_parameters(section, n, shared, without_umap, monkeypatch):
    monkeypatch.setenv("KDLIB_STORE", str(shared))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    show_page(section, page(section, n))


def show_page(section: str, given: dict[str, object]) -> str:
    """All that a section's notebook shows with these parameters, cell after cell."""
    scope: dict[str, object] = {}
    texts = []
    for cell in nbformat.read(ROOT / "notebooks" / f"{section}.ipynb", as_version=4).cells:
        if cell.cell_type != "code":
            continue
        *statements, last = ast.parse(cell.source).body
        if not isinstance(last, ast.Expr):
            statements, last = [*statements, last], None
        exec(compile(ast.Module(statements, []), section, "exec"), scope)
        if "parameters" in cell.metadata.get("tags", ()):
            scope |= given
        if last is not None:
            text = shown(eval(compile(ast.Expression(last.value), cell.source, "eval"), scope))
            assert not re.search(r"\b(nan|inf|None)\b", text), text
            texts.append(text)
    return "\n".join(texts)


def test_every_parameter_is_tried():
    assert set(VALUES) == set(itertools.chain(*(section.parameters for section in SECTIONS.values())))

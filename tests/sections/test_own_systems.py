"""A reader's own system, a loss in a plug-in, has its row in the table of related systems, marked as the reader's."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kdlib import Gradient, InputError, Parameter, State, System, load_dataset, open_study, register_system
from kdlib.book import present
from kdlib.sections.related_systems import experiment
from kdlib.training import own_teachers
from kdlib.training.systems import registry

from ..conftest import command_line

PLUGIN = """
import kdlib


def squares(student, teacher, labels, *, temperature):
    return (student - teacher).square().mean(-1, keepdim=True)


kdlib.register_system(
    kdlib.System(
        name="mean_squares",
        title="Mean squared difference of logits",
        reference="mine",
        kind="B",
        loss=squares,
        parameters=(kdlib.Parameter("weight", 1.0, "me", of="total"), kdlib.Parameter("hard", 0.1, "me", of="total")),
        main="weight",
        grid=(0.5, 1.0, 2.0),
        verified="nothing",
    )
)
"""
SMALL = {"profile": "smoke", "seeds": 1, "examples": 200, "teacher_epochs": 1, "student_epochs": 1, "trials": 1}
# Those that the variants and clusters take, equation 4, and one that needs its teacher's epochs.
KEPT = ("rbkd", "takd", "residual", "tfkd_self", "tfkd_reg", "label_smoothing", "class_distance", "mcmi", "snapshots")


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A data folder with a teacher `mine` of digits, and a folder of plug-ins with a system; few other systems."""
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("KDLIB_PLUGINS", str(tmp_path / "plugins"))
    monkeypatch.setattr(registry, "BUILTIN", {name: registry.BUILTIN[name] for name in KEPT})
    whole = load_dataset("digits")
    labels = {"train": whole.labels.numpy(), "test": whole.open_test("test")[1].numpy()}
    np.savez(tmp_path / "mine.npz", **{part: 4 * np.eye(10)[own] for part, own in labels.items()})
    own_teachers.add("mine", "digits", tmp_path / "mine.npz")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "my_system.py").write_text(PLUGIN)
    return tmp_path


def test_its_row_joins_the_table_and_starts_from_a_teacher_of_the_readers_own_as_only_such_systems_do(places):
    listed = command_line("systems")
    assert any(
        line.startswith("mean_squares ") and line.endswith("logits (your own)") for line in listed.stdout.splitlines()
    )
    study = open_study("related_systems", SMALL, label_lengths=[1], large_teacher="mine")
    assert "mean_squares is a system of your own: Mean squared difference of logits, version 1" in study.notes
    assert any(
        "no system that needs a teacher's weights or epochs starts from one of your own" in n for n in study.notes
    )
    tables = study.tables()
    cells = tables["cells"][tables["cells"].full]
    assert set(cells[cells.teacher == "large"].system) == {"rbkd", "residual", "mean_squares"}
    assert cells[cells.system == "mean_squares"].accuracy.between(0, 100).all()
    assert (cells.operations_total == cells.operations_given_teacher).all()  # what the teacher took is not known
    shown = present.related_systems(tables["cells"], tables["missing"])
    assert "mean_squares (your own)" in shown.index and "rbkd" in shown.index
    assert experiment.units(study)[0] == [] and all(map(study.is_stored, experiment.units(study)[1]))


def of_loss(loss, **more):
    """A system of this loss."""
    parameters = (Parameter("weight", 1.0, "me", of="total"), Parameter("hard", 0.1, "me", of="total"))
    about = {"title": "t", "reference": "r", "kind": "B", "main": "weight", "grid": (1.0,), "verified": "nothing"}
    return System(name="mine", loss=loss, parameters=parameters, **about, **more)


UNUSABLE = {
    "shape": (lambda z, v, y, *, temperature: (z - v).square().mean(-1), r"of two examples it gave \[2\]$"),
    "scalar": (lambda z, v, y, *, temperature: (z - v).square().mean(), r"of two examples it gave \[\]$"),
    "number": (lambda z, v, y, *, temperature: 1.0, "of two examples it gave float$"),
    "infinity": (lambda z, v, y, *, temperature: z[:, :1].exp() / 0, r"finite number .*, \[B, 1\]; .* it gave inf$"),
    "nan": (lambda z, v, y, *, temperature: z[:, :1] * math.nan, "must give a finite number .* it gave nan$"),
    "arguments": (lambda z, v, y: z, "fails: TypeError"),
    "softmax over the examples of a stack": (
        lambda z, v, y, *, temperature: F.kl_div(
            (z / temperature).log_softmax(1), (v / temperature).softmax(1), reduction="none"
        ).sum(-1, keepdim=True),
        r"gives other numbers for several students at once, \[K, B, C\].* use dim=-1",
    ),
    "sum over the examples of a stack": (
        lambda z, v, y, *, temperature: (z - v).square().sum(1, keepdim=True),
        "gives other numbers for several students at once.* use dim=-1",
    ),
    "classes where those of one student are": (
        lambda z, v, y, *, temperature: F.cross_entropy(z, y, reduction="none")[:, None],
        r"for several students at once, \[K, B, C\], fails: RuntimeError",
    ),
    "random numbers": (
        lambda z, v, y, *, temperature: (z - v + torch.randn(z.shape)).square().mean(-1, keepdim=True),
        "gives other numbers for several students at once.* no random numbers",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_loss_that_cannot_be_used_is_refused_before_any_work(case, places):
    (places / "plugins" / "my_system.py").unlink()
    loss, words = UNUSABLE[case]
    register_system(of_loss(loss))
    with pytest.raises(InputError, match=words):
        open_study("related_systems", SMALL)


def test_a_gradient_in_closed_form_that_is_not_its_losss_for_several_students_at_once_is_refused(places):
    (places / "plugins" / "my_system.py").unlink()

    def loss(z, v, y, *, temperature):
        return (z.softmax(-1) - v.softmax(-1)).square().sum(-1, keepdim=True)

    def by_logits(axis):
        def gradient(z, fixed, y, *, temperature):
            p = z.softmax(axis)
            slope = 2 * (p - fixed)
            return p * (slope - (slope * p).sum(axis, keepdim=True)) / z.shape[-2]

        return Gradient(lambda v, y, *, temperature: v.softmax(-1), gradient)

    register_system(of_loss(loss, gradient=by_logits(-1)))
    open_study("related_systems", SMALL)
    register_system(of_loss(loss, gradient=by_logits(1)))
    with pytest.raises(InputError, match=r"gradient of your system 'mine' is not that of its loss, .*\[K, B, C\]"):
        open_study("related_systems", SMALL)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (lambda state, z, y: state.add_(z.softmax(-1).sum((0, 1))), "changed otherwise for several students at once"),
        (lambda state, z: None, "the state of your system 'mine' fails: TypeError"),
    ],
    ids=["sum over all students", "arguments"],
)
def test_a_state_that_is_not_each_students_own_is_refused(count, words, places):
    (places / "plugins" / "my_system.py").unlink()

    def loss(z, v, y, *, temperature, state):
        return (z - v - state[..., None, :]).square().sum(-1, keepdim=True)

    own = State(
        torch.zeros, count=lambda state, z, y: state.add_(z.softmax(-1).sum(-2)), turn=lambda state: state.mul_(0.5)
    )
    register_system(of_loss(loss, state=own))
    open_study("related_systems", SMALL)
    register_system(of_loss(loss, state=State(torch.zeros, count=count)))
    with pytest.raises(InputError, match=words):
        open_study("related_systems", SMALL)

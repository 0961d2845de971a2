"""A reader's own teacher in the place of one of table 7's: pages show all, and say whose it is and what is left out."""

import numpy as np
import pytest

from kdlib import InputError, load_dataset, open_study
from kdlib.sections import SECTIONS
from kdlib.sections.asked import parameters_of
from kdlib.training import own_teachers

from .test_parameters import show_page

SMALL = {
    "dataset": "digits",
    "profile": "smoke",
    "seeds": 2,
    "examples": 200,
    "temperatures": [3, 9],
    "missing_classes": [6],
    "examples_per_class": [5, 10],
    "teacher_epochs": 1,
    "batch_sizes": [64],
    "sweet_spot_epochs": 1,
    "student_epochs": 1,
    "device": "cpu",
}

pytestmark = pytest.mark.xdist_group("own_teachers")  # one worker trains the teachers that the pages share


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A store, and a data folder with a teacher `mine` of digits."""
    folder = tmp_path_factory.mktemp("own")
    whole = load_dataset("digits")
    labels = {"train": whole.labels.numpy(), "test": whole.open_test("test")[1].numpy()}
    rng = np.random.default_rng(0)
    logits = {part: rng.normal(size=(len(own), 10)) + 4 * np.eye(10)[own] for part, own in labels.items()}
    np.savez(folder / "mine.npz", **logits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDLIB_DATA", str(folder / "data"))
        own_teachers.add("mine", "digits", folder / "mine.npz")
    return folder


@pytest.fixture(autouse=True)
def environment(places, monkeypatch):
    monkeypatch.setenv("KDLIB_DATA", str(places / "data"))
    monkeypatch.setenv("KDLIB_STORE", str(places / "store"))
    monkeypatch.setenv("TQDM_DISABLE", "1")


def given(section, **more):
    return {name: value for name, value in SMALL.items() if name in SECTIONS[section].parameters} | more


@pytest.mark.parametrize("role", own_teachers.STAND_INS)
@pytest.mark.parametrize("section", ["entropy", "missing_class", "example_efficiency"])
def test_a_page_shows_everything_with_a_teacher_of_the_readers_own_and_says_whose_it_is(section, role):
    shown = show_page(section, given(section, **{role: "mine"}))
    place, digest = role.removesuffix("_teacher"), own_teachers.find("mine").sha256[:12]
    assert (
        f"the {place} teacher is mine, a teacher of the reader&#x27;s own (read from mine.npz; sha256 {digest}" in shown
    )
    assert "of training and" in shown and "intervals hold what its students differ by" in shown


def test_only_the_other_teacher_is_trained_and_no_search_is_made(places):
    study = open_study("example_efficiency", given("example_efficiency", large_teacher="mine"))
    tables = study.tables()
    assert set(tables["cells"].teacher) == {"small", "large"} and tables["chosen"].empty
    assert {teacher.network for teacher in study.teachers} == {"small_teacher", "own_teacher"}
    small = open_study("example_efficiency", given("example_efficiency", small_teacher="mine"))
    assert set(small.tables()["cells"].teacher) == {"small", "large", "large_sweet"}


@pytest.mark.parametrize("section", [name for name, about in SECTIONS.items() if about.needs])
def test_a_section_that_needs_more_than_responses_refuses_it_before_any_work(section):
    with pytest.raises(InputError, match=f"{section} needs .* it can be given to entropy, missing_class"):
        open_study(section, given(section, large_teacher="mine"))


def test_of_all_sections_those_without_it_are_named(capsys):
    asked = parameters_of("all", "digits", "smoke", ["large_teacher=mine"])
    assert {section for section, own in asked.items() if "large_teacher" in own} == {
        section for section, about in SECTIONS.items() if not about.needs
    }
    assert "large_teacher: not in penultimate_layer, sweet_spot, rival_explanations" in capsys.readouterr().err

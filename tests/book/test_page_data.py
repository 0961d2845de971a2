"""A page of other data than those at hand is noticed; one whose data are not here is no fault."""

import nbformat
import numpy as np
import pytest

from kdlib import load_dataset
from kdlib.book import page_data, pages, verification
from kdlib.book.record import MIME
from kdlib.data import at_hand, registry
from kdlib.errors import DataNotFoundError, InputError

from ..conftest import as_project


def arrays(classes: int = 4):
    labels = np.arange(240) % classes
    images = np.zeros((240, 6, 6), np.uint8) + 60 * labels[:, None, None].astype(np.uint8)
    return images, labels, images[:40], labels[:40]


@pytest.fixture
def pages_of(tmp_path, monkeypatch):
    """Two pages of a data set, and a function that says what its loader does from now on."""
    monkeypatch.setenv("KDLIB_ROOT", str(as_project(tmp_path)))

    def loads(load):
        at_hand.digest.cache_clear()
        registry._sources["mine"] = registry.Source(lambda root: load())

    loads(arrays)
    for examples, section in ((None, "entropy"), (120, "missing_class")):
        data = load_dataset("mine", examples=examples).digest
        settings = {"profile": "smoke", "examples": examples, "test_examples": None}
        record = dict.fromkeys(pages.RECORDED) | {
            "dataset": "mine",
            "section": section,
            "settings": settings,
            "data": data,
        }
        output = nbformat.v4.new_output("display_data", {MIME: record})
        cell = nbformat.v4.new_code_cell("", outputs=[output])
        path = pages.pages_dir() / "mine-smoke" / f"{section}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    yield loads
    at_hand.digest.cache_clear()


def missing():
    raise DataNotFoundError("nowhere")


def damaged():
    raise InputError("cut short")


def test_pages_of_the_data_at_hand_are_in_order(pages_of):
    assert page_data.problems() == page_data.not_compared() == []


def test_pages_of_other_data_are_stale(pages_of):
    pages_of(lambda: arrays(5))
    assert [line.split(":")[0] for line in page_data.problems()] == [
        f"_build/pages/mine-smoke/{section}.ipynb is stale" for section in ("entropy", "missing_class")
    ]


def test_pages_whose_data_are_not_here_are_named_once_and_are_no_problem(pages_of):
    pages_of(missing)
    assert page_data.problems() == []
    assert page_data.not_compared() == ["mine is not here: its data were not compared with those of 2 pages"]
    at_hand.digest.cache_clear()
    del registry._sources["mine"]  # its plug-in is gone
    assert page_data.problems() == [] and len(page_data.not_compared()) == 1


def test_data_that_cannot_be_read_are_one_problem(pages_of):
    pages_of(damaged)
    assert page_data.problems() == ["the pages of mine cannot be compared with their data: cut short"]


def test_verify_asks_for_it(monkeypatch):
    monkeypatch.setattr(verification, "executed", list)
    monkeypatch.setattr(page_data, "problems", lambda: ["a page of other data"])
    assert "a page of other data" in verification.problems()

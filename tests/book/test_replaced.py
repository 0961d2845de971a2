"""A run that replaces a page which was run otherwise says so, and nothing where it makes the same page again."""

from dataclasses import asdict

import nbformat
import pytest

from kdlib import InputError, resolve
from kdlib.book import MIME, pages, replaced
from kdlib.training import own_teachers

from ..conftest import as_project

SMOKE = {"dataset": "digits", "profile": "smoke"}


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A project with a page on the missing class at smoke size, and a teacher of the reader's own."""
    monkeypatch.setenv("KDLIB_ROOT", str(as_project(tmp_path)))
    monkeypatch.setattr(own_teachers, "find", lambda name, dataset: None)
    settings = asdict(resolve(SMOKE))
    record = {"section": "missing_class", "settings": settings, "clipped": {"missing_classes": "0"}}
    cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", {MIME: record})])
    path = pages.pages_dir() / "digits-smoke" / "missing_class.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    return path


@pytest.mark.parametrize(
    ("given", "was"),
    [
        ({"large_teacher": "mine"}, "large_teacher=large_teacher"),
        ({"seeds": 3, "temperatures": [3]}, "seeds=2, temperatures=[3.0, 9.0, 20.0]"),
    ],
)
def test_the_page_of_other_parameters_is_named_with_what_they_were(there, given, was):
    said = replaced.told("missing_class", SMOKE | given)
    assert said.startswith(f"missing_class: the page of {was} is replaced (") and "-o FILE keeps it" in said


@pytest.mark.parametrize("given", [{}, {"seeds": 2}, {"device": "cpu"}, {"missing_classes": [0]}])
def test_the_same_page_again_is_no_other_one(there, given):
    assert replaced.told("missing_class", SMOKE | given) == ""


def test_a_set_with_fewer_examples_than_the_profile_takes_is_run_alike(there):
    page = nbformat.read(there, as_version=4)
    page.cells[0].outputs[0].data[MIME]["settings"]["examples"] = None  # all that it has
    nbformat.write(page, there)
    assert replaced.told("missing_class", SMOKE) == ""


def test_where_no_page_is_there_or_none_that_can_be_read_nothing_is_said(there):
    assert replaced.told("entropy", SMOKE) == replaced.told("missing_class", SMOKE | {"profile": "quick"}) == ""
    there.write_text("cut short")
    assert replaced.told("missing_class", SMOKE | {"seeds": 3}) == ""
    with pytest.raises(InputError, match="seeds"):
        replaced.told("missing_class", SMOKE | {"seeds": 0})

"""Terms of the glossary become links where a page first uses them, and nothing else changes."""

import nbformat
import pytest

from kdlib.book import glossary


def linked(*sources: str) -> list[str]:
    cells = [nbformat.v4.new_markdown_cell(source) for source in sources]
    glossary.link(cells)
    return [cell.source for cell in cells]


def test_every_term_of_the_page_is_known():
    found = glossary.terms()
    assert {"teacher", "soft labels", "NC1", "t interval"} <= set(found) and len(found) == len(set(found)) > 40


def test_the_first_use_is_linked_and_later_ones_are_not():
    assert linked("A teacher and", "a teacher.") == ["A {term}`teacher` and", "a teacher."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Teachers", "{term}`Teachers <teacher>`"),
        ("one logit", "one {term}`logit <logits>`"),
        ("label\nsmoothing", "{term}`label smoothing`"),
        ("shuffled responses", "{term}`shuffled responses`"),  # the longest term, not the one within it
        ("a **bias correction**", "a **{term}`bias correction`**"),
    ],
)
def test_number_case_and_line_breaks_do_not_matter(text, expected):
    assert linked(text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "# What a teacher does",
        "`teacher`",
        "$teacher$",
        "[a teacher](https://example.org)",
        "<b title='teacher'>",
        "*Paper: section 4, the teacher.*",
        "teachable",
    ],
)
def test_headings_code_formulas_links_and_parts_of_words_stay(text):
    assert linked(text) == [text]

"""What `help()` shows of a public name can be read by itself."""

import ast
import re

import pytest

from .conftest import ROOT

# A sentence that begins so goes on from another one, or answers a question that nobody has asked.
LEANING = re.compile(
    r"(of|the same|as above|as before|likewise|also|then|and|or|but|whether|what|how|which|it|its|they|their|these"
    r"|those|this)\b",
    re.I,
)
# They carry no meaning of their own: a sentence does not say more with more of them.
FILLERS = """
    a all an and any are as at be been beside but by each every for from given gives has have here if in into is it its
    no not of on one only or other others over own so some such than that the their then there these they this those to
    under very what where which while whose with without
"""
SHORTEST = 4


def first_sentence(docstring: str | None) -> str:
    return re.split(r"(?<=\.)\s", " ".join((docstring or "").split()))[0]


def words(text: str) -> set[str]:
    """Its words, in lower case and without the ends by which forms of a word differ."""
    return {re.sub(r"(ing|ed|es|s|e)$", "", word) for word in re.findall(r"[a-z0-9]+", text.lower())}


def says_more_than(name: str, docstring: str | None) -> bool:
    """Whether the first sentence leans on no other, and names at least two things that the name does not."""
    sentence = first_sentence(docstring)
    added = words(sentence) - words(name.replace("_", " ")) - words(FILLERS)
    return len(words(sentence)) >= SHORTEST and len(added) >= 2 and not LEANING.match(sentence)


def public(body: list[ast.stmt], within: str = ""):
    """(name with its class, docstring) of all public classes, functions and methods."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield within + node.name, ast.get_docstring(node)
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{node.name}.")


DOCUMENTED = {
    f"{path.relative_to(ROOT / 'kdlib')}: {name}": docstring
    for path in sorted((ROOT / "kdlib").rglob("*.py"))
    for name, docstring in public(ast.parse(path.read_text()).body)
}


def test_every_public_docstring_begins_with_a_sentence_that_stands_alone_and_says_more_than_the_name():
    assert len(DOCUMENTED) > 400
    unclear = [where for where, text in DOCUMENTED.items() if not says_more_than(where.split(": ")[1], text)]
    assert unclear == []


def test_no_two_public_names_are_told_by_one_sentence():
    """Else one of them does not say what sets it apart; functions of one name in each section's folder may."""
    told: dict[str, set[str]] = {}
    for where, text in DOCUMENTED.items():
        told.setdefault(first_sentence(text), set()).add(where.split(": ")[1])
    assert {sentence: names for sentence, names in told.items() if len(names) > 1} == {}


@pytest.mark.parametrize(
    "docstring",
    [
        None,
        "",
        "Of a panel of figure 7, the name.",
        "The same for two students of one teacher.",
        "Whether images are smaller than a block.",
        "Stack size of the stack of a size, and of every other one of these.",  # nothing beyond the name but fillers
        "Number. The size of a stack of students on an accelerator.",  # the first sentence is what `help` lists
    ],
)
def test_a_docstring_that_leans_on_others_or_is_padded_would_be_noticed(docstring):
    assert not says_more_than("stack_size", docstring)
    assert says_more_than("stack_size", "Largest number of students that are trained together.")

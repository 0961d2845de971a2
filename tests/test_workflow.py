"""The workflow's order of sections, without running it: test_cluster.py runs it."""

import ast
import itertools
import re

import kdlib
from kdlib.sections import SECTIONS

from .conftest import ROOT


def test_sections_that_share_students_run_one_after_another():
    """Trained at once by two jobs, a student would be trained twice."""
    text = (ROOT / "workflow" / "Snakefile").read_text()
    after = ast.literal_eval(re.search(r"^AFTER = (\{.*?\})$", text, re.M | re.S)[1])

    def before(section: str) -> set[str]:
        return {section, *(name for first in after.get(section, ()) for name in before(first))}

    settings = {"dataset": "digits", "profile": "quick", "seeds": 1}
    students = {name: set(kdlib.open_study(name, settings).units()[1]) for name in SECTIONS}
    sharing = [(a, b) for a, b in itertools.combinations(SECTIONS, 2) if students[a] & students[b]]
    assert len(sharing) > 2
    assert [(a, b) for a, b in sharing if a not in before(b) and b not in before(a)] == []

"""The workflow's order of sections, without running it: test_cluster.py runs it."""

import itertools

import kdlib
from kdlib.sections import SECTIONS


def test_sections_that_share_students_run_one_after_another():
    """Trained at once by two jobs, a student would be trained twice."""

    def before(section: str) -> set[str]:
        return {section, *(name for first in SECTIONS[section].after for name in before(first))}

    settings = {"dataset": "digits", "profile": "quick", "seeds": 1}
    students = {name: set(kdlib.open_study(name, settings).units()[1]) for name in SECTIONS}
    sharing = [(a, b) for a, b in itertools.combinations(SECTIONS, 2) if students[a] & students[b]]
    assert len(sharing) > 2
    assert [(a, b) for a, b in sharing if a not in before(b) and b not in before(a)] == []

"""What a publication changed is told verdict by verdict, from a made-up git history of pages and rules."""

import json
from dataclasses import asdict
from pathlib import Path

import nbformat

from kdlib.book import MIME, changes
from kdlib.book.history import History
from kdlib.book.record import digest
from kdlib.book.scoreboard import verdicts
from kdlib.claims import rules
from kdlib.study.settings import resolve

from ..claims.test_claims import tables_with
from . import test_newer_rules
from .test_newer_rules import LAST, LATER, change, commit

project = test_newer_rules.project
CLAIM = "- id: variance-rows"


def record(confidence: float, seeds: int = 3) -> dict:
    """The record of an entropy page on MNIST, judged by the rules as they are: see `tables_with`."""
    tables = tables_with(confidence)
    return {
        "section": "entropy",
        "dataset": "mnist",
        "title": "MNIST",
        "settings": json.loads(
            json.dumps(asdict(resolve({"dataset": "mnist", "profile": "paper-cpu", "seeds": seeds})))
        ),
        "tables": {name: table.to_csv(index=False) for name, table in tables.items()},
        "digest": digest(tables),
        "rules": rules.digests()["entropy"],
    }


def publish(root: Path, page: dict, date: str) -> str:
    output = nbformat.v4.new_output("display_data", data={MIME: page})
    path = root / "book" / "mnist" / "entropy.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[output])]), path)
    return commit(root, date)


def row_of(root: Path, page: dict) -> changes.Row:
    history = History(root)
    before = changes.earlier_publication("mnist", [page], history)
    rows = changes.compare("mnist", [page], verdicts([page])["mnist"], before, history)
    return next(row for row in rows if row.claim.id == "variance-rows")


def told(row: changes.Row) -> tuple[str, str, str, str]:
    before = row.before if isinstance(row.before, str) else row.before.verdict
    return before, row.between.verdict, row.now.verdict, row.why


def test_other_numbers_are_told_from_another_rule(project):
    publish(project, record(-0.1), LATER)
    page = record(0.1, seeds=5)
    publish(project, page, LAST)
    expected = "premise not met", "premise not met", "reproduced", "other numbers"
    assert told(row_of(project, page)) == expected
    text = changes.page([page], verdicts([page]), History(project))
    assert f"Before: the pages of {LATER}" in text and "- Entropy of the response: seeds 3 → 5\n" in text
    (line,) = (line for line in text.splitlines() if line.endswith("| other numbers |") and "premise not met" in line)
    assert "reproduced: " in line
    change(project, CLAIM, "side: greater", "side: less")
    page = record(0.1, seeds=5)
    assert told(row_of(project, page)) == ("reproduced", "contradicted", "contradicted", "another rule")


def test_a_claim_of_another_measure_or_that_was_not_there_has_no_verdict_of_then(project):
    publish(project, record(0.1), LATER)
    change(project, CLAIM, "definition: 'Table", "definition: 'Otherwise: table")
    assert told(row_of(project, record(0.1)))[0] == changes.OTHERWISE


def test_a_data_set_that_was_published_once_has_no_earlier_publication(project):
    page = record(0.1)
    publish(project, page, LATER)
    (project / "book" / "mnist" / "note.txt").write_text("the same pages")
    commit(project, LAST)
    assert changes.earlier_publication("mnist", [page], History(project)) is None
    assert "has no earlier publication" in changes.page([page], verdicts([page]), History(project))
    nowhere = changes.page([page], verdicts([page]), History(project / "nowhere"))
    assert "It cannot be told what its publication changed: there is no git history here." in nowhere

"""Rival explanations and what the measurements say of each, by the rules of data/paper/controls.yml."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from .. import paths
from .claims import Claim, judge
from .intervals import Interval
from .registry import STATISTICS, Sections, Tables

OUTCOMES = {"reproduced": "explains", "contradicted": "does not explain"}  # of a claim's verdict; else undecided
CHANGES = {  # what a row's `control` in the tables stands for
    "responses": "the teacher's responses",
    "shuffled": "similarity shuffled",
    "class_mean": "class means",
    "smoothed": "label smoothing, equal confidence",
    "hard": "hard labels alone",
    "equal_confidence": "scaled to the small one's confidence",
    "t_squared": "KL term times T²",
}


@dataclass(frozen=True)
class Control:
    """An entry of controls.yml, whose head explains the fields; `sentences` by outcome."""

    id: str
    title: str
    claims: tuple[str, ...]
    statistic: str
    definition: str
    measured: str
    unit: str
    null_value: float
    sentences: Mapping[str, str]
    nothing: str = "There is nothing to compute it from."
    notebook: str = "rival_explanations"  # whose tables decide it

    @property
    def why_nothing(self) -> str:
        """`nothing` within a sentence."""
        return self.nothing[0].lower() + self.nothing[1:].rstrip(".")


@dataclass(frozen=True)
class Finding:
    """What the tables of a data set say of a control: `outcome` explains, does not explain, undecided or not decided.

    Not decided: fewer than two teacher seeds have a value, or a table, or a column of one, was not run, which `lacks`
    then names. `note`: how many seeds have no value, or what is lacking. `terms`: means over seeds of the two numbers
    that the estimate is made of, in the order in which `measured` names them. `remark`: what a reader must
    know beside the number: that seeds were left out, and what the statistic itself notes.
    """

    control: Control
    outcome: str
    estimate: Interval | None
    note: str
    terms: tuple[float, float] | None
    remark: str = ""
    lacks: str = ""

    @property
    def sentence(self) -> str:
        if self.outcome in self.control.sentences:
            return self.control.sentences[self.outcome]
        if self.lacks:
            return f"No finding: there are no numbers of {self.lacks}."
        if self.estimate is None:
            return f"No finding. {self.control.nothing}"
        if self.note:
            why = f"one teacher seed alone has a value ({self.note})"
            return f"No finding, since {why}. Of the others: {self.control.why_nothing}."
        return "No finding: one teacher seed gives no interval."


def controls_file() -> Path:
    return paths.paper_dir() / "controls.yml"


def controls_digest() -> str:
    """sha256 of controls.yml, which results record."""
    return hashlib.sha256(controls_file().read_bytes()).hexdigest()


def load_controls() -> list[Control]:
    """All controls, in the file's order."""
    entries = yaml.safe_load(controls_file().read_text(encoding="utf-8"))
    outcomes = (*OUTCOMES.values(), "undecided")
    return [
        Control(
            **{name: value for name, value in entry.items() if name not in (*outcomes, "claims")},
            claims=tuple(entry["claims"]),
            sentences={outcome: entry[outcome] for outcome in outcomes},
        )
        for entry in entries
    ]


def findings(dataset: str, tables: Sections) -> list[Finding]:
    """What the controls that these notebooks' tables decide say of a data set."""
    return [find(control, Tables(dataset, tables)) for control in load_controls() if control.notebook in tables]


def find(control: Control, tables: Tables) -> Finding:
    """What one control says; where a table or a column that it takes is lacking, that it is not decided."""
    rule = Claim(
        id=control.id,
        title=control.title,
        section="",
        notebook=control.notebook,
        sentence=None,
        derived=True,
        datasets=[],
        value=None,
        unit=control.unit,
        kind="direction",
        side="greater",
        null_value=control.null_value,
        margin=None,
        statistic=control.statistic,
        definition=control.definition,
        reason=None,
    )
    try:
        found = STATISTICS[control.statistic](tables)
    except KeyError as error:
        return Finding(control, "not decided", None, f"lacks {error.args[0]}", None, lacks=str(error.args[0]))
    verdict = judge(rule, tables.dataset, found.values.tolist())
    decided = verdict.verdict not in ("one seed, no verdict", "no verdict")
    outcome = OUTCOMES.get(verdict.verdict, "undecided") if decided else "not decided"
    left_out = f"{verdict.note}: {control.why_nothing}" if decided and verdict.note else ""
    remark = "; ".join(filter(None, [left_out, found.note]))
    return Finding(control, outcome, verdict.estimate, verdict.note, found.terms, remark)

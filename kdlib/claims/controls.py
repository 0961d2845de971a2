"""Rival explanations and what the measurements say of each, by the rules of RULES.md."""

from collections.abc import Mapping
from dataclasses import dataclass

from . import rules
from .claims import Claim, judge
from .inference import LEVEL
from .intervals import Interval
from .judging import decide
from .registry import STATISTICS, Lacking, Sections, Statistic, Tables

OUTCOMES = {"reproduced": "explains", "contradicted": "does not explain"}  # of a claim's verdict; else undecided
CHANGES = {  # what a row's `control` in the tables stands for
    "responses": "the teacher's responses",
    "shuffled": "similarity shuffled",
    "class_mean": "class means",
    "smoothed": "label smoothing, equal confidence",
    "hard": "hard labels alone",
    "uniform": "uniform soft labels",
    "equal_confidence": "scaled to the small one's confidence",
    "t_squared": "KL term times T²",
}


@dataclass(frozen=True)
class Control:
    """A control of a rival explanation: an entry of controls.yml; RULES.md explains the fields.

    `sentences` has its sentence for each outcome.
    """

    id: str
    title: str
    claims: tuple[str, ...]
    statistic: str
    definition: str
    measured: str
    unit: str
    null_value: float
    sentences: Mapping[str, str]
    notebook: str  # whose tables decide it
    nothing: str = ""
    no_value: str = "There is nothing to compute it from."

    @property
    def why_no_value(self) -> str:
        """The reason `no_value`, as it stands within a sentence: small letter, no full stop."""
        return self.no_value[0].lower() + self.no_value[1:].rstrip(".")


@dataclass(frozen=True)
class Finding:
    """Finding of a data set's tables on a control: `outcome` is explains, does not explain, undecided or not decided.

    Not decided: fewer than two teacher seeds have a value, or a table, or a column of one, was not run, which `lacks`
    then names, or nothing is shown that there would be to explain: then `unexplained` is the interval of that. `note`:
    how many seeds have no value, or what is lacking. `terms`: means over seeds of the two numbers that the estimate is
    made of, in the order in which `measured` names them. `remark`: what a reader must know beside the number: that
    seeds were left out, and what the statistic itself notes.
    """

    control: Control
    outcome: str
    estimate: Interval | None
    note: str
    terms: tuple[float, float] | None
    remark: str = ""
    lacks: str = ""
    unexplained: Interval | None = None

    @property
    def sentence(self) -> str:
        """The sentence of controls.yml for this outcome, or one that says why there is no finding."""
        if self.outcome in self.control.sentences:
            return self.control.sentences[self.outcome]
        if self.lacks:
            return f"No finding: there are no numbers of {self.lacks}."
        if self.unexplained is not None:
            return f"No finding. {self.control.nothing.rstrip('.')} ({self.unexplained} {self.control.unit})."
        if self.estimate is None:
            return f"No finding. {self.control.no_value}"
        if self.note:
            why = f"one teacher seed alone has a value ({self.note})"
            return f"No finding, since {why}. Of the others: {self.control.why_no_value}."
        return "No finding: one teacher seed gives no interval."


def load_controls() -> list[Control]:
    """All controls, in their file's order."""
    return [rules.made(as_control, entry) for entry in rules.read()["controls"]]


def as_control(entry: rules.Entry) -> Control:
    """A control from what its file says of it."""
    outcomes = (*OUTCOMES.values(), "undecided")
    return Control(
        **{name: value for name, value in entry.items() if name not in (*outcomes, "claims")},
        claims=tuple(entry["claims"]),
        sentences={outcome: entry[outcome] for outcome in outcomes},
    )


def findings(dataset: str, tables: Sections) -> list[Finding]:
    """Findings on a data set of all controls that these sections' tables decide."""
    return [find(control, Tables(dataset, tables)) for control in load_controls() if control.notebook in tables]


def find(control: Control, tables: Tables) -> Finding:
    """Finding of one control on the data set of some tables; where what it takes is lacking, that it is not decided."""
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
        found = STATISTICS.compute(control.statistic, tables)
    except Lacking as error:
        return Finding(control, "not decided", None, f"lacks {error.args[0]}", None, lacks=error.args[0])
    if found.to_explain is not None:
        there = decide(rule, None, Statistic(found.to_explain, candidates=found.candidates), LEVEL)
        if there.verdict in ("undecided", "contradicted"):
            return Finding(control, "not decided", None, "", None, unexplained=there.estimate)
    verdict = judge(rule, tables.dataset, found)
    decided = verdict.verdict not in ("one seed, no verdict", "no verdict")
    outcome = OUTCOMES.get(verdict.verdict, "undecided") if decided else "not decided"
    left_out = f"{verdict.note}: {control.why_no_value}" if decided and verdict.note else ""
    remark = "; ".join(filter(None, [left_out, found.note]))
    return Finding(control, outcome, verdict.estimate, verdict.note, found.terms, remark)

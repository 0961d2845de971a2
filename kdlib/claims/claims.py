"""The paper's claims and the verdicts on them, by the rules of RULES.md."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from . import rules
from .intervals import Interval, ratio_interval, t_interval
from .registry import STATISTICS, Lacking, Sections, Tables

PAPER_DATASETS = ("mnist", "fashion_mnist", "cifar10")
VERDICTS = ("reproduced", "direction only", "undecided", "contradicted", "one seed, no verdict", "no verdict")
_SHOWN_FIELDS = ("title", "section", "notebook", "sentence", "derived", "unit")
_COLUMNS = ("id", "dataset", *_SHOWN_FIELDS, "paper", "here", "n", "verdict", "note")


@dataclass(frozen=True)
class Claim:
    """A claim of the paper: an entry of a section's claims.yml; RULES.md explains the fields."""

    id: str
    title: str
    section: str
    notebook: str
    sentence: str | None
    derived: bool
    datasets: list[str]
    value: float | dict[str, float] | None
    unit: str | None
    kind: str
    side: str | None
    null_value: float | None
    margin: float | None
    statistic: str
    definition: str
    reason: str | None
    also: Sequence[str] = ()
    settled_at: Sequence[float] | Literal["any"] = ()

    def applies_to(self, dataset: str) -> bool:
        """True if the claim is made for a data set; one that the paper does not have counts as `other`."""
        return (dataset if dataset in PAPER_DATASETS else "other") in self.datasets

    def paper_value(self, dataset: str) -> float | None:
        """The size that the paper gives for a data set, None where it gives none."""
        return self.value.get(dataset) if isinstance(self.value, Mapping) else self.value

    def bounds(self) -> tuple[float, float]:
        """Bounds between which the whole interval of an equivalence has to lie."""
        if self.unit == "ratio":
            return 1 / (1 + self.margin), 1 + self.margin
        return self.null_value - self.margin, self.null_value + self.margin

    def settles(self, value: float) -> bool:
        """True if seeds that all have this value decide: an end of the statistic's range, or any value of a count."""
        if self.settled_at == "any":
            return True
        return any(math.isclose(value, end, abs_tol=1e-9) for end in self._ends())

    def forbids(self, size: float) -> bool:
        """True if a size lies on the side that a claim of kind `direction` excludes, as some of the paper's own do."""
        return (size > self.null_value) != (self.side == "greater")

    def rule(self, dataset: str) -> str:
        """The rule that decides the claim on a data set, in a sentence; empty for a claim that is not tested."""
        size = self.paper_value(dataset)
        match self.kind:
            case "direction":
                where = {"greater": "above", "less": "below"}[self.side]
                beside = f"if the whole interval lies {where} {self.null_value:g}"
                against = f"contradicted if it lies wholly on the other side.{self._without_width()}"
                if size is None and self.value is not None:
                    return f"Direction only {beside} (the paper gives no size for this data set); {against}"
                if size is None:
                    return f"Reproduced {beside}; {against}"
                if self.forbids(size):
                    return f"Reproduced {beside}, which the paper's own {size:.4g} does not; {against}"
                return f"Reproduced {beside} and its far end reaches {size:.4g} (else direction only); {against}"
            case "equivalence":
                low, high = self.bounds()
                where = f"between {low:.4g} and {high:.4g}"
                return (
                    f"Reproduced if the whole interval lies {where}; contradicted if it lies wholly outside."
                    f"{self._without_width()}"
                )
            case "existence":
                beside = "else contradicted; no interval decides, so chance is not weighed."
                return f"Reproduced if every number found is above {self.null_value:g}; {beside}"
            case "exact":
                return f"Reproduced if it is {size:g}, within {self.margin:g}; else contradicted."
            case _:
                return ""

    def _without_width(self) -> str:
        """The end of a rule: what holds where all seeds agree."""
        if self.settled_at == "any":
            return ""
        ends = " or ".join(f"{end:g}" for end in self._ends())
        return f" Undecided if it is the same in all seeds{f', other than {ends}' if ends else ''}."

    def _ends(self) -> Sequence[float]:
        """Of the statistic's range, where it has any."""
        return (*self.settled_at, *((1.0, -1.0) if self.unit == "rank correlation" else ()))


@dataclass(frozen=True)
class Verdict:
    """Verdict of the tables of a data set on a claim.

    `verdict` is one of the header's, or "one seed, no verdict", "no verdict". `estimate` is over teacher seeds; None
    where there is no mean of seeds: the note then says what was found. `paper` is the paper's size.
    """

    claim: str
    dataset: str
    verdict: str
    estimate: Interval | None = None
    paper: float | None = None
    note: str = ""


def load_claims() -> list[Claim]:
    """All claims, in the paper's order."""
    return [Claim(**entry) for entry in rules.read()["claims"]]


def judge(claim: Claim, dataset: str, values: Sequence[float]) -> Verdict:
    """The verdict that values of the claim's statistic give. Pure.

    Arguments: `values`, one for each teacher seed (existence and exact: for each thing looked at); those that are not
    finite are left out and counted in the note. Raises `ValueError` for a ratio that is not positive.
    """
    known = [float(v) for v in values if math.isfinite(v)]
    blank = Verdict(claim.id, dataset, "no verdict", paper=claim.paper_value(dataset))
    if claim.kind == "not_tested":
        return replace(blank, verdict="not tested", note=claim.reason)
    lacking = [f"{len(values) - len(known)} of {len(values)} without a value"] if len(known) < len(values) else []
    if not known:
        return replace(blank, note="; ".join(lacking) or "nothing to compute it from")
    if claim.kind == "existence":
        count = sum(v > claim.null_value for v in known)
        verdict = "reproduced" if count == len(known) else "contradicted"
        found = f"{count} of {len(known)} above {claim.null_value:g}, the lowest is {min(known):.3g}"
        if len(known) == 1:
            found = f"{known[0]:.3g}, {'not ' * (not count)}above {claim.null_value:g}"
        return replace(blank, verdict=verdict, note="; ".join([found, *lacking]))
    if claim.kind == "exact":
        farthest = max(known, key=lambda v: abs(v - blank.paper))
        verdict = "reproduced" if abs(farthest - blank.paper) <= claim.margin else "contradicted"
        how = "equal to within" if verdict == "reproduced" else "differs by"
        found = f"{how} {abs(farthest - blank.paper):.1g}" if claim.margin else f"found {farthest:g}"
        return replace(blank, verdict=verdict, note="; ".join([found, *lacking]))
    estimate = (ratio_interval if claim.unit == "ratio" else t_interval)(known)
    if estimate.n == 1:
        verdict = "one seed, no verdict"
    elif not (estimate.has_width or claim.settles(estimate.mean)):
        verdict = "undecided"  # a coarse number takes few values: equal ones over seeds are no sign of precision
    elif claim.kind == "direction":
        verdict = _direction(claim, blank.paper, estimate)
    else:
        verdict = _equivalence(claim, estimate)
    return replace(blank, verdict=verdict, estimate=estimate, note="; ".join(lacking))


def _direction(claim: Claim, size: float | None, estimate: Interval) -> str:
    if estimate.low <= claim.null_value <= estimate.high:
        return "undecided"
    side = "greater" if estimate.low > claim.null_value else "less"
    if side != claim.side:
        return "contradicted"
    if size is None:
        return "reproduced" if claim.value is None else "direction only"
    reaches = estimate.high >= size if side == "greater" else estimate.low <= size
    return "reproduced" if reaches else "direction only"


def _equivalence(claim: Claim, estimate: Interval) -> str:
    low, high = claim.bounds()
    if low <= estimate.low and estimate.high <= high:
        return "reproduced"
    return "contradicted" if estimate.high < low or estimate.low > high else "undecided"


def evaluate(
    dataset: str,
    tables: Sections,
    others: Mapping[str, Sections] | None = None,
    alike: Callable[[str, str, str], bool] = lambda notebook, name, section: True,
    claims: Sequence[Claim] | None = None,
) -> list[Verdict]:
    """Verdicts on every claim that is made for a data set, in the claims' order.

    Arguments: `tables[section][name]`, what has been run; `others`, the same of further data sets by name, for claims
    that compare two; `alike(notebook, data set, section)`, whether a section was run with the same settings as this
    data set's `notebook`: a claim takes tables of no other, and is "not comparable" where it would need them. One whose
    notebook or table is lacking is "not yet run", one whose table lacks a column has "no verdict"; the note says what
    is lacking. `claims`: those to judge (default: all, as they are now).
    """
    claims = [claim for claim in (load_claims() if claims is None else claims) if claim.applies_to(dataset)]
    every = {dataset: tables, **(others or {})}

    def of_notebook(notebook: str) -> Tables:
        found = {name: {s: t for s, t in part.items() if alike(notebook, name, s)} for name, part in every.items()}
        return Tables(dataset, found.pop(dataset), {name: part for name, part in found.items() if notebook in part})

    def unlike(notebook: str) -> set[str]:
        """What was run otherwise: sections of this data set, other data sets."""
        own = {s for s in tables if not alike(notebook, dataset, s)}
        return own | {name for name, part in every.items() if notebook in part and not alike(notebook, name, notebook)}

    joined = {notebook: (of_notebook(notebook), unlike(notebook)) for notebook in {claim.notebook for claim in claims}}
    return [_evaluate(claim, *joined[claim.notebook]) for claim in claims]


def _evaluate(claim: Claim, tables: Tables, unlike: set[str]) -> Verdict:
    if claim.kind == "not_tested":
        return judge(claim, tables.dataset, [])
    try:
        own = tables[claim.notebook]  # also for a statistic that takes no table of it
        found = STATISTICS[claim.statistic](tables)
    except KeyError as error:
        what, paper = error.args[0], claim.paper_value(tables.dataset)
        verdict, how = "no verdict", ""  # its table is there, with less than it needs
        if isinstance(error, Lacking):
            verdict, how = ("not comparable", " with the same settings") if what in unlike else ("not yet run", "")
        return Verdict(claim.id, tables.dataset, verdict, paper=paper, note=f"lacks {what}{how}")
    verdict = judge(claim, tables.dataset, found.values.tolist())
    seeds = {seed for table in own.values() if "seed" in table for seed in table["seed"]}
    if claim.kind == "existence" and len(seeds) == 1:  # its values are not those of seeds
        verdict = replace(verdict, verdict="one seed, no verdict")
    return replace(verdict, note="; ".join(filter(None, [verdict.note, found.note])))


def count_verdicts(verdicts: Iterable[Verdict]) -> str:
    """Numbers of verdicts of each kind, in words: "3 reproduced, 1 undecided"."""
    counts = Counter(v.verdict for v in verdicts)
    return ", ".join(f"{counts[kind]} {kind}" for kind in VERDICTS if counts[kind])


def scoreboard(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """One row for each verdict, with what the claim says.

    Columns: `id`, `dataset`, `title`, `section`, `notebook`, `sentence` (None where the paper has none), `derived`,
    `unit`, `paper` (the paper's size or NaN), `here` (estimate with its interval as text, else empty), `n` (seeds or
    NA), `verdict`, `note`.
    """
    claims = {claim.id: claim for claim in load_claims()}
    rows = [
        {
            "id": v.claim,
            "dataset": v.dataset,
            **{name: getattr(claims[v.claim], name) for name in _SHOWN_FIELDS},
            "paper": math.nan if v.paper is None else v.paper,
            "here": "" if v.estimate is None else str(v.estimate),
            "n": pd.NA if v.estimate is None else v.estimate.n,
            "verdict": v.verdict,
            "note": v.note,
        }
        for v in verdicts
    ]
    return pd.DataFrame(rows, columns=_COLUMNS).astype({"paper": float, "n": "Int64"})

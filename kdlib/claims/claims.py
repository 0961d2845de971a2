"""The paper's claims and the verdicts on them, by the rules of RULES.md."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from . import rules
from .claim import Claim
from .inference import (
    LEVEL,
    PValues,
    benjamini_hochberg,
    changed_by_leaving_out,
    hierarchical_bootstrap,
    logits_of_percents,
    one_order_p,
    permutation_p,
)
from .intervals import Interval, t_interval
from .judging import decide, seeds_that_would_decide
from .registry import STATISTICS, Lacking, LackingColumn, Sections, Statistic, Tables
from .rows import NOTHING

DECIDED = ("reproduced", "direction only", "contradicted")
VERDICTS = (
    *("reproduced", "direction only", "undecided", "contradicted"),
    *("premise not met", "one seed, no verdict", "no verdict"),
)
LOOKS = 2  # a verdict is also given at this part of the level, for whoever looks at the same data set twice
NEAR_THE_ENDS = 5  # per cent from 0 or 100
Computed = MutableMapping[tuple[str, str, str, int | None], Statistic]  # see `evaluate`
StatisticOf = Callable[..., Statistic]  # of a name, a notebook, and the seed that is left out, if one is
_SHOWN_FIELDS = ("title", "section", "notebook", "sentence", "derived", "unit")
_COLUMNS = ("id", "dataset", *_SHOWN_FIELDS, "paper", "here", "n", "verdict", "note")


@dataclass(frozen=True)
class Verdict:
    """Verdict of the tables of a data set on a claim.

    `verdict` is one of `VERDICTS` ("reproduced" to "no verdict"), or "not tested", "not yet run", "not comparable".
    `estimate` is over teacher seeds (of the kind `every` that of the weakest thing); None where there is no mean of
    seeds: the note then says what was found. `paper` is the paper's size. `values`: pairs of seed and statistic, of the
    kind `every` one for each thing. `p`: the smaller of those of the claim and of its contrary, two-sided; `adjusted`:
    the same by Benjamini and Hochberg, None of what is in no `family` (see `Claim`). `two_looks`: the verdict at half
    the level. `left_out`: pairs of a seed and the verdict without it, where that is another. `seeds_needed`: of an
    undecided one, that would decide it at the effect seen, of one whose premise is undecided, that would meet it; None
    if 1,000 would not. `premise`: what was found of it.
    """

    claim: str
    dataset: str
    verdict: str
    estimate: Interval | None = None
    paper: float | None = None
    note: str = ""
    caution: str = ""
    values: tuple[tuple[Any, Any], ...] = ()
    tails: PValues | None = None
    adjusted: float | None = None
    family: str | None = None
    two_looks: str = ""
    left_out: tuple[tuple[int, str], ...] = ()
    seeds_needed: int | None = None
    premise: str = ""

    @property
    def said(self) -> str:
        """Note and caution as one text."""
        return "; ".join(filter(None, [self.note, self.caution]))

    @property
    def p(self) -> float | None:
        """The smaller of the two p values, two-sided; None without seeds."""
        return None if self.tails is None else min(self.tails)

    @property
    def stands(self) -> bool:
        """True if it is decided and remains so among the other claims of its family."""
        return self.verdict in DECIDED and self.adjusted is not None and self.adjusted <= LEVEL

    def remarks(self, second_look: bool = False) -> Iterable[str]:
        """Sentences that a referee asks of a verdict: its premise, other seeds, a second look, other claims, power.

        Arguments: `second_look`, whether its numbers had been seen before rules changed or seeds were added.
        """
        if self.premise:
            yield self.premise
        if self.left_out:
            yield ", ".join(f"without seed {seed} it would be {other}" for seed, other in self.left_out).capitalize()
        if second_look and self.verdict in DECIDED and self.two_looks not in ("", self.verdict):
            yield f"As the second of two looks, each at {100 * LEVEL / LOOKS:g}%: {self.two_looks}"
        if self.verdict in DECIDED and self.adjusted is not None and not self.stands:
            yield f"Among all claims {self.family} it does not stand (adjusted p = {self.adjusted:.2g})"
        if self.verdict == "undecided" and self.values:
            yield (
                "If effect and spread are as measured, not even 1,000 seeds would decide it"
                if self.seeds_needed is None
                else f"If effect and spread are as measured, {self.seeds_needed} seeds decide it four times in five"
            )
        if self.verdict == "premise not met" and self.seeds_needed is not None:
            yield f"If effect and spread are as measured, {self.seeds_needed} seeds meet it four times in five"


def load_claims() -> list[Claim]:
    """All claims, in the paper's order, without those that another replaces.

    Raises `InputError` for an entry with other fields than a claim has.
    """
    entries = rules.read()["claims"]
    replaced = {entry.get("replaces") for entry in entries}
    return [rules.made(lambda own: Claim(**own), entry) for entry in entries if entry["id"] not in replaced]


def judge(
    claim: Claim,
    dataset: str,
    found: Statistic,
    level: float = LEVEL,
    premise: Statistic | None = None,
    without: Callable[[int], tuple[Statistic, Statistic | None]] | None = None,
) -> Verdict:
    """The verdict that a statistic gives on a claim, its premise aside. Pure.

    Arguments: `level`, of the tests, two-sided; `premise`, the statistic of the claim's premise, which the verdicts at
    another level and without a seed take into account; `without(seed)`, both statistics without a seed, where more
    changes than that its value is gone. Values that are not finite are left out and counted in the note.
    Raises `ValueError` for a ratio that is not positive.
    """
    size = claim.paper_value(dataset)
    blank = Verdict(claim.id, dataset, "no verdict", paper=size)
    if claim.kind == "not_tested":
        return replace(blank, verdict="not tested", note=claim.reason)
    decision = decide(claim, size, found, level)
    verdict = replace(
        blank,
        verdict=decision.verdict,
        estimate=decision.estimate,
        note=decision.note,
        values=_pairs(found),
        tails=decision.tails,
    )
    if decision.tails is None:
        return verdict

    def of_others(seed: int) -> str:
        parts = without(seed) if without else (found.without(seed), premise and premise.without(seed))
        return _with_its_premise(claim, size, *parts, level)

    seeds = found.values.dropna(how="all").index.tolist()
    whole = _with_its_premise(claim, size, found, premise, level)
    return replace(
        verdict,
        two_looks=_with_its_premise(claim, size, found, premise, level / LOOKS),
        left_out=tuple(changed_by_leaving_out(seeds, whole, of_others).items()),
        seeds_needed=seeds_that_would_decide(claim, found, level) if decision.verdict == "undecided" else None,
    )


def _with_its_premise(
    claim: Claim, size: float | None, found: Statistic, premise: Statistic | None, level: float
) -> str:
    """The verdict at a level, where a premise that is known has to hold at it too."""
    verdict = decide(claim, size, found, level).verdict
    if premise is None or verdict not in VERDICTS[:4]:
        return verdict
    held = decide(claim.as_premise(), None, premise, level)
    if held.tails is None:
        return "no verdict"
    return verdict if held.verdict == "reproduced" else "premise not met"


def _pairs(found: Statistic) -> tuple[tuple[Any, Any], ...]:
    """A statistic's known values as they are written: (seed, number), or (seed, ((thing, number), ...))."""
    if isinstance(found.values, pd.Series):
        return tuple((k, float(v)) for k, v in found.values.items() if math.isfinite(v))
    return tuple(
        (seed, tuple((str(k), float(v)) for k, v in row.items() if math.isfinite(v)))
        for seed, row in found.values.iterrows()
    )


def evaluate(
    dataset: str,
    tables: Sections,
    others: Mapping[str, Sections] | None = None,
    alike: Callable[[str, str, str], bool] = lambda notebook, name, section: True,
    claims: Sequence[Claim] | None = None,
    computed: Computed | None = None,
) -> list[Verdict]:
    """Verdicts on every claim that is made for a data set, in the claims' order.

    Arguments: `tables[section][name]`, what has been run; `others`, the same of further data sets by name, for claims
    that compare two; `alike(notebook, data set, section)`, whether a section was run with the same settings as this
    data set's `notebook`: a claim takes tables of no other, and is "not comparable" where it would need them. One whose
    notebook or table is lacking is "not yet run", one whose table lacks a column has "no verdict"; the note says what
    is lacking. `claims`: those to judge (default: all, as they are now). P values are adjusted within families.
    `computed`: statistics by (data set, notebook, name, seed that is left out), kept between calls with the same tables
    and `alike`.
    """
    computed = {} if computed is None else computed
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

    def statistic(name: str, notebook: str, without: int | None = None) -> Statistic:
        place = dataset, notebook, name, without
        if place not in computed:
            there = joined[notebook][0]
            computed[place] = STATISTICS.compute(name, there if without is None else there.without(without))
        return computed[place]

    verdicts = [_evaluate(claim, *joined[claim.notebook], statistic) for claim in claims]
    of = {claim.id: claim.family for claim in claims}
    families: dict[str, dict[str, PValues]] = defaultdict(dict)
    for v in verdicts:
        if (family := of[v.claim]) and v.tails is not None and v.verdict in VERDICTS[:4]:
            families[family][v.claim] = v.tails
    adjusted = {claim: p for family in families.values() for claim, p in benjamini_hochberg(family).items()}
    return [replace(v, adjusted=adjusted.get(v.claim), family=of[v.claim]) for v in verdicts]


def _evaluate(claim: Claim, tables: Tables, unlike: set[str], statistic: StatisticOf) -> Verdict:
    if claim.kind == "not_tested":
        return judge(claim, tables.dataset, NOTHING)
    paper = claim.paper_value(tables.dataset)
    try:
        tables[claim.notebook]  # lacking, if it was not run: also for a statistic that takes no table of it
        found = statistic(claim.statistic, claim.notebook)
    except LackingColumn as error:
        return Verdict(claim.id, tables.dataset, "no verdict", paper=paper, note=f"lacks {error.args[0]}")
    except Lacking as error:
        verdict = "not comparable" if error.args[0] in unlike else "not yet run"
        return Verdict(claim.id, tables.dataset, verdict, paper=paper, note=f"lacks {_lacking(error, unlike)}")
    premise, lacking = None, None
    if claim.premise:
        try:
            premise = statistic(claim.premise["statistic"], claim.notebook)
        except Lacking as error:
            lacking = f"lacks {_lacking(error, unlike)}{_how_to_know(claim, error, tables.dataset)}"

    def without(seed: int) -> tuple[Statistic, Statistic | None]:
        """What other seeds chose they choose anew; any other statistic loses a value."""
        name, rest = claim.statistic, premise and premise.without(seed)
        return statistic(name, claim.notebook, seed) if found.candidates else found.without(seed), rest

    verdict = judge(claim, tables.dataset, found, premise=premise, without=without)
    beside = (verdict.note, found.note, *_beside(claim, verdict, found))
    verdict = replace(verdict, note="; ".join(filter(None, beside)), caution=found.caution)
    return _with_premise(claim, verdict, premise, lacking)


def _lacking(error: Lacking, unlike: set[str]) -> str:
    """What a statistic does not have, and whether it was run otherwise."""
    return f"{error.args[0]}{' with the same settings' if error.args[0] in unlike else ''}"


def _with_premise(claim: Claim, verdict: Verdict, premise: Statistic | None, lacking: str | None) -> Verdict:
    """The verdict where the claim's premise holds, if it has one; else that it is not met, or that it is not known.

    Arguments: the statistic of the premise, or what it lacks.
    """
    if claim.premise is None or verdict.verdict not in VERDICTS[:4]:
        return verdict
    if premise is None:
        return _of_unknown_premise(claim, verdict, lacking)
    stated = claim.as_premise()
    held = decide(stated, None, premise, LEVEL)
    if held.tails is None:
        return _of_unknown_premise(claim, verdict, held.note or held.verdict)
    measured = f"{claim.premise['words']}: {held.estimate}"
    if held.verdict == "reproduced":
        return replace(verdict, premise=f"Premise met: {measured}")
    could_hold = held.verdict == "undecided" and (held.estimate.mean > stated.null_value) == (stated.side == "greater")
    needed = seeds_that_would_decide(stated, premise, LEVEL) if could_hold else None
    said = f"Premise: {measured}. But for it: {verdict.verdict}"
    return replace(verdict, verdict="premise not met", premise=said, seeds_needed=needed)


def _of_unknown_premise(claim: Claim, verdict: Verdict, why: str) -> Verdict:
    """No verdict, with the estimate: it may be that the claim does not speak of these teachers."""
    note = "; ".join(filter(None, [f"no verdict before its premise is known ({why})", verdict.note]))
    kept = {"estimate": verdict.estimate, "paper": verdict.paper, "values": verdict.values}
    kept |= {"note": note, "caution": verdict.caution}
    said = f"Premise: {claim.premise['words']}; not known here"
    return Verdict(claim.id, verdict.dataset, "no verdict", premise=said, **kept)


def _how_to_know(claim: Claim, error: Lacking, dataset: str) -> str:
    """After which command a premise is known that lacks a section; empty where it lacks something else."""
    if error.args[0] not in {other.notebook for other in load_claims()}:
        return ""
    run = f"`kdlib run {error.args[0]} --dataset {dataset}`, with the profile and parameters of {claim.notebook}"
    return f": after {run}, the scoreboard has it"


def _beside(claim: Claim, verdict: Verdict, found: Statistic) -> Iterable[str]:
    """What other ways to weigh the same numbers say; they decide nothing."""
    if verdict.estimate is None or verdict.estimate.n < 2:
        return
    if found.ranks is not None:
        ranks = [found.ranks[seed] for seed, _ in verdict.values]
        yield f"permutation p = {min(permutation_p(ranks)):.2g}"
        if (p := one_order_p(ranks)) is not None:
            yield f"with one order for all seeds, as of settings drawn by chance, {p:.2g}"
    if found.cells is not None:
        interval = hierarchical_bootstrap(found.cells.dropna().to_numpy())
        yield f"hierarchical bootstrap {interval.printed(interval.low)} to {interval.printed(interval.high)}"
    if found.percents is not None and claim.kind == "direction":
        percents = found.percents.loc[[seed for seed, _ in verdict.values]]
        if ((percents < NEAR_THE_ENDS) | (percents > 100 - NEAR_THE_ENDS)).to_numpy().any():
            odds = logits_of_percents(percents["a"]) - logits_of_percents(percents["b"])
            other = decide(replace(claim, value=None, null_value=0), None, Statistic(odds), LEVEL)
            same = other.verdict in (verdict.verdict, verdict.verdict.replace("direction only", "reproduced"))
            yield f"on the logit scale {t_interval(odds)}{'' if same else f': {other.verdict}'}"


def count_verdicts(verdicts: Iterable[Verdict]) -> str:
    """Numbers of verdicts of each kind, in words: "3 reproduced, 1 undecided"."""
    counts = Counter(v.verdict for v in verdicts)
    return ", ".join(f"{counts[kind]} {kind}" for kind in VERDICTS if counts[kind])


def votes(verdicts: Iterable[Verdict]) -> dict[str, str]:
    """One vote for each sentence of the paper: the verdict of the weakest of its own claims that has one.

    From weak to strong: contradicted, undecided, direction only, reproduced. Readings and what holds by construction
    have no vote, nor has a claim without a verdict.
    """
    claims = {claim.id: claim for claim in load_claims()}
    order = ("contradicted", "undecided", "direction only", "reproduced")
    found: dict[str, str] = {}
    for v in verdicts:
        if claims[v.claim].own and v.verdict in order:
            sentence = claims[v.claim].sentence
            found[sentence] = min(v.verdict, found.get(sentence, "reproduced"), key=order.index)
    return found


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
            "note": v.said,
        }
        for v in verdicts
    ]
    return pd.DataFrame(rows, columns=_COLUMNS).astype({"paper": float, "n": "Int64"})

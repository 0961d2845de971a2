"""What a publication changed: each data set's verdicts beside those of the one before it, from the git history."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..claims.claim import Claim
from ..claims.claims import Verdict, load_claims
from ..claims.rules import Entry
from ..report.formatting import as_written
from ..report.verdict_table import estimate
from ..sections import SECTIONS
from ..study.settings import BEFORE, differing
from .history import History
from .newer_rules import ABSENT_IS_NONE, DECIDING, applies, same_measure
from .scoreboard import judge_dataset, tables_of

Records = Sequence[Mapping[str, Any]]
NOT_JUDGED = "not judged"
OTHERWISE = "measured otherwise"
WHY = {
    (True, True): "other numbers, another rule",
    (True, False): "other numbers",
    (False, True): "another rule",
    (False, False): "the same verdict",
}


@dataclass(frozen=True)
class Publication:
    """The records of a data set's pages as a commit has them."""

    commit: str
    date: str  # as 2026-11-26
    records: Records


@dataclass(frozen=True)
class Row:
    """A claim's verdict in two publications.

    `before`: of the earlier numbers by the rule of then, `between`: of those by the present rule, `now`: of the present
    ones by it. A claim that was not there had no verdict; one that took another measure has none that could be
    computed.
    """

    claim: Claim
    before: Verdict | str
    between: Verdict
    now: Verdict

    @property
    def changed(self) -> bool:
        """True if the verdict of then is not that of now; what was run in neither publication has not changed."""
        return _word(self.before) != self.now.verdict and {self.between.verdict, self.now.verdict} != {"not yet run"}

    @property
    def why(self) -> str:
        """Words for what made two verdicts differ: other numbers, another rule, both, or a new claim."""
        by_numbers = self.between.verdict != self.now.verdict
        if self.before == NOT_JUDGED:
            return "a new claim"
        return WHY[by_numbers, _word(self.before) != self.between.verdict]


def earlier_publication(dataset: str, records: Records, history: History) -> Publication | None:
    """The newest publication of a data set with other tables or rules than these pages; None where there is none."""
    now = _identity(records)
    for commit, date in history.commits(f"book/{dataset}"):
        found = history.records(commit, f"book/{dataset}")
        if found and _identity(found) != now:
            return Publication(commit, date, found)
    return None


def compare(
    dataset: str, records: Records, verdicts: Sequence[Verdict], before: Publication, history: History
) -> list[Row]:
    """Every claim on a data set in an earlier publication and in its present pages.

    Arguments: `records` of all pages; those of other data sets are taken as they are in both; `verdicts` on this one.
    """
    claims = [claim for claim in load_claims() if claim.applies_to(dataset)]
    old = [*before.records, *(r for r in records if r["dataset"] != dataset)]
    tables, computed = tables_of(old), {}

    def judged(claims: Sequence[Claim]) -> dict[str, Verdict]:
        return {v.claim: v for v in judge_dataset(old, tables, dataset, claims, computed)}

    version = history.at(before.commit)
    entries = {entry["id"]: entry for entry in version.rules["claims"]} if version else {}
    then = {claim.id: _as_then(claim, entries.get(claim.id), dataset) for claim in claims}
    now, between = {v.claim: v for v in verdicts}, judged(claims)
    by_another_rule = [then[c.id] for c in claims if isinstance(then[c.id], Claim) and then[c.id] != c]
    earlier = judged(by_another_rule)
    earlier |= {claim.id: between[claim.id] for claim in claims if then[claim.id] == claim}
    return [
        Row(claim, earlier.get(claim.id) or then[claim.id], between[claim.id], now[claim.id])
        for claim in claims
        if claim.kind != "not_tested"
    ]


def page(records: Records, verdicts: Mapping[str, Sequence[Verdict]], history: History) -> str:
    """The book's page: of each data set what its publication changed, verdict by verdict.

    Arguments: `verdicts` on each data set, from the tables of `records`.
    """
    lines = [
        "# What changed",
        "",
        "Each data set's verdicts beside those of the publication before the present one, as the git history has it:",
        "by the rules of then, the same numbers by the present rules, and the present numbers. So it can be told",
        "whether other numbers or another rule made the difference. A claim that takes another measure than then has",
        "no verdict by the old rule.",
    ]
    for dataset, title in {r["dataset"]: r["title"] for r in records}.items():
        lines += ["", f"## {as_written(title)}", "", *_of_dataset(dataset, records, verdicts[dataset], history)]
    return "\n".join(lines) + "\n"


def _of_dataset(dataset: str, records: Records, verdicts: Sequence[Verdict], history: History) -> Iterator[str]:
    own = [r for r in records if r["dataset"] == dataset]
    before = earlier_publication(dataset, own, history)
    if before is None:
        unknown = f"It cannot be told what its publication changed: {history.unknown}."
        yield unknown if history.unknown else "The git history here has no earlier publication of it."
        return
    rows = compare(dataset, records, verdicts, before, history)
    changed = [row for row in rows if row.changed]
    new, otherwise = (sum(row.before == word for row in changed) for word in (NOT_JUDGED, OTHERWISE))
    yield f"Before: the pages of {before.date} (commit {before.commit[:12]}). Of {len(rows)} claims"
    other = len(changed) - new - otherwise
    yield f"{other} {'has' if other == 1 else 'have'} another verdict; {otherwise} by another measure;"
    yield f"judged for the first time: {new}."
    yield ""
    yield from (f"- {line}" for line in _other_runs(before.records, own))
    if changed:
        yield ""
        yield "| claim | before, by the rule of then | those numbers by the present rule | now | why |"
        yield "|---|---|---|---|---|"
        for row in changed:
            cells = (row.claim.title, *(_shown(v, row.claim) for v in (row.before, row.between, row.now)), row.why)
            yield f"| {' | '.join(cells)} |"


def _other_runs(before: Records, now: Records) -> Iterator[str]:
    """What was run otherwise, section by section."""
    earlier = {r["section"]: r for r in before}
    for record in now:
        label = SECTIONS[record["section"]].label
        was = earlier.get(record["section"])
        if was is None:
            yield f"{label}: not there before"
            continue
        ours, theirs = (BEFORE | dict(r["settings"]) for r in (record, was))
        known = [name for name in SECTIONS[record["section"]].parameters if name in ours and name in theirs]
        if names := differing(theirs, ours, known):
            yield f"{label}: " + "; ".join(f"{name} {theirs[name]} → {ours[name]}" for name in names)
        elif was["digest"] != record["digest"]:
            yield f"{label}: other tables from the same parameters"


def _as_then(claim: Claim, entry: Entry | None, dataset: str) -> Claim | str:
    """A claim by the rule that it had; or why there is no verdict by that."""
    if entry is None or not applies(entry, dataset):
        return NOT_JUDGED
    present = {name: getattr(claim, name) for name in claim.__dataclass_fields__}
    if not same_measure(entry, present):
        return OTHERWISE
    decides = {name: entry.get(name) for name in DECIDING["claims"] if name in entry or name in ABSENT_IS_NONE}
    return Claim(**(present | decides))


def _identity(records: Records) -> set[tuple[Any, ...]]:
    return {(r["section"], r["digest"], r.get("rules")) for r in records}


def _word(verdict: Verdict | str) -> str:
    return verdict if isinstance(verdict, str) else verdict.verdict


def _shown(verdict: Verdict | str, claim: Claim) -> str:
    """A verdict with its estimate, as the cell of a table."""
    number = "" if isinstance(verdict, str) else estimate(verdict, claim.unit)
    return f"{_word(verdict)}: {number}".replace("|", "\\|") if number else _word(verdict)

"""Rules that are newer than some of a page's numbers: found in the git history, told by the page and by `verify`."""

import html
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..claims import rules
from ..claims.claim import PAPER_DATASETS, Claim
from ..claims.controls import Control, as_control
from ..claims.registry import STATISTICS
from ..claims.rules import KINDS, Entry, Rules
from .history import History, Version

Judge = Callable[[str, Claim | Control], str]  # data set and rule: the verdict or the outcome, in a few words

# What decides, of an entry; the rest is words.
MEASURED = ("statistic", "definition", "unit")
DECIDING = {
    "claims": (*MEASURED, "kind", "side", "null_value", "margin", "value", "datasets", "also", "premise"),
    "controls": (*MEASURED, "null_value", "notebook"),
}
ABSENT_IS_NONE = {"premise"}  # a field without which there was none, also where no entry of a version had it
NOT_JUDGED = "not judged on this data set"


@dataclass(frozen=True)
class Change:
    """A rule that was not there, or another, when some of a page's units were computed.

    `entry` is the rule as it is now (of one that was dropped, as it was), `date` the day since when (empty: not
    committed). `earlier`: what decided instead at those commits, as whole entries, each once; none of a new rule.
    """

    kind: str
    entry: Entry
    what: str  # new, changed, dropped, or reworded
    date: str
    earlier: tuple[Entry, ...] = ()

    @property
    def title(self) -> str:
        """Title of the claim or control, or its id in words where the entry has none."""
        return self.entry.get("title") or self.entry["id"].replace("-", " ")


@dataclass(frozen=True)
class Standing:
    """Relation of a page's rules to its numbers in time, as the git history tells it.

    `judged_by_these`: whether its verdicts are by the rules as they are now; None if that cannot be told. `changes`:
    the rules that are newer than some of its units. `untold`: what cannot be told, and why.
    """

    dataset: str
    judged_by_these: bool | None
    changes: tuple[Change, ...]
    untold: tuple[str, ...]

    @property
    def newer(self) -> list[Change]:
        """Changes of rules that may decide otherwise than the earlier ones: all but rewordings."""
        return [change for change in self.changes if change.what != "reworded"]


def standing(record: Mapping[str, Any], history: History) -> Standing:
    """Compare a page's record with the rules of its section, as they are now and as the history has them."""
    section, dataset, now = record["section"], record["dataset"], rules.read()
    own = rules.digest(now, section)
    versions: dict[str, Version] = {}
    untold = []
    for origin in record["cost"].get("computed_by") or [
        {"commit": c, "rules": None} for c in record["cost"]["commits"]
    ]:
        commit, recorded = origin["commit"], origin["rules"]
        version = history.at(commit)
        if version and recorded not in (None, rules.digest(version.rules, section)):
            untold.append(f"by which rules units of commit {commit} were computed: they recorded others than it holds")
        elif version is None and recorded == own:
            continue  # of a commit that is not here, or of files that were not committed: what they recorded counts
        elif version is None:
            version = recorded and history.with_digest(section, recorded)
        if version:
            versions[version.commit] = version
        else:
            untold.append(_why(commit, history))
    judged = _judged_by(record, history)
    if judged is None:
        untold.append("by which rules it was judged: the history does not hold those that it names")
    changes = _changes(now, list(versions.values()), history, section, dataset)
    return Standing(dataset, None if judged is None else judged == own, tuple(changes), tuple(dict.fromkeys(untold)))


def note(found: Standing, judge: Judge) -> str:
    """Markdown for the top of a page; empty where no rule is newer than a number, and all can be told."""
    if not (found.newer or found.untold or found.judged_by_these is False):
        return ""
    said = []
    if found.judged_by_these is False:
        said.append("The verdicts on this page are by earlier rules: `kdlib run` makes it anew.")
    if found.newer:
        said.append("Some of its units were computed at commits that have other rules than the present ones.")
    judged = [(change, _verdicts(change, found.dataset, judge)) for change in found.changes]
    pairs = [(change.title, pair) for change, verdicts in judged if change in found.newer for pair in verdicts]
    other = [f"*{title}*: {was}, now {now}" for title, (was, now) in pairs if was != now]
    if other:
        said.append("By the earlier rules there are other verdicts, from the same numbers:")
        said += ["", *(f"- {line}" for line in other), ""]
    elif pairs:
        said.append("Where a verdict by the earlier rules can be computed, it is the same.")
    if found.newer:
        said.append(
            "So this is a second look at these numbers: a verdict that it does not bear says so on the scoreboard."
        )
    said += [f"It cannot be told {why}." for why in found.untold]
    if found.changes:
        items = "".join(f"<li>{line}</li>" for change, verdicts in judged for line in _in_full(change, verdicts))
        details = f"<details><summary>Each of these rules, with its date</summary><ul>{items}</ul></details>"
        said += ["", "```{raw} html", details, "```"]
    return "\n".join([f":::{{admonition}} {_title(found)}", ":class: profile-banner", *said, ":::", ""])


def lines(found: Standing) -> Iterator[str]:
    """Lines that `verify` prints about a page: nothing where no rule is newer than a number, and all can be told."""
    if found.newer:
        yield f"{_title(found)}: {', '.join(change.entry['id'] for change in found.newer)}"
    yield from (f"it cannot be told {why}" for why in found.untold)


def _title(found: Standing) -> str:
    count, dates = len(found.newer), sorted({change.date or "not committed" for change in found.newer})
    if not count:
        return "Which of the rules are newer than the numbers?"
    when = " to ".join(dict.fromkeys((dates[0], dates[-1])))
    return f"{count} rule{'s are' if count > 1 else ' is'} newer than some numbers of this page ({when})"


def _why(commit: str, history: History) -> str:
    if history.unknown:
        return f"which rules were there when its units were computed: {history.unknown}"
    what = f"which rules were there when units of commit {commit} were computed"
    if commit.endswith("-dirty"):
        return f"{what}: files were not committed"
    return f"{what}: the git history here does not hold it"


def _judged_by(record: Mapping[str, Any], history: History) -> str | None:
    """The digest of the section's rules that judged a page. Before there was one, pages recorded the whole files'."""
    if "rules" in record:
        return record["rules"]
    version = history.with_files(record["claims"], record["controls"])
    return version and rules.digest(version.rules, record["section"])


def _changes(now: Rules, versions: list[Version], history: History, section: str, dataset: str) -> Iterator[Change]:
    for kind in KINDS:
        present = {entry["id"]: entry for entry in now[kind]}
        for entry in present.values():
            if entry["notebook"] == section:
                yield from _change(kind, entry, versions, history, dataset)
        gone: dict[str, Entry] = {}
        for version in versions:
            own = (e for e in version.rules[kind] if e["notebook"] == section and e["id"] not in present)
            gone |= {entry["id"]: entry for entry in own if applies(entry, dataset)}
        for name, entry in gone.items():
            date = _since(history, lambda v, kind=kind, name=name: _find(v.rules[kind], name) is None)
            yield Change(kind, entry, "dropped", date)


def _change(kind: str, entry: Entry, versions: list[Version], history: History, dataset: str) -> Iterator[Change]:
    """What became of an entry since these versions, if anything."""
    there = [(version, _find(version.rules[kind], entry["id"])) for version in versions]
    name = entry["id"]
    applied = [applies(e, dataset) for _, e in there if e is not None]
    if not (applies(entry, dataset) or any(applied)):
        return

    def other(version: Version) -> bool:
        then = _find(version.rules[kind], name)
        return then is not None and bool(_differing(kind, entry, then, version, dataset))

    if any(then is None for _, then in there):
        date = _since(history, lambda v: _find(v.rules[kind], name) is not None)
        yield Change(kind, entry, "new", date)
        return
    earlier: dict[str, Entry] = {}
    for version, then in there:
        if names := _differing(kind, entry, then, version, dataset):
            merged = {**entry, **{field: then.get(field) for field in names}}
            earlier[repr(_decides(kind, merged, dataset))] = merged
    if earlier:
        yield Change(kind, entry, "changed", _since(history, lambda v: not other(v)), tuple(earlier.values()))
    elif any(_reworded(kind, entry, then, version) for version, then in there):
        yield Change(kind, entry, "reworded", _since(history, lambda v: _find(v.rules[kind], name) == entry))


def _differing(kind: str, entry: Entry, then: Entry, version: Version, dataset: str) -> list[str]:
    """The fields that decide otherwise on a data set. One that no entry of a version had was no part of its rules.

    Of a premise it is: without one, there was none to meet.
    """
    had = {field for e in version.rules[kind] for field in e} | ABSENT_IS_NONE
    now, before = _decides(kind, entry, dataset), _decides(kind, then, dataset)
    return [field for field in now if field in had and now[field] != before[field]]


def _reworded(kind: str, entry: Entry, then: Entry, version: Version) -> bool:
    """Whether a version has other words for an entry: not those of a field that none of its entries had."""
    had = {field for e in version.rules[kind] for field in e} - {*DECIDING[kind]}
    return any(entry.get(field) != then.get(field) for field in had)


def _decides(kind: str, entry: Entry, dataset: str) -> dict[str, Any]:
    """Of an entry what decides on a data set, by field."""
    found = {field: entry.get(field) for field in DECIDING[kind]}
    found["definition"] = " ".join(entry["definition"].split())
    if kind == "claims":
        value = entry["value"]
        found["value"] = (value.get(dataset), True) if isinstance(value, Mapping) else (value, value is not None)
        found["datasets"] = applies(entry, dataset)
    return found


def applies(entry: Entry, dataset: str) -> bool:
    """True if a rule judges a data set: a control judges every one, a claim those that it is made for."""
    return "datasets" not in entry or (dataset if dataset in PAPER_DATASETS else "other") in entry["datasets"]


def _find(entries: Iterable[Entry], name: str) -> Entry | None:
    return next((entry for entry in entries if entry["id"] == name), None)


def _since(history: History, holds: Callable[[Version], bool]) -> str:
    """The day since when something holds of the rules, empty if not in the last commit."""
    date = ""
    for version in history.versions:
        if not holds(version):
            break
        date = version.date
    return date


def _verdicts(change: Change, dataset: str, judge: Judge) -> list[tuple[str, str]]:
    """By each earlier rule that takes the same measure, which alone today's code computes: the verdict, and now's."""

    def by(entry: Entry) -> str:
        rule = Claim(**entry) if change.kind == "claims" else as_control(entry)
        return judge(dataset, rule) if applies(entry, dataset) else NOT_JUDGED

    return [(by(earlier), by(change.entry)) for earlier in change.earlier if same_measure(earlier, change.entry)]


def same_measure(one: Entry, other: Entry) -> bool:
    """True if an earlier entry takes the measure of a present one, so that today's code computes what it decides by.

    Not where the statistic of its premise is gone.
    """
    premise = one.get("premise")
    gone = premise and premise["statistic"] not in STATISTICS
    return not gone and all(one[field] == other[field] for field in MEASURED)


def _in_full(change: Change, verdicts: Iterable[tuple[str, str]]) -> Iterator[str]:
    """HTML, a line for each earlier form of a rule, with its `_verdicts`."""
    date = change.date or "not committed"
    title = f"<strong>{html.escape(change.title)}</strong>"
    if not change.earlier:
        yield f"{title}: {change.what}, {date}"
    verdicts = iter(verdicts)
    for earlier in change.earlier:
        if not same_measure(earlier, change.entry):
            before = html.escape(" ".join(earlier["definition"].split()))
            why = f"its measure was described otherwise before {date}, so no verdict by it is computed"
            yield f"{title}: {why}: “{before}”"
            continue
        names = [field for field in DECIDING[change.kind] if earlier.get(field) != change.entry.get(field)]
        fields = ", ".join(
            f"{name.replace('_', ' ')} was {_word(earlier.get(name))}, is {_word(change.entry.get(name))}"
            for name in names
        )
        was, now = next(verdicts)
        yield f"{title}: {date}, {fields}; by that rule {was}, now {now}"


def _word(value: Any) -> str:
    """HTML of a field's value; of a premise its words."""
    if value is None:
        return "not there"
    if isinstance(value, Mapping):
        value = f"“{value['words']}”"
    return html.escape(", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))

"""Verdicts as a table to read: on a section's page, and for all claims on the scoreboard."""

import html
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..claims.claims import DECIDED, Claim, Verdict, load_claims
from ..claims.controls import Finding
from ..claims.headlines import Statement
from .formatting import as_written
from .interval_marks import LEGEND, Axis, common_axis, verdict_mark

EXPLAINABLE = ("reproduced", "direction only")  # what did not come out as claimed needs no other explanation
IN_SHORT = {  # by whether a statement holds on some data set, and whether the opposite does
    (True, False): "As claimed wherever it is decided",
    (True, True): "As claimed on some data sets, the opposite on others",
    (False, True): "The opposite wherever it is decided",
    (False, False): "Decided nowhere",
}
OUTSIDE = "The paper's size lies outside of the interval."
ITSELF = "The paper's own size contradicts it, too."
SYMBOLS = {r"\alpha": "α", "_{LS}": "<sub>LS</sub>", "_i": "<sub>i</sub>"}  # of the paper's sentences


@dataclass(frozen=True)
class Rivals:
    """The controls of a data set that explain a result otherwise, and the folder of its pages."""

    findings: Sequence[Finding] = ()
    folder: str = ""

    def links(self, verdict: Verdict) -> str:
        """HTML: those that explain a verdict, each with a link and its sentence; empty where none does."""
        if verdict.verdict not in EXPLAINABLE:
            return ""
        explaining = [f for f in self.findings if f.outcome == "explains" and verdict.claim in f.control.claims]
        return ", ".join(
            f"<a href='{self.folder}/{f.control.notebook}.html' title='{html.escape(f.sentence, quote=True)}'>"
            f"{html.escape(f.control.title.lower())}</a>"
            for f in explaining
        )


class VerdictTable:
    """A row for each verdict: the paper's value, ours with interval, n and unit; a claim opens to its sentence.

    `rivals`, if given, adds a column: the controls that explain a claim's result otherwise. `places`, if given, for a
    notebook its page and the command that makes it again: then the rows stand in groups, one for each notebook,
    those that `order` names first. `reach(verdict)`, HTML on how far a verdict goes, its remarks among it, where there
    is more to say than these.
    """

    def __init__(
        self,
        verdicts: Iterable[Verdict],
        rivals: Rivals | None = None,
        places: Mapping[str, tuple[str, str]] | None = None,
        order: Iterable[str] = (),
        reach: Callable[[Verdict], str] = lambda verdict: "",
    ) -> None:
        self.verdicts, self.rivals, self.places, self.order = list(verdicts), rivals, places or {}, tuple(order)
        self.reach = reach

    def __repr__(self) -> str:
        return "\n".join(f"{v.claim:32} {estimate(v):36} {v.verdict}" for v in self.verdicts)

    def _repr_html_(self) -> str:
        claims = {claim.id: claim for claim in load_claims()}
        names = ["claim", "paper", "here", "verdict"] + ["explained otherwise by"] * (self.rivals is not None)
        head = f"<tr>{''.join(f'<th>{name}</th>' for name in names)}</tr>"
        groups: dict[str, str] = dict.fromkeys(self.order, "") if self.places else {}
        for v in self.verdicts:
            group = claims[v.claim].notebook if self.places else ""
            groups[group] = groups.get(group, "") + self._row(v, claims[v.claim])
        body = "".join(f"<tbody>{self._title(g, len(names))}{rows}</tbody>" for g, rows in groups.items() if rows)
        table = f"<table class='dataframe scoreboard'><thead>{head}</thead>{body}</table>"
        signs = "" if self.places else f"<p><small>{LEGEND}</small></p>"  # on the scoreboard they stand at the head
        return f"<div class='table-scroll' tabindex='0'>{table}</div>{signs}"

    def _title(self, notebook: str, columns: int) -> str:
        """A row above a group."""
        if not notebook:
            return ""
        name = notebook.replace("_", " ").capitalize()
        if notebook in self.places:
            name = f"<a href='{self.places[notebook][0]}'>{name}</a>"
        return f"<tr class='group'><th scope='rowgroup' colspan='{columns}'>{name}</th></tr>"

    def _row(self, verdict: Verdict, claim: Claim) -> str:
        paper = "" if verdict.paper is None else f"{verdict.paper:.4g}"
        unit = f" <small>{html.escape(claim.unit)}</small>" if claim.unit and verdict.estimate else ""
        links = "" if self.rivals is None else f"<td>{self.rivals.links(verdict)}</td>"
        opened = "".join(f"<p>{part}</p>" for part in self._opened(verdict, claim) if part)
        return (
            f"<tr id='{anchor(verdict.dataset, verdict.claim)}'><th scope='row'>"
            f"<details><summary>{html.escape(claim.title)}</summary>{opened}</details></th>"
            f"<td>{paper}</td><td>{html.escape(estimate(verdict, claim.unit))}{unit}"
            f"{verdict_mark(claim, verdict, common_axis([(claim, verdict)]))}</td>"
            f"<td>{badge(verdict)}</td>{links}</tr>"
        )

    def _opened(self, verdict: Verdict, claim: Claim) -> Iterable[str]:
        where = f"(section {claim.section})" if claim.section[0].isdigit() else f"({claim.section})"
        if claim.sentence is None:
            yield f"No sentence of the paper; a reading of what it prints {html.escape(where)}."
        else:
            yield f"{'A reading of: ' * claim.derived}“{_inline(claim.sentence)}” {html.escape(where)}"
        if claim.kind == "not_tested":
            yield f"Not tested: {_inline(claim.reason)}"
            return
        yield f"Measured: {_inline(claim.definition)}"
        yield f"Rule: {html.escape(claim.rule(verdict.dataset))}"
        if claim.by_construction:
            yield f"It holds by construction, and is counted apart: {html.escape(claim.by_construction)}"
        if verdict.estimate is not None:
            yield _with_code(verdict.said)
        if reach := self.reach(verdict):
            yield reach
        else:
            yield from map(html.escape, verdict.remarks())
        if _misses_size(verdict):
            yield OUTSIDE
        if _fails_itself(verdict, claim):
            yield ITSELF
        pages = {claim.notebook: "Its page"} | dict.fromkeys(claim.also, "A page whose tables it takes besides")
        for notebook, link in pages.items():
            if notebook in self.places:
                address, command = self.places[notebook]
                yield f"<a href='{address}'>{link}</a>; again: <code>{html.escape(command)}</code>"


class VerdictMatrix:
    """A row for each statement, a column for each data set: verdict, estimate, and what explains it otherwise.

    Each verdict is linked to its claim on the scoreboard; a cell opens to its notes. A statement has the unit of its
    numbers where all of them have the same. One that is made for none of the data sets is left out.

    Arguments: `statements`; `verdicts`, `titles` and `rivals` by data set; `page`, the scoreboard's address;
    `reach(verdict)`, HTML on how far a verdict goes, which stands among the notes.
    """

    def __init__(
        self,
        statements: Mapping[str, Statement],
        verdicts: Mapping[str, Sequence[Verdict]],
        titles: Mapping[str, str],
        rivals: Mapping[str, Rivals],
        page: str,
        reach: Callable[[Verdict], str] = lambda verdict: "",
    ) -> None:
        self.statements, self.verdicts, self.titles = statements, verdicts, titles
        self.rivals, self.page, self.reach = rivals, page, reach

    def deciding(self) -> dict[str, dict[str, Verdict | None]]:
        """The verdict that decides each shown statement, on each data set; None where none applies."""
        found = {}
        for statement, given in self.statements.items():
            own = {
                name: next((v for claim in given.claims for v in judged if v.claim == claim), None)
                for name, judged in self.verdicts.items()
            }
            if any(own.values()):
                found[statement] = own
        return found

    def in_short(self) -> Iterator[str]:
        """Lines of Markdown: which statements hold wherever they are decided, which here and there, which nowhere.

        Each with the data sets that decide it; a data set in italics where it holds in direction and not in size.
        """
        told: dict[str, list[str]] = {head: [] for head in IN_SHORT.values()}
        for statement, verdicts in self.deciding().items():
            decided = {name: v for name, v in verdicts.items() if v and v.verdict in DECIDED}
            held, opposite, explained = [], [], []
            for name, verdict in decided.items():
                title = as_written(self.titles[name])
                if verdict.verdict == "contradicted":
                    opposite.append(title)
                    continue
                held.append(f"*{title}*" if verdict.verdict == "direction only" else title)
                if name in self.rivals and self.rivals[name].links(verdict):
                    explained.append(title)
            where = "; ".join(
                introduction + ", ".join(titles)
                for introduction, titles in (
                    ("", held),
                    ("the opposite on " if held else "", opposite),
                    ("but see a control on ", explained),
                )
                if titles
            )
            told[IN_SHORT[bool(held), bool(opposite)]].append(
                self.statements[statement].short + (f" ({where})" if where else "")
            )
        for head, said in told.items():
            if said:
                yield f"- {head}:"
                yield from (f"  - {clause}" for clause in said)

    def _repr_html_(self) -> str:
        entries, rows = {claim.id: claim for claim in load_claims()}, {}
        for statement, own in self.deciding().items():
            measured = self.statements[statement].measured
            axis = common_axis((entries[v.claim], v) for v in own.values() if v)
            units = {entries[v.claim].unit for v in own.values() if v and v.estimate}
            unit = units.pop() if len(units) == 1 else None
            said = "; ".join(filter(None, [measured, unit if unit not in measured else ""])) if unit else measured
            small = f"<br><small>{html.escape(said)}</small>" if said else ""
            rows[html.escape(statement) + small] = [
                "–" if v is None else self._shown(name, v, entries[v.claim], axis, unit) for name, v in own.items()
            ]
        return Matrix("claim", [self.titles[name] for name in self.verdicts], rows)._repr_html_()

    def _shown(self, dataset: str, verdict: Verdict, claim: Claim, axis: Axis | None, said: str | None) -> str:
        """A cell. Arguments: `axis` of the row's drawings; `said`, the unit that the row names already."""
        unit = f" {claim.unit}" if claim.unit and claim.unit != said and verdict.estimate else ""
        links = self.rivals[dataset].links(verdict) if dataset in self.rivals else ""
        size = "" if verdict.paper is None else f"paper {verdict.paper:.4g}"
        note = _with_code(verdict.note) if verdict.estimate else ""
        of_all = note if claim.kind == "every" else ""  # the number is that of the weakest alone
        notes = [
            "" if of_all else note,
            OUTSIDE if _misses_size(verdict) else "",
            ITSELF if _fails_itself(verdict, claim) else "",
            self.reach(verdict),
        ]
        opened = "<br>".join(filter(None, notes))
        return (
            f"<a href='{self.page}#{anchor(dataset, verdict.claim)}'>{badge(verdict)}</a>"
            f"{verdict_mark(claim, verdict, axis) or '<br>'}"
            f"<small>{_with_code('; '.join(filter(None, [estimate(verdict, claim.unit) + unit, size])))}</small>"
            + f"<br><small>{of_all}</small>" * bool(of_all)
            + f"<br><small><b>{html.escape(verdict.caution)}</b></small>" * bool(verdict.caution)
            + f"<br><small>but see {links}</small>" * bool(links)
            + f"<details><summary><small>how far?</small></summary><small>{opened}</small></details>" * bool(opened)
        )


@dataclass(frozen=True)
class Matrix:
    """A table of words that reads on a phone, where a cell names its column; `rows` are HTML by their heads."""

    corner: str
    columns: Sequence[str]
    rows: Mapping[str, Sequence[str]]

    def __repr__(self) -> str:
        lines = [f"{name}: {'; '.join(filter(None, cells))}" for name, cells in self.rows.items()]
        return html.unescape(re.sub(r"<[^>]*>", "", "\n".join(lines)))

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in (self.corner, *self.columns))
        names = [html.escape(name, quote=True) for name in self.columns]
        body = "".join(
            f"<tr><th scope='row'>{name}</th>"
            + "".join(f"<td data-title='{title}'>{cell}</td>" for title, cell in zip(names, cells, strict=True))
            + "</tr>"
            for name, cells in self.rows.items()
        )
        table = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        return f"<div class='table-scroll' tabindex='0'><table class='dataframe verdict-matrix'>{table}</table></div>"


def anchor(dataset: str, claim: str) -> str:
    """HTML id of a claim's row on the scoreboard."""
    return f"claim-{dataset}-{claim}".replace("_", "-").lower()


def badge(verdict: Verdict) -> str:
    """HTML of a verdict in its colour."""
    kind = verdict.verdict.split(",")[0].replace(" ", "-")
    return f"<span class='verdict verdict-{kind}'>{html.escape(verdict.verdict)}</span>"


def estimate(verdict: Verdict, unit: str | None = None) -> str:
    """Text of a verdict's estimate: mean, interval and n; its note, where there is no mean of seeds."""
    e = verdict.estimate
    if e is None:
        return verdict.note if verdict.verdict not in ("not yet run", "not tested") else ""
    if e.mean != e.mean:
        return ""
    n = f"(n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{e.n})"
    if e.low != e.low:
        return f"{e.printed(e.mean)} {n}"
    if not e.has_width:
        return f"{e.mean:.3g} in all seeds {n}"
    low, high = e.shown_ends(unit)
    return f"{e.printed(e.mean)} [{e.printed(low)}, {e.printed(high)}] {n}"


def _misses_size(verdict: Verdict) -> bool:
    e, size = verdict.estimate, verdict.paper
    return verdict.verdict == "undecided" and e is not None and size is not None and not e.low <= size <= e.high


def _fails_itself(verdict: Verdict, claim: Claim) -> bool:
    judged = verdict.verdict == "contradicted" and verdict.paper is not None and claim.side is not None
    return judged and claim.forbids(verdict.paper)


def _inline(text: str) -> str:
    """HTML of a sentence: `code`, and the few symbols that the paper's sentences hold between dollar signs."""

    def symbols(match: re.Match) -> str:
        inner = match[1]
        for name, sign in SYMBOLS.items():
            inner = inner.replace(name, sign)
        return f"<i>{inner}</i>"

    return re.sub(r"\$([^$]+)\$", symbols, _with_code(" ".join(text.split()), quote=False))


def _with_code(text: str, quote: bool = True) -> str:
    """HTML of a text with `code`."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote))

"""Verdicts as a table to read: on a section's page, and for all claims on the scoreboard."""

import html
from collections.abc import Iterable, Mapping, Sequence

from .claims import Claim, Verdict, load_claims
from .controls import Finding


class VerdictTable:
    """A row for each verdict: the paper's value, ours with interval, n and unit; a claim opens to its sentence.

    `rivals`, if given, adds a column: the controls that explain a claim's result otherwise, each linked to `page`.
    `places`: for a notebook its page and the command that makes it again.
    """

    def __init__(
        self,
        verdicts: Iterable[Verdict],
        rivals: Iterable[Finding] | None = None,
        page: str = "",
        places: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self.verdicts, self.page, self.places = list(verdicts), page, places or {}
        self.rivals = None if rivals is None else [f for f in rivals if f.outcome == "explains"]

    def __repr__(self) -> str:
        return "\n".join(f"{v.claim:32} {_estimate(v):36} {v.verdict}" for v in self.verdicts)

    def _repr_html_(self) -> str:
        claims = {claim.id: claim for claim in load_claims()}
        names = ["claim", "paper", "here", "verdict"] + ["explained otherwise by"] * (self.rivals is not None)
        head = f"<tr>{''.join(f'<th>{name}</th>' for name in names)}</tr>"
        body = "".join(_row(v, claims[v.claim], self._place(claims[v.claim]), self._links(v)) for v in self.verdicts)
        table = f"<table class='dataframe scoreboard'><thead>{head}</thead><tbody>{body}</tbody></table>"
        return f"<div class='table-scroll' tabindex='0'>{table}</div>"

    def _place(self, claim: Claim) -> str:
        """Where a claim is decided, and how to do it again."""
        if claim.notebook not in self.places:
            return ""
        address, command = self.places[claim.notebook]
        return f"<p><a href='{address}'>Its page</a>; again: <code>{html.escape(command)}</code></p>"

    def _links(self, verdict: Verdict) -> str:
        """The last cell of a row, empty without rivals."""
        if self.rivals is None:
            return ""
        links = [
            f"<a href='{self.page}' title='{html.escape(f.sentence)}'>{html.escape(f.control.title.lower())}</a>"
            for f in self.rivals
            if verdict.claim in f.control.claims
        ]
        return f"<td>{', '.join(links)}</td>"


class VerdictMatrix:
    """A row for each statement, a column for each data set: verdict and estimate, linked to the scoreboard.

    A statement that is made for none of the data sets is left out.

    Arguments: `statements`, each with the claims of which the first that applies decides; `verdicts`, `titles` and
    `addresses` on the scoreboard by data set.
    """

    def __init__(
        self,
        statements: Mapping[str, Sequence[str]],
        verdicts: Mapping[str, Sequence[Verdict]],
        titles: Mapping[str, str],
        addresses: Mapping[str, str],
    ) -> None:
        self.statements, self.verdicts, self.titles, self.addresses = statements, verdicts, titles, addresses

    def _repr_html_(self) -> str:
        units = {claim.id: claim.unit for claim in load_claims()}
        head = "".join(f"<th>{html.escape(self.titles[name])}</th>" for name in self.verdicts)
        rows = []
        for statement, claims in self.statements.items():
            own = {
                name: next((v for claim in claims for v in found if v.claim == claim), None)
                for name, found in self.verdicts.items()
            }
            if any(own.values()):
                cells = "".join(f"<td>{self._cell(name, verdict, units)}</td>" for name, verdict in own.items())
                rows.append(f"<tr><th scope='row'>{html.escape(statement)}</th>{cells}</tr>")
        table = f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
        return f"<div class='table-scroll' tabindex='0'><table class='dataframe verdict-matrix'>{table}</table></div>"

    def _cell(self, dataset: str, verdict: Verdict | None, units: Mapping[str, str | None]) -> str:
        if verdict is None:
            return "–"
        unit = f" {units[verdict.claim]}" if units[verdict.claim] and verdict.estimate else ""
        return (
            f"<a href='{self.addresses[dataset]}'>{_badge(verdict)}</a>"
            f"<br><small>{html.escape(_estimate(verdict) + unit)}</small>"
        )


def _badge(verdict: Verdict) -> str:
    kind = verdict.verdict.split(",")[0].replace(" ", "-")
    return f"<span class='verdict verdict-{kind}'>{html.escape(verdict.verdict)}</span>"


def _row(verdict: Verdict, claim: Claim, place: str, links: str) -> str:
    label = "reading: " if claim.derived else ""
    paper = "" if verdict.paper is None else f"{verdict.paper:.4g}"
    unit = f" <small>{html.escape(claim.unit)}</small>" if claim.unit and verdict.estimate else ""
    return (
        f"<tr><th scope='row'><details><summary>{html.escape(verdict.claim.replace('-', ' '))}</summary>"
        f"<p>{label}“{_flowing(claim.sentence or claim.definition)}” (section {html.escape(claim.section)})</p>"
        f"<p>Measured: {_flowing(claim.definition)}</p>"
        f"{f'<p>{html.escape(verdict.note)}</p>' if verdict.note else ''}{place}</details></th>"
        f"<td>{paper}</td><td>{html.escape(_estimate(verdict))}{unit}</td>"
        f"<td>{_badge(verdict)}</td>{links}</tr>"
    )


def _flowing(text: str) -> str:
    return html.escape(" ".join(text.split()))


def _estimate(verdict: Verdict) -> str:
    e = verdict.estimate
    if e is None:
        return "" if verdict.verdict in ("not yet run", "not tested") else verdict.note
    if e.mean != e.mean:
        return ""
    if e.low != e.low:
        return f"{e.mean:.3g} (n = {e.n})"
    return f"{e.mean:.3g} [{e.low:.3g}, {e.high:.3g}] (n = {e.n})"

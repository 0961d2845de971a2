"""Verdicts as a table to read: on a section's page, and for all claims on the scoreboard."""

import html
from collections.abc import Iterable

from .claims import Claim, Verdict, load_claims
from .controls import Finding


class VerdictTable:
    """A row for each verdict: the paper's value, ours with interval, n and unit; a claim opens to its sentence.

    `rivals`, if given, adds a column: the controls that explain a claim's result otherwise, each linked to `page`.
    """

    def __init__(self, verdicts: Iterable[Verdict], rivals: Iterable[Finding] | None = None, page: str = "") -> None:
        self.verdicts, self.page = list(verdicts), page
        self.rivals = None if rivals is None else [f for f in rivals if f.outcome == "explains"]

    def __repr__(self) -> str:
        return "\n".join(f"{v.claim:32} {_estimate(v):36} {v.verdict}" for v in self.verdicts)

    def _repr_html_(self) -> str:
        claims = {claim.id: claim for claim in load_claims()}
        names = ["claim", "paper", "here", "verdict"] + ["explained otherwise by"] * (self.rivals is not None)
        head = f"<tr>{''.join(f'<th>{name}</th>' for name in names)}</tr>"
        body = "".join(_row(v, claims[v.claim], self._links(v)) for v in self.verdicts)
        table = f"<table class='dataframe scoreboard'><thead>{head}</thead><tbody>{body}</tbody></table>"
        return f"<div class='table-scroll' tabindex='0'>{table}</div>"

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


def _row(verdict: Verdict, claim: Claim, links: str) -> str:
    label = "reading: " if claim.derived else ""
    paper = "" if verdict.paper is None else f"{verdict.paper:.4g}"
    unit = f" <small>{html.escape(claim.unit)}</small>" if claim.unit and verdict.estimate else ""
    badge = verdict.verdict.split(",")[0].replace(" ", "-")
    return (
        f"<tr><th scope='row'><details><summary>{html.escape(verdict.claim.replace('-', ' '))}</summary>"
        f"<p>{label}“{_flowing(claim.sentence or claim.definition)}” (section {html.escape(claim.section)})</p>"
        f"<p>Measured: {_flowing(claim.definition)}</p>"
        f"{f'<p>{html.escape(verdict.note)}</p>' if verdict.note else ''}</details></th>"
        f"<td>{paper}</td><td>{html.escape(_estimate(verdict))}{unit}</td>"
        f"<td><span class='verdict verdict-{badge}'>{html.escape(verdict.verdict)}</span></td>{links}</tr>"
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

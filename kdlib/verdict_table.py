"""Verdicts as a table to read: on a section's page, and for all claims on the scoreboard."""

import html
from collections.abc import Iterable

from .claims import Claim, Verdict, load_claims


class VerdictTable:
    """A row for each verdict: the paper's value, ours with interval and n, the unit; a claim opens to its sentence."""

    def __init__(self, verdicts: Iterable[Verdict]) -> None:
        self.verdicts = list(verdicts)

    def __repr__(self) -> str:
        return "\n".join(f"{v.claim:32} {_estimate(v):36} {v.verdict}" for v in self.verdicts)

    def _repr_html_(self) -> str:
        claims = {claim.id: claim for claim in load_claims()}
        head = "<tr><th>claim</th><th>paper</th><th>here</th><th>unit</th><th>verdict</th></tr>"
        body = "".join(_row(v, claims[v.claim]) for v in self.verdicts)
        table = f"<table class='dataframe scoreboard'><thead>{head}</thead><tbody>{body}</tbody></table>"
        return f"<div class='table-scroll' tabindex='0'>{table}</div>"


def _row(verdict: Verdict, claim: Claim) -> str:
    label = "reading: " if claim.derived else ""
    paper = "" if verdict.paper is None else f"{verdict.paper:.4g}"
    badge = verdict.verdict.split(",")[0].replace(" ", "-")
    return (
        f"<tr><th scope='row'><details><summary>{html.escape(verdict.claim.replace('-', ' '))}</summary>"
        f"<p>{label}“{_flowing(claim.sentence or claim.definition)}” (section {html.escape(claim.section)})</p>"
        f"<p>Measured: {_flowing(claim.definition)}</p>"
        f"{f'<p>{html.escape(verdict.note)}</p>' if verdict.note else ''}</details></th>"
        f"<td>{paper}</td><td>{html.escape(_estimate(verdict))}</td><td>{html.escape(claim.unit or '')}</td>"
        f"<td><span class='verdict verdict-{badge}'>{html.escape(verdict.verdict)}</span></td></tr>"
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

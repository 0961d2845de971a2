"""What was found: the scoreboard, and its summaries on the landing page and on each section's."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from ..claims import Verdict, evaluate, load_claims
from ..controls import Finding, findings
from ..record import read_tables
from ..verdict_table import VerdictMatrix, VerdictTable
from . import origins

KINDS = ("reproduced", "direction only", "undecided", "contradicted", "one seed, no verdict", "no verdict")
NO_PAGE = "No page has been executed yet: `make book` runs every section on the embedded digits."

# The paper in eight sentences, each with the claims that decide it: the first that applies to a data set.
HEADLINES = {
    "A larger teacher's responses have less entropy, at every temperature.": ("entropy-order",),
    "Students of the small teacher recognise a class that they never saw; those of the large teacher do not.": (
        "missing-mnist",
        "missing-fashion",
        "missing-cifar10",
    ),
    "The higher the entropy, the better the missing class is recognised.": ("entropy-is-similarity",),
    "With equally many examples the small teacher's student does better.": ("efficiency-order",),
    "The large teacher's clusters in the penultimate layer are tighter.": ("tighter-clusters",),
    "Larger batches raise the entropy of the large teacher's responses.": ("entropy-up-with-batch",),
    "At its sweet spot the large teacher teaches the single-layer student better.": ("baseline-student",),
    "Not the gap in capacity but the response decides: teachers of equal accuracy teach alike.": (
        "gap-not-root-cause",
    ),
}


def verdicts(records: Sequence[dict[str, Any]]) -> dict[str, list[Verdict]]:
    """The verdicts on every claim, for each data set, from all its pages' tables."""
    tables: dict[str, dict[str, dict[str, pd.DataFrame]]] = {}
    for record in records:
        tables.setdefault(record["dataset"], {})[record["section"]] = read_tables(record)
    return {
        name: evaluate(name, sections, {other: t for other, t in tables.items() if other != name})
        for name, sections in tables.items()
    }


class Scoreboard:
    """Verdicts of all data sets, and the texts made from them.

    Arguments: `records` of the pages; `given`, by data set and section, the parameters that each was executed with.
    """

    def __init__(self, records: Sequence[dict[str, Any]], given: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
        self.records, self.given = records, given
        self.verdicts = verdicts(records)
        self.titles = {r["dataset"]: r["title"] for r in records}

    def short_table(self) -> Iterator[str]:
        """Lines for a terminal: counts, and the claims that matter most."""
        shown = {claim for claims in HEADLINES.values() for claim in claims}
        for name, judged in self.verdicts.items():
            counts = [f"{sum(v.verdict == kind for v in judged)} {kind}" for kind in KINDS]
            yield f"{name}: " + ", ".join(c for c in counts if not c.startswith("0 "))
            for v in judged:
                if v.claim in shown:
                    e = v.estimate
                    here = "" if e is None else f"{e.mean:8.2f} [{e.low:.2f}, {e.high:.2f}]"
                    yield f"  {v.claim:22} {here:34} {v.verdict}"

    def page(self) -> str:
        """Every claim on every data set."""
        lines = [
            "# Scoreboard",
            "",
            "Every claim of the paper, the paper's value where it prints one, what was measured here with its 95%",
            "interval over *n* teacher seeds, and the verdict by a rule fixed before the run. The rules and the exact",
            "definition of each statistic are in `data/paper/claims.yml`. Where a",
            "[control](sections/rival_explanations.md) explains a result otherwise, the last column says so. A claim",
            "opens to its sentence, its measure, and the command that runs it again.",
            "",
        ]
        for name, found in self.verdicts.items():
            rivals, page = self._rivals(name)
            profiles = sorted({r["settings"]["profile"] for r in self.records if r["dataset"] == name})
            table = VerdictTable(found, rivals, page, self._places(name))._repr_html_()
            shown = ", ".join(f"`{profile}`" for profile in profiles)
            lines += [f"({_label(name)})=", f"## {self.titles[name]} (profile {shown})", "", *_raw(table), ""]
        return "\n".join(lines)

    def summary(self) -> str:
        """For the landing page: how many claims fared how, and the paper's main statements on each data set."""
        if not self.records:
            return NO_PAGE
        lines = ["| data set | " + " | ".join(KINDS[:4]) + " |", "|---|" + "--:|" * 4]
        for name, found in self.verdicts.items():
            counts = [str(sum(v.verdict == kind for v in found)) for kind in KINDS[:4]]
            lines.append(f"| [{self.titles[name]}](#{_label(name)}) | " + " | ".join(counts) + " |")
        matrix = VerdictMatrix(HEADLINES, self.verdicts, self.titles, self._addresses("scoreboard.html"))
        return "\n".join(
            [
                *lines,
                "",
                "The paper's main statements, with what was measured and its 95% interval:",
                "",
                *_raw(matrix._repr_html_()),
                "",
                "Claim by claim: [the scoreboard](scoreboard.md).",
            ]
        )

    def of_section(self, section: str) -> str:
        """For a section's page: its claims on each data set that was run."""
        claims = {c.id.replace("-", " "): (c.id,) for c in load_claims() if c.notebook == section}
        ran = {r["dataset"] for r in self.records if r["section"] == section}
        found = {name: judged for name, judged in self.verdicts.items() if name in ran}
        if not found:
            return "*No data set has been run for this section yet.*"
        matrix = VerdictMatrix(claims, found, self.titles, self._addresses("../scoreboard.html"))
        return "\n".join(_raw(matrix._repr_html_()))

    def _addresses(self, page: str) -> dict[str, str]:
        """Of each data set on the scoreboard."""
        return {name: f"{page}#{_label(name)}" for name in self.verdicts}

    def _places(self, dataset: str) -> dict[str, tuple[str, str]]:
        """The page of each section, and the command that makes it again."""
        return {
            r["section"]: (f"{dataset}/{r['section']}.html", origins.command(r, self.given[dataset, r["section"]]))
            for r in self.records
            if r["dataset"] == dataset
        }

    def _rivals(self, dataset: str) -> tuple[list[Finding] | None, str]:
        """What a data set's controls say, and where; None where they were not run."""
        for record in self.records:
            if record["dataset"] == dataset and record["section"] == "rival_explanations":
                tables = {"rival_explanations": read_tables(record)}
                return findings(dataset, tables), f"{dataset}/rival_explanations.html"
        return None, ""


def _label(dataset: str) -> str:
    return f"scoreboard-{dataset.replace('_', '-')}"


def _raw(text: str) -> list[str]:
    return ["```{raw} html", text, "```"]

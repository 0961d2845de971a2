"""What an executed page carries for the book: its settings, tables and provenance, as one output of its last cell."""

import hashlib
import html
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import pandas as pd

from ..claims import rules
from ..claims.claim import OF_THE_DATA_SET
from ..claims.claims import Verdict, evaluate
from ..progress import format_duration
from ..report.verdict_table import VerdictTable
from ..sections import SECTIONS
from ..study.study import Study
from ..training.models import build_model, count_parameters
from ..training.own_teachers import NETWORK
from . import MIME


class Record:
    """Shown as one line of origin; read by the book as JSON."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {MIME: self.content, "text/html": self._html(), "text/plain": "kdlib record"}

    def _html(self) -> str:
        c = self.content
        settings, cost = c["settings"], c["cost"]
        units = ", ".join(f"{n:,} {kind}s" for kind, n in sorted(cost["units"].items()))
        parts = [
            f"Profile <strong>{html.escape(settings['profile'])}</strong>",
            f"{settings['seeds']} teacher seeds",
            html.escape("; ".join(cost["devices"])),
            f"{units}: {format_duration(cost['seconds'])} of computing",
            f"finished {cost['finished'][:10]}",
            f"code {html.escape(', '.join(cost['commits']))}",
        ]
        return f"<p class='origin'>{' · '.join(parts)}</p>"


def record(study: Study, tables: dict[str, pd.DataFrame]) -> Record:
    """The record of a section's page."""
    origins = study.provenance()
    used = list(origins.values())
    return Record(
        {
            "section": study.section,
            "dataset": study.dataset.name,
            "title": study.dataset.title,
            "family": study.dataset.family,
            "data": study.dataset.digest,
            "settings": asdict(study.settings),
            "notes": study.notes,
            "clipped": sorted(study.clipped),
            "tables": {name: table.to_csv(index=False) for name, table in tables.items()},
            "digest": digest(tables),
            "rules": rules.digest(rules.read(), study.section),
            "units": {key: origins[key]["seconds"] for key in sorted(origins)},
            "cost": {
                "by_kind": _by_kind(study, used),
                "seconds": sum(u["seconds"] for u in used),
                "units": dict(Counter(u["kind"] for u in used)),
                "devices": sorted({u["device"] for u in used}),
                "threads": sorted({u["threads"] for u in used}),
                "torch": sorted({u["torch"] for u in used}),
                "python": sorted({u["python"] for u in used}),
                "commits": sorted({u["commit"] for u in used}),
                "computed_by": computed_by(study.section, used),
                "finished": max((u["finished"] for u in used), default=""),
                "peak_memory_mib": max((u["peak_memory_mib"] for u in used), default=0),
                "test_openings": sorted({o for u in used for o in u["test_openings"]}),
            },
        }
    )


def computed_by(section: str, used: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At which commits and by which rules of the section how many units were computed.

    `rules` is the digest that they recorded, None of those from before there was one.
    """
    found = Counter((u["commit"], u.get("rules", {}).get(section)) for u in used)
    return [
        {"commit": c, "rules": r, "units": found[c, r]}
        for c, r in sorted(found, key=lambda key: (key[0], key[1] or ""))
    ]


def _by_kind(study: Study, used: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each kind of unit: how many, the network's parameters, seconds of all, MiB of the largest."""
    dataset, rows = study.dataset, []
    for kind, what in sorted({(u["kind"], u["what"]) for u in used}):
        units = [u for u in used if (u["kind"], u["what"]) == (kind, what)]
        parameters = None
        if kind != "measure" and what != NETWORK:
            parameters = count_parameters(build_model(what, dataset.family, dataset.shape, dataset.classes))
        rows.append(
            {
                "kind": kind,
                "what": what,
                "units": len(units),
                "parameters": parameters,
                "seconds": round(sum(u["seconds"] for u in units), 1),
                "peak_memory_mib": max(u["peak_memory_mib"] for u in units),
            }
        )
    return rows


def digest(tables: dict[str, pd.DataFrame]) -> str:
    """Digest (sha256) over all tables as CSV: equal digests mean equal numbers, bit for bit."""
    return digest_of_texts({name: table.to_csv(index=False) for name, table in tables.items()})


def digest_of_texts(tables: dict[str, str]) -> str:
    """Digest (sha256) over tables that are CSV texts already, by name: see `digest`."""
    text = "".join(f"{name}\n{tables[name]}" for name in sorted(tables))
    return hashlib.sha256(text.encode()).hexdigest()


def read_tables(content: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """The tables of a record's content."""
    return {name: pd.read_csv(io.StringIO(text)) for name, text in content["tables"].items()}


def verdicts(study: Study, tables: dict[str, pd.DataFrame]) -> VerdictTable:
    """The claims that this section's tables alone decide, with their verdicts.

    What stands among all claims of the data set, those of other sections cannot say: the scoreboard does.
    """
    every = evaluate(study.dataset.name, {study.section: tables})
    found = [replace(v, adjusted=None) if v.family == OF_THE_DATA_SET else v for v in every]
    trained = training_length(asdict(study.settings), study.section)

    def reach(verdict: Verdict) -> str:
        return ". ".join([trained, *map(html.escape, verdict.remarks())])

    return VerdictTable((v for v in found if v.verdict not in ("not yet run", "not tested")), reach=reach)


def training_length(settings: Mapping[str, Any], section: str) -> str:
    """Words for how long networks were trained, such as "Teachers trained for 50 epochs, students for 20"."""
    said = f"Teachers trained for {settings['teacher_epochs']} epochs"
    return said + f", students for {settings['student_epochs']}" * ("student_epochs" in SECTIONS[section].parameters)

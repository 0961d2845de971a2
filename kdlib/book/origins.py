"""Where the numbers come from, by the pages' records: a line beneath each figure and table, and the run statistics."""

import html
import io
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from ..progress import format_duration
from ..report.formatting import as_written
from . import rerun

CPU = "one CPU core"
HEAD = """# Run statistics

What was computed for this book: every unit is a trained teacher, a trained student, or a measure taken of one. Seconds
are those of one thread of a CPU, or of a GPU where the device says so, on a shared machine: an order of magnitude, not
a benchmark ([performance](performance.md) has measurements side by side). A small teacher can cost more than a large
one: it has fewer parameters, but its wide convolutions take more operations.
"""


def report(records: Sequence[dict[str, Any]]) -> str:
    """The page: the book as a whole, each page, and each kind of unit."""
    datasets = list(dict.fromkeys(r["dataset"] for r in records))
    own = {name: [r for r in records if r["dataset"] == name] for name in datasets}
    total = sum(seconds for units in map(_units, own.values()) for seconds in units.values())
    places = sorted({_place(r["cost"]) for r in records})
    parts = [
        HEAD,
        f"All together: **{format_duration(total)}** of {' and '.join(places)}. "
        "A unit that several pages use counts once.",
        "",
        html_table([_of_dataset(part) for part in own.values()], words=1),
        "",
        "## Page by page",
        "",
        "A teacher that several pages use counts in each.",
        "",
        html_table([_of_page(r) for part in own.values() for r in part], words=2),
        "",
        "## Kind by kind",
    ]
    for part in own.values():
        rows = [_of_kind(r, kind) for r in part for kind in r["cost"]["by_kind"]]
        parts += ["", f"### {as_written(part[0]['title'])}", "", html_table(rows, words=2)]
    return "\n".join([*parts, ""])


def line(record: dict[str, Any], given: Mapping[str, Any], metadata: Mapping[str, Any], shown: str = "") -> str:
    """HTML for what a cell shows: which tables, how they were made, and how to make them again.

    Arguments: the page's `record`; `given`, its parameters; `metadata` of the cell, see `pages.CELL_METADATA`; `shown`,
    its HTML: what is said of spread in it is explained. Empty where the cell says neither a table nor a figure.
    """
    said = metadata.get("kdlib", {})
    names = [name for name in said.get("tables", ()) if name in record["tables"]]
    if not names and "figure" not in metadata.get("mystnb", {}):
        return ""
    folder = f"../../_static/tables/{record['dataset']}/{record['section']}"
    links = [f"<a href='{folder}/{name}.csv' download>{name}.csv</a>" for name in names]
    cost = record["cost"]
    what = [
        *links,
        html.escape("; ".join(cost["devices"])),
        f"{sum(cost['units'].values()):,} units, finished {cost['finished'][:10]}",
        f"git commit {html.escape(', '.join(cost['commits']))}",
    ]
    other = "CPU" if _place(cost) != CPU else "GPU"
    again = (
        f"<code>{html.escape(command(record, given))}</code> makes it again: at once from what is stored (of a "
        f"reference page, in results/), from scratch in about {format_duration(cost['seconds'])} of {_place(cost)}; "
        f"on a {other} it was not measured."
    )
    seeds = record["settings"]["seeds"]
    summary = f"{seeds} teacher seed{'s' if seeds > 1 else ''}, profile {html.escape(record['settings']['profile'])}"
    if seeds > 1 and "±" in shown:
        summary = f"mean ± half-width of the 95% t interval over {summary}"
    if seeds == 1 and "\N{NO-BREAK SPACE}[" in shown:
        summary = f"[95% Wilson interval over test examples]; {summary}"
    cells = _cell_commands(record, given) if said.get("cells_again") else ""
    inside = "data and command" if names else "command"
    return (
        f"<details class='origin'><summary>{summary} · {inside}</summary><p>{' · '.join(what)}</p>"
        f"<p>{again}</p>{cells}</details>"
    )


def command(record: dict[str, Any], given: Mapping[str, Any], *, section: str = "", **changes: Any) -> str:
    """The command that makes a record's page again, or that of another `section` or all, but for some `changes`."""
    options = _options(record, rerun.parameters(record, given, changes))
    return shlex.join(["kdlib", "run", section or record["section"], *options])


def _options(record: dict[str, Any], parameters: Mapping[str, Any]) -> list[str]:
    settings = record["settings"]
    return ["--dataset", settings["dataset"], "--profile", settings["profile"], *parameter_words(parameters)]


def parameter_words(given: Mapping[str, Any]) -> list[str]:
    """Parameters as options of the command line."""
    return [word for name, value in given.items() for word in ("-p", f"{name}={_as_text(value)}")]


def _as_text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) if isinstance(value, list | tuple) else str(value)


def _cell_commands(record: dict[str, Any], given: Mapping[str, Any]) -> str:
    """For each cell of table 4 the command that trains its students again."""
    cells = pd.read_csv(io.StringIO(record["tables"]["cells"]))[["missing_class", "temperature"]].drop_duplicates()
    lines, whole = [], rerun.parameters(record, given, {})
    for c, t in cells.itertuples(index=False):
        options = _options(record, whole | {"missing_classes": c, "temperatures": f"{t:g}"})
        words = shlex.join(["kdlib", "compute", record["section"], *options, "--fresh"])
        lines.append(f"<li>class {c}, T = {t:g}: <code>{html.escape(words)}</code></li>")
    return (
        "<details><summary>One cell again, held against the stored one</summary>"
        "<p>Both teachers, every seed; a teacher that the store lacks is trained first. By the same processor and "
        "version of torch the cell must come out equal bit for bit; by others (a GPU, another processor, or one whose "
        "instructions were not recorded) its accuracies must lie where the stored seeds let them be expected, in their "
        "95% prediction intervals (all of a cell's together):</p>"
        f"<ul>{''.join(lines)}</ul></details>"
    )


def _place(cost: dict[str, Any]) -> str:
    """Whose seconds a cost counts."""
    return CPU if all(device.startswith("cpu") for device in cost["devices"]) else "; ".join(cost["devices"])


def _units(records: Iterable[dict[str, Any]]) -> dict[str, float]:
    return {key: seconds for r in records for key, seconds in r["units"].items()}


def _of_dataset(records: list[dict[str, Any]]) -> dict[str, Any]:
    def every(name: str) -> str:
        return ", ".join(sorted({value for r in records for value in r["cost"][name]}))

    units = _units(records)
    return {
        "data set": records[0]["title"],
        "pages": len(records),
        "units": f"{len(units):,}",
        "computing": format_duration(sum(units.values())),
        "largest memory (MiB)": max(r["cost"]["peak_memory_mib"] for r in records),
        "device": every("devices"),
        "torch": every("torch"),
        "Python": every("python"),
        "code": every("commits"),
    }


def _of_page(record: dict[str, Any]) -> dict[str, Any]:
    cost = record["cost"]
    return {
        "data set": record["title"],
        "section": record["section"].replace("_", " "),
        "profile": record["settings"]["profile"],
        "units": f"{sum(cost['units'].values()):,}",
        "computing": format_duration(cost["seconds"]),
        "largest memory (MiB)": cost["peak_memory_mib"],
        "finished": cost["finished"][:10],
    }


def _of_kind(record: dict[str, Any], kind: dict[str, Any]) -> dict[str, Any]:
    each = kind["seconds"] / kind["units"]
    return {
        "section": record["section"].replace("_", " "),
        "unit": f"{kind['what'].replace('_', ' ')} ({kind['kind']})",
        "parameters": f"{kind['parameters']:,}" if kind["parameters"] else "–",
        "units": f"{kind['units']:,}",
        "each": format_duration(each),
        "all": format_duration(kind["seconds"]),
        "largest memory (MiB)": kind["peak_memory_mib"],
    }


def html_table(rows: list[dict[str, Any]], words: int) -> str:
    """For a page: a table of numbers, but for the words in its first columns."""
    table = pd.DataFrame(rows).to_html(index=False, border=0, classes=f"dataframe words-{words}")
    return f"```{{raw}} html\n<div class='table-scroll' tabindex='0'>{table}</div>\n```"

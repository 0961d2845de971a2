"""`kdlib bench`: its rows as lines of text, kept as JSON, and as the book's page on performance."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import paths
from ..data.registry import find_source
from ..errors import InputError
from ..paths import read_text
from ..progress import format_duration
from .origins import html_table

WAYS = {
    "user": "(a) a user's loop: DataLoader, teacher forward on every batch",
    "cached": "(b) the same with the teacher's logits computed once",
    "kdlib": "(c) kdlib, its pass over the teacher's responses included",
}


def line(row: dict[str, Any]) -> str:
    """One row of a benchmark as a line of text."""
    if row["row"] == "machine":
        return (
            f"{row['device']}, {row['workers']} workers, torch {row['torch']}; one thread's matrix product: "
            f"{row['fp32']:.0f} GFLOP/s in fp32, {row['bf16']:.0f} in bf16"
        )
    if row["row"] == "teacher step":
        user, fp32, bf16 = (row["seconds"][way] for way in ("user", "fp32", "bf16"))
        return (
            f"{row['network']:13} step of 128, one thread: user's fp32 {1e3 * user:.3g} ms, kdlib fp32 "
            f"{1e3 * fp32:.3g} ms, bf16 {1e3 * bf16:.3g} ms: {_gain(row)}, {row['gflop'] / bf16:.0f} GFLOP/s, "
            f"{100 * row['share']:.0f}% of the matrix product's"
        )
    if row["row"] == "teacher profile":
        parts = ", ".join(f"{name} {100 * share:.0f}%" for name, share in row["parts"].items())
        speed = f"its products at {100 * row['products_share']:.0f}% of the large one's speed"
        return f"{row['network']:13} time of a step: {parts}; {speed}"
    if row["row"] == "student step":
        return (
            f"{row['network']:16} step of 128, one thread, a student of a stack: {1e3 * row['seconds']:.3g} ms, "
            f"{row['gflop'] / row['seconds']:.0f} GFLOP/s, {100 * row['share']:.0f}% of the matrix product's"
        )
    if row["row"] == "try":
        kept, lost = row["seconds"]
        return f"tried: {row['kept']} {1e3 * kept:.3f} ms, {row['lost']} {1e3 * lost:.3f} ms, one thread, best of many"
    if row["row"] == "parity":
        parts = "; ".join(f"{name} {_difference(found)}" for name, found in row["differences"].items())
        return f"{row['network']:13} bf16 minus fp32, {row['examples']} examples, {row['epochs']} epochs: {parts}"
    if row["row"] == "grid":
        units = ", ".join(f"{count} {kind}s" for kind, count in row["units"].items())
        return (
            f"estimate for the paper's whole grid with {row['seeds']} teacher seeds ({units}): "
            f"{format_duration(row['seconds'])}, {row['workers']} process"
        )
    difference = ""
    if row["accuracy_difference"]:
        difference = "; accuracy minus (a)'s [{:+.2f}, {:+.2f}] points".format(*row["accuracy_difference"][1:])
    minutes = f"{row['table4_seconds'] / 60:.3g} min ({_measured_on(row)})"
    return f"{row['network']:16} {WAYS[row['way']]}: table 4 in {minutes}, {row['gain']:.1f}x{difference}"


def _measured_on(row: dict[str, Any]) -> str:
    """From what a row of a sweep was extrapolated to all of table 4."""
    students = row.get("timed", row["trained"])
    return (
        f"{row['steps']} steps of {students} students, scaled"
        if "steps" in row
        else f"extrapolated from {students} students"
    )


def report() -> str:
    """Markdown of the book's page on performance: tables of every benchmark that is kept.

    Raises `InputError` for a file that holds none.
    """
    parts = []
    for path in sorted(_folder().glob("[!.]*.json")):
        try:
            parts += _part(find_source(path.stem.partition("-")[0]).title, json.loads(read_text(path)))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise InputError(
                f"{path} holds no benchmark ({reason}): `kdlib bench --save` makes one anew, or remove it"
            ) from error
    return "\n".join(parts) or "*No benchmark is kept: `kdlib bench --save` makes one.*"


def _part(title: str, rows: list[dict[str, Any]]) -> Iterator[str]:
    """Markdown of one benchmark: its machine, and its tables."""
    machine, size = rows[0], rows[0].get("product", 2048)
    on_cpu = machine["kind"].startswith("cpu")
    workers = f"{machine['workers']} {'workers with one thread each' if on_cpu else 'process'}"
    yield (
        f"## {title} on {machine['device']}\n\n"
        f"{workers}, torch {machine['torch']}, code `{machine['commit']}`. A matrix product of {size} x {size}"
        f"{' on one thread' * on_cpu}: {machine['fp32']:,.0f} GFLOP/s in fp32, {machine['bf16']:,.0f} in bf16.\n"
    )
    for kind, (cells, words) in TABLES.items():
        lines = [cell for row in rows if row["row"] == kind for cell in cells(row)]
        if not lines and (kind == LATER or kind in OF_A_CPU and not on_cpu):
            continue
        missing = f"*The {kind} was not measured here: the run was ended before.*"
        yield (html_table(lines, words) if lines else missing) + "\n"


def _teacher_step(row: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "a teacher's step of 128 examples": row["network"].replace("_", " "),
            "a user's, fp32 (ms)": f"{1e3 * row['seconds']['user']:.3g}",
            "kdlib, fp32 (ms)": f"{1e3 * row['seconds']['fp32']:.3g}",
            "kdlib, bf16 (ms)": f"{1e3 * row['seconds']['bf16']:.3g}",
            "gain, median of rounds": _gain(row),
            "GFLOP/s": f"{row['gflop'] / row['seconds']['bf16']:.0f}",
            "share of the matrix product's speed": f"{100 * row['share']:.0f}%",
        }
    ]


def _teacher_profile(row: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {"where a step's time goes, bf16": row["network"].replace("_", " ")}
        | {name: f"{100 * share:.0f}%" for name, share in row["parts"].items()}
        | {"speed of its products, of the large one's": f"{100 * row['products_share']:.0f}%"}
    ]


def _student_step(row: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "a student's step of 128 examples": row["network"].replace("_", " "),
            "kdlib, bf16, in a stack (ms)": f"{1e3 * row['seconds']:.3g}",
            "GFLOP/s": f"{row['gflop'] / row['seconds']:.0f}",
            "share of the matrix product's speed": f"{100 * row['share']:.0f}%",
        }
    ]


def _try(row: dict[str, Any]) -> list[dict[str, str]]:
    kept, lost = (f"{1e3 * seconds:.3f}" for seconds in row["seconds"])
    return [{"kept": row["kept"], "tried, and slower": row["lost"], "kept (ms)": kept, "slower (ms)": lost}]


def _gain(row: dict[str, Any]) -> str:
    median, low, high = row["gain"]
    return f"{median:.2f}x ({low:.2f} to {high:.2f})"


def _parity(row: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "network": row["network"].replace("_", " "),
            "measurement": f"{name} ({'nats' if name == 'entropy' else 'points'})",
            "bf16 minus fp32": _difference(found),
            "trained on": f"{row['examples']} examples, {row['epochs']} epochs",
        }
        for name, found in row["differences"].items()
    ]


def _difference(found: dict[str, Any]) -> str:
    mean, low, high = found["difference"]
    if not found["spread"] and not mean:
        return f"equal in every run (n = {found['n']})"
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}] (n = {found['n']}; spread over seeds {found['spread']:.3f})"


def _sweep(row: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "120 students": row["network"].replace("_", " "),
            "way": WAYS[row["way"]],
            "minutes": f"{row['table4_seconds'] / 60:.3g}",
            "gain": f"{row['gain']:.1f}x",
            "accuracy minus (a)'s (points)": _accuracies_beside_the_users(row),
            "from": _measured_on(row),
        }
    ]


def _accuracies_beside_the_users(row: dict[str, Any]) -> str:
    difference = row["accuracy_difference"]
    return "{:+.2f} [{:+.2f}, {:+.2f}]".format(*difference) if difference else "–"


TABLES = {  # how each row is shown, and its columns of words
    "teacher step": (_teacher_step, 1),
    "teacher profile": (_teacher_profile, 1),
    "parity": (_parity, 4),
    "student step": (_student_step, 1),
    "try": (_try, 2),
    "sweep": (_sweep, 2),
}


OF_A_CPU = ("teacher profile", "try")  # what is measured on no accelerator
LATER = "teacher profile"  # what benchmarks that are kept from before did not measure


def _folder() -> Path:
    return paths.project_root() / "results" / "performance"


def save(rows: list[dict[str, Any]], dataset: str) -> Path:
    """Save a benchmark's rows as JSON in results/performance, for the book; returns the file."""
    path = _folder() / f"{dataset}-{rows[0]['kind']}.json"
    paths.write_whole(path, (json.dumps(rows, indent=1) + "\n").encode())
    return path

"""`kdlib systems`: the distillation systems with their parameters and origins, as a table and as JSON."""

from dataclasses import asdict
from math import isfinite
from typing import Any

from ..training.systems.registry import is_own, systems
from ..training.systems.system import KINDS, System


def rows() -> list[dict[str, Any]]:
    """All distillation systems, one dictionary each: what they are, need and change, and what of them was verified."""
    return [_row(system) for system in systems().values()]


def _row(system: System) -> dict[str, Any]:
    plain = ("name", "title", "reference", "kind", "temperature", "main", "grid", "needs", "verified", "reading")
    flags = {
        "closed_form_gradient": system.gradient is not None,
        "depends_on_progress": system.timed or "warmup" in system.defaults(),
        "couples_the_batch": system.coupled,
        "keeps_a_state": system.state is not None,
        "only_another_teacher": system.only_teaches_otherwise,
        "own": is_own(system.name),
    }
    ends = ("least", "most")
    parameters = [
        asdict(p) | {end: getattr(p, end) if isfinite(getattr(p, end)) else None for end in ends}
        for p in system.parameters
    ]
    return {name: getattr(system, name) for name in plain} | flags | {"parameters": parameters}


def text(found: list[dict[str, Any]]) -> str:
    """Lines of text, from what `rows` returned, for a terminal: one a system, then what the classes mean."""
    lines = [f"{'system':22} class  {'T':>4} {'gradient':12} {'parameters (* tuned)':82} title"]
    for row in found:
        named = ((p["name"] + "*" * (p["name"] == row["main"]), p["default"]) for p in row["parameters"])
        values = ", ".join(f"{name} {default:.3g}" for name, default in named)
        temperature = "any" if row["temperature"] is None else f"{row['temperature']:g}"
        how = "closed form" if row["closed_form_gradient"] else "autograd"
        title = row["title"] + " (your own)" * row["own"]
        lines.append(f"{row['name']:22} {row['kind']:5} {temperature:>5} {how:12} {values:82} {title}")
    return "\n".join([*lines, *(f"class {kind}: {meaning}" for kind, meaning in KINDS.items())])

"""`kdlib plan`: units that are missing and their cost, as text and as JSON."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..progress import format_duration
from ..study.plan import Unit, compare_estimates, make_plan
from ..study.study import Study
from ..training.config import Teacher


def report(studies: Sequence[Study], command: str) -> dict[str, Any]:
    """Report for JSON: missing units by kind, their cost, the command for them, and earlier estimates beside times."""
    plan = make_plan(studies)
    groups: dict[str, list[float]] = {}
    for unit, cost in plan.costs.items():
        groups.setdefault(_kind(unit), []).append(cost.seconds)
    done = compare_estimates(studies)
    return {
        "dataset": studies[0].dataset.name,
        "profile": studies[0].settings.profile,
        "sections": [study.section for study in studies],
        "device": str(studies[0].dataset.images.device),
        "workers": plan.workers,
        "missing": [{"kind": k, "units": len(v), "seconds_each": sum(v) / len(v)} for k, v in sorted(groups.items())],
        "wall_seconds": plan.seconds,
        "mebibytes_a_worker": plan.mebibytes,
        "command": command if plan.costs else None,
        "done": _totals(done.values()) | {"by_kind": _by_kind(done)},
    }


def text(found: dict[str, Any]) -> str:
    """Lines of text, from what `report` returned, for a terminal."""
    lines = [f"{', '.join(found['sections'])} on {found['dataset']}, profile {found['profile']}:"]
    lines += [f"  {m['units']:5} x {format_duration(m['seconds_each']):>9}  {m['kind']}" for m in found["missing"]]
    if found["command"]:
        lines.append(
            f"about {format_duration(found['wall_seconds'])} on {found['workers']} x {found['device']}, "
            f"up to {found['mebibytes_a_worker']:.0f} MiB a worker:\n{found['command']}"
        )
    else:
        lines.append("  nothing is missing")
    done = found["done"]
    if done["units"]:
        lines.append(
            f"planned before and done: {done['units']} units, estimated {format_duration(done['estimated'])}, "
            f"took {format_duration(done['actual'])} (x {done['actual'] / done['estimated']:.2f})"
        )
    return "\n".join(lines)


def _kind(unit: Unit) -> str:
    if isinstance(unit, Teacher):
        return f"{unit.network}, batch {unit.batch_size}, {unit.epochs} epochs, {unit.precision}"
    examples = "all examples" if unit.examples_per_class is None else f"{unit.examples_per_class} examples a class"
    length = f"{unit.epochs} epochs" if unit.steps is None else f"{unit.steps} steps"
    return f"{unit.network}, {examples}, {length}"


def _totals(pairs: Iterable[tuple[float, float]]) -> dict[str, float]:
    both = np.array(list(pairs)).reshape(-1, 2)
    estimated, actual = both.sum(0).tolist()
    return {"units": len(both), "estimated": estimated, "actual": actual}


def _by_kind(done: dict[Unit, tuple[float, float]]) -> dict[str, dict[str, float]]:
    kinds = sorted({_kind(unit) for unit in done})
    return {kind: _totals(pair for unit, pair in done.items() if _kind(unit) == kind) for kind in kinds}

"""A small drawing of each estimate: its interval on an axis, beside what decides the claim and what the paper says."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ..claims.claims import Claim, Verdict
from ..claims.intervals import CORRELATIONS, Interval

LEGEND = (
    "Drawn: a dot with its 95% interval (hollow: without one, as all seeds agree or there is one alone; of a claim on "
    "every temperature, class or size, the wider one of the weakest, which holds with all others at 95%); shaded, "
    "where the claim puts it, from the dashed value on; a diamond, the paper's size. Ratios on a log axis."
)
_HEIGHT = 14  # pixels


@dataclass(frozen=True)
class Axis:
    """Range of values of a drawing, linear or logarithmic."""

    low: float
    high: float
    log: bool = False

    def at(self, value: float) -> float:
        """Position of a value in per cent of the drawing's width; values beyond the range are moved to its ends."""
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return 5 + 90 * min(max(share, 0.0), 1.0)


def axis_over(estimates: Iterable[Interval], landmarks: Iterable[float], unit: str | None) -> Axis:
    """The axis that holds all estimates, with their intervals, and landmarks; rank correlations have -1 to 1."""
    if unit in CORRELATIONS:
        return Axis(-1.0, 1.0)
    values = [*landmarks, *(end for estimate in estimates for end in _ends(estimate))]
    return Axis(min(values), max(values), log=unit == "ratio")


def common_axis(shown: Iterable[tuple[Claim, Verdict]]) -> Axis | None:
    """The axis of verdicts that are read side by side; None where none has an estimate, or their units differ."""
    drawn = [(claim, verdict) for claim, verdict in shown if can_be_drawn(verdict.estimate)]
    units = {claim.unit for claim, _ in drawn}
    if len(units) != 1:
        return None
    landmarks = [value for claim, verdict in drawn for value in _landmarks(claim, verdict)]
    return axis_over((verdict.estimate for _, verdict in drawn), landmarks, units.pop())


def verdict_mark(claim: Claim, verdict: Verdict, axis: Axis | None) -> str:
    """SVG of a verdict's estimate; empty where there is no axis or no estimate."""
    if axis is None or not can_be_drawn(verdict.estimate):
        return ""
    return interval_mark(verdict.estimate, axis, _wanted(claim), verdict.paper, outside=claim.kind == "difference")


def interval_mark(
    estimate: Interval,
    axis: Axis,
    wanted: tuple[float, float] = (0.0, math.inf),
    paper: float | None = None,
    outside: bool = False,
) -> str:
    """SVG, as wide as its place and in the colour of the text; hidden from screen readers, which have the numbers.

    Arguments: `wanted`, between which the interval has to lie for what is claimed, infinite where one side is open;
    `outside`, where it has to lie outside of these bounds instead.
    """
    middle = f"{_HEIGHT / 2:g}"
    first, last = (100.0 * (end > 0) if math.isinf(end) else axis.at(end) for end in wanted)
    parts = [
        f"<rect class='wanted' stroke='none' opacity='0.15' x='{a:.1f}%' width='{b - a:.1f}%' height='{_HEIGHT}'/>"
        for a, b in ([(0.0, first), (last, 100.0)] if outside else [(first, last)])
    ]
    for edge in filter(math.isfinite, wanted):
        place = f"x1='{axis.at(edge):.1f}%' x2='{axis.at(edge):.1f}%' y1='0' y2='{_HEIGHT}'"
        parts.append(f"<line class='edge' stroke-dasharray='2 2' {place}/>")
    dot = f"cx='{axis.at(estimate.mean):.1f}%' cy='{middle}'"
    if estimate.has_width:
        low, high = (f"{axis.at(end):.1f}%" for end in (estimate.low, estimate.high))
        parts.append(f"<line class='interval' x1='{low}' x2='{high}' y1='{middle}' y2='{middle}'/>")
        parts += [f"<line class='end' x1='{end}' x2='{end}' y1='4' y2='{_HEIGHT - 4}'/>" for end in (low, high)]
        parts.append(f"<circle {dot} r='2.5'/>")
    else:
        parts.append(f"<circle class='hollow' fill='none' {dot} r='3'/>")
    if paper is not None:
        diamond = "<path fill='none' d='M0-4.5L4.5 0L0 4.5L-4.5 0Z'/>"
        parts.append(f"<svg class='paper' overflow='visible' x='{axis.at(paper):.1f}%' y='{middle}'>{diamond}</svg>")
    ink = "fill='currentColor' stroke='currentColor'"  # where no style sheet says otherwise: in a notebook's viewer
    return f"<svg class='interval-mark' {ink} width='100%' height='{_HEIGHT}' aria-hidden='true'>{''.join(parts)}</svg>"


def can_be_drawn(estimate: Interval | None) -> bool:
    """True if there is an estimate, and it and the width of its interval are not infinite."""
    return estimate is not None and math.isfinite(estimate.mean) and not math.isinf(estimate.high - estimate.low)


def _ends(estimate: Interval) -> tuple[float, float]:
    """Ends of the interval; twice the mean where one seed gives none."""
    return (estimate.mean, estimate.mean) if math.isnan(estimate.low) else (estimate.low, estimate.high)


def _wanted(claim: Claim) -> tuple[float, float]:
    """Bounds between which the interval has to lie, or outside of which; infinite where one side is open."""
    if claim.kind in ("equivalence", "difference"):
        return claim.bounds()
    return (claim.null_value, math.inf) if claim.side == "greater" else (-math.inf, claim.null_value)


def _landmarks(claim: Claim, verdict: Verdict) -> Iterable[float]:
    """Values against which the estimate is read: the claim's bounds and the paper's size."""
    yield from filter(math.isfinite, _wanted(claim))
    if verdict.paper is not None:
        yield verdict.paper

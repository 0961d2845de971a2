"""How a statistic decides a claim, kind by kind: the estimate, the p values, and the verdict that they give."""

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
from pandas import Series

from .claim import Claim
from .inference import (
    MOST_SEEDS,
    POWER,
    PValues,
    agree,
    by_chance,
    equal,
    equivalence_p,
    joint_p,
    permutation_p,
    seeds_needed,
    spread_of_chosen,
    t_tails,
)
from .intervals import Interval, ratio_interval, t_interval
from .registry import Statistic


@dataclass(frozen=True)
class Decision:
    """Verdict of a claim at a level, with the estimate and two p values, for and against, if there are seeds."""

    verdict: str
    note: str = ""
    estimate: Interval | None = None
    tails: PValues | None = None


def decide(claim: Claim, size: float | None, found: Statistic, level: float) -> Decision:
    """The decision on a claim for which the paper gives this size, or None, at a two-sided level."""
    if claim.kind == "every":
        return _every(claim, found, level)
    known = _finite(found.values)
    lacking = f"{len(found.values) - len(known)} of {len(found.values)} without a value"
    note = lacking if len(known) < len(found.values) else ""
    if known.empty:
        return Decision("no verdict", note or "nothing to compute it from")
    if claim.kind in ("existence", "exact"):
        return _without_seeds(claim, size, known, note)
    estimate = (ratio_interval if claim.unit == "ratio" else t_interval)(known.tolist(), 1 - level)
    estimate = estimate.widened(spread_of_chosen(estimate.n, found.candidates))
    if estimate.n == 1:
        return Decision("one seed, no verdict", note, estimate)
    supports, opposes = _p_values(claim, found, known)
    verdict = "reproduced" if supports <= level else "contradicted" if opposes <= level else "undecided"
    if verdict == "reproduced" and claim.kind == "direction":
        verdict = _reached(claim, size, estimate)
    return Decision(verdict, note, estimate, (supports, opposes))


def seeds_that_would_decide(claim: Claim, found: Statistic, level: float) -> int | None:
    """The number of seeds that would decide a claim at the effect that was seen, None if 1,000 would not."""
    scale = _scale(claim)
    if claim.kind == "every":
        null, side = scale(claim.null_value), 1 if claim.side == "greater" else -1
        effects = [side * _effect(_scaled(claim, column), null) for column in _known_columns(found).values()]
        needed = [seeds_needed(abs(effect), level=level / len(effects)) for effect in effects]
        if all(effect > 0 for effect in effects):
            return None if None in needed else max(needed)
        against = [n for n, effect in zip(needed, effects, strict=True) if effect < 0 and n is not None]
        return min(against, default=None)
    known = _finite(found.values)
    if found.ranks is not None:
        return _seeds_for_ranks(found, known, level)
    values, spread = _scaled(claim, known), spread_of_chosen(len(known), found.candidates)
    if claim.kind == "direction":
        null, (below, above) = scale(claim.null_value), found.resolution
        effect = max(_effect(values, null + below), -_effect(values, null - above))
        return seeds_needed(effect / spread, level=level)
    low, high = (_effect(values, scale(bound)) / spread for bound in claim.bounds())
    return seeds_needed(low, -high, level=level) if low > 0 > high else seeds_needed(max(-low, high), level=level)


def _p_values(claim: Claim, found: Statistic, known: Series) -> PValues:
    """P values of the claim and of its contrary."""
    values, scale = _scaled(claim, known), _scale(claim)
    spread = spread_of_chosen(len(values), found.candidates)
    match claim.kind:
        case "direction" if found.ranks is not None:
            orders, seeds = permutation_p([found.ranks[seed] for seed in known.index]), t_tails(values, 0.0)
            tails = max(orders[0], seeds[0]), max(orders[1], seeds[1])
        case "direction":
            null, (below, above) = scale(claim.null_value), found.resolution
            tails = t_tails(values, null + below, spread)[0], t_tails(values, null - above, spread)[1]
        case "equivalence":
            return equivalence_p(values, *map(scale, claim.bounds()), spread)
        case "difference":
            return equivalence_p(values, *map(scale, claim.bounds()), spread)[::-1]
    return tails if claim.side == "greater" else tails[::-1]


def _every(claim: Claim, found: Statistic, level: float) -> Decision:
    """Of each thing its own interval, so wide that all hold together; the estimate is that of the weakest."""
    known = _known_columns(found)
    if not known:
        return Decision("no verdict", "nothing to compute it from")
    interval = ratio_interval if claim.unit == "ratio" else t_interval
    estimates = {name: interval(column.tolist(), 1 - level / len(known)) for name, column in known.items()}
    side = 1 if claim.side == "greater" else -1
    of = found.values.columns.name or ""
    things = {name: f"{of} {name if isinstance(name, str) else f'{name:g}'}".strip() for name in known}
    if min(estimate.n for estimate in estimates.values()) < 2:
        weakest = min(estimates, key=lambda name: side * estimates[name].mean)
        return Decision("one seed, no verdict", f"weakest at {things[weakest]}", estimates[weakest])
    null = _scale(claim)(claim.null_value)
    pairs = {name: t_tails(_scaled(claim, column), null)[::side] for name, column in known.items()}
    supports, opposes = joint_p([*pairs.values()])
    verdict = "reproduced" if supports <= level else "contradicted" if opposes <= level else "undecided"
    weakest = max(pairs, key=lambda name: (pairs[name][0], -pairs[name][1]))
    holds, fails = (sum(len(pairs) * pair[i] <= level for pair in pairs.values()) for i in (0, 1))
    note = f"{holds} of {len(pairs)} by joint intervals, {fails} the other way; weakest at {things[weakest]}"
    every = len(found.values.columns)
    if len(known) < every:
        note += f"; {every - len(known)} of {every} without a value"
    return Decision(verdict, note, estimates[weakest], (supports, opposes))


def _without_seeds(claim: Claim, size: float | None, known: Series, note: str) -> Decision:
    """What holds or does not, with no chance in it: the paper's own tables, arithmetic, counts."""
    if claim.kind == "existence":
        least = known.min()
        holds = least > claim.null_value
        said = f"{least:.3g}, {'' if holds else 'not '}above {claim.null_value:g}"
    else:
        apart = (known - size).abs().max()
        holds = apart <= claim.margin
        farthest = known[(known - size).abs().idxmax()]
        said = f"{'equal to within' if holds else 'differs by'} {apart:.1g}" if claim.margin else f"found {farthest:g}"
    return Decision("reproduced" if holds else "contradicted", "; ".join(filter(None, [said, note])))


def _reached(claim: Claim, size: float | None, estimate: Interval) -> str:
    """The verdict on a direction that is there: the mean, which a wider interval does not move, has to reach a size."""
    if size is None:
        return "reproduced" if claim.value is None else "direction only"
    reached = estimate.mean >= size if claim.side == "greater" else estimate.mean <= size
    return "reproduced" if reached or claim.forbids(size) else "direction only"


def _seeds_for_ranks(found: Statistic, known: Series, level: float) -> int | None:
    """For both tests of a rank correlation; for that of orders by the normal approximation."""
    from scipy import stats

    values, mean = known.to_numpy(), known.mean()
    own = [[by_chance(matrix / len(found.ranks[seed])) for matrix in found.ranks[seed]] for seed in known.index]
    means, variances = np.array([np.sum(moments, axis=0) for moments in own]).T
    apart = mean - means.mean()
    if equal(mean, means.mean()) or mean * apart <= 0:  # other orders say nothing, or the contrary of other seeds
        return None
    deviates = stats.norm.isf(level / 2) * np.sqrt(variances.mean()) + stats.norm.ppf(POWER) * values.std(ddof=1)
    over_orders, over_seeds = (deviates / apart) ** 2, seeds_needed(abs(_effect(values, 0.0)), level=level)
    return None if over_seeds is None or over_orders > MOST_SEEDS else max(math.ceil(over_orders), over_seeds)


def _effect(values: np.ndarray, null: float) -> float:
    """Distance of the mean from a null value in standard deviations over seeds; 0 where there is no telling."""
    if len(values) < 2 or math.isinf(null) or equal(values.mean(), null):
        return 0.0
    apart = values.mean() - null
    return math.copysign(math.inf, apart) if agree(values, null) else float(apart / values.std(ddof=1))


def _known_columns(found: Statistic) -> dict[Hashable, Series]:
    """Of each thing that has any its values."""
    columns = {name: _finite(column) for name, column in found.values.items()}
    return {name: column for name, column in columns.items() if len(column)}


def _finite(values: Series) -> Series:
    numbers = values.to_numpy(dtype=float)
    return Series(numbers, values.index)[np.isfinite(numbers)]


def _scaled(claim: Claim, values: Series) -> np.ndarray:
    return np.array([_scale(claim)(value) for value in values])


def _scale(claim: Claim) -> Callable[[float], float]:
    """Ratios are judged by their logarithms."""
    return math.log if claim.unit == "ratio" else float

"""The tests behind the verdicts: p values, and what a reader wants to know beside them. Pure functions of numbers.

Every test gives two p values: `supports`, of the claim, and `opposes`, of its contrary. Both are two-sided (twice the
smaller tail), so that the smaller one is at most 0.05 where a 95% interval leaves out what the claim excludes.
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache
from itertools import permutations

import numpy as np

from .intervals import Interval

LEVEL = 0.05
POWER = 0.8  # at which the number of seeds that would decide is named
MOST_SEEDS = 1000  # more than anybody would run
LARGEST_EFFECT = 1e5  # in standard deviations: two seeds find it; scipy's noncentral t is nan of one far beyond
DRAWS = 9_999  # of permutations or bootstrap samples, where there are too many to take all
MOST_POINTS = 2_000_000  # of a distribution that is enumerated
MOST_CANDIDATES = 64  # more are taken for so many: that changes next to nothing
SEED = 20  # of the draws, so that a verdict is the same each time

PValues = tuple[float, float]  # supports, opposes


def t_tails(values: Sequence[float], null: float, spread: float = 1.0) -> PValues:
    """Student's t test of the mean over seeds: p that it is above the null value, and p that it is below.

    Arguments: `spread`, by which the standard error is larger than that of independent seeds (`spread_of_chosen`).
    Seeds that agree give a p of 0 for their side. A mean that is the null value but for rounding gives 1 for both.
    """
    from scipy import stats

    sample = np.asarray(values, dtype=float)
    apart, error = sample.mean() - null, spread * sample.std(ddof=1) / math.sqrt(len(sample))
    if equal(sample.mean(), null):  # however little the seeds scatter about it
        return 1.0, 1.0
    if agree(sample, null):
        return (0.0, 1.0) if apart > 0 else (1.0, 0.0)
    above = 2 * stats.t.sf(apart / error, len(sample) - 1)
    return min(1.0, above), min(1.0, 2 - above)


@cache
def spread_of_chosen(seeds: int, candidates: int) -> float:
    """By what factor the standard error of a mean over seeds grows where the other seeds chose, for each, a candidate.

    Each seed has a part in what is chosen for every other, so that where chance decides, their values have a
    correlation r; of n seeds the standard error is then sqrt((1 + (n - 1) r) / (1 - r)) times that of independent ones.
    r is that of the chosen candidate minus the mean one where none is better, from 9,999 draws with a fixed seed: the
    most that choosing can do, since candidates that differ, or have noise in common, leave less to chance.
    Returns 1 for one seed, or one candidate.
    """
    if seeds < 2 or candidates < 2:
        return 1.0
    random = np.random.default_rng(SEED)
    own = random.standard_normal((DRAWS, min(candidates, MOST_CANDIDATES), seeds))
    others = own.sum(axis=2, keepdims=True) - own
    gains = np.take_along_axis(own, others.argmax(axis=1)[:, None], axis=1)[:, 0] - own.mean(axis=1)
    covariance = np.cov(gains.T)
    variance = covariance.trace() / seeds
    r = (covariance.sum() / seeds - variance) / (seeds - 1) / variance
    return math.sqrt((1 + (seeds - 1) * r) / (1 - r))


def equal(mean: float, null: float) -> bool:
    """True if a mean is a null value, or another mean, but for rounding in the arithmetic."""
    return math.isclose(mean, null, rel_tol=1e-9, abs_tol=1e-12)


def agree(values: np.ndarray, null: float) -> bool:
    """True if seeds differ by no more than rounding in the arithmetic, of them or of the null value, makes them."""
    return values.std(ddof=1) / math.sqrt(len(values)) <= 1e-12 * max(abs(values).max(), abs(null))


def equivalence_p(values: Sequence[float], low: float, high: float, spread: float = 1.0) -> PValues:
    """Two one-sided t tests (Schuirmann 1987): p that the mean lies between two bounds, and p that it lies outside."""
    above_low, below_low = t_tails(values, low, spread)
    above_high, below_high = t_tails(values, high, spread)
    return max(above_low, below_high), min(below_low, above_high)


def joint_p(each: Sequence[PValues]) -> PValues:
    """Bonferroni over several things: p that the claim holds of every one, and p that it fails of any."""
    return min(1.0, len(each) * max(p for p, _ in each)), min(1.0, len(each) * min(p for _, p in each))


def rank_products(*pairs: tuple[Sequence[float], Sequence[float]]) -> np.ndarray:
    """Matrix [n, n] whose trace is the mean of Spearman's correlations of pairs (x, y) of n numbers each.

    Entry (i, j) is what y at i gives with x at j: with x in another order the correlation is the sum over i of entries
    (i, order[i]). Where every y or x of a pair is constant, or n is below 3, all is nan.
    """
    from scipy import stats

    products = []
    for x, y in pairs:
        if len(x) < 3 or len(set(x)) == 1 or len(set(y)) == 1:
            return np.full((len(x), len(x)), np.nan)
        rx, ry = (stats.rankdata(values) - (len(x) + 1) / 2 for values in (x, y))
        products.append(np.outer(ry, rx) / math.sqrt((rx @ rx) * (ry @ ry)))
    return np.mean(products, axis=0)


def of_blocks(products: np.ndarray, blocks: int) -> np.ndarray:
    """Matrix [blocks, blocks] of the same trace as `products` [n, n], whose n numbers are permuted in whole blocks."""
    size = len(products) // blocks
    return products.reshape(blocks, size, blocks, size).diagonal(axis1=1, axis2=3).sum(axis=-1)


def permutation_p(seeds: Sequence[Sequence[np.ndarray]]) -> PValues:
    """Permutation test of the mean over seeds of rank correlations: p that it is above 0, and p that it is below.

    Arguments: for each seed the matrices (`rank_products`) whose traces' mean is its correlation; each is permuted by
    itself, since seeds, and teachers within one, are independent. All orders are taken where the distribution of the
    sum has few enough points, else 9,999 with a fixed seed.
    """
    parts = [matrix / len(own) / len(seeds) for own in seeds for matrix in own]
    found = sum(float(np.trace(part)) for part in parts)
    points, weights = _sum_of_orders(parts)
    slack = 1e-9
    above = weights[points >= found - slack].sum() / weights.sum()
    below = weights[points <= found + slack].sum() / weights.sum()
    return min(1.0, 2 * float(above)), min(1.0, 2 * float(below))


def one_order_p(seeds: Sequence[Sequence[np.ndarray]]) -> float | None:
    """P value of `permutation_p`'s sum with one order of the cells for all seeds, of the nearer side.

    Where the cells of all seeds are the same things (settings, sizes), what these have by chance all seeds have: this
    asks whether other things would give it, too. None where seeds have other numbers of cells.
    """
    if len({tuple(map(len, own)) for own in seeds}) != 1:
        return None
    return min(permutation_p([[sum(parts) / len(parts) for parts in zip(*seeds, strict=True)]]))


def by_chance(matrix: np.ndarray) -> tuple[float, float]:
    """Mean and variance of the trace of a matrix (`rank_products`) over all orders of its columns.

    Of whole blocks (`of_blocks`) the mean need not be 0: what a block holds keeps its order.
    """
    if len(matrix) < 2:  # there is one order
        return float(np.trace(matrix)), 0.0
    centred = matrix - matrix.mean(0) - matrix.mean(1)[:, None] + matrix.mean()
    return float(matrix.sum() / len(matrix)), float((centred**2).sum() / (len(matrix) - 1))


def _sum_of_orders(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The distribution of a sum of permuted traces: its points and their weights."""
    points, weights = np.zeros(1), np.ones(1)
    for part in parts:
        if len(part) > 8:
            return _drawn(parts)
        own, count = np.unique(np.round(_permuted(part, _all_orders(len(part))), 10), return_counts=True)
        if len(points) * len(own) > MOST_POINTS:
            return _drawn(parts)
        sums = np.round(np.add.outer(points, own).ravel(), 10)
        points, where = np.unique(sums, return_inverse=True)
        weights = np.bincount(where, np.multiply.outer(weights, count / count.sum()).ravel())
    return points, weights


def _drawn(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sums of traces of parts in random orders, with the order that was found, which is as likely as any."""
    random = np.random.default_rng(SEED)
    sums = np.zeros(DRAWS + 1)
    for part in parts:
        orders = random.permuted(np.tile(np.arange(len(part)), (DRAWS, 1)), axis=1)
        sums += np.append(_permuted(part, orders), np.trace(part))
    return sums, np.ones(len(sums))


def _permuted(part: np.ndarray, orders: np.ndarray) -> np.ndarray:
    return part[np.arange(len(part)), orders].sum(axis=1)


@cache
def _all_orders(n: int) -> np.ndarray:
    return np.array(list(permutations(range(n))), dtype=int)  # of nothing, too, there is one order


def hierarchical_bootstrap(cells: np.ndarray) -> Interval:
    """Percentile interval (95%) of the mean of seeds x cells, of which both are drawn.

    A cell (a class, a temperature) is the same thing in every seed, so those that are drawn are drawn for all seeds of
    a sample. Arguments: `cells` [seeds, cells]. 9,999 samples with a fixed seed. With few seeds it is narrower than it
    should be, which is why it stands beside the t interval and decides nothing.
    """
    random = np.random.default_rng(SEED)
    seeds, columns = cells.shape
    drawn = random.integers(seeds, size=(DRAWS, seeds, 1))
    means = cells[drawn, random.integers(columns, size=(DRAWS, 1, columns))].mean(axis=(1, 2))
    low, high = np.quantile(means, [LEVEL / 2, 1 - LEVEL / 2])
    return Interval(float(cells.mean()), float(low), float(high), seeds, "hierarchical bootstrap")


def logits_of_percents(percents: np.ndarray) -> np.ndarray:
    """Logarithm of the odds of percentages; those nearer than 0.01 to 0 or 100 count as 0.01 from it."""
    share = np.clip(percents, 0.01, 99.99) / 100
    return np.log(share / (1 - share))


def seeds_needed(*effects: float, level: float = LEVEL) -> int | None:
    """The least number of seeds with which t tests find all of some effects with a power of 80%.

    Of several, such as the distances from both bounds of an equivalence, by what each may miss: at most 20% together.
    Arguments: `effects`, distances from a null value in standard deviations over seeds, positive on the side that is to
    be shown; `level`, two-sided. None if no number up to 1,000 is enough, or if an effect is not positive.
    """
    from scipy import stats

    def enough(n: int) -> bool:
        critical = stats.t.isf(level / 2, n - 1)
        missed = sum(1 - float(stats.nct.sf(critical, n - 1, effect * math.sqrt(n))) for effect in found)
        return missed <= 1 - POWER

    if not all(effect > 0 for effect in effects):
        return None
    found = [min(effect, LARGEST_EFFECT) for effect in effects]
    if not enough(MOST_SEEDS):
        return None
    low, high = 1, MOST_SEEDS  # too few, enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def benjamini_hochberg(tails: Mapping[Hashable, PValues]) -> dict[Hashable, float]:
    """Adjusted p values (Benjamini & Hochberg 1995) of a family, by name, from two of each: for it, and against it.

    Each direction is adjusted by itself, and the smaller counts: else sure losers make it easier to win.
    """
    from scipy import stats

    if not tails:
        return {}
    smaller = stats.false_discovery_control(np.array(list(tails.values())), axis=0).min(axis=1)
    return dict(zip(tails, smaller.tolist(), strict=True))


def changed_by_leaving_out(seeds: Sequence[int], verdict: str, judge: Callable[[int], str]) -> dict[int, str]:
    """The verdicts that are others with one seed left out, by that seed; none of fewer than three seeds."""
    if len(seeds) < 3:
        return {}
    return {seed: other for seed in seeds if (other := judge(seed)) != verdict}

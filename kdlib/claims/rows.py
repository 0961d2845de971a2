"""What statistics share: selections of rows, and numbers that are nan where none exist."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from pandas import DataFrame, Series

from .inference import rank_products
from .registry import Statistic

SIX_TEMPERATURES = (3, 6, 9, 12, 15, 20)
TEACHERS = ("small", "large")
RankPairs = Sequence[tuple[Series, Series]]
PAIR = ["batch_size", "epoch"]  # of the search for the sweet spot
NOTHING = Statistic(Series(dtype=float))  # where there are no seeds, or too few settings to compare


def single(value: float) -> Statistic:
    """One number that no seeds share."""
    return Statistic(Series([float(value)]))


def each_seed(table: DataFrame, value: Callable[[DataFrame], float]) -> Statistic:
    """A number from the rows of each teacher seed."""
    return Statistic(Series({seed: value(rows) for seed, rows in table.groupby("seed")}, dtype=float))


def at(rows: DataFrame, **values: object) -> DataFrame:
    """The rows with these values in these columns."""
    for column, value in values.items():
        rows = rows[rows[column] == value]
    return rows


def six(rows: DataFrame) -> DataFrame:
    """The rows at the paper's six temperatures: at those of the six that the table holds."""
    return rows[rows["temperature"].isin(SIX_TEMPERATURES)]


def last_epoch(rows: DataFrame) -> DataFrame:
    """The rows at the last epoch of each teacher of each seed."""
    return rows[rows["epoch"] == rows.groupby(["seed", "teacher"])["epoch"].transform("max")]


def each_thing(by_seed: Mapping[int, Series], name: str) -> Statistic:
    """A number for each seed and thing, of the kind `every`; `name` says what the things are: temperatures, sizes."""
    return Statistic(DataFrame(by_seed, dtype=float).T.rename_axis(columns=name))


def rank_correlations(rows: DataFrame, pairs: Callable[[DataFrame], Sequence[RankPairs]]) -> Statistic:
    """Mean rank correlation of each seed's rows, with what its permutation test takes.

    Arguments: `pairs(rows)`, for each part of a seed that is permuted by itself (a teacher), the pairs (x, y) whose
    correlations are averaged there (over temperatures, say); each pair without missing values.
    """
    ranks = {seed: [rank_products(*part) for part in pairs(own)] for seed, own in rows.groupby("seed")}
    values = {seed: np.mean([np.trace(matrix) for matrix in own]) for seed, own in ranks.items()}
    return Statistic(Series(values, dtype=float).round(12), ranks=ranks)  # of ranks in one order it can be 1 - 1e-16


def paired(x: Series, y: Series) -> tuple[Series, Series]:
    """Two columns where both are known."""
    known = x.notna() & y.notna()
    return x[known], y[known]


def two(rows: DataFrame, terms: Callable[[DataFrame], tuple[float, ...]]) -> DataFrame:
    """Two numbers `a` and `b` from the rows of each seed."""
    return DataFrame({seed: terms(part) for seed, part in rows.groupby("seed")}, index=["a", "b"], dtype=float).T


def joined(terms: DataFrame, values: Series) -> Statistic:
    """Statistic of values that were made of two numbers `a` and `b` of each seed, with both numbers' means as terms."""
    known = values.notna()
    return Statistic(values.astype(float), terms=tuple(terms[known].mean()) if known.any() else None)


def minus(rows: DataFrame, terms: Callable[[DataFrame], tuple[float, ...]]) -> Statistic:
    """The first minus the second of two numbers of each seed."""
    found = two(rows, terms)
    return replace(joined(found, found["a"] - found["b"]), percents=found)


def over_other_seeds(by_seed: DataFrame, seed: int) -> Series:
    """Mean of each row over the columns of all seeds but one, so that nothing is chosen on the seed that tests it."""
    return by_seed.drop(columns=seed).mean(axis=1).dropna()


def half_minus(rows: DataFrame, terms: Callable[[DataFrame], tuple[float, ...]]) -> Statistic:
    """Half of the first minus the second of two numbers of each seed; the first is what there is to explain."""
    found = two(rows, terms)
    return replace(joined(found, found["a"] / 2 - found["b"]), to_explain=found["a"])


def best_on_other_seeds(by_seed: DataFrame) -> dict:
    """For each seed, a column, the row of the highest mean over the others; none where no other seed has a value."""
    means = {seed: over_other_seeds(by_seed, seed) for seed in by_seed}
    return {seed: mean.idxmax() for seed, mean in means.items() if len(mean)}


def above_midpoint(rows: DataFrame, terms: Callable[[DataFrame], tuple[float, float, float]]) -> Statistic:
    """The first of three numbers of each seed minus the midpoint of the others, whose difference is to be explained."""
    by_seed = {seed: terms(part) for seed, part in rows.groupby("seed")}
    found = DataFrame(by_seed, index=["a", "more", "less"], dtype=float).T
    found["b"] = (found["more"] + found["less"]) / 2
    return replace(joined(found[["a", "b"]], found["a"] - found["b"]), to_explain=found["more"] - found["less"])


def lead_at_each(rows: DataFrame, thing: str, column: str, of: str, minus: str) -> Statistic:
    """A column's mean over one teacher's rows minus that over another's, for each seed at each value of `thing`."""

    def difference_at(part: DataFrame) -> Series:
        more, less = (at(part, teacher=teacher).groupby(thing)[column].mean() for teacher in (of, minus))
        return more - less

    return each_thing({seed: difference_at(part) for seed, part in rows.groupby("seed")}, thing)


def lead(rows: DataFrame, column: str, of: str, minus: str, over: Sequence[str] = ()) -> Statistic:
    """A percentage of one teacher's rows minus another's, for each seed: the mean of the cells that `over` names."""
    keys = ["seed", *over]
    by_teacher = {t: at(rows, teacher=t).groupby(keys)[column].mean() for t in (of, minus)}
    percents = DataFrame({name: by_teacher[t].groupby("seed").mean() for name, t in (("a", of), ("b", minus))})
    cells = (by_teacher[of] - by_teacher[minus]).unstack(list(over)) if over else None
    seeds = rows["seed"].unique()
    return Statistic((percents["a"] - percents["b"]).reindex(seeds), percents=percents.reindex(seeds), cells=cells)


def difference(rows: DataFrame, column: str, of: str, minus: str) -> float:
    """A column's mean over one teacher's rows minus that over another's."""
    return at(rows, teacher=of)[column].mean() - at(rows, teacher=minus)[column].mean()


def teacher_ratio(rows: DataFrame, column: str) -> float:
    """A column's mean over the small teacher's rows divided by that over the large one's."""
    return ratio(*(at(rows, teacher=teacher)[column].mean() for teacher in TEACHERS))


def ratio(numerator: float, denominator: float) -> float:
    """A positive ratio; nan where either is not positive, since it has no logarithm."""
    return numerator / denominator if numerator > 0 and denominator > 0 else np.nan


def geometric_mean(ratios: Iterable[float]) -> float:
    """Geometric mean of positive numbers, nan left out; nan if none are left."""
    values = np.asarray(list(ratios), dtype=float)
    values = values[~np.isnan(values)]
    return float(np.exp(np.log(values).mean())) if len(values) else np.nan


def slope(line: Series) -> float:
    """Least-squares slope of values on their index; nan with fewer than two points."""
    line = line.dropna()
    if len(line) < 2:
        return np.nan
    from scipy import stats

    return float(stats.linregress(line.index.to_numpy(dtype=float), line.to_numpy(dtype=float)).slope)


def spearman(x: Series, y: Series) -> float:
    """Spearman's rank correlation of two columns; nan with fewer than three pairs or where one is constant."""
    x, y = paired(x, y)
    if len(x) < 3 or x.nunique() == 1 or y.nunique() == 1:
        return np.nan
    from scipy import stats

    return round(float(stats.spearmanr(x, y).statistic), 12)  # of ranks in one order it can be 1 - 1e-16

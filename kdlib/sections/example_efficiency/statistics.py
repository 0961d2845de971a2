"""Statistics of the notebook `example_efficiency` (paper, section 4.2 and figure 4)."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from pandas import DataFrame, Series

from ...claims.intervals import ratio_interval
from ...claims.registry import Lacking, Statistic, Tables, statistic
from ...claims.rows import at, each_seed, each_thing, geometric_mean, lead, minus, ratio

LEVELS = 20  # accuracy levels at which two curves are compared
SIMPLER = {"fashion_mnist": "mnist", "cifar10": "fashion_mnist"}  # the data set before, in order of complexity


def curve(rows: DataFrame, teacher: str, selection: str = "entropy", budget: str = "epochs") -> Series:
    """Validation accuracy (percent) against examples per class; the whole transfer set is no point of it."""
    rows = at(rows, teacher=teacher, selection=selection, budget=budget, full=False)
    return rows.groupby("examples_per_class")["validation_accuracy"].mean()


def examples_ratio_of_curves(a: Series, b: Series, start: float = 0.0) -> tuple[float, bool]:
    """Ratio of the examples that two curves, a over b, need for equal accuracy (RULES.md, "Terms").

    Arguments: accuracies indexed by the number of examples per class; `start`, the share of the range that both curves
    cover at which the levels begin. Returns the ratio and whether it is only a bound, because the curves share no range
    of accuracies; (nan, False) where a curve is empty.
    """
    a, b = _rising(a), _rising(b)
    if a.empty or b.empty:
        return np.nan, False
    low, high = _shared(a, b)
    if low > high:
        below, above = (a, b) if a.iloc[-1] < b.iloc[0] else (b, a)
        bound = below.index[-1] / above.index[0]
        return float(bound if below is a else 1 / bound), True
    levels = np.linspace(low + start * (high - low), high, LEVELS)
    return float(np.exp(np.mean(_log_number_needed(a, levels) - _log_number_needed(b, levels)))), False


def _rising(curve: Series) -> Series:
    """A curve's running maximum, in order of the number of examples."""
    return curve.dropna().sort_index().cummax()


def _shared(a: Series, b: Series) -> tuple[float, float]:
    """Lowest and highest accuracy that both non-decreasing curves reach; lowest above highest if they share none."""
    return max(a.iloc[0], b.iloc[0]), min(a.iloc[-1], b.iloc[-1])


def _log_number_needed(curve: Series, levels: np.ndarray) -> np.ndarray:
    """Logarithm of the smallest number at which a non-decreasing curve, linear between its points, is at a level."""
    numbers, accuracies = np.log(curve.index.to_numpy(dtype=float)), curve.to_numpy(dtype=float)
    first = np.searchsorted(accuracies, levels)  # first point that reaches the level
    before = np.maximum(first - 1, 0)
    rise = accuracies[first] - accuracies[before]
    share = np.divide(levels - accuracies[before], rise, out=np.zeros_like(levels), where=rise > 0)
    return numbers[before] + share * (numbers[first] - numbers[before])


def examples_ratios(curves: Mapping[int, tuple[Series, Series]]) -> Statistic:
    """The examples ratio of the first curve to the second of each seed, by seed.

    The note counts those that are bounds, and says at which accuracies the curves are compared. A bound above 1 may lie
    any way below what it stands for, one below 1 above it.
    """
    found = {seed: examples_ratio_of_curves(*pair) for seed, pair in curves.items()}
    ratios = Statistic(Series({seed: value for seed, (value, _) in found.items()}, dtype=float))
    shared = [_shared(*map(_rising, curves[s])) for s, (v, bound) in found.items() if not (bound or np.isnan(v))]
    notes = [_bounds(curves)]
    if shared:
        first, last = (
            " to ".join(dict.fromkeys(f"{f(ends):.0f}" for f in (min, max))) for ends in zip(*shared, strict=True)
        )
        notes.append(f"between accuracies of {first}% and {last}%")
    bounds = [value for value, bound in found.values() if bound]
    ends = tuple(math.inf if beyond else 0.0 for beyond in (min(bounds, default=1) < 1, max(bounds, default=1) > 1))
    ratios = replace(ratios, resolution=ends)
    if not bounds and len(shared) > 1:
        upper = [examples_ratio_of_curves(*pair, start=0.5)[0] for pair in curves.values()]
        notes.append(f"over the upper half of these accuracies alone {ratio_interval(upper)}")
    return ratios.noted(*notes)


def _curves(cells: DataFrame, teacher: str, to: str, budget: str = "epochs") -> dict[int, tuple[Series, Series]]:
    """The curves of two teachers for each seed."""
    return {
        seed: (curve(rows, teacher, budget=budget), curve(rows, to, budget=budget))
        for seed, rows in cells.groupby("seed")
    }


def _bounds(curves: Mapping[int, tuple[Series, Series]]) -> str:
    """How many seeds' ratios are only bounds; empty if none is."""
    count = sum(examples_ratio_of_curves(*pair)[1] for pair in curves.values())
    return f"only a bound in {count} of {len(curves)} seeds" if count else ""


@statistic
def student_test_accuracy_difference_full_data(tables: Tables) -> Statistic:
    """Test accuracy of students at the largest number of examples per class, small teacher minus large."""
    return lead(_largest(at(_cells(tables), budget="epochs")), "test_accuracy", "small", "large")


@statistic
def shortfall_at_ten_examples_per_class(tables: Tables) -> Statistic:
    """Validation accuracy at the largest number of examples minus that at 10, small teacher, equal steps."""

    def value(rows: DataFrame) -> float:
        rows = at(rows, teacher="small", budget="steps")
        most = _largest(rows)["validation_accuracy"].mean()
        return most - curve(rows, "small", budget="steps").get(10, np.nan)

    return each_seed(_cells(tables), value)


@statistic
def steps_to_level_ratio(tables: Tables) -> Statistic:
    """Steps to a level, large teacher's student over small teacher's, geometric mean over levels that either reaches.

    A level that both reach within the first epoch says nothing, and is left out. A student that alone misses a level
    enters with all the steps that it was trained for. Steps are counted at the ends of epochs, so a level may have been
    reached up to an epoch before.
    """
    table = tables["example_efficiency"]["steps_to_level"]
    trained = at(tables["example_efficiency"]["cells"], full=True)["steps"].max()
    wide = table.groupby(["seed", "level", "teacher"])["steps"].mean().unstack("teacher")
    wide = wide.reindex(columns=["large", "small"])
    alone = int((wide.notna().sum(axis=1) == 1).sum())

    epoch = np.diff([0.0, *sorted(set(wide.stack().dropna()))]).min(initial=trained)
    early = (wide <= epoch).all(axis=1)
    told = wide[~early].dropna(how="all").fillna(trained)

    def value(rows: DataFrame) -> float:
        return geometric_mean(ratio(*pair) for pair in rows.to_numpy())

    with np.errstate(divide="ignore"):  # within the first epoch it may be any number of steps
        ends = tuple(float(-np.log1p(-epoch / told[teacher]).mean()) for teacher in ("large", "small"))
    found = replace(each_seed(told, value), resolution=ends if len(told) else (0.0, 0.0))
    mean = geometric_mean(found.values)
    low, high = mean * math.exp(-ends[0]), mean * math.exp(ends[1])
    return found.noted(
        "steps are counted at the ends of epochs, so that it may be "
        + ("anything" if low == 0 and high == math.inf else f"from {low:.3g} to {high:.3g}".replace("inf", "any more")),
        f"both students reach {int(wide.notna().all(axis=1).sum())} of {len(wide)} (seed, level) pairs, "
        f"{int(early.sum())} of them within the first epoch, which say nothing",
        f"a bound: one student alone reaches {alone}" * bool(alone),
    )


@statistic
def validation_accuracy_difference_mean_over_sizes(tables: Tables) -> Statistic:
    """Best validation accuracy, small teacher's student minus large teacher's, mean over the sizes."""
    return _mean_lead(tables, "epochs")


@statistic
def validation_accuracy_difference_at_equal_steps(tables: Tables) -> Statistic:
    """Best validation accuracy at equal optimiser steps, small teacher's student minus large teacher's, over sizes."""
    return _mean_lead(tables, "steps")


def _mean_lead(tables: Tables, budget: str) -> Statistic:
    rows = at(_cells(tables), budget=budget, full=False)
    return lead(rows, "validation_accuracy", "small", "large", over=["examples_per_class"])


@statistic
def leads_of_the_small_teacher_at_each_size(tables: Tables) -> Statistic:
    """Best validation accuracy, small teacher's student minus large teacher's, at each number of examples per class."""
    cells = tables["example_efficiency"]["cells"]
    by_seed = {seed: curve(rows, "small") - curve(rows, "large") for seed, rows in cells.groupby("seed")}
    return each_thing(by_seed, "examples per class")


@statistic
def a_hundred_at_the_sweet_spot_minus_five_hundred(tables: Tables) -> Statistic:
    """Validation accuracy under the large teacher: 100 examples per class at its sweet spot minus 500 by default."""
    return minus(
        tables["example_efficiency"]["cells"],
        lambda rows: (curve(rows, "large_sweet").get(100, np.nan), curve(rows, "large").get(500, np.nan)),
    )


@statistic
def examples_ratio(tables: Tables) -> Statistic:
    """Examples ratio of the large teacher's curve to the small teacher's, equal epochs."""
    return examples_ratios(_curves(tables["example_efficiency"]["cells"], "large", "small"))


@statistic
def examples_ratio_at_equal_steps(tables: Tables) -> Statistic:
    """Examples ratio of the large teacher's curve to the small teacher's, equal optimiser steps."""
    return examples_ratios(_curves(tables["example_efficiency"]["cells"], "large", "small", budget="steps"))


@statistic
def examples_ratio_default_to_sweet_spot(tables: Tables) -> Statistic:
    """Examples ratio of the large teacher's curve by default to that at its sweet spot, equal epochs."""
    return _ratios_to_sweet_spot(tables, "epochs")


@statistic
def examples_ratio_default_to_sweet_spot_at_equal_steps(tables: Tables) -> Statistic:
    """Examples ratio of the large teacher's curve by default to that at its sweet spot, equal optimiser steps."""
    return _ratios_to_sweet_spot(tables, "steps")


def _ratios_to_sweet_spot(tables: Tables, budget: str) -> Statistic:
    ratios = examples_ratios(_curves(tables["example_efficiency"]["cells"], "large", "large_sweet", budget))
    chosen = tables["example_efficiency"]["chosen"]["updates"]
    return ratios.noted(*(f"the teacher at the sweet spot made {n:,.0f} update{'' if n == 1 else 's'}" for n in chosen))


@statistic
def entropy_against_random_selection(tables: Tables) -> Statistic:
    """Validation accuracy with selection by entropy minus that at random, small teacher, mean over the sizes."""
    return each_seed(
        tables["example_efficiency"]["cells"],
        lambda rows: (curve(rows, "small", "entropy") - curve(rows, "small", "random")).mean(),
    )


@statistic
def growth_of_the_examples_ratio(tables: Tables) -> Statistic:
    """Examples ratio over that of the data set before (MNIST, Fashion-MNIST, CIFAR-10) at equal teacher seed."""
    if tables.dataset not in SIMPLER:
        raise Lacking("a simpler data set than this one")
    both = tables, tables.of(SIMPLER[tables.dataset])
    curves = {one.dataset: _curves(one["example_efficiency"]["cells"], "large", "small") for one in both}
    here, before = (
        {seed: examples_ratio_of_curves(*pair) for seed, pair in by_seed.items()} for by_seed in curves.values()
    )

    def growth(seed: int) -> float:
        (own, own_bound), (other, other_bound) = here[seed], before[seed]
        least = own_bound and own > 1 or other_bound and other < 1  # the growth is at least so large
        most = own_bound and own < 1 or other_bound and other > 1
        found = own / other
        return np.nan if least and (most or found < 1) or most and found > 1 else found

    found = Statistic(Series({seed: growth(seed) for seed in here if seed in before}, dtype=float))
    bounds = {name: _bounds(by_seed) for name, by_seed in curves.items()}
    return found.noted(*(f"{bound} of {name}" for name, bound in bounds.items() if bound))


def _cells(tables: Tables) -> DataFrame:
    return at(tables["example_efficiency"]["cells"], selection="entropy")


def _largest(rows: DataFrame) -> DataFrame:
    """The rows with the whole transfer set, else those with the largest number of examples per class."""
    full = at(rows, full=True)
    return full if len(full) else at(rows, examples_per_class=rows["examples_per_class"].max())

"""Statistics of the notebook `missing_class` (paper, sections 3.3 and 4.1, tables 4 to 6)."""

import numpy as np
from pandas import DataFrame, Series

from ...claims.inference import of_blocks, rank_products
from ...claims.registry import Lacking, Statistic, Tables, statistic
from ...claims.rows import (
    TEACHERS,
    at,
    difference,
    each_seed,
    each_thing,
    lead,
    minus,
    paired,
    rank_correlations,
    six,
    slope,
)
from ...data.paper import missing_class_table


@statistic
def correlation_of_row_variance_with_missing_class_accuracy(tables: Tables) -> Statistic:
    """Rank correlation over (teacher, temperature) of row-wise variance and raw missing-class accuracy."""
    cells = _mean_over_classes(tables).merge(tables["entropy"]["variance"], on=["seed", "teacher", "temperature"])
    return rank_correlations(cells, lambda rows: [[paired(rows["row_variance"], rows["raw"])]])


@statistic
def correlation_of_entropy_with_missing_class_accuracy(tables: Tables) -> Statistic:
    """Rank correlation over (teacher, temperature) of the teacher's entropy and raw missing-class accuracy."""
    ranks = rank_correlations(_mean_over_classes(tables), lambda rows: [[paired(rows["teacher_entropy"], rows["raw"])]])
    return ranks.cautioned(_less_than_a_guess(tables))


@statistic
def within_teacher_correlation_of_entropy_with_missing_class_accuracy(tables: Tables) -> Statistic:
    """Rank correlation over one teacher's temperatures of entropy and raw missing-class accuracy, mean of both."""

    def pairs(rows: DataFrame) -> list:
        own = (at(rows, teacher=teacher) for teacher in TEACHERS)
        return [[paired(part["teacher_entropy"], part["raw"])] for part in own]

    found = rank_correlations(_mean_over_classes(tables), pairs)
    each = (
        [np.mean([np.trace(own[i]) for own in found.ranks.values()]) for i in range(len(TEACHERS))]
        if found.ranks
        else []
    )
    by_teacher = ", ".join(
        f"{teacher} {mean:.2g}" if mean == mean else f"{teacher} without a value"
        for teacher, mean in zip(TEACHERS, each, strict=False)
    )
    return found.noted(by_teacher).cautioned(_less_than_a_guess(tables))


@statistic
def correlation_with_the_printed_cells(tables: Tables) -> Statistic:
    """Rank correlation of the small teacher's cells (class, temperature) with the paper's; whole classes permuted."""
    printed = missing_class_table(tables.dataset)
    if printed is None:
        raise Lacking("the paper's table of this data set")
    printed = at(printed, teacher="small")
    paper = printed.pivot_table(index="missing_class", columns="temperature", values="accuracy_percent").dropna()

    def products(rows: DataFrame) -> list[np.ndarray]:
        here = at(rows, teacher="small").pivot_table(index="missing_class", columns="temperature", values="raw")
        here = here.reindex(index=paper.index, columns=paper.columns)
        if here.isna().any(axis=None):
            return [np.full((len(paper), len(paper)), np.nan)]
        return [of_blocks(rank_products((paper.stack(), here.stack())), len(paper))]

    ranks = {seed: products(rows) for seed, rows in _cells(tables).groupby("seed")}
    return Statistic(Series({seed: np.trace(own[0]) for seed, own in ranks.items()}, dtype=float), ranks=ranks)


@statistic
def missing_class_accuracy_difference(tables: Tables) -> Statistic:
    """Raw missing-class accuracy, mean over missing classes and the six temperatures, small minus large."""
    cells = _cells(tables)
    gap = lead(cells, "raw", "small", "large", over=["missing_class"])
    small, large = (at(cells, teacher=teacher)["raw"].mean() for teacher in TEACHERS)
    return gap.noted(f"small {small:.1f}%, large {large:.1f}%").cautioned(_less_than_a_guess(tables))


@statistic
def missing_class_accuracy_above_chance_small(tables: Tables) -> Statistic:
    """Raw missing-class accuracy minus that of a guess, mean over classes and the six temperatures, small teacher."""
    return _above_chance(tables, "small")


@statistic
def missing_class_accuracy_above_chance_large(tables: Tables) -> Statistic:
    """Raw missing-class accuracy minus that of a guess, mean over classes and the six temperatures, large teacher."""
    return _above_chance(tables, "large").cautioned(_less_than_a_guess(tables))


def _above_chance(tables: Tables, teacher: str) -> Statistic:
    guess = _guess(tables)
    return minus(_cells(tables), lambda rows: (at(rows, teacher=teacher)["raw"].mean(), guess))


@statistic
def missing_class_accuracies_above_chance_small(tables: Tables) -> Statistic:
    """The small teacher's raw missing-class accuracy minus that of a guess, for each missing class and temperature."""
    guess = _guess(tables)
    cells = at(_cells(tables), teacher="small")

    def above(rows: DataFrame) -> Series:
        found = rows.groupby(["missing_class", "temperature"])["raw"].mean() - guess
        return found.set_axis([f"{missing} at T = {temperature:g}" for missing, temperature in found.index])

    return each_thing({seed: above(rows) for seed, rows in cells.groupby("seed")}, "class")


@statistic
def missing_class_slope_in_temperature_small(tables: Tables) -> Statistic:
    """Slope on T of the raw missing-class accuracy, small teacher."""
    return _slope_in_temperature(tables, "small")


@statistic
def missing_class_slope_in_temperature_large(tables: Tables) -> Statistic:
    """Slope on T of the raw missing-class accuracy, large teacher."""
    return _slope_in_temperature(tables, "large")


@statistic
def corrected_gap_minus_half_raw_gap(tables: Tables) -> Statistic:
    """Gap small minus large after the bias correction, minus half the raw gap."""
    cells = _cells(tables)
    raw, corrected = (
        each_seed(cells, lambda rows, column=column: difference(rows, column, "small", "large")).values
        for column in ("raw", "corrected")
    )
    left = Statistic(corrected - raw / 2)
    return left.noted(f"the gap is {raw.mean():.1f} points raw, {corrected.mean():.1f} corrected")


@statistic
def corrected_missing_class_accuracy_difference(tables: Tables) -> Statistic:
    """Bias-corrected missing-class accuracy, mean over classes and the six temperatures, small minus large."""
    return lead(_cells(tables), "corrected", "small", "large", over=["missing_class"])


def _cells(tables: Tables) -> DataFrame:
    return six(tables["missing_class"]["cells"])


def _guess(tables: Tables) -> float:
    """How often a guess is right, in percent."""
    classes = tables["missing_class"]["taken_for"]["predicted"].nunique()
    return 100 / classes if classes else np.nan


def _less_than_a_guess(tables: Tables) -> str:
    """Says so where both teachers' students, mean over classes and temperatures, are right less often than a guess."""
    means, guess = _cells(tables).groupby("teacher")["raw"].mean(), _guess(tables)
    return f"students of both are right less often than a guess, {guess:.3g}%" if means.max() < guess else ""


def _mean_over_classes(tables: Tables) -> DataFrame:
    """`raw` and `teacher_entropy` of each (seed, teacher, temperature)."""
    groups = _cells(tables).groupby(["seed", "teacher", "temperature"], as_index=False)
    return groups[["raw", "teacher_entropy"]].mean()


def _slope_in_temperature(tables: Tables, teacher: str) -> Statistic:
    return each_seed(_cells(tables), lambda rows: slope(at(rows, teacher=teacher).groupby("temperature")["raw"].mean()))

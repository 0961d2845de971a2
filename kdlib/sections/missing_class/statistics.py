"""Statistics of the notebook `missing_class` (paper, sections 3.3 and 4.1, tables 4 to 6)."""

import numpy as np
from pandas import DataFrame

from ...claims.registry import Statistic, Tables, statistic
from ...claims.rows import TEACHERS, at, difference, each_seed, six, slope, spearman


@statistic
def correlation_of_row_variance_with_missing_class_accuracy(tables: Tables) -> Statistic:
    """Rank correlation over (teacher, temperature) of row-wise variance and raw missing-class accuracy."""
    cells = _mean_over_classes(tables).merge(tables["entropy"]["variance"], on=["seed", "teacher", "temperature"])
    return each_seed(cells, lambda rows: spearman(rows["row_variance"], rows["raw"]))


@statistic
def correlation_of_entropy_with_missing_class_accuracy(tables: Tables) -> Statistic:
    """Rank correlation over (teacher, temperature) of the teacher's entropy and raw missing-class accuracy."""
    ranks = each_seed(_mean_over_classes(tables), lambda rows: spearman(rows["teacher_entropy"], rows["raw"]))
    return ranks.noted(_less_than_a_guess(tables))


@statistic
def within_teacher_correlation_of_entropy_with_missing_class_accuracy(tables: Tables) -> Statistic:
    """Rank correlation over one teacher's temperatures of entropy and raw missing-class accuracy, mean of both."""
    cells = _mean_over_classes(tables)
    own = DataFrame(
        {
            t: each_seed(at(cells, teacher=t), lambda rows: spearman(rows["teacher_entropy"], rows["raw"])).values
            for t in TEACHERS
        }
    )
    by_teacher = ", ".join(f"{teacher} {own[teacher].mean():.2g}" for teacher in TEACHERS)
    return Statistic(own.mean(axis=1, skipna=False)).noted(by_teacher, _less_than_a_guess(tables))


@statistic
def missing_class_accuracy_difference(tables: Tables) -> Statistic:
    """Raw missing-class accuracy, mean over missing classes and the six temperatures, small minus large."""
    cells = _cells(tables)
    gap = each_seed(cells, lambda rows: difference(rows, "raw", "small", "large"))
    small, large = (at(cells, teacher=teacher)["raw"].mean() for teacher in TEACHERS)
    return gap.noted(f"small {small:.1f}%, large {large:.1f}%", _less_than_a_guess(tables))


@statistic
def smallest_missing_class_accuracy_above_chance_small(tables: Tables) -> Statistic:
    """The small teacher's smallest raw missing-class accuracy minus chance, over missing classes and temperatures."""
    guess = _guess(tables)

    def value(rows: DataFrame) -> float:
        smallest = at(rows, teacher="small").groupby(["missing_class", "temperature"])["raw"].mean().min()
        return smallest - guess

    return each_seed(_cells(tables), value)


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
    """Gap small minus large after the bias correction, minus half the raw gap; nan where the raw gap is not above 0."""
    cells = _cells(tables)
    raw, corrected = (
        each_seed(cells, lambda rows, column=column: difference(rows, column, "small", "large")).values
        for column in ("raw", "corrected")
    )
    left = Statistic((corrected - raw / 2).where(raw > 0))
    return left.noted(f"the gap is {raw.mean():.1f} points raw, {corrected.mean():.1f} corrected")


@statistic
def corrected_missing_class_accuracy_difference(tables: Tables) -> Statistic:
    """Bias-corrected missing-class accuracy, mean over classes and the six temperatures, small minus large."""
    return each_seed(_cells(tables), lambda rows: difference(rows, "corrected", "small", "large"))


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

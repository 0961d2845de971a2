"""Statistics of the notebook `sweet_spot` (paper, sections 3.4, 5 and 6, figures 6 to 9)."""

import math

import numpy as np
from pandas import DataFrame, Series

from ...claims.intervals import t_interval
from ...claims.registry import Statistic, Tables, statistic
from ...claims.rows import NOTHING, PAIR, at, difference, each_seed, means, minus, single, six, spearman
from ...training.measures import nearest


@statistic
def interior_optimal_batch_size(tables: Tables) -> Statistic:
    """Validation accuracy at the best batch size between the grid's ends minus that at the better end; general student.

    Batch sizes, each at its best epoch, are chosen on the other seeds. Empty with fewer than three batch sizes.
    """
    by_seed = _accuracy_by_seed(tables, "general")
    sizes = sorted(set(by_seed.index.get_level_values("batch_size")))
    if len(sizes) < 3:
        return NOTHING

    def gain(seed: int) -> float:
        others = by_seed.drop(columns=seed).mean(axis=1).dropna()
        at_ends = others.index.get_level_values("batch_size").isin([sizes[0], sizes[-1]])
        if at_ends.all() or not at_ends.any():
            return np.nan
        return by_seed.loc[others[~at_ends].idxmax(), seed] - by_seed.loc[others[at_ends].idxmax(), seed]

    return Statistic(Series({seed: gain(seed) for seed in by_seed.columns}, dtype=float))


@statistic
def correlation_of_epochs_to_confidence_with_batch_size(tables: Tables) -> Statistic:
    """Rank correlation of batch size and the first epoch whose confidence at T = 9 reaches a level that all reach."""

    def value(rows: DataFrame) -> float:
        confidence = rows.pivot_table(index="epoch", columns="batch_size", values="confidence")
        level = confidence.ffill().iloc[-1].min()
        first = (confidence >= level).idxmax()
        return spearman(Series(first.index, dtype=float), Series(first.to_numpy(), dtype=float))

    return each_seed(at(tables["sweet_spot"]["entropy"], temperature=9), value)


@statistic
def correlation_of_entropy_with_batch_size(tables: Tables) -> Statistic:
    """Rank correlation of batch size and entropy at epoch 50, else at the nearest kept one, mean over the six T."""
    table = six(tables["sweet_spot"]["entropy"])
    if table.empty:
        return NOTHING
    return _mean_correlation(at(table, epoch=nearest(table["epoch"], 50)), "batch_size")


@statistic
def correlation_of_entropy_with_epochs(tables: Tables) -> Statistic:
    """Rank correlation of epoch and entropy at batch size 4096, else at the nearest one, mean over the six T."""
    table = six(tables["sweet_spot"]["entropy"])
    if table.empty:
        return NOTHING
    return _mean_correlation(at(table, batch_size=nearest(table["batch_size"], 4096)), "epoch")


@statistic
def partial_correlation_of_entropy_with_batch_size_given_updates(tables: Tables) -> Statistic:
    """Partial rank correlation of entropy and batch size given the number of updates, all cells at T = 9."""

    def value(rows: DataFrame) -> float:
        direct = spearman(rows["entropy"], rows["batch_size"])
        entropy, batch_size = (spearman(rows[column], rows["updates"]) for column in ("entropy", "batch_size"))
        left = (1 - entropy**2) * (1 - batch_size**2)
        # Where updates determine a rank there is nothing left to correlate, and rounding alone keeps it from 0.
        return (direct - entropy * batch_size) / math.sqrt(left) if left > 1e-12 else np.nan

    return each_seed(at(tables["sweet_spot"]["entropy"], temperature=9), value)


@statistic
def distance_of_the_best_pair_at_another_batch_size(tables: Tables) -> Statistic:
    """Mean accuracy of the best pair whose batch size is not the best pair's, minus the best pair's; general student.

    nan with one seed, since a single map says nothing of chance, and with one batch size.
    """
    by_seed = _accuracy_by_seed(tables, "general")
    if by_seed.empty:
        return NOTHING
    mean = by_seed.mean(axis=1)
    if by_seed.shape[1] < 2:
        return single(np.nan)
    best_of_size = mean.loc[mean.groupby("batch_size").idxmax()].nlargest(2)
    if len(best_of_size) < 2:
        return single(np.nan)
    best, other = best_of_size.index
    interval = t_interval(by_seed.loc[other] - by_seed.loc[best])
    return single(best_of_size[other] - best_of_size[best]).noted(
        f"batch size {other[0]}, epoch {other[1]} against batch size {best[0]}, epoch {best[1]}",
        f"over seeds {interval}, each pair chosen on the same seeds",
    )


@statistic
def gain_from_the_students_own_pair(tables: Tables) -> Statistic:
    """Validation accuracy at a student's own pair minus that at the other's, pairs chosen on the other seeds."""
    students = ("general", "baseline")
    general, baseline = (_accuracy_by_seed(tables, student) for student in students)
    pairs, seeds = (part.intersection(other) for part, other in zip(general.axes, baseline.axes, strict=True))
    by_seed = {"general": general.loc[pairs, seeds], "baseline": baseline.loc[pairs, seeds]}

    def gain(seed: int) -> float:
        others = {student: table.drop(columns=seed).mean(axis=1).dropna() for student, table in by_seed.items()}
        if any(mean.empty for mean in others.values()):
            return np.nan
        own = {student: mean.idxmax() for student, mean in others.items()}
        gains = [
            by_seed[student].loc[own[student], seed] - by_seed[student].loc[own[other], seed]
            for student, other in (students, students[::-1])
        ]
        return np.mean(gains)

    return Statistic(Series({seed: gain(seed) for seed in seeds}, dtype=float))


@statistic
def baseline_student_gain(tables: Tables) -> Statistic:
    """Test accuracy of the single-layer student, large teacher at its sweet spot minus by default, mean over T."""
    rows = tables["sweet_spot"]["baseline"]
    gain = each_seed(rows, lambda rows: difference(rows, "accuracy", "large_sweet", "large"))
    sweet, large, none = (at(rows, teacher=t)["accuracy"].mean() for t in ("large_sweet", "large", "none"))
    alone = "" if math.isnan(none) else f"on the labels alone {none:.1f}%"
    return gain.noted(f"{sweet:.1f}% against {large:.1f}%", alone)


@statistic
def temperatures_at_which_the_sweet_spot_leads(tables: Tables) -> Statistic:
    """Test accuracy of the single-layer student, sweet spot minus default, at each temperature; mean over seeds."""
    rows = tables["sweet_spot"]["baseline"]
    by_seed = {
        teacher: at(rows, teacher=teacher).groupby(["seed", "temperature"])["accuracy"].mean()
        for teacher in ("large_sweet", "large")
    }
    return means((by_seed["large_sweet"] - by_seed["large"]).unstack("temperature"))


@statistic
def sweet_spot_gain_minus_half_the_gap(tables: Tables) -> Statistic:
    """Test accuracy of the single-layer student, sweet spot minus default, minus half of (small minus large).

    Means over T; nan where small is not above large.
    """

    def value(rows: DataFrame) -> float:
        gap = difference(rows, "accuracy", "small", "large")
        return difference(rows, "accuracy", "large_sweet", "large") - gap / 2 if gap > 0 else np.nan

    values = each_seed(tables["sweet_spot"]["baseline"], value)
    return values.explained("there the small teacher is not ahead of the large one")


@statistic
def student_without_teacher_minus_half_of_the_gain(tables: Tables) -> Statistic:
    """Test accuracy: student of hard labels minus the midpoint of those of large and large_sweet, means over T.

    nan where the sweet spot brings no gain.
    """

    def accuracies(rows: DataFrame) -> tuple[float, float]:
        sweet, large, none = (
            at(rows, teacher=teacher)["accuracy"].mean() for teacher in ("large_sweet", "large", "none")
        )
        return (none, (sweet + large) / 2) if sweet > large else (np.nan, np.nan)

    return minus(tables["sweet_spot"]["baseline"], accuracies)


@statistic
def missing_class_gain_at_the_sweet_spot(tables: Tables) -> Statistic:
    """Raw missing-class accuracy at T = 9, large teacher at its sweet spot minus by default, mean over classes."""
    return _missing_class_gain(tables, "raw")


@statistic
def corrected_missing_class_gain_at_the_sweet_spot(tables: Tables) -> Statistic:
    """Bias-corrected missing-class accuracy at T = 9, large teacher at its sweet spot minus by default."""
    return _missing_class_gain(tables, "corrected")


def _missing_class_gain(tables: Tables, column: str) -> Statistic:
    rows = at(tables["sweet_spot"]["missing"], temperature=9)
    gain = each_seed(rows, lambda rows: difference(rows, column, "large_sweet", "large"))
    sweet, large = (at(rows, teacher=teacher)[column].mean() for teacher in ("large_sweet", "large"))
    chosen = at(tables["sweet_spot"]["chosen"], student="general")["teacher_accuracy"]
    right = [f"the teacher at the sweet spot is right on {accuracy:.1f}%" for accuracy in chosen]
    return gain.noted(f"{sweet:.1f}% against {large:.1f}%", *right)


def _accuracy_by_seed(tables: Tables, student: str) -> DataFrame:
    """Validation accuracy of a student for each (batch size, epoch), a column for each teacher seed."""
    rows = at(tables["sweet_spot"]["map"], student=student)
    return rows.pivot_table(index=PAIR, columns="seed", values="validation_accuracy")


def _mean_correlation(table: DataFrame, column: str) -> Statistic:
    """Rank correlation of a column and the entropy at each temperature, averaged over temperatures."""
    return each_seed(
        table,
        lambda rows: np.mean([spearman(group[column], group["entropy"]) for _, group in rows.groupby("temperature")]),
    )

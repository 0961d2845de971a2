"""Statistics of the notebook `sweet_spot` (paper, sections 3.4, 5 and 6, figures 6 to 9)."""

import math

import numpy as np
from pandas import DataFrame, Series

from ...claims.registry import Statistic, Tables, of_teachers, statistic
from ...claims.rows import (
    NOTHING,
    PAIR,
    above_midpoint,
    at,
    best_on_other_seeds,
    difference,
    each_seed,
    lead,
    lead_at_each,
    over_other_seeds,
    rank_correlations,
    six,
    spearman,
)
from ...training.measures import nearest


@statistic
@of_teachers
def interior_optimal_batch_size(tables: Tables) -> Statistic:
    """The teacher's validation accuracy at the best batch size between the grid's ends minus that at the better end.

    Batch sizes, each at its best epoch, are chosen on the other seeds. Empty with fewer than three batch sizes.
    """
    by_seed = accuracy_by_seed(at(tables["sweet_spot"]["entropy"], temperature=9))
    sizes = sorted(set(by_seed.index.get_level_values("batch_size")))
    if len(sizes) < 3:
        return NOTHING

    def gain(seed: int) -> float:
        others = over_other_seeds(by_seed, seed)
        at_ends = others.index.get_level_values("batch_size").isin([sizes[0], sizes[-1]])
        if at_ends.all() or not at_ends.any():
            return np.nan
        return by_seed.loc[others[~at_ends].idxmax(), seed] - by_seed.loc[others[at_ends].idxmax(), seed]

    return Statistic(Series({seed: gain(seed) for seed in by_seed.columns}, dtype=float), candidates=len(by_seed))


@statistic
@of_teachers
def correlation_of_epochs_to_confidence_with_batch_size(tables: Tables) -> Statistic:
    """Rank correlation of batch size and the first epoch whose confidence at T = 9 reaches a level that all reach."""

    def pairs(rows: DataFrame) -> list:
        confidence = rows.pivot_table(index="epoch", columns="batch_size", values="confidence")
        level = confidence.ffill().iloc[-1].min()
        first = (confidence >= level).idxmax()
        return [[(first.index.to_series(), first)]]

    return rank_correlations(at(tables["sweet_spot"]["entropy"], temperature=9), pairs)


@statistic
@of_teachers
def correlation_of_entropy_with_batch_size(tables: Tables) -> Statistic:
    """Rank correlation of batch size and entropy at epoch 50, else at the nearest kept one, mean over the six T."""
    table = six(tables["sweet_spot"]["entropy"])
    if table.empty:
        return NOTHING
    return _mean_correlation(at(table, epoch=nearest(table["epoch"], 50)), "batch_size")


@statistic
@of_teachers
def correlation_of_entropy_with_epochs(tables: Tables) -> Statistic:
    """Rank correlation of epoch and entropy at batch size 4096, else at the nearest one, mean over the six T."""
    table = six(tables["sweet_spot"]["entropy"])
    if table.empty:
        return NOTHING
    return _mean_correlation(at(table, batch_size=nearest(table["batch_size"], 4096)), "epoch")


@statistic
@of_teachers
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
    """Accuracy at the best pair whose batch size is not the best pair's, minus at the best pair; general student.

    Both pairs are chosen on the other seeds. Empty with one batch size.
    """
    by_seed = _accuracy_by_seed(tables, "general")
    if by_seed.index.get_level_values("batch_size").nunique() < 2:
        return NOTHING

    def distance(seed: int) -> float:
        others = over_other_seeds(by_seed, seed)
        if others.empty:
            return np.nan
        best, other = others.loc[others.groupby("batch_size").idxmax()].nlargest(2).index
        return by_seed.loc[other, seed] - by_seed.loc[best, seed]

    return Statistic(Series({seed: distance(seed) for seed in by_seed.columns}, dtype=float), candidates=len(by_seed))


@statistic
def gain_from_the_students_own_pair(tables: Tables) -> Statistic:
    """Validation accuracy at a student's own pair minus that at the other's, pairs chosen on the other seeds."""
    students = ("general", "baseline")
    general, baseline = (_accuracy_by_seed(tables, student) for student in students)
    pairs, seeds = (part.intersection(other) for part, other in zip(general.axes, baseline.axes, strict=True))
    by_seed = {"general": general.loc[pairs, seeds], "baseline": baseline.loc[pairs, seeds]}

    def gain(seed: int) -> float:
        others = {student: over_other_seeds(table, seed) for student, table in by_seed.items()}
        if any(mean.empty for mean in others.values()):
            return np.nan
        own = {student: mean.idxmax() for student, mean in others.items()}
        gains = [
            by_seed[student].loc[own[student], seed] - by_seed[student].loc[own[other], seed]
            for student, other in (students, students[::-1])
        ]
        return np.mean(gains)

    return Statistic(Series({seed: gain(seed) for seed in seeds}, dtype=float), candidates=len(pairs))


@statistic
def baseline_student_gain(tables: Tables) -> Statistic:
    """Test accuracy of the single-layer student, large teacher at its sweet spot minus by default, mean over T."""
    rows = tables["sweet_spot"]["baseline"]
    gain = lead(rows, "accuracy", "large_sweet", "large", over=["temperature"])
    sweet, large, none = (at(rows, teacher=t)["accuracy"].mean() for t in ("large_sweet", "large", "none"))
    alone = "" if math.isnan(none) else f"on the labels alone {none:.1f}%"
    return gain.noted(f"{sweet:.1f}% against {large:.1f}%", alone)


@statistic
def temperatures_at_which_the_sweet_spot_leads(tables: Tables) -> Statistic:
    """Test accuracy of the single-layer student, sweet spot minus default, at each temperature."""
    return lead_at_each(tables["sweet_spot"]["baseline"], "temperature", "accuracy", "large_sweet", "large")


@statistic
def baseline_student_lead_of_the_small_teacher(tables: Tables) -> Statistic:
    """Test accuracy of the single-layer student, small teacher minus large, mean over T."""
    return lead(tables["sweet_spot"]["baseline"], "accuracy", "small", "large")


@statistic
def sweet_spot_gain_minus_half_the_gap(tables: Tables) -> Statistic:
    """Test accuracy of the single-layer student, sweet spot minus default, minus half of (small minus large)."""

    def value(rows: DataFrame) -> float:
        gap = difference(rows, "accuracy", "small", "large")
        return difference(rows, "accuracy", "large_sweet", "large") - gap / 2

    return each_seed(tables["sweet_spot"]["baseline"], value)


@statistic
def general_student_gain(tables: Tables) -> Statistic:
    """Test accuracy of the general student, all examples, T = 9: large teacher at its sweet spot minus by default.

    The sweet spot is chosen by validation accuracy on the other seeds.
    """
    gain = _general_student(tables, "responses", "large")
    alone = _general_student(tables, "hard", "small").percents["b"].mean()
    said = (
        f"the teacher there made {spot['updates']:,} updates and is right on {spot['teacher_accuracy']:.1f}%"
        for _, spot in at(tables["sweet_spot"]["chosen"], student="general").iterrows()
    )
    return gain.noted("" if math.isnan(alone) else f"on the labels alone {alone:.1f}%").cautioned("; ".join(said))


@statistic
def general_student_gain_over_labels_alone(tables: Tables) -> Statistic:
    """Test accuracy of the general student, all examples, T = 9: large teacher's sweet spot minus the labels alone.

    The sweet spot is chosen by validation accuracy on the other seeds.
    """
    return _general_student(tables, "hard", "small")


def _general_student(tables: Tables, control: str, teacher: str) -> Statistic:
    """At the large teacher's sweet spot minus a row of the rival explanations' table `full`."""
    full = at(tables["rival_explanations"]["full"], control=control, teacher=teacher, temperature=9)
    gain = gain_at_the_best_pair(
        at(tables["sweet_spot"]["map"], student="general"), full.groupby("seed")["accuracy"].mean()
    )
    return gain.noted("{:.1f}% against {:.1f}%".format(*gain.percents.mean()))


def gain_at_the_best_pair(search: DataFrame, other: Series) -> Statistic:
    """Test accuracy of a search's students minus another accuracy of each seed, at the pair that is best on validation.

    That pair is chosen on the other seeds: the best of many on the same seed would gain by chance.
    """
    validation, test = accuracy_by_seed(search), accuracy_by_seed(search, "test")
    chosen = best_on_other_seeds(validation)
    found = Series({seed: test.loc[pair, seed] for seed, pair in chosen.items()}, dtype=float)
    percents = DataFrame({"a": found, "b": other}).dropna()
    pairs = dict.fromkeys(f"batch size {size}, epoch {epoch}" for size, epoch in chosen.values())
    gain = Statistic(percents["a"] - percents["b"], percents=percents, candidates=len(validation))
    return gain.noted("; or ".join(pairs))


@statistic
def general_minus_baseline_student_gain(tables: Tables) -> Statistic:
    """Gain in validation accuracy from the sweet spot over the average pair: general student minus single-layer one."""
    general, baseline = (_accuracy_by_seed(tables, student) for student in ("general", "baseline"))
    return Statistic(gains_of_searching(general) - gains_of_searching(baseline), candidates=len(general))


@statistic
def student_without_teacher_minus_half_of_the_gain(tables: Tables) -> Statistic:
    """Test accuracy: student of hard labels minus the midpoint of those of large and large_sweet, means over T.

    The gain that the sweet spot brings is to be explained.
    """

    def accuracies(rows: DataFrame) -> tuple[float, ...]:
        return tuple(at(rows, teacher=teacher)["accuracy"].mean() for teacher in ("none", "large_sweet", "large"))

    return above_midpoint(tables["sweet_spot"]["baseline"], accuracies)


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
    gain = lead(rows, column, "large_sweet", "large", over=["missing_class"])
    sweet, large = (at(rows, teacher=teacher)[column].mean() for teacher in ("large_sweet", "large"))
    chosen = at(tables["sweet_spot"]["chosen"], student="general")["teacher_accuracy"]
    right = "; ".join(f"the teacher at the sweet spot is right on {accuracy:.1f}%" for accuracy in chosen)
    return gain.noted(f"{sweet:.1f}% against {large:.1f}%").cautioned(right)


def gains_of_searching(by_seed: DataFrame) -> Series:
    """Accuracy of each seed, a column, at the row that is best on the other seeds, minus that at the average row."""
    chosen = best_on_other_seeds(by_seed)
    return Series({s: by_seed.loc[pair, s] - by_seed[s].mean() for s, pair in chosen.items()}, dtype=float)


def accuracy_by_seed(search: DataFrame, split: str = "validation") -> DataFrame:
    """Accuracy on a split for each (batch size, epoch) of one student or teacher, a column for each teacher seed."""
    return search.pivot_table(index=PAIR, columns="seed", values=f"{split}_accuracy")


def _accuracy_by_seed(tables: Tables, student: str) -> DataFrame:
    return accuracy_by_seed(at(tables["sweet_spot"]["map"], student=student))


def _mean_correlation(table: DataFrame, column: str) -> Statistic:
    """Rank correlation of a column and the entropy at each temperature, averaged over temperatures, of one teacher."""

    def pairs(rows: DataFrame) -> list:
        wide = rows.pivot_table(index=column, columns="temperature", values="entropy").dropna()
        return [[(wide.index.to_series(), wide[temperature]) for temperature in wide]]

    return rank_correlations(table, pairs)

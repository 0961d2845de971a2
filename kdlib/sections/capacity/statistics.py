"""Statistics of the notebook `capacity`: of the paper's claims on capacity, and of what goes with it."""

from dataclasses import replace

import numpy as np
from pandas import DataFrame, Series

from ...claims.registry import Statistic, Tables, of_teachers, statistic
from ...claims.rows import (
    at,
    difference,
    each_seed,
    half_minus,
    paired,
    rank_correlations,
    ratio,
    two,
)
from ..example_efficiency.statistics import examples_ratios
from ..sweet_spot.statistics import gain_at_the_best_pair
from .experiment import WIDTHS

LEARNED = 5  # points of validation accuracy by which a changed teacher may lie behind and still has learned


@statistic
@of_teachers
def correlation_of_width_with_entropy(tables: Tables) -> Statistic:
    """Rank correlation over teachers of other widths of the number of parameters and the entropy at T = 9."""
    return _correlation_with_parameters(tables, "entropy")


@statistic
def correlation_of_width_with_corrected_missing_class_accuracy(tables: Tables) -> Statistic:
    """Rank correlation over teachers of other widths of parameters and bias-corrected missing-class accuracy."""
    return _correlation_with_parameters(tables, "corrected")


def _correlation_with_parameters(tables: Tables, column: str) -> Statistic:
    rows = tables["capacity"]["teachers"]
    rows = rows[rows["teacher"].isin(WIDTHS)]
    return rank_correlations(rows, lambda own: [[paired(own["parameters"], own[column])]])


@statistic
def small_teachers_gain_at_its_own_pair(tables: Tables) -> Statistic:
    """Test accuracy of the small teacher's students, T = 9: at the pair of best validation accuracy minus default.

    The pair is chosen on the other seeds.
    """
    default = at(tables["capacity"]["teachers"], teacher="small").set_index("seed")["student_accuracy"]
    return gain_at_the_best_pair(tables["capacity"]["search"], default)


@statistic
def examples_ratio_of_shuffled_responses(tables: Tables) -> Statistic:
    """Examples ratio of the curve of shuffled responses to that of the small teacher's responses, equal steps."""
    return _examples_ratio(tables, "shuffled")


@statistic
def examples_ratio_of_label_smoothing(tables: Tables) -> Statistic:
    """Examples ratio of the curve of label smoothing of equal confidence to that of the small teacher's responses."""
    return _examples_ratio(tables, "smoothed")


def _examples_ratio(tables: Tables, targets: str) -> Statistic:
    def curve(rows: DataFrame, of: str) -> Series:
        return at(rows, targets=of).groupby("examples_per_class")["validation_accuracy"].mean()

    rows = tables["capacity"]["examples"]
    return examples_ratios({s: (curve(own, targets), curve(own, "responses")) for s, own in rows.groupby("seed")})


@statistic
def half_the_gap_minus_gap_without_the_large_teachers_regularisation(tables: Tables) -> Statistic:
    """Half of the raw gap at T = 9, minus the gap to the large teacher without its dropout (CIFAR-10: batch norm)."""
    return _half_minus_gap(tables, ("small", "large_teacher_plain"), ("large_teacher_plain", "large"))


@statistic
def half_the_gap_minus_gap_with_regularisation_of_the_small_teacher(tables: Tables) -> Statistic:
    """Half of the raw gap at T = 9, minus the gap of the small teacher with the large one's dropout or batch norm."""
    return _half_minus_gap(tables, ("small_teacher_regularized", "large"), ("small_teacher_regularized", "small"))


@statistic
def half_the_gap_minus_gap_to_the_large_teacher_stopped_early(tables: Tables) -> Statistic:
    """Half of the raw gap at T = 9, minus the gap to the large teacher after half of its epochs."""
    return _half_minus_gap(tables, ("small", "large_early"))


def _half_minus_gap(tables: Tables, pair: tuple[str, str], changed: tuple[str, str] | None = None) -> Statistic:
    """Half of the raw gap minus that of another pair.

    nan where a `changed` teacher, given with the one that it was, lies more than `LEARNED` behind that.
    """

    def gaps(rows: DataFrame) -> tuple[float, float]:
        rows = rows.set_index("teacher").reindex(["small", "large", *{*pair} - {"small", "large"}])
        raw = rows["raw"]
        if changed:
            now, before = rows["validation_accuracy"].loc[list(changed)]
            if not now >= before - LEARNED:
                return raw["small"] - raw["large"], np.nan
        return raw["small"] - raw["large"], raw[pair[0]] - raw[pair[1]]

    return half_minus(tables["capacity"]["teachers"], gaps)


@statistic
def scatter_ratio_at_initialisation_over_half_of_the_trained_one(tables: Tables) -> Statistic:
    """NC1 of the small network over the large one's: before training, over the square root of that after it.

    The ratio after training is to be explained.
    """

    def ratios(rows: DataFrame) -> tuple[float, ...]:
        rows = rows.set_index("teacher").reindex(["small", "large"])
        return tuple(ratio(*rows[name]) for name in ("nc1_initial", "nc1"))

    found = two(tables["capacity"]["teachers"], ratios)
    return Statistic(found["a"] / found["b"] ** 0.5, to_explain=found["b"])


@statistic
def loss_from_a_smoothed_teacher_of_more_entropy(tables: Tables) -> Statistic:
    """Bias-corrected missing-class accuracy: large teacher minus the same trained on smoothed labels.

    That these give it more entropy is what there is to look at.
    """
    rows = tables["capacity"]["teachers"]
    loss, entropy = (
        each_seed(rows, lambda own, c=column: difference(own, c, "large", "large_smoothed"))
        for column in ("corrected", "entropy")
    )
    return replace(loss, to_explain=-entropy.values)

"""Statistics of the notebook `rival_explanations`: of the paper's claims, and of the controls (controls.yml)."""

from dataclasses import replace

import numpy as np
from pandas import DataFrame, Series

from ...claims.registry import Statistic, Tables, statistic
from ...claims.rows import (
    NOTHING,
    PAIR,
    TEACHERS,
    above_midpoint,
    at,
    difference,
    each_seed,
    geometric_mean,
    half_minus,
    joined,
    minus,
    paired,
    rank_correlations,
    ratio,
    two,
)
from ...training.choices import TEMPERATURE
from ..sweet_spot.statistics import gain_at_the_best_pair, general_student_gain

LEARNED_AS_MUCH = 1  # points of validation accuracy that a teacher may lie from another and count as equal
EQUALLY_SURE = 0.1  # nats by which the mean entropies of two teachers may differ and count as equal


@statistic
def loss_from_shuffling_similarity_at_equal_entropy(tables: Tables) -> Statistic:
    """Bias-corrected missing-class accuracy of the small teacher's students: its responses minus shuffled ones."""
    return _change(tables, "corrected", "small", of="responses", subtracted="shuffled")


@statistic
def missing_class_loss_from_shuffling(tables: Tables) -> Statistic:
    """Raw missing-class accuracy of the small teacher's students: its responses minus shuffled ones."""
    loss = _change(tables, "raw", "small", of="responses", subtracted="shuffled")
    return loss.noted("{:.1f}% against {:.1f}%".format(*loss.terms)) if loss.terms else loss


@statistic
def missing_class_accuracy_of_hard_label_student(tables: Tables) -> Statistic:
    """Raw missing-class accuracy of students of hard labels alone, mean over missing classes."""
    cells = at(_cells(tables), control="hard")
    return each_seed(cells, lambda rows: rows["raw"].mean())


@statistic
def missing_class_accuracy_of_label_smoothing_student(tables: Tables) -> Statistic:
    """Raw missing-class accuracy of students of label smoothing, mean over missing classes; small one's confidence."""
    cells = at(_cells(tables), control="smoothed", teacher="small")
    return each_seed(cells, lambda rows: rows["raw"].mean())


@statistic
def corrected_accuracy_of_label_smoothing_student_above_shuffled(tables: Tables) -> Statistic:
    """Bias-corrected missing-class accuracy, small teacher: label smoothing minus similarity shuffled."""
    return _change(tables, "corrected", "small", of="smoothed", subtracted="shuffled")


@statistic
def responses_gain_over_hard_labels_large(tables: Tables) -> Statistic:
    """Test accuracy with all examples: students of the large teacher minus those of hard labels alone."""

    def terms(rows: DataFrame) -> tuple[float, float]:
        return _accuracy(rows, "large", "responses"), _accuracy(rows, "small", "hard")

    return minus(_full(tables), terms)


@statistic
def general_student_without_teacher_minus_half_of_the_gain(tables: Tables) -> Statistic:
    """Test accuracy of the general student, all examples, T = 9: hard labels alone minus the midpoint of two teachers.

    These are the large one by default and at its sweet spot; the gain that this brings is to be explained.
    """
    return _minus_half_of_the_gain(tables, "hard")


@statistic
def general_student_of_uniform_labels_minus_half_of_the_gain(tables: Tables) -> Statistic:
    """Test accuracy of the general student, all examples, T = 9: uniform soft labels minus two teachers' midpoint.

    These are the large one by default and at its sweet spot; the gain that this brings is to be explained.
    """
    return _minus_half_of_the_gain(tables, "uniform")


def _minus_half_of_the_gain(tables: Tables, control: str) -> Statistic:
    gain = general_student_gain(tables)
    accuracies = at(_full(tables), control=control).groupby("seed")["accuracy"].mean().rename("control")
    table = gain.percents.join(accuracies, how="inner").rename_axis("seed").reset_index()
    found = above_midpoint(table, lambda rows: tuple(rows[["control", "a", "b"]].iloc[0]))
    return replace(found, candidates=gain.candidates)


@statistic
def shortfall_of_random_examples(tables: Tables) -> Statistic:
    """Validation accuracy at the most examples minus that at 10 random ones of each class, small, equal steps."""
    return _shortfall_of_random_examples(tables, 10)


@statistic
def shortfall_of_a_hundred_random_examples(tables: Tables) -> Statistic:
    """Validation accuracy at the most examples minus that at 100 random ones of each class, small, equal steps."""
    return _shortfall_of_random_examples(tables, 100)


def _shortfall_of_random_examples(tables: Tables, number: int) -> Statistic:
    rows = at(tables["rival_explanations"]["selection"], selection="random", teacher="small")
    most = rows["examples_per_class"].max()
    if most <= number:  # it would be held against itself
        return NOTHING

    def terms(rows: DataFrame) -> tuple[float, ...]:
        return tuple(at(rows, examples_per_class=n)["validation_accuracy"].mean() for n in (most, number))

    return minus(rows, terms)


@statistic
def shuffled_student_minus_label_smoothing_student(tables: Tables) -> Statistic:
    """Test accuracy: similarity shuffled minus label smoothing of equal confidence, small teacher."""

    return minus(_full(tables), lambda rows: tuple(_accuracy(rows, "small", c) for c in ("shuffled", "smoothed")))


@statistic
def regularization_part_minus_distillation_part(tables: Tables) -> Statistic:
    """(Label smoothing minus hard labels) minus (responses minus label smoothing), large teacher's confidence."""

    def value(rows: DataFrame) -> float:
        smoothed, responses = (_accuracy(rows, "large", control) for control in ("smoothed", "responses"))
        hard = _accuracy(rows, "small", "hard")
        return (smoothed - hard) - (responses - smoothed)

    return each_seed(_full(tables), value)


@statistic
def student_accuracy_difference_at_matched_teachers(tables: Tables) -> Statistic:
    """Test accuracy of the student, small minus large teacher, each at the epoch at which the two are equally accurate.

    nan where no kept epochs at the lower of their highest accuracies are.
    """
    rows = _epochs(tables)
    gap = each_seed(rows, lambda rows: _at_equal_accuracy(rows, "student_accuracy"))
    return gap.noted(_accuracies_matched(rows))


@statistic
def student_accuracy_difference_at_the_last_epoch(tables: Tables) -> Statistic:
    """Test accuracy of the student, small minus large teacher, after the last epoch of both."""
    return each_seed(_epochs(tables), lambda rows: _last_gap(rows, "student_accuracy"))


@statistic
def correlation_of_nc1_with_missing_class_accuracy(tables: Tables) -> Statistic:
    """Rank correlation over a seed's (teacher, setting) pairs of nc1 and the students' raw missing-class accuracy."""
    return _correlation_with_nc1(tables, "raw")


@statistic
def correlation_of_nc1_with_corrected_missing_class_accuracy(tables: Tables) -> Statistic:
    """Rank correlation over a seed's (teacher, setting) pairs of nc1 and bias-corrected missing-class accuracy."""
    return _correlation_with_nc1(tables, "corrected")


def _correlation_with_nc1(tables: Tables, column: str) -> Statistic:
    def pairs(rows: DataFrame) -> list:
        means = rows.groupby(["teacher", "setting"])[["nc1", column]].mean()
        return [[paired(means["nc1"], means[column])]]

    return rank_correlations(tables["rival_explanations"]["settings"], pairs)


@statistic
def assistant_student_minus_direct_student(tables: Tables) -> Statistic:
    """Test accuracy of the student taught through an assistant minus that of the large teacher's own student."""
    table = tables["rival_explanations"]["assistants"]
    return minus(table, lambda rows: (rows["accuracy"].mean(), rows["direct_accuracy"].mean()))


@statistic
def assistant_compute_ratio(tables: Tables) -> Statistic:
    """Operations of all training steps through an assistant over those of distilling directly."""
    table = tables["rival_explanations"]["assistants"]
    return each_seed(table, lambda rows: (rows["operations"] / rows["direct_operations"]).mean())


@statistic
def sweet_spot_student_minus_assistant_student(tables: Tables) -> Statistic:
    """Test accuracy: at the pair found within the computation that an assistant takes, minus through the assistant.

    The search takes batch sizes in growing order, one run each, and distils a student after every kept epoch. Of the
    pairs that it has seen, the best by validation accuracy on the other seeds is taken.
    """
    table = tables["rival_explanations"]["assistants"]
    search = at(tables["sweet_spot"]["map"], student="general")
    if table.empty or search.empty:
        return NOTHING
    cost = table.iloc[0]
    pairs = search.groupby(PAIR)["validation_accuracy"].mean().sort_index()
    epochs = pairs.index.get_level_values("epoch").to_series(index=pairs.index)
    further = epochs - epochs.groupby("batch_size").shift(fill_value=0)
    spent = (further * cost["teacher_epoch_operations"] + cost["student_operations"]).cumsum()
    seen = pairs[spent <= cost["operations"]]
    if seen.empty:
        return NOTHING
    within = search.set_index(PAIR).loc[seen.index].reset_index()
    return gain_at_the_best_pair(within, table.set_index("seed")["accuracy"])


@statistic
def fall_with_temperature_that_t_squared_prevents(tables: Tables) -> Statistic:
    """Raw accuracy at the lowest minus that at the highest temperature: under equation 4 minus with T squared, small.

    The fall under equation 4 is to be explained.
    """
    cells = at(tables["rival_explanations"]["cells"], teacher="small")
    low, high = cells["temperature"].min(), cells["temperature"].max()
    if low == high:
        return NOTHING

    def fall(rows: DataFrame, control: str) -> float:
        rows = at(rows, control=control)
        return at(rows, temperature=low)["raw"].mean() - at(rows, temperature=high)["raw"].mean()

    falls = two(cells, lambda rows: (fall(rows, "responses"), fall(rows, "t_squared")))
    return replace(joined(falls, falls["a"] - falls["b"]), to_explain=falls["a"])


@statistic
def half_the_gap_minus_gap_after_bias_correction(tables: Tables) -> Statistic:
    """Half of the raw gap small minus large, minus the gap after the bias correction."""
    cells = at(tables["rival_explanations"]["cells"], control="responses")
    return half_minus(cells, lambda rows: tuple(difference(rows, c, "small", "large") for c in ("raw", "corrected")))


@statistic
def half_the_gap_minus_gap_at_equal_accuracy(tables: Tables) -> Statistic:
    """Half of the raw gap at the last epoch, minus the gap between epochs at which the teachers are equally accurate.

    nan where no kept epochs at the lower of their highest accuracies are.
    """
    rows = _epochs(tables)
    found = half_minus(rows, lambda rows: (_last_gap(rows, "raw"), _at_equal_accuracy(rows, "raw")))
    return found.noted(_accuracies_matched(rows))


@statistic
def half_the_gap_minus_gap_at_equal_entropy(tables: Tables) -> Statistic:
    """Half of the raw gap at the last epoch, minus the gap to the large teacher where its entropy is the small one's.

    That is the large teacher's epoch before its last whose entropy is nearest to the small one's at its last; nan where
    the two entropies differ by more than `EQUALLY_SURE`.
    """

    apart = []

    def gaps(rows: DataFrame) -> tuple[float, float]:
        small, large = (at(rows, teacher=t) for t in TEACHERS)
        last = small.loc[small["epoch"].idxmax()]
        earlier = large[large["epoch"] < large["epoch"].max()]
        away = (earlier["entropy"] - last["entropy"]).abs()
        distance = away.min()
        if not distance <= EQUALLY_SURE:
            return _last_gap(rows, "raw"), np.nan
        stopped = earlier.loc[away.idxmin()]
        apart.append(distance)
        return _last_gap(rows, "raw"), last["raw"] - stopped["raw"]

    found = half_minus(_epochs(tables), gaps)
    return found.noted(f"the two entropies differ by up to {max(apart, default=np.nan):.2f} nats")


@statistic
def half_the_rise_minus_rise_at_a_larger_learning_rate(tables: Tables) -> Statistic:
    """Half of the entropy's rise from the first to the second batch size, minus the rise with a larger learning rate.

    After the last epoch. nan where the teacher of that rate learned less, by more than a point of validation accuracy.
    """
    table = tables["rival_explanations"]["updates"]
    sizes = sorted(table["batch_size"].unique())
    if len(sizes) < 2:
        return NOTHING
    rates = sorted(table["learning_rate"].unique())
    last = at(table, epoch=table["epoch"].max())

    def accuracy(rows: DataFrame, rate: float) -> float:
        return at(rows, batch_size=sizes[1], learning_rate=rate)["validation_accuracy"].mean()

    def rises(rows: DataFrame) -> tuple[float, float]:
        first, second, scaled = (
            at(rows, batch_size=size, learning_rate=rate)["entropy"].mean()
            for size, rate in ((sizes[0], rates[0]), (sizes[1], rates[0]), (sizes[1], rates[-1]))
        )
        learned = accuracy(rows, rates[-1]) >= accuracy(rows, rates[0]) - LEARNED_AS_MUCH
        return second - first, scaled - first if learned else np.nan

    found = half_minus(last, rises)
    plain, scaled = (accuracy(last, rate) for rate in (rates[0], rates[-1]))
    return found.noted(f"validation accuracy of that teacher {plain:.1f}%, with the learning rate scaled {scaled:.1f}%")


@statistic
def random_minus_entropy_selection(tables: Tables) -> Statistic:
    """Validation accuracy at equal steps, examples chosen at random minus by entropy, mean over sizes and teachers."""
    table = tables["rival_explanations"]["selection"]
    table = table[table["teacher"] != "none"]

    return minus(
        table,
        lambda rows: tuple(at(rows, selection=s)["validation_accuracy"].mean() for s in ("random", "entropy")),
    )


@statistic
def half_the_lead_by_entropy_minus_lead_at_random(tables: Tables) -> Statistic:
    """Half of the lead of the small teacher's student at equal steps, by entropy, minus its lead with random examples.

    Mean over sizes.
    """

    def leads(rows: DataFrame) -> tuple[float, ...]:
        chosen = (at(rows, selection=s) for s in ("entropy", "random"))
        return tuple(difference(part, "validation_accuracy", "small", "large") for part in chosen)

    return half_minus(tables["rival_explanations"]["selection"], leads)


@statistic
def labels_alone_minus_taught_by_few_examples(tables: Tables) -> Statistic:
    """Validation accuracy at equal steps, random examples: labels alone minus taught, mean over sizes and teachers."""
    table = at(tables["rival_explanations"]["selection"], selection="random")

    def accuracies(rows: DataFrame) -> tuple[float, float]:
        alone = rows["teacher"] == "none"
        return rows[alone]["validation_accuracy"].mean(), rows[~alone]["validation_accuracy"].mean()

    return minus(table, accuracies)


@statistic
def class_mean_students_minus_half_of_the_responses(tables: Tables) -> Statistic:
    """Raw missing-class accuracy of students of class-mean soft labels minus half of that of the responses, small."""

    accuracies = two(_cells(tables), lambda rows: tuple(_raw(rows, "small", c) for c in ("class_mean", "responses")))
    return joined(accuracies, accuracies["a"] - accuracies["b"] / 2)


@statistic
def class_mean_students_minus_midpoint_after_bias_correction(tables: Tables) -> Statistic:
    """Corrected accuracy of students of class-mean soft labels minus the mean of responses' and shuffled ones', small.

    What the responses give beyond shuffled ones is to be explained.
    """

    def values(rows: DataFrame) -> tuple[float, ...]:
        controls = ("class_mean", "responses", "shuffled")
        return tuple(at(rows, control=control)["corrected"].mean() for control in controls)

    return above_midpoint(at(_cells(tables), teacher="small"), values)


@statistic
def half_the_gap_minus_gap_at_equal_confidence(tables: Tables) -> Statistic:
    """Half of the raw gap at T = 9, minus the gap to the large teacher scaled to the small one's confidence."""

    def gaps(rows: DataFrame) -> tuple[float, ...]:
        small = _raw(rows, "small", "responses")
        return tuple(small - _raw(rows, "large", control) for control in ("responses", "equal_confidence"))

    return half_minus(_cells(tables), gaps)


@statistic
def hard_over_soft_gradient_at_the_highest_temperature(tables: Tables) -> Statistic:
    """Hard-label gradient over soft-label gradient along a student's training, small teacher, highest temperature.

    Geometric mean over the steps that were looked at. Only the highest of several temperatures says anything of a fall.
    """
    table = at(tables["rival_explanations"]["gradients"], teacher="small")
    if table["temperature"].nunique() < 2:
        return NOTHING
    highest = at(table, temperature=table["temperature"].max())

    def over(rows: DataFrame) -> float:
        return geometric_mean(ratio(row.hard, row.soft) for row in rows.itertuples())

    return each_seed(highest, over)


@statistic
def label_smoothing_students_minus_half_of_the_gain(tables: Tables) -> Statistic:
    """Test accuracy, small teacher: label smoothing of equal confidence minus the midpoint of responses and hard.

    What the responses add to hard labels is to be explained.
    """
    controls = ("smoothed", "responses", "hard")
    return above_midpoint(_full(tables), lambda rows: tuple(_accuracy(rows, "small", c) for c in controls))


def _cells(tables: Tables) -> DataFrame:
    return at(tables["rival_explanations"]["cells"], temperature=TEMPERATURE)


def _full(tables: Tables) -> DataFrame:
    return at(tables["rival_explanations"]["full"], temperature=TEMPERATURE)


def _epochs(tables: Tables) -> DataFrame:
    """The rows of seeds that have both teachers."""
    rows = tables["rival_explanations"]["epochs"]
    return rows[rows.groupby("seed")["teacher"].transform("nunique") == len(TEACHERS)]


def _raw(rows: DataFrame, teacher: str, control: str) -> float:
    return at(rows, teacher=teacher, control=control)["raw"].mean()


def _accuracy(rows: DataFrame, teacher: str, control: str) -> float:
    return at(rows, teacher=teacher, control=control)["accuracy"].mean()


def _change(tables: Tables, column: str, teacher: str, of: str, subtracted: str) -> Statistic:
    cells = at(_cells(tables), teacher=teacher)
    return minus(cells, lambda rows: tuple(at(rows, control=control)[column].mean() for control in (of, subtracted)))


def _last_gap(rows: DataFrame, column: str) -> float:
    """A student's accuracy after the last epoch of its teacher, small minus large."""
    return difference(at(rows, epoch=rows["epoch"].max()), column, "small", "large")


def _at_equal_accuracy(rows: DataFrame, column: str) -> float:
    """Small minus large, of teachers of equal accuracy; nan where the nearest are not."""
    pair = _of_equal_accuracy(rows)
    return pair[0][column] - pair[1][column] if pair else np.nan


def _of_equal_accuracy(rows: DataFrame) -> list[Series]:
    """Each teacher's row at the kept epoch whose accuracy is nearest to the lower of the two highest ones.

    Empty where the two accuracies are then more than `LEARNED_AS_MUCH` apart.
    """
    teachers = [at(rows, teacher=t).sort_values("epoch") for t in TEACHERS]
    level = min(t["validation_accuracy"].max() for t in teachers)
    small, large = (t.loc[(t["validation_accuracy"] - level).abs().idxmin()] for t in teachers)
    apart = abs(small["validation_accuracy"] - large["validation_accuracy"])
    return [small, large] if apart <= LEARNED_AS_MUCH else []


def _accuracies_matched(rows: DataFrame) -> str:
    """How equal the teachers of equal accuracy are, where only some epochs are kept."""
    found = [_of_equal_accuracy(part) for _, part in rows.groupby("seed")]
    pairs = [[teacher["validation_accuracy"] for teacher in pair] for pair in found if pair]
    if not pairs:
        return ""
    small, large = np.mean(pairs, axis=0)
    farthest = max(abs(a - b) for a, b in pairs)
    return (
        f"the teachers' validation accuracies are then {small:.1f}% (small) and {large:.1f}% (large), "
        f"at most {farthest:.1f} points apart"
    )

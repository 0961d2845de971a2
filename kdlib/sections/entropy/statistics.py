"""Statistics of the notebook `entropy` (paper, sections 2 to 4.1)."""

import numpy as np
import torch
from pandas import DataFrame, Series

from ...claims.registry import Statistic, Tables, statistic
from ...claims.rows import (
    SIX_TEMPERATURES,
    TEACHERS,
    at,
    difference,
    each_seed,
    each_thing,
    geometric_mean,
    last_epoch,
    lead,
    ratio,
    single,
    six,
    slope,
    teacher_ratio,
)
from ...data.paper import paper_table
from ...training.losses import kd_loss, label_smoothing_labels, label_smoothing_loss
from ...training.models import build_model, count_parameters


@statistic
def confidence_slope_in_temperature(tables: Tables) -> Statistic:
    """Slope of the mean confidence on T, last epoch, training split, mean of the two teachers."""
    return each_seed(
        tables["entropy"]["entropy"],
        lambda rows: np.mean([slope(_against_temperature(rows, teacher)["confidence"]) for teacher in TEACHERS]),
    )


@statistic
def share_of_incorrect_classes_raised(tables: Tables) -> Statistic:
    """Share of (example, incorrect class) raised by a step up in T between 3 and 20, mean of the two teachers."""

    def value(rows: DataFrame) -> float:
        steps = rows[(rows["temperature"] > SIX_TEMPERATURES[0]) & (rows["temperature"] <= SIX_TEMPERATURES[-1])]
        return np.mean([at(steps, teacher=teacher)["others_raised"].mean() for teacher in TEACHERS])

    return each_seed(tables["entropy"]["position"], value)


@statistic
def largest_difference_from_table_1(tables: Tables) -> Statistic:
    """Largest difference of equation 1 (alpha 0.6, ten classes, class 6) from Table 1. Needs no table of a run."""
    printed = paper_table(1).sort_values("class")["soft_label"].to_numpy()
    labels = label_smoothing_labels(torch.tensor(6), 10, 0.6).numpy()
    return single(np.abs(labels - printed).max())


@statistic
def largest_gradient_difference_at_T_1(tables: Tables) -> Statistic:
    """Largest difference between the gradients of equations 3 and 4 at T = 1. Needs no table of a run."""
    return single(gradient_difference(temperature=1))


def gradient_difference(temperature: float) -> float:
    """Largest absolute difference between the gradients of equation 3 and of equation 4 with a uniform teacher.

    With respect to the student's logits of one example, alpha 0.6 in both, over 64 fixed random examples of 10 classes.
    """
    logits = torch.randn(64, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.arange(64) % 10
    smoothing = label_smoothing_loss(logits, labels, alpha=0.6)
    distillation = kd_loss(logits, torch.zeros_like(logits), labels, temperature=temperature, alpha=0.6)
    # Both losses are means over the examples: times their number gives each example its own gradient.
    (gradient,) = torch.autograd.grad(len(logits) * (smoothing - distillation), logits)
    return gradient.abs().max().item()


@statistic
def mean_confidence_on_sixes_small(tables: Tables) -> Statistic:
    """The small teacher's mean confidence on the test examples of class 6 at T = 9."""
    return each_seed(tables["entropy"]["shown"], lambda rows: at(rows, teacher="small")["mean"].mean())


@statistic
def mean_confidence_on_sixes_large(tables: Tables) -> Statistic:
    """The large teacher's mean confidence on the test examples of class 6 at T = 9."""
    return each_seed(tables["entropy"]["shown"], lambda rows: at(rows, teacher="large")["mean"].mean())


@statistic
def confidence_difference_on_sixes(tables: Tables) -> Statistic:
    """Mean confidence on the test examples of class 6 at T = 9, large teacher minus small."""
    return each_seed(tables["entropy"]["shown"], lambda rows: difference(rows, "mean", "large", "small"))


@statistic
def spread_of_labels_between_examples(tables: Tables) -> Statistic:
    """Spread over examples of a class at T = 9, of confidence (range, class 6) and of similarity labels."""
    shown = tables["entropy"]["shown"]
    variance = at(tables["entropy"]["variance"], temperature=9)
    spread = {
        "confidence": shown.assign(spread=shown["high"] - shown["low"]),
        "similarity labels": variance.assign(spread=np.sqrt(variance["column_variance"])),
    }
    columns = {
        f"{teacher}, {name}": at(rows, teacher=teacher).groupby("seed")["spread"].mean()
        for name, rows in spread.items()
        for teacher in TEACHERS
    }
    return Statistic(DataFrame(columns).rename_axis(columns="teacher and labels"))


@statistic
def row_variance_ratio(tables: Tables) -> Statistic:
    """Row-wise variance in response at T = 9, small over large."""
    return _variance_ratio(tables, "row_variance")


@statistic
def column_variance_ratio(tables: Tables) -> Statistic:
    """Column-wise variance in response at T = 9, small over large."""
    return _variance_ratio(tables, "column_variance")


@statistic
def relative_row_variance_ratio(tables: Tables) -> Statistic:
    """Row-wise spread relative to the mean similarity label at T = 9, small over large."""
    return _variance_ratio(tables, "row_relative")


@statistic
def relative_column_variance_ratio(tables: Tables) -> Statistic:
    """Column-wise spread relative to the mean similarity label at T = 9, small over large."""
    return _variance_ratio(tables, "column_relative")


@statistic
def printed_row_variance_difference(tables: Tables) -> Statistic:
    """Mean variance of an example's similarity labels, Table 2 minus Table 3. Needs no table of a run."""
    return single(_printed_variance(2, "example") - _printed_variance(3, "example"))


@statistic
def printed_column_variance_difference(tables: Tables) -> Statistic:
    """Mean variance of a class's similarity label over examples, Table 2 minus 3. Needs no table of a run."""
    return single(_printed_variance(2, "class") - _printed_variance(3, "class"))


@statistic
def departure_from_a_line_in_temperature(tables: Tables) -> Statistic:
    """Largest residual of the line of non-target mass on T, as a share of the mass's range, mean of the teachers."""
    return each_seed(
        tables["entropy"]["entropy"],
        lambda rows: np.mean(
            [departure_from_a_line(1 - _against_temperature(rows, teacher)["confidence"]) for teacher in TEACHERS]
        ),
    )


def departure_from_a_line(values: Series) -> float:
    """Largest absolute residual of the least-squares line of values on their index, divided by the values' range."""
    extent = values.max() - values.min()
    if not extent > 0:
        return np.nan
    x = values.index.to_numpy(dtype=float)
    residuals = values - values.mean() - slope(values) * (x - x.mean())
    return float(residuals.abs().max() / extent)


@statistic
def label_smoothing_distance_ratio(tables: Tables) -> Statistic:
    """Distance to label smoothing, small over large, geometric mean over the six temperatures."""

    def value(rows: DataFrame) -> float:
        distance = six(rows).pivot_table(index="temperature", columns="teacher", values="distance_to_label_smoothing")
        return geometric_mean(ratio(*pair) for pair in distance.reindex(columns=TEACHERS).to_numpy())

    return each_seed(tables["entropy"]["position"], value)


@statistic
def label_smoothing_distance_ratio_at_equal_confidence(tables: Tables) -> Statistic:
    """Ratio of the distances to label smoothing at equal confidence, over all temperatures; nan if none overlap."""

    def value(rows: DataFrame) -> float:
        rows = rows[rows["distance_to_label_smoothing"] > 0]
        small, large = (at(rows, teacher=teacher).sort_values("confidence") for teacher in TEACHERS)
        if large.empty:
            return np.nan
        logarithms = np.log(large["distance_to_label_smoothing"])
        matched = np.interp(small["confidence"], large["confidence"], logarithms, left=np.nan, right=np.nan)
        return geometric_mean(small["distance_to_label_smoothing"] / np.exp(matched))

    return each_seed(tables["entropy"]["position"], value)


@statistic
def entropy_differences_over_temperatures(tables: Tables) -> Statistic:
    """Mean training entropy of the small teacher minus the large one's, at each of the six temperatures.

    The note says how far each teacher has learned.
    """
    table = tables["entropy"]["entropy"]
    by_seed = {seed: _lead(rows, "entropy", "small", "large") for seed, rows in table.groupby("seed")}
    last = last_epoch(tables["entropy"]["teachers"])
    small, large = (at(last, teacher=teacher)["train_accuracy"].mean() for teacher in TEACHERS)
    return each_thing(by_seed, "temperature").noted(
        f"accuracy on the training examples: small {small:.3g}%, large {large:.3g}%"
    )


@statistic
def entropy_lead_of_the_small_teacher(tables: Tables) -> Statistic:
    """Mean training entropy at T = 9, small teacher minus large."""
    return each_seed(tables["entropy"]["entropy"], lambda rows: _lead(rows, "entropy", "small", "large").get(9, np.nan))


@statistic
def confidence_lead_of_the_large_teacher(tables: Tables) -> Statistic:
    """Mean confidence on the training examples at T = 9, large teacher minus small."""
    table = tables["entropy"]["entropy"]
    return each_seed(table, lambda rows: _lead(rows, "confidence", "large", "small").get(9, np.nan))


@statistic
def mean_confidence_lead_of_the_large_teacher(tables: Tables) -> Statistic:
    """Mean confidence on the training examples, large teacher minus small, mean over the six temperatures."""
    return each_seed(tables["entropy"]["entropy"], lambda rows: _lead(rows, "confidence", "large", "small").mean())


def _lead(rows: DataFrame, column: str, of: str, minus: str) -> Series:
    """One teacher's minus another's at each of the six temperatures."""
    return _against_temperature(rows, of)[column] - _against_temperature(rows, minus)[column]


@statistic
def teacher_test_accuracy_difference(tables: Tables) -> Statistic:
    """Test accuracy after the last epoch, large teacher minus small."""
    return lead(last_epoch(tables["entropy"]["teachers"]), "test_accuracy", "large", "small")


@statistic
def networks_with_the_printed_count(tables: Tables) -> Statistic:
    """Number of networks that have exactly the count that Table 7 prints. Needs no table of a run."""
    printed = at(paper_table(7), dataset=tables.dataset).dropna(subset="parameters")
    with torch.device("meta"):  # shapes alone
        models = [build_model(role, family=tables.dataset) for role in printed["role"]]
    equal = [count_parameters(model) == count for model, count in zip(models, printed["parameters"], strict=True)]
    return single(sum(equal))


def _against_temperature(rows: DataFrame, teacher: str) -> DataFrame:
    """Entropy and confidence of a seed's teacher, last epoch, training split, indexed by the six temperatures."""
    rows = at(six(last_epoch(rows)), split="train", teacher=teacher)
    return rows.groupby("temperature")[["entropy", "confidence"]].mean()


def _variance_ratio(tables: Tables, column: str) -> Statistic:
    return each_seed(tables["entropy"]["variance"], lambda rows: teacher_ratio(at(rows, temperature=9), column))


def _printed_variance(number: int, along: str) -> float:
    """Population variance of the similarity labels of a table's sixes within each `along`, averaged."""
    table = paper_table(number)
    return float(table[table["class"] != 6].groupby(along)["soft_label"].var(ddof=0).mean())

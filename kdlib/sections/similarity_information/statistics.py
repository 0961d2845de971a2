"""Statistics of the notebook `similarity_information` (paper, sections 4.1 and 4.3, seen from outside)."""

from collections.abc import Callable

from pandas import DataFrame, Series

from ...claims.registry import Statistic, Tables, statistic
from ...claims.rows import TEACHERS, at, difference, each_seed, last_epoch, six

ABSENT = "people's labels were not there"


@statistic
def smallest_lead_in_agreement_with_people(tables: Tables) -> Statistic:
    """Rank correlation with CIFAR-10H on its images, small teacher minus large, the smallest over six temperatures."""
    return _smallest_lead(tables, "cifar10h", "test").explained(ABSENT)


@statistic
def smallest_lead_in_agreement_with_people_on_training_images(tables: Tables) -> Statistic:
    """Rank correlation with CIFAR-10N on training images, small teacher minus large, the smallest over temperatures."""
    return _smallest_lead(tables, "cifar10n", "train").explained(ABSENT)


@statistic
def lead_in_temperature_free_agreement_with_people(tables: Tables) -> Statistic:
    """Rank correlation of mean non-target logits with CIFAR-10H on its images, small teacher minus large."""
    return _temperature_free_lead(tables, "cifar10h", "test").explained(ABSENT)


@statistic
def smallest_lead_in_information_on_single_images(tables: Tables) -> Statistic:
    """Agreement with people beyond class means on single images, small minus large, the smallest over temperatures."""
    rows = at(tables["similarity_information"]["images"], setting="default")
    return _smallest(rows, lambda part: at(part, yardstick="cifar10h"), "lead").explained(ABSENT)


@statistic
def smallest_lead_in_agreement_with_a_linear_classifier(tables: Tables) -> Statistic:
    """Rank correlation with a linear classifier, training images, small minus large, the smallest over temperatures."""
    return _smallest_lead(tables, "linear", "train")


@statistic
def lead_in_temperature_free_agreement_with_a_linear_classifier(tables: Tables) -> Statistic:
    """Rank correlation of mean non-target logits with a linear classifier, training images, small minus large."""
    return _temperature_free_lead(tables, "linear", "train")


def _last_epoch(tables: Tables, table: str) -> DataFrame:
    return last_epoch(at(tables["similarity_information"][table], setting="default"))


def _smallest_lead(tables: Tables, yardstick: str, split: str) -> Statistic:
    rows = _last_epoch(tables, "agreement")
    return _smallest(rows, lambda part: at(part, yardstick=yardstick, split=split), "spearman")


def _smallest(rows: DataFrame, chosen: Callable[[DataFrame], DataFrame], column: str) -> Statistic:
    """The small teacher's number minus the large one's, the smallest over the six temperatures, for each seed."""

    def lead(part: DataFrame) -> Series:
        by_teacher = six(chosen(part)).pivot_table(index="temperature", columns="teacher", values=column)
        small, large = (by_teacher.get(teacher, Series(dtype=float)) for teacher in TEACHERS)
        return (small - large).dropna()

    smallest, mean = each_seed(rows, lambda part: lead(part).min()), lead(rows)
    if mean.empty:
        return smallest
    return smallest.noted(
        f"the mean difference is above 0 at {(mean > 0).sum()} of {len(mean)} temperatures, largest at "
        f"T = {mean.idxmax():g} ({mean.max():.2g})"
    )


def _temperature_free_lead(tables: Tables, yardstick: str, split: str) -> Statistic:
    def lead(part: DataFrame) -> float:
        return difference(at(part, yardstick=yardstick, split=split), "spearman", "small", "large")

    return each_seed(_last_epoch(tables, "temperature_free"), lead)

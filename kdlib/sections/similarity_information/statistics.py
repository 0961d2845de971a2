"""Statistics of the notebook `similarity_information` (paper, sections 4.1 and 4.3, seen from outside)."""

from pandas import DataFrame

from ...claims.registry import Statistic, Tables, statistic
from ...claims.rows import at, difference, each_seed, last_epoch, lead_at_each, six

ABSENT = "people's labels were not there"


@statistic
def lead_in_agreement_with_people(tables: Tables) -> Statistic:
    """Rank correlation with CIFAR-10H on its images, small teacher minus large, at each of six temperatures."""
    return _leads(tables, "cifar10h", "test").explained(ABSENT)


@statistic
def lead_in_agreement_with_people_on_training_images(tables: Tables) -> Statistic:
    """Rank correlation with CIFAR-10N on training images, small teacher minus large, at each temperature."""
    return _leads(tables, "cifar10n", "train").explained(ABSENT)


@statistic
def lead_in_temperature_free_agreement_with_people(tables: Tables) -> Statistic:
    """Rank correlation of mean non-target logits with CIFAR-10H on its images, small teacher minus large."""
    return _temperature_free_lead(tables, "cifar10h", "test").explained(ABSENT)


@statistic
def lead_in_information_on_single_images(tables: Tables) -> Statistic:
    """Agreement with people beyond class means on single images, small minus large, at each temperature."""
    rows = at(tables["similarity_information"]["images"], setting="default", yardstick="cifar10h")
    return _at_each_temperature(rows, "lead").explained(ABSENT)


@statistic
def lead_in_most_information_on_single_images(tables: Tables) -> Statistic:
    """Agreement with people beyond class means on single images, small minus large, each at its own temperature.

    That is the one of a wide grid at which a teacher agrees most, so that how large its logits are does not matter.
    """
    rows = at(tables["similarity_information"]["fit"], setting="default", yardstick="cifar10h")
    lead = each_seed(rows, lambda part: difference(part, "most", "small", "large")).explained(ABSENT)
    temperatures = rows.groupby("teacher")["most_at"].mean()
    return lead.noted(", ".join(f"{name} teacher at T = {t:.2g}" for name, t in temperatures.items()))


@statistic
def lead_in_agreement_with_a_linear_classifier(tables: Tables) -> Statistic:
    """Rank correlation with a linear classifier, training images, small minus large, at each temperature."""
    return _leads(tables, "linear", "train")


@statistic
def lead_in_temperature_free_agreement_with_a_linear_classifier(tables: Tables) -> Statistic:
    """Rank correlation of mean non-target logits with a linear classifier, training images, small minus large."""
    return _temperature_free_lead(tables, "linear", "train")


def _last_epoch(tables: Tables, table: str) -> DataFrame:
    return last_epoch(at(tables["similarity_information"][table], setting="default"))


def _leads(tables: Tables, yardstick: str, split: str) -> Statistic:
    rows = _last_epoch(tables, "agreement")
    return _at_each_temperature(at(rows, yardstick=yardstick, split=split), "spearman")


def _at_each_temperature(rows: DataFrame, column: str) -> Statistic:
    """The small teacher's number minus the large one's at each of the six temperatures, for each seed."""
    return lead_at_each(six(rows), "temperature", column, "small", "large")


def _temperature_free_lead(tables: Tables, yardstick: str, split: str) -> Statistic:
    def lead(part: DataFrame) -> float:
        return difference(at(part, yardstick=yardstick, split=split), "spearman", "small", "large")

    return each_seed(_last_epoch(tables, "temperature_free"), lead)

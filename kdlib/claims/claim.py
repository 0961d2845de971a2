"""A claim of the paper, as its entry says it, and the rule that decides it, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

PAPER_DATASETS = ("mnist", "fashion_mnist", "cifar10")
BEYOND = "beyond"  # in place of the paper's section, of a claim that another source makes


OF_THE_DATA_SET = "of the data set"  # the family of the paper's own claims


@dataclass(frozen=True)
class Claim:
    """A claim of the paper: an entry of a section's claims.yml; RULES.md explains the fields."""

    id: str
    title: str
    section: str
    notebook: str
    sentence: str | None
    derived: bool
    datasets: list[str]
    value: float | dict[str, float] | None
    unit: str | None
    kind: str
    side: str | None
    null_value: float | None
    margin: float | None
    statistic: str
    definition: str
    reason: str | None
    also: Sequence[str] = ()
    premise: Mapping[str, Any] | None = None
    by_construction: str | None = None
    since: str | None = None
    replaces: str | None = None

    def applies_to(self, dataset: str) -> bool:
        """True if the claim is made for a data set; one that the paper does not have counts as `other`."""
        return (dataset if dataset in PAPER_DATASETS else "other") in self.datasets

    def paper_value(self, dataset: str) -> float | None:
        """The size that the paper gives for a data set, None where it gives none."""
        return self.value.get(dataset) if isinstance(self.value, Mapping) else self.value

    @property
    def own(self) -> bool:
        """True if it is the paper's own statement and does not hold by construction: those that are counted."""
        return not (self.derived or self.by_construction)

    @property
    def family(self) -> str | None:
        """Claims among which the p value of this one is adjusted, in words; None where it is not.

        The paper's own claims on a data set are one family; those of other sources, one for each section.
        """
        if self.own:
            return OF_THE_DATA_SET
        return f"of {self.notebook}" if self.section == BEYOND and not self.by_construction else None

    def bounds(self) -> tuple[float, float]:
        """Bounds between which the whole interval of an equivalence has to lie, or outside of which a difference."""
        if self.unit == "ratio":
            return 1 / (1 + self.margin), 1 + self.margin
        return self.null_value - self.margin, self.null_value + self.margin

    def forbids(self, size: float) -> bool:
        """True if a size lies on the side that a claim with a `side` excludes, as some of the paper's own do."""
        return (size > self.null_value) != (self.side == "greater")

    def as_premise(self) -> "Claim":
        """Claim of the kind `direction` that states the premise alone, to be judged like any other."""
        given = {name: self.premise[name] for name in ("statistic", "side", "null_value", "unit")}
        return replace(self, kind="direction", value=None, premise=None, **given)

    def rule(self, dataset: str) -> str:
        """The rule that decides the claim on a data set, in a sentence; empty for a claim that is not tested."""
        said = self._rule(dataset)
        return f"{said} Its premise: {self.premise['words']}." if self.premise and said else said

    def _rule(self, dataset: str) -> str:
        size = self.paper_value(dataset)
        where = {"greater": "above", "less": "below", None: ""}[self.side]
        match self.kind:
            case "direction":
                beside = f"if the whole interval lies {where} {self.null_value:g}"
                if self.unit == "rank correlation":
                    beside += " and so few other orders within the seeds would give as much (permutation test, 5%)"
                against = "contradicted if it lies wholly on the other side."
                if size is None and self.value is not None:
                    return f"Direction only {beside} (the paper gives no size for this data set); {against}"
                if size is None:
                    return f"Reproduced {beside}; {against}"
                if self.forbids(size):
                    return f"Reproduced {beside}, which the paper's own {size:.4g} does not; {against}"
                return f"Reproduced {beside} and the mean reaches {size:.4g} (else direction only); {against}"
            case "every":
                return (
                    f"Reproduced if every interval lies {where} {self.null_value:g}, all intervals holding together at "
                    "95% (Bonferroni); contradicted if one of them lies wholly on the other side."
                )
            case "equivalence" | "difference":
                low, high = self.bounds()
                between, outside = f"between {low:.4g} and {high:.4g}", "outside"
                if self.kind == "difference":
                    between, outside = f"outside of {low:.4g} to {high:.4g}", "inside"
                return f"Reproduced if the whole interval lies {between}; contradicted if it lies wholly {outside}."
            case "existence":
                return f"Reproduced if the number, which has no seeds, is above {self.null_value:g}; else contradicted."
            case "exact":
                return f"Reproduced if it is {size:g}, within {self.margin:g}; else contradicted."
            case _:
                return ""

"""Tables and sentences of sections 2 to 4.1."""

from collections.abc import Sequence

import pandas as pd
import torch

from ...claims.rows import last_epoch
from ...data.paper import paper_table
from ...report.formatting import (
    Markdown,
    first_seed,
    format_interval,
    index_name_as_header,
    mean_and_half_width,
    mean_over_seeds,
)
from ...report.shown import in_table
from ...training.losses import label_smoothing_labels
from ...training.models import ROLES, TABLE7, build_model, count_parameters


def teachers(table: pd.DataFrame, floor: float) -> pd.DataFrame:
    """Both teachers at the last epoch: parameters, accuracies, and how many seeds pass the accuracy floor."""
    last = last_epoch(table)
    rows = []
    for name in ("small", "large"):
        part = last[last.teacher == name]
        passed = int((part.validation_accuracy >= 100 * floor).sum())
        lowest = f" (lowest {part.validation_accuracy.min():.2f})" if passed < len(part) else ""
        rows.append(
            {
                "teacher": name,
                "parameters": "–" if part.parameters.isna().all() else f"{int(part.parameters.iloc[0]):,}",
                **{
                    f"{split} accuracy (%)": mean_and_half_width(part[f"{split}_accuracy"])
                    for split in ("train", "validation", "test")
                },
                f"seeds above {100 * floor:g}% on validation": f"{passed} of {len(part)}{lowest}",
            }
        )
    return index_name_as_header(pd.DataFrame(rows).set_index("teacher"))


def label_smoothing_table(alpha: float, classes: int, shown: int) -> pd.DataFrame:
    """Table 1: equation 1's labels beside the printed ones (which are for ten classes and digit 6)."""
    ours = label_smoothing_labels(torch.tensor([shown]), classes, alpha)[0].tolist()
    table = pd.DataFrame({"here": [f"{v:.2f}" for v in ours]}, index=range(classes))
    if classes == 10 and shown == 6:
        table.insert(0, "paper", [f"{v:.2f}" for v in paper_table(1).sort_values("class").soft_label])
    return table.T.rename_axis("class", axis=1)


def soft_labels_beside_paper(labels: pd.DataFrame, shown_names: Sequence[str]) -> pd.DataFrame:
    """Five examples' soft labels from both teachers of the first seed, to be set beside tables 2 and 3."""
    part = first_seed(labels)
    ours = part.pivot_table(index=["teacher", "example"], columns="class", values="soft_label", sort=False)
    ours.columns = [shown_names[c] for c in ours.columns]
    table = ours.map("{:.3f}".format)
    table.index = pd.MultiIndex.from_tuples(
        [("here", teacher, example) for teacher, example in table.index], names=["", "teacher", "example"]
    )
    return in_table(table)


def printed_soft_labels() -> pd.DataFrame:
    """Tables 2 and 3 as printed."""
    parts = []
    for number, teacher in ((2, "small"), (3, "large")):
        grid = paper_table(number).pivot_table(index="example", columns="class", values="soft_label")
        grid.index = pd.MultiIndex.from_tuples(
            [("paper", teacher, e) for e in grid.index], names=["", "teacher", "example"]
        )
        parts.append(grid)
    return pd.concat(parts).map("{:.3f}".format)


def confidence_on_shown_class(shown: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Mean and range over the test examples of the shown class at T = 9, beside the five printed labels (MNIST)."""
    rows = []
    for number, teacher in ((2, "small"), (3, "large")):
        part = shown[shown.teacher == teacher]
        row = {
            "teacher": teacher,
            "mean": mean_and_half_width(part["mean"], 3),
            "smallest": mean_and_half_width(part.low, 3),
            "largest": mean_and_half_width(part.high, 3),
        }
        if dataset in ("mnist", "digits"):
            printed = paper_table(number)
            confidence = printed[printed["class"] == 6].soft_label
            row["paper (five examples, MNIST)"] = f"{confidence.min():.3f} to {confidence.max():.3f}"
        rows.append(row)
    return index_name_as_header(pd.DataFrame(rows).set_index("teacher"))


FAMILY_TITLES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}


def table7_rows() -> list[dict[str, object]]:
    """Table 7, a row for each network: layers and parameters here, and the printed count (None: not legible)."""
    printed = paper_table(7).set_index(["dataset", "role"]).parameters
    rows = []
    for family, networks in TABLE7.items():
        for role in ROLES:
            theirs = printed.get((family, role))
            theirs = None if pd.isna(theirs) else int(theirs)
            ours = count_parameters(build_model(role, family))
            rows.append(
                {
                    "dataset": family,
                    "network": role,
                    "convolutions": len(networks[role].widths),
                    "dense": len(networks[role].dense) + 1,
                    "parameters": ours,
                    "paper": theirs,
                    "equal": None if theirs is None else theirs == ours,
                    "identified": networks[role].identified,
                }
            )
    return rows


def table7() -> pd.DataFrame:
    """Table 7: the networks, their parameter counts, and the printed counts."""
    rows = [
        {
            "data set": FAMILY_TITLES[row["dataset"]],
            "network": row["network"].replace("_", " "),
            "parameters here": f"{row['parameters']:,}",
            "paper": f"{row['paper']:,}" if row["paper"] else "not legible",
            "equal": {True: "yes", False: "NO", None: "–"}[row["equal"]],
            "identified": row["identified"],
        }
        for row in table7_rows()
    ]
    return pd.DataFrame(rows).set_index(["data set", "network"])


def entropy_finding(tables: dict[str, pd.DataFrame]) -> Markdown:
    """Sentence on the mean entropies of both teachers' responses at T = 9."""
    last = last_epoch(tables["entropy"])
    nine = last[(last.temperature == 9) & (last.split == "train")]
    small, large = (
        format_interval(mean_over_seeds(nine[nine.teacher == t], "entropy"), " nats", 2) for t in ("small", "large")
    )
    return Markdown(
        f"At T = 9 the mean entropy of the small teacher's responses is {small}, of the large teacher's {large}."
    )

"""Tables of the confounds of capacity."""

import pandas as pd

from ...report.formatting import index_name_as_header, mean_and_half_width, ratio_and_ends
from .experiment import TARGETS

NAMES = {
    "small": "small",
    "large": "large",
    "large_early": "large, half of the epochs",
    "large_smoothed": "large, smoothed labels",
    "large_teacher_plain": "large, without dropout (CIFAR-10: without batch norm)",
    "small_teacher_regularized": "small, with dropout (CIFAR-10: with batch norm)",
    "large_teacher_x0.5": "large, half as wide",
    "large_teacher_x0.75": "large, 0.75 times as wide",
    "large_teacher_x0.875": "large, 0.875 times as wide",
    "large_teacher_x1.25": "large, 1.25 times as wide",
}
TAUGHT = {"responses": "the responses", "shuffled": "similarity shuffled", "smoothed": "label smoothing"}


def confounded_teachers(table: pd.DataFrame) -> pd.DataFrame:
    """Each teacher with its parameters, accuracy, entropy, NC1, and what its students know; mean ± half-width.

    Of NC1 geometric means and the ends of their intervals.
    """
    shown = {
        "validation_accuracy": ("validation accuracy (%)", 1),
        "entropy": ("entropy at T = 9 (nats)", 2),
        "nc1_initial": ("NC1 untrained", 2),
        "nc1": ("NC1", 3),
        "raw": ("missing class (%)", 1),
        "corrected": ("bias corrected (%)", 1),
        "student_accuracy": ("all classes (%)", 1),
    }
    rows = []
    for name, part in sorted(table.groupby("teacher"), key=lambda pair: pair[1].parameters.iloc[0]):
        row = {"teacher": NAMES[name], "parameters": f"{part.parameters.iloc[0]:,}"}
        rows.append(
            row
            | {
                title: (ratio_and_ends if c.startswith("nc1") else mean_and_half_width)(part[c], digits)
                for c, (title, digits) in shown.items()
            }
        )
    return index_name_as_header(pd.DataFrame(rows).set_index("teacher"))


def examples_without_similarity(table: pd.DataFrame) -> pd.DataFrame:
    """Best validation accuracy [%] at equal steps for each number of random examples, by what is taught."""
    rows = []
    for number, part in table.groupby("examples_per_class"):
        by_targets = {TAUGHT[t]: mean_and_half_width(part[part.targets == t].validation_accuracy, 1) for t in TARGETS}
        rows.append({"examples per class": f"{number:g}"} | by_targets)
    return index_name_as_header(pd.DataFrame(rows).set_index("examples per class"))

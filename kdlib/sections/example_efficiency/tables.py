"""Tables and sentences of examples needed (section 4.2)."""

import pandas as pd

from ...claims.intervals import ratio_interval
from ...claims.registry import STATISTICS, Tables
from ...report.formatting import (
    NAMES,
    TEACHERS,
    Markdown,
    format_interval,
    index_name_as_header,
    mean_and_half_width,
    mean_over_seeds,
)

HOW = {"entropy": "by entropy", "lowest": "by lowest entropy", "random": "at random"}  # examples are chosen


def efficiency(cells: pd.DataFrame, selection: str, budget: str) -> pd.DataFrame | Markdown:
    """Validation accuracy [%] by number of examples per class (rows) and teacher, or none (columns), or a note."""
    columns = TEACHERS | {"none": NAMES["none"]}
    part = cells[(cells.selection == selection) & (cells.budget == budget)]
    if part.empty:
        return Markdown(f"*This run has no students of examples chosen {HOW[selection]}.*")
    by_cell = part.groupby(["examples_per_class", "teacher"]).validation_accuracy
    grid = by_cell.apply(mean_and_half_width).unstack("teacher")
    grid = grid[[t for t in columns if t in grid]].rename(columns=columns)
    grid.insert(0, "steps", part.groupby("examples_per_class").steps.first().map("{:,}".format))
    grid.index = [f"{n:g}" if n == int(n) else f"all ({n:.0f})" for n in grid.index]
    return index_name_as_header(grid.rename_axis("examples per class"))


def efficiency_finding(cells: pd.DataFrame, classes: int) -> Markdown:
    """Sentences on what students reach with the fewest and with the most examples of each class, beside a guess."""
    part = cells[(cells.budget == "epochs") & ~cells.full.astype(bool)]
    chosen = "entropy" if "entropy" in set(part.selection) else part.selection.iloc[0]
    part = part[part.selection == chosen]
    sentences = []
    for n in (part.examples_per_class.min(), part.examples_per_class.max()):
        at = part[part.examples_per_class == n]
        small, large = (
            format_interval(mean_over_seeds(at[at.teacher == t], "validation_accuracy"), "%")
            for t in ("small", "large")
        )
        steps = f"{at.steps.iloc[0]:,} step{'s' * int(at.steps.iloc[0] != 1)}"
        sentences.append(
            f"With {n:g} examples of each class ({steps}) the small teacher's student reaches {small}, the large one's "
            f"{large}."
        )
    guess = f"a guess is right on {100 / classes:.3g}%"
    return Markdown(
        " ".join(sentences) + f" (Best validation accuracy, equal epochs, examples chosen {HOW[chosen]}; {guess}.)"
    )


def examples_ratio_finding(tables: dict[str, pd.DataFrame], dataset: str) -> Markdown:
    """Sentence on how many times the small teacher's examples the large one's student needs (claims of figure 4)."""
    sentences = []
    for budget, name in (("epochs", "examples_ratio"), ("steps", "examples_ratio_at_equal_steps")):
        ratios = STATISTICS[name](Tables(dataset, {"example_efficiency": tables}))
        known = ratio_interval(ratios.values.dropna())
        note = f" ({ratios.note})" * bool(ratios.note)
        sentences.append(f"at equal {budget} " + (format_interval(known, "", None) + note if known.n else "unknown"))
    return Markdown(f"The large teacher's student needs so many times the examples: {'; '.join(sentences)}.")

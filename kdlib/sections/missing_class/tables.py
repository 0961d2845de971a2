"""Tables and sentences of the missing class (section 4.1)."""

from collections.abc import Sequence

import pandas as pd

from ...data.paper import missing_class_table
from ...report.formatting import (
    Markdown,
    format_interval,
    index_name_as_header,
    mean_and_half_width,
    mean_over_seeds,
    temperature_headings,
)
from ...report.shown import in_table


def missing_class(cells: pd.DataFrame, names: Sequence[str], teacher: str, column: str = "raw") -> pd.DataFrame:
    """One half of tables 4-6 as measured here: rows are removed classes, columns temperatures, percent."""
    part = cells[cells.teacher == teacher]
    grid = part.groupby(["missing_class", "temperature"]).apply(
        lambda cell: mean_and_half_width(cell[column], 1, int(cell.n.iloc[0])), include_groups=False
    )
    return _by_class(grid.unstack("temperature"), names)


def missing_class_beside_paper(
    cells: pd.DataFrame, names: Sequence[str], teacher: str, dataset: str
) -> pd.DataFrame | Markdown:
    """The printed half table and the difference (here minus paper) in each cell; a note where the paper has none."""
    printed = missing_class_table(dataset)
    if printed is None:
        return Markdown("*The paper prints no such table for this data set.*")
    ours = cells[cells.teacher == teacher].pivot_table(index="missing_class", columns="temperature", values="raw")
    part = printed[printed.teacher == teacher]
    theirs = part.pivot_table(index="missing_class", columns="temperature", values="accuracy_percent")
    theirs.columns = theirs.columns.astype(float)
    difference = ours - theirs.reindex_like(ours)
    parts = {
        "paper (%)": (theirs.reindex_like(ours), "{:.1f}"),
        "here minus paper (points)": (difference, "{:+.1f}"),
    }
    shown = {
        name: part.map(lambda v, form=form: "–" if pd.isna(v) else form.format(v))
        for name, (part, form) in parts.items()
    }
    return in_table(pd.concat({name: _by_class(part, names) for name, part in shown.items()}, axis=1))


def missing_class_summary(cells: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Means over classes and temperatures for each teacher, and the printed tables' means."""
    printed, rows = missing_class_table(dataset), []
    for teacher in ("small", "large"):
        part = cells[cells.teacher == teacher].groupby("seed")
        row = {"teacher": teacher}
        if printed is not None:
            row["paper, raw (%)"] = f"{printed[printed.teacher == teacher].accuracy_percent.mean():.1f}"
        row |= {
            "here, raw (%)": mean_and_half_width(part.raw.mean()),
            "bias corrected (%)": mean_and_half_width(part.corrected.mean()),
            "the other classes (%)": mean_and_half_width(part.others.mean()),
            "others after correction (%)": mean_and_half_width(part.others_corrected.mean()),
        }
        rows.append(row)
    return index_name_as_header(pd.DataFrame(rows).set_index("teacher"))


def missing_class_finding(cells: pd.DataFrame) -> Markdown:
    """Sentences on the accuracy on removed classes of both teachers' students."""
    sentences = []
    for teacher in ("small", "large"):
        part = cells[cells.teacher == teacher]
        raw, corrected = (format_interval(mean_over_seeds(part, column), "%") for column in ("raw", "corrected"))
        sentences.append(
            f"Students of the **{teacher}** teacher recognise {raw} of the test examples of the class that they never "
            f"saw; once one bias is corrected, {corrected}."
        )
    return Markdown(" ".join(sentences) + " These are means over all removed classes and temperatures.")


def _by_class(grid: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    grid = grid.copy()
    grid.index = [names[c] for c in grid.index]
    grid.columns = temperature_headings(grid.columns)
    return in_table(index_name_as_header(grid.rename_axis("removed class")))

"""Tables and sentences on similarity information, seen from outside."""

from collections.abc import Sequence

import pandas as pd

from ...claims.rows import last_epoch
from ...data import human_labels
from ...data.human_labels import HUMAN_LABELS
from ...report.formatting import (
    TEACHERS,
    Markdown,
    as_written,
    format_interval,
    index_name_as_header,
    mean_and_half_width,
    mean_over_seeds,
    setting_name,
    temperature_headings,
)
from ...report.shown import in_table
from ...training.choices import TEMPERATURE

YARDSTICKS = {
    "cifar10h": "people (CIFAR-10H)",
    "cifar10n": "people (CIFAR-10N)",
    "linear": "linear classifier",
    "pixels": "mean images",
    "itself": "itself (half with half)",
}
CONTROLS = {
    "responses": "the responses",
    "shuffled": "similarity shuffled",
    "class_mean": "class means",
    "smoothed": "label smoothing",
}


def split_of(yardstick: str) -> str:
    """The split on whose responses a yardstick is read: of CIFAR-10H the test images that people labelled."""
    return "test" if yardstick == "cifar10h" else "train"


def on_its_images(agreement: pd.DataFrame) -> pd.DataFrame:
    """The rows of each yardstick on the split that it is read on (see `split_of`), yardsticks in their order."""
    rows = agreement[agreement.split == agreement.yardstick.map(split_of)]
    order = rows.yardstick.map(list(YARDSTICKS).index)
    return rows.iloc[order.argsort(kind="stable")]


def people_at_hand(agreement: pd.DataFrame, dataset: str, title: str) -> Markdown:
    """Sentences on whose labels are compared with, or on how to get them where they are not in this run."""
    if dataset != "cifar10":
        return Markdown(
            f"This book knows of no published labels by many people for each image of {as_written(title)}: the "
            "yardsticks here need the images alone."
        )
    there = [f"{HUMAN_LABELS[name]}" for name in HUMAN_LABELS if name in set(agreement.yardstick)]
    lacking = [
        f"{HUMAN_LABELS[name].title} was not here when this page was made. {human_labels.how_to_get(name)}"
        for name in HUMAN_LABELS
        if name not in set(agreement.yardstick)
    ]
    return Markdown(" ".join([f"People's labels: {'; '.join(there)}."] * bool(there) + lacking))


def similarity_finding(agreement: pd.DataFrame, yardsticks: pd.DataFrame) -> Markdown:
    """Sentences on both teachers' agreement with the first yardstick there is, at T = 9, and on its own with others."""
    rows = on_its_images(last_epoch(_default(agreement)))
    name = rows.yardstick.iloc[0]
    shown = rows[(rows.yardstick == name) & (rows.temperature == TEMPERATURE)]
    small, large = (
        format_interval(mean_over_seeds(shown[shown.teacher == teacher], "spearman"), " rank correlation", 2)
        for teacher in ("small", "large")
    )
    between = yardsticks[(yardsticks.yardstick == name) | (yardsticks.other == name)]
    against = [
        f"{YARDSTICKS[row.other if row.yardstick == name else row.yardstick]} {row.spearman:.2f}"
        for row in between.itertuples()
        if row.spearman == row.spearman
    ]
    ceiling = f" The yardstick's own with others: {'; '.join(against)}." * bool(against)
    return Markdown(
        f"Agreement of class similarities at T = {TEMPERATURE:g} with the first yardstick, {YARDSTICKS[name]}: small "
        f"teacher {small}, large teacher {large}.{ceiling}"
    )


def agreement_by_temperature(agreement: pd.DataFrame, temperatures: Sequence[float]) -> pd.DataFrame:
    """Rank correlation with each yardstick at each temperature, last epoch: a row for each yardstick and teacher."""
    rows = on_its_images(last_epoch(_default(agreement)))
    rows = rows[rows.temperature.isin(temperatures)]
    grid = _by_yardstick(rows, "temperature")
    grid.columns = temperature_headings(grid.columns)
    return grid


def agreement_without_temperature(table: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of mean non-target logits with each yardstick, of both teachers and the settings of figure 7."""
    rows = on_its_images(table).copy()
    rows = rows[rows.epoch == rows.groupby(["seed", "teacher", "setting"]).epoch.transform("max")]
    rows["name"] = [setting_name(*pair) for pair in zip(rows.teacher, rows.setting, strict=True)]
    grid = rows.groupby(["yardstick", "name"], sort=False).spearman.apply(mean_and_half_width, decimals=2)
    grid = grid.unstack("name", fill_value="–", sort=False).rename(index=YARDSTICKS)
    grid.columns.name = None
    return index_name_as_header(grid)


def agreement_on_single_images(images: pd.DataFrame, fit: pd.DataFrame) -> pd.DataFrame:
    """Mean cosine with the yardstick on single images at T = 9, of the response and its class mean; the best fit."""
    rows, fits = _default(images[images.temperature == TEMPERATURE]), _default(fit)
    table = []
    for (name, teacher), part in _in_order(rows).groupby(["yardstick", "teacher"], sort=False):
        own = fits[(fits.yardstick == name) & (fits.teacher == teacher)]
        table.append(
            {
                "yardstick": YARDSTICKS[name],
                "teacher": TEACHERS[teacher],
                "images": f"{part.images.iloc[0]:,}",
                "cosine": mean_and_half_width(part.cosine, 3),
                "of the class mean": mean_and_half_width(part.class_mean_cosine, 3),
                "difference": mean_and_half_width(part.lead, 4),
                **_most(own),
                "best T": mean_and_half_width(own.best_temperature, 2),
                "cross-entropy there (nats)": mean_and_half_width(own.cross_entropy, 3),
                "entropy of the yardstick": f"{own.entropy.iloc[0]:.3f}",
            }
        )
    return pd.DataFrame(table).set_index(["yardstick", "teacher"])


def _most(fit: pd.DataFrame) -> dict[str, str]:
    """The largest difference over many temperatures, and where it is; of yardsticks without one, nothing."""
    if "most" not in fit or fit.most.isna().all():
        return {"largest difference": "–", "at T": "–"}
    return {"largest difference": mean_and_half_width(fit.most, 4), "at T": mean_and_half_width(fit.most_at, 2)}


def agreement_of_controls(controls: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation with each yardstick at T = 9 of the responses and of what the controls make of them."""
    rows = _in_order(controls).replace({"control": CONTROLS})
    return _by_yardstick(rows, "control")[list(CONTROLS.values())]


def known_structure(structure: pd.DataFrame) -> pd.DataFrame | Markdown:
    """Table of what is evident of a data set's classes, and what teachers have of it; words where nothing is."""
    if structure.empty:
        return Markdown("Nothing is known here beforehand of which classes of this data set are alike.")
    rows = last_epoch(_default(structure[structure.temperature == TEMPERATURE]))
    grid = rows.groupby(["what", "teacher"], sort=False).share.apply(mean_and_half_width, decimals=3)
    grid = grid.unstack("teacher")[["small", "large"]].rename(columns=TEACHERS)
    grid["without similarity"] = [f"{value:.3f}" for value in rows.groupby("what").chance.first().loc[grid.index]]
    grid.columns.name = None
    return index_name_as_header(grid)


def entropy_in_two_parts(parts: pd.DataFrame, temperatures: Sequence[float]) -> pd.DataFrame | Markdown:
    """The average entropy and its two parts at each temperature, last epoch, in nats: three rows for each teacher.

    Words on how to get them where no teacher's responses were at hand.
    """
    if parts.empty:
        return Markdown(
            "The two parts were not measured: this page was made of stored measures, without its teachers' responses. "
            "`kdlib compute similarity_information` with the same data set and profile measures them."
        )
    rows = last_epoch(_default(parts))
    rows = rows[rows.temperature.isin(temperatures)]
    long = rows.melt(["seed", "teacher", "temperature"], list(PARTS), "part")
    grid = long.groupby(["teacher", "part", "temperature"], sort=False).value.apply(mean_and_half_width, decimals=4)
    grid = grid.unstack("temperature").loc[[(t, part) for t in ("small", "large") for part in PARTS]]
    grid.index = pd.MultiIndex.from_tuples([(TEACHERS[t], PARTS[part]) for t, part in grid.index])
    grid.columns = temperature_headings(grid.columns)
    return grid


PARTS = {
    "entropy": "average entropy",
    "of_class_mean": "entropy of the class mean",
    "instance": "less: information on single examples",
}


def entropy_parts_by_class(by_class: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The two parts of the average entropy of each class at T = 9, of both teachers."""
    long = _default(by_class).melt(["seed", "teacher", "class"], ["of_class_mean", "instance"], "part")
    grid = long.groupby(["class", "teacher", "part"]).value.apply(mean_and_half_width, decimals=4)
    grid = grid.unstack(["teacher", "part"])
    grid = grid[[(teacher, part) for teacher in ("small", "large") for part in ("of_class_mean", "instance")]]
    grid.columns = [f"{TEACHERS[t]}: {PARTS[part].removeprefix('less: ')}" for t, part in grid.columns]
    grid.index = [names[c] for c in grid.index]
    return in_table(grid)


def yardsticks_of_each_other(yardsticks: pd.DataFrame) -> pd.DataFrame:
    """Table of the agreement of yardsticks among themselves."""
    rows = [
        {
            "yardstick": YARDSTICKS[row.yardstick],
            "with": YARDSTICKS[row.other],
            "rank correlation": _number(row.spearman),
            "Pearson's": _number(row.pearson),
            "single images: cosine": _number(row.cosine),
            "of the class mean": _number(row.class_mean_cosine),
        }
        for row in _in_order(yardsticks).itertuples()
    ]
    return pd.DataFrame(rows).set_index(["yardstick", "with"])


def _number(value: float) -> str:
    return "–" if value != value else f"{value:.3f}"


def _default(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows.setting == "default"]


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with people first."""
    return rows.iloc[rows.yardstick.map(list(YARDSTICKS).index).argsort(kind="stable")]


def _by_yardstick(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Mean ± half-width of rank correlations: rows yardstick and teacher, a column for each value of `column`."""
    grid = rows.groupby(["yardstick", "teacher", column], sort=False).spearman.apply(mean_and_half_width, decimals=2)
    grid = grid.unstack(column)
    order = [(name, t) for name in YARDSTICKS for t in ("small", "large") if (name, t) in grid.index]
    grid = grid.loc[order].rename(index=YARDSTICKS, level=0).rename(index=TEACHERS, level=1)
    grid.columns.name = None
    return grid

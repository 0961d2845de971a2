"""Differences between systems and what they are held against, with intervals over seeds, from the section's tables."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from ...claims.inference import benjamini_hochberg, t_tails
from ...claims.intervals import t_interval
from .arms import LABELS, PUBLISHED

ARM = ["teacher", "system", "weights"]
COSTS = ("total", "given_teacher")  # what the operations of an arm hold: all training, or all but the teacher's
EQUAL = {cost: f"labels_alone_equal_{cost}" for cost in COSTS}
BASE = "rbkd"


def equal_compute(cells: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Each arm's student of all examples beside the shortest student of labels alone that took as many operations.

    Arguments: `cells`, the section's table; `cost`, one of `COSTS`. Columns: seed, those of an arm, `accuracy`,
    `operations`, `rival_accuracy`, `rival_operations` and `length` of the rival, nan where none was trained so long.
    """
    column = f"operations_{cost}"
    alone = cells[(cells.system == LABELS) & cells.full]
    rows = []
    for cell in cells[(cells.system != LABELS) & cells.full].to_dict("records"):
        enough = alone[(alone.seed == cell["seed"]) & (alone[column] >= cell[column])]
        rival = enough.sort_values(column).iloc[0] if len(enough) else None
        rows.append(
            {name: cell[name] for name in ("seed", *ARM, "accuracy")}
            | {"operations": cell[column]}
            | {
                f"rival_{name}": np.nan if rival is None else rival[source]
                for name, source in (("accuracy", "accuracy"), ("operations", column))
            }
            | {"length": np.nan if rival is None else rival["length"]}
        )
    return pd.DataFrame(
        rows, columns=["seed", *ARM, "accuracy", "operations", "rival_accuracy", "rival_operations", "length"]
    )


def differences(cells: pd.DataFrame, missing: pd.DataFrame) -> pd.DataFrame:
    """The mean difference over teacher seeds of every arm to equation 4 and to labels alone, in percentage points.

    Columns: `measure` (all examples, a number of examples per class, the missing class raw or bias corrected), `to`
    (`rbkd`, at the same weights and from the same teacher, of systems without a teacher from the first one;
    `labels_alone` of the same length; or that of at least as many operations), those of an arm, `mean`, `low` and
    `high` of the 95% t interval, `n` seeds, `p` two-sided, and `adjusted`, by Benjamini and Hochberg over all arms of
    one measure and `to`.
    """
    cells = without_repeats(cells)
    arms = pd.MultiIndex.from_frame(cells[ARM])
    missing = missing[pd.MultiIndex.from_frame(missing[ARM]).isin(arms)]
    rows = [_row(*found) for found in (*_of_cells(cells), *_of_missing(missing))]
    columns = ["measure", "to", *ARM, "mean", "low", "high", "n", "p"]
    table = pd.DataFrame(rows, columns=columns)
    table["adjusted"] = np.nan
    for _, part in table[table.p.notna()].groupby(["measure", "to"]):
        table.loc[part.index, "adjusted"] = pd.Series(benjamini_hochberg(part.p.to_dict()))
    return table


def without_repeats(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells without tuned arms for which nothing was tried but the published value: they are the published ones."""
    keys = ["seed", "teacher", "system", "examples_per_class"]
    tried = cells.groupby(keys).operations_total.transform("nunique")
    return cells[(cells.weights == PUBLISHED) | (tried > 1)]


def pareto_front(points: pd.DataFrame, cost: str, gain: str) -> pd.Series:
    """True for rows that no other beats, which costs at most as much and gains at least as much, one strictly."""
    x, y = points[cost].to_numpy(), points[gain].to_numpy()
    beaten = [((x <= a) & (y >= b) & ((x < a) | (y > b))).any() for a, b in zip(x, y, strict=True)]
    return pd.Series(~np.array(beaten, dtype=bool), index=points.index)


def _of_cells(cells: pd.DataFrame) -> Iterator[tuple]:
    once = cells[cells.length == 1]
    for (_, full), part in once.groupby(["examples_per_class", "full"]):
        measure = "all examples" if full else f"{part.examples_per_class.iloc[0]:g} examples"
        yield from _to_both(part, measure, "accuracy")
    for cost in COSTS:
        beside = equal_compute(cells, cost)
        for arm, rows in beside.groupby(ARM, sort=False):
            found = rows.set_index("seed")
            yield "all examples", EQUAL[cost], arm, (found.accuracy - found.rival_accuracy).dropna()


def _of_missing(missing: pd.DataFrame) -> Iterator[tuple]:
    for column in ("raw", "corrected"):
        mean = missing.groupby(["seed", *ARM], as_index=False, sort=False)[column].mean()
        yield from _to_both(mean, f"missing class, {column}", column)


def _to_both(rows: pd.DataFrame, measure: str, column: str) -> Iterator[tuple]:
    by_arm = {arm: part.set_index("seed")[column] for arm, part in rows.groupby(ARM, sort=False)}
    with_base = [teacher for teacher, system, _ in by_arm if system == BASE]
    for (teacher, system, weights), values in by_arm.items():
        if system == LABELS:
            continue
        first = teacher if teacher in with_base else "large" if "large" in with_base else with_base[0]
        for to, other in ((BASE, (first, BASE, weights)), (LABELS, ("none", LABELS, PUBLISHED))):
            if (teacher, system) != other[:2] and other in by_arm:
                yield measure, to, (teacher, system, weights), (values - by_arm[other]).dropna()


def _row(measure: str, to: str, arm: tuple[str, str, str], values: pd.Series) -> dict[str, Any]:
    interval = t_interval(values.tolist())
    p = min(t_tails(values.tolist(), 0.0)) if len(values) > 1 else np.nan
    named = {"measure": measure, "to": to} | dict(zip(ARM, arm, strict=True))
    return named | {"mean": interval.mean, "low": interval.low, "high": interval.high, "n": interval.n, "p": p}

"""Differences between systems and what they are held against, with intervals over seeds, from the section's tables."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from ...claims.inference import benjamini_hochberg, t_tails
from ...claims.intervals import t_interval
from .arms import DEFAULT, LABELS

ARM = ["teacher", "system", "weights"]
COSTS = ("total", "given_teacher")  # what the operations of an arm hold: all training, or all but the teacher's
EQUAL = {cost: f"labels_alone_equal_{cost}" for cost in COSTS}
BASE = "rbkd"
NEARLY = 0.95  # share of an arm's operations that counts as equal


def equal_compute(cells: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Each arm's student of all examples beside the student of labels alone that as many operations give.

    Labels alone stop where a user would: of all lengths up to the shortest that took as many operations as the arm, or
    nearly (`NEARLY`), the rival is the one of the highest validation accuracy, and of equal ones the shorter.
    Arguments: `cells`, the section's table; `cost`, one of `COSTS`. Columns: seed, those of an arm, `accuracy`,
    `operations`, `rival_accuracy`, `rival_operations` and `length` of the rival; `allowed`, the operations of the
    longest that could have been it over the arm's; `cut_short`, whether no student of labels alone was trained as long
    as the arm's computation allows, and the longest is the rival: a longer one might have been better.
    """
    column = f"operations_{cost}"
    alone = cells[(cells.system == LABELS) & cells.full]
    rows = []
    for cell in cells[(cells.system != LABELS) & cells.full].to_dict("records"):
        own = alone[alone.seed == cell["seed"]].sort_values(column)
        within = own[: own[column].searchsorted(NEARLY * cell[column]) + 1]
        rival, longest = within.loc[within.validation_accuracy.idxmax()], within.iloc[-1]
        allowed = longest[column] / cell[column]
        rows.append(
            {name: cell[name] for name in ("seed", *ARM, "accuracy")}
            | {"operations": cell[column], "rival_accuracy": rival.accuracy, "rival_operations": rival[column]}
            | {"length": rival.length, "allowed": allowed}
            | {"cut_short": allowed < NEARLY and rival.length == longest.length}
        )
    rivals = ["rival_accuracy", "rival_operations", "length", "allowed", "cut_short"]
    return pd.DataFrame(rows, columns=["seed", *ARM, "accuracy", "operations", *rivals])


def differences(cells: pd.DataFrame, missing: pd.DataFrame) -> pd.DataFrame:
    """The mean difference over teacher seeds of every arm to equation 4 and to labels alone, in percentage points.

    Columns: `measure` (all examples, a number of examples per class, the missing class raw or bias corrected), `to`
    (`rbkd`, at the same weights and from the same teacher, of systems without a teacher from the first one;
    `labels_alone` of the same length; or that of `equal_compute`), those of an arm, `mean`, `low` and `high` of the 95%
    t interval, `n` seeds, `ahead` and `behind`, two-sided p values that it is above 0 and below, `adjusted`, by
    Benjamini and Hochberg in each direction over all arms of one measure and `to`, `allowed`, the least of
    `equal_compute`'s over seeds, nan elsewhere, and `cut_short`, whether it is so in any seed.
    """
    cells = without_repeats(cells)
    arms = pd.MultiIndex.from_frame(cells[ARM])
    missing = missing[pd.MultiIndex.from_frame(missing[ARM]).isin(arms)]
    rows = [_row(*found) for found in (*_of_cells(cells), *_of_missing(missing))]
    columns = ["measure", "to", *ARM, "mean", "low", "high", "n", "ahead", "behind", "allowed", "cut_short"]
    table = pd.DataFrame(rows, columns=columns)
    table["adjusted"] = np.nan
    for _, part in table[table.ahead.notna()].groupby(["measure", "to"]):
        tails = {row.Index: (row.ahead, row.behind) for row in part.itertuples()}
        table.loc[part.index, "adjusted"] = pd.Series(benjamini_hochberg(tails))
    return table


def without_repeats(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells without tuned arms whose value is the default one: they are the default ones' own students."""
    same = cells.groupby(["teacher", "system"]).value.transform("nunique") == 1
    return cells[(cells.weights == DEFAULT) | ~same]


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
            values = found.accuracy - found.rival_accuracy
            yield "all examples", EQUAL[cost], arm, values, found.allowed.min(), found.cut_short.any()


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
        base = (first, BASE, weights)
        base = base if base in by_arm else (first, BASE, DEFAULT)  # its tuned value is the default one
        for to, other in ((BASE, base), (LABELS, ("none", LABELS, DEFAULT))):
            if (teacher, system) != other[:2] and other in by_arm:
                yield measure, to, (teacher, system, weights), (values - by_arm[other]).dropna()


def _row(
    measure: str,
    to: str,
    arm: tuple[str, str, str],
    values: pd.Series,
    allowed: float = np.nan,
    cut_short: bool = False,
) -> dict[str, Any]:
    interval = t_interval(values.tolist())
    ahead, behind = t_tails(values.tolist(), 0.0) if len(values) > 1 else (np.nan, np.nan)
    named = {"measure": measure, "to": to} | dict(zip(ARM, arm, strict=True))
    ends = {"mean": interval.mean, "low": interval.low, "high": interval.high, "n": interval.n}
    return named | ends | {"ahead": ahead, "behind": behind, "allowed": allowed, "cut_short": cut_short}

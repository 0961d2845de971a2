"""A run held against another: which of the claims' statistics differ by more than teacher seeds explain?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from torch import Tensor

from ..training.measures import cell_accuracies, test_percent
from .claims import load_claims
from .controls import load_controls
from .inference import agree, equal
from .intervals import Interval, t_interval, wilson_interval
from .registry import STATISTICS, Lacking, Sections, Tables

LEVEL = 0.05  # of all that is compared at once: a table, by Holm's correction over its rows; a cell, by Bonferroni's


def compare(dataset: str, ours: Sections, reference: Sections) -> pd.DataFrame:
    """One row for each statistic of claims and controls that both runs have, by Welch's t test over teacher seeds.

    Arguments: tables by section and name, as `claims.evaluate` takes them. Columns: `statistic`; `ours` and
    `reference`, means (of a ratio, geometric means: it is tested on the log scale, as the claims are); `change`, ours
    minus reference (of a ratio: over it), with its 95% interval `low` to `high`; `p`; and `differs`: p is below
    Holm's bound for the whole table. With one seed in a run p is nan and nothing differs; where seeds have no spread,
    unequal means differ: both but for rounding in the arithmetic. Statistics that are not one number for each seed
    (kinds `every`, `existence` and `exact`) are left out.
    """
    claims = [c for c in load_claims() if c.kind in ("direction", "equivalence", "difference")]
    units = {rule.statistic: rule.unit for rule in (*claims, *load_controls())}
    rows = []
    for name, unit in units.items():
        try:
            values = [STATISTICS.compute(name, Tables(dataset, run)).values.dropna() for run in (ours, reference)]
        except Lacking:  # what one of them has not run
            continue
        if all(len(v) for v in values):
            test = _welch_of_ratios if unit == "ratio" else _welch
            rows.append({"statistic": name} | test(*(v.to_numpy(dtype=float) for v in values)))
    columns = ["statistic", "ours", "reference", "change", "low", "high", "p"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(differs=_holm(table.p))


def prediction_intervals(
    stored: Sequence[Mapping[str, Tensor]], now: Sequence[Mapping[str, Tensor]], missing_class: int | None
) -> list[tuple[str, Interval, float]]:
    """Prediction intervals for the accuracies of a cell, from its stored seeds, beside the means that were found now.

    Arguments: `stored` and `now`, results of a student (see `distill`), one for each seed. Returns for each accuracy
    its name, the interval and the mean now, in percent. The means of as many further seeds as there are now fall into
    all intervals of the cell together in 95 of 100 cases (Bonferroni). Where the stored seeds do not spread, an
    interval is Wilson's over the test examples of one seed; with one stored seed it is not known (nan).
    """
    if missing_class is None:
        before, after = ([{"test accuracy": test_percent(result)} for result in part] for part in (stored, now))
        trials = {"test accuracy": int(stored[0]["confusion"].sum())}
    else:
        before, after = ([cell_accuracies(result, missing_class) for result in part] for part in (stored, now))
        missing, every = before[0]["n"], int(stored[0]["confusion"].sum())
        others = every - missing
        trials = {"raw": missing, "corrected": missing, "others": others, "others_corrected": others}
    trials = {name: examples for name, examples in trials.items() if examples}
    found = []
    for name, examples in trials.items():
        interval = _prediction_interval([row[name] for row in before], len(after), examples, 1 - LEVEL / len(trials))
        found.append((name.replace("_", " "), interval, sum(row[name] for row in after) / len(after)))
    return found


def _prediction_interval(percents: Sequence[float], further: int, examples: int, level: float) -> Interval:
    interval = t_interval(percents, level)
    if interval.n == 1:
        return interval
    if not interval.has_width:
        share = wilson_interval(round(interval.mean / 100 * examples), examples, level)
        ends = min(100 * share.low, interval.mean), max(100 * share.high, interval.mean)  # at 0 and 100% they round
        return replace(interval, low=ends[0], high=ends[1], kind=share.kind)
    half = (interval.high - interval.mean) * math.sqrt(1 + interval.n / further)
    return replace(interval, low=interval.mean - half, high=interval.mean + half, kind="prediction")


def _welch(ours: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    from scipy import stats

    found = {"ours": ours.mean(), "reference": reference.mean(), "change": ours.mean() - reference.mean()}
    if min(len(ours), len(reference)) == 1:
        return found | {"low": math.nan, "high": math.nan, "p": math.nan}
    if agree(ours, found["reference"]) and agree(reference, found["ours"]):
        alike = equal(found["ours"], found["reference"])
        return found | {"low": found["change"], "high": found["change"], "p": float(alike)}
    test = stats.ttest_ind(ours, reference, equal_var=False)
    interval = test.confidence_interval(0.95)
    return found | {"low": interval.low, "high": interval.high, "p": test.pvalue}


def _welch_of_ratios(ours: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    found = _welch(np.log(ours), np.log(reference))
    return {name: value if name == "p" else math.exp(value) for name, value in found.items()}


def _holm(p: Sequence[float]) -> np.ndarray:
    """Mask of the hypotheses that Holm's procedure rejects, from their p values; nan is never rejected."""
    p = np.asarray(p, dtype=float)
    rejected = np.zeros(len(p), dtype=bool)
    tested = np.argsort(p)[: np.isfinite(p).sum()]  # nan sorts last
    for rank, i in enumerate(tested):
        if p[i] > LEVEL / (len(tested) - rank):
            break
        rejected[i] = True
    return rejected

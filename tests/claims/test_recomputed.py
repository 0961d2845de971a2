"""Every verdict of every published data set a second time: from results/*.csv and the wording of RULES.md.

Nothing here comes from `kdlib.claims` but the verdicts that are held against these. Entries are read as YAML; each
statistic is written down again from its definition, with pandas, numpy and scipy.
"""

import itertools
import math
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from kdlib.claims.claims import evaluate, load_claims
from kdlib.training.models import build_model, count_parameters

from ..sections.test_statistics import capacity_tables, related_systems_tables

ROOT = Path(__file__).parent.parent.parent
DATASETS = ("mnist", "fashion_mnist", "cifar10")
PRINTED_CELLS = {"mnist": 4, "fashion_mnist": 5, "cifar10": 6}
BEFORE = {"fashion_mnist": "mnist", "cifar10": "fashion_mnist"}
SIX = [3, 6, 9, 12, 15, 20]
ENTRIES = [
    {"notebook": path.parent.name, **entry}
    for path in sorted((ROOT / "kdlib" / "sections").glob("*/claims.yml"))
    for entry in yaml.safe_load(path.read_text())
]

REPLACED = {entry["replaces"] for entry in ENTRIES if "replaces" in entry}
ENTRIES = [entry for entry in ENTRIES if entry["id"] not in REPLACED]


@cache
def table(dataset: str, section: str, name: str) -> pd.DataFrame:
    return pd.read_csv(ROOT / "results" / dataset / section / f"{name}.csv")


@cache
def printed(number: int) -> pd.DataFrame:
    return pd.read_csv(ROOT / "data" / "paper" / f"table{number}.csv")


def seeds(frame: pd.DataFrame, value) -> pd.Series:
    return pd.Series({seed: value(rows) for seed, rows in frame.groupby("seed")}, dtype=float)


def mean(frame: pd.DataFrame, column: str, **where) -> pd.Series:
    """Mean by seed of the rows with these values."""
    return frame[np.logical_and.reduce([frame[k] == v for k, v in where.items()])].groupby("seed")[column].mean()


def last(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame.epoch == frame.groupby(["seed", "teacher"]).epoch.transform("max")]


def responses(d: str) -> pd.DataFrame:
    """Entropy and confidence of both teachers at the end, training examples, the six temperatures."""
    frame = last(table(d, "entropy", "entropy"))
    return frame[(frame.split == "train") & frame.temperature.isin(SIX)]


def by_temperature(d: str, column: str) -> dict[str, pd.DataFrame]:
    return {
        t: rows.pivot(index="seed", columns="temperature", values=column) for t, rows in responses(d).groupby("teacher")
    }


def over_teachers(d: str, of) -> pd.Series:
    parts = by_temperature(d, "confidence")
    return sum(parts[t].apply(of, axis=1) for t in ("small", "large")) / 2


def slope(line: pd.Series) -> float:
    x, y = np.asarray(line.index, dtype=float), np.asarray(line, dtype=float)
    return float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())


def departure(confidence: pd.Series) -> float:
    mass, x = 1 - confidence.to_numpy(), np.asarray(confidence.index, dtype=float)
    return float(np.abs(mass - np.polyval(np.polyfit(x, mass, 1), x)).max() / np.ptp(mass))


def variance(d: str, column: str) -> pd.Series:
    frame = table(d, "entropy", "variance")
    return mean(frame, column, teacher="small", temperature=9) / mean(frame, column, teacher="large", temperature=9)


def distances(d: str) -> pd.Series:
    frame = table(d, "entropy", "position")
    frame = frame[frame.temperature.isin(SIX)].pivot(
        index=["seed", "temperature"], columns="teacher", values="distance_to_label_smoothing"
    )
    return np.exp(np.log(frame["small"] / frame["large"]).groupby("seed").mean())


def distances_at_equal_confidence(d: str) -> pd.Series:
    def value(rows: pd.DataFrame) -> float:
        small, large = (rows[rows.teacher == t].sort_values("confidence") for t in ("small", "large"))
        within = small[small.confidence.between(large.confidence.min(), large.confidence.max())]
        other = np.interp(within.confidence, large.confidence, np.log(large.distance_to_label_smoothing))
        return float(np.exp((np.log(within.distance_to_label_smoothing) - other).mean())) if len(within) else np.nan

    return seeds(table(d, "entropy", "position"), value)


def missing(d: str) -> pd.DataFrame:
    frame = table(d, "missing_class", "cells")
    return frame[frame.temperature.isin(SIX)]


def gap(frame: pd.DataFrame, column: str, of: str = "small", to: str = "large", **where) -> pd.Series:
    return mean(frame, column, teacher=of, **where) - mean(frame, column, teacher=to, **where)


def curve_of(rows: pd.DataFrame) -> pd.Series:
    return rows.groupby("examples_per_class").validation_accuracy.mean().sort_index()


def efficiency(d: str, teacher: str, budget: str, selection: str = "entropy") -> dict[int, pd.Series]:
    frame = table(d, "example_efficiency", "cells")
    frame = frame[(frame.teacher == teacher) & (frame.budget == budget) & (frame.selection == selection) & ~frame.full]
    return {seed: curve_of(rows) for seed, rows in frame.groupby("seed")}


def leads(d: str, budget: str, selections=("entropy", "entropy"), pair=("small", "large")) -> pd.DataFrame:
    one, other = (efficiency(d, t, budget, s) for t, s in zip(pair, selections, strict=True))
    return pd.DataFrame({seed: one[seed] - other[seed] for seed in one}).T


def needed(curve: pd.Series, level: float) -> float:
    """Logarithm of the number at which a rising curve, linear between its points, first reaches a level."""
    top, x = np.maximum.accumulate(curve.to_numpy()), np.log(curve.index.to_numpy(dtype=float))
    at = int(np.argmax(top >= level))
    if at == 0 or top[at] == top[at - 1]:
        return float(x[at])
    return float(x[at - 1] + (level - top[at - 1]) / (top[at] - top[at - 1]) * (x[at] - x[at - 1]))


def examples_ratio(d: str, a: str, b: str, budget: str) -> pd.Series:
    one, other = efficiency(d, a, budget), efficiency(d, b, budget)

    def value(seed: int) -> float:
        low = max(c[seed].iloc[0] for c in (one, other))
        high = min(c[seed].max() for c in (one, other))
        assert low <= high, "a bound: no published seed has one"
        levels = np.append(np.linspace(low, high, 20)[:-1], high)
        return math.exp(np.mean([needed(one[seed], v) - needed(other[seed], v) for v in levels]))

    return pd.Series({seed: value(seed) for seed in one})


def later_steps(d: str) -> tuple[pd.DataFrame, float]:
    """Steps to each level that a student reaches after the first epoch or never, and the steps of an epoch."""
    frame = table(d, "example_efficiency", "steps_to_level")
    frame = frame[frame.teacher.isin(["small", "large"])].pivot(
        index=["seed", "level"], columns="teacher", values="steps"
    )
    reached = sorted(set(frame.stack().dropna()))
    epoch = min(b - a for a, b in itertools.pairwise([0, *reached]))
    cells = table(d, "example_efficiency", "cells")
    frame = frame.dropna(how="all").fillna(cells[cells.full].steps.max())
    return frame[frame.max(axis=1) > epoch], epoch


def steps_to_level(d: str) -> pd.Series:
    frame, _ = later_steps(d)
    return np.exp(np.log(frame.large / frame.small).groupby("seed").mean())


def an_epoch_less(d: str) -> tuple[float, float]:
    """By how much the logarithm of the ratio falls with an epoch less of the large one's student, and rises so."""
    frame, epoch = later_steps(d)
    with np.errstate(divide="ignore"):
        return tuple(float((np.log(frame[t]) - np.log(frame[t] - epoch)).mean()) for t in ("large", "small"))


def tight(d: str, split: str = "train") -> pd.DataFrame:
    frame = table(d, "penultimate_layer", "tightness")
    return frame[frame.split == split]


def large_settings(d: str) -> list[str]:
    names = set(tight(d).query("teacher == 'large'").setting) - {"default"}
    return sorted(names, key=lambda name: int(name.split("x")[0]))[:2]


def spread(d: str, setting: str, to: str) -> pd.Series:
    frame = tight(d)
    return mean(frame, "nc1", teacher="large", setting=setting) / mean(frame, "nc1", teacher="large", setting=to)


def silhouette_lost(d: str, setting: str) -> pd.Series:
    frame = tight(d)
    return mean(frame, "silhouette", teacher="large", setting="default") - mean(
        frame, "silhouette", teacher="large", setting=setting
    )


def chosen_on_others(grid: pd.DataFrame, value) -> pd.Series:
    return pd.Series({s: value(grid.drop(columns=s).mean(axis=1), grid[s]) for s in grid}, dtype=float)


def search(d: str, student: str) -> pd.DataFrame:
    frame = table(d, "sweet_spot", "map")
    return frame[frame.student == student].pivot(
        index=["batch_size", "epoch"], columns="seed", values="validation_accuracy"
    )


def inner_batch_size(d: str) -> pd.Series:
    frame = table(d, "sweet_spot", "entropy").query("temperature == 9")
    grid = frame.pivot(index=["batch_size", "epoch"], columns="seed", values="validation_accuracy")
    sizes = grid.index.get_level_values(0)
    ends = sizes.isin([sizes.min(), sizes.max()])
    return chosen_on_others(grid, lambda others, own: own[others[~ends].idxmax()] - own[others[ends].idxmax()])


def other_batch_size(others: pd.Series, own: pd.Series) -> float:
    best = others.idxmax()
    rest = others[others.index.get_level_values(0) != best[0]]
    return own[rest.idxmax()] - own[best]


def own_pair(d: str) -> pd.Series:
    general, baseline = search(d, "general"), search(d, "baseline")

    def gain(s: int) -> float:
        mine, theirs = (grid.drop(columns=s).mean(axis=1).idxmax() for grid in (general, baseline))
        return (general.loc[mine, s] - general.loc[theirs, s] + baseline.loc[theirs, s] - baseline.loc[mine, s]) / 2

    return pd.Series({s: gain(s) for s in general})


def search_gain(d: str, student: str) -> pd.Series:
    return chosen_on_others(search(d, student), lambda others, own: own[others.idxmax()] - own.mean())


def sweet_general(d: str) -> pd.Series:
    return at_the_best_of_the_others(table(d, "sweet_spot", "map").query("student == 'general'"))


def at_the_best_of_the_others(frame: pd.DataFrame) -> pd.Series:
    """Test accuracy of each seed at the pair with which the other seeds do best on validation."""
    grid, test = (
        frame.pivot(index=["batch_size", "epoch"], columns="seed", values=f"{split}_accuracy")
        for split in ("validation", "test")
    )
    return pd.Series({s: test.loc[grid.drop(columns=s).mean(axis=1).idxmax(), s] for s in grid})


def full(d: str, control: str, teacher: str = "small") -> pd.Series:
    return mean(table(d, "rival_explanations", "full"), "accuracy", control=control, teacher=teacher, temperature=9)


def control(d: str, name: str, column: str, teacher: str = "small") -> pd.Series:
    return mean(table(d, "rival_explanations", "cells"), column, control=name, teacher=teacher, temperature=9)


def at_equal_accuracy(d: str) -> pd.Series:
    def value(rows: pd.DataFrame) -> float:
        parts = {t: part.sort_values("epoch") for t, part in rows.groupby("teacher")}
        level = min(part.validation_accuracy.max() for part in parts.values())
        nearest = {t: part.iloc[np.argmin(np.abs(part.validation_accuracy - level))] for t, part in parts.items()}
        if abs(nearest["small"].validation_accuracy - nearest["large"].validation_accuracy) > 1:
            return np.nan
        return nearest["small"].student_accuracy - nearest["large"].student_accuracy

    return seeds(table(d, "rival_explanations", "epochs"), value)


def random_shortfall(d: str, number: int) -> pd.Series:
    frame = table(d, "rival_explanations", "selection").query("teacher == 'small' and selection == 'random'")
    most = frame.examples_per_class.max()
    return mean(frame, "validation_accuracy", examples_per_class=most) - mean(
        frame, "validation_accuracy", examples_per_class=number
    )


def similarity_leads(d: str, name: str) -> pd.Series:
    """Rank correlation with a linear classifier's similarities, small minus large, by seed and what else there is."""
    rows = table(d, "similarity_information", name).query(
        "setting == 'default' and split == 'train' and yardstick == 'linear'"
    )
    rows = last(rows)
    if "temperature" in rows:
        rows = rows[rows.temperature.isin(SIX)]
    index = [column for column in ("seed", "temperature") if column in rows]
    both = rows.pivot(index=index, columns="teacher", values="spearman")
    return both["small"] - both["large"]


def against_assistant(d: str) -> pd.Series:
    cost = table(d, "rival_explanations", "assistants")
    frame = table(d, "sweet_spot", "map").query("student == 'general'")
    seen, spent = [], 0.0
    for (size, epoch), rows in frame.sort_values(["batch_size", "epoch"]).groupby(["batch_size", "epoch"]):
        before = max((e for b, e, _ in seen if b == size), default=0)
        spent += (epoch - before) * cost.teacher_epoch_operations[0] + cost.student_operations[0]
        if spent > cost.operations[0]:
            break
        seen.append((size, epoch, rows))
    return at_the_best_of_the_others(pd.concat([rows for *_, rows in seen])) - cost.set_index("seed").accuracy


def partial(rows: pd.DataFrame) -> float:
    ranks = rows[["entropy", "batch_size", "updates"]].rank().to_numpy()
    design = np.column_stack([np.ones(len(ranks)), ranks[:, 2]])
    left = ranks[:, :2] - design @ np.linalg.lstsq(design, ranks[:, :2], rcond=None)[0]
    return float(np.corrcoef(left.T)[0, 1])


def largest_printed_variances(number: int) -> tuple[float, float]:
    labels = printed(number).query("`class` != 6").pivot(index="example", columns="class", values="soft_label")
    return labels.var(axis=1, ddof=0).mean(), labels.var(axis=0, ddof=0).mean()


def smoothing_gradients() -> float:
    """Equation 3 minus equation 4 at T = 1 with a uniform teacher: (1 - a) q + a u, both times, less the softmax."""
    q, alpha = np.eye(10)[3], 0.6
    p = np.full(10, 0.1) + np.linspace(-0.05, 0.05, 10)
    smoothed = p - ((1 - alpha) * q + alpha / 10)
    return float(np.abs(smoothed - ((1 - alpha) * (p - q) + alpha * (p - 0.1))).max())


def counts(d: str) -> int:
    rows = printed(7).query("dataset == @d").dropna(subset="parameters")
    return sum(count_parameters(build_model(row.role, d)) == row.parameters for row in rows.itertuples())


def guess(d: str) -> float:
    return 100 / table(d, "missing_class", "taken_for").predicted.nunique()


def spreads(d: str) -> pd.DataFrame:
    shown, varied = table(d, "entropy", "shown"), table(d, "entropy", "variance").query("temperature == 9")
    return pd.DataFrame(
        {("confidence", t): rows.set_index("seed").eval("high - low") for t, rows in shown.groupby("teacher")}
        | {("labels", t): rows.set_index("seed").column_variance ** 0.5 for t, rows in varied.groupby("teacher")}
    )


def baseline(d: str, teacher: str) -> pd.DataFrame:
    frame = table(d, "sweet_spot", "baseline")
    return frame[frame.teacher == teacher].pivot(index="seed", columns="temperature", values="accuracy")


def baseline_gain(d: str, of: str, to: str) -> pd.Series:
    return (baseline(d, of) - baseline(d, to)).mean(axis=1)


STATISTICS = {
    "temperature-softens": lambda d: over_teachers(d, slope),
    "temperature-raises-others": lambda d: (
        lambda f: (mean(f, "others_raised", teacher="small") + mean(f, "others_raised", teacher="large")) / 2
    )(table(d, "entropy", "position").query("3 < temperature <= 20")),
    "ls-labels": lambda d: np.abs(np.where(printed(1)["class"] == 6, 0.4 + 0.06, 0.06) - printed(1).soft_label).max(),
    "ls-is-rbkd": lambda d: smoothing_gradients(),
    "soft-labels-small": lambda d: mean(table(d, "entropy", "shown"), "mean", teacher="small"),
    "soft-labels-large": lambda d: mean(table(d, "entropy", "shown"), "mean", teacher="large"),
    "soft-labels-difference": lambda d: gap(table(d, "entropy", "shown"), "mean", "large", "small"),
    "examples-differ": spreads,
    "variance-rows": lambda d: variance(d, "row_variance"),
    "variance-columns": lambda d: variance(d, "column_variance"),
    "variance-rows-relative": lambda d: variance(d, "row_relative"),
    "variance-columns-relative": lambda d: variance(d, "column_relative"),
    "variance-rows-printed": lambda d: largest_printed_variances(2)[0] - largest_printed_variances(3)[0],
    "variance-columns-printed": lambda d: largest_printed_variances(2)[1] - largest_printed_variances(3)[1],
    "nonlinear-in-T": lambda d: over_teachers(d, departure),
    "capacity-to-ls": distances,
    "capacity-to-ls-equal-confidence": distances_at_equal_confidence,
    "entropy-order": lambda d: by_temperature(d, "entropy")["small"] - by_temperature(d, "entropy")["large"],
    "large-more-accurate": lambda d: gap(last(table(d, "entropy", "teachers")), "test_accuracy", "large", "small"),
    "counts": counts,
    "small-knows": lambda d: mean(missing(d), "raw", teacher="small") - guess(d),
    "large-fails": lambda d: mean(missing(d), "raw", teacher="large") - guess(d),
    "small-effective-throughout": lambda d: (
        missing(d)
        .query("teacher == 'small'")
        .pivot(index="seed", columns=["missing_class", "temperature"], values="raw")
        - guess(d)
    ),
    "missing-falls-with-T": lambda d: seeds(
        missing(d).query("teacher == 'small'"), lambda r: slope(r.groupby("temperature").raw.mean())
    ),
    "missing-rises-with-T-large": lambda d: seeds(
        missing(d).query("teacher == 'large'"), lambda r: slope(r.groupby("temperature").raw.mean())
    ),
    "missing-needs-similarity": lambda d: gap(missing(d), "corrected") - gap(missing(d), "raw") / 2,
    "missing-gap-after-correction": lambda d: gap(missing(d), "corrected"),
    "missing-through-similarity": lambda d: control(d, "responses", "raw") - control(d, "shuffled", "raw"),
    "entropy-is-similarity-shuffled": lambda d: (
        control(d, "responses", "corrected") - control(d, "shuffled", "corrected")
    ),
    "hard-response-one-class": lambda d: control(d, "hard", "raw"),
    "ls-one-class": lambda d: control(d, "smoothed", "raw"),
    "ls-one-class-corrected": lambda d: control(d, "smoothed", "corrected") - control(d, "shuffled", "corrected"),
    "small-teaches-better": lambda d: gap(
        table(d, "example_efficiency", "cells"), "test_accuracy", full=True, budget="epochs"
    ),
    "one-example-many": lambda d: (
        mean(table(d, "example_efficiency", "cells"), "validation_accuracy", full=True, budget="steps", teacher="small")
        - pd.Series({s: c[10] for s, c in efficiency(d, "small", "steps").items()})
    ),
    "one-example-many-random": lambda d: random_shortfall(d, 10),
    "one-example-many-hundred": lambda d: random_shortfall(d, 100),
    "kd-accelerates": steps_to_level,
    "efficiency-order": lambda d: leads(d, "epochs").mean(axis=1),
    "efficiency-order-equal-steps": lambda d: leads(d, "steps").mean(axis=1),
    "efficiency-order-every-size": lambda d: leads(d, "epochs"),
    "efficiency-equal-steps": lambda d: examples_ratio(d, "large", "small", "steps"),
    "entropy-selects-well": lambda d: leads(d, "epochs", ("entropy", "random"), ("small", "small")).mean(axis=1),
    "gap-grows-with-complexity": lambda d: (
        examples_ratio(d, "large", "small", "epochs") / examples_ratio(BEFORE[d], "large", "small", "epochs")
    ),
    "efficiency-5x": lambda d: examples_ratio(d, "large", "large_sweet", "epochs"),
    "efficiency-5x-equal-steps": lambda d: examples_ratio(d, "large", "large_sweet", "steps"),
    "five-hundred-to-a-hundred": lambda d: pd.Series(
        {
            s: c[100] - efficiency(d, "large", "epochs")[s][500]
            for s, c in efficiency(d, "large_sweet", "epochs").items()
        }
    ),
    "tighter-clusters": lambda d: (
        mean(tight(d), "nc1", teacher="small", setting="default")
        / mean(tight(d), "nc1", teacher="large", setting="default")
    ),
    "tighter-clusters-held-out": lambda d: (
        mean(tight(d, "validation"), "nc1", teacher="small", setting="default")
        / mean(tight(d, "validation"), "nc1", teacher="large", setting="default")
    ),
    "tighter-clusters-silhouette": lambda d: gap(tight(d), "silhouette", "large", "small", setting="default"),
    "spread-again-4096x50-silhouette": lambda d: silhouette_lost(d, large_settings(d)[0]),
    "spread-again-8192x40-silhouette": lambda d: silhouette_lost(d, large_settings(d)[1]),
    "spread-again-4096x50": lambda d: spread(d, large_settings(d)[0], "default"),
    "spread-again-8192x40": lambda d: spread(d, large_settings(d)[1], "default"),
    "spread-alike": lambda d: spread(d, large_settings(d)[1], large_settings(d)[0]),
    "optimal-batch-exists": inner_batch_size,
    "entropy-batch-beyond-updates": lambda d: seeds(
        table(d, "sweet_spot", "entropy").query("temperature == 9"), partial
    ),
    "many-sweet-spots": lambda d: chosen_on_others(search(d, "general"), other_batch_size),
    "spot-depends-on-pair": own_pair,
    "baseline-student": lambda d: baseline_gain(d, "large_sweet", "large"),
    "baseline-student-every-T": lambda d: baseline(d, "large_sweet") - baseline(d, "large"),
    "sweet-spot-general": lambda d: sweet_general(d) - full(d, "responses", "large"),
    "sweet-spot-general-labels-alone": lambda d: sweet_general(d) - full(d, "hard"),
    "improvement-differs-by-pair": lambda d: search_gain(d, "general") - search_gain(d, "baseline"),
    "gap-offset": lambda d: baseline_gain(d, "large_sweet", "large") - baseline_gain(d, "small", "large") / 2,
    "gap-not-root-cause": at_equal_accuracy,
    "every-experiment-improves": lambda d: gap(table(d, "sweet_spot", "missing"), "raw", "large_sweet"),
    "every-experiment-improves-corrected": lambda d: gap(table(d, "sweet_spot", "missing"), "corrected", "large_sweet"),
    "no-similarity-is-ls": lambda d: full(d, "shuffled") - full(d, "smoothed"),
    "less-similarity-more-regularization": lambda d: (
        2 * full(d, "smoothed", "large") - full(d, "hard") - full(d, "responses", "large")
    ),
    "assistants-improve": lambda d: (
        table(d, "rival_explanations", "assistants").set_index("seed").eval("accuracy - direct_accuracy")
    ),
    "assistants-cost-more": lambda d: (
        table(d, "rival_explanations", "assistants").set_index("seed").eval("operations / direct_operations")
    ),
    "sweet-spot-beats-assistants": against_assistant,
    "lost-similarity-linear": lambda d: similarity_leads(d, "agreement").unstack("temperature"),
    "lost-similarity-linear-without-temperature": lambda d: similarity_leads(d, "temperature_free"),
}
STATISTICS |= dict.fromkeys(("missing-mnist", "missing-fashion", "missing-cifar10"), lambda d: gap(missing(d), "raw"))
STATISTICS |= dict.fromkeys(
    ("efficiency-10x", "efficiency-15x", "efficiency-18x"), lambda d: examples_ratio(d, "large", "small", "epochs")
)
# Claims on other systems: whose student, and than whose it does better, as their definitions name them.
SYSTEMS = {
    "residual-effective": ("residual", "labels_alone"),
    "tfkd-self-gain": ("tfkd_self", "labels_alone"),
    "label-smoothing-gain": ("label_smoothing", "labels_alone"),
    "alr-gain": ("alr", "labels_alone"),
    "ols-gain": ("ols", "label_smoothing"),
    "residual-gain": ("residual", "rbkd"),
    "class-distance-gain": ("class_distance", "rbkd"),
    "early-stopped-teacher-gain": ("early_stopped_teacher", "rbkd"),
    "half-way-gain": ("half_way_checkpoint", "rbkd"),
    "snapshots-gain": ("snapshots", "half_way_checkpoint"),
    "ctkd-gain": ("ctkd", "kd"),
    "kd-gain": ("kd", "labels_alone"),
    "dkd-gain": ("dkd", "kd"),
    "rld-gain": ("rld", "dkd"),
    "abkd-gain": ("abkd", "kd"),
    "ttm-gain": ("ttm", "kd"),
    "wttm-gain": ("wttm", "ttm"),
    "wsl-gain": ("wsl", "kd"),
    "logit-standardization-gain": ("logit_standardization", "kd"),
    "normkd-gain": ("normkd", "kd"),
    "skd-gain": ("skd", "kd"),
    "dist-gain": ("dist", "kd"),
    "logit-regression-gain": ("logit_regression", "labels_alone"),
}
VARIANTS = {
    "teacher-free-limit": ("tfkd_self", "itself", "small_teacher"),
    "residual-beyond-ensemble": ("residual", "progressive", "ensemble"),
    "class-distance-features": ("class_distance", "features", "plain_features"),
}


def by_default(d: str) -> pd.DataFrame:
    """Students at default weights, of the large teacher or of none, trained for the common length."""
    frame = table(d, "related_systems", "cells")
    return frame[(frame.weights == "default") & frame.teacher.isin(["large", "none"]) & (frame.length == 1)]


def nearest_to_the_mean(rows: pd.DataFrame) -> float:
    ordered = rows.sort_values("distance")
    return ordered.accuracy.iloc[0] - ordered.accuracy.mean()


def few(d: str) -> pd.DataFrame:
    frame = by_default(d)
    return frame[frame.examples_per_class == frame.examples_per_class.min()]


STATISTICS |= {
    claim: lambda d, of=of, over=over: (
        mean(by_default(d), "accuracy", full=True, system=of) - mean(by_default(d), "accuracy", full=True, system=over)
    )
    for claim, (of, over) in SYSTEMS.items()
}
STATISTICS |= {
    claim: lambda d, s=s, of=of, over=over: (
        mean(table(d, "related_systems", "variants"), "accuracy", system=s, variant=of)
        - mean(table(d, "related_systems", "variants"), "accuracy", system=s, variant=over)
    )
    for claim, (s, of, over) in VARIANTS.items()
}


def of_tfkd_reg(d: str, variant: str) -> pd.Series:
    return mean(table(d, "related_systems", "variants"), "accuracy", system="tfkd_reg", variant=variant)


def alone(d: str) -> pd.Series:
    return mean(by_default(d), "accuracy", full=True, system="labels_alone")


STATISTICS |= {
    "tfkd-reg-gain": lambda d: of_tfkd_reg(d, "code") - alone(d),
    "tfkd-formula-and-code": lambda d: (
        (of_tfkd_reg(d, "formula") - of_tfkd_reg(d, "code")) / np.minimum(100 - alone(d), 5)
    ),
    "takd-gain": lambda d: (
        mean(table(d, "related_systems", "assistants"), "accuracy", nearest=True)
        - mean(table(d, "related_systems", "variants"), "accuracy", variant="direct")
    ),
    "takd-taught": lambda d: (
        mean(table(d, "related_systems", "assistants"), "accuracy", nearest=True)
        - mean(table(d, "related_systems", "assistants"), "untaught_accuracy", nearest=True)
    ),
    "eskd-gain": lambda d: pd.DataFrame(
        {
            other: mean(by_default(d), "accuracy", full=True, system="eskd")
            - mean(by_default(d), "accuracy", full=True, system=other)
            for other in ("rbkd", "labels_alone")
        }
    ),
    "mcmi-gain": lambda d: mean(few(d), "accuracy", system="mcmi") - mean(few(d), "accuracy", system="rbkd"),
    "residual-compute": lambda d: (
        mean(table(d, "related_systems", "variants"), "operations_total", variant="progressive")
        / mean(table(d, "related_systems", "variants"), "operations_total", variant="direct")
    ),
    "takd-nearest-mean": lambda d: seeds(table(d, "related_systems", "assistants"), nearest_to_the_mean),
    "class-distance-tightens": lambda d: (
        mean(table(d, "related_systems", "clusters"), "nc1", teacher="class_distance")
        / mean(table(d, "related_systems", "clusters"), "nc1", teacher="plain")
    ),
    "smoothed-teacher-teaches-worse": lambda d: (
        mean(table(d, "related_systems", "variants"), "accuracy", variant="direct")
        - mean(table(d, "capacity", "teachers"), "student_accuracy", teacher="large_smoothed")
    ),
}
PREMISES = {
    "information_gained_by_mcmi": lambda d: (
        mean(table(d, "related_systems", "clusters"), "information", teacher="mcmi")
        - mean(table(d, "related_systems", "clusters"), "information", teacher="plain")
    ),
    "accuracy_of_a_smoothed_teacher_over_the_plain_one": lambda d: (
        mean(table(d, "capacity", "teachers"), "validation_accuracy", teacher="large_smoothed")
        - mean(table(d, "capacity", "teachers"), "validation_accuracy", teacher="large")
    ),
    "confidence_lead_of_the_large_teacher": lambda d: gap(responses(d), "confidence", "large", "small", temperature=9),
    "mean_confidence_lead_of_the_large_teacher": lambda d: gap(responses(d), "confidence", "large", "small"),
    "missing_class_accuracy_above_chance_small": STATISTICS["small-knows"],
    "missing_class_accuracy_difference": STATISTICS["missing-mnist"],
    "entropy_lead_of_the_small_teacher": lambda d: gap(responses(d), "entropy", temperature=9),
    "teacher_test_accuracy_difference": STATISTICS["large-more-accurate"],
    "baseline_student_lead_of_the_small_teacher": lambda d: baseline_gain(d, "small", "large"),
    "gain_of_kd_over_labels_alone": STATISTICS["kd-gain"],
    "responses_gain_over_hard_labels_large": lambda d: full(d, "responses", "large") - full(d, "hard"),
    "nc1_ratio": STATISTICS["tighter-clusters"],
    "student_accuracy_difference_at_the_last_epoch": lambda d: gap(
        last(table(d, "rival_explanations", "epochs")), "student_accuracy"
    ),
}


def similarity_cells(d: str, against: str) -> dict[int, list[tuple]]:
    cells = missing(d).groupby(["seed", "teacher", "temperature"])[["raw", "teacher_entropy"]].mean().reset_index()
    cells = cells.merge(table(d, "entropy", "variance"), on=["seed", "teacher", "temperature"])
    return {s: [(rows[against].tolist(), rows.raw.tolist())] for s, rows in cells.groupby("seed")}


def within_teachers(d: str) -> dict[int, list[tuple]]:
    cells = missing(d).groupby(["seed", "teacher", "temperature"])[["raw", "teacher_entropy"]].mean().reset_index()
    return {
        s: [(part.teacher_entropy.tolist(), part.raw.tolist()) for _, part in rows.groupby("teacher")]
        for s, rows in cells.groupby("seed")
    }


def of_settings(d: str, column: str) -> dict[int, list[tuple]]:
    frame = table(d, "rival_explanations", "settings").groupby(["seed", "teacher", "setting"])[["nc1", column]].mean()
    return {s: [(rows.nc1.tolist(), rows[column].tolist())] for s, rows in frame.groupby("seed")}


def epochs_to_confidence(d: str) -> dict[int, list[tuple]]:
    found = {}
    for s, rows in table(d, "sweet_spot", "entropy").query("temperature == 9").groupby("seed"):
        level = rows[rows.epoch == rows.groupby("batch_size").epoch.transform("max")].confidence.min()
        first = rows[rows.confidence >= level].groupby("batch_size").epoch.min()
        found[s] = [(first.index.tolist(), first.tolist())]
    return found


def entropy_along(d: str, fixed: str, wanted: float, along: str) -> dict[int, list[list[tuple]]]:
    """One teacher's entropies at the six temperatures, which go together in a permutation."""
    frame = table(d, "sweet_spot", "entropy")
    frame = frame[frame.temperature.isin(SIX)]
    frame = frame[frame[fixed] == min(set(frame[fixed]), key=lambda value: (abs(value - wanted), value))]
    return {
        s: [
            [
                (part[along].tolist(), part.entropy.tolist())
                for _, part in rows.sort_values(along).groupby("temperature")
            ]
        ]
        for s, rows in frame.groupby("seed")
    }


RANKED = {
    "more-variance-better": lambda d: similarity_cells(d, "row_variance"),
    "entropy-is-similarity": lambda d: similarity_cells(d, "teacher_entropy"),
    "entropy-is-similarity-within-teacher": within_teachers,
    "spread-means-similarity": lambda d: {
        s: [(rows.nc1.tolist(), rows.entropy.tolist())] for s, rows in tight(d).groupby("seed")
    },
    "spread-means-similarity-missing": lambda d: of_settings(d, "raw"),
    "spread-means-similarity-missing-corrected": lambda d: of_settings(d, "corrected"),
    "more-epochs-for-big-batches": epochs_to_confidence,
    "entropy-up-with-batch": lambda d: entropy_along(d, "epoch", 50, "batch_size"),
    "entropy-down-with-epochs": lambda d: entropy_along(d, "batch_size", 4096, "epoch"),
}


def printed_cells(d: str) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Ranks [class, temperature] of the printed cells and, by seed, of those that were measured; small teacher."""
    paper = printed(PRINTED_CELLS[d]).query("teacher == 'small'")
    grids = {"paper": paper.pivot(index="missing_class", columns="temperature", values="accuracy_percent")}
    for s, rows in missing(d).query("teacher == 'small'").groupby("seed"):
        grids[s] = rows.pivot(index="missing_class", columns="temperature", values="raw")
    ranks = {k: stats.rankdata(grid.to_numpy()).reshape(grid.shape) for k, grid in grids.items()}
    return ranks.pop("paper"), ranks


def correlations(d: str, claim: str) -> tuple[pd.Series, float, float]:
    """Rank correlation of each seed, and how much of the orders give a sum as large, and as small."""
    if claim == "order-of-printed-cells":
        return of_printed_cells(d)
    values, parts = {}, []  # of what is permuted by itself: ranks of x, and standard ranks of y
    for seed, own in RANKED[claim](d).items():
        own = [part if isinstance(part, list) else [part] for part in own]
        values[seed] = np.mean([np.mean([stats.spearmanr(*pair).statistic for pair in part]) for part in own])
        for part in own:
            y = sum(standard(stats.rankdata(pair[1])) for pair in part)
            parts.append((stats.rankdata(part[0][0]), y / len(part) / len(own)))
    found = sum(values.values())
    if all(len(x) <= 7 for x, _ in parts):
        total = Counter({0.0: 1.0})
        for x, y in parts:
            share = 1 / math.factorial(len(x))
            own = Counter()
            for order in itertools.permutations(x):
                own[round(float(standard(np.array(order)) @ y), 9)] += share
            total = add(total, own)
        above = sum(p for k, p in total.items() if k >= found - 1e-6)
        return pd.Series(values), above, sum(p for k, p in total.items() if k <= found + 1e-6)
    random = np.random.default_rng(7)
    sums = sum(random.permuted(np.tile(standard(x), (20_000, 1)), axis=1) @ y for x, y in parts)
    return pd.Series(values), float((sums >= found - 1e-9).mean()), float((sums <= found + 1e-9).mean())


def of_printed_cells(d: str) -> tuple[pd.Series, float, float]:
    """The same over 60 cells, of which whole classes change places."""
    paper, measured = printed_cells(d)
    random = np.random.default_rng(7)
    values = {seed: np.corrcoef(paper.ravel(), ranks.ravel())[0, 1] for seed, ranks in measured.items()}
    sums = np.zeros(4000)
    for ranks in measured.values():
        orders = (paper[random.permutation(len(paper))].ravel() for _ in sums)
        sums += [np.corrcoef(order, ranks.ravel())[0, 1] for order in orders]
    found = sum(values.values())
    return pd.Series(values), float((sums >= found - 1e-9).mean()), float((sums <= found + 1e-9).mean())


def standard(ranks: np.ndarray) -> np.ndarray:
    """With mean 0 and length 1, so that a product of two is their correlation."""
    centred = ranks - ranks.mean()
    return centred / np.sqrt(centred @ centred)


def add(one: dict[float, float], other: dict[float, float]) -> Counter:
    total: Counter = Counter()
    for (a, p), (b, q) in itertools.product(one.items(), other.items()):
        total[round(a + b, 6)] += p * q
    return total


def interval(values: pd.Series, things: int = 1, spread: float = 1) -> tuple[float, float]:
    values = np.asarray(values, dtype=float)
    half = spread * stats.t.ppf(1 - 0.025 / things, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return values.mean() - half, values.mean() + half


# Claims whose pair of batch size and epoch (or what they hold against it) the other seeds choose.
CHOSEN = (
    *("optimal-batch-exists", "many-sweet-spots", "spot-depends-on-pair", "improvement-differs-by-pair"),
    *("sweet-spot-general", "sweet-spot-general-labels-alone", "sweet-spot-beats-assistants"),
)


@cache
def by_choosing(seeds: int) -> float:
    """By what the t statistics of pure noise, among whose 28 pairs the others choose, have to be divided to be t.

    From their 95% quantile; by drawing, and not by the formula of the package.
    """
    random, found = np.random.default_rng(11), []
    for _ in range(20_000):
        noise = random.standard_normal((28, seeds))
        own = [noise[(noise.sum(axis=1) - noise[:, s]).argmax(), s] - noise[:, s].mean() for s in range(seeds)]
        found.append(abs(np.mean(own)) / np.std(own, ddof=1) * math.sqrt(seeds))
    return float(np.quantile(found, 0.95) / stats.t.ppf(0.975, seeds - 1))


def spread_of(entry: dict, values: pd.Series) -> float:
    return by_choosing(len(values)) if entry.get("id") in CHOSEN else 1.0


def on_sides(values: pd.Series, entry: dict, null: float, things: int = 1) -> tuple[bool, bool]:
    """Whether the interval lies wholly on the claimed side, and wholly on the other."""
    low, high = interval(values, things, spread_of(entry, values))
    above, below = low > null, high < null
    return (above, below) if entry["side"] == "greater" else (below, above)


def of_direction(d: str, entry: dict, values: pd.Series) -> str:
    ratio = entry["unit"] == "ratio"
    values, null = (np.log(values), math.log(entry["null_value"])) if ratio else (values, entry["null_value"])
    holds, fails = on_sides(values, entry, null)
    if entry["id"] == "kd-accelerates":
        low, high = interval(values)
        less, more = an_epoch_less(d)
        holds, fails = low > null + less + 1e-9, high < null - more - 1e-9
    if entry["id"] in RANKED or entry["id"] == "order-of-printed-cells":
        _, above, below = correlations(d, entry["id"])
        chance = (above, below) if entry["side"] == "greater" else (below, above)
        holds, fails = (side and 2 * p <= 0.05 for side, p in zip((holds, fails), chance, strict=True))
    if not holds:
        return "contradicted" if fails else "undecided"
    if entry["value"] is None:
        return "reproduced"
    if d not in entry["value"]:
        return "direction only"
    size = entry["value"][d]
    size, found = (math.log(size), values.mean()) if ratio else (size, values.mean())
    wrong_side = (size > null) != (entry["side"] == "greater")
    reached = found >= size if entry["side"] == "greater" else found <= size
    return "reproduced" if reached or wrong_side else "direction only"


def of_equivalence(entry: dict, values: pd.Series) -> str:
    m = entry["margin"]
    low, high = entry["null_value"] - m, entry["null_value"] + m
    if entry["unit"] == "ratio":
        values, low, high = np.log(values), -math.log(1 + m), math.log(1 + m)
    a, b = interval(values, spread=spread_of(entry, values))
    inside, outside = low <= a and b <= high, b < low or a > high
    if entry["kind"] == "difference":
        inside, outside = outside, inside
    return "reproduced" if inside else "contradicted" if outside else "undecided"


def of_every(entry: dict, values: pd.DataFrame) -> str:
    sides = [on_sides(column.dropna(), entry, entry["null_value"], values.shape[1]) for _, column in values.items()]
    if all(holds for holds, _ in sides):
        return "reproduced"
    return "contradicted" if any(fails for _, fails in sides) else "undecided"


def verdict(d: str, entry: dict) -> str:
    """By the wording of RULES.md."""
    if entry["kind"] == "not_tested":
        return "not tested"
    if entry["id"] in RANKED or entry["id"] == "order-of-printed-cells":
        values = correlations(d, entry["id"])[0]
    else:
        values = STATISTICS[entry["id"]](d)
    if np.ndim(values) and len(values.dropna()) == 1:
        return "one seed, no verdict"
    match entry["kind"]:
        case "exact":
            size = entry["value"][d] if isinstance(entry["value"], dict) else entry["value"]
            found = "reproduced" if abs(values - size) <= entry["margin"] else "contradicted"
        case "existence":
            found = "reproduced" if values > entry["null_value"] else "contradicted"
        case "every":
            found = of_every(entry, values)
        case "direction":
            found = of_direction(d, entry, values.dropna())
        case _:
            found = of_equivalence(entry, values.dropna())
    return with_premise(d, entry["premise"], found) if entry.get("premise") else found


def with_premise(d: str, premise: dict, found: str) -> str:
    try:
        values = PREMISES[premise["statistic"]](d).dropna()
    except FileNotFoundError:  # its tables were not run
        return "no verdict"
    if len(values) < 2:
        return "no verdict"
    null = premise["null_value"]
    if premise["unit"] == "ratio":
        values, null = np.log(values), math.log(null)
    holds, _ = on_sides(values, premise, null)
    return found if holds else "premise not met"


def published(d: str) -> dict[str, dict[str, pd.DataFrame]]:
    found: dict[str, dict[str, pd.DataFrame]] = {}
    for path in (ROOT / "results" / d).glob("*/*.csv"):
        found.setdefault(path.parent.name, {})[path.stem] = pd.read_csv(path)
    return found


@pytest.fixture(scope="module")
def tables() -> dict[str, dict]:
    return {d: published(d) for d in DATASETS}


@pytest.mark.parametrize("d", DATASETS)
def test_a_second_computation_from_the_tables_agrees_on_every_verdict(d, tables):
    judged = evaluate(d, tables[d], {other: part for other, part in tables.items() if other != d})
    ours = {v.claim: v.verdict for v in judged if v.verdict != "not yet run"}
    own = [e for e in ENTRIES if e["id"] in ours]
    assert {e["id"] for e in ENTRIES if d in e["datasets"] and (ROOT / "results" / d / e["notebook"]).is_dir()} == set(
        ours
    )
    assert {e["id"]: verdict(d, e) for e in own} == ours


@pytest.mark.parametrize("d", DATASETS)
def test_a_second_computation_agrees_where_the_tables_of_a_premise_were_not_run(d, tables, monkeypatch):
    read = table

    def without_entropy(dataset: str, section: str, name: str) -> pd.DataFrame:
        if section == "entropy":
            raise FileNotFoundError
        return read(dataset, section, name)

    monkeypatch.setitem(globals(), "table", without_entropy)
    judged = evaluate(d, {section: part for section, part in tables[d].items() if section != "entropy"})
    ours = {v.claim: v.verdict for v in judged if v.verdict != "not yet run"}
    own = [entry for entry in ENTRIES if entry["id"] in ours and entry.get("premise")]
    assert {entry["id"]: verdict(d, entry) for entry in own} == {entry["id"]: ours[entry["id"]] for entry in own}
    unknown = {entry["id"] for entry in own if ours[entry["id"]] == "no verdict"}
    tighter = {"tighter-clusters", "tighter-clusters-held-out", "tighter-clusters-silhouette"}
    assert unknown == {"small-teaches-better", *tighter} < {entry["id"] for entry in own}


@pytest.mark.parametrize("d", DATASETS)
def test_a_second_computation_agrees_on_what_stands_among_all_claims(d, tables):
    """Benjamini and Hochberg's procedure in its own words, each way: the largest k with p(k) at most 0.05 k / m."""
    judged = [v for v in evaluate(d, tables[d], {o: t for o, t in tables.items() if o != d}) if v.adjusted is not None]
    stand = set()
    for side, decided in enumerate((("reproduced", "direction only"), ("contradicted",))):
        p = sorted(v.tails[side] for v in judged)
        k = max((i for i, value in enumerate(p, 1) if value <= 0.05 * i / len(p)), default=0)
        cut = p[k - 1] if k else -1.0
        stand |= {v.claim for v in judged if v.tails[side] <= cut and v.verdict in decided}
    assert {v.claim for v in judged if v.stands} == stand


@pytest.mark.parametrize("d", ["fashion_mnist", "cifar10"])
def test_a_verdict_with_a_seed_left_out_is_that_of_tables_without_it(d, tables):
    """Of the search, where other seeds choose, and of the responses, whose claims have premises."""

    def judged(own: dict[str, dict[str, pd.DataFrame]]) -> dict:
        return {v.claim: v for v in evaluate(d, own, claims=claims)}

    claims = [c for c in load_claims() if c.notebook in ("sweet_spot", "entropy") and c.kind in ("direction", "every")]
    whole = judged(tables[d])
    told = {(claim, seed): other for claim, v in whole.items() for seed, other in v.left_out}
    assert len(told) > 5
    for seed in range(3):
        without = judged(
            {s: {n: t[t.seed != seed] if "seed" in t else t for n, t in part.items()} for s, part in tables[d].items()}
        )
        for claim, v in whole.items():
            if v.tails is not None:
                assert told.get((claim, seed), v.verdict) == without[claim].verdict, (claim, seed)


def test_a_second_computation_agrees_on_every_claim_on_other_systems(monkeypatch):
    """On made-up tables, whose seeds are made to differ, as long as none are published."""
    random = np.random.default_rng(3)
    made_up = {"related_systems": related_systems_tables(), "capacity": capacity_tables()}
    for part in made_up.values():
        for frame in part.values():
            for column in {"accuracy", "nc1", "student_accuracy", "information"} & set(frame):
                frame[column] += random.uniform(0, 3, len(frame))
    monkeypatch.setitem(globals(), "table", lambda d, section, name: made_up[section][name])
    own = [entry for entry in ENTRIES if entry["notebook"] == "related_systems"]
    ours = {v.claim: v.verdict for v in evaluate("mnist", made_up)}
    assert {e["id"]: verdict("mnist", e) for e in own} == {e["id"]: ours[e["id"]] for e in own}
    assert len({ours[e["id"]] for e in own}) > 2

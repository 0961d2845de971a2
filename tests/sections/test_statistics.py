"""Each statistic on small made-up tables with a known answer, and the examples ratio of two curves."""

import csv
import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas import DataFrame, Series, read_csv
from scipy import stats

from kdlib.claims.claims import judge, load_claims
from kdlib.claims.controls import load_controls
from kdlib.claims.registry import STATISTICS, Tables
from kdlib.claims.rows import slope, spearman
from kdlib.data.paper import missing_class_table
from kdlib.paths import paper_dir, project_root
from kdlib.sections.entropy.statistics import departure_from_a_line, gradient_difference
from kdlib.sections.example_efficiency.statistics import examples_ratio_of_curves
from kdlib.sections.penultimate_layer.statistics import settings_of_large
from kdlib.sections.related_systems.arms import DEFAULT, LABELS
from kdlib.sections.related_systems.statistics import GAINS

SEEDS = (0, 1, 2)
SIX = (3, 6, 9, 12, 15, 20)
TEMPERATURES = (2, *SIX)  # 2 is none of the paper's and holds values that must not count
SIZES = (5, 10, 50, 500, 5000)
MEAN_T = sum(SIX) / 6


def frame(columns: str, *rows: tuple) -> DataFrame:
    return DataFrame(list(rows), columns=columns.split())


def entropy_tables() -> dict[str, DataFrame]:
    teachers = frame(
        "seed teacher epoch train_accuracy test_accuracy",
        *[(s, t, 1, 50.0, math.nan) for s in SEEDS for t in ("small", "large")],
        *[(s, t, 2, 96.0 + s, 97 if t == "small" else 98 + s) for s in SEEDS for t in ("small", "large")],
    )

    def responses(s: int, teacher: str, epoch: int, temperature: int, split: str) -> tuple[float, float]:
        if (epoch, split) != (2, "train") or temperature == 2:
            return -5.0 * (teacher == "small"), 0.5
        if teacher == "small":
            return 0.1 * temperature + 0.3, 0.9 - 0.02 * temperature
        return 0.09 * temperature + 0.1 * s, 0.9 - 0.01 * (1 + s) * temperature

    grid = list(product(SEEDS, ("small", "large"), (1, 2), TEMPERATURES, ("train", "validation")))
    entropy = frame("seed teacher epoch temperature split entropy confidence", *[(*k, *responses(*k)) for k in grid])
    grid = list(product(SEEDS, ("small", "large"), TEMPERATURES))
    variance = frame(
        "seed teacher temperature row_variance column_variance row_relative column_relative",
        *[
            (s, t, T, (2 + s) * T / 9, 4.0 * T, 1.0, 3.0) if t == "small" else (s, t, T, T / 9, 8.0 * T, 5.0, 1 + s)
            for s, t, T in grid
        ],
    )
    position = frame(
        "seed teacher temperature confidence distance_to_label_smoothing others_raised",
        *[
            (
                s,
                t,
                T,
                0.9 - 0.02 * T + 0.06 * (t == "large"),  # what the small teacher has at T, the large has at T + 3
                math.exp(-T / 10) * (2 + s if t == "small" else 1),
                math.nan if T == 2 else 0.0 if T == 3 else 0.5 + 0.1 * s if t == "small" else 0.7,
            )
            for s, t, T in grid
        ],
    )
    shown = frame(
        "seed teacher mean low high",
        *[(s, "small", 0.2 + 0.01 * s, 0.1, 0.3) for s in SEEDS],
        *[(s, "large", 0.4, 0.2, 0.5) for s in SEEDS],
    )
    return {"teachers": teachers, "entropy": entropy, "variance": variance, "position": position, "shown": shown}


def similarity_information_tables() -> dict[str, DataFrame]:
    """What must not count, another setting, epoch, split or temperature, speaks for the large teacher."""
    read_on = {"cifar10h": "test", "cifar10n": "train", "linear": "train"}

    def correlation(s: int, teacher: str, setting: str, epoch: int, split: str, yardstick: str, T: int) -> float:
        if (setting, epoch, split) != ("default", 2, read_on[yardstick]) or T == 2:
            return -0.9 if teacher == "small" else 0.9
        if teacher == "small":
            return 0.9 - 0.01 * T
        return 0.2 + 0.01 * s + {"cifar10h": 0, "cifar10n": 0.05, "linear": 0.6}[yardstick]

    def without_temperature(s: int, teacher: str, setting: str, epoch: int, split: str, yardstick: str) -> float:
        if (setting, epoch, split) != ("default", 2, read_on[yardstick]):
            return -0.9 if teacher == "small" else 0.9
        return 0.6 if teacher == "small" else 0.3 + 0.1 * s * (yardstick == "linear")

    where = list(product(SEEDS, ("small", "large"), ("default", "64x1"), (1, 2), ("train", "test"), read_on))
    images = [
        (s, t, setting, T, yardstick, -9.0 * (t == "small"))
        if (setting, yardstick) != ("default", "cifar10h") or T == 2
        else (s, t, setting, T, yardstick, 0.01 * T if t == "small" else 0.002 * T * (1 + s))
        for s, t, setting, T, yardstick in product(
            SEEDS, ("small", "large"), ("default", "64x1"), TEMPERATURES, ("cifar10h", "linear")
        )
    ]
    columns = "seed teacher setting epoch split yardstick"
    return {
        "agreement": frame(
            f"{columns} temperature spearman", *[(*k, T, correlation(*k, T)) for k in where for T in TEMPERATURES]
        ),
        "temperature_free": frame(f"{columns} spearman", *[(*k, without_temperature(*k)) for k in where]),
        "images": frame("seed teacher setting temperature yardstick lead", *images),
        "fit": frame(
            "seed teacher setting yardstick most most_at",
            *[
                (s, t, setting, name, 0.5 - 0.1 * s if t == "small" else 0.2, 2.0 if t == "small" else 6.0)
                if (setting, name) == ("default", "cifar10h")
                else (s, t, setting, name, -9.0 * (t == "small"), 1.0)
                for s, t, setting, name in product(
                    SEEDS, ("small", "large"), ("default", "64x1"), ("cifar10h", "linear")
                )
            ],
        ),
    }


def missing_class_tables() -> dict[str, DataFrame]:
    def cell(s: int, teacher: str, missing_class: int, temperature: int) -> tuple[float, float, float]:
        if temperature == 2:
            return 0.0, 100.0 * (teacher == "large"), 50.0
        if teacher == "small":
            return 90.0 - temperature + missing_class + s, 80.0, 0.2 * temperature
        return 10.0 + 0.5 * temperature + missing_class, 50.0 - 10 * s, 0.1 * temperature

    grid = list(product(SEEDS, ("small", "large"), range(5), TEMPERATURES))
    return {
        "cells": frame(
            "seed teacher missing_class temperature raw corrected teacher_entropy", *[(*k, *cell(*k)) for k in grid]
        ),
        "taken_for": frame(
            "seed teacher missing_class predicted percent", *[(0, "small", 0, c, 10.0) for c in range(10)]
        ),
    }


def example_efficiency_tables(shift: float = 10) -> dict[str, DataFrame]:
    """The large teacher's curve lies a factor `shift` (1 + seed) to the right of the small teacher's."""
    cells = []
    for s in SEEDS:
        right = {"small": 1, "large": shift * (1 + s), "large_sweet": 2}
        for t, n, budget, selection in product(right, SIZES, ("epochs", "steps"), ("entropy", "random")):
            factor = right[t] ** 2 if budget == "steps" else right[t]
            penalty = (1 + s) * (selection == "random")
            cells.append((s, t, n, False, selection, budget, 50 + 10 * math.log10(n / factor) - penalty, 0.0, 150))
        for t, budget in product(right, ("epochs", "steps")):
            tested = {"small": 95.0, "large": 94.0 - s, "large_sweet": 0.0}[t] + 50 * (budget == "steps")
            cells.append((s, t, 5500, True, "entropy", budget, 99.0, tested, 150))
    steps = [
        (s, t, level, steps)
        for s in SEEDS
        for t, reached in (("small", (10, 20, 30, math.nan)), ("large", (20, 40 * (1 + s), math.nan, math.nan)))
        for level, steps in zip((80, 90, 95, 99), reached, strict=True)
    ]
    columns = "seed teacher examples_per_class full selection budget validation_accuracy test_accuracy steps"
    return {
        "cells": frame(columns, *cells),
        "steps_to_level": frame("seed teacher level steps", *steps),
        "chosen": frame("student updates", ("general", 6)),
    }


def penultimate_layer_tables() -> dict[str, DataFrame]:
    rows = []
    for s in SEEDS:
        rows += [
            (s, "small", "default", "train", 2.0 + s, 0.5 - 0.1 * s, 1.2),
            (s, "large", "default", "train", 1.0, 0.6, 0.8),
            (s, "small", "default", "validation", 3.0, 0.0, 1.2),
            (s, "large", "default", "validation", 2.0 + s, 0.0, 0.8),
            (s, "large", "128x2", "train", 20.0 * (1 + s), 0.1 * s, 1.9),
            (s, "large", "128x2", "validation", 5.0, 0.0, 1.9),
            (s, "large", "64x1", "train", 10.0, 0.2, 2.0),
        ]
    tightness = frame("seed teacher setting split nc1 silhouette entropy", *rows)
    return {"tightness": tightness.assign(updates=110)}


def sweet_spot_tables() -> dict[str, DataFrame]:
    confidence = {64: (0.5, 0.8, 0.9), 128: (0.4, 0.7, 0.85), 256: (0.3, 0.6, 0.8)}
    entropy = {64: (2.0, 6.6, 11.2), 128: (-0.7, 1.9, 1.5), 256: (-3.4, 2.2, 1.8)}
    learned = {64: (80, 87, 70), 128: (85, 89, 70), 256: (70, 88, 70)}
    rows = [
        (s, b, e, 1024 * e // b, T, entropy[b][i] + (T - 9) / 100, confidence[b][i] - 0.01 * (T - 9))
        + (learned[b][i] + s * (b == 128),)
        for s, b, (i, e), T in product(SEEDS, confidence, enumerate((1, 2, 4)), SIX)
    ]
    general = {(64, 1): 80, (64, 2): 87, (128, 1): 89, (256, 1): 70, (256, 2): 88}
    baseline = {(64, 1): 70, (64, 2): 65, (128, 1): 61, (128, 2): 60, (256, 1): 55, (256, 2): 50}
    pairs = []
    for s in SEEDS:
        pairs += [(s, *pair, "general", value) for pair, value in {**general, (128, 2): 89 + s}.items()]
        pairs += [(s, *pair, "baseline", value) for pair, value in baseline.items()]
    accuracies = []
    for s, T in product(SEEDS, (3, 9)):
        small = 50.0 if s == 2 else 70.0
        accuracies += [(s, "small", T, small), (s, "large", T, 60.0), (s, "large_sweet", T, 60.0 + T + s)]
    accuracies += [(s, "none", 9, 65.0 + s) for s in SEEDS]
    missing = [
        (s, t, c, T, 0.0 if T == 2 else raw, 0.0 if T == 2 else corrected)
        for s, c, T in product(SEEDS, (0, 1), TEMPERATURES)
        for t, raw, corrected in (("large", 10.0, 60.0), ("large_sweet", 15.0 + s, 40.0))
    ]
    return {
        "entropy": frame("seed batch_size epoch updates temperature entropy confidence validation_accuracy", *rows),
        "map": frame("seed batch_size epoch student validation_accuracy", *pairs).assign(
            test_accuracy=lambda table: table["validation_accuracy"] - 1
        ),
        "baseline": frame("seed teacher temperature accuracy", *accuracies),
        "missing": frame("seed teacher missing_class temperature raw corrected", *missing),
        "chosen": frame(
            "student batch_size epoch updates teacher_accuracy",
            ("general", 128, 2, 6, 16.4),
            ("baseline", 64, 1, 9, 74.8),
        ),
    }


def capacity_tables() -> dict[str, DataFrame]:
    """Teachers of names, parameters, entropy, NC1 (before, after), raw and corrected accuracy on a missing class."""
    known = [
        ("small", 50, 1.5, 4.0, 9.0, 90.0, 80.0),
        ("large", 100, 1.0, 1.0, 1.0, 10.0, 60.0),
        ("large_early", 100, 1.4, 1.0, math.nan, 70.0, 0.0),
        ("large_smoothed", 100, 1.2, 1.0, 0.5, 0.0, 40.0),
        ("large_teacher_plain", 100, 1.0, 1.0, 1.0, 60.0, 0.0),
        ("small_teacher_regularized", 50, 1.0, 1.0, 1.0, 20.0, 0.0),
        ("large_teacher_x0.5", 25, 1.9, 1.0, 1.0, 0.0, 10.0),
        ("large_teacher_x0.75", 60, 1.7, 1.0, 1.0, 0.0, 20.0),
        ("large_teacher_x0.875", 80, 1.6, 1.0, 1.0, 0.0, 30.0),
        ("large_teacher_x1.25", 150, 0.9, 1.0, 1.0, 0.0, 50.0),
    ]
    columns = "teacher parameters entropy nc1_initial nc1 raw corrected student_accuracy validation_accuracy seed"
    search = [(s, b, e, v + s, v - 1 + s) for s in SEEDS for b, e, v in ((64, 1, 80.0), (64, 2, 90.0), (128, 2, 85.0))]
    examples = [
        (s, t, n, 50 + 10 * math.log10(n / right))
        for s in SEEDS
        for t, right in (("responses", 1), ("shuffled", 3 + s), ("smoothed", 5))
        for n in SIZES
    ]
    return {
        "teachers": frame(columns, *[(*row, 85.0, 90.0 - 5 * ("_" in row[0]), s) for s in SEEDS for row in known]),
        "search": frame("seed batch_size epoch validation_accuracy test_accuracy", *search),
        "examples": frame("seed targets examples_per_class validation_accuracy", *examples),
    }


@pytest.fixture(scope="module")
def tables() -> Tables:
    sections = {
        "entropy": entropy_tables(),
        "missing_class": missing_class_tables(),
        "example_efficiency": example_efficiency_tables(),
        "penultimate_layer": penultimate_layer_tables(),
        "sweet_spot": sweet_spot_tables(),
        "similarity_information": similarity_information_tables(),
        "capacity": capacity_tables(),
        "related_systems": related_systems_tables(),
        "rival_explanations": {
            "full": frame(
                "seed teacher control temperature accuracy",
                *[
                    (s, t, c, 9.0, a)
                    for s in SEEDS
                    for t, c, a in (("large", "responses", 85.0), ("small", "hard", 90.0))
                ],
            )
        },
    }
    return Tables("fashion_mnist", sections, {"mnist": {"example_efficiency": example_efficiency_tables(shift=5)}})


def missing_class_correlation(small: list[float], large: list[float]) -> float:
    """Rank correlation with the made-up missing-class accuracies, mean over classes 2."""
    raw = [92 - T for T in SIX] + [12 + 0.5 * T for T in SIX]
    return Series(small + large).rank().corr(Series(raw).rank())


def partial_correlation() -> float:
    """Correlation of what is left of both ranks after a regression on the rank of `updates`."""
    rows = sweet_spot_tables()["entropy"].query("seed == 0 and temperature == 9")
    ranks = rows[["entropy", "batch_size", "updates"]].rank().to_numpy()
    design = np.column_stack([np.ones(len(ranks)), ranks[:, 2]])
    left = ranks[:, :2] - design @ np.linalg.lstsq(design, ranks[:, :2], rcond=None)[0]
    return np.corrcoef(left.T)[0, 1]


def printed_variances(name: str) -> tuple[float, float]:
    """Mean population variance of the similarity labels of a printed table's sixes: of its rows, of its columns."""
    with (paper_dir() / name).open(newline="") as file:
        labels = [float(row["soft_label"]) for row in csv.DictReader(file) if row["class"] != "6"]
    rows = np.reshape(labels, (5, 9))
    return rows.var(axis=1).mean(), rows.var(axis=0).mean()


CLUSTERED = ("class_distance", "mcmi")  # large teachers that are trained otherwise


def related_systems_tables() -> dict[str, DataFrame]:
    """What must not count has accuracy 0: tuned weights, other teachers, longer students of labels alone."""
    keys = "seed teacher system weights value examples_per_class full length"
    measured = "operations_total operations_given_teacher validation_accuracy accuracy"
    sizes = (50.0, 500.0)
    taught = [
        (
            s,
            t,
            name,
            w,
            1.0,
            n,
            n == 500,
            1,
            10**6,
            10**3,
            90.0,
            (t == "large") * (w == DEFAULT) * _accuracy(s, name, n),
        )
        for s, name, t, w, n in product(SEEDS, TAUGHT, ("large", "small"), (DEFAULT, "tuned"), sizes)
    ]
    alone = [
        (s, "none", LABELS, DEFAULT, 0.0, n, n == 500, k, 100 * k, 100 * k, 90.0, (k == 1) * _accuracy(s, LABELS, n))
        for s, (k, n) in product(SEEDS, ((1, 50.0), (1, 500.0), (4, 500.0)))
    ]
    cells = frame(f"{keys} {measured}", *taught, *alone)
    missing = frame(
        "seed teacher system weights value missing_class raw others corrected others_corrected n",
        *[(s, "large", name, DEFAULT, 1.0, 0, 10.0 + s, 90.0, 50.0, 90.0, 20) for s in SEEDS for name in TAUGHT],
        *[(s, "none", LABELS, DEFAULT, 0.0, 0, 0.0, 90.0, 40.0, 90.0, 20) for s in SEEDS],
    )
    trials = frame(
        "seed teacher system value validation_accuracy chosen",
        *[(0, "large", name, v, 90 + v, v == 1) for name in TAUGHT for v in (0.5, 1.0)],
    )
    made_up = {
        ("takd", "direct"): 90,
        ("takd", "assistant"): 93,
        ("takd", "assistant_untaught"): 91,
        ("residual", "progressive"): 88,
        ("residual", "ensemble"): 85,
        ("tfkd_self", "itself"): 86,
        ("tfkd_self", "small_teacher"): 92,
        ("tfkd_reg", "formula"): 84,
        ("tfkd_reg", "code"): 80,
        ("class_distance", "features"): 95,
        ("class_distance", "plain_features"): 94,
    }
    growing = ("assistant", "progressive", "itself")
    variants = frame(
        "seed system variant validation_accuracy accuracy operations_total operations_given_teacher",
        *[
            (s, *key, 90.0, a + s * (key[1] in growing), 300 if key[1] == "direct" else 150, 9)
            for s, (key, a) in product(SEEDS, made_up.items())
        ],
    )
    assistants = frame(
        "seed network own_accuracy distance nearest accuracy untaught_accuracy",
        *[
            (s, name, 90.0, d, d == 1, a + s * (d == 1), 88.0)
            for s in SEEDS
            for name, d, a in (("one", 1, 92), ("two", 5, 86))
        ],
    )
    scatter = [(s, "plain", 0.2 * (1 + s), 0.1, 90.0) for s in SEEDS]
    scatter += [(s, name, 0.1, 0.1 + 0.01 * (s + 1) * (name == "mcmi"), 90.0) for s in SEEDS for name in CLUSTERED]
    clusters = frame("seed teacher nc1 information accuracy", *scatter)
    return {
        "cells": cells,
        "missing": missing,
        "trials": trials,
        "variants": variants,
        "assistants": assistants,
        "clusters": clusters,
    }


TAUGHT = ["rbkd", *GAINS, "mcmi", "eskd"]
POINTS = {name: place for place, name in enumerate(TAUGHT, start=1)} | {LABELS: 40}


def _accuracy(seed: int, system: str, examples: float) -> float:
    """With 500 examples of each class 50, and its points; with 50 some points for each seed besides."""
    return 50 + POINTS[system] if examples == 500 else 20 + (1 + seed) * POINTS[system]


PRINTED_DIFFERENCES = np.subtract(printed_variances("table2.csv"), printed_variances("table3.csv"))
RAW_GAP = [80 + s - 1.5 * MEAN_T for s in SEEDS]
KNOWN = {
    "confidence_slope_in_temperature": [-(0.02 + 0.01 * (1 + s)) / 2 for s in SEEDS],
    "share_of_incorrect_classes_raised": [0.6, 0.65, 0.7],
    "largest_difference_from_table_1": [0],
    "largest_gradient_difference_at_T_1": [0],
    "mean_confidence_on_sixes_small": [0.2, 0.21, 0.22],
    "mean_confidence_on_sixes_large": [0.4, 0.4, 0.4],
    "confidence_difference_on_sixes": [0.2, 0.19, 0.18],
    "spread_of_labels_between_examples": [[0.2, 0.3, 6, math.sqrt(72)]] * 3,
    "confidence_lead_of_the_large_teacher": [0.09 * (1 - s) for s in SEEDS],
    "mean_confidence_lead_of_the_large_teacher": [0.01 * (1 - s) * MEAN_T for s in SEEDS],
    "entropy_lead_of_the_small_teacher": [0.39 - 0.1 * s for s in SEEDS],
    "row_variance_ratio": [2, 3, 4],
    "column_variance_ratio": [0.5, 0.5, 0.5],
    "relative_row_variance_ratio": [0.2, 0.2, 0.2],
    "relative_column_variance_ratio": [3, 1.5, 1],
    "printed_row_variance_difference": PRINTED_DIFFERENCES[:1],
    "printed_column_variance_difference": PRINTED_DIFFERENCES[1:],
    "departure_from_a_line_in_temperature": [0, 0, 0],
    "label_smoothing_distance_ratio": [2, 3, 4],
    "label_smoothing_distance_ratio_at_equal_confidence": [(2 + s) * math.exp(0.3) for s in SEEDS],
    "entropy_differences_over_temperatures": [[0.3 + 0.01 * T - 0.1 * s for T in SIX] for s in SEEDS],
    "teacher_test_accuracy_difference": [1, 2, 3],
    "networks_with_the_printed_count": [3],
    "correlation_of_row_variance_with_missing_class_accuracy": [
        missing_class_correlation([(2 + s) * T for T in SIX], list(SIX)) for s in SEEDS
    ],
    "correlation_of_entropy_with_missing_class_accuracy": [
        missing_class_correlation([2.0 * T for T in SIX], list(SIX)) for s in SEEDS
    ],
    "within_teacher_correlation_of_entropy_with_missing_class_accuracy": [0, 0, 0],
    "missing_class_accuracy_difference": RAW_GAP,
    "missing_class_accuracy_above_chance_small": [82 + s - MEAN_T for s in SEEDS],
    "missing_class_accuracy_above_chance_large": [2 + 0.5 * MEAN_T for _ in SEEDS],
    "missing_class_accuracies_above_chance_small": [[80 - T + c + s for c in range(5) for T in SIX] for s in SEEDS],
    "correlation_with_the_printed_cells": [math.nan] * 3,  # of five classes
    "missing_class_slope_in_temperature_small": [-1, -1, -1],
    "missing_class_slope_in_temperature_large": [0.5, 0.5, 0.5],
    "corrected_gap_minus_half_raw_gap": [30 + 10 * s - RAW_GAP[s] / 2 for s in SEEDS],
    "corrected_missing_class_accuracy_difference": [30, 40, 50],
    "student_test_accuracy_difference_full_data": [1, 2, 3],
    "shortfall_at_ten_examples_per_class": [39, 39, 39],
    "steps_to_level_ratio": [(2 * 2 * (1 + s) * 150 / 30) ** (1 / 3) for s in SEEDS],
    "validation_accuracy_difference_mean_over_sizes": [10 * math.log10(10 * (1 + s)) for s in SEEDS],
    "validation_accuracy_difference_at_equal_steps": [20 * math.log10(10 * (1 + s)) for s in SEEDS],
    "leads_of_the_small_teacher_at_each_size": [[10 * math.log10(10 * (1 + s))] * 5 for s in SEEDS],
    "a_hundred_at_the_sweet_spot_minus_five_hundred": [math.nan] * 3,  # without a hundred
    "examples_ratio": [10, 20, 30],
    "examples_ratio_at_equal_steps": [100, 400, 900],
    "entropy_against_random_selection": [1, 2, 3],
    "growth_of_the_examples_ratio": [2, 2, 2],
    "silhouette_lost_at_the_first_setting": [0.4, 0.4, 0.4],
    "silhouette_lost_at_the_second_setting": [0.6, 0.5, 0.4],
    "nc1_ratio": [2, 3, 4],
    "nc1_ratio_held_out": [1.5, 1, 0.75],
    "silhouette_difference": [0.1, 0.2, 0.3],
    "correlation_of_nc1_with_entropy": [0.8, 0.8, 0.8],
    "nc1_ratio_first_setting_to_default": [10, 10, 10],
    "nc1_ratio_second_setting_to_default": [20, 40, 60],
    "nc1_ratio_of_the_two_settings": [2, 4, 6],
    "interior_optimal_batch_size": [1, 2, 3],
    "correlation_of_epochs_to_confidence_with_batch_size": [math.sqrt(0.75)] * 3,
    "correlation_of_entropy_with_batch_size": [-0.5, -0.5, -0.5],
    "correlation_of_entropy_with_epochs": [0.5, 0.5, 0.5],
    "partial_correlation_of_entropy_with_batch_size_given_updates": [partial_correlation()] * 3,
    "distance_of_the_best_pair_at_another_batch_size": [-1, -2, -3],
    "gain_from_the_students_own_pair": [9.5, 10, 10.5],
    "examples_ratio_default_to_sweet_spot": [5, 10, 15],
    "examples_ratio_default_to_sweet_spot_at_equal_steps": [25, 100, 225],
    "baseline_student_gain": [6, 7, 8],
    "temperatures_at_which_the_sweet_spot_leads": [[3 + s, 9 + s] for s in SEEDS],
    "baseline_student_lead_of_the_small_teacher": [10, 10, -10],
    "sweet_spot_gain_minus_half_the_gap": [1, 2, 13],
    "general_student_gain": [3, 4, 5],
    "general_student_gain_over_labels_alone": [-2, -1, 0],
    "general_minus_baseline_student_gain": [89 + s - (503 + s) / 6 - (70 - 361 / 6) for s in SEEDS],
    "missing_class_gain_at_the_sweet_spot": [5, 6, 7],
    "corrected_missing_class_gain_at_the_sweet_spot": [-20, -20, -20],
    "student_without_teacher_minus_half_of_the_gain": [2, 2.5, 3],
    "lead_in_agreement_with_people": [[0.7 - 0.01 * T - 0.01 * s for T in SIX] for s in SEEDS],
    "lead_in_agreement_with_people_on_training_images": [[0.65 - 0.01 * T - 0.01 * s for T in SIX] for s in SEEDS],
    "lead_in_temperature_free_agreement_with_people": [0.3, 0.3, 0.3],
    "lead_in_information_on_single_images": [[0.01 * T - 0.002 * T * (1 + s) for T in SIX] for s in SEEDS],
    "lead_in_most_information_on_single_images": [0.3, 0.2, 0.1],
    "lead_in_agreement_with_a_linear_classifier": [[0.1 - 0.01 * T - 0.01 * s for T in SIX] for s in SEEDS],
    "lead_in_temperature_free_agreement_with_a_linear_classifier": [0.3, 0.2, 0.1],
    "correlation_of_width_with_entropy": [-1, -1, -1],
    "correlation_of_width_with_corrected_missing_class_accuracy": [0.9, 0.9, 0.9],
    "small_teachers_gain_at_its_own_pair": [4, 5, 6],
    "examples_ratio_of_shuffled_responses": [3, 4, 5],
    "examples_ratio_of_label_smoothing": [5, 5, 5],
    "half_the_gap_minus_gap_without_the_large_teachers_regularisation": [10, 10, 10],
    "half_the_gap_minus_gap_with_regularisation_of_the_small_teacher": [30, 30, 30],
    "half_the_gap_minus_gap_to_the_large_teacher_stopped_early": [20, 20, 20],
    "scatter_ratio_at_initialisation_over_half_of_the_trained_one": [4 / 3] * 3,
    "loss_from_a_smoothed_teacher_of_more_entropy": [20, 20, 20],
    **{f"gain_of_{name}_over_{over}": [POINTS[name] - POINTS[over]] * 3 for name, over in GAINS.items()},
    "gain_of_mcmi_over_rbkd_with_few_examples": [(1 + s) * (POINTS["mcmi"] - POINTS["rbkd"]) for s in SEEDS],
    "gain_of_residual_over_labels_alone": [POINTS["residual"] - POINTS[LABELS]] * 3,
    "residual_compute_ratio": [0.5, 0.5, 0.5],
    "gain_of_residual_over_ensemble": [3, 4, 5],
    "teacher_free_student_difference": [-6, -5, -4],
    "gain_of_tfkd_code_over_labels_alone": [80 - 90] * 3,
    "tfkd_formula_and_code_apart": [4 / 5] * 3,
    "gain_of_class_distance_by_features": [1, 1, 1],
    "gain_of_a_taught_assistant": [4, 5, 6],
    "gain_of_an_assistant_over_none": [2, 3, 4],
    "gains_of_eskd_over_rbkd_and_labels_alone": [[POINTS["eskd"] - POINTS[name] for name in ("rbkd", LABELS)]] * 3,
    "information_gained_by_mcmi": [0.01, 0.02, 0.03],
    "accuracy_of_a_smoothed_teacher_over_the_plain_one": [85 - 90] * 3,
    "gain_of_the_assistant_nearest_to_the_mean": [3, 3.5, 4],
    "class_distance_scatter_ratio": [0.5, 0.25, 1 / 6],
    "loss_from_a_smoothed_teacher": [90 - 85] * 3,
}
PREMISES = {c.premise["statistic"] for c in load_claims() if c.premise}
RIVAL_PREMISES = {  # their values are in claims/test_controls.py
    "responses_gain_over_hard_labels_large",
    "student_accuracy_difference_at_the_last_epoch",
}
NEEDS_NO_RUN = {
    "largest_difference_from_table_1",
    "largest_gradient_difference_at_T_1",
    "printed_row_variance_difference",
    "printed_column_variance_difference",
    "networks_with_the_printed_count",
}


@pytest.mark.parametrize("name", KNOWN)
def test_statistic_has_its_known_value(name, tables):
    values = STATISTICS[name](tables).values
    assert values.to_numpy().dtype == float
    np.testing.assert_allclose(values.to_numpy(), KNOWN[name], rtol=1e-9, atol=2e-8)


def test_statistics_over_seeds_are_indexed_by_seed(tables):
    kinds = ("direction", "equivalence", "difference", "every")
    claims = {c.statistic for c in load_claims() if c.kind in kinds} & set(KNOWN)
    assert all(STATISTICS[name](tables).values.index.tolist() == list(SEEDS) for name in claims)


def test_every_claim_that_is_tested_has_a_statistic():
    assert {c.statistic for c in load_claims() if c.kind != "not_tested"} <= set(STATISTICS)


def test_every_claim_and_control_that_a_section_of_the_paper_decides_has_a_known_value():
    """Those of the notebook of controls are in claims/test_controls.py."""
    rules = [*(c for c in load_claims() if c.kind != "not_tested"), *load_controls()]
    own = {c.statistic for c in rules if c.notebook != "rival_explanations"} | (PREMISES - RIVAL_PREMISES)
    assert own == set(KNOWN)


def test_every_statistic_belongs_to_a_claim_or_control_and_says_what_it_is():
    named = {c.statistic for c in [*load_claims(), *load_controls()]} | PREMISES
    assert set(STATISTICS) <= named and set(STATISTICS) >= PREMISES
    assert all(function.__doc__ for function in STATISTICS.values())


def test_a_claim_names_the_notebooks_whose_tables_its_statistic_takes():
    class Watched(dict):
        def __getitem__(self, section: str) -> dict[str, DataFrame]:
            taken.add(section)
            return super().__getitem__(section)

    reference = project_root() / "results" / "mnist"
    sections = Watched(
        {part.name: {f.stem: read_csv(f) for f in part.glob("*.csv")} for part in reference.iterdir() if part.is_dir()}
    )
    # Without a reference page yet.
    sections.setdefault("similarity_information", similarity_information_tables())
    sections.setdefault("related_systems", related_systems_tables())
    sections.setdefault("capacity", capacity_tables())
    for claim in load_claims():
        if claim.kind != "not_tested" and claim.applies_to("mnist") and claim.notebook in sections:
            taken: set[str] = set()
            STATISTICS[claim.statistic](Tables("mnist", sections))
            expected = set() if claim.statistic in NEEDS_NO_RUN else {claim.notebook, *claim.also}
            assert taken == expected, claim.id


@pytest.mark.parametrize("name", sorted(set(KNOWN) - NEEDS_NO_RUN))
def test_statistic_without_tables_is_a_key_error(name):
    with pytest.raises(KeyError):
        STATISTICS[name](Tables("fashion_mnist", {}))


@pytest.mark.parametrize("name", sorted(set(KNOWN) - NEEDS_NO_RUN - {"growth_of_the_examples_ratio"}))
def test_statistic_of_empty_tables_has_no_value(name, tables):
    empty = {
        section: {key: table.iloc[:0] for key, table in named.items()} for section, named in tables.sections.items()
    }
    assert STATISTICS[name](Tables("mnist", empty)).values.dropna().empty


def test_statistic_without_the_papers_temperatures_has_no_value(tables):
    only_2 = {
        section: {key: t[t["temperature"] == 2] if "temperature" in t else t for key, t in named.items()}
        for section, named in tables.sections.items()
    }
    for name in ("confidence_slope_in_temperature", "row_variance_ratio", "missing_class_accuracy_difference"):
        assert STATISTICS[name](Tables("mnist", only_2)).values.dropna().empty, name


def with_table(tables: Tables, section: str, name: str, table: DataFrame) -> Tables:
    return Tables(tables.dataset, {**tables.sections, section: {**tables[section], name: table}}, tables.others)


def test_position_on_other_confidences_counts_no_seed(tables):
    position = tables["entropy"]["position"].copy()
    position.loc[position["teacher"] == "large", "confidence"] += 1
    ratios = STATISTICS["label_smoothing_distance_ratio_at_equal_confidence"](
        with_table(tables, "entropy", "position", position)
    )
    assert ratios.values.isna().tolist() == [True] * 3


def test_cells_in_the_papers_order_have_a_rank_correlation_of_one_and_whole_classes_are_permuted(tables):
    printed = missing_class_table("fashion_mnist").rename(columns={"accuracy_percent": "raw"})
    cells = printed.merge(DataFrame({"seed": SEEDS}), how="cross")
    found = STATISTICS["correlation_with_the_printed_cells"](with_table(tables, "missing_class", "cells", cells))
    np.testing.assert_allclose(found.values, 1)
    assert {own[0].shape for own in found.ranks.values()} == {(10, 10)}


def test_a_hundred_examples_are_held_against_five_hundred(tables):
    rows = [
        (s, t, n, False, "entropy", "epochs", a + s * (t == "large"))
        for s in SEEDS
        for t, n, a in (
            ("large", 100, 10.0),
            ("large", 500, 80.0),
            ("large_sweet", 100, 83.0),
            ("large_sweet", 500, 99.0),
        )
    ]
    cells = frame("seed teacher examples_per_class full selection budget validation_accuracy", *rows)
    found = STATISTICS["a_hundred_at_the_sweet_spot_minus_five_hundred"](
        with_table(tables, "example_efficiency", "cells", cells)
    )
    assert found.values.to_dict() == {0: 3, 1: 2, 2: 1}


def test_without_the_whole_transfer_set_the_largest_number_is_meant(tables):
    cells = tables["example_efficiency"]["cells"]
    cells = cells[~cells["full"]]
    found = STATISTICS["shortfall_at_ten_examples_per_class"](with_table(tables, "example_efficiency", "cells", cells))
    np.testing.assert_allclose(found.values, 10 * math.log10(500))


def test_a_grid_of_two_batch_sizes_has_no_interior(tables):
    pairs = tables["sweet_spot"]["entropy"]
    pairs = pairs[pairs["batch_size"] < 256]
    assert STATISTICS["interior_optimal_batch_size"](with_table(tables, "sweet_spot", "entropy", pairs)).values.empty


def test_a_best_batch_size_at_an_end_leaves_those_between_behind(tables):
    pairs = tables["sweet_spot"]["entropy"].copy()
    pairs.loc[(pairs["batch_size"] == 256) & (pairs["epoch"] == 2), "validation_accuracy"] = 99
    found = STATISTICS["interior_optimal_batch_size"](with_table(tables, "sweet_spot", "entropy", pairs))
    assert found.values.to_dict() == {0: -10, 1: -9, 2: -8}


def test_what_a_student_without_a_teacher_would_explain_is_the_gain_of_the_sweet_spot(tables):
    rows = tables["sweet_spot"]["baseline"].copy()
    name = "student_without_teacher_minus_half_of_the_gain"
    found = STATISTICS[name](tables)
    assert (found.to_explain > 0).all() and found.values.notna().all()
    rows.loc[rows["teacher"] == "large_sweet", "accuracy"] = 59.0
    assert (STATISTICS[name](with_table(tables, "sweet_spot", "baseline", rows)).to_explain < 0).all()


@pytest.mark.parametrize(
    "name",
    [
        "distance_of_the_best_pair_at_another_batch_size",
        "gain_from_the_students_own_pair",
        "interior_optimal_batch_size",
    ],
)
def test_one_seed_has_no_interval_and_no_other_seeds_to_choose_on(name, tables):
    one = tables
    for table in ("map", "entropy"):
        rows = tables["sweet_spot"][table]
        one = with_table(one, "sweet_spot", table, rows[rows["seed"] == 0])
    assert STATISTICS[name](one).values.isna().tolist() == [True]


def test_the_distance_of_another_batch_sizes_best_pair_is_of_pairs_that_the_other_seeds_choose(tables):
    means = {(64, 1): 89.5, (64, 2): 89.4, (128, 1): 90.0, (128, 2): 89.9, (256, 1): 89.7}
    rows = [
        (s, *pair, "general", a + noise * s)
        for s, noise in zip(SEEDS, (0, 4, -2), strict=True)
        for pair, a in means.items()
    ]
    table = frame("seed batch_size epoch student validation_accuracy", *rows)
    distance = STATISTICS["distance_of_the_best_pair_at_another_batch_size"]
    found = distance(with_table(tables, "sweet_spot", "map", table))
    np.testing.assert_allclose(found.values, -0.3)
    lucky = table.assign(
        validation_accuracy=table["validation_accuracy"] + 9 * ((table.seed == 0) & (table.epoch == 2))
    )
    np.testing.assert_allclose(distance(with_table(tables, "sweet_spot", "map", lucky)).values[0], -0.3)
    alone = table[table["batch_size"] == 128]
    assert distance(with_table(tables, "sweet_spot", "map", alone)).values.empty


def test_updates_that_determine_the_batch_size_leave_no_partial_correlation(tables):
    entropy = tables["sweet_spot"]["entropy"]
    entropy = entropy[entropy["epoch"] == 1]
    found = STATISTICS["partial_correlation_of_entropy_with_batch_size_given_updates"](
        with_table(tables, "sweet_spot", "entropy", entropy)
    )
    assert found.values.isna().all()


def test_a_level_that_one_student_reaches_alone_is_noted_as_a_bound(tables):
    assert STATISTICS["steps_to_level_ratio"](tables).note == (
        "steps are counted at the ends of epochs, so that it may be from 2.43 to any more; "
        "both students reach 6 of 12 (seed, level) pairs, 0 of them within the first epoch, which say nothing; "
        "a bound: one student alone reaches 3"
    )


def test_levels_that_both_reach_within_the_first_epoch_say_nothing_and_steps_may_be_an_epoch_fewer(tables):
    """Of epochs of 30 steps: 29 and 31 count as 30 and 60, which is no sign that one is twice as fast."""
    rows = [(s, *row) for s in SEEDS for row in (("small", 50, 30), ("large", 50, 30))]
    rows += [(s, *row) for s in SEEDS for row in (("small", 70, 30), ("large", 70, 60))]
    found = STATISTICS["steps_to_level_ratio"](
        with_table(tables, "example_efficiency", "steps_to_level", frame("seed teacher level steps", *rows))
    )
    assert found.values.tolist() == [2.0] * 3 and found.resolution == (pytest.approx(math.log(2)), math.inf)
    assert judge(next(c for c in load_claims() if c.id == "kd-accelerates"), "mnist", found).verdict == "undecided"


def test_the_growth_of_a_ratio_has_a_value_where_a_bound_makes_it_no_larger_than_it_is():
    def cells(large: float) -> DataFrame:
        level = {"small": (90.0, 95.0), "large": (large, large + 1)}
        rows = [
            (s, teacher, n, a, "entropy", "epochs", False)
            for s in SEEDS
            for teacher, both in level.items()
            for n, a in zip((5, 10), both, strict=True)
        ]
        return frame("seed teacher examples_per_class validation_accuracy selection budget full", *rows)

    def growth(here: float, before: float) -> list[float]:
        sections = [{"example_efficiency": {"cells": cells(large)}} for large in (here, before)]
        tables = Tables("fashion_mnist", sections[0], {"mnist": sections[1]})
        return STATISTICS["growth_of_the_examples_ratio"](tables).values.tolist()

    apart, alike = 50.0, 90.0  # at least twice the examples; less than twice
    assert min(growth(apart, alike)) > 1 and np.isnan(growth(alike, apart)).sum() == 0
    assert max(growth(alike, apart)) < 1 and np.isnan(growth(apart, apart)).all()


def test_more_entropy_of_a_smoothed_teacher_and_tighter_clusters_of_the_large_one_are_what_there_is_to_explain(tables):
    teachers = tables["capacity"]["teachers"].copy()
    teachers.loc[teachers["teacher"] == "large_smoothed", "entropy"] = 0.9
    teachers.loc[teachers["teacher"] == "large", "nc1"] = 10.0
    changed = with_table(tables, "capacity", "teachers", teachers)
    for name, nothing in (
        ("loss_from_a_smoothed_teacher_of_more_entropy", 0),
        ("scatter_ratio_at_initialisation_over_half_of_the_trained_one", 1),
    ):
        assert (STATISTICS[name](tables).to_explain > nothing).all()
        assert (STATISTICS[name](changed).to_explain < nothing).all()


@pytest.mark.parametrize(
    ("name", "teacher"),
    [
        ("half_the_gap_minus_gap_without_the_large_teachers_regularisation", "large_teacher_plain"),
        ("half_the_gap_minus_gap_with_regularisation_of_the_small_teacher", "small_teacher_regularized"),
    ],
)
def test_a_changed_teacher_that_did_not_learn_explains_no_gap(tables, name, teacher):
    teachers = tables["capacity"]["teachers"].copy()
    teachers.loc[teachers["teacher"] == teacher, "validation_accuracy"] -= 0.1
    assert STATISTICS[name](with_table(tables, "capacity", "teachers", teachers)).values.isna().all()


def test_printed_settings_come_before_the_order_of_batch_sizes():
    def named(*settings: str) -> DataFrame:
        return DataFrame({"teacher": "large", "setting": ["default", *settings]})

    assert settings_of_large(named("8192x40", "1024x30", "4096x50")) == ("4096x50", "8192x40")
    assert settings_of_large(named("1024x30", "256x50")) == ("256x50", "1024x30")
    assert settings_of_large(named("256x50")) == ("256x50", None)


def test_label_smoothing_differs_from_distillation_at_other_temperatures():
    assert gradient_difference(temperature=3) > 0.01


def test_departure_from_a_line_of_a_tent():
    assert departure_from_a_line(Series([0.0, 1.0, 0.0], index=[0, 1, 2])) == pytest.approx(2 / 3)
    assert math.isnan(departure_from_a_line(Series([1.0, 1.0, 1.0], index=[0, 1, 2])))


def test_slope_and_rank_correlation_of_degenerate_columns_are_nan():
    assert math.isnan(slope(Series([1.0, math.nan], index=[3, 6])))
    assert math.isnan(spearman(Series([1, 1, 1]), Series([1, 2, 3])))
    assert math.isnan(spearman(Series([1, 2, math.nan]), Series([1, 2, 3])))
    assert spearman(Series([1, 2, 9]), Series([3, 2, 1])) == -1


def curve(values: dict[float, float]) -> Series:
    return Series(values, dtype=float)


accuracies = st.lists(st.floats(0, 100), min_size=len(SIZES), max_size=len(SIZES))


@given(accuracies)
def test_identical_curves_have_an_examples_ratio_of_one(values):
    a = curve(dict(zip(SIZES, values, strict=True)))
    assert examples_ratio_of_curves(a, a) == (pytest.approx(1), False)


@given(accuracies, st.floats(0.1, 10))
def test_a_curve_shifted_in_the_number_of_examples_has_that_ratio(values, factor):
    a = curve(dict(zip(SIZES, values, strict=True)))
    shifted = curve({n * factor: value for n, value in a.items()})
    assert examples_ratio_of_curves(shifted, a) == (pytest.approx(factor), False)


@given(accuracies, accuracies)
def test_exchanging_the_curves_inverts_the_examples_ratio(a, b):
    a, b = (curve(dict(zip(SIZES, values, strict=True))) for values in (a, b))
    (there, bound), (back, same_bound) = examples_ratio_of_curves(a, b), examples_ratio_of_curves(b, a)
    assert there * back == pytest.approx(1)
    assert bound == same_bound


def test_a_shift_on_one_grid_is_found_where_the_curves_overlap():
    a = curve({n: 10 * math.log(n) for n in SIZES})
    b = curve({n: 10 * math.log(10 * n) for n in SIZES})
    assert examples_ratio_of_curves(a, b) == (pytest.approx(10), False)


def test_a_dip_in_a_curve_is_taken_at_its_running_maximum():
    a, dipped = curve({5: 50, 10: 60, 50: 60, 100: 70}), curve({5: 50, 10: 60, 50: 20, 100: 70})
    assert examples_ratio_of_curves(a, dipped) == (pytest.approx(1), False)


def test_the_examples_ratio_averages_the_logarithm_over_the_levels():
    # b needs 10^(level/10); a needs 10^(level/5): the ratio at a level is 10^(level/10), levels 0 to 10
    a, b = curve({1: 0, 100: 10}), curve({1: 0, 10: 10})
    assert examples_ratio_of_curves(a, b) == (pytest.approx(math.sqrt(10)), False)


def test_curves_without_a_shared_range_give_the_bound_of_their_grid():
    low, high = curve({5: 10, 2000: 20}), curve({5: 30, 2000: 40})
    assert examples_ratio_of_curves(low, high) == (400, True)
    assert examples_ratio_of_curves(high, low) == (1 / 400, True)
    ratio, bound = examples_ratio_of_curves(low, curve({}))
    assert math.isnan(ratio)
    assert not bound


def test_seeds_at_a_bound_are_counted_in_the_note(tables):
    cells = tables["example_efficiency"]["cells"].copy()
    cells.loc[(cells["seed"] == 1) & (cells["teacher"] == "large"), "validation_accuracy"] = 0.0
    ratios = STATISTICS["examples_ratio"](with_table(tables, "example_efficiency", "cells", cells))
    np.testing.assert_allclose(ratios.values, [10, 1000, 30])
    assert ratios.note == "only a bound in 1 of 3 seeds; between accuracies of 57% and 72 to 77%"
    growth = STATISTICS["growth_of_the_examples_ratio"](with_table(tables, "example_efficiency", "cells", cells))
    assert growth.note == "only a bound in 1 of 3 seeds of fashion_mnist"


def test_the_examples_ratio_says_what_the_upper_half_of_its_levels_alone_would_give(tables):
    """From 50 examples on the two curves are one."""
    cells = tables["example_efficiency"]["cells"]
    assert "alone 18 [5, 72]" in STATISTICS["examples_ratio"](tables).note  # 10, 20 and 30 at every level
    shape = {"small": {5: 0.0, 10: 30.0, 50: 40.0, 500: 80.0}, "large": {5: 0.0, 10: 10.0, 50: 40.0, 500: 80.0}}
    cells = cells[cells["examples_per_class"].isin(shape["small"]) & cells["teacher"].isin(shape)]
    cells = cells.assign(validation_accuracy=[shape[row.teacher][row.examples_per_class] for row in cells.itertuples()])
    ratios = STATISTICS["examples_ratio"](with_table(tables, "example_efficiency", "cells", cells))
    assert (ratios.values > 1.05).all()
    assert ratios.note.endswith("over the upper half of these accuracies alone 1.00 [1.00, 1.00] (n = 3)")


def test_a_setting_that_is_not_the_papers_is_named(tables):
    for name, here in (
        ("nc1_ratio_first_setting_to_default", "64 × 1"),
        ("nc1_ratio_of_the_two_settings", "64 × 1 and 128 × 2"),
    ):
        said = f"batch size × epochs here {here}, in the paper 4096 × 50 and 8192 × 40"
        assert STATISTICS[name](tables).note.endswith(said)
    tightness = tables["penultimate_layer"]["tightness"].replace({"setting": {"64x1": "4096x50", "128x2": "8192x40"}})
    ratios = STATISTICS["nc1_ratio_of_the_two_settings"](
        with_table(tables, "penultimate_layer", "tightness", tightness)
    )
    assert "in the paper" not in ratios.note


def test_of_accuracies_below_a_guess_there_is_a_caution(tables):
    cells = tables["missing_class"]["cells"]
    low = with_table(tables, "missing_class", "cells", cells.assign(raw=cells["raw"] / 100))
    for name in ("missing_class_accuracy_difference", "correlation_of_entropy_with_missing_class_accuracy"):
        assert "than a guess, 10%" in STATISTICS[name](low).caution
        assert not STATISTICS[name](tables).caution


def test_the_order_of_entropies_says_how_far_each_teacher_has_learned():
    found = STATISTICS["entropy_differences_over_temperatures"](Tables("mnist", {"entropy": entropy_tables()}))
    assert found.note.endswith("accuracy on the training examples: small 97%, large 97%")


def test_without_peoples_labels_a_claim_on_them_has_no_value_and_says_why(tables):
    part = {
        name: table[table["yardstick"] == "linear"] for name, table in tables.sections["similarity_information"].items()
    }
    of_people = {
        c.statistic for c in load_claims() if c.notebook == "similarity_information" and c.datasets == ["cifar10"]
    }
    assert len(of_people) == 5
    for name in of_people:
        found = STATISTICS[name](Tables("cifar10", {"similarity_information": part}))
        assert not found.has_value and found.note == "people's labels were not there"
        assert STATISTICS[name](tables).values.notna().all(axis=None)


def test_the_temperature_at_which_each_teacher_says_most_is_noted(tables):
    note = STATISTICS["lead_in_most_information_on_single_images"](tables).note
    assert note == "large teacher at T = 6, small teacher at T = 2"


def test_growth_needs_the_other_data_set(tables):
    with pytest.raises(KeyError, match="mnist"):
        STATISTICS["growth_of_the_examples_ratio"](Tables("fashion_mnist", tables.sections))


def test_registry_is_one_module_for_each_notebook():
    by_name = {c.statistic: c.notebook for c in load_claims()}
    by_name |= {c.statistic: c.notebook for c in load_controls()}
    for name, function in STATISTICS.items():
        if name not in by_name:
            assert name in PREMISES and function.__module__.startswith("kdlib.sections.")
            continue
        assert function.__module__ == f"kdlib.sections.{by_name[name]}.statistics", name


@pytest.mark.parametrize("n", range(3, 31))
def test_the_rank_correlation_of_one_order_is_1_exactly(n):
    x = Series(range(n), dtype=float)
    assert spearman(x, x**2) == 1 and spearman(x, -(x**2)) == -1


def test_rank_correlation_is_scipys():
    x, y = Series([1.0, 2, 2, 5, 4]), Series([3.0, 1, 4, 4, 9])
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert spearman(pd.concat([x, Series([math.nan])]), pd.concat([y, Series([7.0])])) == spearman(x, y)

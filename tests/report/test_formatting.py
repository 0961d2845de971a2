"""Sentences that are made from tables."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from kdlib.book.present import (
    control_finding,
    efficiency,
    efficiency_finding,
    format_interval,
    labels_alone_finding,
    mean_and_half_width,
    missing_class_beside_paper,
    page_verdicts,
    sweet_spot_finding,
)
from kdlib.claims.claims import Verdict
from kdlib.claims.intervals import Interval, t_interval


@pytest.mark.parametrize("kind", ["int64", "float64", "object"])
@pytest.mark.parametrize(("epoch", "said"), [(1, "512, 1 epoch: "), (3, "512, 3 epochs: ")])
def test_the_sweet_spot_is_one_epoch_or_several_whatever_the_columns_type(kind: str, epoch: int, said: str) -> None:
    chosen = pd.DataFrame({"batch_size": [512], "epoch": [epoch], "updates": [1234]}).astype(kind)
    sentence = sweet_spot_finding(search_tables(chosen), 10)
    assert said in sentence and "1,234 updates" in sentence and "with no teacher, 61.0%" in sentence


def search_tables(chosen: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Of three seeds: the best pair is always (512, 3), 4 points above the mean of the four pairs."""
    chosen = chosen.assign(student="baseline", teacher_accuracy=51.25)
    rows = [(seed, t, 60.0 + seed) for seed in range(3) for t in ("large_sweet", "large", "none")]
    pairs = [
        (seed, b, e, "baseline", accuracy + seed)
        for seed in range(3)
        for (b, e), accuracy in {(64, 1): 50.0, (64, 3): 51.0, (512, 1): 51.0, (512, 3): 56.0}.items()
    ]
    entropy = [(512, e, 9.0, math.log(10) / 2) for e in (1, 3)]
    return {
        "baseline": pd.DataFrame(rows, columns=["seed", "teacher", "accuracy"]),
        "chosen": chosen,
        "map": pd.DataFrame(pairs, columns=["seed", "batch_size", "epoch", "student", "validation_accuracy"]),
        "entropy": pd.DataFrame(entropy, columns=["batch_size", "epoch", "temperature", "entropy"]),
    }


def test_a_pair_at_the_edge_of_the_search_is_said_to_be_there_with_its_entropy_and_what_the_search_is_worth():
    at_edge = pd.DataFrame({"batch_size": [512], "epoch": [3], "updates": [6]})
    sentence = sweet_spot_finding(search_tables(at_edge), 10)
    assert "at the edge of what was searched (the largest batch size, the most epochs)" in sentence
    assert "50.0% of the greatest possible entropy" in sentence
    assert "better than the average pair's by 4.0 points (the same in all 3 seeds)" in sentence
    one_seed = {name: t[t.seed == 0] if "seed" in t else t for name, t in search_tables(at_edge).items()}
    assert "average pair" not in sweet_spot_finding(one_seed, 10)
    inside = search_tables(at_edge)
    wider = inside["map"].assign(batch_size=inside["map"].batch_size * 4, epoch=inside["map"].epoch * 2)
    inside["map"] = pd.concat([inside["map"], wider])
    assert "edge" not in sweet_spot_finding(inside, 10)


def test_a_pages_main_claim_stands_with_its_verdict_the_papers_size_and_what_it_notes():
    found = [
        Verdict("counts", "mnist", "reproduced"),
        Verdict(
            "missing-mnist", "mnist", "direction only", t_interval([60.0, 65.0, 70.0]), 78.6, "small 76%, large 11%"
        ),
    ]
    said = page_verdicts(found, "missing-fashion", "missing-mnist")
    assert "**direction only**, 65 percentage points" in said
    assert "; small 76%, large 11%; the paper has 78.6." in said
    assert "Of 2 claims" in said and page_verdicts(found).startswith("Of 2 claims")


def test_a_controls_number_stands_with_what_it_is_and_the_two_that_it_is_made_of():
    rows = [
        (s, 9, "small", control, accuracy + s * (control == "responses"))
        for s in range(3)
        for control, accuracy in (("smoothed", 95.0), ("responses", 97.0), ("hard", 93.0))
    ]
    full = pd.DataFrame(rows, columns=["seed", "temperature", "teacher", "control", "accuracy"])
    said = control_finding({"full": full}, "mnist", "regularization")
    assert "label smoothing minus the midpoint of the responses and the labels alone: -0.5 percentage points" in said
    assert "; label smoothing: 95.0; the midpoint of the responses and the labels alone: 95.5." in said


def test_what_is_said_of_examples_is_of_the_way_of_choosing_that_was_run():
    rows = [(s, t, n, 50.0 + s) for s in range(3) for t in ("small", "large") for n in (5, 10)]
    cells = pd.DataFrame(rows, columns=["seed", "teacher", "examples_per_class", "validation_accuracy"])
    said = efficiency_finding(cells.assign(selection="random", budget="epochs", full=False, steps=3), 10)
    assert "nan" not in said and "at random" in said and "With 5 examples of each class (3 steps)" in said
    assert "a guess is right on 10%" in said


def test_students_of_labels_alone_have_a_column_where_there_are_some_and_a_table_of_none_says_so():
    rows = [(s, t, 5.0, 10, 50.0 + s) for s in range(3) for t in ("small", "none")]
    cells = pd.DataFrame(rows, columns=["seed", "teacher", "examples_per_class", "steps", "validation_accuracy"])
    cells = cells.assign(selection="random", budget="steps")
    assert list(efficiency(cells, "random", "steps")) == ["steps", "small", "labels alone"]
    assert "labels alone" not in efficiency(cells[cells.teacher == "small"], "random", "steps")
    assert "no students of examples chosen by entropy" in efficiency(cells, "entropy", "steps")


def test_a_lead_over_labels_alone_is_one_that_seeds_do_not_explain():
    leads = {5: [9.0, -9.0, 1.0], 10: [3.0, 4.0, 5.0], 20: [1.0, 1.2, 1.1], 50: [-2.0, -2.1, -2.2]}
    rows = [
        (s, t, n, 60.0 + (lead[s] if t == "small" else 0))
        for n, lead in leads.items()
        for s in range(3)
        for t in ("small", "large", "none")
    ]
    table = pd.DataFrame(rows, columns=["seed", "teacher", "examples_per_class", "validation_accuracy"])
    said = labels_alone_finding(table.assign(selection="random"))
    assert "small teacher are ahead of labels alone at 10, 20 examples of each class (farthest at 10, by 4.0 p" in said
    assert "behind at 50 examples of each class;" in said
    assert "labels alone at no number of examples and behind at no number of examples." in said
    assert "No students" in labels_alone_finding(table.assign(selection="entropy"))
    assert "single teacher seed" in labels_alone_finding(table[table.seed == 0].assign(selection="random"))


def test_a_cell_that_the_paper_does_not_print_is_a_dash():
    rows = [(0, "small", c, t, 90.0) for c in range(10) for t in (1.0, 3.0)]
    cells = pd.DataFrame(rows, columns=["seed", "teacher", "missing_class", "temperature", "raw"])
    shown = missing_class_beside_paper(cells, [str(c) for c in range(10)], "small", "mnist")
    assert (shown[("paper (%)", "T\N{NO-BREAK SPACE}= 1")] == "–").all() and (
        shown[("here minus paper (points)", "T\N{NO-BREAK SPACE}= 1")] == "–"
    ).all()
    assert not shown.astype(str).isin(["nan", "+nan"]).any(axis=None)


def test_a_spoken_share_stays_between_0_and_100_percent():
    wide = Interval(13.6, -7.4, 134.7, 3)
    assert format_interval(wide, "%") == "13.6% (95% interval 0.0 to 100.0, n = 3)"
    assert format_interval(wide, " points") == "13.6 points (95% interval -7.4 to 134.7, n = 3)"


@pytest.mark.parametrize(
    ("values", "trials", "text"),
    [
        ([1.0, 2.0, 3.0], None, "2.0 ± 2.5"),
        ([0.0], 980, "0.0 [0.0, 0.4]"),
        ([100.0], 980, "100.0 [99.6, 100.0]"),
        ([5.0], None, "5.0"),
        ([], 980, "–"),
    ],
)
def test_a_mean_has_its_spread_over_seeds_and_one_seed_that_of_its_test_examples(values, trials, text):
    assert mean_and_half_width(values, 1, trials).replace("\xa0", " ") == text

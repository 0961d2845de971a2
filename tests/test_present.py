"""Sentences that are made from tables."""

from __future__ import annotations

import pandas as pd
import pytest

from kdlib.measures import Interval
from kdlib.present import (
    efficiency,
    efficiency_finding,
    labels_alone_finding,
    mean_and_half_width,
    missing_class_beside_paper,
    spoken,
    sweet_spot_finding,
)


@pytest.mark.parametrize("kind", ["int64", "float64", "object"])
@pytest.mark.parametrize(("epoch", "said"), [(1, "512, 1 epoch: "), (3, "512, 3 epochs: ")])
def test_the_sweet_spot_is_one_epoch_or_several_whatever_the_columns_type(kind: str, epoch: int, said: str) -> None:
    chosen = pd.DataFrame({"batch_size": [512], "epoch": [epoch], "updates": [1234]}).astype(kind)
    chosen["student"], chosen["teacher_accuracy"] = "baseline", 51.25
    rows = [(seed, t, 60.0 + seed) for seed in range(3) for t in ("large_sweet", "large", "none")]
    baseline = pd.DataFrame(rows, columns=["seed", "teacher", "accuracy"])
    sentence = sweet_spot_finding({"baseline": baseline, "chosen": chosen})
    assert said in sentence and "1,234 updates" in sentence and "with no teacher, 61.0%" in sentence


def test_what_is_said_of_examples_is_of_the_way_of_choosing_that_was_run():
    rows = [(s, t, n, 50.0 + s) for s in range(3) for t in ("small", "large") for n in (5, 10)]
    cells = pd.DataFrame(rows, columns=["seed", "teacher", "examples_per_class", "validation_accuracy"])
    said = efficiency_finding(cells.assign(selection="random", budget="epochs", full=False))
    assert "nan" not in said and "at random" in said and "With 5 examples" in said


def test_students_of_labels_alone_have_a_column_where_there_are_some_and_nothing_asked_is_no_row():
    rows = [(s, t, 5.0, 10, 50.0 + s) for s in range(3) for t in ("small", "none")]
    cells = pd.DataFrame(rows, columns=["seed", "teacher", "examples_per_class", "steps", "validation_accuracy"])
    cells = cells.assign(selection="random", budget="steps")
    assert list(efficiency(cells, "random", "steps")) == ["steps", "small", "labels alone"]
    assert "labels alone" not in efficiency(cells[cells.teacher == "small"], "random", "steps")
    assert efficiency(cells, "entropy", "steps").empty


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
    assert "small teacher are ahead of labels alone with 10, 20, most with 10, by 4.0 points" in said
    assert (
        "behind with 50;" in said
        and "large teacher are ahead of labels alone with no number, and behind with no number" in said
    )
    assert "No students" in labels_alone_finding(table.assign(selection="entropy"))
    assert "single teacher seed" in labels_alone_finding(table[table.seed == 0].assign(selection="random"))


def test_a_cell_that_the_paper_does_not_print_is_a_dash():
    rows = [(0, "small", c, t, 90.0) for c in range(10) for t in (1.0, 3.0)]
    cells = pd.DataFrame(rows, columns=["seed", "teacher", "missing_class", "temperature", "raw"])
    shown = missing_class_beside_paper(cells, [str(c) for c in range(10)], "small", "mnist")
    assert (shown[("paper", "T\N{NO-BREAK SPACE}= 1")] == "–").all() and (
        shown[("difference", "T\N{NO-BREAK SPACE}= 1")] == "–"
    ).all()
    assert not shown.astype(str).isin(["nan", "+nan"]).any(axis=None)


def test_a_spoken_share_stays_between_0_and_100_percent():
    wide = Interval(13.6, -7.4, 134.7, 3)
    assert spoken(wide, "%") == "13.6% (95% interval 0.0 to 100.0, n = 3)"
    assert spoken(wide, " points") == "13.6 points (95% interval -7.4 to 134.7, n = 3)"


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

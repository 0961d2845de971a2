"""Sentences that are made from tables."""

from __future__ import annotations

import pandas as pd
import pytest

from kdlib.present import mean_and_half_width, sweet_spot_finding


@pytest.mark.parametrize("kind", ["int64", "float64", "object"])
@pytest.mark.parametrize(("epoch", "said"), [(1, "512, 1 epoch."), (3, "512, 3 epochs.")])
def test_the_sweet_spot_is_one_epoch_or_several_whatever_the_columns_type(kind: str, epoch: int, said: str) -> None:
    chosen = pd.DataFrame({"student": ["baseline"], "batch_size": [512], "epoch": [epoch]}).astype(
        {"batch_size": kind, "epoch": kind}
    )
    rows = [(seed, t, 60.0 + seed) for seed in range(3) for t in ("large_sweet", "large")]
    baseline = pd.DataFrame(rows, columns=["seed", "teacher", "accuracy"])
    assert said in sweet_spot_finding({"baseline": baseline, "chosen": chosen})


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

"""Sentences that are made from tables."""

from __future__ import annotations

import pandas as pd
import pytest

from kdlib.present import sweet_spot_finding


@pytest.mark.parametrize("kind", ["int64", "float64", "object"])
@pytest.mark.parametrize(("epoch", "said"), [(1, "512, 1 epoch."), (3, "512, 3 epochs.")])
def test_the_sweet_spot_is_one_epoch_or_several_whatever_the_columns_type(kind: str, epoch: int, said: str) -> None:
    chosen = pd.DataFrame({"student": ["baseline"], "batch_size": [512], "epoch": [epoch]}).astype(
        {"batch_size": kind, "epoch": kind}
    )
    rows = [(seed, t, 60.0 + seed) for seed in range(3) for t in ("large_sweet", "large")]
    baseline = pd.DataFrame(rows, columns=["seed", "teacher", "accuracy"])
    assert said in sweet_spot_finding({"baseline": baseline, "chosen": chosen})

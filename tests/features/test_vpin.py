"""VPIN by bulk classification: its level where nothing is informed, and that it sees no more."""

import numpy as np
import pandas as pd
import pytest

from mrtrade.features import compute

NAME = "vpin_bulk_100"


def market(rows, seed=0):
    rng = np.random.default_rng(seed)
    index = pd.date_range("2024-01-01", periods=rows, freq="1min", tz="UTC", name="time")
    mid = 1e3 + np.cumsum(rng.normal(size=rows))
    return pd.DataFrame({"mid": mid, "volume": np.full(rows, 2.0)}, index=index)


def test_its_level_without_information():
    """Five Gaussian bars a bucket: 0.208 by simulation, sqrt(2 / (3 pi 5)) = 0.206 for many."""
    got = compute(market(20_000), [NAME])[NAME]
    assert got.mean() == pytest.approx(0.208, abs=0.005)
    # a hundred bars to calibrate, one change and a hundred more, then fifty buckets of five
    assert np.flatnonzero(got.notna())[0] == 100 + 101 + 250 - 1


def test_flow_that_goes_one_way_is_toxic():
    bars = market(3000)
    bars["mid"] += np.where(np.arange(3000) > 2000, 5.0 * (np.arange(3000) - 2000), 0.0)
    got = compute(bars, [NAME])[NAME]
    assert got.iloc[2090] > 2 * got.iloc[1990]


def test_a_bucket_waits_for_trades():
    bars = market(1000)
    bars.iloc[:300, 1] = 0.0
    got = compute(bars, [NAME])[NAME]
    assert got.first_valid_index() > bars.index[401]
    bars["volume"] = 0.0
    assert compute(bars, [NAME])[NAME].isna().all()

"""The EDGE spread of candles, against numbers of the authors' package and a known truth."""

import numpy as np
import pandas as pd
import pytest

from mrtrade.features import compute

from .golden import golden

INDEX = pd.date_range("2024-01-01", periods=400, freq="5min", tz="UTC", name="time")
NAMES = ["mid_open", "mid_high", "mid_low", "mid"]


def bouncing(spread, steps=50, bars=400, seed=4):
    """Candles of trades at mid -+ half a spread, of a mid that moves at random."""
    rng = np.random.default_rng(seed)
    mid = 100 * np.exp(np.cumsum(1e-4 * rng.normal(size=bars * steps)))
    price = (mid * (1 + spread / 2 * rng.choice([-1, 1], bars * steps))).reshape(bars, steps)
    columns = price[:, 0], price.max(axis=1), price.min(axis=1), price[:, -1]
    return pd.DataFrame(dict(zip(NAMES, columns, strict=True)), index=INDEX[:bars])


@pytest.mark.parametrize("spread", [5e-4, 2e-3])
def test_a_spread_is_recovered(spread):
    got = compute(bouncing(spread), ["edge_spread_bps_400"])["edge_spread_bps_400"].iloc[-1]
    assert got == pytest.approx(1e4 * spread, rel=0.15)


@pytest.mark.parametrize("window", [21, 60])
def test_golden_numbers(window):
    given = golden("edge")
    candles = [given.inputs[name] for name in ("open", "high", "low", "close")]
    index = pd.date_range("2024-01-01", periods=len(candles[0]), freq="5min", tz="UTC", name="time")
    bars = pd.DataFrame(dict(zip(NAMES, candles, strict=True)), index=index)
    got = compute(bars, [f"edge_spread_bps_{window}"]).to_numpy()[given.inputs["rows"], 0]
    np.testing.assert_allclose(got, 1e4 * given.expected[f"edge_{window}"], rtol=1e-9)


def test_candles_that_do_not_move_tell_nothing():
    flat = pd.DataFrame(100.0, index=INDEX, columns=NAMES)
    assert compute(flat, ["edge_spread_bps_21"]).isna().all(axis=None)

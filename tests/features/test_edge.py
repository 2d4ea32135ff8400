"""The EDGE spread of candles, against numbers of the authors' package and a known truth."""

import numpy as np
import pandas as pd
import pytest

from mrtrade.features import compute

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


def test_numbers_of_the_package():
    """bidask 2.1.0: 1e4 * edge_rolling(ohlc, window=21), at four bars, to its last digits."""
    out = compute(bouncing(1e-3), ["edge_spread_bps_21"])["edge_spread_bps_21"]
    expected = [7.133318862042926, 7.332880884790768, 10.077081518690868, 9.274268499658882]
    assert out.iloc[[20, 21, 200, 399]].tolist() == pytest.approx(expected, rel=1e-9)


def test_candles_that_do_not_move_tell_nothing():
    flat = pd.DataFrame(100.0, index=INDEX, columns=NAMES)
    assert compute(flat, ["edge_spread_bps_21"]).isna().all(axis=None)

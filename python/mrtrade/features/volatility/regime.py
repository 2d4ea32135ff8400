"""Volatility against its own past, and trend against no trend."""

from __future__ import annotations

import numpy as np

from mrtrade.features.registry import feature
from mrtrade.features.rolling import Array, Bars, Rolling
from mrtrade.features.volatility.realized import FAMILY

#: The past that volatility over n bars is compared with, in n.
LONG = 10


@feature(
    "vol_ratio",
    family=FAMILY,
    unit="ratio",
    inputs=("squared_return",),
    formula="realised volatility over n bars / over 10 n bars",
    edge="NaN: flat window",
    source="definition",
    lookback=lambda n: LONG * n,
    warmup=lambda n: LONG * n,
    windows=(60, 300),
)
def vol_ratio(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Short-run volatility against its own recent level: above 1 the market is waking."""
    ratio = roll.mean("squared_return", window) / roll.mean("squared_return", LONG * window)
    return np.sqrt(np.maximum(ratio, 0.0))


@feature(
    "vol_percentile",
    family=FAMILY,
    unit="0..1",
    inputs=("realized_vol_{window}",),
    formula="rank of realized_vol_n among its last 10 n values, 0 the lowest, 1 the highest",
    edge="1/2: all are equal",
    source="definition",
    lookback=lambda n: (LONG + 1) * n - 1,
    warmup=lambda n: (LONG + 1) * n - 1,
    windows=(60,),
)
def vol_percentile(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Rank of the realised volatility in its own past."""
    return roll.rank(f"realized_vol_{window}", LONG * window)


@feature(
    "vol_regime",
    family=FAMILY,
    unit="0, 1, 2",
    inputs=("vol_percentile_{window}",),
    formula="0: vol_percentile < 1/3, 2: > 2/3, else 1",
    edge="1: all are equal",
    source="terciles of the past alone",
    lookback=lambda n: (LONG + 1) * n - 1,
    warmup=lambda n: (LONG + 1) * n - 1,
    windows=(60,),
)
def vol_regime(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Whether volatility is low (0), middling (1) or high (2) for its own past."""
    rank = bars[f"vol_percentile_{window}"]
    return np.where(np.isnan(rank), np.nan, (rank >= 1.0 / 3.0) * 1.0 + (rank > 2.0 / 3.0))


@feature(
    "vol_of_vol",
    family=FAMILY,
    unit="ratio",
    inputs=("realized_vol_{window}",),
    formula="sd / mean of the last 10 n values of realized_vol_n, ddof 0",
    edge="NaN: flat window",
    source="definition",
    lookback=lambda n: (LONG + 1) * n - 1,
    warmup=lambda n: (LONG + 1) * n - 1,
    windows=(60,),
)
def vol_of_vol(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """How much volatility itself varies, relative to its level."""
    name = f"realized_vol_{window}"
    return roll.sd(name, LONG * window) / roll.mean(name, LONG * window)


@feature(
    "adx",
    family=FAMILY,
    unit="0..100",
    inputs=("mid_high", "mid_low", "mid"),
    formula="Wilder mean of 100 |+DI - -DI| / (+DI + -DI) over n bars",
    edge="NaN: no direction yet; a bar is missing",
    source="Wilder 1978",
    lookback=None,
    warmup=lambda n: 2 * n - 1,
    windows=(14,),
)
def adx(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Strength of the trend, up or down; its seed is forgotten after some 10 n bars."""
    return roll.adx("mid_high", "mid_low", "mid", window)[2]


@feature(
    "di_spread",
    family=FAMILY,
    unit="-100..100",
    inputs=("mid_high", "mid_low", "mid"),
    formula="100 (W(rises of the high) - W(falls of the low)) / W(true range), W: Wilder's sum",
    edge="NaN: no range yet; a bar is missing",
    source="Wilder 1978",
    lookback=None,
    warmup=lambda n: n,
    windows=(14,),
)
def di_spread(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Direction of the trend: above 0 up."""
    plus, minus, _ = roll.adx("mid_high", "mid_low", "mid", window)
    return plus - minus

"""Features of how far the mid has gone from where it was, and how fast such gaps close."""

from __future__ import annotations

import math

import numpy as np

from mrtrade.features.registry import feature
from mrtrade.features.rolling import Array, Bars, Rolling

FAMILY = "mean_reversion"
BPS = 1e4

#: 5 % critical value of the Dickey-Fuller t with a constant (MacKinnon 2010, infinite sample).
DICKEY_FULLER_5 = -2.86154


@feature(
    "zscore",
    family=FAMILY,
    unit="sd",
    inputs=("mid",),
    formula="(mid - mean_n) / sd_n, ddof 0, present bar included",
    edge="NaN: flat window; at most sqrt(n - 1)",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(60, 300, 1800),
)
def zscore(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Standardised distance of the mid from its rolling mean; at most sqrt(n - 1)."""
    return (bars["mid"] - roll.mean("mid", window)) / roll.sd("mid", window)


@feature(
    "bollinger_b",
    family=FAMILY,
    unit="bands",
    inputs=("zscore_{window}",),
    formula="(mid - lower) / (upper - lower), bands = mean_n -+ 2 sd_n, ddof 0",
    edge="NaN: flat window",
    source="Bollinger 2001",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(20,),
)
def bollinger_b(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Place within the Bollinger bands: 0 at the lower, 1 at the upper."""
    return 0.5 + 0.25 * bars[f"zscore_{window}"]


@feature(
    "sma_dev_bps",
    family=FAMILY,
    unit="bps",
    inputs=("mid",),
    formula="ln(mid / mean_n) 1e4",
    edge="NaN: a mid is missing in the window",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(60, 300, 1800),
)
def sma_dev_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Distance of the mid from its rolling mean: what a full reversion would earn."""
    return BPS * np.log(bars["mid"] / roll.mean("mid", window))


@feature(
    "ema_dev_bps",
    family=FAMILY,
    unit="bps",
    inputs=("mid",),
    formula="ln(mid / EMA_n) 1e4, alpha = 2 / (n + 1), seeded with the first mean_n",
    edge="a missing mid leaves the EMA as it is",
    source="definition; seed as in TA-Lib",
    lookback=None,
    warmup=lambda n: n - 1,
    windows=(60, 300),
)
def ema_dev_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Distance of the mid from its exponential mean."""
    return BPS * np.log(bars["mid"] / roll.ewma("mid", window, 2.0 / (window + 1.0)))


@feature(
    "vwap_dev_bps",
    family=FAMILY,
    unit="bps",
    inputs=("mid", "notional", "volume"),
    formula="ln(mid / VWAP_n) 1e4, VWAP_n = sum_n(notional) / sum_n(volume)",
    edge="NaN: no trade in the window",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(300,),
)
def vwap_dev_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Distance of the mid from the rolling volume-weighted price of trades."""
    vwap = roll.mean("notional", window) / roll.mean("volume", window)
    return BPS * np.log(bars["mid"] / vwap)


@feature(
    "rsi",
    family=FAMILY,
    unit="0..100",
    inputs=("mid",),
    formula="100 G / (G + L), Wilder means of gains and losses seeded with mean_n",
    edge="NaN: neither gained nor lost (TA-Lib gives 0 there)",
    source="Wilder 1978",
    lookback=None,
    warmup=lambda n: n,
    windows=(14,),
)
def rsi(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Wilder's relative strength index of the mid; its seed is forgotten after some 10 n bars."""
    change = bars["mid"] - roll.lag("mid", 1)
    gain = roll.ewma(np.maximum(change, 0.0), window, 1.0 / window)
    loss = roll.ewma(np.maximum(-change, 0.0), window, 1.0 / window)
    return 100.0 * gain / (gain + loss)


@feature(
    "half_life",
    family=FAMILY,
    unit="s",
    inputs=("mid", "bar_s"),
    formula="-ln 2 / ln phi, phi from OLS of (mid - mid_1) on mid_1 with intercept over n pairs",
    edge="NaN: phi outside (0, 1), or Dickey-Fuller t > -2.86",
    source="Uhlenbeck & Ornstein 1930, exact discretisation; gate: MacKinnon 2010 at 5 %",
    lookback=lambda n: n,
    warmup=lambda n: n,
    sparse=True,
    windows=(600, 1800),
)
def half_life(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Half-life of an Ornstein-Uhlenbeck mid.

    The regression gives a number (about 0.16 n bars) for a random walk too, hence the gate; it
    lets 5 % of random walks pass. Short windows bias it low (Kendall 1954; not corrected).
    """
    mid = bars["mid"]
    previous = roll.lag("mid", 1)
    slope, _, _, t = roll.ols(mid - previous, previous, window)
    phi = 1.0 + slope
    reverts = (phi > 0.0) & (phi < 1.0) & (t < DICKEY_FULLER_5)
    life = -math.log(2.0) / np.log(np.where(reverts, phi, np.nan))
    return life * bars["bar_s"]


@feature(
    "reversal_bps",
    family=FAMILY,
    unit="bps",
    inputs=("log_mid",),
    formula="-ln(mid / mid_n) 1e4",
    edge="NaN: a mid is missing",
    source="short-term reversal, Jegadeesh 1990",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(10, 60),
)
def reversal_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Minus the last move: what a full reversal would earn."""
    return -BPS * (bars["log_mid"] - roll.lag("log_mid", window))


@feature(
    "range_position",
    family=FAMILY,
    unit="0..1",
    inputs=("mid", "mid_low", "mid_high"),
    formula="(mid - low_n) / (high_n - low_n), extremes of mid_low and mid_high",
    edge="NaN: flat window",
    source="stochastic oscillator %K, Lane 1984",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(300,),
)
def range_position(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Place of the mid between its rolling extremes: 0 at the low, 1 at the high."""
    low, high = roll.min("mid_low", window), roll.max("mid_high", window)
    return (bars["mid"] - low) / (high - low)

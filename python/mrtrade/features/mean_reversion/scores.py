"""Where the mid stands within its own recent past."""

from __future__ import annotations

import numpy as np

from mrtrade.features.registry import feature
from mrtrade.features.rolling import Array, Bars, Rolling

FAMILY = "mean_reversion"
BPS = 1e4

#: Standard deviations of a normal distribution in its median absolute deviation.
NORMAL_MAD = 1.4826


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
    "zscore_robust",
    family=FAMILY,
    unit="sd",
    inputs=("mid",),
    formula="(mid - median_n) / (1.4826 MAD_n), present bar included",
    edge="NaN: half of the window or more stood still",
    source="Hampel 1974; 1.4826 for a normal distribution",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(300,),
)
def zscore_robust(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Distance of the mid from its rolling median: one jump within moves it little."""
    median, mad = roll.median_mad("mid", window)
    return (bars["mid"] - median) / (NORMAL_MAD * mad)


@feature(
    "quantile_rank",
    family=FAMILY,
    unit="0..1",
    inputs=("mid",),
    formula="(mids below + half of the others equal) / (n - 1)",
    edge="1/2: flat window",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(300,),
)
def quantile_rank(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Rank of the mid in its window: 0 the lowest, 1 the highest."""
    return roll.rank("mid", window)


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
    "bollinger_width",
    family=FAMILY,
    unit="fraction",
    inputs=("mid",),
    formula="(upper - lower) / mean_n, bands = mean_n -+ 2 sd_n, ddof 0",
    edge="0: flat window",
    source="Bollinger 2001",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(20,),
)
def bollinger_width(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Width of the Bollinger bands, relative to their middle."""
    return 4.0 * roll.sd("mid", window) / roll.mean("mid", window)


@feature(
    "rsi",
    family=FAMILY,
    unit="0..100",
    inputs=("mid",),
    formula="100 G / (G + L), Wilder means of gains and losses seeded with mean_n",
    edge="NaN: neither gained nor lost (TA-Lib gives 0 there); a mid is missing",
    source="Wilder 1978",
    lookback=None,
    warmup=lambda n: n,
    windows=(14,),
)
def rsi(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Wilder's relative strength index of the mid; its seed is forgotten after some 10 n bars."""
    return roll.rsi("mid", window)


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


@feature(
    "dist_high_bps",
    family=FAMILY,
    unit="bps",
    inputs=("mid", "mid_high"),
    formula="ln(high_n / mid) 1e4, high_n of mid_high",
    edge="NaN: a mid is missing in the window",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(300,),
)
def dist_high_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """How far the mid is below its rolling high."""
    return BPS * np.log(roll.max("mid_high", window) / bars["mid"])


@feature(
    "dist_low_bps",
    family=FAMILY,
    unit="bps",
    inputs=("mid", "mid_low"),
    formula="ln(mid / low_n) 1e4, low_n of mid_low",
    edge="NaN: a mid is missing in the window",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(300,),
)
def dist_low_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """How far the mid is above its rolling low."""
    return BPS * np.log(bars["mid"] / roll.min("mid_low", window))

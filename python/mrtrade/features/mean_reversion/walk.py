"""Is the mid a random walk? Statistics that say how it differs from one."""

from __future__ import annotations

import numpy as np

from mrtrade.features.registry import feature
from mrtrade.features.rolling import Array, Bars, Rolling

FAMILY = "mean_reversion"

#: Bars of the long return of the variance ratio.
LONG_RETURN = 4


@feature(
    "autocorr_1",
    family=FAMILY,
    unit="-1..1",
    inputs=("log_return",),
    formula="correlation of the last n log returns with those one bar earlier",
    edge="NaN: flat window",
    source="definition",
    lookback=lambda n: n + 1,
    warmup=lambda n: n + 1,
    windows=(300,),
    shortest=3,
)
def autocorr_1(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """First autocorrelation of returns: below 0 they revert."""
    slope, _, r2, _ = roll.ols("log_return", roll.lag("log_return", 1), window)
    return np.copysign(np.sqrt(r2), slope)


@feature(
    "variance_ratio",
    family=FAMILY,
    unit="ratio",
    inputs=("log_mid",),
    formula="variance of 4-bar returns / 4 times that of 1-bar returns: overlapping, unbiased, n",
    edge="NaN: all returns are equal",
    source="Lo & MacKinlay 1988",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(300,),
    shortest=LONG_RETURN + 1,
)
def variance_ratio(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Variance ratio of n returns: 1 on a random walk, less where they revert."""
    return roll.variance_ratio("log_mid", window + 1, LONG_RETURN)[0]


@feature(
    "variance_ratio_z",
    family=FAMILY,
    unit="sd",
    inputs=("log_mid",),
    formula="(variance_ratio - 1) / its error, robust to changing variance (M2)",
    edge="NaN: all returns are equal",
    source="Lo & MacKinlay 1988",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(300,),
    shortest=LONG_RETURN + 1,
)
def variance_ratio_z(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Test statistic of the variance ratio: below -1.6 a random walk is unlikely."""
    return roll.variance_ratio("log_mid", window + 1, LONG_RETURN)[1]


@feature(
    "adf_t",
    family=FAMILY,
    unit="1",
    inputs=("log_mid",),
    formula="t of ln(mid_1) in the OLS of the log return on it, on the return before, constant",
    edge="NaN: flat window",
    source="Said & Dickey 1984, one lag, n log mids",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(300,),
    shortest=8,
)
def adf_t(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Augmented Dickey-Fuller statistic: below -2.87 a random walk is unlikely."""
    return roll.adf("log_mid", window, 1)


@feature(
    "hurst",
    family=FAMILY,
    unit="1",
    inputs=("log_return",),
    formula="slope of ln F(s) on ln s, s = 8 .. n / 4, detrended by lines, less its bias at 1/2",
    edge="NaN: flat window; its own error is 0.05 at 512 returns, 0.08 at 256",
    source="DFA-1: Peng et al. 1994; Kantelhardt et al. 2002",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(512,),
    shortest=64,
)
def hurst(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Hurst exponent of the returns: 1/2 on a random walk, less where they revert."""
    return roll.dfa("log_return", window)[1]

"""Volatility of the bars' returns, and what shape they have."""

from __future__ import annotations

import numpy as np

from mrtrade.features.registry import feature
from mrtrade.features.rolling import Array, Bars, Rolling

FAMILY = "volatility"
YEAR_S = 365 * 86400.0

#: Bars of a sparse return.
SPARSE = 20


def annualized(variance: Array, bar_s: Array) -> Array:
    """Return the volatility of a year of 365 days from the mean variance and time of a bar."""
    return np.sqrt(np.maximum(variance, 0.0) * (YEAR_S / bar_s))  # below 0 by rounding


@feature(
    "realized_vol",
    family=FAMILY,
    unit="1/sqrt(year)",
    inputs=("squared_return", "bar_s"),
    formula="sqrt(mean_n(ln(mid / mid_1)^2) 365 d / mean_n(bar time))",
    edge="0: flat window",
    source="Andersen, Bollerslev, Diebold & Labys 2003",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(60, 300),
)
def realized_vol(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Realised volatility of the mid, annualised (0.6 is 60 % a year)."""
    return annualized(roll.mean("squared_return", window), roll.mean("bar_s", window))


@feature(
    "realized_kernel_vol",
    family=FAMILY,
    unit="1/sqrt(year)",
    inputs=("log_return", "bar_s"),
    formula="sqrt(sum_h k(h / (H + 1)) gamma_h / n 365 d / mean_n(bar time)), |h| <= H, Parzen k; "
    "H = 3.51 (noise / variance)^(2/5) n^(3/5) <= n / 10",
    edge="0: flat window",
    source="Barndorff-Nielsen, Hansen, Lunde & Shephard 2009, not flat-topped",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(300,),
    shortest=10,
)
def realized_kernel_vol(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Realised volatility without what noise of the mid adds to it."""
    tenth = window // 10
    variance = roll.kernel_variance("log_return", window, tenth, min(SPARSE, tenth))
    return annualized(variance / window, roll.mean("bar_s", window))


@feature(
    "noise_ratio",
    family=FAMILY,
    unit="ratio",
    inputs=("log_mid", "squared_return"),
    formula=f"{SPARSE} mean_n(r^2) / mean_n(R^2), R = ln(mid / mid_{SPARSE})",
    edge="NaN: flat window",
    source="volatility signature: Andersen, Bollerslev, Diebold & Labys 2000",
    lookback=lambda n: n + SPARSE - 1,
    warmup=lambda n: n + SPARSE - 1,
    windows=(300,),
)
def noise_ratio(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Variance seen on every bar over that seen on sparse ones: above 1, moves are taken back."""
    far = bars["log_mid"] - roll.lag("log_mid", SPARSE)
    return SPARSE * roll.mean("squared_return", window) / roll.mean(far * far, window)


@feature(
    "downside_share",
    family=FAMILY,
    unit="0..1",
    inputs=("log_return", "squared_return"),
    formula="sum_n(r^2 where r < 0) / sum_n(r^2)",
    edge="NaN: flat window",
    source="realised semivariance: Barndorff-Nielsen, Kinnebrock & Shephard 2010",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(300,),
)
def downside_share(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Share of the realised variance that came by falls."""
    falls = np.minimum(bars["log_return"], 0.0)
    return roll.mean(falls * falls, window) / roll.mean("squared_return", window)


@feature(
    "skew",
    family=FAMILY,
    unit="1",
    inputs=("log_return",),
    formula="m3 / m2^1.5 of n log returns, population moments",
    edge="NaN: all returns are equal",
    source="definition",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(300,),
)
def skew(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Skewness of returns: below 0, the large moves are falls."""
    return roll.shape("log_return", window)[0]


@feature(
    "kurtosis",
    family=FAMILY,
    unit="1",
    inputs=("log_return",),
    formula="m4 / m2^2 - 3 of n log returns, population moments",
    edge="NaN: all returns are equal",
    source="definition",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(300,),
)
def kurtosis(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Excess kurtosis of returns: 0 if normal."""
    return roll.shape("log_return", window)[1]

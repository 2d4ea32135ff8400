"""Features of volatility. Annualised by 365 days: these markets do not close."""

from __future__ import annotations

import numpy as np

from mrtrade.features.registry import feature
from mrtrade.features.rolling import Array, Bars, Rolling

FAMILY = "volatility"
YEAR_S = 365 * 86400.0

#: The long window of `vol_ratio`, in short ones.
LONG = 10


@feature(
    "realized_vol",
    family=FAMILY,
    unit="1/sqrt(year)",
    inputs=("squared_return", "bar_s"),
    formula="sqrt(mean_n(ln(mid / mid_1)^2) 365 d / bar time)",
    edge="0: flat window",
    source="Andersen, Bollerslev, Diebold & Labys 2003",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(60, 300),
)
def realized_vol(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Realised volatility of the mid, annualised (0.6 is 60 % a year)."""
    variance = np.maximum(roll.mean("squared_return", window), 0.0)  # below 0 by rounding
    return np.sqrt(variance * YEAR_S / bars["bar_s"])


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
    "parkinson_vol",
    family=FAMILY,
    unit="1/sqrt(year)",
    inputs=("mid_low", "mid_high", "bar_s"),
    formula="sqrt(mean_n(ln(mid_high / mid_low)^2) / (4 ln 2) 365 d / bar time)",
    edge="low on bars with few changes of the mid (0.57 of the variance at 5)",
    source="Parkinson 1980, on mids",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(60, 300),
)
def parkinson_vol(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Range volatility of the mid, annualised; low on bars with few quote changes."""
    span = np.log(bars["mid_high"] / bars["mid_low"])
    variance: Array = np.maximum(roll.mean(span * span, window), 0.0) / (4.0 * np.log(2.0))
    return np.sqrt(variance * YEAR_S / bars["bar_s"])

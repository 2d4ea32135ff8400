"""Distance of the mid from what it might be worth: mean prices, and other markets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mrtrade.errors import ConfigError
from mrtrade.features.compute import compute
from mrtrade.features.registry import feature
from mrtrade.features.rolling import Array, Bars, Rolling

FAMILY = "mean_reversion"
BPS = 1e4

#: Bars of a day that the price of its trades is not known from.
SESSION_WARMUP = 12


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
    "vwap_z",
    family=FAMILY,
    unit="sd",
    inputs=("vwap_dev_bps_{window}",),
    formula="vwap_dev_bps_n / sd_n(vwap_dev_bps_n), ddof 0, its mean not taken off",
    edge="NaN: no trade in the window",
    source="definition",
    lookback=lambda n: 2 * n - 2,
    warmup=lambda n: 2 * n - 2,
    windows=(300,),
)
def vwap_z(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Distance of the mid from its VWAP in standard deviations of its own last n values."""
    name = f"vwap_dev_bps_{window}"
    return bars[name] / roll.sd(name, window)


@feature(
    "vwap_session_dev_bps",
    family=FAMILY,
    unit="bps",
    inputs=("time", "mid", "notional", "volume"),
    formula="ln(mid / VWAP) 1e4, VWAP over the bars since 00:00 UTC",
    edge=f"NaN: the first {SESSION_WARMUP - 1} bars of a day, no trade yet; a bar without trades "
    "leaves the VWAP as it is; on the first day it is of the bars seen",
    source="definition",
    lookback=None,
    warmup=SESSION_WARMUP - 1,
    sparse=True,
)
def vwap_session_dev_bps(bars: Bars, roll: Rolling) -> Array:
    """Distance of the mid from the volume-weighted price of the day's trades."""
    count = roll.day_sum(np.ones(len(bars["mid"])))
    vwap = roll.day_sum("notional") / roll.day_sum("volume")
    return BPS * np.log(bars["mid"] / np.where(count < SESSION_WARMUP, np.nan, vwap))


#: Features by what the mid is held against, and the sign that makes each one mid less fair value.
METHODS = {
    "vwap": ("vwap_dev_bps_{window}", 1.0),
    "session_vwap": ("vwap_session_dev_bps", 1.0),
    "ema": ("ema_dev_bps_{window}", 1.0),
    "sma": ("sma_dev_bps_{window}", 1.0),
    "funding_parity": ("funding_parity_bps", 1.0),
    "microprice": ("microprice_dev_bps", -1.0),
}


def calculate_fair_value_deviations(
    bars: pd.DataFrame,
    methods: Sequence[str] = ("vwap", "ema", "funding_parity", "microprice"),
    window: int = 300,
) -> pd.DataFrame:
    """Compute how far the mid is from its fair value, by several ideas of that.

    Parameters
    ----------
    bars : DataFrame
        As `mrtrade.features.bars` makes it.
    methods : sequence of str
        Of ``vwap, session_vwap, ema, sma, funding_parity, microprice``; features of the register
        (`METHODS`). By funding it is the mark, not the mid, that is held against the index.
    window : int
        Bars of the means.

    Returns
    -------
    DataFrame
        A column a method, in bps: above 0 the mid is above its fair value. NaN where there is no
        value; where the bars lack a column, ``.attrs["reasons"]`` says so by method.

    Examples
    --------
    >>> from mrtrade.features.example import example_bars
    >>> list(calculate_fair_value_deviations(example_bars(400), ["vwap", "microprice"]))
    ['vwap', 'microprice']
    """
    for method in methods:
        if method not in METHODS:
            raise ConfigError("fair value by what", value=method, expected=", ".join(METHODS))
    named = {method: METHODS[method][0].format(window=window) for method in methods}
    values = compute(bars, named.values())
    frame = pd.DataFrame({method: values[name] for method, name in named.items()})
    frame *= [METHODS[method][1] for method in methods]
    reasons = values.attrs["reasons"]
    frame.attrs["reasons"] = {
        method: reasons[name] for method, name in named.items() if name in reasons
    }
    return frame

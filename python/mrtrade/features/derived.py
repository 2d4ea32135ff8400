"""Columns that many features share."""

from __future__ import annotations

import numpy as np

from mrtrade.features.registry import derived
from mrtrade.features.rolling import Array, Bars, Rolling


@derived("log_mid", unit="ln quote", inputs=("mid",))
def log_mid(bars: Bars, roll: Rolling) -> Array:
    """Logarithm of the mid."""
    return np.log(bars["mid"])


@derived("log_return", unit="1", inputs=("log_mid",))
def log_return(bars: Bars, roll: Rolling) -> Array:
    """Change of the log mid since the end of the bar before."""
    return bars["log_mid"] - roll.lag("log_mid", 1)


@derived("squared_return", unit="1", inputs=("log_return",))
def squared_return(bars: Bars, roll: Rolling) -> Array:
    """Square of the log return."""
    return bars["log_return"] * bars["log_return"]


@derived("bar_s", unit="s", inputs=("time",))
def bar_s(bars: Bars, roll: Rolling) -> Array:
    """Time since the end of the bar before."""
    return roll.bar_seconds()


@derived("signed_volume", unit="base", inputs=("buy_volume", "sell_volume"))
def signed_volume(bars: Bars, roll: Rolling) -> Array:
    """Volume of buyers who took less that of sellers who did."""
    return bars["buy_volume"] - bars["sell_volume"]


@derived("touch_depth", unit="base", inputs=("bid_size", "ask_size"))
def touch_depth(bars: Bars, roll: Rolling) -> Array:
    """Mean size of the two best queues."""
    return 0.5 * (bars["bid_size"] + bars["ask_size"])

"""What it costs to trade: price impact, illiquidity, and spreads measured from trades."""

from __future__ import annotations

import numpy as np

from mrtrade.features.registry import feature
from mrtrade.features.rolling import Array, Bars, Rolling

FAMILY = "microstructure"
BPS = 1e4


@feature(
    "kyle_lambda",
    family=FAMILY,
    unit="quote / base",
    inputs=("kyle_lambda",),
    formula="OLS slope of the bar's mid change on its signed volume",
    edge="NaN: signed volume does not vary; may be negative",
    source="Kyle 1985; Hasbrouck 2009; window as set for the bars",
)
def kyle_lambda(bars: Bars, roll: Rolling) -> Array:
    """Price impact of signed volume."""
    return bars["kyle_lambda"]


@feature(
    "kyle_t",
    family=FAMILY,
    unit="1",
    inputs=("kyle_t",),
    formula="classical t statistic of kyle_lambda",
    edge="NaN: as kyle_lambda",
    source="Kyle 1985; Hasbrouck 2009",
)
def kyle_t(bars: Bars, roll: Rolling) -> Array:
    """How sure the price impact is."""
    return bars["kyle_t"]


@feature(
    "amihud",
    family=FAMILY,
    unit="1e-6 / quote",
    inputs=("log_return", "notional"),
    formula="1e6 mean of |ln(mid / mid_1)| / notional over the bars that traded",
    edge="NaN: none did",
    source="Amihud 2002, on mids and bars",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(60, 300),
)
def amihud(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Illiquidity: relative move per amount traded."""
    move = np.abs(bars["log_return"])
    traded = bars["notional"] > 0.0
    ratio = roll.mean(np.where(traded, 1e6 * move / bars["notional"], 0.0 * move), window)
    return ratio / roll.mean(traded.astype(np.float64), window)


@feature(
    "roll_spread_bps",
    family=FAMILY,
    unit="bps",
    inputs=("roll_xy", "roll_x", "roll_y", "roll_n", "mid"),
    formula="2 sqrt(-cov) / mid 1e4, cov of consecutive price changes of trades over n bars",
    edge="NaN: cov >= 0, which a short window often has, or no trades",
    source="Roll 1984",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    sparse=True,
    windows=(60, 300),
)
def roll_spread_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Spread that the bounce of trade prices gives away."""
    n = roll.mean("roll_n", window)
    means = (roll.mean("roll_x", window) / n) * (roll.mean("roll_y", window) / n)
    covariance = roll.mean("roll_xy", window) / n - means
    return BPS * 2.0 * np.sqrt(np.where(covariance < 0.0, -covariance, np.nan)) / bars["mid"]


def spread_measure(bars: Bars, roll: Rolling, *, window: int, amount: str, volume: str) -> Array:
    """Volume-weighted, of the trades whose value was known within the window."""
    return BPS * roll.mean(amount, window) / roll.mean(volume, window) / bars["mid"]


for _name, _amount, _volume, _formula in (
    (
        "effective_spread_bps",
        "eff_spread",
        "eff_volume",
        "sum_n(2 D (P - M) q) / sum_n(q) / mid 1e4, M the mid strictly before the trade",
    ),
    (
        "realized_spread_bps",
        "realized_spread",
        "matured_volume",
        "sum_n(2 D (P - M_+h) q) / sum_n(q) / mid 1e4, in the bar in which M_+h (5 s) is known",
    ),
    (
        "price_impact_bps",
        "price_impact",
        "matured_volume",
        "sum_n(2 D (M_+h - M) q) / sum_n(q) / mid 1e4, in the bar in which M_+h (5 s) is known",
    ),
):
    feature(
        _name,
        family=FAMILY,
        unit="bps",
        inputs=(_amount, _volume, "mid"),
        formula=_formula,
        edge="NaN: no such trade in the window; where a feed sends the book's change before the "
        "trade that made it, M is too late: build the bars with quote_lag_ns of some milliseconds",
        source="Huang & Stoll 1996; Lee & Ready 1991",
        lookback=lambda n: n - 1,
        warmup=lambda n: n - 1,
        windows=(60,),
        params={"amount": _amount, "volume": _volume},
    )(spread_measure)


@feature(
    "hidden_share",
    family=FAMILY,
    unit="ratio",
    inputs=("unmatched_trades", "volume"),
    formula="sum_n(volume for which the book lost no size in time) / sum_n(volume)",
    edge="NaN: no trade in the window; above 1 where trades before it became known as such in it",
    source="definition; hidden or refilled orders, or a feed that bundles changes",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(300,),
)
def hidden_share(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Volume that met no visible size."""
    return roll.mean("unmatched_trades", window) / roll.mean("volume", window)


@feature(
    "edge_spread_bps",
    family=FAMILY,
    unit="bps",
    inputs=("mid_open", "mid_high", "mid_low", "mid"),
    formula="sqrt(|(v_2 E(x_1) + v_1 E(x_2)) / (v_1 + v_2)|) 1e4, moments over n - 1 bars",
    edge="NaN: fewer than 2 bars that moved, or no open or close off the extremes",
    source="EDGE of Ardia, Guidotti & Kroencke 2024; bidask 2.1.0 gives the same numbers",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(300,),
)
def edge_spread_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Spread that open, high, low and close of candles give away; mids of a book do not bounce.

    Written anew (`mrcore.rolling_edge`): the authors' package has no form that goes on bar by bar.
    """
    return BPS * roll.edge("mid_open", "mid_high", "mid_low", "mid", window)

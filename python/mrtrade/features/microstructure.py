"""Features of the book's shape and of the order flow.

Ratios of sums over bars without a trade are 0 / 0, NaN: `mrcore.rolling` sums come back to 0.
"""

from __future__ import annotations

import numpy as np

from mrtrade.features.registry import Bars, feature
from mrtrade.features.rolling import Array, Rolling

FAMILY = "microstructure"
BPS = 1e4


def imbalance(bars: Bars, roll: Rolling, *, levels: int) -> Array:
    """Depth imbalance; +1 all bids, -1 all asks. Fewer levels than asked for: those there are."""
    return bars[f"imbalance_{levels}"]


for _levels in (1, 5, 10, 20):
    feature(
        f"imbalance_{_levels}",
        family=FAMILY,
        unit="-1..1",
        formula=f"(B - A) / (B + A), base units in the best {_levels} levels a side",
        source="Cao, Hansch & Wang 2009; Gould & Bonart 2016",
        params={"levels": _levels},
    )(imbalance)


@feature(
    "microprice_dev_bps",
    family=FAMILY,
    unit="bps",
    formula="(microprice / mid - 1) 1e4, microprice = (q_b a + q_a b) / (q_b + q_a)",
    source="weighted mid, as in Stoikov 2018",
)
def microprice_dev_bps(bars: Bars, roll: Rolling) -> Array:
    """Where the touch's queues pull the price."""
    return BPS * (bars["microprice"] / bars["mid"] - 1.0)


@feature(
    "spread_bps",
    family=FAMILY,
    unit="bps",
    formula="(ask - bid) / mid 1e4 at the bar's end",
    source="definition",
)
def spread_bps(bars: Bars, roll: Rolling) -> Array:
    """Quoted spread, last."""
    return BPS * (bars["ask"] - bars["bid"]) / bars["mid"]


@feature(
    "spread_mean_bps",
    family=FAMILY,
    unit="bps",
    formula="time-weighted mean of (ask - bid) over the bar / mid 1e4",
    source="definition",
)
def spread_mean_bps(bars: Bars, roll: Rolling) -> Array:
    """Quoted spread, weighted by the time it stood."""
    return BPS * bars["spread_mean"] / bars["mid"]


@feature(
    "spread_max_bps",
    family=FAMILY,
    unit="bps",
    formula="max of (ask - bid) over the bar / mid 1e4",
    source="definition",
)
def spread_max_bps(bars: Bars, roll: Rolling) -> Array:
    """Quoted spread at its widest."""
    return BPS * bars["spread_max"] / bars["mid"]


@feature(
    "ofi",
    family=FAMILY,
    unit="touch sizes",
    formula="sum_n(OFI) / mean_n((q_b + q_a) / 2)",
    source="Cont, Kukanov & Stoikov 2014; scaled as in Cont, Cucuringu & Zhang 2023",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(10, 60),
)
def ofi(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Best-level order-flow imbalance in units of the mean queue at the touch."""
    depth = roll.mean(0.5 * (bars["bid_size"] + bars["ask_size"]), window)
    return roll.sum(bars["ofi"], window) / depth


@feature(
    "trade_imbalance",
    family=FAMILY,
    unit="-1..1",
    formula="sum_n(buy - sell) / sum_n(buy + sell), volume by aggressor; NaN: no trade",
    source="Silantyev 2019",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(10, 60, 300),
)
def trade_imbalance(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Signed share of the traded volume."""
    volume = bars["buy_volume"] + bars["sell_volume"]
    signed = roll.mean(bars["buy_volume"] - bars["sell_volume"], window)
    return np.clip(signed / roll.mean(volume, window), -1.0, 1.0)  # beyond 1 by rounding


@feature(
    "vpin",
    family=FAMILY,
    unit="0..1",
    formula="mean of |V_buy - V_sell| / V over the last volume buckets, true aggressor sides",
    source="Easley, Lopez de Prado & O'Hara 2012; buckets as set for the replay",
)
def vpin(bars: Bars, roll: Rolling) -> Array:
    """Flow toxicity. Its level depends on the number of trades a bucket; NaN: buckets not full."""
    return bars["vpin"]


@feature(
    "kyle_lambda",
    family=FAMILY,
    unit="price / base unit",
    formula="OLS slope of the bar's mid change on its signed volume",
    source="Kyle 1985; Hasbrouck 2009; window as set for the replay",
)
def kyle_lambda(bars: Bars, roll: Rolling) -> Array:
    """Price impact of signed volume; may be negative."""
    return bars["kyle_lambda"]


@feature(
    "trade_intensity",
    family=FAMILY,
    unit="1/s",
    formula="mean_n(trades) / bar time",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(60, 300),
)
def trade_intensity(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Arrival rate of trades."""
    return roll.mean(bars["n_trades"], window) / roll.bar_seconds(bars["time"])


@feature(
    "trade_size",
    family=FAMILY,
    unit="base units",
    formula="sum_n(volume) / sum_n(trades); NaN: no trade",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(60, 300),
)
def trade_size(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Mean size of a trade."""
    volume = roll.mean(bars["buy_volume"] + bars["sell_volume"], window)
    return volume / roll.mean(bars["n_trades"], window)


@feature(
    "amihud",
    family=FAMILY,
    unit="1e-6 / quote unit",
    formula="1e6 mean of |ln(mid / mid_1)| / notional over the bars that traded; NaN: none did",
    source="Amihud 2002, on mids and bars",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(60, 300),
)
def amihud(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Illiquidity: relative move per amount traded."""
    move = np.abs(np.log(bars["mid"] / roll.lag(bars["mid"], 1)))
    traded = bars["notional"] > 0.0
    ratio = roll.mean(np.where(traded, 1e6 * move / bars["notional"], 0.0 * move), window)
    return ratio / roll.mean(traded.astype(np.float64), window)


def queue_wait(bars: Bars, roll: Rolling, *, window: int, queue: str, taker: str) -> Array:
    """Time for which the market orders of late would need to eat the queue at the touch."""
    return bars[queue] / (roll.mean(bars[taker], window) / roll.bar_seconds(bars["time"]))


for _side, _taker in (("bid", "sell"), ("ask", "buy")):
    feature(
        f"queue_wait_{_side}",
        family=FAMILY,
        unit="s",
        formula=f"{_side}_size / (mean_n({_taker}_volume) / bar time); NaN: no such trade",
        source="queue over its market-order rate, after Cont, Stoikov & Talreja 2010",
        lookback=lambda n: n - 1,
        warmup=lambda n: n - 1,
        windows=(60, 300),
        params={"queue": f"{_side}_size", "taker": f"{_taker}_volume"},
    )(queue_wait)

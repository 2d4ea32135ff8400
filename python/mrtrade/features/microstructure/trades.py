"""Trades: who takes, how much, how fast."""

from __future__ import annotations

import numpy as np

from mrtrade.features.registry import feature
from mrtrade.features.rolling import Array, Bars, Rolling

FAMILY = "microstructure"
NO_TRADE = "NaN: no trade in the window"


@feature(
    "trade_imbalance",
    family=FAMILY,
    unit="-1..1",
    inputs=("signed_volume", "volume"),
    formula="sum_n(buy - sell) / sum_n(buy + sell), volume by aggressor",
    edge=NO_TRADE,
    source="Silantyev 2019",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(10, 60, 300),
)
def trade_imbalance(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Signed share of the traded volume."""
    share = roll.mean("signed_volume", window) / roll.mean("volume", window)
    return np.minimum(np.maximum(share, -1.0), 1.0)  # beyond 1 by rounding


@feature(
    "trade_count_imbalance",
    family=FAMILY,
    unit="-1..1",
    inputs=("n_buys", "n_sells"),
    formula="sum_n(buys - sells) / sum_n(buys + sells), trades by aggressor",
    edge=NO_TRADE,
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(60,),
)
def trade_count_imbalance(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Signed share of the trades, whatever their size."""
    buys, sells = roll.mean("n_buys", window), roll.mean("n_sells", window)
    return (buys - sells) / (buys + sells)


@feature(
    "trade_sign_autocorr",
    family=FAMILY,
    unit="-1..1",
    inputs=("signed_runs", "n_sign_pairs"),
    formula="sum_n(s_i s_(i-1)) / number of pairs, s the aggressor's sign of a trade",
    edge=NO_TRADE,
    source="Lillo & Farmer 2004, first lag, mean taken for 0",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(60,),
)
def trade_sign_autocorr(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Whether buys follow buys: large orders are split."""
    return roll.mean("signed_runs", window) / roll.mean("n_sign_pairs", window)


@feature(
    "vpin",
    family=FAMILY,
    unit="0..1",
    inputs=("vpin",),
    formula="mean of |V_buy - V_sell| / V over the last volume buckets, true aggressor sides",
    edge="NaN: buckets not full; its level depends on the number of trades a bucket",
    source="Easley, Lopez de Prado & O'Hara 2012; buckets as set for the bars",
)
def vpin(bars: Bars, roll: Rolling) -> Array:
    """Flow toxicity."""
    return bars["vpin"]


@feature(
    "vpin_z",
    family=FAMILY,
    unit="sd",
    inputs=("vpin",),
    formula="(vpin - mean_n) / sd_n, ddof 0, present bar included",
    edge="NaN: flat window",
    source="as vpin; its own past in place of the paper's distribution function",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(120, 600),
)
def vpin_z(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Flow toxicity against its own recent level, which unlike it compares across markets."""
    return (bars["vpin"] - roll.mean("vpin", window)) / roll.sd("vpin", window)


@feature(
    "vpin_cdf",
    family=FAMILY,
    unit="0..1",
    inputs=("vpin",),
    formula="(values below + half of the others equal) / (n - 1), of vpin over n bars",
    edge="1/2: flat window",
    source="as vpin: the paper's distribution function, of the past alone",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(600,),
)
def vpin_cdf(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Share of its recent past that flow toxicity exceeds."""
    return roll.rank("vpin", window)


@feature(
    "vpin_bulk",
    family=FAMILY,
    unit="0..1",
    inputs=("mid", "volume"),
    formula="VPIN of 50 buckets, buy share Phi(change of the mid / sd of the n before); a bucket "
    "is 5 times the mean volume of the first n bars",
    edge="NaN: buckets not full; 0.21 where nothing is informed; hangs on where the bars begin",
    source="Easley, Lopez de Prado & O'Hara 2012; 2016",
    lookback=None,
    warmup=lambda n: 2 * n + 1,
    sparse=True,
    windows=(300,),
)
def vpin_bulk(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Flow toxicity of bars whose takers are not known; little is left beside volatility."""
    return roll.bulk_vpin("mid", "volume", window)


@feature(
    "trade_intensity",
    family=FAMILY,
    unit="1/s",
    inputs=("n_trades", "bar_s"),
    formula="mean_n(trades) / mean_n(bar time)",
    edge="0: no trade",
    source="definition",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(60, 300),
)
def trade_intensity(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Trades in a second."""
    return roll.mean("n_trades", window) / roll.mean("bar_s", window)


@feature(
    "hawkes_intensity",
    family=FAMILY,
    unit="1/s",
    inputs=("hawkes_buy", "hawkes_sell"),
    formula="sum over trades of b exp(-b (t - t_i)), b = ln 2 / half-life of the bars (10 s)",
    edge="0: no trade yet",
    source="Hawkes 1971, its excitation with a kernel of area 1",
)
def hawkes_intensity(bars: Bars, roll: Rolling) -> Array:
    """Trades in a second, late ones counting most."""
    return bars["hawkes_buy"] + bars["hawkes_sell"]


@feature(
    "hawkes_imbalance",
    family=FAMILY,
    unit="-1..1",
    inputs=("hawkes_buy", "hawkes_sell"),
    formula="(buy - sell) / (buy + sell) of the decayed rates",
    edge="NaN: no trade yet",
    source="Hawkes 1971",
)
def hawkes_imbalance(bars: Bars, roll: Rolling) -> Array:
    """Who takes just now."""
    buy, sell = bars["hawkes_buy"], bars["hawkes_sell"]
    return (buy - sell) / (buy + sell)


@feature(
    "trade_size",
    family=FAMILY,
    unit="base",
    inputs=("volume", "n_trades"),
    formula="sum_n(volume) / sum_n(trades)",
    edge=NO_TRADE,
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(60, 300),
)
def trade_size(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Mean size of a trade."""
    return roll.mean("volume", window) / roll.mean("n_trades", window)


@feature(
    "large_trade_share",
    family=FAMILY,
    unit="0..1",
    inputs=("max_trade", "volume"),
    formula="sum_n(largest trade of each bar) / sum_n(volume)",
    edge=NO_TRADE,
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(60,),
)
def large_trade_share(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """How much of the volume came in single large trades."""
    return np.minimum(roll.mean("max_trade", window) / roll.mean("volume", window), 1.0)


@feature(
    "volume_rel",
    family=FAMILY,
    unit="ratio",
    inputs=("volume",),
    formula="volume / mean_n(volume)",
    edge=NO_TRADE,
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(300,),
)
def volume_rel(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Volume of the bar against its own recent level."""
    return bars["volume"] / roll.mean("volume", window)

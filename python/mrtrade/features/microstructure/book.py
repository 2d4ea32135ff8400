"""What the book looks like at the end of a bar: imbalance, spread, depth, slope."""

from __future__ import annotations

import numpy as np

from mrtrade.features.registry import feature
from mrtrade.features.rolling import Array, Bars, Rolling

FAMILY = "microstructure"
BPS = 1e4
EMPTY = "NaN: a side of the book is empty"


def imbalance(bars: Bars, roll: Rolling, *, levels: int) -> Array:
    """Depth imbalance; +1 all bids, -1 all asks."""
    return bars[f"imbalance_{levels}"]


for _levels in (1, 5, 10, 20):
    feature(
        f"imbalance_{_levels}",
        family=FAMILY,
        unit="-1..1",
        inputs=(f"imbalance_{_levels}",),
        formula=f"(B - A) / (B + A), base units in the best {_levels} levels a side",
        edge="fewer levels: those there are; one side empty: 1 or -1; NaN: both empty",
        source="Cao, Hansch & Wang 2009; Gould & Bonart 2016",
        params={"levels": _levels},
    )(imbalance)


@feature(
    "imbalance_weighted",
    family=FAMILY,
    unit="-1..1",
    inputs=("bid_weighted", "ask_weighted"),
    formula="(B - A) / (B + A), level k of 10 weighted by exp(-(k - 1) / 2)",
    edge="one side empty: 1 or -1; NaN: both empty",
    source="Cao, Hansch & Wang 2009, exponential weights",
)
def imbalance_weighted(bars: Bars, roll: Rolling) -> Array:
    """Depth imbalance in which near levels count more."""
    return _share(bars["bid_weighted"], bars["ask_weighted"])


@feature(
    "imbalance_band",
    family=FAMILY,
    unit="-1..1",
    inputs=("band_bid_depth", "band_ask_depth"),
    formula="(B - A) / (B + A), base units within 10 bps of the mid",
    edge="NaN: nothing in the band",
    source="as imbalance_5; a band compares across tick sizes, levels do not",
)
def imbalance_band(bars: Bars, roll: Rolling) -> Array:
    """Depth imbalance near the mid, by distance instead of levels."""
    return _share(bars["band_bid_depth"], bars["band_ask_depth"])


@feature(
    "imbalance_mean",
    family=FAMILY,
    unit="-1..1",
    inputs=("touch_imbalance_mean",),
    formula="time-weighted mean of (q_b - q_a) / (q_b + q_a) at the touch over the bar",
    edge="NaN: never two-sided in the bar",
    source="Gould & Bonart 2016, averaged over time",
)
def imbalance_mean(bars: Bars, roll: Rolling) -> Array:
    """Imbalance of the touch over the bar; a last value can be spoofed, a mean less so."""
    return bars["touch_imbalance_mean"]


@feature(
    "imbalance_z",
    family=FAMILY,
    unit="sd",
    inputs=("imbalance_5",),
    formula="(I_5 - mean_n) / sd_n, ddof 0, present bar included",
    edge="NaN: flat window",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(300,),
)
def imbalance_z(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Depth imbalance of 5 levels against its own recent level."""
    value = bars["imbalance_5"]
    return (value - roll.mean("imbalance_5", window)) / roll.sd("imbalance_5", window)


@feature(
    "imbalance_change",
    family=FAMILY,
    unit="-2..2",
    inputs=("imbalance_5",),
    formula="I_5 - I_5 of n bars before",
    edge=EMPTY,
    source="definition",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(10,),
)
def imbalance_change(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """How the depth imbalance of 5 levels has moved."""
    return bars["imbalance_5"] - roll.lag("imbalance_5", window)


@feature(
    "microprice_dev_bps",
    family=FAMILY,
    unit="bps",
    inputs=("microprice", "mid"),
    formula="(microprice / mid - 1) 1e4, microprice = (q_b a + q_a b) / (q_b + q_a)",
    edge=EMPTY,
    source="weighted mid, as in Stoikov 2018",
)
def microprice_dev_bps(bars: Bars, roll: Rolling) -> Array:
    """Where the touch's queues pull the price."""
    return BPS * (bars["microprice"] / bars["mid"] - 1.0)


@feature(
    "spread_bps",
    family=FAMILY,
    unit="bps",
    inputs=("bid", "ask", "mid"),
    formula="(ask - bid) / mid 1e4 at the bar's end",
    edge=EMPTY,
    source="definition",
)
def spread_bps(bars: Bars, roll: Rolling) -> Array:
    """Quoted spread, last."""
    return BPS * (bars["ask"] - bars["bid"]) / bars["mid"]


@feature(
    "spread_mean_bps",
    family=FAMILY,
    unit="bps",
    inputs=("spread_mean", "mid"),
    formula="time-weighted mean of (ask - bid) over the bar / mid 1e4",
    edge=EMPTY,
    source="definition",
)
def spread_mean_bps(bars: Bars, roll: Rolling) -> Array:
    """Quoted spread, weighted by the time it stood."""
    return BPS * bars["spread_mean"] / bars["mid"]


@feature(
    "spread_max_bps",
    family=FAMILY,
    unit="bps",
    inputs=("spread_max", "mid"),
    formula="max of (ask - bid) over the bar / mid 1e4",
    edge=EMPTY,
    source="definition",
)
def spread_max_bps(bars: Bars, roll: Rolling) -> Array:
    """Quoted spread at its widest."""
    return BPS * bars["spread_max"] / bars["mid"]


@feature(
    "spread_z",
    family=FAMILY,
    unit="sd",
    inputs=("spread_mean",),
    formula="(spread_mean - mean_n) / sd_n, ddof 0, present bar included",
    edge="NaN: flat window, as where the spread is always one tick",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(300,),
)
def spread_z(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Spread against its own recent level: makers have stepped back."""
    mean, sd = roll.mean("spread_mean", window), roll.sd("spread_mean", window)
    return (bars["spread_mean"] - mean) / sd


@feature(
    "depth_ratio",
    family=FAMILY,
    unit="ln",
    inputs=("bid_depth_20", "ask_depth_20"),
    formula="ln(B_20 / A_20)",
    edge=EMPTY,
    source="definition",
)
def depth_ratio(bars: Bars, roll: Rolling) -> Array:
    """Bids to asks in the best 20 levels; unlike an imbalance it has no bounds."""
    return np.log(bars["bid_depth_20"] / bars["ask_depth_20"])


@feature(
    "depth_near_share",
    family=FAMILY,
    unit="0..1",
    inputs=("bid_depth_5", "ask_depth_5", "bid_depth_20", "ask_depth_20"),
    formula="(B_5 + A_5) / (B_20 + A_20)",
    edge="NaN: both sides empty",
    source="definition",
)
def depth_near_share(bars: Bars, roll: Rolling) -> Array:
    """How much of the depth lies near the touch."""
    near = bars["bid_depth_5"] + bars["ask_depth_5"]
    return near / (bars["bid_depth_20"] + bars["ask_depth_20"])


@feature(
    "depth_rel",
    family=FAMILY,
    unit="ln",
    inputs=("bid_depth_20", "ask_depth_20"),
    formula="ln((B_20 + A_20) / mean_n(B_20 + A_20))",
    edge="NaN: both sides empty",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(300,),
)
def depth_rel(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Depth against its own recent level: below 0 the book is thin."""
    depth = bars["bid_depth_20"] + bars["ask_depth_20"]
    usual = roll.mean("bid_depth_20", window) + roll.mean("ask_depth_20", window)
    return np.log(depth / usual)


def book_slope(bars: Bars, roll: Rolling, *, side: str) -> Array:
    """Depth that a taker meets for each basis point away from the mid."""
    return bars[f"{side}_slope"]


for _side in ("bid", "ask"):
    feature(
        f"book_slope_{_side}",
        family=FAMILY,
        unit="base / bps",
        inputs=(f"{_side}_slope",),
        formula=f"mean over the best 10 {_side}s of depth up to the level / its distance in bps",
        edge=EMPTY,
        source="after Naes & Skjeltorp 2006",
        params={"side": _side},
    )(book_slope)


@feature(
    "slope_imbalance",
    family=FAMILY,
    unit="-1..1",
    inputs=("bid_slope", "ask_slope"),
    formula="(bid slope - ask slope) / (bid slope + ask slope)",
    edge=EMPTY,
    source="after Naes & Skjeltorp 2006",
)
def slope_imbalance(bars: Bars, roll: Rolling) -> Array:
    """On which side it costs more to move the price."""
    return _share(bars["bid_slope"], bars["ask_slope"])


def _share(bid: Array, ask: Array) -> Array:
    return (bid - ask) / (bid + ask)

"""Features that are made of two others: what one says depends on the other.

Linear models see sums; these are the products. Each part is bounded or standardised on its own
past first, and what could still run away is squashed, ``s(x) = 3 tanh(x / 3)``: within 1 sd it is
x to 4 %, and it never exceeds 3. A part that has no value leaves none to the whole.

Whoever tries all pairs of features tries thousands: count them as trials when a result is judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from mrtrade.features import funding, mean_reversion, microstructure, temporal, volatility
from mrtrade.features.registry import Function, feature
from mrtrade.features.rolling import Array, Bars, Rolling

#: Whose features are the parts; they have to be registered first.
MADE_OF = (funding, mean_reversion, microstructure, temporal, volatility)

FAMILY = "interactions"
BPS = 1e4
REACH = 3.0

#: Wilder's limit of ADX, above which there is a trend.
TREND = 25.0

#: The long window of a part that is measured against its own level, in short ones.
LONG = 10


def interaction(
    name: str,
    *,
    inputs: Sequence[str],
    formula: str,
    unit: str = "1",
    edge: str = "NaN: a part has no value",
    source: str = "definition",
    sparse: bool = False,
    windows: Sequence[int] = (),
) -> Callable[[Function], Function]:
    """Register a feature that looks back as far as its parts do."""
    return feature(
        name,
        family=FAMILY,
        unit=unit,
        inputs=inputs,
        formula=formula,
        edge=edge,
        source=source,
        lookback="inputs",
        warmup="inputs",
        sparse=sparse,
        windows=windows,
    )


def squash(x: Array) -> Array:
    """Return what is near x for small x and never beyond 3."""
    return REACH * np.tanh(x / REACH)


# ---- the book


@interaction(
    "imbalance_vol",
    inputs=("imbalance_5", "vol_ratio_{window}"),
    formula="imbalance_5 vol_ratio_n",
    windows=(60,),
)
def imbalance_vol(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Depth imbalance, weighted by how awake the market is."""
    return bars["imbalance_5"] * bars[f"vol_ratio_{window}"]


@interaction(
    "imbalance_spread",
    inputs=("imbalance_5", "spread_z_{window}"),
    formula="imbalance_5 s(spread_z_n)",
    edge="NaN: the spread stood still, or an empty book",
    windows=(300,),
)
def imbalance_spread(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Depth imbalance in a spread that is wide, and the other way round in a narrow one."""
    return bars["imbalance_5"] * squash(bars[f"spread_z_{window}"])


@interaction(
    "imbalance_depth",
    inputs=("imbalance_5", "depth_rel_{window}"),
    formula="-imbalance_5 tanh(depth_rel_n)",
    windows=(300,),
)
def imbalance_depth(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Depth imbalance of a thin book, in which little moves the price."""
    return -bars["imbalance_5"] * np.tanh(bars[f"depth_rel_{window}"])


@interaction(
    "imbalance_trades",
    unit="-1..1",
    inputs=("imbalance_5", "trade_imbalance_{window}"),
    formula="imbalance_5 trade_imbalance_n",
    windows=(60,),
)
def imbalance_trades(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Whether those who wait and those who take agree: above 0 they do."""
    return bars["imbalance_5"] * bars[f"trade_imbalance_{window}"]


@interaction(
    "imbalance_cancels",
    unit="-1..1",
    inputs=("imbalance_5", "cancel_imbalance_{window}"),
    formula="imbalance_5 cancel_imbalance_n",
    windows=(60,),
)
def imbalance_cancels(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Whether the heavy side is also the one that stays: below 0 it is being withdrawn."""
    return bars["imbalance_5"] * bars[f"cancel_imbalance_{window}"]


@interaction(
    "hawkes_microprice_bps",
    unit="bps",
    inputs=("hawkes_imbalance", "microprice_dev_bps"),
    formula="hawkes_imbalance microprice_dev_bps",
)
def hawkes_microprice_bps(bars: Bars, roll: Rolling) -> Array:
    """Whether takers go where the queues pull the price: above 0 they do."""
    return bars["hawkes_imbalance"] * bars["microprice_dev_bps"]


@interaction(
    "spread_vol",
    inputs=("spread_z_{window}", "vol_ratio_{window}"),
    formula="s(spread_z_n) vol_ratio_n",
    edge="NaN: the spread or the mid stood still",
    windows=(60,),
)
def spread_vol(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Makers who have stepped back while the market moves."""
    return squash(bars[f"spread_z_{window}"]) * bars[f"vol_ratio_{window}"]


# ---- flows


def _flow(roll: Rolling, name: str, window: int) -> Array:
    """Return the sum of a flow over the window, in sd of such a sum of independent ones."""
    return roll.sum(name, window) / (math.sqrt(window) * roll.sd(name, window))


@feature(
    "ofi_spread",
    family=FAMILY,
    unit="1",
    inputs=("ofi", "spread_z_{window}"),
    formula="s(sum_n(OFI) / (sqrt(n) sd_n(OFI))) s(spread_z_n)",
    edge="NaN: the spread stood still, or nothing flowed",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(60,),
)
def ofi_spread(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Order flow into a spread that is wide."""
    return squash(_flow(roll, "ofi", window)) * squash(bars[f"spread_z_{window}"])


@feature(
    "ofi_divergence",
    family=FAMILY,
    unit="sd",
    inputs=("ofi", "signed_volume"),
    formula="s(sum_n(OFI) / (sqrt(n) sd_n(OFI))) - the same of buy - sell volume",
    edge="NaN: nothing flowed, or none traded",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(60,),
)
def ofi_divergence(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Order flow beyond what takers show: above 0, quiet buyers."""
    return squash(_flow(roll, "ofi", window)) - squash(_flow(roll, "signed_volume", window))


@interaction(
    "trades_vol",
    inputs=("trade_imbalance_{window}", "vol_ratio_{window}"),
    formula="trade_imbalance_n vol_ratio_n",
    edge="NaN: no trade in the window, or the mid stood still",
    windows=(60,),
)
def trades_vol(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Signed volume, weighted by how awake the market is."""
    return bars[f"trade_imbalance_{window}"] * bars[f"vol_ratio_{window}"]


@feature(
    "vpin_size",
    family=FAMILY,
    unit="1",
    inputs=("vpin_z_{window}", "volume", "n_trades"),
    formula="s(vpin_z_n) ln(size_n / size_10n), size = sum(volume) / sum(trades)",
    edge="NaN: vpin stood still, or none traded",
    source="definition",
    lookback=lambda n: LONG * n - 1,
    warmup=lambda n: LONG * n - 1,
    windows=(60,),
)
def vpin_size(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Toxic flow that comes in larger trades than usual."""
    size = [roll.mean("volume", n) / roll.mean("n_trades", n) for n in (window, LONG * window)]
    return squash(bars[f"vpin_z_{window}"]) * np.log(size[0] / size[1])


@interaction(
    "vpin_vol",
    inputs=("vpin_z_{window}", "vol_ratio_{window}"),
    formula="s(vpin_z_n) vol_ratio_n",
    edge="NaN: vpin or the mid stood still",
    source="volatility carries most of what VPIN tells: Andersen & Bondarenko 2014",
    windows=(60,),
)
def vpin_vol(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Toxic flow while the market moves; tells of risk, not of direction."""
    return squash(bars[f"vpin_z_{window}"]) * bars[f"vol_ratio_{window}"]


# ---- what flow should have moved


KYLE = "lambda as fitted for the bars, quote / base; NaN: it has no value"


@feature(
    "kyle_move_bps",
    family=FAMILY,
    unit="bps",
    inputs=("kyle_lambda", "signed_volume", "mid"),
    formula="lambda sum_n(buy - sell volume) / mid 1e4",
    edge=KYLE,
    source="Kyle 1985",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(10,),
)
def kyle_move_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """How far the trades of late should have moved the mid."""
    return BPS * bars["kyle_lambda"] * roll.sum("signed_volume", window) / bars["mid"]


@feature(
    "kyle_gap_bps",
    family=FAMILY,
    unit="bps",
    inputs=("kyle_move_bps_{window}", "log_mid"),
    formula="kyle_move_bps_n - ln(mid / mid_n) 1e4",
    edge=KYLE,
    source="Kyle 1985",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(10,),
)
def kyle_gap_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """How far the mid lags behind its trades: below 0 it ran ahead of them."""
    moved = BPS * (bars["log_mid"] - roll.lag("log_mid", window))
    return bars[f"kyle_move_bps_{window}"] - moved


@feature(
    "kyle_ofi_bps",
    family=FAMILY,
    unit="bps",
    inputs=("kyle_lambda", "ofi", "mid"),
    formula="lambda sum_n(OFI) / mid 1e4",
    edge=f"{KYLE}; it is the lambda of trades, OFI also holds what was added and cancelled",
    source="Kyle 1985; Cont, Kukanov & Stoikov 2014",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(10,),
)
def kyle_ofi_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """How far the order flow of late would have moved the mid, were it all trades."""
    return BPS * bars["kyle_lambda"] * roll.sum("ofi", window) / bars["mid"]


# ---- reversion, where it is likely


@interaction(
    "zscore_squared",
    inputs=("zscore_{window}",),
    formula="s(zscore_n)^2",
    edge="NaN: flat window",
    windows=(300,),
)
def zscore_squared(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """How far the mid has gone, whichever way."""
    z = squash(bars[f"zscore_{window}"])
    return z * z


@interaction(
    "zscore_cubed",
    inputs=("zscore_{window}",),
    formula="s(zscore_n)^3",
    edge="NaN: flat window",
    windows=(300,),
)
def zscore_cubed(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Distance of the mid, in which the far ones count most."""
    z = squash(bars[f"zscore_{window}"])
    return z * z * z


@interaction(
    "zscore_signed_square",
    inputs=("zscore_{window}",),
    formula="s(zscore_n) |s(zscore_n)|",
    edge="NaN: flat window",
    windows=(300,),
)
def zscore_signed_square(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Distance of the mid, in which the far ones count more."""
    z = squash(bars[f"zscore_{window}"])
    return z * np.abs(z)


@interaction(
    "zscore_vol",
    inputs=("zscore_{window}", "vol_ratio_{window}"),
    formula="s(zscore_n) vol_ratio_n",
    edge="NaN: flat window",
    windows=(60, 300),
)
def zscore_vol(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Distance of the mid, weighted by how awake the market is."""
    return squash(bars[f"zscore_{window}"]) * bars[f"vol_ratio_{window}"]


@interaction(
    "zscore_calm",
    inputs=("zscore_{window}", "vol_ratio_{window}"),
    formula="s(zscore_n) where vol_ratio_n < 1, else 0",
    edge="NaN: flat window; 0: the gate is shut",
    windows=(60, 300),
)
def zscore_calm(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Distance of the mid, as long as volatility is below its own level."""
    ratio = bars[f"vol_ratio_{window}"]
    return squash(bars[f"zscore_{window}"]) * np.where(np.isnan(ratio), np.nan, ratio < 1.0)


@interaction(
    "zscore_ranging",
    inputs=("zscore_{window}", "adx_14"),
    formula="s(zscore_n) where adx_14 < 25, else 0",
    edge="NaN: flat window; 0: the gate is shut",
    source="the limit is Wilder's, 1978",
    windows=(60, 300),
)
def zscore_ranging(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Distance of the mid, as long as there is no trend."""
    trend = bars["adx_14"]
    return squash(bars[f"zscore_{window}"]) * np.where(np.isnan(trend), np.nan, trend < TREND)


@interaction(
    "zscore_walk",
    inputs=("zscore_{window}", "variance_ratio_{window}"),
    formula="s(zscore_n) (1 - variance_ratio_n)",
    edge="NaN: flat window",
    source="Lo & MacKinlay 1988",
    windows=(300,),
)
def zscore_walk(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Distance of the mid, if it has been coming back; the other way round if it trends."""
    return squash(bars[f"zscore_{window}"]) * (1.0 - bars[f"variance_ratio_{window}"])


@interaction(
    "zscore_volume",
    inputs=("zscore_{window}", "volume_rel_{window}"),
    formula="s(zscore_n) tanh(ln(volume_rel_n))",
    edge="NaN: flat window, or no trade in it",
    source="after Campbell, Grossman & Wang 1993",
    windows=(300,),
)
def zscore_volume(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Distance of the mid on much volume, and the other way round on little."""
    return squash(bars[f"zscore_{window}"]) * np.tanh(np.log(bars[f"volume_rel_{window}"]))


@interaction(
    "zscore_us",
    inputs=("zscore_{window}", "session_us"),
    formula="s(zscore_n) session_us",
    edge="NaN: flat window; 0: New York is closed",
    windows=(300,),
)
def zscore_us(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Distance of the mid while New York is open."""
    return squash(bars[f"zscore_{window}"]) * bars["session_us"]


@feature(
    "zscore_expected",
    family=FAMILY,
    unit="sd",
    inputs=("zscore_{window}", "half_life_{window}", "bar_s"),
    formula="-s(zscore_n) (1 - 2^-(h / half_life_n)), h = n / 10 bars",
    edge="NaN: no half-life, see half_life",
    source="Uhlenbeck & Ornstein 1930",
    lookback=lambda n: n,
    warmup=lambda n: n,
    sparse=True,
    windows=(600,),
)
def zscore_expected(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Move that reversion at the half-life would bring within a tenth of the window."""
    lives = window / LONG * roll.mean("bar_s", window) / bars[f"half_life_{window}"]
    return squash(bars[f"zscore_{window}"]) * np.expm1(-math.log(2.0) * lives)


@interaction(
    "range_trades",
    unit="-1..1",
    inputs=("range_position_{window}", "trade_imbalance_{window}"),
    formula="(2 range_position_n - 1) trade_imbalance_n",
    edge="NaN: flat window, or no trade in it",
    windows=(300,),
)
def range_trades(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Whether takers push the mid further to the end of its range: above 0 they do."""
    place = 2.0 * bars[f"range_position_{window}"] - 1.0
    return place * bars[f"trade_imbalance_{window}"]


@interaction(
    "funding_basis",
    inputs=("funding_z_{window}", "basis_z_{window}"),
    formula="s(funding_z_n) s(basis_z_n)",
    edge="NaN: the rate did not change in the window, or no index price is known",
    sparse=True,
    windows=(1800,),
)
def funding_basis(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Whether the perpetual is as dear as it is to hold: above 0 both are high, or both low."""
    return squash(bars[f"funding_z_{window}"]) * squash(bars[f"basis_z_{window}"])


@interaction(
    "zscore_basis",
    inputs=("zscore_{window}", "basis_z_{window}"),
    formula="s(zscore_n) s(basis_z_n)",
    edge="NaN: flat window, or no index price is known",
    windows=(300,),
)
def zscore_basis(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Whether the perpetual has left its mean ahead of the index: above 0 it has."""
    return squash(bars[f"zscore_{window}"]) * squash(bars[f"basis_z_{window}"])


@feature(
    "reversal_volume",
    family=FAMILY,
    unit="sd",
    inputs=("log_mid", "squared_return", "volume"),
    formula="s(-ln(mid / mid_n) / sqrt(sum_n(r^2))) mean_n(volume) / mean_10n(volume)",
    edge="NaN: flat window, or no trade in the long one",
    source="Campbell, Grossman & Wang 1993",
    lookback=lambda n: LONG * n - 1,
    warmup=lambda n: LONG * n - 1,
    windows=(10, 60),
)
def reversal_volume(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Minus the last move, weighted by its volume: what came on volume tends to go back."""
    moved = bars["log_mid"] - roll.lag("log_mid", window)
    usual = np.sqrt(np.maximum(roll.sum("squared_return", window), 0.0))
    volume = roll.mean("volume", window) / roll.mean("volume", LONG * window)
    return squash(-moved / usual) * volume

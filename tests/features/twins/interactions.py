"""From the twins of the parts."""

import numpy as np

from . import TWINS, twin
from .volatility import returns, seconds


def part(name):
    return lambda bars, n: TWINS[name](bars, n)


def s(x):
    return 3 * np.tanh(x / 3)


def zscore(bars, n):
    return s(TWINS["zscore"](bars, n))


def flow(column, n):
    rolling = column.rolling(n)
    return s(rolling.sum() / (np.sqrt(n) * rolling.std(ddof=0)))


def signed(bars):
    return bars["buy_volume"] - bars["sell_volume"]


@twin("imbalance_vol")
def imbalance_vol(bars, n):
    return bars["imbalance_5"] * part("vol_ratio")(bars, n)


@twin("imbalance_spread")
def imbalance_spread(bars, n):
    return bars["imbalance_5"] * s(part("spread_z")(bars, n))


@twin("imbalance_depth")
def imbalance_depth(bars, n):
    depth = bars["bid_depth_20"] + bars["ask_depth_20"]
    relative = depth / depth.rolling(n).mean()
    return -bars["imbalance_5"] * (relative**2 - 1) / (relative**2 + 1)  # tanh of a logarithm


@twin("imbalance_trades")
def imbalance_trades(bars, n):
    return bars["imbalance_5"] * part("trade_imbalance")(bars, n)


@twin("imbalance_cancels")
def imbalance_cancels(bars, n):
    return bars["imbalance_5"] * part("cancel_imbalance")(bars, n)


@twin("hawkes_microprice_bps")
def hawkes_microprice_bps(bars, _):
    takers = part("hawkes_imbalance")(bars, None)
    return takers * part("microprice_dev_bps")(bars, None)


@twin("spread_vol")
def spread_vol(bars, n):
    return s(part("spread_z")(bars, n)) * part("vol_ratio")(bars, n)


@twin("ofi_spread")
def ofi_spread(bars, n):
    return flow(bars["ofi"], n) * s(part("spread_z")(bars, n))


@twin("ofi_divergence")
def ofi_divergence(bars, n):
    return flow(bars["ofi"], n) - flow(signed(bars), n)


@twin("trades_vol")
def trades_vol(bars, n):
    return part("trade_imbalance")(bars, n) * part("vol_ratio")(bars, n)


@twin("vpin_size")
def vpin_size(bars, n):
    sums = [bars[["volume", "n_trades"]].rolling(k).sum() for k in (n, 10 * n)]
    short, long = (one["volume"] / one["n_trades"] for one in sums)
    return s(part("vpin_z")(bars, n)) * np.log(short / long)


@twin("vpin_vol")
def vpin_vol(bars, n):
    return s(part("vpin_z")(bars, n)) * part("vol_ratio")(bars, n)


@twin("kyle_move_bps", "kyle_ofi_bps")
def kyle(bars, n, stem):
    moved = signed(bars) if stem == "kyle_move_bps" else bars["ofi"]
    return 1e4 * bars["kyle_lambda"] * moved.rolling(n).sum() / bars["mid"]


@twin("kyle_gap_bps")
def kyle_gap_bps(bars, n):
    return kyle(bars, n, "kyle_move_bps") + part("reversal_bps")(bars, n)


@twin("zscore_squared")
def zscore_squared(bars, n):
    return zscore(bars, n) ** 2


@twin("zscore_cubed")
def zscore_cubed(bars, n):
    return zscore(bars, n) ** 3


@twin("zscore_signed_square")
def zscore_signed_square(bars, n):
    return np.sign(zscore(bars, n)) * zscore(bars, n) ** 2


@twin("zscore_vol")
def zscore_vol(bars, n):
    return zscore(bars, n) * part("vol_ratio")(bars, n)


@twin("zscore_calm")
def zscore_calm(bars, n):
    ratio = part("vol_ratio")(bars, n)
    return zscore(bars, n).where(ratio < 1, 0.0).where(ratio.notna())


@twin("zscore_ranging")
def zscore_ranging(bars, n):
    trend = part("adx")(bars, 14)
    return zscore(bars, n).where(trend < 25, 0.0).where(trend.notna())


@twin("zscore_walk")
def zscore_walk(bars, n):
    return zscore(bars, n) * (1 - part("variance_ratio")(bars, n))


@twin("funding_basis")
def funding_basis(bars, n):
    return s(part("funding_z")(bars, n)) * s(part("basis_z")(bars, n))


@twin("zscore_basis")
def zscore_basis(bars, n):
    return zscore(bars, n) * s(part("basis_z")(bars, n))


@twin("zscore_volume")
def zscore_volume(bars, n):
    relative = part("volume_rel")(bars, n)
    return zscore(bars, n) * (relative**2 - 1) / (relative**2 + 1)


@twin("zscore_us")
def zscore_us(bars, n):
    return zscore(bars, n) * part("session_us")(bars, None)


@twin("zscore_expected")
def zscore_expected(bars, n):
    left = 0.5 ** (n / 10 * seconds(bars).rolling(n).mean() / part("half_life")(bars, n))
    return -zscore(bars, n) * (1 - left)


@twin("range_trades")
def range_trades(bars, n):
    return (2 * part("range_position")(bars, n) - 1) * part("trade_imbalance")(bars, n)


@twin("reversal_volume")
def reversal_volume(bars, n):
    usual = np.sqrt((returns(bars) ** 2).rolling(n).sum())
    moved = np.log(bars["mid"]).diff(n)
    volume = bars["volume"]
    return s(-moved / usual) * volume.rolling(n).mean() / volume.rolling(10 * n).mean()

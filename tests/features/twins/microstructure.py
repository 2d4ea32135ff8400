import numpy as np
import pandas as pd
from scipy.stats import norm

from . import twin
from .volatility import returns, seconds


def z(column, n):
    return (column - column.rolling(n).mean()) / column.rolling(n).std(ddof=0)


def sums(bars, names, n):
    return (bars[name].rolling(n).sum() for name in names)


@twin("imbalance_1", "imbalance_5", "imbalance_10", "imbalance_20", "vpin", "kyle_lambda", "kyle_t")
def column(bars, _, stem):
    return bars[stem]


@twin("imbalance_weighted", "imbalance_band", "slope_imbalance")
def share(bars, _, stem):
    bid, ask = {
        "imbalance_weighted": ("bid_weighted", "ask_weighted"),
        "imbalance_band": ("band_bid_depth", "band_ask_depth"),
        "slope_imbalance": ("bid_slope", "ask_slope"),
    }[stem]
    return (bars[bid] - bars[ask]) / (bars[bid] + bars[ask])


@twin("imbalance_mean", "book_slope_bid", "book_slope_ask")
def renamed(bars, _, stem):
    return bars[
        {
            "imbalance_mean": "touch_imbalance_mean",
            "book_slope_bid": "bid_slope",
            "book_slope_ask": "ask_slope",
        }[stem]
    ]


@twin("imbalance_z", "vpin_z", "spread_z")
def zscores(bars, n, stem):
    source = {"imbalance_z": "imbalance_5", "vpin_z": "vpin", "spread_z": "spread_mean"}[stem]
    return z(bars[source], n)


@twin("imbalance_change")
def imbalance_change(bars, n):
    return bars["imbalance_5"].diff(n)


@twin("microprice_dev_bps")
def microprice_dev_bps(bars, _):
    weight = bars["bid_size"] / (bars["bid_size"] + bars["ask_size"])
    micro = weight * bars["ask"] + (1 - weight) * bars["bid"]
    return 1e4 * (micro - bars["mid"]) / bars["mid"]


@twin("spread_bps")
def spread_bps(bars, _):
    return 1e4 * (bars["ask"] - bars["bid"]) / (0.5 * (bars["ask"] + bars["bid"]))


@twin("spread_mean_bps", "spread_max_bps")
def spreads(bars, _, stem):
    return 1e4 * bars[stem.removesuffix("_bps")] / bars["mid"]


@twin("depth_ratio")
def depth_ratio(bars, _):
    return np.log(bars["bid_depth_20"]) - np.log(bars["ask_depth_20"])


@twin("depth_near_share")
def depth_near_share(bars, _):
    near, far = (bars[f"bid_depth_{k}"] + bars[f"ask_depth_{k}"] for k in (5, 20))
    return near / far


@twin("depth_rel")
def depth_rel(bars, n):
    depth = bars["bid_depth_20"] + bars["ask_depth_20"]
    return np.log(depth / depth.rolling(n).mean())


@twin("ofi", "ofi5", "ofi10")
def ofi(bars, n, stem):
    return (
        bars[stem].rolling(n).sum() / bars[["bid_size", "ask_size"]].mean(axis=1).rolling(n).mean()
    )


@twin("cancel_ratio_bid", "cancel_ratio_ask")
def cancel_ratio(bars, n, stem):
    cancels, adds = sums(bars, (f"{stem[-3:]}_cancels", f"{stem[-3:]}_adds"), n)
    return cancels / adds


@twin("depletion_bid", "depletion_ask")
def depletion(bars, n, stem):
    rate = bars[f"{stem[-3:]}_depleted"].rolling(n).sum() / seconds(bars).rolling(n).sum()
    return rate / bars[f"{stem[-3:]}_size"].rolling(n).mean()


@twin("queue_wait_bid", "queue_wait_ask")
def queue_wait(bars, n, stem):
    taken = bars["sell_volume" if stem.endswith("bid") else "buy_volume"].rolling(n).mean()
    return bars[f"{stem[-3:]}_size"] * seconds(bars).rolling(n).mean() / taken


@twin("cancel_imbalance", "add_imbalance", "depletion_imbalance", "emptied_imbalance")
def flows(bars, n, stem):
    what, up = {
        "cancel_imbalance": ("cancels", "ask"),
        "add_imbalance": ("adds", "bid"),
        "depletion_imbalance": ("depleted", "ask"),
        "emptied_imbalance": ("emptied", "ask"),
    }[stem]
    bid, ask = sums(bars, (f"bid_{what}", f"ask_{what}"), n)
    return (ask - bid if up == "ask" else bid - ask) / (ask + bid)


@twin("flicker_imbalance")
def flicker_imbalance(bars, n):
    bid, ask = sums(bars, ("bid_flicker", "ask_flicker"), n)
    return (bid - ask) / (bid + ask)


@twin("flicker_ratio")
def flicker_ratio(bars, n):
    bid, ask, bid_adds, ask_adds = sums(
        bars, ("bid_flicker", "ask_flicker", "bid_adds", "ask_adds"), n
    )
    return (bid + ask) / (bid_adds + ask_adds)


@twin("order_to_trade")
def order_to_trade(bars, n):
    messages, trades = sums(bars, ("n_messages", "n_trades"), n)
    return messages / trades


@twin("message_rate", "mid_change_rate")
def rates(bars, n, stem):
    count = bars["n_messages" if stem == "message_rate" else "n_mid_changes"]
    return count.rolling(n).sum() / seconds(bars).rolling(n).sum()


@twin("trade_imbalance")
def trade_imbalance(bars, n):
    buy, sell = sums(bars, ("buy_volume", "sell_volume"), n)
    return (buy - sell) / (buy + sell)


@twin("trade_count_imbalance")
def trade_count_imbalance(bars, n):
    buys, sells = sums(bars, ("n_buys", "n_sells"), n)
    return (buys - sells) / (buys + sells)


@twin("trade_sign_autocorr")
def trade_sign_autocorr(bars, n):
    runs, pairs = sums(bars, ("signed_runs", "n_sign_pairs"), n)
    return runs / pairs


@twin("trade_intensity")
def trade_intensity(bars, n):
    return bars["n_trades"].rolling(n).sum() / seconds(bars).rolling(n).sum()


@twin("hawkes_intensity", "hawkes_imbalance")
def hawkes(bars, _, stem):
    buy, sell = bars["hawkes_buy"], bars["hawkes_sell"]
    return buy + sell if stem == "hawkes_intensity" else (buy - sell) / (buy + sell)


@twin("trade_size")
def trade_size(bars, n):
    volume, trades = sums(bars, ("volume", "n_trades"), n)
    return volume / trades


@twin("large_trade_share", "hidden_share")
def of_volume(bars, n, stem):
    what = {"large_trade_share": "max_trade", "hidden_share": "unmatched_trades"}[stem]
    part, volume = sums(bars, (what, "volume"), n)
    return part / volume


@twin("volume_rel")
def volume_rel(bars, n):
    return bars["volume"] / bars["volume"].rolling(n).mean()


@twin("amihud")
def amihud(bars, n):
    ratio = (returns(bars).abs() / bars["notional"]).where(bars["notional"] > 0) * 1e6
    return ratio.rolling(n, min_periods=1).mean().where(bars["mid"].shift(n) > 0)


@twin("roll_spread_bps")
def roll_spread_bps(bars, n):
    xy, x, y, count = sums(bars, ("roll_xy", "roll_x", "roll_y", "roll_n"), n)
    covariance = xy / count - x / count * y / count
    return 2e4 * np.sqrt((-covariance).where(covariance < 0)) / bars["mid"]


@twin("effective_spread_bps", "realized_spread_bps", "price_impact_bps")
def spread_measures(bars, n, stem):
    amount, volume = {
        "effective_spread_bps": ("eff_spread", "eff_volume"),
        "realized_spread_bps": ("realized_spread", "matured_volume"),
        "price_impact_bps": ("price_impact", "matured_volume"),
    }[stem]
    total, traded = sums(bars, (amount, volume), n)
    return 1e4 * total / traded / bars["mid"]


@twin("edge_spread_bps")
def edge_spread_bps(bars, n):
    """The estimator as the paper states it, window by window."""
    prices = np.log(bars[["mid_open", "mid_high", "mid_low", "mid"]].to_numpy())
    out = np.full(len(bars), np.nan)
    for t in range(n - 1, len(bars)):
        now, before = prices[t - n + 2 : t + 1].T, prices[t - n + 1 : t].T
        o, h, low, c1 = *now[:3], before[3]
        m, m1 = (h + low) / 2, (before[1] + before[2]) / 2
        r1, r2, r3, r4, r5 = m - o, o - m1, m - c1, c1 - m1, o - c1
        tau = (h != low) | (low != c1)
        po = (tau & (o != h)).mean() + (tau & (o != low)).mean()
        pc = (tau & (c1 != before[1])).mean() + (tau & (c1 != before[2])).mean()
        if tau.sum() < 2 or po == 0 or pc == 0 or np.isnan(now).any():
            continue
        d1, d3, d5 = (r - r.mean() / tau.mean() * tau for r in (r1, r3, r5))
        x1 = -4 / po * d1 * r2 - 4 / pc * d3 * r4
        x2 = -4 / po * d1 * r5 - 4 / pc * d5 * r4
        v1, v2 = x1.var(), x2.var()
        out[t] = 1e4 * np.sqrt(abs((v2 * x1.mean() + v1 * x2.mean()) / (v1 + v2)))
    return pd.Series(out, bars.index)


@twin("vpin_cdf")
def vpin_cdf(bars, n):
    def rank(window):
        others, last = window[:-1], window[-1]
        return ((others < last).sum() + 0.5 * (others == last).sum()) / (n - 1)

    return bars["vpin"].rolling(n).apply(rank, raw=True)


@twin("vpin_bulk")
def vpin_bulk(bars, n):
    """Bucket by bucket, with a queue of what is still to be put into one."""
    bucket = 5 * bars["volume"].iloc[:n].mean()
    rest = bars.iloc[n:]
    rest = rest[rest["volume"] > 0]  # a bar that did not trade is passed over
    change = rest["mid"].diff()
    sd = change.shift().rolling(n).std()
    share = 2 * norm.cdf(change / sd) - 1
    out, full, filled, signed = {}, [], 0.0, 0.0
    for time, of_bar, volume in zip(rest.index, share, rest["volume"], strict=True):
        while volume > 0 and np.isfinite(of_bar):
            part = min(volume, bucket - filled)
            filled, signed, volume = filled + part, signed + of_bar * part, volume - part
            if filled >= bucket * (1 - 1e-12):
                full.append(abs(signed) / bucket)
                filled = signed = 0.0
        out[time] = np.mean(full[-50:]) if len(full) >= 50 else np.nan
    return pd.Series(out).reindex(bars.index).ffill()

import numpy as np
import pandas as pd

from . import twin


@twin("zscore")
def zscore(bars, n):
    rolling = bars["mid"].rolling(n)
    return (bars["mid"] - rolling.mean()) / rolling.std(ddof=0)


@twin("bollinger_b")
def bollinger_b(bars, n):
    mean, sd = bars["mid"].rolling(n).mean(), bars["mid"].rolling(n).std(ddof=0)
    lower, upper = mean - 2 * sd, mean + 2 * sd
    return (bars["mid"] - lower) / (upper - lower)


@twin("sma_dev_bps")
def sma_dev_bps(bars, n):
    return 1e4 * np.log(bars["mid"] / bars["mid"].rolling(n).mean())


@twin("ema_dev_bps")
def ema_dev_bps(bars, n):
    mid = bars["mid"]
    begun = mid.where(np.arange(len(mid)) >= n)
    begun.iloc[n - 1] = mid.iloc[:n].mean()
    ema = begun.iloc[n - 1 :].ewm(span=n, adjust=False).mean()
    return 1e4 * np.log(mid / ema.reindex(mid.index))


@twin("vwap_dev_bps")
def vwap_dev_bps(bars, n):
    vwap = bars["notional"].rolling(n).sum() / bars["volume"].rolling(n).sum()
    return 1e4 * np.log(bars["mid"] / vwap)


@twin("rsi")
def rsi(bars, n):
    change = bars["mid"].diff()
    means = []
    for moves in (change.clip(lower=0), (-change).clip(lower=0)):
        begun = moves.where(np.arange(len(moves)) > n)
        begun.iloc[n] = moves.iloc[1 : n + 1].mean()
        means.append(begun.iloc[n:].ewm(alpha=1 / n, adjust=False).mean())
    return (100 - 100 / (1 + means[0] / means[1])).reindex(bars.index)


@twin("half_life")
def half_life(bars, n):
    mid = bars["mid"].to_numpy()
    out = np.full(len(mid), np.nan)
    for t in range(n, len(mid)):
        x, y = mid[t - n : t], np.diff(mid[t - n : t + 1])
        (slope, _), covariance = np.polyfit(x, y, 1, cov=True)
        if slope / np.sqrt(covariance[0, 0]) < -2.86154 and -1 < slope < 0:
            out[t] = -np.log(2) / np.log1p(slope)
    seconds = bars.index.to_series().diff().dt.total_seconds()
    return pd.Series(out, bars.index) * seconds


@twin("reversal_bps")
def reversal_bps(bars, n):
    return -1e4 * np.log(bars["mid"] / bars["mid"].shift(n))


@twin("range_position")
def range_position(bars, n):
    low, high = bars["mid_low"].rolling(n).min(), bars["mid_high"].rolling(n).max()
    return (bars["mid"] - low) / (high - low)

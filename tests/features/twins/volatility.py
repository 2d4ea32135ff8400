import numpy as np
import pandas as pd
import talib
from scipy import stats
from scipy.special import gamma

from . import twin

YEAR_S = 365 * 86400.0


def seconds(bars):
    return bars.index.to_series().diff().dt.total_seconds()


def annualized(bars, variance, n):
    """Volatility of a year: the first bar has no length."""
    return np.sqrt(variance * YEAR_S / seconds(bars).rolling(n).mean())


def returns(bars):
    return np.log(bars["mid"] / bars["mid"].shift())


@twin("realized_vol")
def realized_vol(bars, n):
    return annualized(bars, (returns(bars) ** 2).rolling(n).mean(), n)


@twin("vol_ratio")
def vol_ratio(bars, n):
    squares = returns(bars) ** 2
    return np.sqrt(squares.rolling(n).mean() / squares.rolling(10 * n).mean())


@twin("parkinson_vol")
def parkinson_vol(bars, n):
    span = np.log(bars["mid_high"] / bars["mid_low"]) ** 2 / (4 * np.log(2))
    return annualized(bars, span.rolling(n).mean(), n)


def logs(bars):
    """ln of high, low and close over the open."""
    return [np.log(bars[name] / bars["mid_open"]) for name in ("mid_high", "mid_low", "mid")]


@twin("garman_klass_vol")
def garman_klass_vol(bars, n):
    high, low, close = logs(bars)
    each = 0.5 * (high - low) ** 2 - (2 * np.log(2) - 1) * close**2
    return annualized(bars, each.rolling(n).mean(), n)


def rogers_satchell(bars):
    high, low, close = logs(bars)
    return high * (high - close) + low * (low - close)


@twin("rogers_satchell_vol")
def rogers_satchell_vol(bars, n):
    return annualized(bars, rogers_satchell(bars).rolling(n).mean(), n)


@twin("yang_zhang_vol")
def yang_zhang_vol(bars, n):
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    gap = np.log(bars["mid_open"] / bars["mid"].shift())
    within = rogers_satchell(bars).rolling(n).mean()
    variance = gap.rolling(n).var() + k * logs(bars)[2].rolling(n).var() + (1 - k) * within
    return annualized(bars, variance, n)


def over_windows(bars, n, function):
    """A function of the last n log returns, at each bar."""
    windows = np.lib.stride_tricks.sliding_window_view(returns(bars).to_numpy()[1:], n)
    return pd.Series(np.r_[np.full(n, np.nan), [function(x) for x in windows]], bars.index)


def parzen(x):
    return 1 - 6 * x**2 + 6 * x**3 if x <= 0.5 else 2 * (1 - x) ** 3


def realized_kernel(r):
    n, sparse = len(r), min(20, len(r) // 10)
    summed = np.convolve(r, np.ones(sparse), "valid")
    noise, level = r @ r / (2 * n), summed @ summed * n / (len(summed) * sparse)
    width = min(np.ceil(3.5134 * (noise / level) ** 0.4 * n**0.6), n // 10)
    terms = [r @ r] + [
        2 * parzen(h / (width + 1)) * (r[h:] @ r[:-h]) for h in range(1, int(width) + 1)
    ]
    return sum(terms)


@twin("realized_kernel_vol")
def realized_kernel_vol(bars, n):
    return annualized(bars, over_windows(bars, n, realized_kernel) / n, n)


@twin("noise_ratio")
def noise_ratio(bars, n):
    sparse = np.log(bars["mid"] / bars["mid"].shift(20)) ** 2 / 20
    return (returns(bars) ** 2).rolling(n).mean() / sparse.rolling(n).mean()


@twin("downside_share")
def downside_share(bars, n):
    r = returns(bars)
    return (r.where(r < 0, 0 * r) ** 2).rolling(n).sum() / (r**2).rolling(n).sum()


@twin("skew")
def skew(bars, n):
    return over_windows(bars, n, stats.skew)


@twin("kurtosis")
def kurtosis(bars, n):
    return over_windows(bars, n, stats.kurtosis)


def bipower(r):
    n = len(r)
    return np.pi / 2 * n / (n - 1) * (np.abs(r[1:]) @ np.abs(r[:-1]))


def jump_test(r):
    if np.mean(r == 0) > 0.1:
        return np.nan
    n, size = len(r), np.abs(r) ** (4 / 3)
    normal = 2 ** (2 / 3) * gamma(7 / 6) / gamma(1 / 2)
    quarticity = n**2 / (n - 2) / normal**3 * (size[2:] * size[1:-1] @ size[:-2])
    theta = np.pi**2 / 4 + np.pi - 5
    share = 1 - bipower(r) / (r @ r)
    return np.sqrt(n) * share / np.sqrt(theta * max(1, quarticity / bipower(r) ** 2))


@twin("bipower_vol")
def bipower_vol(bars, n):
    return annualized(bars, over_windows(bars, n, bipower) / n, n)


@twin("jump_z")
def jump_z(bars, n):
    return over_windows(bars, n, jump_test)


@twin("jump_flag")
def jump_flag(bars, n):
    z = jump_z(bars, n)
    return (z > stats.norm.isf(0.01)).astype(float).where(z.notna())


@twin("jump_share")
def jump_share(bars, n):
    flag = jump_flag(bars, n)
    return flag * over_windows(bars, n, lambda r: 1 - bipower(r) / (r @ r))


@twin("zero_share")
def zero_share(bars, n):
    # of the logs: mids that differ by their rounding alone are one
    r = np.log(bars["mid"]).diff()
    return (r == 0).where(r.notna()).rolling(n).mean()


@twin("vol_percentile")
def vol_percentile(bars, n):
    return (realized_vol(bars, n).rolling(10 * n).rank() - 1) / (10 * n - 1)


@twin("vol_regime")
def vol_regime(bars, n):
    rank = vol_percentile(bars, n)
    return pd.cut(rank, [-1, 1 / 3, 2 / 3, 2], labels=False, right=True)


@twin("vol_of_vol")
def vol_of_vol(bars, n):
    rolling = realized_vol(bars, n).rolling(10 * n)
    return rolling.std(ddof=0) / rolling.mean()


def wilder(bars, function, n):
    values = function(*(bars[name].to_numpy() for name in ("mid_high", "mid_low", "mid")), n)
    return pd.Series(values, bars.index)


@twin("adx")
def adx(bars, n):
    return wilder(bars, talib.ADX, n)


@twin("di_spread")
def di_spread(bars, n):
    return wilder(bars, talib.PLUS_DI, n) - wilder(bars, talib.MINUS_DI, n)

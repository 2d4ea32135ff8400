import numpy as np
import pandas as pd
import statsmodels.api as sm
from arch.unitroot import VarianceRatio
from statsmodels.tsa.adfvalues import mackinnoncrit

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


@twin("reversal_bps")
def reversal_bps(bars, n):
    return -1e4 * np.log(bars["mid"] / bars["mid"].shift(n))


@twin("range_position")
def range_position(bars, n):
    low, high = bars["mid_low"].rolling(n).min(), bars["mid_high"].rolling(n).max()
    return (bars["mid"] - low) / (high - low)


@twin("zscore_robust")
def zscore_robust(bars, n):
    rolling = bars["mid"].rolling(n)
    mad = rolling.apply(lambda x: np.median(np.abs(x - np.median(x))), raw=True)
    return (bars["mid"] - rolling.median()) / (1.4826 * mad)


@twin("quantile_rank")
def quantile_rank(bars, n):
    return (bars["mid"].rolling(n).rank() - 1) / (n - 1)


@twin("bollinger_width")
def bollinger_width(bars, n):
    mean, sd = bars["mid"].rolling(n).mean(), bars["mid"].rolling(n).std(ddof=0)
    return ((mean + 2 * sd) - (mean - 2 * sd)) / mean


@twin("dist_high_bps")
def dist_high_bps(bars, n):
    return -1e4 * np.log(bars["mid"] / bars["mid_high"].rolling(n).max())


@twin("dist_low_bps")
def dist_low_bps(bars, n):
    return 1e4 * np.log(bars["mid"] / bars["mid_low"].rolling(n).min())


@twin("vwap_z")
def vwap_z(bars, n):
    deviation = vwap_dev_bps(bars, n)
    return deviation / deviation.rolling(n).std(ddof=0)


@twin("vwap_session_dev_bps")
def vwap_session_dev_bps(bars, _):
    # what ends at midnight is of the day that ends
    days = bars.groupby((bars.index - pd.Timedelta(1, "ns")).floor("D"))
    vwap = days["notional"].cumsum() / days["volume"].cumsum()
    return (1e4 * np.log(bars["mid"] / vwap)).where(days.cumcount() >= 11)


def windows(column, n):
    return np.lib.stride_tricks.sliding_window_view(column, n)


def from_row(bars, first, values):
    return pd.Series(np.r_[np.full(first, np.nan), values], bars.index)


def ar1(bars, n):
    """Half-life's regression in each window: phi, its error, level, stationary sd, and the gate."""
    x, y = (windows(one, n) for one in (bars["mid"].to_numpy()[:-1], bars["mid"].to_numpy()[1:]))
    at, to = x.mean(axis=1, keepdims=True), y.mean(axis=1, keepdims=True)
    spread = ((x - at) ** 2).sum(axis=1)
    phi = ((x - at) * (y - to)).sum(axis=1) / spread
    rest = (y - to) - phi[:, None] * (x - at)
    variance = (rest**2).sum(axis=1) / (n - 2)
    fit = {
        "phi": phi,
        "error": np.sqrt(variance / spread),
        "level": (to[:, 0] - phi * at[:, 0]) / (1 - phi),
        "sd": np.sqrt(variance / np.where(phi < 1, 1 - phi**2, np.nan)),
    }
    frame = pd.DataFrame({name: from_row(bars, n, one) for name, one in fit.items()})
    frame["seconds"] = bars.index.to_series().diff().dt.total_seconds().rolling(n).mean()
    critical = mackinnoncrit(N=1, regression="c", nobs=n)[1]
    return frame, frame["phi"].between(0, 1) & ((frame["phi"] - 1) / frame["error"] < critical)


@twin("half_life")
def half_life(bars, n):
    fit, passed = ar1(bars, n)
    return (-np.log(2) / np.log(fit["phi"]) * fit["seconds"]).where(passed)


@twin("half_life_se")
def half_life_se(bars, n):
    fit, passed = ar1(bars, n)
    step = 1e-6
    slope = np.log(2) * (1 / np.log(fit["phi"] - step) - 1 / np.log(fit["phi"] + step)) / (2 * step)
    return (slope * fit["error"] * fit["seconds"]).where(passed)


@twin("half_life_corrected")
def half_life_corrected(bars, n):
    fit, passed = ar1(bars, n)
    phi = fit["phi"] + (1 + 3 * fit["phi"]) / n
    return (-np.log(2) / np.log(phi) * fit["seconds"]).where(passed & (phi < 1))


@twin("ou_theta")
def ou_theta(bars, n):
    fit, _ = ar1(bars, n)
    return -np.log(fit["phi"]) / (fit["seconds"] / 3600)


@twin("ou_equilibrium_dev_bps")
def ou_equilibrium_dev_bps(bars, n):
    fit, passed = ar1(bars, n)
    return (1e4 * np.log(bars["mid"] / fit["level"])).where(passed)


@twin("ou_z")
def ou_z(bars, n):
    fit, passed = ar1(bars, n)
    return ((bars["mid"] - fit["level"]) / fit["sd"]).where(passed)


def log_returns(bars):
    return np.log(bars["mid"]).diff()


@twin("autocorr_1")
def autocorr_1(bars, n):
    return log_returns(bars).rolling(n).corr(log_returns(bars).shift())


def walk(bars, n):
    return [
        VarianceRatio(x, lags=4, trend="c", robust=True, debiased=True)
        for x in windows(np.log(bars["mid"]), n + 1)
    ]


@twin("variance_ratio")
def variance_ratio(bars, n):
    return from_row(bars, n, [one.vr for one in walk(bars, n)])


@twin("variance_ratio_z")
def variance_ratio_z(bars, n):
    return from_row(bars, n, [one.stat for one in walk(bars, n)])


def dickey_fuller(x):
    step = np.diff(x)
    columns = np.column_stack([x[1:-1], step[:-1], np.ones(len(step) - 1)])
    return sm.OLS(step[1:], columns).fit().tvalues[0]


@twin("adf_t")
def adf_t(bars, n):
    return from_row(bars, n - 1, [dickey_fuller(x) for x in windows(np.log(bars["mid"]), n)])


def fluctuation(x, s):
    """Root mean square about a line in each of the segments of s, which fill the window."""
    path = np.cumsum(x - x.mean()).reshape(-1, s).T
    line = np.vander(np.arange(s), 2)
    return np.sqrt(np.mean((path - line @ np.linalg.lstsq(line, path)[0]) ** 2))


@twin("hurst")
def hurst(bars, n):
    scales = [8, 16, 32, 64, 128]
    assert n == 4 * scales[-1]
    bias = []
    for s in scales:
        # F^2 of a segment of white noise e is e'Ae, A = L'ML / s: L sums up, M takes a line off
        line, add = np.vander(np.arange(s), 2), np.tril(np.ones((s, s)))
        form = add.T @ (np.eye(s) - line @ np.linalg.pinv(line)) @ add / s
        mean, variance = np.trace(form), 2 * np.trace(form @ form)
        bias.append(0.5 * np.log(mean) - variance / mean**2 / (4 * n / s))
    returns = windows(log_returns(bars).to_numpy()[1:], n)
    each = np.array([[np.log(fluctuation(x, s)) for s in scales] for x in returns]) - bias
    return from_row(bars, n, np.polyfit(np.log(scales), each.T, 1)[0] + 0.5)

import numpy as np
import pandas as pd

from . import twin


def returns(bars):
    return np.log(bars["mid"]).diff(), np.log(bars["other_mid"]).diff()


def line(y, x, n):
    """Slope, intercept and residual of the last row of each window, by numpy's least squares."""
    out = np.full((4, len(y)), np.nan)
    ok = (y.notna() & x.notna()).to_numpy()
    a, b = y.to_numpy(), x.to_numpy()
    for t in range(n - 1, len(a)):
        part = slice(t - n + 1, t + 1)
        if ok[part].all():
            (slope, level), covariance = np.polyfit(b[part], a[part], 1, cov=True)
            rest = a[part] - level - slope * b[part]
            out[:, t] = slope, slope / np.sqrt(covariance[0, 0]), rest[-1], rest.std()
    return pd.DataFrame(out.T, y.index, ["slope", "t", "rest", "sd"])


@twin(*(f"other_return_lag{lag}_bps" for lag in (0, 1, 2, 5)))
def other_return(bars, n, stem):
    return 1e4 * returns(bars)[1].shift(int(stem.split("lag")[1][0]))


@twin("other_momentum_bps")
def other_momentum_bps(bars, n):
    return 1e4 * np.log(bars["other_mid"] / bars["other_mid"].shift(n))


@twin("other_age_s", "hy_corr", "hy_lead_s", "hy_lead_corr", "hy_llr")
def as_it_is(bars, n, stem):
    return bars[stem]


@twin("other_lead_corr")
def other_lead_corr(bars, n):
    own, other = returns(bars)
    return own.rolling(n).corr(other.shift())


@twin("lead_asymmetry")
def lead_asymmetry(bars, n):
    own, other = returns(bars)
    return own.rolling(n).corr(other.shift()) - own.shift().rolling(n).corr(other)


@twin("other_push_bps")
def other_push_bps(bars, n):
    own, other = returns(bars)
    before = other.shift()
    return 1e4 * other * own.rolling(n).cov(before) / before.rolling(n).var()


@twin("other_corr")
def other_corr(bars, n):
    own, other = returns(bars)
    return own.rolling(n).corr(other)


@twin("other_corr_change")
def other_corr_change(bars, n):
    return other_corr(bars, n).diff(n)


@twin("other_beta")
def other_beta(bars, n):
    own, other = returns(bars)
    return own.rolling(n).cov(other) / other.rolling(n).var()


@twin("other_beta_change")
def other_beta_change(bars, n):
    return other_beta(bars, n).diff(n)


@twin("other_r2")
def other_r2(bars, n):
    return other_corr(bars, n) ** 2


@twin("own_return_bps")
def own_return_bps(bars, n):
    own, other = returns(bars)
    return 1e4 * (own - other_beta(bars, n) * other)


@twin("relative_strength_bps")
def relative_strength_bps(bars, n):
    ratio = bars["mid"] / bars["other_mid"]
    return 1e4 * np.log(ratio / ratio.shift(n))


@twin("ratio_z")
def ratio_z(bars, n):
    ratio = np.log(bars["mid"] / bars["other_mid"])
    return (ratio - ratio.rolling(n).mean()) / ratio.rolling(n).std(ddof=0)


@twin("pair_residual")
def pair_residual(bars, n):
    return line(np.log(bars["mid"]), np.log(bars["other_mid"]), n)["rest"]


@twin("residual_z")
def residual_z(bars, n):
    fit = line(np.log(bars["mid"]), np.log(bars["other_mid"]), n)
    return fit["rest"] / fit["sd"]


def dickey_fuller(bars, n):
    residual = pair_residual(bars, n)
    return line(residual.diff(), residual.shift(), n)


@twin("residual_df_t")
def residual_df_t(bars, n):
    return dickey_fuller(bars, n)["t"]


@twin("residual_half_life")
def residual_half_life(bars, n):
    fit = dickey_fuller(bars, n)
    reverts = (fit["t"] < -3.33613) & (fit["slope"] < 0) & (fit["slope"] > -1)
    seconds = bars.index.to_series().diff().dt.total_seconds().rolling(n).mean()
    return -np.log(2) / np.log1p(fit["slope"].where(reverts)) * seconds

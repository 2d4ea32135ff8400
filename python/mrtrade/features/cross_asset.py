"""Features of a second asset: whether it leads, how far the two move together, and how far apart.

The second asset is one that may lead, such as BTC for SOL. Its columns hold what had been received
by the end of a bar (`mrtrade.features.joins`); where it is stale or absent there is no value.
"""

from __future__ import annotations

import math

import numpy as np

from mrtrade.features.registry import derived, feature
from mrtrade.features.rolling import Array, Bars, Rolling

FAMILY = "cross_asset"
BPS = 1e4

#: 5 % critical value of Engle and Granger's t: two series, a constant (MacKinnon 2010, infinite
#: sample).
ENGLE_GRANGER_5 = -3.33613

#: A fit whose residuals are this small a share of the variance is exact but for rounding.
EXACT = 1e-12

ABSENT = "NaN: the second asset is stale or absent"


@derived("other_log_mid", unit="ln quote", inputs=("other_mid",))
def other_log_mid(bars: Bars, roll: Rolling) -> Array:
    """Logarithm of the second asset's mid."""
    return np.log(bars["other_mid"])


@derived("other_return", unit="1", inputs=("other_log_mid",))
def other_return(bars: Bars, roll: Rolling) -> Array:
    """Log return of the second asset over the bar."""
    return bars["other_log_mid"] - roll.lag("other_log_mid", 1)


@derived("other_return_before", unit="1", inputs=("other_return",))
def other_return_before(bars: Bars, roll: Rolling) -> Array:
    """Log return of the second asset over the bar before."""
    return roll.lag("other_return", 1)


@derived("return_before", unit="1", inputs=("log_return",))
def return_before(bars: Bars, roll: Rolling) -> Array:
    """Log return over the bar before."""
    return roll.lag("log_return", 1)


@derived("log_ratio", unit="1", inputs=("log_mid", "other_log_mid"))
def log_ratio(bars: Bars, roll: Rolling) -> Array:
    """Logarithm of the mid in units of the second asset."""
    return bars["log_mid"] - bars["other_log_mid"]


def _correlation(roll: Rolling, y: str, x: str, window: int) -> Array:
    """Pearson's correlation of two columns, by the line of one on the other."""
    slope, _, r2, _ = roll.ols(y, x, window)
    return np.copysign(np.sqrt(r2), slope)


# Where it went ----------------------------------------------------------------------


def lagged_return_bps(bars: Bars, roll: Rolling, *, lag: int) -> Array:
    """Return of the second asset over a late bar: what ours may still follow."""
    return BPS * (roll.lag("other_return", lag) if lag else bars["other_return"])


for _lag in (0, 1, 2, 5):
    feature(
        f"other_return_lag{_lag}_bps",
        family=FAMILY,
        unit="bps",
        inputs=("other_return",),
        formula=f"1e4 ln(other / other_1), {_lag} bars ago",
        edge=ABSENT,
        source="lagged cross returns, Lo & MacKinlay 1990",
        lookback=_lag + 1,
        warmup=_lag + 1,
        params={"lag": _lag},
    )(lagged_return_bps)


@feature(
    "other_momentum_bps",
    family=FAMILY,
    unit="bps",
    inputs=("other_log_mid",),
    formula="1e4 ln(other / other_n)",
    edge=ABSENT,
    source="lagged cross returns, Lo & MacKinlay 1990",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(10, 60, 300),
)
def other_momentum_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Return of the second asset over the window."""
    return BPS * (bars["other_log_mid"] - roll.lag("other_log_mid", window))


@feature(
    "other_age_s",
    family=FAMILY,
    unit="s",
    inputs=("other_age_s",),
    formula="end of the bar - receipt of the second asset's last mid",
    edge=ABSENT,
    source="definition",
)
def other_age_s(bars: Bars, roll: Rolling) -> Array:
    """Age of what is known of the second asset; a lead shorter than it is none."""
    return bars["other_age_s"]


# Which leads ------------------------------------------------------------------------


def handed_out(bars: Bars, roll: Rolling, *, column: str) -> Array:
    """Lead and lag of the two mids, from tick to tick on the clock of receipt."""
    return bars[column]


for _name, _unit, _formula in (
    ("hy_corr", "-1..1", "sum of dX dY over overlapping increments / sqrt(sum dX^2 sum dY^2)"),
    ("hy_lead_s", "s", "lag of X at which the absolute correlation is largest; > 0: X leads"),
    ("hy_lead_corr", "-1..1", "correlation at that lag"),
    ("hy_llr", "ratio", "sum of U^2 over lags > 0 / over lags < 0; > 1: X leads"),
):
    feature(
        _name,
        family=FAMILY,
        unit=_unit,
        inputs=(_name,),
        formula=f"{_formula}; X: second asset",
        edge="NaN: fewer than 10 changes of either mid in the window; may pass 1 in short windows",
        source="Hayashi & Yoshida 2005; Hoffmann, Rosenbaum & Yoshida 2013",
        params={"column": _name},
    )(handed_out)


@feature(
    "other_lead_corr",
    family=FAMILY,
    unit="-1..1",
    inputs=("log_return", "other_return_before"),
    formula="corr_n(r, other_r_1)",
    edge="NaN: either is flat in the window",
    source="Lo & MacKinlay 1990",
    lookback=lambda n: n + 1,
    warmup=lambda n: n + 1,
    windows=(60, 300),
)
def other_lead_corr(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Correlation of our return with the second asset's of the bar before."""
    return _correlation(roll, "log_return", "other_return_before", window)


@feature(
    "lead_asymmetry",
    family=FAMILY,
    unit="-2..2",
    inputs=("log_return", "return_before", "other_return", "other_return_before"),
    formula="corr_n(r, other_r_1) - corr_n(other_r, r_1)",
    edge="NaN: either is flat in the window",
    source="Lo & MacKinlay 1990",
    lookback=lambda n: n + 1,
    warmup=lambda n: n + 1,
    windows=(60, 300),
)
def lead_asymmetry(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """How much better the second asset foretells ours than the other way round."""
    follows = _correlation(roll, "log_return", "other_return_before", window)
    return follows - _correlation(roll, "other_return", "return_before", window)


@feature(
    "other_push_bps",
    family=FAMILY,
    unit="bps",
    inputs=("log_return", "other_return", "other_return_before"),
    formula="1e4 b other_r, b: slope of r on other_r_1 over n bars",
    edge="NaN: the second asset is flat in the window",
    source="definition",
    lookback=lambda n: n + 1,
    warmup=lambda n: n + 1,
    windows=(300,),
)
def other_push_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Our next return, as foretold by the second asset's last one."""
    slope = roll.ols("log_return", "other_return_before", window)[0]
    return BPS * slope * bars["other_return"]


# How far together -------------------------------------------------------------------


@feature(
    "other_corr",
    family=FAMILY,
    unit="-1..1",
    inputs=("log_return", "other_return"),
    formula="corr_n(r, other_r), Pearson",
    edge="NaN: either is flat in the window; low on short bars (Epps 1979: see hy_corr)",
    source="definition",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(60, 300),
)
def other_corr(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Correlation of the returns of bars."""
    return _correlation(roll, "log_return", "other_return", window)


@feature(
    "other_corr_change",
    family=FAMILY,
    unit="-2..2",
    inputs=("other_corr_{window}",),
    formula="corr_n - corr_n n bars ago",
    edge="NaN: either is flat in a window",
    source="definition",
    lookback=lambda n: 2 * n,
    warmup=lambda n: 2 * n,
    windows=(60,),
)
def other_corr_change(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Change of the correlation from one window to the next: a tie that loosens or tightens."""
    name = f"other_corr_{window}"
    return bars[name] - roll.lag(name, window)


@feature(
    "other_beta",
    family=FAMILY,
    unit="1",
    inputs=("log_return", "other_return"),
    formula="cov_n(r, other_r) / var_n(other_r)",
    edge="NaN: the second asset is flat in the window",
    source="definition",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(60, 300),
)
def other_beta(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Slope of our return on the second asset's."""
    return roll.ols("log_return", "other_return", window)[0]


@feature(
    "other_beta_change",
    family=FAMILY,
    unit="1",
    inputs=("other_beta_{window}",),
    formula="beta_n - beta_n n bars ago",
    edge="NaN: the second asset is flat in a window",
    source="definition",
    lookback=lambda n: 2 * n,
    warmup=lambda n: 2 * n,
    windows=(60,),
)
def other_beta_change(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Change of beta from one window to the next."""
    name = f"other_beta_{window}"
    return bars[name] - roll.lag(name, window)


@feature(
    "other_r2",
    family=FAMILY,
    unit="0..1",
    inputs=("log_return", "other_return"),
    formula="R^2 of r on other_r over n bars",
    edge="NaN: either is flat in the window",
    source="definition",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(300,),
)
def other_r2(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Share of our variance that is the second asset's."""
    return roll.ols("log_return", "other_return", window)[2]


@feature(
    "own_return_bps",
    family=FAMILY,
    unit="bps",
    inputs=("log_return", "other_return", "other_beta_{window}"),
    formula="1e4 (r - beta_n other_r)",
    edge="NaN: the second asset is flat in the window",
    source="definition",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(300,),
)
def own_return_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Part of the bar's return that is not the second asset's."""
    return BPS * (bars["log_return"] - bars[f"other_beta_{window}"] * bars["other_return"])


# How far apart ----------------------------------------------------------------------


@feature(
    "relative_strength_bps",
    family=FAMILY,
    unit="bps",
    inputs=("log_ratio",),
    formula="1e4 (ln(mid / other) - ln(mid / other)_n)",
    edge=ABSENT,
    source="Levy 1967, as a log ratio",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(60, 300),
)
def relative_strength_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Gain on the second asset over the window."""
    return BPS * (bars["log_ratio"] - roll.lag("log_ratio", window))


@feature(
    "ratio_z",
    family=FAMILY,
    unit="sd",
    inputs=("log_ratio",),
    formula="(ln(mid / other) - mean_n) / sd_n, ddof 0",
    edge="NaN: flat window; at most sqrt(n - 1)",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(60, 300, 1800),
)
def ratio_z(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Standardised distance of the price ratio from its mean: a pair with a hedge of 1."""
    return (bars["log_ratio"] - roll.mean("log_ratio", window)) / roll.sd("log_ratio", window)


@feature(
    "pair_residual",
    family=FAMILY,
    unit="1",
    inputs=("log_mid", "other_log_mid"),
    formula="ln mid - (a + b ln other), a and b by OLS over n bars",
    edge="NaN: the second asset is flat in the window",
    source="Engle & Granger 1987, rolling",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(300, 1800),
)
def pair_residual(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """How far ours is above the line of the two: the spread of a hedged pair."""
    slope, intercept, _, _ = roll.ols("log_mid", "other_log_mid", window)
    return bars["log_mid"] - (intercept + slope * bars["other_log_mid"])


@feature(
    "residual_z",
    family=FAMILY,
    unit="sd",
    inputs=("log_mid", "other_log_mid", "pair_residual_{window}"),
    formula="residual of ln mid on ln other / sd of the n residuals, ddof 0",
    edge="NaN: either is flat in the window, or the fit is exact",
    source="Gatev, Goetzmann & Rouwenhorst 2006, with a fitted hedge",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(300, 1800),
)
def residual_z(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Standardised spread of a pair whose hedge is fitted."""
    r2 = roll.ols("log_mid", "other_log_mid", window)[2]
    rest = np.where(1.0 - r2 > EXACT, 1.0 - r2, np.nan)
    return bars[f"pair_residual_{window}"] / (roll.sd("log_mid", window) * np.sqrt(rest))


def _reversion(bars: Bars, roll: Rolling, window: int) -> tuple[Array, Array]:
    """Dickey and Fuller's slope and t of the pair's residuals as they came."""
    residual = f"pair_residual_{window}"
    before = roll.lag(residual, 1)
    slope, _, _, t = roll.ols(bars[residual] - before, before, window)
    return slope, t


@feature(
    "residual_df_t",
    family=FAMILY,
    unit="t",
    inputs=("pair_residual_{window}",),
    formula="t of the slope of e - e_1 on e_1, with intercept, over n bars; e: pair_residual_n",
    edge="NaN: the residual is flat; t beside Engle & Granger's table, whose e are of one fit",
    source="Dickey & Fuller 1979; Engle & Granger 1987",
    lookback=lambda n: 2 * n - 1,
    warmup=lambda n: 2 * n - 1,
    windows=(300,),
)
def residual_df_t(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """How surely the spread of the pair reverts; 5 % of random walks are below about -3.3."""
    return _reversion(bars, roll, window)[1]


@feature(
    "residual_half_life",
    family=FAMILY,
    unit="s",
    inputs=("pair_residual_{window}", "bar_s"),
    formula="-ln 2 / ln phi x mean_n(bar time), phi - 1: slope of e - e_1 on e_1; e: "
    "pair_residual_n",
    edge="NaN: phi outside (0, 1), or t > -3.34",
    source="Uhlenbeck & Ornstein 1930; gate: MacKinnon 2010, two series, 5 %",
    lookback=lambda n: 2 * n - 1,
    warmup=lambda n: 2 * n - 1,
    sparse=True,
    windows=(300,),
)
def residual_half_life(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Half-life of the spread of the pair, where it reverts."""
    slope, t = _reversion(bars, roll, window)
    phi = 1.0 + slope
    reverts = (phi > 0.0) & (phi < 1.0) & (t < ENGLE_GRANGER_5)
    return -math.log(2.0) / np.log(np.where(reverts, phi, np.nan)) * roll.mean("bar_s", window)

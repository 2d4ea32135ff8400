"""What a Sharpe ratio is worth, after its length, its shape and the number of trials.

Two versions of the probabilistic Sharpe ratio are in use, 0.913 and 0.987 for the published
example: `version` names which. Ratios are of one period unless a name says that they are annual.

References
----------
Bailey and Lopez de Prado (2012), The Sharpe ratio efficient frontier, Journal of Risk 15(2).
Bailey and Lopez de Prado (2014), The deflated Sharpe ratio, Journal of Portfolio Management 40(5).
Lopez de Prado, Lipton and Zoonekynd (2025), Sharpe ratio inference, SSRN 5520741.
Lo (2002), The statistics of Sharpe ratios, Financial Analysts Journal 58(4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from mrtrade.backtest import metrics
from mrtrade.errors import ConfigError
from mrtrade.features.extras import need
from mrtrade.validation.returns import finite

Version = Literal["2012", "2025"]

EULER = 0.5772156649015329
ALIKE = 0.5
"""Correlation from which on two series of returns count as one trial."""

_NORMAL = NormalDist()


def variance_factor(
    ratio: float, skew: float = 0.0, kurtosis: float = 3.0, rho: float = 0.0
) -> float:
    r"""Variance of an estimated Sharpe ratio, times the number of returns, where `ratio` is true.

    Parameters
    ----------
    ratio
        Per period.
    skew, kurtosis
        Of the returns; kurtosis is 3 for a normal distribution.
    rho
        First autocorrelation of the returns, taken as AR(1).

    Returns
    -------
    float
        NaN where it would not be positive.

    Notes
    -----
    :math:`a - b g_3 S + c (g_4 - 1) S^2 / 4` with :math:`a = (1 + \rho) / (1 - \rho)`,
    :math:`b = 1 + \rho / (1 - \rho) + \rho^2 / (1 - \rho^2)` and
    :math:`c = (1 + \rho^2) / (1 - \rho^2)` (Lopez de Prado, Lipton and Zoonekynd 2025). With
    rho = 0 it is the variance of Bailey and Lopez de Prado (2012).
    """
    if not -1.0 < rho < 1.0:
        raise ConfigError("no autocorrelation", key="rho", value=rho, expected="between -1 and 1")
    square = rho * rho
    a = (1.0 + rho) / (1.0 - rho)
    b = 1.0 + rho / (1.0 - rho) + square / (1.0 - square)
    c = (1.0 + square) / (1.0 - square)
    factor = a - b * skew * ratio + 0.25 * c * (kurtosis - 1.0) * ratio * ratio
    return factor if factor > 0.0 else math.nan


def probabilistic_sharpe(
    ratio: float,
    n: int,
    skew: float = 0.0,
    kurtosis: float = 3.0,
    benchmark: float = 0.0,
    *,
    version: Version = "2012",
    rho: float = 0.0,
) -> float:
    r"""Probability that the true Sharpe ratio exceeds a benchmark (PSR).

    Parameters
    ----------
    ratio, benchmark
        Per period.
    n
        Number of returns.
    skew, kurtosis
        Of the returns; kurtosis is 3 for a normal distribution.
    version
        ``2012``: the variance is that of the observed ratio, over n - 1. ``2025``: it is that of
        the benchmark, over n, and knows autocorrelation.
    rho
        First autocorrelation of the returns, for the version of 2025.

    Returns
    -------
    float
        NaN where the variance vanishes.

    Raises
    ------
    ConfigError
        For an unknown version, or an autocorrelation for that of 2012, which has none.
    """
    _check_version(version, rho)
    if version == "2012":
        return metrics.probabilistic_sharpe(ratio, n, skew, kurtosis, benchmark)
    factor = variance_factor(benchmark, skew, kurtosis, rho)
    return _NORMAL.cdf((ratio - benchmark) * math.sqrt(n / factor)) if factor > 0.0 else math.nan


def min_track_record(
    ratio: float,
    skew: float = 0.0,
    kurtosis: float = 3.0,
    benchmark: float = 0.0,
    *,
    confidence: float = 0.95,
    version: Version = "2012",
    rho: float = 0.0,
) -> float:
    r"""Return how many returns it takes until the PSR reaches a confidence (MinTRL).

    Parameters
    ----------
    ratio, benchmark, skew, kurtosis, version, rho
        As in `probabilistic_sharpe`.
    confidence
        Between 0.5 and 1.

    Returns
    -------
    float
        In periods; infinite where the ratio is not above the benchmark, NaN where the variance
        vanishes.

    Notes
    -----
    :math:`1 + (1 - g_3 S + (g_4 - 1) S^2 / 4) (z / (S - S^*))^2` in the version of 2012 (Bailey and
    Lopez de Prado 2012); in that of 2025 without the 1, and with the variance of the benchmark.
    """
    _check_version(version, rho)
    if not 0.5 < confidence < 1.0:
        raise ConfigError(
            "no confidence", key="confidence", value=confidence, expected="between 0.5 and 1"
        )
    of, more = (ratio, 1.0) if version == "2012" else (benchmark, 0.0)
    factor = variance_factor(of, skew, kurtosis, rho)
    if math.isnan(ratio) or math.isnan(factor):
        return math.nan
    if ratio <= benchmark:
        return math.inf
    return more + factor * (_NORMAL.inv_cdf(confidence) / (ratio - benchmark)) ** 2


def _check_version(version: str, rho: float) -> None:
    if version not in get_args(Version):
        raise ConfigError(
            "no such version of the PSR", value=version, expected=" or ".join(get_args(Version))
        )
    if version == "2012" and rho != 0.0:
        raise ConfigError("the PSR of 2012 knows no autocorrelation", key="rho", value=rho)


# ---- many trials


def expected_maximum(trials: float) -> float:
    r"""Return the expected largest of `trials` independent standard normal numbers.

    Parameters
    ----------
    trials
        At least 1; an effective number need not be whole.

    Notes
    -----
    :math:`(1 - \gamma) \Phi^{-1}(1 - 1/N) + \gamma \Phi^{-1}(1 - 1/(N e))`, an approximation: 8 %
    low at 2, 2 % high at 10, 1 % at 100 (Bailey and Lopez de Prado 2014). One trial has none to
    choose from: 0.
    """
    if not trials >= 1.0:
        raise ConfigError("too few trials", value=trials, expected="at least 1")
    if trials == 1.0:
        return 0.0
    z = -(1.0 - EULER) * _NORMAL.inv_cdf(1.0 / trials)
    return max(0.0, z - EULER * _NORMAL.inv_cdf(1.0 / (trials * math.e)))


@dataclass(frozen=True, slots=True)
class Deflated:
    """A deflated Sharpe ratio and what it was made from.

    Attributes
    ----------
    probability : float
        That the true ratio exceeds what the best of `trials` worthless ones would show (DSR); NaN
        where it cannot be told.
    benchmark : float
        That expected best, per period.
    ratio : float
        Observed, per period.
    observations : int
        Returns.
    trials : float
        All that were ever tried, or an effective number of them.
    variance : float
        Of the trials' ratios, per period.
    version : str
        Of the PSR.
    reason : str
        Why there is no probability; empty where there is one.
    """

    probability: float
    benchmark: float
    ratio: float
    observations: int
    trials: float
    variance: float
    version: Version
    reason: str = ""


def deflated_sharpe(
    ratio: float,
    n: int,
    *,
    trials: float,
    variance: float,
    skew: float = 0.0,
    kurtosis: float = 3.0,
    version: Version = "2012",
    rho: float = 0.0,
) -> Deflated:
    r"""Return the PSR against the best that luck would have shown in all trials (DSR).

    Parameters
    ----------
    ratio, n, skew, kurtosis, version, rho
        As in `probabilistic_sharpe`, of the trial that was chosen.
    trials
        Everything ever tried, not what was kept.
    variance
        Of the ratios of the trials, per period of the same length.

    Notes
    -----
    The benchmark is :math:`\sqrt{V} \, E[\max_N]` (Bailey and Lopez de Prado 2014, equation 1).
    """
    if not (math.isnan(variance) or variance >= 0.0):
        raise ConfigError("no variance", key="variance", value=variance, expected="at least 0")
    # One trial is compared with nothing, whatever the variance of others would be.
    best = expected_maximum(trials)
    benchmark = 0.0 if best == 0.0 else math.sqrt(variance) * best
    probability = probabilistic_sharpe(
        ratio, n, skew, kurtosis, benchmark, version=version, rho=rho
    )
    reason = ""
    if math.isnan(benchmark):
        reason = "the variance of the trials' Sharpe ratios is not known"
    elif math.isnan(ratio):
        reason = "the returns do not vary"
    elif math.isnan(probability):
        reason = "the variance of the Sharpe ratio vanishes"
    return Deflated(probability, benchmark, ratio, n, trials, variance, version, reason)


def deflate(
    returns: Any,
    sharpes: Any,
    *,
    trials: float | None = None,
    version: Version = "2012",
) -> Deflated:
    """Deflate the Sharpe ratio of a series by all that was tried.

    Parameters
    ----------
    returns : array_like of float
        Of the trial that was chosen.
    sharpes : array_like of float
        Ratios of all trials, per period of the same length; NaN where one had none: it counts as a
        trial, and not into the variance.
    trials : float, optional
        Number of them; default: as many as `sharpes`.
    version : {"2012", "2025"}
        Of the PSR; that of 2025 takes the autocorrelation of the returns.

    Raises
    ------
    ConfigError
        If there are more ratios than trials.
    """
    x = finite(returns)
    ratios = np.asarray(sharpes, dtype=np.float64)
    if trials is None:
        trials = len(ratios)
    elif trials < len(ratios):
        raise ConfigError(
            "fewer trials than Sharpe ratios of trials",
            key="trials",
            value=trials,
            expected=f"at least {len(ratios)}",
            remedy="count everything that was tried, not what was kept",
        )
    known = ratios[np.isfinite(ratios)]
    ratio = metrics.sharpe(x)
    skew, kurtosis = metrics.moments(x)
    rho = metrics.autocorrelation(x) if version == "2025" else 0.0
    return deflated_sharpe(
        ratio,
        len(x),
        trials=trials,
        variance=float(np.var(known, ddof=1)) if len(known) > 1 else math.nan,
        skew=skew,
        kurtosis=kurtosis,
        version=version,
        rho=rho if math.isfinite(rho) else 0.0,
    )


def effective_trials(returns: Any, alike: float = ALIKE) -> npt.NDArray[np.int64]:
    """Put trials whose returns move together into one cluster; the clusters are what was tried.

    Parameters
    ----------
    returns : array_like of float, shape (periods, trials)
    alike : float
        Least correlation of any two trials of a cluster, between 0 and 1.

    Returns
    -------
    ndarray of int64, shape (trials,)
        Number of each trial's cluster, from 0 in order of appearance; ``max() + 1`` is the
        effective number of trials. Trials that never varied are one cluster.

    Notes
    -----
    Hierarchical clustering by complete linkage on 1 - correlation, cut at 1 - `alike`. Complete
    linkage joins two clusters only where all pairs are alike: it finds more trials, and so deflates
    more, than linkage by nearest or mean distance.
    """
    if not 0.0 < alike < 1.0:
        raise ConfigError("no correlation", key="alike", value=alike, expected="between 0 and 1")
    x = finite(returns, ndim=2)
    vary = np.ptp(x, axis=0) > 0.0 if len(x) else np.zeros(x.shape[1], dtype=bool)
    found = np.zeros(x.shape[1], dtype=np.int64)
    moving = int(vary.sum())
    if moving == 1:
        found[vary] = 1
    elif moving > 1:
        hierarchy = need("scipy.cluster.hierarchy")
        apart = np.atleast_2d(1.0 - np.corrcoef(x[:, vary], rowvar=False))
        upper = np.maximum(apart[np.triu_indices(moving, 1)], 0.0)
        tree = hierarchy.linkage(upper, method="complete")
        found[vary] = hierarchy.fcluster(tree, 1.0 - alike, criterion="distance")
    _, first, which = np.unique(found, return_index=True, return_inverse=True)
    order: npt.NDArray[np.int64] = np.argsort(np.argsort(first))
    return order[which]


# ---- one series, all of it


@dataclass(frozen=True, slots=True)
class Estimate:
    """A Sharpe ratio of a series, with what tells how far it can be trusted.

    Attributes
    ----------
    observations : int
    ratio : float
        Per period.
    annual, annual_se, annual_ar1 : float
        By the square root of time; its standard error (Lo 2002, iid); by Lo's factor for AR(1).
    psr_2012, psr_2025 : float
        Against 0; that of 2025 with the autocorrelation of the returns.
    min_track_record_years : float
        Until the PSR of 2012 against 0 is 0.95; infinite for a ratio below 0.
    reason : str
        Why there are no numbers (NaN); empty where there are.
    """

    observations: int
    ratio: float
    annual: float
    annual_se: float
    annual_ar1: float
    psr_2012: float
    psr_2025: float
    min_track_record_years: float
    reason: str = ""


def estimate(returns: Any, periods_a_year: int = metrics.DAYS_A_YEAR) -> Estimate:
    """Estimate the Sharpe ratio of a series of returns.

    Parameters
    ----------
    returns : array_like of float
        Of equal periods.
    periods_a_year : int
        Of them; 365 for days: crypto markets do not close.
    """
    x = finite(returns)
    n, ratio = len(x), metrics.sharpe(x)
    if math.isnan(ratio):
        reason = "fewer than two returns" if n < 2 else "the returns do not vary"
        return Estimate(n, ratio, ratio, ratio, ratio, ratio, ratio, ratio, reason)
    skew, kurtosis = metrics.moments(x)
    rho = metrics.autocorrelation(x)
    year = metrics.annualisation(periods_a_year)
    return Estimate(
        observations=n,
        ratio=ratio,
        annual=year * ratio,
        annual_se=year * metrics.sharpe_se(ratio, n),
        annual_ar1=metrics.annualisation(periods_a_year, rho) * ratio,
        psr_2012=probabilistic_sharpe(ratio, n, skew, kurtosis),
        psr_2025=probabilistic_sharpe(ratio, n, skew, kurtosis, version="2025", rho=rho),
        min_track_record_years=min_track_record(ratio, skew, kurtosis) / periods_a_year,
    )

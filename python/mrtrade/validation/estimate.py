"""One series of returns: its Sharpe ratio, and what tells how far it can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from mrtrade.backtest import metrics
from mrtrade.validation.returns import finite
from mrtrade.validation.sharpe import min_track_record, probabilistic_sharpe


@dataclass(frozen=True, slots=True)
class Estimate:
    """A Sharpe ratio of a series, with what tells how far it can be trusted.

    Attributes
    ----------
    observations : int
    ratio : float
        Per period.
    annual, annual_se, annual_ar1 : float
        Annualised; its standard error (Lo 2002, iid); annualised by Lo's factor for AR(1) returns.
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
        none = math.nan
        return Estimate(n, none, none, none, none, none, none, none, reason)
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

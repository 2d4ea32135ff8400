"""Performance measures. A year is 365 days of 24 hours: crypto markets do not close.

References
----------
Lo (2002), The statistics of Sharpe ratios, Financial Analysts Journal 58(4).
Bailey and Lopez de Prado (2012), The Sharpe ratio efficient frontier, Journal of Risk 15(2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.backtest.text import spell
from mrtrade.clock import NS_PER_DAY, to_ns
from mrtrade.instruments import LINEAR, Contract

DAYS_A_YEAR = 365
MIN_DAYS = 30
"""Shortest span, in days, for which an annualised ratio is shown."""

Floats = npt.NDArray[np.float64]


def drawdown(equity: Floats) -> Floats:
    """Distance below the highest equity so far, >= 0."""
    return np.maximum.accumulate(equity) - equity if len(equity) else equity


def longest_below_peak(time_ns: npt.NDArray[np.int64], equity: Floats) -> int:
    """Longest time, ns, from a peak of the equity until it is reached again (or the end)."""
    if len(equity) == 0:
        return 0
    below = drawdown(equity) > 0.0
    row = np.arange(len(equity))
    peak = np.maximum.accumulate(np.where(below, 0, row))
    # The row that reaches the old peak again ends its drawdown and counts into it.
    down = below[1:] | below[:-1]
    return int(np.max(np.where(down, time_ns[1:] - time_ns[peak[:-1]], 0), initial=0))


def daily_values(time_ns: npt.NDArray[np.int64], equity: Floats) -> Floats:
    """Return the equity at the ends of whole periods of 24 hours, and at the first mark before.

    The rest of the span after the last whole period is left out.
    """
    if len(equity) == 0:
        return np.empty(0)
    marks = np.arange(time_ns[0], time_ns[-1] + 1, NS_PER_DAY)
    return equity[np.searchsorted(time_ns, marks, side="right") - 1]


def daily_returns(time_ns: npt.NDArray[np.int64], equity: Floats) -> Floats:
    """Return simple returns over the periods of `daily_values`."""
    value = daily_values(time_ns, equity)
    return np.asarray(np.diff(value) / value[:-1], dtype=np.float64)


def sharpe(returns: Floats) -> float:
    """Mean over standard deviation (ddof 1) of returns, per period; NaN without variation."""
    spread = _deviation(returns)
    return float(np.mean(returns)) / spread if spread > 0.0 else math.nan


def _deviation(returns: Floats) -> float:
    """Sample standard deviation; exactly zero for equal returns, NaN below two of them."""
    if len(returns) < 2:
        return math.nan
    # The mean of equal numbers may be off in the last digit: that is not variation.
    return 0.0 if np.ptp(returns) == 0.0 else float(np.std(returns, ddof=1))


def sharpe_se(ratio: float, n: int) -> float:
    """Return the standard error of a per-period Sharpe ratio of n iid returns (Lo 2002)."""
    return math.sqrt((1.0 + 0.5 * ratio * ratio) / n)


def annualisation(periods: int, rho: float = 0.0) -> float:
    r"""Lo's eta(q): what turns a per-period Sharpe ratio into one over `periods` periods.

    Parameters
    ----------
    periods
        q, periods a year.
    rho
        First autocorrelation of the returns, taken as AR(1): lag k has rho^k. With 0 the factor is
        the square root of q.

    Notes
    -----
    :math:`q / \sqrt{q + 2 \sum_{k=1}^{q-1} (q-k) \rho^k}` (Lo 2002).
    """
    lag = np.arange(1, periods)
    return periods / math.sqrt(periods + 2.0 * float(np.sum((periods - lag) * rho**lag)))


def probabilistic_sharpe(
    ratio: float, n: int, skew: float = 0.0, kurtosis: float = 3.0, benchmark: float = 0.0
) -> float:
    r"""Probability that the true Sharpe ratio exceeds a benchmark: PSR in its 2012 version.

    Parameters
    ----------
    ratio, benchmark
        Per-period Sharpe ratios, not annualised.
    n
        Number of returns.
    skew, kurtosis
        Of the returns; kurtosis is 3 for a normal distribution.

    Notes
    -----
    :math:`\Phi[(S - S^*) \sqrt{n-1} / \sqrt{1 - g_3 S + (g_4 - 1) S^2 / 4}]` (Bailey and Lopez
    de Prado 2012). The 2025 restatement puts the benchmark into the variance and gives other
    numbers. NaN where the variance vanishes (returns of two values only can do that).
    """
    variance = 1.0 - skew * ratio + 0.25 * (kurtosis - 1.0) * ratio * ratio
    if not variance > 0.0:
        return math.nan
    z = (ratio - benchmark) * math.sqrt(n - 1) / math.sqrt(variance)
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def moments(returns: Floats) -> tuple[float, float]:
    """Skewness and kurtosis (normal: 0 and 3), population moments; NaN without variation."""
    if not _deviation(returns) > 0.0:
        return math.nan, math.nan
    d = returns - np.mean(returns)
    variance = float(np.mean(d**2))
    return float(np.mean(d**3)) / variance**1.5, float(np.mean(d**4)) / variance**2


def autocorrelation(returns: Floats) -> float:
    """First autocorrelation; NaN without variation."""
    if not _deviation(returns) > 0.0:
        return math.nan
    d = returns - np.mean(returns)
    return float(np.sum(d[1:] * d[:-1]) / np.sum(d * d))


def sortino(returns: Floats) -> float:
    """Mean over root mean square of the losses, per period; NaN without a loss."""
    if len(returns) < 2:
        return math.nan
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    return float(np.mean(returns)) / downside if downside > 0.0 else math.nan


def summarise(
    equity: pd.DataFrame,
    fills: pd.DataFrame,
    orders: pd.DataFrame,
    trades: pd.DataFrame,
    capital: float,
    contract: Contract = LINEAR,
) -> tuple[pd.Series[Any], dict[str, str]]:
    """Every measure of a run, by readable name with its unit.

    The unit ``settlement`` is the currency that profit is paid in: quote, or base for an inverse
    contract. The unit ``units`` is that of sizes: the base currency, or contracts.

    Returns
    -------
    stats, notes
        A number that cannot be judged is None in `stats`; `notes` says why, by the same name.
        Annualised figures need `MIN_DAYS` days; they are made of 24-hour returns. An order counts
        as filled when any part of it was.
    """
    stats: dict[str, Any] = {}
    notes: dict[str, str] = {}

    def put(name: str, value: float, reason: str) -> None:
        stats[name] = value if math.isfinite(value) else None
        if stats[name] is None:
            notes[name] = reason

    time = to_ns(equity.index)
    value = equity["equity"].to_numpy(np.float64)
    span = int(time[-1] - time[0]) if len(time) else 0
    below = drawdown(value)
    peak = np.maximum.accumulate(value) if len(value) else value
    stats["Span [days]"] = span / NS_PER_DAY
    stats["Net PnL [settlement]"] = float(value[-1]) - capital if len(value) else 0.0
    stats["Return on capital [%]"] = 100.0 * stats["Net PnL [settlement]"] / capital
    stats["Max drawdown [settlement]"] = float(below.max()) if len(value) else 0.0
    stats["Max drawdown [%]"] = 100.0 * float((below / peak).max()) if len(value) else 0.0
    stats["Longest time below peak [s]"] = longest_below_peak(time, value) / 1e9

    _ratios(put, time, value, span, stats["Max drawdown [%]"])

    closed = trades[~trades["is_open"].to_numpy(bool)] if len(trades) else trades
    none = "no round trip was closed"
    pnl = closed["pnl"].to_numpy(np.float64)
    hold = closed["hold_s"].to_numpy(np.float64)
    stats["Round trips"] = len(closed)
    put("Win rate [%]", 100.0 * _mean(pnl > 0), none)
    put("Mean PnL of a round trip [settlement]", _mean(pnl), none)
    put("Mean hold time [s]", _mean(hold), none)
    held = equity["position"].to_numpy(np.float64) != 0.0
    stats["Time in the market [%]"] = 100.0 * float(np.mean(held)) if len(held) else 0.0

    notional = fills["quantity"].to_numpy(np.float64)
    notional = notional * contract.notional(fills["price"].to_numpy(np.float64))
    turnover = float(notional.sum())
    maker = float(notional[fills["is_maker"].to_numpy(bool)].sum())
    sent = orders.loc[orders["event"] == "submitted", "order_id"].nunique()
    stats["Turnover [settlement]"] = turnover
    stats["Turnover [x capital]"] = turnover / capital
    put("Maker share [%]", 100.0 * maker / turnover if turnover else math.nan, "no fills")
    stats["Orders"] = sent
    stats["Fills"] = len(fills)
    put(
        "Orders filled [%]",
        100.0 * fills["order_id"].nunique() / sent if sent else math.nan,
        "no orders",
    )
    stats["Last position [units]"] = float(equity["position"].iloc[-1]) if len(equity) else 0.0
    return pd.Series(stats, dtype=object, name="stats"), notes


def _mean(values: npt.NDArray[Any]) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _ratios(
    put: Callable[[str, float, str], None],
    time: npt.NDArray[np.int64],
    equity: Floats,
    span: int,
    drawdown_pct: float,
) -> None:
    annual = se = adjusted = psr = growth = deviation = downside = calmar = math.nan
    flat = lossless = f"too short: {spell(span)}"
    if span >= MIN_DAYS * NS_PER_DAY and equity.min() <= 0.0:
        flat = lossless = "the capital was lost"
    elif span >= MIN_DAYS * NS_PER_DAY:
        flat, lossless = "no variation in the daily returns", "no losing day"
        year = annualisation(DAYS_A_YEAR)
        returns = daily_returns(time, equity)
        n, ratio = len(returns), sharpe(returns)
        growth = (equity[-1] / equity[0]) ** (DAYS_A_YEAR * NS_PER_DAY / span) - 1.0
        deviation = year * _deviation(returns)
        downside = year * sortino(returns)
        calmar = 100.0 * growth / drawdown_pct if drawdown_pct > 0.0 else math.nan
        if math.isfinite(ratio):
            annual, se = year * ratio, year * sharpe_se(ratio, n)
            adjusted = annualisation(DAYS_A_YEAR, autocorrelation(returns)) * ratio
            psr = probabilistic_sharpe(ratio, n, *moments(returns))
    put("Annual return, 365 days [%]", 100.0 * growth, flat)
    put("Annual volatility, 365 days [%]", 100.0 * deviation, flat)
    put("Sharpe, 365 days", annual, flat)
    put("Sharpe standard error, Lo 2002 iid", se, flat)
    put("Sharpe, Lo 2002 AR(1)-adjusted", adjusted, flat)
    put("PSR(0), version of 2012", psr, flat)
    put("Sortino, 365 days", downside, lossless)
    put("Calmar, 365 days", calmar, lossless)

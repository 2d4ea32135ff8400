"""Measures of a run on bars."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mrtrade.backtest import metrics
from mrtrade.backtest.bar_costs import PARTS

if TYPE_CHECKING:
    from mrtrade.backtest.bar_result import BarResult

Floats = npt.NDArray[np.float64]
Stats = dict[str, float | int | None]


def measure(run: BarResult) -> tuple[Stats, dict[str, str]]:
    """Return the measures of a run by name, and why one is None.

    Money is a share of the capital, ``days`` are whole UTC days. Annualised are the ratios only,
    from daily profits on a fixed capital, with 365 days a year; they need `metrics.MIN_DAYS` days.

    ============================ ================================================================
    days, rows                   how much was seen
    gross, funding, costs, net   sums; ``costs`` is ``commission`` + ``spread`` + ``impact`` +
                                 ``adverse`` + ``opportunity``, each there by its name
    break_even_multiple          of the costs, at which nothing is left: (gross - funding) / costs;
                                 below 0: it loses before costs
    sharpe, sharpe_se            after costs, and Lo's (2002) standard error for iid returns
    sharpe_ar1                   the same with Lo's correction for a first autocorrelation
    psr                          P(true ratio > 0), Bailey and Lopez de Prado (2012)
    sharpe_before_costs          after funding, before costs
    sortino, volatility          after costs, a year
    max_drawdown                 deepest fall of the equity below its peak
    turnover                     notional traded, all legs
    fills, trades, stops, holds  counts; trades are round trips that were closed
    win_rate, mean_trade_bps     of closed trades; bps of the notional entered, net
    mean_hold_s                  seconds
    time_in_market               share of rows with a position
    ============================ ================================================================
    """
    stats: Stats = {}
    notes: dict[str, str] = {}

    def put(name: str, value: float, reason: str) -> None:
        stats[name] = value if math.isfinite(value) else None
        if stats[name] is None:
            notes[name] = reason

    net = run.returns.to_numpy()
    costs = {name: sum(float(leg[name].sum()) for leg in run.charged) for name in PARTS}
    days = run.daily().to_numpy()
    stats |= {"days": len(days), "rows": len(net), "gross": float(np.sum(run.gross))}
    stats["funding"] = float(np.sum(run.funding))
    stats["costs"] = sum(costs.values())
    stats |= costs
    stats["net"] = float(np.sum(net))
    left = float(np.sum(run.before_costs))
    cost = sum(costs.values())
    put("break_even_multiple", left / cost if cost > 0.0 else math.nan, "nothing was charged")
    ratios, why = _ratios(days, run.daily(run.before_costs).to_numpy())
    for name, value in ratios.items():
        put(name, value, why)
    equity = 1.0 + np.concatenate(([0.0], np.cumsum(net)))
    stats["max_drawdown"] = float(metrics.drawdown(equity).max())
    stats["turnover"] = float(sum(np.sum(one) for one in run.traded))
    trades = run.trades
    closed = trades[trades["reason"] != "open"]
    stats["fills"] = len(run.fills.row)
    stats["trades"] = len(closed)
    for name, reason in (("stops", "stop"), ("holds", "hold")):
        stats[name] = int((closed["reason"] == reason).sum())
    none = "no round trip was closed"
    put("win_rate", _mean(closed["pnl"].to_numpy() > 0.0), none)
    put("mean_trade_bps", _mean(closed["return_bps"].to_numpy()), none)
    put("mean_hold_s", _mean(closed["hold_s"].to_numpy()), none)
    stats["time_in_market"] = run.rows_held / len(net) if len(net) else 0.0
    return stats, notes


def _mean(values: npt.NDArray[Any]) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _ratios(net: Floats, before: Floats) -> tuple[dict[str, float], str]:
    """Annualised ratios of daily profits, NaN with a reason where they cannot be judged."""
    names = ("sharpe", "sharpe_se", "sharpe_ar1", "psr", "sharpe_before_costs", "sortino")
    found = dict.fromkeys((*names, "volatility"), math.nan)
    if len(net) < metrics.MIN_DAYS:
        return found, f"too short: {len(net)} whole days of {metrics.MIN_DAYS}"
    year = metrics.annualisation(metrics.DAYS_A_YEAR)
    ratio = metrics.sharpe(net)
    found["sharpe_before_costs"] = year * metrics.sharpe(before)
    found["sortino"] = year * metrics.sortino(net)
    found["volatility"] = year * float(np.std(net, ddof=1))
    if math.isfinite(ratio):
        found["sharpe"] = year * ratio
        found["sharpe_se"] = year * metrics.sharpe_se(ratio, len(net))
        rho = metrics.autocorrelation(net)
        found["sharpe_ar1"] = metrics.annualisation(metrics.DAYS_A_YEAR, rho) * ratio
        found["psr"] = metrics.probabilistic_sharpe(ratio, len(net), *metrics.moments(net))
    return found, "no variation in the daily profits"

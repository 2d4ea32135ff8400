"""Gate 1: whether a walk-forward earned more than luck, and would survive what is to come.

=====================  ===========================================================================
part                   asked of the daily net returns out of sample
=====================  ===========================================================================
``sharpe``             annual Sharpe ratio > 1
``trades``             at least 30 round trips
``record``             the record is as long as that ratio needs: minimum track record (2012), 95 %
``deflated``           deflated Sharpe ratio >= 95 %, against as many trials as the ledger counts
``overfitting``        by CSCV on the grid: the best set of one half of the days earned nothing in
                       the other half in at most 10 % of the splits
``costs``              Sharpe ratio > 1 at twice the costs
``regimes``            Sharpe ratio > 0.5 in low, middle and high volatility each
``plateau``            60 % of the neighbours of the best set reach 70 % of it
``transfer``           on each other symbol more than 70 % of the Sharpe ratio
``noise``              the pipeline said GO on at most 5 % of at least 200 data sets without signal
=====================  ===========================================================================

Costs, regimes and transfer are as the specification has them; the rest is stated here.

On the trades: the formulas below take the mean of the days for normal. One gain among days of
nothing has a skewness that makes it look certain: a PSR of 97.6 %, whatever the number of days, and
five of them pass the deflated ratio against five trials.

On the overfitting part: PBO asks whether the best of one half is below the *median* of the grid in
the other. That is a toss of a coin on a plateau, where all sets earn alike, and next to nothing
beside sets that only pay their costs, whatever the best is worth. So it is not judged but noted.
Judged is the probability of loss of the same paper (Bailey, Borwein, Lopez de Prado and Zhu 2017):
the same splits, the same choice, and whether what was chosen earned. A half without a trade earned
nothing.

On the deflated ratio: its benchmark is the best ratio that as many trials would show were all of
them worthless, `deflate_by_count`. Bailey and Lopez de Prado (2014) take the variance of the ratios
that the trials did show, and a mean of 0 with it. Trials that only pay their costs have another
mean, far below 0, and a spread that is no luck: with it an effect can be refused however large it
is. So this asks less than theirs where trials differ much; that figure stands in the note.

What could not be measured is not judged, and without it there is no GO.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mrtrade.backtest.metrics import DAYS_A_YEAR, MIN_DAYS, moments, sharpe
from mrtrade.clock import NS_PER_DAY
from mrtrade.errors import ConfigError, DataError
from mrtrade.ml.trials import TrialLedger
from mrtrade.validation.bootstrap import Interval, intervals
from mrtrade.validation.cost_sensitivity import CostSensitivity, cost_sensitivity
from mrtrade.validation.criteria import Criterion, Verdict, judge
from mrtrade.validation.cross_symbol import Transfer, transfer
from mrtrade.validation.overfitting import Overfitting, pbo_cscv
from mrtrade.validation.plateau import WITHIN, Plateau, plateau
from mrtrade.validation.regime import Regimes, regimes
from mrtrade.validation.report import NoiseControl
from mrtrade.validation.returns import finite, returns_digest
from mrtrade.validation.sharpe import (
    Deflated,
    Estimate,
    deflate,
    deflated_sharpe,
    effective_trials,
    estimate,
)
from mrtrade.validation.walk_forward import YEAR, WalkForwardResult

PARTS = (
    "sharpe",
    "trades",
    "record",
    "deflated",
    "overfitting",
    "costs",
    "regimes",
    "plateau",
    "transfer",
    "noise",
)

WANTED_SHARPE = 1.0
FEWEST_TRADES = 30
LEAST_ABLE = 0.1
"""Share of a noise control's data sets on which the strategy has to trade so often."""
WANTED_DEFLATED = 95.0
MOST_OVERFIT = 10.0
MOST_FALSE_GO = 5.0
FEWEST_NOISE_RUNS = 200

REGIME_BOUNDARIES = "volatility of the day before; terciles of the days of each training span"


@dataclass(frozen=True)
class GateOne:
    """Everything that gate 1 measured.

    Attributes
    ----------
    verdict : Verdict
    estimate : Estimate
    interval, drawdown : Interval
        Of the annual Sharpe ratio, and of the deepest drawdown.
    deflated : Deflated
    effective : int or None
        Clusters of the grid's configurations.
    overfitting : Overfitting
    costs : CostSensitivity
    regimes : Regimes
    plateau : Plateau, optional
    transfers : tuple of Transfer
    noise : NoiseControl, optional
    """

    verdict: Verdict
    estimate: Estimate
    interval: Interval
    drawdown: Interval
    deflated: Deflated
    effective: int | None
    overfitting: Overfitting
    costs: CostSensitivity
    regimes: Regimes
    plateau: Plateau | None
    transfers: tuple[Transfer, ...]
    noise: NoiseControl | None


def gate_one(
    result: WalkForwardResult,
    *,
    across: Mapping[str, WalkForwardResult] | None = None,
    ledger: TrialLedger | None = None,
    noise: NoiseControl | None = None,
    asked: Collection[str] = PARTS,
    seed: int = 0,
) -> GateOne:
    """Judge a walk-forward.

    Parameters
    ----------
    result : WalkForwardResult
        On the symbol that it was learnt on.
    across : Mapping, optional
        Its results on other symbols, of the same run.
    ledger : TrialLedger, optional
        That of the walk-forward. What counts is all trials of its project, and on its data those of
        any other: a new name forgets nothing. Default: those of the result's own grid.
    noise : NoiseControl, optional
        Of the same strategy.
    asked : collection of str
        Some of `PARTS`; what is left out is not among the criteria.
    seed : int
        Of the bootstrap.

    Raises
    ------
    ConfigError
        For a part that there is none.
    DataError
        If a return is missing, or evidence is of something else: the ledger without the result's
        own trials, another symbol's result of another run.
    """
    if unknown := [name for name in asked if name not in PARTS]:
        raise ConfigError("no such part of gate 1", value=unknown[0], expected=", ".join(PARTS))
    daily = result.daily.to_numpy()
    found = estimate(daily)
    for symbol, other in (across or {}).items():
        _refuse_another_run(result, symbol, other)
    ratios, count = _trials(result, ledger)
    deflated = deflate_by_count(daily, count)
    shown = deflate(daily, ratios, trials=count)
    overfitting = pbo_cscv(result.grid.to_numpy())
    costs = cost_sensitivity(result.frame["gross"], result.cost, -result.frame["funding"])
    by_regime = regimes(
        daily,
        _regime_of(result),
        periods_a_year=DAYS_A_YEAR,
        boundaries=REGIME_BOUNDARIES,
    )
    surface = _plateau(result)
    transfers = tuple(
        transfer(result.daily, other.daily, names=(result.symbol, symbol), seed=seed)
        for symbol, other in (across or {}).items()
    )
    criteria = {
        "sharpe": [_sharpe(found)],
        "trades": [judge("Round trips", len(result.trades), ">=", FEWEST_TRADES)],
        "record": [_record(found)],
        "deflated": [_deflated(deflated, shown)],
        "overfitting": [_overfitting(overfitting)],
        "costs": [costs.criterion()],
        "regimes": by_regime.criteria(),
        "plateau": [_plateau_criterion(surface)],
        "transfer": [one.criterion() for one in transfers] or [_no_transfer()],
        "noise": [_noise(noise, result)],
    }
    spans = intervals(daily, seed=seed)
    verdict = Verdict(
        f"gate 1: {result.label} on {result.symbol}",
        tuple(one for part in PARTS if part in asked for one in criteria[part]),
        _about(result, count),
    )
    return GateOne(
        verdict=verdict,
        estimate=found,
        interval=spans["sharpe"].times(YEAR),
        drawdown=spans["drawdown"],
        deflated=deflated,
        effective=_effective(result),
        overfitting=overfitting,
        costs=costs,
        regimes=by_regime,
        plateau=surface,
        transfers=transfers,
        noise=noise,
    )


def _refuse_another_run(result: WalkForwardResult, symbol: str, other: WalkForwardResult) -> None:
    """Refuse a result that is not what this one's run earned on another symbol."""
    was = (other.label, other.learnt_on, other.symbol, other.manifest)
    if symbol == result.symbol or was != (result.label, result.symbol, symbol, result.manifest):
        raise DataError(
            f"not what {result.label}, learnt on {result.symbol}, earned on another symbol",
            value=f"{other.label}, learnt on {other.learnt_on}, on {other.symbol}",
            expected="a result of the same run on another symbol",
            remedy="walk all symbols forward again, together",
        )


def _trials(result: WalkForwardResult, ledger: TrialLedger | None) -> tuple[np.ndarray, int]:
    """Sharpe ratios per day of all trials that have one, and the number of all."""
    tried = [one.to_numpy(np.float64) for one in result.tried().values()]
    if ledger is None:
        return np.array([sharpe(one) for one in tried]), len(tried)
    known = ledger.frame()
    if not {returns_digest(one) for one in tried} <= set(known["returns_digest"]):
        raise DataError(
            "the ledger does not hold the trials of this result",
            file=ledger.path,
            remedy="give the ledger that the walk-forward wrote, or walk forward again",
        )
    of_project = known["study"] == result.manifest["config"]["project"]
    on_data = known["data"] == result.manifest["data"][result.symbol]["fingerprint"]
    counted = known[of_project | on_data]
    ratios = counted["sharpe"][counted["period_ns"] == NS_PER_DAY].dropna()
    return ratios.to_numpy(), len(counted)


def _regime_of(result: WalkForwardResult) -> np.ndarray:
    known = result.regime["regime"].reindex(result.daily.index)
    return known.fillna(-1).to_numpy(dtype=np.int64)


def _plateau(result: WalkForwardResult) -> Plateau | None:
    """Look around the best set, along the parameters that the grid changes and can order."""
    table = pd.DataFrame(result.configurations)
    axes = [name for name in map(str, table) if table[name].astype(str).nunique() > 1]
    if not axes or len(table) != result.grid.shape[1]:
        return None
    grid = table[axes].copy()
    for name in axes:  # one that may be none is a choice, not a step of an axis
        if not pd.api.types.is_numeric_dtype(grid[name]) or grid[name].isna().any():
            grid[name] = grid[name].astype(str)
    grid["sharpe"] = [YEAR * sharpe(result.grid[name].to_numpy()) for name in result.grid]
    if not grid["sharpe"].notna().any():
        return None
    return plateau(grid, axes)


def _sharpe(found: Estimate) -> Criterion:
    few = found.observations < MIN_DAYS
    reason = f"{found.observations} days, fewer than {MIN_DAYS}" if few else found.reason
    note = "" if reason else f"standard error {found.annual_se:.2f}, {found.observations} days"
    return judge(
        "Sharpe ratio out of sample, net", found.annual, ">", WANTED_SHARPE, note, reason=reason
    )


def _record(found: Estimate) -> Criterion:
    years = found.observations / DAYS_A_YEAR
    needed = found.min_track_record_years
    share = 0.0 if math.isinf(needed) else 100.0 * years / needed
    note = (
        "no record is long enough for a ratio of 0 or less"
        if math.isinf(needed)
        else f"{years:.2f} years, {needed:.2f} needed"
    )
    return judge(
        "Length of the record, share of what its ratio needs",
        share,
        ">=",
        100.0,
        "" if found.reason else note,
        reason=found.reason,
        unit="%",
    )


def deflate_by_count(daily: Any, trials: float) -> Deflated:
    r"""Deflate a Sharpe ratio by a number of trials, were all of them worthless.

    Parameters
    ----------
    daily : array_like of float
        Returns of the trial that was chosen, T days.
    trials : float
        Everything ever tried, N.

    Notes
    -----
    The benchmark is :math:`E[\max_N] / \sqrt{T - 1}`. A ratio that is truly 0 is estimated with
    the variance 1 / (T - 1), whatever the shape of the returns (Lo 2002; in the formula of 2012 the
    terms of skewness and kurtosis vanish with the ratio). Of N estimates with that variance the
    expected largest is at most that of N independent ones, if

    - some are truly below 0: each is then its error less something;
    - some move together: the expected largest of normal variables of one variance falls with each
      correlation (Slepian 1962). Against each other they can move too, a rule and its reverse; that
      makes two of them 41 % larger, ten pairs under 1 %.

    Not in it: returns that follow each other. A first autocorrelation rho makes the variance
    (1 + rho) / (1 - rho) times as large.
    """
    x = finite(daily)
    skew, kurtosis = moments(x)
    variance = 1.0 / (len(x) - 1) if len(x) > 1 else math.nan
    return deflated_sharpe(
        sharpe(x), len(x), trials=trials, variance=variance, skew=skew, kurtosis=kurtosis
    )


def _deflated(deflated: Deflated, shown: Deflated) -> Criterion:
    note = f"{deflated.trials:,.0f} trials"
    if math.isfinite(deflated.benchmark):
        note += f"; luck alone would show {YEAR * deflated.benchmark:.2f} a year"
    if math.isfinite(shown.probability):
        note += f"; by the spread of the trials' own ratios {100.0 * shown.probability:.1f}%"
    return judge(
        "Deflated Sharpe ratio",
        100.0 * deflated.probability,
        ">=",
        WANTED_DEFLATED,
        note,
        reason=deflated.reason,
        unit="%",
    )


def _overfitting(found: Overfitting) -> Criterion:
    note = ""
    if not found.reason:
        low, high = np.min(found.offsets), np.max(found.offsets)
        note = (
            f"PBO {found.pbo:.2f} ({low:.2f} to {high:.2f} by the blocks' edges), "
            f"{found.configurations} configurations"
        )
    return judge(
        "Overfit: best of one half of the days, no gain in the other",
        100.0 * found.loss,
        "<=",
        MOST_OVERFIT,
        note,
        reason=found.reason,
        unit="%",
    )


def _plateau_criterion(surface: Plateau | None) -> Criterion:
    if surface is None:
        return judge(
            f"Neighbours of the best set that reach {WITHIN:.0%} of it",
            None,
            ">=",
            60.0,
            reason="no grid that traded",
            unit="%",
        )
    return surface.criterion()


def _no_transfer() -> Criterion:
    return judge(
        "Sharpe ratio on other symbols",
        None,
        ">",
        70.0,
        reason="no other symbol was tested",
        unit="%",
    )


def _noise(noise: NoiseControl | None, result: WalkForwardResult) -> Criterion:
    name = "False GO on data without signal"
    if noise is None or noise.runs == 0:
        return judge(name, None, "<=", MOST_FALSE_GO, reason="no noise control was given", unit="%")
    reason = ""
    able = noise.able.get(result.manifest["strategies"][result.label])
    if able is None:
        tried = ", ".join(one.partition(" ")[0] for one in noise.able)
        reason = f"it was of {tried}, not of this strategy as it is"
    elif noise.runs < FEWEST_NOISE_RUNS:
        reason = f"{noise.runs} data sets, fewer than {FEWEST_NOISE_RUNS}"
    elif able < LEAST_ABLE * noise.runs:
        reason = (
            f"it made {FEWEST_TRADES} round trips on {able} of {noise.runs} data sets, "
            f"{LEAST_ABLE * noise.runs:.0f} are needed: on the others it could not be GO"
        )
    return judge(
        name,
        100.0 * noise.false_go / noise.runs,
        "<=",
        MOST_FALSE_GO,
        f"{noise.false_go} of {noise.runs}, 95% interval "
        f"{100.0 * noise.low:.1f} to {100.0 * noise.high:.1f}%",
        reason=reason,
        unit="%",
    )


def _effective(result: WalkForwardResult) -> int | None:
    if result.grid.shape[1] < 2:
        return None
    return int(effective_trials(result.grid.to_numpy()).max()) + 1


def _about(result: WalkForwardResult, trials: int) -> dict[str, Any]:
    stats = result.stats()
    return {
        "strategy": result.label,
        "symbol": result.symbol,
        "folds": len(result.folds),
        "from": str(result.frame.index[0]),
        "to": str(result.frame.index[-1]),
        "trials": trials,
        "data": result.manifest.get("data", {}).get(result.symbol, {}).get("fingerprint", ""),
        **{name: float(x) if math.isfinite(x) else None for name, x in stats.items()},
    }

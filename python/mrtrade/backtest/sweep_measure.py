"""What a configuration of a sweep is worth: one row of numbers, from fills or from bars."""

from __future__ import annotations

import hashlib
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.backtest import metrics
from mrtrade.backtest.bar_result import BarResult
from mrtrade.backtest.waterfall import Waterfall, waterfall
from mrtrade.clock import NS_PER_DAY, to_ns
from mrtrade.instruments import BPS_PER_ONE, Contract

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HOUR_NS = NS_PER_DAY // 24

MONEY = ("net", "gross", "slippage", "spread", "fees", "impact", "funding", "costs")
"""Columns of money; ``gross - costs - funding`` is ``net``, and ``costs`` are the four between."""

RATIOS = ("sharpe_before", "sharpe_after", "skew", "kurtosis", "max_drawdown")
COUNTS = ("periods", "fills", "trades")
MEASURES = (*MONEY, *RATIOS, *COUNTS, "turnover", "maker_share")


class Charge(NamedTuple):
    """What is charged for fills that are there.

    Attributes
    ----------
    scale : float
        Multiplies all costs.
    maker_fee_bps, taker_fee_bps : float, optional
        Of the notional; None: what the fills have been charged.
    """

    scale: float = 1.0
    maker_fee_bps: float | None = None
    taker_fee_bps: float | None = None


class Fills(NamedTuple):
    """What charges are put on: the trades of one replay.

    Attributes
    ----------
    fills, funding : DataFrame
        As in `mrtrade.backtest.Result`.
    last_mid : float
        At which the last position is marked.
    period_ns : int
        Of the returns.
    marks_ns, mids : ndarray
        When the equity is looked at, and the mid then; price units.
    contract : Contract
    capital : float
        Settlement currency.
    """

    fills: pd.DataFrame
    funding: pd.DataFrame
    last_mid: float
    period_ns: int
    marks_ns: Ints
    mids: Floats
    contract: Contract
    capital: float


def period_of(span_ns: int) -> int:
    """Return the period of the returns that ratios are made of: a day, or of short spans an hour.

    A ratio of 24 hourly returns is one; annualised it would be a number of no meaning. So none is.
    """
    return NS_PER_DAY if span_ns >= metrics.MIN_DAYS * NS_PER_DAY else HOUR_NS


def marks(time_ns: Ints, period_ns: int) -> Ints:
    """Return the times, whole periods from the first on, at which the equity is looked at."""
    return np.arange(time_ns[0], time_ns[-1] + 1, period_ns, dtype=np.int64)


class Charged(NamedTuple):
    """Fills at some fees, before their costs are multiplied.

    Attributes
    ----------
    run : Fills
    steps : Waterfall
        Where the profit went.
    before, cost : ndarray
        Profit before costs up to each mark, and the costs up to then; settlement currency.
    counts : dict
        Measures that hang on no cost.
    """

    run: Fills
    steps: Waterfall
    before: Floats
    cost: Floats
    counts: dict[str, Any]


def charge_fills(run: Fills, charge: Charge) -> Charged:
    """Charge fills the fees of a charge, whatever the multiple."""
    fills, contract = run.fills, run.contract
    price = fills["price"].to_numpy(np.float64)
    notional = fills["quantity"].to_numpy(np.float64) * contract.notional(price)
    maker = fills["is_maker"].to_numpy(bool)
    fee = _fees(fills, notional, maker, charge)
    paid = math.fsum(run.funding["paid"].to_numpy(np.float64))
    steps = waterfall(fills.assign(fee=fee), run.last_mid, contract, paid)
    before, cost = _equity(run, price, fee)
    position = fills["position"].to_numpy(np.float64)
    turnover = float(notional.sum())
    counts = {
        "fills": len(fills),
        "trades": _round_trips(position),
        "turnover": turnover,
        "maker_share": float(notional[maker].sum()) / turnover if turnover else math.nan,
    }
    return Charged(run, steps, before, cost, counts)


def measure_fills(charged: Charged, scale: float) -> dict[str, Any]:
    """Return `MEASURES` of fills under a multiple of their costs, and the sha256 of the returns.

    Money is in the settlement currency. ``slippage``, ``spread`` and ``fees`` are those of
    `mrtrade.backtest.waterfall`, times the scale. The Sharpe ratios are per period, of profits on a
    fixed capital, before and after these costs, both after funding; skewness and kurtosis are of
    those after costs (normal: 0 and 3). NaN without variation. ``max_drawdown`` is a share of the
    capital, between marks.
    """
    steps = charged.steps
    costs = scale * math.fsum((steps.slippage, steps.spread, steps.fees))
    return {
        "net": steps.gross - costs - steps.funding,
        "gross": steps.gross,
        "slippage": scale * steps.slippage,
        "spread": scale * steps.spread,
        "fees": scale * steps.fees,
        "impact": 0.0,
        "funding": steps.funding,
        "costs": costs,
        **_ratios(charged.before, charged.before - scale * charged.cost, charged.run.capital),
        **charged.counts,
    }


def _fees(fills: pd.DataFrame, notional: Floats, maker: npt.NDArray[Any], charge: Charge) -> Floats:
    fee = fills["fee"].to_numpy(np.float64)
    for bps, of in ((charge.maker_fee_bps, maker), (charge.taker_fee_bps, ~maker)):
        if bps is not None:
            fee = np.where(of, notional * (bps / BPS_PER_ONE), fee)
    return fee


def _equity(run: Fills, price: Floats, fee: Floats) -> tuple[Floats, Floats]:
    """Profit before costs up to each mark, funding paid; and the costs up to then."""
    fills, contract = run.fills, run.contract
    mid = fills["mid"].to_numpy(np.float64)
    mid = np.where(np.isnan(mid), price, mid)
    decision = fills["decision_mid"].to_numpy(np.float64)
    decision = np.where(np.isnan(decision), mid, decision)
    signed = fills["side"].to_numpy(np.float64) * fills["quantity"].to_numpy(np.float64)
    done = np.searchsorted(to_ns(fills["time"]), run.marks_ns, side="left")

    def so_far(values: Floats, at: npt.NDArray[Any] = done) -> Floats:
        return np.asarray(np.concatenate(([0.0], np.cumsum(values)))[at])

    position = np.concatenate(([0.0], fills["position"].to_numpy(np.float64)))[done]
    worth = np.where(position == 0.0, 0.0, position * contract.value(run.mids))
    settled = np.searchsorted(to_ns(run.funding["time"]), run.marks_ns, side="left")
    funding = so_far(run.funding["paid"].to_numpy(np.float64), settled)
    before = worth - so_far(signed * contract.value(decision)) - funding
    return before, so_far(signed * contract.change(decision, price) + fee)


def _round_trips(held: Floats) -> int:
    """Count how often a position was closed or turned; `held` is what was held after each fill."""
    before = np.concatenate(([0.0], held[:-1]))
    return int(((before != 0.0) & (before * held <= 0.0)).sum()) if len(held) else 0


def _ratios(before: Floats, after: Floats, capital: float) -> dict[str, Any]:
    gained = np.diff(after) / capital
    equity = 1.0 + after / capital
    skew, kurtosis = metrics.moments(gained)
    return {
        "sharpe_before": metrics.sharpe(np.diff(before) / capital),
        "sharpe_after": metrics.sharpe(gained),
        "skew": skew,
        "kurtosis": kurtosis,
        "max_drawdown": float(metrics.drawdown(equity).max(initial=0.0)),
        "periods": len(gained),
        "returns_digest": hashlib.sha256(gained.tobytes()).hexdigest(),
    }


def measure_bars(run: BarResult, period_ns: int) -> dict[str, Any]:
    """Return the same of a run on bars; money is in the currency of the capital."""
    costs = {name: run.capital * float(np.sum(paid)) for name, paid in run.costs.items()}
    whole = math.fsum(costs.values())
    gross, funding = (
        run.capital * float(np.sum(run.gross)),
        run.capital * float(np.sum(run.funding)),
    )
    row: dict[str, Any] = {
        "net": gross - whole - funding,
        "gross": gross,
        "slippage": costs["adverse"] + costs["opportunity"],
        "spread": costs["spread"],
        "fees": costs["commission"],
        "impact": costs["impact"],
        "funding": funding,
        "costs": whole,
    }
    at = np.searchsorted(run.time, marks(run.time, period_ns), side="right") - 1
    before, after = (
        run.capital * np.cumsum(one.to_numpy())[at] for one in (run.before_costs, run.returns)
    )
    return {
        **row,
        **_ratios(before, after, run.capital),
        "fills": len(run.fills.share),
        "trades": _round_trips(run.fills.share),
        "turnover": run.capital * float(sum(np.sum(one) for one in run.traded)),
        "maker_share": math.nan,
    }

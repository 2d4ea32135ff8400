"""Forecasts through the event backtest: orders, latency, fills; and what came of them, bar by bar.

A fill is booked in the bar in which it happened. Before costs it was made at the mid that its
decision saw, so a bar's gross profit is that of the position it began with, from mid to mid, and
of its own fills from the decision's mid on. Bars add up to `mrtrade.backtest.waterfall` exactly:
gross - slippage - spread - fees - funding = net.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.backtest.frames import fills_frame
from mrtrade.backtest.ledger import funding_paid
from mrtrade.backtest.replaying import Scene, by_plan, make_replay
from mrtrade.backtest.targets import decisions
from mrtrade.backtest.waterfall import Waterfall, waterfall
from mrtrade.clock import to_ns
from mrtrade.errors import RunError
from mrtrade.strategies.base import FORECAST
from mrtrade.strategies.forecast import Forecast

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Traded:
    """What came of one forecast.

    Attributes
    ----------
    gross, cost, funding : ndarray, shape (bars,)
        Profit before costs, costs (slippage, spread, fees) and funding paid, shares of capital. Of
        the test's bars but the first, at whose end the first decision is made.
    entries : int
        Times a position was taken.
    turnover : float
        Notional of the fills, multiples of capital: of a thin book an order takes what is there.
    waterfall : Waterfall
        Settlement currency.
    """

    gross: Floats
    cost: Floats
    funding: Floats
    entries: int
    turnover: float
    waterfall: Waterfall


def trade(scene: Scene, forecast: Floats, strategy: Forecast) -> Traded:
    """Replay a strategy on forecasts.

    Parameters
    ----------
    scene : Scene
        Of the test span; its features hold what else the strategy reads.
    forecast : ndarray, shape (bars,)
        bps, known at the ends of the scene's bars.
    strategy : Forecast
    """
    targets = strategy.targets(scene.features.assign(**{FORECAST: forecast}))
    plan = decisions(targets, scene.bars["mid"], scene.max_lots, scene.terms.tick_size)
    replay = make_replay(scene, scene.config.queue.chosen)
    for _ in by_plan(replay, plan, strategy, scene, 1):
        pass
    fills = fills_frame(replay.fills(), scene.config.capital, scene.terms)
    mid = scene.bars["mid"].ffill().to_numpy(np.float64)
    last = float(mid[-1]) if np.isfinite(mid[-1]) else 0.0
    contract, capital = scene.terms.contract, scene.config.capital
    paid = funding_paid(fills, scene.rates, contract)
    total = waterfall(fills, last, contract, math.fsum(paid["paid"].to_numpy(np.float64)))
    gross, cost = by_bar(fills, scene, mid)
    row = np.minimum(np.searchsorted(scene.times, to_ns(paid["time"])), len(mid) - 1)
    funding = np.bincount(row, paid["paid"].to_numpy(np.float64), len(mid))[1:]
    made = float(gross.sum() - cost.sum() - funding.sum())
    if abs(made - total.net) > 1e-6 * (1.0 + abs(total.net) + float(cost.sum())):
        raise RunError("bars do not add up to the run", value=made, expected=f"{total.net}")
    side = np.sign(targets["target"].to_numpy(np.float64))
    entries = int(np.sum((side != 0.0) & (np.r_[0.0, side[:-1]] != side)))
    notional = fills["quantity"] * contract.notional(fills["price"])
    turnover = math.fsum(notional.to_numpy(np.float64)) / capital
    return Traded(gross / capital, cost / capital, funding / capital, entries, turnover, total)


def by_bar(fills: pd.DataFrame, scene: Scene, mid: Floats) -> tuple[Floats, Floats]:
    """Return gross profit and costs of each bar but the first, settlement currency.

    Parameters
    ----------
    fills : DataFrame
        As `fills_frame` makes them.
    scene : Scene
    mid : ndarray, shape (bars,)
        At the ends of bars, carried on where there is none.
    """
    contract, rows = scene.terms.contract, len(mid)
    mid = np.asarray(pd.Series(mid).bfill().fillna(1.0))  # before the first mid nothing was held
    price = fills["price"].to_numpy(np.float64)
    before = fills["mid"].to_numpy(np.float64)
    before = np.where(np.isnan(before), price, before)
    decided = fills["decision_mid"].to_numpy(np.float64)
    decided = np.where(np.isnan(decided), before, decided)
    signed = fills["side"].to_numpy(np.float64) * fills["quantity"].to_numpy(np.float64)
    # The last bar takes what was filled after it ended: such a fill was decided within it.
    row = np.minimum(np.searchsorted(scene.times, to_ns(fills["time"])), rows - 1)
    change = np.bincount(row, signed, rows)
    held = np.cumsum(change) - change
    gross = np.bincount(row, signed * contract.change(decided, mid[row]), rows)
    gross[1:] += held[1:] * contract.change(mid[:-1], mid[1:])
    lost = signed * contract.change(decided, price) + fills["fee"].to_numpy(np.float64)
    return np.asarray(gross[1:]), np.asarray(np.bincount(row, lost, rows)[1:], dtype=np.float64)

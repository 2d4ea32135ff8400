"""Forecasts through the event backtest: orders, latency, fills; and what came of them, bar by bar.

A fill is booked in the bar in which it happened. Before costs it was made at the mid that its
decision saw, so a bar's gross profit is that of the position it began with, from mid to mid, and
of its own fills from the decision's mid on. Bars add up to `mrtrade.backtest.waterfall` exactly:
gross - slippage - spread - fees = net.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.backtest.frames import fills_frame
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
    gross, cost : ndarray, shape (bars,)
        Profit before costs and costs (slippage, spread, fees), shares of capital. Of the test's
        bars but the first, at whose end the first decision is made.
    entries : int
        Times a position was taken.
    waterfall : Waterfall
        Settlement currency.
    """

    gross: Floats
    cost: Floats
    entries: int
    waterfall: Waterfall

    def net(self, multiple: float = 1.0) -> Floats:
        """Return profit by bar where trading costs so many times what it did."""
        return self.gross - multiple * self.cost


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
    for _ in by_plan(replay, plan, scene, 1):
        pass
    fills = fills_frame(replay.fills(), scene.config.capital, scene.terms)
    mid = scene.bars["mid"].ffill().to_numpy(np.float64)
    last = float(mid[-1]) if np.isfinite(mid[-1]) else 0.0
    total = waterfall(fills, last, scene.terms.contract)
    gross, cost = by_bar(fills, scene, mid)
    if abs(gross.sum() - cost.sum() - total.net) > 1e-6 * (1.0 + abs(total.net) + cost.sum()):
        raise RunError(
            "bars do not add up to the run",
            value=float(gross.sum() - cost.sum()),
            expected=f"{total.net}",
        )
    capital = scene.config.capital
    side = np.sign(targets["target"].to_numpy(np.float64))
    entries = int(np.sum((side != 0.0) & (np.r_[0.0, side[:-1]] != side)))
    return Traded(gross / capital, cost / capital, entries, total)


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
    mid = np.where(np.isfinite(mid), mid, mid[np.isfinite(mid)][0] if np.isfinite(mid).any() else 1)
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
    return gross[1:], np.bincount(row, lost, rows)[1:]

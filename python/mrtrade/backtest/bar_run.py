"""The fast backtest: targets on bars, without orders.

It answers in milliseconds what the event backtest (`mrtrade.backtest.engine`) answers in seconds,
for walks forward, sweeps and noise runs. What it leaves out is what bars do not hold: latency,
queues, lots, ticks, margin. Costs are charged instead of simulated.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.backtest.bar_costs import CostCharge, charge
from mrtrade.backtest.bar_fills import TARGET, Fills, by_row, held_after, walk
from mrtrade.backtest.bar_prices import Prices, prices_of
from mrtrade.backtest.bar_result import BarResult
from mrtrade.backtest.targets import asked_for
from mrtrade.clock import to_ns
from mrtrade.errors import ConfigError, DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def run_bars(
    bars: pd.DataFrame,
    targets: pd.DataFrame,
    *,
    costs: CostCharge,
    funding: pd.DataFrame | None = None,
    second: pd.DataFrame | None = None,
    second_costs: CostCharge | None = None,
    capital: float = 100_000.0,
    size_usd: float | None = None,
    urgency: float | tuple[float, float] = 1.0,
    interval_ns: int | None = None,
) -> BarResult:
    """Hold a strategy's targets on bars and charge what that costs.

    Parameters
    ----------
    bars : DataFrame, shape (rows, ...)
        ``mid``, and ``mid_open, mid_high, mid_low`` where there are, quote units; the index is the
        end of each bar, UTC. Linear contracts only: profit is paid in quote.
    targets : DataFrame, shape (rows, 3)
        What `mrtrade.strategies.Strategy.targets` returns, on the same index: ``target`` in -1..1
        (NaN: as before), ``stop_bps`` and ``hold_s`` (NaN: none).
    costs : CostCharge
        What orders cost, see `mrtrade.backtest.bar_costs`.
    funding : DataFrame, optional
        Settlements of the first leg: ``time``, ``rate`` (fraction of the notional that longs pay)
        and ``mark`` (quote; NaN: the last mid known then).
    second : DataFrame, optional
        Bars of a second leg on the same index, of which the opposite is held: as many base units
        as of the first. Where a leg has no price neither is traded, and both are marked at the last
        prices that were known together.
    second_costs : CostCharge, optional
        Of the second leg; default: `costs`.
    capital : float
        USD; all results are shares of it.
    size_usd : float, optional
        Notional of a target of 1, of the first leg; default: the capital.
    urgency : float or (float, float)
        0 (waits) to 1 (crosses the spread), of orders for targets other than flat, and for flat
        ones. Stops and holding limits always have 1.
    interval_ns : int, optional
        Length of a bar; default: what ``bars.attrs`` says. Without it a bar after a gap begins
        where the one before ended.

    Returns
    -------
    BarResult

    Raises
    ------
    ConfigError, DataError, RunError
        If an argument, a price, a rate or a target cannot be used; names the row.

    Notes
    -----
    **Fills.** What is decided at the end of a row is filled in the next row that exists and has a
    price: at its ``mid_open``, or at its ``mid`` where there is no open. So after a gap the fill is
    that of the first row behind it. A target that is overtaken before it could be filled is not.

    **Sizes.** A change of target brings the position to target x `size_usd` at the price of the
    fill; in between its quantity stays. The notional is fixed, profits are not reinvested.

    **Stops** are checked from the entry on against ``mid_low`` and ``mid_high``, in the row of the
    entry too if that was at the open, and filled at the stop's price, or at the open where that was
    beyond it already. Bars without extremes are stopped at the first mid beyond. As for the
    executor, the distance is bps of the mid at the decision, counted from the average entry. For
    two legs it is a loss of the pair in bps of the first leg's entry, seen at opens and mids only.

    **Holding limits** count from the first fill of a position and close it at the first price at or
    after their end, an open or a mid. Where stop and limit meet in one row the worse case, the
    stop, counts, unless the limit ended by the open.

    **Kept out.** A position that was closed so stays closed until the target leaves its direction,
    as in `mrcore.executor`.

    **Funding** is paid by what was held before any fill of the settlement's own time; longs pay a
    positive rate. A fill at the open has the time of the bar's start, one at the mid that of its
    end, one at a stop counts just before the end.

    **Costs** of an order go by the state of the market in the bar at whose end it was decided; of a
    stop or limit, in the bar before. An order that waits is filled where any other is, as bars do
    not say whether it would have been: what that is worth, and costs, has `costs` to say.

    Without a price a position is marked at the last one.
    """
    entry, leave = urgency if isinstance(urgency, tuple) else (urgency, urgency)
    _check(bars, targets, capital, size_usd, (entry, leave))
    prices = prices_of(bars, second, interval_ns)
    asked = asked_for(targets, pd.Series(prices.mids[0], index=bars.index))
    fills = walk(prices, asked)
    scale = (capital if size_usd is None else size_usd) / capital
    rows = len(prices.end)
    followed = np.where(fills.share == 0.0, leave, entry)
    orders = np.where(fills.reason == TARGET, followed, 1.0)
    charges = (costs, second_costs or costs)[: len(prices.marks)]
    gross, traded, charged = np.zeros(rows), [], []
    for leg, (mark, asks) in enumerate(zip(prices.marks, charges, strict=True)):
        gross += _gross(fills, leg, mark, scale)
        traded.append(scale * np.abs(np.diff(fills.quantity[leg], prepend=0.0)) * fills.price[leg])
        charged.append(charge(asks, traded[-1], capital, fills.decided, orders))
    settled, paid = _settled(funding, prices, fills, scale)
    return BarResult(
        time=prices.end,
        fills=fills,
        marks=prices.marks,
        scale=scale,
        capital=capital,
        traded=tuple(traded),
        charged=tuple(charged),
        gross=gross,
        funding=paid,
        settled=settled,
    )


def _check(
    bars: pd.DataFrame,
    targets: pd.DataFrame,
    capital: float,
    size_usd: float | None,
    urgency: tuple[float, float],
) -> None:
    if len(bars) != len(targets) or not np.array_equal(to_ns(bars.index), to_ns(targets.index)):
        raise DataError(
            "targets and bars do not stand at the same times",
            value=f"{len(targets)} and {len(bars)} rows",
            remedy="compute the targets on features of these bars",
        )
    for name, value in (("capital", capital), ("size_usd", size_usd)):
        if value is not None and not (0.0 < value < np.inf):
            raise ConfigError("not a sum of money", key=name, value=value, expected="USD > 0")
    for one in urgency:
        if not 0.0 <= one <= 1.0:
            raise ConfigError("out of range", key="urgency", value=one, expected="0 to 1")


def _gross(fills: Fills, leg: int, mark: Floats, scale: float) -> Floats:
    """Profit of a leg before costs and funding, by row."""
    quantity = fills.quantity[leg]
    profit = np.diff(mark, prepend=mark[:1])
    if len(mark) and np.isnan(mark[0]):
        profit[np.isnan(profit)] = 0.0  # nothing is held before there is a price
    profit[1:] *= held_after(fills.row, quantity, len(mark))[:-1]
    # A fill changes what is held from its own price on, not from the row's beginning.
    late = np.diff(quantity, prepend=0.0) * (mark[fills.row] - fills.price[leg])
    np.add.at(profit, fills.row, late)
    return np.asarray(scale * profit)


def _settled(
    funding: pd.DataFrame | None, prices: Prices, fills: Fills, scale: float
) -> tuple[pd.DataFrame, Floats]:
    """Settlements that met a position, and what was paid by row, as shares of the capital."""
    rows = len(prices.end)
    if funding is None:
        return pd.DataFrame({"time": np.empty(0, np.int64), "paid": np.empty(0)}), np.zeros(rows)
    if missing := [name for name in ("time", "rate", "mark") if name not in funding]:
        raise DataError(f"funding without {', '.join(missing)}", expected="time, rate, mark")
    time = to_ns(funding["time"])
    before = np.searchsorted(fills.time, time, side="left")
    held = np.concatenate(([0.0], fills.quantity[0]))[before]
    row = np.searchsorted(prices.end, time, side="left")
    met = np.flatnonzero((held != 0.0) & (row < rows))
    rate = funding["rate"].to_numpy(np.float64)[met]
    if len(unknown := met[~np.isfinite(rate)]):
        raise DataError(
            "a settlement without a rate while a position is held",
            key="rate",
            row=int(unknown[0]),
            expected="a fraction of the notional",
            remedy="give the rate, or drop the settlement",
        )
    mark = funding["mark"].to_numpy(np.float64)[met]
    last = np.searchsorted(prices.end, time[met], side="right") - 1
    mark = np.where(np.isnan(mark), prices.marks[0][last], mark)
    # Held before any bar with a price had ended: what was paid for it is all that is known.
    mark = np.where(np.isnan(mark), fills.price[0][before[met] - 1], mark)
    paid = scale * held[met] * mark * rate
    return (
        pd.DataFrame({"time": time[met], "paid": paid}),
        by_row(row[met], paid, rows),
    )

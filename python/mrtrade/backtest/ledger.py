"""The account: round trips out of fills, and the check that its books balance."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.clock import to_ns
from mrtrade.errors import RunError
from mrtrade.instruments import LINEAR, Contract

TRADE_COLUMNS = (
    "entry_time",
    "exit_time",
    "side",
    "quantity",
    "entry_price",
    "exit_price",
    "gross",
    "fees",
    "funding",
    "pnl",
    "return_bps",
    "hold_s",
    "fills",
    "maker_share",
    "is_open",
)


def funding_paid(
    fills: pd.DataFrame, rates: pd.DataFrame, contract: Contract = LINEAR
) -> pd.DataFrame:
    """Payments of a perpetual's funding on the positions that some fills have left.

    Parameters
    ----------
    fills
        ``time`` and ``position`` (after the fill), in time order from a flat position.
    rates
        ``time`` of the settlement (exchange clock), ``rate`` (fraction of the notional) and
        ``mark`` (price), in time order.
    contract
        What a size unit is worth.

    Returns
    -------
    pandas.DataFrame
        ``time, rate, mark, position, paid``, a row for each settlement with a position: the one
        before any fill of the settlement's own time. ``paid`` is in the settlement currency; longs
        pay a positive rate, shorts receive it.
    """
    before = np.searchsorted(to_ns(fills["time"]), to_ns(rates["time"]), side="left")
    held = np.concatenate(([0.0], fills["position"].to_numpy(np.float64)))[before]
    notional = contract.notional(rates["mark"].to_numpy(np.float64))
    paid = held * notional * rates["rate"].to_numpy(np.float64)
    payments: pd.DataFrame = rates.assign(position=held, paid=paid)[held != 0.0]
    return payments.reset_index(drop=True)


def round_trips(
    fills: pd.DataFrame,
    last_mid: float,
    contract: Contract = LINEAR,
    funding: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row for each trip of the position from flat to flat, at average cost.

    A fill that turns the position closes one trip and opens the next; its fee is shared by
    quantity. A trip that is still open is marked at `last_mid`, so the rows' ``pnl`` always sums
    to the net profit of the fills and the funding.

    Parameters
    ----------
    fills
        In time order from a flat position: ``time, side, price, quantity, is_maker, fee, position``
        (after the fill).
    last_mid
        Price units.
    contract
        What a size unit is worth.
    funding
        As `funding_paid` returns it.

    Returns
    -------
    pandas.DataFrame
        ``side`` +1 long, -1 short; ``quantity`` entered in all (size units), prices are averages
        over it (of an inverse contract harmonic ones, which give its profit); ``gross``, ``fees``,
        ``funding`` and ``pnl`` in the settlement currency; ``return_bps`` of the entry notional;
        ``hold_s`` seconds from first to last fill; ``maker_share`` of the notional. The
        ``exit_time`` of an open trip is missing, its ``exit_price`` averages exits and the mark.
    """
    after = fills["position"].to_numpy(np.float64)
    before = np.concatenate(([0.0], after[:-1]))
    quantity = fills["quantity"].to_numpy(np.float64)
    rows = np.arange(len(fills))
    turns = before * after < 0.0
    # A turning fill becomes two legs: up to flat, then away from it.
    leg = np.sort(np.concatenate((rows, rows[turns])))
    second = np.concatenate(([False], leg[1:] == leg[:-1])) if len(leg) else np.empty(0, bool)
    first = np.concatenate((second[1:], [False])) if len(leg) else second
    leg_before = np.where(second, 0.0, before[leg])
    leg_after = np.where(first, 0.0, after[leg])
    size = np.where(first, np.abs(leg_before), np.where(second, np.abs(leg_after), quantity[leg]))
    share = size / quantity[leg]

    start = np.flatnonzero(leg_before == 0.0)
    if len(start) == 0:
        return pd.DataFrame({name: [] for name in TRADE_COLUMNS})
    time = fills["time"].array[leg]
    price = fills["price"].to_numpy(np.float64)[leg]
    side = np.sign(leg_after[start])
    entering = np.abs(leg_after) > np.abs(leg_before)
    last = np.concatenate((start[1:], [len(leg)])) - 1

    def total(x: np.ndarray) -> np.ndarray:
        return np.add.reduceat(x, start)

    notional = size * contract.notional(price)
    bought = total(np.where(entering, size, 0.0))
    sold = total(np.where(entering, 0.0, size))
    entry = contract.price(total(np.where(entering, notional, 0.0)) / bought)
    is_open = leg_after[last] != 0.0
    left = np.where(is_open, np.abs(leg_after[last]), 0.0)
    marked = left * contract.notional(last_mid) if is_open.any() else left
    exits = contract.price((total(np.where(entering, 0.0, notional)) + marked) / (sold + left))
    gross = side * contract.change(entry, exits) * bought
    fees = total(fills["fee"].to_numpy(np.float64)[leg] * share)
    held = np.zeros(len(start))
    if funding is not None:
        # A payment belongs to the trip that the last fill before it has left.
        before = np.searchsorted(to_ns(fills["time"]), to_ns(funding["time"]), side="left")
        last_leg = np.searchsorted(leg, before, side="left") - 1
        trip = np.searchsorted(start, last_leg, side="right") - 1
        np.add.at(held, trip, funding["paid"].to_numpy(np.float64))
    pnl = gross - fees - held
    maker = total(np.where(fills["is_maker"].to_numpy(bool)[leg], notional, 0.0))
    exit_time = time[last]
    trips = pd.DataFrame(
        {
            "entry_time": time[start],
            "exit_time": pd.Series(exit_time).where(~is_open),
            "side": side.astype(np.int8),
            "quantity": bought,
            "entry_price": entry,
            "exit_price": exits,
            "gross": gross,
            "fees": fees,
            "funding": held,
            "pnl": pnl,
            "return_bps": 1e4 * pnl / (bought * contract.notional(entry)),
            "hold_s": (exit_time - time[start]) / pd.Timedelta(seconds=1),
            "fills": (last - start + 1).astype(np.int64),
            "maker_share": maker / total(notional),
            "is_open": is_open,
        }
    )
    return trips


def check_books(
    fills: pd.DataFrame,
    equity: pd.DataFrame,
    capital: float,
    contract: Contract = LINEAR,
    funding: pd.DataFrame | None = None,
    rtol: float = 1e-9,
) -> None:
    """Raise unless money and position are conserved at every fill and every mark.

    The position after a fill must be the sum of the quantities so far; its cash the capital less
    what was paid, the fees and the funding; each row of `equity` must carry the cash and position
    of the fills and payments before it (at the same time, marks come first) and the equity they
    make at its mid.

    Parameters
    ----------
    fills, equity
        As in `Result`.
    capital
        Cash at the start, settlement currency.
    contract
        What a size unit is worth.
    funding
        As `funding_paid` returns it.
    rtol
        Largest difference allowed, as a share of capital plus turnover so far (cash is a sum of
        notionals: that is the scale its rounding grows with).

    Raises
    ------
    RunError
        Names the first fill or mark that does not balance.
    """
    side = fills["side"].to_numpy(np.float64)
    quantity = fills["quantity"].to_numpy(np.float64)
    price = fills["price"].to_numpy(np.float64)
    fee = fills["fee"].to_numpy(np.float64)
    time, marks = to_ns(fills["time"]), to_ns(equity.index)
    volume = np.cumsum(quantity)
    position = fills["position"].to_numpy(np.float64)
    cash = fills["cash"].to_numpy(np.float64)
    _first_difference("position", "fill", position, np.cumsum(side * quantity), rtol * volume)
    paid = np.cumsum(side * quantity * contract.value(price) + fee)
    turnover = np.cumsum(quantity * contract.notional(price))
    expected = capital - paid - _paid_before(funding, time)
    _first_difference("cash", "fill", cash, expected, rtol * (capital + turnover))

    at = np.searchsorted(time, marks, side="left")
    held = np.concatenate(([0.0], position))[at]
    owned = capital - np.concatenate(([0.0], paid))[at] - _paid_before(funding, marks)
    scale = rtol * (capital + np.concatenate(([0.0], turnover))[at])
    _first_difference("position", "mark", equity["position"].to_numpy(), held, rtol * np.abs(held))
    _first_difference("cash", "mark", equity["cash"].to_numpy(), owned, scale)
    value = position_value(held, equity["mid"].to_numpy(np.float64), contract)
    _first_difference("equity", "mark", equity["equity"].to_numpy(), owned + value, scale)


def position_value(position: Any, mid: Any, contract: Contract) -> Any:
    """Worth of positions, settlement currency; a flat one is worth nothing, whatever the mid."""
    # A mid is missing only while nothing is held (the engine carries the last one forward).
    return np.where(position == 0.0, 0.0, position * contract.value(mid))


def _paid_before(
    funding: pd.DataFrame | None, time: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Funding paid before each time."""
    if funding is None:
        return np.zeros(len(time))
    total = np.concatenate(([0.0], np.cumsum(funding["paid"].to_numpy(np.float64))))
    return np.asarray(total[np.searchsorted(to_ns(funding["time"]), time, side="left")])


def _first_difference(
    what: str, where: str, got: np.ndarray, expected: np.ndarray, tolerance: np.ndarray
) -> None:
    wrong = np.flatnonzero(~(np.abs(got - expected) <= tolerance))
    if len(wrong):
        i = int(wrong[0])
        raise RunError(
            f"the books do not balance: {what} at {where} {i}",
            value=float(got[i]),
            expected=repr(float(expected[i])),
            remedy="this is a fault of mrtrade; please report it with the run's configuration",
        )

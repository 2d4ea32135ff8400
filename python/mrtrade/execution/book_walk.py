"""What market orders would have paid: the recorded book, walked at many times and sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mrcore.book import L2Book
from mrtrade.errors import DataError
from mrtrade.instruments import BPS_PER_ONE, Contract

if TYPE_CHECKING:
    from mrtrade.data.tape import Tape

Floats = npt.NDArray[np.float64]

DEEPEST = 1_000
"""Levels a side that are walked at most: what snapshots of exchanges hold."""


@dataclass(frozen=True)
class BookWalks:
    """The book as market orders of some sizes meet it.

    Attributes
    ----------
    time : ndarray of int64, shape (n,)
        When, exchange's clock, ns.
    spread_bps : ndarray of float64, shape (n,)
        Quoted.
    sizes : ndarray of float64, shape (m,)
        Notionals, quote units.
    slippage_bps : ndarray of float64, shape (n, 2, m)
        Mean price of a buy (0) and a sell (1) against the mid, less half the spread; >= 0. NaN
        where the book that is known is not deep enough.
    """

    time: npt.NDArray[np.int64]
    spread_bps: Floats
    sizes: Floats
    slippage_bps: Floats


def walk_book(tape: Tape, sizes: npt.ArrayLike, n_times: int = 500) -> BookWalks:
    """Walk the book of a tape at times that lie equally far apart.

    Parameters
    ----------
    tape : Tape
    sizes : array-like
        Notionals, quote units, > 0.
    n_times : int
        Of which those without both sides of the book are left out.

    Returns
    -------
    BookWalks

    Raises
    ------
    DataError
        If the book never has both sides.
    """
    amounts = np.asarray(sizes, np.float64)
    terms, deltas = tape.instrument, tape.deltas
    book = L2Book(terms.tick_size, terms.lot_size)
    kept, spreads, rows = [], [], []
    start = 0
    for k in range(1, n_times + 1):
        now = tape.start_ns + (tape.end_ns - tape.start_ns) * k // n_times
        stop = int(np.searchsorted(deltas.time, now, side="right"))
        part = slice(start, stop)
        book.apply(deltas.side[part], deltas.tick[part], deltas.lots[part], deltas.time[part])
        start = stop
        bid, ask = book.best_bid, book.best_ask
        if not bid < ask:  # a side is empty: NaN
            continue
        mid = 0.5 * (bid + ask)
        sides = book.levels(DEEPEST)
        kept.append(now)
        spreads.append((ask - bid) / mid * BPS_PER_ONE)
        rows.append([_slippage(levels, mid, amounts, terms.contract) for levels in sides[::-1]])
    if not kept:
        raise DataError("the book never has both sides", remedy="choose another span")
    return BookWalks(np.array(kept), np.array(spreads), amounts, np.array(rows))


def _slippage(levels: Floats, mid: float, amounts: Floats, contract: Contract) -> Floats:
    """Mean price of orders that take these levels (price, size) beyond the best, bps of the mid."""
    levels = levels[np.isfinite(levels[:, 0]) & (levels[:, 1] > 0.0)]
    price, size = levels.T
    units = amounts / (contract.multiplier * (1.0 if contract.inverse else mid))
    away = np.abs(price - price[0])
    depth, paid = np.cumsum(size), np.cumsum(size * away)
    at = np.searchsorted(depth, units)  # the level that fills the order
    deep = at < len(depth)
    at = np.minimum(at, len(depth) - 1)
    before = np.where(at > 0, depth[at - 1], 0.0)
    total = np.where(at > 0, paid[at - 1], 0.0) + (units - before) * away[at]
    return np.where(deep, total / units / mid * BPS_PER_ONE, np.nan)

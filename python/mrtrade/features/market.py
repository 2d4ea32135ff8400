"""From a store to bars with all that was known at their ends: the one door to features.

Book and trades are replayed as a backtest replays them, so that both see the same bars; what else
the store holds of the instrument (funding, open interest, liquidations), and a second asset where
one is asked for, is joined by receipt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrcore.book import L2Book
from mrtrade.clock import NS_PER_DAY, Scalar, duration_ns, from_ns, to_ns
from mrtrade.data.frames import frame_of_events
from mrtrade.data.streams import LocalEvents, is_time
from mrtrade.data.tape import find_instrument, load_tape
from mrtrade.features.bars import BarKind, build_bars
from mrtrade.features.joins import with_perpetual, with_second_asset
from mrtrade.instruments import user_symbol, venue

if TYPE_CHECKING:
    from mrtrade.data.store import Store
    from mrtrade.data.tape import Tape

Ints = npt.NDArray[np.int64]
Steps = tuple[float, float] | None

TOUCH_ROWS = 1_000_000
"""Rows of the book that are applied at a time."""

BEFORE_NS = 2 * NS_PER_DAY
"""Rows of the perpetual are read from so long before: two settlements are in it."""


def tick_mids(
    tape: Tape, feed_latency_ns: int = 0, *, clock_of: Tape | None = None
) -> pd.Series[Any]:
    """Return the mid after each message of the book.

    Parameters
    ----------
    tape : Tape
    feed_latency_ns : int
        Delay of the data; where the tape has local times, the least.
    clock_of : Tape, optional
        Give local times on the clock of this tape, recorded by the same collector. Each tape alone
        corrects that collector's clock by its own fastest message: a few milliseconds apart, which
        would be taken for a lead, and for knowledge of what had not been received.

    Returns
    -------
    Series
        Float64 (quote; NaN while a side is empty), by the time at which it was known, UTC: a mid
        that stands is as young as the last message. Of one time the last counts.
    """
    deltas, tick_size = tape.deltas, tape.instrument.tick_size
    book = L2Book(tick_size, tape.instrument.lot_size)
    known = deltas.time + feed_latency_ns
    if isinstance(deltas, LocalEvents):
        shift = _shift(clock_of or tape) - _shift(tape)
        known = np.maximum(deltas.local + shift, known)
    times: list[Ints] = []
    mids: list[npt.NDArray[np.float64]] = []
    start, end = 0, len(deltas.time)
    while start < end:
        stop = min(start + TOUCH_ROWS, end)
        if stop < end:  # a message is not cut in two
            stop = int(np.searchsorted(deltas.time, deltas.time[stop - 1], side="right"))
        part = slice(start, stop)
        bid, bid_lots, ask, ask_lots = book.touch(
            deltas.side[part], deltas.tick[part], deltas.lots[part], deltas.time[part]
        )
        last = np.flatnonzero(np.diff(deltas.time[part], append=np.iinfo(np.int64).max))
        there = (bid_lots[last] > 0) & (ask_lots[last] > 0)
        mid = 0.5 * (bid[last].astype(np.int64) + ask[last]) * tick_size  # as bars have it
        times.append(known[part][last])
        mids.append(np.where(there, mid, np.nan))
        start = stop
    time, mid = np.concatenate([np.empty(0, np.int64), *times]), np.concatenate([[], *mids])
    return pd.Series(mid, from_ns(time).rename("time"), name="mid")


def load_bars(
    store: Store,
    exchange: str,
    symbol: str,
    interval: str | float,
    start: Scalar | None = None,
    end: Scalar | None = None,
    *,
    kind: BarKind = "time",
    other: str | None = None,
    feed: Literal["recorded", "constant"] = "recorded",
    feed_latency_ns: int = 1,
    steps: Steps = None,
    other_steps: Steps = None,
    **options: Any,
) -> pd.DataFrame:
    """Load bars with everything that the store knows of an instrument.

    Parameters
    ----------
    store : Store
    exchange, symbol : str
        In any spelling that `mrtrade.instruments` reads.
    interval : str or float
        Length of a bar, such as ``1s``; ns. With another `kind` trades, base units or quote units.
    start, end : time, optional
        Default: all that is stored.
    kind : {"time", "tick", "volume", "dollar"}
        What a bar is full of.
    other : str, optional
        A second asset on the same exchange, such as ``BTC/USDT-PERP``, of which the store holds a
        book.
    feed : str
        When things were known: as ``recorded``, or a ``constant`` time after they happened.
    feed_latency_ns : int
        That time; recorded: the smallest delay, after a correction of the collector's clock (see
        `mrtrade.data.tape`).
    steps, other_steps : (float, float), optional
        Tick and lot size of an instrument that ``config/exchanges.yaml`` does not know.
    **options
        For `mrtrade.features.bars.build_bars`.

    Returns
    -------
    DataFrame
        The bars of `mrtrade.features.bars.build_bars` with the columns of
        `mrtrade.features.joins`: those of a second asset if one is asked for, those of a perpetual
        for which the store has a table.

    Raises
    ------
    StoreError
        If the store has no book of the instrument, or of the second asset, in the span.
    """

    def load(name: str, steps: Steps) -> Tape:
        given: dict[str, Any] = {}
        if steps is not None:
            given["tick_size"], given["lot_size"] = steps
        place = (venue(exchange, name), user_symbol(name))
        # Fees do not matter here, so that none have to be known.
        instrument = find_instrument(store, *place, maker_fee=0.0, taker_fee=0.0, **given)
        base = max(feed_latency_ns, 1) if feed == "recorded" else None
        return load_tape(store, instrument, start, end, base_latency_ns=base)

    tape = load(symbol, steps)
    size = (
        duration_ns(interval if isinstance(interval, str) else int(interval))
        if kind == "time"
        else float(interval)
    )
    frame = build_bars(tape, size, feed_latency_ns, kind=kind, **options)
    if other is not None:
        own = tick_mids(tape, feed_latency_ns)
        second = tick_mids(load(other, other_steps), feed_latency_ns, clock_of=tape)
        frame = with_second_asset(frame, second, own=own)
    return join_perpetual(frame, store, tape, feed_latency_ns)


def join_perpetual(
    bars: pd.DataFrame, store: Store, tape: Tape, feed_latency_ns: int = 1
) -> pd.DataFrame:
    """Add to the bars of a tape what the store knows of the perpetual.

    What was received is put on the clock of the tape: later by what its local times are later, and
    not earlier than `feed_latency_ns` after it happened.
    """
    instrument = tape.instrument
    if not instrument.is_perpetual or not len(bars):
        return bars
    first, last = (int(time) for time in to_ns(bars.index[[0, -1]]))

    def known(table: str) -> pd.DataFrame | None:
        if not store.days(table, instrument.exchange, instrument.symbol):
            return None
        rows = store.read(
            table, instrument.exchange, instrument.symbol, first - BEFORE_NS, last + 1
        )
        return _put_on_clock(frame_of_events(rows), _shift(tape), feed_latency_ns)

    return with_perpetual(
        bars,
        funding=known("funding"),
        open_interest=known("open_interest"),
        liquidations=known("liquidations"),
    )


def _shift(tape: Tape) -> int:
    """By how much local times are later than receipts (see `mrtrade.data.tape`)."""
    return tape.stats.get("local_shift_ns", 0)


def _put_on_clock(rows: pd.DataFrame, shift_ns: int, latency_ns: int) -> pd.DataFrame:
    received = to_ns(rows.index)
    happened = rows["origin_time"].fillna(from_ns(0))
    origin = to_ns(happened)
    earliest = np.where(is_time(origin, received), origin + latency_ns, 0)
    known = np.maximum(received + shift_ns, earliest)
    return rows.set_axis(from_ns(known).rename("time"))

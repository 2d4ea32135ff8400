"""The book at given times, as it was known then: rebuilt from the deltas by `mrcore`.

What a row shows is what had been **received** by its time, and no more: the book that snapshots and
deltas have made by the rules of `mrtrade.data.tape`, with one difference. A tape waits for the next
snapshot where one is to come; whether one is to come is not known at the time. So here the book
begins cold with the first delta, and after each gap, and `seeded` says whether a snapshot stands
behind it: a cold book knows only the levels that have changed since.

After a pause of the recording of more than ten minutes the book is not believed: levels are NaN
from ten minutes into the pause on, until something is received again.
"""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from mrcore.book import L2Book
from mrtrade.clock import NS_PER_DAY, to_ns, utc_day
from mrtrade.data.schemas import TABLES
from mrtrade.data.snapshots import LATE_SNAPSHOT_NS, Snapshots, chunks_of
from mrtrade.data.store import Entry, Source, Store
from mrtrade.data.streams import (
    MAX_GAP_NS,
    NOTHING,
    BookStream,
    Ints,
    Rows,
    Snapshot,
    Timed,
    to_rows,
)
from mrtrade.instruments import Instrument

Columns = dict[str, npt.NDArray[Any]]

_SCHEMA = TABLES["book_snapshots"].schema


def level_names(depth: int) -> list[str]:
    """Return the names of the columns of levels: bids, then asks, the best first."""
    return [
        f"{side}_{level}_{what}"
        for side in ("bid", "ask")
        for level in range(depth)
        for what in ("price", "size")
    ]


def from_steps(counts: npt.NDArray[np.float64], step: float) -> npt.NDArray[np.float64]:
    """Return whole numbers of a step as the decimals that they stand for.

    A division by 100 gives the float nearest to 123.45, a product with 0.01 not always.
    """
    per_one = round(1.0 / step)
    if per_one and abs(per_one * step - 1.0) < 1e-12:
        return counts / per_one
    return counts * step


class BookSampler:
    """One pass over the book of an instrument, asked for at times that do not fall.

    Parameters
    ----------
    store : Store
    instrument : Instrument
        Gives the steps of price and size.
    low, high : int
        Events of ``low <= received_time < high`` count; before them the last snapshot of
        `book_seed` and the deltas since, where they come to `low` without a gap.
    depth : int
        Levels a side.
    """

    def __init__(
        self, store: Store, instrument: Instrument, low: int, high: int, depth: int
    ) -> None:
        self._instrument = instrument
        self._depth = depth
        self._book = L2Book(1.0, 1.0)  # in ticks and lots
        self._events = _Events(store, instrument, low, high)
        self._items = iter(self._events)
        self._item, self._done = NOTHING, 0
        self._ended = False
        self._seeded = False
        self._time = self._received = 0  # of the last event

    def at(self, times: Ints) -> Columns:
        """Return the book at the next times.

        Returns
        -------
        dict of array
            ``origin_time``, ``received_time`` (ns, of the last event known; 0: none yet),
            ``sequence_number`` (of the last message known, -1: none), ``seeded``, and the levels as
            `level_names` names them: quote units and base units (inverse: contracts), NaN where the
            book has none.
        """
        n = len(times)
        levels = np.full((n, 4 * self._depth), np.nan)
        facts = np.zeros((n, 3), np.int64)
        seeded = np.zeros(n, np.bool_)
        at = 0
        while at < n:
            # Times before the last event of the item; for later ones more may be known.
            cuts = np.searchsorted(self._item.received, times[at:], side="right")
            inside = n - at if self._ended else int(np.searchsorted(cuts, len(self._item)))
            for row, cut in enumerate(cuts[:inside].tolist(), start=at):
                self._apply(cut)
                if self._ended and times[row] >= self._events.last_received + MAX_GAP_NS:
                    self._book, self._seeded = L2Book(1.0, 1.0), False
                self._write(levels[row])
                sequence = self._events.sequence(int(times[row]))
                facts[row] = self._time, self._received, sequence
                seeded[row] = self._seeded
            at += inside
            if at < n:
                self._apply(len(self._item))
                following = next(self._items, None)
                self._ended = following is None
                self._item, self._done = NOTHING if following is None else following, 0
        prices, sizes = levels[:, 0::2], levels[:, 1::2]
        levels[:, 0::2] = from_steps(prices, self._instrument.tick_size)
        levels[:, 1::2] = from_steps(sizes, self._instrument.lot_size)
        named = zip(level_names(self._depth), levels.T, strict=True)
        return {
            "origin_time": facts[:, 0],
            "received_time": facts[:, 1],
            "sequence_number": facts[:, 2],
            "seeded": seeded,
            **dict(named),
        }

    def _apply(self, cut: int) -> None:
        item, done = self._item, self._done
        if cut <= done:
            return
        gap = False
        if done == 0 and item.side[0] == 0:  # a snapshot, or a gap: a clear and nothing else
            gap = len(item) == 1
            self._seeded = not gap
        part = slice(done, cut)
        # One receive time is one message: no time of a row lies within it.
        self._book.apply(item.side[part], item.tick[part], item.lots[part], item.received[part])
        if not gap:
            self._time, self._received = int(item.time[cut - 1]), int(item.received[cut - 1])
        self._done = cut

    def _write(self, row: npt.NDArray[np.float64]) -> None:
        bids, asks = self._book.levels(self._depth)
        row[: 2 * len(bids)] = bids.ravel()
        first = 2 * self._depth
        row[first : first + 2 * len(asks)] = asks.ravel()


class _Events:
    """The events of the book, and the number of the last message known at a time."""

    def __init__(self, store: Store, instrument: Instrument, low: int, high: int) -> None:
        self._store, self._instrument = store, instrument
        self._where = (instrument.exchange, instrument.symbol)
        self._snapshots = Snapshots(store, instrument, low, high)
        # What a snapshot soon after `low` may lack, whether there is one or not: that is not known.
        first = self._snapshots.first
        self._low = min(low - LATE_SNAPSHOT_NS, low if first is None else first)
        self._high = high
        self._received = self._sequence = np.empty(0, np.int64)  # of the batch at hand
        self._before = (0, -1)  # receive time and number of the last row before it
        self._seen: deque[Snapshot] = deque()
        self._book = BookStream(self._noted(), None, wait=False)

    @property
    def last_received(self) -> int:
        return self._book.last_received

    def __iter__(self) -> Iterator[Timed]:
        span = (self._low, self._high)
        for chunk in chunks_of(self._store, "book_delta_v2", self._where, *span):
            rows = to_rows(chunk, self._instrument, self._book.counts)
            rows = self._snapshots.without(rows)
            if len(rows):
                self._note(rows)
                yield from self._book.feed(rows)
        yield from self._book.finish()

    def sequence(self, time: int) -> int:
        """Return the last update id that the book holds at a time."""
        cut = int(np.searchsorted(self._received, time, side="right"))
        when, number = self._before
        if cut:
            when, number = int(self._received[cut - 1]), int(self._sequence[cut - 1])
        while len(self._seen) > 1 and self._seen[1].received <= time:
            self._seen.popleft()
        if not self._seen or self._seen[0].received > time:
            return number
        snapshot = self._seen[0]
        newest = int(snapshot.late.sequence[-1]) if len(snapshot.late) else snapshot.sequence
        # Deltas received after a snapshot that holds them already are dropped.
        return max(number, newest) if when >= snapshot.received else newest

    def _note(self, rows: Rows) -> None:
        if len(self._sequence):
            self._before = (int(self._received[-1]), int(self._sequence[-1]))
        self._received, self._sequence = rows.received, rows.sequence

    def _noted(self) -> Iterator[Snapshot]:
        for snapshot in self._snapshots:
            self._seen.append(snapshot)
            yield snapshot


def write_snapshots(
    store: Store, where: tuple[str, str], frames: Iterable[pd.DataFrame]
) -> list[Entry]:
    """Write frames of the book into ``book_snapshots``, each UTC day in place of what it held.

    Parameters
    ----------
    store : Store
    where : tuple of str
        Exchange and symbol.
    frames : iterable of DataFrame
        As the loader makes them, `BOOK_DEPTH` levels deep, times rising. Rows of a book that is
        empty, or did not begin with a snapshot, are left out.

    Returns
    -------
    list of Entry
        The days written; one that holds the same rows already is not written again.
    """
    written: list[Entry] = []
    waiting = _SCHEMA.empty_table()
    for frame in frames:
        rows = pa.concat_tables([waiting, _rows(frame)])
        days = rows["received_time"].to_numpy() // NS_PER_DAY
        firsts = np.flatnonzero(np.diff(days, prepend=-1)).tolist()
        for a, b in pairwise(firsts):
            written += _write_day(store, where, rows.slice(a, b - a))
        waiting = rows.slice(firsts[-1]) if firsts else rows  # its day may go on
    return written + _write_day(store, where, waiting)


def _rows(frame: pd.DataFrame) -> pa.Table:
    held = frame["bid_0_price"].notna() | frame["ask_0_price"].notna()
    kept = frame[frame["seeded"] & held]
    columns = {name: kept[name].to_numpy() for name in _SCHEMA.names if name in kept}
    columns["origin_time"] = to_ns(kept["origin_time"])
    columns["received_time"] = to_ns(kept.index)
    return pa.table(columns).select(_SCHEMA.names).cast(_SCHEMA)


def _write_day(store: Store, where: tuple[str, str], rows: pa.Table) -> list[Entry]:
    if not len(rows):
        return []
    digest = hashlib.sha256()
    for column in rows.columns:
        digest.update(column.to_numpy())
    day = utc_day(rows["received_time"][0].as_py())
    source = Source("book_delta_v2", rows.nbytes, digest.hexdigest(), (day,))
    low = to_ns(day)
    with store.writing([("book_snapshots", *where)]):
        for entry in store.entries("book_snapshots", *where, low, low + NS_PER_DAY):
            if entry.sources == (source,):
                return []
        streams = [(source, iter([rows]))]
        return [store.write_day("book_snapshots", *where, day, streams, keep=False)]

"""From the store to the tape: the columns of integers that `mrcore.replay` eats.

How the tape is made from what was recorded:

- **Order** is that of `received_time`, as stored; rows are never sorted by the exchange's clock.
- **Time** is `origin_time`, made non-decreasing by a running maximum (rows that it moved are
  counted). Where the exchange gave no time, `received_time` plus the last offset seen between the
  two clocks (0 before one is seen) stands in: nothing later is used. No order is assumed between
  the two clocks: collectors run ahead of the exchange and behind it. But one corrupt time far ahead
  would hold the clock until all the others have come up to it. So a time more than ten seconds
  after its receipt (`MAX_AHEAD_NS`; recordings show up to 1.5 s, and steadily) counts as not given
  (`times_ahead`). The bound is not one on the change of the offset: after a single time far behind,
  no other would be believed again.
- **Snapshots.** The rows of one `book_seed` become a clear of the book and its levels, placed by
  their `received_time`. A snapshot asked for over another channel arrives late: messages that it
  lacks may have been received *before* it. So the unbroken run of deltas received up to a minute
  before it, with a `sequence_number` above its own, is applied after it; and deltas received after
  it are dropped up to the first with a number above its own. A stream without sequence numbers
  (-1) goes by `received_time` alone.
- Some collectors write a snapshot **into the stream** of deltas, as rows without an exchange time.
  So rows of one `received_time` and `sequence_number` without `origin_time`, which hold both sides,
  uncrossed, and delete nothing, are a snapshot like any other (counted) - but not where no row of
  the span has an exchange time: that feed has none. Other rows without one are plain deltas.
- **Gaps.** After a pause of more than ten minutes (`MAX_GAP_NS`, by `received_time`, snapshots and
  deltas together) the book is no longer believed: it is cleared ten minutes into the pause, when
  that is known, or with the next row should its exchange time be earlier; deltas up to the next
  snapshot are dropped and counted, and where none follows the book begins anew, cold. In between
  there is no best bid or ask: features of the book are NaN, and the executor sends no order. A
  pause of more than a day (`MAX_HOLE_NS`) is not an outage but two recordings: an error that names
  the spans to choose from.
- The tape **begins** with the first snapshot; deltas and trades before it are dropped and counted.
  With a `start`, the book that the last `book_seed` before it and the deltas since have made is
  carried to `start`, if they came without a gap up to the first delta from `start` on; else the
  tape begins with the first snapshot from `start` on. Without any it begins cold, and `seeded` is
  False.
- The tape **ends** with the last delta; trades later than it are dropped and counted.
- **Local time** (on demand) is `received_time` of each event, by one clock: what a snapshot lacked
  becomes known with it, a gap ten minutes after the last row. A collector's clock that is behind
  the exchange's makes negative delays; then all local times of the span, deltas' and trades', are
  later by one constant, such that the smallest delay is the `base_latency_ns` given (the rule of
  hftbacktest's `correct_local_timestamp`). No event is known earlier than that latency after its
  own time, and within a stream local times never fall.
- Deltas whose price does not fit 32-bit ticks are left out and counted: real books hold orders at a
  hundred million dollars a coin, two thousand times the touch.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mrtrade.clock import NS_PER_SECOND, Scalar, from_ns, to_ns
from mrtrade.data.snapshots import Snapshots, chunks_of
from mrtrade.data.store import Entry, Store
from mrtrade.data.streams import (
    NOTHING,
    BookStream,
    Events,
    LocalClock,
    LocalEvents,
    Timed,
    TradeStream,
    is_time,
    to_rows,
)
from mrtrade.errors import ConfigError, StoreError
from mrtrade.instruments import Instrument, from_lake, instrument

MAX_HOLE_NS = 86_400 * NS_PER_SECOND
"""Longest pause that one tape may span."""

_TRADES = ("origin_time", "received_time", "side", "quantity", "price")


@dataclass(frozen=True)
class Tape:
    """What was recorded of one instrument, ready for replay.

    Parameters
    ----------
    instrument : Instrument
    deltas, trades : Events, or LocalEvents where local times were asked for
        Read-only.
    start_ns, end_ns : int
        Times of the first book and of the last event, the exchange's clock.
    seeded : bool
        Whether the book began with a snapshot. A cold book knows only the levels that changed.
    stats : dict
        Counts of what was read, dropped and moved.
    fingerprint : str
        sha256 of the manifest of all that was read, the span, and the instrument's steps.
    """

    instrument: Instrument
    deltas: Events | LocalEvents
    trades: Events | LocalEvents
    start_ns: int
    end_ns: int
    seeded: bool
    stats: dict[str, int]
    fingerprint: str


class TapeChunk(NamedTuple):
    """The next events of a tape: ``replay.feed(deltas, trades)``, ``replay.advance(until_ns)``.

    Parameters
    ----------
    deltas, trades : Events, or LocalEvents where local times were asked for
    until_ns : int
        No event to come is this early, by the exchange's clock; these are not later.
    """

    deltas: Events | LocalEvents
    trades: Events | LocalEvents
    until_ns: int


class TapeStream:
    """A tape in chunks, in memory that does not grow with the span.

    Each iteration is a new pass over the store. The chunks one after the other are the tape of
    `load_tape`, bit for bit.

    Parameters
    ----------
    store : Store
    instrument : Instrument
    start, end : time, optional
        ``start <= received_time < end``; anything that `mrtrade.clock.to_ns` reads.
    base_latency_ns : int, optional
        Give local times too: the smallest delay, after a correction of the collector's clock; > 0.

    Attributes
    ----------
    fingerprint : str
        As in `Tape`.
    seeded : bool
        As in `Tape`; set when a pass has begun.
    stats : dict
        As in `Tape`; set when a pass has ended.

    Raises
    ------
    StoreError
        If the store has no deltas of the instrument in the span, or a pause of more than a day
        between them, or is written to meanwhile.
    DataError
        If a price or a size is not on the instrument's grid.
    """

    def __init__(
        self,
        store: Store,
        instrument: Instrument,
        start: Scalar | None = None,
        end: Scalar | None = None,
        *,
        base_latency_ns: int | None = None,
    ) -> None:
        self.instrument = instrument
        self.seeded = False
        self.stats: dict[str, int] = {}
        self._store = store
        self._where = (instrument.exchange, instrument.symbol)
        self._low = None if start is None else to_ns(start)
        self._high = None if end is None else to_ns(end)
        self._snapshots = Snapshots(store, instrument, self._low, self._high)
        self._span = (self._snapshots.first, self._high)
        self._entries = _entries(store, self._where, *self._span)
        _refuse_holes(self._entries)
        self.fingerprint = _fingerprint(self._entries, instrument, self._low, self._high)
        self._clocks: tuple[int, int] | None = None
        if base_latency_ns is not None:
            if base_latency_ns < 1:
                raise ValueError(f"base_latency_ns must be > 0, was {base_latency_ns}")
            self._clocks = (self._clock_shift(base_latency_ns), base_latency_ns)

    def __iter__(self) -> Iterator[TapeChunk]:
        book = BookStream(self._snapshots, self._low)
        self.seeded = book.seeded
        waiting, trades, out = NOTHING, None, _Output(self._clocks)
        for chunk in chunks_of(self._store, "book_delta_v2", self._where, *self._span):
            rows = self._snapshots.without(to_rows(chunk, self.instrument, book.counts))
            waiting = Timed.joined([waiting, *book.feed(rows)])
            if not len(waiting):
                continue
            trades = trades or self._trades(waiting)
            trades.read_to(int(waiting.time[-1]), book.last_received)
            # What is still to come may be at the time of what came last.
            until = min(int(waiting.time[-1]), trades.open_from(book.last_received)) - 1
            ready, waiting = waiting.split(until)
            yield from out.chunk(ready, trades.take(until), until)
        waiting = Timed.joined([waiting, *book.finish()])
        trades = trades or self._trades(waiting)
        while True:
            trades.drop(book.last_received)
            until = trades.open_from(book.last_received) - 1
            ready, waiting = waiting.split(until)
            yield from out.chunk(ready, trades.take(until), until)
            if trades.ended:
                break
            trades.read()
        if _entries(self._store, self._where, *self._span) != self._entries:
            raise StoreError("the store was written to while it was read", remedy="run it again")
        self.stats = {
            **out.counts,
            "snapshots_in_stream": self._snapshots.in_stream,
            **({} if self._clocks is None else {"local_shift_ns": self._clocks[0]}),
            **book.counts,
            **{f"delta_{name}": count for name, count in book.clock.counts.items()},
            **trades.counts,
            **{f"trade_{name}": count for name, count in trades.clock.counts.items()},
        }

    def rows(self, table: str) -> int:
        """Return how many rows the partitions of a table hold."""
        return sum(entry.rows for entry in self._entries if entry.table == table)

    def _trades(self, deltas: Timed) -> TradeStream:
        if not len(deltas):
            raise StoreError(
                f"no book of {self._where[0]} {self._where[1]} from {_text(self._low)} to "
                f"{_text(self._high)}",
                expected=f"a span within {_extent(self._store, self._where)}",
                remedy="choose another start and end, or ingest those days",
            )
        chunks = chunks_of(self._store, "trades", self._where, self._low, self._high, _TRADES)
        return TradeStream(chunks, self.instrument, int(deltas.time[0]))

    def _clock_shift(self, base_latency_ns: int) -> int:
        """Return by how much the collector's clock is put forward."""
        smallest = 0
        for table in ("book_delta_v2", "trades"):
            span = (self._low, self._high, ("origin_time", "received_time"))
            for chunk in chunks_of(self._store, table, self._where, *span):
                origin = chunk.rows["origin_time"].to_numpy()
                received = chunk.rows["received_time"].to_numpy()
                delays = (received - origin)[is_time(origin, received)]
                smallest = min(smallest, int(delays.min(initial=0)))
        return base_latency_ns - smallest if smallest < 0 else 0


class _Output:
    """Makes chunks of events, and counts them."""

    def __init__(self, clocks: tuple[int, int] | None) -> None:
        self._clocks = clocks and (LocalClock(*clocks), LocalClock(*clocks))
        self._last: int | None = None
        self.counts = {"deltas": 0, "trades": 0, "longest_pause_ns": 0}

    def chunk(self, deltas: Timed, trades: Timed, until: int) -> Iterator[TapeChunk]:
        """Yield the next chunk; none where there are no events."""
        if not (len(deltas) or len(trades)):
            return
        if len(deltas):
            first, last = int(deltas.time[0]), int(deltas.time[-1])
            within = int((deltas.time[1:] - deltas.time[:-1]).max(initial=0))
            longest = max(self.counts["longest_pause_ns"], within)
            self.counts["longest_pause_ns"] = max(longest, first - (self._last or first))
            self._last = last
        self.counts["deltas"] += len(deltas)
        self.counts["trades"] += len(trades)
        until = min(until, int(max(stream.time[-1] for stream in (deltas, trades) if len(stream))))
        if self._clocks is None:
            yield TapeChunk(deltas.events(), trades.events(), until)
        else:
            book, flow = self._clocks
            yield TapeChunk(book.events(deltas), flow.events(trades), until)


def load_tape(
    store: Store,
    instrument: Instrument,
    start: Scalar | None = None,
    end: Scalar | None = None,
    *,
    base_latency_ns: int | None = None,
) -> Tape:
    """Load the book and the trades of one instrument, in 21 bytes an event plus a constant.

    Parameters are those of `TapeStream`, as are the exceptions; local times take 8 bytes more.

    Returns
    -------
    Tape
    """
    stream = TapeStream(store, instrument, start, end, base_latency_ns=base_latency_ns)
    # And one more to clear the book for each snapshot and gap; more room is made where that falls
    # short.
    deltas = _Columns(stream.rows("book_delta_v2") + stream.rows("book_seed") + 1_024)
    trades = _Columns(stream.rows("trades"))
    for chunk in stream:
        deltas.add(chunk.deltas)
        trades.add(chunk.trades)
    book, flow = deltas.done(), trades.done()
    return Tape(
        instrument=instrument,
        deltas=book,
        trades=flow,
        start_ns=int(book.time[0]),
        end_ns=int(max(book.time[-1], flow.time[-1] if len(flow.time) else 0)),
        seeded=stream.seeded,
        stats=stream.stats,
        fingerprint=stream.fingerprint,
    )


class _Columns:
    """Columns of a tape, filled in place."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._columns: list[npt.NDArray[Any]] = []
        self._made: type[Events | LocalEvents] = Events
        self._filled = 0

    def add(self, events: Events | LocalEvents) -> None:
        if not self._columns:
            self._made = type(events)
            self._columns = [np.empty(self._room, column.dtype) for column in events]
        end = self._filled + len(events.time)
        for column, values in zip(self._columns, events, strict=True):
            if end > len(column):
                column.resize(end + end // 8, refcheck=False)
            column[self._filled : end] = values
        self._filled = end

    def done(self) -> Events | LocalEvents:
        for column in self._columns:
            column.flags.writeable = False
        return self._made(*(column[: self._filled] for column in self._columns))


def find_instrument(store: Store, exchange: str, symbol: str, **overrides: Any) -> Instrument:
    """Look up an instrument; for one that is not known, suggest steps from what is stored.

    Parameters are those of `mrtrade.instruments.instrument`.
    """
    try:
        return instrument(exchange, symbol, **overrides)
    except ConfigError:
        first = next(iter(store.batches("book_delta_v2", exchange, symbol))).rows
        return instrument(exchange, symbol, prices=first["price"], sizes=first["size"], **overrides)


def _refuse_holes(entries: list[Entry]) -> None:
    """Raise if a span falls into several recordings; a pause of a day never lies within a part."""
    days = [entry for entry in entries if entry.table == "book_delta_v2"]
    holes = [
        at
        for at, (one, two) in enumerate(pairwise(days), start=1)
        if two.first_received - one.last_received > MAX_HOLE_NS
    ]
    if not holes:
        return
    parts = [days[a:b] for a, b in pairwise([0, *holes, len(days)])]
    spans = [
        f"{from_ns(one[0].first_received)} to {from_ns(one[-1].last_received)}" for one in parts
    ]
    raise StoreError(
        f"nothing was recorded of {days[0].exchange} {from_lake(days[0].symbol)} for more than a "
        f"day within the span: it holds {len(parts)} recordings",
        expected=f"a span within one of them: {'; '.join(spans)}",
        remedy="give a start and an end around one of them",
    )


def _entries(
    store: Store, where: tuple[str, str], low: int | None, high: int | None
) -> list[Entry]:
    tables = ("book_delta_v2", "book_seed", "trades")
    return [entry for table in tables for entry in store.entries(table, *where, low, high)]


def _fingerprint(
    entries: list[Entry], instrument: Instrument, low: int | None, high: int | None
) -> str:
    # Of the sources, not of the stored bytes: those change with the version of the writer.
    content = {
        "partitions": [
            [
                *(entry.table, entry.exchange, entry.symbol, entry.day, entry.rows),
                [asdict(source) for source in entry.sources],
            ]
            for entry in entries
        ],
        "span": [low, high],
        "steps": [instrument.tick_size, instrument.lot_size],
    }
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _text(ns: int | None) -> str:
    return "the beginning or end" if ns is None else str(from_ns(ns))


def _extent(store: Store, where: tuple[str, str]) -> str:
    entries = store.entries("book_delta_v2", *where)
    return f"{from_ns(entries[0].first_received)} to {from_ns(entries[-1].last_received)}"

"""From the store to the tape: the columns of integers that `mrcore.replay` eats.

How the tape is made from what was recorded:

- **Order** is that of `received_time`, as stored; rows are never sorted by the exchange's clock.
- **Time** is `origin_time`, made non-decreasing by a running maximum (rows that it moved are
  counted). Where the exchange gave no time, `received_time` plus the last offset seen between the
  two clocks (0 before one is seen) stands in: nothing later is used. No order is assumed between
  the two clocks: collectors run ahead of the exchange and behind it.
- **Snapshots.** The rows of one `book_seed` become a clear of the book and its levels, placed by
  their `received_time`. A snapshot asked for over another channel arrives late: messages that it
  lacks may have been received *before* it. So the unbroken run of deltas received up to a minute
  before it, with a `sequence_number` above its own, is applied after it; and deltas received after
  it are dropped up to the first with a number above its own. A stream without sequence numbers
  (-1) goes by `received_time` alone.
- The tape **begins** with the first snapshot; deltas and trades before it are dropped and counted.
  With a `start`, it begins there, with the book that the deltas since the last snapshot before
  `start` have made. Without any snapshot it begins cold, and `seeded` is False.
- The tape **ends** with the last delta; trades later than it are dropped and counted.
- Deltas whose price does not fit 32-bit ticks are left out and counted: real books hold orders at a
  hundred million dollars a coin, two thousand times the touch.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mrcore.book import GridError, to_lots, to_ticks
from mrtrade.clock import NS_PER_SECOND, Scalar, from_ns, to_ns
from mrtrade.data.store import Chunk, Entry, Store
from mrtrade.errors import ConfigError, DataError, StoreError
from mrtrade.instruments import Instrument, infer_grid, instrument

LATE_SNAPSHOT_NS = 60 * NS_PER_SECOND
"""How much later than the deltas that follow it a snapshot may arrive."""

_DELTAS = ("origin_time", "received_time", "sequence_number", "side_is_bid", "price", "size")
_TRADES = ("origin_time", "received_time", "side", "quantity", "price")
_MAX_TICK = np.iinfo(np.int32).max
_LAST_SEQUENCE = np.iinfo(np.int64).max

Ints = npt.NDArray[np.int64]


class Events(NamedTuple):
    """Columns of a stream, sorted by `time`.

    Parameters
    ----------
    time : int64 array
        Nanoseconds, the exchange's clock.
    side : int8 array
        Deltas: +1 bid, -1 ask, 0 clears the book (a snapshot follows). Trades: of the aggressor.
    tick : int32 array
        Price, in ticks.
    lots : int64 array
        Deltas: absolute size of the level, 0 deletes it. Trades: size traded.
    """

    time: Ints
    side: npt.NDArray[np.int8]
    tick: npt.NDArray[np.int32]
    lots: Ints


@dataclass(frozen=True)
class Tape:
    """What was recorded of one instrument, ready for replay.

    Parameters
    ----------
    instrument : Instrument
    deltas, trades : Events
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
    deltas: Events
    trades: Events
    start_ns: int
    end_ns: int
    seeded: bool
    stats: dict[str, int]
    fingerprint: str


def load_tape(
    store: Store,
    instrument: Instrument,
    start: Scalar | None = None,
    end: Scalar | None = None,
) -> Tape:
    """Load the book and the trades of one instrument, in 21 bytes an event plus a constant.

    Parameters
    ----------
    store : Store
    instrument : Instrument
    start, end : time, optional
        ``start <= received_time < end``; anything that `mrtrade.clock.to_ns` reads.

    Returns
    -------
    Tape

    Raises
    ------
    StoreError
        If the store has no deltas of the instrument in the span, or is written to meanwhile.
    DataError
        If a price or a size is not on the instrument's grid.
    """
    where = (instrument.exchange, instrument.symbol)
    low = None if start is None else to_ns(start)
    high = None if end is None else to_ns(end)
    snapshots = _snapshots(store, instrument, low, high)
    # Read from before the first snapshot on, for the deltas that it may lack.
    first = snapshots[0].received - LATE_SNAPSHOT_NS if snapshots else low
    entries = _entries(store, where, first, high)

    room = sum(entry.rows for entry in entries if entry.table == "book_delta_v2")
    room += sum(1 + len(one.rows) + len(one.late) for one in snapshots) + 1
    book_columns = _Columns(room)
    book = _BookStream(snapshots, low)
    for chunk in _chunks(store, "book_delta_v2", where, first, high, _DELTAS):
        for events in book.feed(_rows(chunk, instrument, book.counts)):
            book_columns.add(events)
    for events in book.finish():
        book_columns.add(events)
    deltas = book_columns.done()
    if not len(deltas.time):
        raise StoreError(
            f"no book of {instrument.exchange} {instrument.symbol} from {_text(low)} to "
            f"{_text(high)}",
            expected=f"a span within {_extent(store, where)}",
            remedy="choose another start and end, or ingest those days",
        )

    trade_columns = _Columns(sum(entry.rows for entry in entries if entry.table == "trades"))
    flow = _TradeStream(int(deltas.time[0]), book.last_received)
    for chunk in _chunks(store, "trades", where, first if low is None else low, high, _TRADES):
        trade_columns.add(flow.feed(chunk, instrument))
    trades = trade_columns.done()
    if _entries(store, where, first, high) != entries:
        raise StoreError("the store was written to while it was read", remedy="run it again")

    return Tape(
        instrument=instrument,
        deltas=deltas,
        trades=trades,
        start_ns=int(deltas.time[0]),
        end_ns=int(max(deltas.time[-1], trades.time[-1] if len(trades.time) else 0)),
        seeded=bool(snapshots),
        stats={
            "deltas": len(deltas.time),
            "trades": len(trades.time),
            "snapshots": len(snapshots),
            "longest_pause_ns": book_columns.longest_pause_ns,
            **book.counts,
            **{f"delta_{name}": count for name, count in book.clock.counts.items()},
            **flow.counts,
            **{f"trade_{name}": count for name, count in flow.clock.counts.items()},
        },
        fingerprint=_fingerprint(entries, instrument, low, high),
    )


def find_instrument(store: Store, exchange: str, symbol: str, **overrides: Any) -> Instrument:
    """Look up an instrument; for one that is not known, suggest steps from what is stored.

    Parameters are those of `mrtrade.instruments.instrument`.
    """
    try:
        return instrument(exchange, symbol, **overrides)
    except ConfigError:
        first = next(iter(store.batches("book_delta_v2", exchange, symbol))).rows
        return instrument(exchange, symbol, prices=first["price"], sizes=first["size"], **overrides)


@dataclass(frozen=True)
class _Rows:
    """Deltas as they were received, in ticks and lots."""

    origin: Ints
    received: Ints
    sequence: Ints
    side: npt.NDArray[np.int8]
    tick: npt.NDArray[np.int32]
    lots: Ints

    def __len__(self) -> int:
        return len(self.received)

    def __getitem__(self, part: slice | npt.NDArray[np.bool_]) -> "_Rows":
        return _Rows(**{field.name: getattr(self, field.name)[part] for field in fields(self)})

    def cut(self, received: int) -> int:
        """Return the number of rows received before a time."""
        return int(np.searchsorted(self.received, received))


@dataclass(frozen=True)
class _Snapshot:
    """A snapshot of the book.

    Parameters
    ----------
    rows : _Rows
        Its levels.
    late : _Rows
        Deltas received before it that it lacks.
    offset : int
        Exchange's clock minus collector's at the last delta before it, ns; 0 without one.
    """

    rows: _Rows
    late: _Rows
    offset: int

    @property
    def received(self) -> int:
        return int(self.rows.received[0])

    @property
    def sequence(self) -> int:
        return int(self.rows.sequence[0])


class _Clock:
    """Turns the two recorded clocks into one time that never goes back."""

    def __init__(self, offset: int = 0) -> None:
        self._offset = offset
        self._now = 0
        self.counts = {"times_missing": 0, "times_moved": 0}

    def times(self, origin: Ints, received: Ints) -> Ints:
        known = origin > 0
        last_known = np.maximum.accumulate(np.where(known, np.arange(len(origin)), -1))
        offsets = np.where(last_known >= 0, (origin - received)[last_known], self._offset)
        stated = np.where(known, origin, received + offsets)
        times = np.maximum(np.maximum.accumulate(stated), self._now)
        self.counts["times_missing"] += int(np.count_nonzero(~known))
        self.counts["times_moved"] += int(np.count_nonzero(times != stated))
        if len(times):
            self._offset = int(offsets[-1])
            self._now = int(times[-1])
        return times


class _BookStream:
    """Deltas as received in, events of the tape out; the state between chunks is kept here."""

    def __init__(self, snapshots: list[_Snapshot], start: int | None) -> None:
        self._snapshots = snapshots
        self._next = 0
        self._start = np.iinfo(np.int64).min if start is None else start
        self._lead: _Lead | None = _Lead()
        self._above: int | None = None  # drop up to the first sequence number above this one
        self.clock = _Clock(snapshots[0].offset if snapshots else 0)
        self.last_received = 0
        self.counts = {
            "deltas_before_snapshot": 0,
            "deltas_in_snapshot": 0,
            "deltas_late_snapshot": 0,
            "deltas_beyond_ticks": 0,
        }

    def feed(self, rows: _Rows) -> Iterator[Events]:
        if not len(rows):
            return
        self.last_received = int(rows.received[-1])
        done = 0
        while self._next < len(self._snapshots):
            cut = rows.cut(self._snapshots[self._next].received)
            if cut == len(rows):
                break
            yield from self._deltas(rows[done:cut])
            yield from self._snapshot()
            done = cut
        yield from self._deltas(rows[done:])

    def finish(self) -> Iterator[Events]:
        """Give out the snapshots that came after the last delta."""
        while self._next < len(self._snapshots):
            self.last_received = max(self.last_received, self._snapshots[self._next].received)
            yield from self._snapshot()

    def _snapshot(self) -> Iterator[Events]:
        snapshot = self._snapshots[self._next]
        self._next += 1
        # With deltas of its own kept from before it, all that follow are newer than it.
        self._above = snapshot.sequence if snapshot.sequence >= 0 and not snapshot.late else None
        if self._next == 1:
            self.counts["deltas_before_snapshot"] -= len(snapshot.late)
        self.counts["deltas_late_snapshot"] += len(snapshot.late)
        time = self.clock.times(snapshot.rows.origin[:1], snapshot.rows.received[:1])
        levels = snapshot.rows[snapshot.rows.lots > 0]
        yield from self._emit(
            snapshot.received, _book(time[0], levels.side, levels.tick, levels.lots)
        )
        if len(snapshot.late):
            yield from self._emit(snapshot.received, self._timed(snapshot.late))

    def _deltas(self, rows: _Rows) -> Iterator[Events]:
        if self._snapshots and not self._next:
            self.counts["deltas_before_snapshot"] += len(rows)
            return
        if self._above is not None:
            newer = np.flatnonzero(rows.sequence > self._above)
            first = int(newer[0]) if newer.size else len(rows)
            self.counts["deltas_in_snapshot"] += first
            self._above = None if newer.size else self._above
            rows = rows[first:]
        cut = rows.cut(self._start)
        for part in (rows[:cut], rows[cut:]):
            if len(part):
                yield from self._emit(int(part.received[0]), self._timed(part))

    def _timed(self, rows: _Rows) -> Events:
        return Events(self.clock.times(rows.origin, rows.received), rows.side, rows.tick, rows.lots)

    def _emit(self, received: int, events: Events) -> Iterator[Events]:
        """Give out events from the start on, preceded by the book that earlier ones made."""
        if self._lead is not None:
            if received < self._start:
                self._lead.add(events)
                return
            if self._lead.started:
                yield self._lead.book()
            self._lead = None
        yield events


class _Lead:
    """The book that events make, by last value a level: what a replay of them would leave."""

    def __init__(self) -> None:
        self._time = np.int64(0)
        self._keys = np.empty(0, dtype=np.int64)
        self._lots = np.empty(0, dtype=np.int64)
        self.started = False

    def add(self, events: Events) -> None:
        self.started = True
        self._time = events.time[-1]
        after = int(np.flatnonzero(events.side == 0)[-1]) + 1 if (events.side == 0).any() else None
        if after is not None:
            self._keys, self._lots = self._keys[:0], self._lots[:0]
        keys = (events.tick.astype(np.int64) << 1) | (events.side > 0)
        keys = np.concatenate([self._keys, keys[after:]])[::-1]
        lots = np.concatenate([self._lots, events.lots[after:]])[::-1]
        keys, last = np.unique(keys, return_index=True)
        lots = lots[last]
        self._keys, self._lots = keys[lots > 0], lots[lots > 0]

    def book(self) -> Events:
        side = np.where(self._keys & 1, 1, -1).astype(np.int8)
        return _book(self._time, side, (self._keys >> 1).astype(np.int32), self._lots)


class _TradeStream:
    """Trades as received in, events of the tape out."""

    def __init__(self, book_start: int, last_received: int) -> None:
        self._book_start = book_start
        self._last_received = last_received
        self.clock = _Clock()
        self.counts = {"trades_before_book": 0, "trades_after_book": 0}

    def feed(self, chunk: Chunk, instrument: Instrument) -> Events:
        received = _ints(chunk.rows, "received_time")
        time = self.clock.times(_ints(chunk.rows, "origin_time"), received)
        tick = _on_grid(chunk, "price", instrument)
        lots = _on_grid(chunk, "quantity", instrument)
        buys = pc.equal(chunk.rows["side"], "buy").to_numpy()
        side = np.where(buys, 1, -1).astype(np.int8)
        # Both sorted, so what is left is one run.
        first = int(np.searchsorted(time, self._book_start))
        last = max(first, int(np.searchsorted(received, self._last_received, side="right")))
        self.counts["trades_before_book"] += first
        self.counts["trades_after_book"] += len(time) - last
        return Events(time[first:last], side[first:last], tick[first:last], lots[first:last])


class _Columns:
    """Columns of a tape, filled in place: 21 bytes an event."""

    def __init__(self, room: int) -> None:
        self._columns = Events(
            np.empty(room, np.int64),
            np.empty(room, np.int8),
            np.empty(room, np.int32),
            np.empty(room, np.int64),
        )
        self._filled = 0
        self.longest_pause_ns = 0

    def add(self, events: Events) -> None:
        if not len(events.time):
            return
        before = self._columns.time[self._filled - 1] if self._filled else events.time[0]
        pauses = np.diff(events.time, prepend=before)
        self.longest_pause_ns = max(self.longest_pause_ns, int(pauses.max()))
        end = self._filled + len(events.time)
        self._columns.time[self._filled : end] = events.time
        self._columns.side[self._filled : end] = events.side
        self._columns.tick[self._filled : end] = events.tick
        self._columns.lots[self._filled : end] = events.lots
        self._filled = end

    def done(self) -> Events:
        time, side, tick, lots = self._columns
        for column in self._columns:
            column.flags.writeable = False
        end = self._filled
        return Events(time[:end], side[:end], tick[:end], lots[:end])


def _snapshots(
    store: Store, instrument: Instrument, low: int | None, high: int | None
) -> list[_Snapshot]:
    """Return the snapshots of a span, and the last one before it."""
    where = (instrument.exchange, instrument.symbol)
    counts = {"deltas_beyond_ticks": 0}
    parts = [
        _rows(chunk, instrument, counts)
        for chunk in _chunks(store, "book_seed", where, None, high, _DELTAS)
    ]
    if not parts:
        return []
    rows = _joined(parts)
    new = (np.diff(rows.received) != 0) | (np.diff(rows.sequence) != 0)
    bounds = [0, *(np.flatnonzero(new) + 1).tolist(), len(rows)]
    groups = [rows[a:b] for a, b in pairwise(bounds)]
    if low is not None:
        before = sum(1 for group in groups if group.received[0] <= low)
        groups = groups[max(before - 1, 0) :]
    return [_with_late(store, instrument, group) for group in groups]


def _with_late(store: Store, instrument: Instrument, rows: _Rows) -> _Snapshot:
    where = (instrument.exchange, instrument.symbol)
    received, sequence = int(rows.received[0]), int(rows.sequence[0])
    span = (received - LATE_SNAPSHOT_NS, received + LATE_SNAPSHOT_NS)
    counts = {"deltas_beyond_ticks": 0}
    around = _joined(
        [
            rows[:0],
            *(
                _rows(chunk, instrument, counts)
                for chunk in _chunks(store, "book_delta_v2", where, *span, _DELTAS)
            ),
        ]
    )
    cut = around.cut(received)
    known = np.flatnonzero(around.origin[:cut] > 0)
    offset = int(around.origin[known[-1]] - around.received[known[-1]]) if known.size else 0
    first = cut
    if sequence >= 0:
        # The run ends where numbers fall: those before are of an earlier connection.
        following = np.append(around.sequence, _LAST_SEQUENCE)[1 : cut + 1]
        numbers = around.sequence[:cut]
        other = np.flatnonzero((numbers <= sequence) | (numbers > following))
        first = int(other[-1]) + 1 if other.size else 0
    return _Snapshot(rows, around[first:cut], offset)


def _rows(chunk: Chunk, instrument: Instrument, counts: dict[str, int]) -> _Rows:
    price = chunk.rows["price"].to_numpy()
    far = price > _MAX_TICK * instrument.tick_size
    if far.any():
        counts["deltas_beyond_ticks"] += int(np.count_nonzero(far))
        near = chunk.rows.set_column(
            chunk.rows.schema.get_field_index("price"),
            "price",
            pa.array(np.where(far, instrument.tick_size, price)),
        )
        chunk = chunk._replace(rows=near)
    bids = chunk.rows["side_is_bid"].to_numpy()
    rows = _Rows(
        origin=_ints(chunk.rows, "origin_time"),
        received=_ints(chunk.rows, "received_time"),
        sequence=_ints(chunk.rows, "sequence_number"),
        side=np.where(bids, 1, -1).astype(np.int8),
        tick=_on_grid(chunk, "price", instrument),
        lots=_on_grid(chunk, "size", instrument),
    )
    return rows[~far] if far.any() else rows


def _joined(parts: list[_Rows]) -> _Rows:
    return _Rows(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(_Rows)
        }
    )


def _on_grid(chunk: Chunk, name: str, instrument: Instrument) -> npt.NDArray[Any]:
    values = chunk.rows[name].to_numpy()
    step = "tick_size" if name == "price" else "lot_size"
    try:
        if name == "price":
            return to_ticks(values, instrument.tick_size)
        return to_lots(values, instrument.lot_size)
    except GridError as error:
        found = infer_grid(values)
        hint = f", such as {step}={found:g}, which divides the rows around it" if found else ""
        raise DataError(
            f"{name} is not a multiple of the {step} of {instrument.exchange} {instrument.symbol}",
            file=chunk.where,
            row=chunk.first_row + error.index,
            key=name,
            value=float(error.value),
            expected=f"a multiple of {error.step:g}, to 1/1000 of it",
            remedy=f"give the instrument's own {step}{hint}",
        ) from error


def _book(
    time: np.int64, side: npt.NDArray[np.int8], tick: npt.NDArray[np.int32], lots: Ints
) -> Events:
    """Return a clear of the book and the levels of a new one."""
    return Events(
        np.full(len(side) + 1, time),
        np.insert(side, 0, 0),
        np.insert(tick, 0, 0),
        np.insert(lots, 0, 0),
    )


def _chunks(
    store: Store,
    table: str,
    where: tuple[str, str],
    low: int | None,
    high: int | None,
    columns: tuple[str, ...],
) -> Iterator[Chunk]:
    if table == "book_delta_v2" or store.days(table, *where):  # the others may be absent
        yield from store.batches(table, *where, low, high, columns)


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


def _ints(rows: pa.Table, name: str) -> Ints:
    return np.asarray(rows[name].to_numpy(), dtype=np.int64)


def _text(ns: int | None) -> str:
    return "the beginning or end" if ns is None else str(from_ns(ns))


def _extent(store: Store, where: tuple[str, str]) -> str:
    entries = store.entries("book_delta_v2", *where)
    return f"{from_ns(entries[0].first_received)} to {from_ns(entries[-1].last_received)}"

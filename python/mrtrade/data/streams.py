"""The streams between store and tape: deltas and trades as received in, events of the tape out.

Each keeps its state between batches, so that batches of any size give the same tape. What they do,
and why, is told in `mrtrade.data.tape`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mrcore.book import GridError, L2Book, to_lots, to_ticks
from mrtrade.clock import NS_PER_SECOND
from mrtrade.data.store import Chunk
from mrtrade.errors import DataError
from mrtrade.instruments import Instrument, infer_grid

MAX_GAP_NS = 600 * NS_PER_SECOND
"""Longest pause of the recording after which the book is still believed."""

MAX_AHEAD_NS = 10 * NS_PER_SECOND
"""How far ahead of its receipt a time of the exchange is still believed."""

FOREVER = int(np.iinfo(np.int64).max)
"""Later than any event."""

_MAX_TICK = np.iinfo(np.int32).max

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


class LocalEvents(NamedTuple):
    """`Events` with the time at which each becomes known.

    Parameters
    ----------
    time, side, tick, lots : array
        As in `Events`.
    local : int64 array
        Nanoseconds, the local clock: later than `time`; never falls.
    """

    time: Ints
    side: npt.NDArray[np.int8]
    tick: npt.NDArray[np.int32]
    lots: Ints
    local: Ints


class _Table:
    """Columns of one length."""

    def __len__(self) -> int:
        return len(self.received)  # type: ignore[attr-defined]

    def __getitem__(self, part: slice | npt.NDArray[np.bool_]) -> Self:
        columns = {name: column[part] for name, column in vars(self).items()}
        return type(self)(**columns)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of all parts, in order; at least one part."""
        held = [part for part in parts if len(part)] or parts[:1]
        if len(held) == 1:
            return held[0]
        names = vars(held[0])
        return cls(**{n: np.concatenate([getattr(part, n) for part in held]) for n in names})


@dataclass(frozen=True)
class Rows(_Table):
    """Deltas as they were received, in ticks and lots."""

    origin: Ints
    received: Ints
    sequence: Ints
    side: npt.NDArray[np.int8]
    tick: npt.NDArray[np.int32]
    lots: Ints

    def cut(self, received: int) -> int:
        """Return the number of rows received before a time."""
        return int(np.searchsorted(self.received, received))


@dataclass(frozen=True)
class Timed(_Table):
    """Events of the tape, and when they were received (uncorrected)."""

    time: Ints
    side: npt.NDArray[np.int8]
    tick: npt.NDArray[np.int32]
    lots: Ints
    received: Ints

    def events(self) -> Events:
        """Return them without the receive time."""
        return Events(self.time, self.side, self.tick, self.lots)

    def split(self, time: int) -> "tuple[Timed, Timed]":
        """Return the rows up to a time, and those later."""
        cut = int(np.searchsorted(self.time, time, side="right"))
        return self[:cut], self[cut:]


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of the book.

    Parameters
    ----------
    rows : Rows
        Its levels.
    late : Rows
        Deltas received before it that it lacks.
    offset : int or None
        Exchange's clock minus collector's at the last delta before it, ns; None without one.
    """

    rows: Rows
    late: Rows
    offset: int | None

    @property
    def received(self) -> int:
        return int(self.rows.received[0])

    @property
    def sequence(self) -> int:
        return int(self.rows.sequence[0])


def is_time(origin: Ints, received: Ints) -> npt.NDArray[np.bool_]:
    """Whether the exchange gave a time that can be believed."""
    return (origin > 0) & (origin - received <= MAX_AHEAD_NS)


_NO_INTS = np.empty(0, np.int64)

NOTHING = Timed(_NO_INTS, np.empty(0, np.int8), np.empty(0, np.int32), _NO_INTS, _NO_INTS)
"""No events."""


class Clock:
    """Turns the two recorded clocks into one time that never goes back."""

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset
        self._now = 0
        self.counts = {"times_missing": 0, "times_ahead": 0, "times_moved": 0}

    def times(self, origin: Ints, received: Ints) -> Ints:
        """Return the time of the next rows."""
        if not len(origin):
            return origin
        known = is_time(origin, received)
        offsets = origin[-1:] - received[-1:]
        stated = origin
        if not known.all():
            last_known = np.maximum.accumulate(np.where(known, np.arange(len(origin)), -1))
            offsets = np.where(last_known >= 0, (origin - received)[last_known], self.offset)
            stated = np.where(known, origin, received + offsets)
            self.counts["times_missing"] += int(np.count_nonzero(origin <= 0))
            self.counts["times_ahead"] += int(np.count_nonzero((origin > 0) & ~known))
        times = stated
        if stated[0] < self._now or np.any(stated[1:] < stated[:-1]):
            times = np.maximum(np.maximum.accumulate(stated), self._now)
            self.counts["times_moved"] += int(np.count_nonzero(times != stated))
        self.offset = int(offsets[-1])
        self._now = int(times[-1])
        return times

    def pause(self, origin: int, received: int, longest: int) -> np.int64:
        """Return the time at which a pause became too long; at the latest that of the next row."""
        is_known = 0 < origin <= received + MAX_AHEAD_NS
        stated = origin if is_known else received + self.offset
        self._now = min(self._now + longest, max(stated, self._now))
        return np.int64(self._now)


class LocalClock:
    """Local times of a stream: when it was received, later by `shift`, `base` after the event."""

    def __init__(self, shift: int, base: int) -> None:
        self._shift = shift
        self._base = base
        self._now = 0

    def events(self, timed: Timed) -> LocalEvents:
        """Return the next events of the stream."""
        local = np.maximum(timed.received + self._shift, timed.time + self._base)
        local = np.maximum(np.maximum.accumulate(local), self._now)
        self._now = int(local[-1]) if len(local) else self._now
        return LocalEvents(timed.time, timed.side, timed.tick, timed.lots, local)


class BookStream:
    """Deltas as received in, events of the tape out; the state between chunks is kept here.

    Where it does not `wait` for a snapshot, the book begins cold at the first delta and after each
    gap: then nothing that is given out rests on whether a snapshot is still to come.
    """

    def __init__(
        self, snapshots: Iterable[Snapshot], start: int | None, *, wait: bool = True
    ) -> None:
        self._snapshots = iter(snapshots)
        self._coming = next(self._snapshots, None)
        self._start = np.iinfo(np.int64).min if start is None else start
        self._lead: _Lead | None = _Lead()
        self.seeded = self._coming is not None
        self._wait = wait
        self._waiting = wait and self.seeded  # the book is unknown until the next snapshot
        self._above: int | None = None  # drop up to the first sequence number above this one
        self.clock = Clock()
        self.last_received = 0
        self.counts = {
            "snapshots": 0,
            "gaps": 0,
            "deltas_before_snapshot": 0,
            "deltas_in_snapshot": 0,
            "deltas_late_snapshot": 0,
            "deltas_beyond_ticks": 0,
        }

    def feed(self, rows: Rows) -> Iterator[Timed]:
        """Give out what the next rows bring."""
        done = 0
        while self._coming is not None:
            cut = rows.cut(self._coming.received)
            if cut == len(rows):
                break
            yield from self._deltas(rows[done:cut])
            yield from self._snapshot(self._coming)
            done = cut
        yield from self._deltas(rows[done:])

    def finish(self) -> Iterator[Timed]:
        """Give out the snapshots that came after the last delta."""
        while self._coming is not None:
            yield from self._snapshot(self._coming)

    def _snapshot(self, snapshot: Snapshot) -> Iterator[Timed]:
        yield from self._pause(snapshot.rows)
        self._coming = next(self._snapshots, None)
        self.counts["snapshots"] += 1
        self.last_received = max(self.last_received, snapshot.received)
        # With deltas of its own kept from before it, all that follow are newer than it.
        self._above = snapshot.sequence if snapshot.sequence >= 0 and not snapshot.late else None
        if self._waiting:
            self.counts["deltas_before_snapshot"] -= len(snapshot.late)
            self._waiting = False
        self.counts["deltas_late_snapshot"] += len(snapshot.late)
        if snapshot.offset is not None:
            self.clock.offset = snapshot.offset
        time = self.clock.times(snapshot.rows.origin[:1], snapshot.rows.received[:1])
        levels = snapshot.rows[snapshot.rows.lots > 0]
        known = snapshot.received
        yield from self._emit(known, _book(time[0], levels, known))
        if len(snapshot.late):
            late = self._timed(snapshot.late)
            yield from self._emit(known, replace(late, received=np.full_like(late.received, known)))

    def _deltas(self, rows: Rows) -> Iterator[Timed]:
        before = self.last_received or rows.received[:1]
        breaks: list[int] = []
        if len(rows) and rows.received[-1] - before > MAX_GAP_NS:  # else no row can be so late
            breaks = np.flatnonzero(np.diff(rows.received, prepend=before) > MAX_GAP_NS).tolist()
        for a, b in pairwise([0, *breaks, len(rows)]):
            if b > a:
                yield from self._unbroken(rows[a:b])

    def _pause(self, rows: Rows) -> Iterator[Timed]:
        """Give out a clear of the book if what comes next comes after a gap."""
        received = int(rows.received[0])
        if self._waiting or not 0 < self.last_received < received - MAX_GAP_NS:
            return
        self.counts["gaps"] += 1
        self._waiting = self._wait and self._coming is not None
        self._above = None
        time = self.clock.pause(int(rows.origin[0]), received, MAX_GAP_NS)
        known = self.last_received + MAX_GAP_NS
        yield from self._emit(received, _book(time, rows[:0], known))

    def _unbroken(self, rows: Rows) -> Iterator[Timed]:
        yield from self._pause(rows)
        self.last_received = int(rows.received[-1])
        if self._waiting:
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

    def _timed(self, rows: Rows) -> Timed:
        time = self.clock.times(rows.origin, rows.received)
        return Timed(time, rows.side, rows.tick, rows.lots, rows.received)

    def _emit(self, received: int, events: Timed) -> Iterator[Timed]:
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
    """The book that events make, crossed messages resolved as a replay of them would."""

    def __init__(self) -> None:
        self._time = np.int64(0)
        self._local = 0
        self._book = L2Book(1.0, 1.0)  # in ticks and lots
        self.started = False

    def add(self, events: Timed) -> None:
        self.started = True
        self._time = events.time[-1]
        self._local = int(events.received[-1])
        self._book.apply(events.side, events.tick, events.lots, events.time)

    def book(self) -> Timed:
        bids, asks = (side.astype(np.int64) for side in self._book.levels(_MAX_TICK))
        side = np.repeat(np.array([1, -1], np.int8), [len(bids), len(asks)])
        tick, lots = np.concatenate([bids, asks]).T
        none = np.zeros(len(side), np.int64)
        levels = Rows(none, none, none, side, tick.astype(np.int32), lots)
        return _book(self._time, levels, self._local)


class TradeStream:
    """Trades as received in, events of the tape out as far as the book is known.

    Parameters
    ----------
    chunks : iterator of Chunk
    instrument : Instrument
    book_start : int
        Trades before this time are dropped.
    """

    def __init__(self, chunks: Iterator[Chunk], instrument: Instrument, book_start: int) -> None:
        self._chunks = chunks
        self._instrument = instrument
        self._book_start = book_start
        self._waiting = NOTHING
        self._read_time = self._read_received = np.iinfo(np.int64).min
        self.ended = False
        self.clock = Clock()
        self.counts = {"trades_before_book": 0, "trades_after_book": 0}

    def read(self) -> None:
        """Read the next batch."""
        chunk = next(self._chunks, None)
        if chunk is None:
            self.ended = True
            return
        received = _ints(chunk.rows, "received_time")
        time = self.clock.times(_ints(chunk.rows, "origin_time"), received)
        tick = _on_grid(chunk, "price", self._instrument)
        lots = _on_grid(chunk, "quantity", self._instrument)
        side = _sides(pc.equal(chunk.rows["side"], "buy"))
        first = int(np.searchsorted(time, self._book_start))
        self.counts["trades_before_book"] += first
        events = Timed(time, side, tick, lots, received)[first:]
        self._waiting = Timed.joined([self._waiting, events])
        self._read_time, self._read_received = int(time[-1]), int(received[-1])

    def read_to(self, time: int, received: int) -> None:
        """Read until none of the trades up to a time and a receive time is missing."""
        while not self.ended and self._read_time < time and self._read_received <= received:
            self.read()

    def open_from(self, received: int) -> int:
        """Return the time from which on there may be trades not read or received later."""
        known = int(np.searchsorted(self._waiting.received, received, side="right"))
        if known < len(self._waiting):
            return int(self._waiting.time[known])
        return FOREVER if self.ended else self._read_time

    def take(self, until: int) -> Timed:
        """Give out the trades up to a time."""
        taken, self._waiting = self._waiting.split(until)
        return taken

    def drop(self, received: int) -> None:
        """Forget the trades received later than the last of the book."""
        known = int(np.searchsorted(self._waiting.received, received, side="right"))
        self.counts["trades_after_book"] += len(self._waiting) - known
        self._waiting = self._waiting[:known]


def to_rows(chunk: Chunk, instrument: Instrument, counts: dict[str, int]) -> Rows:
    """Return stored deltas in ticks and lots, without those beyond 32-bit ticks (counted)."""
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
    rows = Rows(
        origin=_ints(chunk.rows, "origin_time"),
        received=_ints(chunk.rows, "received_time"),
        sequence=_ints(chunk.rows, "sequence_number"),
        side=_sides(chunk.rows["side_is_bid"]),
        tick=_on_grid(chunk, "price", instrument),
        lots=_on_grid(chunk, "size", instrument),
    )
    return rows[~far] if far.any() else rows


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


def _book(time: np.int64, levels: Rows, local: int) -> Timed:
    """Return a clear of the book and the levels of a new one."""
    rows = len(levels) + 1
    return Timed(
        np.full(rows, time),
        np.insert(levels.side, 0, 0),
        np.insert(levels.tick, 0, 0),
        np.insert(levels.lots, 0, 0),
        np.full(rows, local, np.int64),
    )


def _sides(positive: pa.ChunkedArray) -> npt.NDArray[np.int8]:
    sign: npt.NDArray[np.int8] = positive.to_numpy().view(np.int8)
    return sign * np.int8(2) - np.int8(1)


def _ints(rows: pa.Table, name: str) -> Ints:
    return np.asarray(rows[name].to_numpy(), dtype=np.int64)

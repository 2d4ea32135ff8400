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
- Deltas whose price does not fit 32-bit ticks are left out and counted: real books hold orders at a
  hundred million dollars a coin, two thousand times the touch.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from mrtrade.clock import NS_PER_SECOND, Scalar, from_ns, to_ns
from mrtrade.data.store import Chunk, Entry, Store
from mrtrade.data.streams import (
    MAX_GAP_NS,
    BookStream,
    Columns,
    Events,
    Rows,
    Snapshot,
    TradeStream,
    is_time,
    joined,
    to_rows,
)
from mrtrade.errors import ConfigError, StoreError
from mrtrade.instruments import Instrument, from_lake, instrument

LATE_SNAPSHOT_NS = 60 * NS_PER_SECOND
"""How much later than the deltas that follow it a snapshot may arrive."""

MAX_HOLE_NS = 86_400 * NS_PER_SECOND
"""Longest pause that one tape may span."""

_DELTAS = ("origin_time", "received_time", "sequence_number", "side_is_bid", "price", "size")
_TRADES = ("origin_time", "received_time", "side", "quantity", "price")
_LAST_SEQUENCE = np.iinfo(np.int64).max


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
        If the store has no deltas of the instrument in the span, or a pause of more than a day
        between them, or is written to meanwhile.
    DataError
        If a price or a size is not on the instrument's grid.
    """
    where = (instrument.exchange, instrument.symbol)
    low = None if start is None else to_ns(start)
    high = None if end is None else to_ns(end)
    seeds, first = _seeds(store, instrument, low, high)
    entries = _entries(store, where, first, high)
    _refuse_holes(entries)
    inline = _inline(store, instrument, first, high)
    groups = sorted([*seeds, *inline], key=lambda rows: int(rows.received[0]))
    snapshots = [_with_late(store, instrument, rows, inline) for rows in groups]

    book_columns = Columns(_room(entries, snapshots))
    book = BookStream(snapshots, low)
    for chunk in _chunks(store, "book_delta_v2", where, first, high, _DELTAS):
        rows = _without(to_rows(chunk, instrument, book.counts), inline)
        for events in book.feed(rows):
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

    trade_columns = Columns(sum(entry.rows for entry in entries if entry.table == "trades"))
    flow = TradeStream(int(deltas.time[0]), book.last_received)
    for chunk in _chunks(store, "trades", where, low, high, _TRADES):
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
            "snapshots_in_stream": len(inline),
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


def _seeds(
    store: Store, instrument: Instrument, low: int | None, high: int | None
) -> tuple[list[Rows], int | None]:
    """Return the snapshots of `book_seed` that count, and from when on deltas are to be read."""
    where = (instrument.exchange, instrument.symbol)
    counts = {"deltas_beyond_ticks": 0}
    chunks = _chunks(store, "book_seed", where, None, high, _DELTAS)
    groups = _grouped([to_rows(chunk, instrument, counts) for chunk in chunks])
    if low is None:
        return groups, None
    before = sum(1 for rows in groups if rows.received[0] <= low)
    if before and _is_unbroken(store, where, int(groups[before - 1].received[0]), low, high):
        before -= 1
    groups = groups[before:]
    # From before a first snapshot on, for the deltas that it may lack.
    return groups, min([low, *(int(rows.received[0]) - LATE_SNAPSHOT_NS for rows in groups[:1])])


def _is_unbroken(
    store: Store, where: tuple[str, str], since: int, start: int, high: int | None
) -> bool:
    """Whether deltas came without a gap from `since` to the first one from `start` on."""
    if since == start:
        return True
    before = since
    for chunk in _chunks(store, "book_delta_v2", where, since, high, ("received_time",)):
        received = chunk.rows["received_time"].to_numpy()
        received = received[: int(np.searchsorted(received, start)) + 1]
        if np.diff(received, prepend=before).max() > MAX_GAP_NS:
            return False
        before = int(received[-1])
        if before >= start:
            return True
    return False


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


def _inline(store: Store, instrument: Instrument, low: int | None, high: int | None) -> list[Rows]:
    """Return the snapshots that lie within the stream of deltas."""
    where = (instrument.exchange, instrument.symbol)
    timed = untimed = False
    for chunk in _chunks(store, "book_delta_v2", where, low, high, ("origin_time",)):
        known = chunk.rows["origin_time"].to_numpy() > 0
        timed |= bool(known.any())
        untimed |= not known.all()
    if not (timed and untimed):
        return []
    counts = {"deltas_beyond_ticks": 0}
    parts = []
    for chunk in _chunks(store, "book_delta_v2", where, low, high, _DELTAS):
        rows = to_rows(chunk, instrument, counts)
        parts.append(rows[rows.origin <= 0])
    return [rows for rows in _grouped(parts) if _is_book(rows)]


def _is_book(rows: Rows) -> bool:
    bids, asks = rows.tick[rows.side > 0], rows.tick[rows.side < 0]
    return bool(len(bids) and len(asks) and bids.max() < asks.min() and rows.lots.all())


def _without(rows: Rows, inline: list[Rows]) -> Rows:
    """Return rows without those of the snapshots within the stream."""
    untimed = np.flatnonzero(rows.origin <= 0) if inline else np.empty(0, np.int64)
    if not untimed.size:
        return rows
    taken = {(int(one.received[0]), int(one.sequence[0])) for one in inline}
    keep = np.ones(len(rows), dtype=np.bool_)
    for at in untimed.tolist():
        keep[at] = (int(rows.received[at]), int(rows.sequence[at])) not in taken
    return rows[keep]


def _grouped(parts: list[Rows]) -> list[Rows]:
    """Return the rows of each snapshot: one `received_time` and one `sequence_number`."""
    if not parts:
        return []
    rows = joined(parts)
    new = (np.diff(rows.received) != 0) | (np.diff(rows.sequence) != 0)
    bounds = [0, *(np.flatnonzero(new) + 1).tolist(), len(rows)]
    return [rows[a:b] for a, b in pairwise(bounds) if b > a]


def _room(entries: list[Entry], snapshots: list[Snapshot]) -> int:
    """Return how many events the tape may hold at most: also a clear for each gap, and one more."""
    room = sum(entry.rows for entry in entries if entry.table == "book_delta_v2") + 1
    room += sum(1 + len(one.rows) + len(one.late) for one in snapshots)
    times = [one.received for one in snapshots]
    for entry in entries:
        times += [entry.first_received, entry.last_received]
    return room + (max(times) - min(times)) // MAX_GAP_NS if times else room


def _with_late(store: Store, instrument: Instrument, rows: Rows, inline: list[Rows]) -> Snapshot:
    where = (instrument.exchange, instrument.symbol)
    received, sequence = int(rows.received[0]), int(rows.sequence[0])
    span = (received - LATE_SNAPSHOT_NS, received + LATE_SNAPSHOT_NS)
    counts = {"deltas_beyond_ticks": 0}
    around = joined(
        [
            rows[:0],
            *(
                _without(to_rows(chunk, instrument, counts), inline)
                for chunk in _chunks(store, "book_delta_v2", where, *span, _DELTAS)
            ),
        ]
    )
    cut = around.cut(received)
    known = np.flatnonzero(is_time(around.origin[:cut], around.received[:cut]))
    offset = int(around.origin[known[-1]] - around.received[known[-1]]) if known.size else None
    first = cut
    if sequence >= 0:
        # The run ends where numbers fall: those before are of an earlier connection.
        following = np.append(around.sequence, _LAST_SEQUENCE)[1 : cut + 1]
        numbers = around.sequence[:cut]
        other = np.flatnonzero((numbers <= sequence) | (numbers > following))
        first = int(other[-1]) + 1 if other.size else 0
    return Snapshot(rows, around[first:cut], offset)


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


def _text(ns: int | None) -> str:
    return "the beginning or end" if ns is None else str(from_ns(ns))


def _extent(store: Store, where: tuple[str, str]) -> str:
    entries = store.entries("book_delta_v2", *where)
    return f"{from_ns(entries[0].first_received)} to {from_ns(entries[-1].last_received)}"

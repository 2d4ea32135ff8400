"""Where the snapshots of a book lie: those of `book_seed`, and those within the stream of deltas.

They come one at a time, so that a span of any length needs the memory of one. What counts as a
snapshot, and why, is told in `mrtrade.data.tape`.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import pairwise

import numpy as np

from mrtrade.clock import NS_PER_SECOND
from mrtrade.data.store import Chunk, Store
from mrtrade.data.streams import MAX_GAP_NS, Rows, Snapshot, is_time, to_rows
from mrtrade.instruments import Instrument

LATE_SNAPSHOT_NS = 60 * NS_PER_SECOND
"""How much later than the deltas that follow it a snapshot may arrive."""

DELTA_COLUMNS = ("origin_time", "received_time", "sequence_number", "side_is_bid", "price", "size")

_LAST_SEQUENCE = np.iinfo(np.int64).max


def chunks_of(
    store: Store,
    table: str,
    where: tuple[str, str],
    low: int | None,
    high: int | None,
    columns: tuple[str, ...] = DELTA_COLUMNS,
) -> Iterator[Chunk]:
    """Yield the rows of a table; a table other than that of the deltas may be absent."""
    if table == "book_delta_v2" or store.days(table, *where):
        yield from store.batches(table, *where, low, high, columns)


class Snapshots:
    """The snapshots of a span, in order of receipt; may be iterated more than once.

    Parameters
    ----------
    store : Store
    instrument : Instrument
    low, high : int or None
        ``low <= received_time < high``.

    Attributes
    ----------
    first : int or None
        Receive time from which on deltas are to be read.
    in_stream : int
        How many lie within the stream of deltas.
    """

    def __init__(
        self, store: Store, instrument: Instrument, low: int | None, high: int | None
    ) -> None:
        self._store, self._instrument, self._low, self._high = store, instrument, low, high
        self._where = (instrument.exchange, instrument.symbol)
        self.first = low
        if low is not None:
            # From before a first snapshot on, for the deltas that it may lack.
            for rows in self._seeds():
                self.first = min(low, int(rows.received[0]) - LATE_SNAPSHOT_NS)
                break
        self._keys = self._inline_keys()
        self.in_stream = len(self._keys)
        self._set = set(self._keys)

    def __iter__(self) -> Iterator[Snapshot]:
        for rows in merge(self._seeds(), self._inline(), key=lambda rows: int(rows.received[0])):
            yield self._with_late(rows)

    def without(self, rows: Rows) -> Rows:
        """Return rows without those of the snapshots within the stream."""
        untimed = np.flatnonzero(rows.origin <= 0) if self._set else np.empty(0, np.int64)
        if not untimed.size:
            return rows
        keep = np.ones(len(rows), dtype=np.bool_)
        for at in untimed.tolist():
            keep[at] = (int(rows.received[at]), int(rows.sequence[at])) not in self._set
        return rows[keep]

    def _rows(self, table: str, low: int | None, high: int | None) -> Iterator[Rows]:
        counts = {"deltas_beyond_ticks": 0}
        for chunk in chunks_of(self._store, table, self._where, low, high):
            yield to_rows(chunk, self._instrument, counts)

    # ---- book_seed

    def _seeds(self) -> Iterator[Rows]:
        """Yield the snapshots of `book_seed` that count."""
        low = self._low
        if low is None:
            yield from _grouped(self._rows("book_seed", None, self._high))
            return
        carried = self._last_seed(low + 1 if self._high is None else min(low + 1, self._high))
        if carried is not None and self._is_unbroken(int(carried.received[0]), low):
            yield carried
        yield from _grouped(self._rows("book_seed", low + 1, self._high))

    def _last_seed(self, high: int) -> Rows | None:
        """Return the last snapshot of `book_seed` received before a time."""
        for entry in reversed(self._store.entries("book_seed", *self._where, None, high)):
            end = min(high, entry.last_received + 1)
            rows = deque(_grouped(self._rows("book_seed", entry.first_received, end)), maxlen=1)
            if rows:
                return rows[0]
        return None

    def _is_unbroken(self, since: int, start: int) -> bool:
        """Whether deltas came without a gap from `since` to the first one from `start` on."""
        if since == start:
            return True
        before = since
        span = (since, self._high, ("received_time",))
        for chunk in chunks_of(self._store, "book_delta_v2", self._where, *span):
            received = chunk.rows["received_time"].to_numpy()
            received = received[: int(np.searchsorted(received, start)) + 1]
            if np.diff(received, prepend=before).max() > MAX_GAP_NS:
                return False
            before = int(received[-1])
            if before >= start:
                return True
        return False

    # ---- within the stream

    def _inline_keys(self) -> list[tuple[int, int]]:
        """Return received_time and sequence_number of the snapshots within the stream."""
        timed = untimed = False
        span = (self.first, self._high, ("origin_time",))
        for chunk in chunks_of(self._store, "book_delta_v2", self._where, *span):
            origin = chunk.rows["origin_time"].to_numpy()
            timed |= bool(origin.max() > 0)
            untimed |= bool(origin.min() <= 0)
        if not (timed and untimed):
            return []
        return [
            (int(rows.received[0]), int(rows.sequence[0]))
            for rows in self._books(self.first, self._high)
        ]

    def _inline(self) -> Iterator[Rows]:
        for received in dict.fromkeys(received for received, _ in self._keys):
            yield from self._books(received, received + 1)

    def _books(self, low: int | None, high: int | None) -> Iterator[Rows]:
        """Yield what makes a book among the rows without an exchange time."""
        deltas = self._rows("book_delta_v2", low, high)
        return filter(_is_book, _grouped(rows[rows.origin <= 0] for rows in deltas))

    # ---- deltas that a snapshot lacks

    def _with_late(self, rows: Rows) -> Snapshot:
        received, sequence = int(rows.received[0]), int(rows.sequence[0])
        span = (received - LATE_SNAPSHOT_NS, received + LATE_SNAPSHOT_NS)
        parts = [rows[:0]]
        for part in self._rows("book_delta_v2", *span):
            parts.append(self.without(part))
            if parts[-1].cut(received) < len(parts[-1]):
                break  # the first row from the snapshot on is known
        around = Rows.joined(parts)
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


def _is_book(rows: Rows) -> bool:
    bids, asks = rows.tick[rows.side > 0], rows.tick[rows.side < 0]
    return bool(len(bids) and len(asks) and bids.max() < asks.min() and rows.lots.all())


def _grouped(parts: Iterable[Rows]) -> Iterator[Rows]:
    """Yield the rows of each snapshot: one `received_time` and one `sequence_number`."""
    last: Rows | None = None
    for part in parts:
        rows = part if last is None else Rows.joined([last, part])
        if len(rows):
            new = (np.diff(rows.received) != 0) | (np.diff(rows.sequence) != 0)
            starts = [0, *(np.flatnonzero(new) + 1).tolist()]
            for a, b in pairwise(starts):
                yield rows[a:b]
            last = rows[starts[-1] :]  # may go on in the next part
    if last is not None:
        yield last

"""Rows out of PostgreSQL: the server joins each column of a window into one value.

libpq hands out a COPY, or rows, one at a time, which costs a microsecond a row in Python. A window
is what lies between two marks of the ledger, so that it has a bounded number of rows however dense
they are; the windows of a span are read over two connections at once and given out in order.

Every window's statement also returns the fingerprint of its partition: a partition that is replaced
meanwhile is noticed, and so are rows that are missing.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from psycopg import sql

from mrtrade.data.digest import Texts
from mrtrade.data.store import Chunk
from mrtrade.data.timescale.connection import Connection, Connections
from mrtrade.data.timescale.layout import TEXT, Layout, Part
from mrtrade.data.timescale.ledger import Partition
from mrtrade.errors import StoreError

_CONNECTIONS = 2
_AHEAD = 3  # windows under way or waiting to be taken

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


@dataclass(frozen=True)
class Window:
    """Consecutive rows of a partition.

    Parameters
    ----------
    partition : Partition
    start_us, end_us : int
        ``start_us <= received_time < end_us``, microseconds.
    first_row, rows : int or None
        Which rows these are; None where a span cuts the window, so that only the server knows.
    """

    partition: Partition
    start_us: int
    end_us: int
    first_row: int | None
    rows: int | None


def windows(partition: Partition, low: int, high: int) -> Iterator[Window]:
    """Yield the windows of a partition that may hold rows of a span, nanoseconds, in order."""
    entry = partition.entry
    rows = [*partition.mark_rows.tolist(), entry.rows]
    times = [*partition.mark_times.tolist(), entry.last_received // 1_000 + 1]
    low_us, high_us = low // 1_000, -(-high // 1_000)
    for (first, end), (start_us, end_us) in zip(pairwise(rows), pairwise(times), strict=True):
        if start_us * 1_000 >= low and end_us * 1_000 <= high:
            yield Window(partition, start_us, end_us, first, end - first)
        elif start_us < high_us and end_us > low_us:
            yield Window(partition, max(start_us, low_us), min(end_us, high_us), None, None)


class Reader:
    """Reads rows of one table.

    Parameters
    ----------
    connections : Connections
    layout : Layout
    names : sequence of str
        Columns wanted, in order.
    low, high : int
        ``low <= received_time < high``, nanoseconds.
    """

    def __init__(
        self,
        connections: Connections,
        layout: Layout,
        names: Sequence[str],
        low: int,
        high: int,
    ) -> None:
        self._connections = connections
        self._layout = layout
        self._names = names
        self._low, self._high = low, high
        # Times are read along, to cut by the nanosecond.
        self._read = [name for name in layout.schema.names if name in {*names, "received_time"}]
        self._parts = layout.parts(self._read)
        self._query = _query(layout, self._parts)

    def chunks(self, partitions: Sequence[Partition]) -> Iterator[Chunk]:
        """Yield the rows of partitions in order."""
        wanted = [window for one in partitions for window in windows(one, self._low, self._high)]
        if len(wanted) == 1:
            yield from self._given(self._fetch(wanted[0]))
            return
        waiting: deque[Future[Chunk]] = deque()
        with ExitStack() as stack:
            threads = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="mrtrade-read")
            stack.callback(threads.shutdown, cancel_futures=True)
            for window in wanted:
                waiting.append(threads.submit(self._fetch, window))
                if len(waiting) == _AHEAD:
                    yield from self._given(waiting.popleft().result())
            while waiting:
                yield from self._given(waiting.popleft().result())

    def _given(self, chunk: Chunk) -> Iterator[Chunk]:
        if len(chunk.rows):
            yield chunk

    def _fetch(self, window: Window) -> Chunk:
        entry = window.partition.entry
        where = f"{self._layout.name} {entry.exchange} {entry.symbol} {entry.day}"
        parameters = [
            entry.table,
            window.partition.symbol_id,
            entry.day,
            window.partition.symbol_id,
            _EPOCH + window.start_us * _US,
            _EPOCH + window.end_us * _US,
        ]

        def ask(connection: Connection) -> tuple[Any, ...]:
            with connection.cursor(binary=True) as cursor:
                row = cursor.execute(self._query, parameters).fetchone()
            assert row is not None  # an aggregate
            return row

        sha256, row_no, *values = self._connections.retrying(ask)
        if sha256 is None or sha256.hex() != entry.sha256:
            raise StoreError(
                f"{where} was replaced while it was read",
                file=self._connections.settings.url,
                remedy="read it again, or keep writers away with store.writing()",
            )
        order = self._ordered(np.frombuffer(row_no or b"", ">i4"), window, where)
        rows = self._layout.decode(_columns(self._parts, values), self._read, order.sort)
        first = order.first
        if window.rows is None:
            times = rows["received_time"].to_numpy()
            a, b = (int(cut) for cut in np.searchsorted(times, [self._low, self._high]))
            rows, first = rows.slice(a, b - a), first + a
        return Chunk(where, first, rows.select(self._names))

    def _ordered(self, row_no: np.ndarray, window: Window, where: str) -> "_Order":
        """Return how rows must be sorted; raise if some of a window are missing."""
        numbers = row_no.astype(np.int64)
        sort = None
        if np.any(np.diff(numbers) != 1):
            sort = np.argsort(numbers)
            numbers = numbers[sort]
        first = int(numbers[0]) if len(numbers) else 0
        whole = len(numbers) == window.rows and first == window.first_row
        if np.any(np.diff(numbers) != 1) or not (whole or window.rows is None):
            expected = "rows without a hole"
            if window.rows is not None and window.first_row is not None:
                last = window.first_row + window.rows - 1
                expected = f"rows {window.first_row} to {last} of it"
            raise StoreError(
                f"{where} is not what was written: it was changed behind the store's back",
                file=self._connections.settings.url,
                value=f"{len(numbers)} rows",
                expected=expected,
                remedy="ingest that day again, or restore a backup",
            )
        return _Order(first, sort)


class _Order(NamedTuple):
    first: int
    sort: npt.NDArray[np.intp] | None


def _query(layout: Layout, parts: Sequence[Part]) -> sql.Composed:
    joined: list[sql.Composable] = [sql.SQL("string_agg(int4send(row_no), ''::bytea)")]
    for part in parts:
        name = sql.Identifier(part.name)
        if part.dtype == TEXT:
            joined.append(
                sql.SQL("string_agg(int4send(coalesce(octet_length({}), -1)), ''::bytea)").format(
                    name
                )
            )
        joined.append(sql.SQL("string_agg({}({}), ''::bytea)").format(sql.SQL(part.send), name))
    return sql.SQL(
        "SELECT (SELECT sha256 FROM partitions WHERE table_name = %s AND symbol_id = %s "
        "AND day = %s::date), {} FROM {} "
        "WHERE symbol_id = %s AND received_time >= %s AND received_time < %s"
    ).format(sql.SQL(", ").join(joined), sql.Identifier(layout.name))


def _columns(parts: Sequence[Part], values: Sequence[bytes | None]) -> list[Any]:
    given = iter(values)
    columns: list[Any] = []
    for part in parts:
        first = next(given) or b""
        if part.dtype == TEXT:
            lengths = np.frombuffer(first, ">i4").astype(np.int32)
            columns.append(Texts(lengths, np.frombuffer(next(given) or b"", np.uint8)))
        else:
            columns.append(np.frombuffer(first, part.dtype))
    return columns

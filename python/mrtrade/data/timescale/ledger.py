"""The manifest in SQL: tables `symbols` and `partitions`."""

import hashlib
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from psycopg.types.json import Jsonb

from mrtrade.clock import NS_PER_DAY, to_ns
from mrtrade.data.store import Entry, Source
from mrtrade.data.timescale.connection import Connection

MARK_ROWS = 1 << 16
"""Rows between two marks, the unit in which partitions are read."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Partition:
    """A partition as the ledger has it.

    Parameters
    ----------
    entry : Entry
    symbol_id : int
    mark_rows, mark_times : numpy.ndarray of int64
        See `Marker`.
    """

    entry: Entry
    symbol_id: int
    mark_rows: Ints
    mark_times: Ints


class Marker:
    """Marks about every `MARK_ROWS`-th row, always the first of its microsecond.

    What lies between two marks is then a span of time to the server and a known number of rows.

    Attributes
    ----------
    rows : list of int
        Marked rows, from row 0 on.
    times : list of int
        Their `received_time`, microseconds since 1970.
    """

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.times: list[int] = []
        self._count = 0
        self._next = 0
        self._last: int | None = None

    def add(self, received: Ints) -> None:
        """Take the times of the next rows, nanoseconds."""
        if self._count + len(received) > self._next:
            us = received // 1_000
            before = us[0] - 1 if self._last is None else self._last
            starts = np.flatnonzero(np.diff(us, prepend=before))
            while True:
                at = int(np.searchsorted(starts, self._next - self._count))
                if at == len(starts):
                    break
                row = int(starts[at])
                self.rows.append(self._count + row)
                self.times.append(int(us[row]))
                self._next = self._count + row + MARK_ROWS
        self._count += len(received)
        self._last = int(received[-1]) // 1_000


_PARTITIONS = """
SELECT to_char(day, 'YYYY-MM-DD'), rows, size, sha256, first_received, last_received,
       sources, symbol_id, mark_rows, mark_times
FROM partitions JOIN symbols USING (symbol_id)
WHERE table_name = %s AND exchange = %s AND symbol = %s
  AND first_received < %s AND last_received >= %s
ORDER BY day
"""


def find(
    connection: Connection, table: str, exchange: str, symbol: str, low: int, high: int
) -> list[Partition]:
    """Return the partitions of a series with rows in ``low <= received_time < high``, in order."""
    rows = connection.execute(_PARTITIONS, [table, exchange, symbol, high, low])
    return [
        Partition(
            Entry(
                table,
                exchange,
                symbol,
                day,
                count,
                size,
                sha256.hex(),
                first,
                last,
                tuple(Source(**{**source, "days": tuple(source["days"])}) for source in sources),
            ),
            symbol_id,
            np.array(mark_rows, np.int64),
            np.array(mark_times, np.int64),
        )
        for day, count, size, sha256, first, last, sources, symbol_id, mark_rows, mark_times in rows
    ]


def list_days(connection: Connection, table: str, exchange: str, symbol: str) -> list[str]:
    """Return the days of a series, in order."""
    rows = connection.execute(
        "SELECT to_char(day, 'YYYY-MM-DD') FROM partitions JOIN symbols USING (symbol_id) "
        "WHERE table_name = %s AND exchange = %s AND symbol = %s ORDER BY day",
        [table, exchange, symbol],
    )
    return [day for (day,) in rows]


def list_series(connection: Connection) -> list[tuple[str, str, str]]:
    """Return (table, exchange, symbol) of all partitions."""
    rows = connection.execute(
        "SELECT DISTINCT table_name, exchange, symbol "
        "FROM partitions JOIN symbols USING (symbol_id)"
    )
    return sorted(rows.fetchall())


def number(connection: Connection, exchange: str, symbol: str) -> int:
    """Return the number of a symbol, given to it now if it has none."""
    look = "SELECT symbol_id FROM symbols WHERE exchange = %s AND symbol = %s"
    row = connection.execute(look, [exchange, symbol]).fetchone()
    if row is None:  # not by ON CONFLICT alone: that uses up a number each time
        connection.execute(
            "INSERT INTO symbols (exchange, symbol) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [exchange, symbol],
        )
        row = connection.execute(look, [exchange, symbol]).fetchone()
    assert row is not None
    return int(row[0])


def put(connection: Connection, partition: Partition) -> None:
    """Write, or replace, the entry of a partition."""
    entry = partition.entry
    connection.execute(
        "INSERT INTO partitions (table_name, symbol_id, day, rows, size, sha256, first_received, "
        "last_received, mark_rows, mark_times, sources) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (table_name, symbol_id, day) DO UPDATE SET rows = excluded.rows, "
        "size = excluded.size, sha256 = excluded.sha256, "
        "first_received = excluded.first_received, last_received = excluded.last_received, "
        "mark_rows = excluded.mark_rows, mark_times = excluded.mark_times, "
        "sources = excluded.sources, written_at = now()",
        [
            entry.table,
            partition.symbol_id,
            entry.day,
            entry.rows,
            entry.size,
            bytes.fromhex(entry.sha256),
            entry.first_received,
            entry.last_received,
            partition.mark_rows.tolist(),
            partition.mark_times.tolist(),
            Jsonb([asdict(source) for source in entry.sources]),
        ],
    )


def drop(connection: Connection, table: str, symbol_id: int, day: str) -> None:
    """Remove the entry of a partition."""
    connection.execute(
        "DELETE FROM partitions WHERE table_name = %s AND symbol_id = %s AND day = %s",
        [table, symbol_id, day],
    )


def advisory_key(name: str) -> int:
    """Return the number of an advisory lock."""
    digest = hashlib.sha256(f"mrtrade:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def day_span(day: str) -> tuple[int, int]:
    """Return the first nanosecond of a UTC day and that of the next."""
    start = to_ns(day)
    return start, start + NS_PER_DAY

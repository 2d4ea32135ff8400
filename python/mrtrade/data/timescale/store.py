"""The store on a server: TimescaleDB, or PostgreSQL without it."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pyarrow as pa
from psycopg import sql

from mrtrade.clock import Scalar, to_ns
from mrtrade.data.digest import Digest
from mrtrade.data.merge import merge_sorted
from mrtrade.data.rows import write_rows
from mrtrade.data.store import Chunk, Entry, Series, Source
from mrtrade.data.timescale import aggregates, ledger
from mrtrade.data.timescale.connection import Connection, Connections, connect, told
from mrtrade.data.timescale.copying import HEADER, TRAILER, Packer
from mrtrade.data.timescale.edition import Edition, find_edition
from mrtrade.data.timescale.layout import Layout, layout
from mrtrade.data.timescale.locks import Writers
from mrtrade.data.timescale.migrations import is_set_up, pending
from mrtrade.data.timescale.reading import Reader
from mrtrade.data.timescale.settings import TimescaleSettings, load_settings
from mrtrade.data.timescale.spool import spooled
from mrtrade.errors import StoreError
from mrtrade.instruments import from_lake, to_lake


class TimescaleStore:
    """A store in a database.

    Parameters
    ----------
    url : str
        As `open_store` takes it.
    settings : TimescaleSettings, optional
        Taken instead of `url`.

    Attributes
    ----------
    url : str
        ``postgresql://user@host:port/database``, without a password.
    edition : Edition
        What the server offers.

    Raises
    ------
    StoreError
        If the server cannot be reached or refuses, or the database is not set up.
    """

    def __init__(self, url: str = "timescale", settings: TimescaleSettings | None = None) -> None:
        self.settings = settings or load_settings(url)
        self.url = self.settings.url
        # Not through the pool: that would try a wrong password until its time is up.
        with connect(self.settings) as connection, told(self.settings):
            self.edition = self._check(connection)
        self._connections = Connections(self.settings)
        self._writers = Writers(self._connections)

    def __repr__(self) -> str:
        return f"TimescaleStore({self.url!r})"

    def _check(self, connection: Connection) -> Edition:
        missing = pending(connection, self.settings)
        if missing:
            is_new = not is_set_up(connection)
            raise StoreError(
                "the database is not set up" if is_new else f"it lacks {missing[0].file}",
                file=self.url,
                remedy=f"run, as its owner: mrtrade db {'init' if is_new else 'migrate'} "
                f"--store {self.url}",
            )
        return find_edition(connection)

    # ---- reading

    def series(self) -> list[Series]:
        """Return (table, exchange, symbol) of all that is stored; symbols as users write them."""
        found = self._connections.retrying(ledger.list_series)
        return [(table, exchange, from_lake(symbol)) for table, exchange, symbol in found]

    def days(self, table: str, exchange: str, symbol: str) -> list[str]:
        """Return the UTC days stored, in order."""
        series = _series(table, exchange, symbol)
        return self._connections.retrying(lambda one: ledger.list_days(one, *series))

    def entries(
        self,
        table: str,
        exchange: str,
        symbol: str,
        start: Scalar | None = None,
        end: Scalar | None = None,
    ) -> list[Entry]:
        """Return the manifest of the partitions that hold rows of a span, in order."""
        found = self._find(_series(table, exchange, symbol), *_span(start, end))
        return [partition.entry for partition in found]

    def _find(self, series: Series, low: int, high: int) -> list[ledger.Partition]:
        return self._connections.retrying(lambda one: ledger.find(one, *series, low, high))

    def batches(
        self,
        table: str,
        exchange: str,
        symbol: str,
        start: Scalar | None = None,
        end: Scalar | None = None,
        columns: Sequence[str] | None = None,
    ) -> Iterator[Chunk]:
        """Yield the rows of a span in order, a batch at a time.

        Raises
        ------
        StoreError
            If nothing of the series is stored, a partition is replaced while it is read, or rows
            of it are missing.
        """
        series = _series(table, exchange, symbol)
        low, high = _span(start, end)
        found = self._find(series, low, high)
        if not found and not self.days(table, exchange, symbol):
            raise self._nothing(table, exchange, symbol)
        shape = layout(table)
        names = shape.schema.names if columns is None else list(columns)
        yield from Reader(self._connections, shape, names, low, high).chunks(found)

    def read(
        self,
        table: str,
        exchange: str,
        symbol: str,
        start: Scalar | None = None,
        end: Scalar | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the rows of a span in order, as one table."""
        schema = layout(table).schema
        if columns is not None:
            schema = pa.schema([schema.field(name) for name in columns])
        chunks = self.batches(table, exchange, symbol, start, end, columns)
        return pa.concat_tables([schema.empty_table(), *(chunk.rows for chunk in chunks)])

    def verify(
        self,
        table: str,
        exchange: str,
        symbol: str,
        start: Scalar | None = None,
        end: Scalar | None = None,
    ) -> list[str]:
        """Return the partitions whose rows are not those that were written."""
        faults = []
        shape = layout(table)
        series = _series(table, exchange, symbol)
        for partition in self._find(series, *_span(start, end)):
            entry = partition.entry
            low, high = ledger.day_span(entry.day)
            digest = Digest(shape.schema)
            try:
                reader = Reader(self._connections, shape, shape.schema.names, low, high)
                for chunk in reader.chunks([partition]):
                    digest.add(chunk.rows)
            except StoreError as error:
                faults.append(error.what)
                continue
            if digest.sha256().hex() != entry.sha256:
                where = f"{shape.name} {entry.exchange} {entry.symbol} {entry.day}"
                faults.append(f"{where}: its values are not those that were written")
        return faults

    # ---- writing

    @contextmanager
    def writing(self, series: Collection[Series] = ()) -> Iterator[None]:
        """Keep others from writing to some series, or, with none named, to all; may be nested.

        Holds for this thread; another thread of the process waits like any other writer.

        Raises
        ------
        StoreError
            If another is writing and does not end within ``lock_timeout_s``.
        """
        with self._writers.writing(series):
            yield

    def write(
        self, table: str, exchange: str, symbol: str, rows: pa.Table | pd.DataFrame
    ) -> list[Entry]:
        """Check rows and add them, each to the day of its `received_time`.

        Rows written before are kept; the same rows written twice are stored once.

        Raises
        ------
        DataError
            If a row is wrong; nothing is written then.
        """
        return write_rows(self, table, exchange, symbol, rows)

    def write_day(
        self,
        table: str,
        exchange: str,
        symbol: str,
        day: str,
        streams: Sequence[tuple[Source, Iterator[pa.Table]]],
        *,
        keep: bool,
    ) -> Entry:
        """Write one partition, whole or not at all, from checked and sorted streams.

        With `keep` what is stored already stays, as the first of the sources.
        """
        series = _series(table, exchange, symbol)
        shape = layout(table)
        sources = tuple(source for source, _ in streams)
        tables = [rows for _, rows in streams]
        with self._writers.writing([(table, exchange, symbol)]) as connection:
            if not keep:
                rows = merge_sorted(tables)
                return self._replace(connection, shape, series, day, sources, rows)
            low, high = ledger.day_span(day)
            stored = self._find(series, low, high)
            sources = tuple(one for held in stored for one in held.entry.sources) + sources
            reader = Reader(self._connections, shape, shape.schema.names, low, high)
            kept = (chunk.rows for chunk in reader.chunks(stored))
            with spooled(shape.schema, merge_sorted([kept, *tables])) as rows:
                return self._replace(connection, shape, series, day, sources, rows)

    def _replace(
        self,
        connection: Connection,
        shape: Layout,
        series: Series,
        day: str,
        sources: tuple[Source, ...],
        tables: Iterator[pa.Table],
    ) -> Entry:
        """Put rows in the place of a partition: all in one transaction."""
        low, high = ledger.day_span(day)
        where = " ".join((shape.name, *series[1:], day))
        digest, marker = Digest(shape.schema), ledger.Marker()
        first = last = None
        with connection.transaction():
            symbol_id = ledger.number(connection, *series[1:])
            if self.edition.kind == "community":
                _prepare_columnstore(connection, self.edition)
                aggregates.ask(connection, shape.table, day)
            _delete(connection, shape, symbol_id, low, high)
            # As long as the rows take to come.
            connection.execute("SET LOCAL statement_timeout = 0")
            packer = Packer(shape, symbol_id)
            with connection.cursor() as cursor, cursor.copy(_copy(shape, packer)) as copy:
                copy.write(HEADER)
                for rows in tables:
                    if not len(rows):
                        continue
                    received = rows["received_time"].to_numpy()
                    if received[0] < (low if last is None else last) or received[-1] >= high:
                        raise StoreError(
                            f"rows of {where} that are not of that day, or not in order",
                            expected="rows by received_time, all of one UTC day",
                            remedy="report this: rows are sorted before they come here",
                        )
                    first = int(received[0]) if first is None else first
                    last = int(received[-1])
                    digest.add(rows)
                    marker.add(received)
                    for buffer in packer(rows):
                        copy.write(buffer)
                copy.write(TRAILER)
            if first is None or last is None:
                raise StoreError(
                    f"no rows of {where}", remedy="remove the partition: Store.remove_day"
                )
            sha256 = digest.sha256().hex()
            entry = Entry(*series, day, digest.rows, digest.size, sha256, first, last, sources)
            marks = np.array(marker.rows, np.int64), np.array(marker.times, np.int64)
            ledger.put(connection, ledger.Partition(entry, symbol_id, *marks))
        self._refresh(connection)
        return entry

    def _refresh(self, connection: Connection) -> None:
        if self.edition.kind == "community":
            aggregates.refresh_after_write(connection)

    def remove_day(self, table: str, exchange: str, symbol: str, day: str) -> None:
        """Remove one partition.

        Raises
        ------
        StoreError
            If there is none.
        """
        series = _series(table, exchange, symbol)
        low, high = ledger.day_span(day)
        with self._writers.writing([(table, exchange, symbol)]) as connection:
            found = self._find(series, low, high)
            if not found:
                raise StoreError(
                    f"no {table} of {exchange} {symbol} on {day} in the store", file=self.url
                )
            with connection.transaction():
                if self.edition.kind == "community":
                    _prepare_columnstore(connection, self.edition)
                    aggregates.ask(connection, table, day)
                _delete(connection, layout(table), found[0].symbol_id, low, high)
                ledger.drop(connection, table, found[0].symbol_id, day)
            self._refresh(connection)

    def refresh(self) -> int:
        """Bring continuous aggregates up to date, where rows were written by who may not.

        Returns
        -------
        int
            Days that were waiting; 0 on an edition whose aggregates are views.
        """
        if self.edition.kind != "community":
            return 0
        with self._connections.lend() as connection:
            return aggregates.refresh(connection)

    def close(self) -> None:
        """Close all connections. The store can not be used any more."""
        self._connections.close()

    def _nothing(self, table: str, exchange: str, symbol: str) -> StoreError:
        held = [f"{e} {s}" for t, e, s in self.series() if t == table]
        return StoreError(
            f"no {table} of {exchange} {symbol} in the store",
            file=self.url,
            expected=f"one of {', '.join(held)}" if held else "a store that holds some",
            remedy="ingest it: mrtrade ingest PATH",
        )


def _series(table: str, exchange: str, symbol: str) -> Series:
    return layout(table).table, exchange.upper(), to_lake(symbol)


def _span(start: Scalar | None, end: Scalar | None) -> tuple[int, int]:
    low = np.iinfo(np.int64).min if start is None else to_ns(start)
    high = np.iinfo(np.int64).max if end is None else to_ns(end)
    return int(low), int(high)


def _delete(connection: Connection, shape: Layout, symbol_id: int, low: int, high: int) -> None:
    connection.execute(
        sql.SQL(
            "DELETE FROM {} WHERE symbol_id = %s AND received_time >= %s AND received_time < %s"
        ).format(sql.Identifier(shape.name)),
        [symbol_id, pd.Timestamp(low, tz="UTC"), pd.Timestamp(high, tz="UTC")],
    )


def _prepare_columnstore(connection: Connection, edition: Edition) -> None:
    """Let a transaction replace rows of the columnstore, and COPY straight into it."""
    # Versions that delete row by row would stop at 100,000.
    connection.execute("SET LOCAL timescaledb.max_tuples_decompressed_per_dml_transaction = 0")
    if edition.direct:  # rows come in the order of the columnstore
        connection.execute("SET LOCAL timescaledb.enable_direct_compress_copy = on")
        connection.execute("SET LOCAL timescaledb.enable_direct_compress_copy_client_sorted = on")


def _copy(shape: Layout, packer: Packer) -> sql.Composed:
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(shape.name), sql.SQL(", ").join(map(sql.Identifier, packer.names))
    )

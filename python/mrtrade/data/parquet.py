"""The embedded store: a folder of Parquet files that DuckDB, Polars and Spark read as they are.

Layout: ``<root>/<table>/exchange=E/symbol=S/dt=YYYY-MM-DD/part.parquet``, dt being the UTC day of
`received_time` and S Crypto Lake's spelling; beside each part its manifest, ``_manifest.json``.

A part is written beside its place, synced and renamed: readers see the old file or the new one,
never half of one. It carries its own list of sources, so that data and provenance change in the
same instant; a manifest left behind by an interruption is noticed by that list and made again.
Any number of processes may read; one at a time may write: it locks the store's folder, and its end,
however it comes, frees it. (A file system that knows no locks leaves that to its users.)

Encodings are chosen for the speed of reading: LZ4, dictionaries for prices and sizes, which repeat,
and none for times and numbers, whose rows repeat the bytes of the row before. On a recorded day of
a perpetual's deltas that reads in less than half the time of zstd and dictionaries throughout, and
is no larger.
"""

import errno
import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from io import BufferedReader
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mrtrade.clock import NS_PER_DAY, Scalar, to_ns, utc_day
from mrtrade.data.checks import Checker
from mrtrade.data.merge import merge_sorted
from mrtrade.data.schemas import TABLES, Table
from mrtrade.data.store import Chunk, Entry, Series, Source
from mrtrade.errors import StoreError
from mrtrade.instruments import from_lake, to_lake

ROW_GROUP_ROWS = 1 << 20
"""Rows of a row group."""

BATCH_ROWS = 1 << 17
"""Rows given out at a time: small enough that their copies do not count beside a tape."""

_PART = "part.parquet"
_MANIFEST = "_manifest.json"  # other readers pass over names that begin with _ or .
_TEMPORARY = ".tmp-"
_SOURCES = b"mrtrade.sources"


class ParquetStore:
    """A store in a folder.

    Parameters
    ----------
    root : path
        Made at the first write.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.url = str(self.root.absolute())
        self._lock = threading.RLock()
        self._writers = 0

    def __repr__(self) -> str:
        return f"ParquetStore({str(self.root)!r})"

    # ---- reading

    def series(self) -> list[tuple[str, str, str]]:
        """Return (table, exchange, symbol) of all that is stored; symbols as users write them."""
        found = {
            path.parts[-5:-2] for path in self.root.glob(f"*/exchange=*/symbol=*/dt=*/{_PART}")
        }
        return sorted(
            (table, _value(exchange), from_lake(_value(symbol)))
            for table, exchange, symbol in found
        )

    def days(self, table: str, exchange: str, symbol: str) -> list[str]:
        """Return the UTC days stored, in order."""
        folder = self._series_folder(table, exchange, symbol)
        return sorted(_value(path.parent.name) for path in folder.glob(f"dt=*/{_PART}"))

    def entries(
        self,
        table: str,
        exchange: str,
        symbol: str,
        start: Scalar | None = None,
        end: Scalar | None = None,
    ) -> list[Entry]:
        """Return the manifest of the partitions that hold rows of a span, in order."""
        low, high = _span(start, end)
        # A day that cannot hold rows of the span is not opened.
        days = [
            day
            for day in self.days(table, exchange, symbol)
            if to_ns(day) < high and to_ns(day) + NS_PER_DAY > low
        ]
        found = [self._entry(table, exchange, symbol, day) for day in days]
        return [one for one in found if one.first_received < high and one.last_received >= low]

    def batches(
        self,
        table: str,
        exchange: str,
        symbol: str,
        start: Scalar | None = None,
        end: Scalar | None = None,
        columns: Sequence[str] | None = None,
    ) -> Iterator[Chunk]:
        """Yield the rows of a span in order, a batch at a time."""
        if not self.days(table, exchange, symbol):
            raise self._nothing(table, exchange, symbol)
        low, high = _span(start, end)
        schema = _schema(table, columns)
        names = schema.names
        wanted = list(dict.fromkeys([*names, "received_time"]))
        for entry in self.entries(table, exchange, symbol, start, end):
            path = self._day_folder(table, exchange, symbol, entry.day) / _PART
            first = 0
            with pq.ParquetFile(path, pre_buffer=False) as file:
                for index in range(file.num_row_groups):
                    group = file.metadata.row_group(index)
                    if not _overlaps(group, low, high):
                        first += group.num_rows
                        continue
                    for batch in file.iter_batches(
                        BATCH_ROWS, row_groups=[index], columns=wanted, use_threads=False
                    ):
                        times = batch["received_time"].to_numpy()
                        a, b = (int(cut) for cut in np.searchsorted(times, [low, high]))
                        if b > a:
                            rows = pa.Table.from_batches([batch.slice(a, b - a).select(names)])
                            # Parts of older versions let every column be null; none is.
                            yield Chunk(str(path), first + a, rows.cast(schema))
                        first += len(batch)

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
        schema = _schema(table, columns)
        chunks = self.batches(table, exchange, symbol, start, end, columns)
        return pa.concat_tables([schema.empty_table(), *(chunk.rows for chunk in chunks)])

    # ---- writing

    @contextmanager
    def writing(self, series: Collection[Series] = ()) -> Iterator[None]:
        """Keep other processes from writing to the store, whatever the series; may be nested.

        Raises
        ------
        StoreError
            If another process is writing.
        """
        with self._lock, ExitStack() as held:
            if not self._writers:
                self.root.mkdir(parents=True, exist_ok=True)
                folder = os.open(self.root, os.O_RDONLY)
                held.callback(os.close, folder)  # frees the lock too
                try:
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise StoreError(
                        "another process is writing to the store",
                        file=self.root,
                        remedy="run it again when that one has ended",
                    ) from None
                except OSError as error:
                    if error.errno not in (errno.EBADF, errno.ENOLCK, errno.ENOTSUP):
                        raise
            self._writers += 1
            try:
                yield
            finally:
                self._writers -= 1

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
        if isinstance(rows, pd.DataFrame):
            rows = pa.Table.from_pandas(rows, preserve_index=False)
        where = f"<{table} {exchange} {symbol}>"
        checker = Checker(_table(table), where, exchange.upper(), to_lake(symbol), rows.schema)
        checked = checker(rows)
        cuts, days = split_days(checked)
        digest = _digest_of_rows(checked)
        source = Source(f"rows-{digest[:16]}", checked.nbytes, digest, tuple(days))
        written = []
        with self.writing():
            for day, (a, b) in zip(days, cuts, strict=True):
                stored = day in self.days(table, exchange, symbol)
                if stored and source in self._entry(table, exchange, symbol, day).sources:
                    continue
                stream = (source, iter([checked.slice(a, b - a)]))
                written.append(self.write_day(table, exchange, symbol, day, [stream], keep=stored))
        return written

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
        with self.writing():
            return self._write_day(table, exchange, symbol, day, streams, keep)

    def _write_day(
        self,
        table: str,
        exchange: str,
        symbol: str,
        day: str,
        streams: Sequence[tuple[Source, Iterator[pa.Table]]],
        keep: bool,
    ) -> Entry:
        folder = self._day_folder(table, exchange, symbol, day)
        sources = [source for source, _ in streams]
        tables = [rows for _, rows in streams]
        if keep:
            sources = [*self._entry(table, exchange, symbol, day).sources, *sources]
            start = to_ns(day)
            stored = self.batches(table, exchange, symbol, start, start + NS_PER_DAY)
            tables = [(chunk.rows for chunk in stored), *tables]
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{_TEMPORARY}*"):  # of an interrupted writer
            left.unlink(missing_ok=True)
        schema = TABLES[table].schema.with_metadata(
            {_SOURCES: json.dumps([asdict(source) for source in sources])}
        )
        temporary = folder / f"{_TEMPORARY}{_PART}"
        try:
            _write_parquet(temporary, schema, merge_sorted(tables))
            _sync(temporary)
            os.replace(temporary, folder / _PART)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        for one in (folder, *folder.parents[:4]):  # up to the root: each may be new
            _sync(one)
        return self._entry(table, exchange, symbol, day)

    def remove_day(self, table: str, exchange: str, symbol: str, day: str) -> None:
        """Remove one partition."""
        folder = self._day_folder(table, exchange, symbol, day)
        with self.writing():
            (folder / _PART).unlink()
            (folder / _MANIFEST).unlink(missing_ok=True)
            folder.rmdir()

    def verify(
        self,
        table: str,
        exchange: str,
        symbol: str,
        start: Scalar | None = None,
        end: Scalar | None = None,
    ) -> list[str]:
        """Return the parts whose bytes are not those that were written."""
        faults = []
        for entry in self.entries(table, exchange, symbol, start, end):
            path = self._day_folder(table, exchange, symbol, entry.day) / _PART
            with path.open("rb") as part:
                if hashlib.file_digest(part, "sha256").hexdigest() != entry.sha256:
                    faults.append(f"{path}: its bytes are not those that were written")
        return faults

    def close(self) -> None:
        """Do nothing: a folder holds nothing open."""

    # ---- manifest

    def _entry(self, table: str, exchange: str, symbol: str, day: str) -> Entry:
        """Return the manifest of a partition, made again where it is not that of the part."""
        folder = self._day_folder(table, exchange, symbol, day)
        with _opened(folder / _PART) as part:  # one open file is one version, whoever writes
            metadata = pq.read_metadata(part)
            facts: dict[str, Any] = {
                "table": table,
                "exchange": exchange.upper(),
                "symbol": to_lake(symbol),
                "day": day,
                "rows": metadata.num_rows,
                "size": part.seek(0, os.SEEK_END),
                "sources": json.loads(metadata.metadata[_SOURCES]),
            }
            known = _read_manifest(folder / _MANIFEST)
            if any(known.get(name) != fact for name, fact in facts.items()):
                part.seek(0)
                groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
                known = {
                    **facts,
                    "sha256": hashlib.file_digest(part, "sha256").hexdigest(),
                    "first_received": _times(groups[0])[0],
                    "last_received": _times(groups[-1])[1],
                }
                _write_manifest(folder / _MANIFEST, known)
        sources = tuple(
            Source(**{**source, "days": tuple(source["days"])}) for source in known["sources"]
        )
        return Entry(**{**known, "sources": sources})

    def _series_folder(self, table: str, exchange: str, symbol: str) -> Path:
        folder = self.root / _table(table).name
        return folder / f"exchange={exchange.upper()}" / f"symbol={to_lake(symbol)}"

    def _day_folder(self, table: str, exchange: str, symbol: str, day: str) -> Path:
        return self._series_folder(table, exchange, symbol) / f"dt={day}"

    def _nothing(self, table: str, exchange: str, symbol: str) -> StoreError:
        held = [f"{e} {s}" for t, e, s in self.series() if t == table]
        return StoreError(
            f"no {table} of {exchange} {symbol} in the store",
            file=self.root,
            expected=f"one of {', '.join(held)}" if held else "a store that holds some",
            remedy="ingest it: mrtrade ingest PATH",
        )


def split_days(rows: pa.Table) -> tuple[list[tuple[int, int]], list[str]]:
    """Return the (first, end) rows of each UTC day of sorted rows, and the days."""
    times = rows["received_time"].to_numpy()
    days = np.unique(times // NS_PER_DAY)
    cuts = np.searchsorted(times, np.append(days, days[-1:] + 1) * NS_PER_DAY)
    spans = [(int(a), int(b)) for a, b in pairwise(cuts)]
    return spans, [utc_day(int(day) * NS_PER_DAY) for day in days]


def _write_parquet(path: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    waiting: list[pa.Table] = []
    count = 0
    repeating = [field.name for field in schema if field.type != pa.int64()]
    with pq.ParquetWriter(path, schema, compression="lz4", use_dictionary=repeating) as writer:

        def flush() -> None:
            writer.write_table(pa.concat_tables(waiting), row_group_size=ROW_GROUP_ROWS)

        for table in tables:
            waiting.append(table)
            count += len(table)
            if count >= ROW_GROUP_ROWS:
                flush()
                waiting, count = [], 0
        if count:
            flush()


@contextmanager
def _opened(part: Path) -> Iterator[BufferedReader]:
    try:
        with part.open("rb") as file:
            yield file
    except (OSError, pa.ArrowException, KeyError, TypeError) as error:
        raise StoreError(
            f"not a partition of a store: {error}",
            file=part,
            remedy="delete the folder it is in and ingest that day again",
        ) from error


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known


def _write_manifest(path: Path, known: dict[str, Any]) -> None:
    # Readers make a stale one again too. They may lose the race against a writer, or may not write
    # at all: the part is what counts, and a manifest that is not its own is always noticed.
    temporary = path.with_name(f"{_TEMPORARY}{os.getpid()}-{threading.get_ident()}{_MANIFEST}")
    with suppress(OSError):
        temporary.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        _sync(temporary)
        os.replace(temporary, path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _table(name: str) -> Table:
    if name not in TABLES:
        raise StoreError("unknown table", value=name, expected=f"one of {', '.join(TABLES)}")
    return TABLES[name]


def _schema(table: str, columns: Sequence[str] | None) -> pa.Schema:
    schema = _table(table).schema
    return schema if columns is None else pa.schema([schema.field(name) for name in columns])


def _value(folder: str) -> str:
    return folder.partition("=")[2]


def _span(start: Scalar | None, end: Scalar | None) -> tuple[int, int]:
    low = np.iinfo(np.int64).min if start is None else to_ns(start)
    high = np.iinfo(np.int64).max if end is None else to_ns(end)
    return low, high


def _times(group: Any) -> tuple[int, int]:
    """Return the first and last received_time of a row group, from its statistics."""
    statistics = group.column(1).statistics  # received_time is the second column of every table
    return int(statistics.min), int(statistics.max)


def _overlaps(group: Any, low: int, high: int) -> bool:
    first, last = _times(group)
    return first < high and last >= low


def _digest_of_rows(rows: pa.Table) -> str:
    digest = hashlib.sha256()
    for column in rows.columns:
        if pa.types.is_string(column.type):
            digest.update("\0".join(map(str, column.to_pylist())).encode())
        else:
            digest.update(column.to_numpy().tobytes())
    return digest.hexdigest()

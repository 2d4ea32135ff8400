"""The store itself: partitions, their manifests, and who may write.

A part carries its own list of sources, so that data and provenance change in the same instant; a
manifest left behind by an interruption is noticed by that list and made again. Any number of
processes may read; one at a time may write.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mrtrade.clock import NS_PER_DAY, Scalar, to_ns
from mrtrade.data.merge import merge_sorted
from mrtrade.data.parquet import layout
from mrtrade.data.parquet.files import Files, R, ReplacedError
from mrtrade.data.parquet.files_local import LocalFiles
from mrtrade.data.parquet.parts import (
    read_part,
    sources_of,
    times,
    write_part,
)
from mrtrade.data.rows import write_rows
from mrtrade.data.schemas import known_table
from mrtrade.data.store import Chunk, Entry, Series, Source
from mrtrade.errors import StoreError
from mrtrade.instruments import to_lake

_ATTEMPTS = 5
"""How often a reader begins anew when a part is replaced under it."""


class ParquetStore:
    """A store in a folder, or on S3 and what speaks like it.

    Parameters
    ----------
    root : path or str
        A folder, made at the first write, or ``s3://bucket/prefix``. Credentials, region and
        endpoint (``AWS_ENDPOINT_URL_S3``) come from where AWS's own tools take them.

    Attributes
    ----------
    root : Path or str
    url : str

    Raises
    ------
    StoreError
        If a bucket cannot be reached or refuses.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.files = _files(root)
        self.root = self.files.root
        self.url = self.files.url
        self._lock = threading.RLock()
        self._writers = 0

    def __repr__(self) -> str:
        return f"ParquetStore({str(self.root)!r})"

    # ---- reading

    def series(self) -> list[tuple[str, str, str]]:
        """Return (table, exchange, symbol) of all that is stored; symbols as users write them."""
        return sorted({layout.parse_key(key)[:3] for key in self.files.glob(layout.ALL_PARTS)})

    def days(self, table: str, exchange: str, symbol: str) -> list[str]:
        """Return the UTC days stored, in order."""
        folder = layout.series_folder(table, exchange, symbol)
        found = self.files.glob(f"{folder}/dt=*/{layout.PART}")
        return sorted(layout.parse_key(key)[3] for key in found)

    def entries(
        self,
        table: str,
        exchange: str,
        symbol: str,
        start: Scalar | None = None,
        end: Scalar | None = None,
    ) -> list[Entry]:
        """Return the manifest of the partitions that hold rows of a span, in order."""
        return self._entries(
            table, exchange, symbol, self.days(table, exchange, symbol), start, end
        )

    def _entries(
        self,
        table: str,
        exchange: str,
        symbol: str,
        days: list[str],
        start: Scalar | None,
        end: Scalar | None,
    ) -> list[Entry]:
        low, high = _span(start, end)
        wanted = _days_within(days, low, high)
        found = self.files.each(lambda day: self._entry(table, exchange, symbol, day), wanted)
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
        """Yield the rows of a span in order, a batch at a time.

        Raises
        ------
        StoreError
            If nothing is stored of the series, a part is damaged, or, on S3, was replaced between
            two batches of it.
        """
        days = self.days(table, exchange, symbol)
        if not days:
            raise self._nothing(table, exchange, symbol)
        low, high = _span(start, end)
        schema = _schema(table, columns)
        for entry in self._entries(table, exchange, symbol, days, start, end):
            key = f"{layout.day_folder(table, exchange, symbol, entry.day)}/{layout.PART}"
            where = self.files.path(key)
            with _sound(where), self.files.open(key) as file:
                for first, rows in read_part(file, schema.names, low, high):
                    # Parts of older versions let every column be null; none is.
                    yield Chunk(where, first, rows.cast(schema))

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

        def whole() -> list[pa.Table]:
            chunks = self.batches(table, exchange, symbol, start, end, columns)
            return [chunk.rows for chunk in chunks]

        return pa.concat_tables([schema.empty_table(), *_anew(whole)])

    # ---- writing

    @contextmanager
    def writing(self, series: Collection[Series] = ()) -> Iterator[None]:
        """Keep other processes from writing to the store, whatever the series; may be nested.

        Raises
        ------
        StoreError
            If another process is writing.
        """
        with self._lock:
            if self._writers:
                yield
                return
            with self.files.lock():
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

        Raises
        ------
        StoreError
            If it cannot be written; what was stored is as it was.
        """
        key = f"{layout.day_folder(table, exchange, symbol, day)}/{layout.PART}"
        sources = [source for source, _ in streams]
        tables = [rows for _, rows in streams]
        with self.writing():
            with self.files.write(key) as path:
                if keep:
                    sources = [*self._entry(table, exchange, symbol, day).sources, *sources]
                    start = to_ns(day)
                    stored = self.batches(table, exchange, symbol, start, start + NS_PER_DAY)
                    tables = [(chunk.rows for chunk in stored), *tables]
                write_part(path, known_table(table), sources, merge_sorted(tables))
                with path.open("rb") as made:
                    digest = hashlib.file_digest(made, "sha256").hexdigest()
            return self._entry(table, exchange, symbol, day, digest)

    def remove_day(self, table: str, exchange: str, symbol: str, day: str) -> None:
        """Remove one partition."""
        folder = layout.day_folder(table, exchange, symbol, day)
        with self.writing():
            if day not in self.days(table, exchange, symbol):
                raise StoreError(f"no {table} of {day}", file=self.files.path(folder))
            # The manifest first: a part without one is whole.
            self.files.remove(f"{folder}/{layout.MANIFEST}", f"{folder}/{layout.PART}")

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
        low, high = _span(start, end)
        for day in _days_within(self.days(table, exchange, symbol), low, high):
            key = f"{layout.day_folder(table, exchange, symbol, day)}/{layout.PART}"
            where = self.files.path(key)
            try:
                entry = self._entry(table, exchange, symbol, day)
                if entry.first_received >= high or entry.last_received < low:
                    continue
                with _sound(where), self.files.open(key) as part:
                    is_same = _sha256(part) == entry.sha256
            except StoreError as error:  # so damaged that not even its end can be read
                faults.append(f"{where}: {error.what}")
                continue
            if not is_same:
                faults.append(f"{where}: its bytes are not those that were written")
        return faults

    def close(self) -> None:
        """Do nothing: between calls a store holds nothing open."""

    # ---- manifest

    def _entry(
        self, table: str, exchange: str, symbol: str, day: str, digest: str | None = None
    ) -> Entry:
        """Return the manifest of a partition, made again where it is not that of the part.

        `digest` is the part's SHA-256 where it is known: a part that was just written.
        """
        return layout.as_entry(_anew(lambda: self._known(table, exchange, symbol, day, digest)))

    def _known(
        self, table: str, exchange: str, symbol: str, day: str, digest: str | None
    ) -> dict[str, Any]:
        folder = layout.day_folder(table, exchange, symbol, day)
        key, manifest = f"{folder}/{layout.PART}", f"{folder}/{layout.MANIFEST}"
        with _sound(self.files.path(key)), self.files.open(key) as part:
            metadata = pq.read_metadata(part)
            facts: dict[str, Any] = {
                "table": table,
                "exchange": exchange.upper(),
                "symbol": to_lake(symbol),
                "day": day,
                "rows": metadata.num_rows,
                "size": part.size(),
                "sources": sources_of(metadata),
            }
            if digest:
                facts["sha256"] = digest
            known = layout.parse_manifest(self.files.read(manifest))
            if any(known.get(name) != fact for name, fact in facts.items()):
                groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
                known = {
                    "sha256": digest or _sha256(part),
                    **facts,
                    "first_received": times(groups[0])[0],
                    "last_received": times(groups[-1])[1],
                }
                # Readers make a stale one again too. They may lose the race against a writer, or
                # may not write at all: the part is what counts, and a manifest that is not its own
                # is always noticed.
                self.files.note(manifest, layout.manifest_bytes(known))
            return known

    def _nothing(self, table: str, exchange: str, symbol: str) -> StoreError:
        held = [f"{e} {s}" for t, e, s in self.series() if t == table]
        return StoreError(
            f"no {table} of {exchange} {symbol} in the store",
            file=str(self.root),
            expected=f"one of {', '.join(held)}" if held else "a store that holds some",
            remedy="ingest it: mrtrade ingest PATH",
        )


def _files(root: str | os.PathLike[str]) -> Files:
    if not os.fspath(root).startswith("s3://"):
        return LocalFiles(root)
    from mrtrade.data.parquet.files_s3 import S3Files

    return S3Files(os.fspath(root))


@contextmanager
def _sound(where: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, KeyError, TypeError) as error:
        raise StoreError(
            f"not a partition of a store: {error}",
            file=where,
            remedy="delete the folder it is in and ingest that day again",
        ) from error


def _anew(function: Callable[[], R]) -> R:
    """Call a function that reads, and again while what it reads is replaced under it."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return function()
        except ReplacedError:
            continue
    return function()


def _sha256(part: pa.NativeFile) -> str:
    part.seek(0)
    return hashlib.file_digest(part, "sha256").hexdigest()


def _days_within(days: list[str], low: int, high: int) -> list[str]:
    """Return the days that can hold rows of a span; no other is opened."""
    return [day for day in days if to_ns(day) < high and to_ns(day) + NS_PER_DAY > low]


def _schema(table: str, columns: Sequence[str] | None) -> pa.Schema:
    schema = known_table(table).schema
    return schema if columns is None else pa.schema([schema.field(name) for name in columns])


def _span(start: Scalar | None, end: Scalar | None) -> tuple[int, int]:
    low = np.iinfo(np.int64).min if start is None else to_ns(start)
    high = np.iinfo(np.int64).max if end is None else to_ns(end)
    return low, high

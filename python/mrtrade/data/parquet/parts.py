"""A partition as a Parquet file: how it is encoded, and how its rows are found again.

Encodings are measured, see docs/parquet.md: zstd at level 1; integers as differences, which times
and ids repeat; dictionaries for all else, since prices and sizes repeat. Row groups of a quarter of
a million rows carry statistics, so that a reader of a part of a day skips the rest, and every page
a checksum, so that a bit that fell over is an error and never a price.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mrtrade.data.parquet.files_local import told
from mrtrade.data.schemas import Table
from mrtrade.data.store import Source
from mrtrade.errors import StoreError

ROW_GROUP_ROWS = 1 << 18
"""Rows of a row group."""

BATCH_ROWS = 1 << 17
"""Rows given out at a time: small enough that their copies do not count beside a tape."""

_SOURCES = b"mrtrade.sources"


def write_part(
    path: Path, table: Table, sources: Sequence[Source], rows: Iterator[pa.Table]
) -> None:
    """Write sorted rows to a file. It carries its own list of sources.

    Raises
    ------
    StoreError
        If it cannot be written, e.g. because the disk is full.
    """
    carried = {_SOURCES: json.dumps([asdict(source) for source in sources])}
    schema = table.schema.with_metadata(carried)
    whole = [field.name for field in schema if field.type == pa.int64()]
    # Only around what is written: an error of what is read must not pass for one of the store.
    with told(path):
        writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=[name for name in schema.names if name not in whole],
            column_encoding=dict.fromkeys(whole, "DELTA_BINARY_PACKED"),
            write_page_checksum=True,
            write_page_index=True,
        )
    try:
        count = 0
        for group in _groups(rows):
            count += len(group)
            with told(path):
                writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
        if not count:
            raise StoreError("a partition without rows", value=table.name, remedy="remove the day")
    finally:
        with told(path):
            writer.close()


def _groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    count = 0
    for table in tables:
        waiting.append(table)
        count += len(table)
        if count >= ROW_GROUP_ROWS:
            yield pa.concat_tables(waiting)
            waiting, count = [], 0
    if count:
        yield pa.concat_tables(waiting)


def read_part(
    file: pa.NativeFile, names: Sequence[str], low: int, high: int
) -> Iterator[tuple[int, pa.Table]]:
    """Yield (first row, rows) of ``low <= received_time < high``, a batch at a time."""
    wanted = list(dict.fromkeys([*names, "received_time"]))
    first = 0
    apart = not isinstance(file, pa.OSFile)  # requests are worth joining; reads of a disk are not
    with pq.ParquetFile(file, pre_buffer=apart, page_checksum_verification=True) as part:
        for index in range(part.num_row_groups):
            group = part.metadata.row_group(index)
            start, end = times(group)
            if start >= high or end < low:
                first += group.num_rows
                continue
            for batch in part.iter_batches(
                BATCH_ROWS, row_groups=[index], columns=wanted, use_threads=False
            ):
                received = batch["received_time"].to_numpy()
                a, b = (int(cut) for cut in np.searchsorted(received, [low, high]))
                if b > a:
                    rows = pa.Table.from_batches([batch.slice(a, b - a).select(names)])
                    yield first + a, rows
                first += len(batch)


def sources_of(metadata: Any) -> list[dict[str, Any]]:
    """Return the sources that a part carries, as its manifest spells them."""
    sources: list[dict[str, Any]] = json.loads(metadata.metadata[_SOURCES])
    return sources


def times(group: Any) -> tuple[int, int]:
    """Return the first and last received_time of a row group, from its statistics."""
    statistics = group.column(1).statistics  # received_time is the second column of every table
    return int(statistics.min), int(statistics.max)

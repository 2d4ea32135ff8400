"""Rows put aside on disk until all of them are there."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa


@contextmanager
def spooled(schema: pa.Schema, tables: Iterator[pa.Table]) -> Iterator[Iterator[pa.Table]]:
    """Give out rows again that were put aside: what they are made of is read to its end first.

    A merge reads the stored rows; a transaction that waited for them would hold its locks for as
    long as the sources take to be read, and on a server with a single backend for ever.
    """
    with tempfile.TemporaryDirectory(prefix="mrtrade-") as folder:
        path = Path(folder) / "rows.arrow"
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.ipc.new_stream(path, schema, options=options) as writer:
            for rows in tables:
                writer.write_table(rows)
        with pa.ipc.open_stream(pa.memory_map(str(path))) as reader:
            yield (pa.Table.from_batches([batch]) for batch in reader)

"""Rows put aside on disk until all of them are there."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from mrtrade.data.parquet.files_local import told


@contextmanager
def spooled(schema: pa.Schema, tables: Iterator[pa.Table]) -> Iterator[Iterator[pa.Table]]:
    """Give out rows again that were put aside: what they are made of is read to its end first.

    A merge reads the stored rows; a transaction that waited for them would hold its locks for as
    long as the sources take to be read, and on a server with a single backend for ever.
    """
    with tempfile.TemporaryDirectory(prefix="mrtrade-") as folder:
        path = Path(folder) / "rows.arrow"
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with told(path):
            writer = pa.ipc.new_stream(path, schema, options=options)
        try:
            for rows in tables:
                with told(path):
                    writer.write_table(rows)
        finally:
            with told(path):
                writer.close()
        with pa.ipc.open_stream(pa.memory_map(str(path))) as reader:
            yield (pa.Table.from_batches([batch]) for batch in reader)

"""Files of other sources, written by hand after their documentation, and what is read of them."""

import gzip
import zipfile
from pathlib import Path

import pyarrow as pa

from mrtrade.data.checks import Checks
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.providers.files import discover


def packed(path: Path, text: str | bytes) -> Path:
    """Write a file, packed as its ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = text.encode() if isinstance(text, str) else text
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(raw))
    elif path.suffix == ".zst":
        with pa.CompressedOutputStream(str(path), "zstd") as out:
            out.write(raw)
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(path.with_suffix(".csv").name, raw)
    else:
        path.write_bytes(raw)
    return path


def read(path: Path, on_bad: str = "error", **hints):
    """(table, exchange, symbol) -> rows of a file as dicts; and the `Checks`, series by series."""
    rows, checks = {}, {}
    files, _ = discover(path, **hints)
    for file in files:
        key = (file.table, file.exchange, file.symbol)
        checks[key] = Checks(on_bad)
        found = [row for table in file.read(checks[key]) for row in table.to_pylist()]
        if found:
            rows[key] = found
    return rows, checks


def column(rows, name):
    return [row[name] for row in rows]


def contents(store: ParquetStore):
    """Every series of a store as one table."""
    return {series: store.read(*series) for series in store.series()}


def brought_in(path: Path, folder: Path, **options):
    store = ParquetStore(folder)
    return ingest(path, store, **options), store

"""The recordings in ../shared/data as the store should give them back, read without mrtrade."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mrtrade.data.schemas import TABLES
from mrtrade.data.store import Series

RAW = {"timestamp": "origin_time", "receipt_timestamp": "received_time"}


def recorded(lake: Path) -> Iterator[tuple[Series, pa.Table]]:
    """Yield every series and its rows, those of `series_of` too."""
    parts: dict[Series, list[pa.Table]] = defaultdict(list)
    for path in sorted(lake.glob("*/exchange=*/symbol=*/dt=*/*.parquet")):
        table, exchange, symbol = path.relative_to(lake).parts[:3]
        symbol = symbol.partition("=")[2]
        base, _, rest = symbol.partition("-")
        series = (table, exchange.partition("=")[2], f"{base}/{rest}")
        rows = pq.read_table(path, partitioning=None)
        rows = rows.rename_columns([RAW.get(name, name) for name in rows.column_names])
        parts[series].append(as_stored(series[0], rows))
    for series, tables in parts.items():
        yield series, pa.concat_tables(tables)
    yield from series_of(lake)


def series_of(lake: Path) -> Iterator[tuple[Series, pa.Table]]:
    """Yield histories that are one file a series, as candles and funding.

    Nobody received them row by row: all their rows are given the time at which the last was known.
    """
    for path in sorted((lake / "ohlcv").glob("*.parquet")):
        rows = pq.read_table(path)
        exchange, symbol = path.stem.removesuffix("_5m").rsplit("_", 1)
        start = rows["start"].cast(pa.int64()).to_numpy()
        stop = start + 300 * 10**9
        columns = {
            "origin_time": stop,
            "received_time": np.full_like(stop, stop[-1]),
            "start": start,
            "stop": stop,
            **{name: rows[name] for name in ("open", "high", "low", "close", "volume")},
        }
        yield (
            ("candles", f"{exchange}_HISTORY", symbol.replace("-", "/", 1)),
            as_stored("candles", pa.table(columns)),
        )
    for path in sorted((lake / "funding_history").glob("*.parquet")):
        rows = pq.read_table(path)
        exchange, symbol = path.stem.rsplit("_", 1)
        time = rows["funding_time"].to_numpy()
        columns = {
            "origin_time": time,
            "received_time": np.full_like(time, time[-1]),
            "rate": rows["rate"],
        }
        yield (
            ("funding", exchange, symbol.replace("-", "/", 1)),
            as_stored("funding", pa.table(columns)),
        )


def as_stored(table: str, rows: pa.Table) -> pa.Table:
    """Fill what may be missing, as `mrtrade.data.schemas` says."""
    columns = []
    for column in TABLES[table].columns:
        if column.name in rows.column_names:
            columns.append(rows[column.name].cast(column.type))
        else:
            assert column.gaps, f"{table} without {column.name}"
            missing = {pa.int64(): 0 if column.name.endswith("time") else -1, pa.float64(): np.nan}
            columns.append(pa.array([missing.get(column.type)] * len(rows), column.type))
    return pa.table(columns, schema=TABLES[table].schema)

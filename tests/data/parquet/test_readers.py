"""What other tools read of a store is what the store gives, to the last bit."""

import duckdb
import numpy as np
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mrtrade.clock import NS_PER_DAY
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.schemas import TABLES
from mrtrade.data.store import Source
from mrtrade.errors import StoreError

from ..lake import DAY, T0, deltas, put, trades

HERE = ("book_delta_v2", "BINANCE", "BTC/USDT")
SCHEMA = TABLES["book_delta_v2"].schema


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr("mrtrade.data.parquet.parts.ROW_GROUP_ROWS", 1_000)
    rng = np.random.default_rng(1)
    rows = deltas(
        *[
            (i * NS_PER_DAY // 4_000, i // 3, i % 2 == 0, 100 + i % 7, rng.random())
            for i in range(6_000)  # a day and a half
        ]
    )
    flow = trades(*[(i, ("buy", "sell")[i % 2], 1 + i, 100, f"id-{i}") for i in range(50)])
    lake = tmp_path / "lake"
    put(lake, "book_delta_v2", rows)
    put(lake, "book_delta_v2", rows, symbol="ETH-USDT")
    put(lake, "trades", flow)
    store = ParquetStore(tmp_path / "store")
    ingest(lake, store)
    return store


def test_duckdb(store):
    folder = store.root / "book_delta_v2"
    source = f"read_parquet('{folder}/**/part.parquet', hive_partitioning = true)"
    names = ", ".join(SCHEMA.names)
    found = duckdb.sql(f"SELECT {names} FROM {source} WHERE symbol = 'BTC-USDT' ORDER BY 2")
    assert found.to_arrow_table().cast(SCHEMA).equals(store.read(*HERE))
    days = duckdb.sql(f"SELECT dt, count(*) FROM {source} GROUP BY dt ORDER BY dt").fetchall()
    assert [(str(day), rows) for day, rows in days] == [(DAY, 8_000), ("2024-08-09", 4_000)]


@pytest.mark.parametrize("table", ["book_delta_v2", "trades"])
def test_polars(store, table):
    found = polars.scan_parquet(store.root / table / "**/*.parquet", hive_partitioning=True).filter(
        (polars.col("symbol") == "BTC-USDT") & (polars.col("received_time") < T0 + NS_PER_DAY)
    )
    schema = TABLES[table].schema
    rows = found.select(schema.names).collect().to_arrow().cast(schema)
    assert rows.equals(store.read(table, "BINANCE", "BTC/USDT", DAY, T0 + NS_PER_DAY))


def test_statistics_let_a_reader_skip(store):
    """Each row group tells the first and last time that it holds; they do not overlap."""
    part = next(iter(store.root.glob(f"book_delta_v2/*/symbol=BTC-USDT/dt={DAY}/part.parquet")))
    metadata = pq.read_metadata(part)
    assert metadata.num_row_groups == 4
    spans = []
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        columns = [group.column(at) for at in range(group.num_columns)]
        assert {column.compression for column in columns} == {"ZSTD"}
        by_name = {column.path_in_schema: column for column in columns}
        assert by_name["received_time"].has_column_index
        assert by_name["price"].statistics.max == 106.0
        times = by_name["received_time"].statistics
        spans += [times.min, times.max]
    assert spans == sorted(spans)


def test_every_bit_of_a_number_comes_back(tmp_path):
    """Dictionaries tell -0.0 from 0.0, and one NaN from another."""
    odd = np.array([0x7FF8000000000000, 0x7FF8000000000001, 0xFFF8000000000123, 1 << 63, 0, 1])
    bits = np.resize(odd.astype(np.uint64), 600)
    schema = TABLES["level_1"].schema
    times = T0 + np.arange(600)
    columns = {field.name: bits.view(np.float64) for field in schema}
    columns |= {"origin_time": times, "received_time": times, "sequence_number": -times}
    rows = pa.table(columns, schema=schema)
    store = ParquetStore(tmp_path)
    store.write_day(
        "level_1",
        "BINANCE",
        "BTC/USDT",
        DAY,
        [(Source("x", 1, "0", (DAY,)), iter([rows]))],
        keep=False,
    )
    found = store.read("level_1", "BINANCE", "BTC/USDT")
    for name in schema.names:
        one, other = found[name].to_numpy(), rows[name].to_numpy()
        np.testing.assert_array_equal(one.view(np.uint64), other.view(np.uint64))


def test_a_bit_that_fell_over_is_an_error(store):
    [entry, _] = store.entries(*HERE)
    [part] = store.root.glob(f"book_delta_v2/*/symbol=BTC-USDT/dt={DAY}/part.parquet")
    content = bytearray(part.read_bytes())
    group = pq.read_metadata(part).row_group(2)
    sizes = group.column(SCHEMA.get_field_index("size"))
    content[sizes.data_page_offset + sizes.total_compressed_size // 2] ^= 1
    part.write_bytes(content)
    assert store.entries(*HERE)[0] == entry  # its rows, size and sources are the same
    with pytest.raises(StoreError, match=r"not a partition of a store: .*CRC"):
        store.read(*HERE)
    [fault] = store.verify(*HERE)
    assert str(part) in fault
    assert store.verify("book_delta_v2", "BINANCE", "ETH/USDT") == []

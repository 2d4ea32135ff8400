import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mrcore.market import SyntheticMarket
from mrtrade.data.synthetic import write_lake

MIDNIGHT = 1_704_153_600_000_000_000  # 2024-01-02
LEVELS = pa.schema(
    [
        ("timestamp", pa.int64()),
        ("receipt_timestamp", pa.int64()),
        ("sequence_number", pa.int64()),
        ("side_is_bid", pa.bool_()),
        ("price", pa.float64()),
        ("size", pa.float64()),
    ]
)
TRADES = pa.schema(
    [
        ("side", pa.string()),
        ("amount", pa.float64()),
        ("price", pa.float64()),
        ("id", pa.int64()),
        ("timestamp", pa.int64()),
        ("receipt_timestamp", pa.int64()),
    ]
)


def test_folder_is_crypto_lakes(tmp_path):
    # half a second before midnight on the exchange's clock; what arrives later is the next day's
    run = SyntheticMarket(3, start_ns=MIDNIGHT - 500_000_000, latency_ns=5e6).run(1)
    paths = write_lake(tmp_path / "lake", run, "SYNTHETIC", "ETH/USDT-PERP")
    where = "exchange=SYNTHETIC/symbol=ETH-USDT-PERP"
    assert [str(path.relative_to(tmp_path / "lake")) for path in paths] == [
        f"book_seed/{where}/dt=2024-01-01/1.parquet",
        f"book_delta_v2/{where}/dt=2024-01-01/1.parquet",
        f"book_delta_v2/{where}/dt=2024-01-02/1.parquet",
        f"trades/{where}/dt=2024-01-01/1.parquet",
        f"trades/{where}/dt=2024-01-02/1.parquet",
    ]
    seed, *days = (pq.ParquetFile(path).read() for path in paths)
    assert seed.schema == LEVELS
    for table in days[:2]:
        assert table.schema == LEVELS
    for table in days[2:]:
        assert table.schema == TRADES
    for before, after in (days[:2], days[2:]):
        assert before["receipt_timestamp"].to_numpy().max() < MIDNIGHT
        assert after["receipt_timestamp"].to_numpy().min() >= MIDNIGHT
        assert after["timestamp"].to_numpy().min() < MIDNIGHT + 10**9
    deltas, trades = pa.concat_tables(days[:2]), pa.concat_tables(days[2:])
    for table, columns in ((seed, run.snapshot), (deltas, run.deltas)):
        for raw, name in (("timestamp", "origin_time"), ("receipt_timestamp", "received_time")):
            np.testing.assert_array_equal(table[raw].to_numpy(), columns[name])
        for name in ("sequence_number", "side_is_bid", "price", "size"):
            np.testing.assert_array_equal(table[name].to_numpy(), columns[name])
    assert trades["side"].to_pylist() == ["buy" if s > 0 else "sell" for s in run.trades["side"]]
    for raw, name in (("amount", "quantity"), ("price", "price"), ("id", "trade_id")):
        np.testing.assert_array_equal(trades[raw].to_numpy(), run.trades[name])


def test_same_run_same_files_and_a_file_is_replaced(tmp_path):
    run = SyntheticMarket(3).run(1)
    first = [path.read_bytes() for path in write_lake(tmp_path, run)]
    write_lake(tmp_path, SyntheticMarket(4).run(1))
    assert [path.read_bytes() for path in write_lake(tmp_path, run)] == first

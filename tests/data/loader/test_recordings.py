"""On real recordings: bars against the exchange's candles, books against books rebuilt apart."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mrtrade.clock import NS_PER_DAY, NS_PER_MS, to_ns
from mrtrade.data.book_snapshots import BookSampler, level_names
from mrtrade.data.ingest import ingest
from mrtrade.data.loader import DataLoader
from mrtrade.data.parquet import ParquetStore
from mrtrade.instruments import instrument

pytestmark = pytest.mark.shared

RECORDINGS = [
    ("BINANCE", "BTC-USDT", ("2024-08-08", "2024-08-09")),
    ("BINANCE", "ETH-USDT", ("2024-08-08", "2024-08-09")),
    ("BINANCE", "NEXO-USDT", ("2024-07-23", "2024-07-24")),
    ("BINANCE_FUTURES", "BTC-USDT-PERP", ("2024-07-18", "2024-07-19")),
    ("BINANCE_DELIVERY", "ETH-USD-PERP", ("2024-08-08", "2024-08-09")),
]


def folder_of(shared_data, table, exchange, symbol):
    return shared_data / "lake" / table / f"exchange={exchange}" / f"symbol={symbol}"


def filled(shared_data, root, tables, exchange, symbol, days):
    store = ParquetStore(root)
    for table in tables:
        for day in days:
            folder = folder_of(shared_data, table, exchange, symbol) / f"dt={day}"
            if folder.exists():
                ingest(folder, store)
    return store


@pytest.mark.parametrize("symbol", ["BTC-USDT", "ETH-USDT"])
def test_bars_of_trades_are_the_exchanges_candles(shared_data, tmp_path, symbol):
    days = ("2024-08-08", "2024-08-09")
    load = {}
    for table in ("trades", "candles"):
        store = filled(shared_data, tmp_path / table, [table], "BINANCE", symbol, days)
        load[table] = DataLoader("binance", store, cache=False).load_ohlcv
    ours = load["trades"](symbol, "1m")
    theirs = load["candles"](symbol, "1m", ours.index[0] - pd.Timedelta("1min"), ours.index[-1])
    assert len(ours) == 10
    assert (ours.attrs["source"], theirs.attrs["source"]) == ("trades", "candles of 60 s")
    names = ["open", "high", "low", "close"]
    pd.testing.assert_frame_equal(ours[names], theirs[names], check_freq=False, check_exact=True)
    np.testing.assert_allclose(ours["volume"], theirs["volume"], rtol=1e-14)
    # Trap: a bar that ends at 23:56 is there at 23:56, not at its beginning.
    assert str(ours.index[0]) == "2024-08-08 23:56:00+00:00"
    five = load["trades"](symbol, "5m")
    pd.testing.assert_frame_equal(
        five[names],
        load["candles"](symbol, "5m", five.index[0] - pd.Timedelta("5min"), five.index[-1])[names],
        check_freq=False,
        check_exact=True,
    )


@pytest.mark.parametrize(("exchange", "symbol", "days"), RECORDINGS)
def test_snapshots_are_the_recorded_books(shared_data, tmp_path, exchange, symbol, days):
    tables = ["book_delta_v2", "book_seed"]
    store = filled(shared_data, tmp_path, tables, exchange, symbol, days)
    paths = [folder_of(shared_data, "book", exchange, symbol) / f"dt={day}" for day in days]
    book = pa.concat_tables([pq.read_table(path / "1.parquet") for path in paths]).to_pandas()
    times = book["receipt_timestamp"].to_numpy()
    span = (times[0] - NS_PER_DAY, times[-1] + 1)
    found = BookSampler(store, instrument(exchange, symbol), *span, 20).at(times)
    # Several messages may have come at one time: those before the last are not seen.
    same = found["sequence_number"] == book["sequence_number"].to_numpy()
    assert same.mean() > 0.9
    for name in level_names(20):
        np.testing.assert_array_equal(found[name][same], book[name].to_numpy()[same], name)


def test_book_is_what_had_been_received_by_then(shared_data, tmp_path):
    """Each snapshot holds the last message received by its time, and no later one."""
    where = ("BINANCE", "BTC-USDT")
    days = ("2024-08-08", "2024-08-09")
    store = filled(shared_data, tmp_path, ["book_delta_v2", "book_seed"], *where, days)
    frame = DataLoader("binance", store, cache=False).load_order_book_snapshots(
        "BTC/USDT", interval="50ms", depth=1
    )
    deltas = store.read("book_delta_v2", *where).to_pandas()
    at = np.searchsorted(deltas["received_time"], to_ns(frame.index), side="right") - 1
    seeded = frame["seeded"].to_numpy()
    assert seeded.sum() > 12_000
    numbers = deltas["sequence_number"].to_numpy()[at]
    np.testing.assert_array_equal(frame["sequence_number"][seeded], numbers[seeded])
    age = (frame.index - frame["received_time"]) / pd.Timedelta(NS_PER_MS, "ns")
    assert age.min() >= 0
    assert age.median() < 100  # a message every 100 ms

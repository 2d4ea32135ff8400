"""Bad input: one clear error that names file, row, value and remedy; the store is untouched."""

import numpy as np
import pyarrow as pa
import pytest

from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.tape import load_tape
from mrtrade.errors import DataError
from mrtrade.instruments import instrument

from .lake import SECOND, T0, deltas, put, trades, tree

GOOD = deltas((0, 1, True, 100, 1), (1, 1, False, 101, 2), (2, 2, True, 100, 0))
GOOD_TRADES = trades((0, "buy", 1, 100, 7), (1, "sell", 2, 100, 8))


def replaced(rows, column, values, type_=None):
    at = rows.schema.get_field_index(column)
    return rows.set_column(at, column, pa.array(values, type_))


BAD_TABLES = {
    # name: (table, rows, row named, what the message says)
    "missing column": ("book_delta_v2", GOOD.drop(["price"]), None, "missing column price"),
    "time given twice": (
        "book_delta_v2",
        GOOD.append_column("origin_time", GOOD["timestamp"]),
        None,
        "column given twice",
    ),
    "price as text": (
        "book_delta_v2",
        replaced(GOOD, "price", ["1", "2", "3"]),
        None,
        "price: wrong type, was 'string'; expected float64",
    ),
    "price as float32": (
        "book_delta_v2",
        replaced(GOOD, "price", [1, 2, 3], pa.float32()),
        None,
        "wrong type, was 'float'",
    ),
    "side as integer": (
        "book_delta_v2",
        replaced(GOOD, "side_is_bid", [1, 0, 1]),
        None,
        "side_is_bid: wrong type",
    ),
    "received time as float": (
        "book_delta_v2",
        replaced(GOOD, "receipt_timestamp", [1.7e18] * 3),
        None,
        "received_time: wrong type, was 'double'",
    ),
    "received time unsorted": (
        "book_delta_v2",
        replaced(GOOD, "receipt_timestamp", [T0, T0 + 5, T0 + 4]),
        2,
        f"was {T0 + 4}; expected {T0 + 5}, the row before, or later",
    ),
    "received time in milliseconds": (
        "book_delta_v2",
        replaced(GOOD, "receipt_timestamp", [T0 // 10**6] * 3),
        0,
        "received_time: out of range",
    ),
    "received time missing": (
        "book_delta_v2",
        replaced(GOOD, "receipt_timestamp", [T0, None, T0], pa.timestamp("ns")),
        1,
        "missing value",
    ),
    "exchange time in milliseconds": (
        "book_delta_v2",
        replaced(GOOD, "timestamp", [T0, T0 // 10**6, T0]),
        1,
        "not a time of the exchange",
    ),
    "exchange time in the far future": (
        "book_delta_v2",
        replaced(GOOD, "timestamp", [T0, T0, T0 + 10**6 * SECOND]),
        2,
        "at most an hour after received_time",
    ),
    "price NaN": (
        "book_delta_v2",
        replaced(GOOD, "price", [1, float("nan"), 1.0]),
        1,
        "price: not a number, was nan; expected a finite number > 0",
    ),
    "price null": ("book_delta_v2", replaced(GOOD, "price", [1.0, 2.0, None]), 2, "missing value"),
    "price infinite": (
        "book_delta_v2",
        replaced(GOOD, "price", [np.inf, 1, 1]),
        0,
        "price: out of range, was inf",
    ),
    "price zero": ("book_delta_v2", replaced(GOOD, "price", [1.0, 0.0, 1.0]), 1, "was 0.0"),
    "size negative": (
        "book_delta_v2",
        replaced(GOOD, "size", [0, 1, -0.5]),
        2,
        "size: out of range, was -0.5; expected a finite number >= 0",
    ),
    "trade of nothing": (
        "trades",
        replaced(GOOD_TRADES, "amount", [1.0, 0.0]),
        1,
        "quantity: out of range, was 0.0; expected a finite number > 0",
    ),
    "trade at a negative price": (
        "trades",
        replaced(GOOD_TRADES, "price", [-1.0, 1.0]),
        0,
        "price: out of range, was -1.0",
    ),
    "unknown side": (
        "trades",
        replaced(GOOD_TRADES, "side", ["buy", "b"]),
        1,
        "side: unknown side, was 'b'; expected 'buy' or 'sell'",
    ),
    "no rows": ("book_delta_v2", GOOD.slice(0, 0), None, "no rows"),
    "another exchange's rows": (
        "book_delta_v2",
        GOOD.append_column("exchange", pa.array(["BINANCE", "BINANCE", "BYBIT"])),
        2,
        "two exchanges in one folder, was 'BYBIT'; expected BINANCE, as the folder says",
    ),
    "another symbol's rows": (
        "book_delta_v2",
        GOOD.append_column(
            "symbol", pa.array(["BTC-USDT", "ETH-USDT", "BTC-USDT"]).dictionary_encode()
        ),
        1,
        "two symbols in one folder, was 'ETH-USDT'",
    ),
}


@pytest.fixture
def filled(tmp_path):
    """A store that holds a good day, and the lake that it came from."""
    lake, store = tmp_path / "lake", ParquetStore(tmp_path / "store")
    put(lake, "book_delta_v2", GOOD)
    put(lake, "trades", GOOD_TRADES)
    ingest(lake, store)
    return lake, store


def refused(lake, store):
    before = tree(store.root)
    assert before
    with pytest.raises(DataError) as caught:
        ingest(lake, store)
    assert tree(store.root) == before
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_rows(filled, case):
    lake, store = filled
    table, rows, row, says = BAD_TABLES[case]
    put(lake, table, GOOD if table == "book_delta_v2" else GOOD_TRADES, symbol="AAA-USDT")
    bad = put(lake, table, rows, symbol="ZZZ-USDT" if row is None else "BTC-USDT")
    error = refused(lake, store)
    assert error.file == str(bad)
    assert error.row == row
    assert says in str(error)


def test_row_is_counted_over_the_whole_file(filled, monkeypatch):
    from mrtrade.data.providers import lake_folder

    monkeypatch.setattr(lake_folder, "BATCH_ROWS", 3)
    lake, store = filled
    rows = pa.concat_tables([GOOD.slice(0, 1)] * 10)
    bad = put(lake, "book_delta_v2", replaced(rows, "size", [1.0] * 7 + [-1.0] + [1.0] * 2))
    error = refused(lake, store)
    assert (error.file, error.row, error.value) == (str(bad), 7, -1.0)
    times = [T0 + i for i in (0, 1, 2, 3, 4, 5, 4, 5, 6, 7)]  # falls where one batch meets the next
    put(lake, "book_delta_v2", replaced(rows, "receipt_timestamp", times))
    assert refused(lake, store).row == 6


@pytest.mark.parametrize("keep", [0, 3, 0.5, 0.95])
def test_truncated_file(filled, keep):
    lake, store = filled
    bad = put(lake, "book_delta_v2", GOOD, day="2024-08-09")
    content = bad.read_bytes()
    bad.write_bytes(content[: keep if isinstance(keep, int) else int(len(content) * keep)])
    error = refused(lake, store)
    assert error.file == str(bad)
    assert "not a whole Parquet file" in str(error)


def test_damaged_page(filled):
    """The footer is whole, so only reading to the end shows it."""
    lake, store = filled
    bad = put(
        lake, "book_delta_v2", GOOD, day="2024-08-09", compression="zstd", use_dictionary=False
    )
    content = bytearray(bad.read_bytes())
    content[4:200] = bytes(196)
    bad.write_bytes(content)
    error = refused(lake, store)
    assert error.file == str(bad)
    assert "not a whole Parquet file" in str(error)


def test_path_without_an_exchange(filled):
    lake, store = filled
    bad = lake / "trades" / "BINANCE" / "1.parquet"
    bad.parent.mkdir()
    put(lake, "trades", GOOD_TRADES).rename(bad)
    error = refused(lake, store)
    assert error.file == str(bad)
    assert "the path has no folder exchange=" in str(error)


def test_path_with_two_exchanges(filled):
    lake, store = filled
    bad = put(lake / "trades" / "exchange=BYBIT", "trades", GOOD_TRADES)
    error = refused(lake, store)
    assert error.file == str(bad)
    assert "the path says two exchanges, was 'BYBIT and BINANCE'" in str(error)


def test_nothing_to_read(filled):
    lake, store = filled
    empty = lake / "empty"
    empty.mkdir()
    assert "nothing here that mrtrade can read" in str(refused(empty, store))


def test_price_off_the_tick_size(filled):
    lake, store = filled
    put(lake, "book_delta_v2", deltas((0, 1, True, 100.25, 1), (1, 2, False, 100.5, 2)))
    ingest(lake, store)
    before = tree(store.root)
    steps = {"tick_size": 0.5, "lot_size": 1}
    with pytest.raises(DataError) as caught:
        load_tape(store, instrument("BINANCE", "BTC/USDT", **steps))
    error = caught.value
    assert error.file.endswith("dt=2024-08-08/part.parquet")
    assert (error.row, error.key, error.value) == (0, "price", 100.25)
    assert "expected a multiple of 0.5" in str(error)
    assert "tick_size=0.25" in str(error)
    assert tree(store.root) == before


def test_written_frames_pass_the_same_door(tmp_path):
    store = ParquetStore(tmp_path / "store")
    bad = replaced(GOOD, "size", [1.0, -1.0, 1.0])
    with pytest.raises(DataError, match="out of range"):
        store.write("book_delta_v2", "BINANCE", "BTC/USDT", bad)
    assert not store.root.exists()

"""Tardis' files. Written by hand after docs.tardis.dev: no file of Tardis itself is at hand."""

import pytest

from mrtrade.data.providers import csv_rows, recording
from mrtrade.errors import ConfigError, DataError

from .files import brought_in, column, packed, read

BOOK = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n"
TRADES = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
T = 1_598_918_400_000_000  # 2020-09-01, microseconds
WHERE = ("BINANCE_FUTURES", "BTC-USDT-PERP")
DELTAS, SEEDS = ("book_delta_v2", *WHERE), ("book_seed", *WHERE)
NAME = "binance-futures_incremental_book_L2_2020-09-01_BTCUSDT.csv.gz"


def book(*rows):
    """Lines of (exchange's time, local time, snapshot?, side, price, amount), times from T."""
    lines = [
        f"binance-futures,BTCUSDT,{T + t},{T + local},{str(whole).lower()},{side},{price},{amount}"
        for t, local, whole, side, price, amount in rows
    ]
    return BOOK + "\n".join(lines) + "\n"


DAY = book(
    (1, 9, False, "bid", 99, 1),  # buffered, of before the snapshot
    (5, 10, True, "bid", 100, 1.5),
    (5, 10, True, "ask", 101, 2),
    (6, 20, False, "bid", 100, 0),
    (6, 20, False, "ask", 101.5, 3),
    (8, 30, True, "bid", 98, 1),  # reconnected: a new book
    (8, 31, True, "ask", 103, 1),
    (9, 40, False, "ask", 103, 4),
)


@pytest.mark.parametrize("block", [100, 200, 1 << 20])
@pytest.mark.parametrize("name", [NAME, "book.csv"])
def test_runs_of_snapshots_are_seeds(tmp_path, monkeypatch, block, name):
    monkeypatch.setattr(csv_rows, "BLOCK_BYTES", block)
    rows, checks = read(packed(tmp_path / name, DAY))
    assert [(r["received_time"] - T * 1000) // 1000 for r in rows[DELTAS]] == [9, 20, 20, 40]
    assert [(r["origin_time"] - T * 1000) // 1000 for r in rows[DELTAS]] == [1, 6, 6, 9]
    assert column(rows[DELTAS], "size") == [1, 0, 3, 4]
    assert column(rows[DELTAS], "side_is_bid") == [True, True, False, False]
    assert set(column(rows[DELTAS] + rows[SEEDS], "sequence_number")) == {-1}
    # one time a snapshot, that of its last row: only then is the book known
    assert [(r["received_time"] - T * 1000) // 1000 for r in rows[SEEDS]] == [10, 10, 31, 31]
    assert column(rows[SEEDS], "price") == [100, 101, 98, 103]
    [early] = checks[DELTAS].findings
    assert (early.rule, early.count) == ("before_snapshot", 1)


def test_trades(tmp_path):
    text = TRADES + (
        f"binance-futures,BTCUSDT,{T},{T + 7},1001,buy,11650.5,0.25\n"
        f"binance-futures,BTCUSDT,{T + 1},{T + 8},,sell,11650,1\n"
    )
    rows, _ = read(packed(tmp_path / "t.csv.gz", text))
    assert rows == {
        ("trades", *WHERE): [
            {
                "origin_time": (T + one) * 1000,
                "received_time": (T + 7 + one) * 1000,
                "side": side,
                "quantity": quantity,
                "price": price,
                "trade_id": number,
            }
            for one, side, quantity, price, number in [
                (0, "buy", 0.25, 11650.5, "1001"),
                (1, "sell", 1.0, 11650.0, None),
            ]
        ]
    }


@pytest.mark.parametrize(
    ("venue", "native", "where"),
    [
        ("binance", "ETHBTC", ("BINANCE", "ETH-BTC")),
        ("binance-delivery", "BTCUSD_PERP", ("BINANCE_DELIVERY", "BTC-USD-PERP")),
        ("binance-futures", "BTCUSDT_240927", ("BINANCE_FUTURES", "BTC-USDT-24U27")),
        ("bybit", "SOLUSDT", ("BYBIT", "SOL-USDT-PERP")),
        ("bybit-spot", "SOLUSDT", ("BYBIT", "SOL-USDT")),
        ("coinbase", "BTC-USD", ("COINBASE", "BTC-USD")),
        ("okex-swap", "UNI-USD-SWAP", ("OKX", "UNI-USD-PERP")),
        ("okex-futures", "BTC-USD-220527", ("OKX", "BTC-USD-22K27")),
        ("okex", "BTC-USDT", ("OKX", "BTC-USDT")),
    ],
)
def test_names_of_instruments(tmp_path, venue, native, where):
    text = f"{TRADES}{venue},{native},{T},{T},1,buy,1,1\n"
    rows, _ = read(packed(tmp_path / "t.csv", text))
    assert list(rows) == [("trades", *where)]


def test_a_symbol_that_cannot_be_told_apart(tmp_path):
    path = packed(tmp_path / "t.csv", f"{TRADES}binance,ABCXYZ,{T},{T},1,buy,1,1\n")
    with pytest.raises(DataError, match="cannot tell base and quote") as caught:
        read(path)
    assert caught.value.file == str(path)
    rows, _ = read(path, symbol="ABC/XYZ")
    assert list(rows) == [("trades", "BINANCE", "ABC-XYZ")]


BAD = {
    "text for a price": ("binance-futures,BTCUSDT,{t},{t},false,bid,1O0,1", "price: cannot be"),
    "too few values": ("binance-futures,BTCUSDT,{t},{t},false,bid,100", "7 values, expected 8"),
    "bytes that are no text": ("binance-futures,BTCUSDT\xff,{t}", "3 values, expected 8"),
    "another symbol": ("binance-futures,ETHUSDT,{t},{t},false,bid,100,1", "expected BTCUSDT"),
    "another side": ("binance-futures,BTCUSDT,{t},{t},false,buy,100,1", "expected bid or ask"),
    "no price": ("binance-futures,BTCUSDT,{t},{t},false,bid,,1", "price: not a number"),
    "price below zero": ("binance-futures,BTCUSDT,{t},{t},false,bid,-1,1", "price: out of range"),
    "time in milliseconds": (
        "binance-futures,BTCUSDT,1598918400000,1598918400000,false,bid,1,1",
        "received_time: out of range",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_lines(tmp_path, kind):
    line, reason = BAD[kind]
    lines = DAY.splitlines()
    lines.insert(5, line.format(t=T + 20))
    path = packed(tmp_path / "in" / NAME, ("\n".join(lines) + "\n").encode("latin-1"))
    with pytest.raises(DataError) as caught:
        brought_in(path, tmp_path / "none")
    assert reason.partition(": ")[2] in str(caught.value)
    assert NAME in caught.value.file
    assert not list((tmp_path / "none").rglob("*.parquet"))

    report, store = brought_in(path, tmp_path / "store", on_bad="quarantine")
    [refused] = store.read("quarantine", *WHERE).to_pylist()
    assert reason in refused["reason"]
    assert refused["source"].startswith(f"tardis/{NAME}@")
    assert report.quarantined == 1
    assert store.read(*DELTAS).num_rows == 4
    assert store.read(*SEEDS).num_rows == 4
    if "values" in reason or "cannot" in reason or "expected" in reason.partition(":")[2]:
        assert refused["row"] == 5


@pytest.mark.parametrize("batch", [1, 1 << 16])
def test_trades_without_an_aggressor(tmp_path, monkeypatch, batch):
    monkeypatch.setattr(recording, "CHUNK_ROWS", batch)
    trades = [
        ("unknown", 5),
        ("buy", 5),
        ("unknown", 6),
        ("unknown", 6),
        ("buy", 4),
        ("unknown", 4),
    ]
    lines = [
        f"okex,BTC-USDT,{T},{T + at},{at},{side},{price},1"
        for at, (side, price) in enumerate(trades)
    ]
    path = packed(tmp_path / "t.csv", TRADES + "\n".join(lines))
    with pytest.raises(DataError, match=r"a trade without an aggressor.*--aggressor tick"):
        brought_in(path, tmp_path / "none")
    report, _ = brought_in(path, tmp_path / "aside", on_bad="quarantine")
    assert report.quarantined == 4
    # the first trade of all follows no change of the price
    with pytest.raises(DataError, match=r"tick cannot tell it either.*--on-bad quarantine"):
        brought_in(path, tmp_path / "none", aggressor="tick")
    report, store = brought_in(path, tmp_path / "store", aggressor="tick", on_bad="quarantine")
    assert report.quarantined == 1
    found = store.read("trades", "OKX", "BTC/USDT")["side"].to_pylist()
    assert found == ["buy", "buy", "buy", "buy", "sell"]  # what the feed says stays
    with pytest.raises(DataError, match="a trade without an aggressor"):
        brought_in(path, tmp_path / "store")  # without the rule it is another file
    with pytest.raises(ConfigError, match="needs quotes"):
        read(path, aggressor="emo")


def test_rows_out_of_order_are_sorted_and_said_so(tmp_path):
    lines = DAY.splitlines()
    lines += book((10, 60, False, "bid", 97, 1), (10, 50, False, "bid", 96, 1)).splitlines()[1:]
    report, store = brought_in(packed(tmp_path / NAME, "\n".join(lines)), tmp_path / "store")
    assert store.read(*DELTAS)["price"].to_pylist()[-2:] == [96, 97]
    [said] = [
        one
        for [*several] in report.findings.values()
        for one in several
        if one.rule == "received_order"
    ]
    assert said.text == "1 rows came out of the order of received_time, by up to 1e-05 s: sorted"


def test_two_snapshots_without_a_delta_between_are_two_books(tmp_path):
    """Reconnected twice: levels of the first that are not in the second are gone."""
    day = book(
        (5, 10, True, "bid", 100, 1),
        (5, 10, True, "bid", 99, 1),
        (5, 11, True, "ask", 102, 1),  # in pieces: still the first
        (8, 30, True, "bid", 98, 1),
        (8, 30, True, "bid", 99, 2),
        (8, 31, True, "ask", 103, 1),
        (9, 40, False, "ask", 103, 4),
    )
    rows, _ = read(packed(tmp_path / NAME, day))
    seeds = rows[SEEDS]
    assert column(seeds, "price") == [100, 99, 102, 98, 99, 103]
    known = [(T + local) * 1000 for local in (11, 11, 11, 31, 31, 31)]
    assert column(seeds, "received_time") == known

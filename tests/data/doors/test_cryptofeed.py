"""cryptofeed's captures: small ones written by hand in its format 2; real ones are in
`test_recordings`."""

import json

import pytest

from mrtrade.errors import DataError

from .files import brought_in, column, packed, read

T = 1_786_310_818.5  # seconds
NS = 1_786_310_818_500_000_000
MS = NS // 10**6


def header(exchange, **config):
    return {"t": "header", "format": 2, "exchange": exchange, "config": config, "recorded": T}


def recv(at, data, conn="ws.1"):
    return {"t": "recv", "conn": conn, "ts": T + at, "data": json.dumps(data)}


def capture(folder, *lines, name="capture.jsonl.zst"):
    texts = [
        one if isinstance(one, str) else json.dumps(one, separators=(",", ":")) for one in lines
    ]
    return packed(folder / name, "\n".join(texts) + "\n")


def ticker(at, kind, **data):
    return recv(
        at,
        {"topic": "tickers.BTCUSDT", "type": kind, "ts": MS, "data": {"symbol": "BTCUSDT", **data}},
    )


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_a_ticker_tells_only_what_changed(tmp_path, name):
    whole = {
        **dict(markPrice="100.5", indexPrice="100", fundingRate="0.0001"),
        **dict(nextFundingTime=str(MS + 5), openInterest="7"),
    }
    lines = [
        header("BYBIT", funding=["BTC-USDT-PERP"], open_interest=["BTC-USDT-PERP"]),
        ticker(0, "delta", markPrice="99"),  # nothing is known of the rate yet
        ticker(1, "snapshot", **whole),
        ticker(2, "delta", indexPrice="101"),
        ticker(3, "delta", markPrice="102"),
        ticker(4, "delta", openInterest="8"),
    ]
    rows, _ = read(capture(tmp_path, *lines, name=name))
    where = ("BYBIT", "BTC-USDT-PERP")
    funding = rows["funding", *where]
    assert column(funding, "received_time") == [NS + 10**9, NS + 3 * 10**9]
    assert column(funding, "mark_price") == [100.5, 102]
    assert column(funding, "index_price") == [100, 101]
    assert column(funding, "next_funding_time") == [NS + 5 * 10**6] * 2
    assert column(rows["open_interest", *where], "open_interest") == [7, 8]


def test_one_name_is_spot_on_one_connection_and_a_perpetual_on_another(tmp_path):
    trade = {"T": MS, "S": "Buy", "v": "1", "p": "2", "i": "x", "s": "BTCUSDT"}
    message = {"topic": "publicTrade.BTCUSDT", "ts": MS, "data": [trade]}
    lines = [
        header("BYBIT", trades=["BTC-USDT", "BTC-USDT-PERP"]),
        {"t": "connect", "conn": "a", "ts": T, "addr": "wss://stream.bybit.com/v5/public/linear"},
        {"t": "connect", "conn": "b", "ts": T, "addr": "wss://stream.bybit.com/v5/public/spot"},
        recv(1, message, conn="a"),
        recv(2, message, conn="b"),
        recv(3, message, conn="b"),
    ]
    rows, _ = read(capture(tmp_path, *lines))
    assert {key[2]: len(found) for key, found in rows.items()} == {
        "BTC-USDT": 2,
        "BTC-USDT-PERP": 1,
    }


def bybit_book(at, kind, number, conn="ws.1", topic="orderbook.200.BTCUSDT"):
    data = {"s": "BTCUSDT", "b": [["1", "2"]], "a": [], "u": number}
    return recv(at, {"topic": topic, "type": kind, "ts": MS + 1, "cts": MS, "data": data}, conn)


def test_holes_of_bybit_and_its_restarts(tmp_path):
    lines = [
        header("BYBIT", l2_book=["BTC-USDT-PERP"]),
        bybit_book(0, "snapshot", 5),
        bybit_book(1, "delta", 6),
        bybit_book(2, "delta", 9),
        bybit_book(3, "snapshot", 1),
        bybit_book(4, "delta", 2),
        bybit_book(5, "delta", 700, topic="orderbook.50.BTCUSDT"),
    ]
    rows, checks = read(capture(tmp_path, *lines))
    where = ("BYBIT", "BTC-USDT-PERP")
    assert column(rows["book_delta_v2", *where], "sequence_number") == [6, 9, 2]
    assert column(rows["book_seed", *where], "sequence_number") == [5, 1]
    assert column(rows["book_seed", *where], "origin_time") == [NS] * 2  # the matching engine's
    passed, hole = checks["book_delta_v2", *where].findings
    assert "orderbook.50.BTCUSDT, beside orderbook.200.BTCUSDT" in passed.text
    assert hole.text == "u was 9, expected 7: 2 ids missing"


def coinbase(at, number, channel, *events):
    time = "2026-08-09T21:05:48.2285688Z"
    message = {"channel": channel, "timestamp": time, "sequence_num": number, "events": events}
    return recv(at, message)


def test_the_side_of_a_trade_on_coinbase_is_the_makers(tmp_path):
    trades = [
        {
            **dict(product_id="BTC-USD", trade_id=str(at), price="100", size="1", side=side),
            "time": "2026-08-09T21:05:42.5Z",
        }
        for at, side in enumerate(("BUY", "SELL"))
    ]
    update = {
        **dict(type="update", product_id="BTC-USD"),
        "updates": [
            dict(side=side, event_time="2026-08-09T21:05:42Z", price_level="1", new_quantity="2")
            for side in ("offer", "bid")
        ],
    }
    lines = [
        header("COINBASE", trades=["BTC-USD"], l2_book=["BTC-USD", "ETH-USD"]),
        coinbase(0, 0, "market_trades", {"type": "update", "trades": trades}),
        coinbase(1, 1, "heartbeats", {}),
        coinbase(2, 3, "l2_data", update),
    ]
    rows, checks = read(capture(tmp_path, *lines))
    found = rows["trades", "COINBASE", "BTC-USD"]
    assert column(found, "side") == ["sell", "buy"]
    assert column(found, "origin_time") == [1_786_309_542_500_000_000] * 2
    book = rows["book_delta_v2", "COINBASE", "BTC-USD"]
    assert column(book, "side_is_bid") == [False, True]
    # one count for all that a connection carries: what is missing may be of either symbol
    for symbol in ("BTC-USD", "ETH-USD"):
        holes = checks["book_delta_v2", "COINBASE", symbol].findings
        assert [one.text for one in holes if one.rule == "sequence_hole"] == [
            "sequence_num was 3, expected 2: 1 ids missing"
        ]


def okx_book(at, action, **ids):
    book = {"bids": [["1", "2", "0", "1"]], "asks": [], "ts": str(MS), **ids}
    arg = {"channel": "books", "instId": "BTC-USDT"}
    return recv(at, {"arg": arg, "action": action, "data": [book]})


def test_sequence_ids_of_okx_since_2023(tmp_path):
    lines = [
        header("OKX", l2_book=["BTC-USDT"]),
        okx_book(0, "snapshot", seqId=10, prevSeqId=-1),
        okx_book(1, "update", seqId=15, prevSeqId=10),
        okx_book(2, "update", seqId=20, prevSeqId=17),
    ]
    rows, checks = read(capture(tmp_path, *lines))
    where = ("OKX", "BTC-USDT")
    assert column(rows["book_delta_v2", *where], "sequence_number") == [15, 20]
    [hole] = checks["book_delta_v2", *where].findings
    assert hole.text == "prevSeqId was 17, expected 15: 2 ids missing"


def test_snapshots_of_binance_were_asked_for(tmp_path):
    book = json.dumps({"lastUpdateId": 9, "E": MS, "T": MS, "bids": [["1", "2"]], "asks": []})
    url = "https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT&limit=1000"
    liquidation = {
        "e": "forceOrder",
        "o": {"s": "BTCUSDT", "S": "SELL", "q": "1", "p": "100", "T": MS, "X": "FILLED"},
    }
    mark = {"e": "markPriceUpdate", "E": MS, "s": "BTCUSDT", "p": "2", "i": "3", "r": "", "T": 0}
    lines = [
        header(
            "BINANCE_FUTURES",
            **{one: ["BTC-USDT-PERP"] for one in ("l2_book", "liquidations", "funding")},
        ),
        {"t": "http", "conn": "http.0", "ts": T, "url": url, "data": book},
        recv(1, {"stream": "btcusdt@forceOrder", "data": liquidation}),
        recv(2, {"stream": "btcusdt@markPrice", "data": mark}),  # dated contracts: no rate
        recv(3, {"stream": "btcusdt@markPrice", "data": {**mark, "r": "0.0001", "T": MS + 8}}),
    ]
    rows, _ = read(capture(tmp_path, *lines))
    where = ("BINANCE_FUTURES", "BTC-USDT-PERP")
    [seed] = rows["book_seed", *where]
    assert (seed["sequence_number"], seed["origin_time"], seed["received_time"]) == (9, NS, NS)
    [order] = rows["liquidations", *where]
    assert (order["side"], order["status"], order["liquidation_id"]) == ("sell", "FILLED", None)
    [funding] = rows["funding", *where]
    assert (funding["rate"], funding["next_funding_time"]) == (0.0001, NS + 8 * 10**6)


def test_bad_lines_and_what_was_not_announced(tmp_path):
    start = header("BYBIT", l2_book=["BTC-USDT-PERP"])
    path = capture(
        tmp_path / "in", start, bybit_book(0, "delta", 5), "{", bybit_book(1, "delta", 6)
    )
    with pytest.raises(DataError, match="cannot be read") as caught:
        brought_in(path, tmp_path / "none")
    assert caught.value.row == 2
    report, store = brought_in(path, tmp_path / "store", on_bad="quarantine")
    assert report.quarantined == 1
    assert store.read("book_delta_v2", "BYBIT", "BTC/USDT-PERP").num_rows == 2
    # a perpetual's trade although only its book was asked for
    trade = {"T": MS, "S": "Buy", "v": "1", "p": "2", "i": "x"}
    message = {"topic": "publicTrade.BTCUSDT", "ts": MS, "data": [trade]}
    with pytest.raises(DataError, match="does not announce"):
        read(capture(tmp_path, start, recv(0, message)))


def test_captures_of_other_exchanges_are_passed_over(tmp_path):
    capture(tmp_path / "in", header("KRAKEN", trades=["BTC-USD"]), name="KRAKEN.jsonl")
    with pytest.raises(DataError, match="nothing here that mrtrade can read"):
        brought_in(tmp_path / "in", tmp_path / "store")

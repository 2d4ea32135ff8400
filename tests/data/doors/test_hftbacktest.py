"""hftbacktest's recordings and event files. The event file is written here, bit by bit after its
documentation; the recordings themselves are in `test_recordings`."""

import gzip
import json

import numpy as np
import pytest

from mrtrade.data.providers import hftbacktest, hftbacktest_npz
from mrtrade.data.providers.hftbacktest_npz import BUY, EVENT, LOCAL, SELL
from mrtrade.errors import DataError

from .files import brought_in, column, packed, read

T = 1_723_161_253_000_000_000
SPOT = ("BINANCE", "BTC-USDT")


def line(at, kind, unit=1, **data):
    message = {"stream": f"btcusdt@{kind}", "data": {"s": "BTCUSDT", **data}}
    return f"{(T + at) // unit} {json.dumps(message, separators=(',', ':'))}"


def depth(at, first, last, bids=(), asks=(), **more):
    data = {"e": "depthUpdate", "E": T // 10**6, "U": first, "u": last, "b": bids, "a": asks}
    return line(at, "depth@100ms", **data, **more)


def trade(at, number, *, maker=True):
    data = {"e": "trade", "E": T // 10**6 + 1, "T": T // 10**6, "t": number, "m": maker, "M": True}
    return line(at, "trade", p="100.5", q="2", **data)


LINES = [
    depth(0, 11, 15, [["100", "1"]], [["101", "0"]]),
    f'{T + 1} {{"lastUpdateId":13,"bids":[["100","5"]],"asks":[["101","6"],["102","7"]]}}',
    line(2, "bookTicker", u=15, b="100", B="1", a="101", A="6"),
    depth(3, 16, 16, [["99", "2.5"]]),
    trade(4, 70, maker=True),
    trade(5, 71, maker=False),
]


def recording(folder, *lines, name="btcusdt_20240808.gz"):
    return packed(folder / name, "".join(f"{one}\n" for one in lines))


def test_every_kind_of_message(tmp_path):
    rows, checks = read(recording(tmp_path, *LINES))
    deltas = rows["book_delta_v2", *SPOT]
    assert column(deltas, "received_time") == [T, T, T + 3]
    assert column(deltas, "origin_time") == [T] * 3
    assert column(deltas, "sequence_number") == [15, 15, 16]
    assert column(deltas, "side_is_bid") == [True, False, True]
    assert column(deltas, "size") == [1, 0, 2.5]
    seeds = rows["book_seed", *SPOT]
    assert column(seeds, "origin_time") == [0] * 3  # spot says none
    assert column(seeds, "sequence_number") == [13] * 3
    assert column(seeds, "price") == [100, 101, 102]
    [quote] = rows["level_1", *SPOT]
    assert (quote["origin_time"], quote["received_time"]) == (0, T + 2)
    assert [quote[f"{side}_0_{what}"] for side in ("bid", "ask") for what in ("price", "size")] == [
        *(100, 1, 101, 6)
    ]
    assert column(rows["trades", *SPOT], "side") == ["sell", "buy"]
    assert column(rows["trades", *SPOT], "trade_id") == ["70", "71"]
    assert all(not one.findings for one in checks.values())


def test_holes_of_spot_and_of_futures(tmp_path):
    spot = [depth(0, 1, 5, [["1", "1"]]), depth(1, 7, 8, [["1", "1"]])]
    _, checks = read(recording(tmp_path / "spot", *spot))
    [hole] = checks["book_delta_v2", *SPOT].findings
    assert (hole.start_ns, hole.end_ns, hole.count) == (T, T + 1, 1)
    # a futures exchange skips ids: only `pu` says whether a message is missing
    futures = [depth(0, 1, 5, pu=0), depth(1, 9, 12, pu=5), depth(2, 20, 21, pu=13)]
    futures.append(line(3, "bookTicker", u=1, b="1", B="1", a="2", A="1"))
    _, checks = read(recording(tmp_path / "usdm", *futures))
    found = checks["book_delta_v2", "BINANCE_FUTURES", "BTC-USDT-PERP"].findings
    assert [one.text for one in found] == ["pu was 13, expected 12: 1 ids missing"]


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({}, SPOT),
        ({"pu": 10}, ("BINANCE_FUTURES", "BTC-USDT-PERP")),
        ({"pu": 10, "ps": "BTCUSD"}, ("BINANCE_DELIVERY", "BTC-USD-PERP")),
    ],
)
def test_which_market(tmp_path, more, where):
    text = depth(0, 11, 12, [["1", "2"]], **more)
    if "ps" in more:
        text = text.replace("btcusdt", "btcusd_perp").replace("BTCUSDT", "BTCUSD_PERP")
    rows, _ = read(recording(tmp_path, text))
    assert list(rows) == [("book_delta_v2", *where)]


def test_times_in_microseconds(tmp_path):
    short = line(0, "trade", unit=1000, e="trade", T=1, t=1, m=True, M=True, p="1", q="1")
    short = short.replace('"T":1', f'"T":{T // 10**6}')
    rows, _ = read(recording(tmp_path, short))
    assert column(rows["trades", *SPOT], "received_time") == [T]


BAD = {
    "no JSON": f'{T + 3} {{"stream":"btcusdt@trade",',
    "no time": "x {}",
    "half a level": depth(3, 16, 16, [["99"]]),
    "a price that is none": depth(3, 16, 16, [["9,9", "1"]]),
    "no id": line(3, "trade", e="trade", T=1, m=True, p="1", q="1"),
    "another symbol": depth(3, 16, 16, [["9", "1"]]).replace("BTCUSDT", "ETHUSDT"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_line_is_refused_whole(tmp_path, kind):
    lines = [*LINES[:3], BAD[kind], *LINES[3:]]
    path = recording(tmp_path / "in", *lines)
    with pytest.raises(DataError, match="cannot be read") as caught:
        brought_in(path, tmp_path / "none")
    assert (caught.value.file, caught.value.row) == (str(path), 3)
    report, store = brought_in(path, tmp_path / "store", on_bad="quarantine")
    [refused] = store.read("quarantine", *SPOT).to_pylist()
    assert (refused["row"], refused["content"]) == (3, BAD[kind])
    assert report.quarantined == 1
    _, whole = brought_in(recording(tmp_path / "good", *LINES), tmp_path / "whole")
    for series in whole.series():
        assert store.read(*series).equals(whole.read(*series))


def test_a_recording_that_is_cut_off(tmp_path):
    raw = "".join(f"{one}\n" for one in [*LINES, *(trade(9 + n, 72 + n) for n in range(2000))])
    path = tmp_path / "in" / "btcusdt_20240808.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(raw.encode())[:-2000])
    with pytest.raises(DataError, match="cut off or broken"):
        brought_in(path, tmp_path / "none")
    _, store = brought_in(path, tmp_path / "store", on_bad="quarantine")
    reasons = store.read("quarantine", *SPOT)["reason"].to_pylist()
    assert "cut off or broken" in reasons[-1]
    assert 2 < store.read("trades", *SPOT).num_rows < 2002


def test_is_parsed_once(tmp_path, monkeypatch):
    """... however many tables and days it has; and not at all when the store has it."""
    day = 86_400 * 10**9
    path = recording(tmp_path / "in", *LINES, trade(day, 72), trade(2 * day, 73))
    calls = []
    real = hftbacktest._parse
    monkeypatch.setattr(hftbacktest, "_parse", lambda *a: (calls.append(a), real(*a)))
    report, _ = brought_in(path, tmp_path / "store")
    assert (len(calls), report.files, len(report.written)) == (1, 1, 6)
    report, _ = brought_in(path, tmp_path / "store")
    assert (len(calls), report.unchanged, report.written) == (1, 1, [])


def test_a_recording_that_grew_replaces_what_it_was(tmp_path):
    for count in (3, 6):
        path = recording(tmp_path / "in", *LINES[:count])
        _, store = brought_in(path, tmp_path / "store")
    assert store.read("trades", *SPOT).num_rows == 2
    assert store.read("book_delta_v2", *SPOT).num_rows == 3


def test_another_recording_of_that_name_is_added(tmp_path):
    brought_in(recording(tmp_path / "a", *LINES), tmp_path / "store")
    _, store = brought_in(recording(tmp_path / "b", trade(50, 90)), tmp_path / "store")
    assert store.read("trades", *SPOT)["trade_id"].to_pylist() == ["70", "71", "90"]


# ---- event files

DEPTH, TRADE, CLEAR, SNAPSHOT, EXCHANGE = 1, 2, 3, 4, 1 << 31
EVENTS = [
    (CLEAR | BUY, 0, 10, 99.0, 0.0),
    (SNAPSHOT | BUY, 1, 10, 100.0, 1.0),
    (SNAPSHOT | SELL, 1, 10, 101.0, 2.0),
    (DEPTH | SELL, 2, 12, 101.0, 0.0),
    (TRADE | BUY, 3, 14, 101.0, 0.5),
    (TRADE | SELL, 4, 15, 100.0, 0.25),
]


def event_file(path, events, flags=LOCAL | EXCHANGE, **more):
    data = np.zeros(len(events), EVENT)
    for at, (kind, exchange, local, price, quantity) in enumerate(events):
        data[at] = (kind | flags, T + exchange, T + local, price, quantity, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, data=data, **more)
    return path


@pytest.mark.parametrize("block", [1, 2, 1 << 18])
def test_events(tmp_path, monkeypatch, block):
    monkeypatch.setattr(hftbacktest_npz, "BLOCK_EVENTS", block)
    rows, checks = read(event_file(tmp_path / "btcusdt_20240808.npz", EVENTS), exchange="BINANCE")
    [delta] = rows["book_delta_v2", *SPOT]
    assert delta == {
        "origin_time": T + 2,
        "received_time": T + 12,
        "sequence_number": -1,
        "side_is_bid": False,
        "price": 101.0,
        "size": 0.0,
    }
    assert column(rows["book_seed", *SPOT], "price") == [100, 101]
    assert column(rows["book_seed", *SPOT], "received_time") == [T + 10, T + 10]
    trades = rows["trades", *SPOT]
    assert column(trades, "side") == ["buy", "sell"]
    assert column(trades, "quantity") == [0.5, 0.25]
    [said] = checks["book_delta_v2", *SPOT].findings
    assert "clear of a side" in said.text


def test_events_that_only_the_exchange_saw_are_not_received(tmp_path):
    path = event_file(tmp_path / "btcusdt.npz", EVENTS, flags=EXCHANGE)
    rows, checks = read(path, exchange="BINANCE")
    assert rows == {}
    assert "only the exchange saw" in checks["book_delta_v2", *SPOT].findings[0].text


def test_events_without_an_aggressor(tmp_path):
    path = event_file(tmp_path / "btcusdt.npz", [(TRADE, 1, 2, 100.0, 1.0)])
    with pytest.raises(DataError, match="a trade without an aggressor"):
        read(path, exchange="BINANCE")


def test_what_an_event_file_does_not_say(tmp_path):
    path = event_file(tmp_path / "day1.npz", EVENTS)
    with pytest.raises(DataError, match=r"does not say its exchange.*--exchange"):
        read(path)
    with pytest.raises(DataError, match=r"cannot tell base and quote.*--symbol"):
        read(path, exchange="BINANCE")
    rows, _ = read(path, exchange="BINANCE_FUTURES", symbol="BTC/USDT-PERP")
    assert {key[1:] for key in rows} == {("BINANCE_FUTURES", "BTC-USDT-PERP")}

"""Every rule finds what breaks it, and nothing in what does not."""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.quality.page import page
from mrtrade.data.quality.rules import RULES, graded, share_text, span_text
from mrtrade.data.quality.timeline import blocks, picture, strips
from mrtrade.data.quality.validate import validate_files, validate_store
from mrtrade.data.schemas import TABLES
from mrtrade.errors import ConfigError, StoreError

from .lake import SECOND, T0, deltas, put, trades

BTC = ("BINANCE", "BTC/USDT")
DAY_S = 86_400
MS = 10**6


def rows_of(table, **columns):
    """Rows of a table from columns of it; what is left out is missing."""
    schema = TABLES[table].schema
    given = {name: pa.array(values, schema.field(name).type) for name, values in columns.items()}
    return pa.table(given)


def steady(seconds, *, bid=100.0, ask=100.5):
    """A book that is touched once a second: rows of book_delta_v2."""
    rows = [(0, 1, True, bid, 1), (0, 1, False, ask, 1)]
    rows += [(s * SECOND + 7, s + 1, True, bid, 1 + s % 5) for s in range(1, seconds)]
    return rows


def seed(at=0, sequence=0, bid=100.0, ask=100.5):
    return deltas((at, sequence, True, bid, 1), (at, sequence, False, ask, 1), raw=False)


@pytest.fixture
def store(tmp_path):
    return ParquetStore(tmp_path / "store")


def found(store, rule, **options):
    """Findings of a rule, of all tables."""
    report = validate_store(store, **options)
    return [finding for finding in report.findings if finding.rule == rule]


def put_book(store, rows, *, seeded=True, where=BTC):
    store.write("book_delta_v2", *where, deltas(*rows, raw=False))
    if seeded:
        store.write("book_seed", *where, seed(at=rows[0][0]))


def test_a_clean_recording_passes(store):
    put_book(store, steady(200))
    flow = [(s * SECOND, "buy", 1, 100.5, str(s)) for s in range(200)]
    store.write("trades", *BTC, trades(*flow))
    report = validate_store(store)
    assert report.verdict == "PASS", report.findings
    assert [(one.table, one.verdict) for one in report.series] == [
        ("book_delta_v2", "PASS"),
        ("book_seed", "PASS"),
        ("trades", "PASS"),
    ]
    assert {finding.severity for finding in report.findings} == {"info"}
    [outside] = [one for one in report.findings if one.rule == "trades_outside"]
    assert outside.text.startswith("0 of 200 trades (0 %)")


def test_gaps_holes_and_missing_days(store):
    rows = steady(200)
    for pause, rule in ((601, "gap"), (120, "hole"), (3 * DAY_S, "missing_days")):
        where = ("BINANCE", f"P{pause}/USDT")
        later = [(r[0] + (200 + pause) * SECOND, r[1] + 200, *r[2:]) for r in rows]
        put_book(store, [*rows, *later], where=where)
        rules = {
            one.rule: one
            for one in validate_store(store, symbol=where[1]).findings
            if one.severity != "info"
        }
        assert rules.keys() == {rule}
    [one] = [s for s in validate_store(store, symbol="P601/USDT").series if s.summary["gaps"]]
    assert one.summary["gaps"] == [[T0 + 199 * SECOND + 7, T0 + 801 * SECOND]]
    assert one.verdict == "FAIL"
    covered = (199 * SECOND + 7) * 2 / (DAY_S * SECOND)
    assert one.summary["coverage"] == {"2024-08-08": pytest.approx(covered)}
    [missing] = found(store, "missing_days", symbol=f"P{3 * DAY_S}/USDT")
    assert (missing.severity, missing.count) == ("warning", 2)


def test_a_pause_of_ten_minutes_is_no_gap_and_trades_may_rest(store):
    put_book(store, [(0, 1, True, 100, 1), (600 * SECOND, 2, False, 101, 1)])
    assert not found(store, "gap")
    flow = trades((0, "buy", 1, 100, 1), (601 * SECOND, "buy", 1, 100, 2))
    store.write("trades", *BTC, flow)
    [gap] = found(store, "gap")
    assert (gap.table, gap.severity) == ("trades", "warning")


def test_crossed_books(store):
    quick = [(100 * SECOND, 150, True, 101, 1), (100 * SECOND + 50 * MS, 151, True, 101, 0)]
    put_book(
        store,
        [*steady(100), *quick, *[(s * SECOND, s + 100, True, 99, s % 5) for s in range(101, 900)]],
    )
    [crossed] = found(store, "crossed_book")
    assert (crossed.severity, crossed.count) == ("warning", 1)
    assert "for up to 50.0 ms" in crossed.text
    assert (crossed.start_ns, crossed.end_ns) == (T0 + 100 * SECOND, T0 + 100 * SECOND + 50 * MS)
    long = ("BINANCE", "ETH/USDT")
    put_book(
        store,
        [*steady(100), (100 * SECOND, 150, True, 101, 1), (120 * SECOND, 151, True, 101, 0)],
        where=long,
    )
    [crossed] = found(store, "crossed_book", symbol="ETH/USDT")
    assert crossed.severity == "error"


def test_frozen_and_cold_books(store):
    far = [(s * 300 * MS, s, True, 50, s % 7) for s in range(1, 1200)]
    put_book(store, [*steady(1), *far], seeded=False)
    [frozen] = found(store, "frozen_book")
    assert "for up to 6.0 min" in frozen.text
    [cold] = found(store, "cold_book")
    assert (cold.severity, cold.text) == (
        "warning",
        "no snapshot: levels are unknown until they change",
    )


def test_a_late_snapshot_makes_no_crossed_book(store):
    """A delta that the snapshot lacks comes before it."""
    rows = [(0, 10, True, 100.3, 1), (5, 10, True, 100.0, 0), (SECOND, 12, True, 100.2, 1)]
    store.write("book_delta_v2", *BTC, deltas(*rows, raw=False))
    store.write("book_seed", *BTC, seed(at=9, sequence=9))
    assert not found(store, "crossed_book")
    best = dict(bid_0_size=[1.0], ask_0_price=[100.5], ask_0_size=[1.0])
    quote = rows_of(
        "level_1", received_time=[T0 + SECOND], sequence_number=[12], bid_0_price=[100.3], **best
    )
    store.write("level_1", *BTC, quote)
    [agrees] = found(store, "best_agrees")
    assert (agrees.severity, agrees.count) == ("info", 1)


@pytest.mark.parametrize(("wrong", "severity"), [(0, "info"), (1, "warning"), (2, "error")])
def test_best_prices_are_held_against_recorded_ones(store, wrong, severity):
    put_book(store, steady(200))
    numbers = np.arange(50, 200)
    price = np.full(150, 100.0)
    price[:wrong] += 0.01
    quotes = rows_of(
        "level_1",
        received_time=T0 + numbers * SECOND,
        sequence_number=numbers,
        bid_0_price=price,
        bid_0_size=1.0 + (numbers - 1) % 5,
        ask_0_price=np.full(150, 100.5),
        ask_0_size=np.ones(150),
    )
    store.write("level_1", *BTC, quotes)
    [agrees] = found(store, "best_agrees")
    assert (agrees.severity, agrees.count) == (severity, 150)
    assert f"at {150 - wrong} of 150 messages" in agrees.text


def test_sequence_numbers(store):
    rows = [*steady(200), (300 * SECOND, 150, True, 99, 1)]
    put_book(store, rows)
    [falls] = found(store, "sequence_falls")
    assert (falls.severity, falls.start_ns) == ("error", T0 + 300 * SECOND)
    bybit = ("BYBIT", "BTC/USDT")
    put_book(store, [*steady(200), (200 * SECOND, 202, True, 99, 1)], where=bybit)
    [hole] = found(store, "sequence_hole", exchange="BYBIT")
    assert (hole.severity, hole.count) == ("error", 1)
    again = ("BYBIT", "ETH/USDT")
    put_book(store, [*steady(200), (200 * SECOND, 200, True, 99, 1)], where=again)
    [repeat] = found(store, "duplicates", symbol="ETH/USDT")
    assert (repeat.severity, repeat.count) == ("warning", 1)


def test_steps_of_the_instrument(store):
    off_the_grid = (90 * SECOND, 200, True, 99.001, 1.0000005)
    put_book(store, [*steady(80), off_the_grid])
    [off] = found(store, "off_grid")
    assert (off.severity, off.text) == ("error", "1 prices off the tick, 1 sizes off the lot size")
    put_book(store, steady(10), where=("BINANCE", "XYZ/USDT"))
    [unknown] = found(store, "off_grid", symbol="XYZ/USDT")
    fit = "the book is made by tick {} and lot {}, which fit"
    assert (unknown.severity, unknown.text) == (
        "info",
        f"the instrument is not known; {fit.format(0.5, 1)}",
    )
    # So close to a snapshot no book can be made on the steps of the instrument.
    put_book(store, [*steady(10), (11 * SECOND, *off_the_grid[1:])], where=("BINANCE", "ETH/USDT"))
    [off] = found(store, "off_grid", symbol="ETH/USDT")
    assert off.severity == "error"
    assert off.text == (
        f"1 prices off the tick, 1 sizes off the lot size; {fit.format(0.001, 5e-07)}"
    )


def test_trades(store):
    ids = [str(n) for n in [*range(100), 99, 103, *range(104, 300)]]
    flow = [(n * SECOND, "sell", 1, 100.01, name) for n, name in enumerate(ids)]
    store.write("trades", *BTC, trades(*flow))
    [missing] = found(store, "trade_ids")
    assert (missing.count, missing.severity) == (3, "warning")
    [again] = found(store, "duplicates")
    assert (again.count, again.severity) == (1, "warning")
    store.write("trades", "OKX", "BTC/USDT", trades(*flow))
    assert not found(store, "trade_ids", exchange="OKX")
    names = [*"abcdefgh", "c"]
    flow = [(n * SECOND, "sell", 1, 100.0, name) for n, name in enumerate(names)]
    store.write("trades", "BYBIT", "BTC/USDT", trades(*flow))
    [again] = found(store, "duplicates", exchange="BYBIT")
    assert (again.count, again.severity) == (1, "error")
    store.write("trades", "BINANCE", "ETH/USDT", trades((0, "buy", 1, 100.001, 1)))
    [off] = found(store, "off_grid", symbol="ETH/USDT")
    assert off.count == 1


def test_trades_far_from_the_book(store):
    put_book(store, steady(200))
    prices = [100.0, 100.5, 100.9, 99.6, 102.0, 98.0]
    flow = [(s * SECOND, "buy", 1, p, str(s)) for s, p in enumerate(prices * 30)]
    late = [(180 * SECOND + 1, "buy", 1, 90.0, "180", 0)]  # of three minutes before
    table = trades(*flow, *[row[:5] for row in late])
    origin = [*table["timestamp"].to_pylist()[:-1], T0]
    table = table.set_column(4, "timestamp", pa.array(origin))
    store.write("trades", *BTC, table)
    [outside] = found(store, "trades_outside")
    assert (outside.count, outside.severity) == (60, "error")
    assert "60 of 180 trades (33.3 %) lie more than 50 bps beyond" in outside.text
    assert outside.text.endswith("the farthest 204.1 bps")


def test_recorded_books(store):
    bids = np.array([100.0, 100.6, 100.0, 100.0])
    quotes = rows_of(
        "book",
        received_time=T0 + np.array([0, 1, 2, 2]) * SECOND,
        sequence_number=[5, 6, 4, 4],
        bid_0_price=bids,
        bid_0_size=np.ones(4),
        ask_0_price=np.full(4, 100.5),
        ask_0_size=np.ones(4),
    )
    store.write("book", *BTC, quotes)
    [crossed] = found(store, "crossed_rows")
    assert (crossed.severity, crossed.start_ns) == ("error", T0 + SECOND)
    [falls] = found(store, "sequence_falls")
    assert (falls.severity, falls.count) == ("warning", 1)
    [repeat] = found(store, "duplicates")
    assert (repeat.severity, repeat.count) == ("error", 1)


def candle(minute, prices=(1, 2, 0.5, 1.5), volume=1.0, length=60):
    start = T0 + minute * 60 * SECOND
    return (start + length * SECOND, start, start + length * SECOND, *map(float, prices), volume)


def put_candles(store, rows, where=BTC):
    names = ("received_time", "start", "stop", "open", "high", "low", "close", "volume")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    columns["origin_time"] = columns["received_time"]
    store.write("candles", *where, rows_of("candles", **columns))


def test_candles(store):
    put_candles(store, [candle(n) for n in range(5)])
    assert validate_store(store).verdict == "PASS"
    cases = {
        "AA/USDT": ([*range(5), 7, 8], "warning", "2 candles are missing in 1 places"),
        "BB/USDT": ([*range(5), 17], "error", "12 candles are missing"),
    }
    for symbol, (minutes, severity, text) in cases.items():
        put_candles(store, [candle(n) for n in minutes], ("BINANCE", symbol))
        [span] = found(store, "candle_span", symbol=symbol)
        assert (span.severity, text in span.text) == (severity, True)
    put_candles(store, [candle(0), candle(1), candle(1.5)], ("BINANCE", "CC/USDT"))
    [overlap] = found(store, "candle_span", symbol="CC/USDT")
    assert (overlap.severity, overlap.count) == ("error", 1)
    put_candles(store, [candle(0), candle(1), candle(2, length=30)], ("BINANCE", "DD/USDT"))
    [odd] = found(store, "candle_span", symbol="DD/USDT")
    assert (odd.severity, odd.count) == ("warning", 1)
    put_candles(store, [candle(0), candle(1, (3, 2, 0.5, 1))], ("BINANCE", "EE/USDT"))
    [wrong] = found(store, "candle_prices", symbol="EE/USDT")
    assert (wrong.severity, wrong.start_ns) == ("error", T0 + 60 * SECOND)


def test_candles_are_held_against_trades(store):
    flow = [(s * SECOND, "buy", 0.5, 100 + s % 7, str(s)) for s in range(-60, 400, 5)]
    store.write("trades", *BTC, trades(*flow))
    made = []
    for minute in range(-1, 7):
        inside = [row for row in flow if minute * 60 <= row[0] // SECOND < minute * 60 + 60]
        prices = [row[3] for row in inside]
        prices = (prices[0], max(prices), min(prices), prices[-1])
        made.append(candle(minute, prices, 0.5 * len(inside)))
    put_candles(store, made)
    [equal] = found(store, "candle_equals_trades")
    # the first may lack trades before it, the last those to come
    assert (equal.severity, equal.text) == ("info", "6 of 6 candles equal those made of the trades")
    made[3] = (*made[3][:-1], made[3][-1] * (1 + 1e-6))
    other = ParquetStore(store.root.parent / "other")
    other.write("trades", *BTC, trades(*flow))
    put_candles(other, made)
    [unequal] = found(other, "candle_equals_trades")
    assert (unequal.severity, unequal.start_ns) == ("error", T0 + 120 * SECOND)
    assert unequal.text.startswith("5 of 6 candles equal")


def test_funding(store):
    def put_funding(symbol, hours):
        due = np.array(hours) * 3600 * SECOND + T0
        count = len(due)
        times = T0 + np.arange(count) * SECOND
        store.write(
            "funding",
            "BINANCE_FUTURES",
            symbol,
            rows_of("funding", received_time=times, rate=np.zeros(count), next_funding_time=due),
        )
        return found(store, "funding_interval", symbol=symbol)

    assert put_funding("A/USDT-PERP", [8, 8, 16, 24]) == []
    [missing] = put_funding("B/USDT-PERP", [8, 16, 32, 40])
    assert "1 pauses between settlements are longer than the usual 8 h" in missing.text
    [odd] = put_funding("C/USDT-PERP", [8, 16.5, 24, 32])
    assert "2 are no whole hours" in odd.text


def test_clocks(store):
    count = 200
    base = T0 + np.arange(count) * SECOND
    price = [100.0] * count

    def put_trades(symbol, received, origin):
        flow = rows_of(
            "trades",
            origin_time=origin,
            received_time=received,
            side=["buy"] * count,
            quantity=[1.0] * count,
            price=price,
        )
        store.write("trades", "OKX", symbol, flow)

    coarse = (base + 33 * MS) // 256 * 256
    put_trades("A/USDT", coarse, base)
    [artefact] = found(store, "float_time", symbol="A/USDT")
    assert (artefact.severity, artefact.count) == ("warning", count)
    assert artefact.text.startswith("every received_time is a multiple of 256 ns")
    put_trades("B/USDT", base, base)  # whole seconds are multiples of 256 too
    assert not found(store, "float_time", symbol="B/USDT")
    [one_clock] = found(store, "clock_skew", symbol="B/USDT")
    assert one_clock.text == "received_time is origin_time: the source has one clock"
    origin = base - 5 * MS
    origin[::4] += 15 * MS
    put_trades("C/USDT", base, origin)
    [skew] = found(store, "clock_skew", symbol="C/USDT")
    assert (skew.severity, skew.text) == (
        "info",
        "received - origin: least -10.0 ms, median 5.0, 95 % 5.0; 25.0 % negative",
    )
    put_trades("D/USDT", base, base - 20 * SECOND)
    assert found(store, "clock_skew", symbol="D/USDT")[0].severity == "warning"
    put_trades("E/USDT", base, np.where(np.arange(count) % 2, base, 0))
    [missing] = found(store, "origin_missing", symbol="E/USDT")
    assert missing.count == 100
    swapped = base.copy()
    swapped[10] -= 3 * SECOND
    put_trades("F/USDT", base, swapped)
    [order] = found(store, "origin_order", symbol="F/USDT")
    assert (order.count, order.text[-11:]) == (1, "up to 2.0 s")


def test_a_clock_that_drifts(store):
    base = T0 + np.arange(0, 3 * 3600, 10) * SECOND
    drift = (base - T0) * 2 // 3_600_000  # 2 ms an hour
    flow = rows_of(
        "trades",
        origin_time=base,
        received_time=base + 5 * MS + drift,
        side=["buy"] * len(base),
        quantity=[1.0] * len(base),
        price=[100.0] * len(base),
    )
    store.write("trades", *BTC, flow)
    [skew] = found(store, "clock_skew")
    assert skew.text.endswith("drift +2.00 ms/h")


def test_stored_bytes_that_changed(store):
    put_book(store, steady(50))
    assert not found(store, "stored_bytes")
    [part] = store.root.glob("book_seed/**/part.parquet")
    content = bytearray(part.read_bytes())
    content[10] ^= 1
    part.write_bytes(content)
    report = validate_store(store, table="book_seed")
    assert [one.rule for one in report.findings if one.severity == "error"] == ["stored_bytes"]


def test_files_are_looked_at_without_a_store_and_refused_rows_are_told(tmp_path):
    lake = tmp_path / "lake"
    rows = deltas(*steady(50), (60 * SECOND, 99, True, -1, 1), (61 * SECOND, 99, True, 99, -1))
    put(lake, "book_delta_v2", rows)
    report = validate_files(lake)
    assert report.verdict == "FAIL"  # 2 of 53 is more than one in a hundred
    [refused] = [one for one in report.findings if one.rule == "quarantined"]
    assert (refused.severity, refused.count) == ("error", 2)
    assert report.quarantined == {
        ("book_delta_v2", *BTC): {
            "price: out of range, expected a finite number > 0": 1,
            "size: out of range, expected a finite number >= 0": 1,
        }
    }
    assert report.source == str(lake)
    stored = ParquetStore(tmp_path / "store")
    ingest(lake, stored, on_bad="quarantine")
    assert validate_store(stored).quarantined == report.quarantined
    assert validate_store(stored, table="book_delta_v2").quarantined == report.quarantined


def test_a_file_of_which_every_row_is_refused_fails(tmp_path):
    lake = tmp_path / "lake"
    put(lake, "trades", trades((0, "none", 1, 100, 1)))
    report = validate_files(lake)
    assert report.verdict == "FAIL"
    assert [(one.table, one.rows) for one in report.series] == [("trades", 0)]
    assert json.loads(report.to_json())["verdict"] == "FAIL"
    assert "unknown side" in page(report)


def test_a_span_and_a_choice(store):
    put_book(store, steady(300))
    store.write("trades", *BTC, trades((0, "buy", 1, 100, 1)))
    report = validate_store(store, table="book_delta_v2", start=T0 + 100 * SECOND)
    assert [one.rows for one in report.series] == [200]
    assert report.verdict == "PASS"  # that the span begins without a snapshot is the asker's choice
    with pytest.raises(StoreError, match="nothing to validate"):
        validate_store(store, symbol="ETH/USDT")
    with pytest.raises(StoreError, match="nothing to validate"):
        validate_store(store, start=T0 + 10**6 * SECOND)


def test_a_choice_of_nothing_is_no_pass(store):
    store.write("trades", *BTC, trades((0, "buy", 1, 100, 1)))
    with pytest.raises(ConfigError, match="unknown table, was 'trade'; expected one of book_delta"):
        validate_store(store, table="trade")
    with pytest.raises(ConfigError, match="start is not before end"):
        validate_store(store, start=T0, end=T0 - SECOND)
    with pytest.raises(StoreError, match=r"expected one of trades BINANCE BTC/USDT\. To"):
        validate_store(store, table="book_delta_v2")
    with pytest.raises(StoreError, match="expected a span within 2024-08-08 "):
        validate_store(store, start=T0 + 10**6 * SECOND)


def test_the_report_as_json_and_as_a_page(store):
    rows = steady(200)
    put_book(store, [*rows, *[(r[0] + 900 * SECOND, r[1] + 200, *r[2:]) for r in rows]])
    report = validate_store(store)
    told = json.loads(report.to_json())
    assert told["verdict"] == "FAIL"
    [series] = [one for one in told["series"] if one["table"] == "book_delta_v2"]
    assert series["rows"] == 402
    assert len(series["gaps"]) == 1
    assert told["rules"].keys() == RULES.keys()
    html = page(report)
    assert html == page(report)
    assert "<b>" not in html
    assert html.count("data:image/png;base64,") == 1
    for word in ("src=http", "href=", "<script"):
        assert word not in html


def test_without_matplotlib_the_page_says_what_to_install(store, monkeypatch):
    put_book(store, steady(100))
    report = validate_store(store)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "pip install &quot;mrtrade[report]&quot;" in page(report)
    with pytest.raises(ConfigError, match="needs matplotlib"):
        picture(report)


def test_the_line_of_a_day(store):
    rows = steady(100)
    later = [(r[0] + 3 * 3600 * SECOND, r[1] + 100, *r[2:]) for r in rows]
    put_book(store, [*rows, *later])
    [one] = [s for s in validate_store(store).series if s.table == "book_delta_v2"]
    [strip] = strips(one, 24)
    assert strip.label == "2024-08-08 00:00:00-24:00:00"
    assert blocks(strip, 24) == "█··█" + " " * 20
    assert strip.rows.sum() == one.rows
    put_book(store, steady(90), where=("BINANCE", "ETH/USDT"))
    one = validate_store(store, symbol="ETH/USDT").series[0]
    [strip] = strips(one, 24)
    assert strip.label == "2024-08-08 00:00:00-00:01:30"
    assert len(blocks(strip, 52)) == 52


def test_the_rules_are_those_of_the_documentation():
    told = (Path(__file__).parents[2] / "docs" / "validation.md").read_text()
    for name, text in RULES.items():
        assert f"| `{name}` | {text} |" in told


def test_words():
    assert [span_text(ns) for ns in (0, 1.5e6, 43.5e9, 720e9, 3 * 3600e9, 5 * 86400e9)] == [
        "0 s", "1.5 ms", "43.5 s", "12.0 min", "3.0 h", "5.0 d",
    ]  # fmt: skip
    assert [share_text(x) for x in (0.0, 1.0, 0.5, 1e-5, 1 - 1e-5, 1e-9)] == [
        "0 %", "100 %", "50.0 %", "0.0010 %", "99.9990 %", "< 0.000001 %",
    ]  # fmt: skip
    assert [graded(x, 0.1, 0.2) for x in (0.1, 0.15, 0.3)] == ["info", "warning", "error"]

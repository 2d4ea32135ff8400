"""Days become one stream: exact ends, every hole said, and nothing half."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from mrtrade.clock import to_ns
from mrtrade.data.providers.lake import CryptoLakeProvider
from mrtrade.data.schemas import TABLES
from mrtrade.errors import ConfigError, DataError, SourceError
from tests.lake.make import BUCKET, key_of, put_day, rows_of, to_bytes

DAYS = ("2026-04-01", "2026-04-02", "2026-04-03")
AT = ("book_delta_v2", "binance", "btc/usdt")


def stream(provider, start="2026-04-01", end="2026-04-04", table="book_delta_v2", **options):
    opened = provider.stream(table, "binance", "BTC/USDT", start, end, **options)
    return pa.concat_tables([TABLES[table].schema.empty_table(), *opened]), opened


def received(rows):
    return rows["received_time"].to_numpy()


@pytest.fixture
def days(stub):
    return [put_day(stub, "book_delta_v2", day) for day in DAYS]


def test_days_follow_each_other_as_recorded(provider, days):
    rows, opened = stream(provider)
    raw = pa.concat_tables(days)
    assert received(rows).tolist() == raw["receipt_timestamp"].to_pylist()
    assert rows["price"].equals(raw["price"])
    assert rows.schema.equals(TABLES["book_delta_v2"].schema)
    assert opened.gaps == provider.gaps == []


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-04-01T10:00", "2026-04-03 12:00"),
        (dt.datetime(2026, 4, 1, 10), dt.datetime(2026, 4, 3, 12, tzinfo=dt.UTC)),
        (
            dt.datetime(2026, 4, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2))),
            "2026-04-03T13:00+01:00",
        ),
        (to_ns("2026-04-01T10:00"), np.datetime64("2026-04-03T12:00")),
    ],
)
def test_ends_are_exact_hours_and_all(provider, days, start, end):
    rows, _ = stream(provider, start, end)
    times = pa.concat_tables(days)["receipt_timestamp"].to_numpy()
    low, high = to_ns("2026-04-01T10:00"), to_ns("2026-04-03T12:00")
    assert received(rows).tolist() == times[(times >= low) & (times < high)].tolist()


def test_the_end_is_exclusive_and_a_span_is_not_empty(provider, days):
    plan = provider.plan(*AT, dt.date(2026, 4, 1), dt.date(2026, 4, 2))
    assert [day.day for day in plan] == ["2026-04-01"]
    assert [day.day for day in provider.plan(*AT, "2026-04-01", "2026-04-02T00:00:00.000000001")]
    with pytest.raises(ConfigError, match="the span is empty"):
        provider.plan(*AT, "2026-04-02", "2026-04-02")


def test_a_plan_is_one_request_and_reads_pages(stub, provider, days):
    stub.requests.clear()
    provider.plan("book_delta_v2", "binance", "BTC/USDT", "2026-04-01", "2026-04-04")
    assert len(stub.requests) == 1
    for day in range(1, 29):
        put_day(stub, "trades", f"2026-02-{day:02}", rows_of("trades", DAYS[0], 1))
    stub.page = 3
    plan = provider.plan("trades", "binance", "BTC/USDT", "2026-02-01", "2026-03-01")
    assert [len(day.objects) for day in plan] == [1] * 28


@pytest.mark.parametrize("symbol", ["btc/usdt", "BTC-USDT", "Btc/Usdt"])
def test_spelling_does_not_matter(provider, days, symbol):
    (day,) = provider.plan("book_delta_v2", "BiNaNcE", symbol, *DAYS[:2])
    assert (day.exchange, day.symbol, len(day.objects)) == ("BINANCE", "BTC-USDT", 1)


def test_symbols_of_both_cases_and_of_perpetuals(stub, provider):
    put_day(stub, "trades", DAYS[0], exchange="SERUM", symbol="stSOL-USDC")
    put_day(stub, "trades", DAYS[0], exchange="BINANCE_FUTURES", symbol="BTC-USDT-PERP")
    (day,) = provider.plan("trades", "serum", "stSOL/USDC", *DAYS[:2])
    assert provider.fetch(day)[0].symbol == "stSOL-USDC"
    assert provider.plan("trades", "binance", "BTC/USDT:USDT", *DAYS[:2])[0].objects
    found = provider.available("trades")
    assert set(found["symbol"]) == {"stSOL-USDC", "BTC-USDT-PERP"}


def test_missing_days_are_an_error_before_anything_is_fetched(stub, provider):
    put_day(stub, "book_delta_v2", DAYS[0])
    with pytest.raises(SourceError, match=r"on 2 of the 3 days, was '2026-04-02, 2026-04-03'"):
        stream(provider)
    assert stub.count("GET", ".parquet") == 0


def test_missing_and_corrupt_days_are_reported(stub, provider):
    first = put_day(stub, "book_delta_v2", DAYS[0])
    stub.put(BUCKET, key_of("book_delta_v2", DAYS[2]), b"")
    rows, opened = stream(provider, end="2026-04-03T12:00", on_gap="report")
    assert len(rows) == len(first)
    missing, corrupt = opened.gaps
    assert (missing.reason, corrupt.reason) == ("missing", "corrupt")
    assert missing.start_ns == to_ns(DAYS[1])
    assert corrupt.end_ns == to_ns("2026-04-03T12:00")
    assert str(missing) == (
        "book_delta_v2 BINANCE BTC-USDT 2026-04-02 00:00:00, 24:00:00: no object of this day"
    )
    assert "12:00:00: book_delta_v2 BINANCE BTC-USDT 2026-04-03: what Crypto Lake" in str(corrupt)
    with pytest.raises(SourceError, match="on 1 of the 3 days"):
        stream(provider)


def test_a_day_that_breaks_off_is_reported_from_there_on(stub, provider, monkeypatch):
    rows = rows_of("book_delta_v2", DAYS[0], 50_000)
    content = bytearray(to_bytes(rows))
    at = 4 * len(content) // 5
    content[at : at + 200] = bytes(200)
    stub.put(BUCKET, key_of("book_delta_v2", DAYS[0]), bytes(content))
    put_day(stub, "book_delta_v2", DAYS[1])
    monkeypatch.setattr("mrtrade.data.providers.lake_folder.BATCH_ROWS", 10_000)
    monkeypatch.setattr("mrtrade.data.providers.lake.files._is_sorted", lambda file: True)
    got, opened = stream(provider, end=DAYS[2], on_gap="report")
    (gap,) = opened.gaps
    whole = received(got) < to_ns(DAYS[1])
    assert 0 < whole.sum() < 50_000
    assert gap.reason == "corrupt"
    assert gap.start_ns == received(got)[whole][-1] + 1
    assert gap.end_ns == to_ns(DAYS[1])
    assert (~whole).sum() == 1_000
    with pytest.raises(DataError, match="not a whole Parquet file"):
        stream(provider, end=DAYS[2])


def test_a_row_that_cannot_be_is_an_error_or_a_gap(stub, provider):
    rows = rows_of("book_delta_v2", DAYS[0])
    bad = rows.set_column(4, "price", pa.array([*rows["price"].to_pylist()[:-1], -1.0]))
    put_day(stub, "book_delta_v2", DAYS[0], bad)
    with pytest.raises(DataError, match="row 999, price: out of range, was -1"):
        stream(provider, end=DAYS[1])
    assert [gap.reason for gap in stream(provider, end=DAYS[1], on_gap="report")[1].gaps] == [
        "corrupt"
    ]


def test_days_of_rare_events_may_lack_an_object(stub, provider):
    put_day(stub, "liquidations", DAYS[0])
    rows, opened = stream(provider, table="liquidations")
    assert len(rows) == 1_000
    assert [gap.reason for gap in opened.gaps] == ["quiet", "quiet"]


def test_a_present_day_need_not_be_a_whole_one(stub, provider):
    late = rows_of("book_delta_v2", DAYS[0], start=16.25, hours=7.75)
    put_day(stub, "book_delta_v2", DAYS[0], late)
    hole = rows_of("book_delta_v2", DAYS[1], 10_000)
    put_day(stub, "book_delta_v2", DAYS[1], pa.concat_tables([hole[:3_000], hole[4_000:]]))
    _, opened = stream(provider, end=DAYS[2])
    assert [str(gap) for gap in opened.gaps] == [
        "book_delta_v2 BINANCE BTC-USDT 2026-04-01 00:00:00, 16:15:00: no rows",
        "book_delta_v2 BINANCE BTC-USDT 2026-04-02 07:11:51, 2:24:08: no rows",
    ]


def test_rows_over_midnight_are_put_in_order(stub, provider):
    evening, morning = rows_of("trades", DAYS[0], 100, hours=24.2), rows_of("trades", DAYS[1], 100)
    put_day(stub, "trades", DAYS[0], evening)
    put_day(stub, "trades", DAYS[1], morning)
    rows, _ = stream(provider, end=DAYS[2], table="trades")
    both = pa.concat_tables([evening, morning])["receipt_timestamp"].to_numpy()
    assert received(rows).tolist() == np.sort(both, kind="stable").tolist()
    only, _ = stream(provider, DAYS[1], DAYS[2], table="trades")
    assert len(only) == 100


def test_the_last_candle_of_a_day_lies_in_the_next_file(stub, provider):
    minutes = rows_of("candles", DAYS[0], 2 * 1_440, hours=48.0)
    put_day(stub, "candles", DAYS[0], minutes[:1_439])
    put_day(stub, "candles", DAYS[1], minutes[1_439:2_879])
    rows, opened = stream(provider, DAYS[0], DAYS[1], table="candles")
    assert len(rows) == 1_440
    assert received(rows)[-1] == to_ns("2026-04-01T23:59")
    assert opened.gaps == []
    rows, _ = stream(provider, DAYS[1], DAYS[2], table="candles")
    assert len(rows) == 1_439


def test_shards_are_merged_by_time(stub, provider):
    rows = rows_of("book_delta_v2", DAYS[0], 3_000)
    for number, part in ((2, rows[1_000:2_000]), (10, rows[2_000:]), (1, rows[:1_000])):
        put_day(stub, "book_delta_v2", DAYS[0], part, name=f"{number}.snappy.parquet")
    got, _ = stream(provider, end=DAYS[1])
    assert received(got).tolist() == rows["receipt_timestamp"].to_pylist()


def test_times_that_were_floats_are_reported(stub, provider):
    rows = rows_of("trades", DAYS[0])
    seconds = rows["receipt_timestamp"].to_numpy() / 1e9 + 0.0123456
    floats = pa.array((seconds * 1e9).astype(np.int64))
    put_day(stub, "trades", DAYS[0], rows.set_column(5, "receipt_timestamp", floats))
    put_day(stub, "trades", DAYS[1])
    _, opened = stream(provider, end=DAYS[2], table="trades")
    (finding,) = opened.findings
    assert (finding.rule, finding.count) == ("float_times", 1_000)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("book_delta", "nested lists of levels, no longer recorded.*To fix: ask for book_delta_v2"),
        ("deep_book_1m", "of a layout that is not documented"),
        ("trade", "To fix: ask for trades"),
        ("book_seed", "mrtrade does not read Crypto Lake's table book_seed"),
    ],
)
def test_tables_that_are_not_read_say_what_is(provider, table, said):
    with pytest.raises(SourceError, match=said):
        provider.plan(table, "binance", "BTC/USDT", *DAYS[:2])


@pytest.mark.parametrize(
    ("exchange", "symbol", "said"),
    [
        ("binance", "BTC/USTD", "BINANCE has no book_delta_v2 of BTC-USTD.*did you mean BTC-USDT"),
        ("binanc", "BTC/USDT", "no book_delta_v2 of BINANC.*did you mean BINANCE"),
        ("kraken", "XMR/EUR", "no book_delta_v2 of KRAKEN"),
    ],
)
def test_a_series_that_is_not_there_names_its_neighbours(provider, days, exchange, symbol, said):
    with pytest.raises(SourceError, match=said):
        provider.plan("book_delta_v2", exchange, symbol, *DAYS[:2])


def test_a_known_series_outside_its_history_is_days_without_objects(provider, days):
    plan = provider.plan("book_delta_v2", "binance", "btc/usdt", "2020-01-01", "2020-01-03")
    assert [(day.day, day.objects) for day in plan] == [("2020-01-01", ()), ("2020-01-02", ())]


def test_what_there_is(stub, provider, days):
    put_day(stub, "trades", DAYS[0], exchange="COINBASE", symbol="BTC-USD")
    found = provider.available()
    assert found.to_dict("records") == [
        {"table": "book_delta_v2", "exchange": "BINANCE", "symbol": "BTC-USDT", "days": 3,
         "first": DAYS[0], "last": DAYS[2]},
        {"table": "trades", "exchange": "COINBASE", "symbol": "BTC-USD", "days": 1,
         "first": DAYS[0], "last": DAYS[0]},
    ]  # fmt: skip
    assert len(provider.available("trades", "binance")) == 0
    assert len(provider.available("trades", "coinbase", "btc/usd")) == 1


def test_the_cache_is_where_the_user_says(stub, monkeypatch, tmp_path, days):
    assert CryptoLakeProvider(endpoint=stub.url).folder.parts[-4:] == (
        ".cache", "mrtrade", "lake", BUCKET)  # fmt: skip
    monkeypatch.setenv("MRTRADE_LAKE_CACHE", str(tmp_path / "there"))
    assert CryptoLakeProvider(endpoint=stub.url).folder == tmp_path / "there" / BUCKET
    other = CryptoLakeProvider(tmp_path / "here", endpoint=stub.url)
    other.fetch(other.plan(*AT, *DAYS[:2])[0])
    assert (tmp_path / "here" / BUCKET / "book_delta_v2").is_dir()
    assert not (tmp_path / "there").exists()


def test_a_feed_out_of_order_is_sorted(stub, provider):
    rows = rows_of("trades", DAYS[0])
    order = np.random.default_rng(1).permutation(len(rows))
    put_day(stub, "trades", DAYS[0], rows.take(pa.array(order)), exchange="BINANCE")
    got, _ = stream(provider, end=DAYS[1], table="trades")
    assert received(got).tolist() == rows["receipt_timestamp"].to_pylist()
    assert got["trade_id"].to_pylist() == list(map(str, rows["id"].to_pylist()))


def test_wide_rows_come_in_smaller_tables(stub, provider, monkeypatch):
    monkeypatch.setattr("mrtrade.data.providers.lake_folder.BATCH_ROWS", 830)
    for table in ("book", "book_delta_v2"):
        put_day(stub, table, DAYS[0])
    for table, most in (("book", 60), ("book_delta_v2", 830)):
        opened = provider.stream(table, "binance", "BTC/USDT", *DAYS[:2])
        assert max(map(len, opened)) == most

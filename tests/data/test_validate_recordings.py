"""What validation says of the recordings; docs/validation.md explains each of these."""

import pytest

from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.quality.validate import validate_files, validate_store

pytestmark = pytest.mark.shared

FUTURES, HYPER = "BINANCE_FUTURES", "HYPERLIQUID"
BTC_PERP, ETH_PERP = "BTC/USDT-PERP", "ETH/USDT-PERP"

WORTH_TELLING = {
    # (table, exchange, symbol) -> rules broken, and how severely
    ("book", "BINANCE", "BTC/USDT"): {("missing_days", "warning")},
    ("trades", "BINANCE", "BTC/USDT"): {("missing_days", "warning")},
    ("trades", "BINANCE", "NEXO/USDT"): {("trades_outside", "warning")},
    **{
        (table, FUTURES, symbol): {("missing_days", "warning")}
        for table in ("book_delta_v2", "book", "level_1", "trades")
        for symbol in (BTC_PERP, ETH_PERP)
    },
    ("trades", FUTURES, BTC_PERP): {("missing_days", "warning"), ("trade_ids", "warning")},
    ("trades", "COINBASE", "BTC/USD"): {("clock_skew", "warning")},
    ("trades", "COINBASE", "ETH/USD"): {("clock_skew", "warning")},
    **{
        (table, HYPER, f"{coin}/USD-PERP"): {("hole", "warning")}
        for table in ("book", "level_1")
        for coin in ("BTC", "ETH", "SOL")
    },
    ("trades", HYPER, "BTC/USD-PERP"): {("duplicates", "error")},
    ("trades", HYPER, "ETH/USD-PERP"): {("duplicates", "warning")},
    ("trades", HYPER, "SOL/USD-PERP"): {("duplicates", "warning")},
}


@pytest.fixture(scope="module")
def report(shared_data, tmp_path_factory):
    store = ParquetStore(tmp_path_factory.mktemp("store"))
    ingest(shared_data / "lake", store)
    return validate_store(store)


def test_what_is_worth_telling(report):
    told = {
        (one.table, one.exchange, one.symbol): {
            (finding.rule, finding.severity)
            for finding in one.findings
            if finding.severity != "info"
        }
        for one in report.series
    }
    assert {series: rules for series, rules in told.items() if rules} == WORTH_TELLING
    assert len(told) == 87
    assert sum(one.rows for one in report.series) == 4_520_491


def test_rebuilt_books_are_those_of_the_exchange(report):
    compared = {
        (found.exchange, found.symbol): (found.count, found.text)
        for found in report.findings
        if found.rule == "best_agrees" and "level_1" in found.text
    }
    assert {where: count for where, (count, _) in compared.items()} == {
        ("BINANCE", "BTC/USDT"): 1_071,
        ("BINANCE", "ETH/USDT"): 1_056,
        ("BINANCE", "NEXO/USDT"): 12_198,
        ("BINANCE_DELIVERY", "BTC/USD-PERP"): 1_886,
        ("BINANCE_DELIVERY", "ETH/USD-PERP"): 2_278,
        (FUTURES, BTC_PERP): 1_255,
        (FUTURES, ETH_PERP): 1_385,
    }
    assert all("(100 %)" in text for _, text in compared.values())
    for one in report.series:
        if one.table == "book_delta_v2":
            assert one.counts["crossed"]["messages"] == 0
            assert one.counts["frozen"]["spells"] == 0
            assert one.counts["off_tick"] == one.counts["off_lot"] == 0
            assert one.counts["sequence_falls"] == 0


def test_candles_are_those_of_the_trades(report):
    equal = [found.text for found in report.findings if found.rule == "candle_equals_trades"]
    assert equal == ["10 of 10 candles equal those made of the trades"] * 2


def test_clocks_of_the_recordings(report):
    median = {
        (one.exchange, one.symbol): one.summary["delay_ms"]["median"]
        for one in report.series
        if one.table == "book_delta_v2"
    }
    assert median["BINANCE", "BTC/USDT"] == pytest.approx(-1272.6, abs=0.1)
    assert median["BINANCE", "NEXO/USDT"] == pytest.approx(-40.3, abs=0.1)
    assert median["BYBIT", "BTC/USDT-PERP"] == pytest.approx(109.5, abs=0.1)


@pytest.mark.parametrize("twin", ["positive", "negative"])
def test_a_clean_file_and_its_corrupted_twin(shared_data, twin):
    [file] = (shared_data / "raw" / "daniellasota").glob(f"*_{twin}.csv.gz")
    report = validate_files(file)
    told = [(one.rule, one.severity) for one in report.findings if one.severity != "info"]
    if twin == "positive":
        assert (report.verdict, told) == ("PASS", [])
        return
    assert report.verdict == "FAIL"
    assert sorted(told) == [("quarantined", "warning"), ("sequence_hole", "error")]
    assert list(report.quarantined.values()) == [
        {"TimestampOfReceiveUS and TimestampOfReceive are not the same time": 1}
    ]

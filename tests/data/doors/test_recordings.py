"""Every recording that is there raw and in Crypto Lake's layout gives the same rows both ways."""

import pyarrow as pa
import pytest

from .files import brought_in, contents

pytestmark = pytest.mark.shared

SPOT = ("BINANCE", "BTC-USDT"), ("BINANCE", "ETH-USDT")
PERP = ("BINANCE_FUTURES", "BTC-USDT-PERP"), ("BINANCE_FUTURES", "ETH-USDT-PERP")
BYBIT = (
    *("BTC-USDT", "ETH-USDT", "BTC-USDT-PERP", "DOGE-USDT-PERP", "ETH-USDT-PERP"),
    "SOL-USDT-PERP",
)
STREAM = ("book_delta_v2", "book_seed", "level_1", "trades")
CASES = {
    "hftbacktest spot": ("hftbacktest/spot", SPOT, STREAM, ["2024-08-08", "2024-08-09"]),
    "hftbacktest futures": (
        "hftbacktest/usdm",
        PERP,
        STREAM,
        ["2024-07-18", "2024-07-19", "2024-08-08"],
    ),
    "a day of a quiet book": (
        "jeffrey",
        [("BINANCE", "NEXO-USDT")],
        STREAM,
        ["2024-07-23", "2024-07-24"],
    ),
    "cryptofeed of Bybit": (
        "cryptofeed/BYBIT.jsonl.zst",
        [("BYBIT", one) for one in BYBIT],
        ("book_delta_v2", "book_seed", "trades", "funding"),
        ["2026-08-09"],
    ),
    "cryptofeed of Coinbase": (
        "cryptofeed/COINBASE.jsonl.zst",
        [("COINBASE", "BTC-USD"), ("COINBASE", "ETH-USD")],
        ("book_delta_v2", "book_seed", "trades"),
        ["2026-08-09"],
    ),
    "cryptofeed of OKX": (
        "cryptofeed/OKX.jsonl.zst",
        [("OKX", "BTC-USDT"), ("OKX", "BTC-USD-22K27"), ("OKX", "UNI-USD-PERP")],
        ("book_delta_v2", "book_seed", "trades"),
        ["2022-05-13"],
    ),
    "a day of Binance's public data": (
        "freqtrade",
        [("BINANCE", "PEPE-USDT")],
        ("trades",),
        ["2024-10-27"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_rows_equal_those_of_the_lake(shared_data, tmp_path, case):
    raw, symbols, tables, days = CASES[case]
    lake = tmp_path / "lake"
    for table in tables:
        for exchange, symbol in symbols:
            for day in days:
                folder = f"{table}/exchange={exchange}/symbol={symbol}/dt={day}"
                if not (shared_data / "lake" / folder).is_dir():
                    continue  # e.g. Bybit's spot has no funding
                (lake / folder).parent.mkdir(parents=True, exist_ok=True)
                (lake / folder).symlink_to(shared_data / "lake" / folder)
    _, expected = brought_in(lake, tmp_path / "expected")
    report, found = brought_in(shared_data / "raw" / raw, tmp_path / "found")
    ours, theirs = contents(found), contents(expected)
    for series, rows in theirs.items():
        assert ours[series].equals(rows), series
    # What the lake was not made of; it has no table of open interest.
    assert {series[0] for series in set(ours) - set(theirs)} <= {"open_interest"}
    assert report.quarantined == 0
    assert all(one.severity == "info" for several in report.findings.values() for one in several)


def test_a_recording_without_a_lake(shared_data, tmp_path):
    """Binance of 2021, by cryptofeed: read whole, every sequence unbroken."""
    for name in ("BINANCE", "BINANCE_FUTURES"):
        report, store = brought_in(
            shared_data / "raw" / "cryptofeed" / f"{name}.jsonl.zst", tmp_path / name
        )
        tables = {table for table, *_ in store.series()}
        assert tables == {"book_delta_v2", "book_seed", "level_1", "trades"}
        rules = {one.rule for several in report.findings.values() for one in several}
        assert rules == {"not_read"}  # candles that were not over yet


def test_the_clean_and_the_corrupted_twin(shared_data, tmp_path):
    folder = shared_data / "raw" / "daniellasota"
    [clean] = folder.glob("*_positive.csv.gz")
    [corrupt] = folder.glob("*_negative.csv.gz")
    report, good = brought_in(clean, tmp_path / "good")
    assert (report.findings, report.quarantined) == ({}, 0)
    report, bad = brought_in(corrupt, tmp_path / "bad", on_bad="quarantine")
    # One row has the wrong time, and the first message an id that the next does not name.
    [[hole]] = report.findings.values()
    assert hole.rule == "sequence_hole"
    assert report.quarantined == 1
    [refused] = bad.read("quarantine", "BINANCE_FUTURES", "TRX/USDT-PERP").to_pylist()
    assert refused["row"] == 145
    assert "not the same time" in refused["reason"]
    ours, theirs = contents(bad), contents(good)
    where = ("BINANCE_FUTURES", "TRX/USDT-PERP")
    assert ours["trades", *where].equals(theirs["trades", *where])
    seeds = theirs["book_seed", *where]
    assert ours["book_seed", *where].equals(seeds.slice(1))
    deltas, wrong = (both["book_delta_v2", *where] for both in (theirs, ours))
    assert wrong.drop(["sequence_number"]).equals(deltas.drop(["sequence_number"]))
    numbers = pa.compute.not_equal(wrong["sequence_number"], deltas["sequence_number"])
    assert numbers.to_pylist() == [True] * 25 + [False] * (len(deltas) - 25)

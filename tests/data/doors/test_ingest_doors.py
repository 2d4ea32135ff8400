"""What an ingest does with files of any door: all or nothing, once, in order, nothing lost."""

import os

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from mrtrade.cli import app
from mrtrade.data.ingest import ingest, ingest_files
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.providers.files import discover
from mrtrade.errors import ConfigError, DataError, StoreError

from ..lake import T0, deltas, put, tree
from .files import brought_in, contents, packed

HERE = ("book_delta_v2", "BINANCE", "BTC/USDT")
QUARANTINE = ("quarantine", "BINANCE", "BTC/USDT")
MS = 1_735_689_600_000  # 2025-01-01
DAY_MS = 86_400_000
GOOD = deltas((0, 1, True, 100, 1), (1, 1, False, 101, 2), (2, 2, True, 100, 0))


def trades(path, *rows):
    """A file of Binance's public trades: (id, time in ms, price)."""
    lines = [f"{number},{price},1,{price},{MS + time},True,True" for number, time, price in rows]
    return packed(path, "\n".join(lines) + "\n")


def test_a_folder_of_everything(tmp_path):
    lake = tmp_path / "in" / "lake"
    put(lake, "book_delta_v2", GOOD)
    trades(tmp_path / "in/BTCUSDT-trades-2025-01-01.zip", (1, 0, 5))
    packed(tmp_path / "in/notes.txt", "nothing to see")
    packed(tmp_path / "in/deep/other.csv", "a,b\n1,2\n")
    packed(tmp_path / "in/.hidden.csv", "a,b\n1,2\n")
    report, store = brought_in(tmp_path / "in", tmp_path / "store")
    assert store.series() == [HERE, ("trades", "BINANCE", "BTC/USDT")]
    assert (report.files, report.unchanged) == (2, 0)
    assert report.skipped == ["notes.txt", "deep/other.csv"]
    assert "skipped: notes.txt, deep/other.csv" in str(report)


def test_hints(tmp_path):
    put(tmp_path / "lake", "book_delta_v2", GOOD)
    trades(tmp_path / "lake/BTCUSDT-trades-2025-01-01.zip", (1, 0, 5))
    for name, table in (("lake", "book_delta_v2"), ("binance-public", "trades")):
        files, _ = discover(tmp_path / "lake", format=name)
        assert [file.table for file in files] == [table]
    with pytest.raises(ConfigError, match="unknown format"):
        discover(tmp_path, format="csv")
    with pytest.raises(DataError, match="no such file or folder"):
        discover(tmp_path / "none")
    [file], _ = discover(
        tmp_path / "lake", format="binance-public", exchange="binance_us", symbol="XBT/USDT"
    )
    assert (file.exchange, file.symbol) == ("BINANCE_US", "XBT-USDT")


def test_a_file_of_a_lake_alone(tmp_path):
    path = put(tmp_path / "lake", "book_delta_v2", GOOD)
    report, _ = brought_in(path, tmp_path / "store")
    assert report.rows == 3


def test_one_bad_file_keeps_all_the_others_out(tmp_path):
    trades(tmp_path / "in/BTCUSDT-trades-2025-01-01.csv", (1, 0, 5))
    trades(tmp_path / "in/ETHUSDT-trades-2025-01-01.csv", (1, 0, -5))
    with pytest.raises(DataError, match="price: out of range"):
        brought_in(tmp_path / "in", tmp_path / "store")
    assert not list((tmp_path / "store").rglob("*.parquet"))


def test_refused_rows_go_with_their_file(tmp_path):
    """Refused rows are stored once; a corrected file takes them away, and only its own."""
    a = tmp_path / "in/BTCUSDT-trades-2025-01-01.csv"
    b = tmp_path / "in/BTCUSDT-trades-2025-01-02.csv"
    trades(a, (1, 0, 5), (2, 1, -5))
    trades(b, (3, 2, 5), (4, 3, -6), (5, 4, -7))  # the same UTC day, by its times
    report, store = brought_in(tmp_path / "in", tmp_path / "store", on_bad="quarantine")
    assert report.quarantined == 3
    assert "3 rows put into quarantine" in str(report)
    assert store.read(*QUARANTINE)["row"].to_pylist() == [1, 1, 2]
    before = tree(store.root)
    again = ingest(tmp_path / "in", store, on_bad="quarantine")
    assert (again.unchanged, again.written, again.quarantined) == (2, [], 0)
    assert ingest(tmp_path / "in", store).unchanged == 2  # what was taken was taken
    assert tree(store.root) == before
    trades(b, (3, 2, 5), (4, 3, 6), (5, 4, -7))
    report = ingest(tmp_path / "in", store, on_bad="quarantine")
    assert report.quarantined == 1
    assert store.read(*QUARANTINE)["row"].to_pylist() == [1, 2]
    assert store.read("trades", "BINANCE", "BTC/USDT").num_rows == 3
    trades(b, (3, 2, 5), (4, 3, 6), (5, 4, 7))
    ingest(tmp_path / "in", store)
    assert store.read(*QUARANTINE)["row"].to_pylist() == [1]
    trades(a, (1, 0, 5), (2, 1, 5))
    report = ingest(tmp_path / "in", store)
    assert report.removed == ["quarantine BINANCE BTC/USDT 2025-01-01"]
    assert store.read("trades", "BINANCE", "BTC/USDT").num_rows == 5


def test_an_interruption_loses_no_refused_row(tmp_path, monkeypatch):
    rows = [(at, at * DAY_MS, 5 if at % 2 else -5) for at in range(1, 5)]
    trades(tmp_path / "in/BTCUSDT-trades-2025-01.csv", *rows)
    _, whole = brought_in(tmp_path / "in", tmp_path / "whole", on_bad="quarantine")
    real, done = os.replace, []

    def replace(source, target):
        done.append(target)
        if len(done) == stop:
            raise KeyboardInterrupt
        real(source, target)

    for stop in range(1, 8):
        done.clear()
        folder = tmp_path / str(stop)
        monkeypatch.setattr(os, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            brought_in(tmp_path / "in", folder, on_bad="quarantine")
        monkeypatch.setattr(os, "replace", real)
        brought_in(tmp_path / "in", folder, on_bad="quarantine")
        assert tree(folder) == tree(whole.root)


def test_a_lake_out_of_order_is_sorted_where_faults_are_set_aside(tmp_path):
    times = np.random.default_rng(5).permutation(200)
    rows = deltas(*[(int(t) * 10**12, at, True, 100, 1) for at, t in enumerate(times)])
    put(tmp_path / "lake", "book_delta_v2", rows)
    with pytest.raises(DataError, match="not in the order of received_time"):
        brought_in(tmp_path / "lake", tmp_path / "none")
    report, store = brought_in(tmp_path / "lake", tmp_path / "store", on_bad="quarantine")
    found = store.read(*HERE)
    assert found["received_time"].to_pylist() == [T0 + at * 10**12 for at in range(200)]
    assert found["sequence_number"].to_pylist() == np.argsort(times).tolist()
    [[said]] = report.findings.values()
    assert (said.rule, said.severity) == ("received_order", "warning")
    assert len(store.days(*HERE)) == 3


def test_files_of_ones_own(tmp_path):
    """Anything that has the attributes and `read` is a file."""
    path = packed(tmp_path / "own.bin", "whatever it is")

    class Own:
        table, exchange, symbol, name = "trades", "HERE", "BTC-USDT", "own"

        def __init__(self):
            self.path = path

        def read(self, checks):
            raw = {
                "received_time": [T0, T0 + 1],
                "side": ["buy", "sell"],
                "quantity": [1.0, -1.0],
                "price": [2.0, 2.0],
            }
            rows = pa.table(raw)
            checker = checks.checker(
                "trades", self.path, self.exchange, self.symbol, rows.schema, source=self.name
            )
            yield checker(rows)

    store = ParquetStore(tmp_path / "store")
    with pytest.raises(DataError, match="quantity: out of range"):
        ingest_files([Own()], store)
    report = ingest_files([Own()], store, on_bad="quarantine")
    assert (report.files, report.quarantined) == (1, 1)
    assert store.read("trades", "HERE", "BTC/USDT")["trade_id"].to_pylist() == [None]
    assert ingest_files([Own()], store).unchanged == 1


def test_only_the_touched_series_are_locked(tmp_path, monkeypatch):
    trades(tmp_path / "in/BTCUSDT-trades-2025-01-01.csv", (1, 0, 5))
    store = ParquetStore(tmp_path / "store")
    asked = []
    real = store.writing
    monkeypatch.setattr(store, "writing", lambda series=(): (asked.append(series), real(series))[1])
    ingest(tmp_path / "in", store)
    assert set(asked[0]) == {("trades", "BINANCE", "BTC/USDT"), QUARANTINE}


def test_a_correction_that_needs_the_other_file(tmp_path):
    a = trades(tmp_path / "a/BTCUSDT-trades-2025-01-01.csv", (1, 0, 5))
    b = trades(tmp_path / "b/BTCUSDT-trades-2025-01-02.csv", (2, 1, 5))
    brought_in(a, tmp_path / "store")
    _, store = brought_in(b, tmp_path / "store")
    before = contents(store)
    trades(tmp_path / "b/BTCUSDT-trades-2025-01-02.csv", (2, 1, 6))
    with pytest.raises(StoreError, match="was corrected, but"):
        ingest(b, store)
    assert contents(store) == before


def test_command_line(tmp_path):
    path = trades(tmp_path / "in/BTCUSDT-trades-2025-01-01.csv", (1, 0, 5), (3, 1, -5), (7, 2, 5))
    store = str(tmp_path / "store")
    run = CliRunner().invoke
    refused = run(app, ["ingest", str(path), "--store", store])
    assert refused.exit_code != 0
    assert not (tmp_path / "store").exists() or not list((tmp_path / "store").rglob("*.parquet"))
    done = run(app, ["ingest", str(path), "--store", store, "--on-bad", "quarantine"])
    assert done.exit_code == 0, done.output
    assert "warning: binance-public/BTCUSDT-trades-2025-01-01.csv@" in done.output
    assert "trade id was 3, expected 2: 1 ids missing" in done.output
    assert "1 rows put into quarantine" in done.output
    args = ["ingest", str(path), "--store", store, "--format", "binance-public"]
    assert "1 unchanged" in run(app, [*args, "--exchange", "BINANCE"]).output
    assert run(app, ["ingest", str(path), "--on-bad", "ignore"]).exit_code != 0

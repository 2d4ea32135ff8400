"""``mrtrade download`` as a user runs it, in its own process or here."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pyarrow as pa
import pytest

from mrtrade.data.download import download
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.providers.lake import CryptoLakeProvider
from tests.cli.test_cli import run as run_command
from tests.lake.make import BUCKET, key_of, put_day, rows_of

DAYS = ("2024-01-01", "2024-01-02", "2024-01-03")
ASK = ("--symbol", "BTC/USDT", "--start", DAYS[0], "--end", "2024-01-04", "--tables", "trades")


@pytest.fixture
def mrtrade(stub, tmp_path, capsys, monkeypatch):
    """Run a command here, in an empty folder, with the stub as the world."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", stub.url)
    monkeypatch.setenv("MRTRADE_LAKE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: run_command(capsys, monkeypatch, *arguments)


def put_days(stub, table="trades", days=DAYS, count=1_000):
    for day in days:
        put_day(stub, table, day, rows_of(table, day, count))


def test_the_plan_a_line_a_day_and_a_summary(stub, mrtrade):
    put_days(stub)
    code, out, err = mrtrade("download", *ASK, "--dry-run")
    assert (code, err) == (0, "")
    for told in ("BINANCE BTC/USDT, 2024-01-01 to 2024-01-03 (3 days)", "disk: about", "quota: "):
        assert told in out
    assert stub.count("GET", ".parquet") == 0
    assert not os.path.exists("store")

    code, out, err = mrtrade("download", *ASK)
    assert (code, err) == (0, "")
    day = (
        "trades         2024-01-02         1,000 rows  00:00:00.000 - 23:58:33.600  gap 1 min 26 s"
    )
    assert day in out.splitlines()
    assert "100%: 3 of 3 partitions, fetched" in out
    assert "complete: BINANCE BTC/USDT 2024-01-01 to 2024-01-03: 3 written; 3,000 rows" in out

    code, out, _ = mrtrade("download", *ASK)
    assert code == 0
    assert "3 held; 0 rows" in out
    assert "partitions, fetched" not in out


def test_gaps_are_exit_code_3_unless_they_are_allowed(stub, mrtrade):
    put_days(stub, days=[DAYS[0], DAYS[2]])
    stub.put(BUCKET, key_of("funding", DAYS[0]), b"PAR1 but not the rest")
    ask = (*ASK[:-1], "trades,funding")
    for more, expected in (((), 3), (("--allow-gaps",), 0)):
        code, out, err = mrtrade("download", *ask, *more)
        assert (code, err) == (expected, "")
        assert "missing trades: 2024-01-02" in out
        assert "funding        2024-01-01  FAILED" in out
        gap = "gaps    trades         2024-01-01 23:58:33 to 2024-01-03 00:00:00  1 d 0 h"
        assert f"{gap} (1 day missing)" in out
        assert "failed  funding 2024-01-01" in out
        assert "the same command tries the failed days again" in out


def test_errors_are_one_message(stub, mrtrade, monkeypatch):
    put_days(stub)
    stub.keys = {"AKIAOTHER"}
    code, out, err = mrtrade("download", *ASK)
    assert (code, out) == (3, "")
    assert "does not accept the access key" in err
    assert "AKIATESTING" not in err
    assert "the-secret-itself" not in err
    code, _, err = mrtrade("download", "--start", DAYS[0])
    assert code == 2
    assert "--symbol: not given" in err
    code, _, err = mrtrade("download", *ASK[:-1], "trade")
    assert code == 2
    assert "expected some of book_delta_v2, book, trades" in err


def test_the_list_of_what_there_is(stub, mrtrade):
    put_days(stub)
    put_days(stub, "book", days=DAYS[:1])
    code, out, _ = mrtrade("download", "--list", "--symbol", "BTC/USDT", "--exchange", "binance")
    assert code == 0
    words = out.split()
    line = words[words.index("BINANCE") :]
    assert line == ["BINANCE", "BTC/USDT", *DAYS[::2], "book", "(1),", "trades", "(3)"]


def own_process(stub, tmp_path, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "mrtrade", "download", *arguments],
        cwd=tmp_path,
        env={
            **os.environ,
            "AWS_ENDPOINT_URL": stub.url,
            "MRTRADE_LAKE_CACHE": str(tmp_path / "cache"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def size_of_part(cache, day):
    with suppress(FileNotFoundError):  # renamed just now
        return sum(part.stat().st_size for part in cache.rglob(f"dt={day}/.*.part"))
    return 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_what_ends_a_download_leaves_whole_days_and_the_next_goes_on(stub, tmp_path, mrtrade, how):
    days = [f"2024-01-0{day}" for day in range(1, 7)]
    rows = {day: rows_of("trades", day, 10_000 if day != days[2] else 150_000) for day in days}
    for day in days:
        put_day(stub, "trades", day, rows[day])
    stub.fail("slow", times=99, match=f"dt={days[2]}/1", after=0.1)
    ask = ("--symbol", "BTC/USDT", "--start", days[0], "--end", "2024-01-07", "--tables", "trades")
    process = own_process(stub, tmp_path, *ask, "--jobs", "2")
    store = ParquetStore(tmp_path / "store")
    deadline = time.monotonic() + 120
    while len(store.days("trades", "BINANCE", "BTC/USDT")) < 2 or not size_of_part(
        tmp_path / "cache", days[2]
    ):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(how)
    out = process.communicate(timeout=60)[0]
    assert store.days("trades", "BINANCE", "BTC/USDT") == days[:2]
    assert store.verify("trades", "BINANCE", "BTC/USDT") == []
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "stopped: interrupted" in out
        told = r"every day in the store is whole; the same command goes on with the [45] left"
        assert re.search(told, out)
        assert "gaps    " not in out  # what is left is none

    stub.faults.clear()
    stub.requests.clear()
    code, out, _ = mrtrade("download", *ask)
    assert code == 0
    assert "4 written, 2 held" in out
    for day in days[:2]:
        assert stub.count("GET", f"dt={day}/1") == 0
    (part,) = [span for _, path, span in stub.requests if f"dt={days[2]}/1" in path]
    assert part.startswith("bytes=")  # gone on with where it was cut

    fresh = ParquetStore(tmp_path / "fresh")
    provider = CryptoLakeProvider(tmp_path / "other", endpoint=stub.url)
    download("BTC/USDT", days[0], "2024-01-07", tables=["trades"], store=fresh, provider=provider)
    series = ("trades", "BINANCE", "BTC/USDT")
    assert store.read(*series).equals(fresh.read(*series))
    assert [one.sha256 for one in store.entries(*series)] == [
        one.sha256 for one in fresh.entries(*series)
    ]
    prices = pa.concat_tables(rows.values())["price"]
    assert store.read(*series)["price"].to_pylist() == prices.to_pylist()

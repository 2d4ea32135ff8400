"""`mrtrade validate` and `mrtrade quarantine` as a user runs them."""

import json
import subprocess
import sys

import pytest

from mrtrade import cli
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from tests.data.lake import SECOND, deltas, put, trades


def run(capsys, monkeypatch, *arguments):
    """Run a command here; returns exit code, what it printed, what it complained of."""
    monkeypatch.setattr(sys, "argv", ["mrtrade", *map(str, arguments)])
    monkeypatch.delenv("COLUMNS", raising=False)
    with pytest.raises(SystemExit) as end:
        cli.main()
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err  # no terminal, no colours
    assert all(len(line) <= 100 for line in out.splitlines()), out
    return end.value.code, out, err


@pytest.fixture
def lake(tmp_path):
    """Two minutes of a book without a snapshot, and trades of which one is bad."""
    root = tmp_path / "lake"
    both = [(0, 1, True, 100, 1), (0, 1, False, 101, 1)]
    rows = [(s * SECOND, s + 1, True, 100, 1 + s % 3) for s in range(1, 120)]
    put(root, "book_delta_v2", deltas(*both, *rows))
    flow = [(s * SECOND, "buy", 1, 101, s) for s in range(120)]
    flow[7] = (7 * SECOND, "buy", 1, -101, 7)
    put(root, "trades", trades(*flow))
    return root


def test_files_then_a_store(capsys, monkeypatch, tmp_path, lake):
    page, told = tmp_path / "report.html", tmp_path / "report.json"
    picture = tmp_path / "report.png"
    written = ("--html", page, "--json", told, "--picture", picture)
    code, out, _ = run(capsys, monkeypatch, "validate", lake, *written)
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert code == 0  # a warning is no failure
    assert "WARN  book_delta_v2  BINANCE   BTC/USDT" in out
    assert "no snapshot: levels are unknown until they change" in out
    assert "1 rows were refused (0.8 %)" in out
    assert "2024-08-08 00:00:00-00:02:00  █" in out
    assert "1  trades BINANCE BTC/USDT price: out of range, expected a finite number > 0" in out
    assert "WARN  2 series: 0 PASS, 2 WARN, 0 FAIL" in out
    assert "<title>Data quality: WARN</title>" in page.read_text()
    assert json.loads(told.read_text())["verdict"] == "WARN"
    assert run(capsys, monkeypatch, "validate", lake, "--strict")[0] == 3

    store = tmp_path / "store"
    ingest(lake, ParquetStore(store), on_bad="quarantine")
    code, out, _ = run(capsys, monkeypatch, "validate", "--store", store, "--table", "trades")
    assert code == 0
    assert "1 series: 0 PASS, 1 WARN, 0 FAIL" in out
    assert "received_time is origin_time" not in out
    _, out, _ = run(capsys, monkeypatch, "validate", "--store", store, "--all")
    assert "received_time is origin_time" in out  # measurements too


def test_a_failure_is_exit_code_3(capsys, monkeypatch, tmp_path):
    put(tmp_path, "trades", trades(*((s * SECOND, "buy", 1, 100, s % 9) for s in range(20))))
    code, out, _ = run(capsys, monkeypatch, "validate", tmp_path)
    assert code == 3
    assert "error   trades BINANCE BTC/USDT" in out
    assert "duplicates: 11 of 20 trades have the id of an earlier one" in out


def test_refused_rows_are_listed(capsys, monkeypatch, tmp_path, lake):
    store = tmp_path / "store"
    ingest(lake, ParquetStore(store), on_bad="quarantine")
    code, out, err = run_long(capsys, monkeypatch, "quarantine", "--store", store)
    assert code == 0
    row = json.loads(out)
    assert (row["exchange"], row["symbol"], row["table"], row["row"]) == (
        "BINANCE",
        "BTC/USDT",
        "trades",
        7,
    )
    assert json.loads(row["content"])["price"] == -101.0
    code, out, err = run_long(
        capsys, monkeypatch, "quarantine", "--store", store, "--table", "book_delta_v2"
    )
    assert (code, out, err) == (0, "", "no quarantined rows\n")


def run_long(capsys, monkeypatch, *arguments):
    """As `run`, for output that is for programs: its lines may be long."""
    monkeypatch.setattr(sys, "argv", ["mrtrade", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code, *capsys.readouterr()


def test_options_that_do_not_fit(capsys, monkeypatch, tmp_path, lake):
    code, _, err = run(capsys, monkeypatch, "validate", lake, "--table", "trades")
    assert code == 2
    assert "--table is for what a store holds, not for files" in err
    code, out, err = run(capsys, monkeypatch, "validate", lake, "--html", "/nowhere/report.html")
    assert (code, out) == (2, "")
    assert "error: /nowhere/report.html: nothing can be written there. To fix: name" in err
    code, _, err = run(capsys, monkeypatch, "validate", "--store", tmp_path / "none")
    assert code == 3
    assert "nothing to validate" in err


def test_a_narrow_screen_cuts_no_number(capsys, monkeypatch, lake):
    monkeypatch.setenv("COLUMNS", "80")
    out = run_long(capsys, monkeypatch, "validate", lake)[1]
    assert "…" not in out
    assert max(map(len, out.splitlines())) <= 80


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom mrtrade.cli import validate\n"
        "heavy = {'numpy', 'pandas', 'pyarrow', 'rich', 'matplotlib', 'pandera'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

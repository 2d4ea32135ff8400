"""The commands as a user runs them: on a small synthetic market, in their own process or here."""

import io
import subprocess
import sys

import pytest
from rich.console import Console

from mrcore.market import SyntheticMarket
from mrtrade import __version__, cli
from mrtrade.backtest import Progress
from mrtrade.cli.console import RunProgress
from mrtrade.data.synthetic import write_lake

STRATEGY = """
from mrtrade.strategies import Rules, Strategy

class Flip(Strategy):
    features = ("reversal_bps_5",)

    def rules(self, row):
        x = row["reversal_bps_5"]
        return Rules(x > 0.1, x < -0.1, x < 0, x > 0, hold_s=5.0)
"""


HEAVY = {"numpy", "pandas", "pyarrow", "rich", "yaml"}


def run(capsys, monkeypatch, *arguments):
    """Run a command here; returns exit code, what it printed, what it complained of."""
    monkeypatch.setattr(sys, "argv", ["mrtrade", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err  # no terminal, no colours
    return end.value.code, out, err


@pytest.fixture
def mrtrade(capsys, monkeypatch):
    return lambda *arguments: run(capsys, monkeypatch, *arguments)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a recording of two minutes and a strategy that trades."""
    place = tmp_path_factory.mktemp("cli")
    market = SyntheticMarket(1, market_rate=10.0, cancel_rate=0.5, snapshot_levels=50)
    write_lake(place / "lake", market.run(120.0), "SYNTHETIC", "BTC/USDT")
    (place / "flip.py").write_text(STRATEGY)
    return place


@pytest.fixture(scope="module")
def store(place):
    done = subprocess.run(
        [sys.executable, "-m", "mrtrade", "ingest", place / "lake", "--store", place / "store"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "book_delta_v2" in done.stdout
    assert "3 partitions written" in done.stdout
    return place / "store"


@pytest.fixture
def options(place, store):
    return (
        *("--store", store, "--exchange", "SYNTHETIC", "--symbol", "BTC/USDT"),
        *("--strategy", place / "flip.py"),
    )


@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["backtest", "--help"], ["nope"]])
def test_light_commands_import_nothing_heavy(arguments):
    code = (
        "import sys; from mrtrade.cli import main\n"
        f"sys.argv = ['mrtrade', *{arguments!r}]\n"
        "try:\n    main()\n"
        "except SystemExit:\n"
        f"    heavy = {HEAVY} & set(sys.modules)\n"
        "    assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_help_tells_the_exit_codes(mrtrade):
    code, out, _ = mrtrade("--help")
    assert code == 0
    for line in ("0  done", "2  usage", "3  data", "4  reserved", "5  reserved", "1  failed"):
        assert line in out


@pytest.mark.parametrize("arguments", [(), ("db",), ("features",), ("fills",)])
def test_the_lists_of_commands_are_not_cut(mrtrade, arguments):
    _, told, commands = mrtrade(*arguments, "--help")[1].partition("Commands:\n")
    assert told
    assert "..." not in commands
    assert all(len(line) <= 80 for line in commands.splitlines())


def test_version(mrtrade):
    assert mrtrade("version") == (0, f"mrtrade {__version__}\n", "")


def test_from_backtest_to_rerun(mrtrade, options, tmp_path):
    runs = tmp_path / "runs"
    code, out, _ = mrtrade("backtest", *options, "--set", "latency.feed_ms=2", "--runs", runs)
    assert code == 0
    lines = out.splitlines()
    assert len(lines) <= 40
    assert sum("events/s  ETA" in line for line in lines) == 10  # one for each 10 %
    assert "Net PnL" in out
    folder = lines[-2].split()[1]
    assert lines[-1].split()[1] == f"{folder}/report.html"

    code, out, _ = mrtrade("runs", "--runs", runs)
    assert code == 0
    assert folder.rsplit("/", 1)[1] in out
    for run_name in (folder, folder.rsplit("/", 1)[1]):
        code, out, err = mrtrade("rerun", run_name, "--folder", runs)
        assert code == 0, err
        assert out.startswith("bit-equal")
        assert "(0 fills" not in out

    with open(f"{folder}/report.html", "a") as report:
        report.write(" ")
    code, out, err = mrtrade("rerun", folder)
    assert (code, out) == (1, "")
    assert "report.html" in err


def test_a_file_and_options_that_win(mrtrade, place, store, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text(
        f"store: {store}\nexchange: SYNTHETIC\nsymbol: BTC/USDT\nbar: 10s\n"
        f"strategy: {{name: microstructure}}\n"
    )
    runs = tmp_path / "runs"
    code, out, err = mrtrade(
        "backtest", config, "--strategy", f"{place / 'flip.py'}:Flip", "--bar", "5s", "--runs", runs
    )
    assert code == 0, err
    assert "flip.py" in out
    (manifest,) = runs.glob("*/manifest.json")
    assert '"bar": "5s"' in manifest.read_text()


def test_ingest_again_changes_nothing(mrtrade, place, store):
    code, out, _ = mrtrade("ingest", place / "lake", "--store", store)
    assert code == 0
    assert "3 unchanged; 0 partitions written" in out


def test_no_runs(mrtrade, tmp_path):
    assert mrtrade("runs", "--folder", tmp_path) == (0, f"0 of 0 runs in {tmp_path}\n", "")


def test_features(mrtrade):
    code, out, _ = mrtrade("features", "list")
    assert code == 0
    for name in ("imbalance_5", "half_life_600", "hour_sin", "Wilder 1978"):
        assert name in out
    code, out, _ = mrtrade("features", "list", "--family", "temporal")
    assert "hour_sin" in out
    assert "zscore_60" not in out


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (["--strategy", "statistcal"], 2, "perhaps 'statistical'"),
        (["--set", "latency.fed_ms=2"], 2, "the nearest is latency.feed_ms"),
        (["--set", "latency"], 2, "is not KEY=VALUE"),
        (["--set", "capital=["], 2, "is not YAML"),
        (["--mode", "brave"], 2, "execution.mode"),
        (["--bogus"], 2, "No such option"),
        (["--capital", "much"], 2, "--capital"),
        (["--store", "nowhere"], 3, "nowhere"),
        (["no.yaml"], 2, "cannot be read"),
    ],
)
def test_one_clear_error(mrtrade, options, tmp_path, monkeypatch, change, code, says):
    monkeypatch.chdir(tmp_path)
    got, out, err = mrtrade("backtest", *options, *change)
    assert (got, out) == (code, "")
    assert says in err
    assert "Traceback" not in err


def test_damaged_data(mrtrade, place, tmp_path):
    file = tmp_path / "trades/exchange=SYNTHETIC/symbol=BTC-USDT/dt=2024-01-01/1.parquet"
    file.parent.mkdir(parents=True)
    whole = next((place / "lake" / "trades").rglob("*.parquet")).read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    code, out, err = mrtrade("ingest", tmp_path, "--store", tmp_path / "store")
    assert (code, out) == (3, "")
    assert str(file) in err


def test_where_nothing_can_be_written_is_told_before_the_run(mrtrade, options, tmp_path):
    (tmp_path / "file").touch()
    code, out, err = mrtrade("backtest", *options, "--runs", tmp_path / "file" / "runs")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {tmp_path}/file/runs: nothing can be written there. To fix: ")


def test_the_unexpected_and_debug(mrtrade, monkeypatch, tmp_path):
    def fall(folder):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("mrtrade.backtest.runs.list_runs", fall)
    code, _, err = mrtrade("runs", "--folder", tmp_path)
    assert code == 1
    assert err.startswith("error: unexpected ZeroDivisionError: oops")
    monkeypatch.setattr(sys, "argv", ["mrtrade", "runs", "--debug"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


@pytest.mark.parametrize("terminal", [True, False])
def test_a_message_breaks_between_words_and_only_on_a_terminal(monkeypatch, terminal):
    screen = io.StringIO()
    screen.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "30")
    path = "/a/place/that-is-longer/than-a-line.yaml"
    text = f"error: {path}: not what it is meant to be\n  line two"
    cli._tell(text)
    lines = screen.getvalue().splitlines()
    assert screen.getvalue().split() == text.split()
    assert any(path in line for line in lines)
    if terminal:
        assert all(len(line) <= 30 for line in lines if path not in line)
    else:
        assert lines == text.splitlines()


@pytest.mark.parametrize("terminal", [True, False])
def test_progress(terminal):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, highlight=False, width=100)
    with RunProgress(console, "backtest", 1000.0) as progress:
        for percent in range(0, 101, 4):
            progress(Progress(percent / 100, 10**6, 2.5e6, 1012.345, 0.5, 0.4))
    text = screen.getvalue()
    assert "2.50 M events/s" in text
    assert "PnL +12.35  position 0.5" in text or "PnL +12.34  position 0.5" in text
    assert ("\x1b" in text) == terminal
    if not terminal:
        shown = [line.split()[1] for line in text.splitlines()]
        assert shown == [f"{percent}%" for percent in range(10, 101, 10)]


def test_demo(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mrtrade", "demo", "--minutes", "10", "--folder", tmp_path / "d"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) <= 40
    assert len(list((tmp_path / "d" / "runs").glob("*/report.html"))) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["d"]

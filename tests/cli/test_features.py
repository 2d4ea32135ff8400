"""`mrtrade features` as a user runs it."""

import sys

import numpy as np
import pandas as pd
import pytest

from mrcore.market import SyntheticMarket
from mrtrade import cli
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.synthetic import write_lake
from mrtrade.features import FEATURES, compute
from mrtrade.features.candles import candle_bars
from mrtrade.features.example import example_bars
from mrtrade.features.market import load_bars

OWN = """
from mrtrade.features import feature

def ahead(bars):
    return bars["mid"].shift(-1)

def fine(bars):
    return bars["mid"].diff()

@feature("own_gap", family="temporal", unit="quote", inputs=("bid", "ask"), formula="-", edge="-",
         source="-")
def own_gap(bars, roll):
    return bars["ask"] - bars["bid"]
"""


@pytest.fixture
def mrtrade(capsys, monkeypatch):
    def run(*arguments):
        """Run a command here; returns exit code, what it printed, what it complained of."""
        monkeypatch.setattr(sys, "argv", ["mrtrade", "features", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "80")
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        assert "\x1b" not in out + err  # no terminal, no colours
        return end.value.code, out, err

    return run


def narrow(out: str) -> bool:
    return all(len(line) <= 80 for line in out.splitlines())


@pytest.fixture(scope="module")
def candles(tmp_path_factory):
    """Two thousand candles of five minutes, known at their ends."""
    rng = np.random.default_rng(0)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-3, 2000)))
    opened = np.r_[100.0, close[:-1]]
    frame = pd.DataFrame(
        {
            "open": opened,
            "high": 1.001 * np.maximum(opened, close),
            "low": 0.999 * np.minimum(opened, close),
            "close": close,
            "volume": rng.gamma(2.0, 5.0, 2000),
        },
        index=pd.date_range("2024-01-01 00:05", periods=2000, freq="5min", tz="UTC", name="time"),
    )
    file = tmp_path_factory.mktemp("candles") / "candles.parquet"
    frame.to_parquet(file)
    return file


def test_list_cuts_no_name(mrtrade):
    code, out, _ = mrtrade("list")
    assert code == 0
    assert narrow(out)
    assert "…" not in out
    assert [name for name in FEATURES if f"│ {name} " not in out] == []


def test_show(mrtrade):
    code, out, _ = mrtrade("show", "half_life_45")
    assert code == 0
    assert narrow(out)
    for text in ("half_life_45", "mean_reversion", "phi outside (0, 1)", "window = 45", "45 bars"):
        assert text in out
    assert "mid (quote): mid at the end" in out
    assert "Half-life of an Ornstein-Uhlenbeck mid" in out
    for name in list(FEATURES)[::12]:
        code, out, _ = mrtrade("show", name)
        assert code == 0, name
        assert narrow(out), name
    assert mrtrade("show", "half_lif_45")[0] == 2


def test_compute_from_candles(mrtrade, candles, tmp_path):
    place = tmp_path / "features.parquet"
    code, out, err = mrtrade(
        "compute", "--file", candles, "--out", place, "--features", "zscore_60, temporal,spread_bps"
    )
    assert code == 0, err
    assert narrow(out.replace(str(tmp_path), ""))
    assert "1 without a value: the bars have no book\n  spread_bps" in out
    assert out.endswith(f"written {place}\n")
    names = ["zscore_60", *(n for n, one in FEATURES.items() if one.family == "temporal")]
    written = pd.read_parquet(place)
    bars = candle_bars(pd.read_parquet(candles))
    pd.testing.assert_frame_equal(written, compute(bars, [*names, "spread_bps"]), check_freq=False)
    assert written.index.name == "time"
    assert "spread_bps" in written.attrs["reasons"]
    assert [path.name for path in tmp_path.iterdir()] == ["features.parquet"]
    span = ("--start", "2024-01-02", "--end", "2024-01-03")
    mrtrade("compute", "--file", candles, "--out", place, "--features", "zscore_60", *span)
    part = pd.read_parquet(place)
    assert str(part.index[0]) == "2024-01-02 00:00:00+00:00"
    assert str(part.index[-1]) == "2024-01-02 23:55:00+00:00"
    code, out, _ = mrtrade(
        "compute", "--file", candles, "--out", place, "--features", "zscore_3000,zscore_60"
    )
    assert code == 0
    assert "1 without a value: its first would come after the last of these bars" in out
    code, out, err = mrtrade("compute", "--file", candles, "--out", place, "--start", "2030-01-01")
    assert (code, out) == (3, "")
    assert "holds no bars of this time; expected some of 2024-01-01" in " ".join(err.split())


def test_what_is_wrong_with_candles_is_said(mrtrade, candles, tmp_path):
    place, file = tmp_path / "f.parquet", tmp_path / "c.parquet"
    frame = pd.read_parquet(candles)
    frame.loc[frame.index[7], "close"] = -1.0
    frame.drop(frame.index[[100, 101]]).to_parquet(file)
    code, out, err = mrtrade("compute", "--file", file, "--out", place, "--features", "zscore_60")
    assert code == 0, err
    assert "candles: 2 missing, 1 bad" in out
    for option, value in (("--features", ""), ("--interval", "1s")):
        code, out, err = mrtrade("compute", "--file", candles, "--out", place, option, value)
        assert code == 2
        assert option in err


def test_compute_from_bars(mrtrade, tmp_path):
    bars = example_bars(200)
    bars.reset_index().to_parquet(tmp_path / "bars.parquet")
    code, out, err = mrtrade(
        "compute", "--file", tmp_path / "bars.parquet", "--out", tmp_path / "f.parquet"
    )
    assert code == 0, err
    assert narrow(out.replace(str(tmp_path), ""))
    values = pd.read_parquet(tmp_path / "f.parquet")
    pd.testing.assert_frame_equal(values, compute(bars), check_freq=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with three minutes of a synthetic market."""
    place = tmp_path_factory.mktemp("store")
    market = SyntheticMarket(1, market_rate=10.0, cancel_rate=0.5, snapshot_levels=50)
    write_lake(place / "lake", market.run(180.0), "SYNTHETIC", "BTC/USDT")
    ingest(place / "lake", ParquetStore(place / "store"))
    return place / "store"


def test_compute_from_a_store(mrtrade, store, tmp_path):
    market = ("--store", store, "--exchange", "SYNTHETIC", "--symbol", "BTC/USDT")
    place = tmp_path / "f.parquet"
    code, out, err = mrtrade("compute", *market, "--interval", "500ms", "--out", place)
    assert code == 0, err
    assert narrow(out.replace(str(tmp_path), ""))
    assert "the bars have no second asset" in out
    bars = load_bars(ParquetStore(store), "SYNTHETIC", "BTC/USDT", "500ms")
    values = pd.read_parquet(place)
    pd.testing.assert_frame_equal(values, compute(bars), check_freq=False)
    assert values["spread_bps"].notna().all()
    code, out, err = mrtrade("report", *market, "--features", "spread_bps,ofi_10,rsi_14")
    assert code == 0, err
    assert "ofi_10" in out
    code, out, err = mrtrade(
        "compute",
        "--store",
        store,
        "--exchange",
        "SYNTHETIC",
        "--symbol",
        "ETH/USDT",
        "--out",
        place,
    )
    assert code in (2, 3)
    assert "ETH/USDT" in err


def test_report(mrtrade, candles, tmp_path):
    html, picture = tmp_path / "report.html", tmp_path / "ic.png"
    code, out, err = mrtrade(
        *("report", "--file", candles, "--horizons", "1,6", "--top", "3"),
        *("--features", "realized_vol_60,zscore_60,rsi_14,spread_bps"),
        *("--html", html, "--picture", picture),
    )
    assert code == 0, err
    assert narrow(out.replace(str(tmp_path), ""))
    assert "1 without a value: the bars have no book" in out
    assert "rank IC" in out
    assert "rank ICs have an adjusted p below 5 %" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    page = html.read_text()
    for text in ("candles.parquet", "1 without a value", "data:image/png;base64,", "zscore_60"):
        assert text in page
    assert "http" not in page.replace("http-equiv", "")


def test_check(mrtrade, tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OWN)
    code, out, _ = mrtrade("check", file)
    assert code == 0
    assert narrow(out)
    assert "own_gap   ok" in out
    assert out.endswith("1 feature: 1 clean, 0 look ahead\n")
    assert "own_gap" not in FEATURES
    code, out, _ = mrtrade("check", f"{file}:ahead")
    assert code == 1
    assert narrow(out)
    assert "truncate: row 0 (2024-08-08 22:00:00.000000) is" in out
    assert "it looked 1 bar ahead" in out.replace("\n  ", " ").replace("\n", " ")
    assert out.endswith("1 feature: 0 clean, 1 look ahead\n")
    assert mrtrade("check", f"{file}:fine")[0] == 0
    code, out, _ = mrtrade("check", f"{file}:own_gap")  # as it is registered, not as f(bars, tape)
    assert code == 0
    assert out.splitlines()[-2].split() == ["own_gap", *["ok"] * 5]
    code, out, _ = mrtrade("check", "temporal", "--seed", "1")
    assert code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["compute", "--out", "f.parquet"], 2, "say --exchange and --symbol"),
        (["compute", "--out", "f.parquet", "--exchange", "X"], 2, "say --exchange and --symbol"),
        (["compute", "--file", "c.parquet", "--out", "f", "--symbol", "X"], 2, "is for a store"),
        (["compute", "--file", "none.parquet", "--out", "f"], 3, "none.parquet: no such file"),
        (["compute", "--file", "text.parquet", "--out", "f"], 3, "text.parquet: is not Parquet"),
        (["compute", "--file", "empty.parquet", "--out", "f"], 3, "empty.parquet: holds no rows"),
        (["compute", "--file", "c.parquet", "--out", "no/f"], 2, "nothing can be written there"),
        (["compute", "--file", "c.parquet", "--out", "f", "--features", "zscor"], 2, "perhaps"),
        (["report", "--file", "c.parquet", "--horizons", "1,x"], 2, "are not numbers of bars"),
        (["check", "wrong.py"], 2, "wrong.py:2: cannot be loaded: ZeroDivisionError"),
        (["check", "nowhere.py"], 2, "no such file"),
        (["check", "nothing"], 2, "no feature 'nothing'"),
        (["show", "half_life"], 2, "such as 'half_life_600'"),
    ],
)
def test_one_clear_error(mrtrade, tmp_path, monkeypatch, arguments, code, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.parquet").write_text("hello")
    pd.DataFrame({"start": [], "close": []}).to_parquet(tmp_path / "empty.parquet")
    (tmp_path / "wrong.py").write_text("\nx = 1 / 0\n")
    got, out, err = mrtrade(*arguments)
    assert (got, out) == (code, "")
    assert says in " ".join(err.split())
    assert "Traceback" not in err

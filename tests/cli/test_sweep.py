"""`mrtrade sweep` as a user runs it."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from mrtrade.backtest.grid import read_axes
from mrtrade.backtest.sweep import COST_SCALE, Sweep, sweep
from mrtrade.cli import app
from mrtrade.clock import NS_PER_DAY
from mrtrade.errors import ConfigError
from mrtrade.ml.trials import TrialLedger
from mrtrade.validation.best_of import best_first, deflate_best
from mrtrade.validation.gate_one import deflate_by_count
from tests.cli.test_validate import run
from tests.validation.recordings import market_store

OWN = """
from mrtrade.strategies import Rules, Strategy, StrategyParams


class Fade(Strategy):
    features = ("zscore_30",)

    class Params(StrategyParams):
        entry: float = 1.0
        exit: float = 0.0

    def rules(self, row):
        z, p = row["zscore_30"], self.params
        return Rules(z < -p.entry, z > p.entry, z > -p.exit, z < p.exit, hold_s=600.0)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with three hours of a market, a strategy, and a configuration of both."""
    folder = tmp_path_factory.mktemp("sweep")
    store = market_store(folder, seconds=10_900.0)
    (folder / "fade.py").write_text(OWN)
    config = {
        **{"store": str(store), "exchange": "SYNTHETIC", "symbol": "BTC/USDT"},
        **{"bar": "10s", "capital": 10_000, "strategy": {"name": "fade.py"}},
    }
    (folder / "base.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture
def here(place, tmp_path, monkeypatch):
    """A folder of the test's own with the configuration and the strategy."""
    for name in ("base.yaml", "fade.py"):
        (tmp_path / name).write_bytes((place / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_grid_and_costs(capsys, monkeypatch, here):
    (here / "grid.yaml").write_text("entry: [1.0, 1.5, 99]\nexecution.mode: [passive]\n")
    asked = ("base.yaml", "--grid-file", "grid.yaml", "--grid", "exit=0,0.5", "--costs", "0.5,2")
    written = ("--json", "all.json", "--csv", "all.csv", "--parquet", "all.parquet")
    code, out, _ = run(capsys, monkeypatch, "sweep", *asked, *written, "--study", "fade")
    assert code == 0, out
    # 3 x 1 x 2 parameters under 0.5, 2 and, unasked, 1
    assert "18 configurations by 6 replays" in out
    assert "18 new trials, 18 of 'fade' in trials.jsonl" in out
    assert "4 of 6 traded" in out
    assert "x 0.5" in out
    assert "x 2" in out
    assert TrialLedger("trials.jsonl").count("fade") == 18
    told = json.loads((here / "all.json").read_text())
    frame = pd.read_parquet(here / "all.parquet")
    assert len(told["rows"]) == len(frame) == 18
    for row, kept in zip(told["rows"], frame.to_dict("records"), strict=True):
        assert row["net"] == kept["net"]  # every digit
        if not kept["fills"]:
            assert row["sharpe_after"] is None
    assert told["deflated"]["trials"] == 18
    text = pd.read_csv(here / "all.csv", dtype=str)
    np.testing.assert_array_equal(text["net"].astype(float), frame["net"])
    # The first on the screen is the best that traded at its own costs, not the cheapest row.
    best = frame[(frame[COST_SCALE] == 1) & (frame["fills"] > 0)].nlargest(1, "net").iloc[0]
    first = next(line for line in out.splitlines() if line.startswith("1   "))
    entry, leave = best["strategy.params.entry"], best["strategy.params.exit"]
    assert first.split()[1:3] == [f"{entry:g},", f"{leave:g}"]
    # Again it is the same, and nothing new was tried.
    code, again, err = run(capsys, monkeypatch, "sweep", *asked, "--study", "fade", "--jobs", 2)
    assert code == 0, err
    assert "0 new trials, 18 of 'fade'" in again
    assert out.splitlines()[-12:-3] == again.splitlines()[-9:]
    narrow = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["sweep", *asked])
    assert max(map(len, narrow.output.splitlines())) <= 80
    assert (
        first.split()[:4]
        == next(line for line in narrow.output.splitlines() if line.startswith("1   ")).split()[:4]
    )


def test_luck_is_counted_by_the_ledger(capsys, monkeypatch, here):
    asked = ("sweep", "base.yaml", "--grid", "entry=1,1.2")
    _, few, _ = run(capsys, monkeypatch, *asked)
    TrialLedger("trials.jsonl").record_many(many_trials(500))
    _, many, _ = run(capsys, monkeypatch, *asked)
    assert "best of 2 trials" in few
    assert "best of 502 trials" in many
    assert "not annualised" in few


def many_trials(count):
    from mrtrade.ml.trials import Trial

    return [Trial("sweep", {"n": n}, period="1h") for n in range(count)]


def test_what_never_traded_is_said(capsys, monkeypatch, here):
    code, out, _ = run(capsys, monkeypatch, "sweep", "base.yaml", "--grid", "entry=98,99")
    assert code == 0
    assert "none of 2 traded" in out


@pytest.mark.parametrize(
    ("given", "code", "told"),
    [
        ((), 2, "nothing to vary"),
        (("--grid", "entry"), 2, "KEY=VALUE,VALUE"),
        (("--grid", "entyr=1,2"), 2, "did you mean 'entry'"),
        (("--grid", "entry=1", "--grid", "strategy.params.entry=2"), 2, "varied twice"),
        (("--grid-file", "base.yaml"), 2, "line 1, bar: no list of values"),
        (("--grid-file", "none.yaml"), 2, "cannot be read"),
        (("--costs", "-1"), 2, "not a multiple of costs"),
        (("--costs", "2", "--csv", "out.txt"), 2, "a name in .csv"),
        (("--costs", "2", "--json", "missing/x.json"), 2, "nothing can be written there"),
        (("--costs", "2", "--backend", "spark"), 2, "loky, threading, dask, ray"),
        (("--costs", "2", "--scheduler", "tcp://127.0.0.1:1"), 2, "name the backend"),
        (("--costs", "2", "--symbol", "ETH/USDT"), 3, "no book_delta_v2 of SYNTHETIC ETH/USDT"),
        (("--costs", "2", "--data", "nothing"), 2, "holds no dataset"),
    ],
)
def test_what_is_wrong_is_said_once(capsys, monkeypatch, here, given, code, told):
    found, out, err = run(capsys, monkeypatch, "sweep", "base.yaml", *given)
    assert found == code, err
    assert told in err
    assert err.count("error: ") == 1
    assert out == ""
    assert not (here / "trials.jsonl").exists()


# What the best is worth ------------------------------------------------------------------


def test_the_best_is_deflated_as_gate_one_does_it():
    returns = np.random.default_rng(5).normal(2e-4, 1e-3, 60)
    moments = sweep_of([returns, returns - 1.0])
    mine, theirs = deflate_best(moments, 40), deflate_by_count(returns, 40)
    assert mine.probability == pytest.approx(theirs.probability, rel=1e-12)
    assert mine.benchmark == pytest.approx(theirs.benchmark, rel=1e-12)
    assert deflate_best(moments).trials == 2
    assert deflate_best(moments, 4000).probability < mine.probability


def sweep_of(all_returns):
    from mrtrade.backtest import metrics

    rows = []
    for returns in all_returns:
        skew, kurtosis = metrics.moments(returns)
        rows.append(
            {
                **{"net": returns.sum(), "fills": 3, "periods": len(returns)},
                **{"sharpe_after": metrics.sharpe(returns), "skew": skew, "kurtosis": kurtosis},
            }
        )
    frame = pd.DataFrame(rows)
    frame["rank"] = frame["net"].rank(ascending=False)
    return Sweep(frame, {"x": [1, 2]}, NS_PER_DAY, 2, 0)


def test_the_best_is_none_that_never_traded_and_none_at_half_the_costs(place, monkeypatch):
    monkeypatch.chdir(place)
    axes = {"strategy.params.entry": [1.0, 99.0], COST_SCALE: [0.0, 1.0]}
    found = sweep("base.yaml", axes)
    rows = best_first(found)
    assert rows[list(axes)].to_numpy().tolist() == [[1.0, 1.0]]
    assert math.isnan(deflate_best(found).probability) is False
    assert deflate_best(sweep("base.yaml", {"strategy.params.entry": [99.0]})) is None


def test_a_grid_file_names_each_key_once(tmp_path):
    file = tmp_path / "grid.yaml"
    file.write_text("a: [1, 2]\nb.c: [x]\n")
    assert read_axes(file) == [("a", [1, 2]), ("b.c", ["x"])]
    file.write_text("a: [1]\na: [2]\n")
    with pytest.raises(ConfigError, match="given twice, on lines 1 and 2"):
        read_axes(file)

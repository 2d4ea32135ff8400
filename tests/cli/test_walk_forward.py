"""`mrtrade walk-forward` and `mrtrade gate 1` as a user runs them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from mrtrade.cli import app
from mrtrade.errors import DataError
from mrtrade.validation.criteria import read_verdict
from mrtrade.validation.folds import code_of
from mrtrade.validation.noise import NoiseReport, NoiseSettings
from mrtrade.validation.settings import StrategyPlan, load_settings
from mrtrade.validation.walk_forward import WalkForwardResult

OWN = """
from mrtrade.strategies import Rules, Strategy, StrategyParams

class Fade(Strategy):
    features = ("zscore_60",)

    class Params(StrategyParams):
        entry: float = 1.0

    def rules(self, row):
        z = row["zscore_60"]
        return Rules(z < -self.params.entry, z > self.params.entry, z >= 0, z <= 0)
"""

CONFIG = {
    "project": "test",
    "data": {
        "cache": "cache",
        "symbols": {
            "BTC/USDT-PERP": {"candles": "BTC.parquet"},
            "ETH/USDT-PERP": {"candles": "ETH.parquet"},
        },
    },
    "strategies": {"Fade": {"name": "own.py:Fade", "grid": {"entry": [1.0, 2.0]}}},
    "folds": {"train": "10D", "test": "10D", "step": "10D"},
    "cross": {"train": "BTC/USDT-PERP", "test": ["ETH/USDT-PERP"]},
}

runner = CliRunner(env={"COLUMNS": "80"})


def write_candles(file, seed):
    rng = np.random.default_rng(seed)
    rows = 24 * 43
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 3e-3, rows)))
    opened = np.r_[100.0, close[:-1]]
    frame = pd.DataFrame(
        {
            "start": pd.date_range("2024-01-01", periods=rows, freq="1h", tz="UTC"),
            "open": opened,
            "high": np.maximum(opened, close),
            "low": np.minimum(opened, close),
            "close": close,
            "volume": rng.gamma(2.0, 5.0, rows),
        }
    )
    frame.to_parquet(file)


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """A folder in which the command ran."""
    folder = tmp_path_factory.mktemp("walk")
    for seed, coin in enumerate(("BTC", "ETH")):
        write_candles(folder / f"{coin}.parquet", seed)
    (folder / "own.py").write_text(OWN)
    (folder / "study.yaml").write_text(yaml.safe_dump(CONFIG))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        found = runner.invoke(app, ["walk-forward", "study.yaml", "--out", "out"])
    assert found.exit_code == 0, found.output
    return folder, found.output


@pytest.fixture
def here(walked, tmp_path, monkeypatch):
    shutil.copytree(walked[0], tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_it_shows_folds_tables_and_a_verdict(walked):
    folder, out = walked
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "fold  3/3" in out
    assert "BTC>ETH" in out
    assert "gate 1: Fade on BTC/USDT-PERP" in out
    assert "gate 1: Fade on ETH" not in out  # nothing was to be learnt there
    assert "6 of test" in out  # two sets and the choice, on each of two symbols
    place = folder / "out" / "BTC-USDT-PERP" / "Fade"
    result = WalkForwardResult.load(place / "own")
    assert len(result.folds) == 3
    assert result.manifest["config"]["project"] == "test"
    assert result.manifest["data"]["BTC/USDT-PERP"]["missing"] == 0
    assert WalkForwardResult.load(place / "ETH-USDT-PERP").learnt_on == "BTC/USDT-PERP"
    assert read_verdict(place / "gate-1.json").decision in out
    page = (place / "report.html").read_text()
    assert "Fade on BTC/USDT-PERP" in page


def test_again_it_says_the_same_and_counts_nothing_new(walked, here):
    again = runner.invoke(
        app, ["walk-forward", "study.yaml", "--out", "out", "--jobs", "2", "--backend", "threading"]
    )
    assert again.exit_code == 0, again.output

    def told(text):
        kept = [line for line in text.splitlines() if not line.endswith(" s")]
        return sorted(kept)

    assert told(again.output) == told(walked[1])


def test_gate_one_judges_what_was_saved(here):
    stored = (here / "out/BTC-USDT-PERP/Fade/gate-1.json").read_text()
    found = runner.invoke(app, ["gate", "1", "out", "--symbol", "BTC/USDT-PERP"])
    assert found.exit_code == json.loads(stored)["exit_code"] != 0, found.output
    assert (here / "out/BTC-USDT-PERP/Fade/gate-1.json").read_text() == stored
    plan = {"Fade": {"name": "own.py:Fade"}}
    rows = pd.DataFrame(
        {
            "kind": "random_walk",
            "size": 0.0,
            "seed": range(200),
            "strategy": "Fade",
            "decision": ["GO"] * 20 + ["NO-GO"] * 180,
            "net_sharpe": 0.0,
            "trades": 1,
        }
    )
    code = code_of(StrategyPlan(**plan["Fade"]))
    report = NoiseReport(rows, NoiseSettings(runs=200, strategies=plan), (code,))
    report.to_json(here / "noise.json")
    found = runner.invoke(
        app, ["gate", "1", "out", "--symbol", "BTC/USDT-PERP", "--noise", "noise.json"]
    )
    assert found.exit_code == 1
    assert "20 of 200" in " ".join(found.output.split())
    # Evidence of the class as it is now is none for the class that was walked forward.
    (here / "own.py").write_text(OWN + "# changed\n")
    code = code_of(StrategyPlan(**plan["Fade"]))
    NoiseReport(rows, report.settings, (code,)).to_json(here / "noise.json")
    found = runner.invoke(
        app, ["gate", "1", "out", "--symbol", "BTC/USDT-PERP", "--noise", "noise.json"]
    )
    assert "not of this strategy as it is" in " ".join(found.output.split())


def test_gate_one_refuses_a_ledger_that_was_deleted(here):
    (here / "trials.jsonl").unlink()
    found = runner.invoke(app, ["gate", "1", "out", "--symbol", "BTC/USDT-PERP"])
    assert isinstance(found.exception, DataError)
    assert "the ledger does not hold the trials" in str(found.exception)


def test_gate_one_refuses_what_another_run_left(here):
    place = here / "out/BTC-USDT-PERP/Fade/ETH-USDT-PERP/result.json"
    content = json.loads(place.read_text())
    content["manifest"]["config"]["seed"] = 7
    place.write_text(json.dumps(content))
    found = runner.invoke(app, ["gate", "1", "out", "--symbol", "BTC/USDT-PERP"])
    assert isinstance(found.exception, DataError)
    del content["label"]
    place.write_text(json.dumps(content))
    found = runner.invoke(app, ["gate", "1", "out", "--symbol", "BTC/USDT-PERP"])
    assert "holds no result" in str(found.exception)


def test_what_cannot_be_meant_is_said(here):
    def complaint(*arguments):
        found = runner.invoke(app, [*map(str, arguments)])
        assert found.exit_code != 0
        return found.output + str(found.exception)

    assert "several results" in complaint("gate", "1", "out")
    other = complaint("gate", "1", "out", "--strategy", "Other")
    assert "no such result" in other
    assert "BTC-USDT-PERP/Fade" in other
    assert "`mrtrade walk-forward --out` wrote" in complaint("gate", "1", "nowhere")
    other = complaint("walk-forward", "study.yaml", "--strategies", "Other")
    assert "no such strategy, was 'Other'; expected one of Fade" in other
    assert "no data of SOL" in complaint("walk-forward", "study.yaml", "--symbols", "SOL/USDT-PERP")
    assert "--root" in complaint("walk-forward", "study.yaml", "--root", "elsewhere")
    assert "nearest is folds.train" in complaint(
        "walk-forward", "study.yaml", "--set", "folds.trian=5D"
    )


def test_datasets_that_are_there_are_taken_as_they_are(here):
    found = runner.invoke(
        app,
        [
            *("walk-forward", "study.yaml", "--data", "cache", "--symbols", "ETH/USDT-PERP"),
            *("--set", "cross={}", "--out", "other"),
        ],
    )
    assert found.exit_code == 0, found.output
    assert "gate 1: Fade on ETH/USDT-PERP" in found.output
    assert not (here / "other" / "BTC-USDT-PERP").exists()


def test_the_configuration_that_is_shown_has_every_key():
    file = Path(__file__).parents[2] / "config" / "validation.yaml"
    shown = yaml.safe_load(file.read_text())
    config = load_settings(file)
    for section in ("folds", "model", "costs", "cross", "data"):
        fields = type(getattr(config, section)).model_fields
        assert set(shown[section]) == set(fields), section
    assert set(shown) == set(type(config).model_fields)
    defaults = load_settings({"strategies": shown["strategies"]})
    for section in ("folds", "model", "costs"):
        assert getattr(config, section) == getattr(defaults, section)

"""``mrtrade fills`` as a user runs it, and what its files are good for."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
import yaml

from mrcore.market import SyntheticMarket
from mrtrade import cli
from mrtrade.execution import read_table

SMALL = ("--minutes", 1.5, "--probes", 300, "--seed", 4)
QUIET = ("--market", "fair_sd_ticks=1", "--market", "limit_rates=[40, 20, 10]")


@pytest.fixture
def mrtrade(capsys, monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["mrtrade", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, *capsys.readouterr()

    return run


def test_grade_tells_and_writes(mrtrade, tmp_path):
    code, out, err = mrtrade(
        "fills", "grade", *SMALL, *QUIET, "--horizons", "0.5,2", "--distances", "0,2",
        "--out", tmp_path / "fills",
    )  # fmt: skip
    assert (code, err) == (0, "")
    for said in ("power(fit ", "table(fit)", "risk_averse", "within 2 s, by ticks", "+- "):
        assert said in out
    assert "\x1b" not in out
    names = {file.name for file in (tmp_path / "fills").iterdir()}
    assert names == {
        "summary.csv", "times.csv", "groups.csv", "cells.csv", "grade.json", "grade.png",
    }  # fmt: skip
    summary = pd.read_csv(tmp_path / "fills" / "summary.csv")
    assert len(summary) == 10 * 2
    shares = summary[["both", "only_model", "only_truth", "neither"]].sum(axis=1)
    np.testing.assert_allclose(shares, 1.0)
    told = json.loads((tmp_path / "fills" / "grade.json").read_text())
    assert told["source"]["market"] == {"fair_sd_ticks": 1, "limit_rates": [40, 20, 10]}
    assert told["plan"]["horizons_s"] == [0.5, 2.0]
    assert len(told["summary"]) == 20
    assert told["models"][-1]["table"][0] == 1.0
    assert (tmp_path / "fills" / "grade.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_gives_the_same_bytes(mrtrade, tmp_path):
    for name in ("a", "b"):
        mrtrade(
            "fills", "grade", *SMALL, *QUIET, "--horizons", "1", "--models", "strict,power(fit)",
            "--out", tmp_path / name,
        )  # fmt: skip
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_fit_writes_what_replays_and_backtests_read(mrtrade, tmp_path):
    file = tmp_path / "new" / "queue.yaml"
    code, out, err = mrtrade(
        "fills", "fit", *SMALL, *QUIET, "--horizon", 2, "--knots", 5, "--weight", "orders",
        "--out", file,
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "the exponent n" in out
    assert "weighted by orders" in out
    content = yaml.safe_load(file.read_text())
    assert content["power"] == pytest.approx(content["fit"]["powers"]["power"]["power"], abs=1e-6)
    assert content["fit"]["weight"] == "orders"
    table = read_table(file)
    assert table.tolist() == content["table"]
    assert len(table) == 5
    assert (file.parent / "queue.png").stat().st_size > 0

    from mrcore.replay import Replay
    from mrtrade.config import load_config

    Replay(0.1, 0.001, queue_model="table", queue_table=table)
    config = load_config(
        {
            "exchange": "SYNTHETIC",
            "symbol": "BTC/USDT",
            "strategy": {"name": "statistical"},
            "queue": {"model": "table", "table": str(file)},
        }
    )
    assert config.queue.table == content["table"]

    code, out, _ = mrtrade(
        "fills", "grade", *SMALL, *QUIET, "--horizons", "1", "--models", f"table({file})",
        "--out", tmp_path / "fills",
    )  # fmt: skip
    assert code == 0
    assert "table(queue.yaml)" in out


def test_orders_of_ones_own(mrtrade, tmp_path):
    """A market from a file is graded as the market itself."""
    run = SyntheticMarket(4, fair_sd_ticks=1, limit_rates=[40, 20, 10]).run(90.0)
    pd.DataFrame(run.orders).to_parquet(tmp_path / "orders.parquet")
    options = ("--horizons", "1", "--models", "log,power(fit)", "--probes", 300, "--seed", 4)
    mrtrade(
        "fills", "grade", *options, "--orders", tmp_path / "orders.parquet", "--lot-size", "0.001",
        "--out", tmp_path / "a",
    )  # fmt: skip
    mrtrade("fills", "grade", *SMALL, *QUIET, *options, "--out", tmp_path / "b")
    for name in ("summary.csv", "times.csv", "groups.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("grade", "--models", "fifo"), 2, "no queue model 'fifo'"),
        (("grade", "--horizons", "5,1"), 2, "--horizons"),
        (("grade", "--horizons", "0,1"), 2, "--horizons"),
        (("fit", "--distances", "0.5"), 2, "--distances"),
        (("fit", "--distances", "-1,0"), 2, "--distances"),
        (("fit", "--weight", "lots"), 2, "--weight"),
        (("fit", "--market", "cancel_rate"), 2, "KEY=VALUE"),
        (("fit", "--market", "colour=red"), 2, "no such synthetic market"),
        (("fit", "--market", "cancel_rate=-1"), 2, "cancel_rate must be > 0"),
        (("fit", "--orders", "x.csv"), 2, "--lot-size"),
        (("fit", "--orders", "x.csv", "--lot-size", "1"), 3, "cannot be read"),
        (("fit", "--orders", "x.csv", "--market", "cancel_rate=1"), 2, "--market"),
        (("fit", "--lot-size", "1"), 2, "--lot-size"),
        (("fit", "--minutes", "0.2"), 3, "too short a recording"),
        (("grade", "--minutes", "2"), 3, "too short a recording for standard errors"),
    ],
)
def test_what_cannot_be_done_is_said(mrtrade, arguments, code, told):
    got, _, err = mrtrade("fills", *arguments)
    assert got == code
    assert told in err


def test_pictures_are_left_out_without_matplotlib(mrtrade, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("mrtrade.execution.output.find_spec", lambda name: None)
    code, out, _ = mrtrade(
        "fills", "fit", *SMALL, *QUIET, "--horizon", 2, "--out", tmp_path / "q.yaml"
    )
    assert code == 0
    assert "pip install 'mrtrade[report]'" in out
    assert [file.name for file in tmp_path.iterdir()] == ["q.yaml"]

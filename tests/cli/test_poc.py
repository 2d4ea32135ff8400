"""`mrtrade poc` and `mrtrade validate --noise` as a user runs them."""

import json
import re

import pytest

from mrtrade.cli.noise import SIZES, _plans
from mrtrade.validation.noise import STRATEGIES
from tests.cli.test_validate import run
from tests.validation.recordings import market_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return market_store(tmp_path_factory.mktemp("cli-poc"), seconds=1_200.0)


def test_a_short_recording_cannot_be_judged(capsys, monkeypatch, tmp_path, store):
    out = tmp_path / "verdict.json"
    where = ("--store", store, "--exchange", "SYNTHETIC", "--symbol", "BTC/USDT")
    code, said, _ = run(capsys, monkeypatch, "poc", *where, "--out", out)
    assert code == 2
    assert "gate 0: SYNTHETIC BTC/USDT, 2024-01-01 00:00 to 2024-01-01 00:" in said
    assert "of the 7 days asked for" in said
    assert "NOT JUDGED: 4 of 5 criteria could not be judged" in said
    content = json.loads(out.read_text())
    assert content["exit_code"] == 2
    assert content["criteria"][0]["passed"] is None


@pytest.mark.parametrize(
    ("given", "code", "told"),
    [
        (("--symbol", "ETH/USDT"), 3, "SYNTHETIC BTC/USDT"),
        (("--mode", "hopeful"), 2, "aggressive, passive"),
        (("--bar", "soon"), 2, "write it as"),
        (("--out", "/nowhere/x.json"), 2, "nothing can be written there"),
    ],
)
def test_what_is_wrong_is_said(capsys, monkeypatch, tmp_path, store, given, code, told):
    monkeypatch.chdir(tmp_path)
    where = ("--store", store, "--exchange", "SYNTHETIC")
    found, _, err = run(capsys, monkeypatch, "poc", *where, *given)
    assert found == code
    assert told in err


def test_a_strategy_of_ones_own_under_noise(capsys, monkeypatch, tmp_path):
    own = tmp_path / "mine.py"
    own.write_text(
        "from mrtrade.strategies import Rules, Strategy\n\n\n"
        "class Fade(Strategy):\n"
        '    features = ("zscore_60",)\n\n'
        "    def rules(self, row):\n"
        '        z = row["zscore_60"]\n'
        "        return Rules(z < -2, z > 2, z >= 0, z <= 0)\n"
    )
    told, picture = tmp_path / "noise.json", tmp_path / "noise.png"
    given = ("--noise", 2, "--strategy", own, "--interval", "1h", "--days", 300, "--planted", 1)
    written = ("--json", told, "--picture", picture, "--jobs", 2, "--backend", "threading")
    code, out, _ = run(capsys, monkeypatch, "validate", *given, *written)
    assert code == 0
    assert "false GO  0 of 2: 0.0%, 95 % interval 0.0% to 84.2%" in out
    assert "the luckiest without a signal" in out
    assert "Fade" in out
    content = json.loads(told.read_text())
    assert (content["false_go"], content["runs"]) == (0, 2)
    assert len(content["detection"]) == len(SIZES)
    assert picture.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--strategy", "statistical"), "'--strategy': is for a noise control: say --noise N"),
        (("--from", "a.parquet"), "'--from': is for a noise control"),
        (("--scheduler", "tcp://127.0.0.1:1"), "'--scheduler': is for a noise control"),
        (("--planted", 0), "'--planted': is for a noise control"),
        (("--noise", 1, "--html", "a.html"), "'--html': is not for a noise control"),
        (("--noise", 1, "--store", "store"), "'--store': is not for a noise control"),
        (("--noise", 1, "folder"), "is not for a noise control"),
    ],
)
def test_options_of_the_other_kind_are_refused(capsys, monkeypatch, given, said):
    code, _, err = run(capsys, monkeypatch, "validate", *given)
    assert code == 2
    assert said in " ".join(err.split())


@pytest.mark.parametrize("name", ["statistical", "StatisticalMeanReversion"])
def test_a_strategy_that_comes_with_it_has_its_grid_by_any_of_its_names(name):
    assert _plans(name) == {"strategies": {"statistical": STRATEGIES["statistical"]}}


def test_what_a_noise_control_cannot_do_is_said_first(capsys, monkeypatch):
    code, _, err = run(capsys, monkeypatch, "validate", "--noise", 1, "--backend", "spark")
    assert code == 2
    assert "loky, threading, dask, ray" in err
    code, _, err = run(capsys, monkeypatch, "validate", "--noise", 1, "--days", 100)
    assert code == 2
    assert "too few days" in err
    for given, said in (
        (("--from", "nowhere.parquet"), "error: .*nowhere.parquet: no such file"),
        (("--interval", "7x"), "error: not a length of time"),
        (("--json", "no/where.json"), "nothing can be written there"),
    ):
        code, _, err = run(capsys, monkeypatch, "validate", "--noise", 1, *given)
        assert code in (2, 3)
        assert re.match(said, err.removeprefix("error: no/where.json: ")), err


def test_a_note_that_is_the_same_is_told_once(capsys, monkeypatch, tmp_path, store):
    monkeypatch.chdir(tmp_path)
    where = ("--store", store, "--exchange", "SYNTHETIC", "--bar", "1min")
    _, said, _ = run(capsys, monkeypatch, "poc", *where)
    assert " ".join(said.split()).count("too short: 0 bars to train on") == 1
    assert said.count("as above") == 3

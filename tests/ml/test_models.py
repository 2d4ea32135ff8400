import errno
import fcntl
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from mrtrade.errors import ConfigError, DataError, RunError
from mrtrade.ml.models import (
    FILES,
    MOVES,
    STAGES,
    history,
    list_models,
    load_model,
    open_model,
    promote,
    save_model,
    stage_of,
    verify,
)
from mrtrade.ml.params import ForecastParams, SelectionParams
from mrtrade.ml.training import train
from tests.ml.planted import planted

PARAMS = ForecastParams(selection=SelectionParams(max_features=5, min_features=1), max_rounds=20)


@pytest.fixture(scope="module")
def made():
    X, labels = planted(600)
    about = {"label": "1 bar", "fingerprint": "ab12"}
    return X, [train(X, labels, params=PARAMS, seed=seed, about=about) for seed in (1, 2)]


def save(forecaster, root, symbol="BTC/USDT"):
    return save_model(forecaster, root, name="fade", symbol=symbol, who="me")


def test_it_forecasts_the_same_bits_after_it_was_saved(made, tmp_path):
    X, (forecaster, _) = made
    again = load_model(save(forecaster, tmp_path).folder)
    assert again == forecaster
    assert again.predict(X).tobytes() == forecaster.predict(X).tobytes()
    assert again.selection["feature"].tolist() == forecaster.selection["feature"].tolist()


def test_the_same_model_is_the_same_folder(made, tmp_path):
    _, (one, other) = made
    first = save(one, tmp_path)
    assert first.id.startswith("fade-btc-usdt-")
    assert save(one, tmp_path) == first
    assert save(other, tmp_path).id != first.id
    assert {model.id for model in list_models(tmp_path)} == {first.id, save(other, tmp_path).id}
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".saving")]


@pytest.mark.parametrize(
    ("name", "after"),
    [
        *((name, b"") for name in FILES),
        ("model.json", b'"seed": '),
        ("model.json", b'"r2": 0.'),
        ("model.json", b'"numpy": "'),
    ],
)
def test_a_flipped_bit_is_an_error_that_names_the_file(made, tmp_path, name, after):
    folder = save(made[1][0], tmp_path).folder
    content = bytearray((folder / name).read_bytes())
    content[content.index(after) + len(after) if after else len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: not the file that was saved"):
        load_model(folder)
    (folder / name).write_bytes(b"[1")
    with pytest.raises(DataError, match=rf"{name}: not "):
        open_model(folder)


def test_a_folder_under_another_name_is_none(made, tmp_path):
    folder = save(made[1][0], tmp_path).folder
    other = folder.rename(tmp_path / "other")
    with pytest.raises(DataError, match="does not agree with the name of its folder"):
        load_model(other)


def test_a_missing_file_is_an_error(made, tmp_path):
    folder = save(made[1][0], tmp_path).folder
    (folder / "model.txt").unlink()
    with pytest.raises(DataError, match=r"model\.txt: cannot be read"):
        verify(folder)
    with pytest.raises(DataError, match="no model is there"):
        open_model(tmp_path / "other")


@pytest.mark.parametrize("stage", STAGES)
def test_only_legal_moves_are_made(made, tmp_path, stage):
    folder = save(made[1][0], tmp_path).folder
    way = {"candidate": [], "shadow": ["shadow"], "paper": ["shadow", "paper"]}
    way |= {"live": [*way["paper"], "live"], "retired": ["retired"]}
    for step in way[stage]:
        promote(folder, step, who="me", why="so")
    before = (folder / "history.jsonl").read_bytes()
    for to in set(STAGES) - set(MOVES[stage]):
        with pytest.raises(ConfigError, match="cannot become"):
            promote(folder, to, who="me", why="so")
    assert (folder / "history.jsonl").read_bytes() == before
    assert stage_of(folder) == stage


def test_the_history_is_appended_to(made, tmp_path):
    folder = save(made[1][0], tmp_path).folder
    before = (folder / "history.jsonl").read_bytes()
    promote(folder, "shadow", who="ann", why="a month of use")
    assert (folder / "history.jsonl").read_bytes().startswith(before)
    last = history(folder)[-1]
    assert (last["from"], last["to"], last["who"], last["why"]) == (
        "candidate",
        "shadow",
        "ann",
        "a month of use",
    )
    with pytest.raises(ConfigError, match="who made it, and why"):
        promote(folder, "paper", who="ann", why=" ")


def test_a_move_that_cannot_be_written_is_none(made, tmp_path, monkeypatch):
    folder = save(made[1][0], tmp_path).folder
    before = (folder / "history.jsonl").read_bytes()

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RunError, match=r"No space left.*what was saved before is as it was"):
            promote(folder, "shadow", who="me", why="so")
    assert (folder / "history.jsonl").read_bytes() == before
    assert stage_of(folder) == "candidate"
    assert promote(folder, "shadow", who="me", why="so").stage == "shadow"
    assert len(history(folder)) == 2


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda lines: [*lines[:-1], lines[-1][:30]], "not a history of stages"),
        (lambda lines: [lines[0], lines[2]], "a move is missing"),
        (lambda lines: lines[1:], "a move is missing"),
        (lambda lines: [], "a move is missing"),
        (lambda lines: [line.replace("paper", "gold") for line in lines], "no such stage: gold"),
    ],
)
def test_a_history_that_was_cut_or_changed_is_an_error(made, tmp_path, spoil, match):
    folder = save(made[1][0], tmp_path).folder
    for step in ("shadow", "paper"):
        promote(folder, step, who="me", why="so")
    place = folder / "history.jsonl"
    place.write_text("\n".join(spoil(place.read_text().splitlines())))
    for ask in (stage_of, open_model, lambda one: promote(one, "live", who="me", why="so")):
        with pytest.raises(DataError, match=match):
            ask(folder)


def test_one_at_a_time_moves_models(made, tmp_path):
    folder = save(made[1][0], tmp_path).folder
    with ThreadPoolExecutor(1) as pool, (tmp_path / ".lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        other = pool.submit(promote, folder, "shadow", who="me", why="so")
        with pytest.raises(TimeoutError):
            other.result(0.3)
        assert stage_of(folder) == "candidate"
        fcntl.flock(held, fcntl.LOCK_UN)
        assert other.result().stage == "shadow"


def test_what_is_told_of_a_model_is_json(made, tmp_path):
    one = made[1][0]
    told = replace(one, about={"windows": {10: "a", 9: "b"}, "both": (1, 2)})
    assert load_model(save(told, tmp_path).folder).about == {
        "windows": {"10": "a", "9": "b"},
        "both": [1, 2],
    }
    for about in ({"a": {1}}, {"a": float("nan")}):
        with pytest.raises(ConfigError, match="about: what is said of the model"):
            save(replace(one, about=about), tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written"):
        save(one, tmp_path / "file")


def test_one_model_of_a_name_and_symbol_is_live(made, tmp_path):
    one, other = (save(forecaster, tmp_path).folder for forecaster in made[1])
    elsewhere = save(made[1][1], tmp_path, symbol="ETH/USDT").folder
    for step in ("shadow", "paper"):
        for folder in (one, other, elsewhere):
            promote(folder, step, who="me", why="so")
    promote(one, "live", who="me", why="so")
    promote(elsewhere, "live", who="me", why="so")
    with pytest.raises(ConfigError, match=one.name):
        promote(other, "live", who="me", why="so")
    promote(one, "retired", who="me", why="so")
    assert promote(other, "live", who="me", why="so").stage == "live"


def test_the_manifest_says_what_a_forecast_depends_on(made, tmp_path):
    folder = save(made[1][0], tmp_path).folder
    told = json.loads((folder / "model.json").read_text())
    assert told["about"] == {"label": "1 bar", "fingerprint": "ab12"}
    assert told["versions"]["lightgbm"]
    assert np.array(told["span_ns"]).dtype == np.int64
    assert set(told["files"]) == set(FILES)

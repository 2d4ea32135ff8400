import json

import numpy as np
import pytest

from mrtrade.errors import ConfigError, DataError
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


@pytest.mark.parametrize("name", [*FILES, "model.json"])
def test_a_flipped_bit_is_an_error_that_names_the_file(made, tmp_path, name):
    folder = save(made[1][0], tmp_path).folder
    content = bytearray((folder / name).read_bytes())
    place = content.index(b'"seed": 1') + 8 if name == "model.json" else len(content) // 2
    content[place] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        load_model(folder)


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

"""A model's forecast in a backtest: from its folder, named by its hash, at the rows it knows."""

import numpy as np
import pytest

from mrtrade.backtest import rerun, run, save_run, scenes
from mrtrade.backtest.manifest import sha256
from mrtrade.data.parquet import ParquetStore
from mrtrade.errors import ConfigError
from mrtrade.features import compute
from mrtrade.features.market import load_bars

NAMES = ("zscore_30", "imbalance_5", "microprice_dev_bps")


@pytest.fixture(scope="module")
def model(market, tmp_path_factory):
    """A model of the market's own next second, in its folder."""
    pytest.importorskip("lightgbm")
    from mrtrade.ml.labels import forward_return
    from mrtrade.ml.models import save_model
    from mrtrade.ml.params import ForecastParams
    from mrtrade.ml.training import train

    steps = (market["instrument"]["tick_size"], market["instrument"]["lot_size"])
    store = ParquetStore(market["store"])
    bars = load_bars(store, "SYNTHETIC", "BTC/USDT", "200ms", steps=steps, feed="constant")
    X = compute(bars, NAMES)
    labels = forward_return(bars["mid"], 5)
    kept = X.notna().all(axis=1) & labels["label_bps"].notna()
    params = ForecastParams(selection=None, holdout=0.0, max_rounds=30, lambda_l2=0.0)
    forecaster = train(X[kept], labels[kept], params=params, seed=1)
    root = tmp_path_factory.mktemp("models")
    return save_model(forecaster, root, name="test", symbol="BTC/USDT").folder


@pytest.fixture
def config(market, model):
    params = {"entry_bps": 0.01, "horizon_s": 1.0, "vol_window": 10}
    return market | {
        "strategy": {"name": "forecast", "params": params, "model": str(model)},
        "execution": {"mode": "aggressive"},
        "queue": {"compare": False},
    }


def test_a_forecast_is_traded_and_the_model_named(config, model, tmp_path, monkeypatch):
    seen = {}
    whole = scenes.decided_on

    def spy(*given):
        seen["features"], seen["sha"] = whole(*given)
        return seen["features"], seen["sha"]

    monkeypatch.setattr(scenes, "decided_on", spy)
    result = run(config)
    forecast = seen["features"]["forecast_bps"]
    assert list(seen["features"].columns) == ["forecast_bps", "realized_vol_10"]
    assert forecast.iloc[:29].isna().all()  # the z-score of 30 bars is warming up
    assert np.isfinite(forecast.iloc[29:]).all()
    assert len(result.fills) > 5
    assert result.manifest["code"]["model"] == sha256(model / "model.json") == seen["sha"]
    folder = save_run(result, tmp_path)
    assert rerun(folder).manifest == result.manifest
    stepped = run(config, streaming=True)
    assert stepped.fills.equals(result.fills)


def test_a_damaged_model_is_not_traded(config, model, tmp_path):
    import shutil

    from mrtrade.errors import DataError

    copy = shutil.copytree(model, tmp_path / model.name)
    (copy / "model.txt").write_text((copy / "model.txt").read_text() + "\n")
    strategy = config["strategy"] | {"model": str(copy)}
    with pytest.raises(DataError, match=r"model\.txt"):
        run(config | {"strategy": strategy})


def test_no_model_where_one_is_read_and_one_where_none_is(config, market, model):
    with pytest.raises(ConfigError, match="there is no model"):
        run(config | {"strategy": {"name": "forecast"}})
    unread = {"name": "statistical", "model": str(model)}
    with pytest.raises(ConfigError, match="reads no forecast"):
        run(market | {"strategy": unread})

import os

import pytest

from mrtrade.errors import RunError
from mrtrade.ml.models import FILES, promote, save_model
from mrtrade.ml.params import ForecastParams
from mrtrade.ml.tracking import mirror
from mrtrade.ml.training import train
from tests.ml.planted import planted

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # what it reads on import; no test leaves here
mlflow = pytest.importorskip("mlflow", reason="MLflow is optional")


def cut_off(*_):
    raise mlflow.exceptions.MlflowException("the line is dead")


def test_a_model_is_mirrored_once_and_its_stage_follows(tmp_path, monkeypatch):
    pytest.importorskip("sqlalchemy", reason="MLflow's store in SQLite needs it")
    monkeypatch.chdir(tmp_path)  # artifacts go to ./mlruns
    X, labels = planted(300)
    forecaster = train(X, labels, params=ForecastParams(selection=None, max_rounds=5))
    model = save_model(forecaster, tmp_path / "models", name="fade", symbol="BTC/USDT")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "log_artifact", cut_off)
        with pytest.raises(RunError, match="the line is dead"):
            mirror(model, uri)
    run = mirror(model, uri)
    model = promote(model.folder, "shadow", who="me", why="so")
    assert mirror(model, uri) == run
    client = mlflow.MlflowClient(tracking_uri=uri)
    logged = client.get_run(run).data
    assert logged.params["num_leaves"] == "8"
    assert logged.metrics["rounds"] == forecaster.metrics["rounds"]
    assert logged.tags["stage"] == "shadow"
    assert {one.path for one in client.list_artifacts(run)} == {"model.json", *FILES}


def test_a_server_that_is_not_there_is_an_error(tmp_path):
    X, labels = planted(300)
    forecaster = train(X, labels, params=ForecastParams(selection=None, max_rounds=5))
    model = save_model(forecaster, tmp_path / "models", name="fade", symbol="BTC/USDT")
    with pytest.raises(RunError, match="the model itself is saved"):
        mirror(model, "nowhere://")

"""A mirror of saved models in MLflow. The folder stays what holds; nothing is read from there."""

from __future__ import annotations

import warnings
from typing import Any

from mrtrade.errors import RunError
from mrtrade.features.extras import need
from mrtrade.ml.models import Model

#: Longer values of a parameter are refused by MLflow.
LONGEST = 500


def mirror(model: Model, uri: str | None = None) -> str:
    """Log a saved model as a run of the experiment that is named like it.

    Parameters
    ----------
    model : Model
        Parameters, metrics and the folder's files are logged; the run has the folder's name. A
        model that is there already is not logged again, but its stage is brought up to date.
    uri : str, optional
        A tracking server, or ``sqlite:///mlflow.db``. Default: what MLflow is set to.

    Returns
    -------
    str
        Id of the run.

    Raises
    ------
    ConfigError
        If MLflow is not installed.
    RunError
        If the server cannot be reached or refuses.
    """
    mlflow = need("mlflow", "track")
    failure = need("mlflow.exceptions", "track").MlflowException
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow and SQLAlchemy speak of each other
        try:
            return _log(mlflow.MlflowClient(tracking_uri=uri), model)
        except failure as error:
            raise RunError(
                f"MLflow did not take the model: {' '.join(str(error).split())}",
                value=uri,
                remedy="check the address; the model itself is saved",
            ) from error


def _log(client: Any, model: Model) -> str:
    told = model.manifest
    experiment = client.get_experiment_by_name(told["name"])
    number = experiment.experiment_id if experiment else client.create_experiment(told["name"])
    own = f"tags.model = '{model.id}' AND attributes.status = 'FINISHED'"  # not one cut short
    known = client.search_runs([number], own, max_results=1)
    if known:
        found = str(known[0].info.run_id)
        client.set_tag(found, "stage", model.stage)
        return found
    tags = {"model": model.id, "symbol": told["symbol"], "stage": model.stage}
    run = str(client.create_run(number, run_name=model.id, tags=tags).info.run_id)
    settings = {"seed": told["seed"], "rows": told["rows"], **told["params"], **told["about"]}
    for key, value in settings.items():
        client.log_param(run, key, str(value)[:LONGEST])
    for key, value in told["metrics"].items():
        if value is not None:
            client.log_metric(run, key, float(value))
    for name in ("model.json", *told["files"]):
        client.log_artifact(run, str(model.folder / name))
    client.set_terminated(run)
    return run

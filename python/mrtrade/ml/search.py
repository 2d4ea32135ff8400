"""A search for settings of `train`, every trial of which is counted.

Each trial is judged on the blocks at the end of the training span, those that stop the trees; what
comes after the span is not looked at. The best of many is better there than it is: the ledger
knows how many there were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from mrtrade.errors import ConfigError, RunError
from mrtrade.features.extras import need
from mrtrade.ml.params import ForecastParams, SearchParams
from mrtrade.ml.training import train
from mrtrade.ml.trials import TrialLedger

KIND = "model search"


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes
    ----------
    params : ForecastParams
        Of the best trial.
    r2 : float
        Of its forecasts of the held-out blocks; the best of `made`, and so too good.
    made : int
        Trials of this search, those that failed included.
    counted : int
        Different trials of the study in the ledger, of all searches.
    trials : pandas.DataFrame
        ``number, state, r2`` and the settings tried.
    """

    params: ForecastParams
    r2: float
    made: int
    counted: int
    trials: pd.DataFrame


def search(
    X: pd.DataFrame,
    labels: pd.DataFrame,
    ledger: TrialLedger,
    *,
    base: ForecastParams | None = None,
    settings: SearchParams | None = None,
    data: str = "",
    seed: int = 0,
    threads: int = 1,
) -> Found:
    """Try settings within a training span; the TPE sampler of Optuna, seeded, proposes them.

    Parameters
    ----------
    X, labels
        As for `train`.
    ledger : TrialLedger
        Takes every trial before its result is used.
    base : ForecastParams, optional
        What is not searched for.
    settings : SearchParams, optional
    data : str
        Fingerprint of the data, for the ledger.
    seed, threads : int

    Raises
    ------
    RunError
        If no trial could be judged.
    """
    optuna = need("optuna", "search")
    base, settings = base or ForecastParams(), settings or SearchParams()
    if base.holdout == 0.0:
        raise ConfigError("a search needs a part held out", key="holdout", expected="above 0")

    def judge(trial: Any) -> float:
        params = base.model_copy(update=_propose(trial, settings))
        params = ForecastParams.model_validate(params.model_dump())
        tried = {"forecast": params.model_dump(mode="json"), "seed": seed}
        ledger.record(KIND, tried, study=settings.study, data=data)
        r2 = train(X, labels, params=params, seed=seed, threads=threads).metrics["r2"]
        if r2 is None:
            raise optuna.TrialPruned("the held-out labels are all the same")
        return float(r2)

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed)
        )
        study.optimize(judge, n_trials=settings.trials)
    finally:
        optuna.logging.set_verbosity(before)
    done = [one for one in study.trials if one.value is not None]
    if not done:
        raise RunError("no trial could be judged", value=len(study.trials))
    best = study.best_trial
    return Found(
        ForecastParams.model_validate({**base.model_dump(), **best.params}),
        float(best.value),
        len(study.trials),
        ledger.count(settings.study),
        pd.DataFrame(
            {"number": one.number, "state": one.state.name, "r2": one.value, **one.params}
            for one in study.trials
        ),
    )


def _propose(trial: Any, settings: SearchParams) -> dict[str, Any]:
    return {
        "learning_rate": trial.suggest_float("learning_rate", *settings.learning_rate, log=True),
        "num_leaves": trial.suggest_int("num_leaves", *settings.num_leaves, log=True),
        "min_leaf_share": trial.suggest_float("min_leaf_share", *settings.min_leaf_share, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", *settings.feature_fraction),
        "lambda_l2": trial.suggest_float("lambda_l2", *settings.lambda_l2, log=True),
    }

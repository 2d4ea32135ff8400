"""The forecast of a fold: trained on rows whose labels are over, explained on rows after them."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from mrtrade.errors import ConfigError
from mrtrade.features.registry import FEATURES, get
from mrtrade.ml.dataset import Dataset
from mrtrade.ml.forecaster import Forecaster
from mrtrade.ml.frames import matrix
from mrtrade.ml.labels import forward_return
from mrtrade.ml.training import train
from mrtrade.validation.settings import ModelConfig

#: Units of what is measured in the money, the coins or the pace of one symbol. Whole words: a
#: volatility's ``1/sqrt(year)`` is none of them.
_NOT_SCALE_FREE = re.compile(r"\b(quote|base|1/s|count|touch sizes)\b")


def features_offered(data: Dataset, model: ModelConfig) -> list[str]:
    """Return the features that a model is offered: the named ones, or else `offered` of all."""
    return offered(map(str, data.features)) if model.features is None else model.features


def offered(names: Iterable[str]) -> list[str]:
    """Return those features that a model is offered where none are named.

    Those that mean the same on another symbol, by their units, and have the windows that they have
    by default: what a strategy reads beside them does not change the model. What is not in the
    register is offered: only its maker knows.
    """
    return [name for name in names if _is_offered(name)]


def _is_offered(name: str) -> bool:
    try:
        unit = get(name).unit
    except ConfigError:
        return True
    return name in FEATURES and not _NOT_SCALE_FREE.search(unit)


def fit(data: Dataset, span: tuple[int, int], model: ModelConfig, seed: int) -> Forecaster:
    """Train on some rows of a dataset; labels that end after the last of them are left out.

    Parameters
    ----------
    data : Dataset
    span : tuple of int
        First row, and the one after the last.
    model : ModelConfig
    seed : int
    """
    begin, end = span
    names = features_offered(data, model)
    # Prices after the span are not even looked at.
    labels = forward_return(data.bars["mid"].iloc[: end + model.horizon], model.horizon)
    # Column by column: pandas would copy all of them into one block first.
    columns = {name: data.features[name].to_numpy()[begin:end] for name in names}
    return train(
        pd.DataFrame(columns, index=data.features.index[begin:end], copy=False),
        labels.iloc[begin:end],
        params=model.params,
        seed=seed,
        about={"symbol": data.symbol, "data": data.fingerprint, "horizon_bars": model.horizon},
    )


def explain(forecaster: Forecaster, X: pd.DataFrame, most: int) -> pd.DataFrame:
    """Say what a forecast looked at.

    Parameters
    ----------
    forecaster : Forecaster
    X : DataFrame
        Rows that it was not trained on.
    most : int
        Rows of them, evenly spaced, whose contributions are averaged.

    Returns
    -------
    DataFrame
        ``feature``; ``gain``, its share of the gain of all splits; ``shap_bps``, the mean size of
        its contribution to a forecast (Lundberg & Lee 2017, exact for trees: LightGBM's
        ``pred_contrib``), NaN where no rows were asked for or the model is one of classes.
    """
    gain = forecaster.importance()
    size = pd.Series(np.nan, index=gain.index)
    rows = np.unique(np.linspace(0, len(X) - 1, min(most, len(X))).astype(np.int64))
    if len(rows) and not forecaster.class_returns:
        values = matrix(X.iloc[rows], forecaster.features)
        parts = forecaster.booster.predict(values, pred_contrib=True, num_threads=1)
        size = pd.Series(np.abs(parts[:, :-1]).mean(axis=0), index=list(forecaster.features))
    return pd.DataFrame(
        {
            "feature": gain.index,
            "gain": gain.to_numpy(),
            "shap_bps": size.reindex(gain.index).to_numpy(),
        }
    )

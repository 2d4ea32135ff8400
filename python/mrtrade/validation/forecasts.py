"""The forecast of a fold: trained on rows whose labels are over, explained on rows after them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.errors import ConfigError
from mrtrade.features.registry import get
from mrtrade.ml.dataset import Dataset
from mrtrade.ml.labels import forward_return
from mrtrade.ml.training import Forecaster, train
from mrtrade.validation.settings import ModelConfig

#: Units of what is measured in the money, the coins or the pace of one symbol.
NOT_SCALE_FREE = ("quote", "base", "1/s", "count", "touch sizes")


def scale_free(names: list[str]) -> list[str]:
    """Return those features that mean the same on another symbol, by their units.

    What is not in the register is taken for scale-free: only its maker knows.
    """
    return [name for name in names if not _of_one_symbol(name)]


def _of_one_symbol(name: str) -> bool:
    try:
        unit = get(name).unit
    except ConfigError:
        return False
    return any(word in unit for word in NOT_SCALE_FREE)


def fit(
    data: Dataset, span: tuple[int, int], model: ModelConfig, seed: int
) -> Forecaster:
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
    names = scale_free(list(data.features)) if model.features is None else model.features
    # Prices after the span are not even looked at.
    labels = forward_return(data.bars["mid"].iloc[: end + model.horizon], model.horizon)
    labels = labels.iloc[begin:end]
    there = labels["label_bps"].notna().to_numpy()
    X = data.features[names].iloc[begin:end]
    return train(X[there], labels[there], params=model.params, seed=seed)

"""A trained forecast, as training gives it and a model folder keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.features.extras import need
from mrtrade.ml.frames import Matrix, matrix
from mrtrade.ml.params import ForecastParams

Floats = npt.NDArray[np.float64]

#: Bins of a feature's training distribution, as many values in each where values are all different.
BINS = 10


@dataclass(frozen=True)
class Forecaster:
    """Forecasts returns in bps from features.

    Attributes
    ----------
    features : tuple of str
        What it reads, in the order of the model's columns.
    model : str
        LightGBM's text; it reads the same into any LightGBM, and forecasts the same bits.
    params : ForecastParams
    seed : int
    span_ns : (int, int)
        First row of the training span, and when its last label was known; ns UTC.
    rows : int
        Rows it was trained on, after thinning.
    class_returns : tuple of float
        Of classes: mean return of each, bps, in the order of the model's outputs. Empty for
        regression.
    distribution : mapping
        Of each feature in training; see `distribution_of`.
    selection : pandas.DataFrame, optional
        What became of every feature that was offered; see `mrtrade.ml.selection.Selection`.
    metrics : mapping
        ``rounds`` (trees), and of the blocks that were held out ``r2``, ``rank_ic``, ``loss``,
        ``valid_rows``; None where there is none.
    about : mapping
        What else was to be kept: symbol, label, fingerprint of the data.
    """

    features: tuple[str, ...]
    model: str = field(repr=False)
    params: ForecastParams
    seed: int
    span_ns: tuple[int, int]
    rows: int
    class_returns: tuple[float, ...] = ()
    distribution: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    selection: pd.DataFrame | None = field(default=None, repr=False, compare=False)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def booster(self) -> Any:
        """LightGBM's booster, read from the text."""
        return need("lightgbm", "ml").Booster(model_str=self.model)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the booster out of a pickle: it is read from the text again."""
        return {key: value for key, value in self.__dict__.items() if key != "booster"}

    def predict(self, X: pd.DataFrame, *, threads: int = 1) -> Floats:
        """Forecast the return of each row.

        Parameters
        ----------
        X : pandas.DataFrame, shape (n, ...)
            Columns are found by name, in any order; others may be there. NaN is a value that the
            trees know to go about.
        threads : int
            The bits do not depend on it.

        Returns
        -------
        numpy.ndarray of float64, shape (n,), bps

        Raises
        ------
        DataError
            If a feature is missing; names it.
        """
        return self.forecast(matrix(X, self.features), threads)

    def forecast(self, values: Matrix, threads: int = 1) -> Floats:
        """Forecast rows of a matrix, columns in the order of `features`."""
        if not len(values):
            return np.empty(0)
        return to_bps(self.booster.predict(values, num_threads=threads), self.class_returns)

    def importance(self) -> pd.Series[float]:
        """Return the share of each feature in the gain of all splits, largest first."""
        gain = self.booster.feature_importance("gain")
        share = gain / gain.sum() if gain.sum() > 0.0 else gain
        found = pd.Series(share, index=list(self.features), name="importance", dtype=np.float64)
        return found.sort_values(ascending=False, kind="stable")


def to_bps(output: Any, class_returns: tuple[float, ...]) -> Floats:
    """Turn what a booster says into bps: of classes, sum over k of P(k) * mean return of k."""
    values = np.asarray(output, dtype=np.float64)
    return values @ np.asarray(class_returns) if class_returns else values


def distribution_of(values: Matrix, names: list[str]) -> dict[str, dict[str, Any]]:
    """Describe each feature's values in training, for drift to be measured against.

    Parameters
    ----------
    values : numpy.ndarray of float32, shape (n, features)
        Rows as they were trained on: thinned, and so closer to independent than all rows are.
    names : list of str

    Returns
    -------
    dict
        By feature: ``rows``, ``missing`` (share), ``mean``, ``sd`` (None without values), ``edges``
        (rising, inner edges of the bins: a value x is in bin k if k of the edges are below x), and
        ``shares`` of the known values in each bin, one more than edges.
    """
    quantiles = np.linspace(0.0, 1.0, BINS + 1)[1:-1]
    out = {}
    for column, name in enumerate(names):
        every = values[:, column]
        known = every[np.isfinite(every)].astype(np.float64)
        edges = np.empty(0)
        shares = np.empty(0)
        if len(known):
            edges = np.unique(np.quantile(known, quantiles, method="inverted_cdf"))
            edges = edges[edges < known.max()]
            bins = np.searchsorted(edges, known, side="left")
            shares = np.bincount(bins, minlength=len(edges) + 1) / len(known)
        out[name] = {
            "rows": len(every),
            "missing": 1.0 - len(known) / len(every),
            "mean": float(known.mean()) if len(known) else None,
            "sd": float(known.std(ddof=1)) if len(known) > 1 else None,
            "edges": edges.tolist(),
            "shares": shares.tolist(),
        }
    return out

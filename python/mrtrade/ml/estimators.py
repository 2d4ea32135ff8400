"""Selection and training as scikit-learn knows estimators: clone, search, pipelines.

Arrays have no spans of labels, so both take `horizon`, the length of a label in rows. The splitters
of `mrtrade.ml.splits` hold their own spans and purge by them.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from mrtrade.ml.forecaster import Forecaster
from mrtrade.ml.params import ForecastParams, SelectionParams
from mrtrade.ml.selection import Selection, select_features
from mrtrade.ml.thinning import Spans
from mrtrade.ml.training import train

Floats = npt.NDArray[np.float64]

#: Rows from which on a part of them can say when to stop; and trees of fewer rows.
MANY, TREES_OF_FEW = 400, 100


class FeatureSelector(SelectorMixin, BaseEstimator):  # type: ignore[misc]  # sklearn has no types
    """Keeps the features that `select_features` keeps, chosen on what `fit` is given.

    Parameters
    ----------
    horizon : int
        Length of a label in rows; rows are thinned by it.
    max_features, min_features, max_missing, max_same, max_correlation, boruta_rounds
        See `mrtrade.ml.params.SelectionParams`.
    random_state : int

    Attributes
    ----------
    selection_ : Selection
    """

    def __init__(
        self,
        horizon: int = 1,
        max_features: int = 40,
        min_features: int = 30,
        max_missing: float = 0.3,
        max_same: float = 0.998,
        max_correlation: float = 0.95,
        boruta_rounds: int = 20,
        random_state: int = 0,
    ) -> None:
        self.horizon = horizon
        self.max_features = max_features
        self.min_features = min_features
        self.max_missing = max_missing
        self.max_same = max_same
        self.max_correlation = max_correlation
        self.boruta_rounds = boruta_rounds
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> FeatureSelector:
        """Choose features.

        Parameters
        ----------
        X : array or DataFrame, shape (n, features)
            In order of time; NaN: missing.
        y : array, shape (n,)
        sample_weight : array, shape (n,), optional
        """
        X, y = validate_data(
            self,
            X,
            y,
            dtype=np.float64,
            ensure_all_finite="allow-nan",
            y_numeric=True,
            ensure_min_samples=2,
        )
        frame = _numbered(X)
        own = self.get_params(deep=False)
        settings = {key: own[key] for key in own if key in SelectionParams.model_fields}
        self.selection_: Selection = select_features(
            frame,
            y,
            None if sample_weight is None else _check_sample_weight(sample_weight, X),
            spans=_spans(len(frame), self.horizon),
            seed=self.random_state,
            params=SelectionParams(**settings),
        )
        return self

    def _get_support_mask(self) -> npt.NDArray[np.bool_]:
        check_is_fitted(self)
        kept = set(self.selection_.names)
        return np.array([name in kept for name in _names(self.n_features_in_)])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags


class ForecastRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # as above
    """`mrtrade.ml.training.train` with ``fit`` and ``predict``.

    Parameters
    ----------
    horizon : int
        Length of a label in rows.
    learning_rate, num_leaves, min_leaf_share, feature_fraction, lambda_l2, max_rounds
        See `mrtrade.ml.params.ForecastParams`.
    early_stopping : bool or "auto"
        Whether the last quarter of the rows says how many trees there are. "auto": with 400 rows
        or more (`MANY`); fewer say nothing of it, and there are at most 100 trees then.
    intercept : {"mean", "zero"}
        scikit-learn scores against the mean, so that it is kept here.
    select : bool
        Whether to select features.
    random_state : int

    Attributes
    ----------
    forecaster_ : Forecaster
    """

    def __init__(
        self,
        horizon: int = 1,
        learning_rate: float = 0.05,
        num_leaves: int = 8,
        min_leaf_share: float = 0.01,
        feature_fraction: float = 0.5,
        lambda_l2: float = 10.0,
        max_rounds: int = 300,
        early_stopping: bool | Literal["auto"] = "auto",
        intercept: Literal["mean", "zero"] = "mean",
        select: bool = True,
        random_state: int = 0,
    ) -> None:
        self.horizon = horizon
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.min_leaf_share = min_leaf_share
        self.feature_fraction = feature_fraction
        self.lambda_l2 = lambda_l2
        self.max_rounds = max_rounds
        self.early_stopping = early_stopping
        self.intercept = intercept
        self.select = select
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> ForecastRegressor:
        """Train on rows in order of time.

        Parameters
        ----------
        X : array or DataFrame, shape (n, features)
        y : array, shape (n,)
        sample_weight : array, shape (n,), optional
        """
        X, y = validate_data(
            self,
            X,
            y,
            dtype=np.float64,
            ensure_all_finite="allow-nan",
            y_numeric=True,
            ensure_min_samples=2,
        )
        y = np.asarray(y, dtype=np.float64)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        start, end = _spans(len(X), self.horizon)
        labels = pd.DataFrame({"label_bps": y, "start_ns": start, "end_ns": end})
        own = self.get_params(deep=False)
        settings = {key: own[key] for key in own if key in ForecastParams.model_fields}
        if not self.select:
            settings["selection"] = None
        stopping = len(X) >= MANY if self.early_stopping == "auto" else self.early_stopping
        if not stopping:
            settings |= {"holdout": 0.0, "max_rounds": min(self.max_rounds, TREES_OF_FEW)}
        self.forecaster_: Forecaster = train(
            _numbered(X),
            labels,
            params=ForecastParams(**settings),
            seed=self.random_state,
            weights=weights,
        )
        return self

    def predict(self, X: Any) -> Floats:
        """Forecast each row; shape (n,), in the unit of the label."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        return self.forecaster_.predict(_numbered(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _names(count: int) -> list[str]:
    """Return names whose order is that of the columns."""
    width = len(str(count))
    return [f"x{column:0{width}d}" for column in range(count)]


def _numbered(X: Floats) -> pd.DataFrame:
    return pd.DataFrame(X, columns=_names(X.shape[1]))


def _spans(rows: int, horizon: int) -> Spans:
    start = np.arange(rows, dtype=np.int64)
    return start, start + horizon

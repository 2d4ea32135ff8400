"""A forecast of returns: LightGBM on selected features, with little room to learn by heart.

`train` goes in four steps, all on rows of the training span:

1. Rows are thinned, as neighbouring labels overlap (`mrtrade.ml.thinning`), and weighted by how
   much each label says that no other says (`mrtrade.ml.weights.average_uniqueness`).
2. The last `holdout` of the span is cut into `folds` blocks of equal time. Features are selected on
   what was known before the first of them: features chosen with a view of the blocks would look
   good in them, and the trees would be too many.
3. Trees are grown for each block on the rows before it whose labels had ended by then (less
   `embargo`), as a walk-forward within the span. The number of trees is the one at which the mean
   loss over the blocks was lowest; growing ends `patience` rounds after that. What all blocks share
   are the edges of the features' bins, which are cut on values of all rows (never on labels), and
   weights, which are of all labels' spans.
4. The model that is used is grown once more, on all rows, with that number of trees and no other
   setting changed. The alternative, the model of the last block, would lack the newest part of the
   span, which is the likest to what comes next; with few leaves, many rows a leaf and a fixed
   number of trees there is little that the extra rows could make worse.

``metrics`` of the forecaster are those of step 3, out of sample within the span: ``r2`` against the
forecast that is always the training mean (below 0: worse than that) and ``rank_ic``.

With `holdout` 0 nothing is held out: features are selected on all rows, there are `max_rounds`
trees, and nothing is known of what they are worth.

The same data, parameters and seed give the same bits for any number of threads and workers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.clock import to_ns
from mrtrade.errors import DataError
from mrtrade.features.extras import need
from mrtrade.ml.forecaster import Forecaster, distribution_of, to_bps
from mrtrade.ml.frames import Matrix, matrix
from mrtrade.ml.params import ForecastParams
from mrtrade.ml.selection import Selection, select_features
from mrtrade.ml.splits import WalkForward
from mrtrade.ml.thinning import Spans, evenly, thin
from mrtrade.ml.weights import average_uniqueness

Floats = npt.NDArray[np.float64]
Split = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

#: A fold with fewer rows to train on or to judge by says nothing.
FEWEST_ROWS = 20
FEWEST_IN_LEAF = 5

#: Names that LightGBM keeps as they are; others are numbered in its text.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.+-]+")
#: How many threads there were is in LightGBM's text, and no part of the model.
_THREADS = re.compile(r"\[num_threads: \d+\]")


@dataclass(frozen=True, slots=True)
class Target:
    """What is learnt from a frame of labels, by row.

    Attributes
    ----------
    value : numpy.ndarray of float64, shape (n,)
        bps, or for classification the number of the class.
    returns : numpy.ndarray of float64, shape (n,)
        bps.
    classes : int
        How many there are; 0 for regression.
    spans : (start_ns, end_ns)
    """

    value: Floats
    returns: Floats
    classes: int
    spans: Spans


def train(
    X: pd.DataFrame,
    labels: pd.DataFrame,
    *,
    params: ForecastParams | None = None,
    seed: int = 0,
    weights: Floats | None = None,
    threads: int = 1,
    about: Mapping[str, Any] | None = None,
) -> Forecaster:
    """Train a forecast on the rows of a training span.

    Parameters
    ----------
    X : pandas.DataFrame, shape (n, features)
        Features, indexed by the time at which a row was known, in order. NaN: missing.
    labels : pandas.DataFrame, shape (n, ...)
        By the same index. Regression: ``label_bps``. Classification: ``label`` (-1, 0, 1) and
        ``return_bps``. Both: ``start_ns, end_ns``, the half-open span of each label. Rows without a
        label (NaN) are left out.
    params : ForecastParams, optional
    seed : int
    weights : numpy.ndarray of float64, shape (n,), optional
        Multiplied with the uniqueness of the labels.
    threads : int
        Of LightGBM; the bits do not depend on it.
    about : mapping, optional
        What else is to be known of the forecaster: JSON types, kept as they are.

    Returns
    -------
    Forecaster

    Raises
    ------
    DataError
        If X and labels do not fit, or too little is left to train on.
    """
    params = params or ForecastParams()
    _check(X, labels, params, weights)
    rows = _rows(labels, params)
    X = X.iloc[rows]
    target = _target(labels.iloc[rows], params)
    uniqueness = average_uniqueness(*target.spans)
    if weights is not None:
        uniqueness = uniqueness * np.asarray(weights, dtype=np.float64)[rows]
    weight = uniqueness / uniqueness.mean()

    folds = _folds(target.spans, params) if params.holdout else []
    before = folds[0][0] if folds else np.arange(len(rows))
    selection = _select(X, target, weight, before, params, seed, threads)
    names = list(selection.names) if selection else sorted(map(str, X.columns))
    values = matrix(X, names)
    rounds, metrics = params.max_rounds, {"rounds": params.max_rounds, "folds": 0}
    if folds:
        rounds, metrics = _early_stop(values, target, weight, folds, params, seed, threads)
    model = _grow(values, names, target, weight, rounds, params, seed, threads)
    return Forecaster(
        features=tuple(names),
        model=model,
        params=params,
        seed=seed,
        span_ns=(int(target.spans[0][0]), int(target.spans[1].max())),
        rows=len(rows),
        class_returns=_class_returns(target, np.arange(len(rows)), weight, params),
        distribution=distribution_of(values, names),
        selection=None if selection is None else selection.report,
        metrics={**metrics, "confirmed_features": selection.confirmed if selection else None},
        about=dict(about or {}),
    )


def _check(
    X: pd.DataFrame, labels: pd.DataFrame, params: ForecastParams, weights: Floats | None
) -> None:
    wanted = ["label_bps"] if params.task == "regression" else ["label", "return_bps"]
    for column in [*wanted, "start_ns", "end_ns"]:
        if column not in labels:
            raise DataError(
                "labels lack a column",
                key=column,
                expected=f"{', '.join(wanted)}, start_ns, end_ns for {params.task}",
                remedy="make them with mrtrade.ml.labels, or set the task",
            )
    if not X.index.equals(labels.index):
        raise DataError(
            "features and labels are not of the same rows",
            value=f"{len(X)} and {len(labels)} rows",
            remedy="give both by the same index: labels = labels.reindex(X.index)",
        )
    if weights is not None and len(weights) != len(X):
        raise DataError("weights are not of the same rows", value=len(weights))
    if not X.columns.is_unique:
        twice = X.columns[X.columns.duplicated()][0]
        raise DataError("a feature is there twice", key=str(twice), remedy="drop one of them")


def _rows(labels: pd.DataFrame, params: ForecastParams) -> npt.NDArray[np.int64]:
    """Rows with a label, thinned, in order of time."""
    name = "label_bps" if params.task == "regression" else "label"
    known = np.flatnonzero(np.isfinite(labels[name].to_numpy(dtype=np.float64)))
    if len(known):
        start, end = (to_ns(labels[one].iloc[known]) for one in ("start_ns", "end_ns"))
        if (np.diff(start) < 0).any():
            raise DataError("labels are not in order of time", key="start_ns", remedy="sort them")
        known = evenly(known[thin((start, end), params.rows_per_label)], params.max_rows)
    wanted = 4 * FEWEST_ROWS if params.holdout else 2
    if len(known) < wanted:
        raise DataError(
            "too few labels to train on",
            value=len(known),
            expected=f"at least {wanted} rows after thinning",
            remedy="give a longer span or a shorter horizon",
        )
    return known


def _target(labels: pd.DataFrame, params: ForecastParams) -> Target:
    spans = (to_ns(labels["start_ns"]), to_ns(labels["end_ns"]))
    if params.task == "regression":
        value = labels["label_bps"].to_numpy(dtype=np.float64)
        return Target(value, value, 0, spans)
    classes, number = np.unique(labels["label"].to_numpy(dtype=np.float64), return_inverse=True)
    if len(classes) < 2:
        raise DataError(
            "all labels are the same",
            key="label",
            value=classes[0].item(),
            remedy="set barriers that the price can reach both of, or a longer span",
        )
    returned = labels["return_bps"].to_numpy(dtype=np.float64)
    return Target(number.astype(np.float64), returned, len(classes), spans)


def _folds(spans: Spans, params: ForecastParams) -> list[Split]:
    """Blocks at the end of the span, each with the rows that were known before it."""
    start, end = spans
    whole = int(start[-1] - start[0])
    block = int(whole * params.holdout) // params.folds
    ahead = whole - params.folds * block - params.embargo_ns
    if block > 0 and ahead > 0:
        splitter = WalkForward(
            ahead, block, block, params.embargo_ns, True, start_ns=start, end_ns=end
        )
        folds = [(a, b) for a, b in splitter.split() if min(len(a), len(b)) >= FEWEST_ROWS]
        if folds:
            return folds
    raise DataError(
        "too short a span to hold a part of it out",
        value=f"{len(start)} rows",
        expected=f"{FEWEST_ROWS} rows before and in one of {params.folds} blocks",
        remedy="give a longer span, fewer folds or a shorter embargo",
    )


def _select(
    X: pd.DataFrame,
    target: Target,
    weight: Floats,
    before: npt.NDArray[np.intp],
    params: ForecastParams,
    seed: int,
    threads: int,
) -> Selection | None:
    if params.selection is None:
        return None
    start, end = target.spans
    value = target.value[before]
    if target.classes:
        of_class = np.asarray(_class_returns(target, before, weight, params))
        value = of_class[value.astype(np.int64)]
    return select_features(
        X.iloc[before],
        value,
        weight[before],
        spans=(start[before], end[before]),
        seed=seed,
        params=params.selection,
        threads=threads,
    )


def _settings(target: Target, rows: int, params: ForecastParams, seed: int) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "objective": "regression",
        "metric": "None",  # LightGBM's own are sums whose last bits depend on the threads
        "boost_from_average": params.intercept == "mean",
        "learning_rate": params.learning_rate,
        "num_leaves": params.num_leaves,
        "min_data_in_leaf": max(FEWEST_IN_LEAF, round(params.min_leaf_share * rows)),
        "min_sum_hessian_in_leaf": 0.0,
        "feature_fraction": params.feature_fraction,
        "bagging_fraction": params.bagging_fraction,
        "bagging_freq": 1,
        "lambda_l2": params.lambda_l2,
        "max_bin": params.max_bin,
        "feature_pre_filter": False,
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed,
        "verbosity": -1,
    }
    if target.classes:
        settings |= {
            "objective": "multiclass",
            "num_class": target.classes,
            "boost_from_average": True,
        }
    return settings


def _early_stop(
    values: Matrix,
    target: Target,
    weight: Floats,
    folds: list[Split],
    params: ForecastParams,
    seed: int,
    threads: int,
) -> tuple[int, dict[str, Any]]:
    """Find the number of trees; return it and what the forecasts of the blocks were worth."""
    lightgbm = need("lightgbm", "ml")
    first = folds[0][0]
    truth = target.returns - _mean(target, first, weight, params)
    class_returns = _class_returns(target, first, weight, params)
    settings = _settings(target, len(first), params, seed) | {"num_threads": threads}
    found = lightgbm.cv(
        settings,
        lightgbm.Dataset(values, target.value if target.classes else truth, weight=weight),
        params.max_rounds,
        folds=folds,
        feval=_log_loss if target.classes else _squared_error,
        callbacks=[lightgbm.early_stopping(params.patience, verbose=False)],
        return_cvbooster=True,
    )
    grown = found["cvbooster"]
    rounds = int(grown.best_iteration)
    parts = []
    for booster, (before, block) in zip(grown.boosters, folds, strict=True):
        output = booster.predict(values[block], num_iteration=rounds, num_threads=threads)
        mean = 0.0
        if params.intercept == "mean":
            mean = float(np.average(truth[before], weights=weight[before]))
        forecast = to_bps(output, class_returns)
        parts.append((forecast, truth[block], np.full(len(block), mean)))
    forecast, truth, nothing = (np.concatenate(one) for one in zip(*parts, strict=True))
    return rounds, {
        "rounds": rounds,
        "folds": len(folds),
        "valid_rows": len(truth),
        "loss": float(found["valid loss-mean"][rounds - 1]),
        **_skill(forecast, truth, nothing),
    }


def _squared_error(forecast: Floats, data: Any) -> tuple[str, float, bool]:
    error = (forecast - data.get_label()) ** 2
    return "loss", float(np.average(error, weights=data.get_weight())), False


def _log_loss(chances: Floats, data: Any) -> tuple[str, float, bool]:
    own = chances[np.arange(len(chances)), data.get_label().astype(np.int64)]
    loss = -np.log(np.maximum(own, 1e-15))
    return "loss", float(np.average(loss, weights=data.get_weight())), False


def _skill(forecast: Floats, truth: Floats, nothing: Floats) -> dict[str, float | None]:
    """R2 against the forecast that knows nothing, and rank correlation; None where undefined."""
    spread = float(((truth - nothing) ** 2).sum())
    r2 = 1.0 - float(((truth - forecast) ** 2).sum()) / spread if spread > 0.0 else None
    ic = None
    if np.ptp(forecast) > 0.0 and np.ptp(truth) > 0.0:
        ic = float(need("scipy.stats", "ml").spearmanr(forecast, truth).statistic)
    return {"r2": r2, "rank_ic": ic}


def _mean(
    target: Target, rows: npt.NDArray[np.intp], weight: Floats, params: ForecastParams
) -> float:
    """Return what returns are lessened by, so that forecasts have no mean: 0 where they have."""
    if params.intercept == "mean":
        return 0.0
    return float(np.average(target.returns[rows], weights=weight[rows]))


def _class_returns(
    target: Target, rows: npt.NDArray[np.intp], weight: Floats, params: ForecastParams
) -> tuple[float, ...]:
    """Mean return of each class over some rows, bps, less `_mean`; 0 of a class without rows."""
    if not target.classes:
        return ()
    number = target.value[rows].astype(np.int64)
    moved = target.returns[rows] - _mean(target, rows, weight, params)
    total = np.bincount(number, weight[rows] * moved, minlength=target.classes)
    share = np.bincount(number, weight[rows], minlength=target.classes)
    return tuple(np.divide(total, share, out=np.zeros_like(total), where=share > 0.0).tolist())


def _grow(
    values: Matrix,
    names: list[str],
    target: Target,
    weight: Floats,
    rounds: int,
    params: ForecastParams,
    seed: int,
    threads: int,
) -> str:
    """Grow the model that is used, on all rows; return its text."""
    lightgbm = need("lightgbm", "ml")
    settings = _settings(target, len(values), params, seed) | {"num_threads": threads}
    label = target.value
    if not target.classes:
        label = label - _mean(target, np.arange(len(values)), weight, params)
    plain = all(_PLAIN_NAME.fullmatch(name) for name in names)
    data = lightgbm.Dataset(
        values, label, weight=weight, feature_name=names if plain else "auto", params=settings
    )
    text = lightgbm.train(settings, data, rounds).model_to_string()
    return _THREADS.sub("[num_threads: 0]", text)

"""Which features a model is given: chosen inside a training span, each drop with its reason.

In this order, on rows thinned until their labels do not overlap:

1. ``missing``: a share of values above `max_missing` is not there (not a finite number);
2. ``constant``: one value fills more than `max_same` of the rows. A share of rows has no unit, so
   a feature in bps and one in dollars are judged alike, which a variance in their units is not;
3. ``correlation``: the rank correlation with a feature that is kept exceeds `max_correlation`.
   Features are taken in the order of the size of their rank correlation with the label (rank IC),
   ties by name: of two that say the same the one that says more of the label stays, and the order
   of the columns plays no part;
4. ``boruta``: `mrtrade.ml.boruta` confirms, rejects or leaves open;
5. ``shap``: mean size of the contributions to a forecast (Lundberg & Lee 2017, LightGBM's
   ``pred_contrib``) on the last quarter of the rows, which the trees had not seen. Confirmed
   features come first, then those left open, then those rejected, each by this number. The
   first `max_features` are kept, rejected ones only until there are `min_features`: on data
   without signal Boruta confirms nothing, and a model of nothing is trained and judged as well.

Nothing here sees a row that it was not given: give it the rows of a training span only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.errors import DataError
from mrtrade.features.extras import need
from mrtrade.ml.boruta import Boruta, boruta
from mrtrade.ml.frames import Matrix, matrix
from mrtrade.ml.params import SelectionParams
from mrtrade.ml.thinning import Spans, evenly, thin

Floats = npt.NDArray[np.float64]

COLUMNS = ["feature", "kept", "step", "reason", "statistic", "rank_ic", "boruta", "shap"]

#: Rows whose contributions are averaged; the mean of more is hardly another.
EXPLAINED = 400
#: Share of the rows, the last ones, on which contributions are measured.
HELD_OUT = 0.25
#: Below this a comparison would be one of accidents: Boruta and contributions are left out.
FEWEST_ROWS = 40


@dataclass(frozen=True, slots=True)
class Selection:
    """What was kept, and what became of every feature.

    Attributes
    ----------
    names : tuple of str
        Kept features, the most telling first.
    report : pandas.DataFrame, one row a feature
        ``feature, kept, step`` (the last one it came to), ``reason`` (a sentence), ``statistic``
        (of that step), ``rank_ic`` with the label, ``boruta`` (its verdict, or empty) and ``shap``
        (mean size of contributions, in the label's unit; NaN where it did not get there).
    confirmed : int
        How many Boruta confirmed.
    rows : int
        How many rows it was decided on.
    """

    names: tuple[str, ...]
    report: pd.DataFrame
    confirmed: int
    rows: int


@dataclass(slots=True)
class _Fate:
    kept: bool = False
    step: str = ""
    reason: str = ""
    statistic: float = float("nan")
    rank_ic: float = float("nan")
    boruta: str = ""
    shap: float = float("nan")


@dataclass(slots=True)
class _Field:
    """Features that are still in, by name in order, and what is known of each."""

    x: Matrix
    y: Floats
    weights: Floats
    names: list[str]
    fates: dict[str, _Fate] = field(default_factory=dict)

    def drop(self, step: str, dropped: dict[str, tuple[str, float]]) -> None:
        for name, (reason, statistic) in dropped.items():
            fate = self.fates[name]
            fate.step, fate.reason, fate.statistic = step, reason, statistic
        stay = [one not in dropped for one in self.names]
        self.x = self.x[:, stay]
        self.names = [one for one, kept in zip(self.names, stay, strict=True) if kept]


def select_features(
    X: pd.DataFrame,
    y: Sequence[float] | Floats | pd.Series[Any],
    weights: Floats | None = None,
    *,
    spans: Spans | None = None,
    seed: int = 0,
    params: SelectionParams | None = None,
    threads: int = 1,
) -> Selection:
    """Choose features on the rows of a training span.

    Parameters
    ----------
    X : pandas.DataFrame, shape (n, features)
        Rows in order of time; the order of the columns plays no part.
    y : array of float, shape (n,)
        The label; rows where it is NaN are left out.
    weights : array of float, shape (n,), optional
        For the trees behind contributions. Default: equal.
    spans : (start_ns, end_ns), each of shape (n,), int64 nanoseconds UTC, optional
        Half-open spans of the labels, by which rows are thinned. Default: labels do not overlap.
    seed : int
    params : SelectionParams, optional
    threads : int
        Of LightGBM; the outcome does not depend on it.

    Returns
    -------
    Selection

    Raises
    ------
    DataError
        If lengths differ, a column is there twice, or no feature has values enough.
    """
    params = params or SelectionParams()
    values = np.asarray(y, dtype=np.float64)
    rows = _rows(X, values, weights, spans, params.max_rows)
    names = sorted(map(str, X.columns))
    state = _Field(
        matrix(X.iloc[rows], names),
        values[rows],
        np.ones(len(rows)) if weights is None else np.asarray(weights, dtype=np.float64)[rows],
        names,
        {name: _Fate() for name in names},
    )
    _drop_empty(state, params)
    if not state.names:
        raise DataError(
            "no feature has values enough",
            value=len(names),
            expected=f"one with at most {params.max_missing:.0%} missing that is not constant",
            remedy="give a longer span, or features without so long a warm-up",
        )
    _drop_correlated(state, params.max_correlation)
    found = _ask_boruta(state, params, seed, threads)
    ranked = _rank(state, found, seed, threads)
    kept = _keep(state, ranked, params)
    return Selection(
        tuple(kept),
        _report(state, kept),
        0 if found is None else found.verdicts.count("confirmed"),
        len(rows),
    )


def _rows(
    X: pd.DataFrame, y: Floats, weights: Floats | None, spans: Spans | None, limit: int
) -> npt.NDArray[np.int64]:
    lengths = {"y": len(y)}
    if weights is not None:
        lengths["weights"] = len(weights)
    if spans is not None:
        lengths |= {"starts of spans": len(spans[0]), "ends of spans": len(spans[1])}
    for name, length in lengths.items():
        if length != len(X):
            raise DataError(f"{name} has another length than X", value=length, expected=str(len(X)))
    rows = np.flatnonzero(np.isfinite(y))
    if not len(rows):
        raise DataError("no row has a label", value=len(X), expected="labels that are not NaN")
    if spans is not None:
        rows = rows[thin((spans[0][rows], spans[1][rows]))]
    return evenly(rows, limit)


def _drop_empty(state: _Field, params: SelectionParams) -> None:
    rows = len(state.y)
    missing = np.isnan(state.x).mean(axis=0)
    gone = {
        name: (f"{share:.1%} of the values are missing", float(share))
        for name, share in zip(state.names, missing, strict=True)
        if share > params.max_missing or share == 1.0
    }
    state.drop("missing", gone)
    same = _commonest(state.x) / rows
    gone = {
        name: (f"one value fills {share:.1%} of the rows", float(share))
        for name, share in zip(state.names, same, strict=True)
        if share > params.max_same
    }
    state.drop("constant", gone)


def _commonest(x: Matrix) -> npt.NDArray[np.int64]:
    """Rows that the commonest value of each column fills; missing ones count as a value."""
    out = np.empty(x.shape[1], dtype=np.int64)
    for column in range(x.shape[1]):
        values = np.sort(x[:, column])
        known = values[: len(values) - int(np.isnan(values).sum())]
        edges = np.flatnonzero(np.diff(known)) + 1
        runs = np.diff(np.r_[0, edges, len(known)])
        out[column] = max(int(runs.max(initial=0)), len(values) - len(known))
    return out


def _standard_ranks(x: npt.NDArray[Any]) -> Matrix:
    """Ranks of each column, ties shared, to mean 0 and length 1; a missing one is at the middle."""
    ranks = need("scipy.stats", "ml").rankdata(x, axis=0, nan_policy="omit")
    with np.errstate(invalid="ignore"):
        ranks -= np.nanmean(ranks, axis=0)
    ranks = np.nan_to_num(ranks, nan=0.0)
    length = np.sqrt((ranks**2).sum(axis=0))
    return np.asarray(ranks / np.where(length > 0.0, length, 1.0), dtype=np.float32)


def _drop_correlated(state: _Field, limit: float) -> None:
    ranks = _standard_ranks(state.x)
    label = _standard_ranks(state.y[:, None])[:, 0]
    # Rounded, as the last bits of a product of matrices depend on the library and its threads.
    ic = np.round(ranks.T @ label, 5)
    related = np.round(ranks.T @ ranks, 5)
    for name, value in zip(state.names, ic, strict=True):
        state.fates[name].rank_ic = float(value)
    order = sorted(range(len(ic)), key=lambda one: (-abs(ic[one]), state.names[one]))
    kept: list[int] = []
    gone = {}
    for one in order:
        near = np.abs(related[one, kept])
        if len(kept) and near.max() > limit:
            other = kept[int(near.argmax())]
            value = float(related[one, other])
            gone[state.names[one]] = (
                f"rank correlation {value:.3f} with {state.names[other]}, "
                f"which says more of the label ({abs(ic[other]):.4f}, not {abs(ic[one]):.4f})",
                value,
            )
        else:
            kept.append(one)
    state.drop("correlation", gone)


def _ask_boruta(state: _Field, params: SelectionParams, seed: int, threads: int) -> Boruta | None:
    if params.boruta_rounds == 0 or len(state.y) < FEWEST_ROWS:
        return None
    found = boruta(
        state.x,
        state.y,
        rounds=params.boruta_rounds,
        rows=params.boruta_rows,
        alpha=params.boruta_alpha,
        seed=seed,
        threads=threads,
    )
    for name, verdict, hits, rounds in zip(
        state.names, found.verdicts, found.hits, found.rounds, strict=True
    ):
        fate = state.fates[name]
        fate.boruta, fate.step = verdict, "boruta"
        fate.reason = f"{verdict}: beat the best shadow in {hits} of {rounds} rounds"
        fate.statistic = hits / max(rounds, 1)
    return found


def _rank(state: _Field, found: Boruta | None, seed: int, threads: int) -> list[str]:
    """Names in the order in which they are kept."""
    size = _contributions(state, seed, threads)
    for name, value in zip(state.names, size, strict=True):
        state.fates[name].shap = float(value)
    places = {"confirmed": 0, "tentative": 1, "": 1, "rejected": 2}

    def place(name: str) -> tuple[int, float, float, str]:
        fate = state.fates[name]
        shap = fate.shap if np.isfinite(fate.shap) else 0.0
        return places[fate.boruta], -shap, -abs(fate.rank_ic), name

    return sorted(state.names, key=place)


def _contributions(state: _Field, seed: int, threads: int) -> Floats:
    """Mean size of each feature's contributions on the last rows, NaN where rows are too few."""
    rows = len(state.y)
    if rows < FEWEST_ROWS:
        return np.full(len(state.names), np.nan)
    lightgbm = need("lightgbm", "ml")
    cut = rows - int(HELD_OUT * rows)
    settings = {
        "objective": "regression",
        "num_leaves": 8,
        "learning_rate": 0.1,
        "min_data_in_leaf": max(1, min(50, cut // 20)),
        "feature_fraction": 0.35,  # features that say the same share what is to be said
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "max_bin": 63,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": threads,
        "seed": seed,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(state.x[:cut], state.y[:cut], weight=state.weights[:cut])
    trees = lightgbm.train(settings, data, 60)
    shown = cut + evenly(np.arange(rows - cut), EXPLAINED)
    parts = trees.predict(state.x[shown], pred_contrib=True, num_threads=threads)
    return np.asarray(np.abs(parts[:, :-1]).mean(axis=0), dtype=np.float64)


def _keep(state: _Field, ranked: list[str], params: SelectionParams) -> list[str]:
    kept = []
    for number, name in enumerate(ranked):
        fate = state.fates[name]
        refused = fate.boruta == "rejected" and number >= params.min_features
        fate.kept = number < params.max_features and not refused
        if fate.kept:
            kept.append(name)
        if refused:  # step and reason are Boruta's already
            continue
        fate.step, fate.statistic = "shap", fate.shap
        said = f"{fate.boruta}, " if fate.boruta else ""
        fate.reason = f"{said}place {number + 1} of {len(ranked)} by mean contribution"
        if not fate.kept:
            fate.reason += f", and only {params.max_features} are kept"
        elif fate.boruta == "rejected":
            fate.reason += f", kept to have {params.min_features}"
    return kept


def _report(state: _Field, kept: list[str]) -> pd.DataFrame:
    """Kept features first, in their order; then the others by name."""
    order = [*kept, *(name for name in state.fates if not state.fates[name].kept)]
    rows = [
        [name, one.kept, one.step, one.reason, one.statistic, one.rank_ic, one.boruta, one.shap]
        for name, one in ((name, state.fates[name]) for name in order)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)

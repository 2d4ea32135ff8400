"""Splitters in the hands of scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.feature_selection import RFECV
from sklearn.linear_model import Ridge
from sklearn.model_selection import (
    GridSearchCV,
    check_cv,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mrtrade.errors import ConfigError
from mrtrade.ml.splits import CombinatorialPurgedCV, PurgedKFold, WalkForward

ROWS = 240


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(8)
    index = pd.date_range("2024-01-01", periods=ROWS, freq="1D", tz="UTC")
    X = pd.DataFrame(rng.normal(size=(ROWS, 5)), index=index, columns=list("abcde"))
    y = X["a"] - 0.5 * X["b"] + rng.normal(0, 0.5, ROWS)
    return X, y


def splitters(index):
    spans = {"start_ns": index, "end_ns": index + pd.Timedelta("2D")}
    return [
        WalkForward(train="60D", **spans),
        WalkForward("60D", "20D", "40D", expanding=False, **spans),
        PurgedKFold(4, "3D", **spans),
        CombinatorialPurgedCV(5, 2, "1D", **spans),
    ]


def by_hand(model, X, y, cv):
    scores = []
    for train, test in cv.split(X):
        fitted = clone(model).fit(X.iloc[train], y.iloc[train])
        scores.append(fitted.score(X.iloc[test], y.iloc[test]))
    return scores


@pytest.mark.parametrize("number", range(4))
def test_scores_are_those_of_our_splits(data, number):
    X, y = data
    cv = splitters(X.index)[number]
    model = make_pipeline(StandardScaler(), Ridge())
    expected = by_hand(model, X, y, cv)
    assert len(expected) == cv.get_n_splits(X) > 3
    np.testing.assert_array_equal(cross_val_score(model, X, y, cv=cv), expected)
    # plain arrays say nothing of time: the splitter holds the spans
    made = cross_validate(model, X.to_numpy(), y.to_numpy(), cv=cv, return_indices=True)
    for (train, test), ours, theirs in zip(
        cv.split(), made["indices"]["train"], made["indices"]["test"], strict=True
    ):
        np.testing.assert_array_equal(train, ours)
        np.testing.assert_array_equal(test, theirs)


@pytest.mark.parametrize("number", range(4))
def test_a_grid_is_searched_over_a_pipeline(data, number):
    X, y = data
    cv = splitters(X.index)[number]
    grid = {"ridge__alpha": [0.1, 1e3]}
    search = GridSearchCV(make_pipeline(StandardScaler(), Ridge()), grid, cv=cv)
    search = clone(search).fit(X, y)
    assert search.n_splits_ == cv.get_n_splits()
    for place, alpha in enumerate(grid["ridge__alpha"]):
        model = make_pipeline(StandardScaler(), Ridge(alpha=alpha))
        expected = np.mean(by_hand(model, X, y, cv))
        assert search.cv_results_["mean_test_score"][place] == pytest.approx(expected, rel=1e-12)
    assert search.best_params_ == {"ridge__alpha": 0.1}


@pytest.mark.parametrize("number", range(4))
def test_features_are_eliminated_over_plain_arrays(data, number):
    X, y = data
    cv = splitters(X.index)[number]
    chosen = clone(RFECV(Ridge(), cv=cv)).fit(X, y)
    assert chosen.support_[:2].all()
    assert sum(1 for name in chosen.cv_results_ if name.startswith("split")) >= cv.get_n_splits()


def test_predictions_cover_every_row_once(data):
    X, y = data
    cv = PurgedKFold(4, horizon="2D")
    made = cross_val_predict(Ridge(), X, y, cv=cv)
    for train, test in cv.split(X):
        fitted = Ridge().fit(X.iloc[train], y.iloc[train])
        np.testing.assert_array_equal(made[test], fitted.predict(X.iloc[test]))


def test_a_copy_is_a_splitter_like_it(data):
    X, _ = data
    for cv in splitters(X.index):
        assert check_cv(cv) is cv
        copy = clone(cv, safe=False)
        assert repr(copy) == repr(cv)
        assert copy.get_n_splits(X) == cv.get_n_splits(X)


def test_other_rows_than_those_of_the_spans_are_one_error(data):
    X, y = data
    cv = PurgedKFold(4, start_ns=X.index, end_ns=X.index + pd.Timedelta("1D"))
    with pytest.raises(ConfigError, match=r"240 spans.*one for each of 200 rows"):
        cross_val_score(Ridge(), X.iloc[40:], y.iloc[40:], cv=cv)
    with pytest.raises(ConfigError, match="plain arrays"):
        cross_val_score(Ridge(), X.to_numpy(), y, cv=PurgedKFold(4, horizon="1D"))

import pickle
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mrtrade.errors import ConfigError, DataError
from mrtrade.ml.forecaster import distribution_of
from mrtrade.ml.params import ForecastParams, MlConfig, SelectionParams, load_ml_config
from mrtrade.ml.training import _folds, _log_loss, _squared_error, train
from mrtrade.ml.weights import average_uniqueness
from tests.ml.planted import STEP_NS, planted

PARAMS = ForecastParams(selection=SelectionParams(max_features=5, min_features=1))
PLAIN = PARAMS.model_copy(update={"selection": None})


@pytest.fixture(scope="module")
def told():
    X, labels = planted(3_000, horizon=2)
    return X, labels, train(X, labels, params=PARAMS, seed=1)


def test_it_learns_what_was_planted(told):
    _, _, forecaster = told
    new, after = planted(1_000, seed=9)
    assert {"f00", "f03", "f07"} <= set(forecaster.features)
    assert np.corrcoef(forecaster.predict(new), after["label_bps"])[0, 1] > 0.6
    assert forecaster.metrics["r2"] > 0.3
    assert forecaster.metrics["rank_ic"] > 0.5
    assert forecaster.importance().sum() == pytest.approx(1.0)
    assert set(forecaster.importance().index[:3]) == {"f00", "f03", "f07"}


def test_the_model_has_the_trees_that_the_blocks_asked_for(told):
    _, labels, forecaster = told
    assert forecaster.booster.num_trees() == forecaster.metrics["rounds"] < 300
    assert forecaster.span_ns == (labels["start_ns"].iloc[0], labels["end_ns"].iloc[-1])


def test_rows_are_thinned_and_weighted_by_their_uniqueness():
    X, labels = planted(600, horizon=6)
    few = PLAIN.model_copy(update={"rows_per_label": 2, "holdout": 0.0, "max_rounds": 5})
    assert train(X, labels, params=few).rows == 200
    assert train(X, labels, params=few.model_copy(update={"max_rows": 150})).rows == 150

    every = few.model_copy(update={"rows_per_label": 10})
    short = labels.assign(end_ns=labels["start_ns"] + STEP_NS)
    labels["end_ns"] += STEP_NS * (np.arange(600) % 3)
    unique = average_uniqueness(labels["start_ns"], labels["end_ns"])
    weighted = train(X, short, params=every, weights=unique).model
    assert train(X, labels, params=every).model == weighted
    assert train(X, short, params=every).model != weighted


def test_losses_are_weighted():
    data = SimpleNamespace(get_label=lambda: np.zeros(2), get_weight=lambda: np.array([3.0, 1.0]))
    assert _squared_error(np.array([1.0, 3.0]), data)[1] == 3.0
    assert _log_loss(np.array([[1.0, 0.0], [0.5, 0.5]]), data)[1] == pytest.approx(np.log(2) / 4)


def test_of_noise_it_says_next_to_nothing():
    X, labels = planted(3_000, signal=0.0)
    forecaster = train(X, labels, params=PLAIN)
    assert forecaster.metrics["r2"] < 0.01
    assert forecaster.predict(X).std() < 0.15  # of labels with sd 1


def test_the_same_bits_again_for_any_number_of_threads(told):
    X, labels, _ = told
    X, labels = X.iloc[:700], labels.iloc[:700]
    one, two = (train(X, labels, params=PARAMS, seed=1, threads=count) for count in (1, 2))
    assert one == two
    assert one.predict(X).tobytes() == two.predict(X, threads=2).tobytes()
    assert train(X, labels, params=PARAMS, seed=2).model != one.model


def test_rows_outside_the_training_span_change_nothing(told):
    X, labels, forecaster = told
    later, _ = planted(4_000, seed=5)
    whole = pd.concat([X, later.set_axis(later.index + pd.Timedelta("30D"))])
    rows = whole.index.isin(X.index)
    assert train(whole[rows], labels, params=PARAMS, seed=1) == forecaster


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_what_is_selected_does_not_see_the_blocks(task):
    """Labels of the held-out blocks are replaced: the selection stays as it was."""
    X, labels = planted(2_000)
    labels["label"], labels["return_bps"] = np.sign(labels["label_bps"]), labels["label_bps"]
    changed = labels.copy()
    held = X.index[int(0.75 * len(X)) + 2 :]
    for column in ("label_bps", "return_bps"):
        changed.loc[held, column] = 100.0 * X["f05"]
    changed.loc[held, "label"] = np.sign(X["f05"])
    params = PARAMS.model_copy(update={"task": task})
    one, other = (train(X, y, params=params) for y in (labels, changed))
    pd.testing.assert_frame_equal(one.selection, other.selection)
    assert one.metrics["r2"] != other.metrics["r2"]


def test_no_label_of_a_fold_reaches_into_the_block_it_is_judged_by():
    start = np.arange(1_000, dtype=np.int64) * STEP_NS
    end = start + 7 * STEP_NS
    params = ForecastParams(embargo="10min")
    folds = _folds((start, end), params)
    assert len(folds) == 3
    for before, block in folds:
        assert end[before].max() + params.embargo_ns <= start[block].min()
        assert before.max() < block.min()


def test_columns_are_found_by_name(told):
    X, _, forecaster = told
    mixed = X[X.columns[::-1]].assign(other=1.0)
    assert forecaster.predict(mixed).tobytes() == forecaster.predict(X).tobytes()
    one_by_one = [forecaster.predict(X.iloc[[row]])[0] for row in range(5)]
    assert np.array_equal(one_by_one, forecaster.predict(X.iloc[:5]))
    with pytest.raises(DataError, match="f03"):
        forecaster.predict(X.drop(columns="f03"))


def test_missing_values_are_forecast_and_infinite_ones_are_missing(told):
    X, _, forecaster = told
    gap = X.iloc[:20].copy()
    gap.loc[:, "f00"] = np.nan
    assert np.isfinite(forecaster.predict(gap)).all()
    endless = gap.assign(f00=np.inf)
    assert np.array_equal(forecaster.predict(gap), forecaster.predict(endless))


def test_the_training_distribution_is_that_of_the_rows(told):
    X, _, forecaster = told
    told_of = forecaster.distribution["f00"]
    assert told_of["mean"] == pytest.approx(X["f00"].mean(), abs=0.05)
    assert told_of["sd"] == pytest.approx(X["f00"].std(), abs=0.05)
    assert sum(told_of["shares"]) == pytest.approx(1.0)
    assert np.allclose(told_of["shares"], 0.1, atol=0.01)


def test_the_bins_of_a_distribution_by_hand():
    values = np.array([[0.0, 5.0, n, np.nan] for n in range(9)] + [[1.0, 5.0, 9.0, np.nan]])
    found = distribution_of(values.astype(np.float32), ["flag", "still", "even", "none"])
    assert (found["flag"]["edges"], found["flag"]["shares"]) == ([0.0], [0.9, 0.1])
    assert (found["still"]["edges"], found["still"]["shares"]) == ([], [1.0])
    edges, shares = found["even"]["edges"], found["even"]["shares"]
    below = [sum(edge < value for edge in edges) for value in range(10)]
    assert shares == pytest.approx(np.bincount(below) / 10)
    assert (len(edges), max(shares)) == (len(shares) - 1, 0.2)
    assert (found["none"]["missing"], found["none"]["mean"], found["none"]["shares"]) == (
        1,
        None,
        [],
    )


def test_forecasts_have_no_mean_unless_they_are_asked_for_it():
    X, labels = planted(1_500)
    labels["label_bps"] += 50.0
    assert abs(train(X, labels, params=PLAIN).predict(X).mean()) < 1.0
    kept = PLAIN.model_copy(update={"intercept": "mean"})
    assert train(X, labels, params=kept).predict(X).mean() == pytest.approx(50.0, abs=1.0)


def test_classes_become_bps():
    X, labels = planted(3_000)
    move = labels.pop("label_bps")
    labels["label"] = np.sign(move).where(move.abs() > 0.5, 0.0)
    labels["return_bps"] = 10.0 * labels["label"]
    params = PLAIN.model_copy(update={"task": "classification"})
    forecaster = train(X, labels, params=params)
    forecast = forecaster.predict(X)
    assert np.abs(forecast).max() < 10.0 + abs(labels["return_bps"].mean())
    assert forecaster.metrics["r2"] > 0.2
    chances = forecaster.booster.predict(X.to_numpy(np.float32), num_threads=1)
    mean = labels["return_bps"].mean()
    assert np.allclose(forecast, 10.0 * (chances[:, 2] - chances[:, 0]) - mean, atol=1e-6)
    gap = labels.assign(return_bps=labels["return_bps"].where(np.arange(3_000) % 7 > 0))
    assert train(X, gap, params=params).rows == 3_000 * 6 // 7  # a return is part of the label
    with pytest.raises(DataError, match="all labels are the same"):
        train(X, labels.assign(label=1.0), params=params)


def test_a_forecaster_survives_a_pickle(told):
    X, _, forecaster = told
    forecaster.predict(X)
    again = pickle.loads(pickle.dumps(forecaster))
    assert again == forecaster
    assert np.array_equal(again.predict(X), forecaster.predict(X))


def test_what_cannot_be_trained_on_is_an_error():
    X, labels = planted(300)
    with pytest.raises(DataError, match="labels lack a column"):
        train(X, labels.drop(columns="end_ns"))
    with pytest.raises(DataError, match="not of the same rows"):
        train(X.iloc[:-1], labels)
    with pytest.raises(DataError, match="too few labels"):
        train(X.iloc[:50], labels.iloc[:50])
    with pytest.raises(DataError, match="not in order"):
        train(X.iloc[::-1], labels.iloc[::-1])
    for params in (PARAMS, PLAIN):
        with pytest.raises(DataError, match="f00: a feature is there twice"):
            train(pd.concat([X, X[["f00"]]], axis=1), labels, params=params)
    with pytest.raises(DataError, match="no feature to learn from"):
        train(X[[]], labels, params=PLAIN)
    for wrong in (0.0, -1.0, np.nan):
        with pytest.raises(DataError, match=rf"weighed by, was {wrong}; expected numbers"):
            train(X, labels, weights=np.full(300, wrong))
    with pytest.raises(DataError, match="weights are not of the same rows"):
        train(X, labels, weights=np.ones(299))
    late = labels.assign(label=np.r_[np.zeros(250), np.ones(50)], return_bps=1.0)
    with pytest.raises(DataError, match="label: a class has no row before the blocks"):
        train(X, late, params=PLAIN.model_copy(update={"task": "classification"}))


def test_the_file_of_settings_shows_the_defaults():
    found = load_ml_config("config/ml_optimization.yaml")
    assert found.forecast_params() == MlConfig().forecast_params()
    assert found.search == MlConfig().search
    with pytest.raises(ConfigError, match=r"nearest is forecast\.num_leaves"):
        load_ml_config({"forecast": {"num_leafs": 4}})


def test_the_regressor_is_an_estimator():
    from sklearn.utils.estimator_checks import check_estimator

    from mrtrade.ml.estimators import ForecastRegressor

    expected = {
        "check_sample_weight_equivalence_on_dense_data": "rows are a sequence in time, drawn in "
        "bags: one of weight 2 is not the same as two, which shift all rows after them"
    }
    check_estimator(ForecastRegressor(), on_skip=None, expected_failed_checks=expected)


def test_the_regressor_works_in_searches_over_purged_folds():
    from sklearn.model_selection import GridSearchCV, cross_val_score

    from mrtrade.ml.estimators import ForecastRegressor
    from mrtrade.ml.splits import PurgedKFold

    X, labels = planted(1_200)
    folds = PurgedKFold(3, start_ns=labels["start_ns"], end_ns=labels["end_ns"])
    model = ForecastRegressor(select=False)
    assert cross_val_score(model, X, labels["label_bps"], cv=folds).min() > 0.3
    search = GridSearchCV(model, {"num_leaves": [2, 8]}, cv=folds).fit(X, labels["label_bps"])
    assert search.best_params_ == {"num_leaves": 8}  # two leaves cannot say an exclusive or


def test_the_regressor_knows_how_long_labels_are_and_what_rows_weigh():
    from mrtrade.ml.estimators import ForecastRegressor

    X, labels = planted(300, 8)
    y = labels["label_bps"]
    model = ForecastRegressor(horizon=6, max_rounds=20, select=False).fit(X, y)
    assert model.forecaster_.rows == 150
    assert model.forecaster_.span_ns == (0, 298 + 6)
    assert model.forecaster_.selection is None
    odd = np.arange(300) // 2 % 2.0
    weighted = ForecastRegressor(max_rounds=20, select=False).fit(X, y * odd, odd).predict(X)
    alone = ForecastRegressor(max_rounds=20, select=False).fit(X, y * odd).predict(X)
    assert weighted.std() > 1.3 * alone.std()

import pickle

import numpy as np
import pandas as pd
import pytest

from mrtrade.errors import ConfigError, DataError
from mrtrade.ml.params import ForecastParams, MlConfig, SelectionParams, load_ml_config
from mrtrade.ml.training import _folds, train
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

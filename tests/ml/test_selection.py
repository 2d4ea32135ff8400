import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrtrade.errors import DataError
from mrtrade.ml import boruta as rounds
from mrtrade.ml import selection as selecting
from mrtrade.ml.boruta import (
    Boruta,
    _bins,
    _confirming,
    _Forest,
    _sample,
    _too_few,
    boruta,
    shuffled_blocks,
)
from mrtrade.ml.params import SelectionParams
from mrtrade.ml.selection import _commonest, select_features
from mrtrade.ml.thinning import thin
from tests.ml.planted import planted

FEW = SelectionParams(max_features=6, min_features=1)
FULL = SelectionParams(max_features=8, min_features=8)


def chosen(X, labels, **about):
    spans = labels["start_ns"].to_numpy(), labels["end_ns"].to_numpy()
    return select_features(X, labels["label_bps"], spans=spans, **about)


def fate(selection, name):
    return selection.report.set_index("feature").loc[name]


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 15)), min_size=1, max_size=40),
    st.integers(1, 4),
)
@settings(deadline=None)
def test_thinned_rows_are_those_of_the_slow_twin(spans, per_label):
    spans = sorted(spans)
    start = np.array([one for one, _ in spans])
    end = start + np.array([length for _, length in spans])
    picked, open_from = [], -1
    for row, (begin, length) in enumerate(spans):
        if not picked or (begin >= open_from and row > picked[-1]):
            picked.append(row)
            open_from = begin + length // per_label
    assert thin((start, end), per_label).tolist() == picked


def test_planted_features_are_confirmed_and_noise_is_not():
    selection = chosen(*planted(2_000, seed=1), params=FEW)
    verdicts = selection.report.set_index("feature")["boruta"]
    assert set(verdicts[verdicts == "confirmed"].index) == {"f00", "f03", "f07"}
    assert selection.confirmed == 3
    assert set(selection.names[:3]) == {"f00", "f03", "f07"}


def test_boruta_finds_what_the_package_boruta_finds():
    from boruta import BorutaPy
    from sklearn.ensemble import RandomForestRegressor

    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 12))
    y = x[:, 0] + 0.7 * x[:, 3] + x[:, 7] ** 2 + rng.standard_normal(500)
    forest = RandomForestRegressor(n_estimators=30, max_depth=5, random_state=0)
    oracle = BorutaPy(forest, n_estimators=30, max_iter=20, random_state=0).fit(x, y)
    own = boruta(x.astype(np.float32), y)
    found = [number for number, one in enumerate(own.verdicts) if one == "confirmed"]
    assert found == np.flatnonzero(oracle.support_).tolist() == [0, 3, 7]


@pytest.mark.simulation
def test_of_noise_boruta_confirms_no_more_than_it_says():
    wrong = 0
    for seed in range(20):
        X, labels = planted(400, 20, seed=seed, signal=0.0)
        found = boruta(X.to_numpy(np.float32), labels["label_bps"].to_numpy(), seed=seed)
        wrong += "confirmed" in found.verdicts
    assert wrong <= 4  # 5 % of 20, and three standard errors


def test_no_feature_is_confirmed_by_fewer_rounds_than_can_tell():
    confirming = _confirming(20, 12, 0.05)
    assert (confirming[:18] > np.arange(1, 19)).all()
    assert confirming[18:].tolist() == [19, 20]
    assert _confirming(40, 12, 0.05)[38:].tolist() == [38, 39]  # one miss of 39, two are too many
    few = _confirming(40, 10**9, 0.05)  # of very many features the binomial test is the harder one
    assert (few[:33] > np.arange(1, 34)).all()


def test_rejection_is_that_of_benjamini_and_hochberg():
    from scipy.stats import binom, false_discovery_control

    hits = np.array([0, 0, 1, 5, 3, 0, 2, 8])
    adjusted = false_discovery_control(binom.cdf(hits, 8, 0.5))
    assert _too_few(hits, 8, 0.05).tolist() == (adjusted <= 0.05).tolist()


def test_shuffled_blocks_keep_neighbours_together():
    order = shuffled_blocks(900, np.random.default_rng(1))
    assert sorted(order) == list(range(900))
    assert 0.9 < (np.diff(order) == 1).mean() < 1.0


def test_of_a_label_that_never_moves_nothing_is_hit():
    found = boruta(np.random.default_rng(0).standard_normal((200, 6)), np.zeros(200), rounds=8)
    assert found.hits.tolist() == [0] * 6
    assert set(found.verdicts) == {"rejected"}


def test_bins_are_quantiles_of_the_values_that_are_there():
    x = np.random.default_rng(0).standard_normal((310, 2)).astype(np.float32)
    x[::31, 0] = np.nan
    found = _bins(x)
    for column in range(2):
        known = np.isfinite(x[:, column])
        assert np.isnan(found[~known, column]).all()
        rank = x[known, column].argsort().argsort()
        assert np.abs(found[known, column] - 31 * rank / known.sum()).max() <= 1.1


def test_a_round_takes_whole_blocks_from_anywhere():
    generator = np.random.default_rng(2)
    drawn = [_sample(4_000, 1_000, generator) for _ in range(20)]
    for rows in drawn:
        assert len(rows) == len(set(rows)) == 1_000
        assert 0.95 < (np.diff(rows) == 1).mean() < 1.0
    assert len(np.unique(np.concatenate(drawn))) > 3_900
    assert _sample(1_000, 1_000, generator).tolist() == list(range(1_000))


def test_shadows_are_as_many_as_features_were_offered_and_shuffled_in_blocks(monkeypatch):
    forest, generator = _Forest(1), np.random.default_rng(0)
    for offered, shadows in ((80, 50), (20, 20), (3, 5)):
        found = forest._shadowed(np.array([0, 2]), offered, generator)
        assert len(found) == shadows
        assert set(found) <= set(range(offered))
        assert found[:2].tolist() == [0, 2]
    every = np.arange(60)
    assert forest._shadowed(every, 60, generator).tolist() == every.tolist()

    lengths = []
    real = shuffled_blocks
    monkeypatch.setattr(rounds, "shuffled_blocks", lambda n, g: lengths.append(n) or real(n, g))
    x = generator.standard_normal((200, 7)).astype(np.float32)
    gains, best = forest.round(x, np.arange(7), x[:, 1].astype(np.float64), generator)
    assert lengths == [200] * 7
    assert gains.argmax() == 1
    assert gains[1] > best > 0.0


def test_missing_and_constant_features_are_dropped_in_any_unit():
    X, labels = planted(600)
    X["gone"] = np.where(np.arange(600) < 300, np.nan, X["f00"])
    X["some"] = np.where(np.arange(600) < 180, np.nan, X["f01"])  # just as much as may be
    X["still"] = 5e9
    X["tiny"] = X["f00"] ** 3 * 1e-12  # says what f00 says, in a small unit
    selection = chosen(X, labels, params=FEW)
    assert fate(selection, "gone")["step"] == "missing"
    assert fate(selection, "gone")["statistic"] == 0.5
    assert fate(selection, "some")["step"] != "missing"
    assert fate(selection, "still")["step"] == "constant"
    assert {fate(selection, "tiny")["step"], fate(selection, "f00")["step"]} == {
        "correlation",
        "shap",
    }


def test_confirmed_come_before_open_and_open_before_rejected_whatever_they_contribute(monkeypatch):
    X, labels = planted(300, 8)
    said = ["rejected", *["tentative"] * 6, "confirmed"]  # f00 contributes much, f07 too
    said[3] = "rejected"
    found = Boruta(tuple(said), np.zeros(8, np.int64), np.ones(8, np.int64))
    monkeypatch.setattr(selecting, "boruta", lambda *_, **__: found)
    selection = chosen(X, labels, params=FEW.model_copy(update={"max_features": 8}))
    assert selection.names[0] == "f07"
    assert set(selection.names[1:]) == {"f01", "f02", "f04", "f05", "f06"}
    assert set(chosen(X, labels, params=FULL).names[-2:]) == {"f00", "f03"}
    assert "kept to have 8" in fate(chosen(X, labels, params=FULL), "f00")["reason"]


def test_a_value_that_is_missing_is_one_value_too():
    nan = np.nan
    x = np.array([[nan, 1.0, 3.0], [nan, 1.0, 2.0], [nan, 2.0, 1.0], [1.0, nan, nan]], np.float32)
    assert _commonest(x).tolist() == [3, 2, 1]


def test_rows_are_thinned_until_no_labels_overlap():
    X, labels = planted(600, 8, horizon=3)
    params = FEW.model_copy(update={"boruta_rounds": 0})
    assert chosen(X, labels, params=params).rows == 200
    few = params.model_copy(update={"max_rows": 100})
    assert chosen(X, labels, params=few).rows == 100


def test_contributions_are_those_to_the_last_rows_of_trees_that_know_the_weights():
    X, labels = planted(800, 8)
    params = FEW.model_copy(update={"boruta_rounds": 0})
    before = fate(chosen(X, labels, params=params), "f00")["shap"]
    still = X.assign(f00=X["f00"].where(np.arange(800) < 600, 0.0))
    assert fate(chosen(still, labels, params=params), "f00")["shap"] < 0.3 * before

    labels["label_bps"] = np.where(np.arange(800) % 2, X["f01"], X["f02"])
    weights = (np.arange(800) % 2).astype(float)
    found = chosen(X, labels, weights=weights, params=params)
    assert fate(found, "f01")["shap"] > 5.0 * fate(found, "f02")["shap"]


def test_of_two_that_say_the_same_the_one_that_says_more_of_the_label_stays():
    X, labels = planted(800)
    X["a_worse"] = X["f00"] + 0.2 * np.random.default_rng(1).standard_normal(len(X))
    X["mirrored"] = -X["a_worse"]
    selection = chosen(X, labels, params=FEW)
    assert fate(selection, "mirrored")["statistic"] < -0.95
    assert "f00" in selection.names
    assert "f00, which says more" in fate(selection, "a_worse")["reason"]
    assert fate(selection, "a_worse")["statistic"] > 0.95


def test_every_feature_has_a_reason_and_the_order_of_columns_plays_no_part():
    X, labels = planted(600, 24)
    params = FEW.model_copy(update={"boruta_rounds": 6})
    selection = chosen(X, labels, params=params, seed=3)
    assert sorted(selection.report["feature"]) == sorted(X.columns)
    assert selection.report["reason"].str.len().gt(0).all()
    assert selection.report["kept"].sum() == len(selection.names) <= 6
    again = chosen(X[X.columns[::-1]], labels, params=params, seed=3, threads=2)
    pd.testing.assert_frame_equal(selection.report, again.report)


def test_of_noise_the_fewest_are_kept_and_none_is_confirmed():
    X, labels = planted(600, 20, signal=0.0)
    selection = chosen(X, labels, params=SelectionParams(max_features=12, min_features=8))
    assert selection.confirmed == 0
    assert 8 <= len(selection.names) <= 12


def test_what_cannot_be_selected_from_is_an_error():
    X, labels = planted(200)
    with pytest.raises(DataError, match="no feature has values enough"):
        chosen(X * np.nan, labels)
    with pytest.raises(DataError, match="no row has a label"):
        chosen(X, labels.assign(label_bps=np.nan))
    with pytest.raises(DataError, match="another length"):
        select_features(X, labels["label_bps"][:5])


def test_the_selector_is_an_estimator():
    from sklearn.utils.estimator_checks import check_estimator

    from mrtrade.ml.estimators import FeatureSelector

    check_estimator(FeatureSelector(), on_skip=None)
    X, labels = planted(2_000, seed=1)
    selector = FeatureSelector(max_features=3, min_features=1).fit(X, labels["label_bps"])
    assert list(selector.get_feature_names_out()) == ["f00", "f03", "f07"]
    selector.set_params(horizon=5, boruta_rounds=0).fit(X, labels["label_bps"])
    assert selector.selection_.rows == 400

import matplotlib
import numpy as np
import pytest

from mrtrade.errors import ConfigError
from mrtrade.ml.explain import dependence_picture, explain, summary_picture
from mrtrade.ml.params import ForecastParams
from mrtrade.ml.training import train
from tests.ml.planted import planted

PARAMS = ForecastParams(selection=None)


@pytest.fixture(scope="module")
def told():
    X, labels = planted(1_500)
    return X, train(X, labels, params=PARAMS)


def test_contributions_add_up_to_the_forecast(told):
    X, forecaster = told
    found = explain(forecaster, X, limit=200)
    rows = np.linspace(0, len(X) - 1, 200).round().astype(int)
    forecast = forecaster.predict(X.iloc[rows])
    assert np.allclose(found.base + found.contributions.sum(axis=1), forecast, atol=1e-10)
    assert found.unit == "bps"


# It sets up its colours in a way that Matplotlib is about to give up.
@pytest.mark.filterwarnings("ignore:The set_.* function will be:PendingDeprecationWarning")
def test_contributions_are_those_of_shap(told):
    import shap

    X, forecaster = told
    found = explain(forecaster, X, limit=100)
    oracle = shap.TreeExplainer(forecaster.booster).shap_values(found.values)
    assert np.allclose(found.contributions, oracle, atol=1e-8)


def test_the_table_ranks_what_was_planted(told):
    table = explain(*told[::-1]).table()
    assert set(table["feature"][:3]) == {"f00", "f03", "f07"}
    assert table["share"].sum() == pytest.approx(1.0)
    assert table.set_index("feature").loc["f00", "direction"] > 0.9


def test_of_classes_it_is_the_highest_against_the_lowest():
    X, labels = planted(1_500)
    labels["label"] = np.sign(labels["label_bps"])
    labels["return_bps"] = labels.pop("label_bps")
    params = PARAMS.model_copy(update={"task": "classification"})
    forecaster = train(X, labels, params=params)
    found = explain(forecaster, X, limit=50)
    rows = X.iloc[np.linspace(0, len(X) - 1, 50).round().astype(int)].to_numpy(np.float32)
    raw = forecaster.booster.predict(rows, raw_score=True)
    total = found.base + found.contributions.sum(axis=1)
    assert np.allclose(total, raw[:, -1] - raw[:, 0], atol=1e-10)
    assert found.unit == "log-odds"


def test_pictures_are_drawn_and_the_same_again(told):
    X, forecaster = told
    gap = X.assign(f00=X["f00"].where(X["f00"] < 1.0))
    found = explain(forecaster, gap, limit=300)
    for draw in (summary_picture, lambda one: dependence_picture(one, "f00")):
        picture = draw(found)
        assert picture.startswith(b"\x89PNG")
        with matplotlib.rc_context(
            {"axes.labelpad": 30, "font.size": 30}
        ):  # as a user may have set it
            assert picture == draw(found)
    with pytest.raises(ConfigError, match="does not read"):
        dependence_picture(found, "f99")

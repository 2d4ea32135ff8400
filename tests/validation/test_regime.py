import math

import numpy as np
import pytest

from mrtrade.errors import ConfigError, DataError
from mrtrade.validation.regime import classify, regimes, terciles


def test_terciles_by_hand():
    assert terciles([3.0, 1.0, 4.0, 2.0, np.nan]) == (2.0, 3.0)
    np.testing.assert_array_equal(
        classify([1.0, 2.0, 2.5, 3.0, 3.1, np.nan, np.inf], (2.0, 3.0)), [0, 0, 1, 1, 2, -1, -1]
    )
    with pytest.raises(DataError, match="too few"):
        terciles([1.0, np.nan, 2.0])


def test_results_by_regime():
    rng = np.random.default_rng(1)
    regime = np.repeat([0, 1, 2, -1], [100, 200, 60, 40])
    x = rng.normal(np.array([0.3, 0.0, -0.3, 5.0])[regime], 1.0)
    found = regimes(x, regime, periods_a_year=365, boundaries="terciles of training")
    assert found.unknown == 40
    assert list(found.table["rows"]) == [100, 200, 60]
    assert list(found.table["share"]) == [0.25, 0.5, 0.15]
    for code, row in enumerate(found.table.to_dict("records")):
        own = x[regime == code]
        ratio = own.mean() / own.std(ddof=1)
        assert row["sharpe"] == pytest.approx(ratio * math.sqrt(365))
        assert row["sharpe_se"] == pytest.approx(math.sqrt((1 + ratio**2 / 2) / len(own) * 365))
        assert row["net"] == pytest.approx(own.sum())
    low, _, high = found.criteria()
    assert low.passed is True
    assert low.name == "Sharpe ratio in low volatility"
    assert "100 returns, standard error" in low.note
    assert high.passed is False


def test_a_regime_that_hardly_came_is_not_judged():
    x = np.random.default_rng(2).normal(size=200)
    x[:80] = 0.0
    regime = np.repeat([0, 1, 2], [80, 91, 29])
    low, mid, high = regimes(x, regime, periods_a_year=365, boundaries="").criteria()
    assert low.passed is None
    assert "no position was held" in low.note
    assert mid.passed is not None
    assert high.passed is None
    assert "fewer than 30 returns" in high.note
    empty = regimes([], np.empty(0, dtype=np.int64), periods_a_year=365, boundaries="")
    assert [one.passed for one in empty.criteria()] == [None] * 3


def test_refuses_what_does_not_match():
    with pytest.raises(ConfigError, match="not a regime for each"):
        regimes([0.1, 0.2], np.array([0]), periods_a_year=365, boundaries="")
    with pytest.raises(DataError, match="row 0"):
        regimes([math.nan], np.array([0]), periods_a_year=365, boundaries="")

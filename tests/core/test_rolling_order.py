import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mrcore.rolling_order import RollingMedianMad, RollingQuantile, RollingRank

from ..oracle import rolling_columns as oracle
from .test_rolling import columns

# Few different numbers, so that ties are the rule.
tied = st.lists(st.sampled_from([-1.0, -0.0, 0.0, 0.5, 2.0, math.nan, math.inf]), max_size=60)


@given(st.one_of(columns, tied), st.integers(1, 12), st.floats(0, 1))
def test_quantile_is_that_of_numpy(x, window, q):
    want = oracle.each_window(x, window, lambda w: np.quantile(w, q))
    got = RollingQuantile(window, q).batch(np.array(x))
    np.testing.assert_allclose(got, want, rtol=1e-14, atol=1e-9)


@given(st.one_of(columns, tied), st.integers(1, 12), st.sampled_from([0.0, 0.5, 1.0]))
def test_quantiles_that_are_values_are_exact(x, window, q):
    if q == 0.5 and window % 2 == 0:
        window += 1
    want = oracle.each_window(x, window, lambda w: np.quantile(w, q))
    np.testing.assert_array_equal(RollingQuantile(window, q).batch(np.array(x)), want)


@given(st.one_of(columns, tied), st.integers(2, 12))
def test_rank_equals_the_oracle(x, window):
    want = oracle.each_window(x, window, oracle.rank)
    np.testing.assert_array_equal(RollingRank(window).batch(np.array(x)), want)


@given(st.one_of(columns, tied), st.integers(1, 13))
def test_median_and_its_deviation_equal_numpy(x, window):
    want = oracle.each_window(x, window, oracle.median_mad)
    np.testing.assert_array_equal(RollingMedianMad(window).batch(np.array(x)), want)


@pytest.mark.parametrize("window", [2, 7, 50, 301])
def test_against_pandas_and_scipy(window):
    rng = np.random.default_rng(2)
    x = np.round(rng.normal(size=3000), 2)
    x[rng.random(3000) < 0.002] = np.nan
    roll = pd.Series(x).rolling(window)
    median, mad = RollingMedianMad(window).batch(x)
    np.testing.assert_allclose(RollingQuantile(window, 0.95).batch(x), roll.quantile(0.95))
    np.testing.assert_array_equal(median, roll.median())
    rank = roll.rank()  # from 1, ties at their mean
    np.testing.assert_allclose(RollingRank(window).batch(x), (rank - 1) / (window - 1))
    for i in np.flatnonzero(np.isfinite(mad))[::97]:
        assert mad[i] == stats.median_abs_deviation(x[i - window + 1 : i + 1])


def test_ranks_by_hand():
    x = np.array([1.0, 2.0, 3.0, 3.0, 3.0, 0.0])
    assert RollingRank(3).batch(x)[2:].tolist() == [1.0, 0.75, 0.5, 0.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RollingQuantile(0, 0.5), "window must be >= 1, was 0"),
        (lambda: RollingQuantile(3, 1.1), "q must be in"),
        (lambda: RollingQuantile(3, math.nan), "q must be in"),
        (lambda: RollingRank(1), "window must be >= 2, was 1"),
        (lambda: RollingMedianMad(0), "window must be >= 1, was 0"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_quantile_tells_what_it_is_of():
    assert (RollingQuantile(7, 0.9).q, RollingQuantile(7, 0.9).window) == (0.9, 7)

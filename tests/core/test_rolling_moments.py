import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mrcore.rolling import RollingMean, RollingVariance
from mrcore.rolling_moments import RollingMoments, RollingShape

from ..oracle import rolling_columns as oracle
from .test_rolling import bits, btc_prices, columns


@given(columns, st.integers(1, 12))
def test_moments_are_the_mean_and_the_variance(x, window):
    mean, variance = RollingMoments(window).batch(np.array(x))
    assert bits(mean) == bits(RollingMean(window).batch(np.array(x)))
    assert bits(variance) == bits(RollingVariance(window, ddof=0).batch(np.array(x)))


@given(columns, st.integers(2, 12))
def test_shape_against_fractions(x, window):
    got = RollingShape(window).batch(np.array(x))
    np.testing.assert_allclose(
        got, oracle.each_window(x, window, oracle.shape), rtol=1e-11, atol=1e-11
    )


@pytest.mark.parametrize("window", [3, 20, 60])
def test_shape_of_log_prices_against_fractions(window):
    x = np.log(btc_prices(300))
    want = oracle.each_window(x, window, oracle.shape)
    np.testing.assert_allclose(RollingShape(window).batch(x), want, rtol=1e-9, atol=1e-9)


def test_shape_against_scipy_and_pandas():
    x = np.random.default_rng(1).exponential(size=3000)
    skew, kurtosis = RollingShape(300).batch(x)
    windows = np.lib.stride_tricks.sliding_window_view(x, 300)
    np.testing.assert_allclose(skew[299:], stats.skew(windows, axis=1), rtol=1e-12)
    np.testing.assert_allclose(kurtosis[299:], stats.kurtosis(windows, axis=1), rtol=1e-12)
    n = 300  # pandas gives the unbiased ones
    unbiased = np.sqrt(n * (n - 1)) / (n - 2) * skew
    np.testing.assert_allclose(unbiased[299:], pd.Series(x).rolling(n).skew()[299:], rtol=1e-8)


def test_known_shapes():
    skew, kurtosis = RollingShape(4).batch(np.array([0.0, 0.0, 0.0, 1.0, 1.0, 0.0]))
    # one of four: p = 1/4 has skewness (1 - 2p) / sqrt(p (1 - p)), kurtosis 1 / (p (1 - p)) - 6
    np.testing.assert_allclose(skew[3:], [2 / np.sqrt(3), 0.0, 0.0], rtol=1e-15)
    np.testing.assert_allclose(kurtosis[3:], [16 / 3 - 6, -2.0, -2.0], rtol=1e-15)


def test_equal_values_have_no_shape():
    x = np.full(20, 0.1 + 0.2)
    assert np.isnan(RollingShape(4).batch(x)).all()
    mean, variance = RollingMoments(4).batch(x)
    assert (mean[3:] == x[0]).all()
    assert (variance[3:] == 0.0).all()


def test_bad_windows_are_refused():
    with pytest.raises(ValueError, match="window must be >= 1, was 0"):
        RollingMoments(0)
    with pytest.raises(ValueError, match="window must be >= 2, was 1"):
        RollingShape(1)

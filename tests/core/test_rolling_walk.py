import numpy as np
import pytest
import statsmodels.api as sm
from arch.unitroot import VarianceRatio
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tsa.stattools import adfuller

from mrcore.rolling_walk import RollingADF, RollingAR, RollingVarianceRatio

from ..oracle import rolling_columns as oracle
from .test_rolling import btc_prices


def reverting(n, seed=1, phi=0.95, level=0.0):
    """An AR(1) process about a level."""
    x = np.empty(n)
    x[0] = 0.0
    noise = np.random.default_rng(seed).normal(size=n)
    for i in range(1, n):
        x[i] = phi * x[i - 1] + noise[i]
    return x + level


SERIES = {
    "reverting": reverting(150),
    "log price": np.log(btc_prices(150)),
    "far off": reverting(150, seed=2, level=1e9),
}
series = pytest.mark.parametrize("x", SERIES.values(), ids=SERIES)


# AR(1) ------------------------------------------------------------------------------


@series
@pytest.mark.parametrize("window", [3, 20])
def test_ar_against_fractions(x, window):
    want = oracle.each_window(x, window + 1, oracle.autoregression)
    got = RollingAR(window).batch(x)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    ok = want[5] > 1e-9 * np.var(np.diff(x))  # an exact fit leaves rounding
    np.testing.assert_allclose(got[:, ok], want[:, ok], rtol=1e-9, atol=1e-14)


def test_ar_against_statsmodels():
    x = reverting(120, level=5.0)
    fit = sm.OLS(np.diff(x), sm.add_constant(x[:-1])).fit()
    want = [*fit.params[::-1], fit.tvalues[1], 1 + fit.params[1], fit.bse[1], fit.scale]
    got = RollingAR(119).batch(x)
    assert np.isnan(got[:, :-1]).all()
    np.testing.assert_allclose(got[:, -1], want, rtol=1e-11)


def test_ar_finds_what_the_process_is():
    # the bias is about (1 + 3 phi) / n (Kendall 1954), the standard error sqrt((1 - phi^2) / n)
    slope, intercept, t, phi, error, variance = RollingAR(100_000).batch(
        reverting(100_001, phi=0.9, level=3.0)
    )[:, -1]
    assert abs(phi - 0.9) < 4 * np.sqrt(0.19 / 1e5)
    assert error == pytest.approx(np.sqrt(0.19 / 1e5), rel=0.02)
    assert intercept / -slope == pytest.approx(3.0, abs=4 * 10 / np.sqrt(1e5))
    assert variance == pytest.approx(1.0, abs=4 * np.sqrt(2 / 1e5))
    assert t == pytest.approx(slope / error)


def test_ar_of_what_does_not_vary_or_fits_exactly():
    assert np.isnan(RollingAR(4).batch(np.full(20, 0.3))).all()
    x = 2.0 ** -np.arange(12)  # halves each time: slope -1/2, and no residual
    slope, intercept, t, phi, error, variance = RollingAR(4).batch(x)[:, -1]
    assert (slope, intercept, phi, error, variance) == (-0.5, 0.0, 0.5, 0.0, 0.0)
    assert np.isnan(t)


# ADF --------------------------------------------------------------------------------


@series
@pytest.mark.parametrize("lags", [0, 1, 2, 3, 4])
def test_adf_against_fractions(x, lags):
    for window in (2 * lags + 6, 30):
        want = oracle.each_window(x[:50], window, lambda w: oracle.dickey_fuller(w, lags))
        got = RollingADF(window, lags).batch(x[:50])
        ok = np.isfinite(want) & (np.abs(want) < 1e3)  # above, the fit is exact but for rounding
        np.testing.assert_allclose(got[ok], want[ok], rtol=1e-8, atol=1e-11)
        assert np.isnan(got[np.isnan(want)]).all()
        assert ok.sum() > 0.5 * (50 - window)


@pytest.mark.parametrize("lags", [0, 1, 4])
@pytest.mark.parametrize("window", [40, 100])
def test_adf_against_statsmodels(window, lags):
    x = np.log(60_000 + np.cumsum(np.random.default_rng(3).normal(0, 5, 160)))
    got = RollingADF(window, lags).batch(x)
    for i in range(window - 1, 160, 7):
        inside = x[i - window + 1 : i + 1]
        want = adfuller(inside, maxlag=lags, regression="c", autolag=None, result_object=False)[0]
        assert got[i] == pytest.approx(want, rel=1e-8)


@given(st.integers(0, 2**32), st.integers(30, 80), st.integers(0, 4))
@settings(max_examples=20)
def test_adf_against_least_squares_where_prices_rest(seed, window, lags):
    x = btc_prices(window, seed)
    step = np.diff(x)
    n = len(step)
    design = [np.ones(n - lags), *(step[lags - k : n - k] for k in range(1, lags + 1))]
    fit = sm.OLS(step[lags:], np.column_stack([*design, x[lags:-1] - x[0]])).fit()
    assert RollingADF(window, lags).batch(x)[-1] == pytest.approx(fit.tvalues[-1], rel=1e-7)


def test_adf_without_lags_is_the_t_of_ar():
    x = reverting(200)
    np.testing.assert_allclose(
        RollingADF(51, 0).batch(x), RollingAR(50).batch(x)[2], rtol=1e-10, atol=1e-12
    )


def test_adf_of_what_does_not_vary_or_follows():
    assert np.isnan(RollingADF(12, 1).batch(np.full(40, 0.3))).all()
    assert np.isnan(RollingADF(12, 1).batch(np.arange(40.0))).all()  # the steps are all one
    assert np.isnan(RollingADF(12, 0).batch(2.0 ** -np.arange(40))).all()  # an exact fit


# Variance ratio ---------------------------------------------------------------------


@series
@pytest.mark.parametrize(("window", "q"), [(6, 2), (7, 5), (25, 2), (25, 8)])
def test_variance_ratio_against_fractions(x, window, q):
    want = oracle.each_window(x, window, lambda w: oracle.variance_ratio(w, q))
    got = RollingVarianceRatio(window, q).batch(x)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("q", [2, 4, 8, 16])
def test_variance_ratio_against_arch(q):
    x = np.log(60_000) + np.cumsum(np.random.default_rng(4).standard_t(4, size=400) * 1e-3)
    vr, z = RollingVarianceRatio(240, q).batch(x)
    for i in range(239, 400, 20):
        want = VarianceRatio(
            x[i - 239 : i + 1], q, trend="c", debiased=True, robust=True, overlap=True
        )
        assert vr[i] == pytest.approx(want.vr, rel=1e-10)
        assert z[i] == pytest.approx(want.stat, rel=1e-10)


def test_variance_ratio_of_known_processes():
    # VR(2) = 1 + rho(1): of an MA(1) with theta -1/2 that is 1 - 0.4
    noise = np.random.default_rng(5).normal(size=50_002)
    walk, bounce = np.cumsum(noise[1:]), np.cumsum(noise[1:] - 0.5 * noise[:-1])
    vr, z = RollingVarianceRatio(50_001, 2).batch(walk)[:, -1]
    assert abs(vr - 1.0) < 4 / np.sqrt(50_000)
    assert abs(z) < 4
    vr, z = RollingVarianceRatio(50_001, 2).batch(bounce)[:, -1]
    assert vr == pytest.approx(0.6, abs=4 / np.sqrt(50_000))
    assert z < -50


def test_variance_ratio_without_variance():
    assert np.isnan(RollingVarianceRatio(12, 3).batch(np.full(40, 0.3))).all()
    assert np.isnan(RollingVarianceRatio(12, 3).batch(np.arange(40.0))).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RollingAR(2), "window must be >= 3, was 2"),
        (lambda: RollingADF(5), "window must be >= 6, was 5"),
        (lambda: RollingADF(50, -1), "lags must be >= 0, was -1"),
        (lambda: RollingADF(50, 5), "lags must be <= 4, was 5"),
        (lambda: RollingVarianceRatio(50, 1), "q must be >= 2, was 1"),
        (lambda: RollingVarianceRatio(9, 8), "window - q must be >= 2, was 1"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_they_tell_what_they_are_of():
    assert (RollingADF(50).lags, RollingADF(50).window) == (1, 50)
    assert RollingVarianceRatio(50, 4).q == 4

import copy
import math
import pickle

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.regression.rolling import RollingOLS as StatsmodelsOLS

from mrcore.rolling import (
    EWMA,
    RollingCovariance,
    RollingMax,
    RollingMean,
    RollingMin,
    RollingOLS,
    RollingVariance,
)

from ..oracle import rolling as oracle

EPS = np.finfo(float).eps
WINDOWED = [RollingMean, RollingVariance, RollingMin, RollingMax]
PAIRED = [RollingCovariance, RollingOLS]
ONE_COLUMN = [*(lambda c=c: c(4) for c in WINDOWED), lambda: EWMA(0.3)]
TWO_COLUMNS = [lambda c=c: c(4) for c in PAIRED]

# Numbers with jumps, ties and tiny differences; squares neither overflow nor underflow.
numbers = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 60_000.0, 60_000.01, 1e6, 1e6 + 1e-9, -1e-3]),
    st.floats(-1e6, 1e6).filter(lambda v: v == 0.0 or abs(v) > 1e-9),
)
gaps = st.sampled_from([math.nan, math.inf, -math.inf])
columns = st.lists(st.one_of(*[numbers] * 5, gaps), max_size=60)
pairs = st.lists(st.tuples(st.one_of(*[numbers] * 7, gaps), numbers), max_size=60)


def bits(result):
    return np.asarray(result).tobytes()


def split(data, arrays):
    """The arrays cut at places that hypothesis draws."""
    n = len(arrays[0])
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=4)))
    return zip(*(np.split(a, cuts) for a in arrays), strict=True)


def btc_prices(n, seed=1):
    """A walk of cents around 60,000 that rests half the time, as quotes do."""
    rng = np.random.default_rng(seed)
    steps = rng.choice([-0.01, 0.0, 0.0, 0.01], n)
    return np.round(60_000 + np.cumsum(steps), 2)


@given(columns, st.integers(1, 12))
def test_mean_is_exact_to_rounding(x, window):
    got = RollingMean(window).batch(np.array(x))
    scale = max((abs(v) for v in x if math.isfinite(v)), default=0.0)
    np.testing.assert_allclose(
        got, oracle.mean(x, window), rtol=1e-14, atol=2 * window * EPS * scale
    )


@given(columns, st.integers(2, 12), st.integers(0, 1))
def test_variance_is_exact_to_rounding(x, window, ddof):
    got = RollingVariance(window, ddof).batch(np.array(x))
    np.testing.assert_allclose(got, oracle.variance(x, window, ddof), rtol=1e-13, atol=0)


@given(pairs, st.integers(2, 12), st.integers(0, 1))
def test_covariance_is_exact_to_the_size_of_the_deviations(rows, window, ddof):
    x, y = np.array(rows).reshape(-1, 2).T.copy()
    got = RollingCovariance(window, ddof).batch(x, y)
    want = oracle.covariance(x, y, window, ddof)
    size = np.sqrt(
        np.array(oracle.variance(np.where(np.isfinite(x), x, np.nan), window, ddof))
        * oracle.variance(np.where(np.isfinite(x), y, np.nan), window, ddof)
    )
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    assert (np.abs(got - want)[~np.isnan(got)] <= 1e-13 * size[~np.isnan(got)]).all()


@given(st.integers(0, 2**32), st.integers(3, 12))
@settings(max_examples=30)
def test_ols_against_fractions(seed, window):
    rng = np.random.default_rng(seed)
    x = np.log(btc_prices(40, seed))
    y = 60_000 + 3.0 * x + rng.normal(size=40)
    x[11] = np.nan
    got = np.array(RollingOLS(window).batch(x, y)).T
    want = np.array(oracle.ols(x, y, window))
    np.testing.assert_allclose(got[:, :3], want[:, :3], rtol=1e-10)
    # t hangs on the residuals, whose rounding grows as the fit becomes exact
    np.testing.assert_array_equal(np.isnan(got[:, 3]), np.isnan(want[:, 3]))
    ok = np.isfinite(want[:, 3])
    error = np.abs(got[ok, 3] / want[ok, 3] - 1.0)
    assert (error <= 1e-10 + 1e-15 / (1.0 - want[ok, 2])).all()


@given(columns, st.integers(1, 12))
def test_extremes_equal_the_oracle(x, window):
    np.testing.assert_array_equal(
        RollingMin(window).batch(np.array(x)), oracle.extreme(x, window, min)
    )
    np.testing.assert_array_equal(
        RollingMax(window).batch(np.array(x)), oracle.extreme(x, window, max)
    )


@given(columns, st.sampled_from([0.01, 0.3, 1.0]))
def test_ewma_against_fractions(x, alpha):
    scale = max((abs(v) for v in x if math.isfinite(v)), default=0.0)
    np.testing.assert_allclose(
        EWMA(alpha).batch(np.array(x)), oracle.ewma(x, alpha), rtol=1e-14, atol=100 * EPS * scale
    )


@pytest.mark.parametrize("make", ONE_COLUMN)
@given(x=columns, data=st.data())
def test_any_split_of_one_column_gives_the_same_bits(make, x, data):
    x = np.array(x)
    whole = make().batch(x)
    parts = make()
    assert bits(np.concatenate([parts.batch(part) for (part,) in split(data, [x])])) == bits(whole)
    single = make()
    assert bits([single.update(v) for v in x]) == bits(whole)
    assert bits(parts.value) == bits(single.value)


@pytest.mark.parametrize("make", TWO_COLUMNS)
@given(rows=pairs, data=st.data())
def test_any_split_of_two_columns_gives_the_same_bits(make, rows, data):
    x, y = np.array(rows).reshape(-1, 2).T.copy()
    whole = np.atleast_2d(make().batch(x, y))
    parts = make()
    chunks = [np.atleast_2d(parts.batch(*part)) for part in split(data, [x, y])]
    assert bits(np.concatenate(chunks, axis=1)) == bits(whole)
    single = make()
    assert bits([single.update(a, b) for a, b in rows]) == bits(whole.T.copy())
    assert bits(parts.value) == bits(single.value)


@pytest.mark.parametrize("make", ONE_COLUMN + TWO_COLUMNS)
@pytest.mark.parametrize("seen", [0, 3, 4, 7])
def test_a_saved_state_goes_on_with_the_same_bits(make, seen):
    rng = np.random.default_rng(5)
    arrays = rng.normal(size=(2, 20)) if make in TWO_COLUMNS else rng.normal(size=(1, 20))
    live = make()
    live.batch(*(a[:seen] for a in arrays))
    for other in (copy.copy(live), pickle.loads(pickle.dumps(live))):
        assert bits(other.value) == bits(live.value)
        rest = copy.copy(live).batch(*(a[seen:] for a in arrays))
        assert bits(other.batch(*(a[seen:] for a in arrays))) == bits(rest)


@pytest.mark.parametrize("make", [*WINDOWED, *PAIRED])
def test_a_state_of_another_window_is_refused(make):
    with pytest.raises(ValueError, match="another window"):
        make(3).__setstate__(make(4).__reduce__()[2])


@pytest.mark.parametrize("window", [2, 7, 50])
def test_against_pandas_with_gaps(window):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 3000))
    x[rng.random(3000) < 0.01] = np.nan
    roll, other = pd.Series(x).rolling(window), pd.Series(y)
    close = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(RollingMean(window).batch(x), roll.mean(), **close)
    np.testing.assert_allclose(RollingVariance(window).batch(x), roll.var(), **close)
    np.testing.assert_allclose(RollingCovariance(window).batch(x, y), roll.cov(other), **close)
    np.testing.assert_array_equal(RollingMin(window).batch(x), roll.min())
    np.testing.assert_array_equal(RollingMax(window).batch(x), roll.max())
    np.testing.assert_allclose(
        EWMA(0.1).batch(x), pd.Series(x).ewm(alpha=0.1, adjust=False, ignore_na=True).mean()
    )


def test_against_statsmodels():
    rng = np.random.default_rng(3)
    x, noise = rng.normal(size=(2, 1000))
    y = 2.0 - 0.7 * x + noise
    fit = StatsmodelsOLS(y, sm.add_constant(x), window=60).fit()
    slope, intercept, r2, t = RollingOLS(60).batch(x, y)
    np.testing.assert_allclose(intercept, fit.params[:, 0], rtol=1e-10)
    np.testing.assert_allclose(slope, fit.params[:, 1], rtol=1e-10)
    np.testing.assert_allclose(r2, fit.rsquared, rtol=1e-9)
    np.testing.assert_allclose(t, fit.tvalues[:, 1], rtol=1e-10)


@pytest.mark.parametrize("transform", [np.asarray, np.log], ids=["prices", "log prices"])
def test_variance_of_prices_where_naive_sums_fail(transform):
    x, window = transform(btc_prices(3000)), 50
    want = np.array(oracle.variance(x, window))[window - 1 :]
    got = RollingVariance(window).batch(x)[window - 1 :]
    np.testing.assert_allclose(got, want, rtol=1e-12)
    s1, s2 = np.cumsum(x), np.cumsum(x * x)
    s1[window:], s2[window:] = s1[window:] - s1[:-window], s2[window:] - s2[:-window]
    naive = ((s2 - s1 * s1 / window) / (window - 1))[window - 1 :]
    assert np.max(np.abs(naive / want - 1)) > 0.1  # the case is as hard as it is said to be
    assert (naive < 0).any() or transform is not np.log


def test_no_drift_over_a_million_updates():
    n, window = 1_000_000, 300
    x = np.log(btc_prices(n))
    x[n // 2] = 1e9  # an outlier must leave nothing behind
    y = x + np.random.default_rng(4).normal(0, 1e-7, n)
    got = [
        RollingMean(window).batch(x),
        RollingVariance(window).batch(x),
        RollingCovariance(window).batch(x, y),
        *RollingOLS(window).batch(x, y),
    ]
    for end in (n // 2 + window + 1, n - 100, n):
        a, b = x[end - window : end], y[end - window : end]
        fit = oracle.ols(a, b, window)[-1]
        want = [oracle.mean(a, window)[-1], oracle.variance(a, window)[-1]]
        want += [oracle.covariance(a, b, window)[-1], *fit]
        np.testing.assert_allclose([g[end - 1] for g in got], want, rtol=1e-9)
        assert got[1][end - 1] == pytest.approx(want[1], rel=1e-12)


def test_constant_values_have_no_variance_at_all():
    x = np.full(20, 0.1 + 0.2)
    assert (RollingVariance(4).batch(x)[3:] == 0.0).all()
    assert (RollingMean(4).batch(x)[3:] == x[0]).all()
    assert np.isnan(RollingOLS(4).batch(x, np.arange(20.0))).all()
    slope, intercept, r2, t = RollingOLS(4).batch(np.arange(20.0), x)
    assert (slope[3:] == 0.0).all()
    assert (intercept[3:] == x[0]).all()
    assert np.isnan(r2).all()
    assert np.isnan(t).all()
    flat = RollingCovariance(4)
    flat.batch(x, np.arange(20.0))
    assert flat.value == 0.0
    assert math.isnan(flat.correlation)


def test_an_exact_fit():
    x = np.arange(9.0)
    slope, intercept, r2, t = RollingOLS(4).batch(x, 1.0 - 2.0 * x)
    np.testing.assert_array_equal(slope[3:], -2.0)
    np.testing.assert_array_equal(intercept[3:], 1.0)
    np.testing.assert_array_equal(r2[3:], 1.0)
    np.testing.assert_array_equal(t[3:], -np.inf)
    assert math.isnan(RollingOLS(2).batch(x, x)[3][-1])  # no degree of freedom is left
    line = RollingCovariance(4)
    line.batch(x, 1.0 - 2.0 * x)
    assert line.correlation == -1.0


def test_a_gap_hides_the_windows_that_hold_it_and_no_other():
    x = np.arange(12.0)
    x[5] = np.nan
    for make in (RollingMean, RollingVariance, RollingMin, RollingMax):
        got = make(3).batch(x)
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(got)), [0, 1, 5, 6, 7])
    assert EWMA(0.5).batch(np.array([np.nan, 2.0, np.inf, 4.0])).tolist()[1:] == [2.0, 2.0, 3.0]


def test_variance_gives_its_mean():
    roll = RollingVariance(3)
    roll.batch(np.array([9.0, 1.0, 2.0, 6.0]))
    assert (roll.mean, roll.value, roll.window, roll.ddof) == (3.0, 7.0, 3, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RollingMean(0), "window must be >= 1, was 0"),
        (lambda: RollingMin(0), "window must be >= 1, was 0"),
        (lambda: RollingMax(-3), "window must be >= 1, was -3"),
        (lambda: RollingVariance(1), "window must be >= 2, was 1"),
        (lambda: RollingVariance(3, -1), "ddof must be >= 0, was -1"),
        (lambda: RollingCovariance(1, 0), "window must be >= 2, was 1"),
        (lambda: RollingOLS(1), "window must be >= 2, was 1"),
        (lambda: EWMA(0.0), "alpha must be in"),
        (lambda: EWMA(1.5), "alpha must be in"),
        (lambda: EWMA(math.nan), "alpha must be in"),
    ],
)
def test_bad_windows_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("make", ONE_COLUMN + TWO_COLUMNS)
def test_read_only_empty_and_unfit_arrays(make):
    count = 2 if make in TWO_COLUMNS else 1
    x = np.arange(6.0)
    x.flags.writeable = False
    before = x.copy()
    assert np.asarray(make().batch(*[x] * count)).shape[-1] == 6
    np.testing.assert_array_equal(x, before)
    assert np.asarray(make().batch(*[x[:0]] * count)).shape[-1] == 0
    with pytest.raises(ValueError, match="Buffer dtype mismatch"):
        make().batch(*[np.arange(6)] * count)
    with pytest.raises(TypeError):
        make().batch(*[None] * count)


@pytest.mark.parametrize("make", TWO_COLUMNS)
def test_columns_of_different_length_are_refused(make):
    with pytest.raises(ValueError, match="x and y differ in length: 3 and 2"):
        make().batch(np.zeros(3), np.zeros(2))

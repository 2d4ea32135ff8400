"""What all classes over one column share, and RollingLag."""

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrcore.rolling_column import RollingLag
from mrcore.rolling_dfa import RollingDFA
from mrcore.rolling_moments import RollingMoments, RollingShape
from mrcore.rolling_order import RollingMedianMad, RollingQuantile, RollingRank
from mrcore.rolling_realized import RollingJump, RollingKernelVariance
from mrcore.rolling_walk import RollingADF, RollingAR, RollingVarianceRatio
from mrcore.rolling_wilder import SeededEMA, WilderRSI

from .test_rolling import bits, columns, split

WINDOWED = {
    "moments": lambda n: RollingMoments(n),
    "shape": lambda n: RollingShape(n),
    "quantile": lambda n: RollingQuantile(n, 0.3),
    "rank": lambda n: RollingRank(n),
    "median": lambda n: RollingMedianMad(n),
    "ar": lambda n: RollingAR(n - 1),
    "adf": lambda n: RollingADF(n, 2),
    "adf without lags": lambda n: RollingADF(n, 0),
    "variance ratio": lambda n: RollingVarianceRatio(n, 3),
    "dfa": lambda n: RollingDFA(n, (4, 5)),
    "kernel": lambda n: RollingKernelVariance(n, 4, sparse=3),
    "kernel of a bandwidth": lambda n: RollingKernelVariance(n, 4, 2),
    "jump": lambda n: RollingJump(n),
}
OTHERS = {
    "lag": lambda n: RollingLag(n),
    "ema": lambda n: SeededEMA(n, 0.2),
    "rsi": lambda n: WilderRSI(n),
}
LEVEL_FREE = [  # results (by row) that adding a constant to all values does not change
    ("moments", [1]),
    ("shape", [0, 1]),
    ("rank", [0]),
    ("median", [1]),
    ("ar", [0, 2, 3, 4, 5]),
    ("adf", [0]),
    ("adf without lags", [0]),
    ("variance ratio", [0, 1]),
    ("dfa", [0, 1]),
]
windowed = pytest.mark.parametrize("make", WINDOWED.values(), ids=WINDOWED)
every = pytest.mark.parametrize(
    "make", [*WINDOWED.values(), *OTHERS.values()], ids=[*WINDOWED, *OTHERS]
)


@every
@given(x=columns, data=st.data())
@settings(max_examples=40)
def test_any_split_gives_the_same_bits(make, x, data):
    x = np.array(x)
    whole = np.atleast_2d(make(10).batch(x))
    parts, single = make(10), make(10)
    chunks = [np.atleast_2d(parts.batch(part)) for (part,) in split(data, [x])]
    assert bits(np.concatenate(chunks, axis=1)) == bits(whole)
    assert bits([single.update(v) for v in x]) == bits(whole.T.copy())
    assert bits(parts.value) == bits(single.value)


@windowed
@given(x=columns)
@settings(max_examples=40)
def test_no_result_is_infinite(make, x):
    assert not np.isinf(make(10).batch(np.array(x))).any()


@every
@pytest.mark.parametrize("seen", [0, 5, 10, 11, 19, 20, 21, 33])
def test_a_saved_state_goes_on_with_the_same_bits(make, seen):
    x = np.random.default_rng(5).normal(size=60)
    live = make(10)
    live.batch(x[:seen])
    rest = copy.copy(live).batch(x[seen:])
    for other in (copy.copy(live), pickle.loads(pickle.dumps(live))):
        assert other.window == live.window
        assert bits(other.value) == bits(live.value)
        assert bits(other.batch(x[seen:])) == bits(rest)
    assert bits(live.batch(x[seen:])) == bits(rest)  # a copy shares nothing


@every
def test_a_state_of_another_window_is_refused(make):
    live = make(12)
    live.batch(np.arange(30.0))
    before = bits(live.value)
    for state in (make(11).__reduce__()[2], (*live.__reduce__()[2][:-1], b"")):
        with pytest.raises(ValueError, match="another window"):
            live.__setstate__(state)
        assert bits(live.value) == before


def test_a_state_of_another_version_is_refused():
    live = RollingLag(3)
    with pytest.raises(ValueError, match=r"saved by mrtrade 0\.0\.0"):
        live.__setstate__(("0.0.0", *live.__reduce__()[2][1:]))


@every
def test_read_only_empty_and_unfit_arrays(make):
    x = np.arange(30.0)
    x.flags.writeable = False
    assert make(10).batch(x).shape[-1] == 30
    np.testing.assert_array_equal(x, np.arange(30.0))
    assert make(10).batch(x[:0]).shape[-1] == 0
    with pytest.raises(ValueError, match="Buffer dtype mismatch"):
        make(10).batch(np.arange(30))
    with pytest.raises(ValueError, match="not C-contiguous"):
        make(10).batch(x[::2])
    with pytest.raises(TypeError):
        make(10).batch(None)


@every
def test_a_result_for_each_value_in_a_row_of_its_own(make):
    one = make(10)
    x = np.random.default_rng(2).normal(size=40)
    got = one.batch(x)
    assert got.dtype == np.float64
    if isinstance(one.value, tuple):
        assert got.shape == (len(one.value), 40)
        assert bits(one.value) == bits(got[:, -1])
    else:
        assert got.shape == (40,)
        assert bits(one.value) == bits(got[-1])


@windowed
@pytest.mark.parametrize("gap", [math.nan, math.inf, -math.inf])
def test_a_gap_hides_the_windows_that_hold_it_and_no_other(make, gap):
    x = np.random.default_rng(6).normal(size=80)
    for at in (0, 3, 14, 20, 41):
        x[at] = gap
        got = np.atleast_2d(make(11).batch(x))
        hidden = [not np.isfinite(x[max(0, i - 10) : i + 1]).all() or i < 10 for i in range(80)]
        for row in got:
            np.testing.assert_array_equal(np.isnan(row), hidden)
        x[at] = 0.5


@windowed
def test_an_outlier_leaves_nothing_behind(make):
    x = np.random.default_rng(7).normal(size=500)
    x[100] = 1e12
    got, want = make(12), make(12)
    got.batch(x)
    want.batch(x[-12:])  # this window alone
    np.testing.assert_allclose(got.value, want.value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "rows"), LEVEL_FREE, ids=[name for name, _ in LEVEL_FREE])
def test_a_far_level_costs_no_digits(name, rows):
    rng = np.random.default_rng(8)
    # multiples of 2^-20, so that the sum with 2^30 is exact
    x = np.round(np.cumsum(rng.normal(size=400)) * 2**-10 * 2**20) * 2**-20
    near = np.atleast_2d(WINDOWED[name](40).batch(x))
    far = np.atleast_2d(WINDOWED[name](40).batch(x + 2.0**30))
    assert np.isfinite(near[rows, 39:]).all()
    np.testing.assert_allclose(far[rows], near[rows], rtol=1e-9, atol=1e-12)


@given(columns, st.integers(1, 70))
def test_lag_hands_on_what_was_there(x, lag):
    want = np.concatenate([np.full(lag, np.nan), x])[: len(x)]
    assert bits(RollingLag(lag).batch(np.array(x))) == bits(want)


def test_a_bad_lag_is_refused():
    with pytest.raises(ValueError, match="lag must be >= 1, was 0"):
        RollingLag(0)

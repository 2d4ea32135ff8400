import copy
import math
import pickle

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from mrcore.rolling_wilder import SeededEMA, WilderADX, WilderRSI

from ..oracle import rolling_columns as oracle
from .test_rolling import bits, columns, split

numbers = st.sampled_from([1.0, 2.0, 2.5, 3.0, 7.0, 60_000.0])
gaps = st.sampled_from([math.nan, math.inf, -math.inf])
prices = st.lists(st.one_of(*[numbers] * 8, gaps), max_size=60)
bars = st.lists(st.tuples(*[st.one_of(*[numbers] * 20, gaps)] * 3), max_size=60)


def candles(n, seed=1, step=0.05):
    """High, low and close in cents, often tied."""
    rng = np.random.default_rng(seed)
    close = np.round(100 + np.cumsum(rng.normal(0, step, n)), 2)
    high = close + np.round(rng.exponential(step, n), 2)
    low = close - np.round(rng.exponential(step, n), 2)
    return high, low, close


# EMA --------------------------------------------------------------------------------


@given(columns, st.integers(1, 12), st.sampled_from([0.05, 0.5, 1.0]))
def test_ema_equals_the_oracle(x, window, alpha):
    scale = max((abs(v) for v in x if math.isfinite(v)), default=0.0)
    np.testing.assert_allclose(
        SeededEMA(window, alpha).batch(np.array(x)),
        oracle.seeded_ema(x, window, alpha),
        rtol=1e-13,
        atol=1e-14 * scale,
    )


@pytest.mark.parametrize("window", [2, 14, 50])
def test_ema_is_that_of_talib(window):
    close = candles(500)[2]
    got = SeededEMA(window, 2 / (window + 1)).batch(close)
    np.testing.assert_allclose(got, talib.EMA(close, window), rtol=1e-13)


def test_ema_is_not_moved_by_a_gap():
    x = np.array([np.nan, 1.0, 3.0, np.nan, np.inf, 4.0])
    assert SeededEMA(2, 0.5).batch(x).tolist()[2:] == [2.0, 2.0, 2.0, 3.0]
    assert SeededEMA(2, 0.25).alpha == 0.25


# RSI --------------------------------------------------------------------------------


@given(prices, st.integers(2, 8))
def test_rsi_equals_the_oracle(x, window):
    got = WilderRSI(window).batch(np.array(x))
    np.testing.assert_allclose(got, oracle.rsi(x, window), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("window", [2, 14, 50])
def test_rsi_is_that_of_talib(window):
    close = candles(500)[2]
    np.testing.assert_allclose(
        WilderRSI(window).batch(close), talib.RSI(close, window), rtol=1e-12, atol=1e-12
    )


def test_rsi_of_a_price_that_rests_or_only_rises():
    assert np.isnan(WilderRSI(3).batch(np.full(9, 5.0))).all()
    assert WilderRSI(3).batch(np.arange(9.0))[3:].tolist() == [100.0] * 6
    assert WilderRSI(3).batch(-np.arange(9.0))[3:].tolist() == [0.0] * 6


def test_rsi_goes_on_behind_a_gap_from_what_it_was():
    x = np.array([1.0, 2.0, 1.0, np.nan, 9.0, 10.0])
    rsi = WilderRSI(2).batch(x)  # G = L = 1/2, then G = (1/2 + 1) / 2 and L = 1/4
    np.testing.assert_array_equal(rsi, [np.nan, np.nan, 50.0, np.nan, np.nan, 75.0])


# ADX --------------------------------------------------------------------------------


@given(bars, st.integers(2, 6))
def test_adx_equals_the_oracle(rows, window):
    high, low, close = (np.array([(max(b), min(b), b[2]) for b in rows]).reshape(-1, 3)).T.copy()
    want = oracle.adx(zip(high, low, close, strict=True), window)
    got = WilderADX(window).batch(high, low, close)
    np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("window", [2, 14, 50])
@pytest.mark.parametrize("seed", [1, 2])
def test_adx_is_that_of_talib(window, seed):
    bar = candles(600, seed)
    got = WilderADX(window).batch(*bar)
    for row, of in zip(got, (talib.PLUS_DI, talib.MINUS_DI, talib.ADX), strict=True):
        np.testing.assert_allclose(row, of(*bar, timeperiod=window), rtol=1e-11, atol=1e-11)


def test_adx_of_bars_without_range_or_direction():
    flat = np.full(20, 5.0)
    plus, minus, adx = WilderADX(3).batch(flat, flat, flat)
    assert np.isnan(plus).all()
    assert np.isnan(minus).all()
    assert (adx[5:] == 0.0).all()
    # as high a rise as a fall: a tie is no direction
    wide = np.arange(20.0)
    plus, minus, adx = WilderADX(3).batch(5 + wide, 5 - wide, flat)
    assert (plus[3:] == 0.0).all()
    assert (minus[3:] == 0.0).all()
    assert (adx[5:] == 0.0).all()
    plus, minus, adx = WilderADX(3).batch(1 + wide, wide, 1 + wide)
    assert (plus[3:] > 50.0).all()
    assert (minus[3:] == 0.0).all()
    assert (adx[5:] == 100.0).all()


@given(rows=bars, data=st.data())
def test_any_split_of_bars_gives_the_same_bits(rows, data):
    columns = np.array(rows).reshape(-1, 3).T.copy()
    whole = WilderADX(3).batch(*columns)
    parts, single = WilderADX(3), WilderADX(3)
    chunks = [parts.batch(*part) for part in split(data, list(columns))]
    assert bits(np.concatenate(chunks, axis=1)) == bits(whole)
    assert bits([single.update(*row) for row in rows]) == bits(whole.T.copy())
    assert bits(parts.value) == bits(single.value)
    assert not np.isinf(whole).any()


@pytest.mark.parametrize("seen", [0, 1, 5, 10, 30])
def test_a_saved_adx_goes_on_with_the_same_bits(seen):
    bar = candles(60)
    live = WilderADX(5)
    live.batch(*(a[:seen] for a in bar))
    rest = copy.copy(live).batch(*(a[seen:] for a in bar))
    for other in (copy.copy(live), pickle.loads(pickle.dumps(live))):
        assert other.window == 5
        assert bits(other.value) == bits(live.value)
        assert bits(other.batch(*(a[seen:] for a in bar))) == bits(rest)
    with pytest.raises(ValueError, match="another window"):
        WilderADX(6).__setstate__(live.__reduce__()[2])
    with pytest.raises(ValueError, match="another window"):
        live.__setstate__((b"", (0.0, 0.0, 0.0)))


def test_read_only_empty_and_unfit_bars():
    x = np.arange(9.0)
    x.flags.writeable = False
    assert WilderADX(2).batch(x, x, x).shape == (3, 9)
    assert WilderADX(2).batch(x[:0], x[:0], x[:0]).shape == (3, 0)
    with pytest.raises(ValueError, match="high, low and close differ in length: 9, 8 and 9"):
        WilderADX(2).batch(x, x[1:], x)
    with pytest.raises(ValueError, match="high, low and close differ in length: 9, 9 and 8"):
        WilderADX(2).batch(x, x, x[1:])
    with pytest.raises(TypeError):
        WilderADX(2).batch(x, None, x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SeededEMA(0, 0.5), "window must be >= 1, was 0"),
        (lambda: SeededEMA(3, 0.0), "alpha must be in"),
        (lambda: SeededEMA(3, math.nan), "alpha must be in"),
        (lambda: WilderRSI(1), "window must be >= 2, was 1"),
        (lambda: WilderADX(1), "window must be >= 2, was 1"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()

"""EDGE against the authors' package, in pieces, and where there is nothing to say."""

import copy
import pickle
import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrcore.rolling_edge import RollingEDGE

from .test_rolling import bits


def candles(rows, seed=0, tick=0.01):
    """Open, high, low and close of a walk that is traded at both sides of a spread."""
    rng = np.random.default_rng(seed)
    price = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-3, (rows, 20)).ravel()).reshape(rows, 20))
    traded = np.round((price * (1.0 + 5e-4 * rng.choice([-1, 1], (rows, 20)))) / tick) * tick
    return [
        np.ascontiguousarray(column)
        for column in (traded[:, 0], traded.max(axis=1), traded.min(axis=1), traded[:, -1])
    ]


# At the coarse tick many bars hardly move; three of them leave variances that are rounding alone.
@pytest.mark.parametrize(("tick", "window"), [(0.01, 3), (0.01, 21), (0.5, 21), (0.5, 60)])
def test_it_is_that_of_its_authors(window, tick):
    bidask = pytest.importorskip("bidask")
    columns = candles(300, tick=tick)
    frame = pd.DataFrame(dict(zip(("open", "high", "low", "close"), columns, strict=True)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = np.abs(bidask.edge_rolling(frame, window)).to_numpy()
    got = RollingEDGE(window).batch(*columns)
    there = np.isfinite(want) & np.isfinite(got)
    assert there.mean() > 0.3
    np.testing.assert_allclose(got[there], want[there], rtol=1e-6, atol=1e-9)
    assert np.isnan(got[: window - 1]).all()


@given(cut=st.lists(st.integers(0, 120), max_size=4), gap=st.integers(0, 119))
def test_any_split_and_a_saved_state_give_the_same_bits(cut, gap):
    columns = candles(120, seed=3)
    columns[1][gap] = np.nan
    whole = RollingEDGE(20).batch(*columns)
    edges = sorted({0, *cut, 120})
    kernel, parts = RollingEDGE(20), []
    for first, last in pairwise(edges):
        parts.append(kernel.batch(*(column[first:last].copy() for column in columns)))
        kernel = pickle.loads(pickle.dumps(copy.copy(kernel)))
    assert bits(np.concatenate(parts)) == bits(whole)
    one = RollingEDGE(20)
    assert bits([one.update(*row) for row in zip(*columns, strict=True)]) == bits(whole)
    assert bits([one.value]) == bits(whole[-1:])


def test_where_there_is_nothing_to_say():
    flat = [np.full(30, 100.0)] * 4
    assert np.isnan(RollingEDGE(10).batch(*flat)).all()
    columns = candles(30)
    for bad in (0.0, -1.0, np.inf, np.nan):
        spoilt = [column.copy() for column in columns]
        spoilt[2][15] = bad
        got = RollingEDGE(5).batch(*spoilt)
        assert np.isnan(got[15:20]).all()
        assert np.isfinite(got[20:]).all()
        assert bits(got[:15]) == bits(RollingEDGE(5).batch(*columns)[:15])


def test_wrong_arguments():
    with pytest.raises(ValueError, match="window must be >= 3, was 2"):
        RollingEDGE(2)
    columns = candles(10)
    with pytest.raises(ValueError, match="differ in length: 10, 10, 9 and 10"):
        RollingEDGE(3).batch(columns[0], columns[1], columns[2][:-1], columns[3])
    assert len(RollingEDGE(3).batch(*[np.empty(0)] * 4)) == 0
    for column in columns:
        column.flags.writeable = False
    assert RollingEDGE(3).window == 3
    assert np.isfinite(RollingEDGE(3).batch(*columns)[2:]).any()
    state = RollingEDGE(4).__reduce__()[2]
    with pytest.raises(ValueError, match="of another window"):
        RollingEDGE(5).__setstate__(state)
    with pytest.raises(ValueError, match="damaged"):
        RollingEDGE(4).__setstate__((*state[:3], state[3][:-1]))

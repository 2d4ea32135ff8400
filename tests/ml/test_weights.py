"""Weights of overlapping labels against the book's own example and brute force."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtrade.errors import ConfigError, DataError
from mrtrade.ml.weights import average_uniqueness, concurrency, return_weights, time_decay

#: Lopez de Prado (2018), section 4.5.3: labels of bars 0-2, 2-3 and 4-5, both ends counted.
BOOK = np.array([0, 2, 4]), np.array([3, 4, 6])


def spans(longest: int = 12):
    """Spans within a few nanoseconds, in no order."""
    one = st.tuples(st.integers(0, 30), st.integers(1, longest))
    return st.lists(one, min_size=1, max_size=25).map(
        lambda pairs: (
            np.array([start for start, _ in pairs]),
            np.array([start + length for start, length in pairs]),
        )
    )


def active(start, end, moments: int) -> np.ndarray:
    """Whether each label's span holds each nanosecond."""
    at = np.arange(moments)
    return (start[:, None] <= at) & (at < end[:, None])


def test_the_example_of_the_book():
    np.testing.assert_array_equal(concurrency(*BOOK, np.arange(7)), [1, 1, 2, 1, 1, 1, 0])
    np.testing.assert_allclose(average_uniqueness(*BOOK), [5 / 6, 3 / 4, 1.0], rtol=1e-15)


def test_labels_that_touch_do_not_overlap():
    np.testing.assert_array_equal(average_uniqueness([0, 5], [5, 9]), [1.0, 1.0])
    np.testing.assert_array_equal(average_uniqueness([0, 5, 0], [5, 9, 5]), [0.5, 1.0, 0.5])


@given(spans())
def test_uniqueness_is_that_of_brute_force(case):
    start, end = case
    inside = active(start, end, 50)
    count = inside.sum(axis=0)
    np.testing.assert_array_equal(concurrency(start, end, np.arange(50)), count)
    np.testing.assert_array_equal(concurrency(start, end), count[start])
    slow = [np.mean(1.0 / count[row]) for row in inside]
    np.testing.assert_allclose(average_uniqueness(start, end), slow, rtol=1e-12)


@given(spans(), st.integers(1, 10**12), st.integers(0, 2 * 10**18))
def test_uniqueness_knows_no_unit_and_no_origin(case, unit, origin):
    start, end = case
    np.testing.assert_allclose(
        average_uniqueness(origin + start * unit, origin + end * unit),
        average_uniqueness(start, end),
        rtol=1e-9,
    )


def test_uniqueness_keeps_its_digits_over_two_years():
    start = np.arange(210_000) * 300_000_000_000 + 1_672_531_200_000_000_000
    found = average_uniqueness(start, start + 12 * 300_000_000_000)
    np.testing.assert_allclose(found[11:-11], 1 / 12, rtol=1e-10)
    alone = average_uniqueness(start, start + 300_000_000_000)
    np.testing.assert_allclose(alone, 1.0, rtol=1e-10)
    assert alone.max() == 1.0  # a sum of many is not exact, and it says (0, 1]


@given(spans(), st.integers(0, 2**32))
def test_return_weights_are_those_of_the_snippet(case, seed):
    start, end = case
    log = np.cumsum(np.random.default_rng(seed).normal(size=50))
    price = pd.Series(np.exp(log), index=pd.to_datetime(np.arange(50), utc=True))
    count = concurrency(start, end, np.arange(50))
    # snippet 4.10: the return into a bar over the labels that hold its beginning
    slow = np.array(
        [
            abs(sum((log[t + 1] - log[t]) / count[t] for t in range(a, b)))
            for a, b in zip(start, end, strict=True)
        ]
    )
    found = return_weights(start, end, price)
    np.testing.assert_allclose(found, slow * len(slow) / slow.sum(), rtol=1e-9)


def test_a_missing_price_makes_the_weights_of_its_labels_missing():
    price = pd.Series([1.0, 2.0, 3.0, np.nan, 5.0, 6.0, 7.0], index=pd.to_datetime(range(7)))
    found = return_weights([0, 2, 4], [2, 3, 6], price)
    assert np.isnan(found).tolist() == [False, True, False]
    assert found[[0, 2]].mean() == pytest.approx(1.0)
    assert np.isnan(return_weights([2], [4], price)).all()


def test_time_decay_by_hand():
    unique = [1.0, 0.5, 0.5, 1.0, 1.0]
    age = np.cumsum(unique)
    np.testing.assert_array_equal(time_decay(unique, 1.0), np.ones(5))
    np.testing.assert_allclose(time_decay(unique, 0.0), age / 4)
    np.testing.assert_allclose(time_decay(unique, 0.5), 0.5 + age / 8)
    # of four labels' worth the oldest quarter weighs nothing
    np.testing.assert_allclose(time_decay(unique, -0.25), np.maximum((age - 1) / 3, 0), atol=1e-15)
    assert len(time_decay([], 0.5)) == 0
    for oldest in (-1.0, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="oldest"):
            time_decay(unique, oldest)


def test_spans_that_are_none_are_said():
    with pytest.raises(ConfigError, match="as many starts as ends"):
        average_uniqueness([0, 1], [2])
    with pytest.raises(DataError, match="row 1: a label ends before it has begun"):
        average_uniqueness([0, 5], [2, 5])
    assert len(average_uniqueness([], [])) == 0

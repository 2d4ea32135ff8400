import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrcore.flow import KyleLambda
from mrcore.impact import KyleBars

SECOND, LOT = 10**9, 0.001
TRADE = st.tuples(
    # within a bar, at its very border, over empty bars
    st.sampled_from([0, 1, SECOND // 3, SECOND, 5 * SECOND]),
    st.sampled_from([1, -1, 0]),
    st.integers(0, 10**6),
    st.sampled_from([60_000.0, 60_000.5, 60_001.5, math.nan]),
)
TRADES = st.lists(TRADE, max_size=100)


def columns(trades):
    wait, side, lots, mid = zip(*trades, strict=True) if trades else ((), (), (), ())
    time = 1_700_000_000 * SECOND + np.cumsum(wait, dtype=np.int64)
    return time, np.array(side, np.int8), np.array(lots, np.int64), np.array(mid, float)


def bars(trades):
    """End, mid change and volume of each complete bar, the slow way."""
    held = {}
    for time, side, lots, mid in zip(*(c.tolist() for c in columns(trades)), strict=True):
        held.setdefault(time // SECOND, []).append((side * lots, mid))
    out, before = [], math.nan
    for second, rows in list(held.items())[:-1]:
        mid = rows[-1][1]
        out.append(((second + 1) * SECOND, mid - before, sum(v for v, _ in rows) * LOT))
        before = mid
    return out


def same(a, b):
    for x, y in zip(a, b, strict=True):
        assert x.tobytes() == y.tobytes()


@given(TRADES, st.integers(3, 5))
def test_equals_bars_made_apart(trades, window):
    plain, expected = KyleLambda(window), []
    for end, change, volume in bars(trades):
        expected.append((end, plain.update(change, volume)))
    kyle = KyleBars(SECOND, window, LOT)
    end, value = kyle.batch(*columns(trades))
    np.testing.assert_array_equal(end, [e for e, _ in expected])
    np.testing.assert_array_equal(value, [v for _, v in expected])
    np.testing.assert_array_equal([kyle.value, kyle.tstat], [plain.value, plain.tstat])


@given(TRADES, st.integers(0, 100))
def test_any_split_gives_the_same_bits(trades, cut):
    whole, parts, steps = (KyleBars(SECOND, 3, LOT) for _ in range(3))
    out = whole.batch(*columns(trades))
    first = parts.batch(*(c[:cut] for c in columns(trades)))
    for again in (parts, pickle.loads(pickle.dumps(parts)), copy.copy(parts)):
        second = copy.copy(again).batch(*(c[cut:] for c in columns(trades)))
        same(out, [np.concatenate(pair) for pair in zip(first, second, strict=True)])
    values = [steps.update(*row) for row in zip(*columns(trades), strict=True)]
    if values:
        np.testing.assert_array_equal(values[-1], whole.value)
    np.testing.assert_array_equal(steps.tstat, whole.tstat)


def test_more_bars_than_are_first_given_room():
    rng = np.random.default_rng(1)
    n = 5_000
    time = np.arange(n, dtype=np.int64) * SECOND
    lots, mid = rng.integers(1, 1000, n), 100.0 + rng.integers(0, 50, n)
    side = rng.choice(np.array([1, -1], np.int8), n)
    end, value = KyleBars(SECOND, 300, LOT).batch(time, side, lots, mid)
    expected = KyleLambda(300).batch(np.diff(mid, prepend=math.nan), side * lots * LOT)
    np.testing.assert_array_equal(end, time[1:])
    np.testing.assert_array_equal(value, expected[:-1])


def test_a_planted_impact_is_found():
    rng = np.random.default_rng(2)
    time = np.sort(rng.integers(0, 1000 * SECOND, 50_000))
    side = rng.choice(np.array([1, -1], np.int8), len(time))
    lots = rng.integers(1, 2000, len(time))
    mid = 60_000.0 + 0.25 * np.cumsum(side * lots) * LOT
    _, value = KyleBars(SECOND, 300, LOT).batch(time, side, lots, mid)
    np.testing.assert_allclose(value[400:], 0.25)


def test_bad_trades_are_refused_by_row():
    time, side, lots, mid = columns([(1, 1, 5, 100.0)] * 3)
    late = np.array([time[0], time[1], time[0]])
    for bad in (
        (late, side, lots),
        (time, side * np.array([1, 1, 2], np.int8), lots),
        (time, side * np.array([1, 1, -2], np.int8), lots),
        (time, side, lots * [1, 1, -1]),
        (time * [1, 1, -1], side, lots),
    ):
        kyle = KyleBars(SECOND, 3, LOT)
        with pytest.raises(ValueError, match="at row 2"):
            kyle.batch(*bad, mid)
        with pytest.raises(ValueError, match="must be >= 0 and not fall"):
            kyle.update(*(int(c[2]) for c in bad), 100.0)
        kyle.update(time[2], 1, 5, 100.0)  # the trades before it have been taken
    with pytest.raises(ValueError, match="not fall"):
        KyleBars(SECOND, 3, LOT).update(2**62, 1, 5, 100.0)
    with pytest.raises(ValueError, match="differ in length"):
        KyleBars(SECOND, 3, LOT).batch(time, side, lots, mid[:1])
    for args, message in (
        ((0, 3, LOT), "interval_ns must be >= 1"),
        ((2**62, 3, LOT), "interval_ns must be <="),
        ((SECOND, 2, LOT), "window must be >= 3"),
        ((SECOND, 3, 0.0), "lot_size must be > 0"),
    ):
        with pytest.raises(ValueError, match=message):
            KyleBars(*args)


def test_read_only_and_empty_columns_are_taken():
    trades = columns([(1, 1, 5, 100.0)])
    for c in trades:
        c.flags.writeable = False
    kyle = KyleBars(SECOND, 3, LOT)
    assert [c.shape for c in kyle.batch(*trades)] == [(0,), (0,)]
    assert [c.shape for c in kyle.batch(*(c[:0] for c in trades))] == [(0,), (0,)]
    assert (kyle.interval_ns, kyle.window, kyle.lot_size) == (SECOND, 3, LOT)

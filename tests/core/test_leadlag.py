"""Lead and lag against every pair of increments, by hand, and where the truth is known."""

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrcore.leadlag import LeadLag

from ..oracle import leadlag as oracle

S = 1_000_000_000
GRID = np.arange(-10, 11) * S // 2  # -5 s to 5 s by half seconds
LAGS = [-7, -3, -1, 0, 1, 2, 5]

# Times that meet often, prices that repeat, and some that are none.
steps = st.integers(0, 4)
prices = st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.5, -2.0, math.nan, math.inf, 1e4])
events = st.lists(st.tuples(steps, prices), max_size=30)
queries = st.lists(st.integers(0, 9), max_size=8)


def columns(rows):
    """Times and log prices of drawn events."""
    time = np.cumsum([step for step, _ in rows], dtype=np.int64) if rows else np.empty(0, np.int64)
    return time, np.array([price for _, price in rows], np.float64)


def ascending(drawn):
    return np.cumsum(np.array(drawn, np.int64))


def bits(results):
    return np.ascontiguousarray(results).tobytes()


def walk(at, steps_s, rho, lag_s, seed, seconds):
    """Two correlated Brownian paths, read at Poisson times; X moves first, by `lag_s`.

    X is B(t + lag), Y is rho B(t) + sqrt(1 - rho^2) W(t), on a grid of `at` s.
    """
    rng = np.random.default_rng(seed)
    n = round((seconds + lag_s) / at)
    b, w = np.cumsum(rng.normal(0.0, 1e-4, (2, n)), axis=1)
    y = rho * b + math.sqrt(1.0 - rho * rho) * w
    out = []
    for path, ahead, mean in ((b, lag_s, steps_s[0]), (y, 0.0, steps_s[1])):
        time = np.cumsum(rng.exponential(mean, int(2 * seconds / mean)))
        time = time[time < seconds - at]
        out += [np.round(time * S).astype(np.int64), path[((time + ahead) / at).astype(np.int64)]]
    return out


def test_by_hand():
    # X moves at 10 (+1) and 20 (+2), Y at 15 (+3) and 25 (+4); the first points are at 0.
    x = (np.array([0, 10, 20]), np.array([0.0, 1.0, 3.0]))
    y = (np.array([0, 15, 25]), np.array([0.0, 3.0, 7.0]))
    # (0,10] meets (0,15]: 1*3; (10,20] meets both: 2*3 + 2*4. At lag 5 X ends at 15 and 25:
    # (5,15] meets (0,15] alone, (15,25] meets (15,25] alone: 3 + 8. At -5: (-5,5] meets (0,15],
    # (5,15] the same, and does not reach (15,25]: 3 + 6.
    scale = math.sqrt(5.0 * 25.0)
    f = LeadLag(100, [-5, 0, 5], 2)
    got = np.array(f.batch(*x, *y, np.array([24, 25]))).T
    assert np.isnan(got[0]).all()  # one increment of Y
    np.testing.assert_allclose(got[1], [17.0, 17.0 / scale, 0.0, 17.0 / scale, 121.0 / 81.0])
    # At 115 both increments that ended at 15 and before have left, but not what later ones made
    # of them: X (10,20] with both of Y. No value: one increment is left of each.
    assert np.isnan(f.value(115)).all()
    f = LeadLag(100, [-5, 0, 5], 1)
    f.batch(*x, *y, np.array([25]))
    np.testing.assert_allclose(f.value(115)[:2], [14.0, 14.0 / (2.0 * 4.0)])


def test_intervals_that_touch_do_not_overlap():
    # X moves in (0, 1], Y in (1, 2]: only a lag above 0 brings them together
    x = (np.array([0, 1]), np.array([0.0, 1.0]))
    y = (np.array([1, 2]), np.array([0.0, 1.0]))
    f = LeadLag(10, [-1, 0, 1], 1)
    cov, corr, lead, rho, ratio = f.batch(*x, *y, np.array([2]))
    assert (cov[0], corr[0], lead[0], rho[0]) == (0.0, 0.0, 1e-9, 1.0)
    assert np.isnan(ratio[0])  # divided by 0, not infinite


def test_of_equal_lags_the_nearest_to_zero_is_the_lead():
    # long intervals: every lag brings all together
    x = (np.array([0, 100]), np.array([0.0, 1.0]))
    y = (np.array([0, 100]), np.array([0.0, -1.0]))
    f = LeadLag(1000, [-20, -10, 0, 10, 20], 1)
    assert f.batch(*x, *y, np.array([100]))[2:] == (0.0, -1.0, 1.0)


def test_the_last_price_of_a_time_counts_and_none_that_changes_nothing():
    x = (np.array([0, 5, 5, 6, 7]), np.array([0.0, 9.0, 1.0, 1.0, math.nan]))
    y = (np.array([0, 5]), np.array([0.0, 2.0]))
    f = LeadLag(100, [0], 1)
    assert f.batch(*x, *y, np.array([8]))[0] == 2.0


def test_an_increment_longer_than_the_window_is_left_out():
    x = (np.array([0, 50, 160, 170]), np.array([0.0, 1.0, 101.0, 102.0]))
    y = (np.array([100, 165]), np.array([0.0, 1.0]))
    # (50,160] is longer than 100; (160,170] is known at 170 and meets (100,165]
    np.testing.assert_array_equal(
        LeadLag(100, [0], 1).batch(*x, *y, np.array([169, 170]))[0], [math.nan, 1.0]
    )


def test_what_the_longest_lag_can_ask_for_is_still_known():
    # Y moves in (50, 200], a whole window; X in (-10, 10], at lag 50 in (40, 60], and in (10, 100]
    x = (np.array([-10, 10, 100]), np.array([0.0, 1.0, 2.0]))
    y = (np.array([50, 200]), np.array([0.0, 1.0]))
    cov, _, lead, rho, _ = LeadLag(150, [0, 50], 1).batch(*x, *y, np.array([200]))
    assert (cov[0], lead[0], rho[0]) == (1.0, 5e-8, 2.0)


@given(events, events, queries, st.sampled_from([3, 8, 40]), st.integers(1, 3))
@settings(max_examples=300)
def test_every_pair(x, y, at, window, least):
    x, y, at = columns(x), columns(y), ascending(at)
    got = LeadLag(window, LAGS, least).batch(*x, *y, at)
    want = oracle.batch(*x, *y, at.tolist(), window, LAGS, least)
    for ours, theirs in zip(got, want, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_every_pair_of_walks_in_a_window_that_moves():
    x_time, x, y_time, y = walk(0.01, (0.3, 0.5), 0.6, 1.0, 5, 60)
    at = np.arange(1, 13) * 5 * S
    got = LeadLag(15 * S, GRID).batch(x_time, x, y_time, y, at)
    columns = (x_time.tolist(), x.tolist(), y_time.tolist(), y.tolist(), at.tolist())
    want = oracle.batch(*columns, 15 * S, GRID.tolist())
    for ours, theirs in zip(got, want, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_nothing_drifts_after_a_thousand_windows():
    # a jump of a million times the rest, long ago, leaves no trace
    rng = np.random.default_rng(1)
    time = np.arange(40_000) * S
    x, y = np.cumsum(rng.normal(0.0, 1e-4, (2, 40_000)), axis=1)
    at = np.array([time[-1]])
    lone = LeadLag(30 * S, [-S, 0, S]).batch(time[-100:], x[-100:], time[-100:], y[-100:], at)
    x[:1000] += 100.0
    y[:1000] -= 100.0
    got = LeadLag(30 * S, [-S, 0, S]).batch(time, x, time, y, at)
    for ours, theirs in zip(got, lone, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13)


@given(events, events, queries, st.data())
def test_any_split_gives_the_same_bits(x, y, at, data):
    (x_time, x), (y_time, y), at = columns(x), columns(y), ascending(at)
    whole = LeadLag(8, LAGS, 1).batch(x_time, x, y_time, y, at)
    cuts = sorted(data.draw(st.lists(st.integers(-1, 120), max_size=4)))
    parts, rows = LeadLag(8, LAGS, 1), []
    for low, high in zip([-2, *cuts], [*cuts, 10_000], strict=True):
        i, j, k = (slice(*np.searchsorted(t, [low, high], "right")) for t in (x_time, y_time, at))
        rows.append(np.array(parts.batch(x_time[i], x[i], y_time[j], y[j], at[k])))
        if data.draw(st.booleans()):
            parts = pickle.loads(pickle.dumps(parts))
    assert bits(np.concatenate(rows, axis=1)) == bits(whole)


@given(events, events, queries)
def test_one_by_one_gives_the_same_bits(x, y, at):
    (x_time, x), (y_time, y), at = columns(x), columns(y), ascending(at)
    whole = LeadLag(8, LAGS, 1).batch(x_time, x, y_time, y, at)
    single, rows = LeadLag(8, LAGS, 1), []
    order = sorted(
        [(t, 0, p) for t, p in zip(x_time.tolist(), x.tolist(), strict=True)]
        + [(t, 1, p) for t, p in zip(y_time.tolist(), y.tolist(), strict=True)]
        + [(t, 2, math.nan) for t in at.tolist()],
        key=lambda event: event[:2],
    )
    for t, kind, price in order:
        if kind == 2:
            rows.append(single.value(t))
        else:
            (single.update_x, single.update_y)[kind](t, price)
    assert bits(np.array(rows).reshape(-1, 5).T) == bits(whole)


def test_pickled_and_copied_midway_it_goes_on():
    x_time, x, y_time, y = walk(0.01, (0.05, 0.05), 0.6, 1.0, 5, 200)
    at = np.arange(1, 201) * S
    whole = LeadLag(20 * S, GRID).batch(x_time, x, y_time, y, at)
    i, j = np.searchsorted(x_time, at[99], "right"), np.searchsorted(y_time, at[99], "right")
    first = LeadLag(20 * S, GRID)
    head = first.batch(x_time[:i], x[:i], y_time[:j], y[:j], at[:100])
    for second in (pickle.loads(pickle.dumps(first)), copy.copy(first)):
        tail = second.batch(x_time[i:], x[i:], y_time[j:], y[j:], at[100:])
        assert bits(np.concatenate([head, tail], axis=1)) == bits(whole)


def test_a_lead_of_two_seconds_is_found_within_a_step_of_the_grid():
    # denser than the grid: with changes further apart than its steps the lead is their spacing's
    x_time, x, y_time, y = walk(0.01, (0.1, 0.15), 0.8, 2.0, 3, 1800)
    at = np.array([600, 1200, 1800]) * S
    _, _, lead, rho, ratio = LeadLag(600 * S, GRID).batch(x_time, x, y_time, y, at)
    assert (np.abs(lead - 2.0) <= 0.5).all()
    assert (rho > 0.6).all()
    assert (ratio > 5.0).all()
    # and the other way round Y leads
    _, _, lead, _, ratio = LeadLag(600 * S, GRID).batch(y_time, y, x_time, x, at)
    assert (np.abs(lead + 2.0) <= 0.5).all()
    assert (ratio < 0.2).all()


def test_nothing_leads_where_nothing_is_planted():
    x_time, x, y_time, y = walk(0.01, (0.2, 0.2), 0.6, 0.0, 4, 3600)
    _, _, lead, _, ratio = LeadLag(3600 * S, GRID).batch(x_time, x, y_time, y, np.array([3600 * S]))
    assert abs(lead[0]) <= 0.5
    assert 0.3 < ratio[0] < 3.0


def test_a_common_clock_hides_the_correlation_and_increments_that_overlap_do_not():
    # Epps 1979: true 0.6, mean spacing 2 s and 3 s; read once a second as the last price
    x_time, x, y_time, y = walk(0.01, (2.0, 3.0), 0.6, 0.0, 2, 20_000)
    clock = np.arange(10, 20_000) * S
    last = [
        prices[np.searchsorted(times, clock, "right") - 1]
        for times, prices in ((x_time, x), (y_time, y))
    ]
    synchronous = np.corrcoef(np.diff(last[0]), np.diff(last[1]))[0, 1]
    hy = LeadLag(20_000 * S, [0]).batch(x_time, x, y_time, y, clock[-1:])[1][0]
    assert synchronous < 0.2
    assert 0.5 < hy < 0.7


def test_a_future_event_changes_nothing_before_it():
    x_time, x, y_time, y = walk(0.01, (0.3, 0.5), 0.6, 1.0, 5, 100)
    at = np.arange(1, 11) * 10 * S
    known, later = x_time <= at[4], y_time <= at[4]
    whole = LeadLag(40 * S, GRID).batch(x_time, x, y_time, y, at)
    cut = LeadLag(40 * S, GRID).batch(x_time[known], x[known], y_time[later], y[later], at[:5])
    assert bits(cut) == bits(np.array(whole)[:, :5])


def test_empty_and_read_only():
    none = np.empty(0)
    no_time = np.empty(0, np.int64)
    for array in (none, no_time):
        array.flags.writeable = False
    f = LeadLag(10, [0])
    assert [r.shape for r in f.batch(no_time, none, no_time, none, no_time)] == [(0,)] * 5
    assert np.isnan(f.batch(no_time, none, no_time, none, np.array([5]))).all()
    assert np.isnan(LeadLag(10, [0]).value(0)).all()


@pytest.mark.parametrize(
    ("window", "lags", "least", "says"),
    [
        (0, [0], 1, "window_ns must be in"),
        (2**60, [0], 1, "window_ns must be in"),
        (1, [], 1, "must be ascending and hold 0"),
        (1, [1], 1, "must be ascending and hold 0"),
        (1, [0, 0], 1, "must be ascending and hold 0"),
        (1, [1, 0], 1, "must be ascending and hold 0"),
        (1, [0, 2**60], 1, "must lie between"),
        (1, [0], 0, "min_increments must be >= 1"),
    ],
)
def test_wrong_parameters(window, lags, least, says):
    with pytest.raises(ValueError, match=says):
        LeadLag(window, lags, least)


def test_wrong_events():
    times, values, no_time = np.array([1, 2]), np.zeros(2), np.empty(0, np.int64)
    f = LeadLag(10, [0])
    with pytest.raises(ValueError, match="differ in length"):
        f.batch(times, values[:1], times, values, no_time)
    with pytest.raises(ValueError, match="x_time goes back at row 1, from 2 to 1"):
        f.batch(times[::-1].copy(), values, times, values, no_time)
    with pytest.raises(ValueError, match="at goes back"):
        f.batch(times, values, times, values, times[::-1].copy())
    with pytest.raises(ValueError, match="must lie between"):
        f.update_x(2**62, 0.0)
    f.value(5)
    f.value(5)
    with pytest.raises(ValueError, match="5 came after 5 had been closed"):
        f.update_y(5, 0.0)
    with pytest.raises(ValueError, match="4 came after 5"):
        f.value(4)
    f.update_y(6, 0.0)
    f.update_y(6, 1.0)


def test_what_it_was_made_with():
    f = LeadLag(10, GRID, 3)
    assert (f.window_ns, f.lags_ns, f.min_increments) == (10, GRID.tolist(), 3)


def test_a_state_of_another_is_refused():
    state = LeadLag(10, [0]).__reduce__()[2]
    with pytest.raises(ValueError, match="other lags"):
        LeadLag(10, [-1, 0]).__setstate__(state)
    f = LeadLag(10, [0])
    f.batch(np.arange(9), np.arange(9.0), np.arange(9), np.arange(9.0), np.array([9]))
    with pytest.raises(ValueError, match="only a new object"):
        f.__setstate__(state)


@pytest.mark.parametrize("where", ["head", "at"])
def test_a_state_with_a_place_behind_its_points_is_refused(where):
    f = LeadLag(10, [0])
    f.batch(np.arange(9), np.arange(9.0), np.arange(9), np.arange(9.0), np.array([9]))
    make, arguments, (now, closed, (head, end, *rest, at), *others) = f.__reduce__()
    x = (end, end, *rest, at) if where == "head" else (head, end, *rest, end.to_bytes(8, "little"))
    with pytest.raises(ValueError, match="damaged"):
        make(*arguments).__setstate__((now, closed, x, *others))

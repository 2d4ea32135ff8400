"""mrcore.bars against a slow pass and against the replay's samples, in chunks of any size."""

import copy
import math
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrcore.bars import BAR_COLUMNS, MarketBars
from mrcore.replay import SAMPLE_COLUMNS, Replay
from tests.oracle import bars as oracle

from .feeds import LOT, MS, TICK, columns, deep_tape, market_tape, tapes

SHORT = {  # so that small tapes live through all of it
    "horizon_ns": 7 * MS,
    "match_ns": 3 * MS,
    "flicker_ns": 6 * MS,
    "flicker_size": 1.0,
    "hawkes_half_life_ns": 5 * MS,
    "band_bps": 200.0,
    "kyle_window": 4,
    "vpin_bucket": 4 * LOT,
    "vpin_buckets": 3,
}
ORACLE = {
    "horizon_ns": "horizon",
    "quote_lag_ns": "lag",
    "match_ns": "match",
    "feed_latency_ns": "latency",
    "hawkes_half_life_ns": "half_life",
}
NEW = BAR_COLUMNS[28:]


def made(deltas, trades, *, size=4 * MS, **options):
    bars = MarketBars(TICK, LOT, size=size, **options)
    bars.feed(deltas, trades)
    bars.finish()
    return bars.rows()


def slow(deltas, trades, *, size=4 * MS, **options):
    options = {ORACLE.get(name, name): value for name, value in options.items()}
    for name in ("kyle_window", "vpin_bucket", "vpin_buckets"):
        options.pop(name, None)
    return oracle.bars(deltas, trades, size=size, tick_size=TICK, lot_size=LOT, **options)


def compare(found, wanted):
    (times, values), (ends, rows) = found, wanted
    assert times.tolist() == ends
    for got, row in zip(values, rows, strict=True):
        for name in NEW:
            if name == "kyle_t":
                continue
            value = got[BAR_COLUMNS.index(name)]
            assert value == pytest.approx(row.get(name, 0.0), rel=1e-11, abs=1e-11, nan_ok=True), (
                name
            )


def received(data, deltas, trades):
    """The tape with local times of its own: each stream as it came, delays of up to 5 ms."""

    def late(time):
        delay = data.draw(st.lists(st.integers(1, 5 * MS), min_size=len(time), max_size=len(time)))
        return np.maximum.accumulate(time + np.array(delay, np.int64)) if len(time) else time

    return (*deltas, late(deltas[0])), (*trades, late(trades[0]))


kinds = st.sampled_from(
    [("time", 4 * MS), ("tick", 1), ("tick", 3), ("volume", 4 * LOT), ("dollar", 900 * TICK * LOT)]
)


@settings(deadline=None)
@given(tape=tapes(), kind=kinds, latency=st.sampled_from([0, MS, 7 * MS]), data=st.data())
def test_columns_are_those_of_a_slow_pass(tape, kind, latency, data):
    deltas, trades = tape
    options = SHORT | {
        "kind": kind[0],
        "size": kind[1],
        "feed_latency_ns": latency,
        "quote_lag_ns": data.draw(st.sampled_from([0, 2 * MS])),
    }
    if data.draw(st.booleans()):
        deltas, trades = received(data, deltas, trades)
    compare(made(deltas, trades, **options), slow(deltas, trades, **options))


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), kind=kinds, lag=st.sampled_from([0, 3 * MS]), data=st.data())
def test_a_deep_book_against_a_slow_pass(seed, kind, lag, data):
    deltas, trades = deep_tape(seed, 150)
    if data.draw(st.booleans()):
        rng = np.random.default_rng(seed)
        deltas, trades = (
            (*c, np.maximum.accumulate(c[0] + rng.integers(1, 4 * MS, len(c[0]))))
            for c in (deltas, trades)
        )
    options = SHORT | {"kind": kind[0], "size": kind[1], "quote_lag_ns": lag}
    compare(made(deltas, trades, **options), slow(deltas, trades, **options))


def test_the_deep_book_has_all_of_it():
    _, values = made(*deep_tape(3, 3_000), **SHORT)
    totals = dict(zip(BAR_COLUMNS, np.nansum(np.abs(values), axis=0), strict=True))
    assert [name for name, total in totals.items() if total == 0] == []
    assert np.isfinite(values).mean() > 0.9
    assert not np.isinf(values).any()


def test_a_market_against_a_slow_pass():
    deltas, trades = market_tape(n_deltas=3_000)
    for options in ({}, SHORT, {"quote_lag_ns": 100 * MS, "match_ns": 20 * MS}):
        options = options | {"size": 500 * MS, "feed_latency_ns": 3 * MS}
        compare(made(deltas, trades, **options), slow(deltas, trades, **options))


# The samples of a replay -------------------------------------------------------------------


def samples(deltas, trades, interval, **options):
    replay = Replay(TICK, LOT, sample_interval_ns=interval, **options)
    replay.feed(deltas, trades)
    replay.finish()
    return replay.samples()[:, :28]


@settings(deadline=None)
@given(tape=tapes(), latency=st.sampled_from([0, MS, 7 * MS]), data=st.data())
def test_the_first_columns_are_those_of_a_replay(tape, latency, data):
    deltas, trades = tape
    if data.draw(st.booleans()):
        deltas, trades = received(data, deltas, trades)
    few = {name: SHORT[name] for name in ("kyle_window", "vpin_bucket", "vpin_buckets")}
    options = few | {"feed_latency_ns": latency}
    _, values = made(deltas, trades, size=3 * MS, **options)
    expected = samples(deltas, trades, 3 * MS, **options)
    np.testing.assert_array_equal(values[:, :28], expected)
    assert BAR_COLUMNS[:28] == SAMPLE_COLUMNS[:28]


# The same bits ----------------------------------------------------------------------------


def pieces(deltas, trades, cuts):
    """The rows received up to each of `cuts` after those before it, messages whole."""
    before = -1
    for cut in [*cuts, 1 << 61]:
        yield (
            cut,
            *(
                tuple(column[(c[-1] > before) & (c[-1] <= cut)] for column in c)
                for c in (deltas, trades)
            ),
        )
        before = cut


@settings(deadline=None)
@given(
    seed=st.integers(0, 10**6),
    kind=kinds,
    cuts=st.lists(st.integers(0, 300 * MS), max_size=6),
    how=st.sampled_from(["go on", "pickle", "copy"]),
)
def test_any_chunks_give_the_same_bits(seed, kind, cuts, how):
    deltas, trades = deep_tape(seed, 200)
    deltas, trades = ((*c, c[0] + 2 * MS) for c in (deltas, trades))
    options = SHORT | {"kind": kind[0], "quote_lag_ns": MS}
    whole = MarketBars(TICK, LOT, size=kind[1], **options)
    whole.feed(deltas, trades)
    whole.finish()
    times, values = whole.rows()
    bars = MarketBars(TICK, LOT, size=kind[1], **options)
    drained = []
    for cut, some_deltas, some_trades in pieces(deltas, trades, sorted(cuts)):
        bars.feed(some_deltas, some_trades)
        if cut < 1 << 61:
            bars.advance(cut)
        else:
            bars.advance(whole.time_ns) if bars.time_ns is None else None
            bars.advance(max(whole.time_ns, bars.time_ns))
        bars = {"go on": lambda b: b, "copy": copy.copy, "pickle": repickled}[how](bars)
        drained.append(bars.drain())
        assert len(bars.rows()[0]) == 0
    n = len(times)
    assert np.concatenate([t for t, _ in drained])[:n].tolist() == times.tolist()
    np.testing.assert_array_equal(np.concatenate([v for _, v in drained])[:n], values)


def test_a_first_message_that_is_long_in_coming_begins_no_bar_again():
    """Its first row came at 100, its last at 300; more is fed in between."""
    deltas, none = columns([(50, 1, 99, 5), (50, -1, 101, 5)]), columns([])
    bars = MarketBars(TICK, LOT, size=100)
    bars.feed((*deltas, np.array([100, 300])), (*none, none[0]))
    bars.advance(250)
    bars.feed((*none, none[0]), (*none, none[0]))
    bars.advance(400)
    assert bars.rows()[0].tolist() == [100, 200, 300, 400]


def test_mids_do_not_pile_up_while_nobody_trades():
    """What is kept of a long time without trades is what is kept of a short one."""
    kept = []
    for n in (1_000, 10_000):
        bars = MarketBars(TICK, LOT, kind="tick", size=1, quote_lag_ns=5 * MS)
        book = [(0, 1, 99, 5), (0, -1, 101, 5)]
        more = [(k * MS, -1, 100, k % 2) for k in range(1, n + 1)]
        bars.feed(columns(book + more), columns([]))
        bars.finish()
        kept.append(len(pickle.dumps(bars)))
    assert kept[0] == kept[1]


def repickled(bars):
    return pickle.loads(pickle.dumps(bars))


def test_a_copy_goes_its_own_way():
    deltas, trades = deep_tape(1)
    bars = MarketBars(TICK, LOT, size=4 * MS, **SHORT)
    bars.feed(deltas, trades)
    bars.advance(100 * MS)
    other = copy.copy(bars)
    before = other.rows()[1].copy()
    bars.finish()
    np.testing.assert_array_equal(other.rows()[1], before)
    other.finish()
    np.testing.assert_array_equal(other.rows()[1], bars.rows()[1])


# What is refused ---------------------------------------------------------------------------


def test_a_damaged_or_foreign_state_is_refused():
    bars = MarketBars(TICK, LOT, size=4 * MS, **SHORT)
    bars.feed(*deep_tape(1))
    bars.advance(100 * MS)
    restore, (state,) = bars.__reduce__()
    first, *others = state["arrays"]
    for arrays in (others, [first[:-1], *others], []):
        with pytest.raises(ValueError, match="damaged"):
            restore({**state, "arrays": arrays})
    with pytest.raises(ValueError, match=r"saved by mrtrade 0\.0\.0"):
        restore({**state, "version": "0.0.0"})


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"kind": "week", "size": 1}, "kind must be one of"),
        ({"size": 0}, "size must be > 0"),
        ({"size": 1.5}, "whole number of nanoseconds"),
        ({"size": math.nan}, "size must be > 0"),
        ({"size": 1, "match_ns": -1}, "match_ns must be in"),
        ({"size": 1, "horizon_ns": -1}, "horizon_ns must be in"),
        ({"size": 1, "quote_lag_ns": -1}, "quote_lag_ns must be in"),
        ({"size": 1, "flicker_ns": -1}, "flicker_ns must be in"),
        ({"size": 1, "flicker_size": 0.0}, "flicker_size must be > 0"),
        ({"size": 1, "hawkes_half_life_ns": 0}, "hawkes_half_life_ns must be in"),
        ({"size": 1, "band_bps": math.inf}, "band_bps must be > 0"),
        ({"size": 1, "feed_latency_ns": -1}, "feed_latency_ns must be in"),
        ({"size": 1, "kyle_window": 2}, "kyle_window >= 3"),
        ({"size": 1, "vpin_bucket": -1.0}, "vpin_bucket must be >= 0"),
        ({"size": 1, "kind": "tick", "first_ns": 0}, "first_ns is for time bars"),
        ({"size": 1, "first_ns": 1 << 62}, "first_ns must be in"),
    ],
)
def test_wrong_options(options, error):
    with pytest.raises(ValueError, match=error):
        MarketBars(TICK, LOT, **options)


def test_wrong_rows_leave_nothing_behind():
    deltas, trades = deep_tape(2)
    first, rest = (
        [tuple(c[part] for c in rows) for rows in (deltas, trades)]
        for part in (slice(50), slice(50, None))
    )
    bars = MarketBars(TICK, LOT, size=4 * MS, **SHORT)
    bars.feed(*first)
    for bad in (
        (deltas, trades[:3]),
        (deltas[:3], trades),
        ((*deltas[:3], deltas[3][:-1]), trades),
        ((deltas[0] - 1, *deltas[1:]), trades),
        (deltas, (trades[0], 0 * trades[1], *trades[2:])),
        ((*deltas, deltas[0]), (*trades, trades[0])),
    ):
        with pytest.raises(ValueError, match=r"deltas|trades"):
            bars.feed(*bad)
    bars.feed(*rest)
    bars.finish()
    np.testing.assert_array_equal(bars.rows()[1], made(deltas, trades, **SHORT)[1])
    with pytest.raises(ValueError, match="until_ns must be in"):
        bars.advance(1 << 62)
    now = bars.time_ns
    with pytest.raises(ValueError, match=f"a row was received at {now}, and the bars are at {now}"):
        bars.feed(columns([]), columns([(now, 1, 100, 1)]))
    with pytest.raises(ValueError, match="until_ns must be in"):
        bars.advance(now - 1)


def test_no_rows_and_read_only_rows():
    bars = MarketBars(TICK, LOT, size=MS)
    assert bars.time_ns is None
    bars.feed(columns([]), columns([]))
    assert bars.finish() == 0
    times, values = bars.rows()
    assert times.shape == (0,)
    assert values.shape == (0, len(BAR_COLUMNS))
    deltas, trades = deep_tape(0)
    expected = made(deltas, trades)
    for column in (*deltas, *trades):
        column.flags.writeable = False
    found = made(deltas, trades)
    np.testing.assert_array_equal(found[1], expected[1])


def test_time_bars_from_an_end_that_is_given():
    bars = MarketBars(TICK, LOT, size=MS, first_ns=2 * MS)
    bars.advance(4 * MS)
    times, values = bars.rows()
    assert times.tolist() == [2 * MS, 3 * MS, 4 * MS]
    counts = [BAR_COLUMNS.index(n) for n in ("n_messages", "n_trades", "bid_adds", "ofi5")]
    assert (values[:, counts] == 0).all()
    assert np.isnan(values[:, [BAR_COLUMNS.index(n) for n in ("bid", "mid_open")]]).all()


def test_bars_are_not_read_while_another_thread_makes_them():
    n = 3_000_000
    bars = MarketBars(TICK, LOT, size=1_000)
    time = np.arange(n)
    bars.feed((time, np.ones(n, np.int8), np.full(n, 100, np.int32), time % 7 + 1), columns([]))
    thread = threading.Thread(target=bars.advance, args=(n,))
    thread.start()
    refused = 0
    while thread.is_alive() and refused < 3:
        refused = 0
        for call in (bars.rows, bars.drain, bars.finish):
            try:
                call()
            except RuntimeError:
                refused += 1
    thread.join()
    assert refused == 3
    assert len(bars.rows()[0]) == n // 1_000 + 1


def test_times_and_sizes_at_the_end_of_the_numbers():
    far, most, tick = 1 << 62, 9 * 10**15, 2**31 - 1
    deltas = [(1 - far, 1, tick - 1, most), (1 - far, -1, tick, most), (0, 1, tick - 1, 1)]
    deltas += [(far - 2, 1, tick - 1, most), (far - 2, 1, 0, most)]
    trades = [(1 - far, 1, tick, most), (0, -1, 0, most), (0, -1, tick, most)]
    trades += [(far - 2, 1, 0, most)]
    span = (far >> 2) - 1
    names = ("horizon_ns", "quote_lag_ns", "match_ns", "flicker_ns", "hawkes_half_life_ns")
    for options in ({}, dict.fromkeys(names, span)):
        bars = MarketBars(1.0, 1.0, kind="tick", size=1, **options)
        bars.feed(columns(deltas), columns(trades))
        bars.finish()
        times, values = bars.rows()
        assert times.tolist() == [1 - far, 0, far - 2]
        assert not np.isinf(values).any()
        assert values[:, BAR_COLUMNS.index("buy_volume")].tolist() == [most, 0, most]
    with pytest.raises(ValueError, match="deltas row 0"):
        MarketBars(1.0, 1.0, size=1).feed(columns([(-far - 1, 1, 1, 1)]), columns([]))

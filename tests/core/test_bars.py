"""mrcore.bars against a slow pass, against the replay's samples, and against logs made by hand."""

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrcore.bars import BAR_COLUMNS, MarketBars
from mrcore.replay import SAMPLE_COLUMNS, Replay
from tests.oracle import bars as oracle

from .feeds import LOT, MS, TICK, columns, market_tape, tapes

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
        delay = data.draw(
            st.lists(st.integers(1, 5 * MS), min_size=len(time), max_size=len(time))
        )
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

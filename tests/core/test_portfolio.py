import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrcore.portfolio import Portfolio
from mrcore.replay import Replay

from .feeds import LOT, MS, TICK, columns, market_tape, tapes
from .test_replay import SCHEDULE, TIMES, everything, replay, schedule

BOOK = columns([(0, 1, 99, 4), (0, -1, 101, 4)])


@given(
    feeds=st.tuples(tapes(60), tapes(60)),
    rows=st.tuples(SCHEDULE, SCHEDULE),
    times=TIMES,
    latencies=st.tuples(st.sampled_from([0, MS, 7 * MS]), st.sampled_from([0, MS])),
    stops=st.lists(st.integers(0, 400), max_size=5),
)
def test_instruments_that_share_nothing_come_out_as_alone(feeds, rows, times, latencies, stops):
    alone, together = [], []
    for feed, targets, latency in zip(feeds, rows, latencies, strict=True):
        for group in (alone, together):
            r = replay(times, latency)
            schedule(r, targets)
            r.feed(*feed)
            group.append(r)
    for r in alone:
        r.advance(10_000 * MS)
    both = Portfolio(together)
    for stop in sorted(stops):
        both.advance(stop * MS)
    both.advance(10_000 * MS)
    assert [everything(r) for r in together] == [everything(r) for r in alone]


def test_a_decision_for_one_knows_what_was_received_of_the_other():
    spot, perp = (Replay(TICK, LOT, feed_latency_ns=MS) for _ in range(2))
    spot.feed(columns([(0, 1, 99, 4), (0, -1, 101, 4), (5 * MS, 1, 100, 1)]), columns([]))
    perp.feed(BOOK, columns([(9 * MS, -1, 98, 1)]))
    both = Portfolio([spot, perp])
    both.advance(2 * MS)
    order = perp.submit(1, 99, 3)
    assert both.wait_next(10 * MS, feed=True) == "feed"
    assert (both.time_ns, spot.bid_tick, perp.bid_tick) == (6 * MS, 100, 99)
    assert both.wait_next(10 * MS) == "fill"
    assert (perp.time_ns, perp.position_lots, spot.position_lots) == (9 * MS, 3, 0)
    assert perp.fills()["order_id"].tolist() == [order]
    assert both.wait_next(MS) == "end"  # the trade itself comes at 10 ms
    assert both.finish() == 0


def test_a_member_is_advanced_by_its_portfolio_alone():
    r = Replay(TICK, LOT)
    r.feed(BOOK, columns([]))
    Portfolio([r])
    for call in (lambda: r.advance(5), r.finish, lambda: Portfolio([r])):
        with pytest.raises(ValueError, match="Portfolio"):
            call()
    with pytest.raises(ValueError, match="different replays"):
        Portfolio([])
    other = Replay(TICK, LOT)
    with pytest.raises(ValueError, match="different replays"):
        Portfolio([other, other])
    other.advance(1)
    with pytest.raises(ValueError, match="has been advanced"):
        Portfolio([other])


def test_an_object_that_runs_on_another_thread_is_refused():
    tape = market_tape(n_deltas=200_000)
    refused = False
    for _ in range(50):  # until the other thread is caught in the loop
        r = Replay(0.1, 0.001, sample_interval_ns=MS)
        r.feed(*tape)
        running = threading.Thread(target=r.finish)
        running.start()
        while running.is_alive() and not refused:
            try:
                r.submit(1, 99, 1)
            except RuntimeError as error:
                refused = "another thread" in str(error)
            except ValueError:  # not yet running
                pass
        running.join()
        if refused:
            return
    pytest.fail("never refused")

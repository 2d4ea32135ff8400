"""The book order by order, against queues kept as lists and the log of a market."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrcore.book import L2Book
from mrcore.l3 import KINDS, L3Book
from mrcore.market import SyntheticMarket

from ..oracle.l3 import CLEAR, Queues
from .feeds import LOT, TICK

EVENTS = st.lists(
    st.tuples(
        st.sampled_from([1, 1, 1, 2, 2, 3, 3, 4, 5]),
        st.one_of(st.integers(1, 12), st.sampled_from([-(2**63), 2**63 - 1])),
        st.sampled_from([1, -1]),
        st.integers(98, 102),
        st.integers(0, 6),
    ).filter(lambda e: e[4] > 0 or e[0] not in (1, 3)),
    max_size=60,
)


def columns(rows, width=5):
    """kind, order_id, side, tick, lots; before them the time where there is one."""
    out = list(zip(*rows, strict=True)) if rows else [()] * width
    types = [np.int64, np.int8, np.int64, np.int8, np.int32, np.int64][-width:]
    return [np.array(c, t) for c, t in zip(out, types, strict=True)]


def slow(rows):
    book = Queues()
    for kind, order_id, side, tick, lots in rows:
        book.event(0, kind, order_id, side, tick, lots)
    return book


def check(book, truth):
    assert book.counters == truth.counts
    assert book.n_orders == len(truth.waiting)
    for side, shown in zip((1, -1), book.levels(99), strict=True):
        levels = sorted(truth.levels(side).items(), key=lambda level: -side * level[0])
        assert shown.tolist() == [[tick * TICK, lots * LOT] for tick, lots in levels]
        best = levels[0] if levels else (None, 0)
        assert (book.bid_tick if side > 0 else book.ask_tick) == best[0]
        assert (book.best_bid_size if side > 0 else book.best_ask_size) == best[1] * LOT
        for tick in range(97, 104):
            queue = truth.queue(side, tick)
            ids, lots = book.queue(side, tick)
            assert list(zip(ids.tolist(), lots.tolist(), strict=True)) == [
                (w.id, w.lots) for w in queue
            ]
            assert book.size_at(side, tick) == sum(w.lots for w in queue) * LOT
            for w in queue:
                assert book.order(w.id) == (side, tick, w.lots)
                assert book.queue_ahead(w.id) == truth.ahead(w) * LOT


@given(rows=EVENTS)
def test_the_book_equals_queues_kept_as_lists(rows):
    book = L3Book(TICK, LOT, window=16)
    book.apply(*columns(rows))
    check(book, slow(rows))


@given(rows=EVENTS, cut=st.integers(0, 60))
def test_one_by_one_or_saved_in_between_it_is_the_same(rows, cut):
    whole = L3Book(TICK, LOT)
    whole.apply(*columns(rows))
    single = L3Book(TICK, LOT)
    for kind, *event in rows:
        single.update(KINDS[kind], *event)
    parts = L3Book(TICK, LOT)
    parts.apply(*columns(rows[:cut]))
    parts = (copy.deepcopy, L3Book.copy, lambda b: pickle.loads(pickle.dumps(b)))[cut % 3](parts)
    parts.apply(*columns(rows[cut:]))
    for other in (single, parts):
        assert other.orders().tobytes() == whole.orders().tobytes()
        assert other.counters == whole.counters
        assert [a.tolist() for a in other.levels()] == [a.tolist() for a in whole.levels()]


@given(rows=EVENTS)
def test_flattened_it_is_the_book_of_levels_and_the_trades(rows):
    times = np.arange(len(rows), dtype=np.int64)
    book = L3Book(TICK, LOT)
    deltas, trades, (kind, arrival, quantity) = book.flatten(times, *columns(rows))
    assert [len(c) for c in deltas] == [len(kind)] * 4 == [len(arrival)] * 2 + [len(quantity)] * 2
    levels = {}
    for _, side, tick, lots in zip(*deltas, strict=True):
        if side == 0:
            levels = {}
        else:
            levels[side, tick] = lots
    truth = slow(rows)
    assert {key: lots for key, lots in levels.items() if lots} == {
        (side, tick): lots for side in (1, -1) for tick, lots in truth.levels(side).items()
    }
    fills = np.flatnonzero([row[0] == 3 for row in rows])
    assert trades[0].tolist() == times[fills].tolist()
    assert (trades[1] == -deltas[1][kind == 3]).all()
    assert (trades[3] == quantity[kind == 3]).all()


def test_a_hundred_thousand_orders_and_a_table_that_grows():
    rng = np.random.default_rng(5)
    n = 100_000
    ids = rng.integers(-(2**63), 2**63 - 1, n)  # many share a place in the table
    tick = rng.integers(0, 500, n).astype(np.int32)
    lots = rng.integers(1, 9, n)
    book = L3Book(TICK, LOT)
    book.apply(np.ones(n, np.int8), ids, np.ones(n, np.int8), tick, lots)
    assert book.n_orders == n
    assert book.size_at(1, 7) == lots[tick == 7].sum() * LOT
    gone = rng.permutation(n)[: n - 10]
    book.apply(np.full(n - 10, 2, np.int8), ids[gone], np.zeros(n - 10, np.int8),
               np.zeros(n - 10, np.int32), np.zeros(n - 10, np.int64))  # fmt: skip
    left = np.setdiff1d(np.arange(n), gone)
    assert book.orders()["order_id"].tolist() == ids[left].tolist()
    assert book.counters == {"unknown_orders": 0, "duplicate_orders": 0, "excess_takings": 0}


def test_the_log_of_a_market_gives_its_levels_and_trades():
    run = SyntheticMarket(seed=3).run(n_deltas=20_000)
    log = run.orders
    book = L3Book(run.tick_size, run.lot_size)
    deltas, trades, _ = book.flatten(
        *(log[c] for c in ("time", "kind", "order_id", "side", "tick", "lots"))
    )
    assert book.counters == {"unknown_orders": 0, "duplicate_orders": 0, "excess_takings": 0}
    levels = L2Book(run.tick_size, run.lot_size)
    (_, *truth), (time, side, tick, lots) = run.tape()
    levels.apply(*truth)
    assert [a.tolist() for a in book.levels(50)] == [a.tolist() for a in levels.levels(50)]
    again = L2Book(run.tick_size, run.lot_size)
    again.apply(*deltas[1:])
    assert [a.tolist() for a in again.levels(50)] == [a.tolist() for a in levels.levels(50)]
    # the market reports its fills of one price as one trade
    assert trades[3].sum() == lots.sum()
    for k in range(0, len(time), 50):
        same = (trades[0] == time[k]) & (trades[1] == side[k]) & (trades[2] == tick[k])
        assert trades[3][same].sum() == lots[k]


@pytest.mark.parametrize(
    "row",
    [(0, 1, 1, 1, 1), (6, 1, 1, 1, 1), (1, 1, 0, 1, 1), (1, 1, 2, 1, 1), (1, 1, 1, -1, 1),
     (1, 1, 1, 1, 0), (3, 1, 1, 1, 0), (3, 1, 0, 1, 1), (2, 1, 1, 1, -1), (4, 1, 1, 1, 2**48)],
)  # fmt: skip
def test_what_can_be_no_event_is_refused_and_nothing_is_taken(row):
    book = L3Book(TICK, LOT)
    with pytest.raises(ValueError, match="row 1: kind"):
        book.apply(*columns([(1, 5, 1, 100, 1), row]))
    assert book.n_orders == 0
    if row[0] in range(1, 6):
        with pytest.raises(ValueError, match="expected a kind"):
            book.update(KINDS[row[0]], *row[1:])


def test_bad_arguments():
    book = L3Book(TICK, LOT)
    with pytest.raises(ValueError, match="was kind 'trade'"):
        book.update("trade", 1, 1, 1, 1)
    with pytest.raises(ValueError, match="int32"):
        book.update("add", 1, 1, 2**31, 1)
    with pytest.raises(ValueError, match="differ in length"):
        book.apply(*columns([(1, 5, 1, 100, 1)])[:4], np.ones(2, np.int64))
    with pytest.raises(KeyError):
        book.queue_ahead(1)
    with pytest.raises(ValueError, match="n must be"):
        book.levels(-1)
    for bad in ((0.0, 1.0), (1.0, float("inf")), (float("nan"), 1.0)):
        with pytest.raises(ValueError, match="tick_size and lot_size"):
            L3Book(*bad)
    book.update("clear")
    assert KINDS[CLEAR] == "clear"
    assert (book.order(1), book.bid_tick, book.ask_tick) == (None, None, None)
    assert np.isnan([book.best_bid, book.best_ask]).all()

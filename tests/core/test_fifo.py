"""Own orders in the queues of an order-level feed: `feed_orders` and the fifo model."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrcore.exchange import EVENTS, REASONS
from mrcore.l3 import L3Book
from mrcore.market import SyntheticMarket
from mrcore.replay import SAMPLE_COLUMNS, Replay

from ..oracle.l3 import ADD, CANCEL, CLEAR, FILL, MODIFY, FifoExchange
from .feeds import LOT, MS, TICK
from .test_l3 import columns


class Market:
    """Makes the rows of a market that matches first in, first out, and never crosses."""

    def __init__(self):
        self.rows, self.orders, self.now, self.last_id = [], {}, 0, 0
        for k in range(3):
            self.add(1, 99 - k, 3)
            self.add(-1, 101 + k, 3)

    def row(self, kind, order_id, side, tick, lots):
        self.rows.append((self.now, kind, order_id, side, tick, lots))

    def best(self, side):
        return side * max(side * o[1] for o in self.orders.values() if o[0] == side)

    def price(self, side, distance):
        """Tick that is `distance` from the nearest that does not cross."""
        return self.best(-side) - side * (1 + distance)

    def add(self, side, tick, lots):
        self.last_id += 1
        self.orders[self.last_id] = [side, tick, lots]
        self.row(ADD, self.last_id, side, tick, lots)

    def spare(self, order_id):
        """Whether its side has another order."""
        side = self.orders[order_id][0]
        return sum(o[0] == side for o in self.orders.values()) > 1

    def take(self, side, lots):
        """A market order eats `side`; the last order there stays."""
        while lots:
            first = next(i for i, o in self.orders.items() if o[:2] == [side, self.best(side)])
            part = min(lots, self.orders[first][2])
            if part == self.orders[first][2] and not self.spare(first):
                return
            self.row(FILL, first, side, self.orders[first][1], part)
            self.reduce(first, part)
            lots -= part

    def reduce(self, order_id, lots):
        self.orders[order_id][2] -= lots
        if self.orders[order_id][2] == 0:
            del self.orders[order_id]

    def cancel(self, order_id, lots):
        side, tick, had = self.orders[order_id]
        if lots < had or self.spare(order_id):
            self.row(CANCEL, order_id, side, tick, lots if lots < had else 0)
            self.reduce(order_id, min(lots, had))

    def modify(self, order_id, distance, lots):
        side, tick, had = self.orders[order_id]
        if lots > had or distance:  # to the end of a queue
            del self.orders[order_id]
            other = [o for o in self.orders.values() if o[0] == -side]
            tick = self.price(side, distance - 1) if distance and other else tick
            self.orders[order_id] = [side, tick, lots]
        else:
            self.orders[order_id][2] = lots
        self.row(MODIFY, order_id, side, tick, lots)

    def clear(self):
        self.row(CLEAR, 0, 0, 0, 0)
        old, self.orders = list(self.orders.values()), {}
        for o in old[-6:]:
            self.add(*o)
        for side in (1, -1):
            if not any(o[0] == side for o in self.orders.values()):
                self.add(side, 100 - 9 * side, 2)


@st.composite
def order_feeds(draw):
    market = Market()
    for wait, action, side, distance, lots, pick in draw(
        st.lists(
            st.tuples(
                st.integers(0, 4),
                st.sampled_from(
                    ["add"] * 3 + ["take"] * 3 + ["cancel", "modify", "stray", "clear"]
                ),
                st.sampled_from([1, -1]),
                st.integers(0, 3),
                st.integers(1, 6),
                st.integers(0, 99),
            ),
            max_size=60,
        )
    ):
        market.now += wait * MS
        order_id = list(market.orders)[pick % len(market.orders)]
        if action == "add":
            market.add(side, market.price(side, distance), lots)
        elif action == "take":
            market.take(side, lots)
        elif action == "cancel":
            market.cancel(order_id, lots)
        elif action == "modify":
            market.modify(order_id, distance, lots)
        elif action == "clear" and pick < 10:
            market.clear()
        elif action == "stray":  # of an order that nobody knows
            market.row((CANCEL, FILL)[pick % 2], 10**9, side, market.best(side), lots)
    return market.rows


REQUESTS = st.lists(
    st.tuples(
        st.integers(1, 60),  # local ms
        st.sampled_from([1, -1]),
        st.integers(96, 104),
        st.integers(1, 9),
        st.one_of(st.none(), st.integers(0, 40)),  # ms until it is cancelled
    ),
    max_size=10,
).map(lambda drawn: sorted(drawn, key=lambda d: d[0]))


def actions(drawn):
    """(local time, cancel?, id, order) in the order sent."""
    out = []
    for i, (at, *order, life) in enumerate(drawn):
        out.append((at * MS, False, i + 1, order))
        if life is not None:
            out.append(((at + life) * MS, True, i + 1, None))
    return sorted(out, key=lambda a: a[:2])


def truth(rows, drawn, partial):
    """The slow exchange; a request takes 1 ms and sees the rows up to its arrival."""
    exchange = FifoExchange(partial)
    pending = actions(drawn)[::-1]

    def serve(before):
        while pending and pending[-1][0] + MS < before:
            _, cancel, order_id, order = pending.pop()
            if cancel:
                exchange.cancel(order_id)
            else:
                exchange.submit(order_id, *order)

    for row in rows:
        serve(row[0])
        exchange.event(*row)
    serve(10**18)
    return exchange.orders


def replay(rows, drawn, *, chunks=(), **options):
    """The core; rows are fed in chunks up to these times."""
    r = Replay(TICK, LOT, queue_model="fifo", entry_latency_ns=MS, response_latency_ns=MS,
               feed_latency_ns=MS, **options)  # fmt: skip
    edges = [t * MS for t in chunks]
    stops = sorted({*edges, *(a[0] for a in actions(drawn))})
    done, todo = 0, actions(drawn)[::-1]
    if not chunks:
        r.feed_orders(columns(rows, 6))
        done = len(rows)
    for stop in stops:
        upto = next((i for i, row in enumerate(rows) if row[0] > stop), len(rows))
        if upto > done:
            r.feed_orders(columns(rows[done:upto], 6))
            done = upto
        r.advance(stop)
        if chunks:
            r = (r.copy(), pickle.loads(pickle.dumps(r)))[len(rows) % 2]
        while todo and todo[-1][0] == stop:
            _, cancel, order_id, order = todo.pop()
            if cancel:
                r.cancel(order_id)
            else:
                assert r.submit(*order, "post_only") == order_id
    if done < len(rows):
        r.feed_orders(columns(rows[done:], 6))
    r.advance(1000 * MS)
    return r


def outcome(r):
    fills = r.fills()
    assert fills["maker"].all()
    return {
        int(o["order_id"]): (
            EVENTS[o["status"]],
            [(int(f["time"]), int(f["lots"])) for f in fills[fills["order_id"] == o["order_id"]]],
        )
        for o in r.orders()
    }


@pytest.mark.parametrize("partial", [False, True])
@given(rows=order_feeds(), drawn=REQUESTS)
@settings(max_examples=200)
def test_every_order_ends_as_in_the_slow_queues(partial, rows, drawn):
    r = replay(rows, drawn, partial_fills=partial)
    assert outcome(r) == {i: (o.status, o.fills) for i, o in truth(rows, drawn, partial).items()}


@given(rows=order_feeds(), drawn=REQUESTS, chunks=st.lists(st.integers(0, 100), max_size=6))
def test_any_chunking_gives_the_same_bits(rows, drawn, chunks):
    """And so does any copy, in between."""
    times = np.arange(0, 100, 7) * MS
    whole = replay(rows, drawn, sample_times=times)
    parts = replay(rows, drawn, sample_times=times, chunks=[*sorted(chunks), 300], depth=True)
    for name in ("samples", "orders", "order_events", "fills"):
        assert getattr(whole, name)().tobytes() == getattr(parts, name)().tobytes(), name


@given(rows=order_feeds())
def test_the_market_is_sampled_as_from_its_levels_and_trades(rows):
    times = np.arange(0, 100, 7) * MS
    r = Replay(TICK, LOT, sample_times=times, queue_model="fifo", feed_latency_ns=MS)
    r.feed_orders(columns(rows, 6))
    r.finish()
    other = Replay(TICK, LOT, sample_times=times, feed_latency_ns=MS)
    deltas, trades, _ = L3Book(TICK, LOT).flatten(*columns(rows, 6))
    other.feed(deltas, trades)
    other.finish()
    np.testing.assert_array_equal(r.samples(), other.samples())


def test_an_order_just_before_a_probe_of_the_market_is_filled_with_it():
    """The probe is a part of the market: its fills are those of the place that it stands at.

    An own order that arrives at the moment before has the same orders before it, so with the same
    size it gets the same lots at the same times, to the last one.
    """
    plan = SyntheticMarket(seed=8)
    start = plan.start_ns
    probes = [(start + k * 400_000_000, 1 if k % 2 else -1, 20 + k) for k in range(1, 140)]
    run = plan.run(60, probes=probes)
    log = run.orders
    r = Replay(run.tick_size, run.lot_size, queue_model="fifo")
    r.feed_orders(tuple(log[c] for c in ("time", "kind", "order_id", "side", "tick", "lots")))
    for (time, side, lots), probe in zip(probes, run.probe_ids, strict=True):
        joined = np.flatnonzero((log["order_id"] == probe) & (log["kind"] == ADD))[0]
        assert log["time"][joined - 1] < time - 1
        r.advance(time - 1)
        r.submit(side, int(log["tick"][joined]), lots, "post_only")
    r.finish()
    filled = 0
    for own, probe in enumerate(run.probe_ids, 1):
        mine = r.fills()[r.fills()["order_id"] == own]
        its = (log["order_id"] == probe) & (log["kind"] == FILL)
        assert mine["time"].tolist() == log["time"][its].tolist()
        assert mine["lots"].tolist() == log["lots"][its].tolist()
        filled += mine["lots"].sum() == probes[own - 1][2]
    assert filled > 100


def one_order(rows, side, tick, lots, **options):
    """Fills of one order that arrives at 1 ms."""
    r = Replay(TICK, LOT, queue_model="fifo", **options)
    r.feed_orders(columns([(0, ADD, 1, 1, 99, 5), (0, ADD, 2, -1, 103, 5), *rows], 6))
    r.advance(MS)
    r.submit(side, tick, lots, "post_only")
    r.finish()
    return r, [(int(f["time"]) // MS, int(f["lots"])) for f in r.fills()]


def test_only_what_stands_behind_fills_and_never_more_than_it():
    rows = [
        (2 * MS, ADD, 3, 1, 99, 4),
        (3 * MS, FILL, 1, 1, 99, 3),  # before us
        (4 * MS, CANCEL, 3, 1, 99, 1),  # behind us, but no trade
        (5 * MS, FILL, 3, 1, 99, 2),
        (6 * MS, MODIFY, 1, 1, 99, 8),  # now it stands behind us
        (7 * MS, FILL, 1, 1, 99, 2),
    ]
    _, fills = one_order(rows, 1, 99, 9)
    assert fills == [(5, 2), (7, 2)]
    _, fills = one_order(rows, 1, 99, 9, partial_fills=False)
    assert fills == [(5, 9)]


def test_a_better_price_than_the_market_stands_before_it():
    """hftbacktest's model leaves this order where it is until an ask comes down to it."""
    rows = [(2 * MS, FILL, 1, 1, 99, 2), (3 * MS, ADD, 3, -1, 101, 4)]
    _, fills = one_order(rows, 1, 101, 9)
    assert fills == [(2, 2), (3, 4)]


def test_a_cleared_book_ends_the_orders_that_wait_there():
    """The place is lost with the queue; hftbacktest's rule."""
    rows = [(2 * MS, CLEAR, 0, 0, 0, 0), (2 * MS, ADD, 9, 1, 99, 1), (3 * MS, FILL, 9, 1, 99, 1)]
    r, fills = one_order(rows, 1, 99, 1)
    assert fills == []
    last = r.order_events()[-1]
    assert (EVENTS[last["event"]], REASONS[last["reason"]]) == ("expired", "cleared")


def test_fills_of_the_feed_are_its_trades():
    r = Replay(TICK, LOT, queue_model="fifo", sample_times=np.array([10 * MS]))
    rows = [(0, ADD, 1, 1, 99, 5), (0, ADD, 2, -1, 101, 5), (2 * MS, FILL, 1, 1, 99, 2)]
    r.feed_orders(columns([*rows, (3 * MS, FILL, 2, -1, 101, 1)], 6))
    r.advance(10 * MS)
    sample = dict(zip(SAMPLE_COLUMNS, r.samples()[0], strict=True))
    assert (sample["sell_volume"], sample["buy_volume"]) == (2 * LOT, LOT)
    assert (sample["bid_size"], sample["ask_size"]) == (3 * LOT, 4 * LOT)
    assert r.counters["unknown_orders"] == r.counters["excess_takings"] == 0


def test_local_times_of_the_feed():
    r = Replay(TICK, LOT, queue_model="fifo")
    rows = columns([(MS, ADD, 1, 1, 99, 5), (2 * MS, ADD, 2, -1, 101, 5)], 6)
    r.feed_orders((*rows, np.array([3 * MS, 9 * MS])))
    r.advance(3 * MS)
    assert (r.bid_tick, r.ask_tick) == (99, None)
    r.advance(9 * MS)
    assert r.ask_tick == 101


def test_what_does_not_go_together_is_refused():
    rows = columns([(5, ADD, 1, 1, 99, 5)], 6)
    r = Replay(TICK, LOT, queue_model="fifo")
    with pytest.raises(ValueError, match="feed_orders"):
        r.feed(*L3Book(TICK, LOT).flatten(*rows)[:2])
    r.feed_orders(rows)
    r.advance(9)
    for bad, message in (
        (columns([(8, ADD, 2, 1, 99, 5)], 6), "row 0: time 8"),
        (columns([(11, ADD, 2, 1, 99, 5), (10, ADD, 3, 1, 99, 5)], 6), "row 1: time 10"),
        (columns([(10, ADD, 2, 1, 99, 5), (11, ADD, 3, 1, 99, 0)], 6), "row 1: kind 1"),
        (columns([(10, ADD, 2, 1, 99, 5)], 6)[:5], "expected time, kind"),
    ):
        with pytest.raises(ValueError, match=message):
            r.feed_orders(bad)
    r.feed_orders(columns([(10, ADD, 2, 1, 99, 5)], 6))
    r.finish()
    assert (r.bid_lots, r.counters["duplicate_orders"]) == (10, 0)

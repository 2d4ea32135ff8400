import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrcore.account import Account
from mrcore.exchange import REASONS
from mrcore.flow import VPIN
from mrcore.replay import SAMPLE_COLUMNS, Replay

from ..oracle.replay import samples as slow_samples
from .feeds import LOT, MS, TICK, columns, market_tape, tapes

TIMES = st.lists(st.integers(0, 200), max_size=8, unique=True).map(
    lambda ms: np.array(sorted(ms), np.int64) * MS
)


def column(r, name):
    return r.samples()[:, SAMPLE_COLUMNS.index(name)]


@given(tape=tapes(), times=TIMES, latency=st.sampled_from([0, MS, 7 * MS]))
def test_samples_equal_the_slow_ones(tape, times, latency):
    r = Replay(TICK, LOT, sample_times=times, feed_latency_ns=latency)
    r.feed(*tape)
    r.advance(10_000 * MS)
    truth = slow_samples(*tape, times.tolist(), latency, TICK, LOT)
    assert len(r.samples()) == len(times)
    for name in truth[0] if truth else ():
        if name in SAMPLE_COLUMNS:
            expected = [row[name] for row in truth]
            np.testing.assert_allclose(column(r, name), expected, rtol=1e-12, err_msg=name)


def test_vpin_and_kyle_are_those_of_the_flow_module():
    deltas, trades = market_tape()
    times = np.arange(deltas[0][0] + 10**9, deltas[0][-1], 10**8)
    r = Replay(0.1, 0.001, sample_times=times, vpin_bucket=0.5, vpin_buckets=5, kyle_window=20)
    r.feed(deltas, trades)
    r.finish()
    vpin, at = VPIN(0.5, 5), 0
    for k, t in enumerate(times):
        while at < len(trades[0]) and trades[0][at] <= t:
            vpin.update(int(trades[1][at]), trades[3][at] * 0.001)
            at += 1
        np.testing.assert_allclose(column(r, "vpin")[k], vpin.value, rtol=1e-6)
    mid = (column(r, "bid") + column(r, "ask")) / 2
    flow = column(r, "buy_volume") - column(r, "sell_volume")
    for k in range(40, len(times), 17):
        x, y = flow[k - 19 : k + 1], np.diff(mid)[k - 20 : k]
        expected = np.cov(x, y)[0, 1] / np.var(x, ddof=1)
        np.testing.assert_allclose(column(r, "kyle_lambda")[k], expected, rtol=1e-8)


SCHEDULE = st.lists(
    st.tuples(
        st.integers(0, 200),
        st.integers(-6, 6),
        st.booleans(),
        st.sampled_from([0, 0, 2]),
        st.sampled_from([0, 0, 15]),
        st.sampled_from([0, 10]),
        st.booleans(),
    ),
    max_size=8,
).map(lambda rows: sorted(rows, key=lambda row: row[0]))


def everything(r):
    """All outputs as bytes: the same bits, NaN too."""
    return [a.tobytes() for a in (r.samples(), r.orders(), r.order_events(), r.fills())]


def replay(times, latency, **options):
    return Replay(
        TICK, LOT, sample_times=times, feed_latency_ns=latency, entry_latency_ns=latency,
        response_latency_ns=latency, maker_fee=0.0001, taker_fee=0.0005, kyle_window=3,
        vpin_bucket=2.0, vpin_buckets=2, **options,
    )  # fmt: skip


def schedule(r, rows):
    at, lots, aggressive, stop, hold, timeout, give_up = (
        zip(*rows, strict=True) if rows else ((),) * 7
    )
    ms = [np.array(c, np.int64) * MS for c in (at, hold, timeout)]
    r.schedule(
        ms[0], np.array(lots, np.int64), np.array(aggressive, bool), np.array(stop, np.int64),
        ms[1], ms[2], np.array(give_up, bool),
    )  # fmt: skip


@given(
    tape=tapes(), times=TIMES, rows=SCHEDULE, latency=st.sampled_from([0, MS, 7 * MS]),
    stops=st.lists(st.integers(0, 400), max_size=6), model=st.sampled_from(["power", "strict"]),
)  # fmt: skip
def test_any_chunking_gives_the_same_bits(tape, times, rows, latency, stops, model):
    whole = replay(times, latency, queue_model=model)
    schedule(whole, rows)
    whole.feed(*tape)
    whole.advance(10_000 * MS)

    parts = replay(times, latency, queue_model=model, window=16)
    schedule(parts, rows)
    done = [0, 0]
    for stop in sorted(stops):
        edges = [int(np.searchsorted(c[0], stop * MS, side="right")) for c in tape]
        parts.feed(*(tuple(c[a:b] for c in s) for s, a, b in zip(tape, done, edges, strict=True)))
        done = edges
        parts.advance(stop * MS)
    parts.feed(*(tuple(c[a:] for c in s) for s, a in zip(tape, done, strict=True)))
    parts.advance(10_000 * MS)
    assert everything(whole) == everything(parts)


@given(
    tape=tapes(), times=TIMES, rows=SCHEDULE, latency=st.sampled_from([1, MS, 7 * MS]),
    model=st.sampled_from(["power", "strict"]),
)  # fmt: skip
def test_one_book_for_both_clocks_gives_the_same_bits_as_two(tape, times, rows, latency, model):
    """`depth` keeps the received book by itself; the feed's own delays may be constant."""
    delayed = tuple((*columns, columns[0] + latency) for columns in tape)
    seen = []
    for depth, feed in ((True, tape), (False, tape), (True, delayed), (False, delayed)):
        r = replay(times, latency, queue_model=model, depth=depth)
        schedule(r, rows)
        r.feed(*feed)
        r.advance(10_000 * MS)
        seen.append((everything(r), r.bid_tick, r.ask_tick, r.bid_lots, r.ask_lots))
    assert all(each == seen[0] for each in seen)


@given(tape=tapes(), rows=SCHEDULE, times=TIMES, data=st.data())
def test_the_feeds_own_delays_give_the_same_with_one_book_as_with_two(tape, rows, times, data):
    feed = []
    for stream in tape:
        n = len(stream[0])
        delays = st.lists(st.integers(1, 30), min_size=n, max_size=n)
        local = stream[0] + np.array(data.draw(delays), np.int64) * MS
        feed.append((*stream, np.maximum.accumulate(local)))
    seen = []
    for depth in (True, False):
        r = replay(times, MS, depth=depth)
        schedule(r, rows)
        r.feed(*feed)
        r.advance(10_000 * MS)
        seen.append(everything(r))
    assert seen[0] == seen[1]


@given(tape=tapes(), rows=SCHEDULE, latency=st.sampled_from([0, MS, 7 * MS]))
def test_a_schedule_equals_stepping(tape, rows, latency):
    whole = replay(None, latency)
    schedule(whole, rows)
    whole.feed(*tape)
    whole.advance(10_000 * MS)
    steps = replay(None, latency)
    steps.feed(*tape)
    for at, lots, aggressive, stop, hold, timeout, give_up in rows:
        steps.advance(at * MS)
        steps.set_target(
            lots, aggressive=aggressive, stop_ticks=stop, hold_ns=hold * MS,
            timeout_ns=timeout * MS, give_up=give_up,
        )  # fmt: skip
    steps.advance(10_000 * MS)
    # two targets at one time: the schedule acts once, on the later
    if len({row[0] for row in rows}) == len(rows):
        assert everything(whole) == everything(steps)


@given(tape=tapes(), rows=SCHEDULE, cut=st.integers(0, 200), seed=st.integers(0, 9))
def test_nothing_depends_on_the_future(tape, rows, cut, seed):
    """Garbage after the cut changes no sample, order event or fill up to it."""
    rng = np.random.default_rng(seed)
    times = np.arange(0, 300, 10, dtype=np.int64) * MS
    other = []
    for time, side, tick, lots in tape:
        late = time > cut * MS
        tick, lots = tick.copy(), lots.copy()
        tick[late] = rng.integers(80, 120, late.sum())
        lots[late] = rng.integers(1, 99, late.sum())
        other.append((time, side, tick, lots))
    seen = []
    for feed in (tape, other):
        r = replay(times, MS)
        schedule(r, rows)
        r.feed(*feed)
        r.advance(10_000 * MS)
        n = int(np.searchsorted(times, cut * MS + MS, side="right"))  # received by then
        seen.append(
            [
                r.samples()[:n].tobytes(),
                *(a[a["time"] <= cut * MS].tobytes() for a in (r.order_events(), r.fills())),
            ]
        )
    assert seen[0] == seen[1]


def test_the_executor_reaches_its_target_on_a_liquid_market():
    deltas, trades = market_tape(n_deltas=60_000)
    start = int(deltas[0][0])
    r = Replay(
        0.1, 0.001, feed_latency_ns=MS, entry_latency_ns=MS, response_latency_ns=MS,
        maker_fee=0.0002, taker_fee=0.0005,
    )  # fmt: skip
    r.feed(deltas, trades)
    r.advance(start + 10**9)
    r.set_target(500, timeout_ns=5 * 10**9)
    r.advance(start + 20 * 10**9)
    assert r.position_lots == 500
    r.set_target(-500, aggressive=True)
    r.advance(start + 21 * 10**9)
    assert r.position_lots == -500
    r.set_target(0)
    r.finish()
    assert r.position_lots == r.exchange_position_lots == 0
    fills = r.fills()
    assert fills["maker"].any()
    assert not fills["maker"].all()
    np.testing.assert_allclose(r.cash, fills["cash"][-1])


def test_zero_signal_zero_cost_is_zero():
    r = Replay(0.1, 0.001)
    r.feed(*market_tape())
    r.advance(int(r.counters["events"]))
    r.set_target(0)
    r.finish()
    assert (r.cash, r.fees, r.position_lots, len(r.orders())) == (0.0, 0.0, 0, 0)


def test_trades_come_before_deltas_of_the_same_time():
    """The trade eats the queue first, so the delta that reports it is no cancellation."""
    book = columns([(0, 1, 99, 4), (0, -1, 101, 4), (5 * MS, 1, 99, 2)])
    r = Replay(TICK, LOT, queue_model="power", queue_power=1.0)
    r.feed(book, columns([(5 * MS, -1, 99, 2), (6 * MS, -1, 99, 2), (7 * MS, -1, 99, 1)]))
    r.advance(MS)
    r.submit(1, 99, 1)
    r.finish()
    # F: 4, then 2 by the trade; the delta explains nothing more; 0 at 6 ms, our turn at 7 ms
    assert r.fills()["time"].tolist() == [7 * MS]


def test_a_sample_comes_before_the_exchange_data_of_its_time():
    """A fill at T is not in the account that a decision at T is shown."""
    book = columns([(0, 1, 99, 4), (0, -1, 101, 4)])
    r = Replay(TICK, LOT, sample_times=np.array([5 * MS, 5 * MS + 1]))
    r.feed(book, columns([(5 * MS, -1, 98, 1)]))
    r.advance(MS)
    r.submit(1, 99, 2)
    r.advance(5 * MS)
    assert len(r.fills()) == 0
    r.finish()
    assert r.fills()["time"].tolist() == [5 * MS]
    assert column(r, "position").tolist() == [0.0, 2 * LOT]
    assert column(r, "cash").tolist() == [0.0, -2 * LOT * 99 * TICK]


def test_advance_stops_before_the_exchange_data_of_its_time():
    """With nothing to decide there too: a target set at T must find the same exchange."""
    r = Replay(TICK, LOT)
    r.feed(columns([(0, 1, 99, 4), (0, -1, 101, 4)]), columns([(5 * MS, -1, 98, 1)]))
    r.advance(MS)
    r.submit(1, 99, 2)
    r.advance(5 * MS)
    assert (len(r.fills()), r.counters["events"]) == (0, 2)
    r.advance(5 * MS + 1)
    assert (len(r.fills()), r.counters["events"]) == (1, 3)


def test_the_first_book_after_an_empty_one_is_no_order_flow():
    """As after a clear: a message that leaves nothing, then the levels in the next."""
    times = np.array([1, 2, 3]) * MS
    r = Replay(TICK, LOT, sample_times=times)
    rows = [(0, 1, 99, 4), (0, 0, 0, 0), (MS, 1, 98, 4), (2 * MS, 1, 98, 6), (3 * MS, 1, 98, 0)]
    r.feed(columns(rows), columns([]))
    r.advance(3 * MS)
    assert column(r, "ofi").tolist() == [0.0, 2 * LOT, -6 * LOT]


def test_two_replays_run_at_once():
    tape = market_tape()
    alone = Replay(0.1, 0.001, sample_times=np.arange(tape[0][0][0], tape[0][0][-1], 10**8))
    alone.feed(*tape)
    alone.finish()
    pair = []
    for _ in range(2):
        r = Replay(0.1, 0.001, sample_times=np.arange(tape[0][0][0], tape[0][0][-1], 10**8))
        r.feed(*tape)
        pair.append(r)
    threads = [threading.Thread(target=r.finish) for r in pair]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for r in pair:
        np.testing.assert_array_equal(r.samples(), alone.samples())


def test_read_only_columns_are_taken_and_kept_alive():
    tape = tuple(tuple(c.copy() for c in s) for s in market_tape())
    for stream in tape:
        for c in stream:
            c.flags.writeable = False
    r = Replay(0.1, 0.001)
    n = sum(len(s[0]) for s in tape)
    r.feed(*tape)
    del tape, stream, c
    assert r.finish() == n


@pytest.mark.parametrize(
    ("deltas", "trades", "message"),
    [
        ([(5, 1, 100, 1), (4, 1, 100, 1)], [], "deltas row 1: time 4"),
        ([(5, 2, 100, 1)], [], "deltas row 0: .*side 2"),
        ([(5, 1, -1, 1)], [], "tick -1"),
        ([(5, 1, 100, -1)], [], "lots -1"),
        ([(5, 1, 100, 1)], [(5, 0, 100, 1)], "trades row 0: .*side 0"),
        ([(5, 1, 100, 1)], [(6, 1, 100, 1), (6, 1, 100, 0)], "trades row 1"),
    ],
)
def test_a_bad_tape_names_its_row_and_nothing_is_taken(deltas, trades, message):
    r = Replay(TICK, LOT)
    with pytest.raises(ValueError, match=message):
        r.feed(columns(deltas), columns(trades))
    assert r.finish() == 0
    r = Replay(TICK, LOT)
    r.feed(columns([(0, 1, 100, 1)]), columns([]))
    r.advance(10)
    with pytest.raises(ValueError, match="start at 10 or later"):
        r.feed(columns([(9, 1, 100, 1)]), columns([]))
    with pytest.raises(ValueError, match="differ in length"):
        r.feed((*columns([(11, 1, 100, 1)])[:3], np.empty(0, np.int64)), columns([]))


def test_bad_options():
    for bad in (
        {"queue_model": "lucky"}, {"kyle_window": 2}, {"vpin_buckets": 0}, {"queue_power": 0.0},
        {"entry_latency_ns": -1}, {"maker_fee": float("nan")}, {"multiplier": 0.0},
        {"vpin_bucket": -1.0}, {"sample_times": np.array([2, 1])},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=next(iter(bad))):
            Replay(TICK, LOT, **bad)
    r = Replay(TICK, LOT)
    r.advance(5)
    with pytest.raises(ValueError, match="cannot go back"):
        r.advance(4)
    with pytest.raises(ValueError, match="start at 5"):
        schedule(r, [(0, 1, False, 0, 0, 0, False)])
    with pytest.raises(ValueError, match=r"row 0: stop_ticks must be >= 0.* were -1,"):
        schedule(r, [(1, 1, False, -1, 0, 0, False)])
    forever = np.full(1, 2**63 - 1)
    with pytest.raises(ValueError, match="hold_ns and timeout_ns in"):
        r.schedule(forever, forever, [False], np.zeros(1, int), forever, forever, [False])
    with pytest.raises(ValueError, match="hold_ns and timeout_ns in"):
        r.set_target(1, hold_ns=2**63 - 1)
    with pytest.raises(ValueError, match="cannot go back"):
        Replay(TICK, LOT).advance(-(2**63))
    with pytest.raises(ValueError, match="feed_latency_ns must be in"):
        Replay(TICK, LOT, feed_latency_ns=2**62)


def test_columns_that_are_no_arrays_are_refused_and_nothing_is_taken():
    row = columns([(5, 1, 100, 1)])
    for trades in ((None,) * 4, (1, 2, 3, 4), row[:3]):
        r = Replay(TICK, LOT)
        with pytest.raises((ValueError, TypeError)):
            r.feed(row, trades)
        assert r.finish() == 0


def test_a_cleared_book_begins_the_order_flow_anew_though_the_touch_is_the_same():
    deltas = columns(
        [
            *[(0, 1, 99, 5), (0, -1, 101, 5)],
            *[(10 * MS, 0, 0, 0), (10 * MS, 1, 99, 5), (10 * MS, -1, 101, 5)],
            (20 * MS, 1, 99, 8),
        ]
    )
    r = Replay(TICK, LOT, sample_times=np.array([30 * MS]))
    r.feed(deltas, columns([]))
    r.advance(30 * MS)
    assert column(r, "ofi").tolist() == [3 * LOT]


def test_a_position_that_must_close_is_closed_even_when_the_target_was_given_up():
    """The exit of the holding time fills in part; later books must be used for the rest."""
    deltas = [(0, 1, 99, 50), (0, -1, 101, 50), (20 * MS, 1, 98, 50), (20 * MS, 1, 99, 3)]
    deltas += [(200 * MS, 1, 99, 40)]
    r = Replay(TICK, LOT)
    r.feed(columns(deltas), columns([(10 * MS, -1, 98, 10)]))
    r.advance(MS)
    r.set_target(10, timeout_ns=30 * MS, hold_ns=100 * MS, give_up=True)
    r.advance(20 * MS)
    assert r.position_lots == 10
    r.advance(150 * MS)
    assert r.position_lots == 7
    r.advance(300 * MS)
    assert r.position_lots == 0


def test_the_executor_leaves_orders_of_others_alone():
    r = Replay(TICK, LOT, entry_latency_ns=5 * MS, response_latency_ns=5 * MS)
    r.feed(columns([(0, 1, 99, 5), (0, -1, 101, 5), (50 * MS, 1, 98, 5)]), columns([]))
    r.advance(MS)
    r.submit(1, 97, 1)
    r.set_target(0)
    r.finish()
    assert r.order_events()["event"].tolist() == [0, 1]  # submitted, accepted


@given(
    tape=tapes(), times=TIMES, rows=SCHEDULE, latency=st.sampled_from([0, MS, 7 * MS]),
    cut=st.integers(0, 300), depth=st.booleans(), model=st.sampled_from(["power3", "strict"]),
)  # fmt: skip
def test_a_copy_and_a_pickle_go_on_bit_for_bit(tape, times, rows, latency, cut, depth, model):
    r = replay(times, latency, queue_model=model, depth=depth)
    schedule(r, rows)
    r.schedule_orders(
        np.array([3, 20, 90]) * MS, np.array([1, -1, 1], np.int8), np.array([99, 101, 98]),
        np.array([2, 3, 1]), np.array([0, 1, 0], np.int8), np.array([0, 60, 95]) * MS,
    )  # fmt: skip
    r.feed(*tape)
    r.advance(cut * MS)
    twin = r.copy()
    restored = pickle.loads(pickle.dumps(r))
    other = r.copy()
    other.submit(1, 150, 5, "market")  # what happens there is not seen here
    other.advance(10_000 * MS)
    for each in (r, twin, restored):
        each.advance(10_000 * MS)
    assert everything(twin) == everything(r)
    assert everything(restored) == everything(r)
    assert twin.counters == r.counters


def test_a_pickle_of_another_version_or_a_damaged_one_is_refused():
    restore, (state,) = Replay(TICK, LOT).__reduce__()
    for arrays in ([], [b"", *state["arrays"][1:]]):
        with pytest.raises(ValueError, match="damaged"):
            restore({**state, "arrays": arrays})
    with pytest.raises(ValueError, match=r"saved by mrtrade 0\.0\.0, this is"):
        restore({**state, "version": "0.0.0"})


def test_what_is_drained_adds_up_to_the_whole():
    deltas, trades = market_tape()
    start, end = int(deltas[0][0]), int(deltas[0][-1])

    def quoting(drained):
        r = Replay(
            0.1, 0.001, sample_interval_ns=10 * MS, feed_latency_ns=MS, entry_latency_ns=MS,
            response_latency_ns=MS,
        )  # fmt: skip
        r.feed(deltas, trades)
        for k, now in enumerate(range(start + 50 * MS, end, 50 * MS)):
            r.advance(now)
            if r.bid_tick is not None and r.ask_tick is not None:
                r.quote(r.bid_tick, r.ask_tick, 10, levels=3)
            if drained is not None and k % 7 == 0:
                drained.append(r.drain())
        r.finish()
        return r

    parts = []
    whole, rest = quoting(None), quoting(parts)
    parts.append(rest.drain())
    for name in ("samples", "order_events", "fills"):
        joined = np.concatenate([part[name] for part in parts])
        assert joined.tobytes() == getattr(whole, name)().tobytes()
    latest = {row["order_id"]: row for part in parts for row in part["orders"]}
    assert np.array([latest[i] for i in sorted(latest)]).tobytes() == whole.orders().tobytes()
    assert max(len(part["orders"]) for part in parts) < len(whole.orders()) / 4
    assert len(rest.orders()) <= 6 + rest.open_orders


def test_quotes_stand_where_they_are_wanted_and_nowhere_else():
    r = Replay(TICK, LOT)
    r.feed(columns([(0, 1, 99, 4), (0, -1, 101, 4)]), columns([]))
    r.advance(MS)
    other = r.submit(1, 90, 1)
    r.quote(99, 101, 2, levels=3, step_ticks=2)
    r.advance(2 * MS)
    resting = {(o["side"], o["tick"]): o["order_id"] for o in r.orders() if o["order_id"] != other}
    assert sorted(resting) == [(-1, 101), (-1, 103), (-1, 105), (1, 95), (1, 97), (1, 99)]
    r.quote(97, None, 2, levels=2, step_ticks=2)
    r.advance(3 * MS)
    live = {int(o["order_id"]) for o in r.orders() if o["status"] == 1}
    assert live == {other, resting[1, 97], resting[1, 95]}  # kept, with their places
    r.quote(97, None, 2, levels=2, step_ticks=2, keep=False)
    r.advance(4 * MS)
    live = {int(o["order_id"]) for o in r.orders() if o["status"] == 1}
    assert len(live) == r.open_orders == 3
    assert live & set(resting.values()) == set()
    r.cancel_all()
    r.advance(5 * MS)
    assert r.open_orders == 0
    for bad in ({"levels": 65}, {"levels": 0}, {"step_ticks": 0}, {"lots": 0}):
        with pytest.raises(ValueError, match="expected lots"):
            r.quote(**{"bid_tick": 99, "ask_tick": None, "lots": 1, **bad})


def test_callbacks_come_when_their_condition_holds_and_not_otherwise():
    book = columns([(0, 1, 99, 4), (0, -1, 101, 4), (30 * MS, 1, 98, 7)])
    r = Replay(TICK, LOT, feed_latency_ns=MS, response_latency_ns=2 * MS)
    r.feed(book, columns([(7 * MS, -1, 98, 1)]))
    r.advance(2 * MS)
    r.submit(1, 99, 3)
    seen = []
    r.run(
        40 * MS, on_fill=lambda r: seen.append(("fill", r.time_ns // MS)),
        on_feed=lambda r: seen.append(("feed", r.time_ns // MS)),
        on_timer=lambda r: seen.append(("timer", r.time_ns // MS)), every_ns=10 * MS,
    )  # fmt: skip
    timers = [("timer", 2 + 10 * k) for k in (1, 2, 3)]
    expected = sorted([("feed", 8), ("fill", 9), ("feed", 31), *timers], key=lambda e: e[1])
    assert seen == expected
    assert r.time_ns == 40 * MS


def received(*rows):
    *rows, local = zip(*rows, strict=True)
    return *columns(list(zip(*rows, strict=True))), np.array(local, np.int64)


NOTHING = (*columns([]), np.empty(0, np.int64))


def test_a_sample_has_the_trades_that_came_sooner_than_a_delta_before_them():
    times = np.array([15, 30], np.int64)
    deltas = received((1, 1, 100, 5, 2), (1, -1, 101, 5, 2), (10, 1, 99, 7, 20))
    trades = received((11, 1, 101, 3, 12))
    whole, parts = (Replay(TICK, LOT, sample_times=times) for _ in range(2))
    whole.feed(deltas, trades)
    parts.feed(deltas, NOTHING)
    parts.advance(11)  # the delta that the sample at 15 does not know has happened
    parts.feed(NOTHING, trades)
    for r in (whole, parts):
        r.advance(40)
        assert column(r, "n_trades").tolist() == [1.0, 0.0]
    assert whole.samples().tobytes() == parts.samples().tobytes()


@pytest.mark.parametrize(("first", "rows"), [(17, 3), (20, 3), (-17, 10)])
def test_sample_intervals_begin_with_the_first_data(first, rows):
    r = Replay(TICK, LOT, sample_interval_ns=5)
    r.feed(columns([(first, 1, 100, 5)]), columns([]))
    r.advance(30)
    assert len(r.samples()) == rows
    assert not np.isnan(column(r, "bid")).any()


def test_local_times_cannot_be_left_out_later():
    r = Replay(TICK, LOT)
    r.feed(received((1, 1, 100, 5, 2)), NOTHING)
    r.advance(10)
    r.feed(NOTHING, NOTHING)
    with pytest.raises(ValueError, match="had 5 columns before"):
        r.feed(columns([(20, 1, 101, 5)]), columns([]))


def test_logs_are_not_read_while_another_thread_writes_them():
    n = 10_000_000
    r = Replay(TICK, LOT)
    time = np.arange(n)
    r.feed((time, np.ones(n, np.int8), np.full(n, 100, np.int32), time % 7 + 1), columns([]))
    thread = threading.Thread(target=r.advance, args=(n,))
    thread.start()
    refused = 0
    while thread.is_alive() and refused < 4:
        refused = 0
        for log in (r.fills, r.orders, r.order_events, r.samples):
            try:
                log()
            except RuntimeError:
                refused += 1
    thread.join()
    assert refused == 4


def test_times_and_sizes_at_the_end_of_the_numbers():
    r = Replay(TICK, LOT)
    r.feed(columns([(1, 1, 100, 5), (1, -1, 102, 5)]), columns([]))
    r.advance(0)
    r.run(1_700_000_000_000_000_000)
    for bid, ask, lots in ((100, 102, 1 << 62), (1 << 61, None, 1), (None, 1 << 60, 1)):
        with pytest.raises(ValueError, match="expected lots"):
            r.quote(bid, ask, lots)
    r.advance((1 << 62) - 1)
    with pytest.raises(ValueError, match="timeout_ns"):
        r.wait_next(1)
    with pytest.raises(ValueError, match="every_ns"):
        r.run((1 << 62) - 1, on_timer=print, every_ns=1 << 62)


def test_a_timer_at_the_end_comes_after_a_fill_at_that_time():
    r = Replay(TICK, LOT, feed_latency_ns=5, response_latency_ns=5)
    r.feed(columns([(1, 1, 100, 5), (1, -1, 102, 5)]), columns([(20, -1, 100, 50)]))
    r.advance(10)
    r.submit(1, 100, 3)
    seen = []
    r.run(
        25,
        every_ns=5,
        on_fill=lambda r: seen.append(("fill", r.time_ns)),
        on_timer=lambda r: seen.append(("timer", r.time_ns)),
    )
    assert seen == [("timer", 15), ("timer", 20), ("fill", 25), ("timer", 25)]


def test_data_and_a_fill_received_at_one_time_are_both_called_back():
    r = Replay(TICK, LOT, feed_latency_ns=MS, response_latency_ns=MS)
    r.feed(columns([(0, 1, 99, 4), (0, -1, 101, 4)]), columns([(7 * MS, -1, 98, 1)]))
    r.advance(2 * MS)
    r.submit(1, 99, 3)
    seen = []
    r.run(20 * MS, on_fill=lambda r: seen.append("fill"), on_feed=lambda r: seen.append("feed"))
    assert seen == ["feed", "fill"]


def test_the_executor_does_not_ask_again_for_what_the_account_refused():
    rows = [(0, 1, 99, 50), (0, -1, 101, 50)]
    rows += [(k * MS, 1, 90, 1 + k) for k in range(10, 60)]
    r = Replay(TICK, LOT, account=Account(10.0, initial_margin=0.5))
    r.feed(columns(rows), columns([]))
    r.advance(MS)
    r.set_target(100, aggressive=True)
    r.finish()
    events = r.order_events()
    assert [REASONS[i] for i in events["reason"] if i] == ["margin"]
    r = Replay(TICK, LOT, account=Account(10.0, initial_margin=0.5))
    r.feed(columns(rows), columns([]))
    r.advance(MS)
    r.set_target(100, aggressive=True)
    r.advance(30 * MS)
    r.set_target(1, aggressive=True)  # another target is tried
    r.finish()
    assert r.position_lots == 1

"""Order latency: the table against its slow twin, the distributions against theirs."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrcore.exchange import EVENTS, REASONS, TIFS
from mrcore.latency import Latency
from mrcore.replay import Replay

from ..oracle import exchange as slow
from ..oracle.latency import Recorded
from .feeds import LOT, MS, TICK, columns, market_tape, tapes

START = 1_704_067_200_000_000_000
NS = np.int64
TIMES = np.arange(START, START + 1000, dtype=NS)


@st.composite
def recordings(draw, start=START, step=10**6):
    """Rows of a recorder; some requests were rejected, exchange times never fall."""
    rows, sent, reached = [], start, start
    for wait, there, back, lost in draw(
        st.lists(
            st.tuples(
                st.integers(0, 9 * step),
                st.integers(0, 5 * step),
                st.integers(0, 5 * step),
                st.booleans(),
            ),
            min_size=1,
            max_size=12,
        )
    ):
        sent += wait
        if lost:
            rows.append((sent, 0, sent + there + 1))
        else:
            reached = max(reached, sent + there)
            rows.append((sent, reached, reached + back))
    if not any(row[1] for row in rows):
        reached = max(reached, sent)
        rows.append((sent, reached + step, reached + 2 * step))
    return rows


def table(rows):
    return [np.array(c, NS) for c in zip(*rows, strict=True)]


@given(
    rows=recordings(),
    times=st.lists(st.integers(START - 10**7, START + 15 * 10**7), max_size=30).map(sorted),
    kind=st.sampled_from(["submit", "cancel", "replace"]),
)
def test_a_recording_is_interpolated_as_the_slow_twin_does(rows, times, kind):
    latency, slow = Latency.recorded(*table(rows)), Recorded(rows)
    times = [t for t in times for _ in range(2)]
    assert latency.requests(times, kind).tolist() == [slow.entry(t) for t in times]
    assert latency.responses(times).tolist() == [slow.response(t) for t in times]


def test_the_line_is_truncated_in_float64_towards_the_row_before():
    """By hand: delays 10 and 3 at 0 and 3; slope -7/3, so 10 - 2, 10 - 4 (4.67), 3."""
    latency = Latency.recorded([100, 103], [110, 106], [120, 120])
    assert latency.requests([99, 100, 101, 102, 103, 104]).tolist() == [10, 10, 8, 6, 3, 3]
    # rows at exchange times 110 and 106: the first says nothing once the second has come
    assert latency.responses([105, 106, 110, 111]).tolist() == [10, 14, 14, 14]
    # float64 cannot hold 2**53 + 1: hftbacktest's arithmetic gives the even neighbour
    gap = 2**53 + 1
    latency = Latency.recorded([0, 2], [1, 2 + 1 + 2 * gap], [2 * gap] * 2 + np.array([9, 9]))
    assert latency.requests([1]).tolist() == [int(float(2 * gap) / 2.0 * 1.0) + 1]


def test_a_rejected_row_rejects_what_lies_between_it_and_its_neighbours():
    """hftbacktest says -START for the last row: rejected, and known in 54 years."""
    rows = [(START, START + 10, START + 20), (START + 100, 0, START + 140)]
    latency = Latency.recorded(*table(rows))
    assert latency.requests([START - 1, START, START + 50, START + 200]).tolist() == [
        10, -20, -30, -40,
    ]  # fmt: skip
    # there too a response would take until the next row that got to the exchange
    rows.append((START + 200, START + 220, START + 230))
    assert Latency.recorded(*table(rows)).responses([START + 100]).tolist() == [10]


def test_constants_of_each_kind():
    latency = Latency.constant(5, 7, cancel_ns=3)
    assert latency.requests(TIMES[:2]).tolist() == [5, 5]
    assert latency.requests(TIMES[:2], "cancel").tolist() == [3, 3]
    assert latency.requests(TIMES[:2], "replace").tolist() == [5, 5]
    assert latency.responses(TIMES[:2]).tolist() == [7, 7]
    assert Latency().requests(TIMES[:1]).tolist() == [0]


def test_a_feed_gives_the_delays_of_its_rows():
    time = np.array([0, 200, 300, 1000], NS) + START
    received = np.array([50, 190, 400, 1200], NS) + START
    latency = Latency.from_feed(
        time, received, request=2.0, response=0.5, least_ns=20, every_ns=1
    )  # fmt: skip
    assert latency.requests(received).tolist() == [100, 40, 200, 400]
    assert latency.responses(latency.requests(received) + received).tolist() == [25, 10, 50, 100]
    # one row for each whole interval of local time, its first
    latency = Latency.from_feed(time, received, every_ns=1000)
    assert (
        latency.requests(received).tolist()
        == Latency.recorded(
            received[[0, 3]], received[[0, 3]] + [50, 200], received[[0, 3]] + [100, 400]
        )
        .requests(received)
        .tolist()
    )


def test_draws_follow_the_table():
    """Quantiles of 200,000 draws against those asked for, each within 5 standard errors."""
    table = np.array([100, 200, 200, 1000, 5000], NS)
    latency = Latency.sampled(table, [9], cancel_ns=[50, 60], seed=3)
    draws = latency.requests(np.zeros(200_000, NS))
    assert (draws.min(), draws.max()) >= (100, 4000)
    assert draws.max() < 5000
    for p in (0.1, 0.25, 0.6, 0.75, 0.9):
        share = (draws < np.quantile(table, p)).mean() + (draws == np.quantile(table, p)).mean() / 2
        expected = p if np.quantile(table, p) != 200 else 0.375
        assert abs(share - expected) < 5 * np.sqrt(p * (1 - p) / len(draws)) + 1e-3, p
    cancels = latency.requests(np.zeros(10_000, NS), "cancel")
    assert (cancels.min(), cancels.max()) == (50, 59)
    assert set(latency.responses(np.zeros(10, NS)).tolist()) == {9}


def test_draws_follow_the_lognormal():
    latency = Latency.lognormal(2_000_000, 1_000_000, 0.5, replace_ns=0, seed=5)
    logs = np.log(latency.requests(np.zeros(200_000, NS)) / 2e6)
    assert abs(logs.mean()) < 5 * 0.5 / np.sqrt(200_000)
    assert abs(logs.std() - 0.5) < 5 * 0.5 / np.sqrt(400_000)
    assert not latency.requests(TIMES, "replace").any()
    assert abs(np.median(latency.responses(np.zeros(100_000, NS))) - 1e6) < 1e4


def test_a_seed_gives_the_same_bits_everywhere():
    """Recorded once: any platform, compiler and Python must find them again."""
    sampled = Latency.sampled([1000, 2000, 4000, 9000], [500, 700], seed=11)
    lognormal = Latency.lognormal(10**6, 10**5, 0.7, seed=11)
    zeros = np.zeros(3, NS)
    assert sampled.requests(zeros).tolist() == SAMPLED_REQUESTS
    assert sampled.responses(zeros).tolist() == SAMPLED_RESPONSES
    assert lognormal.requests(zeros).tolist() == LOGNORMAL_REQUESTS
    other = Latency.sampled([1000, 2000, 4000, 9000], [500, 700], seed=12)
    assert other.requests(zeros).tolist() != sampled.requests(zeros).tolist()


SAMPLED_REQUESTS = [8032, 7016, 1713]
SAMPLED_RESPONSES = [684, 544, 610]
LOGNORMAL_REQUESTS = [1534257, 1137181, 2653157]

ONE_OF_EACH = [
    Latency.constant(1, 2, 3, 4),
    Latency.recorded([1, 5, 9], [2, 0, 30], [3, 7, 40]),
    Latency.sampled([5, 1, 3], [7], replace_ns=[8, 9], seed=2**64 - 1),
    Latency.lognormal(100, 200, 0.1, cancel_ns=50, seed=4),
]


@pytest.mark.parametrize("latency", ONE_OF_EACH, ids=lambda latency: repr(latency).split("(")[0])
def test_copies_and_pickles_give_the_same_delays(latency):
    expected = [latency.requests(TIMES, k).tolist() for k in ("submit", "cancel", "replace")]
    for other in (copy.deepcopy(latency), pickle.loads(pickle.dumps(latency))):
        assert repr(other) == repr(latency)
        assert [
            other.requests(TIMES, k).tolist() for k in ("submit", "cancel", "replace")
        ] == expected
        assert other.responses(TIMES).tolist() == latency.responses(TIMES).tolist()


def test_what_it_was_made_of_may_change_later():
    sent, quantiles = np.array([1, 5], NS), np.array([3, 1], NS)
    recorded = Latency.recorded(sent, sent + 2, sent + 4)
    sampled = Latency.sampled(quantiles, quantiles)
    sent[:] = quantiles[:] = 10**9
    assert recorded.requests([4]).tolist() == [2]
    assert sampled.requests([4])[0] < 3


@pytest.mark.parametrize(
    ("how", "given", "message"),
    [
        ("constant", (-1, 0), "submit_ns must be in"),
        ("constant", (1, 2**60), "response_ns must be in"),
        ("constant", (1, 1, -5), "cancel_ns must be in .* was -5"),
        ("recorded", ([1, 2], [2], [3, 4]), "differ in length: 2, 1 and 2"),
        ("recorded", ([2, 1], [3, 3], [4, 4]), "row 1: request 1"),
        ("recorded", ([1, 2], [3, 1], [4, 4]), "row 1: request 2, exchange 1"),
        ("recorded", ([1, 2], [3, 3], [4, 2]), "row 1: .*response 2"),
        ("recorded", ([1, 2], [3, 0], [4, 2]), "row 1: .*exchange 0, response 2"),
        ("recorded", ([1], [2**62], [2**62]), "row 0"),
        ("recorded", ([1, 2], [0, 0], [4, 4]), "every request was rejected"),
        ("recorded", ([1.0], [2], [3]), "request_ns must be a column of integers"),
        ("sampled", ([], [1]), "submit_ns must be a column"),
        ("sampled", ([1], [1], [3, -1]), "cancel_ns must be in"),
        ("sampled", ([[1]], [1]), r"shape \(1, 1\)"),
        ("lognormal", (1, 1, -0.1), "sigma must be finite"),
        ("lognormal", (1, 1, float("nan")), "sigma must be finite"),
        ("lognormal", (10**9, 1, 3.0), "decades"),
        ("from_feed", ([1], [1, 2]), "differ in length: 1 and 2"),
    ],
)
def test_what_cannot_be_is_refused(how, given, message):
    with pytest.raises(ValueError, match=message):
        getattr(Latency, how)(*given)


def test_bad_arguments():
    with pytest.raises(ValueError, match="every_ns > 0"):
        Latency.from_feed([1], [1], every_ns=0)
    with pytest.raises(ValueError, match="kind must be one of"):
        Latency().requests([1], "response")
    with pytest.raises(ValueError, match="must not fall"):
        Latency().requests([2, 1])
    with pytest.raises(OverflowError):
        Latency.sampled([1], [1], seed=-1)


REQUESTS = st.lists(
    st.tuples(
        st.integers(1, 100 * MS),  # local ns
        st.sampled_from([1, -1]),
        st.integers(96, 104),
        st.integers(1, 6),
        st.sampled_from(range(4)),
        st.one_of(st.none(), st.integers(0, 50 * MS)),  # ns until it is cancelled
    ),
    max_size=10,
)


def requests_of(drawn):
    """Submit and Cancel by local time; ids as the core gives them."""
    out = []
    for i, (at, side, tick, lots, tif, life) in enumerate(sorted(drawn, key=lambda d: d[0])):
        out.append(slow.Submit(at, i + 1, side, tick, lots, tif))
        if life is not None:
            out.append(slow.Cancel(at + life, i + 1))
    return sorted(out, key=lambda q: (q.time, isinstance(q, slow.Cancel)))


def travelled(requests, latency):
    """The requests that get there, by time of arrival; {(id, event): times heard} of the lost."""
    arrived, lost, last = [], {}, 0
    for q in requests:
        delay = latency.entry(q.time)
        if delay < 0:
            event = "rejected" if isinstance(q, slow.Submit) else "cancel_rejected"
            lost[q.id, event] = q.time - delay
        else:
            last = max(last, q.time + delay)
            arrived.append(q._replace(time=last))
    return arrived, lost


def heard(r, latency, lost):
    """(local time, event row) of each response, by the core's own log of what happened."""
    out, last = [], 0
    for e in r.order_events():
        key = int(e["order_id"]), EVENTS[e["event"]]
        if key[1] in ("submitted", "cancel_requested"):
            continue
        time = int(e["time"])
        if lost.get(key) != time:
            time += latency.response(time)
        last = max(last, time)
        out.append((last, e))
    return out


def stepped(tape, requests, latency, stops=()):
    """Replay the requests; and the position known at each stop."""
    r = Replay(
        TICK, LOT, feed_latency_ns=MS, queue_model="risk_averse", latency=latency,
        remember_taking=False,
    )  # fmt: skip
    r.feed(*tape)
    known = []
    for time, q in sorted(
        [*((q.time, q) for q in requests), *((t, None) for t in stops)], key=lambda step: step[0]
    ):
        r.advance(time)
        if isinstance(q, slow.Submit):
            assert r.submit(q.side, q.tick, q.lots, TIFS[q.tif]) == q.id
        elif q is not None:
            r.cancel(q.id)
        else:
            known.append(r.position_lots)
    r.finish()
    return r, known


@given(
    tape=tapes(), rows=recordings(start=1, step=MS), drawn=REQUESTS,
    stops=st.lists(st.integers(1, 250 * MS), max_size=20).map(sorted),
)  # fmt: skip
def test_a_replay_of_recorded_latency_equals_the_slow_one(tape, rows, drawn, stops):
    requests = requests_of(drawn)
    slow_latency = Recorded(rows)
    arrived, lost = travelled(requests, slow_latency)
    there = {q.id for q in arrived if isinstance(q, slow.Submit)}
    truth = slow.simulate(
        *tape, [q for q in arrived if q.id in there], lot_size=LOT, model=slow.RiskAverse(),
        partial=True, entry_latency_ns=0,
    )  # fmt: skip
    r, known = stepped(tape, requests, Latency.recorded(*table(rows)), stops)
    fills = r.fills()
    for row in r.orders():
        order = truth.get(int(row["order_id"]))
        mine = fills[fills["order_id"] == row["order_id"]]
        if order is None:
            assert (EVENTS[row["status"]], len(mine)) == ("rejected", 0)
            assert row["time"] == lost[int(row["order_id"]), "rejected"]
        else:
            got = [(f["time"], f["tick"], f["lots"], f["maker"]) for f in mine]
            assert got == [tuple(f) for f in order.fills]
            assert (row["time"], row["remaining"]) == (order.time, order.remaining)
    # fills and responses come in one order, so the n-th fill is known from its response on
    filled = ("partially_filled", "filled")
    answers = [a for a in heard(r, slow_latency, lost) if EVENTS[a[1]["event"]] in filled]
    assert len(answers) == len(fills)
    signed = fills["side"] * fills["lots"]
    for stop, position in zip(stops, known, strict=True):
        assert position == sum(
            lots for lots, (time, _) in zip(signed.tolist(), answers, strict=True) if time <= stop
        )
    assert r.position_lots == r.exchange_position_lots


def test_requests_do_not_overtake_each_other():
    """A slow submit and a fast cancel sent after it: the cancel waits for it."""
    book = columns([(0, 1, 99, 5), (0, -1, 101, 5), (50 * MS, 1, 98, 1)])
    r = Replay(TICK, LOT, latency=Latency.constant(9 * MS, 4 * MS, cancel_ns=MS))
    r.feed(book, columns([]))
    r.advance(MS)
    order = r.submit(1, 99, 1)
    r.cancel(order)
    r.finish()
    assert [(EVENTS[e["event"]], e["time"]) for e in r.order_events()] == [
        ("submitted", MS), ("cancel_requested", MS), ("accepted", 10 * MS), ("cancelled", 10 * MS),
    ]  # fmt: skip


def test_a_lost_cancel_leaves_the_order_and_is_tried_again():
    """Overload from 20 to 30 ms; the executor, asked at 22 ms, hears of it 5 ms later, twice."""
    rows = [(15 * MS, 16 * MS, 17 * MS), (20 * MS, 0, 25 * MS), (29 * MS, 0, 34 * MS)]
    rows += [(30 * MS, 31 * MS, 32 * MS)]
    book = columns([(0, 1, 99, 5), (0, -1, 101, 5), (60 * MS, 1, 98, 1)])
    r = Replay(TICK, LOT, latency=Latency.recorded(*table(rows)))
    r.feed(book, columns([]))
    r.advance(5 * MS)
    r.set_target(1)
    r.advance(22 * MS)
    r.set_target(0)
    r.finish()
    events = [(EVENTS[e["event"]], int(e["time"])) for e in r.order_events()]
    assert [e for e, _ in events] == [
        "submitted", "accepted", "cancel_requested", "cancel_rejected",
        "cancel_requested", "cancel_rejected", "cancel_requested", "cancelled",
    ]  # fmt: skip
    assert [t for _, t in events][2:6] == [22 * MS, 27 * MS, 27 * MS, 32 * MS]
    assert EVENTS[r.orders()["status"][0]] == "cancelled"


@pytest.mark.parametrize("latency", ONE_OF_EACH[2:], ids=["sampled", "lognormal"])
def test_replays_of_one_seed_are_equal_to_the_bit(latency):
    tape = market_tape(n_deltas=5000)
    start = int(tape[0][0][0])
    seen = []
    for _ in range(2):
        r = Replay(0.1, 0.001, latency=latency)
        r.feed(*tape)
        for k in range(200):
            r.advance(start + 10**8 + k * 10**7)
            if r.bid_tick is not None:
                r.submit(1, r.bid_tick, 10)
        r.finish()
        seen.append((r.order_events().tobytes(), r.fills().tobytes()))
    assert seen[0] == seen[1]


def test_a_latency_and_constants_are_one_too_many():
    with pytest.raises(ValueError, match="give either latency"):
        Replay(TICK, LOT, latency=Latency(), entry_latency_ns=1)
    with pytest.raises(TypeError, match="latency"):
        Replay(TICK, LOT, latency=5)


def test_a_lost_cancel_can_be_asked_for_again():
    """What is known to be leaving is not asked to leave twice, unless that got lost."""
    rows = [(0, MS, 2 * MS), (10 * MS, 11 * MS, 12 * MS), (20 * MS, 0, 25 * MS)]
    rows += [(30 * MS, 31 * MS, 32 * MS)]
    r = Replay(TICK, LOT, latency=Latency.recorded(*table(rows)))
    r.feed(columns([(0, 1, 99, 5), (0, -1, 101, 5), (60 * MS, 1, 98, 1)]), columns([]))
    r.advance(5 * MS)
    order = r.submit(1, 99, 1)
    r.advance(20 * MS)
    r.cancel_all()
    r.replace(order, 98, 1)
    r.advance(24 * MS)
    r.cancel_all()  # nothing has been heard yet: not sent again
    r.advance(31 * MS)
    assert r.open_orders == 1
    r.cancel_all()
    r.finish()
    assert [(EVENTS[e["event"]], REASONS[e["reason"]]) for e in r.order_events()] == [
        ("submitted", ""), ("accepted", ""), ("cancel_requested", ""), ("cancel_rejected", "lost"),
        ("replace_requested", ""), ("replace_rejected", "lost"), ("cancel_requested", ""),
        ("cancelled", ""),
    ]  # fmt: skip
    assert r.open_orders == 0

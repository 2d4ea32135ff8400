"""Own orders in a recorded market, held to the slow exchange of tests/oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrcore.exchange import EVENTS, FILL_DTYPE, TIFS
from mrcore.replay import Replay

from ..oracle import exchange as slow
from .feeds import LOT, MS, TICK, columns, market_tape, tapes

MODELS = {
    "risk_averse": slow.RiskAverse(),
    "log": slow.Log(),
    "log2": slow.Log2(),
    "power": slow.Power(3.0),
    "power2": slow.Power2(3.0),
    "power3": slow.Power3(3.0),
    "table": slow.Table([0.9, 0.7, 0.1]),
}
OPTIONS = {"table": {"queue_table": np.array([0.9, 0.7, 0.1])}}
STATUS = {
    slow.NEW: "accepted",
    slow.EXPIRED: "expired",
    slow.FILLED: "filled",
    slow.CANCELLED: "cancelled",
    slow.PARTIALLY_FILLED: "partially_filled",
}
REQUESTS = st.lists(
    st.tuples(
        st.integers(1, 100),  # local ms
        st.sampled_from([1, -1]),
        st.integers(94, 106),
        st.integers(1, 12),
        st.sampled_from(range(4)),
        st.one_of(st.none(), st.integers(0, 50)),  # ms until it is cancelled
    ),
    max_size=12,
)


def requests_of(drawn):
    out = []
    for i, (at, side, tick, lots, tif, life) in enumerate(sorted(drawn, key=lambda d: d[0])):
        out.append(slow.Submit(at * MS, i + 1, side, tick, lots, tif))
        if life is not None:
            out.append(slow.Cancel((at + life) * MS, i + 1))
    return sorted(out, key=lambda r: (r.time, isinstance(r, slow.Cancel)))


def run(tape, requests, latency=MS, **options):
    """The core, stepped from request to request; order ids are those of the requests."""
    r = Replay(
        options.pop("tick_size", TICK), options.pop("lot_size", LOT),
        feed_latency_ns=latency, entry_latency_ns=latency, response_latency_ns=latency, **options
    )  # fmt: skip
    r.feed(*tape)
    ids = {}
    for q in requests:
        r.advance(q.time)
        if isinstance(q, slow.Submit):
            ids[q.id] = r.submit(
                q.side, q.tick, q.lots, TIFS[q.tif], stop_tick=q.stop, reduce_only=q.reduce_only
            )
        elif isinstance(q, slow.Replace):
            r.replace(ids[q.id], q.tick, q.lots)
        else:
            r.cancel(ids[q.id])
    r.finish()
    assert list(ids.values()) == sorted(ids.values())
    return r, ids


def outcome(r, order_id):
    row = r.orders()[order_id - 1]
    fills = r.fills()
    return (
        EVENTS[row["status"]],
        int(row["time"]),
        int(row["remaining"]),
        [
            (int(f["time"]), int(f["tick"]), int(f["lots"]), bool(f["maker"]))
            for f in fills[fills["order_id"] == order_id]
        ],
    )


def expected(order):
    return (
        STATUS[order.status],
        order.time,
        order.remaining,
        [tuple(f) for f in order.fills],
    )


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("model", MODELS)
@given(tape=tapes(), drawn=REQUESTS)
@settings(max_examples=60)
def test_every_order_ends_as_in_the_slow_exchange(model, partial, tape, drawn):
    requests = requests_of(drawn)
    truth = slow.simulate(
        *tape, requests, lot_size=LOT, model=MODELS[model], partial=partial, entry_latency_ns=MS
    )
    options = dict(OPTIONS.get(model, {}))
    options |= {"partial_fills": partial, "remember_taking": False}
    r, ids = run(tape, requests, queue_model=model, **options)
    for order_id, order in truth.items():
        if order.status:  # its request arrived before the end of the tape
            assert outcome(r, ids[order_id]) == expected(order)


@given(tape=tapes(), drawn=REQUESTS)
def test_strict_fills_never_exceed_what_traded(tape, drawn):
    r, _ = run(tape, requests_of(drawn), queue_model="strict")
    fills = r.fills()
    fills = fills[fills["maker"]]
    _, trades = tape
    for time in np.unique(fills["time"]):
        for side in (1, -1):
            filled = fills[(fills["time"] == time) & (fills["side"] == side)]
            traded = trades[3][(trades[0] == time) & (trades[1] == -side)].sum()
            assert filled["lots"].sum() <= traded


def test_strict_never_fills_more_than_risk_averse_and_fills_something():
    tape = market_tape()
    rng = np.random.default_rng(1)
    start, end = tape[0][0][0], tape[0][0][-1]
    probe = Replay(0.1, 0.001)
    probe.feed(*tape)
    requests = []
    for i, at in enumerate(np.sort(rng.integers(start + 10**9, end - 10**9, 300)).tolist()):
        probe.advance(at)
        side = int(rng.choice([1, -1]))
        touch = probe.bid_tick if side > 0 else probe.ask_tick
        requests.append(slow.Submit(at, i + 1, side, touch, int(rng.integers(1, 400)), 1))
        requests.append(slow.Cancel(at + 200 * MS, i + 1))
    requests.sort(key=lambda q: q.time)
    lots = {}
    for model in ("strict", "risk_averse"):
        r, _ = run(tape, requests, queue_model=model, tick_size=0.1, lot_size=0.001)
        lots[model] = r.fills()["lots"].sum()
    assert 0 < lots["strict"] < lots["risk_averse"]


@given(tape=tapes(), drawn=REQUESTS, maker=st.sampled_from([-0.0001, 0.0, 0.0002]))
def test_cash_and_position_are_conserved_at_every_fill(tape, drawn, maker):
    r, _ = run(tape, requests_of(drawn), maker_fee=maker, taker_fee=0.0005, multiplier=10.0)
    cash, position, fees = 0.0, 0, 0.0
    for f in r.fills():
        notional = f["tick"] * TICK * f["lots"] * LOT * 10.0
        fee = notional * (maker if f["maker"] else 0.0005)
        cash -= f["side"] * notional + fee
        fees += fee
        position += int(f["side"]) * int(f["lots"])
        assert f["position_lots"] == position
        np.testing.assert_allclose([f["fee"], f["cash"]], [fee, cash], rtol=1e-12, atol=1e-9)
    assert r.exchange_position_lots == position == r.position_lots
    np.testing.assert_allclose([r.cash, r.fees], [cash, fees], rtol=1e-12, atol=1e-9)


@given(tape=tapes(), drawn=REQUESTS)
def test_the_log_holds_every_event_of_every_order(tape, drawn):
    requests = requests_of(drawn)
    r, ids = run(tape, requests)
    events, fills, orders = r.order_events(), r.fills(), r.orders()
    for order_id in ids.values():
        mine = events[events["order_id"] == order_id]
        names = [EVENTS[e] for e in mine["event"]]
        assert names[0] == "submitted"
        n_fills = names.count("filled") + names.count("partially_filled")
        executed = fills[fills["order_id"] == order_id]
        assert n_fills == len(executed)
        assert orders[order_id - 1]["remaining"] == (
            orders[order_id - 1]["lots"] - executed["lots"].sum()
        )
        assert names.count("filled") + names.count("cancelled") + names.count("expired") <= 1
    exchange_side = events[~np.isin(events["event"], [0, 5])]
    assert (np.diff(exchange_side["time"]) >= 0).all()


BOOK = columns([(0, 1, 99, 4), (0, 1, 98, 4), (0, -1, 101, 4), (0, -1, 102, 6), (0, -1, 104, 9)])
LATER = columns([(50 * MS, 1, 90, 1)])


def one(tif, side, tick, lots, trades=(), deltas=(), **options):
    """The outcome of one order sent at 10 ms into a still book."""
    feed = tuple(np.concatenate(c) for c in zip(BOOK, columns(deltas), LATER, strict=True))
    r, _ = run((feed, columns(trades)), [slow.Submit(10 * MS, 1, side, tick, lots, tif)], **options)
    return r, outcome(r, 1)


GTC, POST, IOC, MARKET = range(4)
T = 11 * MS


@pytest.mark.parametrize(
    ("order", "status", "remaining", "fills"),
    [
        ((POST, 1, 101, 5), "expired", 5, []),
        ((POST, 1, 100, 5), "accepted", 5, []),
        ((IOC, 1, 100, 5), "expired", 5, []),
        ((IOC, 1, 102, 5), "filled", 0, [(T, 101, 4, False), (T, 102, 1, False)]),
        ((IOC, 1, 102, 12), "expired", 2, [(T, 101, 4, False), (T, 102, 6, False)]),
        ((IOC, -1, 99, 3), "filled", 0, [(T, 99, 3, False)]),
        ((GTC, 1, 102, 12), "filled", 0, [(T, 101, 4, False), (T, 102, 8, False)]),
        ((MARKET, 1, 0, 15), "filled", 0,
         [(T, 101, 4, False), (T, 102, 6, False), (T, 104, 5, False)]),
        ((MARKET, -1, 0, 15), "expired", 7, [(T, 99, 4, False), (T, 98, 4, False)]),
    ],
)  # fmt: skip
def test_orders_that_take(order, status, remaining, fills):
    _, got = one(*order, remember_taking=False)
    assert got == (status, T, remaining, fills)
    if status == "filled":
        _, whole = one(*order, partial_fills=False)
        best = 101 if order[1] > 0 else 99
        assert whole == ("filled", T, 0, [(T, best, order[3], False)])


def test_an_exact_partial_fill_ends_the_order():
    """What stops hftbacktest 2.4.4 with error 14: executable == leaves."""
    r, got = one(GTC, 1, 99, 3, trades=[(20 * MS, -1, 99, 7), (30 * MS, -1, 99, 5)])
    assert got == ("filled", 20 * MS, 0, [(20 * MS, 99, 3, True)])
    assert r.position_lots == 3


def test_the_position_counts_every_partial_fill():
    """Where hftbacktest's local position counts only the last one."""
    r, got = one(GTC, 1, 99, 9, trades=[(20 * MS, -1, 99, 6), (30 * MS, -1, 99, 1)])
    assert got[:3] == ("partially_filled", 30 * MS, 6)
    assert r.position_lots == 3
    assert r.fills()["position_lots"].tolist() == [2, 3]


def test_a_request_sees_the_data_of_its_own_time_and_responses_take_their_time():
    r = Replay(TICK, LOT, entry_latency_ns=MS, response_latency_ns=5 * MS)
    r.feed(
        tuple(np.concatenate(c) for c in zip(BOOK, columns([(T, -1, 100, 1)]), strict=True)),
        columns([]),
    )
    r.advance(10 * MS)
    r.submit(1, 100, 1, "ioc")
    r.advance(T)  # the request arrives with the delta; it is served after it
    assert len(r.fills()) == 0
    r.advance(T + 1)
    assert r.fills()["time"].tolist() == [T]
    assert (r.exchange_position_lots, r.position_lots) == (1, 0)
    r.advance(T + 5 * MS)
    assert r.position_lots == 1


def test_the_fill_knows_the_mid_before_and_the_mid_of_its_decision():
    r, _ = one(GTC, 1, 99, 1, trades=[(20 * MS, -1, 98, 1)])
    assert r.fills()["mid"].tolist() == r.fills()["decision_mid"].tolist() == [50.0]
    # a sell that the best bid improves through: the mid is that of before the delta
    r, got = one(GTC, -1, 100, 1, deltas=[(20 * MS, 1, 100, 2)])
    assert got == ("filled", 20 * MS, 0, [(20 * MS, 100, 1, True)])
    assert r.fills()["mid"].tolist() == [50.0]
    assert r.fills().dtype == FILL_DTYPE


def test_many_requests_in_flight_keep_their_order():
    r = Replay(TICK, LOT, entry_latency_ns=1000 * MS)
    later = columns([(5000 * MS, 1, 90, 1)])
    r.feed(tuple(np.concatenate(c) for c in zip(BOOK, later, strict=True)), columns([]))
    for k in range(500):
        r.advance(k * MS)
        r.submit(1, 50 + k % 40, 1)
    r.finish()
    accepted = r.order_events()[r.order_events()["event"] == EVENTS.index("accepted")]
    assert accepted["order_id"].tolist() == list(range(1, 501))
    assert accepted["time"].tolist() == [(1000 + k) * MS for k in range(500)]


def test_bad_requests():
    r = Replay(TICK, LOT)
    r.feed(BOOK, columns([]))
    with pytest.raises(ValueError, match="advance"):
        r.submit(1, 100, 1)
    r.advance(MS)
    for bad in [(0, 100, 1), (1, -1, 1), (1, 100, 0), (1, 100, 1, "fax")]:
        with pytest.raises(ValueError, match=r"expected side|tif must be"):
            r.submit(*bad)
    with pytest.raises(ValueError, match="no order 1"):
        r.cancel(1)

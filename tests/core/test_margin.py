"""The account in a replay: what is booked when, what is let in, and how it ends."""

import copy
import gc
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrcore.account import Account
from mrcore.exchange import EVENTS, REASONS
from mrcore.portfolio import Portfolio
from mrcore.replay import Replay

from ..oracle import account as slow
from .feeds import LOT, MS, TICK, columns, tapes

S = 1_000_000_000
BOOK = [(0, 1, 99 - k, 40) for k in range(3)] + [(0, -1, 101 + k, 40) for k in range(3)]
NONE = columns([])


def replay(deltas=(), trades=(), **options):
    r = Replay(TICK, LOT, **options)
    r.feed(columns([*BOOK, *deltas, (100 * S, 1, 1, 1)]), columns(trades))
    return r


def log(r, *names):
    """(time, order id, event, reason) of the events named, or of all."""
    return [
        (int(e["time"]), int(e["order_id"]), EVENTS[e["event"]], REASONS[e["reason"]])
        for e in r.order_events()
        if not names or EVENTS[e["event"]] in names
    ]


# --------------------------------------------------------------------------- funding


def test_funding_is_for_the_position_before_the_data_and_requests_of_its_time():
    r = replay(trades=[(20 * MS, -1, 99, 43)])
    r.fund(np.array([20, 21, 30, 31]) * MS, np.full(4, 0.01), [math.nan, math.nan, 60.0, 60.0])
    r.advance(10 * MS)
    r.submit(1, 99, 3)
    r.advance(20 * MS + 1)
    assert (r.exchange_position_lots, r.funding) == (3, 0.0)
    r.advance(21 * MS)  # the decision at that time comes first
    assert r.funding == 0.0
    r.advance(21 * MS + 1)  # 0.75 at the mid of 50
    assert r.funding == pytest.approx(0.375)
    r.advance(30 * MS)
    r.submit(-1, 1, 8, "ioc")
    r.advance(30 * MS + 1)
    assert r.funding == pytest.approx(0.375 + 0.45)
    r.advance(32 * MS)  # short 1.25 at the mark of 60
    assert r.funding == pytest.approx(0.375 + 0.45 - 0.75)
    assert r.cash == pytest.approx(-0.75 * 49.5 + 2 * 49.5 - r.funding)
    assert r.account.equity == pytest.approx(r.cash - 1.25 * 50)
    with pytest.raises(ValueError, match="start at"):
        r.fund([31 * MS], [0.01])


ORDERS = st.lists(
    st.tuples(
        st.integers(1, 100), st.sampled_from([1, -1]), st.integers(94, 106), st.integers(1, 12),
        st.sampled_from(["gtc", "post_only", "ioc", "market", "fok"]),
    ),
    max_size=12,
).map(sorted)  # fmt: skip
FUNDING = st.lists(st.integers(1, 200), max_size=5, unique=True).map(sorted)


@given(
    tape=tapes(),
    orders=ORDERS,
    funding=FUNDING,
    inverse=st.booleans(),
    tiers=st.sampled_from([None, [(0, 0.001, 0.002), (100, -0.0001, 0.001)]]),
)
def test_the_money_of_a_replay_is_the_exact_twins(tape, orders, funding, inverse, tiers):
    """Fills of a replay, booked in fractions with the payments between them."""
    account = Account(1000.0, fee_tiers=tiers, volume_30d=50.0 if tiers else 0.0)
    r = Replay(TICK, LOT, inverse=inverse, multiplier=10.0, maker_fee=-0.0001, taker_fee=0.0005,
               account=account, entry_latency_ns=MS)  # fmt: skip
    r.feed(*tape)
    times = np.array(funding, np.int64) * MS
    rates = np.where(np.arange(len(times)) % 2, -0.001, 0.002)
    marks = 40.0 + np.arange(len(times))
    r.fund(times, rates, marks)
    for at, side, tick, lots, tif in orders:
        r.advance(at * MS)
        r.submit(side, tick, lots, tif)
    r.advance(300 * MS)
    fills = r.fills()
    twin = slow.Account(1000, tiers or (), 50 if tiers else 0)
    twin.add(LOT, 10.0, inverse, -0.0001, 0.0005)
    twin.advance(0)
    h = twin.holdings[0]
    h.payments = [
        (int(t), Fraction(rate), Fraction(mark))
        for t, rate, mark in zip(times, rates.tolist(), marks.tolist(), strict=True)
    ]
    for f in fills:
        twin.advance(int(f["time"]))
        fee = twin.fill(0, int(f["side"]), f["tick"] * TICK, int(f["lots"]), bool(f["maker"]))
        assert f["fee"] == pytest.approx(float(fee), rel=1e-13)
        assert f["position_lots"] == h.position
    twin.advance(300 * MS)
    row = account.holdings()[0]
    assert r.funding == row["funding"] == pytest.approx(float(h.funding), abs=1e-9)
    assert r.fees == row["fees"] == pytest.approx(float(h.fees), abs=1e-9)
    assert r.exchange_position_lots == row["position_lots"] == h.position
    if not math.isnan(row["mark"]):
        h.mark = Fraction(row["mark"])
    assert account.equity == pytest.approx(float(twin.equity()), abs=1e-8)
    assert account.cash == 1000.0 + r.cash


# --------------------------------------------------------------------------- margin


def test_what_the_margin_does_not_cover_is_rejected():
    # a lot is worth 12.5 at the mid of 50: four to each 50 of notional
    a = Account(60.0, initial_margin=0.5)
    r = replay(account=a)
    r.advance(1)
    first = r.submit(1, 95, 5)
    second = r.submit(1, 94, 4)  # 9 lots ask for 56.25
    third = r.submit(1, 94, 1)  # the tenth for 62.5
    other = r.submit(-1, 105, 9)  # the worse side counts, and this one is no worse
    fourth = r.submit(-1, 105, 1)
    r.submit(-1, 1, 1, "ioc", reduce_only=True)  # of nothing
    r.advance(2)
    assert log(r, "rejected") == [
        (1, third, "rejected", "margin"),
        (1, fourth, "rejected", "margin"),
        (1, fourth + 1, "rejected", "reduce_only"),
    ]
    r.replace(second, 94, 5)  # refused: it stays as it was
    r.advance(3)
    r.replace(first, 96, 5)
    r.replace(second, 94, 1)
    r.replace(first, 96, 8)
    r.advance(4)
    assert log(r, "replace_rejected") == [(2, second, "replace_rejected", "margin")]
    rows = r.orders()
    assert rows["remaining"][[first - 1, second - 1, other - 1]].tolist() == [8, 1, 9]


def test_closing_orders_are_let_in_however_little_is_left():
    a = Account(60.0, initial_margin=0.5)
    r = replay(account=a, deltas=[(S, 1, 99, 0), (S, 1, 98, 0), (S, 1, 97, 0), (S, 1, 91, 40)])
    r.advance(1)
    r.submit(1, 101, 9, "ioc")
    r.advance(S + 1)  # the mid falls to 48: 2.25 * 2.5 lost
    assert a.equity == pytest.approx(60 - 2.25 * 2.5)
    more = r.submit(1, 80, 1)
    close = r.submit(-1, 105, 9)
    over = r.submit(-1, 106, 1)  # with the close it only opens a short of 1
    r.advance(S + 2)
    assert log(r, "rejected") == [(S + 1, more, "rejected", "margin")]
    assert log(r, "accepted") == [
        (S + 1, close, "accepted", ""),
        (S + 1, over, "accepted", ""),
    ]


def test_reduce_only_orders_bind_no_margin():
    a = Account(26.0, initial_margin=0.5)
    r = replay(account=a)
    r.advance(1)
    r.submit(1, 101, 4, "ioc")  # 25 of the 25.5 that are left
    r.advance(2)
    r.submit(-1, 105, 4, reduce_only=True)
    r.submit(-1, 106, 8)  # to a short as large
    more = r.submit(-1, 106, 1)
    r.advance(3)
    assert log(r, "rejected") == [(2, more, "rejected", "margin")]


def test_a_stop_is_weighed_when_it_is_triggered():
    a = Account(60.0, initial_margin=0.5)
    r = replay(trades=[(S, 1, 102, 1)], account=a)
    r.advance(1)
    far = r.submit(1, 103, 20, stop_tick=102)
    near = r.submit(1, 103, 2, stop_tick=102)
    r.advance(S + 1)
    assert log(r, "expired") == [(S, far, "expired", "margin")]
    assert log(r, "filled") == [(S, near, "filled", "")]


FALL = [(10 * S, 1, 99 - k, 0) for k in range(3)] + [(10 * S, 1, 91, 4), (10 * S, 1, 90, 3)]


def held(deltas=FALL, lots=9, **options):
    """A long of `lots` bought at 50.5 with a deposit of 15, with a quote a side and a stop."""
    a = Account(15.0, initial_margin=0.1, maintenance_margin=0.05, liquidation_fee=0.02,
                check_interval_ns=2 * S)  # fmt: skip
    r = replay(account=a, taker_fee=0.001, deltas=deltas, **options)
    r.advance(1)
    r.submit(1, 101, lots, "ioc")
    r.submit(-1, 110, 2)
    r.submit(1, 85, 1)
    r.submit(-1, 80, 1, "market", stop_tick=60)
    r.advance(11 * S)
    return a, r


def test_liquidation_cancels_and_closes_what_the_book_takes():
    a, r = held()
    bought = 9 * LOT * 50.5
    # 48 by the mid: 5.625 lost and the fee; maintenance is 5.4
    assert a.equity == pytest.approx(15 - 5.625 - bought * 0.001)
    assert not a.halted
    a, r = held([*FALL, (13 * S, -1, 101, 0), (13 * S, -1, 92, 40), (15 * S, 1, 89, 50)])
    r.advance(14 * S)  # 45.75 by the mid since 13 s, looked at each 2 s
    assert not a.halted
    late = r.submit(1, 80, 1, "gtc")  # arrives with the check's time, after it
    r.advance(14 * S + 1)
    assert (a.halted, a.halt_time_ns, a.liquidations) == (True, 14 * S, 1)
    own = late + 1
    assert log(r, "cancelled") == [(14 * S, i, "cancelled", "liquidated") for i in (3, 2, 4)]
    assert log(r, "rejected") == [(14 * S, late, "rejected", "liquidated")]
    fills = r.fills()[r.fills()["order_id"] == own]
    assert fills["tick"].tolist() == [91, 90]
    assert fills["lots"].tolist() == [4, 3]
    assert fills["fee"].tolist() == pytest.approx([4 * LOT * 45.5 * 0.021, 3 * LOT * 45 * 0.021])
    assert (r.exchange_position_lots, r.position_lots) == (2, 2)
    r.advance(15 * S + 1)  # what is left waits for a bid, and for the next check
    assert r.exchange_position_lots == 2
    r.advance(16 * S + 1)
    assert r.exchange_position_lots == r.position_lots == 0
    assert r.fills()["tick"][-1] == 89
    assert a.liquidations == 1
    fees = bought * 0.001 + LOT * (4 * 45.5 + 3 * 45 + 2 * 44.5) * 0.021
    assert a.equity == pytest.approx(15 - bought + LOT * (4 * 45.5 + 3 * 45 + 2 * 44.5) - fees)
    assert r.submit(-1, 1, 1, "ioc", reduce_only=True) == own + 2
    r.advance(50 * S)
    assert log(r)[-1] == (16 * S + 1, own + 2, "rejected", "liquidated")
    assert len(r.orders()) == own + 2  # nothing more is closed


def test_a_gap_through_the_deposit_leaves_a_negative_equity():
    ruin = [*FALL, (10 * S, 1, 91, 0), (10 * S, 1, 90, 0), (10 * S, 1, 40, 50)]
    a, r = held(ruin + [(10 * S, -1, 101 + k, 0) for k in range(3)] + [(10 * S, -1, 86, 9)])
    r.advance(20 * S)
    assert a.halted
    assert r.exchange_position_lots == 0
    lost = 9 * LOT * 30.5 + 9 * LOT * (50.5 * 0.001 + 20 * 0.021)
    assert a.equity == a.cash == pytest.approx(15 - lost)
    assert a.equity < 0


def test_one_instrument_brings_down_the_other():
    a = Account(15.0, initial_margin=0.1, maintenance_margin=0.05)
    calm, wild = replay(account=a), replay(account=a, deltas=FALL)
    with pytest.raises(ValueError, match="one Portfolio"):
        calm.advance(1)
    with pytest.raises(ValueError, match="not here"):
        Portfolio([calm])
    both = Portfolio([calm, wild])
    both.advance(1)
    calm.submit(1, 101, 2, "ioc")
    wild.submit(1, 101, 7, "ioc")
    both.advance(2)
    assert calm.submit(1, 101, 40, "ioc") == 2
    both.advance(3)
    assert log(calm, "rejected") == [(2, 2, "rejected", "margin")]
    both.advance(12 * S)
    assert a.equity == pytest.approx(15 - 2 * LOT * 0.5 - 7 * LOT * 2.5)
    assert not a.halted
    wild.feed(columns([(101 * S, 1, 91, 0), (101 * S, 1, 90, 0), (101 * S, 1, 60, 40)]), NONE)
    calm.feed(columns([(103 * S, 1, 1, 2)]), NONE)
    both.advance(102 * S + 1)
    assert (a.halted, a.halt_time_ns, a.liquidations) == (True, 102 * S, 2)
    assert calm.exchange_position_lots == wild.exchange_position_lots == 0
    assert a.equity == a.cash == pytest.approx(15 - 2 * LOT * 1 - 7 * LOT * 20.5)


@settings(max_examples=60)
@given(
    tape=tapes(),
    orders=ORDERS,
    funding=FUNDING,
    cuts=st.lists(st.integers(1, 250), max_size=8).map(sorted),
    inverse=st.booleans(),
    latency=st.sampled_from([0, MS, 5 * MS]),
)
def test_where_it_stops_on_the_way_changes_no_bit(tape, orders, funding, cuts, inverse, latency):
    def run(cuts):
        # deposits that orders of this size now and then exhaust
        a = Account(0.02 if inverse else 60.0, initial_margin=0.5, maintenance_margin=0.4,
                    liquidation_fee=0.001, fee_tiers=[(0, 0.0001, 0.0005)],
                    check_interval_ns=3 * MS)  # fmt: skip
        other = Replay(TICK, LOT, inverse=inverse, account=a)
        other.feed(*tape)
        r = Replay(TICK, LOT, inverse=inverse, account=a, entry_latency_ns=latency,
                   feed_latency_ns=latency)  # fmt: skip
        r.feed(*tape)
        r.fund(np.array(funding, np.int64) * MS, np.full(len(funding), 0.01))
        both = Portfolio([other, r])
        for at in sorted({o[0] for o in orders} | set(cuts)):
            both.advance(at * MS)
            for _, side, tick, lots, tif in [o for o in orders if o[0] == at]:
                r.submit(side, tick, lots, tif)
                other.submit(-side, tick, lots, tif)
        both.advance(300 * MS)
        return [
            x.tobytes()
            for x in (r.fills(), other.fills(), r.order_events(), other.order_events(),
                      a.holdings())
        ] + [a.equity, a.halt_time_ns, a.liquidations]  # fmt: skip

    assert run([]) == run(cuts)


def test_a_copy_of_a_replay_has_its_money_for_itself():
    r = replay(account=Account(100.0), deltas=FALL)
    r.fund(np.array([20 * S]), [0.01])
    r.advance(1)
    r.submit(1, 101, 4, "ioc")
    r.submit(1, 98, 1)
    r.advance(5 * S)
    others = [r.copy(), copy.copy(r), pickle.loads(pickle.dumps(r))]
    for other in others:
        assert other.account is not r.account
        assert other.account.equity == r.account.equity
        other.submit(-1, 95, 9, "ioc")
        other.advance(6 * S)
        assert (other.exchange_position_lots, r.exchange_position_lots) == (-5, 4)
    r.advance(30 * S)
    for other in others:
        other.advance(30 * S)
        assert other.funding == pytest.approx(-1.25 * 48 * 0.01)
    assert r.funding == pytest.approx(48 * 0.01)
    assert r.account.equity == pytest.approx(100 + r.cash + 48)


def test_an_account_outlives_its_replay():
    a = Account(100.0)
    r = replay(account=a)
    with pytest.raises(ValueError, match="a replay books"):
        a.fill(0, 1, 50.0, 1, True)
    with pytest.raises(ValueError, match="a replay books"):
        a.mark(0, 50.0)
    with pytest.raises(ValueError, match="a replay books"):
        a.advance(0)
    r.advance(1)
    r.submit(1, 101, 4, "ioc")
    r.advance(2)
    equity = a.equity
    assert equity == 100.0 - 0.5
    saved = a.copy()
    del r
    gc.collect()
    assert a.equity == saved.equity == equity
    a.mark(0, 60.0)
    assert a.equity == 100.0 - 50.5 + 60.0
    with pytest.raises(ValueError, match="one settlement currency"):
        Replay(TICK, LOT, inverse=True, account=a)
    assert len(a.holdings()) == 1

"""The account, held to exact fractions of matched lots, and to the exchanges' own examples."""

import copy
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrcore.account import Account

from ..oracle import account as slow

DAY = slow.DAY
STEP = 1_000_000_000


def pair(inverse, sizes, **options):
    """The core and its twin with the same instruments, (lot_size, multiplier, maker, taker)."""
    core = Account(
        options.get("deposit", 0.0), fee_tiers=options.get("tiers"),
        volume_30d=options.get("volume_30d", 0.0), initial_margin=options.get("initial", 0.0),
        maintenance_margin=options.get("maintenance", 0.0),
        liquidation_fee=options.get("extra", 0.0), check_interval_ns=options.get("step", STEP),
    )  # fmt: skip
    twin = slow.Account(
        options.get("deposit", 0), options.get("tiers", ()), options.get("volume_30d", 0),
        options.get("initial", 0), options.get("maintenance", 0), options.get("extra", 0),
        options.get("step", STEP),
    )  # fmt: skip
    for lot_size, multiplier, maker, taker in sizes:
        core.add(lot_size, multiplier=multiplier, inverse=inverse, maker_fee=maker, taker_fee=taker)
        twin.add(lot_size, multiplier, inverse, maker, taker)
    return core, twin


# --------------------------------------------------------------------------- the identity

PRICE = st.floats(0.01, 1e5)
FEE = st.floats(-0.001, 0.001)


@given(
    inverse=st.booleans(),
    deposit=st.floats(0, 1e6),
    sizes=st.lists(
        st.tuples(st.floats(1e-4, 10), st.sampled_from([1.0, 10.0, 100.0]), FEE, FEE),
        min_size=1, max_size=3,
    ),
    fills=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from([1, -1]), PRICE, st.integers(1, 10**6),
                  st.booleans(), st.none() | st.tuples(FEE, st.none() | PRICE)),
        max_size=30,
    ),
    marks=st.tuples(PRICE, PRICE, PRICE),
)  # fmt: skip
def test_equity_is_deposit_and_profits_less_fees_and_funding(inverse, deposit, sizes, fills, marks):
    core, twin = pair(inverse, sizes, deposit=deposit)
    size = Fraction(deposit)  # of everything that was added up
    for time, (i, side, price, lots, maker, funding) in enumerate(fills):
        i %= len(sizes)
        fee = core.fill(i, side, price, lots, maker)
        assert fee == pytest.approx(float(twin.fill(i, side, price, lots, maker)), rel=1e-14)
        size += twin.holdings[i].notional(Fraction(price), lots)
        if funding:
            rate, mark = funding
            twin.holdings[i].payments = [
                (time, Fraction(rate), None if mark is None else Fraction(mark))
            ]
            core.fund(i, [time], [rate], [math.nan if mark is None else mark])
            if mark is not None:
                size += twin.holdings[i].notional(Fraction(mark), twin.holdings[i].position)
        core.advance(time)
        twin.advance(time)
    for i in range(len(sizes)):
        core.mark(i, marks[i])
        twin.holdings[i].mark = Fraction(marks[i])
        size += twin.holdings[i].notional(Fraction(marks[i]), twin.holdings[i].position)
    tolerance = float(size) * 2**-52 * (len(fills) + 8)
    assert core.equity == pytest.approx(float(twin.equity()), rel=0, abs=tolerance)
    rows = core.holdings()
    assert core.cash == pytest.approx(core.equity - rows["value"].sum(), rel=0, abs=tolerance)
    for row, h in zip(rows, twin.holdings, strict=True):
        assert row["position_lots"] == h.position
        assert row["fees"] == pytest.approx(float(h.fees), rel=0, abs=tolerance)
        assert row["funding"] == pytest.approx(float(h.funding), rel=0, abs=tolerance)


# Numbers that float64 adds, multiplies and divides without rounding: the twin's bits.
POWER = st.integers(4, 9).map(lambda k: 2.0**k)
TIERS = [(0, 2**-10, 2**-9), (3000, 2**-11, 2**-10), (24000, -(2**-13), 2**-12)]
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("fill"), st.integers(0, 1), st.sampled_from([1, -1]), POWER,
                  st.integers(1, 16), st.booleans()),
        st.tuples(st.just("mark"), st.integers(0, 1), POWER),
        st.tuples(st.just("advance"),
                  st.sampled_from([0, 1, STEP - 1, STEP, DAY - 5, DAY, 29 * DAY, 40 * DAY])),
        st.tuples(st.just("fund"), st.integers(0, 1), st.integers(1, 3 * STEP),
                  st.sampled_from([2**-10, -(2**-11)]), st.none() | POWER),
        st.tuples(st.just("save")),
    ),
    max_size=40,
)  # fmt: skip


@settings(max_examples=300)
@given(
    inverse=st.booleans(),
    operations=OPERATIONS,
    deposit=st.sampled_from([0.0, 64.0, 512.0, 2.0**20]),
    tiers=st.sampled_from([None, TIERS]),
    volume_30d=st.sampled_from([0.0, 3000.0, 30000.0]),
    margin=st.sampled_from([(0.0, 0.0), (0.25, 0.125), (1.0, 0.5)]),
    start=st.sampled_from([-DAY - 7, 0, 5 * DAY + 17, 20_000 * DAY]),
)
def test_tiers_margin_and_halt_are_the_twins_to_the_last_bit(
    inverse, operations, deposit, tiers, volume_30d, margin, start
):
    core, twin = pair(
        inverse, [(0.25, 1.0, 2**-12, 2**-11), (0.5, 64.0, 0.0, 2**-11)], deposit=deposit,
        tiers=tiers or (), volume_30d=volume_30d, initial=margin[0], maintenance=margin[1],
        extra=2**-7, step=DAY // 4,
    )  # fmt: skip
    now = start
    core.advance(now)
    twin.advance(now)
    for name, *values in operations:
        if name == "fill":
            i, side, _, lots, _ = values
            for reduce_only in (False, True):
                assert core.allows(i, side, lots, reduce_only=reduce_only) == twin.allows(
                    i, side, lots, reduce_only
                )
            assert core.fill(*values) == twin.fill(*values)
        elif name == "mark":
            core.mark(*values)
            twin.holdings[values[0]].mark = Fraction(values[1])
        elif name == "fund":
            i, wait, rate, mark = values
            core.fund(i, [now + wait], [rate], None if mark is None else [mark])
            twin.holdings[i].payments = [(now + wait, Fraction(rate), mark and Fraction(mark))]
        elif name == "save":
            core = pickle.loads(pickle.dumps(core))
        else:
            now += values[0]
            core.advance(now)
            twin.advance(now)
        assert core.equity == twin.equity()
        assert core.volume_30d == twin.volume()
        assert core.halt_time_ns == twin.halt_time
        assert core.halted == (twin.halt_time is not None)
        if tiers:
            assert (core.maker_fee, core.taker_fee) == twin.fees(twin.holdings[0])


# --------------------------------------------------------------------------- examples


def test_an_inverse_contract_as_bybit_reckons_it():
    # Bybit help: long 1,000 at 5,000, last 5,500: 0.01818 BTC; 10,000 from 8,000 to 12,500: 0.45
    for lots, entry, last, profit in [
        (1000, 5000, 5500, 0.0181818182),
        (10_000, 8000, 12_500, 0.45),
    ]:
        for side in (1, -1):
            a = Account(1.0)
            a.add(1.0, inverse=True)
            a.fill(0, side, entry, lots, True)
            a.mark(0, last)
            assert a.equity == pytest.approx(1.0 + side * profit, abs=1e-10)
            a.fill(0, -side, last, lots, True)
            a.mark(0, 1.0)  # flat: no mark matters
            assert a.equity == a.cash == pytest.approx(1.0 + side * profit, abs=1e-10)


def test_longs_pay_a_positive_rate_and_a_maker_may_be_paid():
    a = Account(1000.0)
    a.add(0.001, maker_fee=-0.0001, taker_fee=0.0005)
    assert a.fill(0, 1, 50_000.0, 100, True) == pytest.approx(-0.5)  # 0.1 BTC: 5,000 USDT
    a.fund(0, [8 * STEP, 16 * STEP], [0.0001, -0.0002], [51_000.0, math.nan])
    a.mark(0, 52_000.0)
    a.advance(8 * STEP - 1)
    assert a.holdings()["funding"].tolist() == [0.0]
    a.advance(8 * STEP)
    assert a.holdings()["funding"].tolist() == pytest.approx([0.51])
    a.advance(20 * STEP)  # the shorts pay, at the mark: 5,200 * 0.0002
    assert a.holdings()["funding"].tolist() == pytest.approx([0.51 - 1.04])
    assert a.equity == pytest.approx(1000 + 0.5 + 200 - 0.51 + 1.04)
    a.fill(0, -1, 52_000.0, 200, False)
    a.fund(0, [30 * STEP], [0.0001])
    a.advance(30 * STEP)  # short 0.1 BTC: receives
    assert a.holdings()["funding"].tolist() == pytest.approx([0.51 - 1.04 - 0.52])


def test_the_tier_follows_the_thirty_full_days_before_today():
    a = Account(fee_tiers=[(0, 0.0002, 0.0005), (1000, 0.0001, 0.0004)])
    a.add(1.0)
    a.advance(7)
    assert a.fill(0, 1, 1000.0, 1, False) == 0.5
    assert a.volume_30d == 0.0
    assert (a.maker_fee, a.taker_fee) == (0.0002, 0.0005)  # today does not count
    a.advance(DAY)
    assert (a.volume_30d, a.taker_fee) == (1000.0, 0.0004)
    assert a.fill(0, -1, 1000.0, 1, False) == 0.4
    a.advance(31 * DAY - 1)  # day 0 is still one of the thirty before day 30
    assert (a.volume_30d, a.taker_fee) == (2000.0, 0.0004)
    a.advance(31 * DAY)
    assert (a.volume_30d, a.taker_fee) == (1000.0, 0.0004)
    a.advance(32 * DAY)
    assert (a.volume_30d, a.taker_fee) == (0.0, 0.0005)


def test_what_was_traded_before_leaves_by_a_thirtieth_a_day():
    a = Account(fee_tiers=[(0, 0, 0.001), (100, 0, 0.0005)], volume_30d=100.0)
    assert a.taker_fee == 0.0005
    for day in range(32):
        a.advance(day * DAY)
        assert a.volume_30d == pytest.approx(max(100 * (30 - day) / 30, 0))
    assert a.taker_fee == 0.001


def test_equity_below_maintenance_halts_and_a_loss_beyond_the_deposit_stays():
    a = Account(100.0, initial_margin=0.1, maintenance_margin=0.05, liquidation_fee=0.01)
    a.add(1.0)
    a.advance(0)
    a.mark(0, 100.0)
    assert a.allows(0, 1, 10)
    assert not a.allows(0, 1, 11)
    a.fill(0, 1, 100.0, 10, False)
    assert a.allows(0, -1, 20)  # to a short as large as the long
    assert not a.allows(0, -1, 21)
    assert a.allows(0, -1, 21, reduce_only=True)
    a.mark(0, 95.0)  # equity 50, maintenance 47.5
    a.advance(STEP)
    assert (a.halted, a.halt_time_ns, a.liquidations) == (False, None, 0)
    a.mark(0, 94.0)  # equity 40 < 47
    a.advance(2 * STEP - 1)
    assert not a.halted
    a.advance(2 * STEP)
    assert (a.halted, a.halt_time_ns, a.liquidations) == (True, 2 * STEP, 1)
    assert not a.allows(0, -1, 1, reduce_only=True)
    assert a.fill(0, -1, 80.0, 10, False) == pytest.approx(8.0)  # the liquidation fee
    assert a.equity == a.cash == pytest.approx(100 - 200 - 8)


def test_instruments_stand_for_each_other():
    a = Account(100.0, initial_margin=0.5, maintenance_margin=0.25)
    spot, perpetual = a.add(1.0), a.add(1.0)
    a.mark(spot, 100.0)
    assert not a.allows(perpetual, 1, 1)  # no mark: it cannot be valued
    a.mark(perpetual, 10.0)
    a.fill(spot, 1, 100.0, 1, False)
    assert a.allows(perpetual, -1, 10)
    assert not a.allows(perpetual, -1, 11)
    a.mark(spot, 120.0)  # equity 120, half of 120 is bound
    assert a.allows(perpetual, -1, 12)
    assert not a.allows(perpetual, -1, 13)


def test_a_copy_goes_its_own_way():
    a = Account(10.0, fee_tiers=TIERS, volume_30d=3000.0)
    a.add(1.0, inverse=True, multiplier=100.0)
    a.advance(5)
    a.fill(0, 1, 50.0, 3, True)
    a.fund(0, [10, 20], [0.5, 0.25], [40.0, math.nan])
    a.advance(10)
    twins = [a.copy(), copy.copy(a), copy.deepcopy(a), pickle.loads(pickle.dumps(a))]
    before = a.holdings().tobytes()
    for other in twins:
        assert other.holdings().tobytes() == before
        assert (other.volume_30d, other.equity) == (a.volume_30d, a.equity)
        other.fill(0, -1, 60.0, 3, False)
        other.advance(DAY)
        assert other.volume_30d == 2900.0 + 600.0
        assert other.add(1.0, inverse=True) == 1
    assert a.holdings().tobytes() == before
    a.advance(20)
    assert a.holdings()["funding"].tolist() == pytest.approx([3.75 + 1.5])
    with pytest.raises(ValueError, match="another version"):
        Account().__setstate__((b"", []))


def test_bad_arguments():
    for bad in [
        {"deposit": -1}, {"volume_30d": math.nan}, {"initial_margin": -0.1},
        {"maintenance_margin": 0.1}, {"liquidation_fee": math.inf}, {"check_interval_ns": 0},
        {"check_interval_ns": DAY + 1}, {"fee_tiers": [(1, 0, 0)]},
        {"fee_tiers": [(0, 0, 0), (0, 0, 0)]}, {"fee_tiers": [(0, math.nan, 0)]},
    ]:  # fmt: skip
        with pytest.raises(ValueError, match="must"):
            Account(**bad)
    a = Account()
    a.add(1.0)
    for bad in [{"lot_size": 0.0}, {"multiplier": math.inf}, {"maker_fee": math.nan}]:
        with pytest.raises(ValueError, match="must"):
            a.add(**({"lot_size": 1.0} | bad))
    with pytest.raises(ValueError, match="one settlement currency"):
        a.add(1.0, inverse=True)
    with pytest.raises(ValueError, match="no instrument 1"):
        a.mark(1, 1.0)
    for bad in [(0, 1.0, 1), (1, 0.0, 1), (1, 1.0, 0)]:
        with pytest.raises(ValueError, match="expected side"):
            a.fill(0, *bad, True)
    a.advance(5)
    for bad in [([5], [0.0]), ([7, 7], [0.0, 0.0]), ([6], [math.nan]), ([6], [0.0], [0.0])]:
        with pytest.raises(ValueError, match="row"):
            a.fund(0, *bad)
    with pytest.raises(ValueError, match="differ in length"):
        a.fund(0, [6], [])
    with pytest.raises(ValueError, match="cannot go back"):
        a.advance(4)
    frozen = np.array([6])
    frozen.flags.writeable = False
    a.fund(0, frozen, frozen * 0.0)

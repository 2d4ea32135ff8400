import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtrade.backtest.waterfall import waterfall
from mrtrade.instruments import LINEAR, Contract

from .make import CAPITAL, equity_of, fills_of

price = st.floats(1e-6, 1e6)
fill = st.tuples(
    st.integers(0, 10_000),
    st.sampled_from([-1, 1]),
    price,
    st.floats(1e-6, 1e6),
    st.booleans(),
    st.floats(-1e3, 1e3),
    st.one_of(price, st.just(math.nan)),
    st.one_of(price, st.just(math.nan)),
)


@given(st.lists(fill, max_size=60), price, st.sampled_from([1.0, 0.001, 100.0]), st.booleans())
def test_the_parts_are_the_whole(rows, last_mid, multiplier, inverse):
    rows.sort(key=lambda row: row[0])
    contract = Contract(multiplier, inverse)
    steps = waterfall(fills_of(rows), last_mid, contract)
    scale = max(map(abs, (steps.gross, steps.slippage, steps.spread, steps.fees, steps.net)))
    # The parts of one fill may cancel: its largest difference of prices is the scale of rounding.
    for row in rows:
        prices = [x for x in (row[2], row[6], row[7], last_mid) if not math.isnan(x)]
        scale = max(scale, contract.change(min(prices), max(prices)) * row[3])
    assert abs(steps.residual) <= 1e-9 * scale


@given(st.lists(fill, max_size=30), price, st.sampled_from([LINEAR, Contract(10.0, True)]))
def test_net_is_what_the_account_shows(rows, last_mid, contract):
    rows.sort(key=lambda row: row[0])
    fills = fills_of(rows, contract=contract)
    cash = fills["cash"].iloc[-1] if rows else CAPITAL
    held = math.fsum(fills["side"] * fills["quantity"])
    turnover = (contract.notional(fills["price"]) * fills["quantity"]).sum()
    turnover += CAPITAL + abs(held) * contract.notional(last_mid)
    net = cash - CAPITAL + held * contract.value(last_mid)
    assert waterfall(fills, last_mid, contract).net == pytest.approx(net, abs=1e-9 * turnover)


whole = st.integers(1, 10**6)
exact_fill = st.tuples(st.sampled_from([-1, 1]), whole, whole, whole, whole)


@given(st.lists(exact_fill, min_size=1, max_size=30), whole, st.booleans())
def test_the_steps_are_those_of_exact_fractions(rows, last, inverse):
    contract = Contract(100.0, inverse)
    plain = [(i, side, p, q, True, 0.0, m, d) for i, (side, q, p, m, d) in enumerate(rows)]
    got = waterfall(fills_of(plain), float(last), contract, funding=0.0)

    def value(price):
        return Fraction(-100, price) if inverse else Fraction(100 * price)

    gross = sum(side * q * (value(last) - value(d)) for side, q, _, _, d in rows)
    slippage = sum(side * q * (value(m) - value(d)) for side, q, _, m, d in rows)
    spread = sum(side * q * (value(p) - value(m)) for side, q, p, m, _ in rows)
    net = sum(side * q * (value(last) - value(p)) for side, q, p, _, _ in rows)
    assert gross - slippage - spread == net
    # The differences of one fill may be large and cancel: they are the scale of rounding.
    scale = sum(
        q * max(abs(value(a) - value(b)) for a in (p, m, d, last) for b in (p, m, d, last))
        for _, q, p, m, d in rows
    )
    for name, exact in (
        ("gross", gross),
        ("slippage", slippage),
        ("spread", spread),
        ("net", net),
    ):
        assert abs(Fraction(getattr(got, name)) - exact) <= scale * Fraction(1, 10**14), name


def test_a_round_trip_by_hand():
    # Wanted long at 100; mid had moved to 101, bought at 101.5. Sold passively at 104 with mid 103
    # as decided. Last mid 103.
    fills = fills_of(
        [
            (0, 1, 101.5, 2.0, False, 0.2, 101.0, 100.0),
            (9, -1, 104.0, 2.0, True, -0.1, 103.0, 103.0),
        ]
    )
    steps = waterfall(fills, 103.0, funding=0.5)
    assert steps.gross == 2 * 3.0
    assert steps.slippage == 2 * 1.0
    assert steps.spread == 2 * 0.5 - 2 * 1.0  # paid half a point, earned one
    assert steps.fees == pytest.approx(0.1)
    assert steps.net == pytest.approx(2 * 2.5 - 0.1 - 0.5)
    names = [name for name, _ in steps.steps()]
    assert names == ["Gross", "Slippage", "Spread", "Fees", "Funding", "Net"]
    assert sum(amount for _, amount in steps.steps()[:-1]) == pytest.approx(steps.net)


def test_no_signal_and_no_cost_is_zero():
    steps = waterfall(fills_of([]), 100.0)
    assert [amount for _, amount in steps.steps()] == [0.0] * 6
    flat = equity_of(fills_of([]), [100.0, 101.0, 99.0])
    assert (flat["equity"] == CAPITAL).all()


def test_trading_at_an_unmoved_mid_costs_nothing():
    fills = fills_of([(0, 1, 100.0, 3.0, True, 0.0, 100.0, 100.0)])
    assert np.all(np.array([a for _, a in waterfall(fills, 100.0).steps()]) == 0.0)


def test_a_missing_mid_costs_no_spread():
    fills = fills_of([(0, 1, 100.0, 1.0, False, 0.0, math.nan, math.nan)])
    steps = waterfall(fills, 102.0)
    assert (steps.gross, steps.slippage, steps.spread) == (2.0, 0.0, 0.0)

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtrade.backtest.ledger import TRADE_COLUMNS, check_books, funding_paid, round_trips
from mrtrade.errors import RunError
from mrtrade.instruments import Contract

from .make import CAPITAL, equity_of, fills_of, random_result, rates_of

TENFOLD = Contract(10.0)

lots = st.integers(1, 50)
some_fills = st.lists(
    st.tuples(st.sampled_from([-1, 1]), lots, st.integers(900, 1100), st.booleans()), max_size=50
)


def make(rows):
    return fills_of(
        [
            (i, side, tick * 0.1, size * 0.01, maker, 1e-4 * tick * size * 1e-3, tick * 0.1, 100.0)
            for i, (side, size, tick, maker) in enumerate(rows)
        ]
    )


def obvious_round_trips(fills, last_mid):
    """The slow twin: (side, quantity, pnl) of each trip, fill by fill."""
    trips, position, cash, quantity, side = [], 0.0, 0.0, 0.0, 0
    for row in fills.itertuples():
        left, fee_rate = row.quantity, row.fee / row.quantity
        if position * row.side < 0:  # closing first
            part = min(left, abs(position))
            cash -= row.side * part * row.price + part * fee_rate
            position = round(position + row.side * part, 9)
            left = round(left - part, 9)
            if position == 0.0:
                trips.append((side, quantity, cash))
                cash = quantity = 0.0
        if left > 0.0:
            side = row.side
            cash -= row.side * left * row.price + left * fee_rate
            position = round(position + row.side * left, 9)
            quantity += left
    if position != 0.0:
        trips.append((side, quantity, cash + position * last_mid))
    return trips


@given(some_fills)
def test_round_trips_match_the_slow_twin(rows):
    fills = make(rows)
    trips = round_trips(fills, 100.0)
    expected = obvious_round_trips(fills, 100.0)
    got = list(zip(trips["side"], trips["quantity"], trips["pnl"], strict=True))
    np.testing.assert_allclose(
        np.array(got).reshape(-1, 3), np.array(expected).reshape(-1, 3), atol=1e-9
    )
    assert int(trips["fills"].sum()) >= len(fills)  # a turning fill belongs to two


@given(some_fills)
def test_the_trips_sum_to_the_account(rows):
    fills = make(rows)
    equity = equity_of(fills, [100.0] * (len(rows) + 1))
    trips = round_trips(fills, 100.0)
    assert trips["pnl"].sum() == pytest.approx(equity["equity"].iloc[-1] - CAPITAL, abs=1e-8)
    check_books(fills, equity, CAPITAL)


def test_a_trip_by_hand():
    fills = fills_of(
        [
            (0, 1, 100.0, 1.0, True, 0.1, 100.0, 100.0),
            (10, 1, 102.0, 1.0, False, 0.1, 100.0, 100.0),
            (30, -1, 104.0, 3.0, False, 0.3, 100.0, 100.0),  # turns: 2 close, 1 opens a short
        ]
    )
    trips = round_trips(fills, 103.0)
    assert tuple(trips.columns) == TRADE_COLUMNS
    long, short = trips.to_dict("records")
    assert (long["side"], long["quantity"], long["entry_price"], long["exit_price"]) == (
        1,
        2.0,
        101.0,
        104.0,
    )
    assert long["gross"] == 6.0
    assert long["fees"] == pytest.approx(0.4)
    assert long["pnl"] == pytest.approx(5.6)
    assert long["return_bps"] == pytest.approx(1e4 * 5.6 / 202)
    assert long["hold_s"] == 30.0
    assert long["fills"] == 3
    assert long["maker_share"] == pytest.approx(100 / (100 + 102 + 208))
    assert not long["is_open"]
    assert (short["side"], short["quantity"], short["exit_price"]) == (-1, 1.0, 103.0)
    assert short["pnl"] == pytest.approx(1.0 - 0.1)
    assert short["is_open"]
    assert pd.isna(short["exit_time"])


def test_no_fills_no_trips():
    trips = round_trips(fills_of([]), 100.0)
    assert len(trips) == 0
    assert tuple(trips.columns) == TRADE_COLUMNS


def test_a_multiplier_scales_money_and_not_quantity():
    fills = fills_of(
        [(0, 1, 100.0, 1.0, True, 0.0, 100.0, 100.0), (1, -1, 101.0, 1.0, True, 0.0, 100.0, 100.0)],
        contract=TENFOLD,
    )
    trips = round_trips(fills, 0.0, TENFOLD)
    assert trips["pnl"].tolist() == [10.0]
    assert trips["quantity"].tolist() == [1.0]
    check_books(fills, equity_of(fills, [100.0, 101.0], contract=TENFOLD), CAPITAL, TENFOLD)


INVERSE = Contract(100.0, inverse=True)


@given(some_fills)
def test_the_trips_of_an_inverse_contract_sum_to_the_account(rows):
    fills = fills_of(
        [
            (i, side, float(tick), float(size), maker, 1e-4 * size * 100 / tick, tick, 1000.0)
            for i, (side, size, tick, maker) in enumerate(rows)
        ],
        capital=10.0,
        contract=INVERSE,
    )
    equity = equity_of(fills, [1000.0] * (len(rows) + 1), capital=10.0, contract=INVERSE)
    trips = round_trips(fills, 1000.0, INVERSE)
    assert trips["pnl"].sum() == pytest.approx(equity["equity"].iloc[-1] - 10.0, abs=1e-11)
    check_books(fills, equity, 10.0, INVERSE)


def test_an_inverse_trip_by_hand():
    # 3 contracts of 100 dollars bought at 50,000 and 1 at 40,000; all sold at 62,500.
    fills = fills_of(
        [
            (0, 1, 50_000.0, 3.0, True, 0.0, 50_000.0, 50_000.0),
            (1, 1, 40_000.0, 1.0, False, 0.0, 40_000.0, 40_000.0),
            (2, -1, 62_500.0, 4.0, False, 1e-6, 62_500.0, 62_500.0),
        ],
        capital=1.0,
        contract=INVERSE,
    )
    (trip,) = round_trips(fills, 1.0, INVERSE).to_dict("records")
    paid = 3 * 100 / 50_000 + 100 / 40_000
    assert trip["entry_price"] == pytest.approx(400 / paid)  # what 4 contracts cost in bitcoin
    assert trip["exit_price"] == 62_500.0
    assert trip["gross"] == pytest.approx(paid - 400 / 62_500)
    assert trip["pnl"] == pytest.approx(paid - 400 / 62_500 - 1e-6)
    assert trip["return_bps"] == pytest.approx(1e4 * trip["pnl"] / paid)


def test_funding_by_hand():
    fills = fills_of(
        [
            (10, 1, 100.0, 2.0, True, 0.0, 100.0, 100.0),
            (20, -1, 100.0, 3.0, True, 0.0, 100.0, 100.0),
        ]
    )
    rates = rates_of(
        [
            (5, 0.01, 100.0),  # flat
            (10, 0.01, 100.0),  # still flat: the payment comes before a fill of its time
            (15, 0.01, 110.0),  # long 2 at a positive rate: pays
            (20, -0.01, 100.0),  # long 2 at a negative rate: receives
            (25, 0.01, 120.0),  # short 1: receives
        ]
    )
    paid = funding_paid(fills, rates)
    assert list(paid.columns) == ["time", "rate", "mark", "position", "paid"]
    assert paid["position"].tolist() == [2.0, 2.0, -1.0]
    np.testing.assert_allclose(paid["paid"], [2.2, -2.0, -1.2])
    trips = round_trips(fills, 100.0, funding=paid)
    np.testing.assert_allclose(trips["funding"], [0.2, -1.2])
    np.testing.assert_allclose(trips["pnl"], [-0.2, 1.2])
    inverse = funding_paid(fills, rates, INVERSE)["paid"]
    np.testing.assert_allclose(inverse, [200 * 0.01 / 110, -200 * 0.01 / 100, -100 * 0.01 / 120])


def test_funding_belongs_to_the_books():
    fills = fills_of([(1, 1, 100.0, 2.0, True, 0.0, 100.0, 100.0)])
    paid = funding_paid(fills, rates_of([(3, 0.01, 100.0)]))
    equity = equity_of(fills, [100.0] * 6)
    with pytest.raises(RunError, match="cash at mark 4"):
        check_books(fills, equity, CAPITAL, funding=paid)
    equity.loc[equity.index[4:], ["cash", "equity"]] -= 2.0
    check_books(fills, equity, CAPITAL, funding=paid)


@pytest.mark.parametrize(
    ("frame", "column", "message"),
    [
        ("fills", "cash", "cash at fill 7"),
        ("fills", "position", "position at fill 7"),
        ("equity", "cash", "cash at mark 7"),
        ("equity", "position", "position at mark 7"),
        ("equity", "equity", "equity at mark 7"),
    ],
)
@pytest.mark.parametrize("wrong", [1e-3, math.nan])
def test_books_that_do_not_balance_are_an_error(frame, column, message, wrong):
    result = random_result()
    frames = {"fills": result.fills.copy(), "equity": result.equity.copy()}
    check_books(frames["fills"], frames["equity"], CAPITAL)
    at = frames[frame].columns.get_loc(column)
    frames[frame].iloc[7, at] += wrong
    with pytest.raises(RunError, match=message):
        check_books(frames["fills"], frames["equity"], CAPITAL)

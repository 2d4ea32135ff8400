import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtrade.backtest.ledger import TRADE_COLUMNS, check_books, round_trips
from mrtrade.errors import RunError

from .make import CAPITAL, equity_of, fills_of, random_result

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
        multiplier=10.0,
    )
    trips = round_trips(fills, 0.0, multiplier=10.0)
    assert trips["pnl"].tolist() == [10.0]
    assert trips["quantity"].tolist() == [1.0]
    check_books(fills, equity_of(fills, [100.0, 101.0], multiplier=10.0), CAPITAL, 10.0)


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

"""Where targets on bars are filled, by hand: opens, mids, gaps, stops, holding limits."""

import numpy as np
import pytest

from mrtrade.backtest.bar_costs import SpreadCost

from .make import START
from .make_bars import MINUTE, NAN, grid, held, play


def test_a_target_is_filled_at_the_next_open_and_its_profit_is_counted_from_there():
    made = grid([100, 100, 110, 121, 121], [100, 100, 100, 110, 121])
    result = play(made, held([0, 1, 1, 0, 0]), SpreadCost(fee_bps=10.0))
    # Decided at row 1, bought at the open of row 2 for 100, sold at the open of row 4 for 121.
    assert result.fills.row.tolist() == [2, 4]
    assert result.fills.price[0].tolist() == [100.0, 121.0]
    np.testing.assert_allclose(result.frame["gross"], [0, 0, 0.1, 0.11, 0], atol=1e-15)
    # Ten bps of 1, then of what it is worth when it is sold.
    np.testing.assert_allclose(result.frame["commission"], [0, 0, 1e-3, 0, 1.21e-3], atol=1e-15)
    assert result.frame["position"].tolist() == [0.0, 0.0, 1.0, 1.0, 0.0]


def test_without_opens_it_is_filled_at_the_next_mid():
    result = play(grid([100, 100, 110, 121, 121]), held([0, 1, 1, 0, 0]))
    assert result.fills.price[0].tolist() == [110.0, 121.0]
    assert result.returns.sum() == pytest.approx(0.1)


def test_the_notional_is_fixed_and_a_position_is_let_alone_until_its_target_changes():
    made = grid([100, 100, 200, 200, 100], [100, 100, 100, 200, 200])
    result = play(made, held([1, 1, 0.5, 0.5, 0]), size_usd=50_000.0)
    # 0.5 of the capital at 100; at 200 it is worth 1, and is brought to a quarter.
    np.testing.assert_allclose(result.fills.quantity[0], [1 / 100, 0.5 / 200])
    np.testing.assert_allclose(result.traded[0], [0.5, 0.75])
    np.testing.assert_allclose(result.frame["gross"], [0, 0, 0.5, 0, -0.125], atol=1e-15)


def test_a_gap_is_filled_in_the_next_row_that_exists():
    made = grid([100, 100, 130, 130], [100, 100, 120, 130])
    made["time"] = [START, START + MINUTE, START + 61 * MINUTE, START + 62 * MINUTE]
    targets = held([0, 1, 1, 1], hold_s=90.0)
    # With the length of a bar known, the fill is at the bar's start, an hour later.
    known = play(made, targets, interval_ns=MINUTE)
    assert known.fills.price[0][0] == 120.0
    assert known.fills.time[0] == START + 60 * MINUTE
    assert known.fills.row.tolist() == [2, 3]
    # Without it the bar is taken to begin where the one before ended: the limit ends within it.
    assert play(made, targets).fills.row.tolist() == [2, 2]


STOPS = {
    # side, low, high, open of the bar that is beyond: price of the fill
    "long, within the bar": (1, 98.0, 101.0, 100.0, 99.0),
    "long, gapped": (1, 95.0, 97.0, 96.0, 96.0),
    "short, within the bar": (-1, 99.5, 102.0, 100.0, 101.0),
    "short, gapped": (-1, 103.0, 106.0, 104.0, 104.0),
}


@pytest.mark.parametrize("case", STOPS)
def test_a_stop_is_filled_at_its_price_or_where_the_bar_opened_beyond_it(case):
    side, low, high, opened, paid = STOPS[case]
    made = grid(
        [100, 100, 100, opened, opened, opened],
        [100, 100, 100, opened, opened, opened],
        mid_low=[100, 100, 100, low, opened, opened],
        mid_high=[100, 100, 100, high, opened, opened],
    )
    result = play(made, held([0, side, side, side, side, side], stop_bps=100.0))
    assert result.fills.row.tolist() == [2, 3]
    assert result.fills.price[0][1] == paid
    assert result.trades["reason"].tolist() == ["stop"]
    # It stays closed: the target is still the same.
    assert result.frame["position"].tolist() == [0, 0, side, 0, 0, 0]


def test_mids_alone_are_stopped_at_the_first_beyond():
    result = play(grid([100, 100, 100, 99.5, 98, 97]), held([0, 1, 1, 1, 1, 1], stop_bps=100.0))
    assert result.fills.row.tolist() == [2, 4]
    assert result.fills.price[0][1] == 98.0


def test_a_stop_counts_in_the_row_of_the_entry_too():
    made = grid([100, 100, 100], [100, 100, 100], mid_low=[100, 100, 90], mid_high=[100, 100, 100])
    assert play(made, held([0, 1, 1], stop_bps=100.0)).fills.row.tolist() == [2, 2]


def test_a_position_is_open_again_when_its_target_has_left_its_direction():
    mids = [100, 100, 100, 90, 90, 90, 90, 90]
    shares = [0, 1, 1, 1, 0.5, 0, 1, 1]
    result = play(grid(mids, mids), held(shares, stop_bps=500.0))
    # Another size of the same side is kept out, as by the executor; flat and long again is not.
    assert result.fills.row.tolist() == [2, 3, 7]


def test_a_holding_limit_ends_at_the_first_price_at_or_after_it():
    mids = [100, 100, 101, 102, 103, 104]
    opens = [100, 100, 100, 101, 102, 103]
    at_edge = play(grid(mids, opens), held([0, 1, 1, 1, 1, 1], hold_s=120.0))
    # Bought at the start of row 2; two minutes later row 3 ends.
    assert at_edge.fills.row.tolist() == [2, 3]
    assert at_edge.fills.price[0].tolist() == [100.0, 102.0]
    assert at_edge.trades["hold_s"].tolist() == [120.0]
    within = play(grid(mids, opens), held([0, 1, 1, 1, 1, 1], hold_s=121.0))
    assert within.fills.price[0].tolist() == [100.0, 103.0]


@pytest.mark.parametrize(("hold_s", "price"), [(3600.0, 120.0), (3601.0, 130.0)])
def test_a_limit_that_ends_in_a_gap_is_met_at_the_open_behind_it(hold_s, price):
    made = grid([100, 100, 130], [100, 100, 120])
    made["time"] = [START, START + MINUTE, START + 61 * MINUTE]
    result = play(made, held([1, 1, 1], hold_s=hold_s), interval_ns=MINUTE)
    assert result.fills.price[0].tolist() == [100.0, price]


def test_new_terms_may_end_a_position_before_it_is_brought_to_its_new_size():
    mids = [100] * 6
    asked = [(0.5, NAN, NAN)] * 2 + [(1.0, NAN, 120.0)] * 4
    # Two minutes old when the limit of two minutes comes: closed, never doubled.
    result = play(grid(mids, mids), asked)
    assert result.fills.row.tolist() == [1, 3]
    assert result.fills.share.tolist() == [0.5, 0.0]
    result = play(grid(mids, mids), [*asked[:2], *[(1.0, NAN, 121.0)] * 4])
    assert result.fills.share.tolist() == [0.5, 1.0, 0.0]


def test_where_no_price_is_nothing_is_filled_and_the_last_one_marks():
    mids = [100, 100, NAN, 110, NAN, NAN, 120]
    result = play(grid(mids), held([0, 1, 1, 1, 0, 0, 0]))
    assert result.fills.row.tolist() == [3, 6]
    np.testing.assert_allclose(result.frame["gross"], [0, 0, 0, 0, 0, 0, 10 / 110], atol=1e-15)

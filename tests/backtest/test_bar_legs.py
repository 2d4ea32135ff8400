"""Two legs on bars, by hand."""

import pytest

from mrtrade.backtest.bar_costs import SpreadCost
from mrtrade.errors import DataError

from .make import START
from .make_bars import MINUTE, frames, grid, held, play, rates


def test_two_legs_gain_by_their_difference_and_both_pay():
    # A hundredth of each is held, whatever it costs: 1 of the first, 0.98 of the second.
    first, other = grid([100, 100, 110], [100, 100, 100]), grid([98, 98, 102], [98, 98, 98])
    bars = frames(other, held([0] * 3))[0]
    result = play(
        *(first, held([0, 1, 1]), SpreadCost(fee_bps=10.0)),
        second=bars,
        second_costs=SpreadCost(fee_bps=20.0),
        funding=rates((START + 1.5 * MINUTE, 0.01, 100.0)),
    )
    assert result.frame["gross"].iloc[-1] == pytest.approx(0.10 - 0.04)
    assert [leg.tolist() for leg in result.fills.quantity] == [[0.01], [-0.01]]
    assert result.frame["commission"].iloc[-1] == pytest.approx(10e-4 + 0.98 * 20e-4)
    # Funding is the first leg's alone.
    assert result.frame["funding"].iloc[-1] == pytest.approx(0.01)
    assert result.trades["pnl"].sum() == pytest.approx(result.returns.sum(), abs=1e-15)
    assert result.stats["turnover"] == pytest.approx(1.98)


def test_two_legs_stop_by_their_loss_together():
    first = grid([100, 100, 90, 90, 90], [100, 100, 100, 90, 90])
    hedge = frames(grid([99, 99, 89, 88, 89], [99, 99, 99, 89, 88]), held([0] * 5))[0]
    assert len(play(first, held([0, 1, 1, 1, 1], 200.0), second=hedge).fills.row) == 1
    loose = frames(grid([99, 99, 91, 89, 89], [99, 99, 99, 91, 89]), held([0] * 5))[0]
    assert play(first, held([0, 1, 1, 1, 1], 190.0), second=loose).fills.row.tolist() == [2, 2]


def test_legs_that_stand_at_other_times_are_an_error():
    made = grid([100] * 4)
    late = frames(grid([50] * 4) | {"time": [t + 1 for t in made["time"]]}, held([0] * 4))[0]
    short = frames(grid([50] * 3), held([0] * 3))[0]
    with pytest.raises(DataError, match="row 0: the bars of the two legs"):
        play(made, held([0] * 4), second=late)
    with pytest.raises(DataError, match="row 3: the bars of the two legs"):
        play(made, held([0] * 4), second=short)

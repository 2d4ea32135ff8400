"""Funding on bars, by hand: who pays, when, and on what."""

import numpy as np
import pytest

from mrtrade.errors import DataError

from .make import START
from .make_bars import MINUTE, NAN, grid, held, play, rates

FUNDING = {
    # at which time, rate, target: what is paid in which row; a mark of 200 doubles the notional
    "a long pays a positive rate": (START + 2.5 * MINUTE, 0.01, 1, [0, 0, 0, 0.02, 0]),
    "a short receives it": (START + 2.5 * MINUTE, 0.01, -1, [0, 0, 0, -0.02, 0]),
    "a long receives a negative one": (START + 2.5 * MINUTE, -0.01, 1, [0, 0, 0, -0.02, 0]),
    "before the fill at the open": (START + MINUTE, 0.01, 1, [0, 0, 0, 0, 0]),
    "one ns after it": (START + MINUTE + 1, 0.01, 1, [0, 0, 0.02, 0, 0]),
    "at the end of a bar, before it is sold": (START + 3 * MINUTE, 0.01, 1, [0, 0, 0, 0.02, 0]),
    "one ns after it was sold": (START + 3 * MINUTE + 1, 0.01, 1, [0, 0, 0, 0, 0]),
    "after the last bar": (START + 9 * MINUTE, 0.01, 1, [0, 0, 0, 0, 0]),
    "before the first": (START - MINUTE, 0.01, 1, [0, 0, 0, 0, 0]),
}


@pytest.mark.parametrize("case", FUNDING)
def test_funding_is_paid_by_what_was_held(case):
    time, rate, side, paid = FUNDING[case]
    made = grid([100] * 5, [100] * 5)
    result = play(made, held([0, side, side, 0, 0]), funding=rates((time, rate, 200.0)))
    np.testing.assert_allclose(result.frame["funding"], paid, atol=1e-15)
    assert result.trades["funding"].sum() == pytest.approx(sum(paid), abs=1e-15)


def test_a_mark_that_was_not_recorded_is_the_last_mid_that_was_known():
    made = grid([100, 100, 110, 120, 120], [100, 100, 100, 110, 120])
    at = [START + 2 * MINUTE, START + 2.5 * MINUTE]
    funding = rates(*((time, 0.01, NAN) for time in at))
    result = play(made, held([0, 1, 1, 1, 1]), funding=funding)
    # Row 2 has just ended at 110; within row 3 that is still the last.
    np.testing.assert_allclose(result.frame["funding"], [0, 0, 0.011, 0.011, 0], atol=1e-15)


def test_a_rate_that_is_missing_is_an_error_only_where_it_is_paid():
    made = grid([100] * 5, [100] * 5)
    missing = rates((START + 0.5 * MINUTE, NAN, 100.0), (START + 2.5 * MINUTE, NAN, 100.0))
    play(made, held([0, 0, 0, 0, 0]), funding=missing)
    with pytest.raises(DataError, match="row 1, rate: a settlement without a rate"):
        play(made, held([0, 1, 1, 1, 1]), funding=missing)
    with pytest.raises(DataError, match="funding without mark"):
        play(made, held([0] * 5), funding=missing.drop(columns="mark"))

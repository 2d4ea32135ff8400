"""What orders on bars are charged."""

import numpy as np
import pytest

from mrtrade.backtest.bar_costs import ModelCost, SpreadCost
from mrtrade.backtest.bar_run import run_bars
from mrtrade.errors import ConfigError, DataError
from mrtrade.execution.costs import DynamicTransactionCostModel

from .make_bars import NAN, frames, grid, held


class Told:
    """A model that charges what the market's state says, and remembers what it was asked."""

    def cost_bps(self, quantity_usd, urgency, market, *, symbol):
        self.asked = (quantity_usd.tolist(), urgency.tolist(), symbol)
        return {"spread_bps": market["spread_bps"], "temporary_impact_bps": 2.0 * urgency}


def test_costs_go_by_the_state_in_which_an_order_was_decided():
    mids = [100, 100, 100, 100, 90, 90]
    model = Told()
    costs = ModelCost(model, {"spread_bps": [1.0, 2.0, NAN, 8.0, 16.0, 32.0]}, "BTC/USDT", 3.0)
    bars, targets = frames(grid(mids, mids), held([0, 1, 0, 1, 1, 1], stop_bps=100.0))
    result = run_bars(bars, targets, costs=costs, capital=1000.0, urgency=0.25)
    # Bought by row 1, sold by row 2 (whose spread is not known: that of row 1), bought by row 3 at
    # the open of row 4, which is at 90: nothing is lost yet.
    assert result.fills.decided.tolist() == [1, 2, 3]
    np.testing.assert_allclose(result.charged[0]["spread"] * 1e4, [6.0, 6.0, 24.0])
    np.testing.assert_allclose(result.charged[0]["impact"] * 1e4, [1.5, 1.5, 1.5])
    assert model.asked == ([1000.0] * 3, [0.25] * 3, "BTC/USDT")


def test_a_stop_is_urgent_and_charged_by_the_bar_before():
    mids = [100, 100, 100, 90, 90]
    model = Told()
    costs = ModelCost(model, {"spread_bps": [1.0, 2.0, 4.0, 8.0, 16.0]}, "BTC/USDT")
    bars, targets = frames(grid(mids, mids), held([0, 1, 1, 1, 1], stop_bps=100.0))
    result = run_bars(bars, targets, costs=costs, capital=1000.0, urgency=0.25)
    assert result.fills.decided.tolist() == [1, 2]
    assert model.asked[1] == [0.25, 1.0]
    np.testing.assert_allclose(result.charged[0]["spread"] * 1e4, [2.0, 4.0 * 0.9])


def test_what_the_model_says_is_charged_part_by_part():
    n = 40
    rng = np.random.default_rng(5)
    mids = 100.0 + np.cumsum(rng.normal(0, 0.3, n))
    shares = np.repeat([0, 1, -1, 0.5], 10)
    bars, targets = frames(grid(mids, mids), held(shares))
    state = {"spread_bps": 1.0 + rng.random(n), "realized_vol": 0.5, "vpin": rng.random(n)}
    model = DynamicTransactionCostModel()
    result = run_bars(
        bars, targets, costs=ModelCost(model, state, "BTC/USDT", scale=2.0), urgency=0.5
    )
    at = result.fills.decided
    market = {"spread_bps": state["spread_bps"][at], "realized_vol": 0.5, "vpin": state["vpin"][at]}
    told = model.cost_bps(1e5 * result.traded[0], 0.5, market, symbol="BTC/USDT")
    paid = sum(result.charged[0].values())
    expected = 2.0 * 1e-4 * told["expected_cost_bps"] * result.traded[0]
    np.testing.assert_allclose(paid, expected, rtol=1e-12)


def test_a_cost_that_is_not_known_is_an_error():
    costs = ModelCost(Told(), {"spread_bps": [NAN, NAN, 1.0]}, "BTC/USDT")
    bars, targets = frames(grid([100] * 3), held([0, 1, 1]))
    with pytest.raises(DataError, match="row 1: the spread of an order is not known"):
        run_bars(bars, targets, costs=costs)
    with pytest.raises(ConfigError, match="differ in length"):
        ModelCost(Told(), {"spread_bps": [1.0], "vpin": [1.0, 2.0]}, "BTC/USDT")


def test_who_crosses_pays_the_fee_and_half_the_spread():
    bars, targets = frames(grid([100] * 4), held([0, 1, 1, 0]))
    result = run_bars(bars, targets, costs=SpreadCost(4.0, [2.0, 6.0, 9.0, 9.0]))
    assert 1e4 * -result.returns.iloc[2] == pytest.approx(4.0 + 3.0)


@pytest.mark.parametrize("urgency", [0.0, 0.5, (0.0, 1.0), (1.0, 0.0)])
def test_orders_that_wait_are_not_charged_as_if_they_were_filled(urgency):
    bars, targets = frames(grid([100] * 4), held([1, 1, 0, 0]))
    with pytest.raises(ConfigError, match="bars do not say whether an order that waits"):
        run_bars(bars, targets, costs=SpreadCost(4.0), urgency=urgency)


def test_entries_and_exits_are_charged_as_each_is_sent():
    model = Told()
    # In, smaller, turned round, out; in again, and stopped.
    mids = [100] * 7 + [90, 90]
    made, shares = grid(mids, mids), [1, 0.5, -1, 0, 1, 1, 1, 1, 1]
    bars, targets = frames(made, held(shares, stop_bps=100.0))
    costs = ModelCost(model, {"spread_bps": 1.0}, "BTC/USDT")
    result = run_bars(bars, targets, costs=costs, urgency=(0.25, 0.75))
    assert result.fills.share.tolist() == [1.0, 0.5, -1.0, 0.0, 1.0, 0.0]
    assert model.asked[1] == [0.25, 0.25, 0.25, 0.75, 0.25, 1.0]

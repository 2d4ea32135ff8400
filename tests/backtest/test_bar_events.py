"""Runs on bars against the event backtest."""

from contextlib import closing

import numpy as np
import pytest

from mrtrade.backtest import run, scenes
from mrtrade.backtest.bar_costs import SpreadCost
from mrtrade.backtest.bar_run import run_bars
from mrtrade.clock import to_ns
from mrtrade.config import load_config
from mrtrade.data.stores import open_store
from mrtrade.strategies import make_strategy


def test_it_agrees_with_the_event_backtest_but_for_latency_and_the_touch(market):
    """The same targets at the same decisions; the difference of the profits is accounted for.

    Orders of the event backtest arrive 5 ms after the decision and pay the touch; on bars they are
    filled at the mid of the decision and are charged half the spread. And a position on bars is a
    fixed notional, in the event backtest fixed lots.
    """
    flip = market["strategy"]["name"].replace("fade", "flip")
    config = load_config(
        market | {"execution": {"mode": "aggressive"}, "strategy": {"name": flip}},
        {"queue.compare": False},
    )
    strategy = make_strategy(flip)
    with closing(open_store(config.store)) as store:
        scene = scenes.load_scene(config, store, strategy)
    event = run(config)
    bars = scene.bars
    first = 0.05 * bars["mid"].dropna().iloc[0]
    spread = 1e4 * (bars["ask"] - bars["bid"]) / bars["mid"]
    result = run_bars(
        *(bars, strategy.targets(scene.features)),
        costs=SpreadCost(3.0, spread),
        capital=10_000.0,
        size_usd=first,
    )
    turned = event.fills[event.fills["position"] != 0.0]  # part of an order may end flat
    side = np.sign(turned["position"])
    turns = turned[side != side.shift(fill_value=0.0)]
    assert len(turns) == len(result.fills.row) > 10
    np.testing.assert_array_equal(np.sign(turns["position"]), result.fills.share)
    # On bars each is filled at the mid that the decision saw, and by the orders soon after it.
    np.testing.assert_allclose(turns["decision_mid"], result.fills.price[0], rtol=1e-12)
    decided = to_ns(bars.index)[result.fills.decided]
    late = to_ns(turns["time"]) - decided
    # 5 ms to the exchange; where the touch held too little, the rest goes out again a few ms later.
    assert late.min() == np.median(late) == 5 * 10**6
    assert late.max() <= 50 * 10**6

    stats, costs = result.stats, event.costs
    moved = (bars["mid"] / bars["mid"].dropna().iloc[0] - 1.0).abs().max()
    sizing = moved * (np.abs(10_000.0 * result.trades["gross"]).sum() + abs(costs.gross))
    assert abs(costs.gross - 10_000.0 * stats["gross"]) <= sizing
    assert abs(costs.fees - 10_000.0 * stats["commission"]) <= 2.0 * moved * costs.fees
    # The touch is half the spread away; what the book was 5 ms later is not quite what it was.
    assert costs.spread == pytest.approx(10_000.0 * stats["spread"], rel=0.25)
    net = event.stats["Net PnL [settlement]"]
    bound = abs(costs.slippage) + 0.25 * costs.spread + 2.0 * moved * costs.fees + sizing
    assert abs(net - 10_000.0 * stats["net"]) <= bound
    assert bound < 0.2 * abs(net)

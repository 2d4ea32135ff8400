"""A strategy that knows nothing loses its costs: to the cent, on bars and on events."""

import math

import numpy as np
import pandas as pd
import pytest

from mrtrade.backtest import run
from mrtrade.backtest.bar_costs import PARTS, ModelCost
from mrtrade.backtest.bar_run import run_bars
from mrtrade.execution.costs import DynamicTransactionCostModel

from .still import HALF, MID, NOISE, still_market

CAPITAL = 100_000.0


# ---- on events


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    return still_market(tmp_path_factory.mktemp("still"))


@pytest.mark.parametrize("mode", ["passive", "aggressive"])
def test_where_the_price_stands_still_the_net_is_minus_the_costs(still, mode):
    result = run(still | {"execution": {"mode": mode, "timeout_s": 2.0}})
    fills, costs = result.fills, result.costs
    assert len(fills) > 20
    assert fills["is_maker"].any() == (mode == "passive")
    assert (costs.gross, costs.slippage, costs.funding) == (0.0, 0.0, 0.0)
    # By hand, fill by fill: the fee, and half the spread paid by takers and earned by makers.
    rate = np.where(fills["is_maker"], 0.5e-4, 3e-4)
    fee = rate * fills["quantity"] * (MID + HALF * np.where(fills["side"] > 0, 1, -1)
                                      * np.where(fills["is_maker"], -1, 1))  # fmt: skip
    half = HALF * fills["quantity"] * np.where(fills["is_maker"], -1, 1)
    lost = math.fsum(fee) + math.fsum(half)
    net = result.equity["equity"].iloc[-1] - still["capital"]
    assert round(net, 2) == -round(lost, 2) != 0.0
    assert net == pytest.approx(-lost, abs=1e-8)
    assert net == pytest.approx(costs.net, abs=1e-8)


@pytest.mark.parametrize("mode", ["passive", "aggressive"])
def test_where_it_moves_the_net_is_gross_less_costs(market, tmp_path, mode):
    (tmp_path / "noise.py").write_text(NOISE)
    result = run(
        market
        | {"strategy": {"name": str(tmp_path / "noise.py")}, "queue": {"compare": False},
           "execution": {"mode": mode, "timeout_s": 1.0}}
    )  # fmt: skip
    fills, last = result.fills, result.equity["mid"].iloc[-1]
    assert len(fills) > 20
    signed = fills["side"] * fills["quantity"]
    gross = math.fsum(
        signed * (last - fills["decision_mid"])
    )  # had each been at its decision's mid
    costs = math.fsum(signed * (fills["price"] - fills["decision_mid"])) + math.fsum(fills["fee"])
    net = result.equity["equity"].iloc[-1] - market["capital"]
    assert net == pytest.approx(gross - costs, abs=1e-8)
    assert costs > 0.0


# ---- on bars, charged by the cost model


def walk(seed, moves=True, n=2_000):
    """Bars of a random walk, or of a price that stands, and targets drawn at random."""
    rng = np.random.default_rng(seed)
    returns = rng.normal(0.0, 1e-3, n) * moves
    mid = 100.0 * np.exp(np.cumsum(returns))
    index = pd.date_range("2024-01-01", periods=n, freq="5min", tz="UTC")
    bars = pd.DataFrame({"mid": mid, "mid_open": np.r_[100.0, mid[:-1]]}, index=index)
    share = rng.choice([-1.0, -0.5, 0.0, 0.5, 1.0], n // 5).repeat(5)
    targets = pd.DataFrame({"target": share, "stop_bps": np.nan, "hold_s": np.nan}, index=index)
    state = {
        "spread_bps": rng.uniform(0.5, 3.0, n), "realized_vol": rng.uniform(0.2, 1.0, n),
        "vpin": rng.uniform(0.0, 1.0, n), "kyle_lambda": rng.uniform(0.0, 1e-5, n),
    }  # fmt: skip
    return bars, targets, state


@pytest.mark.parametrize("urgency", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("impact_model", ["almgren_chriss", "square_root"])
def test_on_bars_that_stand_still_the_net_is_minus_what_the_model_says(urgency, impact_model):
    bars, targets, state = walk(0, moves=False)
    model = DynamicTransactionCostModel(impact_model=impact_model)
    result = run_bars(
        bars, targets, costs=ModelCost(model, state, "BTC/USDT"), capital=CAPITAL, urgency=urgency
    )
    # Order by order, as one would ask the model by hand.
    share = targets["target"].to_numpy()
    lost = []
    for row in np.flatnonzero(np.diff(share, prepend=0.0)):
        if row + 1 == len(share):
            continue  # decided in the last bar: never filled
        size = CAPITAL * abs(share[row] - (share[row - 1] if row else 0.0))
        told = model.estimate_cost(
            symbol="BTC/USDT", quantity_usd=size, urgency=urgency,
            market_state={name: values[row] for name, values in state.items()},
        )  # fmt: skip
        lost.append(size * 1e-4 * told["expected_cost_bps"])
    assert len(lost) > 200
    net = CAPITAL * result.stats["net"]
    assert result.stats["gross"] == 0.0
    assert round(net, 2) == -round(math.fsum(lost), 2)
    assert net == pytest.approx(-math.fsum(lost), rel=1e-11)


def test_on_a_random_walk_the_gross_is_noise_and_the_net_is_short_of_it_by_the_costs():
    model = DynamicTransactionCostModel()
    gross, net, costs = [], [], []
    for seed in range(100):
        bars, targets, state = walk(seed)
        result = run_bars(bars, targets, costs=ModelCost(model, state, "BTC/USDT"), urgency=1.0)
        gross.append(result.stats["gross"])
        net.append(result.stats["net"])
        costs.append(math.fsum(result.stats[name] for name in PARTS))
        assert net[-1] == pytest.approx(gross[-1] - costs[-1], abs=1e-12)
    error = np.std(gross, ddof=1) / math.sqrt(len(gross))
    assert abs(np.mean(gross)) < 3 * error
    assert np.mean(net) < -20 * error

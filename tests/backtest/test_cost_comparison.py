"""What the fills of a run cost beside what the model expects: by hand, and where both are known."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from mrtrade.backtest import run, run_pair, save_run
from mrtrade.backtest.cost_comparison import BY_MODEL, compare, compare_saved
from mrtrade.errors import ConfigError, RunError
from mrtrade.execution.calibrated import Calibration, Estimate
from mrtrade.execution.costs import PARTS, DynamicTransactionCostModel
from mrtrade.execution.market_state import market_of_bars

from .still import HALF, MID, still_market
from .test_pair import PAIR

QUIET = {"queue": {"compare": False}}


@pytest.fixture(scope="module")
def passive(market):
    return run(market | QUIET | {"execution": {"mode": "passive", "timeout_s": 0.3}})


@pytest.fixture(scope="module")
def compared(passive):
    return compare(passive, given_volume())


def given_volume(**options):
    """A model of the synthetic market, whose daily volume is not in config/costs.yaml."""
    return DynamicTransactionCostModel(
        maker_fee_bps=0.5, taker_fee_bps=3.0, exchange="SYNTHETIC", patience_s=0.3, **options
    )


# ---- simulated


def test_the_simulated_parts_are_those_of_the_waterfall(passive, compared):
    fills, costs = compared.fills, passive.costs
    paid = {"fee_bps": costs.fees, "sim_spread_bps": costs.spread, "slippage_bps": costs.slippage}
    for name, amount in paid.items():
        assert math.fsum(fills[name] * fills["notional"]) / 1e4 == pytest.approx(amount, abs=1e-9)
    assert compared.net_simulated == costs.net
    assert compared.currency == "USDT"


def test_a_mark_out_by_hand(market, passive, compared):
    """The mid 30 s later, on the local clock, against the maker."""
    both = compared.fills.join(passive.fills[["price", "quantity", "mid"]])
    made = both[both["is_maker"] & both["markout_bps"].notna()]
    mids = passive.equity["mid"]  # at the same times as the bars
    for row in made.iloc[[0, len(made) // 2, -1]].itertuples():
        known = row.time + pd.Timedelta("30s") + pd.Timedelta(5, "ms")
        later = mids[mids.index <= known].iloc[-1]
        moved = -row.side * (later - row.mid) / (row.notional / row.quantity) * 1e4
        assert row.markout_bps == pytest.approx(moved, abs=1e-9)
        total = row.fee_bps + row.sim_spread_bps + row.slippage_bps + row.markout_bps
        assert row.simulated_bps == pytest.approx(total, abs=1e-12)
    # Of a taker it is not a cost; and at the end of the run nobody knows it.
    took = both[~both["is_maker"]]
    parts = took["fee_bps"] + took["sim_spread_bps"] + took["slippage_bps"]
    np.testing.assert_allclose(took["simulated_bps"], parts, atol=1e-12)
    late = both["time"] > mids.index[-1] - pd.Timedelta("30s")
    assert both.loc[late, "markout_bps"].isna().all()
    assert both.loc[~late, "markout_bps"].notna().all()


# ---- expected


def test_the_model_is_asked_for_the_order_in_the_state_when_it_was_sent(market, passive):
    from contextlib import closing

    from mrtrade.backtest.scenes import find_terms, leg_bars, load_leg
    from mrtrade.config import load_config
    from mrtrade.data.stores import open_store

    config = load_config(market)
    with closing(open_store(config.store)) as store:
        bars = leg_bars(config, store, load_leg(config, store, find_terms(config, store)))
    model = given_volume()
    found = compare(passive, model, bars=bars)
    state = market_of_bars(bars)
    sent = passive.orders[passive.orders["event"] == "submitted"].set_index("order_id")
    seen = set()
    for fill in found.fills[found.fills["model_bps"].notna()].itertuples():
        order = found.fills[found.fills["order_id"] == fill.order_id]
        at = sent.loc[fill.order_id, "time"]
        row = bars.index.searchsorted(at, side="right") - 1
        known = {k: float(v[row]) for k, v in state.items() if not np.isnan(v[row])}
        if fill.is_maker:
            known["fill_probability"] = 1.0
        told = model.estimate_cost(
            symbol="BTC/USDT", quantity_usd=order["notional"].sum(), market_state=known,
            urgency=0.0 if fill.is_maker else 1.0,
        )  # fmt: skip
        for name in PARTS:
            if name != "opportunity_bps":
                assert getattr(fill, name) == pytest.approx(told[name], rel=1e-9, abs=1e-12)
        if fill.is_maker:
            assert fill.opportunity_bps == 0.0
        seen.add((fill.is_maker, fill.opportunity_bps > 0.0))
    # Takers of this run are time-outs, which had waited, and stops and limits, which had not.
    assert seen == {(True, False), (False, True), (False, False)}
    # Bars made anew from the store are the same.
    pd.testing.assert_frame_equal(compare(passive, model).fills, found.fills)


def orders_of(*rows):
    events = []
    for order_id, (side, tif, event) in enumerate(rows, start=1):
        events += [(order_id, side, tif, "submitted"), (order_id, side, tif, event)]
    return pd.DataFrame(events, columns=["order_id", "side", "tif", "event"])


def test_who_had_waited():
    from mrtrade.backtest.cost_comparison import _waited

    orders = orders_of(
        (1, "post_only", "cancelled"),
        (1, "ioc", "filled"),  # what the first did not get
        (-1, "ioc", "filled"),  # a stop: nothing to that side waited
        (1, "post_only", "filled"),
        (1, "ioc", "filled"),  # more, after the one before it was filled
        (-1, "post_only", "cancelled"),
        (-1, "post_only", "partially_filled"),  # another price
        (-1, "ioc", "expired"),
        (-1, "ioc", "filled"),
        (-1, "ioc", "expired"),
        (-1, "ioc", "filled"),  # nothing of this one rested
    )
    waited = [False, True, False, False, False, False, True, True, True, False, False]
    assert _waited(orders).tolist() == waited


# ---- both


def test_the_net_is_gross_less_what_the_model_expects(passive, compared):
    fills = compared.fills
    unknown = fills["model_bps"].isna()
    assert compared.not_estimated == unknown.sum() > 0  # the first bars have no volatility yet
    # Where makers are filled they are charged no adverse selection: it is in the gross.
    model = fills[list(PARTS)].sum(axis=1) - fills["adverse_selection_bps"]
    paid = fills["fee_bps"] + fills["sim_spread_bps"] + fills["slippage_bps"]
    charged = math.fsum(np.where(unknown, paid, model) * fills["notional"]) / 1e4
    costs = passive.costs
    assert compared.net_model == pytest.approx(costs.gross - charged - costs.funding, abs=1e-9)


def test_the_tables_are_means_of_the_fills(compared):
    fills, table = compared.fills, compared.table.set_index(["role", "size"])
    known = fills.dropna(subset=["simulated_bps", "model_bps"])
    for role, maker in (("maker", True), ("taker", False)):
        some = known[known["is_maker"] == maker]
        error = some["model_bps"] - some["simulated_bps"]
        row = table.loc[(role, "all")]
        assert (row["both"], row["fills"]) == (len(some), (fills["is_maker"] == maker).sum())
        assert row["orders"] == fills.loc[fills["is_maker"] == maker, "order_id"].nunique()
        assert row["bias"] == pytest.approx(error.mean())
        assert row["rmse"] == pytest.approx(math.sqrt((error**2).mean()))
        parts = compared.parts()
        parts = parts[parts["role"] == role]
        assert parts["model"].sum() == pytest.approx(some["model_bps"].mean())
        assert parts["simulated"].sum() == pytest.approx(some["simulated_bps"].mean())
        thirds = table.loc[role].drop(index="all")
        assert thirds["fills"].sum() == row["fills"]
    assert np.isnan(parts["simulated"].iloc[-1])  # what the mid does after takers is no cost
    told = json.loads(json.dumps(compared.to_dict(), allow_nan=False))
    assert told["parts"][-1]["simulated"] is None
    assert told["net_model"] == compared.net_model
    assert compared.draw().startswith(b"\x89PNG")


def test_in_a_still_market_a_model_without_impact_is_the_simulation(tmp_path):
    config = still_market(tmp_path)
    taken = compare(
        run(config | {"execution": {"mode": "aggressive"}}),
        given_volume(eta=0.0, kyle_lambda=0.0),
    )
    row = taken.table.set_index(["role", "size"]).loc[("taker", "all")]
    assert row["simulated_mean"] == pytest.approx(3.0 + HALF / MID * 1e4, rel=1e-6)
    assert abs(row["bias"]) < 1e-5
    assert taken.net_model == pytest.approx(taken.net_simulated, abs=1e-4)
    # And with it, the difference of the two nets is the impact that the simulation cannot have.
    more = compare(
        run(config | {"execution": {"mode": "aggressive"}}), given_volume(eta=0.0, kyle_lambda=1e-3)
    )
    fills = more.fills[more.fills["model_bps"].notna()]
    impact = math.fsum(0.5e-3 * fills["order_notional"] * fills["notional"]) / 1e4
    assert more.net_simulated - more.net_model == pytest.approx(impact, rel=1e-3) != 0.0


def test_a_dynamic_run_tells_what_the_comparison_does(market):
    costs = market["transaction_costs"] | {"model": "dynamic"}
    result = run(market | QUIET | {"transaction_costs": costs})
    found = compare(result)
    assert result.stats[BY_MODEL] == found.net_model
    assert f"{found.not_estimated} of {len(found.fills)} fills" in result.notes[BY_MODEL]


# ---- saved runs


@pytest.fixture(scope="module")
def saved(passive, tmp_path_factory):
    return save_run(passive, tmp_path_factory.mktemp("runs"))


def test_a_saved_run_is_compared_as_it_was(passive, saved):
    loaded, live = compare_saved(saved), compare(passive)
    pd.testing.assert_frame_equal(loaded.fills, live.fills)
    assert (loaded.net_model, loaded.net_simulated) == (live.net_model, live.net_simulated)


def test_a_calibration_can_be_given_instead(saved, tmp_path):
    def estimate(value):
        return Estimate(value=value, unit="", method="")

    made = Calibration(
        exchange="SYNTHETIC", symbol="BTC/USDT", start="", end="", bars=1, bar_s=1.0,
        kyle_lambda=estimate(None), book_slope=estimate(0.0), square_root_y=estimate(None),
    )  # fmt: skip
    file = made.save(tmp_path / "costs.json")
    took = compare_saved(saved, calibration=file).fills
    took = took[~took["is_maker"] & took["model_bps"].notna()]
    assert (took["temporary_impact_bps"] == 0.0).all()
    other = made.model_copy(update={"symbol": "ETH/USDT"}).save(tmp_path / "eth.json")
    with pytest.raises(ConfigError, match="measured on another market"):
        compare_saved(saved, calibration=other)


def test_patience_is_the_time_out_of_the_run(market):
    found = {}
    for timeout in (0.2, 0.3):
        execution = {"mode": "passive", "timeout_s": timeout}
        result = run(market | QUIET | {"execution": execution})
        own = compare(result)
        same = compare(result, given_volume())
        found[timeout] = own.net_model == pytest.approx(same.net_model, abs=1e-9)
    assert found == {0.2: False, 0.3: True}


def test_of_two_legs_each_is_compared(market, tmp_path):
    (tmp_path / "pair.py").write_text(PAIR)
    own = {name: market[name] for name in ("transaction_costs", "instrument")}
    config = market | QUIET | {
        "symbol": "BTC/USDT-PERP", "execution": {"mode": "aggressive"},
        "hedge": {"exchange": "SYNTHETIC", "symbol": "BTC/USDT", **own},
        "strategy": {"name": str(tmp_path / "pair.py")},
    }  # fmt: skip
    result = run_pair(config)
    folder = save_run(result, tmp_path / "runs")
    with pytest.raises(RunError, match=r"two legs.*name one of its folders perpetual and spot"):
        compare_saved(folder)
    for name, leg in result.legs.items():
        found = compare_saved(folder / name)
        assert len(found.fills) == len(leg.fills) > 20
        assert found.net_simulated == leg.costs.net


def test_what_cannot_be_compared_is_said(market, saved, tmp_path, monkeypatch):
    with pytest.raises(RunError, match="not the folder of a run"):
        compare_saved(tmp_path)
    idle = run(market | QUIET | {"start": "2024-01-01", "end": "2024-01-01 00:00:05"})
    assert idle.fills.empty
    with pytest.raises(RunError, match="no fills"):
        compare(idle)
    manifest = saved / "manifest.json"
    told = json.loads(manifest.read_text())
    told["config"]["end"] = "2024-01-01 00:01:00"
    text = manifest.read_text()
    manifest.write_text(json.dumps(told))
    try:
        with pytest.raises(RunError, match="does not hold what the run was made from"):
            compare_saved(saved)
    finally:
        manifest.write_text(text)

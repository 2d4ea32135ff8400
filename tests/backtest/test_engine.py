import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrtrade.backtest import engine, run
from mrtrade.backtest.manifest import sha256
from mrtrade.backtest.targets import decisions, hold_ns, stop_ticks
from mrtrade.clock import from_ns, to_ns
from mrtrade.errors import ConfigError, RunError
from mrtrade.strategies import Strategy, Target

from .make import START

FRAMES = ("fills", "orders", "equity", "trades", "funding", "presets")


def assert_same(a, b):
    for name in FRAMES:
        pd.testing.assert_frame_equal(getattr(a, name), getattr(b, name), check_exact=True)
    pd.testing.assert_series_equal(a.stats, b.stats, check_exact=True)
    assert a.costs == b.costs
    assert a.manifest == b.manifest


@pytest.fixture(scope="module")
def plain(market):
    return run(market)


def test_a_run_trades_and_its_books_balance(plain):
    assert len(plain.fills) > 20
    assert plain.stats["Fills"] == len(plain.fills)
    net = plain.equity["equity"].iloc[-1] - 10_000.0
    assert plain.stats["Net PnL [settlement]"] == net
    assert plain.costs.net == pytest.approx(net, abs=1e-8)
    assert abs(plain.costs.residual) < 1e-9
    assert plain.trades["pnl"].sum() == pytest.approx(net, abs=1e-8)
    assert plain.equity["equity"].iloc[0] == 10_000.0
    assert plain.fills["position"].abs().max() <= 0.05
    # Cash plus position at the mid before the fill changes by the cost of the fill only.
    fills = plain.fills
    before = fills["position"] - fills["side"] * fills["quantity"]
    cash = fills["cash"].shift(fill_value=10_000.0)
    signed = fills["side"] * fills["quantity"]
    cost = signed * (fills["price"] - fills["mid"]) + fills["fee"]
    equity = fills["cash"] + fills["position"] * fills["mid"]
    np.testing.assert_allclose(equity, cash + before * fills["mid"] - cost, rtol=1e-12)


def test_frames_are_as_promised(plain):
    assert list(plain.fills.columns) == [
        "time",
        "order_id",
        "side",
        "price",
        "quantity",
        "is_maker",
        "fee",
        "mid",
        "decision_mid",
        "position",
        "cash",
    ]
    assert list(plain.equity.columns) == ["mid", "position", "cash", "fees", "equity"]
    assert plain.equity.index.name == "time"
    assert (np.diff(to_ns(plain.equity.index)) == 2 * 10**8).all()
    for time in (plain.fills["time"], plain.orders["time"], plain.equity.index.to_series()):
        assert str(time.dtype) == "datetime64[ns, UTC]"
        assert time.is_monotonic_increasing
    assert set(plain.orders["event"]) <= {
        *("submitted", "accepted", "rejected", "partially_filled", "filled"),
        *("cancel_requested", "cancelled", "cancel_rejected", "expired"),
    }
    # On the grid to the last digit: what is written as 60000.1 is the float 60000.1.
    assert all(repr(price) == f"{price:.1f}" for price in plain.fills["price"])
    assert all(quantity == round(quantity, 3) for quantity in plain.fills["quantity"])
    assert plain.orders.loc[plain.orders["tif"] == "market", "price"].isna().all()


@pytest.mark.parametrize("slices", [1, 3, 1000])
def test_slices_change_nothing(market, plain, monkeypatch, slices):
    monkeypatch.setattr(engine, "SLICES", slices)
    seen = []
    assert_same(run(market, progress=seen.append), plain)
    fractions = [at.fraction for at in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert len(seen) == min(slices, len(plain.equity))
    assert seen[-1].events == plain.timing["events"]
    last = plain.equity.iloc[-1]
    assert (seen[-1].position, seen[-1].equity) == (
        pytest.approx(last["position"]),
        pytest.approx(last["equity"]),
    )


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"execution": {"mode": "aggressive"}, "latency": {"response_ms": 1500.0}},
        {"latency": {"feed_ms": 0.0, "entry_ms": 0.0, "response_ms": 0.0}},
        {"execution": {"timeout_s": 0.4, "on_timeout": "give_up"}, "partial_fills": False},
        # Time-outs that run out just as the next decision is made, and targets that keep changing.
        {"execution": {"timeout_s": 0.2}, "strategy": {"params": {"entry": 0.02}}},
    ],
    ids=["passive", "slow", "no latency", "give up", "tie"],
)
def test_decision_by_decision_is_the_same_run(market, change):
    strategy = market["strategy"] | change.get("strategy", {})
    config = market | change | {"strategy": strategy}
    whole, stepped = run(config), run(config, streaming=True, progress=lambda _: None)
    assert len(whole.fills) > 20
    assert_same(stepped, whole)


def test_a_strategy_that_only_streams_is_driven_and_sees_its_account(market, monkeypatch):
    seen = []

    class Watcher(Strategy):
        features = ("imbalance_5",)

        def on_decision(self, ctx):
            seen.append(ctx)
            return Target(1.0 if len(seen) // 5 % 2 else -1.0)

    monkeypatch.setattr("mrtrade.strategies.make_strategy", lambda name, params: Watcher(params))
    fast = {"execution": {"mode": "aggressive"}, "latency": {"response_ms": 700.0}}
    result = run(market | fast | {"queue": {"compare": False}})
    assert len(result.fills) > 20
    assert result.manifest["code"]["strategy"] == sha256(Path(__file__))
    assert len(seen) == len(result.equity)
    assert {ctx.position for ctx in seen} >= {0.05, -0.05}
    # What it knows is what has been answered: fills up to 0.7 s before.
    known = to_ns(result.fills["time"]) + 700_000_000
    for ctx in seen:
        row = np.searchsorted(known, ctx.time_ns - 1, side="right") - 1
        cash = result.fills["cash"].iloc[row] if row >= 0 else 10_000.0
        held = result.fills["position"].iloc[row] if row >= 0 else 0.0
        assert ctx.position == pytest.approx(held)
        assert ctx.equity == pytest.approx(cash + held * 0.5 * (ctx.bid + ctx.ask), rel=1e-12)


IDLE = """
import numpy as np
from mrtrade.strategies import Rules, Strategy

class Idle(Strategy):
    features = ("imbalance_5",)

    def rules(self, row):
        no = np.zeros(len(row["imbalance_5"]), bool)
        return Rules(no, no, no, no)
"""


def test_no_signal_gives_exactly_nothing(market, tmp_path):
    (tmp_path / "idle.py").write_text(IDLE)
    result = run(market | {"strategy": {"name": str(tmp_path / "idle.py")}})
    assert len(result.fills) == len(result.orders) == len(result.trades) == 0
    assert (result.equity["equity"] == 10_000.0).all()
    assert [amount for _, amount in result.costs.steps()] == [0.0] * 6
    assert result.stats["Net PnL [settlement]"] == 0.0


def test_fees_are_the_configured_fractions(market, plain):
    fills = plain.fills
    rate = np.where(fills["is_maker"], 0.5e-4, 3e-4)
    np.testing.assert_allclose(fills["fee"], rate * fills["price"] * fills["quantity"], rtol=1e-12)
    free = run(market | {"transaction_costs": {"maker_fee_bps": 0, "taker_fee_bps": 0}})
    assert free.costs.fees == 0.0
    assert free.costs.gross == plain.costs.gross  # a fee changes no decision


def test_targets_become_changes_only():
    index = from_ns(START + np.arange(8) * 10**9)
    targets = pd.DataFrame(
        {
            "target": [math.nan, 0.0, 0.5, 0.5, math.nan, -1.0, 0.0, 0.0004],
            "stop_bps": [5.0, math.nan, 5.0, 9.0, 9.0, 1e-6, math.nan, 1.0],
            "hold_s": [1.0, math.nan, 2.5, 9.0, 9.0, math.nan, math.nan, 1.0],
        },
        index=index,
    )
    mid = pd.Series(60_000.0, index=index)
    plan = decisions(targets, mid, max_lots=50, tick_size=0.1)
    assert plan.time.tolist() == to_ns(index)[[2, 5, 6]].tolist()
    assert plan.lots.tolist() == [25, -50, 0]
    assert plan.stop_ticks.tolist() == [300, 1, 0]  # too tight a stop is one tick, not none
    assert plan.hold_ns.tolist() == [2_500_000_000, 0, 0]


def test_limits_that_no_clock_can_show_are_none():
    assert hold_ns(np.array([np.inf, np.nan, 1e10, 1.0])).tolist() == [0, 0, 0, 10**9]
    assert stop_ticks(np.array([np.inf, 1e300]), 1.0, 0.1).tolist() == [0, 0]


def test_a_target_out_of_range_is_an_error():
    index = from_ns(np.array([START]))
    targets = pd.DataFrame({"target": [1.5], "stop_bps": [1.0], "hold_s": [1.0]}, index=index)
    with pytest.raises(RunError, match=r"-1\.\.1"):
        decisions(targets, pd.Series([1.0]), 1, 0.1)


def test_a_position_below_one_lot_is_an_error(market):
    with pytest.raises(ConfigError, match="less than one lot"):
        run(market | {"max_position": 0.0004})


def test_the_capital_is_the_default_size(market):
    result = run(market | {"max_position": None, "capital": 30_000.0})
    first = result.equity["mid"].iloc[0]
    largest = result.fills["position"].abs().max()
    assert 0.5 < largest * first / 30_000.0 <= 1.0 + 1e-9


ALWAYS = """
import numpy as np
from mrtrade.strategies import Rules, Strategy, StrategyParams

class Always(Strategy):
    features = ("imbalance_5",)

    class Params(StrategyParams):
        stop_bps: float = 1.0
        hold_s: float = 5.0

    def rules(self, row):
        x = row["imbalance_5"]
        given = self.params
        return Rules(x == x, x > 2, x > 2, x > 2, stop_bps=given.stop_bps, hold_s=given.hold_s)
"""


def test_a_position_with_a_stop_waits_for_the_first_mid(market, tmp_path, monkeypatch):
    from mrtrade.features import bars

    build = bars.build_bars

    def blind(*args, **options):
        frame = build(*args, **options)
        frame.loc[frame.index[:40], "mid"] = np.nan
        return frame

    monkeypatch.setattr(bars, "build_bars", blind)
    (tmp_path / "always.py").write_text(ALWAYS)
    config = market | {"strategy": {"name": str(tmp_path / "always.py")}}
    whole, stepped = run(config), run(config, streaming=True)
    assert_same(stepped, whole)
    assert whole.orders["time"].iloc[0] >= whole.equity.index[40]
    assert len(whole.fills) >= 2  # in, and out by the stop or the holding time


def test_a_stop_is_a_distance_from_the_last_known_mid():
    index = from_ns(START + np.arange(5) * 10**9)
    targets = pd.DataFrame(
        {"target": [1.0, 1.0, 1.0, 0.0, -1.0], "stop_bps": 10.0, "hold_s": math.nan}, index=index
    )
    mid = pd.Series([math.nan, math.nan, 50_000.0, math.nan, math.nan], index=index)
    plan = decisions(targets, mid, max_lots=5, tick_size=0.1)
    assert plan.time.tolist() == to_ns(index)[[2, 3, 4]].tolist()
    assert (plan.lots.tolist(), plan.stop_ticks.tolist()) == ([5, 0, -5], [500, 500, 500])
    plain = decisions(targets.assign(stop_bps=math.nan), mid, max_lots=5, tick_size=0.1)
    assert plain.time.tolist() == to_ns(index)[[0, 3, 4]].tolist()


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("name", ["stop_bps", "hold_s"])
def test_a_negative_limit_is_an_error(market, tmp_path, name, streaming):
    (tmp_path / "always.py").write_text(ALWAYS)
    strategy = {"name": str(tmp_path / "always.py"), "params": {name: -1.0}}
    with pytest.raises(RunError, match=f"{name} at 20.* out of range"):
        run(market | {"strategy": strategy}, streaming=streaming)


def test_the_strict_queue_fills_no_more_than_the_risk_averse_one(market):
    # Large orders that rest long and never cross: makers fill in the queue only.
    change = {"max_position": 3.0, "execution": {"timeout_s": 30, "on_timeout": "give_up"}}
    filled = {}
    for model in ("risk_averse", "strict"):
        result = run(market | change | {"queue": {"model": model}})
        assert result.manifest["config"]["queue"]["model"] == model
        made = result.fills[result.fills["is_maker"]]
        filled[model] = made["quantity"].sum()
    assert 0 < filled["strict"] < filled["risk_averse"]

"""Inverse contracts, funding, fee tiers, margin and latencies through whole runs."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrtrade.backtest import Result, rerun, run, save_run
from mrtrade.clock import to_ns
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.errors import ConfigError

START = to_ns("2024-01-01")
SECOND = 10**9


def exact_net(result, funding=0):
    """Net profit by exact fractions, from what was traded and at which prices."""
    terms = result.instrument
    multiplier = Fraction(terms.multiplier)
    lot, tick = Fraction(str(terms.lot_size)), Fraction(str(terms.tick_size))
    rates = {True: Fraction(terms.maker_fee), False: Fraction(terms.taker_fee)}
    cash, held = Fraction(0), Fraction(0)
    for fill in result.fills.itertuples():
        price = round(fill.price / terms.tick_size) * tick
        quantity = round(fill.quantity / terms.lot_size) * lot
        worth = quantity * (multiplier / price if terms.inverse else multiplier * price)
        cash -= (-fill.side if terms.inverse else fill.side) * worth + rates[fill.is_maker] * worth
        held += fill.side * quantity
    last = Fraction(result.equity["mid"].iloc[-1])
    value = -multiplier / last if terms.inverse else multiplier * last
    return cash + held * value - funding


@pytest.fixture(scope="module")
def coin(market):
    """Contracts of 100 dollars, settled in coins; 50 of them are some 0.08 BTC."""
    terms = market["instrument"] | {"inverse": True, "multiplier": 100.0, "lot_size": 0.001}
    return market | {"instrument": terms, "capital": 0.5, "max_position": 50.0}


@pytest.fixture(scope="module")
def inverse(coin):
    return run(coin)


def test_an_inverse_run_is_what_exact_fractions_say(inverse):
    assert len(inverse.fills) > 20
    net = float(exact_net(inverse))
    assert net != 0.0
    assert inverse.costs.net == pytest.approx(net, abs=1e-15)
    assert inverse.equity["equity"].iloc[-1] - 0.5 == pytest.approx(net, abs=1e-14)
    assert inverse.trades["pnl"].sum() == pytest.approx(net, abs=1e-15)
    assert abs(inverse.costs.residual) < 1e-17
    fills = inverse.fills
    rate = np.where(fills["is_maker"], 0.5e-4, 3e-4)
    np.testing.assert_allclose(fills["fee"], rate * fills["quantity"] * 100 / fills["price"])


def test_decision_by_decision_is_the_same_inverse_run(coin, inverse):
    stepped = run(coin, streaming=True)
    pd.testing.assert_frame_equal(stepped.fills, inverse.fills, check_exact=True)
    pd.testing.assert_frame_equal(stepped.presets, inverse.presets, check_exact=True)


def test_an_inverse_run_is_told_in_its_own_currency(inverse):
    from mrtrade.backtest import report, tables

    assert (inverse.instrument.currency, inverse.instrument.size_unit) == ("BTC", "contracts")
    assert tables.stat(inverse, "Net PnL [settlement]")[1].endswith(" BTC")
    assert tables.stat(inverse, "Last position [units]")[1].endswith(" contracts")
    net = tables.cost_cells(inverse)[-1][1]
    assert float(net) == pytest.approx(inverse.costs.net, rel=1e-2)  # not 0.00
    text = report.html(inverse)
    assert "Net, BTC" in text
    assert ">contracts<" in text
    assert "USDT<" not in text.replace("BTC/USDT<", "").replace(">USDT</text>", "", 1)


def test_the_size_of_an_inverse_position_comes_from_the_capital(coin):
    result = run(coin | {"max_position": None})
    largest = result.fills["position"].abs().max() * 100 / result.equity["mid"].iloc[0]
    assert 0.25 < largest <= 0.5 * (1 + 1e-9)


def test_an_inverse_run_asks_for_its_capital(coin):
    with pytest.raises(ConfigError, match="pays in BTC"):
        run({key: value for key, value in coin.items() if key != "capital"})


@pytest.mark.shared
@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_coin_margined_recordings(shared_data, tmp_path, coin):
    store = ParquetStore(tmp_path / "store")
    for table in ("book_delta_v2", "book_seed", "trades"):
        place = f"exchange=BINANCE_DELIVERY/symbol={coin}-USD-PERP"
        ingest(shared_data / "lake" / table / place, store)
    result = run(
        {
            "store": str(tmp_path / "store"),
            "exchange": "BINANCE_DELIVERY",
            "symbol": f"{coin}/USD-PERP",
            "strategy": {"name": "microstructure"},
            "capital": 10.0,
            "max_position": 200,
        }
    )
    assert len(result.fills) > 10
    assert result.instrument.currency == coin
    assert result.costs.net == pytest.approx(float(exact_net(result)), abs=1e-14)
    assert abs(result.costs.residual) < 1e-15
    nets = result.presets.set_index("preset")["net"]
    assert nets["queue"] == result.costs.net


@pytest.fixture(scope="module")
def always_in(market):
    """A strategy that is long or short from its first signal on."""
    name = str(Path(market["store"]).parent / "flip.py")
    return market | {"strategy": {"name": name}, "execution": {"mode": "aggressive"}}


def test_a_perpetual_pays_funding(market, always_in, tmp_path):
    perpetual = always_in | {"symbol": "BTC/USDT-PERP"}
    spot, result = run(always_in), run(perpetual)
    pd.testing.assert_frame_equal(
        result.fills.drop(columns="cash"), spot.fills.drop(columns="cash"), check_exact=True
    )
    times = START + np.array([60, 121]) * SECOND
    held = [0.0, 0.0]
    for i, time in enumerate(times):
        before = spot.fills[to_ns(spot.fills["time"]) < time]
        held[i] = before["position"].iloc[-1] if len(before) else 0.0
    assert all(held)
    paid = [held[0] * 60_100.0 * 0.001, held[1] * 59_900.0 * 0.003]
    assert to_ns(result.funding["time"]).tolist() == times.tolist()
    np.testing.assert_allclose(result.funding["paid"], paid)
    assert result.costs.funding == pytest.approx(sum(paid))
    assert result.costs.net == pytest.approx(spot.costs.net - sum(paid))
    assert result.trades["funding"].sum() == pytest.approx(sum(paid))
    assert abs(result.costs.residual) < 1e-9
    # A long pays a positive rate; a payment at the time of a mark comes after it.
    assert (np.sign(result.funding["paid"]) == np.sign(result.funding["position"])).all()
    at = np.searchsorted(to_ns(result.equity.index), times[0])
    change = result.equity["cash"] - spot.equity["cash"]
    assert change.iloc[at] == 0.0
    assert change.iloc[at + 1] == pytest.approx(-paid[0])
    assert result.manifest["data"]["fingerprint"] != spot.manifest["data"]["fingerprint"]
    again = Result.load(save_run(rerun(save_run(result, tmp_path / "a")), tmp_path / "b"))
    pd.testing.assert_frame_equal(again.funding, result.funding, check_exact=True)

    free = run(perpetual | {"transaction_costs": market["transaction_costs"] | {"funding": False}})
    assert free.costs.funding == 0.0
    assert free.costs.net == spot.costs.net


def test_a_streaming_strategy_sees_the_funding_in_its_equity(market, monkeypatch):
    from mrtrade.strategies import Strategy, Target

    seen = []

    class Holder(Strategy):
        features = ("imbalance_5",)

        def on_decision(self, ctx):
            seen.append(ctx)
            return Target(1.0)

    monkeypatch.setattr("mrtrade.strategies.make_strategy", lambda name, params: Holder(params))
    change = {"symbol": "BTC/USDT-PERP", "queue": {"compare": False}}
    result = run(market | change | {"execution": {"mode": "aggressive"}})
    known = result.equity.iloc[-1]
    assert len(result.funding) == 2
    assert seen[-1].equity == pytest.approx(known["equity"], rel=1e-12)


def test_fees_follow_the_tiers(market):
    costs = {"tiers": [[0, 2.0, 5.0], [1e6, 1.0, 4.0]]}
    low = run(market | {"transaction_costs": costs})
    high = run(market | {"transaction_costs": costs | {"volume_30d": 2e6}})
    for result, maker, taker in ((low, 2e-4, 5e-4), (high, 1e-4, 4e-4)):
        fills = result.fills
        rate = np.where(fills["is_maker"], maker, taker)
        np.testing.assert_allclose(fills["fee"], rate * fills["price"] * fills["quantity"])


def test_margin_rejects_and_liquidates(always_in):
    """A position of 3000 dollars on 200 dollars of capital, which fees eat up."""
    small = always_in | {
        "capital": 200.0,
        "transaction_costs": {"maker_fee_bps": 10.0, "taker_fee_bps": 100.0},
    }
    result = run(small | {"account": {"initial_margin": 0.02, "maintenance_margin": 0.01}})
    assert "liquidated and halted at 2024-01-01 00:0" in result.notes["Account"]
    assert result.equity["position"].iloc[-1] == 0.0
    assert len(result.fills) < len(run(small).fills)
    barred = run(small | {"account": {"initial_margin": 1.0}})
    assert len(barred.fills) == 0
    assert (barred.orders["event"] == "rejected").any()

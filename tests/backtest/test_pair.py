"""Two legs: what they earn together, stops of the pair, funding, what is unhedged; saved, rerun."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrtrade.backtest import PairResult, rerun, run, run_pair, save_run
from mrtrade.backtest.pair import held_together
from mrtrade.clock import from_ns, to_ns
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.errors import ConfigError, RunError

from .make import START

PAIR = """
from mrtrade.strategies import Rules, Strategy, StrategyParams


class Pair(Strategy):
    features = ("imbalance_5", "basis_bps")
    legs = ("perpetual", "spot")

    class Params(StrategyParams):
        hold_s: float = 3.0

    def rules(self, row):
        x = row["imbalance_5"] + 0.0 * row["basis_bps"]
        hold_s = self.params.hold_s
        return Rules(x > 0.3, x < -0.3, abs(x) < 0.1, abs(x) < 0.1, stop_bps=5.0, hold_s=hold_s)
"""


@pytest.fixture(scope="module")
def both(market):
    """The same recording as perpetual and as spot: the basis is nothing throughout."""
    file = Path(market["store"]).parent / "pair.py"
    file.write_text(PAIR)
    own = {name: market[name] for name in ("transaction_costs", "instrument")}
    return market | {
        "symbol": "BTC/USDT-PERP",
        "hedge": {"exchange": "SYNTHETIC", "symbol": "BTC/USDT", **own},
        "strategy": {"name": str(file)},
        "execution": {"mode": "aggressive"},
        "queue": {"compare": False},
    }


@pytest.fixture(scope="module")
def result(both):
    return run_pair(both)


def test_a_basis_that_stands_loses_exactly_the_costs(result):
    first = result.legs["perpetual"]
    assert list(result.legs) == ["perpetual", "spot"]
    assert len(first.fills) > 20
    # Whatever the market did, one leg lost what the other won.
    assert result.costs.gross == pytest.approx(0.0, abs=1e-9)
    paid = sum(getattr(result.costs, name) for name in ("slippage", "spread", "fees", "funding"))
    assert result.costs.net == pytest.approx(-paid, abs=1e-9)
    assert result.costs.fees > 0.0
    assert result.costs.spread > 0.0
    turnover = result.stats["Turnover [settlement]"]
    assert result.costs.fees == pytest.approx(3e-4 * turnover)
    assert result.stats["Net PnL [settlement]"] == pytest.approx(result.costs.net, abs=1e-8)
    assert result.trades["pnl"].sum() == pytest.approx(result.costs.net, abs=1e-8)


def test_legs_are_the_same_in_base_units_whatever_a_contract_is(both):
    steps = both["instrument"]
    coarse = both["hedge"] | {"instrument": steps | {"multiplier": 2.0}}
    got = run_pair(both | {"hedge": coarse, "max_position": 100 * steps["lot_size"]})
    first, second = got.legs.values()
    held = first.fills["position"].abs().max()
    assert held == pytest.approx(100 * steps["lot_size"])
    # A contract of two units: half as many of them.
    assert second.fills["position"].abs().max() == pytest.approx(held / 2.0)
    assert got.equity["other_position"].abs().max() == pytest.approx(held)
    assert (got.equity["unhedged"].abs() < 1e-9).mean() > 0.9
    # What the largest position is of the first leg may be less than a lot of the other's contracts.
    tenth = {"multiplier": 0.1} | steps
    other = both | {"instrument": steps | {"lot_size": steps["lot_size"] / 10.0}}
    other |= {"hedge": both["hedge"] | {"instrument": tenth}}
    small = run_pair(other | {"max_position": 0.5 * steps["lot_size"]})
    held = [leg.fills["position"].abs().max() for leg in small.legs.values()]
    assert held == pytest.approx([0.5 * steps["lot_size"], 5.0 * steps["lot_size"]])
    fine = both | {"instrument": steps | {"multiplier": 0.2}, "max_position": steps["lot_size"]}
    with pytest.raises(ConfigError, match="is more than the position"):
        run_pair(fine)


def test_a_pair_that_never_trades_is_a_result(both, tmp_path):
    file = tmp_path / "never.py"
    file.write_text(PAIR.replace("x > 0.3, x < -0.3", "x > 9.0, x < -9.0"))
    never = run_pair(both | {"strategy": {"name": str(file)}})
    assert never.stats["Net PnL [settlement]"] == never.costs.net == 0.0
    assert (len(never.trades), len(never.exposure), len(never.fills)) == (0, 0, 0)
    assert PairResult.load(never.save(tmp_path / "run")).stats.to_dict() == never.stats.to_dict()


def test_legs_are_opposite_and_funding_is_the_perpetuals(result):
    assert (result.equity["position"] != 0.0).any()
    assert (result.equity["unhedged"] == 0.0).all()
    # One side of a book may be too thin for an order, and the other not: some tenths of a second.
    assert result.stats["Time unhedged [%]"] < 3.0
    first, second = result.legs.values()
    assert len(second.funding) == 0
    assert result.costs.funding == first.costs.funding
    for payment in first.funding.itertuples():  # longs pay a positive rate, shorts receive it
        assert payment.paid == pytest.approx(payment.position * payment.mark * payment.rate)
    assert result.equity["funding"].iloc[-1] == pytest.approx(first.funding["paid"].sum())


def test_step_by_step_is_the_same_pair(both, result):
    stepped = run_pair(both, streaming=True)
    pd.testing.assert_frame_equal(stepped.equity, result.equity, check_exact=True)
    pd.testing.assert_frame_equal(stepped.targets, result.targets, check_exact=True)
    assert stepped.manifest == result.manifest


def test_a_leg_that_does_not_fill_is_seen(both):
    # Passive orders of different queues: the spot joins them later than the perpetual.
    change = {"execution": {"mode": "passive", "timeout_s": 60, "on_timeout": "give_up"}}
    result = run_pair(both | change)
    fills = result.fills
    assert set(fills["leg"]) == {"perpetual", "spot"}
    # The sum of all fills, leg by leg, by hand.
    signed = (fills["side"] * fills["quantity"]).cumsum()[~fills["time"].duplicated(keep="last")]
    shown = result.exposure.drop_duplicates("time", keep="last")["unhedged"]
    np.testing.assert_allclose(shown, signed, atol=1e-9)
    largest = result.stats["Largest unhedged exposure [units]"]
    assert largest == pytest.approx(signed.abs().max())
    assert largest > 0.0
    assert 0.0 < result.stats["Time unhedged [%]"] <= 100.0
    assert result.equity["unhedged"].abs().max() <= largest + 1e-9


def frame(target, stop_bps=np.nan, hold_s=np.nan):
    index = from_ns(START + np.arange(len(target)) * 10**9)
    return pd.DataFrame({"target": target, "stop_bps": stop_bps, "hold_s": hold_s}, index=index)


def series(values, like):
    return pd.Series(values, index=like.index, dtype=float)


def test_a_stop_acts_on_the_basis_not_on_a_leg():
    targets = frame([0.0, -0.5, -0.5, -0.5, -0.5, 0.0, 0.5], stop_bps=20.0)
    perpetual = series([100.0, 100.0, 110.0, 110.0, 110.0, 110.0, 110.0], targets)
    # The market rises by a tenth: nothing. The basis rises by 21 bps of the entry: out.
    spot = series([100.0, 100.0, 110.0, 109.81, 109.79, 109.79, 109.79], targets)
    got = held_together(targets, perpetual, spot)
    assert got["target"].tolist() == [0.0, -0.5, -0.5, -0.5, 0.0, 0.0, 0.5]
    assert got["closed_by"].tolist() == ["", "", "", "", "stop", "", ""]
    # A long gains by it.
    long = held_together(targets.assign(target=-targets["target"]), perpetual, spot)
    assert long["target"].tolist() == [0.0, 0.5, 0.5, 0.5, 0.5, 0.0, -0.5]


def test_a_limit_closes_until_the_target_leaves_its_direction():
    targets = frame([1.0, 1.0, np.nan, 1.0, 0.4, -0.4, -0.4, 0.0, -1.0], hold_s=2.0)
    flat = series([100.0] * 9, targets)
    got = held_together(targets, flat, flat)
    assert got["target"].tolist() == [1.0, 1.0, 0.0, 0.0, 0.0, -0.4, -0.4, 0.0, -1.0]
    assert got["closed_by"].tolist() == ["", "", "limit", "", "", "", "", "", ""]


def test_another_size_goes_on_with_the_entry_and_the_time_that_there_were():
    # Short the basis, a half at 0 and a half at 20 bps: the entry is at 10, the stop at 40.
    targets = frame([-0.5, -1.0, -1.0, -1.0, -1.0], stop_bps=30.0)
    perpetual = series([100.0, 100.2, 100.31, 100.39, 100.41], targets)
    spot = series([100.0] * 5, targets)
    assert held_together(targets, perpetual, spot)["target"].tolist() == [-0.5, -1, -1, -1, 0]
    less = targets.assign(target=[-1.0, -0.5, -0.5, -0.5, -0.5])
    assert held_together(less, perpetual, spot)["target"].tolist() == [-1, -0.5, 0, 0, 0]
    tight = targets.assign(stop_bps=[50.0, 10.0, 10.0, 10.0, 10.0])  # beyond it already
    assert held_together(tight, perpetual, spot)["target"].tolist() == [-0.5, 0, 0, 0, 0]
    limited = targets.assign(stop_bps=np.nan, hold_s=3.0)
    assert held_together(limited, perpetual, spot)["target"].tolist() == [-0.5, -1, -1, 0, 0]


def test_an_entry_waits_for_both_mids():
    targets = frame([1.0, 1.0, 1.0, 1.0], hold_s=1.0)
    first, second = series([100.0] * 4, targets), series([np.nan, 99.0, np.nan, 99.0], targets)
    got = held_together(targets, first, second)
    assert got["target"].tolist() == [0.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("target", [[0.0, 0.0], [np.nan, np.nan], []])
def test_nothing_is_held_where_nothing_is_asked_for(target):
    targets = frame(target, stop_bps=5.0)
    mids = series([100.0] * len(target), targets)
    assert held_together(targets, mids, mids)["target"].tolist() == [0.0] * len(target)


def test_a_bad_target_is_an_error():
    bad = frame([0.0, 1.0], stop_bps=-1.0)
    with pytest.raises(RunError, match="stop_bps"):
        held_together(bad, series([1.0, 1.0], bad), series([1.0, 1.0], bad))


def test_a_pair_is_saved_loaded_and_run_again(result, tmp_path):
    folder = save_run(result, tmp_path)
    names = {path.name for path in folder.iterdir()}
    assert names >= {"perpetual", "spot", "equity.parquet", "report.html", "manifest.json"}
    loaded = PairResult.load(folder)
    for name in ("equity", "exposure", "targets", "trades"):
        pd.testing.assert_frame_equal(getattr(loaded, name), getattr(result, name))
    assert loaded.stats.to_dict() == result.stats.to_dict()
    assert loaded.costs == result.costs
    assert loaded.manifest == result.manifest
    assert rerun(folder).manifest["run_id"] == folder.name
    save_run(result, tmp_path)  # takes the place of the older one
    text = (folder / "report.html").read_text()
    assert "Unhedged exposure" in text
    assert "perpetual/report.html" in text
    (folder / "spot" / "fills.parquet").write_bytes(b"")
    with pytest.raises(RunError, match="not the file that the run wrote"):
        rerun(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hedge": None}, "market of its second leg"),
        ({"strategy": {"name": "statistical"}}, "has one leg"),
        (
            {"symbol": "BTC/USDT", "hedge": {"exchange": "BINANCE", "symbol": "ETH/USDT"}},
            "no hedge",
        ),
    ],
)
def test_legs_that_do_not_belong_together(both, change, says):
    with pytest.raises(ConfigError, match=says):
        run_pair(both | change)


def test_one_leg_is_not_run_as_two_nor_two_as_one(both, market):
    with pytest.raises(ConfigError, match="run_pair"):
        run(both)
    with pytest.raises(ConfigError, match="leave `hedge` out"):
        run(market | {"hedge": both["hedge"]})


MODES = """
from pair import Pair


class Modes(Pair):
    legs = ("instrument",)
    features = ("imbalance_5",)
    entry_mode, exit_mode = "passive", "aggressive"

    def rules(self, row):
        return super().rules(row | {"basis_bps": 0.0 * row["imbalance_5"]})
"""


@pytest.mark.parametrize("streaming", [False, True])
def test_entries_and_exits_are_ordered_as_the_strategy_says(both, market, monkeypatch, streaming):
    folder = Path(market["store"]).parent
    (folder / "modes.py").write_text(MODES)
    monkeypatch.syspath_prepend(str(folder))
    name = f"{folder / 'modes.py'}:Modes"
    late = {"timeout_s": 1000, "mode": "aggressive", "on_timeout": "give_up"}
    got = run(
        market | {"strategy": {"name": name}, "execution": late, "queue": {"compare": False}},
        streaming=streaming,
    )
    sent = got.orders[got.orders["event"] == "submitted"]
    before = np.searchsorted(to_ns(got.fills["time"]), to_ns(sent["time"]), side="left")
    held = np.concatenate(([0.0], got.fills["position"]))[before]
    entries = sent["side"] * held >= 0.0
    assert set(sent["tif"][entries & (held == 0.0)]) == {"post_only"}
    assert (sent["tif"][~entries] == "ioc").any()


@pytest.mark.shared
def test_bitcoin_perpetual_against_spot(shared_data, tmp_path):
    store = ParquetStore(tmp_path / "store")
    legs = (("BINANCE", "BTC-USDT"), ("BINANCE_FUTURES", "BTC-USDT-PERP"))
    for table in ("book_delta_v2", "book_seed", "trades"):
        for exchange, symbol in legs:
            place = f"exchange={exchange}/symbol={symbol}/dt=2024-08-08"
            ingest(shared_data / "lake" / table / place, store)
    params = {
        **{"rate": "none", "lookback": 60, "half_life_window": 60, "cost_bps": 0.0},
        **{"entry_z": 1.5, "regime_filter": False},
    }
    result = run_pair(
        {
            "store": str(tmp_path / "store"),
            "exchange": "BINANCE_FUTURES",
            "symbol": "BTC/USDT-PERP",
            "hedge": {"exchange": "BINANCE", "symbol": "BTC/USDT"},
            "strategy": {"name": "funding", "params": params},
            "queue": {"compare": False},
        }
    )
    assert len(result.trades) >= 2
    assert all(len(leg.fills) for leg in result.legs.values())
    # They did not fill together: what one held alone is there to be seen.
    assert result.stats["Largest unhedged exposure [units]"] > 1.0
    assert 0.0 < result.stats["Time unhedged [%]"] < 50.0
    basis = 1e4 * (result.equity["mid"] / result.equity["other_mid"] - 1.0)
    assert basis.abs().max() < 30.0
    nets = sum(leg.costs.net for leg in result.legs.values())
    assert result.stats["Net PnL [settlement]"] == pytest.approx(nets)

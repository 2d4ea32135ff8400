"""The walk-forward against what can be worked out by hand, and what it must never do."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from mrtrade.backtest.metrics import sharpe
from mrtrade.clock import to_ns
from mrtrade.errors import ConfigError, DataError
from mrtrade.ml.trials import TrialLedger
from mrtrade.parallel import Workers
from mrtrade.validation.charges import market_state
from mrtrade.validation.folds import cut_folds, daily_regime, first_whole_day
from mrtrade.validation.gate_one import gate_one
from mrtrade.validation.settings import load_settings
from mrtrade.validation.walk_forward import FRAMES, WalkForwardResult, walk_forward

from .make import FREE, RULES, dataset, index, settings

DAY = 24


def pulse(rows, *spans):
    """1 in some rows, half-open, else 0."""
    out = np.zeros(rows)
    for begin, end in spans:
        out[begin:end] = 1.0
    return out


def equal(one: WalkForwardResult, other: WalkForwardResult) -> None:
    for name in FRAMES:
        pd.testing.assert_frame_equal(
            getattr(one, name), getattr(other, name), check_exact=True, check_freq=False
        )
    assert (one.label, one.symbol, one.learnt_on) == (other.label, other.symbol, other.learnt_on)
    assert one.configurations == other.configurations
    assert one.trials == other.trials


# Folds ------------------------------------------------------------------------------


def test_folds_are_cut_as_worked_out_by_hand():
    config = settings()
    folds = cut_folds(index(40 * DAY), config.folds, horizon=2)
    # Bars end at 01:00 on; row 0 ends at hour 1. The first test row is 6 days after it. The label
    # of row i ends with row i + 2, and may end at the embargo's begin, row 120, at the latest.
    assert folds[0] == (0, 0, 119, 144, 264)
    assert folds[1] == (1, 0, 239, 264, 384)
    assert len(folds) == 6
    assert folds[-1].test_end == 24 * 36
    rolling = settings(folds={**config.folds.model_dump(), "expanding": False})
    assert cut_folds(index(40 * DAY), rolling.folds, horizon=2)[1] == (1, 120, 239, 264, 384)


def test_folds_begin_with_days():
    bars = dataset(40 * DAY).bars
    assert first_whole_day(bars.index) == 0
    assert first_whole_day(bars.index[5:]) == 19
    whole = cut_folds(bars.index, settings().folds, horizon=2)
    late = cut_folds(bars.index[5:], settings().folds, horizon=2)
    assert late[0] == tuple([0, *(19 + one for one in whole[0][1:])])


def test_data_that_begin_at_noon_are_judged(tmp_path):
    mid, ahead = noisy(40 * DAY)
    data = dataset(mid=mid, signal=ahead, spread=1.0)
    late = dataclasses.replace(data, bars=data.bars[12:], features=data.features[12:])
    ledger = TrialLedger(tmp_path / "trials.jsonl")
    result = walk_forward(late, settings(GRID), ledger=ledger).results["follow"]
    assert result.grid.index.equals(result.daily.index)
    assert gate_one(result, ledger=ledger).verdict.decision == "NO-GO"  # 30 days at most


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"step": "3D"}, "traded twice"),
        ({"train": "36h"}, "not whole days"),
        ({"embargo": "1h"}, "not whole days"),
        ({"test": "0D"}, "not a length of time"),
    ],
)
def test_folds_that_cannot_be(change, match):
    with pytest.raises(ConfigError, match=match):
        load_settings({"strategies": {"x": {"name": "statistical"}}, "folds": change})


# What is earned ---------------------------------------------------------------------


def test_a_trade_earns_what_the_prices_say():
    rows = 20 * DAY
    # In the first test span, rows 144 to 263: long from the signal at row 150 to that at 160.
    data = dataset(rows, signal=pulse(rows, (150, 160)))
    result = walk_forward(data, settings()).results["follow"]
    opened = data.bars["mid_open"].to_numpy()
    # Filled at the open of the row after; 100,000 USD bought at the first open.
    expected = opened[161] / opened[151] - 1.0
    assert result.folds["gross"].tolist() == pytest.approx([expected, 0.0])
    assert result.folds["trades"].tolist() == [1, 0]
    assert result.stats()["net"] == pytest.approx(expected)
    assert result.stats()["cost"] == 0.0
    held = result.frame["position"] != 0.0
    assert held[held].index.equals(data.bars.index[151:161])
    assert result.folds["in_market"].tolist() == pytest.approx([10 / 120, 0.0])


def test_a_position_is_closed_in_the_last_bar_of_a_test_span_at_its_cost():
    rows = 20 * DAY
    data = dataset(rows, spread=4.0, signal=np.ones(rows))
    result = walk_forward(data, settings()).results["follow"]
    opened = data.bars["mid_open"].to_numpy()
    for fold, (begin, end) in enumerate([(144, 264), (264, 384)]):
        row = result.folds.iloc[fold]
        entry, exit_ = opened[begin + 1], opened[end - 1]
        assert row["gross"] == pytest.approx(exit_ / entry - 1.0)
        # Half of the spread of 4 bps at each of the two fills, besides impact of the same size.
        spread = result.frame["spread"].iloc[120 * fold : 120 * (fold + 1)]
        assert spread.sum() == pytest.approx(2e-4 * (1.0 + exit_ / entry))
        assert np.flatnonzero(spread).tolist() == [1, 119]
        assert row["net"] < row["gross"] - spread.sum()
    assert result.frame["position"].iloc[119] == 0.0
    assert result.frame["position"].iloc[118] == 1.0
    assert result.frame["position"].iloc[120] == 0.0  # the next fold begins flat


def test_a_strategy_without_signal_earns_nothing():
    rows = 20 * DAY
    stats = walk_forward(dataset(rows, signal=np.zeros(rows)), settings()).results["follow"].stats()
    assert (stats["gross"], stats["cost"], stats["net"], stats["trades"]) == (0.0, 0.0, 0.0, 0)
    assert np.isnan(stats["net_sharpe"])


def test_funding_is_paid_by_what_is_held_and_counts_in_the_net():
    rows = 20 * DAY
    data = dataset(rows, mid=np.full(rows, 100.0), signal=np.ones(rows))
    time = pd.DatetimeIndex(["2024-01-08 08:00", "2024-01-01 08:00"]).tz_localize("UTC")
    paid = pd.DataFrame({"time": time[::-1], "rate": [0.5, 1e-3], "mark": [100.0, 100.0]})
    data = dataclasses.replace(data, funding=paid, fingerprint="x")
    result = walk_forward(data, settings()).results["follow"]
    assert result.folds["funding"].tolist() == pytest.approx([1e-3, 0.0])
    assert result.stats()["net"] == pytest.approx(-1e-3)


def test_two_legs_hold_one_against_the_other():
    rows = 20 * DAY
    data = dataset(rows, second=True, signal=pulse(rows, (150, 160)))
    config = settings({"pair": {"name": f"{RULES}:Pair"}})
    result = walk_forward(data, config).results["pair"]
    first, second = (one["mid_open"].to_numpy() for one in (data.bars, data.second))
    # As much of one as of the other, in base units: what the first is worth buys both.
    expected = (first[161] - first[151] - second[161] + second[151]) / first[151]
    assert result.folds["gross"].iloc[0] == pytest.approx(expected)
    with pytest.raises(DataError, match="two legs"):
        walk_forward(dataset(rows, signal=np.zeros(rows)), config)


# Choice -----------------------------------------------------------------------------


def noisy(rows, seed=1):
    """A signal that tells the move from the next open to the one after, and its prices."""
    rng = np.random.default_rng(seed)
    mid = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-3, rows)))
    opened = np.r_[mid[0], mid[:-1]]
    ahead = np.append(np.sign(opened[2:] - opened[1:-1]), [0.0, 0.0])
    return mid, ahead


GRID = {"follow": {"name": f"{RULES}:Follow", "grid": {"side": [-1, 0, 1]}}}


def test_parameters_are_chosen_on_the_training_span_alone():
    mid, ahead = noisy(20 * DAY)
    # Right on the training rows of fold 0 and wrong ever after: whoever looked at its test span too
    # would choose the other side.
    ahead[119:] *= -1
    result = walk_forward(dataset(mid=mid, signal=ahead), settings(GRID)).results["follow"]
    assert result.folds["chosen"].iloc[0] == 2
    assert result.configurations[2] == {"side": 1}
    assert result.folds["net"].iloc[0] < 0.0
    # All configurations are traded on the test spans; the one that was chosen is the result.
    assert list(result.grid) == ["0", "1", "2"]
    assert (result.grid["1"] == 0.0).all()
    days = result.daily.iloc[:5]
    np.testing.assert_array_equal(result.grid["2"].iloc[:5], days)
    np.testing.assert_allclose(result.grid["0"].iloc[:5], -days, atol=1e-4)


def test_where_nothing_earned_the_one_that_does_not_trade_is_chosen():
    mid, ahead = noisy(20 * DAY)
    data = dataset(mid=mid, signal=-ahead)
    losers = {"follow": {"name": f"{RULES}:Follow", "grid": {"side": [1, 0]}}}
    assert walk_forward(data, settings(losers)).results["follow"].folds["chosen"].tolist() == [1, 1]


def test_every_configuration_is_a_trial_and_counts_once(tmp_path):
    mid, ahead = noisy(20 * DAY)
    data = dataset(mid=mid, signal=ahead)
    ledger = TrialLedger(tmp_path / "trials.jsonl")
    config = settings(GRID, project="mine")
    result = walk_forward(data, config, ledger=ledger).results["follow"]
    assert result.trials == ledger.count("mine") == 4  # three, and what was chosen of them
    recorded = ledger.frame("mine")
    days = result.grid["2"].to_numpy()
    assert recorded["sharpe"].iloc[2] == pytest.approx(sharpe(days))
    assert recorded["data"].unique().tolist() == [data.fingerprint]
    walk_forward(data, config, ledger=ledger)
    assert ledger.count("mine") == 4
    walk_forward(data, settings(GRID, project="mine", seed=1), ledger=ledger)
    assert ledger.count("mine") == 8
    walk_forward(data, settings(project="mine"), ledger=ledger)
    assert ledger.count("mine") == 9


# No look-ahead ----------------------------------------------------------------------


def scrambled(data, end):
    """Everything after the first rows replaced by something else."""
    rng = np.random.default_rng(9)

    def change(frame):
        values = frame.to_numpy(copy=True)
        values[end:] *= rng.uniform(0.5, 2.0, values[end:].shape)
        return pd.DataFrame(values, frame.index, frame.columns)

    return dataclasses.replace(
        data, bars=change(data.bars), features=change(data.features), fingerprint=""
    )


def test_nothing_after_a_test_span_changes_a_bit_of_it():
    mid, ahead = noisy(40 * DAY)
    data = dataset(mid=mid, spread=1.0, signal=ahead)
    before = walk_forward(data, settings(GRID)).results["follow"]
    for fold in (0, 2):
        end = 264 + 120 * fold
        after = walk_forward(scrambled(data, end), settings(GRID)).results["follow"]
        rows, days = 120 * (fold + 1), 5 * (fold + 1)
        for name, count in (("folds", fold + 1), ("frame", rows), ("grid", days), ("regime", days)):
            pd.testing.assert_frame_equal(
                getattr(after, name).iloc[:count],
                getattr(before, name).iloc[:count],
                check_exact=True,
            )
        assert not after.frame["net"].equals(before.frame["net"])


def test_the_volatility_of_a_day_is_known_before_it():
    rows = 30 * DAY
    step = np.array([1e-2, 3e-3, 1e-3])[np.arange(rows) // DAY % 3]
    log = np.cumsum(step * np.where(np.arange(rows) % 2, 1.0, -1.0))
    mid = pd.Series(100.0 * np.exp(log), index(rows))
    time = to_ns(mid.index)
    regime = daily_regime(mid, (time[0], time[9 * DAY - 1]), (time[12 * DAY], time[18 * DAY - 1]))
    assert regime.index[0] == pd.Timestamp("2024-01-13", tz="UTC")
    # Days 12 to 17; the day before them was calm (11), wild (12), middling (13), ...
    assert regime.tolist() == [0, 2, 1, 0, 2, 1]


# Anywhere the same --------------------------------------------------------------------


def test_two_workers_and_a_path_give_the_same_bits(tmp_path):
    mid, ahead = noisy(40 * DAY)
    data = dataset(mid=mid, spread=1.0, signal=ahead)
    folder = data.save(tmp_path / "data")
    seen = []
    alone = walk_forward(
        data, settings(GRID), each=lambda fold, of: seen.append((fold.rows.number, of))
    )
    assert sorted(seen) == [(number, 6) for number in range(6)]
    for workers in (Workers(), Workers(2), Workers(2, "threading")):
        equal(
            walk_forward(folder, settings(GRID), workers=workers).results["follow"],
            alone.results["follow"],
        )
    with pytest.raises(ConfigError, match="in memory"):
        walk_forward(data, settings(GRID), workers=Workers(2))


def test_what_was_saved_is_what_is_loaded(tmp_path):
    mid, ahead = noisy(20 * DAY)
    result = walk_forward(dataset(mid=mid, signal=ahead), settings(GRID)).results["follow"]
    loaded = WalkForwardResult.load(result.save(tmp_path / "result"))
    equal(loaded, result)
    assert loaded.manifest == result.manifest
    pd.testing.assert_series_equal(loaded.daily, result.daily, check_freq=False)
    with pytest.raises(DataError, match="no result"):
        WalkForwardResult.load(tmp_path)


def test_features_that_no_data_have_are_told_at_once(tmp_path):
    with pytest.raises(DataError, match="no feature 'signal'"):
        walk_forward(dataset(20 * DAY), settings())
    with pytest.raises(DataError, match="no value in any bar"):
        walk_forward(dataset(20 * DAY, signal=np.full(20 * DAY, np.nan)), settings())


# Costs ------------------------------------------------------------------------------


def test_the_state_of_the_market_is_that_of_the_bars_so_far():
    data = dataset(10 * DAY, spread=2.0)
    state = market_state(data.bars, 3)
    log = np.log(data.bars["mid"].to_numpy())
    at = 50
    squares = np.diff(log)[at - 3 : at] ** 2
    assert state["realized_vol"][at] == pytest.approx(np.sqrt(squares.mean() * 365 * 24))
    assert state["daily_volume"][at] == pytest.approx(24 * 1e7)
    assert state["spread_bps"][at] == 2.0
    assert state["realized_vol"][0] == 0.0


def test_costs_are_those_of_the_settings():
    rows = 20 * DAY
    data = dataset(rows, mid=np.full(rows, 100.0), signal=pulse(rows, (150, 160)))
    fees = {**FREE, "taker_fee_bps": 5, "maker_fee_bps": 2}
    paid = walk_forward(data, settings(costs=fees)).results["follow"].stats()
    assert paid["cost"] == pytest.approx(2 * 5e-4)
    assert paid["net"] == pytest.approx(-2 * 5e-4)
    patient = walk_forward(data, settings(costs=fees | {"mode": "passive"})).results["follow"]
    assert patient.stats()["cost"] == pytest.approx(2 * 2e-4)
    dear = walk_forward(data, settings(costs=fees | {"scale": 2.0})).results["follow"]
    assert dear.stats()["cost"] == pytest.approx(4 * 5e-4)
    small = walk_forward(data, settings(costs=fees | {"size_usd": 10_000})).results["follow"]
    assert small.stats()["cost"] == pytest.approx(2 * 5e-5)

"""What a run on bars hands back, what it refuses, and that it does not look ahead."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrtrade.backtest import metrics
from mrtrade.backtest.bar_costs import PARTS, SpreadCost
from mrtrade.backtest.bar_run import run_bars
from mrtrade.clock import NS_PER_DAY
from mrtrade.errors import ConfigError, DataError, RunError

from .make import START
from .make_bars import FREE, MINUTE, NAN, frames, grid, held, play


@pytest.fixture(scope="module")
def year():
    n = 100 * 24
    rng = np.random.default_rng(2)
    mids = 100.0 * np.exp(np.cumsum(rng.normal(0, 4e-3, n)))
    day = START // NS_PER_DAY * NS_PER_DAY
    made = grid(mids, np.r_[100.0, mids[:-1]])
    made["time"] = [day + (i + 1) * 60 * MINUTE for i in range(n)]
    shares = rng.choice([-1.0, 0.0, 0.0, 1.0], n // 8).repeat(8)
    return frames(made, held(shares, stop_bps=90.0, hold_s=5 * 3600.0))


@pytest.fixture(scope="module")
def result(year):
    time = year[0].index[7::8]
    funding = pd.DataFrame({"time": time, "rate": 1e-4, "mark": np.nan})
    return run_bars(*year, costs=SpreadCost(4.0, 2.0), funding=funding)


def test_the_measures_are_those_of_the_daily_profits(result):
    stats, daily = result.stats, result.daily()
    assert (len(daily), stats["days"]) == (100, 100)
    assert daily.index[0] == result.returns.index[0].normalize() + pd.Timedelta(days=1)
    expected = result.returns.to_numpy().reshape(100, 24).sum(axis=1)
    np.testing.assert_allclose(daily, expected, rtol=0, atol=1e-15)
    ratio = metrics.sharpe(expected)
    assert stats["sharpe"] == pytest.approx(math.sqrt(365) * ratio)
    assert stats["sharpe_se"] == pytest.approx(math.sqrt(365) * metrics.sharpe_se(ratio, 100))
    assert stats["psr"] == pytest.approx(
        metrics.probabilistic_sharpe(ratio, 100, *metrics.moments(expected))
    )
    before = expected + sum(result.costs.values()).reshape(100, 24).sum(axis=1)
    assert stats["sharpe_before_costs"] == pytest.approx(math.sqrt(365) * metrics.sharpe(before))
    assert stats["sharpe"] < stats["sharpe_before_costs"]
    parts = [stats[name] for name in PARTS]
    assert stats["costs"] == pytest.approx(sum(parts))
    assert stats["net"] == pytest.approx(stats["gross"] - stats["costs"] - stats["funding"])
    equity = 1.0 + np.cumsum(np.r_[0.0, result.returns])
    assert stats["max_drawdown"] == pytest.approx(metrics.drawdown(equity).max())
    closed = result.trades[result.trades["reason"] != "open"]
    assert stats["trades"] == len(closed) > 100
    assert stats["stops"] == (closed["reason"] == "stop").sum() > 5
    assert stats["holds"] == (closed["reason"] == "hold").sum() > 5
    assert stats["win_rate"] == pytest.approx((closed["pnl"] > 0).mean())
    assert stats["time_in_market"] == pytest.approx((result.frame["position"] != 0).mean())
    assert stats["turnover"] == pytest.approx(result.traded[0].sum())
    assert result.notes == {}


def test_costs_can_be_scaled_afterwards(year, result):
    scaled = result.at_cost(2.5)
    again = run_bars(
        *year,
        costs=SpreadCost(4.0, 2.0, scale=2.5),
        funding=pd.DataFrame({"time": year[0].index[7::8], "rate": 1e-4, "mark": np.nan}),
    )
    np.testing.assert_allclose(scaled.returns, again.returns, rtol=0, atol=1e-15)
    assert scaled.stats == pytest.approx(again.stats)
    even = result.at_cost(1.0)
    assert even.stats == pytest.approx(result.stats)
    multiple = result.stats["break_even_multiple"]
    left = result.stats["gross"] - result.stats["funding"]
    assert left - multiple * result.stats["costs"] == pytest.approx(0.0, abs=1e-12)
    for wrong in (-1.0, NAN):
        with pytest.raises(ConfigError, match="multiple of costs"):
            result.at_cost(wrong)


def test_no_signal_loses_exactly_its_costs(year):
    bars = year[0].assign(mid=100.0, mid_open=100.0)
    result = run_bars(bars, year[1], costs=SpreadCost(4.0, 2.0))
    assert result.stats["net"] == pytest.approx(-5e-4 * result.stats["turnover"], rel=1e-12)
    assert result.stats["gross"] == 0.0


def test_what_cannot_be_judged_is_none_and_says_why():
    short = play(grid([100.0] * 5), held([0] * 5))
    assert short.stats["sharpe"] is None
    assert short.notes["sharpe"] == "too short: 0 whole days of 30"
    assert short.notes["break_even_multiple"] == "nothing was charged"
    assert short.notes["win_rate"] == "no round trip was closed"
    assert (short.stats["trades"], short.stats["net"]) == (0, 0.0)
    assert short.trades.empty
    empty = play(grid([]), [])
    assert (len(empty.frame), empty.stats["net"]) == (0, 0.0)


def test_days_that_are_not_whole_are_left_out(year):
    bars, targets = year
    part = slice(5, 24 * 40 + 7)
    result = run_bars(bars.iloc[part], targets.iloc[part], costs=FREE)
    days = result.daily()
    assert len(days) == 39
    assert days.index[0] == bars.index[47]
    assert days.iloc[0] == pytest.approx(
        result.returns.loc[days.index[0] - pd.Timedelta("23h") :].iloc[:24].sum()
    )


def test_the_frame_is_saved_whole_or_not_at_all(result, tmp_path, monkeypatch):
    path = result.save(tmp_path / "new" / "bars.parquet")
    again = pd.read_parquet(path)
    np.testing.assert_array_equal(again["net"], result.frame["net"])
    assert list(again.columns) == ["time", *result.frame.columns]
    before = path.read_bytes()

    def fails(*args, **kwargs):
        Path(args[1]).write_bytes(b"half")
        raise OSError("no room")

    monkeypatch.setattr("pyarrow.parquet.write_table", fails)
    with pytest.raises(OSError, match="no room"):
        result.save(path)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["bars.parquet"]


def test_what_cannot_be_used_is_told(year):
    bars, targets = year
    with pytest.raises(DataError, match="do not stand at the same times"):
        run_bars(bars, targets.iloc[1:], costs=FREE)
    with pytest.raises(ConfigError, match="capital: not a sum of money"):
        run_bars(bars, targets, costs=FREE, capital=0.0)
    with pytest.raises(ConfigError, match="urgency: out of range"):
        run_bars(bars, targets, costs=FREE, urgency=1.5)
    with pytest.raises(RunError, match=r"target at .* out of range"):
        run_bars(bars, targets.assign(target=1.5), costs=FREE)
    with pytest.raises(DataError, match="bars without 'mid'"):
        run_bars(bars.drop(columns="mid"), targets, costs=FREE)
    for wrong in (0.0, -1.0, math.inf):
        spoiled = bars.assign(mid=bars["mid"].where(bars.index != bars.index[3], wrong))
        with pytest.raises(DataError, match="row 3, mid: not a price"):
            run_bars(spoiled, targets, costs=FREE)
    with pytest.raises(DataError, match="not in order"):
        run_bars(bars.iloc[::-1], targets.iloc[::-1], costs=FREE)


def test_nothing_looks_ahead(year):
    bars, targets = year
    cut = 1000
    whole = run_bars(bars, targets, costs=SpreadCost(4.0))
    spoiled = bars.copy()
    spoiled.iloc[cut:] = spoiled.iloc[cut:].to_numpy()[::-1] * 3.0
    other = run_bars(spoiled, targets, costs=SpreadCost(4.0))
    np.testing.assert_array_equal(other.returns[:cut], whole.returns[:cut])
    part = run_bars(bars[:cut], targets[:cut], costs=SpreadCost(4.0))
    np.testing.assert_array_equal(part.returns, whole.returns[:cut])

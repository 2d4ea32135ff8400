import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from mrtrade.backtest import metrics
from mrtrade.backtest.ledger import round_trips
from mrtrade.backtest.text import spell
from mrtrade.clock import NS_PER_DAY

from .make import CAPITAL, START, equity_of, fills_of, orders_of, random_result

HAZARDS = {
    "flat": [0.0, 0.0, 0.0],
    "one return": [0.01],
    "empty": [],
    "NaN": [0.01, math.nan, 0.02],
    "all up": [0.01, 0.02, 0.01],
    "all down": [-0.01, -0.02, -0.01],
    "equal": [0.1, 0.1, 0.1],  # their mean is not 0.1 in floats
}


def hazard(name):
    return np.array(HAZARDS[name], dtype=float)


def test_psr_published_example():
    # Bailey and Lopez de Prado (2012): two years of monthly returns of hedge funds.
    psr = metrics.probabilistic_sharpe(0.458, 24, skew=-2.448, kurtosis=10.164)
    assert psr == pytest.approx(0.913, abs=5e-4)
    assert metrics.probabilistic_sharpe(0.458, 24) == pytest.approx(0.982, abs=5e-4)


def test_psr_needs_a_variance():
    # Two values only: kurtosis = skew^2 + 1, and the variance vanishes at 2 / skew.
    assert math.isnan(metrics.probabilistic_sharpe(1.0, 10, skew=2.0, kurtosis=5.0))


@pytest.mark.parametrize(
    ("rho", "eta"),
    [
        (-0.2, 4.171),
        (-0.1, 3.798),
        (0.0, 3.464),
        (0.1, 3.160),
        (0.2, 2.879),
        (0.3, 2.615),
        (0.9, 1.207),
    ],
)
def test_lo_table_of_monthly_to_annual(rho, eta):
    assert metrics.annualisation(12, rho) == pytest.approx(eta, abs=5e-4)


def test_a_year_has_365_days():
    assert metrics.annualisation(metrics.DAYS_A_YEAR) == pytest.approx(math.sqrt(365), rel=1e-14)


def test_lo_standard_error_is_the_spread_of_estimates():
    true = 0.1
    samples = np.random.default_rng(3).normal(true, 1.0, (4000, 250))
    ratios = [metrics.sharpe(row) for row in samples]
    assert np.std(ratios) == pytest.approx(metrics.sharpe_se(true, 250), rel=0.05)


@pytest.mark.parametrize(
    ("name", "sharpe", "sortino"),
    [
        ("flat", math.nan, math.nan),
        ("one return", math.nan, math.nan),
        ("empty", math.nan, math.nan),
        ("NaN", math.nan, math.nan),
        ("all up", 0.04 / 3 / np.std([0.01, 0.02, 0.01], ddof=1), math.nan),
        (
            "all down",
            -0.04 / 3 / np.std([0.01, 0.02, 0.01], ddof=1),
            -0.04 / 3 / math.sqrt((0.01**2 + 0.02**2 + 0.01**2) / 3),
        ),
        ("equal", math.nan, math.nan),
    ],
)
def test_ratios_of_hazards(name, sharpe, sortino):
    np.testing.assert_allclose(metrics.sharpe(hazard(name)), sharpe)
    np.testing.assert_allclose(metrics.sortino(hazard(name)), sortino)


@pytest.mark.parametrize("name", ["flat", "one return", "empty", "NaN", "equal"])
def test_moments_of_hazards_are_missing(name):
    assert np.isnan(metrics.moments(hazard(name))).all()
    assert math.isnan(metrics.autocorrelation(hazard(name)))


@given(st.lists(st.floats(-0.1, 0.1), min_size=3, max_size=50).filter(lambda x: np.std(x) > 1e-6))
def test_moments_match_scipy(returns):
    x = np.array(returns)
    skew, kurtosis = metrics.moments(x)
    assert skew == pytest.approx(scipy_stats.skew(x), rel=1e-6, abs=1e-6)
    assert kurtosis == pytest.approx(scipy_stats.kurtosis(x, fisher=False), rel=1e-6)


@pytest.mark.parametrize(
    ("equity", "deepest", "longest"),
    [
        ([], [], 0),
        ([5.0], [0.0], 0),
        ([1.0, 1.0, 1.0], [0.0] * 3, 0),
        ([1.0, 2.0, 3.0], [0.0] * 3, 0),
        ([3.0, 2.0, 1.0], [0.0, 1.0, 2.0], 2),
        ([1.0, 3.0, 2.0, 3.0, 4.0, 1.0], [0.0, 0.0, 1.0, 0.0, 0.0, 3.0], 2),
        ([5.0, 4.0, 4.5, 4.0, 6.0, 5.0], [0.0, 1.0, 0.5, 1.0, 0.0, 1.0], 4),
        ([2.0, 2.0, 1.0, 2.0], [0.0, 0.0, 1.0, 0.0], 2),
    ],
)
def test_drawdowns_by_hand(equity, deepest, longest):
    equity = np.array(equity)
    np.testing.assert_array_equal(metrics.drawdown(equity), deepest)
    assert metrics.longest_below_peak(np.arange(len(equity)), equity) == longest


def test_daily_returns_count_from_the_start():
    hours = np.arange(0, 24 * 3 + 5)  # three days and five hours
    time = START + hours * 3600 * 10**9
    equity = 100.0 + hours
    got = metrics.daily_returns(time, equity)
    np.testing.assert_allclose(got, [24 / 100, 24 / 124, 24 / 148])
    assert len(metrics.daily_returns(time[:0], equity[:0])) == 0


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0.0 seconds"),
        (5.7 * 60e9, "5.7 minutes"),
        (24.3 * 3600e9, "24.3 hours"),
        (31.2 * NS_PER_DAY, "31.2 days"),
    ],
)
def test_spans_are_spelled(ns, text):
    assert spell(ns) == text


def summary(fills, equity):
    trades = round_trips(fills, equity["mid"].iloc[-1] if len(equity) else 0.0)
    return metrics.summarise(equity, fills, orders_of(fills), trades, CAPITAL)


def long_run(days, daily, mid=100.0):
    """Hold one unit for some days; the mid moves by `daily` a day, the equity with it."""
    fills = fills_of([(0, 1, mid, 10.0, True, 0.0, mid, mid)])
    return fills, equity_of(fills, mid + np.concatenate(([0.0], np.cumsum(daily))), step=86_400)


RATIOS = [
    "Annual return, 365 days [%]",
    "Annual volatility, 365 days [%]",
    "Sharpe, 365 days",
    "Sharpe standard error, Lo 2002 iid",
    "Sharpe, Lo 2002 AR(1)-adjusted",
    "PSR(0), version of 2012",
    "Sortino, 365 days",
    "Calmar, 365 days",
]


@pytest.mark.parametrize("name", RATIOS)
def test_a_short_run_has_no_annual_figures(name):
    result = random_result(seconds=342)
    assert result.stats[name] is None
    assert result.notes[name] == "too short: 5.7 minutes"
    _, notes = summary(*long_run(29, np.ones(29)))
    assert notes[name] == "too short: 29.0 days"


def test_the_figures_of_a_long_run():
    daily = np.random.default_rng(5).normal(0.3, 1.0, 90)
    fills, equity = long_run(90, daily)
    stats, notes = summary(fills, equity)
    value = equity["equity"].to_numpy()
    returns = np.diff(value) / value[:-1]
    sharpe = returns.mean() / returns.std(ddof=1)
    deepest = (1 - value / np.maximum.accumulate(value)).max()
    growth = (value[-1] / value[0]) ** (365 / 90) - 1
    assert not set(RATIOS) & set(notes)
    assert stats["Sharpe, 365 days"] == pytest.approx(sharpe * math.sqrt(365))
    assert stats["Sharpe standard error, Lo 2002 iid"] == pytest.approx(
        math.sqrt(365 * (1 + sharpe**2 / 2) / 90)
    )
    assert stats["Annual return, 365 days [%]"] == pytest.approx(100 * growth)
    assert stats["Calmar, 365 days"] == pytest.approx(growth / deepest)
    assert stats["Max drawdown [%]"] == pytest.approx(100 * deepest)
    assert stats["Net PnL [settlement]"] == pytest.approx(10 * daily.sum())
    assert 0.0 < stats["PSR(0), version of 2012"] < 1.0


def test_ratios_without_a_meaning_say_why():
    _, notes = summary(*long_run(40, np.zeros(40)))
    assert notes["Sharpe, 365 days"] == "no variation in the daily returns"
    stats, notes = summary(*long_run(40, np.linspace(1, 2, 40)))
    assert notes["Sortino, 365 days"] == notes["Calmar, 365 days"] == "no losing day"
    assert stats["Sharpe, 365 days"] > 0
    _, notes = summary(*long_run(40, np.full(40, -30.0)))  # 10,000 of capital, 12,000 lost
    assert set(notes.values()) >= {"the capital was lost"}


def test_activity_by_hand():
    fills = fills_of(
        [
            (0, 1, 100.0, 1.0, True, 0.1, 100.0, 100.0),
            (4, -1, 101.0, 1.0, False, 0.1, 100.0, 100.0),
            (6, -1, 101.0, 2.0, False, 0.1, 100.0, 100.0),
            (8, 1, 102.0, 2.0, False, 0.1, 100.0, 100.0),
        ]
    )
    stats, notes = summary(fills, equity_of(fills, [100.0] * 10))
    assert stats["Round trips"] == 2
    assert stats["Win rate [%]"] == 50.0
    assert stats["Mean hold time [s]"] == 3.0
    assert stats["Mean PnL of a round trip [settlement]"] == pytest.approx((0.8 - 2.2) / 2)
    assert stats["Turnover [settlement]"] == 607.0
    assert stats["Maker share [%]"] == pytest.approx(100 * 100 / 607)
    assert (stats["Orders"], stats["Fills"]) == (4, 4)
    assert stats["Orders filled [%]"] == 100.0
    assert stats["Time in the market [%]"] == 60.0
    assert stats["Last position [units]"] == 0.0
    assert set(notes) == set(RATIOS)


def test_a_run_without_fills():
    fills = fills_of([])
    stats, notes = summary(fills, equity_of(fills, [100.0, 101.0]))
    assert stats["Net PnL [settlement]"] == 0.0
    assert stats["Win rate [%]"] is None
    assert notes["Win rate [%]"] == "no round trip was closed"
    assert notes["Maker share [%]"] == "no fills"
    assert stats["Max drawdown [%]"] == 0.0
    empty, _ = summary(fills, equity_of(fills, []))
    assert empty["Net PnL [settlement]"] == 0.0

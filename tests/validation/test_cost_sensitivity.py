import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtrade.backtest import metrics
from mrtrade.errors import DataError
from mrtrade.validation.cost_sensitivity import (
    MULTIPLES,
    break_even,
    cost_sensitivity,
    multiple_at,
)


def parts(seed=0, days=100, bars=24, mean=0.001, cost=0.0003):
    rng = np.random.default_rng(seed)
    n = days * bars
    index = pd.date_range("2024-01-01 01:00", periods=n, freq="1h", tz="UTC")
    gross = pd.Series(rng.normal(mean / bars, 0.01 / math.sqrt(bars), n), index)
    paid = pd.Series(rng.exponential(cost / bars, n), index)
    funding = pd.Series(np.where(np.arange(n) % 8 == 7, 1e-5, 0.0), index)
    return gross, paid, funding


def test_each_multiple_is_a_run_with_other_costs():
    gross, cost, funding = parts()
    found = cost_sensitivity(gross, cost, funding)
    assert tuple(found.table["multiple"]) == MULTIPLES
    assert found.days == 100
    for row in found.table.to_dict("records"):
        net = gross - row["multiple"] * cost + funding
        days = net.to_numpy().reshape(100, 24).sum(axis=1)
        ratio = days.mean() / days.std(ddof=1)
        assert row["net"] == pytest.approx(net.sum())
        assert row["sharpe"] == pytest.approx(ratio * math.sqrt(365))
        se = math.sqrt((1 + ratio**2 / 2) / 100)
        assert row["sharpe_se"] == pytest.approx(se * math.sqrt(365))
    assert (found.gross, found.cost) == pytest.approx((gross.sum(), cost.sum()))
    assert found.funding == pytest.approx(funding.sum())


def test_nothing_is_left_at_the_break_even_multiple():
    gross, cost, funding = parts(1)
    found = cost_sensitivity(gross, cost, funding)
    again = cost_sensitivity(gross, cost, funding, multiples=[found.break_even])
    assert again.table["net"].iloc[0] == pytest.approx(0.0, abs=1e-12)
    # Funding is not multiplied: received, it bears more costs.
    assert found.break_even > cost_sensitivity(gross, cost).break_even


@pytest.mark.parametrize(
    ("earned", "paid", "expected"),
    [(0.06, 0.02, 3.0), (-0.01, 0.02, math.nan), (0.0, 0.02, math.nan), (0.06, 0.0, math.inf)],
)
def test_break_even_by_hand(earned, paid, expected):
    assert break_even(earned, paid) == pytest.approx(expected, nan_ok=True)


@given(st.integers(0, 10_000), st.floats(0.01, 0.2), st.floats(0.001, 0.2))
def test_the_multiple_of_a_ratio_is_exact(seed, ratio, cost):
    rng = np.random.default_rng(seed)
    earned = rng.normal(0.15, 1.0, 60)
    paid = rng.exponential(cost, 60) + 0.1 * cost * earned  # related to what was earned
    k = multiple_at(earned, paid, ratio)
    now = metrics.sharpe(earned)
    if now < ratio:
        assert math.isnan(k)
    elif math.isfinite(k):
        assert metrics.sharpe(earned - k * paid) == pytest.approx(ratio, abs=1e-6)
        assert metrics.sharpe(earned - 0.5 * k * paid) >= ratio - 1e-9


def test_costs_that_lower_no_ratio_bear_any_multiple():
    earned = np.random.default_rng(2).normal(1.0, 1.0, 60)
    assert multiple_at(earned, np.zeros(60), 0.1) == math.inf


def test_the_criterion_at_twice_the_costs():
    gross, cost, funding = parts(3, mean=0.004)
    one = cost_sensitivity(gross, cost, funding).criterion()
    assert one.passed is True
    assert one.name == "Sharpe ratio at 2x costs"
    assert "breaks even at" in one.note
    dear = cost_sensitivity(gross, 20.0 * cost, funding).criterion()
    assert dear.passed is False
    losing = cost_sensitivity(-gross.abs(), cost).criterion()
    assert losing.passed is False
    assert "loses money without costs" in losing.note


def test_a_short_result_is_not_judged():
    gross, cost, funding = parts(4, days=29)
    found = cost_sensitivity(gross, cost, funding)
    assert found.table["sharpe"].isna().all()
    assert found.table["net"].notna().all()
    one = found.criterion()
    assert one.passed is None
    assert "29 days, fewer than 30" in one.note


def test_a_strategy_that_never_traded_is_not_judged():
    gross, cost, _ = parts(5)
    one = cost_sensitivity(0.0 * gross, 0.0 * cost).criterion()
    assert one.passed is None
    assert "do not vary" in one.note
    assert cost_sensitivity(gross, cost).sharpe_at(7.0) != cost_sensitivity(gross, cost).break_even


def test_days_are_utc_and_a_bar_belongs_to_the_day_that_it_is_of():
    # The bar that ends at midnight is the last of the day before; a day without bars is a day.
    index = pd.to_datetime(
        ["2024-01-01 12:00", "2024-01-02 00:00", "2024-01-04 00:00"], utc=True
    ).as_unit("us")
    found = cost_sensitivity(pd.Series([0.1, 0.2, 0.4], index), pd.Series(0.0, index))
    assert found.days == 3
    assert found.gross == pytest.approx(0.7)


def test_refuses_parts_that_do_not_match():
    gross, cost, funding = parts(6)
    with pytest.raises(DataError, match="different bars"):
        cost_sensitivity(gross, cost[1:], funding)
    with pytest.raises(DataError, match="different bars"):
        cost_sensitivity(gross, cost, funding[1:])
    gross = gross.copy()
    gross.iloc[5] = math.nan
    with pytest.raises(DataError, match="row 5"):
        cost_sensitivity(gross, cost, funding)
    with pytest.raises(DataError, match="times fall"):
        cost_sensitivity(cost[::-1], cost[::-1])

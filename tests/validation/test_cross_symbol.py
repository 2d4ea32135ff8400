import math

import numpy as np
import pandas as pd
import pytest

from mrtrade.validation.cross_symbol import transfer


def daily(mean, seed=1, days=300, start="2024-01-01"):
    index = pd.date_range(start, periods=days, freq="1D", tz="UTC")
    return pd.Series(np.random.default_rng(seed).normal(mean, 0.01, days), index)


def test_ratio_of_two_symbols_over_the_days_of_both():
    btc = daily(0.003)
    sol = 0.8 * btc.iloc[50:] + daily(0.0, seed=2).iloc[50:] * 0.2
    found = transfer(btc, sol, names=("BTC", "SOL"))
    assert found.days == 250
    same = btc.iloc[50:]
    expected = (sol.mean() / sol.std()) / (same.mean() / same.std())
    assert found.ratio.value == pytest.approx(expected)
    assert found.ratio.low < expected < found.ratio.high
    assert found.trained_sharpe == pytest.approx(same.mean() / same.std() * math.sqrt(365))
    assert found.excess.value == pytest.approx(found.tested_sharpe - 0.7 * found.trained_sharpe)
    one = found.criterion()
    assert one.measured == pytest.approx(100.0 * expected)
    assert (one.threshold, one.passed) == (70.0, True)
    assert "250 days; 95% interval" in one.note


def test_what_does_not_carry_over_fails_and_nothing_cannot_be_carried():
    btc = daily(0.004)
    assert transfer(btc, daily(-0.001, seed=3), names=("BTC", "SOL")).criterion().passed is False
    one = transfer(-btc, btc, names=("BTC", "SOL")).criterion()
    assert one.passed is None
    assert "BTC has no positive Sharpe ratio" in one.note


def test_few_days_have_a_ratio_and_no_interval():
    found = transfer(daily(0.004, days=20), daily(0.004, seed=5, days=20), names=("A", "B"))
    assert found.criterion().passed is None
    assert "20 days of both, fewer than 30" in found.criterion().note
    apart = transfer(daily(0.004), daily(0.004, start="2026-01-01"), names=("A", "B"))
    assert apart.days == 0
    assert apart.criterion().passed is None


def test_a_symbol_on_which_nothing_was_held_is_named():
    one = transfer(daily(0.004), 0.0 * daily(0.0), names=("A", "B")).criterion()
    assert one.passed is None
    assert "nothing was held on B" in one.note

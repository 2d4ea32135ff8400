import math

import numpy as np
import pytest

from mrtrade.backtest import metrics
from mrtrade.errors import ConfigError, DataError
from mrtrade.validation.bootstrap import (
    band,
    block_length,
    intervals,
    ratio_interval,
    worst_drawdown,
)


def series(seed, n=400, phi=0.0, mean=0.05):
    """AR(1) with that first autocorrelation and a deviation of 1."""
    from scipy.signal import lfilter

    noise = np.random.default_rng(seed).normal(size=n + 100) * math.sqrt(1.0 - phi * phi)
    return mean + lfilter([1.0], [1.0, -phi], noise)[100:]


@pytest.mark.simulation
@pytest.mark.parametrize("phi", [0.0, 0.3])
def test_coverage(phi):
    hits = {"sharpe": 0, "mean": 0}
    runs = 120
    for seed in range(runs):
        found = intervals(
            series(seed, phi=phi),
            draws=199,
            seed=seed,
            statistics={"sharpe": metrics.sharpe, "mean": np.mean},
        )
        for name, one in found.items():
            hits[name] += one.low <= 0.05 <= one.high
    for count in hits.values():
        assert 0.87 <= count / runs <= 0.99


@pytest.mark.simulation
def test_coverage_of_what_is_to_come():
    runs = 150
    hits = 0
    for seed in range(runs):
        x = series(seed, 260, 0.3)
        found = band(x[:200], 60, draws=199, seed=seed)
        hits += found.low <= x[200:].sum() <= found.high
    assert 0.86 <= hits / runs <= 0.98


def test_independent_returns_have_the_width_of_the_textbook():
    x = series(1, 1000)
    found = intervals(x, seed=2)
    wide = found["mean"].high - found["mean"].low
    assert wide == pytest.approx(2.0 * 1.96 * x.std() / math.sqrt(1000), rel=0.1)
    wide = found["sharpe"].high - found["sharpe"].low
    assert wide == pytest.approx(2.0 * 1.96 * metrics.sharpe_se(0.05, 1000), rel=0.1)
    assert found["sharpe"].value == metrics.sharpe(x)
    assert found["mean"].value == x.mean()
    assert found["drawdown"].low < found["drawdown"].value < found["drawdown"].high


def test_neighbours_alike_make_it_wider():
    plain = intervals(series(3, 1000), seed=1)["mean"]
    alike = intervals(series(3, 1000, 0.6), seed=1)["mean"]
    assert alike.block > plain.block
    assert alike.high - alike.low > 1.5 * (plain.high - plain.low)


def test_blocks_are_those_of_the_squares_where_these_are_longer():
    from arch.bootstrap import optimal_block_length

    rng = np.random.default_rng(4)
    waves = np.repeat(np.exp(rng.normal(size=40)), 25) * rng.normal(size=1000)  # calm and storm
    own = float(optimal_block_length(waves)["stationary"].iloc[0])
    assert block_length(waves) > 2.0 * own
    assert block_length(np.tile([1.0, -1.0], 50)) >= 1.0  # squares that do not vary
    assert math.isnan(block_length(np.zeros(100)))


def test_seeds():
    x = series(5)
    assert intervals(x, seed=1) == intervals(x, seed=1)
    assert intervals(x, seed=1) != intervals(x, seed=2)
    assert band(x, 30, seed=1) == band(x, 30, seed=1)


def test_a_narrower_level_is_inside():
    x = series(6)
    wide, narrow = (intervals(x, level=level)["sharpe"] for level in (0.99, 0.8))
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(
    ("returns", "reason"),
    [
        ([], "0 returns, fewer than 30"),
        ([0.1] * 29, "29 returns"),
        ([0.1] * 100, "do not vary"),
        (np.cumsum(np.random.default_rng(7).normal(size=200)), "fewer than 10 blocks"),
    ],
)
def test_says_why_there_is_no_interval(returns, reason):
    for one in (*intervals(returns).values(), band(returns, 5)):
        assert reason in one.reason
        assert math.isnan(one.low)
        assert math.isnan(one.high)


def test_a_band_needs_as_much_past_as_future():
    x = series(8, 100)
    assert "more than the 100 known" in band(x, 101).reason
    assert band(x, 100).reason == ""
    found = band(x, 20)
    assert found.value == pytest.approx(20.0 * x.mean())
    assert found.low < found.value < found.high


def test_a_band_knows_that_the_mean_is_estimated():
    # Over as long as is known, what comes is as uncertain as what was: twice the variance.
    x = series(9, 600)
    found = band(x, 600, draws=2000)
    assert (found.high - found.low) / (2 * 1.96 * x.std() * math.sqrt(1200)) == pytest.approx(
        1.0, abs=0.12
    )


def test_drawdown_by_hand():
    assert worst_drawdown(np.array([0.1, -0.3, 0.1, -0.2])) == pytest.approx(0.4)
    assert worst_drawdown(np.array([-0.2, 0.5])) == pytest.approx(0.2)  # from where it began
    assert worst_drawdown(np.array([0.1, 0.2])) == 0.0
    assert worst_drawdown(np.array([])) == 0.0


# ---- a ratio of two ratios


def test_ratio_of_a_series_with_itself_is_one():
    x = series(10, mean=0.3)
    ratio, excess = ratio_interval(x, x, 0.7)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((1.0, 1.0, 1.0))
    assert excess.value == pytest.approx(0.3 * metrics.sharpe(x))
    assert excess.low > 0.0


def test_days_are_drawn_for_both_together():
    rng = np.random.default_rng(11)
    common, own = rng.normal(size=(2, 1000))
    x = 0.3 + common
    tied, _ = ratio_interval(0.3 + common + 0.2 * own, x, 0.7)
    free, _ = ratio_interval(0.3 + own, x, 0.7)
    assert tied.high - tied.low < 0.5 * (free.high - free.low)
    assert tied.low < 1.0 < tied.high or tied.value == pytest.approx(1.0, abs=0.1)


def test_a_ratio_to_nothing_has_no_value():
    good, bad, weak = series(12, mean=0.3), series(13, mean=-0.3), series(14)
    weak = weak - weak.mean() + 0.03
    ratio, excess = ratio_interval(good, bad, 0.7)
    assert math.isnan(ratio.value)
    assert "not positive" in ratio.reason
    assert excess.low > 0.0
    ratio, _ = ratio_interval(good, weak, 0.7)
    assert ratio.value > 0.0
    assert math.isnan(ratio.low)
    assert "of the draws" in ratio.reason
    ratio, excess = ratio_interval(good[:20], good[:20], 0.7)
    assert ratio.value == 1.0
    assert ratio.reason == excess.reason == "20 returns, fewer than 30"
    ratio, excess = ratio_interval(np.zeros(100), good[:100], 0.7)
    assert "do not vary" in excess.reason


def test_refuses_what_is_no_series():
    with pytest.raises(DataError, match="row 1"):
        intervals([0.1, math.nan, 0.2])
    with pytest.raises(ConfigError, match="level"):
        intervals(series(15), level=1.0)
    with pytest.raises(ConfigError, match="too few draws"):
        intervals(series(15), draws=10)
    with pytest.raises(ConfigError, match="nothing to come"):
        band(series(15), 0)
    with pytest.raises(ConfigError, match="different periods"):
        ratio_interval(series(15), series(15)[1:], 0.7)

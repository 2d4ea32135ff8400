"""`calculate_half_life`: known half-lives, random walks, and what it refuses."""

import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.signal import lfilter
from statsmodels.tsa.adfvalues import mackinnoncrit
from statsmodels.tsa.stattools import adfuller

from mrtrade.errors import ConfigError, DataError
from mrtrade.features.mean_reversion import calculate_half_life
from mrtrade.features.mean_reversion.half_life import NEAR_ONE, SHIFTS, _regression
from mrtrade.features.mean_reversion.reversion import dickey_fuller_5

from .golden import golden


def paths(half_life, n, count, seed):
    """Ornstein-Uhlenbeck paths of n pairs, begun in their stationary state; inf: random walks."""
    noise = np.random.default_rng(seed).normal(size=(count, n + 1))
    phi = 0.5 ** (1.0 / half_life)
    if phi < 1.0:
        noise[:, 0] /= np.sqrt(1.0 - phi**2)
    return lfilter([1.0], [1.0, -phi], noise, axis=1)


def series(values, freq="5min"):
    index = pd.date_range("2024-01-01", periods=len(values), freq=freq, tz="UTC")
    return pd.Series(values, index)


def test_against_statsmodels():
    inputs, expected, _ = golden("half_life")
    window = inputs["value"][640 - 299 : 641]
    got = calculate_half_life(series(window), log=False, lags=0)
    assert got.n == 299
    for name, value in (
        ("bars", "half_life_300"),
        ("phi", "phi_300"),
        ("phi_error", "phi_se_300"),
        ("adf_t", "adf_t_300"),
    ):
        assert getattr(got, name) == pytest.approx(expected[value][-1], rel=1e-8)
    assert got.minutes == pytest.approx(5 * got.bars)
    assert got.timedelta == pd.Timedelta(got.minutes, "min")
    assert got.error == pytest.approx(
        np.log(2) / (got.phi * np.log(got.phi) ** 2) * got.phi_error, rel=1e-12
    )
    chosen = calculate_half_life(window, "1h", log=False)
    assert chosen.adf_lags <= 24
    same = adfuller(
        window, maxlag=chosen.adf_lags, regression="c", autolag=None, result_object=False
    )
    assert (chosen.adf_t, chosen.adf_p) == pytest.approx(same[:2], rel=1e-9)
    assert chosen.minutes == pytest.approx(12 * got.minutes)


def test_variance_ratio_against_arch():
    inputs, expected, _ = golden("variance_ratio")
    price = inputs["price"][1024 - 300 : 1025]
    got = calculate_half_life(price, "1min", variance_ratio_bars=8)
    assert got.variance_ratio == pytest.approx(expected["vr_8_300"][-1], rel=1e-9)
    assert got.variance_ratio_z == pytest.approx(expected["z2_8_300"][-1], rel=1e-9)
    assert got.variance_ratio_p == pytest.approx(stats.norm.cdf(expected["z2_8_300"][-1]))


@pytest.mark.simulation
@pytest.mark.parametrize(
    ("half_life", "n"), [(2, 60), (10, 300), (50, 300), (20, 2000), (np.inf, 60), (np.inf, 500)]
)
def test_the_interval_holds_the_truth(half_life, n):
    """In 95 % of samples, and the median-unbiased half-life is too low in half of them."""
    found = [_regression(x) for x in paths(half_life, n, 1000, 3)]
    held = np.mean([low <= half_life <= high for low, high in (x["interval"] for x in found)])
    below = np.mean([x["unbiased"] < half_life for x in found])
    assert 0.925 < held < 0.99
    assert 0.44 < below < 0.56
    symmetric = [abs(x["bars"] - half_life) < 1.96 * x["error"] for x in found]
    if half_life > n / 20:
        assert np.mean(symmetric) < 0.85  # the delta method's is not worth its name


def test_the_quantiles_near_a_unit_root():
    """t of a slope of 1 is that of Dickey and Fuller; far from 1 it is shifted by 2 / sqrt(c)."""
    # Fuller (1976), table 8.5.2, constant: 0.025, 0.50 and 0.975 of an infinite sample
    for level, value in ((0.025, -3.12), (0.5, -1.57), (0.975, 0.23)):
        assert stats.norm.ppf(level) + SHIFTS[level][0] == pytest.approx(value, abs=0.02)
    for shift in SHIFTS.values():
        assert len(shift) == len(NEAR_ONE)
        assert shift[-1] == pytest.approx(-2 / np.sqrt(NEAR_ONE[-1]), abs=0.01)


@pytest.mark.simulation
def test_a_random_walk_does_not_revert_at_the_nominal_rate():
    found = [
        calculate_half_life(np.exp(1e-3 * x), "1s", lags=0, variance_ratio_bars=4)
        for x in paths(np.inf, 300, 250, 5)
    ]
    low, high = stats.binom.ppf([0.001, 0.999], len(found), 0.05)
    assert low <= sum(x.reverts for x in found) <= high
    assert low <= sum(x.variance_ratio_p < 0.05 for x in found) <= high


def test_gates():
    """A spread with a half-life of 30 in 500 passes one test and not the other."""
    for x in paths(30, 500, 40, 12):
        one = calculate_half_life(x, "1s", log=False)
        opened = one.adf_p < 0.05, one.variance_ratio_p < 0.05
        for gate, passed in (
            ("adf", opened[0]),
            ("variance_ratio", opened[1]),
            ("both", all(opened)),
        ):
            got = calculate_half_life(x, "1s", log=False, gate=gate)
            assert got.reverts == passed
            assert ("variance ratio does not" in got.verdict) == (
                gate != "adf" and not opened[1] and (gate != "both" or opened[0])
            )
        if opened[0] != opened[1]:
            return
    pytest.fail("no path tells the gates apart")


def test_what_reverts():
    got = calculate_half_life(series(100 * np.exp(1e-3 * paths(10, 3000, 1, 8)[0]), "1min"))
    assert got.reverts
    assert got.verdict == "reverts"
    low, high = got.minutes_interval
    assert low < 10 < high
    assert high - low < 5
    lines = str(got).splitlines()
    assert lines[0] == f"half-life {got.minutes:.1f} min, 95 % interval {low:.1f} to {high:.1f} min"
    assert lines[-1].endswith("verdict: reverts")


def test_what_does_not():
    walk = calculate_half_life(series(np.exp(1e-3 * paths(np.inf, 500, 1, 9)[0])))
    assert not walk.reverts
    assert walk.verdict == "no reversion: Dickey-Fuller does not reject a random walk at 5%"
    assert walk.interval[1] == np.inf
    found = [
        calculate_half_life(np.exp(1e-3 * x), "1s", alpha=1.0) for x in paths(np.inf, 60, 9, 2)
    ]
    for one in found:  # a test that rejects all leaves what the sample can tell
        assert one.reverts == (one.bars <= 10)
        assert one.reverts or "a sixth of the sample" in one.verdict
    assert 0 < sum(one.reverts for one in found) < 9
    noise = np.random.default_rng(0).normal(size=200)
    flip = calculate_half_life(np.diff(noise), "1s", log=False)
    assert "alternates" in flip.verdict
    assert np.isnan(flip.bars)


@pytest.mark.parametrize("values", [np.full(100, 7.0), 7.0 + 0.25 * np.arange(100)])
def test_no_number_out_of_nothing(values):
    got = calculate_half_life(values, "1s", log=False)
    assert np.isnan([got.bars, got.error, got.minutes, *got.interval, got.adf_p]).all()
    assert not got.reverts
    assert got.timedelta is pd.NaT
    assert got.verdict == "no half-life: the price does not vary about a straight line"
    assert "half-life nan min" in str(got)


def test_gaps():
    whole = series(100 + paths(5, 400, 1, 1)[0])
    holes = whole.drop(whole.index[100:103])
    holes.iloc[50] = np.nan
    with pytest.raises(DataError, match=r"row 50: 4 of 401 bars have no price.*gaps=\"carry\""):
        calculate_half_life(holes)
    got = calculate_half_life(holes, gaps="carry")
    filled = whole.where(whole.index.isin(holes.dropna().index)).ffill()
    assert got.carried == 4
    assert got.phi == calculate_half_life(filled).phi
    assert "4 of them carried on" in str(got)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x: x.iloc[:20], "too few prices for a half-life, was 20; expected >= 30"),
        (lambda x: x.iloc[::-1], "row 1: prices are not in time order"),
        (lambda x: x.iloc[[0, 1, 1, 2]], "row 2: prices are not in time order"),
        (lambda x: x.iloc[[0, 1, 2, 90]], r"87 of 91 bars have no price.*name the length"),
        (lambda x: x - 100, "pass log=False for a spread"),
        (lambda x: x.where(x.index != x.index[3], np.inf), "row 3: a price is infinite"),
        (lambda x: x.where(x.index != x.index[0], np.nan), "row 0: 1 of 101 bars"),
        (lambda x: x.to_frame(), "more than one column"),
        (
            lambda x: x.set_axis(x.index[:-1].append(x.index[-1:] + pd.Timedelta("90s"))),
            r"row 100: .* not a whole number of bars",
        ),
    ],
)
def test_what_it_refuses(change, says):
    with pytest.raises(DataError, match=says):
        calculate_half_life(change(series(100 + paths(5, 100, 1, 1)[0])), gaps="carry")


def test_the_bar_is_to_be_known():
    with pytest.raises(ConfigError, match='bar="5min"'):
        calculate_half_life(np.arange(100.0))


def test_words():
    for choice in ({"gaps": "fill"}, {"gate": "kpss"}):
        with pytest.raises(ConfigError, match=r"no such choice, was .(fill|kpss)"):
            calculate_half_life(np.arange(100.0), "1s", **choice)


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_any_unit_of_time(unit):
    prices = series(100 + paths(5, 100, 1, 1)[0])
    got = calculate_half_life(prices.set_axis(prices.index.as_unit(unit)))
    assert got.bar == pd.Timedelta("5min")


def test_without_arch(monkeypatch):
    monkeypatch.setitem(sys.modules, "arch.unitroot", None)
    with pytest.raises(ConfigError, match=r"pip install 'mrtrade\[research\]'"):
        calculate_half_life(np.arange(100.0), "1s", log=False)


@pytest.mark.parametrize("n", [20, 60, 300, 1800])
def test_critical_values(n):
    assert dickey_fuller_5(n) == pytest.approx(
        mackinnoncrit(N=1, regression="c", nobs=n)[1], abs=1e-4
    )


@pytest.mark.shared
def test_bitcoin(shared_data):
    """Two years of five-minute bars do not revert; what is left of an average of a day does."""
    path = shared_data / "lake" / "ohlcv" / "BINANCE_BTC-USDT_5m.parquet"
    close = pd.read_parquet(path).set_index("start")["close"]["2023":"2024"]
    with pytest.raises(DataError, match="304 of 210,528 bars have no price"):
        calculate_half_life(close)
    got = calculate_half_life(close, gaps="carry", lags=4)
    assert not got.reverts
    assert got.minutes == pytest.approx(407_634, rel=1e-3)  # 283 days, of 731
    assert got.minutes_interval[1] == np.inf
    log = np.log(close.resample("5min").ffill())
    gap = calculate_half_life(log - log.ewm(span=288, adjust=False).mean(), log=False, lags=4)
    assert gap.reverts
    assert gap.minutes == pytest.approx(466.4, rel=1e-3)

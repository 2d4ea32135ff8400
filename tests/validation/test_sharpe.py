import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtrade.backtest import metrics
from mrtrade.errors import ConfigError, DataError
from mrtrade.validation import sharpe

# Hedge fund index of Bailey and Lopez de Prado (2012), table of the restatement of 2025: monthly.
MEAN, SD, N, SKEW, KURTOSIS = 0.036, 0.079, 24, -2.448, 10.164
RATIO = MEAN / SD


@pytest.mark.parametrize(
    ("skew", "kurtosis", "expected"), [(SKEW, KURTOSIS, 0.913), (0.0, 3.0, 0.982)]
)
def test_psr_of_2012_published(skew, kurtosis, expected):
    found = sharpe.probabilistic_sharpe(0.458, N, skew, kurtosis, version="2012")
    assert found == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(("benchmark", "expected"), [(0.0, 0.987), (0.1, 0.939)])
def test_psr_of_2025_published(benchmark, expected):
    found = sharpe.probabilistic_sharpe(RATIO, N, SKEW, KURTOSIS, benchmark, version="2025")
    assert found == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(
    ("skew", "kurtosis", "expected"), [(SKEW, KURTOSIS, 0.329), (0.0, 3.0, 0.214)]
)
def test_deviation_of_the_ratio_published(skew, kurtosis, expected):
    deviation = math.sqrt(sharpe.variance_factor(RATIO, skew, kurtosis) / N)
    assert deviation == pytest.approx(expected, abs=5e-4)


def test_min_track_record_of_2025_published():
    found = sharpe.min_track_record(RATIO, SKEW, KURTOSIS, version="2025")
    assert found == pytest.approx(13.029, abs=5e-4)


@pytest.mark.parametrize(
    ("periods", "skew", "kurtosis", "years"),
    [
        (252, 0.0, 3.0, 2.73),
        (52, 0.0, 3.0, 2.83),
        (12, 0.0, 3.0, 3.24),
        (12, -0.72, 5.78, 4.99),
    ],
)
def test_min_track_record_of_2012_published(periods, skew, kurtosis, years):
    # An annual Sharpe ratio of 2 against 1, at 95 %.
    year = math.sqrt(periods)
    found = sharpe.min_track_record(2.0 / year, skew, kurtosis, 1.0 / year)
    assert found / periods == pytest.approx(years, abs=5e-3)


@pytest.mark.parametrize("version", ["2012", "2025"])
@given(
    ratio=st.floats(0.02, 0.5),
    benchmark=st.floats(-0.2, 0.0),
    skew=st.floats(-1.0, 1.0),
    confidence=st.floats(0.6, 0.999),
)
def test_the_track_record_is_where_the_psr_reaches_the_confidence(
    version, ratio, benchmark, skew, confidence
):
    n = sharpe.min_track_record(ratio, skew, 5.0, benchmark, confidence=confidence, version=version)
    found = sharpe.probabilistic_sharpe(ratio, n, skew, 5.0, benchmark, version=version)
    assert found == pytest.approx(confidence, abs=1e-9)


def test_no_length_shows_what_is_not_above_the_benchmark():
    assert sharpe.min_track_record(0.1, benchmark=0.1) == math.inf
    assert math.isnan(sharpe.min_track_record(math.nan))
    assert math.isnan(sharpe.min_track_record(1.0, skew=2.0, kurtosis=5.0))


@pytest.mark.simulation
@pytest.mark.parametrize("rho", [0.0, 0.3, -0.2])
def test_variance_under_autocorrelation_against_simulation(rho):
    from scipy.signal import lfilter

    true, n, runs = 0.2, 500, 4000
    noise = np.random.default_rng(1).normal(size=(runs, n + 50)) * math.sqrt(1.0 - rho * rho)
    returns = true + lfilter([1.0], [1.0, -rho], noise, axis=1)[:, 50:]
    found = np.std([metrics.sharpe(one) for one in returns])
    assert found == pytest.approx(math.sqrt(sharpe.variance_factor(true, rho=rho) / n), rel=0.05)


def test_the_versions_are_named():
    with pytest.raises(ConfigError, match="2012 or 2025"):
        sharpe.probabilistic_sharpe(0.1, 100, version="2014")
    with pytest.raises(ConfigError, match="knows no autocorrelation"):
        sharpe.probabilistic_sharpe(0.1, 100, rho=0.1)
    with pytest.raises(ConfigError, match="between -1 and 1"):
        sharpe.probabilistic_sharpe(0.1, 100, version="2025", rho=1.0)
    with pytest.raises(ConfigError, match="confidence"):
        sharpe.min_track_record(0.1, confidence=0.5)


# ---- many trials


@pytest.mark.parametrize(
    ("trials", "skew", "kurtosis", "expected"),
    [(100, -3.0, 10.0, 0.9004), (46, -3.0, 10.0, 0.9505), (88, 0.0, 3.0, 0.9505)],
)
def test_deflated_published(trials, skew, kurtosis, expected):
    found = sharpe.deflated_sharpe(
        2.5 / math.sqrt(250),
        1250,
        trials=trials,
        variance=0.5 / 250,
        skew=skew,
        kurtosis=kurtosis,
    )
    assert found.probability == pytest.approx(expected, abs=5e-5)
    assert found.reason == ""
    if trials == 100:
        assert found.benchmark == pytest.approx(0.1132, abs=5e-5)


def test_deflated_matches_another_library():
    # purgedcv 0.1.11: deflated_sharpe_ratio(returns, n_trials=60, var_sharpe=var(ratios, ddof=1)).
    returns = np.random.default_rng(2).normal(0.02, 0.3, 800)
    ratios = np.random.default_rng(3).normal(0.0, 0.03, 60)
    found = sharpe.deflate(returns, ratios)
    assert found.probability == pytest.approx(0.05068682967792531, abs=1e-4)  # its ddof is 0


@pytest.mark.simulation
@pytest.mark.parametrize(("trials", "error"), [(10, 0.025), (100, 0.015), (1000, 0.01)])
def test_expected_maximum_against_simulation(trials, error):
    rng = np.random.default_rng(4)
    top = np.mean([rng.normal(size=trials).max() for _ in range(8000)])
    assert sharpe.expected_maximum(trials) == pytest.approx(top, rel=error)


@pytest.mark.parametrize(("trials", "value"), [(10, 1.5746), (100, 2.531), (1000, 3.255)])
def test_expected_maximum_by_its_formula(trials, value):
    assert sharpe.expected_maximum(trials) == pytest.approx(value, abs=5e-4)


def test_one_trial_is_not_deflated():
    returns = np.random.default_rng(5).normal(0.05, 1.0, 400)
    found = sharpe.deflate(returns, [metrics.sharpe(returns)])
    assert found.benchmark == 0.0
    assert found.probability == sharpe.probabilistic_sharpe(
        metrics.sharpe(returns), 400, *metrics.moments(returns)
    )


@given(st.floats(1.0, 1e6), st.floats(1.0, 3.0))
def test_more_trials_deflate_more(trials, factor):
    assert sharpe.expected_maximum(trials * factor) >= sharpe.expected_maximum(trials) >= 0.0


def test_trials_without_a_ratio_count_and_those_left_out_are_refused():
    returns = np.random.default_rng(6).normal(0.05, 1.0, 400)
    ratios = [0.01, 0.02, -0.03, math.nan]
    some = sharpe.deflate(returns, ratios)
    assert some.trials == 4
    assert some.variance == pytest.approx(np.var(ratios[:3], ddof=1))
    assert sharpe.deflate(returns, ratios, trials=1000).probability < some.probability
    with pytest.raises(ConfigError, match="fewer trials than Sharpe ratios"):
        sharpe.deflate(returns, ratios, trials=3)
    with pytest.raises(ConfigError, match="at least 1"):
        sharpe.deflate(returns, [], trials=0)


def test_deflated_says_why_it_has_no_number():
    rng = np.random.default_rng(7)
    unknown = sharpe.deflate(rng.normal(size=50), [0.1, math.nan, math.nan])
    assert math.isnan(unknown.probability)
    assert "variance of the trials" in unknown.reason
    flat = sharpe.deflate(np.zeros(50), [0.1, 0.2])
    assert math.isnan(flat.probability)
    assert flat.reason == "the returns do not vary"
    with pytest.raises(DataError, match="row 1"):
        sharpe.deflate([0.1, math.nan], [0.1, 0.2])


def test_copies_of_a_trial_are_one_trial():
    rng = np.random.default_rng(8)
    own = rng.normal(size=(500, 5))
    copies = np.repeat(own, [30, 1, 3, 1, 5], axis=1) + 0.05 * rng.normal(size=(500, 40))
    clusters = sharpe.effective_trials(copies)
    np.testing.assert_array_equal(clusters, np.repeat(np.arange(5), [30, 1, 3, 1, 5]))


def test_independent_trials_are_themselves_and_idle_ones_are_one():
    rng = np.random.default_rng(9)
    returns = rng.normal(size=(400, 30))
    assert sharpe.effective_trials(returns).max() + 1 == 30
    returns[:, [3, 7, 9]] = 0.0
    clusters = sharpe.effective_trials(returns)
    assert clusters.max() + 1 == 28
    assert len(set(clusters[[3, 7, 9]])) == 1
    np.testing.assert_array_equal(sharpe.effective_trials(np.zeros((9, 2))), [0, 0])
    np.testing.assert_array_equal(sharpe.effective_trials(np.c_[np.zeros(9), np.arange(9)]), [0, 1])
    # The other side of a trade is not the same trade.
    assert sharpe.effective_trials(np.c_[returns[:, 0], -returns[:, 0]]).max() + 1 == 2
    with pytest.raises(ConfigError, match="between 0 and 1"):
        sharpe.effective_trials(returns, alike=1.0)


@pytest.mark.simulation
def test_the_deflated_ratio_of_the_best_of_noise_is_no_evidence():
    # The best of 50 worthless trials looks good alone, and not after it is deflated.
    alone, deflated = [], []
    for seed in range(200):
        returns = np.random.default_rng(seed).normal(size=(250, 50))
        ratios = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
        best = returns[:, np.argmax(ratios)]
        deflated.append(sharpe.deflate(best, ratios).probability > 0.95)
        alone.append(sharpe.estimate(best).psr_2012 > 0.95)
    assert np.mean(alone) > 0.8
    assert np.mean(deflated) < 0.03


# ---- one series


def test_estimate_is_made_of_its_parts():
    x = np.random.default_rng(10).normal(0.15, 1.0, 365)
    found = sharpe.estimate(x)
    ratio = x.mean() / x.std(ddof=1)
    assert found.ratio == pytest.approx(ratio)
    assert found.annual == pytest.approx(ratio * math.sqrt(365))
    assert found.annual_se == pytest.approx(math.sqrt(1.0 + ratio * ratio / 2.0))
    moments, rho = metrics.moments(x), metrics.autocorrelation(x)
    assert found.psr_2012 == sharpe.probabilistic_sharpe(ratio, 365, *moments)
    assert found.psr_2025 == sharpe.probabilistic_sharpe(
        ratio, 365, *moments, version="2025", rho=rho
    )
    assert found.annual_ar1 == pytest.approx(metrics.annualisation(365, rho) * ratio)
    assert sharpe.estimate(x, 8760).annual == pytest.approx(ratio * math.sqrt(8760))
    assert sharpe.probabilistic_sharpe(
        ratio, found.min_track_record_years * 365, *metrics.moments(x)
    ) == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("returns", "reason"),
    [([], "fewer than two"), ([0.1], "fewer than two"), ([0.1, 0.1], "do not vary")],
)
def test_estimate_of_nothing_says_so(returns, reason):
    found = sharpe.estimate(returns)
    assert math.isnan(found.annual)
    assert math.isnan(found.psr_2025)
    assert reason in found.reason

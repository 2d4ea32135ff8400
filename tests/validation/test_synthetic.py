"""Data of known truth: what is claimed of it is measured on it."""

import math

import numpy as np
import pandas as pd
import pytest
from arch.unitroot import VarianceRatio

from mrtrade.errors import ConfigError, DataError
from mrtrade.features.mean_reversion import calculate_half_life
from mrtrade.validation.synthetic import (
    ENTRY,
    filtered_deviation,
    flipped_signs,
    mean_reverting,
    planted_deviation,
    quiet_market,
    random_walk,
    reference_position,
    reversion_per_round,
)

ROWS = 35_040


def log_moves(bars: pd.DataFrame) -> np.ndarray:
    return 1e4 * np.diff(np.log(bars["mid"].to_numpy()))


def makers():
    return [
        lambda seed: random_walk(4_000, seed),
        lambda seed: flipped_signs(random_walk(4_000, 99).bars, seed),
        lambda seed: quiet_market(1_000, seed),
        lambda seed: mean_reverting(4_000, seed, size=2.0, cost_bps=12.0),
    ]


@pytest.mark.parametrize("make", makers(), ids=["walk", "flipped", "market", "planted"])
def test_bars_are_whole_and_seeded(make):
    data = make(1)
    bars = data.bars
    assert data.fingerprint == make(1).fingerprint != make(2).fingerprint
    assert bars.index.tz is not None
    assert bars.index.is_monotonic_increasing
    assert bars.index.is_unique
    assert (bars[["mid", "mid_open", "mid_high", "mid_low"]] > 0.0).all(axis=None)
    ends = bars[["mid", "mid_open"]]
    # Flipped prices are products of the same factors in another order: equal to rounding only.
    assert (bars["mid_high"] >= ends.max(axis=1) * (1 - 1e-12)).all()
    assert (bars["mid_low"] <= ends.min(axis=1) * (1 + 1e-12)).all()
    assert (bars["volume"] >= 0.0).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_random_walk_has_no_memory_of_direction(seed):
    bars = random_walk(ROWS, seed).bars
    for lags in (2, 16, 96):  # robust to the clustering (Lo and MacKinlay 1988)
        assert VarianceRatio(np.log(bars["mid"].to_numpy()), lags, robust=True).pvalue > 0.001
    moves = log_moves(bars)
    assert abs(np.corrcoef(moves[1:], moves[:-1])[0, 1]) < 4.0 / math.sqrt(len(moves)) * 1.5


def test_a_random_walk_looks_like_a_market():
    bars = random_walk(ROWS, 5).bars
    moves = pd.Series(log_moves(bars))
    yearly = moves.std() / 1e4 * math.sqrt(ROWS)
    assert yearly == pytest.approx(0.5, rel=0.25)
    assert moves.kurt() > 5.0
    size = moves.abs()
    near, day = size.autocorr(1), size.autocorr(96)
    assert near > 0.12
    assert 0.02 < day < near
    hour = size.groupby(bars.index[1:].hour).mean()
    assert hour.idxmax() in range(14, 21)
    assert hour.max() / hour.min() > 1.4
    weekend = bars.index[1:].day_of_week >= 5
    assert size[weekend].mean() / size[~weekend].mean() == pytest.approx(0.68, abs=0.08)
    assert np.corrcoef(np.log(bars["volume"][1:]), np.log(size + 1.0))[0, 1] > 0.2


def test_the_extremes_of_a_bar_are_those_of_its_path():
    # The mean square range of a Brownian path of variance w is 4 ln 2 w (Parkinson 1980): the
    # bridges' high and low are drawn apart, so of the range only its mean is exact.
    bars = random_walk(ROWS, 6).bars
    wide = np.log(bars["mid_high"] / bars["mid_low"])
    move = np.log(bars["mid"] / bars["mid_open"])
    clock = np.sqrt(move.pow(2).groupby(bars.index.floor("1D")).transform("mean"))
    ratio = float(wide.mean() / move.abs().mean())
    assert ratio == pytest.approx(2.0, rel=0.02)  # E range = 2 sqrt(2 w / pi), E |move| half of it
    assert float((wide / clock).mean()) > 1.0


def test_nobody_is_paid_for_being_long_in_a_random_walk():
    # So volatile that half the variance, which a log price without drift would pay, is 4 % a bar.
    bars = random_walk(6_000, 1, volatility=50.0).bars
    gain = (bars["mid"] / bars["mid_open"] - 1.0).to_numpy()
    error = gain.std() / math.sqrt(len(gain))
    assert error < 0.01
    assert abs(gain.mean()) < 3.5 * error


def test_flipped_signs_keep_sizes_and_volumes():
    bars = random_walk(3_000, 7).bars
    flipped = flipped_signs(bars, 1).bars
    before, after = (frame["mid"].pct_change().abs().to_numpy()[1:] for frame in (bars, flipped))
    np.testing.assert_allclose(after, before, rtol=1e-8)
    pd.testing.assert_series_equal(flipped["volume"], bars["volume"])
    pd.testing.assert_index_equal(flipped.index, bars.index)
    signs = np.sign(log_moves(bars) * log_moves(flipped))
    assert abs(signs.mean()) < 4.0 / math.sqrt(len(signs))
    ranges = [
        (frame["mid_high"] - frame["mid_low"]) / frame["mid_open"] for frame in (bars, flipped)
    ]
    np.testing.assert_allclose(ranges[1], ranges[0], rtol=1e-6)


def test_flipping_destroys_what_was_planted():
    data = mean_reverting(ROWS, 8, size=6.0, cost_bps=12.0)
    assert VarianceRatio(np.log(data.bars["mid"].to_numpy()), 32, robust=True).pvalue < 1e-6
    flipped = flipped_signs(data.bars, 1).bars
    assert VarianceRatio(np.log(flipped["mid"].to_numpy()), 32, robust=True).pvalue > 0.001


def test_gaps_stay_and_bars_without_prices_go():
    bars = random_walk(50, 9).bars.drop(index=random_walk(50, 9).bars.index[10:15])
    bars.iloc[20, bars.columns.get_loc("mid")] = np.nan
    flipped = flipped_signs(bars, 0).bars
    pd.testing.assert_index_equal(flipped.index, bars.index.delete(20))


def test_what_cannot_be_flipped_is_refused():
    bars = random_walk(50, 9).bars
    with pytest.raises(DataError, match="doubles the price"):
        flipped_signs(bars.assign(mid=np.r_[bars["mid"][:-1], 1e9]), 0)
    with pytest.raises(DataError, match="without volume"):
        flipped_signs(bars.drop(columns="volume"), 0)
    with pytest.raises(DataError, match="too few"):
        flipped_signs(bars.iloc[:1], 0)


def test_the_market_has_a_book_and_no_signal_that_pays_a_spread():
    bars = quiet_market(6_000, 1).bars
    assert {"imbalance_5", "ofi", "microprice", "spread_mean", "n_trades"} <= set(bars)
    log = np.log(bars["mid"].to_numpy())
    assert log.std() > 0.01
    assert VarianceRatio(log, 16, robust=True).pvalue > 0.001
    moves = np.diff(log) * 1e4
    yearly = moves.std() / 1e4 * math.sqrt(ROWS)
    assert yearly == pytest.approx(0.4, rel=0.1)
    spread = float((bars["spread_mean"] / bars["mid"]).mean() * 1e4)
    for name in ("imbalance_1", "imbalance_5", "ofi"):
        x = bars[name].to_numpy()[:-1]
        good = np.isfinite(x)
        slope, _ = np.polyfit(x[good], moves[good], 1)
        assert abs(slope * x[good].std()) < max(spread, 4.0 * moves.std() / math.sqrt(len(moves)))


def test_the_effect_has_the_size_that_was_planted():
    # Calm: constant volatility is not needed, but a narrow standard error is.
    gross, size = [], 3.0
    for seed in range(6):
        data = mean_reverting(ROWS, seed, size=size, cost_bps=10.0, volatility=0.2)
        known = filtered_deviation(data)
        assert known.std() == pytest.approx(data.truth["filtered_bps"], rel=0.1)
        held = reference_position(known, data.truth["filtered_bps"])
        paid = held[:-1] * log_moves(data.bars)
        rounds = np.cumsum((held[:-1] != 0.0) & (np.r_[0.0, held[:-2]] != held[:-1]))
        gross.append(pd.Series(paid).groupby(rounds).sum().iloc[1:-1])
    trades = pd.concat(gross)
    error = trades.std() / math.sqrt(len(trades))
    assert error < 1.0
    assert abs(trades.mean() - 10.0 * size) < 4.0 * error


def test_the_filter_is_the_best_that_can_be_known():
    # P of the module's quadratic, against the Riccati recursion run to its end.
    phi, walk, filtered = 2.0 ** (-1 / 8), 21.0, 13.0
    s2 = planted_deviation(filtered, walk, phi) ** 2
    q, shock, error = walk**2, s2 * (1 - phi**2), s2
    for _ in range(5_000):
        surprise = (1 - phi) ** 2 * error + shock + q
        error = phi**2 * error + shock - (shock - phi * (1 - phi) * error) ** 2 / surprise
    assert math.sqrt(s2 - error) == pytest.approx(filtered, rel=1e-9)


def test_the_half_life_is_found_again():
    # A walk that stands nearly still leaves the deviation alone.
    found = []
    for seed in range(4):
        data = mean_reverting(20_000, seed, size=8.0, cost_bps=10.0, volatility=1e-3)
        found.append(calculate_half_life(data.bars["mid"], lags=0))
    assert all(one.reverts for one in found)
    mean = np.mean([one.unbiased for one in found])
    assert abs(mean - 8.0) < 3.5 * found[0].error / math.sqrt(len(found))


def test_reversion_per_round_is_its_limit_plus_what_a_step_overshoots():
    # With ever shorter steps entries are at ENTRY and exits at 0.
    steps = [reversion_per_round(2.0 ** (-1.0 / bars), 20_000) for bars in (2, 8, 64)]
    assert steps[0] > steps[1] > steps[2] > ENTRY
    # 0.5826 of a step's sd beyond each of the two edges (Chernoff 1965; Siegmund 1979).
    step = math.sqrt(1.0 - 2.0 ** (-2.0 / 64))
    assert steps[2] == pytest.approx(ENTRY + 2 * 0.5826 * step, abs=0.02)


def test_without_an_effect_it_is_a_random_walk():
    data = mean_reverting(ROWS, 4, size=0.0, cost_bps=10.0)
    assert data.truth["deviation_bps"] == 0.0
    assert VarianceRatio(np.log(data.bars["mid"].to_numpy()), 16, robust=True).pvalue > 0.001


@pytest.mark.parametrize("wrong", [{"size": -1.0}, {"cost_bps": 0.0}, {"half_life_bars": 0.0}])
def test_an_effect_that_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError, match="no such effect"):
        mean_reverting(100, 0, **({"size": 1.0, "cost_bps": 10.0} | wrong))


def test_one_bar_is_no_data():
    with pytest.raises(ConfigError, match="too few bars"):
        random_walk(1, 0)

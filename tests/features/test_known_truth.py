"""Features of bars on made-up markets whose truth is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.fft import fft
from scipy.signal import lfilter

from mrtrade.features import FEATURES, compute, get
from mrtrade.features.lookahead import make_recording

YEAR = 365 * 86400.0


def last(columns, *names):
    """Features at the last of bars of a second."""
    if not isinstance(columns, dict):
        columns = {"mid": columns}
    rows = len(columns["mid"])
    index = pd.date_range("2024-01-01 12:00", periods=rows, freq="1s", tz="UTC").as_unit("ns")
    row = compute(pd.DataFrame(columns, index=index), names).iloc[-1]
    return row[names[0]] if len(names) == 1 else row


def fractional_noise(hurst, n, rng):
    """Fractional Gaussian noise by Davies and Harte (1987): exact."""
    k = np.arange(n + 1.0)
    covariance = 0.5 * (
        np.abs(k - 1) ** (2 * hurst) - 2 * k ** (2 * hurst) + (k + 1) ** (2 * hurst)
    )
    eigenvalues = fft(np.r_[covariance, covariance[-2:0:-1]]).real
    real, imaginary = rng.normal(size=(2, 2 * n))
    z = real + 1j * imaginary
    return fft(np.sqrt(np.maximum(eigenvalues, 0.0) / (2 * n)) * z).real[:n]


@pytest.mark.parametrize("window", [60, 300, 1000])
def test_the_gate_lets_one_random_walk_in_twenty_pass(window):
    """By binomial bounds of 1000 walks; and none with a half-life above a sixth of its window."""
    rng = np.random.default_rng(window)
    lives = np.array(
        [
            last(1e3 + rng.normal(size=window + 1).cumsum(), f"half_life_{window}")
            for _ in range(1000)
        ]
    )
    passed = np.isfinite(lives)
    low, high = stats.binom.ppf([0.001, 0.999], 1000, 0.05)
    assert low <= passed.sum() <= high
    assert lives[passed].max() < window / 6


@pytest.mark.parametrize(("half_life", "window"), [(10, 300), (20, 600)])
def test_half_lives_are_recovered(half_life, window):
    """What passes is low by its bias, and less so when that is taken off; 3 in 4 pass or more."""
    rng = np.random.default_rng(4)
    phi = 0.5 ** (1 / half_life)
    names = [f"{stem}_{window}" for stem in ("half_life", "half_life_corrected", "half_life_se")]
    rows = []
    for _ in range(400):
        noise = rng.normal(size=window + 200)
        rows.append(last(1e3 + lfilter([1], [1, -phi], noise)[-window - 1 :], *names))
    found = pd.DataFrame(rows).dropna()
    assert len(found) > 0.7 * 400
    raw, corrected, error = found.median()
    assert 0.7 * half_life < raw < half_life
    assert raw < corrected < 1.15 * half_life
    assert 0.7 < error / found[names[0]].std() < 1.3


def test_where_it_reverts_to():
    """The level, and a distance of two stationary deviations from it."""
    rng = np.random.default_rng(6)
    phi, sd = 0.9, 1 / np.sqrt(1 - 0.9**2)
    x = lfilter([1], [1, -phi], rng.normal(size=4000))
    x[-1] = 2 * sd
    z, gap = last(1000.0 + x, "ou_z_3000", "ou_equilibrium_dev_bps_3000")
    assert z == pytest.approx(2.0, abs=0.3)
    assert gap == pytest.approx(1e4 * np.log(1 + 2 * sd / 1000), abs=10)


@pytest.mark.parametrize("hurst", [0.3, 0.5, 0.7])
def test_hurst_of_fractional_noise(hurst):
    rng = np.random.default_rng(int(10 * hurst))
    found = [
        last(np.exp(1e-3 * np.r_[0.0, fractional_noise(hurst, 512, rng).cumsum()]), "hurst_512")
        for _ in range(200)
    ]
    # right at 1/2; the correction is of the first order elsewhere
    assert np.mean(found) == pytest.approx(hurst, abs=0.01 if hurst == 0.5 else 0.025)
    assert np.std(found) < 0.09


def test_the_kernel_sees_through_noise():
    """A variance of 1e-3 over 1440 bars, a noise of 2e-7: realised variance is 1.58e-3."""
    rng = np.random.default_rng(2)
    n, truth = 1440, 1e-3
    found = []
    for _ in range(150):
        path = np.cumsum(rng.normal(0, np.sqrt(truth / n), n + 1)) + rng.normal(0, 2e-7**0.5, n + 1)
        found.append(
            last(
                100 * np.exp(path),
                *("realized_vol_1440", "realized_kernel_vol_1440", "noise_ratio_1420"),
            )
        )
    realized, kernel = (np.array(found)[:, :2] ** 2 / YEAR * n).mean(axis=0)
    assert realized == pytest.approx(truth + 2 * n * 2e-7, rel=0.02)
    assert kernel == pytest.approx(truth, rel=0.05)
    # 20-bar returns carry a twentieth of the noise
    ratio = np.median(np.array(found)[:, 2])
    assert ratio == pytest.approx(1.576 / (1 + 0.576 / 20), rel=0.05)


def test_jumps_are_where_they_were_planted():
    """One of 15 standard deviations every hour, in windows of 300 of a clean diffusion."""
    rng = np.random.default_rng(3)
    rows, n = 18_000, 300
    r = rng.normal(0, 1e-4, rows)
    at = np.arange(1800, rows, 3600)
    r[at] += 1.5e-3 * np.where(np.arange(len(at)) % 2, 1, -1)
    index = pd.date_range("2024-01-01", periods=rows, freq="1s", tz="UTC").as_unit("ns")
    mid = pd.DataFrame({"mid": 100 * np.exp(np.cumsum(r))}, index=index)
    out = compute(mid, [f"{stem}_{n}" for stem in ("jump_flag", "jump_share", "jump_z")])
    flag = out[f"jump_flag_{n}"].to_numpy()
    near = np.zeros(rows, bool)
    for t in at:
        near[t : t + n] = True
        assert flag[t : t + n - 1].mean() > 0.95  # not when it is the oldest: it has one neighbour
    # 2.25e-6 of jump on 3e-6; bipower variation keeps the products with the jump's neighbours
    share = out[f"jump_share_{n}"].iloc[at + 150].mean()
    assert share == pytest.approx((2.25 - np.pi / 2 * 1.5 * 0.16) / 5.25, abs=0.06)
    false = flag[~near & np.isfinite(flag)].mean()
    assert false < 0.05  # 1 % of windows, which overlap
    assert set(np.unique(flag[n:])) == {0.0, 1.0}


def test_ranges_of_a_diffusion():
    """400 steps a bar: near the truth, low by as much as the steps are coarse."""
    rng = np.random.default_rng(1)
    bars, steps, sd = 2000, 400, 1e-3
    moves = rng.normal(0, sd / np.sqrt(steps), (bars, steps))
    path = np.cumsum(moves.ravel()).reshape(bars, steps)
    opened = np.r_[0.0, path[:-1, -1]]
    every = np.exp(np.c_[opened, path])
    columns = {
        "mid": every[:, -1],
        "mid_open": every[:, 0],
        "mid_high": every.max(axis=1),
        "mid_low": every.min(axis=1),
    }
    stems = ("parkinson", "garman_klass", "rogers_satchell", "yang_zhang", "realized")
    found = last(columns, *(f"{stem}_vol_1900" for stem in stems))
    np.testing.assert_allclose(found / np.sqrt(YEAR), sd, rtol=0.06)


def test_a_bar_that_cannot_be_is_no_range():
    columns = {
        "mid": [10.0, 10.5, 10.2],
        "mid_open": [10.0, 10.0, 10.5],
        "mid_high": [10.6, 10.4, 10.6],  # the second closes above its high
        "mid_low": [9.9, 9.9, 10.1],
    }
    columns = {name: np.array(values) for name, values in columns.items()}
    assert last(columns, "parkinson_vol_2", "garman_klass_vol_2").isna().all()
    columns["mid_high"][1] = 10.5
    expected = (np.log(10.5 / 9.9) ** 2 + np.log(10.6 / 10.1) ** 2) / 2 / (4 * np.log(2))
    assert last(columns, "parkinson_vol_2") == pytest.approx(np.sqrt(expected * YEAR))


def test_bars_of_a_tape_have_values():
    """As the made-up ones have: no bar of the core's is one that cannot be."""
    bars = make_recording(120.0, 3).bars(250_000_000)
    for one in FEATURES.values():
        if one.family in ("mean_reversion", "volatility") and not one.sparse:
            window = max(20, one.shortest)
            name = one.name if one.window is None else f"{one.stem}_{window}"
            warmup = get(name).warmup
            assert compute(bars, [name])[name].iloc[warmup:].notna().mean() > 0.9, name

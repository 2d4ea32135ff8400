import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrcore.rolling_dfa import RollingDFA, default_scales

from ..oracle import rolling_columns as oracle


def fractional_noise(n, hurst, rng):
    """Exact fractional Gaussian noise of variance 1 (Davies & Harte 1987)."""
    k = np.arange(n + 1.0)
    gamma = 0.5 * ((k + 1) ** (2 * hurst) - 2 * k ** (2 * hurst) + np.abs(k - 1) ** (2 * hurst))
    eigenvalues = np.fft.fft(np.concatenate([gamma, gamma[-2:0:-1]])).real
    assert (eigenvalues > 0).all()
    z = rng.normal(size=(2, 2 * n))
    noise = np.fft.fft(np.sqrt(eigenvalues / (2 * n)) * (z[0] + 1j * z[1]))
    return noise.real[:n].copy()


@given(st.integers(0, 2**32), st.integers(20, 60))
def test_slope_against_fits_of_lines(seed, window):
    x = np.random.default_rng(seed).standard_t(3, size=window + 30)
    scales = (4, 5, window // 3, window // 2)
    got = RollingDFA(window, scales).batch(x)[0]
    want = [oracle.dfa(x[i - window + 1 : i + 1], scales) for i in range(window - 1, len(x), 9)]
    np.testing.assert_allclose(got[window - 1 :: 9], want, rtol=1e-9)


def test_slope_of_returns_far_from_zero():
    x = 1e6 + np.random.default_rng(1).normal(size=300)
    got = RollingDFA(256).batch(x)[0, -1]
    assert got == pytest.approx(oracle.dfa(x[-256:], (8, 16, 32, 64)), rel=1e-7)


# nolds.dfa(x, nvals=(8, 16, 32, 64), overlap=False, order=1, fit_exp="poly"), nolds 0.6.3
NOLDS = {1: 0.3573524923788167, 2: 0.36197987576924223, 3: 0.5353354221308394}


@pytest.mark.parametrize("seed", NOLDS)
def test_slope_against_what_nolds_gave(seed):
    x = np.random.default_rng(seed).normal(size=256)
    assert RollingDFA(256).batch(x)[0, -1] == pytest.approx(NOLDS[seed], rel=1e-10)


def line_rest(n):
    """Matrix of the squares that a line leaves of the cumulative sum of n values."""
    t = np.column_stack([np.ones(n), np.arange(n)])
    keep = np.eye(n) - t @ np.linalg.solve(t.T @ t, t.T)
    return keep @ np.minimum.outer(np.arange(1, n + 1), np.arange(1, n + 1)) @ keep


@pytest.mark.parametrize("scale", [4, 5, 8, 21])
def test_moments_of_a_segment_are_those_that_the_docstring_gives(scale):
    rest = line_rest(scale)
    mean = np.trace(rest)
    assert mean / scale == pytest.approx((scale**2 - 4) / (15 * scale))
    variance = 2 * np.trace(rest @ rest)
    relative = (11 * scale**2 + 181) / (28 * (scale**2 - 4))
    assert variance / mean**2 == pytest.approx(relative)


# Means of both results over thousands of windows of noise of known H (standard error 0.001).
TRUTH = {
    (256, 0.3): (0.320, 0.315),
    (256, 0.5): (0.505, 0.501),
    (256, 0.7): (0.697, 0.692),
    (1024, 0.3): (0.310, 0.309),
    (1024, 0.5): (0.501, 0.500),
    (1024, 0.7): (0.696, 0.695),
}


@pytest.mark.parametrize(("window", "hurst"), TRUTH)
def test_known_hurst_exponents(window, hurst):
    rng = np.random.default_rng(10)
    runs = 400
    roll = RollingDFA(window)
    got = np.array([roll.batch(fractional_noise(window, hurst, rng))[:, -1] for _ in range(runs)])
    error = got.std(axis=0) / np.sqrt(runs)
    np.testing.assert_allclose(got.mean(axis=0), TRUTH[window, hurst], atol=4 * error[0])
    if hurst == 0.5:
        assert abs(got.mean(axis=0)[1] - 0.5) < 4 * error[1]


@pytest.mark.parametrize(("window", "scales"), [(70, (5, 9, 16)), (300, None)])
def test_corrected_slope_is_right_for_independent_returns(window, scales):
    x = np.random.default_rng(11).normal(size=1000 * window)
    slope, corrected = RollingDFA(window, scales).batch(x)[:, window - 1 :: window]
    error = slope.std() / np.sqrt(len(slope))
    assert abs(corrected.mean() - 0.5) < 4 * error


def test_equal_returns_have_no_exponent():
    x = np.full(300, 0.1 + 0.2)
    assert np.isnan(RollingDFA(100).batch(x)).all()
    x[100] = 0.4  # it leaves a line where it begins or ends a segment, a residual elsewhere
    slope = RollingDFA(100).batch(x)[0]
    assert np.isfinite(slope[105:195]).sum() > 60
    assert np.isnan(slope[200:]).all()


def test_scales():
    assert default_scales(256) == (8, 16, 32, 64)
    assert default_scales(64) == (8, 10, 13, 16)
    assert RollingDFA(1024).scales == (8, 16, 32, 64, 128, 256)
    assert RollingDFA(40, [4, 7, 20]).scales == (4, 7, 20)
    roll = RollingDFA(256)
    roll.batch(np.random.default_rng(1).normal(size=256))
    assert roll.value[0] - roll.value[1] == pytest.approx(roll.bias)


@pytest.mark.parametrize(
    ("window", "scales", "message"),
    [
        (63, None, "window must be >= 64, was 63"),
        (7, (4, 5), "window must be >= 8, was 7"),
        (40, (4,), "scales must be 2 to 16 rising numbers"),
        (40, (), "scales must be 2 to 16 rising numbers"),
        (400, range(4, 21), "scales must be 2 to 16 rising numbers"),
        (40, (3, 8), "from 4 to half the window"),
        (40, (4, 21), "from 4 to half the window"),
        (40, (8, 4), "rising"),
        (40, (4, 4), "rising"),
    ],
)
def test_bad_arguments_are_refused(window, scales, message):
    with pytest.raises(ValueError, match=message):
        RollingDFA(window, scales)

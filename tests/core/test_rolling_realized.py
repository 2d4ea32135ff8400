import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrcore.rolling_realized import RollingJump, RollingKernelVariance

from ..oracle import rolling_columns as oracle

seeds = st.integers(0, 2**32)


def noisy_returns(n, seed=1, noise=4e-4):
    """Returns of a walk whose price is seen with noise, at times not moving at all."""
    rng = np.random.default_rng(seed)
    price = np.cumsum(rng.normal(0, 1e-3, n + 1)) + noise * rng.normal(size=n + 1)
    return np.diff(price) * (rng.random(n) > 0.1)


# Realised kernel --------------------------------------------------------------------


@given(seeds, st.integers(1, 30), st.data())
@settings(max_examples=40)
def test_kernel_of_a_bandwidth_is_the_double_loop(seed, window, data):
    bandwidth = data.draw(st.integers(0, window - 1))
    x = noisy_returns(60, seed)
    want = oracle.each_window(x, window, lambda w: oracle.kernel_variance(w, bandwidth))
    got, used = RollingKernelVariance(window, window - 1, bandwidth).batch(x)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-20)
    assert (used[window - 1 :] == bandwidth).all()
    assert np.isnan(used[: window - 1]).all()


@given(seeds, st.integers(5, 60), st.integers(0, 12), st.integers(1, 5))
@settings(max_examples=40)
def test_kernel_chooses_the_bandwidth_of_the_paper(seed, window, max_lag, sparse):
    max_lag = min(max_lag, window - 1)
    x = noisy_returns(100, seed)
    got, used = RollingKernelVariance(window, max_lag, sparse=sparse).batch(x)
    for i in range(window - 1, 100, 7):
        inside = x[i - window + 1 : i + 1]
        assert used[i] == oracle.bandwidth(inside, sparse, max_lag)
        want = oracle.kernel_variance(inside, int(used[i]))
        assert got[i] == pytest.approx(want, rel=1e-9, abs=1e-20)


def test_kernel_finds_the_variance_behind_the_noise():
    # noise of half the step's size: the plain sum of squares is 1 + 2 * 0.25 times too large
    x = np.diff(
        np.cumsum(np.random.default_rng(2).normal(size=(401, 721)), axis=1)
        + 0.5 * np.random.default_rng(3).normal(size=(401, 721)),
        axis=1,
    )
    roll = RollingKernelVariance(720, 60)
    got = np.array([roll.batch(row)[:, -1] for row in x])
    truth = 720.0
    error = got[:, 0].std() / math.sqrt(len(got))
    assert abs(got[:, 0].mean() / truth - 1.0) < 4 * error / truth + 0.01
    assert np.mean(np.sum(x**2, axis=1)) / truth == pytest.approx(1.5, rel=0.02)
    # 3.5134 * (1.5 / (2 * 720))^0.4 * 720^0.6 = 11.7 before it is rounded up
    assert 10 < got[:, 1].mean() < 15


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0, 1e-3]), min_size=12, max_size=40))
def test_kernel_is_never_negative(x):
    got, used = RollingKernelVariance(12, 11, sparse=3).batch(np.array(x))
    assert (got[11:] >= 0.0).all()
    assert ((used[11:] >= 0) & (used[11:] <= 11)).all()


def test_kernel_of_returns_that_do_not_move():
    got = RollingKernelVariance(10, 5, sparse=2).batch(np.zeros(30))
    assert (got[:, 9:] == 0.0).all()
    # a bounce: no sparse return moves, so the bandwidth is the largest
    bounce = RollingKernelVariance(10, 5, sparse=2).batch(np.resize([1.0, -1.0], 30))
    assert (bounce[1, 9:] == 5.0).all()


# Jumps ------------------------------------------------------------------------------


@given(seeds, st.integers(3, 40))
@settings(max_examples=40)
def test_jump_against_its_formulas(seed, window):
    x = noisy_returns(90, seed)
    x[50] += 0.02
    want = oracle.each_window(x, window, oracle.jump)
    got = RollingJump(window).batch(x)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)


def test_jump_test_has_its_size_and_its_power():
    x = np.random.default_rng(4).normal(0, 1e-3, (2000, 288))
    roll = RollingJump(288)
    clean = np.array([roll.batch(row)[3, -1] for row in x])
    assert 0.004 < np.mean(clean > 2.326) < 0.022  # nominally 0.01
    assert abs(clean.mean()) < 0.15
    x[:, 140] += 0.02
    assert np.mean([roll.batch(row)[3, -1] > 2.326 for row in x]) > 0.99


def test_jump_by_hand():
    rv, bv, tpq, z, zeros = RollingJump(3).batch(np.array([1.0, -8.0, 0.0, 1.0, 8.0, -1.0]))
    assert rv[2:].tolist() == [65.0, 65.0, 65.0, 66.0]
    np.testing.assert_allclose(bv[2:] / (np.pi / 2 * 1.5), [8.0, 0.0, 8.0, 16.0])
    assert zeros[2:].tolist() == [1 / 3, 1 / 3, 1 / 3, 0.0]
    mu = 0.8308609250295592
    np.testing.assert_allclose(tpq[2:] * mu**3 / 9, [0.0, 0.0, 0.0, 16.0])
    assert np.isnan(z[3])  # no bipower variation
    theta = np.pi**2 / 4 + np.pi - 5
    assert z[2] == pytest.approx(np.sqrt(3) * (1 - 8 * np.pi * 0.75 / 65) / np.sqrt(theta))


def test_jump_of_returns_that_do_not_move():
    got = RollingJump(5).batch(np.zeros(12))
    assert (got[:3, 4:] == 0.0).all()
    assert np.isnan(got[3]).all()
    assert (got[4, 4:] == 1.0).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RollingKernelVariance(0, 0), "window must be >= 1, was 0"),
        (lambda: RollingKernelVariance(30, 30), r"max_lag must be < window \(30\), was 30"),
        (lambda: RollingKernelVariance(30, -1), "max_lag must be >= 0, was -1"),
        (lambda: RollingKernelVariance(30, 5, 6), r"bandwidth must be <= max_lag \(5\), was 6"),
        (lambda: RollingKernelVariance(30, 5, -1), "bandwidth must be >= 0, was -1"),
        (lambda: RollingKernelVariance(30, 5, sparse=0), "sparse must be >= 1, was 0"),
        (lambda: RollingKernelVariance(30, 5, sparse=31), r"sparse must be <= window \(30\)"),
        (lambda: RollingJump(2), "window must be >= 3, was 2"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()

"""The rolling kernels against the numbers of foreign programs (tests/features/golden)."""

import numpy as np
import pytest

from mrcore.rolling_dfa import RollingDFA
from mrcore.rolling_moments import RollingShape
from mrcore.rolling_order import RollingMedianMad, RollingRank
from mrcore.rolling_realized import RollingJump, RollingKernelVariance
from mrcore.rolling_walk import RollingADF, RollingAR, RollingVarianceRatio
from mrcore.rolling_wilder import SeededEMA, WilderADX, WilderRSI

from ..features.golden import golden

windows = pytest.mark.parametrize("n", [60, 300])


def asked(topic):
    """What the oracle gave, the rows of which, the log prices and the returns."""
    inputs, expected, _ = golden(topic)
    log_price = np.log(inputs["price"])
    return expected, inputs["rows"].astype(int), log_price, np.diff(log_price, prepend=np.nan)


@windows
@pytest.mark.parametrize("topic", ["shape", "shape_sticky"])
def test_shape_rank_and_median(topic, n):
    want, rows, _, r = asked(topic)
    skew, kurtosis = RollingShape(n).batch(r)[:, rows]
    np.testing.assert_allclose(skew, want[f"skew_{n}"], rtol=1e-10)
    np.testing.assert_allclose(kurtosis, want[f"kurtosis_{n}"], rtol=1e-10)
    rank = RollingRank(n).batch(r)[rows]  # the oracle counts the last value half as well
    np.testing.assert_allclose(rank, (want[f"rank_mean_{n}"] * n - 0.5) / (n - 1), rtol=1e-12)
    median, mad = RollingMedianMad(n).batch(r)[:, rows]
    np.testing.assert_array_equal(median, want[f"median_{n}"])
    np.testing.assert_array_equal(mad, want[f"mad_{n}"])


@windows
@pytest.mark.parametrize("lags", [0, 1, 2])
def test_adf(n, lags):
    want, rows, log_price, _ = asked("adf")
    got = RollingADF(n, lags).batch(log_price)[rows]
    np.testing.assert_allclose(got, want[f"t_{lags}_{n}"], rtol=1e-8)


@windows
def test_ar(n):
    inputs, want, _ = golden("half_life")
    rows = inputs["rows"].astype(int)
    slope, intercept, t, phi, error, _ = RollingAR(n - 1).batch(inputs["value"])[:, rows]
    np.testing.assert_allclose(phi, want[f"phi_{n}"], rtol=1e-10)
    np.testing.assert_allclose(error, want[f"phi_se_{n}"], rtol=1e-10)
    np.testing.assert_allclose(t, want[f"t_{n}"], rtol=1e-10)
    np.testing.assert_allclose(intercept / -slope, want[f"level_{n}"], rtol=1e-9)
    np.testing.assert_allclose(-np.log(2) / np.log(phi), want[f"half_life_{n}"], rtol=1e-9)


@windows
@pytest.mark.parametrize("q", [2, 4, 8, 16])
@pytest.mark.parametrize("topic", ["variance_ratio", "variance_ratio_sticky"])
def test_variance_ratio(topic, q, n):
    want, rows, log_price, _ = asked(topic)
    vr, z = RollingVarianceRatio(n + 1, q).batch(log_price)[:, rows]
    np.testing.assert_allclose(vr, want[f"vr_{q}_{n}"], rtol=1e-9)
    np.testing.assert_allclose(z, want[f"z2_{q}_{n}"], rtol=1e-9)


def test_dfa():
    want, rows, _, r = asked("hurst")
    assert RollingDFA(1024).batch(r)[0, rows[-1]] == pytest.approx(want["dfa_all"], rel=1e-9)


@windows
@pytest.mark.parametrize("topic", ["realized", "realized_noisy", "realized_sticky"])
def test_kernel_bipower_and_tripower(topic, n):
    want, rows, _, r = asked(topic)
    for bandwidth in (10, 30):
        variance, used = RollingKernelVariance(n, 40, bandwidth).batch(r)[:, rows]
        np.testing.assert_allclose(variance, want[f"kernel_{bandwidth}_{n}"], rtol=1e-10)
        assert (used == bandwidth).all()
    rv, bv, tpq, _, _ = RollingJump(n).batch(r)[:, rows]
    np.testing.assert_allclose(rv, want[f"rv_{n}"], rtol=1e-12)
    np.testing.assert_allclose(bv, want[f"bipower_scaled_{n}"], rtol=1e-12)
    np.testing.assert_allclose(tpq, want[f"tripower_scaled_{n}"], rtol=1e-12)


@windows
@pytest.mark.parametrize("topic", ["jump", "jump_noisy", "jump_sticky"])
def test_jump(topic, n):
    want, rows, _, r = asked(topic)
    rv, bv, tpq, z, _ = RollingJump(n).batch(r)[:, rows]
    plain = bv * (n - 1) / n  # highfrequency scales the tripower quarticity alone
    theta = np.pi**2 / 4 + np.pi - 5
    with_plain = (1 - plain / rv) * np.sqrt(n / theta / np.maximum(1, tpq / plain**2))
    np.testing.assert_allclose(with_plain, want[f"ratio_max_{n}"], rtol=1e-9)
    ours = (1 - bv / rv) * np.sqrt(n / theta / np.maximum(1, tpq / bv**2))
    np.testing.assert_allclose(z, ours, rtol=1e-9)


@pytest.mark.parametrize("topic", ["talib", "talib_flat"])
def test_wilder(topic):
    inputs, want, _ = golden(topic)
    high, low, close = inputs["high"], inputs["low"], inputs["close"]
    close_to = {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose(SeededEMA(20, 2 / 21).batch(close), want["ema_20"], **close_to)
    # of what has not moved yet TA-Lib says 0
    rsi = WilderRSI(14).batch(close)
    moved = np.maximum.accumulate(np.diff(close, prepend=close[0]) != 0)
    rsi[14:] = np.where(moved, rsi, 0.0)[14:]
    np.testing.assert_allclose(rsi, want["rsi_14"], **close_to)
    plus, minus, adx = WilderADX(14).batch(high, low, close)
    np.testing.assert_allclose(adx, want["adx_14"], **close_to)
    for got, name in ((plus, "plus_di_14"), (minus, "minus_di_14")):
        got[14:] = np.nan_to_num(got[14:])
        np.testing.assert_allclose(got, want[name], **close_to)

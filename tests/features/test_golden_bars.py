"""Features of bars against the golden numbers of foreign programs."""

import numpy as np
import pandas as pd
import pytest

from mrtrade.features import compute

from .golden import golden

YEAR = 365 * 86400.0


def features(columns, names):
    """Features over bars of a second."""
    rows = len(next(iter(columns.values())))
    index = pd.date_range("2024-01-01 12:00", periods=rows, freq="1s", tz="UTC").as_unit("ns")
    return compute(pd.DataFrame(columns, index=index), names)


def of_windows(topic, *names, input_name="price"):
    """Inputs, answers, and features at the rows that the oracle was asked of."""
    inputs, expected, _ = golden(topic)
    rows = inputs["rows"].astype(int)
    return expected, features({"mid": inputs[input_name]}, names).iloc[rows]


def candles(topic):
    inputs, expected, _ = golden(topic)
    named = {"open": "mid_open", "high": "mid_high", "low": "mid_low", "close": "mid"}
    return {named[name]: values for name, values in inputs.items()}, expected


def close(got, expected, rtol=1e-9):
    np.testing.assert_allclose(np.asarray(got), expected, rtol=rtol)


@pytest.mark.parametrize("topic", ["talib", "talib_flat"])
def test_talib(topic):
    bars, expected = candles(topic)
    names = ["rsi_14", "adx_14", "di_spread_14", "bollinger_b_20", "bollinger_width_20"]
    out = features(bars, [*names, "ema_dev_bps_20"])
    moved = out["rsi_14"].notna().to_numpy()  # before, TA-Lib's index is 0
    assert moved.sum() > 290
    close(out["rsi_14"][moved], expected["rsi_14"][moved])
    known = out["di_spread_14"].notna().to_numpy()
    spread = expected["plus_di_14"] - expected["minus_di_14"]
    np.testing.assert_allclose(out["di_spread_14"][known], spread[known], atol=1e-9)
    ema = 1e4 * np.log(bars["mid"] / expected["ema_20"])
    np.testing.assert_allclose(out["ema_dev_bps_20"], ema, atol=1e-7)
    low, high = expected["bb_lower_20"], expected["bb_upper_20"]
    close(out["bollinger_width_20"], (high - low) / (0.5 * (high + low)), rtol=1e-6)
    wide = high - low > 1e-3  # a width of rounding errors divides nothing
    within = (bars["mid"] - low)[wide] / (high - low)[wide]
    np.testing.assert_allclose(out["bollinger_b_20"][wide], within, atol=1e-6)
    if topic == "talib":
        close(out["adx_14"], expected["adx_14"])


@pytest.mark.parametrize("topic", ["ranges", "ranges_flat"])
@pytest.mark.parametrize("name", ["parkinson", "garman_klass", "rogers_satchell", "yang_zhang"])
def test_ttr(topic, name):
    bars, expected = candles(topic)
    got = features(bars, [f"{name}_vol_20"])[f"{name}_vol_20"] / np.sqrt(YEAR)
    # TTR has no value before the second close, which Yang and Zhang alone need
    known = np.isfinite(expected[f"{name}_20"])
    assert known.sum() >= len(known) - 20
    np.testing.assert_allclose(got[known], expected[f"{name}_20"][known], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("topic", ["variance_ratio", "variance_ratio_sticky"])
@pytest.mark.parametrize("n", [60, 300])
def test_variance_ratio(topic, n):
    expected, out = of_windows(topic, f"variance_ratio_{n}", f"variance_ratio_z_{n}")
    close(out[f"variance_ratio_{n}"], expected[f"vr_4_{n}"])
    close(out[f"variance_ratio_z_{n}"], expected[f"z2_4_{n}"], rtol=1e-8)


@pytest.mark.parametrize("n", [60, 300])
def test_adf(n):
    expected, out = of_windows("adf", f"adf_t_{n}")
    close(out[f"adf_t_{n}"], expected[f"t_1_{n}"], rtol=1e-7)


@pytest.mark.parametrize("n", [60, 300])
def test_half_life_by_statsmodels(n):
    """The oracle's n values are n - 1 pairs. MacKinnon's critical value, by hand: -2.9117 at 59."""
    pairs = n - 1
    names = [
        f"{stem}_{pairs}"
        for stem in ("half_life", "half_life_se", "ou_theta", "ou_equilibrium_dev_bps", "ou_z")
    ]
    shift = 1000.0  # a spread around 0 is no price
    inputs, expected, _ = golden("half_life")
    rows = inputs["rows"].astype(int)
    out = features({"mid": inputs["value"] + shift}, names).iloc[rows]
    passed = expected[f"t_{n}"] < {60: -2.9118, 300: -2.8713}[n]
    life, phi = expected[f"half_life_{n}"], expected[f"phi_{n}"]
    assert passed.any() == (n == 300)  # 60 are too few for a half-life of 12
    close(out[names[0]], np.where(passed, life, np.nan), rtol=1e-8)
    slope = np.log(2) / (phi * np.log(phi) ** 2)
    close(out[names[1]], np.where(passed, slope * expected[f"phi_se_{n}"], np.nan), rtol=1e-7)
    close(out[names[2]], 3600 * np.log(2) / life, rtol=1e-8)
    mid, level = inputs["value"][rows] + shift, expected[f"level_{n}"] + shift
    close(out[names[3]], np.where(passed, 1e4 * np.log(mid / level), np.nan), rtol=1e-6)
    assert (np.isnan(out[names[4]]) == ~passed).all()
    assert (np.sign(out[names[4]][passed]) == np.sign(mid - level)[passed]).all()


@pytest.mark.parametrize("topic", ["realized", "realized_noisy", "realized_sticky"])
@pytest.mark.parametrize("n", [60, 300])
def test_bipower(topic, n):
    expected, out = of_windows(topic, f"realized_vol_{n}", f"bipower_vol_{n}")
    close(out[f"realized_vol_{n}"] ** 2 / YEAR * n, expected[f"rv_{n}"])
    close(out[f"bipower_vol_{n}"] ** 2 / YEAR * n, expected[f"bipower_scaled_{n}"])


@pytest.mark.parametrize("suffix", ["", "_noisy", "_sticky"])
@pytest.mark.parametrize("n", [60, 300])
def test_jumps(suffix, n):
    """R leaves the factor n / (n - 1) off bipower variation; with the toolbox's it is ours."""
    parts, out = of_windows(f"realized{suffix}", f"jump_z_{n}", f"jump_share_{n}")
    asked = golden(f"jump{suffix}").expected
    theta = np.pi**2 / 4 + np.pi - 5

    def z(bipower):
        ratio = np.maximum(1.0, parts[f"tripower_scaled_{n}"] / bipower**2)
        return np.sqrt(n) * (1 - bipower / parts[f"rv_{n}"]) / np.sqrt(theta * ratio)

    np.testing.assert_allclose(z(parts[f"bipower_{n}"]), asked[f"ratio_max_{n}"], rtol=1e-6)
    if suffix == "_sticky":  # three in ten do not move: z is large, and says nothing
        assert (z(parts[f"bipower_scaled_{n}"]) > 2).any()
        assert out.isna().all(axis=None)
        return
    expected = z(parts[f"bipower_scaled_{n}"])
    close(out[f"jump_z_{n}"], expected, rtol=1e-8)
    share = 1 - parts[f"bipower_scaled_{n}"] / parts[f"rv_{n}"]
    close(out[f"jump_share_{n}"], np.where(expected > 2.3263478740408408, share, 0.0), rtol=1e-8)


@pytest.mark.parametrize("topic", ["shape", "shape_sticky"])
@pytest.mark.parametrize("n", [60, 300])
def test_shape(topic, n):
    expected, out = of_windows(topic, f"skew_{n}", f"kurtosis_{n}")
    close(out[f"skew_{n}"], expected[f"skew_{n}"], rtol=1e-8)
    close(out[f"kurtosis_{n}"], expected[f"kurtosis_{n}"], rtol=1e-8)


@pytest.mark.parametrize("n", [60, 300])
def test_rank_and_median(n):
    """The oracle's are of returns: here a mid that is 1 plus the return."""
    inputs, expected, _ = golden("shape_sticky")
    mid = 1.0 + np.r_[0.0, np.diff(np.log(inputs["price"]))]
    rows = inputs["rows"].astype(int)
    out = features({"mid": mid}, [f"quantile_rank_{n}", f"zscore_robust_{n}"]).iloc[rows]
    # scipy's mean rank counts the newest value itself: (below + ties / 2 + 1 / 2) / n
    rank = (n * expected[f"rank_mean_{n}"] - 0.5) / (n - 1)
    close(out[f"quantile_rank_{n}"], rank, rtol=1e-9)
    robust = (mid[rows] - 1.0 - expected[f"median_{n}"]) / (1.4826 * expected[f"mad_{n}"])
    np.testing.assert_allclose(out[f"zscore_robust_{n}"], robust, rtol=1e-9, atol=1e-9)


def test_hurst():
    """nolds over all 1024 returns, whose boxes are ours; the bias of 8 .. 256 by its formula."""
    inputs, expected, _ = golden("hurst")
    out = features({"mid": inputs["price"]}, ["hurst_1024"])["hurst_1024"].iloc[-1]
    s = np.array([8, 16, 32, 64, 128, 256])
    noise = 0.5 * np.log((s**2 - 4) / (15 * s))
    noise -= (11 * s**2 + 181) / (112 * (s**2 - 4)) * s / 1024
    bias = np.polyfit(np.log(s), noise, 1)[0] - 0.5
    assert out == pytest.approx(expected["dfa_all"] - bias, rel=1e-9)

"""Features of a second asset, by hand and where the truth is known."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.stattools import coint

from mrtrade.features import compute


def frame_of(**columns) -> pd.DataFrame:
    length = len(next(iter(columns.values())))
    index = pd.date_range("2024-01-01", periods=length, freq="1s", tz="UTC").as_unit("ns")
    return pd.DataFrame({name: np.asarray(x, float) for name, x in columns.items()}, index=index)


def one(name: str, frame: pd.DataFrame) -> np.ndarray:
    return compute(frame, [name])[name].to_numpy()


def prices(log_returns, start=100.0):
    return start * np.exp(np.cumsum(np.r_[0.0, log_returns]))


def test_returns_by_hand():
    frame = frame_of(mid=prices([1e-3, 0.0, 2e-3]), other_mid=prices([1e-3, -2e-3, 3e-3]))
    nan = np.nan
    expected = {
        "other_return_lag0_bps": [nan, 10.0, -20.0, 30.0],
        "other_return_lag1_bps": [nan, nan, 10.0, -20.0],
        "other_return_lag2_bps": [nan, nan, nan, 10.0],
        "other_momentum_bps_2": [nan, nan, -10.0, 10.0],
        "relative_strength_bps_2": [nan, nan, 20.0, 10.0],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(one(name, frame), values, atol=1e-9)


def test_correlation_and_beta_by_hand():
    x, y = np.array([1.0, -1.0, 2.0, 0.0]), np.array([2.0, -2.0, 3.0, 1.0])
    # means 0.5 and 1: sxy = 2 + 2 + 6 + 0 - 2 = 8, sxx = 6 - 1 = 5, syy = 18 - 4 = 14
    frame = frame_of(mid=prices(1e-3 * y), other_mid=prices(1e-3 * x))
    assert one("other_beta_4", frame)[-1] == pytest.approx(8 / 5)
    assert one("other_corr_4", frame)[-1] == pytest.approx(8 / 70**0.5)
    assert one("other_r2_4", frame)[-1] == pytest.approx(64 / 70)
    # in the last bar ours moved by 10 bps, the other not at all
    assert one("own_return_bps_4", frame)[-1] == pytest.approx(10.0)
    # with the other's falling, the sign turns
    turned = frame.assign(other_mid=prices(-1e-3 * x))
    assert one("other_corr_4", turned)[-1] == pytest.approx(-8 / 70**0.5)


def test_a_second_asset_one_bar_ahead_is_seen_to_lead():
    rng = np.random.default_rng(0)
    x = 1e-3 * rng.normal(size=3001)
    frame = frame_of(mid=prices(0.5 * x[:-1]), other_mid=prices(x[1:]))  # ours follows a bar late
    got = compute(frame, ["other_corr_300", "other_lead_corr_300", "lead_asymmetry_300"]).iloc[-1]
    assert abs(got["other_corr_300"]) < 0.2
    assert got["other_lead_corr_300"] == pytest.approx(1.0)
    assert got["lead_asymmetry_300"] == pytest.approx(1.0, abs=0.2)
    # what it foretells is what comes
    push, own = one("other_push_bps_300", frame), 1e4 * np.diff(np.log(frame["mid"]))
    np.testing.assert_allclose(push[400:-1], own[400:], rtol=1e-6)


def test_changes_of_the_tie_by_hand():
    x = np.array([1.0, -1.0, 2.0, 1.0, -1.0, 2.0]) * 1e-3
    y = np.r_[x[:3], -2.0 * x[3:]]
    frame = frame_of(mid=prices(y), other_mid=prices(x))
    assert one("other_beta_change_3", frame)[-1] == pytest.approx(-3.0)
    assert one("other_corr_change_3", frame)[-1] == pytest.approx(-2.0)


def test_ratio_by_hand():
    # log ratio 0, 1, 5 bps: mean 2, sd sqrt(14 / 3)
    frame = frame_of(mid=100.0 * np.exp([0.0, 1e-4, 5e-4]), other_mid=[100.0] * 3)
    assert one("ratio_z_3", frame)[-1] == pytest.approx(3.0 / (14.0 / 3.0) ** 0.5)


def test_residual_by_hand():
    # ln other 0 1 2, ln mid 0 3 0 (1e-3): slope 0, level 1, residuals -1 2 -1, sd sqrt 2
    frame = frame_of(mid=prices([3e-3, -3e-3]), other_mid=prices([1e-3, 1e-3]))
    assert one("pair_residual_3", frame)[-1] == pytest.approx(-1e-3)
    assert one("residual_z_3", frame)[-1] == pytest.approx(-1.0 / 2**0.5)
    # a line fits exactly: what is left is rounding, and no distance
    assert np.isnan(one("residual_z_3", frame.assign(mid=prices([2e-3, 2e-3])))[-1])


def test_a_pair_that_reverts_is_told_from_one_that_does_not():
    """The half-life of an AR(1) spread of 10 bars, and the gate on two random walks."""
    rng = np.random.default_rng(3)
    n, phi = 4000, 0.5 ** (1 / 10)
    walk = np.cumsum(1e-3 * rng.normal(size=n))
    spread = np.zeros(n)
    for t in range(1, n):
        spread[t] = phi * spread[t - 1] + 1e-4 * rng.normal()
    tied = frame_of(mid=100.0 * np.exp(0.7 * walk + spread), other_mid=50.0 * np.exp(walk))
    free = tied.assign(mid=100.0 * np.exp(np.cumsum(1e-3 * rng.normal(size=n))))
    names = ["residual_half_life_600", "residual_df_t_600"]
    held, loose = compute(tied, names), compute(free, names)
    assert held["residual_half_life_600"].iloc[1200:].notna().mean() > 0.9
    assert 5.0 < held["residual_half_life_600"].median() < 12.0  # biased low, Kendall 1954
    assert loose["residual_half_life_600"].iloc[1200:].notna().mean() < 0.35
    # against statsmodels on the last window, whose residuals are all of one fit
    log = np.log(tied.iloc[-600:])
    t = coint(log["mid"], log["other_mid"], maxlag=0, autolag=None)[0]
    assert held["residual_df_t_600"].iloc[-1] == pytest.approx(t, rel=0.25)


@pytest.mark.parametrize("name", ["other_age_s", "hy_corr", "hy_lead_s", "hy_lead_corr", "hy_llr"])
def test_columns_that_are_handed_out(name):
    assert one(name, frame_of(**{name: [0.5, np.nan]})).tolist()[0] == 0.5


def test_a_stale_second_asset_has_no_value_and_comes_back():
    other = prices(1e-3 * np.random.default_rng(0).normal(size=39))
    other[10:12] = np.nan
    frame = frame_of(mid=prices(1e-3 * np.ones(39)), other_mid=other)
    known = np.isfinite(one("ratio_z_5", frame))
    assert np.flatnonzero(~known).tolist() == [0, 1, 2, 3, *range(10, 16)]


def test_without_a_second_asset_there_is_a_reason():
    out = compute(frame_of(mid=[1.0, 2.0]), ["ratio_z_60"])
    assert "other_mid" in out.attrs["reasons"]["ratio_z_60"]

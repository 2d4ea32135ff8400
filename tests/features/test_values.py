"""Values against pandas, statsmodels and numbers worked by hand."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from mrtrade.features import compute
from mrtrade.features.example import example_bars as make_bars

YEAR = 365 * 86400.0


def rows(**columns) -> pd.DataFrame:
    """A short frame of one-second bars with only the columns given."""
    length = len(next(iter(columns.values())))
    index = pd.date_range("2024-01-01", periods=length, freq="1s", tz="UTC").as_unit("ns")
    return pd.DataFrame({name: np.asarray(x, float) for name, x in columns.items()}, index=index)


def one(name: str, frame: pd.DataFrame) -> np.ndarray:
    return compute(frame, [name])[name].to_numpy()


def test_microprice_by_hand():
    # bid 100 x 30, ask 100.1 x 10: the micro-price is 100.075, the mid 100.05
    frame = rows(microprice=[100.075], mid=[100.05])
    assert one("microprice_dev_bps", frame) == pytest.approx(2.4987506)


def test_spreads_by_hand():
    frame = rows(bid=[99.95], ask=[100.05], mid=[100.0], spread_mean=[0.05], spread_max=[0.2])
    got = compute(frame, ["spread_bps", "spread_mean_bps", "spread_max_bps"]).iloc[0]
    assert got.tolist() == pytest.approx([10.0, 5.0, 20.0])


def test_flow_by_hand():
    frame = rows(
        ofi=[1, -3, 4],
        bid_size=[2, 4, 4],
        ask_size=[2, 2, 8],
        buy_volume=[3, 0, 1],
        sell_volume=[1, 0, 1],
        volume=[4, 0, 2],
        n_trades=[2, 0, 3],
        notional=[400, 0, 100],
        mid=[100, 101, 100],
    )
    assert one("ofi_2", frame).tolist()[1:] == pytest.approx([-2 / 2.5, 1 / 4.5])
    assert one("trade_imbalance_2", frame).tolist()[1:] == pytest.approx([0.5, 0.0])
    assert one("trade_size_2", frame).tolist()[1:] == pytest.approx([2.0, 2 / 3])
    assert one("trade_intensity_2", frame)[2] == pytest.approx(1.5)
    assert one("queue_wait_bid_2", frame)[2] == pytest.approx(4 / (1 / 2))
    assert one("queue_wait_ask_2", frame)[2] == pytest.approx(8 / (1 / 2))
    # only the last of the two bars traded: |ln(100/101)| / 100 * 1e6
    assert one("amihud_2", frame)[2] == pytest.approx(99.50330853)


def test_no_trade_after_trades_is_nan_not_a_residue():
    volume = np.r_[np.random.default_rng(0).uniform(0.0, 1e6, 50), np.zeros(50)]
    frame = rows(buy_volume=volume, sell_volume=np.zeros(100), volume=volume)
    got = one("trade_imbalance_10", frame)
    assert np.isnan(got[59:]).all()
    assert (got[9:59] == 1.0).all()


def test_zscore_of_large_prices_does_not_cancel():
    x = 6e4 + np.random.default_rng(0).normal(0.0, 1e-2, 5000).cumsum() * 1e-2
    frame = rows(mid=x)
    small = pd.Series(x - x[0])
    expected = (small - small.rolling(50).mean()) / small.rolling(50).std(ddof=0)
    np.testing.assert_allclose(one("zscore_50", frame), expected, rtol=1e-6, atol=1e-7)


def test_zscore_is_bounded_and_affine(bars):
    z = one("zscore_20", bars)
    assert np.nanmax(np.abs(z)) <= np.sqrt(19) + 1e-12
    np.testing.assert_allclose(one("zscore_20", bars * 3.0), z, atol=1e-9)


def test_ema_is_seeded_with_a_mean(bars):
    mid = bars["mid"].to_numpy()
    ema = mid[:20].mean()
    for x in mid[20:]:
        ema += 2 / 21 * (x - ema)
    assert one("ema_dev_bps_20", bars)[-1] == pytest.approx(1e4 * np.log(mid[-1] / ema), abs=1e-8)


def test_rsi_is_wilders(bars):
    change = np.diff(bars["mid"].to_numpy())
    gain, loss = np.clip(change, 0, None), np.clip(-change, 0, None)
    up, down = gain[:14].mean(), loss[:14].mean()
    expected = [100 - 100 / (1 + up / down)]
    for g, x in zip(gain[14:], loss[14:], strict=True):
        up, down = (13 * up + g) / 14, (13 * down + x) / 14
        expected.append(100 - 100 / (1 + up / down))
    got = one("rsi_14", bars)
    assert np.isnan(got[:14]).all()
    np.testing.assert_allclose(got[14:], expected, rtol=1e-9)


def test_rsi_at_its_ends():
    assert one("rsi_3", rows(mid=[1, 2, 3, 4]))[3] == 100.0
    assert one("rsi_3", rows(mid=[4, 3, 2, 1]))[3] == 0.0
    assert np.isnan(one("rsi_3", rows(mid=[1, 1, 1, 1]))[3])


def test_half_life_against_statsmodels(bars):
    mid = bars["mid"].to_numpy()
    got = one("half_life_100", bars)
    found = 0
    for t in range(100, len(mid), 29):
        y, x = np.diff(mid[t - 100 : t + 1]), mid[t - 100 : t]
        fit = sm.OLS(y, sm.add_constant(x)).fit()
        phi = 1 + fit.params[1]
        if fit.tvalues[1] < -2.86154 and 0 < phi < 1:
            assert got[t] == pytest.approx(-np.log(2) / np.log(phi), rel=1e-7)
            found += 1
        else:
            assert np.isnan(got[t])
    assert found > 20


def test_half_life_is_recovered_and_in_seconds():
    """phi 0.9 a bar is 6.58 bars; Kendall's bias at n = 1800 is below 2 %."""
    for interval, seconds in (("1s", 1.0), ("100ms", 0.1), ("1min", 60.0)):
        bars = make_bars(6000, seed=3, interval=interval)
        got = np.nanmedian(one("half_life_1800", bars))
        assert got == pytest.approx(6.579 * seconds, rel=0.12)


def test_half_life_of_a_random_walk_is_refused():
    rng = np.random.default_rng(7)
    passed = [
        np.isfinite(one("half_life_300", rows(mid=1e3 + rng.normal(size=301).cumsum()))[-1])
        for _ in range(400)
    ]
    assert 0.02 < np.mean(passed) < 0.09  # 5 % of them, by the gate's size


def test_hours():
    index = pd.DatetimeIndex(
        ["2024-01-01 00:00", "2024-01-01 06:00", "2024-01-01 18:00"], tz="UTC"
    ).as_unit("ns")
    got = compute(pd.DataFrame({"mid": [1.0, 1.0, 1.0]}, index=index), ["hour_sin", "hour_cos"])
    np.testing.assert_allclose(got.to_numpy(), [[0, 1], [1, 0], [-1, 0]], atol=1e-15)

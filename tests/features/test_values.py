"""Values against pandas, statsmodels and numbers worked by hand."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from mrtrade.errors import ConfigError
from mrtrade.features import compute, get
from mrtrade.features.example import example_bars as make_bars
from mrtrade.features.mean_reversion import calculate_fair_value_deviations

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
        if fit.tvalues[1] < -2.89091 and 0 < phi < 1:  # MacKinnon (2010) of 100 rows
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


def test_hours():
    index = pd.DatetimeIndex(
        ["2024-01-01 00:00", "2024-01-01 06:00", "2024-01-01 18:00"], tz="UTC"
    ).as_unit("ns")
    got = compute(pd.DataFrame({"mid": [1.0, 1.0, 1.0]}, index=index), ["hour_sin", "hour_cos"])
    np.testing.assert_allclose(got.to_numpy(), [[0, 1], [1, 0], [-1, 0]], atol=1e-15)


def test_a_day_has_its_own_vwap():
    """From midnight on anew; the bar that ends there is of the day before."""
    index = pd.date_range("2024-01-01 23:00", periods=30, freq="5min", tz="UTC").as_unit("ns")
    frame = pd.DataFrame({"mid": 11.0, "notional": 10.0, "volume": 1.0}, index=index)
    frame.loc[index[12], ["notional", "volume"]] = [60.0, 3.0]  # ends at 00:00: of the first day
    frame.loc[index[20:22], ["notional", "volume"]] = 0.0
    frame.loc[index[25], ["notional", "volume"]] = [40.0, 2.0]
    got = one("vwap_session_dev_bps", frame)
    assert np.isnan(got[:11]).all()
    assert got[11] == pytest.approx(1e4 * np.log(1.1))
    assert got[12] == pytest.approx(1e4 * np.log(11 / (180 / 15)))
    assert np.isnan(got[13:24]).all()
    assert got[24] == pytest.approx(1e4 * np.log(1.1))
    assert got[25] == pytest.approx(1e4 * np.log(11 / (140 / 12)))


def test_a_gap_of_volume_does_not_poison_the_day():
    frame = rows(mid=np.full(40, 11.0), notional=np.full(40, 10.0), volume=np.ones(40))
    frame.iloc[20, 1:] = np.nan
    # the first bar ends at midnight
    assert one("vwap_session_dev_bps", frame)[12:] == pytest.approx(1e4 * np.log(1.1))


def test_extremes_and_ranks_by_hand():
    frame = rows(mid=[2, 4, 3], mid_high=[2, 5, 4], mid_low=[1, 2, 3])
    names = ["dist_high_bps_3", "dist_low_bps_3", "quantile_rank_3", "zscore_robust_3"]
    got = compute(frame, [*names, "bollinger_width_3"]).iloc[2]
    assert got[names].tolist() == pytest.approx([1e4 * np.log(5 / 3), 1e4 * np.log(3), 0.5, 0.0])
    assert got["bollinger_width_3"] == pytest.approx(4 * np.sqrt(2 / 3) / 3)


def test_shares_of_returns_by_hand():
    """Returns +2, -1, 0, +1: one half of -1 squared in six, one in four still."""
    frame = rows(mid=100 * np.exp(1e-3 * np.cumsum([0, 2, -1, 0, 1])))
    assert one("downside_share_4", frame)[4] == pytest.approx(1 / 6)
    still = rows(mid=[100.0, 100.0, 100.0, 101.0, 100.0, 100.0, 99.0, 98.0, 99.0])
    assert one("zero_share_8", still)[8] == pytest.approx(3 / 8)
    assert np.isnan(one("jump_z_8", still)[8])


def test_regimes_by_hand():
    """Volatility that rises by itself all the time is the highest of its past: 2, and then 0."""
    size = np.r_[np.linspace(1, 2, 40), np.linspace(2, 0.5, 40)] * 1e-3
    frame = rows(mid=100 * np.exp(np.cumsum(size * np.where(np.arange(80) % 2, 1, -1))))
    got = compute(frame, ["vol_percentile_2", "vol_regime_2"])
    assert got.iloc[30].tolist() == [1.0, 2.0]
    assert got.iloc[79].tolist() == [0.0, 0.0]
    assert got.iloc[:21].isna().all(axis=None)


@pytest.mark.parametrize(
    ("name", "least"), [("hurst_63", 64), ("half_life_19", 20), ("jump_z_7", 8), ("adf_t_7", 8)]
)
def test_windows_that_are_too_short(name, least):
    with pytest.raises(ConfigError, match=f">= {least} bars"):
        get(name)


def test_fair_values(bars):
    got = calculate_fair_value_deviations(
        bars[["mid", "microprice"]], ["sma", "ema", "vwap", "microprice"], window=60
    )
    features = compute(bars, ["sma_dev_bps_60", "ema_dev_bps_60", "microprice_dev_bps"])
    assert list(got) == ["sma", "ema", "vwap", "microprice"]
    np.testing.assert_array_equal(got["sma"], features["sma_dev_bps_60"])
    np.testing.assert_array_equal(got["ema"], features["ema_dev_bps_60"])
    # all are mid less fair value
    np.testing.assert_array_equal(got["microprice"], -features["microprice_dev_bps"])
    assert got["vwap"].isna().all()
    assert list(got.attrs["reasons"]) == ["vwap"]
    assert "'notional'" in got.attrs["reasons"]["vwap"]
    whole = calculate_fair_value_deviations(bars)
    assert list(whole) == ["vwap", "ema", "funding_parity", "microprice"]
    assert whole.iloc[299:].notna().all(axis=None)
    assert whole.attrs["reasons"] == {}
    with pytest.raises(ConfigError, match="vwap, session_vwap"):
        calculate_fair_value_deviations(bars, ["twap"])


def test_rates_of_bars_that_are_not_of_one_length():
    # 1, 2 and 6 s long, as bars of volume are; 8 s for the last two
    seconds = pd.to_timedelta([0, 1, 3, 9], "s")
    frame = rows(mid=[100, 101, 100, 102], n_trades=[1, 2, 3, 5], bid_size=[1, 1, 1, 4])
    frame = frame.assign(sell_volume=[1.0, 0.0, 3.0, 1.0], mid_open=101.0)
    frame = frame.assign(mid_high=103.0, mid_low=100.0)
    frame = frame.set_axis((pd.Timestamp("2024-01-01", tz="UTC") + seconds).as_unit("ns"))
    assert one("trade_intensity_2", frame)[3] == pytest.approx(8 / 8)
    assert one("queue_wait_bid_2", frame)[3] == pytest.approx(4 / (4 / 8))
    squares = np.log(100 / 101) ** 2 + np.log(102 / 100) ** 2
    assert one("realized_vol_2", frame)[3] == pytest.approx(np.sqrt(squares / 8 * YEAR))
    span = 2 * np.log(1.03) ** 2 / (4 * np.log(2))
    assert one("parkinson_vol_2", frame)[3] == pytest.approx(np.sqrt(span / 8 * YEAR))


@pytest.mark.parametrize("name", ["half_life_60", "ou_theta_60", "residual_half_life_60"])
def test_a_missing_bar_is_not_a_market_of_half_the_speed(name):
    rng = np.random.default_rng(3)
    x = np.zeros(200)
    for t in range(1, 200):
        x[t] = 0.3 * x[t - 1] + rng.normal()
    other = 100 + np.cumsum(rng.normal(size=200))
    frame = rows(mid=other * np.exp(1e-3 * x) if "residual" in name else 100 + x, other_mid=other)
    steps = np.r_[0, np.ones(198), 2]
    later = frame.set_axis(frame.index[0] + pd.to_timedelta(np.cumsum(steps), "s"))
    ratio = one(name, later)[-1] / one(name, frame)[-1]
    assert ratio ** (-1 if name.startswith("ou") else 1) == pytest.approx(61 / 60)

"""Bars of candles: by hand, against the loader, and on real files."""

import numpy as np
import pandas as pd
import pytest

from mrtrade.errors import DataError
from mrtrade.features import compute
from mrtrade.features.candles import candle_bars

MINUTE = 60_000_000_000
BARS = ["mid", "mid_open", "mid_high", "mid_low"]


def candles(rows=5, index="time", **columns):
    """Rising candles of a minute from 10:00 on, that end (or start) one a minute."""
    close = 100.0 + np.arange(rows)
    frame = pd.DataFrame(
        {"open": close - 0.5, "high": close + 1.0, "low": close - 1.0, "close": close},
        index=pd.date_range("2024-01-01 10:00", periods=rows, freq="1min", tz="UTC", name=index),
    )
    frame["volume"] = 2.0
    frame = frame.assign(**columns)
    return frame.reset_index() if index == "start" else frame


def at(text):
    return pd.Timestamp(f"2024-01-01 {text}", tz="UTC")


def test_columns_by_hand():
    bars = candle_bars(candles(trades=[1, 2, 3, 4, 5]))
    assert list(bars) == [*BARS, "volume", "notional", "n_trades"]
    assert str(bars.index.dtype) == "datetime64[ns, UTC]"
    assert bars.index.name == "time"
    # typical price (102 + 100 + 101) / 3, times 2
    assert bars.iloc[1].tolist() == [101.0, 100.5, 102.0, 100.0, 2.0, 202.0, 2.0]
    assert (bars.dtypes == np.float64).all()
    assert bars.attrs == {"interval_ns": MINUTE, "missing": 0, "bad": 0, "late": 0}


def test_a_start_is_not_an_end():
    """The trap of archives: the candle that starts at 10:00 is known at 10:01."""
    bars = candle_bars(candles(index="start"))
    assert bars.index[0] == at("10:01")
    ends = candle_bars(candles()).shift(freq="1min")
    pd.testing.assert_frame_equal(bars, ends, check_freq=False)


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_any_unit_of_time(unit):
    frame = candles(index="start")
    frame["start"] = frame["start"].dt.as_unit(unit)
    pd.testing.assert_frame_equal(candle_bars(frame), candle_bars(candles(index="start")))
    frame["start"] = frame["start"].dt.as_unit("ns").astype("int64")
    pd.testing.assert_frame_equal(candle_bars(frame), candle_bars(candles(index="start")))


def test_a_gap_stays_a_gap():
    frame = candles(50)
    bars = candle_bars(frame.drop(frame.index[[20, 21]]))
    assert len(bars) == 48
    assert bars.attrs["missing"] == 2
    assert bars.index[20] == at("10:22")


def test_a_candle_that_contradicts_itself_has_no_prices():
    frame = candles(8)
    frame.iloc[1, frame.columns.get_loc("high")] = 100.9  # below the close
    frame.iloc[2, frame.columns.get_loc("low")] = 101.6  # above the open
    frame.iloc[3, frame.columns.get_loc("open")] = np.nan
    frame.iloc[4, frame.columns.get_loc("low")] = 0.0
    frame.iloc[5, frame.columns.get_loc("high")] = np.inf
    frame.iloc[6, frame.columns.get_loc("volume")] = -1.0
    bars = candle_bars(frame)
    assert bars.attrs["bad"] == 5
    assert bars.iloc[1:6][[*BARS, "notional"]].isna().all(axis=None)
    assert bars["volume"].iloc[1:6].tolist() == [2.0] * 5
    assert np.isnan(bars["volume"].iloc[6])
    assert bars[BARS].iloc[[0, 6, 7]].notna().all(axis=None)


def test_silence_repeats_the_close_but_ignorance_does_not():
    nan = np.nan
    frame = candles(40)
    frame.iloc[2:4] = [nan, nan, nan, nan, 0.0]  # no trades
    frame.iloc[6] = nan  # not known
    frame.iloc[7] = [nan, nan, nan, nan, 0.0]  # silence after what is not known
    frame.iloc[12] = [nan, nan, nan, nan, 0.0]  # silence after a gap
    bars = candle_bars(frame.drop(frame.index[11]))
    assert (bars.iloc[2:4][BARS] == 101.0).all(axis=None)
    assert bars["notional"].iloc[2:4].tolist() == [0.0, 0.0]
    assert bars.iloc[6:8][BARS].isna().all(axis=None)
    assert bars.loc[at("10:12"), BARS].isna().all()
    assert bars.attrs["bad"] == 0


def test_nothing_stands_in_a_row_before_it_was_known():
    frame = candles(6)
    frame["known"] = frame.index
    at_end = candle_bars(frame)
    pd.testing.assert_frame_equal(at_end, candle_bars(frame.drop(columns="known")))
    known = frame["known"].to_list()
    known[1] += pd.Timedelta("2s")  # the network
    known[2] += pd.Timedelta("1min")  # came with the next one: lost
    known[3] -= pd.Timedelta("9s")  # a clock that is behind: not before its end
    known[4] = pd.NaT
    bars = candle_bars(frame.assign(known=pd.DatetimeIndex(known)))
    assert bars.index.tolist() == [
        at("10:00"), at("10:01:02"), at("10:02"), at("10:03"), at("10:04"), at("10:05"),
    ]  # fmt: skip
    assert bars.iloc[2].isna().all()
    assert bars.attrs["late"] == 1
    rest = bars.drop(bars.index[2])
    assert rest["mid"].tolist() == [100.0, 101.0, 103.0, 104.0, 105.0]


def twice(frame):
    return pd.concat([frame.iloc[:3], frame.iloc[2:]])


def mixed(frame):
    return pd.concat([frame, candles(9).iloc[5:].shift(freq="30s")])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda frame: frame.iloc[::-1], "row 1: candles are not in order"),
        (twice, "row 3: a candle is there twice"),
        (mixed, "row 5: candles of more than one interval, was '90 s after the one before'"),
        (lambda frame: frame.iloc[[0, 1, 3]], "more than one interval, or with many missing"),
        (lambda frame: frame.iloc[:1], "a candle alone does not say how long it is"),
        (lambda frame: frame.rename_axis("date"), "do not say when they end"),
        (lambda frame: frame.drop(columns=["low", "volume"]), "candles without low, volume"),
        (lambda frame: frame.assign(close="abc"), "hold what is no number: .*abc"),
    ],
)
def test_one_clear_error(spoil, says):
    interval = MINUTE if spoil is mixed else None
    with pytest.raises(DataError, match=says):
        candle_bars(spoil(candles()), interval)


def test_milliseconds_are_not_taken_for_nanoseconds():
    start = 1_672_531_500_000 + 300_000 * np.arange(10)
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0), range(10))
    with pytest.raises(DataError, match=r"older than any that were traded.*1970.*nanoseconds"):
        candle_bars(frame.assign(start=start))


def test_a_given_interval_allows_for_many_gaps_one_row_and_none():
    frame = candles()
    assert candle_bars(frame.iloc[[0, 1, 3]], MINUTE).attrs["missing"] == 1
    assert len(candle_bars(frame.iloc[:1], MINUTE)) == 1
    assert len(candle_bars(frame.iloc[:0], MINUTE)) == 0


def test_the_frame_is_left_as_it_was():
    frame = candles()
    frame.iloc[1, 1] = 0.0
    before = frame.copy()
    candle_bars(frame)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "rows", "missing"),
    [
        ("BINANCE_BTC-USDT_5m", 254_288, 304),
        ("BINANCE_SOL-USDT_5m", 254_533, 59),
        ("BINANCE_FUTURES_BTC-USDT-PERP_5m", 210_240, 0),
    ],
)
def test_real_candles(shared_data, name, rows, missing):
    frame = pd.read_parquet(shared_data / "lake" / "ohlcv" / f"{name}.parquet")
    bars = candle_bars(frame)
    assert (len(bars), bars.attrs["missing"], bars.attrs["bad"]) == (rows, missing, 0)
    assert bars.index[0] == frame["start"].iloc[0] + pd.Timedelta("5min")
    assert bars["mid"].to_numpy().tolist() == frame["close"].tolist()
    assert (bars["notional"] <= bars["volume"] * bars["mid_high"] * (1 + 1e-12)).all()
    out = compute(bars.iloc[-5000:], ["zscore_60", "vwap_dev_bps_300", "spread_bps"])
    assert out["vwap_dev_bps_300"].iloc[300:].notna().all()
    assert list(out.attrs["reasons"]) == ["spread_bps"]

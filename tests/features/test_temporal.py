"""Features of the clock: by hand at the borders, and by pandas over years."""

import numpy as np
import pandas as pd
import pytest

from mrtrade.features import compute, select

from .twins import TWINS

NAMES = select(["temporal"])


def bars_at(times):
    index = pd.DatetimeIndex(times, name="time").as_unit("ns")
    due = np.random.default_rng(0).integers(0, 28800, len(index)).astype(float)
    return pd.DataFrame({"funding_due_s": due}, index=index)


def value(name, time, zone="UTC"):
    at = pd.Timestamp(time, tz=zone).tz_convert("UTC")
    return compute(bars_at([at]), [name])[name].iloc[0]


@pytest.mark.parametrize("name", NAMES)
def test_by_pandas_over_five_years(name):
    """Every DST change, leap day and month end of 2022-2026, at odd minutes and at full hours."""
    rng = np.random.default_rng(1)
    span = pd.date_range("2022-01-01", "2026-12-31", freq="30min", tz="UTC")
    odd = span + pd.to_timedelta(rng.integers(0, 1800, len(span)), unit="s")
    frame = bars_at(span.union(odd))
    got = compute(frame, [name])[name].to_numpy()
    expected = TWINS[name](frame, None).to_numpy()
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)
    assert np.ptp(got) > 0


@pytest.mark.parametrize(
    ("name", "zone", "day", "opens", "closes"),
    [
        # the Fridays before and the Mondays after each change of the clocks of 2024
        *[
            ("session_us", "America/New_York", day, "09:30", "16:00")
            for day in ("2024-03-08", "2024-03-11", "2024-11-01", "2024-11-04")
        ],
        *[
            ("session_eu", "Europe/London", day, "08:00", "16:30")
            for day in ("2024-03-29", "2024-04-01", "2024-10-25", "2024-10-28")
        ],
        ("session_asia", "Asia/Tokyo", "2024-02-29", "09:00", "15:30"),
    ],
)
def test_sessions_at_their_borders(name, zone, day, opens, closes):
    tick = pd.Timedelta("1ns")
    opening, close = (pd.Timestamp(f"{day} {hour}", tz=zone) for hour in (opens, closes))
    for time, is_open in ((opening - tick, 0), (opening, 1), (close - tick, 1), (close, 0)):
        assert value(name, time.tz_convert("UTC").tz_localize(None)) == is_open


def test_utc_hours_of_new_york_move_with_its_clocks():
    assert value("session_us", "2024-03-08 14:00") == 0  # 09:00 EST
    assert value("session_us", "2024-03-11 14:00") == 1  # 10:00 EDT
    # the two weeks in which only New York has summer time: 13:30-16:30 UTC, else 2 h
    day = bars_at(pd.date_range("2024-03-13", periods=1440, freq="1min", tz="UTC"))
    assert compute(day, ["session_overlap"])["session_overlap"].sum() == 180
    day = bars_at(pd.date_range("2024-06-13", periods=1440, freq="1min", tz="UTC"))
    assert compute(day, ["session_overlap"])["session_overlap"].sum() == 120


@pytest.mark.parametrize(
    ("time", "minutes"),
    [
        ("2024-06-12 15:59", 1),  # a Wednesday
        ("2024-06-12 16:00", 1440),
        ("2024-06-14 15:00", 60),
        ("2024-06-14 16:00", 3 * 1440),  # Friday evening: Monday's
        ("2024-06-16 16:00", 1440),
        ("2024-06-17 00:00", 960),
    ],
)
def test_minutes_to_close(time, minutes):
    assert value("minutes_to_close_us", time, "America/New_York") == minutes


@pytest.mark.parametrize(
    ("name", "time", "expected"),
    [
        ("month_end", "2024-02-28 12:00", 0),
        ("month_end", "2024-02-29 00:00", 1),
        ("month_end", "2023-02-28 23:59", 1),
        ("month_end", "2024-12-31 12:00", 1),
        ("month_end", "2025-01-01 00:00", 0),
        ("weekend", "2024-06-14 23:59", 0),
        ("weekend", "2024-06-15 00:00", 1),
        ("weekend", "2024-06-17 00:00", 0),
        ("candle_turn", "2024-06-15 10:15", 1),
        ("candle_turn", "2024-06-15 10:16", 0),
        ("candle_turn", "2024-06-15 09:59:59", 0),
        ("funding_clock", "2024-06-15 16:00", 0.0),
        ("funding_clock", "2024-06-15 22:00", 0.75),
        ("weekday_sin", "2024-06-17 00:00", 0.0),  # a Monday
        ("weekday_cos", "2024-06-20 12:00", -1.0),
        ("weekday_sin", "1969-12-29 00:00", 0.0),  # before 1970
    ],
)
def test_by_hand(name, time, expected):
    assert value(name, time) == pytest.approx(expected, abs=1e-15)


def test_before_funding():
    frame = bars_at(pd.date_range("2024-01-01", periods=5, freq="1s", tz="UTC"))
    frame["funding_due_s"] = [1800.5, 1800.0, 0.0, -1.0, np.nan]
    out = compute(frame, ["pre_funding"])["pre_funding"]
    np.testing.assert_array_equal(out, [0, 1, 1, 0, np.nan])
    out = compute(frame[[]], ["pre_funding"])
    assert "funding_due_s" in out.attrs["reasons"]["pre_funding"]

"""By pandas: its calendar, and its tables of time zones."""

import numpy as np
import pandas as pd

from . import twin


def clock(bars, zone="UTC"):
    return bars.index.to_series().dt.tz_convert(zone)


def midnight_s(at):
    """Seconds since midnight, by the clock on the wall."""
    wall = at.dt.tz_localize(None)
    return (wall - wall.dt.floor("D")).dt.total_seconds()


def is_open(bars, region):
    zone, opens, closes = {
        "us": ("America/New_York", "09:30", "16:00"),
        "eu": ("Europe/London", "08:00", "16:30"),
        "asia": ("Asia/Tokyo", "09:00", "15:30"),
    }[region]
    at = clock(bars, zone)
    text = at.dt.strftime("%H:%M")
    return (at.dt.day_of_week < 5) & (text >= opens) & (text < closes)


@twin("hour_sin", "hour_cos")
def hour(bars, _, stem):
    day = midnight_s(clock(bars)) / 86400
    return (np.sin if stem == "hour_sin" else np.cos)(2 * np.pi * day)


@twin("weekday_sin", "weekday_cos")
def weekday(bars, _, stem):
    at = clock(bars)
    hours = 24 * at.dt.day_of_week + midnight_s(at) / 3600
    return (np.sin if stem == "weekday_sin" else np.cos)(2 * np.pi * hours / 168)


@twin("session_us", "session_eu", "session_asia")
def session(bars, _, stem):
    return is_open(bars, stem.removeprefix("session_")).astype(float)


@twin("session_overlap")
def session_overlap(bars, _):
    return (is_open(bars, "us") & is_open(bars, "eu")).astype(float)


@twin("minutes_to_close_us")
def minutes_to_close_us(bars, _):
    wall = clock(bars, "America/New_York").dt.tz_localize(None)
    first, last = wall.min().floor("D"), wall.max() + pd.Timedelta("7D")
    closes = (pd.bdate_range(first, last) + pd.Timedelta("16h")).as_unit("ns")
    coming = closes[closes.searchsorted(wall.to_numpy(), side="right")]
    return pd.Series((coming - wall).dt.total_seconds().to_numpy() / 60, bars.index)


@twin("weekend")
def weekend(bars, _):
    return (clock(bars).dt.day_of_week >= 5).astype(float)


@twin("month_end")
def month_end(bars, _):
    return clock(bars).dt.is_month_end.astype(float)


@twin("pre_funding")
def pre_funding(bars, _):
    return bars["funding_due_s"].between(0, 1800).astype(float).where(bars.funding_due_s.notna())


@twin("funding_clock")
def funding_clock(bars, _):
    at = clock(bars)
    return (at - at.dt.floor("8h")).dt.total_seconds() / 28800


@twin("candle_turn")
def candle_turn(bars, _):
    return clock(bars).dt.minute.isin([0, 15, 30, 45]).astype(float)

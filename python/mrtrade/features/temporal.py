"""Features of the clock: of the end of a bar, which is the time at which one decides.

Hours, weekdays and months are UTC. Sessions are those of stock exchanges by the clock on their
wall, summer time included; their holidays, half days and lunch breaks are not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND
from mrtrade.features.registry import derived, feature
from mrtrade.features.rolling import Array, Bars, Rolling

FAMILY = "temporal"
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
WEEK_S = 7 * DAY_S
FRIDAY = 4

#: 1970 began on a Thursday; a week here begins on a Monday.
MONDAY_NS = 4 * NS_PER_DAY
WEEK_NS = 7 * NS_PER_DAY

#: Zone, opening and closing time (s of the day) of what stands for a region.
SESSIONS = {
    "us": ("America/New_York", 9.5 * HOUR_S, 16 * HOUR_S),
    "eu": ("Europe/London", 8 * HOUR_S, 16.5 * HOUR_S),
    "asia": ("Asia/Tokyo", 9 * HOUR_S, 15.5 * HOUR_S),
}
HOURS = {
    "us": "09:30-16:00 New York (NYSE)",
    "eu": "08:00-16:30 London (LSE)",
    "asia": "09:00-15:30 Tokyo (TSE, whose close was 15:00 until November 2024)",
}

#: Times between which the clocks of a zone are looked up: outside, they stay as at the border.
FIRST_YEAR, LAST_YEAR = 2000, 2100

PRE_FUNDING_S = 1800.0
FUNDING_GRID_NS = 8 * 3600 * NS_PER_SECOND


@lru_cache
def _offsets(zone: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the times from which a zone is so far ahead of UTC, and how far; ns.

    Asked row by row, zoneinfo would take a second for a year of bars.
    """
    place = ZoneInfo(zone)

    def offset(time: datetime) -> timedelta:
        return time.astimezone(place).utcoffset() or timedelta()

    def ns(length: timedelta) -> int:
        return length // timedelta(microseconds=1) * 1000

    week, second = timedelta(days=7), timedelta(seconds=1)
    low, end = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC), datetime(LAST_YEAR, 1, 1, tzinfo=UTC)
    starts, ahead = [np.iinfo(np.int64).min], [ns(offset(low))]
    while low < end:
        high = low + week
        if offset(high) != offset(low):
            before, after = low, high
            while after - before > second:
                middle = before + (after - before) // second // 2 * second
                if offset(middle) == offset(low):
                    before = middle
                else:
                    after = middle
            starts.append(ns(after - datetime(1970, 1, 1, tzinfo=UTC)))
            ahead.append(ns(offset(high)))
        low = high
    return np.array(starts), np.array(ahead)


def _past(time: Any, period: int) -> Any:
    """Return the time since the last multiple of a period; numpy's % takes five times as long."""
    return time - time // period * period


def week_s(bars: Bars, roll: Rolling, *, zone: str | None = None) -> Array:
    """Seconds since Monday 00:00, by the clock on the wall of a zone."""
    time: Any = bars["time"]
    if zone is not None:
        starts, ahead = _offsets(zone)
        time = time + ahead[np.searchsorted(starts, time, side="right") - 1]
    since: Array = _past(time - MONDAY_NS, WEEK_NS) / NS_PER_SECOND
    return since


derived("week_s", unit="s", inputs=("time",))(week_s)
for _region, (_zone, _, _) in SESSIONS.items():
    derived(f"week_s_{_region}", unit="s", inputs=("time",), params={"zone": _zone})(week_s)


def hour(bars: Bars, roll: Rolling, *, wave: Callable[[Array], Array]) -> Array:
    """Time of day on a circle, so that 23:59 lies beside 00:00."""
    return wave(2.0 * np.pi * _past(bars["time"], NS_PER_DAY) / NS_PER_DAY)


def weekday(bars: Bars, roll: Rolling, *, wave: Callable[[Array], Array]) -> Array:
    """Time of the week on a circle, so that Sunday night lies beside Monday morning."""
    return wave(2.0 * np.pi * bars["week_s"] / WEEK_S)


for _name, _wave in (("sin", np.sin), ("cos", np.cos)):
    feature(
        f"hour_{_name}",
        family=FAMILY,
        unit="-1..1",
        inputs=("time",),
        formula=f"{_name}(2 pi time of day / 24 h), UTC",
        edge="always there",
        source="definition",
        params={"wave": _wave},
    )(hour)
    feature(
        f"weekday_{_name}",
        family=FAMILY,
        unit="-1..1",
        inputs=("week_s",),
        formula=f"{_name}(2 pi time since Monday 00:00 / 168 h), UTC",
        edge="always there",
        source="definition",
        params={"wave": _wave},
    )(weekday)


def _open(bars: Bars, region: str) -> Array:
    """Return 1 where the exchange of a region is open, else 0."""
    week = bars[f"week_s_{region}"]
    _, opens, closes = SESSIONS[region]
    day = week - DAY_S * np.floor(week / DAY_S)
    return ((day >= opens) & (day < closes) & (week < 5 * DAY_S)).astype(np.float64)


def session(bars: Bars, roll: Rolling, *, region: str) -> Array:
    """Whether the stock exchange of a region is open."""
    return _open(bars, region)


for _region, _hours in HOURS.items():
    feature(
        f"session_{_region}",
        family=FAMILY,
        unit="0/1",
        inputs=(f"week_s_{_region}",),
        formula=f"1 from Monday to Friday, {_hours}, local time",
        edge="1 at the opening, 0 at the close; holidays count as open",
        source="hours as published by the exchange; time zones by IANA",
        params={"region": _region},
    )(session)


@feature(
    "session_overlap",
    family=FAMILY,
    unit="0/1",
    inputs=("week_s_us", "week_s_eu"),
    formula="session_us session_eu",
    edge="2 h a day, 3 h while only New York has summer time",
    source="definition",
)
def session_overlap(bars: Bars, roll: Rolling) -> Array:
    """Whether New York and London are both open: the busiest hours."""
    return _open(bars, "us") * _open(bars, "eu")


@feature(
    "minutes_to_close_us",
    family=FAMILY,
    unit="min",
    inputs=("week_s_us",),
    formula="time to the coming 16:00 of a weekday in New York",
    edge="by the clock on the wall: an hour out on a weekend on which it is put on or back",
    source="definition",
)
def minutes_to_close_us(bars: Bars, roll: Rolling) -> Array:
    """Time to the next close of New York, over nights and weekends too."""
    week = bars["week_s_us"]
    close = SESSIONS["us"][2]
    day = np.floor((week - close) / DAY_S) + 1.0  # of the coming 16:00; at 16:00, of the next
    day = np.where(day > FRIDAY, 7.0, day)
    return (day * DAY_S + close - week) / 60.0


@feature(
    "weekend",
    family=FAMILY,
    unit="0/1",
    inputs=("week_s",),
    formula="1 on Saturday and Sunday, UTC",
    edge="always there",
    source="definition",
)
def weekend(bars: Bars, roll: Rolling) -> Array:
    """Whether banks and most desks rest."""
    return (bars["week_s"] >= 5 * DAY_S).astype(np.float64)


@feature(
    "month_end",
    family=FAMILY,
    unit="0/1",
    inputs=("time",),
    formula="1 on the last day of a month, UTC",
    edge="always there",
    source="definition",
)
def month_end(bars: Bars, roll: Rolling) -> Array:
    """Whether portfolios are balanced anew and monthly contracts lie before their end."""
    days = bars["time"] // NS_PER_DAY
    month, next_month = (day.view("M8[D]").astype("M8[M]") for day in (days, days + 1))
    last: Array = (next_month != month).astype(np.float64)
    return last


@feature(
    "pre_funding",
    family=FAMILY,
    unit="0/1",
    inputs=("funding_due_s",),
    formula="1 within 30 min before a settlement of funding",
    edge="NaN: the time of the settlement is not known",
    source="definition",
)
def pre_funding(bars: Bars, roll: Rolling) -> Array:
    """Whether those who would not pay are leaving just now."""
    due = bars["funding_due_s"]
    return np.where(np.isnan(due), np.nan, ((due >= 0.0) & (due <= PRE_FUNDING_S)) * 1.0)


@feature(
    "funding_clock",
    family=FAMILY,
    unit="0..1",
    inputs=("time",),
    formula="time since 00:00, 08:00 or 16:00 UTC / 8 h",
    edge="0 at the hour itself; for a contract that settles otherwise see pre_funding",
    source="the grid on which most perpetuals settle",
)
def funding_clock(bars: Bars, roll: Rolling) -> Array:
    """Place between two settlements of the common grid, of a spot market too."""
    place: Array = _past(bars["time"], FUNDING_GRID_NS) / FUNDING_GRID_NS
    return place


@feature(
    "candle_turn",
    family=FAMILY,
    unit="0/1",
    inputs=("time",),
    formula="1 in the minutes 0, 15, 30 and 45 of an hour",
    edge="of the minute that begins as the bar ends, where bars are minutes or longer",
    source="'turn of the candle', Heliyon 9 (2023) e14236",
)
def candle_turn(bars: Bars, roll: Rolling) -> Array:
    """Whether it is the minute in which rules that read candles act."""
    quarter = 15 * 60 * NS_PER_SECOND
    turn: Array = (_past(bars["time"], quarter) < 60 * NS_PER_SECOND).astype(np.float64)
    return turn

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtrade.clock import duration_ns, from_ns, to_ns, utc_day
from mrtrade.errors import ConfigError, DataError

T = 1_723_161_253_123_456_789  # 2024-08-08T23:54:13.123456789Z


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("2024-08-08T23:54:13.123456789Z", T),
        ("2024-08-08 23:54:13.123456789", T),
        ("2024-08-09T01:54:13.123456789+02:00", T),
        (pd.Timestamp(T, tz="UTC"), T),
        (pd.Timestamp(T, tz="UTC").tz_convert("Asia/Tokyo"), T),
        (np.datetime64(T, "ns"), T),
        (np.datetime64("2024-08-08", "D"), 1_723_075_200 * 10**9),
        (date(2024, 8, 8), 1_723_075_200 * 10**9),
        (datetime(2024, 8, 8), 1_723_075_200 * 10**9),
        (datetime(2024, 8, 8, 2, tzinfo=timezone(timedelta(hours=2))), 1_723_075_200 * 10**9),
        (T, T),
        (np.int64(T), T),
    ],
)
def test_every_spelling_of_a_time_gives_the_same_nanoseconds(spelling, expected):
    ns = to_ns(spelling)
    assert ns == expected
    assert type(ns) is int


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_arrays_of_any_unit_and_zone(unit, zone):
    step = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[unit]
    expected = np.array([T - T % step, 0, -T - -T % step])
    index = pd.DatetimeIndex(expected.view("datetime64[ns]").astype(f"datetime64[{unit}]"))
    if zone:
        index = index.tz_localize("UTC").tz_convert(zone)
    for container in (index, pd.Series(index), index.to_numpy()):
        ns = to_ns(container)
        assert ns.dtype == np.int64
        np.testing.assert_array_equal(ns, expected)


def test_lists_and_read_only_arrays():
    values = np.array([T, T + 1])
    values.flags.writeable = False
    np.testing.assert_array_equal(to_ns(values), values)
    np.testing.assert_array_equal(to_ns([T, T + 1]), values)
    np.testing.assert_array_equal(to_ns([from_ns(T), "1970-01-01"]), [T, 0])
    assert to_ns([]).shape == (0,)


@pytest.mark.parametrize(
    "bad",
    [
        1_723_161_253.5,
        True,
        None,
        "yesterday's close",
        pd.NaT,
        np.datetime64("NaT"),
        "3000-01-01",
        np.array([1.5]),
        np.array(["3000-01-01"], dtype="datetime64[s]"),  # astype would wrap around silently
        np.array(["2024-01-01", "NaT"], dtype="datetime64[s]"),
        pd.Series(pd.to_datetime(["2024-01-01", None], utc=True)),
    ],
)
def test_what_is_no_time_is_refused(bad):
    with pytest.raises(DataError):
        to_ns(bad)


@given(st.integers(min_value=-(2**63) + 1, max_value=2**63 - 1))
def test_round_trip(ns):
    assert to_ns(from_ns(ns)) == ns
    np.testing.assert_array_equal(to_ns(from_ns(np.array([ns]))), [ns])
    assert from_ns(ns).tzinfo is not None


@given(st.integers(min_value=0, max_value=2**62))
def test_utc_day_agrees_with_pandas(ns):
    assert utc_day(ns) == from_ns(ns).strftime("%Y-%m-%d")


def test_from_ns_is_utc():
    stamp = from_ns(T)
    assert stamp.floor("us") == datetime(2024, 8, 8, 23, 54, 13, 123456, tzinfo=UTC)
    assert stamp.nanosecond == 789


@pytest.mark.parametrize(
    ("text", "ns"),
    [("1s", 10**9), ("500ms", 5 * 10**8), (" 5 min ", 300 * 10**9), ("1h", 3600 * 10**9), (7, 7)],
)
def test_durations(text, ns):
    assert duration_ns(text) == ns


@pytest.mark.parametrize("text", ["", "s", "0s", "-1s", "1.5s", "1 fortnight", 0, True])
def test_no_duration(text):
    with pytest.raises(ConfigError, match="not a length of time"):
        duration_ns(text)

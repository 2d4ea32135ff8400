"""Time at the border of the package: everything inside is int64 nanoseconds since 1970, UTC.

pandas 3 makes microseconds its default, so ``astype("int64")`` is not nanoseconds; the conversion
happens here and nowhere else.
"""

import re
from datetime import date, datetime
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.errors import ConfigError, DataError

NS_PER_MS = 1_000_000
NS_PER_SECOND = 1_000_000_000
NS_PER_DAY = 86_400 * NS_PER_SECOND

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "ms": NS_PER_MS,
    "s": NS_PER_SECOND,
    "m": 60 * NS_PER_SECOND,
    "min": 60 * NS_PER_SECOND,
    "h": 3_600 * NS_PER_SECOND,
    "d": NS_PER_DAY,
}
_DURATION = re.compile(r"\s*(\d+)\s*([a-z]+)\s*", re.IGNORECASE)

Scalar = str | date | datetime | np.datetime64 | int | np.integer[Any]


@overload
def to_ns(x: Scalar) -> int: ...
@overload
def to_ns(
    x: "npt.NDArray[Any] | pd.Series[Any] | pd.Index[Any] | list[Any] | tuple[Any, ...]",
) -> npt.NDArray[np.int64]: ...
def to_ns(x: Any) -> int | npt.NDArray[np.int64]:
    """Turn any spelling of time into int64 nanoseconds since 1970, UTC.

    Parameters
    ----------
    x : str, date, datetime, Timestamp, datetime64, int, or an array, Series, Index or list of them
        Integers are nanoseconds already. A time without a zone is UTC. datetime64 may have any
        unit.

    Returns
    -------
    int or numpy.ndarray of int64
        An int for a scalar, else an array of the same length.

    Raises
    ------
    DataError
        For a missing time, a time outside 1677-2262, a float (float64 holds recent times to 256 ns
        only) or text that is no time.
    """
    if isinstance(x, (bool, np.bool_, float, np.floating)):
        raise _not_a_time(x)
    if isinstance(x, (int, np.integer)):
        return int(x)
    if isinstance(x, (str, date, np.datetime64)):  # datetime and Timestamp are dates
        try:
            stamp = pd.Timestamp(x)
            if pd.isna(stamp):
                raise _not_a_time(x)
            if stamp.tzinfo is None:
                stamp = stamp.tz_localize("UTC")
            return int(stamp.as_unit("ns").value)
        except (ValueError, TypeError) as error:
            raise _not_a_time(x) from error
    return _array_to_ns(x)


def _array_to_ns(x: Any) -> npt.NDArray[np.int64]:
    dtype = getattr(x, "dtype", None)
    if not isinstance(dtype, pd.DatetimeTZDtype):
        values = np.asarray(x)
        if values.ndim == 0:
            raise _not_a_time(x)
        if values.dtype.kind in "iu" or values.size == 0:
            return values.astype(np.int64)
        if values.dtype.kind not in "MOU":
            raise _not_a_time(values.flat[0])
        if values.dtype.kind != "M":
            return np.array([to_ns(one) for one in values.ravel()], dtype=np.int64)
        x = values
    try:
        index = pd.DatetimeIndex(x).as_unit("ns")  # raises where astype would wrap around
    except ValueError as error:
        raise _not_a_time(x) from error
    if index.hasnans:
        row = int(np.flatnonzero(index.isna())[0])
        raise DataError("missing time", row=row, expected="a time in every row")
    return np.asarray(index.asi8, dtype=np.int64)


def _not_a_time(x: object) -> DataError:
    return DataError(
        "not a time",
        value=x,
        expected="ISO 8601 text, a datetime, datetime64, or integer nanoseconds, in 1677-2262",
        remedy="write it as 2024-08-08T23:54:13Z (UTC where no zone is given)",
    )


@overload
def from_ns(ns: int | np.integer[Any]) -> pd.Timestamp: ...
@overload
def from_ns(ns: npt.NDArray[np.int64]) -> pd.DatetimeIndex: ...
def from_ns(ns: Any) -> pd.Timestamp | pd.DatetimeIndex:
    """Turn nanoseconds since 1970 into a UTC Timestamp, or an array of them into a UTC index."""
    if np.ndim(ns) == 0:
        return pd.Timestamp(int(ns), unit="ns", tz="UTC")
    return pd.DatetimeIndex(np.asarray(ns, dtype="datetime64[ns]")).tz_localize("UTC")


def utc_day(ns: int) -> str:
    """Return the UTC day ``YYYY-MM-DD`` that a time in nanoseconds lies in."""
    return str(np.datetime64(ns // NS_PER_DAY, "D"))


def duration_ns(text: str | int, *, zero: bool = False) -> int:
    """Turn a length of time such as ``"500ms"``, ``"1s"``, ``"5min"`` or ``"1h"`` into nanoseconds.

    Parameters
    ----------
    text : str or int
        A whole number and a unit (ns, us, ms, s, m or min, h, d); an int is nanoseconds already.
    zero : bool
        Whether no time at all is a length too.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        length = text
    else:
        match = _DURATION.fullmatch(str(text))
        unit = _UNITS_NS.get(match[2].lower(), 0) if match else 0
        length = int(match[1]) * unit if match and unit else -1
    if length < 0 or (length == 0 and not zero):
        raise ConfigError(
            "not a length of time",
            value=text,
            expected=f"a {'' if zero else 'positive '}whole number and one of "
            f"{', '.join(_UNITS_NS)}",
            remedy="write it as 1s, 500ms or 5min",
        )
    return length

"""Series of returns at the door of the statistics: finite, long enough, of whole days."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.clock import NS_PER_DAY, from_ns, to_ns
from mrtrade.errors import DataError

Floats = npt.NDArray[np.float64]


def finite(values: Any, what: str = "returns", ndim: int = 1) -> Floats:
    """Return an array of finite numbers.

    Parameters
    ----------
    values : array_like
    what : str
        Its name in the message.
    ndim : int
        Axes that it must have.

    Raises
    ------
    DataError
        If it has other axes, or a value that is missing or infinite; names the first such row.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim:
        raise DataError(f"{what} of the wrong shape", value=array.shape, expected=f"{ndim} axes")
    bad = ~np.isfinite(array)
    if bad.any():
        place = tuple(int(axis[0]) for axis in np.nonzero(bad))
        raise DataError(
            f"{what} that are no numbers",
            row=place[0],
            value=float(array[place]),
            expected="finite numbers",
            remedy="leave out what has no value, or say that nothing was earned: 0",
        )
    return array


def daily_sums(parts: pd.DataFrame) -> pd.DataFrame:
    """Sum the columns of a frame over UTC days.

    Parameters
    ----------
    parts : DataFrame
        Rows in order of time, with a DatetimeIndex: the moment at which a bar ended, so that one
        that ended at midnight is of the day before.

    Returns
    -------
    DataFrame
        A row for each day from the first to the last; a day without rows is 0: nothing was held
        and nothing was earned.

    Raises
    ------
    DataError
        If times fall, or a value is missing.
    """
    finite(parts.to_numpy(np.float64), "parts of a result", ndim=2)
    time = to_ns(parts.index)
    if len(time) == 0:
        return parts
    back = np.flatnonzero(np.diff(time) < 0)
    if len(back):
        raise DataError("times fall", row=int(back[0]) + 1, remedy="sort the rows by time")
    day = (time - 1) // NS_PER_DAY
    first, count = int(day[0]), int(day[-1] - day[0]) + 1
    sums = {
        name: np.bincount(day - first, weights=parts[name].to_numpy(np.float64), minlength=count)
        for name in parts
    }
    index = from_ns((first + np.arange(count, dtype=np.int64)) * NS_PER_DAY)
    return pd.DataFrame(sums, index=index.rename("day"))


def returns_digest(values: Floats) -> str:
    """Return a sha256 of a series of returns: tells whether it is the same to the last bit."""
    return hashlib.sha256(np.ascontiguousarray(values, dtype=np.float64).tobytes()).hexdigest()

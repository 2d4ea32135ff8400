"""Prices of bars, of one leg or two, checked; and when they stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.clock import to_ns
from mrtrade.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Prices:
    """Prices of the bars of one leg or two, and when they stand.

    Attributes
    ----------
    end, start : ndarray of int64
        Of each bar, ns; the open stands at its start, the mid at its end.
    opens, mids : tuple of ndarray
        Of each leg; NaN where there is none, in any leg.
    low, high : ndarray
        Extremes of the first leg, those of them that are known; for two legs NaN, as the extremes
        of two prices do not happen at one time.
    """

    end: Ints
    start: Ints
    opens: tuple[Floats, ...]
    mids: tuple[Floats, ...]
    low: Floats
    high: Floats

    @property
    def marks(self) -> tuple[Floats, ...]:
        """Last price known at the end of each bar, of each leg; NaN before there is any."""
        return tuple(
            carried(np.where(np.isnan(mid), first, mid))
            for mid, first in zip(self.mids, self.opens, strict=True)
        )


def prices_of(bars: pd.DataFrame, second: pd.DataFrame | None, interval_ns: int | None) -> Prices:
    """Take the prices out of bars.

    Parameters
    ----------
    bars, second
        ``mid``; ``mid_open``, ``mid_high``, ``mid_low`` where there are. On the same index.
    interval_ns
        Length of a bar: after a gap its open stands this long before its end. None: what
        ``bars.attrs`` says, else every bar begins where the one before ended.

    Raises
    ------
    DataError
        If there is no ``mid``, a price is not positive, times do not rise, or the two differ.
    """
    end = to_ns(bars.index)
    if len(wrong := np.flatnonzero(np.diff(end) <= 0)):
        raise DataError("bars are not in order of time", row=int(wrong[0]) + 1, remedy="sort them")
    step = interval_ns or bars.attrs.get("interval_ns")
    start = np.concatenate((end[:1], end[:-1]))
    if step:
        start = np.maximum(start, end - int(step))
    legs = [bars] if second is None else [bars, second]
    if second is not None:
        _same_times(end, to_ns(second.index))
    mids = [_column(leg, "mid") for leg in legs]
    opens = [_column(leg, "mid_open") for leg in legs]
    if second is None:
        extremes = [_column(bars, name) for name in ("mid_low", "mid_high")]
        low = np.fmin(np.fmin(extremes[0], mids[0]), opens[0])
        high = np.fmax(np.fmax(extremes[1], mids[0]), opens[0])
    else:
        low = high = np.full(len(end), np.nan)
        for pair in (mids, opens):  # both legs are traded, or none
            missing = np.isnan(pair[0]) | np.isnan(pair[1])
            pair[:] = [np.where(missing, np.nan, one) for one in pair]
    return Prices(end, start, tuple(opens), tuple(mids), low, high)


def _same_times(end: Ints, other: Ints) -> None:
    if len(end) == len(other) and np.array_equal(end, other):
        return
    both = min(len(end), len(other))
    differ = np.flatnonzero(end[:both] != other[:both])
    raise DataError(
        "the bars of the two legs do not stand at the same times",
        row=int(differ[0]) if len(differ) else both,
        expected="one index for both",
        remedy="reindex the second leg to the first; rows without prices are not traded",
    )


def _column(bars: pd.DataFrame, name: str) -> Floats:
    if name not in bars:
        if name == "mid":
            raise DataError("bars without 'mid'", expected="a price at the end of each bar")
        return np.full(len(bars), np.nan)
    price = bars[name].to_numpy(np.float64)
    if len(price) and 0.0 < np.fmin.reduce(price) <= np.fmax.reduce(price) < np.inf:
        return price
    if len(wrong := np.flatnonzero((price <= 0.0) | np.isinf(price))):
        raise DataError(
            "not a price",
            key=name,
            row=int(wrong[0]),
            value=float(price[wrong[0]]),
            expected="a positive number, or NaN where there is none",
        )
    return price


def carried(values: Floats) -> Floats:
    """Last value that was known, at each row."""
    missing = np.isnan(values)
    if not missing.any():
        return values
    return values[np.maximum.accumulate(np.where(missing, 0, np.arange(len(values))))]

"""Prices as whole ticks, sizes as whole lots: the border between floats and the exact core."""
from libc.stdint cimport INT32_MAX, int32_t, int64_t

from mrcore.grid cimport on_grid

import numpy as np


class GridError(ValueError):
    """A price or size that is not a finite, non-negative multiple of its step.

    Attributes
    ----------
    index : int
        Row of the first bad value.
    value : float
        That value.
    step : float
        The tick or lot size it was held against.
    """

    def __init__(self, what, index, value, step):
        super().__init__(
            f"{what} {value!r} at row {index} is not a finite, non-negative multiple of {step!r}"
        )
        self.index = index
        self.value = value
        self.step = step


cdef double positive(str name, double value) except -1.0:
    if not 0.0 < value < 1e300:
        raise ValueError(f"{name} must be > 0 and finite, was {value}")
    return value


def to_ticks(const double[::1] price not None, double tick_size):
    """Prices as int32 ticks.

    Parameters
    ----------
    price : ndarray of float64, shape (n,)
        Quote units.
    tick_size : float
        Quote units a tick, > 0.

    Returns
    -------
    ndarray of int32, shape (n,)

    Raises
    ------
    GridError
        At the first price that is NaN, infinite, negative or no multiple of the tick.
    """
    cdef Py_ssize_t i, n = price.shape[0], bad = -1
    cdef double per_tick = 1.0 / positive("tick_size", tick_size)
    cdef int64_t steps = 0
    out = np.empty(n, np.int32)
    cdef int32_t[::1] tick = out
    with nogil:
        for i in range(n):
            if not on_grid(price[i], per_tick, &steps) or steps > INT32_MAX:
                bad = i
                break
            tick[i] = <int32_t>steps
    if bad >= 0:
        raise GridError("price", bad, price[bad], tick_size)
    return out


def to_lots(const double[::1] size not None, double lot_size):
    """Sizes as int64 lots; see `to_ticks`."""
    cdef Py_ssize_t i, n = size.shape[0], bad = -1
    cdef double per_lot = 1.0 / positive("lot_size", lot_size)
    cdef int64_t steps = 0
    out = np.empty(n, np.int64)
    cdef int64_t[::1] lots = out
    with nogil:
        for i in range(n):
            if not on_grid(size[i], per_lot, &steps):
                bad = i
                break
            lots[i] = steps
    if bad >= 0:
        raise GridError("size", bad, size[bad], lot_size)
    return out

"""Wilder's RSI and ADX, and an exponentially weighted mean that begins with a simple one.

Each forgets its beginning slowly: after some 10 windows it no longer shows. Objects save and
split as those of mrcore.rolling_column. A gap, a value that is not finite, is no step: RSI and
ADX have no value (NaN) there and at the value after it, and go on from what they were.
"""
cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.math cimport NAN, isfinite
from libc.string cimport memcpy

from mrcore.owned cimport owned_list_t
from mrcore.rolling cimport (
    check_window, ewma_step, moments_init, moments_mean, moments_push, moments_t,
)
from mrcore.rolling_column cimport Column, moments_own
from mrcore.rolling_wilder cimport (
    adx_init, adx_step, adx_t, direction_t, rsi_init, rsi_step, rsi_t,
)

import numpy as np


ctypedef struct seeded_t:
    moments_t seed
    double mean


@cython.final
cdef class SeededEMA(Column):
    """Exponentially weighted mean, ``y = y' + alpha * (x - y')``, begun with a simple mean.

    The first result is the mean of the first `window` finite values in a row. From then on
    values that are not finite leave it as it is.

    Parameters
    ----------
    window : int
        Values, >= 1.
    alpha : float
        Weight of the newest value, in (0, 1]: ``2 / (window + 1)`` as TA-Lib's EMA,
        ``1 / window`` as Wilder.
    """
    cdef seeded_t c
    cdef readonly double alpha

    def __cinit__(self, Py_ssize_t window, double alpha):
        check_window("window", window, 1)
        if not 0.0 < alpha <= 1.0:
            raise ValueError(f"alpha must be in (0, 1], was {alpha}")
        self.begin((window, alpha), window, 1, &self.c, sizeof(self.c))
        self.alpha = alpha
        self.c.mean = NAN
        if moments_init(&self.c.seed, window) < 0:
            raise MemoryError

    cdef void own(self, owned_list_t* owned) noexcept nogil:
        moments_own(&self.c.seed, owned)

    cdef void push(self, double x, double* out) noexcept nogil:
        if isfinite(self.c.mean):
            self.c.mean = ewma_step(self.c.mean, x, self.alpha)
        else:
            moments_push(&self.c.seed, x)
            self.c.mean = moments_mean(&self.c.seed)
        out[0] = self.c.mean


@cython.final
cdef class WilderRSI(Column):
    """Relative strength index, ``100 * G / (G + L)`` of Wilder's averages of gains and losses.

    The averages begin with the means of the first `window` steps. As ``talib.RSI``, but NaN
    while G and L are both 0, where that gives 0.

    Parameters
    ----------
    window : int
        Steps, >= 2.
    """
    cdef rsi_t c

    def __cinit__(self, Py_ssize_t window):
        check_window("window", window, 2)
        self.begin((window,), window, 1, &self.c, sizeof(self.c))
        rsi_init(&self.c, window)

    cdef void push(self, double x, double* out) noexcept nogil:
        out[0] = rsi_step(&self.c, x)


@cython.final
cdef class WilderADX:
    """Directional movement of bars: +DI, -DI and their average index ADX, all in [0, 100].

    As ``talib.PLUS_DI``, ``MINUS_DI`` and ``ADX``: +DI and -DI from bar `window` (counted from
    0), ADX from bar ``2 * window - 1``. NaN for +DI and -DI while there has been no range at
    all; ADX waits while there has been no direction.

    Parameters
    ----------
    window : int
        Steps, >= 2.
    """
    cdef adx_t c
    cdef direction_t last

    def __cinit__(self, Py_ssize_t window):
        check_window("window", window, 2)
        adx_init(&self.c, window)
        self.last.plus = self.last.minus = self.last.adx = NAN

    @property
    def window(self):
        """Steps."""
        return self.c.window

    @property
    def value(self):
        """+DI, -DI and ADX."""
        return self.last.plus, self.last.minus, self.last.adx

    def update(self, double high, double low, double close):
        """+DI, -DI and ADX after one more bar."""
        self.last = adx_step(&self.c, high, low, close)
        return self.value

    def batch(self, const double[::1] high not None, const double[::1] low not None,
              const double[::1] close not None):
        """+DI, -DI and ADX, one in each row, as `update` one by one."""
        cdef Py_ssize_t i, n = high.shape[0]
        cdef Py_buffer buffer
        cdef double* y
        if low.shape[0] != n or close.shape[0] != n:
            raise ValueError("high, low and close differ in length: "
                             f"{n}, {low.shape[0]} and {close.shape[0]}")
        out = np.empty((3, n))
        PyObject_GetBuffer(out, &buffer, PyBUF_WRITABLE)    # as in mrcore.rolling_column
        y = <double*>buffer.buf
        with nogil:
            for i in range(n):
                self.last = adx_step(&self.c, high[i], low[i], close[i])
                y[i] = self.last.plus
                y[n + i] = self.last.minus
                y[2 * n + i] = self.last.adx
        PyBuffer_Release(&buffer)
        return out

    def __reduce__(self):
        return WilderADX, (self.c.window,), (
            (<const char*>&self.c)[:sizeof(adx_t)], self.value,
        )

    def __setstate__(self, tuple state not None):
        cdef bytes image
        cdef adx_t c
        image, (self.last.plus, self.last.minus, self.last.adx) = state
        if len(image) != sizeof(adx_t):
            raise ValueError("this state is of another window")
        memcpy(&c, <const char*>image, sizeof(adx_t))
        if c.window != self.c.window:
            raise ValueError("this state is of another window")
        self.c = c

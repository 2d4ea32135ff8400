"""EDGE: the spread that open, high, low and close of candles give away, bar by bar.

Ardia, Guidotti and Kroencke (2024), Efficient estimation of bid-ask spreads from open, high, low,
and close prices, Journal of Financial Economics 161. The numbers are those of their package
``bidask`` 2.1.0, whose rolling form goes over a whole frame; this one goes on with the next bar.
"""
cimport cython

from mrcore.rolling cimport check_window, moments_restore, moments_state
from mrcore.rolling_edge cimport (
    N_MEANS, edge_free, edge_init, edge_push, edge_t, edge_value,
)

import numpy as np


@cython.final
cdef class RollingEDGE:
    """Spread over the last `window` bars, a fraction of the price.

    NaN until there are `window` bars, while a price among them is not positive and finite, and
    where fewer than two bars moved or no open or no close lay off its bar's extremes.

    Parameters
    ----------
    window : int
        Bars, >= 3: the first only says where the second came from.
    """
    cdef edge_t c

    def __cinit__(self, Py_ssize_t window):
        check_window("window", window, 3)
        if edge_init(&self.c, window - 1) < 0:
            raise MemoryError

    def __dealloc__(self):
        edge_free(&self.c)

    @property
    def window(self):
        """Bars."""
        return self.c.window + 1

    @property
    def value(self):
        """The spread after the last bar."""
        return edge_value(&self.c)

    def update(self, double opened, double high, double low, double close):
        """The spread after one more bar."""
        edge_push(&self.c, opened, high, low, close)
        return edge_value(&self.c)

    def batch(self, const double[::1] opened not None, const double[::1] high not None,
              const double[::1] low not None, const double[::1] close not None):
        """The spread after each of many bars, as `update` one by one; float64."""
        cdef Py_ssize_t i, n = close.shape[0]
        if not opened.shape[0] == high.shape[0] == low.shape[0] == n:
            raise ValueError("open, high, low and close differ in length: "
                             f"{opened.shape[0]}, {high.shape[0]}, {low.shape[0]} and {n}")
        out = np.empty(n)
        cdef double[::1] y = out
        with nogil:
            for i in range(n):
                edge_push(&self.c, opened[i], high[i], low[i], close[i])
                y[i] = edge_value(&self.c)
        return out

    def __reduce__(self):
        cdef Py_ssize_t k
        cdef list means = []
        for k in range(N_MEANS):
            means.append(moments_state(&self.c.mean[k]))
        return RollingEDGE, (self.window,), (self.c.high, self.c.low, self.c.close, means)

    def __setstate__(self, tuple state not None):
        cdef Py_ssize_t k
        self.c.high, self.c.low, self.c.close, means = state
        if len(means) != N_MEANS:
            raise ValueError("this state is damaged")
        for k in range(N_MEANS):
            moments_restore(&self.c.mean[k], means[k])

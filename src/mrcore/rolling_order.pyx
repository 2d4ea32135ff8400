"""Order statistics of the last `window` values: quantile, rank, median and its deviation.

What the classes share, and when a result is NaN, is in mrcore.rolling_column.
"""
cimport cython

from mrcore.owned cimport owned_add, owned_list_t
from mrcore.rolling cimport check_window
from mrcore.rolling_column cimport Column
from mrcore.rolling_order cimport (
    order_init, order_mad, order_median, order_push, order_quantile, order_rank, order_t,
)


cdef void order_own(order_t* o, owned_list_t* owned) noexcept nogil:
    owned_add(owned, <void**>&o.ring, o.window * sizeof(double))
    owned_add(owned, <void**>&o.sorted, o.window * sizeof(double))


@cython.final
cdef class RollingQuantile(Column):
    """Quantile, by linear interpolation as the default of ``numpy.quantile``.

    Parameters
    ----------
    window : int
        Values, >= 1.
    q : float
        In [0, 1]; 0.5 is the median.
    """
    cdef order_t c
    cdef readonly double q

    def __cinit__(self, Py_ssize_t window, double q):
        check_window("window", window, 1)
        if not 0.0 <= q <= 1.0:
            raise ValueError(f"q must be in [0, 1], was {q}")
        self.begin((window, q), window, 1, &self.c, sizeof(self.c))
        self.q = q
        if order_init(&self.c, window) < 0:
            raise MemoryError

    cdef void own(self, owned_list_t* owned) noexcept nogil:
        order_own(&self.c, owned)

    cdef void push(self, double x, double* out) noexcept nogil:
        order_push(&self.c, x)
        out[0] = order_quantile(&self.c, self.q)


@cython.final
cdef class RollingRank(Column):
    """Percentile rank of the newest value, in [0, 1]; 1/2 when all values are equal.

    ``(values below + half of the other values equal to it) / (window - 1)``.

    Parameters
    ----------
    window : int
        Values, >= 2, the newest among them.
    """
    cdef order_t c

    def __cinit__(self, Py_ssize_t window):
        check_window("window", window, 2)
        self.begin((window,), window, 1, &self.c, sizeof(self.c))
        if order_init(&self.c, window) < 0:
            raise MemoryError

    cdef void own(self, owned_list_t* owned) noexcept nogil:
        order_own(&self.c, owned)

    cdef void push(self, double x, double* out) noexcept nogil:
        order_push(&self.c, x)
        out[0] = order_rank(&self.c, x)


@cython.final
cdef class RollingMedianMad(Column):
    """Median, and median absolute deviation from it (not scaled to a standard deviation).

    Parameters
    ----------
    window : int
        Values, >= 1.
    """
    cdef order_t c

    def __cinit__(self, Py_ssize_t window):
        check_window("window", window, 1)
        self.begin((window,), window, 2, &self.c, sizeof(self.c))
        if order_init(&self.c, window) < 0:
            raise MemoryError

    cdef void own(self, owned_list_t* owned) noexcept nogil:
        order_own(&self.c, owned)

    cdef void push(self, double x, double* out) noexcept nogil:
        order_push(&self.c, x)
        out[0] = order_median(&self.c)
        out[1] = order_mad(&self.c, out[0])

"""Moments of the last `window` values: mean, variance, skewness and kurtosis.

What the classes share, and when a result is NaN, is in mrcore.rolling_column.
"""
cimport cython
from libc.math cimport NAN, isfinite, sqrt

from mrcore.owned cimport owned_add, owned_list_t
from mrcore.rolling cimport (
    check_window, moments_init, moments_m2, moments_mean, moments_push, moments_t,
)
from mrcore.rolling_column cimport Column, moments_own
from mrcore.rolling_moments cimport part_t, shape_init, shape_part, shape_push, shape_t


@cython.final
cdef class RollingMoments(Column):
    """Mean and population variance (divisor `window`; 0 exactly when all values are equal).

    Parameters
    ----------
    window : int
        Values, >= 1.
    """
    cdef moments_t c

    def __cinit__(self, Py_ssize_t window):
        check_window("window", window, 1)
        self.begin((window,), window, 2, &self.c, sizeof(self.c))
        if moments_init(&self.c, window) < 0:
            raise MemoryError

    cdef void own(self, owned_list_t* owned) noexcept nogil:
        moments_own(&self.c, owned)

    cdef void push(self, double x, double* out) noexcept nogil:
        moments_push(&self.c, x)
        out[0] = moments_mean(&self.c)
        out[1] = moments_m2(&self.c) / <double>self.window


@cython.final
cdef class RollingShape(Column):
    """Skewness and excess kurtosis, from population moments m_k about the mean.

    ``m3 / m2^1.5`` and ``m4 / m2^2 - 3``, as ``scipy.stats`` with ``bias=True``. Both are NaN
    when all values are equal.

    Parameters
    ----------
    window : int
        Values, >= 2.
    """
    cdef shape_t c

    def __cinit__(self, Py_ssize_t window):
        check_window("window", window, 2)
        self.begin((window,), window, 2, &self.c, sizeof(self.c))
        if shape_init(&self.c, window) < 0:
            raise MemoryError

    cdef void own(self, owned_list_t* owned) noexcept nogil:
        owned_add(owned, <void**>&self.c.block, self.window * sizeof(double))
        owned_add(owned, <void**>&self.c.tail, self.window * sizeof(part_t))

    cdef void push(self, double x, double* out) noexcept nogil:
        cdef part_t p
        cdef double n = <double>self.window
        shape_push(&self.c, x)
        p = shape_part(&self.c)
        out[0] = out[1] = NAN
        if p.m2 > 0.0:
            out[0] = sqrt(n / p.m2) * p.m3 / p.m2
            out[1] = n * p.m4 / p.m2 / p.m2 - 3.0
            if not (isfinite(out[0]) and isfinite(out[1])):     # beyond the range of a double
                out[0] = out[1] = NAN

"""Moments of the last `window` values: mean, variance, skewness and kurtosis.

What the classes share, and when a result is NaN, is in mrcore.rolling_column.
"""
cimport cython
from libc.math cimport NAN, isfinite, sqrt
from libc.stdlib cimport calloc, free

from mrcore.owned cimport owned_add, owned_list_t
from mrcore.rolling cimport (
    check_window, moments_free, moments_init, moments_m2, moments_mean, moments_push,
    moments_restore, moments_state, moments_t,
)
from mrcore.rolling_column cimport Column, moments_own
from mrcore.rolling_moments cimport part_t, shape_init, shape_part, shape_push, shape_t

import numpy as np


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


@cython.final
cdef class RollingMeans:
    """Means of several columns in one call, each as `mrcore.rolling.RollingMean` gives it.

    Parameters
    ----------
    columns : int
        Columns, >= 1.
    window : int
        Values, >= 1.
    """
    cdef readonly Py_ssize_t columns
    cdef readonly Py_ssize_t window
    cdef moments_t* c

    def __cinit__(self, Py_ssize_t columns, Py_ssize_t window):
        cdef Py_ssize_t k
        check_window("columns", columns, 1)
        check_window("window", window, 1)
        self.window = window
        self.c = <moments_t*>calloc(columns, sizeof(moments_t))
        if self.c is NULL:
            raise MemoryError
        self.columns = columns
        for k in range(columns):
            if moments_init(&self.c[k], window) < 0:
                raise MemoryError

    def __dealloc__(self):
        cdef Py_ssize_t k
        for k in range(self.columns):
            moments_free(&self.c[k])
        free(self.c)

    def batch(self, const double[:, ::1] x not None):
        """Means after each value; float64, shaped as `x`: (columns, values)."""
        cdef Py_ssize_t i, k, n = x.shape[1]
        if x.shape[0] != self.columns:
            raise ValueError(f"{self.columns} columns expected, not {x.shape[0]}")
        out = np.empty((self.columns, n))
        cdef double[:, ::1] y = out
        with nogil:
            for k in range(self.columns):
                for i in range(n):
                    moments_push(&self.c[k], x[k, i])
                    y[k, i] = moments_mean(&self.c[k])
        return out

    def __reduce__(self):
        cdef Py_ssize_t k
        cdef list states = []
        for k in range(self.columns):
            states.append(moments_state(&self.c[k]))
        return RollingMeans, (self.columns, self.window), tuple(states)

    def __setstate__(self, tuple state not None):
        cdef Py_ssize_t k
        if len(state) != self.columns:
            raise ValueError("this state is of other columns")
        for k in range(self.columns):
            moments_restore(&self.c[k], state[k])

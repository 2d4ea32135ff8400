"""Statistics of the last `window` values, exact to rounding however long the stream.

Each statistic is a kernel for one value (rolling.pxd, which says how it stays exact), a
streaming object around it and a batch loop over the same kernel: any split of the
values gives the same bits. An object belongs to one thread at a time; ``copy.copy`` and
``pickle`` save and restore it.

A result is NaN until there are `window` values and while the window holds a value that
is not finite, as in ``pandas`` ``rolling(window)``. ``EWMA`` alone differs: it has no
window, and passes over such values.
"""
cimport cython
from libc.math cimport NAN, sqrt
from libc.string cimport memcpy

from mrcore.rolling cimport (
    cross_t, ewma_step, extreme_free, extreme_init, extreme_push, extreme_t, extreme_value,
    line_t, moments_free, moments_init, moments_m2, moments_mean, moments_push, moments_t,
    pairs_cross, pairs_free, pairs_init, pairs_line, pairs_push, pairs_t, tail_t,
)

import numpy as np


cdef int check_window(str name, long long window, long long least) except -1:
    if window < least:
        raise ValueError(f"{name} must be >= {least}, was {window}")
    return 0


cdef int check_lengths(Py_ssize_t n, Py_ssize_t m) except -1:
    if n != m:
        raise ValueError(f"x and y differ in length: {n} and {m}")
    return 0


cdef int load(void* to, size_t size, bytes data) except -1:
    if <size_t>len(data) != size:
        raise ValueError("this state is of another window")
    memcpy(to, <const char*>data, size)
    return 0


cdef tuple moments_state(const moments_t* m):
    return (
        m.at, m.full, m.old, m.ref, m.s1, m.s2,
        (<const char*>m.block)[:m.window * sizeof(double)],
        (<const char*>m.tail)[:m.window * sizeof(tail_t)],
    )


cdef int moments_restore(moments_t* m, tuple state) except -1:
    cdef Py_ssize_t at
    at, m.full, m.old, m.ref, m.s1, m.s2, block, tail = state
    load(m.block, m.window * sizeof(double), block)
    load(m.tail, m.window * sizeof(tail_t), tail)
    if not 0 <= at <= m.window:
        raise ValueError("this state is of another window")
    m.at = at
    return 0


cdef tuple pairs_state(const pairs_t* p):
    return (
        p.at, p.full, p.old_x, p.old_y, p.ref_x, p.ref_y, p.sx, p.sy, p.sxx, p.sxy, p.syy,
        (<const char*>p.block)[:p.window * 2 * sizeof(double)],
        (<const char*>p.tail)[:p.window * sizeof(cross_t)],
    )


cdef int pairs_restore(pairs_t* p, tuple state) except -1:
    cdef Py_ssize_t at
    (
        at, p.full, p.old_x, p.old_y, p.ref_x, p.ref_y, p.sx, p.sy, p.sxx, p.sxy, p.syy,
        block, tail,
    ) = state
    load(p.block, p.window * 2 * sizeof(double), block)
    load(p.tail, p.window * sizeof(cross_t), tail)
    if not 0 <= at <= p.window:
        raise ValueError("this state is of another window")
    p.at = at
    return 0


cdef tuple extreme_state(const extreme_t* e):
    return (
        e.count, e.bad, e.head, e.size,
        (<const char*>e.value)[:e.window * sizeof(double)],
        (<const char*>e.born)[:e.window * sizeof(Py_ssize_t)],
    )


cdef int extreme_restore(extreme_t* e, tuple state) except -1:
    cdef Py_ssize_t head, size
    e.count, e.bad, head, size, value, born = state
    load(e.value, e.window * sizeof(double), value)
    load(e.born, e.window * sizeof(Py_ssize_t), born)
    if not (0 <= head < e.window and 0 <= size <= e.window):
        raise ValueError("this state is of another window")
    e.head = head
    e.size = size
    return 0


@cython.final
cdef class RollingMean:
    """Mean of the last `window` values.

    Parameters
    ----------
    window : int
        Values, >= 1.
    """
    cdef moments_t c

    def __cinit__(self, Py_ssize_t window):
        check_window("window", window, 1)
        if moments_init(&self.c, window) < 0:
            raise MemoryError

    def __dealloc__(self):
        moments_free(&self.c)

    @property
    def window(self):
        """Values."""
        return self.c.window

    @property
    def value(self):
        """Mean, in the unit of the values."""
        return moments_mean(&self.c)

    def update(self, double x):
        """Mean after one more value."""
        moments_push(&self.c, x)
        return moments_mean(&self.c)

    def batch(self, const double[::1] x not None):
        """Mean after each of many values, as `update` one by one."""
        cdef Py_ssize_t i, n = x.shape[0]
        out = np.empty(n)
        cdef double[::1] y = out
        with nogil:
            for i in range(n):
                moments_push(&self.c, x[i])
                y[i] = moments_mean(&self.c)
        return out

    def __reduce__(self):
        return RollingMean, (self.c.window,), moments_state(&self.c)

    def __setstate__(self, state):
        moments_restore(&self.c, state)


@cython.final
cdef class RollingVariance:
    """Variance of the last `window` values; 0 exactly when they are all equal.

    Parameters
    ----------
    window : int
        Values, > `ddof`.
    ddof : int, default 1
        The sum of squares is divided by ``window - ddof``.
    """
    cdef moments_t c
    cdef readonly Py_ssize_t ddof

    def __cinit__(self, Py_ssize_t window, Py_ssize_t ddof=1):
        check_window("ddof", ddof, 0)
        check_window("window", window, ddof + 1)
        if moments_init(&self.c, window) < 0:
            raise MemoryError
        self.ddof = ddof

    def __dealloc__(self):
        moments_free(&self.c)

    @property
    def window(self):
        """Values."""
        return self.c.window

    @property
    def mean(self):
        """Mean, in the unit of the values."""
        return moments_mean(&self.c)

    @property
    def value(self):
        """Variance, in the unit of the values squared."""
        return moments_m2(&self.c) / <double>(self.c.window - self.ddof)

    def update(self, double x):
        """Variance after one more value."""
        moments_push(&self.c, x)
        return self.value

    def batch(self, const double[::1] x not None):
        """Variance after each of many values, as `update` one by one."""
        cdef Py_ssize_t i, n = x.shape[0]
        cdef double divisor = <double>(self.c.window - self.ddof)
        out = np.empty(n)
        cdef double[::1] y = out
        with nogil:
            for i in range(n):
                moments_push(&self.c, x[i])
                y[i] = moments_m2(&self.c) / divisor
        return out

    def __reduce__(self):
        return RollingVariance, (self.c.window, self.ddof), moments_state(&self.c)

    def __setstate__(self, state):
        moments_restore(&self.c, state)


@cython.final
cdef class RollingCovariance:
    """Covariance of the last `window` pairs.

    Parameters
    ----------
    window : int
        Pairs, >= 2 and > `ddof`.
    ddof : int, default 1
        The sum of products is divided by ``window - ddof``.
    """
    cdef pairs_t c
    cdef readonly Py_ssize_t ddof

    def __cinit__(self, Py_ssize_t window, Py_ssize_t ddof=1):
        check_window("ddof", ddof, 0)
        check_window("window", window, max(2, ddof + 1))
        if pairs_init(&self.c, window) < 0:
            raise MemoryError
        self.ddof = ddof

    def __dealloc__(self):
        pairs_free(&self.c)

    @property
    def window(self):
        """Pairs."""
        return self.c.window

    @property
    def value(self):
        """Covariance, in the product of the units."""
        return pairs_cross(&self.c).xy / <double>(self.c.window - self.ddof)

    @property
    def correlation(self):
        """Pearson correlation, in [-1, 1]; NaN when x or y does not vary."""
        cdef cross_t c = pairs_cross(&self.c)
        if not (c.xx > 0.0 and c.yy > 0.0):
            return NAN
        return min(1.0, max(-1.0, c.xy / sqrt(c.xx) / sqrt(c.yy)))

    def update(self, double x, double y):
        """Covariance after one more pair."""
        pairs_push(&self.c, x, y)
        return self.value

    def batch(self, const double[::1] x not None, const double[::1] y not None):
        """Covariance after each of many pairs, as `update` one by one."""
        cdef Py_ssize_t i, n = x.shape[0]
        cdef double divisor = <double>(self.c.window - self.ddof)
        check_lengths(n, y.shape[0])
        out = np.empty(n)
        cdef double[::1] z = out
        with nogil:
            for i in range(n):
                pairs_push(&self.c, x[i], y[i])
                z[i] = pairs_cross(&self.c).xy / divisor
        return out

    def __reduce__(self):
        return RollingCovariance, (self.c.window, self.ddof), pairs_state(&self.c)

    def __setstate__(self, state):
        pairs_restore(&self.c, state)


@cython.final
cdef class RollingOLS:
    """Least-squares line ``y = intercept + slope * x`` over the last `window` pairs.

    The four results come in the order slope, intercept, r2, t. The t-statistic is the
    classical one of the slope, with ``window - 2`` degrees of freedom (NaN at window 2,
    infinite on an exact fit); it is too large on autocorrelated residuals. All four are
    NaN when x does not vary, r2 and t also when y does not.

    Parameters
    ----------
    window : int
        Pairs, >= 2.
    """
    cdef pairs_t c

    def __cinit__(self, Py_ssize_t window):
        check_window("window", window, 2)
        if pairs_init(&self.c, window) < 0:
            raise MemoryError

    def __dealloc__(self):
        pairs_free(&self.c)

    @property
    def window(self):
        """Pairs."""
        return self.c.window

    @property
    def value(self):
        """Slope, intercept, r2 and t."""
        cdef line_t line = pairs_line(&self.c)
        return line.slope, line.intercept, line.r2, line.t

    def update(self, double x, double y):
        """Slope, intercept, r2 and t after one more pair."""
        pairs_push(&self.c, x, y)
        return self.value

    def batch(self, const double[::1] x not None, const double[::1] y not None):
        """Four arrays, as `update` one by one."""
        cdef Py_ssize_t i, n = x.shape[0]
        cdef line_t line
        check_lengths(n, y.shape[0])
        out = np.empty((4, n))
        cdef double[:, ::1] z = out
        with nogil:
            for i in range(n):
                pairs_push(&self.c, x[i], y[i])
                line = pairs_line(&self.c)
                z[0, i] = line.slope
                z[1, i] = line.intercept
                z[2, i] = line.r2
                z[3, i] = line.t
        return tuple(out)

    def __reduce__(self):
        return RollingOLS, (self.c.window,), pairs_state(&self.c)

    def __setstate__(self, state):
        pairs_restore(&self.c, state)


@cython.final
cdef class RollingMin:
    """Minimum of the last `window` values.

    Parameters
    ----------
    window : int
        Values, >= 1.
    """
    cdef extreme_t c

    def __cinit__(self, Py_ssize_t window):
        check_window("window", window, 1)
        if extreme_init(&self.c, window, -1.0) < 0:
            raise MemoryError

    def __dealloc__(self):
        extreme_free(&self.c)

    @property
    def window(self):
        """Values."""
        return self.c.window

    @property
    def value(self):
        """Minimum, in the unit of the values."""
        return extreme_value(&self.c)

    def update(self, double x):
        """Minimum after one more value."""
        extreme_push(&self.c, x)
        return extreme_value(&self.c)

    def batch(self, const double[::1] x not None):
        """Minimum after each of many values, as `update` one by one."""
        return extreme_batch(&self.c, x)

    def __reduce__(self):
        return RollingMin, (self.c.window,), extreme_state(&self.c)

    def __setstate__(self, state):
        extreme_restore(&self.c, state)


@cython.final
cdef class RollingMax:
    """Maximum of the last `window` values.

    Parameters
    ----------
    window : int
        Values, >= 1.
    """
    cdef extreme_t c

    def __cinit__(self, Py_ssize_t window):
        check_window("window", window, 1)
        if extreme_init(&self.c, window, 1.0) < 0:
            raise MemoryError

    def __dealloc__(self):
        extreme_free(&self.c)

    @property
    def window(self):
        """Values."""
        return self.c.window

    @property
    def value(self):
        """Maximum, in the unit of the values."""
        return extreme_value(&self.c)

    def update(self, double x):
        """Maximum after one more value."""
        extreme_push(&self.c, x)
        return extreme_value(&self.c)

    def batch(self, const double[::1] x not None):
        """Maximum after each of many values, as `update` one by one."""
        return extreme_batch(&self.c, x)

    def __reduce__(self):
        return RollingMax, (self.c.window,), extreme_state(&self.c)

    def __setstate__(self, state):
        extreme_restore(&self.c, state)


cdef extreme_batch(extreme_t* e, const double[::1] x):
    cdef Py_ssize_t i, n = x.shape[0]
    out = np.empty(n)
    cdef double[::1] y = out
    with nogil:
        for i in range(n):
            extreme_push(e, x[i])
            y[i] = extreme_value(e)
    return out


@cython.final
cdef class EWMA:
    """Exponentially weighted mean, ``y = y' + alpha * (x - y')``.

    The first finite value begins it (NaN before); values that are not finite leave it
    as it is.

    Parameters
    ----------
    alpha : float
        Weight of the newest value, in (0, 1]; ``1 - 0.5 ** (1 / n)`` for a half-life of
        n values, ``2 / (n + 1)`` for a span of n.
    """
    cdef readonly double alpha
    cdef readonly double value

    def __cinit__(self, double alpha):
        if not 0.0 < alpha <= 1.0:
            raise ValueError(f"alpha must be in (0, 1], was {alpha}")
        self.alpha = alpha
        self.value = NAN

    def update(self, double x):
        """Mean after one more value."""
        self.value = ewma_step(self.value, x, self.alpha)
        return self.value

    def batch(self, const double[::1] x not None):
        """Mean after each of many values, as `update` one by one."""
        cdef Py_ssize_t i, n = x.shape[0]
        cdef double mean = self.value
        out = np.empty(n)
        cdef double[::1] y = out
        with nogil:
            for i in range(n):
                mean = ewma_step(mean, x[i], self.alpha)
                y[i] = mean
        self.value = mean
        return out

    def __reduce__(self):
        return EWMA, (self.alpha,), self.value

    def __setstate__(self, state):
        self.value = state

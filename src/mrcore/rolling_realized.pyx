"""Realised variance of the last `window` returns: by a kernel, and its continuous and jump parts.

What the classes share, and when a result is NaN, is in mrcore.rolling_column.
"""
cimport cython

from mrcore.owned cimport owned_list_t
from mrcore.rolling cimport check_window
from mrcore.rolling_column cimport Column
from mrcore.rolling_realized cimport (
    jump_init, jump_own, jump_push, jump_t, jump_value, kernel_init, kernel_own, kernel_push,
    kernel_t, kernel_value, realized_t, split_t,
)


@cython.final
cdef class RollingKernelVariance(Column):
    """Realised kernel, a variance that the bounce between bid and ask does not inflate.

    ``sum over |h| <= H of k(h / (H + 1)) * g(h)`` with the autocovariances
    ``g(h) = sum x[j] * x[j - |h|]`` inside the window and the Parzen kernel k (Barndorff-Nielsen,
    Hansen, Lunde & Shephard 2009, not flat-topped): never negative. Two results: the variance of
    the whole window (returns squared), and H.

    Without a bandwidth H is chosen in each window as in section 2 of that paper,
    ``3.5134 (w2 / iv)^(2/5) n^(3/5)`` rounded up and at most `max_lag`, with w2 the realised
    variance over 2 n, and iv that of `sparse` returns at a time, averaged over all beginnings.
    H is 0 where no return moved and `max_lag` where no sparse one did.

    Parameters
    ----------
    window : int
        Returns.
    max_lag : int
        Largest H, from 0 to ``window - 1``.
    bandwidth : int, optional
        Fixed H, from 0 to `max_lag`.
    sparse : int, default 20
        Returns in one of the sparse grid, from 1 to `window`. Unused with a fixed bandwidth.
    """
    cdef kernel_t c

    def __cinit__(self, Py_ssize_t window, Py_ssize_t max_lag, bandwidth=None,
                  Py_ssize_t sparse=20):
        check_window("window", window, 1)
        check_window("max_lag", max_lag, 0)
        check_window("sparse", sparse, 1)
        self.c.bandwidth = -1
        if bandwidth is not None:
            check_window("bandwidth", bandwidth, 0)
            if bandwidth > max_lag:
                raise ValueError(f"bandwidth must be <= max_lag ({max_lag}), was {bandwidth}")
            self.c.bandwidth = bandwidth
        elif sparse > window:
            raise ValueError(f"sparse must be <= window ({window}), was {sparse}")
        if max_lag >= window:
            raise ValueError(f"max_lag must be < window ({window}), was {max_lag}")
        self.begin((window, max_lag, bandwidth, sparse), window, 2, &self.c, sizeof(self.c))
        self.c.lags = max_lag if bandwidth is None else bandwidth
        self.c.sparse = sparse
        if kernel_init(&self.c, window) < 0:
            raise MemoryError

    cdef void own(self, owned_list_t* owned) noexcept nogil:
        kernel_own(&self.c, owned)

    cdef void push(self, double x, double* out) noexcept nogil:
        cdef realized_t r
        kernel_push(&self.c, x)
        r = kernel_value(&self.c)
        out[0] = r.variance
        out[1] = r.bandwidth


@cython.final
cdef class RollingJump(Column):
    """Realised and bipower variation and the test for jumps between them.

    Of M returns r, with sums over those that the window holds (Barndorff-Nielsen & Shephard
    2004, 2006; Huang & Tauchen 2005), five results:

    - RV, ``sum r^2``
    - BV, ``pi/2 * M / (M - 1) * sum |r| |r'|``, r' the return before
    - TPQ, ``M * M / (M - 2) * mu^-3 * sum (|r| |r'| |r''|)^(4/3)``, mu = E|z|^(4/3) of a standard
      normal z
    - z, ``sqrt(M) (1 - BV / RV) / sqrt((pi^2 / 4 + pi - 5) max(1, TPQ / BV^2))``: standard
      normal without jumps, large with them (one-sided); NaN when RV or BV is 0
    - the share of returns that are 0. They draw BV to 0: above a tenth z means nothing.

    Parameters
    ----------
    window : int
        Returns, >= 3.
    """
    cdef jump_t c

    def __cinit__(self, Py_ssize_t window):
        check_window("window", window, 3)
        self.begin((window,), window, 5, &self.c, sizeof(self.c))
        if jump_init(&self.c, window) < 0:
            raise MemoryError

    cdef void own(self, owned_list_t* owned) noexcept nogil:
        jump_own(&self.c, owned)

    cdef void push(self, double x, double* out) noexcept nogil:
        cdef split_t s
        jump_push(&self.c, x)
        s = jump_value(&self.c)
        out[0] = s.rv
        out[1] = s.bv
        out[2] = s.tpq
        out[3] = s.z
        out[4] = s.zeros

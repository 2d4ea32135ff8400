"""Is it a random walk? AR(1), augmented Dickey-Fuller and variance ratio of the last values.

What the classes share, and when a result is NaN, is in mrcore.rolling_column.
"""
cimport cython
from libc.math cimport NAN, sqrt
from libc.stdlib cimport calloc

from mrcore.owned cimport owned_add, owned_list_t
from mrcore.rolling cimport check_window, cross_t, pairs_cross, pairs_init, pairs_push, pairs_t
from mrcore.rolling_column cimport (
    Column, pairs_own, slide_full, slide_init, slide_own, slide_push, slide_t,
)
from mrcore.rolling_walk cimport (
    MOST_LAGS, fuller_init, fuller_own, fuller_push, fuller_t, fuller_t_statistic, ratio_t,
    variance_ratio,
)


ctypedef struct ar_t:
    double x                # newest value
    pairs_t pairs           # value before, step


@cython.final
cdef class RollingAR(Column):
    """First-order autoregression ``x - x' = intercept + slope * x'`` on the value before, x'.

    Six results: slope, intercept, t of the slope (the Dickey-Fuller statistic without lags), phi
    (1 + slope), standard error of the slope (and of phi), residual variance (divisor
    ``window - 2``). All are NaN when x' does not vary; t also on an exact fit.

    Parameters
    ----------
    window : int
        Pairs of neighbours, >= 3: the first result comes with value ``window + 1``.
    """
    cdef ar_t c

    def __cinit__(self, Py_ssize_t window):
        check_window("window", window, 3)
        self.begin((window,), window, 6, &self.c, sizeof(self.c))
        self.c.x = NAN
        if pairs_init(&self.c.pairs, window) < 0:
            raise MemoryError

    cdef void own(self, owned_list_t* owned) noexcept nogil:
        pairs_own(&self.c.pairs, owned)

    cdef void push(self, double x, double* out) noexcept nogil:
        cdef cross_t c
        cdef Py_ssize_t i
        cdef double rest
        pairs_push(&self.c.pairs, self.c.x, x - self.c.x)
        self.c.x = x
        c = pairs_cross(&self.c.pairs)
        if not c.xx > 0.0:
            for i in range(6):
                out[i] = NAN
            return
        out[0] = c.xy / c.xx
        out[1] = c.mean_y - out[0] * c.mean_x
        rest = c.yy - out[0] * c.xy
        out[5] = rest / <double>(self.window - 2) if rest > 0.0 else 0.0
        out[4] = sqrt(out[5] / c.xx)
        out[2] = out[0] / out[4] if out[4] > 0.0 else NAN
        out[3] = 1.0 + out[0]


@cython.final
cdef class RollingADF(Column):
    """Augmented Dickey-Fuller statistic, with an intercept and no trend.

    The t of g in ``dx = c + g * x' + b1 * dx' + b2 * dx'' + ...``, x' the value before, dx' the
    step before (Said & Dickey 1984), by least squares over the ``window - 1 - lags`` rows that
    the window holds: ``statsmodels.tsa.stattools.adfuller(x, maxlag=lags, autolag=None)``. NaN
    when a column does not vary or follows from the others, or the fit is exact.

    Parameters
    ----------
    window : int
        Values, >= ``2 * lags + 4``.
    lags : int, default 1
        Steps before, 0 to 4.
    """
    cdef fuller_t c

    def __cinit__(self, Py_ssize_t window, Py_ssize_t lags=1):
        check_window("lags", lags, 0)
        if lags > MOST_LAGS:
            raise ValueError(f"lags must be <= {MOST_LAGS}, was {lags}")
        check_window("window", window, 2 * lags + 4)
        self.begin((window, lags), window, 1, &self.c, sizeof(self.c))
        if fuller_init(&self.c, window - 1 - lags, lags) < 0:
            raise MemoryError

    @property
    def lags(self):
        """Steps before."""
        return self.c.lags

    cdef void own(self, owned_list_t* owned) noexcept nogil:
        fuller_own(&self.c, owned)

    cdef void push(self, double x, double* out) noexcept nogil:
        fuller_push(&self.c, x)
        out[0] = fuller_t_statistic(&self.c)


ctypedef struct walk_t:
    slide_t log_price
    double* square          # owned: room for the squared steps
    double* work            # owned: room for as many values


@cython.final
cdef class RollingVarianceRatio(Column):
    """Variance ratio VR(q) of log prices and its robust z (Lo & MacKinlay 1988, Z2).

    Overlapping steps, unbiased variances, and z by the variance that allows for
    heteroskedasticity; for 1 and 0 when the log price is a random walk with drift. As
    ``arch.unitroot.VarianceRatio(x, q, trend="c", debiased=True, robust=True, overlap=True)``.
    Both are NaN when all steps are equal. Costs ``window * q`` operations a value.

    Parameters
    ----------
    window : int
        Log prices, >= ``q + 2``; one step less.
    q : int
        Steps, >= 2.
    """
    cdef walk_t c
    cdef readonly Py_ssize_t q

    def __cinit__(self, Py_ssize_t window, Py_ssize_t q):
        check_window("q", q, 2)
        check_window("window - q", window - q, 2)
        self.begin((window, q), window, 2, &self.c, sizeof(self.c))
        self.q = q
        self.c.square = <double*>calloc(window, sizeof(double))
        self.c.work = <double*>calloc(window, sizeof(double))
        if slide_init(&self.c.log_price, window) < 0 or (
            self.c.square is NULL or self.c.work is NULL
        ):
            raise MemoryError

    cdef void own(self, owned_list_t* owned) noexcept nogil:
        slide_own(&self.c.log_price, owned)
        owned_add(owned, <void**>&self.c.square, self.window * sizeof(double))
        owned_add(owned, <void**>&self.c.work, self.window * sizeof(double))

    cdef void push(self, double x, double* out) noexcept nogil:
        cdef const double* first = slide_push(&self.c.log_price, x)
        cdef ratio_t r
        out[0] = out[1] = NAN
        if slide_full(&self.c.log_price):
            r = variance_ratio(first, self.window - 1, self.q, self.c.square, self.c.work)
            out[0] = r.vr
            out[1] = r.z

"""C interface of mrcore.rolling_realized: sums of products of returns that make up a variance.

Every sum is over a window of its own length, kept by blocks (sums_t): a product of two returns
h apart has window - h of its kind in the window.
"""
from libc.math cimport M_PI, NAN, cbrt, ceil, fabs, isfinite, pow, sqrt
from libc.stdlib cimport calloc

from mrcore.owned cimport owned_add, owned_list_t
from mrcore.rolling_column cimport (
    slide_full, slide_init, slide_own, slide_push, slide_t, sums_push, sums_t, sums_value,
)


# Realised kernel --------------------------------------------------------------------

ctypedef struct kernel_t:
    slide_t x
    Py_ssize_t lags         # autocovariances 0 .. lags
    Py_ssize_t bandwidth    # -1: chosen in each window
    Py_ssize_t sparse       # returns in one of the sparse grid
    sums_t* sums            # owned: one for each lag, and one of squared sparse returns
    double* cells           # owned: for each of them `window`


ctypedef struct realized_t:
    double variance
    double bandwidth


cdef inline int kernel_init(kernel_t* k, Py_ssize_t window) noexcept nogil:
    """Empty window; the other numbers are set. -1 when there is no memory."""
    k.sums = <sums_t*>calloc(k.lags + 2, sizeof(sums_t))
    k.cells = <double*>calloc(window, (k.lags + 2) * sizeof(double))
    return -1 if slide_init(&k.x, window) < 0 or k.sums is NULL or k.cells is NULL else 0


cdef inline void kernel_own(kernel_t* k, owned_list_t* owned) noexcept nogil:
    slide_own(&k.x, owned)
    owned_add(owned, <void**>&k.sums, (k.lags + 2) * sizeof(sums_t))
    owned_add(owned, <void**>&k.cells, k.x.window * (k.lags + 2) * sizeof(double))


cdef inline void kernel_push(kernel_t* k, double x) noexcept nogil:
    cdef Py_ssize_t h, n = k.x.window
    cdef const double* newest = slide_push(&k.x, x) + n - 1
    cdef double far = 0.0
    x = newest[0]
    for h in range(k.lags + 1):
        sums_push(&k.sums[h], k.cells + h * n, n - h, x * newest[-h])
    if k.bandwidth < 0:
        for h in range(k.sparse):
            far += newest[-h]
        sums_push(&k.sums[k.lags + 1], k.cells + (k.lags + 1) * n, n - k.sparse + 1, far * far)


cdef inline double kernel_bandwidth(const kernel_t* k, double dense) noexcept nogil:
    """H* = 3.5134 (noise / variance)^(2/5) n^(3/5), up to a whole number, <= lags."""
    cdef double n = <double>k.x.window, far, wide
    cdef Py_ssize_t count = k.x.window - k.sparse + 1
    far = sums_value(&k.sums[k.lags + 1], k.cells + (k.lags + 1) * k.x.window, count)
    far *= n / (<double>count * <double>k.sparse)
    if not dense > 0.0:
        return 0.0
    if not far > 0.0:
        return <double>k.lags
    wide = ceil(3.5134 * pow(dense / (2.0 * n) / far, 0.4) * pow(n, 0.6))
    return wide if wide < <double>k.lags else <double>k.lags


cdef inline realized_t kernel_value(const kernel_t* k) noexcept nogil:
    cdef realized_t r
    cdef Py_ssize_t h, n = k.x.window
    cdef double u, v, sum
    r.variance = r.bandwidth = NAN
    if not slide_full(&k.x):
        return r
    sum = sums_value(&k.sums[0], k.cells, n)
    r.bandwidth = <double>k.bandwidth if k.bandwidth >= 0 else kernel_bandwidth(k, sum)
    for h in range(1, <Py_ssize_t>r.bandwidth + 1):
        u = <double>h / (r.bandwidth + 1.0)
        v = 1.0 - u
        v = 1.0 - 6.0 * u * u * v if u <= 0.5 else 2.0 * v * v * v
        sum += 2.0 * v * sums_value(&k.sums[h], k.cells + h * n, n - h)
    # below 0 by rounding only; beyond the range of a double there is none
    r.variance = NAN if not isfinite(sum) else sum if sum > 0.0 else 0.0
    return r


# Jumps ------------------------------------------------------------------------------

cdef enum:
    SQUARES, PAIRS, TRIPLES, ZEROS, N_SUMS


ctypedef struct jump_t:
    slide_t x
    double size[3]          # |r| of the newest and the two before
    double power[3]         # |r|^(4/3) of them
    sums_t sums[N_SUMS]
    double* cells           # owned: for each sum `window`


ctypedef struct split_t:
    double rv
    double bv
    double tpq
    double z
    double zeros


cdef inline int jump_init(jump_t* j, Py_ssize_t window) noexcept nogil:
    """Empty window of >= 3 returns, in zeroed memory; -1 when there is no memory."""
    j.size[0] = j.size[1] = j.power[0] = j.power[1] = NAN
    j.cells = <double*>calloc(window, N_SUMS * sizeof(double))
    return -1 if slide_init(&j.x, window) < 0 or j.cells is NULL else 0


cdef inline void jump_own(jump_t* j, owned_list_t* owned) noexcept nogil:
    slide_own(&j.x, owned)
    owned_add(owned, <void**>&j.cells, j.x.window * N_SUMS * sizeof(double))


cdef inline void jump_push(jump_t* j, double x) noexcept nogil:
    cdef Py_ssize_t n = j.x.window
    x = slide_push(&j.x, x)[n - 1]
    j.size[2], j.size[1], j.size[0] = j.size[1], j.size[0], fabs(x)
    j.power[2], j.power[1] = j.power[1], j.power[0]
    j.power[0] = j.size[0] * cbrt(j.size[0])
    sums_push(&j.sums[SQUARES], j.cells, n, x * x)
    sums_push(&j.sums[PAIRS], j.cells + PAIRS * n, n - 1, j.size[0] * j.size[1])
    sums_push(&j.sums[TRIPLES], j.cells + TRIPLES * n, n - 2,
              j.power[0] * j.power[1] * j.power[2])
    sums_push(&j.sums[ZEROS], j.cells + ZEROS * n, n, 1.0 if x == 0.0 else 0.0)


cdef inline split_t jump_value(const jump_t* j) noexcept nogil:
    cdef split_t s
    cdef Py_ssize_t window = j.x.window
    cdef double n = <double>window, theta = M_PI * M_PI / 4.0 + M_PI - 5.0, ratio
    cdef double mu = 0.8308609250295592             # 2^(2/3) Gamma(7/6) / Gamma(1/2)
    s.rv = s.bv = s.tpq = s.z = s.zeros = NAN
    if not slide_full(&j.x):
        return s
    s.rv = sums_value(&j.sums[SQUARES], j.cells, window)
    s.bv = sums_value(&j.sums[PAIRS], j.cells + PAIRS * window, window - 1)
    s.bv *= 0.5 * M_PI * n / (n - 1.0)
    s.tpq = sums_value(&j.sums[TRIPLES], j.cells + TRIPLES * window, window - 2)
    s.tpq *= n * n / (n - 2.0) / (mu * mu * mu)
    s.zeros = sums_value(&j.sums[ZEROS], j.cells + ZEROS * window, window) / n
    if s.rv > 0.0 and s.bv > 0.0:
        ratio = s.tpq / s.bv / s.bv
        s.z = sqrt(n) * (1.0 - s.bv / s.rv) / sqrt(theta * (ratio if ratio > 1.0 else 1.0))
    return s

"""C interface of mrcore.rolling_walk: the regressions and sums behind tests for a random walk.

The cross products of a Dickey-Fuller regression are kept by blocks, as pairs_t of rolling.pxd,
and so relative to a row of the part that they sum. What is solved is the matrix of deviations
from the window's means, by Cholesky. Neither a far level of x nor different sizes of x and its
steps cost digits: Cholesky's error does not change with the scale of a column.
"""
from libc.math cimport NAN, isfinite, sqrt
from libc.stdlib cimport calloc

from mrcore.owned cimport owned_add, owned_list_t


cdef enum:
    MOST_LAGS = 4
    MOST_COLUMNS = 6        # the lagged steps, the value before, the step
    MOST_PRODUCTS = 21


# Regression of the step on the value before and on the steps before ------------------

ctypedef struct products_t:
    double mean[MOST_COLUMNS]           # in a tail: relative to fuller_t.old
    double sum[MOST_PRODUCTS]           # of products about the means, lower triangle by rows


ctypedef struct fuller_t:
    Py_ssize_t rows         # of a window
    Py_ssize_t lags
    Py_ssize_t at           # rows in the present block
    bint full               # there is a block before the present one
    double row[MOST_COLUMNS]            # dx of 1 .. lags rows before, x before, dx
    double x                # newest value
    double old[MOST_COLUMNS]            # last row of the block before
    double ref[MOST_COLUMNS]            # first row of the present block
    double s1[MOST_COLUMNS]             # sums over the present block relative to ref
    double s2[MOST_PRODUCTS]
    double* block           # owned: the rows of the present block
    products_t* tail        # owned: [k] is the block before without its first k rows


cdef inline int fuller_init(fuller_t* f, Py_ssize_t rows, Py_ssize_t lags) noexcept nogil:
    """Empty window, in zeroed memory; -1 when there is no memory."""
    cdef Py_ssize_t i
    f.rows = rows
    f.lags = lags
    f.x = NAN
    for i in range(MOST_COLUMNS):
        f.row[i] = NAN
    f.block = <double*>calloc(rows, MOST_COLUMNS * sizeof(double))
    f.tail = <products_t*>calloc(rows, sizeof(products_t))
    return -1 if f.block is NULL or f.tail is NULL else 0


cdef inline void fuller_own(fuller_t* f, owned_list_t* owned) noexcept nogil:
    owned_add(owned, <void**>&f.block, f.rows * MOST_COLUMNS * sizeof(double))
    owned_add(owned, <void**>&f.tail, f.rows * sizeof(products_t))


cdef inline void fuller_add(const double* row, const double* origin, Py_ssize_t columns,
                            double* s1, double* s2) noexcept nogil:
    cdef double d[MOST_COLUMNS]
    cdef Py_ssize_t i, j, at = 0
    for i in range(columns):
        d[i] = row[i] - origin[i]
        s1[i] += d[i]
        for j in range(i + 1):
            s2[at] += d[i] * d[j]
            at += 1


cdef inline void fuller_turn(fuller_t* f) noexcept nogil:
    """The present block is complete: sum its tails and begin another."""
    cdef Py_ssize_t i, j, k, at, columns = f.lags + 2
    cdef double s1[MOST_COLUMNS]
    cdef double s2[MOST_PRODUCTS]
    cdef products_t* tail
    for i in range(MOST_COLUMNS):
        f.old[i] = f.block[(f.rows - 1) * MOST_COLUMNS + i]
        s1[i] = 0.0
    for i in range(MOST_PRODUCTS):
        s2[i] = 0.0
    for k in range(f.rows - 1, 0, -1):
        fuller_add(f.block + k * MOST_COLUMNS, f.old, columns, s1, s2)
        tail = &f.tail[k]
        at = 0
        for i in range(columns):
            tail.mean[i] = s1[i] / <double>(f.rows - k)
            for j in range(i + 1):
                tail.sum[at] = s2[at] - s1[i] * tail.mean[j]
                at += 1
    f.at = 0
    f.full = True


cdef inline void fuller_push(fuller_t* f, double x) noexcept nogil:
    cdef Py_ssize_t i, columns = f.lags + 2
    if not isfinite(x):
        x = NAN
    for i in range(f.lags - 1, 0, -1):
        f.row[i] = f.row[i - 1]
    if f.lags > 0:
        f.row[0] = f.row[columns - 1]
    f.row[columns - 2] = f.x
    f.row[columns - 1] = x - f.x
    f.x = x
    if f.at == f.rows:
        fuller_turn(f)
    if f.at == 0:
        for i in range(columns):
            f.ref[i] = f.row[i]
            f.s1[i] = 0.0
        for i in range(MOST_PRODUCTS):
            f.s2[i] = 0.0
    fuller_add(f.row, f.ref, columns, f.s1, f.s2)
    for i in range(columns):
        f.block[f.at * MOST_COLUMNS + i] = f.row[i]
    f.at += 1


cdef inline double fuller_t_statistic(const fuller_t* f) noexcept nogil:
    """t of the value before; NaN without a full window, or when the fit leaves no freedom.

    The last two rows of the Cholesky factor of all columns, the step last, say it all: what the
    other columns leave of the value before, its share in the step, and the residual.
    """
    cdef double c[MOST_PRODUCTS]
    cdef double shift[MOST_COLUMNS]
    cdef double head = <double>f.at, weight = 0.0, left
    cdef Py_ssize_t i, j, k, row, other, at = 0, columns = f.lags + 2
    cdef const products_t* tail = NULL
    if f.at < f.rows:
        if not f.full:
            return NAN
        tail = &f.tail[f.at]
        weight = head * <double>(f.rows - f.at) / <double>f.rows
        for i in range(columns):
            shift[i] = (f.old[i] - f.ref[i]) + tail.mean[i] - f.s1[i] / head
    for i in range(columns):
        for j in range(i + 1):
            c[at] = f.s2[at] - f.s1[i] * (f.s1[j] / head)
            if tail is not NULL:
                c[at] += tail.sum[at] + weight * shift[i] * shift[j]
            at += 1
    row = 0                                         # Cholesky, in place
    for i in range(columns):
        other = 0
        for j in range(i):
            left = c[row + j]
            for k in range(j):
                left -= c[row + k] * c[other + k]
            c[row + j] = left / c[other + j]
            other += j + 1
        left = c[row + i]
        for k in range(i):
            left -= c[row + k] * c[row + k]
        # a column that those before it explain, to rounding
        if not left > 1e-13 * c[row + i]:
            return NAN
        c[row + i] = sqrt(left)
        row += i + 1
    return c[at - 2] / c[at - 1] * sqrt(<double>(f.rows - columns))


# Variance ratio ---------------------------------------------------------------------

ctypedef struct ratio_t:
    double vr               # NaN when there is no variance
    double z


cdef inline double total(const double* x, Py_ssize_t n) noexcept nogil:
    """Sum of n values, in four lanes that do not wait for each other."""
    cdef double a = 0.0, b = 0.0, c = 0.0, d = 0.0
    cdef Py_ssize_t i = 0
    while i + 4 <= n:
        a += x[i]
        b += x[i + 1]
        c += x[i + 2]
        d += x[i + 3]
        i += 4
    while i < n:
        a += x[i]
        i += 1
    return (a + b) + (c + d)


cdef inline ratio_t variance_ratio(const double* x, Py_ssize_t n, Py_ssize_t q,
                                   double* square, double* work) noexcept nogil:
    """VR(q) and its robust z of n + 1 log prices; `square` and `work` are room for n values."""
    cdef ratio_t r
    cdef double mean = (x[n] - x[0]) / <double>n, drift = <double>q * mean, d, one, far, theta
    cdef double count = <double>n, weight
    cdef Py_ssize_t i, k
    r.vr = r.z = NAN
    for i in range(n):
        d = x[i + 1] - x[i] - mean
        square[i] = d * d
    one = total(square, n)
    if not one > 0.0:
        return r
    for i in range(n - q + 1):
        d = x[i + q] - x[i] - drift
        work[i] = d * d
    far = total(work, n - q + 1)
    r.vr = far / <double>(q * (n - q + 1)) / (1.0 - <double>q / count) / (one / (count - 1.0))
    for i in range(n):
        work[i] = 0.0
    for k in range(1, q):               # no sum over i here: the loop inside runs in vectors
        weight = 1.0 - <double>k / <double>q
        weight *= weight
        for i in range(n - k):
            work[i] += weight * square[i + k]
    for i in range(n):
        work[i] *= square[i]
    theta = 4.0 * count * total(work, n) / one / one
    if theta > 0.0:
        r.z = sqrt(count) * (r.vr - 1.0) / sqrt(theta)
    return r

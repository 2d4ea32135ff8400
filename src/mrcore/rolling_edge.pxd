"""C interface of mrcore.rolling_edge: the moments of which EDGE is made.

Of a bar with log prices o, h, l, c and m = (h + l) / 2, and those of the bar before (marked '), the
estimator takes the returns

    r1 = m - o,   r2 = o - m',   r3 = m - c',   r4 = c' - m',   r5 = o - c'

and sums two weighted sums of their products. The weights hang on means over the window, so what is
kept are the means of the parts and of the parts' products; the rest is arithmetic at its end.
"""
from libc.math cimport NAN, fabs, log, sqrt

from mrcore.rolling cimport moments_free, moments_init, moments_mean, moments_push, moments_t


cdef enum:
    MOVED, OPENS, CLOSES, R1, R3, R5        # means of the bar
    PARTS                                   # r1 r2, tau r2, r3 r4, tau r4, r1 r5, tau r5, r5 r4
    PRODUCTS = 13                           # of two parts of one sum, i <= k, in rows: 10 and 9
    N_MEANS = 32


ctypedef struct edge_t:
    Py_ssize_t window       # bars that have one before them
    double high             # logs of the bar before; NaN: none
    double low
    double close
    moments_t mean[N_MEANS]


ctypedef struct spread_sum_t:
    double mean
    double variance


cdef inline int edge_init(edge_t* e, Py_ssize_t window) noexcept nogil:
    """No bar yet; -1 when there is no memory (free it all the same)."""
    cdef Py_ssize_t k
    cdef int failed = 0
    e.window = window
    e.high = e.low = e.close = NAN
    for k in range(N_MEANS):
        failed |= moments_init(&e.mean[k], window)
    return failed


cdef inline void edge_free(edge_t* e) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(N_MEANS):
        moments_free(&e.mean[k])


cdef inline void edge_push(
    edge_t* e, double opened, double high, double low, double close
) noexcept nogil:
    cdef double o = log(opened), h = log(high), low_ = log(low), c = log(close)
    cdef double m = 0.5 * (h + low_), before = 0.5 * (e.high + e.low)
    cdef double r1 = m - o, r2 = o - before, r3 = m - e.close
    cdef double r4 = e.close - before, r5 = o - e.close
    cdef double tau = <double>(h != low_ or low_ != e.close)
    cdef double part[7]
    cdef Py_ssize_t i, k, at = PRODUCTS, first
    part[0] = r1 * r2
    part[1] = tau * r2
    part[2] = r3 * r4
    part[3] = tau * r4
    part[4] = r1 * r5
    part[5] = tau * r5
    part[6] = r5 * r4
    moments_push(&e.mean[MOVED], tau)
    moments_push(&e.mean[OPENS], tau * (<double>(o != h) + <double>(o != low_)))
    moments_push(&e.mean[CLOSES], tau * (<double>(e.close != e.high) + <double>(e.close != e.low)))
    moments_push(&e.mean[R1], r1)
    moments_push(&e.mean[R3], r3)
    moments_push(&e.mean[R5], r5)
    for k in range(7):
        moments_push(&e.mean[PARTS + k], part[k])
    # The parts 0..3 make one sum, 3..6 the other: 3 is in both, and its square is kept once.
    for first in range(0, 6, 3):
        for i in range(first, first + 4):
            for k in range(i, first + 4):
                if first == 0 or i > 3 or k > 3:
                    moments_push(&e.mean[at], part[i] * part[k])
                    at += 1
    e.high = h
    e.low = low_
    e.close = c


cdef inline Py_ssize_t edge_product(Py_ssize_t i, Py_ssize_t k) noexcept nogil:
    """Which mean is that of part i times part k, i <= k, both of one sum."""
    if k <= 3:                              # rows of 4, 3, 2, 1
        return PRODUCTS + 4 * i - i * (i - 1) // 2 + k - i
    return PRODUCTS + 10 + (k - 4 if i == 3 else 3 + 3 * (i - 4) - (i - 4) * (i - 5) // 2 + k - i)


cdef inline spread_sum_t edge_sum(
    const edge_t* e, Py_ssize_t first, const double* weight
) noexcept nogil:
    """Mean and variance over the window of a sum of four parts from `first` on."""
    cdef Py_ssize_t i, k
    cdef double square = 0.0, total = 0.0
    cdef spread_sum_t s
    for i in range(4):
        total += weight[i] * moments_mean(&e.mean[PARTS + first + i])
        square += (weight[i] * weight[i]
                   * moments_mean(&e.mean[edge_product(first + i, first + i)]))
        for k in range(i + 1, 4):
            square += (2.0 * weight[i] * weight[k]
                       * moments_mean(&e.mean[edge_product(first + i, first + k)]))
    s.mean = total
    s.variance = square - total * total
    return s


cdef inline double edge_value(const edge_t* e) noexcept nogil:
    """The spread, a fraction; NaN until the window is full, and where too little moved."""
    cdef double moved = moments_mean(&e.mean[MOVED])
    cdef double opens = moments_mean(&e.mean[OPENS]), closes = moments_mean(&e.mean[CLOSES])
    cdef double weight[4]
    cdef double a, b, found
    cdef spread_sum_t one, two
    if not (moved * <double>e.window > 1.5 and opens > 0.0 and closes > 0.0):
        return NAN
    a = -4.0 / opens
    b = -4.0 / closes
    weight[0] = a
    weight[1] = -a * moments_mean(&e.mean[R1]) / moved
    weight[2] = b
    weight[3] = -b * moments_mean(&e.mean[R3]) / moved
    one = edge_sum(e, 0, weight)
    weight[0] = -b * moments_mean(&e.mean[R5]) / moved
    weight[1] = a
    weight[2] = -a * moments_mean(&e.mean[R1]) / moved
    weight[3] = b
    two = edge_sum(e, 3, weight)
    if one.variance + two.variance > 0.0:
        found = ((two.variance * one.mean + one.variance * two.mean)
                 / (one.variance + two.variance))
    else:
        found = 0.5 * (one.mean + two.mean)
    return sqrt(fabs(found))

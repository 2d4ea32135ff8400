"""C interface of mrcore.rolling_moments: central moments up to the fourth of a window.

Blocks as in rolling.pxd. Values join a part, and a part joins another, by the update formulas
of Pebay (2008, "Formulas for robust, one-pass parallel computation of covariances and
arbitrary-order statistical moments"): moments about the mean are added to, never sums about a
far origin that cancel with a power of the distance.
"""
from libc.math cimport NAN, isfinite
from libc.stdlib cimport calloc


ctypedef struct part_t:
    double mean             # relative to the part's origin
    double m2               # sums of powers about the mean
    double m3
    double m4


ctypedef struct shape_t:
    Py_ssize_t window
    Py_ssize_t at           # values in the present block
    bint full               # there is a block before the present one
    double old              # last value of the block before, origin of its tails
    double ref              # first value of the present block, origin of the head
    part_t head             # the present block
    double* block           # owned: values of the present block
    part_t* tail            # owned: [k] is the block before without its first k values


cdef inline int shape_init(shape_t* s, Py_ssize_t window) noexcept nogil:
    """Empty window of >= 1 values, in zeroed memory; -1 when there is no memory."""
    s.window = window
    s.block = <double*>calloc(window, sizeof(double))
    s.tail = <part_t*>calloc(window, sizeof(part_t))
    return -1 if s.block is NULL or s.tail is NULL else 0


cdef inline void part_add(part_t* p, Py_ssize_t before, double x) noexcept nogil:
    """One more value to a part of so many."""
    cdef double n0 = <double>before, n = n0 + 1.0
    cdef double d = x - p.mean, dn = d / n, square = d * dn * n0
    p.mean += dn
    p.m4 += square * dn * dn * (n * n - 3.0 * n + 3.0) + 6.0 * dn * dn * p.m2 - 4.0 * dn * p.m3
    p.m3 += square * dn * (n - 2.0) - 3.0 * dn * p.m2
    p.m2 += square


cdef inline void shape_push(shape_t* s, double x) noexcept nogil:
    cdef Py_ssize_t k
    cdef part_t none, tail
    none.mean = none.m2 = none.m3 = none.m4 = 0.0
    if not isfinite(x):
        x = NAN
    if s.at == s.window:
        s.old = s.block[s.window - 1]
        tail = none
        for k in range(s.window - 1, 0, -1):
            part_add(&tail, s.window - 1 - k, s.block[k] - s.old)
            s.tail[k] = tail
        s.at = 0
        s.full = True
    if s.at == 0:
        s.ref = x
        s.head = none
    part_add(&s.head, s.at, x - s.ref)
    s.block[s.at] = x
    s.at += 1


cdef inline part_t shape_part(const shape_t* s) noexcept nogil:
    """Sums about the mean of the last `window` values; NaN until there are that many."""
    cdef part_t a = s.head
    cdef const part_t* b
    cdef double d, na = <double>s.at, n = <double>s.window, nb = n - na
    if s.at < s.window:
        if not s.full:
            a.mean = a.m2 = a.m3 = a.m4 = NAN
            return a
        b = &s.tail[s.at]
        d = (s.old - s.ref) + b.mean - a.mean
        a.m4 += (
            b.m4
            + d * d * d * d * na * nb * (na * na - na * nb + nb * nb) / (n * n * n)
            + 6.0 * d * d * (na * na * b.m2 + nb * nb * a.m2) / (n * n)
            + 4.0 * d * (na * b.m3 - nb * a.m3) / n
        )
        a.m3 += (
            b.m3
            + d * d * d * na * nb * (na - nb) / (n * n)
            + 3.0 * d * (na * b.m2 - nb * a.m2) / n
        )
        a.m2 += b.m2 + d * d * na * nb / n
        a.mean += d * nb / n
    a.mean += s.ref
    return a

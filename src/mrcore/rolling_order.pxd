"""C interface of mrcore.rolling_order: the last values kept sorted.

A value comes in and the oldest goes by one memmove of what lies between their places: O(n) bytes
but contiguous, which at windows of bars is faster than any tree. Places are found by bisection.
"""
from libc.math cimport NAN, isfinite
from libc.stdlib cimport calloc
from libc.string cimport memmove


ctypedef struct order_t:
    Py_ssize_t window
    Py_ssize_t at           # slot of the oldest value
    Py_ssize_t size         # finite values in the window
    double* ring            # owned: values in the order they came; NaN where not finite
    double* sorted          # owned: the finite ones of them


cdef inline int order_init(order_t* o, Py_ssize_t window) noexcept nogil:
    """Window of >= 1 values, all NaN, in zeroed memory; -1 when there is no memory."""
    cdef Py_ssize_t i
    o.window = window
    o.ring = <double*>calloc(window, sizeof(double))
    o.sorted = <double*>calloc(window, sizeof(double))
    if o.ring is NULL or o.sorted is NULL:
        return -1
    for i in range(window):
        o.ring[i] = NAN
    return 0


cdef inline Py_ssize_t order_below(const order_t* o, double x) noexcept nogil:
    """How many values are below x."""
    cdef Py_ssize_t low = 0, left = o.size, half
    while left > 0:
        half = left // 2
        if o.sorted[low + half] < x:
            low += half + 1
            left -= half + 1
        else:
            left = half
    return low


cdef inline Py_ssize_t order_upto(const order_t* o, double x) noexcept nogil:
    """How many values are at or below x."""
    cdef Py_ssize_t low = 0, left = o.size, half
    while left > 0:
        half = left // 2
        if o.sorted[low + half] <= x:
            low += half + 1
            left -= half + 1
        else:
            left = half
    return low


cdef inline void order_push(order_t* o, double x) noexcept nogil:
    cdef double old = o.ring[o.at]
    cdef Py_ssize_t place
    o.ring[o.at] = x if isfinite(x) else NAN
    o.at = o.at + 1 if o.at + 1 < o.window else 0
    if isfinite(old):
        place = order_below(o, old)
        o.size -= 1
        memmove(o.sorted + place, o.sorted + place + 1, (o.size - place) * sizeof(double))
    if isfinite(x):
        place = order_below(o, x)
        memmove(o.sorted + place + 1, o.sorted + place, (o.size - place) * sizeof(double))
        o.sorted[place] = x
        o.size += 1


cdef inline double order_quantile(const order_t* o, double q) noexcept nogil:
    """Between the two nearest values in proportion; NaN when the window is not full."""
    cdef double at = q * <double>(o.window - 1), low, high, part
    cdef Py_ssize_t k = <Py_ssize_t>at
    if o.size < o.window:
        return NAN
    if k >= o.window - 1:
        return o.sorted[o.window - 1]
    low = o.sorted[k]
    high = o.sorted[k + 1]
    part = at - <double>k
    # from the nearer end, so that it is exact at both and never falls as q grows
    if part < 0.5:
        return low + (high - low) * part
    return high - (high - low) * (1.0 - part)


cdef inline double order_rank(const order_t* o, double x) noexcept nogil:
    """Share of the other values below x, the newest value; half of those equal to it count."""
    cdef Py_ssize_t below, ties
    if o.size < o.window:
        return NAN
    below = order_below(o, x)
    ties = order_upto(o, x) - below - 1
    return (<double>below + 0.5 * <double>ties) / <double>(o.window - 1)


cdef inline double order_median(const order_t* o) noexcept nogil:
    if o.size < o.window:
        return NAN
    return (o.sorted[(o.window - 1) // 2] + o.sorted[o.window // 2]) * 0.5


cdef inline double order_distance(const order_t* o, double x, Py_ssize_t k) noexcept nogil:
    """The k-th smallest (1 <= k <= window) of the distances |value - x|.

    The k nearest lie side by side: of all runs of k sorted values, the one whose farther end is
    nearest. As a run moves up, its lower end comes nearer and its upper end goes away.
    """
    cdef Py_ssize_t low = 0, high = o.window - k, middle
    cdef double distance
    while low < high:
        middle = (low + high) // 2
        if x - o.sorted[middle] > o.sorted[middle + k - 1] - x:
            low = middle + 1
        else:
            high = middle
    distance = o.sorted[low + k - 1] - x            # `low` is the first whose upper end is farther
    if low + k == o.window and x - o.sorted[low] > distance:
        distance = x - o.sorted[low]
    if low > 0 and x - o.sorted[low - 1] < distance:
        distance = x - o.sorted[low - 1]
    return distance


cdef inline double order_mad(const order_t* o, double median) noexcept nogil:
    """Median of the distances from the median."""
    cdef double distance
    if o.size < o.window:
        return NAN
    distance = order_distance(o, median, o.window // 2 + 1)
    if o.window % 2:
        return distance
    return (distance + order_distance(o, median, o.window // 2)) * 0.5

"""C interface of mrcore.rolling_dfa: how far a cumulative sum strays from its local lines.

What detrending leaves of a segment does not depend on the window around it: a line through the
segment takes the mean that the window would subtract with it. So each segment's residual is
computed once, when its last value comes, and kept; a window adds up those of its segments.
"""
from libc.math cimport NAN, log
from libc.stdlib cimport calloc
from libc.string cimport memmove

from mrcore.owned cimport owned_add, owned_list_t
from mrcore.rolling_column cimport slide_full, slide_init, slide_own, slide_push, slide_t


cdef enum:
    MOST_SCALES = 16


ctypedef struct dfa_t:
    slide_t x
    Py_ssize_t scales
    Py_ssize_t scale[MOST_SCALES]
    double weight[MOST_SCALES]          # of log F in the slope
    double bias             # of the slope, for independent values
    double* rest            # owned: for each scale as many as x.data, at the segment's last value


cdef inline double dfa_bias(const dfa_t* f, Py_ssize_t window) noexcept nogil:
    """Expected slope less 1/2 for independent normal values (see RollingDFA)."""
    cdef double s, square, segments, bias = -0.5
    cdef Py_ssize_t i
    for i in range(f.scales):
        s = <double>f.scale[i]
        square = s * s
        segments = <double>window / s
        bias += f.weight[i] * (
            0.5 * log((square - 4.0) / (15.0 * s))
            - (11.0 * square + 181.0) / (112.0 * (square - 4.0) * segments)
        )
    return bias


cdef inline int dfa_init(dfa_t* f, Py_ssize_t window) noexcept nogil:
    """Empty window; `scale` and `scales` are set. -1 when there is no memory."""
    cdef double mean = 0.0, size = 0.0
    cdef Py_ssize_t i
    for i in range(f.scales):
        mean += log(<double>f.scale[i])
    mean /= <double>f.scales
    for i in range(f.scales):
        f.weight[i] = log(<double>f.scale[i]) - mean
        size += f.weight[i] * f.weight[i]
    for i in range(f.scales):
        f.weight[i] /= size
    f.bias = dfa_bias(f, window)
    f.rest = <double*>calloc(window, 2 * f.scales * sizeof(double))
    return -1 if slide_init(&f.x, window) < 0 or f.rest is NULL else 0


cdef inline void dfa_own(dfa_t* f, owned_list_t* owned) noexcept nogil:
    slide_own(&f.x, owned)
    owned_add(owned, <void**>&f.rest, f.x.window * 2 * f.scales * sizeof(double))


cdef inline double segment_rest(const double* x, Py_ssize_t n) noexcept nogil:
    """Sum of squares that a line leaves of the cumulative sum of n values about their mean."""
    cdef double mean = 0.0, y = 0.0, s1 = 0.0, st = 0.0, s2 = 0.0, rest
    cdef double t = -0.5 * <double>(n - 1), size = <double>n
    cdef Py_ssize_t i
    for i in range(n):
        mean += x[i] - x[0]
    mean /= size
    for i in range(n):
        y += x[i] - x[0] - mean
        s1 += y
        st += y * t
        s2 += y * y
        t += 1.0
    rest = s2 - s1 * s1 / size - st * st / (size * (size * size - 1.0) / 12.0)
    return rest if rest > 1e-14 * s2 else 0.0           # a line, to rounding


cdef inline void dfa_push(dfa_t* f, double x) noexcept nogil:
    cdef Py_ssize_t i, width = 2 * f.x.window, at
    cdef double* rest
    cdef const double* first
    if f.x.end == width:                                # slide_push moves x likewise
        for i in range(f.scales):
            rest = f.rest + i * width
            memmove(rest, rest + f.x.window + 1, (f.x.window - 1) * sizeof(double))
    first = slide_push(&f.x, x)
    at = f.x.end - 1
    for i in range(f.scales):
        f.rest[i * width + at] = (
            segment_rest(first + f.x.window - f.scale[i], f.scale[i])
            if f.x.run >= f.scale[i] else NAN
        )


cdef inline double dfa_slope(const dfa_t* f) noexcept nogil:
    """Slope of log F on log scale; NaN without a full window, or with an F of 0."""
    cdef Py_ssize_t i, j, s, segments, n = f.x.window
    cdef const double* last
    cdef double total, slope = 0.0
    if not slide_full(&f.x):
        return NAN
    for i in range(f.scales):
        s = f.scale[i]
        segments = n // s
        last = f.rest + i * 2 * n + f.x.end - 1
        total = 0.0
        for j in range(segments):                       # from the newest value back
            total += last[-j * s]
        if n % s:                                       # and from the oldest on
            last -= n - s
            for j in range(segments):
                total += last[j * s]
            segments *= 2
        if not total > 0.0:
            return NAN
        slope += f.weight[i] * 0.5 * log(total / <double>(segments * s))
    return slope

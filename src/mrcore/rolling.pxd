"""C interface of mrcore.rolling: windows as structs that another loop can compile in.

Moments are never kept as sums from which old values are subtracted: such sums drift
and, on prices, cancel (on log prices a naive variance comes out negative). Values are
taken in blocks of one window instead (the scheme of van Herk 1992 and Gil & Werman
1993 for running extremes). A window is then the tail of the block before and the head
of the present one; the tails are summed once, backwards, when a block is complete, and
the head grows by addition. Nothing is ever removed, so nothing is left behind.

Each part is summed relative to one of its own values, which bounds the cancellation:
the sum of squares about such an origin is at most (n + 1) times that about the mean.

A value that is not finite makes every window that holds it NaN, and no other.
"""
from libc.math cimport INFINITY, NAN, copysign, isfinite, sqrt
from libc.stdlib cimport calloc, free


# One column -------------------------------------------------------------------------

ctypedef struct tail_t:
    double mean             # relative to moments_t.old
    double m2               # sum of squares about the mean


ctypedef struct moments_t:
    Py_ssize_t window
    Py_ssize_t at           # values in the present block
    bint full               # there is a block before the present one
    double old              # last value of the block before, origin of its tails
    double ref              # first value of the present block, origin of s1 and s2
    double s1               # sums over the present block of x - ref and its square
    double s2
    double* block           # owned: values of the present block
    tail_t* tail            # owned: [k] is the block before without its first k values


cdef inline int moments_init(moments_t* m, Py_ssize_t window) noexcept nogil:
    """Empty window of >= 1 values; -1 when there is no memory (free it all the same)."""
    m.window = window
    m.at = 0
    m.full = False
    m.old = m.ref = m.s1 = m.s2 = 0.0
    m.block = <double*>calloc(window, sizeof(double))
    m.tail = <tail_t*>calloc(window, sizeof(tail_t))
    return -1 if m.block is NULL or m.tail is NULL else 0


cdef inline void moments_free(moments_t* m) noexcept nogil:
    free(m.block)
    free(m.tail)
    m.block = NULL
    m.tail = NULL


cdef inline void moments_turn(moments_t* m) noexcept nogil:
    """The present block is complete: sum its tails and begin another."""
    cdef Py_ssize_t k
    cdef double d, mean, s1 = 0.0, s2 = 0.0
    m.old = m.block[m.window - 1]
    for k in range(m.window - 1, 0, -1):
        d = m.block[k] - m.old
        s1 += d
        s2 += d * d
        mean = s1 / <double>(m.window - k)
        m.tail[k].mean = mean
        m.tail[k].m2 = s2 - s1 * mean
    m.at = 0
    m.full = True


cdef inline void moments_push(moments_t* m, double x) noexcept nogil:
    cdef double d
    if not isfinite(x):
        x = NAN
    if m.at == m.window:
        moments_turn(m)
    if m.at == 0:
        m.ref = x
        m.s1 = m.s2 = 0.0
    d = x - m.ref
    m.s1 += d
    m.s2 += d * d
    m.block[m.at] = x
    m.at += 1


cdef inline double moments_mean(const moments_t* m) noexcept nogil:
    """Mean of the last `window` values; NaN until there are that many."""
    cdef double s1 = m.s1
    if m.at < m.window:
        if not m.full:
            return NAN
        s1 += (m.window - m.at) * ((m.old - m.ref) + m.tail[m.at].mean)
    return m.ref + s1 / <double>m.window


cdef inline double moments_m2(const moments_t* m) noexcept nogil:
    """Sum of squares about the mean, >= 0 (0 exactly when all are equal); NaN as the mean."""
    cdef double head, shift, m2
    if m.at < m.window and not m.full:
        return NAN
    head = m.s1 / <double>m.at
    m2 = m.s2 - m.s1 * head
    if m.at < m.window:
        shift = (m.old - m.ref) + m.tail[m.at].mean - head
        m2 += m.tail[m.at].m2
        m2 += shift * shift * (<double>m.at * <double>(m.window - m.at) / <double>m.window)
    return 0.0 if m2 < 0.0 else m2


# Two columns ------------------------------------------------------------------------

ctypedef struct cross_t:
    double mean_x           # in a tail: relative to pairs_t.old_x and old_y
    double mean_y
    double xx               # sums of products about the means
    double xy
    double yy


ctypedef struct line_t:
    double slope            # NaN when x does not vary
    double intercept
    double r2               # in [0, 1]; NaN when x or y does not vary
    double t                # of the slope, residual variance over window - 2


ctypedef struct pairs_t:
    Py_ssize_t window
    Py_ssize_t at           # pairs in the present block
    bint full               # there is a block before the present one
    double old_x            # last pair of the block before
    double old_y
    double ref_x            # first pair of the present block
    double ref_y
    double sx               # sums over the present block relative to the first pair
    double sy
    double sxx
    double sxy
    double syy
    double* block           # owned: x, y, x, y, ... of the present block
    cross_t* tail           # owned: [k] is the block before without its first k pairs


cdef inline int pairs_init(pairs_t* p, Py_ssize_t window) noexcept nogil:
    """Empty window of >= 2 pairs; -1 when there is no memory (free it all the same)."""
    p.window = window
    p.at = 0
    p.full = False
    p.old_x = p.old_y = p.ref_x = p.ref_y = 0.0
    p.sx = p.sy = p.sxx = p.sxy = p.syy = 0.0
    p.block = <double*>calloc(window, 2 * sizeof(double))
    p.tail = <cross_t*>calloc(window, sizeof(cross_t))
    return -1 if p.block is NULL or p.tail is NULL else 0


cdef inline void pairs_free(pairs_t* p) noexcept nogil:
    free(p.block)
    free(p.tail)
    p.block = NULL
    p.tail = NULL


cdef inline void pairs_turn(pairs_t* p) noexcept nogil:
    """The present block is complete: sum its tails and begin another."""
    cdef Py_ssize_t k
    cdef double dx, dy, sx = 0.0, sy = 0.0, sxx = 0.0, sxy = 0.0, syy = 0.0
    cdef cross_t* tail
    p.old_x = p.block[2 * p.window - 2]
    p.old_y = p.block[2 * p.window - 1]
    for k in range(p.window - 1, 0, -1):
        dx = p.block[2 * k] - p.old_x
        dy = p.block[2 * k + 1] - p.old_y
        sx += dx
        sy += dy
        sxx += dx * dx
        sxy += dx * dy
        syy += dy * dy
        tail = &p.tail[k]
        tail.mean_x = sx / <double>(p.window - k)
        tail.mean_y = sy / <double>(p.window - k)
        tail.xx = sxx - sx * tail.mean_x
        tail.xy = sxy - sx * tail.mean_y
        tail.yy = syy - sy * tail.mean_y
    p.at = 0
    p.full = True


cdef inline void pairs_push(pairs_t* p, double x, double y) noexcept nogil:
    cdef double dx, dy
    if not (isfinite(x) and isfinite(y)):
        x = y = NAN
    if p.at == p.window:
        pairs_turn(p)
    if p.at == 0:
        p.ref_x = x
        p.ref_y = y
        p.sx = p.sy = p.sxx = p.sxy = p.syy = 0.0
    dx = x - p.ref_x
    dy = y - p.ref_y
    p.sx += dx
    p.sy += dy
    p.sxx += dx * dx
    p.sxy += dx * dy
    p.syy += dy * dy
    p.block[2 * p.at] = x
    p.block[2 * p.at + 1] = y
    p.at += 1


cdef inline cross_t pairs_cross(const pairs_t* p) noexcept nogil:
    """Means and sums of products of the last `window` pairs; NaN until there are that many."""
    cdef cross_t c
    cdef const cross_t* tail
    cdef double head_x, head_y, shift_x, shift_y, weight
    if p.at < p.window and not p.full:
        c.mean_x = c.mean_y = c.xx = c.xy = c.yy = NAN
        return c
    head_x = p.sx / <double>p.at
    head_y = p.sy / <double>p.at
    c.xx = p.sxx - p.sx * head_x
    c.xy = p.sxy - p.sx * head_y
    c.yy = p.syy - p.sy * head_y
    if p.at < p.window:
        tail = &p.tail[p.at]
        shift_x = (p.old_x - p.ref_x) + tail.mean_x - head_x
        shift_y = (p.old_y - p.ref_y) + tail.mean_y - head_y
        weight = <double>(p.window - p.at) / <double>p.window
        head_x += weight * shift_x
        head_y += weight * shift_y
        weight *= <double>p.at
        c.xx += tail.xx + weight * shift_x * shift_x
        c.xy += tail.xy + weight * shift_x * shift_y
        c.yy += tail.yy + weight * shift_y * shift_y
    c.mean_x = p.ref_x + head_x
    c.mean_y = p.ref_y + head_y
    if c.xx < 0.0:
        c.xx = 0.0
    if c.yy < 0.0:
        c.yy = 0.0
    return c


cdef inline double pairs_slope(const pairs_t* p) noexcept nogil:
    """Least-squares slope of y on x; NaN when x does not vary."""
    cdef cross_t c = pairs_cross(p)
    return c.xy / c.xx if c.xx > 0.0 else NAN


cdef inline line_t pairs_line(const pairs_t* p) noexcept nogil:
    """Least-squares line of y on x with its classical (not robust) t-statistic."""
    cdef line_t line
    cdef cross_t c = pairs_cross(p)
    cdef double explained, rest, error = 0.0
    line.slope = line.intercept = line.r2 = line.t = NAN
    if not c.xx > 0.0:
        return line
    line.slope = c.xy / c.xx
    line.intercept = c.mean_y - line.slope * c.mean_x
    explained = line.slope * c.xy
    if explained > c.yy:                # by rounding, on an exact fit
        explained = c.yy
    if c.yy > 0.0:
        line.r2 = explained / c.yy
    rest = c.yy - explained
    if p.window > 2:
        if rest > 0.0:
            error = sqrt(rest / <double>(p.window - 2) / c.xx)
        if error > 0.0:                 # 0 too where the variance of x is beyond all bounds
            line.t = line.slope / error
        elif line.slope != 0.0:
            line.t = copysign(INFINITY, line.slope)
    return line


# Extremes ---------------------------------------------------------------------------

ctypedef struct extreme_t:
    Py_ssize_t window
    double sign             # +1 maximum, -1 minimum (of x, kept as the maximum of -x)
    Py_ssize_t count        # values seen
    Py_ssize_t bad          # count at which the last value that is not finite came; 0: never
    Py_ssize_t head         # slot of the oldest candidate
    Py_ssize_t size         # candidates
    double* value           # owned ring: candidates, falling from the oldest to the newest
    Py_ssize_t* born        # owned ring: count at which each came


cdef inline int extreme_init(extreme_t* e, Py_ssize_t window, double sign) noexcept nogil:
    """Empty window of >= 1 values; -1 when there is no memory (free it all the same)."""
    e.window = window
    e.sign = sign
    e.count = e.bad = e.head = e.size = 0
    e.value = <double*>calloc(window, sizeof(double))
    e.born = <Py_ssize_t*>calloc(window, sizeof(Py_ssize_t))
    return -1 if e.value is NULL or e.born is NULL else 0


cdef inline void extreme_free(extreme_t* e) noexcept nogil:
    free(e.value)
    free(e.born)
    e.value = NULL
    e.born = NULL


cdef inline void extreme_push(extreme_t* e, double x) noexcept nogil:
    """A value stays a candidate until a later one is as extreme or the window leaves it."""
    cdef Py_ssize_t slot
    e.count += 1
    if e.size > 0 and e.born[e.head] <= e.count - e.window:
        e.head = e.head + 1 if e.head + 1 < e.window else 0
        e.size -= 1
    if not isfinite(x):
        e.bad = e.count
        return
    x *= e.sign
    slot = e.head + e.size
    if slot >= e.window:
        slot -= e.window
    while e.size > 0:
        slot = slot - 1 if slot > 0 else e.window - 1
        if e.value[slot] > x:
            slot = slot + 1 if slot + 1 < e.window else 0
            break
        e.size -= 1
    e.value[slot] = x
    e.born[slot] = e.count
    e.size += 1


cdef inline double extreme_value(const extreme_t* e) noexcept nogil:
    """Extreme of the last `window` values; NaN until there are that many."""
    if e.count < e.window or (e.bad > 0 and e.bad > e.count - e.window):
        return NAN
    return e.sign * e.value[e.head]


# Exponential weights ----------------------------------------------------------------

cdef inline double ewma_step(double mean, double x, double alpha) noexcept nogil:
    """Next mean: the first finite x begins it, an x that is not finite leaves it."""
    if not isfinite(x):
        return mean
    return mean + alpha * (x - mean) if isfinite(mean) else x


# Shared with other modules' classes -------------------------------------------------

cdef int check_window(str name, long long window, long long least) except -1
cdef tuple moments_state(const moments_t* m)
cdef int moments_restore(moments_t* m, tuple state) except -1
cdef tuple pairs_state(const pairs_t* p)
cdef int pairs_restore(pairs_t* p, tuple state) except -1

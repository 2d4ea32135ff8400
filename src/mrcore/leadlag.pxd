"""C interface of mrcore.leadlag: sums of products of overlapping increments, in a window of time.

One instant holds at most one increment of either series. When it passes, each increment is
multiplied with those of the other series that are known and that it overlaps, once for each lag;
as increments add up to differences of the price, that is one product a lag. The products of an
instant are a row: it enters the window with the instant, and leaves it with it.

Rows are summed by a queue of two stacks: the older rows hold the sums from themselves on to the
youngest of the older, the younger ones are added up as they come, and when no older one is left
the younger become the older. Nothing is ever subtracted, so nothing is left behind.
"""
from libc.math cimport NAN, fabs, isfinite, sqrt
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memmove, memset

from mrcore.types cimport nanos_t


cdef enum:
    X = 0
    Y = 1
    SQUARES = 0             # columns of a row: sums of squares of X and Y,
    COUNTS = 2              # increments of X and Y,
    PRODUCTS = 4            # and products, one a lag
    RESULTS = 5


ctypedef struct path_t:
    Py_ssize_t head         # the oldest point that a later increment of the other can need
    Py_ssize_t end
    Py_ssize_t room
    nanos_t* time           # owned: when the price changed
    double* price           # owned: log, less the changes that were left out
    Py_ssize_t* at          # owned: by lag, last point at or before where it was asked for last
    double left_out
    double last_price       # log
    double next_price       # at the present instant, if it is pending
    bint pending


ctypedef struct leadlag_t:
    nanos_t window
    Py_ssize_t n_lags
    Py_ssize_t zero         # the lag of 0
    nanos_t* lag            # owned: ascending
    nanos_t reach           # the largest, without its sign
    double least            # increments of either series without which there is no value
    nanos_t now
    bint closed             # asked for at `now`: it cannot change any more
    path_t path[2]
    Py_ssize_t width        # of a row
    Py_ssize_t head         # rows: [head, turn) hold sums up to turn, [turn, end) their own
    Py_ssize_t turn
    Py_ssize_t end
    Py_ssize_t room
    nanos_t* time           # owned: of rows
    double* row             # owned
    double* young           # owned: sum of rows [turn, end)


cdef inline int leadlag_init(leadlag_t* f, nanos_t window, Py_ssize_t n_lags,
                             double least) noexcept nogil:
    """Empty window; -1 when there is no memory (free it all the same). Lags are set after."""
    cdef Py_ssize_t k
    memset(f, 0, sizeof(leadlag_t))
    f.window = window
    f.n_lags = n_lags
    f.least = least
    f.width = PRODUCTS + n_lags
    f.lag = <nanos_t*>calloc(n_lags, sizeof(nanos_t))
    f.young = <double*>calloc(f.width, sizeof(double))
    for k in range(2):
        f.path[k].at = <Py_ssize_t*>calloc(n_lags, sizeof(Py_ssize_t))
        if f.path[k].at is NULL:
            return -1
    return -1 if f.lag is NULL or f.young is NULL else 0


cdef inline void leadlag_free(leadlag_t* f) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(2):
        free(f.path[k].time)
        free(f.path[k].price)
        free(f.path[k].at)
    free(f.lag)
    free(f.time)
    free(f.row)
    free(f.young)


# Points of a series -----------------------------------------------------------------

cdef inline int path_room(path_t* p, Py_ssize_t n_lags) noexcept nogil:
    """Room for one more point; -1 when there is no memory."""
    cdef Py_ssize_t k, kept = p.end - p.head, more
    cdef void* grown
    if p.end < p.room:
        return 0
    if p.head >= kept and p.head > 0:
        memmove(p.time, p.time + p.head, kept * sizeof(nanos_t))
        memmove(p.price, p.price + p.head, kept * sizeof(double))
        for k in range(n_lags):
            p.at[k] = max(p.at[k] - p.head, 0)
        p.head = 0
        p.end = kept
        return 0
    more = 2 * p.room if p.room > 0 else 256
    grown = realloc(p.time, more * sizeof(nanos_t))
    if grown is NULL:
        return -1
    p.time = <nanos_t*>grown
    grown = realloc(p.price, more * sizeof(double))
    if grown is NULL:
        return -1
    p.price = <double*>grown
    p.room = more
    return 0


cdef inline Py_ssize_t path_seek(const path_t* p, Py_ssize_t at, nanos_t time) noexcept nogil:
    """Last point at or before a time, looked for from `at` on; the first point if none is."""
    at = max(at, p.head)
    while at + 1 < p.end and p.time[at + 1] <= time:
        at += 1
    return at


cdef inline double path_change(path_t* p, Py_ssize_t k, nanos_t start,
                               nanos_t end) noexcept nogil:
    """Sum of the known increments whose interval overlaps (start, end]; for the k-th lag."""
    cdef Py_ssize_t first = path_seek(p, p.at[k], start)
    cdef Py_ssize_t last = path_seek(p, first, end)
    p.at[k] = last
    if p.time[last] < end and last + 1 < p.end:
        last += 1                       # its interval began before the end
    return p.price[last] - p.price[first]


cdef inline void path_forget(path_t* p, nanos_t time) noexcept nogil:
    """No increment to come asks for a time before this one."""
    while p.head + 1 < p.end and p.time[p.head + 1] <= time:
        p.head += 1


# Rows -------------------------------------------------------------------------------

cdef inline int row_room(leadlag_t* f) noexcept nogil:
    """Room for one more row; -1 when there is no memory."""
    cdef Py_ssize_t kept = f.end - f.head, more
    cdef void* grown
    if f.end < f.room:
        return 0
    if f.head >= kept and f.head > 0:
        memmove(f.time, f.time + f.head, kept * sizeof(nanos_t))
        memmove(f.row, f.row + f.head * f.width, kept * f.width * sizeof(double))
        f.turn -= f.head
        f.head = 0
        f.end = kept
        return 0
    more = 2 * f.room if f.room > 0 else 256
    grown = realloc(f.time, more * sizeof(nanos_t))
    if grown is NULL:
        return -1
    f.time = <nanos_t*>grown
    grown = realloc(f.row, more * f.width * sizeof(double))
    if grown is NULL:
        return -1
    f.row = <double*>grown
    f.room = more
    return 0


cdef inline void row_drop(leadlag_t* f, nanos_t time) noexcept nogil:
    """Rows up to a time leave the window."""
    cdef Py_ssize_t i, k
    while f.head < f.end and f.time[f.head] <= time:
        if f.head == f.turn:            # no older row is left: the younger become the older
            for i in range(f.end - 2, f.turn - 1, -1):
                for k in range(f.width):
                    f.row[i * f.width + k] += f.row[(i + 1) * f.width + k]
            memset(f.young, 0, f.width * sizeof(double))
            f.turn = f.end
        f.head += 1


# One instant ------------------------------------------------------------------------

cdef inline void settle_one(leadlag_t* f, int which, double* row) noexcept nogil:
    """The price of a series at the present instant is final: its increment and its products."""
    cdef path_t* p = &f.path[which]
    cdef path_t* other = &f.path[1 - which]
    cdef Py_ssize_t k
    cdef nanos_t start = 0, shift
    cdef double change = p.next_price - p.last_price
    cdef bint begins = p.end == 0
    p.pending = False
    if p.end > 0:
        start = p.time[p.end - 1]
        if change == 0.0:
            return
        if f.now - start > f.window:
            begins = True
            p.left_out += change
    p.last_price = p.next_price
    p.time[p.end] = f.now
    p.price[p.end] = p.next_price - p.left_out
    p.end += 1
    if begins:
        return
    row[SQUARES + which] = change * change
    row[COUNTS + which] = 1.0
    if other.end == 0:
        return
    for k in range(f.n_lags):
        # X is put later by the lag: Y is looked up later than X, X earlier than Y.
        shift = f.lag[k] if which == X else -f.lag[k]
        row[PRODUCTS + k] += change * path_change(other, k, start + shift, f.now + shift)


cdef inline int leadlag_settle(leadlag_t* f) noexcept nogil:
    """The present instant is over; -1 when there is no memory."""
    cdef int which
    cdef Py_ssize_t k
    cdef double* row
    if not (f.path[X].pending or f.path[Y].pending):
        return 0
    if row_room(f) < 0:
        return -1
    row = f.row + f.end * f.width
    memset(row, 0, f.width * sizeof(double))
    for which in range(2):
        if f.path[which].pending:
            if path_room(&f.path[which], f.n_lags) < 0:
                return -1
            settle_one(f, which, row)
        path_forget(&f.path[which], f.now - f.window - f.reach)
    row_drop(f, f.now - f.window)
    if row[COUNTS + X] + row[COUNTS + Y] > 0.0:
        f.time[f.end] = f.now
        for k in range(f.width):
            f.young[k] += row[k]
        f.end += 1
    return 0


cdef inline int leadlag_event(leadlag_t* f, int which, nanos_t time,
                              double log_price) noexcept nogil:
    """One price, at `now` or later; -1 when there is no memory."""
    if time > f.now:
        if leadlag_settle(f) < 0:
            return -1
        f.now = time
        f.closed = False
    if fabs(log_price) < 1000.0:        # NaN is not; nor has any float such a logarithm
        f.path[which].pending = True
        f.path[which].next_price = log_price
    return 0


cdef inline bint nearer(const leadlag_t* f, Py_ssize_t k, Py_ssize_t best) noexcept nogil:
    """Whether a lag is nearer to 0."""
    cdef nanos_t one = f.lag[k], two = f.lag[best]
    return (one if one >= 0 else -one) < (two if two >= 0 else -two)


cdef inline int leadlag_value(leadlag_t* f, nanos_t time, double* out) noexcept nogil:
    """The five results at a time, `now` or later; -1 when there is no memory."""
    cdef Py_ssize_t k, best = 0
    cdef const double* old
    cdef double scale, u, size, most = -1.0, before = 0.0, after = 0.0
    cdef double sums[PRODUCTS]
    if leadlag_settle(f) < 0:
        return -1
    f.now = time
    f.closed = True
    row_drop(f, time - f.window)
    for k in range(RESULTS):
        out[k] = NAN
    old = f.row + f.head * f.width if f.head < f.turn else NULL
    for k in range(PRODUCTS):
        sums[k] = f.young[k] + (old[k] if old is not NULL else 0.0)
    scale = sqrt(sums[SQUARES + X]) * sqrt(sums[SQUARES + Y])
    if sums[COUNTS + X] < f.least or sums[COUNTS + Y] < f.least or not scale > 0.0:
        return 0
    for k in range(f.n_lags):
        u = f.young[PRODUCTS + k] + (old[PRODUCTS + k] if old is not NULL else 0.0)
        if k == f.zero:
            out[0] = u
            out[1] = u / scale
        u /= scale
        if k < f.zero:
            before += u * u
        elif k > f.zero:
            after += u * u
        size = fabs(u)
        if size > most or (size == most and nearer(f, k, best)):
            most = size
            best = k
            out[2] = <double>f.lag[k] / 1e9
            out[3] = u
    if before > 0.0 and isfinite(after / before):
        out[4] = after / before
    return 0

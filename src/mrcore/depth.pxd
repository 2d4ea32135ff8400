"""Lots in the best n levels of a book, kept up to date level by level.

A ladder walked anew after each delta costs n steps a side. Most deltas change the size of a
level or lie behind the best n, so the sum is carried (integers: exactly) and the ladder is
looked at only where a level comes or goes among them.
"""
from libc.stdint cimport INT64_MIN, int64_t

cimport cython

from mrcore.kernels cimport imbalance
from mrcore.ladder cimport (
    NO_KEY, book_set, book_t, book_uncross, ladder_key, ladder_next, ladder_t, level_key,
)
from mrcore.types cimport lots_t, side_t, tick_t


ctypedef struct top_t:
    lots_t lots             # in the best n levels
    int64_t last            # key of the n-th level; INT64_MIN: there are fewer


ctypedef struct depth_t:
    Py_ssize_t n
    top_t top[2]            # bid, ask


cdef inline void top_walk(top_t* t, const ladder_t* d, Py_ssize_t n) noexcept nogil:
    """Sum the ladder anew."""
    cdef lots_t lots = 0
    cdef int64_t key = -NO_KEY
    t.lots = 0
    t.last = INT64_MIN
    for _ in range(n):
        key = ladder_next(d, key, &lots)
        if key == NO_KEY:
            return
        t.lots += lots
    t.last = key


cdef inline void top_shift(top_t* t, const ladder_t* d, Py_ssize_t n, bint came) noexcept nogil:
    """A level came or went among the best n, and its lots are counted."""
    cdef lots_t lots = 0
    cdef int64_t slot
    if t.last == INT64_MIN:             # few levels: whatever it is, it is quick
        top_walk(t, d, n)
    elif came:                          # the n-th falls out, and the one above it is the last
        slot = t.last - d.base
        if slot < 0:
            top_walk(t, d, n)
            return
        t.lots -= d.lots[slot]
        slot += 1
        while d.lots[slot] == 0:
            slot += 1
        t.last = d.base + slot
    else:
        t.last = ladder_next(d, t.last, &lots)
        t.lots += lots
        if t.last == NO_KEY:
            t.last = INT64_MIN


cdef inline void depth_walk(depth_t* t, const book_t* b) noexcept nogil:
    """Sum both ladders anew, as at the start."""
    top_walk(&t.top[0], &b.ladder[0], t.n)
    top_walk(&t.top[1], &b.ladder[1], t.n)


cdef inline void depth_set(
    depth_t* t, book_t* b, side_t side, tick_t tick, lots_t lots
) noexcept nogil:
    """`book_set` and `book_settle`, with the sums kept."""
    cdef int s = side < 0
    cdef top_t* top = &t.top[s]
    cdef lots_t before = book_set(b, side, tick, lots)
    # masks, as in `book_set`
    cdef int64_t within = -<int64_t>(level_key(side, tick) >= top.last)
    top.lots += (lots - before) & within
    if within & ((lots == 0) ^ (before == 0)):
        top_shift(top, &b.ladder[s], t.n, before == 0)
    if cython.unlikely(ladder_key(&b.ladder[0]) + ladder_key(&b.ladder[1]) >= 0):
        book_uncross(b)
        depth_walk(t, b)


cdef inline double depth_value(const depth_t* t) noexcept nogil:
    """Depth imbalance, NaN where both sides are empty."""
    return imbalance(<double>t.top[0].lots, <double>t.top[1].lots)

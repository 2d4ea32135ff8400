"""State and kernels of a book: two ladders of levels.

The state is a plain struct and its kernels are inline functions on a pointer to
it, so that another module's loop compiles them in. ``mrcore.book.L2Book`` owns one.

Both sides use one code path: a level's *key* is its tick on the bid side and
minus its tick on the ask side, so the best level is the greatest key on either
side and the book is crossed when the two best keys add up to 0 or more. Keys in
``[base, base + window)`` are slots of a flat array; the rare rest lies sorted in
``far``. Every key of ``far`` is below ``base``.
"""
from libc.stdint cimport int64_t, uint64_t

cimport cython

from mrcore.kernels cimport imbalance
from mrcore.owned cimport owned_add, owned_list_t
from mrcore.types cimport MAX_LOTS, lots_t, side_t, tick_t


cdef extern from *:
    """
    /* Key of the best level of an empty side: two of them never add up to a cross. */
    #define MRCORE_NO_KEY (-(1LL << 60))
    """
    const int64_t NO_KEY "MRCORE_NO_KEY"


ctypedef struct level_t:
    int64_t key
    lots_t lots


ctypedef struct ladder_t:
    lots_t* lots                # window slots; lots[-1] is a sentinel, never 0
    int64_t base                # key of slot 0
    int64_t best                # slot of the best level, -1 when the side is empty
    level_t* far                # levels below the window, best first
    Py_ssize_t n_far
    Py_ssize_t far_capacity
    int64_t known               # keys from here upwards are trusted


ctypedef struct book_t:
    ladder_t ladder[2]          # bid, ask
    int64_t window              # slots a ladder
    int64_t newest              # side whose best improved last: wins when crossed
    bint failed                 # out of memory, seen at the boundary
    int64_t unknown_deletes     # deletes of levels that were not there (legal)
    int64_t crossed             # messages that left the book crossed


cdef int book_init(book_t* b, int64_t window) noexcept nogil
cdef void book_free(book_t* b) noexcept nogil
cdef void book_clear(book_t* b) noexcept nogil
cdef lots_t book_set_far(book_t* b, ladder_t* d, int64_t key, lots_t lots) noexcept nogil
cdef void ladder_refill(book_t* b, ladder_t* d) noexcept nogil
cdef void book_uncross(book_t* b) noexcept nogil
cdef int64_t ladder_next_far(const ladder_t* d, int64_t key, lots_t* lots) noexcept nogil


cdef inline void book_owned(book_t* b, owned_list_t* owned) noexcept nogil:
    """Its arrays."""
    cdef int s
    for s in range(2):
        owned_add(owned, <void**>&b.ladder[s].lots, (b.window + 1) * sizeof(lots_t),
                  sizeof(lots_t))
        owned_add(owned, <void**>&b.ladder[s].far, b.ladder[s].far_capacity * sizeof(level_t))


cdef inline int64_t level_key(side_t side, tick_t tick) noexcept nogil:
    """Key of a level, without a branch on the side."""
    cdef int64_t ask = -<int64_t>(side < 0)
    return (tick ^ ask) - ask


cdef inline lots_t book_set(book_t* b, side_t side, tick_t tick, lots_t lots) noexcept nogil:
    """Set the size of one level, 0 removes it; return the size it had."""
    cdef ladder_t* d = &b.ladder[side < 0]
    cdef int64_t key = level_key(side, tick)
    cdef int64_t slot = key - d.base, best = d.best
    cdef lots_t before
    cdef int64_t improved       # all bits or none
    if cython.unlikely(<uint64_t>slot >= <uint64_t>b.window):
        return book_set_far(b, d, key, lots)
    before = d.lots[slot]
    d.lots[slot] = lots
    b.unknown_deletes += (before | lots) == 0
    # masks, not branches (the walk seldom starts): sides and sizes do not predict
    improved = -<int64_t>((slot > best) & (lots != 0))
    b.newest ^= (b.newest ^ side) & improved
    best ^= (best ^ slot) & improved
    while d.lots[best] == 0:
        best -= 1
    d.best = best
    if cython.unlikely(best < 0 and d.n_far > 0):
        ladder_refill(b, d)
    return before


cdef inline bint book_row(book_t* b, side_t side, tick_t tick, lots_t lots) noexcept nogil:
    """One row of a tape: side 0 clears the book. False when lots is no size: not applied."""
    if cython.unlikely(<uint64_t>lots > <uint64_t>MAX_LOTS):
        return False
    if cython.unlikely(side == 0):
        book_clear(b)
    else:
        book_set(b, side, tick, lots)
    return True


cdef inline int64_t ladder_key(const ladder_t* d) noexcept nogil:
    """Key of the best level, NO_KEY when the side is empty."""
    return d.base + d.best if d.best >= 0 else NO_KEY


cdef inline tick_t book_bid(const book_t* b) noexcept nogil:
    """Best bid tick, NO_KEY when there is none."""
    return ladder_key(&b.ladder[0])


cdef inline tick_t book_ask(const book_t* b) noexcept nogil:
    """Best ask tick, -NO_KEY when there is none."""
    return -ladder_key(&b.ladder[1])


cdef inline lots_t ladder_best_lots(const ladder_t* d) noexcept nogil:
    """Size of the best level, 0 when the side is empty."""
    return d.lots[d.best] if d.best >= 0 else 0


cdef inline lots_t book_lots(const book_t* b, side_t side, tick_t tick) noexcept nogil:
    """Size of one level, 0 when it is not there."""
    cdef const ladder_t* d = &b.ladder[side < 0]
    cdef int64_t key = -tick if side < 0 else tick
    cdef int64_t slot = key - d.base
    cdef lots_t lots = 0
    if <uint64_t>slot < <uint64_t>b.window:
        return d.lots[slot]
    return lots if ladder_next_far(d, key + 1, &lots) == key else 0


cdef inline int64_t ladder_next(const ladder_t* d, int64_t key, lots_t* lots) noexcept nogil:
    """Key and size of the best level below ``key``; NO_KEY when there is none."""
    cdef int64_t slot = key - d.base - 1
    if slot >= 0:
        if slot > d.best:
            slot = d.best
        while slot >= 0 and d.lots[slot] == 0:
            slot -= 1
        if slot >= 0:
            lots[0] = d.lots[slot]
            return d.base + slot
    return ladder_next_far(d, key, lots)


cdef inline void book_settle(book_t* b) noexcept nogil:
    """End of a message: a book that it left crossed is resolved and counted."""
    if cython.unlikely(ladder_key(&b.ladder[0]) + ladder_key(&b.ladder[1]) >= 0):
        book_uncross(b)


cdef inline lots_t ladder_depth(const ladder_t* d, Py_ssize_t n) noexcept nogil:
    """Summed lots of the best `n` levels."""
    cdef lots_t lots = 0, total = 0
    cdef int64_t key = -NO_KEY
    for _ in range(n):
        key = ladder_next(d, key, &lots)
        if key == NO_KEY:
            break
        total += lots
    return total


cdef inline double book_imbalance(const book_t* b, Py_ssize_t n) noexcept nogil:
    """Depth imbalance of the best `n` levels, NaN when there are none."""
    return imbalance(<double>ladder_depth(&b.ladder[0], n), <double>ladder_depth(&b.ladder[1], n))

"""The two ladders of a book: what of their kernels is rare, and so not inline."""
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memmove, memset

from mrcore.types cimport lots_t, side_t


cdef int book_init(book_t* b, int64_t window) noexcept nogil:
    """Make an empty book; -1 when there is no memory."""
    cdef int s
    memset(b, 0, sizeof(book_t))
    b.window = window
    for s in range(2):
        b.ladder[s].lots = <lots_t*>calloc(window + 1, sizeof(lots_t))
        if b.ladder[s].lots is NULL:
            return -1
        b.ladder[s].lots[0] = 1
        b.ladder[s].lots += 1
    book_clear(b)
    b.ladder[0].known = b.ladder[1].known = INT64_MAX
    return 0


cdef void book_free(book_t* b) noexcept nogil:
    cdef int s
    for s in range(2):
        if b.ladder[s].lots is not NULL:
            free(b.ladder[s].lots - 1)
        free(b.ladder[s].far)
    memset(b, 0, sizeof(book_t))


cdef void book_clear(book_t* b) noexcept nogil:
    """Remove every level of both sides."""
    cdef int s
    for s in range(2):
        memset(b.ladder[s].lots, 0, b.window * sizeof(lots_t))
        b.ladder[s].base = INT64_MIN // 2   # no key is inside until the first one comes
        b.ladder[s].best = -1
        b.ladder[s].n_far = 0
    b.newest = 0


cdef Py_ssize_t far_find(const ladder_t* d, int64_t key) noexcept nogil:
    """First index whose key is `key` or less."""
    cdef Py_ssize_t lo = 0, hi = d.n_far, mid
    while lo < hi:
        mid = (lo + hi) >> 1
        if d.far[mid].key > key:
            lo = mid + 1
        else:
            hi = mid
    return lo


cdef int far_make_room(book_t* b, ladder_t* d, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """Open `n` entries at index `at`; -1 when there is no memory."""
    cdef Py_ssize_t capacity = d.far_capacity
    cdef level_t* grown
    if n == 0:
        return 0    # `far` may be NULL still, which memmove may not be given
    if d.n_far + n > capacity:
        capacity = 2 * (d.n_far + n) + 64
        grown = <level_t*>realloc(d.far, capacity * sizeof(level_t))
        if grown is NULL:
            b.failed = True
            return -1
        d.far = grown
        d.far_capacity = capacity
    memmove(d.far + at + n, d.far + at, (d.n_far - at) * sizeof(level_t))
    d.n_far += n
    return 0


cdef void ladder_move(book_t* b, ladder_t* d, int64_t base) noexcept nogil:
    """Move the window to ``[base, base + window)``; no level may lie above it."""
    cdef int64_t shift = base - d.base, slot, keep
    cdef Py_ssize_t n = 0
    cdef bint empty = d.best < 0
    if empty:
        d.base = base
    elif shift > 0:                     # upwards: the lowest slots go to `far`
        keep = b.window - shift if shift < b.window else 0
        for slot in range(b.window - keep):
            n += d.lots[slot] != 0
        if far_make_room(b, d, 0, n) < 0:
            return
        for slot in range(b.window - keep):
            if d.lots[slot] != 0:
                n -= 1
                d.far[n].key = d.base + slot
                d.far[n].lots = d.lots[slot]
        memmove(d.lots, d.lots + (b.window - keep), keep * sizeof(lots_t))
        memset(d.lots + keep, 0, (b.window - keep) * sizeof(lots_t))
        d.base = base
        d.best = d.best - shift if d.best >= shift else -1
    elif shift < 0:                     # downwards: the slots move up, the top ones are empty
        memmove(d.lots - shift, d.lots, (b.window + shift) * sizeof(lots_t))
        memset(d.lots, 0, -shift * sizeof(lots_t))
        d.base = base
        d.best -= shift
    # whatever of `far` the window now covers
    n = 0
    while n < d.n_far and d.far[n].key >= base:
        d.lots[d.far[n].key - base] = d.far[n].lots
        n += 1
    if n > 0:
        if d.best < 0:
            d.best = d.far[0].key - base
        memmove(d.far, d.far + n, (d.n_far - n) * sizeof(level_t))
        d.n_far -= n


cdef void ladder_refill(book_t* b, ladder_t* d) noexcept nogil:
    """The window ran empty: put it around the best of `far`."""
    ladder_move(b, d, d.far[0].key - (b.window - b.window // 4))


cdef lots_t book_set_far(book_t* b, ladder_t* d, int64_t key, lots_t lots) noexcept nogil:
    """`book_set` for a key outside the window."""
    cdef Py_ssize_t at
    cdef lots_t before
    cdef int64_t quarter = b.window // 4
    cdef side_t side = 1 if d is &b.ladder[0] else -1
    if lots != 0 and (d.best < 0 or key >= d.base + b.window):
        # the new best: three quarters of the window lie below it
        ladder_move(b, d, key - (b.window - quarter))
        if b.failed:
            return 0
        d.lots[key - d.base] = lots
        d.best = key - d.base
        b.newest = side
        return 0
    if 0 <= d.best < quarter // 2 and key < d.base:
        # the touch sank to the lower end: bring the window down around it
        ladder_move(b, d, d.base + d.best - (b.window - quarter))
        if key >= d.base:
            return book_set(b, side, -key if side < 0 else key, lots)
    at = far_find(d, key)
    before = d.far[at].lots if at < d.n_far and d.far[at].key == key else 0
    if lots == 0:
        if before == 0:
            b.unknown_deletes += 1
        else:
            memmove(d.far + at, d.far + at + 1, (d.n_far - at - 1) * sizeof(level_t))
            d.n_far -= 1
    elif before != 0 or far_make_room(b, d, at, 1) == 0:
        d.far[at].key = key
        d.far[at].lots = lots
    return before


cdef int64_t ladder_next_far(const ladder_t* d, int64_t key, lots_t* lots) noexcept nogil:
    """`ladder_next` among the levels below the window."""
    cdef Py_ssize_t at = far_find(d, key - 1)
    if at == d.n_far:
        return NO_KEY
    lots[0] = d.far[at].lots
    return d.far[at].key


cdef void book_uncross(book_t* b) noexcept nogil:
    """Remove what the newest best crosses: those levels are stale, their delete was lost."""
    cdef ladder_t* old = &b.ladder[b.newest > 0]
    cdef ladder_t* new = &b.ladder[b.newest < 0]
    cdef side_t old_side = <side_t>-b.newest
    cdef int64_t limit = -ladder_key(new), key
    b.crossed += 1
    while True:
        key = ladder_key(old)
        if key == NO_KEY or key < limit:
            return
        book_set(b, old_side, -key if old_side < 0 else key, 0)

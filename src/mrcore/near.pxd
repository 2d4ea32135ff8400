"""The near book: how its levels grow and shrink, and what of that was traded.

Rows are taken one by one. A level counts as among the best K of its side when it is there before
or after its change; one that enters because another left has not changed.

A trade and the change of the book it makes are two messages, either of which may come first. A
reduction is provisional until `match_ns` has passed: trades at its price that come until then
claim it, the oldest reduction first, and only what is left then was cancelled. A trade that comes
first leaves a credit at its level for `match_ns`, from which reductions are paid. Reductions and
credits wait in the order they came; their sums lie in a table indexed by the tick, a slot a level,
so that each row costs the same. Where two levels of a side, a multiple of SLOTS ticks apart, both
have something outstanding, the newcomer is not matched: its reduction counts as cancelled and its
trade as unmatched at once.

Sums are whole lots in doubles: exact below 2**53, and never an overflow.
"""
from libc.stdint cimport INT64_MIN, int64_t
from libc.stdlib cimport calloc, free

cimport cython

from mrcore.depth cimport top_shift, top_t
from mrcore.ladder cimport (
    NO_KEY, book_set, book_t, book_uncross, ladder_key, ladder_next, ladder_t, level_key,
)
from mrcore.owned cimport owned_add, owned_list_t
from mrcore.pending cimport (
    due_t, pending_clear, pending_free, pending_owned, pending_pop, pending_push, pending_t,
)
from mrcore.tape cimport NEVER
from mrcore.types cimport lots_t, nanos_t, side_t, tick_t


cdef enum:
    SLOTS = 4096            # levels of a side that the table can tell apart
    WINDOWS = 3             # the best 5, 10 and 20 levels
    FIVE = 5                # each is twice the one before
    TEN = 10
    TWENTY = 20

cdef extern from *:
    """
    /* No more lots than this wait at one level: far beyond any market, and within 64 bits. */
    #define MRCORE_MOST_WAITING (1LL << 61)
    """
    const int64_t MOST_WAITING "MRCORE_MOST_WAITING"


ctypedef struct slot_t:     # of one level
    int64_t tag             # which level since which gap
    lots_t reduced          # lots of its reductions that wait,
    lots_t claimed          # of which trades claimed
    lots_t traded           # lots of its credits that wait,
    lots_t used             # of which reductions were paid
    nanos_t last_trade
    lots_t grown            # lots that came in one large change, 0: none
    lots_t stood            # size before that change
    nanos_t grown_at
    int64_t vanished        # number of such changes undone, that wait


ctypedef struct near_t:
    nanos_t match_ns
    nanos_t flicker_ns
    double flicker_size     # a change is large from so many mean levels on
    int64_t levels[2]       # bid, ask
    top_t top[2][WINDOWS]
    slot_t* slot            # SLOTS of bids, SLOTS of asks
    int64_t gaps
    pending_t reductions
    pending_t credits
    pending_t vanished
    # in the bar
    double ofi[2]           # of the best 5 and 10 levels
    double added[2]         # bid, ask; among the best 20
    double cancelled[2]
    double unmatched
    double flickered[2]     # among the best 10


cdef inline void near_restart(near_t* n) noexcept nogil:
    """A new bar begins."""
    cdef int s
    for s in range(2):
        n.ofi[s] = n.added[s] = n.cancelled[s] = n.flickered[s] = 0.0
    n.unmatched = 0.0


cdef inline void near_gap(near_t* n) noexcept nogil:
    """The book was cleared: what waits is dropped."""
    n.gaps += 1                 # so that no slot is of a level known now
    pending_clear(&n.reductions)
    pending_clear(&n.credits)
    pending_clear(&n.vanished)


cdef inline void near_tops(near_t* n, const book_t* b) noexcept nogil:
    """Sum the best levels anew."""
    cdef lots_t lots = 0
    cdef int64_t key
    cdef Py_ssize_t k
    cdef int s, w
    for s in range(2):
        for w in range(WINDOWS):
            n.top[s][w].lots = 0
            n.top[s][w].last = INT64_MIN
        key = -NO_KEY
        for k in range(1, 1 + min(<int64_t>TWENTY, n.levels[s])):
            key = ladder_next(&b.ladder[s], key, &lots)
            for w in range(WINDOWS):
                if k <= FIVE << w:
                    n.top[s][w].lots += lots
                if k == FIVE << w:
                    n.top[s][w].last = key


cdef inline int64_t levels_from(const ladder_t* d, int64_t key) noexcept nogil:
    """Number of levels that are there or better."""
    cdef lots_t lots = 0
    cdef int64_t n = 0, at = ladder_next(d, -NO_KEY, &lots)
    while at >= key and at != NO_KEY:
        n += 1
        at = ladder_next(d, at, &lots)
    return n


cdef inline void near_anew(near_t* n, const book_t* b) noexcept nogil:
    """The book has become another one."""
    n.levels[0] = levels_from(&b.ladder[0], NO_KEY)
    n.levels[1] = levels_from(&b.ladder[1], NO_KEY)
    near_tops(n, b)


cdef inline void near_uncross(near_t* n, book_t* b) noexcept nogil:
    """`book_uncross`, which takes the best levels of the older side away."""
    cdef int s = b.newest > 0
    n.levels[s] -= levels_from(&b.ladder[s], -ladder_key(&b.ladder[1 - s]))
    book_uncross(b)
    near_tops(n, b)


cdef inline int near_init(
    near_t* n, const book_t* b, nanos_t match_ns, nanos_t flicker_ns, double flicker_size
) noexcept nogil:
    """No change seen yet; -1 when there is no memory (free it all the same)."""
    n.match_ns = match_ns
    n.flicker_ns = flicker_ns
    n.flicker_size = flicker_size
    n.slot = <slot_t*>calloc(2 * SLOTS, sizeof(slot_t))
    near_gap(n)
    near_restart(n)
    near_anew(n, b)
    return -1 if n.slot is NULL else 0


cdef inline void near_free(near_t* n) noexcept nogil:
    free(n.slot)
    n.slot = NULL
    pending_free(&n.reductions)
    pending_free(&n.credits)
    pending_free(&n.vanished)


cdef inline void near_owned(near_t* n, owned_list_t* owned) noexcept nogil:
    """Its arrays."""
    owned_add(owned, <void**>&n.slot, 2 * SLOTS * sizeof(slot_t))
    pending_owned(&n.reductions, owned)
    pending_owned(&n.credits, owned)
    pending_owned(&n.vanished, owned)


cdef inline bint near_failed(const near_t* n) noexcept nogil:
    return n.reductions.failed or n.credits.failed or n.vanished.failed


# Levels -----------------------------------------------------------------------------------

cdef inline int64_t level_tag(const near_t* n, int s, tick_t tick) noexcept nogil:
    """A level since the last gap: the number of gaps (> 0), 31 bits of the tick, the side."""
    return n.gaps << 32 | tick << 1 | s


cdef inline slot_t* slot_of(near_t* n, int64_t tag) noexcept nogil:
    """Where a level is, if it is in the table."""
    return &n.slot[(tag & 1) * SLOTS + (tag >> 1 & (SLOTS - 1))]


cdef inline slot_t* slot_taken(near_t* n, int64_t tag, nanos_t now) noexcept nogil:
    """The slot of a level, which is put in if need be; NULL where another one occupies it."""
    cdef slot_t* slot = slot_of(n, tag)
    if slot.tag == tag:
        return slot
    if slot.tag >> 32 == n.gaps and (
            slot.reduced > 0 or slot.traded > 0 or slot.vanished > 0
            or (slot.grown > 0 and slot.grown_at >= now - n.flicker_ns)):
        return NULL
    slot.tag = tag
    slot.reduced = slot.claimed = slot.traded = slot.used = slot.grown = slot.vanished = 0
    slot.last_trade = -NEVER
    return slot


cdef inline void level_reduced(
    near_t* n, int s, tick_t tick, lots_t less, lots_t left, nanos_t now
) noexcept nogil:
    """A level lost `less` lots; `left` are left."""
    cdef int64_t tag = level_tag(n, s, tick)
    cdef slot_t* slot = slot_taken(n, tag, now)
    cdef lots_t paid
    if cython.unlikely(slot is NULL or slot.reduced > MOST_WAITING):
        n.cancelled[s] += <double>less
        return
    if slot.grown > 0 and slot.grown_at >= now - n.flicker_ns and (
            2 * (left - slot.stood) <= slot.grown):
        pending_push(&n.vanished, now + n.match_ns, slot.grown, tag, slot.grown_at)
        slot.vanished += 1
        slot.grown = 0
    paid = min(less, slot.traded - slot.used)
    slot.used += paid
    if less > paid:
        slot.reduced += less - paid
        pending_push(&n.reductions, now + n.match_ns, less - paid, tag, 0)


cdef inline bint top_set(
    top_t* t, const ladder_t* d, Py_ssize_t n, int64_t levels, int64_t key, lots_t before,
    lots_t lots
) noexcept nogil:
    """A level has changed from `before` to `lots`; whether it is, or was, among the best n.

    With the number of levels known no walk runs on below the last of them.
    """
    if key < t.last:
        return False
    t.lots += lots - before
    if lots == 0 or before == 0:
        if levels < n:
            t.last = INT64_MIN
        else:
            top_shift(t, d, n, before == 0)
    return True


cdef inline void near_row(
    near_t* n, book_t* b, side_t side, tick_t tick, lots_t lots, nanos_t now
) noexcept nogil:
    """One row of a message is applied, at local time `now`."""
    cdef int s = side < 0
    cdef const ladder_t* ladder = &b.ladder[s]
    cdef int64_t key = level_key(side, tick), levels
    cdef lots_t before = book_set(b, side, tick, lots), change = lots - before
    cdef lots_t ten = n.top[s][1].lots
    cdef bint full = n.levels[s] >= TEN, among_ten
    cdef slot_t* slot
    if change == 0:
        return
    levels = n.levels[s] + (before == 0) - (lots == 0)
    n.levels[s] = levels
    if not top_set(&n.top[s][2], ladder, TWENTY, levels, key, before, lots):
        return
    among_ten = top_set(&n.top[s][1], ladder, TEN, levels, key, before, lots)
    if among_ten:
        n.ofi[1] += <double>(side * change)
        if top_set(&n.top[s][0], ladder, FIVE, levels, key, before, lots):
            n.ofi[0] += <double>(side * change)
    if change < 0:
        level_reduced(n, s, tick, -change, lots, now)
        return
    n.added[s] += <double>change
    if among_ten and full and <double>TEN * <double>change >= n.flicker_size * <double>ten:
        slot = slot_taken(n, level_tag(n, s, tick), now)
        if slot is not NULL:
            slot.grown = change
            slot.stood = before
            slot.grown_at = now


cdef inline void near_trade(
    near_t* n, side_t side, tick_t tick, lots_t lots, nanos_t now
) noexcept nogil:
    """A trade of that aggressor: it took from the level of the other side."""
    cdef int64_t tag = level_tag(n, side > 0, tick)
    cdef slot_t* slot = slot_taken(n, tag, now)
    cdef lots_t claimed
    if cython.unlikely(slot is NULL or slot.traded > MOST_WAITING):
        n.unmatched += <double>lots
        return
    slot.last_trade = now
    claimed = min(lots, slot.reduced - slot.claimed)
    slot.claimed += claimed
    if lots > claimed:
        slot.traded += lots - claimed
        pending_push(&n.credits, now + n.match_ns, lots - claimed, tag, 0)


cdef inline void near_settle(near_t* n, nanos_t until) noexcept nogil:
    """What falls due up to `until` is known now."""
    cdef due_t item
    cdef slot_t* slot
    cdef lots_t matched
    while n.reductions.first <= until:
        item = pending_pop(&n.reductions)
        slot = slot_of(n, item.a)
        matched = min(item.lots, slot.claimed)
        slot.claimed -= matched
        slot.reduced -= item.lots
        n.cancelled[item.a & 1] += <double>(item.lots - matched)
    while n.credits.first <= until:
        item = pending_pop(&n.credits)
        slot = slot_of(n, item.a)
        matched = min(item.lots, slot.used)
        slot.used -= matched
        slot.traded -= item.lots
        n.unmatched += <double>(item.lots - matched)
    while n.vanished.first <= until:
        item = pending_pop(&n.vanished)
        slot = slot_of(n, item.a)
        slot.vanished -= 1
        if slot.last_trade < item.b:
            n.flickered[item.a & 1] += <double>item.lots


cdef inline void near_row_out(const near_t* n, double lot_size, double* out) noexcept nogil:
    """Its columns of a bar, base units."""
    out[0] = n.ofi[0] * lot_size
    out[1] = n.ofi[1] * lot_size
    out[2] = n.added[0] * lot_size
    out[3] = n.added[1] * lot_size
    out[4] = n.cancelled[0] * lot_size
    out[5] = n.cancelled[1] * lot_size
    out[6] = n.unmatched * lot_size
    out[7] = n.flickered[0] * lot_size
    out[8] = n.flickered[1] * lot_size

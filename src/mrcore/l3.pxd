"""C interface of mrcore.l3: the book order by order.

What a queue needs of an order is when it came to its place: ``arrival`` counts the orders as they
come, a later one at the same price stands behind. So no queue is kept; orders lie in one hash table
by their id, and the sizes of levels in a `book_t`.
"""
from libc.stdint cimport int8_t, int64_t, uint64_t

cimport cython

from mrcore.book cimport book_lots, book_set, book_t
from mrcore.types cimport lots_t, side_t, tick_t


cdef enum l3_kind_t:        # indices of KINDS; the first four are those of mrcore.market
    L3_NONE
    L3_ADD
    L3_CANCEL
    L3_FILL
    L3_MODIFY
    L3_CLEAR


ctypedef struct l3_order_t:
    int64_t order_id
    int64_t arrival         # from 1; 0 marks a free slot
    lots_t lots
    tick_t tick
    side_t side


ctypedef struct l3_row_t:   # what an event is to a level, and to orders that wait there
    side_t side             # 0: all levels go
    tick_t tick
    lots_t lots             # of the level, after it
    int8_t kind             # L3_ADD, L3_CANCEL, L3_FILL or L3_CLEAR
    int64_t arrival         # of the order
    lots_t quantity         # that came, went or traded


ctypedef struct l3_t:
    book_t book             # never settled: what the orders add up to, crossed or not
    l3_order_t* slot        # open addressing, linear probing, at most half full
    Py_ssize_t capacity     # a power of 2
    int shift               # 64 - log2(capacity)
    Py_ssize_t n_orders
    int64_t arrivals
    int64_t unknown         # events of orders that are not there
    int64_t duplicates      # orders that came twice
    int64_t excess          # cancels and fills of more than the order has
    bint failed             # out of memory, seen at the boundary


cdef int l3_init(l3_t* b, int64_t window) noexcept nogil
cdef void l3_free(l3_t* b) noexcept nogil
cdef void l3_clear(l3_t* b) noexcept nogil
cdef int l3_grow(l3_t* b) noexcept nogil


@cython.overflowcheck(False)
cdef inline Py_ssize_t l3_home(const l3_t* b, int64_t order_id) noexcept nogil:
    """First slot to look at (multiplicative hashing: ids are mostly consecutive)."""
    return <Py_ssize_t>((<uint64_t>order_id * 0x9E3779B97F4A7C15ULL) >> b.shift)


cdef inline Py_ssize_t l3_find(const l3_t* b, int64_t order_id) noexcept nogil:
    """Slot of an order, or the free one where it belongs."""
    cdef Py_ssize_t i = l3_home(b, order_id)
    while b.slot[i].arrival != 0 and b.slot[i].order_id != order_id:
        i = (i + 1) & (b.capacity - 1)
    return i


cdef inline void l3_vacate(l3_t* b, Py_ssize_t i) noexcept nogil:
    """Free a slot; orders that were put behind it move up, so that no search ends too early."""
    cdef Py_ssize_t mask = b.capacity - 1, k = i, home
    b.n_orders -= 1
    while True:
        k = (k + 1) & mask
        if b.slot[k].arrival == 0:
            break
        home = l3_home(b, b.slot[k].order_id)
        if ((k - home) & mask) >= ((k - i) & mask):     # it may stand at `i`
            b.slot[i] = b.slot[k]
            i = k
    b.slot[i].arrival = 0


@cython.overflowcheck(False)    # sizes beyond any market wrap, in every build
cdef inline void l3_level(l3_t* b, const l3_order_t* o, int8_t kind, lots_t change,
                          lots_t quantity, l3_row_t* out) noexcept nogil:
    """Change the size of an order's level, and say so."""
    out.side = o.side
    out.tick = o.tick
    out.lots = book_lots(&b.book, o.side, o.tick) + change
    out.kind = kind
    out.arrival = o.arrival
    out.quantity = quantity
    if change != 0:
        book_set(&b.book, o.side, o.tick, out.lots)


cdef inline void l3_reduce(l3_t* b, Py_ssize_t i, int8_t kind, lots_t lots,
                           l3_row_t* out) noexcept nogil:
    """Take lots off an order, which leaves when it has no more."""
    l3_level(b, &b.slot[i], kind, -lots, lots, out)
    b.slot[i].lots -= lots
    if b.slot[i].lots == 0:
        l3_vacate(b, i)


cdef inline int l3_insert(l3_t* b, int64_t order_id, side_t side, tick_t tick, lots_t lots,
                          l3_row_t* out) noexcept nogil:
    """Put an order at the end of its level's queue; the number of rows written."""
    cdef l3_order_t* o
    if 2 * (b.n_orders + 1) > b.capacity and l3_grow(b) < 0:
        return 0
    o = &b.slot[l3_find(b, order_id)]
    b.n_orders += 1
    b.arrivals += 1
    o.order_id = order_id
    o.arrival = b.arrivals
    o.lots = lots
    o.tick = tick
    o.side = side
    l3_level(b, o, L3_ADD, lots, lots, out)
    return 1


cdef inline int l3_apply(l3_t* b, int8_t kind, int64_t order_id, side_t side, tick_t tick,
                         lots_t lots, l3_row_t* out) noexcept nogil:
    """Take one event; the number of rows, at most 2, that it is to the levels."""
    cdef Py_ssize_t i
    cdef l3_order_t stranger
    if kind == L3_CLEAR:
        l3_clear(b)
        out.side = 0
        out.tick = out.lots = out.quantity = 0
        out.kind = L3_CLEAR
        out.arrival = b.arrivals
        return 1
    i = l3_find(b, order_id)
    if b.slot[i].arrival == 0:
        b.unknown += kind != L3_ADD
        if kind == L3_FILL:     # older than all we know of
            stranger.side = side
            stranger.tick = tick
            stranger.arrival = 0
            l3_level(b, &stranger, L3_FILL, 0, lots, out)
            return 1
        if kind == L3_CANCEL or lots == 0:
            return 0
        return l3_insert(b, order_id, side, tick, lots, out)
    if kind == L3_CANCEL or kind == L3_FILL:
        b.excess += lots > b.slot[i].lots
        if lots > b.slot[i].lots or lots == 0:
            lots = b.slot[i].lots
        l3_reduce(b, i, kind, lots, out)
        return 1
    b.duplicates += kind == L3_ADD
    if lots <= b.slot[i].lots and tick == b.slot[i].tick and side == b.slot[i].side:
        l3_reduce(b, i, L3_CANCEL, b.slot[i].lots - lots, out)
        return 1
    l3_reduce(b, i, L3_CANCEL, b.slot[i].lots, out)
    return 1 if lots == 0 else 1 + l3_insert(b, order_id, side, tick, lots, out + 1)


@cython.final
cdef class L3Book:
    cdef l3_t c
    cdef readonly double tick_size      # quote units a tick
    cdef readonly double lot_size       # base units a lot

    cdef lots_t ahead(self, side_t side, tick_t tick, int64_t arrival) noexcept
    cdef int check(self) except -1

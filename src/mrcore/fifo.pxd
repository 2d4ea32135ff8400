"""Limit-order book kept order by order: first in, first out at each level.

Only the synthetic market needs single orders; recorded feeds give levels (`mrcore.book`). A tick
holds bids or asks, never both, so one array of levels serves the two sides.
"""
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport realloc

from mrcore.types cimport lots_t, side_t


cdef struct order_t:
    int64_t id
    lots_t lots
    int32_t tick
    int32_t prev, next      # neighbours in the level's queue, -1 at its ends
    int32_t slot            # place in `live`, -1: not to be cancelled
    side_t side

cdef struct level_t:
    lots_t lots
    int32_t head, tail, n   # first and last of the queue (valid if n > 0), number of orders

cdef struct fifo_t:
    level_t* levels         # of tick - base
    int32_t base, n_levels
    int32_t best_bid, best_ask
    int64_t n_side[2]       # resting orders: bids, asks
    int64_t last_id
    order_t* orders         # pool; those not in use are chained by `next` from `free`
    int32_t* live           # orders that may be cancelled, in any order
    int32_t n_live, free, capacity


cdef inline level_t* fifo_level(const fifo_t* f, int32_t tick) noexcept nogil:
    """Level of a tick within [base, base + n_levels)."""
    return &f.levels[tick - f.base]


cdef inline int32_t fifo_best(const fifo_t* f, side_t side) noexcept nogil:
    """Best tick of a side that has an order."""
    return f.best_bid if side > 0 else f.best_ask


cdef inline int fifo_grow(fifo_t* f) noexcept nogil:
    """Double the pool; -1 when memory is short."""
    cdef int32_t capacity = max(1024, 2 * f.capacity), i
    cdef void* grown = realloc(f.orders, capacity * sizeof(order_t))
    if grown is NULL:
        return -1
    f.orders = <order_t*>grown
    grown = realloc(f.live, capacity * sizeof(int32_t))
    if grown is NULL:
        return -1
    f.live = <int32_t*>grown
    for i in range(f.capacity, capacity):
        f.orders[i].next = i + 1
    f.orders[capacity - 1].next = -1
    f.free = f.capacity
    f.capacity = capacity
    return 0


cdef inline int64_t fifo_add(fifo_t* f, side_t side, int32_t tick, lots_t lots,
                             bint cancellable) noexcept nogil:
    """Append an order to its level's queue; its id, -1 when memory is short."""
    cdef level_t* level = fifo_level(f, tick)
    cdef order_t* order
    cdef int32_t i
    if f.free < 0 and fifo_grow(f) < 0:
        return -1
    i = f.free
    order = &f.orders[i]
    f.free = order.next
    f.last_id += 1
    order.id = f.last_id
    order.lots = lots
    order.tick = tick
    order.side = side
    order.prev = level.tail if level.n > 0 else -1
    order.next = -1
    order.slot = -1
    if cancellable:
        order.slot = f.n_live
        f.live[f.n_live] = i
        f.n_live += 1
    if level.n == 0:
        level.head = i
    else:
        f.orders[level.tail].next = i
    level.tail = i
    level.n += 1
    level.lots += lots
    f.n_side[side < 0] += 1
    if side > 0:
        f.best_bid = max(f.best_bid, tick)
    else:
        f.best_ask = min(f.best_ask, tick)
    return order.id


cdef inline void fifo_remove(fifo_t* f, int32_t i) noexcept nogil:
    """Take order i out; its side must keep another one."""
    cdef order_t* order = &f.orders[i]
    cdef level_t* level = fifo_level(f, order.tick)
    if order.prev < 0:
        level.head = order.next
    else:
        f.orders[order.prev].next = order.next
    if order.next < 0:
        level.tail = order.prev
    else:
        f.orders[order.next].prev = order.prev
    level.n -= 1
    level.lots -= order.lots
    f.n_side[order.side < 0] -= 1
    if order.slot >= 0:
        f.n_live -= 1
        f.live[order.slot] = f.live[f.n_live]
        f.orders[f.live[order.slot]].slot = order.slot
    order.next = f.free
    f.free = i
    while fifo_level(f, f.best_bid).n == 0:
        f.best_bid -= 1
    while fifo_level(f, f.best_ask).n == 0:
        f.best_ask += 1


cdef inline void fifo_fill(fifo_t* f, int32_t i, lots_t lots) noexcept nogil:
    """Trade `lots` of order i, at most what it has; a filled order leaves, as in `fifo_remove`."""
    fifo_level(f, f.orders[i].tick).lots -= lots
    f.orders[i].lots -= lots
    if f.orders[i].lots == 0:
        fifo_remove(f, i)


cdef inline int32_t fifo_nth(const fifo_t* f, int32_t tick, int64_t n) noexcept nogil:
    """The order that has n others before it at its level."""
    cdef int32_t i = fifo_level(f, tick).head
    while n > 0:
        i = f.orders[i].next
        n -= 1
    return i

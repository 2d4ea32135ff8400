"""Orders, their logs and the messages about them. Inline only."""
from libc.stdint cimport int8_t, int64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

cimport cython

from mrcore.types cimport lots_t, nanos_t, side_t, tick_t


cdef enum event_t:          # indices of EVENTS
    SUBMITTED
    ACCEPTED
    REJECTED
    PARTIALLY_FILLED
    FILLED
    CANCEL_REQUESTED
    CANCELLED
    CANCEL_REJECTED
    EXPIRED
    REPLACE_REQUESTED
    REPLACED
    REPLACE_REJECTED
    TRIGGERED


cdef enum tif_t:            # indices of TIFS
    GTC
    POST_ONLY
    IOC
    MARKET
    FOK


cdef enum reason_t:         # indices of REASONS
    NO_REASON
    WOULD_TAKE
    NOT_MARKETABLE
    NO_LIQUIDITY
    FILL_OR_KILL
    SELF_TRADE
    WOULD_TRIGGER
    REDUCE_ONLY
    MAX_OPEN_ORDERS
    RATE_LIMIT
    NOT_OPEN
    LOST
    MARGIN
    LIQUIDATED
    CLEARED


cdef packed struct order_t:         # ORDER_DTYPE
    nanos_t time            # exchange time of the last change; local time until it arrives
    int64_t order_id
    int8_t status           # an event_t, at the exchange
    side_t side
    int8_t tif
    tick_t tick
    lots_t lots
    lots_t remaining
    double decision_mid
    tick_t stop_tick        # -1 without a stop
    int8_t reduce_only
    int8_t reason           # of the status, a reason_t


cdef packed struct order_event_t:   # ORDER_EVENT_DTYPE
    nanos_t time            # exchange clock; local for the three requests and what is LOST
    int64_t order_id
    int8_t event
    side_t side
    int8_t tif
    tick_t tick
    lots_t lots
    lots_t remaining
    int8_t reason


cdef packed struct fill_t:          # FILL_DTYPE
    nanos_t time
    int64_t order_id
    side_t side
    tick_t tick
    lots_t lots
    int8_t maker
    double fee
    double mid
    double decision_mid
    lots_t position_lots
    double cash


ctypedef struct message_t:          # a request on its way, or a response
    nanos_t time
    int64_t order           # index into the orders
    int8_t event            # SUBMITTED, REPLACE_REQUESTED and CANCEL_REQUESTED are requests
    tick_t tick             # of a fill or a replacement
    lots_t lots


ctypedef struct bus_t:              # messages in flight, first in first out: a ring
    message_t* item
    Py_ssize_t head
    Py_ssize_t n
    Py_ssize_t capacity             # a power of two, or 0


cdef inline void* grown(void* items, Py_ssize_t n, Py_ssize_t* capacity, size_t size,
                        bint* failed) noexcept nogil:
    """The array with room for one more item; NULL (and `failed`) when there is no memory."""
    cdef void* more
    if cython.likely(n < capacity[0]):
        return items
    more = realloc(items, (2 * n + 64) * size)
    if more is NULL:
        failed[0] = True
    else:
        capacity[0] = 2 * n + 64
    return more


cdef inline nanos_t bus_next(const bus_t* bus, nanos_t never) noexcept nogil:
    """Time of the next message, `never` when there is none."""
    return bus.item[bus.head].time if bus.n > 0 else never


cdef inline message_t* bus_at(const bus_t* bus, Py_ssize_t i) noexcept nogil:
    """The message `i` places behind the next one."""
    return &bus.item[(bus.head + i) & (bus.capacity - 1)]


cdef inline nanos_t bus_last(const bus_t* bus, nanos_t none) noexcept nogil:
    """Time of the last message, `none` when there is none."""
    return bus_at(bus, bus.n - 1).time if bus.n > 0 else none


cdef inline message_t bus_pop(bus_t* bus) noexcept nogil:
    cdef message_t message = bus.item[bus.head]
    bus.head = (bus.head + 1) & (bus.capacity - 1)
    bus.n -= 1
    return message


cdef inline void bus_push(bus_t* bus, message_t message, bint* failed) noexcept nogil:
    """Append a message; it never overtakes the one before."""
    cdef Py_ssize_t wrapped
    cdef void* more
    if cython.unlikely(bus.n == bus.capacity):
        more = malloc((2 * bus.n + 64 * (bus.n == 0)) * sizeof(message_t))
        if more is NULL:
            failed[0] = True
            return
        if bus.n > 0:
            wrapped = bus.n - bus.head
            memcpy(more, bus.item + bus.head, wrapped * sizeof(message_t))
            memcpy(<message_t*>more + wrapped, bus.item, bus.head * sizeof(message_t))
        free(bus.item)
        bus.item = <message_t*>more
        bus.head = 0
        bus.capacity = 2 * bus.n + 64 * (bus.n == 0)
    if bus.n > 0:
        message.time = max(message.time, bus_at(bus, bus.n - 1).time)
    bus.n += 1
    bus_at(bus, bus.n - 1)[0] = message


cdef inline bint is_final(int8_t event) noexcept nogil:
    """Whether nothing can follow of an order with this status."""
    return event == FILLED or event == CANCELLED or event == EXPIRED or event == REJECTED

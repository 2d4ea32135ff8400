"""C interface of mrcore.exchange: own orders against a recorded market.

The recorded market does not react: own orders are neither in its book nor in each
other's queues. The kernels that run at every event are inline here, the rest
(orders coming and going, the logs) is in the .pyx.
"""
from libc.math cimport NAN
from libc.stdint cimport int8_t, int64_t

cimport cython

from mrcore.book cimport (
    NO_KEY, book_ask, book_bid, book_set, book_settle, book_t, ladder_key, ladder_t,
)
from mrcore.queue cimport (
    queue_depth, queue_rule_t, queue_t,
)
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


cdef enum tif_t:            # indices of TIFS
    GTC
    POST_ONLY
    IOC
    MARKET


cdef packed struct order_t:         # ORDER_DTYPE
    nanos_t time            # exchange time of the last change; local time until it arrives
    int64_t order_id
    int8_t status           # an event_t
    side_t side
    int8_t tif
    tick_t tick
    lots_t lots
    lots_t remaining
    double decision_mid


cdef packed struct order_event_t:   # ORDER_EVENT_DTYPE
    nanos_t time            # exchange clock; local clock for the two requests
    int64_t order_id
    int8_t event
    side_t side
    int8_t tif
    tick_t tick
    lots_t lots
    lots_t remaining


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


ctypedef struct resting_t:
    int64_t key             # tick of a buy, minus the tick of a sell
    int64_t order           # index into `orders`
    queue_t queue


ctypedef struct message_t:          # a request on its way, or a response
    nanos_t time
    int64_t order
    int8_t event            # SUBMITTED and CANCEL_REQUESTED are requests
    tick_t tick             # of a fill
    lots_t lots


ctypedef struct bus_t:              # messages in flight, first in first out
    message_t* item
    Py_ssize_t head
    Py_ssize_t n
    Py_ssize_t capacity


ctypedef struct exchange_t:
    book_t book
    double tick_size
    double lot_size
    double multiplier
    double maker_fee
    double taker_fee
    queue_rule_t queue
    bint partial_fills
    nanos_t entry_latency
    nanos_t response_latency
    order_t* orders
    Py_ssize_t n_orders
    Py_ssize_t orders_capacity
    resting_t* resting[2]           # buys, sells; best price first, then arrival
    Py_ssize_t n_resting[2]
    Py_ssize_t resting_capacity[2]
    order_event_t* events
    Py_ssize_t n_events
    Py_ssize_t events_capacity
    fill_t* fills
    Py_ssize_t n_fills
    Py_ssize_t fills_capacity
    bus_t requests
    bus_t responses
    lots_t position
    double cash
    double fees
    bint failed                     # out of memory, seen at the boundary


cdef int queue_rule(queue_rule_t* rule, str model, double power, const double[::1] table,
                    object kernel) except -1
cdef int exchange_init(exchange_t* x, int64_t window) noexcept nogil
cdef void exchange_free(exchange_t* x) noexcept nogil
cdef int64_t exchange_request_submit(
    exchange_t* x, nanos_t now, side_t side, tick_t tick, lots_t lots, int8_t tif,
    double decision_mid) noexcept nogil
cdef void exchange_request_cancel(exchange_t* x, nanos_t now, int64_t order) noexcept nogil
cdef void exchange_serve(exchange_t* x) noexcept nogil
cdef void exchange_hit(
    exchange_t* x, nanos_t now, int side, int64_t key, lots_t lots, bint trade,
    double mid) noexcept nogil
cdef double exchange_mid(const exchange_t* x) noexcept nogil
cdef message_t bus_pop(bus_t* bus) noexcept nogil


cdef inline nanos_t bus_next(const bus_t* bus, nanos_t never) noexcept nogil:
    """Time of the next message, `never` when there is none."""
    return bus.item[bus.head].time if bus.n > 0 else never


cdef inline double mid_between(int64_t a, int64_t b, int side, double tick_size) noexcept nogil:
    """Mid price of the best keys of two sides, `a` of `side`; NaN when one is empty."""
    if a == NO_KEY or b == NO_KEY:
        return NAN
    return 0.5 * (b - a if side else a - b) * tick_size


cdef inline void exchange_delta(
    exchange_t* x, nanos_t now, side_t side, tick_t tick, lots_t lots
) noexcept nogil:
    """A level of the recorded book changes."""
    cdef int mine = side < 0, other = 1 - mine
    cdef ladder_t* d = &x.book.ladder[mine]
    cdef int64_t best = ladder_key(d), key
    cdef lots_t before = book_set(&x.book, side, tick, lots)
    cdef resting_t* r
    cdef Py_ssize_t k
    if x.n_resting[mine] > 0:
        key = -tick if mine else tick
        r = x.resting[mine]
        for k in range(x.n_resting[mine]):
            if r[k].key == key:
                queue_depth(&r[k].queue, &x.queue, before * x.lot_size, lots * x.lot_size)
    if x.n_resting[other] > 0:
        key = ladder_key(d)
        # a best that improves through an own order would have traded with it
        if cython.unlikely(key > best and x.resting[other][0].key + key >= 0):
            exchange_hit(x, now, other, -key, 0, False, mid_between(
                best, ladder_key(&x.book.ladder[other]), mine, x.tick_size))


cdef inline void exchange_trade(
    exchange_t* x, nanos_t now, side_t aggressor, tick_t tick, lots_t lots
) noexcept nogil:
    """A trade of the recorded market; it meets own orders of the other side."""
    cdef int side = aggressor > 0
    cdef int64_t key = -tick if side else tick
    if x.n_resting[side] > 0 and x.resting[side][0].key >= key:
        exchange_hit(x, now, side, key, lots, True, exchange_mid(x))

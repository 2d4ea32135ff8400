"""C interface of mrcore.exchange: own orders against a recorded market.

The recorded market does not react: own orders are neither in its book nor in each
other's queues. The kernels that run at every event are inline here and cost next to
nothing where no own order is touched. Its rooms: venue.pxd (state and logs), requests.pxd
(our side), matching.pxd (an order meets the book), and the rest in the .pyx.
"""
from libc.stdint cimport INT64_MAX, int8_t, int64_t

cimport cython

from mrcore.account cimport account_t
from mrcore.book cimport book_set
from mrcore.l3 cimport L3_ADD, L3_FILL
from mrcore.orders cimport (
    ACCEPTED, CANCELLED, CANCEL_REJECTED, CANCEL_REQUESTED, EXPIRED, FILLED, FOK, GTC, IOC, MARKET,
    PARTIALLY_FILLED, POST_ONLY, REJECTED, REPLACED, REPLACE_REJECTED, REPLACE_REQUESTED, SUBMITTED,
    TRIGGERED, bus_next, bus_pop, fill_t, is_final, message_t, order_event_t, order_t,
)
from mrcore.owned cimport owned_list_t
from mrcore.queue cimport queue_rule_t
from mrcore.requests cimport (
    exchange_find, exchange_forget, exchange_request_cancel, exchange_request_replace,
    exchange_request_submit,
)
from mrcore.types cimport lots_t, nanos_t, side_t, tick_t
from mrcore.venue cimport (
    BUY_STOPS, MARKS, SELL_STOPS, exchange_idle, exchange_mid, exchange_open, exchange_t, remember,
)


cdef int queue_rule(queue_rule_t* rule, str model, double power, const double[::1] table,
                    object kernel) except -1
cdef int exchange_init(exchange_t* x, int64_t window) noexcept nogil
cdef void exchange_free(exchange_t* x) noexcept nogil
cdef void exchange_join(exchange_t* x, account_t* account, Py_ssize_t row) noexcept nogil
cdef void exchange_owned(exchange_t* x, owned_list_t* owned) noexcept nogil
cdef void exchange_serve(exchange_t* x) noexcept nogil
cdef void exchange_clear(exchange_t* x, nanos_t now) noexcept nogil
cdef void exchange_level(
    exchange_t* x, int side, int64_t key, lots_t before, lots_t after) noexcept nogil
cdef void exchange_cross(
    exchange_t* x, nanos_t now, int side, int64_t key, lots_t before, lots_t after) noexcept nogil
cdef void exchange_hit(
    exchange_t* x, nanos_t now, int side, int64_t key, lots_t lots) noexcept nogil
cdef void exchange_trigger(exchange_t* x, nanos_t now, tick_t tick) noexcept nogil
cdef lots_t exchange_before(
    exchange_t* x, nanos_t now, int side, int64_t key, int64_t arrival, lots_t lots) noexcept nogil


cdef inline void exchange_delta(
    exchange_t* x, nanos_t now, side_t side, tick_t tick, lots_t lots
) noexcept nogil:
    """A level of the recorded book changes."""
    cdef int mine = side < 0
    cdef int64_t key = -tick if mine else tick
    cdef lots_t before = book_set(&x.book, side, tick, lots)
    if cython.unlikely(x.mark[mine][key & (MARKS - 1)] != 0):
        exchange_level(x, mine, key, before, lots)
    if cython.unlikely(key + x.greatest[1 - mine] >= 0):
        exchange_cross(x, now, mine, key, before, lots)


cdef inline void exchange_trade(
    exchange_t* x, nanos_t now, side_t aggressor, tick_t tick, lots_t lots
) noexcept nogil:
    """A trade of the recorded market; it meets own orders of the other side."""
    cdef int side = aggressor > 0
    cdef int64_t key = -tick if side else tick
    x.last_trade = tick
    if cython.unlikely(x.greatest[side] >= key):
        exchange_hit(x, now, side, key, lots)
    if cython.unlikely(x.greatest[BUY_STOPS] + tick >= 0 or x.greatest[SELL_STOPS] >= tick):
        exchange_trigger(x, now, tick)


cdef inline void exchange_order(
    exchange_t* x, nanos_t now, int8_t kind, side_t side, tick_t tick, lots_t lots,
    int64_t arrival, lots_t quantity
) noexcept nogil:
    """An event of one of the market's orders: a row of `mrcore.l3`, but for a clear."""
    cdef int mine = side < 0
    cdef int64_t key = -tick if mine else tick
    cdef lots_t before, met = 0
    if kind == L3_ADD:
        x.arrivals = arrival
        if cython.unlikely(key + x.greatest[1 - mine] >= 0):
            met = exchange_before(x, now, 1 - mine, -key, INT64_MAX, quantity)
    elif kind == L3_FILL and x.greatest[mine] >= key:
        exchange_before(x, now, mine, key, arrival, quantity)
    before = book_set(&x.book, side, tick, lots)
    if cython.unlikely(x.mark[mine][key & (MARKS - 1)] != 0):
        exchange_level(x, mine, key, before, lots)
    if met > 0 and x.partial_fills:
        remember(x, mine, key, met)

"""Our side of the exchange: requests on their way, orders by id. Inline only."""
from libc.stdint cimport int64_t, int8_t
from libc.stdlib cimport calloc, free

from mrcore.latency cimport CANCEL_LATENCY, REPLACE_LATENCY, SUBMIT_LATENCY, latency_entry
from mrcore.orders cimport (
    CANCEL_REJECTED, CANCEL_REQUESTED, LOST, NO_REASON, REJECTED, REPLACE_REJECTED,
    REPLACE_REQUESTED, SUBMITTED, bus_at, bus_push, grown, is_final, message_t, order_t,
)
from mrcore.types cimport lots_t, nanos_t, side_t, tick_t
from mrcore.venue cimport exchange_t, hear, log_event


cdef inline void send(exchange_t* x, nanos_t now, int64_t order, int8_t event, tick_t tick,
                      lots_t lots) noexcept nogil:
    """Send a request about an order."""
    cdef order_t* o = &x.orders[order]
    cdef int kind = SUBMIT_LATENCY
    cdef int8_t lost = REJECTED
    cdef message_t request
    cdef nanos_t delay
    if event == CANCEL_REQUESTED:
        kind = CANCEL_LATENCY
        lost = CANCEL_REJECTED
    elif event == REPLACE_REQUESTED:
        kind = REPLACE_LATENCY
        lost = REPLACE_REJECTED
    delay = latency_entry(&x.latency, kind, now)
    log_event(x, now, o, event, NO_REASON)
    if delay < 0:
        if lost == REJECTED:
            o.status = REJECTED
            o.reason = LOST
            o.time = now - delay
        log_event(x, now - delay, o, lost, LOST)
        hear(x, now - delay, o, lost, 0, 0)
        return
    request.time = now + delay
    request.order = order
    request.event = event
    request.tick = tick
    request.lots = lots
    bus_push(&x.requests, request, &x.failed)


cdef inline int64_t new_order(
    exchange_t* x, nanos_t now, side_t side, tick_t tick, lots_t lots, int8_t tif,
    bint reduce_only, tick_t stop_tick, double decision_mid
) noexcept nogil:
    """Take down an order; its index, or -1 when there is no memory."""
    cdef Py_ssize_t order = x.n_orders
    cdef void* more = grown(x.orders, order, &x.orders_capacity, sizeof(order_t), &x.failed)
    cdef order_t* o
    if more is NULL:
        return -1
    x.orders = <order_t*>more
    x.last_id += 1
    o = &x.orders[order]
    o.time = now
    o.order_id = x.last_id
    o.status = SUBMITTED
    o.side = side
    o.tif = tif
    o.tick = tick
    o.lots = o.remaining = lots
    o.decision_mid = decision_mid
    o.stop_tick = stop_tick
    o.reduce_only = reduce_only
    o.reason = NO_REASON
    x.n_orders += 1
    return order


cdef inline int64_t exchange_request_submit(
    exchange_t* x, nanos_t now, side_t side, tick_t tick, lots_t lots, int8_t tif,
    bint reduce_only, tick_t stop_tick, double decision_mid
) noexcept nogil:
    """Send an order at local time `now`; its index, or -1 when there is no memory."""
    cdef int64_t order = new_order(x, now, side, tick, lots, tif, reduce_only, stop_tick,
                                   decision_mid)
    if order >= 0:
        send(x, now, order, SUBMITTED, 0, 0)
    return order


cdef inline void exchange_request_replace(
    exchange_t* x, nanos_t now, int64_t order, tick_t tick, lots_t lots
) noexcept nogil:
    """Ask at local time `now` for an order to get another price and size, `lots` > 0."""
    send(x, now, order, REPLACE_REQUESTED, tick, lots)


cdef inline void exchange_request_cancel(exchange_t* x, nanos_t now, int64_t order) noexcept nogil:
    """Ask at local time `now` for an order to be withdrawn."""
    send(x, now, order, CANCEL_REQUESTED, 0, 0)


cdef inline int64_t exchange_find(const exchange_t* x, int64_t order_id) noexcept nogil:
    """Index of an order, -1 when there is none, or no longer one."""
    cdef int64_t low = 0, high = x.n_orders, middle
    if not 0 < order_id <= x.last_id:
        return -1
    middle = high - 1 - (x.last_id - order_id)
    if middle >= 0 and x.orders[middle].order_id == order_id:
        return middle
    while low < high:
        middle = (low + high) >> 1
        if x.orders[middle].order_id < order_id:
            low = middle + 1
        else:
            high = middle
    return low if low < x.n_orders and x.orders[low].order_id == order_id else -1


cdef inline void exchange_forget(exchange_t* x) noexcept nogil:
    """Drop the logs, and the finished orders of which no message is on its way."""
    cdef int64_t* to = <int64_t*>calloc(x.n_orders + 1, sizeof(int64_t))
    cdef Py_ssize_t i, kept = 0
    cdef int where
    if to is NULL:
        x.failed = True
        return
    x.n_events = x.n_fills = 0
    for i in range(x.requests.n):
        to[bus_at(&x.requests, i).order] = 1
    for i in range(x.responses.n):
        to[bus_at(&x.responses, i).order] = 1
    for i in range(x.n_orders):
        if to[i] or not is_final(x.orders[i].status):
            x.orders[kept] = x.orders[i]
            to[i] = kept
            kept += 1
    x.n_orders = kept
    for i in range(x.requests.n):
        bus_at(&x.requests, i).order = to[bus_at(&x.requests, i).order]
    for i in range(x.responses.n):
        bus_at(&x.responses, i).order = to[bus_at(&x.responses, i).order]
    for where in range(4):
        for i in range(x.n_waiting[where]):
            x.waiting[where][i].order = to[x.waiting[where][i].order]
    free(to)

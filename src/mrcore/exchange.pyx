"""Simulated exchange: resting orders with a queue position in a recorded market.

Rules (those of hftbacktest, which `tests/hftbacktest` compares order by order, but for
its two faults: a partial fill that is exact ends the order, and the position counts every
partial fill):

- An order that rests joins the queue behind the size displayed at its price.
- A trade at its price eats the queue; whole lots beyond it execute, as maker. A trade
  through its price, or an opposite best that improves to or through it, fills it whole.
  The ``strict`` model lets nothing but trades fill, and never more than they traded.
- ``partial_fills=False`` fills an order whole as soon as one lot executes, and a
  marketable one whole at the best price.
- With partial fills a marketable GTC order takes the displayed sizes up to its price and
  the rest at its own price; an IOC order takes what is displayed up to its price, a market
  order what is displayed, and their rest expires.
- A post-only order that would take expires.
- A request arrives ``entry_latency`` after it was sent and a response ``response_latency``
  after its event, in the order sent.
"""
from libc.math cimport INFINITY
from libc.stdint cimport INT64_MAX, int8_t, int64_t, uintptr_t
from libc.stdlib cimport free, realloc
from libc.string cimport memmove, memset

from mrcore.book cimport (
    NO_KEY, book_free, book_init, book_lots, book_settle, ladder_key,
    ladder_next,
)
from mrcore.queue cimport (
    KERNEL, STRICT, TABLE, behind_t, queue_executable, queue_join, queue_model_t, queue_rule_t,
    queue_trade,
)
from mrcore.types cimport lots_t, nanos_t, side_t, tick_t

import ctypes

import numpy as np

EVENTS = ("submitted", "accepted", "rejected", "partially_filled", "filled",
          "cancel_requested", "cancelled", "cancel_rejected", "expired")
TIFS = ("gtc", "post_only", "ioc", "market")
QUEUE_MODELS = ("risk_averse", "log", "log2", "power", "power2", "power3", "table", "kernel",
                "strict", "optimistic")

FUNCTION = ctypes.CFUNCTYPE(None).__base__      # of every ctypes function

ORDER_DTYPE = np.dtype([
    ("time", "i8"), ("order_id", "i8"), ("status", "i1"), ("side", "i1"), ("tif", "i1"),
    ("tick", "i8"), ("lots", "i8"), ("remaining", "i8"), ("decision_mid", "f8")])
ORDER_EVENT_DTYPE = np.dtype([
    ("time", "i8"), ("order_id", "i8"), ("event", "i1"), ("side", "i1"), ("tif", "i1"),
    ("tick", "i8"), ("lots", "i8"), ("remaining", "i8")])
FILL_DTYPE = np.dtype([
    ("time", "i8"), ("order_id", "i8"), ("side", "i1"), ("tick", "i8"), ("lots", "i8"),
    ("maker", "?"), ("fee", "f8"), ("mid", "f8"), ("decision_mid", "f8"),
    ("position_lots", "i8"), ("cash", "f8")])


cdef int queue_rule(queue_rule_t* rule, str model, double power, const double[::1] table,
                    object kernel) except -1:
    """Check and set a queue model; the caller keeps `table` and `kernel` alive."""
    cdef uintptr_t address = 0
    if model not in QUEUE_MODELS:
        raise ValueError(f"queue_model must be one of {QUEUE_MODELS}, was {model!r}")
    rule.model = <queue_model_t><int>QUEUE_MODELS.index(model)
    if not 0.0 < power < INFINITY:
        raise ValueError(f"queue_power must be finite and > 0, was {power}")
    rule.power = power
    if (table is not None) != (rule.model == TABLE):
        raise ValueError("queue_table is for queue_model='table', which needs it")
    if (kernel is not None) != (rule.model == KERNEL):
        raise ValueError("queue_kernel is for queue_model='kernel', which needs it")
    if table is not None:
        if table.shape[0] < 2 or not np.all((np.asarray(table) >= 0) & (np.asarray(table) <= 1)):
            raise ValueError("queue_table must have at least two values, all in [0, 1]")
        rule.table = &table[0]
        rule.table_n = table.shape[0]
    if kernel is not None:
        if hasattr(kernel, "address"):
            address = kernel.address
        elif isinstance(kernel, FUNCTION):
            address = ctypes.cast(kernel, ctypes.c_void_p).value
        else:
            raise TypeError("queue_kernel must be a ctypes function or have an `address`, was "
                            f"{kernel!r}")
        rule.kernel = <behind_t><void*>address
    return 0


cdef void* grown(exchange_t* x, void* items, Py_ssize_t n, Py_ssize_t* capacity,
                 size_t size) noexcept nogil:
    """The array with room for one more item; NULL (and `failed`) when there is no memory."""
    cdef void* more
    if n < capacity[0]:
        return items
    more = realloc(items, (2 * n + 64) * size)
    if more is NULL:
        x.failed = True
    else:
        capacity[0] = 2 * n + 64
    return more


cdef int exchange_init(exchange_t* x, int64_t window) noexcept nogil:
    """Make an exchange with an empty book; -1 when there is no memory."""
    memset(x, 0, sizeof(exchange_t))
    return book_init(&x.book, window)


cdef void exchange_free(exchange_t* x) noexcept nogil:
    cdef int side
    book_free(&x.book)
    for side in range(2):
        free(x.resting[side])
    free(x.orders)
    free(x.events)
    free(x.fills)
    free(x.requests.item)
    free(x.responses.item)
    memset(x, 0, sizeof(exchange_t))


cdef void bus_push(exchange_t* x, bus_t* bus, message_t message) noexcept nogil:
    """Append a message; it never overtakes the one before."""
    cdef void* more
    if bus.head > 0 and bus.head + bus.n == bus.capacity:
        memmove(bus.item, bus.item + bus.head, bus.n * sizeof(message_t))
        bus.head = 0
    more = grown(x, bus.item, bus.head + bus.n, &bus.capacity, sizeof(message_t))
    if more is NULL:
        return
    bus.item = <message_t*>more
    if bus.n > 0:
        message.time = max(message.time, bus.item[bus.head + bus.n - 1].time)
    bus.item[bus.head + bus.n] = message
    bus.n += 1


cdef message_t bus_pop(bus_t* bus) noexcept nogil:
    cdef message_t message = bus.item[bus.head]
    bus.head += 1
    bus.n -= 1
    if bus.n == 0:
        bus.head = 0
    return message


cdef void log_event(exchange_t* x, nanos_t now, const order_t* o, int8_t event) noexcept nogil:
    cdef void* more = grown(x, x.events, x.n_events, &x.events_capacity, sizeof(order_event_t))
    cdef order_event_t* e
    if more is NULL:
        return
    x.events = <order_event_t*>more
    e = &x.events[x.n_events]
    x.n_events += 1
    e.time = now
    e.order_id = o.order_id
    e.event = event
    e.side = o.side
    e.tif = o.tif
    e.tick = o.tick
    e.lots = o.lots
    e.remaining = o.remaining


cdef void change(exchange_t* x, nanos_t now, order_t* o, int8_t event, tick_t tick,
                 lots_t lots) noexcept nogil:
    """An event of an order at the exchange: state, log, and a response on its way."""
    cdef message_t response
    if event != CANCEL_REJECTED:
        o.status = event
        o.time = now
    log_event(x, now, o, event)
    response.time = now + x.response_latency
    response.order = o.order_id - 1
    response.event = event
    response.tick = tick
    response.lots = lots
    bus_push(x, &x.responses, response)


cdef double exchange_mid(const exchange_t* x) noexcept nogil:
    """Mid price in quote units, NaN when a side is empty."""
    return mid_between(ladder_key(&x.book.ladder[0]), ladder_key(&x.book.ladder[1]), 0,
                       x.tick_size)


cdef void fill(exchange_t* x, nanos_t now, order_t* o, tick_t tick, lots_t lots, bint maker,
               double mid) noexcept nogil:
    """Execute part or all of what remains of an order."""
    cdef double notional = tick * x.tick_size * (lots * x.lot_size) * x.multiplier
    cdef double fee = notional * (x.maker_fee if maker else x.taker_fee)
    cdef void* more = grown(x, x.fills, x.n_fills, &x.fills_capacity, sizeof(fill_t))
    cdef fill_t* f
    if more is NULL:
        return
    x.fills = <fill_t*>more
    o.remaining -= lots
    x.position += o.side * lots
    x.cash -= o.side * notional + fee
    x.fees += fee
    f = &x.fills[x.n_fills]
    x.n_fills += 1
    f.time = now
    f.order_id = o.order_id
    f.side = o.side
    f.tick = tick
    f.lots = lots
    f.maker = maker
    f.fee = fee
    f.mid = mid
    f.decision_mid = o.decision_mid
    f.position_lots = x.position
    f.cash = x.cash
    change(x, now, o, PARTIALLY_FILLED if o.remaining > 0 else FILLED, tick, lots)


cdef void exchange_hit(exchange_t* x, nanos_t now, int side, int64_t key, lots_t lots,
                       bint trade, double mid) noexcept nogil:
    """Execute resting orders that a trade at `key`, or an opposite best there, reaches."""
    cdef resting_t* r = x.resting[side]
    cdef Py_ssize_t k, kept = 0, n = x.n_resting[side]
    cdef lots_t budget = lots if x.queue.model == STRICT else INT64_MAX
    cdef lots_t reached
    cdef order_t* o
    for k in range(n):
        o = &x.orders[r[k].order]
        reached = 0
        if r[k].key > key or (not trade and r[k].key == key):
            reached = o.remaining
        elif r[k].key == key:
            queue_trade(&r[k].queue, lots * x.lot_size)
            reached = <lots_t>queue_executable(&r[k].queue, x.lot_size)
            if reached > 0 and not x.partial_fills:
                reached = o.remaining
        reached = min(reached, min(o.remaining, budget))
        if reached > 0:
            budget -= reached
            fill(x, now, o, o.tick, reached, True, mid)
        if o.remaining > 0:
            r[kept] = r[k]
            kept += 1
    x.n_resting[side] = kept


cdef void rest(exchange_t* x, nanos_t now, order_t* o) noexcept nogil:
    """Let an order wait, behind all of a better or equal price."""
    cdef int side = o.side < 0
    cdef int64_t key = -o.tick if side else o.tick
    cdef Py_ssize_t at = x.n_resting[side]
    cdef void* more = grown(x, x.resting[side], at, &x.resting_capacity[side], sizeof(resting_t))
    cdef resting_t* r
    if more is NULL:
        return
    x.resting[side] = r = <resting_t*>more
    while at > 0 and r[at - 1].key < key:
        r[at] = r[at - 1]
        at -= 1
    r[at].key = key
    r[at].order = o.order_id - 1
    queue_join(&r[at].queue, &x.queue, book_lots(&x.book, o.side, o.tick) * x.lot_size)
    x.n_resting[side] += 1
    change(x, now, o, ACCEPTED, 0, 0)


cdef void take(exchange_t* x, nanos_t now, order_t* o) noexcept nogil:
    """Execute a marketable order against the displayed book, which stays as recorded."""
    cdef int other = o.side > 0
    cdef double mid = exchange_mid(x)
    cdef lots_t displayed = 0
    cdef int64_t key = ladder_next(&x.book.ladder[other], -NO_KEY, &displayed)
    cdef int64_t limit = NO_KEY if o.tif == MARKET else (-o.tick if other else o.tick)
    if not x.partial_fills:
        fill(x, now, o, -key if other else key, o.remaining, False, mid)
        return
    while key != NO_KEY and o.remaining > 0:
        if key < limit or (key == limit and o.tif == GTC):
            break
        fill(x, now, o, -key if other else key, min(displayed, o.remaining), False, mid)
        key = ladder_next(&x.book.ladder[other], key, &displayed)
    if o.remaining > 0:
        if o.tif == GTC:
            fill(x, now, o, o.tick, o.remaining, False, mid)
        else:
            change(x, now, o, EXPIRED, 0, 0)


cdef void arrive(exchange_t* x, nanos_t now, order_t* o) noexcept nogil:
    """An order reaches the exchange."""
    cdef int64_t opposite = ladder_key(&x.book.ladder[o.side > 0])
    cdef bint marketable = opposite != NO_KEY and (
        o.tif == MARKET or opposite + o.side * o.tick >= 0)
    if marketable and o.tif != POST_ONLY:
        take(x, now, o)
    elif not marketable and (o.tif == GTC or o.tif == POST_ONLY):
        rest(x, now, o)
    else:
        change(x, now, o, EXPIRED, 0, 0)


cdef void withdraw(exchange_t* x, nanos_t now, order_t* o) noexcept nogil:
    """A cancel request reaches the exchange."""
    cdef int side = o.side < 0
    cdef resting_t* r = x.resting[side]
    cdef Py_ssize_t k, n = x.n_resting[side]
    for k in range(n):
        if r[k].order == o.order_id - 1:
            memmove(r + k, r + k + 1, (n - k - 1) * sizeof(resting_t))
            x.n_resting[side] = n - 1
            change(x, now, o, CANCELLED, 0, 0)
            return
    change(x, now, o, CANCEL_REJECTED, 0, 0)


cdef void exchange_serve(exchange_t* x) noexcept nogil:
    """Process the next request in flight; it sees all data up to its arrival."""
    cdef message_t request = bus_pop(&x.requests)
    cdef order_t* o = &x.orders[request.order]
    book_settle(&x.book)
    if request.event == SUBMITTED:
        arrive(x, request.time, o)
    else:
        withdraw(x, request.time, o)


cdef int64_t exchange_request_submit(
    exchange_t* x, nanos_t now, side_t side, tick_t tick, lots_t lots, int8_t tif,
    double decision_mid
) noexcept nogil:
    """Send an order at local time `now`; its index, or -1 when there is no memory."""
    cdef void* more = grown(x, x.orders, x.n_orders, &x.orders_capacity, sizeof(order_t))
    cdef order_t* o
    cdef message_t request
    if more is NULL:
        return -1
    x.orders = <order_t*>more
    o = &x.orders[x.n_orders]
    x.n_orders += 1
    o.time = now
    o.order_id = x.n_orders
    o.status = SUBMITTED
    o.side = side
    o.tif = tif
    o.tick = tick
    o.lots = o.remaining = lots
    o.decision_mid = decision_mid
    log_event(x, now, o, SUBMITTED)
    request.time = now + x.entry_latency
    request.order = x.n_orders - 1
    request.event = SUBMITTED
    request.tick = 0
    request.lots = 0
    bus_push(x, &x.requests, request)
    return x.n_orders - 1


cdef void exchange_request_cancel(exchange_t* x, nanos_t now, int64_t order) noexcept nogil:
    """Ask at local time `now` for an order to be withdrawn."""
    cdef message_t request
    log_event(x, now, &x.orders[order], CANCEL_REQUESTED)
    request.time = now + x.entry_latency
    request.order = order
    request.event = CANCEL_REQUESTED
    request.tick = 0
    request.lots = 0
    bus_push(x, &x.requests, request)

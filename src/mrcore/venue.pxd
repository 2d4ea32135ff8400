"""State of the simulated exchange: waiting orders, what they took, the logs. Inline only.

Orders that wait are in four lists, best first: buys and sells in the book, buy and sell
stops. Their key is the greatest where they are reached first: the tick of a buy and minus
that of a sell, minus the stop tick of a buy and the stop tick of a sell.
"""
from libc.math cimport NAN
from libc.stdint cimport int8_t, int64_t, uint32_t
from libc.string cimport memmove

cimport cython

from mrcore.account cimport account_t, holding_fill, holding_t
from mrcore.book cimport NO_KEY, book_lots, book_t, ladder_key
from mrcore.latency cimport latency_response, latency_t
from mrcore.orders cimport (
    EXPIRED, FILLED, NO_REASON, PARTIALLY_FILLED, REDUCE_ONLY, REPLACED, bus_push, bus_t, fill_t,
    grown, message_t, order_event_t, order_t,
)
from mrcore.queue cimport queue_join, queue_rule_t, queue_t
from mrcore.types cimport lots_t, nanos_t, side_t, tick_t


cdef enum:
    BUY_STOPS = 2
    SELL_STOPS = 3
    MARKS = 1024            # a power of two


cdef enum self_trade_t:     # indices of SELF_TRADE_MODES
    ALLOW
    EXPIRE_TAKER
    EXPIRE_MAKER
    EXPIRE_BOTH


ctypedef struct waiting_t:
    int64_t key
    int64_t order           # index into `orders`
    queue_t queue           # of those in the book
    int64_t arrival         # of the latest market order that it stands behind (FIFO)


ctypedef struct taken_t:
    int64_t key
    lots_t lots             # that own orders took since the level's last update


ctypedef struct exchange_t:
    book_t book
    int64_t greatest[4]             # key of the first of each list, NO_KEY for none
    tick_t last_trade               # -1 before the first
    int64_t arrivals                # market orders so far, where the feed names them
    uint32_t mark[2][MARKS]         # own orders and takings at each key, modulo MARKS
    waiting_t* waiting[4]
    Py_ssize_t n_waiting[4]
    Py_ssize_t waiting_capacity[4]
    taken_t* taken[2]
    Py_ssize_t n_taken[2]
    Py_ssize_t taken_capacity[2]
    Py_ssize_t n_reducing           # reduce-only orders in the book
    # rules
    double tick_size
    double lot_size
    queue_rule_t queue
    bint partial_fills
    bint remember_taking
    self_trade_t self_trade
    Py_ssize_t max_open_orders      # 0 for no limit
    int64_t rate_limit              # requests in `rate_ns`, 0 for no limit
    nanos_t rate_ns
    latency_t latency               # its tables are another's
    # state
    nanos_t rate_start
    int64_t rate_count
    int64_t last_id
    order_t* orders                 # by rising id; the latest have consecutive ones
    Py_ssize_t n_orders
    Py_ssize_t orders_capacity
    order_event_t* events
    Py_ssize_t n_events
    Py_ssize_t events_capacity
    fill_t* fills
    Py_ssize_t n_fills
    Py_ssize_t fills_capacity
    bus_t requests
    bus_t responses
    account_t* account
    holding_t* holding              # this instrument's in the account
    bint failed                     # out of memory, seen at the boundary


cdef inline Py_ssize_t exchange_open(const exchange_t* x) noexcept nogil:
    """Orders that wait at the exchange."""
    return x.n_waiting[0] + x.n_waiting[1] + x.n_waiting[2] + x.n_waiting[3]


cdef inline bint exchange_idle(const exchange_t* x) noexcept nogil:
    """Whether no delta can touch anything of ours."""
    return x.n_waiting[0] + x.n_waiting[1] + x.n_taken[0] + x.n_taken[1] == 0


# ------------------------------------------------------------------------- the logs


@cython.overflowcheck(False)        # which would take the difference of the addresses
cdef inline int64_t index_of(const exchange_t* x, const order_t* o) noexcept nogil:
    """Index of an order in `orders`."""
    return o - x.orders


cdef inline void log_event(exchange_t* x, nanos_t now, const order_t* o, int8_t event,
                           int8_t reason) noexcept nogil:
    cdef void* more = grown(x.events, x.n_events, &x.events_capacity, sizeof(order_event_t),
                            &x.failed)
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
    e.reason = reason


cdef inline void hear(exchange_t* x, nanos_t time, const order_t* o, int8_t event, tick_t tick,
                      lots_t lots) noexcept nogil:
    """Let us know at local time `time` of an event of an order."""
    cdef message_t response
    response.time = time
    response.order = index_of(x, o)
    response.event = event
    response.tick = tick
    response.lots = lots
    bus_push(&x.responses, response, &x.failed)


cdef inline void answer(exchange_t* x, nanos_t now, order_t* o, int8_t event, int8_t reason,
                        tick_t tick, lots_t lots) noexcept nogil:
    """Log an event of an order at the exchange, and send it back."""
    log_event(x, now, o, event, reason)
    hear(x, now + latency_response(&x.latency, now), o, event, tick, lots)


cdef inline void change(exchange_t* x, nanos_t now, order_t* o, int8_t status,
                        int8_t reason) noexcept nogil:
    """An order gets another status."""
    o.status = status
    o.reason = reason
    o.time = now
    answer(x, now, o, status, reason, 0, 0)


cdef inline void resize(exchange_t* x, nanos_t now, order_t* o, lots_t remaining,
                        int8_t reason) noexcept nogil:
    """An order that the exchange has gets another size."""
    o.lots += remaining - o.remaining
    o.remaining = remaining
    o.time = now
    answer(x, now, o, REPLACED, reason, o.tick, o.lots)


cdef inline double mid_between(int64_t bid, int64_t ask, double tick_size) noexcept nogil:
    """Mid price of two best keys in quote units, NaN when a side is empty."""
    return NAN if bid == NO_KEY or ask == NO_KEY else 0.5 * (bid - ask) * tick_size


cdef inline double exchange_mid(const exchange_t* x) noexcept nogil:
    """Mid price in quote units, NaN when a side is empty."""
    return mid_between(ladder_key(&x.book.ladder[0]), ladder_key(&x.book.ladder[1]), x.tick_size)


cdef inline void fill(exchange_t* x, nanos_t now, order_t* o, tick_t tick, lots_t lots, bint maker,
                      double mid) noexcept nogil:
    """Execute part or all of what remains of an order."""
    cdef void* more = grown(x.fills, x.n_fills, &x.fills_capacity, sizeof(fill_t), &x.failed)
    cdef fill_t* f
    o.remaining -= lots
    if more is NULL:
        return
    x.fills = <fill_t*>more
    f = &x.fills[x.n_fills]
    x.n_fills += 1
    f.time = now
    f.order_id = o.order_id
    f.side = o.side
    f.tick = tick
    f.lots = lots
    f.maker = maker
    f.fee = holding_fill(x.holding, o.side, tick * x.tick_size, lots, maker)
    f.mid = mid
    f.decision_mid = o.decision_mid
    f.position_lots = x.holding.position
    f.cash = x.holding.cash
    o.status = PARTIALLY_FILLED if o.remaining > 0 else FILLED
    o.reason = NO_REASON
    o.time = now
    answer(x, now, o, o.status, NO_REASON, tick, lots)


# ------------------------------------------------------------------------- orders that wait


cdef inline Py_ssize_t first_at(const waiting_t* w, Py_ssize_t n, int64_t key) noexcept nogil:
    """The first of a list that is no better than `key`."""
    cdef Py_ssize_t first = 0, half
    while n > 0:        # without a branch on the key, which does not predict
        half = (n + 1) >> 1
        first = first + half if w[first + half - 1].key > key else first
        n -= half
    return first


cdef inline int64_t key_in(const order_t* o, int where) noexcept nogil:
    """Key of an order in a list."""
    if where < BUY_STOPS:
        return -o.tick if where else o.tick
    return -o.stop_tick if where == BUY_STOPS else o.stop_tick


cdef inline void place(exchange_t* x, order_t* o, int where) noexcept nogil:
    """Let an order wait, behind all of a better or equal key."""
    cdef int64_t key = key_in(o, where)
    cdef Py_ssize_t n = x.n_waiting[where], at
    cdef waiting_t* w
    cdef void* more = grown(x.waiting[where], n, &x.waiting_capacity[where], sizeof(waiting_t),
                            &x.failed)
    if more is NULL:
        return
    x.waiting[where] = w = <waiting_t*>more
    at = first_at(w, n, key - 1)
    memmove(w + at + 1, w + at, (n - at) * sizeof(waiting_t))
    w[at].key = key
    w[at].order = index_of(x, o)
    x.n_waiting[where] = n + 1
    x.greatest[where] = w[0].key
    if where < BUY_STOPS:
        queue_join(&w[at].queue, &x.queue, book_lots(&x.book, o.side, o.tick) * x.lot_size)
        w[at].arrival = x.arrivals
        x.mark[where][key & (MARKS - 1)] += 1
        x.n_reducing += o.reduce_only


cdef inline void displace(exchange_t* x, int where, Py_ssize_t at) noexcept nogil:
    """Take an order from a list."""
    cdef waiting_t* w = x.waiting[where]
    cdef Py_ssize_t n = x.n_waiting[where] - 1
    if where < BUY_STOPS:
        x.mark[where][w[at].key & (MARKS - 1)] -= 1
        x.n_reducing -= x.orders[w[at].order].reduce_only
    memmove(w + at, w + at + 1, (n - at) * sizeof(waiting_t))
    x.n_waiting[where] = n
    x.greatest[where] = w[0].key if n > 0 else NO_KEY


cdef inline Py_ssize_t place_in(const exchange_t* x, const order_t* o, int where) noexcept nogil:
    """Place of an order in a list, -1 when it is not there."""
    cdef const waiting_t* w = x.waiting[where]
    cdef int64_t key = key_in(o, where), order = index_of(x, o)
    cdef Py_ssize_t at = first_at(w, x.n_waiting[where], key)
    while at < x.n_waiting[where] and w[at].key == key:
        if w[at].order == order:
            return at
        at += 1
    return -1


cdef inline lots_t closable(const exchange_t* x, side_t side) noexcept nogil:
    """What an order of `side` can close."""
    return max(-side * x.holding.position, 0)


cdef inline void reduce(exchange_t* x, nanos_t now) noexcept nogil:
    """Cut the reduce-only orders in the book to the position."""
    cdef int side
    cdef Py_ssize_t at
    cdef lots_t most
    cdef order_t* o
    for side in range(2):
        most = closable(x, -1 if side else 1)
        at = 0
        while x.n_reducing > 0 and at < x.n_waiting[side]:
            o = &x.orders[x.waiting[side][at].order]
            if o.reduce_only and most == 0:
                displace(x, side, at)
                change(x, now, o, EXPIRED, REDUCE_ONLY)
                continue
            if o.reduce_only and o.remaining > most:
                resize(x, now, o, most, REDUCE_ONLY)
            at += 1


# ------------------------------------------------------------------------- what was taken


cdef inline Py_ssize_t taking_at(const exchange_t* x, int side, int64_t key) noexcept nogil:
    """Where the taking from a level is remembered, `n_taken` when nothing was taken."""
    cdef Py_ssize_t k = 0
    while k < x.n_taken[side] and x.taken[side][k].key != key:
        k += 1
    return k


cdef inline void remember(exchange_t* x, int side, int64_t key, lots_t lots) noexcept nogil:
    """Own orders took from a displayed level."""
    cdef Py_ssize_t k = taking_at(x, side, key)
    cdef void* more
    if not x.remember_taking or lots == 0:
        return
    if k == x.n_taken[side]:
        more = grown(x.taken[side], k, &x.taken_capacity[side], sizeof(taken_t), &x.failed)
        if more is NULL:
            return
        x.taken[side] = <taken_t*>more
        x.taken[side][k].key = key
        x.taken[side][k].lots = 0
        x.n_taken[side] += 1
        x.mark[side][key & (MARKS - 1)] += 1
    x.taken[side][k].lots += lots

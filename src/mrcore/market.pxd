"""Events of the synthetic market; the model is in the docstring of market.pyx."""
from libc.stdint cimport int8_t, int32_t, int64_t
from libc.stdlib cimport realloc

from mrcore.fifo cimport (
    fifo_add, fifo_best, fifo_fill, fifo_level, fifo_nth, fifo_remove, fifo_t, order_t,
)
from mrcore.rng cimport rng_exponential, rng_normal, rng_t, rng_uniform, scaled_exp
from mrcore.types cimport lots_t, nanos_t, side_t

cdef enum:                  # kinds of the order log
    ADD = 1
    CANCEL = 2
    FILL = 3

cdef struct row_t:
    nanos_t time, received
    int64_t number          # sequence number, trade id or order id
    lots_t lots
    int32_t tick
    side_t side
    int8_t kind             # order log only

cdef struct fair_t:
    nanos_t time
    int64_t value           # 2**-32 ticks

cdef struct buffer_t:       # growing array of rows of `item` bytes
    char* data
    Py_ssize_t n, capacity, item
    row_t spare             # written to when memory is short

cdef struct market_t:
    # parameters; rates in 1e-9 per second, integers so that their sums are exact
    int64_t limit_rate, market_rate, cancel_rate, withdraw_rate
    int64_t* cumulative     # of one side's limit rates by distance
    int32_t depth           # number of distances
    double order_lots, order_sigma, market_lots, market_sigma   # median, sigma of the logarithm
    double latency, latency_sigma       # ns
    double fair_decay, fair_step_sd     # over one step; the latter in 2**-32 ticks
    nanos_t fair_step
    int64_t fair_mean, fair_bound       # 2**-32 ticks; most distance of fair from its mean
    # state
    rng_t flow, value, delay
    nanos_t time, received, next_fair
    int64_t fair            # 2**-32 ticks
    double informed_share
    int64_t sequence, trade_id, dropped
    fifo_t book
    buffer_t deltas, trades, log, fair_path
    bint failed             # out of memory


cdef inline void* buffer_next(buffer_t* b, bint* failed) noexcept nogil:
    """Room for one more row; on lack of memory the spare row, and `failed` set."""
    cdef Py_ssize_t capacity
    cdef void* data
    if b.n == b.capacity:
        capacity = max(1024, 2 * b.capacity)
        data = realloc(b.data, capacity * b.item)
        if data is NULL:
            failed[0] = True
            return &b.spare
        b.data = <char*>data
        b.capacity = capacity
    b.n += 1
    return b.data + (b.n - 1) * b.item


cdef inline void put(market_t* m, buffer_t* b, int64_t number, side_t side, int32_t tick,
                     lots_t lots, int8_t kind) noexcept nogil:
    cdef row_t* row = <row_t*>buffer_next(b, &m.failed)
    row.time = m.time
    row.received = m.received
    row.number = number
    row.lots = lots
    row.tick = tick
    row.side = side
    row.kind = kind


cdef inline void put_level(market_t* m, side_t side, int32_t tick) noexcept nogil:
    put(m, &m.deltas, m.sequence, side, tick, fifo_level(&m.book, tick).lots, 0)


cdef inline void put_fair(market_t* m) noexcept nogil:
    cdef fair_t* row = <fair_t*>buffer_next(&m.fair_path, &m.failed)
    row.time = m.time
    row.value = m.fair


cdef inline int32_t bid_reference(const market_t* m) noexcept nogil:
    """Tick from which a bid's distance counts."""
    return min(m.book.best_ask, <int32_t>(m.fair >> 32) + 1)


cdef inline int32_t ask_reference(const market_t* m) noexcept nogil:
    """Tick from which an ask's distance counts."""
    return max(m.book.best_bid, -<int32_t>((-m.fair) >> 32) - 1)


cdef inline int32_t distance(const market_t* m, int64_t pick) noexcept nogil:
    """The i for which pick, in [0, limit_rate), lies in the i-th limit rate."""
    cdef int32_t low = 0, high = m.depth - 1, mid
    while low < high:
        mid = (low + high) // 2
        if pick < m.cumulative[mid]:
            high = mid
        else:
            low = mid + 1
    return low + 1


cdef inline void new_message(market_t* m) noexcept nogil:
    """Number the message and let it travel; one connection, so none overtakes another."""
    cdef nanos_t delay = <nanos_t>m.latency
    if m.latency_sigma > 0.0:
        delay = scaled_exp(m.latency, rng_normal(&m.delay) * m.latency_sigma)
    m.sequence += 1
    m.received = max(m.received, m.time + delay)


cdef inline lots_t draw_lots(market_t* m, double median, double sigma) noexcept nogil:
    if sigma == 0.0:
        return <lots_t>median
    return max(1, scaled_exp(median, rng_normal(&m.flow) * sigma))


cdef inline int64_t join(market_t* m, side_t side, int32_t tick, lots_t lots,
                         bint cancellable) noexcept nogil:
    """Limit order; its id."""
    cdef int64_t order_id = fifo_add(&m.book, side, tick, lots, cancellable)
    if order_id < 0:
        m.failed = True
        return order_id
    new_message(m)
    put(m, &m.log, order_id, side, tick, lots, ADD)
    put_level(m, side, tick)
    return order_id


cdef inline void quote(market_t* m, side_t side, int32_t tick) noexcept nogil:
    """Limit order of a random size."""
    join(m, side, tick, draw_lots(m, m.order_lots, m.order_sigma), True)


cdef inline void cancel(market_t* m, int32_t i) noexcept nogil:
    cdef order_t order = m.book.orders[i]
    if order.slot < 0:
        return
    if m.book.n_side[order.side < 0] == 1:
        m.dropped += 1
        return
    new_message(m)
    put(m, &m.log, order.id, order.side, order.tick, order.lots, CANCEL)
    fifo_remove(&m.book, i)
    put_level(m, order.side, order.tick)


cdef inline void take(market_t* m, side_t side) noexcept nogil:
    """Market order that buys (side +1) or sells (-1)."""
    cdef lots_t left = draw_lots(m, m.market_lots, m.market_sigma), fill, traded
    cdef int32_t tick, i
    cdef Py_ssize_t trade = m.trades.n
    cdef const int64_t* makers = &m.book.n_side[side > 0]
    if makers[0] == 1:
        m.dropped += 1
        return
    new_message(m)
    while left > 0 and makers[0] > 1:
        tick = fifo_best(&m.book, -side)
        traded = 0
        while left > 0 and makers[0] > 1 and fifo_best(&m.book, -side) == tick:
            i = fifo_level(&m.book, tick).head
            fill = min(left, m.book.orders[i].lots)
            put(m, &m.log, m.book.orders[i].id, -side, tick, fill, FILL)
            fifo_fill(&m.book, i, fill)
            left -= fill
            traded += fill
        m.trade_id += 1
        put(m, &m.trades, m.trade_id, side, tick, traded, 0)
    while trade < m.trades.n:
        put_level(m, -side, (<row_t*>m.trades.data)[trade].tick)
        trade += 1


cdef inline int64_t passed(const market_t* m, side_t side) noexcept nogil:
    """Number of orders at a side's best price if fair has passed it, else 0."""
    cdef int32_t best = fifo_best(&m.book, side)
    if side * (m.fair - (<int64_t>best << 32)) < 0:
        return fifo_level(&m.book, best).n
    return 0


cdef inline void event(market_t* m, int64_t pick, int64_t passed_bids) noexcept nogil:
    """The event whose slice of the total rate holds `pick`."""
    cdef side_t side
    if pick < 2 * m.limit_rate:
        if pick < m.limit_rate:
            quote(m, 1, bid_reference(m) - distance(m, pick))
        else:
            quote(m, -1, ask_reference(m) + distance(m, pick - m.limit_rate))
        return
    pick -= 2 * m.limit_rate
    if pick < 2 * m.market_rate:
        side = 1 if pick < m.market_rate else -1
        if rng_uniform(&m.flow) < m.informed_share:
            if passed(m, -1) > 0:
                side = 1
            elif passed(m, 1) > 0:
                side = -1
            else:
                return
        take(m, side)
        return
    pick -= 2 * m.market_rate
    if pick < m.cancel_rate * m.book.n_live:
        cancel(m, m.book.live[pick // m.cancel_rate])
        return
    pick = (pick - m.cancel_rate * m.book.n_live) // m.withdraw_rate
    if pick < passed_bids:
        cancel(m, fifo_nth(&m.book, m.book.best_bid, pick))
    else:
        cancel(m, fifo_nth(&m.book, m.book.best_ask, pick - passed_bids))


cdef inline void step_fair(market_t* m) noexcept nogil:
    """Exact step of the Ornstein-Uhlenbeck process over `fair_step`."""
    cdef int64_t x = <int64_t>(<double>(m.fair - m.fair_mean) * m.fair_decay)
    x += <int64_t>(rng_normal(&m.value) * m.fair_step_sd)
    m.fair = m.fair_mean + max(-m.fair_bound, min(m.fair_bound, x))
    m.next_fair += m.fair_step
    put_fair(m)


cdef inline void run_until(market_t* m, nanos_t until, int64_t n_deltas) noexcept nogil:
    """Events before `until`, or until `n_deltas` level changes are there."""
    cdef int64_t rate, pick, passed_bids, passed_asks
    cdef nanos_t wait, boundary
    while m.deltas.n < n_deltas and not m.failed:
        passed_bids = passed(m, 1)
        passed_asks = passed(m, -1)
        rate = (2 * (m.limit_rate + m.market_rate) + m.cancel_rate * m.book.n_live
                + m.withdraw_rate * (passed_bids + passed_asks))
        wait = 1 + <nanos_t>(rng_exponential(&m.flow) * (1e18 / <double>rate))
        boundary = min(m.next_fair, until)
        if m.time + wait < boundary:
            m.time += wait
            pick = <int64_t>(rng_uniform(&m.flow) * <double>rate)
            event(m, min(pick, rate - 1), passed_bids)
            continue
        # rates may change here; waiting times have no memory, so a new draw is right
        m.time = boundary
        if boundary == m.next_fair:
            step_fair(m)
        if boundary == until:
            return

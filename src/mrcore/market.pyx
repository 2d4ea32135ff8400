"""Synthetic limit-order market kept order by order, so that every queue is known.

Zero-intelligence flow after Cont, Stoikov and Talreja (2010), around a fair value that follows an
Ornstein-Uhlenbeck process. Rates are per second; all arrivals are Poisson:

* limit orders, for each side and each distance i = 1, 2, ...: rate `limit_rates[i - 1]`, placed i
  ticks from the opposite best. Makers do not quote through the fair value: the distance of a bid
  is counted from min(best ask, first tick above fair), that of an ask from max(best bid, first
  tick below fair). Hence a bid never exceeds fair and an ask never lies below it when placed;
* market orders: rate `market_rate` a side. A share of them is informed: it buys when fair > best
  ask, sells when fair < best bid and else does nothing; the rest choose their side at random;
* cancellations: rate `cancel_rate` for each resting order;
* withdrawals: rate `withdraw_rate` for each order at a best price that fair has passed (best bid >
  fair or best ask < fair).

Placement keeps new quotes on their side of fair, and withdrawals and informed orders remove those
that fair has passed; so the mid follows fair, with a lag of about the life of a passed level.

The book is never crossed (a limit order is placed at least a tick from the opposite best) and no
side is ever empty: an event that would remove a side's last order is dropped and counted, and a
market order stops before that order.

Of the many events none shares a nanosecond with another, so rows with one time are one message. A
market order makes its trades, one a price, and the level changes, all at its time.

References
----------
Cont, Stoikov, Talreja (2010), A stochastic model for order book dynamics, Operations Research
58(3), 549-563, doi 10.1287/opre.1090.0780.
"""
cimport cython
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset

from mrcore.rng cimport (
    rng_exponential, rng_normal, rng_seed, rng_t, rng_uniform, scaled_exp,
)
from mrcore.types cimport lots_t, nanos_t, side_t

from decimal import Decimal

import numpy as np

KINDS = ("", "add", "cancel", "fill")   # names of the order log's `kind` 1, 2, 3

cdef enum:
    ADD = 1
    CANCEL = 2
    FILL = 3
    FAIR_BOUND_SD = 10      # fair is kept within this many stationary sd: the book is an array

cdef int64_t NANO = 1_000_000_000
cdef int64_t NEVER = 2**62
cdef object ROW = np.dtype(
    [("time", "i8"), ("received", "i8"), ("number", "i8"), ("lots", "i8"), ("tick", "i4"),
     ("side", "i1"), ("kind", "i1")], align=True)
cdef object FAIR = np.dtype([("time", "i8"), ("value", "i8")])


cdef struct row_t:          # layout of ROW
    nanos_t time, received
    int64_t number          # sequence number, trade id or order id
    lots_t lots
    int32_t tick
    side_t side
    int8_t kind             # order log only

cdef struct fair_t:         # layout of FAIR
    nanos_t time
    int64_t value           # 2**-32 ticks

cdef struct buffer_t:       # growing array of rows of `item` bytes
    char* data
    Py_ssize_t n, capacity, item

cdef struct order_t:
    int64_t id
    lots_t lots
    int32_t tick
    int32_t prev, next      # neighbours in the level's queue, -1 at its ends
    int32_t slot            # place in `live`, -1: never cancelled (a probe)
    side_t side

cdef struct level_t:
    lots_t lots
    int32_t head, tail, n   # first and last of the queue, number of orders

cdef struct market_t:
    # parameters; rates in 1e-9 per second, integers so that their sums are exact
    int64_t limit_rate, market_rate, cancel_rate, withdraw_rate
    int64_t* cumulative     # of one side's limit rates by distance
    int32_t depth           # number of distances
    double fair_decay, fair_step_sd, order_lots, order_sigma, market_lots, market_sigma
    double latency, latency_sigma
    nanos_t fair_step
    int64_t fair_mean, fair_bound       # 2**-32 ticks
    # state
    rng_t flow, value, delay
    nanos_t time, received, next_fair
    int64_t fair            # 2**-32 ticks
    double informed_share
    int64_t sequence, trade_id, order_id, dropped
    level_t* levels         # of tick - base; bids up to best_bid, asks from best_ask
    int32_t base, n_levels, best_bid, best_ask
    int64_t n_side[2]       # resting orders: bids, asks
    order_t* orders
    int32_t* live           # orders that may be cancelled
    int32_t n_live, free_order, capacity
    bint failed             # out of memory
    buffer_t deltas, trades, log, fair_path


cdef void* buffer_next(market_t* m, buffer_t* b) noexcept nogil:
    """Room for one more row; on lack of memory the first row again, and `failed` set."""
    cdef Py_ssize_t capacity
    cdef void* data
    if b.n == b.capacity:
        capacity = max(1024, 2 * b.capacity)
        data = realloc(b.data, capacity * b.item)
        if data is NULL:
            m.failed = True
            b.n = 0
        else:
            b.data = <char*>data
            b.capacity = capacity
    b.n += 1
    return b.data + (b.n - 1) * b.item


cdef inline void put(market_t* m, buffer_t* b, int64_t number, side_t side, int32_t tick,
                     lots_t lots, int8_t kind) noexcept nogil:
    cdef row_t* row = <row_t*>buffer_next(m, b)
    row.time = m.time
    row.received = m.received
    row.number = number
    row.lots = lots
    row.tick = tick
    row.side = side
    row.kind = kind


cdef inline void put_level(market_t* m, side_t side, int32_t tick) noexcept nogil:
    put(m, &m.deltas, m.sequence, side, tick, m.levels[tick - m.base].lots, 0)


cdef inline void put_fair(market_t* m) noexcept nogil:
    cdef fair_t* row = <fair_t*>buffer_next(m, &m.fair_path)
    row.time = m.time
    row.value = m.fair


cdef int grow_orders(market_t* m) noexcept nogil:
    """Double the pool; -1 when memory is short."""
    cdef int32_t capacity = max(1024, 2 * m.capacity), i
    cdef void* orders = realloc(m.orders, capacity * sizeof(order_t))
    cdef void* live
    if orders is NULL:
        return -1
    m.orders = <order_t*>orders
    live = realloc(m.live, capacity * sizeof(int32_t))
    if live is NULL:
        return -1
    m.live = <int32_t*>live
    for i in range(m.capacity, capacity):
        m.orders[i].next = i + 1
    m.orders[capacity - 1].next = -1
    m.free_order = m.capacity
    m.capacity = capacity
    return 0


cdef int64_t add_order(market_t* m, side_t side, int32_t tick, lots_t lots,
                       bint cancellable) noexcept nogil:
    """Append an order to its level's queue and log it; its id, -1 when memory is short."""
    cdef level_t* level = &m.levels[tick - m.base]
    cdef order_t* order
    cdef int32_t i
    if m.free_order < 0 and grow_orders(m) < 0:
        m.failed = True
        return -1
    i = m.free_order
    order = &m.orders[i]
    m.free_order = order.next
    m.order_id += 1
    order.id = m.order_id
    order.lots = lots
    order.tick = tick
    order.side = side
    order.prev = level.tail if level.n > 0 else -1
    order.next = -1
    order.slot = -1
    if cancellable:
        order.slot = m.n_live
        m.live[m.n_live] = i
        m.n_live += 1
    if level.n == 0:
        level.head = i
    else:
        m.orders[level.tail].next = i
    level.tail = i
    level.n += 1
    level.lots += lots
    m.n_side[side < 0] += 1
    if side > 0:
        m.best_bid = max(m.best_bid, tick)
    else:
        m.best_ask = min(m.best_ask, tick)
    put(m, &m.log, order.id, side, tick, lots, ADD)
    return order.id


cdef void remove_order(market_t* m, int32_t i) noexcept nogil:
    """Take an order out; its side must keep another one."""
    cdef order_t* order = &m.orders[i]
    cdef level_t* level = &m.levels[order.tick - m.base]
    if order.prev < 0:
        level.head = order.next
    else:
        m.orders[order.prev].next = order.next
    if order.next < 0:
        level.tail = order.prev
    else:
        m.orders[order.next].prev = order.prev
    level.n -= 1
    level.lots -= order.lots
    m.n_side[order.side < 0] -= 1
    if order.slot >= 0:
        m.n_live -= 1
        m.live[order.slot] = m.live[m.n_live]
        m.orders[m.live[order.slot]].slot = order.slot
    order.next = m.free_order
    m.free_order = i
    while m.levels[m.best_bid - m.base].n == 0:
        m.best_bid -= 1
    while m.levels[m.best_ask - m.base].n == 0:
        m.best_ask += 1


cdef inline int32_t bid_reference(const market_t* m) noexcept nogil:
    """Tick from which a bid's distance counts."""
    return min(m.best_ask, <int32_t>(m.fair >> 32) + 1)


cdef inline int32_t ask_reference(const market_t* m) noexcept nogil:
    """Tick from which an ask's distance counts."""
    return max(m.best_bid, -<int32_t>((-m.fair) >> 32) - 1)


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


cdef void join(market_t* m, side_t side, int32_t tick) noexcept nogil:
    """Limit order."""
    new_message(m)
    add_order(m, side, tick, draw_lots(m, m.order_lots, m.order_sigma), True)
    put_level(m, side, tick)


cdef void cancel(market_t* m, int32_t i) noexcept nogil:
    cdef order_t order = m.orders[i]
    if m.n_side[order.side < 0] == 1 or order.slot < 0:
        m.dropped += 1
        return
    new_message(m)
    put(m, &m.log, order.id, order.side, order.tick, order.lots, CANCEL)
    remove_order(m, i)
    put_level(m, order.side, order.tick)


cdef void take(market_t* m, side_t side) noexcept nogil:
    """Market order that buys (side +1) or sells (-1)."""
    cdef lots_t left = draw_lots(m, m.market_lots, m.market_sigma), fill, traded
    cdef int32_t tick, i
    cdef Py_ssize_t trade = m.trades.n
    cdef bint maker = side > 0
    if m.n_side[maker] == 1:
        m.dropped += 1
        return
    new_message(m)
    while left > 0 and m.n_side[maker] > 1:
        tick = m.best_ask if maker else m.best_bid
        traded = 0
        while left > 0 and m.n_side[maker] > 1 and m.levels[tick - m.base].n > 0:
            i = m.levels[tick - m.base].head
            fill = min(left, m.orders[i].lots)
            put(m, &m.log, m.orders[i].id, -side, tick, fill, FILL)
            m.levels[tick - m.base].lots -= fill
            m.orders[i].lots -= fill
            left -= fill
            traded += fill
            if m.orders[i].lots == 0:
                remove_order(m, i)
        m.trade_id += 1
        put(m, &m.trades, m.trade_id, side, tick, traded, 0)
    while trade < m.trades.n:
        put_level(m, -side, (<row_t*>m.trades.data)[trade].tick)
        trade += 1


cdef inline int64_t passed(const market_t* m, bint ask) noexcept nogil:
    """Number of orders at the best bid (or ask) if fair has passed it, else 0."""
    cdef int32_t best = m.best_ask if ask else m.best_bid
    cdef int64_t beyond = m.fair - (<int64_t>best << 32)
    if (beyond > 0) if ask else (beyond < 0):
        return m.levels[best - m.base].n
    return 0


cdef int32_t nth_order(const market_t* m, int32_t tick, int64_t n) noexcept nogil:
    cdef int32_t i = m.levels[tick - m.base].head
    while n > 0:
        i = m.orders[i].next
        n -= 1
    return i


cdef void event(market_t* m, int64_t pick, int64_t passed_bids) noexcept nogil:
    """The event whose slice of the total rate holds `pick`."""
    cdef side_t side = 1
    if pick < 2 * m.limit_rate:
        if pick < m.limit_rate:
            join(m, 1, bid_reference(m) - distance(m, pick))
        else:
            join(m, -1, ask_reference(m) + distance(m, pick - m.limit_rate))
        return
    pick -= 2 * m.limit_rate
    if pick < 2 * m.market_rate:
        side = 1 if pick < m.market_rate else -1
        if rng_uniform(&m.flow) < m.informed_share:
            if <int64_t>m.best_ask << 32 < m.fair:
                side = 1
            elif <int64_t>m.best_bid << 32 > m.fair:
                side = -1
            else:
                return
        take(m, side)
        return
    pick -= 2 * m.market_rate
    if pick < m.cancel_rate * m.n_live:
        cancel(m, m.live[pick // m.cancel_rate])
        return
    pick = (pick - m.cancel_rate * m.n_live) // m.withdraw_rate
    if pick < passed_bids:
        cancel(m, nth_order(m, m.best_bid, pick))
    else:
        cancel(m, nth_order(m, m.best_ask, pick - passed_bids))


cdef void step_fair(market_t* m) noexcept nogil:
    """Exact step of the Ornstein-Uhlenbeck process over `fair_step`."""
    cdef int64_t x = <int64_t>(<double>(m.fair - m.fair_mean) * m.fair_decay)
    x += <int64_t>(rng_normal(&m.value) * m.fair_step_sd)
    m.fair = m.fair_mean + max(-m.fair_bound, min(m.fair_bound, x))
    m.next_fair += m.fair_step
    put_fair(m)


cdef void run_until(market_t* m, nanos_t until, int64_t n_deltas) noexcept nogil:
    """Events before `until`, or until `n_deltas` level changes are there."""
    cdef int64_t rate, pick, passed_bids, passed_asks
    cdef nanos_t wait, boundary
    while m.deltas.n < n_deltas and not m.failed:
        passed_bids = passed(m, False)
        passed_asks = passed(m, True)
        rate = (2 * (m.limit_rate + m.market_rate) + m.cancel_rate * m.n_live
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


cdef object take_rows(buffer_t* b, object dtype):
    """Rows of a buffer as a structured array that shares its memory; the buffer is then empty."""
    cdef uint8_t[::1] view
    if b.n == 0:
        return np.empty(0, dtype)
    view = <uint8_t[:b.n * b.item]><uint8_t*>b.data
    b.n = 0
    return np.asarray(view).view(dtype)


cdef object to_float(object counts, double step):
    """counts * step, as the decimal number it stands for where 1 / step is whole (0.1, 0.001)."""
    inverse = round(1.0 / step)
    if inverse >= 1 and abs(inverse * step - 1.0) < 1e-12:
        return counts / float(inverse)
    return counts * step


cdef dict columns(object rows, dict names):
    """Contiguous copies of a structured array's columns under new names."""
    return {name: np.ascontiguousarray(rows[field]) for name, field in names.items()}


def power_law_rates(double nearest, double power, int depth):
    """Limit-order rates that fall with the distance i as nearest / i**power.

    Parameters
    ----------
    nearest : float
        Rate one tick from the opposite best, orders a second for each side.
    power : float
        Exponent, >= 0.
    depth : int
        Number of distances, ticks.

    Returns
    -------
    ndarray
        Rates at distances 1 ... depth.
    """
    # Decimal: the same digits on every platform, which libm's pow does not promise.
    return np.array([nearest * float(Decimal(i) ** -Decimal(power)) for i in range(1, depth + 1)])


@cython.final
cdef class MarketRun:
    """What one `SyntheticMarket.run` recorded. All times are int64 ns, UTC.

    Attributes
    ----------
    start_ns, end_ns : int
        The run's interval; every event lies strictly inside it, but for probes at its end.
    tick_size, lot_size : float
        Quote units a tick, base units a lot.
    snapshot, deltas : dict of ndarray
        `origin_time, received_time, sequence_number, side_is_bid, price, size` (Crypto Lake's names;
        size absolute, 0 deletes) and `side` (int8), `tick` (int32), `lots` (int64). The snapshot
        is the book at `start_ns`, bids then asks, best first, at most `snapshot_levels` a side.
    trades : dict of ndarray
        `origin_time, received_time, side, quantity, price, trade_id` (side int8: aggressor +1 buys,
        -1 sells) and `tick`, `lots`; one row for each price that a market order reached.
    orders : dict of ndarray
        The order log: `time, order_id, kind, side, tick, lots`; kind indexes `KINDS`: 1 add, 2
        cancel (lots = what was left), 3 fill (lots filled; side is the resting order's). It starts
        with an add at `start_ns` for each order then standing, in queue order level by level.
    fair : dict of ndarray
        `time, tick` (float64, in ticks), `price`: fair value from each time on.
    probe_ids : ndarray
        Order ids of the probes that were placed, in order.
    dropped : int
        Events not carried out since they would have emptied a side.
    """

    cdef readonly int64_t start_ns, end_ns, dropped
    cdef readonly double tick_size, lot_size
    cdef readonly dict snapshot, deltas, trades, orders, fair
    cdef readonly object probe_ids

    def tape(self):
        """Integer columns (time, side, tick, lots) of deltas and trades on the exchange clock.

        The deltas start with the snapshot: a row of side 0, which clears, then its levels.

        Returns
        -------
        deltas, trades : tuple of ndarray
            int64 ns, int8, int32, int64.
        """
        names = ["side", "tick", "lots"]
        seed, deltas, trades = self.snapshot, self.deltas, self.trades
        start = np.full(1 + len(seed["lots"]), self.start_ns)
        clear = {name: np.zeros(1, seed[name].dtype) for name in names}
        return (
            tuple([np.concatenate([start, deltas["origin_time"]])]
                  + [np.concatenate([clear[n], seed[n], deltas[n]]) for n in names]),
            tuple([trades[n] for n in ["origin_time", *names]]))


cdef dict level_columns(object rows, MarketRun run):
    out = columns(rows, {"origin_time": "time", "received_time": "received",
                         "sequence_number": "number", "side": "side", "tick": "tick",
                         "lots": "lots"})
    out["side_is_bid"] = out["side"] > 0
    out["price"] = to_float(out["tick"], run.tick_size)
    out["size"] = to_float(out["lots"], run.lot_size)
    return out


cdef int64_t nano_rate(str name, double rate) except -1:
    if not 0.0 <= rate <= 1e6:
        raise ValueError(f"{name} must be in [0, 1e6] per second, was {rate}")
    return round(rate * 1e9)


@cython.final
cdef class SyntheticMarket:
    """Seeded market with known truth; the model is in the module's docstring.

    One thread's object at a time. The same seed, parameters and runs give the same bytes on every
    platform. A run goes on where the last one ended; cutting a run in two at a whole number of
    `fair_step_ns` or by `n_deltas` changes nothing.

    Parameters
    ----------
    seed : int
        In [0, 2**64). Order flow, fair value and latency draw from independent streams.
    tick_size, lot_size : float
        Quote units a tick, base units a lot.
    start_ns : int
        Time of the first snapshot, ns since the epoch, UTC. Before it the book is run in for five
        mean lives of an order, unrecorded.
    fair_price : float
        Mean of the fair value, quote units.
    fair_sd_ticks : float
        Stationary standard deviation of the fair value, ticks; 0 holds it still.
    half_life_s : float
        Half-life of its deviations, seconds.
    fair_step_ns : int
        The fair value moves once in this time, by the exact Ornstein-Uhlenbeck step.
    limit_rates : sequence of float, optional
        Limit orders a second for each side at distance 1, 2, ... ticks; by default
        ``power_law_rates(110, 1.4, 500)``.
    market_rate : float
        Market orders a second for each side.
    cancel_rate : float
        Cancellations a second for each resting order, > 0.
    withdraw_rate : float
        Withdrawals a second for each order at a best price that fair has passed.
    informed_share : float or sequence of (float, float)
        Share of informed market orders in [0, 1], or its steps as (seconds from `start_ns`, share);
        0 before the first step.
    order_lots, market_lots : (float, float)
        Sizes of limit and of market orders: lognormal, (median in lots, sigma of the logarithm),
        rounded, at least one lot. Sigma 0: all of the median's size.
    latency_ns, latency_sigma : float
        Received minus origin time of a message: lognormal with this median and sigma of the
        logarithm, never overtaking; constant with sigma 0.
    snapshot_levels : int
        Levels a side in the snapshot of each run.
    """

    cdef market_t c
    cdef readonly int64_t start_ns
    cdef readonly double tick_size, lot_size
    cdef readonly int snapshot_levels
    cdef list switches

    def __cinit__(self, seed=0, *, double tick_size=0.1, double lot_size=0.001,
                  int64_t start_ns=1_704_067_200_000_000_000, double fair_price=60_000.0,
                  double fair_sd_ticks=20.0, double half_life_s=60.0,
                  int64_t fair_step_ns=10_000_000, limit_rates=None, double market_rate=40.0,
                  double cancel_rate=1.5, double withdraw_rate=10.0, informed_share=0.0,
                  order_lots=(50.0, 1.0), market_lots=(170.0, 0.7),
                  double latency_ns=5_000_000.0, double latency_sigma=0.0,
                  int snapshot_levels=1000):
        cdef market_t* m = &self.c
        cdef uint64_t state = seed
        cdef int64_t warm_up
        memset(m, 0, sizeof(market_t))
        m.deltas.item = m.trades.item = m.log.item = sizeof(row_t)
        m.fair_path.item = sizeof(fair_t)
        m.free_order = -1
        for name, value in (("tick_size", tick_size), ("lot_size", lot_size),
                            ("half_life_s", half_life_s), ("fair_step_ns", fair_step_ns),
                            ("cancel_rate", cancel_rate), ("snapshot_levels", snapshot_levels)):
            if not 0 < value < np.inf:
                raise ValueError(f"{name} must be > 0, was {value}")
        for name, value in (("fair_sd_ticks", fair_sd_ticks), ("latency_ns", latency_ns),
                            ("latency_sigma", latency_sigma)):
            if not 0 <= value < 1e12:
                raise ValueError(f"{name} must be >= 0, was {value}")
        self.tick_size = tick_size
        self.lot_size = lot_size
        self.start_ns = start_ns
        self.snapshot_levels = snapshot_levels
        if limit_rates is None:
            limit_rates = power_law_rates(110.0, 1.4, 500)
        self._set_flow(np.asarray(limit_rates, float))
        m.market_rate = nano_rate("market_rate", market_rate)
        m.cancel_rate = nano_rate("cancel_rate", cancel_rate)
        m.withdraw_rate = nano_rate("withdraw_rate", withdraw_rate)
        m.order_lots, m.order_sigma = self._size("order_lots", order_lots)
        m.market_lots, m.market_sigma = self._size("market_lots", market_lots)
        m.latency, m.latency_sigma = latency_ns, latency_sigma
        self._set_informed(informed_share)
        rng_seed(&m.flow, &state)
        rng_seed(&m.value, &state)
        rng_seed(&m.delay, &state)
        self._set_fair(fair_price / tick_size, fair_sd_ticks, half_life_s, fair_step_ns)
        self._set_levels(fair_sd_ticks)
        warm_up = (<int64_t>(5e9 / cancel_rate) // fair_step_ns + 1) * fair_step_ns
        m.time = start_ns - warm_up
        m.next_fair = m.time + fair_step_ns
        self._fill_book()
        self._advance(start_ns, NEVER)
        m.deltas.n = m.trades.n = 0
        m.sequence = 1
        m.trade_id = m.dropped = 0

    def __dealloc__(self):
        cdef market_t* m = &self.c
        free(m.deltas.data)
        free(m.trades.data)
        free(m.log.data)
        free(m.fair_path.data)
        free(m.cumulative)
        free(m.levels)
        free(m.orders)
        free(m.live)

    cdef int _set_flow(self, rates) except -1:
        cdef market_t* m = &self.c
        if rates.ndim != 1 or not len(rates):
            raise ValueError(f"limit_rates must be a list of rates, was of shape {rates.shape}")
        m.depth = <int32_t>len(rates)
        m.cumulative = <int64_t*>malloc(m.depth * sizeof(int64_t))
        if m.cumulative is NULL:
            raise MemoryError()
        for i, rate in enumerate(rates):
            m.limit_rate += nano_rate(f"limit_rates[{i}]", rate)
            m.cumulative[<int32_t>i] = m.limit_rate
        if m.limit_rate < NANO // 1000:
            raise ValueError(f"limit_rates must sum to >= 0.001 per second, was {sum(rates)}")
        return 0

    cdef tuple _size(self, str name, pair):
        median, sigma = pair
        if not (1 <= median <= 1e9 and 0 <= sigma <= 3):
            raise ValueError(f"{name} must be (median in [1, 1e9], sigma in [0, 3]), was {pair}")
        return round(median), sigma

    cdef int _set_informed(self, share) except -1:
        steps = [(0.0, share)] if np.ndim(share) == 0 else [tuple(step) for step in share]
        self.switches = []
        last = -1.0
        for second, value in steps:
            if not 0 <= value <= 1:
                raise ValueError(f"informed_share must be in [0, 1], was {value}")
            if not last < second < 1e9 or second < 0:
                raise ValueError(f"informed_share's seconds must be >= 0 and rise, was {second}")
            self.switches.append((self.start_ns + round(second * 1e9), float(value)))
            last = second
        if self.switches and self.switches[0][0] == self.start_ns:
            self.c.informed_share = self.switches.pop(0)[1]     # in the run-in too
        return 0

    cdef int _set_fair(self, double mean, double sd, double half_life_s, int64_t step) except -1:
        cdef market_t* m = &self.c
        # Decimal's exp, ln and sqrt are correctly rounded everywhere; libm's need not be.
        lives = Decimal(step) / (Decimal(half_life_s) * NANO)
        decay = (-lives * Decimal(2).ln()).exp()
        m.fair_step = step
        m.fair_decay = float(decay)
        m.fair_step_sd = float(Decimal(sd) * (1 - decay * decay).sqrt() * 2**32)
        if not FAIR_BOUND_SD * sd + m.depth + 4 < mean < 1e9:
            raise ValueError(
                f"fair_price must lie in ({FAIR_BOUND_SD} sd + {m.depth + 4}, 1e9) ticks, "
                f"was {mean} ticks with an sd of {sd}")
        m.fair_mean = round(mean * 2**32)
        m.fair_bound = round(FAIR_BOUND_SD * sd * 2**32)
        m.fair = m.fair_mean + <int64_t>(rng_normal(&m.value) * (sd * 4294967296.0))
        return 0

    cdef int _set_levels(self, double sd) except -1:
        """Levels for every tick at which an order can stand."""
        cdef market_t* m = &self.c
        # Quotes keep to their side of fair, so a bid is at most `depth` below fair's least value
        # and never above its greatest; 4 ticks cover the rounding.
        cdef int32_t reach = <int32_t>(FAIR_BOUND_SD * sd) + m.depth + 4
        m.base = <int32_t>(m.fair_mean >> 32) - reach
        m.n_levels = 2 * reach + 2
        m.levels = <level_t*>malloc(m.n_levels * sizeof(level_t))
        if m.levels is NULL:
            raise MemoryError()
        memset(m.levels, 0, m.n_levels * sizeof(level_t))
        m.best_bid = m.base
        m.best_ask = m.base + m.n_levels - 1
        return 0

    cdef int _fill_book(self) except -1:
        """The model's mean number of orders at each level (rate / cancel_rate), at least one."""
        cdef market_t* m = &self.c
        cdef int32_t middle = <int32_t>(m.fair >> 32), i
        cdef int64_t count, below = 0
        for i in range(m.depth):
            count = (m.cumulative[i] - below) // m.cancel_rate
            below = m.cumulative[i]
            for _ in range(max(count, 1 if i == 0 else 0)):
                join(m, 1, middle - i)
                join(m, -1, middle + 1 + i)
        return 0

    cdef int _advance(self, nanos_t until, int64_t n_deltas) except -1:
        with nogil:
            run_until(&self.c, until, n_deltas)
        if self.c.failed:
            raise MemoryError()
        return 0

    cdef int _open(self, MarketRun run) except -1:
        """Snapshot of the book, the standing orders and fair at the start of a run."""
        cdef market_t* m = &self.c
        cdef int32_t tick, i, n
        cdef side_t side
        m.received = max(m.received, m.time + <nanos_t>m.latency)
        m.log.n = m.fair_path.n = 0
        for side in (1, -1):
            tick = m.best_bid if side > 0 else m.best_ask
            n = 0
            while m.base <= tick < m.base + m.n_levels:
                i = m.levels[tick - m.base].head
                if m.levels[tick - m.base].n > 0 and n < self.snapshot_levels:
                    put_level(m, side, tick)
                    n += 1
                for _ in range(m.levels[tick - m.base].n):
                    put(m, &m.log, m.orders[i].id, side, tick, m.orders[i].lots, ADD)
                    i = m.orders[i].next
                tick -= side
        put_fair(m)
        run.snapshot = level_columns(take_rows(&m.deltas, ROW), run)
        return 0

    def run(self, seconds=None, *, n_deltas=None, probes=()):
        """Let the market go on and record it.

        Parameters
        ----------
        seconds : float
            Length of the run, > 0.
        n_deltas : int
            Instead: end with the event that completes this many level changes.
        probes : sequence of (int, int, int)
            (time_ns, side, lots): an order that at this time, later than the one before, joins the
            best bid (side +1) or ask (-1). It is never cancelled: the order log shows when the
            queue before it has gone and when it is filled. It is a part of the market.

        Returns
        -------
        MarketRun
        """
        cdef market_t* m = &self.c
        cdef nanos_t until = NEVER
        cdef int64_t limit = NEVER
        cdef MarketRun run = MarketRun.__new__(MarketRun)
        if (seconds is None) == (n_deltas is None):
            raise ValueError("give either seconds or n_deltas")
        if seconds is not None:
            until = m.time + round(seconds * 1e9)
            if until <= m.time:
                raise ValueError(f"seconds must be > 0, was {seconds}")
        else:
            limit = n_deltas
            if limit <= 0:
                raise ValueError(f"n_deltas must be > 0, was {n_deltas}")
        last = m.time
        for time, side, lots in probes:
            if not last < time <= until:
                raise ValueError(f"probe times must rise within ({m.time}, {until}], was {time}")
            if side not in (1, -1) or lots < 1:
                raise ValueError(f"a probe has side +1 or -1 and lots > 0, was {side}, {lots}")
            last = time
        run.start_ns = m.time
        run.tick_size, run.lot_size = self.tick_size, self.lot_size
        dropped = m.dropped
        self._open(run)
        ids = []
        for time, side, lots in [*probes, (until, 0, 0)]:
            self._switch_until(time, limit)
            if side and m.deltas.n < limit:
                ids.append(self._probe(side, lots))
        run.end_ns = m.time
        run.dropped = m.dropped - dropped
        run.probe_ids = np.array(ids, np.int64)
        self._close(run)
        return run

    cdef int _switch_until(self, nanos_t until, int64_t limit) except -1:
        """Advance, changing the informed share on the way."""
        cdef market_t* m = &self.c
        while self.switches and self.switches[0][0] <= until:
            if self.switches[0][0] > m.time:
                self._advance(self.switches[0][0], limit)
                if m.deltas.n >= limit:
                    return 0
            m.informed_share = self.switches.pop(0)[1]
        if until > m.time:
            self._advance(until, limit)
        return 0

    cdef int64_t _probe(self, side_t side, lots_t lots) except -1:
        cdef market_t* m = &self.c
        cdef int32_t tick = m.best_bid if side > 0 else m.best_ask
        cdef int64_t order_id
        new_message(m)
        order_id = add_order(m, side, tick, lots, False)
        put_level(m, side, tick)
        if m.failed:
            raise MemoryError()
        return order_id

    cdef int _close(self, MarketRun run) except -1:
        """Hand the recorded rows over."""
        cdef market_t* m = &self.c
        run.deltas = level_columns(take_rows(&m.deltas, ROW), run)
        run.trades = columns(take_rows(&m.trades, ROW), {
            "origin_time": "time", "received_time": "received", "side": "side",
            "trade_id": "number", "tick": "tick", "lots": "lots"})
        run.trades["price"] = to_float(run.trades["tick"], run.tick_size)
        run.trades["quantity"] = to_float(run.trades["lots"], run.lot_size)
        run.orders = columns(take_rows(&m.log, ROW), {
            "time": "time", "order_id": "number", "kind": "kind", "side": "side", "tick": "tick",
            "lots": "lots"})
        run.fair = columns(take_rows(&m.fair_path, FAIR), {"time": "time", "tick": "value"})
        run.fair["tick"] = run.fair["tick"] / 2.0**32
        run.fair["price"] = run.fair["tick"] * run.tick_size
        return 0

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
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc

from mrcore.fifo cimport fifo_best, fifo_level, level_t
from mrcore.rng cimport rng_normal, rng_seed
from mrcore.types cimport nanos_t, side_t

from decimal import Decimal

import numpy as np

KINDS = ("", "add", "cancel", "fill")   # of the order log, by its `kind`

cdef int64_t NANO = 1_000_000_000
cdef int64_t NEVER = 2**62
cdef int FAIR_BOUND_SD = 10     # fair keeps within this many sd of its mean: the book is an array
cdef object ROW = np.dtype(     # row_t
    [("time", "i8"), ("received", "i8"), ("number", "i8"), ("lots", "i8"), ("tick", "i4"),
     ("side", "i1"), ("kind", "i1")], align=True)
cdef object FAIR = np.dtype([("time", "i8"), ("value", "i8")])      # fair_t


cdef dict take_columns(buffer_t* b, object dtype, dict names):
    """Columns (new name: field) of a buffer, which is then empty and holds no memory."""
    cdef uint8_t[::1] view
    rows = np.empty(0, dtype)
    if b.n > 0:
        view = <uint8_t[:b.n * b.item]><uint8_t*>b.data
        rows = np.asarray(view).view(dtype)
    out = {name: rows[field].copy() for name, field in names.items()}
    free(b.data)
    b.data = NULL
    b.n = b.capacity = 0
    return out


cdef object to_float(object counts, double step):
    """counts * step, as the decimal number it stands for where 1 / step is whole (0.1, 0.001)."""
    inverse = round(1.0 / step)
    if inverse >= 1 and abs(inverse * step - 1.0) < 1e-12:
        return counts / float(inverse)
    return counts * step


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
        `origin_time, received_time, sequence_number, side_is_bid, price, size` (Crypto Lake's;
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


cdef dict take_levels(buffer_t* b, MarketRun run):
    """`take_columns` of level changes, with prices and sizes."""
    out = take_columns(b, ROW, {
        "origin_time": "time", "received_time": "received", "sequence_number": "number",
        "side": "side", "tick": "tick", "lots": "lots"})
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

    Notes
    -----
    The defaults make a feed much like a liquid perpetual's: 1,165 level changes and 105 trades a
    second, 11% of the changes delete a level, 27% are at the touch and 70% within 10 ticks of it.
    The mean spread is 1.24 ticks; mid and fair differ by 0.9 ticks (sd).

    Kyle's lambda is about 0 without informed orders, for the book refills around fair. It rises
    with their share up to about 0.4 and then falls slowly, since informed volume grows too; the R^2
    of price changes on signed volume rises all the way.
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
        m.deltas.item = m.trades.item = m.log.item = sizeof(row_t)
        m.fair_path.item = sizeof(fair_t)
        m.book.free = -1
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
        free(m.book.levels)
        free(m.book.orders)
        free(m.book.live)

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
        m.book.base = <int32_t>(m.fair_mean >> 32) - reach
        m.book.n_levels = 2 * reach + 2
        m.book.levels = <level_t*>calloc(m.book.n_levels, sizeof(level_t))
        if m.book.levels is NULL:
            raise MemoryError()
        m.book.best_bid = m.book.base
        m.book.best_ask = m.book.base + m.book.n_levels - 1
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
                quote(m, 1, middle - i)
                quote(m, -1, middle + 1 + i)
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
        cdef level_t* level
        cdef side_t side
        m.received = max(m.received, m.time + <nanos_t>m.latency)
        m.log.n = m.fair_path.n = 0
        for side in (1, -1):
            tick = fifo_best(&m.book, side)
            n = 0
            while m.book.base <= tick < m.book.base + m.book.n_levels:
                level = fifo_level(&m.book, tick)
                if level.n > 0 and n < self.snapshot_levels:
                    put_level(m, side, tick)
                    n += 1
                i = level.head
                for _ in range(level.n):
                    put(m, &m.log, m.book.orders[i].id, side, tick, m.book.orders[i].lots, ADD)
                    i = m.book.orders[i].next
                tick -= side
        put_fair(m)
        run.snapshot = take_levels(&m.deltas, run)
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
                ids.append(join(m, side, fifo_best(&m.book, side), lots, False))
        if m.failed:
            raise MemoryError()
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

    cdef int _close(self, MarketRun run) except -1:
        """Hand the recorded rows over."""
        cdef market_t* m = &self.c
        run.deltas = take_levels(&m.deltas, run)
        run.trades = take_columns(&m.trades, ROW, {
            "origin_time": "time", "received_time": "received", "side": "side",
            "trade_id": "number", "tick": "tick", "lots": "lots"})
        run.trades["price"] = to_float(run.trades["tick"], run.tick_size)
        run.trades["quantity"] = to_float(run.trades["lots"], run.lot_size)
        run.orders = take_columns(&m.log, ROW, {
            "time": "time", "order_id": "number", "kind": "kind", "side": "side", "tick": "tick",
            "lots": "lots"})
        run.fair = take_columns(&m.fair_path, FAIR, {"time": "time", "tick": "value"})
        run.fair["tick"] = run.fair["tick"] / 2.0**32
        run.fair["price"] = run.fair["tick"] * run.tick_size
        return 0

"""The tape: deltas and trades merged by time drive every part of the core in one pass.

Two clocks. On the exchange clock the recorded market and own orders meet; on the local
clock, ``feed_latency`` behind, the same data are seen a second time: the local book, the
order flow and the executor know only that. Each clock merges the two streams by itself.

Order at one timestamp: local data, order responses, decisions (samples, then scheduled
targets, then the executor), exchange data, order requests. So a decision at T knows all
that was received by T, and a request that arrives at T sees all exchange data up to T.
Within one stream and clock: trades before deltas, then as stored. Deltas with one
timestamp are one message; the book is looked at after its last row.
"""
from libc.math cimport INFINITY, NAN
from libc.stdint cimport int8_t, int32_t, int64_t
from libc.string cimport memcpy

cimport cython

from mrcore.book cimport (
    NO_KEY, book_ask, book_bid, book_clear, book_free, book_init, book_set, book_settle, book_t,
)
from mrcore.exchange cimport (
    FILLED, PARTIALLY_FILLED, bus_last, bus_next, bus_pop, exchange_delta, exchange_free,
    exchange_init, exchange_request_cancel, exchange_request_submit, exchange_serve, exchange_t,
    exchange_trade, message_t,
)
from mrcore.executor cimport (
    SEND, WAIT, action_t, check_terms, executor_init, executor_response, executor_sent,
    executor_step, executor_t, executor_target, executor_timer, executor_watches,
)
from mrcore.latency cimport Latency
from mrcore.queue cimport queue_model_t
from mrcore.sampler cimport (
    MARKET_COLUMNS, sampler_book, sampler_free, sampler_gap, sampler_init, sampler_row, sampler_t,
    sampler_trade,
)
from mrcore.types cimport lots_t, nanos_t, side_t, tick_t

import numpy as np

from mrcore.exchange import FILL_DTYPE, ORDER_DTYPE, ORDER_EVENT_DTYPE, QUEUE_MODELS, TIFS

SAMPLE_COLUMNS = (
    "bid", "bid_size", "ask", "ask_size",
    "imbalance_1", "imbalance_5", "imbalance_10", "imbalance_20",
    "bid_depth_5", "ask_depth_5", "bid_depth_20", "ask_depth_20", "microprice",
    "n_messages", "n_trades", "buy_volume", "sell_volume", "notional",
    "trade_high", "trade_low", "last_trade", "mid_high", "mid_low",
    "spread_mean", "spread_max", "ofi", "vpin", "kyle_lambda",
    "position", "cash", "fees",
)

cdef enum:
    N_COLUMNS = 31          # MARKET_COLUMNS and three of the account
    NEVER_BITS = 62

cdef nanos_t NEVER = <nanos_t>1 << NEVER_BITS       # all times lie between -NEVER and NEVER


ctypedef struct tape_t:             # columns of one stream, owned by Replay
    const int64_t* time
    const int8_t* side
    const int32_t* tick
    const int64_t* lots
    Py_ssize_t n
    Py_ssize_t exchange             # next row on the exchange clock
    Py_ssize_t local                # next row on the local clock


ctypedef struct replay_t:
    exchange_t exchange
    book_t book                     # what has been received
    executor_t executor
    sampler_t sampler               # what has been received since the last sample
    tape_t deltas
    tape_t trades
    nanos_t feed_latency
    nanos_t exchange_message        # time of the message that the exchange's book is in
    bint executing                  # a target was ever set
    bint sampling
    const int64_t* sample_time
    Py_ssize_t n_samples
    Py_ssize_t sample
    double* samples
    const int64_t* target_time
    const int64_t* target_lots
    const cython.uchar* target_aggressive
    const int64_t* target_stop
    const int64_t* target_hold
    const int64_t* target_timeout
    const cython.uchar* target_give_up
    Py_ssize_t n_targets
    Py_ssize_t target
    lots_t position                 # fills whose response has arrived
    int64_t events
    nanos_t now                     # local time reached
    bint undecided                  # the executor has not yet looked at what is known now


cdef inline nanos_t next_time(const tape_t* t, Py_ssize_t row) noexcept nogil:
    return t.time[row] if row < t.n else NEVER


cdef double local_mid(const replay_t* r) noexcept nogil:
    """Mid of the received book in quote units, NaN when a side is empty."""
    cdef tick_t bid = book_bid(&r.book), ask = book_ask(&r.book)
    if bid == NO_KEY or ask == -NO_KEY:
        return NAN
    return 0.5 * (bid + ask) * r.exchange.tick_size


cdef void receive(replay_t* r, nanos_t until) noexcept nogil:
    """Everything that arrives up to local time `until`."""
    cdef nanos_t limit = until - r.feed_latency, td, tt
    cdef Py_ssize_t d = r.deltas.local, t = r.trades.local, n = r.deltas.n
    cdef const int64_t* time = r.deltas.time
    cdef const int8_t* side = r.deltas.side
    cdef const int32_t* tick = r.deltas.tick
    cdef const int64_t* lots = r.deltas.lots
    cdef book_t* b = &r.book
    tt = next_time(&r.trades, t)
    while True:
        td = time[d] if d < n else NEVER
        if tt <= td:
            if tt > limit:
                break
            if r.sampling:
                sampler_trade(&r.sampler, r.trades.side[t], r.trades.tick[t], r.trades.lots[t])
            t += 1
            tt = next_time(&r.trades, t)
            continue
        if td > limit:
            break
        while d < n and time[d] == td:
            if cython.unlikely(side[d] == 0):
                book_clear(b)
                sampler_gap(&r.sampler)
            else:
                book_set(b, side[d], tick[d], lots[d])
            d += 1
        book_settle(b)
        if r.sampling:
            sampler_book(&r.sampler, b, td + r.feed_latency)
    r.deltas.local = d
    r.trades.local = t


cdef nanos_t next_received(const replay_t* r) noexcept nogil:
    """Local time at which the next data arrive."""
    cdef nanos_t t = min(next_time(&r.deltas, r.deltas.local),
                         next_time(&r.trades, r.trades.local))
    return t + r.feed_latency if t < NEVER else NEVER


cdef void take_sample(replay_t* r, nanos_t now) noexcept nogil:
    """One row of SAMPLE_COLUMNS: the market as received, the account as the exchange has it."""
    cdef exchange_t* x = &r.exchange
    cdef double* out = r.samples + r.sample * N_COLUMNS
    sampler_row(&r.sampler, &r.book, now, x.tick_size, x.lot_size, x.multiplier, out)
    out[MARKET_COLUMNS] = x.position * x.lot_size
    out[MARKET_COLUMNS + 1] = x.cash
    out[MARKET_COLUMNS + 2] = x.fees
    r.sample += 1


cdef void act(replay_t* r, nanos_t now) noexcept nogil:
    """Let the executor look at the received book, and send what it asks for."""
    cdef action_t action
    cdef int64_t order = -1
    if not r.executing:
        return
    action = executor_step(&r.executor, now, book_bid(&r.book), book_ask(&r.book),
                           r.exchange.tick_size)
    if action.act == WAIT:
        return
    if action.act == SEND:
        order = exchange_request_submit(&r.exchange, now, action.side, action.tick,
                                        action.lots, action.tif, r.executor.decision_mid)
    else:
        exchange_request_cancel(&r.exchange, now, r.executor.order)
    executor_sent(&r.executor, order, &action)


cdef void respond(replay_t* r, nanos_t now) noexcept nogil:
    """Responses that have reached us."""
    cdef message_t m
    while bus_next(&r.exchange.responses, NEVER) <= now:
        m = bus_pop(&r.exchange.responses)
        if m.event == FILLED or m.event == PARTIALLY_FILLED:
            r.position += r.exchange.orders[m.order].side * m.lots
        if r.executing and m.order == r.executor.order:
            executor_response(&r.executor, m.time, m.event, m.tick, m.lots)


cdef void decide(replay_t* r, nanos_t now) noexcept nogil:
    """Samples and scheduled targets that are due."""
    cdef Py_ssize_t i
    while r.sample < r.n_samples and r.sample_time[r.sample] <= now:
        take_sample(r, now)
    while r.target < r.n_targets and r.target_time[r.target] <= now:
        i = r.target
        r.executing = True
        executor_target(&r.executor, now, r.target_lots[i], r.target_aggressive[i],
                        r.target_stop[i], r.target_hold[i], r.target_timeout[i],
                        r.target_give_up[i], local_mid(r))
        r.target += 1


cdef nanos_t next_decision(const replay_t* r) noexcept nogil:
    cdef nanos_t t = NEVER
    if r.sample < r.n_samples:
        t = r.sample_time[r.sample]
    if r.target < r.n_targets:
        t = min(t, r.target_time[r.target])
    if r.executing:
        t = min(t, executor_timer(&r.executor))
    return t


cdef void trade_until(replay_t* r, nanos_t stop) noexcept nogil:
    """Exchange data up to `stop`, or up to the first that causes a response."""
    cdef Py_ssize_t d = r.deltas.exchange, t = r.trades.exchange, n = r.deltas.n
    cdef const int64_t* time = r.deltas.time
    cdef const int8_t* side = r.deltas.side
    cdef const int32_t* tick = r.deltas.tick
    cdef const int64_t* lots = r.deltas.lots
    cdef exchange_t* x = &r.exchange
    cdef nanos_t td, tt = next_time(&r.trades, t), message = r.exchange_message
    cdef Py_ssize_t silent = x.responses.n
    cdef bint alone = x.n_resting[0] + x.n_resting[1] == 0
    while True:
        td = time[d] if d < n else NEVER
        if tt <= td:
            if tt > stop:
                break
            book_settle(&x.book)
            exchange_trade(x, tt, r.trades.side[t], r.trades.tick[t], r.trades.lots[t])
            t += 1
            tt = next_time(&r.trades, t)
        else:
            if td > stop:
                break
            if td != message:
                book_settle(&x.book)
                message = td
            if cython.unlikely(side[d] == 0):
                book_clear(&x.book)
            elif alone:
                book_set(&x.book, side[d], tick[d], lots[d])
            else:
                exchange_delta(x, td, side[d], tick[d], lots[d])
            d += 1
        if x.responses.n != silent:
            break
    r.events += d - r.deltas.exchange + t - r.trades.exchange
    r.deltas.exchange = d
    r.trades.exchange = t
    r.exchange_message = message


cdef void run(replay_t* r, nanos_t until) noexcept nogil:
    """All that is known at `until`: local data and responses up to it, the exchange before it.

    The executor's own look at `until` waits for the next call, as a target may still be set.
    """
    cdef nanos_t front, request, data
    if r.undecided and r.now < until:
        decide(r, r.now)
        act(r, r.now)
        r.undecided = False
    while not (r.exchange.failed or r.book.failed or r.exchange.book.failed):
        front = min(bus_next(&r.exchange.responses, NEVER), max(next_decision(r), r.now))
        if r.executing and executor_watches(&r.executor):
            front = min(front, next_received(r))
        request = bus_next(&r.exchange.requests, NEVER)
        # the exchange goes first where it is earlier; at the same time it goes last
        trade_until(r, min(min(front, until) - 1, request))
        if bus_next(&r.exchange.responses, NEVER) < front:
            continue                            # a fill answers before the front: look again
        data = min(next_time(&r.deltas, r.deltas.exchange),
                   next_time(&r.trades, r.trades.exchange))
        if request < front and request < until:
            if data > request:
                exchange_serve(&r.exchange)
        elif data >= front or data >= until:    # else it stopped at a fill that answers later
            if front > until:
                break
            r.now = front
            receive(r, front)
            respond(r, front)
            decide(r, front)
            if front == until:
                r.undecided = True
                break
            act(r, front)
    receive(r, until)
    r.now = until


cdef Py_ssize_t first_bad_row(const int64_t[::1] time, const int8_t[::1] side,
                              const int32_t[::1] tick, const int64_t[::1] lots, nanos_t earliest,
                              bint book) noexcept nogil:
    """First row that breaks the rules of a tape, -1 when none does."""
    cdef Py_ssize_t i
    cdef nanos_t before = earliest
    for i in range(time.shape[0]):
        if time[i] < before or time[i] >= NEVER or tick[i] < 0:
            return i
        before = time[i]
        if book:
            if side[i] < -1 or side[i] > 1 or lots[i] < 0:
                return i
        elif (side[i] != 1 and side[i] != -1) or lots[i] <= 0:
            return i
    return -1


cdef tuple attach(tape_t* t, str name, tuple old, columns, nanos_t earliest):
    """Put new rows behind those still to be processed; the columns to keep alive."""
    cdef const int64_t[::1] time
    cdef const int8_t[::1] side
    cdef const int32_t[::1] tick
    cdef const int64_t[::1] lots
    cdef Py_ssize_t done = min(t.exchange, t.local), bad
    cdef bint book = name == "deltas"
    time, side, tick, lots = columns
    if time is None or side is None or tick is None or lots is None:
        raise ValueError(f"{name}: expected four arrays, one was None")
    if not time.shape[0] == side.shape[0] == tick.shape[0] == lots.shape[0]:
        raise ValueError(f"{name}: columns differ in length: {[len(c) for c in columns]}")
    if t.n > 0:
        earliest = max(earliest, t.time[t.n - 1])
    with nogil:
        bad = first_bad_row(time, side, tick, lots, earliest, book)
    if bad >= 0:
        raise ValueError(
            f"{name} row {bad}: time {time[bad]}, side {side[bad]}, tick {tick[bad]}, lots "
            f"{lots[bad]}; expected times that never fall and start at {earliest} or later, "
            "tick >= 0, and " + ("side -1, 0 or 1, lots >= 0" if book
                                 else "side -1 or 1, lots > 0"))
    if done < t.n:
        columns = tuple([np.concatenate((a[done:], b)) for a, b in zip(old, columns)])
        time, side, tick, lots = columns
    t.n = time.shape[0]
    t.exchange -= done
    t.local -= done
    t.time = &time[0] if t.n > 0 else NULL
    t.side = &side[0] if t.n > 0 else NULL
    t.tick = &tick[0] if t.n > 0 else NULL
    t.lots = &lots[0] if t.n > 0 else NULL
    return tuple(columns)


cdef object records(const void* items, Py_ssize_t n, dtype):
    """A copy of a log as a structured array."""
    out = np.empty(n, dtype)
    cdef cython.uchar[::1] raw = out.view(np.uint8)
    if n > 0:
        memcpy(&raw[0], items, raw.shape[0])
    return out


cdef double not_nan(str name, double value, bint positive) except? -1.0:
    if not value < INFINITY or value == -INFINITY or (positive and not value > 0.0):
        raise ValueError(f"{name} must be {'> 0' if positive else 'finite'}, was {value}")
    return value


cdef nanos_t delay(str name, nanos_t value) except -1:
    if not 0 <= value < NEVER >> 2:     # so that a time and all three still fit
        raise ValueError(f"{name} must be in [0, {NEVER >> 2}), was {value}")
    return value


@cython.final
cdef class Replay:
    """One instrument's recorded market, replayed with own orders in it.

    Parameters
    ----------
    tick_size, lot_size : float
        Quote units a tick, base units a lot.
    sample_times : ndarray of int64, optional
        Local times, rising, at which a row of `SAMPLE_COLUMNS` is taken.
    vpin_bucket : float
        Volume of a VPIN bucket, base units; 0 calibrates it on the first
        ``vpin_calibration`` trades so that they would have filled ``vpin_buckets`` buckets.
    vpin_buckets, vpin_calibration : int
    kyle_window : int
        Samples in the rolling regression of Kyle's lambda, >= 3.
    queue_model : {"power", "risk_averse", "strict"}
        See `mrcore.exchange`.
    queue_power : float
        Exponent of the power model, > 0.
    partial_fills : bool
    latency : mrcore.latency.Latency, optional
        Requests to the exchange and responses from it.
    entry_latency_ns, response_latency_ns : int
        Instead of `latency`: the same for all requests, and for responses.
    feed_latency_ns : int
        Data from the exchange.
    maker_fee, taker_fee : float
        Fractions of the notional; negative for a rebate.
    multiplier : float
        Base units in one unit of size (contract value), > 0.
    window : int
        See `mrcore.book.L2Book`; changes no result.

    Notes
    -----
    ``feed`` the tape in chunks of any size, ``advance`` to a local time up to which it is
    complete. Any chunking gives the same bits. One object belongs to one thread at a time;
    the GIL is released while it runs, so two replays can run at once.
    """

    cdef replay_t c
    cdef tuple deltas, trades, targets
    cdef Latency latency
    cdef const int64_t[::1] times
    cdef double[:, ::1] rows

    def __cinit__(self, double tick_size, double lot_size, *, sample_times=None,
                  double vpin_bucket=0.0, Py_ssize_t vpin_buckets=50,
                  int64_t vpin_calibration=500, Py_ssize_t kyle_window=60,
                  str queue_model="power", double queue_power=3.0, bint partial_fills=True,
                  Latency latency=None, nanos_t entry_latency_ns=0,
                  nanos_t response_latency_ns=0,
                  nanos_t feed_latency_ns=0, double maker_fee=0.0, double taker_fee=0.0,
                  double multiplier=1.0, int64_t window=1 << 15):
        cdef replay_t* r = &self.c
        cdef exchange_t* x = &r.exchange
        cdef int failed = 0
        if queue_model not in QUEUE_MODELS:
            raise ValueError(f"queue_model must be one of {QUEUE_MODELS}, was {queue_model!r}")
        if vpin_buckets < 1 or vpin_calibration < 1 or kyle_window < 3 or window < 16:
            raise ValueError(
                "vpin_buckets and vpin_calibration must be >= 1, kyle_window >= 3 and window >= "
                f"16, were {vpin_buckets}, {vpin_calibration}, {kyle_window} and {window}")
        if not 0.0 <= vpin_bucket < INFINITY:
            raise ValueError(f"vpin_bucket must be >= 0, was {vpin_bucket}")
        failed |= exchange_init(x, window)
        failed |= book_init(&r.book, window)
        executor_init(&r.executor)
        failed |= sampler_init(
            &r.sampler, vpin_bucket / not_nan("lot_size", lot_size, True), vpin_buckets,
            vpin_calibration, kyle_window)
        if failed:
            raise MemoryError()
        x.tick_size = not_nan("tick_size", tick_size, True)
        x.lot_size = lot_size
        x.multiplier = not_nan("multiplier", multiplier, True)
        x.maker_fee = not_nan("maker_fee", maker_fee, False)
        x.taker_fee = not_nan("taker_fee", taker_fee, False)
        x.model = <queue_model_t><int>QUEUE_MODELS.index(queue_model)
        x.power = not_nan("queue_power", queue_power, True)
        x.partial_fills = partial_fills
        if latency is None:
            latency = Latency.constant(delay("entry_latency_ns", entry_latency_ns),
                                       delay("response_latency_ns", response_latency_ns))
        elif entry_latency_ns != 0 or response_latency_ns != 0:
            raise ValueError("give either latency, or entry_latency_ns and response_latency_ns")
        self.latency = latency              # whose tables the struct points to
        x.latency = latency.c
        r.feed_latency = delay("feed_latency_ns", feed_latency_ns)
        r.exchange_message = r.now = -NEVER
        self.deltas = self.trades = ()
        self.times = np.empty(0, np.int64) if sample_times is None else sample_times
        if np.any(np.diff(self.times) <= 0):
            raise ValueError("sample_times must rise")
        r.n_samples = self.times.shape[0]
        r.sampling = r.n_samples > 0
        self.rows = np.full((r.n_samples, N_COLUMNS), np.nan)
        if r.sampling:
            r.sample_time = &self.times[0]
            r.samples = &self.rows[0, 0]

    def __dealloc__(self):
        exchange_free(&self.c.exchange)
        book_free(&self.c.book)
        sampler_free(&self.c.sampler)

    # --------------------------------------------------------------------- the tape

    def feed(self, deltas, trades):
        """Append rows of the tape.

        Parameters
        ----------
        deltas : (time int64, side int8, tick int32, lots int64)
            Absolute sizes by exchange time; side 0 clears the book before a snapshot.
        trades : (time int64, side int8, tick int32, lots int64)
            The side is the aggressor's.

        Raises
        ------
        ValueError
            At the first row that breaks the rules; nothing of the two has been taken.
        """
        cdef tape_t kept = self.c.deltas
        cdef tuple before = self.deltas
        self.deltas = attach(&self.c.deltas, "deltas", self.deltas, deltas, self.c.now)
        try:
            self.trades = attach(&self.c.trades, "trades", self.trades, trades, self.c.now)
        except Exception:
            self.c.deltas = kept
            self.deltas = before
            raise

    def advance(self, nanos_t until_ns):
        """Run to the decision at local time `until_ns`, and return the events processed.

        Everything received by then has been seen, and all that happens at the exchange
        before then has happened. The tape must be complete up to it.
        """
        cdef int64_t before = self.c.events
        if until_ns < self.c.now:
            raise ValueError(f"cannot go back from {self.c.now} to {until_ns}")
        if until_ns >= NEVER:
            raise ValueError(f"until_ns must be below {NEVER}, was {until_ns}")
        with nogil:
            run(&self.c, until_ns)
        self.check()
        return self.c.events - before

    def finish(self):
        """Run until all data fed, and the answers to what was sent by then, have been received."""
        cdef replay_t* r = &self.c
        cdef nanos_t last = 0
        if r.deltas.n > 0:
            last = r.deltas.time[r.deltas.n - 1]
        if r.trades.n > 0:
            last = max(last, r.trades.time[r.trades.n - 1])
        last = max(last + r.feed_latency, r.now)
        events = self.advance(last + 1)                 # what is decided at `last` is sent
        events += self.advance(max(r.now, bus_last(&r.exchange.requests, last) + 1))
        return events + self.advance(max(r.now, bus_last(&r.exchange.responses, last) + 1))

    # --------------------------------------------------------------------- decisions

    def set_target(self, lots_t lots, *, bint aggressive=False, tick_t stop_ticks=0,
                   nanos_t hold_ns=0, nanos_t timeout_ns=0, bint give_up=False):
        """Want a position of `lots` (signed) from now on; see `mrcore.executor.Executor`.

        The executor acts on it when the replay goes on.
        """
        self.started()
        check_terms(stop_ticks, hold_ns, timeout_ns)
        self.c.executing = True
        executor_target(&self.c.executor, self.c.now, lots, aggressive, stop_ticks, hold_ns,
                        timeout_ns, give_up, local_mid(&self.c))
        self.c.undecided = True

    def schedule(self, time_ns, lots, aggressive, stop_ticks, hold_ns, timeout_ns, give_up):
        """Targets known beforehand, as `set_target` at each of these local times.

        Replaces an earlier schedule.

        Parameters
        ----------
        time_ns, lots, stop_ticks, hold_ns, timeout_ns : ndarray of int64
            Times must not fall.
        aggressive, give_up : ndarray of bool
        """
        cdef replay_t* r = &self.c
        cdef const int64_t[::1] time = time_ns, target = lots, stop = stop_ticks
        cdef const int64_t[::1] hold = hold_ns, timeout = timeout_ns
        cdef const cython.uchar[::1] urgent = np.asarray(aggressive, bool).view(np.uint8)
        cdef const cython.uchar[::1] drop = np.asarray(give_up, bool).view(np.uint8)
        cdef Py_ssize_t i, n = time.shape[0]
        columns = (time_ns, lots, aggressive, stop_ticks, hold_ns, timeout_ns, give_up)
        if any([len(c) != n for c in columns]):
            raise ValueError(f"columns differ in length: {[len(c) for c in columns]}")
        if n and (np.any(np.diff(time_ns) < 0) or time[0] < r.now):
            raise ValueError(f"times must not fall and must start at {r.now} or later")
        for i in range(n):
            try:
                check_terms(stop[i], hold[i], timeout[i])
            except ValueError as error:
                raise ValueError(f"row {i}: {error}") from None
        self.targets = (time, target, urgent, stop, hold, timeout, drop)
        r.n_targets = n
        r.target = 0
        if n:
            r.target_time = &time[0]
            r.target_lots = &target[0]
            r.target_aggressive = &urgent[0]
            r.target_stop = &stop[0]
            r.target_hold = &hold[0]
            r.target_timeout = &timeout[0]
            r.target_give_up = &drop[0]

    def submit(self, side_t side, tick_t tick, lots_t lots, str tif="gtc"):
        """Send an order now, and return its id.

        Parameters
        ----------
        side : int
            +1 buy, -1 sell.
        tick : int
            Limit price in ticks; ignored by a market order.
        lots : int
            > 0.
        tif : {"gtc", "post_only", "ioc", "market"}
        """
        self.started()
        if (side != 1 and side != -1) or lots <= 0 or tick < 0 or tif not in TIFS:
            raise ValueError(f"expected side 1 or -1, tick >= 0, lots > 0 and tif in {TIFS}, "
                             f"were {side}, {tick}, {lots} and {tif!r}")
        order = exchange_request_submit(&self.c.exchange, self.c.now, side, tick, lots,
                                        TIFS.index(tif), local_mid(&self.c))
        self.check()
        return order + 1

    def cancel(self, int64_t order_id):
        """Ask now for an order to be withdrawn."""
        self.started()
        if not 1 <= order_id <= self.c.exchange.n_orders:
            raise ValueError(f"no order {order_id}: ids go from 1 to {self.c.exchange.n_orders}")
        exchange_request_cancel(&self.c.exchange, self.c.now, order_id - 1)
        self.check()

    # --------------------------------------------------------------------- what is known

    @property
    def time_ns(self):
        """Local time reached, None before the first `advance`."""
        return None if self.c.now == -NEVER else self.c.now

    @property
    def bid_tick(self):
        """Best bid received, None when there is none."""
        cdef tick_t tick = book_bid(&self.c.book)
        return None if tick == NO_KEY else tick

    @property
    def ask_tick(self):
        """Best ask received, None when there is none."""
        cdef tick_t tick = book_ask(&self.c.book)
        return None if tick == -NO_KEY else tick

    @property
    def position_lots(self):
        """Signed position of the fills we know of."""
        return self.c.position

    @property
    def exchange_position_lots(self):
        """Signed position at the exchange, which may be ahead of what we know."""
        return self.c.exchange.position

    @property
    def cash(self):
        """Quote units: what fills cost and brought, less fees."""
        return self.c.exchange.cash

    @property
    def fees(self):
        """Quote units paid, negative when rebates exceed them."""
        return self.c.exchange.fees

    @property
    def mid(self):
        """Mid of the received book in quote units, NaN when a side is empty."""
        return local_mid(&self.c)

    @property
    def counters(self):
        """Events processed, messages that left the book crossed, deletes of unknown levels."""
        return {
            "events": self.c.events,
            "crossed": self.c.book.crossed,
            "unknown_deletes": self.c.book.unknown_deletes,
        }

    def samples(self):
        """Rows of `SAMPLE_COLUMNS` taken so far, float64."""
        return np.array(self.rows[:self.c.sample])

    def orders(self):
        """All orders as the exchange last knew them, ORDER_DTYPE."""
        return records(self.c.exchange.orders, self.c.exchange.n_orders, ORDER_DTYPE)

    def order_events(self):
        """The log of requests and of every change of an order, ORDER_EVENT_DTYPE."""
        return records(self.c.exchange.events, self.c.exchange.n_events, ORDER_EVENT_DTYPE)

    def fills(self):
        """Every execution, FILL_DTYPE."""
        return records(self.c.exchange.fills, self.c.exchange.n_fills, FILL_DTYPE)

    cdef int started(self) except -1:
        if self.c.now == -NEVER:
            raise ValueError("advance to the time of the decision first")
        return 0

    cdef int check(self) except -1:
        if self.c.exchange.failed or self.c.book.failed or self.c.exchange.book.failed:
            raise MemoryError("no memory for the order log or the far levels of the book")
        return 0

"""Replays of a recorded market with own orders in it: one pass over the tape.

The loop itself, and the order of what happens at one timestamp, is in `mrcore.loop`.
"""
from libc.math cimport INFINITY
from libc.stdint cimport int64_t
from libc.string cimport memcpy

cimport cython

from mrcore.account cimport Account
from mrcore.book cimport NO_KEY, book_init, book_lots, side_columns
from mrcore.exchange cimport (
    exchange_find, exchange_init, exchange_join, exchange_t, queue_rule,
)
from mrcore.executor cimport check_terms, executor_init, executor_target
from mrcore.l3 cimport L3Book
from mrcore.latency cimport Latency, latency_state_t
from mrcore.loop cimport (
    FEED, FILL, MOST_LEVELS, N_COLUMNS, loop_cancel, loop_cancel_all, loop_failed, loop_forget,
    loop_free, loop_mid, loop_owned, loop_quote, loop_replace, loop_run, loop_submit, replay_t,
    requests_t, targets_t,
)
from mrcore.orders cimport bus_last
from mrcore.owned cimport owned_list_t, owned_restore, owned_saved
from mrcore.queue cimport FIFO
from mrcore.sampler cimport sampler_init
from mrcore.tape cimport NEVER, tape_attach, tape_check, tape_local, tape_point, tape_t
from mrcore.types cimport lots_t, nanos_t, side_t, tick_t
from mrcore.venue cimport self_trade_t

from importlib.metadata import version

import numpy as np

from mrcore.exchange import (
    FILL_DTYPE, ORDER_DTYPE, ORDER_EVENT_DTYPE, QUEUE_MODELS, SELF_TRADE_MODES, TIFS,
)

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
    MOST_BITS = 53          # ticks and lots of an order: exact as doubles

cdef int64_t MOST = <int64_t>1 << MOST_BITS
cdef dict TIF_CODES = {name: code for code, name in enumerate(TIFS)}


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


cdef int64_t tif_code(str tif) except -1:
    code = TIF_CODES.get(tif)
    if code is None:
        raise ValueError(f"tif must be one of {TIFS}, was {tif!r}")
    return code


@cython.no_gc_clear         # the account must be there when the exchange leaves it
@cython.final
cdef class Replay:
    """One instrument's recorded market, replayed with own orders in it.

    Parameters
    ----------
    tick_size, lot_size : float
        Quote units a tick, base units a lot.
    sample_times : ndarray of int64, optional
        Local times, rising, at which a row of `SAMPLE_COLUMNS` is taken.
    sample_interval_ns : int
        Instead of ``sample_times``: a row at each multiple of it from the first data on.
    vpin_bucket : float
        Volume of a VPIN bucket, base units; 0 calibrates it on the first
        ``vpin_calibration`` trades so that they would have filled ``vpin_buckets`` buckets.
    vpin_buckets, vpin_calibration : int
    kyle_window : int
        Samples in the rolling regression of Kyle's lambda, >= 3.
    queue_model : str
        One of `mrcore.exchange.QUEUE_MODELS`, which `mrcore/queue.pxd` explains.
    queue_power : float
        Exponent of the power models, > 0; the third argument of a kernel.
    queue_table : ndarray of float64, optional
        Of the ``table`` model: the share of a displayed decrease that happens behind an order,
        at equally spaced shares F / (F + B) of the level before it, from 0 to 1.
    queue_kernel : ctypes function or numba cfunc, optional
        Of the ``kernel`` model: ``double behind(double front, double back, double power)``.
    partial_fills, remember_taking : bool
    self_trade : {"allow", "expire_taker", "expire_maker", "expire_both"}
    max_open_orders : int
        Orders beyond it are rejected; 0 for no limit.
    rate_limit : (int, int), optional
        New and replacing requests in a window of so many ns; more are rejected.
        `mrcore.exchange` explains these five.
    latency : mrcore.latency.Latency, optional
        Of requests to the exchange and responses from it.
    entry_latency_ns, response_latency_ns : int
        Instead of ``latency``: the same for all requests, and for responses.
    feed_latency_ns : int
        Data from the exchange. The feed's own delays, row by row, take its place where ``feed``
        is given local times.
    maker_fee, taker_fee : float
        Fractions of the notional; negative for a rebate. The tiers of an ``account`` that has
        some take their place.
    multiplier : float
        Base units (inverse: quote units) in one unit of size (contract value), > 0.
    inverse : bool
        A contract settled in the base currency; see `mrcore.account` for the formulas.
    account : Account, optional
        Books the money, with the other replays of a `Portfolio` that share it; without it the
        replay has an account of its own, with neither deposit nor margin.
    depth : bool
        Keep all levels of the received book, for `levels` and `lots_at`; without it only its
        touch is kept, at half the cost. Changes no result.
    window : int
        See `mrcore.book.L2Book`; changes no result.

    Notes
    -----
    ``feed`` the tape in chunks of any size, ``advance`` to a local time up to which it is
    complete. Any chunking gives the same bits. The GIL is released while it runs, so replays
    run at once on several threads; one object belongs to one thread at a time, and a call
    from another one while it runs raises RuntimeError.
    """

    def __cinit__(self, double tick_size, double lot_size, *, sample_times=None,
                  nanos_t sample_interval_ns=0,
                  double vpin_bucket=0.0, Py_ssize_t vpin_buckets=50,
                  int64_t vpin_calibration=500, Py_ssize_t kyle_window=60,
                  str queue_model="power", double queue_power=3.0, queue_table=None,
                  queue_kernel=None, bint partial_fills=True, bint remember_taking=True,
                  str self_trade="allow", Py_ssize_t max_open_orders=0, rate_limit=None,
                  Latency latency=None, nanos_t entry_latency_ns=0,
                  nanos_t response_latency_ns=0,
                  nanos_t feed_latency_ns=0, double maker_fee=0.0, double taker_fee=0.0,
                  double multiplier=1.0, bint inverse=False, Account account=None,
                  bint depth=False, int64_t window=1 << 15):
        cdef replay_t* r = &self.c
        cdef exchange_t* x = &r.exchange
        cdef int failed = 0
        if vpin_buckets < 1 or vpin_calibration < 1 or kyle_window < 3 or window < 16:
            raise ValueError(
                "vpin_buckets and vpin_calibration must be >= 1, kyle_window >= 3 and window >= "
                f"16, were {vpin_buckets}, {vpin_calibration}, {kyle_window} and {window}")
        if not 0.0 <= vpin_bucket < INFINITY:
            raise ValueError(f"vpin_bucket must be >= 0, was {vpin_bucket}")
        if not 0 <= sample_interval_ns < NEVER >> 2 or (sample_interval_ns and
                                                        sample_times is not None):
            raise ValueError(f"sample_interval_ns must be in [0, {NEVER >> 2}), and 0 where there "
                             f"are sample_times, was {sample_interval_ns}")
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
        not_nan("multiplier", multiplier, True)
        not_nan("maker_fee", maker_fee, False)
        not_nan("taker_fee", taker_fee, False)
        self.queue_table = queue_table
        self.queue_kernel = queue_kernel
        queue_rule(&x.queue, queue_model, queue_power, self.queue_table, queue_kernel)
        x.partial_fills = partial_fills
        x.remember_taking = remember_taking
        if self_trade not in SELF_TRADE_MODES:
            raise ValueError(f"self_trade must be one of {SELF_TRADE_MODES}, was {self_trade!r}")
        x.self_trade = <self_trade_t><int>SELF_TRADE_MODES.index(self_trade)
        x.max_open_orders = max_open_orders
        if rate_limit is not None:
            x.rate_limit, x.rate_ns = rate_limit
        if max_open_orders < 0 or (rate_limit is not None and min(rate_limit) <= 0):
            raise ValueError("max_open_orders must be >= 0 and both of rate_limit > 0, were "
                             f"{max_open_orders} and {rate_limit}")
        if latency is None:
            latency = Latency.constant(delay("entry_latency_ns", entry_latency_ns),
                                       delay("response_latency_ns", response_latency_ns))
        elif entry_latency_ns != 0 or response_latency_ns != 0:
            raise ValueError("give either latency, or entry_latency_ns and response_latency_ns")
        self.latency = latency              # whose tables the struct points to
        x.latency = latency.c
        r.deltas.latency = r.trades.latency = delay("feed_latency_ns", feed_latency_ns)
        r.now = -NEVER
        r.known.time = -NEVER
        r.known.bid = NO_KEY
        r.known.ask = -NO_KEY
        self.depth = depth
        r.two_books = depth or feed_latency_ns == 0
        self.deltas = self.trades = self.target_columns = self.order_columns = ()
        self.times = np.empty(0, np.int64) if sample_times is None else sample_times
        if np.any(np.diff(self.times) <= 0):
            raise ValueError("sample_times must rise")
        r.n_samples = self.times.shape[0]
        r.interval = sample_interval_ns
        r.first_sample = NEVER
        r.sampling = r.n_samples > 0 or r.interval > 0
        if r.n_samples > 0:
            r.sample_time = &self.times[0]
        self.account = Account() if account is None else account
        self.row = self.account.add(lot_size, multiplier=multiplier, inverse=inverse,
                                    maker_fee=maker_fee, taker_fee=taker_fee)
        exchange_join(x, &self.account.c, self.row)

    def __dealloc__(self):
        loop_free(&self.c)

    # --------------------------------------------------------------------- the tape

    def feed(self, deltas, trades):
        """Append rows of the tape.

        Parameters
        ----------
        deltas : (time int64, side int8, tick int32, lots int64[, local int64])
            Absolute sizes by exchange time; side 0 clears the book before a snapshot.
        trades : (time int64, side int8, tick int32, lots int64[, local int64])
            The side is the aggressor's.

        Raises
        ------
        ValueError
            At the first row that breaks the rules; nothing of the two has been taken.

        Notes
        -----
        With ``local``, the time a row was received, decisions know it from then on; local
        times come after the row's exchange time and do not fall. A message is received with
        its last row.
        """
        self.alone()
        if self.c.exchange.queue.model == FIFO:
            raise ValueError("queue_model='fifo' needs the market's orders: use feed_orders")
        if len(deltas) != len(trades):
            raise ValueError(f"deltas have {len(deltas)} columns, trades {len(trades)}: both or "
                             "neither come with local times")
        self.attach(deltas, trades)

    def feed_orders(self, orders):
        """Append rows of an order-level tape, instead of `feed`.

        Each fill is a trade too, for samples and stops. Any queue model may be used; ``fifo`` is
        the one that makes use of the orders.

        Parameters
        ----------
        orders : (time int64, kind int8, order_id int64, side int8, tick int32, lots int64[, \
local int64])
            Events by exchange time; `mrcore.l3.L3Book.update` tells what they are, and the kind
            is an index into `mrcore.l3.KINDS`. Local times are as of `feed`.

        Raises
        ------
        ValueError
            At the first row that breaks the rules; nothing has been taken.
        """
        cdef replay_t* r = &self.c
        self.alone()
        orders = tuple([np.asarray(column) for column in orders])
        if len(orders) not in (6, 7):
            raise ValueError("orders: expected time, kind, order_id, side, tick, lots and perhaps "
                             f"local, were {len(orders)} columns")
        fifo = r.exchange.queue.model == FIFO
        tape_check(&r.deltas, "orders", self.deltas, (orders[0], *orders[3:]), r.now,
                   3 if fifo else 0)
        if self.market is None:
            self.market = L3Book(r.exchange.tick_size, r.exchange.lot_size,
                                 window=r.book.window)
        deltas, trades, places = self.market.flatten(np.arange(len(orders[0])), *orders[1:6])
        deltas, trades = [
            (orders[0][row], *columns, *[local[row] for local in orders[6:]])
            for row, *columns in (deltas, trades)]
        self.attach(deltas + places if fifo else deltas, trades)

    cdef int attach(self, deltas, trades) except -1:
        """Put rows behind those there are."""
        cdef replay_t* r = &self.c
        cdef tape_t kept = r.deltas
        cdef tuple before = self.deltas
        cdef nanos_t first, late
        self.deltas = tape_attach(&r.deltas, "deltas", self.deltas, deltas, r.now)
        try:
            self.trades = tape_attach(&r.trades, "trades", self.trades, trades, r.now)
        except Exception:
            r.deltas = kept
            self.deltas = before
            raise
        if not self.fed and len(trades) == 5:
            r.two_books = self.depth        # every row is received after it happened
        self.fed = True
        if r.interval > 0 and r.events == 0:    # earlier rows of the other stream may come late
            first = NEVER
            if r.deltas.n > 0:
                first = tape_local(&r.deltas, 0)
            if r.trades.n > 0:
                first = min(first, tape_local(&r.trades, 0))
            if first < NEVER:
                late = first % r.interval       # rounded down or to zero, as the build is
                r.first_sample = first - late + (r.interval if late > 0 else 0)
        return 0

    def advance(self, nanos_t until_ns):
        """Run to the decision at local time `until_ns`, and return the events processed.

        Everything received by then has been seen, and all that happens at the exchange
        before then has happened. The tape must be complete up to it.
        """
        cdef int64_t before = self.c.events
        check_until(self.c.now, until_ns)
        self.go(until_ns)
        return self.c.events - before

    def wait_next(self, nanos_t timeout_ns, *, bint feed=False, bint fill=True):
        """Run until something happens, or for `timeout_ns` of local time.

        Parameters
        ----------
        timeout_ns : int
            >= 0.
        feed : bool
            Wake when market data are received.
        fill : bool
            Wake when a fill is known.

        Returns
        -------
        {"fill", "feed", "timeout", "end"}
            What it was, a fill before data; "end" when nothing is left of what was fed, nor
            on its way.
        """
        cdef replay_t* r = &self.c
        self.started()
        check_timeout(r.now, timeout_ns)
        r.wake_feed = feed
        r.wake_fill = fill
        r.woken = 0
        try:
            self.go(r.now + timeout_ns)
        finally:
            r.wake_feed = r.wake_fill = False
        return woken_by(r.woken, self.at_end())

    def finish(self):
        """Run until all data fed, and the answers to what was sent by then, have been received."""
        events = self.advance(self.last_received() + 1)     # what is decided last is sent
        events += self.advance(self.requests_arrive())
        return events + self.advance(self.answers_arrive())

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
                        timeout_ns, give_up, loop_mid(&self.c))
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
        self.alone()
        same_lengths((time_ns, lots, aggressive, stop_ticks, hold_ns, timeout_ns, give_up))
        self.in_order(time)
        for i in range(n):
            try:
                check_terms(stop[i], hold[i], timeout[i])
            except ValueError as error:
                raise ValueError(f"row {i}: {error}") from None
        self.target_columns = (time, target, urgent, stop, hold, timeout, drop)
        self.point_targets()
        r.targets.next = 0

    def schedule_orders(self, time_ns, side, tick, lots, tif, cancel_ns):
        """Orders known beforehand, as `submit` and `cancel` at these local times.

        Replaces an earlier schedule. At one time what is sent goes before what is withdrawn.

        Parameters
        ----------
        time_ns : ndarray of int64
            When each order is sent; times must not fall.
        side, tif : ndarray of int8
            +1 buy, -1 sell; index into `mrcore.exchange.TIFS`.
        tick, lots, cancel_ns : ndarray of int64
            ``cancel_ns``: when it is withdrawn, not before it is sent; 0 for never.

        Returns
        -------
        ndarray of int64
            The orders' ids, filled in as they are sent; 0 before.
        """
        cdef replay_t* r = &self.c
        cdef const int64_t[::1] sent = time_ns, ticks = tick, sizes = lots, cancel = cancel_ns
        cdef const signed char[::1] sides = side, tifs = tif
        cdef Py_ssize_t i, n = sent.shape[0]
        self.alone()
        same_lengths((time_ns, side, tick, lots, tif, cancel_ns))
        self.in_order(sent)
        for i in range(n):
            if ((sides[i] != 1 and sides[i] != -1) or not 0 <= ticks[i] < MOST
                    or not 0 < sizes[i] < MOST or not 0 <= tifs[i] < len(TIFS)
                    or (cancel[i] and cancel[i] < sent[i])):
                raise ValueError(
                    f"row {i}: expected side 1 or -1, tick in [0, {MOST}), lots in [1, "
                    f"{MOST}), tif an index into {TIFS} and cancel_ns 0 or {sent[i]} "
                    f"at the least, were {sides[i]}, {ticks[i]}, {sizes[i]}, {tifs[i]} and "
                    f"{cancel[i]}")
        withdrawn = np.flatnonzero(cancel_ns)
        times = np.concatenate((time_ns, np.asarray(cancel_ns)[withdrawn]))
        by_time = np.argsort(times, kind="stable")
        order_ids = np.zeros(n, np.int64)
        cdef const int64_t[::1] time = times[by_time]
        cdef const int64_t[::1] row = np.concatenate((np.arange(n), withdrawn))[by_time]
        cdef const cython.uchar[::1] withdraw = (by_time >= n).view(np.uint8)
        cdef int64_t[::1] ids = order_ids
        self.order_columns = (time, row, withdraw, sides, ticks, sizes, tifs, ids)
        self.point_requests()
        r.requests.next = 0
        return order_ids

    def fund(self, time_ns, rate, mark=None):
        """Set the funding payments to come, in place of those set before and not yet due.

        Each is for the position held before the data and requests of its exchange time.

        Parameters
        ----------
        time_ns : ndarray of int64
            Exchange times, rising.
        rate : ndarray of float64
            Fraction of the notional, paid by longs to shorts where positive.
        mark : ndarray of float64, optional
            Mark prices in quote units, NaN (and by default) for the exchange's mid.
        """
        self.alone()
        self.in_order(np.ascontiguousarray(time_ns, np.int64))
        self.account.fund(self.row, time_ns, rate, mark)

    def submit(self, side_t side, tick_t tick, lots_t lots, str tif="gtc", *,
               stop_tick=None, bint reduce_only=False):
        """Send an order now, and return its id.

        Parameters
        ----------
        side : int
            +1 buy, -1 sell.
        tick : int
            Limit price in ticks; ignored by a market order.
        lots : int
            > 0.
        tif : {"gtc", "post_only", "ioc", "market", "fok"}
        stop_tick : int, optional
            The order sleeps until the market trades at this price or beyond: at or above it
            for a buy, at or below it for a sell.
        reduce_only : bool
            Never more than what closes the position.

        Notes
        -----
        `mrcore.exchange` gives the rules.
        """
        cdef int64_t order_id
        cdef tick_t stop = -1 if stop_tick is None else stop_tick
        self.started()
        if ((side != 1 and side != -1) or not 0 <= tick < MOST or not 0 < lots < MOST
                or not (stop_tick is None or 0 <= stop < MOST)):
            raise ValueError(f"expected side 1 or -1, ticks in [0, {MOST}) and lots in [1, "
                             f"{MOST}), were {side}, {tick}, {lots} and stop_tick {stop_tick}")
        order_id = loop_submit(&self.c, side, tick, lots, tif_code(tif), reduce_only, stop, False)
        self.check()
        return order_id

    def replace(self, int64_t order_id, tick_t tick, lots_t lots):
        """Ask now for an order to get another price and size.

        Parameters
        ----------
        order_id : int
        tick : int
        lots : int
            > 0, with what has been filled. A size no larger at the same price keeps the
            place in the queue; one at or below what has been filled cancels the order.
        """
        self.kept(order_id)
        if not 0 <= tick < MOST or not 0 < lots < MOST:
            raise ValueError(f"expected a tick in [0, {MOST}) and lots in [1, {MOST}), were "
                             f"{tick} and {lots}")
        loop_replace(&self.c, order_id, tick, lots)
        self.check()

    def cancel(self, int64_t order_id):
        """Ask now for an order to be withdrawn."""
        self.kept(order_id)
        loop_cancel(&self.c, order_id)
        self.check()

    def cancel_all(self):
        """Ask now for every open order to be withdrawn."""
        self.started()
        loop_cancel_all(&self.c)
        self.check()

    def quote(self, bid_tick, ask_tick, lots_t lots, *, int levels=1, tick_t step_ticks=1,
              bint keep=True):
        """Want post-only orders at these prices and behind them, and no other quotes.

        Parameters
        ----------
        bid_tick, ask_tick : int or None
            Best price of each side; None for no quotes there.
        lots : int
            Size of each order, > 0.
        levels, step_ticks : int
            Orders a side, at most 64, and the ticks between them; >= 1.
        keep : bool
            Let quotes stand that are at a wanted price, with their place in the queue (and
            what is left of their size); False sends all anew.

        Notes
        -----
        Orders sent otherwise are left alone.
        """
        cdef tick_t bid = NO_KEY if bid_tick is None else bid_tick
        cdef tick_t ask = -NO_KEY if ask_tick is None else ask_tick
        self.started()
        if (not 0 < lots < MOST or not 1 <= levels <= MOST_LEVELS
                or not 1 <= step_ticks < 1 << 32
                or not (bid_tick is None or 0 <= bid < MOST)
                or not (ask_tick is None or 0 <= ask < MOST)):
            raise ValueError(f"expected lots in [1, {MOST}), levels in [1, {MOST_LEVELS}], "
                             f"step_ticks >= 1 and prices in [0, {MOST}), were {lots}, {levels}, "
                             f"{step_ticks}, {bid_tick} and {ask_tick}")
        loop_quote(&self.c, bid, ask, lots, levels, step_ticks, keep)
        self.check()

    def run(self, nanos_t until_ns, *, on_fill=None, on_feed=None, on_timer=None,
            nanos_t every_ns=0):
        """Run to local time `until_ns`, calling back only where a condition holds.

        Parameters
        ----------
        until_ns : int
        on_fill, on_feed, on_timer : callable, optional
            Called with this replay when a fill is known, when data are received, and each
            ``every_ns`` from now; at one time data come first, then the fill, then the timer.
        every_ns : int
            > 0 where there is an ``on_timer``.
        """
        cdef nanos_t timer, stop
        self.started()
        check_until(self.c.now, until_ns)
        if on_timer is not None and not 0 < every_ns < NEVER:
            raise ValueError(f"every_ns must be in (0, {NEVER}) for on_timer, was {every_ns}")
        timer = self.c.now + every_ns if on_timer is not None else NEVER
        while self.c.now < until_ns or self.c.now == timer:     # a fill may come before it
            stop = min(until_ns, timer)
            self.wait_next(stop - self.c.now, feed=on_feed is not None, fill=on_fill is not None)
            woken = self.c.woken
            if woken & FEED:
                on_feed(self)
            if woken & FILL:
                on_fill(self)
            if self.c.now == timer and not woken:
                timer += every_ns
                on_timer(self)

    # --------------------------------------------------------------------- what is known

    @property
    def time_ns(self):
        """Local time reached, None before the first `advance`."""
        return None if self.c.now == -NEVER else self.c.now

    @property
    def bid_tick(self):
        """Best bid received, None when there is none."""
        return None if self.c.known.bid == NO_KEY else self.c.known.bid

    @property
    def ask_tick(self):
        """Best ask received, None when there is none."""
        return None if self.c.known.ask == -NO_KEY else self.c.known.ask

    @property
    def bid_lots(self):
        """Size of the best bid received, 0 when there is none."""
        return self.c.known.bid_lots

    @property
    def ask_lots(self):
        """Size of the best ask received, 0 when there is none."""
        return self.c.known.ask_lots

    @property
    def mid(self):
        """Mid of the received book in quote units, NaN when a side is empty."""
        return loop_mid(&self.c)

    def levels(self, Py_ssize_t n=10):
        """Best `n` levels received: ticks and lots of the bids, then of the asks.

        Returns
        -------
        tuple of four ndarray of int64
            Best first.
        """
        self.deep()
        if n < 0:
            raise ValueError(f"n must be >= 0, was {n}")
        return (*side_columns(&self.c.book, 0, n), *side_columns(&self.c.book, 1, n))

    def lots_at(self, side_t side, tick_t tick):
        """Size received at one price, 0 when there is none."""
        self.deep()
        return book_lots(&self.c.book, side, tick)

    @property
    def open_orders(self):
        """Orders that may still live, as far as we know."""
        return self.c.working.n

    @property
    def position_lots(self):
        """Signed position of the fills we know of."""
        return self.c.position

    @property
    def known_fills(self):
        """Number of the fills we know of: the first so many of all."""
        return self.c.known_fills

    @property
    def exchange_position_lots(self):
        """Signed position at the exchange, which may be ahead of what we know."""
        return self.c.exchange.holding.position

    @property
    def cash(self):
        """Settlement currency: what fills cost and brought, less fees and funding."""
        return self.c.exchange.holding.cash

    @property
    def fees(self):
        """Settlement currency paid, negative when rebates exceed them."""
        return self.c.exchange.holding.fees

    @property
    def funding(self):
        """Settlement currency paid, negative where more was received."""
        return self.c.exchange.holding.funding

    @property
    def counters(self):
        """Events processed, messages that left the book crossed, deletes of unknown levels.

        And, where orders were fed, those of `mrcore.l3.L3Book` for all that was fed.
        """
        return {
            "events": self.c.events,
            "crossed": self.c.exchange.book.crossed,
            "unknown_deletes": self.c.exchange.book.unknown_deletes,
            **({} if self.market is None else self.market.counters),
        }

    def samples(self):
        """Rows of `SAMPLE_COLUMNS` taken so far, float64."""
        cdef Py_ssize_t n = self.c.sample - self.c.first_row
        self.alone()
        out = np.empty((n, N_COLUMNS))
        cdef double[:, ::1] rows = out
        if n > 0:
            memcpy(&rows[0, 0], self.c.rows, n * N_COLUMNS * sizeof(double))
        return out

    def orders(self):
        """All orders as the exchange last knew them, ORDER_DTYPE."""
        self.alone()
        return records(self.c.exchange.orders, self.c.exchange.n_orders, ORDER_DTYPE)

    def order_events(self):
        """The log of requests and of every change of an order, ORDER_EVENT_DTYPE."""
        self.alone()
        return records(self.c.exchange.events, self.c.exchange.n_events, ORDER_EVENT_DTYPE)

    def fills(self):
        """Every execution, FILL_DTYPE."""
        self.alone()
        return records(self.c.exchange.fills, self.c.exchange.n_fills, FILL_DTYPE)

    def drain(self):
        """Samples, orders, order events and fills since the last time, which are then forgotten.

        So a long replay runs in bounded memory. Orders that may still live are given again the
        next time, as they are then.

        Returns
        -------
        dict
            ``samples``, ``orders``, ``order_events`` and ``fills``, as the methods give them.
        """
        self.alone()
        drained = {"samples": self.samples(), "orders": self.orders(),
                   "order_events": self.order_events(), "fills": self.fills()}
        loop_forget(&self.c)
        self.check()
        return drained

    def copy(self):
        """A replay in the same state: what it does from here on changes nothing here.

        The tape is shared, so that a what-if costs little.
        """
        return restored(self.state())

    def __reduce__(self):
        cdef replay_t* r = &self.c
        self.alone()
        if self.fed:                        # rows that both clocks have passed are not saved
            self.deltas = tape_attach(&r.deltas, "deltas", self.deltas, none_of(self.deltas), r.now)
            self.trades = tape_attach(&r.trades, "trades", self.trades, none_of(self.trades), r.now)
        return restored, (self.state(),)

    # --------------------------------------------------------------------- inside

    cdef dict state(self):
        """All there is to know; the tape and the schedules are the objects themselves."""
        cdef owned_list_t owned
        self.alone()
        if self.joined:
            raise ValueError("this replay is part of a Portfolio, and cannot be copied by itself")
        owned.n = 0
        loop_owned(&self.c, &owned)
        return {
            "version": version("mrtrade"),
            "image": (<const char*>&self.c)[:sizeof(replay_t)],
            "arrays": owned_saved(&owned),
            "deltas": self.deltas,
            "trades": self.trades,
            "times": np.asarray(self.times),
            "targets": tuple([np.asarray(column) for column in self.target_columns]),
            "requests": tuple([np.array(column) for column in self.order_columns]),
            "queue_table": None if self.queue_table is None else np.asarray(self.queue_table),
            "queue_kernel": self.queue_kernel,
            "queue_model": QUEUE_MODELS[self.c.exchange.queue.model],
            "latency": self.latency,
            "account": self.account,
            "row": self.row,
            "mark": self.c.exchange.holding.mark,
            "market": None if self.market is None else self.market.copy(),
            "depth": self.depth,
            "fed": self.fed,
        }

    cdef int point(self) except -1:
        """Let the pointers to what Python objects own be to those of this one."""
        cdef replay_t* r = &self.c
        cdef exchange_t* x = &r.exchange
        cdef latency_state_t drawn = x.latency.state
        if self.fed:
            tape_point(&r.deltas, self.deltas)
            tape_point(&r.trades, self.trades)
        r.n_samples = self.times.shape[0]
        if r.n_samples > 0:
            r.sample_time = &self.times[0]
        if self.target_columns:
            self.point_targets()
        if self.order_columns:
            self.point_requests()
        x.latency = self.latency.c
        x.latency.state = drawn
        return 0

    cdef int point_targets(self) except -1:
        cdef targets_t* t = &self.c.targets
        cdef const int64_t[::1] time, lots, stop, hold, timeout
        cdef const cython.uchar[::1] aggressive, give_up
        time, lots, aggressive, stop, hold, timeout, give_up = self.target_columns
        t.n = time.shape[0]
        if t.n > 0:
            t.time = &time[0]
            t.lots = &lots[0]
            t.aggressive = &aggressive[0]
            t.stop = &stop[0]
            t.hold = &hold[0]
            t.timeout = &timeout[0]
            t.give_up = &give_up[0]
        return 0

    cdef int point_requests(self) except -1:
        cdef requests_t* q = &self.c.requests
        cdef const int64_t[::1] time, order, tick, lots
        cdef const cython.uchar[::1] withdraw
        cdef const signed char[::1] side, tif
        cdef int64_t[::1] order_id
        time, order, withdraw, side, tick, lots, tif, order_id = self.order_columns
        q.n = time.shape[0]
        if q.n > 0:
            q.time = &time[0]
            q.order = &order[0]
            q.withdraw = &withdraw[0]
            q.side = &side[0]
            q.tick = &tick[0]
            q.lots = &lots[0]
            q.tif = &tif[0]
            q.order_id = &order_id[0]
        return 0

    cdef bint at_end(self) noexcept:
        cdef replay_t* r = &self.c
        return (r.deltas.exchange == r.deltas.n and r.trades.exchange == r.trades.n
                and r.deltas.received == r.deltas.n and r.trades.received == r.trades.n
                and r.n_touches == 0 and r.exchange.requests.n == 0
                and r.exchange.responses.n == 0)

    cdef nanos_t last_received(self) noexcept:
        """Local time of the last row fed."""
        cdef replay_t* r = &self.c
        cdef nanos_t last = r.now
        if r.deltas.n > 0:
            last = max(last, tape_local(&r.deltas, r.deltas.n - 1))
        if r.trades.n > 0:
            last = max(last, tape_local(&r.trades, r.trades.n - 1))
        return last

    cdef nanos_t requests_arrive(self) noexcept:
        """Time by which all requests sent have been served."""
        return max(self.c.now, bus_last(&self.c.exchange.requests, -NEVER) + 1)

    cdef nanos_t answers_arrive(self) noexcept:
        """Local time by which all responses on their way have come."""
        return max(self.c.now, bus_last(&self.c.exchange.responses, -NEVER) + 1)

    cdef int free_to_run(self) except -1:
        self.alone()
        if self.joined:
            raise ValueError("this replay is part of a Portfolio: advance that")
        return 0

    cdef int go(self, nanos_t until) except -1:
        cdef replay_t* r = &self.c
        self.free_to_run()
        if self.account.replays() > 1:
            raise ValueError("replays that share an account go through time in one Portfolio")
        self.busy = True
        with nogil:
            loop_run(&r, 1, until)
        self.busy = False
        self.check()
        return 0

    cdef int alone(self) except -1:
        if self.busy:
            raise RuntimeError("this replay is running on another thread; one object belongs to "
                               "one thread at a time")
        return 0

    cdef int started(self) except -1:
        self.alone()
        if self.c.now == -NEVER:
            raise ValueError("advance to the time of the decision first")
        return 0

    cdef int kept(self, int64_t order_id) except -1:
        self.started()
        if exchange_find(&self.c.exchange, order_id) < 0:
            raise ValueError(f"no order {order_id} in the log: {self.c.exchange.last_id} were sent")
        return 0

    cdef int deep(self) except -1:
        self.alone()
        if not self.depth:
            raise ValueError("only the touch of the received book is kept; make the Replay with "
                             "depth=True")
        return 0

    cdef int in_order(self, const int64_t[::1] time) except -1:
        if time.shape[0] and (np.any(np.diff(time) < 0) or time[0] < self.c.now):
            raise ValueError(f"times must not fall and must start at {self.c.now} or later")
        return 0

    cdef int check(self) except -1:
        if loop_failed(&self.c):
            raise MemoryError("no memory for the logs or the far levels of the book")
        return 0


cdef int same_lengths(tuple columns) except -1:
    if len({len(c) for c in columns}) != 1:
        raise ValueError(f"columns differ in length: {[len(c) for c in columns]}")
    return 0


cdef str woken_by(int woken, bint ended):
    """Name of what ended a wait."""
    if woken & FILL:
        return "fill"
    if woken & FEED:
        return "feed"
    return "end" if ended else "timeout"


cdef int check_until(nanos_t now, nanos_t until) except -1:
    if until < now:
        raise ValueError(f"cannot go back from {now} to {until}")
    if until >= NEVER:
        raise ValueError(f"until_ns must be below {NEVER}, was {until}")
    return 0


cdef int check_timeout(nanos_t now, nanos_t timeout) except -1:
    if not 0 <= timeout < NEVER - max(now, 0):
        raise ValueError(f"timeout_ns must be in [0, {NEVER - max(now, 0)}), was {timeout}")
    return 0


cdef tuple none_of(tuple columns):
    return tuple([column[:0] for column in columns])


def restored(dict state not None):
    """The replay that `Replay.copy` or a pickle describes; it goes on as the original would."""
    cdef Replay replay = Replay.__new__(Replay, 1.0, 1.0)
    cdef owned_list_t owned
    cdef bytes image = state["image"]
    if state["version"] != version("mrtrade") or len(image) != sizeof(replay_t):
        raise ValueError(f"saved by mrtrade {state['version']}, this is {version('mrtrade')}; a "
                         "replay is restored by the version that saved it")
    loop_free(&replay.c)
    memcpy(&replay.c, <const char*>image, sizeof(replay_t))
    replay.c.exchange.holding = NULL        # the original's
    owned.n = 0
    loop_owned(&replay.c, &owned)
    owned_restore(&owned, state["arrays"])
    replay.deltas, replay.trades = state["deltas"], state["trades"]
    replay.times = state["times"]
    replay.target_columns, replay.order_columns = state["targets"], state["requests"]
    replay.queue_table, replay.queue_kernel = state["queue_table"], state["queue_kernel"]
    replay.latency, replay.market = state["latency"], state["market"]
    replay.depth, replay.fed = state["depth"], state["fed"]
    queue_rule(&replay.c.exchange.queue, state["queue_model"], replay.c.exchange.queue.power,
               replay.queue_table, replay.queue_kernel)
    replay.row = state["row"]
    replay.account = state["account"]
    if replay.account.row(replay.row).owner is not NULL:
        replay.account = replay.account.copy()
    exchange_join(&replay.c.exchange, &replay.account.c, replay.row)
    replay.c.exchange.holding.mark = state["mark"]      # a copied account shows that of now
    replay.point()
    return replay

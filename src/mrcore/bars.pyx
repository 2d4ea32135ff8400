"""Bars of the received market: the book at the end of each, and what flowed since the last.

One pass over deltas and trades in the order in which they were received, without orders.

``BAR_COLUMNS`` are the columns of a bar. The first 28 are those of `mrcore.replay.SAMPLE_COLUMNS`
without the account, by the same code. "In the bar" is after the end of the bar before up to the
end of this one, both as received. Sizes are in base units, prices in quote units; NaN where there
is no value.

======================== ========== ==========================================================
column                   unit       meaning
======================== ========== ==========================================================
mid_open                 quote      mid at the end of the bar before
n_mid_changes            count      messages that moved the mid, both sides there
touch_imbalance_mean     -1..1      (qb - qa) / (qb + qa) of the best sizes, mean over time
bid_depleted, ask_...    base       what left the best level between two messages: its decrease
                                    while its price stood, all of it where the price got worse
bid_emptied, ask_...     count      messages after which the best price was worse
ofi5, ofi10            base       changes of bid sizes less changes of ask sizes, of levels
                                    among the best 5 (10) of their side before or after
bid_adds, ask_adds       base       increases of levels among the best 20
bid_cancels, ask_...     base       decreases of levels among the best 20 that no trade at their
                                    price claimed within ``match_ns``, either way round; in the
                                    bar in which that time was over
unmatched_trades         base       traded where no level decreased by it within ``match_ns``
bid_flicker, ask_...     base       a proxy of spoofing, no proof of it: a level among the best
                                    10 (there must be 10) grows at once by ``flicker_size``
                                    times their mean size or more, and loses half of that or
                                    more within ``flicker_ns``, no trade at it from then until
                                    ``match_ns`` after; what it grew by, in the bar in which
                                    that time was over
band_bid_depth, ..._ask  base       size within ``band_bps`` of the mid at the end
bid_slope, ask_slope     base/bps   mean over the best 10 levels k of Q_k / d_k at the end: size
                                    up to level k, distance of its price from the mid
bid_weighted, ask_...    base       sum of exp(-(k - 1) / 2) q_k over the best 10 levels k
n_buys, n_sells          count      trades by aggressor
max_trade                base       the largest trade
signed_runs              count      sum of s_i s_(i-1), s = 1 for a buy, -1 for a sell
n_sign_pairs             count      its terms; the trade before may lie in an earlier bar
roll_xy                  quote^2    sum of x_i y_i, x_i = p_i - p_(i-1), y_i = x_(i-1)
roll_x, roll_y           quote      sums of x_i and of y_i over the same trades i
roll_n                   count      their number; cov(x, y) over any bars is
                                    xy / n - (x / n) (y / n) with the sums over them
hawkes_buy, hawkes_sell  1/s        sum over all trades of beta exp(-beta (t - t_i)) at the end,
                                    beta = ln 2 / ``hawkes_half_life_ns``
eff_spread               quote base sum of 2 D (P - M) size, M the mid before the trade, D = 1
                                    for a buy, -1 for a sell; trades without M are left out
eff_volume               base       size of those trades
realized_spread          quote base sum of 2 D (P - M') size, M' the mid ``horizon_ns`` after the
                                    trade; in the bar in which that time comes; trades without
                                    M' are left out
price_impact             quote base sum of 2 D (M' - M) size, likewise
matured_spread           quote base realized_spread + price_impact: their effective spread
matured_volume           base       size of the trades in these three
kyle_t                   1          t statistic of kyle_lambda; NaN too for a fit without a rest
======================== ========== ==========================================================

A message that clears the book (a gap, then a snapshot), or finds it empty, begins another one:
no change counts from there on. After a gap nothing waits any more: neither provisional reductions
nor credits, flickers or trades whose horizon had not come. Levels that a crossed message shows to
be stale leave without a trace in the flows of levels, as nobody knows when they went.

References
----------
Cont, Kukanov and Stoikov (2014), Journal of Financial Econometrics 12 (OFI; on several levels
Xu, Gould and Howison 2018, by price here, not by rank); Naes and Skjeltorp (2006), Journal of
Financial Markets 9 (slope; theirs is of log sizes); Roll (1984), Journal of Finance 39; Huang and
Stoll (1996), Journal of Financial Economics 41 (effective and realised spread); Hawkes (1971),
Biometrika 58.
"""
from libc.math cimport INFINITY, M_LN2, ceil
from libc.stdint cimport int64_t
from libc.string cimport memcpy

cimport cython

from mrcore.book cimport book_init
from mrcore.measures cimport spread_init, touch_init, trades_init
from mrcore.near cimport near_init
from mrcore.owned cimport owned_list_t, owned_restore, owned_saved
from mrcore.sampler cimport MARKET_COLUMNS, sampler_init
from mrcore.tape cimport tape_attach, tape_point

from importlib.metadata import version

import numpy as np

from mrcore.replay import SAMPLE_COLUMNS

BAR_COLUMNS = (
    *SAMPLE_COLUMNS[:MARKET_COLUMNS],
    "mid_open", "n_mid_changes", "touch_imbalance_mean",
    "bid_depleted", "ask_depleted", "bid_emptied", "ask_emptied",
    "ofi5", "ofi10", "bid_adds", "ask_adds", "bid_cancels", "ask_cancels", "unmatched_trades",
    "bid_flicker", "ask_flicker",
    "band_bid_depth", "band_ask_depth", "bid_slope", "ask_slope", "bid_weighted", "ask_weighted",
    "n_buys", "n_sells", "max_trade", "signed_runs", "n_sign_pairs",
    "roll_xy", "roll_x", "roll_y", "roll_n", "hawkes_buy", "hawkes_sell",
    "eff_spread", "eff_volume", "realized_spread", "price_impact", "matured_spread",
    "matured_volume", "kyle_t",
)
BAR_KINDS = ("time", "tick", "volume", "dollar")

# A sum of exact sizes may round to just below the threshold that it reaches.
cdef double JUST_BELOW = 1.0 - 1e-12


cdef double positive(str name, double value) except? -1.0:
    if not 0.0 < value < INFINITY:
        raise ValueError(f"{name} must be > 0, was {value}")
    return value


cdef nanos_t span(str name, nanos_t value, nanos_t least) except -1:
    if not least <= value < NEVER >> 2:
        raise ValueError(f"{name} must be in [{least}, {NEVER >> 2}), was {value}")
    return value


cdef void bars_run(bars_t* b, nanos_t until) noexcept nogil:
    """Everything received up to local time `until`."""
    cdef tape_t* deltas = &b.deltas
    cdef tape_t* trades = &b.trades
    cdef Py_ssize_t d = deltas.received, t = trades.received, end = d
    cdef nanos_t td = NEVER, tt
    while not bars_failed(b):
        if end == d and d < deltas.n:
            end = tape_message_end(deltas, d)
            td = tape_local(deltas, end - 1)
        tt = tape_local(trades, t) if t < trades.n else NEVER
        if min(td, tt) > until:
            break
        bars_pass(b, min(td, tt))
        if tt <= td:
            bars_trade(b, t, tt)
            t += 1
        else:
            bars_message(b, d, end, td)
            d = end
            td = NEVER
    b.events += d - deltas.received + t - trades.received
    deltas.received = deltas.exchange = deltas.sampled = d
    trades.received = trades.exchange = trades.sampled = t
    while b.end <= until and not b.failed:
        bars_close(b)
    b.now = until


@cython.final
cdef class MarketBars:
    """Bars of one instrument's recorded market.

    Parameters
    ----------
    tick_size, lot_size : float
        Quote units a tick, base units a lot.
    kind : {"time", "tick", "volume", "dollar"}
        What a bar is full of: time, trades, base units or quote units traded. A time bar ends at
        a multiple of ``size``. The others end with the nanosecond in which a trade makes them
        full, so that ends rise; trades are never split, and what a bar has too much is not
        carried over: the next one begins at 0.
    size : int or float
        Nanoseconds, trades, base units or quote units (as ``notional``) of a bar, > 0.
    first_ns : int, optional
        End of the first time bar; by default the first multiple of ``size`` at or after the first
        row received.
    vpin_bucket, vpin_buckets, vpin_calibration, kyle_window, multiplier, feed_latency_ns
        As `mrcore.replay.Replay` has them.
    horizon_ns : int
        After which a trade's realised spread is known.
    quote_lag_ns : int
        Age of the mid that a trade is held against; 0: the mid before the trade.
    match_ns : int
        Most time between a trade and the change of the book it made, either first.
    flicker_ns : int
    flicker_size : float
        See ``bid_flicker`` in the table of columns.
    hawkes_half_life_ns : int
        In which a trade's weight in the intensity halves.
    band_bps : float
        Of the band around the mid, either way, basis points.
    window : int
        See `mrcore.book.L2Book`; changes no result.

    Notes
    -----
    ``feed`` the market in chunks of any size, ``advance`` to a local time up to which all that was
    received is there. Any chunking that leaves messages whole gives the same bits. At one local
    time trades come before changes of the book; rows of one exchange time are one message,
    received with its last row. The GIL is released while it runs; one object belongs to one
    thread at a time, and a call from another one while it runs raises RuntimeError.
    """
    cdef bars_t c
    cdef bint busy                      # a thread is in the pass
    cdef bint fed
    cdef bint anchored                  # the first time bar is given, or complete
    cdef tuple deltas, trades

    def __cinit__(self, double tick_size, double lot_size, *, str kind="time", double size,
                  first_ns=None, double vpin_bucket=0.0, Py_ssize_t vpin_buckets=50,
                  int64_t vpin_calibration=500, Py_ssize_t kyle_window=60,
                  double multiplier=1.0, nanos_t feed_latency_ns=0,
                  nanos_t horizon_ns=5_000_000_000, nanos_t quote_lag_ns=0,
                  nanos_t match_ns=250_000_000, nanos_t flicker_ns=1_000_000_000,
                  double flicker_size=3.0, nanos_t hawkes_half_life_ns=10_000_000_000,
                  double band_bps=10.0, int64_t window=1 << 15):
        cdef bars_t* b = &self.c
        if kind not in BAR_KINDS:
            raise ValueError(f"kind must be one of {BAR_KINDS}, was {kind!r}")
        if vpin_buckets < 1 or vpin_calibration < 1 or kyle_window < 3 or window < 16:
            raise ValueError(
                "vpin_buckets and vpin_calibration must be >= 1, kyle_window >= 3 and window >= "
                f"16, were {vpin_buckets}, {vpin_calibration}, {kyle_window} and {window}")
        if not 0.0 <= vpin_bucket < INFINITY:
            raise ValueError(f"vpin_bucket must be >= 0, was {vpin_bucket}")
        b.tick_size = positive("tick_size", tick_size)
        b.lot_size = positive("lot_size", lot_size)
        b.multiplier = positive("multiplier", multiplier)
        b.band = positive("band_bps", band_bps) / 1e4     # to the nearest, as distances are
        b.kind = <kind_t><int>BAR_KINDS.index(kind)
        b.full = positive("size", size)
        b.end = NEVER
        if b.kind == TIME:
            if size != ceil(size) or size >= <double>(NEVER >> 2):
                raise ValueError(f"size of a time bar must be a whole number of nanoseconds below "
                                 f"{NEVER >> 2}, was {size}")
            b.interval = <nanos_t>size
        elif b.kind == TICK:
            b.full = ceil(size)
        elif b.kind == VOLUME:
            b.full = size / lot_size * JUST_BELOW
        else:
            b.full = size / (tick_size * lot_size * multiplier) * JUST_BELOW
        if first_ns is not None:
            if b.kind != TIME:
                raise ValueError(f"first_ns is for time bars only, kind was {kind!r}")
            b.end = first_ns
            self.anchored = True
            if not -NEVER < b.end < NEVER:
                raise ValueError(f"first_ns must be in (-{NEVER}, {NEVER}), was {first_ns}")
        b.deltas.latency = b.trades.latency = span("feed_latency_ns", feed_latency_ns, 0)
        b.now = -NEVER
        b.last_delta = b.last_trade = -NEVER
        trades_init(&b.flow, M_LN2 / <double>span("hawkes_half_life_ns", hawkes_half_life_ns, 1))
        touch_init(&b.touch)
        spread_init(&b.spread, span("horizon_ns", horizon_ns, 0),
                    span("quote_lag_ns", quote_lag_ns, 0))
        span("match_ns", match_ns, 0)
        span("flicker_ns", flicker_ns, 0)
        self.deltas = self.trades = ()
        if (book_init(&b.book, window) < 0
                or sampler_init(&b.sampler, vpin_bucket / lot_size, vpin_buckets,
                                vpin_calibration, kyle_window) < 0
                or near_init(&b.near, &b.book, match_ns, flicker_ns,
                             positive("flicker_size", flicker_size)) < 0):
            raise MemoryError()

    def __dealloc__(self):
        bars_free(&self.c)

    def feed(self, deltas, trades):
        """Append rows received after the time reached.

        Parameters
        ----------
        deltas, trades : (time int64, side int8, tick int32, lots int64[, local int64])
            As `mrcore.replay.Replay.feed` takes them. The rows of one message belong in one call.

        Raises
        ------
        ValueError
            At the first row that breaks the rules; nothing of the two has been taken.
        """
        cdef bars_t* b = &self.c
        cdef tape_t before_deltas = b.deltas, before_trades = b.trades
        cdef tuple old = (self.deltas, self.trades)
        cdef nanos_t first
        self.alone()
        if len(deltas) != len(trades):
            raise ValueError(f"deltas have {len(deltas)} columns, trades {len(trades)}: both or "
                             "neither come with local times")
        try:
            self.deltas = tape_attach(&b.deltas, "deltas", self.deltas, deltas, b.last_delta)
            self.trades = tape_attach(&b.trades, "trades", self.trades, trades, b.last_trade)
            first = min(first_received(&b.deltas, len(deltas[0])),
                        first_received(&b.trades, len(trades[0])))
            if first <= b.now:
                raise ValueError(f"a row was received at {first}, and the bars are at {b.now}")
        except Exception:
            b.deltas, b.trades = before_deltas, before_trades
            self.deltas, self.trades = old
            raise
        self.fed = True
        if b.deltas.n > 0:
            b.last_delta = b.deltas.time[b.deltas.n - 1]
        if b.trades.n > 0:
            b.last_trade = b.trades.time[b.trades.n - 1]
        if b.kind == TIME and b.events == 0 and not self.anchored:
            first = tape_local(&b.deltas, 0) if b.deltas.n > 0 else NEVER
            if b.trades.n > 0:
                first = min(first, tape_local(&b.trades, 0))
            if first < NEVER:
                late = first % b.interval       # rounded down or to zero, as the build is
                b.end = first - late + (b.interval if late > 0 else 0)

    def advance(self, nanos_t until_ns):
        """Take all that was received up to `until_ns`, and return the number of rows.

        Bars that end by then are complete.
        """
        cdef bars_t* b = &self.c
        cdef int64_t before = b.events
        self.alone()
        if until_ns < b.now or until_ns >= NEVER:
            raise ValueError(f"until_ns must be in [{b.now}, {NEVER}), was {until_ns}")
        self.busy = True
        with nogil:
            bars_run(b, until_ns)
        self.busy = False
        self.anchored = self.anchored or b.n > 0
        if bars_failed(b):
            raise MemoryError("no memory for the bars or the far levels of the book")
        return b.events - before

    def finish(self):
        """Take all that was fed, as `advance` to the nanosecond after the last row."""
        cdef bars_t* b = &self.c
        cdef nanos_t last = b.now - 1
        self.alone()
        if b.deltas.n > 0:
            last = max(last, tape_local(&b.deltas, b.deltas.n - 1))
        if b.trades.n > 0:
            last = max(last, tape_local(&b.trades, b.trades.n - 1))
        return self.advance(last + 1)

    @property
    def time_ns(self):
        """Local time reached, None before the first `advance`."""
        return None if self.c.now == -NEVER else self.c.now

    def rows(self):
        """The complete bars that have not been drained.

        Returns
        -------
        (ndarray of int64, ndarray of float64)
            Ends of the bars on the local clock, and rows of `BAR_COLUMNS`.
        """
        cdef Py_ssize_t n = self.c.n
        self.alone()
        ends, values = np.empty(n, np.int64), np.empty((n, BAR_WIDTH))
        cdef int64_t[::1] times = ends
        cdef double[:, ::1] rows = values
        if n > 0:
            memcpy(&times[0], self.c.times, n * sizeof(nanos_t))
            memcpy(&rows[0, 0], self.c.rows, n * BAR_WIDTH * sizeof(double))
        return ends, values

    def drain(self):
        """As `rows`, and forget them, so that a long pass runs in bounded memory."""
        drained = self.rows()
        self.c.n = 0
        return drained

    def __reduce__(self):
        """All there is to know; rows that were taken are not saved."""
        cdef owned_list_t owned
        cdef bars_t* b = &self.c
        self.alone()
        if self.fed:
            self.deltas = tape_attach(&b.deltas, "deltas", self.deltas, none_of(self.deltas),
                                      b.last_delta)
            self.trades = tape_attach(&b.trades, "trades", self.trades, none_of(self.trades),
                                      b.last_trade)
        owned.n = 0
        bars_owned(b, &owned)
        return restored, ({
            "version": version("mrtrade"),
            "image": (<const char*>b)[:sizeof(bars_t)],
            "arrays": owned_saved(&owned),
            "deltas": self.deltas,
            "trades": self.trades,
            "fed": self.fed,
            "anchored": self.anchored,
        },)

    cdef int alone(self) except -1:
        if self.busy:
            raise RuntimeError("these bars are running on another thread; one object belongs to "
                               "one thread at a time")
        return 0


cdef nanos_t first_received(const tape_t* t, Py_ssize_t n) noexcept:
    """Local time of the first message of the last `n` rows, NEVER when there is none."""
    return tape_local(t, tape_message_end(t, t.n - n) - 1) if n > 0 else NEVER


cdef tuple none_of(tuple columns):
    return tuple([column[:0] for column in columns])


def restored(dict state not None):
    """The bars that a pickle describes; they go on as the original would."""
    cdef MarketBars bars = MarketBars.__new__(MarketBars, 1.0, 1.0, size=1.0)
    cdef owned_list_t owned
    cdef bytes image = state["image"]
    if state["version"] != version("mrtrade") or len(image) != sizeof(bars_t):
        raise ValueError(f"saved by mrtrade {state['version']}, this is {version('mrtrade')}; bars "
                         "are restored by the version that saved them")
    bars_free(&bars.c)
    memcpy(&bars.c, <const char*>image, sizeof(bars_t))
    owned.n = 0
    bars_owned(&bars.c, &owned)
    owned_restore(&owned, state["arrays"])
    bars.deltas, bars.trades = state["deltas"], state["trades"]
    bars.fed, bars.anchored = state["fed"], state["anchored"]
    if bars.fed:
        tape_point(&bars.c.deltas, bars.deltas)
        tape_point(&bars.c.trades, bars.trades)
    return bars

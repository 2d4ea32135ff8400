"""What the received market is sampled for: the touch and the depth, and flows between samples.

One book and one flow of trades on the local clock feed a `sampler_t`. `sampler_book_row` and
`sampler_trades_row` write the columns, each for itself: the book of a sample may be gone
before all the trades up to it are there. Sums are in ticks and lots; prices and base units
appear in the rows only.
"""
from libc.math cimport INFINITY, NAN, fabs
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t
from libc.string cimport memset

from mrcore.book cimport (
    NO_KEY, book_ask, book_bid, book_t, ladder_best_lots, ladder_next, ladder_t,
)
from mrcore.flow cimport (
    kyle_bar, kyle_free, kyle_init, kyle_t, kyle_value, ofi_init, ofi_t, ofi_update, vpin_free,
    vpin_init, vpin_t, vpin_trade, vpin_value,
)
from mrcore.kernels cimport imbalance, microprice
from mrcore.owned cimport owned_add, owned_list_t
from mrcore.rolling cimport cross_t
from mrcore.types cimport lots_t, nanos_t, side_t, tick_t


cdef enum:
    MARKET_COLUMNS = 28         # written by the two rows


ctypedef struct sampler_t:
    ofi_t ofi
    vpin_t vpin
    kyle_t kyle
    double ofi_sum                  # lots
    int64_t n_messages
    int64_t n_trades
    lots_t bought                   # by aggressors
    lots_t sold
    double notional                 # tick lots
    tick_t trade_high
    tick_t trade_low
    tick_t last_trade               # 0: none yet
    tick_t bid                      # touch after the last message
    tick_t ask
    lots_t bid_lots
    lots_t ask_lots
    int64_t mid2_high               # twice the mid, ticks
    int64_t mid2_low
    double spread_ns                # spread in ticks times the time it stood
    int64_t two_sided_ns
    tick_t spread_max
    nanos_t since                   # the touch is counted up to here
    double mid_before               # at the last sample, quote units


cdef inline bint two_sided(const sampler_t* f) noexcept nogil:
    return f.bid != NO_KEY and f.ask != -NO_KEY


cdef inline void sampler_pass(sampler_t* f, nanos_t now) noexcept nogil:
    """The touch stood until now."""
    if two_sided(f):
        f.spread_ns += <double>(f.ask - f.bid) * <double>(now - f.since)
        f.two_sided_ns += now - f.since
    f.since = now


cdef inline void sampler_restart_trades(sampler_t* f) noexcept nogil:
    """A new interval begins without a trade."""
    f.notional = 0.0
    f.n_trades = f.bought = f.sold = 0
    f.trade_high = INT64_MIN
    f.trade_low = INT64_MAX


cdef inline void sampler_restart_book(sampler_t* f) noexcept nogil:
    """A new interval begins with the touch as it stands."""
    f.ofi_sum = f.spread_ns = 0.0
    f.n_messages = f.two_sided_ns = f.spread_max = 0
    f.mid2_high = INT64_MIN
    f.mid2_low = INT64_MAX
    if two_sided(f):
        f.mid2_high = f.mid2_low = f.bid + f.ask
        f.spread_max = f.ask - f.bid


cdef inline void sampler_book(sampler_t* f, const book_t* b, nanos_t now) noexcept nogil:
    """A message has been applied."""
    cdef tick_t bid = book_bid(b), ask = book_ask(b)
    cdef lots_t bid_lots = ladder_best_lots(&b.ladder[0])
    cdef lots_t ask_lots = ladder_best_lots(&b.ladder[1])
    f.n_messages += 1
    if bid == f.bid and ask == f.ask and bid_lots == f.bid_lots and ask_lots == f.ask_lots:
        return
    f.ofi_sum += ofi_update(
        &f.ofi, <double>bid if bid != NO_KEY else -INFINITY, <double>bid_lots,
        <double>ask if ask != -NO_KEY else INFINITY, <double>ask_lots)
    if bid == NO_KEY and ask == -NO_KEY:
        ofi_init(&f.ofi)                # an empty book is none: what comes next is the first
    f.bid_lots = bid_lots
    f.ask_lots = ask_lots
    if bid == f.bid and ask == f.ask:
        return
    sampler_pass(f, now)
    f.bid = bid
    f.ask = ask
    if two_sided(f):
        f.mid2_high = max(f.mid2_high, bid + ask)
        f.mid2_low = min(f.mid2_low, bid + ask)
        f.spread_max = max(f.spread_max, ask - bid)


cdef inline void sampler_trade(sampler_t* f, side_t side, tick_t tick, lots_t lots) noexcept nogil:
    f.n_trades += 1
    if side > 0:
        f.bought += lots
    else:
        f.sold += lots
    f.notional += <double>tick * <double>lots
    f.trade_high = max(f.trade_high, tick)
    f.trade_low = min(f.trade_low, tick)
    f.last_trade = tick
    vpin_trade(&f.vpin, side, <double>lots)


cdef inline int sampler_init(
    sampler_t* f, double vpin_bucket_lots, Py_ssize_t vpin_buckets, int64_t vpin_calibration,
    Py_ssize_t kyle_window
) noexcept nogil:
    """Nothing received yet; -1 when there is no memory (free it all the same)."""
    cdef int failed = vpin_init(
        &f.vpin, vpin_bucket_lots, vpin_buckets, vpin_calibration, vpin_buckets)
    failed |= kyle_init(&f.kyle, kyle_window)
    ofi_init(&f.ofi)
    f.bid = NO_KEY
    f.ask = -NO_KEY
    f.mid_before = NAN
    sampler_restart_book(f)
    sampler_restart_trades(f)
    return failed


cdef inline void sampler_free(sampler_t* f) noexcept nogil:
    vpin_free(&f.vpin)
    kyle_free(&f.kyle)


cdef inline void sampler_owned(sampler_t* f, owned_list_t* owned) noexcept nogil:
    """Its arrays."""
    owned_add(owned, <void**>&f.vpin.ring, f.vpin.n * sizeof(double))
    owned_add(owned, <void**>&f.kyle.block, f.kyle.window * 2 * sizeof(double))
    owned_add(owned, <void**>&f.kyle.tail, f.kyle.window * sizeof(cross_t))


cdef inline void sampler_gap(sampler_t* f) noexcept nogil:
    """The book was cleared: no difference is taken across, and the next touch is a new one."""
    ofi_init(&f.ofi)
    f.bid_lots = -1


cdef inline double in_prices(tick_t tick, double tick_size) noexcept nogil:
    """Quote units; NaN for the marks of an empty side or an empty interval."""
    if fabs(<double>tick) >= <double>-NO_KEY:
        return NAN
    return tick * tick_size


cdef inline void depths(const ladder_t* ladder, lots_t* sums) noexcept nogil:
    """Lots in the best 1, 5, 10 and 20 levels."""
    cdef lots_t lots = 0
    cdef int64_t key = -NO_KEY
    cdef int k
    memset(sums, 0, 4 * sizeof(lots_t))
    for k in range(20):
        key = ladder_next(ladder, key, &lots)
        if key == NO_KEY:
            return
        if k < 1:
            sums[0] += lots
        if k < 5:
            sums[1] += lots
        if k < 10:
            sums[2] += lots
        sums[3] += lots


cdef inline void sampler_book_row(
    sampler_t* f, const book_t* b, nanos_t now, double tick_size, double lot_size, double* out
) noexcept nogil:
    """The book's columns of one row, in the order of SAMPLE_COLUMNS; a new interval begins."""
    cdef lots_t bid[4]
    cdef lots_t ask[4]
    cdef int k
    depths(&b.ladder[0], bid)
    depths(&b.ladder[1], ask)
    sampler_pass(f, now)
    out[0] = in_prices(book_bid(b), tick_size)
    out[2] = in_prices(book_ask(b), tick_size)
    out[1] = bid[0] * lot_size
    out[3] = ask[0] * lot_size
    for k in range(4):
        out[4 + k] = imbalance(<double>bid[k], <double>ask[k])
    out[8] = bid[1] * lot_size
    out[9] = ask[1] * lot_size
    out[10] = bid[3] * lot_size
    out[11] = ask[3] * lot_size
    out[12] = microprice(out[0], out[1], out[2], out[3])
    out[13] = f.n_messages
    out[21] = 0.5 * in_prices(f.mid2_high, tick_size)
    out[22] = 0.5 * in_prices(f.mid2_low, tick_size)
    out[23] = (f.spread_ns / <double>f.two_sided_ns * tick_size
               if f.two_sided_ns > 0 else out[2] - out[0])
    out[24] = f.spread_max * tick_size if f.mid2_low != INT64_MAX else NAN
    out[25] = f.ofi_sum * lot_size
    sampler_restart_book(f)


cdef inline void sampler_trades_row(
    sampler_t* f, double tick_size, double lot_size, double multiplier, double* out
) noexcept nogil:
    """The trades' columns of a row that has the book's; a new interval begins."""
    cdef double mid = 0.5 * (out[0] + out[2])
    if mid == mid and f.mid_before == f.mid_before:
        kyle_bar(&f.kyle, mid - f.mid_before, (f.bought - f.sold) * lot_size)
    f.mid_before = mid
    out[14] = f.n_trades
    out[15] = f.bought * lot_size
    out[16] = f.sold * lot_size
    out[17] = f.notional * tick_size * lot_size * multiplier
    out[18] = in_prices(f.trade_high, tick_size)
    out[19] = in_prices(f.trade_low, tick_size)
    out[20] = f.last_trade * tick_size if f.last_trade > 0 else NAN
    out[26] = vpin_value(&f.vpin)
    out[27] = kyle_value(&f.kyle)
    sampler_restart_trades(f)

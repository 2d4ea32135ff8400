"""What a bar holds beside the columns of mrcore.sampler: the touch, the trades and what they cost.

Each struct is fed with messages or trades in the order they are received, and writes its columns
of a bar. Sums are whole ticks and lots in doubles: exact below 2**53, and never an overflow;
prices and base units appear in the rows only. Inline only.
"""
from libc.math cimport NAN, exp, fabs
from libc.stdint cimport int64_t

from mrcore.kernels cimport imbalance
from mrcore.ladder cimport NO_KEY, book_t, ladder_next, ladder_t
from mrcore.owned cimport owned_list_t
from mrcore.pending cimport (
    due_t, pending_clear, pending_free, pending_owned, pending_pop, pending_push, pending_t,
)
from mrcore.tape cimport NEVER
from mrcore.types cimport lots_t, nanos_t, side_t, tick_t


cdef enum:
    LEVELS = 10             # of a side, that slope and weighted depth are of


# The touch --------------------------------------------------------------------------------

ctypedef struct touch_flow_t:
    tick_t bid              # after the last message
    tick_t ask
    lots_t bid_lots
    lots_t ask_lots
    int64_t mid2            # twice the mid, ticks; 0: a side is empty
    double balance          # (bid_lots - ask_lots) / (bid_lots + ask_lots)
    nanos_t since           # it is counted up to here
    # in the bar
    int64_t mid_open        # twice, ticks
    int64_t mid_changes
    double balance_ns       # balance times the time it stood
    int64_t two_sided_ns
    double depleted[2]      # bid, ask
    int64_t emptied[2]


cdef inline void touch_restart(touch_flow_t* f) noexcept nogil:
    """A new bar begins with the touch as it stands."""
    f.mid_open = f.mid2
    f.balance_ns = f.depleted[0] = f.depleted[1] = 0.0
    f.mid_changes = f.two_sided_ns = f.emptied[0] = f.emptied[1] = 0


cdef inline void touch_init(touch_flow_t* f) noexcept nogil:
    f.bid = NO_KEY
    f.ask = -NO_KEY
    touch_restart(f)


cdef inline void touch_pass(touch_flow_t* f, nanos_t now) noexcept nogil:
    """The touch stood until now."""
    if f.mid2 > 0:
        f.balance_ns += f.balance * <double>(now - f.since)
        f.two_sided_ns += now - f.since
    f.since = now


cdef inline void touch_left(
    touch_flow_t* f, int s, int64_t worse, lots_t before, lots_t lots
) noexcept nogil:
    """The best level of a side has changed; `worse` > 0: to a lower key, < 0: to a higher."""
    if worse > 0:
        f.depleted[s] += <double>before
        f.emptied[s] += 1
    elif worse == 0 and lots < before:
        f.depleted[s] += <double>(before - lots)


cdef inline void touch_message(
    touch_flow_t* f, tick_t bid, lots_t bid_lots, tick_t ask, lots_t ask_lots, bint anew,
    nanos_t now
) noexcept nogil:
    """The touch after a message; `anew`: of a book that has nothing to do with the one before."""
    cdef int64_t mid2 = bid + ask if bid != NO_KEY and ask != -NO_KEY else 0
    if bid == f.bid and ask == f.ask and bid_lots == f.bid_lots and ask_lots == f.ask_lots:
        return
    touch_pass(f, now)
    if not anew:
        touch_left(f, 0, f.bid - bid, f.bid_lots, bid_lots)
        touch_left(f, 1, ask - f.ask, f.ask_lots, ask_lots)
        f.mid_changes += mid2 != f.mid2 and mid2 > 0 and f.mid2 > 0
    f.bid = bid
    f.ask = ask
    f.bid_lots = bid_lots
    f.ask_lots = ask_lots
    f.mid2 = mid2
    f.balance = imbalance(<double>bid_lots, <double>ask_lots)


cdef inline void touch_row_out(
    touch_flow_t* f, nanos_t now, double tick_size, double lot_size, double* out
) noexcept nogil:
    """Its columns of a bar; a new one begins."""
    touch_pass(f, now)
    out[0] = 0.5 * <double>f.mid_open * tick_size if f.mid_open > 0 else NAN
    out[1] = f.mid_changes
    if f.two_sided_ns > 0:
        out[2] = f.balance_ns / <double>f.two_sided_ns
    else:
        out[2] = f.balance if f.mid2 > 0 else NAN
    out[3] = f.depleted[0] * lot_size
    out[4] = f.depleted[1] * lot_size
    out[5] = f.emptied[0]
    out[6] = f.emptied[1]
    touch_restart(f)


# The shape of the book at the end of a bar --------------------------------------------------

cdef inline void shape_side_out(
    const ladder_t* ladder, int64_t ask, double mid, double band, double lot_size, double* out
) noexcept nogil:
    """Depth within `band` (a fraction) of the mid (ticks), slope and weighted depth of a side.

    `ask` is all bits or none.
    """
    cdef lots_t lots = 0, total = 0
    cdef double near = 0.0, slope = 0.0, weighted = 0.0, away
    cdef int64_t key = -NO_KEY
    cdef Py_ssize_t n = 0
    while True:
        key = ladder_next(ladder, key, &lots)
        if key == NO_KEY:
            break
        away = fabs(<double>((key ^ ask) - ask) - mid) / mid    # exact but for the division
        if n >= LEVELS and not away <= band:
            break
        if away <= band:
            near += <double>lots
        if n < LEVELS:
            total += lots
            weighted += exp(-0.5 * <double>n) * <double>lots
            slope += <double>total / (1e4 * away)
            n += 1
    out[0] = near * lot_size if mid == mid else NAN
    out[2] = slope / <double>n * lot_size if n > 0 and mid == mid else NAN
    out[4] = weighted * lot_size


cdef inline void shape_row_out(
    const book_t* b, int64_t mid2, double band, double lot_size, double* out
) noexcept nogil:
    """Columns of the book as it stands, bid and ask in turn."""
    cdef double mid = 0.5 * <double>mid2 if mid2 > 0 else NAN
    shape_side_out(&b.ladder[0], 0, mid, band, lot_size, out)
    shape_side_out(&b.ladder[1], -1, mid, band, lot_size, out + 1)


# Trades -----------------------------------------------------------------------------------

ctypedef struct trade_flow_t:
    double beta             # decay of an intensity, 1/ns
    int64_t seen            # trades ever
    side_t side             # of the last
    tick_t tick
    int64_t step            # its tick less that of the one before
    double intensity[2]     # buy, sell; 1/ns, as of the last trade of that side
    nanos_t at[2]
    # in the bar
    int64_t n[2]            # buys, sells
    lots_t largest
    int64_t runs            # products of consecutive sides
    int64_t sign_pairs
    double step_products    # of consecutive steps
    double steps
    double steps_before
    int64_t step_pairs


cdef inline void trades_restart(trade_flow_t* f) noexcept nogil:
    """A new bar begins."""
    f.n[0] = f.n[1] = f.largest = f.runs = f.sign_pairs = f.step_pairs = 0
    f.step_products = f.steps = f.steps_before = 0.0


cdef inline void trades_init(trade_flow_t* f, double beta) noexcept nogil:
    f.beta = beta
    f.at[0] = f.at[1] = -NEVER      # before any time: what has decayed is 0, and never infinite
    trades_restart(f)


cdef inline void trades_trade(
    trade_flow_t* f, side_t side, tick_t tick, lots_t lots, nanos_t now
) noexcept nogil:
    cdef int s = side < 0
    cdef int64_t step = tick - f.tick
    f.n[s] += 1
    f.largest = max(f.largest, lots)
    if f.seen >= 1:
        f.runs += side * f.side
        f.sign_pairs += 1
    if f.seen >= 2:
        f.step_products += <double>step * <double>f.step
        f.steps += <double>step
        f.steps_before += <double>f.step
        f.step_pairs += 1
    f.step = step
    f.side = side
    f.tick = tick
    f.seen += 1
    f.intensity[s] = f.intensity[s] * exp(-f.beta * <double>(now - f.at[s])) + f.beta
    f.at[s] = now


cdef inline void trades_row_out(
    trade_flow_t* f, nanos_t now, double tick_size, double lot_size, double* out
) noexcept nogil:
    """Its columns of a bar; a new one begins."""
    cdef int s
    out[0] = f.n[0]
    out[1] = f.n[1]
    out[2] = f.largest * lot_size if f.largest > 0 else NAN
    out[3] = f.runs
    out[4] = f.sign_pairs
    out[5] = f.step_products * tick_size * tick_size
    out[6] = f.steps * tick_size
    out[7] = f.steps_before * tick_size
    out[8] = f.step_pairs
    for s in range(2):
        out[9 + s] = 1e9 * f.intensity[s] * exp(-f.beta * <double>(now - f.at[s]))
    trades_restart(f)


# What trades cost -------------------------------------------------------------------------

ctypedef struct spread_t:
    nanos_t horizon_ns
    nanos_t lag_ns          # age of the quote that a trade is held against
    int64_t lagged          # twice the mid of then, 0: none
    pending_t mids          # later ones, where the lag is not 0
    pending_t trades        # whose horizon has not come
    # in the bar; half ticks times lots, and lots
    double effective
    double volume
    double realized
    double impact
    double matured_volume


cdef inline void spread_restart(spread_t* f) noexcept nogil:
    """A new bar begins."""
    f.effective = f.volume = f.realized = f.impact = f.matured_volume = 0.0


cdef inline void spread_gap(spread_t* f) noexcept nogil:
    """The book was cleared: neither older quotes nor trades that wait are of any use."""
    pending_clear(&f.mids)
    pending_clear(&f.trades)
    f.lagged = 0


cdef inline void spread_init(spread_t* f, nanos_t horizon_ns, nanos_t lag_ns) noexcept nogil:
    f.horizon_ns = horizon_ns
    f.lag_ns = lag_ns
    spread_gap(f)
    spread_restart(f)


cdef inline void spread_free(spread_t* f) noexcept nogil:
    pending_free(&f.mids)
    pending_free(&f.trades)


cdef inline void spread_owned(spread_t* f, owned_list_t* owned) noexcept nogil:
    """Its arrays."""
    pending_owned(&f.mids, owned)
    pending_owned(&f.trades, owned)


cdef inline void spread_age(spread_t* f, nanos_t now) noexcept nogil:
    """Mids come of the age at which trades are held against them."""
    while f.mids.first < now - f.lag_ns:
        f.lagged = pending_pop(&f.mids).a


cdef inline void spread_mid(spread_t* f, int64_t mid2, nanos_t now) noexcept nogil:
    """The mid is another one from now on."""
    if f.lag_ns > 0:
        spread_age(f, now)              # here too, or they pile up while nobody trades
        pending_push(&f.mids, now, 0, mid2, 0)


cdef inline void spread_trade(
    spread_t* f, side_t side, tick_t tick, lots_t lots, int64_t mid2, nanos_t now
) noexcept nogil:
    """A trade; `mid2` is the mid before it. Left out where there is no mid to hold it against."""
    if f.lag_ns > 0:
        spread_age(f, now)
        mid2 = f.lagged
    if mid2 == 0:
        return
    f.effective += <double>(side * (2 * tick - mid2)) * <double>lots
    f.volume += <double>lots
    pending_push(&f.trades, now + f.horizon_ns, side * lots, tick, mid2)


cdef inline void spread_settle(spread_t* f, int64_t mid2, nanos_t until) noexcept nogil:
    """Trades whose horizon has come by `until`, while the mid is `mid2`; 0: they are dropped."""
    cdef due_t item
    while f.trades.first <= until:
        item = pending_pop(&f.trades)
        if mid2 == 0:
            continue
        f.realized += <double>(2 * item.a - mid2) * <double>item.lots
        f.impact += <double>(mid2 - item.b) * <double>item.lots
        f.matured_volume += <double>(item.lots if item.lots > 0 else -item.lots)


cdef inline void spread_row_out(
    spread_t* f, double tick_size, double lot_size, double* out
) noexcept nogil:
    """Its columns of a bar; a new one begins."""
    out[0] = f.effective * tick_size * lot_size
    out[1] = f.volume * lot_size
    out[2] = f.realized * tick_size * lot_size
    out[3] = f.impact * tick_size * lot_size
    out[4] = out[2] + out[3]
    out[5] = f.matured_volume * lot_size
    spread_restart(f)

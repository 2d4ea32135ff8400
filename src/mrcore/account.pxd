"""C interface of mrcore.account: the money of one or several instruments.

An account owns its holdings, one an instrument, and they never move: an exchange keeps a
pointer to its own and books each fill there. Through `survey` and `liquidate` the account
asks the exchange for a mark and its open orders, and to close down.

The loop that drives the exchanges calls `account_start` once, with the time of the first
data, and then, whenever `account_due` is not later than the next data or request at an
exchange, first brings every exchange of the account to just before that time and calls
`account_pass`. So what is due at T meets the position before the data and requests of T.
"""
from libc.math cimport fabs, isnan
from libc.stdint cimport int64_t

cimport cython

from mrcore.types cimport lots_t, nanos_t


cdef enum:
    DAYS = 30               # of volume that make the fee tier


ctypedef struct tier_t:
    double volume           # quote units from which on it holds
    double maker_fee
    double taker_fee


ctypedef struct funding_t:
    nanos_t time
    double rate
    double mark             # NaN: the mark of the holding


ctypedef struct holding_t:
    double lot_size
    double multiplier
    bint inverse
    double maker_fee
    double taker_fee
    lots_t position
    double cash             # settlement currency, less fees and funding
    double fees
    double funding
    double volume           # quote units traded this UTC day
    double mark             # NaN until there was one
    lots_t open[2]          # own orders that may add to the position: buys, sells
    funding_t* payments     # owned; by time
    Py_ssize_t n_payments
    Py_ssize_t payment      # next
    void* owner             # the exchange: argument of the two below; NULL for none
    void (*survey)(void* owner) noexcept nogil                      # sets mark and open
    void (*liquidate)(void* owner, nanos_t now) noexcept nogil


ctypedef struct account_t:
    double deposit
    double initial_margin
    double maintenance_margin
    double liquidation_fee
    nanos_t check_interval
    tier_t* tiers           # owned; by volume
    Py_ssize_t n_tiers
    Py_ssize_t tier         # at present
    double volume_before    # of the 30 days before the first
    double volume[DAYS]     # of full UTC days; that of day k at k % DAYS
    int64_t days            # full days so far
    nanos_t now             # last pass, INT64_MIN before the start
    nanos_t day_end         # INT64_MAX before the start
    nanos_t next_check      # INT64_MAX before the start, and where no margin is asked
    nanos_t due
    bint halted
    nanos_t halt_time
    int64_t liquidations
    holding_t** holdings    # owned
    Py_ssize_t n_holdings


@cython.final
cdef class Account:
    cdef account_t c

    cdef list look(self)
    cdef int look_away(self, list before) except -1
    cdef holding_t* row(self, Py_ssize_t holding) except NULL
    cdef int by_hand(self, const holding_t* h) except -1
    cdef int replays(self) noexcept


cdef void account_start(account_t* a, nanos_t first) noexcept nogil
cdef void account_pass(account_t* a, nanos_t now) noexcept nogil
cdef bint account_allows(
    account_t* a, holding_t* h, int side, lots_t lots, bint reduce_only) noexcept nogil
cdef double account_equity(account_t* a) noexcept nogil


cdef inline nanos_t account_due(const account_t* a) noexcept nogil:
    """Exchange time of the next `account_pass`, INT64_MAX for never."""
    return a.due


@cython.cdivision(True)     # a price of 0 makes an inverse contract worth infinity
cdef inline double holding_notional(
    const holding_t* h, double price, lots_t lots
) noexcept nogil:
    """Worth of some lots in settlement currency, with their sign."""
    if h.inverse:
        return lots * h.lot_size * h.multiplier / price
    return price * (lots * h.lot_size) * h.multiplier


cdef inline double holding_value(const holding_t* h, double price) noexcept nogil:
    """What the position adds to the cash at a price; 0 when flat."""
    cdef double notional
    if h.position == 0:
        return 0.0
    notional = holding_notional(h, price, h.position)
    return -notional if h.inverse else notional


cdef inline double holding_fill(
    holding_t* h, int side, double price, lots_t lots, bint maker
) noexcept nogil:
    """Book a fill; the fee paid."""
    cdef double notional = holding_notional(h, price, lots)
    cdef double fee = notional * (h.maker_fee if maker else h.taker_fee)
    h.position += side * lots
    h.cash -= (-side if h.inverse else side) * notional + fee
    h.fees += fee
    h.volume += lots * h.lot_size * h.multiplier if h.inverse else notional
    if isnan(h.mark):
        h.mark = price
    return fee


cdef inline lots_t holding_worst(const holding_t* h, lots_t buys, lots_t sells) noexcept nogil:
    """Largest position, either way, that own open orders and these could make."""
    cdef lots_t most = h.position + h.open[0] + buys
    cdef lots_t least = h.position - h.open[1] - sells
    return max(most, -least)


cdef inline double holding_margin(const holding_t* h, lots_t lots) noexcept nogil:
    """Notional of a position of that size, either way, at the mark; 0 without lots."""
    return fabs(holding_notional(h, h.mark, lots)) if lots != 0 else 0.0

"""The money of one or several instruments: positions, fees and their tiers, funding, margin.

Everything is in one settlement currency: the quote currency of linear contracts and spot,
the base currency of inverse ones. One account holds one kind.

Signs: fees and funding are positive when paid. A position is positive when long.

Formulas, of n lots (n < 0 sold) with q = n * lot_size * multiplier, at price p:

======================= ========================= ==============================
..                      linear                    inverse
======================= ========================= ==============================
q                       base units                quote units
notional(p)             q * p, quote units        q / p, base units
value(p)                q * p                     -q / p
profit, entry to exit   q * (exit - entry)        q * (1 / entry - 1 / exit) [1]_
fee                     abs(notional) * rate      the same
funding paid            notional(mark) * rate     the same [2]_ [3]_
volume                  abs(q) * p, quote units   abs(q), quote units
======================= ========================= ==============================

A fill takes value(price) and the fee off the cash, a funding payment takes what is paid, and::

    equity = deposit + sum over instruments of (cash + value(mark))
           = deposit + profits - fees - funding

Nothing is cut off at zero: a loss beyond the deposit leaves a negative equity, which on an
exchange the insurance fund would bear.

References
----------
.. [1] Binance, "A Beginner's Guide to Futures Trading" (unrealized PNL of USDS-M and COIN-M
   futures); Bybit, "Profit & Loss calculations (Inverse Contracts)".
.. [2] Binance, "Introduction to Binance Futures Funding Rates": funding amount = nominal
   value of positions * funding rate; paid by longs when the rate is positive, and only by
   who holds a position at the funding time.
.. [3] Bybit, "Funding Fee Calculation": position value (inverse: quantity / mark price)
   * funding rate.
"""
from libc.math cimport INFINITY, NAN, isnan
from libc.stdint cimport INT64_MAX, INT64_MIN
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy

cimport cython

from mrcore.types cimport lots_t, nanos_t

import numpy as np

HOLDING_DTYPE = np.dtype([
    ("position_lots", "i8"), ("cash", "f8"), ("fees", "f8"), ("funding", "f8"),
    ("mark", "f8"), ("value", "f8")])

cdef nanos_t DAY = 86_400_000_000_000


@cython.cdivision(True)     # C's remainder, made to round down before 1970 too
cdef nanos_t next_multiple(nanos_t now, nanos_t step) noexcept nogil:
    """First multiple of `step` after now."""
    return now + step - (now % step + step) % step


cdef void survey(account_t* a) noexcept nogil:
    """Bring the marks and the open orders of all holdings up to date."""
    cdef Py_ssize_t i
    for i in range(a.n_holdings):
        if a.holdings[i].owner is not NULL:
            a.holdings[i].survey(a.holdings[i].owner)


cdef double account_equity(account_t* a) noexcept nogil:
    """Deposit, cash and the value of the positions at their marks."""
    cdef double equity = a.deposit
    cdef Py_ssize_t i
    for i in range(a.n_holdings):
        equity += a.holdings[i].cash + holding_value(a.holdings[i], a.holdings[i].mark)
    return equity


cdef double volume_30d(const account_t* a) noexcept nogil:
    """Quote units traded on the 30 UTC days before today."""
    cdef double total = 0.0
    cdef int64_t day, known = min(a.days, DAYS)
    if known < DAYS:        # what came before the first day is taken as spread evenly
        total = a.volume_before * <double>(DAYS - known) / <double>DAYS
    for day in range(known):
        total += a.volume[day]
    return total


cdef void apply_tier(account_t* a, holding_t* h) noexcept nogil:
    if a.n_tiers > 0:
        h.maker_fee = a.tiers[a.tier].maker_fee
        h.taker_fee = a.tiers[a.tier].taker_fee
    if a.halted:            # whatever is still executed is a liquidation
        h.taker_fee += a.liquidation_fee


cdef void find_tier(account_t* a) noexcept nogil:
    """The best tier that the volume reaches."""
    cdef double volume = volume_30d(a)
    a.tier = 0
    while a.tier < a.n_tiers - 1 and a.tiers[a.tier + 1].volume <= volume:
        a.tier += 1


cdef void new_day(account_t* a) noexcept nogil:
    """A UTC day is full: its volume counts, the oldest drops out, and the tier is found."""
    cdef Py_ssize_t i
    cdef double today = 0.0
    for i in range(a.n_holdings):
        today += a.holdings[i].volume
        a.holdings[i].volume = 0.0
    a.volume[a.days % DAYS] = today
    a.days += 1
    a.day_end += DAY
    if a.n_tiers > 0:
        find_tier(a)
        for i in range(a.n_holdings):
            apply_tier(a, a.holdings[i])


cdef void find_due(account_t* a) noexcept nogil:
    cdef Py_ssize_t i
    cdef const holding_t* h
    a.due = min(a.day_end, a.next_check)
    for i in range(a.n_holdings):
        h = a.holdings[i]
        if h.payment < h.n_payments:
            a.due = min(a.due, h.payments[h.payment].time)


cdef void account_start(account_t* a, nanos_t first) noexcept nogil:
    """Start the account's days and checks, unless they run already."""
    if a.now > INT64_MIN:
        return
    a.now = first
    a.day_end = next_multiple(first, DAY)
    if a.maintenance_margin > 0.0:
        a.next_check = next_multiple(first, a.check_interval)
    find_due(a)


cdef void pay(holding_t* h, nanos_t now) noexcept nogil:
    """Funding that is due."""
    cdef double mark, paid
    while h.payment < h.n_payments and h.payments[h.payment].time <= now:
        mark = h.payments[h.payment].mark
        if isnan(mark):
            mark = h.mark
        if h.position != 0:
            paid = holding_notional(h, mark, h.position) * h.payments[h.payment].rate
            h.cash -= paid
            h.funding += paid
        h.payment += 1


cdef void check_margin(account_t* a, nanos_t now) noexcept nogil:
    """Halt and close an account whose equity is below what its positions ask for."""
    cdef double notional = 0.0
    cdef Py_ssize_t i
    cdef holding_t* h
    cdef bint flat = True
    if not a.halted:
        for i in range(a.n_holdings):
            notional += holding_margin(a.holdings[i], a.holdings[i].position)
        if not account_equity(a) < a.maintenance_margin * notional:
            return
        a.halted = True
        a.halt_time = now
        for i in range(a.n_holdings):
            apply_tier(a, a.holdings[i])
            a.liquidations += a.holdings[i].position != 0
    for i in range(a.n_holdings):
        h = a.holdings[i]
        if h.owner is not NULL:
            h.liquidate(h.owner, now)
        flat = flat and h.position == 0
    if flat:                # else the rest is closed at the next check
        a.next_check = INT64_MAX


cdef void account_pass(account_t* a, nanos_t now) noexcept nogil:
    """Funding, then the end of a day, then the margin check, whatever is due by `now`."""
    cdef Py_ssize_t i
    a.now = now
    survey(a)
    for i in range(a.n_holdings):
        pay(a.holdings[i], now)
    while a.day_end <= now:
        new_day(a)
    if a.next_check <= now:
        a.next_check = next_multiple(now, a.check_interval)
        check_margin(a, now)
    find_due(a)


cdef bint account_allows(
    account_t* a, holding_t* h, int side, lots_t lots, bint reduce_only
) noexcept nogil:
    """Whether an order may arrive: it adds no risk, or the equity covers its initial margin."""
    cdef lots_t buys = lots if side > 0 else 0, sells = lots if side < 0 else 0, worst
    cdef double notional = 0.0
    cdef Py_ssize_t i
    if a.halted:
        return False
    if a.initial_margin == 0.0 or reduce_only:
        return True
    survey(a)
    worst = holding_worst(h, buys, sells)
    if worst <= holding_worst(h, 0, 0):
        return True
    for i in range(a.n_holdings):
        notional += holding_margin(
            a.holdings[i],
            worst if a.holdings[i] is h else holding_worst(a.holdings[i], 0, 0))
    # without a mark it cannot be valued: NaN, and refused
    return account_equity(a) >= a.initial_margin * notional


cdef double checked(str name, double value, double least) except? -1.0:
    if not least <= value < INFINITY:
        raise ValueError(f"{name} must be finite and >= {least:g}, was {value}")
    return value


@cython.final
cdef class Account:
    """Money shared by the instruments of a portfolio, and the rules of the exchange for it.

    Parameters
    ----------
    deposit : float
        Settlement currency, >= 0.
    fee_tiers : sequence of (volume_30d, maker_fee, taker_fee), optional
        Rising volumes in quote units, from 0 on, at which fees begin to hold; fees as
        fractions of the notional, negative for a rebate. They hold for all instruments, in
        place of the instruments' own. The tier is found anew at each start of a UTC day.
    volume_30d : float
        Quote units traded in the 30 days before the first, taken as spread evenly over them.
    initial_margin : float
        Fraction of the notional, 1 / leverage; 0 never asks.
    maintenance_margin : float
        Fraction of the notional, at most `initial_margin`; 0 never liquidates.
    liquidation_fee : float
        Fraction of the notional liquidated, paid on top of the taker fee.
    check_interval_ns : int
        Time between margin checks, at its multiples on the exchange clock; up to a day.

    Notes
    -----
    Margin is crossed: all instruments stand for each other [1]_. All notionals are taken at
    the mark, the exchange's present mid.

    An order is let in if it is reduce-only, or leaves the worst position as it is, or the
    equity is at least ``initial_margin`` times the notional of the worst positions with it.
    The worst position of an instrument is the larger of what it would be if all open buys,
    or all open sells, filled [2]_; reduce-only orders do not count.

    When the equity is below ``maintenance_margin`` times the notional of the positions, the
    account is halted for good: all orders are cancelled, orders after that rejected, and the
    positions closed with orders that take what the book displays; what it does not hold is
    tried again at each check [3]_.

    Volume counts maker and taker fills of all instruments, of 30 full UTC days before the
    present one, which itself does not count [4]_.

    An account belongs, with its replays, to one thread at a time. `Replay` books into it;
    the methods from `add` on book by hand, as for an account that trades live.

    References
    ----------
    .. [1] Bybit, "Cross margin": the whole wallet balance stands for all positions.
    .. [2] Bybit, "Order cost": of concurrent buys and sells the larger requirement counts,
       and an order that does not increase the position asks for none.
    .. [3] Binance, "Liquidation protocols": liquidation when collateral < maintenance margin;
       all open orders are cancelled, then immediate-or-cancel orders close, with a fee on
       the amount liquidated.
    .. [4] Binance, "Trading fee rate": tiers by 30-day volume, evaluated daily at 00:00 UTC.
       (There the new tier holds from about 01:00 UTC; here at once.)
    """

    def __cinit__(self, double deposit=0.0, *, fee_tiers=None, double volume_30d=0.0,
                  double initial_margin=0.0, double maintenance_margin=0.0,
                  double liquidation_fee=0.0, nanos_t check_interval_ns=1_000_000_000):
        cdef account_t* a = &self.c
        cdef Py_ssize_t i
        a.deposit = checked("deposit", deposit, 0.0)
        a.volume_before = checked("volume_30d", volume_30d, 0.0)
        a.initial_margin = checked("initial_margin", initial_margin, 0.0)
        a.maintenance_margin = checked("maintenance_margin", maintenance_margin, 0.0)
        a.liquidation_fee = checked("liquidation_fee", liquidation_fee, 0.0)
        if maintenance_margin > initial_margin:
            raise ValueError("maintenance_margin must be at most initial_margin, were "
                             f"{maintenance_margin} and {initial_margin}")
        if not 0 < check_interval_ns <= DAY:
            raise ValueError(f"check_interval_ns must be in (0, {DAY}], was {check_interval_ns}")
        a.check_interval = check_interval_ns
        a.now = INT64_MIN
        a.day_end = a.next_check = a.due = INT64_MAX
        tiers = [] if fee_tiers is None else [tuple(map(float, t)) for t in fee_tiers]
        if tiers:
            a.tiers = <tier_t*>calloc(len(tiers), sizeof(tier_t))
            if a.tiers is NULL:
                raise MemoryError()
        for volume, maker, taker in tiers:
            i = a.n_tiers
            if not (volume > a.tiers[i - 1].volume if i > 0 else volume == 0.0):
                raise ValueError(f"fee_tiers: volumes must start at 0 and rise, were "
                                 f"{[t[0] for t in tiers]}")
            a.tiers[i].volume = checked("fee_tiers: volume", volume, 0.0)
            a.tiers[i].maker_fee = checked("fee_tiers: maker_fee", maker, -1.0)
            a.tiers[i].taker_fee = checked("fee_tiers: taker_fee", taker, -1.0)
            a.n_tiers += 1
        find_tier(a)

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.c.n_holdings):
            free(self.c.holdings[i].payments)
            free(self.c.holdings[i])
        free(self.c.holdings)
        free(self.c.tiers)

    # --------------------------------------------------------------------- what is known

    @property
    def deposit(self):
        """Settlement currency."""
        return self.c.deposit

    @property
    def equity(self):
        """Deposit, profits and losses at the marks, less fees and funding; may be negative."""
        cdef list before = self.look()
        cdef double equity = account_equity(&self.c)
        self.look_away(before)
        return equity

    @property
    def cash(self):
        """Deposit, and what fills, fees and funding brought and cost."""
        cdef double cash = self.c.deposit
        cdef Py_ssize_t i
        for i in range(self.c.n_holdings):
            cash += self.c.holdings[i].cash
        return cash

    @property
    def volume_30d(self):
        """Quote units traded on the 30 UTC days before the present one."""
        return volume_30d(&self.c)

    @property
    def maker_fee(self):
        """Fraction of the notional at the present tier, None without tiers."""
        return self.c.tiers[self.c.tier].maker_fee if self.c.n_tiers > 0 else None

    @property
    def taker_fee(self):
        """Fraction of the notional at the present tier, None without tiers."""
        return self.c.tiers[self.c.tier].taker_fee if self.c.n_tiers > 0 else None

    @property
    def halted(self):
        """Whether the account has been liquidated."""
        return self.c.halted

    @property
    def halt_time_ns(self):
        """Exchange time of the liquidation, None without one."""
        return self.c.halt_time if self.c.halted else None

    @property
    def liquidations(self):
        """Positions that were open at the liquidation."""
        return self.c.liquidations

    def holdings(self):
        """One row an instrument, in the order added: HOLDING_DTYPE.

        Cash, fees, funding and the value of the position are in settlement currency; the
        mark is in quote units, NaN before there was one.
        """
        cdef holding_t* h
        cdef Py_ssize_t i
        cdef list before = self.look()
        rows = []
        for i in range(self.c.n_holdings):
            h = self.c.holdings[i]
            rows.append((h.position, h.cash, h.fees, h.funding, h.mark, holding_value(h, h.mark)))
        self.look_away(before)
        return np.array(rows, HOLDING_DTYPE)

    # --------------------------------------------------------------------- by hand

    def add(self, double lot_size, *, double multiplier=1.0, bint inverse=False,
            double maker_fee=0.0, double taker_fee=0.0):
        """Take up an instrument, and return its row in `holdings`.

        Parameters
        ----------
        lot_size : float
            Units of size a lot.
        multiplier : float
            Base units (inverse: quote units) in one unit of size.
        inverse : bool
            Settled in the base currency.
        maker_fee, taker_fee : float
            Fractions of the notional; used where the account has no tiers.
        """
        cdef account_t* a = &self.c
        cdef holding_t* h
        cdef void* more
        if not 0.0 < lot_size < INFINITY or not 0.0 < multiplier < INFINITY:
            raise ValueError(f"lot_size and multiplier must be > 0, were {lot_size} "
                             f"and {multiplier}")
        checked("maker_fee", maker_fee, -1.0)
        checked("taker_fee", taker_fee, -1.0)
        if a.n_holdings > 0 and a.holdings[0].inverse != inverse:
            raise ValueError("an account holds one settlement currency: linear or inverse "
                             "instruments, not both")
        more = realloc(a.holdings, (a.n_holdings + 1) * sizeof(holding_t*))
        if more is NULL:
            raise MemoryError()
        a.holdings = <holding_t**>more
        h = <holding_t*>calloc(1, sizeof(holding_t))
        if h is NULL:
            raise MemoryError()
        a.holdings[a.n_holdings] = h
        a.n_holdings += 1
        h.lot_size = lot_size
        h.multiplier = multiplier
        h.inverse = inverse
        h.maker_fee = maker_fee
        h.taker_fee = taker_fee
        h.mark = NAN
        apply_tier(a, h)
        return a.n_holdings - 1

    def fill(self, Py_ssize_t holding, int side, double price, lots_t lots, bint maker):
        """Book a fill of `lots` > 0 at a price in quote units; the fee paid."""
        cdef holding_t* h = self.row(holding)
        self.by_hand(h)
        if (side != 1 and side != -1) or not 0.0 < price < INFINITY or lots <= 0:
            raise ValueError("expected side 1 or -1, price > 0 and lots > 0, were "
                             f"{side}, {price} and {lots}")
        return holding_fill(h, side, price, lots, maker)

    def mark(self, Py_ssize_t holding, double price):
        """Value an instrument at `price` quote units from now on."""
        cdef holding_t* h = self.row(holding)
        self.by_hand(h)
        if not 0.0 < price < INFINITY:
            raise ValueError(f"price must be > 0, was {price}")
        h.mark = price

    def fund(self, Py_ssize_t holding, time_ns, rate, mark=None):
        """Set the funding payments to come, in place of those set before and not yet due.

        Parameters
        ----------
        holding : int
        time_ns : ndarray of int64
            Exchange times, rising, after what has been passed.
        rate : ndarray of float64
            Paid by longs to shorts where positive, a fraction of the notional.
        mark : ndarray of float64, optional
            Mark prices in quote units, NaN (and by default) for the mark of the instrument.
        """
        cdef holding_t* h = self.row(holding)
        cdef const nanos_t[::1] time = np.ascontiguousarray(time_ns, np.int64)
        cdef const double[::1] rates = np.ascontiguousarray(rate, np.float64)
        cdef const double[::1] marks
        cdef Py_ssize_t i, n = time.shape[0]
        cdef funding_t* payments
        cdef nanos_t before = self.c.now
        marks = np.full(n, NAN) if mark is None else np.ascontiguousarray(mark, np.float64)
        if not n == rates.shape[0] == marks.shape[0]:
            raise ValueError(f"columns differ in length: {n}, {rates.shape[0]} and "
                             f"{marks.shape[0]}")
        for i in range(n):
            if not before < time[i] < INT64_MAX or not -1.0 < rates[i] < 1.0 or (
                    not isnan(marks[i]) and not 0.0 < marks[i] < INFINITY):
                raise ValueError(
                    f"row {i}: time {time[i]}, rate {rates[i]}, mark {marks[i]}; expected times "
                    f"that rise from after {before}, rates within (-1, 1), marks > 0 or NaN")
            before = time[i]
        payments = <funding_t*>malloc(max(n, 1) * sizeof(funding_t))
        if payments is NULL:
            raise MemoryError()
        for i in range(n):
            payments[i].time = time[i]
            payments[i].rate = rates[i]
            payments[i].mark = marks[i]
        free(h.payments)
        h.payments = payments
        h.n_payments = n
        h.payment = 0
        find_due(&self.c)

    def advance(self, nanos_t now_ns):
        """Go to an exchange time: what is due by then happens, each at its own time.

        The first call starts the days; the marks are those set last.
        """
        cdef Py_ssize_t i
        for i in range(self.c.n_holdings):
            self.by_hand(self.c.holdings[i])
        if now_ns < self.c.now:
            raise ValueError(f"cannot go back from {self.c.now} to {now_ns}")
        account_start(&self.c, now_ns)
        while account_due(&self.c) <= now_ns:
            account_pass(&self.c, account_due(&self.c))
        self.c.now = now_ns

    def allows(self, Py_ssize_t holding, int side, lots_t lots, *, bint reduce_only=False):
        """Whether the margin lets in an order of `lots` > 0 now."""
        return account_allows(&self.c, self.row(holding), side, lots, reduce_only)

    cdef list look(self):
        """Marks of now, for a reader; the ones that decisions go by, to put back."""
        cdef Py_ssize_t i
        cdef list before = []
        for i in range(self.c.n_holdings):
            before.append(self.c.holdings[i][0].mark)
        survey(&self.c)
        return before

    cdef int look_away(self, list before) except -1:
        """Reading changes nothing: where a book is empty the mark is that of the last check."""
        cdef Py_ssize_t i
        for i in range(self.c.n_holdings):
            self.c.holdings[i][0].mark = before[i]
        return 0

    cdef holding_t* row(self, Py_ssize_t holding) except NULL:
        if not 0 <= holding < self.c.n_holdings:
            raise ValueError(f"no instrument {holding}: there are {self.c.n_holdings}")
        return self.c.holdings[holding]

    cdef int by_hand(self, const holding_t* h) except -1:
        if h.owner is not NULL:
            raise ValueError("a replay books into this account")
        return 0

    cdef int replays(self) noexcept:
        """Replays that book into it."""
        cdef Py_ssize_t i
        cdef int n = 0
        for i in range(self.c.n_holdings):
            n += self.c.holdings[i].owner is not NULL
        return n

    # --------------------------------------------------------------------- copies

    def copy(self):
        """An account of its own in the same state; no replay books into it yet."""
        args, options = self.__getnewargs_ex__()
        other = Account(*args, **options)
        other.__setstate__(self.__getstate__())
        return other

    def __getnewargs_ex__(self):
        cdef const account_t* a = &self.c
        tiers = [(a.tiers[i].volume, a.tiers[i].maker_fee, a.tiers[i].taker_fee)
                 for i in range(a.n_tiers)]
        return (a.deposit,), {
            "fee_tiers": tiers, "volume_30d": a.volume_before,
            "initial_margin": a.initial_margin, "maintenance_margin": a.maintenance_margin,
            "liquidation_fee": a.liquidation_fee, "check_interval_ns": a.check_interval}

    def __getstate__(self):
        cdef account_t a = self.c
        cdef holding_t h
        cdef Py_ssize_t i
        cdef list before = self.look()
        a.tiers = NULL
        a.holdings = NULL
        holdings = []
        for i in range(a.n_holdings):
            h = self.c.holdings[i][0]
            payments = (<const char*>h.payments)[:h.n_payments * sizeof(funding_t)] \
                if h.n_payments > 0 else b""
            h.payments = NULL
            h.owner = NULL
            h.survey = NULL
            h.liquidate = NULL
            h.open[0] = h.open[1] = 0
            holdings.append(((<const char*>&h)[:sizeof(holding_t)], payments))
        self.look_away(before)
        return (<const char*>&a)[:sizeof(account_t)], holdings

    def __setstate__(self, state):
        cdef account_t* a = &self.c
        cdef tier_t* tiers = a.tiers
        cdef holding_t* h
        cdef holding_t** holdings
        cdef const unsigned char[::1] raw = state[0]
        if raw.shape[0] != sizeof(account_t):
            raise ValueError("the state is that of another version")
        for _ in state[1]:
            self.add(1.0)
        holdings = a.holdings
        memcpy(a, &raw[0], sizeof(account_t))
        a.tiers = tiers
        a.holdings = holdings
        for i, (row, payments) in enumerate(state[1]):
            h = self.row(i)
            raw = row
            memcpy(h, &raw[0], sizeof(holding_t))
            if h.n_payments > 0:
                raw = payments
                h.payments = <funding_t*>malloc(raw.shape[0])
                if h.payments is NULL:
                    h.n_payments = h.payment = 0
                    raise MemoryError()
                memcpy(h.payments, &raw[0], raw.shape[0])

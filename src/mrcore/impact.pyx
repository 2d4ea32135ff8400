"""Price impact from trades: bars of equal time are made on the way.

A kernel for one trade, a streaming object around it and a batch loop over the same kernel:
any split of the trades gives the same bits. An object belongs to one thread at a time;
``copy.copy`` and ``pickle`` save and restore it.
"""
cimport cython
from libc.math cimport NAN
from libc.stdint cimport int64_t, uint8_t

from mrcore.flow cimport kyle_bar, kyle_free, kyle_init, kyle_t, kyle_tstat, kyle_value
from mrcore.grid cimport positive
from mrcore.rolling cimport check_window, pairs_restore, pairs_state
from mrcore.types cimport lots_t, nanos_t, side_t

import numpy as np

cdef str REFUSED = "times must be >= 0 and not fall, sides 1, -1 or 0 and lots >= 0"


cdef extern from *:
    """
    /* Start of the bar before the first trade, farther back than any bar is long; the other
       way, no time is as late: differences of times stay within 64 bits. */
    #define MRCORE_NO_BAR (-(1LL << 61))
    #define MRCORE_LATEST (1LL << 62)
    """
    const int64_t NO_BAR "MRCORE_NO_BAR"
    const int64_t LATEST "MRCORE_LATEST"


ctypedef struct bar_t:
    nanos_t start
    nanos_t now             # time of the last trade
    lots_t volume           # bought less sold in the bar so far
    double mid              # at the last trade
    double mid_before       # at the last trade of the bar before; NaN: there was none


cdef inline bint is_trade(side_t side, lots_t lots) noexcept nogil:
    return lots >= 0 and <uint8_t>(side + 1) <= 2


cdef inline bint bar_turn(
    bar_t* b, kyle_t* k, nanos_t time, nanos_t interval, double lot_size
) noexcept nogil:
    """The present bar, if there is one, is complete; a trade at `time` begins another."""
    cdef bint complete = b.start != NO_BAR
    if complete:
        kyle_bar(k, b.mid - b.mid_before, <double>b.volume * lot_size)
    b.start = time - time % interval
    b.volume = 0
    b.mid_before = b.mid
    return complete


@cython.final
cdef class KyleBars:
    """Kyle's lambda from trades, over bars of equal time.

    A bar holds the trades of ``[k, k + 1) * interval_ns``. Its volume is what aggressors
    bought less what they sold, its price change the mid at its last trade less that at the
    last trade of the bar before. A time without trades makes no bar; the change over it
    belongs to the bar after it. A bar is complete when the first trade beyond it comes, and
    then enters the regression of `mrcore.flow.KyleLambda`.

    Parameters
    ----------
    interval_ns : int
        Length of a bar, nanoseconds, > 0.
    window : int
        Bars in the regression, >= 3.
    lot_size : float
        Base units a lot, > 0.

    References
    ----------
    Kyle (1985), Econometrica 53; Hasbrouck (2009), Journal of Finance 64.
    """
    cdef kyle_t kyle
    cdef bar_t bar
    cdef readonly nanos_t interval_ns
    cdef readonly double lot_size

    def __cinit__(self, nanos_t interval_ns, Py_ssize_t window, double lot_size):
        check_window("interval_ns", interval_ns, 1)
        if interval_ns > -NO_BAR:
            raise ValueError(f"interval_ns must be <= 2**61, was {interval_ns}")
        check_window("window", window, 3)
        positive("lot_size", lot_size)
        if kyle_init(&self.kyle, window) < 0:
            raise MemoryError
        self.interval_ns = interval_ns
        self.lot_size = lot_size
        self.bar = bar_t(start=NO_BAR, now=0, volume=0, mid=NAN, mid_before=NAN)

    def __dealloc__(self):
        kyle_free(&self.kyle)

    @property
    def window(self):
        """Bars in the regression."""
        return self.kyle.window

    @property
    def value(self):
        """Lambda of the complete bars, quote units per base unit; NaN in warm-up."""
        return kyle_value(&self.kyle)

    @property
    def tstat(self):
        """Classical t-statistic of lambda, window - 2 degrees of freedom."""
        return kyle_tstat(&self.kyle)

    def update(self, nanos_t time, side_t side, lots_t lots, double mid):
        """Lambda of the bars complete at a trade; see `batch`."""
        if not (self.bar.now <= time < LATEST and is_trade(side, lots)):
            raise ValueError(f"{REFUSED}, were {time} after {self.bar.now}, {side} and {lots}")
        if time - self.bar.start >= self.interval_ns:
            bar_turn(&self.bar, &self.kyle, time, self.interval_ns, self.lot_size)
        self.bar.volume += side * lots
        self.bar.now = time
        self.bar.mid = mid
        return kyle_value(&self.kyle)

    def batch(
        self,
        const nanos_t[::1] time not None,
        const side_t[::1] side not None,
        const lots_t[::1] lots not None,
        const double[::1] mid not None,
    ):
        """Lambda after each bar that these trades complete, as `update` one by one.

        Parameters
        ----------
        time : ndarray of int64
            ns since the epoch, UTC, not falling.
        side : ndarray of int8
            +1 buyer, -1 seller is the aggressor, 0 unknown (half and half).
        lots : ndarray of int64
            Sizes, >= 0.
        mid : ndarray of float64
            Mid when the trade came, quote units. Prices of trades will do where there is no
            book, but their bounce biases lambda several times upwards. A bar whose change
            is not finite is left out.

        Returns
        -------
        end : ndarray of int64
            End of the bar, ns: nothing at or after it is in the value.
        value : ndarray of float64
            Lambda, quote units per base unit; NaN in warm-up and where volume does not vary.

        Raises
        ------
        ValueError
            At the first trade that cannot be; those before it have been taken.
        """
        cdef Py_ssize_t i = 0, n = time.shape[0], bars = 0, first, room
        cdef nanos_t interval = self.interval_ns, border, now
        cdef lots_t volume
        cdef bar_t* bar = &self.bar
        cdef kyle_t* kyle = &self.kyle
        cdef int64_t[::1] end = np.empty(0, np.int64)
        cdef double[::1] value = np.empty(0)
        cdef bint valid = True
        if side.shape[0] != n or lots.shape[0] != n or mid.shape[0] != n:
            raise ValueError("time, side, lots and mid differ in length")
        while i < n and valid:
            # room for as many bars as trades would be too much new memory
            room = 2 * bars + n // 64 + 1024
            end, value = np.resize(end, room), np.resize(value, room)
            with nogil:
                while bars < room:
                    now, volume, border = bar.now, bar.volume, bar.start + interval
                    first = i
                    while i < n and now <= time[i] < border and is_trade(side[i], lots[i]):
                        now = time[i]
                        volume += side[i] * lots[i]
                        i += 1
                    bar.now, bar.volume = now, volume
                    if i > first:                   # a bar needs no mid but its last
                        bar.mid = mid[i - 1]
                    valid = i == n or (now <= time[i] < LATEST and is_trade(side[i], lots[i]))
                    if i == n or not valid:
                        break
                    end[bars] = border
                    if bar_turn(bar, kyle, time[i], interval, self.lot_size):
                        value[bars] = kyle_value(kyle)
                        bars += 1
        if not valid:
            raise ValueError(f"{REFUSED}, were {time[i]}, {side[i]} and {lots[i]} at row {i}")
        return np.array(end[:bars]), np.array(value[:bars])

    def __reduce__(self):
        args = self.interval_ns, self.window, self.lot_size
        return KyleBars, args, (self.bar, pairs_state(&self.kyle))

    def __setstate__(self, state):
        self.bar, kyle = state
        pairs_restore(&self.kyle, kyle)

"""Which of two prices moves first: the covariance of asynchronous prices over a grid of lags.

Both prices are read as they come, without a common clock: bringing them to one (the last price at
regular times) hides their correlation, the more the finer the clock is (Epps 1979). The sum of the
products of all increments that overlap in time does not (Hayashi & Yoshida 2005), and putting one
series later by a lag shows at which lag they agree best (Hoffmann, Rosenbaum & Yoshida 2013).
"""
cimport cython
from libc.stdint cimport int64_t
from libc.stdlib cimport malloc
from libc.string cimport memcpy

from mrcore.leadlag cimport (
    RESULTS, X, Y, leadlag_event, leadlag_free, leadlag_init, leadlag_t, leadlag_value, path_t,
)
from mrcore.types cimport nanos_t

import numpy as np

cdef nanos_t LONGEST = <nanos_t>1 << 60     # so that a time and what is added to it still fit
cdef nanos_t NEVER = <nanos_t>1 << 62       # times lie between -NEVER and NEVER


cdef object copied(const void* source, size_t size):
    return (<const char*>source)[:size] if size > 0 else b""


cdef int load(void* to, size_t size, bytes data) except -1:
    if <size_t>len(data) != size:
        raise ValueError("this state is of other lags")
    if size > 0:
        memcpy(to, <const char*>data, size)
    return 0


cdef int renew(void** to, size_t size, bytes data) except -1:
    """Let a pointer that owns nothing yet own the bytes of a state."""
    if <size_t>len(data) != size:
        raise ValueError("this state is damaged")
    if size > 0:
        to[0] = malloc(size)
        if to[0] is NULL:
            raise MemoryError
        memcpy(to[0], <const char*>data, size)
    return 0


cdef tuple path_state(const path_t* p, Py_ssize_t n_lags):
    return (
        p.head, p.end, p.left_out, p.last_price, p.next_price, p.pending,
        copied(p.time, p.end * sizeof(nanos_t)),
        copied(p.price, p.end * sizeof(double)),
        copied(p.at, n_lags * sizeof(Py_ssize_t)),
    )


cdef int path_restore(path_t* p, Py_ssize_t n_lags, tuple state) except -1:
    cdef Py_ssize_t k, head, end
    head, end, p.left_out, p.last_price, p.next_price, p.pending, time, price, at = state
    load(p.at, n_lags * sizeof(Py_ssize_t), at)
    for k in range(n_lags):
        if not 0 <= p.at[k] < max(end, 1):
            raise ValueError("this state is damaged")
    if not 0 <= head < max(end, 1):
        raise ValueError("this state is damaged")
    renew(<void**>&p.time, <size_t>end * sizeof(nanos_t), time)
    renew(<void**>&p.price, <size_t>end * sizeof(double), price)
    p.head, p.end, p.room = head, end, end
    return 0


@cython.final
cdef class LeadLag:
    """Hayashi-Yoshida covariance and lead of X over Y, in a rolling window of time.

    For a lag theta, ``U(theta)`` is the sum of ``dX_i dY_j`` over all pairs of increments for which
    ``(s_(i-1) + theta, s_i + theta]`` and ``(t_(j-1), t_j]`` overlap; intervals are half open, so
    those that only touch do not. ``rho = U / sqrt(sum dX^2 sum dY^2)``. At theta > 0 the past of X
    meets the present of Y: X leads.

    - Increments are those of the log price from change to change: prices that change nothing are
      passed over, as are prices that are not finite, and of several at one time the last counts.
      An increment over more than a window (a pause of the recording, a market that slept) is left
      out.
    - An increment is in the window if its interval ends in ``(t - window, t]``; a pair is, if the
      later of its two ends is. So a pair counts from when both are known, and each lag has all its
      pairs: were both ends asked to lie in the window, those at its edge would be missing, more of
      them at larger lags, and large lags would look weaker than they are.

    An object belongs to one thread at a time.

    An event costs one product and two steps through the other series a lag, a query one addition a
    lag, whatever the length of the window.

    Parameters
    ----------
    window_ns : int
        Length of the window, > 0.
    lags_ns : array of int64
        Ascending, one of them 0; finer steps than the time between changes tell nothing more.
    min_increments : int, default 10
        With fewer increments of either series in the window there is no value.

    References
    ----------
    Hayashi and Yoshida (2005), Bernoulli 11(2); Hoffmann, Rosenbaum and Yoshida (2013), Bernoulli
    19(2); for the ratio, Huth and Abergel (2014), Journal of Empirical Finance 26.
    """
    cdef leadlag_t c

    def __cinit__(self, nanos_t window_ns, lags_ns, Py_ssize_t min_increments=10):
        cdef Py_ssize_t k
        cdef int64_t[::1] lag
        lags = np.array(lags_ns, np.int64)
        if lags.ndim != 1 or not (lags == 0).any() or not (np.diff(lags) > 0).all():
            raise ValueError(f"lags_ns must be ascending and hold 0, was {lags_ns}")
        if not 0 < window_ns < LONGEST:
            raise ValueError(f"window_ns must be in (0, {LONGEST}), was {window_ns}")
        if not (-LONGEST < lags[0] and lags[lags.size - 1] < LONGEST):
            raise ValueError(f"lags_ns must lie between -{LONGEST} and {LONGEST}, was {lags_ns}")
        if min_increments < 1:
            raise ValueError(f"min_increments must be >= 1, was {min_increments}")
        lag = lags
        if leadlag_init(&self.c, window_ns, lag.shape[0], <double>min_increments) < 0:
            raise MemoryError
        for k in range(lag.shape[0]):
            self.c.lag[k] = lag[k]
            if lag[k] == 0:
                self.c.zero = k
        self.c.reach = max(-lag[0], lag[lag.shape[0] - 1])
        self.c.now = -NEVER

    def __dealloc__(self):
        leadlag_free(&self.c)

    @property
    def window_ns(self):
        """Length of the window."""
        return self.c.window

    @property
    def lags_ns(self):
        """Lags, ascending."""
        return [self.c.lag[k] for k in range(self.c.n_lags)]

    @property
    def min_increments(self):
        """Increments of either series without which there is no value."""
        return int(self.c.least)

    cdef int check_time(self, str name, nanos_t time, bint event) except -1:
        """Nothing comes earlier than what came before, nor an event as late as a query did."""
        if not -NEVER < time < NEVER:
            raise ValueError(f"{name} must lie between -{NEVER} and {NEVER}, was {time}")
        if time < self.c.now or (event and self.c.closed and time == self.c.now):
            raise ValueError(f"{name} {time} came after {self.c.now} had been closed")
        return 0

    cdef int check_times(self, str name, const int64_t[::1] time, bint event) except -1:
        cdef Py_ssize_t i, n = time.shape[0]
        if n > 0:
            self.check_time(name, time[0], event)
            self.check_time(name, time[n - 1], event)
        for i in range(1, n):
            if time[i] < time[i - 1]:
                raise ValueError(f"{name} goes back at row {i}, from {time[i - 1]} to {time[i]}")
        return 0

    cdef int event(self, int which, nanos_t time, double log_price) except -1:
        self.check_time("time", time, True)
        if leadlag_event(&self.c, which, time, log_price) < 0:
            raise MemoryError
        return 0

    def update_x(self, nanos_t time, double log_price):
        """Take one price of X (time in ns, log of the price), not earlier than what came before."""
        self.event(X, time, log_price)

    def update_y(self, nanos_t time, double log_price):
        """Take one price of Y, as `update_x`."""
        self.event(Y, time, log_price)

    def value(self, nanos_t time):
        """Return hy_cov, hy_corr, lead_s, lead_corr and llr at a time, as `batch` does.

        All events up to that time have come by then: later ones are refused.
        """
        cdef double out[RESULTS]
        self.check_time("time", time, False)
        if leadlag_value(&self.c, time, out) < 0:
            raise MemoryError
        return out[0], out[1], out[2], out[3], out[4]

    def batch(
        self,
        const int64_t[::1] x_time not None,
        const double[::1] x not None,
        const int64_t[::1] y_time not None,
        const double[::1] y not None,
        const int64_t[::1] at not None,
    ):
        """Take the next events of both and answer at given times.

        Parameters
        ----------
        x_time, y_time : array of int64
            Local times, ns, in time order.
        x, y : array of float64
            Log prices.
        at : array of int64
            Times of the answers, in time order; each knows the events up to it. Events after the
            last one are kept for the next call.

        Returns
        -------
        tuple of five ndarrays of float64
            - covariance over the window, not per time: ``U(0)``;
            - correlation, ``rho(0)``: may be beyond 1 in small windows;
            - lead, s: where ``abs(rho)`` is largest, of equal ones the nearest to 0;
            - ``rho`` there;
            - ``sum(U^2, theta > 0) / sum(U^2, theta < 0)``: above 1 X leads.

            NaN with too few increments; the last also where its divisor is 0.

        Raises
        ------
        ValueError
            If lengths differ or times go back, also behind those of earlier calls.
        """
        cdef Py_ssize_t i = 0, j = 0, k, n = x.shape[0], m = y.shape[0], q = at.shape[0]
        cdef int64_t until
        cdef int failed = 0
        if x_time.shape[0] != n or y_time.shape[0] != m:
            raise ValueError(f"times and prices differ in length: {x_time.shape[0]} and {n}, "
                             f"{y_time.shape[0]} and {m}")
        self.check_times("x_time", x_time, True)
        self.check_times("y_time", y_time, True)
        self.check_times("at", at, False)
        out = np.empty((q, RESULTS))
        cdef double[:, ::1] z = out
        with nogil:
            for k in range(q + 1):
                until = at[k] if k < q else NEVER
                while failed == 0 and (i < n or j < m):
                    if i < n and (j == m or x_time[i] <= y_time[j]):
                        if x_time[i] > until:
                            break
                        failed = leadlag_event(&self.c, X, x_time[i], x[i])
                        i += 1
                    else:
                        if y_time[j] > until:
                            break
                        failed = leadlag_event(&self.c, Y, y_time[j], y[j])
                        j += 1
                if failed == 0 and k < q:
                    failed = leadlag_value(&self.c, until, &z[k, 0])
                if failed != 0:
                    break
        if failed != 0:
            raise MemoryError
        return tuple(np.ascontiguousarray(out.T))

    def __reduce__(self):
        cdef const leadlag_t* f = &self.c
        return LeadLag, (f.window, self.lags_ns, self.min_increments), (
            f.now, f.closed, path_state(&f.path[X], f.n_lags), path_state(&f.path[Y], f.n_lags),
            f.head, f.turn, f.end,
            copied(f.time, f.end * sizeof(nanos_t)),
            copied(f.row, f.end * f.width * sizeof(double)),
            copied(f.young, f.width * sizeof(double)),
        )

    def __setstate__(self, state):
        cdef leadlag_t* f = &self.c
        cdef Py_ssize_t head, turn, end
        if f.path[X].room > 0 or f.path[Y].room > 0 or f.room > 0:
            raise ValueError("only a new object takes a state")
        f.now, f.closed, x, y, head, turn, end, time, row, young = state
        if not 0 <= head <= turn <= end:
            raise ValueError("this state is damaged")
        load(f.young, f.width * sizeof(double), young)
        path_restore(&f.path[X], f.n_lags, x)
        path_restore(&f.path[Y], f.n_lags, y)
        renew(<void**>&f.time, <size_t>end * sizeof(nanos_t), time)
        renew(<void**>&f.row, <size_t>end * f.width * sizeof(double), row)
        f.head, f.turn, f.end, f.room = head, turn, end, end

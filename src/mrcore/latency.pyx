"""Order latency: constant, from a recording, or drawn from a seeded distribution.

A `Latency` says how long a request to submit, cancel or replace an order takes to the exchange and
its response back. It never changes and can be pickled and shared: what moves while a replay runs
(the random generator, the place in the table) is the replay's own, so that every replay with the
same `Latency` meets the same delays.

Messages keep their order: a request that would arrive before the one sent before it arrives with
it, and so do responses.
"""
from libc.math cimport INFINITY, exp
from libc.stdint cimport int64_t, uint64_t

cimport cython

from mrcore.rng cimport rng_seed
from mrcore.types cimport nanos_t

import numpy as np

KINDS = ("submit", "cancel", "replace", "response")

cdef nanos_t LONGEST = <nanos_t>1 << 60     # so that a time and what is added to it still fit
cdef nanos_t NEVER = <nanos_t>1 << 62       # times lie between -NEVER and NEVER
# no normal deviate of mrcore.rng is larger: x**2 <= -4 ln(2**-53)
cdef double LARGEST_NORMAL = 12.2


cdef nanos_t checked(str name, value) except -1:
    cdef nanos_t nanos = value
    if not 0 <= nanos < LONGEST:
        raise ValueError(f"{name} must be in [0, {LONGEST}), was {value}")
    return nanos


cdef object column(str name, values):
    """A read-only copy, int64."""
    values = np.asarray(values)
    if values.ndim != 1 or values.dtype.kind not in "iu" or len(values) == 0:
        raise ValueError(f"{name} must be a column of integers with at least one row, was "
                         f"{values.dtype} of shape {values.shape}")
    values = np.array(values, np.int64)
    values.flags.writeable = False
    return values


cdef object first(wrong):
    """Number of the first row that is wrong, -1 when none is."""
    return int(np.argmax(wrong)) if wrong.any() else -1


cdef const nanos_t* pointer(Latency latency, values):
    """Let a latency keep a column, and point to its first value."""
    cdef const nanos_t[::1] view = values
    latency.tables.append(values)
    return &view[0]


cdef Latency described(str how, tuple given):
    cdef Latency latency = Latency.__new__(Latency)
    latency.how = how
    latency.given = given
    latency.tables = []
    return latency


cdef int seeded(Latency latency, seed) except -1:
    cdef uint64_t state = seed
    rng_seed(&latency.c.state.requests, &state)
    rng_seed(&latency.c.state.responses, &state)
    return 0


def _restored(how, given):
    """Make a latency again from its description; for pickle."""
    return getattr(Latency, how)(*given)


@cython.final
cdef class Latency:
    """Delays of requests and responses; made by one of its static methods.

    See Also
    --------
    constant, recorded, from_feed, sampled, lognormal
    """

    def __cinit__(self):
        self.how = "constant"
        self.given = (0, 0, 0, 0)
        self.tables = []

    def __reduce__(self):
        return _restored, (self.how, self.given)

    def __repr__(self):
        said = [f"<{len(x)} rows>" if isinstance(x, np.ndarray) else repr(x) for x in self.given]
        return f"Latency.{self.how}({', '.join(said)})"

    @staticmethod
    def constant(submit_ns, response_ns, cancel_ns=None, replace_ns=None):
        """Each kind of request takes its own time, always the same.

        Parameters
        ----------
        submit_ns, response_ns : int
            Nanoseconds to the exchange and back.
        cancel_ns, replace_ns : int, optional
            As `submit_ns` where they are not given.

        Returns
        -------
        Latency
        """
        cdef Latency latency = described(
            "constant", (submit_ns, response_ns, cancel_ns, replace_ns))
        given = (submit_ns, submit_ns if cancel_ns is None else cancel_ns,
                 submit_ns if replace_ns is None else replace_ns, response_ns)
        for kind in range(N_LATENCIES):
            latency.c.nanos[kind] = checked(f"{KINDS[kind]}_ns", given[kind])
        return latency

    @staticmethod
    def recorded(request_ns, exchange_ns, response_ns):
        """Delays that were measured, a straight line in between.

        A request at a time between two rows takes what the line through their delays says,
        truncated to whole nanoseconds; before the first row and after the last it takes that
        row's delay. All kinds of requests share the table. A row with an exchange time of 0 or
        less was rejected before it reached the exchange (overload): a request between it and a
        neighbour is rejected too, and known to be after the interpolated time from request to
        response. Responses are interpolated by exchange time among the rows that got there.

        Parameters
        ----------
        request_ns : array of int64
            Local times at which requests were sent; they must not fall.
        exchange_ns : array of int64
            Exchange times at which they were processed, not before they were sent; 0 for a
            request that was rejected.
        response_ns : array of int64
            Local times at which the responses came.

        Returns
        -------
        Latency

        Notes
        -----
        The rule and its arithmetic are those of hftbacktest 2.4.4's ``IntpOrderLatency``, but
        for rejected rows: there the first or last row gives minus its request time as the
        latency, and responses are interpolated with an exchange time of 0.
        """
        sent = column("request_ns", request_ns)
        reached = column("exchange_ns", exchange_ns)
        answered = column("response_ns", response_ns)
        if not len(sent) == len(reached) == len(answered):
            raise ValueError("the columns differ in length: "
                             f"{len(sent)}, {len(reached)} and {len(answered)}")
        there = reached > 0
        back = np.where(there, answered - reached, answered - sent - 1)
        i = first((np.diff(sent, prepend=sent[0]) < 0) | (sent <= -NEVER) | (answered >= NEVER)
                  | (answered - sent >= LONGEST) | (back < 0) | (there & (reached < sent)))
        if i >= 0:
            raise ValueError(
                f"row {i}: request {sent[i]}, exchange {reached[i]}, response {answered[i]}; "
                "expected request times that do not fall, and response >= exchange >= request, "
                "or exchange 0 and response > request")
        if not there.any():
            raise ValueError("every request was rejected: nothing says how long one takes")
        cdef Latency latency = described("recorded", (sent, reached, answered))
        cdef latency_t* c = &latency.c
        c.model = RECORDED
        c.n_rows = len(sent)
        c.sent = pointer(latency, sent)
        c.reached = pointer(latency, reached)
        c.answered = pointer(latency, answered)
        c.n_served = np.count_nonzero(there)
        c.served = pointer(latency, reached if there.all() else reached[there])
        c.back = pointer(latency, answered if there.all() else answered[there])
        return latency

    @staticmethod
    def from_feed(time_ns, received_ns, *, double request=1.0, double response=1.0,
                  least_ns=0, every_ns=1_000_000_000):
        """Delays taken from those of the feed, where none of orders were recorded.

        A request sent when a row of the feed was received takes `request` times that row's
        delay to the exchange, and its response `response` times.

        Parameters
        ----------
        time_ns, received_ns : array of int64
            Exchange and local times of the feed's rows.
        request, response : float
            Multiples of the feed's delay, >= 0.
        least_ns : int
            The feed's delay is taken to be at least this; a collector's clock can be behind.
        every_ns : int
            Length of the intervals of local time of which one row each, the first, is kept.

        Returns
        -------
        Latency
            A recorded one, `recorded`.
        """
        time, received = column("time_ns", time_ns), column("received_ns", received_ns)
        if len(time) != len(received):
            raise ValueError(f"the columns differ in length: {len(time)} and {len(received)}")
        if not (0.0 <= request < INFINITY and 0.0 <= response < INFINITY and every_ns > 0):
            raise ValueError("request and response must be finite and >= 0, every_ns > 0, were "
                             f"{request}, {response} and {every_ns}")
        _, kept = np.unique(received // every_ns, return_index=True)
        local = received[kept]
        delay = np.maximum(local - time[kept], checked("least_ns", least_ns))
        exchange = local + np.rint(delay * request).astype(np.int64)
        return Latency.recorded(local, exchange, exchange + np.rint(delay * response).astype(
            np.int64))

    @staticmethod
    def sampled(submit_ns, response_ns, cancel_ns=None, replace_ns=None, seed=0):
        """Drawn at random from what was observed.

        Parameters
        ----------
        submit_ns, response_ns : array of int64
            Observed delays in any order, or quantiles at equally spaced probabilities from 0 to
            1, which is the same: the sorted values are taken as such quantiles, and the
            distribution is a straight line from one to the next.
        cancel_ns, replace_ns : array of int64, optional
            As `submit_ns` where they are not given.
        seed : int
            In [0, 2**64). The same seed gives the same delays on every machine.

        Returns
        -------
        Latency
        """
        names = ("submit_ns", "response_ns", "cancel_ns", "replace_ns")
        given = [None if values is None else column(name, values) for name, values in zip(
            names, (submit_ns, response_ns, cancel_ns, replace_ns))]
        cdef Latency latency = described("sampled", (*given, seed))
        cdef latency_t* c = &latency.c
        c.model = SAMPLED
        for kind in range(N_LATENCIES):
            name = f"{KINDS[kind]}_ns"
            values = given[names.index(name)]
            values = np.sort(given[0] if values is None else values)
            checked(name, values.min())
            checked(name, values.max())
            c.quantile[kind] = pointer(latency, values)
            c.n_quantiles[kind] = len(values)
        seeded(latency, seed)
        return latency

    @staticmethod
    def lognormal(submit_ns, response_ns, double sigma, cancel_ns=None, replace_ns=None, seed=0):
        """Drawn from lognormal distributions.

        Parameters
        ----------
        submit_ns, response_ns : int
            Medians.
        sigma : float
            Standard deviation of the logarithm, >= 0; 0.5 puts one delay in 20 above 2.3 medians.
        cancel_ns, replace_ns : int, optional
            As `submit_ns` where they are not given.
        seed : int
            In [0, 2**64). The same seed gives the same delays on every machine.

        Returns
        -------
        Latency
        """
        cdef Latency latency = Latency.constant(submit_ns, response_ns, cancel_ns, replace_ns)
        cdef latency_t* c = &latency.c
        latency.how = "lognormal"
        latency.given = (submit_ns, response_ns, sigma, cancel_ns, replace_ns, seed)
        if not 0.0 <= sigma < INFINITY:
            raise ValueError(f"sigma must be finite and >= 0, was {sigma}")
        longest = max([c.nanos[kind] for kind in range(N_LATENCIES)])
        if not longest * exp(LARGEST_NORMAL * sigma) < LONGEST:
            raise ValueError(f"a sigma of {sigma} and a median of {longest} ns may give delays of "
                             "decades")
        c.model = LOGNORMAL
        c.sigma = sigma
        seeded(latency, seed)
        return latency

    def requests(self, time_ns, str kind="submit"):
        """Delays that requests sent one after the other would meet.

        Parameters
        ----------
        time_ns : array of int64
            Local times, which must not fall.
        kind : {"submit", "cancel", "replace"}

        Returns
        -------
        ndarray of int64
            Nanoseconds to the exchange, before the bus keeps messages in order. Negative: the
            request is rejected on its way, and known to be after minus that.
        """
        if kind not in KINDS[:3]:
            raise ValueError(f"kind must be one of {KINDS[:3]}, was {kind!r}")
        return delays(self.c, KINDS.index(kind), time_ns)

    def responses(self, time_ns):
        """Delays of responses to what happens at these exchange times, which must not fall."""
        return delays(self.c, RESPONSE_LATENCY, time_ns)


cdef object delays(latency_t l, int kind, time_ns):
    """Delays from the state that `l`, a copy, is in."""
    cdef const int64_t[::1] time = np.ascontiguousarray(time_ns, np.int64)
    cdef Py_ssize_t i, n = time.shape[0]
    if np.any(np.diff(time) < 0):
        raise ValueError("time_ns must not fall")
    out = np.empty(n, np.int64)
    cdef int64_t[::1] nanos = out
    with nogil:
        for i in range(n):
            if kind == RESPONSE_LATENCY:
                nanos[i] = latency_response(&l, time[i])
            else:
                nanos[i] = latency_entry(&l, kind, time[i])
    return out

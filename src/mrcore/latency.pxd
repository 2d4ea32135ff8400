"""C interface of mrcore.latency: how long requests and responses travel. Kernels are inline.

A `latency_t` holds no memory of its own: its tables belong to the `Latency` it was taken from,
which whoever keeps the struct keeps alive. So an assignment copies it, and `latency_state_t` is
all that changes while it is used.

No message overtakes the one sent before it; the bus that carries them (`mrcore.exchange`) sees to
that, as one connection does.
"""
from libc.stdint cimport int64_t

cimport cython

from mrcore.rng cimport rng_normal, rng_t, rng_uniform, scaled_exp
from mrcore.types cimport nanos_t


cdef enum latency_model_t:
    CONSTANT            # a latency_t of zeros is one: no delay
    RECORDED
    SAMPLED
    LOGNORMAL


cdef enum:                          # indices of KINDS
    SUBMIT_LATENCY
    CANCEL_LATENCY
    REPLACE_LATENCY
    RESPONSE_LATENCY
    N_LATENCIES


ctypedef struct latency_state_t:
    rng_t requests                  # two streams: how many responses there were
    rng_t responses                 # changes no request's delay
    Py_ssize_t request_row          # last row that a request has passed
    Py_ssize_t response_row


ctypedef struct latency_t:
    latency_model_t model
    nanos_t nanos[4]                # of each kind: the constant, or the lognormal's median
    double sigma                    # LOGNORMAL: standard deviation of the logarithm
    const nanos_t* quantile[4]      # SAMPLED: of each kind, at equally spaced probabilities
    Py_ssize_t n_quantiles[4]
    const nanos_t* sent             # RECORDED: a request's way, by time sent
    const nanos_t* reached          # not positive: rejected before it got there
    const nanos_t* answered
    Py_ssize_t n_rows
    const nanos_t* served           # RECORDED: a response's way, of the requests that got there
    const nanos_t* back
    Py_ssize_t n_served
    latency_state_t state


cdef inline nanos_t between(
    nanos_t x, nanos_t x1, nanos_t y1, nanos_t x2, nanos_t y2
) noexcept nogil:
    """The line through two points, x1 <= x < x2, in hftbacktest's arithmetic."""
    return <nanos_t>(<double>(y2 - y1) / <double>(x2 - x1) * <double>(x - x1)) + y1


cdef inline nanos_t recorded_request(latency_t* l, nanos_t now) noexcept nogil:
    """Delay of a request sent at `now`; below 0 it is rejected and known to be after minus that.

    Calls must not go back in time.
    """
    cdef Py_ssize_t i = l.state.request_row
    cdef bint lost, last
    while i + 1 < l.n_rows and l.sent[i + 1] <= now:
        i += 1
    l.state.request_row = i
    lost = l.reached[i] <= 0
    last = i + 1 == l.n_rows or now < l.sent[0]
    if lost or (not last and l.reached[i + 1] <= 0):
        if last:
            return l.sent[i] - l.answered[i]
        return -between(now, l.sent[i], l.answered[i] - l.sent[i],
                        l.sent[i + 1], l.answered[i + 1] - l.sent[i + 1])
    if last:
        return l.reached[i] - l.sent[i]
    return between(now, l.sent[i], l.reached[i] - l.sent[i],
                   l.sent[i + 1], l.reached[i + 1] - l.sent[i + 1])


cdef inline nanos_t recorded_response(latency_t* l, nanos_t now) noexcept nogil:
    """Delay of a response to what happened at the exchange at `now`, which must not go back."""
    cdef Py_ssize_t i = l.state.response_row
    while i + 1 < l.n_served and l.served[i + 1] <= now:
        i += 1
    l.state.response_row = i
    if i + 1 == l.n_served or now < l.served[0]:
        return l.back[i] - l.served[i]
    return between(now, l.served[i], l.back[i] - l.served[i],
                   l.served[i + 1], l.back[i + 1] - l.served[i + 1])


cdef inline nanos_t drawn(const latency_t* l, int kind, rng_t* rng) noexcept nogil:
    """A random delay of a kind."""
    cdef const nanos_t* q = l.quantile[kind]
    cdef Py_ssize_t i
    if l.model == LOGNORMAL:
        return scaled_exp(<double>l.nanos[kind], rng_normal(rng) * l.sigma)
    if l.n_quantiles[kind] == 1:
        return q[0]
    # two draws, and a sum of integers: no product is added to, which a compiler may fuse
    i = <Py_ssize_t>(rng_uniform(rng) * <double>(l.n_quantiles[kind] - 1))
    return q[i] + <nanos_t>(rng_uniform(rng) * <double>(q[i + 1] - q[i]))


cdef inline nanos_t latency_entry(latency_t* l, int kind, nanos_t now) noexcept nogil:
    """Nanoseconds to the exchange of a request sent at local time `now`.

    Below 0 the request gets lost on its way, and minus that later we are told so.
    """
    if l.model == CONSTANT:
        return l.nanos[kind]
    if l.model == RECORDED:
        return recorded_request(l, now)
    return drawn(l, kind, &l.state.requests)


cdef inline nanos_t latency_response(latency_t* l, nanos_t now) noexcept nogil:
    """Nanoseconds back of the response to what happens at exchange time `now`."""
    if l.model == CONSTANT:
        return l.nanos[RESPONSE_LATENCY]
    if l.model == RECORDED:
        return recorded_response(l, now)
    return drawn(l, RESPONSE_LATENCY, &l.state.responses)


@cython.final
cdef class Latency:
    cdef latency_t c
    cdef str how                    # name of the constructor, and what it was given
    cdef tuple given
    cdef list tables                # keeps what `c` points to alive

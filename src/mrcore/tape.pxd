"""C interface of mrcore.tape: one stream of the recorded market, and how it is fed in chunks."""
from libc.stdint cimport int8_t, int32_t, int64_t

from mrcore.types cimport nanos_t


cdef extern from *:
    """
    /* All times lie between -NEVER and NEVER, with room for three latencies on top. */
    #define MRCORE_NEVER (1LL << 62)
    """
    const int64_t NEVER "MRCORE_NEVER"


ctypedef struct tape_t:             # columns, kept alive by the owner of the tape
    const int64_t* time             # at the exchange
    const int64_t* local            # received; NULL: `latency` after `time`
    const int8_t* side
    const int32_t* tick
    const int64_t* lots
    const int8_t* kind              # of an order-level feed, beside each row: see mrcore.l3
    const int64_t* arrival
    const int64_t* quantity
    Py_ssize_t n
    Py_ssize_t exchange             # next row on the exchange clock
    Py_ssize_t received             # next row on the local clock
    Py_ssize_t sampled              # next row for the samples
    nanos_t latency


cdef int tape_check(tape_t* t, str name, tuple old, tuple columns, nanos_t earliest,
                    Py_ssize_t more=*) except -1
cdef tuple tape_attach(tape_t* t, str name, tuple old, columns, nanos_t earliest)
cdef int tape_point(tape_t* t, tuple columns) except -1


cdef inline nanos_t tape_next(const tape_t* t) noexcept nogil:
    """Time of the next row at the exchange, NEVER when there is none."""
    return t.time[t.exchange] if t.exchange < t.n else NEVER


cdef inline nanos_t tape_local(const tape_t* t, Py_ssize_t row) noexcept nogil:
    """Local time of a row."""
    return t.time[row] + t.latency if t.local is NULL else t.local[row]


cdef inline nanos_t tape_next_local(const tape_t* t) noexcept nogil:
    """Local time of the next row on the local clock, NEVER when there is none."""
    return tape_local(t, t.received) if t.received < t.n else NEVER


cdef inline Py_ssize_t tape_message_end(const tape_t* t, Py_ssize_t row) noexcept nogil:
    """Row after the message that `row` is in: rows of one exchange time."""
    cdef nanos_t time = t.time[row]
    while row < t.n and t.time[row] == time:
        row += 1
    return row

"""Rows of one stream of a recorded market: checked at the door, appended chunk by chunk."""
from libc.stdint cimport INT64_MIN, int8_t, int32_t, int64_t

from mrcore.types cimport MAX_LOTS, nanos_t

import numpy as np


cdef Py_ssize_t first_bad_row(const int64_t[::1] time, const int8_t[::1] side,
                              const int32_t[::1] tick, const int64_t[::1] lots, nanos_t earliest,
                              bint book) noexcept nogil:
    """First row that breaks the rules of a tape, -1 when none does."""
    cdef Py_ssize_t i
    cdef nanos_t before = earliest
    for i in range(time.shape[0]):
        if time[i] < before or time[i] >= NEVER or tick[i] < 0:
            return i
        before = time[i]
        if book:
            if side[i] < -1 or side[i] > 1 or not 0 <= lots[i] <= MAX_LOTS:
                return i
        elif (side[i] != 1 and side[i] != -1) or not 0 < lots[i] <= MAX_LOTS:
            return i
    return -1


cdef Py_ssize_t first_early_row(const int64_t[::1] time, const int64_t[::1] local,
                                nanos_t earliest) noexcept nogil:
    """First row received before it happened, or before the row before it; -1 when none is."""
    cdef Py_ssize_t i
    cdef nanos_t before = earliest
    for i in range(time.shape[0]):
        if local[i] <= time[i] or local[i] < before or local[i] >= NEVER:
            return i
        before = local[i]
    return -1


cdef int tape_check(tape_t* t, str name, tuple old, tuple columns, nanos_t earliest,
                    Py_ssize_t more=0) except -1:
    """Refuse rows that break the rules; `more` columns will be attached with them."""
    cdef const int64_t[::1] time
    cdef const int64_t[::1] local
    cdef const int8_t[::1] side
    cdef const int32_t[::1] tick
    cdef const int64_t[::1] lots
    cdef Py_ssize_t bad
    cdef nanos_t last = INT64_MIN
    cdef bint book = name != "trades"
    if any([column is None for column in columns]):
        raise ValueError(f"{name}: expected four arrays, or five, one was None")
    if len(columns) not in (4, 5):
        raise ValueError(f"{name}: expected time, side, tick, lots and perhaps local, were "
                         f"{len(columns)} columns")
    if len({len(c) for c in columns}) != 1:
        raise ValueError(f"{name}: columns differ in length: {[len(c) for c in columns]}")
    if (t.n > 0 or len(old) > 4) and len(columns) + more != len(old):
        raise ValueError(f"{name}: had {len(old)} columns before, now {len(columns) + more}")
    time, side, tick, lots = columns[:4]
    if t.n > 0:
        earliest = max(earliest, t.time[t.n - 1])
    with nogil:
        bad = first_bad_row(time, side, tick, lots, earliest, book)
    if bad >= 0:
        raise ValueError(
            f"{name} row {bad}: time {time[bad]}, side {side[bad]}, tick {tick[bad]}, lots "
            f"{lots[bad]}; expected times that never fall and start at {earliest} or later, "
            f"tick >= 0, lots at most {MAX_LOTS}, and " + ("side -1, 0 or 1, lots >= 0" if book
                                                           else "side -1 or 1, lots > 0"))
    if len(columns) == 5:
        local = columns[4]
        if t.n > 0:
            last = t.local[t.n - 1]
        with nogil:
            bad = first_early_row(time, local, last)
        if bad >= 0:
            raise ValueError(
                f"{name} row {bad}: received at {local[bad]}, happened at {time[bad]}; expected "
                "local times after the exchange's that never fall")
    return 0


cdef tuple tape_attach(tape_t* t, str name, tuple old, columns, nanos_t earliest):
    """Put new rows behind those still to be processed; the columns to keep alive.

    Of an order-level feed they end with the three of places: kind, arrival and quantity.
    """
    cdef Py_ssize_t done = min(t.exchange, min(t.received, t.sampled)), more
    columns = tuple(columns)
    more = 3 if name == "deltas" and len(columns) > 5 else 0
    tape_check(t, name, old, columns[:len(columns) - more], earliest, more)
    if done < t.n:
        columns = tuple([np.concatenate((a[done:], b)) for a, b in zip(old, columns)])
    t.exchange -= done
    t.received -= done
    t.sampled -= done
    tape_point(t, columns)
    return columns


cdef int tape_point(tape_t* t, tuple columns) except -1:
    """Let the pointers be those of the columns."""
    cdef const int64_t[::1] time = columns[0]
    cdef const int8_t[::1] side = columns[1]
    cdef const int32_t[::1] tick = columns[2]
    cdef const int64_t[::1] lots = columns[3]
    cdef const int64_t[::1] local
    cdef const int8_t[::1] kind
    cdef const int64_t[::1] arrival
    cdef const int64_t[::1] quantity
    cdef Py_ssize_t n = len(columns)
    t.n = time.shape[0]
    t.time = &time[0] if t.n > 0 else NULL
    t.side = &side[0] if t.n > 0 else NULL
    t.tick = &tick[0] if t.n > 0 else NULL
    t.lots = &lots[0] if t.n > 0 else NULL
    t.local = NULL
    t.kind = NULL
    if (n == 5 or n == 8) and t.n > 0:
        local = columns[4]
        t.local = &local[0]
    if n > 5 and t.n > 0:
        kind = columns[n - 3]
        arrival = columns[n - 2]
        quantity = columns[n - 1]
        t.kind = &kind[0]
        t.arrival = &arrival[0]
        t.quantity = &quantity[0]
    return 0

"""C interface of mrcore.replay: what mrcore.portfolio drives."""
from libc.stdint cimport int64_t

cimport cython

from mrcore.account cimport Account
from mrcore.l3 cimport L3Book
from mrcore.latency cimport Latency
from mrcore.loop cimport replay_t
from mrcore.types cimport nanos_t


@cython.final
cdef class Replay:
    cdef replay_t c
    cdef bint busy                      # a thread is in the loop
    cdef bint fed
    cdef readonly bint depth
    cdef bint joined                    # a Portfolio drives it
    cdef readonly Account account
    cdef Py_ssize_t row                 # of `account`
    cdef tuple deltas, trades, target_columns, order_columns
    cdef const int64_t[::1] times
    cdef const double[::1] queue_table
    cdef object queue_kernel
    cdef readonly Latency latency
    cdef L3Book market                  # after all that was fed, where the feed names orders

    cdef int attach(self, deltas, trades) except -1
    cdef dict state(self)
    cdef int point(self) except -1
    cdef int point_targets(self) except -1
    cdef int point_requests(self) except -1
    cdef int alone(self) except -1
    cdef int started(self) except -1
    cdef int check(self) except -1
    cdef int kept(self, int64_t order_id) except -1
    cdef nanos_t last_received(self) noexcept
    cdef nanos_t requests_arrive(self) noexcept
    cdef nanos_t answers_arrive(self) noexcept
    cdef bint at_end(self) noexcept
    cdef int free_to_run(self) except -1
    cdef int go(self, nanos_t until) except -1
    cdef int deep(self) except -1
    cdef int in_order(self, const int64_t[::1] time) except -1


cdef str woken_by(int woken, bint ended)
cdef int check_until(nanos_t now, nanos_t until) except -1
cdef int check_timeout(nanos_t now, nanos_t timeout) except -1

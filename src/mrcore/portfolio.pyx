"""Several instruments replayed on one clock: spot and perpetual together, say."""
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

cimport cython

from mrcore.loop cimport loop_run, replay_t
from mrcore.replay cimport Replay, check_timeout, check_until, woken_by
from mrcore.types cimport nanos_t


@cython.final
cdef class Portfolio:
    """Replays that go through time together.

    Parameters
    ----------
    replays : sequence of Replay
        At one time of the exchange they go in this order. They have not been advanced yet, and
        are advanced by this object alone from now on; all else (``feed``, ``submit``, ...) is
        theirs as before.

    Notes
    -----
    A decision for one instrument knows what was received of all by then. One object belongs to
    one thread at a time.
    """

    cdef readonly tuple replays
    cdef replay_t** members
    cdef Py_ssize_t n

    def __cinit__(self, replays):
        cdef Replay replay
        cdef Py_ssize_t i
        self.replays = tuple(replays)
        self.n = len(self.replays)
        if self.n == 0 or len({id(r) for r in self.replays}) != self.n:
            raise ValueError(f"expected one or more different replays, were {self.replays}")
        self.members = <replay_t**>malloc(self.n * sizeof(replay_t*))
        if self.members is NULL:
            raise MemoryError()
        for i in range(self.n):
            replay = self.replays[i]
            if replay.time_ns is not None or replay.joined:
                raise ValueError(f"replay {i} has been advanced or is part of a Portfolio")
            if replay.account.replays() != sum([
                    r.account is replay.account for r in self.replays]):
                raise ValueError(f"replay {i} shares its account with one that is not here")
            self.members[i] = &replay.c
        for replay in self.replays:
            replay.joined = True

    def __dealloc__(self):
        free(self.members)

    def advance(self, nanos_t until_ns):
        """As `Replay.advance`, for all."""
        cdef int64_t before = self.events()
        check_until(self.members[0].now, until_ns)
        self.go(until_ns)
        return self.events() - before

    def finish(self):
        """As `Replay.finish`, for all."""
        cdef Replay replay
        cdef nanos_t last = self.members[0].now
        for replay in self.replays:
            last = max(last, replay.last_received() + 1)
        events = self.advance(last)
        for replay in self.replays:
            last = max(last, replay.requests_arrive())
        events += self.advance(last)
        for replay in self.replays:
            last = max(last, replay.answers_arrive())
        return events + self.advance(last)

    def wait_next(self, nanos_t timeout_ns, *, bint feed=False, bint fill=True):
        """As `Replay.wait_next`, for whatever happens to any of them first."""
        cdef Replay replay
        cdef Py_ssize_t i
        cdef int woken = 0
        cdef bint ended = True
        check_timeout(self.members[0].now, timeout_ns)
        for replay in self.replays:
            replay.started()
            replay.c.wake_feed = feed
            replay.c.wake_fill = fill
            replay.c.woken = 0
        try:
            self.go(self.members[0].now + timeout_ns)
        finally:
            for i in range(self.n):
                self.members[i].wake_feed = self.members[i].wake_fill = False
        for replay in self.replays:
            woken |= replay.c.woken
            ended &= replay.at_end()
        return woken_by(woken, ended)

    @property
    def time_ns(self):
        """Local time reached, None before the first `advance`."""
        return self.replays[0].time_ns

    cdef int64_t events(self) noexcept:
        cdef int64_t events = 0
        cdef Py_ssize_t i
        for i in range(self.n):
            events += self.members[i].events
        return events

    cdef int go(self, nanos_t until) except -1:
        cdef Replay replay
        for replay in self.replays:
            replay.alone()
        for replay in self.replays:
            replay.busy = True
        with nogil:
            loop_run(self.members, self.n, until)
        for replay in self.replays:
            replay.busy = False
        for replay in self.replays:
            replay.check()
        return 0

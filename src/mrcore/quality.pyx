"""One pass over recorded deltas: what is wrong with the rows, and with the book they make."""
from libc.stdint cimport INT64_MIN, int32_t, int64_t

cimport cython

from mrcore.grid cimport MAX_TICK, on_grid, positive
from mrcore.ladder cimport (
    NO_KEY, book_ask, book_bid, book_clear, book_free, book_init, book_set, book_t,
    ladder_best_lots,
)
from mrcore.types cimport MAX_LOTS, lots_t, side_t

import numpy as np


ctypedef struct message_t:          # the message at hand
    int64_t received
    int64_t origin
    int64_t sequence
    int64_t rows                    # 0: none is open


ctypedef struct spell_t:            # a state of the book that lasts
    int64_t since                   # time of the message that began it; INT64_MIN: not in it
    int64_t messages                # that found it
    int64_t spells
    int64_t total                   # ns
    int64_t longest                 # ns
    int64_t longest_at


cdef inline void spell_step(spell_t* s, bint now, int64_t time) noexcept nogil:
    """The book is, or is not, in the state from `time` on."""
    cdef int64_t lasted
    if now:
        s.messages += 1
        if s.since == INT64_MIN:
            s.since = time
            s.spells += 1
        return
    if s.since == INT64_MIN:
        return
    lasted = time - s.since
    s.total += lasted
    if lasted > s.longest:
        s.longest = lasted
        s.longest_at = s.since
    s.since = INT64_MIN


cdef dict spell_dict(spell_t s, int64_t until):
    """Its numbers, as if it ended at `until`."""
    if s.since != INT64_MIN:
        spell_step(&s, False, until)
    return {"messages": s.messages, "spells": s.spells, "total_ns": s.total,
            "longest_ns": s.longest, "longest_at": s.longest_at}


@cython.final
cdef class DeltaAudit:
    """Looks at deltas as they were received, and at the book that they make.

    The book is taken as it stands: nothing resolves a crossed one, so that it can be seen how long
    it stays so. Rows that no book can hold (a price that is no positive number, a size that is
    negative or none) are counted and left out; what is off the grid is counted and rounded.

    Parameters
    ----------
    tick_size, lot_size : float
        Quote units a tick, base units a lot.
    max_gap_ns : int
        After a longer pause the book begins anew.
    frozen_ns, frozen_messages : int
        The best prices and sizes are frozen where they stay as they are for that long, while that
        many messages come.

    Notes
    -----
    Rows of one `received` and one `sequence` are one message; the book is looked at when its last
    row is known, with the next one or at `finish`. How a stream is cut changes nothing.
    """

    cdef book_t book
    cdef message_t at
    cdef double per_tick, per_lot
    cdef int64_t max_gap, frozen_ns, frozen_messages
    cdef int64_t stale                   # rows of this message or an earlier one are in the book
    cdef bint renumbered                 # a snapshot came: a lower sequence number is no fall
    cdef int64_t last_received, last_sequence
    cdef spell_t crossed
    cdef int64_t bid, ask, bid_lots, ask_lots          # best of the last message
    cdef int64_t still_since, still_messages           # since when they are what they are
    cdef int64_t frozen_spells, frozen_total, frozen_longest, frozen_longest_at
    cdef int64_t rows, messages, bad_prices, bad_sizes, off_tick, off_lot, repeated_rows
    cdef int64_t no_sequence, sequence_falls, sequence_repeats, sequence_jumps, first_fall_at
    cdef int64_t locked, one_sided, snapshots, gaps
    cdef int64_t row_side, row_tick, row_lots          # the row before

    def __cinit__(self, double tick_size, double lot_size, *, int64_t max_gap_ns,
                  int64_t frozen_ns, int64_t frozen_messages):
        self.per_tick = 1.0 / positive("tick_size", tick_size)
        self.per_lot = 1.0 / positive("lot_size", lot_size)
        if max_gap_ns < 1 or frozen_ns < 1 or frozen_messages < 1:
            raise ValueError("max_gap_ns, frozen_ns and frozen_messages must be > 0")
        if book_init(&self.book, 1 << 15) < 0:
            raise MemoryError()
        self.max_gap = max_gap_ns
        self.frozen_ns, self.frozen_messages = frozen_ns, frozen_messages
        self.stale = self.last_received = INT64_MIN
        self.last_sequence = -1
        self.crossed.since = self.still_since = INT64_MIN
        self.bid = self.ask = NO_KEY

    def __dealloc__(self):
        book_free(&self.book)

    cdef void end_still(self, int64_t time) noexcept nogil:
        """The best of the book changes at `time`, or is known no longer."""
        cdef int64_t lasted
        if self.still_since == INT64_MIN:
            return
        lasted = time - self.still_since
        if lasted >= self.frozen_ns and self.still_messages >= self.frozen_messages:
            self.frozen_spells += 1
            self.frozen_total += lasted
            if lasted > self.frozen_longest:
                self.frozen_longest = lasted
                self.frozen_longest_at = self.still_since

    cdef void end_message(self) noexcept nogil:
        """All rows of the message at hand are in the book."""
        cdef int64_t bid = book_bid(&self.book), ask = book_ask(&self.book)
        cdef lots_t bid_lots = ladder_best_lots(&self.book.ladder[0])
        cdef lots_t ask_lots = ladder_best_lots(&self.book.ladder[1])
        cdef bint both = bid != NO_KEY and ask != -NO_KEY
        self.messages += 1
        self.one_sided += not both
        self.locked += both and bid == ask
        spell_step(&self.crossed, both and bid >= ask, self.at.received)
        if (bid == self.bid and ask == self.ask and bid_lots == self.bid_lots
                and ask_lots == self.ask_lots):
            self.still_messages += 1
        else:
            self.end_still(self.at.received)
            self.still_since = self.at.received if both else INT64_MIN
            self.still_messages = 0
            self.bid, self.ask = bid, ask
            self.bid_lots, self.ask_lots = bid_lots, ask_lots

    cdef void begin_message(
        self, int64_t received, int64_t origin, int64_t sequence
    ) noexcept nogil:
        """The first row of a message."""
        if self.last_received != INT64_MIN and received - self.last_received > self.max_gap:
            self.gaps += 1
            self.forget(self.last_received)
        self.last_received = received
        if sequence < 0:
            self.no_sequence += 1
        else:
            if self.last_sequence >= 0 and not self.renumbered:
                if sequence < self.last_sequence:
                    if self.sequence_falls == 0:
                        self.first_fall_at = received
                    self.sequence_falls += 1
                else:
                    self.sequence_repeats += sequence == self.last_sequence
                    self.sequence_jumps += sequence > self.last_sequence + 1
            self.last_sequence = sequence
            self.renumbered = False
        self.at.received, self.at.origin, self.at.sequence = received, origin, sequence
        self.at.rows = 0

    cdef void forget(self, int64_t time) noexcept nogil:
        """What the book is, is not known from `time` on."""
        spell_step(&self.crossed, False, time)
        self.end_still(time)
        self.still_since = INT64_MIN
        self.bid = self.ask = NO_KEY
        book_clear(&self.book)
        self.stale = INT64_MIN

    def feed(self, const int64_t[::1] origin not None, const int64_t[::1] received not None,
             const int64_t[::1] sequence not None, const cython.uchar[::1] side_is_bid not None,
             const double[::1] price not None, const double[::1] size not None):
        """Take the next rows, without the GIL.

        Parameters
        ----------
        origin, received : ndarray of int64
            Nanoseconds; origin <= 0 where the exchange gave no time.
        sequence : ndarray of int64
            -1 where there is none.
        side_is_bid : ndarray of uint8
            A bool column is taken as ``column.view(np.uint8)``.
        price, size : ndarray of float64
            Quote and base units.

        Returns
        -------
        ndarray of int64, shape (8, n)
            A column for each message that ended: received, origin, sequence, rows, bid tick, bid
            lots, ask tick, ask lots. An empty side has 0 lots.
        """
        cdef Py_ssize_t i, m = 0, n = received.shape[0]
        cdef int64_t tick = 0, lots = 0
        cdef side_t side
        cdef bint good
        if not (origin.shape[0] == n == sequence.shape[0] == side_is_bid.shape[0] == price.shape[0]
                == size.shape[0]):
            raise ValueError("columns differ in length")
        out = np.empty((8, n), np.int64)
        cdef int64_t[:, ::1] ended = out
        with nogil:
            for i in range(n):
                if (self.at.rows == 0 or received[i] != self.at.received
                        or sequence[i] != self.at.sequence):
                    if self.at.rows:
                        self.end_message()
                        self.write(ended, m)
                        m += 1
                    self.begin_message(received[i], origin[i], sequence[i])
                    self.row_side = 0
                self.at.rows += 1
                good = True
                if cython.unlikely(not on_grid(price[i], self.per_tick, &tick)):
                    good = 0.0 < price[i] * self.per_tick < MAX_TICK
                    self.off_tick += good
                    self.bad_prices += not good
                elif cython.unlikely(tick == 0 or price[i] <= 0.0):
                    good = False
                    self.bad_prices += 1
                if cython.unlikely(not on_grid(size[i], self.per_lot, &lots)):
                    if 0.0 < size[i] * self.per_lot < <double>MAX_LOTS:
                        self.off_lot += 1
                        lots = max(lots, 1)         # what rounds to nothing is no deletion
                    else:
                        good = False
                        self.bad_sizes += 1
                elif cython.unlikely(size[i] < 0.0):
                    good = False
                    self.bad_sizes += 1
                if cython.unlikely(not good):
                    continue
                side = 2 * (side_is_bid[i] != 0) - 1
                self.repeated_rows += (side == self.row_side and tick == self.row_tick
                                       and lots == self.row_lots)
                self.row_side, self.row_tick, self.row_lots = side, tick, lots
                # Without numbers a snapshot has no rows of the stream in it.
                if self.at.sequence < 0 or self.at.sequence > self.stale:
                    book_set(&self.book, side, tick, lots)
        self.rows += n
        self.check_memory()
        return out[:, :m]

    def finish(self):
        """End the message at hand; returned as by `feed`."""
        out = np.empty((8, 1 if self.at.rows else 0), np.int64)
        cdef int64_t[:, ::1] ended = out
        if self.at.rows:
            self.end_message()
            self.write(ended, 0)
            self.at.rows = 0
        return out

    def snapshot(self, const side_t[::1] side not None, const int32_t[::1] tick not None,
                 const lots_t[::1] lots not None, int64_t received, int64_t sequence=-1):
        """Replace the book; the message at hand must have been ended.

        Parameters
        ----------
        side, tick, lots : ndarray of int8, int32 and int64
            The levels, and what they lack, in order; a later row of a level replaces the earlier.
        received : int
            Nanoseconds.
        sequence : int, optional
            Rows of messages up to this one change the book no more.
        """
        cdef Py_ssize_t i
        if self.at.rows:
            raise ValueError("a message is open: call finish first")
        if side.shape[0] != tick.shape[0] or side.shape[0] != lots.shape[0]:
            raise ValueError("columns differ in length")
        for i in range(side.shape[0]):
            if (side[i] != 1 and side[i] != -1) or not 0 <= lots[i] <= MAX_LOTS:
                raise ValueError(f"no level: side {side[i]}, lots {lots[i]} at row {i}")
        self.forget(received)
        for i in range(side.shape[0]):
            book_set(&self.book, side[i], tick[i], lots[i])
        self.stale = sequence if sequence >= 0 else INT64_MIN
        self.renumbered = True
        self.last_received = max(self.last_received, received)
        self.snapshots += 1
        self.check_memory()

    cdef int check_memory(self) except -1:
        if self.book.failed:
            raise MemoryError("no memory for the far levels of the book")
        return 0

    cdef void write(self, int64_t[:, ::1] ended, Py_ssize_t m) noexcept nogil:
        ended[0, m] = self.at.received
        ended[1, m] = self.at.origin
        ended[2, m] = self.at.sequence
        ended[3, m] = self.at.rows
        ended[4, m] = self.bid
        ended[5, m] = self.bid_lots
        ended[6, m] = self.ask
        ended[7, m] = self.ask_lots

    @property
    def counts(self):
        """What was found so far, in messages that have ended; times in nanoseconds.

        Returns
        -------
        dict
            Rows: ``rows, bad_prices, bad_sizes, off_tick, off_lot, repeated_rows``. Messages:
            ``messages, gaps, no_sequence, sequence_falls, sequence_repeats, sequence_jumps,
            one_sided, locked``; ``first_fall_at``; ``snapshots``; and ``crossed`` and ``frozen``:
            ``messages`` (crossed only), ``spells, total_ns, longest_ns, longest_at``.
        """
        cdef int64_t until = self.last_received
        names = {
            "rows": self.rows, "bad_prices": self.bad_prices, "bad_sizes": self.bad_sizes,
            "off_tick": self.off_tick, "off_lot": self.off_lot,
            "repeated_rows": self.repeated_rows, "messages": self.messages,
            "gaps": self.gaps, "no_sequence": self.no_sequence,
            "sequence_falls": self.sequence_falls,
            "sequence_repeats": self.sequence_repeats, "sequence_jumps": self.sequence_jumps,
            "first_fall_at": self.first_fall_at, "one_sided": self.one_sided,
            "locked": self.locked, "snapshots": self.snapshots,
        }
        names["crossed"] = spell_dict(self.crossed, until)
        spells, total = self.frozen_spells, self.frozen_total
        longest, at = self.frozen_longest, self.frozen_longest_at
        lasted = 0 if self.still_since == INT64_MIN else until - self.still_since
        if lasted >= self.frozen_ns and self.still_messages >= self.frozen_messages:
            spells, total = spells + 1, total + lasted
            if lasted > longest:
                longest, at = lasted, self.still_since
        names["frozen"] = {"spells": spells, "total_ns": total, "longest_ns": longest,
                           "longest_at": at}
        return names

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


ctypedef struct audit_t:
    book_t book
    message_t at
    double per_tick, per_lot
    int64_t max_gap, frozen_ns, frozen_messages
    int64_t stale                   # rows of this message or an earlier one are in the book
    bint renumbered                 # a snapshot came: a lower sequence number is no fall
    int64_t last_received, last_sequence
    spell_t crossed
    int64_t bid, ask, bid_lots, ask_lots          # best of the last message
    int64_t still_since, still_messages           # since when they are what they are
    int64_t frozen_spells, frozen_total, frozen_longest, frozen_longest_at
    int64_t rows, messages, bad_prices, bad_sizes, off_tick, off_lot, repeated_rows
    int64_t no_sequence, sequence_falls, sequence_repeats, sequence_jumps, first_fall_at
    int64_t locked, one_sided, snapshots, gaps
    int64_t row_side, row_tick, row_lots          # the row before


cdef inline void end_still(audit_t* a, int64_t time) noexcept nogil:
    """The best of the book changes at `time`, or is known no longer."""
    cdef int64_t lasted
    if a.still_since == INT64_MIN:
        return
    lasted = time - a.still_since
    if lasted >= a.frozen_ns and a.still_messages >= a.frozen_messages:
        a.frozen_spells += 1
        a.frozen_total += lasted
        if lasted > a.frozen_longest:
            a.frozen_longest = lasted
            a.frozen_longest_at = a.still_since


cdef inline void forget(audit_t* a, int64_t time) noexcept nogil:
    """What the book is, is not known from `time` on."""
    spell_step(&a.crossed, False, time)
    end_still(a, time)
    a.still_since = INT64_MIN
    a.bid = a.ask = NO_KEY
    book_clear(&a.book)
    a.stale = INT64_MIN


cdef inline void end_message(audit_t* a) noexcept nogil:
    """All rows of the message at hand are in the book."""
    cdef int64_t bid = book_bid(&a.book), ask = book_ask(&a.book)
    cdef lots_t bid_lots = ladder_best_lots(&a.book.ladder[0])
    cdef lots_t ask_lots = ladder_best_lots(&a.book.ladder[1])
    cdef bint both = bid != NO_KEY and ask != -NO_KEY
    a.messages += 1
    a.one_sided += not both
    a.locked += both and bid == ask
    spell_step(&a.crossed, both and bid >= ask, a.at.received)
    if (bid == a.bid and ask == a.ask and bid_lots == a.bid_lots
            and ask_lots == a.ask_lots):
        a.still_messages += 1
    else:
        end_still(a, a.at.received)
        a.still_since = a.at.received if both else INT64_MIN
        a.still_messages = 0
        a.bid, a.ask = bid, ask
        a.bid_lots, a.ask_lots = bid_lots, ask_lots


cdef inline void begin_message(
    audit_t* a, int64_t received, int64_t origin, int64_t sequence
) noexcept nogil:
    """The first row of a message."""
    if a.last_received != INT64_MIN and received - a.last_received > a.max_gap:
        a.gaps += 1
        forget(a, a.last_received)
    a.last_received = received
    if sequence < 0:
        a.no_sequence += 1
    else:
        if a.last_sequence >= 0 and not a.renumbered:
            if sequence < a.last_sequence:
                if a.sequence_falls == 0:
                    a.first_fall_at = received
                a.sequence_falls += 1
            else:
                a.sequence_repeats += sequence == a.last_sequence
                a.sequence_jumps += sequence > a.last_sequence + 1
        a.last_sequence = sequence
        a.renumbered = False
    a.at.received, a.at.origin, a.at.sequence = received, origin, sequence
    a.at.rows = 0


cdef inline void write(audit_t* a, int64_t[:, ::1] ended, Py_ssize_t m) noexcept nogil:
    ended[0, m] = a.at.received
    ended[1, m] = a.at.origin
    ended[2, m] = a.at.sequence
    ended[3, m] = a.at.rows
    ended[4, m] = a.bid
    ended[5, m] = a.bid_lots
    ended[6, m] = a.ask
    ended[7, m] = a.ask_lots


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

    cdef audit_t c

    def __cinit__(self, double tick_size, double lot_size, *, int64_t max_gap_ns,
                  int64_t frozen_ns, int64_t frozen_messages):
        self.c.per_tick = 1.0 / positive("tick_size", tick_size)
        self.c.per_lot = 1.0 / positive("lot_size", lot_size)
        if max_gap_ns < 1 or frozen_ns < 1 or frozen_messages < 1:
            raise ValueError("max_gap_ns, frozen_ns and frozen_messages must be > 0")
        if book_init(&self.c.book, 1 << 15) < 0:
            raise MemoryError()
        self.c.max_gap = max_gap_ns
        self.c.frozen_ns, self.c.frozen_messages = frozen_ns, frozen_messages
        self.c.stale = self.c.last_received = INT64_MIN
        self.c.last_sequence = -1
        self.c.crossed.since = self.c.still_since = INT64_MIN
        self.c.bid = self.c.ask = NO_KEY

    def __dealloc__(self):
        book_free(&self.c.book)

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
        cdef audit_t* a = &self.c
        if not (origin.shape[0] == n == sequence.shape[0] == side_is_bid.shape[0] == price.shape[0]
                == size.shape[0]):
            raise ValueError("columns differ in length")
        out = np.empty((8, n), np.int64)
        cdef int64_t[:, ::1] ended = out
        with nogil:
            for i in range(n):
                if (a.at.rows == 0 or received[i] != a.at.received
                        or sequence[i] != a.at.sequence):
                    if a.at.rows:
                        end_message(a)
                        write(a, ended, m)
                        m += 1
                    begin_message(a, received[i], origin[i], sequence[i])
                    a.row_side = 0
                a.at.rows += 1
                good = True
                if cython.unlikely(not on_grid(price[i], a.per_tick, &tick)):
                    good = 0.0 < price[i] * a.per_tick < MAX_TICK
                    a.off_tick += good
                    a.bad_prices += not good
                elif cython.unlikely(tick == 0 or price[i] <= 0.0):
                    good = False
                    a.bad_prices += 1
                if cython.unlikely(not on_grid(size[i], a.per_lot, &lots)):
                    if 0.0 < size[i] * a.per_lot < <double>MAX_LOTS:
                        a.off_lot += 1
                        lots = max(lots, 1)         # what rounds to nothing is no deletion
                    else:
                        good = False
                        a.bad_sizes += 1
                elif cython.unlikely(size[i] < 0.0):
                    good = False
                    a.bad_sizes += 1
                if cython.unlikely(not good):
                    continue
                side = 2 * (side_is_bid[i] != 0) - 1
                a.repeated_rows += (
                    side == a.row_side and tick == a.row_tick and lots == a.row_lots
                )
                a.row_side, a.row_tick, a.row_lots = side, tick, lots
                # Without numbers a snapshot has no rows of the stream in it.
                if a.at.sequence < 0 or a.at.sequence > a.stale:
                    book_set(&a.book, side, tick, lots)
        a.rows += n
        self.check_memory()
        return out[:, :m]

    def finish(self):
        """End the message at hand; returned as by `feed`."""
        cdef audit_t* a = &self.c
        out = np.empty((8, 1 if a.at.rows else 0), np.int64)
        cdef int64_t[:, ::1] ended = out
        if a.at.rows:
            end_message(a)
            write(a, ended, 0)
            a.at.rows = 0
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
        cdef audit_t* a = &self.c
        if a.at.rows:
            raise ValueError("a message is open: call finish first")
        if side.shape[0] != tick.shape[0] or side.shape[0] != lots.shape[0]:
            raise ValueError("columns differ in length")
        for i in range(side.shape[0]):
            if (side[i] != 1 and side[i] != -1) or not 0 <= lots[i] <= MAX_LOTS:
                raise ValueError(f"no level: side {side[i]}, lots {lots[i]} at row {i}")
        forget(a, received)
        for i in range(side.shape[0]):
            book_set(&a.book, side[i], tick[i], lots[i])
        a.stale = sequence if sequence >= 0 else INT64_MIN
        a.renumbered = True
        a.last_received = max(a.last_received, received)
        a.snapshots += 1
        self.check_memory()

    cdef int check_memory(self) except -1:
        if self.c.book.failed:
            raise MemoryError("no memory for the far levels of the book")
        return 0

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
        cdef audit_t c = self.c         # a copy, in which what lasts ends now
        spell_step(&c.crossed, False, c.last_received)
        end_still(&c, c.last_received)
        return {
            "rows": c.rows, "bad_prices": c.bad_prices, "bad_sizes": c.bad_sizes,
            "off_tick": c.off_tick, "off_lot": c.off_lot, "repeated_rows": c.repeated_rows,
            "messages": c.messages, "gaps": c.gaps, "no_sequence": c.no_sequence,
            "sequence_falls": c.sequence_falls, "sequence_repeats": c.sequence_repeats,
            "sequence_jumps": c.sequence_jumps, "first_fall_at": c.first_fall_at,
            "one_sided": c.one_sided, "locked": c.locked, "snapshots": c.snapshots,
            "crossed": {
                "messages": c.crossed.messages, "spells": c.crossed.spells,
                "total_ns": c.crossed.total, "longest_ns": c.crossed.longest,
                "longest_at": c.crossed.longest_at,
            },
            "frozen": {
                "spells": c.frozen_spells, "total_ns": c.frozen_total,
                "longest_ns": c.frozen_longest, "longest_at": c.frozen_longest_at,
            },
        }

"""L2 order book rebuilt from absolute level changes.

Prices are ticks, sizes lots (int64): sums of sizes are exact and do not depend
on their order. The rules for what real feeds do are in `L2Book`.
"""
from libc.stdint cimport INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, int32_t, int64_t

cimport cython

from mrcore.grid cimport MAX_TICK, on_grid, positive
from mrcore.types cimport MAX_LOTS, lots_t, side_t, tick_t

import numpy as np

from mrcore.grid import GridError, to_lots, to_ticks


cdef int same_length(Py_ssize_t a, Py_ssize_t b, Py_ssize_t c) except -1:
    if a != b or a != c:
        raise ValueError(f"columns differ in length: {a}, {b}, {c}")
    return 0


cdef int check_sizes(const lots_t[::1] lots) except -1:
    cdef Py_ssize_t i
    for i in range(lots.shape[0]):
        if not 0 <= lots[i] <= MAX_LOTS:
            raise ValueError(f"lots must be >= 0 and at most {MAX_LOTS}, were {lots[i]} at row {i}")
    return 0


cdef int check_memory(const book_t* b) except -1:
    if b.failed:
        raise MemoryError("no memory for the far levels of the book")
    return 0


cdef object known_ticks(const ladder_t* d):
    """Ticks from the best level to the last trusted one, both counted."""
    cdef int64_t key = ladder_key(d)
    if d.known == INT64_MIN:
        return float("inf")
    return 0 if key == NO_KEY or key < d.known else key - d.known + 1


cdef tuple side_columns(const book_t* b, int s, Py_ssize_t n):
    """Ticks and lots of the best `n` levels of a side, best first; all when n < 0."""
    cdef const ladder_t* d = &b.ladder[s]
    cdef lots_t lots = 0
    cdef int64_t key = ladder_next(d, -NO_KEY, &lots)
    cdef list ticks = [], sizes = []
    while key != NO_KEY and (n < 0 or len(ticks) < n):
        ticks.append(-key if s else key)
        sizes.append(lots)
        key = ladder_next(d, key, &lots)
    return np.array(ticks, np.int64), np.array(sizes, np.int64)


@cython.final
cdef class L2Book:
    """Level-2 book rebuilt from absolute level changes.

    Parameters
    ----------
    tick_size : float
        Quote units a tick, > 0.
    lot_size : float
        Base units a lot, > 0.
    await_snapshot : bool, default False
        Keep rows aside until `snapshot` is called, as a live feed must while the
        snapshot is on its way; those that are newer than it are applied after it.
    window : int, default 32768
        Ticks a side held in a flat array around the touch, >= 16. Levels outside
        are kept too, only slower: the value changes no result.

    Notes
    -----
    - Sizes are absolute; 0 deletes. Deleting a level that is not there is legal,
      since a snapshot shows only the top of the book; `unknown_deletes` counts it.
    - Rows of one message belong together: in the middle of a message the book may
      be crossed for a moment. At its end a book with bid >= ask is resolved: the
      side whose best improved last is believed, and the levels of the other side
      at or through that price are removed. `crossed` counts such messages.
    - A message ends when a row with another ``message`` number comes, or when the
      book is read.
    - One object belongs to one thread at a time.
    """

    def __cinit__(self, double tick_size, double lot_size, *, bint await_snapshot=False,
                  int64_t window=1 << 15):
        positive("tick_size", tick_size)
        positive("lot_size", lot_size)
        if window < 16:
            raise ValueError(f"window must be >= 16, was {window}")
        if book_init(&self.c, window) < 0:
            raise MemoryError()
        self.tick_size = tick_size
        self.lot_size = lot_size
        self.message = self.snapshot_message = INT64_MIN
        self.waiting = await_snapshot
        self.pending = []

    def __dealloc__(self):
        book_free(&self.c)

    # ------------------------------------------------------------- one event

    def update(self, side_t side, tick_t tick, lots_t lots):
        """Set the size of one level: a message of its own.

        Parameters
        ----------
        side : int
            +1 bid, -1 ask.
        tick : int
            Price in ticks.
        lots : int
            New size in lots, >= 0; 0 removes the level.
        """
        if ((side != 1 and side != -1) or not 0 <= lots <= MAX_LOTS
                or not -MAX_TICK < tick < MAX_TICK):
            raise ValueError(f"side must be 1 or -1, lots >= 0 and at most {MAX_LOTS}, and tick "
                             f"within {MAX_TICK:.0e}, were {side}, {lots} and {tick}")
        if self.waiting:
            self.apply(np.array([side], np.int8), np.array([tick], np.int32),
                       np.array([lots], np.int64))
            return
        book_settle(&self.c)
        book_set(&self.c, side, tick, lots)
        book_settle(&self.c)
        check_memory(&self.c)

    # ----------------------------------------------------------------- batch

    def apply(self, const side_t[::1] side not None, const int32_t[::1] tick not None,
              const lots_t[::1] lots not None, const int64_t[::1] message=None):
        """Apply rows in order, without the GIL.

        Parameters
        ----------
        side : ndarray of int8
            +1 bid, -1 ask; 0 clears both sides.
        tick : ndarray of int32
        lots : ndarray of int64
            Absolute sizes, 0 deletes.
        message : ndarray of int64, optional
            Number of the message a row came in, such as the exchange's sequence
            number or the receive time; equal numbers are one message. Without it
            the whole call is one message. Rows whose number is not above the
            snapshot's are dropped.

        Raises
        ------
        ValueError
            At the first size that is negative or above 9e15; the rows before it have been applied.
        """
        cdef Py_ssize_t i, n = side.shape[0], bad = -1
        cdef book_t* b = &self.c
        cdef int64_t last = self.message, stale = self.snapshot_message
        cdef int64_t dropped = 0
        same_length(n, tick.shape[0], lots.shape[0])
        if message is not None:
            same_length(n, message.shape[0], n)
        if self.waiting:
            check_sizes(lots)
            self.pending.append((np.array(side), np.array(tick), np.array(lots),
                                 None if message is None else np.array(message)))
            return
        with nogil:
            if message is None:
                book_settle(b)
                for i in range(n):
                    if not book_row(b, side[i], tick[i], lots[i]):
                        bad = i
                        break
                book_settle(b)
            else:
                for i in range(n):
                    if message[i] != last:
                        book_settle(b)
                        last = message[i]
                    if cython.unlikely(last <= stale):
                        dropped += 1
                    elif not book_row(b, side[i], tick[i], lots[i]):
                        bad = i
                        break
        self.message = last
        self.stale_rows += dropped
        check_memory(b)
        if bad >= 0:
            check_sizes(lots)

    def touch(self, const side_t[::1] side not None, const int32_t[::1] tick not None,
              const lots_t[::1] lots not None, const int64_t[::1] message=None, *, out=None):
        """Apply rows as `apply` does, and give the best prices and sizes after each of them.

        Parameters
        ----------
        side, tick, lots, message : ndarray
            As for `apply`. Without `message` each row is a message of its own, as in `update`.
        out : tuple of ndarray, optional
            Where to write, as returned; new memory costs a third of the time.

        Returns
        -------
        bid_tick : ndarray of int32
        bid_lots : ndarray of int64
        ask_tick : ndarray of int32
        ask_lots : ndarray of int64
            An empty side has 0 lots, and the tick -2**31 (bid) or 2**31 - 1 (ask).

        Raises
        ------
        ValueError
            At the first size that is negative or above 9e15; the rows before it have been applied.
        OverflowError
            Where a best price did not fit 32 bits; all rows have been applied.

        Notes
        -----
        The last row of a message shows the book that is resolved where it was crossed, a row
        before it the book as it stood, which may be crossed for a moment. The end of the call
        ends a message: cut a feed between messages, and any cut gives the same rows.
        """
        cdef Py_ssize_t i, n = side.shape[0], bad = -1
        cdef book_t* b = &self.c
        cdef int64_t stale = self.snapshot_message, dropped = 0, bid, ask
        cdef lots_t bid_size, ask_size
        cdef bint numbered = message is not None, fits = True
        cdef int32_t[::1] bid_tick, ask_tick
        cdef lots_t[::1] bid_lots, ask_lots
        same_length(n, tick.shape[0], lots.shape[0])
        if numbered:
            same_length(n, message.shape[0], n)
        if self.waiting:
            raise ValueError("the book waits for its snapshot")
        if out is None:
            out = tuple([np.empty(n, kind) for kind in (np.int32, np.int64) * 2])
        bid_tick, bid_lots, ask_tick, ask_lots = out
        same_length(n, bid_tick.shape[0], bid_lots.shape[0])
        same_length(n, ask_tick.shape[0], ask_lots.shape[0])
        if n == 0:
            return out
        with nogil:
            if not numbered or message[0] != self.message:
                book_settle(b)
            for i in range(n):
                if numbered and message[i] <= stale:
                    dropped += 1
                elif not book_row(b, side[i], tick[i], lots[i]):
                    bad = i
                    break
                if not numbered or i == n - 1 or message[i + 1] != message[i]:
                    book_settle(b)
                bid, ask = ladder_key(&b.ladder[0]), ladder_key(&b.ladder[1])
                bid_size = ladder_best_lots(&b.ladder[0])
                ask_size = ladder_best_lots(&b.ladder[1])
                if cython.unlikely(bid != <int32_t>bid):
                    fits &= bid == NO_KEY
                    bid = INT32_MIN
                if cython.unlikely(ask != <int32_t>ask):
                    fits &= ask == NO_KEY
                    ask = -INT32_MAX
                bid_tick[i] = <int32_t>bid
                ask_tick[i] = <int32_t>-ask
                bid_lots[i] = bid_size
                ask_lots[i] = ask_size
        if numbered:
            self.message = message[n - 1 if bad < 0 else bad]
        self.stale_rows += dropped
        check_memory(b)
        if bad >= 0:
            check_sizes(lots)
        if not fits:
            raise OverflowError("a best price is beyond 32 bits of ticks")
        return out

    def apply_float(self, const cython.uchar[::1] side_is_bid not None,
                    const double[::1] price not None, const double[::1] size not None):
        """Apply one message of float rows, without the GIL.

        Parameters
        ----------
        side_is_bid : ndarray of uint8
            A bool column is taken as ``column.view(np.uint8)``.
        price, size : ndarray of float64
            Quote and base units.

        Raises
        ------
        GridError
            At the first row off the grid; the rows before it have been applied.
        """
        cdef Py_ssize_t i, n = side_is_bid.shape[0], bad_price = -1, bad_size = -1
        cdef book_t* b = &self.c
        cdef double per_tick = 1.0 / self.tick_size, per_lot = 1.0 / self.lot_size
        cdef int64_t tick = 0, lots = 0
        same_length(n, price.shape[0], size.shape[0])
        if self.waiting:
            self.apply(np.where(np.asarray(side_is_bid), 1, -1).astype(np.int8),
                       to_ticks(price, self.tick_size), to_lots(size, self.lot_size))
            return
        with nogil:
            book_settle(b)
            for i in range(n):
                if cython.unlikely(not on_grid(price[i], per_tick, &tick)):
                    bad_price = i
                    break
                if cython.unlikely(not on_grid(size[i], per_lot, &lots)):
                    bad_size = i
                    break
                book_set(b, <side_t>(2 * (side_is_bid[i] != 0) - 1), tick, lots)
            book_settle(b)
        check_memory(&self.c)
        if bad_price >= 0:
            raise GridError("price", bad_price, price[bad_price], self.tick_size)
        if bad_size >= 0:
            raise GridError("size", bad_size, size[bad_size], self.lot_size)

    def snapshot(self, const side_t[::1] side not None, const int32_t[::1] tick not None,
                 const lots_t[::1] lots not None, message=None, *, bint complete=False):
        """Replace the book by a snapshot, then apply the newer rows kept aside for it.

        Parameters
        ----------
        side, tick, lots : ndarray
            The levels, as for `apply`.
        message : int, optional
            Number of the last message the snapshot contains. Rows of this message
            and earlier ones are dropped, now and later.
        complete : bool, default False
            Whether it is the whole book rather than its top; see `known_depth`.
        """
        cdef Py_ssize_t i
        cdef ladder_t* d
        cdef list pending = self.pending
        same_length(side.shape[0], tick.shape[0], lots.shape[0])
        check_sizes(lots)
        book_clear(&self.c)
        self.waiting = False
        self.pending = []
        self.apply(side, tick, lots)
        self.c.ladder[0].known = self.c.ladder[1].known = INT64_MIN if complete else INT64_MAX
        for i in range(side.shape[0]):
            d = &self.c.ladder[side[i] < 0]
            d.known = min(d.known, -<int64_t>tick[i] if side[i] < 0 else tick[i])
        self.snapshot_message = INT64_MIN if message is None else message
        for rows in pending:
            self.apply(*rows)

    # ----------------------------------------------------------------- state

    @property
    def best_bid(self):
        """Best bid in quote units, NaN when there is none."""
        book_settle(&self.c)
        cdef tick_t tick = book_bid(&self.c)
        return np.nan if tick == NO_KEY else tick * self.tick_size

    @property
    def best_ask(self):
        """Best ask in quote units, NaN when there is none."""
        book_settle(&self.c)
        cdef tick_t tick = book_ask(&self.c)
        return np.nan if tick == -NO_KEY else tick * self.tick_size

    @property
    def best_bid_size(self):
        """Size of the best bid in base units, 0 when there is none."""
        book_settle(&self.c)
        return ladder_best_lots(&self.c.ladder[0]) * self.lot_size

    @property
    def best_ask_size(self):
        """Size of the best ask in base units, 0 when there is none."""
        book_settle(&self.c)
        return ladder_best_lots(&self.c.ladder[1]) * self.lot_size

    @property
    def bid_tick(self):
        """Best bid in ticks, None when there is none."""
        book_settle(&self.c)
        cdef tick_t tick = book_bid(&self.c)
        return None if tick == NO_KEY else tick

    @property
    def ask_tick(self):
        """Best ask in ticks, None when there is none."""
        book_settle(&self.c)
        cdef tick_t tick = book_ask(&self.c)
        return None if tick == -NO_KEY else tick

    @property
    def crossed(self):
        """Messages that left the book crossed."""
        book_settle(&self.c)
        return self.c.crossed

    @property
    def unknown_deletes(self):
        """Deletes of levels that were not there."""
        return self.c.unknown_deletes

    @property
    def known_depth(self):
        """How many ticks from the best bid and the best ask downwards and upwards are known.

        A snapshot shows only so many levels; what lies beyond was never seen unless it
        changed since. 0 before any snapshot, and on a side that left the known range;
        ``inf`` after a complete snapshot.
        """
        book_settle(&self.c)
        return known_ticks(&self.c.ladder[0]), known_ticks(&self.c.ladder[1])

    def size_at(self, side_t side, tick_t tick):
        """Size in base units at one price, 0 when there is none."""
        book_settle(&self.c)
        return book_lots(&self.c, side, tick) * self.lot_size

    def levels(self, Py_ssize_t n=10):
        """Best `n` levels of both sides.

        Returns
        -------
        bids, asks : ndarray of float64, shape (<= n, 2)
            Price and size, best first.
        """
        if n < 0:
            raise ValueError(f"n must be >= 0, was {n}")
        book_settle(&self.c)
        return tuple([
            np.column_stack((ticks * self.tick_size, lots * self.lot_size))
            for ticks, lots in (side_columns(&self.c, 0, n), side_columns(&self.c, 1, n))
        ])

    def depth(self, Py_ssize_t n):
        """Summed size of the best `n` levels, bid and ask, in base units."""
        if n < 0:
            raise ValueError(f"n must be >= 0, was {n}")
        book_settle(&self.c)
        return (ladder_depth(&self.c.ladder[0], n) * self.lot_size,
                ladder_depth(&self.c.ladder[1], n) * self.lot_size)

    def imbalance(self, Py_ssize_t n):
        """(bid - ask) / (bid + ask) of the summed sizes of the best `n` levels; NaN when empty."""
        if n < 1:
            raise ValueError(f"n must be >= 1, was {n}")
        book_settle(&self.c)
        return book_imbalance(&self.c, n)

    def state(self):
        """Everything the book knows, as a dict of numbers and arrays; see `from_state`."""
        columns = [side_columns(&self.c, 0, -1), side_columns(&self.c, 1, -1)]
        return {
            "tick_size": self.tick_size,
            "lot_size": self.lot_size,
            "window": self.c.window,
            "side": np.repeat(np.array([1, -1], np.int8), [len(c[0]) for c in columns]),
            "tick": np.concatenate([c[0] for c in columns]),
            "lots": np.concatenate([c[1] for c in columns]),
            "newest": self.c.newest,
            "known": (self.c.ladder[0].known, self.c.ladder[1].known),
            "message": self.message,
            "snapshot_message": self.snapshot_message,
            "stale_rows": self.stale_rows,
            "unknown_deletes": self.c.unknown_deletes,
            "crossed": self.c.crossed,
            "waiting": self.waiting,
            "pending": list(self.pending),
        }

    @staticmethod
    def from_state(dict state not None):
        """The book that `state` described; it goes on as the original would."""
        cdef L2Book book = L2Book(state["tick_size"], state["lot_size"], window=state["window"])
        cdef const side_t[::1] side = state["side"]
        cdef const int64_t[::1] tick = state["tick"]    # `apply_float` knows no 32 bits
        cdef const lots_t[::1] lots = state["lots"]
        cdef Py_ssize_t i
        same_length(side.shape[0], tick.shape[0], lots.shape[0])
        for i in range(side.shape[0]):
            book_set(&book.c, side[i], tick[i], lots[i])
        check_memory(&book.c)
        book.c.newest = state["newest"]
        book.c.ladder[0].known, book.c.ladder[1].known = state["known"]
        book.message = state["message"]
        book.snapshot_message = state["snapshot_message"]
        book.stale_rows = state["stale_rows"]
        book.c.unknown_deletes = state["unknown_deletes"]
        book.c.crossed = state["crossed"]
        book.waiting = state["waiting"]
        book.pending = list(state["pending"])
        return book

    def __reduce__(self):
        return L2Book.from_state, (self.state(),)

    def copy(self):
        """A book of its own with the same content."""
        return L2Book.from_state(self.state())

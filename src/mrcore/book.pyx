"""L2 order book rebuilt from absolute level changes.

Prices are ticks, sizes lots (int64): sums of sizes are exact and do not depend
on their order. The rules for what real feeds do are in `L2Book`.
"""
from libc.math cimport fabs, lrint
from libc.stdint cimport INT32_MAX, INT64_MAX, INT64_MIN, int32_t, int64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memmove, memset

cimport cython

from mrcore.types cimport lots_t, side_t, tick_t

import numpy as np


class GridError(ValueError):
    """A price or size that is not a finite, non-negative multiple of its step.

    Attributes
    ----------
    index : int
        Row of the first bad value.
    value : float
        That value.
    step : float
        The tick or lot size it was held against.
    """

    def __init__(self, what, index, value, step):
        super().__init__(
            f"{what} {value!r} at row {index} is not a finite, non-negative multiple of {step!r}"
        )
        self.index = index
        self.value = value
        self.step = step


cdef int book_init(book_t* b, int64_t window) noexcept nogil:
    """Make an empty book; -1 when there is no memory."""
    cdef int s
    memset(b, 0, sizeof(book_t))
    b.window = window
    for s in range(2):
        b.ladder[s].lots = <lots_t*>calloc(window + 1, sizeof(lots_t))
        if b.ladder[s].lots is NULL:
            return -1
        b.ladder[s].lots[0] = 1
        b.ladder[s].lots += 1
    book_clear(b)
    b.ladder[0].known = b.ladder[1].known = INT64_MAX
    return 0


cdef void book_free(book_t* b) noexcept nogil:
    cdef int s
    for s in range(2):
        if b.ladder[s].lots is not NULL:
            free(b.ladder[s].lots - 1)
        free(b.ladder[s].far)
    memset(b, 0, sizeof(book_t))


cdef void book_clear(book_t* b) noexcept nogil:
    """Remove every level of both sides."""
    cdef int s
    for s in range(2):
        memset(b.ladder[s].lots, 0, b.window * sizeof(lots_t))
        b.ladder[s].base = INT64_MIN // 2   # no key is inside until the first one comes
        b.ladder[s].best = -1
        b.ladder[s].n_far = 0
    b.newest = 0


cdef Py_ssize_t far_find(const ladder_t* d, int64_t key) noexcept nogil:
    """First index whose key is `key` or less."""
    cdef Py_ssize_t lo = 0, hi = d.n_far, mid
    while lo < hi:
        mid = (lo + hi) >> 1
        if d.far[mid].key > key:
            lo = mid + 1
        else:
            hi = mid
    return lo


cdef int far_make_room(book_t* b, ladder_t* d, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """Open `n` entries at index `at`; -1 when there is no memory."""
    cdef Py_ssize_t capacity = d.far_capacity
    cdef level_t* grown
    if n == 0:
        return 0    # `far` may be NULL still, which memmove may not be given
    if d.n_far + n > capacity:
        capacity = 2 * (d.n_far + n) + 64
        grown = <level_t*>realloc(d.far, capacity * sizeof(level_t))
        if grown is NULL:
            b.failed = True
            return -1
        d.far = grown
        d.far_capacity = capacity
    memmove(d.far + at + n, d.far + at, (d.n_far - at) * sizeof(level_t))
    d.n_far += n
    return 0


cdef void ladder_move(book_t* b, ladder_t* d, int64_t base) noexcept nogil:
    """Move the window to ``[base, base + window)``; no level may lie above it."""
    cdef int64_t shift = base - d.base, slot, keep
    cdef Py_ssize_t n = 0
    cdef bint empty = d.best < 0
    if empty:
        d.base = base
    elif shift > 0:                     # upwards: the lowest slots go to `far`
        keep = b.window - shift if shift < b.window else 0
        for slot in range(b.window - keep):
            n += d.lots[slot] != 0
        if far_make_room(b, d, 0, n) < 0:
            return
        for slot in range(b.window - keep):
            if d.lots[slot] != 0:
                n -= 1
                d.far[n].key = d.base + slot
                d.far[n].lots = d.lots[slot]
        memmove(d.lots, d.lots + (b.window - keep), keep * sizeof(lots_t))
        memset(d.lots + keep, 0, (b.window - keep) * sizeof(lots_t))
        d.base = base
        d.best = d.best - shift if d.best >= shift else -1
    elif shift < 0:                     # downwards: the slots move up, the top ones are empty
        memmove(d.lots - shift, d.lots, (b.window + shift) * sizeof(lots_t))
        memset(d.lots, 0, -shift * sizeof(lots_t))
        d.base = base
        d.best -= shift
    # whatever of `far` the window now covers
    n = 0
    while n < d.n_far and d.far[n].key >= base:
        d.lots[d.far[n].key - base] = d.far[n].lots
        n += 1
    if n > 0:
        if d.best < 0:
            d.best = d.far[0].key - base
        memmove(d.far, d.far + n, (d.n_far - n) * sizeof(level_t))
        d.n_far -= n


cdef void ladder_refill(book_t* b, ladder_t* d) noexcept nogil:
    """The window ran empty: put it around the best of `far`."""
    ladder_move(b, d, d.far[0].key - (b.window - b.window // 4))


cdef lots_t book_set_far(book_t* b, ladder_t* d, int64_t key, lots_t lots) noexcept nogil:
    """`book_set` for a key outside the window."""
    cdef Py_ssize_t at
    cdef lots_t before
    cdef int64_t quarter = b.window // 4
    cdef side_t side = 1 if d is &b.ladder[0] else -1
    if lots != 0 and (d.best < 0 or key >= d.base + b.window):
        # the new best: three quarters of the window lie below it
        ladder_move(b, d, key - (b.window - quarter))
        d.lots[key - d.base] = lots
        d.best = key - d.base
        b.newest = side
        return 0
    if 0 <= d.best < quarter // 2 and key < d.base:
        # the touch sank to the lower end: bring the window down around it
        ladder_move(b, d, d.base + d.best - (b.window - quarter))
        if key >= d.base:
            return book_set(b, side, -key if side < 0 else key, lots)
    at = far_find(d, key)
    before = d.far[at].lots if at < d.n_far and d.far[at].key == key else 0
    if lots == 0:
        if before == 0:
            b.unknown_deletes += 1
        else:
            memmove(d.far + at, d.far + at + 1, (d.n_far - at - 1) * sizeof(level_t))
            d.n_far -= 1
    elif before != 0 or far_make_room(b, d, at, 1) == 0:
        d.far[at].key = key
        d.far[at].lots = lots
    return before


cdef int64_t ladder_next_far(const ladder_t* d, int64_t key, lots_t* lots) noexcept nogil:
    """`ladder_next` among the levels below the window."""
    cdef Py_ssize_t at = far_find(d, key - 1)
    if at == d.n_far:
        return NO_KEY
    lots[0] = d.far[at].lots
    return d.far[at].key


cdef void book_uncross(book_t* b) noexcept nogil:
    """Remove what the newest best crosses: those levels are stale, their delete was lost."""
    cdef ladder_t* old = &b.ladder[b.newest > 0]
    cdef ladder_t* new = &b.ladder[b.newest < 0]
    cdef side_t old_side = -b.newest
    cdef int64_t limit = -ladder_key(new), key
    b.crossed += 1
    while True:
        key = ladder_key(old)
        if key == NO_KEY or key < limit:
            return
        book_set(b, old_side, -key if old_side < 0 else key, 0)


cdef double MAX_TICK = 9e15             # below 2**53: float prices are exact up to here


cdef inline bint on_grid(double value, double per_step, int64_t* steps) noexcept nogil:
    """Whether `value` is a non-negative multiple of the step, within float error.

    One test, without short circuits: NaN and what is too large fail it as well.
    """
    cdef double x = value * per_step
    steps[0] = lrint(x)
    # 1e-3 of a step is far above float error (x * 4e-16) and far below a wrong step
    return (x >= 0.0) & (x < MAX_TICK) & (fabs(x - <double>steps[0]) <= 1e-3)


def to_ticks(const double[::1] price not None, double tick_size):
    """Prices as int32 ticks.

    Parameters
    ----------
    price : ndarray of float64, shape (n,)
        Quote units.
    tick_size : float
        Quote units a tick, > 0.

    Returns
    -------
    ndarray of int32, shape (n,)

    Raises
    ------
    GridError
        At the first price that is NaN, infinite, negative or no multiple of the tick.
    """
    cdef Py_ssize_t i, n = price.shape[0], bad = -1
    cdef double per_tick = 1.0 / positive("tick_size", tick_size)
    cdef int64_t steps = 0
    out = np.empty(n, np.int32)
    cdef int32_t[::1] tick = out
    with nogil:
        for i in range(n):
            if not on_grid(price[i], per_tick, &steps) or steps > INT32_MAX:
                bad = i
                break
            tick[i] = <int32_t>steps
    if bad >= 0:
        raise GridError("price", bad, price[bad], tick_size)
    return out


def to_lots(const double[::1] size not None, double lot_size):
    """Sizes as int64 lots; see `to_ticks`."""
    cdef Py_ssize_t i, n = size.shape[0], bad = -1
    cdef double per_lot = 1.0 / positive("lot_size", lot_size)
    cdef int64_t steps = 0
    out = np.empty(n, np.int64)
    cdef int64_t[::1] lots = out
    with nogil:
        for i in range(n):
            if not on_grid(size[i], per_lot, &steps):
                bad = i
                break
            lots[i] = steps
    if bad >= 0:
        raise GridError("size", bad, size[bad], lot_size)
    return out


cdef double positive(str name, double value) except -1.0:
    if not 0.0 < value < 1e300:
        raise ValueError(f"{name} must be > 0 and finite, was {value}")
    return value


cdef int same_length(Py_ssize_t a, Py_ssize_t b, Py_ssize_t c) except -1:
    if a != b or a != c:
        raise ValueError(f"columns differ in length: {a}, {b}, {c}")
    return 0


cdef int not_negative(const lots_t[::1] lots) except -1:
    cdef Py_ssize_t i
    cdef lots_t signs = 0
    for i in range(lots.shape[0]):
        signs |= lots[i]
    if signs < 0:
        raise ValueError(f"lots must be >= 0, were {np.asarray(lots).min()} at the least")
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
        if (side != 1 and side != -1) or lots < 0 or not -MAX_TICK < tick < MAX_TICK:
            raise ValueError(f"side must be 1 or -1, lots >= 0 and tick within {MAX_TICK:.0e}, "
                             f"were {side}, {lots} and {tick}")
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
        """
        cdef Py_ssize_t i, n = side.shape[0]
        cdef book_t* b = &self.c
        cdef int64_t last = self.message, stale = self.snapshot_message
        cdef int64_t dropped = 0
        same_length(n, tick.shape[0], lots.shape[0])
        if message is not None:
            same_length(n, message.shape[0], n)
        not_negative(lots)
        if self.waiting:
            self.pending.append((np.array(side), np.array(tick), np.array(lots),
                                 None if message is None else np.array(message)))
            return
        with nogil:
            if message is None:
                book_settle(b)
                for i in range(n):
                    if cython.unlikely(side[i] == 0):
                        book_clear(b)
                    else:
                        book_set(b, side[i], tick[i], lots[i])
                book_settle(b)
            else:
                for i in range(n):
                    if message[i] != last:
                        book_settle(b)
                        last = message[i]
                    if cython.unlikely(last <= stale):
                        dropped += 1
                    elif cython.unlikely(side[i] == 0):
                        book_clear(b)
                    else:
                        book_set(b, side[i], tick[i], lots[i])
        self.message = last
        self.stale_rows += dropped
        check_memory(&self.c)

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
        not_negative(lots)
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

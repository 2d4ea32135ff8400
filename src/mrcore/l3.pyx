"""Limit-order book rebuilt from an order-level (L3, market-by-order) feed.

Where a feed names every order, the place of an own order in a queue is known and need not be
modelled: before it stand the orders that came to its price earlier and are still there. `L3Book`
follows the market's orders; `mrcore.replay.Replay.feed_orders` with ``queue_model="fifo"`` fills
own orders by it.

Rules: an event of an order that is not there is counted, never an error, since a recording begins
in mid-market. A modify to another price, or to a larger size, sends an order to the end of the
queue; a smaller size keeps its place. A fill takes lots off the order: a feed that follows a fill
by a separate delete of the same lots must leave one of the two out.
"""
from libc.math cimport INFINITY
from libc.stdint cimport INT32_MAX, int8_t, int32_t, int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

cimport cython

from mrcore.book cimport (
    NO_KEY, book_ask, book_bid, book_clear, book_free, book_init, book_lots, ladder_best_lots,
    ladder_next,
)
from mrcore.types cimport lots_t, side_t, tick_t

import numpy as np

KINDS = ("", "add", "cancel", "fill", "modify", "clear")

ORDER_DTYPE = np.dtype([
    ("order_id", "i8"), ("arrival", "i8"), ("side", "i1"), ("tick", "i8"), ("lots", "i8")])

cdef lots_t MOST_LOTS = <lots_t>1 << 48     # of one order; a level's sum then fits


cdef int l3_init(l3_t* b, int64_t window) noexcept nogil:
    """Make an empty book; -1 when there is no memory (free it all the same)."""
    memset(b, 0, sizeof(l3_t))
    if book_init(&b.book, window) < 0:
        return -1
    b.capacity = 1 << 12
    b.shift = 64 - 12
    b.slot = <l3_order_t*>calloc(b.capacity, sizeof(l3_order_t))
    return -1 if b.slot is NULL else 0


cdef void l3_free(l3_t* b) noexcept nogil:
    book_free(&b.book)
    free(b.slot)
    memset(b, 0, sizeof(l3_t))


cdef void l3_clear(l3_t* b) noexcept nogil:
    """Remove every order."""
    book_clear(&b.book)
    memset(b.slot, 0, b.capacity * sizeof(l3_order_t))
    b.n_orders = 0


cdef int l3_grow(l3_t* b) noexcept nogil:
    """Double the table; -1 when there is no memory."""
    cdef l3_order_t* old = b.slot
    cdef Py_ssize_t i, n = b.capacity
    cdef l3_order_t* slot = <l3_order_t*>calloc(2 * n, sizeof(l3_order_t))
    if slot is NULL:
        b.failed = True
        return -1
    b.slot = slot
    b.capacity = 2 * n
    b.shift -= 1
    for i in range(n):
        if old[i].arrival != 0:
            b.slot[l3_find(b, old[i].order_id)] = old[i]
    free(old)
    return 0


cdef inline bint is_event(int8_t kind, side_t side, tick_t tick, lots_t lots) noexcept nogil:
    """Whether the event can be one at all."""
    if kind < L3_ADD or kind > L3_CLEAR or not -1 <= side <= 1:
        return False
    if not 0 <= tick <= INT32_MAX or not 0 <= lots < MOST_LOTS:
        return False
    if side == 0:
        return kind == L3_CANCEL or kind == L3_CLEAR
    return lots > 0 or not (kind == L3_ADD or kind == L3_FILL)


cdef str EVENT = (
    "a kind of 1 to 5, side 1 or -1 (0 will do for a cancel or clear), an int32 "
    "tick >= 0, lots > 0 (0 for all of an order cancelled, or modified away) "
    f"and below {MOST_LOTS}")


@cython.final
cdef class L3Book:
    """The market's orders and the levels they make.

    Parameters
    ----------
    tick_size, lot_size : float
        Quote units a tick, base units a lot.
    window : int
        As of `mrcore.book.L2Book`; changes no result.

    Notes
    -----
    The levels are what the orders add up to: where a feed leaves the book crossed, it is shown
    crossed. One object belongs to one thread at a time.
    """

    def __cinit__(self, double tick_size, double lot_size, *, int64_t window=1 << 15):
        if not (0.0 < tick_size < INFINITY and 0.0 < lot_size < INFINITY) or window < 16:
            raise ValueError("tick_size and lot_size must be finite and > 0, window >= 16, were "
                             f"{tick_size}, {lot_size} and {window}")
        self.tick_size = tick_size
        self.lot_size = lot_size
        if l3_init(&self.c, window) < 0:
            raise MemoryError

    def __dealloc__(self):
        l3_free(&self.c)

    # ----------------------------------------------------------------- events

    def update(self, str kind, int64_t order_id=0, side_t side=0, tick_t tick=0, lots_t lots=0):
        """Take one event.

        Parameters
        ----------
        kind : {"add", "cancel", "fill", "modify", "clear"}
            ``clear`` removes all orders of both sides; it needs no more than its name.
        order_id : int
            The exchange's; any int64.
        side : int
            +1 bid, -1 ask.
        tick, lots : int
            Price and size: of the order (add, modify), or what is taken off it (cancel, fill);
            a cancel of 0 lots takes all of it.
        """
        cdef l3_row_t out[2]
        cdef int8_t code = KINDS.index(kind) if kind in KINDS else 0
        if not is_event(code, side, tick, lots):
            raise ValueError(f"was kind {kind!r}, side {side}, tick {tick}, lots {lots}; "
                             f"expected {EVENT}")
        l3_apply(&self.c, code, order_id, side, tick, lots, out)
        self.check()

    def apply(self, kind, order_id, side, tick, lots):
        """Take a column of events, without the GIL.

        Parameters
        ----------
        kind : ndarray of int8
            Indices of `KINDS`.
        order_id : ndarray of int64
        side : ndarray of int8
        tick : ndarray of int32
        lots : ndarray of int64
            See `update`.

        Raises
        ------
        ValueError
            At the first row that can be no event; none has been taken.
        """
        self.flatten(np.zeros(len(kind), np.int64), kind, order_id, side, tick, lots)

    def flatten(self, const int64_t[::1] time not None, const int8_t[::1] kind not None,
                const int64_t[::1] order_id not None, const int8_t[::1] side not None,
                const int32_t[::1] tick not None, const int64_t[::1] lots not None):
        """Take a column of events, and say what they are to levels, trades and queues.

        Parameters
        ----------
        time : ndarray of int64
            Passed on.
        kind, order_id, side, tick, lots : ndarray
            See `apply`.

        Returns
        -------
        deltas : (time, side, tick, lots)
            Absolute sizes of levels, as `mrcore.replay.Replay.feed` takes them; a row or two
            for each event that was one.
        trades : (time, side, tick, lots)
            A row for each fill; the side is the aggressor's.
        places : (kind int8, arrival int64, quantity int64)
            Beside each delta: "add", "cancel", "fill" or "clear", the count of orders up to the
            one it is of, and the lots that came, went or traded.
        """
        cdef Py_ssize_t i, k, n = time.shape[0], bad = -1, m = 0, t = 0
        cdef int written
        cdef l3_row_t out[2]
        lengths = [n, len(kind), len(order_id), len(side), len(tick), len(lots)]
        if len(set(lengths)) > 1:
            raise ValueError(f"columns differ in length: {lengths}")
        for i in range(n):
            if not is_event(kind[i], side[i], tick[i], lots[i]):
                bad = i
                break
        if bad >= 0:
            raise ValueError(f"row {bad}: kind {kind[bad]}, side {side[bad]}, tick {tick[bad]}, "
                             f"lots {lots[bad]}; expected {EVENT}")
        most = n + int(np.count_nonzero(np.isin(kind, (L3_ADD, L3_MODIFY))))
        deltas = new_columns(most)
        trades = new_columns(int(np.count_nonzero(np.equal(kind, L3_FILL))))
        places = (np.empty(most, np.int8), np.empty(most, np.int64), np.empty(most, np.int64))
        cdef int64_t[::1] delta_time = deltas[0], delta_lots = deltas[3]
        cdef int64_t[::1] trade_time = trades[0], trade_lots = trades[3]
        cdef int8_t[::1] delta_side = deltas[1], trade_side = trades[1], place_kind = places[0]
        cdef int32_t[::1] delta_tick = deltas[2], trade_tick = trades[2]
        cdef int64_t[::1] arrival = places[1], quantity = places[2]
        with nogil:
            for i in range(n):
                written = l3_apply(&self.c, kind[i], order_id[i], side[i], tick[i], lots[i], out)
                for k in range(written):
                    delta_time[m] = time[i]
                    delta_side[m] = out[k].side
                    delta_tick[m] = <int32_t>out[k].tick
                    delta_lots[m] = out[k].lots
                    place_kind[m] = out[k].kind
                    arrival[m] = out[k].arrival
                    quantity[m] = out[k].quantity
                    m += 1
                if kind[i] == L3_FILL:
                    trade_time[t] = time[i]
                    trade_side[t] = -out[0].side
                    trade_tick[t] = <int32_t>out[0].tick
                    trade_lots[t] = out[0].quantity
                    t += 1
        self.check()
        return tuple([c[:m] for c in deltas]), trades, tuple([c[:m] for c in places])

    # ----------------------------------------------------------------- orders

    @property
    def n_orders(self):
        """Orders in the book."""
        return self.c.n_orders

    @property
    def counters(self):
        """Events of unknown orders, orders that came twice, takings of more than there was."""
        return {"unknown_orders": self.c.unknown, "duplicate_orders": self.c.duplicates,
                "excess_takings": self.c.excess}

    def order(self, int64_t order_id):
        """(side, tick, lots) of an order, None when it is not there."""
        cdef const l3_order_t* o = &self.c.slot[l3_find(&self.c, order_id)]
        return None if o.arrival == 0 else (o.side, o.tick, o.lots)

    def queue(self, side_t side, tick_t tick):
        """Orders at one price, the first in the queue first.

        Returns
        -------
        order_id, lots : ndarray of int64
        """
        rows = self.orders()
        rows = rows[(rows["side"] == side) & (rows["tick"] == tick)]
        return rows["order_id"].copy(), rows["lots"].copy()

    def queue_ahead(self, int64_t order_id):
        """Base units that stand before an order at its price.

        Looks at every order of the book.

        Raises
        ------
        KeyError
            When the order is not there.
        """
        cdef const l3_order_t* o = &self.c.slot[l3_find(&self.c, order_id)]
        if o.arrival == 0:
            raise KeyError(order_id)
        return self.ahead(o.side, o.tick, o.arrival - 1) * self.lot_size

    cdef lots_t ahead(self, side_t side, tick_t tick, int64_t arrival) noexcept:
        """Lots at a price of the orders that came up to `arrival`."""
        cdef lots_t lots = 0
        cdef const l3_order_t* o = self.c.slot
        cdef Py_ssize_t i
        for i in range(self.c.capacity):
            if 0 < o[i].arrival <= arrival and o[i].tick == tick and o[i].side == side:
                lots += o[i].lots
        return lots

    def orders(self):
        """All orders by arrival, ORDER_DTYPE."""
        rows = np.empty(self.c.n_orders, ORDER_DTYPE)
        cdef int64_t[::1] order_id = np.empty(len(rows), np.int64)
        cdef int64_t[::1] arrival = np.empty(len(rows), np.int64)
        cdef int64_t[::1] tick = np.empty(len(rows), np.int64)
        cdef int64_t[::1] lots = np.empty(len(rows), np.int64)
        cdef int8_t[::1] side = np.empty(len(rows), np.int8)
        cdef const l3_order_t* o = self.c.slot
        cdef Py_ssize_t i, n = 0
        for i in range(self.c.capacity):
            if o[i].arrival != 0:
                order_id[n] = o[i].order_id
                arrival[n] = o[i].arrival
                side[n] = o[i].side
                tick[n] = o[i].tick
                lots[n] = o[i].lots
                n += 1
        for name, values in zip(ORDER_DTYPE.names, (order_id, arrival, side, tick, lots)):
            rows[name] = values
        return rows[np.argsort(rows["arrival"])]

    # ----------------------------------------------------------------- levels

    @property
    def bid_tick(self):
        """Best bid in ticks, None when there is none."""
        cdef tick_t tick = book_bid(&self.c.book)
        return None if tick == NO_KEY else tick

    @property
    def ask_tick(self):
        """Best ask in ticks, None when there is none."""
        cdef tick_t tick = book_ask(&self.c.book)
        return None if tick == -NO_KEY else tick

    @property
    def best_bid(self):
        """Best bid in quote units, NaN when there is none."""
        return np.nan if self.bid_tick is None else self.bid_tick * self.tick_size

    @property
    def best_ask(self):
        """Best ask in quote units, NaN when there is none."""
        return np.nan if self.ask_tick is None else self.ask_tick * self.tick_size

    @property
    def best_bid_size(self):
        """Size of the best bid in base units, 0 when there is none."""
        return ladder_best_lots(&self.c.book.ladder[0]) * self.lot_size

    @property
    def best_ask_size(self):
        """Size of the best ask in base units, 0 when there is none."""
        return ladder_best_lots(&self.c.book.ladder[1]) * self.lot_size

    def size_at(self, side_t side, tick_t tick):
        """Size in base units at one price, 0 when there is none."""
        return book_lots(&self.c.book, side, tick) * self.lot_size

    def levels(self, Py_ssize_t n=10):
        """Best `n` levels of both sides.

        Returns
        -------
        bids, asks : ndarray of float64, shape (<= n, 2)
            Price and size, best first.
        """
        cdef int64_t key
        cdef lots_t lots = 0
        cdef int side
        if n < 0:
            raise ValueError(f"n must be >= 0, was {n}")
        out = []
        for side in range(2):
            key = -NO_KEY
            rows = []
            while len(rows) < n:
                key = ladder_next(&self.c.book.ladder[side], key, &lots)
                if key == NO_KEY:
                    break
                rows.append(((-key if side else key) * self.tick_size, lots * self.lot_size))
            out.append(np.array(rows, np.float64).reshape(-1, 2))
        return tuple(out)

    # ----------------------------------------------------------------- state

    def __reduce__(self):
        return _restored, (
            self.tick_size, self.lot_size, self.c.book.window, self.orders(),
            (self.c.arrivals, self.c.unknown, self.c.duplicates, self.c.excess))

    def copy(self):
        """A book of its own with the same content."""
        restore, state = self.__reduce__()
        return restore(*state)

    cdef int check(self) except -1:
        if self.c.failed or self.c.book.failed:
            raise MemoryError("no memory for the orders of the book")
        return 0


cdef tuple new_columns(n):
    """Columns of a tape: time, side, tick, lots."""
    return (np.empty(n, np.int64), np.empty(n, np.int8), np.empty(n, np.int32),
            np.empty(n, np.int64))


def _restored(tick_size, lot_size, window, orders, counts):
    """Make a book again from its state; for pickle and copy."""
    cdef L3Book book = L3Book(tick_size, lot_size, window=window)
    cdef l3_row_t out
    # copies: a field of a packed record is not aligned
    cdef const int64_t[::1] order_id = np.array(orders["order_id"])
    cdef const int64_t[::1] arrival = np.array(orders["arrival"])
    cdef const int8_t[::1] side = np.array(orders["side"])
    cdef const int64_t[::1] tick = np.array(orders["tick"])
    cdef const int64_t[::1] lots = np.array(orders["lots"])
    cdef Py_ssize_t i
    for i in range(order_id.shape[0]):
        book.c.arrivals = arrival[i] - 1
        l3_insert(&book.c, order_id[i], side[i], tick[i], lots[i], &out)
    book.c.arrivals, book.c.unknown, book.c.duplicates, book.c.excess = counts
    book.check()
    return book

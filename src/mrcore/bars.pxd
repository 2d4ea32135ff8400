"""C interface of mrcore.bars: the state of a pass over the received market, and the pass."""
from libc.math cimport NAN, isfinite
from libc.stdint cimport int64_t
from libc.stdlib cimport free, realloc

cimport cython

from mrcore.flow cimport kyle_tstat
from mrcore.ladder cimport (
    book_ask, book_bid, book_clear, book_free, book_owned, book_set, book_t, ladder_best_lots,
    ladder_key,
)
from mrcore.measures cimport (
    shape_row_out, spread_free, spread_gap, spread_mid, spread_owned, spread_row_out,
    spread_settle, spread_t, spread_trade, touch_flow_t, touch_message, touch_row_out,
    trade_flow_t, trades_row_out, trades_trade,
)
from mrcore.near cimport (
    near_anew, near_failed, near_free, near_gap, near_owned, near_restart, near_row, near_row_out,
    near_settle, near_t, near_trade, near_uncross,
)
from mrcore.owned cimport owned_add, owned_list_t
from mrcore.sampler cimport (
    sampler_book, sampler_book_row, sampler_free, sampler_gap, sampler_owned, sampler_t,
    sampler_trade, sampler_trades_row,
)
from mrcore.tape cimport NEVER, tape_local, tape_message_end, tape_t
from mrcore.types cimport nanos_t


cdef enum:
    # places of the groups of columns; the sampler's MARKET_COLUMNS are the first
    TOUCH_AT = 28
    NEAR_AT = 35
    SHAPE_AT = 44
    TRADES_AT = 50
    SPREAD_AT = 61
    KYLE_AT = 67
    BAR_WIDTH = 68

cdef enum kind_t:               # what a bar is full of
    TIME, TICK, VOLUME, DOLLAR


ctypedef struct bars_t:
    tape_t deltas
    tape_t trades
    int64_t events              # rows processed
    nanos_t now                 # local time reached
    book_t book
    bint anew                   # the message begins another book
    sampler_t sampler
    touch_flow_t touch
    near_t near
    trade_flow_t flow
    spread_t spread
    double tick_size
    double lot_size
    double multiplier
    double band                 # fraction of the mid
    kind_t kind
    nanos_t interval            # of time bars
    double full                 # trades, lots or tick lots of the others
    nanos_t end                 # of the present bar, NEVER while it is not known
    int64_t last_delta          # times of the last rows fed
    int64_t last_trade
    # bars that are complete
    nanos_t* times
    double* rows
    Py_ssize_t n
    Py_ssize_t capacity
    bint failed                 # out of memory, seen at the boundary


cdef inline void bars_free(bars_t* b) noexcept nogil:
    book_free(&b.book)
    sampler_free(&b.sampler)
    near_free(&b.near)
    spread_free(&b.spread)
    free(b.times)
    free(b.rows)
    b.times = NULL
    b.rows = NULL


cdef inline void bars_owned(bars_t* b, owned_list_t* owned) noexcept nogil:
    """Its arrays; the other pointers are to what Python objects own."""
    book_owned(&b.book, owned)
    sampler_owned(&b.sampler, owned)
    near_owned(&b.near, owned)
    spread_owned(&b.spread, owned)
    owned_add(owned, <void**>&b.times, b.capacity * sizeof(nanos_t))
    owned_add(owned, <void**>&b.rows, b.capacity * BAR_WIDTH * sizeof(double))


cdef inline bint bars_failed(const bars_t* b) noexcept nogil:
    """Whether memory ran out anywhere."""
    return (b.failed or b.book.failed or near_failed(&b.near) or b.spread.mids.failed
            or b.spread.trades.failed)


cdef inline bint bars_room(bars_t* b) noexcept nogil:
    """Room for one more bar; false (and `failed`) when there is no memory."""
    cdef Py_ssize_t more = 2 * b.capacity + 64
    cdef void* times
    cdef void* rows
    if b.n < b.capacity:
        return True
    times = realloc(b.times, more * sizeof(nanos_t))
    if times is not NULL:
        b.times = <nanos_t*>times
        rows = realloc(b.rows, more * BAR_WIDTH * sizeof(double))
        if rows is not NULL:
            b.rows = <double*>rows
            b.capacity = more
            return True
    b.failed = True
    return False


cdef inline void bars_settle(bars_t* b, nanos_t until) noexcept nogil:
    """What falls due up to `until` is known now."""
    near_settle(&b.near, until)
    spread_settle(&b.spread, b.touch.mid2, until)


cdef inline void bars_close(bars_t* b) noexcept nogil:
    """The bar ends: everything received by its end has been seen."""
    cdef double* out
    cdef double t
    cdef nanos_t end = b.end
    if not bars_room(b):
        return
    bars_settle(b, end)
    out = b.rows + b.n * BAR_WIDTH
    b.times[b.n] = end
    b.n += 1
    sampler_book_row(&b.sampler, &b.book, end, b.tick_size, b.lot_size, out)
    sampler_trades_row(&b.sampler, b.tick_size, b.lot_size, b.multiplier, out)
    touch_row_out(&b.touch, end, b.tick_size, b.lot_size, out + TOUCH_AT)
    near_row_out(&b.near, b.lot_size, out + NEAR_AT)
    near_restart(&b.near)
    shape_row_out(&b.book, b.touch.mid2, b.band, b.lot_size, out + SHAPE_AT)
    trades_row_out(&b.flow, end, b.tick_size, b.lot_size, out + TRADES_AT)
    spread_row_out(&b.spread, b.tick_size, b.lot_size, out + SPREAD_AT)
    t = kyle_tstat(&b.sampler.kyle)
    out[KYLE_AT] = t if isfinite(t) else NAN    # a fit without a rest
    b.end = end + b.interval if b.kind == TIME else NEVER


cdef inline void bars_pass(bars_t* b, nanos_t now) noexcept nogil:
    """Time goes on to just before `now`: bars that end, and what falls due."""
    while b.end < now and not b.failed:
        bars_close(b)
    bars_settle(b, now - 1)


cdef inline void bars_trade(bars_t* b, Py_ssize_t row, nanos_t now) noexcept nogil:
    """A trade is received."""
    cdef const tape_t* t = &b.trades
    cdef sampler_t* f = &b.sampler
    cdef double filled
    sampler_trade(f, t.side[row], t.tick[row], t.lots[row])
    trades_trade(&b.flow, t.side[row], t.tick[row], t.lots[row], now)
    near_trade(&b.near, t.side[row], t.tick[row], t.lots[row], now)
    spread_trade(&b.spread, t.side[row], t.tick[row], t.lots[row], b.touch.mid2, now)
    if b.kind == TIME:
        return
    if b.kind == TICK:
        filled = <double>f.n_trades
    elif b.kind == VOLUME:
        filled = <double>f.bought + <double>f.sold
    else:
        filled = f.notional
    if filled >= b.full:
        b.end = now


cdef inline void bars_message(
    bars_t* b, Py_ssize_t row, Py_ssize_t end, nanos_t now
) noexcept nogil:
    """A message, whose rows come up to `end`, is received."""
    cdef const tape_t* t = &b.deltas
    cdef book_t* book = &b.book
    cdef int64_t mid2 = b.touch.mid2
    cdef bint anew = book.ladder[0].best < 0 and book.ladder[1].best < 0
    while row < end:
        if cython.unlikely(t.side[row] == 0):
            book_clear(book)
            sampler_gap(&b.sampler)
            near_gap(&b.near)
            spread_gap(&b.spread)
            anew = True
        elif anew:
            book_set(book, t.side[row], t.tick[row], t.lots[row])
        else:
            near_row(&b.near, book, t.side[row], t.tick[row], t.lots[row], now)
        row += 1
    if cython.unlikely(ladder_key(&book.ladder[0]) + ladder_key(&book.ladder[1]) >= 0):
        near_uncross(&b.near, book)
    if anew:
        near_anew(&b.near, book)
    touch_message(&b.touch, book_bid(book), ladder_best_lots(&book.ladder[0]), book_ask(book),
                  ladder_best_lots(&book.ladder[1]), anew, now)
    if anew or b.touch.mid2 != mid2:
        spread_mid(&b.spread, b.touch.mid2, now)
    sampler_book(&b.sampler, book, now)

"""How an order meets the recorded book: it takes, rests or expires. Inline only."""
from libc.stdint cimport int64_t

from mrcore.book cimport NO_KEY, ladder_key, ladder_next
from mrcore.orders cimport (
    ACCEPTED, EXPIRED, FILL_OR_KILL, FOK, GTC, MARKET, NOT_MARKETABLE, NO_LIQUIDITY, NO_REASON,
    PARTIALLY_FILLED, POST_ONLY, REDUCE_ONLY, SELF_TRADE, SUBMITTED, WOULD_TAKE, order_t,
)
from mrcore.types cimport lots_t, nanos_t
from mrcore.venue cimport (
    ALLOW, EXPIRE_BOTH, EXPIRE_MAKER, EXPIRE_TAKER, change, closable, displace, exchange_mid,
    exchange_t, fill, place, reduce, remember, resize, taking_at,
)


cdef inline int64_t next_level(
    const exchange_t* x, int side, int64_t key, lots_t* lots
) noexcept nogil:
    """Key of the best displayed level below `key`, NO_KEY for none, and what is left of it."""
    cdef int64_t level = ladder_next(&x.book.ladder[side], key, lots)
    cdef Py_ssize_t k = taking_at(x, side, level)
    if k < x.n_taken[side]:
        lots[0] = max(lots[0] - x.taken[side][k].lots, 0)
    return level


cdef inline bint barred(exchange_t* x, nanos_t now, int other, int64_t key) noexcept nogil:
    """Whether own orders at `key` or better stop one that comes; they end as the mode says."""
    cdef order_t* o
    while x.self_trade != ALLOW and x.greatest[other] >= key:
        if x.self_trade != EXPIRE_TAKER:
            o = &x.orders[x.waiting[other][0].order]
            displace(x, other, 0)
            change(x, now, o, EXPIRED, SELF_TRADE)
        if x.self_trade != EXPIRE_MAKER:
            return True
    return False


cdef inline bint fillable(const exchange_t* x, const order_t* o, int64_t limit) noexcept nogil:
    """Whether the displayed sizes down to `limit` fill an order whole."""
    cdef int other = o.side > 0
    cdef lots_t lots = 0, total = 0
    cdef int64_t key = next_level(x, other, -NO_KEY, &lots)
    if x.self_trade == EXPIRE_TAKER or x.self_trade == EXPIRE_BOTH:
        limit = max(limit, x.greatest[other] + 1)
    while key >= limit:
        total += lots
        if total >= o.remaining or not x.partial_fills:
            return True
        key = next_level(x, other, key, &lots)
    return False


cdef inline void rest(exchange_t* x, nanos_t now, order_t* o, bint new) noexcept nogil:
    """Let an order wait in the book."""
    place(x, o, o.side < 0)
    if new:
        change(x, now, o, ACCEPTED, NO_REASON)
        if o.remaining < o.lots:
            o.status = PARTIALLY_FILLED


cdef inline void take(
    exchange_t* x, nanos_t now, order_t* o, int64_t limit, bint new
) noexcept nogil:
    """Execute an order against what is displayed down to `limit`; the rest waits or ends."""
    cdef int other = o.side > 0
    cdef double mid = exchange_mid(x)
    cdef lots_t lots = 0
    cdef int64_t key = next_level(x, other, -NO_KEY, &lots)
    cdef bint marketable = key >= limit, stopped = False
    # hftbacktest's: a GTC order finds all that it wants at its own price
    cdef bint endless = marketable and o.tif == GTC and not x.remember_taking
    while o.remaining > 0:
        stopped = barred(x, now, other, max(key, limit))
        if stopped or key < limit or (endless and x.partial_fills and key == limit):
            break
        if not x.partial_fills:
            lots = o.remaining
        lots = min(lots, o.remaining)
        if lots > 0:
            fill(x, now, o, -key if other else key, lots, False, mid)
            if x.partial_fills:
                remember(x, other, key, lots)
        key = next_level(x, other, key, &lots)
    if stopped:
        change(x, now, o, EXPIRED, SELF_TRADE)
    elif o.remaining > 0 and endless:
        fill(x, now, o, o.tick, o.remaining, False, mid)
    elif o.remaining > 0 and o.tif == GTC:
        rest(x, now, o, new)
    elif o.remaining > 0:
        change(x, now, o, EXPIRED,
               NO_LIQUIDITY if marketable or o.tif == MARKET else NOT_MARKETABLE)


cdef inline void enter(exchange_t* x, nanos_t now, order_t* o) noexcept nogil:
    """An order meets the book: a new one, a replaced one or one that was triggered."""
    cdef int other = o.side > 0
    cdef bint new = o.status == SUBMITTED
    cdef int64_t limit
    if o.reduce_only:
        if closable(x, o.side) == 0:
            change(x, now, o, EXPIRED, REDUCE_ONLY)
            return
        if closable(x, o.side) < o.remaining:
            resize(x, now, o, closable(x, o.side), REDUCE_ONLY)
    if o.tif == MARKET:
        limit = NO_KEY + 1
    else:
        limit = -o.tick if other else o.tick
    if o.tif == POST_ONLY:
        if (ladder_key(&x.book.ladder[other]) >= limit
                or (x.self_trade != ALLOW and x.greatest[other] >= limit)):
            change(x, now, o, EXPIRED, WOULD_TAKE)
        else:
            rest(x, now, o, new)
    elif o.tif == FOK and not fillable(x, o, limit):
        change(x, now, o, EXPIRED, FILL_OR_KILL)
    else:
        take(x, now, o, limit, new)
        if x.n_reducing > 0:
            reduce(x, now)

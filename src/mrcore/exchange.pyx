"""Simulated exchange: resting orders with a queue position in a recorded market.

Rules (those of hftbacktest, which `tests/hftbacktest` compares order by order, but for
its two faults: a partial fill that is exact ends the order, and the position counts every
partial fill):

- An order that rests joins the queue behind the size displayed at its price.
- A trade at its price eats the queue; whole lots beyond it execute, as maker. A trade
  through its price, or an opposite best that improves to or through it, fills it whole.
  The ``strict`` model lets nothing but trades fill, and never more than they traded.
- ``fifo``: where the feed names the market's orders, all that were there first stand before an
  own order and all others behind it. A recorded fill is had first by the own orders before the
  order that it was of, by price and then arrival, and a new order by those that it crosses;
  never more of them than it was. A cleared book ends what waits there, for its place is lost.
  So does hftbacktest's ``L3FIFOQueueModel``, which fills whole; but it leaves an own order
  priced better than the whole market where it is.
- ``partial_fills=False`` fills an order whole as soon as one lot executes, and a
  marketable one whole at the best price.
- With partial fills a marketable order takes the displayed sizes up to its price, a market
  order all that is displayed. What is left of an IOC or market order expires; a FOK order
  that cannot be filled whole expires before it takes anything.
- ``remember_taking``: what own orders took of a displayed level is gone for them until the
  level's next update. What is left of a GTC order rests; it meets the levels that it took as
  they are updated. Without ``remember_taking`` the rest of a GTC order executes at its own
  price, as hftbacktest has it, since the recorded book still shows what it took.
- A post-only order that would take expires.
- Requests and responses take what `mrcore.latency` says and arrive in the order sent. A
  request that gets lost on its way is rejected, and logged at the local time we hear of it.
- Replacing an order by another price or a larger remaining size puts it behind the queue, as
  if it were new; a smaller size keeps its place. The size asked for includes what has been
  filled, as at Binance and Bybit (hftbacktest's does not); at or below that it is a cancel.
- A stop order sleeps until a trade of the recorded market at its stop price or beyond, then
  arrives as its ``tif`` says. One that the last trade would trigger at once is rejected.
- A reduce-only order never turns the position: it is rejected when there is nothing to reduce,
  cut to what there is when it arrives, and cut again or expired as other fills reduce it. Each
  is held against the position alone; Binance and Bybit add up those of a side.
- Self-trade prevention acts when an order reaches an own one of the other side, before it
  takes anything displayed at that price. A post-only order that would take from an own order
  expires in every mode but ``allow``.
- An order that the account's margin does not cover is rejected as it arrives, or expires as it
  is triggered; a replacement that it does not cover leaves the order as it was. When the
  account is liquidated every order is cancelled and the position closed by a market order of
  the exchange's own, which the logs show; requests after that are rejected.
- ``max_open_orders`` is for orders that could wait, as they arrive; ``rate_limit`` counts new
  and replacing requests that it lets through in windows of the exchange's clock.
"""
from libc.math cimport INFINITY, isnan
from libc.stdint cimport INT64_MAX, int64_t, int8_t, uintptr_t
from libc.stdlib cimport free
from libc.string cimport memset

from mrcore.account cimport account_allows, account_t
from mrcore.book cimport (
    NO_KEY, book_clear, book_free, book_init, book_owned, ladder_key, ladder_next,
)
from mrcore.matching cimport enter, next_level
from mrcore.orders cimport (
    ACCEPTED, CANCELLED, CANCEL_REJECTED, CLEARED, EXPIRED, GTC, LIQUIDATED, MARGIN, MARKET,
    MAX_OPEN_ORDERS, NOT_OPEN, NO_REASON, POST_ONLY, RATE_LIMIT, REDUCE_ONLY, REJECTED,
    REPLACE_REJECTED, SUBMITTED, TRIGGERED, WOULD_TRIGGER, bus_next, bus_pop, fill_t, message_t,
    order_event_t, order_t,
)
from mrcore.owned cimport owned_add, owned_list_t
from mrcore.queue cimport (
    FIFO, KERNEL, STRICT, TABLE, behind_t, queue_depth, queue_executable, queue_model_t,
    queue_rule_t, queue_trade,
)
from mrcore.requests cimport new_order
from mrcore.types cimport lots_t, nanos_t, tick_t
from mrcore.venue cimport (
    BUY_STOPS, MARKS, SELL_STOPS, answer, change, closable, displace, exchange_mid, exchange_open,
    exchange_t, fill, first_at, log_event, mid_between, place, place_in, reduce, remember, resize,
    taken_t, taking_at, waiting_t,
)

import ctypes

import numpy as np

EVENTS = ("submitted", "accepted", "rejected", "partially_filled", "filled",
          "cancel_requested", "cancelled", "cancel_rejected", "expired",
          "replace_requested", "replaced", "replace_rejected", "triggered")
TIFS = ("gtc", "post_only", "ioc", "market", "fok")
REASONS = ("", "would_take", "not_marketable", "no_liquidity", "fill_or_kill", "self_trade",
           "would_trigger", "reduce_only", "max_open_orders", "rate_limit", "not_open", "lost",
           "margin", "liquidated", "cleared")
QUEUE_MODELS = ("risk_averse", "log", "log2", "power", "power2", "power3", "table", "kernel",
                "strict", "optimistic", "fifo")
SELF_TRADE_MODES = ("allow", "expire_taker", "expire_maker", "expire_both")
FUNCTION = ctypes.CFUNCTYPE(None).__base__      # of every ctypes function

ORDER_DTYPE = np.dtype([
    ("time", "i8"), ("order_id", "i8"), ("status", "i1"), ("side", "i1"), ("tif", "i1"),
    ("tick", "i8"), ("lots", "i8"), ("remaining", "i8"), ("decision_mid", "f8"),
    ("stop_tick", "i8"), ("reduce_only", "?"), ("reason", "i1")])
ORDER_EVENT_DTYPE = np.dtype([
    ("time", "i8"), ("order_id", "i8"), ("event", "i1"), ("side", "i1"), ("tif", "i1"),
    ("tick", "i8"), ("lots", "i8"), ("remaining", "i8"), ("reason", "i1")])
FILL_DTYPE = np.dtype([
    ("time", "i8"), ("order_id", "i8"), ("side", "i1"), ("tick", "i8"), ("lots", "i8"),
    ("maker", "?"), ("fee", "f8"), ("mid", "f8"), ("decision_mid", "f8"),
    ("position_lots", "i8"), ("cash", "f8")])


cdef int queue_rule(queue_rule_t* rule, str model, double power, const double[::1] table,
                    object kernel) except -1:
    """Check and set a queue model; the caller keeps `table` and `kernel` alive."""
    cdef uintptr_t address = 0
    if model not in QUEUE_MODELS:
        raise ValueError(f"queue_model must be one of {QUEUE_MODELS}, was {model!r}")
    rule.model = <queue_model_t><int>QUEUE_MODELS.index(model)
    if not 0.0 < power < INFINITY:
        raise ValueError(f"queue_power must be finite and > 0, was {power}")
    rule.power = power
    if (table is not None) != (rule.model == TABLE):
        raise ValueError("queue_table is for queue_model='table', which needs it")
    if (kernel is not None) != (rule.model == KERNEL):
        raise ValueError("queue_kernel is for queue_model='kernel', which needs it")
    if table is not None:
        if table.shape[0] < 2 or not np.all((np.asarray(table) >= 0) & (np.asarray(table) <= 1)):
            raise ValueError("queue_table must have at least two values, all in [0, 1]")
        rule.table = &table[0]
        rule.table_n = table.shape[0]
    if kernel is not None:
        if hasattr(kernel, "address"):
            address = kernel.address
        elif isinstance(kernel, FUNCTION):
            address = ctypes.cast(kernel, ctypes.c_void_p).value
        else:
            raise TypeError("queue_kernel must be a ctypes function or have an `address`, was "
                            f"{kernel!r}")
        rule.kernel = <behind_t><void*>address
    return 0


cdef int exchange_init(exchange_t* x, int64_t window) noexcept nogil:
    """Make an exchange with an empty book; -1 when there is no memory."""
    cdef int where
    memset(x, 0, sizeof(exchange_t))
    for where in range(4):
        x.greatest[where] = NO_KEY
    x.last_trade = -1
    return book_init(&x.book, window)


cdef void exchange_free(exchange_t* x) noexcept nogil:
    cdef int where
    if x.holding is not NULL:       # the account keeps it, with its last mark
        exchange_survey(x)
        x.holding.owner = NULL
    book_free(&x.book)
    for where in range(4):
        free(x.waiting[where])
    for where in range(2):
        free(x.taken[where])
    free(x.orders)
    free(x.events)
    free(x.fills)
    free(x.requests.item)
    free(x.responses.item)
    memset(x, 0, sizeof(exchange_t))


cdef void exchange_owned(exchange_t* x, owned_list_t* owned) noexcept nogil:
    """Its arrays."""
    cdef int where
    book_owned(&x.book, owned)
    for where in range(4):
        owned_add(owned, <void**>&x.waiting[where], x.waiting_capacity[where] * sizeof(waiting_t))
    for where in range(2):
        owned_add(owned, <void**>&x.taken[where], x.taken_capacity[where] * sizeof(taken_t))
    owned_add(owned, <void**>&x.orders, x.orders_capacity * sizeof(order_t))
    owned_add(owned, <void**>&x.events, x.events_capacity * sizeof(order_event_t))
    owned_add(owned, <void**>&x.fills, x.fills_capacity * sizeof(fill_t))
    owned_add(owned, <void**>&x.requests.item, x.requests.capacity * sizeof(message_t))
    owned_add(owned, <void**>&x.responses.item, x.responses.capacity * sizeof(message_t))


# ------------------------------------------------------------------------- the account


cdef void exchange_survey(void* exchange) noexcept nogil:
    """Tell the account the mark, and the orders in the book that may add to the position."""
    cdef exchange_t* x = <exchange_t*>exchange
    cdef double mid = exchange_mid(x)
    cdef const order_t* o
    cdef lots_t lots
    cdef Py_ssize_t at
    cdef int side
    if not isnan(mid):              # else the last one known
        x.holding.mark = mid
    for side in range(2):
        lots = 0
        for at in range(x.n_waiting[side]):
            o = &x.orders[x.waiting[side][at].order]
            if not o.reduce_only:
                lots += o.remaining
        x.holding.open[side] = lots


cdef void exchange_liquidate(void* exchange, nanos_t now) noexcept nogil:
    """Cancel every order, and close what the book takes of the position."""
    cdef exchange_t* x = <exchange_t*>exchange
    cdef lots_t position = x.holding.position
    cdef lots_t lots = 0
    cdef int64_t order
    cdef order_t* o
    cdef int where
    for where in range(4):
        while x.n_waiting[where] > 0:
            o = &x.orders[x.waiting[where][0].order]
            displace(x, where, 0)
            change(x, now, o, CANCELLED, LIQUIDATED)
    if position == 0 or next_level(x, position < 0, -NO_KEY, &lots) == NO_KEY:
        return
    order = new_order(x, now, -1 if position > 0 else 1, 0, max(position, -position), MARKET,
                      False, -1, exchange_mid(x))
    if order >= 0:
        log_event(x, now, &x.orders[order], SUBMITTED, LIQUIDATED)
        enter(x, now, &x.orders[order])


cdef void exchange_join(exchange_t* x, account_t* account, Py_ssize_t row) noexcept nogil:
    """Book into a holding of an account from now on."""
    x.account = account
    x.holding = account.holdings[row]
    x.holding.owner = x
    x.holding.survey = exchange_survey
    x.holding.liquidate = exchange_liquidate


# ------------------------------------------------------------------------- the market moves


cdef void exchange_level(exchange_t* x, int side, int64_t key, lots_t before,
                         lots_t after) noexcept nogil:
    """A level changed that own orders may stand at, or have taken from."""
    cdef waiting_t* w = x.waiting[side]
    cdef Py_ssize_t k = taking_at(x, side, key)
    if k < x.n_taken[side]:
        x.n_taken[side] -= 1
        x.taken[side][k] = x.taken[side][x.n_taken[side]]
        x.mark[side][key & (MARKS - 1)] -= 1
    k = first_at(w, x.n_waiting[side], key)
    while k < x.n_waiting[side] and w[k].key == key:
        queue_depth(&w[k].queue, &x.queue, before * x.lot_size, after * x.lot_size)
        k += 1


cdef void exchange_clear(exchange_t* x, nanos_t now) noexcept nogil:
    """The recorded book starts anew."""
    cdef int side
    cdef order_t* o
    book_clear(&x.book)
    for side in range(2):
        while x.n_taken[side] > 0:
            x.n_taken[side] -= 1
            x.mark[side][x.taken[side][x.n_taken[side]].key & (MARKS - 1)] -= 1
        while x.queue.model == FIFO and x.n_waiting[side] > 0:
            o = &x.orders[x.waiting[side][0].order]
            displace(x, side, 0)
            change(x, now, o, EXPIRED, CLEARED)


cdef lots_t execute(exchange_t* x, nanos_t now, int side, int64_t key, lots_t traded,
                    lots_t most, double mid) noexcept nogil:
    """Execute resting orders that the market reaches at `key`, `most` lots; how many it was.

    With `traded` 0 it is an opposite level that reaches them, not a trade.
    """
    cdef waiting_t* w = x.waiting[side]
    cdef Py_ssize_t at = 0
    cdef lots_t left = most, lots
    cdef order_t* o
    while at < x.n_waiting[side] and w[at].key >= key:
        o = &x.orders[w[at].order]
        lots = o.remaining
        if traded > 0 and w[at].key == key:
            queue_trade(&w[at].queue, traded * x.lot_size)
            lots = <lots_t>queue_executable(&w[at].queue, x.lot_size)
            if lots > 0 and not x.partial_fills:
                lots = o.remaining
        lots = min(min(lots, o.remaining), left)
        if o.reduce_only:
            lots = min(lots, closable(x, o.side))
        if lots > 0:
            left -= lots
            fill(x, now, o, o.tick, lots, True, mid)
        if o.remaining == 0:
            displace(x, side, at)
        else:
            at += 1
    if x.n_reducing > 0:
        reduce(x, now)
    return most - left


cdef void exchange_hit(exchange_t* x, nanos_t now, int side, int64_t key,
                       lots_t lots) noexcept nogil:
    """A trade reaches resting orders."""
    if x.queue.model == FIFO:
        return                  # what it was of reaches them
    execute(x, now, side, key, lots, lots if x.queue.model == STRICT else INT64_MAX,
            exchange_mid(x))


cdef void exchange_cross(exchange_t* x, nanos_t now, int side, int64_t key, lots_t before,
                         lots_t after) noexcept nogil:
    """A level changed that reaches own orders of the other side."""
    cdef int64_t best[2]
    cdef lots_t lots = 0
    if after == 0 or x.queue.model == STRICT:
        return
    best[1 - side] = ladder_key(&x.book.ladder[1 - side])
    if before == 0 and ladder_key(&x.book.ladder[side]) == key:
        # the best improved through an own order: it would have traded with it
        best[side] = ladder_next(&x.book.ladder[side], key, &lots)
        execute(x, now, 1 - side, -key, 0, INT64_MAX, mid_between(best[0], best[1], x.tick_size))
    elif x.remember_taking:
        # what an own order did not get here rests: it meets what is there now
        remember(x, side, key, execute(x, now, 1 - side, -key, 0, after, exchange_mid(x)))


cdef lots_t exchange_before(exchange_t* x, nanos_t now, int side, int64_t key, int64_t arrival,
                            lots_t lots) noexcept nogil:
    """Own orders that stand before an execution of the market get it first; how much it was."""
    cdef lots_t had = 0, part
    cdef Py_ssize_t at = 0
    cdef waiting_t* w
    cdef order_t* o
    cdef double mid = exchange_mid(x)
    while at < x.n_waiting[side] and (had < lots or not x.partial_fills):
        w = &x.waiting[side][at]
        if w.key < key or (w.key == key and w.arrival >= arrival):
            break
        o = &x.orders[w.order]
        part = min(o.remaining, lots - had) if x.partial_fills else o.remaining
        if o.reduce_only:
            part = min(part, closable(x, o.side))
        if part > 0:
            had += part
            fill(x, now, o, o.tick, part, True, mid)
        if o.remaining == 0:
            displace(x, side, at)
        else:
            at += 1
    if x.n_reducing > 0:
        reduce(x, now)
    return had


cdef void exchange_trigger(exchange_t* x, nanos_t now, tick_t tick) noexcept nogil:
    """A trade reaches stops: their orders arrive."""
    cdef int where
    cdef order_t* o
    for where in range(BUY_STOPS, 4):
        while x.greatest[where] + (tick if where == BUY_STOPS else -tick) >= 0:
            o = &x.orders[x.waiting[where][0].order]
            displace(x, where, 0)
            o.time = now
            answer(x, now, o, TRIGGERED, NO_REASON, 0, 0)
            if account_allows(x.account, x.holding, o.side, o.remaining, o.reduce_only):
                enter(x, now, o)
            else:
                change(x, now, o, EXPIRED, MARGIN)


# ------------------------------------------------------------------------- requests arrive


cdef bint too_many(exchange_t* x, nanos_t now) noexcept nogil:
    """Whether a request is beyond the rate limit; it counts when it is not."""
    cdef nanos_t since
    if x.rate_limit == 0:
        return False
    since = now % x.rate_ns
    if since < 0:
        since += x.rate_ns
    if now - since != x.rate_start:
        x.rate_start = now - since
        x.rate_count = 0
    if x.rate_count == x.rate_limit:
        return True
    x.rate_count += 1
    return False


cdef int8_t refusal(exchange_t* x, nanos_t now, const order_t* o) noexcept nogil:
    """Why a new order is rejected, NO_REASON when it is not."""
    if x.account.halted:
        return LIQUIDATED
    if too_many(x, now):
        return RATE_LIMIT
    if (x.max_open_orders > 0 and exchange_open(x) >= x.max_open_orders
            and (o.tif == GTC or o.tif == POST_ONLY or o.stop_tick >= 0)):
        return MAX_OPEN_ORDERS
    if o.stop_tick < 0:
        if o.reduce_only and closable(x, o.side) == 0:
            return REDUCE_ONLY
        if not account_allows(x.account, x.holding, o.side, o.remaining, o.reduce_only):
            return MARGIN
        return NO_REASON
    if x.last_trade >= 0 and o.side * (x.last_trade - o.stop_tick) >= 0:
        return WOULD_TRIGGER
    return NO_REASON


cdef void arrive(exchange_t* x, nanos_t now, order_t* o) noexcept nogil:
    """A new order reaches the exchange."""
    cdef int8_t reason = refusal(x, now, o)
    if reason != NO_REASON:
        change(x, now, o, REJECTED, reason)
    elif o.stop_tick >= 0:
        place(x, o, BUY_STOPS if o.side > 0 else SELL_STOPS)
        change(x, now, o, ACCEPTED, NO_REASON)
    else:
        enter(x, now, o)


cdef void amend(exchange_t* x, nanos_t now, order_t* o, tick_t tick, lots_t lots) noexcept nogil:
    """A request to replace or to cancel (`lots` 0) an order reaches the exchange."""
    cdef int8_t refused = REPLACE_REJECTED if lots > 0 else CANCEL_REJECTED
    cdef lots_t remaining = lots - (o.lots - o.remaining)
    cdef int where = o.side < 0
    cdef Py_ssize_t at = place_in(x, o, where)
    if at < 0 and o.stop_tick >= 0:
        where = BUY_STOPS if o.side > 0 else SELL_STOPS
        at = place_in(x, o, where)
    if lots > 0 and too_many(x, now):
        answer(x, now, o, refused, RATE_LIMIT, 0, 0)
    elif at < 0:
        answer(x, now, o, refused, NOT_OPEN, 0, 0)
    elif remaining <= 0:
        displace(x, where, at)
        change(x, now, o, CANCELLED, NO_REASON)
    elif where < BUY_STOPS and not account_allows(
            x.account, x.holding, o.side, remaining - o.remaining, o.reduce_only):
        answer(x, now, o, refused, MARGIN, 0, 0)
    else:
        o.status = ACCEPTED
        o.reason = NO_REASON
        if where >= BUY_STOPS or (tick == o.tick and remaining <= o.remaining):
            o.tick = tick
            resize(x, now, o, remaining, NO_REASON)
        else:
            displace(x, where, at)
            o.tick = tick
            resize(x, now, o, remaining, NO_REASON)
            enter(x, now, o)


cdef void exchange_serve(exchange_t* x) noexcept nogil:
    """Process the next request in flight, and those with it; they see all data up to then.

    Not beyond one that is answered at once: what it leads to may come before the others.
    """
    cdef message_t request
    cdef order_t* o
    cdef nanos_t now = x.requests.item[x.requests.head].time
    while bus_next(&x.requests, INT64_MAX) == now:
        request = bus_pop(&x.requests)
        o = &x.orders[request.order]
        if request.event == SUBMITTED:
            arrive(x, now, o)
        else:
            amend(x, now, o, request.tick, request.lots)
        if bus_next(&x.responses, INT64_MAX) <= now:
            return

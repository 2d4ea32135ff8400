"""The loop: recorded data, requests, responses and decisions in the order of two clocks.

On the exchange clock the recorded market and own orders meet. On the local clock the same
data arrive later: decisions know only that. Order at one timestamp: local data, order
responses, decisions (samples, then scheduled targets and orders, then the executor), the
account (funding, fee tier, margin), exchange data, order requests. So a decision at T knows
all that was received by T, a request that arrives at T sees all exchange data up to T, and
funding at T is for the position before both. Within one stream and clock:
trades before deltas, then as stored. Deltas with one timestamp are one message; the book
is looked at after its last row.

What decisions need of the received book is its touch. Where every message is received after
it happened the touch is taken down when the message is applied to the exchange's book, and
read when it arrives: one book serves both clocks. Without a delay, or when its depth is
asked for, the received book is kept as a book of its own (`two_books`), to the same result.
"""
from libc.math cimport NAN
from libc.stdint cimport int8_t, int64_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memmove

cimport cython

from mrcore.account cimport account_due, account_pass, account_start
from mrcore.book cimport (
    NO_KEY, book_ask, book_bid, book_clear, book_free, book_owned, book_set, book_settle, book_t,
    ladder_best_lots,
)
from mrcore.exchange cimport (
    CANCEL_REJECTED, FILLED, PARTIALLY_FILLED, POST_ONLY, bus_next, bus_pop, exchange_clear,
    exchange_delta, exchange_find, exchange_forget, exchange_free, exchange_idle, exchange_order,
    exchange_owned, exchange_request_cancel, exchange_request_replace, exchange_request_submit,
    exchange_serve, exchange_t, exchange_trade, is_final, message_t,
)
from mrcore.executor cimport (
    SEND, WAIT, action_t, executor_response, executor_sent, executor_step, executor_target,
    executor_timer, executor_watches,
)
from mrcore.orders cimport LIQUIDATED, MARGIN, REJECTED, REPLACE_REJECTED
from mrcore.owned cimport owned_add, owned_list_t
from mrcore.sampler cimport (
    MARKET_COLUMNS, sampler_book, sampler_book_row, sampler_free, sampler_gap, sampler_owned,
    sampler_trade, sampler_trades_row,
)
from mrcore.tape cimport (
    NEVER, tape_local, tape_message_end, tape_next, tape_next_local, tape_t,
)
from mrcore.types cimport lots_t, nanos_t, side_t, tick_t
from mrcore.working cimport working_add, working_drop, working_find, working_t


cdef void loop_free(replay_t* r) noexcept nogil:
    exchange_free(&r.exchange)
    book_free(&r.book)
    sampler_free(&r.sampler)
    free(r.touches)
    free(r.working.item)
    free(r.rows)
    r.touches = NULL
    r.working.item = NULL
    r.rows = NULL


cdef void loop_owned(replay_t* r, owned_list_t* owned) noexcept nogil:
    """Its arrays; the other pointers are to what Python objects own."""
    exchange_owned(&r.exchange, owned)
    book_owned(&r.book, owned)
    sampler_owned(&r.sampler, owned)
    owned_add(owned, <void**>&r.touches, r.touch_capacity * sizeof(touch_t))
    owned_add(owned, <void**>&r.working.item, r.working.capacity * sizeof(working_t))
    owned_add(owned, <void**>&r.rows, r.rows_capacity * N_COLUMNS * sizeof(double))


cdef void loop_forget(replay_t* r) noexcept nogil:
    """Drop the samples taken, the logs, and the orders that are known to be finished."""
    cdef int64_t kept = r.market - r.sample     # rows that wait for their other columns
    if kept > 0:
        memmove(r.rows, r.rows + (r.sample - r.first_row) * N_COLUMNS,
                kept * N_COLUMNS * sizeof(double))
    r.first_row = r.sample
    exchange_forget(&r.exchange)


cdef bint loop_failed(const replay_t* r) noexcept nogil:
    """Whether memory ran out anywhere."""
    return r.failed or r.exchange.failed or r.exchange.book.failed or r.book.failed


cdef void* room(replay_t* r, void* items, Py_ssize_t n, Py_ssize_t* capacity,
                size_t size) noexcept nogil:
    """The array with room for one more item; NULL (and `failed`) when there is no memory."""
    cdef void* more
    if n < capacity[0]:
        return items
    more = realloc(items, (2 * n + 64) * size)
    if more is NULL:
        r.failed = True
    else:
        capacity[0] = 2 * n + 64
    return more


cdef double loop_mid(const replay_t* r) noexcept nogil:
    """Mid of the received book in quote units, NaN when a side is empty."""
    if r.known.bid == NO_KEY or r.known.ask == -NO_KEY:
        return NAN
    return 0.5 * (r.known.bid + r.known.ask) * r.exchange.tick_size


# Samples ---------------------------------------------------------------------------------

cdef nanos_t loop_sample_time(const replay_t* r, int64_t sample) noexcept nogil:
    """Local time of a sample, NEVER when there is none."""
    if r.interval > 0:
        return r.first_sample + sample * r.interval if r.first_sample < NEVER else NEVER
    return r.sample_time[sample] if sample < r.n_samples else NEVER


cdef void take_market(replay_t* r, const book_t* book) noexcept nogil:
    """The book's columns of the next row: all that is received by its time, and no more."""
    cdef nanos_t at = loop_sample_time(r, r.market)
    cdef void* more = room(r, r.rows, r.market - r.first_row, &r.rows_capacity,
                           N_COLUMNS * sizeof(double))
    if more is NULL:
        return
    r.rows = <double*>more
    sampler_book_row(&r.sampler, book, at, r.exchange.tick_size, r.exchange.lot_size,
                     r.rows + (r.market - r.first_row) * N_COLUMNS)
    r.market += 1


cdef void take_sample(replay_t* r) noexcept nogil:
    """Complete one row of SAMPLE_COLUMNS by the trades, and the account as the exchange has it.

    Trades received by the sample's time are all fed only once that time is reached: their own
    delay may be shorter than that of the message that replaced the sample's book.
    """
    cdef exchange_t* x = &r.exchange
    cdef tape_t* trades = &r.trades
    cdef nanos_t at = loop_sample_time(r, r.sample)
    cdef double* out
    if r.market == r.sample:
        take_market(r, &r.book if r.two_books else &x.book)
    if r.failed:
        return
    out = r.rows + (r.sample - r.first_row) * N_COLUMNS
    while trades.sampled < trades.n and tape_local(trades, trades.sampled) <= at:
        sampler_trade(&r.sampler, trades.side[trades.sampled], trades.tick[trades.sampled],
                      trades.lots[trades.sampled])
        trades.sampled += 1
    sampler_trades_row(&r.sampler, x.tick_size, x.lot_size, x.holding.multiplier, out)
    out += MARKET_COLUMNS
    out[0] = x.holding.position * x.lot_size
    out[1] = x.holding.cash
    out[2] = x.holding.fees
    r.sample += 1


# Received --------------------------------------------------------------------------------

cdef inline void read_touch(const book_t* b, touch_t* touch) noexcept nogil:
    touch.bid = book_bid(b)
    touch.ask = book_ask(b)
    touch.bid_lots = ladder_best_lots(&b.ladder[0])
    touch.ask_lots = ladder_best_lots(&b.ladder[1])


cdef void make_touch_room(replay_t* r, nanos_t now) noexcept nogil:
    """Room for one more touch: those that nobody can look at any more go first.

    Nothing is decided before the exchange time reached, so of the touches received by then
    only the last counts.
    """
    cdef touch_t* t = r.touches + r.touch_head
    cdef Py_ssize_t old = 0
    cdef void* more
    while old + 1 < r.n_touches and t[old + 1].time <= now:
        old += 1
    r.n_touches -= old
    if r.n_touches > 0:
        memmove(r.touches, t + old, r.n_touches * sizeof(touch_t))
    r.touch_head = 0
    if 2 * r.n_touches >= r.touch_capacity:     # or it would soon be full again
        more = realloc(r.touches, (2 * r.touch_capacity + 256) * sizeof(touch_t))
        if more is NULL:
            r.failed = True
            r.n_touches = 0                     # the caller still writes one, if it can
            return
        r.touches = <touch_t*>more
        r.touch_capacity = 2 * r.touch_capacity + 256


cdef inline void note_touch(replay_t* r, nanos_t now, nanos_t local) noexcept nogil:
    """A message has been applied at the exchange, and will be received at `local`."""
    cdef touch_t* touch
    if cython.unlikely(r.touch_head + r.n_touches >= r.touch_capacity):
        make_touch_room(r, now)
        if r.failed:
            return
    touch = r.touches + r.touch_head + r.n_touches
    r.n_touches += 1
    touch.time = local
    read_touch(&r.exchange.book, touch)


cdef void receive_deltas(replay_t* r, nanos_t until) noexcept nogil:
    """Messages that arrive up to local time `until`, in the book kept for them."""
    cdef tape_t* tape = &r.deltas
    cdef Py_ssize_t d = tape.received, end
    cdef book_t* b = &r.book
    cdef nanos_t at
    while d < tape.n:
        end = tape_message_end(tape, d)
        at = tape_local(tape, end - 1)
        if at > until:
            break
        while d < end:
            if cython.unlikely(tape.side[d] == 0):
                book_clear(b)
                sampler_gap(&r.sampler)
            else:
                book_set(b, tape.side[d], tape.tick[d], tape.lots[d])
            d += 1
        book_settle(b)
        if r.sampling:
            sampler_book(&r.sampler, b, at)
        r.known.time = at
    tape.received = d
    read_touch(b, &r.known)


cdef void receive(replay_t* r, nanos_t until) noexcept nogil:
    """Everything that arrives up to local time `until`."""
    cdef nanos_t before = r.known.time
    cdef tape_t* trades = &r.trades
    cdef Py_ssize_t first = trades.received
    if r.two_books:
        receive_deltas(r, until)
    else:
        while r.n_touches > 0 and r.touches[r.touch_head].time <= until:
            r.known = r.touches[r.touch_head]
            r.touch_head += 1
            r.n_touches -= 1
    while trades.received < trades.n and tape_local(trades, trades.received) <= until:
        trades.received += 1
    if loop_sample_time(r, r.sample) == NEVER:
        trades.sampled = trades.received
    if r.wake_feed and (r.known.time != before or trades.received != first):
        r.woken |= FEED


cdef nanos_t next_message(const replay_t* r) noexcept nogil:
    """Local time at which the next message arrives, NEVER when there is none."""
    cdef const tape_t* tape = &r.deltas
    cdef Py_ssize_t row = tape.received if r.two_books else tape.exchange
    if r.n_touches > 0:
        return r.touches[r.touch_head].time
    if row >= tape.n:
        return NEVER
    return tape_local(tape, row if tape.local is NULL else tape_message_end(tape, row) - 1)


cdef void respond(replay_t* r, nanos_t now) noexcept nogil:
    """Responses that have reached us."""
    cdef exchange_t* x = &r.exchange
    cdef message_t m
    cdef int64_t order_id
    cdef int8_t reason
    cdef working_t* w
    while bus_next(&x.responses, NEVER) <= now:
        m = bus_pop(&x.responses)
        order_id = x.orders[m.order].order_id
        if m.event == FILLED or m.event == PARTIALLY_FILLED:
            r.position += x.orders[m.order].side * m.lots
            r.known_fills += 1
            if r.wake_fill:
                r.woken |= FILL
        if is_final(m.event) or m.event == CANCEL_REJECTED or m.event == REPLACE_REJECTED:
            w = working_find(&r.working, order_id)
            if w is not NULL and m.event == CANCEL_REJECTED:
                w.leaving = False
            elif w is not NULL and m.event == REPLACE_REJECTED:
                w.tick = x.orders[m.order].tick
            elif w is not NULL:
                working_drop(&r.working, w)
        if r.executing and order_id == r.executor.order:
            if m.event == REJECTED:         # asked again, the answer would be the same
                reason = x.orders[m.order].reason
                r.executor.refused = reason == MARGIN or reason == LIQUIDATED
            executor_response(&r.executor, m.time, m.event, m.tick, m.lots)


# Decisions -------------------------------------------------------------------------------

cdef int64_t send(replay_t* r, side_t side, tick_t tick, lots_t lots, int tif,
                  bint reduce_only, tick_t stop, double decision_mid, bint quote) noexcept nogil:
    """Send an order now; its id, or -1 when there is no memory."""
    cdef int64_t order = exchange_request_submit(
        &r.exchange, r.now, side, tick, lots, tif, reduce_only, stop, decision_mid)
    cdef working_t* w
    if order < 0:
        return -1
    w = working_add(&r.working)
    if w is NULL:
        r.failed = True
        return -1
    w.order_id = r.exchange.orders[order].order_id
    w.side = side
    w.tick = tick
    w.quote = quote
    w.leaving = False
    return w.order_id


cdef int64_t loop_submit(
    replay_t* r, side_t side, tick_t tick, lots_t lots, int tif, bint reduce_only, tick_t stop,
    bint quote
) noexcept nogil:
    """Send an order now, decided on the received book; its id, or -1 without memory."""
    return send(r, side, tick, lots, tif, reduce_only, stop, loop_mid(r), quote)


cdef void withdraw(replay_t* r, working_t* w) noexcept nogil:
    """Ask for a working order to be cancelled."""
    w.leaving = True
    exchange_request_cancel(&r.exchange, r.now, exchange_find(&r.exchange, w.order_id))


cdef void loop_cancel(replay_t* r, int64_t order_id) noexcept nogil:
    """Ask for an order to be cancelled, whatever is known of it."""
    cdef int64_t order = exchange_find(&r.exchange, order_id)
    cdef working_t* w = working_find(&r.working, order_id)
    if w is not NULL:
        w.leaving = True
    if order >= 0:
        exchange_request_cancel(&r.exchange, r.now, order)


cdef void loop_replace(
    replay_t* r, int64_t order_id, tick_t tick, lots_t lots
) noexcept nogil:
    """Ask for an order to get another price and size; from now on it counts as there."""
    cdef working_t* w = working_find(&r.working, order_id)
    if w is not NULL:
        w.tick = tick
    exchange_request_replace(&r.exchange, r.now, exchange_find(&r.exchange, order_id), tick, lots)


cdef void loop_cancel_all(replay_t* r) noexcept nogil:
    """Ask for every working order to be cancelled whose cancel is not on the way already."""
    cdef Py_ssize_t k
    cdef working_t* w
    for k in range(r.working.n):
        w = &r.working.item[r.working.head + k]
        if not w.leaving:
            withdraw(r, w)


cdef void quote_side(replay_t* r, side_t side, tick_t best, lots_t lots, int levels,
                     tick_t step, uint64_t there) noexcept nogil:
    """Send what is missing of one side's ladder."""
    cdef int level
    cdef tick_t tick = best
    for level in range(levels):
        if tick < 0:
            return
        if not (there >> level) & 1:
            loop_submit(r, side, tick, lots, POST_ONLY, False, -1, True)
        tick -= side * step


cdef void loop_quote(
    replay_t* r, tick_t bid, tick_t ask, lots_t lots, int levels, tick_t step, bint keep
) noexcept nogil:
    """Want a ladder of post-only orders a side; NO_KEY and -NO_KEY want none there.

    `levels` is at most MOST_LEVELS.
    """
    cdef Py_ssize_t k
    cdef int64_t away
    cdef uint64_t there[2]          # levels of bids and asks that stand already
    cdef working_t* w
    there[0] = there[1] = 0
    for k in range(r.working.n):
        w = &r.working.item[r.working.head + k]
        if w.quote and not w.leaving:
            away = bid - w.tick if w.side > 0 else w.tick - ask     # far off without a best
            if keep and 0 <= away < levels * step and away % step == 0:
                there[w.side < 0] |= <uint64_t>1 << (away // step)
            else:
                withdraw(r, w)
    if bid != NO_KEY:
        quote_side(r, 1, bid, lots, levels, step, there[0])
    if ask != -NO_KEY:
        quote_side(r, -1, ask, lots, levels, step, there[1])


cdef void act(replay_t* r) noexcept nogil:
    """Let the executor look at the received book, and send what it asks for."""
    cdef action_t action
    cdef int64_t order_id = -1
    if not r.executing:
        return
    action = executor_step(&r.executor, r.now, r.known.bid, r.known.ask, r.exchange.tick_size)
    if action.act == WAIT:
        return
    if action.act == SEND:
        order_id = send(r, action.side, action.tick, action.lots, action.tif, False, -1,
                        r.executor.decision_mid, False)
    else:
        loop_cancel(r, r.executor.order)
    executor_sent(&r.executor, order_id, &action)


cdef void decide(replay_t* r) noexcept nogil:
    """Samples, scheduled targets and scheduled orders that are due."""
    cdef targets_t* t = &r.targets
    cdef requests_t* q = &r.requests
    cdef Py_ssize_t i
    cdef int64_t row
    while loop_sample_time(r, r.sample) <= r.now and not r.failed:
        take_sample(r)
    while t.next < t.n and t.time[t.next] <= r.now:
        i = t.next
        r.executing = True
        executor_target(&r.executor, r.now, t.lots[i], t.aggressive[i], t.stop[i], t.hold[i],
                        t.timeout[i], t.give_up[i], loop_mid(r))
        t.next += 1
    while q.next < q.n and q.time[q.next] <= r.now and not loop_failed(r):
        row = q.order[q.next]
        if q.withdraw[q.next]:
            loop_cancel(r, q.order_id[row])
        else:
            q.order_id[row] = loop_submit(r, q.side[row], q.tick[row], q.lots[row], q.tif[row],
                                          False, -1, False)
        q.next += 1


cdef nanos_t next_decision(const replay_t* r) noexcept nogil:
    """Local time of the next thing to be decided or answered."""
    cdef nanos_t t = loop_sample_time(r, r.sample)
    if r.targets.next < r.targets.n:
        t = min(t, r.targets.time[r.targets.next])
    if r.requests.next < r.requests.n:
        t = min(t, r.requests.time[r.requests.next])
    if r.executing:
        t = min(t, executor_timer(&r.executor))
        if executor_watches(&r.executor):
            t = min(t, next_message(r))
    if r.wake_feed:
        t = min(t, min(next_message(r), tape_next_local(&r.trades)))
    return min(max(t, r.now), bus_next(&r.exchange.responses, NEVER))


# The exchange ----------------------------------------------------------------------------

cdef void trade_until(replay_t* r, nanos_t stop) noexcept nogil:
    """Exchange data up to `stop`, or up to the first that causes a response."""
    cdef tape_t* deltas = &r.deltas
    cdef tape_t* trades = &r.trades
    cdef exchange_t* x = &r.exchange
    cdef Py_ssize_t d = deltas.exchange, t = trades.exchange, n = deltas.n
    cdef const int64_t* time = deltas.time
    cdef const signed char* side = <const signed char*>deltas.side
    cdef nanos_t td, local, tt = tape_next(trades)
    cdef nanos_t sample = NEVER if r.two_books else loop_sample_time(r, r.market)
    cdef Py_ssize_t silent = x.responses.n
    cdef bint alone = exchange_idle(x)
    while True:
        td = time[d] if d < n else NEVER
        if tt <= td:
            if tt > stop:
                break
            exchange_trade(x, tt, trades.side[t], trades.tick[t], trades.lots[t])
            t += 1
            tt = trades.time[t] if t < trades.n else NEVER
        else:
            if td > stop:
                break
            local = tape_local(deltas, d if deltas.local is NULL
                               else tape_message_end(deltas, d) - 1)
            while sample < local and not r.failed:
                take_market(r, &x.book)
                sample = loop_sample_time(r, r.market)
            while d < n and time[d] == td:
                if cython.unlikely(side[d] == 0):
                    exchange_clear(x, td)
                    if not r.two_books:
                        sampler_gap(&r.sampler)
                elif deltas.kind is not NULL:
                    exchange_order(x, td, deltas.kind[d], side[d], deltas.tick[d], deltas.lots[d],
                                   deltas.arrival[d], deltas.quantity[d])
                elif alone:
                    book_set(&x.book, side[d], deltas.tick[d], deltas.lots[d])
                else:
                    exchange_delta(x, td, side[d], deltas.tick[d], deltas.lots[d])
                d += 1
            book_settle(&x.book)
            if not r.two_books:
                note_touch(r, td, local)
                if r.sampling:
                    sampler_book(&r.sampler, &x.book, local)
        if x.responses.n != silent:
            break
    r.events += d - deltas.exchange + t - trades.exchange
    deltas.exchange = d
    trades.exchange = t
    if not r.two_books:
        deltas.received = d
    deltas.sampled = d


cdef void start_accounts(replay_t** replays, Py_ssize_t n) noexcept nogil:
    """The days of the accounts begin with the first data of all."""
    cdef nanos_t first = NEVER
    cdef Py_ssize_t i
    for i in range(n):
        first = min(first, min(tape_next(&replays[i].deltas), tape_next(&replays[i].trades)))
    if first < NEVER:
        for i in range(n):
            account_start(replays[i].exchange.account, first)


cdef void loop_run(replay_t** replays, Py_ssize_t n, nanos_t until) noexcept nogil:
    """All that is known at `until`: local data and responses up to it, the exchange before it.

    The executor's own look at `until` waits for the next call, as a target may still be set.
    A replay that is to be woken ends the run, at the time of what woke it. At one exchange
    time the replays go in their order.
    """
    cdef replay_t* r
    cdef nanos_t front, limit, request, first, second, due, t
    cdef Py_ssize_t i, mover, asker, rival, payer
    cdef bint failed = False, woken = False
    for i in range(n):
        r = replays[i]
        if r.undecided and r.now < until:
            decide(r)
            act(r)
            r.undecided = False
    start_accounts(replays, n)
    while not failed:
        front = request = first = second = due = NEVER
        mover = asker = rival = payer = 0
        for i in range(n):
            r = replays[i]
            front = min(front, next_decision(r))
            t = bus_next(&r.exchange.requests, NEVER)
            if t < request:
                request = t
                asker = i
            t = account_due(r.exchange.account)
            if t < due:
                due = t
                payer = i
            t = min(tape_next(&r.deltas), tape_next(&r.trades))
            if t < first:
                second = first
                rival = mover
                first = t
                mover = i
            elif t < second:
                second = t
                rival = i
        limit = min(front, until)
        # the exchange goes first where it is earlier; at the same time it goes last
        if due < limit and due <= first and due <= request:
            account_pass(replays[payer].exchange.account, due)
        elif first < limit and first <= request:
            trade_until(replays[mover], min(
                min(limit, due) - 1, min(request, second if mover < rival else second - 1)))
        elif request < limit:
            exchange_serve(&replays[asker].exchange)
        elif front > until:
            break
        else:
            for i in range(n):
                r = replays[i]
                if next_decision(r) == front:
                    r.now = front
                    receive(r, front)
                    respond(r, front)
                    decide(r)
                    r.undecided = True
                    woken |= r.woken != 0
            if woken or front == until:
                until = front
                break
            for i in range(n):
                r = replays[i]
                if r.undecided:
                    act(r)
                    r.undecided = False
        for i in range(n):
            failed |= loop_failed(replays[i])
    for i in range(n):
        r = replays[i]
        receive(r, until)
        r.now = until

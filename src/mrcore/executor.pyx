"""Turns a target position into orders: aggressive, or passive with a way out.

One order works at a time. Passive: join the own touch post-only, follow it when it moves
away, and when the time-out is over cross the spread or give up. Aggressive: an IOC limit at
the opposite touch, again on the next book for what did not fill. A stop (adverse move of
the mid against the average entry) and a longest holding time close the position
aggressively and bar that direction until the target leaves it.

The same rules run in the replay and live: `executor_step` only says what to do.
"""
from libc.math cimport NAN
from libc.stdint cimport INT64_MIN, int8_t, int64_t
from libc.string cimport memset

cimport cython

from mrcore.book cimport NO_KEY
from mrcore.exchange cimport (
    ACCEPTED, CANCEL_REJECTED, CANCELLED, EXPIRED, FILLED, IOC, PARTIALLY_FILLED, POST_ONLY,
    REJECTED,
)
from mrcore.types cimport lots_t, nanos_t, tick_t

from mrcore.exchange import EVENTS, TIFS


cdef int check_terms(tick_t stop, nanos_t hold, nanos_t timeout) except -1:
    """Refuse what is negative, and spells whose end no clock could show."""
    cdef nanos_t longest = <nanos_t>1 << 62
    if stop < 0 or not 0 <= hold < longest or not 0 <= timeout < longest:
        raise ValueError(f"stop_ticks must be >= 0, hold_ns and timeout_ns in [0, {longest}), "
                         f"were {stop}, {hold} and {timeout}")
    return 0


cdef void executor_init(executor_t* e) noexcept nogil:
    memset(e, 0, sizeof(executor_t))
    e.rejected = INT64_MIN
    e.order = -1                    # no answer is for us before we have sent something


cdef void executor_target(
    executor_t* e, nanos_t now, lots_t target, bint aggressive, tick_t stop, nanos_t hold,
    nanos_t timeout, bint give_up, double mid
) noexcept nogil:
    """Want another position. The same target again changes only how it is held."""
    if target != 0:                 # a flat target keeps the stop of the position it closes
        e.stop = stop
        e.hold = hold
    e.aggressive = aggressive
    e.timeout = timeout
    e.give_up = give_up
    if target == e.target:
        return
    e.target = target
    e.target_time = now
    e.decision_mid = mid
    e.late = e.refused = False
    if e.barred * target <= 0:
        e.barred = 0


cdef void executor_response(
    executor_t* e, nanos_t now, int8_t event, tick_t tick, lots_t lots
) noexcept nogil:
    """An answer for the working order; fills carry their price and size."""
    cdef lots_t before, signed
    if event == FILLED or event == PARTIALLY_FILLED:
        signed = e.side * lots
        before = e.position
        e.position += signed
        e.remaining -= lots
        if before == 0 or (before > 0) != (e.position > 0):
            e.entry = tick
            e.entry_time = now
        elif (before > 0) == (signed > 0):
            e.entry += (tick - e.entry) * (<double>signed / <double>e.position)
        if event == FILLED:
            e.working = NOTHING
    elif event == ACCEPTED:
        e.working = RESTING
    elif event == CANCELLED:
        e.working = NOTHING
    elif event == CANCEL_REJECTED and e.working == PENDING:
        e.working = RESTING         # the request got lost: the order is still there
    elif event == EXPIRED or event == REJECTED:
        e.working = NOTHING
        e.rejected = now


cdef void bar(executor_t* e, double mid) noexcept nogil:
    """Close the position and keep out of its direction."""
    e.barred = 1 if e.position > 0 else -1
    e.decision_mid = mid


cdef action_t executor_step(
    executor_t* e, nanos_t now, tick_t bid, tick_t ask, double tick_size
) noexcept nogil:
    """What to do now, given the local touch (NO_KEY and -NO_KEY for an empty side)."""
    cdef action_t action
    cdef bint two_sided = bid != NO_KEY and ask != -NO_KEY
    cdef bint urgent
    cdef double mid = 0.5 * (bid + ask)
    cdef lots_t need
    cdef tick_t touch
    memset(&action, 0, sizeof(action_t))
    action.act = WAIT
    if e.position != 0 and e.barred == 0:
        if e.hold > 0 and now >= e.entry_time + e.hold:
            bar(e, mid * tick_size if two_sided else NAN)
        elif (two_sided and e.stop > 0
                and (e.entry - mid if e.position > 0 else mid - e.entry) >= e.stop):
            bar(e, mid * tick_size)
    if e.timeout > 0 and not e.aggressive and now >= e.target_time + e.timeout:
        e.late = True
    urgent = e.aggressive or e.barred != 0 or (e.late and not e.give_up)
    need = (0 if e.barred != 0 else e.target) - e.position
    if executor_gave_up(e):
        need = 0
    action.side = 1 if need > 0 else -1
    if e.working == PENDING:
        return action
    if e.working == RESTING:
        touch = bid if e.side > 0 else ask
        if (need == 0 or action.side != e.side or urgent or e.remaining > need * e.side
                or (two_sided and (touch - e.tick) * e.side > 0)):
            action.act = WITHDRAW       # what is not wanted any more goes without a book too
        return action
    if not two_sided or need == 0 or now <= e.rejected:
        return action
    if e.decision_mid != e.decision_mid:        # there was no mid when it was decided
        e.decision_mid = mid * tick_size
    action.act = SEND
    action.lots = need * action.side
    if urgent:
        action.tick = ask if action.side > 0 else bid
        action.tif = IOC
    else:
        action.tick = bid if action.side > 0 else ask
        action.tif = POST_ONLY
    return action


cdef void executor_sent(executor_t* e, int64_t order, const action_t* action) noexcept nogil:
    """The action is on its way; `order` is the id of an order just sent."""
    e.working = PENDING
    if action.act == SEND:
        e.order = order
        e.side = action.side
        e.tick = action.tick
        e.remaining = action.lots


@cython.final
cdef class Executor:
    """The executor by itself, for a broker that is not the simulated exchange.

    Parameters
    ----------
    tick_size : float
        Quote units a tick.

    Notes
    -----
    Call `step` after each change of the touch, each response and at `timer`; do what it
    says, then tell it by `sent`. One object belongs to one thread at a time.
    """

    cdef executor_t c
    cdef readonly double tick_size
    cdef action_t action

    def __cinit__(self, double tick_size):
        if not tick_size > 0.0:
            raise ValueError(f"tick_size must be > 0, was {tick_size}")
        self.tick_size = tick_size
        executor_init(&self.c)

    def set_target(self, nanos_t now_ns, lots_t lots, *, bint aggressive=False,
                   tick_t stop_ticks=0, nanos_t hold_ns=0, nanos_t timeout_ns=0,
                   bint give_up=False, double mid=float("nan")):
        """Want a position of `lots` (signed) from local time `now_ns` on.

        Parameters
        ----------
        now_ns : int
        lots : int
            Signed target position.
        aggressive : bool
            Cross the spread at once.
        stop_ticks : int
            Close when the mid is this far against the average entry; 0 for never.
        hold_ns : int
            Close when the position is this old; 0 for never.
        timeout_ns : int
            Length of the passive phase; 0 for no end.
        give_up : bool
            At the time-out drop the rest instead of crossing.
        mid : float
            Mid price of the decision, quote units.
        """
        check_terms(stop_ticks, hold_ns, timeout_ns)
        executor_target(&self.c, now_ns, lots, aggressive, stop_ticks, hold_ns, timeout_ns,
                        give_up, mid)

    def step(self, nanos_t now_ns, bid_tick, ask_tick):
        """What to do: None, ("submit", side, tick, lots, tif) or ("cancel", order id)."""
        self.action = executor_step(
            &self.c, now_ns, NO_KEY if bid_tick is None else bid_tick,
            -NO_KEY if ask_tick is None else ask_tick, self.tick_size)
        if self.action.act == WAIT:
            return None
        if self.action.act == WITHDRAW:
            return "cancel", self.c.order
        return ("submit", self.action.side, self.action.tick, self.action.lots,
                TIFS[self.action.tif])

    def sent(self, int64_t order_id):
        """Say that what `step` asked for is on its way, under this order id."""
        if self.action.act == WAIT:
            raise ValueError("the last step asked for nothing to be sent")
        executor_sent(&self.c, order_id, &self.action)
        self.action.act = WAIT

    def on_response(self, nanos_t now_ns, str event not None, tick_t tick=0, lots_t lots=0):
        """Take an answer for the working order, an element of `exchange.EVENTS`."""
        executor_response(&self.c, now_ns, EVENTS.index(event), tick, lots)

    @property
    def position_lots(self):
        """Signed position the answers so far add up to."""
        return self.c.position

    @property
    def timer_ns(self):
        """Local time at which `step` must be called even if nothing happens, or None."""
        cdef nanos_t timer = executor_timer(&self.c)
        return None if timer == INT64_MAX else timer

"""C interface of mrcore.executor: from a target position to orders, one at a time."""
from libc.stdint cimport INT64_MAX, int8_t, int64_t

from mrcore.types cimport lots_t, nanos_t, side_t, tick_t


cdef enum working_t:
    NOTHING             # no order of ours is out
    PENDING             # sent, or asked to be withdrawn: wait for the answer
    RESTING


cdef enum act_t:
    WAIT
    SEND
    WITHDRAW


ctypedef struct action_t:
    act_t act
    side_t side
    tick_t tick
    lots_t lots
    int8_t tif


ctypedef struct executor_t:
    # what is wanted
    lots_t target
    bint aggressive
    bint give_up            # at the time-out drop the rest instead of crossing
    nanos_t timeout         # of the passive phase, 0 for none
    tick_t stop             # adverse move of the mid against the entry, 0 for none
    nanos_t hold            # longest time in a position, 0 for none
    nanos_t target_time
    double decision_mid     # quote units
    # what is known of it
    lots_t position
    double entry            # average entry price in ticks
    nanos_t entry_time
    bint late               # the passive phase is over
    bint refused            # the account does not carry the target, until a new one
    side_t barred           # direction a stop or the holding time closed, until a new target
    nanos_t rejected        # time of the last refusal: look at a newer book before a retry
    working_t working
    int64_t order           # id of the working order
    side_t side
    tick_t tick
    lots_t remaining


cdef int check_terms(tick_t stop, nanos_t hold, nanos_t timeout) except -1
cdef void executor_init(executor_t* e) noexcept nogil
cdef void executor_target(
    executor_t* e, nanos_t now, lots_t target, bint aggressive, tick_t stop, nanos_t hold,
    nanos_t timeout, bint give_up, double mid) noexcept nogil
cdef void executor_response(
    executor_t* e, nanos_t now, int8_t event, tick_t tick, lots_t lots) noexcept nogil
cdef action_t executor_step(
    executor_t* e, nanos_t now, tick_t bid, tick_t ask, double tick_size) noexcept nogil
cdef void executor_sent(executor_t* e, int64_t order, const action_t* action) noexcept nogil


cdef inline bint executor_gave_up(const executor_t* e) noexcept nogil:
    """Whether the rest of the target is dropped; a position that must close never is."""
    return e.barred == 0 and (e.refused or (e.late and e.give_up and not e.aggressive))


cdef inline bint executor_watches(const executor_t* e) noexcept nogil:
    """Whether a change of the touch may call for an action."""
    return (e.working != NOTHING or (e.position != 0 and e.stop > 0)
            or (e.position != (0 if e.barred else e.target) and not executor_gave_up(e)))


cdef inline nanos_t executor_timer(const executor_t* e) noexcept nogil:
    """When time alone calls for an action; INT64_MAX for never."""
    cdef nanos_t timer = INT64_MAX
    if e.barred == 0 and e.hold > 0 and e.position != 0:
        timer = e.entry_time + e.hold
    if (e.timeout > 0 and not e.late and not e.aggressive and e.barred == 0
            and e.position != e.target):
        timer = min(timer, e.target_time + e.timeout)
    return timer

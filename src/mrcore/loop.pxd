"""C interface of mrcore.loop: the state of a replay and the loop that drives it."""
from libc.stdint cimport int64_t

cimport cython

from mrcore.book cimport book_t
from mrcore.exchange cimport exchange_t
from mrcore.executor cimport executor_t
from mrcore.owned cimport owned_list_t
from mrcore.sampler cimport sampler_t
from mrcore.tape cimport tape_t
from mrcore.types cimport lots_t, nanos_t, side_t, tick_t
from mrcore.working cimport working_list_t


cdef enum:
    N_COLUMNS = 31          # sampler.MARKET_COLUMNS and three of the account
    MOST_LEVELS = 64        # of a ladder of quotes


cdef enum:                  # what woke a replay that waits; both may
    FEED = 1
    FILL = 2


ctypedef struct touch_t:    # the best prices after a message
    nanos_t time            # when it was, or will be, received
    tick_t bid
    tick_t ask
    lots_t bid_lots
    lots_t ask_lots


ctypedef struct targets_t:  # columns of a schedule, owned by Replay
    const int64_t* time
    const int64_t* lots
    const cython.uchar* aggressive
    const int64_t* stop
    const int64_t* hold
    const int64_t* timeout
    const cython.uchar* give_up
    Py_ssize_t n
    Py_ssize_t next


ctypedef struct requests_t:  # columns of a schedule of raw orders, owned by Replay
    const int64_t* time     # of each action: an order sent, or withdrawn again
    const int64_t* order    # row of the five columns below
    const cython.uchar* withdraw
    const signed char* side
    const int64_t* tick
    const int64_t* lots
    const signed char* tif
    int64_t* order_id       # once sent
    Py_ssize_t n
    Py_ssize_t next


ctypedef struct replay_t:
    exchange_t exchange
    tape_t deltas
    tape_t trades
    int64_t events                  # rows the exchange has processed
    executor_t executor
    bint executing                  # a target was ever set
    bint undecided                  # the executor has not yet looked at what is known now
    nanos_t now                     # local time reached
    # what has been received
    touch_t known
    lots_t position                 # fills whose response has arrived
    int64_t known_fills             # their number
    bint two_books
    book_t book                     # kept with `two_books` only
    touch_t* touches                # on their way, in the order of their arrival
    Py_ssize_t touch_head
    Py_ssize_t n_touches
    Py_ssize_t touch_capacity
    working_list_t working
    # decisions
    targets_t targets
    requests_t requests
    # samples
    bint sampling
    sampler_t sampler
    const int64_t* sample_time
    Py_ssize_t n_samples            # of `sample_time`
    nanos_t interval                # without `sample_time`: samples at its multiples
    nanos_t first_sample
    int64_t sample                  # next to be taken
    int64_t market                  # next whose columns of the book are to be taken
    int64_t first_row               # sample that `rows` begins with
    double* rows
    Py_ssize_t rows_capacity
    # a call that waits
    bint wake_feed
    bint wake_fill
    int woken
    bint failed                     # out of memory, seen at the boundary


cdef void loop_free(replay_t* r) noexcept nogil
cdef void loop_owned(replay_t* r, owned_list_t* owned) noexcept nogil
cdef void loop_forget(replay_t* r) noexcept nogil
cdef bint loop_failed(const replay_t* r) noexcept nogil
cdef double loop_mid(const replay_t* r) noexcept nogil
cdef nanos_t loop_sample_time(const replay_t* r, int64_t sample) noexcept nogil
cdef int64_t loop_submit(
    replay_t* r, side_t side, tick_t tick, lots_t lots, int tif, bint reduce_only, tick_t stop,
    bint quote) noexcept nogil
cdef void loop_replace(
    replay_t* r, int64_t order_id, tick_t tick, lots_t lots) noexcept nogil
cdef void loop_cancel(replay_t* r, int64_t order_id) noexcept nogil
cdef void loop_cancel_all(replay_t* r) noexcept nogil
cdef void loop_quote(
    replay_t* r, tick_t bid, tick_t ask, lots_t lots, int levels, tick_t step,
    bint keep) noexcept nogil
cdef void loop_run(replay_t** replays, Py_ssize_t n, nanos_t until) noexcept nogil

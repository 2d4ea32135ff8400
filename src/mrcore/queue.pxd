"""Queue-position models: how much stands before an own resting order. Inline only.

All quantities are base units in float64, as the published models take them, so that
non-integer positions are possible and results can be held against other simulators
bit for bit.

``F`` (``front``) is what stands before the order, ``B`` what stands behind it, ``C``
(``traded``) what traded at its price since the last change of the displayed size. A trade
eats the front. Of a displayed decrease beyond ``C`` the share ``p`` happens behind the order:

============  ====================================================================
risk_averse   1: only trades and a level smaller than F bring the order forward
log           ln(1 + B) / (ln(1 + B) + ln(1 + F))
log2          ln(1 + B) / ln(1 + B + F)
power         B^n / (B^n + F^n)
power2        B^n / (B + F)^n
power3        1 - (F / (F + B))^n
table         given at equally spaced F / (F + B) from 0 to 1, linear in between
kernel        a C function of F, B and n
strict        as risk_averse, and own orders together never fill more than traded
optimistic    nothing ever stands before the order
fifo          no model: an order-level feed says what stands before it
============  ====================================================================

The first six are those of hftbacktest 2.4.4 (its RiskAdverse, LogProb, LogProb2, PowerProb,
PowerProb2, PowerProb3), equal to the last bit.

A model of one's own is a C function ``double behind(double front, double back, double n)``,
``n`` being ``queue_power``. It runs without the GIL, so it must not touch Python. From a
shared library::

    library = ctypes.CDLL("./models.so")
    Replay(0.1, 0.001, queue_model="kernel", queue_kernel=library.behind, queue_power=2.0)

or from numba::

    @numba.cfunc("float64(float64, float64, float64)")
    def behind(front, back, n):
        return back / (back + n * front)

    Replay(0.1, 0.001, queue_model="kernel", queue_kernel=behind, queue_power=2.0)

What it returns should lie in [0, 1]. NaN puts the order behind all that is displayed, and an
infinity counts as 1; so do the published models where they are not defined.
"""
from libc.math cimport fmax, fmin, isinf, isnan, log, pow, round

cimport cython


cdef enum queue_model_t:    # indices of QUEUE_MODELS
    RISK_AVERSE
    LOG
    LOG2
    POWER
    POWER2
    POWER3
    TABLE
    KERNEL
    STRICT
    OPTIMISTIC
    FIFO            # by order-level data: the position is known, not estimated here


ctypedef double (*behind_t)(double front, double back, double power) noexcept nogil


ctypedef struct queue_rule_t:
    queue_model_t model
    double power
    const double* table         # owned by whoever made the rule
    Py_ssize_t table_n          # >= 2
    behind_t kernel


ctypedef struct queue_t:
    double front
    double traded


cdef inline void queue_join(queue_t* q, const queue_rule_t* rule, double displayed) noexcept nogil:
    """The order arrives behind everything displayed at its price."""
    q.front = 0.0 if rule.model == OPTIMISTIC else displayed
    q.traded = 0.0


cdef inline void queue_trade(queue_t* q, double quantity) noexcept nogil:
    """A trade at the order's price eats the queue from the front."""
    q.front -= quantity
    q.traded += quantity


@cython.cdivision(True)    # 0 / 0 is meant: NaN
cdef inline double queue_behind(const queue_rule_t* rule, double front, double back) noexcept nogil:
    """The share of a decrease that happens behind the order."""
    cdef double f, b
    cdef Py_ssize_t i
    if rule.model == POWER:
        b = pow(back, rule.power)
        return b / (b + pow(front, rule.power))
    if rule.model == POWER2:
        return pow(back, rule.power) / pow(back + front, rule.power)
    if rule.model == POWER3:
        return 1.0 - pow(front / (front + back), rule.power)
    if rule.model == LOG:       # log1p would be another number in the last bit
        b = log(1.0 + back)
        return b / (b + log(1.0 + front))
    if rule.model == LOG2:
        return log(1.0 + back) / log(1.0 + (back + front))
    if rule.model == KERNEL:
        return rule.kernel(front, back, rule.power)
    f = front / (front + back)
    if isnan(f):
        return f
    f = fmin(fmax(f, 0.0), 1.0) * <double>(rule.table_n - 1)
    i = min(<Py_ssize_t>f, rule.table_n - 2)
    return rule.table[i] + (rule.table[i + 1] - rule.table[i]) * (f - <double>i)


cdef inline void queue_depth(
    queue_t* q, const queue_rule_t* rule, double before, double after
) noexcept nogil:
    """The displayed size at the order's price changed."""
    cdef double change, back, behind, front
    if rule.model == RISK_AVERSE or rule.model >= STRICT:
        q.front = min(q.front, after)
        return
    # what the trades explain is no cancellation
    change = before - after - q.traded
    q.traded = 0.0
    if change < 0.0:
        q.front = min(q.front, after)
        return
    back = before - q.front
    behind = queue_behind(rule, q.front, back)
    if isinf(behind):
        behind = 1.0
    front = q.front - (1.0 - behind) * change + min(back - behind * change, 0.0)
    q.front = after if isnan(front) else min(front, after)


@cython.cdivision(True)
cdef inline double queue_executable(queue_t* q, double lot_size) noexcept nogil:
    """Whole lots that reached the order, 0 when it still waits. Called after a trade only."""
    cdef double lots = round(-q.front / lot_size)
    if lots > 0.0:
        q.front = 0.0
        return lots
    return 0.0

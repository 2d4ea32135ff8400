"""Queue-position models: how much stands before an own resting order. Inline only.

All quantities are base units in float64, as the published models take them, so that
non-integer positions are possible and results can be held against other simulators
bit for bit. A further model is one more branch in `queue_depth`.

``F`` (``front``) is what stands before the order, ``C`` (``traded``) what traded at its
price since the last change of the displayed size.
"""
from libc.math cimport fmin, isinf, isnan, pow, round

cimport cython


cdef enum queue_model_t:
    RISK_AVERSE     # every decrease not seen as a trade happens behind the order
    POWER           # a decrease is split by B^n / (B^n + F^n), B what stands behind
    STRICT          # risk-averse, and fills are capped by what traded


ctypedef struct queue_t:
    double front
    double traded


cdef inline void queue_join(queue_t* q, double displayed) noexcept nogil:
    """The order arrives behind everything displayed at its price."""
    q.front = displayed
    q.traded = 0.0


cdef inline void queue_trade(queue_t* q, double quantity) noexcept nogil:
    """A trade at the order's price eats the queue from the front."""
    q.front -= quantity
    q.traded += quantity


@cython.cdivision(True)    # 0 / 0 is meant: NaN, at the end of it
cdef inline void queue_depth(
    queue_t* q, queue_model_t model, double n, double before, double after
) noexcept nogil:
    """The displayed size at the order's price changed."""
    cdef double change, back, behind, front
    if model != POWER:
        q.front = fmin(q.front, after)
        return
    # what the trades explain is no cancellation
    change = before - after - q.traded
    q.traded = 0.0
    if change < 0.0:
        q.front = fmin(q.front, after)
        return
    back = before - q.front
    behind = pow(back, n)
    behind = behind / (behind + pow(q.front, n))
    if isinf(behind):
        behind = 1.0
    front = q.front - (1.0 - behind) * change + fmin(back - behind * change, 0.0)
    q.front = after if isnan(front) else fmin(front, after)


cdef inline double queue_executable(queue_t* q, double lot_size) noexcept nogil:
    """Whole lots that reached the order, 0 when it still waits. Called after a trade only."""
    cdef double lots = round(-q.front / lot_size)
    if lots > 0.0:
        q.front = 0.0
        return lots
    return 0.0

"""C interface of mrcore.grid."""
from libc.math cimport fabs, lrint
from libc.stdint cimport int64_t, uint64_t


cdef extern from *:
    """
    /* Below 2**53: float prices are exact up to here. */
    #define MRCORE_MAX_TICK 9e15
    """
    const double MAX_TICK "MRCORE_MAX_TICK"


cdef inline bint on_grid(double value, double per_step, int64_t* steps) noexcept nogil:
    """Whether `value` is a non-negative multiple of the step, within float error.

    NaN is near no whole number; what is negative or too large fails as an unsigned number.
    """
    cdef double x = value * per_step
    steps[0] = lrint(x)
    # 1e-3 of a step is far above float error (x * 4e-16) and far below a wrong step
    return (<uint64_t>steps[0] < <uint64_t>MAX_TICK) & (fabs(x - <double>steps[0]) <= 1e-3)


cdef double positive(str name, double value) except -1.0

"""C types that every mrcore module shares. No .pyx: nothing here exists at run time.

Units, everywhere in mrcore: prices in ticks, sizes in lots (both int64), times
in nanoseconds since the Unix epoch, UTC (int64). Columns of a tape hold ticks
as int32, so that an event costs 21 bytes.
"""
from libc.stdint cimport int8_t, int32_t, int64_t

cdef extern from *:
    """
    /* Largest size, below 2**53: exact as a float, and a thousand of them add up in an int64. */
    #define MRCORE_MAX_LOTS 9000000000000000LL
    """
    const int64_t MAX_LOTS "MRCORE_MAX_LOTS"

ctypedef int64_t nanos_t
ctypedef int64_t tick_t
ctypedef int64_t lots_t
ctypedef int8_t side_t      # +1 bid or buy, -1 ask or sell; 0 in a tape clears the book

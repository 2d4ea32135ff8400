"""C interface of mrcore.book: the class, and the kernels of mrcore.ladder by this name too."""
from libc.stdint cimport int64_t

cimport cython

from mrcore.ladder cimport (
    NO_KEY, book_ask, book_bid, book_clear, book_free, book_imbalance, book_init, book_lots,
    book_owned, book_row, book_set, book_settle, book_t, ladder_best_lots, ladder_depth, ladder_key,
    ladder_next, ladder_t, level_t,
)


cdef tuple side_columns(const book_t* b, int s, Py_ssize_t n)


@cython.final
cdef class L2Book:
    cdef book_t c
    cdef readonly double tick_size      # quote units a tick
    cdef readonly double lot_size       # base units a lot
    cdef int64_t message                # message of the last row
    cdef int64_t snapshot_message       # rows of this message or an earlier one are stale
    cdef readonly int64_t stale_rows    # rows dropped because the snapshot had them
    cdef bint waiting                   # for the first snapshot
    cdef list pending                   # rows received while waiting

"""C interface of mrcore.rolling_column: the base of a statistic over one column, and what its
kernels build on: the last values side by side, and sums over them.
"""
from libc.math cimport NAN, isfinite
from libc.stdlib cimport calloc
from libc.string cimport memmove

from mrcore.owned cimport owned_add, owned_list_t
from mrcore.rolling cimport moments_t, pairs_t, cross_t, tail_t


cdef enum:
    MOST_RESULTS = 8


# The last values, side by side ------------------------------------------------------

ctypedef struct slide_t:
    Py_ssize_t window
    Py_ssize_t end          # behind the newest value in `data`
    Py_ssize_t run          # finite values in a row up to the newest
    double* data            # owned: twice the window; moved to its front when it is full


cdef inline int slide_init(slide_t* s, Py_ssize_t window) noexcept nogil:
    """Window of >= 1 values, all NaN; -1 when there is no memory."""
    cdef Py_ssize_t i
    s.window = window
    s.end = window
    s.run = 0
    s.data = <double*>calloc(window, 2 * sizeof(double))
    if s.data is NULL:
        return -1
    for i in range(window):
        s.data[i] = NAN
    return 0


cdef inline const double* slide_push(slide_t* s, double x) noexcept nogil:
    """Take a value (NaN when it is not finite); the last `window` of them, oldest first."""
    if s.end == 2 * s.window:
        memmove(s.data, s.data + s.window + 1, (s.window - 1) * sizeof(double))
        s.end = s.window - 1
    if isfinite(x):
        s.run += 1
    else:
        s.run = 0
        x = NAN
    s.data[s.end] = x
    s.end += 1
    return s.data + (s.end - s.window)


cdef inline bint slide_full(const slide_t* s) noexcept nogil:
    """Whether the window is full of finite values."""
    return s.run >= s.window


# Sums -------------------------------------------------------------------------------
# By blocks, as in rolling.pxd. One array holds the present block in its front, and behind
# it what is needed of the block before: the sums from there to its end.

ctypedef struct sums_t:
    Py_ssize_t at           # values in the present block
    bint full               # there is a block before the present one
    double head             # sum of the present block


cdef inline void sums_push(sums_t* s, double* cells, Py_ssize_t window, double x) noexcept nogil:
    cdef Py_ssize_t k
    if s.at == window:
        for k in range(window - 2, -1, -1):
            cells[k] += cells[k + 1]
        s.at = 0
        s.full = True
        s.head = 0.0
    s.head += x
    cells[s.at] = x
    s.at += 1


cdef inline double sums_value(const sums_t* s, const double* cells,
                              Py_ssize_t window) noexcept nogil:
    """Sum of the last `window` values; NaN until there are that many, or with a NaN in it."""
    if s.at == window:
        return s.head
    return s.head + cells[s.at] if s.full else NAN


# Arrays of the windows of mrcore.rolling --------------------------------------------

cdef inline void moments_own(moments_t* m, owned_list_t* owned) noexcept nogil:
    owned_add(owned, <void**>&m.block, m.window * sizeof(double))
    owned_add(owned, <void**>&m.tail, m.window * sizeof(tail_t))


cdef inline void pairs_own(pairs_t* p, owned_list_t* owned) noexcept nogil:
    owned_add(owned, <void**>&p.block, p.window * 2 * sizeof(double))
    owned_add(owned, <void**>&p.tail, p.window * sizeof(cross_t))


cdef inline void slide_own(slide_t* s, owned_list_t* owned) noexcept nogil:
    owned_add(owned, <void**>&s.data, s.window * 2 * sizeof(double))


# The base ---------------------------------------------------------------------------

cdef class Column:
    cdef readonly Py_ssize_t window
    cdef Py_ssize_t results
    cdef double last[MOST_RESULTS]
    cdef tuple made_with    # arguments of the constructor
    cdef void* kernel       # struct of the subclass; its arrays are those of `own`
    cdef size_t kernel_size

    cdef int begin(self, tuple made_with, Py_ssize_t window, Py_ssize_t results,
                   void* kernel, size_t kernel_size) except -1
    cdef void own(self, owned_list_t* owned) noexcept nogil
    cdef void push(self, double x, double* out) noexcept nogil

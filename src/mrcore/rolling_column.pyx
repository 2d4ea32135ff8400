"""Base of the statistics over the last `window` values of one column, with several results.

A subclass adds a kernel for one value (`push`, nogil) and names the arrays that its struct owns
(`own`); from these come the streaming object, the batch loop over the same kernel (any split of
the values gives the same bits), and saving: ``copy.copy`` and ``pickle``. An object belongs to
one thread at a time.

A result is NaN until there are `window` values, and while the window holds a value that is not
finite.
"""
cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.math cimport NAN
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from mrcore.owned cimport MOST_OWNED, owned_add, owned_list_t, owned_saved
from mrcore.rolling cimport check_window

from importlib.metadata import version

import numpy as np

cdef str VERSION = version("mrtrade")


cdef class Column:
    """Statistic of one column; made by its subclasses only."""

    def __dealloc__(self):
        cdef owned_list_t owned
        cdef Py_ssize_t i
        owned.n = 0
        self.own(&owned)
        for i in range(owned.n):
            free(owned.item[i].at[0])

    cdef int begin(self, tuple made_with, Py_ssize_t window, Py_ssize_t results,
                   void* kernel, size_t kernel_size) except -1:
        """Of the subclass's constructor: say what there is."""
        cdef Py_ssize_t i
        self.made_with = made_with
        self.window = window
        self.results = results
        self.kernel = kernel
        self.kernel_size = kernel_size
        for i in range(results):
            self.last[i] = NAN
        return 0

    cdef void own(self, owned_list_t* owned) noexcept nogil:
        """Name the arrays of the kernel."""

    cdef void push(self, double x, double* out) noexcept nogil:
        """Take one value and write the results."""

    @property
    def value(self):
        """Result after the last value; a tuple when there are several."""
        if self.results == 1:
            return self.last[0]
        return tuple([self.last[i] for i in range(self.results)])

    def update(self, double x):
        """Result after one more value; a tuple when there are several."""
        self.push(x, self.last)
        return self.value

    def batch(self, const double[::1] x not None):
        """Results after each of many values, as `update` one by one.

        An array of the length of `x`; of several results, one in each row.
        """
        cdef Py_ssize_t i, j, n = x.shape[0]
        cdef Py_buffer buffer
        cdef double* y
        out = np.empty(n) if self.results == 1 else np.empty((self.results, n))
        # a plain pointer: a memoryview would cost a chunk of one row as much as all the rest
        PyObject_GetBuffer(out, &buffer, PyBUF_WRITABLE)
        y = <double*>buffer.buf
        with nogil:
            for i in range(n):
                self.push(x[i], self.last)
                for j in range(self.results):
                    y[j * n + i] = self.last[j]
        PyBuffer_Release(&buffer)
        return out

    def __reduce__(self):
        cdef owned_list_t owned
        owned.n = 0
        self.own(&owned)
        return type(self), self.made_with, (
            VERSION,
            self.made_with,
            (<const char*>self.kernel)[:self.kernel_size],
            owned_saved(&owned),
            (<const char*>self.last)[:sizeof(self.last)],
        )

    def __setstate__(self, tuple state not None):
        cdef owned_list_t owned
        cdef void* kept[MOST_OWNED]
        cdef bytes image, last, content
        cdef list arrays
        cdef Py_ssize_t i
        saved_by, made_with, image, arrays, last = state
        if saved_by != VERSION:         # the bytes of a struct mean something to its code only
            raise ValueError(f"saved by mrtrade {saved_by}, this is {VERSION}; a statistic is "
                             "restored by the version that saved it")
        owned.n = 0
        self.own(&owned)
        if made_with != self.made_with or <size_t>len(image) != self.kernel_size or (
            [<size_t>len(a) for a in arrays] != [owned.item[i].size for i in range(owned.n)]
        ) or <size_t>len(last) != sizeof(self.last):
            raise ValueError("this state is of another window")
        for i in range(owned.n):
            kept[i] = owned.item[i].at[0]
        memcpy(self.kernel, <const char*>image, self.kernel_size)
        for i in range(owned.n):            # the image points to the arrays of the original
            owned.item[i].at[0] = kept[i]
            content = arrays[i]
            memcpy(kept[i], <const char*>content, owned.item[i].size)
        memcpy(self.last, <const char*>last, sizeof(self.last))


ctypedef struct lag_t:
    Py_ssize_t at           # slot of the oldest value
    double* ring            # owned


@cython.final
cdef class RollingLag(Column):
    """The value of `lag` values before; NaN where there was none. Any value is handed on.

    Parameters
    ----------
    lag : int
        Values, >= 1.
    """
    cdef lag_t c

    def __cinit__(self, Py_ssize_t lag):
        cdef Py_ssize_t i
        check_window("lag", lag, 1)
        self.begin((lag,), lag, 1, &self.c, sizeof(self.c))
        self.c.ring = <double*>calloc(lag, sizeof(double))
        if self.c.ring is NULL:
            raise MemoryError
        for i in range(lag):
            self.c.ring[i] = NAN

    cdef void own(self, owned_list_t* owned) noexcept nogil:
        owned_add(owned, <void**>&self.c.ring, self.window * sizeof(double))

    cdef void push(self, double x, double* out) noexcept nogil:
        out[0] = self.c.ring[self.c.at]
        self.c.ring[self.c.at] = x
        self.c.at = self.c.at + 1 if self.c.at + 1 < self.window else 0

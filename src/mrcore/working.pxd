"""Own orders that may still live, as far as their owner knows. Inline only."""
from libc.stdint cimport int64_t
from libc.stdlib cimport realloc
from libc.string cimport memmove

cimport cython

from mrcore.types cimport side_t, tick_t


ctypedef struct working_t:
    int64_t order_id
    tick_t tick
    side_t side
    bint quote              # sent by `loop_quote`
    bint leaving            # its cancel is on the way


ctypedef struct working_list_t:     # by rising id; the oldest goes first, mostly
    working_t* item
    Py_ssize_t head
    Py_ssize_t n
    Py_ssize_t capacity


cdef inline working_t* working_add(working_list_t* list) noexcept nogil:
    """A new last order, its fields to be set; NULL when there is no memory."""
    cdef void* more
    if list.head + list.n == list.capacity:
        if 2 * list.n >= list.capacity:
            more = realloc(list.item, (2 * list.capacity + 64) * sizeof(working_t))
            if more is NULL:
                return NULL
            list.item = <working_t*>more
            list.capacity = 2 * list.capacity + 64
        memmove(list.item, list.item + list.head, list.n * sizeof(working_t))
        list.head = 0
    list.n += 1
    return &list.item[list.head + list.n - 1]


cdef inline working_t* working_find(const working_list_t* list, int64_t order_id) noexcept nogil:
    """The order of that id, NULL when it is known to be gone."""
    cdef Py_ssize_t low = list.head, high = low + list.n, end = high, middle
    if low < high and list.item[low].order_id == order_id:
        return &list.item[low]
    while low < high:
        middle = (low + high) >> 1
        if list.item[middle].order_id < order_id:
            low = middle + 1
        else:
            high = middle
    return &list.item[low] if low < end and list.item[low].order_id == order_id else NULL


@cython.overflowcheck(False)    # which would take the difference of the addresses
cdef inline void working_drop(working_list_t* list, working_t* order) noexcept nogil:
    """Take an order out."""
    cdef Py_ssize_t at = order - list.item - list.head
    list.n -= 1
    if at == 0:
        list.head += 1
    else:
        memmove(order, order + 1, (list.n - at) * sizeof(working_t))

"""Things that fall due in the order they came in: a ring that grows. Inline only."""
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free

from mrcore.owned cimport owned_add, owned_list_t
from mrcore.tape cimport NEVER
from mrcore.types cimport lots_t, nanos_t


ctypedef struct due_t:
    nanos_t due
    lots_t lots
    int64_t a               # two notes of whoever puts it in
    int64_t b


ctypedef struct pending_t:
    due_t* item
    Py_ssize_t head
    Py_ssize_t n
    Py_ssize_t capacity     # a power of two, or 0
    nanos_t first           # when the first falls due, NEVER when there is none
    bint failed             # out of memory, seen at the boundary


cdef inline void pending_clear(pending_t* p) noexcept nogil:
    p.head = p.n = 0
    p.first = NEVER


cdef inline void pending_free(pending_t* p) noexcept nogil:
    free(p.item)
    p.item = NULL


cdef inline void pending_owned(pending_t* p, owned_list_t* owned) noexcept nogil:
    owned_add(owned, <void**>&p.item, p.capacity * sizeof(due_t))


cdef inline bint pending_grow(pending_t* p) noexcept nogil:
    """Make room for as many again; false when there is no memory."""
    cdef Py_ssize_t k, capacity = 2 * p.capacity if p.capacity > 0 else 256
    cdef due_t* item = <due_t*>calloc(capacity, sizeof(due_t))
    if item is NULL:
        p.failed = True
        return False
    for k in range(p.n):
        item[k] = p.item[(p.head + k) & (p.capacity - 1)]
    free(p.item)
    p.item = item
    p.head = 0
    p.capacity = capacity
    return True


cdef inline void pending_push(
    pending_t* p, nanos_t due, lots_t lots, int64_t a, int64_t b
) noexcept nogil:
    """Put one in; none before it is due later."""
    cdef due_t* item
    if p.n == p.capacity and not pending_grow(p):
        return
    item = &p.item[(p.head + p.n) & (p.capacity - 1)]
    item.due = due
    item.lots = lots
    item.a = a
    item.b = b
    if p.n == 0:
        p.first = due
    p.n += 1


cdef inline due_t pending_pop(pending_t* p) noexcept nogil:
    """The first, which leaves; there must be one."""
    cdef due_t item = p.item[p.head & (p.capacity - 1)]
    p.head += 1
    p.n -= 1
    p.first = p.item[p.head & (p.capacity - 1)].due if p.n > 0 else NEVER
    return item

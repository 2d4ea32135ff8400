"""Arrays that a struct owns, one by one: to copy it, to save it and to restore it. Inline only.

A struct of the core is plain data but for its pointers. With the list of the arrays behind the
pointers that it owns, a copy is the struct's bytes and theirs, whatever they mean.
"""
from libc.stdlib cimport malloc
from libc.string cimport memcpy


cdef enum:
    MOST_OWNED = 64


ctypedef struct owned_t:
    void** at               # where the pointer is
    size_t before           # bytes before it that belong to the array
    size_t size             # bytes in all


ctypedef struct owned_list_t:
    owned_t item[MOST_OWNED]
    Py_ssize_t n


cdef inline void owned_add(owned_list_t* owned, void** at, size_t size,
                           size_t before=0) noexcept nogil:
    """Note an array; NULL is none."""
    if at[0] is NULL:
        return
    owned.item[owned.n].at = at
    owned.item[owned.n].before = before
    owned.item[owned.n].size = size
    owned.n += 1


cdef inline const char* owned_bytes(const owned_t* item) noexcept nogil:
    return <const char*>item.at[0] - item.before


cdef inline int owned_renew(owned_t* item, const void* content) noexcept nogil:
    """Let the pointer own a new array of that content; -1, and NULL, when there is no memory."""
    cdef char* fresh = <char*>malloc(item.size)
    item.at[0] = NULL
    if fresh is NULL:
        return -1
    memcpy(fresh, content, item.size)
    item.at[0] = fresh + item.before
    return 0


cdef inline list owned_saved(const owned_list_t* owned):
    """The content of each array."""
    cdef list saved = []
    cdef Py_ssize_t i
    for i in range(owned.n):
        saved.append(owned_bytes(&owned.item[i])[:owned.item[i].size])
    return saved


cdef inline int owned_restore(owned_list_t* owned, list saved) except -1:
    """Let each pointer, which points to what is another's or gone, own what was saved of it."""
    cdef bytes content
    cdef Py_ssize_t i
    for i in range(owned.n):
        owned.item[i].at[0] = NULL
    if len(saved) != owned.n:
        raise ValueError("this state is damaged")
    for i in range(owned.n):
        content = saved[i]
        if <size_t>len(content) != owned.item[i].size:
            raise ValueError("this state is damaged")
        if owned_renew(&owned.item[i], <const char*>content) < 0:
            raise MemoryError()
    return 0

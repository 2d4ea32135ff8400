"""Inline arithmetic that more than one mrcore module uses. Nothing here exists at run time."""
from libc.math cimport NAN


cdef inline double imbalance(double bid, double ask) noexcept nogil:
    """(bid - ask) / (bid + ask) of two resting sizes, in [-1, 1]; NaN when both are 0."""
    cdef double total = bid + ask
    return (bid - ask) / total if total > 0.0 else NAN


cdef inline double microprice(
    double bid_px, double bid_sz, double ask_px, double ask_sz
) noexcept nogil:
    """Mid weighted by the opposite queue, in [bid_px, ask_px]; NaN when a side is missing."""
    if not (bid_sz > 0.0 and ask_sz > 0.0):
        return NAN
    return bid_px + (ask_px - bid_px) * (bid_sz / (bid_sz + ask_sz))

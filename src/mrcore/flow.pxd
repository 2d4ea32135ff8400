"""C interface of mrcore.flow: order-flow measures as structs that another loop compiles in.

Prices in quote units, sizes in base units or in lots (a struct sees one unit only).
"""
from libc.math cimport INFINITY, NAN, erf, fabs, floor, fmod, isfinite, sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free

from mrcore.rolling cimport (
    line_t, moments_free, moments_init, moments_m2, moments_push, moments_t, pairs_free,
    pairs_init, pairs_line, pairs_push, pairs_slope, pairs_t,
)


# Order-flow imbalance ---------------------------------------------------------------

ctypedef struct ofi_t:
    bint seen               # the four fields hold a book
    double bid_px
    double bid_sz
    double ask_px
    double ask_sz


cdef inline void ofi_init(ofi_t* o) noexcept nogil:
    """Before any book, or after a gap in the data."""
    o.seen = False
    o.bid_px = -INFINITY
    o.ask_px = INFINITY
    o.bid_sz = o.ask_sz = 0.0


cdef inline double ofi_update(
    ofi_t* o, double bid_px, double bid_sz, double ask_px, double ask_sz
) noexcept nogil:
    """Contribution e_n of one change of the touch; 0 for the first book.

    A side that is missing has price -inf (bid) or +inf (ask) and size 0; NaN is read
    as missing, so that the result never is NaN.
    """
    cdef double e = 0.0
    if not (bid_px == bid_px and bid_sz == bid_sz):
        bid_px = -INFINITY
        bid_sz = 0.0
    if not (ask_px == ask_px and ask_sz == ask_sz):
        ask_px = INFINITY
        ask_sz = 0.0
    if o.seen:
        if bid_px >= o.bid_px:
            e += bid_sz
        if bid_px <= o.bid_px:
            e -= o.bid_sz
        if ask_px <= o.ask_px:
            e -= ask_sz
        if ask_px >= o.ask_px:
            e += o.ask_sz
    o.seen = True
    o.bid_px = bid_px
    o.bid_sz = bid_sz
    o.ask_px = ask_px
    o.ask_sz = ask_sz
    return e


# VPIN -------------------------------------------------------------------------------

ctypedef struct vpin_t:
    double bucket           # volume of one bucket; NaN while it is being calibrated
    double filled           # volume in the present bucket, < bucket
    double signed_fill      # buy less sell volume in it
    double closed           # buckets completed (a count; double, as one trade may fill 1e300)
    Py_ssize_t n            # buckets averaged
    Py_ssize_t head         # slot of the ring that the next bucket takes
    double* ring            # owned: |buy - sell| / bucket of the last n buckets
    int64_t to_calibrate    # trades still to see before the bucket is set
    double calibrate_buckets


cdef inline int vpin_init(
    vpin_t* v, double bucket_volume, Py_ssize_t n_buckets,
    int64_t calibrate_trades, double calibrate_buckets,
) noexcept nogil:
    """No trades yet; -1 when there is no memory (free it all the same).

    With `bucket_volume` 0 the first `calibrate_trades` (>= 1) trades are not put into
    buckets: their volume / `calibrate_buckets` (> 0) becomes the bucket volume.
    """
    v.bucket = bucket_volume if bucket_volume > 0.0 else NAN
    v.to_calibrate = 0 if bucket_volume > 0.0 else calibrate_trades
    v.calibrate_buckets = calibrate_buckets
    v.filled = v.signed_fill = v.closed = 0.0
    v.n = n_buckets
    v.head = 0
    v.ring = <double*>calloc(n_buckets, sizeof(double))
    return -1 if v.ring is NULL else 0


cdef inline void vpin_free(vpin_t* v) noexcept nogil:
    free(v.ring)
    v.ring = NULL


cdef inline void vpin_close(vpin_t* v, double imbalance) noexcept nogil:
    """A bucket is complete with |buy - sell| / bucket = `imbalance`."""
    v.ring[v.head] = imbalance if imbalance < 1.0 else 1.0      # 1 + 1e-16 by rounding
    v.head = v.head + 1 if v.head + 1 < v.n else 0
    v.closed += 1.0


cdef inline void vpin_fill(vpin_t* v, double share, double size) noexcept nogil:
    """The volume completes the present bucket, perhaps others, and begins one."""
    cdef double whole, room = v.bucket - v.filled
    vpin_close(v, fabs(v.signed_fill + share * room) / v.bucket)
    size -= room
    v.filled = fmod(size, v.bucket)                 # exact, whatever the ratio
    v.signed_fill = share * v.filled
    whole = floor((size - v.filled) / v.bucket + 0.5)
    if whole > <double>v.n:                         # the ring holds no more than n
        v.closed += whole - <double>v.n
        whole = <double>v.n
    while whole > 0.0:
        vpin_close(v, fabs(share))
        whole -= 1.0


cdef inline bint vpin_add(vpin_t* v, double share, double size) noexcept nogil:
    """Volume `size` with (buy - sell) / size = `share`; true when it completed a bucket.

    Split exactly at bucket borders. Sizes that are not positive and finite are ignored.
    Volumes in whole lots, bucket included, are exact; otherwise a border is true to the
    rounding of `filled`.
    """
    if not (size > 0.0 and size < INFINITY):
        return False
    if v.to_calibrate > 0:
        v.filled += size
        v.to_calibrate -= 1
        if v.to_calibrate == 0:
            v.bucket = v.filled / v.calibrate_buckets
            v.filled = 0.0
        return False
    if size < v.bucket - v.filled:
        v.filled += size
        v.signed_fill += share * size
        return False
    vpin_fill(v, share, size)
    return True


cdef inline double vpin_share(int side) noexcept nogil:
    """(buy - sell) / size of a trade; 0 when its aggressor is unknown: half and half."""
    return <double>((side > 0) - (side < 0))


cdef inline bint vpin_trade(vpin_t* v, int side, double size) noexcept nogil:
    """One trade; side > 0 buyer, < 0 seller is the aggressor."""
    return vpin_add(v, vpin_share(side), size)


cdef inline double vpin_value(const vpin_t* v) noexcept nogil:
    """Mean imbalance of the last n complete buckets, in [0, 1]; NaN before there are n.

    Summed anew at each call: O(n), and no error is carried from bucket to bucket.
    """
    cdef Py_ssize_t i
    cdef double a = 0.0, b = 0.0, c = 0.0, d = 0.0      # four chains of additions, not one
    if v.closed < <double>v.n:
        return NAN
    for i in range(0, v.n - 3, 4):
        a += v.ring[i]
        b += v.ring[i + 1]
        c += v.ring[i + 2]
        d += v.ring[i + 3]
    for i in range(v.n - v.n % 4, v.n):
        a += v.ring[i]
    return ((a + b) + (c + d)) / <double>v.n


# VPIN by bulk volume classification --------------------------------------------------

ctypedef struct bvc_t:
    vpin_t vpin
    moments_t changes       # price changes of the bars before the present one
    double sigma            # given once and for all; NaN: of those changes
    double price            # last price of the bar before; NaN: none yet


cdef inline int bvc_init(
    bvc_t* b, double bucket_volume, Py_ssize_t n_buckets, Py_ssize_t sigma_bars, double sigma
) noexcept nogil:
    """No bars yet; -1 when there is no memory (free it all the same)."""
    cdef int failed = vpin_init(&b.vpin, bucket_volume, n_buckets, 0, 0.0)
    b.price = NAN
    b.sigma = sigma
    return -1 if moments_init(&b.changes, sigma_bars) < 0 or failed < 0 else 0


cdef inline void bvc_free(bvc_t* b) noexcept nogil:
    vpin_free(&b.vpin)
    moments_free(&b.changes)


cdef inline bint bvc_bar(bvc_t* b, double price, double volume) noexcept nogil:
    """One bar by its last price and its volume; true when it completed a bucket.

    A bar without trades (volume 0, or no price) is ignored.

    The buy share is Phi(change / sigma), so (buy - sell) / volume = erf(z / sqrt 2).
    Sigma is given, or of the changes before this one; until there are `sigma_bars` of them
    the bar is not put into a bucket. Sigma 0 tells nothing: half and half.
    """
    cdef double change, m2, sigma = b.sigma, share = 0.0
    cdef bint closed = False
    if not (isfinite(price) and volume > 0.0 and volume < INFINITY):
        return False
    change = price - b.price
    b.price = price
    if not isfinite(change):
        return False
    if not isfinite(sigma):
        m2 = moments_m2(&b.changes)
        sigma = sqrt(m2 / <double>(b.changes.window - 1))
    if isfinite(sigma):
        if sigma > 0.0:
            share = erf(change / (sqrt(2.0) * sigma))
        closed = vpin_add(&b.vpin, share, volume)
    moments_push(&b.changes, change)
    return closed


# Kyle's lambda ----------------------------------------------------------------------

ctypedef pairs_t kyle_t


cdef inline int kyle_init(kyle_t* k, Py_ssize_t window) noexcept nogil:
    """Empty window of >= 3 bars; -1 when there is no memory (free it all the same)."""
    return pairs_init(k, window)


cdef inline void kyle_free(kyle_t* k) noexcept nogil:
    pairs_free(k)


cdef inline void kyle_bar(kyle_t* k, double dmid, double signed_volume) noexcept nogil:
    """One bar; left out when either is not finite, as where the book had no mid."""
    if isfinite(dmid) and isfinite(signed_volume):
        pairs_push(k, signed_volume, dmid)


cdef inline double kyle_value(const kyle_t* k) noexcept nogil:
    """Lambda, price per unit of volume; NaN in warm-up and where volume does not vary."""
    return pairs_slope(k)


cdef inline double kyle_tstat(const kyle_t* k) noexcept nogil:
    """Classical t-statistic of lambda; NaN where lambda is."""
    return pairs_line(k).t

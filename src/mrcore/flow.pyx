"""Order-flow measures: depth imbalance, micro-price, OFI, VPIN and Kyle's lambda.

Each measure is a kernel for one event (flow.pxd), a streaming object around it and a
batch loop over the same kernel: any split of the events gives the same bits. An object
belongs to one thread at a time; ``copy.copy`` and ``pickle`` save and restore it.
"""
cimport cython
from libc.math cimport NAN
from libc.stdint cimport int8_t, int32_t, int64_t
from libc.string cimport memcpy

from mrcore.book cimport L2Book
from mrcore.depth cimport depth_set, depth_t, depth_value, depth_walk
from mrcore.flow cimport (
    bvc_bar, bvc_free, bvc_init, bvc_t, kyle_bar, kyle_free, kyle_init, kyle_t, kyle_tstat,
    kyle_value, ofi_init, ofi_t, ofi_update, vpin_free, vpin_init, vpin_share, vpin_t, vpin_trade,
    vpin_value,
)
from mrcore.kernels cimport imbalance as imbalance_of, microprice as microprice_of
from mrcore.ladder cimport book_settle, book_t
from mrcore.rolling cimport (
    check_window, moments_restore, moments_state, pairs_restore, pairs_state,
)
from mrcore.types cimport MAX_LOTS

import numpy as np


cdef int check_lengths(Py_ssize_t n, Py_ssize_t m, str names) except -1:
    if n != m:
        raise ValueError(f"{names} differ in length: {n} and {m}")
    return 0


def imbalance(const double[::1] bid_size not None, const double[::1] ask_size not None):
    """Depth imbalance of resting sizes, row by row.

    Parameters
    ----------
    bid_size, ask_size : array of float64
        Resting size of each side (best level or a sum over levels), >= 0, one unit.

    Returns
    -------
    ndarray of float64
        ``(bid - ask) / (bid + ask)`` in [-1, 1]; NaN where both are 0.

    References
    ----------
    Cao, Hansch and Wang (2009), Journal of Futures Markets 29(1).
    """
    cdef Py_ssize_t i, n = bid_size.shape[0]
    check_lengths(n, ask_size.shape[0], "bid_size and ask_size")
    out = np.empty(n)
    cdef double[::1] y = out
    with nogil:
        for i in range(n):
            y[i] = imbalance_of(bid_size[i], ask_size[i])
    return out


def depth_imbalance(
    L2Book book not None,
    const int8_t[::1] side not None,
    const int32_t[::1] tick not None,
    const int64_t[::1] lots not None,
    Py_ssize_t levels,
):
    """Imbalance of the best levels after each row; the book is left at the last one.

    Parameters
    ----------
    book : L2Book
        Where the rows are applied, each as a message of its own (as `L2Book.update`).
    side, tick, lots : ndarray of int8, int32, int64
        +1 bid, -1 ask; ticks; absolute sizes, 0 deletes.
    levels : int
        Levels a side that are summed, >= 1; such as 1, 5, 10 or 20.

    Returns
    -------
    ndarray of float64
        ``(bid - ask) / (bid + ask)`` in [-1, 1]; a side with fewer levels counts what it
        has; NaN where both are empty.
    """
    cdef Py_ssize_t i, n = side.shape[0]
    cdef book_t* b = &book.c
    cdef depth_t depth
    cdef bint bad = False
    check_lengths(n, tick.shape[0], "side and tick")
    check_lengths(n, lots.shape[0], "side and lots")
    if levels < 1:
        raise ValueError(f"levels must be >= 1, was {levels}")
    for i in range(n):
        bad |= (side[i] != 1) & (side[i] != -1) | (lots[i] < 0) | (lots[i] > MAX_LOTS)
    if bad:
        raise ValueError(f"side must be 1 or -1 and lots in [0, {MAX_LOTS}] in every row")
    if book.waiting:
        raise ValueError("the book waits for its snapshot")
    out = np.empty(n)
    cdef double[::1] y = out
    with nogil:
        book_settle(b)
        depth.n = levels
        depth_walk(&depth, b)
        for i in range(n):
            depth_set(&depth, b, side[i], tick[i], lots[i])
            y[i] = depth_value(&depth)
    if b.failed:
        raise MemoryError("no memory for the far levels of the book")
    return out


def microprice(
    const double[::1] bid not None,
    const double[::1] bid_size not None,
    const double[::1] ask not None,
    const double[::1] ask_size not None,
):
    """Mid weighted by the opposite queue, row by row.

    Parameters
    ----------
    bid, ask : array of float64
        Best prices, quote units.
    bid_size, ask_size : array of float64
        Sizes at them, one unit.

    Returns
    -------
    ndarray of float64
        ``(bid_size * ask + ask_size * bid) / (bid_size + ask_size)``, quote units;
        NaN where a side is missing (size 0 or NaN).
    """
    cdef Py_ssize_t i, n = bid.shape[0]
    check_lengths(n, bid_size.shape[0], "bid and bid_size")
    check_lengths(n, ask.shape[0], "bid and ask")
    check_lengths(n, ask_size.shape[0], "bid and ask_size")
    out = np.empty(n)
    cdef double[::1] y = out
    with nogil:
        for i in range(n):
            y[i] = microprice_of(bid[i], bid_size[i], ask[i], ask_size[i])
    return out


@cython.final
cdef class OFI:
    """Order-flow imbalance of the best quotes.

    Each change of the touch adds

    ``e = [b >= b'] qb - [b <= b'] qb' - [a <= a'] qa + [a >= a'] qa'``

    (primes: the quotes before), in units of size. OFI over an interval is the sum of
    the ``e`` within it. The first quotes give 0, as do the first after `reset`.

    References
    ----------
    Cont, Kukanov and Stoikov (2014), Journal of Financial Econometrics 12(1).
    """
    cdef ofi_t c
    cdef readonly double value      # the last contribution

    def __cinit__(self):
        self.reset()

    def reset(self):
        """Forget the quotes: the next ones follow a gap."""
        ofi_init(&self.c)
        self.value = 0.0

    def update(self, double bid, double bid_size, double ask, double ask_size):
        """Contribution of one change of the touch.

        Parameters
        ----------
        bid, ask : float
            Best prices, quote units; NaN (or -inf, +inf) when the side is missing.
        bid_size, ask_size : float
            Sizes at them; 0 when the side is missing.

        Returns
        -------
        float
            In the unit of the sizes; > 0 is buying pressure.
        """
        self.value = ofi_update(&self.c, bid, bid_size, ask, ask_size)
        return self.value

    def batch(
        self, const double[::1] bid not None, const double[::1] bid_size not None,
        const double[::1] ask not None, const double[::1] ask_size not None,
    ):
        """Contribution of each of many changes, as `update` one by one."""
        cdef Py_ssize_t i, n = bid.shape[0]
        check_lengths(n, bid_size.shape[0], "bid and bid_size")
        check_lengths(n, ask.shape[0], "bid and ask")
        check_lengths(n, ask_size.shape[0], "bid and ask_size")
        out = np.empty(n)
        cdef double[::1] y = out
        with nogil:
            for i in range(n):
                y[i] = ofi_update(&self.c, bid[i], bid_size[i], ask[i], ask_size[i])
        if n > 0:
            self.value = y[n - 1]
        return out

    def __reduce__(self):
        return OFI, (), (self.value, self.c)

    def __setstate__(self, state):
        self.value, self.c = state


cdef tuple vpin_state(const vpin_t* v):
    return (
        v.bucket, v.filled, v.signed_fill, v.closed, v.head, v.to_calibrate,
        (<const char*>v.ring)[:v.n * sizeof(double)],
    )


cdef int vpin_restore(vpin_t* v, tuple state) except -1:
    cdef Py_ssize_t head
    cdef bytes ring
    v.bucket, v.filled, v.signed_fill, v.closed, head, v.to_calibrate, ring = state
    if len(ring) != v.n * <Py_ssize_t>sizeof(double) or not 0 <= head < v.n:
        raise ValueError("this state is of another number of buckets")
    memcpy(v.ring, <const char*>ring, len(ring))
    v.head = head
    return 0


cdef int check_bucket(double bucket_volume, bint calibrated) except -1:
    if calibrated and bucket_volume == 0.0:
        return 0
    if not 0.0 < bucket_volume < float("inf"):
        raise ValueError(f"bucket_volume must be > 0 and finite, was {bucket_volume}")
    return 0


@cython.final
cdef class VPIN:
    """Volume-synchronised probability of informed trading, from signed trades.

    Trades fill buckets of equal volume; ``VPIN = mean(|buy - sell| / bucket)`` over the
    last `n_buckets` complete ones, in [0, 1], NaN before there are that many. A trade
    across a border is split there; a large one fills several buckets. Trades whose size
    is not positive and finite are ignored.

    Parameters
    ----------
    bucket_volume : float, default 0
        Volume of a bucket, in the unit of the sizes. 0: take it from the first
        `calibrate_trades` trades, which then are not put into buckets, as their volume
        / `calibrate_buckets`.
    n_buckets : int, default 50
        Buckets averaged.
    calibrate_trades : int, default 5000
    calibrate_buckets : float, default 50

    Notes
    -----
    Splitting is exact when sizes and bucket are whole lots. The level without any
    informed trading is not 0 and depends on the number of trades a bucket.

    References
    ----------
    Easley, Lopez de Prado and O'Hara (2012), Review of Financial Studies 25(5).
    """
    cdef vpin_t c
    cdef readonly double value      # NaN in warm-up
    cdef tuple args

    def __cinit__(
        self, double bucket_volume=0.0, Py_ssize_t n_buckets=50,
        int64_t calibrate_trades=5000, double calibrate_buckets=50.0,
    ):
        check_bucket(bucket_volume, True)
        check_window("n_buckets", n_buckets, 1)
        check_window("calibrate_trades", calibrate_trades, 1)
        if not 0.0 < calibrate_buckets < float("inf"):
            raise ValueError(f"calibrate_buckets must be > 0, was {calibrate_buckets}")
        if vpin_init(
            &self.c, bucket_volume, n_buckets, calibrate_trades, calibrate_buckets
        ) < 0:
            raise MemoryError
        self.args = (bucket_volume, n_buckets, calibrate_trades, calibrate_buckets)
        self.value = NAN

    def __dealloc__(self):
        vpin_free(&self.c)

    @property
    def bucket_volume(self):
        """Volume of a bucket; NaN while it is being calibrated."""
        return self.c.bucket

    @property
    def buckets_closed(self):
        """Buckets completed so far."""
        return self.c.closed

    def update(self, int side, double size):
        """VPIN after one trade; side +1 buyer, -1 seller is the aggressor, 0 unknown."""
        if vpin_trade(&self.c, side, size):
            self.value = vpin_value(&self.c)
        return self.value

    def batch(self, const int8_t[::1] side not None, const double[::1] size not None):
        """VPIN after each of many trades, as `update` one by one."""
        cdef Py_ssize_t i = 0, n = side.shape[0]
        cdef vpin_t* v = &self.c
        cdef double value = self.value, filled, signed_fill, bucket
        check_lengths(n, size.shape[0], "side and size")
        out = np.empty(n)
        cdef double[::1] y = out
        with nogil:
            while i < n:
                # the trades that end no bucket, in registers; NaN while calibrating: none
                filled, signed_fill, bucket = v.filled, v.signed_fill, v.bucket
                while i < n and 0.0 < size[i] < bucket - filled:
                    filled += size[i]
                    signed_fill += vpin_share(side[i]) * size[i]
                    y[i] = value
                    i += 1
                v.filled, v.signed_fill = filled, signed_fill
                if i < n:
                    if vpin_trade(v, side[i], size[i]):
                        value = vpin_value(v)
                    y[i] = value
                    i += 1
        self.value = value
        return out

    def __reduce__(self):
        return VPIN, self.args, (self.value, vpin_state(&self.c))

    def __setstate__(self, state):
        self.value, vpin = state
        vpin_restore(&self.c, vpin)


@cython.final
cdef class BulkVPIN:
    """VPIN by bulk volume classification, from bars of trades.

    A bar's buy share is ``Phi(change / sigma)``: the change of the last price since the
    last bar that traded, over the standard deviation (ddof 1) of the `sigma_bars`
    changes before it, or one that is given. Neither looks ahead. The bar's volume is
    split at bucket borders with the same share. Bars before sigma is known are not put
    into buckets; bars without trades (volume 0 or price NaN) are ignored; where sigma is
    0 the share is one half.

    Parameters
    ----------
    bucket_volume : float
        Volume of a bucket, in the unit of the volumes, > 0.
    n_buckets : int, default 50
        Buckets averaged.
    sigma_bars : int, default 100
        Price changes in sigma, >= 2.
    sigma : float, optional
        Instead: a sigma that was known beforehand, as of the day before; >= 0, in the unit of the
        price.

    Notes
    -----
    The level without information is mechanical: with k Gaussian bars a bucket about
    ``sqrt(2 / (3 pi k))`` for large k (k = 1: 0.50, 5: 0.21, 20: 0.10). Compare only
    equal ratios of bar to bucket.

    References
    ----------
    Easley, Lopez de Prado and O'Hara (2012), Review of Financial Studies 25(5);
    (2016) Journal of Financial Economics 120.
    """
    cdef bvc_t c
    cdef readonly double value      # NaN in warm-up
    cdef tuple args

    def __cinit__(
        self, double bucket_volume, Py_ssize_t n_buckets=50, Py_ssize_t sigma_bars=100,
        sigma=None,
    ):
        cdef double known = NAN if sigma is None else sigma
        check_bucket(bucket_volume, False)
        check_window("n_buckets", n_buckets, 1)
        check_window("sigma_bars", sigma_bars, 2)
        if sigma is not None and not 0.0 <= known < INFINITY:
            raise ValueError(f"sigma must be finite and >= 0, was {sigma}")
        if bvc_init(&self.c, bucket_volume, n_buckets, sigma_bars, known) < 0:
            raise MemoryError
        self.args = (bucket_volume, n_buckets, sigma_bars, sigma)
        self.value = NAN

    def __dealloc__(self):
        bvc_free(&self.c)

    @property
    def bucket_volume(self):
        """Volume of a bucket."""
        return self.c.vpin.bucket

    @property
    def buckets_closed(self):
        """Buckets completed so far."""
        return self.c.vpin.closed

    def update(self, double price, double volume):
        """VPIN after one bar: its last price (quote units) and its volume."""
        if bvc_bar(&self.c, price, volume):
            self.value = vpin_value(&self.c.vpin)
        return self.value

    def batch(self, const double[::1] price not None, const double[::1] volume not None):
        """VPIN after each of many bars, as `update` one by one."""
        cdef Py_ssize_t i, n = price.shape[0]
        cdef double value = self.value
        check_lengths(n, volume.shape[0], "price and volume")
        out = np.empty(n)
        cdef double[::1] y = out
        with nogil:
            for i in range(n):
                if bvc_bar(&self.c, price[i], volume[i]):
                    value = vpin_value(&self.c.vpin)
                y[i] = value
        self.value = value
        return out

    def __reduce__(self):
        state = (
            self.value, self.c.price, vpin_state(&self.c.vpin), moments_state(&self.c.changes)
        )
        return BulkVPIN, self.args, state

    def __setstate__(self, state):
        self.value, self.c.price, vpin, changes = state
        vpin_restore(&self.c.vpin, vpin)
        moments_restore(&self.c.changes, changes)


@cython.final
cdef class KyleLambda:
    """Kyle's lambda: price impact of signed volume, by rolling least squares.

    Slope of ``mid change = a + lambda * signed volume`` over the last `window` bars, in
    price per unit of volume. NaN until there are `window` bars and where volume does
    not vary; it may be negative. A bar with a value that is not finite is left out.
    Use mids: the bounce of trade prices biases lambda several times upwards.

    Parameters
    ----------
    window : int
        Bars, >= 3.

    References
    ----------
    Kyle (1985), Econometrica 53; Hasbrouck (2009), Journal of Finance 64.
    """
    cdef kyle_t c

    def __cinit__(self, Py_ssize_t window):
        check_window("window", window, 3)
        if kyle_init(&self.c, window) < 0:
            raise MemoryError

    def __dealloc__(self):
        kyle_free(&self.c)

    @property
    def window(self):
        """Bars."""
        return self.c.window

    @property
    def value(self):
        """Lambda, price per unit of volume."""
        return kyle_value(&self.c)

    @property
    def tstat(self):
        """Classical t-statistic of lambda, window - 2 degrees of freedom."""
        return kyle_tstat(&self.c)

    def update(self, double dmid, double signed_volume):
        """Lambda after one bar: change of the mid (quote units), buy less sell volume."""
        kyle_bar(&self.c, dmid, signed_volume)
        return kyle_value(&self.c)

    def batch(self, const double[::1] dmid not None, const double[::1] signed_volume not None):
        """Lambda after each of many bars, as `update` one by one."""
        cdef Py_ssize_t i, n = dmid.shape[0]
        check_lengths(n, signed_volume.shape[0], "dmid and signed_volume")
        out = np.empty(n)
        cdef double[::1] y = out
        with nogil:
            for i in range(n):
                kyle_bar(&self.c, dmid[i], signed_volume[i])
                y[i] = kyle_value(&self.c)
        return out

    def __reduce__(self):
        return KyleLambda, (self.c.window,), pairs_state(&self.c)

    def __setstate__(self, state):
        pairs_restore(&self.c, state)

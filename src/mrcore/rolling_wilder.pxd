"""C interface of mrcore.rolling_wilder: averages of Wilder (1978) that begin with a simple mean.

Seeds, the order of the operations and ties are those of TA-Lib, so that results agree with it to
the last digits. A step needs two finite bars in a row; where there is none the averages wait.
"""
from libc.math cimport NAN, fabs, isfinite


ctypedef struct rsi_t:
    Py_ssize_t window
    Py_ssize_t steps        # taken, up to `window`
    double x                # newest value
    double gain             # sums while steps < window, then averages
    double loss


cdef inline void rsi_init(rsi_t* r, Py_ssize_t window) noexcept nogil:
    r.window = window
    r.steps = 0
    r.x = NAN
    r.gain = r.loss = 0.0


cdef inline double rsi_step(rsi_t* r, double x) noexcept nogil:
    """RSI after one more value; NaN in the seed, at a gap, and where nothing has moved."""
    cdef double step = x - r.x, n = <double>r.window
    r.x = x
    if not isfinite(step):
        return NAN
    if r.steps == r.window:
        r.gain *= n - 1.0
        r.loss *= n - 1.0
    else:
        r.steps += 1
    if step < 0.0:
        r.loss -= step
    else:
        r.gain += step
    if r.steps < r.window:
        return NAN
    r.gain /= n
    r.loss /= n
    if not r.gain + r.loss > 0.0:
        return NAN
    return 100.0 * (r.gain / (r.gain + r.loss))


ctypedef struct adx_t:
    Py_ssize_t window
    Py_ssize_t steps        # taken, up to 2 * window - 1
    double high             # newest bar
    double low
    double close
    double plus             # smoothed sums: +DM, -DM, true range
    double minus
    double range
    double adx              # sum of DX in the seed, then their average


ctypedef struct direction_t:
    double plus
    double minus
    double adx


cdef inline void adx_init(adx_t* a, Py_ssize_t window) noexcept nogil:
    a.window = window
    a.steps = 0
    a.high = a.low = a.close = NAN
    a.plus = a.minus = a.range = a.adx = 0.0


cdef inline double true_range(double high, double low, double before) noexcept nogil:
    cdef double widest = high - low
    if fabs(high - before) > widest:
        widest = fabs(high - before)
    if fabs(low - before) > widest:
        widest = fabs(low - before)
    return widest


cdef inline direction_t adx_step(adx_t* a, double high, double low, double close) noexcept nogil:
    """+DI, -DI and ADX after one more bar; NaN in their seeds, at a gap, and without a range."""
    cdef direction_t d
    cdef double up = high - a.high, down = a.low - low, n = <double>a.window, total
    cdef double widest = true_range(high, low, a.close)
    d.plus = d.minus = d.adx = NAN
    if not (isfinite(high) and isfinite(low) and isfinite(close)):
        high = low = close = NAN
    a.high = high
    a.low = low
    a.close = close
    if not (isfinite(widest + up + down) and isfinite(close)):
        return d
    if a.steps < 2 * a.window:
        a.steps += 1
    if a.steps >= a.window:
        a.plus -= a.plus / n
        a.minus -= a.minus / n
        a.range -= a.range / n
    if down > 0.0 and up < down:
        a.minus += down
    elif up > 0.0 and up > down:
        a.plus += up
    a.range += widest
    if a.steps < a.window:
        return d
    if a.range > 0.0:
        d.plus = 100.0 * (a.plus / a.range)
        d.minus = 100.0 * (a.minus / a.range)
        total = d.plus + d.minus
        if total > 0.0:
            total = 100.0 * (fabs(d.minus - d.plus) / total)
            if a.steps < 2 * a.window:
                a.adx += total
            else:
                a.adx = (a.adx * (n - 1.0) + total) / n
    if a.steps == 2 * a.window - 1:
        a.adx /= n
    if a.steps >= 2 * a.window - 1:
        d.adx = a.adx
    return d

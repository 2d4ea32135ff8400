"""Rolling statistics for features: `mrcore` kernels whose state outlives the call."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from mrcore.flow import BulkVPIN
from mrcore.rolling import RollingMax, RollingMean, RollingMin, RollingOLS, RollingVariance
from mrcore.rolling_column import RollingLag
from mrcore.rolling_dfa import RollingDFA
from mrcore.rolling_edge import RollingEDGE
from mrcore.rolling_moments import RollingShape
from mrcore.rolling_order import RollingMedianMad, RollingRank
from mrcore.rolling_realized import RollingJump, RollingKernelVariance
from mrcore.rolling_walk import RollingADF, RollingAR, RollingVarianceRatio
from mrcore.rolling_wilder import SeededEMA, WilderADX, WilderRSI
from mrtrade.errors import ConfigError

Array = npt.NDArray[np.float64]
Bars = Mapping[str, Array]
"""Columns of bars: float64, but ``time`` int64."""
Series = str | Array
"""A column by its name, or an array of one's own."""

_NEVER = np.iinfo(np.int64).min
_DAY_NS = 86_400_000_000_000


def sealed(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a view that cannot be written: a feature would change what others are given."""
    if len(array) == 1:  # one bar of a stream: quicker, and what writes has failed on many
        return array
    view = array.view()
    view.flags.writeable = False
    return view


class Cell:
    """A kernel, and what it said of the present chunk."""

    __slots__ = ("given", "kernel", "make", "result", "seen", "series")

    def __init__(self, make: Callable[..., Any], given: tuple[Any, ...], series: Any) -> None:
        self.make, self.given, self.series = make, given, series
        self.kernel = make(*given)
        self.seen = -1
        self.result: Any = None

    def __getstate__(self) -> tuple[Any, ...]:
        return self.make, self.given, self.series, self.kernel

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.make, self.given, self.series, self.kernel = state
        self.seen, self.result = -1, None


class Shared:
    """The kernels that run over named columns: one for all features that ask for the same.

    Attributes
    ----------
    chunk : int
        Number of the present chunk: a kernel runs at the first call within it that asks.
    """

    def __init__(self) -> None:
        self.chunk = 0
        self._cells: dict[tuple[Any, ...], Cell] = {}

    def cell(self, make: Callable[..., Any], given: tuple[Any, ...], series: Any) -> Cell:
        """Return the cell of a kernel over columns."""
        key = (make, given, series)
        if key not in self._cells:
            self._cells[key] = Cell(make, given, series)
        return self._cells[key]


def _other(cell: Cell) -> ConfigError:
    return ConfigError(
        "a feature asked for other rolling statistics than in the chunk before",
        expected=f"{cell.make.__name__}{cell.given} of {cell.series or 'an array'}",
        remedy="make the same calls of `roll` in the same order each time",
    )


class Rolling:
    """Rolling statistics over the chunks of bars that one feature is fed.

    A statistic of a column that the feature declares is asked for by the column's name, and shared
    with all other features; one of an array is the feature's own. The n-th call within a chunk goes
    on with the state of the n-th call within the chunk before, so a feature must make the same
    calls in the same order each time: no call may hang on a branch that looks at data.

    Windows are in bars and include the present one; there is no value (NaN) before a window is
    full, nor while a NaN is in it. `ewma`, `rsi` and `adx` have no window but a beginning: they
    pass over NaN and go on from what they were.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._cells: list[Cell] = []
        self._next = 0
        self._bars: Mapping[str, Any] = {}

    def begin(self, bars: Mapping[str, Any]) -> None:
        """Begin a chunk of the columns that the feature declares."""
        self._next = 0
        self._bars = bars

    def __getstate__(self) -> tuple[Shared, list[Cell]]:
        return self._shared, self._cells

    def __setstate__(self, state: tuple[Shared, list[Cell]]) -> None:
        self._shared, self._cells = state
        self._next, self._bars = 0, {}

    def _run(self, make: Callable[..., Any], given: tuple[Any, ...], *series: Any) -> Any:
        if self._next == len(self._cells):
            self._cells.append(self._new(make, given, series))
        cell = self._cells[self._next]
        self._next += 1
        if cell.make is not make or cell.given != given:
            raise _other(cell)
        if cell.series is None:  # of arrays: the feature's own
            return cell.kernel.batch(*[self._bars[x] if type(x) is str else x for x in series])
        if cell.series != series:
            raise _other(cell)
        if cell.seen != self._shared.chunk:
            result = cell.kernel.batch(*[self._bars[name] for name in series])
            several = type(result) is tuple
            cell.result = tuple(map(sealed, result)) if several else sealed(result)
            cell.seen = self._shared.chunk
        return cell.result

    def _new(self, make: Callable[..., Any], given: tuple[Any, ...], series: Any) -> Cell:
        if not all(isinstance(x, str) for x in series):
            return Cell(make, given, None)
        for name in series:
            self._bars[name]  # declared, or an error
        return self._shared.cell(make, given, series)

    def lag(self, x: Series, bars: int) -> Array:
        """Return the values of `bars` bars before; NaN where there was none."""
        if bars == 0:
            return self._bars[x] if isinstance(x, str) else x
        lagged: Array = self._run(RollingLag, (bars,), x)
        return lagged

    def bar_seconds(self) -> Array:
        """Return the time (s) since the end of the bar before; NaN at first.

        The feature declares ``time``.
        """
        seconds: Array = self._run(_Seconds, (), "time")
        return seconds

    def mean(self, x: Series, window: int) -> Array:
        """Return the mean."""
        mean: Array = self._run(RollingMean, (window,), x)
        return mean

    def sum(self, x: Series, window: int) -> Array:
        """Return the sum."""
        return self.mean(x, window) * window

    def day_sum(self, x: Series) -> Array:
        """Return the sum since 00:00 UTC, a NaN counting as 0.

        The feature declares ``time``. A bar that ends at midnight is of the day that ends.
        """
        total: Array = self._run(_DaySum, (), "time", x)
        return total

    def variance(self, x: Series, window: int, ddof: int = 0) -> Array:
        """Return the variance, divisor ``window - ddof``."""
        variance: Array = self._run(RollingVariance, (window, ddof), x)
        return variance

    def sd(self, x: Series, window: int) -> Array:
        """Return the population standard deviation (ddof 0)."""
        return np.sqrt(self.variance(x, window))

    def shape(self, x: Series, window: int) -> tuple[Array, Array]:
        """Return skewness and excess kurtosis, of population moments."""
        skewness, kurtosis = self._run(RollingShape, (window,), x)
        return skewness, kurtosis

    def max(self, x: Series, window: int) -> Array:
        """Return the maximum."""
        highest: Array = self._run(RollingMax, (window,), x)
        return highest

    def min(self, x: Series, window: int) -> Array:
        """Return the minimum."""
        lowest: Array = self._run(RollingMin, (window,), x)
        return lowest

    def rank(self, x: Series, window: int) -> Array:
        """Return the rank of the newest value in the window, 0 the lowest, 1 the highest."""
        rank: Array = self._run(RollingRank, (window,), x)
        return rank

    def median_mad(self, x: Series, window: int) -> tuple[Array, Array]:
        """Return the median, and the median absolute deviation from it."""
        median, mad = self._run(RollingMedianMad, (window,), x)
        return median, mad

    def ols(self, y: Series, x: Series, window: int) -> tuple[Array, Array, Array, Array]:
        """Return slope, intercept, r2 and classical t statistic of y on x, with an intercept."""
        line: tuple[Array, Array, Array, Array] = self._run(RollingOLS, (window,), x, y)
        return line

    def ar(self, x: Series, window: int) -> tuple[Array, Array, Array, Array, Array, Array]:
        """Return what the OLS of the step on the value before says, of `window` such pairs.

        Slope, intercept, t of the slope, phi (1 + slope), its standard error, residual variance.
        """
        slope, intercept, t, phi, error, variance = self._run(RollingAR, (window,), x)
        return slope, intercept, t, phi, error, variance

    def adf(self, x: Series, window: int, lags: int) -> Array:
        """Return the augmented Dickey-Fuller t of `window` values, with a constant."""
        t: Array = self._run(RollingADF, (window, lags), x)
        return t

    def variance_ratio(self, x: Series, window: int, q: int) -> tuple[Array, Array]:
        """Return the variance ratio of q steps of `window` values, and its robust z."""
        ratio, z = self._run(RollingVarianceRatio, (window, q), x)
        return ratio, z

    def dfa(self, x: Series, window: int) -> tuple[Array, Array]:
        """Return the Hurst exponent of steps by DFA-1, as it is and without its bias."""
        slope, corrected = self._run(RollingDFA, (window,), x)
        return slope, corrected

    def kernel_variance(self, x: Series, window: int, most_lags: int, sparse: int) -> Array:
        """Return the realised variance of the whole window by the non-flat Parzen kernel.

        Its bandwidth, `most_lags` at most, is chosen with returns of `sparse` steps.
        """
        variance: Array = self._run(RollingKernelVariance, (window, most_lags, None, sparse), x)[0]
        return variance

    def jump(self, x: Series, window: int) -> tuple[Array, Array, Array, Array, Array]:
        """Return realised and bipower variation, tripower quarticity, z of jumps, share of 0."""
        total, bipower, tripower, z, zeros = self._run(RollingJump, (window,), x)
        return total, bipower, tripower, z, zeros

    def ewma(self, x: Series, window: int, alpha: float) -> Array:
        """Return y += alpha (x - y), begun with the mean of the first `window` values."""
        mean: Array = self._run(SeededEMA, (window, alpha), x)
        return mean

    def rsi(self, x: Series, window: int) -> Array:
        """Return Wilder's relative strength index."""
        rsi: Array = self._run(WilderRSI, (window,), x)
        return rsi

    def adx(
        self, high: Series, low: Series, close: Series, window: int
    ) -> tuple[Array, Array, Array]:
        """Return Wilder's directional indicators +DI and -DI, and their index ADX."""
        plus, minus, adx = self._run(WilderADX, (window,), high, low, close)
        return plus, minus, adx

    def edge(self, opened: Series, high: Series, low: Series, close: Series, window: int) -> Array:
        """Return the spread that candles give away, a fraction, after Ardia et al. (2024)."""
        spread: Array = self._run(RollingEDGE, (window,), opened, high, low, close)
        return spread

    def bulk_vpin(self, price: Series, volume: Series, window: int) -> Array:
        """Return VPIN by bulk classification, in buckets of the volume of five first bars.

        The bucket is five times the mean volume of the first `window` bars; these are not put into
        buckets, and changes of the price are measured by those of `window` bars.
        """
        vpin: Array = self._run(_BulkVpin, (window,), price, volume)
        return vpin


class _Seconds:
    """The time since the one before."""

    def __init__(self) -> None:
        self._last = _NEVER

    def batch(self, time: npt.NDArray[Any]) -> Array:
        if not len(time):
            return np.empty(0)
        last, self._last = self._last, int(time[-1])
        first = np.nan if last == _NEVER else (int(time[0]) - last) * 1e-9
        if len(time) == 1:  # one bar of a stream: quicker
            return np.array([first])
        seconds = np.empty(len(time))
        seconds[0] = first
        seconds[1:] = np.diff(time) * 1e-9
        return seconds


class _DaySum:
    """The sum of a day so far."""

    def __init__(self) -> None:
        self._day = _NEVER
        self._total = 0.0

    def batch(self, time: npt.NDArray[Any], x: Array) -> Array:
        if not len(x):
            return x
        if len(x) == 1:  # one bar of a stream: quicker
            return self._one(int(time[0] - 1) // _DAY_NS, float(x[0]))
        day = (time - 1) // _DAY_NS
        out = np.where(np.isnan(x), 0.0, x)
        if day[0] == self._day:
            out[0] += self._total
        turns = np.flatnonzero(np.diff(day)) + 1 if day[0] != day[-1] else ()
        for first, last in pairwise([0, *turns, len(x)]):
            np.cumsum(out[first:last], out=out[first:last])
        self._day, self._total = day[-1], out[-1]
        return out

    def _one(self, day: int, x: float) -> Array:
        value = 0.0 if math.isnan(x) else x
        self._total = value + self._total if day == self._day else value
        self._day = day
        return np.array([self._total])


class _BulkVpin:
    """VPIN by bulk classification, whose bucket is what the first bars say: a past of all."""

    BARS_A_BUCKET = 5
    BUCKETS = 50

    def __init__(self, window: int) -> None:
        self._window = window
        self._seen = 0
        self._volume = 0.0
        self._vpin: BulkVPIN | None = None

    def batch(self, price: Array, volume: Array) -> Array:
        out = np.full(len(price), np.nan)
        row = 0
        while self._vpin is None and row < len(price):
            self._calibrate(float(volume[row]))
            row += 1
        if self._vpin is not None:
            out[row:] = self._vpin.batch(price[row:], volume[row:])
        return out

    def _calibrate(self, volume: float) -> None:
        self._seen += 1
        self._volume += volume if 0.0 < volume < np.inf else 0.0
        if self._seen >= self._window and self._volume > 0.0:
            bucket = self.BARS_A_BUCKET * self._volume / self._seen
            self._vpin = BulkVPIN(bucket, self.BUCKETS, self._window)

"""Rolling statistics for features: `mrcore` kernels whose state outlives the call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mrcore.rolling import EWMA, RollingMax, RollingMean, RollingMin, RollingOLS, RollingVariance
from mrtrade.errors import ConfigError

Array = npt.NDArray[np.float64]
Bars = Mapping[str, Array]
"""Columns of bars: float64, but ``time`` int64."""
Series = str | Array
"""A column by its name, or an array of one's own."""

_NEVER = np.iinfo(np.int64).min


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


class Rolling:
    """Rolling statistics over the chunks of bars that one feature is fed.

    A statistic of a column that the feature declares is asked for by the column's name, and shared
    with all other features; one of an array is the feature's own. The n-th call within a chunk goes
    on with the state of the n-th call within the chunk before, so a feature must make the same
    calls in the same order each time: no call may hang on a branch that looks at data.

    Windows are in bars and include the present one; there is no value (NaN) before a window is
    full, nor while a NaN is in it. `ewma` has no window: it passes over NaN and keeps its value.
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
        names = tuple([x if isinstance(x, str) else None for x in series])
        if self._next == len(self._cells):
            shared = None not in names
            if shared:
                _ = [self._bars[name] for name in names]  # declared, or an error
            self._cells.append((self._shared.cell if shared else Cell)(make, given, names))
        cell = self._cells[self._next]
        self._next += 1
        if cell.make is not make or cell.given != given or cell.series != names:
            raise ConfigError(
                "a feature asked for other rolling statistics than in the chunk before",
                expected=f"{cell.make.__name__}{cell.given} of {cell.series} first",
                remedy="make the same calls of `roll` in the same order each time",
            )
        if None in names or cell.seen != self._shared.chunk:
            columns = [self._bars[x] if isinstance(x, str) else x for x in series]
            cell.result = cell.kernel.batch(*columns)
            cell.seen = self._shared.chunk
        return cell.result

    def lag(self, x: Series, bars: int) -> Array:
        """Return the values of `bars` bars before; NaN where there was none."""
        lagged: Array = self._run(_Lag, (bars,), x)
        return lagged

    def bar_seconds(self) -> Array:
        """Return the time (s) since the end of the bar before; NaN at first.

        The feature declares ``time``.
        """
        time = self._bars["time"]
        before = self._run(_Before, (), "time")
        return np.where(before == _NEVER, np.nan, (time - before) * 1e-9)

    def mean(self, x: Series, window: int) -> Array:
        """Return the mean."""
        mean: Array = self._run(RollingMean, (window,), x)
        return mean

    def sum(self, x: Series, window: int) -> Array:
        """Return the sum."""
        return self.mean(x, window) * window

    def sd(self, x: Series, window: int) -> Array:
        """Return the population standard deviation (ddof 0)."""
        sd: Array = np.sqrt(self._run(RollingVariance, (window, 0), x))
        return sd

    def max(self, x: Series, window: int) -> Array:
        """Return the maximum."""
        highest: Array = self._run(RollingMax, (window,), x)
        return highest

    def min(self, x: Series, window: int) -> Array:
        """Return the minimum."""
        lowest: Array = self._run(RollingMin, (window,), x)
        return lowest

    def ols(self, y: Series, x: Series, window: int) -> tuple[Array, Array, Array, Array]:
        """Return slope, intercept, r2 and classical t statistic of y on x, with an intercept."""
        line: tuple[Array, Array, Array, Array] = self._run(RollingOLS, (window,), x, y)
        return line

    def ewma(self, x: Series, window: int, alpha: float) -> Array:
        """Return y += alpha (x - y), begun with the mean of the first `window` values."""
        mean: Array = self._run(_SeededEwma, (window, alpha), x)
        return mean


class _Lag:
    """The last values of a stream, handed out again later."""

    def __init__(self, bars: int) -> None:
        self._tail: npt.NDArray[Any] = np.full(bars, np.nan)

    def batch(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        joined = np.concatenate([self._tail, x])
        self._tail = joined[len(x) :].copy()
        return joined[: len(x)]


class _Before(_Lag):
    """The time before each."""

    def __init__(self) -> None:
        self._tail = np.array([_NEVER])


class _SeededEwma:
    """An EWMA that starts from a simple mean, as Wilder's and TA-Lib's do."""

    def __init__(self, window: int, alpha: float) -> None:
        self._seed = RollingMean(window)
        self._ewma = EWMA(alpha)
        self._seeded = False

    def batch(self, x: Array) -> Array:
        out = np.full(len(x), np.nan)
        start = 0
        if not self._seeded:
            mean = self._seed.batch(x)
            ready = np.flatnonzero(np.isfinite(mean))
            if not len(ready):
                return out
            start = int(ready[0])
            out[start] = self._ewma.update(mean[start])
            self._seeded = True
            start += 1
        out[start:] = self._ewma.batch(x[start:])
        return out

"""Rolling statistics for features: `mrcore.rolling` kernels whose state outlives the call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from mrcore import rolling

Array = npt.NDArray[np.float64]
K = TypeVar("K")

_NEVER = np.iinfo(np.int64).min


class Rolling:
    """Rolling statistics over the chunks of bars that one feature is fed.

    The n-th call within a chunk goes on with the state of the n-th call within the chunk before,
    so a feature must make the same calls in the same order each time: no call may hang on a
    branch that looks at data. Windows are in bars and include the present one; there is no value
    (NaN) before a window is full, nor while a NaN is in it. `ewma` has no window: it passes over
    NaN and keeps its value.
    """

    def __init__(self) -> None:
        self._kernels: list[Any] = []
        self._next = 0

    def rewind(self) -> None:
        """Begin a chunk."""
        self._next = 0

    def _kernel(self, make: Callable[[], K]) -> K:
        if self._next == len(self._kernels):
            self._kernels.append(make())
        kernel: K = self._kernels[self._next]
        self._next += 1
        return kernel

    def lag(self, x: Array, bars: int) -> Array:
        """Return the values of `bars` bars before; NaN where there was none."""
        return self._kernel(lambda: _Lag(np.full(bars, np.nan))).batch(x)

    def bar_seconds(self, time: npt.NDArray[Any]) -> Array:
        """Return the length of a bar from the ends (ns) of it and the one before; NaN at first."""
        before = self._kernel(lambda: _Lag(np.full(1, _NEVER))).batch(time)
        return np.where(before == _NEVER, np.nan, (time - before) * 1e-9)

    def mean(self, x: Array, window: int) -> Array:
        """Return the mean."""
        return self._kernel(lambda: rolling.RollingMean(window)).batch(x)

    def sum(self, x: Array, window: int) -> Array:
        """Return the sum."""
        return self.mean(x, window) * window

    def sd(self, x: Array, window: int) -> Array:
        """Return the population standard deviation (ddof 0)."""
        return np.sqrt(self._kernel(lambda: rolling.RollingVariance(window, ddof=0)).batch(x))

    def max(self, x: Array, window: int) -> Array:
        """Return the maximum."""
        return self._kernel(lambda: rolling.RollingMax(window)).batch(x)

    def min(self, x: Array, window: int) -> Array:
        """Return the minimum."""
        return self._kernel(lambda: rolling.RollingMin(window)).batch(x)

    def ols(self, y: Array, x: Array, window: int) -> tuple[Array, Array]:
        """Return slope and classical t statistic of y on x, with an intercept."""
        slope, _, _, t = self._kernel(lambda: rolling.RollingOLS(window)).batch(x, y)
        return slope, t

    def ewma(self, x: Array, window: int, alpha: float) -> Array:
        """Return y += alpha (x - y), begun with the mean of the first `window` values."""
        return self._kernel(lambda: _SeededEwma(window, alpha)).batch(x)


class _Lag:
    """The last values of a stream, handed out again later; begins with `before`."""

    def __init__(self, before: npt.NDArray[Any]) -> None:
        self._tail = before

    def batch(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        joined = np.concatenate([self._tail, x])
        self._tail = joined[len(x) :].copy()
        return joined[: len(x)]


class _SeededEwma:
    """An EWMA that starts from a simple mean, as Wilder's and TA-Lib's do."""

    def __init__(self, window: int, alpha: float) -> None:
        self._seed = rolling.RollingMean(window)
        self._ewma = rolling.EWMA(alpha)
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

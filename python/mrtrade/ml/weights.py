"""Weights of labels that overlap: how much each says that no other says.

Lopez de Prado (2018), AFML, chapter 4, with spans ``[start_ns, end_ns)`` of `mrtrade.ml.labels` in
place of numbers of bars: what is a mean over bars there is a mean over time here, which on a grid
is the same. Spans may come in any order.

Weights of a model's train rows are made of the spans of those rows alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.clock import to_ns
from mrtrade.errors import ConfigError, DataError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def concurrency(start_ns: Any, end_ns: Any, at_ns: Any = None) -> Ints:
    """Count the labels whose span holds a moment (AFML, snippet 4.1).

    Parameters
    ----------
    start_ns, end_ns : array of int64 (n,)
        Spans, half-open.
    at_ns : array of int64 (m,), optional
        The moments; the starts of the labels if left out.

    Returns
    -------
    ndarray of int64 (m,)
    """
    start, end = _spans(start_ns, end_ns)
    at = start if at_ns is None else to_ns(at_ns)
    begun = np.searchsorted(np.sort(start), at, side="right")
    ended = np.searchsorted(np.sort(end), at, side="right")
    return np.asarray(begun - ended, dtype=np.int64)


def average_uniqueness(start_ns: Any, end_ns: Any) -> Floats:
    """Return the mean of 1 / `concurrency` over the span of each label (AFML, snippet 4.2).

    Parameters
    ----------
    start_ns, end_ns : array of int64 (n,)
        Spans, half-open.

    Returns
    -------
    ndarray of float64 (n,)
        In (0, 1]; 1: no other label overlaps. Their sum is how many labels that do not overlap say
        as much.
    """
    start, end = _spans(start_ns, end_ns)
    edges = np.unique(np.concatenate([start, end]))
    count = concurrency(start, end, edges)
    share = np.zeros(len(edges))
    np.divide(1.0, count, out=share, where=count > 0)
    lasting = np.diff(edges, append=edges[-1:]).astype(np.float64)
    before = _sums_before(share * lasting)
    low, high = np.searchsorted(edges, start), np.searchsorted(edges, end)
    return np.minimum((before[high] - before[low]) / (end - start), 1.0)


def return_weights(start_ns: Any, end_ns: Any, price: pd.Series[Any]) -> Floats:
    """Weigh labels by the size of the return that is theirs alone (AFML, snippet 4.10).

    Parameters
    ----------
    start_ns, end_ns : array of int64 (n,)
        Spans, half-open.
    price : Series (m,)
        A price a bar, indexed by the ends of bars, ascending.

    Returns
    -------
    ndarray of float64 (n,)
        ``|sum of r / c|`` over the bars that end in (start, end], r their log returns and c the
        labels whose span holds the bar's beginning; scaled to a mean of 1. NaN where a price of
        such a bar, or of the one before it, is missing or not positive; those are not in the mean.
    """
    start, end = _spans(start_ns, end_ns)
    time = to_ns(price.index)
    values = price.to_numpy(np.float64)
    log = np.full(len(values), np.nan)
    np.log(values, out=log, where=(values > 0.0) & np.isfinite(values))
    moved = np.diff(log)
    count = concurrency(start, end, time[:-1])
    share = np.zeros(len(moved))
    np.divide(moved, count, out=share, where=(count > 0) & ~np.isnan(moved))
    low, high = (np.searchsorted(time[1:], edge, side="right") for edge in (start, end))
    own, lacking = _sums_before(share), _sums_before(np.isnan(moved).astype(np.float64))
    weight = np.abs(own[high] - own[low])
    weight[lacking[high] > lacking[low]] = np.nan
    has = ~np.isnan(weight)
    total = weight[has].sum()
    return weight * (has.sum() / total) if total > 0 else np.full(len(weight), np.nan)


def time_decay(uniqueness: npt.ArrayLike, oldest: float) -> Floats:
    """Return factors that let old labels count less (AFML, snippet 4.11).

    Time is counted in uniqueness, not on the clock, so that many labels of one moment do not age
    each other.

    Parameters
    ----------
    uniqueness : array of float64 (n,)
        `average_uniqueness` of labels, oldest first.
    oldest : float
        In (-1, 1]. 1: no decay. 0 to 1: what the weight goes towards at the oldest, on a line from
        1 at the newest. Below 0: the oldest share ``-oldest`` of labels weighs nothing.

    Returns
    -------
    ndarray of float64 (n,)
        In [0, 1]; the newest is 1.
    """
    if not -1 < oldest <= 1:
        raise ConfigError("decay of weights", key="oldest", value=oldest, expected="in (-1, 1]")
    age = np.cumsum(np.asarray(uniqueness, dtype=np.float64))
    if not len(age):
        return age
    slope = (1 - oldest) / age[-1] if oldest >= 0 else 1 / ((oldest + 1) * age[-1])
    factor: Floats = np.maximum(1 - slope * (age[-1] - age), 0.0)
    return factor


def _sums_before(values: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(values)])


def _spans(start_ns: Any, end_ns: Any) -> tuple[Ints, Ints]:
    start, end = to_ns(start_ns), to_ns(end_ns)
    if len(start) != len(end):
        raise ConfigError(
            "as many starts as ends of labels",
            key="end_ns",
            value=len(end),
            expected=str(len(start)),
        )
    if (end <= start).any():
        raise DataError(
            "a label ends before it has begun",
            row=int(np.argmax(end <= start)),
            expected="end_ns > start_ns",
        )
    return start, end

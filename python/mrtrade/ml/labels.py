"""Labels: what came of it after a bar, and when that was known.

A label of a bar that ended at t says something of the prices in ``[start_ns, end_ns)``, with
``start_ns`` = t: the price it starts from is the one known at t, and at ``end_ns`` the label itself
is known. `mrtrade.ml.splits` and `mrtrade.ml.weights` go by these spans.

Horizons are numbers of bars on a grid of time, whose step is the median one. A label whose bars are
not all there, one after the other and with a price, is NaN: it is never measured over more time
than it says. Its span is there all the same, as long as the horizon is.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.clock import to_ns
from mrtrade.errors import ConfigError, DataError
from mrtrade.features.correlations import forward_returns

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

BPS = 1e4

Both = Literal["down", "up", "none"]
BARRIERS = ("up", "down", "both", "time")
"""What ended a label: a barrier, both of them within one bar, or the horizon."""


def forward_return(price: pd.Series[Any], horizon: int) -> pd.DataFrame:
    """Return the log return from each bar to `horizon` bars later.

    Parameters
    ----------
    price : Series (n,)
        A price a bar, indexed by the ends of the bars, ascending.
    horizon : int
        In bars, >= 1.

    Returns
    -------
    DataFrame (n, 3)
        By the same index: ``label_bps``, 10^4 ln(price[t + horizon] / price[t]), NaN where a price
        is not there or not positive, for the last `horizon` bars and where the grid is broken;
        ``start_ns``, ``end_ns`` (int64 ns): the label's span.
    """
    time = _grid_of(price.index)
    label = forward_returns(price, [horizon])[horizon].to_numpy() * BPS
    return pd.DataFrame(
        {"label_bps": label, "start_ns": time, "end_ns": time + horizon * _step(time)},
        index=price.index,
    )


def triple_barrier(
    bars: pd.DataFrame,
    events: Any = None,
    *,
    up_bps: float | pd.Series[Any] | None,
    down_bps: float | pd.Series[Any] | None,
    horizon: int,
    both: Both = "down",
) -> pd.DataFrame:
    """Label events by the barrier that the price meets first (Lopez de Prado 2018, AFML, ch. 3).

    An event at t enters at ``mid`` of the bar that ended at t. Over the next `horizon` bars the
    upper barrier lies `up_bps` above in log price, the lower one `down_bps` below; the third is the
    end of the horizon. A bar meets a barrier if its ``mid_high`` or ``mid_low`` reaches it, or
    where bars have neither, its ``mid``.

    Where a bar opens (``mid_open``, if there is one) at or beyond a barrier, that one was first and
    the return is that of the open. Else the return is that of the barrier. A bar that reaches both
    barriers does not say which was first: `both` decides. Of bars without high and low, the return
    is that of ``mid``, beyond the barrier as it may be: no price between is known.

    Only events all of whose bars are there have a label, also where a barrier was met before the
    gap or before the end of the data: those alone would be a sample of the quick ones.

    Parameters
    ----------
    bars : DataFrame (n, ...)
        ``mid``; ``mid_high`` and ``mid_low``, ``mid_open``: if there. Indexed by the ends of the
        bars, ascending.
    events : times (k,), optional
        Times of events, each the end of a bar; all bars if left out.
    up_bps, down_bps : float or Series (n,), optional
        Distance in bps, > 0; None: no such barrier. A Series holds one for each bar, which must be
        known at its end: ``2 * volatility_bps``, say. Where it is NaN or not positive there is no
        label.
    horizon : int
        In bars, >= 1.
    both : {"down", "up", "none"}
        What a bar that reaches both barriers counts as. ``down``: the worst case of who is long;
        ``up``: of who is short; ``none``: NaN.

    Returns
    -------
    DataFrame (k, 5)
        By time of event: ``label`` (1 up, -1 down, 0 the horizon ended; NaN: none), ``return_bps``
        (log return, bps), ``barrier`` (category: one of `BARRIERS`; NaN: none), ``start_ns``,
        ``end_ns`` (int64 ns): the span up to the end of the bar that met the barrier.

    Raises
    ------
    DataError
        The index does not ascend, a column is missing, or an event is not the end of a bar.
    ConfigError
        A distance or horizon that is none.
    """
    _check_barriers(horizon, both, up_bps=up_bps, down_bps=down_bps)
    time = _grid_of(bars.index)
    at = np.arange(len(time)) if events is None else _rows_of(events, time)
    path = _Path(bars, time, horizon)
    up = _distance(up_bps, bars, at, "up_bps")
    down = _distance(down_bps, bars, at, "down_bps")
    valid = path.whole[at] & (up > 0) & (down > 0)
    row, returned, which = path.meet(at[valid], up[valid], down[valid], both)

    label = np.full(len(at), np.nan)
    returns = label.copy()
    code = np.full(len(at), -1, dtype=np.int8)
    end = time[at] + horizon * path.step
    sign = {"down": -1.0, "up": 1.0, "none": np.nan}[both]
    label[valid] = np.array([1.0, -1.0, sign, 0.0])[which]
    returns[valid] = np.where(np.isnan(label[valid]), np.nan, returned * BPS)
    code[valid], end[valid] = which, time[row]
    return pd.DataFrame(
        {
            "label": label,
            "return_bps": returns,
            "barrier": pd.Categorical.from_codes(code, categories=pd.Index(BARRIERS)),
            "start_ns": time[at],
            "end_ns": end,
        },
        index=bars.index[at],
    )


class _Path:
    """Log prices of bars, and which rows have whole bars all through the horizon."""

    def __init__(self, bars: pd.DataFrame, time: Ints, horizon: int) -> None:
        self.horizon, self.step = horizon, _step(time)
        self.close = self.high = self.low = _log(bars, "mid")
        self.open: Floats | None = None
        self.has_range = "mid_high" in bars or "mid_low" in bars
        if self.has_range:
            # what a bar opened and closed at is in its range, also where a source says otherwise
            inside = [self.close]
            if "mid_open" in bars:
                self.open = _log(bars, "mid_open")
                inside.append(self.open)
            self.high = np.maximum.reduce([_log(bars, "mid_high"), *inside])
            self.low = np.minimum.reduce([_log(bars, "mid_low"), *inside])
        lacks = np.isnan(self.high) | np.isnan(self.low)
        lacks[1:] |= np.diff(time) != self.step
        self.whole = _whole(lacks, np.isnan(self.close), horizon)

    def meet(
        self, at: Ints, up: Floats, down: Floats, both: Both
    ) -> tuple[Ints, Floats, npt.NDArray[np.int8]]:
        """Return for rows that are whole: the row that ends each, its return, number of barrier."""
        entry = self.close[at]
        first_up = _first_at_least(self.high, entry + up, at + 1, self.horizon)
        first_down = _first_at_least(-self.low, down - entry, at + 1, self.horizon)
        row = np.minimum(first_up, first_down)
        open_at = np.full(len(at), np.nan)
        ended = row > at + self.horizon
        row = np.minimum(row, at + self.horizon)
        if self.open is not None:
            open_at = self.open[row] - entry
        is_up = (first_up <= row) & ~(open_at <= -down)
        is_down = (first_down <= row) & ~(open_at >= up)
        is_both = is_up & is_down
        which = np.select([ended, is_both, is_up], [3, 2, 0], 1).astype(np.int8)
        worst_up = is_both if both == "up" else np.zeros_like(is_both)
        barrier = np.where(is_up & ~is_both | worst_up, up, -down)
        if self.has_range:
            beyond = (open_at >= up) | (open_at <= -down)
            returned = np.where(beyond, open_at, barrier)
        else:
            returned = self.close[row] - entry
        return row, np.where(ended, self.close[row] - entry, returned), which


def _first_at_least(values: Floats, level: Floats, begin: Ints, count: int) -> Ints:
    """Return for each level the first row of `count` from `begin` whose value reaches it.

    Where none does, the row after the last. Maxima over 2^j rows are skipped from the longest on,
    so that it takes log2(count) steps whatever the prices do.
    """
    maxima = [values]
    while 2 ** len(maxima) <= count:
        half = 2 ** (len(maxima) - 1)
        last = maxima[-1]
        longer = last.copy()  # the last rows, whose windows pass the end, are never asked
        longer[:-half] = np.maximum(last[:-half], last[half:])
        maxima.append(longer)
    row, end = begin.copy(), begin + count
    for j in range(len(maxima) - 1, -1, -1):
        fits = row + 2**j <= end
        below = np.zeros(len(row), dtype=bool)
        below[fits] = maxima[j][row[fits]] < level[fits]
        row[below] += 2**j
    return row


def _whole(lacks: Bools, no_entry: Bools, horizon: int) -> Bools:
    """Return which rows have an entry and `horizon` rows after them that lack nothing."""
    n = len(lacks)
    out = np.zeros(n, dtype=bool)
    if horizon < n:
        before = np.concatenate([[0], np.cumsum(lacks)])
        out[: n - horizon] = before[horizon + 1 :] == before[1 : n - horizon + 1]
    return out & ~no_entry


def _log(bars: pd.DataFrame, column: str) -> Floats:
    if column not in bars:
        raise DataError("bars lack a column", key=column, expected="mid, or high and low together")
    price = bars[column].to_numpy(np.float64)
    log = np.full(len(price), np.nan)
    np.log(price, out=log, where=(price > 0.0) & np.isfinite(price))
    return log


def _grid_of(index: Any) -> Ints:
    time: Ints = to_ns(index)
    wrong = np.diff(time) <= 0
    if wrong.any():
        raise DataError(
            "bars are not in the order of time",
            row=int(np.argmax(wrong)) + 1,
            expected="an index that ascends, no time twice",
        )
    return time


def _step(time: Ints) -> int:
    """Return the step of a grid: its median one, as `forward_returns` takes it."""
    return int(np.median(np.diff(time))) if len(time) > 1 else 1


def _rows_of(events: Any, time: Ints) -> Ints:
    at = np.atleast_1d(to_ns(events))
    row = np.searchsorted(time, at)
    known = row < len(time)
    known[known] = time[row[known]] == at[known]
    if not known.all():
        number = int(np.argmin(known))
        raise DataError(
            "an event that is not the end of a bar",
            row=number,
            value=str(pd.Timestamp(at[number], unit="ns", tz="UTC")),
            expected="a time of the bars' index",
        )
    return row


def _distance(bps: float | pd.Series[Any] | None, bars: pd.DataFrame, at: Ints, key: str) -> Floats:
    """Return the distance of a barrier for each event, in log price; infinite: no barrier."""
    if bps is None:
        return np.full(len(at), np.inf)
    if not isinstance(bps, pd.Series):
        return np.full(len(at), bps / BPS)
    if not bps.index.equals(bars.index):
        raise DataError(
            "distances of a barrier for other bars", key=key, expected="a Series by the bars' index"
        )
    return bps.to_numpy(np.float64)[at] / BPS


def _check_barriers(horizon: int, both: str, **distances: Any) -> None:
    if horizon < 1:
        raise ConfigError("horizon of a label", key="horizon", value=horizon, expected=">= 1 bar")
    if both not in get_args(Both):
        raise ConfigError(
            "what a bar that reaches both barriers counts as",
            key="both",
            value=both,
            expected=", ".join(get_args(Both)),
        )
    for key, bps in distances.items():
        if bps is not None and not isinstance(bps, pd.Series) and not 0 < bps < np.inf:
            raise ConfigError("distance of a barrier", key=key, value=bps, expected="bps > 0")

"""Bars: the state of the book and the flow of orders, on a grid of time or of what was traded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrcore.bars import BAR_COLUMNS, MarketBars
from mrtrade.data.streams import LocalEvents
from mrtrade.errors import DataError

if TYPE_CHECKING:
    from mrtrade.data.tape import Tape

BarKind = Literal["time", "tick", "volume", "dollar"]

_UNITS = {"tick": "trades", "volume": "base units", "dollar": "quote units"}


def bar_times(
    start_ns: int, end_ns: int, interval_ns: int, feed_latency_ns: int = 0
) -> npt.NDArray[np.int64]:
    """Return the ends of the bars on the local clock: the multiples of the interval.

    The first one closes a bar that may have begun before the tape did.

    Parameters
    ----------
    start_ns, end_ns : int
        Span of the tape, exchange clock.
    interval_ns : int
        Length of a bar.
    feed_latency_ns : int
        Time from the exchange to us.
    """
    if interval_ns <= 0:
        raise ValueError(f"interval_ns must be > 0, was {interval_ns}")
    first = -(-(start_ns + feed_latency_ns) // interval_ns)
    last = (end_ns + feed_latency_ns) // interval_ns
    return np.arange(first, last + 1, dtype=np.int64) * interval_ns


def frame_of(
    times: npt.NDArray[np.int64], rows: npt.NDArray[np.float64], tick_size: float
) -> pd.DataFrame:
    """Return what `mrcore.bars.MarketBars.rows` returns as a frame of bars.

    Parameters
    ----------
    times : ndarray of int64
        Ends of the bars, ns, local clock.
    rows : ndarray of float64
        Rows of `mrcore.bars.BAR_COLUMNS`.
    tick_size : float
        Quote units.
    """
    index = pd.DatetimeIndex(times.view("M8[ns]"), name="time").tz_localize("UTC")
    columns = {name: rows[:, at] for at, name in enumerate(BAR_COLUMNS)}
    # From half ticks, as the core makes the other mids: the last is never above the highest.
    columns["mid"] = 0.5 * np.rint((columns["bid"] + columns["ask"]) / tick_size) * tick_size
    columns["volume"] = columns["buy_volume"] + columns["sell_volume"]
    return pd.DataFrame(columns, index=index)


def build_bars(
    tape: Tape,
    size: float,
    feed_latency_ns: int = 0,
    *,
    kind: BarKind = "time",
    **options: Any,
) -> pd.DataFrame:
    """Make bars of a tape in the order in which it was received.

    Parameters
    ----------
    tape : Tape
        Recorded deltas and trades.
    size : int or float
        Nanoseconds of a bar, or with another `kind` trades, base units or quote units in it.
    feed_latency_ns : int
        Delay of the data, where the tape has no local times; a bar holds what had arrived by its
        end.
    kind : {"time", "tick", "volume", "dollar"}
        What a bar is full of, see `mrcore.bars.MarketBars`.
    **options
        As `MarketBars` has them: ``vpin_bucket``, ``kyle_window``, ``horizon_ns`` and so on.

    Returns
    -------
    DataFrame
        One row a bar: `mrcore.bars.BAR_COLUMNS`, ``mid`` and ``volume``. The index ``time`` is the
        END of the bar on the local clock, UTC. Book columns are as of the end, flows over the bar:
        a time bar without events repeats the book and has flows of 0.
    """
    first = None
    if kind == "time":
        times = _grid(tape, int(size), feed_latency_ns)
        if len(times) < 2:
            raise _too_short(tape, f"{size / 1e9:g} s")
        first = int(times[0])
    tick_size = tape.instrument.tick_size
    bars = MarketBars(
        tick_size,
        tape.instrument.lot_size,
        kind=kind,
        size=size,
        first_ns=first,
        feed_latency_ns=feed_latency_ns,
        **options,
    )
    bars.feed(tape.deltas, tape.trades)
    if kind == "time":
        bars.advance(int(times[-1]))
        return frame_of(*bars.rows(), tick_size).iloc[1:]  # the first bar is not whole
    bars.finish()
    ends, rows = bars.rows()
    if len(ends) == 0:
        raise _too_short(tape, f"{size:g} {_UNITS[kind]}")
    return frame_of(ends, rows, tick_size)


def _grid(tape: Tape, interval_ns: int, feed_latency_ns: int) -> npt.NDArray[np.int64]:
    """Return the ends of the time bars of a tape."""
    if not (isinstance(tape.deltas, LocalEvents) and isinstance(tape.trades, LocalEvents)):
        return bar_times(tape.start_ns, tape.end_ns, interval_ns, feed_latency_ns)
    first, last = int(tape.deltas.local[0]), int(tape.deltas.local[-1])
    if len(tape.trades.local):
        last = max(last, int(tape.trades.local[-1]))
    return bar_times(first, last, interval_ns)


def _too_short(tape: Tape, bar: str) -> DataError:
    return DataError(
        f"a tape of {(tape.end_ns - tape.start_ns) / 1e9:g} s holds no whole bar of {bar}",
        remedy="choose a shorter bar or a longer span",
    )

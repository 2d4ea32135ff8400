"""Bars: the state of the book and the flow of orders, sampled on a regular grid of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrcore.replay import SAMPLE_COLUMNS, Replay
from mrtrade.data.streams import LocalEvents
from mrtrade.errors import DataError

if TYPE_CHECKING:
    from mrtrade.data.tape import Tape

#: Columns of the trader's account: a replay without orders has none.
ACCOUNT = ("position", "cash", "fees")


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


def frame_of(times: npt.NDArray[np.int64], samples: npt.NDArray[np.float64]) -> pd.DataFrame:
    """Return the samples of a replay as a frame of bars.

    Parameters
    ----------
    times : ndarray of int64
        Ends of the bars, ns, local clock.
    samples : ndarray of float64
        As ``Replay.samples()`` returns them.
    """
    index = pd.DatetimeIndex(times.view("M8[ns]"), name="time").tz_localize("UTC")
    frame = pd.DataFrame(samples, index=index, columns=list(SAMPLE_COLUMNS), copy=False)
    frame = frame.drop(columns=list(ACCOUNT))
    frame["mid"] = 0.5 * (frame["bid"] + frame["ask"])
    frame["volume"] = frame["buy_volume"] + frame["sell_volume"]
    return frame


def build_bars(
    tape: Tape,
    interval_ns: int,
    feed_latency_ns: int = 0,
    *,
    vpin_bucket: float = 0.0,
    vpin_buckets: int = 50,
    kyle_window: int = 60,
) -> pd.DataFrame:
    """Replay a tape without orders and sample it on a grid.

    Parameters
    ----------
    tape : Tape
        Recorded deltas and trades.
    interval_ns : int
        Length of a bar.
    feed_latency_ns : int
        Delay of the data, where the tape has no local times; a bar holds what had arrived by its
        end.
    vpin_bucket : float
        Volume of a VPIN bucket, base units; 0: calibrated on the first trades.
    vpin_buckets : int
        Number of buckets that VPIN averages.
    kyle_window : int
        Number of bars that Kyle's lambda is fitted on.

    Returns
    -------
    DataFrame
        One row a bar: `mrcore.replay.SAMPLE_COLUMNS` without the account, and ``mid``. The index
        ``time`` is the END of the bar on the local clock, UTC. Book columns are as of the end,
        flows over the bar: a bar without events repeats the book and has flows of 0.
    """
    if isinstance(tape.deltas, LocalEvents) and isinstance(tape.trades, LocalEvents):
        first, last = int(tape.deltas.local[0]), int(tape.deltas.local[-1])
        if len(tape.trades.local):
            last = max(last, int(tape.trades.local[-1]))
        times = bar_times(first, last, interval_ns)
    else:
        times = bar_times(tape.start_ns, tape.end_ns, interval_ns, feed_latency_ns)
    if len(times) < 2:
        raise DataError(
            f"a tape of {(tape.end_ns - tape.start_ns) / 1e9:g} s holds no whole bar of "
            f"{interval_ns / 1e9:g} s",
            remedy="choose a shorter bar or a longer span",
        )
    replay = Replay(
        tape.instrument.tick_size,
        tape.instrument.lot_size,
        sample_times=times,
        vpin_bucket=vpin_bucket,
        vpin_buckets=vpin_buckets,
        kyle_window=kyle_window,
        feed_latency_ns=feed_latency_ns,
    )
    replay.feed(tape.deltas, tape.trades)
    replay.finish()
    samples = replay.samples()
    return frame_of(times[: len(samples)], samples).iloc[1:]  # the first bar is not whole

"""Bars from candles, where there is no book: prices, volume, and what follows from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.clock import from_ns, to_ns
from mrtrade.errors import DataError
from mrtrade.features.rolling import Array

PRICES = ("open", "high", "low", "close")

#: Share of the steps that have to be one interval long for it to be taken as the interval.
CLEAR = 0.9

#: The year 2000: milliseconds that are taken for nanoseconds are of 1970.
OLDEST_NS = 946_684_800_000_000_000


def candle_bars(frame: pd.DataFrame, interval_ns: int | None = None) -> pd.DataFrame:
    """Make bars of candles.

    A candle is known at its end at the earliest. A frame says when that was by its index ``time``,
    as that of ``DataLoader.load_ohlcv`` does, or by a column ``start``, to which the interval is
    added: exchanges and archives stamp a candle with its start, and who takes that for the time at
    which it was known trades on a future of one interval.

    Where a column ``known`` says that a candle came after its end, its bar stands at the time it
    came. One that had not come when the next one ended is lost: its bar stands at its end without
    values. So no value stands in a row before it was known, and bars stay in order.

    Parameters
    ----------
    frame : DataFrame
        ``open, high, low, close`` (quote) and ``volume`` (base), in order of time; ``trades``
        (count) and ``known`` (time) where there are; the index ``time`` or a column ``start``.
    interval_ns : int, optional
        Length of a candle; default: the step that nine in ten candles have.

    Returns
    -------
    DataFrame
        ``mid, mid_open, mid_high, mid_low`` (close, open, high and low), ``volume``, ``notional``
        (volume times the typical price, (high + low + close) / 3: an approximation), and
        ``n_trades`` where ``trades`` are; on the index ``time``, ns. A candle that is missing has
        no row. One without trades or prices repeats the close of the one before. One that
        contradicts itself, as where the high is below the close, has no prices. ``.attrs`` counts
        candles: ``missing``, ``bad``, ``late`` (lost as above), beside ``interval_ns``.

    Raises
    ------
    DataError
        If a column is missing or not of numbers, times are not in order or doubled, or have more
        than one interval.
    """
    ends, interval = _ends(frame, interval_ns)
    columns = _columns(frame)
    time, late = _known(frame, ends, interval)
    for values in columns.values():
        values[late] = np.nan
    bad = _bad(columns)
    for name in PRICES:
        columns[name][bad] = np.nan
    volume = columns["volume"]
    volume[~((volume >= 0.0) & np.isfinite(volume))] = np.nan
    _repeat_close(columns, ends, interval)
    typical = (columns["high"] + columns["low"] + columns["close"]) / 3.0
    bars = {
        "mid": columns["close"],
        "mid_open": columns["open"],
        "mid_high": columns["high"],
        "mid_low": columns["low"],
        "volume": volume,
        "notional": typical * volume,
    }
    if "trades" in columns:
        bars["n_trades"] = columns["trades"]
    result = pd.DataFrame(bars, index=from_ns(time).rename("time"))
    result.attrs = {
        "interval_ns": interval,
        "missing": int((ends[-1] - ends[0]) // interval + 1 - len(ends)) if len(ends) > 1 else 0,
        "bad": int(bad.sum()),
        "late": int(late.sum()),
    }
    return result


def _ends(frame: pd.DataFrame, interval: int | None) -> tuple[npt.NDArray[np.int64], int]:
    """Return the ends of the candles and their interval, ns."""
    if "start" in frame:
        times = to_ns(frame["start"])
    elif frame.index.name == "time":
        times = to_ns(frame.index)
    else:
        raise DataError(
            "these candles do not say when they end",
            expected="an index named 'time' (ends), or a column 'start'",
            remedy="rename the column of times; archives stamp candles with their start",
        )
    if len(times) and times[0] < OLDEST_NS:
        raise DataError(
            "candles are older than any that were traded",
            value=str(from_ns(times[0])),
            expected="times of this century; whole numbers are read as nanoseconds",
            remedy="convert the times, as by pandas.to_datetime(..., unit='ms')",
        )
    steps = np.diff(times)
    if len(wrong := np.flatnonzero(steps <= 0)):
        row = int(wrong[0]) + 1
        what = "a candle is there twice" if steps[row - 1] == 0 else "candles are not in order"
        raise DataError(what, row=row, value=str(from_ns(times[row])), remedy="sort, drop doubles")
    if interval is None:
        interval = _interval(steps)
    if len(wrong := np.flatnonzero(steps % interval)):
        row = int(wrong[0]) + 1
        raise DataError(
            "candles of more than one interval",
            row=row,
            value=f"{steps[row - 1] / 1e9:g} s after the one before",
            expected=f"a multiple of {interval / 1e9:g} s",
            remedy="give one interval at a time",
        )
    return (times + interval if "start" in frame else times), interval


def _interval(steps: npt.NDArray[np.int64]) -> int:
    """Return the step that nearly all candles have."""
    if not len(steps):
        raise DataError("a candle alone does not say how long it is", remedy="give interval_ns")
    lengths, counts = np.unique(steps, return_counts=True)
    most = int(counts.argmax())
    if counts[most] < CLEAR * len(steps):
        raise DataError(
            "candles of more than one interval, or with many missing",
            value=", ".join(f"{length / 1e9:g} s" for length in lengths[:3]),
            expected="steps of which nine in ten are alike",
            remedy="give one interval at a time, or interval_ns where many are missing",
        )
    return int(lengths[most])


def _columns(frame: pd.DataFrame) -> dict[str, Array]:
    wanted = (*PRICES, "volume")
    if missing := [name for name in wanted if name not in frame]:
        raise DataError(
            f"candles without {', '.join(missing)}", expected=f"columns {', '.join(wanted)}"
        )
    names = (*wanted, *(["trades"] if "trades" in frame else []))
    try:
        return {name: frame[name].to_numpy(dtype=np.float64, copy=True) for name in names}
    except (TypeError, ValueError) as error:
        raise DataError(f"candles hold what is no number: {error}") from error


def _known(
    frame: pd.DataFrame, ends: npt.NDArray[np.int64], interval: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return where each bar stands, and which came too late to stand anywhere."""
    if "known" not in frame:
        return ends, np.zeros(len(ends), dtype=np.bool_)
    told = frame["known"].notna().to_numpy()
    known = ends.copy()
    known[told] = np.maximum(to_ns(frame["known"][told]), ends[told])
    late = known >= ends + interval
    return np.where(late, ends, known), late


def _bad(columns: dict[str, Any]) -> npt.NDArray[np.bool_]:
    """Return which candles contradict themselves; those without any price do not."""
    opened, high, low, close = (columns[name] for name in PRICES)
    prices = np.column_stack([opened, high, low, close])
    none = np.isnan(prices).all(axis=1)
    sane = np.isfinite(prices).all(axis=1) & (low > 0.0)
    sane &= (high >= np.maximum(opened, close)) & (low <= np.minimum(opened, close))
    bad: npt.NDArray[np.bool_] = ~sane & ~none
    return bad


def _repeat_close(columns: dict[str, Any], ends: npt.NDArray[np.int64], interval: int) -> None:
    """Give candles without trades the close of the one before, as exchanges do."""
    silent = np.isnan(columns["close"]) & (columns["volume"] == 0.0)
    follows = np.r_[False, np.diff(ends) == interval] if len(ends) else silent
    source = np.maximum.accumulate(np.where(silent & follows, 0, np.arange(len(ends))))
    last = columns["close"][source]
    for name in PRICES:
        columns[name][silent] = last[silent]

"""Joins of bars with what was known of a second asset, and of a perpetual.

Every join is by the time of **receipt**: a bar that ends at t is given what had been received by t.
Frames and series are indexed by receipt, as `mrtrade.data.loader.DataLoader` gives them; one that
is not in its order is put into it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrcore.leadlag import LeadLag
from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND, duration_ns, to_ns
from mrtrade.data.candles import trade_bars
from mrtrade.data.funding import SAME_SETTLEMENT_NS

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MAX_AGE = "10min"
"""What was received longer ago than this says nothing of the present."""

LAGS_NS = np.arange(-10, 11) * (NS_PER_SECOND // 2)
"""Lags at which leads are looked for: five seconds either way, by half seconds."""


def with_second_asset(
    bars: pd.DataFrame,
    other: pd.Series[Any] | pd.DataFrame,
    *,
    own: pd.Series[Any] | None = None,
    max_age: str | int = MAX_AGE,
    window: str | int = "5min",
    lags_ns: npt.ArrayLike = LAGS_NS,
    min_increments: int = 10,
) -> pd.DataFrame:
    """Add what was known of a second asset to bars.

    Parameters
    ----------
    bars : DataFrame
        Indexed by the ends of bars, on the clock of receipt.
    other : Series or DataFrame
        Mids of the second asset by the time of their receipt; of a frame (its bars, say) the column
        ``mid``. Missing ones are passed over.
    own : Series, optional
        Mids of the first asset, message by message, as `mrtrade.features.market.tick_mids` gives
        them; `other` then is of the same kind.
    max_age : str or int
        An older mid is none.
    window : str or int
        Time over which the lead is looked for.
    lags_ns : array of int64
        Lags that are tried, ascending, 0 among them; > 0: the second asset leads.
    min_increments : int
        Changes of either mid in the window without which there is no lead.

    Returns
    -------
    DataFrame
        `bars` and ``other_mid`` (quote; NaN: none, or stale), ``other_age_s`` (s; of a frame's mid
        since the end of its bar), and with `own` ``hy_corr``, ``hy_lead_s``, ``hy_lead_corr`` and
        ``hy_llr`` as `mrcore.leadlag.LeadLag` defines them, X being the second asset.
    """
    at = to_ns(bars.index)
    time, mid = _mids(other["mid"] if isinstance(other, pd.DataFrame) else other)
    row = _last_known(time, at, duration_ns(max_age))
    columns = {"other_mid": _pick(mid, row), "other_age_s": 1e-9 * _since(time, row, at)}
    if own is not None:
        own_time, own_mid = _mids(own)
        lead = LeadLag(duration_ns(window), lags_ns, min_increments)
        found = lead.batch(time, np.log(mid), own_time, np.log(own_mid), at)
        names = ("hy_corr", "hy_lead_s", "hy_lead_corr", "hy_llr")
        columns |= dict(zip(names, found[1:], strict=True))
    return bars.assign(**columns)


def with_perpetual(
    bars: pd.DataFrame,
    *,
    funding: pd.DataFrame | None = None,
    open_interest: pd.DataFrame | None = None,
    liquidations: pd.DataFrame | None = None,
    spot: pd.Series[Any] | None = None,
    max_age: str | int = MAX_AGE,
) -> pd.DataFrame:
    """Add what was known of a perpetual to bars; what is not given adds no column.

    Parameters
    ----------
    bars : DataFrame
        Indexed by the ends of bars, on the clock of receipt.
    funding : DataFrame, optional
        As ``load_funding`` gives it. A row whose ``next_funding_time`` is still to come announces a
        rate; one whose is past, or that has none, tells of a settlement then (or at its receipt):
        so do histories of settled rates, which were not known before.
    open_interest, liquidations : DataFrame, optional
        As ``load_open_interest`` and ``load_liquidations`` give them.
    spot : Series, optional
        Mids of the underlying by receipt: the index price where none is recorded.
    max_age : str or int
        An older mark price, index price, open interest or mid of the underlying is none. A rate
        stands until its settlement.

    Returns
    -------
    DataFrame
        `bars` and, at the end of each bar,

        - ``funding_rate`` (fraction): announced for the coming settlement; ``funding_due_s`` (s):
          time to it, > 0. Both NaN from the announced time on until there is a new announcement;
        - ``funding_settled`` (fraction): of the last settlement named so far, the rate of the last
          row that names it;
        - ``funding_interval_s`` (s): between the last two times of settlement named so far; NaN if
          that is more than a day, for then some were missed;
        - ``mark``, ``index`` (quote), ``open_interest`` (base);
        - ``long_liquidations``, ``short_liquidations`` (base): received in the bar. NaN in the
          first bar, whose beginning is not known, and before the first row.
    """
    at = to_ns(bars.index)
    limit = duration_ns(max_age)
    columns: dict[str, Floats] = {}
    if funding is not None:
        columns |= _funding(_in_order(funding), at, limit)
    if spot is not None:
        time, mid = _mids(spot)
        known = _pick(mid, _last_known(time, at, limit))
        index = columns.get("index", known)
        columns["index"] = np.where(np.isnan(index), known, index)
    if open_interest is not None:
        columns["open_interest"] = _column(_in_order(open_interest), "open_interest", at, limit)
    if liquidations is not None:
        columns |= _liquidations(_in_order(liquidations), at)
    return bars.assign(**columns)


# Funding ----------------------------------------------------------------------------


def _funding(rows: pd.DataFrame, at: Ints, limit: int) -> dict[str, Floats]:
    received = to_ns(rows.index)
    due = _due(rows, received)
    sane = due - received <= NS_PER_DAY  # no period is longer
    rows, received, due = rows[sane], received[sane], due[sane]
    rate = rows["rate"].to_numpy(np.float64)
    row = _last_known(received, at)
    to_come = _since(due, row, at)
    announced = np.where(to_come < 0.0, row, -1)
    return {
        "funding_rate": _pick(rate, announced),
        "funding_due_s": -1e-9 * _since(due, announced, at),
        "funding_settled": _settled(received, due, rate, at),
        "funding_interval_s": _pick(_intervals(due), row),
        "mark": _column(rows, "mark_price", at, limit),
        "index": _column(rows, "index_price", at, limit),
    }


def _due(rows: pd.DataFrame, received: Ints) -> Ints:
    """Time of the settlement that each row names; its receipt, where it names none."""
    if "next_funding_time" not in rows:
        return received
    stated = rows["next_funding_time"]
    there = stated.notna().to_numpy()
    due = received.copy()
    due[there] = to_ns(stated[there])
    return due


def _settlement(due: Ints) -> Ints:
    """Minute of a settlement: sources jitter by milliseconds."""
    return (due + SAME_SETTLEMENT_NS // 2) // SAME_SETTLEMENT_NS


def _settled(received: Ints, due: Ints, rate: Floats, at: Ints) -> Floats:
    """Rate of the last settlement that is past and known: of the last row that names it.

    A row counts from when it is received and its settlement past. A row that comes late, on an
    earlier settlement than one that counts already, does not.
    """
    order = np.lexsort((np.arange(len(due)), _settlement(due)))
    rank = np.empty(len(due), np.int64)
    rank[order] = np.arange(len(due))
    from_then = np.maximum(received, due)
    by_time = np.argsort(from_then, kind="stable")
    best = order[np.maximum.accumulate(rank[by_time])] if len(due) else by_time
    return _pick(rate[best], _last_known(from_then[by_time], at))


def _intervals(due: Ints) -> Floats:
    """Time between the last two settlements named up to each row, s."""
    latest = np.maximum.accumulate(_settlement(due))
    first = np.flatnonzero(np.diff(latest, prepend=latest[:1] - 1) > 0)
    length = 1e-9 * SAME_SETTLEMENT_NS * np.diff(latest[first])
    length[length > 1e-9 * NS_PER_DAY] = np.nan
    return _pick(length, np.searchsorted(first, np.arange(len(due)), side="right") - 2)


# Liquidations -----------------------------------------------------------------------


def _liquidations(rows: pd.DataFrame, at: Ints) -> dict[str, Floats]:
    received = to_ns(rows.index)
    quantity = rows["quantity"].to_numpy(np.float64)
    # The order that closes a short buys.
    short = (rows["side"] == "buy").to_numpy(np.bool_)
    names = ("long_liquidations", "short_liquidations")
    if not len(at) or not len(rows):
        return {name: np.full(len(at), np.nan) for name in names}
    sums = trade_bars(at + 1, received, np.ones(len(rows)), quantity, short)
    unknown = at < received[0]
    unknown[0] = True
    return {
        name: np.where(unknown, np.nan, np.append(np.nan, sums[flow]))
        for name, flow in zip(names, ("sell_volume", "buy_volume"), strict=True)
    }


# Last known -------------------------------------------------------------------------


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    return rows if rows.index.is_monotonic_increasing else rows.sort_index(kind="stable")


def _mids(mids: pd.Series[Any]) -> tuple[Ints, Floats]:
    """Mids that are there, and when they were received, in order."""
    there = mids[mids > 0.0]
    if not there.index.is_monotonic_increasing:
        there = there.sort_index(kind="stable")
    return to_ns(there.index), there.to_numpy(np.float64)


def _column(rows: pd.DataFrame, name: str, at: Ints, limit: int) -> Floats:
    """Last value of a column known at given times; a missing value leaves the one before."""
    if name not in rows:
        return np.full(len(at), np.nan)
    there = rows[name].dropna()
    row = _last_known(to_ns(there.index), at, limit)
    return _pick(there.to_numpy(np.float64), row)


def _last_known(time: Ints, at: Ints, limit: int | None = None) -> Ints:
    """Row last received at given times; -1 for none, or for one older than the limit."""
    row = np.searchsorted(time, at, side="right") - 1
    if limit is not None and len(time):
        row = np.where(at - time[row] <= limit, row, -1)
    return row


def _pick(values: Floats, row: Ints) -> Floats:
    """Values at rows; NaN where the row is -1."""
    return np.append(values, np.nan)[row]


def _since(time: Ints, row: Ints, at: Ints) -> Floats:
    """Nanoseconds from the time of a row to given times."""
    if not len(time):
        return np.full(len(at), np.nan)
    return np.where(row >= 0, at - time[row], np.nan)

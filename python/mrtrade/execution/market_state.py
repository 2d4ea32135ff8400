"""The state of the market that costs depend on, as it was known at the end of each bar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND, duration_ns, to_ns
from mrtrade.errors import DataError
from mrtrade.execution.costs import DAYS_A_YEAR, SECONDS_A_DAY
from mrtrade.instruments import BPS_PER_ONE, LINEAR, Contract

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

LEAST_BARS = 30
"""Fewer returns say no volatility: its standard error would be above 13 % (1 / sqrt(2 n))."""


def kyle_bps(slope: npt.ArrayLike, mid: npt.ArrayLike, contract: Contract = LINEAR) -> Floats:
    """Return Kyle's lambda in the unit of the cost model.

    Parameters
    ----------
    slope : array-like
        Change of the mid per size unit of signed volume, quote / base: the column ``kyle_lambda``.
    mid : array-like
        Mid, quote units.
    contract : Contract
        What a size unit is worth.

    Returns
    -------
    ndarray of float64
        Basis points of the mid per quote unit of signed volume: 1e4 slope / (mid x quote units of
        a size unit), for spot 1e4 slope / mid^2.
    """
    price = np.asarray(mid, np.float64)
    unit = contract.multiplier if contract.inverse else contract.multiplier * price
    return np.asarray(BPS_PER_ONE * np.asarray(slope, np.float64) / (price * unit))


def market_of_bars(
    bars: pd.DataFrame,
    *,
    over: str = "1d",
    spread_bps: float | None = None,
    contract: Contract = LINEAR,
) -> Mapping[str, Floats]:
    """Make the state that `DynamicTransactionCostModel.cost_bps` takes, one value a bar.

    Parameters
    ----------
    bars : DataFrame
        Columns of `mrtrade.features.columns`, by the end of the bar: ``mid``, and whichever there
        are of ``bid``, ``ask``, ``notional``, ``vpin``, ``kyle_lambda``.
    over : str
        Past that volatility and volume are measured over; less at the start.
    spread_bps : float, optional
        Quoted spread where the bars have no bid and ask, as candles have not: an assumption.
    contract : Contract

    Returns
    -------
    mapping of ndarray of float64
        ``spread_bps``; ``realized_vol``, the root of the mean squared log return of the mid, by the
        time between the bars, annualised; ``daily_volume``, at the rate of that past;
        ``vpin``, ``kyle_lambda`` where the bars have them. NaN where not known: volatility and
        volume of fewer than 30 bars.

    Raises
    ------
    DataError
        If the bars have no spread and none is given.
    """
    mid = bars["mid"].to_numpy(np.float64)
    state = {"spread_bps": _spread(bars, mid, spread_bps)}
    times = to_ns(bars.index)
    window = duration_ns(over)
    with np.errstate(invalid="ignore", divide="ignore"):
        returns = np.diff(np.log(mid), prepend=np.nan)
    gaps = np.diff(times, prepend=times[:1]).astype(np.float64) / NS_PER_SECOND
    seen = np.isfinite(returns)
    squares, elapsed, count = (
        _trailing(values, times, window)
        for values in (np.where(seen, returns, 0.0) ** 2, np.where(seen, gaps, 0.0), 1.0 * seen)
    )
    enough = count >= LEAST_BARS
    a_year = DAYS_A_YEAR * SECONDS_A_DAY
    with np.errstate(invalid="ignore", divide="ignore"):
        state["realized_vol"] = np.where(enough, np.sqrt(squares / elapsed * a_year), np.nan)
        if "notional" in bars:
            traded = bars["notional"].to_numpy(np.float64)
            known = np.isfinite(traded)
            sums, spans = (
                _trailing(values, times, window)
                for values in (np.where(known, traded, 0.0), np.where(known, gaps, 0.0))
            )
            rate = sums / spans * NS_PER_DAY / NS_PER_SECOND
            state["daily_volume"] = np.where(enough & (sums > 0.0), rate, np.nan)
        if "kyle_lambda" in bars:
            state["kyle_lambda"] = kyle_bps(bars["kyle_lambda"], mid, contract)
    if "vpin" in bars:
        state["vpin"] = bars["vpin"].to_numpy(np.float64)
    return state


def _spread(bars: pd.DataFrame, mid: Floats, given: float | None) -> Floats:
    if "bid" in bars and "ask" in bars:
        return np.asarray((bars["ask"] - bars["bid"]).to_numpy(np.float64) / mid * BPS_PER_ONE)
    if given is None:
        raise DataError(
            "these bars have no spread",
            key="bid, ask",
            remedy="give spread_bps: what is to be assumed, such as a calibration's",
        )
    return np.full(len(mid), float(given))


def _trailing(values: Floats, times: npt.NDArray[Any], window: int) -> Floats:
    """Sum over (t - window, t]; of values >= 0, so that none cancel."""
    sums = np.cumsum(values)
    before = np.searchsorted(times, times - window, side="right") - 1
    return np.asarray(sums - np.where(before >= 0, sums[before], 0.0))

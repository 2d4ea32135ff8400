"""Results by volatility: a strategy that earns in one regime only is a bet on that regime.

The boundaries of low, middle and high volatility are known beforehand, from a training span.
Terciles of the very span that is judged would put each third of it into a class that nobody could
have named at the time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.backtest import metrics
from mrtrade.errors import ConfigError, DataError
from mrtrade.validation.criteria import Criterion, judge
from mrtrade.validation.returns import Floats, finite

REGIMES = ("low", "mid", "high")
WANTED = 0.5
"""Annual Sharpe ratio that each regime must exceed."""
LEAST = 30
"""Fewest returns of a regime that are judged."""


@dataclass(frozen=True)
class Regimes:
    """Results by regime.

    Attributes
    ----------
    table : DataFrame
        A row a regime, ``low``, ``mid`` and ``high``: ``rows``, ``share`` of the rows, ``net``
        (sum), ``sharpe`` (annual, as if the regime lasted all year), ``sharpe_se`` (Lo 2002, iid)
        and ``reason``, why there is no ratio.
    unknown : int
        Rows without a volatility, or before there were boundaries: in no regime.
    boundaries : str
        Where they come from, in words.
    """

    table: pd.DataFrame
    unknown: int
    boundaries: str

    def criteria(self, threshold: float = WANTED) -> list[Criterion]:
        """Judge each regime."""
        return [
            judge(
                f"Sharpe ratio in {row['regime']} volatility",
                row["sharpe"],
                ">",
                threshold,
                f"{row['rows']:,} returns"
                + ("" if row["reason"] else f", standard error {row['sharpe_se']:.2f}"),
                reason=row["reason"],
            )
            for row in self.table.to_dict("records")
        ]


def terciles(volatility: Any) -> tuple[float, float]:
    """Return the boundaries of the thirds of a training span, from what is known of it.

    Raises
    ------
    DataError
        If fewer than three values are known.
    """
    x = np.asarray(volatility, dtype=np.float64)
    x = x[np.isfinite(x)]
    if len(x) < len(REGIMES):
        raise DataError("too few volatilities to cut in three", value=len(x), expected="3 or more")
    low, high = np.quantile(x, [1.0 / 3.0, 2.0 / 3.0])
    return float(low), float(high)


def classify(volatility: Any, boundaries: tuple[float, float]) -> npt.NDArray[np.int64]:
    """Return the regime of each row: 0 low, 1 mid, 2 high, -1 unknown.

    Parameters
    ----------
    volatility : array_like of float
        Known when the return of its row began.
    boundaries : tuple of float
        From `terciles` of a training span. A value on a boundary is in the lower regime.
    """
    x = np.asarray(volatility, dtype=np.float64)
    low, high = boundaries
    regime = (x > low).astype(np.int64) + (x > high)
    return np.where(np.isfinite(x) & np.isfinite(low + high), regime, -1)


def regimes(
    returns: Any,
    regime: npt.NDArray[np.int64],
    *,
    periods_a_year: int,
    boundaries: str,
    least: int = LEAST,
) -> Regimes:
    """Split returns by regime.

    Parameters
    ----------
    returns : array_like of float
        Net, of equal periods, shares of capital.
    regime : ndarray of int
        From `classify`: what was known when the period began.
    periods_a_year : int
        365 for days, 105,120 for bars of five minutes.
    boundaries : str
        Where they come from, such as ``terciles of the training span``.
    least : int
        A regime with fewer returns is not judged.
    """
    x = finite(returns)
    if len(regime) != len(x):
        raise ConfigError("not a regime for each return", value=len(regime), expected=str(len(x)))
    rows = [
        _one(name, x[regime == code], len(x), periods_a_year, least)
        for code, name in enumerate(REGIMES)
    ]
    return Regimes(pd.DataFrame(rows), int((regime < 0).sum()), boundaries)


def _one(name: str, x: Floats, total: int, periods: int, least: int) -> dict[str, Any]:
    year = metrics.annualisation(periods)
    ratio, reason = metrics.sharpe(x), ""
    if len(x) < least:
        ratio, reason = math.nan, f"fewer than {least} returns"
    elif math.isnan(ratio):
        reason = "nothing varied: no position was held"
    return {
        "regime": name,
        "rows": len(x),
        "share": len(x) / total if total else math.nan,
        "net": float(x.sum()),
        "sharpe": year * ratio,
        "sharpe_se": year * metrics.sharpe_se(ratio, len(x)) if len(x) else math.nan,
        "reason": reason,
    }

"""What the best of a sweep is worth, after the luck of as many trials."""

from __future__ import annotations

import math

import pandas as pd

from mrtrade.backtest.sweep import Sweep
from mrtrade.validation.sharpe import Deflated, deflated_sharpe


def best_first(found: Sweep) -> pd.DataFrame:
    """Return the configurations that traded, at the costs as they are, the best net profit first.

    One that never traded earned more than all that lose, which is no merit of its parameters; and
    that costs are halved is no choice of the trader's.
    """
    frame = found.at_cost()
    return frame[(frame["fills"] > 0).fillna(False)].sort_values("rank", kind="stable")


def deflate_best(found: Sweep, trials: float | None = None) -> Deflated | None:
    """Deflate the Sharpe ratio of the first of `best_first` by all that was tried.

    Parameters
    ----------
    found : Sweep
    trials : float, optional
        Everything ever tried on the question, as a ledger counts it; default: the configurations
        of the sweep.

    Returns
    -------
    Deflated or None
        Of returns of `Sweep.period_ns`, not annualised; None: nothing traded.

    Notes
    -----
    As gate 1 has it: were all trials worthless, their ratios would vary by 1 / (n - 1), n the
    number of returns (Lo 2002), and the benchmark is the expected largest of so many that have
    nothing to do with each other. Those of a grid do, so that it asks for more than their luck.
    """
    rows = best_first(found)
    if rows.empty:
        return None
    best = rows.iloc[0]
    n = int(best["periods"])
    return deflated_sharpe(
        float(best["sharpe_after"]),
        n,
        trials=int(found.frame["net"].notna().sum()) if trials is None else trials,
        variance=1.0 / (n - 1) if n > 1 else math.nan,
        skew=float(best["skew"]),
        kurtosis=float(best["kurtosis"]),
    )

"""Does what was learnt on one symbol hold on another: measures, no runs.

What was fitted on one symbol is traded on others, over the same days out of sample; the Sharpe
ratio on another must be more than 70 % of that on the first. Both have errors, and they are errors
of the same days: the interval comes from days drawn for both together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mrtrade.backtest import metrics
from mrtrade.validation.bootstrap import DRAWS, LEVEL, Interval, ratio_interval
from mrtrade.validation.criteria import Criterion, judge

SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Transfer:
    """Sharpe ratios of one strategy on the symbol that it was made on and on another.

    Attributes
    ----------
    trained, tested : str
        Symbols.
    days : int
        That both have results of.
    trained_sharpe, tested_sharpe : float
        Annual, over those days.
    ratio : Interval
        Of the second by the first.
    excess : Interval
        Of the second less `share` of the first, annual: above 0 where the criterion is met.
    share : float
    """

    trained: str
    tested: str
    days: int
    trained_sharpe: float
    tested_sharpe: float
    ratio: Interval
    excess: Interval
    share: float = SHARE

    def criterion(self) -> Criterion:
        """Judge the ratio; where the first symbol earned nothing there is nothing to carry over."""
        reason = ""
        if self.days < metrics.MIN_DAYS:
            reason = f"{self.days} days of both, fewer than {metrics.MIN_DAYS}"
        elif not self.trained_sharpe > 0.0:
            reason = f"{self.trained} has no positive Sharpe ratio to compare with"
        elif math.isnan(self.ratio.value):
            reason = f"nothing was held on {self.tested}"
        tested, trained = (
            f"{one:.2f}" if math.isfinite(one) else "none"
            for one in (self.tested_sharpe, self.trained_sharpe)
        )
        note = f"{tested} against {trained}, {self.days} days"
        if not math.isnan(self.ratio.low):
            note += f"; {self.ratio.level:.0%} interval {100.0 * self.ratio.low:.0f} to "
            note += f"{100.0 * self.ratio.high:.0f}%"
        elif not reason:
            note += f"; no interval: {self.ratio.reason}"
        return judge(
            f"Sharpe ratio on {self.tested}, share of that on {self.trained}",
            100.0 * self.ratio.value,
            ">",
            100.0 * self.share,
            note,
            reason=reason,
            unit="%",
        )


def transfer(
    trained: pd.Series,
    tested: pd.Series,
    *,
    names: tuple[str, str],
    share: float = SHARE,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
) -> Transfer:
    """Compare the daily returns of a strategy on two symbols.

    Parameters
    ----------
    trained, tested : Series of float
        Net daily returns out of sample, shares of capital, indexed by day: on the symbol that the
        strategy was fitted on, and on another. Days that only one has are left out.
    names : tuple of str
        The two symbols.
    share : float
        Of the first ratio that the second must exceed.
    level, draws, seed
        Of the intervals.
    """
    both = pd.concat({"trained": trained, "tested": tested}, axis=1, join="inner")
    x, y = (both[name].to_numpy(np.float64) for name in ("trained", "tested"))
    ratio, excess = ratio_interval(y, x, share, level=level, draws=draws, seed=seed)
    year = metrics.annualisation(metrics.DAYS_A_YEAR)
    own, there = (year * metrics.sharpe(one) for one in (x, y))
    return Transfer(*names, len(both), own, there, ratio, excess.times(year), share)

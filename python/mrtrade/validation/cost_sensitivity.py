"""What is left when trading costs more, or less, than was assumed.

Everything is linear in the multiple k of the costs, net(k) = gross - k cost + funding, bar by bar:
so the multiple at which nothing is left, and the one at which a Sharpe ratio is reached, are found
and not searched for. Funding is paid or received for holding and is no trading cost: it is not
multiplied. Positions are those of the run: a strategy that knew of higher costs might trade less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mrtrade.backtest import metrics
from mrtrade.errors import DataError
from mrtrade.validation.criteria import Criterion, judge
from mrtrade.validation.returns import daily_sums

MULTIPLES = (0.5, 1.0, 1.5, 2.0, 3.0)
TWICE, WANTED = 2.0, 1.0
"""The multiple, and the annual Sharpe ratio above which it must leave the strategy."""


@dataclass(frozen=True)
class CostSensitivity:
    """Results by multiple of the costs.

    Attributes
    ----------
    table : DataFrame
        A row a multiple: ``multiple``, ``net`` (sum, share of capital), ``sharpe`` (annual, of
        days), ``sharpe_se`` (Lo 2002, iid). NaN where days are too few or do not vary.
    gross, cost, funding : float
        Sums, shares of capital.
    break_even : float
        Multiple at which the net sum is 0; infinite: there were no costs; NaN: it loses money
        without any, and no multiple helps.
    multiple_at_sharpe : float
        Multiple up to which the Sharpe ratio is `WANTED` or more, closed form; NaN where it is not
        even without costs; infinite where no multiple lowers it.
    days : int
    reason : str
        Why there are no Sharpe ratios; empty where there are.
    """

    table: pd.DataFrame
    gross: float
    cost: float
    funding: float
    break_even: float
    multiple_at_sharpe: float
    days: int
    reason: str = ""

    def sharpe_at(self, multiple: float) -> float:
        """Annual Sharpe ratio at one of the multiples of the table."""
        row = self.table[self.table["multiple"] == multiple]
        return float(row["sharpe"].iloc[0]) if len(row) else math.nan

    def criterion(self, threshold: float = WANTED, multiple: float = TWICE) -> Criterion:
        """Judge the Sharpe ratio at a multiple of the costs."""
        even = f"breaks even at {self.break_even:.2f} times the costs"
        if math.isnan(self.break_even):
            traded = self.gross or self.cost or self.funding
            even = "it loses money without costs" if traded else "nothing was traded"
        return judge(
            f"Sharpe ratio at {multiple:g}x costs",
            self.sharpe_at(multiple),
            ">",
            threshold,
            even,
            reason=self.reason,
        )


def cost_sensitivity(
    gross: pd.Series,
    cost: pd.Series,
    funding: pd.Series | None = None,
    *,
    multiples: Sequence[float] = MULTIPLES,
) -> CostSensitivity:
    """Recompute a result under other costs.

    Parameters
    ----------
    gross, cost, funding : Series of float
        Per bar, shares of capital, indexed by the time at which the bar ended: what prices brought,
        what trading cost (>= 0 where it is a cost) and what funding brought (< 0: paid).
    multiples : sequence of float

    Raises
    ------
    DataError
        If the series are of different bars, or a value is missing.
    """
    parts = pd.DataFrame({"gross": gross, "cost": cost})
    given = [gross, cost] if funding is None else [gross, cost, funding]
    if any(not one.index.equals(gross.index) for one in given):
        raise DataError("gross, cost and funding of different bars", expected="one index")
    parts["funding"] = 0.0 if funding is None else funding
    days = daily_sums(parts)
    earned = (days["gross"] + days["funding"]).to_numpy(np.float64)
    paid = days["cost"].to_numpy(np.float64)
    year = metrics.annualisation(metrics.DAYS_A_YEAR)
    reason = ""
    if len(days) < metrics.MIN_DAYS:
        reason = f"{len(days)} days, fewer than {metrics.MIN_DAYS}"
    elif not np.ptp(earned) > 0.0 and not np.ptp(paid) > 0.0:
        reason = "the daily results do not vary"
    rows = []
    for k in multiples:
        net = earned - k * paid
        ratio = math.nan if reason else metrics.sharpe(net)
        rows.append(
            {
                "multiple": float(k),
                "net": float(net.sum()),
                "sharpe": year * ratio,
                "sharpe_se": year * metrics.sharpe_se(ratio, len(net)) if len(net) else math.nan,
            }
        )
    return CostSensitivity(
        table=pd.DataFrame(rows),
        gross=float(days["gross"].sum()),
        cost=float(paid.sum()),
        funding=float(days["funding"].sum()),
        break_even=break_even(float(earned.sum()), float(paid.sum())),
        multiple_at_sharpe=math.nan if reason else multiple_at(earned, paid, WANTED / year),
        days=len(days),
        reason=reason,
    )


def break_even(earned: float, paid: float) -> float:
    """Multiple of the costs at which nothing is left.

    Parameters
    ----------
    earned, paid : float
        Sums before costs, with funding, and of the costs.

    Returns
    -------
    float
        NaN where nothing was earned before costs, infinite where there are none.
    """
    if not earned > 0.0:
        return math.nan
    return earned / paid if paid > 0.0 else math.inf


def multiple_at(earned: metrics.Floats, paid: metrics.Floats, ratio: float) -> float:
    r"""Multiple of the costs up to which a Sharpe ratio per period is reached.

    Parameters
    ----------
    earned, paid : ndarray
        Per period, before costs and the costs.
    ratio : float
        Of one period, > 0.

    Returns
    -------
    float
        The smallest k >= 0 at which the ratio is met exactly; NaN where it is below at k = 0,
        infinite where no k brings it down to it.

    Notes
    -----
    With means a, c and the covariance matrix of the two series, :math:`a - k c = S
    \sqrt{v_a - 2 k v_{ac} + k^2 v_c}`, squared: a quadratic in k.
    """
    a, c = float(earned.mean()), float(paid.mean())
    (va, cov), (_, vc) = np.cov(np.vstack([earned, paid]), ddof=1)
    if not a >= ratio * math.sqrt(va):
        return math.nan
    square = ratio * ratio
    roots = np.roots([c * c - square * vc, -2.0 * (a * c - square * cov), a * a - square * va])
    # Squaring adds the roots of minus the ratio: those with a negative mean.
    real = [
        float(k.real)
        for k in roots
        if abs(k.imag) <= 1e-9 * max(1.0, abs(k)) and k.real >= 0.0 and a - c * k.real >= 0.0
    ]
    return min(real, default=math.inf)

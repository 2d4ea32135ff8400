"""The criteria of gate 0, on what a proof of concept measured.

Returns are summed over blocks as long as the horizon, and a Sharpe ratio is that of blocks. The
annual one is sqrt(blocks a year) times it, and is not made of less than `MIN_SPAN_NS` and
`MIN_BLOCKS`: a minute says nothing of a year.

What is too short to be measured is not judged. What was measured and is not above its threshold
fails. What is above it, but by less than luck gives in `LUCK` of cases, is not judged either. The
best of N configurations has N chances: each is held to `LUCK` / N (Bonferroni), so 1.64 standard
errors for a first one, 2.58 for the tenth. Standard errors: of a Sharpe ratio Lo's (2002), of the
difference of two on the same blocks Memmel's (2003), of a mean the usual one, of a correlation that
of `mrtrade.features.correlations`, for which returns overlap.

References
----------
Lo (2002), The statistics of Sharpe ratios, Financial Analysts Journal 58(4).
Memmel (2003), Performance hypothesis testing with the Sharpe ratio, Finance Letters 1(1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from mrtrade.backtest.metrics import sharpe, sharpe_se
from mrtrade.backtest.text import spell
from mrtrade.clock import NS_PER_DAY
from mrtrade.validation.criteria import Criterion, judge

Floats = npt.NDArray[np.float64]

CORRELATION, SHARPE, GAIN, QUERY_S = 0.05, 1.0, 0.5, 1.0
"""Thresholds."""

MIN_BLOCKS = 400
"""Fewest returns without overlap: with 400 the standard error of a correlation is 0.05."""

MIN_SPAN_NS = NS_PER_DAY
"""Shortest test whose Sharpe ratio is annualised."""

MIN_ROUNDS = 30
"""Fewest round trips that profits are judged by."""

LUCK = 0.05
"""Chance that one of all trials is above a threshold by so much, where its truth is just there."""

YEAR_NS = 365 * NS_PER_DAY


@dataclass(frozen=True)
class Evidence:
    """What the test said.

    Attributes
    ----------
    ic, ic_se : float
        Correlation of forecasts with the returns after them; NaN: all forecasts are the same.
    gross, cost, funding : ndarray, shape (blocks,)
        Profit before costs, costs, and funding paid, of the model with all features: shares of
        capital.
    plain : ndarray, shape (blocks,)
        Profit before costs of the model without book and flow.
    entries : int
        Positions that the model with all features took.
    block_ns, span_ns : int
        Length of a block, and of the test.
    trials : int
        Configurations tried on the symbol, this one among them.
    """

    ic: float
    ic_se: float
    gross: Floats
    cost: Floats
    funding: Floats
    plain: Floats
    entries: int
    block_ns: int
    span_ns: int
    trials: int = 1

    def why_not(self, *, annual: bool) -> str:
        """Return why it is too short to be judged, or an empty text."""
        if len(self.gross) < MIN_BLOCKS:
            return f"{len(self.gross):,} returns without overlap, {MIN_BLOCKS:,} are needed"
        if annual and self.span_ns < MIN_SPAN_NS:
            return f"a test of {spell(self.span_ns)} is too short to be annualised"
        return ""

    def by_luck(self, value: float, se: float, threshold: float) -> str:
        """Return that a number is not surely above its threshold, if it is above; else nothing."""
        sure = NormalDist().inv_cdf(1.0 - LUCK / self.trials)
        if value <= threshold or value - sure * se > threshold:
            return ""
        who = "luck" if self.trials == 1 else f"the luckiest of {self.trials} trials"
        return f"above it by less than {sure:.2f} standard errors: {who} would be"


def judge_evidence(found: Evidence) -> list[Criterion]:
    """Return the criteria that the test decides."""
    return [
        _of_correlation(found),
        _of_sharpe(found),
        _of_doubled_costs(found),
        _of_microstructure(found),
    ]


def not_judged(why: str) -> list[Criterion]:
    """Return the same criteria where there was no test."""
    return [
        judge(name, None, ">=" if name == MICRO_GAIN else ">", least, reason=why)
        for name, least in NAMES.items()
    ]


def judge_query(seconds: float, note: str) -> Criterion:
    """Return the criterion of the store's speed."""
    return judge("reading one day, s", seconds, "<", QUERY_S, note, reason="")


IC = "correlation of forecasts with returns"
BEFORE_COSTS = "Sharpe before costs, annual"
DOUBLED = "profit at 2x costs, bps of capital"
MICRO_GAIN = "Sharpe that book and flow add"

NO_PROFIT = "no profit and no loss before costs"

NAMES = {IC: CORRELATION, BEFORE_COSTS: SHARPE, DOUBLED: 0.0, MICRO_GAIN: GAIN}


def difference_se(one: Floats, other: Floats) -> float:
    """Return the standard error of the difference of two Sharpe ratios of the same blocks.

    sqrt((2 - 2 r + (S1^2 + S2^2 - 2 S1 S2 r^2) / 2) / n) with the correlation r (Memmel 2003).
    """
    r = float(np.corrcoef(one, other)[0, 1])
    first, second = sharpe(one), sharpe(other)
    inside = 2.0 - 2.0 * r + 0.5 * (first**2 + second**2 - 2.0 * first * second * r**2)
    return math.sqrt(max(inside, 0.0) / len(one))


def _of_correlation(found: Evidence) -> Criterion:
    why = found.why_not(annual=False)
    if math.isnan(found.ic):
        return judge(IC, None, ">", CORRELATION, reason="the model forecasts one number only")
    note = f"standard error {found.ic_se:.3f}"
    why = why or found.by_luck(found.ic, found.ic_se, CORRELATION)
    return judge(IC, found.ic, ">", CORRELATION, note, reason=why)


def _of_sharpe(found: Evidence) -> Criterion:
    ratio = sharpe(found.gross)
    if math.isnan(ratio):
        return judge(BEFORE_COSTS, None, ">", SHARPE, reason=NO_PROFIT)
    se = sharpe_se(ratio, len(found.gross))
    note = f"{ratio:+.3f} in {spell(found.block_ns)}, standard error {se:.3f}"
    if why := found.why_not(annual=True):
        return judge(BEFORE_COSTS, None, ">", SHARPE, note, reason=why)
    year = math.sqrt(YEAR_NS / found.block_ns)
    note = f"standard error {year * se:.1f}; {note}"
    why = found.by_luck(year * ratio, year * se, SHARPE)
    return judge(BEFORE_COSTS, year * ratio, ">", SHARPE, note, reason=why)


def _of_doubled_costs(found: Evidence) -> Criterion:
    net = 1e4 * (found.gross - 2.0 * found.cost - found.funding)
    total = float(net.sum())
    if found.entries == 0:
        return judge(DOUBLED, 0.0, ">", 0.0, "nothing was traded")
    se = float(np.std(net, ddof=1)) * math.sqrt(len(net)) if len(net) > 1 else math.inf
    gross, cost = (1e4 * float(one.sum()) for one in (found.gross, found.cost))
    note = f"{found.entries:,} round trips: {gross:+,.1f} before costs of {cost:,.1f}"
    why = found.why_not(annual=False)
    if not why and found.entries < MIN_ROUNDS:
        why = f"{found.entries} round trips, {MIN_ROUNDS} are needed"
    return judge(DOUBLED, total, ">", 0.0, note, reason=why or found.by_luck(total, se, 0.0))


def _of_microstructure(found: Evidence) -> Criterion:
    with_it, without = sharpe(found.gross), sharpe(found.plain)
    if math.isnan(with_it) or math.isnan(without):
        which = "without book and flow" if math.isnan(without) else "with them"
        return judge(MICRO_GAIN, None, ">=", GAIN, reason=f"{NO_PROFIT} {which}")
    gain, se = with_it - without, difference_se(found.gross, found.plain)
    note = f"{with_it:+.3f} against {without:+.3f} in {spell(found.block_ns)}"
    if why := found.why_not(annual=True):
        return judge(MICRO_GAIN, None, ">=", GAIN, note, reason=why)
    year = math.sqrt(YEAR_NS / found.block_ns)
    note = f"standard error {year * se:.1f}; {note}"
    why = found.by_luck(year * gain, year * se, GAIN)
    return judge(MICRO_GAIN, year * gain, ">=", GAIN, note, reason=why)

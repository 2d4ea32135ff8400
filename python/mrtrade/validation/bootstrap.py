"""Intervals of returns that depend on each other: the stationary block bootstrap.

Blocks of random length, 1 / p on average, keep what neighbours in time have in common. Their mean
length is that of Politis and White (2004; Patton, Politis and White 2009), the larger of those for
the returns and for their squares, as a Sharpe ratio is made of both. Both are `arch`'s.

References
----------
Politis and Romano (1994), The stationary bootstrap, JASA 89.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mrtrade.backtest import metrics
from mrtrade.errors import ConfigError
from mrtrade.features.extras import need
from mrtrade.validation.returns import Floats, finite

DRAWS, LEVEL = 999, 0.95
LEAST, FEWEST_BLOCKS = 30, 10
"""Fewest returns, and fewest blocks of the mean length, that an interval is made from."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A number and the interval around it.

    Attributes
    ----------
    value : float
        Of the returns as they were.
    low, high : float
        NaN where there is no interval.
    level : float
        Such as 0.95.
    block : float
        Mean length of the blocks, returns.
    draws : int
    reason : str
        Why there is no interval; empty where there is one.
    """

    value: float
    low: float
    high: float
    level: float = LEVEL
    block: float = math.nan
    draws: int = 0
    reason: str = ""

    def times(self, factor: float) -> Interval:
        """Return it in another unit: of an annual ratio, say."""
        ends = {name: factor * getattr(self, name) for name in ("value", "low", "high")}
        return replace(self, **ends)


def worst_drawdown(returns: Floats) -> float:
    """Deepest fall of the sum of returns below its highest value so far (0 before the first)."""
    return float(metrics.drawdown(np.r_[0.0, np.cumsum(returns)]).max())


def mean(returns: Floats) -> float:
    """Mean of returns."""
    return float(np.mean(returns)) if len(returns) else math.nan


STATISTICS: dict[str, Callable[[Floats], float]] = {
    "sharpe": metrics.sharpe,
    "mean": mean,
    "drawdown": worst_drawdown,
}


def block_length(returns: Floats) -> float:
    """Return the mean length of blocks for returns, at least 1; NaN where they do not vary."""
    optimal = need("arch.bootstrap").optimal_block_length
    if len(returns) < LEAST or np.ptp(returns) == 0.0:
        return math.nan
    d = returns - returns.mean()
    d = d / d.std()
    lengths = [1.0]
    for series in (d, d * d):
        if np.ptp(series) > 1e-12:  # returns of two values have one square
            lengths.append(float(optimal(series)["stationary"].iloc[0]))
    return max(lengths)


def too_short(returns: Floats, block: float) -> str:
    """Say why returns are too few for an interval; empty where they are enough."""
    n = len(returns)
    if n < LEAST:
        return f"{n} returns, fewer than {LEAST}"
    if math.isnan(block):
        return "the returns do not vary"
    if n < FEWEST_BLOCKS * block:
        return f"{n} returns are fewer than {FEWEST_BLOCKS} blocks of {block:.0f}"
    return ""


def intervals(
    returns: Any,
    *,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
    block: float | None = None,
    statistics: Mapping[str, Callable[[Floats], float]] | None = None,
) -> dict[str, Interval]:
    """Percentile intervals of statistics of a series of returns.

    Parameters
    ----------
    returns : array_like of float
        In order of time; shares of capital, which add up.
    level : float
        Share of such intervals that hold the true value; between 0 and 1.
    draws : int
    seed : int
    block : float, optional
        Mean length of the blocks; default: chosen from the returns.
    statistics : Mapping, optional
        Functions of an array by name; default: `STATISTICS`, ``sharpe`` and ``mean`` per period
        and ``drawdown``.

    Returns
    -------
    dict of Interval
        By the names of the statistics; without interval, and with a reason, for fewer than 30
        returns or fewer than ten blocks.

    Notes
    -----
    On 500 normal returns and at a level of 95 %, in 300 repetitions: 94 % of the intervals of mean
    and Sharpe ratio hold the true one where returns are independent, 93 % where they are AR(1) of
    0.3. That of the drawdown is what the same returns would have shown in another order; it holds
    that of another sample in 88 and 87 %, as a mean that was estimated is taken for true.
    """
    x = finite(returns)
    functions = STATISTICS if statistics is None else statistics
    _check(level, draws)
    length = block_length(x) if block is None else float(block)
    values = {name: function(x) for name, function in functions.items()}
    reason = too_short(x, length)
    if reason:
        return {
            name: Interval(value, math.nan, math.nan, level, length, 0, reason)
            for name, value in values.items()
        }
    found = np.array(
        [
            [function(one) for function in functions.values()]
            for one in _draw(x, length, draws, seed)
        ]
    )
    ends = _quantiles(found, level)
    return {
        name: Interval(value, float(low), float(high), level, length, draws)
        for (name, value), low, high in zip(values.items(), *ends, strict=True)
    }


def band(
    returns: Any, periods: int, *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Band for the sum of the next returns, if they are like those before.

    Parameters
    ----------
    returns : array_like of float
        What is known, in order of time.
    periods : int
        Number of returns to come.
    level, draws, seed
        As in `intervals`.

    Returns
    -------
    Interval
        `value`: what the mean makes of so many periods. Without a band, and with a reason, where
        there are too few returns, or fewer than are to come.

    Notes
    -----
    What is to come is a draw of that length. That the mean is estimated itself is added: each draw
    is moved by how far the mean of another draw of full length is from that of the returns. With
    500 returns known and 60 to come, 94 % of the bands at 95 % hold (AR(1) of 0.3: 92 %).
    """
    x = finite(returns)
    _check(level, draws)
    if periods < 1:
        raise ConfigError("nothing to come", key="periods", value=periods, expected="at least 1")
    value = periods * mean(x)
    length = block_length(x)
    reason = too_short(x, length)
    if not reason and periods > len(x):
        reason = f"{periods} periods to come are more than the {len(x)} known"
    if reason:
        return Interval(value, math.nan, math.nan, level, length, 0, reason)
    paths = _draw(x, length, 2 * draws, seed)
    sums = np.array([one[:periods].sum() for one in paths[:draws]])
    means = np.array([one.mean() for one in paths[draws:]])
    low, high = _quantiles(sums + periods * (means - x.mean()), level)
    return Interval(value, float(low), float(high), level, length, draws)


def ratio_interval(
    one: Any, other: Any, share: float, *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> tuple[Interval, Interval]:
    """Intervals of the ratio of two Sharpe ratios, and of the first less a share of the second.

    Parameters
    ----------
    one, other : array_like of float, same length
        Returns over the same periods: days are drawn for both together.
    share : float
        Such as 0.7.
    level, draws, seed
        As in `intervals`.

    Returns
    -------
    ratio, excess : Interval
        Of S1 / S2, which has no value where S2 is not positive, and no interval where S2 is not in
        more than (1 - level) / 2 of the draws; and of S1 - share * S2, which has both always.
    """
    x, y = finite(one), finite(other)
    if len(x) != len(y):
        raise ConfigError(
            "returns over different periods", value=len(x), expected=f"{len(y)} returns"
        )
    _check(level, draws)
    first, second = metrics.sharpe(x), metrics.sharpe(y)
    ratio = first / second if second > 0.0 else math.nan
    excess = first - share * second
    length = max(block_length(x), block_length(y), key=lambda v: math.inf if math.isnan(v) else v)
    reason = too_short(x, length)
    if reason:
        nothing = (math.nan, math.nan, level, length, 0)
        why = reason if second > 0.0 or math.isnan(second) else "its denominator is not positive"
        return Interval(ratio, *nothing, why), Interval(excess, *nothing, reason)
    paths = _draw(np.column_stack([x, y]), length, draws, seed)
    pairs = np.array([[metrics.sharpe(path[:, 0]), metrics.sharpe(path[:, 1])] for path in paths])
    low, high = _quantiles(pairs[:, 0] - share * pairs[:, 1], level)
    of_excess = Interval(excess, float(low), float(high), level, length, draws)
    positive = pairs[:, 1] > 0.0
    if not second > 0.0:
        why = "its denominator is not positive"
    elif 1.0 - positive.mean() > (1.0 - level) / 2.0:
        why = f"its denominator is not positive in {1.0 - positive.mean():.0%} of the draws"
    else:
        low, high = _quantiles(pairs[positive, 0] / pairs[positive, 1], level)
        return Interval(ratio, float(low), float(high), level, length, draws), of_excess
    return Interval(ratio, math.nan, math.nan, level, length, draws, why), of_excess


def _check(level: float, draws: int) -> None:
    if not 0.0 < level < 1.0:
        raise ConfigError("no level", key="level", value=level, expected="between 0 and 1")
    if draws < 100:
        raise ConfigError("too few draws", key="draws", value=draws, expected="at least 100")


def _draw(x: Floats, block: float, draws: int, seed: int) -> list[Floats]:
    """Resampled series, rows drawn in blocks."""
    sampler = need("arch.bootstrap").StationaryBootstrap(block, x, seed=np.random.default_rng(seed))
    return [positional[0] for positional, _ in sampler.bootstrap(draws)]


def _quantiles(found: Floats, level: float) -> Floats:
    tail = (1.0 - level) / 2.0
    return np.asarray(np.nanquantile(found, [tail, 1.0 - tail], axis=0))

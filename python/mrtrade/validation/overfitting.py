"""How often the best configuration in sample is below the median out of sample (PBO by CSCV).

Combinatorially symmetric cross-validation: the rows are cut into S blocks in order of time, every
half of the blocks is in sample once, its complement out of sample. One number is noisy: on pure
noise (50 configurations, 1,000 rows, 10 blocks) it is 0.5 on average and has a standard deviation
of 0.14 from data set to data set. Moving the edges of the blocks shows a part of that, and
`Overfitting.offsets` has the PBO for each; the part that other data would show it cannot.

References
----------
Bailey, Borwein, Lopez de Prado and Zhu (2017), The probability of backtest overfitting, Journal of
Computational Finance 20(4).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from mrtrade.errors import ConfigError
from mrtrade.validation.returns import Floats, finite

BLOCKS, FEWEST_BLOCKS = 16, 4
ROWS_A_BLOCK = 8
"""Fewest rows of a block; a shorter series has fewer blocks."""
OFFSETS = 4
CHUNK = 1 << 19
"""Sharpe ratios at once: what fits into a cache."""
STILL = 1e-12
"""Variance, as a share of the mean square, from which on down a half does not vary."""


@dataclass(frozen=True)
class Overfitting:
    """Probability of backtest overfitting, and the splits that it was counted on.

    Attributes
    ----------
    pbo : float
        Share of splits in which the best in sample was at or below the median out of sample (logit
        <= 0); NaN where it cannot be told.
    pbo_strict : float
        The same with logit < 0: other libraries count so. With an odd number of configurations one
        of them is the median, and the two differ.
    logits : ndarray, shape (splits,)
        Logarithm of omega / (1 - omega), with omega = rank out of sample / (configurations + 1).
    chosen : ndarray of int64, shape (splits,)
        The best configuration in sample.
    in_sample, out_of_sample : ndarray, shape (splits,)
        Sharpe ratios of that one per period.
    slope, intercept : float
        Of the regression of `out_of_sample` on `in_sample`: a slope below 0 says that the better
        it looked, the worse it went.
    loss : float
        Share of splits in which the chosen one earned nothing out of sample: probability of loss.
    offsets : ndarray
        PBO with the edges of the blocks moved; the first is `pbo`.
    configurations, rows, blocks : int
    reason : str
        Why there are no numbers; empty where there are.
    """

    pbo: float
    pbo_strict: float
    logits: Floats
    chosen: npt.NDArray[np.int64]
    in_sample: Floats
    out_of_sample: Floats
    slope: float
    intercept: float
    loss: float
    offsets: Floats
    configurations: int
    rows: int
    blocks: int
    reason: str = ""

    def histogram(self, bins: int = 20) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Return edges, shape (bins + 1,), and counts of the logits; 0 is an edge."""
        top = max(1.0, float(np.abs(self.logits).max(initial=0.0)))
        edges = np.linspace(-top, top, 2 * max(1, bins // 2) + 1)
        # At or below the median is on the left, as it is in `pbo`: intervals closed on the right.
        which = np.clip(np.searchsorted(edges, self.logits, side="left") - 1, 0, len(edges) - 2)
        return edges, np.bincount(which, minlength=len(edges) - 1).astype(np.int64)


def blocks_for(rows: int, most: int = BLOCKS) -> int:
    """Return the largest even number of blocks, up to `most`, that have `ROWS_A_BLOCK` rows each.

    0 where there would be fewer than four.
    """
    count = min(most, rows // ROWS_A_BLOCK) // 2 * 2
    return count if count >= FEWEST_BLOCKS else 0


def pbo_cscv(returns: Any, blocks: int | None = None, *, offsets: int = OFFSETS) -> Overfitting:
    """Estimate the probability of backtest overfitting.

    Parameters
    ----------
    returns : array_like of float, shape (rows, configurations)
        Returns of every configuration that was tried over the same periods, in order of time.
    blocks : int, optional
        S, even; default: 16, or fewer where a block would have fewer than 8 rows. Blocks differ by
        one row at most.
    offsets : int
        Places at which the first block may begin, at equal steps within a block; 1: only the first
        row. Rows before it join the last block.

    Returns
    -------
    Overfitting
        Without numbers, and with a reason, where there are fewer than two configurations or too few
        rows.

    Raises
    ------
    ConfigError
        For an odd number of blocks, or more of them than rows.
    DataError
        If a return is missing.

    Notes
    -----
    Configurations are ranked by the Sharpe ratio of a half, mean over deviation (ddof 1). One that
    does not vary over a half has 0 there: it did not trade. Equal ones share their mean rank.
    """
    x = finite(returns, ndim=2)
    rows, count = x.shape
    if blocks is not None and (blocks % 2 or not 2 <= blocks <= rows):
        raise ConfigError(
            "no number of blocks", value=blocks, expected=f"an even number from 2 to {rows}"
        )
    if offsets < 1:
        raise ConfigError("no number of offsets", value=offsets, expected="at least 1")
    size = blocks_for(rows) if blocks is None else blocks
    if count < 2:
        return _nothing(x, "fewer than two configurations: nothing was chosen")
    if size == 0:
        return _nothing(x, f"{rows} rows are too few for {FEWEST_BLOCKS} blocks of {ROWS_A_BLOCK}")
    if not np.ptp(x, axis=0).any():
        return _nothing(x, "no configuration ever traded")
    first = _splits(x, size)
    steps = sorted({rows * i // (size * offsets) for i in range(1, offsets)} - {0})
    moved = [_splits(np.roll(x, -step, axis=0), size)[0] for step in steps]
    logits, chosen, best, after = first
    slope, intercept = _line(best, after)
    return Overfitting(
        pbo=float(np.mean(logits <= 0.0)),
        pbo_strict=float(np.mean(logits < 0.0)),
        logits=logits,
        chosen=chosen,
        in_sample=best,
        out_of_sample=after,
        slope=slope,
        intercept=intercept,
        loss=float(np.mean(after <= 0.0)),
        offsets=np.array([np.mean(one <= 0.0) for one in (logits, *moved)]),
        configurations=count,
        rows=rows,
        blocks=size,
    )


def _nothing(x: Floats, reason: str) -> Overfitting:
    none, missing = np.empty(0), math.nan
    return Overfitting(
        *(missing, missing, none, none.astype(np.int64), none, none, missing, missing, missing),
        *(none, x.shape[1], x.shape[0], 0, reason),
    )


def _splits(x: Floats, blocks: int) -> tuple[Floats, npt.NDArray[np.int64], Floats, Floats]:
    """Logit, choice, and ratio of the choice in and out of sample, for every split."""
    edges = np.array([len(part) for part in np.array_split(np.arange(len(x)), blocks)])
    starts = np.r_[0, np.cumsum(edges)[:-1]]
    sums = np.add.reduceat(x, starts, axis=0)
    squares = np.add.reduceat(x * x, starts, axis=0)
    parts: list[list[npt.NDArray[Any]]] = []
    for inside in _halves(blocks, max(1, CHUNK // x.shape[1])):
        outside = 1.0 - inside
        one = _ratios(inside @ sums, inside @ squares, inside @ edges)
        other = _ratios(outside @ sums, outside @ squares, outside @ edges)
        # A half and its complement are two splits: either is in sample once.
        parts += [_choose(one, other), _choose(other, one)]
    logits, chosen, best, after = (np.concatenate(column) for column in zip(*parts, strict=True))
    return logits, chosen, best, after


def _halves(blocks: int, rows: int) -> Iterator[Floats]:
    """Every half that has the first block, as rows of 0 and 1, so many at a time."""
    chosen = list(combinations(range(1, blocks), blocks // 2 - 1))
    for start in range(0, len(chosen), rows):
        picked = chosen[start : start + rows]
        some = np.array(picked, dtype=np.int64).reshape(len(picked), blocks // 2 - 1)
        inside = np.zeros((len(some), blocks))
        inside[:, 0] = 1.0
        np.put_along_axis(inside, some, 1.0, axis=1)
        yield inside


def _ratios(total: Floats, square: Floats, n: Floats) -> Floats:
    """Sharpe ratios from sums, shape (splits, configurations), over n rows, shape (splits,)."""
    rows = n[:, None]
    mean = total / rows
    variance = (square - total * mean) / np.maximum(rows - 1.0, 1.0)
    still = variance <= STILL * square / rows
    variance[still] = 1.0
    mean[still] = 0.0
    np.sqrt(variance, out=variance)
    mean /= variance
    return mean


def _choose(inside: Floats, outside: Floats) -> list[npt.NDArray[Any]]:
    chosen = np.argmax(inside, axis=1)
    row = np.arange(len(chosen))
    after = outside[row, chosen]
    below = (outside < after[:, None]).sum(axis=1)
    equal = (outside == after[:, None]).sum(axis=1)
    omega = (below + 0.5 * (equal + 1.0)) / (outside.shape[1] + 1.0)
    return [np.log(omega / (1.0 - omega)), chosen, inside[row, chosen], after]


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """Slope and intercept of y on x; NaN where x does not vary."""
    d = x - x.mean()
    square = float(d @ d)
    if not square > 0.0:
        return math.nan, math.nan
    slope = float(d @ y) / square
    return slope, float(y.mean()) - slope * float(x.mean())

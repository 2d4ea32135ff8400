"""Whether the best set of parameters is a plateau or a spike.

A set that only itself is good at was found by luck: its neighbours on the grid, one step along one
axis, are nearly the same strategy and should earn nearly the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mrtrade.errors import ConfigError, DataError
from mrtrade.validation.criteria import Criterion, judge

WITHIN, WANTED = 0.7, 0.6
"""Fraction of the best that a neighbour must reach; share of the neighbours that must."""
FEWEST = 2
"""Neighbours below which nothing can be said."""


@dataclass(frozen=True)
class Plateau:
    """The best set of a grid and its surroundings.

    Attributes
    ----------
    parameters : tuple of str
        Axes of the grid.
    table : DataFrame
        A row a set, as given: its parameters, ``value``, ``neighbours`` (number of them),
        ``smoothed`` (mean with them; NaN without a value), ``within`` and ``positive`` (shares of
        the neighbours that reach the fraction of its value, and 0; NaN without neighbours, the
        first for a value that is not positive, too).
    best, smoothed_best : int
        Rows of the highest value and of the highest smoothed value.
    fraction : float
        Of a value that its neighbours are to reach.
    edges : tuple of str
        Axes on which the best set is the first or the last: a better one may lie beyond.
    """

    parameters: tuple[str, ...]
    table: pd.DataFrame
    best: int
    smoothed_best: int
    fraction: float
    edges: tuple[str, ...]

    def at(self, row: int) -> dict[str, Any]:
        """Parameters of a row of the table."""
        return {name: self.table[name].iloc[row] for name in self.parameters}

    def criterion(self, threshold: float = WANTED) -> Criterion:
        """Judge whether enough neighbours of the best set are nearly as good."""
        row = self.table.iloc[self.best]
        count = int(row["neighbours"])
        reason = ""
        if not row["value"] > 0.0:
            reason = "the best set has no positive Sharpe ratio: there is no peak to look at"
        elif count < FEWEST:
            reason = f"{count} neighbours on the grid, fewer than {FEWEST}"
        note = (
            f"{count} neighbours, {100.0 * row['positive']:.0f}% of them positive" if count else ""
        )
        if self.edges:
            note += ("; " if note else "") + f"at the edge of the grid in {', '.join(self.edges)}"
        return judge(
            f"Neighbours of the best set that reach {self.fraction:.0%} of it",
            100.0 * row["within"],
            ">=",
            100.0 * threshold,
            note,
            reason=reason,
            unit="%",
        )


def plateau(
    grid: pd.DataFrame,
    parameters: Sequence[str],
    value: str = "sharpe",
    *,
    fraction: float = WITHIN,
) -> Plateau:
    """Look around the best set of a grid.

    Parameters
    ----------
    grid : DataFrame
        A row a set that was tried. Sets that are missing from the grid have no say; one without a
        value (NaN) counts as a neighbour that is not as good.
    parameters : sequence of str
        Columns that are the axes. Steps go in the order of the values; an axis of text has no
        steps.
    value : str
        Column to be high.
    fraction : float
        Of a set's value that its neighbours are to reach, between 0 and 1.

    Raises
    ------
    ConfigError
        For a column that is not there.
    DataError
        If a set is there twice, or none has a value.
    """
    names = tuple(parameters)
    lacking = [name for name in (*names, value) if name not in grid]
    if lacking or not names:
        raise ConfigError(
            "no such column of the grid",
            value=lacking[0] if lacking else names,
            expected=f"some of {', '.join(map(str, grid.columns))}",
        )
    if not 0.0 < fraction <= 1.0:
        raise ConfigError("no fraction", key="fraction", value=fraction, expected="from 0 to 1")
    axes = [_Axis(grid[name]) for name in names]
    cells = list(zip(*(axis.steps for axis in axes), strict=True))
    place = {cell: row for row, cell in enumerate(cells)}
    if len(place) < len(cells):
        twice = next(row for row, cell in enumerate(cells) if place[cell] != row)
        raise DataError("a set is there twice", row=twice, expected="one row for each set")
    x = grid[value].to_numpy(np.float64)
    if not np.isfinite(x).any():
        raise DataError("no set has a value", key=value, expected="a number in some row")
    around = [[place[n] for n in _neighbours(cell, axes) if n in place] for cell in cells]
    table = grid[list(names)].reset_index(drop=True)
    table["value"] = x
    table["neighbours"] = [len(some) for some in around]
    table["smoothed"] = [_mean(x[[i, *some]], x[i]) for i, some in enumerate(around)]
    table["within"] = [
        _share(x[some] >= fraction * x[i]) if x[i] > 0.0 else math.nan
        for i, some in enumerate(around)
    ]
    table["positive"] = [_share(x[some] > 0.0) for some in around]
    best = int(np.nanargmax(x))
    ends = [
        name
        for name, axis, step in zip(names, axes, cells[best], strict=True)
        if axis.ordered and axis.count > 1 and step in (0, axis.count - 1)
    ]
    smoothed = int(np.nanargmax(table["smoothed"].to_numpy(np.float64)))
    return Plateau(names, table, best, smoothed, fraction, tuple(ends))


class _Axis:
    """One axis: its number of values, the place of each row, whether there is an order."""

    def __init__(self, column: pd.Series[Any]) -> None:
        self.ordered = bool(
            pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        )
        codes, values = pd.factorize(column, sort=self.ordered)
        self.steps = [int(code) for code in codes]
        self.count = len(values)


def _neighbours(cell: tuple[int, ...], axes: list[_Axis]) -> Iterator[tuple[int, ...]]:
    for i, axis in enumerate(axes):
        if axis.ordered:
            for step in (-1, 1):
                yield (*cell[:i], cell[i] + step, *cell[i + 1 :])


def _share(flags: Any) -> float:
    return float(np.mean(flags)) if len(flags) else math.nan


def _mean(values: Any, own: float) -> float:
    """Mean of what is known; NaN where a set itself has no value."""
    return float(np.nanmean(values)) if math.isfinite(own) else math.nan

"""The register of features, and the one way to compute them.

A feature is a function ``f(bars, roll, **params)``. ``bars`` maps column names to float64 arrays
(the columns of :func:`mrtrade.features.bars.build_bars`, and ``time``, int64 ns at which each bar
ends); ``roll`` gives it rolling statistics that remember (`Rolling`). It is handed consecutive
chunks of bars: all of history at once in a backtest, one bar at a time live. As ``roll`` carries
the state from chunk to chunk, both are the same code and give the same bits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.clock import to_ns
from mrtrade.errors import ConfigError
from mrtrade.features.rolling import Array, Rolling

Bars = Mapping[str, Array]  # but `time`: int64
Function = Callable[..., Array]


@dataclass(frozen=True)
class Feature:
    """One registered feature.

    Attributes
    ----------
    name : str
        Name of its column. A feature with a window is called ``base_window``: ``zscore_300``.
    family, unit, formula, source : str
        What it is, in words; shown by ``mrtrade features list``.
    lookback : int or None
        Number of earlier bars the value depends on; None: on all of them (recursive filters).
    warmup : int
        Number of leading bars without a value (NaN).
    params : Mapping
        Keyword arguments of the function.
    """

    name: str
    family: str
    unit: str
    formula: str
    source: str
    lookback: int | None
    warmup: int
    function: Function = field(repr=False)
    params: Mapping[str, Any] = field(default_factory=dict)


#: Every registered feature by name, windowed ones with their default windows.
FEATURES: dict[str, Feature] = {}
_WINDOWED: dict[str, Callable[[int], Feature]] = {}


def feature(
    name: str,
    *,
    family: str,
    unit: str,
    formula: str,
    source: str,
    lookback: int | Callable[[int], int | None] | None = 0,
    warmup: int | Callable[[int], int] = 0,
    windows: Sequence[int] = (),
    params: Mapping[str, Any] | None = None,
) -> Callable[[Function], Function]:
    """Register a function as a feature.

    Parameters
    ----------
    name : str
        Column name; with `windows`, the stem of ``name_window``.
    family, unit, formula, source : str
        Documentation, all required.
    lookback, warmup : int or callable
        In bars, see `Feature`; functions of the window where there is one.
    windows : sequence of int
        The function takes ``window`` (bars, >= 2). These are registered by name; every other
        length is found by name too (``zscore_45``).
    params : Mapping, optional
        Further keyword arguments for the function.

    Examples
    --------
    >>> from mrtrade.features import feature
    >>> @feature("spread_ticks", family="microstructure", unit="ticks",
    ...          formula="(ask - bid) / 0.1", source="definition")
    ... def spread_ticks(bars, roll):
    ...     return (bars["ask"] - bars["bid"]) / 0.1
    """

    def make(function: Function, window: int | None) -> Feature:
        def resolve(bars: Any) -> Any:
            return bars(window) if callable(bars) else bars

        extra: dict[str, Any] = dict(params or {})
        if window is not None:
            extra["window"] = window
        return Feature(
            name if window is None else f"{name}_{window}",
            family,
            unit,
            formula,
            source,
            resolve(lookback),
            resolve(warmup),
            function,
            extra,
        )

    def register(function: Function) -> Function:
        made = [make(function, window) for window in windows or (None,)]
        for one in made:
            if one.name in FEATURES:
                raise ValueError(f"feature {one.name!r} is registered twice")
            FEATURES[one.name] = one
        if windows:
            _WINDOWED[name] = lambda window: make(function, window)
        return function

    return register


def get(name: str) -> Feature:
    """Return the feature of that name; a windowed one with any window of at least 2 bars."""
    if name in FEATURES:
        return FEATURES[name]
    windowed = re.fullmatch(r"(.+)_(\d+)", name)
    if windowed and windowed[1] in _WINDOWED:
        if int(windowed[2]) < 2:
            raise ConfigError(
                f"window of feature {name!r}", value=windowed[2], expected=">= 2 bars"
            )
        return _WINDOWED[windowed[1]](int(windowed[2]))
    near = get_close_matches(name, [*FEATURES, *_WINDOWED], n=1)
    raise ConfigError(
        f"no feature {name!r}",
        expected=f"perhaps {near[0]!r}" if near else None,
        remedy="see `mrtrade features list`; a window is a number of bars, as in 'zscore_300'",
    )


class FeatureStream:
    """Features of a stream of bars, fed in chunks of any size.

    Not for use from two threads at once.

    Parameters
    ----------
    names : iterable of str
        Features to compute, see `get`.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.features = tuple(get(name) for name in dict.fromkeys(names))
        self._rolling = tuple(Rolling() for _ in self.features)

    def update(self, bars: Bars) -> dict[str, Array]:
        """Take the next bars, return the features at their ends.

        Parameters
        ----------
        bars : Mapping of str to ndarray
            Columns of equal length, in time order and following what came before; ``time`` int64
            ns, the others float64.
        """
        # A lone column of a frame may be strided, and numpy's loops for strided data need not
        # round like those for contiguous data: without this the chunk size would show.
        columns = {name: np.ascontiguousarray(values) for name, values in bars.items()}
        values: dict[str, Array] = {}
        with np.errstate(divide="ignore", invalid="ignore"):
            for one, roll in zip(self.features, self._rolling, strict=True):
                roll.rewind()
                result = np.asarray(one.function(columns, roll, **one.params), dtype=np.float64)
                values[one.name] = np.where(np.isfinite(result), result, np.nan)
        return values


def columns_of(frame: pd.DataFrame) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of a bar frame as arrays, its index as ``time`` (int64 ns)."""
    columns: dict[str, npt.NDArray[Any]] = {
        str(name): values.to_numpy(dtype=np.float64) for name, values in frame.items()
    }
    columns["time"] = to_ns(frame.index)
    return columns


def compute(bars: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Compute features of a whole frame of bars.

    Parameters
    ----------
    bars : DataFrame
        As :func:`mrtrade.features.bars.build_bars` makes it.
    names : iterable of str
        Features, see `get`.

    Returns
    -------
    DataFrame
        One float64 column a feature, on the index of `bars`. NaN: no value (warm-up, empty book,
        nothing traded); never infinite.
    """
    return pd.DataFrame(FeatureStream(names).update(columns_of(bars)), index=bars.index)

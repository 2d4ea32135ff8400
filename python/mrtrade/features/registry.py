"""The register of features: what each is, and what it is made of.

A feature is a function ``f(bars, roll, **params)`` of the columns that it declares. ``bars`` maps
those, and no other, to float64 arrays (``time``: int64 ns at which each bar ends); ``roll`` gives
it rolling statistics that remember (`mrtrade.features.rolling.Rolling`). It is handed consecutive
chunks of bars: all of history at once in a backtest, one bar at a time live. As ``roll`` carries
the state from chunk to chunk, both are the same code and give the same bits.

What it declares are columns of bars (`mrtrade.features.columns`), derived columns (`derived`) or
other features: each is computed once, whoever asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import FunctionType
from typing import Any, Literal

from mrtrade.errors import ConfigError
from mrtrade.features.columns import COLUMNS
from mrtrade.features.rolling import Array

Function = Callable[..., Array]

FAMILIES = (
    "microstructure",
    "mean_reversion",
    "volatility",
    "cross_asset",
    "funding",
    "temporal",
    "interactions",
)


@dataclass(frozen=True)
class Derived:
    """A column computed from others, for features to share.

    Attributes
    ----------
    name : str
        Name of its column.
    unit : str
    inputs : tuple of str
        What it is computed from: columns of bars, derived columns or features.
    function : callable
        ``f(bars, roll, **params)``.
    params : Mapping
        Keyword arguments of the function.
    """

    name: str
    unit: str
    inputs: tuple[str, ...]
    function: Function = field(repr=False)
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Feature(Derived):
    """One registered feature.

    Attributes
    ----------
    name : str
        Name of its column. A feature with a window is called ``base_window``: ``zscore_300``.
    family, formula, edge, source : str
        What it is, in words. `edge`: where it has no value, or what counts at the borders.
    lookback : int or None
        Number of earlier bars the value depends on; None: on all of them (recursive filters).
    warmup : int
        Number of leading bars without a value (NaN).
    sparse : bool
        Whether it has no value at some bars even of a live market, as where a gate is shut.
    window : int or None
        Bars, where it has one.
    shortest : int
        Bars that its window has at least.
    """

    family: str = ""
    formula: str = ""
    edge: str = ""
    source: str = ""
    lookback: int | None = 0
    warmup: int = 0
    sparse: bool = False
    window: int | None = None
    shortest: int = 2

    @property
    def stem(self) -> str:
        """Its name without the window."""
        return self.name if self.window is None else self.name.removesuffix(f"_{self.window}")

    @property
    def about(self) -> str:
        """What it says, in a sentence: the first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]


#: Every registered feature by name, windowed ones with their default windows.
FEATURES: dict[str, Feature] = {}
DERIVED: dict[str, Derived] = {}
_WINDOWED: dict[str, Callable[[int], Feature]] = {}


def feature(
    name: str,
    *,
    family: str,
    unit: str,
    inputs: Sequence[str],
    formula: str,
    edge: str,
    source: str,
    lookback: int | Callable[[int], int | None] | Literal["inputs"] | None = 0,
    warmup: int | Callable[[int], int] | Literal["inputs"] = 0,
    sparse: bool = False,
    windows: Sequence[int] = (),
    shortest: int = 2,
    params: Mapping[str, Any] | None = None,
) -> Callable[[Function], Function]:
    """Register a function as a feature.

    The same function anew, as where a file is loaded again, takes the place of the old one.

    Parameters
    ----------
    name : str
        Column name; with `windows`, the stem of ``name_window``.
    family, unit, formula, edge, source : str
        Documentation, all required. `edge` says where it has no value.
    inputs : sequence of str
        The columns that the function reads: of bars, derived, or other features. ``{window}``
        stands for the window.
    lookback, warmup : int, callable or "inputs"
        In bars, see `Feature`; functions of the window where there is one. ``"inputs"``: the
        longest of its inputs, which are columns of bars and other features.
    sparse : bool
        See `Feature`.
    windows : sequence of int
        The function takes ``window`` (bars). These are registered by name; every other length is
        found by name too (``zscore_45``).
    shortest : int
        Least window that there is.
    params : Mapping, optional
        Further keyword arguments for the function.

    Examples
    --------
    >>> from mrtrade.features import feature
    >>> @feature("spread_ticks", family="microstructure", unit="ticks", inputs=("bid", "ask"),
    ...          formula="(ask - bid) / 0.1", edge="NaN: a side is empty", source="definition")
    ... def spread_ticks(bars, roll):
    ...     return (bars["ask"] - bars["bid"]) / 0.1
    """

    def make(function: Function, window: int | None) -> Feature:
        needs = tuple(one.format(window=window) for one in inputs)

        def resolve(what: str, bars: Any) -> Any:
            if bars == "inputs":
                return _longest(what, needs)
            return bars(window) if callable(bars) else bars

        extra: dict[str, Any] = dict(params or {})
        if window is not None:
            extra["window"] = window
        return Feature(
            name=name if window is None else f"{name}_{window}",
            unit=unit,
            inputs=needs,
            function=function,
            params=extra,
            family=family,
            formula=formula,
            edge=edge,
            source=source,
            lookback=resolve("lookback", lookback),
            warmup=resolve("warmup", warmup),
            sparse=sparse,
            window=window,
            shortest=shortest,
        )

    def register(function: Function) -> Function:
        for one in [one for one in FEATURES.values() if one.stem == name]:
            if _again(one.function, function):
                del FEATURES[one.name]
        made = [make(function, window) for window in windows or (None,)]
        for one in made:
            if one.inputs != (one.name,):  # a feature may hand out a column as it is
                _refuse_double(one.name)
            elif one.name in FEATURES:
                raise ValueError(f"feature {one.name!r} is registered twice")
        FEATURES.update((one.name, one) for one in made)
        if windows:
            _WINDOWED[name] = lambda window: make(function, window)
        return function

    return register


def derived(
    name: str, *, unit: str, inputs: Sequence[str], params: Mapping[str, Any] | None = None
) -> Callable[[Function], Function]:
    """Register a function as a column that features share; see `feature`."""

    def register(function: Function) -> Function:
        if name in DERIVED and _again(DERIVED[name].function, function):
            del DERIVED[name]
        _refuse_double(name)
        DERIVED[name] = Derived(name, unit, tuple(inputs), function, dict(params or {}))
        return function

    return register


def _longest(what: str, inputs: Iterable[str]) -> int | None:
    """Return the longest look-back or warm-up of the features among the inputs."""
    bars = [getattr(get(name), what) for name in inputs if name not in COLUMNS]
    return None if None in bars else max(bars, default=0)


def _again(one: Function, other: Function) -> bool:
    """Whether both are of the same code: a file loaded again, a cell of a notebook run again."""
    if not (isinstance(one, FunctionType) and isinstance(other, FunctionType)):
        return False
    file = one.__code__.co_filename == other.__code__.co_filename
    return one.__qualname__ == other.__qualname__ and (file or one.__module__ == other.__module__)


def _refuse_double(name: str) -> None:
    if name in FEATURES or name in DERIVED or name in COLUMNS:
        raise ValueError(f"{name!r} is registered twice, or is the name of a column of bars")


@contextmanager
def scratch() -> Iterator[None]:
    """Forget what is registered within."""
    registers: tuple[dict[str, Any], ...] = (FEATURES, DERIVED, COLUMNS, _WINDOWED)
    before = [dict(register) for register in registers]
    try:
        yield
    finally:
        for register, content in zip(registers, before, strict=True):
            register.clear()
            register.update(content)


def get(name: str) -> Feature:
    """Return the feature of that name; a windowed one with any window that is long enough."""
    if name in FEATURES:
        return FEATURES[name]
    windowed = re.fullmatch(r"(.+)_(\d+)", name)
    if windowed and windowed[1] in _WINDOWED:
        one = _WINDOWED[windowed[1]](int(windowed[2]))
        if one.window is not None and one.window < one.shortest:
            raise ConfigError(
                f"window of feature {name!r}",
                value=one.window,
                expected=f">= {one.shortest} bars",
            )
        return one
    if name in _WINDOWED:
        whole = next(one.name for one in FEATURES.values() if one.stem == name)
        raise ConfigError(
            f"feature {name!r} needs a window, in bars", expected=f"such as {whole!r}"
        )
    near = get_close_matches(name, [*FEATURES, *_WINDOWED], n=1)
    raise ConfigError(
        f"no feature {name!r}",
        expected=f"perhaps {near[0]!r}" if near else None,
        remedy="see `mrtrade features list`; a window is a number of bars, as in 'zscore_300'",
    )


def select(words: Iterable[str]) -> list[str]:
    """Return the names that some words stand for: ``all``, a family, or a feature's name."""
    names: dict[str, None] = {}
    for word in words:
        if word == "all":
            names |= dict.fromkeys(FEATURES)
        elif any(one.family == word for one in FEATURES.values()):
            names |= dict.fromkeys(name for name, one in FEATURES.items() if one.family == word)
        else:
            names[get(word).name] = None
    return list(names)

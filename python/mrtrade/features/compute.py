"""The one way to compute features, for a frame of bars and for a stream of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from functools import partial
from types import CodeType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.clock import to_ns
from mrtrade.errors import ConfigError, DataError
from mrtrade.features.columns import COLUMNS
from mrtrade.features.registry import DERIVED, FEATURES, Derived, Feature, get
from mrtrade.features.rolling import Array, Bars, Rolling, Shared, sealed


class Inputs(dict[str, npt.NDArray[Any]]):
    """The columns that a feature declares."""

    def __missing__(self, name: str) -> npt.NDArray[Any]:
        raise ConfigError(
            f"a feature reads {name!r}, which it does not declare",
            expected=f"one of {', '.join(self)}",
            remedy="name it among `inputs`",
        )

    def __setitem__(self, name: str, value: Any) -> None:
        # They are the same mapping at each chunk: what is put there would be a memory unsaved.
        raise ConfigError(
            f"a feature puts {name!r} among its columns",
            remedy="keep it in a variable; what has to be remembered goes through `roll`",
        )


def plan(names: Iterable[str]) -> tuple[list[Derived], list[str]]:
    """Return what is to be computed, what others need first; and the columns of bars it needs."""
    order: dict[str, Derived] = {}
    columns: dict[str, None] = {}

    def visit(node: Derived, above: tuple[str, ...]) -> None:
        if node.name in above:
            raise ConfigError(f"feature {node.name!r} is made of itself: {' <- '.join(above)}")
        for name in node.inputs:
            if name in COLUMNS:
                columns[name] = None
            elif name not in order:
                visit(_node(name, node), (*above, node.name))
        order[node.name] = node

    for name in names:
        if name not in order:
            visit(get(name), ())
    return list(order.values()), list(columns)


def _node(name: str, asked_by: Derived) -> Derived:
    if name in DERIVED:
        return DERIVED[name]
    try:
        return get(name)
    except ConfigError as error:
        raise ConfigError(f"input {name!r} of {asked_by.name!r} is no column: {error}") from None


def missing(node: Derived, absent: Mapping[str, str]) -> str | None:
    """Return why a column cannot be computed, None if it can."""
    return next((absent[name] for name in node.inputs if name in absent), None)


class FeatureStream:
    """Features of a stream of bars, fed in chunks of any size.

    Pickle (or ``copy.deepcopy``) saves it with all that it remembers; what was saved goes on only
    with the features as they were defined then. Not for use from two threads at once.

    Parameters
    ----------
    names : iterable of str
        Features to compute, see `mrtrade.features.get`.

    Attributes
    ----------
    features : tuple of Feature
    columns : tuple of str
        Columns of bars that they are made of.
    reasons : dict
        Why a feature has no value at all, by name: a column is not in the bars. Known after the
        first `update`.
    """

    def __init__(self, names: Iterable[str]) -> None:
        names = [names] if isinstance(names, str) else list(dict.fromkeys(names))
        self._nodes, columns = plan(names)
        self.features: tuple[Feature, ...] = tuple(get(name) for name in names)
        self.columns = tuple(columns)
        self.reasons: dict[str, str] = {}
        self._present: frozenset[str] | None = None
        self._shared = Shared()
        self._rolling = [Rolling(self._shared) for _ in self._nodes]

    def update(self, bars: Bars) -> dict[str, Array]:
        """Take the next bars, return the features at their ends.

        Parameters
        ----------
        bars : Mapping of str to ndarray
            Columns of equal length, in time order and following what came before; ``time`` int64
            ns, the others float64. Columns that no feature reads may be left out.

        Raises
        ------
        ConfigError
            If a column of the first update is not there, or one that it had not is.
        """
        # A lone column of a frame may be strided, and numpy's loops for strided data need not
        # round like those for contiguous data: without this the chunk size would show.
        known: dict[str, npt.NDArray[Any]] = {
            name: sealed(np.ascontiguousarray(bars[name])) for name in self.columns if name in bars
        }
        self._see(frozenset(known))
        rows = _length(known or bars)
        self._shared.chunk += 1
        found: dict[str, Array] = {}
        fill = dict.__setitem__
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for name, inputs, function, roll in self._live:
                for need in inputs:
                    fill(inputs, need, known[need])
                roll.begin(inputs)
                found[name] = sealed(_values(name, function(inputs, roll), rows))
                known.setdefault(name, found[name])  # a column of bars stays what it is
        nothing = np.full(rows, np.nan)
        return {one.name: found.get(one.name, nothing) for one in self.features}

    def _see(self, present: frozenset[str]) -> None:
        """Settle what can be computed from the columns that are there."""
        if present == self._present:
            return
        if self._present is not None:
            other = sorted(present ^ self._present)
            raise ConfigError(
                f"the bars do not have the columns of those before: {', '.join(other)}",
                remedy="give each chunk the same columns",
            )
        self._present = present
        absent = {
            name: f"the bars have no column {name!r} ({COLUMNS[name].meaning})"
            for name in self.columns
            if name not in present
        }
        for node in self._nodes:
            if (why := missing(node, absent)) is not None:
                absent[node.name] = why
        self.reasons = {one.name: absent[one.name] for one in self.features if one.name in absent}
        self._live = [
            (
                node.name,
                Inputs(dict.fromkeys(node.inputs, np.empty(0))),
                partial(node.function, **node.params),
                roll,
            )
            for node, roll in zip(self._nodes, self._rolling, strict=True)
            if node.name not in absent
        ]

    def __getstate__(self) -> dict[str, Any]:
        return {
            "names": [one.name for one in self.features],
            "definitions": _digest(self._nodes),
            "present": self._present,
            "rolling": self._rolling,
            "shared": self._shared,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        FeatureStream.__init__(self, state["names"])
        if state["definitions"] != _digest(self._nodes):
            raise ConfigError(
                "the saved state is of features that were defined otherwise",
                remedy="begin a new stream, and feed it the bars of its warm-up",
            )
        self._rolling, self._shared = state["rolling"], state["shared"]
        if state["present"] is not None:
            self._see(state["present"])


def _length(bars: Bars) -> int:
    """Return the number of rows of columns, which is one."""
    lengths = {name: len(values) for name, values in bars.items()}
    if len(set(lengths.values())) != 1:
        raise ConfigError("columns of bars differ in length", value=lengths, expected="one length")
    return next(iter(lengths.values()))


def _values(name: str, value: Any, rows: int) -> Array:
    """Return what a feature gave, NaN for what is not finite."""
    array = np.asarray(value, dtype=np.float64)
    if array.shape != (rows,):
        raise ConfigError(
            f"feature {name!r} gave values of shape {array.shape}", expected=f"one a bar: ({rows},)"
        )
    if rows == 1:  # one bar of a stream: quicker
        return array if math.isfinite(array[0]) else np.full(1, np.nan)
    return np.where(np.isfinite(array), array, np.nan)


def definitions(names: Iterable[str]) -> str:
    """Return a hash of how registered features are defined; other names count by themselves."""
    known, other = [], []
    for name in sorted(set(map(str, names))):
        try:
            known.append(get(name).name)
        except ConfigError:
            other.append(name)
    return hashlib.sha256(repr((_digest(plan(known)[0]), other)).encode()).hexdigest()


def _digest(nodes: Iterable[Derived]) -> str:
    """Hash of what is computed: names, inputs, parameters and code."""
    content = hashlib.sha256()
    for node in nodes:
        params = {name: getattr(x, "__name__", x) for name, x in node.params.items()}
        code = _content(node.function.__code__)
        content.update(repr((node.name, node.inputs, params, code)).encode())
    return content.hexdigest()


def _content(x: Any) -> str:
    """Return what code says: its bytes alone are the same for `x + 1` and `x + 2`."""
    if isinstance(x, CodeType):
        return repr((x.co_code, x.co_names, [_content(one) for one in x.co_consts]))
    return repr(sorted(map(repr, x)) if isinstance(x, frozenset) else x)


def columns_of(frame: pd.DataFrame, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Return columns of a bar frame as arrays, its index as ``time`` (int64 ns).

    Parameters
    ----------
    frame : DataFrame
    names : iterable of str, optional
        Those that are wanted, if they are there; default all.
    """
    wanted = frame.columns if names is None else [name for name in names if name in frame.columns]
    columns: dict[str, Any] = {
        str(name): frame[name].to_numpy(dtype=np.float64) for name in wanted if name != "time"
    }
    columns["time"] = to_ns(frame.index)
    return columns


def compute(bars: pd.DataFrame, names: Iterable[str] | None = None) -> pd.DataFrame:
    """Compute features of a whole frame of bars.

    Parameters
    ----------
    bars : DataFrame
        As `mrtrade.features.bars` makes it.
    names : iterable of str, optional
        Features, see `mrtrade.features.get`; default: all that are registered.

    Returns
    -------
    DataFrame
        One float64 column a feature, on the index of `bars`. NaN: no value (warm-up, empty book,
        nothing traded); never infinite. Where the bars lack a column that a feature is made of it
        is NaN throughout, and ``.attrs["reasons"]`` says why, by name.

    Raises
    ------
    DataError
        If times fall: windows would reach into the future.
    """
    stream = FeatureStream(FEATURES if names is None else names)
    columns = columns_of(bars, stream.columns)
    if len(back := np.flatnonzero(np.diff(columns["time"]) < 0)):
        raise DataError("bars are not in order of time", row=int(back[0]) + 1, remedy="sort them")
    frame = pd.DataFrame(stream.update(columns), index=bars.index)
    frame.attrs["reasons"] = stream.reasons
    return frame

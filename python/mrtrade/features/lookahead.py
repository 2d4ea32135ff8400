"""The look-ahead detector: a feature may know at t what can be known at t, and no more.

Each feature, registered or a plain function of bars, is computed again with another future, and
what it says of the bars before must not change:

- *truncate*: the bars after t are not there.
- *scramble*: the bars after t are other bars; *blank*: they are empty.
- *received*: on a made-up recording whose events arrive late, all that arrives after t is other
  events, later - those that had happened before t among them.
- *stream*: bar by bar and in chunks of any size, as live, it says what it says of the whole. (A
  function of a frame is called live with the bars so far: that is *truncate*, at many bars.)

Registered features are compared bit by bit, functions of your own to 1e-12 of the value. What a
function brings along is not changed: one that reads a table of its own, or keeps what it was given
before, can know a future that no test here takes away.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mrtrade.clock import NS_PER_MS, to_ns
from mrtrade.data.tape import Tape
from mrtrade.errors import ConfigError, MrTradeError
from mrtrade.features.columns import COLUMNS
from mrtrade.features.compute import FeatureStream, columns_of
from mrtrade.features.example import example_bars
from mrtrade.features.recording import Recording, make_recording
from mrtrade.features.registry import get
from mrtrade.features.rolling import Array
from mrtrade.features.users import located

#: Of the bars made up: fewest, and most for a feature with a long warm-up.
ROWS, MOST_ROWS = 1200, 20_000

#: Bars at which the future is changed, besides the first ones: of bars, and of the recording.
CUTS, FEW_CUTS = 16, 6

#: Bars fed one by one, of registered features the first and of functions the last.
SINGLES = 400

#: The recording: its seconds, and the length of its bars.
RECORDED_S, RECORDED_BAR_NS = 60.0, 100 * NS_PER_MS

#: Window of a registered feature on the recording, where its own is longer.
RECORDED_WINDOW = 50

TOLERANCE = 1e-12

TESTS = ("truncate", "scramble", "blank", "received", "stream")

Function = Callable[..., Any]


@dataclass(frozen=True)
class Leak:
    """The first row that differs.

    Attributes
    ----------
    test : str
        ``truncate``, ``scramble``, ``blank``, ``received`` or ``stream``.
    row : int
    time : Timestamp
        End of the bar.
    with_future, without : float
        What the feature says of it when the bars after it are known, and when they are not (of
        `stream`: of the whole at once, and in chunks).
    ahead : int or None
        How far it looked: with so many bars more it says what it says with all. None: `stream`.
    note : str
        The error that it raised in place of a value, if it did.
    """

    test: str
    row: int
    time: pd.Timestamp
    with_future: float
    without: float
    ahead: int | None
    note: str = ""

    def __str__(self) -> str:
        bars = "1 bar" if self.ahead == 1 else f"{self.ahead} bars"
        looked = "" if self.ahead is None else f"; it looked {bars} ahead"
        said = "with the future", "without it"
        if self.test == "stream":
            said = "at once", "in chunks"
        note = f" ({self.note})" if self.note else ""
        return (
            f"{self.test}: row {self.row} ({self.time:%Y-%m-%d %H:%M:%S.%f}) is "
            f"{self.with_future:.12g} {said[0]} and {self.without:.12g} {said[1]}{note}{looked}"
        )


@dataclass(frozen=True)
class Verdict:
    """What became of one feature.

    Attributes
    ----------
    name : str
    passed : tuple of str
        The tests that it passed.
    leaks : tuple of Leak
        One for each test that it did not pass.
    skipped : Mapping
        Why a test could not be made, by test.
    """

    name: str
    passed: tuple[str, ...] = ()
    leaks: tuple[Leak, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether no test found a leak."""
        return not self.leaks


def check(
    features: Iterable[str | Function], bars: pd.DataFrame | None = None, *, seed: int = 0
) -> list[Verdict]:
    """Look for look-ahead.

    Parameters
    ----------
    features : iterable of str or callable
        Names of registered features; functions ``f(bars)`` of a frame of bars that return a value
        a bar; or ``f(bars, tape)``, which read the events of a recording too (these are held
        against *received* alone).
    bars : DataFrame, optional
        Bars to try them on. Default: bars made up, in which every column is alive; columns of
        your own (`mrtrade.features.column`) are noise.
    seed : int
        Of what is made up.

    Returns
    -------
    list of Verdict

    Raises
    ------
    ConfigError
        If a function fails on the bars as they are, or does not return a value a bar; names file
        and line.
    """
    return [_check(_Subject.of(one), bars, seed) for one in features]


class _Subject(NamedTuple):
    """What is looked at: a registered feature by name, or a function."""

    name: str
    function: Function | None
    reads_tape: bool = False

    @classmethod
    def of(cls, given: str | Function) -> _Subject:
        if isinstance(given, str):
            return cls(get(given).name, None)
        needed = [
            one
            for one in inspect.signature(given).parameters.values()
            if one.default is one.empty
            and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        ]
        return cls(getattr(given, "__name__", repr(given)), given, len(needed) > 1)

    @property
    def own(self) -> bool:
        return self.function is not None

    @property
    def tolerance(self) -> float:
        return TOLERANCE if self.own else 0.0

    def values(self, bars: pd.DataFrame, tape: Tape | None = None) -> Array:
        if self.function is None:
            stream = FeatureStream([self.name])
            values = stream.update(columns_of(bars, stream.columns))[self.name]
            if self.name in stream.reasons:
                raise _NoValueError(stream.reasons[self.name])
            return values
        given = (bars.copy(), tape) if self.reads_tape else (bars.copy(),)
        with np.errstate(all="ignore"):
            out = self.function(*given)
        ordered = not isinstance(out, pd.Series) or out.index.equals(bars.index)
        values = np.asarray(out, dtype=np.float64)
        if values.shape != (len(bars),) or not ordered:
            raise ConfigError(
                f"{self.name} does not return a value a bar",
                value=f"{type(out).__name__} of shape {values.shape}",
                expected=f"a Series on the index of the bars, or an array of {len(bars)}",
            )
        return values

    def read(self, bars: pd.DataFrame) -> pd.DataFrame:
        """Return the columns that it reads, as far as that is known."""
        if self.own:
            return bars
        return bars[[name for name in FeatureStream([self.name]).columns if name in bars]]

    def on_recording(self) -> _Subject:
        """Return it with a window that a short recording fills."""
        if self.function is not None:
            return self
        one = get(self.name)
        if one.window is None or one.window <= RECORDED_WINDOW:
            return self
        return _Subject(get(f"{one.stem}_{max(RECORDED_WINDOW, one.shortest)}").name, None)


class _NoValueError(Exception):
    """There is nothing to look at, for a reason."""


_Given = tuple[pd.DataFrame, Tape | None]


class _World(NamedTuple):
    """Bars, what a feature says of them, and the same with another future after a row."""

    subject: _Subject
    times: pd.Index[Any]
    whole: Array
    altered: Callable[[int], _Given]


def _check(subject: _Subject, given: pd.DataFrame | None, seed: int) -> Verdict:
    passed: list[str] = []
    leaks: list[Leak] = []
    skipped: dict[str, str] = {}
    tests: dict[str, Callable[[], Leak | None]] = {
        "received": lambda: _received(subject.on_recording(), seed)
    }
    if not subject.reads_tape:
        bars = subject.read(_bars(subject, seed) if given is None else given)
        try:
            whole = _whole(subject, bars)
        except _NoValueError as why:
            return Verdict(subject.name, skipped={"all": str(why)})

        def compare(name: str) -> Leak | None:
            def altered(t: int) -> _Given:
                return _CHANGES[name](bars, t), None

            world = _World(subject, bars.index, whole, altered)
            return _first(name, world, _cuts(whole, CUTS, name == "truncate" and subject.own))

        tests = {**{name: partial(compare, name) for name in _CHANGES}, **tests}
        if not subject.own:
            tests["stream"] = lambda: _stream(subject, bars, whole, seed)
    for name, test in tests.items():
        try:
            leak = test()
        except _NoValueError as why:
            skipped[name] = str(why)
            continue
        if leak is None:
            passed.append(name)
        else:
            leaks.append(leak)
    return Verdict(subject.name, tuple(passed), tuple(leaks), skipped)


def _bars(subject: _Subject, seed: int) -> pd.DataFrame:
    rows = ROWS if subject.function else min(MOST_ROWS, max(ROWS, get(subject.name).warmup + 600))
    return _example(rows, tuple(COLUMNS), seed).copy()


@lru_cache(maxsize=8)
def _example(rows: int, columns: tuple[str, ...], seed: int) -> pd.DataFrame:
    bars = example_bars(rows, seed)
    rng = np.random.default_rng(seed)
    own = {name: rng.normal(size=rows) for name in columns if name not in bars and name != "time"}
    return bars.assign(**own)


def _whole(subject: _Subject, bars: pd.DataFrame, tape: Tape | None = None) -> Array:
    try:
        whole = subject.values(bars, tape)
    except (MrTradeError, _NoValueError):
        raise
    except Exception as error:
        raise located(error, f"{subject.name} fails on bars") from error
    if not np.isfinite(whole).any():
        raise _NoValueError(f"no value on {len(bars)} bars")
    return whole


# ---- another future


def _truncate(bars: pd.DataFrame, t: int) -> pd.DataFrame:
    return bars.iloc[: t + 1]


def _scramble(bars: pd.DataFrame, t: int) -> pd.DataFrame:
    """Later rows change places, and their values size; not sign, which functions may count on."""
    rng = np.random.default_rng(t)
    after = rng.permutation(bars.to_numpy(np.float64)[t + 1 :])
    return _with_future(bars, t, after * rng.lognormal(0.0, 1.0, after.shape))


def _blank(bars: pd.DataFrame, t: int) -> pd.DataFrame:
    return _with_future(bars, t, np.nan)


def _with_future(bars: pd.DataFrame, t: int, after: Any) -> pd.DataFrame:
    out = bars.to_numpy(np.float64, copy=True)
    out[t + 1 :] = after
    return pd.DataFrame(out, index=bars.index, columns=bars.columns)


_CHANGES = {"truncate": _truncate, "scramble": _scramble, "blank": _blank}


@lru_cache(maxsize=2)
def _recording(seed: int) -> tuple[Recording, pd.DataFrame]:
    recording = make_recording(RECORDED_S, seed)
    return recording, recording.bars(RECORDED_BAR_NS)


@lru_cache(maxsize=64)
def _recorded_after(seed: int, time_ns: int) -> _Given:
    changed = _recording(seed)[0].after(time_ns, seed)
    return changed.bars(RECORDED_BAR_NS), changed.tape


def _received(subject: _Subject, seed: int) -> Leak | None:
    recording, bars = _recording(seed)
    try:
        whole = _whole(subject, bars, recording.tape)
    except ConfigError as error:
        if subject.reads_tape:
            raise
        raise _NoValueError(f"on the recording it fails: {error}") from None
    ends = to_ns(bars.index)

    def altered(t: int) -> _Given:
        return _recorded_after(seed, int(ends[t]))

    world = _World(subject, bars.index, whole, altered)
    return _first("received", world, _cuts(whole, FEW_CUTS))


# ---- the first row that differs


def _cuts(whole: Array, count: int, dense: bool = False) -> list[int]:
    """Rows to change the future after: the first, those about the first value, and some of all."""
    rows = len(whole)
    first = int(np.flatnonzero(np.isfinite(whole))[0])
    some = np.linspace(first, rows - 2, count).astype(np.int64).tolist()
    near = [0, 1, 2, 5, first - 1, first, first + 1, first + 2, rows - 2]
    last = range(rows - SINGLES, rows) if dense else ()
    return sorted({t for t in (*some, *near, *last) if 0 <= t < rows - 1})


def _first(name: str, world: _World, cuts: list[int]) -> Leak | None:
    """Return the leak that shows first, None if none does."""
    subject, times, whole, _ = world
    clean = -1
    for t in cuts:
        if _row(world, t) is None:
            clean = t
            continue
        while t - clean > 1:  # a cut between the two may show an earlier row
            middle = (t + clean) // 2
            if _row(world, middle) is None:
                clean = middle
            else:
                t = middle
        row = _row(world, t)
        assert row is not None
        short, enough = t - row, len(whole) - 1 - row
        while enough - short > 1:  # with the whole future it does say the same
            middle = (short + enough) // 2
            values, _ = _said(world, row + middle)
            at = slice(row, row + 1)
            if _differs(whole[at], values[at], subject.tolerance) is None:
                enough = middle
            else:
                short = middle
        values, note = _said(world, t)
        return Leak(name, row, times[row], float(whole[row]), float(values[row]), enough, note)
    return None


def _said(world: _World, t: int) -> tuple[Array, str]:
    """Return what is said of the rows up to t with another future; and the error, if any."""
    bars, tape = world.altered(t)
    try:
        return world.subject.values(bars, tape)[: t + 1], ""
    except Exception as error:  # without its future it fails: it has no value
        return np.full(t + 1, np.nan), f"{type(error).__name__}: {error}"


def _row(world: _World, t: int) -> int | None:
    """Return the first row up to t that differs with another future after t."""
    return _differs(world.whole[: t + 1], _said(world, t)[0], world.subject.tolerance)


def _differs(a: Array, b: Array, tolerance: float) -> int | None:
    """Return the first row at which the two differ, None if none does."""
    if tolerance:
        size = np.nanmax(np.abs(a), initial=0.0)
        close = np.abs(a - b) <= tolerance * np.maximum(size, np.maximum(np.abs(a), np.abs(b)))
        same = close | (np.isnan(a) & np.isnan(b)) | (a == b)
    else:
        same = a.view(np.int64) == b.view(np.int64)
    rows = np.flatnonzero(~same)
    return int(rows[0]) if len(rows) else None


def _stream(subject: _Subject, bars: pd.DataFrame, whole: Array, seed: int) -> Leak | None:
    """Bar by bar, and in chunks with some bars one by one."""
    rows = len(bars)
    some = np.random.default_rng(seed).integers(0, rows, CUTS).tolist()
    mixed = {*range(20), *some, *range(rows // 2, rows // 2 + 20), rows}
    stream = FeatureStream([subject.name])
    columns = columns_of(bars, stream.columns)
    for edges in (range(min(rows, SINGLES) + 1), sorted(mixed)):
        stream, note = FeatureStream([subject.name]), ""
        values = np.full(edges[-1], np.nan)
        for a, b in pairwise(edges):
            chunk = {name: column[a:b] for name, column in columns.items()}
            try:
                values[a:b] = stream.update(chunk)[subject.name]
            except Exception as error:
                note = f"{type(error).__name__}: {error}"
                break
        row = _differs(whole[: len(values)], values, subject.tolerance)
        if row is not None:
            said = float(whole[row]), float(values[row])
            return Leak("stream", row, bars.index[row], *said, None, note)
    return None

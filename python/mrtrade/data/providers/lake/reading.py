"""Days become one stream of rows: in order, cut to the span, and with every hole said."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mrtrade.clock import NS_PER_DAY, from_ns, to_ns
from mrtrade.data.checks import Checks
from mrtrade.data.merge import merge_sorted
from mrtrade.data.providers.lake.objects import EVENT_TABLES, LakeDay
from mrtrade.data.quality.findings import Finding
from mrtrade.data.streams import MAX_GAP_NS
from mrtrade.errors import DataError, SourceError

OnGap = Literal["error", "report"]

Reason = Literal["missing", "corrupt", "quiet", "pause"]

OpenDay = Callable[[LakeDay, Checks], Iterator[pa.Table]]
"""Gives the checked rows of a day, by received_time; raises DataError where they cannot be read."""

_WITHOUT_PAUSE = frozenset({"book_delta_v2", "book"})
"""Tables in which ten minutes without a row mean that nothing was recorded."""


@dataclass(frozen=True)
class LakeGap:
    """A span of which there are no rows, and why.

    Parameters
    ----------
    table, exchange, symbol : str
        In Crypto Lake's spelling.
    start_ns, end_ns : int
        ``start_ns <= received_time < end_ns``.
    reason : "missing", "corrupt", "quiet" or "pause"
        The bucket has no object of the day; it cannot be read; it has none, but the table is one of
        rare events, so that nothing may have happened; more than ten minutes without a row.
    text : str
        One clause.
    """

    table: str
    exchange: str
    symbol: str
    start_ns: int
    end_ns: int
    reason: Reason
    text: str

    def __str__(self) -> str:
        span = f"{from_ns(self.start_ns):%Y-%m-%d %H:%M:%S}, {hours(self.end_ns - self.start_ns)}"
        return f"{self.table} {self.exchange} {self.symbol} {span}: {self.text}"


def hours(ns: int) -> str:
    """Return a length of time as ``h:mm:ss``."""
    seconds = ns // 1_000_000_000
    return f"{seconds // 3_600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


class LakeStream(Iterator[pa.Table]):
    """The rows of a span, a table of about a quarter of a million at a time.

    Parameters
    ----------
    days : list of LakeDay
        In order.
    span : (int, int)
        ``start <= received_time < end``, nanoseconds.
    open_day : callable
    on_gap : "error" or "report"
        Whether a day that is missing or corrupt is an error, or an entry of `gaps`.

    Attributes
    ----------
    gaps : list of LakeGap
        Of what was read so far.
    findings : list of Finding
        What else there is to be said of it.

    Raises
    ------
    SourceError
        At once, if days are missing and that is an error.
    """

    def __init__(
        self, days: list[LakeDay], span: tuple[int, int], open_day: OpenDay, on_gap: OnGap
    ) -> None:
        if on_gap not in ("error", "report"):
            raise ValueError(f"on_gap must be 'error' or 'report', was {on_gap!r}")
        self.gaps: list[LakeGap] = []
        self.findings: list[Finding] = []
        self._span, self._open_day, self._on_gap = span, open_day, on_gap
        wanted = [day for day in days if self._clipped(day)]
        missing = [day for day in wanted if not day.objects and day.table not in EVENT_TABLES]
        if missing and on_gap == "error":
            raise _missing(missing, len(wanted))
        self._tables = self._cut(_joined(self._day(day) for day in days))

    def __next__(self) -> pa.Table:
        return next(self._tables)

    def _clipped(self, day: LakeDay) -> tuple[int, int] | None:
        """Return the part of the span that lies on a day."""
        low = max(to_ns(day.day), self._span[0])
        high = min(to_ns(day.day) + NS_PER_DAY, self._span[1])
        return (low, high) if low < high else None

    def _gap(self, day: LakeDay, reason: Reason, text: str, low: int, high: int) -> None:
        low, high = max(low, self._span[0]), min(high, self._span[1])
        if high - low > (MAX_GAP_NS if reason == "pause" else 0):
            where = (day.table, day.exchange, day.symbol)
            self.gaps.append(LakeGap(*where, low, high, reason, text))

    def _day(self, day: LakeDay) -> Iterator[pa.Table]:
        first = to_ns(day.day)
        end = first + NS_PER_DAY
        if not day.objects and day.table in EVENT_TABLES:
            text = "no object of this day: nothing happened, or it is missing"
            self._gap(day, "quiet", text, first, end)
            return
        if not day.objects:
            self._gap(day, "missing", "no object of this day", first, end)
            return
        known = first - 1  # up to when there are rows
        checks = Checks()
        try:
            for rows in self._open_day(day, checks):
                if len(rows):
                    received = rows["received_time"].to_numpy()
                    self._pauses(day, received, known)
                    known = int(received[-1])
                    yield rows
            self._pauses(day, np.array([end]), known)
        except DataError as error:
            if self._on_gap == "error":
                raise
            self._gap(day, "corrupt", error.what, known + 1, end)
        finally:
            self.findings += checks.findings

    def _pauses(self, day: LakeDay, received: npt.NDArray[np.int64], known: int) -> None:
        if day.table not in _WITHOUT_PAUSE:
            return
        steps = np.diff(received, prepend=known)
        for at in np.flatnonzero(steps > MAX_GAP_NS).tolist():
            high = int(received[at])
            self._gap(day, "pause", "no rows", high - int(steps[at]) + 1, high)

    def _cut(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        low, high = self._span
        for rows in tables:
            received = rows["received_time"].to_numpy()
            a, b = np.searchsorted(received, [low, high])
            if b > a:
                yield rows.slice(a, b - a)
            if received[-1] >= high:
                return


def _joined(days: Iterable[Iterator[pa.Table]]) -> Iterator[pa.Table]:
    """Yield the rows of days that follow each other, in order although they may overlap a little.

    Collectors cut days by one clock or the other, so rows of one evening lie in the next day's
    file. The last table of each day is held back and merged with the next day's.
    """
    held: pa.Table | None = None
    given = 0
    for day in days:
        stream = day if held is None else merge_sorted([iter([held]), day])
        held = None
        for rows in stream:
            first = rows["received_time"][0].as_py()
            if first < given:
                raise DataError(
                    "two days overlap by more than the rows of one table",
                    key="received_time",
                    value=first,
                    expected=f"{given} or later, as the day before ends",
                    remedy="read the two days one at a time",
                )
            if held is not None:
                given = held["received_time"][-1].as_py()
                yield held
            held = rows
    if held is not None:
        yield held


def _missing(days: list[LakeDay], of: int) -> SourceError:
    named = ", ".join(day.day for day in days[:5]) + (", ..." if len(days) > 5 else "")
    one = days[0]
    return SourceError(
        f"Crypto Lake has no {one.table} of {one.exchange} {one.symbol} on {len(days)} of the {of} "
        "days",
        value=named,
        expected="an object for each day",
        remedy="choose another span, or take what there is (on_gap='report') and see the gaps; a "
        "day appears about a day late",
    )

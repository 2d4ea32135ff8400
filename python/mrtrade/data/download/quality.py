"""What a day in the store is worth: read back from there, so that it is of what can be read."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mrtrade.clock import NS_PER_DAY, to_ns
from mrtrade.data.store import Store
from mrtrade.data.streams import MAX_GAP_NS

Span = tuple[int, int]
"""First and last nanosecond of a silence: the rows on its two sides."""


@dataclass(frozen=True)
class Quality:
    """What one day of a table holds.

    Parameters
    ----------
    rows : int
    first_ns, last_ns : int
        `received_time` of the first and the last row.
    largest_gap : tuple of int
        The longest silence between two rows of the day.
    gaps : tuple of tuple of int
        Silences of more than ten minutes between two rows of the day.
    snapshots : int
        Whole books within the stream of deltas: moments whose rows have no exchange time, in a
        feed that else gives one.
    """

    rows: int
    first_ns: int
    last_ns: int
    largest_gap: Span
    gaps: tuple[Span, ...]
    snapshots: int


def measure(store: Store, table: str, exchange: str, symbol: str, day: str) -> Quality | None:
    """Read the times of a stored day; None if the store has no row of it."""
    low = to_ns(day)
    is_deltas = table == "book_delta_v2"
    columns = ["received_time", "origin_time"] if is_deltas else ["received_time"]
    rows, first, last = 0, 0, 0
    widest = (0, 0)
    gaps: list[Span] = []
    untimed: set[int] = set()
    timed = False
    if day not in store.days(table, exchange, symbol):
        return None
    for chunk in store.batches(table, exchange, symbol, low, low + NS_PER_DAY, columns):
        times = chunk.rows["received_time"].to_numpy()
        before = last if rows else int(times[0])
        steps = np.diff(times, prepend=before)
        at = int(steps.argmax())
        if steps[at] > widest[1] - widest[0]:
            widest = _span(times, steps, at)
        gaps += [_span(times, steps, int(one)) for one in np.flatnonzero(steps > MAX_GAP_NS)]
        if is_deltas:
            given = chunk.rows["origin_time"].to_numpy() > 0
            timed = timed or bool(given.any())
            untimed.update(np.unique(times[~given]).tolist())
        first = first or before
        last = int(times[-1])
        rows += len(times)
    if not rows:
        return None
    return Quality(rows, first, last, widest, tuple(gaps), len(untimed) if timed else 0)


def silences(days: Iterable[Quality], start_ns: int, end_ns: int) -> list[Span]:
    """Return the silences of more than ten minutes in a span, across its days.

    Parameters
    ----------
    days : iterable of Quality
        Of the days that are there, in order.
    start_ns, end_ns : int
        The span that was asked for.
    """
    found: list[Span] = []
    last = start_ns
    for day in days:
        if day.first_ns - last > MAX_GAP_NS:
            found.append((last, day.first_ns))
        found += day.gaps
        last = day.last_ns
    if end_ns - last > MAX_GAP_NS:
        found.append((last, end_ns))
    return found


def _span(times: np.ndarray, steps: np.ndarray, at: int) -> Span:
    return int(times[at] - steps[at]), int(times[at])

"""What the two clocks of a stream say: order, gaps, delays, and when rows came."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND, to_ns, utc_day
from mrtrade.data.quality.findings import Finding, Severity
from mrtrade.data.quality.rules import (
    APART_NS,
    HOLE_NS,
    HOLE_TIMES,
    MAX_GAP_NS,
    MAX_SKEW_NS,
    Series,
    share_text,
    span_text,
)

Ints = npt.NDArray[np.int64]

_SECONDS = 86_400
_MOST_SAMPLES = 1 << 20
_MINUTE = 60 * NS_PER_SECOND
_FEW = 100  # times that say nothing by all being multiples of 256

GAP_SEVERITY: Mapping[str, Severity] = {
    "book_delta_v2": "error",
    "book": "error",
    "level_1": "error",
    "book_snapshots": "error",
    "trades": "warning",
    "funding": "warning",
    "open_interest": "warning",
}
"""Tables whose rows should keep coming -> what a gap in them is."""


class Gap(NamedTuple):
    """A pause between two rows, nanoseconds of `received_time`."""

    start_ns: int
    end_ns: int

    @property
    def length_ns(self) -> int:
        return self.end_ns - self.start_ns


class _Sample:
    """Every n-th of a stream of numbers, evenly, so that there are never more than a million."""

    def __init__(self) -> None:
        self._parts: list[Ints] = []
        self._step = 1
        self._skip = 0
        self._held = 0

    def add(self, values: Ints) -> None:
        part = values[self._skip :: self._step].copy()
        self._skip = (self._skip - len(values)) % self._step
        self._parts.append(part)
        self._held += len(part)
        if self._held > _MOST_SAMPLES:
            # The next to be taken stays the next but, now and then, by one old step.
            self._parts = [self.values[::2]]
            self._held = len(self._parts[0])
            self._step *= 2

    @property
    def values(self) -> Ints:
        return np.concatenate(self._parts) if self._parts else np.empty(0, np.int64)


class Times:
    """The times of a stream of rows, or of messages, in the order in which it is stored.

    Parameters
    ----------
    series : Series
    unit : str
        What is counted: "rows" or "messages".

    Attributes
    ----------
    gaps : list of Gap
        Pauses above ten minutes, and at most a day.
    apart : list of Gap
        Longer ones.
    seconds : dict
        UTC day -> rows in each of its seconds.
    """

    def __init__(self, series: Series, unit: str = "rows") -> None:
        self.series = series
        self.unit = unit
        self.count = self.first = self.last = 0
        self.gaps: list[Gap] = []
        self.apart: list[Gap] = []
        self.longest = Gap(0, 0)
        self.falls = 0
        self.seconds: dict[str, npt.NDArray[np.int64]] = {}
        self._fall_at = 0
        self._fall_back = 0
        self._newest_origin = 0
        self._origin_falls = self._origin_back = self._origin_missing = self._negative = 0
        # Different times, those of them that are multiples of 256, and those below a microsecond.
        self._digits = {clock: np.zeros(3, np.int64) for clock in ("received_time", "origin_time")}
        self._least: int | None = None
        self._pauses, self._delays = _Sample(), _Sample()
        self._minutes: list[tuple[Ints, Ints]] = []

    def feed(self, received: Ints, origin: Ints | None = None, rows: Ints | None = None) -> None:
        """Take the next times.

        Parameters
        ----------
        received, origin : ndarray of int64
            Nanoseconds; origin <= 0 where the exchange gave no time.
        rows : ndarray of int64, optional
            How many rows each stands for; one, if not given.
        """
        if not len(received):
            return
        if not self.count:
            self.first = self.last = int(received[0])
        pauses = np.diff(received, prepend=self.last)
        back = np.flatnonzero(pauses < 0)
        if back.size:
            self._fall_at = self._fall_at or int(received[back[0]])
            self.falls += int(back.size)
            self._fall_back = max(self._fall_back, int(-pauses[back].min()))
        within = np.where(pauses <= APART_NS, pauses, 0)
        longest = int(within.argmax())
        if within[longest] > self.longest.length_ns:
            self.longest = self._gap(received, longest)
        for at in np.flatnonzero(pauses > MAX_GAP_NS).tolist():
            gap = self._gap(received, at)
            (self.apart if gap.length_ns > APART_NS else self.gaps).append(gap)
        self._pauses.add(pauses[1:] if not self.count else pauses)
        self.count += len(received)
        self.last = int(received[-1])
        self._add_coarse("received_time", received)
        self._add_seconds(received, rows)
        if origin is not None:
            self._add_origin(received, origin)

    def _gap(self, received: Ints, at: int) -> Gap:
        return Gap(int(received[at - 1]) if at else self.last, int(received[at]))

    def _add_seconds(self, received: Ints, rows: Ints | None) -> None:
        seconds = received // NS_PER_SECOND
        low, high = int(seconds.min()), int(seconds.max())
        for day in range(low // _SECONDS, high // _SECONDS + 1):
            here: Any = slice(None)
            if low // _SECONDS != high // _SECONDS:
                here = seconds // _SECONDS == day
            within = seconds[here] - day * _SECONDS
            if not len(within):
                continue
            least = int(within.min())
            weights = None if rows is None else rows[here]
            counted = np.bincount(within - least, weights).astype(np.int64)
            held = self.seconds.setdefault(utc_day(day * NS_PER_DAY), np.zeros(_SECONDS, np.int64))
            held[least : least + len(counted)] += counted

    def _add_origin(self, received: Ints, origin: Ints) -> None:
        known = origin > 0
        if not known.all():
            self._origin_missing += int(np.count_nonzero(~known))
            received, origin = received[known], origin[known]
            if not len(origin):
                return
        newest = np.maximum.accumulate(np.append(self._newest_origin, origin))
        behind = newest[:-1] - origin
        self._origin_falls += int(np.count_nonzero(behind > 0))
        self._origin_back = max(self._origin_back, int(behind.max()))
        self._newest_origin = int(newest[-1])
        self._add_coarse("origin_time", origin)
        delays = received - origin
        self._negative += int(np.count_nonzero(delays < 0))
        least = int(delays.min())
        self._least = least if self._least is None else min(self._least, least)
        self._delays.add(delays)
        minutes = received // _MINUTE
        starts = np.flatnonzero(np.diff(minutes, prepend=minutes[0] - 1))
        self._minutes.append((minutes[starts], np.minimum.reduceat(delays, starts)))

    def _add_coarse(self, clock: str, times: Ints) -> None:
        times = times[np.flatnonzero(np.diff(times, prepend=times[0] - 1))]
        counts = (len(times), np.count_nonzero(times % 256 == 0), np.count_nonzero(times % 1000))
        self._digits[clock] += np.array(counts)

    # ---- what comes out

    @property
    def days(self) -> list[str]:
        """UTC days that hold rows, in order."""
        return sorted(self.seconds)

    @property
    def covered_ns(self) -> int:
        """Time between the first and the last row, without gaps."""
        return self.last - self.first - sum(gap.length_ns for gap in [*self.gaps, *self.apart])

    def coverage(self) -> dict[str, float]:
        """Return the share of each UTC day between rows at most ten minutes apart."""
        cuts = [*sorted(gap for gap in [*self.gaps, *self.apart])]
        starts = [self.first, *(gap.end_ns for gap in cuts)]
        ends = [*(gap.start_ns for gap in cuts), self.last]
        shares = {}
        for day in self.days:
            low = to_ns(day)
            parts = (
                max(0, min(end, low + NS_PER_DAY) - max(start, low))
                for start, end in zip(starts, ends, strict=True)
            )
            shares[day] = sum(parts) / NS_PER_DAY
        return shares

    def delays(self) -> dict[str, float] | None:
        """Return delays in milliseconds, and the drift of the least of them; None without any.

        Returns
        -------
        dict or None
            ``min, median, p95``, ms; ``negative``, a share; ``drift``, ms an hour (NaN for spans
            below an hour, and for more than one recording).
        """
        if self._least is None:
            return None
        middle, high = np.percentile(self._delays.values, [50, 95])
        known = self.count - self._origin_missing
        return {
            "min": self._least / 1e6,
            "median": float(middle) / 1e6,
            "p95": float(high) / 1e6,
            "negative": self._negative / known,
            "drift": self._drift(),
        }

    def _drift(self) -> float:
        minutes = np.concatenate([part[0] for part in self._minutes])
        least = np.concatenate([part[1] for part in self._minutes])
        hours = (minutes - minutes[0]) / 60.0
        if hours[-1] - hours[0] < 1.0 or self.apart:
            return float("nan")
        # Delays have a floor and no ceiling: the least of each minute says where the clocks are.
        return float(np.polyfit(hours, least / 1e6, 1)[0])

    def findings(self) -> Iterator[Finding]:
        """Yield what there is to say."""
        one, unit = self.series.finding, self.unit
        span = (self.first, self.last)
        if self.falls:
            yield one(
                *("received_order", "error", self._fall_at, self.last, self.falls),
                f"{self.falls:,} {unit} were received before the one ahead of them, by up to "
                f"{span_text(self._fall_back)}",
            )
        yield from self._gap_findings()
        if self.count and self.series.table in GAP_SEVERITY:
            shares = self.coverage()
            least = min(shares, key=lambda day: shares[day])
            yield one(
                *("coverage", "info", *span, len(shares)),
                f"{share_text(float(np.mean(list(shares.values()))))} of {len(shares)} days, "
                f"least {share_text(shares[least])} on {least}",
            )
        yield from self._skew_findings()
        if self._origin_falls:
            yield one(
                *("origin_order", "info", *span, self._origin_falls),
                f"{self._origin_falls:,} of {self.count:,} {unit} are out of the order of the "
                f"exchange's clock, by up to {span_text(self._origin_back)}",
            )
        if self._origin_missing:
            yield one(
                *("origin_missing", "info", *span, self._origin_missing),
                f"{self._origin_missing:,} of {self.count:,} {unit} have no time of the exchange",
            )
        for clock, digits in self._digits.items():
            different, coarse, fine = digits.tolist()
            # Whole milliseconds are multiples of 256 too, every fourth of them, and no artefact.
            if coarse == different >= _FEW and 2 * fine > different:
                yield one(
                    *("float_time", "warning", *span, different),
                    f"every {clock} is a multiple of 256 ns: it went through a float64",
                )

    def _gap_findings(self) -> Iterator[Finding]:
        one, table = self.series.finding, self.series.table
        severity = GAP_SEVERITY.get(table)
        if self.gaps and severity:
            longest = max(self.gaps, key=lambda gap: gap.length_ns)
            yield one(
                *("gap", severity, self.gaps[0].start_ns, self.gaps[-1].end_ns, len(self.gaps)),
                f"{len(self.gaps)} pauses above 10 min, the longest {span_text(longest.length_ns)}",
            )
        if self.apart and severity:
            days = {b: a for a, b in pairwise(self.days)}
            missing = sum(
                (to_ns(day) - to_ns(before)) // NS_PER_DAY - 1 for day, before in days.items()
            )
            if missing:
                yield one(
                    *("missing_days", "warning", self.first, self.last, missing),
                    f"{missing} days without rows between {self.days[0]} and {self.days[-1]}",
                )
        if severity == "error" and not self.gaps:
            usual = float(np.percentile(self._pauses.values, 99)) if self.count > _FEW else np.inf
            length = self.longest.length_ns
            if HOLE_NS <= length <= MAX_GAP_NS and length > HOLE_TIMES * usual:
                yield one(
                    *("hole", "warning", *self.longest, 1),
                    f"a pause of {span_text(length)}; 99 % are below {span_text(usual)}",
                )

    def _skew_findings(self) -> Iterator[Finding]:
        delays = self.delays()
        if delays is None or self.series.table == "book_seed":
            return
        if delays["min"] == delays["median"] == delays["p95"] == 0.0:
            yield self.series.finding(
                *("clock_skew", "info", self.first, self.last, self.count),
                "received_time is origin_time: the source has one clock",
            )
            return
        text = (
            f"received - origin: least {delays['min']:,.1f} ms, median {delays['median']:,.1f}, "
            f"95 % {delays['p95']:,.1f}"
        )
        if delays["negative"]:
            text += f"; {share_text(delays['negative'])} negative"
        if not np.isnan(delays["drift"]):
            text += f"; drift {delays['drift']:+.2f} ms/h"
        severity: Severity = "info"
        if abs(delays["median"]) * 1e6 > MAX_SKEW_NS and self.count >= _FEW:
            severity = "warning"
        yield self.series.finding("clock_skew", severity, self.first, self.last, self.count, text)

    def summary(self) -> dict[str, Any]:
        """Return the numbers, for a report."""
        return {
            "first_ns": self.first,
            "last_ns": self.last,
            "days": self.days,
            "coverage": self.coverage(),
            "covered_ns": self.covered_ns,
            "longest_pause_ns": self.longest.length_ns,
            "longest_pause_at": self.longest.start_ns,
            "gaps": [list(gap) for gap in self.gaps],
            "delay_ms": self.delays(),
        }

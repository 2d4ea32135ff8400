"""What a download did, and whether what is there now is whole."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from mrtrade.clock import to_ns, utc_day
from mrtrade.data.download.plan import DownloadPlan
from mrtrade.data.download.quality import Quality, silences
from mrtrade.data.providers.lake import EVENT_TABLES

MAX_SHARE = 0.01
"""Share of the time, and of the rows, that may be lacking in what is called complete."""

Status = Literal["written", "corrected", "held", "missing", "pending", "failed", "left"]


@dataclass(frozen=True)
class DayReport:
    """What became of one UTC day of one table.

    Parameters
    ----------
    table, day : str
    status : str
        ``written``; ``corrected``: written anew, since the bucket has another version of it;
        ``held``: the store had it; ``missing``: the bucket does not have it; ``pending``: not yet;
        ``failed``: see `reason`; ``left``: not come to, since the download stopped.
    size : int
        Bytes of its objects.
    quality : Quality or None
        None: nothing of it is in the store.
    quarantined : int
        Rows set aside.
    notes : tuple of str
        What else was found.
    reason : str
        Why it failed.
    """

    table: str
    day: str
    status: Status
    size: int = 0
    quality: Quality | None = None
    quarantined: int = 0
    notes: tuple[str, ...] = ()
    reason: str = ""


class Gap(NamedTuple):
    """A silence of more than ten minutes in what is stored, and the days in it that failed."""

    table: str
    start_ns: int
    end_ns: int
    missing: int
    failed: int


@dataclass
class DownloadReport:
    """What a download did.

    Parameters
    ----------
    plan : DownloadPlan
    days : dict
        (table, day) -> `DayReport`, in the order of the plan.
    stopped : str
        Why it ended before its end; empty if it did not.
    seconds : float
        What it took.
    """

    plan: DownloadPlan
    days: dict[tuple[str, str], DayReport] = field(default_factory=dict)
    stopped: str = ""
    seconds: float = 0.0

    def of(self, table: str, *status: Status) -> list[DayReport]:
        """Return the days of a table, in order; those of some status if given."""
        return [
            day
            for day in self.days.values()
            if day.table == table and (not status or day.status in status)
        ]

    @property
    def failed(self) -> list[DayReport]:
        """Days that could not be fetched, or not be read."""
        return [day for day in self.days.values() if day.status == "failed"]

    @property
    def rows(self) -> int:
        """Rows of the days that were written."""
        return sum(
            day.quality.rows
            for day in self.days.values()
            if day.quality and day.status in ("written", "corrected")
        )

    def gaps(self, table: str) -> list[Gap]:
        """Return where a table lacks more than ten minutes; of tables of events, nowhere."""
        return list(self._gaps(table))

    def _gaps(self, table: str) -> Iterator[Gap]:
        if table in EVENT_TABLES:
            return
        days = self.of(table)
        there = [day.quality for day in days if day.quality]
        for start, end in silences(there, self.plan.start_ns, self._published(table)):
            inside = [d for d in days if start <= to_ns(d.day) < end and not d.quality]
            missing = sum(day.status == "missing" for day in inside)
            failed = sum(day.status == "failed" for day in inside)
            yield Gap(table, start, end, missing, failed)

    def gap_share(self, table: str) -> float:
        """Return the share of the span that a table lacks, 0 to 1."""
        span = self._published(table) - self.plan.start_ns
        lost = sum(gap.end_ns - gap.start_ns for gap in self.gaps(table))
        return lost / span if span else 0.0

    def bad_share(self, table: str) -> float:
        """Return the share of a table's rows that were set aside, 0 to 1."""
        bad = sum(day.quarantined for day in self.of(table))
        good = sum(day.quality.rows for day in self.of(table) if day.quality)
        return bad / (bad + good) if bad else 0.0

    @property
    def is_complete(self) -> bool:
        """Whether nothing failed and every table has 99 % of its time and of its rows."""
        return (
            not self.stopped
            and not self.failed
            and all(
                max(self.gap_share(table), self.bad_share(table)) < MAX_SHARE
                for table in self.plan.tables
            )
        )

    def _published(self, table: str) -> int:
        """Return the end of what could be there: days that are yet to come are no gap."""
        pending = [to_ns(day.day) for day in self.of(table, "pending")]
        days = [to_ns(day.day) for day in self.of(table) if day.status != "pending"]
        if pending and (not days or min(pending) > max(days)):
            return min(pending)
        return self.plan.end_ns

    def __str__(self) -> str:
        counts = {
            status: sum(day.status == status for day in self.days.values())
            for status in ("written", "corrected", "held", "missing", "pending", "failed", "left")
        }
        told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        return (
            f"{self.plan.exchange} {self.plan.symbol} {utc_day(self.plan.start_ns)} to "
            f"{utc_day(self.plan.end_ns - 1)}: {told}; {self.rows:,} rows"
        )

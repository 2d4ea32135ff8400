"""The download itself: fetched by several threads, written by one, a day at a time."""

import errno
import queue
import random
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic, sleep

from mrtrade.clock import NS_PER_DAY, to_ns
from mrtrade.data.download.plan import DownloadPlan, PlannedDay, receipt_path, version_of
from mrtrade.data.download.quality import measure
from mrtrade.data.download.receipts import Receipt, write_receipt
from mrtrade.data.download.report import DayReport, DownloadReport, Status
from mrtrade.data.ingest import IngestReport, ingest_files
from mrtrade.data.providers.lake import CryptoLakeProvider, LakeDay, LakeFile
from mrtrade.data.store import Source, Store
from mrtrade.errors import BusyError, DataError, MrTradeError, SourceError, StoreError

LONGEST_WAIT_S = 600.0
"""How long another process may write to the store before a day counts as failed."""

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

_LAKE_NAME = re.compile(r"([^/]+)/exchange=([^/]+)/symbol=([^/]+)/dt=([^/]+)/[^/]+")
_REFUSED = re.compile(r"refused \S+ of ")


@dataclass(frozen=True)
class State:
    """How far a download is.

    Parameters
    ----------
    fetched, settled, size : int
        Bytes that came, from the network or the cache; of the days that are settled; of all days.
    done, days : int
        Days of tables that are settled, and all that were to do.
    doing : str
        What is being written; empty while nothing is.
    finished : DayReport or None
        The day that has just been settled.
    """

    fetched: int
    settled: int
    size: int
    done: int
    days: int
    doing: str = ""
    finished: DayReport | None = None


Progress = Callable[[State], None]
"""Called from several threads, but never by two at a time."""


class _Stopped(BaseException):
    """Ends a fetch; of the kind that nothing on the way catches to try again."""


class Download:
    """A download that is planned and can be run, once.

    Parameters
    ----------
    plan : DownloadPlan
    store : Store
    provider : CryptoLakeProvider
    jobs : int
        Days fetched at a time.
    keep_cache : bool
        Whether the objects stay in the cache when their rows are in the store.
    progress : callable, optional

    Attributes
    ----------
    report : DownloadReport
        What has been done so far; whole also when `run` was interrupted.
    """

    def __init__(
        self,
        plan: DownloadPlan,
        store: Store,
        provider: CryptoLakeProvider,
        *,
        jobs: int,
        keep_cache: bool,
        progress: Progress | None = None,
    ) -> None:
        self.plan = plan
        self.report = DownloadReport(plan)
        self._store, self._provider = store, provider
        self._jobs, self._keep_cache = jobs, keep_cache
        self._progress = progress or _silent
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._fetched = self._settled = self._done = 0
        self._size = sum(day.size for day in plan.todo)
        self._doing = ""
        for day in plan.days:
            self.report.days[day.key] = _untouched(day)

    def run(self) -> DownloadReport:
        """Fetch and write all that is to be.

        A day that cannot be had, or not be read, is reported, and the others go on; only where
        no day could go better (the disk is full, store or source are gone) the rest is left.

        Raises
        ------
        KeyboardInterrupt
            The store holds whole days only; `report` says which.
        """
        began = monotonic()
        try:
            for day, outcome in self._arrivals():
                self._settle(day, outcome)
                if self.report.stopped:
                    break
        except KeyboardInterrupt:
            self.report.stopped = "interrupted"
            raise
        finally:
            self._stop.set()
            self.report.seconds = monotonic() - began
        return self.report

    def _arrivals(self) -> Iterator[tuple[PlannedDay, list[LakeFile] | BaseException]]:
        """Yield days in the order of the plan, as soon as they have come.

        In that order, since where files share a moment it is that of their rows in the store.
        """
        todo = iter(self.plan.todo)
        arrived: queue.SimpleQueue[tuple[PlannedDay, list[LakeFile] | BaseException]]
        arrived = queue.SimpleQueue()
        room = threading.Semaphore(self.plan.in_flight)

        def fetch() -> None:
            while room.acquire() and not self._stop.is_set():
                with self._lock:
                    day = next(todo, None)
                if day is None:
                    return
                try:
                    arrived.put((day, self._provider.fetch(day.lake, self._came)))
                except BaseException as error:
                    arrived.put((day, error))

        # Daemons: who interrupts a download does not wait for a server that does not answer. The
        # part of an object that they leave is gone on with by the next run.
        for _ in range(self._jobs):
            threading.Thread(target=fetch, daemon=True).start()
        try:
            early: dict[tuple[str, str], list[LakeFile] | BaseException] = {}
            for day in self.plan.todo:
                while day.key not in early:
                    other, outcome = arrived.get()
                    early[other.key] = outcome
                yield day, early.pop(day.key)
                room.release()
        finally:
            self._stop.set()
            room.release(self._jobs)

    def _came(self, size: int) -> None:
        if self._stop.is_set():
            raise _Stopped
        with self._lock:
            self._fetched += size
            self._tell()

    def _settle(self, day: PlannedDay, outcome: list[LakeFile] | BaseException) -> None:
        self._say(f"{day.lake.table} {day.lake.day}")
        if isinstance(outcome, list):
            try:
                self.report.days[day.key] = self._write(day, outcome)
            except (MrTradeError, OSError) as error:
                self._fail(day, error)
        elif isinstance(outcome, MrTradeError | OSError):
            self._fail(day, outcome)
        else:
            raise outcome
        with self._lock:
            self._done += 1
            self._settled += day.size
            self._doing = ""
            self._tell(self.report.days[day.key])

    def _write(self, planned: PlannedDay, files: list[LakeFile]) -> DayReport:
        day = planned.lake
        before = self._sources(day)
        names = {file.name for file in files}
        others = self._merged_with(day, files) if names & {one.name for one in before} else []
        seeds, notes = self._seeds(day)
        # In the order in which they would have come at first.
        together = sorted([*files, *others], key=lambda file: (file.table, file.order))
        done = self._ingest([*seeds, *together])
        sources = [one for one in self._sources(day) if one.name in names]
        status: Status = "held"
        if done.written or done.removed:
            replaced = {one.name for one in before} & {
                one.name for one in sources if one not in before
            }
            status = "corrected" if replaced else "written"
        quality = measure(self._store, day.table, day.exchange, day.symbol, day.day)
        receipt = Receipt(
            version_of(day), tuple(sources), quality, done.quarantined, notes + _notes(done, names)
        )
        if {one.name for one in sources} == names:
            write_receipt(receipt_path(self._provider, day), receipt)
        if not self._keep_cache:
            self._provider.forget(day)
        return _reported(planned, status, receipt)

    def _seeds(self, day: LakeDay) -> tuple[list[LakeFile], tuple[str, ...]]:
        """Return the snapshots with which a day of deltas begins, and what is to be said of them.

        Days come in order: what the store holds of the day before is what the book is carried on
        from.
        """
        if day.table != "book_delta_v2" or "book" not in self.plan.tables:
            return [], ()
        low = to_ns(day.day)
        before = self._store.entries(day.table, day.exchange, day.symbol, low - NS_PER_DAY, low)
        known_until = min(before[-1].last_received, low - 1) if before else None
        try:
            seed = self._provider.seed(day, known_until)
        except (SourceError, DataError) as error:  # of `book`: the deltas are whole all the same
            return [], (f"no seed: {error}",)
        return ([], ()) if seed is None else ([seed], ("seeded from book",))

    def _ingest(self, files: list[LakeFile]) -> IngestReport:
        deadline = monotonic() + LONGEST_WAIT_S
        while True:
            try:
                return ingest_files(files, self._store, on_bad="quarantine")
            except BusyError:
                if monotonic() > deadline:
                    raise
                sleep(random.uniform(0.05, 0.15))  # two downloads do not keep in step

    def _sources(self, day: LakeDay) -> list[Source]:
        """Return what the store holds around a day, as its ledger has it."""
        low = to_ns(day.day)
        entries = self._store.entries(
            day.table, day.exchange, day.symbol, low - NS_PER_DAY, low + 2 * NS_PER_DAY
        )
        return list(dict.fromkeys(source for entry in entries for source in entry.sources))

    def _merged_with(self, day: LakeDay, files: list[LakeFile]) -> list[LakeFile]:
        """Return the files that share partitions with a corrected day's, from the cache if there.

        A file may hold rows of the next day; that partition is made anew from all of its files.
        """
        names = {file.name for file in files}
        shared: set[tuple[str, ...]] = set()
        low = to_ns(day.day)
        for table in (day.table, "quarantine"):
            for entry in self._store.entries(
                table, day.exchange, day.symbol, low - NS_PER_DAY, low + 2 * NS_PER_DAY
            ):
                of_entry = {_REFUSED.sub("", source.name) for source in entry.sources}
                if of_entry & names:
                    places = (_LAKE_NAME.fullmatch(name) for name in of_entry - names)
                    shared |= {place.groups() for place in places if place}
        found: list[LakeFile] = []
        for other_table, exchange, symbol, other_day in sorted(shared):
            start = to_ns(other_day)
            for one in self._provider.plan(
                other_table, exchange, symbol, start, start + NS_PER_DAY
            ):
                found += [
                    file for file in self._provider.fetch(one, _unwatched) if file.name not in names
                ]
        return found

    def _fail(self, day: PlannedDay, error: Exception) -> None:
        lake = day.lake
        failed = DayReport(lake.table, lake.day, "failed", day.size, reason=str(error))
        self.report.days[day.key] = failed
        if _is_disk_full(error):
            self.report.stopped = f"the disk is full: {error}"
        elif isinstance(error, StoreError | SourceError):
            # Is it this day that is at fault, or could none go better?
            try:
                if isinstance(error, StoreError):
                    self._sources(lake)
                else:
                    low = to_ns(lake.day)
                    self._provider.plan(
                        lake.table, lake.exchange, lake.symbol, low, low + NS_PER_DAY
                    )
            except (StoreError, SourceError) as gone:
                self.report.stopped = str(gone)

    def _say(self, doing: str) -> None:
        with self._lock:
            self._doing = doing
            self._tell()

    def _tell(self, finished: DayReport | None = None) -> None:
        self._progress(
            State(
                self._fetched,
                self._settled,
                self._size,
                self._done,
                len(self.plan.todo),
                self._doing,
                finished,
            )
        )


def _untouched(day: PlannedDay) -> DayReport:
    if day.receipt is not None and day.state == "held":
        return _reported(day, "held", day.receipt)
    status: Status = "left" if day.state == "fetch" else day.state
    return DayReport(day.lake.table, day.lake.day, status, day.size)


def _reported(day: PlannedDay, status: Status, receipt: Receipt) -> DayReport:
    return DayReport(
        day.lake.table,
        day.lake.day,
        status,
        day.size,
        receipt.quality,
        receipt.quarantined,
        receipt.notes,
    )


def _notes(done: IngestReport, names: set[str]) -> tuple[str, ...]:
    return tuple(
        finding.text
        for name, findings in done.findings.items()
        if name in names
        for finding in findings
        if finding.severity != "info"
    )


def _is_disk_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in _DISK_FULL:
            return True
        if getattr(error, "sqlstate", None) == "53100":  # disk_full of PostgreSQL
            return True
        error = error.__cause__ or error.__context__
    return False


def _silent(_: State) -> None:
    pass


def _unwatched(_: int) -> None:
    pass

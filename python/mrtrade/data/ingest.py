"""From a folder of files into a store: all of it, or nothing and one clear error.

Three steps: every new file is checked to its last row; then it is settled which partitions
change; only then is anything written, a partition at a time. An ingest that was interrupted is
resumed by running it again: partitions already written hold their sources and are passed over.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
import pyarrow as pa

from mrtrade.clock import NS_PER_DAY, to_ns, utc_day
from mrtrade.data.providers.lake_folder import LakeFile, discover, inspect, read
from mrtrade.data.store import Entry, Source, Store
from mrtrade.errors import StoreError
from mrtrade.instruments import from_lake

Progress = Callable[[str, int, int], None]
"""Called with what is being done, files done and files in all."""


@dataclass
class IngestReport:
    """What an ingest did.

    Parameters
    ----------
    written : list of Entry
        Partitions written, or written anew.
    removed : list of str
        Partitions whose only source no longer has rows of that day.
    unchanged : int
        Files that the store held already.
    files : int
        Files found.
    skipped : list of str
        Folders of tables that mrtrade does not know.
    unknown_columns : dict
        Table -> columns that it does not have, and that were left out.
    """

    written: list[Entry] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: int = 0
    files: int = 0
    skipped: list[str] = field(default_factory=list)
    unknown_columns: dict[str, list[str]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows in the partitions written."""
        return sum(entry.rows for entry in self.written)

    def __str__(self) -> str:
        text = (
            f"{self.files} files: {self.unchanged} unchanged; "
            f"{len(self.written)} partitions written, {self.rows:,} rows"
        )
        if self.removed:
            text += f"; removed: {', '.join(self.removed)}"
        if self.skipped:
            text += f"; unknown tables skipped: {', '.join(self.skipped)}"
        for table, columns in self.unknown_columns.items():
            text += f"; unknown columns of {table} left out: {', '.join(columns)}"
        return text


@dataclass(frozen=True)
class _Change:
    """One partition to be written: from which files, and whether on top of what is stored."""

    series: tuple[str, str, str]
    day: str
    files: list[tuple[LakeFile, Source]]
    keep: bool


def ingest(
    path: str | PathLike[str], store: Store, progress: Progress | None = None
) -> IngestReport:
    """Bring a local folder in Crypto Lake's layout into a store.

    The same file again changes nothing; a file of the same name with other content replaces what
    came from it; files of one day are merged by the rule of `mrtrade.data.merge`.

    Parameters
    ----------
    path : path
        A Crypto Lake folder, or any folder within one.
    store : Store
    progress : callable, optional

    Returns
    -------
    IngestReport

    Raises
    ------
    DataError
        At the first fault of any file; the store is as it was.
    StoreError
        If a file was corrected and its partition also holds rows of files that are not in the
        folder, so that it cannot be made anew, or if another process is writing; the store is as it
        was.
    """
    tell = progress or _silent
    files, skipped = discover(Path(path))
    report = IngestReport(files=len(files), skipped=skipped)
    unknown: dict[str, set[str]] = defaultdict(set)
    for file in files:  # cheap, so first: a wrong column in the last file shows at once
        parquet, checker = inspect(file)
        parquet.close()
        unknown[file.table].update(checker.unknown)
    report.unknown_columns = {table: sorted(names) for table, names in unknown.items() if names}

    by_series: dict[tuple[str, str, str], list[LakeFile]] = defaultdict(list)
    for file in files:
        by_series[file.table, file.exchange, from_lake(file.symbol)].append(file)
    with store.writing():  # from the plan on: another writer would change what it rests on
        _bring_in(by_series, store, report, tell)
    return report


def _bring_in(
    by_series: dict[tuple[str, str, str], list[LakeFile]],
    store: Store,
    report: IngestReport,
    tell: Progress,
) -> None:
    changes: list[_Change] = []
    done = 0
    for series, members in by_series.items():
        stored = {entry.day: entry for entry in store.entries(*series)}
        sources = []
        for file in members:
            tell("checking", done, report.files)
            source, is_new = _source(file, stored)
            sources.append((file, source))
            report.unchanged += not is_new
            done += 1
        changes += _plan(series, sources, stored)

    for at, change in enumerate(changes):
        tell("writing", at, len(changes))
        if change.files or change.keep:
            streams = [(source, _rows_of(file, change.day)) for file, source in change.files]
            entry = store.write_day(*change.series, change.day, streams, keep=change.keep)
            report.written.append(entry)
        else:
            store.remove_day(*change.series, change.day)
            report.removed.append(" ".join((*change.series, change.day)))
    tell("done", len(changes), len(changes))


def _silent(what: str, done: int, total: int) -> None:
    pass


def _source(file: LakeFile, stored: dict[str, Entry]) -> tuple[Source, bool]:
    """Return what is known of a file, and whether the store lacks any of it.

    A file that the store lacks is read and checked to its end.
    """
    with file.path.open("rb") as raw:
        digest = hashlib.file_digest(raw, "sha256").hexdigest()
    size = file.path.stat().st_size
    held = [source for entry in stored.values() for source in entry.sources]
    for source in held:
        if (source.name, source.size, source.sha256) == (file.name, size, digest):
            everywhere = all(day in stored and source in stored[day].sources for day in source.days)
            if everywhere:
                return source, False
    days: set[int] = set()
    for rows in read(file):
        days.update(np.unique(rows["received_time"].to_numpy() // NS_PER_DAY).tolist())
    spelled = tuple(utc_day(day * NS_PER_DAY) for day in sorted(days))
    return Source(file.name, size, digest, spelled), True


def _plan(
    series: tuple[str, str, str],
    sources: list[tuple[LakeFile, Source]],
    stored: dict[str, Entry],
) -> Iterator[_Change]:
    """Yield the partitions of a series whose sources are not what they should be."""
    names = {source.name for _, source in sources}
    touched = {day for _, source in sources for day in source.days}
    touched |= {
        day for day, entry in stored.items() if names & {source.name for source in entry.sources}
    }
    for day in sorted(touched):
        wanted = [(file, source) for file, source in sources if day in source.days]
        held = stored[day].sources if day in stored else ()
        foreign = [source for source in held if source.name not in names]
        new = [(file, source) for file, source in wanted if source not in held]
        stale = [
            source
            for source in held
            if source.name in names and all(source != one for _, one in wanted)
        ]
        if not new and not stale:
            continue
        if foreign and stale:
            raise StoreError(
                f"{stale[0].name} was corrected, but its rows of {day} are merged with those of "
                f"{foreign[0].name}, which is not in this folder",
                remedy="ingest a folder that holds both, or delete the partition first",
            )
        yield _Change(series, day, new if foreign else wanted, keep=bool(foreign))


def _rows_of(file: LakeFile, day: str) -> Iterator[pa.Table]:
    low = to_ns(day)
    for rows in read(file):
        times = rows["received_time"].to_numpy()
        a, b = np.searchsorted(times, [low, low + NS_PER_DAY])
        if b > a:
            yield rows.slice(a, b - a)
        if times[-1] >= low + NS_PER_DAY:
            return

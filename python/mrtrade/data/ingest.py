"""From files into a store: all of them, or nothing and one clear error.

Three steps: every new file is checked to its last row; then it is settled which partitions
change; only then is anything written, a partition at a time. An ingest that was interrupted is
resumed by running it again: partitions already written hold their sources and are passed over.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from mrtrade.clock import NS_PER_DAY, to_ns, utc_day
from mrtrade.data.checks import Checks
from mrtrade.data.providers.files import SourceFile, discover
from mrtrade.data.providers.lake_folder import LakeFile
from mrtrade.data.quality.findings import Finding
from mrtrade.data.schemas import TABLES
from mrtrade.data.store import Entry, Series, Source, Store
from mrtrade.errors import DataError, StoreError
from mrtrade.instruments import from_lake

Progress = Callable[[str, int, int], None]
"""Called with what is being done, files done and files in all."""

OnBad = Literal["error", "quarantine"]


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
        What was passed over: folders of tables that mrtrade does not know, and files of none of
        its formats.
    unknown_columns : dict
        Table -> columns that it does not have, and that were left out.
    findings : dict
        Name of a new file -> what was found in it.
    quarantined : int
        Rows of new files that were put into the table `quarantine`.
    """

    written: list[Entry] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: int = 0
    files: int = 0
    skipped: list[str] = field(default_factory=list)
    unknown_columns: dict[str, list[str]] = field(default_factory=dict)
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    quarantined: int = 0

    @property
    def rows(self) -> int:
        """Rows in the partitions written, without those put into quarantine."""
        return sum(entry.rows for entry in self.written if entry.table != "quarantine")

    def __str__(self) -> str:
        text = (
            f"{self.files} files: {self.unchanged} unchanged; "
            f"{len(self.written)} partitions written, {self.rows:,} rows"
        )
        if self.quarantined:
            text += f"; {self.quarantined:,} rows put into quarantine"
        if self.removed:
            text += f"; removed: {', '.join(self.removed)}"
        if self.skipped:
            text += f"; skipped: {', '.join(self.skipped)}"
        for table, columns in self.unknown_columns.items():
            text += f"; unknown columns of {table} left out: {', '.join(columns)}"
        return text


@dataclass(frozen=True)
class _Derived:
    """A file that is read by rules of its own."""

    file: SourceFile

    @property
    def path(self) -> Path:
        return self.file.path

    @property
    def table(self) -> str:
        return self.file.table

    @property
    def exchange(self) -> str:
        return self.file.exchange

    @property
    def symbol(self) -> str:
        return self.file.symbol

    @property
    def name(self) -> str:
        return self.file.name


class _Accepted(_Derived):
    """A file that the store holds: what was refused of it then is refused again, silently."""

    def read(self, checks: Checks) -> Iterator[pa.Table]:
        yield from self.file.read(Checks("quarantine"))


class _Refused(_Derived):
    """The rows of a file that were refused, as a file of the table `quarantine`."""

    @property
    def table(self) -> str:
        return "quarantine"

    @property
    def name(self) -> str:
        return f"refused {self.file.table} of {self.file.name}"

    def read(self, checks: Checks) -> Iterator[pa.Table]:
        own = Checks("quarantine")
        for _ in self.file.read(own):
            pass
        yield from _in_order(own.quarantined)


@dataclass(frozen=True)
class _Change:
    """One partition to be written: from which files, and whether on top of what is stored."""

    series: Series
    day: str
    files: list[tuple[SourceFile, Source]]
    keep: bool


def ingest(
    path: str | PathLike[str],
    store: Store,
    progress: Progress | None = None,
    *,
    on_bad: OnBad = "error",
    **hints: Any,
) -> IngestReport:
    """Bring a file, or a folder of files, of any format that mrtrade knows into a store.

    The same file again changes nothing; a file of the same name with other content replaces what
    came from it; files of one day are merged by the rule of `mrtrade.data.merge`.

    Parameters
    ----------
    path : path
        E.g. a Crypto Lake folder, or any folder within one.
    store : Store
    progress : callable, optional
    on_bad : "error" or "quarantine"
        Whether the first fault is raised, or faulty rows go to the table `quarantine`, each with
        its reason, and the others are stored.
    **hints
        What files do not say of themselves; see `mrtrade.data.providers.files.discover`.

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
    files, skipped = discover(Path(path), **hints)
    report = ingest_files(files, store, progress, on_bad=on_bad)
    report.skipped = skipped
    return report


def ingest_files(
    files: Iterable[SourceFile],
    store: Store,
    progress: Progress | None = None,
    *,
    on_bad: OnBad = "error",
) -> IngestReport:
    """Bring files of any door into a store; `ingest` says how, and what it raises."""
    files = list(files)
    report = IngestReport(files=len({file.path for file in files}))
    report.unknown_columns = _unknown_columns(files)
    by_series: dict[Series, list[SourceFile]] = defaultdict(list)
    for file in files:
        by_series[_series(file)].append(file)
    for members in by_series.values():
        _check_names(members)
    refused = {_series(_Refused(file)) for file in files}
    # From the plan on: another writer would change what it rests on.
    with store.writing([*by_series, *refused]):
        changes = _check(by_series, store, report, progress or _silent, on_bad)
        _write(changes, store, report, progress or _silent, on_bad)
    return report


def _unknown_columns(files: Iterable[SourceFile]) -> dict[str, list[str]]:
    """Return columns left out; cheap, so first: a wrong one in the last file shows at once."""
    unknown: dict[str, set[str]] = defaultdict(set)
    for file in files:
        if isinstance(file, LakeFile):
            parquet, checker = file.inspect(Checks("error"))
            parquet.close()
            unknown[file.table].update(checker.unknown)
    return {table: sorted(names) for table, names in unknown.items() if names}


def _check_names(files: Sequence[SourceFile]) -> None:
    by_name = {file.name: file for file in files}
    for file in files:
        if by_name[file.name] is not file:
            raise DataError(
                "two files of one name would replace each other",
                file=file.path,
                value=str(by_name[file.name].path),
                expected="one file of a name",
                remedy="remove one of them",
            )


def _check(
    by_series: dict[Series, list[SourceFile]],
    store: Store,
    report: IngestReport,
    tell: Progress,
    on_bad: OnBad,
) -> list[_Change]:
    """Read every new file to its end; return what is to be written."""
    changes: list[_Change] = []
    digests: dict[Path, tuple[int, str]] = {}
    stored = {series: _stored(store, series) for series in by_series}
    refused: dict[Series, list[tuple[SourceFile, Source]]] = defaultdict(list)
    changed: set[Path] = set()
    done = 0
    total = sum(map(len, by_series.values()))
    for series, members in by_series.items():
        sources: list[tuple[SourceFile, Source]] = []
        for file in members:
            tell("checking", done, total)
            done += 1
            bad = _Refused(file)
            held_bad = stored.setdefault(_series(bad), _stored(store, _series(bad)))
            if file.path not in digests:
                digests[file.path] = _digest(file.path)
            size, digest = digests[file.path]
            source = _held(file.name, size, digest, stored[series])
            if source is not None:
                sources.append((_Accepted(file), source))
                if (aside := _held(bad.name, size, digest, held_bad)) is not None:
                    refused[_series(bad)].append((bad, aside))
                continue
            checks = Checks(on_bad)
            source = Source(file.name, size, digest, _days(file.read(checks)))
            sources.append((file, source))
            aside = Source(bad.name, size, digest, _days(_in_order(checks.quarantined)))
            refused[_series(bad)].append((bad, aside))
            report.quarantined += sum(map(len, checks.quarantined))
            report.findings.setdefault(file.name, []).extend(checks.findings)
            if source.days or aside.days:  # a recording may announce more series than it has
                changed.add(file.path)
        changes += _plan(series, sources, stored[series])
    report.unchanged = len(digests) - len(changed)
    report.findings = {name: found for name, found in report.findings.items() if found}
    # Refused rows first: an interruption before their file's good rows makes it new once more.
    first = [change for s, sources in refused.items() for change in _plan(s, sources, stored[s])]
    return first + changes


def _write(
    changes: list[_Change], store: Store, report: IngestReport, tell: Progress, on_bad: OnBad
) -> None:
    for at, change in enumerate(changes):
        tell("writing", at, len(changes))
        if change.files or change.keep:
            streams = [
                (source, _rows_of(file.read(Checks(on_bad)), change.day))
                for file, source in change.files
            ]
            entry = store.write_day(*change.series, change.day, streams, keep=change.keep)
            report.written.append(entry)
        else:
            store.remove_day(*change.series, change.day)
            report.removed.append(" ".join((*change.series, change.day)))
    tell("done", len(changes), len(changes))


def _silent(what: str, done: int, total: int) -> None:
    pass


def _series(file: SourceFile) -> Series:
    # As stores have it: one series in two spellings would be planned, and written, twice.
    return file.table, file.exchange.upper(), from_lake(file.symbol)


def _stored(store: Store, series: Series) -> dict[str, Entry]:
    return {entry.day: entry for entry in store.entries(*series)}


def _digest(path: Path) -> tuple[int, str]:
    with path.open("rb") as raw:
        digest = hashlib.file_digest(raw, "sha256").hexdigest()
    return path.stat().st_size, digest


def _held(name: str, size: int, digest: str, stored: dict[str, Entry]) -> Source | None:
    """Return what the store holds of a file, if it holds all of it."""
    for entry in stored.values():
        for source in entry.sources:
            if (source.name, source.size, source.sha256) == (name, size, digest):
                everywhere = (d in stored and source in stored[d].sources for d in source.days)
                if all(everywhere):
                    return source
    return None


def _days(tables: Iterable[pa.Table]) -> tuple[str, ...]:
    days: set[int] = set()
    for rows in tables:
        days.update(np.unique(rows["received_time"].to_numpy() // NS_PER_DAY).tolist())
    return tuple(utc_day(day * NS_PER_DAY) for day in sorted(days))


def _in_order(quarantined: list[pa.Table]) -> Iterator[pa.Table]:
    """Yield refused rows by received_time; those that have none carry that of the row before."""
    if quarantined:
        rows = pa.concat_tables(quarantined).cast(TABLES["quarantine"].schema)
        order = np.argsort(rows["received_time"].to_numpy(), kind="stable")
        yield rows.take(pa.array(order))


def _plan(
    series: Series,
    sources: list[tuple[SourceFile, Source]],
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


def _rows_of(tables: Iterator[pa.Table], day: str) -> Iterator[pa.Table]:
    low = to_ns(day)
    for rows in tables:
        if not len(rows):
            continue
        times = rows["received_time"].to_numpy()
        a, b = np.searchsorted(times, [low, low + NS_PER_DAY])
        if b > a:
            yield rows.slice(a, b - a)
        if times[-1] >= low + NS_PER_DAY:
            return

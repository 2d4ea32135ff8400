"""The copy itself: a symbol and a day at a time, each whole or not at all, each verified.

A window of rows is written as a file of Crypto Lake's layout and ingested like any other: the same
checks, the same ledger. So a copy that was interrupted is resumed by running it again, and the same
twice leaves one copy.
"""

import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND, Scalar, to_ns, utc_day
from mrtrade.data.digest import Digest
from mrtrade.data.ingest import OnBad, ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.questdb.mapping import Mapping
from mrtrade.data.questdb.transports import QueryTimeout, Refused, Span, Transport
from mrtrade.data.schemas import TABLES, Table
from mrtrade.data.store import Entry, Store
from mrtrade.errors import SourceError
from mrtrade.instruments import from_lake

STEP_NS = 3_600 * NS_PER_SECOND
"""Rows asked for at a time; halved while the server takes too long."""

SHORTEST_NS = 60 * NS_PER_SECOND
"""A step that is not halved any more."""

_FILE = "questdb.parquet"

Status = Literal["copied", "unchanged", "equal", "differs"]


@dataclass(frozen=True)
class Window:
    """What became of one symbol and day.

    Parameters
    ----------
    table, exchange, symbol, day : str
        Ours; `day` is the UTC day of `received_time`.
    rows : int
        Counted by the QuestDB.
    stored : int
        Rows of the store's partition.
    first_ns, last_ns : int
        First and last `received_time` by the QuestDB's count.
    sha256 : str
        Of the rows, as read back from the store; empty where they were not read.
    status : str
        ``copied`` now, or ``unchanged`` since; of a verification ``equal`` or ``differs``.
    why : str
        What differs.
    """

    table: str
    exchange: str
    symbol: str
    day: str
    rows: int
    stored: int
    first_ns: int
    last_ns: int
    sha256: str
    status: Status
    why: str = ""


@dataclass
class Migration:
    """What a migration did; `notes` are what a reader should know."""

    windows: list[Window] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether every window is in the store as the QuestDB holds it."""
        return all(window.status != "differs" for window in self.windows)


@dataclass(frozen=True)
class _Copy:
    """One table of a QuestDB, and where it goes."""

    transport: Transport
    store: Store
    exchange: str
    mapping: Mapping
    table: Table
    theirs: str
    there: dict[str, pa.DataType]
    names: dict[str, str]
    on_bad: OnBad

    @property
    def when(self) -> str:
        return self.names["received_time"]

    def span(self, symbol: str, low_ns: int, high_ns: int) -> Span:
        """Return a window of a symbol."""
        is_time = pa.types.is_timestamp(self.there[self.when])
        return Span(self.mapping.symbol, symbol, self.when, low_ns, high_ns, is_time)


def migrate(
    transport: Transport,
    store: Store,
    exchange: str,
    mapping: Mapping | None = None,
    *,
    tables: Collection[str] = (),
    start: Scalar | None = None,
    end: Scalar | None = None,
    verify: bool = False,
    on_bad: OnBad = "error",
    progress: Callable[[Window], None] | None = None,
) -> Migration:
    """Copy what a QuestDB holds into a store, or compare the two.

    Parameters
    ----------
    transport : Transport
    store : Store
    exchange : str
        Of all symbols of the tables, as Crypto Lake spells it.
    mapping : Mapping, optional
    tables : collection of str
        Ours; all that are there for none.
    start, end : time, optional
        Whole UTC days from that of `start` to the one before `end`.
    verify : bool
        Write nothing: read both sides and compare.
    on_bad : "error" or "quarantine"
        As in `mrtrade.data.ingest.ingest`.
    progress : callable, optional
        Called with each window when it is done.

    Returns
    -------
    Migration

    Raises
    ------
    SourceError
        If the QuestDB cannot be asked, a column or value is unknown, or an answer was cut short;
        the windows before it are in the store.
    DataError
        If a row is wrong; nothing of its window is written.
    """
    mapping = mapping or Mapping()
    done = Migration()
    for copy in _copies(transport, store, exchange.upper(), mapping, tables, on_bad):
        if copy.names["received_time"] == copy.names.get("origin_time"):
            done.notes.append(
                f"{copy.theirs} keeps one time, {copy.when}: taken for when rows were received, too"
            )
        unnumbered = "sequence_number" in copy.table.schema.names
        if unnumbered and "sequence_number" not in copy.names:
            done.notes.append(f"{copy.theirs} keeps no sequence number: -1")
        for symbol, day in _windows(copy, start, end):
            window = _window(copy, symbol, day, verify=verify)
            if window is not None:
                done.windows.append(window)
                if progress is not None:
                    progress(window)
    return done


def _copies(
    transport: Transport,
    store: Store,
    exchange: str,
    mapping: Mapping,
    tables: Collection[str],
    on_bad: OnBad,
) -> Iterator[_Copy]:
    wanted = tables or mapping.tables
    found = False
    for name in wanted or TABLES:
        table, theirs = TABLES[name], mapping.tables.get(name, name)
        try:
            there = transport.columns(theirs)
        except Refused:
            if wanted:
                raise
            continue
        found = True
        names = mapping.resolve(table, there)
        yield _Copy(transport, store, exchange, mapping, table, theirs, there, names, on_bad)
    if not found:
        raise SourceError(
            "holds no table of one of our names",
            file=transport.name,
            expected=f"one of {', '.join(TABLES)}",
            remedy="say what they are called: --table trades=THEIRS",
        )


def _windows(copy: _Copy, start: Scalar | None, end: Scalar | None) -> Iterator[tuple[str, int]]:
    """Yield their symbol and the first nanosecond of each day that may hold rows of it."""
    held = copy.transport.symbols(copy.theirs, copy.mapping.symbol, copy.when)
    for symbol, first, last in held:
        if symbol is None:
            raise SourceError(
                f"{copy.theirs} holds rows without a symbol",
                key=copy.mapping.symbol,
                remedy="give them one, or delete them there",
            )
        low = max(to_ns(first), -(2**63) if start is None else to_ns(start))
        high = min(to_ns(last), 2**63 - 1 if end is None else to_ns(end) - 1)
        for day in range(low // NS_PER_DAY, high // NS_PER_DAY + 1):
            yield str(symbol), day * NS_PER_DAY


def _window(copy: _Copy, symbol: str, day_ns: int, *, verify: bool) -> Window | None:
    span = copy.span(symbol, day_ns, day_ns + NS_PER_DAY)
    rows, first, last = copy.transport.facts(copy.theirs, span)
    if not rows:
        return None
    lake_symbol = copy.mapping.lake_symbol(symbol)
    series = (copy.table.name, copy.exchange, from_lake(lake_symbol))
    day = utc_day(day_ns)
    facts = (rows, to_ns(first), to_ns(last))
    if not verify and _is_held(
        _entry(copy.store, series, day), facts, _source(copy, lake_symbol, day)
    ):
        return Window(*series, day, facts[0], facts[0], facts[1], facts[2], "", "unchanged")
    with tempfile.TemporaryDirectory(prefix="mrtrade-questdb-") as folder:
        lake = Path(folder, "lake")
        path = lake / _source(copy, lake_symbol, day)
        path.parent.mkdir(parents=True)
        _fetch(copy, symbol, day_ns, rows, path)
        if not verify:
            ingest(lake, copy.store, on_bad=copy.on_bad)
        checked = ParquetStore(Path(folder, "checked"))
        ingest(lake, checked, on_bad=copy.on_bad)
        expected = _digest(checked, series, day)
    entry = _entry(copy.store, series, day)
    found = "" if entry is None else _digest(copy.store, series, day)
    stored = 0 if entry is None else entry.rows
    if found == expected:
        status: Status = "equal" if verify else "copied"
        return Window(*series, day, facts[0], stored, facts[1], facts[2], found, status)
    others = [] if entry is None else [one.name for one in entry.sources if _FILE not in one.name]
    why = "not stored" if entry is None else "other rows are stored"
    if others:
        why = f"merged with {', '.join(others)}"
    status = "differs" if verify or not others else "copied"
    return Window(*series, day, facts[0], stored, facts[1], facts[2], found, status, why)


def _source(copy: _Copy, lake_symbol: str, day: str) -> str:
    where = f"exchange={copy.exchange}/symbol={lake_symbol}/dt={day}"
    return f"{copy.table.name}/{where}/{_FILE}"


def _is_held(entry: Entry | None, facts: tuple[int, int, int], source: str) -> bool:
    """Whether a window was copied before, by all that can be asked without reading it."""
    if entry is None or [one.name for one in entry.sources] != [source]:
        return False
    return (entry.rows, entry.first_received, entry.last_received) == facts


def _entry(store: Store, series: tuple[str, str, str], day: str) -> Entry | None:
    low = to_ns(day)
    return next(iter(store.entries(*series, low, low + NS_PER_DAY)), None)


def _fetch(copy: _Copy, symbol: str, day_ns: int, expected: int, path: Path) -> None:
    theirs = list(dict.fromkeys(copy.names.values()))
    types = {name: copy.there[name] for name in theirs}
    low, end, step = day_ns, day_ns + NS_PER_DAY, STEP_NS
    writer: pq.ParquetWriter | None = None
    rows = 0
    try:
        while low < end:
            span = copy.span(symbol, low, min(low + step, end))
            try:
                part = copy.transport.rows(copy.theirs, types, span)
            except QueryTimeout:
                if step <= SHORTEST_NS:
                    raise
                step //= 2
                continue
            low += step
            rows += len(part)
            if not len(part):
                continue
            ours = copy.mapping.apply(copy.table, part, copy.names)
            writer = writer or pq.ParquetWriter(path, ours.schema)
            writer.write_table(ours.cast(writer.schema))
    finally:
        if writer is not None:
            writer.close()
    if rows != expected:
        raise SourceError(
            f"{rows:,} rows of {copy.theirs} {symbol} {utc_day(day_ns)} were sent",
            file=copy.transport.name,
            expected=f"{expected:,}, as it counts them",
            remedy="run it again when nobody writes to that day",
        )


def _digest(store: Store, series: tuple[str, str, str], day: str) -> str:
    """Return the fingerprint of a partition, however it is kept."""
    low = to_ns(day)
    digest = Digest(TABLES[series[0]].schema)
    for chunk in store.batches(*series, low, low + NS_PER_DAY):
        digest.add(chunk.rows)
    return digest.sha256().hex()

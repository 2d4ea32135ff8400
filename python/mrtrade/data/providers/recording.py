"""Files that hold several series at once: read once into a temporary folder, then given back.

A recording of a market's messages has deltas, snapshots, quotes and trades in one stream. It is
parsed once, whatever number of series and days are asked of it; rows wait in Arrow files, so that
memory does not depend on the length of the recording.
"""

import mmap
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from operator import index
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mrtrade.clock import NS_PER_SECOND
from mrtrade.data.aggressor import Aggressor, Rule
from mrtrade.data.checks import Checks
from mrtrade.data.parquet.files_local import told
from mrtrade.data.quality.findings import Finding
from mrtrade.data.schemas import SIDES, TABLES
from mrtrade.errors import DataError
from mrtrade.instruments import from_lake

CHUNK_ROWS = 1 << 16
"""Rows that wait in memory, a series."""


class Series(NamedTuple):
    """What a row belongs to; `symbol` in Crypto Lake's spelling."""

    table: str
    exchange: str
    symbol: str


@dataclass(frozen=True)
class Refusal:
    """A line, or row, that could not be read.

    Parameters
    ----------
    row : int
        Counted from 0 in the file.
    what : str
        Why.
    content : str
        The line as it is.
    received : int, optional
        When it was received, where that could be read. Nanoseconds.
    """

    row: int
    what: str
    content: str
    received: int | None = None


class Spill:
    """Rows of one series in a temporary file, which goes with the object.

    Parameters
    ----------
    schema : pyarrow.Schema

    Attributes
    ----------
    rows : int
    steps_back : int
        Rows received before the row before them.
    longest_back : int
        By how much, at most; nanoseconds.
    """

    def __init__(self, schema: pa.Schema) -> None:
        # Has no name: its space is free again however the process ends.
        self._file = tempfile.TemporaryFile(prefix="mrtrade-")
        weakref.finalize(self, self._file.close)
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        # A full disk is no fault of the file that is read, nor its end.
        self._folder = Path(tempfile.gettempdir())
        with told(self._folder):
            sink = pa.PythonFile(self._file, "w")
            self._writer = pa.ipc.new_file(sink, schema, options=options)
        self._spans: list[tuple[int, int]] = []  # first and last time of each batch
        self._last = 0
        self.steps_back = 0
        self.longest_back = 0
        self.rows = 0

    def add(self, rows: pa.Table) -> None:
        """Put rows aside."""
        for batch in rows.combine_chunks().to_batches(max_chunksize=CHUNK_ROWS):
            if len(batch):
                times = batch["received_time"].to_numpy()
                back = np.diff(times, prepend=self._last if self.rows else times[0])
                if (step := int(back.min())) < 0:
                    self.steps_back += int(np.count_nonzero(back < 0))
                    self.longest_back = max(self.longest_back, -step)
                self._last = int(times[-1])
                self.rows += len(batch)
                self._spans.append((int(times.min()), int(times.max())))
                with told(self._folder):
                    self._writer.write_batch(batch)

    @property
    def span(self) -> tuple[int, int]:
        """First and last receive time."""
        firsts, lasts = zip(*self._spans, strict=True)
        return min(firsts), max(lasts)

    def close(self) -> None:
        """End the file; nothing can be added any more."""
        with told(self._folder):
            self._writer.close()
            self._file.flush()

    def read(self) -> Iterator[pa.Table]:
        """Yield the rows by received_time; of equal times, as they came.

        Holds as many batches as overlap in time.
        """
        order = sorted(range(len(self._spans)), key=lambda at: self._spans[at][0])
        open_: dict[int, pa.Table] = {}
        raw = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        with pa.ipc.open_file(pa.py_buffer(raw)) as file:
            for nth, at in enumerate(order):
                open_[at] = _by_time(pa.Table.from_batches([file.get_batch(at)]))
                # Rows of this very moment may have others of it, in a batch to come, before them.
                end = self._spans[order[nth + 1]][0] if nth + 1 < len(order) else None
                ready = []
                for one in sorted(open_):
                    rows = open_[one]
                    cut = len(rows)
                    if end is not None:
                        cut = int(np.searchsorted(rows["received_time"].to_numpy(), end))
                    ready.append(rows.slice(0, cut))
                    open_[one] = rows.slice(cut)
                open_ = {one: rows for one, rows in open_.items() if len(rows)}
                merged = pa.concat_tables(ready)
                if len(merged):
                    yield _by_time(merged)


def _by_time(rows: pa.Table) -> pa.Table:
    times = rows["received_time"].to_numpy()
    if np.all(times[1:] >= times[:-1]):
        return rows
    return rows.take(pa.array(np.argsort(times, kind="stable")))


def whole_number(value: Any) -> int:
    """Return a whole number that a column can hold.

    Raises
    ------
    TypeError, ValueError
        If it is none: what a damaged message says is refused with its line, and not when a column
        of thousands of them is made.
    """
    number = int(index(value))
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{number} is no number of 64 bits")
    return number


def plain_text(value: Any) -> str | None:
    """Return text that a column can hold, or None; `whole_number` tells why.

    Raises
    ------
    TypeError, ValueError
    """
    if value is not None:
        str.encode(value)
    return cast("str | None", value)


_CHECKS: dict[pa.DataType, Callable[[Any], Any]] = {
    pa.int64(): whole_number,
    pa.float64(): float,
    pa.string(): plain_text,
}


class Rows:
    """Rows of one series on their way from a parser into a `Spill`."""

    def __init__(self, table: str) -> None:
        self._schema = TABLES[table].schema
        self._columns: list[list[Any]] = [[] for _ in self._schema]
        self._checks = [_CHECKS.get(field.type, bool) for field in self._schema]
        self.spill = Spill(self._schema)

    def add(self, *values: Any) -> None:
        """Add one row, its values in the order of the table's columns.

        Raises
        ------
        TypeError, ValueError
            If a value is none of its column's; nothing is added then.
        """
        checked = [check(value) for check, value in zip(self._checks, values, strict=True)]
        for column, value in zip(self._columns, checked, strict=True):
            column.append(value)
        if len(self._columns[0]) >= CHUNK_ROWS:
            self.flush()

    def levels(
        self,
        origin: int,
        received: int,
        sequence: int,
        bids: Sequence[Sequence[Any]],
        asks: Sequence[Sequence[Any]],
    ) -> None:
        """Add the levels of one message, each a price and a size, as numbers or text."""
        # All is converted before anything is added: a message is taken whole or not at all.
        origin, received, sequence = map(whole_number, (origin, received, sequence))
        prices = [float(level[0]) for level in bids] + [float(level[0]) for level in asks]
        sizes = [float(level[1]) for level in bids] + [float(level[1]) for level in asks]
        count = len(prices)
        o, r, s, side, price, size = self._columns
        o += [origin] * count
        r += [received] * count
        s += [sequence] * count
        side += [True] * len(bids)
        side += [False] * len(asks)
        price += prices
        size += sizes
        if len(price) >= CHUNK_ROWS:
            self.flush()

    def extend(self, columns: dict[str, Any]) -> None:
        """Add rows that are columns already."""
        self.flush()
        arrays = [
            values.cast(field.type)
            if isinstance(values := columns[field.name], pa.Array | pa.ChunkedArray)
            else pa.array(values, field.type)
            for field in self._schema
        ]
        self.spill.add(pa.table(arrays, schema=self._schema))

    def flush(self) -> None:
        """Put the rows that wait into the file."""
        if self._columns[0]:
            arrays = [
                pa.array(column, field.type)
                for column, field in zip(self._columns, self._schema, strict=True)
            ]
            self._columns = [[] for _ in self._schema]
            self.spill.add(pa.table(arrays, schema=self._schema))


@dataclass
class Parsed:
    """What a parser makes of a recording.

    Parameters
    ----------
    file : Path
    announced : collection of Series
        All that it may hold.

    Attributes
    ----------
    refusals : list of Refusal
    findings : list of Finding
    passed_over : Counter
        Kinds of messages that no table is made of.
    """

    file: Path
    announced: Collection[Series]
    refusals: list[Refusal] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    _rows: dict[Series, Rows] = field(default_factory=dict)

    def rows(self, table: str, exchange: str, symbol: str) -> Rows:
        """Return where the rows of a series go."""
        series = Series(table, exchange, symbol)
        if series not in self._rows:
            if series not in self.announced:
                raise DataError(
                    f"holds {table} of {exchange} {symbol}, which its beginning does not announce",
                    file=self.file,
                    expected=" or ".join(" ".join(one) for one in self.announced),
                    remedy="split it into a file of each symbol",
                )
            self._rows[series] = Rows(table)
        return self._rows[series]

    def close(self) -> None:
        """End all files."""
        for rows in self._rows.values():
            rows.flush()
            rows.spill.close()

    @property
    def first_received(self) -> int | None:
        """When its first row was received; None if it has none."""
        spills = (rows.spill for rows in self._rows.values())
        return min((spill.span[0] for spill in spills if spill.rows), default=None)

    def spill(self, series: Series) -> Spill | None:
        """Return the rows of a series; None if there are none."""
        rows = self._rows.get(series)
        return rows.spill if rows and rows.spill.rows else None


Parser = Callable[[Path, Parsed], None]
"""Reads a file into a `Parsed`."""


class Recording:
    """A file of several series.

    Parameters
    ----------
    path : Path
    name : str
        Its identity, see `mrtrade.data.providers.files.SourceFile`.
    series : sequence of Series
        All that it may hold.
    parse : callable
        Called once, when the first row is asked for.

    Attributes
    ----------
    aggressor : str or None
        Rule for the side of trades whose feed does not say it, see `mrtrade.data.aggressor`.
    """

    def __init__(self, path: Path, name: str, series: Sequence[Series], parse: Parser) -> None:
        self.path = path
        self.name = name
        self.series = tuple(dict.fromkeys(series))
        self._parse = parse
        self._parsed: Parsed | None = None
        self.aggressor: Rule | None = None

    def parts(self) -> "list[Part]":
        """Return its series, a file each."""
        return [Part(self, *series) for series in self.series]

    def parsed(self) -> Parsed:
        """Return what it holds.

        Raises
        ------
        DataError
            If it cannot be read at all.
        """
        if self._parsed is None:
            parsed = Parsed(self.path, self.series)
            self._parse(self.path, parsed)
            parsed.close()
            self._parsed = parsed
        return self._parsed


@dataclass(frozen=True)
class Part:
    """One series of a recording; a `mrtrade.data.providers.files.SourceFile`."""

    recording: Recording
    table: str
    exchange: str
    symbol: str

    @property
    def path(self) -> Path:
        """The recording's file."""
        return self.recording.path

    @property
    def name(self) -> str:
        """The recording's name; of trades also the rule for their sides, which makes other rows."""
        rule = self.recording.aggressor if self.table == "trades" else None
        return f"{self.recording.name}+{rule}" if rule else self.recording.name

    def read(self, checks: Checks) -> Iterator[pa.Table]:
        """Yield checked rows by received_time; that they had to be sorted is a finding.

        Raises
        ------
        DataError
            At the first line that cannot be read, or row that is wrong, unless they are set aside.
        """
        parsed = self.recording.parsed()
        series = Series(self.table, self.exchange, self.symbol)
        if series == self.recording.series[0]:  # what concerns the whole file is said once
            first = parsed.first_received  # stands in where a line's own time is not known
            for one in parsed.refusals:
                checks.refuse(
                    self.table,
                    self.path,
                    one.row,
                    one.what,
                    one.content,
                    received_time=first if one.received is None else one.received,
                    source=self.name,
                )
            for kind, count in sorted(parsed.passed_over.items()):
                checks.report(self._passed_over(kind, count))
        for finding in parsed.findings:
            if (finding.table, finding.exchange) == (self.table, self.exchange):
                if finding.symbol == from_lake(self.symbol):
                    checks.report(finding)
        spill = parsed.spill(series)
        if spill is None:
            return
        if spill.steps_back:
            checks.report(self._sorted(spill))
        checker = checks.checker(
            TABLES[self.table],
            f"{self.path} ({self.table} {self.symbol})",
            self.exchange,
            self.symbol,
            TABLES[self.table].schema,
            source=self.name,
        )
        tables = spill.read()
        if self.table == "trades":
            tables = self._with_sides(tables, checks)
        yield from map(checker, tables)

    def _with_sides(self, tables: Iterator[pa.Table], checks: Checks) -> Iterator[pa.Table]:
        """Yield trades with their aggressors: by the rule, where the feed does not say them."""
        rule = self.recording.aggressor
        classify = None if rule is None else Aggressor(rule)
        for rows in tables:
            side = rows["side"]
            unknown = pc.fill_null(pc.equal(side, "unknown"), True)
            if classify is not None:  # sees all trades: a rule looks back
                signs = classify(rows["price"].to_numpy())
                names = np.array(["sell", "unknown", "buy"])[signs + 1]
                side = pc.if_else(unknown, pa.array(names), side)
                unknown = pc.equal(side, "unknown")
            if checks.on_bad == "error" and pc.any(unknown).as_py():
                at = pc.index(unknown, True).as_py()
                raise DataError(
                    "a trade without an aggressor",
                    file=self.path,
                    key="side",
                    value=str(rows.slice(at, 1).to_pylist()[0]),
                    expected=" or ".join(SIDES),
                    remedy="give a rule for such trades: --aggressor tick"
                    if rule is None
                    else f"the rule {rule} cannot tell it either: give --on-bad quarantine too",
                )
            yield rows.set_column(rows.schema.get_field_index("side"), "side", side)

    def _sorted(self, spill: Spill) -> Finding:
        first, last = spill.span
        return Finding(
            "received_order",
            "warning",
            self.table,
            self.exchange,
            from_lake(self.symbol),
            first,
            last,
            spill.steps_back,
            f"{spill.steps_back:,} rows came out of the order of received_time, by up to "
            f"{spill.longest_back / NS_PER_SECOND:g} s: sorted",
        )

    def _passed_over(self, kind: str, count: int) -> Finding:
        return Finding(
            "not_read",
            "info",
            self.table,
            self.exchange,
            from_lake(self.symbol),
            0,
            0,
            count,
            f"{count:,} messages {kind!r} passed over: no table is made of them",
        )

"""The check at the door: a table from outside becomes one of ours, or one clear error.

Or, in mode "quarantine", the good rows become ours, and each bad one a row of the table
``quarantine`` that says why and holds all that it said. Rows that come out of the order of
`received_time` are not bad then: they are counted, for who sorts them.
"""

from collections.abc import Callable
from os import PathLike, fspath
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mrtrade.clock import NS_PER_SECOND
from mrtrade.data.quality.findings import Finding
from mrtrade.data.quality.quarantine import Fault, Refused, set_aside, standing_in, to_table
from mrtrade.data.schemas import FIRST_SANE_NS, SIDES, TABLES, Column, Table
from mrtrade.data.schemas.columns import (
    FILLERS,
    UNREADABLE,
    accepts,
    converted,
    expected_type,
    is_text,
    missing_value,
    readable_cells,
    source_columns,
)
from mrtrade.errors import DataError
from mrtrade.instruments import from_lake

# The exchange's clock may be ahead of the collector's by seconds; an hour is a corrupt file. Single
# times less far ahead are stored as they are, and the loader does without them.
MAX_AHEAD_NS = 3_600 * NS_PER_SECOND

# Partition columns that lakeapi adds to a frame; they must agree with where the rows come from.
_PARTITION = ("exchange", "symbol", "dt")

Bools = npt.NDArray[np.bool_]

REMEDY = (
    "correct or remove the row, download the file again, or set bad rows aside: --on-bad quarantine"
)


class Checks:
    """What is done with bad rows, and what became of them; for the sources of one series.

    Parameters
    ----------
    on_bad : "error" or "quarantine"
        The first bad row is an error; or bad rows are set aside, with their reason, and the others
        go on. A file that is not the table at all (a column is missing) is an error either way.
    on_unsorted : "error" or "report", optional
        What rows that are earlier than the row before them are: an error, or counted. As `on_bad`,
        if not given.

    Attributes
    ----------
    quarantined : list of pyarrow.Table
        Rows of the table ``quarantine``, in the order in which they were met.
    """

    def __init__(
        self,
        on_bad: Literal["error", "quarantine"] = "error",
        on_unsorted: Literal["error", "report"] | None = None,
    ) -> None:
        if on_bad not in ("error", "quarantine"):
            raise ValueError(f"on_bad must be 'error' or 'quarantine', was {on_bad!r}")
        self.on_bad = on_bad
        self.on_unsorted = on_unsorted or ("error" if on_bad == "error" else "report")
        self.quarantined: list[pa.Table] = []
        self._reported: list[Finding] = []
        self._checkers: list[Checker] = []

    def checker(
        self,
        table: Table | str,
        file: str | PathLike[str],
        exchange: str,
        symbol: str,
        schema: pa.Schema,
        *,
        source: str | None = None,
    ) -> "Checker":
        """Return the `Checker` of a file; `source` names it in the quarantine, else its path."""
        known = TABLES[table] if isinstance(table, str) else table
        checker = Checker(known, file, exchange, symbol, schema, checks=self, source=source)
        self._checkers.append(checker)
        return checker

    def refuse(
        self,
        table: str,
        file: str | PathLike[str],
        row: int,
        what: str,
        content: str,
        *,
        received_time: int | None = None,
        source: str | None = None,
    ) -> None:
        """Set aside what could not even be made a row of a table: a line that is no JSON.

        Raises
        ------
        DataError
            If bad rows are an error.
        """
        if self.on_bad == "error":
            raise DataError(
                what,
                file=file,
                row=row,
                value=content if len(content) < 100 else f"{content[:99]}…",
                remedy=REMEDY,
            )
        time = standing_in(received_time, None, None)
        # A power cut leaves files that end in zeros, and no database takes those as text: they are
        # spelled as JSON does.
        content = content.replace("\0", "\\u0000")
        one = Refused(0, time, table, source or fspath(file), row, what, content)
        self.quarantined.append(to_table([one]))

    def report(self, finding: Finding) -> None:
        """Keep something that a source noticed: a hole in its sequence numbers."""
        self._reported.append(finding)

    @property
    def unsorted(self) -> int:
        """Good rows that were earlier than the good row before them."""
        return sum(checker.unsorted for checker in self._checkers)

    @property
    def findings(self) -> list[Finding]:
        """What sources and checkers noticed, other than bad rows."""
        steps = [checker.steps_back() for checker in self._checkers if checker.unsorted]
        return [*self._reported, *steps]


class Checker:
    """Check one source, batch by batch, and bring it into the table's schema.

    Parameters
    ----------
    table : Table
    file : path
        Named in errors.
    exchange, symbol : str
        Where the rows belong, in Crypto Lake's spelling.
    schema : pyarrow.Schema
        Schema of the source. Where bad rows are set aside, a column of numbers may also be text:
        what is no number there is a bad row.
    checks : Checks, optional
        What to do with bad rows; an error, if not given.
    source : str, optional
        Name of the file in the quarantine; its path, if not given.

    Attributes
    ----------
    unknown : tuple of str
        Columns of the source that the table does not have; they are left out.
    unsorted : int
        Good rows that were earlier than the good row before them.

    Raises
    ------
    DataError
        Naming file, row (from 0, in the file), column, value, expectation and remedy.
    """

    def __init__(
        self,
        table: Table,
        file: str | PathLike[str],
        exchange: str,
        symbol: str,
        schema: pa.Schema,
        *,
        checks: Checks | None = None,
        source: str | None = None,
    ) -> None:
        self._table = table
        self._file = file
        self._where = {"exchange": exchange, "symbol": symbol}
        self._checks = Checks() if checks is None else checks
        self._sets_aside = self._checks.on_bad == "quarantine"
        self._name = source or fspath(file)
        self._last_received = 0
        self._row = 0
        self._faults: list[Fault] = []  # of the batch at hand
        self.unsorted = 0
        self._back = (0, 0, 0)  # first and last time of rows out of order, longest step back
        self._source = source_columns(table, schema, file)
        for column in table.columns:
            if column.name in self._source:
                self._check_type(column, schema.field(self._source[column.name]).type)
        self.unknown = tuple(
            name
            for name in schema.names
            if table.raw_names.get(name, name) not in table.schema.names and name not in _PARTITION
        )

    @property
    def rows(self) -> int:
        """Rows checked so far, good and bad."""
        return self._row

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return the next rows of the source, renamed, typed and checked: the good ones."""
        self._faults = []
        for name in self._where:
            if name in batch.schema.names:
                self._check_partition(name, batch[name])
        columns = [self._column(column, batch) for column in self._table.columns]
        checked = pa.table(columns, schema=self._table.schema)
        self._check_origin(checked)
        if self._faults:
            place = (self._table.name, self._name, self._row, self._last_received)
            good, refused = set_aside(batch, checked, self._faults, *place)
            self._checks.quarantined.append(refused)
            checked = checked.filter(good)
        self._check_order(checked)
        self._row += len(batch)
        return checked

    def steps_back(self) -> Finding:
        """Return what is to be said about rows out of the order of `received_time`."""
        first, last, longest = self._back
        return Finding(
            "received_order",
            "warning",
            self._table.name,
            self._where["exchange"],
            from_lake(self._where["symbol"]),
            first,
            last,
            self.unsorted,
            f"{self.unsorted:,} rows came out of the order of received_time, "
            f"by up to {longest / NS_PER_SECOND:g} s",
        )

    def _refuse(
        self,
        bad: Bools,
        what: str,
        key: str,
        value: Callable[[int], object],
        expected: str,
        remedy: str = REMEDY,
    ) -> None:
        at = np.flatnonzero(bad)
        if not at.size:
            return
        if not self._sets_aside:
            raise DataError(
                what,
                file=self._file,
                row=self._row + int(at[0]),
                key=key,
                value=value(int(at[0])),
                expected=expected,
                remedy=remedy,
            )
        self._faults.append(Fault(at, f"{key}: {what}, expected {expected}"))

    def _check_type(self, column: Column, found: pa.DataType) -> None:
        if accepts(column, found) or (self._sets_aside and is_text(found)):
            return
        raise DataError(
            "wrong type",
            file=self._file,
            key=column.name,
            value=str(found),
            expected=expected_type(column),
            remedy="convert the column, or download the file again",
        )

    def _check_partition(self, name: str, values: pa.ChunkedArray) -> None:
        expected = self._where[name]
        other = pc.fill_null(pc.not_equal(values.cast(pa.string()), expected), True)
        self._refuse(
            other.to_numpy(),
            f"two {name}s in one folder",
            name,
            lambda at: values[at].as_py(),
            f"{expected}, as the folder says",
            f"put the rows of each {name} into a folder of its own",
        )

    def _column(self, column: Column, batch: pa.Table) -> pa.ChunkedArray:
        missing = missing_value(column)
        if column.name not in self._source:
            fill = pa.scalar(missing, column.type)
            return pa.chunked_array([pa.repeat(fill, len(batch))], type=column.type)
        raw = batch[self._source[column.name]]
        if raw.null_count and not column.gaps:
            absent = raw.is_null().to_numpy()
            self._refuse(absent, "missing value", column.name, _null, "a value in every row")
        values = self._cast(column, raw)
        given = None
        if raw.null_count or values.null_count:
            # Of a column without gaps these are refused already; the value then says nothing.
            given = values.is_valid().to_numpy() & raw.is_valid().to_numpy()
            filler = missing if column.gaps else FILLERS[str(column.type)]
            if filler is not None:
                values = values.fill_null(pa.scalar(filler, column.type))
        if column.lowest is not None:
            self._check_range(column, column.lowest, values.to_numpy(), given)
        if column.name == "side":
            bad = pc.invert(pc.is_in(values, pa.array(SIDES))).to_numpy()
            self._refuse(
                bad if given is None else bad & given,
                "unknown side",
                "side",
                lambda at: values[at].as_py(),
                " or ".join(map(repr, SIDES)),
            )
        return values

    def _cast(self, column: Column, values: pa.ChunkedArray) -> pa.ChunkedArray:
        try:
            return converted(column, values)
        except UNREADABLE as error:
            if not self._sets_aside:
                raise DataError(
                    f"cannot be read as {column.type}: {error}",
                    file=self._file,
                    key=column.name,
                    expected=expected_type(column),
                    remedy="convert the column, or download the file again",
                ) from error
        cells = readable_cells(column, values)
        lost = values.is_valid().to_numpy() & cells.is_null().to_numpy()
        expected = expected_type(column)
        self._refuse(lost, f"cannot be read as {column.type}", column.name, _null, expected)
        return cells

    def _check_range(
        self, column: Column, lowest: float, values: npt.NDArray[Any], given: Bools | None
    ) -> None:
        # Written so that NaN is bad, and let through again only where gaps are.
        good = values > lowest if column.above else values >= lowest
        if values.dtype.kind == "f":
            good &= values < np.inf
            if column.gaps:
                good |= np.isnan(values)
        elif column.gaps:
            good |= values == missing_value(column)
        if good.all():
            return
        bad = ~good if given is None else ~good & given
        nan = np.isnan(values)
        expected = f"a finite number {'>' if column.above else '>='} {lowest:g}"
        kinds = [("not a number", bad & nan), ("out of range", bad & ~nan)]
        for what, rows in sorted(kinds, key=lambda kind: _first(kind[1])):
            self._refuse(rows, what, column.name, lambda at: values[at].item(), expected)

    def _check_origin(self, checked: pa.Table) -> None:
        received = checked["received_time"].to_numpy()
        origin = checked["origin_time"].to_numpy()
        # A receive time that is none was refused already, and says nothing of the other clock.
        ahead = (received >= FIRST_SANE_NS) & (origin - received > MAX_AHEAD_NS)
        self._refuse(
            (origin > 0) & ((origin < FIRST_SANE_NS) | ahead),
            "not a time of the exchange",
            "origin_time",
            lambda at: int(origin[at]),
            "nanoseconds since 1970, at most an hour after received_time, or 0 for none",
        )

    def _check_order(self, checked: pa.Table) -> None:
        if not len(checked):
            return
        received = checked["received_time"].to_numpy()
        steps = np.diff(received, prepend=max(self._last_received, 0))
        back = np.flatnonzero(steps < 0)
        if back.size and self._checks.on_unsorted == "error":
            before = received[back[0] - 1] if back[0] else self._last_received
            raise DataError(
                "rows are not in the order of received_time",
                file=self._file,
                row=self._row + int(back[0]),
                key="received_time",
                value=int(received[back[0]]),
                expected=f"{int(before)}, the row before, or later",
                remedy="sort the file by received_time with a stable sort and ingest it again",
            )
        if back.size:
            first, _, longest = self._back
            self.unsorted += int(back.size)
            here = int(received[back[0]])
            self._back = (
                first or here,
                int(received[back[-1]]),
                max(longest, int(-steps[back].min())),
            )
        self._last_received = int(received[-1])


def _null(_: int) -> str:
    return "null"


def _first(rows: Bools) -> int:
    return int(rows.argmax()) if rows.any() else len(rows)

"""The check at the door: a table from outside becomes one of ours, or one clear error."""

from os import PathLike

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mrtrade.clock import NS_PER_SECOND
from mrtrade.data.quality.findings import Finding
from mrtrade.data.schemas import FIRST_SANE_NS, SIDES, Column, Table
from mrtrade.errors import DataError

# The exchange's clock may be ahead of the collector's by seconds; an hour is a corrupt file. Single
# times less far ahead are stored as they are, and the loader does without them.
MAX_AHEAD_NS = 3_600 * NS_PER_SECOND

# Partition columns that lakeapi adds to a frame; they must agree with where the rows come from.
_PARTITION = ("exchange", "symbol", "dt")


class Checks:
    """Checkers of one ingest, and what they found.

    Parameters
    ----------
    on_bad : str
        ``"error"``: the first fault is raised.

    Attributes
    ----------
    findings : list of Finding
    quarantined : list of pyarrow.Table
        Rows that were put aside.
    """

    def __init__(self, on_bad: str = "error") -> None:
        self.on_bad = on_bad
        self.findings: list[Finding] = []
        self.quarantined: list[pa.Table] = []

    def checker(
        self,
        table: Table,
        file: str | PathLike[str],
        exchange: str,
        symbol: str,
        schema: pa.Schema,
    ) -> "Checker":
        """Return the checker of one source."""
        return Checker(table, file, exchange, symbol, schema)


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
        Schema of the source.

    Attributes
    ----------
    unknown : tuple of str
        Columns of the source that the table does not have; they are left out.

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
    ) -> None:
        self._table = table
        self._file = file
        self._where = {"exchange": exchange, "symbol": symbol}
        self._last_received = 0
        self._row = 0
        names = [table.raw_names.get(name, name) for name in schema.names]
        self._source = dict(zip(names, schema.names, strict=True))
        if len(self._source) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(
                "column given twice, in the raw and in the lakeapi spelling",
                file=file,
                key=twice,
                remedy="keep one of them",
            )
        for column in table.columns:
            if column.name not in self._source:
                if not column.gaps:
                    raise DataError(
                        f"missing column {column.name}",
                        file=file,
                        expected=f"the columns of {table.name}: {', '.join(table.schema.names)}",
                        remedy="download the file again, or rename its columns",
                    )
            else:
                self._check_type(column, schema.field(self._source[column.name]).type)
        self.unknown = tuple(
            name
            for name in schema.names
            if table.raw_names.get(name, name) not in table.schema.names and name not in _PARTITION
        )

    @property
    def rows(self) -> int:
        """Rows checked so far."""
        return self._row

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return the next rows of the source, renamed, typed and checked."""
        for name in self._where:
            if name in batch.schema.names:
                self._check_partition(name, batch[name])
        columns = [self._column(column, batch) for column in self._table.columns]
        checked = pa.table(columns, schema=self._table.schema)
        self._check_times(checked)
        self._row += len(batch)
        return checked

    def _fail(self, what: str, index: int, key: str, value: object, expected: str) -> DataError:
        return DataError(
            what,
            file=self._file,
            row=self._row + int(index),
            key=key,
            value=value,
            expected=expected,
            remedy="correct or remove the row, or download the file again",
        )

    def _check_type(self, column: Column, found: pa.DataType) -> None:
        if not _accepts(column, found):
            raise DataError(
                "wrong type",
                file=self._file,
                key=column.name,
                value=str(found),
                expected=_expected_type(column),
                remedy="convert the column, or download the file again",
            )

    def _check_partition(self, name: str, values: pa.ChunkedArray) -> None:
        expected = self._where[name]
        other = pc.fill_null(pc.not_equal(values.cast(pa.string()), expected), True)
        at = pc.index(other, True).as_py()
        if at >= 0:
            raise DataError(
                f"two {name}s in one folder",
                file=self._file,
                row=self._row + at,
                key=name,
                value=values[at].as_py(),
                expected=f"{expected}, as the folder says",
                remedy=f"put the rows of each {name} into a folder of its own",
            )

    def _column(self, column: Column, batch: pa.Table) -> pa.ChunkedArray:
        missing = _missing_value(column)
        if column.name not in self._source:
            fill = pa.scalar(missing, column.type)
            return pa.chunked_array([pa.repeat(fill, len(batch))], type=column.type)
        values = batch[self._source[column.name]]
        if values.null_count and not column.gaps:
            at = pc.index(values.is_null(), True).as_py()
            raise self._fail("missing value", at, column.name, "null", "a value in every row")
        values = self._cast(column, values)
        if values.null_count and missing is not None:
            values = values.fill_null(pa.scalar(missing, column.type))
        if column.lowest is not None:
            self._check_range(column, column.lowest, values.to_numpy())
        if column.name == "side":
            known = pc.is_in(values, pa.array(SIDES))
            at = pc.index(known, False).as_py()
            if at >= 0:
                expected = " or ".join(map(repr, SIDES))
                raise self._fail("unknown side", at, "side", values[at].as_py(), expected)
        return values

    def _cast(self, column: Column, values: pa.ChunkedArray) -> pa.ChunkedArray:
        try:
            if pa.types.is_timestamp(values.type):
                return values.cast(pa.timestamp("ns", values.type.tz)).cast(pa.int64())
            if column.seconds and pa.types.is_floating(values.type):
                return pa.chunked_array([_seconds_to_ns(values.to_numpy())])
            return values.cast(column.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"cannot be read as {column.type}: {error}",
                file=self._file,
                key=column.name,
                expected=_expected_type(column),
                remedy="convert the column, or download the file again",
            ) from error

    def _check_range(self, column: Column, lowest: float, values: npt.NDArray[np.float64]) -> None:
        # Written so that NaN is bad, and let through again only where gaps are.
        good = values > lowest if column.above else values >= lowest
        if values.dtype.kind == "f":
            good &= values < np.inf
            if column.gaps:
                good |= np.isnan(values)
        elif column.gaps:
            good |= values == _missing_value(column)
        bad = np.flatnonzero(~good)
        if bad.size:
            sign = ">" if column.above else ">="
            value = values[bad[0]].item()
            what = "not a number" if np.isnan(value) else "out of range"
            raise self._fail(what, bad[0], column.name, value, f"a finite number {sign} {lowest:g}")

    def _check_times(self, checked: pa.Table) -> None:
        if not len(checked):
            return
        received = checked["received_time"].to_numpy()
        back = np.flatnonzero(np.diff(received, prepend=max(self._last_received, 0)) < 0)
        if back.size:
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
        self._last_received = int(received[-1])
        origin = checked["origin_time"].to_numpy()
        wrong = np.flatnonzero(
            (origin > 0) & ((origin < FIRST_SANE_NS) | (origin - received > MAX_AHEAD_NS))
        )
        if wrong.size:
            raise self._fail(
                "not a time of the exchange",
                wrong[0],
                "origin_time",
                int(origin[wrong[0]]),
                "nanoseconds since 1970, at most an hour after received_time, or 0 for none",
            )


def _accepts(column: Column, found: pa.DataType) -> bool:
    if pa.types.is_dictionary(found):
        found = found.value_type
    if column.type == pa.string():
        texts = pa.types.is_string(found) or pa.types.is_large_string(found)
        missing = column.gaps and pa.types.is_null(found)
        ids = missing or (column.name.endswith("_id") and pa.types.is_integer(found))
        return bool(texts or ids)
    if column.type == pa.float64():  # float32 cannot hold a price of eight digits
        return bool(pa.types.is_float64(found) or pa.types.is_integer(found))
    if column.type == pa.bool_():
        return bool(pa.types.is_boolean(found))
    whole = pa.types.is_integer(found)
    if _is_time(column):
        whole = whole or pa.types.is_timestamp(found)
        whole = whole or (column.seconds and pa.types.is_float64(found))
    return bool(whole)


def _expected_type(column: Column) -> str:
    if _is_time(column):
        return "int64 nanoseconds or a timestamp"
    if column.name.endswith("_id"):
        return "int64 or text"
    return {"string": "text", "double": "float64"}.get(str(column.type), str(column.type))


def _is_time(column: Column) -> bool:
    return column.seconds or column.name in ("origin_time", "received_time")


def _missing_value(column: Column) -> float | int | None:
    if column.type == pa.string():
        return None
    if column.type == pa.float64():
        return float("nan")
    return 0 if _is_time(column) else -1


def _seconds_to_ns(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    # Crypto Lake writes these as epoch seconds, in old files as nanoseconds. float64 seconds are
    # good to a quarter of a microsecond: rounded to whole ones.
    values = np.nan_to_num(values, nan=0.0)
    seconds = np.abs(values) < 1e11
    micro = np.rint(np.where(seconds, values, 0.0) * 1e6).astype(np.int64)
    return np.where(seconds, micro * 1_000, values.astype(np.int64))

"""Files exported from a QuestDB: CSV as ``/exp`` writes it, or Parquet."""

import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from mrtrade.data.questdb.transports import Facts, Refused, Span
from mrtrade.errors import SourceError


class ExportedFiles:
    """A folder of exported tables.

    CSV is turned into Parquet once, in a temporary folder, so that a day can be found without
    reading the rest.

    Parameters
    ----------
    folder : path
        ``TABLE.csv``, ``TABLE.parquet``, or a folder ``TABLE`` of such files.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self.name = str(folder)
        self._tables: dict[str, Any] = {}
        self._converted = tempfile.TemporaryDirectory(prefix="mrtrade-questdb-")

    def columns(self, table: str) -> dict[str, pa.DataType]:
        """Return the columns of a table."""
        return {field.name: _plain(field.type) for field in self._dataset(table).schema}

    def symbols(self, table: str, symbol: str, when: str) -> list[tuple[str | None, Any, Any]]:
        """Return each symbol with its first and last time."""
        rows = self._read(table, [symbol, when], None)
        found = rows.group_by(symbol).aggregate([(when, "min"), (when, "max")]).sort_by(symbol)
        columns = (found[symbol], found[f"{when}_min"], found[f"{when}_max"])
        return list(zip(*map(_values, columns), strict=True))

    def facts(self, table: str, span: Span) -> Facts:
        """Return the number of rows of a window, and its first and last time."""
        times = self._read(table, [span.when], self._filter(table, span))[span.when]
        if not len(times):
            return 0, None, None
        first, last = (_values(pa.chunked_array([[end]])) for end in pc.min_max(times).values())
        return len(times), first[0], last[0]

    def rows(self, table: str, columns: dict[str, pa.DataType], span: Span) -> pa.Table:
        """Return the rows of a window, in order of time."""
        found = self._read(table, list(columns), self._filter(table, span))
        order = pc.sort_indices(found[span.when])  # stable
        return found.take(order).cast(pa.schema(list(columns.items())))

    def close(self) -> None:
        """Remove the temporary folder."""
        self._converted.cleanup()

    def _filter(self, table: str, span: Span) -> Any:
        when = pads.field(span.when)
        kind = self._dataset(table).schema.field(span.when).type
        low, high = (pa.scalar(end, pa.int64()) for end in (span.low_ns, span.high_ns))
        if pa.types.is_timestamp(kind):
            # To the unit of the file: whole days and hours lose nothing.
            low, high = (end.cast(pa.timestamp("ns", kind.tz)).cast(kind) for end in (low, high))
        return (pads.field(span.symbol_column) == span.symbol) & (when >= low) & (when < high)

    def _read(self, table: str, columns: list[str], where: Any) -> pa.Table:
        try:
            return self._dataset(table).to_table(columns=columns, filter=where)
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(self._folder, table, error) from error

    def _dataset(self, table: str) -> Any:
        if table in self._tables:
            return self._tables[table]
        files = [
            path
            for ending in (".csv", ".parquet")
            for path in (self._folder / f"{table}{ending}", *self._inside(table, ending))
            if path.is_file()
        ]
        endings = {path.suffix for path in files}
        if len(endings) != 1:
            kind, what = (
                (SourceError, "both CSV and Parquet files")
                if endings
                else (Refused, "no such table was exported")
            )
            raise kind(
                what,
                file=self._folder,
                key=table,
                expected=f"{table}.csv, {table}.parquet, or a folder {table} of one kind",
            )
        try:
            if endings == {".csv"}:
                files = [self._to_parquet(path, at) for at, path in enumerate(files)]
            self._tables[table] = pads.dataset(files)
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(self._folder, table, error) from error
        return self._tables[table]

    def _inside(self, table: str, ending: str) -> list[Path]:
        folder = self._folder / table
        return sorted(path for path in folder.rglob("*") if path.suffix == ending)

    def _to_parquet(self, path: Path, number: int) -> Path:
        target = Path(self._converted.name, f"{path.stem}-{len(self._tables)}-{number}.parquet")
        with pyarrow.csv.open_csv(path) as reader, pq.ParquetWriter(target, reader.schema) as out:
            for batch in reader:
                out.write_batch(batch)
        return target


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.timestamp(kind.unit, "UTC")
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_floating(kind):
        return pa.float64()
    return pa.bool_() if pa.types.is_boolean(kind) else pa.string()


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Return values; times as datetime64, since datetime holds no nanoseconds."""
    if not pa.types.is_timestamp(column.type):
        values: list[Any] = column.to_pylist()
        return values
    return list(column.cast(pa.timestamp("ns")).to_numpy())


def _unreadable(folder: Path, table: str, error: Exception) -> SourceError:
    return SourceError(
        f"cannot be read: {' '.join(str(error).split())}",
        file=folder,
        key=table,
        remedy="export it again",
    )

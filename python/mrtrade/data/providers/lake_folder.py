"""A local folder in Crypto Lake's layout: ``<table>/exchange=E/symbol=S/dt=YYYY-MM-DD/N.parquet``.

File names are ``1.parquet``, ``1.snappy.parquet`` and the like; a day of several shards is read in
the order of their numbers. Column names may be raw or lakeapi's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mrtrade.data.checks import Checker, Checks
from mrtrade.data.providers.folders import files_under
from mrtrade.data.providers.recording import Spill
from mrtrade.data.schemas import TABLES
from mrtrade.errors import ConfigError, DataError
from mrtrade.instruments import to_lake

BATCH_ROWS = 1 << 18
"""Rows of deltas read at a time: as fast as a million, in a third of the memory.

Of wider tables fewer, in the same memory.
"""

FORMAT = "lake"

_UNREADABLE = (OSError, pa.ArrowException)


@dataclass(frozen=True)
class LakeFile:
    """One file of a Crypto Lake folder; `symbol` in Crypto Lake's spelling."""

    path: Path
    table: str
    exchange: str
    symbol: str
    day: str

    @property
    def name(self) -> str:
        """Identity of the file, wherever the folder lies."""
        partition = f"exchange={self.exchange}/symbol={self.symbol}/dt={self.day}"
        return f"{self.table}/{partition}/{self.path.name}"

    @property
    def order(self) -> tuple[str, int, str]:
        """Sort key within a series: the day, then the shard's number."""
        number = re.match(r"\d+", self.path.name)
        return self.day, int(number[0]) if number else 0, self.path.name

    def inspect(self, checks: Checks) -> tuple[pq.ParquetFile, Checker]:
        """Open the file and check that it has rows, and the columns and types of its table.

        Raises
        ------
        DataError
            If it does not, or is no whole Parquet file.
        """
        try:
            parquet = pq.ParquetFile(self.path, pre_buffer=False)
        except _UNREADABLE as error:
            raise _broken(self, None, error) from error
        if not parquet.metadata.num_rows:
            raise DataError(
                "no rows",
                file=self.path,
                expected="at least one",
                remedy="delete it, or download it",
            )
        schema = parquet.schema_arrow
        table = TABLES[self.table]
        return parquet, checks.checker(table, self.path, self.exchange, self.symbol, schema)

    def read(self, checks: Checks) -> Iterator[pa.Table]:
        """Yield the rows, checked, in our names and types, about a quarter of a million at a time.

        Where `checks` only counts rows that are out of order, they are sorted.

        Raises
        ------
        DataError
            At the first row, or column, that is wrong.
        """
        if checks.on_unsorted == "error":
            yield from self._checked(checks)
            return
        spill = Spill(TABLES[self.table].schema)
        for rows in self._checked(checks):
            spill.add(rows)
        spill.close()
        yield from spill.read()

    def _checked(self, checks: Checks) -> Iterator[pa.Table]:
        parquet, checker = self.inspect(checks)
        with parquet:
            waiting: list[pa.RecordBatch] = []
            count = 0
            width = max(1, len(parquet.schema_arrow.names) / len(TABLES["book_delta_v2"].columns))
            most = int(BATCH_ROWS / width)
            batches = parquet.iter_batches(batch_size=most)
            while True:
                try:
                    batch = next(batches, None)
                except _UNREADABLE as error:
                    raise _broken(self, checker.rows + count, error) from error
                if batch is not None:
                    waiting.append(batch)
                    count += len(batch)
                if count >= most or (batch is None and count):
                    yield checker(pa.Table.from_batches(waiting))
                    waiting, count = [], 0
                if batch is None:
                    return


def discover(root: Path) -> tuple[list[LakeFile], list[str]]:
    """Find the files of a folder.

    Parameters
    ----------
    root : Path
        A Crypto Lake folder, or any folder within one, down to a day or a file.

    Returns
    -------
    files : list of LakeFile
        Of the tables we know, sorted by series and order.
    skipped : list of str
        Names of other tables.

    Raises
    ------
    DataError
        If a file lies where its exchange or symbol is not said once.
    """
    root = root.resolve()
    files = []
    skipped = set()
    for path in files_under(root, (".parquet",)):
        table = _table_of(path, root)
        if table in TABLES:
            files.append(_place(path, table))
        else:
            skipped.add(table)
    files.sort(key=lambda file: (file.table, file.exchange, file.symbol, file.order))
    return files, sorted(skipped)


def _table_of(path: Path, root: Path) -> str:
    folders = path.parts[:-1]
    at = next((i for i, part in enumerate(folders) if part.startswith("exchange=")), 0)
    if at:
        return folders[at - 1]
    root = root if root.is_dir() else root.parent
    inside = (root.name, *path.relative_to(root).parts)
    return next((part for part in inside if part in TABLES), inside[1])


def _place(path: Path, table: str) -> LakeFile:
    keys: dict[str, list[str]] = {"exchange": [], "symbol": [], "dt": []}
    for part in path.parts[:-1]:
        key, equals, value = part.partition("=")
        if equals and key in keys:
            keys[key].append(value)
    for key, values in keys.items():
        if len(values) != 1:
            raise DataError(
                f"the path says two {key}s" if values else f"the path has no folder {key}=",
                file=path,
                value=" and ".join(values) or None,
                expected=f"{table}/exchange=E/symbol=S/dt=YYYY-MM-DD/{path.name}",
                remedy=f"move the file to a folder of its own {key}",
            )
    exchange, symbol, day = (values[0] for values in keys.values())
    try:
        symbol = to_lake(symbol)
    except ConfigError as error:
        raise DataError(
            error.what, file=path, value=symbol, expected=error.expected, remedy="rename the folder"
        ) from error
    return LakeFile(path, table, exchange, symbol, day)


def _broken(file: LakeFile, row: int | None, error: Exception) -> DataError:
    return DataError(
        f"not a whole Parquet file: {' '.join(str(error).split())}",
        file=file.path,
        row=row,
        value=f"{file.path.stat().st_size} bytes",
        expected="a file that ends in a Parquet footer, every page of it readable",
        remedy="download it again",
    )

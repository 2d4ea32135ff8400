"""``mrtrade sql``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from rich.console import Console


class Format(StrEnum):
    """How rows are given out."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT; SHOW TABLES lists what there is.")],
    store: Annotated[str, typer.Option(help="Folder, or address, of the store.")] = "store",
    format: Annotated[Format, typer.Option(help="How rows are given out.")] = Format.TABLE,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for csv, json or parquet.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows shown of a table.")] = 40,
) -> None:
    """Ask the store by SQL. It is open for reading only, whatever the query says."""
    from contextlib import closing

    from mrtrade.data.sql import query as run
    from mrtrade.data.stores import open_store
    from mrtrade.errors import ConfigError

    if output and format is Format.TABLE:
        raise ConfigError("a table goes to the screen", remedy="give --format csv, json or parquet")
    with closing(open_store(store)) as opened, run(opened, query) as rows:
        names = rows.schema.names
        if format is Format.TABLE:
            _show(rows, limit)
        elif len(set(names)) < len(names):
            raise ConfigError(
                "two columns of one name", value=names, remedy="name them apart: x AS y"
            )
        elif output:
            _to_file(rows, _WRITERS[format], output)
        else:
            _to_stdout(rows, format)


def _show(rows: pa.RecordBatchReader, limit: int) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from mrtrade.cli.console import make_console

    shown: list[dict[str, object]] = []
    for batch in rows:
        shown += _plain(batch.slice(0, limit + 1 - len(shown)))
        if len(shown) > limit:
            break
    cells = [
        ["" if value is None else str(value) for value in row.values()] for row in shown[:limit]
    ]
    names = rows.schema.names
    console = make_console()
    if not console.is_terminal:
        console.width = 10_000  # a file folds no lines
    elif cells and _width(names, cells) > console.width:
        _show_records(console, names, cells)
        cells = []
    if cells or not shown:
        table = Table(box=box.SIMPLE)
        for field in rows.schema:
            text = _text_type(field.type)
            table.add_column(field.name, justify="left" if text else "right", overflow="fold")
        for row in cells:
            table.add_row(*map(Text, row))
        console.print(table)
    if len(shown) > limit:
        notice = f"the first {limit:,} rows; --limit shows more, --format csv gives all"
    else:
        notice = f"{len(shown):,} row{'' if len(shown) == 1 else 's'}"
    console.print(notice, soft_wrap=True)


def _width(names: list[str], cells: list[list[str]]) -> int:
    """Return the columns of the screen that a table takes if no cell of it is folded."""
    from rich.cells import cell_len

    columns = zip(names, *cells, strict=True)
    return 1 + sum(3 + max(map(cell_len, column)) for column in columns)


def _show_records(console: Console, names: list[str], cells: list[list[str]]) -> None:
    """Print rows that are wider than the screen as a line for each value, as psql does."""
    widest = max(map(len, names))
    for number, row in enumerate(cells, 1):
        console.print(f"[bold]row {number}[/]")
        for name, cell in zip(names, row, strict=True):
            console.print(f"  {name:{widest}}  {cell}", markup=False, soft_wrap=True)


def _text_type(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return not (pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _plain(batch: pa.RecordBatch) -> list[dict[str, object]]:
    """Return rows of numbers, bools and text: times and all else as text, to the last digit."""
    import pyarrow as pa

    def keeps(kind: pa.DataType) -> bool:
        types = pa.types
        return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))

    names = [f"{index}" for index in range(batch.num_columns)]  # names may come twice
    columns = [
        column if keeps(column.type) or pa.types.is_nested(column.type) else _as_text(column)
        for column in batch.columns
    ]
    return list(pa.RecordBatch.from_arrays(columns, names).to_pylist())


def _as_text(column: pa.Array) -> pa.Array:
    import pyarrow as pa

    try:
        return column.cast(pa.string())
    except pa.ArrowNotImplementedError:
        return pa.array([None if one is None else str(one) for one in column.to_pylist()])


def _write_csv(rows: pa.RecordBatchReader, sink: IO[bytes]) -> None:
    import pyarrow.csv as csv

    with csv.CSVWriter(sink, rows.schema) as writer:
        for batch in rows:
            writer.write_batch(batch)


def _write_json(rows: pa.RecordBatchReader, sink: IO[bytes]) -> None:
    import json
    import math

    def known(value: object) -> object:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    before = "["
    for batch in rows:
        for row in _plain(batch):
            values = map(known, row.values())
            named = dict(zip(rows.schema.names, values, strict=True))
            sink.write(f"{before}\n{json.dumps(named, ensure_ascii=False, default=str)}".encode())
            before = ","
    sink.write(b"[]\n" if before == "[" else b"\n]\n")


def _write_parquet(rows: pa.RecordBatchReader, sink: IO[bytes]) -> None:
    import pyarrow.parquet as pq

    with pq.ParquetWriter(sink, rows.schema, compression="zstd") as writer:
        for batch in rows:
            writer.write_batch(batch)


_WRITERS: dict[Format, Callable[[pa.RecordBatchReader, IO[bytes]], None]] = {
    Format.CSV: _write_csv,
    Format.JSON: _write_json,
    Format.PARQUET: _write_parquet,
}


def _to_file(
    rows: pa.RecordBatchReader,
    write: Callable[[pa.RecordBatchReader, IO[bytes]], None],
    path: Path,
) -> None:
    import os

    from mrtrade.errors import ConfigError

    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            sink = temporary.open("wb")
        except OSError as error:
            raise ConfigError(
                f"cannot be written: {error.strerror}",
                file=path,
                remedy="give --output a file in a folder that is there and yours",
            ) from error
        with sink:
            write(rows, sink)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _to_stdout(rows: pa.RecordBatchReader, format: Format) -> None:
    import os
    import sys

    from mrtrade.errors import ConfigError

    if format is Format.PARQUET and sys.stdout.isatty():
        raise ConfigError("Parquet is not for the screen", remedy="give --output FILE")
    try:
        _WRITERS[format](rows, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

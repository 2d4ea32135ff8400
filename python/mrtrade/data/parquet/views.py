"""The Parquet store as tables in DuckDB, for reading and nothing else.

DuckDB gets the parts as pyarrow datasets, which know no way to write, and itself may open no file
and reach no network, whatever the query says; S3 needs no extension of it. A part that is replaced
on S3 in the middle of a query fails the checksums of its pages: an error, never a mixture.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import pyarrow as pa
import pyarrow.dataset as ds

from mrtrade.data.parquet import layout
from mrtrade.data.parquet.files import Files
from mrtrade.data.parquet.store import ParquetStore
from mrtrade.data.schemas import SQL_NAMES, TABLES, Table
from mrtrade.errors import ConfigError, StoreError

BATCH_ROWS = 1 << 16


@contextmanager
def query(store: ParquetStore, statement: str) -> Iterator[pa.RecordBatchReader]:
    """Run one SELECT over a store's tables; see `mrtrade.data.sql.query`."""
    try:
        import duckdb
    except ImportError:
        raise ConfigError("SQL needs DuckDB", remedy='pip install "mrtrade[sql]"') from None
    usage = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)
    # DuckDB may read and write where it puts what memory does not hold: a folder of its own.
    spill = tempfile.TemporaryDirectory(prefix="mrtrade-")
    connection = duckdb.connect(
        ":memory:",
        config={
            "enable_external_access": "false",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            "temp_directory": spill.name,
        },
    )
    try:
        statements = connection.extract_statements(statement)
        allowed = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
        if len(statements) != 1 or statements[0].type not in allowed:
            raise ConfigError("not one SELECT", value=statement, remedy="give one statement")
        for table, dataset in _datasets(store.files).items():
            connection.register(f"_{table}", dataset)
            connection.execute(_view(TABLES[table]))
        connection.execute("SET lock_configuration = true")
        yield connection.sql(statement).to_arrow_reader(BATCH_ROWS)
    except usage as error:
        names = ", ".join(SQL_NAMES.values())
        raise ConfigError(_first(error), remedy=f"correct the query; tables: {names}") from None
    except duckdb.Error as error:
        raise StoreError(_first(error), file=str(store.root), remedy="correct the query") from None
    except (OSError, pa.ArrowException) as error:
        raise StoreError(_first(error), file=str(store.root)) from error
    finally:
        connection.close()
        spill.cleanup()


def _first(error: Exception) -> str:
    return " ".join(str(error).partition("\n\n")[0].split())


def _datasets(files: Files) -> dict[str, ds.Dataset]:
    """Return each table's parts, with exchange, symbol and day as columns that parts go by."""
    filesystem = files.filesystem()
    form = ds.ParquetFileFormat(
        default_fragment_scan_options=ds.ParquetFragmentScanOptions(
            pre_buffer=True, page_checksum_verification=True
        )
    )
    parts: dict[str, list[ds.Fragment]] = {table: [] for table in TABLES}
    keys = sorted(files.glob(layout.ALL_PARTS))
    if not keys:
        raise StoreError(
            "nothing is stored there",
            file=str(files.root),
            remedy="correct the address, or ingest something: mrtrade ingest PATH",
        )
    for key in keys:
        table, exchange, symbol, day = layout.parse_key(key)
        if table in parts:
            where = (
                (ds.field("exchange") == exchange)
                & (ds.field("symbol") == symbol.replace("/", "-"))
                & (ds.field("day") == date.fromisoformat(day))
            )
            parts[table].append(form.make_fragment(key, filesystem, where))
    return {
        name: ds.FileSystemDataset(found, _schema(TABLES[name]), form, filesystem)
        for name, found in parts.items()
    }


def _schema(table: Table) -> pa.Schema:
    return pa.schema(
        [
            ("exchange", pa.string()),
            ("symbol", pa.string()),
            ("day", pa.date32()),
            *((field.name, field.type) for field in table.schema),
        ]
    )


def _view(table: Table) -> str:
    times = [
        column.name
        for column in table.columns
        if column.seconds or column.name in ("origin_time", "received_time")
    ]
    readable = [
        f'CASE WHEN "{name}" > 0 THEN make_timestamp_ns("{name}") END AS '
        f'"{name.removesuffix("_time")}_at"'
        for name in times
    ]
    columns = ["exchange", "symbol", "day", *readable]
    columns += [f'"{name}"' for name in table.schema.names]
    return f"CREATE VIEW {SQL_NAMES[table.name]} AS SELECT {', '.join(columns)} FROM _{table.name}"

"""One SELECT over a store, whatever keeps it.

The tables are `mrtrade.data.schemas.SQL_NAMES`. In a Parquet store they are DuckDB views: columns
as in `mrtrade.data.schemas`, and before them ``exchange``, ``symbol`` (Crypto Lake's spelling,
``BTC-USDT``) and ``day``, by which parts are chosen, and each time again as a timestamp that can be
read (``received_at``, NULL where there is none). In a database they are the tables that
docs/timescale.md describes.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pyarrow as pa

from mrtrade.data.store import Store
from mrtrade.errors import ConfigError, StoreError

_BATCH_ROWS = 10_000

#: SHOW TABLES, which databases spell in their own way; of DuckDB's the parts lie below the views.
_TABLES = {
    "parquet": r"SELECT name FROM (SHOW TABLES) WHERE name NOT LIKE '\_%' ESCAPE '\'",
    "server": "SELECT table_name::text AS name FROM information_schema.tables "
    "WHERE table_schema = current_schema() ORDER BY name",
}


def query(store: Store, statement: str) -> AbstractContextManager[pa.RecordBatchReader]:
    """Run one SELECT; nothing it says can change what is stored.

    Parameters
    ----------
    store : Store
    statement : str
        ``SHOW TABLES`` is understood of every store.

    Returns
    -------
    context manager of pyarrow.RecordBatchReader
        The rows, to be read within the block, a batch at a time.

    Raises
    ------
    ConfigError
        If it is not one SELECT, or names what there is not.
    StoreError
        If it cannot be carried out.
    """
    from mrtrade.data.parquet import ParquetStore

    shows_tables = statement.lower().strip(" \n;").split() == ["show", "tables"]
    if isinstance(store, ParquetStore):
        from mrtrade.data.parquet.views import query as by_duckdb

        return by_duckdb(store, _TABLES["parquet"] if shows_tables else statement)
    from mrtrade.data.timescale import TimescaleStore

    if isinstance(store, TimescaleStore):
        return _by_server(store, _TABLES["server"] if shows_tables else statement)
    raise StoreError("this kind of store knows no SQL", file=store.url)


@contextmanager
def _by_server(store: Any, statement: str) -> Iterator[pa.RecordBatchReader]:
    import psycopg

    from mrtrade.data.timescale.connection import connect, told

    with told(store.settings), connect(store.settings) as connection:
        connection.read_only = True
        try:
            # A cursor takes one statement that gives rows, and brings them a batch at a time.
            with connection.transaction(), connection.cursor("mrtrade_sql") as cursor:
                cursor.execute(statement.strip().rstrip(";").encode())
                yield _reader(cursor)
        except psycopg.errors.InsufficientPrivilege:
            raise
        except psycopg.ProgrammingError as error:
            what = str(error).partition("\n")[0]
            remedy = "correct the query: one SELECT; SHOW TABLES lists the tables"
            raise ConfigError(what, remedy=remedy) from None


_ARROW = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
}


def _reader(cursor: Any) -> pa.RecordBatchReader:
    types = cursor.connection.adapters.types
    schema = pa.schema(
        [
            (column.name, _ARROW.get(getattr(types.get(column.type_code), "name", ""), pa.string()))
            for column in cursor.description
        ]
    )

    def batches() -> Iterator[pa.RecordBatch]:
        while rows := cursor.fetchmany(_BATCH_ROWS):
            columns = []
            for field, values in zip(schema, zip(*rows, strict=True), strict=True):
                texts = field.type == pa.string()
                shown = [str(one) if texts and one is not None else one for one in values]
                columns.append(pa.array(shown, field.type))
            yield pa.record_batch(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())

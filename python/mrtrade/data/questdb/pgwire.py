"""QuestDB's PostgreSQL wire: forward-only cursors, no COPY, times without a zone that are UTC.

Slower than HTTP: every value passes through Python, some 3 us a row.
"""

import os
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from mrtrade.data.questdb import statements
from mrtrade.data.questdb.transports import QueryTimeout, Refused
from mrtrade.errors import SourceError

_TYPES = {
    16: pa.bool_(),
    20: pa.int64(),
    21: pa.int64(),
    23: pa.int64(),
    700: pa.float64(),
    701: pa.float64(),
    1114: pa.timestamp("us", "UTC"),
    1184: pa.timestamp("us", "UTC"),
}  # by PostgreSQL's type numbers; whatever else is text
_BATCH_ROWS = 1 << 16


class PgWireTransport(statements.SqlTransport):
    """A QuestDB by its PostgreSQL wire.

    Parameters
    ----------
    address : str
        ``postgresql://user@host:8812/qdb``; user and password default to QUESTDB_USER and
        QUESTDB_PASSWORD, then to QuestDB's own ``admin`` and ``quest``.
    timeout_s : float
    """

    def __init__(self, address: str, *, timeout_s: float) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise SourceError(
                "psycopg is not installed", remedy='pip install "mrtrade[db]"'
            ) from error
        parts = urlsplit(address)
        self.name = f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._psycopg = psycopg
        try:
            self._connection = psycopg.connect(
                host=parts.hostname,
                port=parts.port or 8812,
                dbname=parts.path.strip("/") or "qdb",
                user=parts.username or os.environ.get("QUESTDB_USER", "admin"),
                password=os.environ.get("QUESTDB_PASSWORD", "quest"),
                connect_timeout=max(int(timeout_s), 2),
                options=f"-c statement_timeout={int(timeout_s * 1000)}",
                autocommit=True,
                prepare_threshold=None,
            )
        except psycopg.OperationalError as error:
            raise SourceError(
                f"cannot be reached: {' '.join(str(error).split())}",
                file=self.name,
                remedy="check the address, QUESTDB_USER and QUESTDB_PASSWORD",
            ) from None

    def columns(self, table: str) -> dict[str, pa.DataType]:
        """Return the columns of a table."""
        with self._run(f"SELECT * FROM {statements.name(table)} LIMIT 0") as cursor:
            return {
                one.name: _TYPES.get(one.type_code, pa.string()) for one in cursor.description or ()
            }

    def ask(self, sql: str) -> list[list[Any]]:
        """Return the rows of a short answer."""
        with self._run(sql) as cursor:
            return [list(row) for row in cursor]

    def fetch(self, sql: str, types: dict[str, pa.DataType]) -> pa.Table:
        """Return the rows of a long answer."""
        schema = pa.schema(list(types.items()))
        batches = []
        with self._run(sql) as cursor:
            while some := cursor.fetchmany(_BATCH_ROWS):
                columns = zip(*some, strict=True)
                arrays = [
                    pa.array(column, kind)
                    for column, kind in zip(columns, types.values(), strict=True)
                ]
                batches.append(pa.record_batch(arrays, schema=schema))
        return pa.Table.from_batches(batches, schema)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def _run(self, sql: str) -> Any:
        cursor = self._connection.cursor()
        try:
            return cursor.execute(sql)
        except self._psycopg.errors.QueryCanceled as error:
            raise QueryTimeout("no answer in time", file=self.name) from error
        except self._psycopg.Error as error:
            kind = SourceError if self._connection.closed else Refused
            raise kind(
                f"the server refuses the statement: {' '.join(str(error).split())}", file=self.name
            ) from None

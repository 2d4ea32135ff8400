"""The ways to reach the rows of a QuestDB: HTTP, its PostgreSQL wire, or files exported from it."""

import os
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import pyarrow as pa

from mrtrade.errors import SourceError

TIMEOUT_S = 60.0
"""Longest wait for an answer; a window that takes longer is halved."""

Facts = tuple[int, Any, Any]
"""Number of rows, first and last time: ISO text, datetime, datetime64 or nanoseconds."""


class QueryTimeout(SourceError):
    """A statement that took too long: half the window may do."""


@dataclass(frozen=True)
class Span:
    """The rows of one symbol with ``low_ns <= when < high_ns``.

    Parameters
    ----------
    symbol_column, symbol : str
        Theirs.
    when : str
        Their column of times.
    low_ns, high_ns : int
        Nanoseconds, whole microseconds.
    is_time : bool
        Whether their column holds times; else numbers of nanoseconds.
    """

    symbol_column: str
    symbol: str
    when: str
    low_ns: int
    high_ns: int
    is_time: bool


class Transport(Protocol):
    """A way to ask a QuestDB.

    Attributes
    ----------
    name : str
        Where it leads, to be shown; never holds a password.
    """

    name: str

    def columns(self, table: str) -> dict[str, pa.DataType]:
        """Return the columns of a table: text, booleans, int64, float64, times with their unit.

        Raises
        ------
        SourceError
            If there is no such table.
        """
        ...

    def symbols(self, table: str, symbol: str, when: str) -> list[tuple[str | None, Any, Any]]:
        """Return each symbol of a table with its first and last time."""
        ...

    def facts(self, table: str, span: Span) -> Facts:
        """Return the number of rows of a window, and its first and last time."""
        ...

    def rows(self, table: str, columns: dict[str, pa.DataType], span: Span) -> pa.Table:
        """Return the rows of a window in order of time, as columns of the given types.

        Raises
        ------
        QueryTimeout
            If it took too long.
        """
        ...

    def close(self) -> None:
        """End the connection."""
        ...


def open_transport(
    address: str, *, plain_http: bool = False, timeout_s: float = TIMEOUT_S
) -> Transport:
    """Choose the way by the address.

    Parameters
    ----------
    address : str
        ``http(s)://host:9000``, ``postgresql://user@host:8812/qdb``, or a folder of exported files
        (``TABLE.csv``, ``TABLE.parquet``, or a folder ``TABLE`` of these). User, password and token
        come from QUESTDB_USER, QUESTDB_PASSWORD and QUESTDB_TOKEN.
    plain_http : bool
        Allow unencrypted HTTP to another machine.
    timeout_s : float

    Raises
    ------
    SourceError
        If nothing is there.
    """
    parts = urlsplit(address)
    if parts.password:
        raise SourceError(
            "the address holds a password, which others can see",
            key="address",
            remedy="leave it out and set QUESTDB_PASSWORD",
        )
    if parts.scheme in ("http", "https"):
        from mrtrade.data.questdb.http import HttpTransport

        return HttpTransport(address, plain_http=plain_http, timeout_s=timeout_s)
    if parts.scheme in ("postgresql", "postgres"):
        from mrtrade.data.questdb.pgwire import PgWireTransport

        return PgWireTransport(address, timeout_s=timeout_s)
    if os.path.isdir(address):
        from mrtrade.data.questdb.exported import ExportedFiles

        return ExportedFiles(address)
    raise SourceError(
        "neither an address of a QuestDB nor a folder",
        value=address,
        expected="http://host:9000, postgresql://user@host:8812/qdb or a folder of exported files",
    )

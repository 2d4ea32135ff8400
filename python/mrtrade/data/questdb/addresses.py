"""The ways to reach a QuestDB: HTTP, its PostgreSQL wire, or files exported from it."""

import os
from urllib.parse import urlsplit

from mrtrade.data.questdb.transports import Transport
from mrtrade.errors import SourceError

TIMEOUT_S = 60.0
"""Longest wait for an answer; a window that takes longer is halved."""


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

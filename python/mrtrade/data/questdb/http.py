"""QuestDB's REST interface: ``/exec`` for short answers, ``/exp`` for rows, as CSV."""

import base64
import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pyarrow as pa
import pyarrow.csv

from mrtrade.data.questdb import statements
from mrtrade.data.questdb.transports import QueryTimeout, Refused
from mrtrade.errors import SourceError

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_TRIES = 4
_TYPES = {
    "BOOLEAN": pa.bool_(),
    "BYTE": pa.int64(),
    "SHORT": pa.int64(),
    "INT": pa.int64(),
    "LONG": pa.int64(),
    "FLOAT": pa.float64(),
    "DOUBLE": pa.float64(),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
    "TIMESTAMP_NS": pa.timestamp("ns", "UTC"),
    "DATE": pa.timestamp("ms", "UTC"),
}  # whatever else is text


class HttpTransport(statements.SqlTransport):
    """A QuestDB by HTTP.

    Parameters
    ----------
    address : str
        ``http://host:9000``.
    plain_http : bool
        Allow unencrypted HTTP to another machine.
    timeout_s : float

    Raises
    ------
    SourceError
        If the address is another machine's and not encrypted.
    """

    def __init__(self, address: str, *, plain_http: bool, timeout_s: float) -> None:
        parts = urllib.parse.urlsplit(address)
        self.name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not plain_http:
            raise SourceError(
                "rows and credentials would cross the network unencrypted",
                key="address",
                value=self.name,
                remedy="use https, or --plain-http where the network is yours",
            )
        self._timeout_s = timeout_s
        self._headers = _authorization()

    def columns(self, table: str) -> dict[str, pa.DataType]:
        """Return the columns of a table."""
        answer = self._exec(f"SELECT * FROM {statements.name(table)} LIMIT 0")
        return {one["name"]: _TYPES.get(one["type"], pa.string()) for one in answer["columns"]}

    def ask(self, sql: str) -> list[list[Any]]:
        """Return the rows of a short answer."""
        rows: list[list[Any]] = self._exec(sql)["dataset"]
        return rows

    def fetch(self, sql: str, types: dict[str, pa.DataType]) -> pa.Table:
        """Return the rows of a long answer."""
        body = self._get("/exp", sql)
        read = pa.csv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,  # QuestDB quotes texts: "NA" is one
        )
        try:
            return pa.csv.read_csv(pa.BufferReader(body), convert_options=read)
        except (pa.ArrowException, KeyError) as error:
            raise SourceError(
                f"an answer that is not the CSV that was asked for: {_line(error)}",
                file=f"{self.name}/exp",
                value=body[:80].decode(errors="replace"),
            ) from error

    def close(self) -> None:
        """Do nothing: each statement is a connection of its own."""

    def _exec(self, sql: str) -> dict[str, Any]:
        body = self._get("/exec", sql)
        try:
            answer: dict[str, Any] = json.loads(body)
            answer["columns"], answer["dataset"]
        except (ValueError, KeyError, TypeError):
            raise SourceError(
                "an answer that is not QuestDB's JSON",
                file=f"{self.name}/exec",
                value=body[:80].decode(errors="replace"),
                remedy="check the address: QuestDB's REST port is 9000",
            ) from None
        return answer

    def _get(self, path: str, sql: str) -> bytes:
        url = f"{self.name}{path}?{urllib.parse.urlencode({'query': sql})}"
        request = urllib.request.Request(url)
        for header, value in self._headers.items():
            # Where the server sends us elsewhere, the credentials stay here.
            request.add_unredirected_header(header, value)
        for left in reversed(range(_TRIES)):
            try:
                with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:
                    body: bytes = answer.read()
                return body
            except urllib.error.HTTPError as error:
                with error:
                    if error.code < 500 or not left:
                        raise self._refused(error, error.read()) from None
            except TimeoutError:
                raise QueryTimeout(
                    "no answer in time", file=self.name, value=f"{self._timeout_s:g} s"
                ) from None
            except (OSError, http.client.HTTPException) as error:
                if isinstance(getattr(error, "reason", None), TimeoutError):
                    raise QueryTimeout("no connection in time", file=self.name) from None
                if not left:
                    raise SourceError(
                        f"cannot be reached: {_line(getattr(error, 'reason', error))}",
                        file=self.name,
                        remedy="check that QuestDB runs there, and run it again: what was copied "
                        "is kept",
                    ) from None
            time.sleep(0.1 * 2 ** (_TRIES - 1 - left))
        raise AssertionError("the last try either returned or raised")

    def _refused(self, error: urllib.error.HTTPError, body: bytes) -> SourceError:
        if error.code in (401, 403):
            return SourceError(
                "the server refuses the credentials",
                file=self.name,
                remedy="set QUESTDB_TOKEN, or QUESTDB_USER and QUESTDB_PASSWORD",
            )
        try:
            why = str(json.loads(body)["error"])
        except (ValueError, KeyError, TypeError):
            what = f"the server refuses the statement: HTTP {error.code}"
            return SourceError(
                what, file=self.name, remedy="check the address: QuestDB's REST port is 9000"
            )
        kind = Refused if error.code < 500 else SourceError
        return kind(f"the server refuses the statement: {why}", file=self.name)


def _authorization() -> dict[str, str]:
    if token := os.environ.get("QUESTDB_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    user, password = os.environ.get("QUESTDB_USER"), os.environ.get("QUESTDB_PASSWORD")
    if user and password:
        both = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {both}"}
    return {}


def _line(error: object) -> str:
    return " ".join(str(error).split())

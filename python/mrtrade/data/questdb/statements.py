"""The few statements that are sent, in the part of SQL that QuestDB documents.

QuestDB's HTTP takes text only, so names and values are quoted here, by doubling quotes; what could
end a line is refused. No COPY, DECLARE or DISTINCT ON: its PostgreSQL wire knows none of these.
"""

from abc import ABC, abstractmethod
from typing import Any

import pyarrow as pa

from mrtrade.clock import NS_PER_SECOND, utc_day
from mrtrade.data.questdb.transports import Facts, Span
from mrtrade.errors import SourceError


def name(identifier: str) -> str:
    """Quote the name of a table or column."""
    return '"' + _printable(identifier).replace('"', '""') + '"'


def text(value: str) -> str:
    """Quote a text."""
    return "'" + _printable(value).replace("'", "''") + "'"


def time(ns: int) -> str:
    """Write a time, nanoseconds, as a literal."""
    seconds, below = divmod(ns, NS_PER_SECOND)
    of_day = seconds % 86_400
    clock = f"{of_day // 3600:02d}:{of_day // 60 % 60:02d}:{of_day % 60:02d}"
    # Windows begin on whole microseconds, the resolution of QuestDB's TIMESTAMP.
    return f"'{utc_day(ns)}T{clock}.{below // 1000:06d}Z'"


class SqlTransport(ABC):
    """What the two transports that speak SQL share."""

    @abstractmethod
    def ask(self, sql: str) -> list[list[Any]]:
        """Return the rows of a short answer."""

    @abstractmethod
    def fetch(self, sql: str, types: dict[str, pa.DataType]) -> pa.Table:
        """Return the rows of a long answer as columns of the given types."""

    def symbols(self, table: str, symbol: str, when: str) -> list[tuple[str | None, Any, Any]]:
        """Return each symbol of a table with its first and last time."""
        who, at = name(symbol), name(when)
        sql = f"SELECT {who}, min({at}), max({at}) FROM {name(table)} GROUP BY {who} ORDER BY {who}"
        return [(one, first, last) for one, first, last in self.ask(sql)]

    def facts(self, table: str, span: Span) -> Facts:
        """Return the number of rows of a window, and its first and last time."""
        at = name(span.when)
        sql = f"SELECT count(*), min({at}), max({at}) FROM {name(table)} WHERE {_within(span)}"
        [(rows, first, last)] = self.ask(sql)
        return int(rows), first, last

    def rows(self, table: str, columns: dict[str, pa.DataType], span: Span) -> pa.Table:
        """Return the rows of a window, in order of time."""
        wanted = ", ".join(map(name, columns))
        sql = f"SELECT {wanted} FROM {name(table)} WHERE {_within(span)} ORDER BY {name(span.when)}"
        return self.fetch(sql, columns)


def _within(span: Span) -> str:
    write = time if span.is_time else str
    low, high = write(span.low_ns), write(span.high_ns)
    at, who = name(span.when), f"{name(span.symbol_column)} = {text(span.symbol)}"
    return f"{who} AND {at} >= {low} AND {at} < {high}"


def _printable(value: str) -> str:
    if not value or any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
        raise SourceError(
            "a name or value that is not sent", value=value, expected="text without control codes"
        )
    return value

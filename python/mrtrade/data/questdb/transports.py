"""What a way to reach the rows of a QuestDB is."""

from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from mrtrade.errors import SourceError

Facts = tuple[int, Any, Any]
"""Number of rows, first and last time: ISO text, datetime, datetime64 or nanoseconds."""


class QueryTimeout(SourceError):
    """A statement that took too long: half the window may do."""


class Refused(SourceError):
    """A statement that the source will not run, such as one of a table that it does not have."""


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
        Refused
            If there is no such table.
        SourceError
            If the source cannot be asked, or what it has cannot be read.
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

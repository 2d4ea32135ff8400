"""Who may write: session advisory locks of one database, one a series, and one over all.

A writer of some series holds the lock over all too, shared; a writer of everything holds it alone.
The locks live in the connection that the writing goes through: if that is lost, so are they, and
nothing can be written without them.
"""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from mrtrade.data.store import Series
from mrtrade.data.timescale.connection import Connection, Connections, told
from mrtrade.data.timescale.ledger import advisory_key
from mrtrade.instruments import to_lake

_ALL = "all"


class Writers:
    """The writing connection of each thread, and what it has locked."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._mine = threading.local()

    @contextmanager
    def writing(self, series: Collection[Series]) -> Iterator[Connection]:
        """Lend this thread's writing connection, with locks on some series, or on all for none.

        Blocks may be nested: the database counts how often a session holds a lock.
        """
        held: Connection | None = getattr(self._mine, "connection", None)
        if held is not None:
            with _locked(held, series), told(self._connections.settings):
                yield held
            return
        with self._connections.lend() as connection:
            self._mine.connection = connection
            try:
                with _locked(connection, series):
                    yield connection
            finally:
                self._mine.connection = None


@contextmanager
def _locked(connection: Connection, series: Collection[Series]) -> Iterator[None]:
    locks = [(_ALL, "_shared" if series else "")]
    # Sorted: two writers that name the same series never wait for each other in a circle.
    locks += [(name, "") for name in sorted({_name(*one) for one in series})]
    taken = []
    try:
        for name, mode in locks:
            connection.execute(f"SELECT pg_advisory_lock{mode}(%s)".encode(), [advisory_key(name)])
            taken.append((name, mode))
        yield
    finally:
        if not connection.closed and not connection.broken:
            for name, mode in reversed(taken):
                connection.execute(
                    f"SELECT pg_advisory_unlock{mode}(%s)".encode(), [advisory_key(name)]
                )


def _name(table: str, exchange: str, symbol: str) -> str:
    return f"{table}:{exchange.upper()}:{to_lake(symbol)}"

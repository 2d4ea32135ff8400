"""What a database holds, what its server offers, and what is left to do."""

from dataclasses import dataclass, field
from typing import Any

from mrtrade.data.schemas import SQL_NAMES
from mrtrade.data.timescale.connection import Connection, connect, told
from mrtrade.data.timescale.edition import Edition, find_edition
from mrtrade.data.timescale.migrations import is_set_up, migrations, pending
from mrtrade.data.timescale.settings import TimescaleSettings

_LOCAL = ("127.0.0.1", "::1", "localhost")
_WORKERS = 24  # six of ten jobs found none at their first start with PostgreSQL's default of 8


@dataclass(frozen=True)
class TableStatus:
    """One table of rows.

    Parameters
    ----------
    table, name : str
        Our name, and the SQL name.
    series, partitions, rows : int
    first_day, last_day : str
    size : int
        Bytes on the server's disk, with indexes.
    chunks, compressed : int
        Chunks, and those in the columnstore; 0 without hypertables.
    """

    table: str
    name: str
    series: int
    partitions: int
    rows: int
    first_day: str
    last_day: str
    size: int
    chunks: int
    compressed: int


@dataclass(frozen=True)
class Status:
    """A database.

    Parameters
    ----------
    url : str
    edition : Edition
    user : str
        Whom the server takes us for.
    writes : bool
        Whether that role may write.
    tls : str
        Version of TLS; empty without.
    size : int
        Bytes of the whole database.
    steps : int
        Migrations that are for this edition.
    pending : tuple of str
        Those that are not applied.
    tables : list of TableStatus
        Those that hold rows.
    refreshes : int
        Days whose aggregates wait to be brought up to date.
    warnings : tuple of str
    """

    url: str
    edition: Edition
    user: str
    writes: bool
    tls: str
    size: int
    steps: int
    pending: tuple[str, ...]
    tables: list[TableStatus] = field(default_factory=list)
    refreshes: int = 0
    warnings: tuple[str, ...] = ()


def status(settings: TimescaleSettings) -> Status:
    """Look at a database; changes nothing, and any role may.

    Raises
    ------
    StoreError
        If the server cannot be reached or refuses.
    """
    with connect(settings) as connection, told(settings):
        edition = find_edition(connection)
        lacking = tuple(step.file for step in pending(connection, settings))
        usable = is_set_up(connection) and "001_tables.sql" not in lacking
        user, size, tls, workers = _one(
            connection,
            "SELECT current_user, pg_database_size(current_database()), "
            "coalesce((SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()), ''), "
            "current_setting('max_worker_processes')::int",
        )
        return Status(
            url=settings.url,
            edition=edition,
            user=user,
            writes=usable and _one(connection, _MAY_WRITE)[0],
            tls=tls,
            size=size,
            steps=sum(not s.editions or edition.kind in s.editions for s in migrations()),
            pending=lacking,
            tables=_tables(connection, edition) if usable else [],
            refreshes=_refreshes(connection, edition) if usable and not lacking else 0,
            warnings=tuple(_warnings(settings, edition, tls, workers)),
        )


_MAY_WRITE = (
    "SELECT has_table_privilege('partitions', 'INSERT') "
    "AND current_setting('transaction_read_only') = 'off'"
)

_TABLES = """
SELECT table_name, count(DISTINCT symbol_id), count(*), sum(rows)::bigint,
       to_char(min(day), 'YYYY-MM-DD'), to_char(max(day), 'YYYY-MM-DD')
FROM partitions GROUP BY table_name ORDER BY table_name
"""

_CHUNKS = """
SELECT hypertable_name, count(*), count(*) FILTER (WHERE is_compressed)
FROM timescaledb_information.chunks WHERE hypertable_schema = 'public'
GROUP BY hypertable_name
"""


def _tables(connection: Connection, edition: Edition) -> list[TableStatus]:
    hyper = edition.timescale is not None
    size = "hypertable_size" if hyper else "pg_total_relation_size"
    chunks = {row[0]: row[1:] for row in connection.execute(_CHUNKS).fetchall()} if hyper else {}
    found = []
    for table, series, partitions, rows, first, last in connection.execute(_TABLES).fetchall():
        name = SQL_NAMES[table]
        [stored] = _one(connection, f"SELECT {size}(%s::regclass)", [name])
        here, compressed = chunks.get(name, (0, 0))
        found.append(
            TableStatus(
                table, name, series, partitions, rows, first, last, stored, here, compressed
            )
        )
    return found


def _refreshes(connection: Connection, edition: Edition) -> int:
    if edition.kind != "community":
        return 0
    return int(_one(connection, "SELECT count(DISTINCT (table_name, day)) FROM refreshes")[0])


def _warnings(settings: TimescaleSettings, edition: Edition, tls: str, workers: int) -> list[str]:
    found = []
    if not tls and settings.host not in _LOCAL and not settings.host.startswith("/"):
        found.append("the connection is not encrypted: set sslmode to verify-full")
    if edition.kind == "community" and workers < _WORKERS:
        found.append(
            f"max_worker_processes is {workers}, too few for background jobs: set {_WORKERS}"
        )
    return found


def _one(connection: Connection, query: str, parameters: list[Any] | None = None) -> Any:
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None  # these queries give one row
    return row

"""Three roles, each with no more rights than its work needs.

===================  ===========================================================================
`mrtrade_owner`      owns database and tables: migrates, refreshes aggregates, backs up
`mrtrade_ingest`     reads, and writes rows and their manifest; cannot change or drop a table
`mrtrade_read`       reads
===================  ===========================================================================
"""

from collections.abc import Mapping
from itertools import chain
from typing import Any

from psycopg import sql

from mrtrade.data.schemas import SQL_NAMES
from mrtrade.data.timescale.aggregates import AGGREGATES
from mrtrade.data.timescale.connection import Connection, connect, told
from mrtrade.data.timescale.edition import find_edition
from mrtrade.data.timescale.settings import PREFIX, TimescaleSettings, load_environment

ROLES = ("owner", "ingest", "read")

_READ_TIMEOUT = "300s"
_OTHERS = ("symbols", "partitions", "refreshes", "schema_migrations")


def role(kind: str) -> str:
    """Return the name of a role."""
    return f"mrtrade_{kind}"


def make_roles(
    settings: TimescaleSettings, environment: Mapping[str, str] | None = None
) -> dict[str, bool]:
    """Make the roles, with passwords from TIMESCALE_OWNER_PASSWORD and so on, and their rights.

    Run as a superuser, before or after the database is set up; may be run again, to change
    passwords too.

    Returns
    -------
    dict
        Role -> whether a password was set now.
    """
    environment = load_environment() if environment is None else environment
    made = {}
    with connect(settings) as connection, told(settings):
        for kind in ROLES:
            password = environment.get(f"{PREFIX}{kind.upper()}_PASSWORD", "")
            made[role(kind)] = bool(password)
            _make(connection, role(kind), password)
        _hand_over(connection, settings.database)
        grant(connection)
    return made


def grant(connection: Connection) -> None:
    """Give the roles, where they are, their rights to the tables that are there."""
    present = {
        name
        for (name,) in connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [[role(kind) for kind in ROLES]]
        )
    }
    rights = {name: "SELECT, INSERT, DELETE" for name in SQL_NAMES.values()}
    rights |= {
        "partitions": "SELECT, INSERT, UPDATE, DELETE",
        "symbols": "SELECT, INSERT",
        "refreshes": "SELECT, INSERT",
    }
    tables = [name for name, _ in _ours(connection)]
    for kind in ("ingest", "read"):
        if role(kind) not in present:
            continue
        name = sql.Identifier(role(kind))
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name))
        for table in tables:
            what = rights.get(table, "SELECT") if kind == "ingest" else "SELECT"
            connection.execute(
                sql.SQL("GRANT {} ON {} TO {}").format(
                    sql.SQL(what), sql.Identifier("public", table), name
                )
            )


def _make(connection: Connection, name: str, password: str) -> None:
    who = sql.Identifier(name)
    found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone()
    if found is None:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE").format(who)
        )
    if password:
        # Made here: the server, and its log, never see the password itself.
        secret = connection.pgconn.encrypt_password(
            password.encode(), name.encode(), b"scram-sha-256"
        ).decode()
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(who, sql.Literal(secret)))
    if name == role("read"):
        connection.execute(
            sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(who)
        )
        connection.execute(
            sql.SQL("ALTER ROLE {} SET statement_timeout = {}").format(who, _READ_TIMEOUT)
        )


def _hand_over(connection: Connection, database: str) -> None:
    """Make `mrtrade_owner` the owner of the database and of what is in it; let no one else in."""
    owner, here = sql.Identifier(role("owner")), sql.Identifier(database)
    for statement in (
        "ALTER DATABASE {here} OWNER TO {owner}",
        "REVOKE ALL ON DATABASE {here} FROM PUBLIC",
        "GRANT CONNECT ON DATABASE {here} TO {roles}",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        "GRANT USAGE, CREATE ON SCHEMA public TO {owner}",
    ):
        roles = sql.SQL(", ").join(sql.Identifier(role(kind)) for kind in ROLES)
        connection.execute(sql.SQL(statement).format(here=here, owner=owner, roles=roles))
    for name, kind in _ours(connection):
        connection.execute(
            sql.SQL("ALTER {} {} OWNER TO {}").format(
                sql.SQL(kind), sql.Identifier("public", name), owner
            )
        )


def _ours(connection: Connection) -> list[tuple[str, str]]:
    """Return the tables and views of ours that are there, and what ALTER calls them."""
    kept: set[tuple[Any, ...]] = set()
    if find_edition(connection).timescale is not None:
        views = "SELECT view_name FROM timescaledb_information.continuous_aggregates"
        kept = set(connection.execute(views))
    found = connection.execute(
        "SELECT relname, CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') "
        "AND relname = ANY(%s)",
        [[*SQL_NAMES.values(), *_OTHERS, *chain.from_iterable(AGGREGATES.values())]],
    )
    return [(name, "MATERIALIZED VIEW" if (name,) in kept else kind) for name, kind in found]

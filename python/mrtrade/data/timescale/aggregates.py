"""Continuous aggregates: brought up to date after rows of earlier times were written.

Only their owner may. Everyone else leaves the day in the table `refreshes`, in the transaction of
the rows, where the owner's next write, or ``mrtrade db refresh``, finds it. A failure between the
two loses nothing.
"""

import logging

import psycopg

from mrtrade.data.timescale.connection import Connection
from mrtrade.data.timescale.ledger import advisory_key

AGGREGATES = {
    "trades": ("trade_flow_1m", "trade_flow_1h"),
    "book_delta_v2": ("book_activity_1m",),
    "book_snapshots": ("book_snapshots_1m",),
}
"""Table of ours -> aggregates of its rows, finest first: a coarser one is made of a finer."""

_LOG = logging.getLogger("mrtrade")
_REFRESH = (
    "CALL refresh_continuous_aggregate(%s, %s::date::timestamptz, (%s::date + 1)::timestamptz)"
)
_KEY = advisory_key("refresh")  # one at a time: TimescaleDB refuses two of one aggregate


def ask(connection: Connection, table: str, day: str) -> None:
    """Note, in a transaction that changes rows of a day, that their aggregates are out of date."""
    if table in AGGREGATES:
        connection.execute("INSERT INTO refreshes (table_name, day) VALUES (%s, %s)", [table, day])


def may_refresh(connection: Connection) -> bool:
    """Whether we are who may bring the aggregates up to date."""
    row = connection.execute(
        "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'trade_flow_1m'::regclass"
    ).fetchone()
    return row is not None and bool(row[0])


def refresh(connection: Connection) -> int:
    """Bring the days that were noted up to date; returns how many there were.

    A day that cannot be stays noted; its error is raised when all others are done.
    """
    done = 0
    failed: psycopg.Error | None = None
    connection.execute("SELECT pg_advisory_lock(%s)", [_KEY])
    try:
        noted = connection.execute(
            "SELECT table_name, day, array_agg(refresh_id) FROM refreshes "
            "GROUP BY table_name, day ORDER BY table_name, day"
        ).fetchall()
        for table, day, numbers in noted:
            try:
                for name in AGGREGATES[table]:
                    connection.execute(_REFRESH, [name, day, day])
            except psycopg.Error as error:
                if connection.closed:
                    raise
                failed = failed or error
            else:
                connection.execute("DELETE FROM refreshes WHERE refresh_id = ANY(%s)", [numbers])
                done += 1
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", [_KEY])
    if failed is not None:
        raise failed
    return done


def refresh_after_write(connection: Connection) -> None:
    """Bring aggregates up to date where we may; the rows are stored, so that a failure is no error.

    It is logged, and what was noted stays.
    """
    try:
        if may_refresh(connection):
            refresh(connection)
    except psycopg.Error as error:
        _LOG.warning("aggregates are out of date until mrtrade db refresh: %s", error)

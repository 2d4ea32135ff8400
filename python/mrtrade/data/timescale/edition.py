"""Which of the three kinds of server this is, and what it can do."""

from dataclasses import dataclass
from typing import Any, Literal

import psycopg

Kind = Literal["plain", "apache", "community"]

_FACTS = """
SELECT current_setting('server_version'),
       (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),
       current_setting('timescaledb.license', true),
       EXISTS (SELECT FROM pg_settings WHERE name = 'timescaledb.enable_direct_compress_copy')
"""


@dataclass(frozen=True)
class Edition:
    """What a server offers to the database that we are connected to.

    Parameters
    ----------
    kind : {"plain", "apache", "community"}
        PostgreSQL; with TimescaleDB's hypertables; with its columnstore, continuous aggregates and
        policies too.
    postgres : str
        Version of PostgreSQL.
    timescale : str or None
        Version of the extension, where the database has it.
    direct : bool
        Whether COPY can go straight into the columnstore.
    """

    kind: Kind
    postgres: str
    timescale: str | None
    direct: bool

    def __str__(self) -> str:
        postgres = f"PostgreSQL {self.postgres.split()[0]}"
        if self.timescale is None:
            return postgres
        return f"TimescaleDB {self.timescale} ({self.kind}) on {postgres}"


def find_edition(connection: psycopg.Connection[Any]) -> Edition:
    """Return what the server offers."""
    row = connection.execute(_FACTS).fetchone()
    assert row is not None  # a SELECT without FROM
    postgres, version, licence, direct = row
    kind: Kind = "plain"
    if version is not None:
        kind = "community" if licence == "timescale" else "apache"
    return Edition(kind, postgres, version, direct and kind == "community")

"""The schema in steps: numbered SQL files, each applied once and whole.

``NNN_name.sql`` is for every server, ``NNN_name.EDITIONS.sql`` for those named, joined by ``-``.
What was applied is kept with the sha256 of its file: a file that was changed afterwards is an
error, since nobody could say what the database holds.
"""

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files

import psycopg

from mrtrade.data.timescale.connection import Connection, connect, told, told_error
from mrtrade.data.timescale.edition import find_edition
from mrtrade.data.timescale.ledger import advisory_key
from mrtrade.data.timescale.roles import grant
from mrtrade.data.timescale.settings import TimescaleSettings
from mrtrade.errors import StoreError

_NAME = re.compile(r"(\d{3})_(\w+)(?:\.([\w-]+))?\.sql")
_KEY = advisory_key("migrate")  # one at a time

_BOOTSTRAP = """
CREATE TABLE IF NOT EXISTS schema_migrations (
  file       text PRIMARY KEY,
  sha256     text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True)
class Migration:
    """One step.

    Parameters
    ----------
    file : str
    text : str
    editions : tuple of str
        Kinds of server it is for; empty: all.
    """

    file: str
    text: str
    editions: tuple[str, ...]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Return all steps, in order."""
    found = []
    for path in files("mrtrade.data.timescale").joinpath("sql").iterdir():
        match = _NAME.fullmatch(path.name)
        if match:
            editions = tuple(match[3].split("-")) if match[3] else ()
            found.append(Migration(path.name, path.read_text(encoding="utf-8"), editions))
    return sorted(found, key=lambda step: step.file)


def pending(connection: Connection, settings: TimescaleSettings) -> list[Migration]:
    """Return the steps that a database lacks.

    Raises
    ------
    StoreError
        If a step that was applied is no longer what it was.
    """
    kind = find_edition(connection).kind
    applied: dict[str, str] = {}
    if is_set_up(connection):
        applied = dict(connection.execute("SELECT file, sha256 FROM schema_migrations").fetchall())
    for step in migrations():
        if applied.get(step.file, step.sha256) != step.sha256:
            raise StoreError(
                f"{step.file} was changed after it was applied",
                file=settings.url,
                expected=f"sha256 {applied[step.file]}",
                remedy="install the version of mrtrade that set the database up, or a later one",
            )
    return [
        step
        for step in migrations()
        if step.file not in applied and (not step.editions or kind in step.editions)
    ]


def is_set_up(connection: Connection) -> bool:
    """Whether any step was applied to the database."""
    row = connection.execute("SELECT to_regclass('schema_migrations') IS NOT NULL").fetchone()
    return row is not None and bool(row[0])


def migrate(settings: TimescaleSettings) -> list[str]:
    """Bring a database up to this version; each step in a transaction of its own.

    Returns
    -------
    list of str
        Files applied, in order; empty when there was nothing to do.

    Raises
    ------
    StoreError
        If a step fails: it is undone, those before it stay.
    """
    applied = []
    with connect(settings) as connection, told(settings):
        connection.execute("SELECT pg_advisory_lock(%s)", [_KEY])
        connection.execute("SET statement_timeout = 0")  # a big table may be moved into chunks
        _check_encoding(connection, settings)
        _create_extension(settings)
        connection.execute(_BOOTSTRAP)
        for step in pending(connection, settings):
            with connection.transaction():
                connection.execute(step.text.encode())
                connection.execute(
                    "INSERT INTO schema_migrations (file, sha256) VALUES (%s, %s)",
                    [step.file, step.sha256],
                )
            applied.append(step.file)
        grant(connection)
    return applied


def _check_encoding(connection: Connection, settings: TimescaleSettings) -> None:
    row = connection.execute("SHOW server_encoding").fetchone()
    if row != ("UTF8",):
        raise StoreError(
            "the database does not keep text as UTF-8",
            file=settings.url,
            expected="encoding UTF8",
            remedy="make another: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0",
        )


def _create_extension(settings: TimescaleSettings) -> None:
    """Take TimescaleDB into the database, where the server has it.

    A server that has its files but did not load them at its start closes the connection. No setting
    that every role may read tells beforehand, so it is tried on a connection of its own.
    """
    with connect(settings) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_available_extensions "
            "WHERE name = 'timescaledb' AND installed_version IS NULL"
        ).fetchone()
        if row == (1,):
            try:
                connection.execute("CREATE EXTENSION timescaledb")
            except psycopg.Error as error:
                if not connection.closed:
                    raise told_error(error, settings) from error

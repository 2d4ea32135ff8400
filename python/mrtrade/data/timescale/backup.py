"""Backup and restore: pg_dump's file, with the manifest that it is held against afterwards.

A backup is a folder: ``dump``, in pg_dump's own format, and ``backup.json``, which says what it
holds and comes last, so that a folder without one is no backup. The dump sees one moment of the
database, writers go on meanwhile. A restore fills an empty database in one transaction, and then
reads every partition and holds it against its checksum.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from mrtrade.data.disk import sync
from mrtrade.data.timescale.connection import Connection, connect, told
from mrtrade.data.timescale.edition import find_edition
from mrtrade.data.timescale.migrations import is_set_up
from mrtrade.data.timescale.roles import grant
from mrtrade.data.timescale.settings import PREFIX, TimescaleSettings
from mrtrade.data.timescale.store import TimescaleStore
from mrtrade.errors import StoreError

_DUMP, _MANIFEST = "dump", "backup.json"

_LEDGER = """
SELECT table_name, exchange, symbol, day::text, rows, encode(sha256, 'hex'), sources::text
FROM partitions JOIN symbols USING (symbol_id)
ORDER BY table_name, exchange COLLATE "C", symbol COLLATE "C", day
"""


@dataclass(frozen=True)
class Backup:
    """What a backup holds.

    Parameters
    ----------
    database : str
        Address it was made of.
    taken : str
        When, ISO 8601, by the server's clock.
    postgres : int
        Major version of the server.
    timescale : str or None
        Version of TimescaleDB that the database had.
    edition : str
        ``plain``, ``apache`` or ``community``.
    partitions, rows : int
    ledger : str
        sha256 over the manifest of all partitions: their checksums and sources.
    size : int
        Bytes of the dump.
    sha256 : str
        Of the dump.
    """

    database: str
    taken: str
    postgres: int
    timescale: str | None
    edition: str
    partitions: int
    rows: int
    ledger: str
    size: int
    sha256: str


def backup(settings: TimescaleSettings, folder: str | os.PathLike[str]) -> Backup:
    """Write a backup of a database; the folder is there when all of it is, and not before.

    Parameters
    ----------
    settings : TimescaleSettings
        Of a role that may read everything: the owner.
    folder : path
        Must not be there yet.

    Raises
    ------
    StoreError
        If pg_dump is missing or older than the server, or fails; nothing is left then.
    """
    folder = Path(folder)
    if folder.exists():
        raise StoreError("is there already", file=folder, remedy="name a folder that is not there")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))  # its owner's
    except OSError as error:
        raise StoreError(
            f"cannot be made: {error.strerror}",
            file=folder,
            remedy="name a folder in one that is yours to write to",
        ) from error
    try:
        with connect(settings) as connection, told(settings):
            if not is_set_up(connection):
                raise StoreError("there is nothing to back up", file=settings.url)
            program = _program("pg_dump", _major(connection))
            with connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                # As long as the dump takes, this transaction keeps its moment visible.
                connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                [(moment, taken)] = connection.execute(
                    "SELECT pg_export_snapshot(), to_json(now())#>>'{}'"
                ).fetchall()
                facts = _facts(connection)
                _run(
                    settings,
                    program,
                    f"--snapshot={moment}",
                    "--format=custom",
                    "--file",
                    new / _DUMP,
                )
        found = Backup(
            database=settings.url,
            taken=taken,
            **facts,
            size=(new / _DUMP).stat().st_size,
            sha256=_sha256(new / _DUMP),
        )
        (new / _MANIFEST).write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")
        for path in (new / _DUMP, new / _MANIFEST, new):
            sync(path)
        new.rename(folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return found


def restore(settings: TimescaleSettings, folder: str | os.PathLike[str]) -> Backup:
    """Fill an empty database from a backup, and verify every partition of it.

    Roles and their passwords belong to the server and are not in a backup: make them with
    ``mrtrade db roles``, before or afterwards. Everything is owned by the role that restores.

    Raises
    ------
    StoreError
        If the backup was damaged, the database is not empty, the server does not offer the version
        of TimescaleDB that was backed up, or pg_restore is missing or fails; the database is as it
        was then. Also if what was restored is not what was backed up.
    """
    folder = Path(folder)
    found = _read(folder)
    with connect(settings) as connection, told(settings):
        program = _program("pg_restore", max(found.postgres, _major(connection)))
        _prepare(connection, settings, found)
        if found.timescale is not None:
            connection.execute("SELECT timescaledb_pre_restore()")
        try:
            _run(
                *(settings, program, "--single-transaction", "--no-owner", "--no-privileges"),
                # Connects as the environment says; without a name it would print the dump.
                *("--dbname=", folder / _DUMP),
            )
        finally:
            if found.timescale is not None:
                connection.execute("SELECT timescaledb_post_restore()")
        grant(connection)
        connection.execute("SET statement_timeout = 0")
        connection.execute("ANALYZE")
        facts = _facts(connection)
    if facts["ledger"] != found.ledger:
        raise StoreError(
            "the manifest that was restored is not the one that was backed up",
            file=settings.url,
            value=facts["ledger"],
            expected=found.ledger,
            remedy="drop the database and restore again",
        )
    with closing(TimescaleStore(settings=settings)) as store:
        faults = [fault for series in store.series() for fault in store.verify(*series)]
    if faults:
        raise StoreError(
            f"{len(faults)} partitions are not what was backed up: {faults[0]}",
            file=settings.url,
            remedy="drop the database and restore again",
        )
    return found


def _read(folder: Path) -> Backup:
    try:
        found = Backup(**json.loads((folder / _MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(
            f"not a backup: {error}",
            file=folder,
            remedy="name a folder that mrtrade db backup made",
        ) from error
    if _sha256(folder / _DUMP) != found.sha256:
        raise StoreError(
            "its bytes are not those that were written",
            file=folder / _DUMP,
            remedy="take another copy of the backup",
        )
    return found


def _prepare(connection: Connection, settings: TimescaleSettings, found: Backup) -> None:
    """See that a database can take a backup, and give it the extension."""
    if is_set_up(connection):
        raise StoreError(
            "the database is not empty",
            file=settings.url,
            remedy="restore into a new one: createdb NAME",
        )
    if found.timescale is not None:
        try:
            connection.execute(
                sql.SQL("CREATE EXTENSION IF NOT EXISTS timescaledb VERSION {}").format(
                    sql.Literal(found.timescale)
                )
            )
        except psycopg.Error as error:  # not installed, of another version, or not preloaded
            said = " ".join(str(error).split())
        else:
            said = ""
        has = "" if connection.closed else find_edition(connection).timescale
        if has != found.timescale:
            raise StoreError(
                f"the server does not offer the TimescaleDB that was backed up: {said or has}",
                file=settings.url,
                expected=f"TimescaleDB {found.timescale}",
                remedy="restore into a server that has it, and update the extension there",
            )


def _facts(connection: Connection) -> dict[str, Any]:
    """Return what a backup says of a database."""
    digest, partitions, rows = hashlib.sha256(), 0, 0
    for one in connection.execute(_LEDGER):
        digest.update(json.dumps(one).encode())
        partitions += 1
        rows += one[4]
    edition = find_edition(connection)
    return {
        "postgres": _major(connection),
        "timescale": edition.timescale,
        "edition": edition.kind,
        "partitions": partitions,
        "rows": rows,
        "ledger": digest.hexdigest(),
    }


def _major(connection: Connection) -> int:
    return connection.info.server_version // 10_000


def _program(name: str, major: int) -> str:
    """Return a client program of PostgreSQL that is no older than the server."""
    path = shutil.which(name)
    version = 0
    if path is not None:
        said = subprocess.run(
            [path, "--version"], env=_inherited(), capture_output=True, text=True, check=False
        )
        match = re.search(r"\) (\d+)", said.stdout)
        version = int(match[1]) if match else 0
    if path is None or version < major:
        raise StoreError(
            f"{name} of PostgreSQL {major} or later is needed"
            + (f", that on the PATH is {version}" if version else ", there is none on the PATH"),
            remedy=f"install it (Debian, Ubuntu: postgresql-client-{major}) and put it on the PATH",
        )
    return path


def _inherited() -> dict[str, str]:
    """Return our environment without what is only for us: passwords, above all."""
    return {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}


@contextmanager
def _environment(settings: TimescaleSettings) -> Iterator[tuple[dict[str, str], tuple[int, ...]]]:
    """Give the variables by which libpq connects, and descriptors that its program must inherit.

    The password is in neither argv nor environment, where lists of processes show it, but in a
    file without a name, which ends with us and the program.
    """
    values = settings.arguments()
    variables = _inherited()
    variables["PGDATABASE"] = values["dbname"]
    for name in ("host", "port", "user", "sslmode", "sslrootcert", "sslcert", "sslkey"):
        if values.get(name) is not None:
            variables[f"PG{name.upper()}"] = str(values[name])
    variables["PGCONNECT_TIMEOUT"] = str(values["connect_timeout"])
    password = values.get("password")
    if password is None:
        yield variables, ()
        return
    variables.pop("PGPASSWORD", None)
    with tempfile.TemporaryFile() as file:
        escaped = password.replace("\\", "\\\\").replace(":", "\\:")
        file.write(f"*:*:*:*:{escaped}\n".encode())
        file.flush()
        variables["PGPASSFILE"] = f"/dev/fd/{file.fileno()}"
        yield variables, (file.fileno(),)


def _run(settings: TimescaleSettings, program: str, *arguments: str | Path) -> None:
    with _environment(settings) as (variables, descriptors):
        done = subprocess.run(
            [program, "--no-password", *map(str, arguments)],
            env=variables,
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise StoreError(
            f"{Path(program).name} failed: {said[:2_000]}",
            file=settings.url,
            remedy="see what it says; run it as the owner of the database",
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""PostgreSQL and TimescaleDB as Debian trixie has them, in a folder (700 MB, made in a minute).

The server is a process of the folder (`chroot`), so that whatever this machine has installed does
not matter; that, and making the folder, needs root.
"""

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql

from .address import Server, ServerError, cache, described, made_once, need

_PACKAGES = "postgresql-17,postgresql-17-timescaledb"
_BIN = "/usr/lib/postgresql/17/bin"
_SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",
    "timezone": "'UTC'",
    "shared_buffers": "'256MB'",
    "max_wal_size": "'2GB'",
    "max_worker_processes": "24",
}
"""Anything else, fsync above all, as PostgreSQL has it by default."""
_TIMESCALE = {"shared_preload_libraries": "'timescaledb'", "timescaledb.telemetry_level": "'off'"}


def trixie() -> Path:
    """Return the folder of Debian trixie with both packages; made at first use."""
    return made_once(cache() / "trixie", _debootstrap)


def _debootstrap(folder: Path) -> None:
    need("debootstrap")
    if os.geteuid() != 0:
        raise ServerError(f"root is needed to make {folder} (debootstrap) and to start its servers")
    command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "trixie", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ServerError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr}")
    # A plain folder will do for the memory that backends share.
    shm = folder / "dev" / "shm"
    shm.mkdir(exist_ok=True)
    shm.chmod(0o1777)


class PostgresServer(Server):
    """A server of the folder; `log` is its log file, `bin` has client programs of its version."""

    def __init__(self, kind: str, settings: dict[str, str], *prefix: str) -> None:
        super().__init__(kind, secrets.token_hex(12))
        self._root = trixie()
        _remove_left(self._root)
        # The folder's name says who made it, so that what a killed run left can be told.
        self._folder = self._root / "srv" / f"{os.getpid()}-{kind}-{secrets.token_hex(4)}"
        self._prefix = prefix
        self._process: subprocess.Popen[bytes] | None = None
        self.data = self._folder / "data"
        self.log = self._folder / "log"
        self.bin = self._folder / "bin"
        self._init(settings)

    def _inside(self, path: Path) -> str:
        return f"/{path.relative_to(self._root)}"

    def _init(self, settings: dict[str, str]) -> None:
        self._folder.mkdir(parents=True)
        uid = int(_run("chroot", self._root, "id", "-u", "postgres"))
        os.chown(self._folder, uid, uid)
        secret = self._folder / "secret"
        secret.touch(0o600)
        os.chown(secret, uid, uid)
        secret.write_text(self.password)
        _run(
            *("chroot", "--userspec=postgres:postgres", self._root, f"{_BIN}/initdb"),
            *("-D", self._inside(self.data), "-U", self.user, "-A", "scram-sha-256"),
            f"--pwfile={self._inside(secret)}",
            *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
        )
        secret.unlink()
        settings = {**_SETTINGS, **settings, "port": str(self.port)}
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())
        self.bin.mkdir()
        loader = next((self._root / "lib64").glob("ld-linux-*.so.2"))
        libraries = next((self._root / "usr/lib").glob("*-linux-gnu"))
        for name in ("pg_dump", "pg_restore", "psql"):
            wrapper = self.bin / name
            wrapper.write_text(
                f'#!/bin/sh\nexec "{loader}" --library-path "{libraries}" '
                f'"{self._root}{_BIN}/{name}" "$@"\n'
            )
            wrapper.chmod(0o755)

    def start(self) -> None:
        """Start it and wait until it answers; `chroot` and `setpriv` become the postmaster."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._prefix,
                    *("chroot", str(self._root)),
                    # It goes with the process that started it, however that ends.
                    *("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"),
                    *("--pdeathsig=INT", f"{_BIN}/postgres", "-D", self._inside(self.data)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C goes to the tests, not to their server
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                with self.connect() as connection:
                    self.label = described(connection, timescale=self.kind == "native")
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    tail = self.log.read_text()[-2000:]
                    raise ServerError(f"the {self.kind} server did not start:\n{tail}") from error
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """Shut it down as an administrator would: sessions are ended, nothing is lost."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(2)  # SIGINT: fast shutdown
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """Kill the postmaster and all its children at once, as a power cut would.

        The postmaster alone would leave a backend that goes on to commit.
        """
        assert self._process is not None
        postmaster = psutil.Process(self.pid)
        postmaster.suspend()  # makes no more children
        children = postmaster.children(recursive=True)
        for process in (postmaster, *children):
            process.kill()
        psutil.wait_procs(children, timeout=30)
        self._process.wait(30)

    def remove(self) -> None:
        """Stop it and remove its data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def connect(self, database: str = "postgres", **options: Any) -> psycopg.Connection:
        """Connect as the superuser, in autocommit."""
        return psycopg.connect(
            self.url(database), **{"password": self.password, "autocommit": True, **options}
        )

    def make_database(self, name: str, tablespace: str = "pg_default") -> None:
        statement = sql.SQL("CREATE DATABASE {} TABLESPACE {}")
        with self.connect() as connection:
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(tablespace)))

    @contextmanager
    def small_disk(self, megabytes: int) -> Iterator[str]:
        """Give a tablespace on a disk of its own, in memory, that is soon full."""
        folder = self._folder / "disk"
        folder.mkdir()
        owner = self._folder.stat().st_uid
        options = f"size={megabytes}m,mode=700,uid={owner},gid={owner}"
        _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", folder)
        try:
            with self.connect() as connection:
                where = sql.Literal(self._inside(folder))
                connection.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(where))
            yield "small"
            with self.connect() as connection:
                connection.execute("DROP TABLESPACE small")
        finally:
            _run("umount", "-l", folder)
            folder.rmdir()

    def drop_database(self, name: str) -> None:
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        with self.connect() as connection:
            connection.execute(statement)


@contextmanager
def native(*prefix: str, **settings: str) -> Iterator[PostgresServer]:
    """Start TimescaleDB (Apache edition); `prefix` is put before its command."""
    yield from _running(PostgresServer("native", {**_TIMESCALE, **settings}, *prefix))


@contextmanager
def plain(*prefix: str, **settings: str) -> Iterator[PostgresServer]:
    """Start PostgreSQL without TimescaleDB: installed, but not preloaded."""
    yield from _running(PostgresServer("plain", settings, *prefix))


def _running(server: PostgresServer) -> Iterator[PostgresServer]:
    try:
        server.start()
        yield server
    finally:
        server.remove()


def _run(*command: str | Path) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if done.returncode:
        raise ServerError(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _remove_left(root: Path) -> None:
    """Remove data of servers whose run was killed."""
    for folder in (root / "srv").iterdir():
        owner = folder.name.partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)

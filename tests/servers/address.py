"""What a started server is to those who use it."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

HOST = "127.0.0.1"


class ServerError(Exception):
    """A server that should be there and is not; says what to install."""


class Server(ABC):
    """A running server: `host`, `port`, `user`, `password`, and `label`, what it says it is."""

    host = HOST
    user = "postgres"

    def __init__(self, kind: str, password: str) -> None:
        self.kind = kind
        self.port = free_port()
        self.password = password
        self.label = ""

    def url(self, database: str, user: str | None = None) -> str:
        """Address of a database; without the password, which goes through the environment."""
        return f"postgresql://{user or self.user}@{self.host}:{self.port}/{database}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the environment by which mrtrade is let in."""
        return {"TIMESCALE_PASSWORD": self.password}

    def how_to_reach(self) -> str:
        """Return the command of a person who wants to look at it."""
        return f"PGPASSWORD={self.password} psql {self.url('postgres')}"

    @abstractmethod
    def make_database(self, name: str) -> None:
        """Make an empty database."""

    @abstractmethod
    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""


def cache() -> Path:
    """Folder of what was downloaded and made, which outlives a run."""
    return Path(os.environ.get("MRTRADE_CACHE") or Path.home() / ".cache" / "mrtrade")


def need(*commands: str) -> None:
    """Fail, saying what to install, where a command is missing."""
    missing = [command for command in commands if shutil.which(command) is None]
    if missing:
        packages = sorted({"node": "nodejs"}.get(one, one) for one in missing)
        raise ServerError(
            f"no {', '.join(missing)} found (Debian: apt install {' '.join(packages)})"
        )


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder that `make` fills where it is missing; never seen half made."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process makes it, the others wait
        if not folder.is_dir():
            new = folder.with_name(f"{folder.name}.{os.getpid()}")
            try:
                make(new)
                new.rename(folder)
            finally:
                shutil.rmtree(new, ignore_errors=True)
    return folder


def free_port() -> int:
    """Return a port nobody listens on, below those that outgoing connections take."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        return port


def described(connection: psycopg.Connection, *, timescale: bool) -> str:
    """Return what a database server says it is."""
    [version] = connection.execute("SHOW server_version").fetchone()
    text = f"PostgreSQL {version.split()[0]}"
    if not timescale:
        return text
    with connection.transaction(force_rollback=True):  # its settings exist where it is created
        connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        [release, license] = connection.execute(
            "SELECT extversion, current_setting('timescaledb.license') FROM pg_extension "
            "WHERE extname = 'timescaledb'"
        ).fetchone()
    edition = {"timescale": "community", "apache": "Apache"}[license]
    return f"TimescaleDB {release} {edition} on {text}"

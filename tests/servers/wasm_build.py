"""TimescaleDB, community edition, compiled to WASM, under node behind `wasm/bridge.mjs`.

It has what no free native package has: columnstore, continuous aggregates and policies. What is
not real in it, says the bridge.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from .address import Server, ServerError, cache, described, made_once, need

_HERE = Path(__file__).parent / "wasm"


def modules() -> Path:
    """Return the folder of the npm packages that the lock file names; filled at first use."""
    need("node", "npm")
    digest = hashlib.sha256((_HERE / "package-lock.json").read_bytes()).hexdigest()
    return made_once(cache() / f"wasm-{digest[:12]}", _install) / "node_modules"


def _install(folder: Path) -> None:
    folder.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_HERE / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise ServerError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


class WasmServer(Server):
    """The bridge, and a database for each name that somebody connects to."""

    def __init__(self) -> None:
        super().__init__("wasm", "any")
        self._process = subprocess.Popen(
            ["node", str(_HERE / "bridge.mjs"), str(modules()), str(self.port)],
            stdin=subprocess.PIPE,  # the bridge ends with it, and so with this process
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        if self._process.stdout.readline() != b"listening\n":
            raise ServerError(f"the bridge to WASM did not start: node said {self._process.wait()}")
        with self.connect() as connection:
            self.label = f"{described(connection, timescale=True)}, WASM"
        self.drop_database("postgres")

    def connect(self, database: str = "postgres", **options: Any) -> psycopg.Connection:
        """Connect in autocommit."""
        # Connections share the names of prepared statements.
        fixed = {"password": self.password, "autocommit": True, "prepare_threshold": None}
        return psycopg.connect(self.url(database), **fixed | options)

    def how_to_reach(self) -> str:
        return f"PGPASSWORD={self.password} psql {self.url('mine')}  (a database a name)"

    def make_database(self, name: str) -> None:
        """Do nothing: the first connection makes it."""

    def drop_database(self, name: str) -> None:
        self._process.stdin.write(f"drop {name}\n".encode())
        self._process.stdin.flush()

    def remove(self) -> None:
        """End it with all its databases."""
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def wasm() -> Iterator[WasmServer]:
    """Start the WASM build."""
    server = WasmServer()
    try:
        yield server
    finally:
        server.remove()

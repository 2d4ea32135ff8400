"""Servers for pytest: a server starts once a run, and each test has a database of its own.

``@on("native", "plain")`` runs a test on each of them: `server` is the fixture to take, the test's
id and the end of the run say which it was. Tests of one server run in one process (xdist group), so
that it starts once. A server that cannot be started fails its tests.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from . import NAMES, Server

if TYPE_CHECKING:
    from .debian import PostgresServer
    from .moto_s3 import S3Server
    from .wasm_build import WasmServer

_PROPERTY = "server"


def pytest_configure(config: pytest.Config) -> None:
    names = ", ".join(NAMES)
    config.addinivalue_line("markers", f"server(name): runs on a real server, one of {names}")


def pytest_itemcollected(item: pytest.Item) -> None:
    for marker in item.iter_markers("server"):
        item.add_marker(pytest.mark.xdist_group(marker.args[0]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ran = Counter(
        value
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        for name, value in report.user_properties
        if name == _PROPERTY
    )
    if ran:
        terminalreporter.section("servers")
        for label, count in sorted(ran.items()):
            terminalreporter.line(f"{label}: {count} tests")


def _started(name: str) -> Iterator[Any]:
    from .start import SERVERS  # tests that want no server need no client of one

    with SERVERS[name]() as server:
        yield server


@pytest.fixture(scope="session")
def native_server() -> Iterator[PostgresServer]:
    yield from _started("native")


@pytest.fixture(scope="session")
def plain_server() -> Iterator[PostgresServer]:
    yield from _started("plain")


@pytest.fixture(scope="session")
def wasm_server() -> Iterator[WasmServer]:
    yield from _started("wasm")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    yield from _started("s3")


@pytest.fixture
def on_server(request: pytest.FixtureRequest) -> Callable[[Server], None]:
    """Return what notes on which server a test ran, for the end of the run."""

    def note(server: Server) -> None:
        request.node.user_properties.append((_PROPERTY, f"{server.kind}: {server.label}"))

    return note


@pytest.fixture
def server(request: pytest.FixtureRequest, on_server: Callable[[Server], None]) -> Server:
    """The server that `on` named for this run of the test."""
    server = request.getfixturevalue(f"{request.param}_server")
    on_server(server)
    return server


@pytest.fixture
def database() -> Iterator[Callable[[Server], str]]:
    """Return a function that makes an empty database (S3: bucket) on a server for one test."""
    made: list[tuple[Server, str]] = []

    def make(server: Server) -> str:
        name = f"test-{secrets.token_hex(6)}"
        server.make_database(name)
        made.append((server, name))
        return name

    yield make
    for server, name in made:
        server.drop_database(name)


def on(*names: str) -> pytest.MarkDecorator:
    """Run a test that takes the fixture `server` once on each server that is named."""
    marked = [pytest.param(name, marks=pytest.mark.server(name), id=name) for name in names]
    return pytest.mark.parametrize("server", marked, indirect=True)


__all__ = [
    "database",
    "native_server",
    "on_server",
    "plain_server",
    "pytest_configure",
    "pytest_itemcollected",
    "pytest_terminal_summary",
    "s3_server",
    "server",
    "wasm_server",
]

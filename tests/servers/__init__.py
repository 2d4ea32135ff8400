"""Real servers for tests and for a person at the keyboard, without docker.

=========  ==================================================================================
`native`   TimescaleDB, Apache edition, of Debian trixie in a folder (`tests.servers.debian`)
`plain`    PostgreSQL alone, the same binaries
`wasm`     TimescaleDB, community edition, compiled to WASM (`tests.servers.wasm_build`)
`s3`       an S3 that keeps objects in memory (`tests.servers.s3_stub`)
=========  ==================================================================================

What was downloaded lies in ``$MRTRADE_CACHE`` (default ``~/.cache/mrtrade``). Each start has a
port, a password and a data folder of its own, which go with it. ``python -m tests.servers native``
starts one and prints how to reach it; `tests.servers.plugin` gives them to pytest.
"""

from .address import Server, ServerError
from .debian import native, plain

SERVERS = {"native": native, "plain": plain}
"""Name -> context manager that gives a `Server`."""

__all__ = ["SERVERS", "Server", "ServerError", "native", "plain"]

"""Real servers for tests and for a person at the keyboard, without docker.

=========  ==================================================================================
`native`   TimescaleDB, Apache edition, of Debian trixie in a folder (`tests.servers.debian`)
`plain`    PostgreSQL alone, the same binaries
`wasm`     TimescaleDB, community edition, compiled to WASM (`tests.servers.wasm_build`)
`s3`       moto: an S3 that keeps its objects in memory (`tests.servers.moto_s3`)
=========  ==================================================================================

What was downloaded lies in ``$MRTRADE_CACHE`` (default ``~/.cache/mrtrade``). Each start has a
port, a password and a data folder of its own, which go with it. ``python -m tests.servers native``
starts one and prints how to reach it; `tests.servers.plugin` gives them to pytest.
"""

from .address import Server, ServerError
from .debian import native, plain
from .moto_s3 import s3
from .wasm_build import wasm

SERVERS = {"native": native, "plain": plain, "wasm": wasm, "s3": s3}
"""Name -> context manager that gives a `Server`."""

__all__ = ["SERVERS", "Server", "ServerError", "native", "plain", "s3", "wasm"]

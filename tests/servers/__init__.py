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

NAMES = ("native", "plain", "wasm", "s3")

__all__ = ["NAMES", "Server", "ServerError"]

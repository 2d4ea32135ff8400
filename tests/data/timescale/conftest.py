from collections.abc import Callable, Iterator

import pytest

from mrtrade.data.timescale import TimescaleSettings, TimescaleStore, migrate

from ...servers import Server


@pytest.fixture
def settings(server: Server, database: Callable[[Server], str]) -> TimescaleSettings:
    """An empty database on the server of the test."""
    return TimescaleSettings(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        database=database(server),
        lock_timeout_s=1,
        retries=1,
    )


@pytest.fixture
def store(settings: TimescaleSettings) -> Iterator[TimescaleStore]:
    """A store in a database that was set up."""
    migrate(settings)
    opened = TimescaleStore(settings=settings)
    yield opened
    opened.close()

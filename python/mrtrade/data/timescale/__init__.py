"""The store on a server, TimescaleDB or PostgreSQL; needs ``pip install "mrtrade[db]"``."""

from mrtrade.errors import ConfigError

try:
    import dotenv  # noqa: F401
    import psycopg_pool  # noqa: F401
except ImportError as error:
    raise ConfigError(
        "a store on a server needs psycopg", remedy='run: pip install "mrtrade[db]"'
    ) from error

from mrtrade.data.timescale.migrations import migrate
from mrtrade.data.timescale.overview import Status, status
from mrtrade.data.timescale.roles import make_roles
from mrtrade.data.timescale.settings import TimescaleSettings, load_settings
from mrtrade.data.timescale.store import TimescaleStore

__all__ = [
    "Status",
    "TimescaleSettings",
    "TimescaleStore",
    "load_settings",
    "make_roles",
    "migrate",
    "status",
]

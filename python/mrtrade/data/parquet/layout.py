"""Where a partition lies, and what its manifest says.

``<table>/exchange=E/symbol=S/dt=YYYY-MM-DD/part.parquet``, dt being the UTC day of `received_time`
and S Crypto Lake's spelling; beside each part its manifest, ``_manifest.json``: what other tools
read as Hive partitions.
"""

import json
import re
from typing import Any

from mrtrade.data.schemas import known_table
from mrtrade.data.store import Entry, Source
from mrtrade.errors import ConfigError
from mrtrade.instruments import from_lake, to_lake

PART = "part.parquet"
MANIFEST = "_manifest.json"  # other readers pass over names that begin with _ or .

ALL_PARTS = f"*/exchange=*/symbol=*/dt=*/{PART}"
"""Pattern of the keys of all parts."""

_EXCHANGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # it names a folder


def known_exchange(name: str) -> str:
    """Return an exchange as folders spell it."""
    if not _EXCHANGE.fullmatch(name):
        raise ConfigError(
            "not the name of an exchange",
            value=name,
            expected="letters, digits, _, . or -",
            remedy="write it as Crypto Lake does, e.g. BINANCE_FUTURES",
        )
    return name.upper()


def series_folder(table: str, exchange: str, symbol: str) -> str:
    """Return the key of the folder that holds the days of a series."""
    name = known_table(table).name
    return f"{name}/exchange={known_exchange(exchange)}/symbol={to_lake(symbol)}"


def day_folder(table: str, exchange: str, symbol: str, day: str) -> str:
    """Return the key of the folder of a partition."""
    return f"{series_folder(table, exchange, symbol)}/dt={day}"


def parse_key(key: str) -> tuple[str, str, str, str]:
    """Return table, exchange, symbol as users write it, and day of a part's key."""
    table, *values = key.split("/")[:4]
    exchange, symbol, day = (value.partition("=")[2] for value in values)
    return table, exchange, from_lake(symbol), day


def manifest_bytes(known: dict[str, Any]) -> bytes:
    """Spell a manifest."""
    return (json.dumps(known, indent=1) + "\n").encode()


def parse_manifest(content: bytes | None) -> dict[str, Any]:
    """Read a manifest; one that is missing or damaged says nothing."""
    try:
        known = json.loads(content or b"{}")
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}


def as_entry(known: dict[str, Any]) -> Entry:
    """Make an `Entry` of what a manifest says."""
    sources = [Source(**{**one, "days": tuple(one["days"])}) for one in known["sources"]]
    return Entry(**{**known, "sources": tuple(sources)})

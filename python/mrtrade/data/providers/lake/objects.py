"""What Crypto Lake's bucket holds: objects, and the days of a series that they make up.

``<root>/<table>/exchange=E/symbol=S/dt=YYYY-MM-DD/1.snappy.parquet``; a day may be of several
objects (shards), numbered. `dt` is a UTC day.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from mrtrade.clock import NS_PER_DAY, Scalar, to_ns, utc_day
from mrtrade.errors import ConfigError, SourceError
from mrtrade.instruments import to_lake, venue

LAKE_TABLES = (
    "book_delta_v2",
    "book",
    "trades",
    "level_1",
    "funding",
    "open_interest",
    "liquidations",
    "candles",
)
"""Tables of Crypto Lake that mrtrade reads."""

EVENT_TABLES = frozenset({"liquidations"})
"""Tables of rare events: a day on which nothing happened has no object."""

_NOT_READ = {
    "book_delta": "the first version of the deltas (nested lists of levels, no longer recorded)",
    "book_1m": "books by the minute, which mrtrade makes from book_delta_v2",
    "deep_book_1m": "deep books by the minute, of a layout that is not documented",
    "trades_mpid": "trades with participant ids, of a layout that is not documented",
}

_KEY = re.compile(r"exchange=([^/]+)/symbol=([^/]+)/dt=(\d{4}-\d{2}-\d{2})/([^/]+\.parquet)$")


class UnknownSeriesError(SourceError):
    """The bucket has nothing of a series, on any day."""


@dataclass(frozen=True)
class LakeObject:
    """One object of the bucket, as it was listed.

    Parameters
    ----------
    key : str
    size : int
        Bytes.
    etag : str
        Of its content, without quotes: a corrected day has another.
    modified : datetime
        When it was put there, UTC.
    """

    key: str
    size: int
    etag: str
    modified: datetime

    @property
    def filename(self) -> str:
        """Last part of the key, such as ``1.snappy.parquet``."""
        return self.key.rpartition("/")[2]


@dataclass(frozen=True)
class LakeDay:
    """One UTC day of a series, and the objects that hold it.

    Parameters
    ----------
    table, exchange, symbol : str
        In Crypto Lake's spelling.
    day : str
        ``YYYY-MM-DD``.
    objects : tuple of LakeObject
        In the order of their numbers; none where the bucket has nothing of that day.
    """

    table: str
    exchange: str
    symbol: str
    day: str
    objects: tuple[LakeObject, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all objects."""
        return sum(one.size for one in self.objects)

    def __str__(self) -> str:
        return f"{self.table} {self.exchange} {self.symbol} {self.day}"


def check_table(table: str) -> None:
    """Raise unless a table is one that mrtrade reads.

    Raises
    ------
    SourceError
        Saying what to use instead.
    """
    if table in LAKE_TABLES:
        return
    what = f"mrtrade does not read Crypto Lake's table {table}"
    if table in _NOT_READ:
        what += f": {_NOT_READ[table]}"
    near = get_close_matches(table, LAKE_TABLES, n=1) or ["book_delta_v2"]
    raise SourceError(
        what, expected=f"one of {', '.join(LAKE_TABLES)}", remedy=f"ask for {near[0]}"
    )


def lake_spelling(exchange: str, symbol: str) -> tuple[str, str]:
    """Return exchange and symbol as Crypto Lake spells them; the symbol's case is left alone."""
    return venue(exchange, symbol), to_lake(symbol)


def span_of(start: Scalar, end: Scalar) -> tuple[int, int]:
    """Return a span in nanoseconds, its end exclusive.

    Raises
    ------
    ConfigError
        If it is empty.
    """
    low, high = to_ns(start), to_ns(end)
    if low >= high:
        raise ConfigError(
            "the span is empty",
            value=f"{start} to {end}",
            expected="an end later than the start; it is exclusive",
            remedy="give the day after the last one wanted as the end",
        )
    return low, high


def days_of(low: int, high: int) -> list[str]:
    """Return the UTC days that a span touches."""
    return [utc_day(ns) for ns in range(low - low % NS_PER_DAY, high, NS_PER_DAY)]


def parse_key(key: str) -> tuple[str, str, str] | None:
    """Return exchange, symbol and day of a key; None if it is not that of an object with rows."""
    match = _KEY.search(key)
    return (match[1], match[2], match[3]) if match else None


def by_day(objects: Iterable[LakeObject]) -> dict[str, tuple[LakeObject, ...]]:
    """Gather objects of one series by day, shards in the order of their numbers."""
    found: dict[str, list[LakeObject]] = {}
    for one in objects:
        place = parse_key(one.key)
        if place:
            found.setdefault(place[2], []).append(one)
    return {day: tuple(sorted(ones, key=_number)) for day, ones in found.items()}


def _number(one: LakeObject) -> tuple[int, str]:
    number = re.match(r"\d+", one.filename)
    return (int(number[0]) if number else 0, one.filename)


def contents_of(keys: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Yield exchange, symbol and day of the keys that hold rows."""
    for key in keys:
        place = parse_key(key)
        if place:
            yield place

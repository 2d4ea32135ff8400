"""What a download would do, before any of it is done: days, bytes, room on the disks."""

import os
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from mrtrade.clock import NS_PER_DAY, Scalar, to_ns, utc_day
from mrtrade.data.download.receipts import Receipt, Version, read_receipt
from mrtrade.data.providers.lake import (
    LAKE_TABLES,
    CryptoLakeProvider,
    LakeDay,
    UnknownSeriesError,
)
from mrtrade.data.store import Entry, Store
from mrtrade.errors import ConfigError, SourceError, StoreError
from mrtrade.instruments import from_lake, to_lake, user_symbol, venue

SPOT_TABLES = ("book_delta_v2", "trades", "book", "candles")
"""What is downloaded by default; `book` seeds the book that the deltas change."""

PERPETUAL_TABLES = (*SPOT_TABLES, "funding", "open_interest", "liquidations")
"""The same for perpetuals."""

PUBLISHED_AFTER_NS = 2 * NS_PER_DAY
"""How long after its end a day may still be on its way to the bucket: it is no gap until then."""

STORED_PER_FETCHED = 1.5
"""Bytes that a folder of Parquet keeps for a byte fetched, at most, by what was measured."""

State = Literal["fetch", "held", "missing", "pending"]


@dataclass(frozen=True)
class PlannedDay:
    """One UTC day of one table.

    Parameters
    ----------
    lake : LakeDay
    state : str
        ``fetch``: the store lacks it, or has an older version; ``held``: the store has it;
        ``missing``: the bucket does not have it; ``pending``: not yet, it is too young.
    to_fetch : int
        Bytes that are not in the cache.
    receipt : Receipt or None
        What is known of this version.
    """

    lake: LakeDay
    state: State
    to_fetch: int
    receipt: Receipt | None

    @property
    def key(self) -> tuple[str, str]:
        """Table and day."""
        return self.lake.table, self.lake.day

    @property
    def size(self) -> int:
        """Bytes of its objects."""
        return self.lake.size


@dataclass(frozen=True)
class Need:
    """Room that is needed on one file system.

    Parameters
    ----------
    folders : tuple of Path
    size, free : int
        Bytes.
    """

    folders: tuple[Path, ...]
    size: int
    free: int


@dataclass(frozen=True)
class DownloadPlan:
    """What a download would do.

    Parameters
    ----------
    exchange, symbol : str
        As Crypto Lake, and as users, spell them.
    start_ns, end_ns : int
        The whole days asked for; `end_ns` is not of the span.
    tables : tuple of str
        That the bucket has something of.
    absent : tuple of str
        Default tables that it has nothing of in the span.
    days : tuple of PlannedDay
        By day, then by table.
    needs : tuple of Need
    in_flight : int
        Days of tables that may be fetched, or wait to be written, at a time: while the tables of
        one UTC day are written, those of the next are on their way.
    """

    exchange: str
    symbol: str
    start_ns: int
    end_ns: int
    tables: tuple[str, ...]
    absent: tuple[str, ...]
    days: tuple[PlannedDay, ...]
    needs: tuple[Need, ...]
    in_flight: int

    def of(self, table: str, state: State | None = None) -> list[PlannedDay]:
        """Return the days of a table, in order; of one state if given."""
        return [day for day in self.days if day.lake.table == table and state in (None, day.state)]

    @property
    def todo(self) -> list[PlannedDay]:
        """Days to fetch and write."""
        return [day for day in self.days if day.state == "fetch"]

    @property
    def to_fetch(self) -> int:
        """Bytes to come over the network."""
        return sum(day.to_fetch for day in self.todo)

    def check_room(self) -> None:
        """Raise unless the disks have room for all of it.

        Raises
        ------
        StoreError
        """
        for need in self.needs:
            if need.size > need.free:
                raise StoreError(
                    "not enough room on the disk",
                    file=" and ".join(map(str, need.folders)),
                    value=f"{need.free / 1e9:.2f} GB free",
                    expected=f"about {need.size / 1e9:.2f} GB for what is to be downloaded",
                    remedy="free some, choose other folders (--to, MRTRADE_LAKE_CACHE), "
                    "fewer tables or days, or do not keep the cache (--drop-cache)",
                )


def receipt_path(provider: CryptoLakeProvider, day: LakeDay) -> Path:
    """Return where the receipt of a day lies."""
    series = f"{day.table}/exchange={day.exchange}/symbol={day.symbol}"
    return provider.folder / ".receipts" / series / f"{day.day}.json"


def version_of(day: LakeDay) -> Version:
    """Return which version of a day's objects the bucket has."""
    return tuple((one.key, one.size, one.etag) for one in day.objects)


def make_plan(
    symbol: str,
    start: Scalar,
    end: Scalar | None,
    *,
    exchange: str,
    tables: Sequence[str] | None,
    store: Store,
    provider: CryptoLakeProvider,
    jobs: int,
    keep_cache: bool,
) -> DownloadPlan:
    """List what the bucket has, hold it against the store, and see whether there is room.

    Parameters
    ----------
    symbol, start, end, exchange, tables, store, provider, jobs, keep_cache
        As `mrtrade.data.download.download` has them.

    Raises
    ------
    ConfigError
        If the symbol, a table or the span is none.
    SourceError
        If the bucket cannot be read, or has nothing of all this.
    """
    exchange, symbol = venue(exchange, symbol), user_symbol(symbol)
    low, high = _span(start, end)
    asked = _tables(symbol, tables)
    today = to_ns(datetime.now(UTC))
    days: list[PlannedDay] = []
    ratios: dict[str, float] = {}
    unknown: dict[str, UnknownSeriesError] = {}
    for table in asked:
        try:
            listed = provider.plan(table, exchange, symbol, low, high)
        except UnknownSeriesError as error:
            unknown[table] = error
            listed = [
                LakeDay(table, exchange, to_lake(symbol), utc_day(ns))
                for ns in range(low, high, NS_PER_DAY)
            ]
        # A day may hold rows of its neighbours.
        near = (exchange, listed[0].symbol, low - NS_PER_DAY, high + NS_PER_DAY)
        stored = {entry.day: entry for entry in store.entries(table, *near)}
        ratios[table] = _stored_per_fetched(stored)
        days += [_planned(provider, day, stored, today) for day in listed]
    if len(unknown) == len(asked):
        raise unknown[asked[0]]
    here = {day.lake.table for day in days if day.lake.objects or day.state == "pending"}
    if not here - set(unknown):
        raise SourceError(
            f"Crypto Lake has nothing of {exchange} {to_lake(symbol)} "
            f"from {utc_day(low)} to {utc_day(high - 1)}",
            key=", ".join(asked),
            expected="days of which it has something",
            remedy="see which there are: mrtrade download --list --symbol "
            f"{symbol} --exchange {exchange}",
        )
    chosen = asked if tables else tuple(one for one in asked if one in here and one not in unknown)
    days = sorted(
        (day for day in days if day.lake.table in chosen),
        key=lambda day: (day.lake.day, asked.index(day.lake.table)),
    )
    symbol = from_lake(next(day.lake.symbol for day in days if day.lake.table not in unknown))
    in_flight = jobs + len(chosen)
    needs = _needs(days, store, provider, ratios, None if keep_cache else in_flight)
    absent = tuple(table for table in asked if table not in chosen)
    return DownloadPlan(exchange, symbol, low, high, chosen, absent, tuple(days), needs, in_flight)


def _span(start: Scalar, end: Scalar | None) -> tuple[int, int]:
    """Return the whole UTC days that hold a span; without an end, up to the last whole one."""
    low = to_ns(start) // NS_PER_DAY * NS_PER_DAY
    today = to_ns(datetime.now(UTC)) // NS_PER_DAY * NS_PER_DAY
    high = today if end is None else min(today, -(-to_ns(end) // NS_PER_DAY) * NS_PER_DAY)
    if low >= high:
        raise ConfigError(
            "no day to download",
            value=f"start {utc_day(low)}, end {utc_day(high)}",
            expected="a day that is over before the end, which is not of the span itself",
            remedy="give an earlier start, or a later end",
        )
    return low, high


def _tables(symbol: str, tables: Sequence[str] | None) -> tuple[str, ...]:
    if tables is None:
        return PERPETUAL_TABLES if symbol.endswith("-PERP") else SPOT_TABLES
    unknown = [table for table in tables if table not in LAKE_TABLES]
    if unknown or not tables:
        raise ConfigError(
            "not a table of Crypto Lake that mrtrade knows",
            key="tables",
            value=", ".join(unknown),
            expected=f"some of {', '.join(LAKE_TABLES)}",
            remedy="name other tables",
        )
    return tuple(dict.fromkeys(tables))


def _planned(
    provider: CryptoLakeProvider, day: LakeDay, stored: dict[str, Entry], today: int
) -> PlannedDay:
    if not day.objects:
        young = to_ns(day.day) + NS_PER_DAY + PUBLISHED_AFTER_NS > today
        return PlannedDay(day, "pending" if young else "missing", 0, None)
    receipt = read_receipt(receipt_path(provider, day), version_of(day))
    if receipt is not None and receipt.is_held(stored):
        return PlannedDay(day, "held", 0, receipt)
    return PlannedDay(day, "fetch", provider.to_fetch(day), receipt)


def _stored_per_fetched(stored: dict[str, Entry]) -> float:
    """Return the bytes kept for a byte fetched: what earlier days took, where there are some."""
    fetched = sum(source.size for entry in stored.values() for source in entry.sources)
    if not fetched:
        return STORED_PER_FETCHED
    return sum(entry.size for entry in stored.values()) / fetched


def _needs(
    days: Sequence[PlannedDay],
    store: Store,
    provider: CryptoLakeProvider,
    ratios: dict[str, float],
    in_flight: int | None,
) -> tuple[Need, ...]:
    todo = [day for day in days if day.state == "fetch"]
    to_cache = sorted((day.to_fetch for day in todo), reverse=True)
    to_store = [int(day.size * ratios[day.lake.table]) for day in todo]
    sizes = {provider.folder: sum(to_cache[:in_flight])}
    if "://" not in store.url:
        # A day is written beside its place before it is put there.
        sizes[Path(store.url)] = sum(to_store) + max(to_store, default=0)
    by_device: dict[int, list[Path]] = defaultdict(list)
    for folder in sizes:
        by_device[os.stat(_existing(folder)).st_dev].append(folder)
    return tuple(
        Need(
            tuple(folders),
            sum(sizes[folder] for folder in folders),
            shutil.disk_usage(_existing(folders[0])).free,
        )
        for folders in by_device.values()
    )


def _existing(folder: Path) -> Path:
    return next(one for one in (folder, *folder.absolute().parents) if one.exists())

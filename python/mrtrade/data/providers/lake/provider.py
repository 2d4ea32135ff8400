"""Crypto Lake as a source of data: what it has, what of it is missing, and the rows."""

import json
import os
import zlib
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd
import pyarrow as pa

from mrtrade.clock import NS_PER_DAY, Scalar, to_ns
from mrtrade.data.checks import Checks
from mrtrade.data.providers.lake.access import BUCKET, SAMPLE_BUCKET, Bucket
from mrtrade.data.providers.lake.cache import Progress, ReplacedError, fetched, forget_others, put
from mrtrade.data.providers.lake.files import LakeFile, rows_of
from mrtrade.data.providers.lake.objects import (
    LAKE_TABLES,
    LakeDay,
    LakeObject,
    UnknownSeriesError,
    by_day,
    check_table,
    contents_of,
    days_of,
    lake_spelling,
    span_of,
)
from mrtrade.data.providers.lake.reading import LakeGap, LakeStream, OnGap, OpenDay
from mrtrade.data.providers.lake.seeds import Restart, restarts, seed_bytes, seed_of, seed_path
from mrtrade.data.providers.lake.vendor import Vendor, installed
from mrtrade.data.schemas import TABLES
from mrtrade.errors import ConfigError, DataError, SourceError

Client = Literal["auto", "lakeapi", "s3"]

SMALL_TABLES = frozenset({"funding", "open_interest", "liquidations", "candles"})
"""Tables of megabytes a day at most."""


def cache_folder(cache: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of fetched objects: the one given, $MRTRADE_LAKE_CACHE, or the user's."""
    given = cache or os.environ.get("MRTRADE_LAKE_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    users = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(users) / "mrtrade" / "lake"


class CryptoLakeProvider:
    """Crypto Lake's bucket, read day by day through a cache of its own files.

    Parameters
    ----------
    cache : path, optional
        Folder of fetched objects; see `cache_folder`.
    sample : bool
        Whether to read the free sample bucket, which needs no keys.
    bucket : str, optional
        Another bucket, and a prefix after a slash.
    endpoint : str, optional
        Address of an S3 server other than AWS; the environment's AWS_ENDPOINT_URL does the same.
    profile : str, optional
        Of the AWS configuration files. Without it keys come from the environment
        (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), or from wherever boto3 finds them.
    client : "auto", "lakeapi" or "s3"
        What `load` reads the small tables with: the vendor's client, S3 itself, or the first where
        it is installed. Its ``.lake_cache`` is made in the folder of the cache.

    Attributes
    ----------
    folder : Path
        Where the objects of the bucket are: a folder in Crypto Lake's layout.
    gaps : list of LakeGap
        Those that the last `stream` or `load` begun has met so far.

    Raises
    ------
    SourceError
        From every method: one that says who refused what, and what to do. It holds no secret.

    Notes
    -----
    May be used from several threads at once.
    """

    def __init__(
        self,
        cache: str | os.PathLike[str] | None = None,
        *,
        sample: bool = False,
        bucket: str | None = None,
        endpoint: str | None = None,
        profile: str | None = None,
        client: Client = "auto",
    ) -> None:
        if client not in get_args(Client):
            raise ConfigError(
                "unknown client", value=client, expected=" or ".join(get_args(Client))
            )
        if client == "lakeapi" and endpoint:
            raise ConfigError(
                "lakeapi takes no endpoint", remedy="set AWS_ENDPOINT_URL in the environment"
            )
        where = bucket or (SAMPLE_BUCKET if sample else BUCKET)
        self._bucket = Bucket(where, endpoint, profile, anonymous=sample)
        self.folder = cache_folder(cache) / self._bucket.name
        self.gaps: list[LakeGap] = []
        self._uses_lakeapi = client == "lakeapi" or (
            client == "auto" and not endpoint and installed()
        )

    # ---- what there is

    def available(
        self, table: str | None = None, exchange: str | None = None, symbol: str | None = None
    ) -> pd.DataFrame:
        """Return the series that the bucket holds.

        Parameters
        ----------
        table, exchange, symbol : str, optional
            What to look for; without it, all. By the table's own list of contents, which may be
            some hours old, where there is one.

        Returns
        -------
        DataFrame
            table, exchange, symbol (Crypto Lake's spelling), days (how many), first, last
            (``YYYY-MM-DD``).
        """
        if table is not None:
            check_table(table)
        exchange = exchange and exchange.upper()
        if symbol is not None:
            exchange, symbol = lake_spelling(exchange or "", symbol)
        rows = [
            (one, *place)
            for one in ([table] if table else LAKE_TABLES)
            for place in contents_of(self._keys(one))
            if (not exchange or exchange == place[0])
            and (symbol is None or symbol.upper() == place[1].upper())
        ]
        frame = pd.DataFrame(rows, columns=["table", "exchange", "symbol", "day"])
        series = frame.drop_duplicates().groupby(["table", "exchange", "symbol"])["day"]
        return series.agg(days="size", first="min", last="max").reset_index()

    def plan(
        self, table: str, exchange: str, symbol: str, start: Scalar, end: Scalar
    ) -> list[LakeDay]:
        """Return the days of a span, and which objects hold them.

        Parameters
        ----------
        table, exchange, symbol : str
            In any spelling and case.
        start, end : time
            ``start <= received_time < end``, hours and all; without a zone, UTC.

        Returns
        -------
        list of LakeDay
            One a UTC day that the span touches; a day that the bucket lacks has no objects.

        Raises
        ------
        UnknownSeriesError
            For a series of which there is nothing at all, naming those that are spelled alike.
        SourceError
            Also for a table that mrtrade does not read.
        """
        check_table(table)
        exchange, symbol = lake_spelling(exchange, symbol)
        days = days_of(*span_of(start, end))
        symbol, found = self._listed(table, exchange, symbol, days)
        return [LakeDay(table, exchange, symbol, day, found.get(day, ())) for day in days]

    # ---- files

    def fetch(self, day: LakeDay, progress: Progress | None = None) -> list[LakeFile]:
        """Bring a day's objects into the cache; what is there already is not fetched again.

        Parameters
        ----------
        day : LakeDay
        progress : callable, optional
            Called with the bytes that came since it was last called.

        Returns
        -------
        list of LakeFile
            One an object, in order; none for a day without objects. If a day was corrected after
            it was listed, these are the corrected files.

        Raises
        ------
        SourceError
            If an object cannot be had; what has come of it stays in the cache, and the next call
            goes on from there.
        DataError
            If an object is whole, but no Parquet file with rows of the table.
        """
        tell = progress or _silent
        for _ in range(3):
            try:
                for one in day.objects:
                    fetched(self._bucket, one, self._path(day, one), tell)
                break
            except ReplacedError:  # corrected between list and fetch
                day = self._listed_again(day)
        else:
            raise SourceError(f"{day}: replaced again and again", remedy="try again later")
        forget_others(self._day_folder(day), {one.filename for one in day.objects})
        files = [
            LakeFile(self._path(day, one), day.table, day.exchange, day.symbol, day.day)
            for one in day.objects
        ]
        for file in files:
            _check(day, file)
        return files

    def seed(
        self, day: LakeDay, known_until: int | None = None, progress: Progress | None = None
    ) -> LakeFile | None:
        """Make the snapshots with which the book of a day of deltas begins, from `book`.

        A book is carried over midnight, so most days need none: only those before which deltas are
        missing, or in which more than ten minutes are. `mrtrade.data.providers.lake.seeds` says
        what is taken, and what is unknown then: the levels deeper than 20.

        Parameters
        ----------
        day : LakeDay
            Of `book_delta_v2`; its objects, and those of `book`, are fetched.
        known_until : int, optional
            `received_time` of the last delta before the day, in the store or in yesterday's file;
            None if there is none.
        progress : callable, optional
            As for `fetch`.

        Returns
        -------
        LakeFile or None
            Of the table `book_seed`; None if the day needs none, or `book` has none to give.
        """
        found = restarts(self.fetch(day, progress), known_until)
        path = seed_path(self._day_folder(day))
        seeds = [seed for seed in self._seeds(day, found, progress) if seed is not None]
        if not seeds:
            path.unlink(missing_ok=True)
            return None
        put(path, seed_bytes(seeds))
        return LakeFile(path, "book_seed", day.exchange, day.symbol, day.day)

    def to_fetch(self, day: LakeDay) -> int:
        """Return how many bytes of a day are not in the cache, by the sizes of its files."""
        held = (
            one
            for one in day.objects
            if (path := self._path(day, one)).is_file() and path.stat().st_size == one.size
        )
        return day.size - sum(one.size for one in held)

    def forget(self, day: LakeDay) -> None:
        """Remove a day's files from the cache."""
        forget_others(self._day_folder(day), set())

    # ---- rows

    def stream(
        self,
        table: str,
        exchange: str,
        symbol: str,
        start: Scalar,
        end: Scalar,
        *,
        on_gap: OnGap = "error",
    ) -> LakeStream:
        """Return the rows of a span, a table of about a quarter of a million at a time.

        Days are fetched when their turn comes; rows are as a store would hold them: checked, in the
        names and types of `mrtrade.data.schemas`, by received_time.

        Parameters
        ----------
        table, exchange, symbol, start, end
            As for `plan`.
        on_gap : "error" or "report"
            Whether a day that is missing or cannot be read is an error, or an entry of `gaps`. A
            missing day of rare events (`EVENT_TABLES`) is only ever an entry: nothing may have
            happened.

        Returns
        -------
        LakeStream
            An iterator of pyarrow.Table, with `gaps` and `findings`.

        Raises
        ------
        SourceError
            If days are missing: at once, before anything is fetched.
        DataError
            From the iterator, where a day cannot be read.
        """
        return self._stream(table, exchange, symbol, (start, end), self._rows, on_gap)

    def load(
        self,
        table: str,
        exchange: str,
        symbol: str,
        start: Scalar,
        end: Scalar,
        *,
        on_gap: OnGap = "error",
    ) -> pd.DataFrame:
        """Return the rows of a span as one frame.

        Small tables come through lakeapi where it is used, the others from `stream`; the frame is
        the same. For spans of millions of rows use `stream`.

        Returns
        -------
        DataFrame
            Columns and types of the table in `mrtrade.data.schemas`; times are int64 nanoseconds.
        """
        opened = self._rows
        if self._uses_lakeapi and table in SMALL_TABLES:
            vendor = self._new_vendor()

            def opened(day: LakeDay, checks: Checks) -> Iterator[pa.Table]:
                # lakeapi puts shard 10 before shard 2.
                return (vendor.rows if len(day.objects) == 1 else self._rows)(day, checks)

        tables = list(self._stream(table, exchange, symbol, (start, end), opened, on_gap))
        rows = pa.concat_tables([TABLES[table].schema.empty_table(), *tables])
        frame: pd.DataFrame = rows.to_pandas()
        return frame

    def used_data(self) -> dict[str, Any] | None:
        """Return what of the subscription's quota is used; None if that cannot be learned.

        Returns
        -------
        dict or None
            ``downloaded_gb``, ``timeframe_days``, ``user``, ``update_timestamp``, as lakeapi asks
            the vendor for them (the count is about an hour late).
        """
        if not self._uses_lakeapi or self._bucket.anonymous:
            return None
        return self._new_vendor().used_data()

    # ---- inside

    def _seeds(
        self, day: LakeDay, found: list[Restart], progress: Progress | None
    ) -> Iterator[pa.Table | None]:
        if not found:
            return
        low = to_ns(day.day)
        try:
            (shown,) = self.plan("book", day.exchange, day.symbol, low, low + NS_PER_DAY)
        except UnknownSeriesError:
            return
        books = self.fetch(shown, progress)
        yield from (seed_of(restart, books) for restart in found)

    def _stream(
        self,
        table: str,
        exchange: str,
        symbol: str,
        span: tuple[Scalar, Scalar],
        opened: OpenDay,
        on_gap: OnGap,
    ) -> LakeStream:
        low, high = span_of(*span)
        # The last candle of a day lies in the file of the next one.
        beyond = NS_PER_DAY if table == "candles" else 0
        days = self.plan(table, exchange, symbol, low, high + beyond)
        stream = LakeStream(days, (low, high), opened, on_gap)
        self.gaps = stream.gaps
        return stream

    def _rows(self, day: LakeDay, checks: Checks) -> Iterator[pa.Table]:
        return rows_of(self.fetch(day), checks)

    def _new_vendor(self) -> Vendor:
        return Vendor(self._bucket, self.folder.parent)

    def _listed(
        self, table: str, exchange: str, symbol: str, days: list[str]
    ) -> tuple[str, dict[str, tuple[LakeObject, ...]]]:
        """Return a symbol as the bucket spells it, and its objects by day."""
        # Exchanges of tokens have symbols in both cases (stSOL-USDC): as written comes first.
        spellings = list(dict.fromkeys((symbol, symbol.upper())))
        for spelled in spellings:
            prefix = self._prefix(table, exchange, spelled)
            beyond = f"{prefix}dt={days[-1]}0"  # "/" sorts before "0"
            listed = self._bucket.objects(
                prefix, after=f"{prefix}dt={days[0]}", limit=min(1000, 8 * len(days))
            )
            found = by_day(_before(beyond, listed))
            if found:
                return spelled, found
        for spelled in spellings:
            if any(True for _ in self._bucket.objects(self._prefix(table, exchange, spelled))):
                return spelled, {}
        raise self._unknown(table, exchange, symbol)

    def _listed_again(self, day: LakeDay) -> LakeDay:
        _, found = self._listed(day.table, day.exchange, day.symbol, [day.day])
        if day.day not in found:
            raise SourceError(f"{day}: taken out of the bucket", remedy="plan again")
        return LakeDay(day.table, day.exchange, day.symbol, day.day, found[day.day])

    def _unknown(self, table: str, exchange: str, symbol: str) -> SourceError:
        root = f"{self._bucket.root}{table}/"
        exchanges = [name.partition("=")[2] for name in self._bucket.folders(root)]
        if exchange in exchanges:
            symbols = self._bucket.folders(f"{root}exchange={exchange}/")
            near = _near(symbol, [name.partition("=")[2] for name in symbols])
            what = f"{exchange} has no {table} of {symbol}"
        else:
            near = _near(exchange, exchanges)
            what = f"there is no {table} of {exchange}"
        return UnknownSeriesError(
            f"s3://{self._bucket.name}: {what}",
            expected="a series that `mrtrade download --list` shows" if not near else None,
            remedy=f"did you mean {' or '.join(near)}?" if near else "check the spelling",
        )

    def _keys(self, table: str) -> Iterable[str]:
        contents = f"{self._bucket.root}{table}/contents.json.gz"
        try:
            body = self._bucket.tried(
                f"read {contents}", lambda: self._bucket.get(contents)["Body"].read()
            )
            keys: list[str] = json.loads(zlib.decompress(body))["objects"]  # zlib, despite its name
            return keys
        except (SourceError, zlib.error, ValueError, KeyError):
            # The sample has none; where keys are refused, the listing says so.
            return (one.key for one in self._bucket.objects(f"{self._bucket.root}{table}/"))

    def _prefix(self, table: str, exchange: str, symbol: str) -> str:
        return f"{self._bucket.root}{table}/exchange={exchange}/symbol={symbol}/"

    def _day_folder(self, day: LakeDay) -> Path:
        return (
            self.folder
            / day.table
            / f"exchange={day.exchange}"
            / f"symbol={day.symbol}"
            / f"dt={day.day}"
        )

    def _path(self, day: LakeDay, one: LakeObject) -> Path:
        return self._day_folder(day) / one.filename


def _before(key: str, objects: Iterable[LakeObject]) -> Iterable[LakeObject]:
    return takewhile(lambda one: one.key < key, objects)


def _silent(count: int) -> None:
    pass


def _near(name: str, names: list[str]) -> list[str]:
    by_capitals = {one.upper(): one for one in names}
    return [by_capitals[one] for one in get_close_matches(name.upper(), by_capitals, n=3)]


def _check(day: LakeDay, file: LakeFile) -> None:
    try:
        file.inspect(Checks())[0].close()
    except DataError as error:
        raise DataError(
            f"{day}: what Crypto Lake holds of this day cannot be read: {error.what}",
            file=file.path,
            key=error.key,
            value=error.value,
            expected=error.expected,
            remedy="go on without this day, tell Crypto Lake, and fetch it again when corrected",
        ) from error

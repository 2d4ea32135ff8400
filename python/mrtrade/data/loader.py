"""Frames for research, from any store.

Every frame is indexed by ``time``, UTC, the time from which a row was known: what was received
later is not in it. Bars and books stand at the *end* of their interval: asked for from `start` to
`end`, they are those that end after `start`, begin no earlier, and end by `end`. Events (trades,
funding, open interest, liquidations) are those of ``start <= received_time < end``.

Bars and books are kept in a cache (`mrtrade.data.cache`); each ``load_*`` has an ``iter_*`` that
gives the same frame in pieces, for spans larger than memory. Columns and units are told in
``docs/loading.md``.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND, Scalar, duration_ns, from_ns, to_ns, utc_day
from mrtrade.data.book_snapshots import BookSampler, write_snapshots
from mrtrade.data.cache import FrameCache
from mrtrade.data.candles import Bars, CandleBars, TradeBars, grid
from mrtrade.data.frames import frame_of, frame_of_events
from mrtrade.data.schemas import BOOK_DEPTH
from mrtrade.data.store import Entry, Store, open_store
from mrtrade.data.streams import MAX_GAP_NS, Ints
from mrtrade.data.tape import find_instrument
from mrtrade.errors import ConfigError, StoreError
from mrtrade.instruments import Instrument, user_symbol, venue

CHUNK = "1d"
"""Span of the pieces in which bars and books are made."""

EVENT_ROWS = 1_000_000
"""Rows of the pieces in which events are given out."""

NS_PER_MINUTE = 60 * NS_PER_SECOND

_BOOK = ("book_delta_v2", "book_seed")
_Pieces = Iterator[pd.DataFrame]


class DataLoader:
    """Loads what a store holds of an exchange.

    Parameters
    ----------
    exchange : str
        ``binance`` stands for its three markets: a symbol says which one (see
        `mrtrade.instruments.venue`).
    store : Store, str or path, optional
        A store, or the address of one; default ``$MRTRADE_STORE``, else ``store``.
    cache : FrameCache or False, optional
        Where frames are kept; default: `FrameCache` in ``$MRTRADE_CACHE_DIR``, else in the user's
        cache folder. False: nowhere.

    Raises
    ------
    StoreError
        By every method: if the store holds nothing of what was asked, or is written to meanwhile.
    ConfigError
        By every method: if start is not before end, or a symbol, a length of time or an instrument
        cannot be read.
    DataError
        If a stored price or size is not on the instrument's grid.
    """

    def __init__(
        self,
        exchange: str = "binance",
        store: Store | str | os.PathLike[str] | None = None,
        cache: FrameCache | bool | None = None,
    ) -> None:
        self.exchange = exchange
        if store is None:
            store = os.environ.get("MRTRADE_STORE") or "store"
        self.store: Store = open_store(store) if isinstance(store, str | os.PathLike) else store
        if isinstance(cache, bool) or cache is None:
            cache = None if cache is False else FrameCache()
        self.cache = cache

    # ---- bars

    def load_ohlcv(
        self,
        symbol: str,
        interval: str | int = "1m",
        start: Scalar | None = None,
        end: Scalar | None = None,
    ) -> pd.DataFrame:
        """Load bars of the exchange.

        They are taken from stored candles of that length; else made from shorter candles that
        divide it; else from trades. Which it was stands in ``.attrs["source"]``.

        Parameters
        ----------
        symbol : str
            As in ``BTC/USDT``.
        interval : str or int
            Length of a bar, such as ``1m``; ns.
        start, end : time, optional
            Default: all that is stored.

        Returns
        -------
        DataFrame
            ``open, high, low, close`` (quote), ``volume`` (base), ``trades`` (count), ``known``
            (UTC; later than the index where something of the bar was received after its end). The
            frame begins and ends with a whole bar. In between no bar is left out: one without
            trades has a volume of 0 and no prices, one that is not known is NaN.
        """
        return self._whole(self._ohlcv(symbol, interval, start, end, CHUNK))

    def iter_ohlcv(
        self,
        symbol: str,
        interval: str | int = "1m",
        start: Scalar | None = None,
        end: Scalar | None = None,
        *,
        chunk: str | int = CHUNK,
    ) -> Iterator[pd.DataFrame]:
        """Yield the frame of `load_ohlcv` in pieces that span `chunk`."""
        return self._ohlcv(symbol, interval, start, end, chunk).pieces()

    def _ohlcv(
        self,
        symbol: str,
        interval: str | int,
        start: Scalar | None,
        end: Scalar | None,
        chunk: str | int,
    ) -> "_Job":
        where = self._where(symbol)
        length, span = duration_ns(interval), duration_ns(chunk)
        tables = self._held(("candles", "trades"), where)
        low, high = self._span(tables, where, start, end)

        def make() -> _Pieces:
            bars: Bars | None = None
            for kind in (CandleBars, TradeBars):
                bars = kind(self.store, where, length, low, high)
                if bars.stops[0] <= bars.stops[1]:
                    break
            else:
                raise self._nothing(f"whole bar of {interval}", tables, where, low, high)
            for stops in _grid_pieces(*bars.stops, length, span):
                frame = frame_of(stops, bars.at(stops))
                frame.attrs["source"] = bars.source
                yield frame

        return _Job(self.store, where, tables, low, high, ["ohlcv", length], make)

    # ---- books

    def load_order_book_snapshots(
        self,
        symbol: str,
        start: Scalar | None = None,
        end: Scalar | None = None,
        interval: str | int = "1m",
        depth: int = BOOK_DEPTH,
        *,
        tick_size: float | None = None,
        lot_size: float | None = None,
    ) -> pd.DataFrame:
        """Load the book at the end of each interval, rebuilt from the deltas received by then.

        Parameters
        ----------
        symbol : str
        start, end : time, optional
            Default: all that is stored.
        interval : str or int
            Such as ``1m`` or ``100ms``; ns.
        depth : int
            Levels a side.
        tick_size, lot_size : float, optional
            Of an instrument that ``config/exchanges.yaml`` does not know.

        Returns
        -------
        DataFrame
            ``origin_time, received_time`` (UTC, of the last event known), ``sequence_number`` (-1:
            none), ``seeded`` (whether a snapshot stands behind the book), and ``bid_0_price,
            bid_0_size, ...`` (quote, base; inverse: contracts). Levels are NaN where the book has
            none, and from ten minutes into a pause of the recording to its end.
        """
        steps = {"tick_size": tick_size, "lot_size": lot_size}
        return self._whole(self._snapshots(symbol, start, end, interval, depth, steps, CHUNK))

    def iter_order_book_snapshots(
        self,
        symbol: str,
        start: Scalar | None = None,
        end: Scalar | None = None,
        interval: str | int = "1m",
        depth: int = BOOK_DEPTH,
        *,
        tick_size: float | None = None,
        lot_size: float | None = None,
        chunk: str | int = CHUNK,
    ) -> Iterator[pd.DataFrame]:
        """Yield the frame of `load_order_book_snapshots` in pieces that span `chunk`."""
        steps = {"tick_size": tick_size, "lot_size": lot_size}
        return self._snapshots(symbol, start, end, interval, depth, steps, chunk).pieces()

    def store_snapshots(
        self,
        symbol: str,
        start: Scalar | None = None,
        end: Scalar | None = None,
        *,
        tick_size: float | None = None,
        lot_size: float | None = None,
    ) -> list[Entry]:
        """Write the book of every minute into the store's table ``book_snapshots``, 20 levels deep.

        Whole UTC days are written, each in place of what was there before; a day made from the same
        deltas is not written again. Minutes without a book that began with a snapshot are left out.

        Parameters
        ----------
        symbol : str
        start, end : time, optional
            The days that ``start <= time < end`` touches; default: all that is stored.
        tick_size, lot_size : float, optional
            Of an instrument that ``config/exchanges.yaml`` does not know.

        Returns
        -------
        list of Entry
            The days written.
        """
        steps = {"tick_size": tick_size, "lot_size": lot_size}
        where = self._where(symbol)
        tables = self._held(_BOOK, where, _BOOK[:1])
        low, high = self._span(tables, where, start, end)
        low, high = low // NS_PER_DAY * NS_PER_DAY, -(-high // NS_PER_DAY) * NS_PER_DAY
        # A day begins with the book of its midnight.
        begin = low - NS_PER_MINUTE
        job = self._snapshots(symbol, begin, high - 1, "1m", BOOK_DEPTH, steps, CHUNK)
        return write_snapshots(self.store, where, job.pieces())

    def _snapshots(
        self,
        symbol: str,
        start: Scalar | None,
        end: Scalar | None,
        interval: str | int,
        depth: int,
        steps: dict[str, float | None],
        chunk: str | int,
    ) -> "_Job":
        where = self._where(symbol)
        length, span = duration_ns(interval), duration_ns(chunk)
        if depth < 1:
            raise ConfigError("not a depth", key="depth", value=depth, expected="1 level or more")
        tables = self._held(_BOOK, where, _BOOK[:1])
        low, high = self._span(tables, where, start, end)
        terms = self._instrument(where, steps)

        def make() -> _Pieces:
            known = _received(self.store, tables, where, low, high)
            first, last = grid(low, high, length)
            if known is not None:
                first = max(first, -(-known[0] // length) * length)
                last = min(last, known[1] // length * length)
            if known is None or first > last:
                raise self._nothing(f"book every {interval}", tables, where, low, high)
            book = BookSampler(self.store, terms, low, high + 1, depth)
            for times in _grid_pieces(first, last, length, span):
                yield frame_of(times, book.at(times))

        params = ["snapshots", length, depth, terms.tick_size, terms.lot_size]
        return _Job(self.store, where, tables, low, high, params, make)

    # ---- events

    def load_trades(
        self, symbol: str, start: Scalar | None = None, end: Scalar | None = None
    ) -> pd.DataFrame:
        """Load trades.

        Returns
        -------
        DataFrame
            ``origin_time`` (UTC; NaT: none given), ``side`` (of the aggressor), ``quantity`` (base;
            inverse: contracts), ``price`` (quote), ``trade_id``.
        """
        return self._events("trades", symbol, start, end)

    def load_funding(
        self, symbol: str, start: Scalar | None = None, end: Scalar | None = None
    ) -> pd.DataFrame:
        """Load funding, as it was announced.

        Returns
        -------
        DataFrame
            ``origin_time`` (UTC), ``mark_price, index_price`` (quote), ``rate`` (fraction of the
            notional, for the period that ends at ``next_funding_time``, UTC).
        """
        return self._events("funding", symbol, start, end)

    def load_open_interest(
        self, symbol: str, start: Scalar | None = None, end: Scalar | None = None
    ) -> pd.DataFrame:
        """Load open interest.

        Returns
        -------
        DataFrame
            ``origin_time`` (UTC), ``open_interest`` (base; inverse: contracts).
        """
        return self._events("open_interest", symbol, start, end)

    def load_liquidations(
        self, symbol: str, start: Scalar | None = None, end: Scalar | None = None
    ) -> pd.DataFrame:
        """Load liquidations.

        Returns
        -------
        DataFrame
            ``origin_time`` (UTC), ``side`` (of the order: sell where a long was closed),
            ``quantity`` (base; inverse: contracts), ``price`` (quote), ``liquidation_id, status``.
        """
        return self._events("liquidations", symbol, start, end)

    def iter_trades(
        self,
        symbol: str,
        start: Scalar | None = None,
        end: Scalar | None = None,
        *,
        rows: int = EVENT_ROWS,
    ) -> Iterator[pd.DataFrame]:
        """Yield the frame of `load_trades` in pieces of so many rows; the last may be shorter."""
        where = self._where(symbol)
        self._held(("trades",), where)
        low, high = self._span(("trades",), where, start, end)
        if rows < 1:
            raise ConfigError("not a number of rows", key="rows", value=rows, expected="1 or more")
        return self._event_pieces(where, low, high, rows)

    def _event_pieces(self, where: tuple[str, str], low: int, high: int, rows: int) -> _Pieces:
        before = self.store.entries("trades", *where, low, high)
        waiting: list[pa.Table] = []
        for chunk in self.store.batches("trades", *where, low, high):
            waiting.append(chunk.rows)
            held = sum(len(part) for part in waiting)
            if held >= rows:
                table = pa.concat_tables(waiting)
                for at in range(0, held - rows + 1, rows):
                    yield frame_of_events(table.slice(at, rows))
                waiting = [table.slice(held - held % rows)]
        rest = pa.concat_tables(waiting) if waiting else None
        if rest is None:
            raise self._nothing("trades", ("trades",), where, low, high)
        if len(rest):
            yield frame_of_events(rest)
        _refuse_change(before, self.store.entries("trades", *where, low, high))

    def _events(
        self, table: str, symbol: str, start: Scalar | None, end: Scalar | None
    ) -> pd.DataFrame:
        where = self._where(symbol)
        self._held((table,), where)
        low, high = self._span((table,), where, start, end)
        before = self.store.entries(table, *where, low, high)
        rows = self.store.read(table, *where, low, high)
        _refuse_change(before, self.store.entries(table, *where, low, high))
        if not len(rows):
            raise self._nothing(table, (table,), where, low, high)
        return frame_of_events(rows)

    # ---- what is asked

    def _whole(self, job: "_Job") -> pd.DataFrame:
        def make() -> pd.DataFrame:
            pieces = list(job.pieces())
            whole = pieces[0] if len(pieces) == 1 else pd.concat(pieces)
            whole.attrs = pieces[0].attrs
            return whole

        return make() if self.cache is None else self.cache.frame(job.content(), make)

    def _where(self, symbol: str) -> tuple[str, str]:
        return venue(self.exchange, symbol), user_symbol(symbol)

    def _held(
        self, tables: tuple[str, ...], where: tuple[str, str], needed: tuple[str, ...] = ()
    ) -> tuple[str, ...]:
        """Return those of some tables that hold an instrument; one of `needed`, or of all, must."""
        held = tuple(table for table in tables if self.store.days(table, *where))
        if any(table in held for table in needed or tables):
            return held
        series = self.store.series()
        there = sorted({f"{e} {s}" for t, e, s in series if t in (needed or tables)})
        here = sorted({t for t, e, s in series if (e, s) == where})
        raise StoreError(
            f"no {' or '.join(needed or tables)} of {' '.join(where)}"
            + (f", only {', '.join(here)}" if here else ""),
            file=self.store.url,
            expected=f"one of {', '.join(there)}" if there else "a store that holds some",
            remedy="choose one that is there, or ingest it: mrtrade ingest PATH",
        )

    def _span(
        self,
        tables: tuple[str, ...],
        where: tuple[str, str],
        start: Scalar | None,
        end: Scalar | None,
    ) -> tuple[int, int]:
        days = [day for table in tables for day in self.store.days(table, *where)]
        # What a clock is off by, and more: a span that is not given ends where the data do.
        low = to_ns(min(days)) - NS_PER_DAY if start is None else to_ns(start)
        high = to_ns(max(days)) + 2 * NS_PER_DAY if end is None else to_ns(end)
        if start is not None and end is not None and low >= high:
            raise ConfigError(
                "start is not before end",
                key="start",
                value=str(from_ns(low)),
                expected=f"a time before {from_ns(high)}",
                remedy="swap them, or choose another span",
            )
        return low, high

    def _instrument(self, where: tuple[str, str], steps: dict[str, float | None]) -> Instrument:
        given: dict[str, Any] = {name: step for name, step in steps.items() if step is not None}
        # Fees do not matter here, so that none have to be known.
        return find_instrument(self.store, *where, maker_fee=0.0, taker_fee=0.0, **given)

    def _nothing(
        self, what: str, tables: tuple[str, ...], where: tuple[str, str], low: int, high: int
    ) -> StoreError:
        entries = [one for table in tables for one in self.store.entries(table, *where)]
        first = from_ns(min(one.first_received for one in entries))
        last = from_ns(max(one.last_received for one in entries))
        return StoreError(
            f"no {what} of {' '.join(where)} from {from_ns(low)} to {from_ns(high)}",
            file=self.store.url,
            expected=f"a span within {first} to {last}, in which {', '.join(tables)} were received",
            remedy="choose another start and end, or ingest those days",
        )


@dataclass(frozen=True)
class _Job:
    """Something to be loaded: what it is made from, and how."""

    store: Store
    where: tuple[str, str]
    tables: tuple[str, ...]
    low: int
    high: int
    params: list[Any]
    make: Callable[[], _Pieces]

    def pieces(self) -> _Pieces:
        before = self._entries()
        yield from self.make()
        _refuse_change(before, self._entries())

    def content(self) -> list[Any]:
        return [self.params, self.low, self.high, [asdict(one) for one in self._entries()]]

    def _entries(self) -> list[Entry]:
        """Return the manifest of all that may be read: what is carried to the start comes first."""
        since = self.low - NS_PER_DAY
        for table in self.tables:
            days = [day for day in self.store.days(table, *self.where) if day < utc_day(since)]
            since = min([since, *(to_ns(day) for day in days[-1:])])
        until = self.high + NS_PER_DAY
        return [
            entry
            for table in self.tables
            for entry in self.store.entries(table, *self.where, since, until)
        ]


def _refuse_change(before: list[Entry], after: list[Entry]) -> None:
    if after != before:
        raise StoreError("the store was written to while it was read", remedy="run it again")


def _received(
    store: Store, tables: tuple[str, ...], where: tuple[str, str], low: int, high: int
) -> tuple[int, int] | None:
    """Return the first and last receipt within a span; `low` where rows came shortly before."""
    entries = [
        one for table in tables for one in store.entries(table, *where, low - MAX_GAP_NS, high + 1)
    ]
    if not entries:
        return None
    first = min(one.first_received for one in entries)
    return max(low, first), min(high, max(one.last_received for one in entries))


def _grid_pieces(first: int, last: int, interval_ns: int, chunk_ns: int) -> Iterator[Ints]:
    """Yield the multiples of an interval from `first` to `last`, as many at a time as a chunk."""
    step = max(1, chunk_ns // interval_ns) * interval_ns
    for at in range(first, last + 1, step):
        yield np.arange(at, min(at + step, last + interval_ns), interval_ns, dtype=np.int64)

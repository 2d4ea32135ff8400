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
from collections.abc import Iterator
from typing import Literal

import pandas as pd
import pyarrow as pa

from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND, Scalar
from mrtrade.data import jobs
from mrtrade.data.book_snapshots import write_snapshots
from mrtrade.data.cache import FrameCache
from mrtrade.data.frames import frame_of_events
from mrtrade.data.schemas import BOOK_DEPTH
from mrtrade.data.store import Entry, Store
from mrtrade.data.stores import open_store
from mrtrade.errors import ConfigError
from mrtrade.instruments import user_symbol, venue

CHUNK = "1d"
"""Span of the pieces in which bars and books are made."""

EVENT_ROWS = 1_000_000
"""Rows of the pieces in which events are given out."""

NS_PER_MINUTE = 60 * NS_PER_SECOND


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
        return self._whole(jobs.ohlcv(self._place(symbol), start, end, interval, CHUNK))

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
        return jobs.ohlcv(self._place(symbol), start, end, interval, chunk).pieces()

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
        steps, at = {"tick_size": tick_size, "lot_size": lot_size}, self._place(symbol)
        return self._whole(jobs.snapshots(at, start, end, interval, depth, steps, CHUNK))

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
        steps, at = {"tick_size": tick_size, "lot_size": lot_size}, self._place(symbol)
        return jobs.snapshots(at, start, end, interval, depth, steps, chunk).pieces()

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
        steps, at = {"tick_size": tick_size, "lot_size": lot_size}, self._place(symbol)
        low, high = at.span(at.held(jobs.BOOK, jobs.BOOK[:1]), start, end)
        # A day begins with the book of its midnight.
        begin = low // NS_PER_DAY * NS_PER_DAY - NS_PER_MINUTE
        until = -(-high // NS_PER_DAY) * NS_PER_DAY - 1
        job = jobs.snapshots(at, begin, until, "1m", BOOK_DEPTH, steps, CHUNK)
        return write_snapshots(self.store, at.where, job.pieces())

    # ---- all of it

    def load_combined(
        self,
        symbol: str,
        interval: str | int = "1m",
        start: Scalar | None = None,
        end: Scalar | None = None,
        *,
        depth: int = 5,
        bars: Literal["trades", "candles"] = "trades",
        tick_size: float | None = None,
        lot_size: float | None = None,
    ) -> pd.DataFrame:
        """Load all that was known of an instrument at the end of each interval, as one frame.

        Every join is by the time of receipt: nothing in a row was received after its index. What
        the store does not hold is NaN; the columns are always the same.

        Parameters
        ----------
        symbol : str
        interval : str or int
            Length of a bar, such as ``1m``; ns.
        start, end : time, optional
            Default: all that is stored.
        depth : int
            Levels of the book a side.
        bars : str
            What prices, volume and count of a bar are made from: the ``trades`` received in it, or
            the last of the ``candles`` received by its end.
        tick_size, lot_size : float, optional
            Of an instrument that ``config/exchanges.yaml`` does not know.

        Returns
        -------
        DataFrame
            - bar: ``open, high, low, close`` (quote), ``volume`` (base), ``trades`` (count),
              ``bar_stop`` (UTC, end of the bar: the index, earlier where a candle came late);
            - flow: ``vwap`` (quote), ``buy_volume, sell_volume`` (base, by aggressor);
            - book: ``book_time`` (UTC, receipt of its last event), ``seeded``, ``mid, spread``
              (quote), ``bid_0_price, bid_0_size, ...`` as `load_order_book_snapshots` gives them;
            - the last announcement: ``funding_time`` (UTC, its receipt), ``funding_rate``
              (fraction), ``mark_price, index_price`` (quote), ``next_funding_time`` (UTC);
            - ``open_interest_time`` (UTC, its receipt), ``open_interest`` (base; inverse:
              contracts);
            - in the bar: ``long_liquidations, short_liquidations`` (base; inverse: contracts),
              ``liquidations`` (count).
        """
        steps, at = {"tick_size": tick_size, "lot_size": lot_size}, self._place(symbol)
        return self._whole(jobs.combined(at, start, end, interval, depth, bars, steps, CHUNK))

    def iter_combined(
        self,
        symbol: str,
        interval: str | int = "1m",
        start: Scalar | None = None,
        end: Scalar | None = None,
        *,
        depth: int = 5,
        bars: Literal["trades", "candles"] = "trades",
        tick_size: float | None = None,
        lot_size: float | None = None,
        chunk: str | int = CHUNK,
    ) -> Iterator[pd.DataFrame]:
        """Yield the frame of `load_combined` in pieces that span `chunk`."""
        steps, at = {"tick_size": tick_size, "lot_size": lot_size}, self._place(symbol)
        return jobs.combined(at, start, end, interval, depth, bars, steps, chunk).pieces()

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
        at = self._place(symbol)
        span = at.span(at.held(("trades",)), start, end)
        if rows < 1:
            raise ConfigError("not a number of rows", key="rows", value=rows, expected="1 or more")
        return self._event_pieces("trades", at, span, rows)

    def _events(
        self, table: str, symbol: str, start: Scalar | None, end: Scalar | None
    ) -> pd.DataFrame:
        at = self._place(symbol)
        return _joined(self._event_pieces(table, at, at.span(at.held((table,)), start, end), None))

    def _event_pieces(
        self, table: str, at: jobs.Place, span: jobs.Span, rows: int | None
    ) -> jobs.Pieces:
        """Yield events in pieces of so many rows; None: all in one."""
        before = self.store.entries(table, *at.where, *span)
        parts: list[pa.Table] = []
        held, empty = 0, True
        for chunk in self.store.batches(table, *at.where, *span):
            parts.append(chunk.rows)
            held, empty = held + len(chunk.rows), False
            if rows is not None and held >= rows:
                joined = pa.concat_tables(parts)
                for first in range(0, held - rows + 1, rows):
                    yield frame_of_events(joined.slice(first, rows))
                held %= rows
                parts = [joined.slice(len(joined) - held)]
        if empty:
            raise at.nothing(table, (table,), span)
        if held:
            yield frame_of_events(pa.concat_tables(parts))
        jobs.refuse_change(before, self.store.entries(table, *at.where, *span))

    def _whole(self, job: jobs.Job) -> pd.DataFrame:
        def make() -> pd.DataFrame:
            return _joined(job.pieces())

        return make() if self.cache is None else self.cache.frame(job.content(), make)

    def _place(self, symbol: str) -> jobs.Place:
        return jobs.Place(self.store, (venue(self.exchange, symbol), user_symbol(symbol)))


def _joined(pieces: jobs.Pieces) -> pd.DataFrame:
    frames = list(pieces)
    if len(frames) == 1:
        return frames[0]
    whole = pd.concat(frames)
    whole.attrs = frames[0].attrs
    return whole

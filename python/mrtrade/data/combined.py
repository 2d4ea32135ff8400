"""One frame of all that was known at regular times: bars, book, flow, funding, liquidations.

Every join is by the time of **receipt**: a row at time t holds what was received in the bar that
ends at t, that is after its beginning and not after t, or last by t. Exchange times decide nothing.
So bars of trades here differ from the exchange's own (`mrtrade.data.candles`) by the trades that
were on their way: those are in the next bar.
"""

from typing import Any

import numpy as np
import pyarrow.compute as pc

from mrtrade.clock import NS_PER_DAY, to_ns, utc_day
from mrtrade.data.book_snapshots import BookSampler, level_names
from mrtrade.data.candles import MAX_LATE_NS, PRICES, CandleBars, Columns, silent, trade_bars
from mrtrade.data.store import Store
from mrtrade.data.streams import MAX_GAP_NS, Ints

Where = tuple[str, str]


class Flow:
    """Bars of the trades received in them."""

    def __init__(self, store: Store, where: Where, interval_ns: int) -> None:
        self._store, self._where, self._interval = store, where, interval_ns
        self._held = bool(store.days("trades", *where))

    def at(self, times: Ints) -> Columns:
        """Return the bars that end at consecutive times; a trade at the end of a bar is in it."""
        edges = np.append(times[:1] - self._interval, times) + 1
        span = (int(edges[0]) - MAX_GAP_NS, int(edges[-1]))
        columns = ("received_time", "price", "quantity", "side")
        if self._held:
            rows = self._store.read("trades", *self._where, *span, columns)
            received, price, quantity = (rows[name].to_numpy() for name in columns[:3])
            buy = pc.equal(rows["side"], "buy").to_numpy()
        else:
            received, price, quantity, buy = np.empty((4, 0))
        bars = trade_bars(edges, received, price, quantity, buy)
        unknown = silent(edges[1:], received) & (bars["trades"] == 0)
        for name in ("volume", "buy_volume", "sell_volume", "trades"):
            bars[name][unknown] = np.nan
        return {**bars, "bar_stop": times}


class KnownCandles:
    """Of the candles received by then, the last one."""

    def __init__(self, bars: CandleBars, interval_ns: int) -> None:
        self._bars, self._interval = bars, interval_ns
        # A candle may come late, but one from before a pause is not the last bar any more.
        self._back = -(-MAX_LATE_NS // interval_ns) * interval_ns

    def at(self, times: Ints) -> Columns:
        """Return the last candle known at consecutive times; NaN if it is ten minutes old."""
        earlier = np.arange(times[0] - self._back, times[0], self._interval)
        stops = np.concatenate([earlier, times])
        bars = self._bars.at(stops)
        there = np.flatnonzero(~np.isnan(bars["close"]))
        order = there[np.argsort(bars["known"][there], kind="stable")]
        count = np.searchsorted(bars["known"][order], times, side="right")
        # Of those known the one that ends last; -1 stands for none.
        last = np.append(-1, np.maximum.accumulate(order))[count]
        none = (last < 0) | (times - stops[last] > self._back)
        columns: Columns = {}
        for name in (*PRICES, "volume", "trades"):
            columns[name] = np.where(none, np.nan, bars[name][last])
        columns["bar_stop"] = np.where(none, 0, stops[last])
        return columns


class Book:
    """The book, its middle and its spread."""

    def __init__(self, sampler: BookSampler | None, depth: int) -> None:
        self._sampler, self._names = sampler, level_names(depth)

    def at(self, times: Ints) -> Columns:
        """Return the book at the next times."""
        n = len(times)
        if self._sampler is None:
            book: Columns = {name: np.full(n, np.nan) for name in self._names}
            book |= {"seeded": np.zeros(n, np.bool_), "received_time": np.zeros(n, np.int64)}
        else:
            book = self._sampler.at(times)
        bid, ask = book["bid_0_price"], book["ask_0_price"]
        return {
            "book_time": book["received_time"],
            "seeded": book["seeded"],
            "mid": 0.5 * (bid + ask),
            "spread": ask - bid,
            **{name: book[name] for name in self._names},
        }


class Latest:
    """The last row of a table received by given times.

    Parameters
    ----------
    store : Store
    table : str
    where : tuple of str
        Exchange and symbol.
    columns : dict
        Column of the table -> name of ours; the first is `received_time`.
    """

    def __init__(self, store: Store, table: str, where: Where, columns: dict[str, str]) -> None:
        self._store, self._where, self._columns = store, (table, *where), columns
        self._days = store.days(table, *where)
        self._read_to: int | None = None
        self._last = {
            name: np.zeros(1, np.int64) if name.endswith("_time") else np.full(1, np.nan)
            for name in columns
        }

    def at(self, times: Ints) -> Columns:
        """Return the last rows at the next times: NaN, and times of 0, where there is none."""
        if self._days:
            if self._read_to is None:
                self._carry(int(times[0]))
                self._read_to = int(times[0]) + 1
            until = int(times[-1]) + 1
            rows = self._store.read(*self._where, self._read_to, until, [*self._columns])
            held = {
                name: np.append(last, rows[name].to_numpy()) for name, last in self._last.items()
            }
            self._last = {name: values[-1:] for name, values in held.items()}
            self._read_to = until
        else:
            held = self._last
        last = np.searchsorted(held["received_time"], times, side="right") - 1
        return {ours: held[name][last] for name, ours in self._columns.items()}

    def _carry(self, time: int) -> None:
        for day in reversed([day for day in self._days if day <= utc_day(time)]):
            rows = self._store.read(*self._where, to_ns(day), time + 1, [*self._columns])
            if len(rows):
                self._last = {name: rows[name].to_numpy()[-1:] for name in self._columns}
                return


FUNDING = {
    "received_time": "funding_time",
    "rate": "funding_rate",
    "mark_price": "mark_price",
    "index_price": "index_price",
    "next_funding_time": "next_funding_time",
}

OPEN_INTEREST = {"received_time": "open_interest_time", "open_interest": "open_interest"}


class Liquidations:
    """Sums of the liquidations received in a bar; NaN before the first that was ever received."""

    def __init__(self, store: Store, where: Where, interval_ns: int) -> None:
        self._store, self._where, self._interval = store, where, interval_ns
        days = store.days("liquidations", *where)
        self._first: int | None = None
        if days:
            day = to_ns(days[0])
            entries = store.entries("liquidations", *where, day, day + NS_PER_DAY)
            self._first = entries[0].first_received

    def at(self, times: Ints) -> Columns:
        """Return the sums over the bars that end at consecutive times."""
        names = ("long_liquidations", "short_liquidations", "liquidations")
        if self._first is None:
            return {name: np.full(len(times), np.nan) for name in names}
        edges = np.append(times[:1] - self._interval, times) + 1
        columns = ("received_time", "quantity", "side")
        span = (int(edges[0]), int(edges[-1]))
        rows = self._store.read("liquidations", *self._where, *span, columns)
        received, quantity = rows["received_time"].to_numpy(), rows["quantity"].to_numpy()
        # The order that closes a short buys.
        short = pc.equal(rows["side"], "buy").to_numpy()
        bars = trade_bars(edges, received, np.ones(len(rows)), quantity, short)
        sums = (bars["sell_volume"], bars["buy_volume"], bars["trades"])
        unknown = times < self._first
        return {
            name: np.where(unknown, np.nan, values)
            for name, values in zip(names, sums, strict=True)
        }


class Combined:
    """One pass over all that is known of an instrument.

    Parameters
    ----------
    store : Store
    where : tuple of str
        Exchange and symbol.
    interval_ns : int
    candles : CandleBars or None
        Where the bars come from; None: trades.
    book : BookSampler or None
        None: no deltas are stored.
    depth : int
    """

    def __init__(
        self,
        store: Store,
        where: Where,
        interval_ns: int,
        candles: CandleBars | None,
        book: BookSampler | None,
        depth: int,
    ) -> None:
        self._parts: list[Any] = [
            Flow(store, where, interval_ns),
            *([] if candles is None else [KnownCandles(candles, interval_ns)]),
            Book(book, depth),
            Latest(store, "funding", where, FUNDING),
            Latest(store, "open_interest", where, OPEN_INTEREST),
            Liquidations(store, where, interval_ns),
        ]

    def at(self, times: Ints) -> Columns:
        """Return the columns at the next times."""
        columns: Columns = {}
        for part in self._parts:
            columns |= part.at(times)
        return columns

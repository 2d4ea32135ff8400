"""Bars of time: from stored candles, or from trades.

A bar is known at its end, and not before. Crypto Lake stamps a candle with its *start*, in both of
its times: who joins by that stamp sees the next minute's close. So every bar here carries `known`:
its end, or the receipt of what it was made from where that was later.

Bars of trades are those of the exchange: by the exchange's time of each trade, by its receipt where
the exchange gave none (or one more than ten seconds after the receipt). A trade received more than
ten minutes after the end of its bar is not in it: what a bar holds does not depend on when one
asks.

A bar without trades has a volume of 0 and no prices. Where there was none for more than ten
minutes before its end, whether it was recorded at all cannot be known: its volume is NaN too.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND
from mrtrade.data.store import Store
from mrtrade.data.streams import MAX_AHEAD_NS, MAX_GAP_NS, Ints, is_time

Floats = npt.NDArray[np.float64]
Columns = dict[str, npt.NDArray[Any]]

MAX_LATE_NS = MAX_GAP_NS
"""How much later than the end of its bar a trade may be received."""

CANDLE_SLACK_NS = NS_PER_DAY
"""How far from a candle the time of its receipt may be."""

PRICES = ("open", "high", "low", "close")

_CANDLE = ("received_time", "start", "stop", *PRICES, "volume", "trades")
_TRADE = ("origin_time", "received_time", "side", "quantity", "price")


def grid(first: int, last: int, interval_ns: int) -> tuple[int, int]:
    """Return first and last end, and the interval after it, of the whole bars of a span.

    Bars end at multiples of the interval.
    """
    return -(-first // interval_ns) * interval_ns + interval_ns, last // interval_ns * interval_ns


def trade_bars(edges: Ints, time: Ints, price: Floats, quantity: Floats, buy: Any) -> Columns:
    """Return prices and flow of bars.

    Parameters
    ----------
    edges : int64 array
        Bar i holds ``edges[i] <= time < edges[i + 1]``.
    time : int64 array
        Sorted.
    price, quantity : float64 array
    buy : bool array
        Whether the aggressor bought.

    Returns
    -------
    dict of float64 array
        ``open, high, low, close, vwap`` (NaN in a bar without trades), ``volume, buy_volume,
        sell_volume`` and ``trades``.
    """
    cuts = np.searchsorted(time, edges)
    full = np.flatnonzero(np.diff(cuts))
    starts, end = cuts[full], cuts[-1]

    def over(reduce: np.ufunc, values: Floats, empty: float) -> Floats:
        bars = np.full(len(edges) - 1, empty)
        if len(full):  # trades between two starts are those of the bar of the first
            bars[full] = reduce.reduceat(values[:end], starts)
        return bars

    first, last = (np.full(len(edges) - 1, np.nan) for _ in range(2))
    first[full], last[full] = price[starts], price[cuts[full + 1] - 1]
    bought = np.where(buy, quantity, 0.0)
    volume = over(np.add, quantity, 0.0)
    with np.errstate(invalid="ignore"):
        vwap = over(np.add, price * quantity, np.nan) / volume
    return {
        "open": first,
        "high": over(np.maximum, price, np.nan),
        "low": over(np.minimum, price, np.nan),
        "close": last,
        "vwap": vwap,
        "volume": volume,
        "buy_volume": over(np.add, bought, 0.0),
        "sell_volume": over(np.add, quantity - bought, 0.0),
        "trades": np.diff(cuts).astype(np.float64),
    }


class Bars(Protocol):
    """Where bars come from.

    Attributes
    ----------
    stops : tuple of int
        Ends of the first and the last whole bar, ns; the last is the smaller where there is none.
    source : str
        What they are made from.
    """

    stops: tuple[int, int]
    source: str

    def at(self, stops: Ints) -> Columns:
        """Return the bars that end at consecutive times: prices, volume, trades, known."""
        ...


class TradeBars:
    """Bars of the exchange, from trades.

    Parameters
    ----------
    store : Store
    where : tuple of str
        Exchange and symbol.
    interval_ns : int
    low, high : int
        Whole bars within this span, the exchange's clock.
    """

    source = "trades"

    def __init__(
        self, store: Store, where: tuple[str, str], interval_ns: int, low: int, high: int
    ) -> None:
        self._store, self._where, self._interval = store, where, interval_ns
        self.stops = (1, 0)
        entries = store.entries("trades", *where, low - MAX_GAP_NS, high + MAX_LATE_NS)
        if not entries:
            return
        begin = max(low - MAX_GAP_NS, entries[0].first_received)
        last = entries[-1].last_received + 1
        first = next(iter(self._times(begin, last)))[0]
        newest = max(int(times.max()) for times in self._times(last - MAX_LATE_NS, last))
        # Recorded before the span began: its first bar is whole.
        first = low if entries[0].first_received < low else max(low, int(first))
        self.stops = grid(first, min(high, newest), interval_ns)

    def _times(self, low: int, high: int) -> Any:
        for chunk in self._store.batches("trades", *self._where, low, high, _TRADE[:2]):
            yield _exchange_time(chunk.rows)

    def at(self, stops: Ints) -> Columns:
        """Return the bars that end at consecutive times."""
        edges = np.append(stops[:1] - self._interval, stops)
        low, high = int(edges[0]) - MAX_GAP_NS - MAX_AHEAD_NS, int(edges[-1]) + MAX_LATE_NS
        rows = self._store.read("trades", *self._where, low, high, _TRADE)
        time, received = _exchange_time(rows), rows["received_time"].to_numpy()
        # The bar of each trade ends at the first multiple after it.
        late = received >= (time // self._interval + 1) * self._interval + MAX_LATE_NS
        order = np.argsort(time, kind="stable")
        order = order[~late[order]]
        time, received = time[order], received[order]
        price, quantity = (rows[name].to_numpy()[order] for name in ("price", "quantity"))
        buy = pc.equal(rows["side"], "buy").to_numpy()[order]
        bars = trade_bars(edges, time, price, quantity, buy)
        known = stops.copy()
        cuts = np.searchsorted(time, edges)
        full = np.flatnonzero(np.diff(cuts))
        if len(full):
            last = np.maximum.reduceat(received[: cuts[-1]], cuts[full])
            known[full] = np.maximum(stops[full], last)
        unknown = silent(stops, time) & (bars["trades"] == 0)
        for name in ("volume", "trades"):
            bars[name][unknown] = np.nan
        return {**{name: bars[name] for name in (*PRICES, "volume", "trades")}, "known": known}


def silent(stops: Ints, time: Ints) -> npt.NDArray[np.bool_]:
    """Whether nothing came in the ten minutes before the end of a bar; `time` is sorted."""
    last = np.append(0, time)[np.searchsorted(time, stops)]  # 1970: long before any recording
    return np.asarray(stops - last > MAX_GAP_NS)


def _exchange_time(rows: Any) -> Ints:
    origin, received = (rows[name].to_numpy() for name in ("origin_time", "received_time"))
    return np.asarray(np.where(is_time(origin, received), origin, received))


class CandleBars:
    """Bars from stored candles of the same length, or of a shorter one that divides it.

    Parameters
    ----------
    store : Store
    where : tuple of str
        Exchange and symbol.
    interval_ns : int
    low, high : int
        Whole bars within this span.
    """

    def __init__(
        self, store: Store, where: tuple[str, str], interval_ns: int, low: int, high: int
    ) -> None:
        self._store, self._where, self._interval = store, where, interval_ns
        spans: dict[int, tuple[int, int]] = {}
        if store.days("candles", *where):
            near = (low - CANDLE_SLACK_NS, high + CANDLE_SLACK_NS)
            for chunk in store.batches("candles", *where, *near, ("start", "stop")):
                start, stop = _spans(chunk.rows)
                inside = (start >= low) & (stop <= high)
                for length in np.unique((stop - start)[inside]).tolist():
                    of_length = inside & (stop - start == length)
                    a, b = spans.get(length, (high, low))
                    first, last = int(start[of_length].min()), int(stop[of_length].max())
                    spans[length] = (min(a, first), max(b, last))
        fitting = [length for length in spans if length > 0 and interval_ns % length == 0]
        self._length = max(fitting, default=0)
        self.stops = grid(*spans[self._length], interval_ns) if fitting else (1, 0)
        self.source = f"candles of {self._length / NS_PER_SECOND:g} s"

    def at(self, stops: Ints) -> Columns:
        """Return the bars that end at consecutive times."""
        edges = np.append(stops[:1] - self._interval, stops)
        near = (int(edges[0]) - CANDLE_SLACK_NS, int(edges[-1]) + CANDLE_SLACK_NS)
        rows = self._store.read("candles", *self._where, *near, _CANDLE)
        start, stop = _spans(rows)
        # One that grew is given several times, before its end; and who learns of a correction later
        # did not know it at the time. So of one start the first counts that was whole; those that
        # are stamped with their start are.
        received = rows["received_time"].to_numpy()
        is_whole = (received >= stop) | (received <= start)
        aligned = (stop - start == self._length) & (start % self._length == 0)
        fits = np.flatnonzero(aligned & is_whole)
        order = fits[np.argsort(start[fits], kind="stable")]
        order = order[np.diff(start[order], prepend=-1) > 0]
        cuts = np.searchsorted(start[order], edges)
        whole = np.flatnonzero(np.diff(cuts) == self._interval // self._length)
        bars: Columns = {
            name: np.full(len(stops), np.nan) for name in (*PRICES, "volume", "trades")
        }
        bars["known"] = stops.copy()
        # One line a bar, one column a candle of it.
        each = order[cuts[whole, None] + np.arange(self._interval // self._length)]
        if len(whole):
            parts = {name: rows[name].to_numpy()[each] for name in _CANDLE}
            count = np.where(parts["trades"] < 0, np.nan, parts["trades"])
            bars["open"][whole] = parts["open"][:, 0]
            bars["high"][whole] = parts["high"].max(axis=1)
            bars["low"][whole] = parts["low"].min(axis=1)
            bars["close"][whole] = parts["close"][:, -1]
            bars["volume"][whole] = parts["volume"].sum(axis=1)
            bars["trades"][whole] = count.sum(axis=1)
            last = parts["received_time"].max(axis=1)
            bars["known"][whole] = np.maximum(stops[whole], last)
        return bars


def _spans(rows: Any) -> tuple[Ints, Ints]:
    """Return start and stop of candles; some feeds give the last millisecond as the stop."""
    start, stop = (rows[name].to_numpy() for name in ("start", "stop"))
    return start, -(-stop // NS_PER_SECOND) * NS_PER_SECOND

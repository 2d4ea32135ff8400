"""The best prices of a rebuilt book, kept to hold other tables against.

Prices and sizes are ticks and lots; a column of a message is as `mrcore.quality.DeltaAudit` gives
it.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND, to_ns, utc_day
from mrtrade.data.store import Store
from mrtrade.instruments import Instrument

Ints = npt.NDArray[np.int64]

_SECONDS = 86_400
_NO_BID, _NO_ASK = np.iinfo(np.int64).max, np.iinfo(np.int64).min
_CARRIED_SECONDS = 600  # a best price is believed as long as a pause is no gap

_BEST = ("bid_0_price", "bid_0_size", "ask_0_price", "ask_0_size")


class Extremes:
    """Lowest bid and highest ask of each second of a rebuilt book."""

    def __init__(self) -> None:
        self._days: dict[str, npt.NDArray[np.int64]] = {}

    def feed(self, messages: Ints) -> None:
        """Take messages; those with an empty side say nothing."""
        received, _, _, _, bid, bid_lots, ask, ask_lots = messages
        both = (bid_lots > 0) & (ask_lots > 0)
        received, bid, ask = received[both], bid[both], ask[both]
        if not len(received):
            return
        days = received // NS_PER_DAY
        for day in np.unique(days).tolist():
            here = days == day
            second = received[here] // NS_PER_SECOND - day * _SECONDS
            low, high, last_bid, last_ask = self._of(utc_day(day * NS_PER_DAY))
            np.minimum.at(low, second, bid[here])
            np.maximum.at(high, second, ask[here])
            last_bid[second] = bid[here]
            last_ask[second] = ask[here]

    def _of(self, day: str) -> npt.NDArray[np.int64]:
        if day not in self._days:
            made = np.empty((4, _SECONDS), np.int64)
            made[0] = made[2] = _NO_BID
            made[1] = made[3] = _NO_ASK
            self._days[day] = made
        return self._days[day]

    def around(self, received: Ints) -> tuple[Ints, Ints, npt.NDArray[np.bool_]]:
        """Return the lowest bid and highest ask from a second before to a second after times.

        Returns
        -------
        low, high : ndarray of int64
        known : ndarray of bool
            Whether there was a book.
        """
        low = np.full(len(received), _NO_BID, np.int64)
        high = np.full(len(received), _NO_ASK, np.int64)
        days = received // NS_PER_DAY
        for day in np.unique(days).tolist():
            name = utc_day(day * NS_PER_DAY)
            if name in self._days:
                here = days == day
                second = received[here] // NS_PER_SECOND - day * _SECONDS
                lows, highs = _widened(self._days[name])
                low[here], high[here] = lows[second], highs[second]
        return low, high, low != _NO_BID


def _widened(day: npt.NDArray[np.int64]) -> tuple[Ints, Ints]:
    """Return extremes of each second with its neighbours; the last best stands until the next."""
    low, high, last_bid, last_ask = day
    seen = np.where(last_bid != _NO_BID, np.arange(_SECONDS), -1)
    latest = np.append(-1, np.maximum.accumulate(seen)[:-1])  # before the second
    fresh = (latest >= 0) & (np.arange(_SECONDS) - latest <= _CARRIED_SECONDS)
    low = np.where(fresh, np.minimum(low, last_bid[latest]), low)
    high = np.where(fresh, np.maximum(high, last_ask[latest]), high)
    lows = np.minimum(low, np.minimum(np.append(low[1:], _NO_BID), np.append(_NO_BID, low[:-1])))
    highs = np.maximum(
        high, np.maximum(np.append(high[1:], _NO_ASK), np.append(_NO_ASK, high[:-1]))
    )
    return lows, highs


@dataclass
class Agreement:
    """How often a rebuilt best equals a recorded one of the same sequence number."""

    compared: int = 0
    equal: int = 0
    first_difference: int = 0


@dataclass
class Recorded:
    """Recorded best prices by sequence number, a day at a time, and how the book agrees.

    Parameters
    ----------
    store : Store
    table : str
        ``level_1`` or ``book``.
    instrument : Instrument
    """

    store: Store
    table: str
    instrument: Instrument
    agreement: Agreement = field(default_factory=Agreement)
    _days: "OrderedDict[int, tuple[Ints, Ints]]" = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        where = (self.table, self.instrument.exchange, self.instrument.symbol)
        self._stored = set(self.store.days(*where))

    def feed(self, messages: Ints) -> None:
        """Hold messages against what was recorded."""
        if not self._stored or not messages.shape[1]:
            return
        days = messages[0] // NS_PER_DAY
        for day in np.unique(days).tolist():
            numbers, best = self._of(day)
            if not len(numbers):
                continue
            here = messages[:, (days == day) & (messages[2] >= 0)]
            at = np.minimum(np.searchsorted(numbers, here[2]), len(numbers) - 1)
            known = (numbers[at] == here[2]) & (here[5] > 0) & (here[7] > 0)
            equal = (best[:, at[known]] == here[4:, known]).all(axis=0)
            agreement = self.agreement
            agreement.compared += len(equal)
            agreement.equal += int(np.count_nonzero(equal))
            if not equal.all() and not agreement.first_difference:
                agreement.first_difference = int(here[0, known][~equal][0])

    def _of(self, day: int) -> tuple[Ints, Ints]:
        if day not in self._days:
            if len(self._days) > 1:
                self._days.popitem(last=False)
            self._days[day] = self._read(utc_day(day * NS_PER_DAY))
        return self._days[day]

    def _read(self, day: str) -> tuple[Ints, Ints]:
        if day not in self._stored:
            return np.empty(0, np.int64), np.empty((4, 0), np.int64)
        start = to_ns(day)
        where = (self.table, self.instrument.exchange, self.instrument.symbol)
        rows = self.store.read(*where, start, start + NS_PER_DAY, ("sequence_number", *_BEST))
        numbers = rows["sequence_number"].to_numpy()
        tick, lot = self.instrument.tick_size, self.instrument.lot_size
        pairs = zip(_BEST, (tick, lot, tick, lot), strict=True)
        values = np.stack([rows[name].to_numpy() / step for name, step in pairs])
        usable = (numbers >= 0) & np.isfinite(values).all(axis=0)
        numbers, values = numbers[usable], values[:, usable]
        # Of rows with one number the last: what the exchange said of it in the end.
        order = np.argsort(numbers, kind="stable")
        last = np.flatnonzero(np.diff(numbers[order], append=-1) != 0)
        order = order[last]
        return numbers[order], np.rint(values[:, order]).astype(np.int64)

"""Where targets on bars are filled: at opens, mids and stops, trade by trade."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mrtrade.backtest.bar_prices import Prices
from mrtrade.backtest.targets import Asked, hold_ns

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

REASONS = ("target", "stop", "hold")
"""Why a fill happened, by its code."""
TARGET, STOP, HOLD = range(3)


@dataclass(frozen=True)
class Fills:
    """Changes of the position, in order of time.

    Attributes
    ----------
    row : ndarray of int64
        Bar in which each happened.
    time : ndarray of int64
        When, ns; a stop within a bar counts just before its end.
    decided : ndarray of int64
        Bar at whose end it was decided; of stops and holding limits the bar before.
    share : ndarray
        Held afterwards, -1..1 of the largest position.
    quantity, price : tuple of ndarray
        Of each leg: held afterwards, in units of the largest position per price, and paid.
    reason : ndarray of int64
        Code of `REASONS`.
    """

    row: Ints
    time: Ints
    decided: Ints
    share: Floats
    quantity: tuple[Floats, ...]
    price: tuple[Floats, ...]
    reason: Ints


def walk(prices: Prices, asked: Asked) -> Fills:
    """Follow targets through the bars, see `mrtrade.backtest.bar_run.run_bars`."""
    return (_OneLeg if len(prices.mids) == 1 else _TwoLegs)(prices).follow(asked)


class _Step(NamedTuple):
    """A change of target: when it was decided, its terms, and where it is filled.

    `over` is the row in which the holding limit ends, if the position begins here, at its open or
    at its mid; `until` the row in which the next change is filled.
    """

    decided: int
    share: float
    stop: float
    hold: int
    row: int
    until: int
    opened: bool
    time: int
    price: tuple[float, ...]
    over: int
    over_at_open: bool


class _Walk(ABC):
    """The position on its way through the bars: one step for each change of target."""

    def __init__(self, prices: Prices) -> None:
        self.prices = prices
        self.legs = range(len(prices.mids))
        self.rows = len(prices.end)
        self.opened = ~np.isnan(prices.opens[0])
        self.closed = ~np.isnan(prices.mids[0])
        self.next = _next_row(self.opened | self.closed)
        self.log: list[tuple[Any, ...]] = []
        self.share = 0.0
        self.held = [0.0 for _ in self.legs]
        self.entry = [0.0 for _ in self.legs]
        self.entered = 0  # ns
        self.barred = 0.0
        self.closed_row = 0

    def follow(self, asked: Asked) -> Fills:
        for step in self._steps(asked):
            # One that was overtaken counts only if it came after the position was closed.
            overtaken = step.row >= step.until
            if self.barred * step.share <= 0.0 and (
                not overtaken or step.decided >= self.closed_row
            ):
                self.barred = 0.0
            if overtaken or self.barred:
                continue  # by the next target before there was a price; or kept out
            before = self.share
            self._take(step)
            if self.share:
                self._leave(step, before * self.share <= 0.0)
        return self._fills()

    def _steps(self, asked: Asked) -> Iterator[_Step]:
        """Work out for all changes at once what does not hang on what was held before."""
        prices = self.prices
        at = np.flatnonzero(np.diff(asked.share, prepend=0.0) != 0.0)
        share = asked.share[at]
        stops = 1e-4 * asked.stop_bps[at] * self._stop_unit(asked.mid[at])
        holds = hold_ns(asked.hold_s[at])
        row = self.next[at + 1]
        there = np.minimum(row, self.rows - 1)
        opened = self.opened[there]
        time = np.where(opened, prices.start[there], prices.end[there])
        legs = [
            np.where(opened, first[there], mid[there]).tolist()
            for first, mid in zip(prices.opens, prices.mids, strict=True)
        ]
        over, at_open = self._hold_rows(time + np.where(holds > 0, holds, 0))
        columns = (at, share, stops, holds, row, np.append(row, self.rows)[1:], opened, time)
        listed = [column.tolist() for column in columns]
        ends = (np.where(holds > 0, over, self.rows).tolist(), at_open.tolist())
        return map(_Step._make, zip(*listed, zip(*legs, strict=True), *ends, strict=True))

    def _take(self, step: _Step) -> None:
        """Trade to a target in a row that has a price."""
        wanted, price = step.share, step.price
        if wanted * self.share > 0.0:
            # The new terms hold for a position that goes on, which may end it here and now.
            over = HOLD if step.hold and step.time >= self.entered + step.hold else None
            if over is None and self._loss(price) >= step.stop:
                over = STOP
            if over is not None:
                self._close(step.row, step.time, price, over)
                return
        if wanted != self.share:
            self._trade(step.row, step.time, step.decided, wanted, price, TARGET)

    def _leave(self, step: _Step, fresh: bool) -> None:
        """Close the position where its stop or its holding limit comes before the next target."""
        over, at_open = step.over, step.over_at_open
        if step.hold and not fresh:
            rows, opens = self._hold_rows(np.array([self.entered + step.hold]))
            over, at_open = int(rows[0]), bool(opens[0])
        if over >= step.until:
            over = self.rows
        stopped = self.rows
        if step.stop == step.stop:
            begins = step.row if step.opened else step.row + 1
            end = step.until
            if end < self.rows and not self.opened[end] and self._moves_before_mid(end):
                end += 1
            stopped = self._stop_row(step.stop, begins, min(end, over + 1))
        if stopped < over or (stopped == over < self.rows and not at_open):
            self._close(stopped, *self._stop_fill(step.stop, stopped), STOP)
        elif over < self.rows:
            self._close(over, *self._priced(over, at_open), HOLD)

    def _hold_rows(self, expires: Ints) -> tuple[Ints, Mask]:
        """First row with a price at or after each time, and whether that is its open."""
        row = np.searchsorted(self.prices.end, expires)
        there = np.minimum(row, self.rows - 1)
        early = self.opened[there] & (self.prices.start[there] >= expires)
        later = self.next[there + 1]
        late = ~early & ~self.closed[there]
        found = np.where(row >= self.rows, self.rows, np.where(late, later, there))
        opened = self.opened[np.minimum(found, self.rows - 1)]
        return found, (early | late) & opened

    def _priced(self, row: int, at_open: bool) -> tuple[int, tuple[float, ...]]:
        """Time and prices of a row's open or mid."""
        prices = self.prices
        legs, times = (prices.opens, prices.start) if at_open else (prices.mids, prices.end)
        return int(times[row]), tuple(float(leg[row]) for leg in legs)

    def _close(self, row: int, time: int, price: tuple[float, ...], reason: int) -> None:
        self.barred, self.closed_row = self.share, row
        self._trade(row, time, max(row - 1, 0), 0.0, price, reason)

    def _trade(
        self, row: int, time: int, decided: int, share: float, price: tuple[float, ...], reason: int
    ) -> None:
        units = share / price[0]
        held = [units, -units][: len(self.legs)]
        for leg in self.legs:
            before, after = self.held[leg], held[leg]
            if before * after <= 0.0:
                self.entry[leg] = price[leg]
            elif abs(after) > abs(before):
                self.entry[leg] += (price[leg] - self.entry[leg]) * (after - before) / after
        if self.share * share <= 0.0:
            self.entered = time
        self.share, self.held = share, held
        self.log.append((row, time, decided, share, reason, *held, *price))

    def _fills(self) -> Fills:
        columns = list(zip(*self.log, strict=True)) or [()] * (5 + 2 * len(self.legs))
        row, time, decided, reason = (np.array(columns[i], dtype=np.int64) for i in (0, 1, 2, 4))
        values = [np.array(column, dtype=np.float64) for column in columns[5:]]
        legs = len(self.legs)
        return Fills(
            row=row,
            time=time,
            decided=decided,
            share=np.array(columns[3], dtype=np.float64),
            quantity=tuple(values[:legs]),
            price=tuple(values[legs:]),
            reason=reason,
        )

    @abstractmethod
    def _stop_unit(self, mid: Floats) -> Floats | float:
        """Price that a stop's bps are of."""

    @abstractmethod
    def _moves_before_mid(self, row: int) -> bool:
        """Whether a row that trades at its mid says where the price was before."""

    @abstractmethod
    def _loss(self, price: tuple[float, ...]) -> float:
        """Loss of the position at these prices, in the unit of a stop."""

    @abstractmethod
    def _stop_row(self, stop: float, begins: int, end: int) -> int:
        """First row of a span that reaches the stop; the number of rows: none."""

    @abstractmethod
    def _stop_fill(self, stop: float, row: int) -> tuple[int, tuple[float, ...]]:
        """Time and prices at which it is filled there."""


class _OneLeg(_Walk):
    """A stop is a distance of the price from the average entry."""

    def _stop_unit(self, mid: Floats) -> Floats:
        return mid

    def _moves_before_mid(self, row: int) -> bool:
        return bool(self.prices.low[row] < self.prices.high[row])

    def _loss(self, price: tuple[float, ...]) -> float:
        return self.entry[0] - price[0] if self.share > 0.0 else price[0] - self.entry[0]

    def _stop_row(self, stop: float, begins: int, end: int) -> int:
        if self.share > 0.0:
            hit = self.prices.low[begins:end] <= self.entry[0] - stop
        else:
            hit = self.prices.high[begins:end] >= self.entry[0] + stop
        first = int(hit.argmax()) if len(hit) else 0
        return begins + first if len(hit) and hit[first] else self.rows

    def _stop_fill(self, stop: float, row: int) -> tuple[int, tuple[float, ...]]:
        prices, long = self.prices, self.share > 0.0
        level = self.entry[0] - stop if long else self.entry[0] + stop
        if self.opened[row]:
            best, gapped_at = float(prices.opens[0][row]), int(prices.start[row])
        else:
            # It was never better than its extreme; the mid alone is that of the bar's end.
            best = float((prices.high if long else prices.low)[row])
            gapped_at = int(prices.end[row]) if prices.low[row] == prices.high[row] else 0
        beyond = best <= level if long else best >= level
        time = gapped_at if beyond and gapped_at else int(prices.end[row]) - 1
        return time, (min(level, best) if long else max(level, best),)


class _TwoLegs(_Walk):
    """A stop is a loss of the pair, as a share of what the first leg was bought for."""

    def _stop_unit(self, mid: Floats) -> float:
        return 1.0

    def _moves_before_mid(self, row: int) -> bool:
        return False

    def _loss(self, price: tuple[float, ...]) -> float:
        gain = sum(self.held[leg] * (price[leg] - self.entry[leg]) for leg in self.legs)
        return -gain / abs(self.held[0] * self.entry[0])

    def _lost(self, prices: tuple[Floats, ...], begins: int, end: int, stop: float) -> Mask:
        gain = sum(
            self.held[leg] * (prices[leg][begins:end] - self.entry[leg]) for leg in self.legs
        )
        return np.asarray(-gain / abs(self.held[0] * self.entry[0]) >= stop)

    def _stop_row(self, stop: float, begins: int, end: int) -> int:
        hit = self._lost(self.prices.mids, begins, end, stop)
        hit |= self._lost(self.prices.opens, begins, end, stop)
        first = int(hit.argmax()) if len(hit) else 0
        return begins + first if len(hit) and hit[first] else self.rows

    def _stop_fill(self, stop: float, row: int) -> tuple[int, tuple[float, ...]]:
        return self._priced(row, bool(self._lost(self.prices.opens, row, row + 1, stop)[0]))


def _next_row(priced: Mask) -> Ints:
    """First row at or after each that has a price; one more entry, as of after the last."""
    rows = len(priced)
    if priced.all():
        return np.arange(rows + 1)
    at = np.where(priced, np.arange(rows), rows)
    return np.append(np.minimum.accumulate(at[::-1])[::-1], rows)


def held_after(row: Ints, held: Floats, rows: int) -> Floats:
    """Value of the last fill in or before each row; 0 before the first."""
    return np.repeat(np.concatenate(([0.0], held)), np.diff(row, prepend=0, append=rows))


def by_row(row: Ints, values: Any, rows: int) -> Floats:
    """Sum of what happened in each row."""
    sums = np.zeros(rows)
    np.add.at(sums, row, values)
    return sums

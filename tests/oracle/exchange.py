"""Slow, obvious simulated exchange: the twin that `mrcore.exchange` is held to.

It is written for reading, one event and one order at a time, and shares no code with the core.
The rules are those of hftbacktest 2.4.4's two L2 exchanges (`tests/hftbacktest` holds this file to
it, order by order), except for its two known faults, which are mended here:

- a partial fill that takes exactly what is left of an order removes the order (there it stays in
  the book as Filled, and its next fill stops the backtest with error 14);
- every execution is in the fill log (there the local position misses partial executions).

Units: time in ns on the exchange clock, price in ticks, size in lots. Only the queue works in base
units, `lots * lot_size` as float64, because its arithmetic is compared to the last bit.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

GTC, POST_ONLY, IOC, MARKET = range(4)
NEW, EXPIRED, FILLED, CANCELLED, PARTIALLY_FILLED = 1, 2, 3, 4, 5

NO_BID, NO_ASK = -(1 << 62), 1 << 62


class Submit(NamedTuple):
    """A new order, sent at local `time`; `side` +1 buy, -1 sell; a market order ignores `tick`."""

    time: int
    id: int
    side: int
    tick: int
    lots: int
    tif: int


class Cancel(NamedTuple):
    """A cancel request for order `id`, sent at local `time`."""

    time: int
    id: int


class Fill(NamedTuple):
    time: int
    tick: int
    lots: int
    maker: bool


@dataclass
class Order:
    """What became of one order; `status` is 0 until its request reaches the exchange."""

    id: int
    side: int
    tick: int
    lots: int
    tif: int
    remaining: int
    status: int = 0
    time: int = 0  # of the last change of status or size, exchange clock
    fills: list[Fill] = field(default_factory=list)
    exact: bool = False  # a queue fill took exactly what was left
    ahead: float = math.nan  # F, base units before this order in its queue
    traded: float = 0.0  # C, base units traded here since the level last changed

    @property
    def price(self) -> int:
        """Tick of the last fill; the order's own when there is none."""
        return self.fills[-1].tick if self.fills else self.tick


class Book:
    """Displayed lots by tick, with the best prices tracked.

    A level that makes the book cross moves the other side's best past it and leaves the levels it
    passed in place: the feed is expected to delete them.
    """

    def __init__(self) -> None:
        self.low, self.high = NO_ASK, NO_BID  # of all levels ever set: how far to look
        self.clear()

    def clear(self) -> None:
        self.levels: dict[int, dict[int, int]] = {+1: {}, -1: {}}
        self.best = {+1: NO_BID, -1: NO_ASK}

    def next_level(self, side: int, tick: int) -> int:
        """Nearest occupied tick of `side` that is worse than `tick`."""
        levels = self.levels[side]
        ticks = range(tick - 1, self.low - 1, -1) if side > 0 else range(tick + 1, self.high + 1)
        return next((t for t in ticks if t in levels), NO_BID if side > 0 else NO_ASK)

    def set(self, side: int, tick: int, lots: int) -> tuple[int, bool]:
        """Set one level; return its previous lots and whether the side's best improved."""
        levels = self.levels[side]
        previous = levels.pop(tick, 0)
        if lots == 0:
            if tick == self.best[side]:
                self.best[side] = self.next_level(side, tick)
            return previous, False
        levels[tick] = lots
        self.low, self.high = min(self.low, tick), max(self.high, tick)
        improved = side * (tick - self.best[side]) > 0
        if improved:
            self.best[side] = tick
            if self.best[+1] >= self.best[-1]:
                self.best[-side] = self.next_level(-side, tick)
        return previous, improved


class RiskAverse:
    """The queue ahead moves by trades only; a level smaller than it caps it."""

    def trade(self, order: Order, quantity: float) -> None:
        order.ahead -= quantity

    def depth(self, order: Order, previous: float, new: float) -> None:
        order.ahead = min(order.ahead, new)


class Behind:
    """A decrease came from behind the order with a probability that its place decides.

    F is the size ahead of the order, B the size behind it. What traded since the level last
    changed is taken off the decrease first, as the queue ahead has already moved by it.

    Parameters
    ----------
    probability : function of F and B
    """

    def __init__(self, probability: Callable[[float, float], float]) -> None:
        self.probability = probability

    def trade(self, order: Order, quantity: float) -> None:
        order.ahead -= quantity
        order.traded += quantity

    def depth(self, order: Order, previous: float, new: float) -> None:
        change = previous - new - order.traded
        order.traded = 0.0
        if change < 0:  # the level grew, and it grew behind the order
            order.ahead = min(order.ahead, new)
            return
        front, back = order.ahead, previous - order.ahead
        p = self.probability(front, back)
        if math.isinf(p):
            p = 1.0
        shift = back - p * change
        ahead = front - (1.0 - p) * change + (shift if shift < 0.0 else 0.0)
        order.ahead = new if math.isnan(ahead) else min(ahead, new)


def Log() -> Behind:
    return Behind(lambda f, b: ratio(ln(1.0 + b), ln(1.0 + b) + ln(1.0 + f)))


def Log2() -> Behind:
    return Behind(lambda f, b: ratio(ln(1.0 + b), ln(1.0 + (b + f))))


def Power(n: float) -> Behind:
    return Behind(lambda f, b: ratio(power(b, n), power(b, n) + power(f, n)))


def Power2(n: float) -> Behind:
    return Behind(lambda f, b: ratio(power(b, n), power(b + f, n)))


def Power3(n: float) -> Behind:
    return Behind(lambda f, b: 1.0 - power(ratio(f, f + b), n))


def Table(values: Sequence[float]) -> Behind:
    def behind(front: float, back: float) -> float:
        x = ratio(front, front + back)
        if math.isnan(x):
            return x
        x = min(max(x, 0.0), 1.0) * (len(values) - 1)
        i = min(int(x), len(values) - 2)
        return values[i] + (values[i + 1] - values[i]) * (x - i)

    return Behind(behind)


def ratio(a: float, b: float) -> float:
    """C's ``a / b``: NaN and inf where Python raises."""
    if b != 0.0:
        return a / b
    return math.nan if a == 0.0 or math.isnan(a) else math.copysign(math.inf, a)


def ln(x: float) -> float:
    """C's ``log``."""
    return math.log(x) if x > 0.0 else -math.inf if x == 0.0 else math.nan


def power(x: float, n: float) -> float:
    """C's ``pow``: NaN and inf where Python raises."""
    try:
        return math.pow(x, n)
    except ValueError:
        return math.nan
    except OverflowError:
        return math.inf


def whole_lots(x: float) -> int:
    """Round to nearest, halves away from zero (C's ``round``)."""
    whole = math.floor(abs(x))
    return int(math.copysign(whole + (abs(x) - whole >= 0.5), x))


class Exchange:
    """Matching engine for own orders beside the recorded market.

    Own orders are small: they are not in the book and not in each other's queue.

    Parameters
    ----------
    lot_size : float
        Base units a lot.
    model : RiskAverse or Behind
        How the queue ahead of an order moves.
    partial : bool
        False: a queue fill always fills the whole order, and a marketable order fills whole at the
        best price. True: a queue fill gives what the trade left over, and a marketable order takes
        the displayed sizes.
    """

    def __init__(self, lot_size: float, model: RiskAverse | Behind, partial: bool) -> None:
        self.lot_size, self.model, self.partial = lot_size, model, partial
        self.book = Book()
        self.orders: dict[int, Order] = {}
        self.resting: dict[int, dict[int, list[Order]]] = {+1: {}, -1: {}}

    def on_delta(self, time: int, side: int, tick: int, lots: int) -> None:
        """Take one level of the feed; `side` 0 clears the book (own orders stay)."""
        if side == 0:
            self.book.clear()
            return
        previous, improved = self.book.set(side, tick, lots)
        for order in self.resting[side].get(tick, ()):
            self.model.depth(order, previous * self.lot_size, lots * self.lot_size)
        if improved:  # it now crosses own orders of the other side that it has reached
            for own_tick in list(self.resting[-side]):
                if side * (tick - own_tick) >= 0:
                    for order in list(self.resting[-side][own_tick]):
                        self.fill(order, time, own_tick, order.remaining, maker=True)

    def on_trade(self, time: int, side: int, tick: int, lots: int) -> None:
        """Take one trade of the feed; `side` is the aggressor's."""
        own = self.resting[-side]
        for own_tick in list(own):
            if side * (tick - own_tick) > 0:  # traded through
                for order in list(own[own_tick]):
                    self.fill(order, time, own_tick, order.remaining, maker=True)
            elif own_tick == tick:
                for order in list(own[own_tick]):
                    self.queue_trade(order, time, lots)

    def queue_trade(self, order: Order, time: int, lots: int) -> None:
        self.model.trade(order, lots * self.lot_size)
        executable = whole_lots(-order.ahead / self.lot_size)
        if executable > 0:
            order.ahead = 0.0
            # It may be more than this trade's size: a falling level can push F below 0 before.
            taken = min(executable, order.remaining) if self.partial else order.remaining
            order.exact |= self.partial and executable == order.remaining
            self.fill(order, time, order.tick, taken, maker=True)

    def on_submit(self, time: int, request: Submit) -> None:
        order = Order(*request[1:], remaining=request.lots)
        self.orders[order.id] = order
        touch = self.book.best[-order.side]
        marketable = touch not in (NO_BID, NO_ASK) and (
            order.tif == MARKET or order.side * (order.tick - touch) >= 0
        )
        if marketable and order.tif != POST_ONLY:
            self.take(order, time, touch)
        elif not marketable and order.tif in (GTC, POST_ONLY):
            order.status, order.time = NEW, time
            displayed = self.book.levels[order.side].get(order.tick, 0)
            order.ahead = displayed * self.lot_size
            self.resting[order.side].setdefault(order.tick, []).append(order)
        else:
            order.status, order.time = EXPIRED, time

    def take(self, order: Order, time: int, touch: int) -> None:
        """Execute a marketable order; it never rests."""
        if not self.partial:
            self.fill(order, time, touch, order.remaining, maker=False)
            return
        displayed = self.book.levels[-order.side]
        # The recorded book cannot hold what a GTC order leaves, so all that it does not find at
        # better prices executes at its own.
        limit = order.tick - order.side if order.tif == GTC else order.tick
        while touch in displayed and order.remaining:
            if order.tif != MARKET and order.side * (limit - touch) < 0:
                break
            self.fill(order, time, touch, min(displayed[touch], order.remaining), maker=False)
            touch = self.book.next_level(-order.side, touch)
        if order.remaining and order.tif == GTC:
            self.fill(order, time, order.tick, order.remaining, maker=False)
        elif order.remaining:
            order.status, order.time = EXPIRED, time

    def on_cancel(self, time: int, order_id: int) -> None:
        """Cancel a resting order; too late for one that is filled or expired."""
        order = self.orders[order_id]
        if order.status in (NEW, PARTIALLY_FILLED):
            order.status, order.time = CANCELLED, time
            self.remove(order)

    def fill(self, order: Order, time: int, tick: int, lots: int, maker: bool) -> None:
        order.fills.append(Fill(time, tick, lots, maker))
        order.remaining -= lots
        order.time = time
        order.status = PARTIALLY_FILLED if order.remaining else FILLED
        if maker and order.status == FILLED:
            self.remove(order)

    def remove(self, order: Order) -> None:
        level = self.resting[order.side][order.tick]
        level.remove(order)
        if not level:
            del self.resting[order.side][order.tick]


def merged(
    deltas: tuple[np.ndarray, ...], trades: tuple[np.ndarray, ...]
) -> Iterator[tuple[bool, int, int, int, int]]:
    """Yield (is_trade, time, side, tick, lots) by time; at one time trades before deltas."""
    columns = [np.concatenate([t, d]).tolist() for t, d in zip(trades, deltas, strict=True)]
    order = np.argsort(np.concatenate([trades[0], deltas[0]]), kind="stable").tolist()
    time, side, tick, lots = columns
    for i in order:
        yield i < len(trades[0]), time[i], side[i], tick[i], lots[i]


def simulate(
    deltas: tuple[np.ndarray, ...],
    trades: tuple[np.ndarray, ...],
    requests: Iterable[Submit | Cancel],
    *,
    lot_size: float,
    model: RiskAverse | Behind,
    partial: bool,
    entry_latency_ns: int,
) -> dict[int, Order]:
    """Run requests against a recorded feed; the outcome of each order by its id.

    Parameters
    ----------
    deltas, trades : tuples of (time, side, tick, lots) columns, each sorted by time
    requests : Submit and Cancel, sorted by local time
    entry_latency_ns : int
        A request reaches the exchange this long after its local time, in the order sent. One that
        arrives at T sees all of the feed up to and including T.

    Notes
    -----
    The response's way back has no part in what the exchange does, so it is not here.
    """
    exchange = Exchange(lot_size, model, partial)
    pending = list(requests)[::-1]

    def answer_before(time: float) -> None:
        while pending and pending[-1].time + entry_latency_ns < time:
            request = pending.pop()
            arrival = request.time + entry_latency_ns
            if isinstance(request, Submit):
                exchange.on_submit(arrival, request)
            else:
                exchange.on_cancel(arrival, request.id)

    for is_trade, time, side, tick, lots in merged(deltas, trades):
        answer_before(time)
        (exchange.on_trade if is_trade else exchange.on_delta)(time, side, tick, lots)
    answer_before(math.inf)
    return exchange.orders

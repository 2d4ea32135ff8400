"""Slow, obvious simulated exchange: the twin that `mrcore.exchange` is held to.

It is written for reading, one event and one order at a time, and shares no code with the core.
Without its options the rules are those of hftbacktest 2.4.4's two L2 exchanges
(`tests/hftbacktest` holds this file to it, order by order), except for its two known faults,
which are mended here:

- a partial fill that takes exactly what is left of an order removes the order (there it stays in
  the book as Filled, and its next fill stops the backtest with error 14);
- every execution is in the fill log (there the local position misses partial executions).

Units: time in ns on the exchange clock, price in ticks, size in lots. Only the queue works in base
units, `lots * lot_size` as float64, because its arithmetic is compared to the last bit.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

GTC, POST_ONLY, IOC, MARKET, FOK = range(5)
NEW, EXPIRED, FILLED, CANCELLED, PARTIALLY_FILLED, REJECTED = 1, 2, 3, 4, 5, 6
STATUS = {
    "accepted": NEW,
    "expired": EXPIRED,
    "filled": FILLED,
    "cancelled": CANCELLED,
    "partially_filled": PARTIALLY_FILLED,
    "rejected": REJECTED,
}

NO_BID, NO_ASK = -(1 << 62), 1 << 62


class Submit(NamedTuple):
    """A new order, sent at local `time`; `side` +1 buy, -1 sell; a market order ignores `tick`."""

    time: int
    id: int
    side: int
    tick: int
    lots: int
    tif: int
    stop: int | None = None
    reduce_only: bool = False


class Replace(NamedTuple):
    """A new price and size, with what has been filled, for order `id`, sent at local `time`."""

    time: int
    id: int
    tick: int
    lots: int


class Cancel(NamedTuple):
    """A cancel request for order `id`, sent at local `time`."""

    time: int
    id: int


class Fill(NamedTuple):
    time: int
    tick: int
    lots: int
    maker: bool


class Event(NamedTuple):
    """A line of the exchange's log."""

    time: int
    id: int
    event: str
    reason: str
    tick: int
    lots: int
    remaining: int


@dataclass(eq=False)
class Order:
    """What became of one order; `status` is 0 until its request reaches the exchange."""

    id: int
    side: int
    tick: int
    lots: int
    tif: int
    stop: int | None
    reduce_only: bool
    remaining: int
    status: int = 0
    time: int = 0  # of the last change of status or size, exchange clock
    fills: list[Fill] = field(default_factory=list)
    exact: bool = False  # a queue fill took exactly what was left
    replaced: int = 0  # when it last was, exchange clock
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


class Strict(RiskAverse):
    """Risk-averse; nothing but trades fill, and never more than they traded."""


class Optimistic:
    """Nothing stands ahead of an order."""

    def trade(self, order: Order, quantity: float) -> None:
        order.ahead = -quantity

    def depth(self, order: Order, previous: float, new: float) -> None:
        order.ahead = 0.0


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
    model : RiskAverse, Strict, Optimistic or Behind
        How the queue ahead of an order moves.
    partial : bool
        False: a queue fill always fills the whole order, and a marketable order fills whole at the
        best price. True: a queue fill gives what the trade left over, and a marketable order takes
        the displayed sizes.
    remember : bool
        What own orders took of a level is gone for them until its next update, and the rest of a
        GTC order rests.
    self_trade : {"allow", "expire_taker", "expire_maker", "expire_both"}
    max_open : int
        0 for no limit.
    rate : (int, int), optional
        Requests in a window of so many ns.
    """

    def __init__(
        self,
        lot_size: float,
        model: RiskAverse | Optimistic | Behind,
        partial: bool,
        *,
        remember: bool = False,
        self_trade: str = "allow",
        max_open: int = 0,
        rate: tuple[int, int] | None = None,
    ) -> None:
        self.lot_size, self.model, self.partial = lot_size, model, partial
        self.strict = isinstance(model, Strict)
        self.remember, self.self_trade = remember, self_trade
        self.max_open, self.rate = max_open, rate
        self.book = Book()
        self.orders: dict[int, Order] = {}
        self.resting: list[Order] = []  # in the order of their arrival
        self.sleeping: list[Order] = []
        self.taken: dict[tuple[int, int], int] = {}  # (side, tick) of displayed levels
        self.position = 0
        self.last_trade: int | None = None
        self.window, self.requests = None, 0
        self.log: list[Event] = []

    # What the market does.

    def on_delta(self, time: int, side: int, tick: int, lots: int) -> None:
        """Take one level of the feed; `side` 0 clears the book (own orders stay)."""
        if side == 0:
            self.book.clear()
            self.taken.clear()
            return
        previous, improved = self.book.set(side, tick, lots)
        self.taken.pop((side, tick), None)
        for order in self.resting:
            if (order.side, order.tick) == (side, tick):
                self.model.depth(order, previous * self.lot_size, lots * self.lot_size)
        if self.strict:
            return
        # it meets own orders of the other side that it has reached
        reached = [o for o in self.in_turn(-side) if side * (tick - o.tick) >= 0]
        left = math.inf if improved else lots if self.remember else 0
        for order in reached:
            left -= self.make(order, time, min(order.remaining, left))
        if not improved and left < lots and self.remember:
            self.taken[side, tick] = lots - int(left)
        self.trim(time)

    def on_trade(self, time: int, side: int, tick: int, lots: int) -> None:
        """Take one trade of the feed; `side` is the aggressor's."""
        self.last_trade = tick
        left = lots if self.strict else math.inf
        for order in self.in_turn(-side):
            if side * (tick - order.tick) > 0:  # traded through
                left -= self.make(order, time, min(order.remaining, left))
            elif order.tick == tick:
                left -= self.make(order, time, min(self.queue_trade(order, lots), left))
        self.trim(time)
        for direction in (+1, -1):
            woken = [
                o for o in self.sleeping if o.side == direction and direction * (tick - o.stop) >= 0
            ]
            for order in sorted(woken, key=lambda o: direction * o.stop):
                self.sleeping.remove(order)
                order.time = time
                self.write(time, order, "triggered")
                self.enter(order, time, new=False)

    def queue_trade(self, order: Order, lots: int) -> int:
        """Let a trade at its price eat an order's queue; the lots of the order that it reaches."""
        self.model.trade(order, lots * self.lot_size)
        executable = whole_lots(-order.ahead / self.lot_size)
        if executable <= 0:
            return 0
        order.ahead = 0.0
        # It may be more than this trade's size: a falling level can push F below 0 before.
        order.exact |= self.partial and executable == order.remaining
        return min(executable, order.remaining) if self.partial else order.remaining

    # What we ask for.

    def on_submit(self, time: int, request: Submit) -> None:
        order = Order(*request[1:], remaining=request.lots)
        self.orders[order.id] = order
        waits = order.tif in (GTC, POST_ONLY) or order.stop is not None
        if self.too_many(time):
            self.end(order, time, "rejected", "rate_limit")
        elif waits and 0 < self.max_open <= len(self.resting) + len(self.sleeping):
            self.end(order, time, "rejected", "max_open_orders")
        elif order.stop is None and order.reduce_only and not self.closable(order.side):
            self.end(order, time, "rejected", "reduce_only")
        elif order.stop is None:
            self.enter(order, time, new=True)
        elif self.last_trade is not None and order.side * (self.last_trade - order.stop) >= 0:
            self.end(order, time, "rejected", "would_trigger")
        else:
            self.sleeping.append(order)
            self.end(order, time, "accepted")

    def on_replace(self, time: int, request: Replace) -> None:
        order = self.orders[request.id]
        if self.too_many(time):
            self.write(time, order, "replace_rejected", "rate_limit")
        elif order not in self.resting + self.sleeping:
            self.write(time, order, "replace_rejected", "not_open")
        elif request.lots <= order.lots - order.remaining:
            self.end(order, time, "cancelled")
        else:
            keeps = request.tick == order.tick and request.lots <= order.lots
            order.status, order.tick, order.replaced = NEW, request.tick, time
            if order in self.sleeping or keeps:
                self.resize(order, time, request.lots)
            else:
                self.resting.remove(order)
                self.resize(order, time, request.lots)
                self.enter(order, time, new=False)

    def on_cancel(self, time: int, order_id: int) -> None:
        """Cancel an open order; too late for one that has ended."""
        order = self.orders[order_id]
        if order in self.resting + self.sleeping:
            self.end(order, time, "cancelled")
        else:
            self.write(time, order, "cancel_rejected", "not_open")

    def too_many(self, time: int) -> bool:
        if self.rate is None:
            return False
        if time // self.rate[1] != self.window:
            self.window, self.requests = time // self.rate[1], 0
        if self.requests == self.rate[0]:
            return True
        self.requests += 1
        return False

    def enter(self, order: Order, time: int, new: bool) -> None:
        """An order meets the book."""
        if order.reduce_only:
            room = self.closable(order.side)
            if room == 0:
                self.end(order, time, "expired", "reduce_only")
                return
            if room < order.remaining:
                self.resize(order, time, order.lots - order.remaining + room, "reduce_only")
        touch = self.book.best[-order.side]
        if order.tif == POST_ONLY:
            own = self.self_trade != "allow" and self.own_before(order, order.tick)
            if own or self.reaches(order, touch):
                self.end(order, time, "expired", "would_take")
            else:
                self.rest(order, time, new)
        elif order.tif == FOK and not self.fillable(order):
            self.end(order, time, "expired", "fill_or_kill")
        else:
            self.take(order, time, new)
            self.trim(time)

    def reaches(self, order: Order, tick: int) -> bool:
        """Whether there is a level at `tick` that the order's price allows it to take."""
        if tick in (NO_BID, NO_ASK):
            return False
        return order.tif == MARKET or order.side * (order.tick - tick) >= 0

    def own_before(self, order: Order, tick: int | None) -> list[Order]:
        """Own orders of the other side that the order meets before it takes at `tick`."""
        return [
            o
            for o in self.in_turn(-order.side)
            if tick is None or order.side * (tick - o.tick) >= 0
        ]

    def left_at(self, side: int, tick: int) -> int:
        """Displayed size less what own orders took."""
        return max(self.book.levels[side][tick] - self.taken.get((side, tick), 0), 0)

    def fillable(self, order: Order) -> bool:
        total, tick = 0, self.book.best[-order.side]
        while self.reaches(order, tick):
            if self.self_trade in ("expire_taker", "expire_both") and self.own_before(order, tick):
                break
            total += self.left_at(-order.side, tick)
            if total >= order.remaining or not self.partial:
                return True
            tick = self.book.next_level(-order.side, tick)
        return False

    def take(self, order: Order, time: int, new: bool) -> None:
        """Execute an order against the displayed sizes; what is left rests or ends."""
        tick = self.book.best[-order.side]
        marketable = self.reaches(order, tick)
        # hftbacktest: the recorded book cannot hold what a GTC order leaves, so all that it does
        # not find at better prices executes at its own.
        endless = marketable and order.tif == GTC and not self.remember
        while order.remaining:
            within = self.reaches(order, tick)
            limit = None if order.tif == MARKET else order.tick
            if self.stopped(order, time, tick if within else limit):
                self.end(order, time, "expired", "self_trade")
                return
            if not within or (endless and self.partial and tick == order.tick):
                break
            lots = min(order.remaining, self.left_at(-order.side, tick))
            if not self.partial:
                lots = order.remaining
            elif self.remember:
                key = -order.side, tick
                self.taken[key] = self.taken.get(key, 0) + lots
            if lots:
                self.fill(order, time, tick, lots, maker=False)
            tick = self.book.next_level(-order.side, tick)
        if order.remaining and endless:
            self.fill(order, time, order.tick, order.remaining, maker=False)
        elif order.remaining and order.tif == GTC:
            self.rest(order, time, new)
        elif order.remaining:
            dry = marketable or order.tif == MARKET
            self.end(order, time, "expired", "no_liquidity" if dry else "not_marketable")

    def stopped(self, order: Order, time: int, tick: int | None) -> bool:
        """Own orders that the order meets end, or end it, or both."""
        own = [] if self.self_trade == "allow" else self.own_before(order, tick)
        for other in own:
            if self.self_trade != "expire_taker":
                self.end(other, time, "expired", "self_trade")
            if self.self_trade != "expire_maker":
                return True
        return False

    # What becomes of orders.

    def in_turn(self, side: int) -> list[Order]:
        """Own resting orders of a side, best price first, then as they came."""
        mine = [o for o in self.resting if o.side == side]
        return sorted(mine, key=lambda o: -side * o.tick)

    def rest(self, order: Order, time: int, new: bool) -> None:
        displayed = self.book.levels[order.side].get(order.tick, 0)
        order.ahead, order.traded = displayed * self.lot_size, 0.0
        self.resting.append(order)
        if new:
            self.end(order, time, "accepted")
            if order.remaining < order.lots:
                order.status = PARTIALLY_FILLED

    def closable(self, side: int) -> int:
        return max(-side * self.position, 0)

    def trim(self, time: int) -> None:
        """Cut reduce-only orders to the position."""
        for order in self.in_turn(+1) + self.in_turn(-1):
            room = self.closable(order.side)
            if order.reduce_only and room == 0:
                self.end(order, time, "expired", "reduce_only")
            elif order.reduce_only and room < order.remaining:
                self.resize(order, time, order.lots - order.remaining + room, "reduce_only")

    def make(self, order: Order, time: int, lots: int) -> int:
        """Execute a resting order; how much of it."""
        if order.reduce_only:
            lots = min(lots, self.closable(order.side))
        if lots:
            self.fill(order, time, order.tick, lots, maker=True)
        return lots

    def fill(self, order: Order, time: int, tick: int, lots: int, maker: bool) -> None:
        order.fills.append(Fill(time, tick, lots, maker))
        order.remaining -= lots
        self.position += order.side * lots
        self.end(order, time, "partially_filled" if order.remaining else "filled")

    def resize(self, order: Order, time: int, lots: int, reason: str = "") -> None:
        order.remaining += lots - order.lots
        order.lots = lots
        order.time = time
        self.write(time, order, "replaced", reason)

    def end(self, order: Order, time: int, status: str, reason: str = "") -> None:
        """Give an order another status; one that ends is forgotten."""
        order.status, order.time = STATUS[status], time
        self.write(time, order, status, reason)
        if order.status not in (NEW, PARTIALLY_FILLED):
            for orders in (self.resting, self.sleeping):
                if order in orders:
                    orders.remove(order)

    def write(self, time: int, order: Order, event: str, reason: str = "") -> None:
        self.log.append(
            Event(time, order.id, event, reason, order.tick, order.lots, order.remaining)
        )


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
    requests: Iterable[Submit | Replace | Cancel],
    *,
    lot_size: float,
    model: RiskAverse | Optimistic | Behind,
    partial: bool,
    entry_latency_ns: int,
    **options: Any,
) -> dict[int, Order]:
    """Run requests against a recorded feed; the outcome of each order by its id.

    Parameters
    ----------
    deltas, trades : tuples of (time, side, tick, lots) columns, each sorted by time
    requests : Submit, Replace and Cancel, sorted by local time
    entry_latency_ns : int
        A request reaches the exchange this long after its local time, in the order sent. One that
        arrives at T sees all of the feed up to and including T.
    **options
        Of `Exchange`.

    Notes
    -----
    The response's way back has no part in what the exchange does, so it is not here.
    """
    exchange = Exchange(lot_size, model, partial, **options)
    drive(exchange, deltas, trades, requests, entry_latency_ns)
    return exchange.orders


def drive(
    exchange: Exchange,
    deltas: tuple[np.ndarray, ...],
    trades: tuple[np.ndarray, ...],
    requests: Iterable[Submit | Replace | Cancel],
    entry_latency_ns: int,
) -> None:
    """Bring a feed and requests to an exchange, in the order of its clock."""
    pending = list(requests)[::-1]

    def answer_before(time: float) -> None:
        while pending and pending[-1].time + entry_latency_ns < time:
            request = pending.pop()
            arrival = request.time + entry_latency_ns
            if isinstance(request, Submit):
                exchange.on_submit(arrival, request)
            elif isinstance(request, Replace):
                exchange.on_replace(arrival, request)
            else:
                exchange.on_cancel(arrival, request.id)

    for is_trade, time, side, tick, lots in merged(deltas, trades):
        answer_before(time)
        (exchange.on_trade if is_trade else exchange.on_delta)(time, side, tick, lots)
    answer_before(math.inf)

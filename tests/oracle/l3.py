"""Slow, obvious order-level book and FIFO exchange: the twins of `mrcore.l3` and its queue.

Every price has a list of those that wait there, the market's orders and our own, first come first.
The core keeps no such list; it compares times of arrival.

Fills of own orders follow hftbacktest's ``L3FIFOQueueModel``: a recorded fill fills all own orders
that stand before the order filled, a new order all that it crosses. Unlike there, an own order
priced better than the whole market stands before it too, and with ``partial`` own orders together
get no more than what the recorded fill, or the new order, was of.
"""

from dataclasses import dataclass, field

ADD, CANCEL, FILL, MODIFY, CLEAR = range(1, 6)


@dataclass
class Waiting:
    id: int
    side: int
    tick: int
    lots: int
    own: bool = False


@dataclass
class Own:
    status: str
    fills: list[tuple[int, int]] = field(default_factory=list)  # time, lots


class Queues:
    """The market's orders, in queues; `waiting` is by arrival."""

    def __init__(self):
        self.waiting: list[Waiting] = []
        self.counts = {"unknown_orders": 0, "duplicate_orders": 0, "excess_takings": 0}

    def find(self, order_id):
        return next((w for w in self.waiting if w.id == order_id and not w.own), None)

    def queue(self, side, tick):
        return [w for w in self.waiting if (w.side, w.tick) == (side, tick)]

    def levels(self, side):
        """{tick: lots} of the market's orders."""
        out = {}
        for w in self.waiting:
            if w.side == side and not w.own:
                out[w.tick] = out.get(w.tick, 0) + w.lots
        return out

    def ahead(self, waiting):
        queue = self.queue(waiting.side, waiting.tick)
        before = queue[: queue.index(waiting)]
        return sum(w.lots for w in before if not w.own)

    def event(self, time, kind, order_id, side, tick, lots):
        if kind == CLEAR:
            self.cleared(time)
            return
        w = self.find(order_id)
        if w is None:
            self.counts["unknown_orders"] += kind != ADD
            if kind == FILL:
                self.executed(time, side, tick, None, lots)
            elif kind != CANCEL and lots:
                self.join(time, Waiting(order_id, side, tick, lots))
        elif kind in (CANCEL, FILL):
            self.counts["excess_takings"] += lots > w.lots
            lots = min(lots or w.lots, w.lots)
            if kind == FILL:
                self.executed(time, w.side, w.tick, w, lots)
            self.reduce(w, lots)
        else:
            self.counts["duplicate_orders"] += kind == ADD
            if (w.side, w.tick) == (side, tick) and lots <= w.lots:
                self.reduce(w, w.lots - lots)
            else:
                self.waiting.remove(w)
                if lots:
                    self.join(time, Waiting(order_id, side, tick, lots))

    def reduce(self, w, lots):
        w.lots -= lots
        if w.lots == 0:
            self.waiting.remove(w)

    def join(self, time, w):
        self.waiting.append(w)

    def cleared(self, time):
        self.waiting.clear()

    def executed(self, time, side, tick, w, lots):
        pass


class FifoExchange(Queues):
    """Own post-only orders in those queues; `orders` says what became of each."""

    def __init__(self, partial):
        super().__init__()
        self.partial = partial
        self.orders: dict[int, Own] = {}

    def submit(self, order_id, side, tick, lots):
        other = self.levels(-side)
        if other and side * (tick - side * min(side * t for t in other)) >= 0:
            self.orders[order_id] = Own("expired")
        else:
            self.orders[order_id] = Own("accepted")
            self.waiting.append(Waiting(order_id, side, tick, lots, own=True))

    def cancel(self, order_id):
        w = next((w for w in self.waiting if w.own and w.id == order_id), None)
        if w is not None:
            self.waiting.remove(w)
            self.orders[order_id].status = "cancelled"

    def own(self, side):
        """Own orders of a side, best price first, then as they came."""
        return sorted(
            (w for w in self.waiting if w.own and w.side == side), key=lambda w: -w.side * w.tick
        )

    def give(self, time, own, lots):
        """Let own orders have what was executed."""
        for w in own:
            part = min(w.lots, lots) if self.partial else w.lots
            if part:
                self.orders[w.id].fills.append((time, part))
                self.orders[w.id].status = "filled" if part == w.lots else "partially_filled"
                self.reduce(w, part)
                lots -= part

    def executed(self, time, side, tick, w, lots):
        queue = self.queue(side, tick)
        before = queue[: queue.index(w)] if w is not None else []
        self.give(
            time,
            [o for o in self.own(side) if side * (o.tick - tick) > 0 or o in before],
            lots,
        )

    def join(self, time, w):
        self.give(time, [o for o in self.own(-w.side) if w.side * (w.tick - o.tick) >= 0], w.lots)
        self.waiting.append(w)

    def cleared(self, time):
        for w in self.own(1) + self.own(-1):
            self.orders[w.id].status = "expired"
        self.waiting.clear()

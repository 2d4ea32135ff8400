"""Slow twin of mrtrade.execution's truth: queues as lists, the imagined order stands in one."""

from collections import defaultdict

ADD, CANCEL, FILL = 1, 2, 3
PROBE = "probe"


def rows_of(orders):
    """The columns of an order log as rows."""
    names = ("time", "kind", "order_id", "side", "tick", "lots")
    return list(zip(*(orders[name].tolist() for name in names), strict=True))


def remove(queue, order_id, lots):
    place = next(i for i, one in enumerate(queue) if one[0] == order_id)
    queue[place][1] -= lots
    if queue[place][1] == 0:
        del queue[place]


def fate(rows, arrival, side, tick, horizon):
    """What becomes of an order of one lot: its wait (None: none within the horizon), and what was
    cancelled around it while something stood before it: (time, front, back, lots, behind).
    """
    queues = defaultdict(list)
    seen, joined = [], False
    for time, kind, order_id, its_side, its_tick, lots in rows:
        if time > arrival + horizon:
            break
        if not joined and time > arrival:
            queues[side, tick].append([PROBE, 0])
            joined = True
        queue = queues[its_side, its_tick]
        if kind == ADD:
            if joined and its_side != side and side * its_tick <= side * tick:
                return time - arrival, seen
            queue.append([order_id, lots])
            continue
        if joined and (its_side, its_tick) == (side, tick):
            names = [one[0] for one in queue]
            middle = names.index(PROBE)
            behind = names.index(order_id) > middle
            front = sum(one[1] for one in queue[:middle])
            back = sum(one[1] for one in queue[middle:])
            if kind == FILL and behind:
                return time - arrival, seen
            if kind == CANCEL and front > 0 and back > 0:
                seen.append((time, front, back, lots, behind))
        if joined and kind == FILL and its_side == side and side * its_tick < side * tick:
            return time - arrival, seen
        remove(queue, order_id, lots)
    return None, seen


def book_after(rows, time):
    """Lots by (side, tick) after all that happened up to a time."""
    book = defaultdict(int)
    for when, kind, _, side, tick, lots in rows:
        if when <= time:
            book[side, tick] += lots if kind == ADD else -lots
    return {level: lots for level, lots in book.items() if lots}


class Floor:
    """A market of random requests that keeps price-time priority, for logs of every shape."""

    def __init__(self):
        self.rows, self.queues, self.time, self.ids = [], {}, 0, 0
        for k in range(3):
            self.add(1, 99 - k, 3)
            self.add(-1, 101 + k, 3)

    def log(self, kind, order_id, side, tick, lots):
        self.rows.append((self.time, kind, order_id, side, tick, lots))

    def best(self, side):
        return side * max(side * tick for its, tick in self.queues if its == side)

    def add(self, side, tick, lots):
        self.ids += 1
        self.queues.setdefault((side, tick), []).append([self.ids, lots])
        self.log(ADD, self.ids, side, tick, lots)

    def drop(self, side, tick, lots, kind, place=0):
        """Take lots from the order at a place of a queue; a side's last order stays."""
        queue = self.queues[side, tick]
        if len(queue) == 1 and sum(its == side for its, _ in self.queues) == 1:
            return 0
        order_id, left = queue[place]
        lots = min(lots, left)
        self.log(kind, order_id, side, tick, lots)
        remove(queue, order_id, lots)
        if not queue:
            del self.queues[side, tick]
        return lots

    def request(self, what, wait, side, where, lots):
        """One of: a limit order, a whole or a partial cancellation, a market order."""
        self.time += wait
        if what == "limit":
            self.add(side, self.best(-side) - side * (1 + where), lots)
        elif what == "market":
            while lots > 0:
                done = self.drop(-side, self.best(-side), lots, FILL)
                lots -= done
                if not done:
                    break
        else:
            places = [(tick, i) for (its, tick), queue in sorted(self.queues.items())
                      if its == side for i in range(len(queue))]  # fmt: skip
            tick, place = places[where % len(places)]
            self.drop(side, tick, lots if what == "reduce" else 10**9, CANCEL, place)


def cancelling_level(n_events, depth, inverse, draw):
    """Log of one level of orders of one lot, cancelled by a law of the place in the queue.

    Events arrive at 1, 2, ... ns: an order joins, or one is cancelled, so that about `depth` stand.
    `inverse(v)` is the place x in (0, 1) before which a cancellation falls with probability v; so
    with F of N lots before an order, one stood before it with the probability v(F / N), exactly.
    """
    queue, rows = [], []
    for order_id in range(1, depth + 1):
        queue.append(order_id)
        rows.append((0, ADD, order_id))
    for time in range(1, n_events + 1):
        if draw.random() < len(queue) / (2.0 * depth) and len(queue) > 1:
            place = min(int(inverse(draw.random()) * len(queue)), len(queue) - 1)
            rows.append((time, CANCEL, queue.pop(place)))
        else:
            depth_id = len(rows) + depth
            queue.append(depth_id)
            rows.append((time, ADD, depth_id))
    time, kind, order_id = map(list, zip(*rows, strict=True))
    same = [1] * len(rows)
    return {"time": time, "kind": kind, "order_id": order_id, "side": same,
            "tick": [100] * len(rows), "lots": same}  # fmt: skip

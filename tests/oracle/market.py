"""Slow twin of the synthetic market: everything rebuilt from the order log and the fair path."""

from collections import Counter, deque
from itertools import groupby
from math import ceil, floor

ADD, CANCEL, FILL = 1, 2, 3


class Rebuilt:
    """Queues as lists, level changes and trades as tuples, and what the events' rates acted on.

    Every event is checked on the way: fills take the head of the best queue, a cancellation takes
    all that is left, quotes keep to their side of fair, the book is neither crossed nor empty.
    """

    def __init__(self, run, probe_ids=()):
        log = run.orders
        assert list(log) == ["time", "order_id", "kind", "side", "tick", "lots"]
        rows = list(zip(*(column.tolist() for column in log.values()), strict=True))
        self.queues = {}  # tick -> [[order id, lots], ...], bids and asks
        self.side_of = {}  # tick -> side
        self.n = {1: 0, -1: 0}
        self.probes, self.n_probes = set(probe_ids), 0
        self.snapshot, self.deltas, self.trades = [], [], []
        self.quotes = Counter()  # (side, distance) -> number of limit orders
        self.cancels = 0
        self.exposure = 0.0  # order-seconds that cancel_rate multiplies
        self.withdraw_exposure = 0.0  # the same for withdraw_rate
        self.spread_ns = 0  # integral of the spread in ticks
        fair = zip(run.fair["time"].tolist(), run.fair["tick"].tolist(), strict=True)
        self.fair_steps = deque(fair)
        self.fair = self.fair_steps.popleft()[1]
        self.time = run.start_ns
        n = sum(time == run.start_ns for time, *_ in rows)
        for _, order_id, kind, side, tick, lots in rows[:n]:
            assert kind == ADD
            self.add(order_id, side, tick, lots)
        for tick, queue in self.queues.items():
            self.snapshot.append((self.side_of[tick], tick, sum(lots for _, lots in queue)))
        self.snapshot.sort(key=lambda row: (-row[0], -row[0] * row[1]))  # bids, asks; best first
        self.find_best()
        for time, group in groupby(rows[n:], key=lambda row: row[0]):
            self.wait(time)
            self.event(time, [row[1:] for row in group])
        self.wait(run.end_ns)

    def find_best(self):
        self.bid = max(tick for tick, side in self.side_of.items() if side > 0)
        self.ask = min(tick for tick, side in self.side_of.items() if side < 0)
        assert self.bid < self.ask

    def add(self, order_id, side, tick, lots):
        self.queues.setdefault(tick, []).append([order_id, lots])
        assert self.side_of.setdefault(tick, side) == side
        self.n[side] += 1
        self.n_probes += order_id in self.probes

    def remove(self, tick, place):
        order_id, _ = self.queues[tick].pop(place)
        self.n[self.side_of[tick]] -= 1
        self.n_probes -= order_id in self.probes
        if not self.queues[tick]:
            del self.queues[tick], self.side_of[tick]

    def wait(self, until):
        """Let time pass, with the fair value's steps on the way."""
        while self.fair_steps and self.fair_steps[0][0] <= until:
            time, fair = self.fair_steps.popleft()
            self.hold(time)
            self.fair = fair
        self.hold(until)

    def hold(self, until):
        seconds = (until - self.time) / 1e9
        passed = len(self.queues[self.bid]) if self.bid > self.fair else 0
        passed += len(self.queues[self.ask]) if self.ask < self.fair else 0
        self.exposure += seconds * (self.n[1] + self.n[-1] - self.n_probes)
        self.withdraw_exposure += seconds * passed
        self.spread_ns += (until - self.time) * (self.ask - self.bid)
        self.time = until

    def event(self, time, rows):
        kind = rows[0][1]
        assert kind == FILL or len(rows) == 1
        changed = {}  # (side, tick) -> lots
        for order_id, each_kind, side, tick, lots in rows:
            assert each_kind == kind
            if kind == ADD:
                self.check_place(order_id, side, tick)
                self.add(order_id, side, tick, lots)
            elif kind == CANCEL:
                assert order_id not in self.probes
                place = [i for i, _ in self.queues[tick]].index(order_id)
                assert self.queues[tick][place][1] == lots
                self.remove(tick, place)
                self.cancels += 1
            else:
                self.fill(order_id, side, tick, lots, last=order_id == rows[-1][0])
            self.find_best()
            changed[side, tick] = changed.get((side, tick), 0) + lots
        for (side, tick), lots in changed.items():
            left = sum(each for _, each in self.queues.get(tick, []))
            self.deltas.append((time, side, tick, left))
            if kind == FILL:
                self.trades.append((time, -side, tick, lots))

    def fill(self, order_id, side, tick, lots, last):
        assert tick == (self.bid if side > 0 else self.ask)
        head = self.queues[tick][0]
        assert head[0] == order_id
        assert 0 < lots <= head[1]
        head[1] -= lots
        if head[1] == 0:
            self.remove(tick, 0)
        else:
            assert last  # no order behind one that has something left is filled

    def check_place(self, order_id, side, tick):
        if order_id in self.probes:
            assert tick == (self.bid if side > 0 else self.ask)
            return
        if side > 0:
            distance = min(self.ask, floor(self.fair) + 1) - tick
        else:
            distance = tick - max(self.bid, ceil(self.fair) - 1)
        assert distance >= 1
        self.quotes[side, distance] += 1

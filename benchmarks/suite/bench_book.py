"""mrcore.book: what one level change costs, in a batch and one by one from Python."""

import numpy as np

from mrcore.book import L2Book

TICK, LOT = 0.1, 0.001


def deltas(n, seed=1):
    """Level changes in messages of eight around a touch that walks: side, tick, lots, message.

    Distances from the touch are geometric with mean 20 ticks and a third of the changes are
    deletes, as in a recorded perpetual.
    """
    rng = np.random.default_rng(seed)
    message = np.arange(n) // 8
    steps = rng.choice([-1, 0, 1], n // 8 + 1, p=[0.005, 0.99, 0.005])
    middle = 600_000 + np.cumsum(steps)[message]
    side = rng.choice(np.array([1, -1], np.int8), n)
    tick = (middle - side * rng.geometric(1 / 20, n)).astype(np.int32)
    lots = np.where(rng.random(n) < 1 / 3, 0, rng.integers(1, 5_000, n))
    return side, tick, lots, message


class Batch:
    params = [10_000, 1_000_000]
    param_names = ["n_deltas"]

    def setup(self, n_deltas):
        self.columns = side, tick, lots, _ = deltas(n_deltas)
        self.floats = (side > 0).view(np.uint8), tick * TICK, lots * LOT

    def time_integers(self, n_deltas):
        L2Book(TICK, LOT).apply(*self.columns)

    def time_floats_as_one_message(self, n_deltas):
        L2Book(TICK, LOT).apply_float(*self.floats)

    def peakmem_integers(self, n_deltas):
        L2Book(TICK, LOT).apply(*self.columns)


class OneByOne:
    def setup(self):
        self.rows = list(zip(*(column.tolist() for column in deltas(10_000)[:3]), strict=True))

    def time_update(self):
        update = L2Book(TICK, LOT).update
        for side, tick, lots in self.rows:
            update(side, tick, lots)


class Queries:
    def setup(self):
        self.book = L2Book(TICK, LOT)
        self.book.apply(*deltas(100_000))

    def time_best_bid(self):
        for _ in range(1_000):
            _ = self.book.best_bid

    def time_top_20(self):
        for _ in range(1_000):
            self.book.levels(20)

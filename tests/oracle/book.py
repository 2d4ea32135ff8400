"""The slow, obvious L2 book that mrcore.book is held against."""

import math


class OracleBook:
    """Two dicts from tick to lots; messages settled when told."""

    def __init__(self) -> None:
        self.levels: dict[int, dict[int, int]] = {1: {}, -1: {}}
        self.newest = 0
        self.crossed = 0
        self.unknown_deletes = 0

    def update(self, side: int, tick: int, lots: int) -> None:
        mine = self.levels[side]
        if lots == 0:
            if mine.pop(tick, 0) == 0:
                self.unknown_deletes += 1
            return
        if not mine or side * tick > max(side * t for t in mine):
            self.newest = side
        mine[tick] = lots

    def clear(self) -> None:
        self.levels = {1: {}, -1: {}}
        self.newest = 0

    def settle(self) -> None:
        """The side whose best improved last is believed."""
        bid, ask = self.best(1), self.best(-1)
        if bid is None or ask is None or bid < ask:
            return
        self.crossed += 1
        limit = self.best(self.newest)
        other = -self.newest
        self.levels[other] = {
            t: q for t, q in self.levels[other].items() if other * t < other * limit
        }

    def best(self, side: int) -> int | None:
        mine = self.levels[side]
        return (max(mine) if side > 0 else min(mine)) if mine else None

    def top(self, side: int, n: int) -> list[tuple[int, int]]:
        return sorted(self.levels[side].items(), key=lambda kv: -side * kv[0])[:n]

    def imbalance(self, n: int) -> float:
        bid, ask = (sum(q for _, q in self.top(s, n)) for s in (1, -1))
        return (bid - ask) / (bid + ask) if bid + ask else math.nan

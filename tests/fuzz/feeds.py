"""Random rows: a market that moves, in regimes, some of them absurd."""

import numpy as np

MAX_TICK = 2**31 - 1
LARGEST = 9 * 10**15 - 1  # size
REGIMES = ("calm", "calm", "storm", "jumps", "wide", "huge", "empty", "crossed")


class Feed:
    """A random market: deltas and trades around a middle that moves by the regime of the chunk."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.middle = int(rng.choice([50, 100_000, 600_000, 2**30]))

    def rows(self, n: int, regime: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return side, tick and lots of `n` deltas."""
        rng = self.rng
        side = rng.choice(np.array([1, -1], np.int8), n)
        reach = {"wide": 200_000, "storm": 40}.get(regime, 12)
        away = (rng.exponential(reach / 4, n)).astype(np.int64) + (regime != "crossed")
        steps = rng.integers(-1, 2, n) * (rng.random(n) < 0.1)
        if regime == "storm":
            steps = rng.integers(-20, 21, n)
        elif regime == "jumps":
            far = rng.random(n) < 0.02
            steps += far * (rng.choice([-1, 1], n) * rng.integers(1, 5_000_000, n))
        elif regime == "crossed":
            away -= rng.integers(0, 8, n)
        middle = np.clip(self.middle + np.cumsum(steps), 0, MAX_TICK)
        self.middle = int(middle[-1]) if n else self.middle
        tick = np.clip(middle - side * away, 0, MAX_TICK)
        lots = rng.integers(1, 50, n)
        if regime == "huge":
            edges = np.array([1, 2**31, 2**52 + 1, LARGEST - 1, LARGEST])
            lots = rng.choice(edges, n)
        lots[rng.random(n) < (0.9 if regime == "empty" else 0.3)] = 0
        if rng.random() < 0.3:
            side[rng.random(n) < 0.005] = 0  # clears
        return side, tick.astype(np.int32), lots

    def times(self, n: int, start: int) -> np.ndarray:
        """Return times from `start` on that never fall, several rows at one."""
        unit = int(self.rng.choice([1, 1_000, 1_000_000, 10**9]))
        gaps = self.rng.integers(0, 4, n) * (self.rng.random(n) < 0.4) * unit
        return start + np.cumsum(gaps)


def pieces(rng: np.random.Generator, n: int) -> list[slice]:
    """Cut `n` rows into a few runs, some of them empty."""
    cuts = np.sort(rng.integers(0, n + 1, rng.integers(0, 5))).tolist()
    return [slice(a, b) for a, b in zip([0, *cuts], [*cuts, n], strict=True)]

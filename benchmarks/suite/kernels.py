"""The kernels whose instructions are counted, each over the first n rows of one seeded feed.

The feed is integer arithmetic on a counter (splitmix64), so that no generator's next version
changes it: messages of eight changes each millisecond around a touch that walks, a tenth of them
deletes; a trade each ten changes. Distances from the touch are geometric.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from mrcore.bars import MarketBars
from mrcore.book import L2Book
from mrcore.flow import VPIN, depth_imbalance
from mrcore.impact import KyleBars
from mrcore.replay import Replay

MS = 1_000_000
TICK, LOT = 0.1, 0.001
PYTHON = "book, one call a row"  # counts the interpreter's instructions too
START = 1_700_000_000_000 * MS


def noise(n: int, seed: int) -> np.ndarray:
    """Uniform uint64 of splitmix64 (Steele, Lea and Flood 2014)."""
    x = np.arange(1, n + 1, dtype=np.uint64) + np.uint64(seed << 32)
    x *= np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def below(n: int, bound: int, seed: int) -> np.ndarray:
    return (noise(n, seed) % np.uint64(bound)).astype(np.int64)


def feed(n: int) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """(time, side, tick, lots) of n changes and of n / 10 trades."""
    message = np.arange(n) // 8
    time = START + message * MS
    step = below(n // 8 + 1, 64, 1)
    middle = 600_000 + np.cumsum((step == 0).astype(np.int64) - (step == 1))[message]
    side = (1 - 2 * below(n, 2, 2)).astype(np.int8)
    lowest = noise(n, 3) & -noise(n, 3).astype(np.int64).astype(np.uint64)
    away = 1 + 2 * np.log2(np.maximum(lowest, 1)).astype(np.int64) + below(n, 3, 4)
    tick = (middle - side * away).astype(np.int32)
    lots = np.where(below(n, 10, 5) == 0, 0, 1 + below(n, 5_000, 6))
    at = np.arange(5, n, 10)
    aggressor = (1 - 2 * below(len(at), 2, 7)).astype(np.int8)
    price = (middle[at] + aggressor).astype(np.int32)
    return (time, side, tick, lots), (time[at], aggressor, price, 1 + below(len(price), 3_000, 8))


def quotes(deltas: tuple[np.ndarray, ...], trades: tuple[np.ndarray, ...], levels: int) -> None:
    """Cancel and send anew, each 100 ms, post-only quotes from the touch outwards."""
    replay = replay_of(deltas, trades)
    for now in range(START + 100 * MS, int(deltas[0][-1]), 100 * MS):
        replay.advance(now)
        if replay.bid_tick is not None and replay.ask_tick is not None:
            replay.quote(replay.bid_tick, replay.ask_tick, 10, levels=levels, keep=False)
    replay.finish()


def replay_of(
    deltas: tuple[np.ndarray, ...], trades: tuple[np.ndarray, ...], sample_interval_ns: int = 0
) -> Replay:
    replay = Replay(
        TICK,
        LOT,
        sample_interval_ns=sample_interval_ns,
        queue_model="risk_averse",
        entry_latency_ns=MS,
        response_latency_ns=MS,
        feed_latency_ns=MS,
    )
    replay.feed(deltas, trades)
    return replay


def bars_of(
    deltas: tuple[np.ndarray, ...], trades: tuple[np.ndarray, ...], **options: Any
) -> MarketBars:
    bars = MarketBars(TICK, LOT, size=1000 * MS, feed_latency_ns=MS, **options)
    bars.feed(deltas, trades)
    return bars


def kernels(n: int) -> dict[str, tuple[int, Callable[[], object]]]:
    """Name of a kernel to its number of events and the call, made once, that takes them."""
    deltas, trades = feed(n)
    time, side, tick, lots = deltas
    floats = (side > 0).view(np.uint8), tick * TICK, lots * LOT
    out = tuple(np.empty(n, kind) for kind in (np.int32, np.int64) * 2)
    rows = list(zip(side.tolist(), tick.tolist(), lots.tolist(), strict=True))
    aggressor, size = (below(n, 3, 9) - 1).astype(np.int8), 1 + below(n, 3_000, 10)
    mid, volume = 60_000.0 + below(n, 50, 11) * TICK, size * LOT
    book, replay = L2Book(TICK, LOT), replay_of(deltas, trades)
    sampled = replay_of(deltas, trades, 1000 * MS)
    bars = bars_of(deltas, trades)

    def one_by_one() -> None:
        update = book.update
        for row in rows:
            update(*row)

    events = n + len(trades[0])
    return {
        "book, integer columns": (n, lambda: L2Book(TICK, LOT).apply(side, tick, lots)),
        "book, by message": (n, lambda: L2Book(TICK, LOT).apply(side, tick, lots, time)),
        "book, float64 columns": (n, lambda: L2Book(TICK, LOT).apply_float(*floats)),
        "book, touch of each row": (n, lambda: L2Book(TICK, LOT).touch(side, tick, lots, out=out)),
        "depth imbalance, 5 levels": (
            n,
            lambda: depth_imbalance(L2Book(TICK, LOT), side, tick, lots, 5),
        ),
        "VPIN, a trade": (n, lambda: VPIN(100.0, 50).batch(aggressor, volume)),
        "Kyle's lambda, a trade": (
            n,
            lambda: KyleBars(12 * MS, 300, LOT).batch(time, aggressor, size, mid),
        ),
        "replay, no orders": (events, replay.finish),
        "replay, rows each second": (events, sampled.finish),
        "bars, all measures": (events, bars.finish),
        "replay, one quote a side": (events, lambda: quotes(deltas, trades, 1)),
        "replay, ten quotes a side": (events, lambda: quotes(deltas, trades, 10)),
        PYTHON: (n, one_by_one),
    }

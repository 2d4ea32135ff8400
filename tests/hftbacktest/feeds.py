"""Feeds and orders for the comparison of fills."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mrcore.market import SyntheticMarket

from ..oracle.exchange import GTC, IOC, MARKET, POST_ONLY, Cancel, Submit

FEED_LATENCY = ENTRY_LATENCY = RESPONSE_LATENCY = 1_000_000  # ns
COLUMNS = ("time", "side", "tick", "lots")
TYPES = (np.int64, np.int8, np.int32, np.int64)


class Feed(NamedTuple):
    """Columns (time, side, tick, lots) of the deltas and of the trades, and the grid."""

    deltas: tuple[np.ndarray, ...]
    trades: tuple[np.ndarray, ...]
    tick_size: float
    lot_size: float


class Schedule(NamedTuple):
    """One row an order: what is sent, and when on the local clock; `cancel` 0 = never."""

    time: np.ndarray
    side: np.ndarray
    tick: np.ndarray
    lots: np.ndarray
    tif: np.ndarray
    cancel: np.ndarray

    def requests(self) -> list[Submit | Cancel]:
        """Submits and cancels by local time; the order's id is its row."""
        rows = zip(*(c.tolist() for c in self[:5]), strict=True)
        new = [Submit(time, i, *rest) for i, (time, *rest) in enumerate(rows)]
        out = [Cancel(time, i) for i, time in enumerate(self.cancel.tolist()) if time]
        return sorted([*new, *out], key=lambda request: request.time)


def columns(*values: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(np.ascontiguousarray(v, t) for v, t in zip(values, TYPES, strict=True))


def on_grid(values: np.ndarray, step: float) -> np.ndarray:
    steps = np.rint(values / step)
    np.testing.assert_allclose(values, steps * step, rtol=1e-9)
    return steps


def lake(
    root: Path, exchange: str, symbol: str, days: list[str], tick_size: float, lot_size: float
) -> Feed:
    """Read a recording of the Crypto Lake layout on the exchange's clock, seed first."""

    def read(table: str, days: list[str]) -> pa.Table:
        folder = root / "lake" / table / f"exchange={exchange}" / f"symbol={symbol}"
        return pa.concat_tables(
            pq.read_table(folder / f"dt={day}" / "1.parquet", partitioning=None) for day in days
        )

    seed, delta, trade = (
        read("book_seed", days[:1]),
        read("book_delta_v2", days),
        read("trades", days),
    )
    newer = delta["sequence_number"].to_numpy() > seed["sequence_number"][0].as_py()
    delta = delta.filter(pa.array(newer))
    start = delta["timestamp"][0].as_py()  # the seed's own time is often missing

    def levels(table: pa.Table) -> tuple[np.ndarray, ...]:
        return (
            np.where(table["side_is_bid"].to_numpy(), 1, -1),
            on_grid(table["price"].to_numpy(), tick_size),
            on_grid(table["size"].to_numpy(), lot_size),
        )

    parts = zip(levels(seed), levels(delta), strict=True)
    side, tick, lots = (np.concatenate([[0], a, b]) for a, b in parts)
    time = np.concatenate([np.full(1 + len(seed), start), delta["timestamp"].to_numpy()])
    assert np.all(np.diff(time) >= 0)
    trade = trade.filter(pa.array(trade["timestamp"].to_numpy() >= start))
    return Feed(
        columns(time, side, tick, lots),
        columns(
            trade["timestamp"].to_numpy(),
            np.where(trade["side"].to_numpy(zero_copy_only=False) == "buy", 1, -1),
            on_grid(trade["price"].to_numpy(), tick_size),
            on_grid(trade["quantity"].to_numpy(), lot_size),
        ),
        tick_size,
        lot_size,
    )


def synthetic(seed: int, seconds: int = 60) -> Feed:
    """Run the synthetic market, with small sizes so that exact partial fills happen."""
    market = SyntheticMarket(seed, order_lots=(5.0, 1.0), market_lots=(12.0, 0.7))
    run = market.run(seconds)
    return Feed(*run.tape(), run.tick_size, run.lot_size)


def touch(feed: Feed, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best bid and ask tick as known locally at each of the sorted times."""
    books: dict[int, dict[int, int]] = {+1: {}, -1: {}}
    seen = zip(*(c.tolist() for c in feed.deltas), strict=True)
    row = next(seen, None)
    bid, ask = [], []
    for time in times.tolist():
        while row is not None and row[0] + FEED_LATENCY <= time:
            _, side, tick, lots = row
            if side == 0:
                books = {+1: {}, -1: {}}
            elif lots:
                books[side][tick] = lots
            else:
                books[side].pop(tick, None)
            row = next(seen, None)
        bid.append(max(books[+1]))
        ask.append(min(books[-1]))
    return np.array(bid), np.array(ask)


def schedule(feed: Feed, n: int, seed: int) -> Schedule:
    """Make `n` seeded random orders: both sides, -1 to 8 ticks behind the own touch.

    Four in ten GTC, four in ten post-only, the rest IOC and market. Sizes are geometric about the
    feed's median trade; lifetimes log-uniform from 3 ms (hftbacktest refuses to cancel an order
    that is not yet acknowledged, 2 ms) to a fifth of the feed; one order in ten is never cancelled.
    """
    rng = np.random.default_rng(seed)
    start, stop = feed.deltas[0][0] + FEED_LATENCY, feed.deltas[0][-1]
    time = np.sort(rng.integers(start, stop - 3 * ENTRY_LATENCY, n))
    bid, ask = touch(feed, time)
    side = rng.choice(np.array([1, -1]), n)
    away = rng.integers(-1, 9, n)
    typical = max(1.0, float(np.median(feed.trades[3])))
    life = np.exp(rng.uniform(np.log(3e6), np.log((stop - start) / 5), n)).astype(np.int64)
    cancel = time + life
    cancel[(rng.random(n) < 0.1) | (cancel > stop)] = 0
    tif = rng.choice(np.array([GTC, POST_ONLY, IOC, MARKET]), n, p=[0.4, 0.4, 0.1, 0.1])
    return Schedule(
        time,
        side.astype(np.int8),
        np.where(side > 0, bid - away, ask + away).astype(np.int32),
        rng.geometric(1 / typical, n),
        tif.astype(np.int8),
        cancel,
    )

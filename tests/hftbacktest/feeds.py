"""Feeds and orders for the comparison of fills."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mrcore.l3 import KINDS
from mrcore.market import SyntheticMarket
from mrcore.replay import Replay

from ..oracle.exchange import FOK, GTC, IOC, MARKET, POST_ONLY, Cancel, Replace, Submit
from . import environment

BUSY = Path(__file__).parents[2] / "benchmarks" / "peers" / "feed.py"
RECORDINGS = {
    "BTC perpetual": ("BINANCE_FUTURES", "BTC-USDT-PERP", ["2024-08-08"], 0.1, 0.001),
    # A few far levels have more digits than today's lot of 0.00001.
    "BTC spot": ("BINANCE", "BTC-USDT", ["2024-08-08", "2024-08-09"], 0.01, 0.000001),
    "NEXO spot": ("BINANCE", "NEXO-USDT", ["2024-07-23", "2024-07-24"], 0.0001, 0.01),
}
FEED_LATENCY = 1_000_000  # ns
COLUMNS = ("time", "side", "tick", "lots")
ADD, CANCEL, FILL, MODIFY = (KINDS.index(kind) for kind in ("add", "cancel", "fill", "modify"))
EVENT_COLUMNS = ("time", "kind", "order_id", "side", "tick", "lots")
TYPES = (np.int64, np.int8, np.int32, np.int64)


class Feed(NamedTuple):
    """Columns (time, side, tick, lots) of the deltas and of the trades, and the grid."""

    deltas: tuple[np.ndarray, ...]
    trades: tuple[np.ndarray, ...]
    tick_size: float
    lot_size: float

    def into(self, replay: Replay) -> None:
        replay.feed(self.deltas, self.trades)

    def named(self) -> dict[str, np.ndarray]:
        """The columns by the names that `run.py` has for them."""
        parts = (("delta", self.deltas), ("trade", self.trades))
        return {
            f"{part}_{name}": column
            for part, columns in parts
            for name, column in zip(COLUMNS, columns, strict=True)
        }


class Tape(NamedTuple):
    """An order-level feed: columns of `mrcore.replay.Replay.feed_orders`, and the grid."""

    events: tuple[np.ndarray, ...]
    tick_size: float
    lot_size: float

    def into(self, replay: Replay) -> None:
        replay.feed_orders(self.events)

    def named(self) -> dict[str, np.ndarray]:
        """hftbacktest's events: a fill takes nothing off an order, what follows it does."""
        rows, left = [], {}
        for time, kind, order_id, side, tick, lots in zip(
            *(column.tolist() for column in self.events), strict=True
        ):
            if kind == ADD:
                rows.append((time, ADD, order_id, side, tick, lots))
                left[order_id] = lots
                continue
            if kind == FILL:
                rows.append((time, FILL, order_id, side, tick, lots))
            left[order_id] -= lots
            after = MODIFY if left[order_id] else CANCEL
            rows.append((time, after, order_id, side, tick, left[order_id]))
        columns = np.array(rows).T
        return {
            f"event_{name}": column for name, column in zip(EVENT_COLUMNS, columns, strict=True)
        }


class Schedule(NamedTuple):
    """One row an order: what is sent, and when on the local clock; times of 0 are never."""

    time: np.ndarray
    side: np.ndarray
    tick: np.ndarray
    lots: np.ndarray
    tif: np.ndarray
    replace: np.ndarray
    new_tick: np.ndarray
    new_lots: np.ndarray
    cancel: np.ndarray

    def requests(self) -> list[Submit | Replace | Cancel]:
        """All requests by local time; the order's id is its row."""
        out: list[Submit | Replace | Cancel] = []
        for i, row in enumerate(zip(*(c.tolist() for c in self), strict=True)):
            time, side, tick, lots, tif, replace, new_tick, new_lots, cancel = row
            out.append(Submit(time, i, side, tick, lots, tif))
            if replace:
                out.append(Replace(replace, i, new_tick, new_lots))
            if cancel:
                out.append(Cancel(cancel, i))
        return sorted(out, key=lambda request: request.time)


class Delays(NamedTuple):
    """Order latency: rows of when a request was sent, was at the exchange and was answered.

    Requests in between take the interpolated delays; a single row is a constant.
    """

    sent: np.ndarray
    arrived: np.ndarray
    answered: np.ndarray

    def longest(self) -> int:
        """No request of an order is sent sooner after another than this, ns.

        hftbacktest refuses to cancel or modify an order that has a request on its way.
        """
        return int(np.max(self.arrived - self.sent) + np.max(self.answered - self.arrived)) + 1


CONSTANT = Delays(*(np.array([ns]) for ns in (0, 1_000_000, 2_000_000)))


def recorded(feed: Feed, seed: int) -> Delays:
    """Make a table of delays, about eight rows a second, of 0.2 ms to tens of ms each way."""
    rng = np.random.default_rng(seed)
    start, stop = feed.deltas[0][0], feed.deltas[0][-1]
    n = max(2, int((stop - start) / 120e6))
    sent = np.sort(rng.integers(start, stop, n))
    there, back = (200_000 + rng.lognormal(14.2, 0.8, (2, n))).astype(np.int64)
    # An exchange takes requests in the order they were sent, and answers in that order.
    arrived = np.maximum.accumulate(sent + there)
    return Delays(sent, arrived, np.maximum.accumulate(arrived + back))


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


def order_level(seed: int, seconds: int, scale: int) -> tuple[Feed, Tape]:
    """Run the same market, with all of its orders, `scale` times as large."""
    market = SyntheticMarket(seed, order_lots=(5.0, 1.0), market_lots=(12.0, 0.7))
    run = market.run(seconds)
    events = [run.orders[name] for name in EVENT_COLUMNS]
    events[-1] = events[-1] * scale
    feed = Feed(*run.tape(), run.tick_size, run.lot_size)
    return feed, Tape(tuple(events), run.tick_size, run.lot_size / scale)


def touch(feed: Feed, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best bid and ask tick as known locally at each of the sorted times."""
    replay = Replay(feed.tick_size, feed.lot_size, feed_latency_ns=FEED_LATENCY)
    feed.into(replay)
    best = np.empty((2, len(times)), np.int64)
    for i, time in enumerate(times.tolist()):
        replay.advance(time)
        best[:, i] = replay.bid_tick, replay.ask_tick
    return best[0], best[1]


def schedule(feed: Feed, n: int, seed: int, delays: Delays = CONSTANT) -> Schedule:
    """Make `n` seeded random orders: both sides, -1 to 8 ticks behind the own touch.

    Four in ten GTC, three in ten post-only, the rest IOC, fill-or-kill and market. Sizes are
    geometric about the feed's median trade, one in four ten times as large; lifetimes log-uniform
    from the longest round trip to a fifth of the feed; one order in ten is never cancelled. Three
    of ten orders that rest are replaced once before: by another price (up to two ticks away), a
    larger size, a smaller one, or both price and size.
    """
    rng = np.random.default_rng(seed)
    start, stop = feed.deltas[0][0] + FEED_LATENCY, feed.deltas[0][-1]
    gap = delays.longest()
    time = np.sort(rng.integers(start, stop - 3 * gap, n))
    bid, ask = touch(feed, time)
    side = rng.choice(np.array([1, -1]), n)
    away = rng.integers(-1, 9, n)
    typical = max(1.0, float(np.median(feed.trades[3])))
    lots = rng.geometric(1 / typical, n) * rng.choice(np.array([1, 1, 1, 10]), n)
    tick = np.where(side > 0, bid - away, ask + away)
    kinds = np.array([GTC, POST_ONLY, IOC, MARKET, FOK])
    tif = rng.choice(kinds, n, p=[0.4, 0.3, 0.1, 0.1, 0.1])

    longest = (stop - start) / 5
    life = np.exp(rng.uniform(np.log(2 * gap), np.log(longest), n)).astype(np.int64)
    cancel = time + life
    cancel[(rng.random(n) < 0.1) | (cancel > stop)] = 0

    # by the middle of its life, and a round trip away from both of its ends
    replace = time + gap + (rng.random(n) * (life / 2 - gap)).astype(np.int64)
    resting = (tif == GTC) | (tif == POST_ONLY)
    replace[~resting | (rng.random(n) > 0.3) | (replace > stop)] = 0
    what = rng.integers(1, 4, n)  # 1 price, 2 size, 3 both
    moved = rng.choice(np.array([-2, -1, 1, 2]), n)
    sized = np.maximum(1, np.rint(lots * rng.choice(np.array([0.3, 0.6, 1.5, 3.0]), n)))
    return Schedule(
        time,
        side.astype(np.int8),
        tick.astype(np.int32),
        lots,
        tif.astype(np.int8),
        replace,
        np.where(what != 2, tick + moved, tick).astype(np.int32),
        np.where(what != 1, sized, lots).astype(np.int64),
        cancel,
    )


def busy(millions: float) -> Feed:
    """Read the seeded feed of the comparison of speed, made at first use beside hftbacktest."""
    path = environment.folder().with_name(f"speed-feed-{millions:g}M.npz")
    if not path.exists():
        new = path.with_suffix(f".{os.getpid()}.npz")
        environment.run(BUSY, new, str(millions))
        new.rename(path)
    with np.load(path) as data:
        deltas, trades = (
            columns(*(data[f"{kind}_{c}"] for c in COLUMNS)) for kind in ("delta", "trade")
        )
        return Feed(deltas, trades, float(data["tick_size"]), float(data["lot_size"]))

"""What would have become of an order: computed from who stood where, first in, first out.

A probe is an order of one lot that is imagined at a time and a price of a recorded market. It is
not in that market: nobody reacts to it, and no size of the tape is its own. So the tape on which a
queue model predicts its fill is exactly the market in which its true fill is known.

The truth follows the rules of `mrcore.exchange` in everything but the queue, which is not a model:

- it joins behind all orders that stand at its price when it arrives;
- it fills when an order at its price that came after it is filled: what traded went past all
  before it and would have met it first;
- it fills when its side trades at a worse price, or the other side is quoted at or through its own:
  both mean that nothing stood before it any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrcore.replay import Replay
from mrtrade.errors import DataError
from mrtrade.execution.orders import ADD, CANCEL, FILL, Ints, Level, OrderLog

NEVER = 2**62
"""Wait of a probe that was not filled within its horizon."""


@dataclass(frozen=True)
class Probes:
    """Imagined orders of one lot, times rising.

    Attributes
    ----------
    time : ndarray of int64
        Arrival, ns; what happened at this very time came before.
    side, tick : ndarray of int64
    distance : ndarray of int64
        Ticks behind the best price of its own side.
    queue : ndarray of int64
        Lots displayed at its price when it arrives.
    """

    time: Ints
    side: Ints
    tick: Ints
    distance: Ints
    queue: Ints

    def __len__(self) -> int:
        return len(self.time)

    def part(self, keep: npt.NDArray[np.bool_]) -> Probes:
        """Return those that `keep` says."""
        return Probes(
            self.time[keep], self.side[keep], self.tick[keep], self.distance[keep], self.queue[keep]
        )


@dataclass(frozen=True)
class Cancellations:
    """Orders that were withdrawn at prices where probes waited.

    Attributes
    ----------
    time : ndarray of int64
    front, back : ndarray of int64
        Lots that stood before and behind the probe just before; both > 0.
    lots : ndarray of int64
        Lots withdrawn.
    behind : ndarray of bool
        The order stood behind the probe.
    """

    time: Ints
    front: Ints
    back: Ints
    lots: Ints
    behind: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.time)


def draw_probes(
    log: OrderLog,
    n: int,
    seed: int,
    *,
    start_ns: int,
    end_ns: int,
    distances: Sequence[int] = (0, 1, 2, 4),
) -> Probes:
    """Draw probes at random: times and sides uniform, distances equally often.

    Parameters
    ----------
    log : OrderLog
    n : int
        How many; those at whose time a side is empty are left out.
    seed : int
    start_ns, end_ns : int
        Arrivals lie in this interval, end excluded.
    distances : sequence of int
        Ticks behind the best price of the own side, >= 0.

    Returns
    -------
    Probes
    """
    if n < 1 or end_ns - start_ns < n:
        raise DataError(
            "too short a recording for the probes and their horizon",
            file=log.file,
            value=f"{n} probes in {(end_ns - start_ns) / 1e9:.3f} s",
            remedy="record longer, or ask for fewer probes or a shorter horizon",
        )
    draw = np.random.default_rng(seed)
    time = np.unique(draw.integers(start_ns, end_ns, n))
    side = draw.choice(np.array([1, -1]), len(time))
    distance = draw.choice(np.asarray(distances, np.int64), len(time))
    best = np.zeros(len(time), np.int64)
    known = np.zeros(len(time), np.bool_)
    replay = Replay(1.0, 1.0)
    replay.feed(*log.tape)
    for i, now in enumerate(time.tolist()):
        replay.advance(now)
        bid, ask = replay.bid_tick, replay.ask_tick
        if bid is not None and ask is not None:
            best[i] = bid if side[i] > 0 else ask
            known[i] = True
    tick = best - side * distance
    probes = Probes(time, side, tick, distance, np.zeros(len(time), np.int64)).part(known)
    arrival = _row_after(log, probes.time)
    for level, at in _by_level(log, probes):
        place = np.searchsorted(level.rows, arrival[at])
        probes.queue[at] = np.append(level.size, 0)[place - 1]
    return probes


def _row_after(log: OrderLog, time: Ints) -> Ints:
    """First row of the log that happens after each time."""
    return np.searchsorted(log.time, time, side="right").astype(np.int64)


def _by_level(log: OrderLog, probes: Probes) -> Iterator[tuple[Level, Ints]]:
    """Each level at which there are probes, and which they are, in order of arrival."""
    key = 2 * probes.tick + (probes.side > 0)
    order = np.argsort(key, kind="stable").astype(np.int64)
    for at in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
        if len(at):
            yield log.level(int(probes.side[at[0]]), int(probes.tick[at[0]])), at


def true_waits(log: OrderLog, probes: Probes, horizon_ns: int) -> Ints:
    """Time from a probe's arrival to its fill.

    Parameters
    ----------
    log : OrderLog
    probes : Probes
    horizon_ns : int
        A probe is watched for so long, this very time included.

    Returns
    -------
    ndarray of int64
        Nanoseconds, `NEVER` where it was not filled within the horizon.
    """
    arrival = _row_after(log, probes.time)
    watched = _row_after(log, probes.time + horizon_ns)
    filled = np.minimum(
        _reached(log, probes, arrival), _gone_through(log, probes, arrival, watched)
    )
    waits = np.full(len(probes), NEVER, np.int64)
    hit = filled < watched
    waits[hit] = log.time[filled[hit]] - probes.time[hit]
    return waits


def _reached(log: OrderLog, probes: Probes, arrival: Ints) -> Ints:
    """Row of the first fill of an order that came to the probe's price after it."""
    out = np.full(len(probes), len(log.time), np.int64)
    for level, at in _by_level(log, probes):
        fills = level.rows[log.kind[level.rows] == FILL]
        # First in, first out: orders are filled as they came, so `added` of the fills only rises.
        came = log.added[fills]
        if (np.diff(came) < 0).any():
            row = int(fills[1:][np.diff(came) < 0][0])
            raise DataError(
                "an order is filled before one that came earlier to its price",
                file=log.file,
                row=row,
                expected="first in, first out: another rule of matching cannot be graded",
            )
        place = np.searchsorted(came, arrival[at])
        out[at] = np.append(fills, len(log.time))[place]
    return out


def _gone_through(log: OrderLog, probes: Probes, arrival: Ints, watched: Ints) -> Ints:
    """First row at which the market shows that nothing can stand before the probe any more."""
    out = np.full(len(probes), len(log.time), np.int64)
    for side in (1, -1):
        worse = np.flatnonzero((log.kind == FILL) & (log.side == side))
        quote = np.flatnonzero((log.kind == ADD) & (log.side == -side))
        for rows, reach in ((worse, 1), (quote, 0)):
            key = side * log.tick[rows]
            mine = np.flatnonzero(probes.side == side)
            a = np.searchsorted(rows, arrival[mine])
            b = np.searchsorted(rows, watched[mine])
            for i, first, last in zip(mine.tolist(), a.tolist(), b.tolist(), strict=True):
                hit = key[first:last] + reach <= side * probes.tick[i]
                k = int(hit.argmax()) if len(hit) else 0
                if len(hit) and hit[k]:
                    out[i] = min(out[i], rows[first + k])
    return out


def cancellations(log: OrderLog, probes: Probes, horizon_ns: int) -> Cancellations:
    """Collect what was withdrawn at the probes' prices while they waited in a queue.

    Of probes that wait at one price at one time only the first counts, so no withdrawal is seen
    twice: given all before it, each is one draw, and their likelihood is a product.

    Parameters
    ----------
    log : OrderLog
    probes : Probes
    horizon_ns : int
        A probe is watched for so long, or until nothing stands before it.

    Returns
    -------
    Cancellations
        In order of time.
    """
    arrival = _row_after(log, probes.time)
    watched = _row_after(log, probes.time + horizon_ns)
    found: list[tuple[Ints, ...]] = []
    for level, at in _by_level(log, probes):
        free = 0
        for first, last in zip(arrival[at].tolist(), watched[at].tolist(), strict=True):
            if first < free:
                continue
            # the row after which nothing that came before the probe is left
            ahead = level.added < first
            free = min(last, int(level.gone[ahead].max(initial=first - 1)) + 1)
            found.append(_seen(log, level, first, free))
    parts = [np.concatenate(part) for part in zip(*found, strict=True)] if found else []
    rows, front, back, behind = parts or [np.empty(0, np.int64)] * 4
    order = np.argsort(rows)
    rows = rows[order]
    return Cancellations(
        log.time[rows], front[order], back[order], log.lots[rows], behind[order] > 0
    )


def _seen(log: OrderLog, level: Level, first: int, last: int) -> tuple[Ints, ...]:
    """Find the cancellations in rows [first, last): row, lots before and behind, whether behind."""
    a, b = np.searchsorted(level.rows, (first, last))
    rows = level.rows[a:b]
    before = np.append(0, level.size)[a:b]
    ahead = log.added[rows] < first
    gone = np.where(ahead, log.lots[rows], 0)  # nothing joins the queue before the probe
    start = int(np.append(0, level.size)[a])
    front = start - np.cumsum(gone) + gone
    keep = (log.kind[rows] == CANCEL) & (front > 0) & (before > front)
    return rows[keep], front[keep], before[keep] - front[keep], (~ahead[keep]).astype(np.int64)

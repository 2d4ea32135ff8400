"""Small random tapes for hypothesis, and the market's tape for longer runs."""

import numpy as np
from hypothesis import strategies as st

from mrcore.market import SyntheticMarket

TICK, LOT, MS = 0.5, 0.25, 1_000_000


@st.composite
def tapes(draw, max_rows=120):
    """(deltas, trades) around tick 100, several rows at one time, never crossed for long."""
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, 3),  # time since the row before, in ms
                st.sampled_from(["bid", "ask", "bid", "ask", "buy", "sell", "snapshot"]),
                st.integers(0, 5),
                st.sampled_from([0, 1, 2, 5]),
            ),
            max_size=max_rows,
        )
    )
    # a book to begin with
    deltas = [(0, 1, 99 - k, 3) for k in range(4)] + [(0, -1, 101 + k, 3) for k in range(4)]
    trades, now, centre = [], 0, 100
    for wait, kind, distance, lots in rows:
        now += wait * MS
        if kind == "snapshot":
            deltas += [(now, 0, 0, 0), (now, 1, centre - 1 - distance, lots + 1)]
            deltas += [(now, -1, centre + 1 + distance, 3)]
        elif kind in ("bid", "ask"):
            side = 1 if kind == "bid" else -1
            deltas.append((now, side, centre - side * distance, lots))
            if distance == 0:
                centre += side
        else:
            side = 1 if kind == "buy" else -1
            trades.append((now, side, centre + side * min(distance, 2), lots + 1))
    return columns(deltas), columns(trades)


def columns(rows):
    time, side, tick, lots = zip(*rows, strict=True) if rows else ((), (), (), ())
    return (
        np.array(time, np.int64),
        np.array(side, np.int8),
        np.array(tick, np.int32),
        np.array(lots, np.int64),
    )


def market_tape(seed=7, n_deltas=20_000):
    return SyntheticMarket(seed=seed).run(n_deltas=n_deltas).tape()


def deep_tape(seed, n=400):
    """A book of up to 25 levels a side in which all that bars measure happens often.

    Large sizes come and go again, trades come before, after or without the change they make,
    messages cross the book, and now and then a snapshot follows a gap.
    """
    rng = np.random.default_rng(seed)
    middle, now = 1_000, 0
    levels = range(1, int(rng.choice([4, 11, 19, 24])))
    sizes = {(s, middle - s * k): int(rng.integers(1, 9)) for s in (1, -1) for k in levels}
    deltas = [(now, s, tick, q) for (s, tick), q in sizes.items()]
    trades = []
    for _ in range(n):
        now += int(rng.choice([0, 1, 1, 2, 5])) * MS
        side = int(rng.choice([1, -1]))
        tick = middle - side * int(1 + min(rng.geometric(0.2), 24))
        what = rng.random()
        if what < 0.15:  # a trade, and the change it makes
            mine = [t for (s, t), q in sizes.items() if s == side and q]
            tick = (max if side > 0 else min)(mine, default=tick)
            lots = int(rng.integers(1, 6))
            sizes[side, tick] = max(0, sizes.get((side, tick), 0) - lots)
            wait = int(rng.integers(-5, 6)) * MS // 2
            if rng.random() < 0.9:
                trades.append((max(0, now + wait), -side, tick, lots))
            if rng.random() < 0.9:
                deltas.append((now, side, tick, sizes[side, tick]))
            continue
        if what < 0.19:
            middle += int(rng.choice([-3, -1, 1, 3]))
        if what > 0.98:  # a gap and what is found after it
            deltas.append((now, 0, 0, 0))
            if rng.random() < 0.9:
                deltas += [(now, s, t, q) for (s, t), q in sizes.items() if q]
            else:
                sizes = {}
            continue
        lots = int(rng.choice([0, 1, 3, 7, 40]))
        sizes[side, tick] = lots
        deltas.append((now, side, tick, lots))
    trades.sort(key=lambda row: row[0])
    return columns(deltas), columns(trades)

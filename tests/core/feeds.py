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

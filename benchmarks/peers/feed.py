"""Seeded feed with the statistics of a busy perpetual, for the comparison of speed.

    python feed.py OUTPUT.npz [MILLIONS_OF_DELTAS] [SEED]

Runs under the python of hftbacktest's environment (numba). Columns as `mrcore.replay` takes them:
deltas and a tenth as many trades, (time, side, tick, lots), preceded by a full book.

A message (10.5 deltas on average, one each 10 ms) takes its deltas one after the other from a
zero-intelligence book: 11 % delete a level, 11 % make one, a third is at the touch, 72 % within
10 ticks of it, the farthest 1,000 ticks away; one in eight moves a best price, and the book never
crosses. The sides alternate at random, which is harder on a branch predictor than a real feed,
whose messages have bids first.
"""

import os
import sys

os.environ.setdefault("NUMBA_CACHE_DIR", os.path.join(sys.prefix, "numba-cache"))

import numpy as np
from numba import njit

TICK_SIZE, LOT_SIZE = 0.1, 0.001
MIDDLE, REACH, HALF = 600_000, 1_000, 60_000  # ticks: first mid, farthest change, window
LOW, HIGH = MIDDLE - HALF, MIDDLE + HALF
IMPROVE, DELETE_TOUCH, DELETE = 0.33, 0.17, 0.095  # per delta, at the touch, elsewhere
AT_TOUCH, NEAR = 0.37, 0.33  # shares of the other deltas; the rest log-uniform from 11 ticks


@njit(cache=True)
def run(n: int, n_trades: int, rng: np.random.Generator):
    first = 2 * REACH
    delta = (
        np.empty(first + n, np.int64),
        np.empty(first + n, np.int8),
        np.empty(first + n, np.int32),
        np.empty(first + n, np.int64),
    )
    trade = (
        np.empty(n_trades, np.int64),
        np.empty(n_trades, np.int8),
        np.empty(n_trades, np.int32),
        np.empty(n_trades, np.int64),
    )
    book = np.zeros((2, 2 * HALF), np.int64)
    best = np.array([HALF - 1, HALF])
    time, left, k_trade = 1_700_000_000_000_000_000, 0, 0
    for i in range(first + n):
        if i < first:
            s = i % 2
            slot = best[s] + (i // 2 if s else -(i // 2))
            lots = 1 + int(rng.exponential(400.0))
        else:
            if left == 0:
                time += 1 + int(rng.exponential(10e6))
                left = rng.geometric(1 / 10.5)
                # trades keep pace with the deltas and come before their message
                while k_trade * n < n_trades * (i - first) and k_trade < n_trades:
                    s = rng.integers(0, 2)
                    trade[0][k_trade] = time
                    trade[1][k_trade] = 1 if s else -1
                    trade[2][k_trade] = LOW + best[s]
                    trade[3][k_trade] = 1 + int(rng.exponential(150.0))
                    k_trade += 1
            left -= 1
            s = rng.integers(0, 2)
            out = 1 if s else -1
            lots = 1 + int(rng.exponential(400.0))
            if best[1] - best[0] > 1 and rng.random() < IMPROVE:
                slot = best[s] - out
            else:
                u = rng.random()
                if u < AT_TOUCH:
                    away = 0
                elif u < AT_TOUCH + NEAR:
                    away = 1 + rng.integers(0, 10)
                else:
                    away = int(11 * (REACH / 11) ** rng.random())
                slot = best[s] + out * away
                if book[s, slot] and rng.random() < (DELETE if away else DELETE_TOUCH):
                    lots = 0
        book[s, slot] = lots
        if s == 0:
            best[0] = max(best[0], slot)
            while book[0, best[0]] == 0:
                best[0] -= 1
        else:
            best[1] = min(best[1], slot)
            while book[1, best[1]] == 0:
                best[1] += 1
        delta[0][i] = time
        delta[1][i] = -1 if s else 1
        delta[2][i] = LOW + slot
        delta[3][i] = lots
    for k in range(k_trade, n_trades):
        trade[0][k] = time
        trade[1][k] = 1
        trade[2][k] = LOW + best[1]
        trade[3][k] = 1
    return delta, trade


def main(target: str, millions: str = "10", seed: str = "7") -> None:
    n = int(float(millions) * 1e6)
    delta, trade = run(n, n // 10, np.random.default_rng(int(seed)))
    names = ("time", "side", "tick", "lots")
    data = {f"delta_{c}": v for c, v in zip(names, delta, strict=True)}
    data |= {f"trade_{c}": v for c, v in zip(names, trade, strict=True)}
    np.savez(target, tick_size=TICK_SIZE, lot_size=LOT_SIZE, low=LOW, high=HIGH, **data)


if __name__ == "__main__":
    main(*sys.argv[1:])

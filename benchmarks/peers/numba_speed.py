"""The loops a Python user would write with numba, on a feed of `feed.py`.

    python numba_speed.py FEED.npz RUNS

Runs under the python of hftbacktest's environment and prints JSON. The loops do the work of the
kernels they stand beside and check nothing: prices outside a fixed range, crossed books and times
that fall are not looked for. Compiled before the clock starts; the touch is written into memory
that is there.
"""

import json
import os
import sys
import time

os.environ.setdefault("NUMBA_CACHE_DIR", os.path.join(sys.prefix, "numba-cache"))

import numpy as np
from numba import njit


@njit(cache=True)
def apply(book, best, side, tick, lots):
    """One delta: bids in row 0, asks in row 1, of sizes by tick."""
    if side > 0:
        book[0, tick] = lots
        if lots > 0 and tick > best[0]:
            best[0] = tick
        while book[0, best[0]] == 0 and best[0] > 0:
            best[0] -= 1
    else:
        book[1, tick] = lots
        if lots > 0 and tick < best[1]:
            best[1] = tick
        while book[1, best[1]] == 0 and best[1] < book.shape[1] - 1:
            best[1] += 1


@njit(cache=True)
def new_book(size):
    return np.zeros((2, size), np.int64), np.array([0, size - 1])


@njit(cache=True)
def book(side, tick, lots, low, high):
    levels, best = new_book(high - low)
    for i in range(len(side)):
        apply(levels, best, side[i], tick[i] - low, lots[i])
    return best


@njit(cache=True)
def touch(side, tick, lots, low, high, bid_tick, bid_lots, ask_tick, ask_lots):
    levels, best = new_book(high - low)
    for i in range(len(side)):
        apply(levels, best, side[i], tick[i] - low, lots[i])
        bid_tick[i] = best[0] + low
        bid_lots[i] = levels[0, best[0]]
        ask_tick[i] = best[1] + low
        ask_lots[i] = levels[1, best[1]]


@njit(cache=True)
def imbalance(side, tick, lots, low, high, n, out):
    levels, best = new_book(high - low)
    for i in range(len(side)):
        apply(levels, best, side[i], tick[i] - low, lots[i])
        bids = asks = found = 0
        slot = best[0]
        while found < n and slot >= 0:
            if levels[0, slot]:
                bids += levels[0, slot]
                found += 1
            slot -= 1
        slot, found = best[1], 0
        while found < n and slot < levels.shape[1]:
            if levels[1, slot]:
                asks += levels[1, slot]
                found += 1
            slot += 1
        out[i] = (bids - asks) / (bids + asks) if bids + asks else np.nan


@njit(cache=True)
def vpin(side, size, bucket, n, out):
    ring = np.zeros(n)
    closed, filled, net, value = 0, 0.0, 0.0, np.nan
    for i in range(len(side)):
        left = size[i]
        while left >= bucket - filled:
            room = bucket - filled
            ring[closed % n] = abs(net + side[i] * room) / bucket
            left -= room
            closed += 1
            filled = net = 0.0
            if closed >= n:
                value = ring.mean()
        filled += left
        net += side[i] * left
        out[i] = value


@njit(cache=True)
def kyle(time, side, size, mid, interval, window, out):
    x, y = np.zeros(window), np.zeros(window)
    sx = sy = sxx = sxy = 0.0
    end, volume, before, bars = (time[0] // interval + 1) * interval, 0.0, np.nan, 0
    for i in range(len(time)):
        if time[i] >= end:
            change = mid[i - 1] - before
            if not np.isnan(change):
                k = bars % window
                sx += volume - x[k]
                sy += change - y[k]
                sxx += volume * volume - x[k] * x[k]
                sxy += volume * change - x[k] * y[k]
                x[k], y[k] = volume, change
                bars += 1
                vary = window * sxx - sx * sx
                if bars >= window and vary > 0:
                    out[bars] = (window * sxy - sx * sy) / vary
            before, volume = mid[i - 1], 0.0
            end = (time[i] // interval + 1) * interval
        volume += side[i] * size[i]
    return bars


def main(source: str, runs: str) -> None:
    data = dict(np.load(source))
    side, tick, lots = (data[f"delta_{c}"] for c in ("side", "tick", "lots"))
    low, high = int(data["low"]), int(data["high"])
    when, aggressor = data["trade_time"], data["trade_side"]
    size = data["trade_lots"] * float(data["lot_size"])
    mid = data["trade_tick"] * float(data["tick_size"])
    written = tuple(np.ones(len(side), kind) for kind in (np.int32, np.int64) * 2)
    column, trades = np.ones(len(side)), np.ones(len(when))
    calls = {
        "book": (side, lambda: book(side, tick, lots, low, high)),
        "touch": (side, lambda: touch(side, tick, lots, low, high, *written)),
        "imbalance": (side, lambda: imbalance(side, tick, lots, low, high, 5, column)),
        "vpin": (when, lambda: vpin(aggressor, size, 10.0, 50, trades)),
        "kyle": (when, lambda: kyle(when, aggressor, size, mid, 10**9, 300, trades)),
    }
    out: dict[str, list[float]] = {name: [] for name in calls}
    for run in range(int(runs) + 1):
        for name, (events, call) in calls.items():
            started = time.process_time()
            call()
            if run:  # the first one compiles
                out[name].append((time.process_time() - started) / len(events) * 1e9)
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])

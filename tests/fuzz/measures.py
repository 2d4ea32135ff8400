"""Measures of the flow and rolling statistics: any floats, cut, saved and restored at will.

Whatever came before, a window of ordinary values has the statistics of those values.
"""

import copy
import math
import pickle
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from mrcore import flow, rolling

from .feeds import pieces

NASTY = (np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -1e-300, 1e300, -1.7e308, 2.0**53 + 2, -1.0)
MAKE: dict[str, tuple[int, Callable[[np.random.Generator], Any]]] = {
    # how many columns it takes, how it is made
    "OFI": (4, lambda rng: flow.OFI()),
    "VPIN": (2, lambda rng: flow.VPIN(float(rng.choice([0.0, 1.0, 100.0])), 5, 20, 7.0)),
    "BulkVPIN": (2, lambda rng: flow.BulkVPIN(float(rng.choice([0.5, 30.0])), 5, 10)),
    "KyleLambda": (2, lambda rng: flow.KyleLambda(int(rng.integers(3, 40)))),
    "RollingMean": (1, lambda rng: rolling.RollingMean(int(rng.integers(1, 40)))),
    "RollingVariance": (1, lambda rng: rolling.RollingVariance(int(rng.integers(2, 40)))),
    "RollingCovariance": (2, lambda rng: rolling.RollingCovariance(int(rng.integers(2, 40)))),
    "RollingOLS": (2, lambda rng: rolling.RollingOLS(int(rng.integers(3, 40)))),
    "RollingMin": (1, lambda rng: rolling.RollingMin(int(rng.integers(1, 40)))),
    "RollingMax": (1, lambda rng: rolling.RollingMax(int(rng.integers(1, 40)))),
    "EWMA": (1, lambda rng: rolling.EWMA(float(rng.choice([1e-3, 0.5, 1.0])))),
}
COVERS = (
    *(f"measure: {name}" for name in MAKE),
    "measure: window held against numpy",
    "measure: of the book",
)


def play(rng: np.random.Generator, events: int, seen: Counter[str]) -> None:
    """Play one round: each measure once."""
    n = events // len(MAKE)
    for name, (width, make) in MAKE.items():
        columns = [values(rng, n) for _ in range(width)]
        if name == "VPIN":
            columns[0] = rng.choice(np.array([-1, 0, 1], np.int8), n)
        whole = make(rng)
        parts, single = copy.copy(whole), copy.copy(whole)
        out = rows_of(whole.batch(*columns))
        cut = []
        for piece in pieces(rng, n):
            parts = pickle.loads(pickle.dumps(parts)) if rng.random() < 0.5 else copy.copy(parts)
            cut.append(rows_of(parts.batch(*(column[piece] for column in columns))))
        equal(name, np.concatenate(cut, axis=1), out)
        few = min(n, 100)
        one = [
            single.update(*row) for row in zip(*(c[:few].tolist() for c in columns), strict=True)
        ]
        equal(name, rows_of(np.array(one).T), out[:, :few])
        bounds(name, out)
        if name in EXACT:
            seen["measure: window held against numpy"] += windows(name, whole.window, columns, out)
        seen[f"measure: {name}"] += 1
    touches(rng, n)
    seen["measure: of the book"] += 1


def values(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return random floats: a walk, noise or few different values; some of them absurd."""
    kind = rng.integers(4)
    if kind == 0:
        x = 60_000 + np.cumsum(rng.normal(size=n))
    elif kind == 1:
        x = rng.normal(size=n) * 10.0 ** rng.integers(-8, 9)
    elif kind == 2:
        x = rng.integers(0, 3, n).astype(float)
    else:
        x = rng.exponential(size=n) * 10.0 ** rng.integers(-8, 9, n)
    share = rng.choice([0.0, 0.01, 0.2])
    at = rng.random(n) < share
    x[at] = rng.choice(NASTY, np.count_nonzero(at))
    return x


def rows_of(out: Any) -> np.ndarray:
    return np.atleast_2d(np.array(out, dtype=float))


def equal(name: str, one: np.ndarray, two: np.ndarray) -> None:
    assert np.array_equal(one, two, equal_nan=True), name


def bounds(name: str, out: np.ndarray) -> None:
    if name in ("VPIN", "BulkVPIN"):
        assert np.all(np.isnan(out) | ((out >= 0) & (out <= 1 + 1e-9))), (name, np.nanmax(out))
    elif name == "RollingVariance":
        assert np.all(np.isnan(out) | (out >= 0)), name
    elif name == "RollingOLS":
        fit = out[2]
        assert np.all(np.isnan(fit) | ((fit >= 0) & (fit <= 1))), (name, np.nanmin(fit))


def exact_mean(x: np.ndarray) -> float:
    return math.fsum(x) / len(x)


def exact_variance(x: np.ndarray) -> float:
    mean = exact_mean(x)
    return math.fsum((x - mean) ** 2) / (len(x) - 1)


EXACT: dict[str, Callable[[np.ndarray], float]] = {
    "RollingMean": exact_mean,
    "RollingVariance": exact_variance,
    "RollingMin": min,
    "RollingMax": max,
}


def windows(name: str, window: int, columns: list[np.ndarray], out: np.ndarray) -> int:
    """Hold windows of ordinary values against their statistics; how many there were."""
    [x] = columns
    held = 0
    for end in range(window, len(x) + 1, 7):
        part = x[end - window : end]
        found = out[0, end - 1]
        if not np.isfinite(part).all():
            assert np.isnan(found), (name, end)
        elif np.abs(part).max() < 1e150:
            wanted = EXACT[name](part)
            # A variance is as exact as the squares of what it is made of.
            scale = (
                np.abs(part - part[0]).max() if name == "RollingVariance" else np.abs(part).max()
            )
            room = 1e-11 * (scale**2 if name == "RollingVariance" else scale) + 1e-300
            assert abs(found - wanted) <= room, (name, end, found, wanted, part)
            held += 1
    return held


def touches(rng: np.random.Generator, n: int) -> None:
    bid, ask = values(rng, n), values(rng, n)
    bid_size, ask_size = np.abs(values(rng, n)), np.abs(values(rng, n))
    share = flow.imbalance(bid_size, ask_size)
    assert np.all(np.isnan(share) | (np.abs(share) <= 1.0))
    price = flow.microprice(bid, bid_size, ask, ask_size)
    small = (np.abs(bid) < 1e100) & (np.abs(ask) < 1e100)
    small &= (bid_size < 1e100) & (ask_size < 1e100) & (bid_size > 1e-100) & (ask_size > 1e-100)
    low, high = np.minimum(bid, ask)[small], np.maximum(bid, ask)[small]
    room = 1e-12 * np.maximum(np.abs(low), np.abs(high))
    assert np.all((price[small] >= low - room) & (price[small] <= high + room))

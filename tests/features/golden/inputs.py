"""Seeded series on which the oracles are asked: they never change.

The generator is our own (splitmix64, inverse normal), so that no release of NumPy moves them;
they are also written to `inputs.json`, which alone is read by tests.
"""

import math

import numpy as np
from scipy.special import ndtri

MASK = (1 << 64) - 1


class Splitmix:
    """Splitmix64 of Steele, Lea and Flood (2014)."""

    def __init__(self, seed: int):
        self.state = seed

    def uniform(self, n: int) -> np.ndarray:
        """`n` numbers inside (0, 1)."""
        out = np.empty(n)
        for i in range(n):
            self.state = z = (self.state + 0x9E3779B97F4A7C15) & MASK
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
            out[i] = (((z ^ (z >> 31)) >> 11) + 0.5) * 2.0**-53
        return out

    def normal(self, n: int) -> np.ndarray:
        return ndtri(self.uniform(n))


def ticks(price: np.ndarray, per_unit: int = 10) -> np.ndarray:
    """Prices on a grid of 1 / `per_unit`."""
    return np.round(price * per_unit) / per_unit


def bars(n: int = 320, steps: int = 12) -> dict[str, np.ndarray]:
    """Minutes of a price near 60,000 with clustered volatility, gaps at the open, and a peer."""
    rng = Splitmix(1)
    scale = 4e-4 * np.exp(0.5 * np.cumsum(0.15 * rng.normal(n)))
    common = rng.normal(n * steps).reshape(n, steps) * (scale / math.sqrt(steps))[:, None]
    own = rng.normal(n * steps).reshape(n, steps) * 3e-4 / math.sqrt(steps)
    log = np.cumsum(common.ravel()).reshape(n, steps)
    path = ticks(60_000.0 * np.exp(log))
    opened = np.r_[60_000.0, path[:-1, -1]] + ticks(2.0 * rng.normal(n))
    every = np.c_[opened, path]
    peer = 3_000.0 * np.exp(np.cumsum((1.2 * common + own).sum(axis=1)))
    return {
        "open": ticks(opened),
        "high": ticks(every.max(axis=1)),
        "low": ticks(every.min(axis=1)),
        "close": path[:, -1],
        "volume": np.round(-5.0 * np.log(rng.uniform(n)), 3),
        "peer_close": ticks(peer, 100),
    }


def flat_bars() -> dict[str, np.ndarray]:
    """`bars`, dead for the first 24 and for 45 in the middle, every third close repeated."""
    out = {name: column.copy() for name, column in bars().items() if name != "peer_close"}
    still = np.zeros(len(out["close"]), bool)
    still[1:24] = still[150:195] = still[30::3] = True
    for t in np.flatnonzero(still):
        for name in ("open", "high", "low", "close"):
            out[name][t] = out["close"][t - 1]
    out["volume"][still] = 0.0
    out["open"][0] = out["high"][0] = out["low"][0] = out["close"][0]
    for name, pick in (("high", np.maximum), ("low", np.minimum)):
        out[name] = pick(out[name], pick(out["open"], out["close"]))
    return out


def path(n: int = 1025) -> dict[str, np.ndarray]:
    """A price that partly reverts; the same seen through noise with a jump; with 30 % repeats."""
    rng = Splitmix(2)
    shock, walk = rng.normal(n), np.cumsum(2e-4 * rng.normal(n))
    gap = np.zeros(n)
    for t in range(1, n):
        gap[t] = 0.9 * gap[t - 1] + 2e-4 * shock[t]
    log = walk + gap
    jump = np.where(np.arange(n) >= 580, 0.006, 0.0)
    noisy = log + jump + 1.5e-4 * rng.normal(n)
    repeat = rng.uniform(n) < 0.3
    repeat[0] = False
    last = np.maximum.accumulate(np.where(repeat, 0, np.arange(n)))
    price = ticks(60_000.0 * np.exp(log))
    return {
        "price": price,
        "noisy": ticks(60_000.0 * np.exp(noisy)),
        "sticky": price[last],
    }


def spread(n: int = 641, half_life: float = 12.0) -> dict[str, np.ndarray]:
    """Ornstein-Uhlenbeck spread in quote units, about 25 of stationary deviation."""
    rng = Splitmix(3)
    phi = 0.5 ** (1.0 / half_life)
    x = np.empty(n)
    x[0] = 40.0
    for t, e in enumerate(rng.normal(n - 1), 1):
        x[t] = 5.0 + phi * (x[t - 1] - 5.0) + 25.0 * math.sqrt(1.0 - phi * phi) * e
    return {"value": np.round(x, 2)}


def asynchronous(lag: int = 200) -> dict[str, np.ndarray]:
    """Two assets seen at their own times (ms); `b` follows `a` by 2 s; some times are shared."""
    rng = Splitmix(4)
    size = 30_000  # steps of 10 ms
    common = np.cumsum(2e-5 * rng.normal(size))
    late = np.r_[np.zeros(lag), common[:-lag]] + np.cumsum(8e-6 * rng.normal(size))
    at = {
        name: np.unique((np.cumsum(-mean * np.log(rng.uniform(count)))).astype(np.int64) + 1)
        for name, mean, count in (("a", 80.0, 360), ("b", 110.0, 260))
    }
    a, b = (times[times < size] for times in at.values())
    b = np.union1d(b, [*a[5::40], 0, size - 1])  # and around `a`
    return {
        "time_a": 10 * a,
        "price_a": ticks(60_000.0 * np.exp(common[a])),
        "time_b": 10 * b,
        "price_b": ticks(3_000.0 * np.exp(late[b]), 100),
    }


def trades(n: int = 1000) -> dict[str, np.ndarray]:
    """Trades over midnight (ms since 22:00 UTC), with still minutes and two huge prints.

    Sizes are multiples of 1 / 1024, and so is a hundredth of their sum: buckets of it fill without
    a rounding error.
    """
    rng = Splitmix(5)
    wait = -13_000.0 * np.log(rng.uniform(n))
    wait[[300, 620]] += 300_000.0
    price = 60_000.0 * np.exp(np.cumsum(6e-5 * rng.normal(n)))
    size = np.ceil(-400.0 * np.log(rng.uniform(n)))
    size[[170, 750]] = 40_000.0, 33_333.0
    size[-1] += -size.sum() % 100.0
    return {"time": np.cumsum(wait).astype(np.int64), "price": ticks(price), "size": size / 1024.0}


def kyle(n: int = 400, sigma_v: float = 0.5, sigma_u: float = 120.0) -> dict[str, np.ndarray]:
    """One-shot equilibria of Kyle (1985), one a row: surprise, order flow, and changes of price.

    The insider sends ``sigma_u / sigma_v`` times his surprise, the market maker moves the price
    by ``sigma_v / (2 sigma_u)`` times the flow he sees. `noisy` adds a change of other news.
    """
    rng = Splitmix(6)
    surprise, noise = sigma_v * rng.normal(n), sigma_u * rng.normal(n)
    flow = sigma_u / sigma_v * surprise + noise
    change = sigma_v / (2.0 * sigma_u) * flow
    noisy = change + 0.2 * rng.normal(n)
    return {
        "surprise": np.round(surprise, 9),
        "flow": np.round(flow, 7),
        "change": np.round(change, 11),
        "noisy": np.round(noisy, 6),
    }


def quotes(n: int = 120) -> dict[str, np.ndarray]:
    """Trades with the quotes before them; every fifth inside the spread."""
    rng = Splitmix(7)
    mid = 60_000.0 + np.cumsum(3.0 * rng.normal(n))
    half = 0.1 + 0.1 * np.floor(4.0 * rng.uniform(n))
    side = np.where(rng.uniform(n) < 0.5, -1.0, 1.0)
    bid, ask = ticks(mid - half), ticks(mid + half)
    trade = np.where(side > 0.0, ask, bid)
    trade[::5] -= 0.1 * side[::5]
    return {"bid": bid, "ask": ask, "price": ticks(trade), "side": side}


def events(horizon: float = 200.0) -> dict[str, np.ndarray]:
    """Times (s) of a Hawkes process: base 0.5, jump 0.8, decay 1.6; one time is doubled."""
    rng = Splitmix(8)
    times, now, excited = [], 0.0, 0.0
    while True:
        bound = 0.5 + excited
        wait, keep = rng.uniform(2)
        wait = -math.log(wait) / bound
        now, excited = now + wait, excited * math.exp(-1.6 * wait)
        if now >= horizon:
            break
        if keep * bound < 0.5 + excited:
            times.append(round(now, 3))
            excited += 0.8
    times[100] = times[99]
    return {"time": np.array(times)}


def every() -> dict[str, dict[str, np.ndarray]]:
    """All series, by name."""
    made = (bars, flat_bars, path, spread, asynchronous, trades, kyle, quotes, events)
    return {make.__name__: make() for make in made}

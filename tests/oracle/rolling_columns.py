"""Slow, obvious twins of the mrcore.rolling_* modules: each window by itself."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np


def each_window(x, window, f):
    """`f` of each window of finite values, one result in each row; NaN elsewhere."""
    x = np.asarray(x, dtype=float)
    count = len(np.atleast_1d(f(np.arange(window, dtype=float) ** 2 % 7)))
    out = np.full((count, len(x)), np.nan)
    for i in range(window - 1, len(x)):
        inside = x[i - window + 1 : i + 1]
        if np.isfinite(inside).all():
            out[:, i] = f(inside)
    return out if count > 1 else out[0]


def central(x, powers):
    """Means of powers about the mean, in exact fractions."""
    x = [Fraction(v) for v in x]
    mean = sum(x) / len(x)
    return [sum((v - mean) ** k for v in x) / len(x) for k in powers]


def moments(x):
    return float(sum(map(Fraction, x)) / len(x)), float(central(x, [2])[0])


def shape(x):
    m2, m3, m4 = map(float, central(x, [2, 3, 4]))
    return (m3 / m2**1.5, m4 / m2**2 - 3.0) if m2 > 0 else (math.nan, math.nan)


def rank(x):
    others, new = x[:-1], x[-1]
    return ((others < new).sum() + 0.5 * (others == new).sum()) / len(others)


def median_mad(x):
    median = np.median(x)
    return median, np.median(np.abs(x - median))


def autoregression(x):
    """Slope, intercept, t, phi, standard error and residual variance, by exact fractions."""
    x = [Fraction(v) for v in x]
    before, step = x[:-1], [b - a for a, b in pairwise(x)]
    n = len(step)
    mx, my = sum(before) / n, sum(step) / n
    xx = sum((v - mx) ** 2 for v in before)
    if xx == 0:
        return (math.nan,) * 6
    slope = sum((v - mx) * (w - my) for v, w in zip(before, step, strict=True)) / xx
    rest = sum((w - my - slope * (v - mx)) ** 2 for v, w in zip(before, step, strict=True))
    variance = rest / (n - 2)
    error = math.sqrt(variance / xx)
    t = float(slope) / error if error > 0 else math.nan
    return float(slope), float(my - slope * mx), t, float(1 + slope), error, float(variance)


def dickey_fuller(x, lags):
    """t of the value before, by eliminating one column after the other in exact fractions."""
    x = [Fraction(v) for v in x]
    step = [b - a for a, b in pairwise(x)]
    rows = range(lags, len(step))
    columns = [[Fraction(1) for _ in rows]]
    columns += [[step[i - k] for i in rows] for k in range(1, lags + 1)]
    columns += [[x[i] for i in rows], [step[i] for i in rows]]
    while len(columns) > 2:
        first, columns = columns[0], columns[1:]
        size = sum(v * v for v in first)
        if size == 0:
            return math.nan
        columns = [eliminate(column, first, size) for column in columns]
    before, last = columns
    xx = sum(v * v for v in before)
    if xx == 0:
        return math.nan
    xy = sum(v * w for v, w in zip(before, last, strict=True))
    rest = sum(w * w for w in last) - xy * xy / xx
    return float(xy) / math.sqrt(xx * rest / (len(rows) - lags - 2)) if rest else math.nan


def eliminate(column, first, size):
    share = sum(v * w for v, w in zip(column, first, strict=True)) / size
    return [v - share * w for v, w in zip(column, first, strict=True)]


def variance_ratio(x, q):
    """VR(q) and robust z, debiased (Lo & MacKinlay 1988), in exact fractions."""
    x = [Fraction(v) for v in x]
    n = len(x) - 1
    mean = (x[-1] - x[0]) / n
    square = [(b - a - mean) ** 2 for a, b in pairwise(x)]
    one = sum(square)
    if one == 0:
        return math.nan, math.nan
    far = sum((x[i + q] - x[i] - q * mean) ** 2 for i in range(n - q + 1))
    vr = far / (q * (n - q + 1) * (1 - Fraction(q, n))) / (one / (n - 1))
    theta = Fraction(0)
    for k in range(1, q):
        delta = n * sum(square[i] * square[i - k] for i in range(k, n)) / one**2
        theta += (2 * Fraction(q - k, q)) ** 2 * delta
    z = math.sqrt(n) * float(vr - 1) / math.sqrt(theta) if theta else math.nan
    return float(vr), z


def fluctuation(x, scale):
    """F(scale) of DFA-1; from both ends when the scale does not divide the window."""
    profile = np.cumsum(x - np.mean(x))
    starts = list(range(0, len(x) - scale + 1, scale))
    if len(x) % scale:
        starts += list(range(len(x) % scale, len(x) - scale + 1, scale))
    t = np.arange(scale)
    squares = []
    for start in starts:
        y = profile[start : start + scale]
        squares.append(np.mean((y - np.polyval(np.polyfit(t, y, 1), t)) ** 2))
    return math.sqrt(np.mean(squares))


def dfa(x, scales):
    """Slope of log F on log scale."""
    return np.polyfit(np.log(scales), np.log([fluctuation(x, s) for s in scales]), 1)[0]


def parzen(u):
    return 1 - 6 * u**2 + 6 * u**3 if u <= 0.5 else 2 * (1 - u) ** 3


def kernel_variance(x, bandwidth):
    """Realised kernel by its definition, a double loop."""
    total = 0.0
    for h in range(-bandwidth, bandwidth + 1):
        covariance = sum(x[j] * x[j - abs(h)] for j in range(abs(h), len(x)))
        total += parzen(abs(h) / (bandwidth + 1)) * covariance
    return total


def bandwidth(x, sparse, max_lag):
    """H* of Barndorff-Nielsen et al. (2009), from grids of `sparse` returns at all offsets."""
    n = len(x)
    price = np.concatenate([[0.0], np.cumsum(x)])
    far = price[sparse:] - price[:-sparse]
    variance = np.sum(far**2) / sparse * n / len(far)
    noise = np.sum(np.square(x)) / (2 * n)
    if noise == 0:
        return 0
    if variance == 0:
        return max_lag
    return min(max_lag, math.ceil(3.5134 * math.sqrt(noise / variance) ** 0.8 * n**0.6))


def jump(r):
    """RV, BV, TPQ, the ratio statistic and the share of zeros."""
    n, size = len(r), np.abs(r)
    mu = 2 ** (2 / 3) * math.gamma(7 / 6) / math.gamma(1 / 2)
    rv = np.sum(r**2)
    bv = np.pi / 2 * n / (n - 1) * np.sum(size[1:] * size[:-1])
    product = (size[2:] * size[1:-1] * size[:-2]) ** (4 / 3)
    tpq = n * n / (n - 2) * mu**-3 * np.sum(product)
    z = math.nan
    if rv > 0 and bv > 0:
        theta = (np.pi / 2) ** 2 + np.pi - 5
        z = math.sqrt(n) * (1 - bv / rv) / math.sqrt(theta * max(1.0, tpq / bv**2))
    return rv, bv, tpq, z, np.mean(r == 0)


def seeded_ema(x, window, alpha):
    out, mean = [], math.nan
    for i in range(len(x)):
        inside = x[max(0, i - window + 1) : i + 1]
        if math.isnan(mean):
            if len(inside) == window and np.isfinite(inside).all():
                mean = float(np.mean(inside))
        elif math.isfinite(x[i]):
            mean += alpha * (x[i] - mean)
        out.append(mean)
    return out


def rsi(x, window):
    out, steps, before = [], [], math.nan
    gain = loss = math.nan
    for v in x:
        step, before = v - before, v
        out.append(math.nan)
        if not math.isfinite(step):
            continue
        steps.append(step)
        up, down = max(step, 0.0), max(-step, 0.0)
        if len(steps) == window:
            gain = sum(max(s, 0.0) for s in steps) / window
            loss = sum(max(-s, 0.0) for s in steps) / window
        elif len(steps) > window:
            gain = (gain * (window - 1) + up) / window
            loss = (loss * (window - 1) + down) / window
        if gain + loss > 0:
            out[-1] = 100 * gain / (gain + loss)
    return out


def adx(bars, window):
    """+DI, -DI and ADX; `bars` are rows of high, low and close."""
    out, before = [], (math.nan,) * 3
    sums, directions, index = [0.0, 0.0, 0.0], [], 0.0
    steps = 0
    for bar in bars:
        (high, low, _), old, before = bar, before, bar
        out.append((math.nan,) * 3)
        if not np.isfinite([*bar, *old]).all():
            continue
        steps += 1
        up, down = high - old[0], old[1] - low
        moves = [
            up if up > max(down, 0) else 0.0,
            down if down > max(up, 0) else 0.0,
            max(high, old[2]) - min(low, old[2]),
        ]
        keep = 1 - 1 / window if steps >= window else 1.0
        sums = [keep * s + m for s, m in zip(sums, moves, strict=True)]
        if steps < window:
            continue
        plus = minus = math.nan
        if sums[2] > 0:
            plus, minus = 100 * sums[0] / sums[2], 100 * sums[1] / sums[2]
        moved = plus + minus > 0
        new = 100 * abs(plus - minus) / (plus + minus) if moved else 0.0
        if steps < 2 * window:
            directions.append(new)
            index = sum(directions) / window
        elif moved:
            index += (new - index) / window
        out[-1] = (plus, minus, index if steps >= 2 * window - 1 else math.nan)
    return np.array(out).reshape(-1, 3).T

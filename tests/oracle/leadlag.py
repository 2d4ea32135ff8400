"""Slow, obvious twin of mrcore.leadlag: every pair of increments, for every lag."""

import math
from itertools import pairwise


def changes(time, price, until, longest):
    """Increments (start, end, change) of what came up to a time: the last price at each time,
    unchanged and impossible ones passed over, none longer than `longest`."""
    last = {}
    for t, p in zip(time, price, strict=True):
        if t <= until and abs(p) < 1000.0:
            last[t] = p
    points = []
    for t, p in sorted(last.items()):
        if not points or p != points[-1][1]:
            points.append((t, p))
    return [(s, t, q - p) for (s, p), (t, q) in pairwise(points) if t - s <= longest]


def contrast(dx, dy, lag, after=-math.inf):
    """U(lag) over the pairs whose later end is after a time."""
    return math.fsum(
        a * b
        for s0, s1, a in dx
        for t0, t1, b in dy
        if max(s1, t1) > after and s0 + lag < t1 and t0 < s1 + lag
    )


def value(x_time, x, y_time, y, at, window, lags, least=10):
    """hy_cov, hy_corr, lead_s, lead_corr and llr at one time."""
    dx = changes(x_time, x, at, window)
    dy = changes(y_time, y, at, window)
    in_x = [d for _, end, d in dx if end > at - window]
    in_y = [d for _, end, d in dy if end > at - window]
    if min(len(in_x), len(in_y)) < least:
        return (math.nan,) * 5
    scale = math.sqrt(math.fsum(d * d for d in in_x) * math.fsum(d * d for d in in_y))
    u = {lag: contrast(dx, dy, lag, at - window) for lag in lags}
    best = max(lags, key=lambda lag: (abs(u[lag]), -abs(lag)))
    before = math.fsum(u[lag] ** 2 for lag in lags if lag < 0)
    after = math.fsum(u[lag] ** 2 for lag in lags if lag > 0)
    ratio = after / before if before > 0 else math.nan
    return u[0], u[0] / scale, best / 1e9, u[best] / scale, ratio


def batch(x_time, x, y_time, y, at, window, lags, least=10):
    """Five lists, one value a time."""
    rows = [value(x_time, x, y_time, y, t, window, lags, least) for t in at]
    return [list(column) for column in zip(*rows, strict=True)] or [[]] * 5

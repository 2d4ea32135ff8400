"""Slow, obvious twins of mrcore.flow."""

import itertools
import math
import statistics
from fractions import Fraction


def ofi(quotes):
    """Contributions of a list of (bid, bid_size, ask, ask_size), each case spelled out."""
    out = [0.0] if quotes else []
    for (b0, qb0, a0, qa0), (b1, qb1, a1, qa1) in itertools.pairwise(quotes):
        if b1 > b0:
            bought = qb1
        elif b1 < b0:
            bought = -qb0
        else:
            bought = qb1 - qb0
        if a1 < a0:
            sold = qa1
        elif a1 > a0:
            sold = -qa0
        else:
            sold = qa1 - qa0
        out.append(bought - sold)
    return out


def vpin(shares, sizes, bucket, n):
    """VPIN after each volume: lay the volumes end to end, cut the line every `bucket`.

    `shares` are (buy - sell) / size; all arithmetic is exact.
    """
    bucket = Fraction(bucket)
    line, end = [], Fraction(0)
    out, imbalances = [], []
    for share, size in zip(map(Fraction, shares), map(Fraction, sizes), strict=True):
        line.append((end, end + size, share))
        end += size
        while (len(imbalances) + 1) * bucket <= end:
            left = len(imbalances) * bucket
            net = sum(
                s * max(Fraction(0), min(hi, left + bucket) - max(lo, left)) for lo, hi, s in line
            )
            imbalances.append(abs(net) / bucket)
        last = imbalances[-n:]
        out.append(float(sum(last) / n) if len(last) == n else math.nan)
    return out


def bulk_vpin(prices, volumes, bucket, n, sigma_bars):
    """VPIN after each bar that trades, by bulk classification with a trailing sigma."""
    changes, shares, sizes, rows = [], [], [], []
    last = None
    for price, volume in zip(prices, volumes, strict=True):
        if volume > 0 and not math.isnan(price):
            if last is not None:
                change = price - last
                if len(changes) >= sigma_bars:
                    sigma = statistics.stdev(changes[-sigma_bars:])
                    phi = statistics.NormalDist().cdf(change / sigma) if sigma > 0 else 0.5
                    shares.append(2 * phi - 1)
                    sizes.append(volume)
                changes.append(change)
            last = price
        rows.append(len(sizes))
    values = [math.nan, *vpin(shares, sizes, bucket, n)]
    return [values[k] for k in rows]

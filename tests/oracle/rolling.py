"""Slow, obvious twins of mrcore.rolling: each window by itself, in exact fractions."""

import math
from fractions import Fraction


def windows(columns, window):
    """For each row the last `window` rows as fractions; None where there is no result."""
    rows = [tuple(map(float, row)) for row in zip(*columns, strict=True)]
    for i in range(len(rows)):
        rows_in = rows[i - window + 1 : i + 1] if i + 1 >= window else []
        if rows_in and all(math.isfinite(v) for row in rows_in for v in row):
            yield [[Fraction(v) for v in column] for column in zip(*rows_in, strict=True)]
        else:
            yield None


def about_means(x, y):
    """Sum of products about the means."""
    n = len(x)
    return sum(a * b for a, b in zip(x, y, strict=True)) - sum(x) * sum(y) / n


def mean(x, window):
    return [math.nan if w is None else float(sum(w[0]) / window) for w in windows([x], window)]


def variance(x, window, ddof=1):
    return covariance(x, x, window, ddof)


def covariance(x, y, window, ddof=1):
    return [
        math.nan if w is None else float(about_means(*w) / (window - ddof))
        for w in windows([x, y], window)
    ]


def ols(x, y, window):
    """Slope, intercept, r2 and t of each window; exact up to the square root of t."""
    out = []
    for w in windows([x, y], window):
        slope = intercept = r2 = t = math.nan
        if w is not None and (sxx := about_means(w[0], w[0])) > 0:
            sxy, syy = about_means(*w), about_means(w[1], w[1])
            b = sxy / sxx
            slope, intercept = float(b), float((sum(w[1]) - b * sum(w[0])) / window)
            if syy > 0:
                r2 = float(b * sxy / syy)
            rest = syy - b * sxy
            if window > 2 and rest > 0:
                t = slope / math.sqrt(rest / (window - 2) / sxx)
            elif window > 2 and b != 0:
                t = math.copysign(math.inf, slope)
        out.append((slope, intercept, r2, t))
    return out


def extreme(x, window, pick):
    return [math.nan if w is None else float(pick(w[0])) for w in windows([x], window)]


def ewma(x, alpha):
    out, y = [], None
    for v in map(float, x):
        if math.isfinite(v):
            a = Fraction(alpha)
            y = Fraction(v) if y is None else (1 - a) * y + a * Fraction(v)
        out.append(math.nan if y is None else float(y))
    return out

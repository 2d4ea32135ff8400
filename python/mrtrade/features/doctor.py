"""What is wrong with a table of features: gaps, constants, outliers, drift.

Drift is the largest distance between the distributions of two periods (Kolmogorov & Smirnov), on
50 quantiles of both. Its p-value comes from shuffling blocks between the periods, as neighbours in
time are alike: the plain test calls 7 of 10 AR(1) series of 0.9 that do not drift drifting. Blocks
are three times as long as Politis & White's (2004; Patton et al. 2009) best for the mean of the
ranks, which is too short for a tail area: with it 7 % of such series are called drifting at 5 %,
with three times it 3 to 5 %. A series of fewer than ten such blocks is too short to say, and has no
p-value: one that hardly moves needs many bars.

The population stability index is held against its mean over the same shuffles, and not against
0.1 and 0.25: for independent rows that mean is (k - 1) (1 / n + 1 / m), for k bins (Yurdakul &
Naranjo 2020), and more for rows alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.clock import Scalar, to_ns
from mrtrade.features.extras import need
from mrtrade.features.rolling import Array

#: Quantiles that distributions are compared on, and bins of the stability index.
GRID, BINS = 50, 10

#: Shuffles; fewest and most blocks; fewest values of a period.
SHUFFLES, FEWEST, MOST, LEAST = 999, 10, 300, 50

#: A longer series is thinned to so many values before its blocks are measured.
THINNED = 20_000

#: Robust standard deviations beyond which a value is an outlier; 1.4826 MAD is one of a Gaussian.
FAR, MAD_SD = 8.0, 1.4826

#: From these on there is something to say; of flags, which have few values, not that they repeat.
EMPTY, SAME, OUTLIERS = 0.05, 0.5, 0.01
FLAT_ROWS, FLAT_SHARE, FLAGS = 50, 0.02, 4

#: Drift: p below, and distance from; an hour of the day, cut at noon, is surely but not far apart.
ALARM, APART = 0.01, 0.05


def diagnose(features: pd.DataFrame, *, split: Scalar | None = None, seed: int = 0) -> pd.DataFrame:
    """Examine features.

    Parameters
    ----------
    features : DataFrame
        A column a feature, indexed by time; reasons of `compute` are taken from its ``attrs``.
    split : time, optional
        Where the second period begins; default: at the row in the middle.
    seed : int
        Of the shuffles.

    Returns
    -------
    DataFrame
        A row a feature: ``rows``; ``warmup`` (rows before the first value); ``empty`` (share of
        rows without a value after it) and ``gap`` (the longest such run, bars); ``flat`` (longest
        run of one value, bars); ``distinct`` (number of values) and ``same`` (share of the most
        frequent one); ``outliers`` (share beyond 8 robust standard deviations of the median; NaN:
        half of them are one value); ``min``, ``median``, ``max``, ``mad``; ``first`` and ``last``
        time with a value; ``psi`` and ``psi_null``, its mean where nothing drifts; ``ks`` and
        ``ks_p``, NaN with fewer than 50 values in a period or where it cannot be told; ``finding``:
        what there is to say, in words (drift where p < 0.01, which one feature in a hundred has by
        chance, and the distributions are 0.05 apart). Infinite values count as none.

    Raises
    ------
    ConfigError
        If arch is not installed.
    """
    time = to_ns(features.index)
    cut = len(time) // 2 if split is None else int(np.searchsorted(time, to_ns(split)))
    reasons: Mapping[str, str] = features.attrs.get("reasons", {})
    rows = {}
    for name in features:
        values = features[name].to_numpy(np.float64)
        found = {
            **_values(np.where(np.isfinite(values), values, np.nan), features.index),
            **_drift(values, cut, np.random.default_rng(seed)),
        }
        found["finding"] = "; ".join(_findings(found, reasons.get(str(name))))
        rows[name] = found
    columns = None if rows else ["rows", "finding"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("feature")


def _values(x: Array, index: pd.Index[Any]) -> dict[str, Any]:
    ok = ~np.isnan(x)
    known = np.flatnonzero(ok)
    nothing = dict.fromkeys(("empty", "same", "outliers", "min", "median", "max", "mad"), np.nan)
    if not len(known):
        lacks = {"rows": len(x), "warmup": len(x), "gap": 0, "flat": 0, "distinct": 0}
        return {**lacks, **nothing, "first": pd.NaT, "last": pd.NaT}
    first = int(known[0])
    after = ok[first:]
    some = x[known]
    counts = np.unique(some, return_counts=True)[1]
    median = float(np.median(some))
    away = np.abs(some - median)
    mad = float(np.median(away))
    far = float((away > FAR * MAD_SD * mad).mean()) if mad > 0.0 else np.nan
    return {
        "rows": len(x),
        "warmup": first,
        "gap": _longest(~after),
        "flat": 1 + _longest(x[1:] == x[:-1]),
        "empty": float(1.0 - after.mean()),
        "distinct": len(counts),
        "same": float(counts.max() / len(some)),
        "outliers": far,
        "min": float(some.min()),
        "median": median,
        "max": float(some.max()),
        "mad": mad,
        "first": index[first],
        "last": index[known[-1]],
    }


def _longest(flags: npt.NDArray[np.bool_]) -> int:
    """Return the length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False]))
    return int((edges[1::2] - edges[::2]).max(initial=0))


# ---- drift


def _drift(x: Array, cut: int, rng: np.random.Generator) -> dict[str, float]:
    ok = np.isfinite(x)
    n, m = int(ok[:cut].sum()), int(ok[cut:].sum())
    x = x[ok]
    if min(n, m) < LEAST or x.min() == x.max():
        return dict.fromkeys(("psi", "psi_null", "ks", "ks_p"), np.nan)
    length = _block(x, n)
    blocks = len(x) // length
    fine = np.searchsorted(_edges(x, GRID), x)
    coarse = np.searchsorted(_edges(x[:n], BINS), x)
    ks = _ks(_share(fine[:n], GRID), _share(fine[n:], GRID))
    psi = _psi(_share(coarse[:n], BINS), _share(coarse[n:], BINS))
    if blocks < FEWEST:
        return {"psi": float(psi), "psi_null": np.nan, "ks": float(ks), "ks_p": np.nan}
    # blocks begin at a random place; those of a draw are the first period
    begin = int(rng.integers(0, len(x) - blocks * length + 1))
    within = slice(begin, begin + blocks * length)
    which = np.arange(blocks).repeat(length)
    firsts = min(blocks - 1, max(1, round(blocks * n / len(x))))
    drawn = np.zeros((SHUFFLES, blocks))
    order = np.argpartition(rng.random(drawn.shape), firsts, axis=1)[:, :firsts]
    np.put_along_axis(drawn, order, 1.0, axis=1)

    def shuffled(bins: npt.NDArray[np.intp], count: int) -> tuple[Array, Array]:
        table = np.bincount(which * count + bins[within], minlength=blocks * count)
        table = table.reshape(blocks, count).astype(np.float64)
        one = drawn @ table
        other = table.sum(axis=0) - one
        return one / (firsts * length), other / ((blocks - firsts) * length)

    null = _ks(*shuffled(fine, GRID))
    p = (1.0 + float((null >= ks - 1e-12).sum())) / (1.0 + SHUFFLES)
    psi_null = float(_psi(*shuffled(coarse, BINS)).mean())
    return {"psi": float(psi), "psi_null": psi_null, "ks": float(ks), "ks_p": p}


def _block(x: Array, n: int) -> int:
    """Return the length of the blocks to shuffle, values; the first period has n of them."""
    thin = -(-len(x) // THINNED)
    ranks = pd.Series(x[::thin]).rank().to_numpy()
    # About the mean of its period: a drift of the level is no memory, and would make the blocks so
    # long that just the largest drifts are never called.
    first = -(-n // thin)
    ranks = np.r_[ranks[:first] - ranks[:first].mean(), ranks[first:] - ranks[first:].mean()]
    if np.abs(ranks).max() < 0.5:  # one value in each
        return len(x)
    best = need("arch.bootstrap").optimal_block_length(ranks)["circular"].iloc[0]
    if not np.isfinite(best):
        return len(x)
    return max(int(np.ceil(3.0 * thin * max(1.0, float(best)))), -(-len(x) // MOST))


def _edges(x: Array, count: int) -> Array:
    return np.quantile(x, np.arange(1, count) / count)


def _share(bins: npt.NDArray[np.intp], count: int) -> Array:
    return np.bincount(bins, minlength=count) / len(bins)


def _ks(one: Array, other: Array) -> Any:
    """Return the largest distance of the distribution functions, from shares of bins."""
    return np.abs(np.cumsum(one - other, axis=-1)).max(axis=-1)


def _psi(one: Array, other: Array) -> Any:
    """Return the population stability index; an empty bin counts as 1e-4."""
    p, q = np.maximum(one, 1e-4), np.maximum(other, 1e-4)
    return ((p - q) * np.log(p / q)).sum(axis=-1)


# ---- in words


def _findings(found: Mapping[str, Any], reason: str | None) -> Iterator[str]:
    if found["warmup"] == found["rows"]:
        yield f"no value: {reason}" if reason else "no value"
        return
    if found["empty"] >= EMPTY:
        yield f"{found['empty']:.0%} empty, longest {found['gap']:,} bars"
    if found["min"] == found["max"]:
        yield f"constant, {found['min'] + 0.0:g}"  # a zero without its sign
        return
    if found["distinct"] > FLAGS:
        if found["same"] >= SAME:
            yield f"{found['same']:.0%} are one value"
        if found["flat"] >= max(FLAT_ROWS, FLAT_SHARE * found["rows"]):
            yield f"the same for {found['flat']:,} bars"
    if found["outliers"] >= OUTLIERS:
        yield f"{found['outliers']:.1%} beyond {FAR:g} robust sd"
    if found["ks_p"] < ALARM and found["ks"] >= APART:
        yield f"drift: distributions {found['ks']:.2f} apart (p {found['ks_p']:.3f})"

"""Which features tell more than chance: Boruta with LightGBM's trees as the forest.

Kursa & Rudnicki (2010), Journal of Statistical Software 36(11): each round adds a shuffled copy,
the shadow, of every feature that is not yet rejected, and a feature whose importance exceeds that
of the best shadow has a hit. A feature that means nothing is hit in at most half of the rounds, so
that a binomial test, Bonferroni-corrected for the number of features, confirms it when there were
enough. Differences from the paper:

- shadows are shuffled in blocks of rows, as both features and labels are serially dependent: rows
  shuffled one by one would be easier to beat than a real feature that means nothing;
- to be confirmed a feature must pass a permutation test too; the binomial one alone confirmed some
  feature in 5 of 20 sets of 20 features that meant nothing, at a nominal 5 %;
- features are rejected at a false discovery rate (Benjamini & Hochberg 1995), as the package
  ``boruta`` does, which takes five rounds and not thirteen where most mean nothing;
- shadows do not become fewer than the features that were offered, or 50 of them;
- of more than `rows` rows a round sees a random part, in whole blocks;
- importance is the gain of the splits, summed over the trees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mrtrade.features.extras import need

Verdict = Literal["confirmed", "tentative", "rejected"]
Matrix = npt.NDArray[np.float32]

#: Bins of a feature in a round: coarse ones are fast, and rank the features as well.
BINS = 31
#: Columns of a round, trees and leaves: what two features say together only is found by many and
#: deep trees, which of hundreds of columns would take most of the time of a training.
FEW_COLUMNS = 80
LARGE, SMALL = (40, 31), (20, 15)
#: Shadows of a round, at least: the paper's 5, and where more features were offered as many as
#: those, up to 50. The best of a few is easy to beat for those of a hundred features that the first
#: rounds left, which the same rows had chosen.
LEAST_SHADOWS, ENOUGH_SHADOWS = 5, 50


@dataclass(frozen=True, slots=True)
class Boruta:
    """What the rounds said.

    Attributes
    ----------
    verdicts : tuple of str, one a feature
        ``confirmed``, ``rejected``, or ``tentative`` where the rounds were not enough.
    hits, rounds : numpy.ndarray of int64, shape (features,)
        How often a feature beat the best shadow, and in how many rounds it took part.
    """

    verdicts: tuple[Verdict, ...]
    hits: npt.NDArray[np.int64]
    rounds: npt.NDArray[np.int64]


def boruta(
    x: Matrix,
    y: npt.NDArray[np.float64],
    *,
    rounds: int = 20,
    rows: int = 2_500,
    alpha: float = 0.05,
    seed: int = 0,
    threads: int = 1,
) -> Boruta:
    """Tell features that matter from those that do not.

    Parameters
    ----------
    x : numpy.ndarray of float32, shape (n, features)
        In order of time; NaN: missing. Labels of neighbouring rows should not overlap.
    y : numpy.ndarray of float64, shape (n,)
    rounds : int
        At most; it ends earlier when all are decided.
    rows : int
        Rows of a round, at most.
    alpha : float
        Chance that any feature that means nothing is confirmed. It takes 1 / alpha - 1 rounds to
        confirm: 19 at 5 %.
    seed, threads : int

    Returns
    -------
    Boruta
    """
    count = x.shape[1]
    generator = np.random.default_rng(seed)
    binned = _bins(x)
    hits = np.zeros(count, dtype=np.int64)
    taken = np.zeros(count, dtype=np.int64)
    state = np.zeros(count, dtype=np.int64)  # 1: confirmed, -1: rejected
    confirming = _confirming(rounds, count, alpha)
    forest = _Forest(threads)
    for number in range(rounds):
        active = np.flatnonzero(state >= 0)
        if not len(active) or (state != 0).all():
            break
        sample = _sample(len(x), rows, generator)
        importance, best = forest.round(binned[sample], active, y[sample], generator)
        hits[active] += importance > best
        taken[active] += 1
        state[(state == 0) & (hits >= confirming[number])] = 1
        rest = np.flatnonzero(state == 0)
        state[rest[_too_few(hits[rest], number + 1, alpha)]] = -1
    names: dict[int, Verdict] = {1: "confirmed", 0: "tentative", -1: "rejected"}
    return Boruta(tuple(names[int(one)] for one in state), hits, taken)


def _confirming(rounds: int, count: int, alpha: float) -> npt.NDArray[np.int64]:
    """Return the hits that confirm after k = 1, 2, ... rounds; more than k: none can.

    Both tests must say so. The paper's is binomial, of 1/2, at alpha / features (Kursa & Rudnicki
    2010, section 2). But shadows are drawn anew in each round and the rows are not: a feature that
    the rows favour by accident is hit again and again. So the misses must also be few enough for a
    permutation test, (misses + 1) / (k + 1) <= alpha (Phipson & Smyth 2010, equation 2; of the best
    shadow, as in Westfall & Young 1993).
    """
    made = np.arange(1, rounds + 1)
    most = need("scipy.stats", "ml").binom.isf(alpha / max(count, 1), made, 0.5)
    misses = np.floor(alpha * (made + 1) + 1e-9) - 1
    return np.asarray(np.maximum(most + 1, made - misses), dtype=np.int64)


def _too_few(hits: npt.NDArray[np.int64], made: int, alpha: float) -> npt.NDArray[np.bool_]:
    """Say which hits are too few for 1/2: Benjamini & Hochberg (1995) over the features."""
    chance = need("scipy.stats", "ml").binom.cdf(hits, made, 0.5)
    order = np.argsort(chance, kind="stable")
    below = chance[order] <= alpha * np.arange(1, len(hits) + 1) / len(hits)
    last = int(np.flatnonzero(below).max(initial=-1))
    out = np.zeros(len(hits), dtype=np.bool_)
    out[order[: last + 1]] = True
    return out


def _bins(x: Matrix) -> Matrix:
    """Replace values by the number of their quantile bin, once for all rounds; NaN stays."""
    out = np.full(x.shape, np.nan, dtype=np.float32, order="F")
    shares = np.linspace(0.0, 1.0, BINS + 1)[1:-1]
    for column in range(x.shape[1]):
        values = x[:, column]
        known = np.isfinite(values)
        if known.any():
            edges = np.unique(np.quantile(values[known], shares, method="inverted_cdf"))
            out[known, column] = np.searchsorted(edges, values[known])
    return out


def block_length(rows: int) -> int:
    """Rows of a block: the square root of their number."""
    return max(1, math.isqrt(rows))


def _sample(n: int, rows: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw at most `rows` rows, in whole blocks that keep their order."""
    if n <= rows:
        return np.arange(n)
    length = block_length(n)
    first = int(generator.integers(length))  # cuts lie elsewhere in every round
    blocks = (np.arange(n) + first) // length
    place = generator.permutation(blocks[-1] + 1)
    return np.sort(np.argsort(place[blocks], kind="stable")[:rows])


def shuffled_blocks(n: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return a permutation of rows that keeps blocks together, cut at a random place."""
    length = block_length(n)
    blocks = (np.arange(n) + int(generator.integers(length))) // length
    place = generator.permutation(blocks[-1] + 1)
    return np.argsort(place[blocks], kind="stable")


class _Forest:
    """Trees on features and their shadows."""

    def __init__(self, threads: int) -> None:
        self._lightgbm = need("lightgbm", "ml")
        self._threads = threads

    def round(
        self,
        x: Matrix,
        active: npt.NDArray[np.int64],
        y: npt.NDArray[np.float64],
        generator: np.random.Generator,
    ) -> tuple[npt.NDArray[np.float64], float]:
        """Return the importance of each active feature, and that of the best shadow."""
        n, count = len(x), len(active)
        shadowed = self._shadowed(active, x.shape[1], generator)
        both = np.empty((n, count + len(shadowed)), dtype=np.float32, order="F")
        both[:, :count] = x[:, active]
        for place, one in enumerate(shadowed, start=count):
            both[:, place] = x[shuffled_blocks(n, generator), one]
        number, leaves = LARGE if both.shape[1] <= FEW_COLUMNS else SMALL
        settings = self._settings(n, leaves, int(generator.integers(2**31)))
        data = self._lightgbm.Dataset(both, y, params=settings)
        trees = self._lightgbm.train(settings, data, number)
        gains = trees.feature_importance("gain")
        return gains[:count], float(gains[count:].max())

    def _shadowed(
        self, active: npt.NDArray[np.int64], count: int, generator: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """Features that get a shadow: the active ones, and others where those are few."""
        lacking = max(LEAST_SHADOWS, min(count, ENOUGH_SHADOWS)) - len(active)
        if lacking <= 0:
            return active
        others = np.setdiff1d(np.arange(count), active)
        drawn = generator.permutation(others)[:lacking]
        again = generator.choice(count, max(0, lacking - len(drawn)))
        return np.concatenate([active, drawn, again])

    def _settings(self, rows: int, leaves: int, seed: int) -> dict[str, Any]:
        """Say how trees are grown; half of the features are open at each split, as in a forest."""
        return {
            "objective": "regression",
            "boosting": "rf",
            "num_leaves": leaves,
            "min_data_in_leaf": max(1, min(20, rows // 20)),
            "feature_fraction_bynode": 0.5,
            "bagging_fraction": 0.632,  # as many different rows as a bootstrap sample has
            "bagging_freq": 1,
            "max_bin": BINS + 1,
            "min_data_in_bin": 1,
            "enable_bundle": False,
            "feature_pre_filter": False,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": self._threads,
            "seed": seed,
            "verbosity": -1,
        }

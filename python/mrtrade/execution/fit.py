"""Where did the cancelled order stand? Maximum likelihood of the queue models' one question.

A level feed shows that a level lost some lots without a trade, not whether they stood before or
behind an order of ours. A queue model answers with p(F, B), the share that was behind, when F lots
stood before the order and B behind it. Order-level data know. Each cancellation of s lots is taken
as a draw, y = 1: it was behind, with the quasi log-likelihood

    sum_i w_i [y_i ln p(F_i, B_i) + (1 - y_i) ln(1 - p(F_i, B_i))]

Weight "size" (w = s, scaled to mean 1) fits the share of the cancelled *quantity*, the number that
the models apply; weight "orders" (w = 1) the share of the cancelled *orders*. Given the past, the
terms are uncorrelated (no cancellation is used twice), so the variance of the score is the sum of
its squares; the standard errors are the square roots of J^-1 K J^-1, J the observed information, K
that sum (Huber 1967; White 1982). With weight "orders" and the right model K is about J, and they
are those of the observed information alone, which is reported too.

References
----------
Huber (1967), Proc. Fifth Berkeley Symposium 1, 221-233. White (1982), Econometrica 50(1), 1-25.
Dempster, Laird, Rubin (1977), J. R. Statist. Soc. B 39(1), 1-38 (EM, for the table).
Ayer, Brunk, Ewing, Reid, Silverman (1955), Ann. Math. Statist. 26(4), 641-647 (monotone p).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mrtrade.errors import DataError
from mrtrade.execution.predict import POWERS, Floats
from mrtrade.execution.truth import Cancellations

WEIGHTS = ("size", "orders")
Z95 = 1.959963984540054
"""97.5% quantile of the normal distribution."""
LOWEST, HIGHEST = 0.02, 50.0
"""Exponents that are looked at."""


def log_probabilities(
    model: str, front: Floats, back: Floats, power: float = 3.0
) -> tuple[Floats, Floats]:
    """Logarithms of p(F, B) of `mrcore.queue` and of 1 - p, without loss of digits.

    Parameters
    ----------
    model : {"log", "log2", "power", "power2", "power3"}
    front, back : ndarray of float64
        F and B, both > 0; base units for the logarithmic models, any unit for the powers.
    power : float
        Exponent n.

    Returns
    -------
    behind, before : ndarray of float64
        ln p, ln (1 - p): the cancelled quantity stood behind, or before.
    """
    if model == "log":  # p = ln(1 + B) / (ln(1 + B) + ln(1 + F))
        total = np.log1p(back) + np.log1p(front)
        return np.log(np.log1p(back) / total), np.log(np.log1p(front) / total)
    if model == "log2":  # p = ln(1 + B) / ln(1 + B + F)
        total = np.log1p(back + front)
        return np.log(np.log1p(back) / total), np.log(np.log1p(front / (1.0 + back)) / total)
    if model == "power":  # p = B^n / (B^n + F^n)
        odds = power * np.log(front / back)
        return -np.logaddexp(0.0, odds), -np.logaddexp(0.0, -odds)
    if model == "power2":  # p = (B / (F + B))^n
        behind = -power * np.log1p(front / back)
        return behind, np.log(-np.expm1(behind))
    before = -power * np.log1p(back / front)  # p = 1 - (F / (F + B))^n
    return np.log(-np.expm1(before)), before


@dataclass(frozen=True)
class PowerFit:
    """Exponent of a power model.

    Attributes
    ----------
    model : str
    power : float
        The exponent n.
    se : float
        Its standard error, robust (see the module).
    se_information : float
        The same from the observed information alone.
    low, high : float
        95% confidence interval of n, from the normal law of ln n.
    log_likelihood : float
        Mean over the weights, nats.
    n : int
        Cancellations used.
    """

    model: str
    power: float
    se: float
    se_information: float
    low: float
    high: float
    log_likelihood: float
    n: int


@dataclass(frozen=True)
class TableFit:
    """p(x), x = F / (F + B), linear between equally spaced x in [0, 1].

    Attributes
    ----------
    table : ndarray of float64
        Never rises; 1 at x = 0, 0 at x = 1: with nothing before (behind) the order all is behind
        (before) it.
    se : ndarray of float64
        Standard errors, robust; 0 at the ends and where an estimate is 0 or 1.
    log_likelihood : float
        Mean over the weights, nats.
    n : int
        Cancellations used.
    """

    table: Floats
    se: Floats
    log_likelihood: float
    n: int


def _prepare(seen: Cancellations, weight: str) -> tuple[Floats, Floats, Floats, Floats]:
    if weight not in WEIGHTS:
        raise ValueError(f"weight must be one of {WEIGHTS}, was {weight!r}")
    behind = seen.behind.astype(np.float64)
    if not 0.0 < behind.sum() < len(seen):
        raise DataError(
            "nothing to fit: the cancellations all stood on one side of the probes",
            value=f"{len(seen)} cancellations",
            remedy="record longer, or take more probes",
        )
    w = seen.lots / seen.lots.mean() if weight == "size" else np.ones(len(seen))
    return seen.front.astype(np.float64), seen.back.astype(np.float64), behind, w


def fixed_log_likelihood(
    seen: Cancellations, model: str, lot_size: float, weight: str = "size"
) -> float:
    """Mean log-likelihood of a model without a parameter, "log" or "log2", nats."""
    front, back, behind, w = _prepare(seen, weight)
    known = log_probabilities(model, front * lot_size, back * lot_size)
    return _mean(np.where(behind > 0.0, *known), w)


def _mean(values: Floats, w: Floats) -> float:
    return float((w * values).sum() / w.sum())


def fit_power(seen: Cancellations, model: str = "power", weight: str = "size") -> PowerFit:
    """Fit the exponent of a power model.

    Parameters
    ----------
    seen : Cancellations
    model : {"power", "power2", "power3"}
    weight : {"size", "orders"}

    Returns
    -------
    PowerFit

    Raises
    ------
    DataError
        The data do not tell the exponent: none of the cancellations stood before (behind) a probe,
        or the likelihood still rises at the ends of [0.02, 50].
    """
    if model not in POWERS:
        raise ValueError(f"model must be one of {POWERS}, was {model!r}")
    front, back, behind, w = _prepare(seen, weight)

    def terms(u: float) -> Floats:
        known = log_probabilities(model, front, back, float(np.exp(u)))
        return np.where(behind > 0.0, *known)

    def value(u: float) -> float:
        return _mean(terms(u), w)

    # The log-likelihood of each of the three is concave in n, so it has one maximum in u = ln n.
    low, high = np.log(LOWEST), np.log(HIGHEST)
    u = _maximum(value, low, high)
    if min(u - low, high - u) < 1e-3:
        raise DataError(
            f"the data do not tell the exponent of {model!r}",
            value=float(np.exp(u)),
            expected=f"a maximum of the likelihood within [{LOWEST:g}, {HIGHEST:g}]",
        )
    step = 1e-3
    score = (terms(u + step) - terms(u - step)) / (2.0 * step)
    information = -(value(u + step) - 2.0 * value(u) + value(u - step)) / step**2 * w.sum()
    se = float(np.sqrt(((w * score) ** 2).sum())) / information
    n = float(np.exp(u))
    return PowerFit(
        model,
        n,
        n * se,
        n / float(np.sqrt(information)),
        n * float(np.exp(-Z95 * se)),
        n * float(np.exp(Z95 * se)),
        value(u),
        len(seen),
    )


def _maximum(value: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one maximum has it: golden section to 1e-9."""
    golden = (np.sqrt(5.0) - 1.0) / 2.0
    a, b = low, high
    x, y = b - golden * (b - a), a + golden * (b - a)
    at_x, at_y = value(x), value(y)
    while b - a > 1e-9:
        if at_x >= at_y:
            b, y, at_y = y, x, at_x
            x = b - golden * (b - a)
            at_x = value(x)
        else:
            a, x, at_x = x, y, at_y
            y = a + golden * (b - a)
            at_y = value(y)
    return float(0.5 * (a + b))


def fit_table(seen: Cancellations, knots: int = 11, weight: str = "size") -> TableFit:
    """Fit p(x) at equally spaced knots, never rising, by maximum likelihood.

    A point between two knots is a mixture of theirs, so EM applies: the M step is a monotone
    regression, and the likelihood, concave in the table, rises to its only maximum.

    Parameters
    ----------
    seen : Cancellations
    knots : int
        >= 3, both ends counted.
    weight : {"size", "orders"}

    Returns
    -------
    TableFit
    """
    if knots < 3:
        raise ValueError(f"knots must be >= 3, was {knots}")
    front, back, behind, w = _prepare(seen, weight)
    x = front / (front + back) * (knots - 1)
    left = np.minimum(x.astype(np.int64), knots - 2)
    share = x - left  # of the knot on the right
    table = np.linspace(1.0, 0.0, knots)
    last = -np.inf
    while True:
        p = (1.0 - share) * table[left] + share * table[left + 1]
        likelihood = np.where(behind > 0.0, p, 1.0 - p)
        now = _mean(np.log(likelihood), w)
        if now - last < 1e-12:
            break
        last = now
        ones, zeros = np.zeros(knots), np.zeros(knots)
        for knot, part in ((left, 1.0 - share), (left + 1, share)):
            drawn = w * part / likelihood
            ones += np.bincount(knot, drawn * behind * table[knot], knots)
            zeros += np.bincount(knot, drawn * (1.0 - behind) * (1.0 - table[knot]), knots)
        table[1:-1] = _falling(ones[1:-1], zeros[1:-1], table[1:-1])
    return TableFit(table, _table_se(table, left, share, likelihood, behind, w), now, len(seen))


def _falling(ones: Floats, zeros: Floats, before: Floats) -> Floats:
    """Return the never rising p with the greatest binomial likelihood: pool adjacent violators."""
    blocks: list[list[float]] = []  # ones, all, knots
    for one, zero in zip(ones.tolist(), zeros.tolist(), strict=True):
        blocks.append([one, one + zero, 1])
        while len(blocks) > 1 and blocks[-1][0] * blocks[-2][1] > blocks[-2][0] * blocks[-1][1]:
            top = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], top, strict=True)]
    out: list[float] = []
    for one, total, many in blocks:
        out += [one / total if total > 0.0 else float(before[len(out)])] * int(many)
    return np.array(out)


def _table_se(
    table: Floats,
    left: np.typing.NDArray[np.int64],
    share: Floats,
    likelihood: Floats,
    behind: Floats,
    w: Floats,
) -> Floats:
    """Robust standard errors; knots that were pooled are one parameter."""
    group = np.cumsum(np.append(0, np.diff(table) != 0.0))
    free = (table > 0.0) & (table < 1.0)
    number = np.full(len(table), -1)
    number[free] = np.unique(group[free], return_inverse=True)[1]
    k = int(number.max()) + 1
    slope = np.zeros((len(w), k + 1))  # the last column takes what is not free
    rows = np.arange(len(w))
    slope[rows, number[left]] += 1.0 - share
    slope[rows, number[left + 1]] += share
    score = slope[:, :k] * ((2.0 * behind - 1.0) / likelihood)[:, None]
    information = np.linalg.pinv((score * w[:, None]).T @ score)
    spread = score * w[:, None]
    covariance = information @ (spread.T @ spread) @ information
    se = np.append(np.sqrt(np.diag(covariance)), 0.0)
    return np.asarray(se[number])

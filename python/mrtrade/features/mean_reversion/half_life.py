"""The half-life of a price or a spread, with its interval and whether to believe it.

Needs ``pip install "mrtrade[research]"``: the tests for a unit root are arch's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from types import ModuleType
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.clock import to_ns
from mrtrade.errors import ConfigError, DataError
from mrtrade.features.extras import need

Gate = Literal["adf", "variance_ratio", "both"]
Gaps = Literal["refuse", "carry"]
LN2 = math.log(2.0)

#: Fewest prices: below, the critical values do not hold.
FEWEST = 30
#: Longest half-life that can be told from none, as a part of the sample. The regression on a
#: random walk gives 0.16 of it, in the median.
LONGEST = 1.0 / 6.0
#: Of the Dickey-Fuller test: what is left of a change has faded by then.
MOST_LAGS = 24

#: How far the quantiles of the t of a slope lie from those of a normal distribution, at 2.5, 50
#: and 97.5 %, where the true slope is 1 - c / n: 80,000 simulated paths of 1000 steps, begun in
#: their stationary state. Beyond the last c it is -2 / sqrt(c).
NEAR_ONE = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
SHIFTS = {
    0.025: (-1.166, -1.101, -1.025, -0.926, -0.773, -0.632, -0.463, -0.341, -0.245),
    0.5: (-1.564, -1.446, -1.336, -1.164, -0.945, -0.716, -0.521, -0.358, -0.255),
    0.975: (-1.721, -1.570, -1.468, -1.305, -1.086, -0.787, -0.550, -0.385, -0.249),
}


@dataclass(frozen=True)
class HalfLife:
    """What `calculate_half_life` found; numbers are NaN where `verdict` says why.

    Attributes
    ----------
    bars, error : float
        Half-life and its standard error (delta method), in bars. Of a random walk there is a
        number too: see `reverts`.
    unbiased : float
        Half-life that is as often above the true one as below, in bars: the regression's is low
        in a short sample. Infinite where that of a random walk would be.
    interval : tuple of float
        Of 95 % confidence, in bars: the half-lives whose t statistics have the found value within
        their quantiles (Stock 1991; Hansen 1999). Right near a random walk too, where the
        standard error says nothing: its end is then infinite.
    bar : Timedelta
        Length of a bar.
    phi, phi_error : float
        Slope of a value on the one before, and its standard error.
    n : int
        Pairs of values.
    carried : int
        Bars without a price, for which the last one was carried on.
    adf_t, adf_p : float
        Augmented Dickey-Fuller test with a constant, MacKinnon's p.
    adf_lags : int
    variance_ratio, variance_ratio_z, variance_ratio_p : float
        Of Lo and MacKinlay, robust; p is one-sided, against reversion.
    variance_ratio_bars : int
    reverts : bool
        Whether the gate is open: a random walk is rejected, and the half-life is short enough for
        the sample to show it.
    verdict : str
        The same in words.
    """

    bars: float
    error: float
    unbiased: float
    interval: tuple[float, float]
    bar: pd.Timedelta
    phi: float
    phi_error: float
    n: int
    carried: int
    adf_t: float
    adf_p: float
    adf_lags: int
    variance_ratio: float
    variance_ratio_z: float
    variance_ratio_p: float
    variance_ratio_bars: int
    reverts: bool
    verdict: str

    @property
    def minutes(self) -> float:
        """Half-life in minutes."""
        return self.bars * self._bar_minutes

    @property
    def minutes_interval(self) -> tuple[float, float]:
        """Its interval in minutes."""
        low, high = self.interval
        return low * self._bar_minutes, high * self._bar_minutes

    @property
    def timedelta(self) -> pd.Timedelta:
        """Half-life as a time; NaT where there is none."""
        return pd.Timedelta(self.minutes, "min")

    @property
    def _bar_minutes(self) -> float:
        return self.bar / pd.Timedelta(1, "min")

    def __str__(self) -> str:
        low, high = self.minutes_interval
        carried = f", {self.carried:,} of them carried on" if self.carried else ""
        return (
            f"half-life {self.minutes:,.1f} min, 95 % interval {low:,.1f} to {high:,.1f} min\n"
            f"  {self.bars:,.1f} bars of {self._bar_minutes:g} min, standard error "
            f"{self.error:,.1f}, median-unbiased {self.unbiased:,.1f}\n"
            f"  phi {self.phi:.6f} (error {self.phi_error:.6f}) from {self.n + 1:,} prices"
            f"{carried}\n"
            f"  Dickey-Fuller t {self.adf_t:.2f}, p {self.adf_p:.2g}, {self.adf_lags} lags\n"
            f"  variance ratio over {self.variance_ratio_bars} bars {self.variance_ratio:.4f}, "
            f"z {self.variance_ratio_z:.2f}, p {self.variance_ratio_p:.2g}\n"
            f"  verdict: {self.verdict}"
        )


def calculate_half_life(
    prices: pd.Series | npt.ArrayLike,
    bar: str | pd.Timedelta | None = None,
    *,
    log: bool = True,
    gaps: Gaps = "refuse",
    gate: Gate = "adf",
    alpha: float = 0.05,
    lags: int | None = None,
    variance_ratio_bars: int = 16,
) -> HalfLife:
    """Estimate how long a price or spread takes to close half of a gap to its mean.

    An Ornstein-Uhlenbeck process seen at the ends of bars is ``x = a + phi x_1 + e``; the
    half-life is ``-ln 2 / ln(phi)`` bars.

    Parameters
    ----------
    prices : Series or array_like
        In time order; a Series with a DatetimeIndex knows the length of its bars.
    bar : str or Timedelta, optional
        Length of a bar, ``"5min"``; default: the commonest step of the index.
    log : bool
        Whether to take logarithms; False for a spread, which may be negative.
    gaps : str
        What to do about bars without a price: ``refuse`` them, or ``carry`` the last price on.
    gate : str
        What has to reject a random walk: ``adf``, ``variance_ratio`` or ``both``.
    alpha : float
        Level of that test.
    lags : int, optional
        Lags of the Dickey-Fuller test; default: by AIC, up to 24.
    variance_ratio_bars : int
        Bars of the long return of the variance ratio.

    Raises
    ------
    ConfigError
        If the length of a bar is not known, a word is none of those above, or the extra
        ``research`` is not installed.
    DataError
        If prices are missing, not positive under `log`, out of order, or fewer than 30; if most
        bars have none.

    Examples
    --------
    >>> print(calculate_half_life(candles["close"]["2023":"2024"]))     # doctest: +SKIP
    """
    for word, words in ((gaps, get_args(Gaps)), (gate, get_args(Gate))):
        if word not in words:
            raise ConfigError("no such choice", value=word, expected=", ".join(words))
    values, length, carried = _regular(prices, bar, gaps)
    if log:
        if not (values > 0.0).all():
            raise DataError(
                "a price that is not positive has no logarithm",
                row=int(np.argmin(values > 0.0)),
                value=float(values[values <= 0.0][0]),
                remedy="pass log=False for a spread",
            )
        values = np.log(values)
    if len(values) < FEWEST:
        raise DataError(
            "too few prices for a half-life", value=len(values), expected=f">= {FEWEST}"
        )
    tests = need("arch.unitroot")  # takes 3 s
    n = len(values) - 1
    found: dict[str, Any] = dict.fromkeys(
        (
            *("bars", "error", "unbiased", "phi", "phi_error", "adf_t", "adf_p"),
            *("variance_ratio", "variance_ratio_z", "variance_ratio_p"),
        ),
        math.nan,
    )
    found |= {"interval": (math.nan, math.nan), "adf_lags": 0, "reverts": False}
    if np.ptp(np.diff(values)) <= 1e-12 * np.abs(values).max():
        verdict = "no half-life: the price does not vary about a straight line"
    else:
        found |= _regression(values)
        found |= _test(values, tests, lags, variance_ratio_bars)
        verdict = _judge(found, n, gate, alpha)
        found["reverts"] = verdict == "reverts"
    return HalfLife(
        **found,
        bar=length,
        n=n,
        carried=carried,
        variance_ratio_bars=variance_ratio_bars,
        verdict=verdict,
    )


def _regular(
    prices: pd.Series | npt.ArrayLike, bar: str | pd.Timedelta | None, gaps: str
) -> tuple[npt.NDArray[np.float64], pd.Timedelta, int]:
    """Return one price a bar, the length of a bar, and how many prices were carried on."""
    values = np.asarray(prices, dtype=np.float64)
    if values.ndim != 1:
        raise DataError("prices have more than one column", value=values.shape)
    if np.isinf(values).any():
        raise DataError("a price is infinite", row=int(np.argmax(np.isinf(values))))
    index = prices.index if isinstance(prices, pd.Series) else None
    length = None if bar is None else pd.Timedelta(bar)
    if isinstance(index, pd.DatetimeIndex) and len(index) > 1:
        steps = np.diff(to_ns(index))
        if (steps <= 0).any():
            raise DataError("prices are not in time order", row=int(np.argmax(steps <= 0)) + 1)
        if length is None:
            length = pd.Timedelta(int(np.median(steps)), "ns")
        off = steps % length.value != 0
        if off.any():
            raise DataError(
                "a price is not a whole number of bars after the one before",
                row=int(np.argmax(off)) + 1,
                value=pd.Timedelta(int(steps[off][0]), "ns"),
                expected=f"multiples of {length}",
                remedy="resample the prices, or name the bar",
            )
        count = int(steps.sum() // length.value) + 1
        if count > 2 * len(values):
            raise DataError(
                f"{count - len(values):,} of {count:,} bars have no price",
                remedy=f"name the length of a bar, if it is not {length}",
            )
        whole = np.full(count, np.nan)
        whole[np.r_[0, np.cumsum(steps // length.value)]] = values
        values = whole
    elif length is None:
        raise ConfigError(
            "the length of a bar is not known",
            remedy='give the prices a DatetimeIndex, or name it: bar="5min"',
        )
    missing = np.isnan(values)
    if missing.any() and (gaps == "refuse" or missing[0]):
        raise DataError(
            f"{missing.sum():,} of {len(values):,} bars have no price",
            row=int(np.argmax(missing)),
            remedy='take a stretch without gaps, or carry the last price on: gaps="carry"',
        )
    filled = np.asarray(pd.Series(values).ffill(), dtype=np.float64)
    return filled, length, int(missing.sum())


def _life(phi: float) -> float:
    """Return the half-life of a slope in bars: infinite from 1 on, NaN below 0."""
    if phi >= 1.0:
        return math.inf
    return -LN2 / math.log(phi) if phi > 0.0 else math.nan


def _regression(x: npt.NDArray[np.float64]) -> dict[str, Any]:
    before = x[:-1] - x[:-1].mean()
    after = x[1:] - x[1:].mean()
    n, spread = len(before), float(before @ before)
    phi = float(before @ after) / spread
    rest = after - phi * before
    error = math.sqrt(float(rest @ rest) / (n - 2) / spread)
    life = _life(phi)
    unbiased, interval = _invert(phi, error, n)
    return {
        "bars": life,
        "error": error * life * life / (LN2 * phi),
        "unbiased": unbiased,
        "interval": interval,
        "phi": phi,
        "phi_error": error,
    }


def _invert(phi: float, error: float, n: int) -> tuple[float, tuple[float, float]]:
    """Return the median-unbiased half-life and the interval: for which c = n (1 - phi) t fits."""
    c = np.r_[0.0, np.geomspace(1e-3, n, 20_000)]
    t = (phi - 1.0 + c / n) / error
    low, middle, high = (
        NormalDist().inv_cdf(level)
        + np.where(
            c <= NEAR_ONE[-1], np.interp(c, NEAR_ONE, shift), -2.0 / np.sqrt(np.maximum(c, 1.0))
        )
        for level, shift in SHIFTS.items()
    )
    held = c[(low <= t) & (t <= high)]
    if not len(held):  # phi is above 1, significantly
        return math.inf, (math.inf, math.inf)
    longest, shortest = _life(1.0 - held[0] / n), _life(1.0 - held[-1] / n)
    above = t >= middle
    unbiased = _life(1.0 - c[np.argmax(above)] / n) if above.any() else 0.0
    return unbiased, (0.0 if math.isnan(shortest) else shortest, longest)


def _test(
    x: npt.NDArray[np.float64], tests: ModuleType, lags: int | None, q: int
) -> dict[str, Any]:
    most = min(MOST_LAGS, int(12.0 * (len(x) / 100.0) ** 0.25))  # Schwert's, but bounded
    adf = tests.ADF(x, lags=lags, trend="c", method="aic", max_lags=most)
    walk = tests.VarianceRatio(x, lags=q, trend="c", robust=True, debiased=True)
    return {
        "adf_t": float(adf.stat),
        "adf_p": float(adf.pvalue),
        "adf_lags": int(adf.lags),
        "variance_ratio": float(walk.vr),
        "variance_ratio_z": float(walk.stat),
        "variance_ratio_p": NormalDist().cdf(float(walk.stat)),
    }


def _judge(found: dict[str, Any], n: int, gate: Gate, alpha: float) -> str:
    """Say whether it reverts, and if not, why."""
    if found["phi"] <= 0.0:
        return "no half-life: the price alternates from bar to bar"
    if gate != "variance_ratio" and not found["adf_p"] < alpha:
        return f"no reversion: Dickey-Fuller does not reject a random walk at {alpha:.0%}"
    if gate != "adf" and not found["variance_ratio_p"] < alpha:
        return f"no reversion: the variance ratio does not reject a random walk at {alpha:.0%}"
    if not found["bars"] <= LONGEST * n:
        return "no reversion: a half-life above a sixth of the sample cannot be told from none"
    return "reverts"

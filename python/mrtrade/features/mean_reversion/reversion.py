"""An Ornstein-Uhlenbeck mid: how fast it reverts, where to, and how far it is from there.

All are of one regression of the mid's change on the mid before, over n pairs: phi is one plus the
slope. A regression on a random walk gives a half-life too (0.16 n bars in the median), so there is
a gate: a Dickey-Fuller t below its critical value at 5 %, for samples of n. It lets 5 % of random
walks pass. A half-life above n / 6 cannot be told from none, and none comes through: those of
random walks that pass are below n / 8, 0.04 n in the median. Of true half-lives of n / 25 three
in four pass, of n / 10 one in five. The mid's changes are taken to be uncorrelated; where they are
not, `adf_t` with its lag is the better judge.
"""

from __future__ import annotations

import math

import numpy as np

from mrtrade.features.registry import feature
from mrtrade.features.rolling import Array, Bars, Rolling

FAMILY = "mean_reversion"
BPS = 1e4
LN2 = math.log(2.0)
HOUR_S = 3600.0

#: Fewest pairs of a regression: the critical values are of samples of some size.
SHORTEST = 20
GATE = "NaN: phi outside (0, 1), or Dickey-Fuller t above its 5 % critical value"
SOURCE = "Uhlenbeck & Ornstein 1930, exact discretisation; gate: MacKinnon 2010 at 5 %"


def dickey_fuller_5(n: int) -> float:
    """Return the 5 % critical value of the Dickey-Fuller t with a constant, of n rows.

    MacKinnon (2010), table 2. At infinity it is -2.86; at 60 rows -2.91.
    """
    return -2.86154 + (-2.8903 + (-4.234 - 40.04 / n) / n) / n


@feature(
    "half_life",
    family=FAMILY,
    unit="s",
    inputs=("mid", "bar_s"),
    formula="-ln 2 / ln phi x mean_n(bar time), phi from OLS of (mid - mid_1) on mid_1 with "
    "intercept over n pairs",
    edge=GATE,
    source=SOURCE,
    lookback=lambda n: n,
    warmup=lambda n: n,
    sparse=True,
    windows=(600, 1800),
    shortest=SHORTEST,
)
def half_life(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Half-life of an Ornstein-Uhlenbeck mid; biased low where it is long against the window."""
    _, _, t, phi, _, _ = roll.ar("mid", window)
    reverts = (phi > 0.0) & (phi < 1.0) & (t < dickey_fuller_5(window))
    return -LN2 / np.log(np.where(reverts, phi, np.nan)) * roll.mean("bar_s", window)


@feature(
    "half_life_se",
    family=FAMILY,
    unit="s",
    inputs=("mid", "bar_s", "half_life_{window}"),
    formula="se(phi) ln 2 / (phi ln(phi)^2) x mean_n(bar time)",
    edge=GATE,
    source="delta method",
    lookback=lambda n: n,
    warmup=lambda n: n,
    sparse=True,
    windows=(600,),
    shortest=SHORTEST,
)
def half_life_se(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """How uncertain the half-life is: its standard error."""
    _, _, _, phi, error, _ = roll.ar("mid", window)
    life = bars[f"half_life_{window}"]
    return error * life * life / (LN2 * phi * roll.mean("bar_s", window))


@feature(
    "half_life_corrected",
    family=FAMILY,
    unit="s",
    inputs=("mid", "bar_s", "half_life_{window}"),
    formula="-ln 2 / ln(phi + (1 + 3 phi) / n) x mean_n(bar time)",
    edge=GATE + "; corrected phi >= 1",
    source="bias of phi: Kendall 1954, Marriott & Pope 1954",
    lookback=lambda n: n,
    warmup=lambda n: n,
    sparse=True,
    windows=(600,),
    shortest=SHORTEST,
)
def half_life_corrected(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Half-life without the bias that a regression on few pairs has."""
    phi = roll.ar("mid", window)[3]
    phi = phi + (1.0 + 3.0 * phi) / window
    known = (phi < 1.0) & np.isfinite(bars[f"half_life_{window}"])
    return -LN2 / np.log(np.where(known, phi, np.nan)) * roll.mean("bar_s", window)


@feature(
    "ou_theta",
    family=FAMILY,
    unit="1/h",
    inputs=("mid", "bar_s"),
    formula="-ln(phi) / mean_n(bar time), hours",
    edge="NaN: flat window, phi <= 0; no gate: about 4.4 / n a bar for a random walk",
    source="Uhlenbeck & Ornstein 1930, exact discretisation",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(600,),
    shortest=SHORTEST,
)
def ou_theta(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Speed of reversion, ln 2 / half-life, whether it is significant or not; below 0: it flees."""
    return -HOUR_S * np.log(roll.ar("mid", window)[3]) / roll.mean("bar_s", window)


@feature(
    "ou_equilibrium_dev_bps",
    family=FAMILY,
    unit="bps",
    inputs=("mid", "half_life_{window}"),
    formula="ln(mid / level) 1e4, level = -intercept / slope",
    edge=GATE + "; level <= 0",
    source=SOURCE,
    lookback=lambda n: n,
    warmup=lambda n: n,
    sparse=True,
    windows=(600,),
    shortest=SHORTEST,
)
def ou_equilibrium_dev_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Distance of the mid from the level that it reverts to."""
    slope, intercept, _, _, _, _ = roll.ar("mid", window)
    known = np.isfinite(bars[f"half_life_{window}"])
    return BPS * np.log(bars["mid"] / np.where(known, -intercept / slope, np.nan))


@feature(
    "ou_z",
    family=FAMILY,
    unit="sd",
    inputs=("mid", "half_life_{window}"),
    formula="(mid - level) / sqrt(residual variance / (1 - phi^2)), level = -intercept / slope",
    edge=GATE,
    source=SOURCE,
    lookback=lambda n: n,
    warmup=lambda n: n,
    sparse=True,
    windows=(600,),
    shortest=SHORTEST,
)
def ou_z(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Distance from that level in stationary standard deviations."""
    slope, intercept, _, phi, _, variance = roll.ar("mid", window)
    known = np.isfinite(bars[f"half_life_{window}"])
    gap = bars["mid"] + intercept / slope
    return gap * np.sqrt(np.where(known, 1.0 - phi * phi, np.nan) / variance)

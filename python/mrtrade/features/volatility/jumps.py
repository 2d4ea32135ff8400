"""Jumps of the mid: realised variation against what of it is continuous."""

from __future__ import annotations

import numpy as np

from mrtrade.features.registry import feature
from mrtrade.features.rolling import Array, Bars, Rolling
from mrtrade.features.volatility.realized import FAMILY, annualized

#: Share of bars without a move above which the test says nothing: they draw bipower variation to
#: 0, and with three in ten the test at 1 % finds a jump nearly always.
MOST_ZEROS = 0.1
#: Upper 1 % point of the standard normal distribution.
NORMAL_1 = 2.3263478740408408
#: Fewest returns of a window.
SHORTEST = 8

STILL = "NaN: more than a tenth of the bars without a move"


@feature(
    "bipower_vol",
    family=FAMILY,
    unit="1/sqrt(year)",
    inputs=("log_return", "bar_s"),
    formula="sqrt(pi / 2 mean of |r| |r_1| 365 d / mean_n(bar time)), the n - 1 products of n "
    "returns",
    edge="low, or 0, where bars without a move are many",
    source="Barndorff-Nielsen & Shephard 2004",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(300,),
    shortest=SHORTEST,
)
def bipower_vol(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Realised volatility without jumps, annualised."""
    return annualized(roll.jump("log_return", window)[1] / window, roll.mean("bar_s", window))


@feature(
    "jump_z",
    family=FAMILY,
    unit="sd",
    inputs=("log_return",),
    formula="sqrt(n) (1 - BV / RV) / sqrt((pi^2 / 4 + pi - 5) max(1, TPQ / BV^2))",
    edge=STILL,
    source="Barndorff-Nielsen & Shephard 2006; Huang & Tauchen 2005, ratio form",
    lookback=lambda n: n,
    warmup=lambda n: n,
    sparse=True,
    windows=(300,),
    shortest=SHORTEST,
)
def jump_z(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Test of jumps within the window: standard normal without one, large with."""
    _, _, _, z, zeros = roll.jump("log_return", window)
    return np.where(zeros <= MOST_ZEROS, z, np.nan)


@feature(
    "jump_flag",
    family=FAMILY,
    unit="0, 1",
    inputs=("jump_z_{window}",),
    formula="1 where jump_z > 2.326 (one-sided 1 %), else 0",
    edge=STILL,
    source="Barndorff-Nielsen & Shephard 2006",
    lookback=lambda n: n,
    warmup=lambda n: n,
    sparse=True,
    windows=(300,),
    shortest=SHORTEST,
)
def jump_flag(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Whether there was a jump within the window; 1 % of windows without one say so too."""
    z = bars[f"jump_z_{window}"]
    return np.where(np.isnan(z), np.nan, z > NORMAL_1)


@feature(
    "jump_share",
    family=FAMILY,
    unit="0..1",
    inputs=("log_return", "jump_flag_{window}"),
    formula="(RV - BV) / RV where jump_flag is 1, else 0",
    edge=STILL,
    source="Andersen, Bollerslev & Diebold 2007",
    lookback=lambda n: n,
    warmup=lambda n: n,
    sparse=True,
    windows=(300,),
    shortest=SHORTEST,
)
def jump_share(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Share of the realised variance that came by jumps."""
    total, bipower, _, _, _ = roll.jump("log_return", window)
    flag = bars[f"jump_flag_{window}"]
    return np.where(flag == 1.0, 1.0 - bipower / total, flag)


@feature(
    "zero_share",
    family=FAMILY,
    unit="0..1",
    inputs=("log_return",),
    formula="bars of n whose mid ended where it began / n",
    edge="NaN: a mid is missing in the window",
    source="Lesmond, Ogden & Trzcinka 1999",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(300,),
    shortest=SHORTEST,
)
def zero_share(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Share of bars without a move: where it is high, tests of jumps and moments say little."""
    return roll.jump("log_return", window)[4]

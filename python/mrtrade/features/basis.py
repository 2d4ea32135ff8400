"""How far the basis is from its mean, how fast it comes back, and how much it moves on the way."""

from __future__ import annotations

import numpy as np

from mrtrade.features.funding import BPS, FAMILY, NO_INDEX
from mrtrade.features.mean_reversion.reversion import GATE, LN2, SHORTEST, SOURCE, dickey_fuller_5
from mrtrade.features.registry import derived, feature
from mrtrade.features.rolling import Array, Bars, Rolling
from mrtrade.features.volatility.realized import annualized


@derived("squared_basis_change", unit="1", inputs=("basis_bps",))
def squared_basis_change(bars: Bars, roll: Rolling) -> Array:
    """Square of the change of the basis over the bar, as a fraction of the price."""
    change = (bars["basis_bps"] - roll.lag("basis_bps", 1)) / BPS
    return change * change


@feature(
    "basis_dev_bps",
    family=FAMILY,
    unit="bps",
    inputs=("basis_bps",),
    formula="basis - mean_n",
    edge=NO_INDEX,
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(300,),
)
def basis_dev_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Distance of the basis from its mean: what a full reversion of both legs would earn."""
    return bars["basis_bps"] - roll.mean("basis_bps", window)


@feature(
    "basis_half_life",
    family=FAMILY,
    unit="s",
    inputs=("basis_bps", "bar_s"),
    formula="-ln 2 / ln phi x mean_n(bar time), phi from OLS of (basis - basis_1) on basis_1 with "
    "intercept over n pairs",
    edge=GATE,
    source=SOURCE,
    lookback=lambda n: n,
    warmup=lambda n: n,
    sparse=True,
    windows=(300,),
    shortest=SHORTEST,
)
def basis_half_life(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Half-life of the basis, where it reverts; one above n / 6 bars is not seen."""
    _, _, t, phi, _, _ = roll.ar("basis_bps", window)
    reverts = (phi > 0.0) & (phi < 1.0) & (t < dickey_fuller_5(window))
    return -LN2 / np.log(np.where(reverts, phi, np.nan)) * roll.mean("bar_s", window)


@feature(
    "basis_vol",
    family=FAMILY,
    unit="1/sqrt(year)",
    inputs=("squared_basis_change", "bar_s"),
    formula="1e-4 sqrt(mean_n((basis - basis_1)^2) 365 d / mean_n(bar time))",
    edge=f"{NO_INDEX}; 0: flat window",
    source="as realized_vol; high where the basis bounces from bar to bar",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(60,),
)
def basis_vol(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Realised volatility of the basis, annualised: what a pair of both legs moves by."""
    return annualized(roll.mean("squared_basis_change", window), roll.mean("bar_s", window))

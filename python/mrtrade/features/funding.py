"""Features of a perpetual: funding, basis, open interest and liquidations.

A rate above 0 is paid by longs to shorts. What is announced for the coming settlement
(``funding_rate``) is known before it; what was settled (``funding_settled``) only after. Intervals
between settlements are those announced: they differ between symbols, and change.
"""

from __future__ import annotations

import numpy as np

from mrtrade.features.registry import derived, feature
from mrtrade.features.rolling import Array, Bars, Rolling

FAMILY = "funding"
BPS = 1e4
YEAR_S = 365 * 86400.0

#: Within about this time of a settlement positions are closed to escape it.
PRESSURE_S = 900.0

NO_RATE = "NaN: no rate is announced for a coming settlement"
NO_SETTLEMENT = "NaN: no settlement is known yet"
NO_INDEX = "NaN: no index price is known"


@derived("forced", unit="base", inputs=("long_liquidations", "short_liquidations"))
def forced(bars: Bars, roll: Rolling) -> Array:
    """Size closed by force in the bar, both sides."""
    return bars["long_liquidations"] + bars["short_liquidations"]


@derived("log_open_interest", unit="ln base", inputs=("open_interest",))
def log_open_interest(bars: Bars, roll: Rolling) -> Array:
    """Logarithm of the open interest."""
    return np.log(bars["open_interest"])


@derived("open_interest_return", unit="1", inputs=("log_open_interest",))
def open_interest_return(bars: Bars, roll: Rolling) -> Array:
    """Log change of the open interest over the bar."""
    return bars["log_open_interest"] - roll.lag("log_open_interest", 1)


# Funding ----------------------------------------------------------------------------


@feature(
    "funding_bps",
    family=FAMILY,
    unit="bps",
    inputs=("funding_rate",),
    formula="1e4 rate announced for the coming settlement",
    edge=NO_RATE,
    source="definition",
)
def funding_bps(bars: Bars, roll: Rolling) -> Array:
    """Rate that longs will pay at the coming settlement, as announced by now."""
    return BPS * bars["funding_rate"]


@feature(
    "funding_settled_bps",
    family=FAMILY,
    unit="bps",
    inputs=("funding_settled",),
    formula="1e4 rate of the last settlement",
    edge=NO_SETTLEMENT,
    source="definition",
)
def funding_settled_bps(bars: Bars, roll: Rolling) -> Array:
    """Rate that longs paid at the last settlement."""
    return BPS * bars["funding_settled"]


@feature(
    "funding_change_bps",
    family=FAMILY,
    unit="bps",
    inputs=("funding_rate", "funding_settled"),
    formula="1e4 (announced rate - settled rate)",
    edge="NaN: either is unknown",
    source="definition",
)
def funding_change_bps(bars: Bars, roll: Rolling) -> Array:
    """Change of the rate from the last settlement to the coming one."""
    return BPS * (bars["funding_rate"] - bars["funding_settled"])


@feature(
    "funding_annual",
    family=FAMILY,
    unit="1/year",
    inputs=("funding_rate", "funding_interval_s"),
    formula="announced rate x 365 d / time between settlements",
    edge="NaN: no rate, or only one settlement, is known",
    source="definition; simple, not compounded",
)
def funding_annual(bars: Bars, roll: Rolling) -> Array:
    """Announced rate a year: what a long would pay if it stayed (0.1 is 10 % of the notional)."""
    return bars["funding_rate"] * (YEAR_S / bars["funding_interval_s"])


@feature(
    "funding_z",
    family=FAMILY,
    unit="sd",
    inputs=("funding_settled",),
    formula="(settled rate - mean_n) / sd_n over bars, ddof 0",
    edge="NaN: one rate in all of the window; choose n bars that span many settlements",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    sparse=True,
    windows=(300, 1800),
)
def funding_z(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Last settled rate against those before it, each by the time it was the last."""
    mean, sd = roll.mean("funding_settled", window), roll.sd("funding_settled", window)
    return (bars["funding_settled"] - mean) / sd


@feature(
    "funding_surprise_z",
    family=FAMILY,
    unit="sd",
    inputs=("funding_rate", "funding_settled"),
    formula="(announced rate - mean_n of settled rates) / sd_n of settled rates",
    edge="NaN: no rate is announced, or one settled rate in all of the window",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    sparse=True,
    windows=(1800,),
)
def funding_surprise_z(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Announced rate against what was settled before: crowded longs above, crowded shorts below."""
    mean, sd = roll.mean("funding_settled", window), roll.sd("funding_settled", window)
    return (bars["funding_rate"] - mean) / sd


@feature(
    "funding_paid_bps",
    family=FAMILY,
    unit="bps",
    inputs=("funding_settled", "funding_interval_s", "bar_s"),
    formula="1e4 sum_n(settled rate x bar time / time between settlements)",
    edge="NaN: fewer than two settlements are known",
    source="definition; accrued in proportion to time",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(300, 1800),
)
def funding_paid_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Funding that a long accrued over the window, each settled rate until the next one."""
    accrued = bars["funding_settled"] * (bars["bar_s"] / bars["funding_interval_s"])
    return BPS * roll.sum(accrued, window)


@feature(
    "funding_due_s",
    family=FAMILY,
    unit="s",
    inputs=("funding_due_s",),
    formula="coming settlement - end of the bar",
    edge=NO_RATE,
    source="definition",
)
def funding_due_s(bars: Bars, roll: Rolling) -> Array:
    """Time to the coming settlement."""
    return bars["funding_due_s"]


@feature(
    "funding_due_share",
    family=FAMILY,
    unit="0..1",
    inputs=("funding_due_s", "funding_interval_s"),
    formula="time to the coming settlement / time between settlements",
    edge="NaN: no coming, or only one settlement, is known",
    source="definition",
)
def funding_due_share(bars: Bars, roll: Rolling) -> Array:
    """Share of the period that is still to run: near 0 the rate is all but settled."""
    return bars["funding_due_s"] / bars["funding_interval_s"]


@feature(
    "pre_funding_pressure",
    family=FAMILY,
    unit="bps",
    inputs=("funding_rate", "funding_due_s"),
    formula="-1e4 announced rate x exp(-time to settlement / 900 s)",
    edge=NO_RATE,
    source="definition",
)
def pre_funding_pressure(bars: Bars, roll: Rolling) -> Array:
    """Push of those who close to escape the payment: below 0 longs pay, and sell before."""
    return -BPS * bars["funding_rate"] * np.exp(-bars["funding_due_s"] / PRESSURE_S)


# Basis ------------------------------------------------------------------------------


@feature(
    "basis_bps",
    family=FAMILY,
    unit="bps",
    inputs=("mid", "index"),
    formula="1e4 (mid / index - 1)",
    edge=NO_INDEX,
    source="definition",
)
def basis_bps(bars: Bars, roll: Rolling) -> Array:
    """Premium of the perpetual's mid over the index."""
    return BPS * (bars["mid"] / bars["index"] - 1.0)


@feature(
    "mark_basis_bps",
    family=FAMILY,
    unit="bps",
    inputs=("mark", "index"),
    formula="1e4 (mark / index - 1)",
    edge="NaN: no mark or no index price is known",
    source="definition",
)
def mark_basis_bps(bars: Bars, roll: Rolling) -> Array:
    """Premium of the mark price over the index: what funding is made of."""
    return BPS * (bars["mark"] / bars["index"] - 1.0)


@feature(
    "mark_dev_bps",
    family=FAMILY,
    unit="bps",
    inputs=("mid", "mark"),
    formula="1e4 (mid / mark - 1)",
    edge="NaN: no mark price is known",
    source="definition",
)
def mark_dev_bps(bars: Bars, roll: Rolling) -> Array:
    """Distance of the mid from the mark price, by which positions are liquidated."""
    return BPS * (bars["mid"] / bars["mark"] - 1.0)


@feature(
    "basis_z",
    family=FAMILY,
    unit="sd",
    inputs=("basis_bps",),
    formula="(basis - mean_n) / sd_n, ddof 0",
    edge="NaN: flat window; at most sqrt(n - 1)",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(60, 300, 1800),
)
def basis_z(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Standardised distance of the basis from its mean."""
    mean, sd = roll.mean("basis_bps", window), roll.sd("basis_bps", window)
    return (bars["basis_bps"] - mean) / sd


@feature(
    "basis_change_bps",
    family=FAMILY,
    unit="bps",
    inputs=("basis_bps",),
    formula="basis - basis_n",
    edge=NO_INDEX,
    source="definition",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(10, 60),
)
def basis_change_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Change of the basis over the window."""
    return bars["basis_bps"] - roll.lag("basis_bps", window)


@feature(
    "basis_annual",
    family=FAMILY,
    unit="1/year",
    inputs=("basis_bps", "funding_interval_s"),
    formula="1e-4 basis x 365 d / time between settlements",
    edge="NaN: no index price, or only one settlement, is known",
    source="He, Manela, Ross & von Wachter 2022: the premium of a period is paid as its funding",
)
def basis_annual(bars: Bars, roll: Rolling) -> Array:
    """Basis a year, were it paid each period: a perpetual has no day of delivery."""
    return bars["basis_bps"] / BPS * (YEAR_S / bars["funding_interval_s"])


@feature(
    "funding_parity_bps",
    family=FAMILY,
    unit="bps",
    inputs=("mark_basis_bps", "funding_rate"),
    formula="1e4 (mark / index - 1 - announced rate)",
    edge="NaN: no mark, index or announced rate is known",
    source="He, Manela, Ross & von Wachter 2022",
)
def funding_parity_bps(bars: Bars, roll: Rolling) -> Array:
    """Premium that the coming payment does not explain."""
    return bars["mark_basis_bps"] - BPS * bars["funding_rate"]


# Liquidations -----------------------------------------------------------------------


def liquidated(bars: Bars, roll: Rolling, *, window: int, column: str) -> Array:
    """Size closed by force over the window."""
    return roll.sum(column, window)


for _side in ("long", "short"):
    feature(
        f"{_side}_liq",
        family=FAMILY,
        unit="base",
        inputs=(f"{_side}_liquidations",),
        formula=f"sum_n(size of {_side}s closed by force)",
        edge="NaN: no liquidations are recorded; sources may report one a second at most",
        source="definition",
        lookback=lambda n: n - 1,
        warmup=lambda n: n - 1,
        windows=(60, 300),
        params={"column": f"{_side}_liquidations"},
    )(liquidated)


@feature(
    "liq_imbalance",
    family=FAMILY,
    unit="-1..1",
    inputs=("long_liquidations", "short_liquidations"),
    formula="(short_n - long_n) / (short_n + long_n), sums over n bars",
    edge="NaN: none in the window",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    sparse=True,
    windows=(60, 300),
)
def liq_imbalance(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Side of the forced orders: above 0 shorts are bought back, below 0 longs are sold."""
    short, long = roll.sum("short_liquidations", window), roll.sum("long_liquidations", window)
    return (short - long) / (short + long)


@feature(
    "liq_share",
    family=FAMILY,
    unit="ratio",
    inputs=("forced", "volume"),
    formula="sum_n(liquidations) / sum_n(volume)",
    edge="NaN: no trade in the window; liquidations may be known before their trades",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(300,),
)
def liq_share(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Share of the volume that was forced."""
    return roll.sum("forced", window) / roll.sum("volume", window)


@feature(
    "liq_risk",
    family=FAMILY,
    unit="bps",
    inputs=("forced", "open_interest", "log_mid", "log_return"),
    formula="1e4 sum_n(liquidations) / open interest x (1 + |ln(mid / mid_n)| / (sd_n(r) sqrt n))",
    edge="NaN: flat window",
    source="definition",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(60, 300),
)
def liq_risk(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Risk of a cascade: share of all positions forced out, weighted by the move in sd."""
    sd = roll.sd("log_return", window)
    move: Array = np.abs(bars["log_mid"] - roll.lag("log_mid", window)) / (sd * np.sqrt(window))
    return BPS * roll.sum("forced", window) / bars["open_interest"] * (1.0 + move)


# Open interest ----------------------------------------------------------------------


@feature(
    "oi_change_bps",
    family=FAMILY,
    unit="bps",
    inputs=("log_open_interest",),
    formula="1e4 ln(open interest / open interest_n)",
    edge="NaN: no open interest is known",
    source="definition",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(60, 300),
)
def oi_change_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Change of the open interest over the window: positions opened above 0, closed below."""
    return BPS * (bars["log_open_interest"] - roll.lag("log_open_interest", window))


@feature(
    "oi_z",
    family=FAMILY,
    unit="sd",
    inputs=("open_interest",),
    formula="(open interest - mean_n) / sd_n, ddof 0",
    edge="NaN: flat window; at most sqrt(n - 1)",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    sparse=True,
    windows=(300, 1800),
)
def oi_z(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Standardised distance of the open interest from its mean."""
    mean, sd = roll.mean("open_interest", window), roll.sd("open_interest", window)
    return (bars["open_interest"] - mean) / sd


@feature(
    "oi_price_bps",
    family=FAMILY,
    unit="bps",
    inputs=("oi_change_bps_{window}", "log_mid"),
    formula="sign(ln(mid / mid_n)) x oi_change_bps_n",
    edge="0: the mid is where it was",
    source="definition",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(60, 300),
)
def oi_price_bps(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Whether a move is made by new positions: above 0 a rise opened, below 0 it closed them."""
    move = bars["log_mid"] - roll.lag("log_mid", window)
    return np.sign(move) * bars[f"oi_change_bps_{window}"]


@feature(
    "oi_price_corr",
    family=FAMILY,
    unit="-1..1",
    inputs=("open_interest_return", "log_return"),
    formula="corr_n(log change of the open interest, r), Pearson",
    edge="NaN: either is flat in the window",
    source="definition",
    lookback=lambda n: n,
    warmup=lambda n: n,
    sparse=True,
    windows=(300,),
)
def oi_price_corr(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Whether positions grow as the price rises (longs open) or as it falls (shorts do)."""
    slope, _, r2, _ = roll.ols("open_interest_return", "log_return", window)
    return np.copysign(np.sqrt(r2), slope)

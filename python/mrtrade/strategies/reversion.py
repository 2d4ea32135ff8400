"""What the reversion strategies share: regime switch, size, the model's consent, stops and limits.

*Regime switch.* Reversion is not traded in a trend or in a storm: there is no entry unless ADX is
at most `max_adx` and the percentile of volatility at most `max_vol_percentile`, both known; and a
position is left once either is above its ``kill_`` level. Between the two levels a position is kept
and none is opened.

*Size.* A position of full size is one whose standard deviation over one half-life is that of
`target_vol` over `target_half_life_s`. Volatility grows with the root of time, so

    size = min(1, target_vol / vol x sqrt(target_half_life_s / half_life)).

*Expected reversion.* The way from where the mid (or the basis) is to where its z-score would be
`exit_z`: of a z-score linear in the price the share 1 - exit_z / abs(z) of the distance to the
mean, in bps.

*Stop.* `stop_reversions` times the expected reversion of the entry: 2 by default.

*Holding limit.* `hold_half_lives` half-lives of the entry; of a gap to the mean 1/8 is left after
three of them.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field, model_validator

from mrtrade.strategies.base import FORECAST, Array, Mask, Mode, Row, StrategyParams


class ReversionParams(StrategyParams):
    """Parameters of all reversion strategies; windows are in bars."""

    entry_z: float = Field(2.0, gt=0, description="enter at this z-score")
    exit_z: float = Field(0.0, ge=0, description="leave at this z-score, on the entry's side")
    cost_bps: float = Field(4.0, ge=0, description="fees of a round trip, bps")
    stop_reversions: float = Field(2.0, gt=0, description="stop, expected reversions")
    hold_half_lives: float = Field(3.0, gt=0, description="holding limit, half-lives")
    target_vol: float = Field(0.5, gt=0, description="full size up to it, 1/sqrt(year)")
    target_half_life_s: float = Field(30.0, gt=0, description="full size up to it, s")
    vol_window: int = Field(15, ge=2, description="window of volatility, bars")
    regime_filter: bool = Field(True, description="switch by ADX and the percentile of volatility")
    adx_window: int = Field(30, ge=2, description="window of ADX, bars")
    max_adx: float = Field(30.0, gt=0, le=100, description="no entry above this ADX")
    kill_adx: float = Field(50.0, gt=0, le=100, description="leave above this ADX")
    max_vol_percentile: float = Field(
        0.9, gt=0, le=1, description="no entry above this percentile of volatility, 0..1"
    )
    kill_vol_percentile: float = Field(
        0.98, gt=0, le=1, description="leave above this percentile of volatility, 0..1"
    )
    min_forecast_bps: float | None = Field(
        None, ge=0, description="forecast that an entry needs, bps; none: no model"
    )
    entry_mode: Mode | None = Field(
        None, description="how entries are ordered; none: as configured"
    )
    exit_mode: Mode | None = Field(None, description="how exits are ordered; none: as configured")

    @model_validator(mode="after")
    def _levels_in_order(self) -> ReversionParams:
        if not self.exit_z < self.entry_z:
            raise ValueError(f"exit_z {self.exit_z} must be < entry_z {self.entry_z}")
        for name in ("adx", "vol_percentile"):
            highest, kill = getattr(self, f"max_{name}"), getattr(self, f"kill_{name}")
            if not highest <= kill:
                raise ValueError(f"max_{name} {highest} must be <= kill_{name} {kill}")
        return self


def shared_features(p: ReversionParams) -> tuple[str, ...]:
    """Return the features that `calm`, `broken` and `agrees` read."""
    regime = (f"adx_{p.adx_window}", f"vol_percentile_{p.vol_window}") if p.regime_filter else ()
    return regime + ((FORECAST,) if p.min_forecast_bps is not None else ())


def calm(row: Row, p: ReversionParams) -> Mask | bool:
    """Whether the regime allows entries; not where it is unknown."""
    if not p.regime_filter:
        return True
    percentile = row[f"vol_percentile_{p.vol_window}"]
    allowed: Mask = (row[f"adx_{p.adx_window}"] <= p.max_adx) & (percentile <= p.max_vol_percentile)
    return allowed


def broken(row: Row, p: ReversionParams) -> Mask | bool:
    """Whether the regime closes positions; not where it is unknown."""
    if not p.regime_filter:
        return False
    percentile = row[f"vol_percentile_{p.vol_window}"]
    kill: Mask = (row[f"adx_{p.adx_window}"] > p.kill_adx) | (percentile > p.kill_vol_percentile)
    return kill


def agrees(row: Row, p: ReversionParams, side: int) -> Mask | bool:
    """Whether the model, if one is asked, expects enough of a side; not without a forecast."""
    if p.min_forecast_bps is None:
        return True
    consent: Mask = side * row[FORECAST] >= p.min_forecast_bps
    return consent


def way_to_exit(deviation_bps: Array, z: Array, p: ReversionParams) -> Array:
    """Return the expected reversion, bps, see the module; NaN or below 0 within the exit.

    Parameters
    ----------
    deviation_bps : ndarray
        Distance from the mean, of either sign.
    z : ndarray
        The same, in standard deviations.
    p : ReversionParams
    """
    way: Array = np.abs(deviation_bps) * (1.0 - p.exit_z / np.abs(z))
    return way


def share_of(p: ReversionParams, vol: Array, half_life: Array) -> Array:
    """Return the share of the largest position, see the module; not yet clipped to 1.

    Parameters
    ----------
    p : ReversionParams
    vol : ndarray
        1/sqrt(year), as `target_vol`.
    half_life : ndarray
        Seconds.
    """
    share: Array = p.target_vol / vol * np.sqrt(p.target_half_life_s / half_life)
    return share

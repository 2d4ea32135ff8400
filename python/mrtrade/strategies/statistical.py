"""Fade the mid's distance from its mean, where and when the mid does revert."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, model_validator

from mrtrade.strategies.base import Row, Rules, Strategy
from mrtrade.strategies.reversion import (
    ReversionParams,
    agrees,
    broken,
    calm,
    share_of,
    shared_features,
    way_to_exit,
)


class StatisticalMeanReversion(Strategy):
    """Z-score reversion, gated by half-life and regime.

    Enters against the mid when its z-score is at `entry_z` or beyond, the half-life is within its
    bounds (it is NaN where reversion cannot be told from a random walk: no entry), volatility is
    not waking, the regime is calm and the expected reversion pays for fees and spread. Leaves when
    the z-score is back at `exit_z`, when volatility or the regime breaks, after `hold_half_lives`
    half-lives, or at a stop of `stop_reversions` times the expected reversion. Regime, size, stop
    and limit are those of `mrtrade.strategies.reversion`.

    The expected reversion is the way from the mid to where its z-score would be `exit_z`, in bps.

    Notes
    -----
    The defaults suit bars of one second. Preset ``minutes`` suits 5-minute candles: half-lives of
    15 to 240 minutes, entries at 1.5. Candles have no spread: their caller puts the column
    ``spread_mean_bps`` beside the features, as an assumption, or `min_spreads` is 0 and the spread
    is part of `cost_bps`.
    """

    class Params(ReversionParams):
        """Windows are in bars; the defaults suit bars of one second."""

        lookback: int = Field(120, ge=2, description="window of mean and z-score, bars")
        half_life_window: int = Field(300, ge=20, description="window of the half-life, bars")
        min_half_life_s: float = Field(1.0, ge=0, description="shortest tradable half-life, s")
        max_half_life_s: float = Field(120.0, gt=0, description="longest tradable half-life, s")
        min_spreads: float = Field(
            1.0, ge=0, description="reversion to expect above costs, spreads; 0: none is read"
        )
        max_vol_ratio: float = Field(1.5, gt=0, description="no entry above this vol_ratio")
        kill_vol_ratio: float = Field(2.5, gt=0, description="leave above this vol_ratio")

        @model_validator(mode="after")
        def _ordered(self) -> StatisticalMeanReversion.Params:
            if not self.min_half_life_s < self.max_half_life_s:
                raise ValueError("min_half_life_s must be < max_half_life_s")
            if not self.max_vol_ratio <= self.kill_vol_ratio:
                raise ValueError("max_vol_ratio must be <= kill_vol_ratio")
            return self

    params: Params
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "minutes": {
            "lookback": 96,
            "entry_z": 1.5,
            "half_life_window": 288,  # a half-life is seen up to a sixth of it: 240 minutes
            "min_half_life_s": 900.0,
            "max_half_life_s": 14_400.0,
            "target_half_life_s": 3_600.0,
            "cost_bps": 8.0,
            "vol_window": 12,
            "adx_window": 14,
        }
    }

    def __init__(self, params: Params | Mapping[str, Any] | None = None) -> None:
        super().__init__(params)
        p = self.params
        self.entry_mode, self.exit_mode = p.entry_mode, p.exit_mode
        self.features = (
            f"zscore_{p.lookback}",
            f"sma_dev_bps_{p.lookback}",
            f"half_life_{p.half_life_window}",
            f"vol_ratio_{p.vol_window}",
            f"realized_vol_{p.vol_window}",
            *(("spread_mean_bps",) if p.min_spreads else ()),
            *shared_features(p),
        )

    def rules(self, row: Row) -> Rules:
        """State entries, exits and terms, see the class."""
        p = self.params
        z, deviation, half_life, vol_ratio, vol = (row[name] for name in self.features[:5])
        spread = row["spread_mean_bps"] if p.min_spreads else 0.0
        reversion = way_to_exit(deviation, z, p)
        allowed = (
            (half_life >= p.min_half_life_s)
            & (half_life <= p.max_half_life_s)
            & (vol_ratio <= p.max_vol_ratio)
            & (reversion >= p.cost_bps + p.min_spreads * spread)
            & calm(row, p)
        )
        kill = (vol_ratio > p.kill_vol_ratio) | broken(row, p)
        return Rules(
            enter_long=allowed & (z <= -p.entry_z) & agrees(row, p, 1),
            enter_short=allowed & (z >= p.entry_z) & agrees(row, p, -1),
            exit_long=kill | (z >= -p.exit_z),
            exit_short=kill | (z <= p.exit_z),
            size=share_of(p, vol, half_life),
            stop_bps=p.stop_reversions * reversion,
            hold_s=p.hold_half_lives * half_life,
        )

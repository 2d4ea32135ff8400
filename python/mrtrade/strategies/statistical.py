"""Fade the mid's distance from its mean, where and when the mid does revert."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from mrtrade.strategies.base import Row, Rules, Strategy, StrategyParams


class StatisticalMeanReversion(Strategy):
    """Z-score reversion, gated by half-life and regime.

    Enters against the mid when its z-score is at `entry_z` or beyond, the half-life is within its
    bounds (it is NaN where reversion cannot be told from a random walk: no entry), volatility is
    not waking and the expected reversion pays for fees and spread. Leaves when the z-score is back
    at `exit_z`, when volatility breaks out, after `hold_half_lives` half-lives, or at a stop of
    `stop_reversions` times the expected reversion. Full size up to `target_vol`, less above it.
    """

    class Params(StrategyParams):
        """Windows are in bars; the defaults suit bars of one second."""

        lookback: int = Field(120, ge=2, description="window of mean and z-score, bars")
        entry_z: float = Field(2.0, gt=0, description="enter at this z-score")
        exit_z: float = Field(0.0, ge=0, description="leave at this z-score, on the entry's side")
        half_life_window: int = Field(300, ge=3, description="window of the half-life, bars")
        min_half_life_s: float = Field(1.0, ge=0, description="shortest tradable half-life, s")
        max_half_life_s: float = Field(120.0, gt=0, description="longest tradable half-life, s")
        hold_half_lives: float = Field(3.0, gt=0, description="holding limit, half-lives")
        stop_reversions: float = Field(2.0, gt=0, description="stop, expected reversions")
        cost_bps: float = Field(4.0, ge=0, description="fees of a round trip, bps")
        min_spreads: float = Field(1.0, ge=0, description="reversion to expect above it, spreads")
        vol_window: int = Field(30, ge=2, description="short window of volatility, bars")
        max_vol_ratio: float = Field(1.5, gt=0, description="no entry above this vol_ratio")
        kill_vol_ratio: float = Field(2.5, gt=0, description="leave above this vol_ratio")
        target_vol: float = Field(0.5, gt=0, description="full size up to it, 1/sqrt(year)")

        @model_validator(mode="after")
        def _ordered(self) -> StatisticalMeanReversion.Params:
            if not self.exit_z < self.entry_z:
                raise ValueError(f"exit_z {self.exit_z} must be < entry_z {self.entry_z}")
            if not self.min_half_life_s < self.max_half_life_s:
                raise ValueError("min_half_life_s must be < max_half_life_s")
            if not self.max_vol_ratio <= self.kill_vol_ratio:
                raise ValueError("max_vol_ratio must be <= kill_vol_ratio")
            return self

    params: Params

    def __init__(self, params: Params | Mapping[str, Any] | None = None) -> None:
        super().__init__(params)
        p = self.params
        self.features = (
            f"zscore_{p.lookback}",
            f"sma_dev_bps_{p.lookback}",
            f"half_life_{p.half_life_window}",
            f"vol_ratio_{p.vol_window}",
            f"realized_vol_{p.vol_window}",
            "spread_mean_bps",
        )

    def rules(self, row: Row) -> Rules:
        """State entries, exits and terms, see the class."""
        p = self.params
        z, deviation, half_life, vol_ratio, vol, spread = (row[name] for name in self.features)
        reversion = np.abs(deviation) * (1.0 - p.exit_z / np.abs(z))  # down to the exit, bps
        allowed = (
            (half_life >= p.min_half_life_s)
            & (half_life <= p.max_half_life_s)
            & (vol_ratio <= p.max_vol_ratio)
            & (reversion >= p.cost_bps + p.min_spreads * spread)
        )
        kill = vol_ratio > p.kill_vol_ratio
        return Rules(
            enter_long=allowed & (z <= -p.entry_z),
            enter_short=allowed & (z >= p.entry_z),
            exit_long=kill | (z >= -p.exit_z),
            exit_short=kill | (z <= p.exit_z),
            size=p.target_vol / vol,
            stop_bps=p.stop_reversions * reversion,
            hold_s=p.hold_half_lives * half_life,
        )

"""Fade a short overshoot of the mid once the book leans against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from mrtrade.strategies.base import Row, Rules, Strategy, StrategyParams


class MicrostructureMeanReversion(Strategy):
    """Overshoot reversion, timed by imbalance and micro-price, filtered by flow and queue.

    Imbalance foretells the next move, so it is not faded itself: a mid that has overshot its short
    mean is faded when depth imbalance and micro-price point back. No entry while flow is toxic
    (VPIN above `max_vpin`, or not known yet), where the expected reversion does not pay for fees
    and spread, or where the queue to join would take longer than `max_queue_s` to trade away.
    Leaves when the overshoot is gone, the book leans the other way, volatility breaks out, after
    `hold_s`, or at a stop of `stop_reversions` times the expected reversion.
    """

    class Params(StrategyParams):
        """Windows are in bars; the defaults suit bars of one second."""

        lookback: int = Field(30, ge=2, description="window of mean and z-score, bars")
        entry_z: float = Field(1.5, gt=0, description="enter at this z-score")
        exit_z: float = Field(0.0, ge=0, description="leave at this z-score, on the entry's side")
        lean: float = Field(0.2, ge=0, lt=1, description="imbalance_5 that counts as leaning")
        max_vpin: float = Field(0.7, gt=0, le=1, description="no entry above this VPIN")
        cost_bps: float = Field(4.0, ge=0, description="fees of a round trip, bps")
        min_spreads: float = Field(1.0, ge=0, description="reversion to expect above it, spreads")
        flow_window: int = Field(60, ge=2, description="window of the market-order rate, bars")
        max_queue_s: float = Field(30.0, gt=0, description="longest queue to join, s")
        hold_s: float = Field(30.0, gt=0, description="holding limit, s")
        stop_reversions: float = Field(2.0, gt=0, description="stop, expected reversions")
        vol_window: int = Field(30, ge=2, description="short window of volatility, bars")
        kill_vol_ratio: float = Field(2.5, gt=0, description="flat above this vol_ratio")
        target_vol: float = Field(0.5, gt=0, description="full size up to it, 1/sqrt(year)")

        @model_validator(mode="after")
        def _ordered(self) -> MicrostructureMeanReversion.Params:
            if not self.exit_z < self.entry_z:
                raise ValueError(f"exit_z {self.exit_z} must be < entry_z {self.entry_z}")
            return self

    params: Params

    def __init__(self, params: Params | Mapping[str, Any] | None = None) -> None:
        super().__init__(params)
        p = self.params
        self.features = (
            f"zscore_{p.lookback}",
            f"sma_dev_bps_{p.lookback}",
            "imbalance_5",
            "microprice_dev_bps",
            "vpin",
            "spread_mean_bps",
            f"queue_wait_bid_{p.flow_window}",
            f"queue_wait_ask_{p.flow_window}",
            f"vol_ratio_{p.vol_window}",
            f"realized_vol_{p.vol_window}",
        )

    def rules(self, row: Row) -> Rules:
        """State entries, exits and terms, see the class."""
        p = self.params
        z, deviation, imbalance, micro, vpin, spread, wait_bid, wait_ask, vol_ratio, vol = (
            row[name] for name in self.features
        )
        reversion = np.abs(deviation) * (1.0 - p.exit_z / np.abs(z))  # down to the exit, bps
        kill = vol_ratio > p.kill_vol_ratio
        allowed = (
            (vpin <= p.max_vpin)
            & (reversion >= p.cost_bps + p.min_spreads * spread)
            & (vol_ratio <= p.kill_vol_ratio)
        )
        up = (imbalance >= p.lean) & (micro > 0.0)
        down = (imbalance <= -p.lean) & (micro < 0.0)
        return Rules(
            enter_long=allowed & (z <= -p.entry_z) & up & (wait_bid <= p.max_queue_s),
            enter_short=allowed & (z >= p.entry_z) & down & (wait_ask <= p.max_queue_s),
            exit_long=kill | (z >= -p.exit_z) | down,
            exit_short=kill | (z <= p.exit_z) | up,
            size=p.target_vol / vol,
            stop_bps=p.stop_reversions * reversion,
            hold_s=p.hold_s,
        )

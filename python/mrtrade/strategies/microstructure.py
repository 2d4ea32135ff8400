"""Fade a short overshoot of the mid once the book leans against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from mrtrade.strategies.base import Array, Mask, Row, Rules, Strategy
from mrtrade.strategies.reversion import (
    ReversionParams,
    agrees,
    broken,
    calm,
    share_of,
    shared_features,
    way_to_exit,
)


class MicrostructureMeanReversion(Strategy):
    """Overshoot reversion, timed by imbalance and micro-price, filtered by flow and queue.

    Imbalance foretells the next move, so it is not faded itself: a mid that has overshot its short
    mean is faded when depth imbalance and micro-price point back. No entry while flow is toxic
    (VPIN more than `max_vpin_z` above its own recent level, or not known yet), in a trend or a
    storm, where the expected reversion does not pay for fees and spread, or where the queue to join
    would take longer than `max_queue_s` to trade away. Leaves when the overshoot is gone, when
    volatility or the regime breaks, after its holding limit, or at a stop of `stop_reversions`
    times the expected reversion. Regime, size and stop are those of `mrtrade.strategies.reversion`.

    Holding limit and size go by the half-life, which often cannot be told within so short a window:
    one that is not known, or that would hold longer than `hold_s`, counts as
    ``hold_s / hold_half_lives``.

    Notes
    -----
    With ``book=False`` it runs on bars without a book, such as 5-minute candles (preset
    ``minutes``). What is lost is what the name says: there is no imbalance and no micro-price, so
    that the timing is by the mid alone, which has to have turned back over `turn_bars` bars; VPIN
    is that of bars whose takers are guessed from the price (``vpin_bulk``, where little is left
    beside volatility); and no queue is known, so that a passive entry is an assumption. What stays
    is a short-term reversal with a filter of flow and regime: hold its results against that, not
    against a book's. The column ``spread_mean_bps`` is the caller's assumption, or `min_spreads` 0.
    """

    class Params(ReversionParams):
        """Windows are in bars; the defaults suit bars of one second."""

        book: bool = Field(True, description="whether the bars know the book and its takers")
        lookback: int = Field(30, ge=2, description="window of mean and z-score, bars")
        entry_z: float = Field(1.5, gt=0, description="enter at this z-score")
        lean: float = Field(0.2, ge=0, lt=1, description="imbalance_5 that counts as leaning")
        vpin_window: int = Field(120, ge=2, description="window of VPIN's own level, bars")
        max_vpin_z: float = Field(1.0, description="no entry above this z-score of VPIN")
        turn_bars: int = Field(2, ge=2, description="bars of the turn, where there is no book")
        vpin_bulk_window: int = Field(
            48, ge=2, description="window of bulk VPIN, bars, where there is no book"
        )
        max_vpin_bulk: float = Field(
            0.45, gt=0, le=1, description="no entry above this bulk VPIN, where there is no book"
        )
        min_spreads: float = Field(
            1.0, ge=0, description="reversion to expect above costs, spreads; 0: none is read"
        )
        flow_window: int = Field(60, ge=2, description="window of the market-order rate, bars")
        max_queue_s: float = Field(30.0, gt=0, description="longest queue to join, s")
        half_life_window: int = Field(120, ge=20, description="window of the half-life, bars")
        hold_s: float = Field(30.0, gt=0, description="longest holding limit, s")
        kill_vol_ratio: float = Field(2.5, gt=0, description="flat above this vol_ratio")
        target_half_life_s: float = Field(10.0, gt=0, description="full size up to it, s")

    params: Params
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "minutes": {
            "book": False,
            "lookback": 24,
            "half_life_window": 96,
            "hold_s": 7_200.0,
            "target_half_life_s": 2_400.0,
            "cost_bps": 8.0,
            "vol_window": 12,
            "adx_window": 14,
        }
    }

    def __init__(self, params: Params | Mapping[str, Any] | None = None) -> None:
        super().__init__(params)
        p = self.params
        self.entry_mode, self.exit_mode = p.entry_mode, p.exit_mode
        flow = f"queue_wait_bid_{p.flow_window}", f"queue_wait_ask_{p.flow_window}"
        by_book = ("imbalance_5", "microprice_dev_bps", f"vpin_z_{p.vpin_window}", *flow)
        by_price = (f"reversal_bps_{p.turn_bars}", f"vpin_bulk_{p.vpin_bulk_window}")
        self.features = (
            f"zscore_{p.lookback}",
            f"sma_dev_bps_{p.lookback}",
            f"half_life_{p.half_life_window}",
            f"vol_ratio_{p.vol_window}",
            f"realized_vol_{p.vol_window}",
            *(by_book if p.book else by_price),
            *(("spread_mean_bps",) if p.min_spreads else ()),
            *shared_features(p),
        )

    def rules(self, row: Row) -> Rules:
        """State entries, exits and terms, see the class."""
        p = self.params
        z, deviation, half_life, vol_ratio, vol = (row[name] for name in self.features[:5])
        spread = row["spread_mean_bps"] if p.min_spreads else 0.0
        reversion = way_to_exit(deviation, z, p)
        half_life = np.fmin(half_life, p.hold_s / p.hold_half_lives)
        kill = (vol_ratio > p.kill_vol_ratio) | broken(row, p)
        allowed = (
            (vol_ratio <= p.kill_vol_ratio)
            & (reversion >= p.cost_bps + p.min_spreads * spread)
            & calm(row, p)
        )
        up, down = self._timed_by_book(row) if p.book else self._timed_by_price(row)
        return Rules(
            enter_long=allowed & (z <= -p.entry_z) & up & agrees(row, p, 1),
            enter_short=allowed & (z >= p.entry_z) & down & agrees(row, p, -1),
            exit_long=kill | (z >= -p.exit_z),
            exit_short=kill | (z <= p.exit_z),
            size=share_of(p, vol, half_life),
            stop_bps=p.stop_reversions * reversion,
            hold_s=p.hold_half_lives * half_life,
        )

    def _timed_by_book(self, row: Row) -> tuple[Mask, Mask]:
        """Whether book, flow and queue let a long, and a short, be entered."""
        p = self.params
        imbalance, micro = row["imbalance_5"], row["microprice_dev_bps"]
        harmless = row[f"vpin_z_{p.vpin_window}"] <= p.max_vpin_z

        def soon(side: str) -> Mask:
            wait: Array = row[f"queue_wait_{side}_{p.flow_window}"]
            return wait <= p.max_queue_s

        up = harmless & (imbalance >= p.lean) & (micro > 0.0) & soon("bid")
        down = harmless & (imbalance <= -p.lean) & (micro < 0.0) & soon("ask")
        return up, down

    def _timed_by_price(self, row: Row) -> tuple[Mask, Mask]:
        """Whether a turn of the mid, and flow as far as it can be guessed, let them be entered."""
        p = self.params
        fallen_back = row[f"reversal_bps_{p.turn_bars}"]  # > 0: the mid fell
        harmless = row[f"vpin_bulk_{p.vpin_bulk_window}"] <= p.max_vpin_bulk
        return harmless & (fallen_back < 0.0), harmless & (fallen_back > 0.0)

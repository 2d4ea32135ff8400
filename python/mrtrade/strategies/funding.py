"""Trade the premium of a perpetual over its spot, and the funding that is paid for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

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

GRID_S = 8 * 3600.0
"""Time between the settlements of the common grid: 00:00, 08:00 and 16:00 UTC."""


@dataclass(frozen=True, slots=True)
class Funding:
    """What is known of the coming funding at each row.

    Attributes
    ----------
    rate_bps : ndarray
        Expected rate of the coming settlement; > 0: longs pay it to shorts.
    due_s : ndarray
        Time to it, seconds.
    interval_s : ndarray
        Time between settlements, seconds; NaN: not known, then none after the coming one counts.
    """

    rate_bps: Array
    due_s: Array
    interval_s: Array

    def settlements(self, hold_s: Array | float) -> Array:
        """Return how many settlements a position meets that is held so long from now on."""
        after = np.floor((hold_s - self.due_s) / self.interval_s)
        after = np.where(np.isnan(self.interval_s), 0.0, after)
        count: Array = np.where(hold_s >= self.due_s, 1.0 + after, 0.0)
        return count

    def carry_bps(self, side: int, likely_s: Array, longest_s: Array) -> Array:
        """Return what funding is expected to bring to a side: < 0 where the side pays.

        The coming rate stands for the later ones. Income is counted over the likely holding time,
        cost over the longest: neither is to make an entry look better than it may turn out.

        Parameters
        ----------
        side : int
            +1 long the perpetual, -1 short.
        likely_s, longest_s : ndarray
            Seconds.
        """
        income = -side * self.rate_bps
        count = np.where(income > 0.0, self.settlements(likely_s), self.settlements(longest_s))
        return np.where(np.isnan(income), np.nan, count * income)


class FundingArbitrage(Strategy):
    """Perpetual against spot: basis reversion, pre-funding flow, and the fade of extreme funding.

    A target t holds t of the perpetual and -t of the spot (`two_legs`), or t of the perpetual
    alone. There are three reasons to enter; where they point to both sides there is no entry.

    *Basis.* Its z-score is at `entry_z` or beyond and its half-life within bounds. The expected
    reversion (from the basis to where its z-score would be `exit_z`) and the expected funding
    together pay `cost_bps`: a rate that the side receives lowers what the basis has to give, one
    that it pays raises it.

    *Pre-funding flow.* Between `window_s` and `lead_s` before a settlement whose expected rate
    alone pays `cost_bps`, the side that receives it. Left `after_s` after the settlement.

    *Extreme funding.* The rate is at `extreme_bps` or beyond: the crowded side is faded for up to
    `extreme_settlements` settlements, if those pay `cost_bps`.

    The last two do not enter against a basis that is at `entry_z` on the other side. A position is
    left when the basis is back at `exit_z` and no funding speaks for staying, when the regime
    breaks, at its holding limit, or at a stop of `stop_reversions` times the expected reversion of
    the *basis* (for the last two reasons: times the expected funding). Of two legs it acts on the
    pair, whose profit is the change of the basis; of one leg on the perpetual's own price, which
    moves far more than the basis does: one leg is a bet on the market with a basis for its signal.
    Regime and size are those of `mrtrade.strategies.reversion`, size by the volatility of the basis
    (one leg: of the perpetual); a half-life that is not known counts as the longest tradable.

    Notes
    -----
    `rate` says what is known of the coming rate. ``announced``: what the exchange announces for it
    (Binance, Bybit, OKX do). ``settled``: that of the last settlement, where only a history of
    settled rates is at hand; the next is then taken to be on the common grid of 8 hours. ``none``:
    funding is not read, and neither of the last two reasons exists.

    A model's forecast (`min_forecast_bps`) has to be one of what is held: of the basis for two
    legs, of the perpetual for one.

    Short spot has to be borrowed; the cost of that belongs into `cost_bps`.

    References
    ----------
    He, Manela, Ross & von Wachter (2022), Fundamentals of perpetual futures.
    """

    class Params(ReversionParams):
        """Windows are in bars; the defaults suit bars of one second."""

        two_legs: bool = Field(True, description="hold the spot against the perpetual")
        rate: Literal["announced", "settled", "none"] = Field(
            "announced", description="what is known of the coming funding rate"
        )
        lookback: int = Field(300, ge=2, description="window of the basis' mean and z-score, bars")
        half_life_window: int = Field(300, ge=20, description="window of the half-life, bars")
        min_half_life_s: float = Field(1.0, ge=0, description="shortest tradable half-life, s")
        max_half_life_s: float = Field(120.0, gt=0, description="longest tradable half-life, s")
        window_s: float = Field(1_800.0, ge=0, description="pre-funding window, s; 0: none")
        lead_s: float = Field(60.0, ge=0, description="no entry so shortly before, s")
        after_s: float = Field(60.0, ge=0, description="leave so long after a settlement, s")
        extreme_bps: float = Field(5.0, gt=0, description="rate that is extreme, bps a settlement")
        extreme_exit_bps: float = Field(2.0, ge=0, description="rate at which it is over, bps")
        extreme_settlements: int = Field(3, ge=1, description="settlements that a fade waits for")
        cost_bps: float = Field(
            10.0, ge=0, description="fees and spreads of a round trip of all legs, bps"
        )
        target_vol: float = Field(0.1, gt=0, description="full size up to it, 1/sqrt(year)")
        max_adx: float = Field(50.0, gt=0, le=100, description="no entry above this ADX")
        kill_adx: float = Field(70.0, gt=0, le=100, description="leave above this ADX")

        @model_validator(mode="after")
        def _ordered(self) -> FundingArbitrage.Params:
            if not self.min_half_life_s < self.max_half_life_s:
                raise ValueError("min_half_life_s must be < max_half_life_s")
            if not self.extreme_exit_bps <= self.extreme_bps:
                raise ValueError("extreme_exit_bps must be <= extreme_bps")
            if self.window_s and not self.lead_s < self.window_s:
                raise ValueError("lead_s must be < window_s")
            return self

    params: Params
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "minutes": {
            "rate": "settled",
            "lookback": 288,
            "half_life_window": 288,
            "min_half_life_s": 300.0,  # the basis of candles bounces from close to close
            "max_half_life_s": 14_400.0,
            "target_half_life_s": 3_600.0,
            "target_vol": 0.05,
            "lead_s": 300.0,
            "after_s": 300.0,
            "vol_window": 12,
            "adx_window": 14,
        }
    }

    def __init__(self, params: Params | Mapping[str, Any] | None = None) -> None:
        super().__init__(params)
        p = self.params
        self.entry_mode, self.exit_mode = p.entry_mode, p.exit_mode
        self.legs = ("perpetual", "spot") if p.two_legs else ("perpetual",)
        known = {
            "announced": ("funding_bps", "funding_due_s", "funding_due_share"),
            "settled": ("funding_settled_bps", "funding_clock"),
            "none": (),
        }
        moves = f"basis_vol_{p.vol_window}" if p.two_legs else f"realized_vol_{p.vol_window}"
        self.features = (
            f"basis_z_{p.lookback}",
            f"basis_dev_bps_{p.lookback}",
            f"basis_half_life_{p.half_life_window}",
            moves,
            *known[p.rate],
            *shared_features(p),
        )

    def rules(self, row: Row) -> Rules:
        """State entries, exits and terms, see the class."""
        p = self.params
        z, deviation, half_life, vol = (row[name] for name in self.features[:4])
        funding = self._funding(row, len(z))
        reversion = way_to_exit(deviation, z, p)
        hold_s = p.hold_half_lives * half_life
        tradable = (half_life >= p.min_half_life_s) & (half_life <= p.max_half_life_s)
        receives = -np.sign(funding.rate_bps)
        soon = self._in_window(funding) & (np.abs(funding.rate_bps) >= p.cost_bps)
        extreme, income, wait_s = self._extreme(funding)
        wanted: dict[int, tuple[Mask, Mask]] = {}
        for side in (1, -1):
            gain = reversion + funding.carry_bps(side, half_life, hold_s)
            by_basis = (side * z <= -p.entry_z) & tradable & (gain >= p.cost_bps)
            by_funding = (receives == side) & (side * z < p.entry_z) & (soon | extreme)
            wanted[side] = by_basis, by_basis | by_funding
        allowed = calm(row, p) & ~(wanted[1][1] & wanted[-1][1])
        by_basis = wanted[1][0] | wanted[-1][0]
        # Of several reasons the first gives the terms.
        reasons = [by_basis, extreme]
        expected = np.select(reasons, [reversion, income], np.abs(funding.rate_bps))
        limit_s = np.select(reasons, [hold_s, wait_s], funding.due_s + p.after_s)
        kill = broken(row, p)
        return Rules(
            enter_long=wanted[1][1] & allowed & agrees(row, p, 1),
            enter_short=wanted[-1][1] & allowed & agrees(row, p, -1),
            exit_long=kill | ((z >= -p.exit_z) & ~self._stays(funding, 1)),
            exit_short=kill | ((z <= p.exit_z) & ~self._stays(funding, -1)),
            size=share_of(p, vol, np.fmin(half_life, p.max_half_life_s)),
            stop_bps=p.stop_reversions * expected,
            hold_s=limit_s,
        )

    def _funding(self, row: Row, rows: int) -> Funding:
        """Return what is known of the coming funding, by the parameter `rate`."""
        if self.params.rate == "none":
            return Funding(np.zeros(rows), np.full(rows, np.inf), np.full(rows, np.nan))
        if self.params.rate == "settled":
            due_s = (1.0 - row["funding_clock"]) * GRID_S
            return Funding(row["funding_settled_bps"], due_s, np.full(rows, GRID_S))
        due_s = row["funding_due_s"]
        return Funding(row["funding_bps"], due_s, due_s / row["funding_due_share"])

    def _in_window(self, funding: Funding) -> Mask:
        """Whether a settlement is so near that one enters for it, and not too near."""
        p = self.params
        near: Mask = (funding.due_s <= p.window_s) & (funding.due_s >= p.lead_s)
        return near

    def _extreme(self, funding: Funding) -> tuple[Mask, Array, Array]:
        """Whether to fade an extreme rate; what that is to bring, bps; how long it takes, s."""
        p = self.params
        later = np.where(np.isnan(funding.interval_s), 0.0, p.extreme_settlements - 1.0)
        span_s = np.where(later > 0.0, later * funding.interval_s, 0.0)
        income = (1.0 + later) * np.abs(funding.rate_bps)
        fade = (np.abs(funding.rate_bps) >= p.extreme_bps) & (income >= p.cost_bps)
        return fade & (funding.due_s >= p.lead_s), income, funding.due_s + span_s + p.after_s

    def _stays(self, funding: Funding, side: int) -> Mask:
        """Whether funding that a side receives speaks for staying, wherever the basis is."""
        p = self.params
        income = -side * funding.rate_bps
        near = (funding.due_s <= p.window_s) & (income >= p.cost_bps)
        stays: Mask = (income > 0.0) & (near | (income >= p.extreme_exit_bps))
        return stays

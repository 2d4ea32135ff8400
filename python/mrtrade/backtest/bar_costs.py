"""What trades on bars are charged: fee and spread, or a model fed with the market's state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mrtrade.backtest.bar_prices import carried
from mrtrade.errors import ConfigError, DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PARTS: dict[str, tuple[str, ...]] = {
    "commission": ("commission_bps",),
    "spread": ("spread_bps",),
    "impact": ("temporary_impact_bps", "permanent_impact_bps"),
    "adverse": ("adverse_selection_bps",),
    "opportunity": ("opportunity_bps",),
}
"""Columns of costs, and what a charge says of an order that is summed in each."""


class CostCharge(Protocol):
    """Says what orders cost, in bps of what each of them trades.

    Attributes
    ----------
    scale : float
        Multiplies every part.
    """

    @property
    def scale(self) -> float:
        """Multiplies every part."""
        ...

    def cost_bps(self, quantity_usd: Floats, rows: Ints, urgency: Floats) -> Mapping[str, Any]:
        """Return the parts named in `PARTS` that are charged, before `scale`.

        Parameters
        ----------
        quantity_usd : ndarray, shape (orders,)
            What each order trades, >= 0.
        rows : ndarray of int64, shape (orders,)
            The bar at whose end each was decided: what is known of the market is its state there.
        urgency : ndarray, shape (orders,)
            0 (waits in the queue) to 1 (crosses the spread at once).
        """
        ...


@dataclass(frozen=True)
class SpreadCost:
    """A fee, and half the spread that was quoted at the decision, of orders that cross it.

    Parameters
    ----------
    fee_bps : float
        Commission; negative is a rebate.
    spread_bps : ndarray or float
        Quoted spread, a value a bar or one for all; a missing one is the last before it. Bars are
        filled at the mid: half of the spread lies between it and the price that is paid.
    scale : float
        Multiplies both.

    Raises
    ------
    ConfigError
        When orders are charged that wait: bars do not say which of them would have been filled.
    """

    fee_bps: float = 0.0
    spread_bps: npt.ArrayLike = 0.0
    scale: float = 1.0

    def cost_bps(self, quantity_usd: Floats, rows: Ints, urgency: Floats) -> dict[str, Floats]:
        """Return fee and half spread of each order, bps; see `CostCharge`."""
        if (urgency < 1.0).any():
            raise ConfigError(
                "bars do not say whether an order that waits at the touch is filled",
                key="execution.mode",
                value="passive",
                expected="aggressive, for entries and exits",
                remedy="replay the recording, or charge a cost model that knows what waiting costs",
            )
        spread = np.asarray(self.spread_bps, np.float64)
        quoted = carried(spread)[rows] if spread.ndim else np.full(len(rows), spread)
        return {"commission_bps": np.full(len(rows), self.fee_bps), "spread_bps": 0.5 * quoted}


class CostModel(Protocol):
    """What `ModelCost` asks: `mrtrade.execution.costs.DynamicTransactionCostModel` has it."""

    def cost_bps(
        self, quantity_usd: Any, urgency: Any, market: Mapping[str, Any], *, symbol: str
    ) -> Mapping[str, Any]:
        """Return the parts of each order's cost, bps of its notional."""
        ...


@dataclass(frozen=True)
class ModelCost:
    """What a cost model says, at the state of the market in which an order was decided.

    Parameters
    ----------
    model : CostModel
    market : Mapping of str to ndarray or float
        State by the names that the model knows, a value a bar or one for all. A value that is
        missing in a bar is the last one before it.
    symbol : str
    scale : float
        Multiplies every part.

    Raises
    ------
    ConfigError
        If arrays of `market` differ in length.
    """

    model: CostModel
    market: Mapping[str, npt.ArrayLike]
    symbol: str
    scale: float = 1.0

    def __post_init__(self) -> None:
        state = {name: np.asarray(value, np.float64) for name, value in self.market.items()}
        lengths = {len(value) for value in state.values() if value.ndim}
        if len(lengths) > 1:
            raise ConfigError(
                "columns of the market state differ in length",
                value=sorted(lengths),
                expected="one value a bar in each, or one for all bars",
            )
        known = {name: carried(value) if value.ndim else value for name, value in state.items()}
        object.__setattr__(self, "market", known)

    def cost_bps(self, quantity_usd: Floats, rows: Ints, urgency: Floats) -> Mapping[str, Any]:
        """Return the model's parts of each order, bps; see `CostCharge`."""
        state: dict[str, Any] = {}
        for name, value in self.market.items():
            known = np.asarray(value, np.float64)
            state[name] = known[rows] if known.ndim else float(known)
        return self.model.cost_bps(quantity_usd, urgency, state, symbol=self.symbol)


def charge(
    costs: CostCharge, notional: Floats, capital: float, rows: Ints, urgency: Floats
) -> dict[str, Floats]:
    """Return what orders cost by the columns of `PARTS`, in the unit of `notional`.

    Parameters
    ----------
    costs
        Who charges.
    notional
        What each order trades, as a share of `capital`.
    capital
        USD.
    rows
        Bars at whose end they were decided.
    urgency
        0..1 of each.

    Raises
    ------
    DataError
        If the cost of an order is not known; names the bar.
    """
    told = costs.cost_bps(notional * capital, rows, urgency) if len(rows) else {}
    paid = {}
    for column, names in PARTS.items():
        bps = np.zeros(len(rows))
        for name in names:
            bps = bps + told.get(name, 0.0)
        if len(unknown := np.flatnonzero(~np.isfinite(bps))):
            raise DataError(
                f"the {column} of an order is not known",
                row=int(rows[unknown[0]]),
                value=float(bps[unknown[0]]),
                expected="a state of the market in that bar or before it",
                remedy="give the model the columns that it reads, or fixed costs",
            )
        paid[column] = notional * bps * (1e-4 * costs.scale)
    return paid

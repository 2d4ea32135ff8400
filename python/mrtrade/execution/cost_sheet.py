"""An order's expected cost as a sheet: each part, its formula, and what that is filled with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from mrtrade.execution.costs import (
    BY_STATE,
    DAYS_A_YEAR,
    PARTS,
    SECONDS_A_DAY,
    URGENCIES,
    DynamicTransactionCostModel,
)
from mrtrade.instruments import BPS_PER_ONE, currencies

FORMULAS = {
    "commission_bps": "u taker + (1 - u) maker",
    "spread_bps": "u S / 2 - (1 - u) p S / 2",
    "temporary_impact_bps": "u eta S (u Q / (T V)) / 1 %",
    "permanent_impact_bps": "u lambda u Q / 2",
    "adverse_selection_bps": "(1 - u) p A",
    "opportunity_bps": "(1 - u) (1 - p) D",
}
"""Of the parts, by the letters of `DynamicTransactionCostModel` and `MEANINGS`."""

WITH = {
    "k": {"temporary_impact_bps": "u k (u Q / V) / 1 %"},
    "Y": {
        "temporary_impact_bps": "u 2/3 Y sigma_D sqrt(u Q / V)",
        "permanent_impact_bps": "none: the law is of all impact",
    },
}
"""Those that are others where the model goes by this letter."""

MEANINGS = {
    "u": ("share taken at once", ""),
    "Q": ("notional", "{quote}"),
    "taker": ("commission", "bps"),
    "maker": ("commission", "bps"),
    "S": ("quoted spread", "bps"),
    "V": ("daily volume", "{quote} a day"),
    "T": ("time it is worked over", "days"),
    "lambda": ("Kyle's lambda", "bps / {quote}"),
    "eta": ("impact at 1 % of V", "spreads"),
    "k": ("book's slope, 1 % of V", "bps"),
    "Y": ("square-root constant", ""),
    "sigma_D": ("volatility of a day", "bps"),
    "p": ("chance of a fill", ""),
    "A": ("move against a fill", "bps"),
    "D": ("move away, no fill", "bps"),
}


class Line(NamedTuple):
    """A part of the cost.

    Attributes
    ----------
    part, formula : str
    bps : float
        Of the notional; > 0 paid.
    money : float
        Quote units.
    """

    part: str
    formula: str
    bps: float
    money: float


class Filling(NamedTuple):
    """What a letter of the formulas stands for.

    Attributes
    ----------
    letter, meaning : str
    value : float
    unit, origin : str
    """

    letter: str
    meaning: str
    value: float
    unit: str
    origin: str


@dataclass(frozen=True)
class CostSheet:
    """What an order is expected to cost, and why.

    Attributes
    ----------
    symbol, quote : str
        What is traded, and the currency of notional and money.
    lines : tuple of Line
        The parts, in the order in which they are added, and their sum.
    fillings : tuple of Filling
        What their formulas were filled with.
    """

    symbol: str
    quote: str
    lines: tuple[Line, ...]
    fillings: tuple[Filling, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        *parts, total = self.lines
        return {
            "symbol": self.symbol,
            "unit": "bps",
            "currency": self.quote,
            "parts": [part._asdict() for part in parts],
            "expected_cost_bps": total.bps,
            "expected_cost": total.money,
            "filled_with": [one._asdict() for one in self.fillings],
        }


def cost_sheet(
    model: DynamicTransactionCostModel,
    *,
    symbol: str,
    quantity_usd: float,
    urgency: float | str,
    market_state: Mapping[str, float],
) -> CostSheet:
    """Estimate the cost of one order, and tell how.

    Parameters and exceptions are those of `DynamicTransactionCostModel.estimate_cost`.
    """
    costs = model.estimate_cost(
        symbol=symbol, quantity_usd=quantity_usd, urgency=urgency, market_state=market_state
    )
    quote = currencies(symbol)[1]
    filled = dict(_filled(model, symbol, quantity_usd, urgency, market_state))
    formulas = FORMULAS | {k: v for letter in filled for k, v in WITH.get(letter, {}).items()}
    lines = [
        Line(_spelt(name), formulas.get(name, "their sum"), bps, bps * quantity_usd / BPS_PER_ONE)
        for name, bps in ((name, costs[name]) for name in (*PARTS, "expected_cost_bps"))
    ]
    fillings = []
    for letter, (value, origin) in filled.items():
        meaning, unit = MEANINGS[letter]
        fillings.append(Filling(letter, meaning, value, unit.format(quote=quote), origin))
    return CostSheet(symbol, quote, tuple(lines), tuple(fillings))


def _filled(
    model: DynamicTransactionCostModel,
    symbol: str,
    quantity_usd: float,
    urgency: float | str,
    market_state: Mapping[str, float],
) -> Iterator[tuple[str, tuple[float, str]]]:
    """Yield the letters that the order's formulas have, with value and origin."""
    share = URGENCIES[urgency] if isinstance(urgency, str) else float(urgency)
    terms = model.terms(urgency, market_state, symbol=symbol)
    yield "u", (share, "the order")
    yield "Q", (quantity_usd, "the order")
    if share > 0.0:
        yield "taker", (model.taker_fee_bps, "fees")
    if share < 1.0:
        yield "maker", (model.maker_fee_bps, "fees")
    yield "S", (market_state["spread_bps"], BY_STATE)
    for letter, term in terms.items():
        yield letter, (float(term.value), term.origin)
    if "eta" in terms:
        yield "T", (model.horizon_s / SECONDS_A_DAY, "the model")
    if not terms.keys().isdisjoint(("Y", "p")):
        a_day = market_state["realized_vol"] * BPS_PER_ONE / math.sqrt(DAYS_A_YEAR)
        yield "sigma_D", (a_day, BY_STATE)


def _spelt(name: str) -> str:
    return name.removesuffix("_bps").replace("_", " ")

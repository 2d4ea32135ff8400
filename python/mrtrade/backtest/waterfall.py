"""Where the money went: from the signal's own profit to what is left of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mrtrade.instruments import LINEAR, Contract

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Waterfall:
    """The steps from gross to net profit, in the settlement currency.

    ``gross - slippage - spread - fees - funding == net``. A positive cost was paid, a negative one
    was earned: a maker's spread and a rebate are negative.

    Attributes
    ----------
    gross
        Every change of position made at the mid its decision saw, marked at the last mid.
    slippage
        What the mid moved against the trades between decision and fill.
    spread
        Distance of the fill prices from the mid just before each fill.
    fees
        Exchange fees less rebates.
    funding
        Funding paid less received.
    net
        Cash flow of the fills plus the last position at the last mid.
    """

    gross: float
    slippage: float
    spread: float
    fees: float
    funding: float
    net: float

    @property
    def residual(self) -> float:
        """What the identity misses: rounding only, about 1e-16 of the parts."""
        parts = (self.gross, -self.slippage, -self.spread, -self.fees, -self.funding, -self.net)
        return math.fsum(parts)

    def steps(self) -> list[tuple[str, float]]:
        """Signed contributions, costs negative, in the order they are shown; the last is net."""
        return [
            ("Gross", self.gross),
            ("Slippage", -self.slippage),
            ("Spread", -self.spread),
            ("Fees", -self.fees),
            ("Funding", -self.funding),
            ("Net", self.net),
        ]


def waterfall(
    fills: pd.DataFrame, last_mid: float, contract: Contract = LINEAR, funding: float = 0.0
) -> Waterfall:
    r"""Split the profit of some fills into its parts.

    Parameters
    ----------
    fills
        Columns ``side`` (+1 buy, -1 sell), ``price``, ``quantity`` (size units), ``fee``
        (settlement currency, > 0 paid), ``mid`` (just before the fill) and ``decision_mid``.
    last_mid
        Mid at which the last position is marked, price units.
    contract
        What a size unit is worth.
    funding
        Funding paid over the same time, settlement currency; > 0 paid.

    Notes
    -----
    With signed quantity :math:`q_i`, decision mid :math:`d_i`, mid :math:`m_i`, price :math:`p_i`,
    last mid :math:`M` and :math:`\Delta(a, b) = V(b) - V(a)`, what a size unit gains between two
    prices (linear: :math:`k (b - a)`; inverse: :math:`k (b - a) / (a b)`): gross
    :math:`\sum q_i \Delta(d_i, M)`, slippage :math:`\sum q_i \Delta(d_i, m_i)`, spread
    :math:`\sum q_i \Delta(m_i, p_i)`, net :math:`\sum q_i \Delta(p_i, M)` - fees - funding. Net
    is summed from the prices paid, not from the other parts, so the identity is a check.
    Differences are taken before they are multiplied: the result does not lose digits to turnover.

    A mid is missing while one side of the book is empty. The fill's own price then stands in for
    the mid (no spread) and the mid for the decision's (no slippage).
    """
    if len(fills) == 0:
        return Waterfall(0.0, 0.0, 0.0, 0.0, funding, 0.0 - funding)
    price = fills["price"].to_numpy(np.float64)
    mid = fills["mid"].to_numpy(np.float64)
    mid = np.where(np.isnan(mid), price, mid)
    decision = fills["decision_mid"].to_numpy(np.float64)
    decision = np.where(np.isnan(decision), mid, decision)
    signed = fills["side"].to_numpy(np.float64) * fills["quantity"].to_numpy(np.float64)
    fees = math.fsum(fills["fee"].to_numpy(np.float64))
    return Waterfall(
        gross=math.fsum(signed * contract.change(decision, last_mid)),
        slippage=math.fsum(signed * contract.change(decision, mid)),
        spread=math.fsum(signed * contract.change(mid, price)),
        fees=fees,
        funding=funding,
        net=math.fsum(signed * contract.change(price, last_mid)) - fees - funding,
    )

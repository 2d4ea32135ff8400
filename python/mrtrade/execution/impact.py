"""What trading does to the price: Almgren and Chriss' model, and what was measured of impact.

Units are the caller's: one for prices (or basis points), one for sizes and one for time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mrtrade.errors import ConfigError

Floats = npt.NDArray[np.float64]

GAMMA_2005, GAMMA_2005_SE = 0.314, 0.041
ETA_2005, ETA_2005_SE = 0.142, 0.0062
BETA_2005 = 0.6
"""Constants of `equity_impact`, with standard errors: US shares, 2001 to 2003."""


class Coefficients(NamedTuple):
    """How the price answers to trading.

    Attributes
    ----------
    fixed
        Paid on every unit, price: half the spread and fees.
    temporary
        Price per (size / time): what a rate of trading costs while it lasts.
    permanent
        Price per size: what is left of it.
    """

    fixed: Any
    temporary: Any
    permanent: Any


def spread_rule(spread: Any, volume: Any) -> Coefficients:
    """Return the coefficients that Almgren & Chriss (2000, section 4) take from spread and volume.

    Parameters
    ----------
    spread : float or ndarray
        Quoted, price.
    volume : float or ndarray
        Traded in a unit of time (their day), size.

    Returns
    -------
    Coefficients
        Half the spread; one spread for trading at 1 % of the volume; one spread for a size of 10 %
        of the volume.
    """
    return Coefficients(0.5 * spread, spread / (0.01 * volume), spread / (0.1 * volume))


def square_root(sigma: Any, quantity: Any, volume: Any, y: Any = 1.0) -> Any:
    """Return the impact of a whole order by the square-root law, Y sigma sqrt(Q / V).

    Parameters
    ----------
    sigma : float or ndarray
        Volatility over a unit of time (a day), price.
    quantity, volume : float or ndarray
        Of the order, and traded in that unit of time; sizes.
    y : float
        Of order one; see Toth et al. (2011), Physical Review X 1, and for bitcoin Donier & Bonart
        (2015), Market Microstructure and Liquidity 1.

    Returns
    -------
    float or ndarray
        Move of the mid from the first fill to the last, price. The order itself pays two thirds of
        it: the mean of a root from 0 to 1. It is all impact, permanent too.
    """
    return y * sigma * np.sqrt(np.asarray(quantity) / volume)


class EquityImpact(NamedTuple):
    """Impact of an order, in the unit of sigma.

    Attributes
    ----------
    permanent
        I: the mid long after, against before.
    temporary
        K: what is paid beyond half of I.
    cost
        J = I / 2 + K: shortfall of the order.
    """

    permanent: float
    temporary: float
    cost: float


def equity_impact(
    quantity: float, volume: float, outstanding: float, sigma: float, days: float
) -> EquityImpact:
    """Return the impact that Almgren, Thum, Hauptmann & Li (2005, Risk 18) measured on US shares.

    I = gamma sigma (X / V) (Theta / V)^(1/4), K = eta sigma |X / (V T)|^(3/5) with the sign of X.

    Parameters
    ----------
    quantity : float
        X, shares; < 0: sold.
    volume, outstanding : float
        V a day, and Theta in all; shares.
    sigma : float
        Daily volatility; its unit is that of the result.
    days : float
        T over which the order is worked, in days of volume.
    """
    if not (volume > 0.0 and outstanding > 0.0 and days > 0.0 and sigma >= 0.0):
        raise ConfigError(
            "no market to trade in",
            key="volume, outstanding, days, sigma",
            value=(volume, outstanding, days, sigma),
            expected="volume, outstanding and days > 0, sigma >= 0",
        )
    share = quantity / volume
    permanent = GAMMA_2005 * sigma * share * (outstanding / volume) ** 0.25
    temporary = math.copysign(ETA_2005 * sigma * abs(share / days) ** BETA_2005, quantity)
    return EquityImpact(permanent, temporary, 0.5 * permanent + temporary)


@dataclass(frozen=True)
class Liquidation:
    """A position that is closed over some time (Almgren & Chriss 2000).

    Parameters
    ----------
    quantity : float
        X, size, to be sold.
    days : float
        T, over which.
    intervals : int
        N of equal length, >= 1.
    sigma : float
        Volatility: price per square root of a day.
    coefficients : Coefficients
        Per day.

    Notes
    -----
    A trajectory x_0 = X, ..., x_N = 0 is what is left after each interval, n_k = x_(k-1) - x_k
    what is sold in it, tau = T / N:

    E = gamma X^2 / 2 + epsilon sum |n_k| + (eta - gamma tau / 2) / tau sum n_k^2,
    V = sigma^2 tau sum_(k = 1..N) x_k^2.
    """

    quantity: float
    days: float
    intervals: int
    sigma: float
    coefficients: Coefficients

    def __post_init__(self) -> None:
        if not (self.intervals >= 1 and self.days > 0.0 and self.sigma >= 0.0):
            raise ConfigError(
                "no time to trade in",
                key="days, intervals, sigma",
                value=(self.days, self.intervals, self.sigma),
                expected="days > 0, intervals >= 1, sigma >= 0",
            )
        if not self._slope > 0.0:
            raise ConfigError(
                "temporary impact is below half the permanent impact of an interval: waiting would "
                "be paid for",
                key="coefficients.temporary",
                value=self.coefficients.temporary,
                expected=f"> {0.5 * self.coefficients.permanent * self._tau:g}",
            )

    @property
    def _tau(self) -> float:
        return self.days / self.intervals

    @property
    def _slope(self) -> float:
        """Return eta less gamma tau / 2."""
        return float(self.coefficients.temporary - 0.5 * self.coefficients.permanent * self._tau)

    def kappa(self, risk_aversion: float) -> float:
        """Return how fast it is optimal to trade, per day: cosh(kappa tau) - 1 = z / 2.

        With z = tau^2 lambda sigma^2 / (eta - gamma tau / 2). The time 1 / kappa is in which what
        is left falls by e where there is time enough.

        Parameters
        ----------
        risk_aversion : float
            lambda >= 0, of E + lambda V: 1 / (price x size).
        """
        if not 0.0 <= risk_aversion < math.inf:
            raise ConfigError("out of range", key="risk_aversion", value=risk_aversion,
                              expected=">= 0")  # fmt: skip
        z = self._tau**2 * risk_aversion * self.sigma**2 / self._slope
        return 2.0 / self._tau * math.asinh(0.5 * math.sqrt(z))  # keeps the digits of a small z

    def trajectory(self, risk_aversion: float) -> Floats:
        """Return the trajectory that minimises E + lambda V: X sinh(kappa (T - t)) / sinh(kappa T).

        Parameters
        ----------
        risk_aversion : float
            As in `kappa`; 0: a straight line.

        Returns
        -------
        ndarray of float64, shape (intervals + 1,)
            What is left, from X to 0.
        """
        left = np.arange(self.intervals, -1, -1) / self.intervals
        steepness = self.kappa(risk_aversion) * self.days
        if steepness == 0.0:
            return np.asarray(self.quantity * left)
        # sinh(a) / sinh(b) without their overflow
        ratio = np.expm1(-2.0 * steepness * left) / np.expm1(-2.0 * steepness)
        return np.asarray(self.quantity * np.exp(-steepness * (1.0 - left)) * ratio)

    def expected_cost(self, trajectory: npt.ArrayLike) -> float:
        """Return E of a trajectory: shortfall against the price at the start, price x size."""
        sold = -np.diff(self._checked(trajectory))
        fixed, _, permanent = self.coefficients
        return float(
            0.5 * permanent * self.quantity**2
            + fixed * np.abs(sold).sum()
            + self._slope / self._tau * (sold**2).sum()
        )

    def variance(self, trajectory: npt.ArrayLike) -> float:
        """Return V of a trajectory, (price x size)^2."""
        return float(self.sigma**2 * self._tau * (self._checked(trajectory)[1:] ** 2).sum())

    def _checked(self, trajectory: npt.ArrayLike) -> Floats:
        left = np.asarray(trajectory, np.float64)
        if left.shape != (self.intervals + 1,) or left[0] != self.quantity or left[-1] != 0.0:
            raise ConfigError(
                "no trajectory of this position",
                key="trajectory",
                expected=f"{self.intervals + 1} sizes from {self.quantity:g} to 0",
            )
        return left

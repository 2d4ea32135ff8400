"""What an order is expected to cost, from its size, its urgency and the state of the market.

``docs/costs.md`` works an example by hand. All costs are basis points of the order's notional,
> 0 paid, against the mid at the decision. An order takes the share `urgency` of itself and lets the
rest wait at the touch: u below. S is the quoted spread (bps), s its half, Q the notional (quote),
V the daily volume (quote a day), sigma the volatility (annualised; sigma_D of a day, in bps).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import yaml

from mrtrade.config import COST_MODEL, AdverseModel, CostsConfig, ImpactModel
from mrtrade.errors import ConfigError, DataError
from mrtrade.execution.calibrated import Calibration
from mrtrade.execution.impact import spread_rule, square_root
from mrtrade.instruments import BPS_PER_ONE, Instrument, user_symbol, venue

Floats = npt.NDArray[np.float64]

PARTS = (
    "commission_bps",
    "spread_bps",
    "temporary_impact_bps",
    "permanent_impact_bps",
    "adverse_selection_bps",
    "opportunity_bps",
)
"""The parts of `expected_cost_bps`, in the order in which they are added."""

REQUIRED = ("spread_bps", "realized_vol")
OPTIONAL = ("vpin", "kyle_lambda", "daily_volume", "fill_probability")
STATE = (*REQUIRED, *OPTIONAL)
"""Names of a market's state, see `DynamicTransactionCostModel.cost_bps`."""

URGENCIES = {"passive": 0.0, "aggressive": 1.0}
SECONDS_A_DAY = 86_400.0
DAYS_A_YEAR = 365.0

BY_STATE, BY_CALIBRATION = "the market's state", "calibration"


class Term(NamedTuple):
    """A quantity in the formulas of the cost model.

    Attributes
    ----------
    value : ndarray of float64
    origin : str
        Where it came from.
    """

    value: Floats
    origin: str


@dataclass(frozen=True)
class DynamicTransactionCostModel:
    r"""Expected cost of an order, part by part.

    Parameters
    ----------
    maker_fee_bps, taker_fee_bps : float
        Commission; the defaults are those of Binance's USD-M perpetuals, VIP 0.
    tiers : sequence of (volume, maker bps, taker bps), optional
        Fees by the volume of the last 30 days instead, as ``transaction_costs.tiers``.
    volume_30d : float
        That volume, quote units.
    exchange : str, optional
        Whose daily volumes are looked up; by default that of the exchange that has the symbol.
    impact_model : {"almgren_chriss", "square_root"}
    kyle_lambda : float or "auto"
        Permanent impact, basis points of the mid per quote unit of signed volume. A number holds
        always. ``auto``: what the market's state says, else the calibration, else Almgren and
        Chriss' rule: one spread for a tenth of the daily volume, S / (0.1 V).
    adverse_selection_model : {"vpin_based", "break_even"}
    calibration : Calibration or path, optional
        What was measured, see `mrtrade.execution.calibration.calibrate`.
    horizon_s : float
        Time over which what is taken is worked, seconds. Almgren and Chriss price a rate of
        trading, and an order all at once has none. Default: 300, a bar of the candles that two-year
        backtests run on.
    patience_s : float
        Time an order waits at the touch, seconds. Default: 10, that of ``execution.timeout_s``.
    markout_s : float
        Time after a fill over which takers know more than makers, seconds. Default: 30, the longest
        at which mark-outs are measured.
    eta : float, optional
        Temporary impact in spreads, for trading at a rate of 1 % of the daily volume a day. A
        number holds always. Default: what the calibration measured of orders that are taken at
        once, else 1 (Almgren & Chriss 2000, section 4).
    square_root_y : float, optional
        Constant of the square-root law. Default: the calibration's, else 1 (of order one for
        Toth et al. 2011, Donier & Bonart 2015; try 0.5 and 2 too).
    vpin_null : float
        VPIN of a flow that nobody is informed in. Default: 0.206, of buckets of five bars by bulk
        classification, sqrt(2 / (3 pi 5)). True sides of ten trades a bucket have 0.25 and more.

    Notes
    -----
    commission
        u taker + (1 - u) maker.
    spread
        u s - (1 - u) p s: takers pay half of it, makers earn half of it where they are filled,
        with probability p.
    temporary impact, of what is taken, besides the half spread
        ``almgren_chriss`` (2000, eq. 7, section 4): u eta S r / 1 %, at the rate
        r = u Q / (T V) of a day's volume a day over the horizon T: linear in Q. With a calibration
        u k (u Q / V) / 1 %, k its ``book_slope``: what walking the recorded book costs, at once.
        ``square_root``: u (2/3) Y sigma_D sqrt(u Q / V), the mean over the order of an impact that
        grows with the root of what is done.
    permanent impact, of what is taken
        u lambda u Q / 2: linear, or the price could be pumped (Huberman & Stanzl 2004); an order
        pays half of where it leaves the price. A lambda below 0 is noise of its estimate and counts
        as 0. ``square_root``: 0, as that law is of all impact.
    adverse selection, of what waited and was filled: (1 - u) p A
        The mid moves against a maker by A after a fill. From the calibration's mark-outs by VPIN
        where it has some at `markout_s`, of which one below 0 is noise and counts as 0; no
        published formula has it. Else, ``vpin_based``: the share
        i = max(0, (VPIN - null) / (1 - null)) of takers knows the direction of the next h =
        `markout_s` seconds, A = i sigma sqrt(h) sqrt(2 / pi). ``break_even``, and where no VPIN is
        given: A = s, makers earn nothing but rebates (Glosten & Milgrom 1985).
    opportunity, of what waited and was not filled: (1 - u) (1 - p) D
        Perold's (1988) opportunity cost at the mid D by which a price ran away that never came to
        us: E[W | W > -s throughout] of a Brownian mid over the patience, = s q / (1 - q) with
        q = P(it comes to us) = erfc(s / (sigma sqrt(2 patience))), by the reflection principle
        and optional stopping. p is q unless the state tells a fill probability; on a mid without
        a drift, what makers earn is then just what waiting costs.

    All parts rise with Q, sigma, VPIN and lambda where they depend on them (mark-outs as measured
    need not); a taker's rise with the spread, a maker's fall.

    References
    ----------
    Almgren & Chriss (2000), Journal of Risk 3; Huberman & Stanzl (2004), Econometrica 72; Kyle
    (1985), Econometrica 53; Perold (1988), Journal of Portfolio Management 14; Glosten & Milgrom
    (1985), Journal of Financial Economics 14; Toth et al. (2011), Physical Review X 1; Donier &
    Bonart (2015), Market Microstructure and Liquidity 1.

    Examples
    --------
    >>> from mrtrade.execution.costs import DynamicTransactionCostModel
    >>> state = {"spread_bps": 5.0, "vpin": 0.4, "kyle_lambda": 1e-4, "realized_vol": 0.6}
    >>> cost = DynamicTransactionCostModel().estimate_cost(
    ...     symbol="BTC/USDT", quantity_usd=100_000, urgency="aggressive", market_state=state
    ... )
    >>> round(cost["expected_cost_bps"], 2), cost["permanent_impact_bps"]
    (20.0, 5.0)
    """

    maker_fee_bps: float = 2.0
    taker_fee_bps: float = 5.0
    tiers: tuple[tuple[float, float, float], ...] | None = None
    volume_30d: float = 0.0
    exchange: str | None = None
    impact_model: ImpactModel = "almgren_chriss"
    kyle_lambda: float | Literal["auto"] = "auto"
    adverse_selection_model: AdverseModel = "vpin_based"
    calibration: Calibration | str | Path | None = None
    horizon_s: float = 300.0
    patience_s: float = 10.0
    markout_s: float = 30.0
    eta: float | None = None
    square_root_y: float | None = None
    vpin_null: float = 0.206

    def __post_init__(self) -> None:
        _one_of("impact_model", self.impact_model, get_args(ImpactModel))
        _one_of("adverse_selection_model", self.adverse_selection_model, get_args(AdverseModel))
        for name in ("horizon_s", "patience_s", "markout_s"):
            _at_least(name, getattr(self, name), 0.0, open_=True)
        for name in ("eta", "square_root_y", "kyle_lambda"):
            value = getattr(self, name)
            if value is not None and value != "auto":
                _at_least(name, value, 0.0)
        if not 0.0 <= self.vpin_null < 1.0:
            raise ConfigError("not a level of VPIN", key="vpin_null", value=self.vpin_null,
                              expected="a number in [0, 1)")  # fmt: skip
        if isinstance(self.calibration, str | Path):
            object.__setattr__(self, "calibration", Calibration.load(self.calibration))
        if self.tiers is not None:
            fees = CostsConfig(tiers=list(self.tiers), volume_30d=self.volume_30d).fees()
            object.__setattr__(self, "maker_fee_bps", fees["maker_fee"] * BPS_PER_ONE)
            object.__setattr__(self, "taker_fee_bps", fees["taker_fee"] * BPS_PER_ONE)

    @classmethod
    def of(
        cls, terms: Instrument, costs: CostsConfig | None = None, **options: Any
    ) -> DynamicTransactionCostModel:
        """Make the model of an instrument: its fees, the daily volume of its exchange.

        Parameters
        ----------
        terms : Instrument
            With the fees that hold, as a configuration's overrides make it.
        costs : CostsConfig, optional
            ``transaction_costs`` of a configuration: how the model is made.
        **options
            As the class takes them; they win.
        """
        made: dict[str, Any] = {
            "maker_fee_bps": terms.maker_fee * BPS_PER_ONE,
            "taker_fee_bps": terms.taker_fee * BPS_PER_ONE,
            "exchange": terms.exchange,
        }
        if costs is not None:
            made |= {name: getattr(costs, name) for name in COST_MODEL if name != "model"}
        return cls(**{**made, **options})

    def estimate_cost(
        self,
        *,
        symbol: str,
        quantity_usd: float,
        urgency: float | str,
        market_state: Mapping[str, float],
    ) -> dict[str, float]:
        """Estimate the cost of one order.

        Parameters
        ----------
        symbol : str
            Any spelling that `mrtrade.instruments.user_symbol` reads.
        quantity_usd : float
            Notional, quote units, >= 0, of a buy or a sell alike.
        urgency : float or {"passive", "aggressive"}
            Share that is taken at once, 0 to 1; the words are 0 and 1.
        market_state : mapping
            As `cost_bps` takes it, of numbers.

        Returns
        -------
        dict
            `PARTS` and ``expected_cost_bps``, their sum.

        Raises
        ------
        ConfigError
            An argument cannot be, what the order needs is not given, or the calibration is of
            another market.
        DataError
            A value of the state cannot be: NaN, or negative.
        """
        for name in STATE:
            value = market_state.get(name)
            if value is not None and not _possible(name, np.asarray(value, np.float64)).all():
                raise DataError(
                    "the market's state has no such value",
                    key=f"market_state.{name}",
                    value=value,
                    expected=_EXPECTED.get(name, "a number >= 0"),
                    remedy="wait until it is known, or leave out what is optional: "
                    f"{', '.join(OPTIONAL)}",
                )
        if not math.isfinite(quantity_usd):
            raise ConfigError("not a notional", key="quantity_usd", value=quantity_usd)
        costs = self.cost_bps(quantity_usd, urgency, market_state, symbol=symbol)
        return {name: float(value) for name, value in costs.items()}

    def cost_bps(
        self,
        quantity_usd: npt.ArrayLike,
        urgency: npt.ArrayLike | str,
        market: Mapping[str, npt.ArrayLike],
        *,
        symbol: str,
    ) -> dict[str, Floats]:
        """Estimate the costs of many orders at once; shapes broadcast.

        Parameters
        ----------
        quantity_usd : array-like
            Notionals, quote units, >= 0; NaN gives NaN.
        urgency : array-like or {"passive", "aggressive"}
            Shares that are taken at once, 0 to 1.
        market : mapping of array-like
            ``spread_bps`` (quoted, ask less bid) and ``realized_vol`` (annualised over 365 days, a
            fraction: 0.6) are needed. ``vpin`` (0..1); ``kyle_lambda`` (bps per quote unit, see
            `mrtrade.execution.market_state.kyle_bps`); ``daily_volume`` (quote units a day; by
            default the calibration's, else that of ``config/costs.yaml``); ``fill_probability``
            (0..1, of an order that waits for the patience) are optional.
        symbol : str

        Returns
        -------
        dict of ndarray of float64
            `PARTS` and ``expected_cost_bps``, which is their sum in that order. NaN where a value
            that the order needs is NaN or cannot be (a spread or a volatility below 0): a taker
            needs no VPIN, a maker no lambda and no volume.

        Raises
        ------
        ConfigError
            An argument cannot be: a notional below 0, an urgency outside of [0, 1], a name that is
            not known, or one that is needed and not there.
        """
        state = self._state(market)
        quantity = np.asarray(quantity_usd, np.float64)
        share = _share(urgency)
        if (quantity < 0.0).any():
            raise ConfigError("a notional below 0", key="quantity_usd",
                              value=float(np.min(quantity)), expected="a number >= 0")  # fmt: skip
        shape = np.broadcast_shapes(quantity.shape, share.shape, *(v.shape for v in state.values()))
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            parts = self._parts(quantity, share, state, symbol)
            out = {name: np.broadcast_to(part, shape).copy() for name, part in parts.items()}
            total = np.zeros(shape)
            for name in PARTS:
                total = total + out[name]
        out["expected_cost_bps"] = np.where(np.isnan(quantity), np.nan, total)
        return out

    def _state(self, market: Mapping[str, npt.ArrayLike]) -> dict[str, Floats]:
        for name in market:
            if name not in STATE:
                near = get_close_matches(name, STATE, n=1, cutoff=0)[0]
                raise ConfigError(
                    "no such part of a market's state", key=name, remedy=f"did you mean {near}?"
                )
        missing = [name for name in REQUIRED if market.get(name) is None]
        if missing:
            raise ConfigError("the market's state does not say it", key=", ".join(missing),
                              expected=f"at least {', '.join(REQUIRED)}")  # fmt: skip
        state = {}
        for name, value in market.items():
            if value is not None:
                given = np.asarray(value, np.float64)
                state[name] = np.where(_possible(name, given), given, np.nan)
        return state

    def terms(
        self,
        urgency: npt.ArrayLike | str,
        market: Mapping[str, npt.ArrayLike],
        *,
        symbol: str,
    ) -> dict[str, Term]:
        """Return what the formulas of the parts are filled with, and where each came from.

        Parameters and exceptions are those of `cost_bps`.

        Returns
        -------
        dict of Term
            By the letters of the class's notes, and only what such orders need: of what is taken
            ``V``, one of ``eta``, ``k``, ``Y``, and ``lambda``; of what waits ``p``, ``A``, ``D``.
        """
        return self._terms(_share(urgency), self._state(market), symbol)

    def _terms(self, share: Floats, state: Mapping[str, Floats], symbol: str) -> dict[str, Term]:
        self._refuse_another(symbol)
        terms: dict[str, Term] = {}
        if (share > 0.0).any():
            terms |= self._taking(state, symbol)
        if (share < 1.0).any():
            terms |= self._waiting(state)
        return terms

    def _parts(
        self, quantity: Floats, share: Floats, state: Mapping[str, Floats], symbol: str
    ) -> dict[str, Floats]:
        terms = {name: term.value for name, term in self._terms(share, state, symbol).items()}
        taken, made = share > 0.0, share < 1.0
        rest, half = 1.0 - share, 0.5 * state["spread_bps"]
        nothing = np.zeros(())
        temporary, permanent = self._impact(share * quantity, state, terms)
        filled, adverse, away = (terms.get(name, nothing) for name in ("p", "A", "D"))
        return {
            "commission_bps": share * self.taker_fee_bps + rest * self.maker_fee_bps,
            "spread_bps": np.where(taken, share * half, 0.0)
            - np.where(made, rest * filled * half, 0.0),
            "temporary_impact_bps": np.where(taken, share * temporary, 0.0),
            "permanent_impact_bps": np.where(taken, share * permanent, 0.0),
            "adverse_selection_bps": np.where(made, rest * filled * adverse, 0.0),
            "opportunity_bps": np.where(made, rest * ((1.0 - filled) * away), 0.0),
        }

    def _taking(self, state: Mapping[str, Floats], symbol: str) -> dict[str, Term]:
        """Return what impact depends on besides the state."""
        volume = state.get("daily_volume")
        terms = {"V": self._volume(symbol) if volume is None else Term(volume, BY_STATE)}
        if self.impact_model == "square_root":
            return terms | {"Y": self._measured("square_root_y") or Term(np.ones(()), "default")}
        terms["lambda"] = self._lambda(state, terms["V"].value)
        # Nobody gives a book's slope: it is measured, and a given eta says not to take it.
        slope = None if self.eta is not None else self._measured("book_slope")
        if slope is not None:
            return terms | {"k": slope}
        return terms | {"eta": self._measured("eta") or Term(np.ones(()), "default")}

    def _impact(
        self, taken: Floats, state: Mapping[str, Floats], terms: Mapping[str, Floats]
    ) -> tuple[Floats, Floats]:
        """Temporary and permanent impact of a notional that is taken, bps of it."""
        if "V" not in terms:  # nothing is
            return np.zeros(()), np.zeros(())
        volume = terms["V"]
        if "Y" in terms:
            daily = state["realized_vol"] / math.sqrt(DAYS_A_YEAR) * BPS_PER_ONE
            return 2.0 / 3.0 * square_root(daily, taken, volume, terms["Y"]), np.zeros(())
        permanent = 0.5 * terms["lambda"] * taken
        if "k" in terms:
            return terms["k"] * taken / (0.01 * volume), permanent
        a_day = taken * SECONDS_A_DAY / self.horizon_s
        rule = spread_rule(state["spread_bps"], volume)
        return terms["eta"] * rule.temporary * a_day, permanent

    def _lambda(self, state: Mapping[str, Floats], volume: Floats) -> Term:
        if self.kyle_lambda == "auto" and state.get("kyle_lambda") is not None:
            return Term(np.maximum(state["kyle_lambda"], 0.0), BY_STATE)
        return self._measured("kyle_lambda") or Term(
            spread_rule(state["spread_bps"], volume).permanent, "rule, S / (0.1 V)"
        )

    def _waiting(self, state: Mapping[str, Floats]) -> dict[str, Term]:
        """Fill probability, adverse move after a fill and move away from what is not filled."""
        half = 0.5 * state["spread_bps"]
        sigma = state["realized_vol"] * BPS_PER_ONE / math.sqrt(DAYS_A_YEAR * SECONDS_A_DAY)
        moved = sigma * math.sqrt(self.patience_s)
        missed = _erf(np.where(moved > 0.0, half / (moved * math.sqrt(2.0)), np.inf))
        reached = 1.0 - missed
        # A spread of 0 is the limit: the mean of a Brownian meander's end.
        away = np.where(missed > 0.0, half * reached / missed, moved * math.sqrt(0.5 * math.pi))
        given = state.get("fill_probability")
        brownian = f"Brownian mid, {self.patience_s:g} s"
        filled = Term(reached, brownian) if given is None else Term(given, BY_STATE)
        known = sigma * math.sqrt(self.markout_s) * math.sqrt(2.0 / math.pi)
        nan = np.isnan(half) | np.isnan(sigma)
        return {
            "p": filled._replace(value=np.where(nan, np.nan, filled.value)),
            "A": self._adverse(half, known, state.get("vpin")),
            "D": Term(np.where(nan, np.nan, away), brownian),
        }

    def _adverse(self, half: Floats, known: Floats, vpin: Floats | None) -> Term:
        """Move of the mid against a maker after a fill, bps."""
        if self.adverse_selection_model == "break_even" or vpin is None:
            return Term(half, "break even, S / 2")
        table = self._calibration.markouts if self._calibration else None
        if table is not None and self.markout_s in table.horizons_s:
            column = table.horizons_s.index(self.markout_s)
            rows = [row[column] for row in table.adverse_bps]
            adverse = np.array([math.nan if one is None else max(one, 0.0) for one in rows])
            at = np.searchsorted(np.array(table.edges), vpin, side="right")
            known = np.where(np.isnan(vpin), np.nan, adverse[at])
            return Term(known, f"{BY_CALIBRATION}, {self.markout_s:g} s")
        informed = np.maximum((vpin - self.vpin_null) / (1.0 - self.vpin_null), 0.0)
        return Term(informed * known, f"VPIN, {self.markout_s:g} s")

    @property
    def _calibration(self) -> Calibration | None:
        read = self.calibration
        return read if isinstance(read, Calibration) else None

    def _measured(self, name: str) -> Term | None:
        """Return what is given, else what was measured, else nothing."""
        given = getattr(self, name, None)
        if given is not None and given != "auto":
            return Term(np.asarray(given, np.float64), "given")
        estimate = getattr(self._calibration, name, None)
        if estimate is None or estimate.value is None:
            return None
        return Term(np.maximum(np.asarray(estimate.value), 0.0), BY_CALIBRATION)

    def daily_volume(self, symbol: str) -> float:
        """Return the volume of a day, quote units: the calibration's, else ``config/costs.yaml``.

        Raises
        ------
        ConfigError
            If neither knows it.
        """
        self._refuse_another(symbol)
        return float(self._volume(symbol).value)

    def _volume(self, symbol: str) -> Term:
        if self._calibration is not None and self._calibration.daily_volume is not None:
            return Term(np.asarray(self._calibration.daily_volume), BY_CALIBRATION)
        name = user_symbol(symbol)
        if self.exchange is None:
            found = [table[name] for table in _volumes().values() if name in table]
        else:
            place = venue(self.exchange, name)
            found = [_volumes()[place][name]] if name in _volumes().get(place, {}) else []
        if not found:
            where = f"{self.exchange.upper()} " if self.exchange else ""
            raise ConfigError(
                f"the daily volume of {where}{name} is not known",
                key="daily_volume",
                expected="what is traded on a day, in quote units: impact depends on it",
                remedy="give daily_volume with the market's state, or a calibration",
            )
        return Term(np.asarray(found[0], np.float64), "config/costs.yaml")

    def _refuse_another(self, symbol: str) -> None:
        """Complain of a calibration of another market than the order's."""
        measured = self._calibration
        if measured is None:
            return
        ours = user_symbol(symbol)
        place = measured.exchange if self.exchange is None else venue(self.exchange, ours)
        if (place, ours) != (measured.exchange, measured.symbol):
            raise ConfigError(
                "measured on another market",
                key="calibration",
                value=f"{measured.exchange} {measured.symbol}",
                expected=f"one of {place} {ours}",
                remedy="measure it with `mrtrade costs calibrate`",
            )


_EXPECTED = {
    "vpin": "a number in [0, 1]",
    "fill_probability": "a number in [0, 1]",
    "kyle_lambda": "a finite number, bps per quote unit",
    "daily_volume": "a number > 0",
}


def _possible(name: str, value: Floats) -> npt.NDArray[np.bool_]:
    """Where a value of the market's state can be."""
    finite = np.isfinite(value)
    if name == "kyle_lambda":
        return finite
    if name == "daily_volume":
        return finite & (value > 0.0)
    within = finite & (value >= 0.0)
    return within & (value <= 1.0) if name in ("vpin", "fill_probability") else within


def _share(urgency: npt.ArrayLike | str) -> Floats:
    if isinstance(urgency, str):
        _one_of("urgency", urgency, tuple(URGENCIES))
        urgency = URGENCIES[urgency]
    share = np.asarray(urgency, np.float64)
    if not ((share >= 0.0) & (share <= 1.0)).all():
        raise ConfigError(
            "not a share", key="urgency", value=urgency, expected="0 (passive) to 1 (aggressive)"
        )
    return share


def _one_of(key: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError("no such choice", key=key, value=value, expected=" or ".join(choices))


def _at_least(key: str, value: float, least: float, *, open_: bool = False) -> None:
    if not (math.isfinite(value) and (value > least or (value == least and not open_))):
        sign = ">" if open_ else ">="
        raise ConfigError("out of range", key=key, value=value, expected=f"{sign} {least:g}")


def _erf(x: Floats) -> Floats:
    """Error function, element by element: without scipy, which not every installation has."""
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x), np.float64)


@cache
def _volumes() -> dict[str, dict[str, float]]:
    text = files("mrtrade").joinpath("config_files", "costs.yaml").read_text(encoding="utf-8")
    table: dict[str, dict[str, float]] = yaml.safe_load(text)
    return table

"""Instruments: price and size steps, contract terms, fees, and how symbols are spelled.

The table is ``config_files/exchanges.yaml``, which the folder ``config`` of the repository shows.
"""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mrtrade.errors import ConfigError

BPS_PER_ONE = 10_000

_SYMBOL = re.compile(r"[A-Za-z0-9_.]+/[A-Za-z0-9_.]+(-[A-Za-z0-9_.]+)?")
_CCXT_PERP = re.compile(r"([A-Za-z0-9_.]+/[A-Za-z0-9_.]+):[A-Za-z0-9_.]+")

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
# A fee of the whole notional, or a rebate of it, is a slip of unit (bps given for a fraction).
Fee = Annotated[float, Field(gt=-0.1, lt=0.1, allow_inf_nan=False)]


@dataclass(frozen=True)
class Contract:
    """What one size unit is worth, in the currency that profit is paid in.

    Prices may be numbers or arrays. A long position gains what `value` rises by, whichever way the
    contract is settled: the value of an inverse contract is negative and rises with the price.

    Parameters
    ----------
    multiplier : float
        Linear: base units of one size unit. Inverse: quote units of one contract.
    inverse : bool
        Whether profit is paid in the base currency.

    Examples
    --------
    A contract of 100 dollars, held from 50,000 to 62,500 dollars a bitcoin:

    >>> from mrtrade.instruments import Contract
    >>> Contract(100.0, inverse=True).change(50_000.0, 62_500.0)
    0.0004
    """

    multiplier: float = 1.0
    inverse: bool = False

    def value(self, price: Any) -> Any:
        """Worth at a price: multiplier * price, or -multiplier / price."""
        return -self.multiplier / price if self.inverse else self.multiplier * price

    def notional(self, price: Any) -> Any:
        """Size of `value`: what fees, funding and turnover are measured by."""
        return self.multiplier / price if self.inverse else self.multiplier * price

    def change(self, before: Any, after: Any) -> Any:
        """Gain of one size unit held long; the difference is taken before it can lose digits."""
        gain = self.multiplier * (after - before)
        return gain / (before * after) if self.inverse else gain

    def price(self, notional: Any) -> Any:
        """Price at which one size unit has that notional."""
        return self.multiplier / notional if self.inverse else notional / self.multiplier


LINEAR = Contract()
"""One unit of base currency, paid for in quote: spot, and most perpetuals."""


class Instrument(BaseModel):
    """What is traded, and on which grid.

    Parameters
    ----------
    exchange : str
        As Crypto Lake spells it, e.g. ``BINANCE_FUTURES``.
    symbol : str
        ``BTC/USDT``, ``BTC/USDT-PERP``.
    tick_size : float
        Price step, quote units.
    lot_size : float
        Size step, base units (inverse: contracts).
    multiplier : float
        Linear: base units of one size unit. Inverse: quote units of one contract.
    inverse : bool
        Whether profit is paid in the base currency.
    maker_fee, taker_fee : float
        Fractions of the notional; negative is a rebate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    exchange: str
    symbol: str
    tick_size: Positive
    lot_size: Positive
    multiplier: Positive = 1.0
    inverse: bool = False
    maker_fee: Fee
    taker_fee: Fee

    @property
    def contract(self) -> Contract:
        """What one size unit is worth."""
        return Contract(self.multiplier, self.inverse)

    @property
    def currency(self) -> str:
        """Currency that profit is paid in: quote, or base for an inverse contract."""
        return currencies(self.symbol)[0 if self.inverse else 1]

    @property
    def size_unit(self) -> str:
        """What sizes are counted in: the base currency, or contracts."""
        plain = self.contract == LINEAR
        return currencies(self.symbol)[0] if plain else "contracts"

    @property
    def is_perpetual(self) -> bool:
        """Whether holders pay each other funding."""
        return self.symbol.endswith("-PERP")


def instrument(
    exchange: str,
    symbol: str,
    *,
    prices: npt.ArrayLike | None = None,
    sizes: npt.ArrayLike | None = None,
    **overrides: Any,
) -> Instrument:
    """Look up an instrument, or describe one that the table does not know.

    Parameters
    ----------
    exchange, symbol : str
        Any spelling that `user_symbol` reads.
    prices, sizes : array-like, optional
        Recorded prices and sizes. Nothing is taken from them: they make the error for an unknown
        instrument suggest steps.
    **overrides
        Fields of `Instrument` that replace the table's. An unknown instrument needs `tick_size`
        and `lot_size`; where the table has no fees, `maker_fee` and `taker_fee` are needed too.

    Raises
    ------
    ConfigError
        If the instrument is unknown and not described, its fees are neither known nor given, or a
        field is out of range.
    """
    exchange, symbol = exchange.upper(), user_symbol(symbol)
    known = _known().get((exchange, symbol), _fees().get(exchange, {}))
    fields = {**known, **overrides}
    missing = [
        name
        for name in ("tick_size", "lot_size", "maker_fee", "taker_fee")
        if fields.get(name) is None
    ]
    if missing and missing[0].endswith("_fee"):
        raise ConfigError(
            f"the fees of {exchange} {symbol} are not known",
            key=", ".join(missing),
            expected="the fees of your account: none are assumed",
            remedy=f"give {' and '.join(f'{name}_bps' for name in missing)}: in a configuration "
            f"under transaction_costs, to mrtrade poc as options; in Python "
            f"{' and '.join(missing)}, as fractions",
        )
    if missing:
        raise _unknown(exchange, symbol, missing, prices, sizes)
    try:
        return Instrument(exchange=exchange, symbol=symbol, **fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"{exchange} {symbol}: {first['msg'].lower()}",
            key=".".join(map(str, first["loc"])),
            value=first["input"],
            remedy=f"give one of {', '.join(Instrument.model_fields)}",
        ) from None


def known_instruments() -> list[tuple[str, str]]:
    """Return (exchange, symbol) of every instrument in the table."""
    return sorted(_known())


def infer_grid(values: npt.ArrayLike) -> float | None:
    """Return the coarsest step that divides all values, to suggest as a tick or lot size.

    The result is a suggestion, never a fact: a step finer than what happened to be recorded is
    possible. NaN and 0 are left out; None when nothing is left, or there is no step >= 1e-12.
    """
    sample = np.unique(np.asarray(values, dtype=np.float64))
    sample = sample[np.isfinite(sample) & (sample != 0)]
    if sample.size == 0:
        return None
    for decimals in range(13):
        scaled = sample * 10.0**decimals
        whole = np.rint(scaled)
        if np.all(np.abs(scaled - whole) <= 4 * np.spacing(np.abs(scaled))):
            if np.abs(whole).max() >= 2.0**63:
                return None
            return float(np.gcd.reduce(whole.astype(np.int64))) / 10.0**decimals
    return None


def user_symbol(symbol: str) -> str:
    """Return a symbol as users write it, from any of the three spellings.

    ========================  ===========  ================
    who                       spot         perpetual
    ========================  ===========  ================
    users, and inside mrtrade  BTC/USDT     BTC/USDT-PERP
    Crypto Lake                BTC-USDT     BTC-USDT-PERP
    ccxt                       BTC/USDT     BTC/USDT:USDT
    ========================  ===========  ================
    """
    ccxt = _CCXT_PERP.fullmatch(symbol)
    spelled = f"{ccxt[1]}-PERP" if ccxt else symbol
    if "/" not in spelled:
        spelled = spelled.replace("-", "/", 1)
    if not _SYMBOL.fullmatch(spelled):
        raise ConfigError(
            "not a symbol",
            value=symbol,
            expected="BASE/QUOTE or BASE/QUOTE-PERP",
            remedy="write it as BTC/USDT or BTC/USDT-PERP",
        )
    return spelled


def currencies(symbol: str) -> tuple[str, str]:
    """Return base and quote currency of a symbol: ``BTC/USDT-PERP`` gives ``BTC``, ``USDT``."""
    base, _, rest = user_symbol(symbol).partition("/")
    return base, rest.partition("-")[0]


def venue(exchange: str, symbol: str) -> str:
    """Return the exchange, as Crypto Lake spells it, that a symbol is traded on.

    Binance's three markets are three exchanges there: ``binance`` and ``BTC/USDT`` give
    ``BINANCE``, ``BTC/USDT-PERP`` ``BINANCE_FUTURES`` and ``BTC/USD-PERP`` ``BINANCE_DELIVERY``.
    A name that says the market already, and any other exchange, stays as it is, in capitals.
    """
    exchange, symbol = exchange.upper(), user_symbol(symbol)
    if exchange != "BINANCE" or not symbol.endswith("-PERP"):
        return exchange
    return "BINANCE_DELIVERY" if currencies(symbol)[1] == "USD" else "BINANCE_FUTURES"


def to_lake(symbol: str) -> str:
    """Return a symbol as Crypto Lake, and the folders of a store, spell it."""
    return user_symbol(symbol).replace("/", "-")


def from_lake(symbol: str) -> str:
    """Return a symbol as users write it, from Crypto Lake's spelling."""
    return user_symbol(symbol)


def _unknown(
    exchange: str,
    symbol: str,
    missing: list[str],
    prices: npt.ArrayLike | None,
    sizes: npt.ArrayLike | None,
) -> ConfigError:
    names = [f"{e} {s}" for e, s in _known()]
    near = get_close_matches(f"{exchange} {symbol.upper()}", names, n=1, cutoff=0.8)
    remedy = f"give {', '.join(missing)}"
    recorded = {"tick_size": prices, "lot_size": sizes}
    grids = {name: infer_grid(values) for name, values in recorded.items() if values is not None}
    found = ", ".join(f"{name}={step:g}" for name, step in grids.items() if step is not None)
    if found:
        remedy += f" (the recorded rows fit {found})"
    if near:
        remedy += f", or did you mean {near[0]}?"
    return ConfigError(
        f"unknown instrument {exchange} {symbol}",
        expected="an instrument of config/exchanges.yaml, or one described in full",
        remedy=remedy,
    )


@cache
def _table() -> dict[str, Any]:
    text = files("mrtrade").joinpath("config_files", "exchanges.yaml").read_text(encoding="utf-8")
    table: dict[str, Any] = yaml.safe_load(text)
    return table


@cache
def _fees() -> dict[str, dict[str, float]]:
    return {exchange: _fractions(entry) for exchange, entry in _table().items()}


@cache
def _known() -> dict[tuple[str, str], dict[str, Any]]:
    known = {}
    for exchange, entry in _table().items():
        for symbol, terms in entry["instruments"].items():
            known[exchange, symbol] = {**_fees()[exchange], **terms}
    return known


def _fractions(entry: dict[str, Any]) -> dict[str, float]:
    return {
        f"{kind}_fee": entry[f"{kind}_fee_bps"] / BPS_PER_ONE
        for kind in ("maker", "taker")
        if f"{kind}_fee_bps" in entry
    }

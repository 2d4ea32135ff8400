"""What a recording in a store says to the cost model: a calibration, and the market at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND, Scalar, duration_ns, from_ns, to_ns
from mrtrade.data.tape import find_instrument, load_tape
from mrtrade.errors import ConfigError, DataError
from mrtrade.execution.calibration import HORIZONS_S, calibrate
from mrtrade.execution.market_state import market_of_bars
from mrtrade.features.bars import build_bars
from mrtrade.features.extras import need
from mrtrade.instruments import user_symbol, venue

if TYPE_CHECKING:
    from mrtrade.data.store import Store
    from mrtrade.data.tape import Tape
    from mrtrade.execution.calibrated import Calibration
    from mrtrade.instruments import Instrument

FEED_NS = 1_000_000
"""Smallest delay of the data, after a correction of the collector's clock (`mrtrade.data.tape`)."""

AFTER_NS = 10 * NS_PER_SECOND
"""Rows are read so long after a time: a collector's clock may be seconds off the exchange's."""


@dataclass(frozen=True)
class RecordedState:
    """The market as it was known at a time.

    Attributes
    ----------
    instrument : Instrument
        With the fees of ``config/exchanges.yaml``.
    time : Timestamp
        End of the bar whose state it is, UTC.
    mid : float
        Quote units.
    market : dict
        What is known of the state, as `DynamicTransactionCostModel.estimate_cost` takes it.
    """

    instrument: Instrument
    time: pd.Timestamp
    mid: float
    market: Mapping[str, float]


def calibrate_recording(
    store: Store,
    exchange: str,
    symbol: str,
    start: Scalar | None = None,
    end: Scalar | None = None,
    *,
    bar: str = "1s",
    bins: int = 5,
    resamples: int = 999,
    seed: int = 0,
) -> Calibration:
    """Measure on a recording what the cost model takes for ``auto``.

    Parameters
    ----------
    store : Store
    exchange, symbol : str
        In any spelling that `mrtrade.instruments` reads.
    start, end : time, optional
        Default: all that is stored.
    bar : str
        Length of the bars that moves and volumes are taken over; the horizons of the mark-outs (1,
        5 and 30 s) that are no multiple of it are left out.
    bins, resamples, seed : int
        As `mrtrade.execution.calibration.calibrate` takes them.

    Raises
    ------
    ConfigError, DataError, StoreError
        If a package is not installed, the bars are longer than 30 s, the store does not hold the
        span, or there is too little of it.
    """
    for module in ("statsmodels.api", "arch.bootstrap", "scipy.stats"):
        need(module)
    tape = _tape(store, exchange, symbol, start, end)
    size = duration_ns(bar)
    horizons = [h for h in HORIZONS_S if round(h * NS_PER_SECOND) % size == 0]
    if not horizons:
        raise ConfigError("too long a bar", key="bar", value=bar,
                          expected=f"one that divides {HORIZONS_S[-1]:g} s")  # fmt: skip
    bars = {
        one: build_bars(tape, size, FEED_NS, horizon_ns=round(one * NS_PER_SECOND))
        for one in horizons
    }
    return calibrate(bars, tape, bins=bins, resamples=resamples, seed=seed)


def recorded_state(
    store: Store, exchange: str, symbol: str, at: Scalar, *, bar: str = "1s"
) -> RecordedState:
    """Return the market at a time: that of the last bar which had ended, nothing later.

    Parameters
    ----------
    store : Store
    exchange, symbol : str
        In any spelling that `mrtrade.instruments` reads.
    at : time
    bar : str
        Length of the bars. Volatility and volume are those of the day before, or of what there is
        of it; of fewer than 30 bars they are not known.

    Raises
    ------
    ConfigError, DataError, StoreError
        If the instrument is not known, or the store does not hold that time.
    """
    now, size = to_ns(at), duration_ns(bar)
    tape = _tape(store, exchange, symbol, now - NS_PER_DAY, now + size + AFTER_NS)
    bars = build_bars(tape, size, FEED_NS)
    row = int(to_ns(bars.index).searchsorted(now, side="right")) - 1
    if row < 0 or now - int(to_ns(bars.index)[row]) >= size:
        raise DataError(
            "the recording does not hold this time",
            key="at",
            value=str(from_ns(now)),
            expected=f"one from {bars.index[0]} to {bars.index[-1]}",
        )
    known = bars.iloc[: row + 1]
    state = market_of_bars(known, contract=tape.instrument.contract)
    last = {name: float(values[-1]) for name, values in state.items()}
    return RecordedState(
        instrument=tape.instrument,
        time=known.index[-1],
        mid=float(known["mid"].iloc[-1]),
        market={name: value for name, value in last.items() if value == value},
    )


def _tape(
    store: Store, exchange: str, symbol: str, start: Scalar | None, end: Scalar | None
) -> Tape:
    terms = find_instrument(store, venue(exchange, symbol), user_symbol(symbol))
    return load_tape(store, terms, start, end, base_latency_ns=FEED_NS)

"""The data of a proof of concept: bars, features and labels, models, and trades of the test.

Training comes first in time, the test after it. All that is chosen, the threshold too, is chosen on
the training part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.backtest.text import spell
from mrtrade.clock import NS_PER_SECOND, duration_ns, from_ns, to_ns
from mrtrade.config import LatencyConfig
from mrtrade.errors import ConfigError
from mrtrade.strategies.base import FORECAST
from mrtrade.strategies.forecast import Forecast
from mrtrade.validation.poc_criteria import Evidence
from mrtrade.validation.poc_replay import Traded, trade

if TYPE_CHECKING:
    from mrtrade.backtest.replaying import Scene
    from mrtrade.data.store import Store
    from mrtrade.data.tape import Tape
    from mrtrade.ml.forecaster import Forecaster

Floats = npt.NDArray[np.float64]

#: The features: those of prices alone, and those of book and flow.
PRICE = ("reversal_bps_10", "zscore_60", "realized_vol_60", "vol_ratio_60")
MICRO = (
    *("imbalance_5", "microprice_dev_bps", "spread_bps"),
    *("ofi_10", "trade_imbalance_10", "hawkes_imbalance"),
)

WITH, WITHOUT = "all features", "prices only"
"""Names of the two models."""

TRAIN_SHARE = 0.6
STRONG = 0.75
MIN_ENTRIES = 100

#: Fewest bars that are trained on.
MIN_TRAIN = 1_000


@dataclass(frozen=True, slots=True)
class PocSettings:
    """What is to be judged.

    Attributes
    ----------
    exchange, symbol : str
    days : int
        At most so many days, the last that follow one another in the store.
    bar : str
        Length of bars.
    horizon : int
        Of the forecast, bars.
    start : str, optional
        Begin here instead.
    capital : float
        USD, and the size of a position. Of what pays in base units: worth so much at the start.
    mode : str
        How orders are sent: ``aggressive`` or ``passive``.
    seed : int
    maker_fee_bps, taker_fee_bps : float, optional
        Those of the account; needed where the fees of the exchange are not known.
    """

    exchange: str
    symbol: str
    days: int = 7
    bar: str = "1s"
    horizon: int = 10
    start: str | None = None
    capital: float = 10_000.0
    mode: str = "aggressive"
    seed: int = 0
    maker_fee_bps: float | None = None
    taker_fee_bps: float | None = None

    def __post_init__(self) -> None:
        for name in ("days", "horizon"):
            if getattr(self, name) < 1:
                raise ConfigError("too few", key=name, value=getattr(self, name), expected=">= 1")
        duration_ns(self.bar)

    def fees(self) -> dict[str, Any]:
        """Return the fees that are given, fractions of the notional."""
        given = {"maker_fee": self.maker_fee_bps, "taker_fee": self.taker_fee_bps}
        return {name: 1e-4 * bps for name, bps in given.items() if bps is not None}


class Stage:
    """Bars, features and labels of a span, cut into training and test."""

    def __init__(
        self,
        store: Store,
        settings: PocSettings,
        place: tuple[str, str],
        days: list[str],
        threads: int,
    ) -> None:
        from mrtrade.data.tape import find_instrument, load_tape
        from mrtrade.features import compute
        from mrtrade.features.bars import build_bars
        from mrtrade.ml.labels import forward_return

        self.store, self.settings, self.threads = store, settings, threads
        self.terms = find_instrument(store, *place, **settings.fees())
        self.span = (
            days[0] if settings.start is None else settings.start,
            day_after(days[-1]),
        )
        self.latency_ns = LatencyConfig().feed_ns
        self.bar_ns = duration_ns(settings.bar)
        tape = load_tape(store, self.terms, *self.span)
        self.fingerprint = tape.fingerprint
        self.events = len(tape.deltas.time) + len(tape.trades.time)
        self.bars = build_bars(tape, self.bar_ns, self.latency_ns)
        del tape  # the test is read again: twice a week of a large market would not fit
        names = dict.fromkeys((*PRICE, *MICRO, *_strategy(1.0, 1.0).features))
        names.pop(FORECAST)
        self.features = compute(self.bars, list(names))
        self.labels = forward_return(self.bars["mid"], settings.horizon)
        self.cut = int(TRAIN_SHARE * len(self.bars))
        self.capital = settings.capital
        if self.terms.inverse:  # which pays in base units
            self.capital /= float(self.bars["mid"].dropna().iloc[0])
        self.entry: dict[str, float] = {}

    # What it is ----------------------------------------------------------------------

    @property
    def X_test(self) -> pd.DataFrame:
        return self.features.iloc[self.cut :]

    def said(self) -> str:
        """Return what was used, in words."""
        return (
            f"{self.bars.index[0]:%Y-%m-%d %H:%M} to {self.bars.index[-1]:%Y-%m-%d %H:%M} UTC, "
            f"bars of {self.settings.bar}"
        )

    def about(self) -> dict[str, Any]:
        one = self.settings
        return {
            "exchange": self.terms.exchange,
            "symbol": self.terms.symbol,
            "days_asked": one.days,
            "recorded": spell(len(self.bars) * self.bar_ns),
            "first_bar": str(self.bars.index[0]),
            "last_bar": str(self.bars.index[-1]),
            "bar": one.bar,
            "bars": len(self.bars),
            "events": self.events,
            "horizon_bars": one.horizon,
            "train_bars": self.cut,
            "test_bars": len(self.bars) - self.cut,
            "mode": one.mode,
            "maker_fee_bps": 1e4 * self.terms.maker_fee,
            "taker_fee_bps": 1e4 * self.terms.taker_fee,
            "capital": one.capital,
            "seed": one.seed,
            "data": self.fingerprint,
        }

    def too_short(self) -> str:
        """Return why nothing can be trained, or an empty text."""
        rows = int(self._train_rows().sum())
        if rows >= MIN_TRAIN:
            return ""
        return (
            f"{spell(len(self.bars) * self.bar_ns)} are too short: {rows:,} bars to train on after "
            f"a warm-up of {self._warmup()}, {MIN_TRAIN:,} are needed"
        )

    # Models --------------------------------------------------------------------------

    def _warmup(self) -> int:
        from mrtrade.features.registry import get

        return max(get(str(name)).warmup for name in self.features)

    def _train_rows(self) -> npt.NDArray[np.bool_]:
        """Bars after the warm-up and before the test whose label is over by its first bar."""
        rows = self.labels["label_bps"].notna().to_numpy().copy()
        rows &= self.labels["end_ns"].to_numpy() <= to_ns(self.bars.index)[self.cut]
        rows[: self._warmup()] = False
        rows[self.cut :] = False
        return rows

    def train(self, names: tuple[str, ...]) -> Forecaster:
        """Train on the rows before the test."""
        from mrtrade.ml.params import ForecastParams
        from mrtrade.ml.training import train

        rows = self._train_rows()
        return train(
            self.features.loc[rows, list(names)],
            self.labels[rows],
            params=ForecastParams(selection=None),
            seed=self.settings.seed,
            threads=self.threads,
        )

    # Trades --------------------------------------------------------------------------

    def trade(self, models: Mapping[str, Forecaster]) -> dict[str, Traded]:
        """Trade the forecasts of the test by orders."""
        from mrtrade.data.tape import load_tape

        scene = self._scene(load_tape(self.store, self.terms, self._test_start(), self.span[1]))
        found, horizon_s = {}, self.settings.horizon * self.bar_ns / NS_PER_SECOND
        for name, model in models.items():
            X = self.features[list(model.features)]
            past = np.abs(model.predict(X.iloc[: self.cut]))
            self.entry[name] = self._threshold(past[np.isfinite(past)])
            strategy = _strategy(self.entry[name], horizon_s)
            found[name] = trade(scene, model.predict(X.iloc[self.cut :]), strategy)
        return found

    def _test_start(self) -> pd.Timestamp:
        """Return a time by which the first decision of the test knows the whole book."""
        return from_ns(int(to_ns(self.bars.index)[self.cut]) - self.bar_ns)

    def _threshold(self, forecasts: Floats) -> float:
        """Return the forecast from which on a position is taken, bps."""
        cost = self.round_trip_bps()
        if int(np.sum(forecasts >= cost)) >= MIN_ENTRIES:
            return cost
        # A model of no trees forecasts one number: nothing is entered.
        return max(float(np.quantile(forecasts, STRONG)), 1e-9)

    def round_trip_bps(self) -> float:
        """Return what a round trip cost in training: fees, and the spread where it is taken."""
        mid = self.bars["mid"].iloc[: self.cut]
        if self.settings.mode == "passive":
            return 2e4 * max(self.terms.maker_fee, 0.0)
        spread = float((self.bars["spread_mean"].iloc[: self.cut] / mid).mean())
        return 1e4 * (2.0 * self.terms.taker_fee + spread)

    def _scene(self, tape: Tape) -> Scene:
        from mrtrade.backtest.scenes import make_scene
        from mrtrade.config import load_config

        bars = self.bars.iloc[self.cut :]
        config = load_config(
            {
                "store": self.store.url,
                "exchange": self.terms.exchange,
                "symbol": self.terms.symbol,
                "strategy": {"name": "forecast"},
                "bar": self.settings.bar,
                "capital": self.capital,
                "execution": {"mode": self.settings.mode},
                "seed": self.settings.seed,
            }
        )
        return make_scene(config, self.store, tape, bars, (self.X_test, None))

    # Measures ------------------------------------------------------------------------

    def evidence(self, model: Forecaster, traded: Mapping[str, Traded]) -> Evidence:
        """Return what the criteria are made of."""
        ic, se = self._correlation(model)
        horizon = self.settings.horizon
        full = traded[WITH]
        return Evidence(
            ic=ic,
            ic_se=se,
            gross=_blocks(full.gross, horizon),
            cost=_blocks(full.cost, horizon),
            funding=_blocks(full.funding, horizon),
            plain=_blocks(traded[WITHOUT].gross, horizon),
            entries=full.entries,
            block_ns=horizon * self.bar_ns,
            span_ns=(len(self.bars) - self.cut) * self.bar_ns,
        )

    def _correlation(self, model: Forecaster) -> tuple[float, float]:
        """Return the correlation of forecast and return in the test, and its standard error.

        Returns overlap: the error is that of `mrtrade.features.correlations`.
        """
        from mrtrade.features import analyze_feature_correlations

        forecast = model.predict(self.X_test[list(model.features)])
        frame = pd.DataFrame({FORECAST: forecast}, index=self.X_test.index)
        returns = self.labels["label_bps"].iloc[self.cut :].rename(self.settings.horizon)
        if not np.ptp(forecast[np.isfinite(forecast)]) > 0.0:
            return math.nan, math.nan
        found = analyze_feature_correlations(frame, returns.to_frame()).table.iloc[0]
        ic, t = float(found["ic"]), float(found["ic_t"])
        return ic, abs(ic / t) if t else math.nan


def _strategy(entry_bps: float, horizon_s: float) -> Forecast:
    """Return the rule: full size, no stop, held for the horizon."""
    return Forecast(
        {"entry_bps": entry_bps, "horizon_s": horizon_s, "stop_forecasts": 1e6, "target_vol": 1e6}
    )


def _blocks(values: Floats, length: int) -> Floats:
    """Return sums of so many consecutive values; the last one takes what is left over."""
    starts = length * np.arange(max(len(values) // length, 1))
    return np.asarray(np.add.reduceat(values, starts), dtype=np.float64)


def day_after(day: str) -> str:
    """Return the day after a day, as YYYY-MM-DD."""
    return str(np.datetime64(day, "D") + np.timedelta64(1, "D"))

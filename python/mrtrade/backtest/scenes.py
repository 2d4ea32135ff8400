"""From a configuration to what its replays share: tape, bars, features, funding, a forecast."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mrtrade.backtest import manifest as manifests
from mrtrade.backtest.replaying import Scene
from mrtrade.backtest.targets import max_lots
from mrtrade.clock import to_ns
from mrtrade.config import BacktestConfig
from mrtrade.errors import ConfigError
from mrtrade.instruments import Instrument

if TYPE_CHECKING:
    from mrtrade.data.store import Store
    from mrtrade.data.tape import Tape
    from mrtrade.ml.forecaster import Forecaster
    from mrtrade.strategies.base import Strategy


def load_scene(config: BacktestConfig, store: Store, strategy: Strategy) -> Scene:
    """Read what is replayed, and compute what the strategy decides on."""
    terms = find_terms(config, store)
    tape = load_leg(config, store, terms)
    bars = leg_bars(config, store, tape)
    return make_scene(config, store, tape, bars, decided_on(config, bars, strategy))


def find_terms(config: BacktestConfig, store: Store) -> Instrument:
    """Return what is traded, with the terms that the configuration replaces."""
    from mrtrade.data.tape import find_instrument

    terms = find_instrument(store, config.exchange, config.symbol, **config.instrument_overrides())
    if terms.inverse and "capital" not in config.model_fields_set:
        raise ConfigError(
            f"not given, and its default is meant for dollars: {terms.symbol} pays in "
            f"{terms.currency}",
            key="capital",
            expected=f"the starting equity in {terms.currency}",
            remedy="give it",
        )
    return terms


def load_leg(config: BacktestConfig, store: Store, terms: Instrument) -> Tape:
    """Load the tape of one market, on the clock that its latency asks for."""
    from mrtrade.data.tape import load_tape

    recorded = config.latency.feed == "recorded"
    # A decision knows nothing at the instant at which it happens.
    base_ns = max(config.latency.feed_ns, 1) if recorded else None
    return load_tape(store, terms, config.start, config.end, base_latency_ns=base_ns)


def leg_bars(config: BacktestConfig, store: Store, tape: Tape) -> pd.DataFrame:
    """Make the bars that are decided on, with what the store knows of a perpetual."""
    from mrtrade.features.bars import build_bars
    from mrtrade.features.market import join_perpetual

    bars = build_bars(tape, config.bar_ns, config.latency.feed_ns)
    return join_perpetual(bars, store, tape, config.latency.feed_ns)


def make_scene(
    config: BacktestConfig,
    store: Store,
    tape: Tape,
    bars: pd.DataFrame,
    decided: tuple[pd.DataFrame, str | None],
) -> Scene:
    """Put together what replays of one market share.

    Parameters
    ----------
    config, store, tape, bars
        Of that market; of the bars ``mid`` is read, and with a strategy that is asked decision by
        decision ``bid`` and ``ask``.
    decided
        As `decided_on` returns it.
    """
    return scene_of(config, tape, bars, settlements(store, tape, bars), decided)


def settlements(store: Store, tape: Tape, bars: pd.DataFrame) -> pd.DataFrame:
    """Return the funding that was settled during a tape, the last mid standing in for a mark."""
    from mrtrade.data.funding import funding_rates

    end_ns = int(to_ns(bars.index)[-1])
    return _marked(funding_rates(store, tape.instrument, tape.start_ns, end_ns), bars["mid"])


def scene_of(
    config: BacktestConfig,
    tape: Tape,
    bars: pd.DataFrame,
    rates: pd.DataFrame,
    decided: tuple[pd.DataFrame, str | None],
) -> Scene:
    """Put together what was read and computed already, as for many configurations."""
    features, model_sha256 = decided
    return Scene(
        config=config,
        terms=tape.instrument,
        tape=tape,
        bars=bars,
        features=features,
        rates=rates if config.transaction_costs.funding else rates.iloc[:0],
        max_lots=max_lots(config, tape.instrument, bars["mid"].to_numpy(np.float64)),
        model_sha256=model_sha256,
    )


def decided_on(
    config: BacktestConfig, bars: pd.DataFrame, strategy: Strategy
) -> tuple[pd.DataFrame, str | None]:
    """Compute what a strategy decides on, and the SHA-256 of the model among it, if there is one.

    A model's forecast is missing (NaN) on the bars on which one of its features is still warming
    up: a model gives a number there too, of a kind that it was not trained on.
    """
    from mrtrade.strategies.base import FORECAST

    model, kind = config.strategy.model, type(strategy).__name__
    registered = [name for name in strategy.features if name != FORECAST]
    if (model is None) is (FORECAST in strategy.features):
        raise ConfigError(
            f"{kind} reads a model's forecast, but there is no model"
            if model is None
            else f"a model is given, but {kind} reads no forecast",
            key="strategy.model",
            expected="the folder of a model" if model is None else None,
            remedy="train one, and name its folder"
            if model is None
            else "leave it out, or ask for a forecast, as by min_forecast_bps",
        )
    if model is None:
        return features_of(bars, registered, kind), None
    forecaster, digest = _load_model(model)
    names = list(dict.fromkeys([*registered, *forecaster.features]))
    features = features_of(bars, names, f"{kind}, or the model,")
    forecast = _forecast(forecaster, features)
    return features.assign(**{FORECAST: forecast})[list(strategy.features)], digest


def _load_model(folder: Path) -> tuple[Forecaster, str]:
    """Return a model, verified, and the SHA-256 of its manifest, which has those of its files."""
    from mrtrade.ml import models  # heavy

    return models.load_model(folder), manifests.sha256(folder / models.MANIFEST)


def _forecast(forecaster: Forecaster, features: pd.DataFrame) -> np.ndarray:
    """Return the forecast at each row, bps; NaN during the warm-up of the model's features."""
    from mrtrade.features import get

    names = list(forecaster.features)
    warmup = max((get(name).warmup for name in names), default=0)
    forecast = np.array(forecaster.predict(features[names]), dtype=np.float64)
    forecast[:warmup] = np.nan
    return forecast


def features_of(bars: pd.DataFrame, names: Sequence[str], who: str) -> pd.DataFrame:
    """Compute features; one that has no value on these bars is an error that says who reads it."""
    from mrtrade.features import compute

    features = compute(bars, names)
    for name, why in features.attrs["reasons"].items():
        raise ConfigError(f"{who} reads {name!r}, which has no value: {why}")
    return features


def _marked(rates: pd.DataFrame, mid: pd.Series[Any]) -> pd.DataFrame:
    """Put the last mid that was known where no mark price was recorded."""
    row = np.searchsorted(to_ns(mid.index), to_ns(rates["time"]), side="right") - 1
    known = mid.ffill().to_numpy(np.float64)[np.maximum(row, 0)]
    return rates.assign(mark=rates["mark"].where(rates["mark"].notna(), known))

"""The replays of a run: set up from its configuration, driven by targets or by a strategy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.backtest.ledger import position_value
from mrtrade.backtest.targets import Decisions, bad_target, held_back, hold_ns, stop_ticks
from mrtrade.clock import to_ns
from mrtrade.config import BacktestConfig, Preset
from mrtrade.instruments import Instrument

if TYPE_CHECKING:
    from mrcore.replay import Replay
    from mrtrade.data.loader import Tape
    from mrtrade.strategies.base import Strategy

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scene:
    """What all replays of a run share.

    Attributes
    ----------
    config, terms, tape
        The configuration, what is traded, and what was recorded of it.
    bars, features
        At the decision times.
    rates
        Funding as `mrtrade.data.funding.funding_rates` returns it.
    max_lots
        Lots of a target of 1.
    """

    config: BacktestConfig
    terms: Instrument
    tape: Tape
    bars: pd.DataFrame
    features: pd.DataFrame
    rates: pd.DataFrame
    max_lots: int

    @property
    def times(self) -> Ints:
        """Decision times, local clock, ns."""
        return to_ns(self.bars.index)


def is_streaming_only(strategy: Strategy) -> bool:
    """Whether a strategy can be asked decision by decision only."""
    from mrtrade.strategies.base import Strategy

    kind = type(strategy)
    return kind.targets is Strategy.targets and kind.rules is Strategy.rules


def make_replay(scene: Scene, preset: Preset, sample_times: Ints | None = None) -> Replay:
    """Set up a replay, its resting orders filled as a preset says; without times, unsampled."""
    from mrcore.replay import Replay

    config, terms, tape = scene.config, scene.terms, scene.tape
    replay = Replay(
        terms.tick_size,
        terms.lot_size,
        sample_times=sample_times,
        queue_model=config.queue.model_of(preset),
        queue_power=config.queue.power,
        partial_fills=config.partial_fills,
        entry_latency_ns=config.latency.entry_ns,
        response_latency_ns=config.latency.response_ns,
        feed_latency_ns=config.latency.feed_ns,
        maker_fee=terms.maker_fee,
        taker_fee=terms.taker_fee,
        multiplier=terms.multiplier,
    )
    replay.feed(tape.deltas, tape.trades)
    return replay


def by_plan(
    replay: Replay, plan: Decisions, scene: Scene, slices: int
) -> Iterator[tuple[float, int]]:
    """Replay targets known beforehand; yields (fraction done, events of the slice)."""
    n, execution, times = len(plan.time), scene.config.execution, scene.times
    replay.schedule(
        plan.time,
        plan.lots,
        np.full(n, execution.mode == "aggressive"),
        plan.stop_ticks,
        plan.hold_ns,
        np.full(n, execution.timeout_ns, dtype=np.int64),
        np.full(n, execution.on_timeout == "give_up"),
    )
    slices = min(slices, len(times))
    for i in range(1, slices + 1):
        yield i / slices, replay.advance(int(times[len(times) * i // slices - 1]))


def by_strategy(
    replay: Replay, strategy: Strategy, scene: Scene, slices: int
) -> Iterator[tuple[float, int]]:
    """Replay bar by bar and ask the strategy at the end of each one; yields as `by_plan`."""
    from mrtrade.strategies.base import Context, Target

    config, terms, features = scene.config, scene.terms, scene.features
    times = scene.times
    names = list(features.columns)
    rows = features.to_numpy(np.float64)
    bid, ask = (scene.bars[name].to_numpy(np.float64) for name in ("bid", "ask"))
    last_mid = scene.bars["mid"].ffill().to_numpy(np.float64)
    known = _KnownCash(replay, config.latency.response_ns)
    asked = Target(0.0)
    lots = events = 0
    every = max(1, len(times) // slices)
    for i, now in enumerate(times):
        events += replay.advance(int(now))
        mid = 0.5 * (bid[i] + ask[i])
        held = replay.position_lots * terms.lot_size
        cash = config.capital + known.cash(int(now))
        target = strategy.on_decision(
            Context(
                time_ns=int(now),
                features=dict(zip(names, rows[i].tolist(), strict=True)),
                bid=float(bid[i]),
                ask=float(ask[i]),
                position=held,
                equity=cash + float(position_value(held, mid, terms.contract)),
            )
        )
        if target is not None:
            if abs(target.target) > 1.0 or target.stop_bps < 0.0 or target.hold_s < 0.0:
                raise bad_target(features.index[i], target)
            asked = asked if math.isnan(target.target) else target
        stop_bps, price = np.array([asked.stop_bps]), last_mid[i : i + 1]
        # Rounded half to even, as np.rint does.
        wanted = 0 if held_back(stop_bps, price)[0] else round(asked.target * scene.max_lots)
        if wanted != lots:
            lots = wanted
            replay.set_target(
                lots,
                aggressive=config.execution.mode == "aggressive",
                stop_ticks=int(stop_ticks(stop_bps, price, terms.tick_size)[0]),
                hold_ns=int(hold_ns(np.array([asked.hold_s]))[0]),
                timeout_ns=config.execution.timeout_ns,
                give_up=config.execution.on_timeout == "give_up",
            )
        if (i + 1) % every == 0:
            yield (i + 1) / len(times), events
            events = 0
    yield 1.0, events


class _KnownCash:
    """Cash of the fills whose responses have arrived: the replay's own is the exchange's."""

    def __init__(self, replay: Replay, response_ns: int) -> None:
        self.replay, self.response_ns = replay, response_ns
        self.exchange = self.known = 0.0
        self.on_the_way = False

    def cash(self, now: int) -> float:
        if self.replay.cash != self.exchange or self.on_the_way:
            fills = self.replay.fills()
            arrived = int(np.searchsorted(fills["time"] + self.response_ns, now, side="right"))
            self.known = float(fills["cash"][arrived - 1]) if arrived else 0.0
            self.on_the_way = arrived < len(fills)
            self.exchange = self.replay.cash
        return self.known

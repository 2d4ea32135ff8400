"""The replays of a run: set up from its configuration, driven by targets or by a strategy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.backtest.latencies import order_latency
from mrtrade.backtest.ledger import position_value
from mrtrade.backtest.targets import Decisions, bad_target, held_back, hold_ns, stop_ticks
from mrtrade.clock import to_ns
from mrtrade.config import BacktestConfig, Preset
from mrtrade.instruments import BPS_PER_ONE, Instrument

if TYPE_CHECKING:
    from mrcore.replay import Replay
    from mrtrade.data.tape import Tape
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
    model_sha256
        Of the model whose forecast is among the features; None: there is none.
    """

    config: BacktestConfig
    terms: Instrument
    tape: Tape
    bars: pd.DataFrame
    features: pd.DataFrame
    rates: pd.DataFrame
    max_lots: int
    model_sha256: str | None = None

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
    """Set up a replay with an account, its resting orders filled as a preset says.

    Without times it takes no samples.
    """
    from mrcore.account import Account
    from mrcore.replay import Replay

    config, terms, tape = scene.config, scene.terms, scene.tape
    costs, margin, queue = config.transaction_costs, config.account, config.queue
    account = Account(
        config.capital,
        fee_tiers=costs.tier_fractions(),
        volume_30d=costs.volume_30d,
        initial_margin=margin.initial_margin,
        maintenance_margin=margin.maintenance_margin,
        liquidation_fee=margin.liquidation_fee_bps / BPS_PER_ONE,
    )
    model = queue.model_of(preset)
    replay = Replay(
        terms.tick_size,
        terms.lot_size,
        sample_times=sample_times,
        queue_model=model,
        queue_power=queue.power,
        queue_table=np.array(queue.table) if model == "table" else None,
        partial_fills=config.partial_fills,
        latency=order_latency(config, tape),
        feed_latency_ns=0 if config.latency.feed == "recorded" else config.latency.feed_ns,
        maker_fee=terms.maker_fee,
        taker_fee=terms.taker_fee,
        multiplier=terms.multiplier,
        inverse=terms.inverse,
        account=account,
    )
    replay.feed(tape.deltas, tape.trades)
    if len(scene.rates):
        columns = (scene.rates[name].to_numpy(np.float64) for name in ("rate", "mark"))
        replay.fund(to_ns(scene.rates["time"]), *columns)
    return replay


def by_plan(
    replay: Replay, plan: Decisions, strategy: Strategy, scene: Scene, slices: int
) -> Iterator[tuple[float, int]]:
    """Replay targets known beforehand; yields (fraction done, events of the slice)."""
    n, execution, times = len(plan.time), scene.config.execution, scene.times
    entry, leave = strategy.crosses(execution.mode)
    replay.schedule(
        plan.time,
        plan.lots,
        np.where(plan.lots == 0, leave, entry),
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
    entry, leave = strategy.crosses(config.execution.mode)
    names = list(features.columns)
    rows = features.to_numpy(np.float64)
    bid, ask = (scene.bars[name].to_numpy(np.float64) for name in ("bid", "ask"))
    last_mid = scene.bars["mid"].ffill().to_numpy(np.float64)
    known = _KnownCash(replay, terms)
    asked = Target(0.0)
    lots = events = 0
    every = max(1, len(times) // slices)
    for i, now in enumerate(times):
        events += replay.advance(int(now))
        mid = 0.5 * (bid[i] + ask[i])
        held = replay.position_lots * terms.lot_size
        cash = config.capital + known.cash()
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
                aggressive=entry if lots else leave,
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

    def __init__(self, replay: Replay, terms: Instrument) -> None:
        self.replay, self.terms = replay, terms
        self.fills = 0
        self.traded = 0.0

    def cash(self) -> float:
        known = self.replay.known_fills
        if known > self.fills:
            new = self.replay.fills()[self.fills : known]
            quantity = new["side"] * new["lots"] * self.terms.lot_size
            worth = quantity * self.terms.contract.value(new["tick"] * self.terms.tick_size)
            self.traded -= float(np.sum(worth + new["fee"]))
            self.fills = known
        return self.traded - self.replay.funding

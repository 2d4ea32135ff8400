"""A perpetual and its spot, traded against each other on the recordings of both.

Both legs follow the same decisions, each in a replay of its own: they share no book, so neither
knows whether the other was filled. What was filled in one and not in the other is the pair's
unhedged exposure, see `mrtrade.backtest.pair_result.PairResult`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.backtest import scenes
from mrtrade.backtest.engine import Progress, lying_at, play, time_taken
from mrtrade.backtest.pair_result import PairResult, combine
from mrtrade.backtest.replaying import Scene, is_streaming_only
from mrtrade.backtest.targets import Decisions, decisions, hold_ns, refuse_bad
from mrtrade.clock import from_ns, to_ns
from mrtrade.config import BacktestConfig, HedgeConfig, load_config
from mrtrade.errors import ConfigError
from mrtrade.instruments import Instrument, currencies

if TYPE_CHECKING:
    from mrtrade.data.store import Store
    from mrtrade.data.tape import Tape
    from mrtrade.strategies.base import Strategy

Floats = npt.NDArray[np.float64]


def run_pair(
    config: BacktestConfig | str | PathLike[str] | Mapping[str, Any],
    progress: Callable[[Progress], None] | None = None,
    *,
    streaming: bool = False,
    strategy_file: str | None = None,
) -> PairResult:
    """Run one backtest of a strategy with two legs.

    Parameters
    ----------
    config
        As `mrtrade.backtest.run` takes it, with a ``hedge``: the second leg.
    progress, streaming, strategy_file
        As there. The first half of the fraction is the first leg.

    Returns
    -------
    PairResult

    Raises
    ------
    ConfigError
        If there is no ``hedge``, the strategy has not two legs, or the legs do not belong together:
        another base, another currency of profit, or an inverse contract.

    Notes
    -----
    Decisions are made at the end of each bar of the first leg, on what had been received of both by
    then. `index` of the bars, and with it the basis, is the mid of the second leg. A target t holds
    t of the first leg and -t of the second, in the same base units, rounded to lots of each.

    Stops and holding limits act on the pair, at the ends of bars: see `held_together`. The legs'
    own executors know no stop.

    Each leg has the whole capital; what they earn together is added to it once. Borrowing a spot
    that is sold short costs nothing here.
    """
    from mrtrade.data.stores import open_store
    from mrtrade.strategies import make_strategy

    wall, cpu = time.perf_counter(), time.process_time()
    asked = config if isinstance(config, BacktestConfig) else load_config(config)

    def new_strategy() -> Strategy:
        name = lying_at(asked.strategy.name, strategy_file)
        return make_strategy(name, asked.strategy.params)

    strategy = new_strategy()
    hedge = _hedge(asked, strategy)
    with closing(open_store(asked.store)) as store:
        settled = asked.model_copy(update={"store": store.url})
        first, second = _scenes(settled, hedge, store, strategy)
    stated = stepped(strategy, first) if streaming else strategy.targets(first.features)
    targets = held_together(stated, first.bars["mid"], second.bars["mid"])
    plans = _plans(targets, first, second)
    parts = (_half(progress, 0.0), _half(progress, 0.5))
    results = [
        play(scene, strategy, plan, part, new_strategy=new_strategy)
        for scene, plan, part in zip((first, second), plans, parts, strict=True)
    ]
    legs = dict(zip(strategy.legs, results, strict=True))
    result = combine(legs, targets, settled.capital)
    events = sum(leg.timing["events"] for leg in results)
    result.timing.update(time_taken(wall, cpu, events))
    return result


def held_together(
    targets: pd.DataFrame, first: pd.Series[Any], second: pd.Series[Any]
) -> pd.DataFrame:
    """Close targets of a pair at their stops and holding limits, as the pair's prices have them.

    With target t entered at mids of f0 and s0, the pair has earned
    ``sign(t) 1e4 ((f - f0) - (s - s0)) / f0`` bps: a change of the basis, whatever the market did.
    Where that is ``-stop_bps`` or less, or ``hold_s`` is over, at the end of a bar, the pair is
    closed, and stays closed until the target leaves its direction. Another size of the same side
    goes on with the entry that it had (averaged, where it grows) and its time. An entry waits for
    both mids. So do `mrcore.executor` and `mrtrade.backtest.bar_run`.

    Parameters
    ----------
    targets : DataFrame
        ``target`` in -1..1 (NaN: as before), ``stop_bps``, ``hold_s`` (NaN: none), at decisions.
    first, second : Series
        Mids of the legs at the same times, quote units; NaN: the last one counts.

    Returns
    -------
    DataFrame
        ``target`` as it is to be held, and ``closed_by``: "", "stop" or "limit" at the row at which
        it was closed so; on the same index.
    """
    refuse_bad(targets)
    asked = targets["target"].ffill().fillna(0.0).to_numpy(np.float64)
    mids = [leg.ffill().to_numpy(np.float64).tolist() for leg in (first, second)]
    times = to_ns(targets.index).tolist()
    stops, limits = targets["stop_bps"].tolist(), hold_ns(targets["hold_s"].to_numpy()).tolist()
    held, closed_by = np.zeros(len(asked)), np.full(len(asked), "", dtype=object)
    share = barred = before = f0 = s0 = 0.0
    stop_bps, hold, since = math.nan, 0, 0
    for i, (target, now, f, s) in enumerate(zip(asked.tolist(), times, *mids, strict=True)):
        if target != before:
            before, stop_bps, hold = target, stops[i], limits[i]
            barred = barred if barred * target > 0.0 else 0.0
        if share * target > 0.0:
            earned = math.copysign(1e4, share) * ((f - f0) - (s - s0)) / f0
            stopped = earned <= -stop_bps  # NaN: never
            if stopped or 0 < hold <= now - since:
                closed_by[i] = "stop" if stopped else "limit"
                share, barred = 0.0, target
        wanted = 0.0 if barred or math.isnan(f) or math.isnan(s) else target
        if share * wanted <= 0.0:
            f0, s0, since = f, s, now
        elif abs(wanted) > abs(share):
            f0 += (f - f0) * (1.0 - share / wanted)
            s0 += (s - s0) * (1.0 - share / wanted)
        held[i] = share = wanted
    return pd.DataFrame({"target": held, "closed_by": closed_by}, index=targets.index)


def stepped(strategy: Strategy, scene: Scene) -> pd.DataFrame:
    """Return the targets of a strategy that is asked decision by decision, as live does."""
    from mrtrade.strategies.base import Context, Target

    names, rows = list(scene.features.columns), scene.features.to_numpy(np.float64)
    bid, ask = (scene.bars[name].to_numpy(np.float64) for name in ("bid", "ask"))
    asked = Target(0.0)
    stated = []
    for i, now in enumerate(scene.times):
        row = dict(zip(names, rows[i].tolist(), strict=True))
        # Position and equity are the pair's, which no leg knows: they are left unknown.
        context = Context(int(now), row, float(bid[i]), float(ask[i]), math.nan)
        decided = strategy.on_decision(context)
        asked = asked if decided is None else decided
        stated.append((asked.target, asked.stop_bps, asked.hold_s))
    columns = ["target", "stop_bps", "hold_s"]
    return pd.DataFrame(stated, columns=columns, index=scene.features.index, dtype=np.float64)


def _hedge(config: BacktestConfig, strategy: Strategy) -> HedgeConfig:
    """Return the second leg, if there is one for a strategy that has one."""
    kind = type(strategy).__name__
    if len(strategy.legs) != 2:
        raise ConfigError(
            f"{kind} has one leg, {strategy.legs[0]}",
            key="hedge",
            remedy="leave `hedge` out, or choose a strategy with two legs",
        )
    if config.hedge is None:
        raise ConfigError(
            f"not given, but {kind} trades {' against '.join(strategy.legs)}",
            key="hedge",
            expected="the market of its second leg, as in {exchange: BINANCE, symbol: BTC/USDT}",
            remedy="give it, or let the strategy trade one leg, as by two_legs: false",
        )
    if is_streaming_only(strategy):
        raise ConfigError(
            f"{kind} decides by `on_decision` alone",
            expected="`rules` or `targets`, as of any strategy with two legs",
            remedy="state its rules: position and equity of a pair are known to no leg",
        )
    return config.hedge


def _scenes(
    config: BacktestConfig, hedge: HedgeConfig, store: Store, strategy: Strategy
) -> tuple[Scene, Scene]:
    """Read both legs, and compute what is decided on."""
    from mrtrade.features.joins import with_perpetual, with_second_asset
    from mrtrade.features.market import tick_mids

    other_config = config.leg(hedge)
    terms = scenes.find_terms(config, store)
    other_terms = scenes.find_terms(other_config, store)
    _refuse_strangers(terms, other_terms)
    tape = scenes.load_leg(config, store, terms)
    other = scenes.load_leg(other_config, store, other_terms)
    feed_ns = config.latency.feed_ns
    mids = tick_mids(other, feed_ns, clock_of=tape)
    own = tick_mids(tape, feed_ns) if _reads_lead(strategy) else None
    bars = scenes.leg_bars(config, store, tape)
    bars = with_second_asset(with_perpetual(bars, spot=mids), mids, own=own)
    # On the clock of its own tape the second leg knows and acts a little earlier or later.
    times = to_ns(bars.index) + (_shift(other) - _shift(tape))
    other_bars = pd.DataFrame(
        {"mid": bars["other_mid"].to_numpy(np.float64)}, index=from_ns(times).rename("time")
    )
    decided = scenes.decided_on(config, bars, strategy)
    nothing = decided[0].iloc[:, :0], decided[1]
    return (
        scenes.make_scene(config, store, tape, bars, decided),
        scenes.make_scene(other_config, store, other, other_bars, nothing),
    )


def _refuse_strangers(terms: Instrument, other: Instrument) -> None:
    """Raise unless the legs can be held against each other, unit for unit."""
    for one in (terms, other):
        if one.inverse:
            raise ConfigError(
                f"{one.exchange} {one.symbol} is an inverse contract",
                key="hedge",
                expected="two linear legs, whose units are of the same base",
                remedy="choose the perpetual that pays in the quote currency",
            )
    if currencies(terms.symbol) != currencies(other.symbol):
        raise ConfigError(
            f"{other.exchange} {other.symbol} is no hedge of {terms.exchange} {terms.symbol}",
            key="hedge",
            expected=f"a market of {'/'.join(currencies(terms.symbol))}",
            remedy="choose the spot of the same base and quote",
        )


def _reads_lead(strategy: Strategy) -> bool:
    """Whether any of its features is of the lead between the legs."""
    from mrtrade.features.compute import plan
    from mrtrade.strategies.base import FORECAST

    columns = plan(name for name in strategy.features if name != FORECAST)[1]
    return any(name.startswith("hy_") for name in columns)


def _shift(tape: Tape) -> int:
    return tape.stats.get("local_shift_ns", 0)


def _plans(targets: pd.DataFrame, first: Scene, second: Scene) -> tuple[Decisions, Decisions]:
    """Turn targets of the pair into lots of each leg; the second hedges the lots of the first."""
    none = targets.assign(stop_bps=np.nan, hold_s=np.nan)
    plan = decisions(none, first.bars["mid"], first.max_lots, first.terms.tick_size)
    lots = np.rint(-plan.lots * base_of(first.terms) / base_of(second.terms)).astype(np.int64)
    if np.any((lots == 0) & (plan.lots != 0)):
        raise ConfigError(
            f"a lot of {second.terms.exchange} {second.terms.symbol} is more than the position",
            key="max_position",
            value=first.max_lots * base_of(first.terms),
            expected=f"at least {base_of(second.terms):g}",
            remedy="raise it, or the capital",
        )
    row = np.searchsorted(first.times, plan.time)
    zeros = np.zeros(len(row), dtype=np.int64)
    return plan, Decisions(second.times[row], lots, zeros, zeros)


def base_of(terms: Instrument) -> float:
    """Return the base units of one lot of a linear instrument."""
    return terms.lot_size * terms.multiplier


def _half(
    progress: Callable[[Progress], None] | None, done: float
) -> Callable[[Progress], None] | None:
    """Tell of one of two replays as half of the run."""
    if progress is None:
        return None
    return lambda at: progress(at._replace(fraction=done + 0.5 * at.fraction))

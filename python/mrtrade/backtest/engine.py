"""One run: tape, bars, features, targets, replay with orders, result."""

from __future__ import annotations

import hashlib
import inspect
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from mrtrade.backtest import manifest as manifests
from mrtrade.backtest import presets
from mrtrade.backtest.frames import equity_frame, fills_frame, orders_frame
from mrtrade.backtest.ledger import check_books, funding_paid, position_value, round_trips
from mrtrade.backtest.metrics import summarise
from mrtrade.backtest.replaying import (
    Scene,
    by_plan,
    by_strategy,
    is_streaming_only,
    make_replay,
)
from mrtrade.backtest.result import Result
from mrtrade.backtest.scenes import load_scene
from mrtrade.backtest.targets import Decisions, decisions
from mrtrade.backtest.waterfall import Waterfall, waterfall
from mrtrade.clock import from_ns, to_ns
from mrtrade.config import COST_MODEL, PRESETS, BacktestConfig, Preset, load_config
from mrtrade.errors import ConfigError

if TYPE_CHECKING:
    from mrcore.replay import Replay
    from mrtrade.strategies.base import Strategy

SLICES = 100
"""Progress is told about this often; the slicing changes no result."""


class Progress(NamedTuple):
    """How far a run is.

    Attributes
    ----------
    fraction
        Of the span replayed, 0..1.
    events, events_per_s
        Book changes and trades replayed, and their rate on the wall clock.
    equity, position
        Settlement currency at the local mid; size units.
    elapsed_s
        Wall seconds since the replay began.
    """

    fraction: float
    events: int
    events_per_s: float
    equity: float
    position: float
    elapsed_s: float


def run(
    config: BacktestConfig | str | PathLike[str] | Mapping[str, Any],
    progress: Callable[[Progress], None] | None = None,
    *,
    streaming: bool = False,
    strategy_file: str | None = None,
) -> Result:
    """Run one backtest.

    Parameters
    ----------
    config
        A configuration, or what `load_config` takes.
    progress
        Called about a hundred times while the tape is replayed.
    streaming
        Ask the strategy decision by decision, as live does, instead of once for all bars; a
        strategy that has only `on_decision` is always asked so. Both give the same result.
    strategy_file
        Where the strategy's file lies, if the configuration names a file; by default where it says,
        seen from the working directory.

    Notes
    -----
    Decisions are made at the end of each bar, on what had been received by then. A target is sent
    to the executor when it changes, and not repeated: a position that its stop or its holding time
    has closed stays closed until the strategy's target changes again. The run ends with the last
    whole bar; a position still open is marked at the mid, and no cost of closing it is charged.

    With ``queue.compare`` the tape is replayed again under each other preset of
    `mrtrade.backtest.presets`: targets that are known beforehand are the same there; a strategy
    that is asked decision by decision starts afresh, and sees another account.
    """
    from mrtrade.data.stores import open_store
    from mrtrade.strategies import make_strategy

    wall, cpu = time.perf_counter(), time.process_time()
    asked = config if isinstance(config, BacktestConfig) else load_config(config)

    def new_strategy() -> Strategy:
        name = lying_at(asked.strategy.name, strategy_file)
        return make_strategy(name, asked.strategy.params)

    strategy = new_strategy()
    if asked.hedge is not None or len(strategy.legs) > 1:
        raise ConfigError(
            f"{type(strategy).__name__} trades {' and '.join(strategy.legs)}"
            + ("" if asked.hedge is None else ", and a second leg is configured"),
            key="hedge",
            remedy="run it by mrtrade.backtest.run_pair, as `mrtrade backtest` does, with `hedge`"
            if len(strategy.legs) > 1
            else "leave `hedge` out",
        )
    with closing(open_store(asked.store)) as store:
        # So that a rerun finds the store from any folder.
        settled = asked.model_copy(update={"store": store.url})
        scene = load_scene(settled, store, strategy)
    plan = None
    if not (streaming or is_streaming_only(strategy)):
        targets = strategy.targets(scene.features)
        plan = decisions(targets, scene.bars["mid"], scene.max_lots, scene.terms.tick_size)
    result = play(scene, strategy, plan, progress, new_strategy=new_strategy)
    result.timing.update(time_taken(wall, cpu, result.timing["events"]))
    return result


def play(
    scene: Scene,
    strategy: Strategy,
    plan: Decisions | None,
    progress: Callable[[Progress], None] | None = None,
    *,
    new_strategy: Callable[[], Strategy],
) -> Result:
    """Replay one market, and measure; of the timing only the events are counted.

    Parameters
    ----------
    scene
        What is replayed.
    strategy
        Asked decision by decision where there is no plan.
    plan
        Its targets, known beforehand.
    progress
        As in `run`.
    new_strategy
        Gives another of the kind, which remembers nothing, for each other preset.
    """
    config = scene.config

    def steps(replay: Replay, asked: Strategy, slices: int) -> Iterator[tuple[float, int]]:
        if plan is None:
            return by_strategy(replay, asked, scene, slices)
        return by_plan(replay, plan, asked, scene, slices)

    replay = make_replay(scene, config.queue.chosen, scene.times)
    clock, events = time.perf_counter(), 0
    for fraction, more in steps(replay, strategy, SLICES if progress else 1):
        events += more
        if progress is not None:
            progress(_progress(replay, fraction, events, time.perf_counter() - clock, scene))

    def answer(preset: Preset) -> dict[str, Any]:
        other = make_replay(scene, preset)
        for _ in steps(other, new_strategy(), 1):
            pass
        return _measure(preset, other, scene)

    rows = {config.queue.chosen: _measure(config.queue.chosen, replay, scene)}
    if config.queue.compare:
        others = [preset for preset in PRESETS if preset != config.queue.chosen]
        # A strategy is Python, and may keep what it likes to itself: one at a time.
        with ThreadPoolExecutor(1 if plan is None else os.cpu_count()) as pool:
            rows.update(zip(others, pool.map(answer, others), strict=True))

    result = _result(scene, strategy, replay, [rows[name] for name in PRESETS if name in rows])
    if config.transaction_costs.model == "dynamic":
        from mrtrade.backtest.cost_comparison import tell_by_model

        tell_by_model(result, scene.bars)
    if replay.account.halt_time_ns is not None:
        halted = from_ns(replay.account.halt_time_ns)
        result.notes["Account"] = f"liquidated and halted at {halted:%Y-%m-%d %H:%M:%S} UTC"
    result.timing["events"] = events
    return result


def time_taken(wall: float, cpu: float, events: int) -> dict[str, Any]:
    """Return ``Result.timing``, given the two clocks at the beginning."""
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_s": wall,
        "cpu_s": cpu,
        "events": events,
        "events_per_s": events / wall,
    }


def lying_at(name: str, file: str | None) -> str:
    """Name of a strategy, with its file replaced if it is one."""
    place, colon, kind = name.partition(":")
    return f"{file}{colon}{kind}" if file and place.endswith(".py") else name


def _progress(
    replay: Replay, fraction: float, events: int, elapsed: float, scene: Scene
) -> Progress:
    position = replay.exchange_position_lots * scene.terms.lot_size
    value = position_value(position, replay.mid, scene.terms.contract)
    return Progress(
        fraction=fraction,
        events=events,
        events_per_s=events / elapsed if elapsed > 0.0 else 0.0,
        equity=scene.config.capital + replay.cash + float(value),
        position=position,
        elapsed_s=elapsed,
    )


def last_mid(scene: Scene) -> float:
    """Mid at the last decision; without any mid nothing was traded, so there is nothing to mark."""
    mid = scene.bars["mid"].ffill().to_numpy(np.float64)[-1]
    return float(mid) if math.isfinite(mid) else 0.0


def _costs(fills: pd.DataFrame, scene: Scene) -> tuple[Waterfall, pd.DataFrame]:
    """Cost waterfall of some fills, and the funding payments in it."""
    contract = scene.terms.contract
    funding = funding_paid(fills, scene.rates, contract)
    paid = math.fsum(funding["paid"].to_numpy(np.float64))
    return waterfall(fills, last_mid(scene), contract, paid), funding


def _measure(preset: Preset, replay: Replay, scene: Scene) -> dict[str, Any]:
    fills = fills_frame(replay.fills(), scene.config.capital, scene.terms)
    return presets.measure(
        preset,
        scene.config.queue.model_of(preset),
        fills,
        replay.order_events(),
        _costs(fills, scene)[0],
        scene.terms.contract,
    )


def _result(
    scene: Scene, strategy: Strategy, replay: Replay, answers: list[dict[str, Any]]
) -> Result:
    """Gather the replay's logs, check that the books balance, and measure."""
    capital, terms, contract = scene.config.capital, scene.terms, scene.terms.contract
    fills = fills_frame(replay.fills(), capital, terms)
    orders = orders_frame(replay.order_events(), terms)
    costs, funding = _costs(fills, scene)
    equity = equity_frame(replay.samples(), scene.times, capital, terms)
    check_books(fills, equity, capital, contract, funding)
    trades = round_trips(fills, last_mid(scene), contract, funding)
    stats, notes = summarise(equity, fills, orders, trades, capital, contract)
    return Result(
        fills=fills,
        orders=orders,
        equity=equity,
        trades=trades,
        funding=funding,
        presets=presets.frame(answers),
        stats=stats,
        notes=notes,
        costs=costs,
        manifest=_manifest(scene, strategy, replay),
        timing={},
    )


def _manifest(scene: Scene, strategy: Strategy, replay: Replay) -> dict[str, Any]:
    config, tape = scene.config, scene.tape
    resolved = config.model_dump(mode="json")
    # Params with every default filled in.
    if config.latency.table is not None:
        resolved["latency"]["table"] = str(config.latency.table.absolute())
    costs = config.transaction_costs
    if costs.model == "fills":  # the rest of them is not read
        for name in COST_MODEL:
            del resolved["transaction_costs"][name]
    elif costs.calibration is not None:
        resolved["transaction_costs"]["calibration"] = str(costs.calibration.absolute())
    resolved["strategy"]["params"] = strategy.params.model_dump(mode="json")
    if config.strategy.model is not None:
        resolved["strategy"]["model"] = str(config.strategy.model.absolute())
    data = {
        "fingerprint": fingerprint(scene),
        "start": f"{from_ns(tape.start_ns):%Y-%m-%d %H:%M:%S} UTC",
        "end": f"{from_ns(tape.end_ns):%Y-%m-%d %H:%M:%S} UTC",
        "deltas": len(tape.deltas[0]),
        "trades": len(tape.trades[0]),
        "seeded": tape.seeded,
        "settlements": len(scene.rates),
        "loader": dict(tape.stats),
        "replay": dict(replay.counters),
    }
    return manifests.build(
        resolved,
        scene.terms.model_dump(mode="json"),
        data,
        _own_file(type(strategy)),
        scene.model_sha256,
    )


def fingerprint(scene: Scene) -> str:
    """Fingerprint of all that was read: the tape, and what else there is."""
    parts = [scene.tape.fingerprint]
    if len(scene.rates):
        columns = (to_ns(scene.rates["time"]), scene.rates["rate"], scene.rates["mark"])
        content = b"".join(np.ascontiguousarray(column).tobytes() for column in columns)
        parts.append(hashlib.sha256(content).hexdigest())
    if scene.config.latency.table is not None:
        parts.append(manifests.sha256(scene.config.latency.table))
    costs = scene.config.transaction_costs
    if costs.model == "dynamic" and costs.calibration is not None:
        parts.append(manifests.sha256(costs.calibration))
    return parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()


def _own_file(kind: type) -> Path | None:
    """Source file of a user's strategy; None for one that came with the package."""
    if kind.__module__.partition(".")[0] == "mrtrade":
        return None
    try:
        file = inspect.getsourcefile(kind)
    except TypeError:  # a class made at a prompt
        return None
    return Path(file) if file and Path(file).is_file() else None

"""The worker's side of a sweep: configurations that share what was read and computed.

A worker keeps the last recordings it has read, with the features computed of them so far: tape,
bars and funding are read once, each feature is computed once, and a replay is shared by the
configurations that differ only in what is charged.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.backtest import scenes
from mrtrade.backtest.bar_costs import SpreadCost
from mrtrade.backtest.bar_result import BarResult
from mrtrade.backtest.bar_run import run_bars
from mrtrade.backtest.engine import fingerprint, last_mid
from mrtrade.backtest.frames import fills_frame
from mrtrade.backtest.ledger import funding_paid
from mrtrade.backtest.replaying import (
    Scene,
    by_plan,
    by_strategy,
    is_streaming_only,
    make_replay,
)
from mrtrade.backtest.sweep_measure import (
    Charge,
    Fills,
    marks,
    measure_bars,
    measure_fills,
    period_of,
)
from mrtrade.backtest.targets import decisions
from mrtrade.clock import to_ns
from mrtrade.config import BacktestConfig, CostsConfig
from mrtrade.errors import ConfigError, DataError
from mrtrade.instruments import BPS_PER_ONE
from mrtrade.strategies import make_strategy
from mrtrade.strategies.base import FORECAST, Strategy

if TYPE_CHECKING:
    from mrtrade.data.tape import Tape
    from mrtrade.ml.dataset import Dataset

T = TypeVar("T")

KEPT = 2
"""Recordings or datasets that a worker keeps."""


class Job(NamedTuple):
    """A replay, or a run on bars, and the charges that are put on it.

    Attributes
    ----------
    config : BacktestConfig
    charges : tuple of (row of the sweep, Charge)
    """

    config: BacktestConfig
    charges: tuple[tuple[int, Charge], ...]


class Answer(NamedTuple):
    """What came of one configuration."""

    row: int
    measures: dict[str, Any]
    data: str
    period_ns: int


@dataclass
class _Recording:
    """What configurations that differ in strategy, orders and costs have in common."""

    tape: Tape
    bars: pd.DataFrame
    rates: pd.DataFrame
    columns: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    decided: dict[tuple[Any, ...], tuple[pd.DataFrame, str | None]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def scene(self, config: BacktestConfig, strategy: Strategy) -> Scene:
        terms = self.tape.instrument.model_copy(update=config.transaction_costs.fees())
        with self.lock:
            decided = self._decided(config, strategy)
        tape = replace(self.tape, instrument=terms)
        return scenes.scene_of(config, tape, self.bars, self.rates, decided)

    def _decided(
        self, config: BacktestConfig, strategy: Strategy
    ) -> tuple[pd.DataFrame, str | None]:
        names = strategy.features
        if config.strategy.model is None and FORECAST not in names:
            lacking = [name for name in dict.fromkeys(names) if name not in self.columns]
            if lacking:
                found = scenes.features_of(self.bars, lacking, type(strategy).__name__)
                self.columns |= {name: found[name].to_numpy(np.float64) for name in lacking}
            columns = {name: self.columns[name] for name in names}
            return pd.DataFrame(columns, index=self.bars.index, copy=False), None
        key = (config.strategy.model, names)
        if key not in self.decided:
            self.decided[key] = scenes.decided_on(config, self.bars, strategy)
        return self.decided[key]


_KEPT: OrderedDict[Any, Any] = OrderedDict()
_LOCK = threading.Lock()


def forget() -> None:
    """Drop what this process keeps."""
    with _LOCK:
        _KEPT.clear()


def _kept(key: Any, make: Callable[[], T]) -> T:
    with _LOCK:  # two threads that read the same would hold it twice
        if key not in _KEPT:
            _KEPT[key] = make()
        _KEPT.move_to_end(key)
        while len(_KEPT) > KEPT:
            _KEPT.popitem(last=False)
        found: T = _KEPT[key]
        return found


def same_recording(config: BacktestConfig) -> str:
    """Return what two configurations have in common if they read the same and see it the same."""
    names = {"store", "exchange", "symbol", "start", "end", "bar", "instrument"}
    part = config.model_dump(mode="json", include=names)
    return repr((part, config.latency.feed, config.latency.feed_ns))


def work(jobs: Sequence[Job], dataset: Path | None = None) -> list[Answer]:
    """Run some jobs, on the recordings that they name or on a dataset."""
    return [answer for job in jobs for answer in _one(job, dataset)]


def _one(job: Job, dataset: Path | None) -> list[Answer]:
    strategy = make_strategy(job.config.strategy.name, job.config.strategy.params)
    return _on_recording(job, strategy) if dataset is None else _on_bars(job, strategy, dataset)


def _on_recording(job: Job, strategy: Strategy) -> list[Answer]:
    config = job.config
    recording = _kept(same_recording(config), lambda: _read(config))
    scene = recording.scene(config, strategy)
    run = _replayed(scene, strategy)
    data = fingerprint(scene)
    return [
        Answer(row, measure_fills(run, charge), data, run.period_ns) for row, charge in job.charges
    ]


def _read(config: BacktestConfig) -> _Recording:
    from mrtrade.data.stores import open_store

    plain = config.model_copy(update={"transaction_costs": CostsConfig()})
    with closing(open_store(config.store)) as store:
        tape = scenes.load_leg(plain, store, scenes.find_terms(plain, store))
        bars = scenes.leg_bars(plain, store, tape)
        return _Recording(tape, bars, scenes.settlements(store, tape, bars))


def _replayed(scene: Scene, strategy: Strategy) -> Fills:
    """Replay one configuration; nothing but its fills is kept."""
    config, contract = scene.config, scene.terms.contract
    replay = make_replay(scene, config.queue.chosen)
    if is_streaming_only(strategy):
        steps = by_strategy(replay, strategy, scene, 1)
    else:
        targets = strategy.targets(scene.features)
        plan = decisions(targets, scene.bars["mid"], scene.max_lots, scene.terms.tick_size)
        steps = by_plan(replay, plan, strategy, scene, 1)
    for _ in steps:
        pass
    fills = fills_frame(replay.fills(), config.capital, scene.terms)
    times = scene.times
    period_ns = period_of(int(times[-1] - times[0]))
    looked = marks(times, period_ns)
    mid = scene.bars["mid"].ffill().to_numpy(np.float64)
    return Fills(
        fills=fills,
        funding=funding_paid(fills, scene.rates, contract),
        last_mid=last_mid(scene),
        period_ns=period_ns,
        marks_ns=looked,
        mids=mid[np.searchsorted(times, looked, side="right") - 1],
        contract=contract,
        capital=config.capital,
    )


def _on_bars(job: Job, strategy: Strategy, folder: Path) -> list[Answer]:
    from mrtrade.ml.dataset import MANIFEST, Dataset

    config, costs = job.config, job.config.transaction_costs
    # Features may have been added to the folder, or another dataset put there.
    made = (folder / MANIFEST).read_bytes()
    data: Dataset = _kept((str(folder), made), lambda: Dataset.load(folder))
    time = to_ns(data.bars.index)
    period_ns = period_of(int(time[-1] - time[0]))
    second = data.second if len(strategy.legs) > 1 else None
    if len(strategy.legs) > 1 and second is None:
        raise ConfigError(f"{type(strategy).__name__} trades two legs, and the data have one")
    targets = strategy.targets(data.features[list(strategy.features)])
    entry, leave = strategy.crosses(config.execution.mode)
    runs: dict[float, BarResult] = {}
    answers = []
    for row, charge in job.charges:
        fee = _taker_bps(costs, charge.taker_fee_bps)
        if fee not in runs:
            runs[fee] = run_bars(
                data.bars,
                targets,
                costs=SpreadCost(fee, _spread(data.bars)),
                second=second,
                second_costs=None if second is None else _second_cost(config, second),
                funding=data.funding if costs.funding else None,
                capital=config.capital,
                urgency=(float(entry), float(leave)),
            )
        measures = measure_bars(runs[fee].at_cost(charge.scale), period_ns)
        answers.append(Answer(row, measures, data.fingerprint, period_ns))
    return answers


def _taker_bps(costs: CostsConfig, charged: float | None, key: str = "") -> float:
    """Return the fee of an order that crosses the spread, bps."""
    if charged is not None:
        return charged
    fees = costs.fees()
    if "taker_fee" not in fees:
        raise ConfigError(
            "not given, and bars do not say whose fees they are",
            key=f"{key}transaction_costs.taker_fee_bps",
            expected="basis points of the notional",
            remedy="give it",
        )
    return BPS_PER_ONE * fees["taker_fee"]


def _second_cost(config: BacktestConfig, bars: pd.DataFrame) -> SpreadCost:
    """Return the charge of the second leg, whose fees are its own market's."""
    costs = CostsConfig() if config.hedge is None else config.hedge.transaction_costs
    return SpreadCost(_taker_bps(costs, None, "hedge."), _spread(bars))


def _spread(bars: pd.DataFrame) -> npt.NDArray[np.float64]:
    if "spread_mean_bps" not in bars:
        raise DataError(
            "bars do not say what the spread is",
            key="spread_mean_bps",
            remedy="assume one, as candle_dataset(..., spread_bps=) does",
        )
    return bars["spread_mean_bps"].to_numpy(np.float64)

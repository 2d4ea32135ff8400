"""Sweeps: many configurations over one recording or one dataset, each of them counted.

A configuration is a backtest's with some keys replaced. What many have in common is done once: a
worker reads the recording and makes its bars once and computes each feature once
(`mrtrade.backtest.sweep_work`), and those that differ only in fees and in `COST_SCALE` share a
replay, as long as fills do not hang on fees (no margin, no fee tiers). Nothing is kept of a run but
its row of numbers; run the backtest itself for a report.

The best of many is good by luck too. Every configuration goes into the ledger of trials
(`mrtrade.ml.trials`), so that validation can ask for more than the luck of that many.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mrtrade.backtest.grid import Axes, combinations, make_axes
from mrtrade.backtest.sweep_measure import COUNTS, MEASURES, Charge
from mrtrade.backtest.sweep_work import Answer, Job, same_recording, work
from mrtrade.config import BacktestConfig, load_config
from mrtrade.errors import ConfigError
from mrtrade.ml.trials import Trial, TrialLedger
from mrtrade.parallel import ALONE, Workers, run
from mrtrade.strategies import make_strategy
from mrtrade.strategies.base import Strategy

COST_SCALE = "cost_scale"
"""An axis that is no key of a backtest: multiplies all that was charged or lost to the spread."""

FEES = ("maker_fee_bps", "taker_fee_bps")

LARGEST_TASK = 16
"""Replays that one task makes; so often is progress told, and what is lost by an interrupt."""


@dataclass(frozen=True)
class Sweep:
    """What came of a sweep.

    Attributes
    ----------
    frame : DataFrame (configurations, axes + measures)
        A row each, in the order of the grid: a column by the key of each axis, then ``refused``
        (why the strategy does not take these parameters; None: it does), ``rank`` (1: the largest
        net profit) and `mrtrade.backtest.sweep_measure.MEASURES`, NaN where it was refused.
    axes : mapping
        What was varied.
    period_ns : int
        Of the returns that the Sharpe ratios are made of, not annualised.
    replays : int
        So many served all configurations.
    new_trials : int
        Configurations that the ledger had not known.
    """

    frame: pd.DataFrame
    axes: Axes
    period_ns: int
    replays: int
    new_trials: int

    def at_cost(self, scale: float = 1.0) -> pd.DataFrame:
        """Return the rows whose costs are that multiple; all where costs were not varied."""
        frame = self.frame
        return frame[frame[COST_SCALE] == scale] if COST_SCALE in self.axes else frame

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the frame, as CSV or Parquet by the name: the whole file or none of it."""
        path = Path(path)
        if path.suffix not in (".csv", ".parquet"):
            raise ConfigError("no such kind of table", file=path, expected=".csv or .parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".saving-", dir=path.parent) as scratch:
            part = Path(scratch) / path.name
            if path.suffix == ".csv":
                self.frame.to_csv(part, index=False, lineterminator="\n")
            else:
                self.frame.to_parquet(part, index=False, compression="zstd")
            os.replace(part, path)
        return path


def sweep(
    config: BacktestConfig | str | PathLike[str] | Mapping[str, Any],
    axes: Mapping[str, Sequence[Any]],
    *,
    dataset: str | PathLike[str] | None = None,
    sample: int | None = None,
    seed: int = 0,
    workers: Workers = ALONE,
    ledger: TrialLedger | None = None,
    study: str = "default",
    done: Callable[[int, int], None] | None = None,
) -> Sweep:
    """Run every combination of some values, or a sample of them.

    Parameters
    ----------
    config
        What all have in common, as `mrtrade.backtest.run` takes it.
    axes
        Values by dotted key, such as ``{"strategy.params.entry_z": [2.0, 2.5]}``; the key
        `COST_SCALE` multiplies slippage, spread, fees and impact.
    dataset
        Folder of a `mrtrade.ml.dataset.Dataset` to run on instead of the recording, by
        `mrtrade.backtest.bar_run.run_bars`: of the configuration count strategy, capital, the
        taker's fees (of a second leg, those of ``hedge``) and ``execution.mode``, which has to be
        aggressive. Features that it lacks are added to it.
    sample, seed
        Draw so many of the combinations; each of them keeps all multiples of the costs.
    workers
        Who does it. The result is the same bit for bit.
    ledger
        In which all are counted, each as soon as it is done.
    study
        Of the trials.
    done
        Told how many configurations of how many are there.

    Returns
    -------
    Sweep

    Raises
    ------
    ConfigError
        If a configuration cannot be, or a strategy takes none of the parameters. That it does not
        take some of the combinations is told in their rows.
    """
    base = config if isinstance(config, BacktestConfig) else load_config(config)
    varied = make_axes(axes.items())
    scales = varied.get(COST_SCALE)
    if sample is None or scales is None:
        points = combinations(varied, sample, seed)
    else:
        others = {key: values for key, values in varied.items() if key != COST_SCALE}
        drawn = combinations(others, sample, seed)
        points = [{**one, COST_SCALE: scale} for one in drawn for scale in scales]
    asked = _Asked(base, points, None if dataset is None else Path(dataset))
    tasks = asked.tasks(workers)
    rows: list[dict[str, Any]] = [{} for _ in points]
    new_trials = finished = period_ns = 0
    trials = asked.trials(study)

    def each(answers: list[Answer]) -> None:
        nonlocal new_trials, finished, period_ns
        made = []
        for answer in answers:
            rows[answer.row] = answer.measures
            made.append(trials(answer))
            period_ns = answer.period_ns
        if ledger is not None:
            new_trials += ledger.record_many(made)
        finished += len(answers)
        if done is not None:
            done(finished, asked.accepted)

    run(work, tasks, workers, each=each)
    frame = _frame(varied, points, asked.refused, rows)
    return Sweep(frame, varied, period_ns, len(asked.jobs), new_trials)


class _Asked:
    """The configurations of a sweep, checked, and grouped by the replay that serves them."""

    def __init__(
        self, base: BacktestConfig, points: list[dict[str, Any]], dataset: Path | None
    ) -> None:
        self.dataset = dataset
        self.refused: list[str | None] = [None] * len(points)
        self.configs: dict[int, tuple[BacktestConfig, Charge, Strategy]] = {}
        common = _content(base, dataset)
        groups: dict[tuple[str, ...], tuple[BacktestConfig, list[tuple[int, Charge]]]] = {}
        error: ConfigError | None = None
        for row, point in enumerate(points):
            config, charge = _configured(common, point)
            try:
                strategy = make_strategy(config.strategy.name, config.strategy.params)
            except ConfigError as why:
                self.refused[row], error = str(why), why
                continue
            self._refuse_pairs(config, strategy)
            self.configs[row] = (config, charge, strategy)
            shared, own = _shared(config, charge)
            key = (same_recording(config), shared.model_dump_json())
            groups.setdefault(key, (shared, []))[1].append((row, own))
        if error is not None and not self.configs:
            raise error
        # Those that read the same lie side by side: a worker keeps few recordings.
        self.jobs = [Job(groups[key][0], tuple(groups[key][1])) for key in sorted(groups)]
        self.accepted = len(self.configs)

    def _refuse_pairs(self, config: BacktestConfig, strategy: Strategy) -> None:
        if self.dataset is None and (config.hedge is not None or len(strategy.legs) > 1):
            raise ConfigError(
                f"{type(strategy).__name__} trades two legs, which a sweep of recordings does not",
                remedy="sweep it on a dataset that has a second leg",
            )

    def tasks(self, workers: Workers) -> list[tuple[list[Job], Path | None]]:
        """Return what workers are given, a few jobs at a time."""
        if self.dataset is not None:
            from mrtrade.ml.dataset import Dataset

            names = {name for _, _, one in self.configs.values() for name in one.features}
            Dataset.ensure(self.dataset, sorted(names))
        jobs = self.jobs
        length = min(LARGEST_TASK, max(1, len(jobs) // (8 * workers.jobs)))
        return [(jobs[i : i + length], self.dataset) for i in range(0, len(jobs), length)]

    def trials(self, study: str) -> Callable[[Answer], Trial]:
        """Return what makes a trial of an answer: the configuration, whatever grid it is of."""

        def trial(answer: Answer) -> Trial:
            config, charge, strategy = self.configs[answer.row]
            resolved = config.model_dump(mode="json", exclude={"store"})
            resolved["strategy"]["params"] = strategy.params.model_dump(mode="json")
            whole = json.dumps(resolved, sort_keys=True).encode()
            measures = answer.measures
            return Trial(
                "sweep",
                {
                    "strategy": config.strategy.name,
                    "params": resolved["strategy"]["params"],
                    COST_SCALE: charge.scale,
                    "config": hashlib.sha256(whole).hexdigest()[:16],
                    "on": "recording" if self.dataset is None else "bars",
                },
                study=study,
                data=answer.data,
                sharpe=measures["sharpe_after"],
                n_periods=measures["periods"],
                period=answer.period_ns,
                returns_digest=measures["returns_digest"],
            )

        return trial


def _content(base: BacktestConfig, dataset: Path | None) -> dict[str, Any]:
    """Return the configuration as it was given, with the store's full address."""
    content = base.model_dump(mode="json", exclude_unset=True)
    content.setdefault("queue", {})["compare"] = False
    if dataset is None:
        from mrtrade.data.stores import open_store

        with closing(open_store(base.store)) as store:
            content["store"] = store.url
    return content


def _configured(
    common: Mapping[str, Any], point: Mapping[str, Any]
) -> tuple[BacktestConfig, Charge]:
    overrides = dict(point)
    scale = overrides.pop(COST_SCALE, 1.0)
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 <= scale < np.inf:
        raise ConfigError("not a multiple of costs", key=COST_SCALE, value=scale, expected=">= 0")
    return load_config(common, overrides), Charge(float(scale))


def _shared(config: BacktestConfig, charge: Charge) -> tuple[BacktestConfig, Charge]:
    """Return the configuration of the replay that serves one, and the charge that is left over."""
    costs = config.transaction_costs
    if costs.tiers is not None or config.account.initial_margin > 0.0:
        return config, charge  # what can be afforded hangs on what was paid
    given = {name: getattr(costs, name) for name in FEES if getattr(costs, name) is not None}
    plain = costs.model_copy(update=dict.fromkeys(given))
    return config.model_copy(update={"transaction_costs": plain}), charge._replace(**given)


def _frame(
    axes: Axes,
    points: list[dict[str, Any]],
    refused: list[str | None],
    rows: list[dict[str, Any]],
) -> pd.DataFrame:
    columns: dict[str, Any] = {key: [point[key] for point in points] for key in axes}
    columns["refused"] = pd.Series(refused, dtype=object)
    measures: dict[str, Any] = {
        name: np.array([row.get(name, np.nan) for row in rows], dtype=np.float64)
        for name in MEASURES
    }
    # The row with the larger net first; of equals, the first in the grid.
    order = np.argsort(-np.nan_to_num(measures["net"], nan=-np.inf), kind="stable")
    rank = np.empty(len(rows))
    rank[order] = np.arange(1, len(rows) + 1)
    columns["rank"] = np.where(np.isnan(measures["net"]), np.nan, rank)
    columns |= {
        name: pd.array(values, dtype="Int64") if name in COUNTS else values
        for name, values in measures.items()
    }
    return pd.DataFrame(columns)

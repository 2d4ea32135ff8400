"""Walk-forward: choose and train on the past, trade what follows, go on by a step.

Each fold is a task of `mrtrade.parallel.run` that gets the folder of the data, the rows of the fold
and the settings; so a fold gives the same bits wherever and beside whatever it runs.

**In a fold.** The forecast, where a strategy reads one, is trained on training rows whose labels
are over a day before the first test row; features are selected there too. A strategy's parameters
are those of its grid with the highest Sharpe ratio of daily net returns on the training span (one
that did not trade has 0; the first of equals). Where a configuration reads the forecast, the choice
is made on the last quarter of the training span, forecast by a model that was trained before it.

**Positions.** A strategy begins a test span flat. It is asked to be flat from the last bar but one
on, so that the position is closed in the last bar, and its cost is charged to the fold. Nothing is
carried from fold to fold. Features look back into the training span and before, never ahead.

**Trials.** Every configuration of a grid is traded on every test span, and counts as a trial; so
does the series of what was chosen, where there was a choice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.backtest.manifest import code_hashes, git_commit, versions
from mrtrade.backtest.metrics import DAYS_A_YEAR, annualisation, sharpe
from mrtrade.clock import from_ns
from mrtrade.errors import ConfigError, DataError
from mrtrade.ml.dataset import Dataset, in_place_of
from mrtrade.ml.trials import Trial, TrialLedger
from mrtrade.parallel import ALONE, Workers, run
from mrtrade.validation.folds import (
    FoldResult,
    Outcome,
    code_of,
    cut_folds,
    features_read,
    opened,
    reads_forecast,
    run_fold,
)
from mrtrade.validation.forecasts import features_offered
from mrtrade.validation.returns import daily_sums, returns_digest
from mrtrade.validation.settings import StrategyPlan, WalkForwardConfig

Floats = npt.NDArray[np.float64]

COSTS = ("commission", "spread", "impact", "adverse", "opportunity")
KIND = "walk-forward"
RESULT = "result.json"
FRAMES = ("folds", "frame", "trades", "grid", "importance", "selection", "regime")

YEAR = annualisation(DAYS_A_YEAR)


@dataclass(frozen=True)
class WalkForwardResult:
    """What one strategy earned out of sample on one symbol.

    Attributes
    ----------
    label : str
        The strategy's name among the plans.
    symbol : str
        Traded.
    learnt_on : str
        Symbol on which it was chosen and trained: another one in a cross-symbol test.
    configurations : list of dict
        Parameters of each set of the grid.
    folds : DataFrame
        A row a fold: ``fold, train_begin, train_end, test_begin, test_end`` (ends of bars),
        ``chosen`` (number of the configuration), ``features`` (kept), ``rounds``, ``ic, rank_ic,
        ic_rows`` (of the forecast in the test span), ``gross_sharpe, net_sharpe`` (annual, of
        days), ``gross, cost, funding, net`` (shares of capital), ``trades``, ``in_market`` (share).
    frame : DataFrame
        A row a bar, test spans one after the other, as `BarResult.frame`.
    trades : DataFrame
        Round trips with their ``fold``.
    grid : DataFrame, shape (days, configurations)
        Daily net returns of each configuration, fixed over all folds. In a cross-symbol test only
        what was chosen is traded: of one column.
    importance : DataFrame
        ``feature, folds`` (that kept it), ``gain`` (share), ``shap_bps``; means over the folds that
        trained a model, absent features counting 0.
    selection : DataFrame
        What became of each feature in each fold, and why.
    regime : DataFrame
        By day: ``regime``, 0 low, 1 mid, 2 high volatility, -1 unknown.
    trials : int
        Configurations that this run counted.
    manifest : dict
        What the numbers depend on: settings, data, versions, code.
    """

    label: str
    symbol: str
    learnt_on: str
    configurations: list[dict[str, Any]]
    folds: pd.DataFrame
    frame: pd.DataFrame
    trades: pd.DataFrame
    grid: pd.DataFrame
    importance: pd.DataFrame
    selection: pd.DataFrame
    regime: pd.DataFrame
    trials: int
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def daily(self) -> pd.Series[Any]:
        """Net return of each day, share of capital."""
        return daily_sums(self.frame[["net"]])["net"]

    @property
    def cost(self) -> pd.Series[Any]:
        """What trading cost, by bar."""
        return self.frame[list(COSTS)].sum(axis=1)

    def tried(self) -> dict[str, pd.Series[Any]]:
        """Return the daily net returns of every trial: of each configuration, and of the choice."""
        series = {str(name): self.grid[name] for name in self.grid}
        return series | {"chosen": self.daily} if len(series) > 1 else series

    def stats(self) -> dict[str, float]:
        """Return sums and annual ratios over all test spans; NaN where there is none."""
        days = daily_sums(
            pd.DataFrame(
                {"net": self.frame["net"], "before": self.frame["gross"] - self.frame["funding"]}
            )
        )
        return {
            "days": len(days),
            "trades": len(self.trades),
            "gross": float(self.frame["gross"].sum()),
            "cost": float(self.cost.sum()),
            "funding": float(self.frame["funding"].sum()),
            "net": float(self.frame["net"].sum()),
            "gross_sharpe": YEAR * sharpe(days["before"].to_numpy()),
            "net_sharpe": YEAR * sharpe(days["net"].to_numpy()),
            "ic": _mean(self.folds["ic"]),
            "rank_ic": _mean(self.folds["rank_ic"]),
            "in_market": float((self.frame["position"] != 0.0).mean()),
        }

    def save(self, folder: Path | str) -> Path:
        """Write it to a folder, whole or not at all."""
        folder = Path(folder)
        with in_place_of(folder, RESULT) as temporary:
            for name in FRAMES:
                getattr(self, name).to_parquet(temporary / f"{name}.parquet")
            content = {
                "label": self.label,
                "symbol": self.symbol,
                "learnt_on": self.learnt_on,
                "configurations": self.configurations,
                "trials": self.trials,
                "stats": {k: _number(v) for k, v in self.stats().items()},
                "manifest": dict(self.manifest),
            }
            text = json.dumps(content, indent=1, allow_nan=False) + "\n"
            (temporary / RESULT).write_text(text, encoding="utf-8")
        return folder

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read what `save` wrote."""
        folder = Path(folder)
        try:
            content = json.loads((folder / RESULT).read_text(encoding="utf-8"))
            del content["stats"]
            frames = {name: pd.read_parquet(folder / f"{name}.parquet") for name in FRAMES}
            return cls(**content | frames)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"holds no result of a walk-forward: {error}", file=folder, expected=RESULT
            ) from error


@dataclass(frozen=True)
class Study:
    """A walk-forward of several strategies on one symbol, and what they earned on others.

    Attributes
    ----------
    results : dict of WalkForwardResult
        By the strategies' labels.
    across : dict of dict of WalkForwardResult
        By label and symbol: learnt on this symbol, traded on that one.
    """

    results: dict[str, WalkForwardResult]
    across: dict[str, dict[str, WalkForwardResult]]


def walk_forward(
    source: Dataset | Path | str,
    config: WalkForwardConfig,
    *,
    others: Mapping[str, Dataset | Path | str] | None = None,
    workers: Workers = ALONE,
    ledger: TrialLedger | None = None,
    each: Callable[[FoldResult, int], None] | None = None,
) -> Study:
    """Walk strategies forward over a dataset.

    Parameters
    ----------
    source : Dataset or path
        The data, or the folder where `Dataset.save` put them: with several workers the latter.
    config : WalkForwardConfig
    others : Mapping, optional
        Data of other symbols, by their names: what each fold learnt here is traded there over the
        same days.
    workers : Workers
    ledger : TrialLedger, optional
        Where all trials are counted, under ``config.project``.
    each : callable, optional
        Called with each fold as it is done, and the number of folds in all.

    Raises
    ------
    ConfigError
        If settings do not fit the data, or data in memory are to be shared by workers.
    DataError
        If data or a feature that a strategy reads are not there.
    """
    sources = {"": source, **(others or {})}
    for one in sources.values():
        if isinstance(one, Dataset):
            _refuse_to_copy(workers)
        else:
            Dataset.ensure(one, features_read(config.strategies.values()))
    data = {symbol: opened(one) for symbol, one in sources.items()}
    for one in data.values():
        _check_features(one, config)
    rows = cut_folds(data[""].bars.index, config.folds, config.model.horizon)
    # The longest folds first, so that none of the workers waits long for the last one.
    tasks = [(source, one, config, others) for one in reversed(rows)]
    tell = None if each is None else lambda fold: each(fold, len(rows))
    folds = sorted(run(run_fold, tasks, workers, each=tell), key=lambda fold: fold.rows.number)
    manifest = _manifest(config, data)
    results = {
        label: _result(number, label, plan, data[""].symbol, folds, config, manifest)
        for number, (label, plan) in enumerate(config.strategies.items())
    }
    if ledger is not None:
        for result in results.values():
            ledger.record_many(trials_of(result, config))
    across = {
        label: {
            symbol: _elsewhere(number, results[label], symbol, folds, manifest)
            for symbol in others or {}
            if any(symbol in fold.across for fold in folds)
        }
        for number, label in enumerate(results)
    }
    return Study(results, across)


def trials_of(result: WalkForwardResult, config: WalkForwardConfig) -> Iterator[Trial]:
    """Give every configuration of a result, and what was chosen of them, as trials."""
    plan = config.strategies[result.label]
    common: dict[str, Any] = {
        "strategy": plan.name,
        "folds": config.folds.model_dump(mode="json"),
        "costs": config.costs.model_dump(mode="json"),
        "seed": config.seed,
    }
    if reads_forecast([plan]):
        # With the features by name: a model that is offered others is another trial.
        offered = {"features": result.manifest["offered"]}
        common["model"] = config.model.model_dump(mode="json") | offered
    asked: list[dict[str, Any]] = [{"params": one} for one in result.configurations]
    if len(asked) > 1:
        asked.append({"chosen_from": plan.grid, "params": plan.params})
    for params, daily in zip(asked, result.tried().values(), strict=True):
        values = daily.to_numpy(np.float64)
        yield Trial(
            KIND,
            common | params,
            study=config.project,
            data=str(result.manifest["data"][result.symbol]["fingerprint"]),
            sharpe=sharpe(values),
            n_periods=len(values),
            returns_digest=returns_digest(values),
        )


def _refuse_to_copy(workers: Workers) -> None:
    if workers.jobs > 1 or workers.scheduler is not None:
        raise ConfigError(
            "workers read data from storage, and these are in memory",
            remedy="save the dataset and give its folder",
        )


def _check_features(data: Dataset, config: WalkForwardConfig) -> None:
    wanted = features_read(config.strategies.values())
    if reads_forecast(config.strategies.values()):
        wanted += config.model.features or []
    if missing := [name for name in wanted if name not in data.features]:
        raise DataError(
            f"the data have no feature {missing[0]!r}",
            value=data.symbol,
            remedy="add it to the features of the dataset",
        )
    for name in wanted:
        if data.features[name].isna().all():
            raise DataError(
                f"feature {name!r}, which a strategy reads, has no value in any bar",
                value=data.symbol,
                remedy="give the data that it is made of, or other parameters",
            )


def _manifest(config: WalkForwardConfig, data: Mapping[str, Dataset]) -> dict[str, Any]:
    offers = reads_forecast(config.strategies.values())
    return {
        "config": config.model_dump(mode="json"),
        "data": {
            one.symbol: {"fingerprint": one.fingerprint, **one.about} for one in data.values()
        },
        "offered": features_offered(data[""], config.model) if offers else [],
        "code": code_hashes(),
        "strategies": {label: code_of(plan) for label, plan in config.strategies.items()},
        "versions": versions(),
        "git_commit": git_commit(Path.cwd()),
    }


def _result(
    number: int,
    label: str,
    plan: StrategyPlan,
    symbol: str,
    folds: Sequence[FoldResult],
    config: WalkForwardConfig,
    manifest: Mapping[str, Any],
) -> WalkForwardResult:
    outcomes = [fold.outcomes[number] for fold in folds]
    modelled = reads_forecast([plan])
    configurations = list(plan.configurations())
    return WalkForwardResult(
        label=label,
        symbol=symbol,
        learnt_on=symbol,
        configurations=configurations,
        folds=_folds(folds, outcomes, modelled),
        frame=pd.concat([one.frame for one in outcomes]),
        trades=_trades(folds, outcomes),
        grid=pd.concat([one.daily for one in outcomes]).rename(columns=str),
        importance=_importance(folds if modelled else []),
        selection=_selection(folds if modelled else []),
        regime=pd.concat([fold.regime for fold in folds]).to_frame(),
        trials=len(configurations) + (len(configurations) > 1),
        manifest=manifest,
    )


def _elsewhere(
    number: int,
    result: WalkForwardResult,
    symbol: str,
    folds: Sequence[FoldResult],
    manifest: Mapping[str, Any],
) -> WalkForwardResult:
    there = [fold for fold in folds if symbol in fold.across]
    outcomes = [fold.across[symbol][number] for fold in there]
    table = _folds(there, outcomes, False)
    frame = pd.concat([one.frame for one in outcomes])
    return WalkForwardResult(
        label=result.label,
        symbol=symbol,
        learnt_on=result.symbol,
        configurations=result.configurations,
        folds=table,
        frame=frame,
        trades=_trades(there, outcomes),
        grid=daily_sums(frame[["net"]]).set_axis(["chosen"], axis=1),
        importance=result.importance,
        selection=result.selection,
        regime=pd.concat([fold.regime for fold in there]).to_frame(),
        trials=0,
        manifest=manifest,
    )


def _folds(
    folds: Sequence[FoldResult], outcomes: Sequence[Outcome], modelled: bool
) -> pd.DataFrame:
    rows = []
    for fold, one in zip(folds, outcomes, strict=True):
        model = fold.model if modelled else None
        frame = one.frame
        days = daily_sums(
            pd.DataFrame({"net": frame["net"], "before": frame["gross"] - frame["funding"]})
        )
        rows.append(
            {
                "fold": fold.rows.number,
                "train_begin": from_ns(fold.train_ns[0]),
                "train_end": from_ns(fold.train_ns[1]),
                "test_begin": frame.index[0],
                "test_end": frame.index[-1],
                "chosen": one.chosen,
                "features": 0 if model is None else len(model.importance),
                "rounds": 0 if model is None else model.rounds,
                "ic": math.nan if model is None else model.ic,
                "rank_ic": math.nan if model is None else model.rank_ic,
                "ic_rows": 0 if model is None else model.ic_rows,
                "gross_sharpe": YEAR * sharpe(days["before"].to_numpy()),
                "net_sharpe": YEAR * sharpe(days["net"].to_numpy()),
                "gross": float(frame["gross"].sum()),
                "cost": float(frame[list(COSTS)].to_numpy().sum()),
                "funding": float(frame["funding"].sum()),
                "net": float(frame["net"].sum()),
                "trades": len(one.trades),
                "in_market": float((frame["position"] != 0.0).mean()),
            }
        )
    return pd.DataFrame(rows)


def _trades(folds: Sequence[FoldResult], outcomes: Sequence[Outcome]) -> pd.DataFrame:
    parts = [
        one.trades.assign(fold=fold.rows.number) for fold, one in zip(folds, outcomes, strict=True)
    ]
    some = [part for part in parts if len(part)] or parts[:1]
    return pd.concat(some, ignore_index=True)


def _importance(folds: Sequence[FoldResult]) -> pd.DataFrame:
    parts = [fold.model.importance for fold in folds if fold.model is not None]
    if not parts:
        return pd.DataFrame({"feature": [], "folds": [], "gain": [], "shap_bps": []})
    stacked = pd.concat(parts)
    grouped = stacked.groupby("feature", sort=False)
    table = grouped[["gain", "shap_bps"]].sum() / len(parts)
    table.insert(0, "folds", grouped.size())
    order = table.sort_values(["shap_bps", "gain"], ascending=False, kind="stable")
    return order.reset_index()


def _selection(folds: Sequence[FoldResult]) -> pd.DataFrame:
    parts = [
        fold.model.selection.assign(fold=fold.rows.number)
        for fold in folds
        if fold.model is not None
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"fold": []})


def _mean(values: pd.Series[Any]) -> float:
    return float(values.mean()) if values.notna().any() else math.nan


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

"""One fold of a walk-forward: everything that is decided, on the past; what came of it, after.

A task takes a path and small values, and reads what it needs. It never sees a row that ended after
its test span: the dataset is cut there before anything is computed.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.backtest.bar_result import BarResult
from mrtrade.backtest.bar_run import run_bars
from mrtrade.backtest.manifest import sha256
from mrtrade.backtest.metrics import sharpe
from mrtrade.clock import NS_PER_DAY, to_ns
from mrtrade.errors import DataError
from mrtrade.ml.dataset import Dataset
from mrtrade.ml.labels import forward_return
from mrtrade.ml.splits import WalkForward
from mrtrade.strategies.base import FORECAST, Strategy
from mrtrade.strategies.lookup import find_strategy, make_strategy
from mrtrade.validation.charges import Charges
from mrtrade.validation.regime import classify, terciles
from mrtrade.validation.returns import daily_sums
from mrtrade.validation.settings import (
    FoldsConfig,
    StrategyPlan,
    WalkForwardConfig,
)

Floats = npt.NDArray[np.float64]

CHOICE_TAIL = 0.25
"""Share of the training span, its end, on which parameters are chosen where a forecast is read: a
model that has not seen it forecasts it."""

MIN_ROWS = 3
"""A span of fewer rows is not traded."""


class Rows(NamedTuple):
    """Rows of one fold, half-open.

    Training labels that reach beyond ``train_end`` are purged by what cuts the folds.
    """

    number: int
    train_begin: int
    train_end: int
    test_begin: int
    test_end: int


@dataclass(frozen=True)
class Trained:
    """A fold's model and what it forecasts.

    Attributes
    ----------
    forecast : ndarray, shape (test rows,)
        bps.
    ic, rank_ic : float
        Correlation of the forecast with the label over the test rows whose label ends in the test
        span; NaN where it cannot be told.
    ic_rows : int
        Rows of that.
    importance : DataFrame
        ``feature``, ``gain`` (share of all), ``shap_bps`` (mean absolute contribution).
    contributions : DataFrame
        Of features to forecasts of the test span, see `mrtrade.validation.forecasts`.
    selection : DataFrame
        What became of each feature, and why.
    rounds : int
        Trees.
    """

    forecast: Floats
    ic: float
    rank_ic: float
    ic_rows: int
    importance: pd.DataFrame
    contributions: pd.DataFrame
    selection: pd.DataFrame
    rounds: int


@dataclass(frozen=True)
class Outcome:
    """What came of one strategy in one fold.

    Attributes
    ----------
    label : str
    chosen : int
        Number of the configuration that the fold traded.
    choice_sharpe : ndarray, shape (configurations,)
        Daily Sharpe ratio of each on the rows it was chosen by; empty where there was no choice.
    frame : DataFrame
        Of the chosen one, on the test rows, see `BarResult.frame`.
    trades : DataFrame
    daily : DataFrame, shape (days, configurations)
        Net return of each over the days of the test span.
    """

    label: str
    chosen: int
    choice_sharpe: Floats
    frame: pd.DataFrame
    trades: pd.DataFrame
    daily: pd.DataFrame


@dataclass(frozen=True)
class FoldResult:
    """One fold.

    Attributes
    ----------
    rows : Rows
    train_ns, test_ns : tuple of int
        Ends of the first and of the last bar.
    model : Trained, optional
        None where no strategy reads a forecast.
    outcomes : list of Outcome
        By plan.
    across : dict
        By another symbol, the same for it: its model's forecast judged there, what was chosen here
        traded there. Symbols that have no bars in the test span are left out.
    regime : Series
        By day of the test span: volatility class, see `mrtrade.validation.regime.classify`.
    """

    rows: Rows
    train_ns: tuple[int, int]
    test_ns: tuple[int, int]
    model: Trained | None
    outcomes: list[Outcome]
    across: dict[str, list[Outcome]]
    regime: pd.Series[Any]


def cut_folds(index: pd.Index[Any], folds: FoldsConfig, horizon: int) -> list[Rows]:
    """Cut the rows of a dataset into folds.

    Parameters
    ----------
    index : DatetimeIndex
        Ends of bars.
    folds : FoldsConfig
    horizon : int
        Length of labels, bars.

    Returns
    -------
    list of Rows
        Train rows are those whose labels end before the embargo. The first is the first of a whole
        day (UTC): results are of days, and no day may be of two folds.
    """
    skipped = first_whole_day(index)
    index = index[skipped:]
    spans = forward_return(pd.Series(1.0, index=index), horizon)
    splitter = WalkForward(
        folds.train,
        folds.test,
        folds.step,
        folds.embargo,
        folds.expanding,
        start_ns=spans["start_ns"].to_numpy(),
        end_ns=spans["end_ns"].to_numpy(),
    )
    rows = []
    for number, (train, test) in enumerate(splitter.split(index)):
        begin, end = int(train[0]), int(train[-1]) + 1
        if len(train) != end - begin:
            raise DataError("train rows of a fold are not consecutive", value=number)
        ends = (begin, end, int(test[0]), int(test[-1]) + 1)
        rows.append(Rows(number, *(skipped + one for one in ends)))
    return rows


def first_whole_day(index: pd.Index[Any]) -> int:
    """Return the first bar (by their ends) that began at a midnight (UTC) or is the first after."""
    time = to_ns(index)
    step = int(np.median(np.diff(time))) if len(time) > 1 else 0
    begins = time - step
    if begins[0] % NS_PER_DAY == 0:
        return 0
    return int(np.argmax(begins // NS_PER_DAY > begins[0] // NS_PER_DAY))


def strategies_of(plan: StrategyPlan) -> list[Strategy]:
    """Make the strategy of each configuration of a plan."""
    return [make_strategy(plan.name, params) for params in plan.configurations()]


def code_of(plan: StrategyPlan) -> str:
    """Return a strategy's class and the sha256 of its file: what judged another is no evidence."""
    kind = find_strategy(plan.name)
    return f"{kind.__name__} {sha256(Path(inspect.getfile(kind)))}"


def reads_forecast(plans: Iterable[StrategyPlan]) -> bool:
    """Whether any configuration of plans reads a model's forecast."""
    return any(FORECAST in one.features for plan in plans for one in strategies_of(plan))


def features_read(plans: Iterable[StrategyPlan]) -> list[str]:
    """Return the registered features that any configuration reads."""
    names = {name: None for plan in plans for one in strategies_of(plan) for name in one.features}
    return [name for name in names if name != FORECAST]


def run_fold(
    source: Dataset | Path | str,
    rows: Rows,
    config: WalkForwardConfig,
    others: Mapping[str, Dataset | Path | str] | None = None,
) -> FoldResult:
    """Choose, train and trade one fold.

    Parameters
    ----------
    source : Dataset or path
        The data, or the folder where they lie.
    rows : Rows
    config : WalkForwardConfig
    others : Mapping, optional
        Data of other symbols, on which what was learnt here is traded too.
    """
    data = opened(source)
    time = to_ns(data.bars.index)
    train_ns = int(time[rows.train_begin]), int(time[rows.train_end - 1])
    test_ns = int(time[rows.test_begin]), int(time[rows.test_end - 1])
    data = data.until(test_ns[1] + 1)
    plans = config.strategies
    fold = _Fold(data, rows, config)
    trained = forecaster = None
    if reads_forecast(plans.values()):
        trained, forecaster = fold.train()
    forecast = None if trained is None else trained.forecast
    outcomes = [fold.trade(label, plan, forecast) for label, plan in plans.items()]
    return FoldResult(
        rows=rows,
        train_ns=train_ns,
        test_ns=test_ns,
        model=trained,
        outcomes=outcomes,
        across={
            symbol: _elsewhere(opened(other), test_ns, config, outcomes, forecaster)
            for symbol, other in (others or {}).items()
            if _overlap(opened(other), test_ns)
        },
        regime=daily_regime(data.bars["mid"], train_ns, test_ns),
    )


def opened(source: Dataset | Path | str) -> Dataset:
    """Return a dataset, loaded where it is named by its folder."""
    return source if isinstance(source, Dataset) else Dataset.load(source)


def _overlap(data: Dataset, test_ns: tuple[int, int]) -> bool:
    first, last = _rows_within(data, test_ns)
    return last - first > MIN_ROWS


def _rows_within(data: Dataset, test_ns: tuple[int, int]) -> tuple[int, int]:
    first, last = to_ns(data.bars.index).searchsorted([test_ns[0], test_ns[1] + 1])
    return int(first), int(last)


def _elsewhere(
    data: Dataset,
    test_ns: tuple[int, int],
    config: WalkForwardConfig,
    outcomes: Sequence[Outcome],
    forecaster: Any,
) -> list[Outcome]:
    """Trade another symbol over the test span with what was chosen and learnt on this one."""
    first, last = _rows_within(data, test_ns)
    data = data.until(test_ns[1] + 1)
    fold = _Fold(data, Rows(0, 0, first, first, last), config)
    forecast = None
    if forecaster is not None:
        forecast = forecaster.predict(data.features.iloc[first:last])
    found = []
    for outcome, plan in zip(outcomes, config.strategies.values(), strict=True):
        strategy = strategies_of(plan)[outcome.chosen]
        result = fold.run(strategy, first, last, forecast)
        found.append(
            Outcome(
                label=outcome.label,
                chosen=outcome.chosen,
                choice_sharpe=np.empty(0),
                frame=result.frame,
                trades=result.trades,
                daily=daily_sums(result.frame[["net"]]).set_axis([outcome.chosen], axis=1),
            )
        )
    return found


def daily_regime(
    mid: pd.Series[Any], train_ns: tuple[int, int], test_ns: tuple[int, int]
) -> pd.Series[Any]:
    """Class each day of a test span by the volatility of the day before it.

    Boundaries are the terciles of the days of the training span. A day's volatility is the root of
    the sum of its squared log returns: of a day that is over, it is known when the next begins.

    Parameters
    ----------
    mid : Series
        By the ends of bars.
    train_ns, test_ns : tuple of int
        First and last end of a bar.

    Returns
    -------
    Series of int
        0 low, 1 mid, 2 high, -1 unknown, by day.
    """
    log = np.log(mid)
    squared = ((log - log.shift(1)) ** 2).fillna(0.0).rename("squared").to_frame()
    volatility = np.sqrt(daily_sums(squared)["squared"])
    day = to_ns(volatility.index)
    in_training = (day >= train_ns[0] - NS_PER_DAY) & (day + NS_PER_DAY <= train_ns[1])
    before = volatility.shift(1)[(day + NS_PER_DAY > test_ns[0]) & (day < test_ns[1])]
    edges = terciles(volatility[in_training]) if in_training.sum() > 2 else (np.nan, np.nan)
    return pd.Series(classify(before, edges), index=before.index, name="regime")


class _Fold:
    """The data of a fold, up to its last test row."""

    def __init__(self, data: Dataset, rows: Rows, config: WalkForwardConfig) -> None:
        self.data, self.rows, self.config = data, rows, config
        self.charges = Charges(data, config.costs)
        self.seed = config.seed + 1_000 * rows.number
        self._tail: tuple[int, Floats] | None = None

    # Forecasts ------------------------------------------------------------------------

    def train(self) -> tuple[Trained, Any]:
        """Train on the training span, forecast the test span; returns the forecaster too."""
        from mrtrade.validation.forecasts import contributions, fit, importance

        rows, model = self.rows, self.config.model
        forecaster = fit(self.data, (rows.train_begin, rows.train_end), model, self.seed)
        X = self.data.features.iloc[rows.test_begin : rows.test_end]
        forecast = forecaster.predict(X)
        label = forward_return(self.data.bars["mid"], model.horizon)["label_bps"]
        ic, rank_ic, count = _correlations(
            forecast, label.to_numpy()[rows.test_begin : rows.test_end]
        )
        explained = contributions(forecaster, X, model.explain_rows)
        trained = Trained(
            forecast=forecast,
            ic=ic,
            rank_ic=rank_ic,
            ic_rows=count,
            importance=importance(forecaster, explained),
            contributions=explained,
            selection=_whole(forecaster.selection),
            rounds=int(forecaster.metrics["rounds"]),
        )
        return trained, forecaster

    def _tail_forecast(self) -> tuple[int, Floats]:
        """Return the first row of the end of the training span, and forecasts of it.

        The model that makes them was trained on what came before, so that parameters are not chosen
        by how well a model remembers.
        """
        if self._tail is None:
            from mrtrade.validation.forecasts import fit

            rows, model = self.rows, self.config.model
            first = rows.train_end - int(CHOICE_TAIL * (rows.train_end - rows.train_begin))
            before = first - model.horizon  # labels end by the first forecast
            forecaster = fit(self.data, (rows.train_begin, before), model, self.seed + 1)
            X = self.data.features.iloc[first : rows.train_end]
            self._tail = first, forecaster.predict(X)
        return self._tail

    # Trades ---------------------------------------------------------------------------

    def trade(self, label: str, plan: StrategyPlan, forecast: Floats | None) -> Outcome:
        """Choose a configuration on the training span, trade each on the test span."""
        rows = self.rows
        strategies = strategies_of(plan)
        choice = self._choose(strategies)
        chosen = int(np.argmax(choice)) if len(choice) else 0
        results = [self.run(one, rows.test_begin, rows.test_end, forecast) for one in strategies]
        daily = [daily_sums(one.frame[["net"]])["net"] for one in results]
        return Outcome(
            label=label,
            chosen=chosen,
            choice_sharpe=choice,
            frame=results[chosen].frame,
            trades=results[chosen].trades,
            daily=pd.concat(daily, axis=1, keys=range(len(daily))),
        )

    def _choose(self, strategies: Sequence[Strategy]) -> Floats:
        """Return what each earned in training, as a Sharpe ratio; one that did not trade has 0."""
        if len(strategies) == 1:
            return np.empty(0)
        first, forecast = self.rows.train_begin, None
        if any(FORECAST in one.features for one in strategies):
            first, forecast = self._tail_forecast()
        earned = []
        for one in strategies:
            result = self.run(one, first, self.rows.train_end, forecast)
            ratio = sharpe(daily_sums(result.frame[["net"]])["net"].to_numpy())
            earned.append(0.0 if np.isnan(ratio) else ratio)
        return np.array(earned)

    def run(self, strategy: Strategy, begin: int, end: int, forecast: Floats | None) -> BarResult:
        """Trade rows with a strategy that begins flat and ends flat."""
        features = self.data.features.iloc[begin:end]
        read = features[[name for name in strategy.features if name != FORECAST]]
        if FORECAST in strategy.features:
            read = read.assign(**{FORECAST: forecast})
        targets = strategy.targets(read)
        # What is asked for at a row is filled in the next: the last fill is that of the last row.
        targets = _flat_at_the_end(targets)
        costs, second_costs = self.charges.of(begin, end)
        second = self.data.second if len(strategy.legs) == 2 else None
        if len(strategy.legs) == 2 and second is None:
            raise DataError(
                f"{type(strategy).__name__} trades two legs, and the data have one",
                value=self.data.symbol,
                remedy="give candles of the spot",
            )
        entry, leave = strategy.crosses(self.config.costs.mode)
        return run_bars(
            self.data.bars.iloc[begin:end],
            targets,
            costs=costs,
            funding=self.data.funding,
            second=None if second is None else second.iloc[begin:end],
            second_costs=None if second is None else second_costs,
            capital=self.config.costs.capital,
            size_usd=self.config.costs.size_usd,
            urgency=(float(entry), float(leave)),
        )


def _whole(selection: pd.DataFrame | None) -> pd.DataFrame:
    return pd.DataFrame({"feature": []}) if selection is None else selection


def _flat_at_the_end(targets: pd.DataFrame) -> pd.DataFrame:
    columns = {name: targets[name].to_numpy(np.float64, copy=True) for name in targets}
    for name, values in columns.items():
        values[-2:] = 0.0 if name == "target" else np.nan
    return pd.DataFrame(columns, index=targets.index)


def _correlations(forecast: Floats, label: Floats) -> tuple[float, float, int]:
    """Pearson's and Spearman's correlation over rows that have a label; NaN without variation."""
    there = np.isfinite(label) & np.isfinite(forecast)
    x, y = forecast[there], label[there]
    if len(x) < 3 or np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        return np.nan, np.nan, len(x)
    ranks = pd.Series(x).rank().to_numpy(), pd.Series(y).rank().to_numpy()
    return float(np.corrcoef(x, y)[0, 1]), float(np.corrcoef(*ranks)[0, 1]), len(x)

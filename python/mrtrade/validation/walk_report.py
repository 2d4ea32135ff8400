"""A walk-forward and its verdict as the content of one page."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from mrtrade.backtest.metrics import drawdown, sharpe, sharpe_se
from mrtrade.clock import to_ns
from mrtrade.validation.gate_one import GateOne
from mrtrade.validation.report import Fold, ValidationReport
from mrtrade.validation.returns import daily_sums
from mrtrade.validation.walk_forward import YEAR, WalkForwardResult

MOST_IMPORTANT = 20

NOTES = (
    "Each fold begins flat and is closed, at its cost, in the last bar of its test span.",
    "What is decided at the end of a bar is filled at the open of the next; costs are those of the "
    "cost model at the state of the market in which it was decided. Candles tell no spread: it is "
    "assumed.",
    "Every configuration of the grid was traded on every test span, and counts as a trial.",
)


def report_of(result: WalkForwardResult, gate: GateOne) -> ValidationReport:
    """Put together what the page shows."""
    frame = result.frame
    before = frame["gross"] - frame["funding"]
    missing = {
        "pictures": "no picture was made; see the table of features, if a model was trained",
        "noise": "no noise control was given",
        "transfers": "no other symbol was tested",
        "plateau": "there was no grid of parameters, or none of its sets traded",
    }
    return ValidationReport(
        title=f"{result.label} on {result.symbol}",
        subtitle=f"{len(result.folds)} folds, {frame.index[0]} to {frame.index[-1]}",
        verdict=gate.verdict,
        equity=frame["net"].cumsum(),
        gross=before.cumsum(),
        folds=[_fold(result, row) for row in result.folds.to_dict("records")],
        sharpe=gate.estimate,
        interval=gate.interval,
        drawdown=gate.drawdown,
        deflated=gate.deflated,
        effective_trials=gate.effective,
        overfitting=gate.overfitting,
        costs=gate.costs,
        regimes=gate.regimes,
        transfers=gate.transfers,
        plateau=gate.plateau,
        noise=gate.noise,
        tables=_tables(result),
        missing=missing,
        notes=NOTES,
        made=result.manifest,
    )


def _fold(result: WalkForwardResult, row: dict[Any, Any]) -> Fold:
    begin, end = row["test_begin"], row["test_end"]
    net = daily_sums(result.frame.loc[begin:end, ["net"]])["net"].to_numpy()
    ratio = float(row["net_sharpe"])
    spans = [int(to_ns(row[name])) for name in ("train_begin", "train_end")]
    error = YEAR * sharpe_se(ratio / YEAR, len(net)) if math.isfinite(ratio) else math.nan
    note = f"configuration {row['chosen']}"
    if math.isfinite(row["ic"]):
        note += f"; IC {row['ic']:+.3f}, {row['rounds']} trees"
    return Fold(
        number=int(row["fold"]) + 1,
        train_start_ns=spans[0],
        train_end_ns=spans[1] + 1,
        test_start_ns=int(to_ns(begin)),
        test_end_ns=int(to_ns(end)) + 1,
        net=float(row["net"]),
        sharpe=ratio,
        sharpe_se=error,
        trades=int(row["trades"]),
        drawdown=float(drawdown(np.r_[0.0, np.cumsum(net)]).max()),
        features=int(row["features"]) or None,
        note=note,
    )


def _tables(result: WalkForwardResult) -> dict[str, pd.DataFrame]:
    sets = pd.DataFrame(result.configurations)
    chosen = result.folds["chosen"].value_counts()
    sets.insert(0, "set", range(len(sets)))
    sets["folds that chose it"] = [int(chosen.get(number, 0)) for number in sets["set"]]
    if result.grid.shape[1] == len(sets):  # what each earned, had it been fixed
        columns = [result.grid[name].to_numpy() for name in result.grid]
        sets["net, % of capital"] = [100.0 * float(one.sum()) for one in columns]
        sets["Sharpe ratio"] = [YEAR * sharpe(one) for one in columns]
    tables = {"Configurations": sets}
    if len(result.importance):
        tables["What the model looks at"] = result.importance.head(MOST_IMPORTANT)
    return tables

"""A walk-forward and its verdict as the content of one page."""

from __future__ import annotations

import math
from importlib.util import find_spec
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

#: Features in the picture of all contributions, those that have one of their own, and dots in each.
SUMMARISED, DRAWN, DOTS = 15, 6, 2_000

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
    first, last = frame.index[[0, -1]]
    pictures = _pictures(result.contributions)
    missing = {
        "pictures": "pictures need matplotlib, and model.explain_rows above 0"
        if len(result.importance)
        else "no model was trained: the strategy reads no forecast",
        "noise": "no noise control was given",
        "transfers": "no other symbol was tested",
        "plateau": "there was no grid of parameters, or none of its sets traded",
    }
    return ValidationReport(
        title=f"{result.label} on {result.symbol}",
        subtitle=f"{len(result.folds)} folds, {first:%Y-%m-%d} to {last:%Y-%m-%d} UTC",
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
        pictures=pictures,
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
    note = f"set {row['chosen']}"
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
        first = result.importance.head(MOST_IMPORTANT)
        tables["Features by what they contribute"] = pd.DataFrame(
            {
                "feature": first["feature"],
                "folds that kept it": first["folds"],
                "share of the gain, %": 100.0 * first["gain"],
                "mean contribution (SHAP), bps": first["shap_bps"],
            }
        )
    return tables


def _pictures(contributions: pd.DataFrame) -> dict[str, bytes]:
    """Draw what the models of all folds made of their test spans: SHAP summary and dependence."""
    if contributions.empty or find_spec("matplotlib") is None:
        return {}
    from mrtrade.ml.explain import Explanation, dependence_picture, summary_picture
    from mrtrade.ml.thinning import evenly

    size = contributions["shap_bps"].abs().groupby(contributions["feature"], sort=False).sum()
    names = list(size.sort_values(ascending=False, kind="stable").index[:SUMMARISED])
    of = contributions[contributions["feature"].isin(names)]
    wide = of.pivot(index=["fold", "time"], columns="feature", values=["value", "shap_bps"])
    wide = wide.iloc[evenly(np.arange(len(wide)), DOTS)]
    # A feature that a fold's model did not keep contributes nothing there.
    shap = wide["shap_bps"][names].fillna(0.0).to_numpy(np.float64)
    values = wide["value"][names].to_numpy(np.float32)
    whole = Explanation(tuple(names), values, shap, np.zeros(len(wide)), "bps")
    found = {
        "Every dot is a forecast out of sample. To the right the feature raised it, to the left "
        "it lowered it; red: its value was high, blue: low.": summary_picture(whole, SUMMARISED)
    }
    for name in names[:DRAWN]:
        one = of[of["feature"] == name]
        one = one.iloc[evenly(np.arange(len(one)), DOTS)]
        values, shap = (one[column].to_numpy()[:, None] for column in ("value", "shap_bps"))
        alone = Explanation((name,), values, shap, np.zeros(len(one)), "bps")
        caption = f"{name}: across its value, up what it added to the forecast."
        found[caption] = dependence_picture(alone, name)
    return found

"""A report with everything in it, from seeds."""

import numpy as np
import pandas as pd

from mrtrade.clock import NS_PER_DAY, to_ns
from mrtrade.validation import sharpe
from mrtrade.validation.bootstrap import Interval, intervals
from mrtrade.validation.cost_sensitivity import cost_sensitivity
from mrtrade.validation.criteria import Verdict, judge
from mrtrade.validation.cross_symbol import transfer
from mrtrade.validation.overfitting import pbo_cscv
from mrtrade.validation.plateau import plateau
from mrtrade.validation.regime import classify, regimes, terciles
from mrtrade.validation.report import Fold, NoiseControl, ValidationReport

DAYS, FOLDS, YEAR = 600, 20, 365**0.5


def bars(seed=1, mean=0.0006, cost=0.0004):
    """Gross returns and costs of four bars a day."""
    rng = np.random.default_rng(seed)
    index = pd.date_range("2023-01-01 06:00", periods=4 * DAYS, freq="6h", tz="UTC")
    gross = pd.Series(rng.normal(mean / 4, 0.004, len(index)), index)
    return gross, pd.Series(rng.exponential(cost / 4, len(index)), index)


def full_report(png=b"\x89PNG\r\n\x1a\n", **changes):
    rng = np.random.default_rng(2)
    gross, cost = bars()
    net = gross - cost
    daily = net.to_numpy().reshape(DAYS, 4).sum(axis=1)
    days = pd.date_range("2023-01-01", periods=DAYS, freq="1D", tz="UTC")
    start = to_ns("2023-01-01")
    folds = []
    for i, part in enumerate(np.array_split(daily, FOLDS)):
        first = start + i * 30 * NS_PER_DAY
        one = sharpe.estimate(part)
        span = (start - 90 * NS_PER_DAY, first - NS_PER_DAY, first, first + 30 * NS_PER_DAY)
        folds.append(Fold(i + 1, *span, part.sum(), one.annual, one.annual_se, 41 + i, 0.012, 34))
    found = sharpe.estimate(daily)
    trials = daily.std() * rng.normal(size=(DAYS, 60)) + 0.2 * daily[:, None]
    deflated = sharpe.deflate(daily, trials.mean(axis=0) / trials.std(axis=0), trials=214)
    drawn = intervals(daily, draws=199)
    wide = drawn["sharpe"]
    costs = cost_sensitivity(gross, cost)
    volatility = rng.exponential(size=DAYS)
    by_regime = regimes(
        daily,
        classify(volatility, terciles(rng.exponential(size=500))),
        periods_a_year=365,
        boundaries="terciles of each fold's training span",
    )
    grid = pd.DataFrame(
        [
            {
                "entry": a,
                "hold": b,
                "mode": "passive",
                "sharpe": 1.6 - abs(a - 2) - abs(b - 40) / 90,
            }
            for a in (1.0, 1.5, 2.0, 2.5, 3.0)
            for b in (10, 20, 40, 80)
        ]
    )
    around = plateau(grid, ["entry", "hold", "mode"])
    series = pd.Series(daily, days)
    other = pd.Series(0.6 * daily + rng.normal(0.0, 0.004, DAYS), days)
    moved = transfer(series, other, names=("BTC/USDT-PERP", "SOL/USDT-PERP"))
    pbo = pbo_cscv(trials)
    verdict = Verdict(
        "gate 1: StatisticalMeanReversion on BTC/USDT-PERP",
        (
            judge("Sharpe ratio out of sample", found.annual, ">", 1.0, "600 days"),
            costs.criterion(),
            *by_regime.criteria(),
            moved.criterion(),
            around.criterion(),
            judge("Probability of overfitting", 100 * pbo.pbo, "<", 50.0, unit="%"),
            judge("Deflated Sharpe ratio", deflated.probability, ">", 0.95, "214 trials"),
            judge("Sharpe ratio on ETH", None, ">", 0.7, reason="ETH has no bars before 2024"),
        ),
        {"trials": 214},
    )
    detection = pd.DataFrame(
        {
            "size": [0.0, 2.0, 4.0, 8.0],
            "rate": [0.02, 0.2, 0.75, 1.0],
            "low": [0.0, 0.12, 0.64, 0.95],
            "high": [0.05, 0.3, 0.84, 1.0],
            "runs": [50] * 4,
        }
    )
    content = {
        "title": "StatisticalMeanReversion on BTC/USDT-PERP",
        "subtitle": "2023-01-01 to 2024-08-22 · bars of 5 minutes · 20 folds",
        "verdict": verdict,
        "equity": net.cumsum(),
        "gross": gross.cumsum(),
        "folds": folds,
        "sharpe": found,
        "interval": Interval(
            YEAR * wide.value, YEAR * wide.low, YEAR * wide.high, wide.level, wide.block, wide.draws
        ),
        "drawdown": drawn["drawdown"],
        "deflated": deflated,
        "effective_trials": 57,
        "overfitting": pbo,
        "costs": costs,
        "regimes": by_regime,
        "transfers": [moved],
        "plateau": around,
        "noise": NoiseControl(
            200, 4, 0.005, 0.05, {"random walk": (3, 100), "shuffled": (1, 100)}, detection
        ),
        "pictures": {"Mean |SHAP| of the ten strongest features": png},
        "tables": {"Parts of the costs": pd.DataFrame({"part": ["spread"], "bps": [1.25]})},
        "missing": {"order-level fills": "bars hold no order book"},
        "notes": ["Fills are at the next bar's open, charged by the cost model."],
        "made": {"config": {"seed": 0, "walk_forward": {"train": "90D"}}},
    }
    return ValidationReport(**{**content, **changes})

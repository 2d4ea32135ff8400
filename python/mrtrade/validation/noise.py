"""Noise control: how often the whole pipeline says GO where there is nothing, and where there is.

One data set is made of known truth (`mrtrade.validation.synthetic`), and goes through everything
that a real one goes through: features, labels, selection, training, the choice of parameters,
costs, walk-forward, and the same gate 1 (`mrtrade.validation.gate_one`), all trials counted. Of
gate 1 only what one symbol can be asked is asked (`asked_of`): there is no other symbol, the noise
control itself is what is being made, and without a grid nothing was chosen. A data set is GO if any
of the strategies is: so trying several is charged to the pipeline.

The false-GO rate is that of data without a signal; the detection rate that of data with a planted
one, over its size in costs of a round trip. Intervals are Clopper and Pearson's (1934) of 95 %.

References
----------
Clopper and Pearson (1934), The use of confidence or fiducial limits illustrated in the case of the
binomial, Biometrika 26(4).
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from mrtrade.clock import NS_PER_DAY, duration_ns
from mrtrade.errors import ConfigError, DataError
from mrtrade.features.extras import need
from mrtrade.parallel import ALONE, Workers, run
from mrtrade.validation.criteria import write_json
from mrtrade.validation.folds import code_of, features_read, first_whole_day
from mrtrade.validation.gate_one import FEWEST_TRADES, PARTS, gate_one
from mrtrade.validation.report import NoiseControl
from mrtrade.validation.settings import WalkForwardConfig, load_settings
from mrtrade.validation.synthetic import (
    Planted,
    flipped_signs,
    mean_reverting,
    quiet_market,
    random_walk,
)

if TYPE_CHECKING:
    from mrtrade.validation.walk_forward import WalkForwardResult

SCHEMA = "mrtrade.noise/1"

ASKED = tuple(part for part in PARTS if part not in ("transfer", "noise"))
OF_A_GRID = ("overfitting", "plateau")
"""Not asked of a strategy without a grid: it could never be GO, and its rate would say nothing."""

KINDS = ("random_walk", "flipped_signs", "quiet_market")
"""Kinds without a signal; data sets take turns."""

PLANTED = "mean_reverting"

#: What a round trip of the pipeline below costs, bps: two taker fees and a spread of 1 bps, and the
#: impact of its size. Sizes of planted effects are multiples of it.
COST_BPS = 11.0
SPREAD_BPS = 1.0

MOST_FALSE_GO = 0.05

#: Features of prices and volumes that suit bars of some minutes.
FEATURES = (
    *("sma_dev_bps_60", "ema_dev_bps_60", "zscore_60", "zscore_300", "zscore_robust_300"),
    *("quantile_rank_300", "bollinger_b_20", "bollinger_width_20", "rsi_14", "reversal_bps_10"),
    *("reversal_bps_60", "range_position_300", "dist_high_bps_300", "dist_low_bps_300"),
    *("autocorr_1_300", "variance_ratio_300", "vwap_dev_bps_300", "vwap_z_300"),
    *("realized_vol_60", "downside_share_300", "skew_300", "kurtosis_300", "jump_z_300"),
    *("parkinson_vol_60", "garman_klass_vol_300", "vol_ratio_60", "vol_percentile_60"),
    *("vol_of_vol_60", "adx_14", "di_spread_14", "volume_rel_300", "hour_sin", "hour_cos"),
    *("weekday_sin", "weekday_cos", "weekend", "zscore_squared_300", "zscore_vol_60"),
    *("reversal_volume_10", "half_life_300"),
)

#: The pipeline that is tried where no strategy is named: two families, each with a grid.
STRATEGIES: dict[str, dict[str, Any]] = {
    "forecast": {
        "name": "forecast",
        "params": {"horizon_s": 14_400.0, "vol_window": 12, "target_vol": 10.0},
        # Steps of a quarter, so that neighbours trade alike, from one round trip's costs to ten.
        "grid": {"entry_bps": [round(10.0 * 1.25**step, 1) for step in range(12)]},
    },
    "statistical": {
        "name": "statistical",
        "params": {"preset": "minutes"},
        "grid": {"entry_z": [1.0, 1.5, 2.0], "lookback": [48, 96]},
    },
}

#: Everything else of it: as for real data, with fewer folds and smaller models.
PIPELINE: dict[str, Any] = {
    "project": "noise",
    "folds": {"train": "120D", "test": "120D", "step": "120D", "embargo": "1D"},
    "model": {
        "horizon": 16,
        "features": list(FEATURES),
        "explain_rows": 0,
        "params": {
            "max_rounds": 60,
            "patience": 10,
            "max_rows": 4_000,
            "selection": {
                "boruta_rounds": 4,
                "boruta_rows": 600,
                "max_rows": 1_500,
                "min_features": 8,
                "max_features": 20,
            },
        },
    },
}


@dataclass(frozen=True)
class NoiseSettings:
    """What is tried, on what.

    Attributes
    ----------
    runs : int
        Data sets without a signal.
    strategies : Mapping
        Plans as in `WalkForwardConfig.strategies`; default: `STRATEGIES`.
    sizes : sequence of float
        Of planted effects, costs of a round trip; empty: none is planted.
    per_size : int
        Data sets of each.
    interval : str
        Length of bars.
    days : int
    kinds : sequence of str
        Of `KINDS`.
    source : path, optional
        Bars or candles of yours (Parquet): then all data sets are these, their signs flipped.
    pipeline : Mapping
        Instead of `PIPELINE`.
    seed : int
    """

    runs: int
    strategies: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: STRATEGIES)
    sizes: Sequence[float] = ()
    per_size: int = 40
    interval: str = "15min"
    days: int = 365
    kinds: Sequence[str] = KINDS
    source: Path | None = None
    pipeline: Mapping[str, Any] = field(default_factory=lambda: PIPELINE)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise ConfigError("too few data sets", value=self.runs, expected="at least 1")
        if unknown := sorted(set(self.kinds) - set(KINDS)):
            raise ConfigError("no such kind of data", value=unknown[0], expected=", ".join(KINDS))
        duration_ns(self.interval)
        config = self.config()
        least = duration_ns(config.folds.train) + duration_ns(config.folds.test)
        if self.source is None and self.days * NS_PER_DAY < least + 2 * NS_PER_DAY:
            raise ConfigError(
                "too few days for one fold",
                key="days",
                value=self.days,
                expected=f"more than {config.folds.train} of training and {config.folds.test}",
            )

    def config(self) -> WalkForwardConfig:
        """Return the settings of the walk-forward."""
        return load_settings({**self.pipeline, "strategies": dict(self.strategies)})

    @property
    def rows(self) -> int:
        """Bars of a data set."""
        return int(self.days * NS_PER_DAY // duration_ns(self.interval))


@dataclass(frozen=True)
class NoiseReport:
    """What the pipeline said of each data set.

    Attributes
    ----------
    rows : DataFrame
        A row a data set and strategy: ``kind, size, seed, strategy, decision``, ``failed`` (names
        of the criteria that it failed), ``unjudged``, ``net_sharpe`` (annual; NaN: no trades),
        ``trades``.
    settings : NoiseSettings
    strategies : tuple of str
        Class and code of each, see `mrtrade.validation.folds.code_of`.
    """

    rows: pd.DataFrame
    settings: NoiseSettings
    strategies: tuple[str, ...]

    def sets(self) -> pd.DataFrame:
        """Return a row a data set: ``kind, size, seed, go`` (of any strategy)."""
        go = self.rows.assign(go=self.rows["decision"] == "GO")
        return go.groupby(["kind", "size", "seed"], sort=False)["go"].any().reset_index()

    def control(self) -> NoiseControl:
        """Return rates with their intervals, as the page of a validation shows them."""
        sets = self.sets()
        blank = sets[sets["size"] == 0.0]
        runs, false = len(blank), int(blank["go"].sum())
        low, high = clopper_pearson(false, runs)
        kinds = {
            str(kind): (int(group.sum()), len(group)) for kind, group in blank.groupby("kind")["go"]
        }
        rows = []
        for size, group in sets[sets["size"] > 0.0].groupby("size")["go"]:
            found = int(group.sum())
            bounds = clopper_pearson(found, len(group))
            rows.append((float(str(size)), found / len(group), *bounds, len(group)))
        names = ["size", "rate", "low", "high", "runs"]
        return NoiseControl(
            runs=runs,
            false_go=false,
            low=low,
            high=high,
            kinds=kinds,
            detection=pd.DataFrame(rows, columns=names) if rows else None,
            size_name="planted gross profit of a round trip, in costs of one",
            note=f"any of {', '.join(self.settings.strategies)}; trials counted per data set",
            able=self._able(),
        )

    def _able(self) -> dict[str, int]:
        enough = self.rows[(self.rows["size"] == 0.0) & (self.rows["trades"] >= FEWEST_TRADES)]
        able: dict[str, int] = {}
        for label, code in zip(self.settings.strategies, self.strategies, strict=True):
            able[code] = max(able.get(code, 0), int((enough["strategy"] == label).sum()))
        return able

    @property
    def rate(self) -> float:
        """Share of the data sets without a signal that were GO."""
        control = self.control()
        return control.false_go / control.runs

    def luckiest(self, count: int = 5) -> pd.DataFrame:
        """Return the rows without a signal that came closest: the highest Sharpe ratios."""
        blank = self.rows[(self.rows["size"] == 0.0) & self.rows["net_sharpe"].notna()]
        return blank.sort_values("net_sharpe", ascending=False).head(count)

    def stoppers(self) -> pd.Series[int]:
        """Return how many rows without a signal each criterion stopped, or could not judge."""
        blank = self.rows[self.rows["size"] == 0.0]
        counted = Counter(
            name for which in ("failed", "unjudged") for names in blank[which] for name in names
        )
        return pd.Series(dict(counted.most_common()), dtype=np.int64)

    def to_json(self, path: Path) -> None:
        """Write everything as JSON."""
        control = self.control()
        content = {
            "schema": SCHEMA,
            "false_go": control.false_go,
            "runs": control.runs,
            "rate": self.rate,
            "low": control.low,
            "high": control.high,
            "kinds": {name: list(pair) for name, pair in control.kinds.items()},
            "detection": [] if control.detection is None else control.detection.to_dict("records"),
            "strategies": list(self.strategies),
            "settings": {
                "strategies": dict(self.settings.strategies),
                "interval": self.settings.interval,
                "days": self.settings.days,
                "seed": self.settings.seed,
                "source": None if self.settings.source is None else str(self.settings.source),
                "pipeline": dict(self.settings.pipeline),
                "cost_bps": COST_BPS,
            },
            "rows": json.loads(self.rows.to_json(orient="records", double_precision=15)),
        }
        write_json(path, content)

    @classmethod
    def from_json(cls, path: Path) -> Self:
        """Read what `to_json` wrote.

        Raises
        ------
        DataError
            If it is no such file, or its rates are not those of its rows.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["schema"] != SCHEMA:
                raise ValueError(f"its schema is {content['schema']!r}")
            given = {k: v for k, v in content["settings"].items() if k != "cost_bps"}
            settings = NoiseSettings(runs=int(content["runs"]), **given)
            rows = pd.DataFrame(content["rows"]).astype({"size": float, "net_sharpe": float})
            report = cls(rows, settings, tuple(content["strategies"]))
            control = report.control()
        except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
            raise DataError(
                f"no noise control: {error}",
                file=path,
                expected="what `mrtrade validate --noise N --json FILE` writes",
            ) from error
        for name in ("runs", "false_go"):
            if content[name] != getattr(control, name):
                raise DataError(
                    "the rates are not those of the rows",
                    file=path,
                    key=name,
                    value=content[name],
                    expected=getattr(control, name),
                )
        return report

    def picture(self) -> bytes:
        """Draw the detection rate over the size, and the false-GO rate at 0, as a PNG."""
        import io

        need("matplotlib", "report")
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        control = self.control()
        points = [(0.0, self.rate, control.low, control.high)]
        if control.detection is not None:
            points += list(control.detection[["size", "rate", "low", "high"]].itertuples(False))
        size, rate, low, high = np.array(points, dtype=np.float64).T
        figure = Figure(figsize=(7.0, 4.0), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.errorbar(
            size, 100 * rate, yerr=100 * np.array([rate - low, high - rate]), fmt="o-", capsize=3
        )
        axes.axhline(100 * MOST_FALSE_GO, ls=":", c="tab:red", label="most that is allowed at 0")
        axes.set_xlabel("planted gross profit of a round trip, in costs of one")
        axes.set_ylabel("GO, % of the data sets")
        axes.set_ylim(-2, 102)
        axes.legend(loc="upper left")
        out = io.BytesIO()
        figure.savefig(out, format="png", dpi=120)
        return out.getvalue()


def noise_control(
    settings: NoiseSettings, workers: Workers = ALONE, done: Callable[[int], None] | None = None
) -> NoiseReport:
    """Run the pipeline on data of known truth.

    Parameters
    ----------
    settings : NoiseSettings
    workers : Workers
        A data set is a task; its numbers do not depend on who computes it.
    done : callable, optional
        Told the number of data sets so far.
    """
    if settings.source is not None:
        read_bars(settings.source)  # what is wrong with it is told here, and once
    tasks = [(settings, *task) for task in tasks_of(settings)]
    found = run(judge_one, tasks, workers, done)
    code = tuple(code_of(plan) for plan in settings.config().strategies.values())
    return NoiseReport(pd.DataFrame([row for rows in found for row in rows]), settings, code)


def tasks_of(settings: NoiseSettings) -> list[tuple[str, float, int]]:
    """Return kind, size and seed of each data set, those without a signal first."""
    kinds = ("flipped_signs",) if settings.source is not None else tuple(settings.kinds)
    blank = [(kinds[n % len(kinds)], 0.0, settings.seed + n) for n in range(settings.runs)]
    planted = [
        (PLANTED, float(size), settings.seed + 1_000_000 + n)
        for size in settings.sizes
        for n in range(settings.per_size)
    ]
    return blank + planted


def judge_one(settings: NoiseSettings, kind: str, size: float, seed: int) -> list[dict[str, Any]]:
    """Make one data set and judge each strategy on it."""
    from mrtrade.features import compute
    from mrtrade.ml.dataset import Dataset
    from mrtrade.ml.trials import TrialLedger
    from mrtrade.validation.walk_forward import walk_forward

    config = settings.config()
    made = make_data(settings, kind, size, seed)
    bars = made.bars.iloc[first_whole_day(made.bars.index) :]
    if "spread_mean" in bars:
        bars = bars.assign(spread_mean_bps=1e4 * bars["spread_mean"] / bars["mid"])
    else:
        bars = bars.assign(spread_mean_bps=SPREAD_BPS)
    wanted = dict.fromkeys(
        [*(config.model.features or []), *features_read(config.strategies.values())]
    )
    wanted.pop("spread_mean_bps", None)
    features = compute(bars, list(wanted)).assign(spread_mean_bps=bars["spread_mean_bps"])
    data = Dataset("SYNTHETIC", bars, features, fingerprint=made.fingerprint)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        ledger = TrialLedger(Path(folder) / "trials.jsonl")
        study = walk_forward(data, config, ledger=ledger)
        for label, result in study.results.items():
            verdict = gate_one(result, ledger=ledger, asked=asked_of(result), seed=seed).verdict
            stats = result.stats()
            rows.append(
                {
                    "kind": kind,
                    "size": size,
                    "seed": seed,
                    "strategy": label,
                    "decision": verdict.decision,
                    "failed": [one.name for one in verdict.failed],
                    "unjudged": [one.name for one in verdict.unjudged],
                    "net_sharpe": stats["net_sharpe"],
                    "trades": stats["trades"],
                }
            )
    return rows


def asked_of(result: WalkForwardResult) -> list[str]:
    """Return the parts of gate 1 that a data set can be asked."""
    left_out = OF_A_GRID if len(result.configurations) == 1 else ()
    return [part for part in ASKED if part not in left_out]


def make_data(settings: NoiseSettings, kind: str, size: float, seed: int) -> Planted:
    """Make the data set of a task."""
    rows, interval = settings.rows, settings.interval
    if settings.source is not None:
        return flipped_signs(read_bars(settings.source), seed)
    if kind == "random_walk":
        return random_walk(rows, seed, interval=interval)
    if kind == "flipped_signs":  # of a market that does revert
        real = mean_reverting(rows, seed, size=4.0, cost_bps=COST_BPS, interval=interval)
        return flipped_signs(real.bars, seed)
    if kind == "quiet_market":
        return quiet_market(rows, seed, interval=interval)
    return mean_reverting(rows, seed, size=size, cost_bps=COST_BPS, interval=interval)


def read_bars(path: Path) -> pd.DataFrame:
    """Read candles, or bars with their ``mid``, of a Parquet file.

    Raises
    ------
    DataError
        If it is no such file.
    """
    from mrtrade.features.candles import candle_bars

    if not path.is_file():
        raise DataError("no such file", file=path)
    try:
        frame = pd.read_parquet(path)
    except Exception as error:
        raise DataError(f"is not Parquet: {error}", file=path) from error
    if "time" in frame:
        frame = frame.set_index("time")
    return frame if "mid" in frame else candle_bars(frame)


def clopper_pearson(found: int, runs: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a binomial share (Clopper & Pearson 1934)."""
    if runs < 1:
        return 0.0, 1.0
    beta = need("scipy.stats").beta
    tail = 0.5 * (1.0 - level)
    low = 0.0 if found == 0 else float(beta.ppf(tail, found, runs - found + 1))
    high = 1.0 if found == runs else float(beta.ppf(1.0 - tail, found + 1, runs - found))
    return low, high

"""What a validation found, in one value: the walk-forward fills it, `page` draws it.

Everything but the title is optional. A part that is not there is not passed over in silence: the
page says that it was not measured, and why, from `missing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from mrtrade.validation.bootstrap import Interval
from mrtrade.validation.cost_sensitivity import CostSensitivity
from mrtrade.validation.criteria import Verdict
from mrtrade.validation.cross_symbol import Transfer
from mrtrade.validation.overfitting import Overfitting
from mrtrade.validation.plateau import Plateau
from mrtrade.validation.regime import Regimes
from mrtrade.validation.sharpe import Deflated, Estimate


@dataclass(frozen=True, slots=True)
class Fold:
    """One step of a walk-forward.

    Attributes
    ----------
    number : int
        From 1.
    train_start_ns, train_end_ns, test_start_ns, test_end_ns : int
        Half-open spans, ns since 1970 UTC.
    net : float
        Sum of the net returns of the test, share of capital.
    sharpe, sharpe_se : float
        Of the test, annual; NaN where there is none.
    trades : int
    drawdown : float
        Deepest of the test, share of capital.
    features : int, optional
        That the model of this fold was left with; None: no model.
    note : str
        What else is to be said of it.
    """

    number: int
    train_start_ns: int
    train_end_ns: int
    test_start_ns: int
    test_end_ns: int
    net: float
    sharpe: float
    sharpe_se: float
    trades: int
    drawdown: float
    features: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class NoiseControl:
    """The same pipeline on data that have no signal, and on data with a planted one.

    Attributes
    ----------
    runs : int
        Data sets without a signal.
    false_go : int
        Of them that the pipeline called GO.
    low, high : float
        95 % interval of the rate.
    kinds : Mapping
        By kind of data set, (false GO, runs).
    detection : DataFrame, optional
        ``size`` of a planted effect (bps, or as `size_name` says), ``rate`` of GO, ``low``,
        ``high``, ``runs``.
    size_name : str
    note : str
    able : Mapping
        By class and code of each strategy that was tried (`mrtrade.validation.folds.code_of`): the
        data sets without a signal on which it made the round trips that gate 1 asks for. On the
        others it could not be GO, whatever it earned.
    """

    runs: int
    false_go: int
    low: float
    high: float
    kinds: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    detection: pd.DataFrame | None = None
    size_name: str = "planted effect, bps"
    note: str = ""
    able: Mapping[str, int] = field(default_factory=dict)


#: Sections that may be missing, by the field that fills them, with their headings.
SECTIONS = {
    "verdict": "Verdict",
    "equity": "Out of sample, step by step",
    "folds": "Fold by fold",
    "sharpe": "Sharpe ratio",
    "interval": "Bootstrap interval of the Sharpe ratio",
    "deflated": "Deflated Sharpe ratio",
    "overfitting": "Probability of backtest overfitting",
    "costs": "If trading cost more",
    "regimes": "By volatility",
    "transfers": "On other symbols",
    "plateau": "Plateau or spike",
    "noise": "Noise control",
    "pictures": "What the model looks at",
}


@dataclass(frozen=True)
class ValidationReport:
    """All that the page shows; every field but the title is optional.

    Attributes
    ----------
    title : str
        Strategy and symbol.
    subtitle : str
        Span, bars, data.
    verdict : Verdict, optional
    equity : Series, optional
        Cumulative net return out of sample, share of capital, indexed by time; `gross` is the same
        before costs.
    folds : sequence of Fold
    sharpe : Estimate, optional
        Of the daily returns out of sample.
    interval : Interval, optional
        Of the annual Sharpe ratio, by the bootstrap.
    drawdown : Interval, optional
        Of the deepest drawdown, share of capital.
    deflated : Deflated, optional
        Holds the number of all trials ever.
    effective_trials : int, optional
        Clusters of them.
    overfitting : Overfitting, optional
    costs : CostSensitivity, optional
    regimes : Regimes, optional
    transfers : sequence of Transfer
        Cross-symbol.
    plateau : Plateau, optional
    noise : NoiseControl, optional
    pictures : Mapping of bytes
        PNG by caption (what the model looks at: SHAP).
    tables : Mapping of DataFrame
        Further tables by heading; shown with their columns as they are.
    missing : Mapping of str
        Why a section of `SECTIONS` is not there, by its field; further keys are listed as what else
        was not judged.
    notes : sequence of str
        What a reader must know: assumptions, what fell short.
    made : Mapping
        How it was made: configuration, data fingerprints, versions; JSON types, nested.
    """

    title: str
    subtitle: str = ""
    verdict: Verdict | None = None
    equity: pd.Series[float] | None = None
    gross: pd.Series[float] | None = None
    folds: Sequence[Fold] = ()
    sharpe: Estimate | None = None
    interval: Interval | None = None
    drawdown: Interval | None = None
    deflated: Deflated | None = None
    effective_trials: int | None = None
    overfitting: Overfitting | None = None
    costs: CostSensitivity | None = None
    regimes: Regimes | None = None
    transfers: Sequence[Transfer] = ()
    plateau: Plateau | None = None
    noise: NoiseControl | None = None
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    made: Mapping[str, Any] = field(default_factory=dict)

    def absent(self) -> dict[str, str]:
        """Return the sections that are not there, by heading, each with its reason."""
        found = {}
        for name, heading in SECTIONS.items():
            content = getattr(self, name)
            if content is None or (isinstance(content, Sized) and len(content) == 0):
                found[heading] = self.missing.get(name, "not measured, and no reason was given")
        more = {key: why for key, why in self.missing.items() if key not in SECTIONS}
        return {**found, **more}

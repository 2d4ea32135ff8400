"""Gate 0, the proof of concept: from raw deltas and trades of a week to a verdict.

Bars, ten features, a small model that is trained on the first part of the span and tested on the
rest, and its forecasts traded in the event backtest, with simulated fills. How what comes out is
judged is told in `mrtrade.validation.poc_criteria`.

**Split.** The first `TRAIN_SHARE` of the bars train, the rest test; labels that reach into the test
are left out. All that is chosen, the threshold too, is chosen on the training part.

**Rule.** A position is taken where the forecast is above what a round trip costs, if that happened
`MIN_ENTRIES` times in training, and else where it is in the strongest quarter: such trades cannot
pay, but show what the forecast is worth before costs. It is held for the horizon, or until the
forecast has turned.

**Trials.** Every configuration that was traded on a symbol is one more chance for luck; with a
ledger they are counted, and the criteria ask for more the more there are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.backtest.metrics import sharpe
from mrtrade.clock import from_ns, to_ns
from mrtrade.errors import StoreError
from mrtrade.validation.criteria import Verdict
from mrtrade.validation.poc_criteria import Evidence, judge_evidence, judge_query, not_judged
from mrtrade.validation.poc_replay import Traded
from mrtrade.validation.poc_stage import (
    MICRO,
    PRICE,
    WITH,
    WITHOUT,
    PocSettings,
    Stage,
    day_after,
)

if TYPE_CHECKING:
    from mrtrade.data.store import Store
    from mrtrade.ml.forecaster import Forecaster
    from mrtrade.ml.trials import TrialLedger

Floats = npt.NDArray[np.float64]
Told = Callable[[str], None]


@dataclass(frozen=True)
class Poc:
    """A proof of concept.

    Attributes
    ----------
    verdict : Verdict
        Its ``about`` holds everything else as JSON types.
    features : DataFrame
        ``feature, family, shap_bps`` (mean absolute contribution to a forecast of the test),
        ``share`` (of all), ``direction`` (rank correlation of value and contribution); largest
        first. Empty where no model was trained.
    money : DataFrame
        By model (``all features``, ``prices only``): ``entries``, ``turnover`` (notional of the
        fills, multiples of capital), and in bps of capital ``gross, slippage, spread, fees,
        funding, net``. Empty likewise.
    """

    verdict: Verdict
    features: pd.DataFrame
    money: pd.DataFrame


def prove(
    store: Store,
    settings: PocSettings,
    tell: Told = lambda what: None,
    *,
    threads: int = 1,
    ledger: TrialLedger | None = None,
) -> Poc:
    """Judge one symbol of a store.

    Parameters
    ----------
    store : Store
    settings : PocSettings
    tell : callable
        Told what is being done.
    threads : int
        Of training; the verdict does not depend on it.
    ledger : TrialLedger, optional
        Where what is traded is counted as a trial, under ``gate 0 EXCHANGE SYMBOL``; without one
        it is taken for the only one.

    Raises
    ------
    StoreError
        If the store holds no deltas or no trades of the symbol.
    """
    tell("looking at the store")
    place, days = find_days(store, settings)
    query_s, query_note = time_query(store, *place, days)
    tell(f"building bars of {len(days)} day{'s' if len(days) > 1 else ''}")
    stage = Stage(store, settings, place, days, threads)
    about: dict[str, Any] = stage.about() | {"query_s": query_s}
    subject = f"gate 0: {place[0]} {place[1]}, {stage.said()}"
    query = judge_query(query_s, query_note)
    if short := stage.too_short():
        return Poc(Verdict(subject, (*not_judged(short), query), about), _features(), _money({}))
    tell("training with and without book and flow")
    models = {WITH: stage.train((*PRICE, *MICRO)), WITHOUT: stage.train(PRICE)}
    tell("replaying the test with orders")
    traded = stage.trade(models)
    tell("judging")
    evidence = stage.evidence(models[WITH], traded)
    if ledger is not None:
        evidence = replace(evidence, trials=_count(ledger, stage, evidence))
        about |= {"trials": evidence.trials, "ledger": str(ledger.path)}
    criteria = (*judge_evidence(evidence), query)
    features = _features(models[WITH], stage.X_test)
    money = _money(traded, stage.capital)
    about |= {
        "features": features.to_dict("records"),
        "money_bps": money.to_dict("index"),
        "entry_bps": dict(stage.entry),
        "trees": {name: model.metrics["rounds"] for name, model in models.items()},
    }
    return Poc(Verdict(subject, criteria, about), features, money)


def _count(ledger: TrialLedger, stage: Stage, found: Evidence) -> int:
    """Record the trial, and return how many there are of its symbol."""
    study = f"gate 0 {stage.terms.exchange} {stage.terms.symbol}"
    ledger.record(
        "poc",
        asdict(stage.settings) | {"fees": [stage.terms.maker_fee, stage.terms.taker_fee]},
        study=study,
        data=stage.fingerprint,
        sharpe=sharpe(found.gross - found.cost - found.funding),
        n_periods=len(found.gross),
        period=found.block_ns,
    )
    return ledger.count(study)


def _features(model: Forecaster | None = None, X: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return what each feature contributes to the forecasts of some rows."""
    from mrtrade.features.registry import get
    from mrtrade.ml.explain import explain

    names = ["feature", "family", "shap_bps", "share", "direction"]
    if model is None or X is None:
        return pd.DataFrame(columns=names)
    found = explain(model, X).table().rename(columns={"mean_size": "shap_bps"})
    found["family"] = [get(name).family for name in found["feature"]]
    return found[names].fillna({"direction": 0.0})  # a constant has none


def _money(traded: Mapping[str, Traded], capital: float = 1.0) -> pd.DataFrame:
    """Return where the money went, bps of capital, by model."""
    rows = {
        name: {"entries": one.entries, "turnover": one.turnover}
        | {step.lower(): 1e4 * amount / capital for step, amount in one.waterfall.steps()}
        for name, one in traded.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


# ---- what the store holds


def find_days(store: Store, settings: PocSettings) -> tuple[tuple[str, str], list[str]]:
    """Return exchange and symbol as the store has them, and the days to use.

    Raises
    ------
    StoreError
        If there is nothing to use; says what there is.
    """
    from mrtrade.instruments import user_symbol, venue

    symbol = user_symbol(settings.symbol)
    place = (venue(settings.exchange, symbol), symbol)
    series = store.series()
    books = sorted({one[1:] for one in series if one[0] == "book_delta_v2"})
    if not books:
        raise StoreError(
            "the store holds no order book deltas at all",
            file=store.url,
            remedy="ingest a recording: mrtrade ingest PATH --store STORE",
        )
    if place not in books:
        base = symbol.partition("/")[0]
        near = [
            f"{one[0]} {one[1]}"
            for one in sorted(books, key=lambda b: (b[1].partition("/")[0] != base, b))
        ]
        raise StoreError(
            f"the store holds no order book deltas of {place[0]} {place[1]}",
            file=store.url,
            expected=f"one of {', '.join(near[:12])}{', ...' if len(near) > 12 else ''}",
            remedy="name one of these, or ingest what is missing",
        )
    if ("trades", *place) not in series:
        raise StoreError(
            f"the store holds a book of {place[0]} {place[1]}, but no trades",
            file=store.url,
            remedy="ingest its trades: features of the flow are made of them",
        )
    return place, _run_of_days(store.days("book_delta_v2", *place), settings)


def _run_of_days(held: list[str], settings: PocSettings) -> list[str]:
    """Return the days from `start` on, or the last ones, that follow one another."""
    number = np.array([np.datetime64(day, "D").astype(np.int64) for day in held])
    breaks = np.flatnonzero(np.diff(number) > 1) + 1
    runs = [list(map(str, one)) for one in np.split(np.array(held), breaks)]
    if settings.start is None:
        return runs[-1][-settings.days :]
    first = f"{from_ns(to_ns(settings.start)):%Y-%m-%d}"
    for run in runs:
        if first in run:
            return run[run.index(first) :][: settings.days]
    raise StoreError(
        "nothing was recorded on that day",
        value=first,
        expected=", ".join(f"{run[0]} to {run[-1]}" for run in runs),
        remedy="start on one of these",
    )


def time_query(store: Store, exchange: str, symbol: str, days: list[str]) -> tuple[float, str]:
    """Return how long it takes to read the trades of the largest day, s, and what that was.

    The median of three reads, every column; the first may have to go to the disk.
    """
    entries = store.entries("trades", exchange, symbol, days[0], day_after(days[-1]))
    if not entries:
        return math.nan, "no trades on these days"
    day = max(entries, key=lambda entry: entry.rows).day
    took, rows = [], 0
    for _ in range(3):
        begin = time.perf_counter()
        rows = len(store.read("trades", exchange, symbol, day, day_after(day)))
        took.append(time.perf_counter() - begin)
    return float(np.median(took)), f"{rows:,} trades of {day}, every column; first {took[0]:.3f} s"

"""One study from orders to grades: models are fitted on the first part, all graded on the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mrtrade.execution.fit import (
    PowerFit,
    TableFit,
    fit_power,
    fit_table,
    fixed_log_likelihood,
)
from mrtrade.execution.grade import Grade, grade
from mrtrade.execution.orders import OrderLog
from mrtrade.execution.predict import POWERS, Model, predicted_waits
from mrtrade.execution.truth import (
    Cancellations,
    Probes,
    cancellations,
    draw_probes,
    true_waits,
)

FIT_SHARE = 1.0 / 3.0
"""Part of the recording, its beginning, that unfitted models are fitted on."""
DISTANCES = (0, 1, 2, 4)
"""Ticks behind the touch at which probes are put."""


@dataclass(frozen=True)
class Plan:
    """What is looked at.

    Attributes
    ----------
    lot_size : float
        Base units; the logarithmic models depend on it.
    n_probes : int
        Probes to grade by, and as many to fit by.
    seed : int
        Of the probes and of the bootstrap.
    horizons_s : sequence of float
        Seconds, rising; probes are watched for the longest.
    distances : sequence of int
        Ticks behind the best price of the own side.
    weight : {"size", "orders"}
        Of a cancellation in the likelihood.
    knots : int
        Of the table.
    """

    lot_size: float
    n_probes: int = 10_000
    seed: int = 0
    horizons_s: Sequence[float] = (1.0, 5.0, 30.0)
    distances: Sequence[int] = DISTANCES
    weight: str = "size"
    knots: int = 11

    @property
    def horizon_ns(self) -> int:
        """Longest horizon, ns."""
        return round(max(self.horizons_s) * 1e9)


@dataclass(frozen=True)
class Fits:
    """What one set of cancellations says of every model.

    Attributes
    ----------
    seen : Cancellations
    powers : dict of PowerFit
        By the model's name.
    table : TableFit
    fixed : dict of float
        Mean log-likelihood of the models without a parameter, nats.
    """

    seen: Cancellations
    powers: dict[str, PowerFit]
    table: TableFit
    fixed: dict[str, float]


def fit_models(log: OrderLog, plan: Plan, end_ns: int | None = None) -> Fits:
    """Fit every model on the cancellations before `end_ns` (default: the end of the recording)."""
    end = int(log.time[-1]) if end_ns is None else end_ns
    probes = _probes(log, plan, int(log.time[0]), end)
    seen = cancellations(log, probes, plan.horizon_ns)
    powers = {name: fit_power(seen, name, plan.weight) for name in POWERS}
    fixed = {
        name: fixed_log_likelihood(seen, name, plan.lot_size, plan.weight)
        for name in ("log", "log2")
    }
    return Fits(seen, powers, fit_table(seen, plan.knots, plan.weight), fixed)


def _probes(log: OrderLog, plan: Plan, start: int, end: int) -> Probes:
    return draw_probes(
        log,
        plan.n_probes,
        plan.seed,
        start_ns=start,
        end_ns=end - plan.horizon_ns,
        distances=plan.distances,
    )


@dataclass(frozen=True)
class Study:
    """What was graded, and what was fitted before.

    Attributes
    ----------
    probes : Probes
    grade : Grade
    models : list of Model
        With their parameters.
    fits : Fits, optional
        None: no model was to be fitted.
    """

    probes: Probes
    grade: Grade
    models: list[Model]
    fits: Fits | None


def run_study(log: OrderLog, models: Sequence[Model], plan: Plan) -> Study:
    """Fit what is unfitted on the first third of a recording, grade all on the rest.

    Without an unfitted model the whole recording is graded.

    Parameters
    ----------
    log : OrderLog
    models : sequence of Model
    plan : Plan

    Returns
    -------
    Study
    """
    start, end = int(log.time[0]), int(log.time[-1])
    fits = None
    ready = list(models)
    if any(model.unfitted for model in models):
        split = start + round((end - start) * FIT_SHARE)
        fits = fit_models(log, plan, split)
        start = split
        ready = [_fitted(model, fits) for model in models]
    probes = _probes(log, plan, start, end)
    truth = true_waits(log, probes, plan.horizon_ns)
    predicted = {
        model.label: predicted_waits(log.tape, probes, model, plan.horizon_ns, plan.lot_size)
        for model in ready
    }
    graded = grade(probes, truth, predicted, plan.horizons_s, plan.seed)
    return Study(probes, graded, ready, fits)


def _fitted(model: Model, fits: Fits) -> Model:
    if not model.unfitted:
        return model
    if model.name == "table":
        return replace(model, table=np.asarray(fits.table.table))
    power = fits.powers[model.name].power
    return replace(model, power=power, label=f"{model.name}(fit {power:.2f})")

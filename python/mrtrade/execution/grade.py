"""Predicted against true fills: rates, times to fill, by distance and queue, with standard errors.

Every probe is watched for the same time, the longest horizon, and none is lost before it. So the
share filled by a time needs no correction for censoring (the Kaplan-Meier curve is the plain
share); beyond the horizon nothing is known, and times to fill are restricted to it: the mean of
min(wait, horizon), and a median that is infinite where fewer than half were filled.

Probes that overlap in time see the same market, so they are no independent draws. Standard errors
come from the bootstrap over blocks of time that are longer than the horizon (Kuensch 1989; here
blocks do not overlap, as Carlstein 1986), each block taken whole. Model and truth are resampled
together: the error of their difference is smaller than that of either.

References
----------
Carlstein (1986), Annals of Statistics 14(3), 1171-1179. Kuensch (1989), Annals of Statistics 17(3),
1217-1241. Brier (1950), Monthly Weather Review 78(1), 1-3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.errors import DataError
from mrtrade.execution.orders import Ints
from mrtrade.execution.predict import Floats
from mrtrade.execution.truth import NEVER, Probes

N_BOOTSTRAP = 500
HORIZONS_PER_BLOCK = 2
"""Length of a bootstrap block in longest horizons."""
MIN_BLOCKS = 10
QUEUE_GROUPS = 4
"""The queues at arrival are split at their quantiles into so many groups."""


@dataclass(frozen=True)
class Grade:
    """How far each model can be trusted.

    Attributes
    ----------
    summary : DataFrame
        A row for each model and horizon: `model, horizon_s, predicted, true, difference, se`
        (rates; the difference is predicted - true, with its standard error), `both, only_model,
        only_truth, neither` (shares of the probes: the confusion matrix), `wrong` (its two kinds of
        errors, which is the Brier score of the model's yes or no), `brier` (that of the model's
        fill rate in the probe's cell of distance and queue as a probability), `brier_floor` (that
        of the true rate there).
    times : DataFrame
        A row for each model, "truth" first: `median_s, median_se, mean_s, mean_se` of the time to
        fill (see the module), `bias_s, bias_se` (mean against the truth's), `gap` (greatest
        distance of the two curves of filled shares, Kolmogorov's), `area_s` (area between them).
    groups : DataFrame
        A row for each model, horizon and group: `by` ("distance", ticks; "queue", lots on arrival,
        quantile groups of the probes nearest to the touch), `group` (its label), `probes`,
        `predicted, true, difference, se`.
    cells : DataFrame
        The same for each cell of distance and queue within it: the calibration.
    waits : dict of ndarray
        Seconds to the fill by model, and of "truth"; infinite beyond the longest horizon.
    """

    summary: pd.DataFrame
    times: pd.DataFrame
    groups: pd.DataFrame
    cells: pd.DataFrame
    waits: dict[str, Floats]

    @property
    def models(self) -> list[str]:
        """Labels, in the order given."""
        return [label for label in self.waits if label != "truth"]


class _Blocks:
    """Resampled weights of the probes, block by block."""

    def __init__(self, probes: Probes, block_ns: int, seed: int) -> None:
        _, self.block = np.unique(probes.time // block_ns, return_inverse=True)
        self.n = int(self.block.max()) + 1
        if self.n < MIN_BLOCKS:
            raise DataError(
                "too short a recording for standard errors",
                value=f"{self.n} blocks of {block_ns / 1e9:g} s",
                expected=f"at least {MIN_BLOCKS}",
                remedy="record longer, or shorten the longest horizon",
            )
        draw = np.random.default_rng(seed)
        even = np.full(self.n, 1.0 / self.n)
        self.times = draw.multinomial(self.n, even, N_BOOTSTRAP).astype(np.float64)

    def mean(self, values: Floats, of: npt.NDArray[np.bool_] | None = None) -> tuple[float, float]:
        """Mean of values (of those in `of`) and its standard error."""
        block = self.block if of is None else self.block[of]
        values = values if of is None else values[of]
        total = np.bincount(block, values, self.n)
        count = np.bincount(block, minlength=self.n)
        weight = self.times @ count
        drawn = (self.times @ total)[weight > 0] / weight[weight > 0]
        return float(values.mean()), float(drawn.std(ddof=1))

    def median(self, values: Floats) -> tuple[float, float]:
        """Lower median and its standard error, both infinite if fewer than half are finite."""
        order = np.argsort(values, kind="stable")
        weight = np.cumsum(self.times[:, self.block[order]], axis=1)
        at = (weight < 0.5 * weight[:, -1:]).sum(axis=1)
        middle = float(values[order[(len(values) - 1) // 2]])
        drawn = values[order[at]]
        finite = np.isfinite(middle) and bool(np.isfinite(drawn).all())
        return middle, float(drawn.std(ddof=1)) if finite else np.inf


def grade(
    probes: Probes,
    truth: Ints,
    predicted: Mapping[str, Ints],
    horizons_s: Sequence[float],
    seed: int = 0,
) -> Grade:
    """Hold predictions against the truth.

    Parameters
    ----------
    probes : Probes
    truth : ndarray of int64
        Of `true_waits` at the longest horizon.
    predicted : Mapping of str to ndarray of int64
        Of `predicted_waits`, by the model's label.
    horizons_s : sequence of float
        Seconds, rising.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Grade
    """
    longest = max(horizons_s)
    blocks = _Blocks(probes, round(HORIZONS_PER_BLOCK * longest * 1e9), seed)
    waits = {name: _seconds(one) for name, one in [("truth", truth), *predicted.items()]}
    nearest = probes.distance == probes.distance.min()
    by = {
        "distance": (np.ones(len(probes), np.bool_), probes.distance.astype(str).astype(object)),
        "queue": (nearest, _queue_groups(probes.queue[nearest])),
    }
    within = np.empty(len(probes), object)
    for distance in np.unique(probes.distance):
        at = probes.distance == distance
        labels = _queue_groups(probes.queue[at])
        within[at] = [f"{distance}, {label}" for label in labels]
    summary, groups, cells = [], [], []
    for label in predicted:
        for horizon in horizons_s:
            yes, real = waits[label] <= horizon, waits["truth"] <= horizon
            summary.append({"model": label, "horizon_s": horizon} | _row(blocks, yes, real, within))
            of: dict[str, object] = {"model": label, "horizon_s": horizon}
            for name, (among, group) in by.items():
                rows = _by_group(blocks, yes, real, among, group)
                groups += [of | {"by": name} | row for row in rows]
            rows = _by_group(blocks, yes, real, np.ones(len(probes), np.bool_), within)
            cells += [of | row for row in rows]
    times = [_times(blocks, name, waits, longest) for name in waits]
    return Grade(
        pd.DataFrame(summary), pd.DataFrame(times), pd.DataFrame(groups), pd.DataFrame(cells), waits
    )


def _seconds(waits: Ints) -> Floats:
    return np.where(waits == NEVER, np.inf, waits / 1e9)


def _queue_groups(queue: Ints) -> npt.NDArray[np.object_]:
    """Label of each probe's quantile group: its least and greatest size at arrival, lots."""
    cuts = np.quantile(queue, np.arange(1, QUEUE_GROUPS) / QUEUE_GROUPS)
    group = np.searchsorted(cuts, queue, side="right")
    out = np.empty(len(queue), object)
    for one in np.unique(group):
        at = group == one
        out[at] = f"{queue[at].min()}-{queue[at].max()}"
    return out


def _row(
    blocks: _Blocks,
    yes: npt.NDArray[np.bool_],
    real: npt.NDArray[np.bool_],
    cell: npt.NDArray[np.object_],
) -> dict[str, float]:
    difference, se = blocks.mean(yes.astype(np.float64) - real)
    _, number, size = np.unique(cell.astype(str), return_inverse=True, return_counts=True)
    model_rate = np.bincount(number, yes) / size
    true_rate = np.bincount(number, real) / size
    return {
        "predicted": float(yes.mean()),
        "true": float(real.mean()),
        "difference": difference,
        "se": se,
        "both": float((yes & real).mean()),
        "only_model": float((yes & ~real).mean()),
        "only_truth": float((~yes & real).mean()),
        "neither": float((~yes & ~real).mean()),
        "wrong": float((yes != real).mean()),
        "brier": float(((model_rate[number] - real) ** 2).mean()),
        "brier_floor": float(((true_rate[number] - real) ** 2).mean()),
    }


def _by_group(
    blocks: _Blocks,
    yes: npt.NDArray[np.bool_],
    real: npt.NDArray[np.bool_],
    among: npt.NDArray[np.bool_],
    group: npt.NDArray[np.object_],
) -> list[dict[str, object]]:
    """Rows of the groups; `group` labels the probes that are in `among`."""
    rows: list[dict[str, object]] = []
    for label in sorted(set(group.tolist()), key=_first_number):
        at = among.copy()
        at[among] = group == label
        difference, se = blocks.mean(yes.astype(np.float64) - real, at)
        rows.append(
            {
                "group": label,
                "probes": int(at.sum()),
                "predicted": float(yes[at].mean()),
                "true": float(real[at].mean()),
                "difference": difference,
                "se": se,
            }
        )
    return rows


def _first_number(label: str) -> list[int]:
    """Order of group labels such as "2, 10-99"."""
    return [int(word.split("-")[0]) for word in label.split(", ")]


def _times(
    blocks: _Blocks, name: str, waits: dict[str, Floats], horizon: float
) -> dict[str, str | float]:
    mine, truth = waits[name], waits["truth"]
    median, median_se = blocks.median(mine)
    mean, mean_se = blocks.mean(np.minimum(mine, horizon))
    bias, bias_se = blocks.mean(np.minimum(mine, horizon) - np.minimum(truth, horizon))
    points = np.unique(np.concatenate([[0.0], mine, truth]))
    points = points[np.isfinite(points)]
    curves = [np.searchsorted(np.sort(one), points, side="right") for one in (mine, truth)]
    apart = np.abs(curves[0] - curves[1]) / len(mine)
    return {
        "model": name,
        "median_s": median,
        "median_se": median_se,
        "mean_s": mean,
        "mean_se": mean_se,
        "bias_s": bias,
        "bias_se": bias_se,
        "gap": float(apart.max()),
        "area_s": float((apart * np.diff(points, append=horizon)).sum()),
    }

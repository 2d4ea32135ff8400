"""Grades: by hand on a few probes, against other programs, and errors as large as told."""

import numpy as np
import pytest
from statsmodels.duration.survfunc import SurvfuncRight

from mrtrade.errors import DataError
from mrtrade.execution import NEVER, Probes, grade

SECOND = 10**9


def probes(n, seed=0, distances=(0,), span=3600):
    draw = np.random.default_rng(seed)
    time = np.sort(draw.integers(0, span * SECOND, n))
    ones = np.ones(n, np.int64)
    return Probes(time, ones, 100 * ones, draw.choice(distances, n), draw.integers(0, 1000, n))


def waits(n, seed, rate):
    """Exponential times, censored at 10 s."""
    w = (np.random.default_rng(seed).exponential(1.0 / rate, n) * SECOND).astype(np.int64)
    return np.where(w <= 10 * SECOND, w, NEVER)


def test_the_table_by_hand():
    """Eight probes, one a block but two in the last: true and predicted waits in seconds."""
    time = np.array([0, 20, 40, 60, 80, 100, 120, 140, 160, 180, 185]) * SECOND
    never = np.inf
    true = np.array([1, 2, 3, never, never, 1, 8, 9, 1, 2, never])
    model = np.array([1, 4, never, 5, never, 2, 7, never, 1, 2, 10])
    n = len(time)
    ones = np.ones(n, np.int64)
    at = Probes(time, ones, ones, np.arange(n) % 2, np.arange(n) * 10)
    ns = [np.where(np.isinf(w), NEVER, w * SECOND).astype(np.int64) for w in (true, model)]
    got = grade(at, ns[0], {"m": ns[1]}, (3.0, 10.0))
    row = got.summary[got.summary["horizon_s"] == 3.0].iloc[0]
    assert row["true"] == pytest.approx(6 / n)
    assert row["predicted"] == pytest.approx(4 / n)
    assert row["difference"] == pytest.approx(-2 / n)
    shares = [row[name] * n for name in ("both", "only_model", "only_truth", "neither", "wrong")]
    assert shares == pytest.approx([4, 0, 2, 5, 2])
    late = got.summary[got.summary["horizon_s"] == 10.0].iloc[0]
    shares = [late[name] * n for name in ("both", "only_model", "only_truth", "neither", "wrong")]
    assert shares == pytest.approx([6, 2, 2, 1, 4])
    times = got.times.set_index("model")
    assert times["median_s"].to_dict() == {"truth": 3.0, "m": 5.0}
    assert times["mean_s"]["truth"] == pytest.approx((27 + 3 * 10) / n)
    assert times["mean_s"]["m"] == pytest.approx((32 + 3 * 10) / n)
    assert times["bias_s"]["m"] == pytest.approx(5 / n)
    # the curves: steps of 1/11; furthest apart from 3 s (6 against 4) on
    assert times["gap"]["m"] == pytest.approx(2 / n)
    even = got.groups[(got.groups["by"] == "distance") & (got.groups["horizon_s"] == 3.0)]
    assert even["group"].tolist() == ["0", "1"]
    assert even["probes"].tolist() == [6, 5]
    assert even["true"].tolist() == pytest.approx([3 / 6, 3 / 5])
    # the queue groups are of the nearest probes: 0, 20, 40, 60, 80, 100 lots
    queue = got.groups[(got.groups["by"] == "queue") & (got.groups["horizon_s"] == 3.0)]
    assert queue["probes"].sum() == 6
    assert queue["group"].iloc[0].startswith("0-")
    cells = got.cells[got.cells["horizon_s"] == 3.0]
    assert cells["probes"].sum() == n
    assert (cells["probes"] * cells["true"]).sum() == pytest.approx(6)
    # Brier's score of the cells' rates: of the truth's own, the variance within the cells
    inside = (cells["probes"] * cells["true"] * (1 - cells["true"])).sum() / n
    assert row["brier_floor"] == pytest.approx(inside)
    off = (cells["probes"] * (cells["predicted"] - cells["true"]) ** 2).sum() / n
    assert row["brier"] == pytest.approx(inside + off)


def test_the_curve_and_the_mean_are_kaplan_and_meiers():
    """Censored at one time only, the plain share is the product-limit curve."""
    n = 2000
    at, true = probes(n), waits(n, 1, 0.2)
    got = grade(at, true, {"same": true}, (1.0, 10.0))
    known = true < NEVER
    curve = SurvfuncRight(np.where(known, true / 1e9, 10.0), known.astype(int))
    times, alive = np.append(0.0, curve.surv_times), np.append(1.0, curve.surv_prob)
    mean = (alive * np.diff(times, append=10.0)).sum()
    row = got.times.set_index("model").loc["same"]
    assert row["mean_s"] == pytest.approx(mean, rel=1e-9)
    assert row["median_s"] == pytest.approx(curve.quantile(0.5), rel=1e-9)
    filled = 1.0 - alive[np.searchsorted(times, 1.0, side="right") - 1]
    assert got.summary["true"][0] == pytest.approx(filled)
    assert row["bias_s"] == row["gap"] == row["area_s"] == 0.0


def test_the_area_is_wassersteins():
    n = 1000
    a, b = waits(n, 1, 0.2), waits(n, 2, 0.4)
    got = grade(probes(n), a, {"b": b}, (10.0,))
    held = [np.where(w == NEVER, 10.0, w / 1e9) for w in (a, b)]
    from scipy.stats import ks_2samp, wasserstein_distance

    row = got.times.set_index("model").loc["b"]
    assert row["area_s"] == pytest.approx(wasserstein_distance(*held), rel=1e-9)
    assert row["gap"] == pytest.approx(ks_2samp(*held).statistic, abs=1e-9)


def test_errors_of_independent_probes_are_binomial():
    n = 20_000
    true, other = waits(n, 1, 0.2), waits(n, 2, 0.2)
    got = grade(probes(n, span=36_000), true, {"other": other}, (5.0, 10.0))
    row = got.summary.iloc[0]
    variance = row["wrong"] - row["difference"] ** 2  # of a difference of two yes or no
    assert row["se"] == pytest.approx(np.sqrt(variance / n), rel=0.12)
    mean = got.times.set_index("model").loc["truth"]
    held = np.where(true == NEVER, 10.0, true / 1e9)
    assert mean["mean_se"] == pytest.approx(held.std() / np.sqrt(n), rel=0.12)
    # the median of an exponential: 1 / (2 f sqrt(n)), f = rate / 2
    assert mean["median_se"] == pytest.approx(1 / (0.2 * np.sqrt(n)), rel=0.12)


def test_errors_of_probes_that_share_their_fate_are_larger():
    n = 20_000
    at = probes(n, span=36_000)
    block = (at.time // (20 * SECOND)).astype(int)
    fate = np.random.default_rng(1).random(block.max() + 1) < 0.5
    true = np.where(fate[block], SECOND, NEVER)
    got = grade(at, true, {"none": np.full(n, NEVER)}, (10.0,))
    blocks = block.max() + 1
    assert got.summary["se"][0] == pytest.approx(0.5 / np.sqrt(blocks), rel=0.15)
    assert got.times["median_se"].isin([np.inf]).any()


def test_too_short_a_recording_has_no_errors():
    with pytest.raises(DataError, match="too short a recording for standard errors"):
        grade(probes(50, span=100), waits(50, 1, 0.2), {}, (10.0,))

"""Order flow and lead-lag against golden numbers of foreign programs, and published ones."""

import numpy as np
import pytest

from mrcore.flow import BulkVPIN, KyleLambda
from mrcore.leadlag import LeadLag

from ..features.golden import golden

SECOND = 1_000_000_000


def test_buckets_of_bulk_vpin_to_the_last_digit():
    """PINstimation's, with its sigma of the whole sample, which ours takes where it is known.

    Its changes are of bars by themselves, so the prices here are their sum. Of its 101 buckets the
    last is empty: all were full.
    """
    expected = golden("vpin").expected
    changes, volumes = expected["bar_change"], expected["bar_volume"]
    prices = np.r_[0.0, np.cumsum(changes)]
    volumes = np.r_[1.0, volumes]  # the first only says where the price begins
    bucket, sigma = expected["bucket_volume"], expected["sigma"]
    for n in (1, 50):
        vpin, closed, seen = BulkVPIN(bucket, n, sigma=sigma), 0, {}
        for price, volume in zip(prices, volumes, strict=True):
            value = vpin.update(price, volume)
            if vpin.buckets_closed == closed + 1:
                seen[closed] = value
            closed = int(vpin.buckets_closed)
        imbalance = expected["imbalance"][:100] / bucket
        assert closed == 100
        assert len(seen) > 60
        for last, value in seen.items():
            if last >= n - 1:
                want = np.abs(imbalance[last + 1 - n : last + 1]).mean()
                assert value == pytest.approx(want, abs=1e-14)


def test_a_sigma_that_is_not_one():
    for sigma in (-1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match="sigma must be finite and >= 0"):
            BulkVPIN(1.0, sigma=sigma)
    halves = BulkVPIN(1.0, 1, sigma=0.0)
    halves.update(1.0, 1.0)
    assert halves.update(2.0, 1.0) == 0.0  # it tells nothing: half and half


def test_lambda_of_kyle_1985():
    """sigma_v 0.5, sigma_u 120: sigma_v / (2 sigma_u) = 0.00208333 in equilibrium."""
    inputs, expected, _ = golden("kyle")
    assert expected["theory"] == 0.5 / (2 * 120)
    exact = KyleLambda(400).batch(inputs["change"], inputs["flow"])[-1]
    assert exact == pytest.approx(expected["theory"], rel=1e-9)
    found = KyleLambda(400).batch(inputs["surprise"], inputs["flow"])[-1]
    assert found == pytest.approx(expected["slope"], rel=1e-12)
    assert abs(found - expected["theory"]) < 2 * expected["slope_se"]


@pytest.mark.parametrize("window", [60, 300])
def test_rolling_lambda_and_its_t(window):
    inputs, expected, _ = golden("kyle")
    rows = inputs["rows"]
    kyle = KyleLambda(window)
    slopes, ts = [], []
    for change, flow in zip(inputs["noisy"], inputs["flow"], strict=True):
        slopes.append(kyle.update(change, flow))
        ts.append(kyle.tstat)
    np.testing.assert_allclose(np.array(slopes)[rows], expected[f"lambda_{window}"], rtol=1e-9)
    np.testing.assert_allclose(np.array(ts)[rows], expected[f"t_{window}"], rtol=1e-9)


def seen(inputs, changes_only):
    """Both series as (time in ms, log price), perhaps without what repeats the price before."""
    for side in "ab":
        time, log = inputs[f"time_{side}"], np.log(inputs[f"price_{side}"])
        keep = np.r_[True, np.diff(log) != 0] | (not changes_only)
        yield time[keep], log[keep]


def contrast(inputs, lag_ms, changes_only):
    """The sum of the products of all increments that overlap, pair by pair."""
    (x_time, x), (y_time, y) = seen(inputs, changes_only)
    later = np.maximum.outer(x_time[:-1] + lag_ms, y_time[:-1])
    overlap = later < np.minimum.outer(x_time[1:] + lag_ms, y_time[1:])
    return np.diff(x) @ overlap @ np.diff(y)


@pytest.mark.parametrize("topic", ["hayashi_yoshida", "lead_lag"])
def test_hayashi_yoshida_and_its_contrasts(topic):
    """Both programs take every price; ours takes changes, so the sum is held to them between."""
    inputs, expected, _ = golden(topic)
    lags = (inputs["lags"] * (1000 if topic == "hayashi_yoshida" else 1)).astype(np.int64)
    scales, sums = {}, {}
    for changes_only in (False, True):
        x, y = (log for _, log in seen(inputs, changes_only))
        scales[changes_only] = np.sqrt((np.diff(x) ** 2).sum() * (np.diff(y) ** 2).sum())
        sums[changes_only] = np.array([contrast(inputs, lag, changes_only) for lag in lags])
    if topic == "hayashi_yoshida":
        np.testing.assert_allclose(sums[False], expected["contrast"], rtol=1e-12)
        scale = np.sqrt(expected["variance_a"] * expected["variance_b"])
        assert scales[False] == pytest.approx(scale, rel=1e-12)
    else:  # absolute and scaled
        scaled = np.abs(sums[False]) / scales[False]
        np.testing.assert_allclose(scaled, expected["contrast"], rtol=1e-12)
    times = [(inputs[f"time_{side}"] * 1_000_000).astype(np.int64) for side in "ab"]
    logs = [np.log(inputs[f"price_{side}"]) for side in "ab"]
    end = np.array([max(time[-1] for time in times)])
    kernel = LeadLag(2 * int(end[0]), lags * 1_000_000)
    covariance, correlation, lead, at_lead, ratio = (
        part[0] for part in kernel.batch(times[0], logs[0], times[1], logs[1], end)
    )
    ours, zero, best = sums[True], lags.tolist().index(0), np.argmax(np.abs(sums[True]))
    assert covariance == pytest.approx(ours[zero], rel=1e-12)
    assert correlation == pytest.approx(ours[zero] / scales[True], rel=1e-12)
    assert lead == lags[best] / 1000
    assert abs(lead - 2.0) <= 0.25  # what was planted, within the grid
    assert at_lead == pytest.approx(ours[best] / scales[True], rel=1e-12)
    squares = ours**2
    assert ratio == pytest.approx(squares[lags > 0].sum() / squares[lags < 0].sum(), rel=1e-11)

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtrade.errors import ConfigError, DataError
from mrtrade.validation.overfitting import blocks_for, pbo_cscv


def noise(seed, rows=400, count=20):
    return np.random.default_rng(seed).normal(size=(rows, count))


def slow(x, blocks):
    """Every split as the paper tells it: half of the blocks in sample."""

    def ratio(rows):
        mean, spread = rows.mean(axis=0), rows.std(axis=0, ddof=1)
        return np.divide(mean, spread, out=np.zeros_like(mean), where=spread > 1e-9)

    parts = np.array_split(np.arange(len(x)), blocks)
    found = []
    for inside in combinations(range(blocks), blocks // 2):
        rows = np.concatenate([parts[i] for i in inside])
        rest = np.setdiff1d(np.arange(len(x)), rows)
        best = int(np.argmax(ratio(x[rows])))
        after = ratio(x[rest])
        rank = np.mean(np.flatnonzero(np.sort(after) == after[best])) + 1.0  # ties share it
        omega = rank / (x.shape[1] + 1)
        found.append((np.log(omega / (1 - omega)), ratio(x[rows])[best], after[best], best))
    return np.array(found)


def sorted_rows(*columns):
    rows = np.column_stack(columns)
    return rows[np.lexsort(np.round(rows, 9).T)]


@pytest.mark.parametrize(
    ("rows", "count", "blocks"), [(103, 7, 6), (80, 4, 6), (24, 2, 4), (9, 3, 2)]
)
def test_matches_a_slow_twin(rows, count, blocks):
    x = noise(rows, rows, count)
    x[: rows // 2, 0] = 0.0  # one that did not trade at first
    found, twin = pbo_cscv(x, blocks), slow(x, blocks)
    np.testing.assert_allclose(
        sorted_rows(found.logits, found.in_sample, found.out_of_sample, found.chosen),
        sorted_rows(*twin.T),
        atol=1e-9,
    )
    assert found.pbo == np.mean(twin[:, 0] <= 0.0)
    assert found.pbo_strict == np.mean(twin[:, 0] < 0.0)
    assert found.loss == np.mean(twin[:, 2] <= 0.0)
    assert found.slope == pytest.approx(np.polyfit(twin[:, 1], twin[:, 2], 1)[0], abs=1e-9)
    assert found.intercept == pytest.approx(np.polyfit(twin[:, 1], twin[:, 2], 1)[1], abs=1e-9)


@pytest.mark.parametrize(
    ("count", "strict", "slope", "logits"),
    [
        (20, 60, -0.5263159357331353, 418.5493301725645),
        (21, 10, -0.4883599858900866, 644.9969624574208),
    ],
)
def test_matches_another_library(count, strict, slope, logits):
    # purgedcv 0.1.11, probability_of_backtest_overfitting(x.T, n_splits=10): its PBO times the 252
    # splits, its slope, the sum of its logits.
    found = pbo_cscv(noise(count, 300, count), 10)
    assert found.pbo_strict == strict / 252  # it counts logits below 0 only
    assert found.logits.sum() == pytest.approx(logits, rel=1e-12)
    assert found.slope == pytest.approx(slope, rel=1e-10)


def test_of_an_odd_number_one_is_the_median():
    assert pbo_cscv(noise(21, 300, 21), 10).pbo > pbo_cscv(noise(21, 300, 21), 10).pbo_strict
    assert pbo_cscv(noise(20, 300, 20), 10).pbo == pbo_cscv(noise(20, 300, 20), 10).pbo_strict


def test_planted_skill_is_found_and_planted_overfitting_too():
    x = noise(1)
    x[:, 4] += 0.5
    skill = pbo_cscv(x)
    assert skill.blocks == 16
    assert len(skill.logits) == math.comb(16, 8)
    assert skill.pbo < 0.01
    assert skill.loss == 0.0
    assert set(skill.chosen) == {4}
    # Each is good in one block of eight and bad in all others: the better, the worse after.
    x = noise(2, 400, 8)
    for i in range(8):
        x[:, i] -= 0.5
        x[50 * i : 50 * (i + 1), i] += 4.0
    trap = pbo_cscv(x, 8)
    assert trap.pbo > 0.95
    assert trap.slope < 0.0
    assert trap.loss > 0.95


def test_a_half_without_a_trade_earned_nothing():
    x = noise(5, 64, 2)
    x[:, 0] = 0.0  # never traded: the better one of two wherever the other lost
    x[:, 1] -= 10.0
    found = pbo_cscv(x, 8)
    assert set(found.chosen) == {0}
    assert (found.loss, found.pbo) == (1.0, 0.0)


@pytest.mark.simulation
def test_noise_is_at_one_half_and_one_number_of_it_is_noisy():
    found = [pbo_cscv(noise(seed, 500, 50), 10, offsets=1).pbo for seed in range(150)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.04)
    assert 0.08 < np.std(found) < 0.2


@pytest.mark.simulation
def test_moved_edges_show_less_than_other_data():
    results = [pbo_cscv(noise(seed, 500, 50), 10, offsets=5) for seed in range(60)]
    between = np.std([one.pbo for one in results])
    within = np.sqrt(np.mean([np.var(one.offsets, ddof=1) for one in results]))
    assert 0.2 * between < within < between


def test_offsets_begin_at_the_edges_as_they_are():
    found = pbo_cscv(noise(3), 8, offsets=4)
    assert found.offsets[0] == found.pbo
    assert len(found.offsets) == 4
    assert len(pbo_cscv(noise(3), 8, offsets=1).offsets) == 1
    rolled = pbo_cscv(np.roll(noise(3), -25, axis=0), 8, offsets=1)
    assert found.offsets[2] == rolled.pbo


def test_many_configurations_are_done_in_parts_alike(monkeypatch):
    x = noise(4)
    whole = pbo_cscv(x, 12)
    monkeypatch.setattr("mrtrade.validation.overfitting.CHUNK", 100)
    parts = pbo_cscv(x, 12)
    np.testing.assert_allclose(np.sort(parts.logits), np.sort(whole.logits), atol=1e-12)
    assert parts.pbo == whole.pbo


@given(st.integers(0, 10_000), st.integers(2, 12), st.sampled_from([2, 4, 6]))
def test_what_a_probability_is(seed, count, blocks):
    found = pbo_cscv(noise(seed, 24, count), blocks)
    assert 0.0 <= found.pbo_strict <= found.pbo <= 1.0
    edges, counts = found.histogram()
    assert counts.sum() == len(found.logits)
    assert counts[edges[1:] <= 1e-12].sum() == np.sum(found.logits <= 0.0)


def test_the_order_of_configurations_and_a_scale_do_not_matter():
    x = noise(5)
    one, other = pbo_cscv(x, 8), pbo_cscv(1e-4 * x[:, ::-1], 8)
    assert one.pbo == other.pbo
    assert one.slope == pytest.approx(other.slope)


def test_equal_configurations_are_at_the_median():
    x = np.repeat(noise(6, 200, 1), 5, axis=1)
    found = pbo_cscv(x, 8)
    np.testing.assert_allclose(found.logits, 0.0, atol=1e-12)
    assert (found.pbo, found.pbo_strict) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("rows", "blocks"), [(10_000, 16), (128, 16), (127, 14), (64, 8), (33, 4), (32, 4), (31, 0)]
)
def test_blocks_are_adapted_to_the_length(rows, blocks):
    assert blocks_for(rows) == blocks
    found = pbo_cscv(noise(7, rows, 3), offsets=1)
    assert found.blocks == blocks
    assert math.isnan(found.pbo) == (blocks == 0)


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (noise(8, 400, 1), "nothing was chosen"),
        (noise(8, 20, 5), "too few for 4 blocks"),
        (np.zeros((400, 5)), "ever traded"),
    ],
)
def test_says_why_it_has_no_number(x, reason):
    found = pbo_cscv(x)
    assert math.isnan(found.pbo)
    assert reason in found.reason
    assert found.histogram()[1].sum() == 0


def test_refuses_what_it_cannot_count():
    for blocks in (5, 0, 402):
        with pytest.raises(ConfigError, match="even number from 2 to 400"):
            pbo_cscv(noise(9), blocks)
    with pytest.raises(ConfigError, match="offsets"):
        pbo_cscv(noise(9), offsets=0)
    x = noise(9)
    x[7, 2] = math.nan
    with pytest.raises(DataError, match="row 7"):
        pbo_cscv(x)
    with pytest.raises(DataError, match="2 axes"):
        pbo_cscv(x[:, 0])

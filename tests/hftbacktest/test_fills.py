"""Fills equal hftbacktest's, from its stored answers (`make_outcomes.py` made them)."""

from itertools import combinations

import numpy as np
import pytest

from .compare import (
    CONFIGS,
    FAULTS,
    MODELS,
    OUTCOMES,
    Answer,
    Case,
    Outcomes,
    assert_equal,
    core,
    requests,
    stored,
    twin,
)
from .feeds import CONSTANT, FOK, GTC, IOC, MARKET, POST_ONLY, Feed, Schedule, columns


@pytest.fixture(scope="module")
def recorded_answers() -> tuple[Feed, dict[str, Case]]:
    return stored(OUTCOMES)


@pytest.fixture(scope="module", params=["constant", "recorded"])
def case(request, recorded_answers) -> tuple[Feed, Case]:
    feed, cases = recorded_answers
    return feed, cases[request.param]


@pytest.fixture(scope="module", params=CONFIGS)
def answer(request, case) -> tuple[str, Answer]:
    feed, (schedule, delays, _) = case
    return request.param, core(feed, schedule, request.param, delays)


def test_schedule_is_large_enough(case) -> None:
    _, (schedule, _, outcomes) = case
    for tif in (GTC, POST_ONLY, IOC, MARKET, FOK):
        assert (schedule.tif == tif).sum() >= 400
    assert (schedule.replace > 0).sum() >= 900
    for theirs in outcomes.values():
        assert set(theirs.status.tolist()) >= {1, 2, 3, 4}


def test_core_equals_hftbacktest(answer, case) -> None:
    config, ours = answer
    _, (schedule, delays, outcomes) = case
    assert_equal(schedule, ours, outcomes[config], requests(schedule, ours, delays)[2])


def test_every_fill_counts(answer, case) -> None:
    """An order's fills add up to what is gone from it, whatever became of the rest."""
    _, ours = answer
    schedule = case[1].schedule
    lots = np.where(ours.replaced > 0, schedule.new_lots, schedule.lots)
    filled = np.bincount(ours.fills[:, 0], ours.fills[:, 3], len(lots))
    np.testing.assert_array_equal(filled, lots - ours.outcomes.remaining)


@pytest.mark.parametrize("config", CONFIGS)
def test_twin_equals_hftbacktest_and_core(config, recorded_answers) -> None:
    feed, cases = recorded_answers
    every, delays, outcomes = cases["constant"]
    # Own orders do not meet each other: some of them end as they do among all of them.
    schedule = Schedule(*(column[::4] for column in every))
    theirs = Outcomes(*(column[::4] for column in outcomes[config]))
    slow, ours = twin(feed, schedule, config, delays), core(feed, schedule, config, delays)
    assert_equal(schedule, slow, theirs, requests(schedule, slow, delays)[2])
    for name in ("fills", "replaced", "exact"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(slow, name), name)


def test_schedule_tells_the_models_apart(case) -> None:
    """A simulator that took one model or exchange for another would be seen."""
    outcomes = case[1].outcomes
    for a, b in combinations(CONFIGS, 2):
        differ = np.zeros(len(outcomes[a].status), bool)
        for x, y in zip(outcomes[a], outcomes[b], strict=True):
            differ |= x != y
        assert differ.sum() >= 10, (a, b)


def test_schedule_meets_the_faults(case) -> None:
    feed, (schedule, delays, _) = case
    met = requests(schedule, core(feed, schedule, "power/partial", delays), delays)[2]
    assert list(met) == list(FAULTS)
    for fault in ("exact", "resized", "rest"):
        assert met[fault].sum() >= 2, fault


def exact_fill() -> tuple[Feed, Schedule]:
    """A bid for 10 lots alone at its price; 10 lots are sold to it, then 10 more."""
    ms = 1_000_000
    book = [(ms, 0, 0, 0), (ms, 1, 100, 5), (ms, -1, 102, 5), (90 * ms, -1, 103, 1)]
    sold = [(t * ms, -1, 101, 10) for t in (20, 30)]
    feed = Feed(*(columns(*np.array(rows).T) for rows in (book, sold)), 0.5, 0.001)
    order = (np.array([v]) for v in (10 * ms, 1, 101, 10, GTC, 0, 101, 10, 0))
    return feed, Schedule(*order)


@pytest.mark.parametrize("model", MODELS)
def test_exact_partial_fill_ends_the_order(model: str) -> None:
    """The second trade finds no order; hftbacktest stops here (`test_faults.py` shows it)."""
    ours = core(*exact_fill(), f"{model}/partial", CONSTANT)
    assert ours.fills.tolist() == [[0, 20_000_000, 101, 10, 1]]
    assert [c.tolist() for c in ours.outcomes] == [[3], [20_000_000], [101], [0]]
    assert ours.exact.tolist() == [True]

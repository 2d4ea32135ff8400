"""Fills equal hftbacktest's, from its stored answers (`make_outcomes.py` made them)."""

from itertools import combinations

import numpy as np
import pytest

from .compare import CONFIGS, OUTCOMES, Case, assert_equal, core, peer_lots, stored, twin
from .feeds import GTC, POST_ONLY, Feed, Schedule, columns


@pytest.fixture(scope="module")
def case() -> tuple[Feed, Schedule, Case]:
    return stored(OUTCOMES)


@pytest.fixture(scope="module", params=CONFIGS)
def answers(request, case):
    """Core and twin on the stored schedule, with hftbacktest's sizes and outcomes."""
    feed, schedule, outcomes = case
    config = request.param
    return core(feed, schedule, config), twin(feed, schedule, config), outcomes[config]


def test_schedule_is_large_enough(case) -> None:
    _, schedule, outcomes = case
    assert np.isin(schedule.tif, (GTC, POST_ONLY)).sum() >= 10_000
    for _, theirs in outcomes.values():
        assert set(theirs.status.tolist()) >= {1, 2, 3, 4}


def test_core_equals_hftbacktest(answers, case) -> None:
    ours, _, (_, theirs) = answers
    assert_equal(case[1], ours, theirs)


def test_twin_equals_hftbacktest(answers, case) -> None:
    _, (ours, exact), (lots, theirs) = answers
    assert_equal(case[1], ours, theirs)
    np.testing.assert_array_equal(peer_lots(case[1], exact), lots)


def test_core_and_twin_fill_alike(answers) -> None:
    ours, (slow, _), _ = answers
    np.testing.assert_array_equal(ours.fills, slow.fills)


def test_every_fill_counts(answers, case) -> None:
    """An order's fills add up to what is gone from it, whatever became of the rest."""
    ours, _, _ = answers
    schedule = case[1]
    filled = np.bincount(ours.fills[:, 0], ours.fills[:, 3], len(schedule.lots))
    np.testing.assert_array_equal(filled, schedule.lots - ours.outcomes.remaining)


def test_schedule_tells_the_models_apart(case) -> None:
    """A simulator that took one model or exchange for another would be seen."""
    outcomes = case[2]
    for a, b in combinations(CONFIGS, 2):
        differ = np.zeros(len(case[1].time), bool)
        for x, y in zip(outcomes[a][1], outcomes[b][1], strict=True):
            differ |= x != y
        assert differ.sum() >= 20, (a, b)
    assert sum((lots != case[1].lots).sum() for lots, _ in outcomes.values()) >= 5


def exact_fill() -> tuple[Feed, Schedule]:
    """A bid for 10 lots alone at its price; 10 lots are sold to it, then 10 more."""
    ms = 1_000_000
    book = [(ms, 0, 0, 0), (ms, 1, 100, 5), (ms, -1, 102, 5), (90 * ms, -1, 103, 1)]
    sold = [(t * ms, -1, 101, 10) for t in (20, 30)]
    feed = Feed(*(columns(*np.array(rows).T) for rows in (book, sold)), 0.5, 0.001)
    order = (np.array([v]) for v in (10 * ms, 1, 101, 10, GTC, 0))
    return feed, Schedule(*order)


@pytest.mark.parametrize("model", ["risk_averse", "power"])
def test_exact_partial_fill_ends_the_order(model: str) -> None:
    """The second trade finds no order; hftbacktest stops here (`test_live.py` shows it)."""
    ours = core(*exact_fill(), f"{model}/partial")
    assert ours.fills.tolist() == [[0, 20_000_000, 101, 10, 1]]
    assert [c.tolist() for c in ours.outcomes] == [[3], [20_000_000], [101], [0]]

"""What hftbacktest 2.4.4 does wrong, and ours does not: each of `compare.FAULTS`, and its position.

A bid for 15 lots, alone at tick 101, is sent at 10 ms; latencies are 1 ms. hftbacktest is
asked for it as ours is, and once more with the care of `compare.requests`: then it agrees.
"""

from typing import NamedTuple

import numpy as np
import pytest

from ..oracle.exchange import FILLED, NEW, PARTIALLY_FILLED
from .compare import Answer, Job, Requests, Theirs, assert_equal, core, peer, requests
from .feeds import CONSTANT, GTC, MARKET, Feed, Schedule, columns

CONFIG = "risk_averse/partial"
MS = 1_000_000
ANYHOW = 3  # a modify, even of an order that is known to be gone
BOOK = [(1, 0, 0, 0), (1, 1, 99, 5), (1, -1, 102, 5), (90, -1, 105, 1)]  # ms, side, tick, lots


class Case(NamedTuple):
    """`sold` are (ms, lots) at tick 101, `replace` is (ms, tick, lots)."""

    sold: list[tuple[float, int]]
    replace: tuple[float, int, int] = (0, 101, 15)
    cancel: float = 0
    tif: int = GTC
    far: tuple[tuple[int, int, int, int], ...] = ()  # more of the book


CASES = {
    "exact": Case([(20, 15), (30, 10)]),
    "position": Case([(20, 10)], cancel=30),
    "larger": Case([(40, 60)], replace=(20, 101, 40)),
    "price and size": Case([(40, 60)], replace=(20, 100, 5)),
    "on its way": Case([(20.5, 10), (40, 60)], replace=(20, 101, 16)),
    "what is left": Case([(20, 10), (50, 60)], replace=(30, 101, 14)),
    "less than filled": Case([(20, 10), (50, 60)], replace=(30, 101, 4)),
    "stale": Case([(20, 10)], replace=(30, 101, 13)),
    "reach": Case([(80, 1)], tif=MARKET, far=((1, -1, 202, 10),)),
    "too late": Case([(15, 20)], replace=(20, 101, 14)),
}


class Both(NamedTuple):
    ours: Answer
    theirs: Theirs  # asked the same
    careful: Theirs  # asked with care


@pytest.fixture(scope="module")
def both() -> dict[str, Both]:
    """Run all cases in both simulators."""
    answers, jobs, checks = {}, [], {}
    for name, case in CASES.items():
        feed, schedule = market(case)
        ours = answers[name] = core(feed, schedule, CONFIG)
        asked, orders, met = requests(schedule, ours, CONSTANT)
        checks[name] = schedule, met
        plain, careful = f"{CONFIG}/plain", f"{CONFIG}/careful"
        jobs.append(
            Job(
                feed,
                CONSTANT,
                {plain: plainly(case, asked), careful: asked},
                {plain: np.array([0]), careful: orders},
            )
        )
    out = {}
    for name, answer in zip(CASES, peer(*jobs), strict=True):
        out[name] = Both(answers[name], *answer.values())
        schedule, met = checks[name]
        assert out[name].careful.code == 1
        assert_equal(schedule, answers[name], out[name].careful.outcomes, met)
    return out


def market(case: Case) -> tuple[Feed, Schedule]:
    trades = [(int(ms * MS), -1, 101, n) for ms, n in case.sold]
    deltas = [(ms * MS, *level) for ms, *level in (*BOOK[:3], *case.far, *BOOK[3:])]
    feed = Feed(*(columns(*np.array(rows).T) for rows in (deltas, trades)), 0.5, 0.001)
    ms, tick, lots = case.replace
    order = (10 * MS, 1, 101, 15, case.tif, int(ms * MS), tick, lots, int(case.cancel * MS))
    return feed, Schedule(*(np.array([value]) for value in order))


def plainly(case: Case, asked: Requests) -> Requests:
    """The requests as ours gets them."""
    ms, tick, lots = case.replace
    rows = [(10 * MS, 0, 101, 15)]
    rows += [(int(ms * MS), ANYHOW, tick, lots)] * (ms > 0)
    rows += [(int(case.cancel * MS), 1, 0, 0)] * (case.cancel > 0)
    time, kind, ticks, sizes = np.array(rows).T
    return Requests(time, kind, 0 * time, ticks, sizes.astype(float), asked.side, asked.tif)


def fills(ours: Answer) -> list[tuple[int, int]]:
    """(ms, lots) of each."""
    return [(int(time) // MS, int(lots)) for _, time, _, lots, _ in ours.fills]


def test_an_exact_partial_fill_stops_it(both) -> None:
    """#273, #301, #312: the order stays in its book as Filled; its next fill is error 14."""
    ours, theirs, careful = both["exact"]
    assert theirs.code == 14
    assert fills(ours) == [(20, 15)]
    assert ours.outcomes.status == FILLED
    assert careful.outcomes.time == 20 * MS


def test_its_position_misses_partial_fills(both) -> None:
    """#299, #316: the 10 of 15 lots that it says were executed are not in its position."""
    ours, theirs, _ = both["position"]
    assert theirs.outcomes.remaining == 5
    assert round(theirs.position, 3) == 0.0
    assert fills(ours) == [(20, 10)]


def test_a_modify_to_a_larger_size_keeps_the_old_one(both) -> None:
    """#241, #317: the queue is lost for it, and yet 15 lots of 40 are what can be filled."""
    ours, theirs, careful = both["larger"]
    assert theirs.outcomes.status == FILLED
    assert round(theirs.position, 3) == 15
    assert fills(ours) == [(40, 40)]
    assert round(careful.position, 3) == 40


def test_a_modify_of_price_and_size_keeps_the_old_size(both) -> None:
    """#241, #317, the other way round: 15 lots are bought where 5 were wanted."""
    ours, theirs, _ = both["price and size"]
    assert theirs.outcomes.remaining == 15
    assert ours.outcomes.remaining == 5


def test_a_modify_forgets_a_fill_on_its_way(both) -> None:
    """#241, #317: 10 of 15 lots were bought when the modify comes, and 15 are bought again."""
    ours, theirs, careful = both["on its way"]
    assert theirs.outcomes.status == FILLED
    assert round(theirs.position, 3) == 15  # and the 10, which it does not count
    assert fills(ours) == [(20, 10), (40, 6)]
    assert careful.outcomes.status == FILLED


def test_a_modify_takes_its_size_for_what_is_left(both) -> None:
    """10 of 15 lots are filled; 14 in all are wanted, so 4 more, in the same place.

    14 is more than the 5 that are left, so it sends the order to the end of the queue (and keeps
    the 5).
    """
    ours, theirs, careful = both["what is left"]
    assert ours.outcomes.status == FILLED
    assert fills(ours) == [(20, 10), (50, 4)]
    assert theirs.outcomes.status == FILLED
    assert round(theirs.position, 3) == 5
    assert round(careful.position, 3) == 4


def test_a_modify_to_less_than_what_was_filled_goes_on(both) -> None:
    """10 of 15 lots are filled; 4 in all are wanted, so nothing more: it buys 4 more."""
    ours, theirs, _ = both["less than filled"]
    assert fills(ours) == [(20, 10)]
    assert theirs.outcomes.status == FILLED
    assert round(theirs.position, 3) == 4


def test_a_modified_order_stays_partly_filled(both) -> None:
    """Fixed in 5f3ec40, after 2.4.4: it keeps its status where it keeps its queue."""
    ours, _, careful = both["stale"]
    assert ours.outcomes.status == NEW
    assert careful.outcomes.status == PARTIALLY_FILLED
    assert careful.outcomes.remaining == ours.outcomes.remaining == 3


def test_a_market_order_looks_no_farther_than_100_ticks(both) -> None:
    """5 lots at 102, 10 at 202: of 15 it buys 5 and lets the rest expire."""
    ours, theirs, _ = both["reach"]
    assert theirs.outcomes.remaining == 10
    assert ours.fills[:, 2:4].tolist() == [[102, 5], [202, 10]]


def test_its_position_counts_a_fill_again_when_a_request_is_too_late(both) -> None:
    """A modify or cancel of an order known to be filled is rejected, and the fill comes with it."""
    ours, theirs, careful = both["too late"]
    assert fills(ours) == [(15, 15)]
    assert round(theirs.position, 3) == 30
    assert round(careful.position, 3) == 15

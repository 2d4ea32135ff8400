"""Order-level feeds: `fifo` fills as hftbacktest's ``L3FIFOQueueModel`` does (whole fills only).

Own orders are a thousandth of the market's: there a fill of any size fills every own order that
stood before what it filled, while ours never gives out more than the fill.
"""

import numpy as np
import pytest

from mrcore.l3 import KINDS, L3Book

from ..oracle.exchange import FILLED, GTC, NEW
from .compare import Answer, Job, Theirs, mismatches, peer, requests, run
from .feeds import ADD, CANCEL, CONSTANT, FILL, Schedule, Tape, order_level, schedule

CONFIG = "fifo/whole"
MS = 1_000_000


def both(tape: Tape, orders: Schedule) -> tuple[Answer, Theirs, dict[str, np.ndarray]]:
    outcomes, fills, replaced = run(tape, orders, CONFIG, CONSTANT)
    ours = Answer(outcomes, fills, replaced, np.zeros(len(orders.time), bool))
    asked, ids, met = requests(orders, ours, CONSTANT)
    theirs = peer(Job(tape, CONSTANT, {CONFIG: asked}, {CONFIG: ids}))[0][CONFIG]
    assert theirs.code == 1
    return ours, theirs, met


def better_than_the_market(tape: Tape, ours: Answer, side: np.ndarray) -> np.ndarray:
    """Own orders that a fill at a worse price filled, priced better than all of their side."""
    filled: dict[int, list[tuple[int, int]]] = {}
    for order, time, tick, _, maker in ours.fills.tolist():
        if maker:
            filled.setdefault(time, []).append((order, tick))
    better = np.zeros(len(side), bool)
    book = L3Book(tape.tick_size, tape.lot_size)
    for time, kind, *event in zip(*(column.tolist() for column in tape.events), strict=True):
        way, at = event[1:3]
        best = book.bid_tick if way > 0 else book.ask_tick
        for order, tick in filled.get(time, ()) if kind == FILL else ():
            better[order] |= side[order] == way and way * tick > max(way * best, way * at)
        book.update(KINDS[kind], *event)
    return better


@pytest.mark.parametrize("seed", [21, 22])
def test_every_order_ends_alike(seed: int) -> None:
    feed, tape = order_level(seed, seconds=120, scale=1000)
    orders = schedule(feed, 20_000, seed)
    ones = np.ones(20_000, np.int64)
    orders = orders._replace(lots=ones, new_lots=ones, replace=0 * ones)
    ours, theirs, met = both(tape, orders)
    wrong = np.unique(np.concatenate(list(mismatches(orders, ours, theirs.outcomes, met).values())))
    better = better_than_the_market(tape, ours, orders.side)
    print(f"{len(wrong)} differ, all of them of the {better.sum()} better than the whole market")
    assert better[wrong].all()
    assert better.sum() < 0.05 * len(better)
    filled = np.bincount(ours.fills[:, 0][ours.fills[:, 4] == 1], minlength=len(better)) > 0
    assert (filled & ~better).sum() > 1_000


def test_it_leaves_an_order_that_is_better_than_the_whole_market() -> None:
    """A bid at 100 is filled, and our bid at 101, which it had to pass, is not."""
    rows = [
        (1 * MS, ADD, 1, 1, 100, 9),
        (1 * MS, ADD, 2, -1, 103, 9),
        (20 * MS, FILL, 1, 1, 100, 5),
        (90 * MS, CANCEL, 2, -1, 103, 4),
    ]
    types = (np.int64, np.int8, np.int64, np.int8, np.int32, np.int64)
    columns = zip(np.array(rows).T, types, strict=True)
    tape = Tape(tuple(column.astype(kind) for column, kind in columns), 0.5, 0.001)
    order = (10 * MS, 1, 101, 1, GTC, 0, 101, 1, 0)
    ours, theirs, _ = both(tape, Schedule(*(np.array([value]) for value in order)))
    assert ours.outcomes.status == FILLED
    assert theirs.outcomes.status == NEW

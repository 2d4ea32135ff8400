"""`mrcore.quality` against its slow twin, and what it says of deltas made by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrcore.quality import DeltaAudit
from tests.oracle.quality import audit

T0 = 1_723_075_200 * 10**9
OPTIONS = {"max_gap_ns": 50, "frozen_ns": 20, "frozen_messages": 3}
STEPS = {"tick_size": 0.5, "lot_size": 0.25}
NO_KEY = 1 << 60


def columns(rows):
    origin, received, sequence, is_bid, price, size = zip(*rows, strict=True) if rows else [()] * 6
    made = (
        np.array(origin, np.int64),
        np.array(received, np.int64),
        np.array(sequence, np.int64),
        np.array(is_bid, np.uint8),
        np.array(price, np.float64),
        np.array(size, np.float64),
    )
    for column in made:
        column.flags.writeable = False
    return made


def run(rows, snapshots=(), cuts=(), **options):
    """Messages and counts of an audit that is fed in pieces."""
    one = DeltaAudit(**STEPS, **{**OPTIONS, **options})
    made = []
    at = {row: [] for row, *_ in snapshots}
    for row, *snapshot in snapshots:
        at[row].append(snapshot)
    marks = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows)), *at})
    for a, b in zip(marks, [*marks[1:], len(rows)], strict=True):
        for levels, received, sequence in at.get(a, []):
            made.append(one.finish())
            side, tick, lots = zip(*levels, strict=True) if levels else ((), (), ())
            one.snapshot(
                np.array([1 if bid else -1 for bid in side], np.int8),
                np.array(tick, np.int32),
                np.array(lots, np.int64),
                received,
                sequence,
            )
        made.append(one.feed(*columns(rows[a:b])))
    made.append(one.finish())
    ended = []
    for received, origin, sequence, count, bid, bid_lots, ask, ask_lots in np.concatenate(
        made, axis=1
    ).T.tolist():
        bid = None if abs(bid) == NO_KEY else bid
        ask = None if abs(ask) == NO_KEY else ask
        ended.append((received, origin, sequence, count, bid, bid_lots, ask, ask_lots))
    return ended, one.counts


times = st.integers(0, 300)
row = st.tuples(
    st.one_of(st.just(0), times.map(lambda t: T0 + t)),
    times,
    st.integers(-1, 30),
    st.booleans(),
    st.one_of(
        st.integers(18, 24).map(lambda n: n / 2),
        st.sampled_from([0.0, -1.0, 10.2, 1e-9, math.nan, math.inf, -math.inf, 1e300, 3e9]),
    ),
    st.one_of(
        st.integers(0, 8).map(lambda n: n / 4),
        st.sampled_from([-1.0, 0.3, 1e-9, 0.01, math.nan, math.inf, 1e300, -0.0]),
    ),
)
levels = st.lists(st.tuples(st.booleans(), st.integers(18, 24), st.integers(0, 8)), max_size=6)


@st.composite
def feeds(draw):
    rows = draw(st.lists(row, max_size=40))
    if draw(st.booleans()):
        rows.sort(key=lambda one: one[1])
    rows = [(o, T0 + r, s, b, p, z) for o, r, s, b, p, z in rows]
    snapshots = []
    for at in sorted(draw(st.lists(st.integers(0, len(rows)), max_size=2))):
        received = rows[at][1] if at < len(rows) else T0 + 300
        snapshots.append((at, draw(levels), received, draw(st.integers(-1, 30))))
    return rows, snapshots


@given(feed=feeds(), cuts=st.lists(st.integers(0, 40), max_size=4))
def test_equals_its_slow_twin_however_it_is_cut(feed, cuts):
    rows, snapshots = feed
    expected, counts = audit(rows, snapshots, **STEPS, **OPTIONS)
    made, found = run(rows, snapshots, cuts)
    assert made == expected
    assert found == counts


def delta(received, sequence, is_bid, price, size, origin=None):
    when = T0 + received
    return (when if origin is None else origin, when, sequence, is_bid, price, size)


def test_how_long_a_book_stays_crossed():
    rows = [
        delta(0, 1, True, 10.0, 1.0),
        delta(0, 1, False, 11.0, 1.0),
        delta(10, 2, True, 11.5, 1.0),  # crosses
        delta(15, 3, True, 9.0, 1.0),  # still crossed
        delta(18, 4, True, 11.5, 0.0),  # not any more
        delta(30, 5, True, 11.0, 1.0),  # locked
    ]
    _, counts = run(rows)
    crossed = {
        "messages": 3, "spells": 2, "total_ns": 8, "longest_ns": 8, "longest_at": T0 + 10,
    }  # fmt: skip
    assert counts["crossed"] == crossed
    assert counts["locked"] == 1


def test_a_frozen_book_is_one_whose_best_stays_while_messages_come():
    start = [delta(0, 1, True, 10.0, 1.0), delta(0, 1, False, 11.0, 1.0)]
    far = [delta(10 * n, n + 1, True, 5.0, n / 4) for n in range(1, 6)]
    _, counts = run([*start, *far])
    assert counts["frozen"] == {
        "spells": 1, "total_ns": 50, "longest_ns": 50, "longest_at": T0,
    }  # fmt: skip
    quiet = [delta(45, 2, True, 5.0, 1.0)]  # a quiet book is not a frozen one
    assert run([*start, *quiet])[1]["frozen"]["spells"] == 0


def test_rows_that_a_snapshot_has_already_change_nothing():
    rows = [delta(0, 5, True, 11.5, 1.0), delta(1, 7, True, 10.0, 0.5)]
    snapshot = (0, [(True, 20, 4), (False, 22, 4)], T0, 6)
    made, counts = run(rows, [snapshot])
    assert [one[4:] for one in made] == [(20, 4, 22, 4), (20, 2, 22, 4)]
    assert counts["crossed"]["messages"] == 0


def test_a_pause_forgets_the_book():
    rows = [delta(0, 1, True, 10.0, 1.0), delta(51, 2, False, 9.0, 1.0)]
    made, counts = run(rows)
    assert made[1][4:] == (None, 0, 18, 4)
    assert (counts["gaps"], counts["crossed"]["messages"]) == (1, 0)
    assert run([rows[0], delta(50, 2, False, 9.0, 1.0)])[1]["crossed"]["messages"] == 1


def test_wrong_arguments_raise_and_change_nothing():
    for name, value in [("tick_size", 0.0), ("lot_size", math.nan), ("max_gap_ns", 0)]:
        with pytest.raises(ValueError, match="must be > 0"):
            DeltaAudit(**{**STEPS, **OPTIONS, name: value})
    one = DeltaAudit(**STEPS, **OPTIONS)
    made = columns([delta(0, 1, True, 10.0, 1.0)] * 2)
    with pytest.raises(ValueError, match="differ in length"):
        one.feed(*made[:5], made[5][:1])
    one.feed(*made)
    side, tick, lots = np.ones(1, np.int8), np.ones(1, np.int32), np.ones(1, np.int64)
    with pytest.raises(ValueError, match="call finish first"):
        one.snapshot(side, tick, lots, T0)
    one.finish()
    with pytest.raises(ValueError, match="differ in length"):
        one.snapshot(side[:0], tick, lots, T0)
    for bad_side, bad_lots in [(0, 1), (1, -1), (1, 2**62)]:
        with pytest.raises(ValueError, match="no level"):
            one.snapshot(side * np.int8(bad_side), tick, lots * bad_lots, T0)
    assert one.counts["snapshots"] == 0
    assert one.counts["repeated_rows"] == 1

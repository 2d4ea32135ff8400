"""Holes are found where messages were taken out, and nowhere else."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtrade.data.sequences import Chain, falls, steps

# Messages: how many ids each spans, and which of them were lost.
LENGTHS = st.lists(st.integers(1, 5), min_size=2, max_size=30)


def stream(lengths):
    """(previous last id, first id, last id) of messages without a hole."""
    last = 99
    for length in lengths:
        yield last, last + 1, last + length
        last += length


@given(LENGTHS, st.sets(st.integers(0, 29)))
def test_every_lost_message_and_no_other(lengths, lost):
    messages = list(stream(lengths))
    kept = [(at, one) for at, one in enumerate(messages) if at not in lost]
    spot, futures = Chain(), Chain()
    for at, (previous, first, last) in kept:
        spot.follow(at, first, last)
        futures.refer(at, previous, last)
    torn = [(a, b) for (a, _), (b, _) in pairwise(kept) if b > a + 1]
    for chain in (spot, futures):
        assert [(hole.before, hole.after) for hole in chain.holes] == torn
        assert chain.seen == len(kept)
    for hole, (a, b) in zip(spot.holes, torn, strict=True):
        assert hole.missing == messages[b][1] - messages[a][2] - 1


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 7))
def test_many_at_once_as_one_by_one(ids, size):
    one, many = Chain(), Chain()
    for at, number in enumerate(ids):
        one.follow(at, number, number)
    for at in range(0, len(ids), size):
        part = np.array(ids[at : at + size])
        many.follow_all(np.arange(at, at + len(part)), part)
    many.follow_all(np.empty(0, np.int64), np.empty(0, np.int64))
    assert (one.holes, one.seen, one.last) == (many.holes, many.seen, many.last)


def test_a_snapshot_begins_anew():
    chain = Chain()
    chain.follow(1, 10, 10)
    chain.restart()
    chain.follow(2, 500, 500)
    chain.follow(3, 501, 501)
    assert chain.holes == []
    chain.follow(4, 503, 503)
    [finding] = chain.findings("book_delta_v2", "BYBIT", "BTC-USDT-PERP", "u")
    assert (finding.rule, finding.severity, finding.count) == ("sequence_hole", "error", 1)
    assert (finding.start_ns, finding.end_ns, finding.symbol) == (3, 4, "BTC/USDT-PERP")
    assert finding.text == "u was 503, expected 502: 1 ids missing"


def test_ids_that_come_again():
    chain = Chain()
    for number in (7, 8, 8):
        chain.follow(number, number, number)
    [finding] = chain.findings("trades", "BINANCE", "BTC-USDT", "t")
    assert finding.severity == "warning"
    assert finding.text == "t was 8, expected 9, or ids came again"


@pytest.mark.parametrize(
    ("sequence", "rows"),
    [
        ([1, 1, 2, 5], []),
        ([1, 5, 4, 6], [2]),
        ([5, -1, 4, -1], [2]),
        ([-1, -1], []),
        ([], []),
    ],
)
def test_stored_numbers_never_fall(sequence, rows):
    assert falls(np.array(sequence, dtype=np.int64)).tolist() == rows


def test_steps_of_trade_ids():
    assert steps(np.array(["7", "8", "10", "10"])).tolist() == [2, 3]
    assert steps(np.array(["a9188a0a", "0de3f0d8"])).tolist() == []
    assert steps(np.array([None, None])).tolist() == []

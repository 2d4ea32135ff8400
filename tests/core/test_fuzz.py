"""A few rounds of `tests.fuzz`; ``make fuzz`` plays ten million events."""

from collections import Counter

import pytest

from tests.fuzz.rounds import TARGETS, play


@pytest.mark.parametrize(
    ("target", "rounds"), [("bars", 12), ("books", 20), ("measures", 20), ("replays", 8)]
)
def test_rounds(target, rounds):
    seen = Counter()
    for number in range(rounds):
        play(target, 1, number, seen)
    assert target in TARGETS
    assert len(seen) > 5

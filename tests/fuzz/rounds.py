"""Rounds of all targets, in turn."""

import time
from collections import Counter
from collections.abc import Callable

import numpy as np

from . import bars, books, measures, replays

TARGETS: dict[str, Callable[[np.random.Generator, int, Counter[str]], None]] = {
    "bars": bars.play,
    "books": books.play,
    "measures": measures.play,
    "replays": replays.play,
}
EVENTS = 4_000
"""Of a round."""

EXPECTED = frozenset(bars.COVERS + books.COVERS + measures.COVERS + replays.COVERS)
"""What a long run must have seen."""


def play(target: str, seed: int, number: int, seen: Counter[str]) -> None:
    """Play one round; an error says how to play it again."""
    rng = np.random.default_rng([seed, sorted(TARGETS).index(target), number])
    try:
        TARGETS[target](rng, EVENTS, seen)
    except BaseException as error:
        error.add_note(f"python -m tests.fuzz --round {target} {number} --seed {seed}")
        raise
    seen["events"] += EVENTS


def play_all(events: int, seed: int, report: Callable[[str], object] | None = None) -> Counter[str]:
    """Play rounds of each target in turn until there were that many events; what was seen."""
    seen: Counter[str] = Counter()
    spent = dict.fromkeys(TARGETS, 0.0)
    number = 0
    while seen["events"] < events:
        for target in TARGETS:
            started = time.process_time()
            play(target, seed, number, seen)
            spent[target] += time.process_time() - started
        number += 1
        if report is not None and number % 100 == 0:
            report(f"{seen['events']:,} events; CPU s: {spent}")
    return seen

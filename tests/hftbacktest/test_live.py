"""Fills equal those of hftbacktest itself, run beside ours (`full.py` does so on longer feeds).

Collected only with ``MRTRADE_HFTBACKTEST=1`` (`conftest.py`): the first run makes an environment
of about 900 MB outside the tree. ``pytest -rP`` shows the counts.
"""

from pathlib import Path

import numpy as np
import pytest

from .compare import OUTCOMES, apart, assert_alike, pairs, stored, table
from .feeds import CONSTANT, RECORDINGS, Feed, busy, lake, recorded, schedule, synthetic

ORDERS = 30_000
LATENCIES = pytest.mark.parametrize("latency", ["constant", "recorded"])


def check(feed: Feed, latency: str) -> None:
    """Compare every order of every configuration."""
    delays = CONSTANT if latency == "constant" else recorded(feed, seed=13)
    orders = schedule(feed, ORDERS, 14, delays)
    both = pairs(feed, orders, delays)
    print("\n".join(table(orders, both)))
    assert_alike(orders, both)
    assert apart(both)[0] > 0


def test_stored_outcomes_are_what_it_answers() -> None:
    feed, cases = stored(OUTCOMES)
    for orders, delays, outcomes in cases.values():
        for config, pair in pairs(feed, orders, delays).items():
            for now, then in zip(pair.theirs.outcomes, outcomes[config], strict=True):
                np.testing.assert_array_equal(now, then)


@LATENCIES
def test_synthetic_market(latency: str) -> None:
    check(synthetic(seed=12), latency)


@LATENCIES
def test_busy_market(latency: str) -> None:
    check(busy(2.0), latency)


@LATENCIES
@pytest.mark.shared
@pytest.mark.parametrize("name", RECORDINGS)
def test_recording(shared_data: Path, name: str, latency: str) -> None:
    check(lake(shared_data, *RECORDINGS[name]), latency)

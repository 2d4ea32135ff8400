"""Fills equal those of hftbacktest itself, run beside ours.

Collected only with ``MRTRADE_HFTBACKTEST=1`` (`conftest.py`): the first run makes an environment
of about 900 MB outside the tree.
"""

from pathlib import Path

import numpy as np
import pytest

from .compare import (
    CONFIGS,
    OUTCOMES,
    assert_equal,
    beyond_reach,
    core,
    peer,
    peer_lots,
    stored,
    twin,
)
from .feeds import Feed, Schedule, lake, schedule, synthetic
from .test_fills import exact_fill

RECORDINGS = {
    "BTC perpetual": ("BINANCE_FUTURES", "BTC-USDT-PERP", ["2024-08-08"], 0.1, 0.001),
    # A few far levels have more digits than today's lot of 0.00001.
    "BTC spot": ("BINANCE", "BTC-USDT", ["2024-08-08", "2024-08-09"], 0.01, 0.000001),
    "NEXO spot": ("BINANCE", "NEXO-USDT", ["2024-07-23", "2024-07-24"], 0.0001, 0.01),
}


def check(feed: Feed, orders: Schedule) -> None:
    """Every order of every configuration; ``pytest -rP`` shows the counts."""
    exact = {config: twin(feed, orders, config)[1] for config in CONFIGS}
    theirs = peer(feed, orders, {c: peer_lots(orders, exact[c]) for c in CONFIGS})
    for config in CONFIGS:
        ours = core(feed, orders, config)
        code, position, outcomes = theirs[config]
        assert code == 1, "hftbacktest stopped before the end of the data"
        assert_equal(orders, ours, outcomes)
        filled = np.bincount(outcomes.status, minlength=6)[3]
        print(
            f"{config}: {len(orders.time)} orders compared, {filled} filled, "
            f"{exact[config].sum()} sent smaller (exact partial fill), "
            f"{(beyond_reach(orders, ours.fills) > 0).sum()} beyond a market order's reach"
        )
        if config.endswith("whole"):  # its position misses partial fills
            side = orders.side[ours.fills[:, 0]]
            assert round(position, 3) == (side * ours.fills[:, 3]).sum()


def test_stored_outcomes_are_what_it_answers() -> None:
    feed, orders, outcomes = stored(OUTCOMES)
    answers = peer(feed, orders, {config: lots for config, (lots, _) in outcomes.items()})
    for config, (_, kept) in outcomes.items():
        for now, then in zip(answers[config][2], kept, strict=True):
            np.testing.assert_array_equal(now, then)


def test_synthetic_market() -> None:
    feed = synthetic(seed=12)
    check(feed, schedule(feed, 13_000, seed=13))


@pytest.mark.shared
@pytest.mark.parametrize("name", RECORDINGS)
def test_recording(shared_data: Path, name: str) -> None:
    feed = lake(shared_data, *RECORDINGS[name])
    check(feed, schedule(feed, 13_000, seed=14))


def test_it_stops_at_an_exact_partial_fill() -> None:
    """Why those orders are sent a quarter of a lot smaller: error 14 at the next trade."""
    feed, order = exact_fill()
    answers = peer(feed, order, {"risk_averse/partial": order.lots})
    assert answers["risk_averse/partial"][0] == 14
    smaller = peer(feed, order, {"risk_averse/partial": order.lots - 0.25})
    code, _, outcomes = smaller["risk_averse/partial"]
    assert code == 1
    assert_equal(order, core(feed, order, "risk_averse/partial"), outcomes)


def test_it_does_not_count_partial_fills() -> None:
    """Its own position misses the 10 of 15 lots that it says were executed; ours has them."""
    feed, order = exact_fill()
    order = order._replace(lots=np.array([15]), cancel=np.array([25_000_000]))
    code, position, outcomes = peer(feed, order, {"risk_averse/partial": order.lots})[
        "risk_averse/partial"
    ]
    ours = core(feed, order, "risk_averse/partial")
    assert code == 1
    assert_equal(order, ours, outcomes)
    assert outcomes.remaining.tolist() == [5]
    assert position == 0.0
    assert ours.fills[:, 3].tolist() == [10]

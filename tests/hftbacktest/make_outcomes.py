"""Make `outcomes.npz`: hftbacktest's answers that `test_fills.py` compares with.

    python -m tests.hftbacktest.make_outcomes

The file holds the feed (of our synthetic market) and the orders too, so it stays true when the
market's model changes. `test_live.py` checks it against hftbacktest itself.
"""

from .compare import OUTCOMES, Case, assert_alike, pairs, save
from .feeds import CONSTANT, recorded, schedule, synthetic

SEED, SECONDS, ORDERS = 11, 25, 5_000


def main() -> None:
    feed = synthetic(SEED, SECONDS)
    cases = {}
    for name, delays in (("constant", CONSTANT), ("recorded", recorded(feed, SEED))):
        orders = schedule(feed, ORDERS, SEED, delays)
        both = pairs(feed, orders, delays)
        assert_alike(orders, both)
        outcomes = {config: pair.theirs.outcomes for config, pair in both.items()}
        cases[name] = Case(orders, delays, outcomes)
    save(OUTCOMES, feed, cases)


if __name__ == "__main__":
    main()

"""Make `outcomes.npz`: hftbacktest's answers that `test_fills.py` compares with.

    python -m tests.hftbacktest.make_outcomes

The file holds the feed (of our synthetic market) and the orders too, so it stays true when the
market's model changes. `test_live.py` checks it against hftbacktest itself.
"""

from .compare import CONFIGS, OUTCOMES, peer, peer_lots, save, twin
from .feeds import schedule, synthetic


def main() -> None:
    feed = synthetic(seed=11, seconds=40)
    orders = schedule(feed, 13_000, seed=11)
    lots = {config: peer_lots(orders, twin(feed, orders, config)[1]) for config in CONFIGS}
    answers = peer(feed, orders, lots)
    assert all(code == 1 for code, _, _ in answers.values())
    save(OUTCOMES, feed, orders, {c: (lots[c], answers[c][2]) for c in CONFIGS})


if __name__ == "__main__":
    main()

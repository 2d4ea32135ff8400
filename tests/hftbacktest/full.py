"""Every fill beside hftbacktest's, on long feeds: prints a table, fails where one differs.

    python -m tests.hftbacktest.full [--orders N] [--millions M]

From the top of the tree, in an environment with mrtrade installed; hftbacktest gets one of its own
at first use. The feeds are the seeded one of `benchmarks/peers/feed.py` (10 million deltas, kept
beside that environment) and, where they are there, three recordings.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial

from ..conftest import SHARED
from .compare import FAULTS, apart, assert_alike, pairs, table
from .feeds import CONSTANT, RECORDINGS, Feed, busy, lake, recorded, schedule


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=30_000)
    parser.add_argument("--millions", type=float, default=10.0, help="deltas of the seeded feed")
    args = parser.parse_args()
    feeds: dict[str, Callable[[], Feed]] = {
        f"seeded, {args.millions:g}M deltas": partial(busy, args.millions)
    }
    if SHARED.is_dir():
        feeds |= {name: partial(lake, SHARED, *RECORDINGS[name]) for name in RECORDINGS}
    for fault, text in FAULTS.items():
        print(f"{fault:<10}{text}")
    for name, read in feeds.items():
        feed = read()
        for latency, delays in (("constant", CONSTANT), ("recorded", recorded(feed, seed=15))):
            orders = schedule(feed, args.orders, 16, delays)
            both = pairs(feed, orders, delays)
            deltas, trades = len(feed.deltas[0]), len(feed.trades[0])
            print(f"\n{name}: {deltas:,} deltas, {trades:,} trades; {latency} latency")
            for line in table(orders, both):
                print(line)
            print("at the least {} orders tell two of these apart: {}, {}".format(*apart(both)))
            sys.stdout.flush()
            assert_alike(orders, both)


if __name__ == "__main__":
    main()

"""CPU time an event of the measures of bars, beside a plain replay of the same feed.

    python -m benchmarks.bars [MILLIONS_OF_EVENTS] [RUNS]

From the top of the tree. The feed is that of the counted kernels: a tenth of its changes are
trades, at prices of the touch, so that each level is changed far more often than a market's. Times
are of the process's CPU, the median of the runs and their range, each run of all in turn.
"""

import argparse
import statistics
import time
from collections.abc import Callable

from .suite import kernels

MOST = 60
"""Ns an event that all measures may cost on top of a plain replay."""


def spent(make: Callable[[], object]) -> float:
    """CPU seconds of a pass made ready beforehand."""
    ready = make()
    start = time.process_time()
    ready.finish()  # type: ignore[attr-defined]
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("millions", nargs="?", type=float, default=10.0, help="events (10)")
    parser.add_argument("runs", nargs="?", type=int, default=5, help="runs (5)")
    arguments = parser.parse_args()
    deltas, trades = kernels.feed(int(arguments.millions * 1e7 / 11))
    events = len(deltas[0]) + len(trades[0])
    passes = {
        "plain replay": lambda: kernels.replay_of(deltas, trades),
        "replay with rows each second": lambda: kernels.replay_of(deltas, trades, 10**9),
        "bars each second, all measures": lambda: kernels.bars_of(deltas, trades),
    }
    found: dict[str, list[float]] = {name: [] for name in passes}
    for _ in range(arguments.runs):
        for name, make in passes.items():
            found[name].append(1e9 * spent(make) / events)
    print(f"{events:,} events, ns of CPU an event, median of {arguments.runs} (range)")
    middle = {name: statistics.median(values) for name, values in found.items()}
    plain = middle["plain replay"]
    for name, values in found.items():
        more = f"{middle[name] - plain:+7.1f}  {middle[name] / plain:5.2f} x"
        print(f"{name:32} {middle[name]:6.1f} ({min(values):.1f}-{max(values):.1f}) {more}")
    print(f"target: all measures at most {MOST} more than a plain replay")


if __name__ == "__main__":
    main()

"""``python -m tests.fuzz [EVENTS] [SEED]``; ``--round TARGET NUMBER`` plays one round again."""

import argparse
import faulthandler
import sys
from collections import Counter

from .rounds import EXPECTED, TARGETS, play, play_all

HANGS = 300
"""Seconds after which a run without news is a hang: all stacks are shown, and it ends."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("events", nargs="?", type=int, default=10_000_000)
    parser.add_argument("seed", nargs="?", type=int, default=1)
    parser.add_argument("--round", nargs=2, metavar=("TARGET", "NUMBER"), help=", ".join(TARGETS))
    parser.add_argument("--seed", dest="other", type=int, help="seed of that round")
    arguments = parser.parse_args()
    faulthandler.dump_traceback_later(HANGS, exit=True)
    if arguments.round:
        target, number = arguments.round
        play(
            target,
            arguments.seed if arguments.other is None else arguments.other,
            int(number),
            Counter(),
        )
        return 0

    def report(line: str) -> None:
        faulthandler.dump_traceback_later(HANGS, exit=True)
        print(line, flush=True)

    seen = play_all(arguments.events, arguments.seed, report)
    print("\n".join(f"{count:12,}  {name}" for name, count in sorted(seen.items())))
    missing = sorted(EXPECTED - set(seen)) if arguments.events >= 1_000_000 else []
    if missing:
        print(f"never came up: {', '.join(missing)}")
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main())

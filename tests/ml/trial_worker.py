"""A process that records trials as fast as it can: `python trial_worker.py LEDGER NUMBER [on]`."""

import sys
from itertools import count

from mrtrade.ml.trials import Trial, TrialLedger


def work(ledger: TrialLedger, worker: int) -> None:
    for a in range(40):
        ledger.record("shared", {"a": a}, sharpe=a)  # every worker tries these
        ledger.record("own", {"worker": worker, "a": a}, sharpe=worker)
        if a % 10 == 0:
            ledger.record_many(
                Trial("batch", {"worker": worker, "a": a, "b": b}) for b in range(25)
            )


def go_on(ledger: TrialLedger) -> None:
    for a in count():
        ledger.record("until killed", {"a": a})
        print(a, flush=True)


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    if sys.argv[3:] == ["on"]:
        go_on(TrialLedger(sys.argv[1]))
    work(TrialLedger(sys.argv[1]), int(sys.argv[2]))

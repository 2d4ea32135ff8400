"""What features cost, in CPU time: all of them in a batch, one bar in a stream, and pandas beside.

    python -m benchmarks.features [--rows 210000] [--runs 5]

Two years of five-minute bars are 210,240 rows. A feature is *bar-level* where candles, a second
asset and a perpetual's data are enough for it. The ten costliest of those that have a window are
computed in plain pandas too (`tests.features.twins`), in the same process.
"""

import argparse
import time
from statistics import median

import numpy as np
from tests.features.twins import TWINS

from mrtrade.features import COLUMNS, FEATURES, FeatureStream, compute, get
from mrtrade.features.compute import columns_of, plan
from mrtrade.features.example import example_bars

LEVELS = {"price", "second asset", "perpetual"}


def bar_level() -> list[str]:
    """Names of the features that need neither a book nor single trades."""
    return [
        name
        for name in FEATURES
        if all(COLUMNS[column].origin in LEVELS for column in plan([name])[1])
    ]


def cpu(call, runs: int) -> float:
    """CPU seconds of a call, median."""
    took = []
    for _ in range(runs):
        start = time.process_time()
        call()
        took.append(time.process_time() - start)
    return median(took)


def yardstick() -> None:
    """Work of a kind that streaming is made of, to tell a slow machine from a slow program."""
    total = 0
    for i in range(20_000):
        total += i * i


def streaming(names: list[str], rows: int) -> float:
    """CPU seconds of one bar of a stream that has been warmed up, median."""
    bars = columns_of(example_bars(rows))
    stream = FeatureStream(names)
    stream.update({name: values[: rows // 2] for name, values in bars.items()})
    took = []
    for row in range(rows // 2, rows):
        one = {name: values[row : row + 1] for name, values in bars.items()}
        start = time.process_time_ns()
        stream.update(one)
        took.append(time.process_time_ns() - start)
    return median(took) * 1e-9


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=210_240)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--each", action="store_true", help="the cost of each feature alone")
    asked = parser.parse_args()
    bars = example_bars(asked.rows, interval="5min")
    names = bar_level()
    print(f"{len(FEATURES)} features, {len(names)} of them bar-level")
    took = cpu(lambda: compute(bars, names), asked.runs)
    print(f"bar-level over {asked.rows:,} rows: {took:.2f} s")
    print(f"all over {asked.rows:,} rows: {cpu(lambda: compute(bars), asked.runs):.2f} s")
    loop = cpu(yardstick, 200)
    bar = streaming(list(FEATURES), 4000)
    print(
        f"one bar of a stream, all of them: {1e3 * bar:.2f} ms, {bar / loop:.2f} x a Python loop of"
        f" 20,000 squares ({1e3 * loop:.2f} ms)"
    )
    alone = {name: cpu(lambda name=name: compute(bars, [name]), 1) for name in names}
    order = sorted(alone, key=alone.__getitem__, reverse=True)
    if asked.each:
        for name in order:
            print(f"  {name:28} {1e3 * alone[name]:8.1f} ms")
    costliest = [name for name in order if get(name).window][:10]
    few = min(asked.rows, 20_000)  # the same rows for both; a twin may loop in Python
    part = bars.iloc[:few]
    print(f"the ten costliest over {few:,} rows, here and in plain pandas:")
    ours_all = theirs_all = 0.0
    for name in costliest:
        one = get(name)
        ours = cpu(lambda name=name: compute(part, [name]), asked.runs)
        theirs = cpu(lambda one=one: TWINS[one.stem](part, one.window), 1)
        ours_all, theirs_all = ours_all + ours, theirs_all + theirs
        print(f"  {name:28} {1e3 * ours:8.1f} ms {1e3 * theirs:10.1f} ms {theirs / ours:8.0f}")
    print(
        f"  {'together':28} {1e3 * ours_all:8.1f} ms {1e3 * theirs_all:10.1f} ms"
        f" {theirs_all / ours_all:8.0f}"
    )


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()

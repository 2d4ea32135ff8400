"""What a thousand configurations cost on a day of a recorded book, and what a second worker brings.

    python -m benchmarks.sweep ../shared/data/lake [--jobs 1,2] [--grid apart]

The day is the recording of NEXO-USDT, 24.3 hours, in bars of a second. Two grids of 1,000:

- ``shared``: 200 sets of parameters under five multiples of the costs; five share a replay.
- ``apart``: 200 sets of parameters under five delays of orders, each a replay of its own.

``first`` has in its time the start of the workers (Python, its imports) and their reading of the
recording; ``again`` is the same sweep by the workers that are there: what a long sweep comes to. In
brackets is the CPU of all processes over their number, and what that is worth beside one job: on a
machine that others keep busy, the times say less. Rows must be equal, bit for bit.
"""

import argparse
import tempfile
import time
from pathlib import Path

import pandas as pd
import psutil

from mrtrade.backtest import sweep_work
from mrtrade.backtest.sweep import COST_SCALE, Sweep, sweep
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.parallel import Workers, end_processes

BASE = {
    "exchange": "BINANCE",
    "symbol": "NEXO/USDT",
    "capital": 10_000.0,
    # Its defaults hardly trade in so thin a book; a sweep of nothing would cost nothing.
    "strategy": {"name": "statistical", "params": {"regime_filter": False, "min_spreads": 0.0}},
}
PARAMETERS = {
    "strategy.params.entry_z": [1.0, 1.5, 2.0, 2.5, 3.0],
    "strategy.params.lookback": [60, 120, 300, 600, 1200],
    "strategy.params.stop_reversions": [1.0, 2.0],
    "strategy.params.cost_bps": [4.0, 8.0, 12.0, 16.0],
}
GRIDS = {
    "shared": {**PARAMETERS, COST_SCALE: [0.5, 1.0, 1.5, 2.0, 3.0]},
    "apart": {**PARAMETERS, "latency.entry_ms": [1.0, 5.0, 20.0, 50.0, 100.0]},
}
TABLES = ("book_delta_v2", "book_seed", "trades")


def cpu() -> float:
    """CPU seconds of this process and its children so far."""
    own = psutil.Process()
    times = [one.cpu_times() for one in (own, *own.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def timed(base: dict[str, object], grid: str, jobs: int) -> tuple[tuple[float, float], Sweep]:
    begun, before = time.perf_counter(), cpu()
    found = sweep(base, GRIDS[grid], workers=Workers(jobs))
    return (time.perf_counter() - begun, (cpu() - before) / jobs), found


def told(found: tuple[float, float], alone: tuple[float, float]) -> str:
    (wall, cpu), (wall_1, cpu_1) = found, alone
    return f"{wall:5.1f} s {wall_1 / wall:.2f} x ({cpu:5.2f} s {cpu_1 / cpu:.2f} x)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("lake", type=Path, nargs="?", default=Path("../shared/data/lake"))
    parser.add_argument("--jobs", default="1,2")
    parser.add_argument("--grid", choices=GRIDS, help="one of them")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = ParquetStore(folder)
        for table in TABLES:
            ingest(args.lake / table / "exchange=BINANCE" / "symbol=NEXO-USDT", store)
        base = {**BASE, "store": folder}
        sweep(base, {COST_SCALE: [1.0]})  # imports
        for grid in [args.grid] if args.grid else GRIDS:
            alone = None
            for jobs in map(int, args.jobs.split(",")):
                sweep_work.forget()
                first, found = timed(base, grid, jobs)
                again, _ = timed(base, grid, jobs)
                end_processes()
                alone = alone or (first, again, found.frame)
                pd.testing.assert_frame_equal(found.frame, alone[2], check_exact=True)
                print(
                    f"{grid:6} {len(found.frame):,} by {found.replays:5,} replays  jobs {jobs}  "
                    f"first {told(first, alone[0])}  again {told(again, alone[1])}",
                    flush=True,
                )
            print(f"{grid:6}  rows equal, bit for bit")


if __name__ == "__main__":
    main()

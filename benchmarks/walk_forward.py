"""What two years of walk-forward cost, and what a second worker is worth.

    python -m benchmarks.walk_forward ../shared/data/lake [--jobs 1,2] [--grid]

One symbol, 21 folds, of `config/validation.yaml`: the strategy that reads a forecast, with its
parameters fixed, so that each fold selects features and trains a model; with `--grid` the nine sets
of the configuration, and a second model to choose among them by. Features are cached; so is nothing
else: each run starts its workers, and waits for them to end. CPU is that of all processes.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from typing import TypeVar

from joblib.externals.loky import get_reusable_executor

from mrtrade.ml.dataset import Dataset
from mrtrade.parallel import Workers
from mrtrade.validation.forecasts import features_offered
from mrtrade.validation.settings import WalkForwardConfig, load_settings
from mrtrade.validation.sources import dataset_folder
from mrtrade.validation.walk_forward import FRAMES, WalkForwardResult, walk_forward

CONFIG = Path(__file__).parents[1] / "config" / "validation.yaml"
SYMBOL = "BTC/USDT-PERP"
STRATEGY = "Forecast"

T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("lake", type=Path, nargs="?", default=Path("../shared/data/lake"))
    parser.add_argument("--jobs", default="1,2")
    parser.add_argument("--grid", action="store_true", help="choose of nine sets in each fold")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        config = load_settings(CONFIG, {"data.root": str(args.lake), "data.cache": cache})
        plan = config.strategies[STRATEGY]
        if not args.grid:
            plan = plan.model_copy(update={"grid": {}})
        config = config.model_copy(update={"strategies": {STRATEGY: plan}})
        folder, _ = timed("features", partial(dataset_folder, SYMBOL, config.data))
        timed("from cache", partial(dataset_folder, SYMBOL, config.data))
        print(f"{len(features_offered(Dataset.load(folder), config.model))} features offered")
        found: list[tuple[WalkForwardResult, float]] = []
        for jobs in map(int, args.jobs.split(",")):
            found.append(timed(f"jobs {jobs}", partial(walk, folder, config, jobs)))
            (first, alone), (result, wall) = found[0], found[-1]
            print(f"  {len(result.folds)} folds, {alone / wall:.2f} x", end="")
            print(", the same bits" if same(first, result) else ", OTHER BITS")


def walk(folder: Path, config: WalkForwardConfig, jobs: int) -> WalkForwardResult:
    result = walk_forward(folder, config, workers=Workers(jobs)).results[STRATEGY]
    if jobs > 1:
        get_reusable_executor().shutdown(wait=True)
    return result


def timed(what: str, call: Callable[[], T]) -> tuple[T, float]:
    """Return what a call gives and how many seconds it took; prints these."""
    begun, used = time.perf_counter(), cpu()
    result = call()
    wall = time.perf_counter() - begun
    print(f"{what:12s}{wall:6.1f} s, CPU {cpu() - used:6.1f} s")
    return result, wall


def cpu() -> float:
    """Return the CPU seconds of this process and of those it started that have ended."""
    used = [getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def same(one: WalkForwardResult, other: WalkForwardResult) -> bool:
    return all(getattr(one, name).equals(getattr(other, name)) for name in FRAMES)


if __name__ == "__main__":
    main()

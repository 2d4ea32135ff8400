"""What two years of walk-forward cost, and what a second worker is worth.

    python -m benchmarks.walk_forward ../shared/data/lake [--jobs 1,2]

One symbol, 21 folds, of `config/validation.yaml`: the strategy that reads a forecast, so that each
fold selects features and trains two models (one to choose parameters by). Features are cached; so
is nothing else. A worker's start is in its time.
"""

import argparse
import tempfile
import time
from pathlib import Path

from mrtrade.parallel import Workers
from mrtrade.validation.settings import load_settings
from mrtrade.validation.sources import dataset_folder
from mrtrade.validation.walk_forward import walk_forward

CONFIG = Path(__file__).parents[1] / "config" / "validation.yaml"
SYMBOL = "BTC/USDT-PERP"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("lake", type=Path, nargs="?", default=Path("../shared/data/lake"))
    parser.add_argument("--jobs", default="1,2")
    parser.add_argument("--strategy", default="Forecast")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        config = load_settings(CONFIG, {"data.root": str(args.lake), "data.cache": cache})
        chosen = {args.strategy: config.strategies[args.strategy]}
        config = config.model_copy(update={"strategies": chosen})
        begun = time.perf_counter()
        folder = dataset_folder(SYMBOL, config.data)
        print(f"features      {time.perf_counter() - begun:6.1f} s")
        begun = time.perf_counter()
        dataset_folder(SYMBOL, config.data)
        print(f"from cache    {time.perf_counter() - begun:6.1f} s")
        walls = []
        for jobs in map(int, args.jobs.split(",")):
            begun = time.perf_counter()
            study = walk_forward(folder, config, workers=Workers(jobs))
            walls.append(time.perf_counter() - begun)
            folds = len(study.results[args.strategy].folds)
            print(f"jobs {jobs}  {folds} folds {walls[-1]:6.1f} s, {walls[0] / walls[-1]:.2f} x")


if __name__ == "__main__":
    main()

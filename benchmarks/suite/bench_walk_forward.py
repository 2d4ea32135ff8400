"""One fold of a walk-forward: 90 days of training and 30 of test, bars of five minutes."""

import tempfile

from mrtrade.ml.candles import candle_dataset
from mrtrade.validation.folds import cut_folds, features_read, run_fold
from mrtrade.validation.settings import load_settings
from mrtrade.validation.synthetic import random_walk

BARS = 122 * 288
PLANS = {
    "statistical": {
        "name": "statistical",
        "params": {"preset": "minutes"},
        "grid": {"entry_z": [1.5, 2.0, 2.5]},
    },
    "forecast": {"name": "forecast", "params": {"preset": "minutes"}},
}


def candles():
    bars = random_walk(BARS, 0, interval="5min").bars
    columns = ["mid_open", "mid_high", "mid_low", "mid", "volume"]
    return bars[columns].set_axis(["open", "high", "low", "close", "volume"], axis=1)


class Fold:
    """Everything of a fold but the features, which are computed once for all."""

    params = list(PLANS)
    param_names = ["strategy"]
    number = 1
    rounds = 1
    repeat = (3, 5, 20.0)

    def setup(self, strategy):
        from mrtrade.ml.dataset import Dataset

        self.config = load_settings({"strategies": {strategy: PLANS[strategy]}})
        self.place = tempfile.TemporaryDirectory()
        self.folder = candle_dataset("X/USDT-PERP", candles()).save(f"{self.place.name}/data")
        Dataset.ensure(self.folder, features_read(self.config.strategies.values()))
        index = Dataset.load(self.folder).bars.index
        self.rows = cut_folds(index, self.config.folds, self.config.model.horizon)[0]
        run_fold(self.folder, self.rows, self.config)  # imports

    def teardown(self, strategy):
        self.place.cleanup()

    def time_fold(self, strategy):
        run_fold(self.folder, self.rows, self.config)


class Data:
    """What is cached: computed, and mapped into memory again."""

    number = 1
    rounds = 1

    def setup(self):
        self.place = tempfile.TemporaryDirectory()
        self.candles = candles()
        candle_dataset("X/USDT-PERP", self.candles, cache=self.place.name)

    def teardown(self):
        self.place.cleanup()

    def time_compute(self):
        candle_dataset("X/USDT-PERP", self.candles)

    def time_again(self):
        candle_dataset("X/USDT-PERP", self.candles, cache=self.place.name)

"""mrcore.rolling: what one value costs, in a batch and one by one from Python."""

import numpy as np

from mrcore import rolling

ONE_COLUMN = ["RollingMean", "RollingVariance", "RollingMin", "RollingMax"]
TWO_COLUMNS = ["RollingCovariance", "RollingOLS"]


def walk(n, seed=1):
    """Prices around 60,000 that move by cents."""
    return 60_000.0 + np.cumsum(np.random.default_rng(seed).normal(0.0, 0.01, n))


class OneColumn:
    params = (ONE_COLUMN, [10_000, 1_000_000], [60, 3600])
    param_names = ["statistic", "n_values", "window"]

    def setup(self, statistic, n_values, window):
        self.x = walk(n_values)
        self.new = getattr(rolling, statistic)

    def time_batch(self, statistic, n_values, window):
        self.new(window).batch(self.x)


class TwoColumns:
    params = (TWO_COLUMNS, [10_000, 1_000_000], [60, 3600])
    param_names = ["statistic", "n_pairs", "window"]

    def setup(self, statistic, n_pairs, window):
        self.x, self.y = walk(n_pairs), walk(n_pairs, seed=2)
        self.new = getattr(rolling, statistic)

    def time_batch(self, statistic, n_pairs, window):
        self.new(window).batch(self.x, self.y)


class EWMA:
    params = [10_000, 1_000_000]
    param_names = ["n_values"]

    def setup(self, n_values):
        self.x = walk(n_values)

    def time_batch(self, n_values):
        rolling.EWMA(0.01).batch(self.x)


class Update:
    params = ONE_COLUMN
    param_names = ["statistic"]

    def setup(self, statistic):
        self.x = walk(10_000).tolist()
        self.new = getattr(rolling, statistic)

    def time_update_from_python(self, statistic):
        update = self.new(60).update
        for x in self.x:
            update(x)

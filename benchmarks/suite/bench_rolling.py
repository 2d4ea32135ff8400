"""mrcore.rolling: what one value costs, in a batch and one by one from Python."""

import numpy as np

from mrcore import rolling
from mrcore.rolling_column import RollingLag
from mrcore.rolling_dfa import RollingDFA
from mrcore.rolling_moments import RollingMoments, RollingShape
from mrcore.rolling_order import RollingMedianMad, RollingQuantile, RollingRank
from mrcore.rolling_realized import RollingJump, RollingKernelVariance
from mrcore.rolling_walk import RollingADF, RollingAR, RollingVarianceRatio
from mrcore.rolling_wilder import SeededEMA, WilderADX, WilderRSI

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


OVER_BARS = {
    "lag": RollingLag,
    "moments": RollingMoments,
    "shape": RollingShape,
    "quantile": lambda window: RollingQuantile(window, 0.9),
    "rank": RollingRank,
    "median and MAD": RollingMedianMad,
    "AR(1)": RollingAR,
    "ADF(1)": RollingADF,
    "ADF(4)": lambda window: RollingADF(window, 4),
    "VR(8)": lambda window: RollingVarianceRatio(window, 8),
    "DFA": RollingDFA,
    "realised kernel": lambda window: RollingKernelVariance(window, 30),
    "jump": RollingJump,
    "EMA": lambda window: SeededEMA(window, 0.1),
    "RSI": WilderRSI,
}


class OverBars:
    params = (list(OVER_BARS), [2_000, 20_000], [300])
    param_names = ["statistic", "n_bars", "window"]

    def setup(self, statistic, n_bars, window):
        self.x = np.log(walk(n_bars))
        self.row = self.x[:1]
        self.live = OVER_BARS[statistic](window)
        self.live.batch(self.x)

    def time_batch(self, statistic, n_bars, window):
        OVER_BARS[statistic](window).batch(self.x)

    def time_row_by_row_from_python(self, statistic, n_bars, window):
        for _ in range(1_000):
            self.live.batch(self.row)


class ADX:
    params = [2_000, 20_000]
    param_names = ["n_bars"]

    def setup(self, n_bars):
        self.close = walk(n_bars)
        self.high, self.low = self.close + 0.01, self.close - 0.01

    def time_batch(self, n_bars):
        WilderADX(14).batch(self.high, self.low, self.close)

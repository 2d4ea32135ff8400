"""mrcore.leadlag: what a price and an answer cost, by the number of lags and of answers."""

import numpy as np

from mrcore.leadlag import LeadLag

SECOND = 1_000_000_000


class Batch:
    params = ([10_000, 500_000], [11, 41], [60, 1])
    param_names = ["n_prices", "n_lags", "bar_s"]

    def setup(self, n_prices, n_lags, bar_s):
        """Prices of each side, six a second; a window of five minutes."""
        rng = np.random.default_rng(1)
        span = n_prices // 6 * SECOND
        self.times = np.sort(rng.integers(0, span, (2, n_prices)), axis=1)
        self.prices = np.cumsum(rng.normal(0.0, 1e-5, (2, n_prices)), axis=1)
        self.at = np.arange(bar_s * SECOND, span, bar_s * SECOND)
        self.lags = (np.arange(n_lags) - n_lags // 2) * SECOND // 2

    def time_batch(self, n_prices, n_lags, bar_s):
        columns = (self.times[0], self.prices[0], self.times[1], self.prices[1])
        LeadLag(300 * SECOND, self.lags).batch(*columns, self.at)

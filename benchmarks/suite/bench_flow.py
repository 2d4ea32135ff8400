"""mrcore.flow: what one event costs, in a batch and one by one from Python."""

import numpy as np

from mrcore.flow import OFI, VPIN, BulkVPIN, KyleLambda, imbalance, microprice


def quotes(n, seed=1):
    """Best bid, its size, best ask, its size, of a touch that moves now and then."""
    rng = np.random.default_rng(seed)
    bid = 60_000.0 + np.cumsum(rng.choice([-0.1, 0.0, 0.0, 0.1], n))
    return bid, rng.random(n), bid + 0.1, rng.random(n)


def trades(n, seed=2):
    """Aggressor side and size, mean size about 1."""
    rng = np.random.default_rng(seed)
    return rng.choice(np.array([1, -1], np.int8), n), rng.lognormal(-0.5, 1.0, n)


def bars(n, seed=3):
    """Last price and volume."""
    rng = np.random.default_rng(seed)
    return 60_000.0 + np.cumsum(rng.normal(size=n)), rng.lognormal(size=n)


class Touch:
    params = [10_000, 1_000_000]
    param_names = ["n_quotes"]

    def setup(self, n_quotes):
        self.quotes = quotes(n_quotes)

    def time_ofi(self, n_quotes):
        OFI().batch(*self.quotes)

    def time_imbalance(self, n_quotes):
        imbalance(self.quotes[1], self.quotes[3])

    def time_microprice(self, n_quotes):
        microprice(*self.quotes)


class Trades:
    params = ([10_000, 1_000_000], [10.0, 1000.0])
    param_names = ["n_trades", "bucket_volume"]

    def setup(self, n_trades, bucket_volume):
        self.trades = trades(n_trades)

    def time_vpin(self, n_trades, bucket_volume):
        VPIN(bucket_volume, 50).batch(*self.trades)


class Bars:
    params = ([10_000, 1_000_000], [60, 300])
    param_names = ["n_bars", "window"]

    def setup(self, n_bars, window):
        self.bars = bars(n_bars)
        self.dmid = np.diff(self.bars[0], prepend=self.bars[0][0])

    def time_bulk_vpin(self, n_bars, window):
        BulkVPIN(50.0, 50, window).batch(*self.bars)

    def time_kyle_lambda(self, n_bars, window):
        KyleLambda(window).batch(self.dmid, self.bars[1])


class Update:
    def setup(self):
        self.quotes = list(zip(*(c.tolist() for c in quotes(10_000)), strict=True))
        self.trades = list(zip(*(c.tolist() for c in trades(10_000)), strict=True))

    def time_ofi_from_python(self):
        update = OFI().update
        for quote in self.quotes:
            update(*quote)

    def time_vpin_from_python(self):
        update = VPIN(100.0).update
        for side, size in self.trades:
            update(side, size)

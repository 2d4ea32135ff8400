"""mrcore.market: what it costs to make a feed."""

from mrcore.market import SyntheticMarket


class Run:
    params = [100_000, 1_000_000]
    param_names = ["n_deltas"]

    def setup(self, n_deltas):
        self.market = SyntheticMarket(1)

    def time_run(self, n_deltas):
        self.market.run(n_deltas=n_deltas)

    def peakmem_run(self, n_deltas):
        self.market.run(n_deltas=n_deltas)


class Make:
    def time_run_in(self):
        SyntheticMarket(1)

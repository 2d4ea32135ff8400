"""A configuration of a sweep, once the recording is read: replayed, and under more costs."""

from pathlib import Path

from mrcore.market import SyntheticMarket
from mrtrade.backtest.sweep import COST_SCALE, sweep
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.synthetic import write_lake

GRIDS = {
    "replays": {"latency.entry_ms": [float(ms) for ms in range(1, 21)]},
    "parameters": {"strategy.params.entry_z": [1.0 + 0.1 * step for step in range(20)]},
    "costs": {COST_SCALE: [0.1 * step for step in range(1, 201)]},
}


class Sweep:
    """Half an hour of the synthetic market in bars of a second; 20 replays, or one at 200 costs."""

    params = list(GRIDS)
    param_names = ["grid"]
    timeout = 600

    def setup_cache(self):
        folder = Path.cwd()  # a temporary one, which asv removes
        market = SyntheticMarket(7, fair_sd_ticks=300.0, half_life_s=10.0).run(1_800.0)
        write_lake(folder / "lake", market, "SYNTHETIC", "BTC/USDT")
        ingest(folder / "lake", ParquetStore(folder / "store"))
        return str(folder / "store")

    def setup(self, store, grid):
        where = {"store": store, "exchange": "SYNTHETIC", "symbol": "BTC/USDT"}
        self.base = where | {"strategy": {"name": "statistical"}}
        sweep(self.base, {COST_SCALE: [1.0]})  # the recording is kept from here on

    def time_sweep(self, store, grid):
        sweep(self.base, GRIDS[grid])

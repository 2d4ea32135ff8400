import pytest

from mrcore.market import SyntheticMarket
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.synthetic import write_lake

FADE = '''
from mrtrade.strategies import Rules, Strategy, StrategyParams


class Fade(Strategy):
    """Fade the short-term z-score, with a stop and a holding limit that both get to work."""

    features = ("zscore_30", "imbalance_5")

    class Params(StrategyParams):
        entry: float = 1.0

    def rules(self, row):
        z, entry = row["zscore_30"], self.params.entry
        size = 0.5 + 0.5 * abs(row["imbalance_5"])
        return Rules(z < -entry, z > entry, z > 0, z < 0, size, stop_bps=0.2, hold_s=2.0)
'''


@pytest.fixture(scope="session")
def market(tmp_path_factory):
    """A store with three minutes of a synthetic market that reverts, and its configuration."""
    folder = tmp_path_factory.mktemp("market")
    run = SyntheticMarket(7, half_life_s=10.0).run(180.0)
    write_lake(folder / "lake", run)
    ingest(folder / "lake", ParquetStore(folder / "store"))
    (folder / "fade.py").write_text(FADE)
    return {
        "store": str(folder / "store"),
        "exchange": "SYNTHETIC",
        "symbol": "BTC/USDT",
        "strategy": {"name": str(folder / "fade.py")},
        "bar": "200ms",
        "capital": 10_000.0,
        "max_position": 0.05,
        "execution": {"mode": "passive", "timeout_s": 3, "on_timeout": "cross"},
        "instrument": {"tick_size": run.tick_size, "lot_size": run.lot_size},
        "transaction_costs": {"maker_fee_bps": 0.5, "taker_fee_bps": 3.0},
    }

import numpy as np
import pandas as pd
import pytest

from mrcore.market import SyntheticMarket
from mrtrade.clock import NS_PER_SECOND, to_ns
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


FLIP = """
from mrtrade.strategies import Rules, Strategy


class Flip(Strategy):
    features = ("imbalance_5",)

    def rules(self, row):
        x = row["imbalance_5"]
        return Rules(x > 0.5, x < -0.5, x > 9, x > 9)
"""

FUNDING = [(60, 0.001, 60_100.0), (120, -0.002, np.nan), (121, 0.003, 59_900.0)]
"""Settlements of the perpetual: second after the start, rate, mark."""


@pytest.fixture(scope="session")
def market(tmp_path_factory):
    """A store with three minutes of a synthetic market that reverts, and its configuration.

    It is there twice: as spot, and as a perpetual with funding.
    """
    folder = tmp_path_factory.mktemp("market")
    run = SyntheticMarket(7, half_life_s=10.0).run(180.0)
    store = ParquetStore(folder / "store")
    for symbol in ("BTC/USDT", "BTC/USDT-PERP"):
        write_lake(folder / "lake", run, symbol=symbol)
    ingest(folder / "lake", store)
    start = to_ns("2024-01-01")
    second, rate, mark = (np.array(column) for column in zip(*FUNDING, strict=True))
    # The two settlements a second apart are one, at the rate received last.
    received = start + np.array([30, 90, 91]) * NS_PER_SECOND
    funding = pd.DataFrame(
        {
            **{"origin_time": received, "received_time": received, "mark_price": mark},
            **{"rate": rate, "next_funding_time": start + second * NS_PER_SECOND},
        }
    )
    store.write("funding", "SYNTHETIC", "BTC/USDT-PERP", funding)
    (folder / "fade.py").write_text(FADE)
    (folder / "flip.py").write_text(FLIP)
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

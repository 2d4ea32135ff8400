"""A market that stands still, and targets that know nothing."""

import numpy as np
import pandas as pd

from mrtrade.clock import NS_PER_SECOND, to_ns
from mrtrade.data.parquet import ParquetStore

NOISE = '''
from mrtrade.strategies import Rules, Strategy


class Noise(Strategy):
    """Targets that know nothing: digits of the time of day."""

    features = ("hour_sin",)

    def rules(self, row):
        x = 1e7 * row["hour_sin"] % 1
        leave = abs(x - 0.5) < 0.1
        return Rules(x < 0.1, x > 0.9, leave, leave)
'''

MID, HALF = 60_000.1, 0.1


def still_market(folder, seconds=180):
    """Store a book that never changes, traded on either side; returns a configuration of a run."""
    store, start = ParquetStore(folder / "still"), to_ns("2024-01-01")
    time = start + np.arange(0, 10 * seconds) * NS_PER_SECOND // 10
    level = np.arange(5)
    prices = np.round(np.r_[MID - HALF - 0.1 * level, MID + HALF + 0.1 * level], 1)
    n = len(time)
    book = pd.DataFrame(
        {
            "origin_time": np.repeat(time, 10),
            "received_time": np.repeat(time, 10),
            "sequence_number": np.repeat(np.arange(n), 10),
            "side_is_bid": np.tile(np.arange(10) < 5, n),
            "price": np.tile(prices, n),
            "size": 0.3,
        }
    )
    buys = np.arange(n) % 2 == 0
    trades = pd.DataFrame(
        {
            "origin_time": time + 7_000_000,
            "received_time": time + 7_000_000,
            "side": np.where(buys, "buy", "sell"),
            "quantity": 0.05,
            "price": np.where(buys, np.round(MID + HALF, 1), np.round(MID - HALF, 1)),
            "trade_id": np.arange(n),
        }
    )
    for table, rows in (("book_delta_v2", book), ("trades", trades)):
        store.write(table, "SYNTHETIC", "BTC/USDT", rows)
    (folder / "noise.py").write_text(NOISE)
    return {
        "store": str(folder / "still"),
        "exchange": "SYNTHETIC",
        "symbol": "BTC/USDT",
        "strategy": {"name": str(folder / "noise.py")},
        "bar": "1s",
        "capital": 10_000.0,
        "max_position": 0.05,
        "queue": {"compare": False},
        "instrument": {"tick_size": 0.1, "lot_size": 0.001},
        "transaction_costs": {"maker_fee_bps": 0.5, "taker_fee_bps": 3.0},
    }

import numpy as np
import pandas as pd
import pytest


def make_bars(rows: int, seed: int = 0, interval: str = "1s") -> pd.DataFrame:
    """Bars as `build_bars` makes them: a mid that reverts, on a grid of 0.01, with its flow."""
    rng = np.random.default_rng(seed)
    gap = np.zeros(rows)
    for row in range(1, rows):
        gap[row] = 0.9 * gap[row - 1] + rng.normal(0.0, 0.2)
    bid = np.round(100.0 + gap, 2)
    ask = bid + 0.01 * rng.integers(1, 4, rows)
    mid = 0.5 * (bid + ask)
    bid_size, ask_size = rng.integers(1, 500, (2, rows)) / 100.0
    trades = rng.poisson(4.0, rows).astype(float)
    buy = np.where(trades > 0, rng.integers(1, 300, rows) / 100.0, 0.0)
    sell = np.where(trades > 0, rng.integers(1, 300, rows) / 100.0, 0.0)
    columns = {
        "bid": bid,
        "bid_size": bid_size,
        "ask": ask,
        "ask_size": ask_size,
        **{f"imbalance_{levels}": rng.uniform(-1.0, 1.0, rows) for levels in (1, 5, 10, 20)},
        "bid_depth_5": 5.0 * bid_size,
        "ask_depth_5": 5.0 * ask_size,
        "bid_depth_20": 20.0 * bid_size,
        "ask_depth_20": 20.0 * ask_size,
        "microprice": (bid_size * ask + ask_size * bid) / (bid_size + ask_size),
        "n_messages": rng.poisson(20.0, rows).astype(float),
        "n_trades": trades,
        "buy_volume": buy,
        "sell_volume": sell,
        "notional": buy * ask + sell * bid,
        "trade_high": np.where(trades > 0, ask, np.nan),
        "trade_low": np.where(trades > 0, bid, np.nan),
        "last_trade": bid,
        "mid_high": mid + 0.01 * rng.integers(0, 3, rows),
        "mid_low": mid - 0.01 * rng.integers(0, 3, rows),
        "spread_mean": ask - bid,
        "spread_max": ask - bid + 0.01,
        "ofi": rng.normal(0.0, 3.0, rows),
        "vpin": rng.uniform(0.0, 1.0, rows),
        "kyle_lambda": rng.normal(0.0, 1e-3, rows),
        "mid": mid,
    }
    index = pd.date_range("2024-08-08 22:00", periods=rows, freq=interval, tz="UTC", name="time")
    return pd.DataFrame(columns, index=index.as_unit("ns"))


@pytest.fixture(scope="session")
def bars() -> pd.DataFrame:
    """Enough of them for the longest default window."""
    return make_bars(4000)

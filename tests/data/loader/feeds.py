"""A small recording of everything, with pauses, late snapshots and clocks that disagree."""

import numpy as np
import pandas as pd

from mrtrade.data.parquet import ParquetStore

SECOND = 10**9
MINUTE = 60 * SECOND
T0 = 1_723_075_200 * SECOND + 23 * 60 * MINUTE  # an hour before a midnight
HERE = ("BINANCE", "FOO/USDT")
STEPS = {"tick_size": 0.5, "lot_size": 0.25}


def times(rng, n, minutes):
    """Receive times, sorted, some equal, with a pause of 14 minutes."""
    at = np.sort(rng.integers(0, minutes * MINUTE, n))
    at[n // 3 :] += 14 * MINUTE
    at[rng.integers(1, n, n // 10)] = 0
    received = T0 + np.maximum.accumulate(at)
    origin = received + rng.integers(-3 * SECOND, 2 * SECOND, n)
    origin[rng.integers(0, n, n // 20)] = 0
    return {"origin_time": origin, "received_time": received}


def levels(rng, n):
    bid = rng.random(n) < 0.5
    return {
        "side_is_bid": bid,
        "price": np.where(bid, 100.0, 100.5) + np.where(bid, -0.5, 0.5) * rng.integers(0, 8, n),
        "size": 0.25 * rng.integers(0, 9, n),
    }


def feed(seed, minutes=50, n=900):
    """Return the tables of a recording: name -> DataFrame."""
    rng = np.random.default_rng(seed)
    deltas = times(rng, n, minutes)
    deltas |= {"sequence_number": 1_000 + np.cumsum(rng.integers(0, 3, n))} | levels(rng, n)
    seeds = []
    for at in np.sort(rng.integers(n // 6, n, 3)):
        received = deltas["received_time"][at] + rng.integers(-5, 5) * SECOND
        part = levels(rng, 12)
        part["size"] += 0.25
        number = deltas["sequence_number"][at]
        part |= {"origin_time": np.zeros(12, np.int64), "sequence_number": np.full(12, number)}
        seeds.append(pd.DataFrame({**part, "received_time": np.full(12, received)}))
    trades = times(rng, n // 2, minutes)
    m = len(trades["received_time"])
    flow = {
        "side": rng.choice(["buy", "sell"], m),
        "quantity": 0.25 * rng.integers(1, 30, m),
        "price": 100.0 + 0.5 * rng.integers(-9, 9, m),
    }
    funding = times(rng, 60, minutes)
    announced = {
        "rate": rng.normal(size=60) * 1e-4,
        "mark_price": rng.uniform(99, 101, 60),
        "index_price": np.where(rng.random(60) < 0.1, np.nan, rng.uniform(99, 101, 60)),
        "next_funding_time": np.where(rng.random(60) < 0.1, 0, T0 + 3_600 * SECOND),
    }
    interest, closed = times(rng, 40, minutes), times(rng, 40, minutes - 5)
    closed = {name: np.where(at > 0, at + 5 * MINUTE, at) for name, at in closed.items()}
    start = T0 + MINUTE * np.arange(minutes)
    start = start[rng.random(minutes) < 0.9]
    late = rng.integers(0, 90 * SECOND, len(start)) * (rng.random(len(start)) < 0.5)
    prices = {name: rng.uniform(99, 101, len(start)) for name in ("open", "high", "low", "close")}
    candles = {
        "origin_time": start,
        "received_time": start + MINUTE + late,
        "start": start,
        "stop": start + MINUTE,
        **prices,
        "volume": rng.uniform(0, 9, len(start)),
        "trades": rng.integers(-1, 30, len(start)),
    }
    tables = {
        "book_delta_v2": pd.DataFrame(deltas),
        "book_seed": pd.concat(seeds).sort_values("received_time", kind="stable"),
        "trades": pd.DataFrame({**trades, **flow, "trade_id": [str(i) for i in range(m)]}),
        "funding": pd.DataFrame({**funding, **announced}),
        "open_interest": pd.DataFrame({**interest, "open_interest": rng.uniform(0, 9, 40)}),
        "liquidations": pd.DataFrame(
            {
                **closed,
                "side": rng.choice(["buy", "sell"], 40),
                "quantity": rng.integers(1, 9, 40) / 4,
                "price": np.full(40, 100.0),
            }
        ),
        "candles": pd.DataFrame(candles).sort_values("received_time", kind="stable"),
    }
    return tables


def store_of(folder, tables):
    store = ParquetStore(folder)
    for table, rows in tables.items():
        if len(rows):
            store.write(table, *HERE, rows.reset_index(drop=True))
    return store

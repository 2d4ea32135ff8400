"""Objects as Crypto Lake's bucket holds them: raw names, raw types, snappy."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND, to_ns

ROOT = "market-data/cryptofeed"
BUCKET = "qnt.data"


def key_of(table, day, exchange="BINANCE", symbol="BTC-USDT", name="1.snappy.parquet", root=ROOT):
    partition = f"{table}/exchange={exchange}/symbol={symbol}/dt={day}/{name}"
    return f"{root}/{partition}" if root else partition


def rows_of(table, day, count=1_000, seed=0, start=0.0, hours=24.0):
    """Rows of a day, evenly spread, in the exact raw schema of the table."""
    rng = np.random.default_rng([seed, to_ns(day) // NS_PER_DAY])
    step = int(hours * 3_600 * NS_PER_SECOND) // count
    received = to_ns(day) + int(start * 3_600 * NS_PER_SECOND) + step * np.arange(count)
    origin = received - rng.integers(1_000_000, 9_000_000, count)
    times = {"timestamp": origin, "receipt_timestamp": received}
    price = np.round(60_000 + rng.normal(0, 1, count).cumsum(), 1)
    size = np.round(rng.exponential(1, count) + 0.001, 3)
    side = pa.array(rng.choice(["buy", "sell"], count))
    sequence = {"sequence_number": 1_000 + np.arange(count)}
    match table:
        case "book_delta_v2":
            level = {"side_is_bid": rng.random(count) < 0.5, "price": price, "size": size}
            columns = {**times, **sequence, **level}
        case "book" | "level_1":
            columns = {**times, **sequence}
            for name, sign in (("bid", -1), ("ask", 1)):
                for level in range(20 if table == "book" else 1):
                    columns[f"{name}_{level}_price"] = price + sign * (0.1 + level) / 2
                    columns[f"{name}_{level}_size"] = size
        case "trades":
            ids = {"id": 7_000 + np.arange(count)}
            columns = {"side": side, "amount": size, "price": price, **ids, **times}
        case "funding":
            upcoming = (received // NS_PER_SECOND // 28_800 + 1) * 28_800.0
            columns = {
                "mark_price": price,
                "rate": rng.normal(0, 1e-4, count),
                "next_funding_time": upcoming,
                **times,
                "index_price": price + 0.5,
            }
        case "open_interest":
            columns = {"open_interest": size * 1_000, **times}
        case "liquidations":
            columns = {
                "side": side,
                "quantity": size,
                "price": price,
                "id": pa.nulls(count, pa.int32()),
                "status": pa.array(["filled"] * count),
                **times,
            }
        case "candles":
            seconds = received / NS_PER_SECOND
            at = {"timestamp": received, "receipt_timestamp": received}
            columns = {
                **at,
                "start": seconds,
                "stop": seconds + 60.0,
                "open": price,
                "high": price + 2,
                "low": price - 2,
                "close": price + 1,
                "volume": size,
                "trades": rng.integers(0, 99, count),
            }
    return pa.table(columns)


def to_bytes(rows, row_group_size=10_000):
    sink = io.BytesIO()
    pq.write_table(rows, sink, compression="snappy", row_group_size=row_group_size)
    return sink.getvalue()


def put_day(stub, table, day, rows=None, *, bucket=BUCKET, part_size=None, **where):
    """Put a day into a stub and return the rows."""
    rows = rows_of(table, day) if rows is None else rows
    stub.put(bucket, key_of(table, day, **where), to_bytes(rows), part_size)
    return rows

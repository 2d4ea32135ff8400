"""Small Crypto Lake folders, written row by row."""

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq

DAY = "2024-08-08"
T0 = 1_723_075_200 * 10**9  # its midnight
SECOND = 10**9


def deltas(*rows, raw=True):
    """Rows of (received, sequence, side_is_bid, price, size[, origin]); times from T0."""
    columns = {
        "timestamp": [T0 + (row[5] if len(row) > 5 else row[0]) for row in rows],
        "receipt_timestamp": [T0 + row[0] for row in rows],
        "sequence_number": [row[1] for row in rows],
        "side_is_bid": [row[2] for row in rows],
        "price": [float(row[3]) for row in rows],
        "size": [float(row[4]) for row in rows],
    }
    table = pa.table(columns)
    return (
        table if raw else table.rename_columns(["origin_time", "received_time", *list(columns)[2:]])
    )


def trades(*rows):
    """Rows of (received, side, quantity, price, trade_id); raw names, times from T0."""
    return pa.table(
        {
            "side": [row[1] for row in rows],
            "amount": [float(row[2]) for row in rows],
            "price": [float(row[3]) for row in rows],
            "id": [row[4] for row in rows],
            "timestamp": [T0 + row[0] for row in rows],
            "receipt_timestamp": [T0 + row[0] for row in rows],
        }
    )


def put(
    root,
    table,
    rows,
    *,
    exchange="BINANCE",
    symbol="BTC-USDT",
    day=DAY,
    name="1.parquet",
    **options,
):
    folder = root / table / f"exchange={exchange}" / f"symbol={symbol}" / f"dt={day}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, folder / name, **options)
    return folder / name


def tree(root):
    """Name -> hash of every file of a folder."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }

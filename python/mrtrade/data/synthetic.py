"""Synthetic markets as files in Crypto Lake's layout, for tests, the demo and benchmarks."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mrcore.market import MarketRun
from mrtrade.instruments import to_lake

NS_PER_DAY = 86_400_000_000_000


def write_lake(
    folder: str | Path,
    run: MarketRun,
    exchange: str = "SYNTHETIC",
    symbol: str = "BTC/USDT",
) -> list[Path]:
    """Write a run of the synthetic market as a local Crypto Lake folder.

    The files are ``<folder>/<table>/exchange=E/symbol=S/dt=YYYY-MM-DD/1.parquet`` with the raw
    column names and types of Crypto Lake; `dt` is the UTC day of the receipt time. A file that is
    there is replaced.

    Parameters
    ----------
    folder : path
        Created if need be.
    run : MarketRun
        What `mrcore.market.SyntheticMarket.run` returned.
    exchange : str
        As Crypto Lake spells it.
    symbol : str
        ``BTC/USDT``; the folder is named ``BTC-USDT``.

    Returns
    -------
    list of Path
        The files, tables in the order book_seed, book_delta_v2, trades, days ascending.
    """
    tables = {
        "book_seed": _levels(run.snapshot),
        "book_delta_v2": _levels(run.deltas),
        "trades": _trades(run.trades),
    }
    written = []
    for name, table in tables.items():
        days = table["receipt_timestamp"].to_numpy() // NS_PER_DAY
        for day in np.unique(days):
            date = np.datetime64(int(day), "D")
            path = Path(folder, name, f"exchange={exchange}", f"symbol={to_lake(symbol)}")
            path = path / f"dt={date}" / "1.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            first, last = np.searchsorted(days, [day, day + 1])
            pq.write_table(table.slice(first, last - first), path)
            written.append(path)
    return written


def _levels(columns: dict[str, npt.NDArray[Any]]) -> pa.Table:
    return pa.table(
        {
            "timestamp": columns["origin_time"],
            "receipt_timestamp": columns["received_time"],
            "sequence_number": columns["sequence_number"],
            "side_is_bid": columns["side_is_bid"],
            "price": columns["price"],
            "size": columns["size"],
        }
    )


def _trades(columns: dict[str, npt.NDArray[Any]]) -> pa.Table:
    return pa.table(
        {
            "side": pa.array(np.where(columns["side"] > 0, "buy", "sell"), pa.string()),
            "amount": columns["quantity"],
            "price": columns["price"],
            "id": columns["trade_id"],
            "timestamp": columns["origin_time"],
            "receipt_timestamp": columns["received_time"],
        }
    )

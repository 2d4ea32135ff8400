"""Tardis' CSV files: ``incremental_book_L2`` and ``trades``.

Columns and their meaning: https://docs.tardis.dev/downloadable-csv-files/data-types. Times are
microseconds; `timestamp` is the exchange's, or `local_timestamp` again where it gave none. Rows of
one `local_timestamp` are one message. A run of rows with ``is_snapshot`` is a whole book that
replaces what was known.
"""

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mrtrade.data.providers import spelling
from mrtrade.data.providers.book_rows import BookRows
from mrtrade.data.providers.csv_rows import FLAG, FLOAT, INT, TEXT, read_csv, refuse
from mrtrade.data.providers.lines import first_lines
from mrtrade.data.providers.recording import Parsed, Part, Recording, Series
from mrtrade.errors import DataError
from mrtrade.instruments import to_lake

FORMAT = "tardis"

_BOOK = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
_TRADES = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"

Ints = npt.NDArray[np.int64]

EXCHANGES = {
    "binance": "BINANCE",
    "binance-futures": "BINANCE_FUTURES",
    "binance-delivery": "BINANCE_DELIVERY",
    "bybit": "BYBIT",
    "bybit-spot": "BYBIT",
    "coinbase": "COINBASE",
    "okex": "OKX",
    "okex-swap": "OKX",
    "okex-futures": "OKX",
}
"""Tardis' names of exchanges -> Crypto Lake's."""


def find(path: Path, exchange: str | None, symbol: str | None) -> list[Part] | None:
    """Return the series of a file of Tardis; None if the file is none."""
    lines = [line.decode("utf-8", "replace") for line in first_lines(path, 2)]
    if not lines or lines[0] not in (_BOOK, _TRADES):
        return None
    first = lines[1].split(",") if len(lines) > 1 else []
    if len(first) < 8:
        raise DataError(
            "no first row that says what it is of",
            file=path,
            row=1,
            value=",".join(first),
            expected=lines[0],
            remedy="download it again",
        )
    venue, native, _, time = first[:4]
    market = exchange or EXCHANGES.get(venue, venue.upper().replace("-", "_"))
    spelled = to_lake(symbol) if symbol else _symbol(venue, market, native)
    name = f"{FORMAT}/{path.name}@{time}"
    if lines[0] == _TRADES:
        series = [Series("trades", market, spelled)]
        return Recording(path, name, series, partial(_trades, native, series[0])).parts()
    series = [Series(table, market, spelled) for table in ("book_delta_v2", "book_seed")]
    return Recording(path, name, series, partial(_book, native, market, spelled)).parts()


def _symbol(venue: str, market: str, native: str) -> str:
    if venue.startswith("okex"):
        return spelling.okx(native)
    if "-" in native:
        return spelling.plain(native)
    if venue == "bybit":
        return spelling.binance("BINANCE_FUTURES", native)
    return spelling.binance("BINANCE" if market == "BYBIT" else market, native)


def _common(table: pa.Table, numbers: Ints, native: str, out: Parsed) -> tuple[pa.Table, Ints]:
    other = pc.fill_null(pc.not_equal(table["symbol"], native), True).to_numpy()
    return refuse(table, numbers, other, f"symbol: expected {native}, as in the first row", out)


def _ns(table: pa.Table, name: str) -> Ints:
    times: Ints = pc.fill_null(table[name], 0).to_numpy() * 1_000
    return times


def _trades(native: str, series: Series, path: Path, out: Parsed) -> None:
    types = dict.fromkeys(("symbol", "id", "side"), TEXT)
    types |= dict.fromkeys(("timestamp", "local_timestamp"), INT)
    types |= dict.fromkeys(("price", "amount"), FLOAT)
    for numbers, table in read_csv(path, out, _TRADES.split(","), types, 1):
        table, _ = _common(table, numbers, native, out)
        out.rows(*series).extend(
            {
                "origin_time": _ns(table, "timestamp"),
                "received_time": _ns(table, "local_timestamp"),
                "side": table["side"],
                "quantity": table["amount"],
                "price": table["price"],
                "trade_id": table["id"],
            }
        )


def _book(native: str, market: str, symbol: str, path: Path, out: Parsed) -> None:
    types = dict.fromkeys(("symbol", "side"), TEXT) | {"is_snapshot": FLAG}
    types |= dict.fromkeys(("timestamp", "local_timestamp"), INT)
    types |= dict.fromkeys(("price", "amount"), FLOAT)
    book = BookRows(out, market, symbol)
    for numbers, table in read_csv(path, out, _BOOK.split(","), types, 1):
        table, numbers = _common(table, numbers, native, out)
        unknown = ~pc.fill_null(pc.is_in(table["side"], pa.array(["bid", "ask"])), False).to_numpy()
        table, numbers = refuse(table, numbers, unknown, "side: expected bid or ask", out)
        columns = {
            "origin_time": _ns(table, "timestamp"),
            "received_time": _ns(table, "local_timestamp"),
            "sequence_number": np.full(len(table), -1),
            "side_is_bid": pc.equal(table["side"], "bid").to_numpy(),
            "price": table["price"].to_numpy(),
            "size": table["amount"].to_numpy(),
        }
        book.add(columns, pc.fill_null(table["is_snapshot"], False).to_numpy())
    book.end()

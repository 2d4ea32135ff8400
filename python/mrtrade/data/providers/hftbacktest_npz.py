"""hftbacktest's event files (version 2): an ``.npz`` with one array of 64-byte events.

The low byte of ``ev`` is what happened, its high bits to whom and on which side. Only events that
reached the trader (``LOCAL_EVENT``) have a time of receipt, ``local_ts``; those that only the
exchange saw repeat them. There are no update ids. The file does not say what it is of: its name
begins with Binance's symbol, or ``--symbol`` says it, and ``--exchange`` says where.

Meaning of the bits: https://hftbacktest.readthedocs.io/en/latest/data.html
"""

import re
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mrtrade.data.providers import spelling
from mrtrade.data.providers.book_rows import BookRows
from mrtrade.data.providers.lines import UNREADABLE
from mrtrade.data.providers.recording import Parsed, Part, Recording, Refusal, Series
from mrtrade.errors import DataError
from mrtrade.instruments import to_lake

FORMAT = "hftbacktest-npz"

EVENT = np.dtype(
    [
        *(("ev", "<u8"), ("exch_ts", "<i8"), ("local_ts", "<i8"), ("px", "<f8"), ("qty", "<f8")),
        *(("order_id", "<u8"), ("ival", "<i8"), ("fval", "<f8")),
    ]
)
DEPTH, TRADE, CLEAR, SNAPSHOT = 1, 2, 3, 4
LOCAL, BUY, SELL = 1 << 30, 1 << 29, 1 << 28

BLOCK_EVENTS = 1 << 18

_BAD = (*UNREADABLE, ValueError, KeyError)


def find(path: Path, exchange: str | None, symbol: str | None) -> list[Part] | None:
    """Return the series of an event file; None if the file is none."""
    if path.suffix != ".npz":
        return None
    try:
        first = next(_blocks(path), None)
    except _BAD:
        return None
    if first is None or first.dtype != EVENT:
        return None
    if exchange is None:
        raise DataError(
            "an event file of hftbacktest does not say its exchange",
            file=path,
            remedy="say it: --exchange BINANCE_FUTURES",
        )
    if symbol is not None:
        spelled = to_lake(symbol)
    else:
        name = re.split(r"[^A-Za-z0-9]", path.stem)[0]
        spelled = spelling.binance(exchange, name)
    tables = ("book_delta_v2", "book_seed", "trades")
    series = [Series(table, exchange, spelled) for table in tables]
    name = f"{FORMAT}/{path.name}@{int(first['local_ts'][0])}"
    return Recording(path, name, series, partial(_parse, exchange, spelled)).parts()


def _blocks(path: Path) -> Iterator[npt.NDArray[Any]]:
    """Yield the events of a file, without ever holding all of them."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        with archive.open("data.npy" if "data.npy" in names else names[0]) as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0
            if version != (1, 0):
                read = np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            left = shape[0] if len(shape) == 1 else 0
            while left:
                count = min(left, BLOCK_EVENTS)
                raw = file.read(count * dtype.itemsize)
                if len(raw) < count * dtype.itemsize:
                    raise EOFError("fewer events than its header says")
                left -= count
                yield np.frombuffer(raw, dtype)


def _parse(exchange: str, symbol: str, path: Path, out: Parsed) -> None:
    row = 0
    book = BookRows(out, exchange, symbol)
    try:
        for block in _blocks(path):
            events = block[(block["ev"] & LOCAL) != 0]
            out.passed_over["events that only the exchange saw"] += len(block) - len(events)
            kind = events["ev"] & 0xFF
            for other in np.unique(kind[~np.isin(kind, (DEPTH, TRADE, SNAPSHOT))]).tolist():
                what = "clear of a side before a snapshot" if other == CLEAR else f"kind {other}"
                out.passed_over[what] += int((kind == other).sum())
            traded = events[kind == TRADE]
            if len(traded):
                out.rows("trades", exchange, symbol).extend(_trades(traded))
            books = events[(kind == DEPTH) | (kind == SNAPSHOT)]
            book.add(_levels(books), (books["ev"] & 0xFF) == SNAPSHOT)
            row += len(block)
    except _BAD as error:
        out.refusals.append(Refusal(row, f"the file is cut off or broken: {error}", ""))
    book.end()
    out.passed_over = +out.passed_over


def _levels(events: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    return {
        "origin_time": events["exch_ts"],
        "received_time": events["local_ts"],
        "sequence_number": np.full(len(events), -1),
        "side_is_bid": (events["ev"] & BUY) != 0,
        "price": events["px"],
        "size": events["qty"],
    }


def _trades(events: npt.NDArray[Any]) -> dict[str, Any]:
    # The side is the aggressor's; an event of neither side has none.
    buys, sells = (events["ev"] & BUY) != 0, (events["ev"] & SELL) != 0
    return {
        "origin_time": events["exch_ts"],
        "received_time": events["local_ts"],
        "side": np.where(buys, "buy", np.where(sells, "sell", "unknown")),
        "quantity": events["qty"],
        "price": events["px"],
        "trade_id": np.full(len(events), None),
    }

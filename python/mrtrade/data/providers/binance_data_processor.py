"""Merged CSV files of Binance-Data-Processor: depth updates, snapshots and trades of one symbol.

A report of their quality, in lines that begin with ``#``, comes before the names of the columns.
``TimestampOfReceiveUS`` is the local time in microseconds and the order of the rows. A snapshot
that was asked for is sorted in later than it was received: ``TimestampOfReceive`` has its time. The
day begins with ``FINAL_DEPTH_SNAPSHOT``, the book that the day before ended with.
"""

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mrtrade.data.providers import spelling
from mrtrade.data.providers.csv_rows import FLAG, FLOAT, INT, TEXT, read_csv, refuse
from mrtrade.data.providers.lines import first_lines
from mrtrade.data.providers.recording import Parsed, Part, Recording, Series
from mrtrade.data.sequences import Chain
from mrtrade.errors import DataError
from mrtrade.instruments import to_lake

FORMAT = "binance-data-processor"

_MARKETS = {
    "SPOT": "BINANCE",
    "USD_M_FUTURES": "BINANCE_FUTURES",
    "COIN_M_FUTURES": "BINANCE_DELIVERY",
}
_TYPES = {
    **dict.fromkeys(("TimestampOfReceiveUS", "TimestampOfReceive", "EventTime"), INT),
    **dict.fromkeys(("TransactionTime", "FirstUpdateId", "FinalUpdateId"), INT),
    **dict.fromkeys(("FinalUpdateIdInLastStream", "LastUpdateId", "TradeId"), INT),
    **dict.fromkeys(("IsAsk", "IsBuyerMarketMaker"), FLAG),
    **dict.fromkeys(("Price", "Quantity"), FLOAT),
    **dict.fromkeys(("MessageOutputTime",), INT),
    **dict.fromkeys(("Symbol", "StreamType", "Market"), TEXT),
}
_HEADER_LINES = 2_000

Ints = npt.NDArray[np.int64]


def find(path: Path, exchange: str | None, symbol: str | None) -> list[Part] | None:
    """Return the series of a merged file; None if the file is none."""
    if path.suffix not in (".csv", ".gz", ".zst", ".zip"):
        return None
    lines = first_lines(path, _HEADER_LINES)
    skip = next((at for at, line in enumerate(lines) if not line.startswith(b"#")), None)
    if skip is None or len(lines) < skip + 2:
        return None
    names = lines[skip].decode("utf-8", "replace").split(",")
    if not _TYPES.keys() <= set(names):
        return None
    values = lines[skip + 1].decode("utf-8", "replace").split(",")
    first = dict(zip(names, values, strict=False))
    market = exchange or _MARKETS.get(first.get("Market", ""))
    if market is None or len(values) != len(names):
        raise DataError(
            "its first row does not say which of Binance's markets it is of",
            file=path,
            row=skip + 1,
            value=",".join(values),
            expected=" or ".join(_MARKETS),
            remedy="correct or remove the row, or download the file again",
        )
    native = first["Symbol"]
    spelled = to_lake(symbol) if symbol else spelling.binance(market, native)
    series = [Series(table, market, spelled) for table in ("book_delta_v2", "book_seed", "trades")]
    name = f"{FORMAT}/{path.name}@{first['TimestampOfReceive']}"
    parse = partial(_parse, names, skip + 1, native, first["Market"], market, spelled)
    return Recording(path, name, series, parse).parts()


def _parse(
    names: list[str],
    skip: int,
    native: str,
    kind: str,
    market: str,
    symbol: str,
    path: Path,
    out: Parsed,
) -> None:
    depth, trades = Chain(), Chain()
    for numbers, table in read_csv(path, out, names, _TYPES, skip):
        other = ~_true(pc.and_(pc.equal(table["Symbol"], native), pc.equal(table["Market"], kind)))
        table, numbers = refuse(table, numbers, other, f"expected {native} of {kind}", out)
        stream = table["StreamType"]
        asked = _true(pc.equal(stream, "DEPTH_SNAPSHOT"))
        received = _ints(table, "TimestampOfReceiveUS") * 1_000
        whole = _ints(table, "TimestampOfReceive") * 1_000_000
        bad = ~asked & (received // 1_000_000 * 1_000_000 != whole)
        what = "TimestampOfReceiveUS and TimestampOfReceive are not the same time"
        table, numbers = refuse(table, numbers, bad, what, out)
        asked, received, whole = asked[~bad], received[~bad], whole[~bad]
        received = np.where(asked, whole, received)
        stream = table["StreamType"]
        updates = _true(pc.equal(stream, "DIFFERENCE_DEPTH_STREAM"))
        carried = _true(pc.equal(stream, "FINAL_DEPTH_SNAPSHOT"))
        traded = _true(pc.equal(stream, "TRADE_STREAM"))
        event = _ints(table, "EventTime") * 1_000_000
        last = _ints(table, "FinalUpdateId")
        _levels(out, "book_delta_v2", market, symbol, table, updates, event, received, last)
        _messages(depth, table, updates, received, last)
        if carried.any():  # each level bears its own last update: the book is the latest's
            of_book = (
                np.full(len(table), event[carried].max()),
                np.full(len(table), last[carried].max()),
            )
            _levels(
                out, "book_seed", market, symbol, table, carried, of_book[0], received, of_book[1]
            )
        sent, held = _ints(table, "MessageOutputTime") * 1_000_000, _ints(table, "LastUpdateId")
        _levels(out, "book_seed", market, symbol, table, asked, sent, received, held)
        _trades(out, market, symbol, table, traded, received, trades)
        for name in pc.unique(
            stream.filter(pa.array(~(updates | carried | asked | traded)))
        ).to_pylist():
            out.passed_over[str(name)] += int(_true(pc.equal(stream, name)).sum())
    out.findings += depth.findings("book_delta_v2", market, symbol, "FinalUpdateIdInLastStream")
    out.findings += trades.findings("trades", market, symbol, "TradeId")


def _true(values: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = pc.fill_null(values, False).to_numpy()
    return found


def _ints(table: pa.Table, name: str) -> Ints:
    found: Ints = pc.fill_null(table[name], 0).to_numpy()
    return found


def _levels(
    out: Parsed,
    name: str,
    market: str,
    symbol: str,
    table: pa.Table,
    these: npt.NDArray[np.bool_],
    origin: Ints,
    received: Ints,
    sequence: Ints,
) -> None:
    if not these.any():
        return
    rows = table.filter(pa.array(these))
    out.rows(name, market, symbol).extend(
        {
            "origin_time": origin[these],
            "received_time": received[these],
            "sequence_number": sequence[these],
            "side_is_bid": pc.invert(rows["IsAsk"]),
            "price": rows["Price"],
            "size": rows["Quantity"],
        }
    )


def _messages(
    chain: Chain,
    table: pa.Table,
    updates: npt.NDArray[np.bool_],
    received: Ints,
    last: Ints,
) -> None:
    first = _ints(table, "FirstUpdateId")[updates]
    before = _ints(table, "FinalUpdateIdInLastStream")[updates]
    last, received = last[updates], received[updates]
    # A message's rows repeat its ids.
    for at in np.flatnonzero(np.diff(first, prepend=-1) | np.diff(last, prepend=-1)).tolist():
        if chain.last == last[at]:
            continue  # its first rows were in the block before
        if before[at]:
            chain.refer(int(received[at]), int(before[at]), int(last[at]))
        else:
            chain.follow(int(received[at]), int(first[at]), int(last[at]))


def _trades(
    out: Parsed,
    market: str,
    symbol: str,
    table: pa.Table,
    traded: npt.NDArray[np.bool_],
    received: Ints,
    chain: Chain,
) -> None:
    if not traded.any():
        return
    rows = table.filter(pa.array(traded))
    out.rows("trades", market, symbol).extend(
        {
            "origin_time": _ints(rows, "TransactionTime") * 1_000_000,
            "received_time": received[traded],
            "side": pc.if_else(rows["IsBuyerMarketMaker"], "sell", "buy"),
            "quantity": rows["Quantity"],
            "price": rows["Price"],
            "trade_id": rows["TradeId"].cast("string"),
        }
    )
    chain.follow_all(received[traded], _ints(rows, "TradeId"))

"""Binance's public data, ``data.binance.vision``: zips, or CSVs, of one symbol and day or month.

``aggTrades``, ``trades``, ``klines`` (named by their interval) and ``fundingRate``, of spot and of
both futures markets, with a line of names or without, in milliseconds or (spot since 2025) in
microseconds. Nobody *received* these rows: `received_time` is the exchange's time, of a candle its
end, when it is known; of a funding rate its settlement. That is earlier than anybody saw them.

Columns: https://github.com/binance/binance-public-data
"""

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from mrtrade.data.providers import spelling
from mrtrade.data.providers.csv_rows import FLAG, FLOAT, INT, epoch_ns, read_csv
from mrtrade.data.providers.lines import first_lines, plain_name
from mrtrade.data.providers.recording import Parsed, Part, Recording, Series
from mrtrade.data.sequences import Chain
from mrtrade.errors import DataError
from mrtrade.instruments import to_lake

FORMAT = "binance-public"

_NAME = re.compile(
    r"(?:(spot|um|cm)-)?([A-Z0-9]+(?:_[A-Z0-9]+)?)-"
    r"(aggTrades|trades|fundingRate|\d{1,2}(?:s|m|h|d|w|mo))"
    r"-\d{4}-\d{2}(?:-\d{2})?(?:\.csv)?"
)
_MARKETS = {"spot": "BINANCE", "um": "BINANCE_FUTURES", "cm": "BINANCE_DELIVERY"}
_COLUMNS = {
    "aggTrades": ("id", "price", "quantity", "first", "last", "time", "maker", "best"),
    "trades": ("id", "price", "quantity", "quote_quantity", "time", "maker", "best"),
    "klines": (
        *("start", "open", "high", "low", "close", "volume", "close_time", "quote_volume"),
        *("trades", "taker_volume", "taker_quote_volume", "ignore"),
    ),
    "fundingRate": ("time", "hours", "rate", "mark"),
}
_NEEDED = {
    "aggTrades": {"id", "price", "quantity", "time", "maker"},
    "trades": {"id", "price", "quantity", "time", "maker"},
    "klines": {"start", "open", "high", "low", "close", "volume", "close_time", "trades"},
    "fundingRate": {"time", "rate"},
}
_TABLES = {"aggTrades": "trades", "trades": "trades", "klines": "candles", "fundingRate": "funding"}


def find(path: Path, exchange: str | None, symbol: str | None) -> list[Part] | None:
    """Return the series of a file of Binance's public data; None if the file is none."""
    match = _NAME.fullmatch(plain_name(path))
    if match is None:
        return None
    prefix, native, kind = match.groups()
    kind = kind if kind in _COLUMNS else "klines"
    lines = [line.decode("ascii", "replace").split(",") for line in first_lines(path, 2)]
    if not lines:
        raise DataError(
            "no lines that can be read", file=path, remedy="delete it, or download it again"
        )
    has_names = not lines[0][0].strip().isdigit()
    width = len(lines[0])
    names = _COLUMNS[kind][:width]
    timed = "start" if kind == "klines" else "time"
    if not _NEEDED[kind] <= set(names):
        raise DataError(
            "too few columns",
            file=path,
            row=0,
            value=",".join(lines[0]),
            expected=",".join(_COLUMNS[kind]),
            remedy="download it again",
        )
    market = exchange or _market(path, prefix, native, kind, width)
    spelled = to_lake(symbol) if symbol else spelling.binance(market, native)
    series = Series(_TABLES[kind], market, spelled)
    first = lines[has_names] if len(lines) > has_names else []
    time = dict(zip(names, first, strict=False)).get(timed, "no rows")
    name = f"{FORMAT}/{path.name}@{time}"
    skip = int(has_names)
    parse = {"klines": _candles, "fundingRate": _funding}.get(kind, _trades)
    return Recording(path, name, [series], partial(parse, series, names, skip)).parts()


def refuse_both(parts: Iterable[Part]) -> None:
    """Refuse aggTrades and trades of one symbol together: the same trades, with other ids.

    Raises
    ------
    DataError
    """
    seen: dict[tuple[str, str], tuple[str, Part]] = {}
    for part in parts:
        match = _NAME.fullmatch(plain_name(part.path))
        if match is None or part.table != "trades":
            continue
        kind, other = seen.setdefault((part.exchange, part.symbol), (match[3], part))
        if kind != match[3]:
            raise DataError(
                f"{' and '.join(sorted((kind, match[3])))} of {part.exchange} {part.symbol}: the "
                "same trades, which would count twice",
                file=part.path,
                value=str(other.path),
                expected="one of the two kinds",
                remedy="keep the files of one kind",
            )


def _market(path: Path, prefix: str | None, native: str, kind: str, width: int) -> str:
    """Return which of the three markets a file is of: their names of files are the same."""
    if prefix:
        return _MARKETS[prefix]
    for folder, below in zip(path.parts, path.parts[1:], strict=False):
        if folder == "data" and below == "spot":
            return "BINANCE"
        if folder == "futures" and below in ("um", "cm"):
            return _MARKETS[below]
    if "_" in native and not native.endswith(("USDT", "USDC")):
        pair = native.partition("_")[0]
        return "BINANCE_DELIVERY" if pair.endswith("USD") else "BINANCE_FUTURES"
    if kind == "fundingRate":
        return "BINANCE_FUTURES"
    # Only spot says whether a trade was at the best price.
    if kind != "klines" and width == len(_COLUMNS[kind]):
        return "BINANCE"
    if kind != "klines":
        return "BINANCE_FUTURES"
    raise DataError(
        "cannot tell which of Binance's markets these candles are of",
        file=path,
        expected="a folder data/spot, futures/um or futures/cm, as on data.binance.vision",
        remedy="say it: --exchange BINANCE, BINANCE_FUTURES or BINANCE_DELIVERY",
    )


def _trades(series: Series, names: tuple[str, ...], skip: int, path: Path, out: Parsed) -> None:
    types = {"id": INT, "price": FLOAT, "quantity": FLOAT, "time": INT, "maker": FLAG}
    chain = Chain()
    for _, table in read_csv(path, out, names, types, skip):
        time = epoch_ns(pc.fill_null(table["time"], 0).to_numpy())
        # The buyer was the maker, so the aggressor sold.
        side = pc.if_else(table["maker"], "sell", "buy")
        out.rows(*series).extend(
            {
                "origin_time": time,
                "received_time": time,
                "side": side,
                "quantity": table["quantity"],
                "price": table["price"],
                "trade_id": table["id"].cast("string"),
            }
        )
        chain.follow_all(time, pc.fill_null(table["id"], 0).to_numpy())
    out.findings += chain.findings(*series, "trade id")


def _candles(series: Series, names: tuple[str, ...], skip: int, path: Path, out: Parsed) -> None:
    types = {"start": INT, "close_time": INT, "trades": INT}
    types |= dict.fromkeys(("open", "high", "low", "close", "volume"), FLOAT)
    for _, table in read_csv(path, out, names, types, skip):
        # The last millisecond, or microsecond, of the candle: it ends with the next.
        stop = epoch_ns(pc.fill_null(table["close_time"], 0).to_numpy() + 1)
        columns = {name: table[name] for name in ("open", "high", "low", "close", "volume")}
        out.rows(*series).extend(
            {
                **columns,
                "origin_time": stop,
                "received_time": stop,
                "start": epoch_ns(pc.fill_null(table["start"], 0).to_numpy()),
                "stop": stop,
                "trades": table["trades"],
            }
        )


def _funding(series: Series, names: tuple[str, ...], skip: int, path: Path, out: Parsed) -> None:
    types = {"time": INT, "rate": FLOAT}
    if "mark" in names:
        types["mark"] = FLOAT
    for _, table in read_csv(path, out, names, types, skip):
        time = epoch_ns(pc.fill_null(table["time"], 0).to_numpy())
        missing = np.full(len(table), np.nan)
        out.rows(*series).extend(
            {
                "origin_time": time,
                "received_time": time,
                "mark_price": pc.fill_null(table["mark"], np.nan) if "mark" in names else missing,
                "rate": table["rate"],
                "next_funding_time": time,  # the rate that was settled then
                "index_price": missing,
            }
        )

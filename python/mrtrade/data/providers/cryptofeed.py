"""cryptofeed's captures: what went over each connection, a JSON object a line.

The first line says the exchange and what was asked for; ``recv`` lines hold a message as text and
the local time in float seconds, which is good to a quarter of a microsecond: whole microseconds
are taken. Connections come one after the other, not interleaved by time.
"""

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mrtrade.data.providers.binance_stream import BinanceStream
from mrtrade.data.providers.bybit_stream import BybitStream
from mrtrade.data.providers.coinbase_stream import CoinbaseStream
from mrtrade.data.providers.lines import UNREADABLE, first_lines, opened
from mrtrade.data.providers.okx_stream import OkxStream
from mrtrade.data.providers.recording import Parsed, Part, Recording, Refusal, Series
from mrtrade.errors import ConfigError
from mrtrade.instruments import to_lake

FORMAT = "cryptofeed"

_HEADER = re.compile(rb'\{\s*"t"\s*:\s*"header"')
_BINANCE = ("BINANCE", "BINANCE_FUTURES", "BINANCE_DELIVERY")
_BOOKS = {"l2_book": ("book_delta_v2", "book_seed"), "trades": ("trades",)}
_OF_BINANCE = {
    **_BOOKS,
    "ticker": ("level_1",),
    "funding": ("funding",),
    "liquidations": ("liquidations",),
}
_TABLES_OF = {
    **dict.fromkeys(_BINANCE, _OF_BINANCE),
    "BYBIT": {**_BOOKS, "funding": ("funding",), "open_interest": ("open_interest",)},
    "COINBASE": _BOOKS,
    "OKX": _BOOKS,
}
_BAD = (ValueError, KeyError, TypeError, AttributeError, IndexError)

Handler = Callable[[dict[str, Any], int], None]


def find(path: Path, exchange: str | None, symbol: str | None) -> list[Part] | None:
    """Return the series of a capture; None if the file is none, or of an exchange not known."""
    beginning = first_lines(path, 1)
    if not beginning or not _HEADER.match(beginning[0]):
        return None
    try:
        header = json.loads(beginning[0])
        market, asked = header["exchange"], header["config"]
        time = _ns(header["recorded"])
        asked = {channel: [to_lake(one) for one in symbols] for channel, symbols in asked.items()}
    except (*_BAD, ConfigError):
        return None
    if market not in _TABLES_OF:
        return None
    series = [
        Series(table, market, one)
        for channel, tables in _TABLES_OF[market].items()
        for one in asked.get(channel, ())
        for table in tables
        if table not in ("funding", "open_interest") or one.endswith("-PERP")
    ]
    if not series:
        return None
    name = f"{FORMAT}/{path.name}@{time}"
    return Recording(path, name, series, partial(_parse, market)).parts()


def _ns(seconds: float) -> int:
    return round(seconds * 1e6) * 1_000


def _parse(market: str, path: Path, out: Parsed) -> None:
    symbols = sorted({series.symbol for series in out.announced})
    finish, handle = _handlers(market, symbols, out)
    number = -1
    try:
        with opened(path) as file:
            for number, line in enumerate(file):
                if line.isspace():
                    continue
                received = None
                try:
                    one = json.loads(line.decode())
                    kind = one["t"]
                    if kind in ("recv", "http", "connect"):
                        received = _ns(one["ts"])
                        handle(one, received)
                    elif kind not in ("header", "send"):
                        out.passed_over[f"{kind} of cryptofeed"] += 1
                except _BAD as error:
                    text = line.decode("utf-8", "replace").rstrip("\n")
                    what = f"cannot be read: {type(error).__name__}: {error}"
                    out.refusals.append(Refusal(number, what, text, received))
    except UNREADABLE as error:
        out.refusals.append(Refusal(number + 1, f"the file is cut off or broken: {error}", ""))
    finish()


def _handlers(market: str, symbols: list[str], out: Parsed) -> tuple[Callable[[], None], Handler]:
    """Return what ends the reading of an exchange, and what reads a line of it."""
    if market in _BINANCE:
        binance = BinanceStream(out, market, {_joined(one): one for one in symbols})
        return binance.finish, partial(_binance, binance, {_joined(one): one for one in symbols})
    if market == "BYBIT":
        spelled = {(one.endswith("-PERP"), _joined(one)): one for one in symbols}
        bybit = BybitStream(out, spelled)
        return bybit.finish, partial(_bybit, bybit, set())
    if market == "COINBASE":
        coinbase = CoinbaseStream(out, symbols)
        return coinbase.finish, partial(_coinbase, coinbase)
    okx = OkxStream(out)
    return okx.finish, partial(_okx, okx)


def _joined(symbol: str) -> str:
    return symbol.removesuffix("-PERP").replace("-", "")


def _binance(
    stream: BinanceStream, symbols: dict[str, str], line: dict[str, Any], received: int
) -> None:
    if line["t"] == "recv":
        message = json.loads(line["data"])
        stream.message(received, message.get("data", message))
    elif line["t"] == "http":
        address = urlsplit(line["url"])
        if address.path.endswith("/depth"):
            [native] = parse_qs(address.query)["symbol"]
            stream.snapshot(received, symbols[native], json.loads(line["data"]))


def _bybit(stream: BybitStream, spot: set[str], line: dict[str, Any], received: int) -> None:
    if line["t"] == "connect" and line["addr"].endswith("/spot"):
        spot.add(line["conn"])  # the same names are perpetuals on another connection
    elif line["t"] == "recv":
        stream.message(received, json.loads(line["data"]), perpetual=line["conn"] not in spot)


def _coinbase(stream: CoinbaseStream, line: dict[str, Any], received: int) -> None:
    if line["t"] == "recv":
        stream.message(received, json.loads(line["data"]), line["conn"])


def _okx(stream: OkxStream, line: dict[str, Any], received: int) -> None:
    if line["t"] == "recv":
        stream.message(received, json.loads(line["data"]))

"""hftbacktest's raw recordings: Binance's messages, each behind the local time of its receipt.

``1723161253937085768 {"stream":"btcusdt@depth@100ms","data":{...}}``, packed with gzip, one symbol
a file; the time in nanoseconds (older collectors: microseconds). A line without a stream is the
answer of the REST interface to the question for the whole book.
"""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

from mrtrade.data.providers import spelling
from mrtrade.data.providers.binance_stream import TABLES_OF, BinanceStream
from mrtrade.data.providers.lines import UNREADABLE, first_lines, opened
from mrtrade.data.providers.recording import Parsed, Part, Recording, Refusal, Series
from mrtrade.errors import DataError
from mrtrade.instruments import to_lake

FORMAT = "hftbacktest"

_LINE = re.compile(rb"(\d{13}|\d{16}|\d{19}) \{")
_OF_ALL = "!"  # begins the names of streams of all symbols
_STREAM = b' {"stream":"'
_UNITS = {13: 1_000_000, 16: 1_000, 19: 1}
_BAD = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    ArithmeticError,
    RecursionError,
)


def find(path: Path, exchange: str | None, symbol: str | None) -> list[Part] | None:
    """Return the series of a raw recording; None if the file is none."""
    beginning = [line for line in first_lines(path, 500) if line]
    if not beginning or not _LINE.match(beginning[0]):
        return None
    streams, has_snapshot = _scan(path)
    market = exchange or _market(beginning)
    if market is None or not streams:
        raise DataError(
            "cannot tell which of Binance's markets this is",
            file=path,
            expected="a depth update or a trade within the first 500 lines",
            remedy="say it: --exchange BINANCE, BINANCE_FUTURES or BINANCE_DELIVERY",
        )
    streams = {stream for stream in streams if not stream.startswith(_OF_ALL)}
    natives = sorted({stream.partition("@")[0].upper() for stream in streams})
    if symbol is not None and len(natives) == 1:
        symbols = {natives[0]: to_lake(symbol)}
    else:
        symbols = {native: spelling.binance(market, native) for native in natives}
    series = []
    for stream in sorted(streams):
        native, _, kind = stream.partition("@")
        for table in TABLES_OF.get(kind.partition("@")[0], ()):
            if table != "book_seed" or has_snapshot:
                series.append(Series(table, market, symbols[native.upper()]))
    if not series:
        return None
    time, _, _ = beginning[0].partition(b" ")
    name = f"{FORMAT}/{path.name}@{time.decode()}"
    return Recording(path, name, series, partial(_parse, market, symbols)).parts()


def _scan(path: Path) -> tuple[set[str], bool]:
    """Return the streams of a recording and whether it has snapshots: no line is parsed."""
    streams: set[bytes] = set()
    has_snapshot = False
    try:
        with opened(path) as file:
            for line in file:
                _, found, rest = line.partition(_STREAM)
                if found:
                    streams.add(rest[: rest.find(b'"')])
                elif b'"lastUpdateId"' in line[:60]:
                    has_snapshot = True
    except UNREADABLE:  # said when it is parsed
        pass
    return {stream.decode("ascii", "replace") for stream in streams}, has_snapshot


def _market(lines: list[bytes]) -> str | None:
    for line in lines:
        try:
            _, message = _split(line)
            data = message["data"]
            if data.get("e") not in ("depthUpdate", "trade"):
                continue
            symbol = str(data["s"])
        except _BAD:
            continue
        if "ps" in data or "_" in symbol or symbol.endswith("USD"):
            return "BINANCE_DELIVERY"
        return "BINANCE" if "M" in data or ("U" in data and "pu" not in data) else "BINANCE_FUTURES"
    return None


def _split(line: bytes) -> tuple[int, dict[str, Any]]:
    digits, _, text = line.partition(b" ")
    time = int(digits) * _UNITS[len(digits)]
    message = json.loads(text.decode())  # of bytes it would guess the encoding, at a third more
    if not isinstance(message, dict):
        raise ValueError("no JSON object behind the time")
    return time, message


def _parse(market: str, symbols: dict[str, str], path: Path, out: Parsed) -> None:
    stream = BinanceStream(out, market, symbols)
    number = -1
    try:
        with opened(path) as file:
            for number, line in enumerate(file):
                if line.isspace():
                    continue
                try:
                    received, message = _split(line)
                    if str(message.get("stream", "")).startswith(_OF_ALL):
                        out.passed_over[message["stream"]] += 1
                    elif "data" in message:
                        stream.message(received, message["data"])
                    elif "lastUpdateId" in message:
                        [symbol] = symbols.values()
                        stream.snapshot(received, symbol, message)
                    else:
                        out.passed_over[next(iter(message), "empty")] += 1
                except _BAD as error:
                    text = line.decode("utf-8", "replace").rstrip("\n")
                    what = f"cannot be read: {type(error).__name__}: {error}"
                    out.refusals.append(Refusal(number, what, text))
    except UNREADABLE as error:
        out.refusals.append(Refusal(number + 1, f"the file is cut off or broken: {error}", ""))
    stream.finish()

"""Bybit's messages (v5, public), as its websockets send them."""

from collections import defaultdict
from typing import Any

from mrtrade.clock import NS_PER_MS
from mrtrade.data.providers.recording import Parsed, plain_text, whole_number
from mrtrade.data.sequences import Chain

EXCHANGE = "BYBIT"
_SIDES = {"Buy": "buy", "Sell": "sell"}  # of the taker


class BybitStream:
    """Reads messages of Bybit into tables.

    A ticker tells only what changed: the rest is as the last one said.

    Parameters
    ----------
    out : Parsed
    symbols : dict
        (Whether of a perpetual, Bybit's spelling) -> Crypto Lake's.
    """

    def __init__(self, out: Parsed, symbols: dict[tuple[bool, str], str]) -> None:
        self._out = out
        self._symbols = symbols
        self._chains: dict[str, Chain] = defaultdict(Chain)
        self._topics: dict[str, str] = {}
        self._tickers: dict[str, dict[str, str]] = {}

    def message(self, received: int, data: dict[str, Any], *, perpetual: bool) -> None:
        """Read one message; `received` in nanoseconds."""
        topic = data.get("topic", "answer to a request")
        kind = topic.partition(".")[0]
        if kind == "orderbook":
            self._book(received, data, perpetual)
        elif kind == "publicTrade":
            self._trades(received, data, perpetual)
        elif kind == "tickers":
            self._ticker(received, data, perpetual)
        else:
            self._out.passed_over[kind] += 1

    def finish(self) -> None:
        """Report the holes found."""
        for symbol, chain in self._chains.items():
            self._out.findings += chain.findings("book_delta_v2", EXCHANGE, symbol, "u")

    def _book(self, received: int, data: dict[str, Any], perpetual: bool) -> None:
        book = data["data"]
        symbol = self._symbols[perpetual, book["s"]]
        if self._topics.setdefault(symbol, data["topic"]) != data["topic"]:
            self._out.passed_over[f"{data['topic']}, beside {self._topics[symbol]}"] += 1
            return
        first = data["type"] == "snapshot"
        rows = self._out.rows("book_seed" if first else "book_delta_v2", EXCHANGE, symbol)
        # `cts` is the matching engine's time, `ts` that of the machine that sent the message.
        origin = data.get("cts", data["ts"]) * NS_PER_MS
        rows.levels(origin, received, book["u"], book["b"], book["a"])
        chain = self._chains[symbol]
        if first:
            chain.restart()
        chain.follow(received, book["u"], book["u"])

    def _trades(self, received: int, data: dict[str, Any], perpetual: bool) -> None:
        symbol = self._symbols[perpetual, data["topic"].partition(".")[2]]
        rows = self._out.rows("trades", EXCHANGE, symbol)
        trades = [
            (
                whole_number(one["T"] * NS_PER_MS),
                _SIDES[one["S"]],
                float(one["v"]),
                float(one["p"]),
                plain_text(one["i"]),
            )
            for one in data["data"]
        ]
        for origin, side, quantity, price, number in trades:
            rows.add(origin, received, side, quantity, price, number)

    def _ticker(self, received: int, data: dict[str, Any], perpetual: bool) -> None:
        if not perpetual:
            self._out.passed_over["tickers of spot"] += 1
            return
        changed = data["data"]
        symbol = self._symbols[perpetual, changed["symbol"]]
        known = {**self._tickers.get(symbol, {}), **changed}
        self._tickers[symbol] = known
        origin = data["ts"] * NS_PER_MS
        if "openInterest" in changed:
            rows = self._out.rows("open_interest", EXCHANGE, symbol)
            rows.add(origin, received, float(changed["openInterest"]))
        # Contracts with a date of delivery have no rate; a delta may come before the whole.
        if changed.keys() & {"markPrice", "fundingRate", "nextFundingTime"}:
            if known.get("fundingRate") and known.get("nextFundingTime"):
                rows = self._out.rows("funding", EXCHANGE, symbol)
                mark, index = float(known["markPrice"]), float(known["indexPrice"])
                coming = int(known["nextFundingTime"]) * NS_PER_MS
                rows.add(origin, received, mark, float(known["fundingRate"]), coming, index)

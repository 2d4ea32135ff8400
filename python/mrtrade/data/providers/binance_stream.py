"""Binance's messages, as its websockets send them, whoever recorded them."""

from collections import defaultdict
from typing import Any

from mrtrade.clock import NS_PER_MS
from mrtrade.data.providers.recording import Parsed, whole_number
from mrtrade.data.sequences import Chain

TABLES_OF = {
    "depth": ("book_delta_v2", "book_seed"),
    "bookTicker": ("level_1",),
    "trade": ("trades",),
    "aggTrade": ("trades",),
    "markPrice": ("funding",),
    "forceOrder": ("liquidations",),
}
"""Name of a stream -> tables that are made of it."""


class BinanceStream:
    """Reads messages of one of Binance's exchanges into tables.

    Parameters
    ----------
    out : Parsed
    exchange : str
        ``BINANCE``, ``BINANCE_FUTURES`` or ``BINANCE_DELIVERY``.
    symbols : dict
        Binance's spelling, in capitals -> Crypto Lake's.
    """

    def __init__(self, out: Parsed, exchange: str, symbols: dict[str, str]) -> None:
        self._out = out
        self._exchange = exchange
        self._symbols = symbols
        self._chains: dict[tuple[str, str, str], Chain] = defaultdict(Chain)
        self._read = {
            "depthUpdate": self._depth,
            "bookTicker": self._quote,
            "trade": self._trade,
            "aggTrade": self._trade,
            "markPriceUpdate": self._mark_price,
            "forceOrder": self._liquidation,
        }

    def message(self, received: int, data: dict[str, Any]) -> None:
        """Read one message; `received` in nanoseconds.

        Raises
        ------
        KeyError, ValueError, TypeError
            If it is not what its kind says; nothing of it is taken then.
        """
        # Spot best quotes do not say what they are.
        kind = data.get("e") or ("bookTicker" if {"b", "B", "a", "A"} <= data.keys() else "unnamed")
        read = self._read.get(kind)
        if read is None:
            self._out.passed_over[kind] += 1
        else:
            read(received, data)

    def snapshot(self, received: int, symbol: str, data: dict[str, Any]) -> None:
        """Read an answer of the REST interface: the whole book, with the last id that it holds."""
        rows = self._out.rows("book_seed", self._exchange, symbol)
        origin = data.get("E", 0) * NS_PER_MS  # spot says no time
        rows.levels(origin, received, data["lastUpdateId"], data["bids"], data["asks"])

    def finish(self) -> None:
        """Report the holes found."""
        for (table, symbol, ids), chain in self._chains.items():
            self._out.findings += chain.findings(table, self._exchange, symbol, ids)

    def _symbol(self, native: str) -> str:
        return self._symbols[native]

    def _depth(self, received: int, data: dict[str, Any]) -> None:
        symbol = self._symbol(data["s"])
        # All numbers are looked at before a row is added: a bad one refuses the whole message.
        first, last = whole_number(data["U"]), whole_number(data["u"])
        before = whole_number(data["pu"]) if "pu" in data else None
        rows = self._out.rows("book_delta_v2", self._exchange, symbol)
        rows.levels(data["E"] * NS_PER_MS, received, last, data["b"], data["a"])
        if before is not None:
            self._chains["book_delta_v2", symbol, "pu"].refer(received, before, last)
        else:
            self._chains["book_delta_v2", symbol, "U"].follow(received, first, last)

    def _quote(self, received: int, data: dict[str, Any]) -> None:
        rows = self._out.rows("level_1", self._exchange, self._symbol(data["s"]))
        origin = data.get("E", 0) * NS_PER_MS  # spot says no time
        bid, bid_size = float(data["b"]), float(data["B"])
        ask, ask_size = float(data["a"]), float(data["A"])
        rows.add(origin, received, data["u"], bid, bid_size, ask, ask_size)

    def _trade(self, received: int, data: dict[str, Any]) -> None:
        symbol = self._symbol(data["s"])
        ids = "t" if data["e"] == "trade" else "a"
        number = whole_number(data[ids])
        # `m`: the buyer was the maker, so the aggressor sold.
        side = "sell" if data["m"] else "buy"
        quantity, price = float(data["q"]), float(data["p"])
        rows = self._out.rows("trades", self._exchange, symbol)
        rows.add(data["T"] * NS_PER_MS, received, side, quantity, price, str(number))
        self._chains["trades", symbol, ids].follow(received, number, number)

    def _mark_price(self, received: int, data: dict[str, Any]) -> None:
        if not data["r"]:  # a contract with a date of delivery pays no funding
            return
        rows = self._out.rows("funding", self._exchange, self._symbol(data["s"]))
        mark, index, rate = float(data["p"]), float(data["i"]), float(data["r"])
        coming = data["T"] * NS_PER_MS
        rows.add(data["E"] * NS_PER_MS, received, mark, rate, coming, index)

    def _liquidation(self, received: int, data: dict[str, Any]) -> None:
        order = data["o"]
        rows = self._out.rows("liquidations", self._exchange, self._symbol(order["s"]))
        side = {"SELL": "sell", "BUY": "buy"}[order["S"]]
        quantity, price = float(order["q"]), float(order["p"])
        origin = order["T"] * NS_PER_MS
        rows.add(origin, received, side, quantity, price, None, order["X"])

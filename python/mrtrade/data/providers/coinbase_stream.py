"""Coinbase's messages (Advanced Trade), as its websocket sends them."""

from collections import defaultdict
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from typing import Any

from mrtrade.clock import NS_PER_SECOND
from mrtrade.data.providers.recording import Parsed
from mrtrade.data.sequences import Chain

EXCHANGE = "COINBASE"
# What it calls a trade's side is the maker's: the aggressor did the other.
_SIDES = {"BUY": "sell", "SELL": "buy"}


class CoinbaseStream:
    """Reads messages of Coinbase into tables.

    Parameters
    ----------
    out : Parsed
    symbols : collection of str
        Those recorded; spelled as in Crypto Lake.
    """

    def __init__(self, out: Parsed, symbols: list[str]) -> None:
        self._out = out
        self._symbols = symbols
        self._chains: dict[str, Chain] = defaultdict(Chain)

    def message(self, received: int, data: dict[str, Any], connection: str) -> None:
        """Read one message; `received` in nanoseconds."""
        number = data["sequence_num"]
        # One count for all channels and symbols of a connection.
        self._chains[connection].follow(received, number, number)
        channel = data["channel"]
        if channel == "l2_data":
            for event in data["events"]:
                self._book(received, data, event)
        elif channel == "market_trades":
            for event in data["events"]:
                self._trades(received, event)
        else:
            self._out.passed_over[channel] += 1

    def finish(self) -> None:
        """Report the holes found: what is missing may be of any symbol."""
        for chain in self._chains.values():
            for symbol in self._symbols:
                ids = "sequence_num"
                self._out.findings += chain.findings("book_delta_v2", EXCHANGE, symbol, ids)

    def _book(self, received: int, data: dict[str, Any], event: dict[str, Any]) -> None:
        number = data["sequence_num"]
        first = event["type"] == "snapshot"
        # Each level of a snapshot bears the time of its own last change: the book is the message's.
        whole = iso_ns(data["timestamp"])
        levels = [
            (
                whole if first else iso_ns(level["event_time"]),
                {"bid": True, "offer": False}[level["side"]],
                (float(level["price_level"]), float(level["new_quantity"])),
            )
            for level in event["updates"]
        ]
        table = "book_seed" if first else "book_delta_v2"
        rows = self._out.rows(table, EXCHANGE, event["product_id"])
        for (origin, is_bid), some in groupby(levels, key=lambda level: level[:2]):
            one_side = [level[2] for level in some]
            bids, asks = (one_side, []) if is_bid else ([], one_side)
            rows.levels(origin, received, number, bids, asks)

    def _trades(self, received: int, event: dict[str, Any]) -> None:
        trades = [
            (
                one["product_id"],
                iso_ns(one["time"]),
                _SIDES[one["side"]],
                float(one["size"]),
                float(one["price"]),
                one["trade_id"],
            )
            for one in event["trades"]
        ]
        for symbol, origin, side, quantity, price, number in trades:
            rows = self._out.rows("trades", EXCHANGE, symbol)
            rows.add(origin, received, side, quantity, price, number)


def iso_ns(text: str) -> int:
    """Return ``2026-08-09T21:05:48.228568804Z``, with any number of decimals, in nanoseconds."""
    whole, _, decimals = text.removesuffix("Z").partition(".")
    return _seconds(whole) * NS_PER_SECOND + int(decimals[:9].ljust(9, "0"))


@lru_cache(maxsize=1024)
def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp())

"""OKX's messages (v5, public), as its websocket sends them."""

from collections import defaultdict
from typing import Any

from mrtrade.clock import NS_PER_MS
from mrtrade.data.providers import spelling
from mrtrade.data.providers.recording import Parsed, plain_text, whole_number
from mrtrade.data.sequences import Chain

EXCHANGE = "OKX"


class OkxStream:
    """Reads messages of OKX into tables.

    Books of before 2023 have no sequence ids: ``sequence_number`` is -1 then.

    Parameters
    ----------
    out : Parsed
    """

    def __init__(self, out: Parsed) -> None:
        self._out = out
        self._chains: dict[str, Chain] = defaultdict(Chain)

    def message(self, received: int, data: dict[str, Any]) -> None:
        """Read one message; `received` in nanoseconds."""
        if "event" in data:
            self._out.passed_over[f"event {data['event']}"] += 1
            return
        channel = data["arg"]["channel"]
        symbol = spelling.okx(data["arg"]["instId"])
        if channel == "books":
            for book in data["data"]:
                self._book(received, symbol, book, first=data["action"] == "snapshot")
        elif channel == "trades":
            rows = self._out.rows("trades", EXCHANGE, symbol)
            trades = [
                (
                    whole_number(int(one["ts"]) * NS_PER_MS),
                    {"buy": "buy", "sell": "sell"}[one["side"]],  # the taker's
                    float(one["sz"]),
                    float(one["px"]),
                    plain_text(one["tradeId"]),
                )
                for one in data["data"]
            ]
            for origin, side, quantity, price, number in trades:
                rows.add(origin, received, side, quantity, price, number)
        else:
            self._out.passed_over[channel] += 1

    def finish(self) -> None:
        """Report the holes found."""
        for symbol, chain in self._chains.items():
            self._out.findings += chain.findings("book_delta_v2", EXCHANGE, symbol, "prevSeqId")

    def _book(self, received: int, symbol: str, book: dict[str, Any], *, first: bool) -> None:
        rows = self._out.rows("book_seed" if first else "book_delta_v2", EXCHANGE, symbol)
        number = whole_number(book.get("seqId", -1))
        before = whole_number(book["prevSeqId"]) if number >= 0 else -1
        origin = int(book["ts"]) * NS_PER_MS
        rows.levels(origin, received, number, book["bids"], book["asks"])
        if number >= 0:
            chain = self._chains[symbol]
            if first:
                chain.restart()
            chain.refer(received, before, number)

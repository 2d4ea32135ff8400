"""The rules: what each looks at, when it is a warning and when an error.

An error makes a verdict FAIL, a warning WARN. `info` is a measurement.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND
from mrtrade.data.quality.findings import Finding, Severity

MAX_GAP_NS = 600 * NS_PER_SECOND
"""Longest pause of a stream that is no gap."""

APART_NS = NS_PER_DAY
"""A longer pause lies between two recordings, and not within one."""

HOLE_NS = 60 * NS_PER_SECOND
HOLE_TIMES = 100
"""A pause is a hole where it is that long, and that many times the 99th percentile of pauses."""

FROZEN_NS = 300 * NS_PER_SECOND
FROZEN_MESSAGES = 1_000
"""A book is frozen where its best stays as it is that long, while that many messages come."""

MAX_CROSSED_SHARE = 1e-3
MAX_CROSSED_NS = 10 * NS_PER_SECOND

MAX_SWEEP = 0.005
"""How far beyond the best prices a trade may lie, as a share: a large order goes through levels."""

MAX_SKEW_NS = 10 * NS_PER_SECOND
"""How far apart the two clocks may be: more, and the exchange's times are not believed."""

RULES: Mapping[str, str] = MappingProxyType(
    {
        "stored_bytes": "What is stored is what was written. Error.",
        "bad_rows": "No price <= 0, no size < 0, no NaN or infinity, a known aggressor, times in "
        "nanoseconds. Error.",
        "quarantined": "Rows refused at the door lie in the table quarantine. Warning; error above "
        "1 % of the rows of their source.",
        "received_order": "received_time never falls. Error in a store; warning for a file, whose "
        "rows are sorted.",
        "gap": "No pause above 10 minutes. Error for books, deltas and best quotes; warning for "
        "trades, funding and open interest, which may rest. No rule for liquidations.",
        "hole": "No pause of a minute that is also 100 times the 99th percentile of pauses, for "
        "books, deltas and best quotes. Warning.",
        "missing_days": "No UTC day without rows between the first and the last. Warning.",
        "coverage": "Share of each UTC day that lies between rows at most 10 minutes apart. Info.",
        "clock_skew": "received_time - origin_time: least, median, 95th percentile, drift of the "
        "least, share below 0. Info; warning where the median is beyond 10 s.",
        "origin_order": "Rows whose exchange time is earlier than one before them. Info.",
        "origin_missing": "Rows without a time of the exchange. Info.",
        "float_time": "Times that are all multiples of 256 ns went through a float64 and are good "
        "to a microsecond at best. Warning.",
        "duplicates": "No trade id twice; no message, and no row of a book, repeated. Warning; "
        "error above 1 %.",
        "sequence_falls": "sequence_number never falls but after a snapshot. Error for deltas, "
        "warning for best quotes and books.",
        "sequence_hole": "No message is missing, by the numbers of the exchange: Binance U and pu "
        "(as files hold them), Bybit u + 1. Error.",
        "trade_ids": "Trade ids of Binance are contiguous. Warning; error above 1 % missing.",
        "cold_book": "A book begins with a snapshot, within ten minutes. Warning: without one "
        "levels are unknown until they change.",
        "crossed_book": "The rebuilt book has bid < ask after every message. Warning; error if it "
        "is crossed for 0.1 % of the time, or for 10 s on end.",
        "frozen_book": "The best prices and sizes do not stay as they are for 5 minutes while 1,000"
        " messages come. Warning.",
        "one_sided": "The rebuilt book has both sides. Info; warning above 1 % of messages (20 or "
        "more).",
        "best_agrees": "The rebuilt best prices and sizes equal recorded ones (level_1, book) of "
        "the same sequence number. Info from 99.9 %, warning from 99 %, error below.",
        "crossed_rows": "Recorded best prices have bid < ask. Warning; error above 0.1 %.",
        "off_grid": "Prices and sizes are multiples of the instrument's steps. Error: no tape can "
        "be made of them. Info for an instrument that is not known.",
        "trades_outside": "Trades lie between the best prices of the second around them, or at "
        "most 0.5 % beyond, where a large order went through levels. Warning above 0.1 %, error "
        "above 1 %. Trades told more than a second later than others are left out.",
        "candle_span": "Candles follow each other, each as long as the others. Warning; error "
        "where the pause is above 10 minutes, or candles overlap.",
        "candle_prices": "low <= open, close <= high. Error.",
        "candle_equals_trades": "Where the trades of a candle are stored, they make it. Warning; "
        "error above 1 % of candles.",
        "funding_interval": "Settlements follow each other in whole hours, none missing. Warning.",
    }
)
"""Name of a rule -> what it asks, and what breaking it is."""


@dataclass(frozen=True)
class Series:
    """What findings are about: a table of one instrument; `symbol` as users write it."""

    table: str
    exchange: str
    symbol: str

    def finding(
        self, rule: str, severity: Severity, start: int, end: int, count: int, text: str
    ) -> Finding:
        """Return a finding about it."""
        assert rule in RULES
        where = (self.table, self.exchange, self.symbol)
        return Finding(rule, severity, *where, int(start), int(end), int(count), text)


def graded(share: float, warn: float, error: float) -> Severity:
    """Return how severe a share is: a warning above `warn`, an error above `error`."""
    if share > error:
        return "error"
    return "warning" if share > warn else "info"


def span_text(ns: float) -> str:
    """Return a length of time in words that fit: ``1.3 ms``, ``43.5 s``, ``12.0 min``, ``3 h``."""
    size = abs(ns)
    if not size:
        return "0 s"
    for unit, length in (("d", NS_PER_DAY), ("h", 3_600 * NS_PER_SECOND)):
        if size >= 2 * length:
            return f"{ns / length:.1f} {unit}"
    if size >= 120 * NS_PER_SECOND:
        return f"{ns / (60 * NS_PER_SECOND):.1f} min"
    if size >= NS_PER_SECOND:
        return f"{ns / NS_PER_SECOND:.1f} s"
    return f"{ns / 1e6:.1f} ms"


def share_text(share: float) -> str:
    """Return a share in per cent, never 0 or 100 unless it is."""
    for digits in (1, 2, 4, 6):
        text = f"{100 * share:.{digits}f}"
        if (float(text) not in (0.0, 100.0)) or share in (0.0, 1.0):
            return f"{text.rstrip('0').rstrip('.') if share in (0.0, 1.0) else text} %"
    return "< 0.000001 %" if share < 0.5 else "> 99.999999 %"

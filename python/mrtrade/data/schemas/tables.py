"""The tables: their columns, types, units and what their values must satisfy.

Names are those that users of Crypto Lake know (``origin_time, received_time, quantity,
trade_id``); the raw spelling of its files (``timestamp, receipt_timestamp, amount, id``) is
accepted at the door and renamed. Order of columns as here.

Times are int64 nanoseconds since 1970 UTC, not Arrow timestamps: Spark reads no nanosecond
timestamps, and 0 in `origin_time` must stay what the exchange sent, "no time given".

======================  =====================================================================
`origin_time`           the exchange's clock; <= 0 where the exchange gave none
`received_time`         the collector's clock on arrival; non-decreasing; may be *earlier* than
                        `origin_time` (real recordings show -1.3 s)
`sequence_number`       last update id of the message, shared by its rows; -1 where there is none
`price`, `size`         quote units a base unit; base units (inverse: contracts)
======================  =====================================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import pyarrow as pa

from mrtrade.errors import StoreError

RAW_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "timestamp": "origin_time",
        "receipt_timestamp": "received_time",
        "amount": "quantity",
        "id": "trade_id",
    }
)
"""Spelling in Crypto Lake's files -> ours, in most tables."""

SIDES = ("buy", "sell")
"""Values of `side`: of a trade the aggressor's, of a liquidation that of its order."""

BOOK_DEPTH = 20
"""Levels a side in the `book` table."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name : str
    type : pyarrow.DataType
    lowest : float, optional
        Smallest value allowed, for columns of numbers.
    above : bool
        Whether `lowest` itself is refused.
    gaps : bool
        Whether a value, or the whole column, may be missing. What is missing is stored as 0
        (times), -1 (other integers), NaN or null.
    seconds : bool
        Whether sources also write the time as float epoch seconds.
    """

    name: str
    type: pa.DataType
    lowest: float | None = None
    above: bool = False
    gaps: bool = False
    seconds: bool = False


@dataclass(frozen=True)
class Table:
    """One table: a name, its columns, and other spellings of their names."""

    name: str
    columns: tuple[Column, ...]
    raw_names: Mapping[str, str] = field(default_factory=lambda: RAW_NAMES)

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema, as stored. Only text may be null: what cannot be is read faster."""
        return pa.schema(
            [
                pa.field(column.name, column.type, column.gaps and column.type == pa.string())
                for column in self.columns
            ]
        )


def _price(name: str, *, gaps: bool = False) -> Column:
    return Column(name, pa.float64(), lowest=0.0, above=True, gaps=gaps)


def _size(name: str, *, gaps: bool = False) -> Column:
    return Column(name, pa.float64(), lowest=0.0, gaps=gaps)


FIRST_SANE_NS = 10**17
"""1973 in nanoseconds: a smaller time was counted in another unit."""

_ORIGIN = Column("origin_time", pa.int64(), gaps=True)
_RECEIVED = Column("received_time", pa.int64(), lowest=FIRST_SANE_NS)
_SEQUENCE = Column("sequence_number", pa.int64())
_LEVEL = (
    _ORIGIN,
    _RECEIVED,
    _SEQUENCE,
    Column("side_is_bid", pa.bool_()),
    _price("price"),
    _size("size"),  # absolute size of the level after the event; 0 deletes it
)


def _top(depth: int) -> tuple[Column, ...]:
    # A thin book has fewer levels: NaN.
    return tuple(
        column
        for side in ("bid", "ask")
        for level in range(depth)
        for column in (
            _price(f"{side}_{level}_price", gaps=True),
            _size(f"{side}_{level}_size", gaps=True),
        )
    )


TABLES: Mapping[str, Table] = MappingProxyType(
    {
        table.name: table
        for table in (
            Table("book_delta_v2", _LEVEL),
            # A whole book, as a snapshot gave it; `sequence_number` is the last update id it holds.
            Table("book_seed", _LEVEL),
            Table(
                "trades",
                (
                    _ORIGIN,
                    _RECEIVED,
                    Column("side", pa.string()),
                    Column("quantity", pa.float64(), lowest=0.0, above=True),
                    _price("price"),
                    # Text: exchanges give integers, UUIDs or nothing.
                    Column("trade_id", pa.string(), gaps=True),
                ),
            ),
            Table(
                "level_1",
                (
                    _ORIGIN,
                    _RECEIVED,
                    Column("sequence_number", pa.int64(), gaps=True),
                    *_top(1),
                ),
            ),
            Table(
                "book",
                (
                    _ORIGIN,
                    _RECEIVED,
                    Column("sequence_number", pa.int64(), gaps=True),
                    *_top(BOOK_DEPTH),
                ),
            ),
            Table(
                "funding",
                (
                    _ORIGIN,
                    _RECEIVED,
                    _price("mark_price", gaps=True),
                    # Fraction of the notional for the period that ends at next_funding_time.
                    Column("rate", pa.float64(), lowest=-1.0),
                    Column("next_funding_time", pa.int64(), gaps=True, seconds=True),
                    _price("index_price", gaps=True),
                ),
            ),
            Table("open_interest", (_ORIGIN, _RECEIVED, _size("open_interest"))),
            Table(
                "liquidations",
                (
                    _ORIGIN,
                    _RECEIVED,
                    # Of the liquidation's order: sell where a long position was closed.
                    Column("side", pa.string()),
                    Column("quantity", pa.float64(), lowest=0.0, above=True),
                    _price("price"),
                    Column("liquidation_id", pa.string(), gaps=True),
                    Column("status", pa.string(), gaps=True),
                ),
                MappingProxyType({**RAW_NAMES, "id": "liquidation_id"}),
            ),
            # Made of the deltas: the book as it was known at `received_time`, a whole interval.
            Table("book_snapshots", (_ORIGIN, _RECEIVED, _SEQUENCE, *_top(BOOK_DEPTH))),
            # Rows that were refused, and why. `received_time` is the row's own where it has a sane
            # one, else that of the last good row before it.
            Table(
                "quarantine",
                (
                    _ORIGIN,
                    _RECEIVED,
                    Column("table", pa.string()),
                    Column("source", pa.string()),
                    Column("row", pa.int64(), lowest=0),
                    Column("reason", pa.string()),
                    Column("content", pa.string()),  # the row as it came, JSON
                ),
            ),
            Table(
                "candles",
                (
                    # Crypto Lake stamps a candle with its START: it is known only at `stop`.
                    _ORIGIN,
                    _RECEIVED,
                    Column("start", pa.int64(), lowest=FIRST_SANE_NS, seconds=True),
                    Column("stop", pa.int64(), lowest=FIRST_SANE_NS, seconds=True),
                    _price("open"),
                    _price("high"),
                    _price("low"),
                    _price("close"),
                    _size("volume"),
                    Column("trades", pa.int64(), lowest=0, gaps=True),
                ),
            ),
        )
    }
)
"""The tables by name."""

SQL_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "book_delta_v2": "order_book_deltas",
        "book_seed": "order_book_seeds",
        "trades": "trades",
        "level_1": "best_quotes",
        "book": "order_book_levels",
        "book_snapshots": "order_book_snapshots",
        "funding": "funding_rates",
        "open_interest": "open_interest",
        "liquidations": "liquidations",
        "candles": "ohlcv",
        "quarantine": "quarantine",
    }
)
"""Table -> what it is called in SQL, by every store."""


def known_table(name: str) -> Table:
    """Return a table by its name.

    Raises
    ------
    StoreError
        If there is none.
    """
    if name not in TABLES:
        raise StoreError("unknown table", value=name, expected=f"one of {', '.join(TABLES)}")
    return TABLES[name]

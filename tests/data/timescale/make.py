"""Rows of every table, with all that a value can be."""

import numpy as np
import pyarrow as pa

from mrtrade.clock import to_ns
from mrtrade.data.schemas import TABLES
from mrtrade.data.store import Source
from mrtrade.data.timescale.connection import connect, told

DAY = "2024-08-08"
START = to_ns(DAY)

_TIMES = [
    0,
    -1,
    1,
    999,
    -999,
    -1_000,
    -1_001,
    START + 1,
    START - 1_272_000_001,
    2**63 - 1,
    -(2**63),
]
_NUMBERS = [0.1, 1e-300, 5e-324, 1.7976931348623157e308, 1 / 3, 61_999.99, 1.0]
_TEXTS = ["", "7", "f3b1-é", "a'b\"c;--", "\t\\.\n", "日本", "🙂" * 50, "x" * 3_000]


def rows(table: str, n: int = 40, step: int = 333) -> pa.Table:
    """Return rows of a table, `step` nanoseconds apart."""
    columns = []
    for at, column in enumerate(TABLES[table].columns):
        pick = np.arange(n) * 13 + at
        if column.name == "received_time":
            values = pa.array(START + np.arange(n) * step)
        elif column.name == "side":
            values = pa.array([("buy", "sell")[i % 2] for i in pick])
        elif column.type == pa.int64():
            # A column of counts may not be below its lowest; the others take any number.
            low = -(2**63) if column.lowest is None else int(column.lowest)
            values = pa.array([max(_TIMES[i % len(_TIMES)], low) for i in pick])
        elif column.type == pa.float64():
            some = [*_NUMBERS, float("nan")] if column.gaps else list(_NUMBERS)
            if column.lowest is not None and not column.above:
                some += [0.0, -0.0]
            values = pa.array([some[i % len(some)] for i in pick], pa.float64())
        elif column.type == pa.bool_():
            values = pa.array([i % 3 == 0 for i in pick])
        else:
            some = [*_TEXTS, None] if column.gaps else _TEXTS
            values = pa.array([some[i % len(some)] for i in pick], pa.string())
        columns.append(values)
    return pa.table(columns, schema=TABLES[table].schema)


def same(a: pa.Table, b: pa.Table) -> bool:
    """Whether two tables hold the same bits: NaN is NaN, and -0.0 is not 0.0."""
    return a.schema == b.schema and all(
        bits(x) == bits(y) for x, y in zip(a.columns, b.columns, strict=True)
    )


def bits(column: pa.ChunkedArray) -> object:
    if column.type == pa.float64():
        return column.to_numpy().tobytes()
    return column.to_pylist()


def source(name: str = "a") -> Source:
    return Source(name, 1, "00" * 32, (DAY,))


def write(store, table, content, *, keep=False, name="a", symbol="BTC/USDT"):
    """Write a day in two pieces that are no round number of rows."""
    cut = len(content) // 3
    pieces = iter([content.slice(0, cut), content.slice(cut)])
    return store.write_day(table, "BINANCE", symbol, DAY, [(source(name), pieces)], keep=keep)


def sql(settings, statement, *values):
    """Run a statement, and return its rows."""
    with connect(settings) as connection, told(settings):
        cursor = connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []

"""How the columns of a table lie in SQL, and the bytes of their values on the way there and back.

PostgreSQL's binary forms are big-endian numbers, so that a column of numbers is one byte swap away
from a numpy array in both directions. Text goes as its UTF-8 bytes and their lengths, -1 for null.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mrtrade.data.digest import Texts
from mrtrade.data.schemas import SIDES, SQL_NAMES, TABLES, Column, known_table

Numbers = npt.NDArray[Any]

EPOCH_US = 946_684_800_000_000
"""PostgreSQL counts microseconds from 2000-01-01, we from 1970."""


class Part(NamedTuple):
    """One SQL column: its name, the function that gives its binary form, and that form's type."""

    name: str
    send: str
    dtype: str


TEXT = ""
"""`dtype` of text."""


@dataclass(frozen=True)
class Layout:
    """A table of ours in SQL.

    Parameters
    ----------
    table : str
        Our name of it.
    name : str
        The SQL name.
    columns : tuple of (Column, tuple of Part)
    """

    table: str
    name: str
    columns: tuple[tuple[Column, tuple[Part, ...]], ...]

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the rows."""
        return TABLES[self.table].schema

    def parts(self, names: Sequence[str] | None = None) -> list[Part]:
        """Return the SQL columns of some columns of ours, or of all, in order."""
        return [
            part
            for column, parts in self.columns
            if names is None or column.name in names
            for part in parts
        ]

    def encode(self, rows: pa.Table) -> Iterator[tuple[Part, Numbers | pa.Array]]:
        """Yield what goes into each SQL column: numbers, or an Arrow array of text."""
        for column, parts in self.columns:
            yield from zip(parts, _encode(column, _one_chunk(rows[column.name])), strict=True)

    def decode(
        self, values: Sequence[Numbers | Texts], names: Sequence[str], order: Numbers | None
    ) -> pa.Table:
        """Return rows from what `parts(names)` hold, in a given order; the inverse of `encode`."""
        given = iter(values)
        arrays = {}
        for column, parts in self.columns:
            if column.name in names:
                array = _decode(column, [next(given) for _ in parts])
                arrays[column.name] = array if order is None else array.take(pa.array(order))
        schema = pa.schema([self.schema.field(name) for name in names])
        return pa.table([arrays[name] for name in names], schema=schema)


def layout(table: str) -> Layout:
    """Return the layout of a table."""
    columns = tuple((column, _parts(table, column)) for column in known_table(table).columns)
    return Layout(table, SQL_NAMES[table], columns)


def _is_clock(column: Column) -> bool:
    return column.name in ("origin_time", "received_time")


def _is_side(column: Column) -> bool:
    return column.name == "side"


def _parts(table: str, column: Column) -> tuple[Part, ...]:
    if _is_clock(column):
        below = Part(column.name.replace("_time", "_ns"), "int2send", ">i2")
        return Part(column.name, "timestamptz_send", ">i8"), below
    if _is_side(column):
        return (Part("aggressor" if table == "trades" else "side", "int2send", ">i2"),)
    send, dtype = {
        pa.int64(): ("int8send", ">i8"),
        pa.float64(): ("float8send", ">f8"),
        pa.bool_(): ("boolsend", "u1"),
        pa.string(): ("textsend", TEXT),
    }[column.type]
    return (Part(column.name, send, dtype),)


def _encode(column: Column, array: pa.Array) -> list[Numbers | pa.Array]:
    if _is_clock(column):
        ns = array.to_numpy()
        whole = ns // 1_000  # floor: what is left is 0 to 999 before 1970 too
        return [whole - EPOCH_US, ns - whole * 1_000]
    if _is_side(column):
        return [_bools(pc.equal(array, SIDES[0])).view(np.int8) * 2 - 1]
    if column.type == pa.string():
        return [array]
    return [_bools(array) if column.type == pa.bool_() else array.to_numpy()]


def _decode(column: Column, values: list[Any]) -> pa.Array:
    if _is_clock(column):
        whole, below = values
        return pa.array((whole.astype(np.int64) + EPOCH_US) * 1_000 + below)
    if _is_side(column):
        return pa.array(SIDES).take(pa.array((values[0] < 0).astype(np.int8)))
    if column.type == pa.string():
        return _text_array(values[0])
    if column.type == pa.bool_():
        return pa.array(values[0].view(np.bool_))
    return pa.array(values[0].astype(values[0].dtype.newbyteorder("=")))


def _text_array(text: Texts) -> pa.Array:
    offsets = np.zeros(len(text.lengths) + 1, np.int32)
    np.cumsum(np.maximum(text.lengths, 0), out=offsets[1:])
    null = text.lengths < 0
    valid = pa.array(~null).buffers()[1] if null.any() else None
    buffers = [valid, pa.py_buffer(offsets), pa.py_buffer(text.values)]
    return pa.Array.from_buffers(pa.string(), len(null), buffers)


def _bools(array: pa.Array) -> npt.NDArray[np.bool_]:
    values: npt.NDArray[np.bool_] = array.to_numpy(zero_copy_only=False)
    return values


def _one_chunk(values: pa.ChunkedArray) -> pa.Array:
    return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()

"""Rows into PostgreSQL's binary COPY format, column by column: no Python object for any row."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mrtrade.data.digest import texts
from mrtrade.data.timescale.layout import TEXT, Layout

HEADER = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
TRAILER = b"\xff\xff"

_SLICE = 1 << 16  # rows packed at a time: a few MB


class Packer:
    """Packs rows of one partition.

    Parameters
    ----------
    layout : Layout
    symbol_id : int
    """

    def __init__(self, layout: Layout, symbol_id: int) -> None:
        self._layout = layout
        self._symbol_id = symbol_id
        parts = layout.parts()
        fixed = [part for part in parts if part.dtype != TEXT]
        self._texts = [part for part in parts if part.dtype == TEXT]
        #: SQL columns in the order in which they are packed: text last.
        self.names = ["symbol_id", "row_no", *(part.name for part in (*fixed, *self._texts))]
        numbers = [("symbol_id", ">i2"), ("row_no", ">i4"), *((p.name, p.dtype) for p in fixed)]
        fields: list[tuple[str, str]] = [("columns", ">i2")]
        for name, dtype in numbers:
            fields += [(f"{name} length", ">i4"), (name, dtype)]
        if self._texts:  # the length of the first, before its bytes
            fields += [("text length", ">i4")]
        self._dtype = np.dtype(fields)
        self._template = np.zeros(1, self._dtype)
        self._template["columns"] = len(self.names)
        self._template["symbol_id"] = symbol_id
        for name, dtype in numbers:
            self._template[f"{name} length"] = np.dtype(dtype).itemsize
        self._scratch = np.empty(0, self._dtype)
        self._row = 0

    def __call__(self, rows: pa.Table) -> Iterator[Any]:
        """Yield the partition's next rows as buffers, each good until the next is asked for."""
        for first in range(0, len(rows), _SLICE):
            yield self._pack(rows.slice(first, _SLICE))

    def _pack(self, rows: pa.Table) -> Any:
        n = len(rows)
        if len(self._scratch) < n:
            self._scratch = np.repeat(self._template, n)
        packed = self._scratch[:n]
        packed["row_no"] = np.arange(self._row, self._row + n)
        self._row += n
        text: list[pa.Array] = []
        for part, values in self._layout.encode(rows):
            if part.dtype == TEXT:
                text.append(values)
            else:
                packed[part.name] = values
        if not text:
            return packed.view(np.uint8).data
        pieces = []
        for at, array in enumerate(text):
            lengths = texts(array).lengths
            if at:
                pieces.append(_binary(lengths.astype(">i4").view(np.uint8), 4))
            else:
                packed["text length"] = lengths
                pieces.append(_binary(packed.view(np.uint8), self._dtype.itemsize))
            pieces.append(array.fill_null("").cast(pa.binary()))
        joined = pc.binary_join_element_wise(*pieces, b"")
        end = int(np.frombuffer(joined.buffers()[1], np.int32)[n])
        return memoryview(joined.buffers()[2])[:end]


def _binary(values: npt.NDArray[np.uint8], width: int) -> pa.Array:
    n = len(values) // width
    offsets = np.arange(0, (n + 1) * width, width, dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(values)]
    return pa.Array.from_buffers(pa.binary(), n, buffers)

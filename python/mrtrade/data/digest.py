"""A fingerprint of the values of rows that does not depend on how they were cut.

sha256 of the sha256 of each column, columns in the order of the schema: numbers as little-endian
bytes of 8, booleans as bytes of 0 and 1; text as the 4-byte lengths of its values (-1: null) and,
as a column of its own after that, their UTF-8 bytes.
"""

import hashlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa


class Texts(NamedTuple):
    """A column of text: UTF-8 bytes of all its values, and how many each has (-1: null)."""

    lengths: npt.NDArray[np.int32]
    values: npt.NDArray[np.uint8]


def texts(array: pa.Array) -> Texts:
    """Return lengths and bytes of an array of text."""
    filled = array.fill_null("") if array.null_count else array
    offsets = np.frombuffer(filled.buffers()[1], np.int32)
    offsets = offsets[filled.offset : filled.offset + len(filled) + 1]
    lengths = np.diff(offsets)
    if array.null_count:
        lengths[array.is_null().to_numpy(zero_copy_only=False)] = -1
    data = filled.buffers()[2]
    whole = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    return Texts(lengths, whole[offsets[0] : offsets[-1]])


class Digest:
    """The fingerprint of rows given piece by piece.

    Attributes
    ----------
    rows : int
        Rows so far.
    size : int
        Bytes of their values.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._hashes = [
            [hashlib.sha256() for _ in range(2 if field.type == pa.string() else 1)]
            for field in schema
        ]
        self.rows = self.size = 0

    def add(self, rows: pa.Table) -> None:
        """Take the next rows."""
        for hashes, column in zip(self._hashes, rows.columns, strict=True):
            for array in column.chunks:
                for one, values in zip(hashes, _bytes(array), strict=True):
                    one.update(values)  # type: ignore[arg-type]  # an array is a buffer
                    self.size += values.nbytes
        self.rows += len(rows)

    def sha256(self) -> bytes:
        """Return the fingerprint of what was given."""
        whole = hashlib.sha256()
        for hashes in self._hashes:
            for one in hashes:
                whole.update(one.digest())
        return whole.digest()


def _bytes(array: pa.Array) -> tuple[np.ndarray, ...]:
    if array.type == pa.string():
        return texts(array)
    if array.type == pa.bool_():
        return (array.to_numpy(zero_copy_only=False),)
    return (np.ascontiguousarray(array.to_numpy()),)

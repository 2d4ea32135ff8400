"""A fingerprint of the values of a partition that does not depend on how its rows were cut.

sha256 of the sha256 of each column, columns in the order of the schema: numbers as little-endian
bytes of 8, booleans as bytes of 0 and 1; text as the 4-byte lengths of its values (-1: null) and,
as a column of its own after that, their UTF-8 bytes.
"""

import hashlib

import numpy as np
import pyarrow as pa

from mrtrade.data.timescale.layout import texts


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

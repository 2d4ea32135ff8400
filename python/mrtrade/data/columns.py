"""What a column of a source may be, and how it becomes one of ours."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mrtrade.data.schemas import Column

UNREADABLE = (pa.ArrowInvalid, pa.ArrowNotImplementedError)
"""What `converted` raises where a cell cannot be what the column is of."""


def converted(column: Column, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values in the type of the column; one of `UNREADABLE` where a cell is no such."""
    if pa.types.is_timestamp(values.type):
        return values.cast(pa.timestamp("ns", values.type.tz)).cast(pa.int64())
    if column.seconds and pa.types.is_floating(values.type):
        return pa.chunked_array([_seconds_to_ns(values.to_numpy())])
    return values.cast(column.type)


def readable_cells(column: Column, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the cells that can be read, the others null: halves, and halves of those."""
    try:
        return converted(column, values)
    except UNREADABLE:
        if len(values) == 1:
            return pa.chunked_array([pa.nulls(1, column.type)])
    half = len(values) // 2
    parts = [readable_cells(column, part) for part in (values[:half], values[half:])]
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks], column.type)


def accepts(column: Column, found: pa.DataType) -> bool:
    """Whether a source may have a column in a type; it is one that loses nothing."""
    if pa.types.is_dictionary(found):
        found = found.value_type
    if column.type == pa.string():
        missing = column.gaps and pa.types.is_null(found)
        ids = missing or (column.name.endswith("_id") and pa.types.is_integer(found))
        return bool(is_text(found) or ids)
    if column.type == pa.float64():  # float32 cannot hold a price of eight digits
        return bool(pa.types.is_float64(found) or pa.types.is_integer(found))
    if column.type == pa.bool_():
        return bool(pa.types.is_boolean(found))
    whole = pa.types.is_integer(found)
    if is_time(column):
        whole = whole or pa.types.is_timestamp(found)
        whole = whole or (column.seconds and pa.types.is_float64(found))
    return bool(whole)


def is_text(found: pa.DataType) -> bool:
    """Whether a type is one of text."""
    return bool(pa.types.is_string(found) or pa.types.is_large_string(found))


def expected_type(column: Column) -> str:
    """Return the type that a source should have, in words."""
    if is_time(column):
        return "int64 nanoseconds or a timestamp"
    if column.name.endswith("_id"):
        return "int64 or text"
    return {"string": "text", "double": "float64"}.get(str(column.type), str(column.type))


def is_time(column: Column) -> bool:
    """Whether a column holds times, in nanoseconds."""
    return column.seconds or column.name in ("origin_time", "received_time")


def missing_value(column: Column) -> float | int | None:
    """Return what is stored where a source has no value."""
    if column.type == pa.string():
        return None
    if column.type == pa.float64():
        return float("nan")
    return 0 if is_time(column) else -1


def _seconds_to_ns(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    # Crypto Lake writes these as epoch seconds, in old files as nanoseconds. float64 seconds are
    # good to a quarter of a microsecond: rounded to whole ones.
    values = np.where(np.isnan(values), 0.0, values)
    if np.abs(values).max(initial=0.0) >= 2.0**63:
        raise pa.ArrowInvalid("not a time")
    seconds = np.abs(values) < 1e11
    micro = np.rint(np.where(seconds, values, 0.0) * 1e6).astype(np.int64)
    return np.where(seconds, micro * 1_000, values.astype(np.int64))

"""What a column of a source may be, and how it becomes one of ours."""

from collections.abc import Mapping
from os import PathLike
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mrtrade.data.schemas.tables import Column, Table
from mrtrade.errors import DataError

UNREADABLE = (pa.ArrowInvalid, pa.ArrowNotImplementedError)
"""What `converted` raises where a cell cannot be what the column is of."""


FILLERS: Mapping[str, Any] = MappingProxyType(
    {"double": float("nan"), "int64": 0, "bool": False, "string": ""}
)
"""Type -> what stands for a value that was refused, until its row is taken out."""


def source_columns(table: Table, schema: pa.Schema, file: str | PathLike[str]) -> Mapping[str, str]:
    """Return names of columns as ours -> as a source spells them.

    Raises
    ------
    DataError
        If one is there twice, in both spellings, or one is missing that must be there.
    """
    names = [table.raw_names.get(name, name) for name in schema.names]
    spelled = dict(zip(names, schema.names, strict=True))
    if len(spelled) < len(names):
        raise DataError(
            "column given twice, in the raw and in the lakeapi spelling",
            file=file,
            key=next(name for name in names if names.count(name) > 1),
            remedy="keep one of them",
        )
    for column in table.columns:
        if column.name not in spelled and not column.gaps:
            raise DataError(
                f"missing column {column.name}",
                file=file,
                expected=f"the columns of {table.name}: {', '.join(table.schema.names)}",
                remedy="download the file again, or rename its columns",
            )
    return spelled


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

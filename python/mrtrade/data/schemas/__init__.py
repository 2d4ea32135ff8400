"""What recorded data looks like: tables, how columns become theirs, and their rules for frames."""

from typing import TYPE_CHECKING

from mrtrade.data.schemas.tables import (
    BOOK_DEPTH,
    FIRST_SANE_NS,
    RAW_NAMES,
    SIDES,
    SQL_NAMES,
    TABLES,
    Column,
    Table,
    known_table,
)

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

__all__ = [
    "BOOK_DEPTH",
    "FIRST_SANE_NS",
    "RAW_NAMES",
    "SIDES",
    "SQL_NAMES",
    "TABLES",
    "Column",
    "Table",
    "frame_schema",
    "known_table",
]


def frame_schema(table: str) -> "DataFrameSchema":
    """Return the Pandera schema of a table's frames: `mrtrade.data.schemas.frames.frame_schema`."""
    from mrtrade.data.schemas import frames  # pandas and Pandera, only when asked for

    return frames.frame_schema(table)

"""The rules of the tables as Pandera schemas, for frames wherever they come from.

They say what `mrtrade.data.checks` says at the door, and what holds between columns: an uncrossed
best bid and ask, candles whose high is their highest. A store's rows pass at the first only; what
takes more than one frame to see (holes, crossed books made of deltas) is `mrtrade validate`'s.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mrtrade.clock import to_ns
from mrtrade.data.schemas.columns import is_time, missing_value
from mrtrade.data.schemas.tables import SIDES, Column, Table, known_table
from mrtrade.errors import ConfigError

if TYPE_CHECKING:
    from pandera.pandas import Check, DataFrameSchema


def _is_text(kind: Any) -> bool:
    return bool(pd.api.types.is_object_dtype(kind) or pd.api.types.is_string_dtype(kind))


def _is_number(kind: Any) -> bool:
    return bool(pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind))


_KINDS = {
    "int64": ("whole numbers", pd.api.types.is_integer_dtype),
    "double": ("numbers", _is_number),
    "bool": ("bool", pd.api.types.is_bool_dtype),
    "string": ("text", lambda kind: isinstance(kind, pd.CategoricalDtype) or _is_text(kind)),
}


def frame_schema(table: str) -> "DataFrameSchema":
    """Return the Pandera schema of a table, for frames of pandas 2.2 and 3.

    Times may be int64 nanoseconds or datetimes of any unit; columns may be backed by NumPy, pandas'
    own nullable types or pyarrow. Other columns may be there too. Columns of which a source may
    have none may be absent.

    Parameters
    ----------
    table : str
        One of `mrtrade.data.schemas.TABLES`.

    Raises
    ------
    ConfigError
        If Pandera is not installed.
    StoreError
        If there is no such table.

    Examples
    --------
    >>> import pandas as pd
    >>> from mrtrade.data.schemas import frame_schema
    >>> times = [1723075200000000000, 1723075201000000000]
    >>> rows = pd.DataFrame({"received_time": times, "open_interest": [10.0, 11.5]})
    >>> len(frame_schema("open_interest").validate(rows))
    2
    """
    known = known_table(table)
    try:
        from pandera.pandas import Check, DataFrameSchema
        from pandera.pandas import Column as FrameColumn
    except ModuleNotFoundError as error:
        raise ConfigError(
            "schemas of frames need Pandera", remedy='pip install "mrtrade[validate]"'
        ) from error

    columns = {
        column.name: FrameColumn(
            None,
            checks=_column_checks(column, Check),
            nullable=column.gaps and column.type in (pa.float64(), pa.string()),
            required=not column.gaps,
        )
        for column in known.columns
    }
    return DataFrameSchema(columns, checks=_frame_checks(known, Check), name=table)


def _column_checks(column: Column, check: type["Check"]) -> list["Check"]:
    words, fits = _KINDS[str(column.type)]
    time = is_time(column)
    if time:
        words += " of nanoseconds, or times"

    def is_kind(values: "pd.Series[Any]") -> bool:
        return bool(fits(values.dtype) or (time and _is_time_dtype(values.dtype)))

    checks = [check(is_kind, error=f"holds {words}", name="kind")]
    if column.name == "side":
        checks.append(check.isin(SIDES))
    if column.lowest is not None:
        low, above, gap = column.lowest, column.above, missing_value(column)

        def bounded(values: "pd.Series[Any]") -> "pd.Series[Any]":
            if not is_kind(values):
                return values.notna()  # told by `kind`
            if time:
                plain = pd.Series(to_ns(values), values.index)
            elif column.type == pa.float64():
                plain = values.astype("float64")
            else:
                plain = values.astype("int64")
            good = (plain > low if above else plain >= low) & (plain < np.inf)
            return good | (plain == gap) if column.gaps else good

        # In words: Pandera cuts a message at a sign.
        sign = "above" if above else "not below"
        checks.append(check(bounded, error=f"finite and {sign} {low:g}", name="bounds"))
    return checks


def _frame_checks(table: Table, check: type["Check"]) -> list["Check"]:
    rules: list[tuple[Any, str]] = [(_in_order, "received_time never falls")]
    if "bid_0_price" in table.schema.names:
        rules.append((_uncrossed, "best bid below best ask"))
    if table.name == "candles":
        rules += [(_candle, "low <= open, close <= high"), (_span, "stop after start")]
    return [check(test, error=error, name=error, ignore_na=False) for test, error in rules]


def _in_order(frame: pd.DataFrame) -> "pd.Series[bool]":
    times = to_ns(frame["received_time"])
    return pd.Series(times >= np.append(times[:1], times[:-1]), frame.index)


def _uncrossed(frame: pd.DataFrame) -> "pd.Series[bool] | bool":
    if not {"bid_0_price", "ask_0_price"} <= set(frame.columns):
        return True
    crossed = frame["bid_0_price"] >= frame["ask_0_price"]
    return ~crossed.fillna(False).astype(bool)  # where a side is empty there is nothing to cross


def _candle(frame: pd.DataFrame) -> "pd.Series[bool]":
    ends = frame[["open", "close"]]
    return (frame["low"] <= ends.min(axis=1)) & (frame["high"] >= ends.max(axis=1))


def _span(frame: pd.DataFrame) -> "pd.Series[bool]":
    return pd.Series(to_ns(frame["stop"]) > to_ns(frame["start"]), frame.index)


def _is_time_dtype(kind: Any) -> bool:
    if isinstance(kind, pd.ArrowDtype):
        return bool(pa.types.is_timestamp(kind.pyarrow_dtype))
    return pd.api.types.is_datetime64_any_dtype(kind)

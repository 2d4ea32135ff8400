"""From columns to pandas: times become UTC nanoseconds in pandas 2 and 3 alike."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mrtrade.clock import from_ns
from mrtrade.data.schemas import SIDES

_SIDE = pd.CategoricalDtype(list(SIDES))

TIMES = frozenset(
    (
        *("origin_time", "received_time", "next_funding_time", "known"),
        *("bar_stop", "book_time", "funding_time", "open_interest_time"),
    )
)
"""Columns of times; 0, or less, is none."""


def frame_of(time: npt.NDArray[np.int64], columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return columns as a frame indexed by the time at which its rows were known.

    Parameters
    ----------
    time : int64 array
        Nanoseconds.
    columns : mapping
        Name -> array.
    """
    named = {name: _times(values) if name in TIMES else values for name, values in columns.items()}
    return pd.DataFrame(named, index=from_ns(time).rename("time"), copy=False)


def frame_of_events(rows: pa.Table) -> pd.DataFrame:
    """Return rows of a table indexed by their receipt, ``received_time`` left out of the columns.

    A side is a category of two, other text is kept by pyarrow.
    """
    columns: dict[str, Any] = {}
    for name in rows.schema.names:
        if name == "side":
            codes = np.asarray(pc.equal(rows[name], SIDES[1]).to_numpy(), dtype=np.int8)
            columns[name] = pd.Categorical.from_codes(codes, dtype=_SIDE)
        elif rows.schema.field(name).type == pa.string():
            columns[name] = pd.array(rows[name], dtype="string[pyarrow]")
        elif name != "received_time":
            columns[name] = rows[name].to_numpy()
    return frame_of(rows["received_time"].to_numpy(), columns)


def _times(values: npt.NDArray[np.int64]) -> pd.DatetimeIndex:
    stated = np.where(values > 0, values.view("M8[ns]"), np.datetime64("NaT", "ns"))
    return pd.DatetimeIndex(stated).tz_localize("UTC")

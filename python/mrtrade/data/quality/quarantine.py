"""Rows that were refused, as rows of the table ``quarantine``: why, from where, and what they said.

Nothing is lost: `content` is the row as it came, in JSON, under the names of its source. Numbers
that JSON does not know are the texts ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, times ISO 8601
with all their digits.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mrtrade.data.schemas import FIRST_SANE_NS, TABLES

_TABLE = TABLES["quarantine"]


@dataclass(frozen=True)
class Refused:
    """One row that was refused.

    Parameters
    ----------
    origin_time, received_time : int
        Nanoseconds; the row's own, or what stands in for them.
    table : str
        Where it would have gone.
    source : str
        The file it came from.
    row : int
        Its number there, from 0.
    reason : str
        Names the column, what is wrong, and what was expected; all faults of the row.
    content : str
        The row as it came, JSON.
    """

    origin_time: int
    received_time: int
    table: str
    source: str
    row: int
    reason: str
    content: str


class Fault(NamedTuple):
    """Rows of a batch that are bad for one reason."""

    rows: npt.NDArray[np.intp]
    reason: str


def to_table(rows: Iterable[Refused]) -> pa.Table:
    """Return refused rows as rows of the table ``quarantine``, in the order given."""
    columns = list(zip(*map(astuple, rows), strict=True)) or [()] * len(_TABLE.columns)
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, _TABLE.schema, strict=True)],
        schema=_TABLE.schema,
    )


def set_aside(
    batch: pa.Table,
    checked: pa.Table,
    faults: Sequence[Fault],
    table: str,
    source: str,
    first_row: int,
    last_received: int,
) -> tuple[pa.Array, pa.Table]:
    """Return which rows of a batch are good, and the others as rows of the quarantine.

    Parameters
    ----------
    batch, checked : pyarrow.Table
        The rows as they came, and as rows of their table.
    faults : sequence of Fault
    table, source : str
    first_row : int
        Number of the batch's first row in its source.
    last_received : int
        `received_time` of the last good row before the batch; 0 without one.
    """
    good = np.ones(len(batch), np.bool_)
    reasons: dict[int, list[str]] = {}
    for rows, reason in faults:
        good[rows] = False
        for index in rows.tolist():
            reasons.setdefault(index, []).append(reason)
    kept, bad = np.flatnonzero(good), sorted(reasons)
    received, origin = (checked[f"{name}_time"].to_numpy() for name in ("received", "origin"))
    refused = []
    for index, row in zip(bad, batch.take(pa.array(bad, pa.int64())).to_pylist(), strict=True):
        place = int(np.searchsorted(kept, index))
        before = int(received[kept[place - 1]]) if place else last_received
        after = int(received[kept[place]]) if place < len(kept) else None
        time = standing_in(int(received[index]), before, after)
        why = "; ".join(reasons[index])
        refused.append(
            Refused(int(origin[index]), time, table, source, first_row + index, why, to_json(row))
        )
    return pa.array(good), to_table(refused)


def to_json(row: Mapping[str, Any]) -> str:
    """Return a row as JSON text that every reader of JSON takes."""
    return json.dumps({name: _plain(value) for name, value in row.items()}, ensure_ascii=False)


def standing_in(received: int | None, before: int | None, after: int | None) -> int:
    """Return the time to store a refused row under.

    Its own `received_time` where it is one, else that of the good row before it, else that of the
    one after; `FIRST_SANE_NS` where there is none at all.
    """
    known = (one for one in (received, before, after) if one is not None and one >= FIRST_SANE_NS)
    return next(known, FIRST_SANE_NS)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)

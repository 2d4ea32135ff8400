"""Recorded paper and live runs: a folder that grows while the run goes on.

============================  ====================================================================
``manifest.json``             what runs: strategy, parameters, model, symbols, stage; `Manifest`
``decisions/DAY.N.parquet``   targets and their reasons
``orders/DAY.N.parquet``      every event of every order
``fills/DAY.N.parquet``       fills
``equity/DAY.N.parquet``      marks
``features/DAY.N.parquet``    what the strategy saw; optional
``incidents.jsonl``           gaps, reconnects, halts, kill switches, stages: a line each
``expected/``                 the backtest that it is compared with, copied when the run begins
============================  ====================================================================

Files are added and never changed, but for the manifest, whose ``end_ns`` is set when the run ends.
DAY is the UTC day of the rows, N counts from 1 within it. Columns and types are those of `TABLES`;
``docs/gates.md`` tells what they mean. Times are int64 ns since 1970, UTC.

A file or a manifest of another form is one `DataError`. A row that cannot be (a price of 0, a time
before the row above it) is set aside with its reason, in `Session.quarantined`: it counts into
nothing, and no gate is passed while there is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mrtrade.errors import DataError

EVENTS = ("submitted", "accepted", "partly_filled", "filled", "cancelled", "rejected", "expired")
KINDS = ("gap", "reconnect", "restart", "integrity_halt", "kill_switch", "stage", "note")
SWITCHES = ("data_gap", "drawdown", "drift", "slippage")

#: Between marks of more than so many seconds a run was down (of the specification).
GAP_S = 600.0

_BASE = (("time_ns", pa.int64()), ("symbol", pa.string()))
_ORDER = (("order_id", pa.string()), ("side", pa.int8()))

#: Columns of each table; those of features after the first two are of the manifest's list.
TABLES: dict[str, pa.Schema] = {
    "decisions": pa.schema(
        [
            *_BASE,
            ("target", pa.float64()),
            ("mid", pa.float64()),
            ("forecast_bps", pa.float64()),
            ("reason", pa.string()),
        ]
    ),
    "orders": pa.schema(
        [
            *_BASE,
            *_ORDER,
            ("event", pa.string()),
            ("price", pa.float64()),
            ("quantity", pa.float64()),
        ]
    ),
    "fills": pa.schema(
        [
            *_BASE,
            *_ORDER,
            ("fill_id", pa.string()),
            ("price", pa.float64()),
            ("quantity", pa.float64()),
            ("fee", pa.float64()),
            ("is_maker", pa.bool_()),
            ("decision_mid", pa.float64()),
        ]
    ),
    "equity": pa.schema(
        [
            ("time_ns", pa.int64()),
            ("equity", pa.float64()),
            ("exposure", pa.float64()),
            ("flow", pa.float64()),
        ]
    ),
}
NAMES = (*TABLES, "features")

_PART = re.compile(r"(\d{4}-\d{2}-\d{2})\.(\d+)\.parquet")

Flags = npt.NDArray[np.bool_]


class Strategy(BaseModel):
    """Name and parameters of what runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    params: dict[str, Any] = {}


class Manifest(BaseModel):
    """What a session is a record of.

    Attributes
    ----------
    schema_name : str
        ``mrtrade.session/1``; ``schema`` in the file.
    session : str
        Its name.
    stage : {"paper", "live"}
    strategy : Strategy
    model_sha256 : str, optional
        Of the model folder; None: no model.
    symbols : tuple of str
    features : tuple of str
        Columns of the table of features; empty: none are recorded.
    capital : float
        At full size, settlement currency.
    fraction : float
        Of the full size at the start, 0 to 1; later ones are incidents of kind ``stage``.
    mark_s : float
        Seconds between marks of the equity; at most 600: a longer hole is down time.
    start_ns : int
    end_ns : int, optional
        None while it goes on.
    expected, expected_sha256 : str
        Id of the backtest that it is compared with, and `Expectation.sha256` of what was kept of it
        when the run began.
    versions : dict
        Of packages.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        protected_namespaces=(),  # older pydantic keeps names that begin with model_ to itself
    )

    schema_name: Literal["mrtrade.session/1"] = Field(default="mrtrade.session/1", alias="schema")
    session: str = Field(min_length=1)
    stage: Literal["paper", "live"]
    strategy: Strategy
    model_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    symbols: tuple[str, ...] = Field(min_length=1)
    features: tuple[str, ...] = ()
    capital: float = Field(gt=0.0, allow_inf_nan=False)
    fraction: float = Field(default=1.0, gt=0.0, le=1.0)
    mark_s: float = Field(default=1.0, gt=0.0, le=GAP_S)
    start_ns: int
    end_ns: int | None = None
    expected: str
    expected_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    versions: dict[str, str] = {}

    def text(self) -> dict[str, Any]:
        """Return the content of the file."""
        return self.model_dump(mode="json", by_alias=True)


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that happened to a run.

    Attributes
    ----------
    time_ns : int
    kind : str
        One of `KINDS`.
    text : str
    until_ns : int, optional
        End of a gap.
    switch : str, optional
        Of a kill switch, one of `SWITCHES`.
    drill : bool
        It was tried on purpose.
    worked : bool, optional
        Whether a kill switch did what it must.
    explained : str
        Cause of an integrity halt, once it is known; empty: it is not.
    fraction : float, optional
        Of the full size, from this stage on.
    """

    time_ns: int
    kind: str
    text: str = ""
    until_ns: int | None = None
    switch: str | None = None
    drill: bool = False
    worked: bool | None = None
    explained: str = ""
    fraction: float | None = None

    def __post_init__(self) -> None:
        wrong: tuple[str, object, str] | None = None
        if isinstance(self.time_ns, bool) or not isinstance(self.time_ns, int):
            wrong = ("time_ns", self.time_ns, "integer nanoseconds")
        elif self.kind not in KINDS:
            wrong = ("kind", self.kind, ", ".join(KINDS))
        elif self.kind == "gap" and not (
            isinstance(self.until_ns, int) and self.until_ns > self.time_ns
        ):
            wrong = ("until_ns", self.until_ns, "a time after time_ns")
        elif self.kind == "kill_switch" and self.switch not in SWITCHES:
            wrong = ("switch", self.switch, ", ".join(SWITCHES))
        elif self.kind == "stage" and not (
            isinstance(self.fraction, float) and 0.0 < self.fraction <= 1.0
        ):
            wrong = ("fraction", self.fraction, "above 0, at most 1")
        if wrong is not None:
            key, value, expected = wrong
            raise DataError("no such incident", key=key, value=value, expected=expected)


@dataclass(frozen=True, eq=False)
class Session:
    """A recorded run.

    Attributes
    ----------
    folder : Path
    manifest : Manifest
    decisions, orders, fills, equity, features : DataFrame
        Rows in order of time, those that can be; columns as in `TABLES`.
    incidents : tuple of Incident
        In order of time.
    quarantined : DataFrame
        Rows set aside: ``table``, ``file``, ``row``, ``reason``.
    """

    folder: Path
    manifest: Manifest
    decisions: pd.DataFrame
    orders: pd.DataFrame
    fills: pd.DataFrame
    equity: pd.DataFrame
    features: pd.DataFrame
    incidents: tuple[Incident, ...]
    quarantined: pd.DataFrame

    @property
    def end_ns(self) -> int:
        """End of the run; of one that goes on the last mark."""
        if self.manifest.end_ns is not None:
            return self.manifest.end_ns
        marks = self.equity["time_ns"]
        return int(marks.iloc[-1]) if len(marks) else self.manifest.start_ns


def schema_of(table: str, features: tuple[str, ...] = ()) -> pa.Schema:
    """Return the columns of a table and their types."""
    if table == "features":
        return pa.schema([*_BASE, *((name, pa.float64()) for name in features)])
    return TABLES[table]


def read_manifest(folder: str | Path) -> Manifest:
    """Read what a session is a record of.

    Raises
    ------
    DataError
        If there is none, or it is of another form.
    """
    path = Path(folder) / "manifest.json"
    try:
        return Manifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(
            "no recorded run", file=path, remedy="name the folder of a paper or live run"
        ) from error
    except ValidationError as error:
        faults = error.errors()
        more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
        raise DataError(
            f"{faults[0]['msg']}{more}",
            file=path,
            key=".".join(map(str, faults[0]["loc"])) or None,
            expected="the keys of a recorded run, see docs/gates.md",
        ) from error
    except ValueError as error:
        raise DataError(f"no JSON: {error}", file=path) from error


def read_session(folder: str | Path) -> Session:
    """Read a recorded run, whether it has ended or goes on.

    Raises
    ------
    DataError
        If the manifest or a file of a table is of another form.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    aside: list[dict[str, Any]] = []
    frames = {name: _read_table(folder, name, manifest, aside) for name in NAMES}
    incidents = _read_incidents(folder / "incidents.jsonl", manifest, aside)
    quarantined = pd.DataFrame(aside, columns=["table", "file", "row", "reason"])
    return Session(folder, manifest, **frames, incidents=incidents, quarantined=quarantined)


def parts(folder: Path, table: str) -> list[Path]:
    """Return the files of a table in order.

    Raises
    ------
    DataError
        If another file lies there, or one of a day is missing.
    """
    found: list[tuple[str, int, Path]] = []
    for path in (folder / table).glob("[!.]*"):
        match = _PART.fullmatch(path.name)
        if match is None:
            raise DataError("no part of a table", file=path, expected="DAY.N.parquet")
        found.append((match[1], int(match[2]), path))
    found.sort()
    for (before, last, _), (day, number, path) in pairwise([("", 0, folder), *found]):
        due = last + 1 if day == before else 1
        if number != due:
            raise DataError(
                "a part before it is missing", file=path, expected=f"{day}.{due}.parquet"
            )
    return [path for *_, path in found]


def _read_table(
    folder: Path, name: str, manifest: Manifest, aside: list[dict[str, Any]]
) -> pd.DataFrame:
    schema = schema_of(name, manifest.features)
    kept: list[pd.DataFrame] = []
    state: dict[str, Any] = {"last": manifest.start_ns - 1, "ids": set()}
    for path in parts(folder, name):
        frame = _read_part(path, schema)
        reasons = _reasons(name, frame, path.name[:10], manifest, state)
        for row in np.flatnonzero(reasons != ""):
            place = f"{name}/{path.name}"
            aside.append({"table": name, "file": place, "row": int(row), "reason": reasons[row]})
        kept.append(frame[reasons == ""])
    if not kept:
        kept.append(schema.empty_table().to_pandas())
    return pd.concat(kept, ignore_index=True)


def _read_part(path: Path, schema: pa.Schema) -> pd.DataFrame:
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"no Parquet: {error}", file=path) from error
    if table.schema.remove_metadata() != schema:
        found = {field.name: field.type for field in table.schema}
        for field in schema:
            if found.pop(field.name, None) != field.type:
                raise DataError(
                    "not the column that it must be",
                    file=path,
                    key=field.name,
                    expected=str(field.type),
                )
        raise DataError(
            "other columns, or in another order",
            file=path,
            value=table.column_names,
            expected=", ".join(schema.names),
        )
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _reasons(
    name: str, frame: pd.DataFrame, day: str, manifest: Manifest, state: dict[str, Any]
) -> npt.NDArray[np.object_]:
    """Why each row cannot be; empty where it can. The first reason counts."""
    reasons = np.full(len(frame), "", dtype=object)

    def refuse(bad: Any, reason: str) -> None:
        reasons[np.asarray(bad, dtype=bool) & (reasons == "")] = reason

    time = frame["time_ns"].to_numpy(np.int64)
    first = int(pd.Timestamp(day, tz="UTC").as_unit("ns").value)
    refuse((time < first) | (time >= first + 86_400 * 10**9), "not of the day of its file")
    end = manifest.end_ns
    refuse((time < manifest.start_ns) | (end is not None and time > end), "outside of the run")
    if "symbol" in frame:
        refuse(~frame["symbol"].isin(manifest.symbols), "another symbol")
    for reason, bad in _RULES[name](frame).items():
        refuse(bad, reason)
    # A row is late by those that can be: a wrong time must not make all that follow late.
    ok = reasons == ""
    highest = np.maximum.accumulate(np.where(ok, time, state["last"]))
    before = np.r_[state["last"], highest[:-1]] if len(time) else highest
    again = name == "equity"  # of two marks at one time one would count money twice
    refuse(time <= before if again else time < before, "not later than the row above it")
    state["last"] = int(max(state["last"], highest[-1])) if len(time) else state["last"]
    if name == "fills":
        refuse(_again(frame["fill_id"], state["ids"]), "a fill that was there before")
    return reasons


def _again(ids: pd.Series[str], seen: set[str]) -> Flags:
    flags = np.array([one in seen for one in ids], dtype=bool) | ids.duplicated().to_numpy()
    seen.update(ids)
    return flags


def _positive(column: pd.Series[float]) -> Flags:
    x = column.to_numpy(np.float64)
    return np.isfinite(x) & (x > 0.0)


def _finite(column: pd.Series[float]) -> Flags:
    return np.isfinite(column.to_numpy(np.float64))


def _decisions(frame: pd.DataFrame) -> dict[str, Any]:
    return {"no target": ~_finite(frame["target"])}


def _orders(frame: pd.DataFrame) -> dict[str, Any]:
    return {
        "no order id": frame["order_id"].isna() | (frame["order_id"] == ""),
        "no side": ~frame["side"].isin((1, -1)),
        "no such event": ~frame["event"].isin(EVENTS),
        "no quantity": ~_positive(frame["quantity"]),
        "no price": ~(frame["price"].isna() | _positive(frame["price"])),
    }


def _fills(frame: pd.DataFrame) -> dict[str, Any]:
    mid = frame["decision_mid"]
    return {
        "no order id": frame["order_id"].isna() | (frame["order_id"] == ""),
        "no fill id": frame["fill_id"].isna() | (frame["fill_id"] == ""),
        "no side": ~frame["side"].isin((1, -1)),
        "no price": ~_positive(frame["price"]),
        "no quantity": ~_positive(frame["quantity"]),
        "no fee": ~_finite(frame["fee"]),
        "no mid": ~(mid.isna() | _positive(mid)),
    }


def _equity(frame: pd.DataFrame) -> dict[str, Any]:
    exposure = frame["exposure"].to_numpy(np.float64)
    return {
        "no equity": ~_finite(frame["equity"]),
        "no exposure": ~(np.isfinite(exposure) & (exposure >= 0.0)),
        "no flow": ~_finite(frame["flow"]),
    }


def _features(frame: pd.DataFrame) -> dict[str, Any]:
    values = frame.iloc[:, 2:].to_numpy(np.float64)
    return {"infinite": np.isinf(values).any(axis=1)}


_RULES: Mapping[str, Callable[[pd.DataFrame], dict[str, Any]]] = {
    "decisions": _decisions,
    "orders": _orders,
    "fills": _fills,
    "equity": _equity,
    "features": _features,
}


def _read_incidents(
    path: Path, manifest: Manifest, aside: list[dict[str, Any]]
) -> tuple[Incident, ...]:
    if not path.exists():
        return ()
    found = []
    for row, line in enumerate(path.read_bytes().split(b"\n")):
        if not line.strip():
            continue
        reason = ""
        try:
            incident = Incident(**json.loads(line))
            if incident.time_ns < manifest.start_ns:
                reason = "outside of the run"
            else:
                found.append(incident)
        except (ValueError, TypeError, DataError) as error:
            # The last line of a run that was cut off may be half a line.
            reason = f"no incident: {error}"
        if reason:
            aside.append({"table": "incidents", "file": path.name, "row": row, "reason": reason})
    return tuple(sorted(found, key=lambda one: one.time_ns))

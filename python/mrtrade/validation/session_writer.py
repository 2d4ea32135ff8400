"""Write a recorded run while it goes on: rows are added, nothing is changed.

`SessionWriter.append` writes a new part for each UTC day of its rows; what it has returned from is
on the disk. Collect rows for a while before: a part is a file. A process that was cut off opens the
same folder again and goes on, if what runs is the same.
"""

from __future__ import annotations

import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mrtrade.clock import utc_day
from mrtrade.errors import DataError, RunError
from mrtrade.validation.criteria import write_json, write_whole
from mrtrade.validation.sessions import (
    NAMES,
    Incident,
    Manifest,
    parts,
    read_manifest,
    schema_of,
)


class SessionWriter:
    """A run that is being recorded.

    Parameters
    ----------
    folder : path
        Made where it is not there.
    manifest : Manifest
        What runs. Where the folder holds a session already it must be the same.

    Raises
    ------
    RunError
        If the folder holds the session of something else, or one that has ended.
    """

    def __init__(self, folder: str | os.PathLike[str], manifest: Manifest) -> None:
        self.folder = Path(folder)
        self.manifest = manifest
        place = self.folder / "manifest.json"
        if place.exists():
            held = read_manifest(self.folder)
            if held.end_ns is not None:
                raise RunError("the session has ended", file=self.folder, remedy="begin a new one")
            if held != manifest:
                raise RunError(
                    "the session is of something else",
                    file=place,
                    value=_differences(held, manifest),
                    remedy="begin a new session: what runs has changed",
                )
        else:
            write_json(place, manifest.text())
        self._last = {name: self._last_time(name) for name in NAMES}

    def append(self, table: str, rows: pd.DataFrame) -> None:
        """Add rows to a table.

        Parameters
        ----------
        table : str
            One of ``decisions, orders, fills, equity, features``.
        rows : DataFrame
            Columns as in `mrtrade.validation.sessions.TABLES`, in any order; times must not fall,
            nor lie before those that were added before.

        Raises
        ------
        DataError
            If there is no such table, a column is missing or of another type, or times fall.
        """
        if table not in NAMES:
            raise DataError("no such table", value=table, expected=", ".join(NAMES))
        schema = schema_of(table, self.manifest.features)
        lacking = [name for name in schema.names if name not in rows]
        unknown = [str(name) for name in rows if name not in schema.names]
        if lacking or unknown:
            raise DataError(
                "a column is missing" if lacking else "an unknown column",
                key=f"{table}.{(lacking or unknown)[0]}",
                expected=", ".join(schema.names),
            )
        if len(rows) == 0:
            return
        try:
            content = pa.Table.from_pandas(
                rows[schema.names], schema=schema, preserve_index=False
            ).replace_schema_metadata(None)
        except (pa.ArrowException, TypeError) as error:
            raise DataError(f"{table}: {error}", expected=str(schema)) from error
        time = content["time_ns"].to_numpy()
        before = np.r_[self._last[table], time[:-1]]
        if (time < before).any():
            row = int(np.flatnonzero(time < before)[0])
            raise DataError("times fall", key=f"{table}.time_ns", row=row, value=int(time[row]))
        days = np.array([utc_day(int(one)) for one in time])
        for day in dict.fromkeys(days.tolist()):
            self._write(table, day, content.filter(pa.array(days == day)))
        self._last[table] = int(time[-1])

    def incident(self, incident: Incident) -> None:
        """Add a line to ``incidents.jsonl``."""
        line = {
            one.name: getattr(incident, one.name)
            for one in fields(incident)
            if getattr(incident, one.name) is not one.default
        }
        path = self.folder / "incidents.jsonl"
        with path.open("ab") as out:
            if out.tell() and path.read_bytes()[-1:] != b"\n":
                out.write(b"\n")  # half a line of a process that was cut off stays one line
            out.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            out.flush()
            os.fsync(out.fileno())

    def finish(self, end_ns: int) -> None:
        """Say that the run has ended."""
        self.manifest = self.manifest.model_copy(update={"end_ns": int(end_ns)})
        write_json(self.folder / "manifest.json", self.manifest.text())

    def _write(self, table: str, day: str, content: pa.Table) -> None:
        folder = self.folder / table
        numbers = [int(path.name.split(".")[1]) for path in folder.glob(f"{day}.*.parquet")]
        sink = pa.BufferOutputStream()
        pq.write_table(content, sink, compression="zstd")
        path = folder / f"{day}.{max(numbers, default=0) + 1}.parquet"
        write_whole(path, sink.getvalue().to_pybytes())

    def _last_time(self, table: str) -> int:
        files = parts(self.folder, table)
        if not files:
            return self.manifest.start_ns
        with pq.ParquetFile(files[-1]) as file:
            time = file.read(columns=["time_ns"])["time_ns"].to_numpy()
        return int(time[-1])


def _differences(one: Manifest, other: Manifest) -> list[str]:
    mine, theirs = one.text(), other.text()
    found: list[Any] = [key for key in mine if mine[key] != theirs[key]]
    return found

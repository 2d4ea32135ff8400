"""Bars of one symbol with their features, kept in a folder that workers can share.

Features are computed once. The files are uncompressed Arrow (Feather V2), so that loading maps them
into memory: it costs next to nothing, and processes on one machine share the pages.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from mrtrade import __version__
from mrtrade.clock import from_ns, to_ns
from mrtrade.data.digest import Digest
from mrtrade.data.parquet.files_local import told
from mrtrade.errors import ConfigError, DataError
from mrtrade.features.compute import compute, definitions

MANIFEST = "manifest.json"
FORMAT = 1

FUNDING_COLUMNS = ("time", "rate", "mark")


@dataclass(frozen=True)
class Dataset:
    """Bars of one symbol, what is computed from them, and what was paid for holding it.

    Attributes
    ----------
    symbol : str
        What is traded, such as ``BTC/USDT-PERP``.
    bars : DataFrame
        Float64 columns of `mrtrade.features.columns`, on the ends of the bars (UTC): each row was
        known at its index. ``spread_mean_bps`` among them where costs are to be charged.
    features : DataFrame
        Float64, on the index of `bars`; NaN: no value.
    funding : DataFrame
        Settlements: ``time`` (UTC), ``rate`` (fraction of the notional that longs pay), ``mark``
        (quote; NaN: not recorded). Empty where nothing is paid.
    second : DataFrame, optional
        Bars of a second leg on the index of `bars`; NaN where it had none.
    fingerprint : str, optional
        Says which data these are; default: a sha256 of all values.
    about : Mapping
        What was assumed and left out, JSON types.
    """

    symbol: str
    bars: pd.DataFrame
    features: pd.DataFrame
    funding: pd.DataFrame = field(default_factory=lambda: no_funding())
    second: pd.DataFrame | None = None
    fingerprint: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, frame in (("features", self.features), ("second", self.second)):
            if frame is not None and not frame.index.equals(self.bars.index):
                raise DataError(f"{name} are not on the index of the bars", value=self.symbol)
        if len(back := np.flatnonzero(np.diff(to_ns(self.bars.index)) <= 0)):
            raise DataError("bars are not in order of time", row=int(back[0]) + 1)
        if missing := [name for name in FUNDING_COLUMNS if name not in self.funding]:
            raise DataError(f"funding has no column {missing[0]!r}", value=self.symbol)
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", digest_of(self.symbol, self.frames()))

    def frames(self) -> dict[str, pd.DataFrame]:
        """Return its frames by name."""
        frames = {"bars": self.bars, "features": self.features, "funding": self.funding}
        return frames if self.second is None else frames | {"second": self.second}

    def until(self, end_ns: int) -> Dataset:
        """Return what was known before a time: its rows, and settlements, before it."""
        rows = int(to_ns(self.bars.index).searchsorted(end_ns))
        paid = int(to_ns(self.funding["time"]).searchsorted(end_ns))
        return replace(
            self,
            bars=self.bars.iloc[:rows],
            features=self.features.iloc[:rows],
            funding=self.funding.iloc[:paid],
            second=None if self.second is None else self.second.iloc[:rows],
        )

    def save(self, folder: Path | str) -> Path:
        """Write it to a folder, whole or not at all; the same dataset is not written again.

        Raises
        ------
        ConfigError
            If the folder is there and holds something else than a dataset.
        """
        folder = Path(folder)
        there = (folder / MANIFEST).is_file()
        if there and _manifest_of(folder).get("fingerprint") == self.fingerprint:
            return folder
        with in_place_of(folder, MANIFEST) as temporary:
            files = {name: _write(temporary, name, frame) for name, frame in self.frames().items()}
            manifest = {
                "format": FORMAT,
                "symbol": self.symbol,
                "fingerprint": self.fingerprint,
                "mrtrade": __version__,
                "register": definitions(self.features.columns),
                "about": dict(self.about),
                "files": files,
            }
            _write_json(temporary / MANIFEST, manifest)
        return folder

    @classmethod
    def load(
        cls, folder: Path | str, columns: Iterable[str] | None = None, *, verify: bool = False
    ) -> Self:
        """Map a saved dataset into memory; its arrays are read-only.

        Parameters
        ----------
        folder : path
        columns : iterable of str, optional
            Features that are wanted; default all.
        verify : bool
            Whether to read all files and compare their sha256 with the manifest's.

        Raises
        ------
        DataError
            If files are missing, cut or changed, a feature is not in it, or it was computed by
            features that are defined otherwise now.
        """
        folder = Path(folder)
        manifest = _manifest_of(folder)
        if manifest.get("format") != FORMAT:
            raise DataError("is not a dataset", file=folder, remedy="make it anew")
        files: dict[str, dict[str, Any]] = manifest["files"]
        for name, file in files.items():
            _check(folder / f"{name}.arrow", file, verify=verify)
        place = {
            column: name
            for name, file in files.items()
            if name.startswith("features")
            for column in file["columns"]
        }
        wanted = list(place) if columns is None else list(dict.fromkeys(columns))
        if unknown := [name for name in wanted if name not in place]:
            raise DataError(
                f"has no feature {unknown[0]!r}", file=folder, remedy="add it by Dataset.ensure"
            )
        if definitions(place) != manifest["register"]:
            raise DataError(
                "its features are defined otherwise now", file=folder, remedy="make it anew"
            )
        bars = _read(folder, "bars")
        values = {
            column: values
            for name in files
            if name.startswith("features")
            for column, values in _map(folder, name, {one for one in wanted if place[one] == name})
        }
        chosen = {name: values[name] for name in wanted}
        return cls(
            symbol=manifest["symbol"],
            bars=bars,
            features=pd.DataFrame(chosen, index=bars.index, copy=False),
            funding=_read(folder, "funding"),
            second=_read(folder, "second") if "second" in files else None,
            fingerprint=manifest["fingerprint"],
            about=manifest["about"],
        )

    @staticmethod
    def ensure(folder: Path | str, names: Iterable[str]) -> list[str]:
        """Compute features that a saved dataset lacks, from its bars, and add them to it.

        Their warm-up is that of the bars which are there.

        Returns
        -------
        list of str
            Those that were added.
        """
        folder = Path(folder)
        manifest = _manifest_of(folder)
        there = {
            column
            for name, file in manifest["files"].items()
            if name.startswith("features")
            for column in file["columns"]
        }
        lacking = [name for name in dict.fromkeys(names) if name not in there]
        if lacking:
            found = compute(_read(folder, "bars"), lacking)
            key = hashlib.sha256("\0".join(lacking).encode()).hexdigest()[:12]
            name = f"features-{key}"
            with told(folder):
                manifest["files"][name] = _write(folder, name, found)
                manifest["register"] = definitions([*there, *lacking])
                _write_json(folder / MANIFEST, manifest)
        return lacking


def no_funding() -> pd.DataFrame:
    """Return settlements of what pays none."""
    return pd.DataFrame(
        {"time": from_ns(np.empty(0, np.int64)), "rate": np.empty(0), "mark": np.empty(0)}
    )


def digest_of(what: object, frames: Mapping[str, pd.DataFrame]) -> str:
    """Return a sha256 of the values of frames, of their names, and of what else is told."""
    whole = hashlib.sha256(repr(what).encode())
    for name, frame in frames.items():
        table = _table(frame)
        digest = Digest(table.schema)
        digest.add(table)
        whole.update(repr((name, table.column_names, len(table))).encode() + digest.sha256())
    return whole.hexdigest()


# Files ------------------------------------------------------------------------------


def _table(frame: pd.DataFrame) -> pa.Table:
    """Columns as int64 (times) and float64, NaN staying NaN."""
    columns: dict[str, Any] = {}
    if isinstance(frame.index, pd.DatetimeIndex):
        columns["time"] = pa.array(to_ns(frame.index))
    for name in map(str, frame.columns):
        values = frame[name]
        if isinstance(values.dtype, pd.DatetimeTZDtype):
            columns[name] = pa.array(to_ns(values))
        else:
            array = np.ascontiguousarray(values.to_numpy(dtype=np.float64))
            columns[name] = pa.array(array, from_pandas=False)
    return pa.table(columns)


def _write(folder: Path, name: str, frame: pd.DataFrame) -> dict[str, Any]:
    """Write a frame as one batch; returns what the manifest says of it."""
    table = _table(frame)
    path = folder / f"{name}.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=max(len(table), 1))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    columns = [one for one in table.column_names if one != "time"]
    return {
        "sha256": digest,
        "bytes": path.stat().st_size,
        "rows": len(table),
        "columns": columns,
    }


def _check(path: Path, file: Mapping[str, Any], *, verify: bool) -> None:
    size = path.stat().st_size if path.is_file() else None
    if size != file["bytes"]:
        raise DataError(
            "is missing" if size is None else "was cut or changed",
            file=path,
            value=size,
            expected=f"{file['bytes']} bytes",
            remedy="make the dataset anew",
        )
    if verify:
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        if digest != file["sha256"]:
            raise DataError(
                "was changed since it was written", file=path, remedy="make the dataset anew"
            )


def _map(
    folder: Path, name: str, columns: Collection[str] | None = None
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Map columns of a file into memory; default all."""
    with pa.memory_map(str(folder / f"{name}.arrow")) as source:
        table = pa.ipc.open_file(source).read_all()
    for one in table.column_names if columns is None else columns:
        yield one, table[one].to_numpy()  # one batch was written: nothing is copied


def _read(folder: Path, name: str) -> pd.DataFrame:
    """Map a frame into memory; that of funding keeps its times as a column."""
    values = dict(_map(folder, name))
    time = from_ns(values.pop("time"))
    if name == "funding":
        return pd.DataFrame({"time": time, **values}, copy=False)
    return pd.DataFrame(values, index=time.rename("time"), copy=False)


def _manifest_of(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        return cast(dict[str, Any], json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ConfigError(
            "holds no dataset", file=folder, expected=f"a folder with {MANIFEST}"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {error}", file=path) from error


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)


@contextmanager
def in_place_of(folder: Path, marker: str) -> Iterator[Path]:
    """Give a folder to fill, which then takes the place of another one: whole or not at all.

    Parameters
    ----------
    folder : path
        What is there is replaced if it is of the same kind.
    marker : str
        File that each folder of the kind has.

    Raises
    ------
    ConfigError
        If something else is there.
    """
    if folder.exists() and not (folder / marker).is_file():
        raise ConfigError(
            "holds something else", file=folder, expected=f"nothing, or a folder with {marker}"
        )
    temporary = folder.with_name(f".tmp-{os.getpid()}-{folder.name}")
    with told(folder):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            if folder.exists():
                old = folder.with_name(f".tmp-{os.getpid()}-old-{folder.name}")
                os.replace(folder, old)
                os.replace(temporary, folder)
                shutil.rmtree(old)
            else:
                os.replace(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

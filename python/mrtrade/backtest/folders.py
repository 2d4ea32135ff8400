"""Results on disk: a folder that is replaced whole or not at all, and the files in it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Set
from pathlib import Path

import pandas as pd

from mrtrade.errors import RunError


def replace_folder(folder: Path, write: Callable[[Path], object], own: Set[str]) -> Path:
    """Write a folder anew; all of it or nothing.

    The files are written beside the folder and moved into place. An older run in the folder is
    replaced: it is set aside as ``.old-<name>`` for the moment between two renames, and should the
    process end just then, the next call, or `put_back`, puts it back. A folder that holds anything
    but a run is left alone.

    Parameters
    ----------
    folder : Path
    write : callable
        Writes the files into the folder that it is given.
    own : set of str
        Names of what a run has in its folder.
    """
    put_back(folder)
    _refuse_foreign(folder, own)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder.parent) as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        write(new)
        old = _set_aside(folder)
        if old.exists():  # a save ended after its renames
            shutil.rmtree(old)
        if folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        finally:
            put_back(folder)
        if old.exists():
            shutil.rmtree(old)
    return folder


def _set_aside(folder: Path) -> Path:
    """Where an older run lies while a new one takes its place."""
    return folder.with_name(f".old-{folder.name}")


def put_back(folder: Path) -> None:
    """Put an older run back that no new one has replaced."""
    old = _set_aside(folder)
    if old.exists() and not folder.exists():
        old.rename(folder)


def _refuse_foreign(folder: Path, own: Set[str]) -> None:
    """Raise if replacing the folder would delete anything that is not a run's own file."""
    if not folder.exists():
        return
    foreign = sorted(set(os.listdir(folder)) - own) if folder.is_dir() else [folder.name]
    if foreign:
        raise RunError(
            "would be replaced, but it is not a run's own",
            file=folder / foreign[0] if folder.is_dir() else folder,
            remedy="save the run in a folder of its own",
        )


def write_text(path: Path, text: str) -> None:
    """Write text as it is, on every platform."""
    path.write_text(text, encoding="utf-8", newline="\n")


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame; its index, where it has a name, as a column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if frame.index.name is not None:
        frame = frame.reset_index()
    # Without pandas' own metadata: it names the pandas version, which is not the data's affair.
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(table, path, compression="zstd")


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a frame of `write_parquet`; the index stays a column."""
    import pyarrow.parquet as pq

    # ParquetFile, not read_table: a path such as exchange=x/ must not add columns.
    with pq.ParquetFile(path) as file:
        frame: pd.DataFrame = file.read().to_pandas()
    return frame

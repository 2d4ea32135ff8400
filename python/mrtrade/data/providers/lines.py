"""Text files line by line, whatever they are packed in."""

import gzip
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from mrtrade.errors import DataError

UNREADABLE = (
    OSError,
    EOFError,
    zipfile.BadZipFile,
    NotImplementedError,  # of zipfile, where the version is none
    pa.ArrowException,
    gzip.zlib.error,  # type: ignore[attr-defined]
)
"""What a file that is cut off, or not what its name says, raises."""

PACKED = (".gz", ".zst", ".zip")


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, unpacked as it is read: ``.gz``, ``.zst``, and ``.zip`` of one file."""
    if path.suffix == ".gz":
        with gzip.open(path, "rb") as unpacked:
            yield cast(IO[bytes], unpacked)
    elif path.suffix == ".zst":
        with pa.input_stream(str(path), compression="zstd") as stream:
            yield io.BufferedReader(stream, 1 << 20)
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            if len(names) != 1:
                raise DataError(
                    "cannot tell which file of the archive to read",
                    file=path,
                    value=", ".join(names[:5]) or "none",
                    expected="one file",
                    remedy="unpack it and give the folder",
                )
            with archive.open(names[0]) as member:
                yield member
    else:
        with path.open("rb") as raw:
            yield raw


def first_lines(path: Path, count: int) -> list[bytes]:
    """Return the first lines of a file, without their ends; none of one that cannot be read."""
    found: list[bytes] = []
    try:
        with opened(path) as file:
            while len(found) < count:
                line = file.readline(1 << 22)
                if not line:
                    break
                found.append(line.rstrip(b"\r\n"))
    except UNREADABLE:
        pass
    return found


def plain_name(path: Path) -> str:
    """Return a file's name without what it is packed in: ``x.csv.gz`` is ``x.csv``."""
    return path.name.removesuffix(path.suffix) if path.suffix in PACKED else path.name
